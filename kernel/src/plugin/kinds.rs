//! Components that answer at once, and components that wait.

use eyot_backend::{Filesystem, wrap_filesystem};

use super::filesystem::Immediate;
use super::waiting::WaitingPlugin;

/// A filesystem that a component answers.
///
/// There is one instance, which holds the filesystem's state. Calls to a component of a synchronous world wait for each other, for at most the configured time
/// each. Of the calls to a component of an asynchronous world many are in flight at once.
pub struct PluginFilesystem(Kind);

#[allow(
    clippy::large_enum_variant,
    reason = "one for each mount; the larger is the one whose calls are counted in nanoseconds"
)]
enum Kind {
    Immediate(Immediate),
    Waiting(WaitingPlugin),
}

impl PluginFilesystem {
    pub(super) fn immediate(plugin: Immediate) -> Self {
        Self(Kind::Immediate(plugin))
    }

    pub(super) fn waiting(plugin: WaitingPlugin) -> Self {
        Self(Kind::Waiting(plugin))
    }

    /// Whether the component was retired: it trapped, timed out or broke the ABI, and every call answers `EIO`.
    pub fn is_retired(&self) -> bool {
        match &self.0 {
            Kind::Immediate(plugin) => plugin.is_retired(),
            Kind::Waiting(plugin) => plugin.is_retired(),
        }
    }

    fn around<T>(&self, call: impl FnOnce(&dyn Filesystem) -> T) -> T {
        match &self.0 {
            Kind::Immediate(plugin) => call(plugin),
            Kind::Waiting(plugin) => call(plugin),
        }
    }
}

wrap_filesystem!(impl for PluginFilesystem, around);
