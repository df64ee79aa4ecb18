//! Components that are processes of a VM of their own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use eyot_backend::{Errno, Filesystem, OpenFlags, Ownership};
use eyot_conformance::forge::{Bytes, Forge};
use eyot_memfs::Memfs;
use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME as NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER as ADAPTER,
};

use crate::plugin::tests::engine;
use crate::plugin::{Grant, Inspection, PluginConfig, PluginError, PluginFilesystem, Preopen};

const IMPORTS: &[(&str, &str)] = &[
    ("args_sizes_get", "i32 i32"),
    ("environ_sizes_get", "i32 i32"),
    ("clock_time_get", "i32 i64 i32"),
    ("random_get", "i32 i32"),
    ("fd_prestat_get", "i32 i32"),
    ("fd_prestat_dir_name", "i32 i32 i32"),
    ("fd_read", "i32 i32 i32 i32"),
    ("fd_write", "i32 i32 i32 i32"),
    ("path_create_directory", "i32 i32 i32"),
    ("path_open", "i32 i32 i32 i32 i32 i64 i64 i32 i32"),
    ("poll_oneoff", "i32 i32 i32 i32"),
    ("sock_shutdown", "i32 i32"),
];

/// WASI 0.1's numbers.
const BADF: u32 = 8;
const PERM: u32 = 63;
const ROFS: u32 = 69;
const NOENT: u32 = 44;

/// A component whose `fsync` makes calls of WASI 0.1 and traps unless each answers what it should.
struct Steps {
    forge: Forge,
    body: String,
}

impl Steps {
    fn new() -> Self {
        let import = |(name, params): &(&str, &str)| {
            format!("(import \"{NAME}\" \"{name}\" (func ${name} (param {params}) (result i32)))\n")
        };
        let mut forge = Forge::new();
        forge.adapt(&IMPORTS.iter().map(import).collect::<String>(), NAME, ADAPTER);
        Self { forge, body: String::new() }
    }

    fn text(&mut self, text: &str) -> String {
        format!("(i32.const {}) (i32.const {})", self.forge.put(&Bytes(text.as_bytes().to_vec())), text.len())
    }

    /// A list of one buffer.
    fn buffer(&mut self, text: &str) -> String {
        let at = self.forge.put(&Bytes(text.as_bytes().to_vec()));
        let list = self.forge.put(&Bytes::default().u32(at).u32(text.len() as u32));
        format!("(i32.const {list}) (i32.const 1)")
    }

    fn call(mut self, name: &str, operands: &str, wanted: u32) -> Self {
        self.body += &format!("(if (i32.ne (call ${name} {operands}) (i32.const {wanted})) (then unreachable))\n");
        self
    }

    /// Traps unless the number at an address is this.
    fn is(mut self, at: u32, wanted: u32) -> Self {
        self.body += &format!("(if (i32.ne (i32.load (i32.const {at})) (i32.const {wanted})) (then unreachable))\n");
        self
    }

    fn build(mut self) -> Vec<u8> {
        let ok = self.forge.put(&Bytes::default().u8(0).u8(0));
        self.forge.body("fsync", &format!("{} (i32.const {ok})", self.body));
        self.forge.build()
    }

    fn start(self, config: PluginConfig) -> PluginFilesystem {
        PluginFilesystem::load(&engine(false), &self.build(), config).unwrap()
    }
}

fn preopen(path: &str, filesystem: &Arc<Memfs>, read_only: bool) -> Preopen {
    Preopen { path: path.into(), filesystem: filesystem.clone(), read_only }
}

fn granted(preopens: Vec<Preopen>) -> PluginConfig {
    PluginConfig { preopens, ..PluginConfig::new("test") }
}

fn filled() -> Arc<Memfs> {
    let fs = Arc::new(Memfs::new());
    let file = fs.create(1, "f", Ownership { mode: 0o600, uid: 7, gid: 7 }).unwrap().node;
    fs.write(file, 0, 0, b"contents").unwrap();
    fs
}

