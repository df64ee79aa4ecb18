//! A directory as a filesystem backend, from which nothing escapes: compiled in, a directory of the host ([`Hostdir`]); as a component, a directory that was granted
//! to it.
//!
//! What both share is how inodes are kept: `nodes` knows each by its parent and its name, and by a bounded number of handles. The rest differs by more than its calls, and so lies apart:
//! on the host everything is reached through `O_PATH` descriptors and their links in `/proc`, belongs to one user, and must be kept from set-user-id bits and
//! devices. In the component (`preopen`) there are no such links, and owners, devices and permissions are those of whatever filesystem was granted.

#[cfg(not(target_family = "wasm"))]
mod directory;
#[cfg(not(target_family = "wasm"))]
mod filesystem;
#[cfg(not(target_family = "wasm"))]
mod host;
mod identity;
mod name;
mod nodes;
#[cfg(target_family = "wasm")]
mod preopen;
#[cfg(all(test, not(target_family = "wasm")))]
mod tests;

#[cfg(not(target_family = "wasm"))]
pub use directory::{Error, Hostdir};
#[cfg(target_family = "wasm")]
use preopen::host;
#[cfg(target_family = "wasm")]
pub use preopen::{Preopened, PreopenedMount};
