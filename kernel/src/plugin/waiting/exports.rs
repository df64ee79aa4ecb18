//! The functions that a component of an asynchronous world exports, typed.

use wasmtime::component::{
    Accessor, ComponentNamedList, Func, Instance, Lift, Lower, StreamReader, TypedFunc, TypedFuncCallConcurrent,
};
use wasmtime::{AsContextMut, Store};

use super::changes::Change;
use crate::plugin::bindings::types::{
    AttributeChanges, Attributes, DirectoryEntry, Errno, FilesystemInfo, FilesystemStatus, NodeKind, OpenFlags,
    Ownership, RenameFlags,
};
use crate::plugin::exports::{Refusal, Setting, SettingDescription};
use crate::plugin::load::HostState;

/// A call that was begun.
pub(super) struct Begun<P: 'static, R: 'static> {
    func: TypedFunc<P, R>,
    call: TypedFuncCallConcurrent<HostState, P, R>,
}

impl<P: ComponentNamedList + Lower + 'static, R: ComponentNamedList + Lift + 'static> Begun<P, R> {
    /// Waits for the answer, inside the event loop.
    pub(super) async fn finish(self, accessor: &Accessor<HostState>) -> wasmtime::Result<R> {
        self.func.finish_call_concurrent(accessor, self.call).await
    }
}

/// Makes a struct of an exported interface: `load` finds the functions and checks their types, and each has a method that begins a call.
macro_rules! interface {
    (
        $(#[$doc:meta])*
        $struct:ident = $interface:literal;
        $($method:ident = $name:literal: ($($arg:ident: $ty:ty),*) -> $answer:ty;)*
    ) => {
        $(#[$doc])*
        pub(super) struct $struct {
            $($method: Func,)*
        }

        impl $struct {
            /// The interface, if the component exports it.
            pub(super) fn load(store: &mut Store<HostState>, instance: &Instance) -> Result<Option<Self>, String> {
                let Some(interface) = instance.get_export_index(&mut *store, None, $interface) else {
                    return Ok(None);
                };
                Ok(Some(Self {
                    $($method: {
                        let index = instance.get_export_index(&mut *store, Some(&interface), $name);
                        let func = index.and_then(|index| instance.get_func(&mut *store, index));
                        let func = func.ok_or_else(|| format!("its {} has no function {}", $interface, $name))?;
                        func.typed::<($($ty,)*), $answer>(&*store)
                            .map_err(|error| format!("{} of its {} has another type: {error:#}", $name, $interface))?;
                        func
                    },)*
                }))
            }

            $(
                #[allow(clippy::too_many_arguments, reason = "the WIT decides")]
                pub(super) fn $method(
                    &self, store: impl AsContextMut<Data = HostState>, $($arg: $ty),*
                ) -> wasmtime::Result<Begun<($($ty,)*), $answer>> {
                    // SAFETY: `load`, the only maker of this struct, checked that the function has this very type.
                    let func = unsafe { TypedFunc::<($($ty,)*), $answer>::new_unchecked(self.$method) };
                    Ok(Begun { func, call: func.start_call_concurrent(store, ($($arg,)*))? })
                }
            )*
        }
    };
}

interface! {
    /// `eyot:backend/mount`.
    Mount = "eyot:backend/mount@0.1.0";
    settings = "settings": () -> (Vec<SettingDescription>,);
    configure = "configure": (settings: Vec<Setting>) -> (Result<(), Refusal>,);
}

interface! {
    /// `eyot:backend/changes`.
    Changes = "eyot:backend/changes@0.1.0";
    watch = "watch": () -> (StreamReader<Change>,);
}

interface! {
    /// `eyot:backend/filesystem-async`.
    Guest = "eyot:backend/filesystem-async@0.1.0";
    info = "info": () -> (Result<FilesystemInfo, Refusal>,);
    lookup = "lookup": (dir: u64, name: String) -> (Result<Attributes, Errno>,);
    forget = "forget": (node: u64, count: u64) -> ();
    getattr = "getattr": (node: u64) -> (Result<Attributes, Errno>,);
    setattr = "setattr": (node: u64, changes: AttributeChanges) -> (Result<Attributes, Errno>,);
    create = "create": (dir: u64, name: String, owner: Ownership) -> (Result<Attributes, Errno>,);
    mkdir = "mkdir": (dir: u64, name: String, owner: Ownership) -> (Result<Attributes, Errno>,);
    symlink = "symlink": (dir: u64, name: String, target: String, owner: Ownership) -> (Result<Attributes, Errno>,);
    make_node = "make-node": (dir: u64, name: String, kind: NodeKind, device: u64, owner: Ownership) -> (Result<Attributes, Errno>,);
    link = "link": (target: u64, dir: u64, name: String) -> (Result<Attributes, Errno>,);
    unlink = "unlink": (dir: u64, name: String) -> (Result<(), Errno>,);
    rmdir = "rmdir": (dir: u64, name: String) -> (Result<(), Errno>,);
    rename = "rename": (from_dir: u64, from_name: String, to_dir: u64, to_name: String, how: RenameFlags) -> (Result<(), Errno>,);
    readlink = "readlink": (node: u64) -> (Result<String, Errno>,);
    open = "open": (node: u64, how: OpenFlags) -> (Result<u64, Errno>,);
    release = "release": (node: u64, handle: u64) -> ();
    read = "read": (node: u64, handle: u64, offset: u64, length: u32) -> (Result<Vec<u8>, Errno>,);
    write = "write": (node: u64, handle: u64, offset: u64, bytes: Vec<u8>) -> (Result<u32, Errno>,);
    fsync = "fsync": (node: u64, handle: u64, data_only: bool) -> (Result<(), Errno>,);
    sync = "sync": () -> (Result<(), Errno>,);
    readdir = "readdir": (dir: u64, cookie: u64, entries_max: u32) -> (Result<Vec<DirectoryEntry>, Errno>,);
    statfs = "statfs": () -> (Result<FilesystemStatus, Errno>,);
    getxattr = "getxattr": (node: u64, name: String) -> (Result<Vec<u8>, Errno>,);
    setxattr = "setxattr": (node: u64, name: String, value: Vec<u8>) -> (Result<(), Errno>,);
    listxattr = "listxattr": (node: u64) -> (Result<Vec<String>, Errno>,);
    removexattr = "removexattr": (node: u64, name: String) -> (Result<(), Errno>,);
}
