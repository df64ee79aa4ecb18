//! The cache of pages: what is read.

mod common;

use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Barrier};
use std::time::Duration;

use common::far::{Answers, Far};
use common::{World, now};
use eyot_backend::{Change, Errno};
use eyot_kernel::limits::Limit;
use eyot_kernel::process::Task;
use eyot_kernel::syscall::types::OpenFlags;
use eyot_kernel::syscall::{descriptor, fs};
use eyot_kernel::vm::Caching;

const FOREVER: u64 = u64::MAX;
const KIB: usize = 1024;

/// Bytes that differ from place to place.
fn pattern(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|index| (index / 7 + index * 31 + seed) as u8).collect()
}

fn open(task: &Task, path: &str) -> u32 {
    now(fs::open(task, None, path, OpenFlags::READ, 0)).unwrap()
}

fn read_at(task: &Task, fd: u32, offset: u64, length: usize) -> Result<Vec<u8>, Errno> {
    let mut bytes = vec![0xee; length];
    let count = now(descriptor::pread(task, fd, &mut bytes, offset))?;
    bytes.truncate(count);
    Ok(bytes)
}

/// A world with a file `/m/f` of so many bytes.
fn world(far: &Arc<Far>, cache: Caching, length: usize) -> (World, Vec<u8>) {
    let bytes = pattern(length, 1);
    far.put("f", &bytes);
    (far.world(cache, &[]), bytes)
}

#[test]
fn what_was_read_is_not_asked_for_again() {
    let far = Far::new(FOREVER, true);
    let (world, bytes) = world(&far, Caching::Auto, 100 * KIB);
    let asked = far.clone();
    world.run(move |task| {
        let fd = open(task, "/m/f");
        assert_eq!(read_at(task, fd, 50_000, 1000).unwrap(), bytes[50_000..51_000]);
        assert!(asked.reads() > 0);
        for offset in [50_000, 50_500, 51_000] {
            assert_eq!(read_at(task, fd, offset, 100).unwrap(), bytes[offset as usize..offset as usize + 100]);
        }
        assert_eq!(asked.reads(), 0);
        assert_eq!(read_at(task, fd, 100 * 1024 - 10, 100).unwrap(), bytes[100 * KIB - 10..], "up to the end");
        assert_eq!(read_at(task, fd, 100 * 1024, 100).unwrap(), b"", "at the end");
        assert_eq!(read_at(task, fd, i64::MAX as u64, 100).unwrap(), b"", "far behind it");
    });
}

#[test]
fn files_that_are_read_in_order_are_read_ahead() {
    for (waits, calls_max) in [(true, 12), (false, 36)] {
        let far = Far::new(FOREVER, waits);
        let (world, bytes) = world(&far, Caching::Auto, 4096 * KIB);
        let asked = far.clone();
        world.run(move |task| {
            let fd = open(task, "/m/f");
            let mut buffer = [0; 4096];
            for piece in bytes.chunks(4096) {
                assert_eq!(now(descriptor::read(task, fd, &mut buffer)), Ok(4096));
                assert_eq!(buffer, piece);
            }
            let calls = asked.reads();
            assert!(calls <= calls_max, "{calls} calls for 1024 reads of 4 KiB (waits: {waits})");
            assert_eq!(asked.count.bytes_read.load(Relaxed), 4096 * 1024, "nothing is read twice");
        });
    }
}

#[test]
fn random_reads_bring_their_blocks_and_no_more() {
    let far = Far::new(FOREVER, true);
    let (world, bytes) = world(&far, Caching::Auto, 4096 * KIB);
    let asked = far.clone();
    world.run(move |task| {
        let fd = open(task, "/m/f");
        for step in 1..=100_usize {
            let offset = step * 37 % 200 * 20_000 + 4000;
            assert_eq!(read_at(task, fd, offset as u64, 100).unwrap(), bytes[offset..offset + 100]);
        }
        let brought = asked.count.bytes_read.load(Relaxed);
        assert!(brought <= 100 * 2 * 16 * 1024, "{brought} bytes");
    });
}

#[test]
fn many_who_want_a_block_wait_for_one_fill() {
    let far = Far::new(FOREVER, true);
    let (world, bytes) = world(&far, Caching::Auto, 16 * KIB);
    *far.delay.lock().unwrap() = Duration::from_millis(100);
    let asked = far.clone();
    world.run(move |task| {
        let fd = open(task, "/m/f");
        asked.reads();
        let together = Barrier::new(8);
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (bytes, together) = (&bytes, &together);
                scope.spawn(move || {
                    together.wait();
                    let offset = thread * 1000;
                    assert_eq!(read_at(task, fd, offset as u64, 1000).unwrap(), bytes[offset..offset + 1000]);
                });
            }
        });
        assert_eq!(asked.reads(), 1);
    });
}

