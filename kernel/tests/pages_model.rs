//! The cache of pages against a plain model: whatever is done to files, and whatever the backend does, guests see what they wrote, and so does the backend in the end.

mod common;

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use common::far::Far;
use common::now;
use common::random::Random;
use eyot_backend::{Change, Errno};
use eyot_kernel::limits::Limit;
use eyot_kernel::process::Task;
use eyot_kernel::syscall::types::{OpenFlags, PathFlags, RenameFlags};
use eyot_kernel::syscall::{descriptor, fs};
use eyot_kernel::vm::Caching;

const NAMES: [&str; 4] = ["a", "b", "c", "d"];
const LENGTH_MAX: usize = 200_000;
const STEPS: usize = 400;

/// A way to cache, and what the backend is like.
#[derive(Clone, Copy, Debug)]
struct Setting {
    cache: Caching,
    lifetime_ns: u64,
    waits: bool,
    cache_bytes: u64,
    dirty_bytes: u64,
    fails_one_in: u64,
}

/// The files as they should be.
#[derive(Default)]
struct Model {
    files: Vec<Vec<u8>>,
    names: [Option<usize>; NAMES.len()],
    open: Vec<(u32, usize)>,
}

struct Run<'a> {
    task: &'a Task,
    far: &'a Far,
    setting: Setting,
    model: Model,
    random: Random,
}

