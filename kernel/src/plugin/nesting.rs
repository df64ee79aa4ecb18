//! Components below components: each needs a stack of its own.
//!
//! A call is quickest on its caller's stack. But that stack may be a guest's fiber, laid out for one component's calls on top of the kernel's: when a
//! component's layer is a component too, the second one runs on a stack that is made for the call.

use std::cell::Cell;

thread_local! {
    /// How many components of this thread are waiting for a layer.
    static DEPTH: Cell<u32> = const { Cell::new(0) };
}

/// While a component calls a layer.
pub(super) struct Below(());

impl Below {
    pub(super) fn enter() -> Self {
        DEPTH.set(DEPTH.get().saturating_add(1));
        Self(())
    }
}

impl Drop for Below {
    fn drop(&mut self) {
        DEPTH.set(DEPTH.get().saturating_sub(1));
    }
}

/// Whether the caller is a component.
pub(super) fn is_below() -> bool {
    DEPTH.get() > 0
}
