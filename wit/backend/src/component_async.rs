//! A component of the world `async-mount-backend`, made of any [`AsyncMountType`] by [`export_async_component!`](crate::export_async_component).

use std::cell::RefCell;
use std::marker::PhantomData;
use std::pin::Pin;
use std::rc::Rc;
use std::thread::LocalKey;

use crate as b;
use crate::{AsyncFilesystem, AsyncMountType, ChangeSink, Settings};
use bindings::exports::eyot::backend::changes::{self as c, Guest as ChangesGuest};
use bindings::exports::eyot::backend::filesystem_async::Guest as FilesystemGuest;
use bindings::exports::eyot::backend::mount::{self as m, Guest as MountGuest};
use bindings::eyot::backend::types as w;
use wit_bindgen::rt::async_support::StreamWriter;

// One source for the types of both worlds, which are not the same to the compiler.
#[path = "component/convert.rs"]
#[allow(dead_code, reason = "what only a layer needs")]
mod convert;

use convert::{attributes, attributes_out, changes_in, describe, errno, info_out, kind_in, ownership, timestamp_in};

#[doc(hidden)]
#[allow(missing_docs, reason = "generated; the WIT has the documentation")]
pub mod bindings {
    wit_bindgen::generate!({
        path: ".",
        world: "async-mount-backend",
        pub_export_macro: true,
        export_macro_name: "export_async_mount_backend",
        default_bindings_module: "eyot_backend::component_async::bindings",
    });
}

/// Makes this crate's component: the mount type that is named becomes the exports `mount`, `filesystem-async` and `changes`. Once in a crate of type `cdylib`.
///
/// ```ignore
/// eyot_backend::export_async_component!(MyMount);
/// ```
#[macro_export]
macro_rules! export_async_component {
    ($mount:ty) => {
        const _: () = {
            struct Place;

            ::std::thread_local! {
                static STATE: ::std::cell::RefCell<$crate::component_async::State<$mount>> =
                    const { ::std::cell::RefCell::new($crate::component_async::State::New) };
            }

            impl $crate::component_async::Place for Place {
                type Mount = $mount;

                fn state() -> &'static ::std::thread::LocalKey<::std::cell::RefCell<$crate::component_async::State<$mount>>>
                {
                    &STATE
                }
            }

            type Glue = $crate::component_async::Glue<Place>;
            $crate::component_async::bindings::export_async_mount_backend!(Glue with_types_in $crate::component_async::bindings);
        };
    };
}

/// How far the one mount of a component has come.
#[doc(hidden)]
pub enum State<M: AsyncMountType> {
    New,
    Configured(Settings),
    Mounted(Rc<M::Filesystem>),
}

/// Where it is kept: a thread-local of the crate that exports it. (A component has one thread.)
#[doc(hidden)]
pub trait Place: 'static {
    type Mount: AsyncMountType;

    fn state() -> &'static LocalKey<RefCell<State<Self::Mount>>>;
}

/// The exports, over the filesystem at a place.
#[doc(hidden)]
pub struct Glue<P>(PhantomData<P>);

impl<P: Place> Glue<P> {
    /// The filesystem. Before `info` there is none, and nothing to go on with: the trap says so.
    fn fs() -> Rc<<P::Mount as AsyncMountType>::Filesystem> {
        P::state().with_borrow(|state| match state {
            State::Mounted(filesystem) => filesystem.clone(),
            State::New | State::Configured(_) => panic!("used before it was asked what it is"),
        })
    }

    async fn mount() -> Result<Rc<<P::Mount as AsyncMountType>::Filesystem>, b::Refusal> {
        let configured = P::state().with_borrow_mut(|state| match std::mem::replace(state, State::New) {
            State::Configured(settings) => Ok(settings),
            State::New => Settings::check(P::Mount::SETTINGS, []),
            State::Mounted(filesystem) => {
                *state = State::Mounted(filesystem);
                Err(busy())
            }
        });
        let filesystem = Rc::new(P::Mount::mount(configured?, now).await?);
        P::state().set(State::Mounted(filesystem.clone()));
        Ok(filesystem)
    }
}

