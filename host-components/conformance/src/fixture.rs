//! A tree that a filesystem can hold from the start: what an archive or a lower layer is checked with.

use std::collections::HashMap;

use eyot_backend::{
    AttributeChanges, Attributes, Capabilities, Errno, Filesystem, Node, NodeKind, OpenFlags, Ownership, Timestamp,
};

use crate::random::pattern;

/// What an entry of the fixture is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FixtureBody {
    /// A directory.
    Directory,
    /// A regular file with these bytes.
    File(Vec<u8>),
    /// A symlink with this target.
    Symlink(String),
    /// Another name of the regular file at this path, which comes earlier.
    HardLink(String),
    /// A FIFO.
    Fifo,
    /// A character device with this number.
    CharacterDevice(u64),
}

/// One entry of the fixture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FixtureEntry {
    /// The path from the root, without a slash at the beginning. What it lies in comes earlier.
    pub path: String,
    /// What it is.
    pub body: FixtureBody,
    /// Permission bits; of a symlink 0777.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Time of modification: an even second, which every archive format holds.
    pub modified: Timestamp,
    /// Extended attributes.
    pub xattrs: Vec<(String, Vec<u8>)>,
}

impl FixtureEntry {
    fn new(path: impl Into<String>, body: FixtureBody, mode: u32) -> Self {
        let path = path.into();
        // Each its own time and, now and then, its own owner.
        let sum: i64 = path.bytes().map(i64::from).sum();
        let (uid, gid) = if sum % 3 == 0 { (1000, 100) } else { (0, 0) };
        let modified = Timestamp { seconds: 1_500_000_000 + 2 * sum, nanoseconds: 0 };
        Self { path, body, mode, uid, gid, modified, xattrs: Vec::new() }
    }

    fn file(path: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(path, FixtureBody::File(bytes.into()), 0o644)
    }

    fn directory(path: impl Into<String>) -> Self {
        Self::new(path, FixtureBody::Directory, 0o755)
    }

    fn symlink(path: impl Into<String>, target: impl Into<String>) -> Self {
        Self::new(path, FixtureBody::Symlink(target.into()), 0o777)
    }

    /// The directory's path and the name in it.
    pub(crate) fn parent_and_name(&self) -> (&str, &str) {
        self.path.rsplit_once('/').unwrap_or(("", &self.path))
    }
}

/// Bytes of which some repeat and some do not, as in files that are packed.
fn mixed(length: usize) -> Vec<u8> {
    let mut bytes = pattern(length, length as u64);
    for part in bytes.chunks_mut(1000).step_by(2) {
        part.fill(b'.');
    }
    bytes
}

/// The tree: always the same. Some 280 entries, a little over 3 MiB.
///
/// ```
/// let entries = eyot_conformance::fixture();
/// assert!(entries.iter().any(|entry| entry.path == "docs/readme.txt"));
/// ```
pub fn fixture() -> Vec<FixtureEntry> {
    let mut all = vec![
        FixtureEntry::directory("bin"),
        FixtureEntry { mode: 0o755, ..FixtureEntry::file("bin/tool", mixed(100_000)) },
        FixtureEntry::new("bin/alias", FixtureBody::HardLink("bin/tool".into()), 0o755),
        FixtureEntry::directory("docs"),
        FixtureEntry::file("docs/readme.txt", "Read me.\n"),
        FixtureEntry { mode: 0o600, ..FixtureEntry::file("docs/private", "for the owner\n") },
        FixtureEntry { mode: 0o444, ..FixtureEntry::file("docs/fixed", "not to be written\n") },
        FixtureEntry::symlink("docs/link", "readme.txt"),
        FixtureEntry::symlink("docs/dangling", "../none/none"),
        FixtureEntry::symlink("docs/long", "a/".repeat(100)),
        FixtureEntry::symlink("docs/absolute", "/docs/readme.txt"),
        FixtureEntry::symlink("up", "docs/.."),
        FixtureEntry::directory("empty"),
        FixtureEntry { mode: 0o1777, ..FixtureEntry::directory("shared") },
        FixtureEntry { mode: 0o700, ..FixtureEntry::directory("closed") },
        FixtureEntry::file("closed/inside", "inside\n"),
    ];
    sizes(&mut all);
    deep(&mut all);
    odd(&mut all);
    all.push(FixtureEntry::directory("many"));
    all.extend((0..200).map(|index| FixtureEntry::file(format!("many/file-{index:03}"), format!("file {index}\n"))));
    all.push(FixtureEntry::directory("special"));
    all.push(FixtureEntry::new("special/fifo", FixtureBody::Fifo, 0o640));
    all.push(FixtureEntry::new("special/null", FixtureBody::CharacterDevice(0x103), 0o666));
    let xattrs = vec![("user.kit".into(), b"value".to_vec()), ("user.empty".into(), Vec::new())];
    all.push(FixtureEntry { xattrs, ..FixtureEntry::file("attributed", "has attributes\n") });
    all
}

