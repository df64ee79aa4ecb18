//! A VM described as data: the same in Rust, TOML and JSON.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::mount_types::{MountError, MountTypes};
use super::{MountOptions, VmBuilder};
use crate::limits::Limit;

/// The longest secret that is read from a file, in bytes.
const SECRET_BYTES_MAX: u64 = 64 << 10;

/// A VM, without its root filesystem and its executors, which are no data.
///
/// ```
/// let config: eyot_kernel::vm::VmConfig = toml::from_str(r#"
///     working_directory = "/data"
///     env = { LANG = "C.UTF-8" }
///     limits = { processes = 64, memory_bytes = "512M" }
///
///     [mounts."/data"]
///     type = "memfs"
///     settings = { bytes_max = "64M", mode = "0o1777" }
///
///     [mounts."/plugin"]
///     type = "component"
///     source = "backend.wasm"
///     read_only = true
///     settings = { password = { env = "BACKEND_PASSWORD" } }
///     [mounts."/plugin".grants.preopens]
///     "/data" = { type = "host", source = "dir", read_only = true }
/// "#).unwrap();
/// assert_eq!(config.mounts["/data"].kind, "memfs");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VmConfig {
    /// What is mounted, by absolute path. Paths are mounted in order, so that `/a` comes before `/a/b`.
    pub mounts: BTreeMap<String, MountConfig>,
    /// Variables of the environment that commands start with.
    pub env: BTreeMap<String, String>,
    /// Limits by name ([`Limit::name`]): a number, or a size such as `512M`.
    pub limits: BTreeMap<String, Amount>,
    /// Where commands start.
    pub working_directory: Option<String>,
}

/// One mount.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MountConfig {
    /// The type of mount, such as `memfs`, `host` or `component`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What it is of: a directory of the host, a file, a bucket.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Whether changes fail with `EROFS`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub read_only: bool,
    /// Its settings.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub settings: BTreeMap<String, SettingValue>,
    /// The mounts that it is made of, the topmost first. Those that are `read_only` are never changed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<MountConfig>,
    /// What it may reach beyond its own files, when it is a component.
    #[serde(default, skip_serializing_if = "GrantsConfig::is_empty")]
    pub grants: GrantsConfig,
}

/// What a component is granted. What is not named here it does not reach.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GrantsConfig {
    /// Directories that it starts with, by its own name for them: an absolute path. It sees them as a program of WASI does.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub preopens: BTreeMap<String, MountConfig>,
}

impl GrantsConfig {
    /// Whether nothing is granted.
    pub fn is_empty(&self) -> bool {
        self.preopens.is_empty()
    }
}

impl MountConfig {
    /// A mount of this type, with nothing set.
    pub fn new(kind: impl Into<String>) -> Self {
        Self { kind: kind.into(), ..Self::default() }
    }

    /// Sets what it is of.
    pub fn source(mut self, source: impl Into<String>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Sets a setting.
    pub fn setting(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.insert(key.into(), SettingValue::Text(value.into()));
        self
    }

    /// Adds a layer below those that there are.
    pub fn layer(mut self, layer: MountConfig) -> Self {
        self.layers.push(layer);
        self
    }

    /// Grants a directory that a component starts with.
    pub fn preopen(mut self, path: impl Into<String>, mount: MountConfig) -> Self {
        self.grants.preopens.insert(path.into(), mount);
        self
    }
}

/// The value of a setting.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum SettingValue {
    /// A text, or anything written as one.
    Text(String),
    /// A number.
    Number(u64),
    /// True or false.
    Boolean(bool),
    /// A value that is kept elsewhere and read when the mount is made: it is never part of the configuration.
    Secret(SecretSource),
}

/// Where a secret is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SecretSource {
    /// In this variable of the host's environment.
    Env(String),
    /// In this file of the host, without the line break at its end.
    File(PathBuf),
}

