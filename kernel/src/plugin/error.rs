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
    #[error("{name} {}", imports_text(imports, *layers))]
    Imports {
        /// The plugin's name, as configured.
        name: String,
        /// The imports that nobody serves, by their full names.
        imports: Vec<String>,
        /// Whether it is made to stand on layers, and was given none.
        layers: bool,
    },
    /// It was granted what it cannot use.
    #[error("{name} has no use for {grant}: it does not import {interface}")]
    NoUse {
        /// The plugin's name, as configured.
        name: String,
        /// What was granted.
        grant: &'static str,
        /// The import that it would need.
        interface: &'static str,
    },
    /// What it was granted could not be given.
    #[error("{name} cannot be given {}: {errno}", grant_text(preopen.as_deref()))]
    Grant {
        /// The plugin's name, as configured.
        name: String,
        /// The preopened directory that is the reason, if one is.
        preopen: Option<String>,
        /// Why.
        errno: Errno,
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

fn imports_text(imports: &[String], layers: bool) -> String {
    let mut parts = Vec::new();
    if !imports.is_empty() {
        parts.push(format!("imports what nobody serves: {}", imports.join(", ")));
    }
    if layers {
        parts.push(
            "imports eyot:backend/filesystem, the filesystems below it, and was granted none: give it layers \
             (layer=SPEC after --mount, or [[mounts.\"...\".layers]])"
                .to_owned(),
        );
    }
    parts.join("; ")
}

fn grant_text(preopen: Option<&str>) -> String {
    preopen.map_or_else(|| "a VM of its own".to_owned(), |path| format!("the directory {path} (preopens)"))
}
