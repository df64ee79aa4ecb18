//! The filesystem under test, as a case has it.

use std::collections::VecDeque;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use eyot_backend::{Capabilities, Errno, Filesystem, FilesystemInfo, Node, Ownership, RenameFlags};

use crate::calls::{Brief, Call};
use crate::faulty::Faulty;
use crate::options::Kept;
use crate::random::Random;
use crate::verdict::fail;

/// Who owns what the kit makes.
pub(crate) const OWNER: Ownership = Ownership { mode: 0o644, uid: 1000, gid: 1000 };
/// Who owns the directories that the kit makes.
pub(crate) const DIR_OWNER: Ownership = Ownership { mode: 0o755, ..OWNER };
pub(crate) const NONE: RenameFlags = RenameFlags::empty();

/// How many of the last calls are told with a failure.
const CALLS_TOLD_MAX: usize = 8;

/// Asks for another fresh filesystem.
pub(crate) struct FreshRequest(pub(crate) Sender<Made>);

/// A fresh filesystem, and what can be made to fail under it.
#[derive(Clone)]
pub(crate) struct Made {
    pub(crate) fs: Arc<dyn Filesystem>,
    pub(crate) faults: Option<Arc<Faulty>>,
}

/// The filesystem under test.
pub struct Subject {
    pub(crate) fs: Arc<dyn Filesystem>,
    pub(crate) faults: Option<Arc<Faulty>>,
    pub(crate) info: FilesystemInfo,
    /// An empty directory: the root, or one beside the tree that was there.
    pub(crate) root: Node,
    pub(crate) capabilities: Capabilities,
    pub(crate) settings: Settings,
    pub(crate) fresh: Sender<FreshRequest>,
    calls: Mutex<VecDeque<String>>,
}

/// What the options say to a case.
#[derive(Clone, Copy)]
pub(crate) struct Settings {
    pub seed: u64,
    pub long: bool,
    pub deadline: Duration,
    pub kept: Option<Kept>,
    pub bytes_max: Option<u64>,
}

impl Subject {
    pub(crate) fn new(made: Made, settings: Settings, fresh: Sender<FreshRequest>) -> Self {
        let Made { fs, faults } = made;
        let info = fs.info();
        let (root, capabilities) = (info.root, info.capabilities);
        let mut subject = Self { fs, faults, info, root, capabilities, settings, fresh, calls: Mutex::default() };
        if settings.kept.is_some() && capabilities.contains(Capabilities::WRITABLE) {
            subject.root = subject.dir(root, "kit-work").node;
            subject.calls.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
        subject
    }

    /// Another filesystem like this one.
    pub(crate) fn another(&self) -> Subject {
        let (sender, receiver) = channel();
        let asked = self.fresh.send(FreshRequest(sender));
        match asked.ok().and_then(|()| receiver.recv().ok()) {
            Some(made) => Subject::new(made, self.settings, self.fresh.clone()),
            None => fail("the kit has given this case up"),
        }
    }

    pub(crate) fn has(&self, capabilities: Capabilities) -> bool {
        self.capabilities.contains(capabilities)
    }

    /// A smaller number for the short form, and a larger one for the long.
    pub(crate) fn rounds(&self, short: usize, long: usize) -> usize {
        if self.settings.long { long } else { short }
    }

    pub(crate) fn random(&self) -> Random {
        Random::new(self.settings.seed)
    }

    /// The last calls, oldest first.
    pub(crate) fn calls(&self) -> Vec<String> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    pub(crate) fn call<T: Brief>(&self, what: String, result: Result<T, Errno>) -> Call<T> {
        let answer = match &result {
            Ok(answer) => answer.brief(),
            Err(errno) => errno.name().to_owned(),
        };
        let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
        if calls.len() >= CALLS_TOLD_MAX {
            calls.pop_front();
        }
        calls.push_back(format!("{what} = {answer}"));
        drop(calls);
        Call { what, result }
    }
}
