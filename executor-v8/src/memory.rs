//! The memory of a process's buffers: bounded, charged to the VM, and always zeroed.
//!
//! V8's own heap has its own limit (`run.rs`); after each collection its size is charged here. What lies outside of it, the bytes
//! of `ArrayBuffer`s, is counted here as well: an allocation that would pass the limit fails, which JavaScript sees as a
//! `RangeError`.

use std::alloc::{Layout, alloc_zeroed, dealloc};
use std::ffi::c_void;
use std::sync::Arc;

use eyot_kernel::limits::{Charge, Limit};
use eyot_kernel::process::Task;
use parking_lot::Mutex;

/// Charges are moved in steps of this, so that small buffers don't each go to the accountant.
const STEP: u64 = 1 << 20;

/// What a new isolate takes before its first collection tells better.
const HEAP_AT_START: u64 = 8 << 20;

struct State {
    /// Bytes of buffers.
    used: u64,
    /// Bytes of V8's heap at its last collection.
    heap: u64,
    charge: Charge,
}

impl State {
    /// Makes the charge stand for what is used, in steps. False, and nothing changed, when the VM has no more to give.
    fn settle(&mut self) -> bool {
        let need = self.used.saturating_add(self.heap).next_multiple_of(STEP);
        need == self.charge.amount() || self.charge.resize(need).is_ok()
    }
}

/// The account of one process. Buffers that outlive the isolate keep it alive.
pub(crate) struct Account {
    state: Mutex<State>,
    max: u64,
}

impl Account {
    fn take(&self, n: u64) -> bool {
        let mut s = self.state.lock();
        let Some(used) = s.used.checked_add(n).filter(|u| *u <= self.max) else { return false };
        let before = std::mem::replace(&mut s.used, used);
        let fits = s.settle();
        if !fits {
            s.used = before;
        }
        fits
    }

    fn give(&self, n: u64) {
        let mut s = self.state.lock();
        s.used = s.used.saturating_sub(n);
        // Giving back cannot fail.
        s.settle();
    }

    /// Charges V8's heap. False when the VM has no more to give: the process is to end.
    fn set_heap(&self, bytes: u64) -> bool {
        let mut s = self.state.lock();
        s.heap = bytes;
        s.settle()
    }
}

/// A process's memory outside of V8's heap.
pub(crate) struct Memory {
    account: Arc<Account>,
}

impl Memory {
    /// The account of a new process. Errors: `ENOMEM` when the VM has no more to give.
    pub(crate) fn new(task: &Task, max: usize) -> Result<Self, eyot_kernel::Errno> {
        let charge = task.accountant().charge(Limit::MemoryBytes, HEAP_AT_START)?;
        let state = Mutex::new(State { used: 0, heap: HEAP_AT_START, charge });
        Ok(Self { account: Arc::new(Account { state, max: max as u64 }) })
    }

    /// Charges V8's heap, whose size is known after a collection. False when the process is to end.
    pub(crate) fn set_heap(&self, bytes: usize) -> bool {
        self.account.set_heap(bytes as u64)
    }

    pub(crate) fn allocator(&self) -> v8::UniqueRef<v8::Allocator> {
        static VTABLE: v8::RustAllocatorVtable<Account> =
            v8::RustAllocatorVtable { allocate, allocate_uninitialized: allocate, free, drop: release };
        // SAFETY: the handle is an `Arc` of what the table's functions expect; `release` gives it back.
        unsafe { v8::new_rust_allocator(Arc::into_raw(Arc::clone(&self.account)), &VTABLE) }
    }
}

fn layout(len: usize) -> Option<Layout> {
    Layout::from_size_align(len.max(1), 16).ok()
}

unsafe extern "C" fn allocate(account: &Account, len: usize) -> *mut c_void {
    let Some(layout) = layout(len) else { return std::ptr::null_mut() };
    if !account.take(len as u64) {
        return std::ptr::null_mut();
    }
    // SAFETY: the layout is not of size zero.
    let p = unsafe { alloc_zeroed(layout) };
    if p.is_null() {
        account.give(len as u64);
    }
    p.cast()
}

unsafe extern "C" fn free(account: &Account, data: *mut c_void, len: usize) {
    if let Some(layout) = layout(len) {
        // SAFETY: V8 frees what `allocate` gave, with the same length.
        unsafe { dealloc(data.cast(), layout) };
        account.give(len as u64);
    }
}

unsafe extern "C" fn release(account: *const Account) {
    // SAFETY: the pointer came from `Arc::into_raw` in `allocator`, and V8 drops an allocator once.
    drop(unsafe { Arc::from_raw(account) });
}
