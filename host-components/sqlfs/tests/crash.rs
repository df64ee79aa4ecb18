//! Killed at any moment, and cut off from the power: what `fsync` acknowledged is there, and what is there is what it was at one moment.

mod common;

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use common::recovered::assert_recovered;
use common::{Random, place, tight, workload};
use eyot_backend::Filesystem;
use eyot_sqlfs::{Sqlfs, SqlfsBuilder};

fn is_long() -> bool {
    std::env::var_os("EYOT_LONG").is_some()
}

/// Different sizes by the seed, so that what a kill interrupts is now a commit, now a checkpoint, now a flush.
fn options(seed: u64) -> SqlfsBuilder {
    match seed % 3 {
        0 => Sqlfs::builder().commit_after(Duration::from_millis(3)),
        1 => tight(),
        _ => tight().commit_bytes(20_000).wal_bytes_max(100_000),
    }
}

/// The child: runs until it is killed, and tells of every `fsync` that answered. Started by [`a_kill_loses_nothing_acknowledged`] only.
#[test]
#[ignore = "the child of another test"]
fn child() {
    let Ok(path) = std::env::var("EYOT_SQLFS_CHILD") else { return };
    let seed: u64 = std::env::var("EYOT_SQLFS_SEED").unwrap().parse().unwrap();
    let fs = options(seed).open(&path).unwrap();
    let counter = workload::make_counter(&fs);
    let mut random = Random(seed + 1);
    let mut out = std::io::stdout();
    for number in 0.. {
        let _ = workload::apply(&fs, &workload::op(seed, number));
        workload::count(&fs, counter, number);
        match random.below(400) {
            0..=40 => {
                fs.fsync(counter, 0, false).unwrap();
                writeln!(out, "\nacknowledged {number}").unwrap();
                out.flush().unwrap();
            }
            41 => fs.snapshot(&format!("at-{number}")).unwrap(),
            42 => {
                if let Some(oldest) = fs.snapshots().unwrap().first() {
                    fs.delete_snapshot(&oldest.name).unwrap();
                }
            }
            43 => drop(fs.compact().unwrap()),
            _ => {}
        }
        assert_eq!(fs.failure(), None);
    }
}

/// Runs the child, kills it after a while and answers what it had acknowledged.
fn run_and_kill(path: &Path, seed: u64, after: Duration) -> Option<u64> {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child", "--ignored", "--nocapture"])
        .env("EYOT_SQLFS_CHILD", path)
        .env("EYOT_SQLFS_SEED", seed.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    let reader = std::thread::spawn(move || {
        let numbers = out.lines().map_while(Result::ok);
        numbers.filter_map(|line| line.strip_prefix("acknowledged ")?.parse().ok()).last()
    });
    std::thread::sleep(after);
    let ended = child.try_wait().unwrap();
    child.kill().unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(ended.is_none(), "the child ended by itself: {}", String::from_utf8_lossy(&output.stderr));
    reader.join().unwrap()
}

#[test]
fn a_kill_loses_nothing_acknowledged() {
    let points = if is_long() { 200 } else { 10 };
    let start = Instant::now();
    let mut random = Random(0x5eed + u64::from(std::process::id()));
    let (mut operations, mut lost) = (0, 0);
    for point in 0..points {
        let place = place();
        let seed = random.below(1 << 40);
        let after = Duration::from_micros(20_000 + random.below(if is_long() { 600_000 } else { 250_000 }));
        println!("point {point}: seed {seed}, killed after {after:?}");
        let acknowledged = run_and_kill(&place.path, seed, after);
        // What recovers may be killed too: the first opening is given up at once.
        if point % 4 == 0 {
            drop(options(seed).open(&place.path).unwrap());
        }
        let fs = options(seed).open(&place.path).unwrap();
        let reached = assert_recovered(&fs, seed, acknowledged);
        operations += reached.unwrap_or_default();
        lost += reached.unwrap_or_default().saturating_sub(acknowledged.unwrap_or_default());
        // It goes on as if nothing had been.
        let made = fs.create(common::ROOT, "after", common::OWNER).unwrap();
        fs.fsync(made.node, 0, false).unwrap();
        for snapshot in fs.snapshots().unwrap() {
            let clone = fs.clone_snapshot(&snapshot.name, common::ROOT, &snapshot.name).unwrap();
            let _ = common::tree(&fs, clone.node);
        }
        common::assert_clean(&fs);
    }
    println!(
        "{points} kills in {:?}: {operations} operations recovered, of which {lost} had not been acknowledged",
        start.elapsed()
    );
    assert!(operations > 0);
}

/// A run whose log is never carried into the database; answers the log's length at every `fsync`.
fn run_without_checkpoint(fs: &Sqlfs, seed: u64, operations: u64, log: &Path) -> Vec<(u64, u64)> {
    let counter = workload::make_counter(fs);
    let mut acknowledged = Vec::new();
    for number in 0..operations {
        let _ = workload::apply(fs, &workload::op(seed, number));
        workload::count(fs, counter, number);
        if number % 7 == 0 {
            fs.fsync(counter, 0, false).unwrap();
            acknowledged.push((std::fs::metadata(log).unwrap().len(), number));
        }
        if number % 50 == 49 {
            fs.snapshot(&format!("at-{number}")).unwrap();
        }
    }
    acknowledged
}

/// The power fails: of the log only a part is on the disk, followed by nothing, by zeroes or by something else.
#[test]
fn a_torn_log_leaves_one_moment() {
    let cuts = if is_long() { 600 } else { 60 };
    let seed = 0xdecaf + u64::from(std::process::id());
    println!("seed {seed}");
    let place = place();
    let fs = tight().wal_bytes_max(u64::MAX).commit_bytes(30_000).open(&place.path).unwrap();
    let log = place.dir.path().join("fs.eyot-wal");
    let acknowledged = run_without_checkpoint(&fs, seed, 600, &log);
    let (database, whole) = (std::fs::read(&place.path).unwrap(), std::fs::read(&log).unwrap());
    drop(fs);
    let torn = place.dir.path().join("torn.eyot");
    let torn_log = place.dir.path().join("torn.eyot-wal");
    let mut random = Random(seed | 1);
    let mut furthest = None;
    for cut in 0..cuts {
        let length = if cut == 0 { whole.len() } else { random.below(whole.len() as u64) as usize };
        let mut bytes = whole[..length].to_vec();
        match cut % 3 {
            0 => {}
            1 => bytes.resize(whole.len(), 0),
            // Old blocks of the disk, and those of the log that came without those before them.
            _ => {
                bytes.extend(random.bytes(random.0 as usize % 20_000));
                bytes.extend_from_slice(whole.get(bytes.len()..).unwrap_or_default());
            }
        }
        std::fs::write(&torn, &database).unwrap();
        std::fs::write(&torn_log, &bytes).unwrap();
        let _ = std::fs::remove_file(place.dir.path().join("torn.eyot-shm"));
        let fs = tight().open(&torn).unwrap();
        let must = acknowledged.iter().take_while(|(end, _)| *end <= length as u64).last().map(|(_, number)| *number);
        furthest = furthest.max(assert_recovered(&fs, seed, must));
    }
    assert_eq!(furthest, Some(599), "the whole log has everything that was committed");
}
