//! Locks on names, so that two calls about one name follow each other while those about others go on.

use std::collections::HashSet;

use eyot_backend::Node;
use parking_lot::{Condvar, Mutex};

type Name = (Node, String);

/// The names that somebody works on.
#[derive(Default)]
pub(crate) struct Names {
    busy: Mutex<HashSet<Name>>,
    changed: Condvar,
}

/// Names that are this call's for as long as it lasts.
pub(crate) struct Claim<'a> {
    names: &'a Names,
    claimed: Vec<Name>,
}

impl Names {
    /// Waits until none of these names is busy, and claims them all at once.
    pub(crate) fn claim(&self, wanted: &[(Node, &str)]) -> Claim<'_> {
        let mut claimed: Vec<Name> = wanted.iter().map(|(dir, name)| (*dir, (*name).to_owned())).collect();
        claimed.dedup();
        let mut busy = self.busy.lock();
        while claimed.iter().any(|name| busy.contains(name)) {
            self.changed.wait(&mut busy);
        }
        busy.extend(claimed.iter().cloned());
        drop(busy);
        Claim { names: self, claimed }
    }
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut busy = self.names.busy.lock();
        for name in &self.claimed {
            busy.remove(name);
        }
        drop(busy);
        self.names.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering::SeqCst};

    use super::*;

    #[test]
    fn a_name_is_one_calls_at_a_time() {
        let (names, inside, most) = (Names::default(), AtomicU32::new(0), AtomicU32::new(0));
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (names, inside, most) = (&names, &inside, &most);
                scope.spawn(move || {
                    for _ in 0..200 {
                        let wanted = if thread % 2 == 0 { [(1, "a"), (1, "b")] } else { [(1, "b"), (1, "a")] };
                        let claim = names.claim(&wanted);
                        most.fetch_max(inside.fetch_add(1, SeqCst) + 1, SeqCst);
                        inside.fetch_sub(1, SeqCst);
                        drop(claim);
                    }
                });
            }
        });
        assert_eq!(most.load(SeqCst), 1);
        assert!(names.busy.lock().is_empty());
    }
}