fn busy() -> b::Refusal {
    b::Refusal { errno: b::Errno::Busy, message: "the filesystem is in use already".into() }
}

fn now() -> b::Timestamp {
    timestamp_in(bindings::eyot::backend::clock::now())
}

impl<P: Place> MountGuest for Glue<P> {
    fn settings() -> Vec<m::SettingDescription> {
        P::Mount::SETTINGS.iter().map(describe).collect()
    }

    fn configure(settings: Vec<m::Setting>) -> Result<(), m::Refusal> {
        let given = settings.into_iter().map(|setting| (setting.key, setting.value));
        let settings = Settings::check(P::Mount::SETTINGS, given).map_err(refusal_out)?;
        P::state().with_borrow_mut(|state| match state {
            State::Mounted(_) => Err(refusal_out(busy())),
            State::New | State::Configured(_) => {
                *state = State::Configured(settings);
                Ok(())
            }
        })
    }
}

/// The writing end of the stream of changes.
struct Sink(StreamWriter<c::Change>);

impl ChangeSink for Sink {
    fn tell(&mut self, change: b::Change) -> Pin<Box<dyn Future<Output = bool> + '_>> {
        let change = match change {
            b::Change::Node(node) => c::Change::Node(node),
            b::Change::Entry { dir, name } => c::Change::Entry(c::ChangedEntry { dir, name }),
            b::Change::Everything => c::Change::Everything,
        };
        Box::pin(async move { self.0.write_one(change).await.is_none() })
    }
}

impl<P: Place> ChangesGuest for Glue<P> {
    async fn watch() -> wit_bindgen::rt::async_support::StreamReader<c::Change> {
        let (writer, reader) = bindings::wit_stream::new::<c::Change>();
        let filesystem = Self::fs();
        wit_bindgen::spawn_local(async move { filesystem.watch(&mut Sink(writer)).await });
        reader
    }
}

impl<P: Place> FilesystemGuest for Glue<P> {
    async fn info() -> Result<w::FilesystemInfo, m::Refusal> {
        let filesystem = Self::mount().await.map_err(refusal_out)?;
        Ok(info_out(filesystem.info()))
    }

    async fn lookup(dir: u64, name: String) -> Result<w::Attributes, w::Errno> {
        attributes(Self::fs().lookup(dir, &name).await)
    }

    async fn forget(node: u64, count: u64) {
        Self::fs().forget(node, count).await;
    }

    async fn getattr(node: u64) -> Result<w::Attributes, w::Errno> {
        attributes(Self::fs().getattr(node).await)
    }

    async fn setattr(node: u64, changes: w::AttributeChanges) -> Result<w::Attributes, w::Errno> {
        attributes(Self::fs().setattr(node, &changes_in(changes)).await)
    }

    async fn create(dir: u64, name: String, owner: w::Ownership) -> Result<w::Attributes, w::Errno> {
        attributes(Self::fs().create(dir, &name, ownership(owner)).await)
    }

    async fn mkdir(dir: u64, name: String, owner: w::Ownership) -> Result<w::Attributes, w::Errno> {
        attributes(Self::fs().mkdir(dir, &name, ownership(owner)).await)
    }

    async fn symlink(dir: u64, name: String, target: String, owner: w::Ownership) -> Result<w::Attributes, w::Errno> {
        attributes(Self::fs().symlink(dir, &name, &target, ownership(owner)).await)
    }

    async fn make_node(
        dir: u64,
        name: String,
        kind: w::NodeKind,
        device: u64,
        owner: w::Ownership,
    ) -> Result<w::Attributes, w::Errno> {
        attributes(Self::fs().make_node(dir, &name, kind_in(kind), device, ownership(owner)).await)
    }

    async fn link(target: u64, dir: u64, name: String) -> Result<w::Attributes, w::Errno> {
        attributes(Self::fs().link(target, dir, &name).await)
    }

