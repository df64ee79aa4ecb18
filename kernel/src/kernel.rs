//! What the processes of one VM share.

use std::sync::Arc;

use crate::clock::Clock;
use crate::limits::Accountant;
use crate::net::Net;
use crate::policy::Policy;
use crate::process::{Executor, ProcessTable};
use crate::vfs::Vfs;

/// The state of one VM. Everything a guest reaches, it reaches from here.
pub(crate) struct Kernel {
    pub(crate) vfs: Vfs,
    pub(crate) processes: Arc<ProcessTable>,
    pub(crate) accountant: Arc<Accountant>,
    pub(crate) policy: Policy,
    pub(crate) executors: Vec<Arc<dyn Executor>>,
    pub(crate) clock: Clock,
    pub(crate) net: Arc<Net>,
}
