//! `eyot:kernel` for core modules: the flat signatures of `wit/kernel/CORE-ABI.md`.

use wasmtime::Caller;

use super::call::{self, Call, Memory, Piece, failure, plain, waiting};
use super::engine::HostLinker;
use super::process::{Guest, Stop};
use crate::Errno;
use crate::process::{FileAction, ProgramSpec};
use crate::syscall::types::{DescriptorFlags, OpenFlags, WaitFlags, WaitStatus};
use crate::syscall::{descriptor, pipe, process, signal};
use crate::wait::SysResult;

const PROCESS: &str = "eyot:kernel/process@0.1.0";
const DESCRIPTOR: &str = "eyot:kernel/descriptor@0.1.0";
const PIPE: &str = "eyot:kernel/pipe@0.1.0";
const SIGNAL: &str = "eyot:kernel/signal@0.1.0";

/// The record of `spawn` and `exec`.
const PROGRAM_BYTES: u32 = 48;

/// Flags of that record.
const SEARCH_PATH: u32 = 1;
const REPLACE_ENVIRONMENT: u32 = 2;
const PROCESS_GROUP: u32 = 4;
const NEW_SESSION: u32 = 8;

/// A file action: six numbers.
const ACTION_BYTES: u32 = 24;
const ACTIONS_MAX: u32 = 4096;

pub(super) fn add_to_linker(linker: &mut HostLinker) -> Result<(), wasmtime::Error> {
    linker.func_wrap(PROCESS, "spawn", |mut caller: Caller<'_, Guest>, args: u32, size: u32, pid: u32| {
        call::run_plain(&mut caller, |call| spawn(call, args, size, pid))
    })?;
    linker.func_wrap(PROCESS, "exec", exec)?;
    waiting!(linker, PROCESS, "wait", wait, (pid: i32, flags: u32, out: u32));
    linker.func_wrap(PROCESS, "getpid", |caller: Caller<'_, Guest>| caller.data().task.pid())?;
    linker.func_wrap(PROCESS, "getppid", |caller: Caller<'_, Guest>| caller.data().task.ppid())?;
    plain!(linker, PROCESS, "getcwd", getcwd, (buffer: u32, length: u32, out: u32));
    waiting!(linker, PROCESS, "chdir", chdir, (path: u32, length: u32));
    plain!(linker, PROCESS, "getpgid", getpgid, (pid: i32, out: u32));
    plain!(linker, PROCESS, "setpgid", setpgid, (pid: i32, group: i32));
    plain!(linker, DESCRIPTOR, "dup", dup, (fd: u32, min: u32, out: u32));
    waiting!(linker, DESCRIPTOR, "dup2", dup2, (from: u32, to: u32));
    plain!(linker, DESCRIPTOR, "get-flags", get_flags, (fd: u32, out: u32));
    plain!(linker, DESCRIPTOR, "set-flags", set_flags, (fd: u32, flags: u32));
    plain!(linker, PIPE, "pipe", make_pipe, (flags: u32, out: u32));
    plain!(linker, SIGNAL, "kill", kill, (pid: i32, signal: u32));
    plain!(linker, SIGNAL, "set-disposition", set_disposition, (signal: u32, to: u32, out: u32));
    Ok(())
}

fn spawn(call: &mut Call<'_>, args: u32, size: u32, out: u32) -> SysResult<()> {
    call.memory.check(out, 4)?;
    let spec = program(&call.memory, args, size)?;
    let pid = process::spawn(call.task, spec).map_err(|error| {
        tracing::debug!(%error, "spawn");
        error.errno
    })?;
    Ok(call.memory.write_u32(out, pid as u32)?)
}

/// Loads the new program first: when that fails, the old one goes on. Then the old one is unwound, and the run loop starts the new one.
fn exec(mut caller: Caller<'_, Guest>, args: u32, size: u32) -> Result<u32, wasmtime::Error> {
    let call = Call::of(&mut caller)?;
    let spec = match program(&call.memory, args, size) {
        Ok(spec) => spec,
        Err(errno) => return failure(call.task, errno),
    };
    match process::exec(call.task, spec) {
        Ok(program) => {
            caller.data_mut().next = Some(program);
            Err(Stop::Exec.into())
        }
        Err(error) => {
            tracing::debug!(%error, "exec");
            failure(call.task, error.errno)
        }
    }
}

/// Decodes the record. Errors: `EFAULT`, `EINVAL` (a record of another size, unknown flags), `EILSEQ`, `E2BIG`.
fn program(memory: &Memory<'_>, args: u32, size: u32) -> Result<ProgramSpec, Errno> {
    if size != PROGRAM_BYTES {
        return Err(Errno::Inval);
    }
    memory.check(args, PROGRAM_BYTES)?;
    let field = |offset: u32| memory.u32(args + offset);
    let piece = |offset: u32| Ok::<_, Errno>(Piece { pointer: field(offset)?, length: field(offset + 4)? });
    let flags = field(40)?;
    if flags & !(SEARCH_PATH | REPLACE_ENVIRONMENT | PROCESS_GROUP | NEW_SESSION) != 0 {
        return Err(Errno::Inval);
    }
    let environment = match flags & REPLACE_ENVIRONMENT {
        0 => None,
        _ => Some(block(memory, piece(16)?)?.map(variable).collect::<Result<_, _>>()?),
    };
    let working_directory = match piece(24)? {
        Piece { length: 0, .. } => None,
        path => Some(memory.text(path)?.to_owned()),
    };
    let process_group = if flags & PROCESS_GROUP != 0 { Some(field(44)? as i32) } else { None };
    Ok(ProgramSpec {
        path: memory.text(piece(0)?)?.to_owned(),
        search_path: flags & SEARCH_PATH != 0,
        arguments: block(memory, piece(8)?)?.map(str::to_owned).collect(),
        environment,
        working_directory,
        actions: actions(memory, piece(32)?)?,
        process_group,
        new_session: flags & NEW_SESSION != 0,
    })
}

/// The strings of a block: each ends in a NUL. Errors: `EINVAL` when the last one does not.
fn block<'m>(memory: &'m Memory<'_>, piece: Piece) -> Result<impl Iterator<Item = &'m str> + use<'m>, Errno> {
    let text = memory.text(piece)?;
    let strings = match text.strip_suffix('\0') {
        Some(strings) => Some(strings.split('\0')),
        None if text.is_empty() => None,
        None => return Err(Errno::Inval),
    };
    Ok(strings.into_iter().flatten())
}

