//! Listing directories.

use super::super::call::Call;
use super::rights::file_type;
use crate::syscall::descriptor;
use crate::syscall::types::DirectoryEntry;
use crate::wait::SysResult;

/// `dirent` without the name that follows it.
const HEAD_BYTES: usize = 24;

/// The most entries asked of the kernel at once.
const BATCH_ENTRIES_MAX: usize = 512;

/// Fills the buffer with entries; the last one is cut off where the buffer ends, which tells the program that there is more.
pub(super) fn readdir(call: &mut Call<'_>, fd: u32, buffer: u32, length: u32, cookie: u64, out: u32) -> SysResult<()> {
    call.memory.check(out, 4)?;
    let room = call.memory.slice_mut(buffer, length)?;
    let mut used = 0;
    let mut cookie = cookie;
    while used < room.len() {
        // No entry is shorter than its head and one byte of name.
        let fit = (room.len() - used) / (HEAD_BYTES + 1) + 1;
        let entries = descriptor::readdir(call.task, fd, cookie, fit.min(BATCH_ENTRIES_MAX))?;
        let Some(last) = entries.last() else { break };
        cookie = last.cookie;
        for entry in &entries {
            used += encode(entry, &mut room[used..]);
        }
    }
    if length == 0 {
        // The descriptor is checked all the same.
        descriptor::readdir(call.task, fd, cookie, 1)?;
    }
    Ok(call.memory.write_u32(out, used as u32)?)
}

/// Writes as much of an entry as fits; answers how much that was.
fn encode(entry: &DirectoryEntry, room: &mut [u8]) -> usize {
    let name = entry.name.as_bytes();
    let mut head = [0; HEAD_BYTES];
    head[0..8].copy_from_slice(&entry.cookie.to_le_bytes());
    head[8..16].copy_from_slice(&entry.inode.to_le_bytes());
    head[16..20].copy_from_slice(&(name.len() as u32).to_le_bytes());
    head[20] = file_type(entry.kind);
    let mut used = 0;
    for part in [&head[..], name] {
        let fits = part.len().min(room.len() - used);
        room[used..used + fits].copy_from_slice(&part[..fits]);
        used += fits;
    }
    used
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::NodeKind;

    #[test]
    fn an_entry_is_cut_where_the_buffer_ends() {
        let entry = DirectoryEntry { name: "abc".into(), cookie: 5, inode: 7, kind: NodeKind::Directory };
        let mut whole = [0xff; 30];
        assert_eq!(encode(&entry, &mut whole), 27);
        assert_eq!(whole[..8], 5_u64.to_le_bytes());
        assert_eq!(whole[8..16], 7_u64.to_le_bytes());
        assert_eq!(whole[16..24], [3, 0, 0, 0, 3, 0, 0, 0]);
        assert_eq!(&whole[24..28], b"abc\xff");
        for size in 0..27 {
            let mut cut = vec![0xff; size];
            assert_eq!(encode(&entry, &mut cut), size);
            assert_eq!(cut, whole[..size]);
        }
    }
}
