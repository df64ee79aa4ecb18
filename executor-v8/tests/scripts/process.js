// The process object.
console.log(process.argv.slice(2), process.cwd() === require('path').dirname(__filename) || process.cwd().length > 0, process.exitCode, process.execArgv);
process.env.A = 1; process.env.B = undefined; console.log(process.env.A, process.env.B, 'A' in process.env, delete process.env.A, process.env.A, Object.keys(process.env).includes('B'));
try { process.env[Symbol('x')] = 1; } catch (e) { console.log(e.name, e.message); }
try { Object.defineProperty(process.env, 'X', { get() {} }); } catch (e) { console.log(e.code); }
console.log({ ...process.env }.B, process.env.toString(), JSON.stringify(process.env).includes('"B"'));
try { process.chdir('/nonexistent-dir'); } catch (e) { console.log(e.code, e.syscall, e.dest); }
process.chdir('/'); console.log(process.cwd());
console.log(typeof process.hrtime.bigint(), process.hrtime().length, process.uptime() < 60, typeof process.memoryUsage().heapUsed, process.umask().toString(8).length);
console.log(process.stdout.isTTY, process.stdout.fd, process.stderr.fd, process.stdout.write('written\n'));
process.stdout.write('callback\n', () => console.log('done'));
try { process.exitCode = 'x'; } catch (e) { console.log(e.code); }
try { process.kill(process.pid, 'SIGNOPE'); } catch (e) { console.log(e.code); }
console.log(process.kill(process.pid, 0), process.getuid() >= 0, process.versions.node.length > 0, process.config !== undefined, process.features.inspector !== undefined);
process.on('exit', (c) => { console.log('exit', c, process.exitCode); process.exitCode = 9; setTimeout(() => console.log('never'), 0); });
setTimeout(() => { console.log('timer'); process.exit(); console.log('never'); }, 1);
process.exitCode = 3;
