// Counts the lines of all Rust files below a directory, by Node's own `fs`, and leaves a report on a mount.
'use strict';
const fs = require('fs');
const path = require('path');

function* rustFiles(directory) {
  for (const entry of fs.readdirSync(directory, { withFileTypes: true })) {
    const name = path.join(directory, entry.name);
    if (entry.isDirectory()) yield* rustFiles(name);
    else if (entry.isFile() && name.endsWith('.rs')) yield name;
  }
}

function linesOf(file) {
  const bytes = fs.readFileSync(file);
  let lines = 0;
  for (let at = bytes.indexOf(10); at !== -1; at = bytes.indexOf(10, at + 1)) lines += 1;
  return lines;
}

const [root, report] = process.argv.slice(2);
let files = 0;
let lines = 0;
for (const file of rustFiles(root)) {
  files += 1;
  lines += linesOf(file);
}
if (report) fs.writeFileSync(report, `${files} files, ${lines} lines\n`);
console.log(String(lines));
