//! What of the outside a VM may reach: rules by host name, address and port.
//!
//! Without a rule that allows it, nothing is reached. The last rule that matches wins. A name is allowed by name, and the addresses it was found to have count as allowed for the same
//! ports - unless they are not public: what lies in a private, local or otherwise special range is reached only by a rule that names such addresses. So no name that somebody else
//! answers for leads into the host's own networks. (The VM's loopback is not the outside, and asks nobody.)

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::sync::Arc;

use ipnet::IpNet;

use super::Verdict;
use crate::Errno;

/// What a rule is about.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Target {
    /// Every public address, and every name.
    Public,
    /// A host of this name.
    Host(String),
    /// Every host whose name ends in a dot and this.
    Below(String),
    /// Addresses, special ones included.
    Net(IpNet),
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NetworkRule {
    verdict: Verdict,
    target: Target,
    ports: RangeInclusive<u16>,
}

/// A rule that cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text}: {why}; write a host, *.domain, an address, a network such as 10.0.0.0/8, or * for everything public, and :port or :first-last if not all ports"
)]
pub struct NetworkRuleError {
    text: String,
    why: &'static str,
}

impl NetworkRule {
    /// A rule for what `text` says: `example.com:443`, `*.example.com`, `10.1.0.0/16:5432`, `[2001:db8::/32]:80-90`, `*` (every public address).
    pub fn new(verdict: Verdict, text: &str) -> Result<Self, NetworkRuleError> {
        let fail = |why| NetworkRuleError { text: text.to_owned(), why };
        let (target, ports) = split(text).ok_or_else(|| fail("a [ without its ]"))?;
        let ports = match ports {
            None => 0..=u16::MAX,
            Some(ports) => parse_ports(ports).ok_or_else(|| fail("no port"))?,
        };
        Ok(Self { verdict, target: parse_target(target).ok_or_else(|| fail("no host and no network"))?, ports })
    }

    /// As [`new`](Self::new), allowing.
    pub fn allow(text: &str) -> Result<Self, NetworkRuleError> {
        Self::new(Verdict::Allow, text)
    }

    /// As [`new`](Self::new), denying.
    pub fn deny(text: &str) -> Result<Self, NetworkRuleError> {
        Self::new(Verdict::Deny, text)
    }

    fn matches_name(&self, name: &str) -> bool {
        match &self.target {
            Target::Public => true,
            Target::Host(host) => host == name,
            Target::Below(domain) => name.strip_suffix(domain.as_str()).is_some_and(|rest| rest.ends_with('.')),
            Target::Net(_) => false,
        }
    }

    fn matches(&self, address: SocketAddr, names: &[Arc<str>]) -> bool {
        self.ports.contains(&address.port())
            && match &self.target {
                // A denied network is denied whatever it holds.
                Target::Public => self.verdict == Verdict::Deny || is_public(address.ip()),
                Target::Host(_) | Target::Below(_) => {
                    (self.verdict == Verdict::Deny || is_public(address.ip()))
                        && names.iter().any(|name| self.matches_name(name))
                }
                Target::Net(net) => net.contains(&address.ip()),
            }
    }
}

impl FromStr for NetworkRule {
    type Err = NetworkRuleError;

    /// An allowing rule, or with a `!` before it a denying one.
    fn from_str(text: &str) -> Result<Self, NetworkRuleError> {
        match text.strip_prefix('!') {
            Some(rest) => Self::deny(rest),
            None => Self::allow(text),
        }
    }
}

/// The target and the ports of a rule's text.
fn split(text: &str) -> Option<(&str, Option<&str>)> {
    if let Some(rest) = text.strip_prefix('[') {
        let (target, rest) = rest.split_once(']')?;
        return match rest.strip_prefix(':') {
            Some(ports) => Some((target, Some(ports))),
            None => rest.is_empty().then_some((target, None)),
        };
    }
    // More than one colon: IPv6 without a port.
    match text.split_once(':') {
        Some((target, ports)) if !ports.contains(':') => Some((target, Some(ports))),
        _ => Some((text, None)),
    }
}

fn parse_ports(text: &str) -> Option<RangeInclusive<u16>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (first.parse().ok()?, last.parse().ok()?);
    (first <= last).then_some(first..=last)
}

fn parse_target(text: &str) -> Option<Target> {
    if text == "*" {
        return Some(Target::Public);
    }
    if let Ok(net) = text.parse::<IpNet>() {
        return Some(Target::Net(net.trunc()));
    }
    if let Ok(address) = text.parse::<IpAddr>() {
        return Some(Target::Net(IpNet::from(address)));
    }
    match text.strip_prefix("*.") {
        Some(domain) => host_name(domain).map(Target::Below),
        None => host_name(text).map(Target::Host),
    }
}

