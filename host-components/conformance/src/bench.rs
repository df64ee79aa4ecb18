//! What a backend's calls cost: the same calls on any of them, and two beside each other.
//!
//! Each figure is the fastest tenth of 40 rounds of as many calls as take about 2 ms, which is steady on a busy machine.

use std::fmt;
use std::hint::black_box;
use std::time::{Duration, Instant};

use eyot_backend::{AttributeChanges, CHUNK_BYTES_MAX, Errno, Filesystem, Node, OpenFlags, Ownership};
use serde::Serialize;

const OWNER: Ownership = Ownership { mode: 0o644, uid: 0, gid: 0 };
/// How often each call is measured.
const ROUNDS: usize = 40;
/// How long one round takes, or one call where that is longer.
const ROUND: Duration = Duration::from_millis(2);
/// How many names are in the directory.
const NAMES: usize = 1000;
/// The size of the file that is read and written.
const DATA_BYTES: u64 = 16 << 20;
/// How far a log grows before it is cut, so that the quota is not what is measured.
const LOG_BYTES_MAX: u64 = 16 << 20;

/// One call, measured.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Measured {
    /// What was called.
    pub call: &'static str,
    /// How many bytes each call carries; 0 for those that carry none.
    pub bytes: usize,
    /// Nanoseconds per call; `None`: the backend does not do it.
    pub ns: Option<f64>,
    /// Why there is no figure.
    pub reason: Option<String>,
}

/// One call, on two backends.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Compared {
    /// What was called.
    pub call: &'static str,
    /// How many bytes each call carries.
    pub bytes: usize,
    /// Nanoseconds per call of the first.
    pub base_ns: Option<f64>,
    /// Nanoseconds per call of the second.
    pub ns: Option<f64>,
    /// How many times longer the second takes.
    pub ratio: Option<f64>,
    /// Why there is no figure of the second.
    pub reason: Option<String>,
}

/// Two backends beside each other; `Display` is a table for a terminal.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    /// What the first is called.
    pub base: String,
    /// What the second is called.
    pub name: String,
    /// Each call.
    pub calls: Vec<Compared>,
}

/// Measures the calls whose name contains `only`, on a filesystem that is empty and can be changed.
///
/// # Errors
/// What a call answered, and which, when the filesystem cannot be filled for it.
pub fn measure(fs: &dyn Filesystem, only: Option<&str>) -> Result<Vec<Measured>, String> {
    let stage = Stage::set(fs)?;
    let mut rows = Rows { only, rows: Vec::new() };
    stage.names(&mut rows);
    stage.data(&mut rows);
    stage.log(&mut rows);
    Ok(rows.rows)
}

/// Puts two measurements of the same calls beside each other.
pub fn compare(base: (&str, &[Measured]), of: (&str, &[Measured])) -> Comparison {
    let calls = of.1.iter().map(|row| {
        let base_ns = base.1.iter().find(|base| base.call == row.call).and_then(|base| base.ns);
        let ratio = base_ns.zip(row.ns).map(|(base, ns)| ns / base);
        Compared { call: row.call, bytes: row.bytes, base_ns, ns: row.ns, ratio, reason: row.reason.clone() }
    });
    Comparison { base: base.0.into(), name: of.0.into(), calls: calls.collect() }
}

/// Nanoseconds per call.
pub fn time(mut call: impl FnMut()) -> f64 {
    let start = Instant::now();
    let mut count = 0_u32;
    while start.elapsed() < ROUND {
        call();
        count += 1;
    }
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            for _ in 0..count {
                call();
            }
            start.elapsed().as_nanos() as f64 / f64::from(count)
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 10]
}

fn keep<T>(value: T) {
    let _ = black_box(value);
}

/// The figures while they are taken.
struct Rows<'a> {
    only: Option<&'a str>,
    rows: Vec<Measured>,
}

impl Rows<'_> {
    /// Measures a call, unless it answers an error.
    fn row<T>(&mut self, name: &'static str, bytes: usize, mut call: impl FnMut() -> Result<T, Errno>) {
        if self.only.is_some_and(|only| !name.contains(only)) {
            return;
        }
        let mut failed = None;
        let mut ns = None;
        match call() {
            Ok(_) => ns = Some(time(|| call().map_or_else(|errno| failed = Some(errno), keep))),
            Err(errno) => failed = Some(errno),
        }
        let reason = failed.map(|errno| format!("it answers {errno}"));
        self.rows.push(Measured { call: name, bytes, ns: ns.filter(|_| failed.is_none()), reason });
    }
}

/// A filesystem, filled.
struct Stage<'a> {
    fs: &'a dyn Filesystem,
    root: Node,
    data: Node,
    log: Node,
}

