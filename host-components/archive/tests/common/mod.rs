//! What the tests share: making tars by hand, and looking at a mounted tree.
#![allow(dead_code, reason = "each test uses its part")]

use std::collections::BTreeMap;
use std::sync::Arc;

use eyot_archive::{Archive, ArchiveError, ArchiveOptions, MemorySource};
use eyot_backend::{Attributes, Errno, Filesystem, Node, NodeKind, OpenFlags};

/// A tar that is written header by header.
#[derive(Default, Clone)]
pub struct Tar(pub Vec<u8>);

/// A header of ustar, to be changed before it is sealed.
pub struct Header(pub [u8; 512]);

impl Header {
    pub fn new(name: &str, kind: u8, size: u64) -> Self {
        let mut header = Self([0; 512]);
        header.put(0, name.as_bytes());
        header.put(100, b"0000644\0");
        header.put(108, b"0001750\0");
        header.put(116, b"0000144\0");
        header.put(124, format!("{size:011o}\0").as_bytes());
        header.put(136, b"07346545000\0");
        header.0[156] = kind;
        header.put(257, b"ustar\x0000");
        header
    }

    pub fn put(&mut self, at: usize, bytes: &[u8]) -> &mut Self {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    pub fn link(mut self, target: &str) -> Self {
        self.put(157, target.as_bytes());
        self
    }

    pub fn gnu(mut self) -> Self {
        self.put(257, b"ustar  \0");
        self
    }

    pub fn seal(mut self) -> [u8; 512] {
        self.put(148, b"        ");
        let sum: u32 = self.0.iter().map(|&byte| u32::from(byte)).sum();
        self.put(148, format!("{sum:06o}\0 ").as_bytes());
        self.0
    }
}

impl Tar {
    pub fn raw(mut self, header: Header, data: &[u8]) -> Self {
        self.0.extend(header.seal());
        self.0.extend(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub fn file(self, name: &str, data: &[u8]) -> Self {
        self.raw(Header::new(name, b'0', data.len() as u64), data)
    }

    pub fn dir(self, name: &str) -> Self {
        self.raw(Header::new(name, b'5', 0), b"")
    }

    pub fn symlink(self, name: &str, target: &str) -> Self {
        self.raw(Header::new(name, b'2', 0).link(target), b"")
    }

    pub fn hardlink(self, name: &str, target: &str) -> Self {
        self.raw(Header::new(name, b'1', 0).link(target), b"")
    }

    pub fn pax(self, records: &[(&str, &[u8])]) -> Self {
        self.pax_of(b'x', records)
    }

    pub fn pax_of(self, kind: u8, records: &[(&str, &[u8])]) -> Self {
        let mut data = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let mut length = rest + 1;
            while length != rest + length.to_string().len() {
                length += 1;
            }
            data.extend(format!("{length} {key}=").as_bytes());
            data.extend(*value);
            data.push(b'\n');
        }
        self.raw(Header::new("pax", kind, data.len() as u64), &data)
    }

    pub fn end(mut self) -> Vec<u8> {
        self.0.extend([0; 1024]);
        self.0
    }
}

pub fn open_with(bytes: Vec<u8>, options: &ArchiveOptions) -> Result<Archive, ArchiveError> {
    Archive::open(Arc::new(MemorySource::new(bytes)), options)
}

pub fn open(bytes: Vec<u8>) -> Result<Archive, ArchiveError> {
    open_with(bytes, &ArchiveOptions::new())
}

pub fn mount(bytes: Vec<u8>) -> Archive {
    open(bytes).unwrap_or_else(|error| panic!("{error}"))
}

pub fn find(fs: &Archive, path: &str) -> Result<Attributes, Errno> {
    let mut at = fs.getattr(fs.info().root)?;
    for name in path.split('/').filter(|name| !name.is_empty()) {
        at = fs.lookup(at.node, name)?;
    }
    Ok(at)
}

pub fn read_node(fs: &Archive, node: Node, size: u64) -> Result<Vec<u8>, Errno> {
    let handle = fs.open(node, OpenFlags::READ)?;
    let mut bytes = Vec::new();
    let mut chunk = vec![0xa5; 1 << 20];
    loop {
        let count = fs.read(node, handle, bytes.len() as u64, &mut chunk)?;
        if count == 0 {
            break;
        }
        bytes.extend_from_slice(&chunk[..count]);
        assert!(bytes.len() as u64 <= size, "more than the size");
    }
    fs.release(node, handle);
    assert_eq!(bytes.len() as u64, size);
    Ok(bytes)
}

pub fn read(fs: &Archive, path: &str) -> Vec<u8> {
    let found = find(fs, path).unwrap_or_else(|errno| panic!("{path}: {errno:?}"));
    read_node(fs, found.node, found.size).unwrap_or_else(|errno| panic!("{path}: {errno:?}"))
}

/// What is behind a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    pub attributes: Attributes,
    pub content: Result<Vec<u8>, Errno>,
    pub target: Option<String>,
    pub xattrs: Vec<(String, Vec<u8>)>,
}

/// Everything in a mounted tree, by path, without reading files of more than `bytes_max`.
pub fn walk_up_to(fs: &Archive, bytes_max: u64) -> BTreeMap<String, Seen> {
    let mut seen = BTreeMap::new();
    let root = fs.getattr(fs.info().root).unwrap();
    let mut dirs = vec![(String::new(), root)];
    while let Some((path, dir)) = dirs.pop() {
        let mut cookie = 0;
        loop {
            let page = fs.readdir(dir.node, cookie, 100).unwrap();
            let Some(last) = page.last() else { break };
            cookie = last.cookie;
            for entry in page {
                let attributes = entry.attributes;
                assert_eq!(fs.lookup(dir.node, &entry.name), Ok(attributes), "{path}/{}", entry.name);
                assert_eq!(fs.getattr(attributes.node), Ok(attributes));
                let path = if path.is_empty() { entry.name } else { format!("{path}/{}", entry.name) };
                if attributes.kind == NodeKind::Directory {
                    dirs.push((path, attributes));
                } else {
                    let one = look(fs, attributes, bytes_max);
                    assert!(seen.insert(path, one).is_none());
                }
            }
        }
        seen.insert(path, look(fs, dir, 0));
    }
    seen
}

fn look(fs: &Archive, attributes: Attributes, bytes_max: u64) -> Seen {
    let node = attributes.node;
    let content = match attributes.kind {
        NodeKind::File if attributes.size <= bytes_max => read_node(fs, node, attributes.size),
        NodeKind::File => Err(Errno::Fbig),
        _ => Ok(Vec::new()),
    };
    let target = (attributes.kind == NodeKind::Symlink).then(|| fs.readlink(node).ok()).flatten();
    let mut xattrs: Vec<_> =
        fs.listxattr(node).unwrap().into_iter().map(|name| (name.clone(), fs.getxattr(node, &name).unwrap())).collect();
    xattrs.sort();
    Seen { attributes, content, target, xattrs }
}

pub fn walk(fs: &Archive) -> BTreeMap<String, Seen> {
    walk_up_to(fs, u64::MAX)
}

pub fn paths(fs: &Archive) -> Vec<String> {
    walk_up_to(fs, 0).into_keys().filter(|path| !path.is_empty()).collect()
}

/// A generator of numbers that a seed repeats (SplitMix64).
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.next() % end.max(1)
    }
}

