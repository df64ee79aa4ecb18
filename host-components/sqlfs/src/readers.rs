//! The connections that read what is committed.

use std::sync::atomic::{AtomicUsize, Ordering};

use parking_lot::Mutex;
use rusqlite::Connection;

pub(crate) struct Readers {
    connections: Vec<Mutex<Connection>>,
    next: AtomicUsize,
}

impl Readers {
    /// At least one connection.
    pub(crate) fn new(connections: Vec<Connection>) -> Self {
        Self { connections: connections.into_iter().map(Mutex::new).collect(), next: AtomicUsize::new(0) }
    }

    /// Runs `read` on a connection that nobody uses, or on the next one when it is free. Each statement sees what was committed before it
    /// began.
    pub(crate) fn with<T>(&self, read: impl FnOnce(&Connection) -> crate::error::Res<T>) -> crate::error::Res<T> {
        for connection in &self.connections {
            if let Some(connection) = connection.try_lock() {
                return read(&connection);
            }
        }
        let next = self.next.fetch_add(1, Ordering::Relaxed) % self.connections.len().max(1);
        let connection = self.connections.get(next).ok_or(eyot_backend::Errno::Io)?;
        read(&connection.lock())
    }
}
