// {{name}}: a filesystem in memory, with files, directories, symlinks and hard links. Change it into yours.
//
// The kernel has checked names, permissions and sizes before it calls, and calls one function at a time. What is thrown as a string is the
// errno: `throw 'noent'`. Numbers of 64 bits are BigInts.

import { now } from 'eyot:backend/clock@0.1.0';

// componentize-js reads every string with a decoder that loses the first character of a name that begins with U+FEFF. This one does not.
const exact = new TextDecoder('utf-8', { ignoreBOM: true });
const { decode } = TextDecoder.prototype;
TextDecoder.prototype.decode = (...input) => decode.apply(exact, input);

const ROOT = 1n;
const FOREVER = 0xffff_ffff_ffff_ffffn;
const SIZE_MAX = 0x7fff_ffff_ffff_ffffn;
const INODES_MAX = 100_000;
const BLOCK_BYTES = 4096;
const NAME_BYTES_MAX = 255;
const TARGET_BYTES_MAX = 4095;

let bytesMax = 64 * 1024 * 1024;
let bytesUsed = 0;
let nextNode = ROOT;
const inodes = new Map();

// This runs when the component is built, where there is no clock: `info` sets the root's times.
make('directory', { mode: 0o755, uid: 0, gid: 0 }, { seconds: 0n, nanoseconds: 0 });

// Inodes -----------------------------------------------------------------------------------------------------------------

function make(kind, owner, time) {
  if (inodes.size >= INODES_MAX) throw 'nospc';
  const inode = {
    node: nextNode++,
    kind,
    mode: owner.mode & 0o7777,
    uid: owner.uid,
    gid: owner.gid,
    links: kind === 'directory' ? 2 : 1,
    // How many times the kernel holds it. While it does, the number stays valid, with or without a name.
    lookups: 0n,
    modified: time,
    changed: time,
    accessed: time,
    created: time,
  };
  if (kind === 'file') Object.assign(inode, { data: new Uint8Array(0), size: 0 });
  if (kind === 'directory') Object.assign(inode, { entries: new Map(), nextCookie: 1n, parent: null });
  inodes.set(inode.node, inode);
  return inode;
}

function find(node) {
  const inode = inodes.get(node);
  if (inode === undefined) throw 'stale';
  return inode;
}

function findDirectory(node) {
  const inode = find(node);
  if (inode.kind !== 'directory') throw 'notdir';
  return inode;
}

function findFile(node) {
  const inode = find(node);
  if (inode.kind === 'directory') throw 'isdir';
  if (inode.kind !== 'file') throw 'inval';
  return inode;
}

function findEntry(dir, name) {
  const entry = dir.entries.get(name);
  if (entry === undefined) throw 'noent';
  return entry;
}

// Lets an inode go that has neither a name nor a holder.
function reap(inode) {
  if (inode.links > 0 || inode.lookups > 0n || inode.node === ROOT) return;
  if (inode.kind === 'file') bytesUsed -= inode.size;
  inodes.delete(inode.node);
}

function touch(inode) {
  inode.modified = inode.changed = now();
}

function attributes(inode) {
  let size = 0;
  if (inode.kind === 'file') size = inode.size;
  if (inode.kind === 'symlink') size = byteLength(inode.target);
  return {
    node: inode.node,
    kind: inode.kind,
    mode: inode.mode,
    links: inode.links,
    uid: inode.uid,
    gid: inode.gid,
    device: 0n,
    size: BigInt(size),
    blocks: BigInt(Math.ceil(size / 512)),
    accessed: inode.accessed,
    modified: inode.modified,
    changed: inode.changed,
    created: inode.created,
    // Nothing but this mount changes it, so the kernel need not ask again.
    lifetimeNs: FOREVER,
  };
}

// An answer that the kernel holds from now on.
function held(inode) {
  inode.lookups += 1n;
  return attributes(inode);
}

// Names ------------------------------------------------------------------------------------------------------------------

function byteLength(text) {
  return new TextEncoder().encode(text).length;
}

function checkName(name) {
  if (name === '' || name === '.' || name === '..' || /[/\0]/.test(name)) throw 'inval';
  if (byteLength(name) > NAME_BYTES_MAX) throw 'nametoolong';
}

// A directory that gets a new name.
function roomFor(dirNode, name) {
  const dir = findDirectory(dirNode);
  checkName(name);
  if (dir.entries.has(name)) throw 'exist';
  if (dir.links === 0) throw 'noent';
  return dir;
}

function addName(dir, name, inode) {
  dir.entries.set(name, { node: inode.node, cookie: dir.nextCookie++ });
  if (inode.kind === 'directory') {
    inode.parent = dir;
    dir.links += 1;
  }
}