#[test]
fn without_grants_there_is_nothing() {
    let mut steps = Steps::new();
    let (input, output) = (steps.buffer("          "), steps.buffer("a line for the log\nand a part"));
    let fs = steps
        .call("fd_prestat_get", "(i32.const 3) (i32.const 256)", BADF)
        .call("args_sizes_get", "(i32.const 256) (i32.const 260)", 0)
        .is(256, 0)
        .call("environ_sizes_get", "(i32.const 256) (i32.const 260)", 0)
        .is(256, 0)
        .call("fd_read", &format!("(i32.const 0) {input} (i32.const 256)"), 0)
        .is(256, 0)
        .call("fd_write", &format!("(i32.const 1) {output} (i32.const 256)"), 0)
        .call("fd_write", &format!("(i32.const 2) {output} (i32.const 256)"), 0)
        .call("random_get", "(i32.const 256) (i32.const 8)", 0)
        .call("clock_time_get", "(i32.const 0) (i64.const 1) (i32.const 256)", 0)
        .start(granted(Vec::new()));
    assert!(fs.may_wait());
    assert_eq!(fs.fsync(1, 0, false), Ok(()));
    assert_eq!(fs.fsync(1, 0, false), Ok(()), "and again");
}

#[test]
fn it_sees_its_directories_and_nothing_else() {
    let (data, other) = (filled(), filled());
    let mut steps = Steps::new();
    let (f, new, up, absolute) = (steps.text("f"), steps.text("new"), steps.text("../other/f"), steps.text("/data/f"));
    let buffer = steps.buffer("        ");
    let open = |dir: u32, path: &str, how: u32, rights: &str| {
        format!(
            "(i32.const {dir}) (i32.const 0) {path} (i32.const {how}) {rights} (i64.const 0) (i32.const 0) (i32.const 256)"
        )
    };
    let (read, write) = ("(i64.const 0x2)", "(i64.const 0x40)");
    let fs = steps
        .call("fd_prestat_get", "(i32.const 3) (i32.const 256)", 0)
        .is(260, "/data".len() as u32)
        .call("fd_prestat_dir_name", "(i32.const 3) (i32.const 256) (i32.const 5)", 0)
        .is(256, u32::from_le_bytes(*b"/dat"))
        .call("fd_prestat_get", "(i32.const 4) (i32.const 256)", 0)
        .is(260, "/other".len() as u32)
        .call("fd_prestat_get", "(i32.const 5) (i32.const 256)", BADF)
        .call("path_open", &open(3, &up, 0, read), PERM)
        .call("path_open", &open(3, &absolute, 0, read), PERM)
        .call("path_open", &open(3, &new, 0, read), NOENT)
        .call("path_open", &open(4, &new, 1, write), ROFS)
        .call("path_create_directory", &format!("(i32.const 3) {new}"), 0)
        .call("path_open", &open(3, &f, 0, read), 0)
        .call("fd_read", &format!("(i32.load (i32.const 256)) {buffer} (i32.const 260)"), 0)
        .is(260, 8)
        .start(granted(vec![preopen("/data", &data, false), preopen("/other", &other, true)]));
    assert_eq!(fs.fsync(1, 0, false), Ok(()));
    assert!(data.lookup(1, "new").is_ok() && other.lookup(1, "new").is_err());
    drop(fs);
    assert!(data.open(2, OpenFlags::READ).is_ok(), "what was granted goes on without it");
}

#[test]
fn the_root_itself_can_be_granted() {
    let mut steps = Steps::new();
    let f = steps.text("f");
    let open = format!(
        "(i32.const 3) (i32.const 0) {f} (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 256)"
    );
    let fs = steps.call("path_open", &open, 0).start(granted(vec![preopen("/", &filled(), true)]));
    assert_eq!(fs.fsync(1, 0, false), Ok(()));
}

