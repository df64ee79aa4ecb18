//! A run of operations by a seed, that can be done on any filesystem, and found again after a crash.
//!
//! After each operation its number is written into the file `counter`. So what is found after a crash says how far it must have come: all up to the
//! counter is there, the next operation may be, and nothing after it.

use eyot_backend::{Errno, Filesystem, Node, RenameFlags};

use super::{OWNER, ROOT, Random, size, write_all};

#[derive(Clone, Debug)]
pub enum Op {
    Create(Place),
    Mkdir(u64),
    Write(Place, u64, u64, usize),
    Size(Place, u64),
    Unlink(Place),
    Rmdir(u64),
    Rename(Place, Place),
    Exchange(Place, Place),
    MoveDir(u64, u64),
    Link(Place, Place),
    Set(Place, u64),
}

/// A file: in a directory (0 is the root) under a name.
#[derive(Clone, Copy, Debug)]
pub struct Place(pub u64, pub u64);

/// The operation with this number.
pub fn op(seed: u64, number: u64) -> Op {
    let mut random =
        Random((seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ number.wrapping_mul(0xd134_2543_de82_ef95)) | 1);
    for _ in 0..3 {
        random.below(2);
    }
    let place = |random: &mut Random| Place(random.below(4), random.below(8));
    match random.below(20) {
        0..=3 => Op::Create(place(&mut random)),
        4 => Op::Mkdir(1 + random.below(3)),
        5..=10 => {
            let offset = if random.below(3) == 0 { random.below(300_000) } else { random.below(3000) };
            let length = if random.below(3) == 0 { random.below(200_000) } else { random.below(3000) };
            Op::Write(place(&mut random), offset, random.below(1 << 40) + 1, length as usize)
        }
        11 => Op::Size(place(&mut random), random.below(200_000)),
        12..=13 => Op::Unlink(place(&mut random)),
        14 => Op::Rmdir(1 + random.below(3)),
        15..=16 => Op::Rename(place(&mut random), place(&mut random)),
        17 => Op::Exchange(place(&mut random), place(&mut random)),
        18 if random.below(2) == 0 => Op::MoveDir(1 + random.below(3), 1 + random.below(3)),
        18 => Op::Link(place(&mut random), place(&mut random)),
        _ => Op::Set(place(&mut random), random.below(2000)),
    }
}

fn dir(fs: &dyn Filesystem, index: u64) -> Result<Node, Errno> {
    if index == 0 {
        return Ok(ROOT);
    }
    find(fs, ROOT, &format!("d{index}"))
}

fn find(fs: &dyn Filesystem, dir: Node, name: &str) -> Result<Node, Errno> {
    let found = fs.lookup(dir, name)?;
    fs.forget(found.node, 1);
    Ok(found.node)
}

pub fn file(fs: &dyn Filesystem, place: Place) -> Result<Node, Errno> {
    find(fs, dir(fs, place.0)?, &format!("f{}", place.1))
}

/// Does one operation. What cannot be done is left undone, by any filesystem alike.
pub fn apply(fs: &dyn Filesystem, op: &Op) -> Result<(), Errno> {
    let name = |place: &Place| format!("f{}", place.1);
    match op {
        Op::Create(at) => {
            let made = fs.create(dir(fs, at.0)?, &name(at), OWNER)?;
            fs.forget(made.node, 1);
        }
        Op::Mkdir(index) => {
            let made = fs.mkdir(ROOT, &format!("d{index}"), OWNER)?;
            fs.forget(made.node, 1);
        }
        Op::Write(at, offset, seed, length) => write_all(fs, file(fs, *at)?, *offset, &Random(*seed).bytes(*length)),
        Op::Size(at, bytes) => drop(fs.setattr(file(fs, *at)?, &size(*bytes))?),
        Op::Unlink(at) => fs.unlink(dir(fs, at.0)?, &name(at))?,
        Op::Rmdir(index) => fs.rmdir(ROOT, &format!("d{index}"))?,
        Op::Rename(from, to) => {
            fs.rename(dir(fs, from.0)?, &name(from), dir(fs, to.0)?, &name(to), RenameFlags::empty())?;
        }
        Op::Exchange(from, to) => {
            fs.rename(dir(fs, from.0)?, &name(from), dir(fs, to.0)?, &name(to), RenameFlags::EXCHANGE)?;
        }
        Op::MoveDir(from, to) => {
            fs.rename(ROOT, &format!("d{from}"), ROOT, &format!("d{to}"), RenameFlags::empty())?;
        }
        Op::Link(from, to) => {
            let made = fs.link(file(fs, *from)?, dir(fs, to.0)?, &name(to))?;
            fs.forget(made.node, 1);
        }
        Op::Set(at, length) => fs.setxattr(file(fs, *at)?, "user.x", &vec![7; *length as usize])?,
    }
    Ok(())
}

pub fn make_counter(fs: &dyn Filesystem) -> Node {
    fs.create(ROOT, "counter", OWNER).unwrap().node
}

pub fn count(fs: &dyn Filesystem, counter: Node, number: u64) {
    write_all(fs, counter, 0, &number.to_le_bytes());
}

/// The number in the counter; `None` before there is one.
pub fn counted(fs: &dyn Filesystem) -> Option<u64> {
    let counter = find(fs, ROOT, "counter").ok()?;
    let mut bytes = [0; 8];
    match fs.read(counter, 0, 0, &mut bytes).unwrap() {
        0 => None,
        8 => Some(u64::from_le_bytes(bytes)),
        other => panic!("a counter of {other} bytes"),
    }
}
