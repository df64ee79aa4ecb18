//! `wasi:io/streams`, over pipes and files.

use std::io::{Read, Write};
use std::time::Duration;

use super::super::bindings::wasi::wasi::cli::{stdin::Host as _, stdout::Host as _};
use super::super::bindings::wasi::wasi::filesystem::types::{
    DescriptorFlags, ErrorCode, Host as _, HostDescriptor, OpenFlags, PathFlags,
};
use super::super::bindings::wasi::wasi::io::error::HostError;
use super::super::bindings::wasi::wasi::io::streams::{
    self, Host as _, HostInputStream, HostOutputStream, InputStream, OutputStream,
};
use super::*;
use crate::process::{Object, StatusFlags};
use crate::signal;

fn file(stage: &mut Stage, bytes: &[u8]) -> Resource<Descriptor> {
    let root = stage.root();
    let flags = DescriptorFlags::READ | DescriptorFlags::WRITE;
    let file = stage.guest.open_at(root, PathFlags::empty(), "f".into(), OpenFlags::CREATE, flags).unwrap();
    HostDescriptor::write(&mut stage.guest, lend(&file), bytes.to_vec(), 0).unwrap();
    file
}

fn closed<T: std::fmt::Debug>(result: Result<T, StreamFailure>) {
    assert!(matches!(result, Err(StreamFailure::Closed)), "{result:?}");
}

fn stdin(stage: &mut Stage) -> Resource<InputStream> {
    stage.guest.get_stdin().unwrap()
}

fn stdout(stage: &mut Stage) -> Resource<OutputStream> {
    stage.guest.get_stdout().unwrap()
}

#[test]
fn an_empty_pipe_gives_nothing_then_bytes_then_the_end() {
    let mut stage = stage();
    let stream = stdin(&mut stage);
    assert_eq!(ok(HostInputStream::read(&mut stage.guest, lend(&stream), 10)), b"");
    let mut input = stage.process.stdin.take().unwrap();
    input.write_all(b"hello").unwrap();
    assert_eq!(ok(HostInputStream::read(&mut stage.guest, lend(&stream), 2)), b"he");
    assert_eq!(ok(stage.guest.skip(lend(&stream), 1)), 1);
    assert_eq!(ok(HostInputStream::read(&mut stage.guest, lend(&stream), 0)), b"");
    assert_eq!(ok(HostInputStream::read(&mut stage.guest, lend(&stream), u64::MAX)), b"lo");
    drop(input);
    closed(HostInputStream::read(&mut stage.guest, lend(&stream), 1));
    closed(block(stage.guest.blocking_read(lend(&stream), u64::MAX)));
    closed(block(stage.guest.blocking_skip(lend(&stream), 5)));
    HostInputStream::drop(&mut stage.guest, stream).unwrap();
    assert_eq!(stage.open_fds(), [0, 1, 2, 3], "standard input is lent, not closed");
}

#[test]
fn a_blocking_read_waits_for_bytes() {
    let mut stage = stage();
    let stream = stdin(&mut stage);
    let mut input = stage.process.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        input.write_all(b"late").unwrap();
        input
    });
    assert_eq!(ok(block(stage.guest.blocking_read(lend(&stream), 100))), b"late");
    drop(writer.join().unwrap());
    closed(block(stage.guest.blocking_read(lend(&stream), 100)));
}

#[test]
fn a_descriptor_that_others_set_to_not_wait_is_waited_for() {
    let mut stage = stage();
    let stream = stdin(&mut stage);
    stage.guest.task.file(0).unwrap().set_flags(StatusFlags::NON_BLOCKING);
    assert_eq!(ok(HostInputStream::read(&mut stage.guest, lend(&stream), 10)), b"");
    let mut input = stage.process.stdin.take().unwrap();
    let writer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        input.write_all(b"late").unwrap();
    });
    assert_eq!(ok(block(stage.guest.blocking_read(lend(&stream), 100))), b"late");
    writer.join().unwrap();
}

