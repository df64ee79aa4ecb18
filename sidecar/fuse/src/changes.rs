//! What the backend tells of changes, passed on to the host's kernel, so that its caches do not go on showing what was.
//!
//! A backend may tell from within a call, and the host's kernel may make the teller wait for a lock that a request holds. So changes are queued, and a thread that lives as
//! long as there are any passes them on.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, OnceLock, Weak};
use std::thread;
use std::time::Duration;

use eyot_backend::{Capabilities, Change, FilesystemInfo, Node, Watcher};
use fuser::{INodeNo, Notifier};
use parking_lot::Mutex;

use crate::convert::Numbers;
use crate::counts::Counts;

/// How many changes may wait. Past it they are told as one: everything.
const PENDING_MAX: usize = 1024;
/// For how long a name is believed at the most where the host's kernel cannot be told to forget them all.
const NAME_LIFETIME_MAX: Duration = Duration::from_secs(1);
/// `FUSE_NOTIFY_INC_EPOCH` (Linux 6.16): every name that was believed is asked for again. fuser does not know it.
const INC_EPOCH: i32 = 8;

pub(crate) struct Teller {
    me: Weak<Teller>,
    numbers: Numbers,
    held: Arc<Counts>,
    /// The backend says that it tells of changes.
    expects: bool,
    host: OnceLock<Host>,
    pending: Mutex<Pending>,
}

/// The way to the host's kernel, once the session stands.
struct Host {
    notifier: Notifier,
    device: OwnedFd,
    /// It knows `INC_EPOCH`.
    forgets_names: bool,
}

#[derive(Default)]
struct Pending {
    changes: VecDeque<Change>,
    everything: bool,
    /// A thread is passing them on.
    working: bool,
}

impl Teller {
    pub(crate) fn new(info: &FilesystemInfo) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            numbers: Numbers { root: info.root },
            held: Arc::default(),
            expects: info.capabilities.contains(Capabilities::EVENTS),
            host: OnceLock::new(),
            pending: Mutex::default(),
        })
    }

    pub(crate) fn numbers(&self) -> Numbers {
        self.numbers
    }

    pub(crate) fn held(&self) -> Arc<Counts> {
        self.held.clone()
    }

    /// The session stands. What was told before it did needs no telling: nothing was seen yet.
    pub(crate) fn ready(&self, notifier: Notifier, device: OwnedFd) {
        let forgets_names = forget_names(&device).is_ok();
        self.host.get_or_init(|| Host { notifier, device, forgets_names });
    }

    /// How long a name may be believed that the backend gives so long.
    pub(crate) fn name_lifetime(&self, told: Duration) -> Duration {
        let forgets = self.host.get().is_some_and(|host| host.forgets_names);
        if self.expects && !forgets { told.min(NAME_LIFETIME_MAX) } else { told }
    }

    fn work(&self) {
        let Some(host) = self.host.get() else { return };
        while let Some(change) = self.next() {
            match change {
                Change::Node(node) => host.forget_node(self.number(node)),
                Change::Entry { dir, name } => host.forget_entry(self.number(dir), &name),
                Change::Everything => {
                    let _ = forget_names(&host.device);
                    self.held.nodes().into_iter().for_each(|node| host.forget_node(self.number(node)));
                    host.forget_node(INodeNo::ROOT);
                }
            }
        }
    }

    fn next(&self) -> Option<Change> {
        let mut pending = self.pending.lock();
        let next = if std::mem::take(&mut pending.everything) {
            Some(Change::Everything)
        } else {
            pending.changes.pop_front()
        };
        pending.working = next.is_some();
        next
    }

    fn number(&self, node: Node) -> INodeNo {
        INodeNo(self.numbers.swap(node))
    }
}

impl Host {
    /// Errors mean that it is not known there, or that the mount has gone: nothing is believed then either.
    fn forget_node(&self, number: INodeNo) {
        let _ = self.notifier.inval_inode(number, 0, 0);
    }

    fn forget_entry(&self, dir: INodeNo, name: &str) {
        let _ = self.notifier.inval_entry(dir, OsStr::new(name));
        // A directory whose entry is not known keeps its listing otherwise.
        self.forget_node(dir);
    }
}

/// A bare header of the protocol: its length, the code where answers have their error, and no request.
fn forget_names(device: &OwnedFd) -> io::Result<()> {
    let mut message = [0; 16];
    message[..4].copy_from_slice(&16_u32.to_ne_bytes());
    message[4..8].copy_from_slice(&INC_EPOCH.to_ne_bytes());
    rustix::io::write(device, &message).map(drop).map_err(io::Error::from)
}

impl Watcher for Teller {
    fn changed(&self, change: &Change) {
        if self.host.get().is_none() {
            return;
        }
        let mut pending = self.pending.lock();
        if *change == Change::Everything || pending.changes.len() >= PENDING_MAX {
            pending.changes.clear();
            pending.everything = true;
        } else {
            pending.changes.push_back(change.clone());
        }
        if std::mem::replace(&mut pending.working, true) {
            return;
        }
        drop(pending);
        let started = self
            .me
            .upgrade()
            .map(|me| thread::Builder::new().name("eyot-fuse-changes".into()).spawn(move || me.work()));
        if !matches!(started, Some(Ok(_))) {
            // The next change tries again.
            self.pending.lock().working = false;
        }
    }
}
