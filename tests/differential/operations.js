'use strict';
// Runs a list of file and process operations by Node's synchronous calls and prints what each answers: the same list and
// the same lines as guest/src/main.rs. The form of the list is described at its beginning.
//
// node operations.js DIR [MARK...] < LIST

const fs = require('fs');
const C = fs.constants;

const OLD = 1000; // what `old` sets times to, in seconds

// ---- the list's form ----

// The bytes a word stands for: '' is none, <x*N> is N times x, \s a space, \n a newline, \xHH a byte.
function unescape(word) {
  if (word === "''") return Buffer.alloc(0);
  const parts = word.match(/<[^>]*>|\\s|\\n|\\x[0-9a-f]{2}|[^<\\]+/g);
  return Buffer.concat(parts.map((part) => {
    if (part[0] === '<') {
      const [, what, times] = /^<(.*)\*(\d+)>$/.exec(part);
      return Buffer.from(what.repeat(Number(times)));
    }
    if (part === '\\s') return Buffer.from(' ');
    if (part === '\\n') return Buffer.from('\n');
    return part[0] === '\\' ? Buffer.from(part.slice(2), 'hex') : Buffer.from(part);
  }));
}

function parse(line) {
  line = line.trim();
  if (line === '' || (line[0] === '#' && !line.startsWith('## '))) return null;
  const at = line.indexOf(' !');
  const text = at < 0 ? line : line.slice(0, at).trimEnd();
  const skip = at < 0 ? [] : line.slice(at + 2).split(':')[0].split(',').map((name) => name.trim());
  if (text.startsWith('## ')) return { title: text.slice(3).trim().replaceAll(' ', '-'), skip };
  const [command, results = ''] = text.split(' -> ');
  const [op, ...args] = command.trim().split(/\s+/);
  return { text, op, args: args.map(unescape), results: results.split(/\s+/).filter(Boolean), skip };
}

