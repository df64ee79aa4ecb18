//! Every limit of a VM by name, and the one accountant that charges against them.
//!
//! A kernel object is made only together with a [`Charge`], the receipt of the accountant, which gives back what it took when the object is
//! dropped. A limit that is reached fails with the errno Linux would give; at 80 % of a limit a warning is logged, once per climb.

mod accountant;

pub use accountant::{Accountant, Charge, Usage};

use crate::Errno;

macro_rules! define_limits {
    ($($(#[$doc:meta])* $ident:ident = $name:literal, $default:expr, $errno:expr;)*) => {
        /// A limit. The documentation of each names its unit and the reason for its default.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[repr(usize)]
        pub enum Limit { $($(#[$doc])* $ident,)* }

        impl Limit {
            /// Every limit.
            pub const ALL: &'static [Limit] = &[$(Limit::$ident,)*];

            /// The name in configuration and messages, unit last.
            pub const fn name(self) -> &'static str {
                match self { $(Limit::$ident => $name,)* }
            }

            /// What a VM gets unless told otherwise.
            pub const fn default_value(self) -> u64 {
                match self { $(Limit::$ident => $default,)* }
            }

            /// Whether what it bounds fills up in the course of things, and something old goes then: no reason for a warning.
            pub const fn fills_up(self) -> bool {
                matches!(self, Limit::CachedEntries | Limit::PageCacheBytes | Limit::DirtyPageBytes)
            }

            /// The error of going past it.
            pub const fn errno(self) -> Errno {
                match self { $(Limit::$ident => $errno,)* }
            }
        }
    };
}

define_limits! {
    /// Processes of the VM, zombies included. A shell with a long pipeline needs tens; a fork bomb must end early (`EAGAIN`, as `RLIMIT_NPROC`).
    Processes = "processes", 1024, Errno::Again;
    /// Open file descriptions of the VM (`ENFILE`, as `fs.file-max`).
    OpenFiles = "open_files", 65_536, Errno::Nfile;
    /// Descriptors of one process: a bound on numbers, not charged (`EMFILE`, as `RLIMIT_NOFILE`).
    DescriptorsPerProcess = "descriptors_per_process", 1024, Errno::Mfile;
    /// Bytes waiting in all pipes of the VM: 1,024 full pipes (`ENFILE`, as `pipe-user-pages-hard`).
    PipeBytes = "pipe_bytes", 64 << 20, Errno::Nfile;
    /// Sockets of the VM, connections that were accepted included (`ENFILE`). A server under load needs some hundreds.
    Sockets = "sockets", 4096, Errno::Nfile;
    /// Bytes of the buffers between the VM's own sockets: 1,024 connections of 64 KiB each way (`ENOBUFS`).
    SocketBytes = "socket_bytes", 128 << 20, Errno::Nobufs;
    /// Connections that wait to be accepted by one socket: a bound on what `listen` asks for, not charged (as `net.core.somaxconn`).
    BacklogPerSocket = "backlog_per_socket", 4096, Errno::Again;
    /// Bytes of linear memory and JavaScript heap of all processes (`ENOMEM`).
    MemoryBytes = "memory_bytes", 4 << 30, Errno::Nomem;
    /// Bytes of linear memory or JavaScript heap of one process: a bound, not charged (`ENOMEM`, as `RLIMIT_AS`).
    MemoryBytesPerProcess = "memory_bytes_per_process", 1 << 30, Errno::Nomem;
    /// Bytes of arguments and environment of one program: Linux's `ARG_MAX` (`E2BIG`); a bound, not charged.
    ArgumentBytes = "argument_bytes", 2 << 20, Errno::TooBig;
    /// Mounts of the VM (`ENOSPC`, as `fs.mount-max`).
    Mounts = "mounts", 1024, Errno::Nospc;
    /// Directory entries that the kernel remembers: about 300 bytes each. Not a failure: old ones are forgotten.
    CachedEntries = "cached_entries", 16_384, Errno::Nomem;
    /// Bytes of files' contents that the kernel keeps for mounts with a cache: what a build or a database reads again and again. Not a failure: the oldest go.
    PageCacheBytes = "page_cache_bytes", 64 << 20, Errno::Nomem;
    /// Bytes that were written and not given to a backend yet, of those in the cache: what a crash of the host may take. Not a failure: who writes more waits for the backend.
    DirtyPageBytes = "dirty_page_bytes", 16 << 20, Errno::Nomem;
}
