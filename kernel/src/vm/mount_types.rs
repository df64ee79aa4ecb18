//! What can be mounted, by name: the registry that turns a [`MountConfig`] into a filesystem.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::config::MountConfig;
use crate::backend::{Filesystem, MountType, Refusal, Settings, Timestamp};

/// How deep layers may lie in each other.
const LAYERS_DEPTH_MAX: usize = 16;

/// What a maker of filesystems is told.
pub struct MountRequest<'a> {
    /// The source, such as a directory of the host or a file.
    pub source: Option<&'a str>,
    /// The settings as they were written, secrets resolved. The maker checks them ([`Settings::check`]).
    pub settings: Vec<(String, String)>,
    /// The filesystems that this one is made of, the topmost first.
    pub layers: Vec<Arc<dyn Filesystem>>,
    /// Whether it will be mounted read-only.
    pub read_only: bool,
}

impl MountRequest<'_> {
    /// The source. Errors: there is none; `what` says what it should be.
    pub fn source(&self, what: &str) -> Result<&str, Refusal> {
        self.source.ok_or_else(|| Refusal::wrong(format!("source: missing; name {what}")))
    }

    /// Refuses a source and layers, where there is no use for them.
    pub fn stands_alone(&self) -> Result<(), Refusal> {
        match (self.source, self.layers.is_empty()) {
            (Some(source), _) => Err(Refusal::wrong(format!("source: {source} is of no use to this type of mount"))),
            (None, false) => Err(Refusal::wrong("layers: this type of mount has none")),
            (None, true) => Ok(()),
        }
    }
}

/// Makes filesystems of one type.
pub type MountMaker = dyn Fn(MountRequest<'_>) -> Result<Arc<dyn Filesystem>, Refusal> + Send + Sync;

/// Why a mount could not be made.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// There is no such type.
    #[error("unknown mount type `{kind}`; there are {}", known.join(", "))]
    UnknownType {
        /// The type.
        kind: String,
        /// Those that there are.
        known: Vec<String>,
    },
    /// It was refused.
    #[error("{kind}: {refusal}")]
    Refused {
        /// The type.
        kind: String,
        /// Why.
        refusal: Refusal,
    },
}

/// The types of mounts that an embedder offers.
///
/// ```
/// use eyot_kernel::vm::{MountConfig, MountTypes};
/// use eyot_memfs::MemfsMount;
/// let types = MountTypes::new().with_type::<MemfsMount>("memfs");
/// let config = MountConfig::new("memfs").setting("bytes_max", "1M");
/// assert!(types.make(&config).is_ok());
/// let error = types.make(&MountConfig::new("memfs").setting("bytes", "1M")).err().unwrap().to_string();
/// assert!(error.contains("bytes: there is no such setting"), "{error}");
/// ```
#[derive(Clone, Default)]
pub struct MountTypes {
    makers: BTreeMap<String, Arc<MountMaker>>,
}

impl MountTypes {
    /// No types.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a type.
    pub fn with(
        mut self,
        kind: &str,
        maker: impl Fn(MountRequest<'_>) -> Result<Arc<dyn Filesystem>, Refusal> + Send + Sync + 'static,
    ) -> Self {
        self.makers.insert(kind.to_owned(), Arc::new(maker));
        self
    }

    /// Adds a type that needs nothing but its settings.
    pub fn with_type<M: MountType>(self, kind: &str) -> Self {
        self.with(kind, |request| {
            request.stands_alone()?;
            let settings = Settings::check(M::SETTINGS, request.settings)?;
            Ok(Arc::new(M::mount(&settings, Timestamp::now)?))
        })
    }

    /// The names of the types.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.makers.keys().map(String::as_str)
    }

    /// Makes a filesystem, and first those that it is made of.
    pub fn make(&self, config: &MountConfig) -> Result<Arc<dyn Filesystem>, MountError> {
        self.make_at(config, 0)
    }

    fn make_at(&self, config: &MountConfig, depth: usize) -> Result<Arc<dyn Filesystem>, MountError> {
        let refused = |refusal| MountError::Refused { kind: config.kind.clone(), refusal };
        let Some(maker) = self.makers.get(&config.kind) else {
            let known = self.names().map(str::to_owned).collect();
            return Err(MountError::UnknownType { kind: config.kind.clone(), known });
        };
        if depth > LAYERS_DEPTH_MAX {
            return Err(refused(Refusal::wrong(format!("layers: more than {LAYERS_DEPTH_MAX} deep"))));
        }
        let layers = config.layers.iter().map(|layer| self.make_at(layer, depth + 1)).collect::<Result<_, _>>()?;
        let resolved = config.settings.iter().map(|(key, value)| {
            let value = value.resolve().map_err(|why| Refusal::wrong(format!("{key}: {why}")))?;
            Ok((key.clone(), value))
        });
        let settings = resolved.collect::<Result<_, Refusal>>().map_err(refused)?;
        let source = config.source.as_deref();
        maker(MountRequest { source, settings, layers, read_only: config.read_only }).map_err(refused)
    }
}