function dropName(dir, name, inode) {
  dir.entries.delete(name);
  if (inode.kind === 'directory') dir.links -= 1;
}

// Takes the last step of `unlink`, `rmdir` and a rename that replaces.
function loseLink(inode) {
  inode.links = inode.kind === 'directory' ? 0 : inode.links - 1;
  inode.changed = now();
  reap(inode);
}

function isWithin(dir, ancestor) {
  for (let at = dir; at !== null; at = at.parent) if (at === ancestor) return true;
  return false;
}

function exchange(from, fromName, to, toName) {
  const [one, other] = [findEntry(from, fromName), findEntry(to, toName)];
  if (one.node === other.node) return;
  const [a, b] = [find(one.node), find(other.node)];
  if (isWithin(to, a) || isWithin(from, b)) throw 'inval';
  dropName(from, fromName, a);
  dropName(to, toName, b);
  addName(from, fromName, b);
  addName(to, toName, a);
  for (const inode of [a, b]) inode.changed = now();
  for (const dir of [from, to]) touch(dir);
}

// Contents ---------------------------------------------------------------------------------------------------------------

// Makes a file this long: cuts, or extends with zeroes.
function resize(inode, size) {
  if (size > SIZE_MAX) throw 'fbig';
  if (size > BigInt(inode.size) && BigInt(bytesUsed) + size - BigInt(inode.size) > BigInt(bytesMax)) throw 'nospc';
  size = Number(size);
  if (size > inode.data.length) {
    const data = new Uint8Array(Math.max(size, 2 * inode.data.length));
    data.set(inode.data.subarray(0, inode.size));
    inode.data = data;
  }
  if (size < inode.size) {
    inode.data.fill(0, size, inode.size);
    if (size < inode.data.length / 4) inode.data = inode.data.slice(0, size);
  }
  bytesUsed += size - inode.size;
  inode.size = size;
}

// The interface `filesystem` ---------------------------------------------------------------------------------------------

