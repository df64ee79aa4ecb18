//! The one thread of the process that waits for sockets to become ready.

use std::collections::HashMap;
use std::io;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};

use eyot_backend::{SocketId, SocketReadiness};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Registry, Token};
use parking_lot::Mutex;
use socket2::Socket;

use super::Shared;

/// How many events one look takes.
const EVENTS_MAX: usize = 256;

struct Poller {
    registry: Registry,
    /// Whose a number is. Numbers are the process's, not a network's, so that one thread serves all.
    owners: Arc<Mutex<HashMap<usize, Weak<Shared>>>>,
}

static POLLER: OnceLock<Poller> = OnceLock::new();
static NEXT: AtomicUsize = AtomicUsize::new(1);

/// A number that nobody has.
pub(crate) fn next_id() -> SocketId {
    NEXT.fetch_add(1, Ordering::Relaxed) as SocketId
}

/// Starts the thread, once.
pub(crate) fn start() -> io::Result<()> {
    static STARTING: Mutex<()> = Mutex::new(());
    let _one = STARTING.lock();
    if POLLER.get().is_some() {
        return Ok(());
    }
    let poll = Poll::new()?;
    let registry = poll.registry().try_clone()?;
    let owners = Arc::new(Mutex::new(HashMap::new()));
    let seen = owners.clone();
    std::thread::Builder::new().name("eyot-hostnet".into()).spawn(move || run(poll, &seen))?;
    let _ = POLLER.set(Poller { registry, owners });
    Ok(())
}

fn run(mut poll: Poll, owners: &Mutex<HashMap<usize, Weak<Shared>>>) {
    let mut events = Events::with_capacity(EVENTS_MAX);
    loop {
        if let Err(error) = poll.poll(&mut events, None) {
            if error.kind() != io::ErrorKind::Interrupted {
                tracing::error!(%error, "the host's network cannot be watched");
                // Nothing better is known than to try again, but not in a hurry.
                std::thread::sleep(std::time::Duration::from_millis(100));
            }
            continue;
        }
        for event in &events {
            let Token(id) = event.token();
            let owner = owners.lock().get(&id).and_then(Weak::upgrade);
            if let Some(owner) = owner {
                let mut ready = SocketReadiness::empty();
                ready.set(SocketReadiness::READABLE, event.is_readable() || event.is_read_closed());
                ready.set(SocketReadiness::WRITABLE, event.is_writable() || event.is_write_closed());
                ready.set(SocketReadiness::ERROR, event.is_error());
                owner.tell(id as SocketId, ready);
            }
        }
    }
}

/// Has a socket's changes of readiness told from now on. (They are told on the edge: after an operation answered `EAGAIN`, the next change comes.)
pub(crate) fn register(id: SocketId, socket: &Socket, owner: &Arc<Shared>) -> io::Result<()> {
    let poller = POLLER.get().ok_or(io::ErrorKind::NotConnected)?;
    poller.owners.lock().insert(id as usize, Arc::downgrade(owner));
    let interest = Interest::READABLE | Interest::WRITABLE;
    let registered = poller.registry.register(&mut SourceFd(&socket.as_raw_fd()), Token(id as usize), interest);
    registered.inspect_err(|_| {
        poller.owners.lock().remove(&(id as usize));
    })
}

/// No more of it is told.
pub(crate) fn deregister(id: SocketId, socket: &Socket) {
    if let Some(poller) = POLLER.get() {
        poller.owners.lock().remove(&(id as usize));
        // What the host does not know any more needs no taking out.
        let _ = poller.registry.deregister(&mut SourceFd(&socket.as_raw_fd()));
    }
}
