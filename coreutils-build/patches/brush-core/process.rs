//! Children, waited for without holding up the shell's other tasks.

use std::sync::{Arc, Mutex, PoisonError};

pub(crate) type ProcessId = i32;

pub(crate) use std::process::ExitStatus;
pub(crate) use std::process::Output;

/// A running child.
pub struct Child {
    pid: u32,
    inner: Arc<Mutex<std::process::Child>>,
}

impl Child {
    /// The child's process id.
    pub fn id(&self) -> Option<u32> {
        Some(self.pid)
    }

    /// Waits for the child to end.
    pub async fn wait(&mut self) -> std::io::Result<ExitStatus> {
        eyot_guest::child_exit(Arc::clone(&self.inner)).await
    }

    /// Waits for the child to end. The shell gives its children their descriptors and never pipes of its own, so there
    /// is no output to collect.
    pub async fn wait_with_output(mut self) -> std::io::Result<Output> {
        let status = self.wait().await?;
        Ok(Output { status, stdout: Vec::new(), stderr: Vec::new() })
    }

    /// Sends a signal.
    pub fn kill(&self) -> std::io::Result<()> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).kill()
    }
}

pub(crate) fn spawn(mut command: std::process::Command) -> std::io::Result<Child> {
    let child = command.spawn()?;
    eyot_guest::note_child(child.id());
    Ok(Child { pid: child.id(), inner: Arc::new(Mutex::new(child)) })
}
