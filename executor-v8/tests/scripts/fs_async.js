// fs with callbacks and promises, one after the other: what runs side by side may end in any order.
const fs = require('fs'), fsp = fs.promises, path = require('path');
const d = fs.mkdtempSync(path.join(require('os').tmpdir(), 'as-')); const p = (n) => path.join(d, n);
const callbacks = () => new Promise((done) => {
  fs.writeFile(p('a'), 'one', (e) => {
    console.log('written', e);
    fs.readFile(p('a'), 'utf8', (e, s) => {
      console.log('read', e, s);
      fs.readFile(p('none'), (e) => {
        console.log(e.code, e.syscall);
        fs.stat(p('a'), { bigint: true }, (e, s) => { console.log(e, s.size, s.isFile()); fs.readdir(d, { withFileTypes: true }, (e, l) => { console.log(e, l.map((x) => x.name)); done(); }); });
      });
    });
  });
});
(async () => {
  await callbacks();
  await fsp.writeFile(p('b'), 'two'); console.log(await fsp.readFile(p('b'), 'utf8'));
  try { await fsp.stat(p('none')); } catch (e) { console.log(e.code, e.message.split(d).join('DIR')); }
  const h = await fsp.open(p('b'), 'r+'); console.log((await h.read(Buffer.alloc(3), 0, 3, 0)).bytesRead, (await h.stat()).size, typeof h.fd); await h.write('X'); await h.close();
  console.log(await fsp.readFile(p('b'), 'utf8'), (await fsp.readdir(d)).sort());
  for await (const e of await fsp.opendir(d)) console.log(e.name.length, e.isFile());
  await new Promise((r) => fs.createReadStream(p('b')).on('data', (c) => console.log('chunk', c.toString())).on('close', r));
  await new Promise((r) => { const w = fs.createWriteStream(p('c')); w.write('s1'); w.end('s2', r); }); console.log(fs.readFileSync(p('c'), 'utf8'));
  await fsp.rm(d, { recursive: true }); console.log(fs.existsSync(d));
})();