/// Files whose sizes lie around the edges of archive formats: blocks of tar, windows of compressors, chunks.
fn sizes(all: &mut Vec<FixtureEntry>) {
    all.push(FixtureEntry::directory("sizes"));
    for size in
        [0, 1, 511, 512, 513, 1023, 1024, 1025, 4095, 4096, 4097, 32_768, 65_535, 65_536, 65_537, 131_072, 262_145]
    {
        all.push(FixtureEntry::file(format!("sizes/{size}"), mixed(size)));
    }
    all.push(FixtureEntry::file("sizes/large", mixed((1 << 20) + 3)));
    all.push(FixtureEntry::file("sizes/random", pattern(300_001, 42)));
    all.push(FixtureEntry::file("sizes/zeroes", vec![0; 500_000]));
}

/// A path that is longer than the fields of tar.
fn deep(all: &mut Vec<FixtureEntry>) {
    let mut path = String::from("deep");
    all.push(FixtureEntry::directory(&*path));
    for level in 0..20 {
        path = format!("{path}/a-directory-at-level-{level}");
        all.push(FixtureEntry::directory(&*path));
    }
    all.push(FixtureEntry::file(format!("{path}/bottom"), "the bottom\n"));
    all.push(FixtureEntry::file(format!("{path}/{}", "n".repeat(255)), "a long name\n"));
}

fn odd(all: &mut Vec<FixtureEntry>) {
    all.push(FixtureEntry::directory("odd"));
    for name in [
        " ",
        "a b",
        "-rf",
        "..a",
        "...",
        "new\nline",
        "back\\slash",
        "ü€𝄞",
        "日本語",
        "%2e%2e",
        "a:b",
        "'\"",
        ".hidden",
    ] {
        all.push(FixtureEntry::file(format!("odd/{name}"), name));
    }
    all.push(FixtureEntry::directory("odd/dir with spaces"));
    all.push(FixtureEntry::file("odd/dir with spaces/f", "f"));
}

/// Makes the entries in a filesystem, as far as it can hold them. Errors are the filesystem's own.
pub fn populate(fs: &dyn Filesystem, entries: &[FixtureEntry]) -> Result<(), Errno> {
    let info = fs.info();
    let can = |needed| info.capabilities.contains(needed);
    let mut nodes = HashMap::from([(String::new(), info.root)]);
    for entry in entries {
        let needed = match entry.body {
            FixtureBody::Symlink(_) => Capabilities::SYMLINKS,
            FixtureBody::HardLink(_) => Capabilities::HARD_LINKS,
            FixtureBody::Fifo | FixtureBody::CharacterDevice(_) => Capabilities::SPECIAL_FILES,
            _ => Capabilities::empty(),
        };
        if !can(needed) {
            continue;
        }
        let (parent, name) = entry.parent_and_name();
        let dir = *nodes.get(parent).ok_or(Errno::Noent)?;
        let made = make(fs, &nodes, dir, name, entry)?;
        for (key, value) in entry.xattrs.iter().filter(|_| can(Capabilities::XATTRS)) {
            fs.setxattr(made.node, key, value)?;
        }
        nodes.insert(entry.path.clone(), made.node);
    }
    // Making what lies in a directory changes its times, so that they come last.
    for entry in entries {
        let Some(&node) = nodes.get(&entry.path) else { continue };
        let time = Some(entry.modified);
        fs.setattr(node, &AttributeChanges { accessed: time, modified: time, ..Default::default() })?;
    }
    for node in nodes.into_values().filter(|&node| node != info.root) {
        fs.forget(node, 1);
    }
    Ok(())
}

fn make(
    fs: &dyn Filesystem,
    nodes: &HashMap<String, Node>,
    dir: Node,
    name: &str,
    entry: &FixtureEntry,
) -> Result<Attributes, Errno> {
    let owner = Ownership { mode: entry.mode, uid: entry.uid, gid: entry.gid };
    match &entry.body {
        FixtureBody::Directory => fs.mkdir(dir, name, owner),
        FixtureBody::Symlink(target) => fs.symlink(dir, name, target, owner),
        FixtureBody::HardLink(path) => fs.link(*nodes.get(path).ok_or(Errno::Noent)?, dir, name),
        FixtureBody::Fifo => fs.make_node(dir, name, NodeKind::Fifo, 0, owner),
        FixtureBody::CharacterDevice(device) => fs.make_node(dir, name, NodeKind::CharacterDevice, *device, owner),
        FixtureBody::File(bytes) => {
            let made = fs.create(dir, name, owner)?;
            let handle = fs.open(made.node, OpenFlags::all())?;
            let written = write(fs, made.node, handle, bytes);
            fs.release(made.node, handle);
            written.map(|()| made)
        }
    }
}

fn write(fs: &dyn Filesystem, node: Node, handle: u64, bytes: &[u8]) -> Result<(), Errno> {
    let mut done = 0;
    while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
        let chunk = rest.get(..eyot_backend::CHUNK_BYTES_MAX).unwrap_or(rest);
        done += fs.write(node, handle, done as u64, chunk).and_then(|count| {
            // A write that takes nothing would never end.
            if count == 0 { Err(Errno::Io) } else { Ok(count) }
        })?;
    }
    Ok(())
}
