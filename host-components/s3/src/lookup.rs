//! Finding names, and listing directories.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use eyot_backend::{Attributes, DirectoryEntry, Errno, Node, NodeKind};

use crate::failure::Failure;
use crate::key::{LINK_SUFFIX, is_name};
use crate::list::Page;
use crate::nodes::Inode;
use crate::requests::Object;
use crate::s3::S3;

/// The most entries of one answer.
const ANSWER_ENTRIES_MAX: usize = 4096;
/// Keys of one page.
const PAGE_KEYS: usize = 1000;

/// What a name is on the server, or will be.
pub(crate) struct Found {
    pub(crate) kind: NodeKind,
    pub(crate) object: Object,
    /// Only this mount knows of it yet.
    pub(crate) local: bool,
}

/// The entries of a directory, while pages come in.
#[derive(Default)]
struct Told {
    entries: HashMap<Arc<str>, (NodeKind, Object)>,
    marker: bool,
    too_many: bool,
}

impl S3 {
    /// Takes what a page tells of a directory with this key.
    fn take(&self, told: &mut Told, key: &str, page: Page) {
        for (object_key, object) in page.objects {
            let Some(rest) = object_key.strip_prefix(key) else {
                self.leave_out(&object_key);
                continue;
            };
            if rest.is_empty() {
                told.marker = true;
                continue;
            }
            let link = rest.strip_suffix(LINK_SUFFIX).filter(|_| self.options.symlinks);
            let (name, kind) = link.map_or((rest, NodeKind::File), |name| (name, NodeKind::Symlink));
            self.tell(told, &object_key, name, kind, object);
        }
        for prefix in page.prefixes {
            match prefix.strip_prefix(key).and_then(|rest| rest.strip_suffix('/')) {
                Some(name) => self.tell(told, &prefix, name, NodeKind::Directory, Object::default()),
                None => self.leave_out(&prefix),
            }
        }
        told.too_many |= told.entries.len() > self.options.entries_max;
    }

    fn tell(&self, told: &mut Told, key: &str, name: &str, kind: NodeKind, object: Object) {
        if !is_name(name) {
            self.leave_out(key);
            return;
        }
        // A directory hides a file of its name, and a file a symlink.
        let rank = |kind| match kind {
            NodeKind::Directory => 2,
            NodeKind::File => 1,
            _ => 0,
        };
        if let Some((other, _)) = told.entries.get(name) {
            self.leave_out(key);
            if rank(*other) >= rank(kind) {
                return;
            }
        }
        told.entries.insert(name.into(), (kind, object));
    }

    fn leave_out(&self, key: &str) {
        if self.left_out.fetch_add(1, Relaxed) == 0 {
            let key: String = key.chars().take(200).collect();
            tracing::warn!(
                key,
                bucket = self.options.bucket,
                "s3: keys that can be no names, or not beside others, are left out"
            );
        }
    }

    /// Reads the server's listing, unless what is known is still believed. With `is_one_page` a longer one is only noted as such.
    pub(crate) fn refresh(&self, dir: &Inode, is_one_page: bool) -> Result<(), Errno> {
        let begun = {
            let mut listing = dir.listing.lock();
            if listing.is_fresh(self.options.list_lifetime) || is_one_page && listing.is_large {
                return Ok(());
            }
            listing.begin()
        };
        let read = self.read_listing(dir, is_one_page);
        let mut listing = dir.listing.lock();
        match read {
            Ok(Some(told)) => {
                let objects: Vec<_> =
                    told.entries.iter().map(|(name, (_, object))| (Arc::clone(name), object.clone())).collect();
                listing.is_large = objects.len() > PAGE_KEYS;
                listing.end(begun, told.entries, told.marker);
                drop(listing);
                self.tell_inodes(dir, &objects);
                Ok(())
            }
            Ok(None) => {
                listing.is_large = true;
                listing.give_up();
                Ok(())
            }
            Err(errno) => {
                listing.give_up();
                Err(errno)
            }
        }
    }

    /// Held files of a directory learn what a listing told.
    fn tell_inodes(&self, dir: &Inode, objects: &[(Arc<str>, Object)]) {
        for (name, object) in objects {
            let child = self.table.lock().child(dir.id, name);
            if let Some(child) = child {
                self.listed(&child, object);
            }
        }
    }

    /// The server's listing; `None` when only one page was wanted and there are more.
    fn read_listing(&self, dir: &Inode, is_one_page: bool) -> Result<Option<Told>, Errno> {
        let key = self.table.lock().key(dir.id)?;
        let mut told = Told::default();
        let mut token: Option<String> = None;
        for _ in 0..crate::list::PAGES_MAX {
            let (of, from) = (key.clone(), token.take());
            let mut page = self.engine.ask("list", &key, |client| async move {
                client.list_page(&of, true, PAGE_KEYS, from.as_deref()).await
            })?;
            token = page.next.take();
            if is_one_page && token.is_some() {
                return Ok(None);
            }
            self.take(&mut told, &key, page);
            if told.too_many {
                tracing::warn!(key, entries_max = self.options.entries_max, "s3: a directory has too many entries");
                return Err(Errno::Overflow);
            }
            if token.is_none() {
                return Ok(Some(told));
            }
        }
        tracing::warn!(key, "s3: a listing does not end");
        Err(Errno::Overflow)
    }

