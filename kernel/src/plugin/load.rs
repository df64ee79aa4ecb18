//! From bytes to a filesystem.

use std::sync::Arc;
use std::time::Duration;

use eyot_backend::{Filesystem, FilesystemInfo, Settings, Timestamp};
use wasmtime::component::{Component, HasSelf, Instance, Linker};
use wasmtime::{Engine, Store, StoreLimits, StoreLimitsBuilder};

use super::bindings::{self, clock, types};
use super::capture::{self, Captures};
use super::drive::Drive;
use super::error::PluginError;
use super::exports::{self, Durable, Guest, Mount, Setting};
use super::filesystem::{Immediate, Live};
use super::grants::{Needs, Preopen};
use super::kinds::PluginFilesystem;
use super::layers::Layers;
use super::transfer::{self, Reply};
use super::waiting::{self, WaitingPlugin};
use super::wasi::Process;
use super::watch::{CallTime, watch};
use super::{answers, layers, wasi};

/// How much memory a component may have when nothing else is said: 256 MiB.
const MEMORY_BYTES_MAX_DEFAULT: usize = 256 << 20;
/// How long a call may take when nothing else is said. A call blocks the thread that makes it, so this is what a component can take from its guests.
const CALL_TIME_MAX_DEFAULT: Duration = Duration::from_secs(1);
/// How long a call of a component of an asynchronous world may wait when nothing else is said.
const WAITING_TIME_MAX_DEFAULT: Duration = Duration::from_secs(30);
/// The most core instances of one component: a language whose runtime is linked from shared libraries, as Python's is, has an instance of each.
const INSTANCES_MAX: usize = 128;
/// The most tables, and the most memories, of one component.
const PARTS_MAX: usize = 32;
/// The most elements of a table of a component.
const TABLE_ELEMENTS_MAX: usize = 100_000;
/// The longest sentence of a component's that is passed on, in characters.
const MESSAGE_CHARS_MAX: usize = 300;

/// How a component is made a filesystem.
#[derive(Clone)]
pub struct PluginConfig {
    /// What messages call it: a file's name, say.
    pub name: String,
    /// The most bytes of linear memory it may have. Beyond it, growing fails inside the component.
    pub memory_bytes_max: usize,
    /// After how long a call is given up and the component retired (some hundredths of a second later at most). For a component of an asynchronous world:
    /// how long it may compute without coming to an end.
    pub call_time_max: Duration,
    /// After how long a call to a component of an asynchronous world answers `ETIMEDOUT`. Only the call is given up: the component goes on.
    pub waiting_time_max: Duration,
    /// What it is told through `mount.configure`.
    pub settings: Vec<(String, String)>,
    /// The clock that it is granted: the VM's.
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    /// The filesystems below it, the topmost first, for a component that imports `eyot:backend/filesystem`.
    pub layers: Vec<Arc<dyn Filesystem>>,
    /// The directories that it starts with, for a component that imports `wasi:filesystem` or `eyot:kernel/fs`. It reaches nothing else of these.
    pub preopens: Vec<Preopen>,
}

impl PluginConfig {
    /// The defaults: 256 MiB, one second for a call (30 for one that may wait), no settings, the host's time of day, and nothing granted beyond it.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            memory_bytes_max: MEMORY_BYTES_MAX_DEFAULT,
            call_time_max: CALL_TIME_MAX_DEFAULT,
            waiting_time_max: WAITING_TIME_MAX_DEFAULT,
            settings: Vec::new(),
            clock: Arc::new(Timestamp::now),
            layers: Vec::new(),
            preopens: Vec::new(),
        }
    }
}

/// What a component's store holds.
pub(super) struct HostState {
    limits: StoreLimits,
    pub(super) call: CallTime,
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    pub(super) reply: Reply,
    pub(super) captures: Captures,
    pub(super) layers: Layers,
    /// What it is as a process, when it imports what programs do.
    pub(super) process: Option<Box<Process>>,
}

