//! The cache of pages: what is written and held back.

mod common;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use common::far::Far;
use common::now;
use common::random::Random;
use eyot_backend::{Errno, Filesystem, Ownership, Timestamp};
use eyot_kernel::limits::Limit;
use eyot_kernel::plugin::PluginMount;
use eyot_kernel::process::Task;
use eyot_kernel::syscall::types::{NewTime, OpenFlags, PathFlags, RenameFlags};
use eyot_kernel::syscall::{descriptor, fs};
use eyot_kernel::vm::{Caching, MountOptions, Vm};
use eyot_memfs::Memfs;

const FOREVER: u64 = u64::MAX;

fn open(task: &Task, path: &str, flags: OpenFlags) -> u32 {
    now(fs::open(task, None, path, flags, 0o644)).unwrap()
}

fn write(task: &Task, fd: u32, offset: u64, bytes: &[u8]) {
    let mut done = 0;
    while done < bytes.len() {
        done += now(descriptor::pwrite(task, fd, &bytes[done..], offset + done as u64)).unwrap();
    }
}

fn read(task: &Task, fd: u32, length: usize) -> Vec<u8> {
    let mut bytes = vec![0xee; length];
    let count = now(descriptor::pread(task, fd, &mut bytes, 0)).unwrap();
    bytes.truncate(count);
    bytes
}

const NEW: OpenFlags = OpenFlags::READ.union(OpenFlags::WRITE).union(OpenFlags::CREATE);

/// Runs a function as a program of a VM that has a far backend at `/m`.
fn run(cache: Caching, limits: &[(Limit, u64)], body: impl Fn(&Arc<Task>, &Arc<Far>) + Send + Sync + 'static) {
    let far = Far::new(FOREVER, true);
    let world = far.world(cache, limits);
    let backend = far.clone();
    world.run(move |task| body(task, &backend));
}

#[test]
fn small_writes_are_merged_and_seen_at_once() {
    run(Caching::Auto, &[], |task, far| {
        let fd = open(task, "/m/f", NEW);
        let mut expected = Vec::new();
        for step in 0..3000_u32 {
            let line = format!("line {step}\n");
            write(task, fd, expected.len() as u64, line.as_bytes());
            expected.extend_from_slice(line.as_bytes());
            if step % 500 == 0 {
                assert_eq!(now(descriptor::stat(task, fd)).unwrap().attributes.size, expected.len() as u64);
            }
        }
        assert_eq!(far.writes(), 0);
        assert_eq!(read(task, fd, 100_000), expected);
        assert_eq!(now(descriptor::close(task, fd)), Ok(()));
        assert_eq!(far.writes(), 1, "one call for all");
        assert_eq!(far.contents("f"), expected);
    });
}

#[test]
fn a_mount_may_ask_for_it_or_against_it() {
    for (cache, lifetime, held_back) in [
        (Caching::Auto, FOREVER, true),
        (Caching::Auto, 3_600_000_000_000, false),
        (Caching::Read, FOREVER, false),
        (Caching::None, FOREVER, false),
        (Caching::WriteBack, 0, true),
    ] {
        let far = Far::new(lifetime, true);
        let world = far.world(cache, &[]);
        let backend = far.clone();
        world.run(move |task| {
            let fd = open(task, "/m/f", NEW);
            write(task, fd, 0, b"text");
            assert_eq!(backend.writes() == 0, held_back, "{cache:?}");
            assert_eq!(read(task, fd, 10), b"text");
            write(task, fd, 2, b"nder");
            assert_eq!(read(task, fd, 10), b"tender");
            now(descriptor::close(task, fd)).unwrap();
            assert_eq!(backend.contents("f"), b"tender");
        });
    }
}

