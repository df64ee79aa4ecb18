//! Reading and writing: vectors of pieces of memory, copied straight from and to the kernel.

use super::super::call::{Call, Memory, Piece};
use crate::Errno;
use crate::syscall::descriptor;
use crate::wait::{SysError, SysResult};

/// The most pieces of one call (`IOV_MAX` on Linux).
const PIECES_MAX: u32 = 1024;

/// The most one call moves: a copy of this size ends before anybody notices. More is a short read or write, as POSIX allows.
const TRANSFER_BYTES_MAX: usize = 64 << 20;

/// Several small pieces up to this size are written as one, so that lines to a pipe come whole (`PIPE_BUF` on Linux).
const GATHER_BYTES_MAX: usize = 4096;

const PIECE_BYTES: u32 = 8;

pub(super) fn piece(memory: &Memory<'_>, iovs: u32, index: u32) -> Result<Piece, Errno> {
    let at = index.checked_mul(PIECE_BYTES).and_then(|offset| iovs.checked_add(offset)).ok_or(Errno::Fault)?;
    let end = at.checked_add(4).ok_or(Errno::Fault)?;
    Ok(Piece { pointer: memory.u32(at)?, length: memory.u32(end)? })
}

/// Checks all pieces; answers how much they are in all.
pub(super) fn check_pieces(memory: &Memory<'_>, iovs: u32, count: u32) -> Result<usize, Errno> {
    if count > PIECES_MAX {
        return Err(Errno::Inval);
    }
    let mut total = 0_u32;
    for index in 0..count {
        let piece = piece(memory, iovs, index)?;
        memory.check(piece.pointer, piece.length)?;
        total = total.checked_add(piece.length).ok_or(Errno::Inval)?;
    }
    Ok(total as usize)
}

