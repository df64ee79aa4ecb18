//! Makes a 1 GiB tar of 20,000 files (and a zip, a tar.gz and tar.zst of part of it) and measures how they mount and read.
//!
//! `cargo run --release -p eyot-archive --example measure [DIRECTORY]`

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use eyot_archive::{Archive, ArchiveOptions, FileSource};
use eyot_backend::{Filesystem, Node, NodeKind};

const FILES: usize = 20_000;
const FILE_BYTES: usize = 53_000;

type Outcome<T = ()> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome {
    let given = std::env::args().nth(1).map(PathBuf::from);
    let temp = tempfile::tempdir()?;
    let dir = given.as_deref().unwrap_or(temp.path());
    let small = FILES / 4;
    let tar = dir.join("image.tar");
    write_tar(File::create(&tar)?, FILES)?;
    report("tar", &tar, ArchiveOptions::new)?;

    let zip = dir.join("image.zip");
    write_zip(&zip, FILES, zip::CompressionMethod::Stored)?;
    report("zip, stored", &zip, ArchiveOptions::new)?;
    write_zip(&zip, small, zip::CompressionMethod::Deflated)?;
    report("zip, deflated, a quarter", &zip, ArchiveOptions::new)?;

    let quarter = dir.join("quarter.tar");
    write_tar(File::create(&quarter)?, small)?;
    let packed = dir.join("quarter.packed");
    let bytes = std::fs::read(&quarter)?;
    std::fs::write(&packed, gzip(&quarter)?)?;
    report("tar.gz, a quarter", &packed, ArchiveOptions::new)?;
    std::fs::write(&packed, zstd::encode_all(&bytes[..], 3)?)?;
    report("tar.zst in one frame, a quarter", &packed, ArchiveOptions::new)?;
    let spill = || {
        let file = tempfile::tempfile().ok().and_then(|file| FileSource::new(file).ok());
        file.map_or_else(ArchiveOptions::new, |file| ArchiveOptions::new().spill(Arc::new(file)))
    };
    report("the same with a spill", &packed, spill)?;
    let frames = bytes.chunks(2 << 20).map(|chunk| zstd::bulk::compress(chunk, 3)).collect::<Result<Vec<_>, _>>()?;
    std::fs::write(&packed, frames.concat())?;
    report("tar.zst in frames of 2 MiB, a quarter", &packed, ArchiveOptions::new)
}

fn gzip(path: &Path) -> Outcome<Vec<u8>> {
    Ok(std::process::Command::new("gzip").arg("-c").arg(path).output()?.stdout)
}

/// Bytes that compress to about a half.
fn contents(seed: usize) -> Vec<u8> {
    let mut state = seed as u64;
    let mut bytes = Vec::with_capacity(FILE_BYTES + 16);
    while bytes.len() < FILE_BYTES {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        bytes.extend_from_slice(&(state >> 32).to_le_bytes());
    }
    bytes.truncate(FILE_BYTES);
    bytes
}

fn name(index: usize) -> String {
    format!("usr/share/{}/{}/file-{index}", index / 1000, index / 50)
}

fn write_tar(file: File, files: usize) -> Outcome {
    let mut builder = tar::Builder::new(BufWriter::new(file));
    for index in 0..files {
        let mut header = tar::Header::new_gnu();
        header.set_size(FILE_BYTES as u64);
        header.set_mode(0o644);
        builder.append_data(&mut header, name(index), &contents(index)[..])?;
    }
    builder.into_inner()?.flush()?;
    Ok(())
}

fn write_zip(path: &Path, files: usize, method: zip::CompressionMethod) -> Outcome {
    let mut writer = zip::ZipWriter::new(BufWriter::new(File::create(path)?));
    let options = zip::write::SimpleFileOptions::default().compression_method(method);
    for index in 0..files {
        writer.start_file(name(index), options)?;
        writer.write_all(&contents(index))?;
    }
    writer.finish()?.flush()?;
    Ok(())
}

