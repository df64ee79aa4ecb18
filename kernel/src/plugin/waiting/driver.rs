//! Who runs an instance: whoever has something for it to do.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicIsize, AtomicUsize, Ordering::Relaxed, Ordering::SeqCst, fence};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Instant;

use parking_lot::Mutex;
use tokio::sync::Notify;
use wasmtime::component::{Accessor, AccessorTask, ComponentNamedList, Lift, Lower};
use wasmtime::{Error, Store};

use super::admission::{Admission, CALLS_MAX, Permit};
use super::budget::Budget;
use super::exports::{Begun, Guest};
use super::reply::Answer;
use crate::plugin::load::{HostState, reason};
use crate::runtime;

/// The most calls that are begun in one step, so that a step ends even when calls never cease to come.
const BEGUN_PER_STEP: usize = 32;
/// The most calls that were given up and may still hold their place. With more the instance is of no use.
const GIVEN_UP_MAX: isize = CALLS_MAX as isize / 2;

/// The life of an instance.
pub(super) type Life = Pin<Box<dyn Future<Output = End> + Send>>;

/// How a life ended: why, and what is left of it. Who waits for an answer learns that there will be none when that is dropped, which is after the end has been told.
pub(super) struct End {
    pub(super) error: Error,
    pub(super) left: Option<Store<HostState>>,
}

/// A call that is to be begun.
pub(super) trait Job: Send {
    /// Begins it, inside the event loop.
    fn begin(self: Box<Self>, accessor: &Accessor<HostState>, guest: &Guest) -> wasmtime::Result<()>;
}

/// Runs one instance.
pub(super) struct Driver {
    name: String,
    life: Mutex<Option<(Life, Budget)>>,
    /// Set by who found `life` locked: there is something new to see.
    again: AtomicBool,
    /// Tells the driver's task that something has come that the instance waits for.
    woken: Notify,
    queue: Mutex<VecDeque<Box<dyn Job>>>,
    pub(super) admission: Arc<Admission>,
    /// How many calls may still be begun in this step.
    room: AtomicUsize,
    /// Whether a call has been finished since this was last looked at.
    finished: AtomicBool,
    /// Calls that nobody waits for any more. Below zero for a moment when one is answered before its caller has counted it.
    given_up: AtomicIsize,
    /// Whether it serves, so that its end is worth a message.
    serves: AtomicBool,
    /// Whether nobody needs it any more.
    closed: AtomicBool,
    /// Why it ended, once it did.
    ended: Mutex<Option<String>>,
    retired: AtomicBool,
}

impl Driver {
    /// A driver without anything to drive.
    pub(super) fn new(name: String) -> Self {
        Self {
            name,
            life: Mutex::new(None),
            again: AtomicBool::new(false),
            woken: Notify::new(),
            queue: Mutex::default(),
            admission: Arc::default(),
            room: AtomicUsize::new(0),
            finished: AtomicBool::new(false),
            given_up: AtomicIsize::new(0),
            serves: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            ended: Mutex::default(),
            retired: AtomicBool::new(false),
        }
    }

    /// Begins a life, on the kernel's runtime.
    pub(super) fn start(self: &Arc<Self>, life: Life, budget: Budget) {
        *self.life.lock() = Some((life, budget));
        self.woken.notify_one();
        let driver = self.clone();
        runtime::spawn(async move {
            while !driver.is_over() {
                driver.woken.notified().await;
                driver.run(false);
            }
        });
    }

    fn is_over(&self) -> bool {
        self.retired.load(Relaxed)
    }

    pub(super) fn is_retired(&self) -> bool {
        self.is_over()
    }

    /// Why it ended.
    pub(super) fn ended(&self) -> Option<String> {
        self.ended.lock().clone()
    }

    /// From now on it serves.
    pub(super) fn serve(&self) {
        self.serves.store(true, Relaxed);
    }

    /// Something came to its end.
    pub(super) fn finished(&self) {
        self.finished.store(true, Relaxed);
    }

    /// Puts a call into the queue, and runs the instance unless another thread does: it is then that thread, or the driver's task, that goes on.
    pub(super) fn put(self: &Arc<Self>, job: Box<dyn Job>) {
        self.queue.lock().push_back(job);
        self.run(true);
    }

    /// A call was given up by its caller; it still has its place.
    pub(super) fn give_up(self: &Arc<Self>) {
        if self.given_up.fetch_add(1, Relaxed) + 1 >= GIVEN_UP_MAX {
            self.run(true);
        }
    }

    /// Ends it, for nobody needs it any more.
    pub(super) fn close(self: &Arc<Self>) {
        self.closed.store(true, Relaxed);
        self.run(true);
    }

    /// Runs the instance until there is nothing to do. A `passer_by` leaves what is left to the driver's task.
    fn run(self: &Arc<Self>, passer_by: bool) {
        loop {
            let Some(mut life) = self.life.try_lock() else {
                self.again.store(true, Relaxed);
                // Who holds it looks at `again` after letting go; if that was before it was set, it can be locked now.
                fence(SeqCst);
                match self.life.try_lock() {
                    Some(_) => continue,
                    None => return,
                }
            };
            self.again.store(false, Relaxed);
            fence(SeqCst);
            let dead = self.step(&mut life);
            drop(life);
            // Its parts wake those who wait for them, and may be large.
            drop(dead);
            fence(SeqCst);
            if !self.again.load(Relaxed) || self.is_over() {
                return;
            }
            if passer_by {
                self.woken.notify_one();
                return;
            }
        }
    }