impl Run<'_> {
    fn below(&mut self, bound: usize) -> usize {
        self.random.below(bound as u64) as usize
    }

    /// An offset and a length; mostly small, sometimes large, sometimes at the edge of a block.
    fn span(&mut self) -> (usize, usize) {
        let offset = match self.below(4) {
            0 => self.below(LENGTH_MAX),
            1 => self.below(12) * 16_384,
            2 => (self.below(12) * 16_384).saturating_sub(self.below(20)),
            _ => self.below(20_000),
        };
        let length = match self.below(6) {
            0 => self.below(150_000),
            1 => 16_384,
            _ => self.below(3000),
        };
        (offset, length + 1)
    }

    fn any_open(&mut self) -> Option<(u32, usize)> {
        let count = self.model.open.len();
        (count > 0).then(|| self.model.open[self.random.below(count as u64) as usize])
    }

    /// Whether an error may be one that the backend was told to answer.
    fn excused(&self, errno: Errno) -> bool {
        self.setting.fails_one_in > 0 && errno == Errno::Io
    }

    fn step(&mut self) {
        match self.below(20) {
            0 | 1 => self.open(),
            2 => self.close(),
            3..=7 => self.read(),
            8..=12 => self.write(),
            13 => self.cut(),
            14 => self.rename(),
            15 => self.unlink(),
            16 => self.sync(),
            17 => self.stat(),
            18 => self.append(),
            _ => self.change_outside(),
        }
    }

    fn open(&mut self) {
        if self.model.open.len() > 6 {
            return self.close();
        }
        let name = self.below(NAMES.len());
        let flags = OpenFlags::READ | OpenFlags::WRITE | OpenFlags::CREATE;
        let fd = now(fs::open(self.task, None, &format!("/m/{}", NAMES[name]), flags, 0o644)).unwrap();
        let file = *self.model.names[name].get_or_insert_with(|| {
            self.model.files.push(Vec::new());
            self.model.files.len() - 1
        });
        self.model.open.push((fd, file));
    }

    fn close(&mut self) {
        if self.model.open.is_empty() {
            return;
        }
        let index = self.below(self.model.open.len());
        let (fd, _) = self.model.open.swap_remove(index);
        if let Err(errno) = now(descriptor::close(self.task, fd)) {
            assert!(self.excused(errno), "close: {errno}");
        }
    }

    fn read(&mut self) {
        let Some((fd, file)) = self.any_open() else { return };
        let (offset, length) = self.span();
        let mut bytes = vec![0xee; length];
        let model = &self.model.files[file];
        let expected = &model[offset.min(model.len())..(offset + length).min(model.len())];
        match now(descriptor::pread(self.task, fd, &mut bytes, offset as u64)) {
            Ok(count) => {
                let whole = count == expected.len() || self.setting.fails_one_in > 0 && count < expected.len();
                assert!(whole, "read of {length} at {offset} gave {count}, not {}", expected.len());
                assert!(bytes[..count] == expected[..count], "read of {length} at {offset}: wrong bytes");
            }
            Err(errno) => assert!(self.excused(errno), "read: {errno}"),
        }
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        let seed = self.below(256);
        (0..length).map(|index| (index + seed) as u8).collect()
    }

    fn wrote(&mut self, file: usize, offset: usize, bytes: &[u8]) {
        let model = &mut self.model.files[file];
        model.resize(model.len().max(offset + bytes.len()), 0);
        model[offset..offset + bytes.len()].copy_from_slice(bytes);
    }

    fn write(&mut self) {
        let Some((fd, file)) = self.any_open() else { return };
        let (offset, length) = self.span();
        let bytes = self.bytes(length);
        match now(descriptor::pwrite(self.task, fd, &bytes, offset as u64)) {
            Ok(count) => self.wrote(file, offset, &bytes[..count]),
            Err(errno) => assert!(self.excused(errno), "write: {errno}"),
        }
    }

    fn append(&mut self) {
        let Some((_, file)) = self.any_open() else { return };
        let Some(name) = self.model.names.iter().position(|named| *named == Some(file)) else { return };
        let flags = OpenFlags::WRITE | OpenFlags::APPEND;
        let fd = now(fs::open(self.task, None, &format!("/m/{}", NAMES[name]), flags, 0o644)).unwrap();
        let bytes = self.bytes(700);
        match now(descriptor::write(self.task, fd, &bytes)) {
            Ok(count) => self.wrote(file, self.model.files[file].len(), &bytes[..count]),
            Err(errno) => assert!(self.excused(errno), "append: {errno}"),
        }
        if let Err(errno) = now(descriptor::close(self.task, fd)) {
            assert!(self.excused(errno), "close: {errno}");
        }
    }

    fn cut(&mut self) {
        let Some((fd, file)) = self.any_open() else { return };
        let size = if self.below(3) == 0 { 0 } else { self.below(LENGTH_MAX) };
        match now(descriptor::set_size(self.task, fd, size as u64)) {
            Ok(()) => self.model.files[file].resize(size, 0),
            Err(errno) => assert!(self.excused(errno), "cut: {errno}"),
        }
    }

    fn rename(&mut self) {
        let (from, to) = (self.below(NAMES.len()), self.below(NAMES.len()));
        if self.model.names[from].is_none() || from == to {
            return;
        }
        let (from_path, to_path) = (format!("/m/{}", NAMES[from]), format!("/m/{}", NAMES[to]));
        let at = |path| fs::At { dir: None, path };
        now(fs::rename(self.task, at(&from_path), at(&to_path), RenameFlags::empty(), PathFlags::empty())).unwrap();
        self.model.names[to] = self.model.names[from].take();
    }

    fn unlink(&mut self) {
        let name = self.below(NAMES.len());
        if self.model.names[name].take().is_some() {
            now(fs::unlink(self.task, None, &format!("/m/{}", NAMES[name]), PathFlags::empty())).unwrap();
        }
    }

    fn sync(&mut self) {
        let Some((fd, _)) = self.any_open() else { return };
        if let Err(errno) = now(descriptor::sync(self.task, fd, false)) {
            assert!(self.excused(errno), "fsync: {errno}");
        }
    }

    fn stat(&mut self) {
        let Some((fd, file)) = self.any_open() else { return };
        let size = now(descriptor::stat(self.task, fd)).unwrap().attributes.size;
        assert_eq!(size, self.model.files[file].len() as u64);
    }

    /// Somebody else replaces a file's contents, and tells; or, where contents are validated with each open and `stat`, a `stat` follows. Nothing is held back of it then.
    fn change_outside(&mut self) {
        if self.setting.fails_one_in > 0 {
            return;
        }
        let name = self.below(NAMES.len());
        let Some(file) = self.model.names[name] else { return };
        let Some(&(fd, _)) = self.model.open.iter().find(|(_, open)| *open == file) else { return };
        now(descriptor::sync(self.task, fd, false)).unwrap();
        let length = self.below(60_000);
        let bytes = self.bytes(length);
        self.far.put(NAMES[name], &bytes);
        if self.setting.lifetime_ns == 0 {
            self.stat_of(fd, bytes.len());
        } else if length.is_multiple_of(2) {
            self.far.tell(&Change::Everything);
        } else {
            self.far.tell(&Change::Node(self.far.node(NAMES[name])));
        }
        self.model.files[file] = bytes;
    }

    fn stat_of(&self, fd: u32, length: usize) {
        assert_eq!(now(descriptor::stat(self.task, fd)).unwrap().attributes.size, length as u64);
    }

    /// Nothing fails any more: everything gets to the backend.
    fn finish(mut self) {
        self.far.fails_one_in.store(0, Relaxed);
        self.setting.fails_one_in = 0;
        for (fd, file) in std::mem::take(&mut self.model.open) {
            // A failure from before is told once.
            let _ = now(descriptor::sync(self.task, fd, false));
            assert_eq!(now(descriptor::sync(self.task, fd, false)), Ok(()));
            let mut bytes = vec![0; self.model.files[file].len() + 1];
            let count = now(descriptor::pread(self.task, fd, &mut bytes, 0)).unwrap();
            assert!(bytes[..count] == self.model.files[file], "what is open at the end");
            now(descriptor::close(self.task, fd)).unwrap();
        }
    }
}

