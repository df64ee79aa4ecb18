//! What can be mounted, by name: the registry that turns a [`MountConfig`] into a filesystem.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::config::MountConfig;
use super::read_only;
use crate::Errno;
use crate::backend::{Filesystem, LayerType, MountType, Refusal, Settings, Timestamp};
use crate::plugin::Preopen;

/// How deep layers and granted directories may lie in each other.
const LAYERS_DEPTH_MAX: usize = 16;

/// What a maker of filesystems is told.
pub struct MountRequest<'a> {
    /// The source, such as a directory of the host or a file.
    pub source: Option<&'a str>,
    /// The settings as they were written, secrets resolved. The maker checks them ([`Settings::check`]).
    pub settings: Vec<(String, String)>,
    /// The filesystems that this one is made of, the topmost first. Those that are to be read only are.
    pub layers: Vec<Arc<dyn Filesystem>>,
    /// The directories that it is granted, for a type that was added by [`MountTypes::with_grants`].
    pub preopens: Vec<Preopen>,
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
        self.has_no_source()?;
        if self.layers.is_empty() { Ok(()) } else { Err(Refusal::wrong("layers: this type of mount has none")) }
    }

    /// Refuses a source, where there is no use for one.
    pub fn has_no_source(&self) -> Result<(), Refusal> {
        match self.source {
            Some(source) => Err(Refusal::wrong(format!("source: {source} is of no use to this type of mount"))),
            None => Ok(()),
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
    makers: BTreeMap<String, Maker>,
}

#[derive(Clone)]
struct Maker {
    make: Arc<MountMaker>,
    /// Whether there is a use for grants.
    takes_grants: bool,
}

impl MountTypes {
    /// No types.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a type, which has no use for grants.
    pub fn with(
        self,
        kind: &str,
        maker: impl Fn(MountRequest<'_>) -> Result<Arc<dyn Filesystem>, Refusal> + Send + Sync + 'static,
    ) -> Self {
        self.with_maker(kind, Maker { make: Arc::new(maker), takes_grants: false })
    }

    /// Adds a type that can be granted what is beyond its own files, as components are.
    pub fn with_grants(
        self,
        kind: &str,
        maker: impl Fn(MountRequest<'_>) -> Result<Arc<dyn Filesystem>, Refusal> + Send + Sync + 'static,
    ) -> Self {
        self.with_maker(kind, Maker { make: Arc::new(maker), takes_grants: true })
    }

    fn with_maker(mut self, kind: &str, maker: Maker) -> Self {
        self.makers.insert(kind.to_owned(), maker);
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

    /// Adds a type that is made of others.
    pub fn with_layer_type<L: LayerType>(self, kind: &str) -> Self {
        self.with(kind, |request| {
            request.has_no_source()?;
            L::LAYERS.check(request.layers.len())?;
            let settings = Settings::check(L::SETTINGS, request.settings)?;
            Ok(Arc::new(L::mount(&settings, request.layers, Timestamp::now)?))
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
        if !maker.takes_grants && !config.grants.is_empty() {
            return Err(refused(Refusal::wrong("grants: this type of mount has no use for any")));
        }
        let part = |key: String, part: &MountConfig| {
            let made = self.make_at(part, depth + 1);
            made.map_err(|error| refused(within(&key, error)))
        };
        let layer = |(index, layer): (usize, &MountConfig)| {
            let fs = part(format!("layers[{index}]"), layer)?;
            Ok(if layer.read_only { read_only::of(fs) } else { fs })
        };
        let layers = config.layers.iter().enumerate().map(layer).collect::<Result<_, _>>()?;
        let preopen = |(path, mount): (&String, &MountConfig)| {
            let key = format!("grants.preopens.\"{path}\"");
            if !Preopen::is_path(path) {
                return Err(refused(Refusal::wrong(format!(
                    "{key}: not an absolute path, written plainly, such as /data"
                ))));
            }
            let filesystem = part(key, mount)?;
            Ok(Preopen { path: path.clone(), filesystem, read_only: mount.read_only })
        };
        let preopens = config.grants.preopens.iter().map(preopen).collect::<Result<_, _>>()?;
        let resolved = config.settings.iter().map(|(key, value)| {
            let value = value.resolve().map_err(|why| Refusal::wrong(format!("{key}: {why}")))?;
            Ok((key.clone(), value))
        });
        let settings = resolved.collect::<Result<_, Refusal>>().map_err(refused)?;
        let source = config.source.as_deref();
        let request = MountRequest { source, settings, layers, preopens, read_only: config.read_only };
        (maker.make)(request).map_err(refused)
    }
}

/// Why a part of a mount could not be made, with the key of the part.
fn within(key: &str, error: MountError) -> Refusal {
    let errno = match &error {
        MountError::UnknownType { .. } => Errno::Inval,
        MountError::Refused { refusal, .. } => refusal.errno,
    };
    Refusal { errno, message: format!("{key}: {error}") }
}
