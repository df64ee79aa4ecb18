//! Prints what this filesystem does in a second: `cargo run --release -p eyot-sqlfs --example figures [DIR]`.
//!
//! With `EYOT_SWEEP` set it measures sizes of chunks and pages against each other instead.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use eyot_backend::{Filesystem, Node, Ownership};
use eyot_sqlfs::{Sqlfs, SqlfsBuilder};

const OWNER: Ownership = Ownership { mode: 0o644, uid: 0, gid: 0 };
const MIB: usize = 1 << 20;

type Any = Box<dyn std::error::Error>;

fn main() -> Result<(), Any> {
    let dir = std::env::args().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let dir = dir.join(format!("eyot-sqlfs-figures-{}", std::process::id()));
    std::fs::create_dir_all(&dir)?;
    let result = if std::env::var_os("EYOT_SWEEP").is_some() { sweep(&dir) } else { figures(&dir) };
    std::fs::remove_dir_all(&dir)?;
    result
}

fn rate(what: &str, count: f64, unit: &str, time: Duration) {
    println!("{what:<44} {:>12.0} {unit}/s   ({time:.2?})", count / time.as_secs_f64());
}

/// Bytes that do not repeat, made faster than they are written.
fn fill(buffer: &mut [u8], seed: u64) {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    for place in buffer.chunks_exact_mut(8) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        place.copy_from_slice(&state.to_le_bytes());
    }
}

fn write_file(fs: &Sqlfs, dir: Node, name: &str, length: usize, seed: u64, block: usize) -> Result<Node, Any> {
    let node = fs.create(dir, name, OWNER)?.node;
    let mut buffer = vec![0; block];
    let mut at = 0;
    while at < length {
        fill(&mut buffer, seed + at as u64);
        let part = block.min(length - at);
        let mut done = 0;
        while done < part {
            done += fs.write(node, 0, (at + done) as u64, &buffer[done..part])?;
        }
        at += part;
    }
    fs.release(node, 0);
    Ok(node)
}

fn read_file(fs: &Sqlfs, node: Node, length: usize, block: usize) -> Result<(), Any> {
    let mut buffer = vec![0; block];
    let mut at = 0;
    while at < length {
        at += fs.read(node, 0, at as u64, &mut buffer)?;
    }
    Ok(())
}

fn sweep(dir: &Path) -> Result<(), Any> {
    for page in [4, 8, 16, 32, 64] {
        for chunk in [64, 128] {
            let path = dir.join(format!("{page}-{chunk}"));
            let builder = Sqlfs::builder().page_bytes(page << 10).chunk_bytes(chunk << 10);
            println!("pages of {page} KiB, chunks of {chunk} KiB");
            sequential(&builder, &path, 256 * MIB)?;
            small_files(&builder, &dir.join(format!("{page}-{chunk}-small")), 20_000)?;
        }
    }
    Ok(())
}

fn figures(dir: &Path) -> Result<(), Any> {
    let builder = Sqlfs::builder();
    hashing();
    sequential(&builder, &dir.join("sequential"), 512 * MIB)?;
    small_files(&builder, &dir.join("small"), 100_000)?;
    durable(&builder, &dir.join("durable"))?;
    clone(&builder, &dir.join("clone"), 1000, MIB)?;
    clone(&builder, &dir.join("clone-many"), 20_000, 50_000)
}

fn hashing() {
    let mut buffer = vec![0; 64 * MIB];
    fill(&mut buffer, 1);
    let start = Instant::now();
    for chunk in buffer.chunks(128 << 10) {
        std::hint::black_box(blake3::hash(chunk));
    }
    rate("BLAKE3 alone, 128 KiB at a time", 64.0, "MiB", start.elapsed());
}

fn sequential(builder: &SqlfsBuilder, path: &Path, length: usize) -> Result<(), Any> {
    let fs = builder.clone().open(path)?;
    let mib = (length / MIB) as f64;
    let start = Instant::now();
    let node = write_file(&fs, 1, "file", length, 1, 64 << 10)?;
    rate("sequential write, 64 KiB blocks", mib, "MiB", start.elapsed());
    fs.sync()?;
    rate("  and synced", mib, "MiB", start.elapsed());
    drop(fs);
    let fs = builder.clone().open(path)?;
    for block in [64 << 10, MIB] {
        let start = Instant::now();
        read_file(&fs, node, length, block)?;
        rate(&format!("sequential read, {} KiB blocks", block >> 10), mib, "MiB", start.elapsed());
    }
    let start = Instant::now();
    let mut buffer = vec![0; 4096];
    for index in 0..20_000_u64 {
        fs.read(node, 0, index * 40_960 % (length as u64 - 4096), &mut buffer)?;
    }
    rate("read of 4 KiB, every 40 KiB", 20_000.0, "reads", start.elapsed());
    Ok(())
}

