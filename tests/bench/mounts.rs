//! The rows of mounts, through the system calls of a wasm guest: a component beside the same backend compiled in, and a host's directory beside the host itself.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use eyot_archive::{Archive, ArchiveOptions, FileSource};
use eyot_backend::{Filesystem, Ownership};
use eyot_hostdir::Hostdir;
use eyot_kernel::Vm;
use eyot_kernel::limits::Limit;
use eyot_kernel::plugin::{PluginConfig, PluginHost, PluginMount};
use eyot_kernel::vm::{Caching, MountOptions};
use eyot_memfs::Memfs;

use crate::Options;
use crate::guests::{self, FILE_BYTES, Files};
use crate::rows::{Row, some};
use crate::stats::{Samples, nanos};
use crate::world;

/// How often the two that are compared take turns, so that what else the machine does meets both.
const TURNS: usize = 5;
/// The user of a VM.
const USER: u32 = 1000;
/// The directory entries that a VM may remember where each `stat` is to ask the backend.
const ENTRIES_FEW: u64 = 64;

type Answer<T> = Result<T, String>;

fn text(error: impl ToString) -> String {
    error.to_string()
}

// --- the worlds ---

fn vm_at_m(fs: Arc<dyn Filesystem>, entries: Option<u64>) -> Answer<Vm> {
    world::vm_with(|vm| {
        // The boundary is measured, and not the cache of pages that would hide it.
        let options = MountOptions { cache: Caching::None, ..MountOptions::default() };
        let vm = vm.mount("/m", fs, options);
        entries
            .map(|entries| (Limit::CachedEntries, entries))
            .into_iter()
            .fold(vm, |vm, (limit, max)| vm.limit(limit, max))
    })
}

fn native() -> Arc<dyn Filesystem> {
    Arc::new(Memfs::builder().root(Ownership { mode: 0o755, uid: USER, gid: USER }).build())
}

/// The in-memory filesystem as a component, mounted as the command `eyot` mounts it.
fn component() -> Answer<Arc<dyn Filesystem>> {
    static HOST: OnceLock<Answer<PluginHost>> = OnceLock::new();
    let code = world::cache().map(|cache| cache.join("code"));
    let host = HOST.get_or_init(|| PluginHost::new(code).map_err(text)).as_ref().map_err(Clone::clone)?;
    let given = std::env::var_os("EYOT_MEMFS_WASM").map(Into::into);
    let file = given.map_or_else(|| world::home().map(|home| home.join("memfs.wasm")), Ok)?;
    let bytes =
        std::fs::read(&file).map_err(|error| format!("{}: {error}; run `cargo xtask setup`", file.display()))?;
    let settings = ["uid", "gid"].map(|key| (key.to_owned(), USER.to_string())).into();
    let plugin = host.load(&bytes, PluginConfig { settings, ..PluginConfig::new("memfs.wasm") }).map_err(text)?;
    Ok(Arc::new(PluginMount::new("memfs.wasm", plugin, None)))
}

// --- a guest's rounds ---

fn install(vm: &Vm, program: &Files) -> Answer<()> {
    vm.write_file("/tmp/bench.wasm", &program.wasm()?, 0o755).map_err(text)
}

fn turn(vm: &Vm, program: &Files, rounds: usize) -> Answer<Vec<f64>> {
    let rounds = u8::try_from(rounds).unwrap_or(u8::MAX).max(1);
    let output = vm.command("/tmp/bench.wasm").output_with_input(&[rounds]).map_err(text)?;
    if !output.status.success() {
        return Err(format!("{:?}: {}", output.status, String::from_utf8_lossy(&output.stderr)));
    }
    Ok(program.samples(&output.stdout))
}

/// Both take turns; what they tell, after a turn that does not count.
fn by_turns(
    mut ours: impl FnMut() -> Answer<Vec<f64>>,
    mut theirs: impl FnMut() -> Answer<Vec<f64>>,
) -> Answer<(Samples, Samples)> {
    ours()?;
    theirs()?;
    let (mut eyot, mut peer) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        eyot.extend(ours()?);
        peer.extend(theirs()?);
    }
    Ok((some(eyot, "the guest")?, some(peer, "the peer")?))
}

fn rounds(options: &Options, all: usize) -> usize {
    (options.runs(all) / TURNS).max(2)
}

// --- a component beside native code ---

fn component_and_native(options: &Options, program: &Files, entries: Option<u64>, ratio_max: f64) -> Answer<Row> {
    let (plugin, plain) = (vm_at_m(component()?, entries)?, vm_at_m(native(), entries)?);
    install(&plugin, program)?;
    install(&plain, program)?;
    let rounds = rounds(options, 100);
    let (eyot, peer) = by_turns(|| turn(&plugin, program, rounds), || turn(&plain, program, rounds))?;
    Ok(Row { eyot, peer: Some(("native memfs", peer)), target: f64::NAN, ratio_max: Some(ratio_max) })
}

pub fn component_read(options: &Options) -> Answer<Row> {
    component_and_native(options, &guests::READ_64K_ON, None, 1.0 / 0.6)
}

pub fn component_write(options: &Options) -> Answer<Row> {
    component_and_native(options, &guests::WRITE_64K_ON, None, 1.0 / 0.6)
}

pub fn component_uncached_stat(options: &Options) -> Answer<Row> {
    component_and_native(options, &guests::STAT_MANY, Some(ENTRIES_FEW), 1.0 / 0.3)
}

