//! What a mount's backend was asked, and how it did.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use crate::Errno;

macro_rules! functions {
    ($($ident:ident = $name:literal,)*) => {
        /// A function of `eyot:backend/filesystem`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(usize)]
        pub enum Function { $(#[doc = concat!("`", $name, "`.")] $ident,)* }

        impl Function {
            /// Every function.
            pub const ALL: &'static [Function] = &[$(Function::$ident,)*];

            /// Its name in the WIT.
            pub const fn name(self) -> &'static str {
                match self { $(Function::$ident => $name,)* }
            }
        }
    };
}

functions! {
    Lookup = "lookup", Forget = "forget", Getattr = "getattr", Setattr = "setattr", Create = "create", Mkdir = "mkdir", Symlink = "symlink",
    MakeNode = "make-node", Link = "link", Unlink = "unlink", Rmdir = "rmdir", Rename = "rename", Readlink = "readlink", Open = "open",
    Release = "release", Read = "read", Write = "write", Fsync = "fsync", Readdir = "readdir", Statfs = "statfs", Getxattr = "getxattr",
    Setxattr = "setxattr", Listxattr = "listxattr", Removexattr = "removexattr",
}

/// One function's counters.
#[derive(Default)]
struct Counters {
    calls: AtomicU64,
    errors: AtomicU64,
    total_ns: AtomicU64,
    max_ns: AtomicU64,
}

/// What is counted of one mount.
pub(super) struct Metrics {
    functions: [Counters; Function::ALL.len()],
    pub(super) bytes_read: AtomicU64,
    pub(super) bytes_written: AtomicU64,
    pub(super) replacements: AtomicU64,
    pub(super) restarts: AtomicU64,
    pub(super) retirements: AtomicU64,
}

impl Metrics {
    pub(super) fn new() -> Self {
        Self {
            functions: std::array::from_fn(|_| Counters::default()),
            bytes_read: AtomicU64::new(0),
            bytes_written: AtomicU64::new(0),
            replacements: AtomicU64::new(0),
            restarts: AtomicU64::new(0),
            retirements: AtomicU64::new(0),
        }
    }

    pub(super) fn count<T>(&self, function: Function, started: Instant, result: &Result<T, Errno>) {
        let taken_ns = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        // `function as usize` is below the array's length by the construction of the enum.
        let counters = &self.functions[function as usize];
        counters.calls.fetch_add(1, Relaxed);
        counters.total_ns.fetch_add(taken_ns, Relaxed);
        counters.max_ns.fetch_max(taken_ns, Relaxed);
        if result.is_err() {
            counters.errors.fetch_add(1, Relaxed);
        }
    }

    pub(super) fn snapshot(&self) -> MountMetrics {
        let functions = Function::ALL.iter().map(|&function| {
            let counters = &self.functions[function as usize];
            FunctionMetrics {
                function,
                calls: counters.calls.load(Relaxed),
                errors: counters.errors.load(Relaxed),
                total: Duration::from_nanos(counters.total_ns.load(Relaxed)),
                max: Duration::from_nanos(counters.max_ns.load(Relaxed)),
            }
        });
        MountMetrics {
            functions: functions.filter(|function| function.calls > 0).collect(),
            bytes_read: self.bytes_read.load(Relaxed),
            bytes_written: self.bytes_written.load(Relaxed),
            replacements: self.replacements.load(Relaxed),
            restarts: self.restarts.load(Relaxed),
            retirements: self.retirements.load(Relaxed),
        }
    }
}

/// How one function of a mount's backend did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FunctionMetrics {
    /// The function.
    pub function: Function,
    /// How often it was called.
    pub calls: u64,
    /// How often it answered an error. Many are no fault of the backend's: `lookup` of what is not there is one.
    pub errors: u64,
    /// The time it took in all.
    pub total: Duration,
    /// The time of the longest call.
    pub max: Duration,
}

/// What a mount's backend was asked since it was mounted, and how it did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountMetrics {
    /// The functions that were called.
    pub functions: Vec<FunctionMetrics>,
    /// Bytes that `read` answered.
    pub bytes_read: u64,
    /// Bytes that `write` took.
    pub bytes_written: u64,
    /// How often the backend was replaced by the embedder.
    pub replacements: u64,
    /// How often it was started again after it had failed.
    pub restarts: u64,
    /// How often an instance was retired: it trapped, timed out or broke the ABI.
    pub retirements: u64,
}
