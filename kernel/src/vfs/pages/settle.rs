//! Changes of attributes, in order with what is held back.

use super::file::{self, FilePages, Slot};
use crate::Errno;
use crate::backend::{AttributeChanges, Timestamp};
use crate::vfs::Inode;

impl FilePages {
    /// Changes attributes by `change`, after what is held back where the order matters.
    pub(in crate::vfs) fn change_attributes<T>(
        &self,
        inode: &Inode,
        changes: &AttributeChanges,
        change: impl FnOnce() -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        if (changes.modified.is_some() || changes.size.is_some_and(|size| size > 0)) && self.is_dirty() {
            // Who is told of an error is kept: the next fsync.
            let _ = self.flush();
        }
        let Some(size) = changes.size else {
            let changed = change();
            if let (Ok(_), Some(modified)) = (&changed, changes.modified) {
                self.set_time(modified);
            }
            return changed;
        };
        let alone = self.be_alone();
        let changed = change()?;
        self.cut(inode, size);
        drop(alone);
        Ok(changed)
    }

    /// What could not be flushed before its time was set keeps that time.
    fn set_time(&self, modified: Timestamp) {
        let mut state = self.lock();
        if state.is_dirty() {
            state.dirty.modified = modified;
            state.dirty.seen = true;
        }
    }

    /// The file is so long now. What lies behind is dropped, dirty or not.
    fn cut(&self, inode: &Inode, size: u64) {
        let (index, within) = file::place(size);
        let mut state = self.lock();
        inode.advance();
        state.own_data = true;
        state.cut_to(size);
        let first_gone = if within > 0 { index + 1 } else { index };
        let mut settled = 0;
        let mut clean = None;
        // A claim stays: who holds it writes past the cache.
        let gone: Vec<u64> =
            state.slots.range(first_gone..).filter(|(_, slot)| !slot.is_claimed()).map(|(i, _)| *i).collect();
        for index in gone {
            if let Some(Slot::Held(block)) = state.slots.remove(&index)
                && !block.is_clean()
            {
                settled += 1;
            }
        }
        if within > 0 {
            match state.slots.get_mut(&index) {
                Some(Slot::Held(block)) => {
                    block.length = block.length.min(within);
                    if let Some(dirty) = &mut block.dirty {
                        dirty.range.end = dirty.range.end.min(within);
                        if dirty.range.is_empty() {
                            block.dirty = None;
                            settled += 1;
                            clean = Some(block.chunk.clone());
                        }
                    }
                }
                Some(slot) if !slot.is_claimed() => drop(state.slots.remove(&index)),
                _ => {}
            }
        }
        state.dirty.blocks -= settled;
        let mut ended = (settled > 0 && !state.is_dirty()).then(|| std::mem::take(&mut state.dirty));
        self.distrust();
        drop(state);
        let Ok(mount) = Self::mount(inode) else { return };
        if let Some(chunk) = clean {
            mount.cache.offer(&chunk);
        }
        if let Some(number) = ended.as_mut().and_then(|ended| ended.listed.take()) {
            drop(mount.cache.dirty.remove(number));
        }
    }
}
