//! Signals of the host, handed on to the VM.

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

/// Calls `deliver` with the number of each SIGINT, SIGTERM and SIGHUP that arrives from now on. SIGQUIT keeps its own
/// effect: it ends the command at once, whatever the guest does.
pub fn forward(deliver: impl Fn(u8) + Send + 'static) -> std::io::Result<()> {
    let mut signals = Signals::new([SIGINT, SIGTERM, SIGHUP])?;
    std::thread::Builder::new().name("eyot-signals".into()).spawn(move || {
        for signal in signals.forever() {
            if let Ok(number) = u8::try_from(signal) {
                deliver(number);
            }
        }
    })?;
    Ok(())
}
