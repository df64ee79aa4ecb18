//! What there is to wait by.

mod bindings {
    wit_bindgen::generate!({
        path: "../../wit/deps/clocks-0.3.0",
        inline: "package eyot:delayfs; world waits { import wasi:clocks/monotonic-clock@0.3.0; }",
        generate_all,
    });
}

use std::time::Duration;

/// Waits. No time at all is no wait.
pub(crate) async fn wait(time: Duration) {
    if !time.is_zero() {
        let ns = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        bindings::wasi::clocks::monotonic_clock::wait_for(ns).await;
    }
}