pub fn component_cached_stat(options: &Options) -> Answer<Row> {
    component_and_native(options, &guests::STAT, None, 1.05)
}

// --- a host's directory beside the host ---

/// The guest over a directory of the host, and the same done by this process.
fn host(
    options: &Options,
    program: &Files,
    ratio_max: Option<f64>,
    prepare: impl FnOnce(&Path) -> io::Result<()>,
    itself: impl Fn(&Path, u64) -> io::Result<()>,
) -> Answer<Row> {
    let dir = tempfile::tempdir().map_err(text)?;
    prepare(dir.path()).map_err(text)?;
    let fs = Hostdir::new(dir.path(), false).map_err(text)?.owned_by(USER, USER);
    let vm = vm_at_m(Arc::new(fs), None)?;
    install(&vm, program)?;
    let rounds = rounds(options, 50);
    let alone = || {
        let mut samples = Vec::with_capacity(rounds);
        for _ in 0..rounds {
            let start = Instant::now();
            itself(dir.path(), program.per_round as u64).map_err(text)?;
            samples.push(nanos(start.elapsed()) / program.per_round as f64);
        }
        Ok(samples)
    };
    // The guest goes first: it makes the file.
    let (eyot, peer) = by_turns(|| turn(&vm, program, rounds), alone)?;
    Ok(Row { eyot, peer: Some(("the host itself", peer)), target: f64::NAN, ratio_max })
}

fn nothing(_: &Path) -> io::Result<()> {
    Ok(())
}

fn host_read(options: &Options, program: &Files, block: usize) -> Answer<Row> {
    host(options, program, Some(1.0 / 0.7), nothing, |dir, count| {
        let (file, mut buffer) = (File::open(dir.join("file"))?, vec![0; block]);
        (0..count).try_for_each(|index| file.read_exact_at(&mut buffer, index * block as u64 % FILE_BYTES))
    })
}

pub fn host_read_64k(options: &Options) -> Answer<Row> {
    host_read(options, &guests::READ_64K_ON, 64 << 10)
}

pub fn host_read_4k(options: &Options) -> Answer<Row> {
    host_read(options, &guests::READ_4K_ON, 4 << 10)
}

pub fn host_write_64k(options: &Options) -> Answer<Row> {
    host(options, &guests::WRITE_64K_ON, None, nothing, |dir, count| {
        let (file, buffer) = (File::options().write(true).open(dir.join("file"))?, vec![1; 64 << 10]);
        (0..count).try_for_each(|index| file.write_all_at(&buffer, index * buffer.len() as u64 % FILE_BYTES))
    })
}

pub fn host_stat(options: &Options) -> Answer<Row> {
    host(options, &guests::STAT, None, nothing, |dir, count| {
        let file = dir.join("file");
        (0..count).try_for_each(|_| std::fs::metadata(&file).map(drop))
    })
}

pub fn host_readdir(options: &Options) -> Answer<Row> {
    let prepare = |dir: &Path| {
        std::fs::create_dir(dir.join("many"))?;
        (0..100).try_for_each(|index| std::fs::write(dir.join(format!("many/file-{index:03}")), ""))
    };
    host(options, &guests::LIST, None, prepare, |dir, count| {
        let many = dir.join("many");
        for _ in 0..count {
            let found = std::fs::read_dir(&many)?.count();
            assert_eq!(found, 100, "the directory has them all");
        }
        Ok(())
    })
}

// --- an archive ---

const ARCHIVE_FILES: u64 = 4096;
const ARCHIVE_FILE_BYTES: u64 = 256 << 10;

/// From a file of the host to a VM in which a file of the archive was found.
pub fn archive_ready(options: &Options) -> Answer<Row> {
    let mut file = tempfile::NamedTempFile::new().map_err(text)?;
    write_tar(file.as_file_mut()).map_err(text)?;
    let eyot = Samples::time(options.runs(50), || {
        let source = FileSource::open(file.path()).map_err(text)?;
        let archive = Archive::open(Arc::new(source), &ArchiveOptions::new()).map_err(text)?;
        let vm = world::vm_with(|vm| vm.mount("/a", Arc::new(archive), MountOptions::default()))?;
        let found = vm.stat(&format!("/a/dir/file-{}", ARCHIVE_FILES - 1)).map_err(text)?;
        if found.attributes.size == ARCHIVE_FILE_BYTES {
            Ok(())
        } else {
            Err(format!("a file of {} bytes", found.attributes.size))
        }
    })?;
    Ok(Row { eyot, peer: None, target: 50e6, ratio_max: None })
}

/// A tar of 1 GiB. The files' contents are holes: nothing but headers is written.
fn write_tar(file: &mut File) -> io::Result<()> {
    for index in 0..ARCHIVE_FILES {
        file.write_all(&tar_header(&format!("dir/file-{index}"), ARCHIVE_FILE_BYTES))?;
        file.seek(SeekFrom::Current(ARCHIVE_FILE_BYTES as i64))?;
    }
    file.write_all(&[0; 1024])
}

/// A header of the format ustar (tar(5)).
fn tar_header(name: &str, size: u64) -> [u8; 512] {
    let mut header = [0; 512];
    let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000644\0");
    put(108, "0001750\0");
    put(116, "0001750\0");
    put(124, &format!("{size:011o}\0"));
    put(136, "00000000000\0");
    put(148, "        ");
    put(156, "0");
    put(257, "ustar\x0000");
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    header
}
