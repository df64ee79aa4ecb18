//! The filesystem under test, and the calls that a case makes of it: each says by itself what it was when it fails.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Debug;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use eyot_backend::{
    AttributeChanges, Attributes, Capabilities, DirectoryEntry, Errno, Filesystem, FilesystemInfo, FilesystemStatus,
    Handle, Node, NodeKind, OpenFlags, Ownership, RenameFlags,
};

use crate::faulty::Faulty;
use crate::options::Kept;
use crate::random::Random;
use crate::verdict::{Stop, fail, guard, leave_out, stop};

/// Who owns what the kit makes.
pub(crate) const OWNER: Ownership = Ownership { mode: 0o644, uid: 1000, gid: 1000 };
/// Who owns the directories that the kit makes.
pub(crate) const DIR_OWNER: Ownership = Ownership { mode: 0o755, ..OWNER };
pub(crate) const NONE: RenameFlags = RenameFlags::empty();

/// How many of the last calls are told with a failure.
const CALLS_TOLD_MAX: usize = 8;
/// More entries than any case makes.
const ENTRIES_MAX: usize = 500_000;
/// How long a case waits for a backend's clock to move.
const TICK_MAX: Duration = Duration::from_millis(2500);

/// Asks for another fresh filesystem.
pub(crate) struct FreshRequest(pub(crate) Sender<Made>);

/// A fresh filesystem, and what can be made to fail under it.
#[derive(Clone)]
pub(crate) struct Made {
    pub(crate) fs: Arc<dyn Filesystem>,
    pub(crate) faults: Option<Arc<Faulty>>,
}

/// The filesystem under test.
pub struct Subject {
    pub(crate) fs: Arc<dyn Filesystem>,
    pub(crate) faults: Option<Arc<Faulty>>,
    pub(crate) info: FilesystemInfo,
    /// An empty directory: the root, or one beside the tree that was there.
    pub(crate) root: Node,
    pub(crate) capabilities: Capabilities,
    pub(crate) settings: Settings,
    pub(crate) fresh: Sender<FreshRequest>,
    calls: Mutex<VecDeque<String>>,
}

/// What the options say to a case.
#[derive(Clone, Copy)]
pub(crate) struct Settings {
    pub seed: u64,
    pub long: bool,
    pub deadline: Duration,
    pub kept: Option<Kept>,
    pub bytes_max: Option<u64>,
}

/// A call that was made: what it was, and what came.
#[must_use]
pub(crate) struct Call<T> {
    what: String,
    pub(crate) result: Result<T, Errno>,
}

impl<T: Debug> Call<T> {
    /// What came; the case fails when it was an error.
    #[track_caller]
    pub(crate) fn ok(self) -> T {
        match self.result {
            Ok(answer) => answer,
            Err(errno) => fail(format_args!("{}: expected success, got {errno:?}", self.what)),
        }
    }

    /// The case fails unless this error came.
    #[track_caller]
    pub(crate) fn fails(self, wanted: Errno) {
        match self.result {
            Err(errno) if errno == wanted => {}
            Err(errno) => fail(format_args!("{}: expected {wanted:?}, got {errno:?}", self.what)),
            Ok(_) => fail(format_args!("{}: expected {wanted:?}, got success", self.what)),
        }
    }

    /// The case fails unless one of these errors came.
    #[track_caller]
    pub(crate) fn fails_with(self, wanted: &[Errno]) {
        match self.result {
            Err(errno) if wanted.contains(&errno) => {}
            Err(errno) => fail(format_args!("{}: expected one of {wanted:?}, got {errno:?}", self.what)),
            Ok(_) => fail(format_args!("{}: expected one of {wanted:?}, got success", self.what)),
        }
    }

    /// The case fails unless an error came, whichever.
    #[track_caller]
    pub(crate) fn refused(self) {
        if self.result.is_ok() {
            fail(format_args!("{}: expected an error, got success", self.what));
        }
    }

    /// What came; the case is left out when the backend refuses this altogether.
    #[track_caller]
    pub(crate) fn ok_or_leave_out(self) -> T {
        match self.result {
            Err(errno @ (Errno::Perm | Errno::Notsup | Errno::Nosys)) => {
                leave_out(format_args!("{}: {errno:?}", self.what))
            }
            _ => self.ok(),
        }
    }
}