    /// What a name is.
    pub(crate) fn find(&self, dir: &Inode, name: &str) -> Result<Option<Found>, Errno> {
        if !is_name(name) {
            return Ok(None);
        }
        if dir.facts.lock().unlinked {
            return Ok(None);
        }
        self.refresh(dir, true)?;
        {
            let listing = dir.listing.lock();
            let listed = listing.get(name);
            let found =
                listed.map(|listed| Found { kind: listed.kind, object: listed.object.clone(), local: listed.local });
            if listing.is_fresh(self.options.list_lifetime) || found.as_ref().is_some_and(|found| found.local) {
                return Ok(found);
            }
        }
        self.find_in_large(dir, name)
    }

    /// Asks for one name of a directory that has more than a page of them.
    fn find_in_large(&self, dir: &Inode, name: &str) -> Result<Option<Found>, Errno> {
        let key = self.table.lock().key_of(dir.id, name, NodeKind::File)?;
        let (dir_key, links) = (key[..key.len() - name.len()].to_owned(), self.options.symlinks);
        let of = key.clone();
        let page = self.engine.ask("lookup", &key, |client| async move {
            let mut page = client.list_page(&of, true, PAGE_KEYS, None).await?;
            if page.next.is_some() {
                // So many names go on where this one ends that what belongs to it may be behind them.
                let below = client.list_page(&format!("{of}/"), false, 1, None).await?;
                if !below.objects.is_empty() {
                    page.prefixes.push(format!("{of}/"));
                }
                if links {
                    let link = format!("{of}{LINK_SUFFIX}");
                    match client.head(&link).await {
                        Ok(object) => page.objects.push((link, object)),
                        Err(failure) if failure.is_absent() => {}
                        Err(failure) => return Err(failure),
                    }
                }
            }
            Ok::<_, Failure>(page)
        })?;
        let mut told = Told::default();
        self.take(&mut told, &dir_key, page);
        let found = told.entries.remove(name).map(|(kind, object)| Found { kind, object, local: false });
        if let (Some(found), Some(child)) = (&found, self.table.lock().child(dir.id, name)) {
            self.listed(&child, &found.object);
        }
        Ok(found)
    }

    /// Counts a lookup of what was found.
    pub(crate) fn hold(&self, dir: Node, name: &str, found: &Found) -> Result<Arc<Inode>, Errno> {
        let checked = (!found.local).then(std::time::Instant::now);
        let facts = || self.facts(found.object.clone(), checked);
        self.table.lock().hold(dir, name, found.kind, facts)
    }

    pub(crate) fn look_up(&self, dir: Node, name: &str) -> Result<Attributes, Errno> {
        let parent = self.directory(dir)?;
        if name.len() > eyot_backend::NAME_BYTES_MAX {
            return Err(Errno::Nametoolong);
        }
        let found = self.find(&parent, name)?.ok_or(Errno::Noent)?;
        let inode = self.hold(dir, name, &found)?;
        if let Err(errno) = self.learn(&inode) {
            self.forget_lookups(inode.id, 1);
            return Err(errno);
        }
        Ok(self.attributes_of(&inode))
    }

    /// Asks for the headers of entries of which they are not known, several at once.
    fn learn_all(&self, dir: &Inode, entries: &[(u64, Arc<str>, NodeKind, Object)]) -> Result<(), Errno> {
        let mut asked = Vec::new();
        for (_, name, kind, object) in entries.iter().filter(|(_, _, _, object)| object.metadata.is_none()) {
            let key = self.table.lock().key_of(dir.id, name, *kind)?;
            asked.push((key, (Arc::clone(name), *kind, object.clone())));
        }
        if asked.is_empty() {
            return Ok(());
        }
        let heads: Vec<(Arc<str>, Object)> = self.engine.ask("head", "", |client| {
            crate::rename::each(client, asked, |client, (key, (name, kind, mut object))| async move {
                match client.head(&key).await {
                    Ok(told) if kind == NodeKind::Directory || told.is(&object) => object.metadata = told.metadata,
                    Ok(told) => object = told,
                    // A directory without an object for itself; or it went meanwhile.
                    Err(failure) if failure.is_absent() => object.metadata = Some(Arc::default()),
                    Err(failure) => return Err(failure),
                }
                Ok((name, object))
            })
        })?;
        let mut listing = dir.listing.lock();
        for (name, object) in heads {
            listing.update(&name, &object, false);
        }
        Ok(())
    }

    pub(crate) fn list(&self, dir: Node, cookie: u64, entries_max: usize) -> Result<Vec<DirectoryEntry>, Errno> {
        let inode = self.directory(dir)?;
        if inode.facts.lock().unlinked || entries_max == 0 {
            return Ok(Vec::new());
        }
        // A listing that is under way goes on with what its beginning saw.
        if cookie == 0 || inode.listing.lock().len() == 0 {
            self.refresh(&inode, false)?;
        }
        let read = |inode: &Inode| -> Vec<(u64, Arc<str>, NodeKind, Object)> {
            let listing = inode.listing.lock();
            let after = listing.after(cookie).take(entries_max.min(ANSWER_ENTRIES_MAX));
            after.map(|(cookie, name, listed)| (cookie, Arc::clone(name), listed.kind, listed.object.clone())).collect()
        };
        let mut entries = read(&inode);
        if self.options.posix && self.options.exact_listings {
            self.learn_all(&inode, &entries)?;
            entries = read(&inode);
        }
        let mut answer = Vec::with_capacity(entries.len());
        let table = self.table.lock();
        for (cookie, name, kind, object) in entries {
            let held = table.child(dir, &name).filter(|child| child.kind == kind);
            let attributes = match held {
                Some(child) => self.attributes_of(&child),
                None => self.attributes(table.number(dir, &name), kind, &self.facts(object, None)),
            };
            answer.push(DirectoryEntry { name: name.to_string(), cookie, attributes });
        }
        Ok(answer)
    }
}
