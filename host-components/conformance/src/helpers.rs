//! What cases do often.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use eyot_backend::{AttributeChanges, Attributes, CHUNK_BYTES_MAX, DirectoryEntry, Errno, Handle, Node, OpenFlags};

use crate::calls::Call;
use crate::subject::{OWNER, Subject};
use crate::verdict::{Stop, fail, guard, stop};

/// More entries than any case makes.
const ENTRIES_MAX: usize = 500_000;
/// How long a case waits for a backend's clock to move.
const TICK_MAX: Duration = Duration::from_millis(2500);

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
        for (chunk, at) in bytes.chunks(CHUNK_BYTES_MAX).zip((offset..).step_by(1 << 20)) {
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
            let want = (length - bytes.len()).min(CHUNK_BYTES_MAX);
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