/// What a call answered, in a word.
pub(crate) trait Brief {
    fn brief(&self) -> String;
}

impl Brief for () {
    fn brief(&self) -> String {
        "ok".into()
    }
}

impl Brief for Attributes {
    fn brief(&self) -> String {
        format!("node {}", self.node)
    }
}

impl Brief for u64 {
    fn brief(&self) -> String {
        self.to_string()
    }
}

impl Brief for usize {
    fn brief(&self) -> String {
        self.to_string()
    }
}

impl Brief for String {
    fn brief(&self) -> String {
        format!("{} bytes", self.len())
    }
}

impl<T> Brief for Vec<T> {
    fn brief(&self) -> String {
        format!("{} items", self.len())
    }
}

impl Brief for FilesystemStatus {
    fn brief(&self) -> String {
        format!("{} of {} blocks free", self.blocks_free, self.blocks)
    }
}

fn shown(name: &str) -> String {
    match name.char_indices().nth(24) {
        Some((end, _)) => format!("{:?}... ({} bytes)", &name[..end], name.len()),
        None => format!("{name:?}"),
    }
}

impl Subject {
    pub(crate) fn new(made: Made, settings: Settings, fresh: Sender<FreshRequest>) -> Self {
        let Made { fs, faults } = made;
        let info = fs.info();
        let (root, capabilities) = (info.root, info.capabilities);
        let mut subject = Self { fs, faults, info, root, capabilities, settings, fresh, calls: Mutex::default() };
        if settings.kept.is_some() && capabilities.contains(Capabilities::WRITABLE) {
            subject.root = subject.dir(root, "kit-work").node;
            subject.calls.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
        subject
    }

    /// Another filesystem like this one.
    pub(crate) fn another(&self) -> Subject {
        let (sender, receiver) = channel();
        let asked = self.fresh.send(FreshRequest(sender));
        match asked.ok().and_then(|()| receiver.recv().ok()) {
            Some(made) => Subject::new(made, self.settings, self.fresh.clone()),
            None => fail("the kit has given this case up"),
        }
    }

    pub(crate) fn has(&self, capabilities: Capabilities) -> bool {
        self.capabilities.contains(capabilities)
    }

    /// A smaller number for the short form, and a larger one for the long.
    pub(crate) fn rounds(&self, short: usize, long: usize) -> usize {
        if self.settings.long { long } else { short }
    }

    pub(crate) fn random(&self) -> Random {
        Random::new(self.settings.seed)
    }

    /// The last calls, oldest first.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    fn call<T: Brief>(&self, what: String, result: Result<T, Errno>) -> Call<T> {
        let answer = match &result {
            Ok(answer) => answer.brief(),
            Err(errno) => errno.name().to_owned(),
        };
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        if calls.len() >= CALLS_TOLD_MAX {
            calls.pop_front();
        }
        calls.push_back(format!("{what} = {answer}"));
        drop(calls);
        Call { what, result }
    }
}

/// Each function of the interface.
impl Subject {
    pub(crate) fn lookup(&self, dir: Node, name: &str) -> Call<Attributes> {
        self.call(format!("lookup({dir}, {})", shown(name)), self.fs.lookup(dir, name))
    }

    pub(crate) fn forget(&self, node: Node, count: u64) {
        self.fs.forget(node, count);
        let _ = self.call(format!("forget({node}, {count})"), Ok(()));
    }

    pub(crate) fn getattr(&self, node: Node) -> Call<Attributes> {
        self.call(format!("getattr({node})"), self.fs.getattr(node))
    }

    pub(crate) fn setattr(&self, node: Node, changes: &AttributeChanges) -> Call<Attributes> {
        let mut what = format!("setattr({node}");
        for (name, value) in [("mode", changes.mode), ("uid", changes.uid), ("gid", changes.gid)] {
            if let Some(value) = value {
                let value = if name == "mode" { format!("{value:#o}") } else { value.to_string() };
                what += &format!(", {name} {value}");
            }
        }
        if let Some(size) = changes.size {
            what += &format!(", size {size}");
        }
        for (name, time) in [("accessed", changes.accessed), ("modified", changes.modified)] {
            if let Some(time) = time {
                what += &format!(", {name} {}.{:09}", time.seconds, time.nanoseconds);
            }
        }
        self.call(what + ")", self.fs.setattr(node, changes))
    }