    /// Polls the life once. Answers it when it is over.
    fn step(self: &Arc<Self>, slot: &mut Option<(Life, Budget)>) -> Option<(Life, Option<Store<HostState>>)> {
        let (life, budget) = slot.as_mut()?;
        let mut left = None;
        let end = if self.closed.load(Relaxed) {
            Some("it is not needed any more".to_owned())
        } else if self.given_up.load(Relaxed) >= GIVEN_UP_MAX {
            Some(format!("{GIVEN_UP_MAX} calls were given up and are still not answered"))
        } else {
            self.poll(life, budget, &mut left)
        };
        let end = end?;
        let dead = slot.take().map(|(life, _)| (life, left));
        self.retire(end);
        dead
    }

    fn poll(
        self: &Arc<Self>,
        life: &mut Life,
        budget: &mut Budget,
        left: &mut Option<Store<HostState>>,
    ) -> Option<String> {
        self.room.store(BEGUN_PER_STEP, Relaxed);
        let waker = Waker::from(self.clone());
        let _entered = runtime::enter();
        let begin = Instant::now();
        let polled = catch_unwind(AssertUnwindSafe(|| life.as_mut().poll(&mut Context::from_waker(&waker))));
        match polled {
            Ok(Poll::Ready(end)) => {
                *left = end.left;
                return Some(reason(&end.error));
            }
            Ok(Poll::Pending) => {}
            Err(_) => return Some("the engine failed".into()),
        }
        let finished = self.finished.swap(false, Relaxed);
        let may_go_on = budget.worked(begin, Instant::now(), finished, self.admission.calls());
        (!may_go_on).then(|| "it computes without coming to an end".into())
    }

    /// The instance is gone: nobody waits for it any more.
    #[cold]
    fn retire(&self, end: String) {
        if self.serves.load(Relaxed) && !self.closed.load(Relaxed) {
            tracing::warn!(plugin = %self.name, reason = %end, "backend retired: its mounts answer EIO from now on");
        }
        *self.ended.lock() = Some(end);
        self.retired.store(true, Relaxed);
        self.admission.close();
        // Who got a place before puts its call into the queue after: it looks whether it was in vain.
        drop(std::mem::take(&mut *self.queue.lock()));
        self.woken.notify_one();
    }

    /// Begins the calls that have come. Called inside the event loop.
    pub(super) fn begin_calls(&self, accessor: &Accessor<HostState>, guest: &Guest) -> wasmtime::Result<()> {
        loop {
            let job = {
                let mut queue = self.queue.lock();
                if queue.is_empty() {
                    return Ok(());
                }
                if self.room.load(Relaxed) == 0 {
                    self.again.store(true, Relaxed);
                    return Ok(());
                }
                queue.pop_front()
            };
            let Some(job) = job else { return Ok(()) };
            self.room.fetch_sub(1, Relaxed);
            job.begin(accessor, guest)?;
        }
    }

    /// Throws away what was put into the queue after the end.
    pub(super) fn discard_if_over(&self) {
        if self.is_over() {
            drop(std::mem::take(&mut *self.queue.lock()));
        }
    }
}

impl Wake for Driver {
    fn wake(self: Arc<Self>) {
        self.woken.notify_one();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.notify_one();
    }
}

/// One call.
pub(super) struct Call<F, R> {
    pub(super) begin: F,
    pub(super) answer: Answer<R>,
    pub(super) permit: Permit,
    pub(super) driver: Arc<Driver>,
}

impl<F, P, R> Job for Call<F, R>
where
    F: FnOnce(&Guest, &mut wasmtime::StoreContextMut<'_, HostState>) -> wasmtime::Result<Begun<P, R>> + Send + 'static,
    P: ComponentNamedList + Lower + Send + Sync + 'static,
    R: ComponentNamedList + Lift + Send + Sync + 'static,
{
    fn begin(self: Box<Self>, accessor: &Accessor<HostState>, guest: &Guest) -> wasmtime::Result<()> {
        let Call { begin, answer, permit, driver } = *self;
        if !answer.is_awaited() {
            driver.given_up.fetch_sub(1, Relaxed);
            return Ok(());
        }
        let begun =
            accessor.with(|mut access| begin(guest, &mut wasmtime::AsContextMut::as_context_mut(&mut access)))?;
        accessor.spawn(InFlight { begun, answer, permit, driver })?;
        Ok(())
    }
}

/// A call that was begun.
struct InFlight<P: 'static, R: 'static> {
    begun: Begun<P, R>,
    answer: Answer<R>,
    permit: Permit,
    driver: Arc<Driver>,
}

impl<P, R> AccessorTask<HostState> for InFlight<P, R>
where
    P: ComponentNamedList + Lower + Send + Sync + 'static,
    R: ComponentNamedList + Lift + Send + Sync + 'static,
{
    async fn run(self, accessor: &Accessor<HostState>) -> wasmtime::Result<()> {
        let Self { begun, answer, permit, driver } = self;
        let finished = begun.finish(accessor).await?;
        driver.finished();
        drop(permit);
        if answer.send(finished).is_err() {
            driver.given_up.fetch_sub(1, Relaxed);
        }
        Ok(())
    }
}
