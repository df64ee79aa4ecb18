'use strict';
// Writes Node's library and its tables into one artefact file.
//
//   node --expose-internals extract.js OUT LICENCE_FILE
//
// Run by `cargo xtask setup` under the pinned node binary (see toolchain/src/node.rs). Nothing here is Node's own text: the
// artefact is made on the machine that builds, kept in the build cache, and carries Node's licences with it.
//
// The file, little endian:
//   8 bytes  "EYOTNODE"
//   u32      format version (1)
//   u32      length of the index in bytes
//   index    JSON: { node, sources: [[id, encoding, offset, length]], sections: { name: [offset, length] } }
//   blobs    each at an offset (from the start of the file) that is a multiple of 8
// Encodings: 0 ASCII, 1 Latin-1, 2 UTF-16LE. A source keeps the cheapest one it fits, so that V8 can use it in place.

const { internalBinding } = require('internal/test/binding');
const fs = require('fs');
const { isMap } = require('util').types;

const [out, licenceFile] = process.argv.slice(2);
if (!out || !licenceFile) {
  console.error('usage: node --expose-internals extract.js OUT LICENCE_FILE');
  process.exit(2);
}

// Names that `internalBinding` knows. A name that this build lacks is skipped; one that a newer Node adds is found because
// its own library asks for it.
function bindingNames(natives) {
  const names = new Set();
  for (const id of Object.keys(natives)) {
    if (typeof natives[id] !== 'string') continue;
    for (const m of natives[id].matchAll(/internalBinding\(\s*'([a-z0-9_]+)'\s*\)/g)) names.add(m[1]);
  }
  return [...names].sort();
}

const isNative = (f) => /\{\s*\[native code\]\s*\}$/.test(Function.prototype.toString.call(f));

// A prototype chain's own names up to Object.prototype: the methods and accessors that a native class answers to.
function members(ctor) {
  const methods = [];
  const accessors = [];
  let p = ctor.prototype;
  for (let depth = 0; depth < 4 && p && p !== Object.prototype; depth++, p = Object.getPrototypeOf(p)) {
    for (const key of Object.getOwnPropertyNames(p)) {
      if (key === 'constructor' || methods.includes(key) || accessors.includes(key)) continue;
      const d = Object.getOwnPropertyDescriptor(p, key);
      (d.get || d.set ? accessors : methods).push(key);
    }
  }
  return { methods, accessors };
}

// One value as a tree that can be rebuilt in another engine. Typed arrays keep kind and length only: their contents are
// run-time state.
function shape(v, depth = 0) {
  const t = typeof v;
  if (v === null || t === 'string' || t === 'boolean') return { t: 'v', v };
  if (t === 'number') return Number.isFinite(v) ? { t: 'v', v } : { t: 'num', v: String(v) };
  if (t === 'undefined') return { t: 'u' };
  if (t === 'bigint') return { t: 'big', v: String(v) };
  if (t === 'symbol') return { t: 'sym', v: v.description };
  if (t === 'function') {
    if (!isNative(v)) return null;
    return v.prototype && typeof v.prototype === 'object' ? { t: 'c', n: v.name, ...members(v) } : { t: 'f', n: v.name };
  }
  if (ArrayBuffer.isView(v)) return { t: 'ta', c: v.constructor.name, l: v.length };
  if (depth > 8) return null;
  if (Array.isArray(v)) return { t: 'arr', v: v.map((x) => shape(x, depth + 1) ?? { t: 'u' }) };
  if (isMap(v)) return { t: 'map', v: [...Map.prototype.entries.call(v)].map(([a, b]) => [shape(a, depth + 1), shape(b, depth + 1) ?? { t: 'u' }]) };
  const o = [];
  for (const key of Object.keys(v)) {
    let x;
    try {
      x = v[key];
    } catch {
      continue; // an accessor that needs an instance
    }
    const s = shape(x, depth + 1);
    if (s) o.push([key, s]);
  }
  return { t: 'o', np: Object.getPrototypeOf(v) === null, v: o };
}

