//! What an executor is: something that runs program images as processes.
//!
//! The kernel picks an executor by the image's content (see [`ImageHead`]), asks it to load the image, and starts what it loaded in a [`Task`].
//! Executors are registered with the VM and know nothing of each other.

use std::sync::Arc;

use crate::Errno;
use crate::backend::Content;
use crate::process::Task;

/// What an executor sees of an image before it is loaded.
#[derive(Clone, Copy, Debug)]
pub struct ImageHead<'a> {
    /// The path in the VM that the program was found at.
    pub path: &'a str,
    /// Its first bytes: 256, or all of a shorter file.
    pub bytes: &'a [u8],
    /// The interpreter's name when a `#!` line asked for one that is no file of the VM but an executor's own, such as `node`.
    pub interpreter: Option<&'a str>,
}

/// A program image: a file of the VM, read whole.
#[derive(Clone)]
pub struct Image {
    /// The path in the VM, absolute, symlinks resolved.
    pub path: String,
    /// The bytes, shared.
    pub content: Content,
    /// Names this state of this file within the process that hosts the VM: the same identity means the same bytes. An executor may key what it derived by it.
    pub identity: ImageIdentity,
}

/// Which file, in which state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ImageIdentity {
    /// The mount, unique in the host process.
    pub mount: u64,
    /// The inode.
    pub node: u64,
    /// Its size in bytes.
    pub size: u64,
    /// When its contents last changed, in nanoseconds since 1970.
    pub modified_ns: i64,
    /// When the inode last changed, in nanoseconds since 1970.
    pub changed_ns: i64,
}

/// Why an image could not be loaded.
#[derive(Clone, Debug)]
pub struct LoadError {
    /// What `spawn` or `exec` answers: `ENOEXEC` for an image that is broken, `ENOMEM`, `EAGAIN`...
    pub errno: Errno,
    /// One sentence for a person: what is wrong with the image, and where.
    pub message: String,
}

impl std::fmt::Display for LoadError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for LoadError {}

/// Runs program images of some kind.
pub trait Executor: Send + Sync + 'static {
    /// The executor's name, for messages: `wasm`, `node`.
    fn name(&self) -> &'static str;

    /// Whether this executor runs such an image.
    fn accepts(&self, head: ImageHead<'_>) -> bool;

    /// The program of a file that this executor loaded before, found without reading it. None: it is to be loaded.
    fn recall(&self, identity: &ImageIdentity) -> Option<Box<dyn Program>> {
        let _ = identity;
        None
    }

    /// Checks and prepares an image on the caller's thread. Whatever can be refused is refused here, so that `spawn` gives an errno.
    fn load(&self, image: &Image) -> Result<Box<dyn Program>, LoadError>;
}

/// A loaded image, ready to run once.
pub trait Program: Send {
    /// Starts running as `task`, without waiting for the end. The program ends by exactly one call of [`Task::finish`]; it is to stop soon after
    /// [`Task::killed`] answers true (register with [`Task::on_kill`] to be told).
    fn start(self: Box<Self>, task: Arc<Task>);
}
