//! The one list of natives: every function that JavaScript can call in Rust.
//!
//! The order is fixed, because a startup snapshot names callbacks by their place in it. A native's name is the place where
//! Node's library finds it: `binding.function`, `binding.Class` for a constructor, `binding.Class#method` for a method.

use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use crate::js::{self, Args, Ret, Scope};

/// Rust functions with this signature can be natives.
pub(crate) trait Native: for<'s, 'i> Fn(&mut Scope<'s, 'i>, Args<'s>, Ret<'s>) + Copy + 'static {}
impl<F> Native for F where F: for<'s, 'i> Fn(&mut Scope<'s, 'i>, Args<'s>, Ret<'s>) + Copy + 'static {}

pub(crate) struct Registry {
    by_name: HashMap<&'static str, v8::FunctionCallback>,
    order: Vec<(&'static str, v8::FunctionCallback)>,
}

impl Registry {
    pub(crate) fn add<F: Native>(&mut self, name: &'static str, _native: F) {
        let callback: v8::FunctionCallback = trampoline::<F>;
        let previous = self.by_name.insert(name, callback);
        debug_assert!(previous.is_none(), "native {name} is listed twice");
        self.order.push((name, callback));
    }

    pub(crate) fn get(&self, name: &str) -> Option<v8::FunctionCallback> {
        self.by_name.get(name).copied()
    }

    pub(crate) fn callbacks(&self) -> impl Iterator<Item = v8::FunctionCallback> {
        self.order.iter().map(|(_, c)| *c)
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &'static str> {
        self.order.iter().map(|(n, _)| *n)
    }
}

/// The process-wide registry.
pub(crate) fn registry() -> &'static Registry {
    static REGISTRY: OnceLock<Registry> = OnceLock::new();
    REGISTRY.get_or_init(|| {
        let mut r = Registry { by_name: HashMap::new(), order: Vec::new() };
        crate::natives::register(&mut r);
        r
    })
}

/// What V8 calls. A panic must not cross into C++ (it would abort the host): it ends the guest instead.
unsafe extern "C" fn trampoline<F: Native>(info: *const v8::FunctionCallbackInfo) {
    const { assert!(size_of::<F>() == 0, "a native must be a plain function") };
    // SAFETY: F has no size, so reading it reads nothing, and any aligned pointer will do; it is Copy, so nothing is dropped.
    let native: F = unsafe { std::ptr::NonNull::<F>::dangling().read() };
    // SAFETY: V8 passes a valid pointer for the time of the call.
    let info = unsafe { &*info };
    v8::callback_scope!(unsafe scope, info);
    let args = Args::from_function_callback_info(info);
    let ret = Ret::from_function_callback_info(info);
    if catch_unwind(AssertUnwindSafe(|| native(scope, args, ret))).is_err() {
        js::throw_error(scope, "internal error in a native function");
        scope.terminate_execution();
    }
}
