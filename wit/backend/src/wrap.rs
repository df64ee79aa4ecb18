//! A filesystem around another.

/// Implements [`Filesystem`](crate::Filesystem) for a type that wraps another one: every call goes through one method of the type,
/// `fn METHOD<T>(&self, call: impl FnOnce(&dyn Filesystem) -> T) -> T`, which makes it. With `may_wait: EXPR` at the end it answers that itself.
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
    (impl $(<$param:ident: $bound:path>)? for $type:ty, $around:ident $(, may_wait: $waits:expr)?) => {
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
                self.$around(|fs| fs.watch(watcher))
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
    (@calls $around:ident $($name:ident($($arg:ident: $ty:ty),*) -> $answer:ty;)*) => {
        $(
            fn $name(&self, $($arg: $ty),*) -> ::std::result::Result<$answer, $crate::Errno> {
                self.$around(|fs| fs.$name($($arg),*))
            }
        )*
    };
}
