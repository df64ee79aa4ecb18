//! Bytes that a component gives during `read`: copied once, from its memory to the reader's buffer - or to whoever captures them, in a component that is put
//! together of several.

use std::ptr::NonNull;

use wasmtime::component::{Linker, WasmList};
use wasmtime::{AsContextMut, Error, Result, StoreContextMut};

use super::capture;
use super::load::HostState;

/// The interface's name.
pub(super) const INTERFACE: &str = "eyot:backend/transfer@0.1.0";

/// Where the bytes of the `read` that is being answered go.
#[derive(Default)]
pub(super) struct Reply {
    target: Option<Target>,
    given: usize,
}

/// The reader's buffer.
#[derive(Clone, Copy)]
struct Target {
    start: NonNull<u8>,
    length: usize,
}

// SAFETY: a target is only there while `during` runs, which holds the buffer exclusively until the call is over, on whatever thread that is made.
unsafe impl Send for Target {}

/// Calls a component with `buffer` as the target of what it gives; answers how many bytes it gave beside what the call answers.
pub(super) fn during<S: AsContextMut<Data = HostState>, T>(
    mut store: S,
    buffer: &mut [u8],
    call: impl FnOnce(&mut S) -> T,
) -> (T, usize) {
    let start = NonNull::from(&mut *buffer).cast();
    store.as_context_mut().data_mut().reply = Reply { target: Some(Target { start, length: buffer.len() }), given: 0 };
    // The call may end by a panic of the host's own: the target must not outlive the buffer's borrow even then.
    let mut armed = Disarm(store);
    let answer = call(&mut armed.0);
    let given = armed.0.as_context_mut().data_mut().reply.given;
    (answer, given)
}

/// Takes the target away when it is dropped.
struct Disarm<S: AsContextMut<Data = HostState>>(S);

impl<S: AsContextMut<Data = HostState>> Drop for Disarm<S> {
    fn drop(&mut self) {
        self.0.as_context_mut().data_mut().reply = Reply::default();
    }
}

/// Links the import.
pub(super) fn add_to_linker(linker: &mut Linker<HostState>) -> Result<()> {
    linker
        .instance(INTERFACE)?
        .func_wrap("give", |store: StoreContextMut<'_, HostState>, (bytes,): (WasmList<u8>,)| give(store, &bytes))
}

fn give(mut store: StoreContextMut<'_, HostState>, bytes: &WasmList<u8>) -> Result<()> {
    if store.data().captures.is_open() {
        return capture::keep(store, bytes);
    }
    let Reply { target, given } = &store.data().reply;
    let (target, given) = (*target, *given);
    let Some(target) = target else { return Err(Error::msg("bytes were given outside of a read")) };
    let bytes = bytes.as_le_slice(&store);
    let count = bytes.len();
    if count > target.length - given {
        return Err(Error::msg("more bytes were given than were asked for"));
    }
    // SAFETY: `given + count` is at most the length of the buffer that `during` borrows exclusively for as long as there is a target, and the source is
    // the component's memory, which the host's buffer does not overlap.
    unsafe { target.start.add(given).copy_from_nonoverlapping(NonNull::from(bytes).cast(), count) };
    store.data_mut().reply.given = given + count;
    Ok(())
}
