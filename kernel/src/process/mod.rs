//! Processes: tasks, their table, descriptors, open files, pipes, and how programs are started and end.

pub mod device;
mod executor;
mod fd_table;
mod image;
mod open_file;
mod pipe;
mod spawn;
mod stream;
mod table;
mod task;

pub use executor::{Executor, Image, ImageHead, ImageIdentity, LoadError, Program};
pub use fd_table::{FdEntry, FdFlags, FdTable};
pub use open_file::{Object, OpenFile, Readiness, StatusFlags};
pub use pipe::{Pipe, PipeReader, PipeWriter};
pub use spawn::{DEFAULT_PATH, FileAction, ProgramSpec, StartError};
pub(crate) use spawn::{exec, spawn, spawn_detached};
pub use stream::Stream;
pub use table::ProcessTable;
pub(crate) use task::NewTask;
pub use task::{Credentials, ExitStatus, Startup, Task};

/// A process's number. Positive; 0 stands for "none" or, in calls that say so, for the caller.
pub type Pid = i32;
