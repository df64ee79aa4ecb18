//! Moving names: a copy on the server, and the removal of what was copied.

use std::collections::HashMap;
use std::sync::Arc;

use eyot_backend::{Errno, Node, NodeKind, RenameFlags};
use futures_util::StreamExt;
use http::HeaderMap;

use crate::client::{Client, Shared};
use crate::engine::log;
use crate::failure::Failure;
use crate::list::PAGES_MAX;
use crate::lookup::Found;
use crate::nodes::Inode;
use crate::requests::Object;
use crate::s3::S3;
use crate::upload::Upload;

/// What copies are, by their keys.
type Etags = HashMap<String, Option<Arc<str>>>;

/// Copies of a directory's objects under way at once.
const COPIES_MAX: usize = 8;
/// Objects of a directory that are so long that one request does not copy them.
const COPY_PART_BYTES: u64 = 512 << 20;

impl S3 {
    pub(crate) fn move_name(&self, from: (Node, &str), to: (Node, &str), how: RenameFlags) -> Result<(), Errno> {
        self.may_write()?;
        if how.contains(RenameFlags::EXCHANGE) || !(how - RenameFlags::NO_REPLACE).is_empty() {
            return Err(Errno::Notsup);
        }
        crate::key::check_new(to.1, self.options.symlinks)?;
        let _claim = self.names.claim(&[from, to]);
        let is_directory = {
            let _shape = self.shape.read();
            let old = self.directory(from.0)?;
            self.find(&old, from.1)?.ok_or(Errno::Noent)?.kind == NodeKind::Directory
        };
        // Nobody else changes what these names are, so that it is the same kind still.
        if is_directory {
            let _shape = self.shape.write();
            self.move_claimed(from, to, how)
        } else {
            let _shape = self.shape.read();
            self.move_claimed(from, to, how)
        }
    }

    fn move_claimed(&self, from: (Node, &str), to: (Node, &str), how: RenameFlags) -> Result<(), Errno> {
        let (old, new) = (self.directory(from.0)?, self.directory(to.0)?);
        let found = self.find(&old, from.1)?.ok_or(Errno::Noent)?;
        if new.facts.lock().unlinked {
            return Err(Errno::Noent);
        }
        let target = self.find(&new, to.1)?;
        if target.is_some() && how.contains(RenameFlags::NO_REPLACE) {
            return Err(Errno::Exist);
        }
        if from == to {
            return Ok(());
        }
        let is_directory = found.kind == NodeKind::Directory;
        match &target {
            Some(target) if is_directory && target.kind != NodeKind::Directory => return Err(Errno::Notdir),
            Some(target) if !is_directory && target.kind == NodeKind::Directory => return Err(Errno::Isdir),
            _ => {}
        }
        if is_directory {
            self.move_directory((&old, from.1), (&new, to.1), target.is_some())
        } else {
            self.move_file((&old, from.1), (&new, to.1), &found, target.as_ref())
        }
    }

    fn move_file(
        &self,
        from: (&Arc<Inode>, &str),
        to: (&Arc<Inode>, &str),
        found: &Found,
        target: Option<&Found>,
    ) -> Result<(), Errno> {
        let (old_key, new_key) = {
            let table = self.table.lock();
            (table.key_of(from.0.id, from.1, found.kind)?, table.key_of(to.0.id, to.1, found.kind)?)
        };
        let held = self.table.lock().child(from.0.id, from.1);
        let mut object = found.object.clone();
        let mut local = found.local;
        // What is only here, and was never there, just gets another name.
        let mut body = held.as_ref().map(|inode| inode.body.lock());
        if let (Some(inode), Some(body)) = (&held, &mut body) {
            if !local || body.is_streaming() {
                self.flush_body(inode, body)?;
                local = false;
            }
            object = inode.facts.lock().object.clone();
        }
        if !local {
            self.before_removal(from.0)?;
        }
        if let Some(target) = target {
            self.replace(to, target, found.kind, local)?;
        }
        if !local {
            let etag = self
                .copy_object(&old_key, &new_key, &object, None)
                .map_err(|failure| log("rename", &old_key, &failure))?;
            let of = old_key.clone();
            self.engine.ask("rename", &old_key, |client| async move { client.delete(&of).await })?;
            object.etag = etag.or(object.etag);
            object.modified = (self.clock)();
        }
        self.moved(from, to, found.kind, object, local);
        Ok(())
    }

