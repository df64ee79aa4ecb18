//! Arguments, environment, clocks, randomness and signals.

use wasmtime::Caller;

use super::super::call::{Call, Memory, Reply};
use super::super::process::{Guest, Stop};
use crate::Errno;
use crate::syscall;
use crate::wait::{SysError, SysResult};

/// How much randomness is made before others may run.
const RANDOM_CHUNK_BYTES: u32 = 1 << 20;

/// `clockid`: realtime and monotonic. The clocks of CPU time are not kept: `EINVAL`, as POSIX has it for a clock that is not there.
const CLOCK_REALTIME: u32 = 0;
const CLOCK_MONOTONIC: u32 = 1;

pub(super) fn args_sizes_get(call: &mut Call<'_>, count: u32, size: u32) -> SysResult<()> {
    let startup = call.task.startup();
    let lengths = startup.arguments.iter().map(String::len);
    sizes(&mut call.memory, lengths, count, size)
}

pub(super) fn args_get(call: &mut Call<'_>, pointers: u32, bytes: u32) -> SysResult<()> {
    let startup = call.task.startup();
    let strings = startup.arguments.iter().map(|argument| [argument.as_str(), "", ""]);
    strings_out(&mut call.memory, strings, pointers, bytes)
}

pub(super) fn environ_sizes_get(call: &mut Call<'_>, count: u32, size: u32) -> SysResult<()> {
    let startup = call.task.startup();
    let lengths = startup.environment.iter().map(|(key, value)| key.len() + 1 + value.len());
    sizes(&mut call.memory, lengths, count, size)
}

pub(super) fn environ_get(call: &mut Call<'_>, pointers: u32, bytes: u32) -> SysResult<()> {
    let startup = call.task.startup();
    let strings = startup.environment.iter().map(|(key, value)| [key.as_str(), "=", value.as_str()]);
    strings_out(&mut call.memory, strings, pointers, bytes)
}

fn sizes(
    memory: &mut Memory<'_>,
    lengths: impl Iterator<Item = usize>,
    count_out: u32,
    size_out: u32,
) -> SysResult<()> {
    let (count, size) = lengths.fold((0_usize, 0_usize), |(count, size), length| (count + 1, size + length + 1));
    memory.check(size_out, 4)?;
    memory.write_u32(count_out, u32::try_from(count).map_err(|_| Errno::Overflow)?)?;
    memory.write_u32(size_out, u32::try_from(size).map_err(|_| Errno::Overflow)?)?;
    Ok(())
}

/// Writes each string, made of its parts, with a NUL at `bytes`, and a pointer to each at `pointers`.
fn strings_out<'s>(
    memory: &mut Memory<'_>,
    strings: impl Iterator<Item = [&'s str; 3]>,
    mut pointers: u32,
    mut bytes: u32,
) -> SysResult<()> {
    for parts in strings {
        memory.write_u32(pointers, bytes)?;
        pointers = pointers.checked_add(4).ok_or(Errno::Fault)?;
        for part in parts.into_iter().chain(["\0"]) {
            memory.write(bytes, part.as_bytes())?;
            bytes = bytes.checked_add(part.len() as u32).ok_or(Errno::Fault)?;
        }
    }
    Ok(())
}

pub(super) fn clock_res_get(call: &mut Call<'_>, id: u32, out: u32) -> SysResult<()> {
    if id > CLOCK_MONOTONIC {
        return Err(Errno::Inval.into());
    }
    Ok(call.memory.write_u64(out, syscall::clock::resolution(call.task))?)
}

pub(super) fn clock_time_get(call: &mut Call<'_>, id: u32, _precision: u64, out: u32) -> SysResult<()> {
    let time = match id {
        CLOCK_REALTIME => u64::try_from(syscall::clock::realtime(call.task).as_nanos()).map_err(|_| Errno::Overflow)?,
        CLOCK_MONOTONIC => syscall::clock::monotonic(call.task),
        _ => return Err(Errno::Inval.into()),
    };
    Ok(call.memory.write_u64(out, time)?)
}

pub(super) fn random_get(mut caller: Caller<'_, Guest>, pointer: u32, length: u32) -> Reply<'_> {
    if length <= RANDOM_CHUNK_BYTES {
        let result = super::super::call::run_plain(&mut caller, |call| {
            let buffer = call.memory.slice_mut(pointer, length)?;
            syscall::random::fill(call.task, buffer)
        });
        return Box::new(std::future::ready(result));
    }
    Box::new(async move {
        let mut done = 0;
        while done < length {
            let chunk = (length - done).min(RANDOM_CHUNK_BYTES);
            let code = super::super::call::run_plain(&mut caller, |call| {
                call.memory.check(pointer, length)?;
                let buffer = call.memory.slice_mut(pointer + done, chunk)?;
                syscall::random::fill(call.task, buffer)
            })?;
            if code != 0 {
                return Ok(code);
            }
            if caller.data().task.killed() {
                return Err(Stop::Killed.into());
            }
            done += chunk;
            tokio::task::yield_now().await;
        }
        Ok(0)
    })
}

/// WASI's signal numbers are Linux's without number 16.
pub(super) fn proc_raise(call: &mut Call<'_>, signal: u32) -> SysResult<()> {
    let number = match signal {
        0..=15 => signal as u8,
        16..=30 => signal as u8 + 1,
        _ => return Err(Errno::Inval.into()),
    };
    syscall::signal::kill(call.task, call.task.pid(), number)?;
    // The value does not matter: a killed caller does not come back.
    if call.task.killed() { Err(SysError::Errno(Errno::Intr)) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_laid_out_with_pointers() {
        let mut bytes = [0xaa; 32];
        let mut memory = Memory::new(&mut bytes);
        strings_out(&mut memory, [["A", "=", "b"], ["", "", ""]].into_iter(), 0, 16).unwrap();
        assert_eq!(&bytes[..8], [16, 0, 0, 0, 20, 0, 0, 0]);
        assert_eq!(&bytes[16..22], b"A=b\0\0\xaa");
    }

    #[test]
    fn strings_that_do_not_fit_are_a_fault() {
        let mut bytes = [0; 8];
        for (pointers, at) in [(0, 8), (8, 0), (u32::MAX, 0), (0, u32::MAX)] {
            let mut memory = Memory::new(&mut bytes);
            let result = strings_out(&mut memory, [["ab", "", ""]].into_iter(), pointers, at);
            assert!(matches!(result, Err(SysError::Errno(Errno::Fault))), "{pointers} {at}");
        }
    }
}
