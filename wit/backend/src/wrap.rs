//! Parts of the trait that are alike in many filesystems: one around another, and calls that are refused.

/// Implements [`Filesystem`](crate::Filesystem) for a type that wraps another one: every call goes through one method of the type,
/// `fn METHOD<T>(&self, call: impl FnOnce(&dyn Filesystem) -> T) -> T`, which makes it. With `may_wait: EXPR` at the end it answers that itself,
/// and with `watch: METHOD` it takes the watcher itself.
///
/// ```
/// use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
/// use eyot_backend::{Filesystem, wrap_filesystem};
///
/// struct Counted<F> { inner: F, calls: AtomicU64 }
///
/// impl<F: Filesystem> Counted<F> {
///     fn around<T>(&self, call: impl FnOnce(&dyn Filesystem) -> T) -> T {
///         self.calls.fetch_add(1, Relaxed);
///         call(&self.inner)
///     }
/// }
///
/// wrap_filesystem!(impl<F: Filesystem> for Counted<F>, around);
/// ```
#[macro_export]
macro_rules! wrap_filesystem {
    (impl $(<$param:ident: $bound:path>)? for $type:ty, $around:ident $(, may_wait: $waits:expr)? $(, watch: $watch:ident)?) => {
        impl $(<$param: $bound>)? $crate::Filesystem for $type {
            fn info(&self) -> $crate::FilesystemInfo {
                self.$around(|fs| fs.info())
            }

            fn may_wait(&self) -> bool {
                $crate::wrap_filesystem!(@waits self $around $($waits)?)
            }

            fn worth_caching(&self) -> bool {
                self.$around(|fs| fs.worth_caching()) || self.may_wait()
            }

            fn watch(&self, watcher: ::std::sync::Weak<dyn $crate::Watcher>) {
                $crate::wrap_filesystem!(@watch self watcher $around $($watch)?)
            }

            fn content(&self, node: $crate::Node) -> Option<$crate::Content> {
                self.$around(|fs| fs.content(node))
            }

            fn forget(&self, node: $crate::Node, count: u64) {
                self.$around(|fs| fs.forget(node, count))
            }

            fn release(&self, node: $crate::Node, handle: $crate::Handle) {
                self.$around(|fs| fs.release(node, handle))
            }

            $crate::wrap_filesystem!(@calls $around
                lookup(dir: $crate::Node, name: &str) -> $crate::Attributes;
                getattr(node: $crate::Node) -> $crate::Attributes;
                setattr(node: $crate::Node, changes: &$crate::AttributeChanges) -> $crate::Attributes;
                create(dir: $crate::Node, name: &str, owner: $crate::Ownership) -> $crate::Attributes;
                mkdir(dir: $crate::Node, name: &str, owner: $crate::Ownership) -> $crate::Attributes;
                symlink(dir: $crate::Node, name: &str, target: &str, owner: $crate::Ownership) -> $crate::Attributes;
                make_node(
                    dir: $crate::Node, name: &str, kind: $crate::NodeKind, device: u64, owner: $crate::Ownership
                ) -> $crate::Attributes;
                link(target: $crate::Node, dir: $crate::Node, name: &str) -> $crate::Attributes;
                unlink(dir: $crate::Node, name: &str) -> ();
                rmdir(dir: $crate::Node, name: &str) -> ();
                rename(
                    from_dir: $crate::Node, from_name: &str, to_dir: $crate::Node, to_name: &str,
                    how: $crate::RenameFlags
                ) -> ();
                readlink(node: $crate::Node) -> String;
                open(node: $crate::Node, how: $crate::OpenFlags) -> $crate::Handle;
                read(node: $crate::Node, handle: $crate::Handle, offset: u64, buffer: &mut [u8]) -> usize;
                read_with(
                    node: $crate::Node, handle: $crate::Handle, offset: u64, length: usize, give: &mut dyn FnMut(&[u8])
                ) -> ();
                write(node: $crate::Node, handle: $crate::Handle, offset: u64, bytes: &[u8]) -> usize;
                write_vec(node: $crate::Node, handle: $crate::Handle, offset: u64, bytes: Vec<u8>) -> usize;
                fsync(node: $crate::Node, handle: $crate::Handle, data_only: bool) -> ();
                readdir(dir: $crate::Node, cookie: u64, entries_max: usize) -> Vec<$crate::DirectoryEntry>;
                sync() -> ();
                statfs() -> $crate::FilesystemStatus;
                getxattr(node: $crate::Node, name: &str) -> Vec<u8>;
                setxattr(node: $crate::Node, name: &str, value: &[u8]) -> ();
                listxattr(node: $crate::Node) -> Vec<String>;
                removexattr(node: $crate::Node, name: &str) -> ();
            );
        }
    };
    (@waits $self:ident $around:ident) => {
        $self.$around(|fs| fs.may_wait())
    };
    (@waits $self:ident $around:ident $waits:expr) => {
        $waits
    };
    (@watch $self:ident $watcher:ident $around:ident) => {
        $self.$around(|fs| fs.watch($watcher))
    };
    (@watch $self:ident $watcher:ident $around:ident $watch:ident) => {
        $self.$watch($watcher)
    };
    (@calls $around:ident $($name:ident($($arg:ident: $ty:ty),*) -> $answer:ty;)*) => {
        $(
            fn $name(&self, $($arg: $ty),*) -> ::std::result::Result<$answer, $crate::Errno> {
                self.$around(|fs| fs.$name($($arg),*))
            }
        )*
    };
}