    /// What a file replaces goes, unless it is an object of the very key that the copy will have.
    fn replace(&self, to: (&Arc<Inode>, &str), target: &Found, kind: NodeKind, local: bool) -> Result<(), Errno> {
        let key = self.table.lock().key_of(to.0.id, to.1, target.kind)?;
        let held = self.table.lock().child(to.0.id, to.1);
        if let Some(inode) = &held {
            let mut body = inode.body.lock();
            self.keep_body(inode, &mut body, &key)?;
            body.orphan = true;
            let mut facts = inode.facts.lock();
            (facts.size, facts.changed) = (body.size(), Some((self.clock)()));
        }
        if !target.local && (target.kind != kind || local) {
            let of = key.clone();
            self.engine.ask("rename", &key, |client| async move { client.delete(&of).await })?;
        }
        self.gone(to.0, to.1);
        Ok(())
    }

    /// The tables follow what was moved on the server.
    fn moved(&self, from: (&Arc<Inode>, &str), to: (&Arc<Inode>, &str), kind: NodeKind, object: Object, local: bool) {
        from.0.listing.lock().remove(from.1);
        self.table.lock().rename((from.0.id, from.1), (to.0.id, to.1));
        to.0.listing.lock().put(to.1, kind, object.clone(), local);
        let moved = self.table.lock().child(to.0.id, to.1);
        if let Some(inode) = moved {
            let mut facts = inode.facts.lock();
            if !local && kind != NodeKind::Directory {
                (facts.object, facts.checked) = (object, Some(std::time::Instant::now()));
            }
            facts.changed = Some((self.clock)());
        }
        self.touch(from.0);
        self.touch(to.0);
    }

    fn move_directory(&self, from: (&Arc<Inode>, &str), to: (&Arc<Inode>, &str), replaces: bool) -> Result<(), Errno> {
        let (old_key, new_key) = {
            let table = self.table.lock();
            (table.key_of(from.0.id, from.1, NodeKind::Directory)?, table.key_of(to.0.id, to.1, NodeKind::Directory)?)
        };
        if new_key.starts_with(&old_key) {
            return Err(Errno::Inval);
        }
        if replaces {
            self.check_empty(to.0, to.1)?;
        }
        self.flush_below(&old_key)?;
        let objects = self.objects_below(&old_key)?;
        let long = objects.iter().map(|(key, _)| key.len() - old_key.len() + new_key.len()).max();
        if long.is_some_and(|length| length > crate::key::KEY_BYTES_MAX) {
            return Err(Errno::Nametoolong);
        }
        self.before_removal(from.0)?;
        let etags = self.copy_all(&old_key, &new_key, &objects)?;
        let keys: Vec<String> = objects.into_iter().map(|(key, _)| key).collect();
        let deleted = self.engine.wait(|client| delete_all(client, keys));
        if replaces {
            let replaced = self.table.lock().child(to.0.id, to.1);
            self.gone(to.0, to.1);
            if let Some(replaced) = replaced {
                *replaced.listing.lock() = crate::listing::Listing::empty();
            }
        }
        let object = self.table.lock().child(from.0.id, from.1).map(|inode| inode.facts.lock().object.clone());
        self.moved(from, to, NodeKind::Directory, object.unwrap_or_default(), false);
        self.tell_moved(&new_key, &etags);
        deleted.map_err(|failure| {
            // Both names are there: the new one is whole.
            from.0.listing.lock().doubt();
            log("rename", &old_key, &failure)
        })
    }

    fn flush_below(&self, key: &str) -> Result<(), Errno> {
        let files = self.table.lock().files();
        for file in files {
            let is_here = file.facts.lock().size.is_some();
            let is_below = is_here && self.table.lock().key(file.id).is_ok_and(|of| of.starts_with(key));
            if is_below {
                self.flush_body(&file, &mut file.body.lock())?;
            }
        }
        Ok(())
    }

    /// Every object of a directory. Errors: `EXDEV` when there are more than a rename copies.
    fn objects_below(&self, key: &str) -> Result<Vec<(String, Object)>, Errno> {
        let (of, max) = (key.to_owned(), self.options.rename_entries_max);
        self.engine.ask("rename", key, |client| async move {
            let (mut objects, mut token) = (Vec::new(), None);
            for _ in 0..PAGES_MAX {
                let mut page = client.list_page(&of, false, 1000, token.as_deref()).await?;
                token = page.next.take();
                objects.extend(page.objects.into_iter().filter(|(key, _)| key.starts_with(&of)));
                if objects.len() > max {
                    return Err(Failure::Refused(Errno::Xdev));
                }
                if token.is_none() {
                    return Ok(objects);
                }
            }
            Err(Failure::Refused(Errno::Xdev))
        })
    }

