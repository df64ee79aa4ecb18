//! Sockets. WASI 0.1 makes none; a program has those that it inherits or accepts.

use super::super::call::{Call, Memory};
use super::io::{check_pieces, piece};
use crate::Errno;
use crate::syscall::socket;
use crate::syscall::types::{DescriptorFlags, ReceiveFlags, SendFlags, Shutdown};
use crate::wait::SysResult;

/// `fdflags` of `sock_accept`.
const NONBLOCK: u32 = 4;

/// `riflags`.
const RECV_PEEK: u32 = 1;
const RECV_WAITALL: u32 = 2;

/// `roflags`: the datagram was longer than the room for it.
const RECV_DATA_TRUNCATED: u16 = 1;

/// The most bytes that several pieces are put together to: one datagram, and more than that of a stream is a short transfer.
const GATHER_BYTES_MAX: usize = 64 << 10;

pub(super) fn accept(call: &mut Call<'_>, fd: u32, flags: u32, out: u32) -> SysResult<()> {
    call.memory.check(out, 4)?;
    if flags & !NONBLOCK != 0 {
        return Err(Errno::Inval.into());
    }
    let mut own = DescriptorFlags::empty();
    own.set(DescriptorFlags::NON_BLOCKING, flags & NONBLOCK != 0);
    let (fd, _) = socket::accept(call.task, fd, own)?;
    Ok(call.memory.write_u32(out, fd)?)
}

pub(super) fn recv(
    call: &mut Call<'_>,
    fd: u32,
    iovs: u32,
    count: u32,
    flags: u32,
    size: u32,
    out: u32,
) -> SysResult<()> {
    let Call { memory, task } = call;
    memory.check(size, 4)?;
    memory.check(out, 2)?;
    let total = check_pieces(memory, iovs, count)?;
    if flags & !(RECV_PEEK | RECV_WAITALL) != 0 {
        return Err(Errno::Inval.into());
    }
    let mut how = ReceiveFlags::empty();
    how.set(ReceiveFlags::PEEK, flags & RECV_PEEK != 0);
    how.set(ReceiveFlags::WAIT_ALL, flags & RECV_WAITALL != 0);
    let received = if count == 1 {
        let piece = piece(memory, iovs, 0)?;
        socket::recv(task, fd, memory.slice_mut(piece.pointer, piece.length)?, how)?
    } else {
        let mut buffer = vec![0; total.min(GATHER_BYTES_MAX)];
        let received = socket::recv(task, fd, &mut buffer, how)?;
        scatter(memory, iovs, count, buffer.get(..received.count).unwrap_or_default())?;
        received
    };
    let truncated = if received.length > received.count { RECV_DATA_TRUNCATED } else { 0 };
    memory.write(out, &truncated.to_le_bytes())?;
    Ok(memory.write_u32(size, u32::try_from(received.count).map_err(|_| Errno::Overflow)?)?)
}

/// Spreads what was received over the pieces.
fn scatter(memory: &mut Memory<'_>, iovs: u32, count: u32, mut bytes: &[u8]) -> Result<(), Errno> {
    for index in 0..count {
        let piece = piece(memory, iovs, index)?;
        let (now, later) = bytes.split_at(bytes.len().min(piece.length as usize));
        memory.write(piece.pointer, now)?;
        bytes = later;
    }
    Ok(())
}

pub(super) fn send(call: &mut Call<'_>, fd: u32, iovs: u32, count: u32, flags: u32, out: u32) -> SysResult<()> {
    let Call { memory, task } = call;
    memory.check(out, 4)?;
    let total = check_pieces(memory, iovs, count)?;
    if flags != 0 {
        return Err(Errno::Inval.into());
    }
    let sent = if count == 1 {
        let piece = piece(memory, iovs, 0)?;
        socket::send(task, fd, memory.slice(piece.pointer, piece.length)?, SendFlags::empty(), None)?
    } else {
        let mut bytes = Vec::with_capacity(total.min(GATHER_BYTES_MAX));
        for index in 0..count {
            let piece = piece(memory, iovs, index)?;
            let room = GATHER_BYTES_MAX - bytes.len();
            let slice = memory.slice(piece.pointer, piece.length)?;
            bytes.extend_from_slice(&slice[..slice.len().min(room)]);
        }
        socket::send(task, fd, &bytes, SendFlags::empty(), None)?
    };
    Ok(memory.write_u32(out, u32::try_from(sent).map_err(|_| Errno::Overflow)?)?)
}

