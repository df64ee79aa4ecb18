// Every public built-in can be required.
const { builtinModules } = require('module');
const bad = [];
for (const m of builtinModules) {
  // Not offered: the inspector. Not built yet: what repl needs (vm contexts).
  if (/^inspector|^_|quic|sqlite|repl/.test(m)) continue;
  try { require(m); } catch (e) { bad.push(`${m}: ${e.message}`); }
}
console.log(bad.length ? bad.join('\n') : 'all load');
const assert = require('assert');
assert.deepStrictEqual(require('util').inspect(new Map([[1, { a: [1, 2, { b: new Set([1]) }] }]]), { depth: 5 }), 'Map(1) { 1 => { a: [ 1, 2, { b: Set(1) { 1 } } ] } }');
console.log(require('util').format('%s %d %j %o', 'a', 1, { x: 1 }, [1]));
console.log(new URL('http://user:pa@exämple.com:8080/a/../b?x=1#h').href, new URL('../x', 'file:///a/b/c').pathname);
const u = new URL('https://a.b/c'); u.port = '99'; u.search = 'q=1'; u.hash = 'z'; u.username = 'me'; u.host = 'c.d:1'; console.log(u.href, [...u.searchParams]);
console.log(URL.canParse('nope'), URL.canParse('x:y')); try { new URL('nope'); } catch (e) { console.log(e.code, e.message, e.input); }
console.log(require('url').pathToFileURL('/a b/c#d?e%').href, require('url').fileURLToPath('file:///a%20b'));
console.log(new TextDecoder().decode(new TextEncoder().encode('héllo €')), new TextDecoder('latin1').decode(Uint8Array.of(0x80, 0xe9)));
try { new TextDecoder('utf-8', { fatal: true }).decode(Uint8Array.of(0xff)); } catch (e) { console.log(e.code, e.message); }
console.log(new TextEncoder().encodeInto('aé€', new Uint8Array(4)));
const { StringDecoder } = require('string_decoder');
const sd = new StringDecoder('utf8'); console.log(sd.write(Buffer.from([0xe2, 0x82])) + sd.write(Buffer.from([0xac])) + sd.end(Buffer.from([0xc3])));
console.log(require('path').resolve('/a', '..', 'b'), require('querystring').parse('a=1&b=%20'));
console.log(atob('aGk='), btoa('hi'));
const EventEmitter = require('events'); const e = new EventEmitter(); e.once('x', (v) => console.log('event', v)); e.emit('x', 1); console.log(e.emit('x', 2));
console.log(structuredClone === undefined, typeof fetch, typeof AbortController, new AbortController().signal.aborted);
console.log(process.version, process.platform, process.arch, process.argv0, process.release.name, typeof process.pid, process.title);
console.log([1.5, 'a', null, undefined, Symbol('s'), 10n, () => 1, class A {}, new Error('e').message, /x/g, new Date(0)]);
console.table([{ a: 1, b: 2 }, { a: 3, b: 4 }]);
console.error('to stderr'); console.group('g'); console.log('in'); console.groupEnd(); console.assert(false, 'asserted'); console.count(); console.dir({ a: { b: { c: {} } } }, { depth: 0 });