    pub(crate) fn create(&self, dir: Node, name: &str) -> Call<Attributes> {
        self.create_as(dir, name, OWNER)
    }

    pub(crate) fn create_as(&self, dir: Node, name: &str, owner: Ownership) -> Call<Attributes> {
        self.call(format!("create({dir}, {}, {:#o})", shown(name), owner.mode), self.fs.create(dir, name, owner))
    }

    pub(crate) fn mkdir(&self, dir: Node, name: &str) -> Call<Attributes> {
        self.mkdir_as(dir, name, DIR_OWNER)
    }

    pub(crate) fn mkdir_as(&self, dir: Node, name: &str, owner: Ownership) -> Call<Attributes> {
        self.call(format!("mkdir({dir}, {}, {:#o})", shown(name), owner.mode), self.fs.mkdir(dir, name, owner))
    }

    pub(crate) fn symlink(&self, dir: Node, name: &str, target: &str) -> Call<Attributes> {
        let what = format!("symlink({dir}, {}, {})", shown(name), shown(target));
        self.call(what, self.fs.symlink(dir, name, target, OWNER))
    }

    pub(crate) fn make_node(&self, dir: Node, name: &str, kind: NodeKind, device: u64) -> Call<Attributes> {
        let what = format!("make-node({dir}, {}, {kind:?}, {device:#x})", shown(name));
        self.call(what, self.fs.make_node(dir, name, kind, device, OWNER))
    }

    pub(crate) fn link(&self, target: Node, dir: Node, name: &str) -> Call<Attributes> {
        self.call(format!("link({target}, {dir}, {})", shown(name)), self.fs.link(target, dir, name))
    }

    pub(crate) fn unlink(&self, dir: Node, name: &str) -> Call<()> {
        self.call(format!("unlink({dir}, {})", shown(name)), self.fs.unlink(dir, name))
    }

    pub(crate) fn rmdir(&self, dir: Node, name: &str) -> Call<()> {
        self.call(format!("rmdir({dir}, {})", shown(name)), self.fs.rmdir(dir, name))
    }

    pub(crate) fn rename(&self, from: Node, name: &str, to: Node, new: &str, how: RenameFlags) -> Call<()> {
        let flags = if how.is_empty() { String::new() } else { format!(", {how:?}") };
        let what = format!("rename({from}, {}, {to}, {}{flags})", shown(name), shown(new));
        self.call(what, self.fs.rename(from, name, to, new, how))
    }

    pub(crate) fn readlink(&self, node: Node) -> Call<String> {
        self.call(format!("readlink({node})"), self.fs.readlink(node))
    }

    pub(crate) fn open(&self, node: Node, how: OpenFlags) -> Call<Handle> {
        self.call(format!("open({node}, {how:?})"), self.fs.open(node, how))
    }

    pub(crate) fn release(&self, node: Node, handle: Handle) {
        self.fs.release(node, handle);
        let _ = self.call(format!("release({node}, {handle})"), Ok(()));
    }

    /// Reads through an open file; what the backend does not fill is not taken for an answer.
    pub(crate) fn pread(&self, node: Node, handle: Handle, offset: u64, length: usize) -> Call<Vec<u8>> {
        let mut buffer = vec![0xa5; length];
        let result = self.fs.read(node, handle, offset, &mut buffer).map(|count| {
            if count > length {
                fail(format_args!("read({node}, offset {offset}, {length} bytes) answered {count} bytes"));
            }
            buffer.truncate(count);
            buffer
        });
        self.call(format!("read({node}, offset {offset}, {length} bytes)"), result)
    }

    pub(crate) fn pwrite(&self, node: Node, handle: Handle, offset: u64, bytes: &[u8]) -> Call<usize> {
        let what = format!("write({node}, offset {offset}, {} bytes)", bytes.len());
        self.call(what, self.fs.write(node, handle, offset, bytes))
    }