/// `NAME=value`; what has no `=` is a name with an empty value.
fn variable(text: &str) -> Result<(String, String), Errno> {
    let (name, value) = text.split_once('=').unwrap_or((text, ""));
    if name.is_empty() { Err(Errno::Inval) } else { Ok((name.to_owned(), value.to_owned())) }
}

fn actions(memory: &Memory<'_>, Piece { pointer, length: count }: Piece) -> Result<Vec<FileAction>, Errno> {
    if count > ACTIONS_MAX {
        return Err(Errno::Inval);
    }
    memory.check(pointer, count * ACTION_BYTES)?;
    (0..count).map(|index| action(memory, pointer + index * ACTION_BYTES)).collect()
}

fn action(memory: &Memory<'_>, at: u32) -> Result<FileAction, Errno> {
    let field = |index: u32| memory.u32(at + 4 * index);
    let (fd, a) = (field(1)?, field(2)?);
    match field(0)? {
        0 => Ok(FileAction::Dup2 { from: a, to: fd }),
        1 => Ok(FileAction::Close(fd)),
        2 => Ok(FileAction::Open {
            fd,
            path: memory.text(Piece { pointer: a, length: field(3)? })?.to_owned(),
            flags: linux_open_flags(field(4)?)?,
            mode: field(5)?,
        }),
        _ => Err(Errno::Inval),
    }
}

/// Linux's `O_` bits (x86), of open(2). Errors: `EINVAL` for those that mean nothing here.
fn linux_open_flags(bits: u32) -> Result<OpenFlags, Errno> {
    const ACCESS_MODE: u32 = 3;
    // O_NOCTTY, O_DSYNC, O_LARGEFILE, O_SYNC: nothing to do.
    const WITHOUT_EFFECT: u32 = 0o400 | 0o10000 | 0o100000 | 0o4000000;
    const FLAGS: [(u32, OpenFlags); 9] = [
        (0o100, OpenFlags::CREATE),
        (0o200, OpenFlags::EXCLUSIVE),
        (0o1000, OpenFlags::TRUNCATE),
        (0o2000, OpenFlags::APPEND),
        (0o4000, OpenFlags::NON_BLOCKING),
        (0o200000, OpenFlags::DIRECTORY),
        (0o400000, OpenFlags::NO_FOLLOW),
        (0o2000000, OpenFlags::CLOSE_ON_EXEC),
        (0o10000000, OpenFlags::PATH_ONLY),
    ];
    let mut flags = match bits & ACCESS_MODE {
        0 => OpenFlags::READ,
        1 => OpenFlags::WRITE,
        2 => OpenFlags::READ | OpenFlags::WRITE,
        _ => return Err(Errno::Inval),
    };
    let mut rest = bits & !(ACCESS_MODE | WITHOUT_EFFECT);
    for (bit, flag) in FLAGS {
        flags.set(flag, rest & bit != 0);
        rest &= !bit;
    }
    if rest == 0 { Ok(flags) } else { Err(Errno::Inval) }
}