#[test]
fn holes_and_ends_are_zero() {
    run(Caching::Auto, &[], |task, far| {
        far.put("f", b"0123456789");
        let fd = open(task, "/m/f", NEW);
        write(task, fd, 100_000, b"far");
        let mut expected = b"0123456789".to_vec();
        expected.resize(100_000, 0);
        expected.extend_from_slice(b"far");
        assert_eq!(read(task, fd, 200_000), expected);
        write(task, fd, 20, b"near");
        expected[20..24].copy_from_slice(b"near");
        assert_eq!(read(task, fd, 200_000), expected);
        now(descriptor::set_size(task, fd, 22)).unwrap();
        now(descriptor::set_size(task, fd, 30)).unwrap();
        write(task, fd, 40, b"x");
        expected.truncate(22);
        expected.resize(40, 0);
        expected.push(b'x');
        assert_eq!(read(task, fd, 200_000), expected);
        now(descriptor::sync(task, fd, false)).unwrap();
        assert_eq!(far.contents("f"), expected);
        assert_eq!(far.count.fsyncs.load(Relaxed), 1);
    });
}

#[test]
fn what_was_cut_is_never_written() {
    run(Caching::Auto, &[], |task, far| {
        let fd = open(task, "/m/f", NEW);
        write(task, fd, 0, &[7; 300_000]);
        now(descriptor::set_size(task, fd, 0)).unwrap();
        assert_eq!(read(task, fd, 10), b"");
        now(descriptor::close(task, fd)).unwrap();
        assert_eq!((far.writes(), far.contents("f").len()), (0, 0));
    });
}

#[test]
fn times_neither_jump_nor_change_their_order() {
    run(Caching::Auto, &[], |task, far| {
        let time = |fd| now(descriptor::stat(task, fd)).unwrap().attributes.modified;
        let (first, second) = (open(task, "/m/first", NEW), open(task, "/m/second", NEW));
        let before = Timestamp::now();
        write(task, first, 0, b"1");
        let seen = time(first);
        assert!(seen >= before, "a write moves the time at once");
        now(descriptor::close(task, first)).unwrap();
        assert_eq!(far.files.getattr(far.node("first")).unwrap().modified, seen);
        let first = open(task, "/m/first", NEW);
        assert_eq!(time(first), seen, "a flush does not move what was seen");

        // Written before the second, flushed after it.
        write(task, first, 0, b"2");
        std::thread::sleep(Duration::from_millis(30));
        write(task, second, 0, b"2");
        now(descriptor::close(task, second)).unwrap();
        now(descriptor::close(task, first)).unwrap();
        let modified = |name| far.files.getattr(far.node(name)).unwrap().modified;
        assert!(modified("first") < modified("second"));
    });
}

#[test]
fn a_time_that_is_set_stays() {
    run(Caching::Auto, &[], |task, far| {
        let fd = open(task, "/m/f", NEW);
        write(task, fd, 0, b"old");
        let old = Timestamp { seconds: 1_000_000, nanoseconds: 5 };
        now(descriptor::set_times(task, fd, NewTime::Keep, NewTime::At(old))).unwrap();
        now(descriptor::close(task, fd)).unwrap();
        let attributes = far.files.getattr(far.node("f")).unwrap();
        assert_eq!((attributes.modified, attributes.size), (old, 3));
    });
}

#[test]
fn a_failed_flush_is_told_once_to_each_and_nothing_is_lost() {
    run(Caching::Auto, &[], |task, far| {
        let (first, second) = (open(task, "/m/f", NEW), open(task, "/m/f", OpenFlags::READ));
        write(task, first, 0, b"precious");
        *far.write_fails.lock().unwrap() = Some(Errno::Nospc);
        assert_eq!(now(descriptor::sync(task, first, false)), Err(Errno::Nospc));
        assert_eq!(read(task, second, 100), b"precious", "it is there still");
        *far.write_fails.lock().unwrap() = None;
        assert_eq!(now(descriptor::sync(task, first, false)), Ok(()), "told once, and written now");
        assert_eq!(far.contents("f"), b"precious");
        assert_eq!(now(descriptor::sync(task, second, false)), Err(Errno::Nospc), "the other was not told yet");
        assert_eq!(now(descriptor::sync(task, second, false)), Ok(()));
        let third = open(task, "/m/f", OpenFlags::READ);
        assert_eq!(now(descriptor::sync(task, third, false)), Ok(()), "opened after it");
    });
}

