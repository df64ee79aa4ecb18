// Makes {{name}}.wasm of src/backend.js.

import { readFile, writeFile } from 'node:fs/promises';
import { componentize } from '@bytecodealliance/componentize-js';

const { component } = await componentize(await readFile('src/backend.js', 'utf8'), {
  witPath: 'wit',
  worldName: '{{world}}',
  // Without these the component imports nothing of WASI, so that nothing must be granted to it.
  disableFeatures: ['random', 'stdio', 'clocks', 'http', 'fetch-event'],
});
await writeFile('{{name}}.wasm', component);
console.log('{{name}}.wasm');
