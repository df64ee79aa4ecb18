//! A process that is none: what `Sys` answers while a snapshot is made.
//!
//! Before the snapshot, the library is booted once more and runs a small script from a file that exists only here. What V8
//! compiles on the way is what nearly every process needs; it goes into the snapshot as bytecode.

use std::cell::Cell;
use std::sync::OnceLock;
use std::time::Instant;

use eyot_kernel::backend::{Attributes, NodeKind, Timestamp};
use eyot_kernel::syscall::types::FileStatus;

use crate::sys::{ENOENT, Errno};

/// The script's path.
pub(crate) const PATH: &str = "/rehearsal.js";

/// What nearly every script does.
const SCRIPT: &[u8] = b"'use strict';
const fs = require('fs'), path = require('path'), util = require('util'), { EventEmitter } = require('events');
console.log('a %s', 1, { b: [2] }); console.error('c');
process.stdout.write('d'); path.join(__dirname, path.basename(__filename)); util.inspect(new Error('e'));
fs.statSync(__filename).isFile(); fs.readFileSync(__filename); fs.readFileSync(__filename, 'utf8'); fs.existsSync('/none');
try { fs.statSync('/none'); } catch (e) { e.code; }
Buffer.from('f').toString('hex'); new EventEmitter().on('g', () => {}).emit('g');
process.nextTick(() => {}); Promise.resolve().then(() => {}); setImmediate(() => {}); const t = setTimeout(() => {}, 1);
(async () => { await null; })(); process.env.PATH; process.argv.slice(2); process.exitCode = 0;
";

/// The file descriptor that opening it gives.
const FD: u32 = 3;

thread_local! {
    static POSITION: Cell<usize> = const { Cell::new(0) };
}

/// Time since the first question.
pub(crate) fn monotonic_ns() -> u64 {
    static START: OnceLock<Instant> = OnceLock::new();
    u64::try_from(START.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(0)
}

fn status(kind: NodeKind, size: u64) -> FileStatus {
    let t = Timestamp::default();
    let attributes = Attributes {
        node: 1,
        kind,
        mode: 0o755,
        links: 1,
        uid: 0,
        gid: 0,
        device: 0,
        size,
        blocks: 1,
        accessed: t,
        modified: t,
        changed: t,
        created: t,
        lifetime_ns: 0,
    };
    FileStatus { device: 1, attributes, block_size: 4096 }
}

pub(crate) fn stat(path: &str) -> Result<FileStatus, Errno> {
    match path {
        PATH => Ok(status(NodeKind::File, SCRIPT.len() as u64)),
        "/" => Ok(status(NodeKind::Directory, 0)),
        _ => Err(ENOENT),
    }
}

pub(crate) fn fstat(fd: u32) -> Result<FileStatus, Errno> {
    let size = if fd == FD { SCRIPT.len() as u64 } else { 0 };
    Ok(status(NodeKind::File, size))
}

pub(crate) fn open(path: &str) -> Result<u32, Errno> {
    POSITION.set(0);
    stat(path).map(|_| FD)
}

pub(crate) fn read(buffer: &mut [u8]) -> usize {
    let rest = SCRIPT.get(POSITION.get()..).unwrap_or(&[]);
    let n = rest.len().min(buffer.len());
    if let (Some(to), Some(from)) = (buffer.get_mut(..n), rest.get(..n)) {
        to.copy_from_slice(from);
    }
    POSITION.set(POSITION.get() + n);
    n
}
