//! Components of the worlds `filesystem-backend` and `layer-backend` made to order: well-formed, and as hostile as a test wants them.
//!
//! A function that is not given a body traps. Answers are put into memory as the canonical ABI lays them out, with [`Bytes`]. A body may call what the world
//! imports: `$filesystem.lookup`, `$capture.begin`, and so on; `$give` is short for `$transfer.give`.

use std::path::Path;

use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::abi::{AbiVariant, WasmType};
use wit_parser::{Function, Resolve, WorldItem, WorldKey};

/// Where an answer may be put that [`Forge::answer`] does not manage itself.
const ANSWERS_START: usize = 4096;
/// Where `cabi_realloc` begins to give memory out.
const HEAP_START: usize = 65536;

/// Where an import may put its answer, in a layer.
const IMPORTED: usize = 2048;

/// A component in the making.
pub struct Forge {
    bodies: Vec<(String, String)>,
    memory: Vec<u8>,
    world: &'static str,
    /// Pages of 64 KiB.
    pages: u32,
    /// The import of functions that an adapter provides, and the adapter, by name.
    adapted: Option<(String, String, Vec<u8>)>,
}

/// Bytes laid out as the canonical ABI wants them.
#[derive(Default, Clone)]
pub struct Bytes(pub Vec<u8>);

impl Bytes {
    /// Appends a number of one byte.
    pub fn u8(self, value: u8) -> Self {
        self.number(&value.to_le_bytes())
    }

    /// Appends a number of two bytes, aligned.
    pub fn u16(self, value: u16) -> Self {
        self.number(&value.to_le_bytes())
    }

    /// Appends a number of four bytes, aligned.
    pub fn u32(self, value: u32) -> Self {
        self.number(&value.to_le_bytes())
    }

    /// Appends a number of eight bytes, aligned.
    pub fn u64(self, value: u64) -> Self {
        self.number(&value.to_le_bytes())
    }

    /// Aligns to `align` bytes.
    pub fn align(mut self, align: usize) -> Self {
        self.0.resize(self.0.len().next_multiple_of(align), 0);
        self
    }

    fn number(self, bytes: &[u8]) -> Self {
        let mut aligned = self.align(bytes.len());
        aligned.0.extend_from_slice(bytes);
        aligned
    }

    /// Appends `attributes`: this node, kind (0 is a file, 1 a directory) and mode, and otherwise nothing remarkable.
    pub fn attributes(self, node: u64, kind: u8, mode: u32) -> Self {
        let mut bytes = self.align(8).u64(node).u8(kind).u32(mode).u32(1).u32(0).u32(0).u64(0).u64(0).u64(0);
        for _ in 0..4 {
            bytes = bytes.u64(1_000_000_000).u32(0).align(8);
        }
        bytes.u64(0)
    }
}

impl Default for Forge {
    fn default() -> Self {
        Self::new()
    }
}

impl Forge {
    /// A component that says something reasonable of itself and traps in every other call.
    pub fn new() -> Self {
        let memory = vec![0; ANSWERS_START];
        let mut forge = Self { bodies: Vec::new(), memory, world: "filesystem-backend", pages: 4, adapted: None };
        let kind = forge.put(&Bytes(b"forged".to_vec()));
        forge.answer("info", &Bytes::default().u64(1).u16(0xff).u64(0).u64(0).u32(kind).u32(6));
        forge
    }

    /// A component of the world `layer-backend` that passes every call on to the filesystem below it, and takes no settings.
    pub fn layer() -> Self {
        let mut forge = Self { world: "layer-backend", pages: 80, ..Self::new() };
        let (resolve, world) = forge.resolve();
        for (interface, name, function) in functions(&resolve, &resolve.worlds[world].exports) {
            let interface = interface.rsplit(['/', '@']).nth(1).unwrap_or_default();
            let params = resolve.wasm_signature(AbiVariant::GuestExport, function).params.len();
            let params: String = (0..params).map(|index| format!("(local.get {index}) ")).collect();
            // What the last call's answer lay in is free again once this one's arguments are used.
            let again = format!("(global.set $heap (i32.const {HEAP_START}))");
            if forge.imported(&resolve, world, interface, name) {
                let signature = resolve.wasm_signature(AbiVariant::GuestImport, function);
                let (to, from) = match signature.retptr {
                    true => (format!("(i32.const {IMPORTED})"), format!("(i32.const {IMPORTED})")),
                    false => (String::new(), String::new()),
                };
                forge.body(name, &format!("{again} (call ${interface}.{name} {params}{to}) {from}"));
            }
        }
        // No settings, and content with that.
        forge.answer("settings", &Bytes::default().u32(0).u32(0));
        forge.answer("configure", &Bytes::default().u32(0).u32(0).u32(0).u32(0));
        forge
    }

    fn imported(&self, resolve: &Resolve, world: wit_parser::WorldId, interface: &str, name: &str) -> bool {
        functions(resolve, &resolve.worlds[world].imports)
            .any(|(of, known, _)| known == name && of.contains(&format!("/{interface}@")))
    }

    /// Where an import's answer is put by a layer's bodies, for those who write one.
    pub const fn imported_at() -> usize {
        IMPORTED
    }

