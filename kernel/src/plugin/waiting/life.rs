//! The life of an instance, from its imports to the calls that it answers.

use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use eyot_backend::{Capabilities, FilesystemInfo};
use wasmtime::component::{Accessor, Component, ComponentNamedList, Instance, InstancePre, Lift, Linker, Lower};
use wasmtime::{AsContextMut, Error, Store};

use super::budget::Budget;
use super::changes::{Listener, Teller};
use super::clocks;
use super::driver::{Driver, End, Life};
use super::exports::{Begun, Changes, Guest, Mount};
use super::filesystem::WaitingPlugin;
use super::reply::{Answer, NoAnswer, pair};
use crate::plugin::error::PluginError;
use crate::plugin::grants::Needs;
use crate::plugin::load::{self, HostState, PluginConfig, Stubs, reason};
use crate::plugin::watch::watch_future;
use crate::plugin::{answers, exports};
use crate::runtime;

/// The most handles of a component: of streams, of sets to wait on, of calls that it waits for.
const HANDLES_MAX: usize = 16 << 10;

/// What a component said when it was started.
pub(super) struct Begin {
    pub(super) info: FilesystemInfo,
    pub(super) teller: Option<Arc<Teller>>,
}

impl WaitingPlugin {
    /// Starts a component of an asynchronous world.
    pub(in crate::plugin) fn start(component: &Component, config: PluginConfig) -> Result<Self, PluginError> {
        check_grants(component, &config)?;
        let (store, instance) = prepare(component, &config, Stubs::No)?;
        let (name, time_max) = (config.name.clone(), config.waiting_time_max);
        let driver = Arc::new(Driver::new(name.clone()));
        let (answer, reply) = pair();
        let budget = Budget::new(config.call_time_max);
        let life: Life = Box::pin(live(driver.clone(), store, instance, config, answer));
        driver.start(life, budget);
        match wait(reply, time_max) {
            Ok(begun) => begun.map(|begin| Self::new(name, driver, begin, time_max)),
            Err(no_answer) => {
                driver.close();
                let reason = match no_answer {
                    NoAnswer::TimedOut => format!("it was not ready after {time_max:?}"),
                    NoAnswer::Gone => driver.ended().unwrap_or_else(|| "it ended".into()),
                };
                Err(PluginError::Start { name, reason })
            }
        }
    }
}

/// What a component says are its settings. It is asked with everything that it is not granted replaced by functions that trap.
pub(in crate::plugin) fn settings(
    component: &Component,
    config: &PluginConfig,
) -> Result<Vec<exports::SettingDescription>, PluginError> {
    let (mut store, instance) = prepare(component, config, Stubs::Traps)?;
    let name = config.name.clone();
    let driver = Arc::new(Driver::new(name.clone()));
    let (answer, reply) = pair();
    let life: Life = Box::pin({
        let name = name.clone();
        async move {
            let asked = async {
                let start = |error: &Error| PluginError::Start { name: name.clone(), reason: reason(error) };
                let instance = instance.instantiate_async(&mut store).await.map_err(|error| start(&error))?;
                let mount = Mount::load(&mut store, &instance)
                    .and_then(|mount| mount.ok_or_else(|| "it does not export eyot:backend/mount".to_owned()))
                    .map_err(|reason| PluginError::Exports { name: name.clone(), reason })?;
                let asked = store.run_concurrent(async |accessor| {
                    let (settings,) = call(accessor, accessor.with(|access| mount.settings(access))).await?;
                    Ok(settings)
                });
                asked.await.flatten().map_err(|error| start(&error))
            };
            let _ = answer.send(asked.await);
            End { error: Error::msg("it was only asked for its settings"), left: None }
        }
    });
    driver.start(life, Budget::new(config.call_time_max));
    let told = wait(reply, config.waiting_time_max);
    driver.close();
    told.unwrap_or_else(|_| Err(PluginError::Start { name, reason: "it did not tell its settings".into() }))
}

