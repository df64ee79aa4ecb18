//! Opening, reading, writing and bringing files to the server.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use eyot_backend::{CHUNK_BYTES_MAX, Errno, Handle, Node, NodeKind, OpenFlags};
use http::HeaderMap;
use parking_lot::Mutex;

use crate::content::{Body, Content, Place};
use crate::engine::log;
use crate::nodes::Inode;
use crate::open::Open;
use crate::requests::Object;
use crate::s3::S3;

impl S3 {
    pub(crate) fn open_file(&self, node: Node, how: OpenFlags) -> Result<Handle, Errno> {
        let inode = self.inode(node)?;
        match inode.kind {
            NodeKind::Directory => return Err(Errno::Isdir),
            NodeKind::File => {}
            _ => return Err(Errno::Loop),
        }
        if how.contains(OpenFlags::WRITE) {
            self.may_write()?;
        }
        self.learn(&inode).map_err(|errno| if errno == Errno::Noent { Errno::Stale } else { errno })?;
        let version = {
            let facts = inode.facts.lock();
            if facts.unlinked && facts.size.is_none() && facts.object.size > 0 {
                // Its bytes went with its name.
                return Err(Errno::Stale);
            }
            facts.version
        };
        self.table.lock().open(node)?;
        let open = Open { inode, how, version, ahead: Mutex::default(), wrote: AtomicBool::new(false) };
        Ok(self.handles.lock().add(open))
    }

    pub(crate) fn close_file(&self, node: Node, handle: Handle) {
        let Some(open) = self.handles.lock().remove(node, handle) else { return };
        if open.how.contains(OpenFlags::WRITE) {
            // There is nobody to tell; what failed is in the log, and tried again as long as it is here.
            let _ = self.flush(&open.inode);
        }
        self.table.lock().close(node);
    }

    pub(crate) fn read_file(&self, node: Node, handle: Handle, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        let open = self.handles.lock().get(node, handle)?;
        if !open.how.contains(OpenFlags::READ) {
            return Err(Errno::Badf);
        }
        let inode = &open.inode;
        let is_here = inode.facts.lock().size.is_some();
        if is_here && let Some(count) = self.read_here(inode, offset, buffer)? {
            return Ok(count);
        }
        let (object, version) = {
            let facts = inode.facts.lock();
            (facts.object.clone(), facts.version)
        };
        if version != open.version {
            return Err(Errno::Stale);
        }
        let Some(buffer) = within(object.size, offset, buffer) else { return Ok(0) };
        let key = self.table.lock().key(node).map_err(|_| Errno::Stale)?;
        let source = self.engine.cache.source(&key, &object);
        let on = (&self.engine.handle, &self.engine.client);
        match self.engine.cache.read(on, &source, offset, buffer, Some(&open.ahead)) {
            Ok(()) => Ok(buffer.len()),
            Err(failure) if failure.is_changed() || failure.is_absent() => {
                tracing::info!(key, "s3: an open file was replaced by somebody else");
                let mut facts = inode.facts.lock();
                if facts.object.is(&object) && facts.size.is_none() {
                    (facts.version, facts.checked) = (facts.version + 1, None);
                }
                Err(Errno::Stale)
            }
            Err(failure) => Err(log("read", &key, &failure)),
        }
    }

    /// Reads bytes that are not on the server; `None` when they are there by now.
    fn read_here(&self, inode: &Arc<Inode>, offset: u64, buffer: &mut [u8]) -> Result<Option<usize>, Errno> {
        let mut body = inode.body.lock();
        if body.is_streaming() {
            // What was sent is not here any more.
            self.flush_body(inode, &mut body)?;
        }
        let Content::Staged(stage) = &body.content else { return Ok(None) };
        let Some(buffer) = within(stage.size, offset, buffer) else { return Ok(Some(0)) };
        stage.read(offset, buffer).map_err(|failure| log("read", "", &failure))?;
        Ok(Some(buffer.len()))
    }

    pub(crate) fn write_file(&self, node: Node, handle: Handle, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
        let open = self.handles.lock().get(node, handle)?;
        if !open.how.contains(OpenFlags::WRITE) {
            return Err(Errno::Badf);
        }
        let bytes = bytes.get(..CHUNK_BYTES_MAX).unwrap_or(bytes);
        if bytes.is_empty() {
            return Ok(0);
        }
        let inode = &open.inode;
        let mut body = inode.body.lock();
        if inode.facts.lock().version != open.version {
            return Err(Errno::Stale);
        }
        if body.is_streaming() && !body.goes_on_at(offset) {
            self.flush_body(inode, &mut body)?;
        }
        open.wrote.store(true, Relaxed);
        self.change_body(inode, &mut body, |body, place, headers| body.write(place, headers, offset, bytes))?;
        Ok(bytes.len())
    }

    pub(crate) fn resize(&self, inode: &Arc<Inode>, size: u64) -> Result<(), Errno> {
        let mut body = inode.body.lock();
        if body.is_streaming() && body.size() != Some(size) {
            self.flush_body(inode, &mut body)?;
        }
        let now = body.size().unwrap_or_else(|| inode.facts.lock().object.size);
        if now != size {
            self.change_body(inode, &mut body, |body, place, _| body.set_size(place, size))?;
        } else {
            let mut facts = inode.facts.lock();
            let now = (self.clock)();
            (facts.modified, facts.changed) = (Some(now), Some(now));
        }
        // Without an open file nobody would bring it to the server.
        if !self.table.lock().is_open(inode.id) {
            self.flush_body(inode, &mut body)?;
        }
        Ok(())
    }

