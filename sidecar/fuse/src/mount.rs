//! A mount: made, served by threads, and taken away again whatever happens.

use std::io;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, Instant};

use eyot_backend::{Capabilities, Filesystem, Watcher};
use fuser::{Config, Session, SessionACL};
use parking_lot::{Condvar, Mutex};

use crate::bridge::Bridge;
use crate::changes::Teller;
use crate::device::{self, Left, Place, Terms};
use crate::error::MountError;

/// The threads that serve when nothing is said: each call of the backend takes one until it returns.
const THREADS_MIN: usize = 4;
const THREADS_MAX: usize = 16;
/// How long [`Mount`] waits beyond `linger` for the session to end before it leaves it to itself.
const END_WAIT: Duration = Duration::from_secs(1);
/// How long the threads of a session take to end when one has.
const SIBLINGS_WAIT: Duration = Duration::from_millis(200);
/// How long to wait before a busy mount is tried again.
const RETRY_WAIT: Duration = Duration::from_millis(20);

/// How a filesystem is mounted.
#[derive(Clone, Debug)]
pub struct Options {
    /// Nothing can be changed through this mount. A backend that cannot be changed is always mounted so.
    pub read_only: bool,
    /// Other users than this process's may use it. Who may do what is then decided by owners and modes, as everywhere.
    /// Without root, `/etc/fuse.conf` must say `user_allow_other`.
    pub allow_other: bool,
    /// What `/proc/mounts` calls it; the backend's kind when empty.
    pub name: String,
    /// Nothing but this mount changes the filesystem while it stands: then what was seen is believed until it is changed here, whatever lifetimes the backend gives, and files are
    /// read through the page cache. Wrong where it is not so: changes that others make don't show.
    pub exclusive: bool,
    /// Writes may wait in the host's page cache until `fsync`, `close` or some seconds have passed. Small writes are several times as fast then; but a full filesystem is noticed late, and others who
    /// use the same backend see the bytes late. Without effect unless the mount is `exclusive` or attributes live for ever.
    pub writeback: bool,
    /// How many threads call the backend; a number for the machine when nothing is said.
    pub threads: Option<NonZeroUsize>,
    /// How long programs that use the mount are waited for when it is taken away. After that their calls fail.
    pub linger: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            read_only: false,
            allow_other: false,
            name: String::new(),
            exclusive: false,
            writeback: false,
            threads: None,
            linger: Duration::from_secs(1),
        }
    }
}

/// A mounted filesystem. Dropped, it is unmounted: after `linger` even when it is in use or the backend hangs, so that no dead mount is left behind. Calls that still wait then fail; only without
/// root, and where the host has not mounted `/sys/fs/fuse/connections`, they wait until this process ends.
///
/// ```no_run
/// use std::sync::Arc;
/// use eyot_fuse::{Mount, Options};
/// # fn example(fs: Arc<dyn eyot_backend::Filesystem>) -> Result<(), eyot_fuse::MountError> {
/// let mount = Mount::new(fs, "/mnt/eyot", Options { read_only: true, ..Options::default() })?;
/// println!("{} is ready", mount.path().display());
/// mount.wait()?; // until somebody unmounts it
/// # Ok(())
/// # }
/// ```
#[must_use = "it is unmounted when this is dropped"]
pub struct Mount {
    inner: Unmounter,
}

/// Takes a mount away from another thread, such as one that waits for signals.
#[derive(Clone)]
pub struct Unmounter(Arc<State>);

pub(crate) struct State {
    place: Place,
    linger: Duration,
    progress: Mutex<Progress>,
    changed: Condvar,
}

#[derive(Default)]
struct Progress {
    /// Somebody is taking it away.
    leaving: bool,
    /// The session is over; its error, if it had one, until it is asked for.
    over: Option<io::Result<()>>,
    /// It is out of the tree.
    gone: bool,
}

/// Whether this process could mount: `/dev/fuse` is there, and it is root or there is `fusermount3`.
pub fn available() -> Result<(), MountError> {
    device::available()
}

/// Mounts and serves until it is unmounted from outside (`umount`, `fusermount3 -u`).
pub fn serve(fs: Arc<dyn Filesystem>, path: impl AsRef<Path>, options: Options) -> Result<(), MountError> {
    Mount::new(fs, path, options)?.wait()
}

