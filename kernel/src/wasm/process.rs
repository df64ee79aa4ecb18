//! A wasm process: a future on the kernel's runtime that runs one program after the other (exec) in a task, on a fiber.

use std::pin::pin;
use std::sync::Arc;

use wasmtime::component::ResourceTable;
use wasmtime::{Memory, ResourceLimiter, Store, UpdateDeadline};

use super::Shared;
use super::image::{Code, Ready};
use super::trap::{self, Death};
use crate::limits::{Charge, Limit};
use crate::process::{ExitStatus, FdEntry, FdFlags, Program, Task};
use crate::signal;
use crate::syscall::fs::open_file;
use crate::syscall::types::OpenFlags;

/// The lowest descriptor of the directory that a program starts with.
const PREOPEN_FD_MIN: u32 = 3;

/// What a store knows of its guest.
pub(crate) struct Guest {
    pub(crate) task: Arc<Task>,
    /// The memory that host functions read and write; known once the instance is made.
    pub(super) memory: Option<Memory>,
    /// The program that `exec` loaded, until the old one is unwound.
    pub(super) next: Option<Box<dyn Program>>,
    /// What components hold that is more than a descriptor: pollables and listings.
    pub(super) resources: ResourceTable,
    usage: MemoryUsage,
}

/// Why a guest was stopped by a host function.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Stop {
    /// It exits with this code.
    #[error("exit code {0}")]
    Exit(u32),
    /// A signal ends it.
    #[error("killed")]
    Killed,
    /// Another program takes its place.
    #[error("exec")]
    Exec,
}

/// A loaded image that will run once.
pub(super) struct WasmProgram {
    pub(super) shared: Arc<Shared>,
    pub(super) code: Arc<Code>,
}

impl Program for WasmProgram {
    fn start(self: Box<Self>, task: Arc<Task>) {
        crate::runtime::spawn(run(self.shared, self.code, task));
    }
}

/// How a program's run ended.
enum End {
    Status(ExitStatus),
    Exec(Box<dyn Program>),
}

/// Ends the task even when the run is dropped or panics, so that nobody waits for it for ever.
struct Ending(Option<Arc<Task>>);

impl Drop for Ending {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.finish(ExitStatus::Signaled(signal::KILL));
        }
    }
}

async fn run(shared: Arc<Shared>, code: Arc<Code>, task: Arc<Task>) {
    let mut ending = Ending(Some(task.clone()));
    let end = run_program(&shared, &code, &task).await;
    match end {
        End::Status(status) => task.finish(status),
        End::Exec(program) => {
            // Its own run ends the task from here on.
            ending.0 = None;
            program.start(task);
        }
    }
}

async fn run_program(shared: &Shared, code: &Code, task: &Arc<Task>) -> End {
    let place = match shared.engines.place() {
        Ok(place) => place,
        Err(error) => return End::Status(trap::report(task, Death::of_host(&error)).await),
    };
    let ready = match code.ready(place.tier()) {
        Ok(ready) => ready,
        Err(error) => return End::Status(trap::report(task, Death::of_host(&error)).await),
    };
    preopen(task);
    let mut store = Store::new(&place.tier().engine, Guest::new(task.clone()));
    store.limiter(|guest| &mut guest.usage);
    store.set_epoch_deadline(1);
    store.epoch_deadline_callback(|store| {
        if store.data().task.killed() {
            return Err(Stop::Killed.into());
        }
        Ok(UpdateDeadline::YieldCustom(1, Box::pin(tokio::task::yield_now())))
    });
    let result = {
        let guest = pin!(run_ready(&mut store, &ready));
        shared.engines.ticker.ticking(guest).await
    };
    let next = store.data_mut().next.take();
    // The instance goes back to its pool before anybody hears of the end: whoever waited finds its place free.
    drop(store);
    drop(place);
    match (result, next) {
        (Ok(()), _) => End::Status(ExitStatus::Exited(0)),
        (Err(error), next) => match (error.downcast_ref::<Stop>(), next) {
            (Some(Stop::Exit(code)), _) => End::Status(ExitStatus::Exited(*code as u8)),
            (Some(Stop::Exec), Some(program)) => End::Exec(program),
            (Some(Stop::Killed | Stop::Exec), _) => {
                End::Status(task.fatal_status().unwrap_or(ExitStatus::Signaled(signal::KILL)))
            }
            (None, _) if task.killed() => {
                End::Status(task.fatal_status().unwrap_or(ExitStatus::Signaled(signal::KILL)))
            }
            (None, _) => End::Status(trap::report(task, Death::of_trap(&error)).await),
        },
    }
}