/// Bytes that compress somewhat, and differ by seed.
pub fn texture(length: usize, seed: u64) -> Vec<u8> {
    let mut random = Random(seed);
    let mut bytes = Vec::with_capacity(length + 64);
    while bytes.len() < length {
        let word = random.next();
        if word.is_multiple_of(3) && bytes.len() > 100 {
            let from = bytes.len() - 1 - (random.below(bytes.len().min(30_000) as u64 - 1) as usize);
            let end = (from + 20 + (word >> 8) as usize % 60).min(bytes.len());
            bytes.extend_from_within(from..end);
        } else {
            bytes.extend(word.to_le_bytes());
        }
    }
    bytes.truncate(length);
    bytes
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    pipe("gzip", &["-c", "-6"], bytes)
}

/// Runs a program of the host on bytes.
pub fn pipe(program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
    use std::io::Write;
    use std::process::{Command, Stdio};
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{program}: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || stdin.write_all(input).unwrap());
        child.wait_with_output().unwrap()
    });
    assert!(output.status.success(), "{program} {arguments:?}");
    output.stdout
}

/// Zstandard in one frame.
pub fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

/// Zstandard in frames of `step` bytes that say their lengths, as seekable files are made.
pub fn zstd_frames(bytes: &[u8], step: usize) -> Vec<u8> {
    bytes.chunks(step).flat_map(|chunk| zstd::bulk::compress(chunk, 3).unwrap()).collect()
}