impl Mount {
    /// Mounts `fs` on `path`, which must be an empty directory, and serves it by threads in the background.
    pub fn new(fs: Arc<dyn Filesystem>, path: impl AsRef<Path>, options: Options) -> Result<Self, MountError> {
        let info = fs.info();
        let teller = Teller::new(&info);
        let watcher: Weak<dyn Watcher> = Arc::downgrade(&(teller.clone() as Arc<dyn Watcher>));
        fs.watch(watcher);
        let root = fs.getattr(info.root).map_err(MountError::Backend)?;
        let terms = Terms {
            name: if options.name.is_empty() { &info.kind } else { &options.name },
            read_only: options.read_only || !info.capabilities.contains(Capabilities::WRITABLE),
            allow_other: options.allow_other,
        };
        let (device, place) = device::mount(path.as_ref(), &terms)?;
        let state =
            Arc::new(State { place, linger: options.linger, progress: Mutex::default(), changed: Condvar::new() });
        // From here on whatever fails drops this, and so unmounts.
        let mount = Mount { inner: Unmounter(Arc::clone(&state)) };
        let bridge = Bridge::new(fs, &info, &root, (&options, teller.clone()), Unmounter(Arc::clone(&state)));
        let threads = options.threads.map_or_else(threads, NonZeroUsize::get);
        let mut config = Config::default();
        config.n_threads = Some(threads);
        // A queue of its own for each thread.
        config.clone_fd = threads > 1;
        let second = device.try_clone();
        // Who may come in is checked by the host's kernel.
        let session = Session::from_fd(bridge, device, SessionACL::All, config);
        let session = match session {
            Ok(session) => session,
            Err(error) => return Err(state.stillborn(error)),
        };
        match second {
            Ok(device) => teller.ready(session.notifier(), device),
            Err(error) => return Err(state.stillborn(error)),
        }
        let ended = Arc::clone(&state);
        let serve = move || ended.over(session.run());
        match thread::Builder::new().name("eyot-fuse".into()).spawn(serve) {
            Ok(_) => Ok(mount),
            Err(error) => Err(state.stillborn(error)),
        }
    }

    /// Where it is mounted, as an absolute path without symlinks.
    pub fn path(&self) -> &Path {
        self.inner.0.place.path()
    }

    /// Waits until it is unmounted, from outside or by an [`Unmounter`].
    pub fn wait(&self) -> Result<(), MountError> {
        let state = &self.inner.0;
        let mut progress = state.progress.lock();
        while progress.over.is_none() && !progress.gone {
            state.changed.wait(&mut progress);
        }
        match progress.over.as_mut().map(|over| std::mem::replace(over, Ok(()))) {
            Some(Err(error)) => Err(MountError::Session(error)),
            _ => Ok(()),
        }
    }

    /// One that takes this mount away from elsewhere.
    pub fn unmounter(&self) -> Unmounter {
        self.inner.clone()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        self.inner.unmount();
    }
}

impl Unmounter {
    /// Takes the mount away: at once when nothing uses it, else after `linger`. Returns when it is out of the host's tree and its threads have ended, or a second after `linger`
    /// when the backend hangs: then what hangs is left to itself.
    pub fn unmount(&self) {
        let state = &self.0;
        self.start();
        let deadline = after(state.linger.saturating_add(END_WAIT));
        let mut progress = state.progress.lock();
        while !(progress.gone && progress.over.is_some()) {
            if state.changed.wait_until(&mut progress, deadline).timed_out() {
                return;
            }
        }
    }

    /// Starts to take it away, and doesn't wait. It has a thread of its own, because even unmounting can wait for the backend: for pages that are still to be written.
    fn start(&self) {
        let state = Arc::clone(&self.0);
        if std::mem::replace(&mut state.progress.lock().leaving, true) {
            return;
        }
        let leave = Arc::clone(&state);
        if thread::Builder::new().name("eyot-fuse-leave".into()).spawn(move || leave.leave()).is_err() {
            state.leave();
        }
    }
}

impl State {
    fn over(&self, result: io::Result<()>) {
        self.progress.lock().over.get_or_insert(result);
        self.changed.notify_all();
    }

    /// The session never ran.
    fn stillborn(&self, error: io::Error) -> MountError {
        self.place.force();
        self.over(Ok(()));
        MountError::Session(error)
    }

    fn leave(&self) {
        let deadline = after(self.linger);
        while !self.is_over() && self.place.unmount() == Left::Busy {
            if Instant::now() >= deadline {
                self.place.force();
                break;
            }
            thread::sleep(RETRY_WAIT);
        }
        // The connection can be broken off while the mount stands, by the control filesystem.
        if self.is_over() {
            self.place.bury();
        }
        let mut progress = self.progress.lock();
        progress.gone = true;
        self.changed.notify_all();
        // It is out of the tree, but somebody may still wait for an answer, perhaps for ever.
        while progress.over.is_none() {
            if self.changed.wait_until(&mut progress, deadline).timed_out() {
                drop(progress);
                self.place.abort();
                return;
            }
        }
    }

    fn is_over(&self) -> bool {
        self.progress.lock().over.is_some()
    }

    /// Waits a moment for the session to end.
    fn end_soon(&self) {
        let mut progress = self.progress.lock();
        let deadline = after(SIBLINGS_WAIT);
        while progress.over.is_none() && !self.changed.wait_until(&mut progress, deadline).timed_out() {}
    }
}

/// The time after `wait`, or a day from now when that is beyond what can be counted.
fn after(wait: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(wait).unwrap_or_else(|| now + Duration::from_secs(86_400))
}

fn threads() -> usize {
    thread::available_parallelism().map_or(THREADS_MIN, |count| (2 * count.get()).clamp(THREADS_MIN, THREADS_MAX))
}

/// Kept by each thread that serves. One that ends while the others go on has panicked in the protocol's code, and its caller would wait for ever: then the mount goes.
pub(crate) struct Watch(pub(crate) Unmounter);

impl Drop for Watch {
    fn drop(&mut self) {
        let unmounter = self.0.clone();
        // Not in this thread, for which the session waits.
        let _ = thread::Builder::new().spawn(move || {
            unmounter.0.end_soon();
            unmounter.start();
        });
    }
}
