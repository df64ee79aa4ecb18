//! How a host function is called: the guest's memory, the calling task, and what an answer or a wait becomes.
//!
//! A host function is a plain function from [`Call`] and its arguments to a `SysResult`. [`run_plain`] runs one that never waits; [`run_waiting`] runs one that
//! may, without allocating anything of its own unless it does wait.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use wasmtime::{Caller, Extern};

use super::process::{Guest, Stop};
use crate::Errno;
use crate::process::Task;
use crate::wait::{SysError, SysResult, Wait, Woken};

/// A host function's view of its caller.
pub(super) struct Call<'a> {
    /// The guest's linear memory.
    pub(super) memory: Memory<'a>,
    /// The calling task.
    pub(super) task: &'a Arc<Task>,
}

/// Linear memory, looked at only through checks. Every error is `EFAULT`.
pub(super) struct Memory<'a>(&'a mut [u8]);

/// A piece of memory that a guest names.
#[derive(Clone, Copy)]
pub(super) struct Piece {
    pub(super) pointer: u32,
    pub(super) length: u32,
}

impl<'a> Call<'a> {
    pub(super) fn of(caller: &'a mut Caller<'_, Guest>) -> Result<Self, wasmtime::Error> {
        let memory = match caller.data().memory {
            Some(memory) => memory,
            // Only a module's start function calls before the memory is known.
            None => match caller.get_export("memory") {
                Some(Extern::Memory(memory)) => memory,
                _ => {
                    return Err(wasmtime::Error::msg(
                        "the program calls the system but exports no memory named 'memory'",
                    ));
                }
            },
        };
        let (bytes, guest) = memory.data_and_store_mut(caller);
        Ok(Self { memory: Memory(bytes), task: &guest.task })
    }
}

impl<'a> Memory<'a> {
    #[cfg(test)]
    pub(super) fn new(bytes: &'a mut [u8]) -> Self {
        Self(bytes)
    }

    pub(super) fn slice(&self, pointer: u32, length: u32) -> Result<&[u8], Errno> {
        let start = pointer as usize;
        self.0.get(start..).and_then(|rest| rest.get(..length as usize)).ok_or(Errno::Fault)
    }

    pub(super) fn slice_mut(&mut self, pointer: u32, length: u32) -> Result<&mut [u8], Errno> {
        let start = pointer as usize;
        self.0.get_mut(start..).and_then(|rest| rest.get_mut(..length as usize)).ok_or(Errno::Fault)
    }

    /// Whether a piece lies inside: asked before a call whose effect could not be told otherwise.
    pub(super) fn check(&self, pointer: u32, length: u32) -> Result<(), Errno> {
        self.slice(pointer, length).map(drop)
    }

    fn array<const N: usize>(&self, pointer: u32) -> Result<[u8; N], Errno> {
        let bytes = self.slice(pointer, N as u32)?;
        let mut array = [0; N];
        array.copy_from_slice(bytes);
        Ok(array)
    }

    pub(super) fn write(&mut self, pointer: u32, bytes: &[u8]) -> Result<(), Errno> {
        let length = u32::try_from(bytes.len()).map_err(|_| Errno::Fault)?;
        self.slice_mut(pointer, length)?.copy_from_slice(bytes);
        Ok(())
    }

    pub(super) fn u32(&self, pointer: u32) -> Result<u32, Errno> {
        self.array(pointer).map(u32::from_le_bytes)
    }

    pub(super) fn u16(&self, pointer: u32) -> Result<u16, Errno> {
        self.array(pointer).map(u16::from_le_bytes)
    }

    pub(super) fn u64(&self, pointer: u32) -> Result<u64, Errno> {
        self.array(pointer).map(u64::from_le_bytes)
    }

    pub(super) fn write_u32(&mut self, pointer: u32, value: u32) -> Result<(), Errno> {
        self.write(pointer, &value.to_le_bytes())
    }

    pub(super) fn write_u64(&mut self, pointer: u32, value: u64) -> Result<(), Errno> {
        self.write(pointer, &value.to_le_bytes())
    }

    /// A string. Errors: `EFAULT`, `EILSEQ` when it is no UTF-8.
    pub(super) fn text(&self, piece: Piece) -> Result<&str, Errno> {
        let bytes = self.slice(piece.pointer, piece.length)?;
        std::str::from_utf8(bytes).map_err(|_| Errno::Ilseq)
    }
}

/// What a host function's future is for wasmtime.
pub(super) type Reply<'a> = Box<dyn Future<Output = Result<u32, wasmtime::Error>> + Send + 'a>;

/// An answer of 0 as a future of no size: boxing it allocates nothing.
struct Success;