fn wait<T>(reply: super::reply::Reply<T>, time_max: Duration) -> Result<T, NoAnswer> {
    runtime::wait(|| reply.wait_until(Instant::now() + time_max))
}

/// Refuses a component that imports more than it is granted, and grants that it has no use for.
fn check_grants(component: &Component, config: &PluginConfig) -> Result<(), PluginError> {
    let name = || config.name.clone();
    let ty = component.component_type();
    let unknown = ty.imports(component.engine()).filter(|(import, item)| !super::is_granted(import, &item.ty));
    let imports: Vec<String> = unknown.map(|(import, _)| import.to_owned()).collect();
    if !imports.is_empty() {
        return Err(PluginError::Imports { name: name(), imports, layers: false });
    }
    if !config.layers.is_empty() {
        return Err(PluginError::NoUse { name: name(), grant: "layers", interface: "eyot:backend/filesystem" });
    }
    if !config.preopens.is_empty() {
        let interface = "wasi:filesystem/preopens or eyot:kernel/fs";
        return Err(PluginError::NoUse { name: name(), grant: "preopened directories", interface });
    }
    Ok(())
}

/// Links a component to what it is granted, and makes a store with its limits.
fn prepare(
    component: &Component,
    config: &PluginConfig,
    stubs: Stubs,
) -> Result<(Store<HostState>, InstancePre<HostState>), PluginError> {
    let link = |error: Error| PluginError::Invalid { name: config.name.clone(), reason: reason(&error) };
    let instance = linker(component, stubs).and_then(|linker| linker.instantiate_pre(component)).map_err(link)?;
    let mut store = load::store(component.engine(), config, Needs::default())?;
    store.set_max_component_handles(HANDLES_MAX);
    watch_future(&mut store)
        .map_err(|error| PluginError::Start { name: config.name.clone(), reason: error.to_string() })?;
    Ok((store, instance))
}

fn linker(component: &Component, stubs: Stubs) -> wasmtime::Result<Linker<HostState>> {
    let mut linker = Linker::new(component.engine());
    load::link_granted_to_all(&mut linker)?;
    clocks::add_to_linker(&mut linker)?;
    linker.instance(super::REFUSAL)?;
    if stubs == Stubs::Traps {
        linker.define_unknown_imports_as_traps(component)?;
    }
    Ok(linker)
}

/// From the instance to its end.
async fn live(
    driver: Arc<Driver>,
    mut store: Store<HostState>,
    instance: InstancePre<HostState>,
    config: PluginConfig,
    answer: Answer<Result<Begin, PluginError>>,
) -> End {
    let failed = |error: &Error| PluginError::Start { name: config.name.clone(), reason: reason(error) };
    let found = async {
        let instance = instance.instantiate_async(&mut store).await.map_err(|error| failed(&error))?;
        driver.finished();
        Parts::find(&mut store, &instance, &config)
    };
    let parts = match found.await {
        Ok(parts) => parts,
        Err(error) => return End { error: refused(answer, error), left: None },
    };
    let mut answer = Some(answer);
    let ran = store.run_concurrent(async |accessor| match parts.begin(accessor, &driver, &config).await {
        Ok(begin) => {
            driver.serve();
            drop(answer.take().map(|answer| answer.send(Ok(begin))));
            match serve(accessor, &driver, &parts.guest).await {
                Ok(never) => match never {},
                Err(error) => error,
            }
        }
        Err(error) => match answer.take() {
            Some(answer) => refused(answer, error),
            None => Error::msg("it was refused"),
        },
    });
    let error = ran.await.unwrap_or_else(|error| error);
    let error = match answer {
        Some(answer) => refused(answer, failed(&error)),
        None => error,
    };
    End { error, left: Some(store) }
}

fn refused(answer: Answer<Result<Begin, PluginError>>, error: PluginError) -> Error {
    let end = Error::msg(error.to_string());
    let _ = answer.send(Err(error));
    end
}