impl SettingValue {
    /// The value as text; a secret is fetched. Errors: why it cannot be, in words that do not show it.
    pub(super) fn resolve(&self) -> Result<String, String> {
        match self {
            SettingValue::Text(text) => Ok(text.clone()),
            SettingValue::Number(number) => Ok(number.to_string()),
            SettingValue::Boolean(value) => Ok(value.to_string()),
            SettingValue::Secret(SecretSource::Env(name)) => std::env::var(name)
                .map_err(|_| format!("the variable {name}, which holds its value, is not set (or not UTF-8)")),
            SettingValue::Secret(SecretSource::File(path)) => {
                read_secret(path).map_err(|why| format!("the file {}, which holds its value: {why}", path.display()))
            }
        }
    }
}

fn read_secret(path: &std::path::Path) -> Result<String, String> {
    use std::io::Read;
    let file = std::fs::File::open(path).map_err(|error| error.to_string())?;
    let mut text = String::new();
    file.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text).map_err(|error| error.to_string())?;
    if text.len() as u64 > SECRET_BYTES_MAX {
        return Err(format!("longer than {SECRET_BYTES_MAX} bytes"));
    }
    Ok(text.strip_suffix('\n').map_or(text.as_str(), |line| line.strip_suffix('\r').unwrap_or(line)).to_owned())
}

/// A limit's amount: a number, or a size such as `512M`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Amount {
    /// A number.
    Number(u64),
    /// A size.
    Size(String),
}

/// Why a configuration was not taken.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A mount could not be made.
    #[error("mounts.\"{path}\": {error}")]
    Mount {
        /// Where it was to be.
        path: String,
        /// Why.
        #[source]
        error: MountError,
    },
    /// There is no limit of this name.
    #[error("limits.{name}: there is no such limit; there are {}", known.join(", "))]
    UnknownLimit {
        /// The name.
        name: String,
        /// Those that there are.
        known: Vec<&'static str>,
    },
    /// A limit's amount is none.
    #[error("limits.{name}: {text} is no amount; write a number, or a size such as 512M")]
    Amount {
        /// The limit.
        name: String,
        /// What was written.
        text: String,
    },
}

impl fmt::Display for Amount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Amount::Number(number) => write!(f, "{number}"),
            Amount::Size(text) => f.write_str(text),
        }
    }
}

