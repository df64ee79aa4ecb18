// Buffers against their encodings.
const encodings = ['utf8', 'latin1', 'ascii', 'hex', 'base64', 'base64url', 'ucs2'];
const text = 'aé€😀z';
for (const e of encodings) {
  const b = Buffer.from(e === 'hex' ? 'c3a9zz' : /64/.test(e) ? 'aGk_+w=x' : text, e);
  console.log(e, b.toString('hex'), b.toString(e), Buffer.byteLength(text, e), b.length);
}
const b = Buffer.alloc(12, 'ab');
console.log(b.toString(), b.write('xyz', 2), b.toString(), b.fill('12', 4, 9).toString(), b.fill(0x41, 10).toString());
console.log(b.indexOf('z'), b.indexOf('2', -4), b.lastIndexOf('1'), b.includes('zz'), b.indexOf(Buffer.from('12')), b.indexOf(0x41), b.indexOf(''), b.lastIndexOf('a'));
console.log(Buffer.compare(Buffer.from('a'), Buffer.from('b')), Buffer.from('abc').equals(Buffer.from('abc')), Buffer.from('abcd').compare(Buffer.from('xbcx'), 1, 3, 1, 3));
console.log(Buffer.concat([Buffer.from('a'), Buffer.from('b')]).toString(), Buffer.from('0102030405060708', 'hex').swap16().toString('hex'), Buffer.from('0102030405060708', 'hex').swap32().swap64().toString('hex'));
const s = Buffer.from('hello'); console.log(s.copy(b, 3, 1), b.toString(), s.subarray(1, 3), s.slice(-2).toString());
console.log(b.writeDoubleBE(1.5, 0), b.readDoubleBE(0), b.writeInt32LE(-5, 8), b.readInt32LE(8), b.readUInt16BE(3), JSON.stringify(s));
try { b.readInt8(99); } catch (e) { console.log(e.code, e.message); }
try { Buffer.alloc(-1); } catch (e) { console.log(e.code, e.message); }
console.log(require('buffer').isUtf8(Buffer.from([0xff])), require('buffer').isAscii(Buffer.from('a')), Buffer.from([1, 2, 3]).toString('base64'), Buffer.allocUnsafe(3).length);
console.log(Buffer.from('ÿ', 'latin1'), Buffer.from('zz', 'hex'), Buffer.from('YQ==YQ==', 'base64'), Buffer.from('a'.repeat(100)).toString('utf8', 98));
console.log(Buffer.from([0xf0, 0x9f, 0x98]).toString(), Buffer.from([0xc0, 0x80, 0x41]).toString(), Buffer.from('\ud800x').toString('hex'));
