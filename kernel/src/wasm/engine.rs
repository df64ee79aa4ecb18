//! The wasmtime engines: one set for all VMs of the host process.
//!
//! Instances come from wasmtime's pooling allocator, whose slots are laid out when an engine is made. Few slots are laid out in under a millisecond,
//! thousands in tens of them; so there are two tiers, a small one that is there at once and a big one that is made when the small
//! one is full. Machine code is the same for both: one compilation, one entry in the code cache.

use std::collections::HashSet;
use std::num::NonZeroUsize;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use wasmtime::{
    Caller, Config, Enabled, Engine, InstanceAllocationStrategy, InstancePre, IntoFunc, Linker, Module, OptLevel,
    PoolingAllocationConfig, WasmRet, WasmTyList, component,
};

use super::process::Guest;
use super::ticker::Ticker;

/// How many processes each tier holds at once.
const TIER_SLOTS: [u32; TIERS] = [192, 16_384];

/// How many tiers there are.
pub(super) const TIERS: usize = 2;

/// How deep a guest's calls may nest, in bytes of native stack. Guests keep their data in linear memory: native programs' 8 MiB correspond to less than this.
const WASM_STACK_BYTES: usize = 1 << 20;

/// The stack of a fiber: the guest's calls and, on top, the kernel's.
const FIBER_STACK_BYTES: usize = WASM_STACK_BYTES + (512 << 10);

/// Address space of one linear memory: with all that 32 bits can name reserved, most accesses need no bounds check.
const MEMORY_RESERVATION_BYTES: u64 = 4 << 30;

/// Function references in one table; the largest programs known (compilers of 70 MB) have under 100,000.
const TABLE_ELEMENTS_MAX: usize = 262_144;

/// Memory that stays with a slot after its process, so that the next one faults in fewer pages: what a shell or a small tool touches.
const KEEP_RESIDENT_BYTES: usize = 512 << 10;

/// Frames of a trap's backtrace.
const BACKTRACE_FRAMES_MAX: NonZeroUsize = NonZeroUsize::new(16).unwrap();

/// An engine, the host functions linked for it, and how many processes run in it.
pub(super) struct Tier {
    pub(super) index: usize,
    pub(super) engine: Engine,
    pub(super) linker: HostLinker,
    pub(super) component_linker: component::Linker<Guest>,
    processes: AtomicU32,
}

/// The host functions for core modules, with their names.
pub(super) struct HostLinker {
    linker: Linker<Guest>,
    names: HashSet<(&'static str, &'static str)>,
}

impl HostLinker {
    fn new(engine: &Engine) -> Result<Self, wasmtime::Error> {
        let mut linker = Self { linker: Linker::new(engine), names: HashSet::new() };
        super::p1::add_to_linker(&mut linker)?;
        super::core_abi::add_to_linker(&mut linker)?;
        Ok(linker)
    }

    /// Adds a function that never waits.
    pub(super) fn func_wrap<P, A>(
        &mut self,
        module: &'static str,
        name: &'static str,
        function: impl IntoFunc<Guest, P, A>,
    ) -> Result<(), wasmtime::Error> {
        self.names.insert((module, name));
        self.linker.func_wrap(module, name, function).map(drop)
    }

    /// Adds a function that may wait.
    pub(super) fn func_wrap_async<P: WasmTyList, R: WasmRet>(
        &mut self,
        module: &'static str,
        name: &'static str,
        function: impl for<'a> Fn(Caller<'a, Guest>, P) -> Box<dyn Future<Output = R> + Send + 'a> + Send + Sync + 'static,
    ) -> Result<(), wasmtime::Error> {
        self.names.insert((module, name));
        self.linker.func_wrap_async(module, name, function).map(drop)
    }

    /// Whether there is such a function.
    pub(super) fn provides(&self, module: &str, name: &str) -> bool {
        self.names.contains(&(module, name))
    }

    /// Links a module.
    pub(super) fn link(&self, module: &Module) -> Result<InstancePre<Guest>, wasmtime::Error> {
        self.linker.instantiate_pre(module)
    }
}

/// All tiers, made when they are first needed.
pub(super) struct Engines {
    tiers: [OnceLock<Tier>; TIERS],
    pub(super) ticker: Ticker,
}

/// A process's place in a tier; free again when dropped.
pub(super) struct Place<'a>(&'a Tier);

impl Engines {
    pub(super) fn new() -> Self {
        Self { tiers: [const { OnceLock::new() }; TIERS], ticker: Ticker::new() }
    }

    /// The tier that code is compiled by.
    pub(super) fn first(&self) -> Result<&Tier, wasmtime::Error> {
        self.tier(0)
    }

    /// A tier, made now if need be. An error is told again and tried again.
    fn tier(&self, index: usize) -> Result<&Tier, wasmtime::Error> {
        if let Some(tier) = self.tiers[index].get() {
            return Ok(tier);
        }
        let engine = make_engine(TIER_SLOTS[index])?;
        let linker = HostLinker::new(&engine)?;
        let component_linker = super::component::linker(&engine)?;
        let mut made = Some(Tier { index, engine, linker, component_linker, processes: AtomicU32::new(0) });
        let tier = self.tiers[index].get_or_init(|| made.take().expect("initialised once"));
        if made.is_none() {
            self.ticker.add(&tier.engine);
        }
        Ok(tier)
    }