#[test]
fn close_tells_and_sync_tries_again() {
    let far = Far::new(FOREVER, true);
    let world = far.world(Caching::Auto, &[]);
    *far.write_fails.lock().unwrap() = Some(Errno::Nospc);
    assert_eq!(world.vm.write_file("/m/f", b"text", 0o644), Err(Errno::Nospc));
    assert_eq!(world.vm.sync(), Err(Errno::Nospc));
    assert_eq!(world.vm.read_file("/m/f").unwrap(), b"text");
    *far.write_fails.lock().unwrap() = None;
    assert_eq!(world.vm.sync(), Ok(()));
    assert_eq!(far.contents("f"), b"text");
}

#[test]
fn a_file_that_is_gone_is_given_up_at_once() {
    run(Caching::Auto, &[], |task, far| {
        let fd = open(task, "/m/f", NEW);
        write(task, fd, 0, b"text");
        *far.write_fails.lock().unwrap() = Some(Errno::Stale);
        assert_eq!(now(descriptor::sync(task, fd, false)), Err(Errno::Stale));
        *far.write_fails.lock().unwrap() = None;
        assert_eq!(now(descriptor::sync(task, fd, false)), Ok(()));
        assert_eq!((far.contents("f"), read(task, fd, 10)), (vec![], vec![]), "as the backend has it");
    });
}

#[test]
fn the_end_of_the_vm_writes_what_is_held_back() {
    let far = Far::new(FOREVER, true);
    let world = far.world(Caching::Auto, &[]);
    let backend = far.clone();
    let file = Arc::new(std::sync::Mutex::new(None));
    let held = file.clone();
    world.run(move |task| {
        let fd = open(task, "/m/f", NEW);
        write(task, fd, 0, b"text");
        // Somebody holds the open file past the process.
        *held.lock().unwrap() = Some(task.file(fd).unwrap());
        assert_eq!(backend.writes(), 0);
    });
    world.vm.sync().unwrap();
    assert_eq!(far.contents("f"), b"text");
    drop(file.lock().unwrap().take());
    *far.write_fails.lock().unwrap() = Some(Errno::Io);
    assert_eq!(world.vm.write_file("/m/g", b"kept", 0o644), Err(Errno::Io));
    *far.write_fails.lock().unwrap() = None;
    drop(world);
    // The program's thread lets go of the VM at its own pace.
    for _ in 0..200 {
        // And the backend gets its handles back.
        if far.contents("g") == b"kept" && far.open.load(Relaxed) == 0 {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{:?}, {} open", far.contents("g"), far.open.load(Relaxed));
}

#[test]
fn what_is_old_is_written() {
    run(Caching::Auto, &[], |task, far| {
        let fd = open(task, "/m/f", NEW);
        write(task, fd, 0, b"text");
        let start = Instant::now();
        while far.contents("f") != b"text" {
            assert!(start.elapsed() < Duration::from_secs(12), "it is held back still");
            std::thread::sleep(Duration::from_millis(50));
        }
        assert!(start.elapsed() > Duration::from_secs(3), "at once is too soon");
        assert_eq!(now(descriptor::sync(task, fd, false)), Ok(()));
    });
}

#[test]
fn no_more_is_held_back_than_the_limit() {
    let limits = [(Limit::DirtyPageBytes, 128 * 1024), (Limit::PageCacheBytes, 1 << 20)];
    let far = Far::new(FOREVER, true);
    let world = far.world(Caching::Auto, &limits);
    let (vm, backend) = (world.vm.clone(), far.clone());
    world.run(move |task| {
        let used = |limit| vm.usage().into_iter().find(|usage| usage.limit == limit).unwrap().used;
        let files: Vec<u32> = (0..3).map(|index| open(task, &format!("/m/{index}"), NEW)).collect();
        let bytes: Vec<u8> = (0..2_000_000_u32).map(|index| (index / 100) as u8).collect();
        for start in (0..bytes.len()).step_by(4000) {
            let piece = &bytes[start..(start + 4000).min(bytes.len())];
            files.iter().for_each(|&fd| write(task, fd, start as u64, piece));
            assert!(used(Limit::DirtyPageBytes) <= 128 * 1024);
            assert!(used(Limit::PageCacheBytes) <= 1 << 20);
        }
        for (index, &fd) in files.iter().enumerate() {
            now(descriptor::close(task, fd)).unwrap();
            assert_eq!(backend.contents(&index.to_string()), bytes);
        }
        assert_eq!(used(Limit::DirtyPageBytes), 0);
        assert!(backend.writes() < 300, "merged all the same");
    });
}

#[test]
fn names_come_and_go_while_a_file_is_dirty() {
    run(Caching::Auto, &[], |task, far| {
        let fd = open(task, "/m/a", NEW);
        write(task, fd, 0, b"moved");
        let at = |path| fs::At { dir: None, path };
        now(fs::rename(task, at("/m/a"), at("/m/b"), RenameFlags::empty(), PathFlags::empty())).unwrap();
        assert_eq!(now(fs::stat(task, None, "/m/b", PathFlags::FOLLOW)).unwrap().attributes.size, 5);
        let gone = open(task, "/m/gone", NEW);
        write(task, gone, 0, b"without a name");
        now(fs::unlink(task, None, "/m/gone", PathFlags::empty())).unwrap();
        assert_eq!(read(task, gone, 100), b"without a name");
        now(descriptor::sync(task, gone, false)).unwrap();
        write(task, gone, 8, b"any name");
        assert_eq!(read(task, gone, 100), b"without any name");
        now(descriptor::close(task, gone)).unwrap();
        now(descriptor::close(task, fd)).unwrap();
        assert_eq!(far.contents("b"), b"moved");
    });
}

#[test]
fn appends_of_many_never_land_on_each_other() {
    run(Caching::Auto, &[(Limit::DirtyPageBytes, 64 * 1024)], |task, far| {
        let fds = [0; 4].map(|_| open(task, "/m/log", NEW | OpenFlags::APPEND));
        append(task, &fds);
        whole(&far.contents("log"));
    });
}

#[test]
fn appends_of_many_who_all_make_the_file() {
    run(Caching::Auto, &[(Limit::DirtyPageBytes, 64 * 1024)], |task, far| {
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(move || append(task, &[open(task, "/m/log", NEW | OpenFlags::APPEND)]));
            }
        });
        assert_eq!(far.contents("log").len(), 4 * 2000 * 50);
    });
}