function quoted(bytes) {
  let text = '"';
  for (const byte of bytes) {
    const plain = byte >= 0x20 && byte <= 0x7e && byte !== 0x22 && byte !== 0x5c;
    text += plain ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`;
  }
  return text + '"';
}

// Bytes as the answers show them: quoted, and when there are many, their beginning, number and FNV-1a hash.
function shown(bytes) {
  if (bytes.length <= 64) return quoted(bytes);
  let hash = 0x811c9dc5;
  for (const byte of bytes) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return `${quoted(bytes.subarray(0, 16))}... ${bytes.length} bytes ${hash.toString(16).padStart(8, '0')}`;
}

// ---- arguments ----

// A path: text where it is text, so that both of Node's ways to take one are used.
function path(bytes) {
  const text = bytes.toString();
  return Buffer.from(text).equals(bytes) ? text : bytes;
}
const number = (bytes) => Number(bytes.toString());
const octal = (bytes) => parseInt(bytes.toString(), 8);

const FLAGS = {
  r: C.O_RDONLY, w: C.O_WRONLY, rw: C.O_RDWR, create: C.O_CREAT, excl: C.O_EXCL, trunc: C.O_TRUNC, append: C.O_APPEND,
  dir: C.O_DIRECTORY, nofollow: C.O_NOFOLLOW, nonblock: C.O_NONBLOCK,
};

function open(args) {
  let [flags, mode] = [0, 0o644];
  for (const word of args.slice(1).map(String)) {
    if (word in FLAGS) flags |= FLAGS[word]; else mode = parseInt(word, 8);
  }
  return fs.openSync(path(args[0]), flags, mode);
}

function access(letters) {
  const bits = { f: C.F_OK, r: C.R_OK, w: C.W_OK, x: C.X_OK };
  return [...letters.toString()].reduce((mode, letter) => mode | bits[letter], 0);
}

// ---- answers ----

const yes = (is) => (is ? 'yes' : 'no');

function summary(stat) {
  if (stat.isDirectory()) return 'dir';
  if (stat.isCharacterDevice()) return 'char';
  const kind = stat.isFile() ? 'file' : stat.isSymbolicLink() ? 'link' : null;
  return kind ? `${kind} size ${stat.size} links ${stat.nlink}` : 'other';
}

function time(ns) {
  const seconds = ns >= 0n ? ns / 1000000000n : -((-ns + 999999999n) / 1000000000n);
  return `${seconds}.${(ns - seconds * 1000000000n).toString().padStart(9, '0')}`;
}

function times(file) {
  const { atimeNs, mtimeNs } = fs.lstatSync(file, { bigint: true });
  return `${time(atimeNs)} ${time(mtimeNs)}`;
}

function write(args, flags) {
  const fd = fs.openSync(path(args[0]), flags, 0o644);
  try {
    for (let at = 0; at < args[1].length;) at += fs.writeSync(fd, args[1], at);
  } finally {
    fs.closeSync(fd);
  }
}

function read(fd, size, position) {
  const buffer = Buffer.alloc(size);
  return shown(buffer.subarray(0, fs.readSync(fd, buffer, 0, size, position)));
}

function readdir(dir) {
  const names = fs.readdirSync(dir, { withFileTypes: true, encoding: 'buffer' }).map((entry) => {
    const mark = entry.isDirectory() ? '/' : entry.isSymbolicLink() ? '@' : '';
    return Buffer.concat([entry.name, Buffer.from(mark)]);
  });
  return names.sort(Buffer.compare).map(shown).join(' ');
}

// ---- the operations ----

let handles = {};

function fd(word) {
  const name = word.toString();
  if (name[0] === '#') return Number(name.slice(1));
  // The step that should have made it has failed.
  if (!(name in handles)) throw Object.assign(new Error(name), { code: 'no handle' });
  return handles[name];
}

const OPERATIONS = {
  open: (a, results) => { handles[results[0]] = open(a); },
  close: ([h]) => fs.closeSync(fd(h)),
  read: ([h, size]) => read(fd(h), number(size), null),
  pread: ([h, size, at]) => read(fd(h), number(size), number(at)),
  write: ([h, bytes]) => fs.writeSync(fd(h), bytes),
  pwrite: ([h, bytes, at]) => fs.writeSync(fd(h), bytes, 0, bytes.length, number(at)),
  ftruncate: ([h, size]) => fs.ftruncateSync(fd(h), number(size)),
  fsync: ([h]) => fs.fsyncSync(fd(h)),
  fdatasync: ([h]) => fs.fdatasyncSync(fd(h)),
  fstat: ([h]) => summary(fs.fstatSync(fd(h))),
  fchmod: ([h, mode]) => fs.fchmodSync(fd(h), octal(mode)),
  futimes: ([h, a, m]) => fs.futimesSync(fd(h), number(a), number(m)),
  put: (a) => write(a, C.O_WRONLY | C.O_CREAT | C.O_TRUNC),
  append: (a) => write(a, C.O_WRONLY | C.O_CREAT | C.O_APPEND),
  get: ([p]) => shown(fs.readFileSync(path(p))),
  stat: ([p]) => summary(fs.statSync(path(p))),
  lstat: ([p]) => summary(fs.lstatSync(path(p))),
  mode: ([p]) => (fs.statSync(path(p)).mode & 0o7777).toString(8),
  times: ([p]) => times(path(p)),
  old: ([p]) => fs.lutimesSync(path(p), OLD, OLD),
  changed: ([p]) => yes(fs.lstatSync(path(p), { bigint: true }).mtimeNs / 1000000000n !== BigInt(OLD)),
  same: ([p, q]) => {
    const [one, two] = [p, q].map((name) => fs.lstatSync(path(name), { bigint: true }));
    return yes(one.dev === two.dev && one.ino === two.ino);
  },
  utimes: ([p, a, m]) => fs.utimesSync(path(p), number(a), number(m)),
  lutimes: ([p, a, m]) => fs.lutimesSync(path(p), number(a), number(m)),
  mkdir: ([p, mode]) => fs.mkdirSync(path(p), octal(mode)),
  mkdirs: ([p]) => { fs.mkdirSync(path(p), { recursive: true }); },
  rmdir: ([p]) => fs.rmdirSync(path(p)),
  rmtree: ([p]) => fs.rmSync(path(p), { recursive: true }),
  unlink: ([p]) => fs.unlinkSync(path(p)),
  rename: ([p, q]) => fs.renameSync(path(p), path(q)),
  link: ([p, q]) => fs.linkSync(path(p), path(q)),
  symlink: ([target, p]) => fs.symlinkSync(path(target), path(p)),
  readlink: ([p]) => shown(fs.readlinkSync(path(p), 'buffer')),
  readdir: ([p]) => readdir(path(p)),
  access: ([p, mode]) => fs.accessSync(path(p), access(mode)),
  chmod: ([p, mode]) => fs.chmodSync(path(p), octal(mode)),
  truncate: ([p, size]) => fs.truncateSync(path(p), number(size)),
  chdir: ([p]) => process.chdir(path(p)),
  run: (a) => {
    const options = { stdio: ['pipe', 'pipe', 'ignore'] };
    for (; /^(cwd|env|text)=/.test(a[0]); a = a.slice(1)) {
      const [, name, value] = /^(\w+)=(.*)$/s.exec(a[0]);
      if (name === 'cwd') options.cwd = value;
      if (name === 'text') options.input = a[0].subarray(5);
      if (name === 'env') {
        const [, variable, is] = /^([^=]*)=(.*)$/s.exec(value);
        options.env = { ...(options.env ?? process.env), [variable]: is };
      }
    }
    const [program, ...args] = a.map(String);
    const { error, status, signal, stdout } = require('child_process').spawnSync(program, args, options);
    // Node's own pipe may be refused by a child that reads nothing; Linux told the child's end all the same.
    if (error && error.code !== 'EPIPE') throw error;
    const number = signal && require('os').constants.signals[signal];
    return `${signal ? `signal ${number}` : `exit ${status}`} ${shown(stdout)}`;
  },
};

function run(step) {
  const operation = OPERATIONS[step.op];
  if (!operation) throw new Error(`no such operation: ${step.text}`);
  try {
    const value = operation(step.args, step.results);
    return value === undefined || value === '' ? 'ok' : `ok ${value}`;
  } catch (error) {
    if (error.code === undefined) throw error;
    return error.code;
  }
}

function main([base, ...marks]) {
  process.umask(0o022);
  const is = (skip) => skip.some((name) => marks.includes(name));
  let [section, count, sections, skipped] = ['', 0, 0, false];
  const leave = () => {
    for (const name in handles) {
      try {
        fs.closeSync(handles[name]);
      } catch {
        // A step has closed it.
      }
    }
    handles = {};
  };
  for (const line of fs.readFileSync(0, 'utf8').split('\n')) {
    const parsed = parse(line);
    if (!parsed) continue;
    if (parsed.title) {
      leave();
      [section, count, sections, skipped] = [parsed.title, 0, sections + 1, is(parsed.skip)];
      fs.mkdirSync(`${base}/${sections}`);
      process.chdir(`${base}/${sections}`);
      continue;
    }
    count += 1;
    const answer = skipped || is(parsed.skip) ? 'skipped' : run(parsed);
    fs.writeSync(1, `${section}.${count} ${parsed.text} => ${answer}\n`);
  }
  leave();
}

main(process.argv.slice(2));