impl VmBuilder {
    /// Adds what a configuration says. Errors: each names the key that is wrong.
    pub fn config(mut self, config: &VmConfig, types: &MountTypes) -> Result<Self, ConfigError> {
        for (name, amount) in &config.limits {
            let limit = Limit::ALL.iter().find(|limit| limit.name() == name).ok_or_else(|| {
                let known = Limit::ALL.iter().map(|limit| limit.name()).collect();
                ConfigError::UnknownLimit { name: name.clone(), known }
            })?;
            let wrong = || ConfigError::Amount { name: name.clone(), text: amount.to_string() };
            let max = match amount {
                Amount::Number(number) => *number,
                Amount::Size(text) => crate::backend::parse_size(text).ok_or_else(wrong)?,
            };
            self = self.limit(*limit, max);
        }
        for (name, value) in &config.env {
            self = self.env(name.as_str(), value.as_str());
        }
        if let Some(directory) = &config.working_directory {
            self = self.working_directory(directory.as_str());
        }
        for (path, mount) in &config.mounts {
            let fs = types.make(mount).map_err(|error| ConfigError::Mount { path: path.clone(), error })?;
            self = self.mount(path.as_str(), fs, MountOptions { read_only: mount.read_only });
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> String {
        let config: VmConfig = toml::from_str(text).unwrap();
        let types = MountTypes::new().with_type::<eyot_memfs::MemfsMount>("memfs");
        crate::Vm::builder().config(&config, &types).err().expect("it must be refused").to_string()
    }

    #[test]
    fn toml_and_json_are_the_same() {
        let text = r#"
            limits = { processes = 3, memory_bytes = "1G" }
            [mounts."/o"]
            type = "overlay"
            [[mounts."/o".layers]]
            type = "memfs"
            settings = { mode = 493, bytes_max = "1M" }
            [[mounts."/o".layers]]
            type = "host"
            source = "."
            read_only = true
        "#;
        let config: VmConfig = toml::from_str(text).unwrap();
        let json = serde_json::to_string(&config).unwrap();
        assert_eq!(serde_json::from_str::<VmConfig>(&json).unwrap(), config);
        let built = MountConfig::new("memfs").setting("bytes_max", "1M");
        let built = MountConfig {
            settings: [built.settings, [("mode".into(), SettingValue::Number(493))].into()]
                .into_iter()
                .flatten()
                .collect(),
            ..MountConfig::new("memfs")
        };
        assert_eq!(config.mounts["/o"].layers[0], built);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, part) in [
            ("[mounts.\"/m\"]\ntype = \"nfs\"", "mounts.\"/m\": unknown mount type `nfs`; there are memfs"),
            ("[mounts.\"/m\"]\ntype = \"memfs\"\nsource = \"x\"", "memfs: source: x is of no use"),
            ("[mounts.\"/m\"]\ntype = \"memfs\"\nsettings = { bytes_max = \"lots\" }", "bytes_max: lots is not a size"),
            ("[mounts.\"/m\"]\ntype = \"memfs\"\nsettings = { mode = { env = \"EYOT_NO_SUCH\" } }", "EYOT_NO_SUCH"),
            (
                "[mounts.\"/m\"]\ntype = \"memfs\"\ngrants.preopens.\"/d\" = { type = \"memfs\" }",
                "memfs: grants: this type",
            ),
            (
                "[mounts.\"/m\"]\ntype = \"memfs\"\n[[mounts.\"/m\".layers]]\ntype = \"nfs\"",
                "layers[0]: unknown mount type",
            ),
            ("limits = { proceses = 1 }", "limits.proceses: there is no such limit; there are processes"),
            ("limits = { processes = \"many\" }", "limits.processes: many is no amount"),
        ] {
            let message = refused(text);
            assert!(message.contains(part), "{message}");
        }
        assert!(toml::from_str::<VmConfig>("mount = 1").unwrap_err().to_string().contains("mounts"));
        let unknown = "[mounts.\"/m\"]\ntype = \"memfs\"\ngrants = { sockets = true }";
        assert!(toml::from_str::<VmConfig>(unknown).unwrap_err().to_string().contains("preopens"));
    }

    #[test]
    fn secrets_are_fetched_when_the_mount_is_made_and_never_shown() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secret");
        std::fs::write(&file, "hunter2\n").unwrap();
        let value = SettingValue::Secret(SecretSource::File(file.clone()));
        assert_eq!(value.resolve().unwrap(), "hunter2");
        assert!(!format!("{value:?} {}", serde_json::to_string(&value).unwrap()).contains("hunter2"));
        std::fs::write(&file, vec![b'x'; SECRET_BYTES_MAX as usize + 1]).unwrap();
        assert!(value.resolve().unwrap_err().contains("longer"));
    }

    #[test]
    fn a_configuration_becomes_a_vm() {
        let text = "[mounts.\"/m\"]\ntype = \"memfs\"\nread_only = true\n[mounts.\"/m2\"]\ntype = \"memfs\"\nsettings = { mode = \"0o777\" }";
        let config = toml::from_str::<VmConfig>(text).unwrap();
        let types = MountTypes::new().with_type::<eyot_memfs::MemfsMount>("memfs");
        let root = std::sync::Arc::new(eyot_memfs::Memfs::new());
        let vm = crate::Vm::builder().root(root).user(0, 0).config(&config, &types).unwrap().build().unwrap();
        assert_eq!(vm.write_file("/m/f", b"x", 0o644), Err(crate::Errno::Rofs));
        assert_eq!(vm.write_file("/m2/f", b"x", 0o644), Ok(()));
        assert_eq!(vm.stat("/m2").unwrap().attributes.mode, 0o777);
    }
}
