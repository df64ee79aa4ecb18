//! Node's library and its tables, as `toolchain/node/extract.js` wrote them (the file's format is described there).
//!
//! The file is mapped and never unmapped: V8 uses the sources in place, as external strings, in every isolate of the
//! process.

use std::collections::HashMap;
use std::path::Path;

use serde::Deserialize;

/// Why an artefact cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ArtefactError {
    /// The file could not be opened or mapped.
    #[error("cannot read the Node library artefact {path}: {source}; run `cargo xtask setup`")]
    Read {
        /// The file's path, as given.
        path: String,
        /// What the operating system answered.
        source: std::io::Error,
    },
    /// The file is not an artefact, is of another version, or is damaged.
    #[error("not a usable Node library artefact: {0}; run `cargo xtask setup` to make it anew")]
    Format(String),
}

fn bad(what: impl Into<String>) -> ArtefactError {
    ArtefactError::Format(what.into())
}

/// One built-in module's source text, in the encoding that V8 can use without a copy.
#[derive(Clone, Copy)]
pub(crate) enum Source {
    /// ASCII: a static resource, so that a snapshot can refer to it.
    Ascii(&'static v8::OneByteConst),
    Latin1(&'static [u8]),
    Utf16(&'static [u16]),
}

/// A tree that describes a JavaScript value of Node's own; see `shape()` in the extraction script.
#[derive(Debug, Deserialize)]
#[serde(tag = "t", rename_all = "lowercase")]
pub(crate) enum Shape {
    /// A JSON primitive.
    V { v: serde_json::Value },
    /// A number JSON cannot spell.
    Num { v: String },
    /// `undefined`.
    U,
    /// A BigInt in decimal.
    Big { v: String },
    /// A symbol, by description.
    Sym { v: String },
    /// A plain native function.
    F { n: String },
    /// A native class.
    C { n: String, methods: Vec<String>, accessors: Vec<String> },
    /// A typed array: kind and element count.
    Ta { c: String, l: usize },
    /// An array.
    Arr { v: Vec<Shape> },
    /// A `Map`.
    Map { v: Vec<(Shape, Shape)> },
    /// An object; `np` means that it has no prototype.
    O { np: bool, v: Vec<(String, Shape)> },
}

/// What the `process` object says about the Node that the library came from.
#[derive(Debug, Deserialize)]
pub(crate) struct ProcessTable {
    pub(crate) version: String,
    pub(crate) versions: HashMap<String, String>,
    pub(crate) arch: String,
    pub(crate) platform: String,
    pub(crate) release: HashMap<String, String>,
}

#[derive(Deserialize)]
struct Index {
    node: String,
    sources: Vec<(String, u8, usize, usize)>,
    sections: HashMap<String, (usize, usize)>,
}

/// Node's library, mapped for the life of the process.
pub struct Artefact {
    /// Node's version, without the `v`.
    pub(crate) node: String,
    ids: Vec<String>,
    sources: Vec<Source>,
    by_id: HashMap<String, usize>,
    sections: HashMap<String, &'static [u8]>,
    licence: &'static [u8],
    index: &'static [u8],
    all: &'static [u8],
}

impl Artefact {
    /// Maps the artefact at `path`. It stays mapped until the process ends, so open it once.
    ///
    /// # Errors
    /// When the file cannot be read or is not an artefact of this version.
    pub fn open(path: &Path) -> Result<&'static Self, ArtefactError> {
        let read = |source| ArtefactError::Read { path: path.display().to_string(), source };
        let file = std::fs::File::open(path).map_err(read)?;
        // SAFETY: the cache's files are written under another name and renamed, never changed in place, so the mapped bytes
        // stay as they are.
        let map = unsafe { memmap2::Mmap::map(&file) }.map_err(read)?;
        Self::from_static(Box::leak(Box::new(map)))
    }

    /// Uses bytes that are already in memory, for example embedded in the program. They must start at an even address.
    ///
    /// # Errors
    /// When the bytes are not an artefact of this version.
    pub fn from_static(all: &'static [u8]) -> Result<&'static Self, ArtefactError> {
        let word = |at: usize| -> Option<usize> {
            let b = all.get(at..at.checked_add(4)?)?;
            usize::try_from(u32::from_le_bytes(b.try_into().ok()?)).ok()
        };
        if all.get(..8) != Some(b"EYOTNODE") {
            return Err(bad("it does not start with EYOTNODE"));
        }
        if word(8) != Some(1) {
            return Err(bad("its format version is not 1"));
        }
        let slice = |at: usize, len: usize| -> Result<&'static [u8], ArtefactError> {
            at.checked_add(len).and_then(|end| all.get(at..end)).ok_or_else(|| bad("it is cut short"))
        };
        let index_bytes = slice(16, word(12).ok_or_else(|| bad("it is cut short"))?)?;
        let index: Index =
            serde_json::from_slice(index_bytes).map_err(|e| bad(format!("its index is damaged: {e}")))?;
        let mut sections = HashMap::with_capacity(index.sections.len());
        for (name, (at, len)) in index.sections {
            sections.insert(name, slice(at, len)?);
        }
        let licence = sections.get("licence").copied().ok_or_else(|| bad("it has no section licence"))?;

        let mut ids = Vec::with_capacity(index.sources.len());
        let mut sources = Vec::with_capacity(index.sources.len());
        // Leaked as one block: V8 keeps pointers to these resources for the life of the process.
        let mut ascii = Vec::with_capacity(index.sources.len());
        let mut ascii_slots = Vec::new();
        for (id, encoding, at, len) in index.sources {
            let bytes = slice(at, len)?;
            sources.push(match encoding {
                0 if bytes.is_ascii() => {
                    ascii_slots.push(sources.len());
                    // SAFETY: checked to be ASCII just above, and static.
                    ascii.push(unsafe { v8::String::create_external_onebyte_const_unchecked(bytes) });
                    Source::Latin1(bytes)
                }
                1 => Source::Latin1(bytes),
                2 => {
                    // SAFETY: any bit pattern is a valid u16; `align_to` keeps to the slice and the parts are checked below.
                    let (head, units, tail) = unsafe { bytes.align_to::<u16>() };
                    if !head.is_empty() || !tail.is_empty() {
                        return Err(bad(format!("the source {id} is not aligned")));
                    }
                    Source::Utf16(units)
                }
                _ => return Err(bad(format!("the source {id} has an unknown encoding"))),
            });
            ids.push(id);
        }
        let ascii: &'static [v8::OneByteConst] = ascii.leak();
        for (slot, resource) in ascii_slots.into_iter().zip(ascii) {
            if let Some(s) = sources.get_mut(slot) {
                *s = Source::Ascii(resource);
            }
        }
        let by_id = ids.iter().enumerate().map(|(i, id)| (id.clone(), i)).collect();
        Ok(Box::leak(Box::new(Self {
            node: index.node,
            ids,
            sources,
            by_id,
            sections,
            licence,
            index: index_bytes,
            all,
        })))
    }

    /// Node's licence text and those of what it bundles.
    #[must_use]
    pub fn licence(&self) -> std::borrow::Cow<'static, str> {
        String::from_utf8_lossy(self.licence)
    }

    /// Node's version, without the `v`: `24.12.0`.
    #[must_use]
    pub fn node_version(&self) -> &str {
        &self.node
    }

    /// The whole artefact, for content hashes.
    #[must_use]
    pub fn bytes(&self) -> &'static [u8] {
        self.all
    }