/// The time of this thread on a processor: what counts where others use the machine too.
fn cpu() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.try_into().unwrap_or(0), time.tv_nsec.try_into().unwrap_or(0))
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn report(what: &str, path: &Path, options: impl Fn() -> ArchiveOptions) -> Outcome {
    let open = || -> Outcome<(Archive, Duration)> {
        let start = Instant::now();
        let archive = Archive::open(Arc::new(FileSource::open(path)?), &options())?;
        Ok((archive, start.elapsed()))
    };
    let (archive, first) = open()?;
    let (mut best, mut best_cpu) = (Duration::MAX, Duration::MAX);
    for _ in 0..if first > Duration::from_millis(200) { 2 } else { 20 } {
        let start = cpu();
        best = best.min(open()?.1);
        best_cpu = best_cpu.min(cpu() - start);
    }
    println!("{what}: {} MiB, {:?}", std::fs::metadata(path)?.len() >> 20, archive.usage());
    println!("  open {:.1} ms at first, best {:.1} ms, of processor time {:.1} ms", ms(first), ms(best), ms(best_cpu));
    let index = archive.index_bytes()?;
    let start = Instant::now();
    drop(Archive::open_with_index(Arc::new(FileSource::open(path)?), &options(), &index)?);
    println!("  open with its index of {} KiB {:.1} ms", index.len() >> 10, ms(start.elapsed()));
    let files = files(&archive)?;
    let mut buffer = vec![0; 1 << 20];
    let (start, start_cpu, mut bytes) = (Instant::now(), cpu(), 0);
    for &(node, size) in &files {
        let mut at = 0;
        while at < size {
            let count = archive.read(node, 0, at, &mut buffer)? as u64;
            at += count;
            bytes += count;
        }
    }
    let mib_per_second = |time: Duration| bytes as f64 / (1 << 20) as f64 / time.as_secs_f64();
    let (took, took_cpu) = (start.elapsed(), cpu() - start_cpu);
    println!("  read all {:.0} MiB/s, by processor time {:.0}", mib_per_second(took), mib_per_second(took_cpu));
    let (start, start_cpu, mut state, rounds) = (Instant::now(), cpu(), 1usize, 2000);
    let mut done = 0u32;
    while done < rounds && start.elapsed() < Duration::from_secs(5) {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (node, size) = files[(state >> 33) % files.len()];
        archive.read(node, 0, (state >> 20) as u64 % size, &mut buffer[..4096])?;
        done += 1;
    }
    let each = |time: Duration| ms(time) * 1000.0 / f64::from(done);
    let (took, took_cpu) = (each(start.elapsed()), each(cpu() - start_cpu));
    println!("  random 4 KiB {took:.1} us each, of processor time {took_cpu:.1} us ({done} of them)");
    let start = Instant::now();
    for index in 0..FILES / 4 {
        let mut at = archive.info().root;
        for part in name(index).split('/') {
            at = archive.lookup(at, part)?.node;
        }
    }
    println!("  lookup of a path of five names {:.2} us", ms(start.elapsed()) * 1000.0 / (FILES / 4) as f64);
    Ok(())
}

/// All files in the order of the listing, depth first.
fn files(archive: &Archive) -> Outcome<Vec<(Node, u64)>> {
    let (mut dirs, mut files) = (vec![archive.info().root], Vec::new());
    while let Some(dir) = dirs.pop() {
        let mut cookie = 0;
        loop {
            let page = archive.readdir(dir, cookie, 1000)?;
            let Some(last) = page.last() else { break };
            cookie = last.cookie;
            for entry in page {
                match entry.attributes.kind {
                    NodeKind::Directory => dirs.push(entry.attributes.node),
                    _ => files.push((entry.attributes.node, entry.attributes.size)),
                }
            }
        }
    }
    // A reader of the whole archive reads in its order: nodes are numbered by directory, files by name, which is near enough.
    files.sort_unstable();
    Ok(files)
}