fn small_files(builder: &SqlfsBuilder, path: &Path, files: u64) -> Result<(), Any> {
    let fs = builder.clone().open(path)?;
    let dirs: Vec<Node> = (0..100)
        .map(|index| fs.mkdir(1, &format!("dir-{index}"), OWNER).map(|it| it.node))
        .collect::<Result<_, _>>()?;
    let dir = |index: u64| dirs[(index % 100) as usize];
    let name = |index: u64| format!("file-{index}");
    let mut bytes = vec![0; 1024];
    let start = Instant::now();
    for index in 0..files {
        let node = fs.create(dir(index), &name(index), OWNER)?.node;
        fill(&mut bytes, index);
        fs.write(node, 0, 0, &bytes)?;
        fs.release(node, 0);
        fs.forget(node, 1);
    }
    fs.sync()?;
    rate(&format!("create and write {files} files of 1 KiB"), files as f64, "files", start.elapsed());
    drop(fs);
    let fs = builder.clone().open(path)?;
    let start = Instant::now();
    for index in 0..files {
        let node = fs.lookup(dir(index), &name(index))?.node;
        fs.read(node, 0, 0, &mut bytes)?;
        fs.forget(node, 1);
    }
    rate("  look up and read each, after opening again", files as f64, "files", start.elapsed());
    let start = Instant::now();
    let mut listed = 0;
    for &dir in &dirs {
        let mut cookie = 0;
        while let Some(last) = fs.readdir(dir, cookie, 256)?.inspect_len(&mut listed).last() {
            cookie = last.cookie;
        }
    }
    rate("  list them with attributes", listed as f64, "files", start.elapsed());
    let start = Instant::now();
    for index in 0..files {
        fs.unlink(dir(index), &name(index))?;
    }
    fs.sync()?;
    rate("  delete them", files as f64, "files", start.elapsed());
    let start = Instant::now();
    for index in 0..files {
        let node = fs.create(1, &name(index), OWNER)?.node;
        fs.forget(node, 1);
    }
    fs.sync()?;
    rate("create empty files in one directory", files as f64, "files", start.elapsed());
    Ok(())
}

trait InspectLen {
    fn inspect_len(self, sum: &mut usize) -> Self;
}

impl<T> InspectLen for Vec<T> {
    fn inspect_len(self, sum: &mut usize) -> Self {
        *sum += self.len();
        self
    }
}

fn durable(builder: &SqlfsBuilder, path: &Path) -> Result<(), Any> {
    let fs = builder.clone().open(path)?;
    let node = fs.create(1, "log", OWNER)?.node;
    let start = Instant::now();
    for index in 0..1000_u64 {
        fs.write(node, 0, index * 100, &[7; 100])?;
        fs.fsync(node, 0, false)?;
    }
    rate("append 100 bytes and fsync", 1000.0, "fsyncs", start.elapsed());
    Ok(())
}

fn clone(builder: &SqlfsBuilder, path: &Path, files: usize, length: usize) -> Result<(), Any> {
    let fs = builder.clone().open(path)?;
    let tree = fs.mkdir(1, "tree", OWNER)?.node;
    for index in 0..files {
        if index % 100 == 0 {
            fs.mkdir(tree, &format!("dir-{}", index / 100), OWNER)?;
        }
        let dir = fs.lookup(tree, &format!("dir-{}", index / 100))?.node;
        write_file(&fs, dir, &format!("file-{index}"), length, (index * length) as u64, length.min(MIB))?;
    }
    let shared = fs.lookup(fs.lookup(tree, "dir-0")?.node, "file-0")?.node;
    fs.link(shared, tree, "linked")?;
    fs.sync()?;
    println!("a tree of {files} files, {} MiB", files * length / MIB);
    let start = Instant::now();
    let clone = fs.clone_tree(tree, 1, "clone")?;
    println!("  clone of it                          {:?}", start.elapsed());
    let start = Instant::now();
    fs.sync()?;
    println!("  and synced                           {:?}", start.elapsed());
    let start = Instant::now();
    let dir = fs.lookup(clone.node, "dir-3")?.node;
    let file = fs.lookup(dir, "file-300")?.node;
    fs.read(file, 0, 0, &mut vec![0; 4096])?;
    println!("  first look at a file in it           {:?}", start.elapsed());
    let start = Instant::now();
    fs.write(file, 0, 0, b"changed")?;
    fs.sync()?;
    println!("  first change of it, synced           {:?}", start.elapsed());
    let start = Instant::now();
    fs.snapshot("snapshot")?;
    println!("  snapshot of the whole, synced        {:?}", start.elapsed());
    let start = Instant::now();
    let problems = fs.check()?.problems;
    println!("  check of the whole                   {:?}, {} problems", start.elapsed(), problems.len());
    Ok(())
}
