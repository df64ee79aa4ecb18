//! Large files, others' changes, and a server that goes away meanwhile.

use std::time::{Duration, Instant};

use eyot_backend::{Errno, Filesystem, Node, OpenFlags, Ownership};
use eyot_s3::S3;

use crate::server::{Server, model, options};

const OWNER: Ownership = Ownership { mode: 0o640, uid: 7, gid: 8 };
const CHUNK: usize = 1 << 20;

/// Bytes that tell where they belong.
fn chunk(number: u64) -> Vec<u8> {
    (0..CHUNK as u64 / 8).flat_map(|word| ((number * 0x9e37_79b9) ^ word).to_le_bytes()).collect()
}

fn write(fs: &S3, node: Node, chunks: u64, mut each: impl FnMut(u64)) {
    let handle = fs.open(node, OpenFlags::all()).unwrap();
    for number in 0..chunks {
        each(number);
        assert_eq!(fs.write(node, handle, number * CHUNK as u64, &chunk(number)).unwrap(), CHUNK);
    }
    fs.fsync(node, handle, false).unwrap();
    fs.release(node, handle);
}

fn check(fs: &S3, node: Node, chunks: u64, mut each: impl FnMut(u64)) {
    let handle = fs.open(node, OpenFlags::READ).unwrap();
    let mut buffer = vec![0; CHUNK];
    for number in 0..chunks {
        each(number);
        assert_eq!(fs.read(node, handle, number * CHUNK as u64, &mut buffer).unwrap(), CHUNK);
        assert!(buffer == chunk(number), "chunk {number}");
    }
    assert_eq!(fs.read(node, handle, chunks * CHUNK as u64, &mut buffer).unwrap(), 0);
    fs.release(node, handle);
}

fn again(fs: &S3) -> Node {
    fs.lookup(1, "file").unwrap().node
}

fn measure(options: eyot_s3::S3Options, chunks: u64) {
    let fs = S3::mount(options.clone()).unwrap();
    let (node, started) = (fs.create(1, "file", OWNER).unwrap().node, Instant::now());
    write(&fs, node, chunks, |_| {});
    let up = started.elapsed();
    drop(fs);
    let fs = S3::mount(options).unwrap();
    let (node, started) = (again(&fs), Instant::now());
    check(&fs, node, chunks, |_| {});
    let rate = |time: Duration| chunks as f64 / time.as_secs_f64();
    println!("{chunks} MiB: up {:.0} MiB/s, down {:.0} MiB/s", rate(up), rate(started.elapsed()));
    fs.unlink(1, "file").unwrap();
}

#[test]
fn a_file_in_parts() {
    let (model, server) = model();
    measure(server.options(), 40);
    assert_eq!(model.state().uploads(), 0);
    assert!(model.state().counts["part"] >= 5);
}

/// `cargo nextest run --release -p eyot-s3 --run-ignored only --no-capture two_gibibytes`, with `EYOT_TEST_WEED_S3=http://HOST:PORT` for a SeaweedFS that has a bucket `bucket`.
#[test]
#[ignore = "writes 2 GiB"]
fn two_gibibytes() {
    if let Ok(endpoint) = std::env::var("EYOT_TEST_WEED_S3") {
        return measure(options(&endpoint, "any", "any"), 2048);
    }
    let directory = tempfile::tempdir().unwrap();
    measure(Server::of_directory(directory.path()).options(), 2048);
}

#[test]
fn a_server_that_is_killed_and_started_again() {
    let (_model, mut server) = model();
    let options = server.options();
    let fs = S3::mount(options.clone()).unwrap();
    let node = fs.create(1, "file", OWNER).unwrap().node;
    let mut restart = |number: u64| {
        if number == 20 {
            server.stop();
            std::thread::sleep(Duration::from_millis(300));
            server.go_on();
        }
    };
    write(&fs, node, 40, &mut restart);
    drop(fs);
    let fs = S3::mount(options).unwrap();
    check(&fs, again(&fs), 40, &mut restart);
}

