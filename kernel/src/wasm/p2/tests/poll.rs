//! `wasi:io/poll` and `wasi:clocks`.

use std::io::Write;
use std::time::{Duration, Instant};

use super::super::bindings::wasi::wasi::cli::{stdin::Host as _, stdout::Host as _};
use super::super::bindings::wasi::wasi::clocks::monotonic_clock;
use super::super::bindings::wasi::wasi::clocks::wall_clock;
use super::super::bindings::wasi::wasi::io::poll::{Host as _, HostPollable};
use super::super::bindings::wasi::wasi::io::streams::{HostInputStream, HostOutputStream};
use super::super::poll::Pollable;
use super::*;
use crate::signal;

const MILLISECOND: u64 = 1_000_000;

fn after(stage: &mut Stage, nanoseconds: u64) -> Resource<Pollable> {
    monotonic_clock::Host::subscribe_duration(&mut stage.guest, nanoseconds).unwrap()
}

fn input(stage: &mut Stage) -> Resource<Pollable> {
    let stream = stage.guest.get_stdin().unwrap();
    HostInputStream::subscribe(&mut stage.guest, stream).unwrap()
}

fn output(stage: &mut Stage) -> Resource<Pollable> {
    let stream = stage.guest.get_stdout().unwrap();
    HostOutputStream::subscribe(&mut stage.guest, stream).unwrap()
}

fn poll(stage: &mut Stage, list: &[&Resource<Pollable>]) -> Vec<u32> {
    block(stage.guest.poll(list.iter().map(|pollable| lend(*pollable)).collect())).unwrap()
}

#[test]
fn the_first_of_clock_and_stdin_ends_a_poll() {
    let mut stage = stage();
    let (soon, late) = (after(&mut stage, 10 * MILLISECOND), after(&mut stage, 60_000 * MILLISECOND));
    let stdin = input(&mut stage);
    let begun = Instant::now();
    assert_eq!(poll(&mut stage, &[&late, &stdin, &soon]), [2]);
    assert!(begun.elapsed() >= Duration::from_millis(9), "{:?}", begun.elapsed());
    let mut writer = stage.process.stdin.take().unwrap();
    let thread = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(10));
        writer.write_all(b"x").unwrap();
        writer
    });
    assert_eq!(poll(&mut stage, &[&late, &stdin]), [1]);
    assert_eq!(poll(&mut stage, &[&soon, &late, &stdin, &soon]), [0, 2, 3], "all that are ready, in order");
    drop(thread.join().unwrap());
}

#[test]
fn the_end_of_stdin_is_ready() {
    let mut stage = stage();
    let stdin = input(&mut stage);
    assert!(!stage.guest.ready(lend(&stdin)).unwrap());
    drop(stage.process.stdin.take());
    assert!(stage.guest.ready(lend(&stdin)).unwrap());
    block(stage.guest.block(lend(&stdin))).unwrap();
}

#[test]
fn a_full_pipe_is_not_ready_until_it_is_read() {
    let mut stage = stage();
    let stdout = output(&mut stage);
    assert!(stage.guest.ready(lend(&stdout)).unwrap());
    let full = crate::syscall::descriptor::write(&stage.guest.task, 1, &[0; 65_536]).unwrap();
    assert_eq!(full, 65_536);
    assert!(!stage.guest.ready(lend(&stdout)).unwrap());
    drop(stage.process.stdout.take());
    assert!(stage.guest.ready(lend(&stdout)).unwrap(), "a write would fail at once");
}

#[test]
fn clocks_tell_the_time_and_end_waits() {
    let mut stage = stage();
    let now = monotonic_clock::Host::now(&mut stage.guest).unwrap();
    let past = monotonic_clock::Host::subscribe_instant(&mut stage.guest, now).unwrap();
    assert!(stage.guest.ready(lend(&past)).unwrap());
    let never = after(&mut stage, u64::MAX);
    assert!(!stage.guest.ready(lend(&never)).unwrap());
    let soon = after(&mut stage, 5 * MILLISECOND);
    block(stage.guest.block(lend(&soon))).unwrap();
    assert!(monotonic_clock::Host::now(&mut stage.guest).unwrap() >= now + 5 * MILLISECOND);
    assert_eq!(monotonic_clock::Host::resolution(&mut stage.guest).unwrap(), 1000);
    assert!(wall_clock::Host::now(&mut stage.guest).unwrap().seconds > 1_700_000_000);
    assert_eq!(wall_clock::Host::resolution(&mut stage.guest).unwrap().nanoseconds, 1000);
    for pollable in [past, never, soon] {
        HostPollable::drop(&mut stage.guest, pollable).unwrap();
    }
    assert!(stage.guest.resources.is_empty());
}

#[test]
fn lists_that_cannot_be_are_traps() {
    let mut stage = stage();
    assert!(block(stage.guest.poll(Vec::new())).unwrap_err().to_string().contains("empty"));
    let stdin = input(&mut stage);
    let list = (0..5000).map(|_| lend(&stdin)).collect();
    assert!(block(stage.guest.poll(list)).unwrap_err().to_string().contains("too long"));
    // A resource that was dropped: wasmtime lets no guest do it, and here it is an error all the same.
    HostPollable::drop(&mut stage.guest, lend_own(&stdin)).unwrap();
    assert!(block(stage.guest.poll(vec![lend(&stdin)])).is_err());
    assert!(stage.guest.ready(lend(&stdin)).is_err());
    assert!(HostPollable::drop(&mut stage.guest, stdin).is_err());
}

fn lend_own(resource: &Resource<Pollable>) -> Resource<Pollable> {
    Resource::new_own(resource.rep())
}

#[test]
fn a_pollable_outlives_its_stream_and_is_ready() {
    let mut stage = stage();
    let (reader, writer) = crate::syscall::pipe::pipe(&stage.guest.task, Default::default()).unwrap();
    let stream = Resource::new_own(reader);
    let pollable = HostInputStream::subscribe(&mut stage.guest, lend(&stream)).unwrap();
    assert!(!stage.guest.ready(lend(&pollable)).unwrap());
    HostInputStream::drop(&mut stage.guest, stream).unwrap();
    assert!(stage.guest.ready(lend(&pollable)).unwrap(), "what is not open does not wait");
    assert_eq!(poll(&mut stage, &[&pollable]), [0]);
    crate::syscall::descriptor::close(&stage.guest.task, writer).unwrap();
}

#[test]
fn a_kill_ends_a_wait() {
    let mut stage = stage();
    let (never, stdin) = (after(&mut stage, u64::MAX), input(&mut stage));
    let task = stage.guest.task.clone();
    let killer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(20));
        task.signal(signal::TERM);
    });
    let error = block(stage.guest.poll(vec![lend(&never), lend(&stdin)])).unwrap_err();
    assert!(error.to_string().contains("killed"), "{error}");
    killer.join().unwrap();
}

#[test]
fn pollables_without_end_end_the_program() {
    let mut stage = stage();
    for _ in 0..super::super::RESOURCES_MAX {
        after(&mut stage, 1);
    }
    assert!(monotonic_clock::Host::subscribe_duration(&mut stage.guest, 1).is_err());
}
