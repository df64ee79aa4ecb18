//! The calls that a case makes: each says by itself what it was when it fails.

use std::fmt::Debug;

use eyot_backend::{
    AttributeChanges, Attributes, DirectoryEntry, Errno, FilesystemStatus, Handle, Node, NodeKind, OpenFlags,
    Ownership, RenameFlags,
};

use crate::subject::{DIR_OWNER, OWNER, Subject};
use crate::verdict::{fail, leave_out};

/// A call that was made: what it was, and what came.
#[must_use]
pub(crate) struct Call<T> {
    pub(crate) what: String,
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
