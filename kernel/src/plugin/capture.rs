//! Bytes that one part of a component gives and another one wants: the import `capture`.

use wasmtime::component::{Linker, WasmList};
use wasmtime::{Error, Result, StoreContextMut};

use eyot_backend::CHUNK_BYTES_MAX;

use super::load::HostState;

/// The interface's name.
const INTERFACE: &str = "eyot:backend/capture@0.1.0";
/// How deep captures lie in each other: as deep as layers.
const DEPTH_MAX: usize = 16;

/// The captures that are open, the innermost last.
#[derive(Default)]
pub(super) struct Captures(Vec<Capture>);

struct Capture {
    bytes: Vec<u8>,
    max: usize,
}

impl Captures {
    pub(super) fn is_open(&self) -> bool {
        !self.0.is_empty()
    }

    fn begin(&mut self, length: usize) -> Result<()> {
        if length > CHUNK_BYTES_MAX {
            return Err(Error::msg("a capture of more than 1 MiB"));
        }
        if self.0.len() >= DEPTH_MAX {
            return Err(Error::msg("too many captures in each other"));
        }
        self.0.push(Capture { bytes: Vec::new(), max: length });
        Ok(())
    }

    /// Whatever is open is given up. Answers whether anything was: a call must end what it begins.
    pub(super) fn abandon(&mut self) -> bool {
        let open = self.is_open();
        self.0.clear();
        open
    }
}

/// Keeps what is given for the innermost capture.
pub(super) fn keep(mut store: StoreContextMut<'_, HostState>, bytes: &WasmList<u8>) -> Result<()> {
    // Taken out for the time of the copy: its source is the store's, too.
    let Some(mut capture) = store.data_mut().captures.0.pop() else { return Err(Error::msg("nothing is captured")) };
    let given = bytes.as_le_slice(&store);
    if given.len() > capture.max - capture.bytes.len() {
        return Err(Error::msg("more bytes were given than are captured"));
    }
    if capture.bytes.try_reserve(given.len()).is_err() {
        return Err(Error::msg("no memory for what is captured"));
    }
    capture.bytes.extend_from_slice(given);
    store.data_mut().captures.0.push(capture);
    Ok(())
}

/// Links the import.
pub(super) fn add_to_linker(linker: &mut Linker<HostState>) -> Result<()> {
    let mut capture = linker.instance(INTERFACE)?;
    capture.func_wrap("begin", |mut store: StoreContextMut<'_, HostState>, (length,): (u32,)| {
        store.data_mut().captures.begin(length as usize)
    })?;
    capture.func_wrap("end", |mut store: StoreContextMut<'_, HostState>, (): ()| {
        let ended = store.data_mut().captures.0.pop();
        ended.map(|capture| (capture.bytes,)).ok_or_else(|| Error::msg("a capture ends that never began"))
    })
}
