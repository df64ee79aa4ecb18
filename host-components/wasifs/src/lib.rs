//! Whatever exports `wasi:filesystem` (0.2), as a backend.
//!
//! This crate is made for one thing, a component: it imports `wasi:filesystem` and exports `eyot:backend/filesystem`. So there are two uses of it:
//! - **An existing component that exports `wasi:filesystem`** is put together with it and mounts like any backend: `eyot backend compose wasifs.wasm theirs.wasm -o mountable.wasm`.
//! - **A granted preopen** is served as it is, by the calls of WASI alone.
//!
//! WASI has no permission bits, owners, special files or extended attributes. Modes and owners are those of the settings `mode`, `directory_mode`, `uid` and `gid`, and cannot be changed
//! (`EPERM`); special files are `ENOTSUP`; how full the filesystem is, is not known (`ENOTSUP`). A file that lost its last name while nobody had it open is `ESTALE`. `renameat2`'s
//! exchange is `ENOTSUP`, and its "do not replace" is two steps.

#[cfg_attr(not(target_family = "wasm"), allow(dead_code, reason = "used by the component only; tested natively"))]
mod listing;
#[cfg_attr(not(target_family = "wasm"), allow(dead_code, reason = "used by the component only; tested natively"))]
mod nodes;

#[cfg(all(target_family = "wasm", feature = "component"))]
mod bindings;
#[cfg(all(target_family = "wasm", feature = "component"))]
mod convert;
#[cfg(all(target_family = "wasm", feature = "component"))]
mod filesystem;
#[cfg(all(target_family = "wasm", feature = "component"))]
mod mount;
