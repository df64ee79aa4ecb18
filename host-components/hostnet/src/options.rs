//! Options by the host's names.

use std::io;
use std::time::Duration;

use eyot_backend::{Errno, SocketOption as O};
use socket2::{Socket, TcpKeepalive};

fn is_v6(socket: &Socket) -> io::Result<bool> {
    Ok(socket.local_addr()?.is_ipv6())
}

pub(crate) fn get(socket: &Socket, option: O) -> io::Result<u64> {
    Ok(match option {
        O::NoDelay => socket.tcp_nodelay()?.into(),
        O::KeepAlive => socket.keepalive()?.into(),
        O::KeepAliveIdle => socket.tcp_keepalive_time()?.as_secs(),
        O::KeepAliveInterval => socket.tcp_keepalive_interval()?.as_secs(),
        O::KeepAliveCount => socket.tcp_keepalive_retries()?.into(),
        O::ReuseAddress => socket.reuse_address()?.into(),
        O::V6Only => socket.only_v6()?.into(),
        O::Broadcast => socket.broadcast()?.into(),
        O::SendBuffer => socket.send_buffer_size()? as u64,
        O::ReceiveBuffer => socket.recv_buffer_size()? as u64,
        O::HopLimit if is_v6(socket)? => socket.unicast_hops_v6()?.into(),
        O::HopLimit => socket.ttl_v4()?.into(),
    })
}

pub(crate) fn set(socket: &Socket, option: O, value: u64) -> io::Result<()> {
    let on = value != 0;
    let seconds = Duration::from_secs(value);
    let invalid = || io::Error::from_raw_os_error(Errno::Inval.linux());
    let small = u32::try_from(value).map_err(|_| invalid());
    match option {
        O::NoDelay => socket.set_tcp_nodelay(on),
        O::KeepAlive => socket.set_keepalive(on),
        O::KeepAliveIdle => keep_alive(socket, TcpKeepalive::new().with_time(seconds)),
        O::KeepAliveInterval => keep_alive(socket, TcpKeepalive::new().with_interval(seconds)),
        O::KeepAliveCount => keep_alive(socket, TcpKeepalive::new().with_retries(small?)),
        O::ReuseAddress => socket.set_reuse_address(on),
        O::V6Only => socket.set_only_v6(on),
        O::Broadcast => socket.set_broadcast(on),
        O::SendBuffer => socket.set_send_buffer_size(usize::try_from(value).map_err(|_| invalid())?),
        O::ReceiveBuffer => socket.set_recv_buffer_size(usize::try_from(value).map_err(|_| invalid())?),
        O::HopLimit if is_v6(socket)? => socket.set_unicast_hops_v6(small?),
        O::HopLimit => socket.set_ttl_v4(small?),
    }
}

/// `socket2` turns the questions on with their times; here that is an option of its own.
fn keep_alive(socket: &Socket, times: TcpKeepalive) -> io::Result<()> {
    let before = socket.keepalive()?;
    socket.set_tcp_keepalive(&times)?;
    socket.set_keepalive(before)
}