    /// The index as it is in the file.
    pub(crate) fn index(&self) -> &'static [u8] {
        self.index
    }

    /// The ids of all built-in modules, in a fixed order.
    pub(crate) fn ids(&self) -> &[String] {
        &self.ids
    }

    pub(crate) fn index_of(&self, id: &str) -> Option<usize> {
        self.by_id.get(id).copied()
    }

    pub(crate) fn source(&self, index: usize) -> Option<Source> {
        self.sources.get(index).copied()
    }

    /// The resources that a snapshot may refer to, in a fixed order.
    pub(crate) fn static_resources(&self) -> impl Iterator<Item = &'static v8::OneByteConst> {
        self.sources.iter().filter_map(|s| match s {
            Source::Ascii(r) => Some(*r),
            _ => None,
        })
    }

    fn section<T: serde::de::DeserializeOwned>(&self, name: &str) -> Result<Option<T>, ArtefactError> {
        let Some(bytes) = self.sections.get(name) else { return Ok(None) };
        serde_json::from_slice(bytes).map(Some).map_err(|e| bad(format!("its section {name} is damaged: {e}")))
    }

    /// The shape of a binding; `None` when Node has no binding of that name.
    pub(crate) fn binding(&self, name: &str) -> Result<Option<Shape>, ArtefactError> {
        self.section(&format!("binding/{name}"))
    }

    /// What a table function without arguments answered.
    pub(crate) fn result(&self, name: &str) -> Result<Option<Shape>, ArtefactError> {
        self.section(&format!("result/{name}"))
    }

    pub(crate) fn process(&self) -> Result<ProcessTable, ArtefactError> {
        self.section("process")?.ok_or_else(|| bad("it has no section process"))
    }
}

// SAFETY: everything inside is static and never written after construction; the raw pointers in `OneByteConst` point at
// static bytes.
unsafe impl Send for Artefact {}
// SAFETY: as above.
unsafe impl Sync for Artefact {}
