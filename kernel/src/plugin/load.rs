//! From bytes to a filesystem.

use std::sync::Arc;
use std::time::Duration;

use eyot_backend::{FilesystemInfo, Settings, Timestamp};
use wasmtime::component::{Component, HasSelf, Instance, Linker, types::ComponentItem};
use wasmtime::{Engine, Store, StoreLimits, StoreLimitsBuilder};

use super::answers;
use super::bindings::{self, clock, types};
use super::error::PluginError;
use super::exports::{Guest, Mount, Setting};
use super::filesystem::{Live, PluginFilesystem};
use super::transfer::{self, Reply};
use super::watch::{CallTime, watch};

/// How much memory a component may have when nothing else is said: 256 MiB.
const MEMORY_BYTES_MAX_DEFAULT: usize = 256 << 20;
/// How long a call may take when nothing else is said. A call blocks the thread that makes it, so this is what a component can take from its guests.
const CALL_TIME_MAX_DEFAULT: Duration = Duration::from_secs(1);
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
    /// After how long a call is given up and the component retired (some hundredths of a second later at most).
    pub call_time_max: Duration,
    /// What it is told through `mount.configure`.
    pub settings: Vec<(String, String)>,
    /// The clock that it is granted: the VM's.
    pub clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
}

impl PluginConfig {
    /// The defaults: 256 MiB, one second for a call, no settings, and the host's time of day.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            memory_bytes_max: MEMORY_BYTES_MAX_DEFAULT,
            call_time_max: CALL_TIME_MAX_DEFAULT,
            settings: Vec::new(),
            clock: Arc::new(Timestamp::now),
        }
    }
}

/// What a component's store holds.
pub(super) struct HostState {
    limits: StoreLimits,
    pub(super) call: CallTime,
    clock: Arc<dyn Fn() -> Timestamp + Send + Sync>,
    pub(super) reply: Reply,
}

impl HostState {
    fn new(config: &PluginConfig) -> Self {
        Self {
            limits: limits(config),
            call: CallTime::new(config.call_time_max),
            clock: Arc::clone(&config.clock),
            reply: Reply::default(),
        }
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
        check_imports(component, &config.name)?;
        let (mut store, instance) = instantiate(component, &config, Stubs::No)?;
        let exports = |reason: String| PluginError::Exports { name: config.name.clone(), reason };
        let guest = Guest::load(&mut store, &instance).map_err(exports)?;
        if Mount::is_exported(&mut store, &instance) {
            let mount = Mount::load(&mut store, &instance).map_err(exports)?;
            configure(&mount, &mut store, &config)?;
        } else if !config.settings.is_empty() {
            return Err(PluginError::NoSettings { name: config.name });
        }
        let start = |error: &wasmtime::Error| PluginError::Start { name: config.name.clone(), reason: reason(error) };
        let (info,) = guest.info(&mut store).map_err(|error| start(&error))?;
        let info: FilesystemInfo =
            answers::info(info).map_err(|what| PluginError::Info { name: config.name.clone(), what })?;
        Ok(Self::new(config.name, info, Live { store, guest }))
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
    stubs: Stubs,
) -> Result<(Store<HostState>, Instance), PluginError> {
    let link = |error: wasmtime::Error| PluginError::Invalid { name: config.name.clone(), reason: reason(&error) };
    let pre = linker(component, stubs).and_then(|linker| linker.instantiate_pre(component)).map_err(link)?;
    let mut store = store(component.engine(), config)?;
    let start = |error: wasmtime::Error| PluginError::Start { name: config.name.clone(), reason: reason(&error) };
    let instance = pre.instantiate(&mut store).map_err(start)?;
    Ok((store, instance))
}

/// What a component is linked to.
fn linker(component: &Component, stubs: Stubs) -> wasmtime::Result<Linker<HostState>> {
    let mut linker = Linker::new(component.engine());
    link_granted_to_all(&mut linker)?;
    if stubs == Stubs::Traps {
        linker.define_unknown_imports_as_traps(component)?;
    }
    Ok(linker)
}

/// What every component gets.
pub(super) fn link_granted_to_all(linker: &mut Linker<HostState>) -> wasmtime::Result<()> {
    types::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    clock::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
    transfer::add_to_linker(linker)
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
pub(super) fn store(engine: &Engine, config: &PluginConfig) -> Result<Store<HostState>, PluginError> {
    let mut store = Store::new(engine, HostState::new(config));
    store.limiter(|state| &mut state.limits);
    watch(&mut store).map_err(|error| PluginError::Start { name: config.name.clone(), reason: error.to_string() })?;
    Ok(store)
}

fn configure(mount: &Mount, store: &mut Store<HostState>, config: &PluginConfig) -> Result<(), PluginError> {
    let failed = |error: &wasmtime::Error| PluginError::Start { name: config.name.clone(), reason: reason(error) };
    let (known,) = mount.settings(store).map_err(|error| failed(&error))?;
    let known = answers::settings(known).map_err(|what| PluginError::Info { name: config.name.clone(), what })?;
    let checked = Settings::check(&known, config.settings.iter().cloned()).map_err(|refusal| PluginError::Refused {
        name: config.name.clone(),
        errno: refusal.errno,
        message: refusal.message,
    })?;
    let settings: Vec<_> =
        checked.iter().map(|(key, value)| Setting { key: key.to_owned(), value: value.to_owned() }).collect();
    match mount.configure(store, &settings) {
        Ok((Ok(()),)) => Ok(()),
        Ok((Err(refusal),)) => Err(PluginError::Refused {
            name: config.name.clone(),
            errno: bindings::errno(refusal.code),
            message: printable(&refusal.message),
        }),
        Err(error) => Err(failed(&error)),
    }
}

/// Whether every component gets this import: the types, the clock and the transfer of bytes.
pub(super) fn is_granted(import: &str, item: &ComponentItem) -> bool {
    let granted = ["eyot:backend/types@0.1.", "eyot:backend/clock@0.1.", "eyot:backend/transfer@0.1."];
    granted.iter().any(|prefix| import.starts_with(prefix)) && matches!(item, ComponentItem::ComponentInstance(_))
}

/// Refuses a component that imports more than it is granted, and names what.
fn check_imports(component: &Component, name: &str) -> Result<(), PluginError> {
    let ty = component.component_type();
    let missing = ty.imports(component.engine()).filter(|(import, item)| !is_granted(import, &item.ty));
    let imports: Vec<String> = missing.map(|(import, _)| import.to_owned()).collect();
    if imports.is_empty() { Ok(()) } else { Err(PluginError::Imports { name: name.to_owned(), imports }) }
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