    /// A copy is another version of an object, of which everybody below a directory that moved must know.
    fn tell_moved(&self, key: &str, etags: &Etags) {
        let all = self.table.lock().all();
        for inode in all {
            let of = self.table.lock().key(inode.id);
            let Ok(of) = of else { continue };
            if !of.starts_with(key) {
                continue;
            }
            if inode.is_directory() {
                inode.listing.lock().retag(|name, kind| {
                    let of = self.table.lock().key_of(inode.id, name, kind).ok()?;
                    etags.get(&of).cloned().flatten()
                });
            } else if let Some(Some(etag)) = etags.get(&of) {
                let mut facts = inode.facts.lock();
                (facts.object.etag, facts.object.modified) = (Some(Arc::clone(etag)), (self.clock)());
            }
        }
    }

    /// Copies objects to another directory; answers what the copies are. When one cannot be copied, those that were are taken away again.
    fn copy_all(&self, old_key: &str, new_key: &str, objects: &[(String, Object)]) -> Result<Etags, Errno> {
        let max = self.options.copy_bytes_max;
        let target = |key: &str| format!("{new_key}{}", key.get(old_key.len()..).unwrap_or_default());
        let pairs: Vec<(String, String)> = objects
            .iter()
            .filter(|(_, object)| object.size <= max)
            .map(|(key, _)| (key.clone(), target(key)))
            .collect();
        let mut copied = self.engine.wait(|client| copy_small(client, pairs));
        for (key, object) in objects.iter().filter(|(_, object)| object.size > max) {
            copied = copied.and_then(|mut etags| {
                etags.insert(target(key), self.copy_object(key, &target(key), object, None)?);
                Ok(etags)
            });
        }
        copied.map_err(|failure| {
            let keys = objects.iter().map(|(key, _)| target(key)).collect();
            if let Err(failure) = self.engine.wait(|client| delete_all(client, keys)) {
                tracing::warn!(key = new_key, %failure, "s3: copies of a rename that failed are left over");
            }
            log("rename", old_key, &failure)
        })
    }

    /// Copies an object of any length; answers the copy's ETag.
    pub(crate) fn copy_object(
        &self,
        from: &str,
        to: &str,
        object: &Object,
        headers: Option<HeaderMap>,
    ) -> Result<Option<Arc<str>>, Failure> {
        if object.size <= self.options.copy_bytes_max {
            let (from, to, etag) = (from.to_owned(), to.to_owned(), object.etag.clone());
            return self
                .engine
                .wait(|client| async move { client.copy(&from, &to, etag.as_deref(), headers.as_ref()).await });
        }
        let headers = match headers {
            Some(headers) => headers,
            // An upload takes nothing along of what it is copied from.
            None => {
                let of = from.to_owned();
                let told = self.engine.wait(|client| async move { client.head(&of).await })?;
                told.metadata.unwrap_or_default().to_headers(NodeKind::File, self.options.posix)
            }
        };
        let part = COPY_PART_BYTES.min(self.options.copy_bytes_max).max(5 << 20);
        let part = part.max(object.size.div_ceil(crate::upload::PARTS_COUNT_MAX));
        let mut upload = Upload::begin(&self.engine, to, headers)?;
        let (source, mut at) = (Arc::<str>::from(from), 0);
        while at < object.size {
            let end = object.size.min(at + part);
            upload.copy(Arc::clone(&source), object.etag.clone(), at..end)?;
            at = end;
        }
        upload.end(object.size)
    }
}

async fn copy_small(client: Shared, pairs: Vec<(String, String)>) -> Result<Etags, Failure> {
    each(client, pairs, |client, (from, to)| async move {
        let etag = client.copy(&from, &to, None, None).await?;
        Ok((to, etag))
    })
    .await
}

async fn delete_all(client: Shared, keys: Vec<String>) -> Result<(), Failure> {
    let deleted: Result<Vec<()>, Failure> =
        each(client, keys, |client, key| async move { client.delete(&key).await }).await;
    deleted.map(drop)
}

/// Does something for each, several at once, until one fails.
pub(crate) async fn each<T, U, F, C>(
    client: Shared,
    all: Vec<T>,
    work: impl Fn(Arc<Client>, T) -> F,
) -> Result<C, Failure>
where
    F: Future<Output = Result<U, Failure>>,
    C: Default + Extend<U>,
{
    let work = &work;
    let works = all.into_iter().map(|one| work(Arc::clone(&client), one));
    let mut under_way = futures_util::stream::iter(works).buffer_unordered(COPIES_MAX);
    let mut done = C::default();
    while let Some(ended) = under_way.next().await {
        done.extend([ended?]);
    }
    Ok(done)
}