pub(super) fn shutdown(call: &mut Call<'_>, fd: u32, how: u32) -> SysResult<()> {
    // First the descriptor: what is no socket is told so, whatever the direction.
    socket::describe(call.task, fd)?;
    let how = match how {
        1 => Shutdown::Receive,
        2 => Shutdown::Send,
        3 => Shutdown::Both,
        _ => return Err(Errno::Inval.into()),
    };
    socket::shutdown(call.task, fd, how)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::syscall::types::SocketKind;
    use crate::wait::SysError;
    use crate::wasm::p2::tests::stage;

    fn errno(result: SysResult<()>) -> Option<Errno> {
        match result {
            Ok(()) => None,
            Err(SysError::Errno(errno)) => Some(errno),
            Err(SysError::Wait(_)) => panic!("it waits"),
        }
    }

    /// Two pieces, of 3 bytes at 100 and 5 at 200.
    fn memory() -> Vec<u8> {
        let mut bytes = vec![0; 400];
        for (index, value) in [100_u32, 3, 200, 5].iter().enumerate() {
            bytes[index * 4..index * 4 + 4].copy_from_slice(&value.to_le_bytes());
        }
        bytes
    }

    #[test]
    fn pieces_are_gathered_and_scattered() {
        let stage = stage();
        let task = &stage.guest.task;
        let (one, two) = socket::socketpair(task, SocketKind::Datagram, DescriptorFlags::empty()).unwrap();
        let mut bytes = memory();
        bytes[100..103].copy_from_slice(b"abc");
        bytes[200..205].copy_from_slice(b"defgh");
        let mut call = Call { memory: Memory::new(&mut bytes), task };
        assert_eq!(errno(send(&mut call, one, 0, 2, 0, 300)), None);
        assert_eq!(call.memory.u32(300), Ok(8));
        assert_eq!(errno(send(&mut call, one, 0, 1, 1, 300)), Some(Errno::Inval), "there are no flags");
        let mut bytes = memory();
        let mut call = Call { memory: Memory::new(&mut bytes), task };
        assert_eq!(errno(recv(&mut call, two, 0, 2, RECV_PEEK, 300, 304)), None);
        assert_eq!((call.memory.slice(100, 3), call.memory.slice(200, 5)), (Ok(&b"abc"[..]), Ok(&b"defgh"[..])));
        assert_eq!((call.memory.u32(300), call.memory.u16(304)), (Ok(8), Ok(0)));
        assert_eq!(errno(recv(&mut call, two, 0, 1, 0, 300, 304)), None);
        assert_eq!((call.memory.u32(300), call.memory.u16(304)), (Ok(3), Ok(RECV_DATA_TRUNCATED)));
        assert!(matches!(recv(&mut call, two, 0, 1, 0, 300, 304), Err(SysError::Wait(_))));
        assert_eq!(errno(recv(&mut call, two, 0, 1, 4, 300, 304)), Some(Errno::Inval));
        assert_eq!(errno(recv(&mut call, two, 0, 1, 0, 398, 304)), Some(Errno::Fault));
        assert_eq!(errno(recv(&mut call, two, 396, 1, 0, 300, 304)), Some(Errno::Fault));
    }

    #[test]
    fn directions_are_closed_and_only_listeners_accept() {
        let stage = stage();
        let task = &stage.guest.task;
        let (one, _two) = socket::socketpair(task, SocketKind::Stream, DescriptorFlags::empty()).unwrap();
        let mut bytes = memory();
        let mut call = Call { memory: Memory::new(&mut bytes), task };
        assert_eq!(errno(accept(&mut call, one, 0, 300)), Some(Errno::Inval));
        assert_eq!(errno(accept(&mut call, one, 1, 300)), Some(Errno::Inval), "no such flag");
        assert_eq!(errno(shutdown(&mut call, one, 0)), Some(Errno::Inval));
        assert_eq!(errno(shutdown(&mut call, one, 1)), None);
        assert_eq!(errno(recv(&mut call, one, 0, 1, 0, 300, 304)), None);
        assert_eq!(call.memory.u32(300), Ok(0), "nothing more is received");
    }
}