/// Moves piece by piece with `transfer(memory, piece, bytes moved before)` until one is not used up. What was moved before an error or a wait counts.
fn each_piece(
    memory: &mut Memory<'_>,
    iovs: u32,
    count: u32,
    mut transfer: impl FnMut(&mut Memory<'_>, Piece, u64) -> SysResult<usize>,
) -> SysResult<u32> {
    let mut done = 0_usize;
    for index in 0..count {
        // Read anew: a piece may lie in a buffer that was just read into.
        let mut piece = piece(memory, iovs, index)?;
        let room = TRANSFER_BYTES_MAX - done;
        let cut = piece.length as usize > room;
        if cut {
            piece.length = room as u32;
        }
        if piece.length == 0 {
            continue;
        }
        match transfer(memory, piece, done as u64) {
            Ok(moved) => {
                done += moved.min(piece.length as usize);
                if moved < piece.length as usize || cut {
                    break;
                }
            }
            Err(_) if done > 0 => break,
            Err(error) => return Err(error),
        }
    }
    u32::try_from(done).map_err(|_| Errno::Overflow.into())
}

/// Does nothing to nobody but the check of the descriptor, for vectors without bytes.
fn nothing_to_move(result: SysResult<usize>) -> SysResult<u32> {
    match result {
        Ok(_) | Err(SysError::Wait(_)) => Ok(0),
        Err(error) => Err(error),
    }
}

pub(super) fn read(call: &mut Call<'_>, fd: u32, iovs: u32, count: u32, out: u32) -> SysResult<()> {
    let Call { memory, task } = call;
    memory.check(out, 4)?;
    let total = check_pieces(memory, iovs, count)?;
    let done = match total {
        0 => nothing_to_move(descriptor::read(task, fd, &mut []))?,
        _ => each_piece(memory, iovs, count, |memory, piece, _| {
            descriptor::read(task, fd, memory.slice_mut(piece.pointer, piece.length)?)
        })?,
    };
    Ok(memory.write_u32(out, done)?)
}

pub(super) fn pread(call: &mut Call<'_>, fd: u32, iovs: u32, count: u32, offset: u64, out: u32) -> SysResult<()> {
    let Call { memory, task } = call;
    memory.check(out, 4)?;
    let total = check_pieces(memory, iovs, count)?;
    let done = match total {
        0 => nothing_to_move(descriptor::pread(task, fd, &mut [], offset))?,
        _ => each_piece(memory, iovs, count, |memory, piece, before| {
            let offset = offset.checked_add(before).ok_or(Errno::Inval)?;
            descriptor::pread(task, fd, memory.slice_mut(piece.pointer, piece.length)?, offset)
        })?,
    };
    Ok(memory.write_u32(out, done)?)
}

pub(super) fn write(call: &mut Call<'_>, fd: u32, iovs: u32, count: u32, out: u32) -> SysResult<()> {
    let Call { memory, task } = call;
    memory.check(out, 4)?;
    let total = check_pieces(memory, iovs, count)?;
    let done = match total {
        0 => nothing_to_move(descriptor::write(task, fd, &[]))?,
        _ if count > 1 && total <= GATHER_BYTES_MAX => {
            let mut buffer = [0; GATHER_BYTES_MAX];
            let gathered = gather(memory, iovs, count, &mut buffer)?;
            descriptor::write(task, fd, gathered)? as u32
        }
        _ => each_piece(memory, iovs, count, |memory, piece, _| {
            descriptor::write(task, fd, memory.slice(piece.pointer, piece.length)?)
        })?,
    };
    Ok(memory.write_u32(out, done)?)
}

pub(super) fn pwrite(call: &mut Call<'_>, fd: u32, iovs: u32, count: u32, offset: u64, out: u32) -> SysResult<()> {
    let Call { memory, task } = call;
    memory.check(out, 4)?;
    let total = check_pieces(memory, iovs, count)?;
    let done = match total {
        0 => nothing_to_move(descriptor::pwrite(task, fd, &[], offset))?,
        _ => each_piece(memory, iovs, count, |memory, piece, before| {
            let offset = offset.checked_add(before).ok_or(Errno::Inval)?;
            descriptor::pwrite(task, fd, memory.slice(piece.pointer, piece.length)?, offset)
        })?,
    };
    Ok(memory.write_u32(out, done)?)
}

fn gather<'b>(
    memory: &Memory<'_>,
    iovs: u32,
    count: u32,
    buffer: &'b mut [u8; GATHER_BYTES_MAX],
) -> Result<&'b [u8], Errno> {
    let mut end = 0;
    for index in 0..count {
        let piece = piece(memory, iovs, index)?;
        let bytes = memory.slice(piece.pointer, piece.length)?;
        let room = buffer.get_mut(end..end + bytes.len()).ok_or(Errno::Fault)?;
        room.copy_from_slice(bytes);
        end += bytes.len();
    }
    Ok(&buffer[..end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vector(pieces: &[(u32, u32)]) -> Vec<u8> {
        let mut bytes = vec![0; 64];
        for (index, (pointer, length)) in pieces.iter().enumerate() {
            bytes[index * 8..index * 8 + 4].copy_from_slice(&pointer.to_le_bytes());
            bytes[index * 8 + 4..index * 8 + 8].copy_from_slice(&length.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn hostile_vectors_are_refused() {
        let check = |pieces: &[(u32, u32)], iovs, count| check_pieces(&Memory::new(&mut vector(pieces)), iovs, count);
        assert_eq!(check(&[(0, 64), (0, 64)], 0, 2), Ok(128), "overlaps are fine");
        assert_eq!(check(&[(0, 65)], 0, 1), Err(Errno::Fault));
        assert_eq!(check(&[(u32::MAX, 2)], 0, 1), Err(Errno::Fault));
        assert_eq!(check(&[], 60, 1), Err(Errno::Fault));
        assert_eq!(check(&[], u32::MAX - 2, 1), Err(Errno::Fault));
        assert_eq!(check(&[], 0, PIECES_MAX + 1), Err(Errno::Inval));
        assert_eq!(check(&[], 0, u32::MAX), Err(Errno::Inval));
        assert_eq!(check(&[], 9999, 0), Ok(0), "nothing is looked at");
    }

    #[test]
    fn a_short_piece_ends_the_call_and_an_error_after_progress_is_not_told() {
        let mut bytes = vector(&[(0, 4), (0, 0), (0, 4), (0, 4)]);
        let mut memory = Memory::new(&mut bytes);
        let mut answers = vec![Ok(4), Ok(3)].into_iter();
        let moved = each_piece(&mut memory, 0, 4, |_, _, _| answers.next().unwrap());
        assert_eq!(moved.unwrap(), 7);
        let mut answers = vec![Ok(4), Err(Errno::Io.into())].into_iter();
        assert_eq!(each_piece(&mut memory, 0, 4, |_, _, _| answers.next().unwrap()).unwrap(), 4);
        assert!(each_piece(&mut memory, 0, 4, |_, _, _| Err(Errno::Io.into())).is_err());
    }

    #[test]
    fn pieces_are_gathered_in_order() {
        let mut bytes = vector(&[(62, 2), (60, 1), (61, 0)]);
        bytes[60] = b'c';
        bytes[62..].copy_from_slice(b"ab");
        let mut buffer = [0; GATHER_BYTES_MAX];
        assert_eq!(gather(&Memory::new(&mut bytes), 0, 3, &mut buffer), Ok(&b"abc"[..]));
    }
}