/// A host's name as it is compared: lower case, without the dot at its end. None: it is no name.
pub fn host_name(text: &str) -> Option<String> {
    let text = text.strip_suffix('.').unwrap_or(text);
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    (text.len() <= 253 && text.split('.').all(label)).then(|| text.to_ascii_lowercase())
}

/// The proof that an address may be reached, and which.
#[derive(Clone, Copy, Debug)]
pub struct Reachable(SocketAddr);

impl Reachable {
    /// An address that the embedder named itself, as the end of a redirection.
    pub(crate) fn granted(address: SocketAddr) -> Self {
        tracing::debug!(%address, "reached by a redirection");
        Self(address)
    }

    /// The address.
    pub fn address(self) -> SocketAddr {
        self.0
    }
}

/// The proof that a name may be looked up.
#[derive(Clone, Debug)]
pub struct Resolvable(String);

impl Resolvable {
    /// The name, in lower case.
    pub fn name(&self) -> &str {
        &self.0
    }
}

/// The rules of a VM's network.
///
/// ```
/// use eyot_kernel::policy::network::{NetworkPolicy, NetworkRule};
/// let policy = NetworkPolicy::new(vec![NetworkRule::allow("example.com:443").unwrap()]);
/// assert!(policy.check_name("Example.com.").is_ok());
/// assert!(policy.check_name("example.org").is_err());
/// let address = "93.184.215.14:443".parse().unwrap();
/// assert!(policy.check(address, &[]).is_err());
/// assert!(policy.check(address, &["example.com".into()]).is_ok());
/// assert!(policy.check("10.0.0.1:443".parse().unwrap(), &["example.com".into()]).is_err(), "no way into private networks");
/// ```
#[derive(Clone, Debug, Default)]
pub struct NetworkPolicy {
    rules: Vec<NetworkRule>,
}

impl NetworkPolicy {
    /// A policy of these rules, in order.
    pub fn new(rules: Vec<NetworkRule>) -> Self {
        Self { rules }
    }

    /// Checks an address that is known by `names`. Errors: `EACCES`.
    pub fn check(&self, address: SocketAddr, names: &[Arc<str>]) -> Result<Reachable, Errno> {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        if self.allows(address, names) {
            return Ok(Reachable(address));
        }
        tracing::info!(%address, ?names, "denied by the network's policy");
        Err(Errno::Acces)
    }

    /// As [`check`](Self::check), without a word in the log: for what strangers send.
    pub fn allows(&self, address: SocketAddr, names: &[Arc<str>]) -> bool {
        let address = SocketAddr::new(address.ip().to_canonical(), address.port());
        let last = self.rules.iter().rev().find(|rule| rule.matches(address, names));
        last.is_some_and(|rule| rule.verdict == Verdict::Allow)
    }

    /// A host behind a network that looks names up itself: checked by its name alone, since nobody here sees its address. Errors: `EACCES`.
    pub fn check_host(&self, name: &str, port: u16) -> Result<Resolvable, Errno> {
        let name = host_name(name).ok_or(Errno::Noent)?;
        let matches = |rule: &&NetworkRule| rule.ports.contains(&port) && rule.matches_name(&name);
        match self.rules.iter().rev().find(matches) {
            Some(rule) if rule.verdict == Verdict::Allow => Ok(Resolvable(name)),
            _ => {
                tracing::info!(name, port, "denied by the network's policy");
                Err(Errno::Acces)
            }
        }
    }

    /// Checks whether a name may be looked up: some port of it must be allowed. Errors: `EACCES`, `ENOENT` when it is no name.
    pub fn check_name(&self, name: &str) -> Result<Resolvable, Errno> {
        let name = host_name(name).ok_or(Errno::Noent)?;
        for rule in self.rules.iter().rev().filter(|rule| rule.matches_name(&name)) {
            match rule.verdict {
                Verdict::Allow => return Ok(Resolvable(name)),
                Verdict::Deny if rule.ports == (0..=u16::MAX) => break,
                Verdict::Deny => {}
            }
        }
        tracing::info!(name, "looking a name up is denied by the network's policy");
        Err(Errno::Acces)
    }

    /// Whether some rule could let an address be reached that a name was found to have: public ones, and special ones that a rule names.
    pub fn believes(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        is_public(address)
            || self.rules.iter().any(|rule| {
                rule.verdict == Verdict::Allow && matches!(&rule.target, Target::Net(net) if net.contains(&address))
            })
    }
}