fn wait(call: &mut Call<'_>, pid: i32, flags: u32, out: u32) -> SysResult<()> {
    call.memory.check(out, 12)?;
    let flags = WaitFlags::from_bits(flags).ok_or(Errno::Inval)?;
    let [pid, kind, value] = match process::wait(call.task, pid, flags)? {
        None => [0, 0, 0],
        Some((pid, WaitStatus::Exited(code))) => [pid as u32, 1, code.into()],
        Some((pid, WaitStatus::Signaled(signal))) => [pid as u32, 2, signal.into()],
        Some((pid, WaitStatus::Stopped(signal))) => [pid as u32, 3, signal.into()],
        Some((pid, WaitStatus::Continued)) => [pid as u32, 4, 0],
    };
    let mut record = [0; 12];
    for (bytes, number) in record.chunks_exact_mut(4).zip([pid, kind, value]) {
        bytes.copy_from_slice(&number.to_le_bytes());
    }
    Ok(call.memory.write(out, &record)?)
}

fn getcwd(call: &mut Call<'_>, buffer: u32, length: u32, out: u32) -> SysResult<()> {
    call.memory.check(buffer, length)?;
    let path = process::getcwd(call.task)?;
    call.memory.write_u32(out, path.len() as u32)?;
    if path.len() > length as usize {
        return Err(Errno::Range.into());
    }
    Ok(call.memory.write(buffer, path.as_bytes())?)
}

fn chdir(call: &mut Call<'_>, path: u32, length: u32) -> SysResult<()> {
    process::chdir(call.task, call.memory.text(Piece { pointer: path, length })?)
}

fn getpgid(call: &mut Call<'_>, pid: i32, out: u32) -> SysResult<()> {
    let group = process::getpgid(call.task, pid)?;
    Ok(call.memory.write_u32(out, group as u32)?)
}

fn setpgid(call: &mut Call<'_>, pid: i32, group: i32) -> SysResult<()> {
    process::setpgid(call.task, pid, group)
}

fn dup(call: &mut Call<'_>, fd: u32, min: u32, out: u32) -> SysResult<()> {
    call.memory.check(out, 4)?;
    let copy = descriptor::dup(call.task, fd, min)?;
    Ok(call.memory.write_u32(out, copy)?)
}

fn dup2(call: &mut Call<'_>, from: u32, to: u32) -> SysResult<()> {
    descriptor::dup2(call.task, from, to)
}

/// The two flags that core modules see; `append` belongs to WASI's own `fd_fdstat_set_flags`.
const VISIBLE: DescriptorFlags = DescriptorFlags::CLOSE_ON_EXEC.union(DescriptorFlags::NON_BLOCKING);

fn get_flags(call: &mut Call<'_>, fd: u32, out: u32) -> SysResult<()> {
    let flags = descriptor::get_flags(call.task, fd)? & VISIBLE;
    Ok(call.memory.write_u32(out, flags.bits())?)
}

fn set_flags(call: &mut Call<'_>, fd: u32, flags: u32) -> SysResult<()> {
    let wanted = DescriptorFlags::from_bits(flags).filter(|flags| VISIBLE.contains(*flags)).ok_or(Errno::Inval)?;
    let others = descriptor::get_flags(call.task, fd)? - VISIBLE;
    descriptor::set_flags(call.task, fd, wanted | others)
}

fn make_pipe(call: &mut Call<'_>, flags: u32, out: u32) -> SysResult<()> {
    call.memory.check(out, 8)?;
    let flags = DescriptorFlags::from_bits(flags).filter(|flags| VISIBLE.contains(*flags)).ok_or(Errno::Inval)?;
    let (reader, writer) = pipe::pipe(call.task, flags)?;
    Ok(call.memory.write_u64(out, u64::from(writer) << 32 | u64::from(reader))?)
}

fn kill(call: &mut Call<'_>, pid: i32, number: u32) -> SysResult<()> {
    let number = u8::try_from(number).map_err(|_| Errno::Inval)?;
    signal::kill(call.task, pid, number)?;
    // A caller that killed itself does not come back; the value does not matter.
    if call.task.killed() { Err(Errno::Intr.into()) } else { Ok(()) }
}