/// The calls of [`Filesystem`](crate::Filesystem) that a filesystem refuses, each with one error: what a read-only one, or one whose tree is given, answers
/// to every change. Written inside the `impl`, and it names what it refuses, so that a call that is missing is still an error of the compiler.
///
/// ```
/// # use eyot_backend::*;
/// struct Empty;
///
/// impl Filesystem for Empty {
///     refuse_calls!(Errno::Rofs: setattr create mkdir symlink make_node link unlink rmdir rename write);
///     refuse_calls!(Errno::Noent: lookup getattr readlink open read fsync readdir statfs);
///
///     fn info(&self) -> FilesystemInfo {
///         # let (kind, capabilities) = ("empty".into(), Capabilities::empty());
///         FilesystemInfo { root: 1, capabilities, entry_lifetime_ns: 0, absence_lifetime_ns: 0, kind }
///     }
///
///     fn forget(&self, _: Node, _: u64) {}
///
///     fn release(&self, _: Node, _: Handle) {}
/// }
///
/// assert_eq!(Empty.mkdir(1, "d", Ownership { mode: 0o755, uid: 0, gid: 0 }), Err(Errno::Rofs));
/// ```
#[macro_export]
macro_rules! refuse_calls {
    (@fn $errno:path, $name:ident($($ty:ty),*) -> $answer:ty) => {
        fn $name(&self, $(_: $ty),*) -> ::std::result::Result<$answer, $crate::Errno> {
            Err($errno)
        }
    };
    (@one lookup $errno:path) => {
        $crate::refuse_calls!(@fn $errno, lookup($crate::Node, &str) -> $crate::Attributes);
    };
    (@one getattr $errno:path) => {
        $crate::refuse_calls!(@fn $errno, getattr($crate::Node) -> $crate::Attributes);
    };
    (@one setattr $errno:path) => {
        $crate::refuse_calls!(@fn $errno, setattr($crate::Node, &$crate::AttributeChanges) -> $crate::Attributes);
    };
    (@one create $errno:path) => {
        $crate::refuse_calls!(@fn $errno, create($crate::Node, &str, $crate::Ownership) -> $crate::Attributes);
    };
    (@one mkdir $errno:path) => {
        $crate::refuse_calls!(@fn $errno, mkdir($crate::Node, &str, $crate::Ownership) -> $crate::Attributes);
    };
    (@one symlink $errno:path) => {
        $crate::refuse_calls!(@fn $errno, symlink($crate::Node, &str, &str, $crate::Ownership) -> $crate::Attributes);
    };
    (@one make_node $errno:path) => {
        $crate::refuse_calls!(@fn $errno, make_node($crate::Node, &str, $crate::NodeKind, u64, $crate::Ownership) -> $crate::Attributes);
    };
    (@one link $errno:path) => {
        $crate::refuse_calls!(@fn $errno, link($crate::Node, $crate::Node, &str) -> $crate::Attributes);
    };
    (@one unlink $errno:path) => {
        $crate::refuse_calls!(@fn $errno, unlink($crate::Node, &str) -> ());
    };
    (@one rmdir $errno:path) => {
        $crate::refuse_calls!(@fn $errno, rmdir($crate::Node, &str) -> ());
    };
    (@one rename $errno:path) => {
        $crate::refuse_calls!(@fn $errno, rename($crate::Node, &str, $crate::Node, &str, $crate::RenameFlags) -> ());
    };
    (@one readlink $errno:path) => {
        $crate::refuse_calls!(@fn $errno, readlink($crate::Node) -> String);
    };
    (@one open $errno:path) => {
        $crate::refuse_calls!(@fn $errno, open($crate::Node, $crate::OpenFlags) -> $crate::Handle);
    };
    (@one read $errno:path) => {
        $crate::refuse_calls!(@fn $errno, read($crate::Node, $crate::Handle, u64, &mut [u8]) -> usize);
    };
    (@one write $errno:path) => {
        $crate::refuse_calls!(@fn $errno, write($crate::Node, $crate::Handle, u64, &[u8]) -> usize);
    };
    (@one fsync $errno:path) => {
        $crate::refuse_calls!(@fn $errno, fsync($crate::Node, $crate::Handle, bool) -> ());
    };
    (@one readdir $errno:path) => {
        $crate::refuse_calls!(@fn $errno, readdir($crate::Node, u64, usize) -> Vec<$crate::DirectoryEntry>);
    };
    (@one statfs $errno:path) => {
        $crate::refuse_calls!(@fn $errno, statfs() -> $crate::FilesystemStatus);
    };
    (@one setxattr $errno:path) => {
        $crate::refuse_calls!(@fn $errno, setxattr($crate::Node, &str, &[u8]) -> ());
    };
    (@one removexattr $errno:path) => {
        $crate::refuse_calls!(@fn $errno, removexattr($crate::Node, &str) -> ());
    };
    ($errno:path: $($name:ident)+) => {
        $($crate::refuse_calls!(@one $name $errno);)+
    };
}
