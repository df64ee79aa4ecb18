//! `eyot:kernel/socket`: socket(7).

use std::net::IpAddr;
use std::sync::Arc;

use super::fs;
use super::types::{
    Address, DescriptorFlags, Domain, ReceiveFlags, Received, SendFlags, Shutdown, SocketDescription, SocketKind,
    SocketOption,
};
use crate::Errno;
use crate::net::{self, Peer, Place, Socket, Take};
use crate::process::{FdEntry, FdFlags, Object, OpenFile, StatusFlags, Task};
use crate::signal;
use crate::wait::{SysError, SysResult};

/// The longest name of a Unix-domain socket in bytes (`sun_path`, without the NUL at its end).
const NAME_BYTES_MAX: usize = 107;

/// socket(2). Errors: `EMFILE`, `ENFILE`, `EINVAL` (`APPEND`).
pub fn socket(task: &Task, domain: Domain, kind: SocketKind, flags: DescriptorFlags) -> SysResult<u32> {
    check_flags(flags)?;
    install(task, Socket::new(&task.kernel().net, domain, kind)?, flags)
}

/// socketpair(2). Errors: `EMFILE`, `ENFILE`, `ENOBUFS`.
pub fn socketpair(task: &Task, kind: SocketKind, flags: DescriptorFlags) -> SysResult<(u32, u32)> {
    check_flags(flags)?;
    let (first, second) = net::pair(&task.kernel().net, kind)?;
    let (first, second) = (entry(task, first, flags)?, entry(task, second, flags)?);
    let mut fds = task.fds();
    let one = fds.insert(first, 0)?;
    match fds.insert(second, 0) {
        Ok(two) => Ok((one, two)),
        Err(errno) => {
            let first = fds.remove(one);
            drop(fds);
            drop(first);
            Err(errno.into())
        }
    }
}

fn check_flags(flags: DescriptorFlags) -> Result<(), Errno> {
    if flags.contains(DescriptorFlags::APPEND) { Err(Errno::Inval) } else { Ok(()) }
}

fn entry(task: &Task, socket: Arc<Socket>, flags: DescriptorFlags) -> Result<FdEntry, Errno> {
    let mut status = StatusFlags::READ | StatusFlags::WRITE;
    status.set(StatusFlags::NON_BLOCKING, flags.contains(DescriptorFlags::NON_BLOCKING));
    let mut own = FdFlags::empty();
    own.set(FdFlags::CLOSE_ON_EXEC, flags.contains(DescriptorFlags::CLOSE_ON_EXEC));
    let file = OpenFile::new(task.accountant(), Object::Socket(socket), status, None)?;
    Ok(FdEntry { file, flags: own })
}

fn install(task: &Task, socket: Arc<Socket>, flags: DescriptorFlags) -> SysResult<u32> {
    Ok(task.insert_fd(entry(task, socket, flags)?, 0)?)
}

/// The socket behind a descriptor, and whether its calls wait. Errors: `EBADF`, `ENOTSOCK`.
fn socket_of(task: &Task, fd: u32) -> Result<(Arc<Socket>, bool), Errno> {
    let file = task.file(fd)?;
    let flags = file.flags();
    match file.object() {
        Object::Socket(socket) => Ok((socket.clone(), !flags.contains(StatusFlags::NON_BLOCKING))),
        Object::Path(_) => Err(Errno::Badf),
        _ => Err(Errno::Notsock),
    }
}

fn unless_waiting<T>(waits: bool, result: SysResult<T>) -> SysResult<T> {
    match result {
        Err(SysError::Wait(_)) if !waits => Err(Errno::Again.into()),
        other => other,
    }
}

/// A name of a Unix-domain socket. Errors: `EINVAL`.
fn check_name(name: &str) -> Result<&str, Errno> {
    let path = !name.starts_with('\0');
    let invalid = name.len() > NAME_BYTES_MAX || (path && name.contains('\0'));
    if invalid { Err(Errno::Inval) } else { Ok(name) }
}

/// bind(2). Errors: `EINVAL`, `EADDRINUSE`, `EADDRNOTAVAIL`, `EAFNOSUPPORT`, and those of making a file.
pub fn bind(task: &Task, fd: u32, address: &Address) -> SysResult<()> {
    let (socket, _) = socket_of(task, fd)?;
    let name = match address {
        Address::Ip(address) => return Ok(socket.bind(Place::Ip(*address))?),
        Address::Unix(name) => check_name(name)?,
    };
    if socket.domain() != Domain::Unix {
        return Err(Errno::Afnosupport.into());
    }
    socket.check_unbound()?;
    let place = match name {
        // Autobind of unix(7): a name of the kernel's choice.
        "" => return autobind(&socket),
        name if name.starts_with('\0') => Place::Abstract(name.to_owned()),
        path => Place::Path(fs::make_socket(task, path)?, path.to_owned()),
    };
    Ok(socket.bind(place)?)
}

fn autobind(socket: &Arc<Socket>) -> SysResult<()> {
    for number in 0..=0xf_ffff_u32 {
        match socket.bind(Place::Abstract(format!("\0{number:05x}"))) {
            Err(Errno::Addrinuse) => {}
            other => return Ok(other?),
        }
    }
    Err(Errno::Nospc.into())
}

/// listen(2). Errors: `ENOTSUP`, `EINVAL`, `EADDRINUSE`.
pub fn listen(task: &Task, fd: u32, backlog: u32) -> SysResult<()> {
    Ok(socket_of(task, fd)?.0.listen(backlog)?)
}