const builtins = internalBinding('builtins');
const natives = builtins.natives;
const bindings = {};
for (const name of bindingNames(natives)) {
  if (name === 'internal_only_v8') {
    // Hidden from this very script; what the library asks of it is known.
    bindings[name] = { t: 'o', np: false, v: [['queryObjects', { t: 'f', n: 'queryObjects' }]] };
    continue;
  }
  let b;
  try {
    b = internalBinding(name);
  } catch {
    continue;
  }
  if (name === 'builtins') {
    bindings[name] = shape({
      config: b.config,
      builtinCategories: b.builtinCategories,
      compileFunction: b.compileFunction,
      setInternalLoaders: b.setInternalLoaders,
      hasCachedBuiltins: b.hasCachedBuiltins,
      getCacheUsage: b.getCacheUsage,
      importBuiltinSourceTextModule: b.importBuiltinSourceTextModule,
    });
  } else {
    bindings[name] = shape(b);
  }
}

// What the argument-less table functions answer. This very run was given --expose-internals; a guest was not.
const options = internalBinding('options');
const results = {};
for (const name of ['getCLIOptionsValues', 'getCLIOptionsInfo', 'getEmbedderOptions', 'getEnvOptionsInputType', 'getNamespaceOptionsInputType']) {
  if (typeof options[name] !== 'function') continue;
  const r = options[name]();
  if (name === 'getCLIOptionsValues') {
    if (r instanceof Map) r.set('--expose-internals', false);
    else r['--expose-internals'] = false;
  }
  results[`options.${name}`] = shape(r);
}

results['uv.getErrorMap'] = shape(internalBinding('uv').getErrorMap());

const processTable = {
  version: process.version,
  versions: { ...process.versions },
  arch: process.arch,
  platform: process.platform,
  release: { ...process.release },
};

const blobs = [];
let offset = 0;
const put = (buf) => {
  const at = offset;
  blobs.push(buf);
  const pad = (8 - (buf.length % 8)) % 8;
  if (pad) blobs.push(Buffer.alloc(pad));
  offset += buf.length + pad;
  return [at, buf.length];
};

const sources = [];
for (const id of Object.keys(natives).sort()) {
  const text = natives[id];
  if (typeof text !== 'string' || id === 'config') continue;
  let max = 0;
  for (let i = 0; i < text.length; i++) max = Math.max(max, text.charCodeAt(i));
  const encoding = max < 0x80 ? 0 : max < 0x100 ? 1 : 2;
  sources.push([id, encoding, ...put(Buffer.from(text, encoding === 2 ? 'utf16le' : 'latin1'))]);
}
const json = (v) => put(Buffer.from(JSON.stringify(v)));
const sections = {
  process: json(processTable),
  // One section each, so that a binding that is asked for late is read alone.
  ...Object.fromEntries(Object.entries(bindings).map(([k, v]) => [`binding/${k}`, json(v)])),
  ...Object.fromEntries(Object.entries(results).map(([k, v]) => [`result/${k}`, json(v)])),
  licence: put(fs.readFileSync(licenceFile)),
};

// Offsets in the index are from the start of the file, so its own length has to be known first: pad it to a fixed size.
const render = (base) => Buffer.from(JSON.stringify({
  node: process.versions.node,
  sources: sources.map(([id, enc, at, len]) => [id, enc, at + base, len]),
  sections: Object.fromEntries(Object.entries(sections).map(([k, [at, len]]) => [k, [at + base, len]])),
}));
const indexSize = Math.ceil((render(99_999_999).length + 1) / 8) * 8;
const base = 16 + indexSize;
const index = Buffer.alloc(indexSize, 0x20);
render(base).copy(index);
const head = Buffer.alloc(16);
head.write('EYOTNODE', 0, 'latin1');
head.writeUInt32LE(1, 8);
head.writeUInt32LE(indexSize, 12);

// Written under another name first: a run that is cut short must not leave a file that looks whole.
const partial = `${out}.partial-${process.pid}`;
fs.writeFileSync(partial, Buffer.concat([head, index, ...blobs]));
fs.renameSync(partial, out);
console.log(`node ${process.versions.node}: ${sources.length} sources, ${Object.keys(bindings).length} bindings, ${fs.statSync(out).size} bytes`);
