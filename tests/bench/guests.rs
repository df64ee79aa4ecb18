//! The guests that measure themselves: each writes the nanoseconds of one operation, one sample a line.

/// A WASI 0.1 program that calls `BODY` 20,000 times in each of the rounds that its first byte of standard input asks for, and writes each round's nanoseconds as a
/// little-endian u64 to standard output.
const FRAME: &str = r#"
(module
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_seek" (func $seek (param i32 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_pread" (func $pread (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_pwrite" (func $pwrite (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (memory (export "memory") 2)
  (data (i32.const 16) "tmp/bench")
  (func $check (param i32) (if (local.get 0) (then unreachable)))
  (func $now (result i64)
    (call $check (call $clock (i32.const 1) (i64.const 1) (i32.const 64)))
    (i64.load (i32.const 64)))
  (func (export "_start") (local $rounds i32) (local $n i32) (local $start i64) (local $fd i32)
    ;; the number of rounds
    (i32.store (i32.const 80) (i32.const 128)) (i32.store (i32.const 84) (i32.const 1))
    (call $check (call $read (i32.const 0) (i32.const 80) (i32.const 1) (i32.const 72)))
    (local.set $rounds (i32.load8_u (i32.const 128)))
    ;; a file of 4 KiB
    (call $check (call $open (i32.const 3) (i32.const 0) (i32.const 16) (i32.const 9) (i32.const 1)
      (i64.const -1) (i64.const -1) (i32.const 0) (i32.const 76)))
    (local.set $fd (i32.load (i32.const 76)))
    (i32.store (i32.const 88) (i32.const 4096)) (i32.store (i32.const 92) (i32.const 4096))
    (call $check (call $pwrite (local.get $fd) (i32.const 88) (i32.const 1) (i64.const 0) (i32.const 72)))
    (loop $round
      (local.set $n (i32.const 20000))
      (local.set $start (call $now))
      (loop $again
        BODY
        (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
      (i64.store (i32.const 96) (i64.sub (call $now) (local.get $start)))
      (i32.store (i32.const 80) (i32.const 96)) (i32.store (i32.const 84) (i32.const 8))
      (call $check (call $write (i32.const 1) (i32.const 80) (i32.const 1) (i32.const 72)))
      (br_if $round (local.tee $rounds (i32.sub (local.get $rounds) (i32.const 1)))))))
"#;

/// How many operations a round has.
pub const PER_ROUND: f64 = 20_000.0;

/// `fd_seek` by nothing.
pub const SEEK: &str = "(call $check (call $seek (local.get $fd) (i64.const 0) (i32.const 1) (i32.const 104)))";

/// `fd_pread` of 4 KiB.
pub const READ_4K: &str =
    "(call $check (call $pread (local.get $fd) (i32.const 88) (i32.const 1) (i64.const 0) (i32.const 72)))";

/// The program around an operation.
pub fn wasm(body: &str) -> Result<Vec<u8>, String> {
    wat::parse_str(FRAME.replace("BODY", body)).map_err(|error| error.to_string())
}

/// The samples that such a program wrote, in nanoseconds an operation.
pub fn samples(stdout: &[u8]) -> Vec<f64> {
    let rounds = stdout.chunks_exact(8).filter_map(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes);
    rounds.map(|nanoseconds| nanoseconds as f64 / PER_ROUND).collect()
}

/// A script that prints the nanoseconds of one `fs.statSync`, a line for each of 50 rounds.
pub const STAT_SYNC: &str = "\
const fs = require('fs');
for (let i = 0; i < 20000; i++) fs.statSync('/tmp');
for (let round = 0; round < 50; round++) {
  const start = process.hrtime.bigint();
  for (let i = 0; i < 2000; i++) fs.statSync('/tmp');
  console.log(Number(process.hrtime.bigint() - start) / 2000);
}
";

/// A script that prints the nanoseconds of reading 1 MiB whole, a line for each of 50 rounds.
pub const READ_FILE_SYNC: &str = "\
const fs = require('fs');
const file = '/tmp/eyot-bench-' + process.pid;
fs.writeFileSync(file, Buffer.alloc(1 << 20, 'x'));
for (let i = 0; i < 50; i++) fs.readFileSync(file);
for (let round = 0; round < 50; round++) {
  const start = process.hrtime.bigint();
  for (let i = 0; i < 20; i++) fs.readFileSync(file);
  console.log(Number(process.hrtime.bigint() - start) / 20);
}
fs.unlinkSync(file);
";

/// The samples that such a script printed.
pub fn lines(stdout: &[u8]) -> Vec<f64> {
    String::from_utf8_lossy(stdout).lines().filter_map(|line| line.trim().parse().ok()).collect()
}