#[test]
fn a_few_bytes_of_a_large_file_are_changed() {
    let (model, server) = model();
    let fs = server.mount();
    let node = fs.create(1, "file", OWNER).unwrap().node;
    write(&fs, node, 40, |_| {});
    let handle = fs.open(node, OpenFlags::all()).unwrap();
    fs.write(node, handle, 3, b"changed").unwrap();
    fs.write(node, handle, 40 << 20, b"appended").unwrap();
    fs.fsync(node, handle, false).unwrap();
    assert!(model.state().counts["part copy"] >= 3);
    let (mut start, mut end) = ([0; 12], [0; 20]);
    fs.read(node, handle, 0, &mut start).unwrap();
    assert_eq!((&start[..3], &start[3..10], &start[10..]), (&chunk(0)[..3], &b"changed"[..], &chunk(0)[10..12]));
    assert_eq!(fs.read(node, handle, (40 << 20) - 4, &mut end).unwrap(), 12);
    assert_eq!(&end[4..12], b"appended");
}

#[test]
fn what_somebody_else_replaced_is_stale_until_it_is_opened_again() {
    let (model, server) = model();
    let options = server.options();
    let key = format!("{}/file", options.prefix);
    model.state().put(&key, vec![b'a'; 3 << 20]);
    let fs = S3::mount(options).unwrap();
    let node = again(&fs);
    let (handle, mut buffer) = (fs.open(node, OpenFlags::READ).unwrap(), [0; 4]);
    assert_eq!(fs.read(node, handle, 0, &mut buffer).unwrap(), 4);
    model.state().put(&key, vec![b'b'; 3 << 20]);
    assert_eq!(fs.read(node, handle, 2 << 20, &mut buffer), Err(Errno::Stale));
    let second = fs.open(node, OpenFlags::READ).unwrap();
    assert_eq!(fs.read(node, second, 2 << 20, &mut buffer).unwrap(), 4);
    assert_eq!((&buffer, fs.read(node, handle, 0, &mut [0; 4])), (b"bbbb", Err(Errno::Stale)));
}

#[test]
fn odd_keys_are_left_out() {
    let (model, server) = model();
    let options = server.options();
    for odd in ["a//b", "./x", "../x", "/", "fine", "both", "both/x", &"n".repeat(300)] {
        model.state().put(&format!("{}/{odd}", options.prefix), "x");
    }
    let fs = S3::mount(options).unwrap();
    let names: Vec<_> = fs.readdir(1, 0, 100).unwrap().into_iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["a", "both", "fine"]);
}

/// `EYOT_TEST_FILES=10000` for the long form.
#[test]
fn a_tree_of_small_files_in_and_out() {
    let count: u32 = std::env::var("EYOT_TEST_FILES").ok().and_then(|count| count.parse().ok()).unwrap_or(300);
    let (_model, server) = model();
    let endpoint = std::env::var("EYOT_TEST_WEED_S3");
    let options = endpoint.map_or_else(|_| server.options(), |endpoint| options(&endpoint, "any", "any"));
    let (fs, started) = (S3::mount(options.clone()).unwrap(), Instant::now());
    let dirs: Vec<Node> =
        (0..count.div_ceil(100)).map(|dir| fs.mkdir(1, &format!("d{dir}"), OWNER).unwrap().node).collect();
    let body = |file: u32| format!("file {file}\n").repeat((file % 50) as usize).into_bytes();
    for file in 0..count {
        let node = fs.create(dirs[(file / 100) as usize], &format!("f{file}"), OWNER).unwrap().node;
        let handle = fs.open(node, OpenFlags::WRITE).unwrap();
        fs.write(node, handle, 0, &body(file)).unwrap();
        fs.release(node, handle);
    }
    let came_in = started.elapsed();
    drop(fs);
    let (fs, started) = (S3::mount(options).unwrap(), Instant::now());
    let mut seen = 0;
    for dir in fs.readdir(1, 0, 4096).unwrap() {
        let dir = fs.lookup(1, &dir.name).unwrap();
        for entry in fs.readdir(dir.node, 0, 4096).unwrap() {
            let file: u32 = entry.name[1..].parse().unwrap();
            let found = fs.lookup(dir.node, &entry.name).unwrap();
            assert_eq!((found.mode, found.uid, found.size), (0o640, 7, body(file).len() as u64));
            let (handle, mut buffer) = (fs.open(found.node, OpenFlags::READ).unwrap(), vec![0; 4096]);
            let length = fs.read(found.node, handle, 0, &mut buffer).unwrap();
            assert!(buffer[..length] == body(file));
            fs.release(found.node, handle);
            seen += 1;
        }
    }
    assert_eq!(seen, count);
    println!("{count} files: in {came_in:?}, out {:?}", started.elapsed());
}
