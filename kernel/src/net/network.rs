//! What an embedder grants: a network, and rules.

use std::net::SocketAddr;
use std::sync::Arc;

use crate::backend::{SocketKind, Sockets};
use crate::policy::network::{NetworkRule, NetworkRuleError};

/// The network of a VM. By default there is none but the VM's own loopback.
///
/// ```no_run
/// # fn grant(hostnet: std::sync::Arc<dyn eyot_kernel::backend::Sockets>) -> Result<(), Box<dyn std::error::Error>> {
/// use eyot_kernel::net::Network;
/// let network = Network::of(hostnet)
///     .allow("example.com:443")?
///     .allow("*.crates.io:443")?
///     .redirect("10.0.2.2:5432".parse()?, "127.0.0.1:5432".parse()?);
/// let vm = eyot_kernel::Vm::builder().network(network);
/// # Ok(()) }
/// ```
#[derive(Clone, Default)]
pub struct Network {
    pub(super) sockets: Option<Arc<dyn Sockets>>,
    pub(super) rules: Vec<NetworkRule>,
    pub(super) redirects: Vec<(SocketAddr, SocketAddr)>,
    pub(super) published: Vec<Published>,
}

/// A port of the VM that can be reached from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Published {
    pub(super) kind: SocketKind,
    pub(super) port: u16,
    pub(super) outside: SocketAddr,
}

impl Network {
    /// No network but the loopback.
    pub fn none() -> Self {
        Self::default()
    }

    /// A network over `sockets`, of which nothing may be reached until rules say so. One VM for each: its news of readiness go to the one that took it last.
    pub fn of(sockets: Arc<dyn Sockets>) -> Self {
        Self { sockets: Some(sockets), ..Self::default() }
    }

    /// Adds a rule; the last one that matches wins.
    pub fn rule(mut self, rule: NetworkRule) -> Self {
        self.rules.push(rule);
        self
    }

    /// Adds a rule that allows: see [`NetworkRule::new`].
    pub fn allow(self, text: &str) -> Result<Self, NetworkRuleError> {
        Ok(self.rule(NetworkRule::allow(text)?))
    }

    /// Adds a rule that denies.
    pub fn deny(self, text: &str) -> Result<Self, NetworkRuleError> {
        Ok(self.rule(NetworkRule::deny(text)?))
    }

    /// Leads what guests send to `from` to `to`, which needs no rule: how a server on the host's own loopback is reached. (A loopback address as `from` is of no use: it stays in the VM.)
    pub fn redirect(mut self, from: SocketAddr, to: SocketAddr) -> Self {
        self.redirects.push((from, to));
        self
    }

    /// Lets what comes to `outside` reach the socket that has the port `port` in the VM, once there is one that is bound to no address in particular. With port 0 the network chooses.
    pub fn publish(mut self, kind: SocketKind, port: u16, outside: SocketAddr) -> Self {
        self.published.push(Published { kind, port, outside });
        self
    }
}