fn set_disposition(call: &mut Call<'_>, number: u32, to: u32, out: u32) -> SysResult<()> {
    call.memory.check(out, 4)?;
    let number = u8::try_from(number).map_err(|_| Errno::Inval)?;
    let ignore = match to {
        0 => false,
        1 => true,
        _ => return Err(Errno::Inval.into()),
    };
    let before = signal::set_disposition(call.task, number, ignore)?;
    Ok(call.memory.write_u32(out, before.into())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(fields: [u32; 12]) -> Vec<u8> {
        fields.iter().flat_map(|field| field.to_le_bytes()).collect()
    }

    fn decode(fields: [u32; 12], rest: &[u8]) -> Result<ProgramSpec, Errno> {
        let mut bytes = record(fields);
        bytes.extend_from_slice(rest);
        program(&Memory::new(&mut bytes), 0, PROGRAM_BYTES)
    }

    #[test]
    fn a_program_is_decoded() {
        let spec = decode([48, 2, 50, 4, 54, 4, 0, 0, 0, 0, 3, 0], b"sha\0b\0C=d\0").unwrap();
        assert_eq!((spec.path.as_str(), spec.search_path), ("sh", true));
        assert_eq!(spec.arguments, ["a", "b"]);
        assert_eq!(spec.environment, Some(vec![("C".into(), "d".into())]));
        assert_eq!((spec.working_directory, spec.process_group, spec.new_session), (None, None, false));
        let spec = decode([48, 1, 0, 0, 0, 0, 49, 4, 0, 0, 4 | 8, 7], b"x/tmp").unwrap();
        assert_eq!((spec.working_directory.as_deref(), spec.process_group), (Some("/tmp"), Some(7)));
        assert!(spec.new_session && spec.environment.is_none() && spec.arguments.is_empty());
    }

    #[test]
    fn hostile_records_are_refused() {
        let zero = [0; 12];
        let with = |index: usize, value| {
            let mut fields = zero;
            fields[index] = value;
            decode(fields, b"").err()
        };
        assert!(decode(zero, b"").is_ok());
        assert_eq!(with(1, 49), Some(Errno::Fault));
        assert_eq!(with(0, u32::MAX), Some(Errno::Fault));
        assert_eq!(with(3, 4), None, "four NULs are four empty arguments");
        assert_eq!(with(9, ACTIONS_MAX + 1), Some(Errno::Inval));
        assert_eq!(with(9, u32::MAX), Some(Errno::Inval));
        assert_eq!(with(9, 3), Some(Errno::Fault));
        assert_eq!(with(10, 16), Some(Errno::Inval));
        let mut bytes = record(zero);
        assert_eq!(program(&Memory::new(&mut bytes), 0, 47).err(), Some(Errno::Inval));
        assert_eq!(program(&Memory::new(&mut bytes), 1, PROGRAM_BYTES).err(), Some(Errno::Fault));
        assert_eq!(program(&Memory::new(&mut bytes), u32::MAX, PROGRAM_BYTES).err(), Some(Errno::Fault));
        assert_eq!(
            decode([48, 0, 48, 2, 0, 0, 0, 0, 0, 0, 0, 0], b"ab").err(),
            Some(Errno::Inval),
            "no NUL at the end"
        );
    }

    #[test]
    fn actions_are_decoded() {
        let fields: Vec<u32> = vec![0, 1, 5, 0, 0, 0, 1, 7, 0, 0, 0, 0, 2, 0, 72, 4, 0o1101, 0o644];
        let mut bytes: Vec<u8> = fields.iter().flat_map(|field| field.to_le_bytes()).collect();
        bytes.extend_from_slice(b"/out");
        let decoded = actions(&Memory::new(&mut bytes), Piece { pointer: 0, length: 3 }).unwrap();
        assert!(matches!(decoded[0], FileAction::Dup2 { from: 5, to: 1 }));
        assert!(matches!(decoded[1], FileAction::Close(7)));
        let FileAction::Open { fd: 0, path, flags, mode: 0o644 } = &decoded[2] else { panic!("{:?}", decoded[2]) };
        assert_eq!(path, "/out");
        assert_eq!(*flags, OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::TRUNCATE);
    }

    #[test]
    fn linux_flags_are_translated() {
        assert_eq!(linux_open_flags(0), Ok(OpenFlags::READ));
        assert_eq!(linux_open_flags(0o2002 | 0o400), Ok(OpenFlags::READ | OpenFlags::WRITE | OpenFlags::APPEND));
        assert_eq!(linux_open_flags(3), Err(Errno::Inval));
        assert_eq!(linux_open_flags(1 << 31), Err(Errno::Inval));
    }
}