#[test]
fn the_limit_holds_and_the_oldest_go() {
    for waits in [true, false] {
        let far = Far::new(FOREVER, waits);
        let bytes = pattern(8192 * KIB, 1);
        far.put("f", &bytes);
        let world = far.world(Caching::Auto, &[(Limit::PageCacheBytes, 512 * 1024)]);
        let vm = world.vm.clone();
        let asked = far.clone();
        world.run(move |task| {
            let used = || vm.usage().into_iter().find(|usage| usage.limit == Limit::PageCacheBytes).unwrap().used;
            let fd = open(task, "/m/f");
            let mut most = 0;
            for step in 0..2000_usize {
                let offset = step * 7919 % 2000 * 4096;
                assert_eq!(read_at(task, fd, offset as u64, 4000).unwrap(), bytes[offset..offset + 4000]);
                most = most.max(used());
                // This one is read all the time, and stays.
                assert_eq!(read_at(task, fd, 0, 100).unwrap(), bytes[..100]);
            }
            assert!((256 * 1024..=512 * 1024).contains(&most), "{most} bytes were used");
            for piece in 0..8 {
                let start = piece * KIB * KIB;
                assert_eq!(read_at(task, fd, start as u64, KIB * KIB).unwrap(), bytes[start..start + KIB * KIB]);
            }
            asked.reads();
        });
        let usage = world.vm.usage();
        assert!(usage.iter().all(|usage| usage.limit != Limit::DirtyPageBytes || usage.used == 0));
    }
}

#[test]
fn no_room_at_all_is_no_failure() {
    let far = Far::new(FOREVER, true);
    let bytes = pattern(300 * KIB, 1);
    far.put("f", &bytes);
    let world = far.world(Caching::Auto, &[(Limit::PageCacheBytes, 0)]);
    world.run(move |task| {
        let fd = open(task, "/m/f");
        assert_eq!(read_at(task, fd, 0, 400 * KIB).unwrap(), bytes);
        assert_eq!(read_at(task, fd, 20_000, 4096).unwrap(), bytes[20_000..24_096]);
    });
}

#[test]
fn without_lifetimes_nothing_is_kept_unless_it_is_asked_for() {
    let far = Far::new(0, true);
    let (world, bytes) = world(&far, Caching::Auto, 16 * KIB);
    let asked = far.clone();
    world.run(move |task| {
        let fd = open(task, "/m/f");
        for _ in 0..3 {
            assert_eq!(read_at(task, fd, 0, 100).unwrap(), bytes[..100]);
        }
        assert_eq!(asked.reads(), 3);
    });
}

#[test]
fn who_opens_a_file_sees_what_others_closed() {
    let far = Far::new(0, true);
    let (world, bytes) = world(&far, Caching::Read, 40 * KIB);
    let asked = far.clone();
    world.run(move |task| {
        let fd = open(task, "/m/f");
        for _ in 0..3 {
            assert_eq!(read_at(task, fd, 0, 100).unwrap(), bytes[..100]);
        }
        assert_eq!(asked.reads(), 1, "kept while it is open");
        let other = pattern(50 * KIB, 2);
        asked.put("f", &other);
        let again = open(task, "/m/f");
        assert_eq!(read_at(task, again, 0, 60 * KIB).unwrap(), other);
        assert_eq!(read_at(task, fd, 0, 60 * KIB).unwrap(), other);
        // The same length, and a look at the attributes instead of an open.
        let third = pattern(50 * KIB, 3);
        asked.put("f", &third);
        now(descriptor::stat(task, fd)).unwrap();
        assert_eq!(read_at(task, fd, 0, 60 * KIB).unwrap(), third);
    });
}

#[test]
fn a_lifetime_ends_for_contents_too() {
    let far = Far::new(50_000_000, true);
    let (world, bytes) = world(&far, Caching::Auto, 40 * KIB);
    let asked = far.clone();
    world.run(move |task| {
        let fd = open(task, "/m/f");
        assert_eq!(read_at(task, fd, 0, 40 * KIB).unwrap(), bytes);
        let longer = pattern(70 * KIB, 2);
        asked.put("f", &longer);
        std::thread::sleep(Duration::from_millis(60));
        assert_eq!(read_at(task, fd, 0, 100 * KIB).unwrap(), longer, "a file that grew behind");
    });
}