    /// A place for one more process. Errors: all tiers are full.
    pub(super) fn place(&self) -> Result<Place<'_>, wasmtime::Error> {
        for (index, &slots) in TIER_SLOTS.iter().enumerate() {
            let tier = self.tier(index)?;
            let taken = tier.processes.fetch_update(Relaxed, Relaxed, |count| (count < slots).then_some(count + 1));
            if taken.is_ok() {
                return Ok(Place(tier));
            }
        }
        Err(wasmtime::Error::msg("too many wasm processes in this host process"))
    }
}

impl Place<'_> {
    pub(super) fn tier(&self) -> &Tier {
        self.0
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.processes.fetch_sub(1, Relaxed);
    }
}

/// An engine with room for `slots` processes, or with less where the host process may not reserve so much address space.
fn make_engine(slots: u32) -> Result<Engine, wasmtime::Error> {
    let mut size = slots;
    loop {
        match Engine::new(&config(Some(size))) {
            Ok(engine) => return Ok(engine),
            Err(error) if size > 8 => {
                tracing::warn!(%error, slots = size, "could not reserve address space for wasm instances; trying with a quarter");
                size /= 4;
            }
            Err(_) => return Engine::new(&config(None)),
        }
    }
}

fn config(slots: Option<u32>) -> Config {
    let mut config = Config::new();
    config.cranelift_opt_level(OptLevel::Speed);
    config.parallel_compilation(true);
    config.epoch_interruption(true);
    config.memory_reservation(MEMORY_RESERVATION_BYTES);
    config.gc_heap_reservation(MEMORY_RESERVATION_BYTES);
    config.memory_init_cow(true);
    config.max_wasm_stack(WASM_STACK_BYTES);
    config.async_stack_size(FIBER_STACK_BYTES);
    config.wasm_backtrace_max_frames(Some(BACKTRACE_FRAMES_MAX));
    // Names of functions are enough for a trap's message; offsets would make the code cache half as big again.
    config.generate_address_map(false);
    features(&mut config);
    if let Some(slots) = slots {
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(slots)));
    }
    config
}

/// What guests may use: all that compilers emit today, and no threads, no 64-bit memories, nothing experimental.
fn features(config: &mut Config) {
    config.wasm_simd(true);
    config.wasm_relaxed_simd(true);
    config.wasm_bulk_memory(true);
    config.wasm_multi_value(true);
    config.wasm_reference_types(true);
    config.wasm_tail_call(true);
    config.wasm_extended_const(true);
    config.wasm_exceptions(true);
    config.wasm_multi_memory(true);
    config.wasm_memory64(false);
    config.wasm_gc(false);
    config.wasm_function_references(false);
    config.wasm_wide_arithmetic(false);
    config.wasm_custom_page_sizes(false);
    config.wasm_component_model(true);
    // Calls in and out of components cost twice as much where tasks of the component model can be; WASI 0.3 will need an engine of its own.
    config.concurrency_support(false);
}

fn pool(slots: u32) -> PoolingAllocationConfig {
    // A component is several core instances; a few of those at once are as many processes less.
    let mut pool = PoolingAllocationConfig::new();
    pool.total_stacks(slots);
    pool.total_component_instances(slots);
    pool.total_core_instances(slots.saturating_mul(4));
    pool.total_memories(slots.saturating_add(slots / 2));
    pool.total_tables(slots.saturating_mul(2));
    pool.total_gc_heaps(slots);
    pool.max_core_instance_size(64 << 20);
    pool.max_component_instance_size(64 << 20);
    pool.max_tables_per_module(8);
    pool.max_memories_per_module(4);
    pool.table_elements(TABLE_ELEMENTS_MAX);
    pool.max_unused_warm_slots(64);
    pool.linear_memory_keep_resident(KEEP_RESIDENT_BYTES);
    pool.table_keep_resident(16 << 10);
    // Linux tells which pages were touched (6.7 and later): only those are set back, without unmapping them.
    pool.pagemap_scan(Enabled::Auto);
    pool
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_guests_need_are_on_and_the_others_off() {
        let engine = make_engine(8).unwrap();
        let compiles = |text: &str| wasmtime::Module::new(&engine, wat::parse_str(text).unwrap()).is_ok();
        assert!(compiles("(module (tag $t) (func (try_table (catch_all 0) (throw $t))))"), "exceptions");
        assert!(compiles("(module (func (return_call 0)))"), "tail calls");
        assert!(compiles("(module (func (result v128) (v128.const i64x2 0 0)))"), "simd");
        assert!(!compiles("(module (memory 1 1 shared))"), "threads");
        assert!(!compiles("(module (memory i64 1))"), "memory64");
        assert!(!compiles("(module (type (struct)))"), "gc");
    }

    #[test]
    fn places_are_given_back() {
        let engines = Engines::new();
        let places: Vec<_> = (0..TIER_SLOTS[0]).map(|_| engines.place().unwrap()).collect();
        assert!(places.iter().all(|place| place.tier().index == 0));
        drop(places);
        assert_eq!(engines.place().unwrap().tier().index, 0);
    }
}