impl HostState {
    fn new(config: &PluginConfig, needs: Needs) -> Result<Self, PluginError> {
        let name = || config.name.clone();
        let layers = Layers::new(&config.layers);
        let layers = layers.map_err(|reason| PluginError::Start { name: name(), reason: reason.to_owned() })?;
        let process = if needs.process {
            let made = Process::new(&config.name, &config.preopens);
            Some(Box::new(made.map_err(|no| PluginError::Grant {
                name: name(),
                preopen: no.preopen,
                errno: no.errno,
            })?))
        } else {
            None
        };
        Ok(Self {
            limits: limits(config),
            call: CallTime::new(config.call_time_max),
            clock: Arc::clone(&config.clock),
            reply: Reply::default(),
            captures: Captures::default(),
            layers,
            process,
        })
    }
}

impl clock::Host for HostState {
    fn now(&mut self) -> types::Timestamp {
        bindings::time_out((self.clock)())
    }
}

impl types::Host for HostState {}

impl PluginFilesystem {
    /// Compiles and starts a component. The engine must have epoch interruption on, or a call that never ends hangs its caller.
    pub fn load(engine: &Engine, bytes: &[u8], config: PluginConfig) -> Result<Self, PluginError> {
        let component = Component::from_binary(engine, bytes)
            .map_err(|error| PluginError::Invalid { name: config.name.clone(), reason: reason(&error) })?;
        Self::start(&component, config)
    }

    /// Starts a component that is compiled already (from a code cache, or to start it many times).
    pub fn start(component: &Component, config: PluginConfig) -> Result<Self, PluginError> {
        if waiting::is_waiting(component) {
            return WaitingPlugin::start(component, config).map(Self::waiting);
        }
        let needs = Needs::check(component, &config)?;
        let (mut store, instance) = instantiate(component, &config, needs, Stubs::No)?;
        let exports = |reason: String| PluginError::Exports { name: config.name.clone(), reason };
        let guest = Guest::load(&mut store, &instance).map_err(exports)?;
        if Mount::is_exported(&mut store, &instance) {
            let mount = Mount::load(&mut store, &instance).map_err(exports)?;
            configure(&mount, &mut store, &config)?;
        } else if !config.settings.is_empty() {
            return Err(PluginError::NoSettings { name: config.name });
        }
        let durable = match Durable::is_exported(&mut store, &instance) {
            true => Some(Durable::load(&mut store, &instance).map_err(exports)?),
            false => None,
        };
        let start = |error: &wasmtime::Error| PluginError::Start { name: config.name.clone(), reason: reason(error) };
        let (info,) = guest.info(&mut store).map_err(|error| start(&error))?;
        let info: FilesystemInfo =
            answers::info(info).map_err(|what| PluginError::Info { name: config.name.clone(), what })?;
        let waits = needs.process || store.data().layers.wait();
        Ok(Self::immediate(Immediate::new(config.name, info, waits, Live { store, guest, durable })))
    }
}

/// Whether what nobody granted is put in place as functions that trap: enough to ask a component what it is, and nothing that it could use.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Stubs {
    No,
    Traps,
}

/// Links a component to what it is granted, and makes an instance with its limits.
pub(super) fn instantiate(
    component: &Component,
    config: &PluginConfig,
    needs: Needs,
    stubs: Stubs,
) -> Result<(Store<HostState>, Instance), PluginError> {
    let link = |error: wasmtime::Error| PluginError::Invalid { name: config.name.clone(), reason: reason(&error) };
    let pre = linker(component, needs, stubs).and_then(|linker| linker.instantiate_pre(component)).map_err(link)?;
    let mut store = store(component.engine(), config, needs)?;
    let start = |error: wasmtime::Error| PluginError::Start { name: config.name.clone(), reason: reason(&error) };
    let instance = match Drive::of(&store) {
        Drive::Plain => pre.instantiate(&mut store),
        drive => drive.run(pre.instantiate_async(&mut store)),
    };
    Ok((store, instance.map_err(start)?))
}

