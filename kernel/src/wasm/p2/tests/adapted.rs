//! Programs for WASI 0.1, made components by wasmtime's adapter: code that nobody here wrote between the program and these functions.

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME as NAME, WASI_SNAPSHOT_PREVIEW1_COMMAND_ADAPTER as ADAPTER,
};
use wit_component::ComponentEncoder;

use crate::process::ExitStatus;
use crate::vm::Output;
use crate::wasm::tests::{install, vm};

const IMPORTS: &[(&str, &str)] = &[
    ("args_sizes_get", "ii"),
    ("environ_sizes_get", "ii"),
    ("clock_time_get", "iIi"),
    ("random_get", "ii"),
    ("fd_close", "i"),
    ("fd_fdstat_get", "ii"),
    ("fd_filestat_get", "ii"),
    ("fd_filestat_set_size", "iI"),
    ("fd_prestat_get", "ii"),
    ("fd_read", "iiii"),
    ("fd_pread", "iiiIi"),
    ("fd_pwrite", "iiiIi"),
    ("fd_readdir", "iiiIi"),
    ("fd_seek", "iIii"),
    ("fd_write", "iiii"),
    ("path_create_directory", "iii"),
    ("path_filestat_get", "iiiii"),
    ("path_link", "iiiiiii"),
    ("path_open", "iiiiiIIii"),
    ("path_readlink", "iiiiii"),
    ("path_remove_directory", "iii"),
    ("path_rename", "iiiiii"),
    ("path_symlink", "iiiii"),
    ("path_unlink_file", "iii"),
    ("poll_oneoff", "iiii"),
];

/// WASI 0.1's numbers.
const NOENT: u16 = 44;
const EXIST: u16 = 20;
const ISDIR: u16 = 31;
const NOTEMPTY: u16 = 55;
const NOTDIR: u16 = 54;
const BADF: u16 = 8;
const LOOP: u16 = 32;

/// A test in steps: each is a call and the number that it must answer.
struct Steps {
    body: String,
    data: String,
    at: usize,
    names: Vec<String>,
}

impl Steps {
    fn new() -> Self {
        Self { body: String::new(), data: String::new(), at: 0x8000, names: vec![String::new()] }
    }

    /// A text's two operands.
    fn text(&mut self, text: &str) -> String {
        let operands = format!("(i32.const {}) (i32.const {})", self.at, text.len());
        self.data.push_str(&format!("(data (i32.const {}) \"{text}\")\n", self.at));
        self.at += text.len();
        operands
    }

    fn step(&mut self, name: &str, operands: &str, wanted: u16) -> &mut Self {
        self.check(&format!("(call ${name} {operands})"), wanted.into())
    }

    fn check(&mut self, value: &str, wanted: u32) -> &mut Self {
        let id = self.names.len();
        self.body.push_str(&format!("(call $expect (i32.const {id}) {value} (i32.const {wanted}))\n"));
        self.names.push(value.to_owned());
        self
    }

    /// A vector of one piece at 0x100.
    fn piece(&mut self, pointer: u32, length: u32) -> &mut Self {
        self.body.push_str(&format!("(i32.store (i32.const 0x100) (i32.const {pointer}))"));
        self.body.push_str(&format!("(i32.store (i32.const 0x104) (i32.const {length}))\n"));
        self
    }

    fn open(&mut self, path: &str, flags: u32, rights: u64, wanted: u16) -> &mut Self {
        let path = self.text(path);
        let operands = format!(
            "(i32.const 3) (i32.const 0) {path} (i32.const {flags}) (i64.const {rights}) (i64.const 0) (i32.const 0) (i32.const 0x200)"
        );
        self.step("path_open", &operands, wanted)
    }

