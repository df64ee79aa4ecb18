//! Why a component was not taken.

use eyot_backend::Errno;

/// Why a component could not be made a filesystem.
#[derive(Debug, thiserror::Error)]
pub enum PluginError {
    /// It is no valid component for this engine.
    #[error("{name} cannot be loaded as a component: {reason}")]
    Invalid {
        /// The plugin's name, as configured.
        name: String,
        /// What the engine says.
        reason: String,
    },
    /// It wants what the embedder did not grant.
    #[error("{name} imports what nobody granted: {}", imports.join(", "))]
    Imports {
        /// The plugin's name, as configured.
        name: String,
        /// The imports, by their full names.
        imports: Vec<String>,
    },
    /// It is a component, but no filesystem backend.
    #[error("{name} is not a filesystem backend: {reason}")]
    Exports {
        /// The plugin's name, as configured.
        name: String,
        /// What is missing or of another type.
        reason: String,
    },
    /// Settings were given, but it takes none.
    #[error("{name} takes no settings: it does not export eyot:backend/mount")]
    NoSettings {
        /// The plugin's name, as configured.
        name: String,
    },
    /// It refused its settings.
    #[error("{name} refused its settings: {message}")]
    Refused {
        /// The plugin's name, as configured.
        name: String,
        /// The error number that a guest would see.
        errno: Errno,
        /// The component's own sentence, shortened and without control characters.
        message: String,
    },
    /// It trapped, timed out or could not get its memory when it was started.
    #[error("{name} failed when it was started: {reason}")]
    Start {
        /// The plugin's name, as configured.
        name: String,
        /// The trap.
        reason: String,
    },
    /// What it says of itself cannot be true.
    #[error("{name} says of itself what cannot be true: {what}")]
    Info {
        /// The plugin's name, as configured.
        name: String,
        /// What is wrong.
        what: &'static str,
    },
}