    /// Changes a file's bytes here.
    fn change_body(
        &self,
        inode: &Arc<Inode>,
        body: &mut Body,
        change: impl FnOnce(&mut Body, &Place<'_>, &HeaderMap) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        let (object, headers) = self.object_and_headers(inode);
        // Without a name there is no key, and nothing that needs one.
        let key = self
            .table
            .lock()
            .key(inode.id)
            .or_else(|errno| if body.orphan { Ok(String::new()) } else { Err(errno) })?;
        let changed = change(body, &Place { engine: &self.engine, key: &key, object: &object }, &headers);
        let now = (self.clock)();
        let mut facts = inode.facts.lock();
        if changed.is_ok() {
            (facts.modified, facts.changed) = (Some(now), Some(now));
        }
        facts.size = body.size();
        if body.lost.is_some() {
            // What is there is to be asked for.
            facts.checked = None;
        }
        changed
    }

    fn object_and_headers(&self, inode: &Inode) -> (Object, HeaderMap) {
        let facts = inode.facts.lock();
        let mut metadata = facts.object.metadata.as_deref().cloned().unwrap_or_default();
        metadata.modified = facts.modified.or(metadata.modified);
        (facts.object.clone(), metadata.to_headers(inode.kind, self.options.posix))
    }

    pub(crate) fn fsync_file(&self, node: Node, handle: Handle) -> Result<(), Errno> {
        let inode = self.inode(node)?;
        if inode.kind == NodeKind::File {
            drop(self.handles.lock().get(node, handle)?);
        }
        self.flush(&inode)
    }

    /// Brings a file to the server.
    pub(crate) fn flush(&self, inode: &Arc<Inode>) -> Result<(), Errno> {
        let flushed = self.flush_body(inode, &mut inode.body.lock());
        self.table.lock().settle(inode.id);
        flushed
    }

    pub(crate) fn flush_body(&self, inode: &Arc<Inode>, body: &mut Body) -> Result<(), Errno> {
        if body.orphan || !body.dirty && body.lost.is_none() {
            return Ok(());
        }
        let key = self.table.lock().key(inode.id)?;
        let (object, headers) = self.object_and_headers(inode);
        let uploaded = body.upload(&Place { engine: &self.engine, key: &key, object: &object }, &headers);
        let uploaded = match uploaded {
            Ok(Some(uploaded)) => uploaded,
            Ok(None) => return Ok(()),
            Err(errno) => {
                let mut facts = inode.facts.lock();
                facts.size = body.size();
                facts.checked = None;
                return Err(errno);
            }
        };
        let mut now_there = Object { size: uploaded.size, etag: uploaded.etag, ..Object::default() };
        let of = key.clone();
        // The server's time of it is that of the file, and not known here.
        if uploaded.streamed
            && let Ok(told) = self.engine.wait(|client| async move { client.head(&of).await })
        {
            now_there.modified = told.modified;
            now_there.etag = now_there.etag.or(told.etag);
        }
        let mut facts = inode.facts.lock();
        let mut metadata = facts.object.metadata.as_deref().cloned().unwrap_or_default();
        metadata.modified = if uploaded.streamed { None } else { facts.modified.or(metadata.modified) };
        now_there.metadata = Some(Arc::new(metadata));
        if now_there.modified.seconds == 0 {
            now_there.modified = (self.clock)();
        }
        if uploaded.streamed {
            facts.modified = Some(now_there.modified);
        }
        (facts.object, facts.size, facts.checked) = (now_there, None, Some(Instant::now()));
        let object = facts.object.clone();
        drop(facts);
        self.tell_listing(inode, &object, false);
        Ok(())
    }

    /// Brings everything to the server.
    pub(crate) fn flush_all(&self) -> Result<(), Errno> {
        let files = self.table.lock().files();
        let mut ended = Ok(());
        for file in files {
            let is_here = file.facts.lock().size.is_some();
            if is_here && let Err(errno) = self.flush(&file) {
                ended = Err(errno);
            }
        }
        ended
    }

    /// Lookups of an inode are over. A file that is only here is brought to the server first.
    pub(crate) fn forget_lookups(&self, node: Node, count: u64) {
        let last = {
            let table = self.table.lock();
            if table.is_last(node, count) { table.get(node).ok() } else { None }
        };
        if let Some(inode) = last {
            let facts = inode.facts.lock();
            let is_here = facts.size.is_some() && !facts.unlinked;
            drop(facts);
            if is_here {
                let _ = self.flush(&inode);
            }
        }
        self.table.lock().forget(node, count);
    }
}

/// The part of the buffer that is within a file; `None` at its end.
fn within(size: u64, offset: u64, buffer: &mut [u8]) -> Option<&mut [u8]> {
    let left = size.checked_sub(offset).filter(|&left| left > 0)?;
    let length = buffer.len().min(CHUNK_BYTES_MAX).min(usize::try_from(left).unwrap_or(usize::MAX));
    buffer.get_mut(..length)
}
