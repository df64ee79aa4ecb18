//! Components made of a core module in WAT and the WIT of the project.

use std::path::Path;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// What WASI's packages are called, those that others need first.
const PACKAGES: [&str; 6] = ["io", "clocks", "random", "filesystem", "sockets", "cli"];

pub(super) const VERSION: &str = "0.2.12";

/// What every module starts with: memory, an allocator that never frees, texts from 0x8000 on, and `$print`, which writes to standard output.
const PRELUDE: &str = r#"
(memory (export "memory") 4)
(global $heap (mut i32) (i32.const 0x10000))
(func $realloc (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
  (local $at i32)
  (local.set $at (i32.and (i32.add (global.get $heap) (i32.const 15)) (i32.const -16)))
  (global.set $heap (i32.add (local.get $at) (local.get 3)))
  (if (i32.gt_u (global.get $heap) (i32.mul (memory.size) (i32.const 65536)))
    (then (drop (memory.grow (i32.add (i32.const 1) (i32.shr_u (local.get 3) (i32.const 16)))))))
  (local.get $at))
"#;

/// A component to be made.
pub(super) struct Build<'a> {
    /// The WASI version that it is made for.
    pub(super) version: &'a str,
    /// The interfaces it imports, with `@V` for the version.
    pub(super) imports: &'a [&'a str],
    /// The module's imports, with `@V` for the version, in WAT.
    pub(super) import_text: &'a str,
    /// The rest of the module; its function `$run` is the program.
    pub(super) body: &'a str,
}

impl Build<'_> {
    pub(super) fn component(&self) -> Vec<u8> {
        let mut resolve = resolve(self.version);
        let mut world = String::from("package test:program;\nworld program {\n");
        for import in self.imports {
            world.push_str(&format!("import {};\n", import.replace("@V", &format!("@{}", self.version))));
        }
        world.push_str(&format!("export wasi:cli/run@{};\n}}\n", self.version));
        let package = resolve.push_str("program.wit", &world).unwrap();
        let world = resolve.select_world(&[package], None).unwrap();
        let version = format!("@{}", self.version);
        let text = format!(
            "(module\n{}\n{PRELUDE}\n{}\n(func (export \"wasi:cli/run{version}#run\") (result i32) (call $run)))",
            self.import_text.replace("@V", &version),
            self.body
        );
        let mut module = wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}"));
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).unwrap();
        ComponentEncoder::default().module(&module).unwrap().validate(true).encode().unwrap()
    }
}

/// The project's WIT, with WASI in this version.
pub(super) fn resolve(version: &str) -> Resolve {
    let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../wit");
    let mut resolve = Resolve::default();
    for package in PACKAGES {
        let path = wit.join(format!("deps/{package}-{VERSION}/package.wit"));
        let text = std::fs::read_to_string(&path).unwrap().replace(VERSION, version);
        // What is marked as newer than the version asked for is left out by that.
        let text = text.replace(&format!("@since(version = {version})"), "@since(version = 0.2.0)");
        resolve.push_str(path, &text).unwrap();
    }
    resolve.push_dir(wit.join("kernel")).unwrap();
    resolve
}

/// The imports of programs that use the standard streams.
pub(super) const STREAMS: &[&str] =
    &["wasi:io/streams@V", "wasi:io/poll@V", "wasi:cli/stdin@V", "wasi:cli/stdout@V", "wasi:clocks/monotonic-clock@V"];

pub(super) const STREAMS_TEXT: &str = r#"
(import "wasi:cli/stdin@V" "get-stdin" (func $get_stdin (result i32)))
(import "wasi:cli/stdout@V" "get-stdout" (func $get_stdout (result i32)))
(import "wasi:io/streams@V" "[method]input-stream.blocking-read" (func $read (param i32 i64 i32)))
(import "wasi:io/streams@V" "[method]output-stream.blocking-write-and-flush" (func $write (param i32 i32 i32 i32)))
(import "wasi:io/streams@V" "[method]input-stream.subscribe" (func $subscribe (param i32) (result i32)))
(import "wasi:io/streams@V" "[resource-drop]output-stream" (func $drop_output (param i32)))
(import "wasi:io/streams@V" "[resource-drop]input-stream" (func $drop_input (param i32)))
(import "wasi:io/poll@V" "[method]pollable.block" (func $block (param i32)))
(import "wasi:clocks/monotonic-clock@V" "subscribe-duration" (func $sleep (param i64) (result i32)))
"#;

/// A component that uses the standard streams, in the newest version.
pub(super) fn program(body: &str) -> Vec<u8> {
    Build { version: VERSION, imports: STREAMS, import_text: STREAMS_TEXT, body }.component()
}

/// One with other imports besides.
pub(super) fn program_with(imports: &[&str], import_text: &str, body: &str) -> Vec<u8> {
    let imports: Vec<_> = STREAMS.iter().chain(imports).copied().collect();
    let import_text = format!("{STREAMS_TEXT}{import_text}");
    Build { version: VERSION, imports: &imports, import_text: &import_text, body }.component()
}
