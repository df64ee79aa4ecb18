//! WASI 0.2 and `eyot:kernel` for components: a thin translation to `syscall`, without state of its own.
//!
//! ```text
//! bindings.rs  the traits that bindgen! makes            failure.rs  errors, traps and waits
//! poll.rs      wasi:io/poll and error                     streams.rs  wasi:io/streams
//! filesystem.rs, directory.rs   wasi:filesystem           cli.rs, clocks.rs, random.rs, sockets.rs
//! guest/       eyot:kernel as component imports
//! ```
//! A resource is a descriptor of the process: its rep is the descriptor's number, dropping it closes the descriptor. The standard streams are descriptors 0, 1
//! and 2, which no resource closes. Descriptors that resources make are closed on exec and are not inherited.

mod bindings;
mod cli;
mod clocks;
mod directory;
mod failure;
mod filesystem;
mod guest;
mod poll;
mod random;
mod sockets;
mod streams;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use wasmtime::component::{HasSelf, Linker, ResourceTable};

use super::process::Guest;
use crate::process::Task;
use crate::syscall::descriptor;

pub(super) use bindings::wasi::CommandPre;

/// The interfaces that components may import.
const INTERFACES: [&str; 36] = [
    "wasi:cli/environment@0.2.12",
    "wasi:cli/exit@0.2.12",
    "wasi:cli/stdin@0.2.12",
    "wasi:cli/stdout@0.2.12",
    "wasi:cli/stderr@0.2.12",
    "wasi:cli/terminal-input@0.2.12",
    "wasi:cli/terminal-output@0.2.12",
    "wasi:cli/terminal-stdin@0.2.12",
    "wasi:cli/terminal-stdout@0.2.12",
    "wasi:cli/terminal-stderr@0.2.12",
    "wasi:clocks/monotonic-clock@0.2.12",
    "wasi:clocks/wall-clock@0.2.12",
    "wasi:filesystem/types@0.2.12",
    "wasi:filesystem/preopens@0.2.12",
    "wasi:io/error@0.2.12",
    "wasi:io/poll@0.2.12",
    "wasi:io/streams@0.2.12",
    "wasi:random/random@0.2.12",
    "wasi:random/insecure@0.2.12",
    "wasi:random/insecure-seed@0.2.12",
    "wasi:sockets/network@0.2.12",
    "wasi:sockets/instance-network@0.2.12",
    "wasi:sockets/ip-name-lookup@0.2.12",
    "wasi:sockets/tcp@0.2.12",
    "wasi:sockets/tcp-create-socket@0.2.12",
    "wasi:sockets/udp@0.2.12",
    "wasi:sockets/udp-create-socket@0.2.12",
    "eyot:kernel/types@0.1.0",
    "eyot:kernel/descriptor@0.1.0",
    "eyot:kernel/fs@0.1.0",
    "eyot:kernel/process@0.1.0",
    "eyot:kernel/pipe@0.1.0",
    "eyot:kernel/signal@0.1.0",
    "eyot:kernel/clock@0.1.0",
    "eyot:kernel/random@0.1.0",
    "eyot:kernel/terminal@0.1.0",
];

/// The most pollables and directory streams of one process: beyond it, it ends.
const RESOURCES_MAX: usize = 65_536;

/// The lowest descriptor that a resource is given: the standard streams keep theirs.
const RESOURCE_FD_MIN: u32 = 3;

/// Links all interfaces, for stores whose data holds a guest.
pub(crate) fn add_to_linker<T: Send + 'static>(
    linker: &mut Linker<T>,
    guest: fn(&mut T) -> &mut Guest,
) -> wasmtime::Result<()> {
    bindings::wasi::Command::add_to_linker::<_, HasSelf<Guest>>(linker, &Default::default(), guest)?;
    bindings::kernel::Guest::add_to_linker::<_, HasSelf<Guest>>(linker, guest)
}

/// An empty table for one process's resources.
pub(super) fn resource_table() -> ResourceTable {
    let mut table = ResourceTable::new();
    table.set_max_capacity(RESOURCES_MAX);
    table
}

/// Whether an interface of this name is provided, in this version or another that fits.
pub(crate) fn provides(name: &str) -> bool {
    INTERFACES.iter().any(|known| compatible(known) == compatible(name))
}

/// The name with as much of the version as must be the same: by semantic versioning the major one, or for 0.x the minor one.
fn compatible(name: &str) -> (&str, &str) {
    let Some((interface, version)) = name.split_once('@') else { return (name, "") };
    // A pre-release fits only itself.
    if version.contains('-') {
        return (interface, version);
    }
    let parts = if version.starts_with("0.0.") {
        3
    } else if version.starts_with("0.") {
        2
    } else {
        1
    };
    let end = version.match_indices('.').nth(parts - 1).map_or(version.len(), |(end, _)| end);
    (interface, &version[..end])
}

impl Guest {
    /// Closes what a dropped resource stood for.
    fn close_dropped(&self, fd: u32) -> wasmtime::Result<()> {
        // The program may have closed it by number already.
        let _ = descriptor::close(&self.task, fd);
        Ok(())
    }

    /// The task, for calls that outlive the borrow of the guest.
    fn task(&self) -> &Arc<Task> {
        &self.task
    }
}