/// accept4(2). Errors: `EAGAIN`, `EINVAL`, `ENOTSUP`, `EMFILE`, `ENFILE`, `ECONNABORTED`.
pub fn accept(task: &Task, fd: u32, flags: DescriptorFlags) -> SysResult<(u32, Address)> {
    check_flags(flags)?;
    let (socket, waits) = socket_of(task, fd)?;
    let accepted = unless_waiting(waits, socket.accept())?;
    Ok((install(task, accepted.socket, flags)?, accepted.peer))
}

/// What an address leads to. Errors: those of a walk, `ECONNREFUSED`.
fn peer(task: &Task, address: &Address) -> Result<Peer, Errno> {
    match address {
        Address::Ip(address) => Ok(Peer::Ip(*address)),
        Address::Unix(name) => {
            let found = match check_name(name)? {
                "" => return Err(Errno::Inval),
                name if name.starts_with('\0') => task.kernel().net.find_abstract(name)?,
                path => fs::find_socket(task, path)?,
            };
            Ok(Peer::Unix(found, name.clone()))
        }
    }
}

/// connect(2). Errors: `ECONNREFUSED`, `EISCONN`, `EINPROGRESS`, `EALREADY`, `EAGAIN`, `EACCES`, `ENETUNREACH`, `EHOSTUNREACH`, `ETIMEDOUT`, `EAFNOSUPPORT`, `EPROTOTYPE`.
pub fn connect(task: &Task, fd: u32, address: &Address) -> SysResult<()> {
    let (socket, waits) = socket_of(task, fd)?;
    match socket.connect(peer(task, address)?)? {
        None => Ok(()),
        Some(unfinished) if waits => Err(SysError::Wait(unfinished.wait)),
        Some(unfinished) => Err(unfinished.errno.into()),
    }
}

/// send(2) and sendto(2). Errors: `EPIPE` (and SIGPIPE), `ENOTCONN`, `EDESTADDRREQ`, `EISCONN`, `EMSGSIZE`, `EAGAIN`, `ECONNRESET`, `EACCES`.
pub fn send(task: &Task, fd: u32, bytes: &[u8], flags: SendFlags, to: Option<&Address>) -> SysResult<usize> {
    let (socket, waits) = socket_of(task, fd)?;
    let result = match to {
        None => socket.send(bytes),
        Some(to) => socket.send_to(bytes, peer(task, to)?),
    };
    let result = unless_waiting(waits && !flags.contains(SendFlags::NO_WAIT), result);
    if matches!(result, Err(SysError::Errno(Errno::Pipe))) && !flags.contains(SendFlags::NO_SIGNAL) {
        task.signal(signal::PIPE);
    }
    result
}

/// recv(2) and recvfrom(2). Errors: `ENOTCONN`, `ECONNRESET`, `ECONNREFUSED`, `EAGAIN`, `EINVAL`.
pub fn recv(task: &Task, fd: u32, buffer: &mut [u8], flags: ReceiveFlags) -> SysResult<Received> {
    let (socket, waits) = socket_of(task, fd)?;
    let waits = waits && !flags.contains(ReceiveFlags::NO_WAIT);
    // Who does not wait gets what is there, also of all.
    let take = Take { peek: flags.contains(ReceiveFlags::PEEK), all: waits && flags.contains(ReceiveFlags::WAIT_ALL) };
    unless_waiting(waits, socket.recv(buffer, take))
}

/// shutdown(2). Errors: `ENOTCONN`.
pub fn shutdown(task: &Task, fd: u32, how: Shutdown) -> SysResult<()> {
    Ok(socket_of(task, fd)?.0.shutdown(how)?)
}

/// getsockname(2).
pub fn local_address(task: &Task, fd: u32) -> SysResult<Address> {
    Ok(socket_of(task, fd)?.0.local_address())
}

/// getpeername(2). Errors: `ENOTCONN`.
pub fn peer_address(task: &Task, fd: u32) -> SysResult<Address> {
    Ok(socket_of(task, fd)?.0.peer_address()?)
}

/// getsockopt(2). Errors: `ENOPROTOOPT`, `ENOTSUP`.
pub fn get_option(task: &Task, fd: u32, option: SocketOption) -> SysResult<u64> {
    Ok(socket_of(task, fd)?.0.get_option(option)?)
}

/// setsockopt(2). Errors: `ENOPROTOOPT`, `ENOTSUP`, `EINVAL`.
pub fn set_option(task: &Task, fd: u32, option: SocketOption, value: u64) -> SysResult<()> {
    Ok(socket_of(task, fd)?.0.set_option(option, value)?)
}

/// `SO_ERROR`: the error that happened between calls, told once.
pub fn take_error(task: &Task, fd: u32) -> SysResult<Option<Errno>> {
    Ok(socket_of(task, fd)?.0.take_error())
}

/// `SO_DOMAIN`, `SO_TYPE` and `SO_ACCEPTCONN`.
pub fn describe(task: &Task, fd: u32) -> SysResult<SocketDescription> {
    let (socket, _) = socket_of(task, fd)?;
    Ok(SocketDescription { domain: socket.domain(), kind: socket.kind(), listening: socket.is_listening() })
}

/// The addresses of a host's name: getaddrinfo(3). Errors: `ENOENT`, `EACCES`, `EAGAIN`, `ETIMEDOUT`, `EIO`.
pub fn resolve(task: &Task, name: &str) -> SysResult<Vec<IpAddr>> {
    task.kernel().net.resolve(name)
}
