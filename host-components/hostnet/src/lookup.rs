//! Names, looked up by the host's resolver, which blocks: on threads of their own, a few for the whole process.

use std::collections::VecDeque;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::{Arc, Weak};
use std::time::Duration;

use eyot_backend::{Errno, SocketId, SocketReadiness};
use parking_lot::{Condvar, Mutex};

use super::Shared;

/// How many names are looked up at once.
const THREADS_MAX: usize = 4;

/// How many may wait for a thread (`EAGAIN`).
const WAITING_MAX: usize = 256;

/// For how long a thread without work stays.
const IDLE: Duration = Duration::from_secs(10);

/// A name that is looked up.
pub(crate) struct Lookup {
    name: String,
    answer: Mutex<Option<Result<Vec<IpAddr>, Errno>>>,
}

struct Job {
    id: SocketId,
    lookup: Weak<Lookup>,
    owner: Weak<Shared>,
}

#[derive(Default)]
struct Queue {
    jobs: VecDeque<Job>,
    threads: usize,
    idle: usize,
}

static QUEUE: Mutex<Queue> = Mutex::new(Queue { jobs: VecDeque::new(), threads: 0, idle: 0 });
static WORK: Condvar = Condvar::new();

impl Lookup {
    pub(crate) fn new(name: String) -> Self {
        Self { name, answer: Mutex::new(None) }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.answer.lock().is_some()
    }

    pub(crate) fn answer(&self) -> Result<Vec<IpAddr>, Errno> {
        self.answer.lock().clone().unwrap_or(Err(Errno::Again))
    }

    fn run(&self) {
        let found = match (self.name.as_str(), 0).to_socket_addrs() {
            Ok(found) => {
                let mut addresses: Vec<IpAddr> = Vec::new();
                for address in found {
                    if !addresses.contains(&address.ip()) {
                        addresses.push(address.ip());
                    }
                }
                if addresses.is_empty() { Err(Errno::Noent) } else { Ok(addresses) }
            }
            // The resolver tells why only in words: a name that it does not find is by far the usual reason.
            Err(_) => Err(Errno::Noent),
        };
        *self.answer.lock() = Some(found);
    }
}

/// Has a name looked up. Errors: `EAGAIN` (too many wait), and the host's when it gives no thread.
pub(crate) fn begin(id: SocketId, lookup: Arc<Lookup>, owner: &Arc<Shared>) -> Result<(), Errno> {
    let mut queue = QUEUE.lock();
    if queue.jobs.len() >= WAITING_MAX {
        return Err(Errno::Again);
    }
    if queue.idle == 0 && queue.threads < THREADS_MAX {
        match std::thread::Builder::new().name("eyot-lookup".into()).spawn(work) {
            Ok(_) => queue.threads += 1,
            Err(error) if queue.threads == 0 => return Err(Errno::from(&error)),
            // Those that there are do it.
            Err(_) => {}
        }
    }
    queue.jobs.push_back(Job { id, lookup: Arc::downgrade(&lookup), owner: Arc::downgrade(owner) });
    drop(queue);
    WORK.notify_one();
    Ok(())
}

fn work() {
    let mut queue = QUEUE.lock();
    loop {
        while let Some(job) = queue.jobs.pop_front() {
            drop(queue);
            // Closed meanwhile: nobody wants to know.
            if let Some(lookup) = job.lookup.upgrade() {
                lookup.run();
                if let Some(owner) = job.owner.upgrade() {
                    owner.tell(job.id, SocketReadiness::READABLE);
                }
            }
            queue = QUEUE.lock();
        }
        queue.idle += 1;
        let waited = WORK.wait_for(&mut queue, IDLE);
        queue.idle -= 1;
        if waited.timed_out() && queue.jobs.is_empty() {
            queue.threads -= 1;
            return;
        }
    }
}
