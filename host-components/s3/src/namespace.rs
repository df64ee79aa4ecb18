//! Making and taking away names.

use std::sync::Arc;

use bytes::Bytes;
use eyot_backend::{Attributes, Errno, Node, NodeKind, Ownership};

use crate::content::{Body, Content, Place};
use crate::key;
use crate::listing::Listing;
use crate::lookup::Found;
use crate::metadata::Metadata;
use crate::nodes::Inode;
use crate::requests::Object;
use crate::s3::S3;

/// The longest target of a symlink, as on Linux.
const TARGET_BYTES_MAX: usize = 4095;

impl S3 {
    /// Checks that a name can be made in a directory.
    fn new_name(&self, dir: Node, name: &str) -> Result<Arc<Inode>, Errno> {
        self.may_write()?;
        let parent = self.directory(dir)?;
        key::check_new(name, self.options.symlinks)?;
        if parent.facts.lock().unlinked {
            return Err(Errno::Noent);
        }
        if self.find(&parent, name)?.is_some() { Err(Errno::Exist) } else { Ok(parent) }
    }

    fn metadata(&self, owner: Ownership) -> Metadata {
        Metadata::new(owner, (self.clock)())
    }

    fn made(
        &self,
        parent: &Inode,
        name: &str,
        kind: NodeKind,
        object: Object,
        local: bool,
    ) -> Result<Arc<Inode>, Errno> {
        parent.listing.lock().put(name, kind, object.clone(), local);
        self.touch(parent);
        let now = (self.clock)();
        let inode = self.hold(parent.id, name, &Found { kind, object, local })?;
        let mut facts = inode.facts.lock();
        (facts.created, facts.changed) = (now, Some(now));
        drop(facts);
        Ok(inode)
    }

    /// A file. It is on the server when it is closed, with what was written to it by then.
    pub(crate) fn make_file(&self, dir: Node, name: &str, owner: Ownership) -> Result<Attributes, Errno> {
        let _claim = self.names.claim(&[(dir, name)]);
        let _shape = self.shape.read();
        let parent = self.new_name(dir, name)?;
        self.table.lock().key_of(dir, name, NodeKind::File)?;
        let object = Object { metadata: Some(Arc::new(self.metadata(owner))), ..Object::default() };
        let inode = self.made(&parent, name, NodeKind::File, object.clone(), true)?;
        *inode.body.lock() = Body::new(&self.engine);
        let mut facts = inode.facts.lock();
        (facts.object, facts.size, facts.modified) = (object, Some(0), Some(facts.created));
        drop(facts);
        Ok(self.attributes_of(&inode))
    }

    pub(crate) fn make_directory(&self, dir: Node, name: &str, owner: Ownership) -> Result<Attributes, Errno> {
        let _claim = self.names.claim(&[(dir, name)]);
        let _shape = self.shape.read();
        let parent = self.new_name(dir, name)?;
        let object = self.put_new(dir, name, NodeKind::Directory, Bytes::new(), owner)?;
        let inode = self.made(&parent, name, NodeKind::Directory, object, false)?;
        *inode.listing.lock() = Listing::empty();
        Ok(self.attributes_of(&inode))
    }

    pub(crate) fn make_symlink(
        &self,
        dir: Node,
        name: &str,
        target: &str,
        owner: Ownership,
    ) -> Result<Attributes, Errno> {
        if !self.options.symlinks {
            return Err(Errno::Notsup);
        }
        if target.is_empty() {
            return Err(Errno::Noent);
        }
        if target.len() > TARGET_BYTES_MAX {
            return Err(Errno::Nametoolong);
        }
        let _claim = self.names.claim(&[(dir, name)]);
        let _shape = self.shape.read();
        let parent = self.new_name(dir, name)?;
        let owner = Ownership { mode: 0o777, ..owner };
        let object = self.put_new(dir, name, NodeKind::Symlink, Bytes::copy_from_slice(target.as_bytes()), owner)?;
        let inode = self.made(&parent, name, NodeKind::Symlink, object, false)?;
        Ok(self.attributes_of(&inode))
    }

    fn put_new(&self, dir: Node, name: &str, kind: NodeKind, body: Bytes, owner: Ownership) -> Result<Object, Errno> {
        let key = self.table.lock().key_of(dir, name, kind)?;
        let (metadata, size, of) = (self.metadata(owner), body.len() as u64, key.clone());
        let headers = metadata.to_headers(kind, self.options.posix);
        let etag = self.engine.ask("create", &key, |client| async move { client.put(&of, body, &headers).await })?;
        Ok(Object { size, etag, modified: (self.clock)(), metadata: Some(Arc::new(metadata)) })
    }

    pub(crate) fn read_symlink(&self, node: Node) -> Result<String, Errno> {
        let inode = self.inode(node)?;
        if inode.kind != NodeKind::Symlink {
            return Err(Errno::Inval);
        }
        let mut body = inode.body.lock();
        // A symlink that was taken away has its target here.
        let bytes = if let Content::Staged(stage) = &body.content {
            stage.bytes(0, stage.size).map_err(|failure| failure.errno())?
        } else {
            let key = self.table.lock().key(node).map_err(|_| Errno::Stale)?;
            let of = key.clone();
            self.engine.ask("readlink", &key, |client| async move { client.get_small(&of, TARGET_BYTES_MAX).await })?
        };
        body.lost = None;
        String::from_utf8(bytes.into()).ok().filter(|target| !target.contains('\0')).ok_or(Errno::Io)
    }

