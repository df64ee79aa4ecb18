//! The functions that a component exports, typed.

use wasmtime::Store;
use wasmtime::component::{ComponentType, Func, Instance, Lift, Lower, TypedFunc};

use super::bindings::types::{
    AttributeChanges, Attributes, DirectoryEntry, Errno, FilesystemInfo, FilesystemStatus, NodeKind, OpenFlags,
    Ownership, RenameFlags,
};
use super::drive::Drive;
use super::load::HostState;

/// One setting of a mount.
#[derive(ComponentType, Lower)]
#[component(record)]
pub(super) struct Setting {
    pub(super) key: String,
    pub(super) value: String,
}

/// What a setting's value must look like.
#[allow(dead_code, reason = "made by lifting only")]
#[derive(ComponentType, Lift, Clone, Copy)]
#[component(enum)]
#[repr(u8)]
pub(super) enum SettingKind {
    #[component(name = "text")]
    Text,
    #[component(name = "number")]
    Number,
    #[component(name = "boolean")]
    Boolean,
    #[component(name = "size")]
    Size,
    #[component(name = "duration")]
    Duration,
    #[component(name = "secret")]
    Secret,
}

/// A setting that a component knows.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct SettingDescription {
    pub(super) key: String,
    pub(super) kind: SettingKind,
    pub(super) required: bool,
    #[component(name = "default-value")]
    pub(super) default_value: Option<String>,
    pub(super) help: String,
}

/// Why a configuration was not taken.
#[derive(ComponentType, Lift)]
#[component(record)]
pub(super) struct Refusal {
    pub(super) code: Errno,
    pub(super) message: String,
}

/// Makes a struct of an exported interface: `load` finds the functions and checks their types, and each has a method.
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
            /// Whether the component exports the interface at all.
            #[allow(dead_code, reason = "not every interface is optional")]
            pub(super) fn is_exported(store: &mut Store<HostState>, instance: &Instance) -> bool {
                instance.get_export_index(&mut *store, None, $interface).is_some()
            }

            pub(super) fn load(store: &mut Store<HostState>, instance: &Instance) -> Result<Self, String> {
                let interface = instance
                    .get_export_index(&mut *store, None, $interface)
                    .ok_or_else(|| format!("it does not export {}", $interface))?;
                Ok(Self {
                    $($method: {
                        let index = instance.get_export_index(&mut *store, Some(&interface), $name);
                        let func = index.and_then(|index| instance.get_func(&mut *store, index));
                        let func = func.ok_or_else(|| format!("its {} has no function {}", $interface, $name))?;
                        func.typed::<($($ty,)*), $answer>(&*store)
                            .map_err(|error| format!("{} of its {} has another type: {error:#}", $name, $interface))?;
                        func
                    },)*
                })
            }

            $(
                #[allow(clippy::too_many_arguments, reason = "the WIT decides")]
                pub(super) fn $method(&self, store: &mut Store<HostState>, $($arg: $ty),*) -> wasmtime::Result<$answer> {
                    // SAFETY: `load`, the only maker of this struct, checked that the function has this very type.
                    let func = unsafe { TypedFunc::<($($ty,)*), $answer>::new_unchecked(self.$method) };
                    match Drive::of(store) {
                        Drive::Plain => func.call(store, ($($arg,)*)),
                        drive => drive.run(func.call_async(store, ($($arg,)*))),
                    }
                }
            )*
        }
    };
}

interface! {
    /// `eyot:backend/mount`.
    Mount = "eyot:backend/mount@0.1.0";
    settings = "settings": () -> (Vec<SettingDescription>,);
    configure = "configure": (settings: &[Setting]) -> (Result<(), Refusal>,);
}

interface! {
    /// `eyot:backend/durable`.
    Durable = "eyot:backend/durable@0.1.0";
    sync = "sync": () -> (Result<(), Errno>,);
}

interface! {
    /// `eyot:backend/filesystem`.
    Guest = "eyot:backend/filesystem@0.1.0";
    info = "info": () -> (FilesystemInfo,);
    lookup = "lookup": (dir: u64, name: &str) -> (Result<Attributes, Errno>,);
    forget = "forget": (node: u64, count: u64) -> ();
    getattr = "getattr": (node: u64) -> (Result<Attributes, Errno>,);
    setattr = "setattr": (node: u64, changes: AttributeChanges) -> (Result<Attributes, Errno>,);
    create = "create": (dir: u64, name: &str, owner: Ownership) -> (Result<Attributes, Errno>,);
    mkdir = "mkdir": (dir: u64, name: &str, owner: Ownership) -> (Result<Attributes, Errno>,);
    symlink = "symlink": (dir: u64, name: &str, target: &str, owner: Ownership) -> (Result<Attributes, Errno>,);
    make_node = "make-node": (dir: u64, name: &str, kind: NodeKind, device: u64, owner: Ownership) -> (Result<Attributes, Errno>,);
    link = "link": (target: u64, dir: u64, name: &str) -> (Result<Attributes, Errno>,);
    unlink = "unlink": (dir: u64, name: &str) -> (Result<(), Errno>,);
    rmdir = "rmdir": (dir: u64, name: &str) -> (Result<(), Errno>,);
    rename = "rename": (from_dir: u64, from_name: &str, to_dir: u64, to_name: &str, how: RenameFlags) -> (Result<(), Errno>,);
    readlink = "readlink": (node: u64) -> (Result<String, Errno>,);
    open = "open": (node: u64, how: OpenFlags) -> (Result<u64, Errno>,);
    release = "release": (node: u64, handle: u64) -> ();
    read = "read": (node: u64, handle: u64, offset: u64, length: u32) -> (Result<Vec<u8>, Errno>,);
    write = "write": (node: u64, handle: u64, offset: u64, bytes: &[u8]) -> (Result<u32, Errno>,);
    fsync = "fsync": (node: u64, handle: u64, data_only: bool) -> (Result<(), Errno>,);
    readdir = "readdir": (dir: u64, cookie: u64, entries_max: u32) -> (Result<Vec<DirectoryEntry>, Errno>,);
    statfs = "statfs": () -> (Result<FilesystemStatus, Errno>,);
    getxattr = "getxattr": (node: u64, name: &str) -> (Result<Vec<u8>, Errno>,);
    setxattr = "setxattr": (node: u64, name: &str, value: &[u8]) -> (Result<(), Errno>,);
    listxattr = "listxattr": (node: u64) -> (Result<Vec<String>, Errno>,);
    removexattr = "removexattr": (node: u64, name: &str) -> (Result<(), Errno>,);
}