#[test]
fn what_the_backend_tells_ends_what_was_kept() {
    let far = Far::new(FOREVER, true);
    let (world, bytes) = world(&far, Caching::Auto, 40 * KIB);
    let asked = far.clone();
    world.run(move |task| {
        let fd = open(task, "/m/f");
        assert_eq!(read_at(task, fd, 0, 40 * KIB).unwrap(), bytes);
        for (seed, everything) in [(2, false), (3, true)] {
            // The read that filled the cache moved the time of access: the next one asks for attributes.
            read_at(task, fd, 0, 1).unwrap();
            let other = pattern(30 * KIB, seed);
            asked.put("f", &other);
            assert!(read_at(task, fd, 0, 30 * KIB).unwrap() != other, "nobody told");
            let change = if everything { Change::Everything } else { Change::Node(asked.node("f")) };
            asked.tell(&change);
            assert_eq!(read_at(task, fd, 0, 60 * KIB).unwrap(), other);
        }
    });
}

#[test]
fn a_fill_that_failed_is_not_kept() {
    let far = Far::new(FOREVER, true);
    let (world, bytes) = world(&far, Caching::Auto, 256 * KIB);
    let asked = far.clone();
    world.run(move |task| {
        let fd = open(task, "/m/f");
        asked.reads_fail_from.store(100, Relaxed);
        assert_eq!(read_at(task, fd, 20_000, 100), Err(Errno::Io));
        asked.reads_fail_from.store(u64::MAX, Relaxed);
        assert_eq!(read_at(task, fd, 20_000, 100).unwrap(), bytes[20_000..20_100]);
        // What would be read ahead cannot be read: who did not ask for it does not notice.
        asked.reads_fail_from.store(128 * 1024, Relaxed);
        let fd = open(task, "/m/f");
        for offset in (0..128 * KIB).step_by(4 * KIB) {
            assert_eq!(read_at(task, fd, offset as u64, 4 * KIB).unwrap(), bytes[offset..offset + 4 * KIB]);
        }
        assert_eq!(read_at(task, fd, 128 * 1024, 100), Err(Errno::Io));
        let mut all = vec![0; 256 * KIB];
        assert_eq!(now(descriptor::pread(task, fd, &mut all, 0)), Ok(128 * KIB), "what could be read");
    });
}

#[test]
fn false_answers_end_in_errors_and_short_reads() {
    for (waits, cache) in [(true, Caching::Auto), (false, Caching::Auto), (true, Caching::Read)] {
        let far = Far::new(FOREVER, waits);
        let (world, bytes) = world(&far, cache, 300 * KIB);
        let asked = far.clone();
        world.run(move |task| {
            let fd = open(task, "/m/f");
            *asked.answers.lock().unwrap() = Answers::Long;
            for length in [100, 100 * KIB] {
                assert_eq!(read_at(task, fd, 0, length), Err(Errno::Io));
            }
            *asked.answers.lock().unwrap() = Answers::Short;
            for length in [100, 20 * KIB, 300 * KIB] {
                let some = read_at(task, fd, 0, length).unwrap();
                assert_eq!(some, bytes[..some.len()], "no byte is wrong");
            }
            *asked.answers.lock().unwrap() = Answers::Right;
            assert_eq!(read_at(task, fd, 0, 300 * KIB).unwrap(), bytes);
        });
    }
}

#[test]
fn mounts_without_a_cache_ask_each_time() {
    let far = Far::new(FOREVER, true);
    let (world, bytes) = world(&far, Caching::None, 16 * KIB);
    let asked = far.clone();
    world.run(move |task| {
        let fd = open(task, "/m/f");
        for _ in 0..3 {
            assert_eq!(read_at(task, fd, 0, 100).unwrap(), bytes[..100]);
        }
        assert_eq!(asked.reads(), 3);
    });
}

#[test]
fn handles_are_given_back_when_what_reads_ahead_is_done() {
    let far = Far::new(FOREVER, true);
    let (world, _) = world(&far, Caching::Auto, 4096 * KIB);
    *far.delay.lock().unwrap() = Duration::from_millis(5);
    world.run(|task| {
        for _ in 0..10 {
            let fd = open(task, "/m/f");
            for _ in 0..20 {
                now(descriptor::read(task, fd, &mut [0; 16 * KIB])).unwrap();
            }
            now(descriptor::close(task, fd)).unwrap();
        }
    });
    for _ in 0..100 {
        if far.open.load(Relaxed) == 0 {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{} handles are open", far.open.load(Relaxed));
}
