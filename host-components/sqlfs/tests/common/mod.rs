//! What the tests share.
#![allow(dead_code, missing_docs)]

use std::collections::BTreeMap;
use std::path::PathBuf;

use eyot_backend::{AttributeChanges, Attributes, Errno, Filesystem, Node, NodeKind, Ownership};
use eyot_sqlfs::{Sqlfs, SqlfsBuilder};

pub const OWNER: Ownership = Ownership { mode: 0o644, uid: 1000, gid: 1000 };
pub const ROOT: Node = 1;

/// A directory that goes with the test, and the path of a database in it.
pub struct Place {
    pub dir: tempfile::TempDir,
    pub path: PathBuf,
}

pub fn place() -> Place {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("fs.eyot");
    Place { dir, path }
}

/// Options that let everything happen early: little waits in memory, and little fits into a cache.
pub fn tight() -> SqlfsBuilder {
    Sqlfs::builder()
        .chunk_bytes(64 << 10)
        .inline_bytes_max(100)
        .dirty_bytes_max(600 << 10)
        .file_dirty_bytes_max(200 << 10)
        .cache_bytes_max(1 << 20)
        .inodes_cached_max(1)
        .commit_bytes(300 << 10)
        .wal_bytes_max(1 << 20)
        .readers(1)
}

/// A generator of numbers by a seed.
pub struct Random(pub u64);

impl Random {
    pub fn below(&mut self, below: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % below
    }

    pub fn bytes(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(length + 8);
        while bytes.len() < length {
            bytes.extend_from_slice(&self.below(u64::MAX).to_le_bytes());
        }
        bytes.truncate(length);
        bytes
    }
}

pub fn write_all(fs: &dyn Filesystem, node: Node, offset: u64, bytes: &[u8]) {
    let mut done = 0;
    while done < bytes.len() {
        done += fs.write(node, 0, offset + done as u64, &bytes[done..]).unwrap();
    }
}

pub fn read_all(fs: &dyn Filesystem, node: Node) -> Result<Vec<u8>, Errno> {
    let size = fs.getattr(node)?.size as usize;
    let mut bytes = vec![0xa5; size];
    let mut done = 0;
    while done < size {
        let part = (size - done).min(1 << 20);
        let count = fs.read(node, 0, done as u64, &mut bytes[done..done + part])?;
        assert!(count > 0, "a read is short before the end");
        done += count;
    }
    Ok(bytes)
}

pub fn size(bytes: u64) -> AttributeChanges {
    AttributeChanges { size: Some(bytes), ..AttributeChanges::default() }
}

/// What a tree looks like: by path what is there, with contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Thing {
    pub kind: NodeKind,
    pub mode: u32,
    pub links: u32,
    pub owner: (u32, u32),
    pub device: u64,
    pub size: u64,
    pub contents: Vec<u8>,
    pub xattrs: BTreeMap<String, Vec<u8>>,
    /// Which paths are the same inode: the first path of it.
    pub same_as: String,
}

pub fn list(fs: &dyn Filesystem, dir: Node) -> Result<Vec<(String, Attributes)>, Errno> {
    let (mut entries, mut cookie) = (Vec::new(), 0);
    loop {
        let page = fs.readdir(dir, cookie, 37)?;
        let Some(last) = page.last() else { return Ok(entries) };
        cookie = last.cookie;
        entries.extend(page.into_iter().map(|entry| (entry.name, entry.attributes)));
    }
}

/// The whole tree below a directory.
pub fn tree(fs: &dyn Filesystem, top: Node) -> BTreeMap<String, Thing> {
    let mut things = BTreeMap::new();
    let mut first: BTreeMap<Node, String> = BTreeMap::new();
    let mut waiting = vec![(String::new(), top)];
    while let Some((path, dir)) = waiting.pop() {
        let mut entries = list(fs, dir).unwrap();
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        for (name, listed) in entries {
            let path = format!("{path}/{name}");
            let found = fs.lookup(dir, &name).unwrap();
            assert_eq!((found.node, found.kind, found.size), (listed.node, listed.kind, listed.size), "{path}");
            let node = found.node;
            let contents = match found.kind {
                NodeKind::File => read_all(fs, node).unwrap(),
                NodeKind::Symlink => fs.readlink(node).unwrap().into_bytes(),
                _ => Vec::new(),
            };
            let names = fs.listxattr(node).unwrap();
            let xattrs = names.into_iter().map(|name| (name.clone(), fs.getxattr(node, &name).unwrap())).collect();
            let thing = Thing {
                kind: found.kind,
                mode: found.mode,
                links: found.links,
                owner: (found.uid, found.gid),
                device: found.device,
                size: found.size,
                contents,
                xattrs,
                same_as: String::new(),
            };
            things.insert(path.clone(), thing);
            if found.kind == NodeKind::Directory {
                waiting.push((path.clone(), node));
            }
            first.entry(node).and_modify(|first| *first = path.clone().min(first.clone())).or_insert(path);
            fs.forget(node, 1);
        }
    }
    // Again, now that it is known which path comes first.
    let mut waiting = vec![(String::new(), top)];
    while let Some((path, dir)) = waiting.pop() {
        for (name, listed) in list(fs, dir).unwrap() {
            let path = format!("{path}/{name}");
            if listed.kind == NodeKind::Directory {
                waiting.push((path.clone(), listed.node));
            }
            things.get_mut(&path).unwrap().same_as = first[&listed.node].clone();
        }
    }
    things
}

pub fn assert_clean(fs: &Sqlfs) {
    let report = fs.check().unwrap();
    assert!(report.is_clean(), "{:#?}", report.problems);
}

pub mod recovered;
pub mod workload;