impl<'a> Stage<'a> {
    fn set(fs: &'a dyn Filesystem) -> Result<Self, String> {
        let root = fs.info().root;
        let cannot = |what: String| move |errno| format!("{what}: {errno}");
        for index in 0..NAMES {
            let name = format!("file-{index}");
            let made = fs.create(root, &name, OWNER).map_err(cannot(format!("create {name}")))?;
            fs.forget(made.node, 1);
        }
        let file = |name: &str| fs.create(root, name, OWNER).map_err(cannot(format!("create {name}")));
        let (data, log) = (file("data")?.node, file("log")?.node);
        let bytes = vec![7; CHUNK_BYTES_MAX];
        let mut offset = 0;
        let handle = fs.open(data, OpenFlags::all()).map_err(cannot("open data".into()))?;
        while offset < DATA_BYTES {
            let count = fs.write(data, handle, offset, &bytes).map_err(cannot(format!("write at {offset}")))?;
            if count == 0 {
                return Err(format!("write at {offset}: nothing was taken"));
            }
            offset += count as u64;
        }
        fs.release(data, handle);
        Ok(Self { fs, root, data, log })
    }

    fn names(&self, rows: &mut Rows<'_>) {
        let (fs, root) = (self.fs, self.root);
        rows.row("getattr", 0, || fs.getattr(self.data));
        rows.row("lookup + forget (1000 names)", 0, || {
            let found = fs.lookup(root, "file-777")?;
            fs.forget(found.node, 1);
            Ok(())
        });
        rows.row("create + unlink + forget", 0, || {
            let made = fs.create(root, "new", OWNER)?;
            let gone = fs.unlink(root, "new");
            fs.forget(made.node, 1);
            gone
        });
        rows.row("readdir of 100", 0, || fs.readdir(root, 0, 100));
    }

    fn data(&self, rows: &mut Rows<'_>) {
        let (fs, file) = (self.fs, self.data);
        let handle = match fs.open(file, OpenFlags::all()) {
            Ok(handle) => handle,
            Err(errno) => return rows.row::<()>("open", 0, || Err(errno)),
        };
        let mut buffer = vec![7_u8; CHUNK_BYTES_MAX];
        rows.row("read 4 KiB, same place", 4096, || fs.read(file, handle, 8192, &mut buffer[..4096]));
        rows.row("write 4 KiB, same place", 4096, || fs.write(file, handle, 8192, &buffer[..4096]));
        for (read, write, length) in [
            ("read 64 KiB, sequential", "write 64 KiB, sequential", 64 << 10),
            ("read 1 MiB, sequential", "write 1 MiB, sequential", CHUNK_BYTES_MAX),
        ] {
            let mut offset = 0;
            let mut next = || {
                offset = (offset + length as u64) % DATA_BYTES;
                offset
            };
            rows.row(read, length, || fs.read(file, handle, next(), &mut buffer[..length]));
            rows.row(write, length, || fs.write(file, handle, next(), &buffer[..length]));
        }
        fs.release(file, handle);
    }

    fn log(&self, rows: &mut Rows<'_>) {
        let (fs, file) = (self.fs, self.log);
        let handle = match fs.open(file, OpenFlags::WRITE) {
            Ok(handle) => handle,
            Err(errno) => return rows.row::<()>("open", 0, || Err(errno)),
        };
        let mut end = 0;
        rows.row("append 100 bytes", 100, || {
            if end >= LOG_BYTES_MAX {
                end = 0;
                fs.setattr(file, &AttributeChanges { size: Some(0), ..Default::default() })?;
            }
            end += fs.write(file, handle, end, &[7; 100])? as u64;
            Ok(())
        });
        fs.release(file, handle);
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cell = |ns: Option<f64>| ns.map_or_else(|| "-".to_owned(), nanoseconds);
        let (base, name) = (short(&self.base), short(&self.name));
        writeln!(f, "{:<28} {base:>14} {name:>14} {:>8}", "call", "ratio")?;
        for row in &self.calls {
            let ratio = row.ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.1}x"));
            write!(f, "{:<28} {:>14} {:>14} {ratio:>8}", row.call, cell(row.base_ns), cell(row.ns))?;
            if row.bytes > 0 && row.ns.is_some() {
                let rate = |ns: Option<f64>| ns.map_or_else(|| "-".to_owned(), |ns| rate(row.bytes, ns));
                write!(f, "  {} {}", rate(row.base_ns), rate(row.ns))?;
            }
            match &row.reason {
                Some(reason) => writeln!(f, "  {reason}")?,
                None => writeln!(f)?,
            }
        }
        Ok(())
    }
}

fn short(name: &str) -> String {
    name.chars().take(14).collect()
}

fn nanoseconds(ns: f64) -> String {
    match ns {
        ..10_000.0 => format!("{ns:.0} ns"),
        ..10_000_000.0 => format!("{:.1} us", ns / 1e3),
        _ => format!("{:.1} ms", ns / 1e6),
    }
}

fn rate(bytes: usize, ns: f64) -> String {
    let gigabytes = bytes as f64 / ns;
    if gigabytes < 0.1 { format!("{:.1} MB/s", gigabytes * 1e3) } else { format!("{gigabytes:.1} GB/s") }
}