/// Whether an address belongs to the public internet: not to the host, its networks, a carrier's, or to a range with a meaning of its own
/// (the special-purpose registries of IANA). Addresses of IPv6 that stand for one of IPv4 are judged by that one.
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    !(a == 0
        || address.is_private()
        || address.is_loopback()
        || address.is_link_local()
        || address.is_documentation()
        || (a == 100 && (64..128).contains(&b))
        || (a == 192 && b == 0 && c == 0)
        || (a == 192 && b == 88 && c == 99)
        || (a == 198 && (b == 18 || b == 19))
        || a >= 224)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let groups = address.segments();
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match groups {
        // NAT64 and 6to4 lead to an address of IPv4.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] | [0x2002, high, low, ..] => embedded(high, low),
        // Teredo, documentation, and other assignments for protocols.
        [0x2001, second, ..] if second < 0x200 || second == 0xdb8 => false,
        [0x3fff, second, ..] if second < 0x1000 => false,
        // Only 2000::/3 is given out.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(rules: &[&str]) -> NetworkPolicy {
        NetworkPolicy::new(rules.iter().map(|rule| rule.parse().unwrap()).collect())
    }

    fn reaches(policy: &NetworkPolicy, address: &str, names: &[&str]) -> bool {
        let names: Vec<Arc<str>> = names.iter().map(|&name| name.into()).collect();
        policy.check(address.parse().unwrap(), &names).is_ok()
    }

    #[test]
    fn nothing_is_reached_without_a_rule() {
        let none = policy(&[]);
        assert!(!reaches(&none, "8.8.8.8:53", &["dns.google"]));
        assert!(none.check_name("dns.google").is_err());
    }

    #[test]
    fn the_last_rule_that_matches_wins() {
        let policy = policy(&["*", "!8.8.0.0/16", "8.8.8.8:53", "!evil.example", "10.0.0.0/8:5432"]);
        assert!(reaches(&policy, "1.1.1.1:80", &[]));
        assert!(!reaches(&policy, "8.8.4.4:53", &[]));
        assert!(reaches(&policy, "8.8.8.8:53", &[]));
        assert!(!reaches(&policy, "8.8.8.8:54", &[]));
        assert!(!reaches(&policy, "1.1.1.1:80", &["evil.example"]));
        assert!(policy.check_name("evil.example").is_err() && policy.check_name("good.example").is_ok());
        assert!(reaches(&policy, "10.1.2.3:5432", &[]) && !reaches(&policy, "10.1.2.3:80", &[]));
    }

    #[test]
    fn names_do_not_lead_into_special_ranges() {
        let policy = policy(&["*", "inside.example", "*.example.net:80", "192.168.7.0/24"]);
        for special in [
            "127.0.0.1",
            "10.0.0.1",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "192.0.2.1",
            "::1",
            "::",
            "fe80::1",
            "fc00::1",
            "ff02::1",
            "::ffff:10.0.0.1",
            "64:ff9b::10.0.0.1",
            "2002:a00:1::",
            "2001:db8::1",
            "2001::1",
            "::127.0.0.1",
        ] {
            let address = SocketAddr::new(special.parse().unwrap(), 80);
            assert!(policy.check(address, &["inside.example".into()]).is_err(), "{special}");
            assert!(!policy.believes(address.ip()), "{special}");
        }
        assert!(reaches(&policy, "192.168.7.9:80", &[]) && policy.believes("192.168.7.9".parse().unwrap()));
        assert!(reaches(&policy, "[2606:4700::1]:80", &[]) && reaches(&policy, "[64:ff9b::8.8.8.8]:1", &[]));
        assert!(reaches(&policy, "[::ffff:8.8.8.8]:80", &[]));
    }

    #[test]
    fn suffixes_end_at_a_dot_and_ports_are_ranges() {
        let policy = policy(&["*.example.net:80-90", "[2001:db8::/32]:1"]);
        assert!(reaches(&policy, "1.1.1.1:85", &["a.b.example.net"]));
        assert!(!reaches(&policy, "1.1.1.1:91", &["a.b.example.net"]));
        assert!(!reaches(&policy, "1.1.1.1:85", &["example.net"]));
        assert!(!reaches(&policy, "1.1.1.1:85", &["badexample.net"]));
        assert!(reaches(&policy, "[2001:db8:1::]:1", &[]));
        assert!(policy.check_host("x.example.net", 80).is_ok() && policy.check_host("x.example.net", 79).is_err());
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for text in ["", ":80", "a b", "[::1", "[::1]80", "host:x", "host:9-8", "host:70000", "*.", "-..x"] {
            assert!(text.parse::<NetworkRule>().is_err(), "{text}");
        }
        assert_eq!(host_name("WWW.Example.COM.").as_deref(), Some("www.example.com"));
        assert_eq!(host_name(&"a".repeat(64)), None);
    }
}
