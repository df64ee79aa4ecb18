//! The operations.

use std::fmt;

use eyot_backend::Capabilities;

use crate::random::Random;

/// The names that operations use. Few, so that they meet.
const NAMES: u64 = 5;
/// How many files can be held at once.
pub(super) const SLOTS: u64 = 3;
/// The longest offset: a few chunks.
const OFFSET_MAX: u64 = 200_000;

/// A path from the root: numbers of names.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Path {
    pub dir: Vec<u8>,
    pub name: u8,
}

#[derive(Clone)]
pub(super) enum Op {
    Create(Path, u32),
    Mkdir(Path),
    Symlink(Path, u64),
    Fifo(Path),
    Link(Path, Path),
    Unlink(Path),
    Rmdir(Path),
    Rename(Path, Path),
    RenameNoReplace(Path, Path),
    Exchange(Path, Path),
    Chmod(Path, u32),
    Write { path: Path, offset: u64, length: u64, seed: u64 },
    Truncate(Path, u64),
    Read { path: Path, offset: u64, length: u64 },
    SetXattr { path: Path, name: u64, length: u64 },
    RemoveXattr(Path, u64),
    Forget,
    Hold(u64, Path),
    HeldWrite { slot: u64, offset: u64, length: u64, seed: u64 },
    HeldTruncate(u64, u64),
    HeldRead(u64),
    Drop(u64),
}

/// How often each sort of operation comes.
#[derive(Clone, Copy)]
pub(super) struct Mix {
    names: u64,
    contents: u64,
    held: u64,
}

impl Mix {
    pub(super) const ALL: Mix = Mix { names: 6, contents: 3, held: 2 };
    pub(super) const NAMES: Mix = Mix { names: 20, contents: 1, held: 0 };
    pub(super) const CONTENTS: Mix = Mix { names: 2, contents: 12, held: 1 };
    pub(super) const HELD: Mix = Mix { names: 5, contents: 1, held: 8 };
}

pub(super) fn name(number: u8) -> String {
    format!("n{number}")
}

impl Path {
    fn random(random: &mut Random) -> Self {
        let depth = [0, 0, 1, 1, 2][random.index(5)];
        // Directories lie mostly under the first names, and files may be anywhere.
        let dir = (0..depth).map(|_| random.below(2) as u8).collect();
        Self { dir, name: random.below(NAMES) as u8 }
    }
}

impl Op {
    pub(super) fn random(random: &mut Random, mix: Mix, can: Capabilities) -> Self {
        loop {
            let at = random.below(mix.names + mix.contents + mix.held);
            let op = if at < mix.names {
                Self::on_names(random)
            } else if at < mix.names + mix.contents {
                Self::on_contents(random)
            } else {
                Self::on_held(random)
            };
            if can.contains(op.needs()) {
                return op;
            }
        }
    }

    fn needs(&self) -> Capabilities {
        match self {
            Op::Symlink(..) => Capabilities::SYMLINKS,
            Op::Fifo(_) => Capabilities::SPECIAL_FILES,
            Op::Link(..) => Capabilities::HARD_LINKS,
            Op::Exchange(..) => Capabilities::ATOMIC_RENAME,
            Op::SetXattr { .. } | Op::RemoveXattr(..) => Capabilities::XATTRS,
            _ => Capabilities::empty(),
        }
    }

    fn on_names(random: &mut Random) -> Self {
        let path = Path::random(random);
        match random.below(16) {
            0..=2 => Op::Create(path, *random.pick(&[0o600, 0o644, 0o755])),
            3 | 4 => Op::Mkdir(path),
            5 => Op::Symlink(path, random.below(100)),
            6 => Op::Fifo(path),
            7 | 8 => Op::Link(path, Path::random(random)),
            9 => Op::Unlink(path),
            10 => Op::Rmdir(path),
            11 | 12 => Op::Rename(path, Path::random(random)),
            13 => Op::RenameNoReplace(path, Path::random(random)),
            14 => Op::Exchange(path, Path::random(random)),
            _ => Op::Forget,
        }
    }

    fn on_contents(random: &mut Random) -> Self {
        let path = Path::random(random);
        match random.below(10) {
            0..=3 => Op::Write { path, offset: offset(random), length: length(random), seed: random.below(1000) },
            4 | 5 => Op::Truncate(path, offset(random)),
            6 => Op::Read { path, offset: offset(random), length: length(random) },
            7 => Op::SetXattr { path, name: random.below(3), length: random.below(500) },
            8 => Op::RemoveXattr(path, random.below(3)),
            _ => Op::Chmod(path, *random.pick(&[0o600, 0o644, 0o700, 0o777])),
        }
    }

    fn on_held(random: &mut Random) -> Self {
        let slot = random.below(SLOTS);
        match random.below(6) {
            0 | 1 => Op::Hold(slot, Path::random(random)),
            2 => Op::HeldWrite { slot, offset: offset(random), length: length(random), seed: random.below(1000) },
            3 => Op::HeldTruncate(slot, offset(random)),
            4 => Op::HeldRead(slot),
            _ => Op::Drop(slot),
        }
    }
}

/// An offset, often beside an edge.
fn offset(random: &mut Random) -> u64 {
    match random.below(4) {
        0 => 0,
        1 => random.below(200),
        2 => (*random.pick(&[4096, 65_536, 131_072]) + random.below(5)).saturating_sub(2),
        _ => random.below(OFFSET_MAX),
    }
}

fn length(random: &mut Random) -> u64 {
    if random.one_in(4) { random.below(70_000) } else { random.below(300) }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for &part in &self.dir {
            write!(f, "/{}", name(part))?;
        }
        write!(f, "/{}", name(self.name))
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Op::Create(path, mode) => write!(f, "create {path} {mode:#o}"),
            Op::Mkdir(path) => write!(f, "mkdir {path}"),
            Op::Symlink(path, length) => write!(f, "symlink {path}, {length} bytes"),
            Op::Fifo(path) => write!(f, "make-node {path}"),
            Op::Link(path, new) => write!(f, "link {path} {new}"),
            Op::Unlink(path) => write!(f, "unlink {path}"),
            Op::Rmdir(path) => write!(f, "rmdir {path}"),
            Op::Rename(path, new) => write!(f, "rename {path} {new}"),
            Op::RenameNoReplace(path, new) => write!(f, "rename {path} {new}, no-replace"),
            Op::Exchange(path, new) => write!(f, "rename {path} {new}, exchange"),
            Op::Chmod(path, mode) => write!(f, "chmod {path} {mode:#o}"),
            Op::Write { path, offset, length, .. } => write!(f, "write {path}, {length} bytes at {offset}"),
            Op::Truncate(path, size) => write!(f, "truncate {path} to {size}"),
            Op::Read { path, offset, length } => write!(f, "read {path}, {length} bytes at {offset}"),
            Op::SetXattr { path, name, length } => write!(f, "setxattr {path} user.{name}, {length} bytes"),
            Op::RemoveXattr(path, name) => write!(f, "removexattr {path} user.{name}"),
            Op::Forget => write!(f, "forget all that is not held"),
            Op::Hold(slot, path) => write!(f, "open {path} as {slot}"),
            Op::HeldWrite { slot, offset, length, .. } => write!(f, "write through {slot}, {length} bytes at {offset}"),
            Op::HeldTruncate(slot, size) => write!(f, "truncate {slot} to {size}"),
            Op::HeldRead(slot) => write!(f, "read through {slot}"),
            Op::Drop(slot) => write!(f, "close {slot}"),
        }
    }
}