    fn component(&self) -> Vec<u8> {
        let mut text = String::from("(module\n");
        for (name, parameters) in IMPORTS {
            let types: Vec<_> = parameters.chars().map(|c| if c == 'I' { "i64" } else { "i32" }).collect();
            let types = types.join(" ");
            text.push_str(&format!("(import \"{NAME}\" \"{name}\" (func ${name} (param {types}) (result i32)))\n"));
        }
        text.push_str(&format!("(import \"{NAME}\" \"proc_exit\" (func $proc_exit (param i32)))\n"));
        text.push_str(&format!("(memory (export \"memory\") 4)\n{}", self.data));
        // The number of the failed check, as two letters, on standard error.
        text.push_str(
            r#"(func $expect (param i32 i32 i32)
              (if (i32.ne (local.get 1) (local.get 2)) (then
                (i32.store8 (i32.const 0x10) (i32.add (i32.const 65) (i32.div_u (local.get 0) (i32.const 26))))
                (i32.store8 (i32.const 0x11) (i32.add (i32.const 65) (i32.rem_u (local.get 0) (i32.const 26))))
                (i32.store8 (i32.const 0x12) (i32.add (i32.const 32) (local.get 1)))
                (i32.store (i32.const 0) (i32.const 0x10)) (i32.store (i32.const 4) (i32.const 3))
                (drop (call $fd_write (i32.const 2) (i32.const 0) (i32.const 1) (i32.const 8)))
                (call $proc_exit (i32.const 1)))))"#,
        );
        text.push_str(&format!("(func (export \"_start\")\n{}))", self.body));
        let module = wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}"));
        let encoder = ComponentEncoder::default().validate(true).module(&module).unwrap();
        encoder.adapter(NAME, ADAPTER).unwrap().encode().unwrap()
    }

    #[track_caller]
    fn run(&self, input: &[u8]) -> Output {
        let vm = vm();
        install(&vm, "/bin/adapted", &self.component());
        let output = vm.command("adapted").arg("x").output_with_input(input).unwrap();
        if output.status == ExitStatus::Exited(1) && output.stderr.len() == 3 {
            let number = usize::from(output.stderr[0] - 65) * 26 + usize::from(output.stderr[1] - 65);
            panic!("a check failed: {} gave {}", self.names[number], output.stderr[2].wrapping_sub(32));
        }
        assert_eq!(output.status, ExitStatus::Exited(0), "{}", String::from_utf8_lossy(&output.stderr));
        output
    }
}

const READ: u64 = 1 << 1;
const WRITE: u64 = 1 << 6;
const CREAT: u32 = 1;
const DIRECTORY: u32 = 2;
const EXCL: u32 = 4;
const FD: &str = "(i32.load (i32.const 0x200))";
const ONE: &str = "(i32.const 0x100) (i32.const 1)";
const OUT: &str = "(i32.const 0x300)";

#[test]
fn files_are_written_sought_and_read() {
    let mut steps = Steps::new();
    let hello = steps.at as u32;
    steps.text("hello world");
    steps.open("tmp/a", 0, READ, NOENT).open("tmp/a", CREAT | EXCL, READ | WRITE, 0).open(
        "tmp/a",
        CREAT | EXCL,
        WRITE,
        EXIST,
    );
    steps.open("tmp/a", CREAT, READ | WRITE, 0);
    steps.piece(hello, 11).step("fd_write", &format!("{FD} {ONE} {OUT}"), 0).check("(i32.load (i32.const 0x300))", 11);
    steps.piece(hello, 1).step("fd_pwrite", &format!("{FD} {ONE} (i64.const 11) {OUT}"), 0);
    steps.step("fd_seek", &format!("{FD} (i64.const -6) (i32.const 2) {OUT}"), 0);
    steps.check("(i32.load (i32.const 0x300))", 6);
    steps.piece(0x400, 100).step("fd_read", &format!("{FD} {ONE} {OUT}"), 0).check("(i32.load (i32.const 0x300))", 6);
    steps.check("(i32.load (i32.const 0x400))", u32::from_le_bytes(*b"worl"));
    steps.step("fd_read", &format!("{FD} {ONE} {OUT}"), 0).check("(i32.load (i32.const 0x300))", 0);
    steps.piece(0x400, 3).step("fd_pread", &format!("{FD} {ONE} (i64.const 2) {OUT}"), 0);
    steps.check("(i32.load16_u (i32.const 0x400))", u16::from_le_bytes(*b"ll").into());
    steps.step("fd_filestat_get", &format!("{FD} (i32.const 0x400)"), 0).check("(i32.load (i32.const 0x420))", 12);
    steps.step("fd_filestat_set_size", &format!("{FD} (i64.const 5)"), 0);
    steps.step("fd_close", FD, 0).step("fd_close", FD, BADF);
    steps.run(b"");
}

