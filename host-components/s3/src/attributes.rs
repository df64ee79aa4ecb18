//! Attributes: from what is known, from the server, and changed.

use std::sync::Arc;
use std::time::Instant;

use eyot_backend::{AttributeChanges, Attributes, Errno, Node, NodeKind, Timestamp};

use crate::metadata::Metadata;
use crate::nodes::{Facts, Inode, ROOT};
use crate::requests::Object;
use crate::s3::S3;

impl S3 {
    /// What is known of an inode, as attributes.
    pub(crate) fn attributes_of(&self, inode: &Inode) -> Attributes {
        self.attributes(inode.id, inode.kind, &inode.facts.lock())
    }

    pub(crate) fn attributes(&self, node: Node, kind: NodeKind, facts: &Facts) -> Attributes {
        let options = &self.options;
        let nothing = Metadata::default();
        let known = facts.object.metadata.as_deref().filter(|_| options.posix);
        let metadata = known.unwrap_or(&nothing);
        let mode = match kind {
            NodeKind::Directory => metadata.mode.unwrap_or(options.dir_mode),
            NodeKind::Symlink => 0o777,
            _ => metadata.mode.unwrap_or(options.file_mode),
        };
        let size = if kind == NodeKind::Directory { 0 } else { facts.size.unwrap_or(facts.object.size) };
        let taken = if facts.object.modified.seconds == 0 { facts.created } else { facts.object.modified };
        let modified = facts.modified.or(metadata.modified).unwrap_or(taken);
        // Without the headers the mode is a guess, which is not to be believed.
        let is_sure = !options.posix || known.is_some() || node == ROOT;
        let lifetime = if is_sure { options.attributes_lifetime.as_nanos() } else { 0 };
        Attributes {
            node,
            kind,
            mode: mode & 0o7777,
            links: u32::from(!facts.unlinked),
            uid: metadata.uid.unwrap_or(options.uid),
            gid: metadata.gid.unwrap_or(options.gid),
            device: 0,
            size,
            blocks: size.div_ceil(512),
            accessed: facts.accessed.or(metadata.accessed).unwrap_or(modified),
            modified,
            changed: facts.changed.unwrap_or(taken),
            created: facts.created,
            lifetime_ns: u64::try_from(lifetime).unwrap_or(u64::MAX),
        }
    }

    /// What is known of something that is found on the server.
    pub(crate) fn facts(&self, object: Object, checked: Option<Instant>) -> Facts {
        let created = if object.modified.seconds == 0 { (self.clock)() } else { object.modified };
        Facts { object, checked, created, ..Facts::default() }
    }

    /// Asks the server about an inode, unless what is known is still believed. Errors: `ENOENT` when it is gone.
    pub(crate) fn learn(&self, inode: &Inode) -> Result<(), Errno> {
        let known = {
            let facts = inode.facts.lock();
            let has_headers = facts.object.metadata.is_some() || !self.options.posix;
            // Bytes that are only here are newer than the server's, and the root is nowhere.
            facts.unlinked || facts.size.is_some() || has_headers && self.is_believed(facts.checked)
        };
        if known || inode.id == ROOT || inode.is_directory() && !self.options.posix {
            return Ok(());
        }
        let key = self.table.lock().key(inode.id)?;
        let of = key.clone();
        match self.engine.wait(|client| async move { client.head(&of).await }) {
            Ok(object) => self.learned(inode, object),
            // There is no object for it, only some below it.
            Err(failure) if failure.is_absent() && inode.is_directory() => {
                inode.listing.lock().marker = Some(false);
                self.learned(inode, Object { metadata: Some(Arc::default()), ..Object::default() });
            }
            Err(failure) => return Err(crate::engine::log("head", &key, &failure)),
        }
        Ok(())
    }

    fn learned(&self, inode: &Inode, object: Object) {
        let mut facts = inode.facts.lock();
        if facts.size.is_some() || facts.unlinked {
            return;
        }
        let mut object = object;
        if facts.object.is(&object) {
            // A listing tells the time more precisely.
            object.modified = facts.object.modified.max(object.modified);
        } else if facts.checked.is_some() && !inode.is_directory() {
            facts.version += 1;
            (facts.modified, facts.accessed) = (None, None);
            facts.changed = Some((self.clock)());
        }
        (facts.object, facts.checked) = (object, Some(Instant::now()));
        let object = facts.object.clone();
        drop(facts);
        self.tell_listing(inode, &object, false);
    }