/// Appends 2,000 lines of 50 bytes by each descriptor, all at once, and closes them.
fn append(task: &Arc<Task>, fds: &[u32]) {
    std::thread::scope(|scope| {
        for (number, fd) in fds.iter().enumerate() {
            scope.spawn(move || {
                for _ in 0..2000 {
                    assert_eq!(now(descriptor::write(task, *fd, &[number as u8; 50])), Ok(50));
                }
                now(descriptor::close(task, *fd)).unwrap();
            });
        }
    });
}

fn whole(log: &[u8]) {
    assert_eq!(log.len(), 4 * 2000 * 50);
    assert!(log.chunks(50).all(|line| line.iter().all(|byte| *byte == line[0])));
}

/// Each thread writes and reads what is its own, in blocks that they share, while others flush and read.
#[test]
fn no_write_is_lost_among_flushes_evictions_and_large_writes() {
    const STRIPE: usize = 5000;
    const ROUNDS: usize = 400;
    for waits in [true, false] {
        let far = Far::new(FOREVER, waits);
        let limits = [(Limit::PageCacheBytes, 256 * 1024), (Limit::DirtyPageBytes, 96 * 1024)];
        let world = far.world(Caching::Auto, &limits);
        let backend = far.clone();
        world.run(move |task| {
            let fd = open(task, "/m/f", NEW);
            write(task, fd, 0, &vec![0; 4 * STRIPE * 100]);
            let done = std::sync::atomic::AtomicUsize::new(0);
            let stripes: Vec<Vec<u8>> = std::thread::scope(|scope| {
                let done = &done;
                let writers: Vec<_> = (0..4)
                    .map(|thread| {
                        scope.spawn(move || {
                            let mut numbers = Random::new(thread as u64);
                            let mut random = move |below: usize| numbers.below(below as u64) as usize;
                            let mut own = vec![vec![0_u8; STRIPE]; 100];
                            for round in 0..ROUNDS {
                                let stripe = random(100);
                                let start = (stripe * 4 + thread) * STRIPE;
                                let from = random(STRIPE);
                                let length = random(STRIPE - from) + 1;
                                let bytes = vec![(round % 251) as u8; length.min(STRIPE - from)];
                                write(task, fd, (start + from) as u64, &bytes);
                                own[stripe][from..from + bytes.len()].copy_from_slice(&bytes);
                                let check = random(100);
                                let mut seen = vec![0xee; STRIPE];
                                let offset = ((check * 4 + thread) * STRIPE) as u64;
                                assert_eq!(now(descriptor::pread(task, fd, &mut seen, offset)), Ok(STRIPE));
                                assert!(seen == own[check], "thread {thread}, round {round}, stripe {check}");
                            }
                            done.fetch_add(1, Relaxed);
                            own.concat()
                        })
                    })
                    .collect();
                scope.spawn(move || {
                    while done.load(Relaxed) < 4 {
                        now(descriptor::sync(task, fd, false)).unwrap();
                        now(descriptor::stat(task, fd)).unwrap();
                        std::thread::yield_now();
                    }
                });
                scope.spawn(move || {
                    let mut all = vec![0; 4 * STRIPE * 100];
                    while done.load(Relaxed) < 4 {
                        assert_eq!(now(descriptor::pread(task, fd, &mut all, 0)), Ok(4 * STRIPE * 100));
                    }
                });
                writers.into_iter().map(|writer| writer.join().unwrap()).collect()
            });
            let whole = read(task, fd, 4 * STRIPE * 100);
            now(descriptor::close(task, fd)).unwrap();
            let stored = backend.contents("f");
            assert!(whole == stored);
            for (index, bytes) in stored.chunks(STRIPE).enumerate() {
                let (stripe, thread) = (index / 4, index % 4);
                assert!(bytes == &stripes[thread][stripe * STRIPE..][..STRIPE], "stripe {stripe} of thread {thread}");
            }
        });
    }
}