    pub(crate) fn fsync(&self, node: Node, handle: Handle, data_only: bool) -> Call<()> {
        self.call(format!("fsync({node}, data only {data_only})"), self.fs.fsync(node, handle, data_only))
    }

    pub(crate) fn readdir(&self, dir: Node, cookie: u64, entries_max: usize) -> Call<Vec<DirectoryEntry>> {
        let what = format!("readdir({dir}, cookie {cookie}, {entries_max})");
        self.call(what, self.fs.readdir(dir, cookie, entries_max))
    }

    pub(crate) fn statfs(&self) -> Call<FilesystemStatus> {
        self.call("statfs()".into(), self.fs.statfs())
    }

    pub(crate) fn getxattr(&self, node: Node, name: &str) -> Call<Vec<u8>> {
        self.call(format!("getxattr({node}, {})", shown(name)), self.fs.getxattr(node, name))
    }

    pub(crate) fn setxattr(&self, node: Node, name: &str, value: &[u8]) -> Call<()> {
        let what = format!("setxattr({node}, {}, {} bytes)", shown(name), value.len());
        self.call(what, self.fs.setxattr(node, name, value))
    }

    pub(crate) fn listxattr(&self, node: Node) -> Call<Vec<String>> {
        self.call(format!("listxattr({node})"), self.fs.listxattr(node))
    }

    pub(crate) fn removexattr(&self, node: Node, name: &str) -> Call<()> {
        self.call(format!("removexattr({node}, {})", shown(name)), self.fs.removexattr(node, name))
    }
}

/// What cases do often.
impl Subject {
    #[track_caller]
    pub(crate) fn file(&self, dir: Node, name: &str) -> Attributes {
        self.create(dir, name).ok()
    }

    #[track_caller]
    pub(crate) fn dir(&self, dir: Node, name: &str) -> Attributes {
        self.mkdir(dir, name).ok()
    }

    /// A file that holds these bytes.
    #[track_caller]
    pub(crate) fn file_of(&self, dir: Node, name: &str, bytes: &[u8]) -> Node {
        let node = self.file(dir, name).node;
        self.write(node, 0, bytes);
        node
    }

    /// What a name leads to, without keeping a lookup.
    pub(crate) fn peek(&self, dir: Node, name: &str) -> Call<Attributes> {
        let found = self.lookup(dir, name);
        if let Ok(found) = &found.result {
            self.fs.forget(found.node, 1);
        }
        found
    }

    #[track_caller]
    pub(crate) fn attr(&self, node: Node) -> Attributes {
        self.getattr(node).ok()
    }

    #[track_caller]
    pub(crate) fn links(&self, node: Node) -> u32 {
        self.attr(node).links
    }

    /// The case fails unless the name is not there.
    #[track_caller]
    pub(crate) fn is_absent(&self, dir: Node, name: &str) {
        self.peek(dir, name).fails(Errno::Noent);
    }

    #[track_caller]
    pub(crate) fn write(&self, node: Node, offset: u64, bytes: &[u8]) {
        let handle = self.open(node, OpenFlags::all()).ok();
        self.write_all(node, handle, offset, bytes);
        self.release(node, handle);
    }

    /// Writes everything, in as many calls as the backend needs.
    #[track_caller]
    pub(crate) fn write_all(&self, node: Node, handle: Handle, offset: u64, bytes: &[u8]) {
        for (chunk, at) in bytes.chunks(eyot_backend::CHUNK_BYTES_MAX).zip((offset..).step_by(1 << 20)) {
            let mut done = 0;
            while done < chunk.len() {
                let count = self.pwrite(node, handle, at + done as u64, &chunk[done..]).ok();
                if count == 0 || count > chunk.len() - done {
                    let asked = chunk.len() - done;
                    fail(format_args!("write of {asked} bytes: expected 1 to {asked} taken, got {count}"));
                }
                done += count;
            }
        }
    }