export const filesystem = {
  info() {
    const root = find(ROOT);
    touch(root);
    root.accessed = root.created = root.changed;
    return {
      root: ROOT,
      capabilities: { writable: true, hardLinks: true, symlinks: true, atomicRename: true, caseSensitive: true },
      entryLifetimeNs: FOREVER,
      absenceLifetimeNs: FOREVER,
      kind: '{{name}}',
    };
  },

  lookup(dir, name) {
    return held(find(findEntry(findDirectory(dir), name).node));
  },

  forget(node, count) {
    const inode = inodes.get(node);
    if (inode === undefined) return;
    inode.lookups -= count < inode.lookups ? count : inode.lookups;
    reap(inode);
  },

  getattr(node) {
    return attributes(find(node));
  },

  setattr(node, changes) {
    const inode = find(node);
    for (const time of [changes.accessed, changes.modified]) {
      if (time !== undefined && time.nanoseconds >= 1_000_000_000) throw 'inval';
    }
    if (changes.size !== undefined) {
      resize(findFile(node), changes.size);
      inode.modified = now();
    }
    if (changes.mode !== undefined) inode.mode = changes.mode & 0o7777;
    if (changes.uid !== undefined) inode.uid = changes.uid;
    if (changes.gid !== undefined) inode.gid = changes.gid;
    if (changes.accessed !== undefined) inode.accessed = changes.accessed;
    if (changes.modified !== undefined) inode.modified = changes.modified;
    inode.changed = now();
    return attributes(inode);
  },

  create(dirNode, name, owner) {
    const dir = roomFor(dirNode, name);
    const inode = make('file', owner, now());
    addName(dir, name, inode);
    touch(dir);
    return held(inode);
  },

  mkdir(dirNode, name, owner) {
    const dir = roomFor(dirNode, name);
    const inode = make('directory', owner, now());
    addName(dir, name, inode);
    touch(dir);
    return held(inode);
  },

  symlink(dirNode, name, target, owner) {
    const dir = roomFor(dirNode, name);
    if (target === '') throw 'noent';
    if (byteLength(target) > TARGET_BYTES_MAX) throw 'nametoolong';
    const inode = make('symlink', { ...owner, mode: 0o777 }, now());
    inode.target = target;
    addName(dir, name, inode);
    touch(dir);
    return held(inode);
  },

  makeNode(_dir, _name, _kind, _device, _owner) {
    throw 'notsup';
  },

  link(target, dirNode, name) {
    const inode = find(target);
    if (inode.kind === 'directory') throw 'perm';
    const dir = roomFor(dirNode, name);
    if (inode.links === 0) throw 'noent';
    addName(dir, name, inode);
    inode.links += 1;
    inode.changed = now();
    touch(dir);
    return held(inode);
  },

  unlink(dirNode, name) {
    const dir = findDirectory(dirNode);
    const inode = find(findEntry(dir, name).node);
    if (inode.kind === 'directory') throw 'isdir';
    dropName(dir, name, inode);
    touch(dir);
    loseLink(inode);
  },

  rmdir(dirNode, name) {
    const dir = findDirectory(dirNode);
    const inode = findDirectory(findEntry(dir, name).node);
    if (inode.entries.size > 0) throw 'notempty';
    dropName(dir, name, inode);
    touch(dir);
    loseLink(inode);
  },

  rename(fromDir, fromName, toDir, toName, how) {
    if (how.noReplace && how.exchange) throw 'inval';
    const [from, to] = [findDirectory(fromDir), findDirectory(toDir)];
    checkName(fromName);
    checkName(toName);
    if (how.exchange) return exchange(from, fromName, to, toName);
    const source = find(findEntry(from, fromName).node);
    if (to.links === 0) throw 'noent';
    if (isWithin(to, source)) throw 'inval';
    const there = to.entries.get(toName);
    if (there !== undefined) {
      if (how.noReplace) throw 'exist';
      if (there.node === source.node) return;
      const target = find(there.node);
      if (source.kind === 'directory' && target.kind !== 'directory') throw 'notdir';
      if (source.kind !== 'directory' && target.kind === 'directory') throw 'isdir';
      if (target.kind === 'directory' && target.entries.size > 0) throw 'notempty';
      dropName(to, toName, target);
      loseLink(target);
    }
    dropName(from, fromName, source);
    addName(to, toName, source);
    source.changed = now();
    touch(from);
    touch(to);
  },

  readlink(node) {
    const inode = find(node);
    if (inode.kind !== 'symlink') throw 'inval';
    return inode.target;
  },

  open(node, _how) {
    findFile(node);
    return 0n;
  },

  release(_node, _handle) {},

  read(node, _handle, offset, length) {
    const inode = findFile(node);
    if (offset >= BigInt(inode.size)) return new Uint8Array(0);
    const start = Number(offset);
    return inode.data.subarray(start, Math.min(start + length, inode.size));
  },

  write(node, _handle, offset, bytes) {
    const inode = findFile(node);
    const end = offset + BigInt(bytes.length);
    if (end > SIZE_MAX) throw 'fbig';
    if (bytes.length === 0) return 0;
    if (end > BigInt(inode.size)) resize(inode, end);
    inode.data.set(bytes, Number(offset));
    touch(inode);
    return bytes.length;
  },

  fsync(node, _handle, _dataOnly) {
    find(node);
  },

  readdir(dirNode, cookie, maxEntries) {
    const dir = findDirectory(dirNode);
    const entries = [];
    for (const [name, entry] of dir.entries) {
      if (entries.length >= maxEntries) break;
      if (entry.cookie > cookie) entries.push({ name, cookie: entry.cookie, attributes: attributes(find(entry.node)) });
    }
    return entries;
  },

  statfs() {
    return {
      blockSize: BLOCK_BYTES,
      blocks: BigInt(Math.floor(bytesMax / BLOCK_BYTES)),
      blocksFree: BigInt(Math.floor((bytesMax - bytesUsed) / BLOCK_BYTES)),
      files: BigInt(INODES_MAX),
      filesFree: BigInt(INODES_MAX - inodes.size),
      nameMax: NAME_BYTES_MAX,
    };
  },

  // `info` does not name `xattrs`, so the kernel never calls these.
  getxattr(_node, _name) {
    throw 'notsup';
  },

  setxattr(_node, _name, _value) {
    throw 'notsup';
  },

  listxattr(_node) {
    throw 'notsup';
  },

  removexattr(_node, _name) {
    throw 'notsup';
  },
};
// {{#mount}}

// The interface `mount` --------------------------------------------------------------------------------------------------

const UNITS = { k: 10, m: 20, g: 30, t: 40 };

export const mount = {
  settings() {
    return [
      {
        key: 'bytes_max',
        kind: 'size',
        required: false,
        defaultValue: '64M',
        help: 'The most bytes of contents; ENOSPC beyond.',
      },
    ];
  },

  // The kernel has checked the values: a `size` is a number with an optional unit.
  configure(settings) {
    for (const { key, value } of settings) {
      const [, digits, unit] = /^([0-9]+)([kmgt]?)(?:i?b)?$/i.exec(value) ?? [];
      if (key !== 'bytes_max' || digits === undefined) throw { code: 'inval', message: `${key}: ${value} is not understood` };
      bytesMax = Number(digits) * 2 ** (UNITS[unit.toLowerCase()] ?? 0);
    }
  },
};
// {{/}}