#[test]
fn what_is_held_back_goes_to_the_old_backend_before_it_is_replaced() {
    let (first, second) = (Arc::new(Memfs::new()), Arc::new(Memfs::new()));
    let mount = Arc::new(PluginMount::over("test", first.clone()));
    let options = MountOptions { cache: Caching::WriteBack, ..MountOptions::default() };
    let world = common::World::with(|builder| builder.mount("/m", mount.clone(), options));
    let length = |files: &Memfs, name: &str| files.lookup(files.info().root, name).map(|found| found.size);
    world.run(move |task| {
        let fd = open(task, "/m/f", NEW);
        write(task, fd, 0, b"for the old");
        assert_eq!(length(&first, "f"), Ok(0));
        second.create(second.info().root, "f", Ownership { mode: 0o644, uid: 0, gid: 0 }).unwrap();
        mount.replace(second.clone()).unwrap();
        assert_eq!(length(&first, "f"), Ok(11));
        assert_eq!(read(task, fd, 100), b"", "the new one's file is empty");
        write(task, fd, 0, b"for the new");
        now(descriptor::close(task, fd)).unwrap();
        assert_eq!((length(&second, "f"), length(&first, "f")), (Ok(11), Ok(11)));
        // A file that the next one does not have.
        let fd = open(task, "/m/g", NEW);
        write(task, fd, 0, b"text");
        now(descriptor::sync(task, fd, false)).unwrap();
        mount.replace(Arc::new(Memfs::new())).unwrap();
        let written =
            now(descriptor::pwrite(task, fd, b"more", 0)).and_then(|_| now(descriptor::sync(task, fd, false)));
        assert_eq!(written, Err(Errno::Stale));
    });
}

#[test]
fn a_backend_that_does_not_take_what_is_held_back_is_not_replaced() {
    let far = Far::new(FOREVER, true);
    let mount = Arc::new(PluginMount::over("test", far.clone()));
    let vm = Vm::builder().root(Arc::new(Memfs::new())).user(0, 0);
    let vm = vm.mount("/m", mount.clone(), MountOptions::default()).build().unwrap();
    *far.write_fails.lock().unwrap() = Some(Errno::Nospc);
    assert_eq!(vm.write_file("/m/f", b"text", 0o644), Err(Errno::Nospc));
    assert_eq!(mount.replace(Arc::new(Memfs::new())), Err(Errno::Nospc));
    *far.write_fails.lock().unwrap() = None;
    assert_eq!(mount.replace(Arc::new(Memfs::new())), Ok(()));
    assert_eq!(far.contents("f"), b"text");
}