impl Future for Success {
    type Output = Result<u32, wasmtime::Error>;

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Self::Output> {
        Poll::Ready(Ok(0))
    }
}

enum Attempt {
    Done(Result<u32, wasmtime::Error>),
    Wait(Wait),
}

fn attempt(caller: &mut Caller<'_, Guest>, function: impl Fn(&mut Call<'_>) -> SysResult<()>) -> Attempt {
    let mut call = match Call::of(caller) {
        Ok(call) => call,
        Err(error) => return Attempt::Done(Err(error)),
    };
    match function(&mut call) {
        Ok(()) => Attempt::Done(Ok(0)),
        Err(SysError::Errno(errno)) => Attempt::Done(failure(call.task, errno)),
        Err(SysError::Wait(wait)) => Attempt::Wait(wait),
    }
}

/// What an errno becomes. A call that killed its caller (a write to a broken pipe) does not come back.
pub(super) fn failure(task: &Task, errno: Errno) -> Result<u32, wasmtime::Error> {
    if task.killed() { Err(Stop::Killed.into()) } else { Ok(errno.wasi().into()) }
}

/// Runs a host function that never waits.
pub(super) fn run_plain(
    caller: &mut Caller<'_, Guest>,
    function: impl Fn(&mut Call<'_>) -> SysResult<()>,
) -> Result<u32, wasmtime::Error> {
    match attempt(caller, function) {
        Attempt::Done(result) => result,
        // The call is registered as one that does not wait: a defect of this executor, told as the nearest errno.
        Attempt::Wait(_) => {
            debug_assert!(false, "a plain host function must not wait");
            Ok(Errno::Again.wasi().into())
        }
    }
}

/// Runs a host function that may wait: again after each wait, until it is done or the task was killed.
pub(super) fn run_waiting<'a, F>(mut caller: Caller<'a, Guest>, function: F) -> Reply<'a>
where
    F: Fn(&mut Call<'_>) -> SysResult<()> + Send + 'a,
{
    match attempt(&mut caller, &function) {
        Attempt::Done(Ok(0)) => Box::new(Success),
        Attempt::Done(result) => Box::new(std::future::ready(result)),
        Attempt::Wait(mut wait) => Box::new(async move {
            loop {
                let task = caller.data().task.clone();
                if task.suspend(wait).await == Woken::Killed {
                    return Err(Stop::Killed.into());
                }
                match attempt(&mut caller, &function) {
                    Attempt::Done(result) => return result,
                    Attempt::Wait(again) => wait = again,
                }
            }
        }),
    }
}

/// Registers a host function that never waits.
macro_rules! plain {
    ($linker:ident, $module:expr, $name:literal, $function:path, ($($argument:ident: $type:ty),*)) => {
        $linker.func_wrap($module, $name, |mut caller: ::wasmtime::Caller<'_, $crate::wasm::process::Guest>, $($argument: $type),*| {
            $crate::wasm::call::run_plain(&mut caller, |call| $function(call, $($argument),*))
        })?
    };
}

/// Registers a host function that may wait.
macro_rules! waiting {
    ($linker:ident, $module:expr, $name:literal, $function:path, ($($argument:ident: $type:ty),*)) => {
        $linker.func_wrap_async(
            $module,
            $name,
            |caller: ::wasmtime::Caller<'_, $crate::wasm::process::Guest>, ($($argument,)*): ($($type,)*)| {
                $crate::wasm::call::run_waiting(caller, move |call| $function(call, $($argument),*))
            },
        )?
    };
}

pub(super) use {plain, waiting};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pointers_and_lengths_outside_are_faults() {
        let mut bytes = *b"\x01\x02\x03\x04\x05\x06\x07\x08";
        let mut memory = Memory::new(&mut bytes);
        assert_eq!(memory.u32(4), Ok(0x0807_0605));
        assert_eq!(memory.u32(1), Ok(0x0504_0302), "misaligned is fine");
        for pointer in [5, 8, 9, u32::MAX, u32::MAX - 3] {
            assert_eq!(memory.u32(pointer), Err(Errno::Fault));
            assert_eq!(memory.write_u64(pointer, 0), Err(Errno::Fault));
        }
        assert_eq!(memory.slice(8, 0), Ok(&[][..]), "nothing, at the very end");
        assert_eq!(memory.slice(9, 0), Err(Errno::Fault));
        assert_eq!(memory.slice(1, u32::MAX), Err(Errno::Fault));
        assert_eq!(memory.text(Piece { pointer: 0, length: 4 }), Ok("\x01\x02\x03\x04"));
        memory.write(0, &[0xff]).unwrap();
        assert_eq!(memory.text(Piece { pointer: 0, length: 1 }), Err(Errno::Ilseq));
    }
}