#[test]
fn the_tree_is_changed() {
    let mut steps = Steps::new();
    let (dir, file, other, link) =
        (steps.text("tmp/d"), steps.text("tmp/d/f"), steps.text("tmp/d/g"), steps.text("tmp/l"));
    let (above, target) = (steps.text("../x"), steps.text("d/g"));
    let at = |path: &str| format!("(i32.const 3) {path}");
    steps.step("path_create_directory", &at(&dir), 0).step("path_create_directory", &at(&dir), EXIST);
    steps.open("tmp/d/f", CREAT, WRITE, 0).open("tmp/d", 0, WRITE, ISDIR).open("tmp/d/f", DIRECTORY, READ, NOTDIR);
    steps.step("path_remove_directory", &at(&dir), NOTEMPTY).step("path_unlink_file", &at(&dir), ISDIR);
    steps.step("path_rename", &format!("(i32.const 3) {file} (i32.const 3) {other}"), 0);
    steps.step("path_symlink", &format!("{target} (i32.const 3) {link}"), 0);
    steps.step("path_readlink", &format!("(i32.const 3) {link} (i32.const 0x400) (i32.const 64) {OUT}"), 0);
    steps.check("(i32.load (i32.const 0x300))", 3);
    steps.open("tmp/l", 0, READ, LOOP);
    steps.step("path_filestat_get", &format!("(i32.const 3) (i32.const 1) {link} (i32.const 0x400)"), 0);
    steps.check("(i32.load8_u (i32.const 0x410))", 4);
    steps.step("path_filestat_get", &format!("(i32.const 3) (i32.const 0) {link} (i32.const 0x400)"), 0);
    steps.check("(i32.load8_u (i32.const 0x410))", 7);
    // Above the root there is the root.
    steps.step("path_unlink_file", &at(&above), NOENT).step("path_unlink_file", &at(&file), NOENT);
    steps.open("tmp", DIRECTORY, READ, 0);
    steps.step("fd_readdir", &format!("{FD} (i32.const 0x1000) (i32.const 4096) (i64.const 0) {OUT}"), 0);
    // Four entries: the adapter adds the two dots.
    steps.check("(i32.load (i32.const 0x300))", 4 * 24 + 1 + 2 + 1 + 1);
    steps.step("path_unlink_file", &at(&link), 0).step("path_unlink_file", &at(&other), 0);
    steps.step("path_remove_directory", &at(&dir), 0).step("path_remove_directory", &at(&dir), NOENT);
    steps.run(b"");
}

#[test]
fn streams_clocks_and_polls() {
    let mut steps = Steps::new();
    steps.step("args_sizes_get", "(i32.const 0x300) (i32.const 0x304)", 0).check("(i32.load (i32.const 0x300))", 2);
    steps.step("environ_sizes_get", "(i32.const 0x300) (i32.const 0x304)", 0);
    steps.step("random_get", "(i32.const 0x300) (i32.const 1000)", 0);
    steps.step("clock_time_get", "(i32.const 1) (i64.const 0) (i32.const 0x300)", 0);
    steps.step("fd_prestat_get", "(i32.const 3) (i32.const 0x300)", 0).check("(i32.load (i32.const 0x304))", 1);
    steps.step("fd_fdstat_get", "(i32.const 0) (i32.const 0x300)", 0);
    // Reads from standard input and writes what it read.
    steps.piece(0x400, 4).step("fd_read", &format!("(i32.const 0) {ONE} {OUT}"), 0);
    steps.check("(i32.load (i32.const 0x300))", 4);
    steps.step("fd_write", &format!("(i32.const 1) {ONE} {OUT}"), 0);
    // Waits 20 ms by the monotonic clock, relative.
    steps.body.push_str("(i64.store (i32.const 0x2000) (i64.const 7)) (i32.store (i32.const 0x2010) (i32.const 1))");
    steps.body.push_str("(i64.store (i32.const 0x2018) (i64.const 20000000))\n");
    steps.step("poll_oneoff", &format!("(i32.const 0x2000) (i32.const 0x3000) (i32.const 1) {OUT}"), 0);
    steps.check("(i32.load (i32.const 0x300))", 1).check("(i32.load (i32.const 0x3000))", 7);
    // And for standard input, of which there is more.
    steps.body.push_str("(i64.store (i32.const 0x2000) (i64.const 8)) (i32.store8 (i32.const 0x2008) (i32.const 1))");
    steps.body.push_str("(i32.store (i32.const 0x2010) (i32.const 0))\n");
    steps.step("poll_oneoff", &format!("(i32.const 0x2000) (i32.const 0x3000) (i32.const 1) {OUT}"), 0);
    steps.check("(i32.load (i32.const 0x300))", 1).check("(i32.load8_u (i32.const 0x300a))", 1);
    let output = steps.run(b"abcdef");
    assert_eq!(output.stdout, b"abcd");
}