/// Begins calls for as long as there are any to come.
async fn serve(accessor: &Accessor<HostState>, driver: &Driver, guest: &Guest) -> wasmtime::Result<Infallible> {
    poll_fn(|_| {
        rest(accessor);
        match driver.begin_calls(accessor, guest) {
            Ok(()) => Poll::Pending,
            Err(error) => Poll::Ready(Err(error)),
        }
    })
    .await
}

/// The event loop has come round: whatever computed has come to an end, or waits.
fn rest(accessor: &Accessor<HostState>) {
    accessor.with(|mut access| access.data_mut().call.rest());
}

/// A call during the start, when nobody else makes one.
async fn call<P, R>(accessor: &Accessor<HostState>, begun: wasmtime::Result<Begun<P, R>>) -> wasmtime::Result<R>
where
    P: ComponentNamedList + Lower + 'static,
    R: ComponentNamedList + Lift + 'static,
{
    let mut answer = pin!(begun?.finish(accessor));
    poll_fn(|context| {
        rest(accessor);
        answer.as_mut().poll(context)
    })
    .await
}

/// What a component exports.
struct Parts {
    guest: Guest,
    mount: Option<Mount>,
    changes: Option<Changes>,
}

impl Parts {
    fn find(store: &mut Store<HostState>, instance: &Instance, config: &PluginConfig) -> Result<Self, PluginError> {
        let exports = |reason: String| PluginError::Exports { name: config.name.clone(), reason };
        let guest = Guest::load(store, instance).map_err(exports)?;
        let guest = guest.ok_or_else(|| exports("it does not export eyot:backend/filesystem-async".into()))?;
        let mount = Mount::load(store, instance).map_err(exports)?;
        let changes = Changes::load(store, instance).map_err(exports)?;
        if mount.is_none() && !config.settings.is_empty() {
            return Err(PluginError::NoSettings { name: config.name.clone() });
        }
        Ok(Self { guest, mount, changes })
    }

    /// Configures it, asks it what it is, and listens to its changes.
    async fn begin(
        &self,
        accessor: &Accessor<HostState>,
        driver: &Driver,
        config: &PluginConfig,
    ) -> Result<Begin, PluginError> {
        let failed = |error: Error| PluginError::Start { name: config.name.clone(), reason: reason(&error) };
        if let Some(mount) = &self.mount {
            let (known,) = call(accessor, accessor.with(|access| mount.settings(access))).await.map_err(failed)?;
            let settings = load::checked_settings(known, config)?;
            let begun = accessor.with(|access| mount.configure(access, settings));
            let (configured,) = call(accessor, begun).await.map_err(failed)?;
            configured.map_err(|refusal| load::refused(&config.name, &refusal))?;
            driver.finished();
        }
        let (info,) = call(accessor, accessor.with(|access| self.guest.info(access))).await.map_err(failed)?;
        driver.finished();
        let info = info.map_err(|refusal| load::refused(&config.name, &refusal))?;
        let lie = |what| PluginError::Info { name: config.name.clone(), what };
        let info = answers::info(info).map_err(lie)?;
        let teller = if info.capabilities.contains(Capabilities::EVENTS) {
            let changes =
                self.changes.as_ref().ok_or_else(|| lie("it tells of changes, but exports no such function"))?;
            Some(listen(accessor, changes).await.map_err(failed)?)
        } else {
            None
        };
        driver.finished();
        Ok(Begin { info, teller })
    }
}

async fn listen(accessor: &Accessor<HostState>, changes: &Changes) -> wasmtime::Result<Arc<Teller>> {
    let (stream,) = call(accessor, accessor.with(|access| changes.watch(access))).await?;
    let teller = Teller::start();
    accessor.with(|mut access| stream.pipe(access.as_context_mut(), Listener(teller.clone())))?;
    Ok(teller)
}
