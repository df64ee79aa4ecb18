//! `wasi:clocks/monotonic-clock@0.3`: what a component waits by, between two attempts say.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use wasmtime::Result;
use wasmtime::component::Linker;

use crate::plugin::load::HostState;

const TYPES: &str = "wasi:clocks/types@0.3.0";
const MONOTONIC: &str = "wasi:clocks/monotonic-clock@0.3.0";

/// Links the imports.
pub(super) fn add_to_linker(linker: &mut Linker<HostState>) -> Result<()> {
    linker.instance(TYPES)?;
    let mut clock = linker.instance(MONOTONIC)?;
    clock.func_wrap("now", |_, (): ()| Ok((now(),)))?;
    clock.func_wrap("get-resolution", |_, (): ()| Ok((1_u64,)))?;
    clock.func_wrap_concurrent("wait-for", |_, (ns,): (u64,)| Box::pin(wait_for(ns)))?;
    clock.func_wrap_concurrent("wait-until", |_, (mark,): (u64,)| Box::pin(wait_for(mark.saturating_sub(now()))))
}

/// Nanoseconds since the first question in this process.
fn now() -> u64 {
    static START: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(START.elapsed().as_nanos()).unwrap_or(u64::MAX)
}

async fn wait_for(ns: u64) -> Result<()> {
    tokio::time::sleep(Duration::from_nanos(ns)).await;
    Ok(())
}
