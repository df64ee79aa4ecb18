//! What one running JavaScript process keeps beside its isolate.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use crate::artefact::Artefact;
use crate::event_loop::Loop;
use crate::js::{Object, Scope, Value};
use crate::sys::Sys;

macro_rules! roots {
    ($($(#[$doc:meta])* $name:ident $(= $path:literal)?),* $(,)?) => {
        /// JavaScript values that Rust needs again. They live in a snapshot as one array, in this order.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[repr(usize)]
        pub(crate) enum Root { $($(#[$doc])* $name),* }

        impl Root {
            pub(crate) const ALL: &'static [Root] = &[$(Root::$name),*];

            /// The typed array at `path` (`binding.property`) that Rust shares with JavaScript.
            pub(crate) fn aliased(path: &str) -> Option<Root> {
                match path {
                    $($($path => Some(Root::$name),)?)*
                    _ => None,
                }
            }

            const fn is_aliased(self) -> bool {
                match self {
                    $(Root::$name => roots!(@has $($path)?)),*
                }
            }
        }
    };
    (@has) => { false };
    (@has $path:literal) => { true };
}

roots! {
    Process,
    Primordials,
    PrivateSymbols,
    PerContextExports,
    InternalBinding,
    Require,
    TickCallback,
    PromiseRejectCallback,
    PrepareStackTrace,
    EnhanceBeforeInspector,
    EnhanceAfterInspector,
    ProcessImmediate,
    ProcessTimers,
    EmitWarningSync,
    BufferPrototype,
    AsyncHooks,
    AsyncTrampoline,
    ExecutionResources,
    FileHandleClass,
    DirHandleClass,
    ImportDynamically,
    InitImportMeta,
    EnvProxy,
    ExitInfo = "process.exit_info",
    TickInfo = "task_queue.tickInfo",
    ImmediateInfo = "timers.immediateInfo",
    TimeoutInfo = "timers.timeoutInfo",
    AsyncHookFields = "async_wrap.async_hook_fields",
    AsyncIdFields = "async_wrap.async_id_fields",
    AsyncIdStack = "async_wrap.async_ids_stack",
    StatValues = "fs.statValues",
    BigintStatValues = "fs.bigintStatValues",
    StatFsValues = "fs.statFsValues",
    BigintStatFsValues = "fs.bigintStatFsValues",
    Hrtime = "process_methods.hrtimeBuffer",
    EncodeIntoResults = "encoding_binding.encodeIntoResults",
    UrlComponents = "url.urlComponents",
    StreamState = "stream_wrap.streamBaseState",
    Milestones = "performance.milestones",
    HeapStatistics = "v8.heapStatisticsBuffer",
    HeapCodeStatistics = "v8.heapCodeStatisticsBuffer",
    HeapSpaceStatistics = "v8.heapSpaceStatisticsBuffer",
}

/// The memory of a typed array that both sides read and write. The store is held, so the memory outlives a guest that
/// detaches the array.
struct Aliased {
    store: v8::SharedRef<v8::BackingStore>,
    offset: usize,
    len: usize,
}

impl Aliased {
    fn of(v: Value<'_>) -> Option<Self> {
        let view = v.try_cast::<v8::ArrayBufferView>().ok()?;
        Some(Self { store: view.get_backing_store()?, offset: view.byte_offset(), len: view.byte_length() })
    }

    fn at(&self, index: usize, size: usize) -> Option<*mut u8> {
        let start = index.checked_mul(size)?;
        let end = start.checked_add(size)?;
        if end > self.len || self.offset.checked_add(end)? > self.store.byte_length() {
            return None;
        }
        // SAFETY: the element was just checked to lie within the store.
        Some(unsafe { self.store.data()?.as_ptr().cast::<u8>().add(self.offset + start) })
    }
}

/// One JavaScript process.
pub(crate) struct Env {
    pub(crate) artefact: &'static Artefact,
    pub(crate) sys: Sys,
    pub(crate) event_loop: Loop,
    /// Set once the process is to end with this code; from then on no JavaScript runs.
    pub(crate) exit: Cell<Option<i32>>,
    /// Set by the near-heap-limit callback.
    pub(crate) out_of_memory: Cell<bool>,
    /// How many callback scopes are open: the task queues drain when the outermost closes.
    pub(crate) callback_depth: Cell<u32>,
    /// True while a snapshot is made: nothing outside the isolate may be touched.
    pub(crate) building_snapshot: bool,
    /// Code cache for built-ins, by their index in the artefact.
    pub(crate) code_cache: Option<&'static crate::code_cache::CodeCache>,
    /// Built-ins compiled here, kept only while a code cache is being made.
    pub(crate) compiled: RefCell<Vec<(usize, v8::Global<v8::Function>)>>,
    pub(crate) collect_compiled: bool,
    roots: RefCell<Vec<Option<v8::Global<v8::Value>>>>,
    aliased: RefCell<Vec<Option<Aliased>>>,
}

impl Env {
    pub(crate) fn new(artefact: &'static Artefact, sys: Sys) -> Self {
        let n = Root::ALL.len();
        Self {
            artefact,
            sys,
            event_loop: Loop::new(),
            exit: Cell::new(None),
            out_of_memory: Cell::new(false),
            callback_depth: Cell::new(0),
            building_snapshot: false,
            code_cache: None,
            compiled: RefCell::new(Vec::new()),
            collect_compiled: false,
            roots: RefCell::new((0..n).map(|_| None).collect()),
            aliased: RefCell::new((0..n).map(|_| None).collect()),
        }
    }

    pub(crate) fn set_root(&self, scope: &Scope<'_, '_>, root: Root, v: Value<'_>) {
        if root.is_aliased()
            && let Some(slot) = self.aliased.borrow_mut().get_mut(root as usize)
        {
            *slot = Aliased::of(v);
        }
        if let Some(slot) = self.roots.borrow_mut().get_mut(root as usize) {
            *slot = Some(v8::Global::new(scope, v));
        }
    }

    pub(crate) fn root<'s>(&self, scope: &Scope<'s, '_>, root: Root) -> Option<Value<'s>> {
        let roots = self.roots.borrow();
        let g = roots.get(root as usize)?.as_ref()?;
        Some(v8::Local::new(scope, g))
    }

    pub(crate) fn root_function<'s>(&self, scope: &Scope<'s, '_>, root: Root) -> Option<v8::Local<'s, v8::Function>> {
        self.root(scope, root)?.try_cast().ok()
    }

    pub(crate) fn root_object<'s>(&self, scope: &Scope<'s, '_>, root: Root) -> Option<Object<'s>> {
        self.root(scope, root)?.try_cast().ok()
    }

    /// All roots as one array, for a snapshot; the handles are let go.
    pub(crate) fn roots_into_array<'s>(&self, scope: &Scope<'s, '_>) -> v8::Local<'s, v8::Array> {
        let values: Vec<Value<'_>> =
            Root::ALL.iter().map(|r| self.root(scope, *r).unwrap_or_else(|| v8::undefined(scope).into())).collect();
        let array = v8::Array::new_with_elements(scope, &values);
        for slot in self.roots.borrow_mut().iter_mut() {
            *slot = None;
        }
        for slot in self.aliased.borrow_mut().iter_mut() {
            *slot = None;
        }
        array
    }

    /// The other half: takes the roots out of the array that a snapshot carries.
    pub(crate) fn roots_from_array(&self, scope: &Scope<'_, '_>, array: v8::Local<'_, v8::Array>) {
        for (i, root) in (0..).zip(Root::ALL) {
            if let Some(v) = array.get_index(scope, i)
                && !v.is_undefined()
            {
                self.set_root(scope, *root, v);
            }
        }
    }

    fn aliased<T: Copy>(&self, root: Root, index: usize) -> Option<*mut T> {
        let fields = self.aliased.borrow();
        let p = fields.get(root as usize)?.as_ref()?.at(index, size_of::<T>())?;
        Some(p.cast())
    }

    /// Element `index` of a shared typed array; zero when there is none.
    pub(crate) fn read<T: Copy + Default>(&self, root: Root, index: usize) -> T {
        match self.aliased::<T>(root, index) {
            // SAFETY: within live memory, checked by `at`; T is a plain number.
            Some(p) => unsafe { p.read_unaligned() },
            None => T::default(),
        }
    }

    pub(crate) fn write<T: Copy>(&self, root: Root, index: usize, v: T) {
        if let Some(p) = self.aliased::<T>(root, index) {
            // SAFETY: within live memory, checked by `at`; T is a plain number.
            unsafe { p.write_unaligned(v) }
        }
    }

    /// Whether JavaScript may still run.
    pub(crate) fn can_call(&self) -> bool {
        self.exit.get().is_none() && !self.out_of_memory.get()
    }

    /// The exit code that JavaScript asked for through `process.exitCode`, or `default`.
    pub(crate) fn exit_code(&self, default: i32) -> i32 {
        // The fields are kExiting, kExitCode, kHasExitCode.
        if self.read::<i32>(Root::ExitInfo, 2) == 1 { self.read(Root::ExitInfo, 1) } else { default }
    }

    /// Ends the process: no JavaScript runs after this returns to V8.
    pub(crate) fn stop(&self, scope: &Scope<'_, '_>, code: i32) {
        if self.exit.get().is_none() {
            self.exit.set(Some(code));
        }
        scope.terminate_execution();
    }
}

/// The environment of the isolate that is running.
pub(crate) fn env(scope: &Scope<'_, '_>) -> Rc<Env> {
    match scope.get_slot::<Rc<Env>>() {
        Some(e) => Rc::clone(e),
        // Every isolate of this crate gets its slot before any script runs.
        None => unreachable!("the isolate has no environment"),
    }
}