    /// Lets bodies call the functions that `imports` names, in WebAssembly's text format, and an adapter provides: those of WASI 0.1.
    pub fn adapt(&mut self, imports: &str, name: &str, adapter: &[u8]) -> &mut Self {
        self.adapted = Some((imports.to_owned(), name.to_owned(), adapter.to_owned()));
        self
    }

    /// Gives `function` a body in WebAssembly's text format; its parameters are `(local.get 0)` and so on.
    pub fn body(&mut self, function: &str, body: &str) -> &mut Self {
        self.bodies.retain(|(name, _)| name != function);
        self.bodies.push((function.to_owned(), body.to_owned()));
        self
    }

    /// Lets `function` answer these bytes (a result that does not fit into one number lies in memory).
    pub fn answer(&mut self, function: &str, answer: &Bytes) -> &mut Self {
        let at = self.put(answer);
        self.body(function, &format!("(i32.const {at})"))
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
        let (resolve, world) = self.resolve();
        let module = self.module(&resolve, world);
        let mut module = wat::parse_str(&module).unwrap_or_else(|error| panic!("{error}\n{module}"));
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8).expect("metadata can be embedded");
        let mut encoder =
            ComponentEncoder::default().validate(true).module(&module).expect("the module is the world's");
        if let Some((_, name, adapter)) = &self.adapted {
            encoder = encoder.adapter(name, adapter).expect("the adapter is one");
        }
        encoder.encode().expect("the module is the world's")
    }

    fn resolve(&self) -> (Resolve, wit_parser::WorldId) {
        let wit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit/backend");
        let mut resolve = Resolve::default();
        let (package, _) = resolve.push_dir(&wit).expect("wit/backend is valid");
        let world = resolve.select_world(&[package], Some(self.world)).expect("the world exists");
        (resolve, world)
    }

    fn module(&self, resolve: &Resolve, world: wit_parser::WorldId) -> String {
        let types = |types: &[WasmType]| types.iter().map(|ty| text(*ty)).collect::<Vec<_>>().join(" ");
        let mut exports = String::new();
        for (interface, name, function) in functions(resolve, &resolve.worlds[world].exports) {
            let signature = resolve.wasm_signature(AbiVariant::GuestExport, function);
            let body = self.bodies.iter().find(|(body, _)| body == name).map_or("unreachable", |(_, body)| body);
            exports += &format!(
                "(func (export \"{interface}#{name}\") (param {}) (result {}) {body})\n",
                types(&signature.params),
                types(&signature.results)
            );
        }
        // Only what a body calls is imported.
        let mut imports = self.adapted.as_ref().map_or_else(String::new, |(imports, ..)| imports.clone());
        for (interface, name, function) in functions(resolve, &resolve.worlds[world].imports) {
            let short = interface.rsplit(['/', '@']).nth(1).unwrap_or_default();
            let (call, give) = (format!("${short}.{name} "), "$give ");
            let calls = |of: &str| self.bodies.iter().any(|(_, body)| body.contains(of));
            let id = match calls(&call) {
                true => call.trim_end(),
                false if short == "transfer" && calls(give) => give.trim_end(),
                false => continue,
            };
            let signature = resolve.wasm_signature(AbiVariant::GuestImport, function);
            imports += &format!(
                "(import \"{interface}\" \"{name}\" (func {id} (param {}) (result {})))\n",
                types(&signature.params),
                types(&signature.results)
            );
        }
        let data: String = self.memory.iter().map(|byte| format!("\\{byte:02x}")).collect();
        format!(
            "(module {imports} (memory (export \"memory\") {})
             (global $heap (mut i32) (i32.const {HEAP_START}))
             (func (export \"cabi_realloc\") (param i32 i32 i32 i32) (result i32)
               (global.set $heap (i32.and (i32.add (global.get $heap) (i32.const 15)) (i32.const -16)))
               (global.get $heap)
               (global.set $heap (i32.add (global.get $heap) (local.get 3))))
             {exports}
             (data (i32.const 0) \"{data}\"))",
            self.pages
        )
    }
}

/// The functions of the interfaces that a world exports or imports, with the interface's full name.
fn functions<'a>(
    resolve: &'a Resolve,
    items: impl IntoIterator<Item = (&'a WorldKey, &'a WorldItem)> + 'a,
) -> impl Iterator<Item = (String, &'a str, &'a Function)> + 'a {
    let interfaces = items.into_iter().filter_map(|(key, item)| match (key, item) {
        (WorldKey::Interface(_), WorldItem::Interface { id, .. }) => Some(*id),
        _ => None,
    });
    interfaces.flat_map(|id| {
        let interface = resolve.id_of(id).expect("the interface has a name");
        resolve.interfaces[id]
            .functions
            .iter()
            .map(move |(name, function)| (interface.clone(), name.as_str(), function))
    })
}

fn text(ty: WasmType) -> &'static str {
    match ty {
        WasmType::I32 | WasmType::Pointer | WasmType::Length => "i32",
        WasmType::I64 | WasmType::PointerOrI64 => "i64",
        WasmType::F32 => "f32",
        WasmType::F64 => "f64",
    }
}
