//! Bugs of contents.

use std::time::Duration;

use eyot_backend::{AttributeChanges, Attributes, CHUNK_BYTES_MAX, Errno, Handle, Node, NodeKind, OpenFlags};

use super::{Broken, Bug};

const EDGE: u64 = 65_536;
const PAGE: u64 = 4096;
const RACE: Duration = Duration::from_micros(200);

impl Broken {
    pub(super) fn handle(&self, handle: Handle) -> Handle {
        if !self.is(Bug::ReleaseClosesAll) {
            return handle;
        }
        self.notes().handles.get(&handle).copied().unwrap_or(handle)
    }

    pub(super) fn open_file(&self, node: Node, how: OpenFlags) -> Result<Handle, Errno> {
        if self.is_out_of_reach(node, how) {
            return Err(Errno::Noent);
        }
        let handle = self.inner.open(node, how)?;
        if !self.is(Bug::ReleaseClosesAll) {
            return Ok(handle);
        }
        let mut notes = self.notes();
        notes.handle_next += 1;
        let made_up = notes.handle_next;
        notes.handles.insert(made_up, handle);
        notes.released.retain(|&(released, _)| released != node);
        Ok(made_up)
    }

    pub(super) fn release_file(&self, node: Node, handle: Handle) {
        let real = self.handle(handle);
        if self.is(Bug::ReleaseClosesAll) {
            self.notes().released.insert((node, 0));
        }
        self.inner.release(node, real);
    }

    fn check_open(&self, node: Node) -> Result<(), Errno> {
        let released = self.is(Bug::ReleaseClosesAll) && self.notes().released.contains(&(node, 0));
        if released { Err(Errno::Badf) } else { Ok(()) }
    }

    pub(super) fn read_file(&self, node: Node, handle: Handle, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        self.check_open(node)?;
        let handle = self.handle(handle);
        let offset = if self.is(Bug::OffsetsOf32Bits) { offset & 0xffff_ffff } else { offset };
        let length = if self.is(Bug::ShortReads) { buffer.len().min(32_768) } else { buffer.len() };
        let count = match self.inner.read(node, handle, offset, buffer.get_mut(..length).unwrap_or_default()) {
            Err(_) if self.is(Bug::ReadErrorIsTheEnd) => 0,
            count => count?,
        };
        if self.is(Bug::ReadsBeyondEnd) && count > 0 {
            buffer[count..].fill(0);
            return Ok(buffer.len());
        }
        if self.is(Bug::MtimeMovesOnRead) {
            let modified = self.inner.getattr(node)?.changed;
            let modified = eyot_backend::Timestamp { seconds: modified.seconds + 1, ..modified };
            self.inner.setattr(node, &AttributeChanges { modified: Some(modified), ..Default::default() })?;
        }
        Ok(count)
    }

    pub(super) fn write_file(&self, node: Node, handle: Handle, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
        self.check_open(node)?;
        let handle = self.handle(handle);
        let before = self.inner.getattr(node)?;
        let end = offset.saturating_add(bytes.len() as u64);
        self.notes().sizes.remove(&node);
        let write = |bytes: &[u8], offset| self.inner.write(node, handle, offset, bytes);
        match self.bug {
            Some(Bug::LostByteAtChunkEdge) if !bytes.is_empty() && end.is_multiple_of(EDGE) => {
                self.write_without_last(node, handle, offset, bytes)
            }
            Some(Bug::MegabyteIsTooMuch) if bytes.len() == CHUNK_BYTES_MAX => {
                self.write_without_last(node, handle, offset, bytes)
            }
            Some(Bug::SurvivesOnlySmallFiles) if (offset..end).contains(&69_999) && offset < 69_999 => {
                let mut bytes = bytes.to_vec();
                bytes[(69_999 - offset) as usize] = 0;
                write(&bytes, offset)
            }
            Some(Bug::LostSecondChunk) if offset / EDGE != end / EDGE && !end.is_multiple_of(EDGE) => {
                let kept = (EDGE - offset % EDGE) as usize;
                write(bytes.get(..kept).unwrap_or(bytes), offset).map(|_| bytes.len())
            }
            Some(Bug::OffsetsOf32Bits) => write(bytes, offset & 0xffff_ffff),
            Some(Bug::EmptyWriteExtends) if bytes.is_empty() && offset > before.size => {
                self.inner.setattr(node, &AttributeChanges { size: Some(offset), ..Default::default() }).map(|_| 0)
            }
            Some(Bug::WriteTruncates) if !bytes.is_empty() && end < before.size => {
                let count = write(bytes, offset)?;
                self.inner.setattr(node, &AttributeChanges { size: Some(end), ..Default::default() })?;
                Ok(count)
            }
            Some(Bug::GapKeepsGarbage) if offset > before.size && offset - before.size < 1 << 20 => {
                self.put(node, before.size, &vec![0xdb; (offset - before.size) as usize]);
                write(bytes, offset)
            }
            Some(Bug::WriteErrorIsIgnored) => Ok(write(bytes, offset).unwrap_or(bytes.len())),
            Some(Bug::RaceInWrite) => self.write_page(node, handle, offset, bytes),
            Some(Bug::MtimeStaysOnWrite) => {
                let count = write(bytes, offset)?;
                self.hide_modified(before, self.inner.getattr(node)?);
                Ok(count)
            }
            _ => write(bytes, offset),
        }
    }

