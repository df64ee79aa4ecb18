//! Names of hosts: what is being looked up, what was found, and which addresses have which names.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lru::LruCache;
use parking_lot::Mutex;
use smallvec::SmallVec;

use super::outside::{External, Outside};
use crate::Errno;
use crate::backend::{ANSWER_ADDRESSES_MAX, SocketCapabilities};
use crate::policy::network::{Resolvable, host_name};
use crate::wait::{SysError, SysResult};

/// The most lookups and fresh answers of a VM (`EAGAIN`): a guest that looks up without end is slowed down.
const LOOKUPS_MAX: usize = 256;

/// For how long an answer is believed: long enough for those who wait for it together. A network has a cache of its own, which knows the true lifetimes.
const ANSWER_LIFETIME: Duration = Duration::from_secs(1);

/// After how long a lookup that nobody asks for any more is given up.
const LOOKUP_TIME_MAX: Duration = Duration::from_secs(120);

/// The most addresses whose names are remembered. One that is forgotten must be looked up again before it is connected to.
const ADDRESSES_MAX: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");

/// The most names that are remembered of one address.
const NAMES_PER_ADDRESS_MAX: usize = 16;

/// The addresses that stand for names which only the network can look up: 198.18.0.0/15, which is nobody's (RFC 2544).
const STAND_INS: u32 = u32::from_be_bytes([198, 18, 0, 0]);
const STAND_INS_COUNT: u32 = 1 << 17;

type KnownNames = SmallVec<[Arc<str>; 1]>;

enum Lookup {
    Pending(Arc<External>, Instant),
    Done(Result<Arc<[IpAddr]>, Errno>, Instant),
}

struct State {
    lookups: HashMap<String, Lookup>,
    known: LruCache<IpAddr, KnownNames>,
    stand_ins: LruCache<IpAddr, Arc<str>>,
    stand_in_of: HashMap<Arc<str>, IpAddr>,
    next_stand_in: u32,
}

/// The names of a VM's network.
pub(super) struct Names {
    state: Mutex<State>,
}

impl Names {
    pub(super) fn new() -> Self {
        let state = State {
            lookups: HashMap::new(),
            known: LruCache::new(ADDRESSES_MAX),
            stand_ins: LruCache::new(ADDRESSES_MAX),
            stand_in_of: HashMap::new(),
            next_stand_in: 0,
        };
        Self { state: Mutex::new(state) }
    }

    /// The names that an address was found under.
    pub(super) fn of(&self, address: IpAddr) -> KnownNames {
        self.state.lock().known.get(&address.to_canonical()).cloned().unwrap_or_default()
    }

    /// The name that an address stands in for.
    pub(super) fn behind(&self, address: IpAddr) -> Option<Arc<str>> {
        self.state.lock().stand_ins.get(&address).cloned()
    }

    fn stand_in(&self, name: &str) -> IpAddr {
        let mut state = self.state.lock();
        if let Some(&address) = state.stand_in_of.get(name) {
            state.stand_ins.promote(&address);
            return address;
        }
        // Numbers come again only long after they were forgotten: there are more than are remembered.
        state.next_stand_in = (state.next_stand_in + 1) % STAND_INS_COUNT;
        let address = IpAddr::V4(Ipv4Addr::from(STAND_INS + state.next_stand_in));
        let name: Arc<str> = name.into();
        if let Some((_, forgotten)) = state.stand_ins.push(address, name.clone()) {
            state.stand_in_of.remove(&forgotten);
        }
        state.stand_in_of.insert(name, address);
        address
    }

    fn remember(&self, name: &Arc<str>, addresses: &[IpAddr]) {
        let mut state = self.state.lock();
        for address in addresses {
            let names = state.known.get_or_insert_mut(address.to_canonical(), KnownNames::new);
            if !names.contains(name) {
                if names.len() == NAMES_PER_ADDRESS_MAX {
                    names.remove(0);
                }
                names.push(name.clone());
            }
        }
    }
}

