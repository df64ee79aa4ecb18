//! The imports `filesystem`, `layers` and `durable`. Names and bytes are looked at where they lie in the component's memory; nothing is copied before its length
//! was checked.

use std::borrow::Cow;

use eyot_backend::Errno;
use wasmtime::component::{Linker, WasmList, WasmStr};
use wasmtime::{Result, StoreContextMut};

use super::super::bindings::{kind_in, types};
use super::super::load::HostState;
use super::{Layers, convert};

const FILESYSTEM: &str = "eyot:backend/filesystem@0.1.0";
const LAYERS: &str = "eyot:backend/layers@0.1.0";
const DURABLE: &str = "eyot:backend/durable@0.1.0";

type Store<'a> = StoreContextMut<'a, HostState>;
type Answer<T> = Result<(std::result::Result<T, types::Errno>,)>;

/// Makes a call of a component's to its layers, and answers the component. What layers waited for does not count as the component's time.
fn answer<T>(
    mut store: Store<'_>,
    call: impl FnOnce(&Store<'_>, &Layers) -> Result<std::result::Result<T, Errno>>,
) -> Answer<T> {
    let result = call(&store, &store.data().layers)?;
    if let Some(waited) = store.data().layers.take_waited() {
        store.data_mut().call.waited(waited);
    }
    Ok((result.map_err(convert::errno_out),))
}

/// A string of the component's. One that is no UTF-8 is a breach of the ABI. (A long one costs nothing but the look at it.)
fn text<'a>(store: &'a Store<'_>, text: &WasmStr) -> Result<Cow<'a, str>> {
    text.to_str(store)
}

/// Links what reaches the layers.
pub(in crate::plugin) fn link_layers(linker: &mut Linker<HostState>) -> Result<()> {
    let mut layers = linker.instance(LAYERS)?;
    layers.func_wrap("granted", |store: Store<'_>, (): ()| {
        let granted: Vec<types::FilesystemInfo> = store.data().layers.granted().map(convert::info_out).collect();
        Ok((granted,))
    })?;
    link_names(linker)?;
    link_attributes(linker)?;
    link_files(linker)?;
    link_xattrs(linker)
}

/// Links `durable`, which without layers has nothing to do.
pub(in crate::plugin) fn link_durable(linker: &mut Linker<HostState>) -> Result<()> {
    linker.instance(DURABLE)?.func_wrap("sync", |store: Store<'_>, (): ()| answer(store, |_, layers| Ok(layers.sync())))
}

fn link_names(linker: &mut Linker<HostState>) -> Result<()> {
    let mut at = linker.instance(FILESYSTEM)?;
    at.func_wrap("lookup", |store: Store<'_>, (dir, name): (u64, WasmStr)| {
        answer(store, |store, layers| Ok(layers.lookup(dir, &text(store, &name)?).map(convert::attributes_out)))
    })?;
    at.func_wrap("forget", |store: Store<'_>, (node, count): (u64, u64)| {
        answer(store, |_, layers| {
            layers.forget(node, count);
            Ok(Ok(()))
        })
        .map(|_| ())
    })?;
    at.func_wrap("create", |store: Store<'_>, (dir, name, owner): (u64, WasmStr, types::Ownership)| {
        answer(store, |store, layers| {
            let made = layers.create(dir, &text(store, &name)?, convert::owner_in(owner));
            Ok(made.map(convert::attributes_out))
        })
    })?;
    at.func_wrap("mkdir", |store: Store<'_>, (dir, name, owner): (u64, WasmStr, types::Ownership)| {
        answer(store, |store, layers| {
            let made = layers.mkdir(dir, &text(store, &name)?, convert::owner_in(owner));
            Ok(made.map(convert::attributes_out))
        })
    })?;
    at.func_wrap(
        "symlink",
        |store: Store<'_>, (dir, name, target, owner): (u64, WasmStr, WasmStr, types::Ownership)| {
            answer(store, |store, layers| {
                let (name, target) = (text(store, &name)?, text(store, &target)?);
                Ok(layers.symlink(dir, &name, &target, convert::owner_in(owner)).map(convert::attributes_out))
            })
        },
    )?;
    at.func_wrap(
        "make-node",
        |store: Store<'_>, (dir, name, kind, device, owner): (u64, WasmStr, types::NodeKind, u64, types::Ownership)| {
            answer(store, |store, layers| {
                let (name, kind, owner) = (text(store, &name)?, kind_in(kind), convert::owner_in(owner));
                Ok(layers.make_node(dir, &name, kind, device, owner).map(convert::attributes_out))
            })
        },
    )?;
    at.func_wrap("link", |store: Store<'_>, (target, dir, name): (u64, u64, WasmStr)| {
        answer(store, |store, layers| Ok(layers.link(target, dir, &text(store, &name)?).map(convert::attributes_out)))
    })?;
    at.func_wrap("unlink", |store: Store<'_>, (dir, name): (u64, WasmStr)| {
        answer(store, |store, layers| Ok(layers.unlink(dir, &text(store, &name)?)))
    })?;
    at.func_wrap("rmdir", |store: Store<'_>, (dir, name): (u64, WasmStr)| {
        answer(store, |store, layers| Ok(layers.rmdir(dir, &text(store, &name)?)))
    })?;
    at.func_wrap(
        "rename",
        |store: Store<'_>, (from_dir, from, to_dir, to, how): (u64, WasmStr, u64, WasmStr, types::RenameFlags)| {
            answer(store, |store, layers| {
                let (from, to) = (text(store, &from)?, text(store, &to)?);
                Ok(layers.rename((from_dir, &from), (to_dir, &to), convert::rename_in(how)))
            })
        },
    )?;
    at.func_wrap("readdir", |store: Store<'_>, (dir, cookie, entries_max): (u64, u64, u32)| {
        answer(store, |_, layers| Ok(layers.readdir(dir, cookie, entries_max).map(convert::entries_out)))
    })
}

