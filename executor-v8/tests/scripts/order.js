// The order of ticks, microtasks, timers and immediates.
const log = (...a) => console.log(...a);
setTimeout(() => { log('t0'); process.nextTick(log, 'tick in t0'); Promise.resolve().then(() => log('micro in t0')); }, 0);
setTimeout(() => log('t0b'), 0);
setTimeout(() => log('t1500'), 1500);
setTimeout(() => log('t150'), 150);
const i = setInterval(() => { log('interval'); if (++n === 3) clearInterval(i); }, 300);
let n = 0;
setImmediate(() => { log('imm'); setImmediate(() => log('imm2')); process.nextTick(log, 'tick in imm'); Promise.resolve().then(() => log('micro in imm')); });
setImmediate(() => log('imm b'));
process.nextTick(() => { log('tick'); Promise.resolve().then(() => { log('micro from tick'); process.nextTick(log, 'tick from micro'); }); });
queueMicrotask(() => log('qm'));
(async () => { log('async start'); await null; log('async after'); await new Promise((r) => setTimeout(r, 2200)); log('async end'); })();
process.on('beforeExit', () => { if (!globalThis.again) { globalThis.again = 1; log('beforeExit'); setTimeout(() => log('again'), 1); } });
process.on('exit', (c) => log('exit', c));
setTimeout(() => log('never'), 5000).unref();
const t = setTimeout(() => log('never2'), 1); clearTimeout(t);
log('main');
