//! Components of the world `async-filesystem-backend` made to order: well-formed, and as hostile as a test wants them.

use std::path::Path;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::abi::{AbiVariant, WasmType};
use wit_parser::{Mangling, Resolve, WorldId, WorldItem};

use crate::forge::Bytes;

/// Where answers are put.
const ANSWERS_START: usize = 4096;
/// Where `cabi_realloc` begins to give memory out, again and again: what is given is used at once.
const HEAP_START: usize = 65536;

/// What a function may import: the name in its text, the module, the name there and the type.
const IMPORTS: &[(&str, &str, &str, &str)] = &[
    ("$wait_for", "wasi:clocks/monotonic-clock@0.3.0", "[async-lower]wait-for", "(param i64) (result i32)"),
    ("$set_new", "$root", "[waitable-set-new]", "(result i32)"),
    ("$set_drop", "$root", "[waitable-set-drop]", "(param i32)"),
    ("$join", "$root", "[waitable-join]", "(param i32 i32)"),
    ("$subtask_drop", "$root", "[subtask-drop]", "(param i32)"),
    ("$context_get", "$root", "[context-get-0]", "(result i32)"),
    ("$context_set", "$root", "[context-set-0]", "(param i32)"),
];

/// What a function does.
enum Body {
    /// It is lifted synchronously: no other call is begun before it has answered.
    Sync(String),
    /// What begins a call, and what goes on when something has come that it waits for.
    Async(String, String),
}

/// A component in the making. A function that is not given a body traps.
pub struct WaitingForge {
    bodies: Vec<(String, Body)>,
    memory: Vec<u8>,
}

impl Default for WaitingForge {
    fn default() -> Self {
        Self::new()
    }
}

impl WaitingForge {
    /// A component that says something reasonable of itself and traps in every other call.
    pub fn new() -> Self {
        let mut forge = Self { bodies: Vec::new(), memory: vec![0; ANSWERS_START] };
        let kind = forge.put(&Bytes(b"forged".to_vec()));
        let ok = Bytes::default().u8(0).align(8);
        forge.answer("info", &ok.u64(1).u16(0xff).u64(0).u64(0).u32(kind).u32(6));
        forge
    }

    /// Gives `function` a body in WebAssembly's text format, lifted synchronously; its parameters are `(local.get 0)` and so on.
    pub fn body(&mut self, function: &str, body: &str) -> &mut Self {
        self.set(function, Body::Sync(body.to_owned()))
    }

    /// Lets `function` answer these bytes.
    pub fn answer(&mut self, function: &str, answer: &Bytes) -> &mut Self {
        let at = self.put(answer);
        self.body(function, &format!("(i32.const {at})"))
    }

    /// Lets `function` wait: `begin` begins a call, `go_on` is called with an event, a handle and a code. Both answer what the canonical ABI calls a callback code: 0 is the
    /// end, 1 yields, 2 waits for the set whose number is in the upper bits. They may call `$return`, which answers the call, and `$wait_for`, `$set_new`, `$set_drop`, `$join`,
    /// `$subtask_drop`, `$context_get` and `$context_set`.
    pub fn waits(&mut self, function: &str, begin: &str, go_on: &str) -> &mut Self {
        self.set(function, Body::Async(begin.to_owned(), go_on.to_owned()))
    }

    /// Lets `function`, whose answer is a result of nothing or an error, wait for so long and succeed.
    pub fn waits_for(&mut self, function: &str, ns: u64) -> &mut Self {
        let begin = format!(
            "(local $call i32) (local $set i32)
             (local.set $call (call $wait_for (i64.const {ns})))
             (local.set $set (call $set_new))
             (call $join (i32.shr_u (local.get $call) (i32.const 4)) (local.get $set))
             (call $context_set (local.get $set))
             (i32.or (i32.const 2) (i32.shl (local.get $set) (i32.const 4)))"
        );
        let go_on = "(call $subtask_drop (local.get 1)) (call $set_drop (call $context_get))
                     (call $return (i32.const 0) (i32.const 0)) (i32.const 0)";
        self.waits(function, &begin, go_on)
    }

    fn set(&mut self, function: &str, body: Body) -> &mut Self {
        self.bodies.retain(|(name, _)| name != function);
        self.bodies.push((function.to_owned(), body));
        self
    }