    pub(crate) fn remove_file(&self, dir: Node, name: &str) -> Result<(), Errno> {
        self.may_write()?;
        let _claim = self.names.claim(&[(dir, name)]);
        let _shape = self.shape.read();
        let parent = self.directory(dir)?;
        let found = self.find(&parent, name)?.ok_or(Errno::Noent)?;
        if found.kind == NodeKind::Directory {
            return Err(Errno::Isdir);
        }
        self.before_removal(&parent)?;
        self.remove_found(&parent, name, &found)
    }

    /// Takes a file or symlink away, of which is known what it is.
    pub(crate) fn remove_found(&self, parent: &Arc<Inode>, name: &str, found: &Found) -> Result<(), Errno> {
        let held = self.table.lock().child(parent.id, name).filter(|child| child.kind == found.kind);
        let key = self.table.lock().key_of(parent.id, name, found.kind)?;
        let Some(inode) = held else {
            let of = key.clone();
            self.engine.ask("unlink", &key, |client| async move { client.delete(&of).await })?;
            self.gone(parent, name);
            return Ok(());
        };
        let mut body = inode.body.lock();
        self.keep_body(&inode, &mut body, &key)?;
        if !found.local {
            let of = key.clone();
            self.engine.ask("unlink", &key, |client| async move { client.delete(&of).await })?;
        }
        body.orphan = true;
        let mut facts = inode.facts.lock();
        (facts.size, facts.changed) = (body.size(), Some((self.clock)()));
        drop(facts);
        drop(body);
        self.gone(parent, name);
        Ok(())
    }

    /// Fetches what somebody may still want to read of a file that is to go.
    pub(crate) fn keep_body(&self, inode: &Arc<Inode>, body: &mut Body, key: &str) -> Result<(), Errno> {
        if body.is_streaming() {
            self.flush_body(inode, body)?;
        }
        let object = inode.facts.lock().object.clone();
        let is_open = self.table.lock().is_open(inode.id);
        let is_wanted = is_open || body.dirty || object.size <= self.options.keep_unlinked_bytes;
        if is_wanted {
            body.keep(&Place { engine: &self.engine, key, object: &object })?;
        }
        Ok(())
    }

    /// A name is gone from the server.
    pub(crate) fn gone(&self, parent: &Inode, name: &str) {
        parent.listing.lock().remove(name);
        self.table.lock().unlink(parent.id, name);
        self.touch(parent);
    }

    /// A directory that is only there because something is below it would go with the last of it.
    pub(crate) fn before_removal(&self, dir: &Inode) -> Result<(), Errno> {
        if dir.id == crate::nodes::ROOT || dir.listing.lock().marker == Some(true) {
            return Ok(());
        }
        self.learn(dir)?;
        if dir.listing.lock().marker == Some(true) {
            return Ok(());
        }
        let key = self.table.lock().key(dir.id)?;
        let metadata = dir.facts.lock().object.metadata.clone().unwrap_or_default();
        let (of, headers) = (key.clone(), metadata.to_headers(NodeKind::Directory, self.options.posix));
        self.engine.ask("mkdir", &key, |client| async move {
            match client.head(&of).await {
                Err(failure) if failure.is_absent() => client.put(&of, Bytes::new(), &headers).await.map(drop),
                ended => ended.map(drop),
            }
        })?;
        dir.listing.lock().marker = Some(true);
        Ok(())
    }

    pub(crate) fn remove_directory(&self, dir: Node, name: &str) -> Result<(), Errno> {
        self.may_write()?;
        let _claim = self.names.claim(&[(dir, name)]);
        let _shape = self.shape.write();
        let parent = self.directory(dir)?;
        let found = self.find(&parent, name)?.ok_or(Errno::Noent)?;
        if found.kind != NodeKind::Directory {
            return Err(Errno::Notdir);
        }
        self.check_empty(&parent, name)?;
        self.before_removal(&parent)?;
        let key = self.table.lock().key_of(dir, name, NodeKind::Directory)?;
        let of = key.clone();
        self.engine.ask("rmdir", &key, |client| async move { client.delete(&of).await })?;
        let inode = self.table.lock().child(dir, name);
        self.gone(&parent, name);
        if let Some(inode) = inode {
            *inode.listing.lock() = Listing::empty();
            inode.facts.lock().changed = Some((self.clock)());
        }
        Ok(())
    }

    /// Fails with `ENOTEMPTY` unless there is nothing in a directory, here or on the server.
    pub(crate) fn check_empty(&self, parent: &Inode, name: &str) -> Result<(), Errno> {
        let child = self.table.lock().child(parent.id, name);
        if let Some(child) = child
            && child.listing.lock().after(0).any(|(_, _, listed)| listed.local)
        {
            return Err(Errno::Notempty);
        }
        let key = self.table.lock().key_of(parent.id, name, NodeKind::Directory)?;
        let of = key.clone();
        let page =
            self.engine.ask("rmdir", &key, |client| async move { client.list_page(&of, false, 2, None).await })?;
        let has_more = page.objects.iter().any(|(object, _)| *object != key);
        if has_more { Err(Errno::Notempty) } else { Ok(()) }
    }
}