/// What a component is linked to.
fn linker(component: &Component, needs: Needs, stubs: Stubs) -> wasmtime::Result<Linker<HostState>> {
    let mut linker = Linker::new(component.engine());
    link_granted_to_all(&mut linker)?;
    if needs.layers {
        layers::link_layers(&mut linker)?;
    }
    if needs.process {
        wasi::link(&mut linker)?;
    }
    // Only where something is missing: beside a resource that is known, a trap's resource would be a second one of the same name.
    let (wanted, unknown) = Needs::of(component);
    if stubs == Stubs::Traps && (!unknown.is_empty() || wanted.layers && !needs.layers) {
        linker.define_unknown_imports_as_traps(component)?;
    }
    Ok(linker)
}

/// What every component gets.
pub(super) fn link_granted_to_all(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    types::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    clock::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    transfer::add_to_linker(linker)?;
    capture::add_to_linker(linker)?;
    layers::link_durable(linker)
}

/// The memory and the tables that a component may have.
pub(super) fn limits(config: &PluginConfig) -> StoreLimits {
    StoreLimitsBuilder::new()
        .memory_size(config.memory_bytes_max)
        .table_elements(TABLE_ELEMENTS_MAX)
        .instances(INSTANCES_MAX)
        .tables(PARTS_MAX)
        .memories(PARTS_MAX)
        .build()
}

/// A store for one instance, whose calls are watched.
pub(super) fn store(engine: &Engine, config: &PluginConfig, needs: Needs) -> Result<Store<HostState>, PluginError> {
    let mut store = Store::new(engine, HostState::new(config, needs)?);
    store.limiter(|state| &mut state.limits);
    watch(&mut store).map_err(|error| PluginError::Start { name: config.name.clone(), reason: error.to_string() })?;
    Ok(store)
}

fn configure(mount: &Mount, store: &mut Store<HostState>, config: &PluginConfig) -> Result<(), PluginError> {
    let failed = |error: &wasmtime::Error| PluginError::Start { name: config.name.clone(), reason: reason(error) };
    let (known,) = mount.settings(store).map_err(|error| failed(&error))?;
    let settings = checked_settings(known, config)?;
    let (configured,) = mount.configure(store, &settings).map_err(|error| failed(&error))?;
    configured.map_err(|refusal| refused(&config.name, &refusal))
}

/// What a component is told, after a check against what it says there is to be told.
pub(super) fn checked_settings(
    known: Vec<exports::SettingDescription>,
    config: &PluginConfig,
) -> Result<Vec<Setting>, PluginError> {
    let known = answers::settings(known).map_err(|what| PluginError::Info { name: config.name.clone(), what })?;
    let checked = Settings::check(&known, config.settings.iter().cloned()).map_err(|refusal| PluginError::Refused {
        name: config.name.clone(),
        errno: refusal.errno,
        message: refusal.message,
    })?;
    Ok(checked.iter().map(|(key, value)| Setting { key: key.to_owned(), value: value.to_owned() }).collect())
}

/// A component's refusal.
pub(super) fn refused(name: &str, refusal: &exports::Refusal) -> PluginError {
    PluginError::Refused {
        name: name.to_owned(),
        errno: bindings::errno(refusal.code),
        message: printable(&refusal.message),
    }
}

/// An engine's error with its causes, in one line.
pub(super) fn reason(error: &wasmtime::Error) -> String {
    printable(&format!("{error:#}"))
}

/// A sentence that a component may have written, fit for a log: one line, no control characters, not endless.
pub(super) fn printable(text: &str) -> String {
    let line = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect::<Vec<_>>().join("; ");
    line.chars().filter(|char| !char.is_control()).take(MESSAGE_CHARS_MAX).collect()
}