    /// Puts bytes into memory; answers where.
    pub fn put(&mut self, bytes: &Bytes) -> u32 {
        self.memory.resize(self.memory.len().next_multiple_of(8), 0);
        let at = self.memory.len();
        self.memory.extend_from_slice(&bytes.0);
        assert!(self.memory.len() < HEAP_START, "too many answers");
        at as u32
    }

    /// The component. Panics when a body is not valid.
    pub fn build(&self) -> Vec<u8> {
        let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
        let mut resolve = Resolve::default();
        resolve.push_dir(wit.join("deps/clocks-0.3.0")).expect("the WIT of WASI is valid");
        resolve.push_dir(wit.join("backend")).expect("wit/backend is valid");
        let world = "package eyot:forged; world forged {
            import wasi:clocks/monotonic-clock@0.3.0;
            include eyot:backend/async-filesystem-backend@0.1.0;
        }";
        let package = resolve.push_str("forged.wit", world).expect("the world is valid");
        let world = resolve.select_world(&[package], Some("forged")).expect("the world exists");
        let module = self.module(&resolve, world);
        let mut module = wat::parse_str(&module).unwrap_or_else(|error| panic!("{error}\n{module}"));
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("metadata can be embedded");
        let encoder = ComponentEncoder::default().validate(true).module(&module);
        encoder.and_then(|mut encoder| encoder.encode()).expect("the module is the world's")
    }

    fn module(&self, resolve: &Resolve, world: WorldId) -> String {
        let (mut imports, mut functions) = (String::new(), String::new());
        for (key, item) in &resolve.worlds[world].exports {
            let WorldItem::Interface { id, .. } = item else { continue };
            let interface = resolve.id_of(*id).expect("the interface has a name");
            for (name, function) in &resolve.interfaces[*id].functions {
                let body = self.bodies.iter().find(|(body, _)| body == name).map(|(_, body)| body);
                let signature = |variant| resolve.wasm_signature(variant, function);
                match body {
                    Some(Body::Async(begin, go_on)) => {
                        let (module, answer, sent) = function.task_return_import(resolve, Some(key), Mangling::Legacy);
                        let own = |text: &str| text.replace("$return", &format!("$return-{name}"));
                        imports += &format!(
                            "(import \"{module}\" \"{answer}\" (func $return-{name} (param {})))\n",
                            types(&sent.params)
                        );
                        functions += &format!(
                            "(func (export \"[async-lift]{interface}#{name}\") (param {}) (result i32) {})
                             (func (export \"[callback][async-lift]{interface}#{name}\") (param i32 i32 i32) (result i32) {})\n",
                            types(&signature(AbiVariant::GuestExportAsync).params),
                            own(begin),
                            own(go_on)
                        );
                    }
                    Some(Body::Sync(_)) | None => {
                        let signature = signature(AbiVariant::GuestExport);
                        let body = match body {
                            Some(Body::Sync(body)) => body,
                            _ => "unreachable",
                        };
                        functions += &format!(
                            "(func (export \"{interface}#{name}\") (param {}) (result {}) {body})\n",
                            types(&signature.params),
                            types(&signature.results)
                        );
                    }
                }
            }
        }
        for (name, module, import, ty) in IMPORTS.iter().filter(|(name, ..)| functions.contains(name)) {
            imports += &format!("(import \"{module}\" \"{import}\" (func {name} {ty}))\n");
        }
        let data: String = self.memory.iter().map(|byte| format!("\\{byte:02x}")).collect();
        format!(
            "(module {imports} (memory (export \"memory\") 4)
             (func (export \"cabi_realloc\") (param i32 i32 i32 i32) (result i32) (i32.const {HEAP_START}))
             {functions}
             (data (i32.const 0) \"{data}\"))"
        )
    }
}

fn types(types: &[WasmType]) -> String {
    let text = |ty: &WasmType| match ty {
        WasmType::I32 | WasmType::Pointer | WasmType::Length => "i32",
        WasmType::I64 | WasmType::PointerOrI64 => "i64",
        WasmType::F32 => "f32",
        WasmType::F64 => "f64",
    };
    types.iter().map(text).collect::<Vec<_>>().join(" ")
}
