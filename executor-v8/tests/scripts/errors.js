// Handlers of uncaught errors and rejections, in order.
process.on('uncaughtException', (e, origin) => console.log('uncaught', e.message, origin));
process.on('unhandledRejection', (e) => console.log('unhandled', e.message));
process.on('rejectionHandled', () => console.log('handled late'));
process.on('warning', (w) => console.log('warning', w.name, w.message));
setTimeout(() => { throw new Error('in timer'); }, 100);
setTimeout(() => console.log('after timer'), 100);
setImmediate(() => { throw new Error('in immediate'); });
setImmediate(() => console.log('after immediate'));
process.nextTick(() => { throw new Error('in tick'); });
process.nextTick(() => console.log('after tick'));
queueMicrotask(() => { throw new Error('in microtask'); });
const p = Promise.reject(new Error('rejected'));
setTimeout(() => p.catch(() => {}), 300);
Promise.reject(new Error('caught')).catch((e) => console.log(e.message));
new Promise((_, r) => setTimeout(r, 200, new Error('later')));
process.emitWarning('careful');
process.exitCode = 7;