#[test]
fn what_cannot_be_granted_is_named() {
    let bytes = Steps::new().call("random_get", "(i32.const 256) (i32.const 8)", 0).build();
    let data = filled();
    let start = |preopens| PluginFilesystem::load(&engine(false), &bytes, granted(preopens)).err();
    let twice = start(vec![preopen("/data", &data, false), preopen("/data", &data, false)]).unwrap();
    assert!(matches!(&twice, PluginError::Grant { preopen: Some(path), .. } if path == "/data"), "{twice}");
    let below = start(vec![preopen("/", &data, false), preopen("/sub", &data, false)]).unwrap();
    assert!(below.to_string().contains("the directory /sub (preopens): no such file"), "{below}");
    let plain =
        PluginFilesystem::load(&engine(false), &Forge::new().build(), granted(vec![preopen("/d", &data, false)]));
    assert!(plain.err().unwrap().to_string().contains("no use for preopened directories"));
}

#[test]
fn a_call_that_waits_too_long_is_given_up() {
    // A subscription to a clock, ten seconds from now.
    let clock = Bytes::default().u64(0).u8(0).align(8).u32(1).align(8).u64(10_000_000_000).u64(0).u16(0).align(8);
    let mut steps = Steps::new();
    let at = steps.forge.put(&clock);
    let poll = format!("(i32.const {at}) (i32.const 256) (i32.const 1) (i32.const 320)");
    let config = PluginConfig { call_time_max: Duration::from_millis(100), ..granted(Vec::new()) };
    let fs = steps.call("poll_oneoff", &poll, 0).start(config);
    let start = Instant::now();
    assert_eq!(fs.fsync(1, 0, false), Err(Errno::Io));
    assert!((Duration::from_millis(100)..Duration::from_secs(5)).contains(&start.elapsed()), "{:?}", start.elapsed());
    assert!(fs.is_retired());
}

#[test]
fn a_call_that_computes_too_long_is_given_up() {
    let mut steps = Steps::new().call("random_get", "(i32.const 256) (i32.const 8)", 0);
    steps.body += "(loop br 0)";
    let config = PluginConfig { call_time_max: Duration::from_millis(50), ..granted(Vec::new()) };
    let fs = steps.start(config);
    assert_eq!(fs.fsync(1, 0, false), Err(Errno::Io));
    assert!(fs.is_retired());
}

#[test]
fn it_can_be_called_from_wherever_a_filesystem_is() {
    let bytes = Steps::new().call("random_get", "(i32.const 256) (i32.const 8)", 0).build();
    let engine = engine(false);
    let fs = PluginFilesystem::load(&engine, &bytes, granted(Vec::new())).unwrap();
    // On somebody else's runtime, where blocking is forbidden.
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).build().unwrap();
    runtime.block_on(async { assert_eq!(fs.fsync(1, 0, false), Ok(())) });
    let (send, receive) = std::sync::mpsc::channel();
    let fs = Arc::new(fs);
    let ours = fs.clone();
    // On the kernel's own, where guests' fibers run.
    crate::runtime::spawn(async move { send.send(ours.fsync(1, 0, false)).unwrap() });
    assert_eq!(receive.recv_timeout(Duration::from_secs(20)).unwrap(), Ok(()));
    std::thread::scope(|scope| scope.spawn(|| assert_eq!(fs.fsync(1, 0, false), Ok(()))).join().unwrap());
}

#[test]
fn its_memory_ends_at_its_limit() {
    let mut steps = Steps::new().call("random_get", "(i32.const 256) (i32.const 8)", 0);
    steps.body += "(if (i32.ne (memory.grow (i32.const 256)) (i32.const -1)) (then unreachable))";
    let fs = steps.start(PluginConfig { memory_bytes_max: 8 << 20, ..granted(Vec::new()) });
    assert_eq!(fs.fsync(1, 0, false), Ok(()));
}

#[test]
fn it_is_seen_what_it_imports() {
    let bytes = Steps::new().call("random_get", "(i32.const 256) (i32.const 8)", 0).build();
    let component = wasmtime::component::Component::from_binary(&engine(false), &bytes).unwrap();
    let inspection = Inspection::of(&component, &PluginConfig::new("test"));
    let of = |name: &str| {
        inspection.imports.iter().find(|import| import.interface.name.starts_with(name)).map(|import| import.grant)
    };
    assert_eq!(of("wasi:filesystem/preopens@"), Some(Grant::Preopens));
    assert_eq!(of("wasi:random/random@"), Some(Grant::ByDefault));
    assert!(inspection.info.unwrap().is_ok());
}