#[test]
fn a_full_pipe_permits_nothing_and_a_write_waits() {
    let mut stage = stage();
    let stream = stdout(&mut stage);
    assert_eq!(ok(stage.guest.check_write(lend(&stream))), 4096);
    let mut written = 0;
    while ok(stage.guest.check_write(lend(&stream))) > 0 {
        ok(block(HostOutputStream::write(&mut stage.guest, lend(&stream), vec![7; 4096])));
        written += 4096;
    }
    assert_eq!(written, 65_536);
    ok(stage.guest.flush(lend(&stream)));
    ok(stage.guest.blocking_flush(lend(&stream)));
    let mut output = stage.process.stdout.take().unwrap();
    let reader = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        let mut bytes = vec![0; 265_536 + 4096];
        output.read_exact(&mut bytes).unwrap();
        bytes
    });
    ok(block(HostOutputStream::write(&mut stage.guest, lend(&stream), vec![8; 200_000])));
    ok(block(stage.guest.blocking_write_zeroes_and_flush(lend(&stream), 4096)));
    let bytes = reader.join().unwrap();
    assert!(bytes[..65_536].iter().all(|&byte| byte == 7));
    assert!(bytes[65_536..265_536].iter().all(|&byte| byte == 8));
    assert!(bytes[265_536..].iter().all(|&byte| byte == 0));
}

#[test]
fn more_than_a_call_may_write_is_a_trap() {
    let mut stage = stage();
    let stream = stdout(&mut stage);
    let write = block(stage.guest.blocking_write_and_flush(lend(&stream), vec![0; 4097]));
    assert!(trap(write).contains("4097 bytes"));
    assert!(trap(block(stage.guest.blocking_write_zeroes_and_flush(lend(&stream), u64::MAX))).contains("allowed"));
    assert!(trap(block(stage.guest.write_zeroes(lend(&stream), u64::MAX))).contains("allowed"));
}

#[test]
fn a_write_without_a_reader_is_sigpipe_or_when_ignored_the_end() {
    let mut one = stage();
    drop(one.process.stdout.take());
    let stream = stdout(&mut one);
    assert!(ok(one.guest.check_write(lend(&stream))) > 0);
    let error = trap(block(one.guest.blocking_write_and_flush(lend(&stream), vec![1])));
    assert!(error.contains("killed"), "{error}");
    assert_eq!(one.guest.task.fatal_status(), Some(crate::process::ExitStatus::Signaled(signal::PIPE)));
    let mut two = stage();
    two.guest.task.ignore_signal(signal::PIPE, true);
    drop(two.process.stdout.take());
    let stream = stdout(&mut two);
    closed(block(two.guest.blocking_write_and_flush(lend(&stream), vec![1])));
    assert!(!two.guest.task.killed());
}

#[test]
fn streams_on_a_file_have_positions_of_their_own() {
    let mut stage = stage();
    let file = file(&mut stage, b"0123456789");
    let one = stage.guest.read_via_stream(lend(&file), 2).unwrap();
    let two = stage.guest.read_via_stream(lend(&file), 5).unwrap();
    assert_eq!(ok(HostInputStream::read(&mut stage.guest, lend(&one), 2)), b"23");
    assert_eq!(ok(HostInputStream::read(&mut stage.guest, lend(&two), 2)), b"56");
    assert_eq!(ok(block(stage.guest.blocking_read(lend(&one), 100))), b"456789");
    closed(HostInputStream::read(&mut stage.guest, lend(&one), 1));
    let out = stage.guest.write_via_stream(lend(&file), 8).unwrap();
    ok(block(stage.guest.blocking_write_and_flush(lend(&out), b"ABC".to_vec())));
    ok(block(stage.guest.blocking_write_and_flush(lend(&out), b"D".to_vec())));
    // What was the end is not any more.
    assert_eq!(ok(HostInputStream::read(&mut stage.guest, lend(&one), 9)), b"CD");
    let one_end = stage.guest.append_via_stream(lend(&file)).unwrap();
    let two_end = stage.guest.append_via_stream(lend(&file)).unwrap();
    for (stream, text) in [(&one_end, "x"), (&two_end, "y"), (&one_end, "z")] {
        ok(block(stage.guest.blocking_write_and_flush(lend(stream), text.into())));
    }
    assert_eq!(stage.vm.read_file("/f").unwrap(), b"01234567ABCDxyz");
    assert_eq!(
        HostDescriptor::read(&mut stage.guest, lend(&file), 3, 0).unwrap().0,
        b"012",
        "the descriptor itself has no position"
    );
}

