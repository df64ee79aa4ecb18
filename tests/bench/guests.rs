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
    rounds(stdout).map(|nanoseconds| nanoseconds as f64 / PER_ROUND).collect()
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

/// A program over the files of a mount at `/m`: `SETUP` once, then `BODY` as often as `PER_ROUND` says in each round; told and measured as in [`FRAME`]. `$at` goes through the file.
const FILES_FRAME: &str = r#"
(module
  (import "wasi_snapshot_preview1" "clock_time_get" (func $clock (param i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_close" (func $close (param i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_pread" (func $pread (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_pwrite" (func $pwrite (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_readdir" (func $readdir (param i32 i32 i32 i64 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_filestat_get" (func $stat (param i32 i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open" (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (memory (export "memory") 4)
  (data (i32.const 16) "m/file")
  (data (i32.const 32) "m/aa")
  (data (i32.const 48) "m/many")
  (func $check (param i32) (if (local.get 0) (then unreachable)))
  (func $now (result i64)
    (call $check (call $clock (i32.const 1) (i64.const 1) (i32.const 64)))
    (i64.load (i32.const 64)))
  ;; the name of the file with a number below 1,024
  (func $name (param i32)
    (i32.store8 (i32.const 34) (i32.add (i32.const 65) (i32.and (local.get 0) (i32.const 31))))
    (i32.store8 (i32.const 35) (i32.add (i32.const 65) (i32.and (i32.shr_u (local.get 0) (i32.const 5)) (i32.const 31)))))
  ;; opens or makes what a path names
  (func $make (param i32 i32 i32) (result i32)
    (call $check (call $open (i32.const 3) (i32.const 0) (local.get 0) (local.get 1) (local.get 2)
      (i64.const -1) (i64.const -1) (i32.const 0) (i32.const 76)))
    (i32.load (i32.const 76)))
  (func (export "_start") (local $rounds i32) (local $n i32) (local $start i64) (local $fd i32) (local $at i64)
    (i32.store (i32.const 80) (i32.const 128)) (i32.store (i32.const 84) (i32.const 1))
    (call $check (call $read (i32.const 0) (i32.const 80) (i32.const 1) (i32.const 72)))
    (local.set $rounds (i32.load8_u (i32.const 128)))
    ;; where blocks of 64 KiB, and of 4 KiB, lie
    (i32.store (i32.const 88) (i32.const 65536)) (i32.store (i32.const 92) (i32.const 65536))
    (i32.store (i32.const 104) (i32.const 65536)) (i32.store (i32.const 108) (i32.const 4096))
    SETUP
    (loop $round
      (local.set $n (i32.const PER_ROUND))
      (local.set $start (call $now))
      (loop $again
        BODY
        (br_if $again (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))
      (i64.store (i32.const 96) (i64.sub (call $now) (local.get $start)))
      (i32.store (i32.const 80) (i32.const 96)) (i32.store (i32.const 84) (i32.const 8))
      (call $check (call $write (i32.const 1) (i32.const 80) (i32.const 1) (i32.const 72)))
      (br_if $round (local.tee $rounds (i32.sub (local.get $rounds) (i32.const 1)))))))
"#;

/// A program over the files of a mount.
pub struct Files {
    setup: &'static str,
    body: &'static str,
    /// How many operations a round has.
    pub per_round: usize,
}

/// How long the file is that is read and written: 16 MiB.
pub const FILE_BYTES: u64 = 16 << 20;

/// The file, filled.
const FILLED: &str = "
    (local.set $fd (call $make (i32.const 16) (i32.const 6) (i32.const 1)))
    (loop $fill
      (call $check (call $pwrite (local.get $fd) (i32.const 88) (i32.const 1) (local.get $at) (i32.const 72)))
      (br_if $fill (i64.lt_u (local.tee $at (i64.add (local.get $at) (i64.const 65536))) (i64.const 16777216))))
    (local.set $at (i64.const 0))";

/// `fd_pread` of 64 KiB after 64 KiB.
pub const READ_64K_ON: Files = Files {
    setup: FILLED,
    body: "(call $check (call $pread (local.get $fd) (i32.const 88) (i32.const 1) (local.get $at) (i32.const 72)))
      (local.set $at (i64.and (i64.add (local.get $at) (i64.const 65536)) (i64.const 16777215)))",
    per_round: 1024,
};

/// `fd_pread` of 4 KiB after 4 KiB.
pub const READ_4K_ON: Files = Files {
    setup: FILLED,
    body: "(call $check (call $pread (local.get $fd) (i32.const 104) (i32.const 1) (local.get $at) (i32.const 72)))
      (local.set $at (i64.and (i64.add (local.get $at) (i64.const 4096)) (i64.const 16777215)))",
    per_round: 8192,
};

/// `fd_pwrite` of 64 KiB after 64 KiB.
pub const WRITE_64K_ON: Files = Files {
    setup: FILLED,
    body: "(call $check (call $pwrite (local.get $fd) (i32.const 88) (i32.const 1) (local.get $at) (i32.const 72)))
      (local.set $at (i64.and (i64.add (local.get $at) (i64.const 65536)) (i64.const 16777215)))",
    per_round: 1024,
};

/// `path_filestat_get` of one file.
pub const STAT: Files = Files {
    setup: FILLED,
    body: "(call $check (call $stat (i32.const 3) (i32.const 0) (i32.const 16) (i32.const 6) (i32.const 128)))",
    per_round: 10_000,
};

/// `path_filestat_get` of 1,024 files by turns, more than the VM was let remember.
pub const STAT_MANY: Files = Files {
    setup: "
    (local.set $n (i32.const 1024))
    (loop $fill
      (call $name (local.get $n))
      (call $check (call $close (call $make (i32.const 32) (i32.const 4) (i32.const 1))))
      (br_if $fill (local.tee $n (i32.sub (local.get $n) (i32.const 1)))))",
    body: "(call $name (local.get $n))
      (call $check (call $stat (i32.const 3) (i32.const 0) (i32.const 32) (i32.const 4) (i32.const 128)))",
    per_round: 8192,
};

/// `fd_readdir` of the directory `many`, whole: 100 names of eight bytes take 3,200 bytes.
pub const LIST: Files = Files {
    setup: "
    (local.set $fd (call $make (i32.const 48) (i32.const 6) (i32.const 2)))",
    body:
        "(call $check (call $readdir (local.get $fd) (i32.const 65536) (i32.const 65536) (i64.const 0) (i32.const 72)))
      (if (i32.lt_u (i32.load (i32.const 72)) (i32.const 3200)) (then unreachable))",
    per_round: 1000,
};

impl Files {
    /// The program.
    pub fn wasm(&self) -> Result<Vec<u8>, String> {
        let text = FILES_FRAME
            .replace("SETUP", self.setup)
            .replace("BODY", self.body)
            .replace("PER_ROUND", &self.per_round.to_string());
        wat::parse_str(text).map_err(|error| error.to_string())
    }

    /// The samples that it wrote, in nanoseconds an operation.
    pub fn samples(&self, stdout: &[u8]) -> Vec<f64> {
        rounds(stdout).map(|nanoseconds| nanoseconds as f64 / self.per_round as f64).collect()
    }
}

fn rounds(stdout: &[u8]) -> impl Iterator<Item = u64> {
    stdout.chunks_exact(8).filter_map(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes)
}