    fn write_without_last(&self, node: Node, handle: Handle, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
        let Some((last, _)) = bytes.split_last() else { return Ok(0) };
        let mut bytes = bytes.to_vec();
        if let Some(byte) = bytes.last_mut() {
            *byte = !*last;
        }
        self.inner.write(node, handle, offset, &bytes)
    }

    /// Reads the pages around a short write, puts the bytes in and writes the pages back.
    fn write_page(&self, node: Node, handle: Handle, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
        let start = offset / PAGE * PAGE;
        let end = offset.saturating_add(bytes.len() as u64);
        if bytes.is_empty() || bytes.len() as u64 > PAGE || end > 1 << 40 {
            return self.inner.write(node, handle, offset, bytes);
        }
        let mut page = vec![0; (end.div_ceil(PAGE) * PAGE - start) as usize];
        let have = self.inner.read(node, handle, start, &mut page)?;
        std::thread::sleep(RACE);
        let at = (offset - start) as usize;
        page[at..at + bytes.len()].copy_from_slice(bytes);
        page.truncate(have.max(at + bytes.len()));
        self.inner.write(node, handle, start, &page).map(|_| bytes.len())
    }

    pub(super) fn change(&self, node: Node, changes: &AttributeChanges) -> Result<Attributes, Errno> {
        let before = self.inner.getattr(node);
        if self.is(Bug::PanicsOnUnknownNode) && before.is_err() {
            panic!("the node {node} is not in the table");
        }
        let before = before?;
        let mut changes = *changes;
        if self.is(Bug::StickyLost) {
            changes.mode = changes.mode.map(|mode| mode & !0o1000);
        }
        if self.is(Bug::TimesInSeconds) {
            for time in [&mut changes.accessed, &mut changes.modified].into_iter().flatten() {
                time.nanoseconds = time.nanoseconds / 1_000_000_000 * 1_000_000_000;
            }
        }
        if let (Some(size), NodeKind::File) = (changes.size, before.kind) {
            self.before_size(node, before, size);
        }
        let after = match self.inner.setattr(node, &changes) {
            Err(Errno::Fbig) if self.is(Bug::TooLargeIsInval) => return Err(Errno::Inval),
            after => after?,
        };
        if changes.mode.is_some() && self.is(Bug::CtimeStaysOnChmod) {
            self.hide_changed(before, after);
        }
        if changes.mode.is_some() && self.is(Bug::MtimeMovesOnChmod) {
            let modified = Some(after.changed);
            return self.inner.setattr(node, &AttributeChanges { modified, ..Default::default() });
        }
        if changes.size.is_some_and(|size| size > before.size) {
            self.after_extension(node, before.size, after.size);
        }
        self.inner.getattr(node)
    }

    fn before_size(&self, node: Node, before: Attributes, size: u64) {
        if size < before.size && self.is(Bug::StaleSizeAfterTruncate) {
            self.notes().sizes.insert(node, before.size);
        }
        if size < before.size && self.is(Bug::CutBytesReappear) {
            let bytes = self.bytes_of(node, size);
            self.notes().cut.insert(node, (size, bytes));
        }
        if size > before.size && self.is(Bug::RaceInTruncate) && size < 1 << 20 {
            let garbage = vec![0xdb; (size - before.size) as usize];
            self.put(node, before.size, &garbage);
            std::thread::sleep(RACE);
            let _ = self.inner.setattr(node, &AttributeChanges { size: Some(before.size), ..Default::default() });
        }
    }

    fn after_extension(&self, node: Node, before: u64, after: u64) {
        if self.is(Bug::CutBytesReappear) {
            let cut = self.notes().cut.remove(&node);
            if let Some((at, bytes)) = cut.filter(|(at, _)| *at >= before) {
                let fits = usize::try_from(after - at).unwrap_or(usize::MAX).min(bytes.len());
                self.put(node, at, &bytes[..fits]);
            }
        }
        if self.is(Bug::HoleIsFilled) {
            let filled = usize::try_from(after - before).unwrap_or(usize::MAX).min(1 << 20);
            self.put(node, before, &vec![0; filled]);
        }
    }

    pub(super) fn set_xattr(&self, node: Node, name: &str, value: &[u8]) -> Result<(), Errno> {
        match self.bug {
            Some(Bug::XattrCutAt4096) => self.inner.setxattr(node, name, value.get(..4096).unwrap_or(value)),
            Some(Bug::XattrEmptyRemoves) if value.is_empty() => {
                let _ = self.inner.removexattr(node, name);
                Ok(())
            }
            _ => self.inner.setxattr(node, name, value),
        }
    }
}