/// What needs no network: an address as text, and the VM itself.
pub(super) fn known_without_asking(name: &str) -> Option<Vec<IpAddr>> {
    if let Ok(address) = name.parse::<IpAddr>() {
        return Some(vec![address]);
    }
    let name = host_name(name)?;
    let own = name == "localhost" || name.ends_with(".localhost");
    own.then(|| vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()])
}

impl Outside {
    /// Looks a name up. Errors: `ENOENT`, `EACCES` (also when it has only addresses in special ranges), `EAGAIN`, and the network's.
    pub(super) fn resolve(self: &Arc<Self>, name: &Resolvable) -> SysResult<Vec<IpAddr>> {
        if !self.can(SocketCapabilities::LOOKUPS) {
            let by_name = self.can(SocketCapabilities::NAMES | SocketCapabilities::STREAMS);
            return if by_name { Ok(vec![self.names.stand_in(name.name())]) } else { Err(Errno::Again.into()) };
        }
        let pending = match self.begin(name)? {
            Lookup::Done(answer, _) => return Ok(answer?.to_vec()),
            Lookup::Pending(pending, _) => pending,
        };
        let answer = match pending.answer() {
            Ok(addresses) => self.judge(name, addresses),
            Err(SysError::Errno(errno)) => Err(errno),
            Err(wait) => return Err(wait),
        };
        let done = Lookup::Done(answer.clone(), Instant::now());
        let before = self.names.state.lock().lookups.insert(name.name().to_owned(), done);
        drop(before);
        Ok(answer?.to_vec())
    }

    /// The lookup of a name that is under way or fresh, or else a new one.
    fn begin(self: &Arc<Self>, name: &Resolvable) -> Result<Lookup, Errno> {
        let now = Instant::now();
        let mut stale = Vec::new();
        let mut state = self.names.state.lock();
        let of = |lookup: &Lookup| match lookup {
            Lookup::Pending(_, since) => now.duration_since(*since) < LOOKUP_TIME_MAX,
            Lookup::Done(_, since) => now.duration_since(*since) < ANSWER_LIFETIME,
        };
        if state.lookups.len() >= LOOKUPS_MAX {
            let old: Vec<_> =
                state.lookups.iter().filter(|(_, lookup)| !of(lookup)).map(|(key, _)| key.clone()).collect();
            stale.extend(old.iter().filter_map(|key| state.lookups.remove(key)));
        }
        match state.lookups.get(name.name()) {
            Some(Lookup::Pending(external, since)) if now.duration_since(*since) < LOOKUP_TIME_MAX => {
                return Ok(Lookup::Pending(external.clone(), *since));
            }
            Some(Lookup::Done(answer, since)) if now.duration_since(*since) < ANSWER_LIFETIME => {
                return Ok(Lookup::Done(answer.clone(), *since));
            }
            _ if state.lookups.len() >= LOOKUPS_MAX => return Err(Errno::Again),
            _ => {}
        }
        drop(state);
        drop(stale);
        let external = self.lookup(name)?;
        let lookup = Lookup::Pending(external.clone(), now);
        let before = self.names.state.lock().lookups.insert(name.name().to_owned(), lookup);
        drop(before);
        Ok(Lookup::Pending(external, now))
    }

    /// What is believed of an answer, and remembered.
    fn judge(&self, name: &Resolvable, mut addresses: Vec<IpAddr>) -> Result<Arc<[IpAddr]>, Errno> {
        if addresses.is_empty() {
            return Err(Errno::Io);
        }
        addresses.truncate(ANSWER_ADDRESSES_MAX);
        let all = addresses.len();
        addresses.retain(|&address| self.policy.believes(address));
        if addresses.len() < all {
            tracing::warn!(name = name.name(), "a name leads to addresses that are not public: they are left out");
        }
        if addresses.is_empty() {
            return Err(Errno::Acces);
        }
        self.names.remember(&name.name().into(), &addresses);
        Ok(addresses.into())
    }
}