fn link_attributes(linker: &mut Linker<HostState>) -> Result<()> {
    let mut at = linker.instance(FILESYSTEM)?;
    at.func_wrap("info", |store: Store<'_>, (): ()| {
        let info = store.data().layers.info().map(convert::info_out);
        info.map(|info| (info,)).ok_or_else(|| wasmtime::Error::msg("there are no layers"))
    })?;
    at.func_wrap("getattr", |store: Store<'_>, (node,): (u64,)| {
        answer(store, |_, layers| Ok(layers.getattr(node).map(convert::attributes_out)))
    })?;
    at.func_wrap("setattr", |store: Store<'_>, (node, changes): (u64, types::AttributeChanges)| {
        let changes = convert::changes_in(changes);
        answer(store, |_, layers| Ok(layers.setattr(node, &changes).map(convert::attributes_out)))
    })?;
    at.func_wrap("readlink", |store: Store<'_>, (node,): (u64,)| answer(store, |_, layers| Ok(layers.readlink(node))))?;
    at.func_wrap("statfs", |store: Store<'_>, (): ()| {
        answer(store, |_, layers| Ok(layers.statfs().map(convert::status_out)))
    })
}

fn link_files(linker: &mut Linker<HostState>) -> Result<()> {
    let mut at = linker.instance(FILESYSTEM)?;
    at.func_wrap("open", |store: Store<'_>, (node, how): (u64, types::OpenFlags)| {
        answer(store, |_, layers| Ok(layers.open(node, convert::open_in(how))))
    })?;
    at.func_wrap("release", |store: Store<'_>, (node, handle): (u64, u64)| {
        answer(store, |_, layers| {
            layers.release(node, handle);
            Ok(Ok(()))
        })
        .map(|_| ())
    })?;
    at.func_wrap("read", |store: Store<'_>, (node, handle, offset, length): (u64, u64, u64, u32)| {
        answer(store, |_, layers| Ok(layers.read(node, handle, offset, length)))
    })?;
    at.func_wrap("write", |store: Store<'_>, (node, handle, offset, bytes): (u64, u64, u64, WasmList<u8>)| {
        answer(store, |store, layers| Ok(layers.write(node, handle, offset, bytes.as_le_slice(store))))
    })?;
    at.func_wrap("fsync", |store: Store<'_>, (node, handle, data_only): (u64, u64, bool)| {
        answer(store, |_, layers| Ok(layers.fsync(node, handle, data_only)))
    })
}

fn link_xattrs(linker: &mut Linker<HostState>) -> Result<()> {
    let mut at = linker.instance(FILESYSTEM)?;
    at.func_wrap("getxattr", |store: Store<'_>, (node, name): (u64, WasmStr)| {
        answer(store, |store, layers| Ok(layers.getxattr(node, &text(store, &name)?)))
    })?;
    at.func_wrap("setxattr", |store: Store<'_>, (node, name, value): (u64, WasmStr, WasmList<u8>)| {
        answer(store, |store, layers| Ok(layers.setxattr(node, &text(store, &name)?, value.as_le_slice(store))))
    })?;
    at.func_wrap("listxattr", |store: Store<'_>, (node,): (u64,)| {
        answer(store, |_, layers| Ok(layers.listxattr(node)))
    })?;
    at.func_wrap("removexattr", |store: Store<'_>, (node, name): (u64, WasmStr)| {
        answer(store, |store, layers| Ok(layers.removexattr(node, &text(store, &name)?)))
    })
}