    async fn unlink(dir: u64, name: String) -> Result<(), w::Errno> {
        Self::fs().unlink(dir, &name).await.map_err(errno)
    }

    async fn rmdir(dir: u64, name: String) -> Result<(), w::Errno> {
        Self::fs().rmdir(dir, &name).await.map_err(errno)
    }

    async fn rename(
        from_dir: u64,
        from_name: String,
        to_dir: u64,
        to_name: String,
        how: w::RenameFlags,
    ) -> Result<(), w::Errno> {
        Self::fs().rename(from_dir, &from_name, to_dir, &to_name, rename_in(how)).await.map_err(errno)
    }

    async fn readlink(node: u64) -> Result<String, w::Errno> {
        Self::fs().readlink(node).await.map_err(errno)
    }

    async fn open(node: u64, how: w::OpenFlags) -> Result<u64, w::Errno> {
        Self::fs().open(node, open_in(how)).await.map_err(errno)
    }

    async fn release(node: u64, open_file: u64) {
        Self::fs().release(node, open_file).await;
    }

    async fn read(node: u64, open_file: u64, offset: u64, length: u32) -> Result<Vec<u8>, w::Errno> {
        Self::fs().read(node, open_file, offset, length as usize).await.map_err(errno)
    }

    async fn write(node: u64, open_file: u64, offset: u64, bytes: Vec<u8>) -> Result<u32, w::Errno> {
        Self::fs().write(node, open_file, offset, bytes).await.map(|count| count as u32).map_err(errno)
    }

    async fn fsync(node: u64, open_file: u64, data_only: bool) -> Result<(), w::Errno> {
        Self::fs().fsync(node, open_file, data_only).await.map_err(errno)
    }

    async fn sync() -> Result<(), w::Errno> {
        Self::fs().sync().await.map_err(errno)
    }

    async fn readdir(dir: u64, cookie: u64, max_entries: u32) -> Result<Vec<w::DirectoryEntry>, w::Errno> {
        Self::fs().readdir(dir, cookie, max_entries as usize).await.map(entries_out).map_err(errno)
    }

    async fn statfs() -> Result<w::FilesystemStatus, w::Errno> {
        Self::fs().statfs().await.map(status_out).map_err(errno)
    }

    async fn getxattr(node: u64, name: String) -> Result<Vec<u8>, w::Errno> {
        Self::fs().getxattr(node, &name).await.map_err(errno)
    }

    async fn setxattr(node: u64, name: String, value: Vec<u8>) -> Result<(), w::Errno> {
        Self::fs().setxattr(node, &name, &value).await.map_err(errno)
    }

    async fn listxattr(node: u64) -> Result<Vec<String>, w::Errno> {
        Self::fs().listxattr(node).await.map_err(errno)
    }

    async fn removexattr(node: u64, name: String) -> Result<(), w::Errno> {
        Self::fs().removexattr(node, &name).await.map_err(errno)
    }
}

fn refusal_out(refusal: b::Refusal) -> m::Refusal {
    m::Refusal { code: errno(refusal.errno), message: refusal.message }
}

fn open_in(how: w::OpenFlags) -> b::OpenFlags {
    b::OpenFlags::from_bits_truncate(u32::from(how.bits()))
}

fn rename_in(how: w::RenameFlags) -> b::RenameFlags {
    b::RenameFlags::from_bits_truncate(u32::from(how.bits()))
}

fn entries_out(entries: Vec<b::DirectoryEntry>) -> Vec<w::DirectoryEntry> {
    let entry_out = |entry: b::DirectoryEntry| w::DirectoryEntry {
        name: entry.name,
        cookie: entry.cookie,
        attributes: attributes_out(&entry.attributes),
    };
    entries.into_iter().map(entry_out).collect()
}

fn status_out(status: b::FilesystemStatus) -> w::FilesystemStatus {
    w::FilesystemStatus {
        block_size: status.block_size,
        blocks: status.blocks,
        blocks_free: status.blocks_free,
        files: status.files,
        files_free: status.files_free,
        name_max: status.name_max,
    }
}