async fn run_ready(store: &mut Store<Guest>, ready: &Ready) -> Result<(), wasmtime::Error> {
    match ready {
        Ready::Module(pre) => {
            let instance = pre.instantiate_async(&mut *store).await?;
            store.data_mut().memory = instance.get_memory(&mut *store, "memory");
            let start = instance.get_typed_func::<(), ()>(&mut *store, "_start")?;
            start.call_async(store, ()).await
        }
        Ready::Component(pre) => pre.run(store).await,
    }
}

/// Gives the program its directory `/`, at the lowest free descriptor from 3 on.
fn preopen(task: &Task) {
    let flags = OpenFlags::READ | OpenFlags::DIRECTORY;
    let entry = open_file(task, task.kernel().vfs.root(), "/", flags, 0)
        .map(|file| FdEntry { file, flags: FdFlags::CLOSE_ON_EXEC | FdFlags::PREOPEN });
    if let Err(errno) = entry.and_then(|entry| task.insert_fd(entry, PREOPEN_FD_MIN)) {
        tracing::warn!(pid = task.pid(), %errno, "a program starts without its directory");
    }
}

impl Guest {
    pub(crate) fn new(task: Arc<Task>) -> Self {
        let per_process_bytes_max = task.accountant().max(Limit::MemoryBytesPerProcess);
        let usage = MemoryUsage { task: task.clone(), charge: None, last_bytes: 0, per_process_bytes_max };
        Self { task, memory: None, next: None, resources: super::p2::resource_table(), usage }
    }
}

/// Charges a guest's memories and tables to its VM.
struct MemoryUsage {
    task: Arc<Task>,
    charge: Option<Charge>,
    /// What the last growth added, to be given back when it fails after all.
    last_bytes: u64,
    per_process_bytes_max: u64,
}

impl MemoryUsage {
    fn grow(&mut self, bytes: u64) -> bool {
        let before = self.charge.as_ref().map_or(0, Charge::amount);
        let Some(total) = before.checked_add(bytes).filter(|&total| total <= self.per_process_bytes_max) else {
            return false;
        };
        let charged = match &mut self.charge {
            Some(charge) => charge.resize(total),
            None => self.task.accountant().charge(Limit::MemoryBytes, total).map(|charge| self.charge = Some(charge)),
        };
        if charged.is_ok() {
            self.last_bytes = bytes;
        }
        charged.is_ok()
    }

    fn give_back(&mut self) {
        if let Some(charge) = &mut self.charge {
            let rest = charge.amount().saturating_sub(std::mem::take(&mut self.last_bytes));
            // Giving back never fails.
            let _ = charge.resize(rest);
        }
    }
}

impl ResourceLimiter for MemoryUsage {
    fn memory_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        Ok(self.grow(desired.saturating_sub(current) as u64))
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        tracing::debug!(%error, "a linear memory could not grow");
        self.give_back();
        Ok(())
    }

    fn table_growing(&mut self, current: usize, desired: usize, _: Option<usize>) -> wasmtime::Result<bool> {
        let elements = desired.saturating_sub(current);
        Ok(self.grow((elements as u64).saturating_mul(size_of::<usize>() as u64)))
    }

    fn table_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        tracing::debug!(%error, "a table could not grow");
        self.give_back();
        Ok(())
    }
}