    /// A listing that was told of an inode's object.
    pub(crate) fn listed(&self, inode: &Inode, object: &Object) {
        let mut facts = inode.facts.lock();
        if facts.size.is_some() || facts.unlinked || inode.is_directory() {
            return;
        }
        if facts.object.is(object) {
            facts.checked = Some(Instant::now());
            return;
        }
        facts.version += 1;
        (facts.object, facts.modified, facts.accessed) = (object.clone(), None, None);
        facts.changed = Some((self.clock)());
        facts.checked = Some(Instant::now());
    }

    /// The directory's entry learns what its inode knows.
    pub(crate) fn tell_listing(&self, inode: &Inode, object: &Object, local: bool) {
        let place = self.table.lock().place(inode.id);
        if let Some((dir, name)) = place {
            dir.listing.lock().update(&name, object, local);
        }
    }

    pub(crate) fn change_attributes(&self, node: Node, changes: &AttributeChanges) -> Result<Attributes, Errno> {
        self.may_write()?;
        let inode = self.inode(node)?;
        if changes.size.is_some() && inode.kind != NodeKind::File {
            return Err(if inode.is_directory() { Errno::Isdir } else { Errno::Inval });
        }
        self.learn(&inode)?;
        if let Some(size) = changes.size {
            self.resize(&inode, size)?;
        }
        let others = AttributeChanges { size: None, ..*changes };
        if others != AttributeChanges::default() {
            self.change_metadata(&inode, &others)?;
        }
        Ok(self.attributes_of(&inode))
    }

    fn change_metadata(&self, inode: &Arc<Inode>, changes: &AttributeChanges) -> Result<(), Errno> {
        let valid = |time: Option<Timestamp>| time.is_none_or(|time| time.nanoseconds < 1_000_000_000);
        if !valid(changes.accessed) || !valid(changes.modified) {
            return Err(Errno::Inval);
        }
        let mut body = inode.body.lock();
        if body.is_streaming() {
            // It began with the metadata that it has.
            self.flush_body(inode, &mut body)?;
        }
        let (metadata, object, is_here) = {
            let mut facts = inode.facts.lock();
            let mut metadata = facts.object.metadata.as_deref().cloned().unwrap_or_default();
            metadata.mode = changes.mode.map(|mode| mode & 0o7777).or(metadata.mode);
            metadata.uid = changes.uid.or(metadata.uid);
            metadata.gid = changes.gid.or(metadata.gid);
            metadata.modified = changes.modified.or(facts.modified).or(metadata.modified);
            metadata.accessed = changes.accessed.or(metadata.accessed);
            let is_here = body.dirty || facts.unlinked || inode.id == ROOT || !self.options.posix;
            if is_here {
                self.keep_metadata(&mut facts, metadata.clone(), changes);
            }
            (metadata, facts.object.clone(), is_here)
        };
        // A time of access alone is not worth a request.
        let only_access = AttributeChanges { accessed: None, ..*changes } == AttributeChanges::default();
        if !is_here && !only_access {
            let etag = self.rewrite_metadata(inode, &object, &metadata)?;
            let mut facts = inode.facts.lock();
            facts.object.etag = etag.or(facts.object.etag.take());
            facts.object.modified = (self.clock)();
        }
        let mut facts = inode.facts.lock();
        self.keep_metadata(&mut facts, metadata, changes);
        let object = facts.object.clone();
        drop(facts);
        self.tell_listing(inode, &object, body.dirty);
        Ok(())
    }

    fn keep_metadata(&self, facts: &mut Facts, metadata: Metadata, changes: &AttributeChanges) {
        facts.object.metadata = Some(Arc::new(metadata));
        facts.modified = changes.modified.or(facts.modified);
        facts.accessed = changes.accessed.or(facts.accessed);
        facts.changed = Some((self.clock)());
    }

    /// The object gets other headers: it is copied onto itself, or, if it is empty, made anew.
    fn rewrite_metadata(&self, inode: &Inode, object: &Object, metadata: &Metadata) -> Result<Option<Arc<str>>, Errno> {
        let key = self.table.lock().key(inode.id)?;
        let headers = metadata.to_headers(inode.kind, self.options.posix);
        if inode.is_directory() {
            let of = key.clone();
            let made = self
                .engine
                .ask("mkdir", &key, |client| async move { client.put(&of, Default::default(), &headers).await });
            inode.listing.lock().marker = Some(true);
            return made;
        }
        self.copy_object(&key, &key, object, Some(headers))
            .map_err(|failure| crate::engine::log("chmod", &key, &failure))
    }
}