fn run(setting: Setting, seed: u64) {
    let far = Far::new(setting.lifetime_ns, setting.waits);
    let limits = [(Limit::PageCacheBytes, setting.cache_bytes), (Limit::DirtyPageBytes, setting.dirty_bytes)];
    let world = far.world(setting.cache, &limits);
    let names = Arc::new(std::sync::Mutex::new(Vec::new()));
    let (backend, kept) = (far.clone(), names.clone());
    world.run(move |task| {
        let _context = Context(setting, seed);
        backend.fails_one_in.store(setting.fails_one_in, Relaxed);
        let model = Model::default();
        let mut run = Run { task, far: &backend, setting, model, random: Random::new(seed) };
        for _ in 0..STEPS {
            run.step();
        }
        let files = &run.model.files;
        let named = run.model.names.iter().zip(NAMES);
        *kept.lock().unwrap() =
            named.filter_map(|(file, name)| Some((name, files[(*file)?].clone()))).collect::<Vec<_>>();
        run.finish();
    });
    // What was closed while the backend failed was kept.
    far.fails_one_in.store(0, Relaxed);
    assert_eq!(world.vm.sync(), Ok(()), "{setting:?}, seed {seed}");
    for (name, bytes) in names.lock().unwrap().iter() {
        assert!(far.contents(name) == *bytes, "{name} in the backend: {setting:?}, seed {seed}");
    }
}

/// Says which run it was that failed.
struct Context(Setting, u64);

impl Drop for Context {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("it was {:?}, seed {}", self.0, self.1);
        }
    }
}

fn seeds() -> u64 {
    std::env::var("EYOT_PAGES_SEEDS").ok().and_then(|text| text.parse().ok()).unwrap_or(6)
}

fn all(fails_one_in: u64) {
    const FOREVER: u64 = u64::MAX;
    for seed in 0..seeds() {
        for (cache, lifetime_ns) in [
            (Caching::Auto, FOREVER),
            (Caching::Read, FOREVER),
            (Caching::Read, 0),
            (Caching::WriteBack, 0),
            (Caching::None, 0),
        ] {
            for waits in [false, true] {
                for (cache_bytes, dirty_bytes) in
                    [(64 << 20, 16 << 20), (96 << 10, 48 << 10), (1 << 20, 0), (0, 1 << 20)]
                {
                    run(Setting { cache, lifetime_ns, waits, cache_bytes, dirty_bytes, fails_one_in }, seed);
                }
            }
        }
    }
}

#[test]
fn guests_see_what_they_wrote_and_so_does_the_backend() {
    all(0);
}

#[test]
fn nothing_is_lost_when_the_backend_fails_now_and_then() {
    all(5);
}