#[test]
fn splicing_moves_from_stream_to_stream() {
    let mut stage = stage();
    let file = file(&mut stage, &[9; 10_000]);
    let from = stage.guest.read_via_stream(lend(&file), 0).unwrap();
    let to = stdout(&mut stage);
    assert_eq!(ok(block(stage.guest.splice(lend(&to), lend(&from), u64::MAX))), 4096, "what the pipe takes at once");
    assert_eq!(ok(block(stage.guest.blocking_splice(lend(&to), lend(&from), 5000))), 5000);
    assert_eq!(ok(block(stage.guest.splice(lend(&to), lend(&from), 5000))), 904);
    closed(block(stage.guest.splice(lend(&to), lend(&from), 1)));
    let empty = stdin(&mut stage);
    assert_eq!(ok(block(stage.guest.splice(lend(&to), lend(&empty), 10))), 0);
    let mut bytes = vec![0; 10_000];
    stage.process.stdout.take().unwrap().read_exact(&mut bytes).unwrap();
    assert_eq!(bytes, [9; 10_000]);
}

#[test]
fn an_error_tells_what_it_is() {
    let mut stage = stage();
    let stream: Resource<InputStream> = Resource::new_own(1);
    let failure = HostInputStream::read(&mut stage.guest, lend(&stream), 1).unwrap_err();
    let streams::StreamError::LastOperationFailed(error) = stage.guest.convert_stream_error(failure).unwrap() else {
        panic!("no error")
    };
    assert_eq!(stage.guest.filesystem_error_code(lend(&error)).unwrap(), Some(ErrorCode::BadDescriptor));
    assert!(stage.guest.to_debug_string(lend(&error)).unwrap().contains("EBADF"));
    HostError::drop(&mut stage.guest, error).unwrap();
}

#[test]
fn a_descriptor_closed_by_number_leaves_a_stream_that_fails() {
    let mut stage = stage();
    let file = file(&mut stage, b"abc");
    let stream = stage.guest.read_via_stream(lend(&file), 0).unwrap();
    crate::syscall::descriptor::close(&stage.guest.task, stream.rep()).unwrap();
    let result = HostInputStream::read(&mut stage.guest, lend(&stream), 1);
    assert!(matches!(result, Err(StreamFailure::Errno(Errno::Badf))), "{result:?}");
    HostInputStream::drop(&mut stage.guest, stream).unwrap();
}

#[test]
fn pipes_and_devices_have_streams_too() {
    let mut stage = stage();
    let root = stage.root();
    let flags = DescriptorFlags::READ | DescriptorFlags::WRITE;
    let null = stage.guest.open_at(lend(&root), PathFlags::empty(), "dev/zero".into(), OpenFlags::empty(), flags);
    let zero = null.unwrap();
    let from = stage.guest.read_via_stream(lend(&zero), 77).unwrap();
    assert_eq!(ok(HostInputStream::read(&mut stage.guest, lend(&from), 4)), [0; 4]);
    assert!(matches!(stage.guest.task.file(from.rep()).unwrap().object(), Object::Device(_)));
    let proc =
        stage.guest.open_at(root, PathFlags::empty(), "proc/uptime".into(), OpenFlags::empty(), DescriptorFlags::READ);
    let proc = proc.unwrap();
    let all = HostDescriptor::read(&mut stage.guest, lend(&proc), 100, 0).unwrap().0;
    let from = stage.guest.read_via_stream(lend(&proc), 2).unwrap();
    assert_eq!(ok(HostInputStream::read(&mut stage.guest, lend(&from), 100)), all[2..]);
}