    /// Reads `length` bytes in calls of at most 1 MiB; fewer only when the file ends.
    #[track_caller]
    pub(crate) fn read(&self, node: Node, offset: u64, length: usize) -> Vec<u8> {
        let handle = self.open(node, OpenFlags::READ).ok();
        let mut bytes = Vec::new();
        while bytes.len() < length {
            let want = (length - bytes.len()).min(eyot_backend::CHUNK_BYTES_MAX);
            let got = self.pread(node, handle, offset + bytes.len() as u64, want).ok();
            bytes.extend_from_slice(&got);
            if got.len() < want {
                break;
            }
        }
        self.release(node, handle);
        bytes
    }

    #[track_caller]
    pub(crate) fn set_size(&self, node: Node, size: u64) -> Attributes {
        let changed = self.setattr(node, &AttributeChanges { size: Some(size), ..Default::default() }).ok();
        crate::verdict::same("the size that setattr answers", changed.size, size);
        changed
    }

    #[track_caller]
    pub(crate) fn chmod(&self, node: Node, mode: u32) -> Attributes {
        self.setattr(node, &AttributeChanges { mode: Some(mode), ..Default::default() }).ok()
    }

    /// The whole listing in pages of this size; no entry and no cookie may come twice.
    #[track_caller]
    pub(crate) fn list(&self, dir: Node, page: usize) -> Vec<DirectoryEntry> {
        let (mut cookie, mut cookies, mut entries) = (0, BTreeMap::new(), Vec::<DirectoryEntry>::new());
        loop {
            let got = self.readdir(dir, cookie, page).ok();
            if got.len() > page {
                fail(format_args!("readdir of at most {page} entries answered {}", got.len()));
            }
            let Some(last) = got.last() else { return entries };
            cookie = last.cookie;
            if entries.len() > ENTRIES_MAX {
                fail(format_args!("the listing does not end after {} entries", entries.len()));
            }
            for entry in got {
                if entry.cookie == 0 {
                    fail(format_args!("the entry {:?} has the cookie 0", entry.name));
                }
                if let Some(other) = cookies.insert(entry.cookie, entry.name.clone()) {
                    fail(format_args!("{other:?} and {:?} have the same cookie {}", entry.name, entry.cookie));
                }
                entries.push(entry);
            }
        }
    }

    /// The names in a directory, sorted.
    #[track_caller]
    pub(crate) fn names(&self, dir: Node) -> Vec<String> {
        let mut names: Vec<_> = self.list(dir, 100).into_iter().map(|entry| entry.name).collect();
        names.sort();
        names
    }

    /// The case fails unless exactly these names are in the directory.
    #[track_caller]
    pub(crate) fn holds_names(&self, dir: Node, wanted: &[&str]) {
        let mut wanted = wanted.to_vec();
        wanted.sort_unstable();
        crate::verdict::same("the names in the directory", self.names(dir), wanted);
    }

    /// Whether a directory counts its subdirectories as links. Where a new one has a single link, directories are not counted at all.
    pub(crate) fn counts_directories(&self) -> bool {
        let made = self.mkdir(self.root, ".kit-count").ok();
        self.rmdir(self.root, ".kit-count").ok();
        self.forget(made.node, 1);
        made.links != 1
    }

    /// Waits until the backend's clock has moved, as its own new files tell.
    pub(crate) fn tick(&self) {
        let stamp = || {
            let made = self.fs.create(self.root, ".kit-tick", OWNER);
            let _ = self.fs.unlink(self.root, ".kit-tick");
            made.ok().map(|made| {
                self.fs.forget(made.node, 1);
                made.changed
            })
        };
        let (Some(first), started) = (stamp(), Instant::now()) else { return };
        while stamp().is_some_and(|now| now <= first) && started.elapsed() < TICK_MAX {
            std::thread::sleep(Duration::from_micros(500));
        }
    }

    /// Runs `body` on so many threads at once, and answers what each answered. When one fails, so does the case.
    pub(crate) fn threads<T: Send>(&self, count: usize, body: impl Fn(usize) -> T + Sync) -> Vec<T> {
        let body = &body;
        let ended: Vec<Result<T, Stop>> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..count).map(|index| scope.spawn(move || guard(|| body(index)))).collect();
            let lost = || Stop::Failed { message: "a thread of the kit is lost".into(), at: None };
            threads.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(lost()))).collect()
        });
        ended.into_iter().map(|ended| ended.unwrap_or_else(|why| stop(why))).collect()
    }
}
