//! Running the cases: each on a thread of its own, with a deadline, on a filesystem of its own.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use eyot_backend::{Capabilities, Filesystem, FilesystemInfo};

use crate::case::{Case, Condition};
use crate::faulty::Faulty;
use crate::options::Options;
use crate::scorecard::{CaseResult, Outcome, Scorecard};
use crate::subject::{FreshRequest, Made, Settings, Subject};
use crate::verdict::{Stop, guard};

/// After so many cases that did not end the rest are left out: their threads may still be busy.
const TIMED_OUT_MAX: usize = 8;
/// How often a case's wish for another filesystem is looked for.
const POLL: Duration = Duration::from_millis(1);

struct Ended {
    index: usize,
    outcome: Outcome,
    took: Duration,
}

/// A case that is running.
struct Running {
    index: usize,
    started: Instant,
}

/// Runs the cases that `options` choose, each on a filesystem that `make` makes (on this thread), and says how each ended.
///
/// A case that does not end in time counts as timed out and its thread is left behind; after some of those the rest is left out.
pub fn check_all(make: impl Fn() -> Arc<dyn Filesystem>, options: &Options) -> Scorecard {
    run(|| Made { fs: make(), faults: None }, options)
}

/// As [`check_all`], for a backend that is made of another: `wrap` makes it over what `lower` makes, and besides all other cases those of error
/// injection run, in which calls of the lower one fail.
pub fn check_layer(
    lower: impl Fn() -> Arc<dyn Filesystem>,
    wrap: impl Fn(Arc<dyn Filesystem>) -> Arc<dyn Filesystem>,
    options: &Options,
) -> Scorecard {
    let make = || {
        let faults = Arc::new(Faulty::new(lower()));
        Made { fs: wrap(Arc::<Faulty>::clone(&faults)), faults: Some(faults) }
    };
    run(make, options)
}

fn run(make: impl Fn() -> Made, options: &Options) -> Scorecard {
    let started = Instant::now();
    let (ask, asked) = channel();
    let mut card = Scorecard::new(options);
    let first = make();
    let has_faults = first.faults.is_some();
    match probe(first.fs, options.deadline) {
        Ok(info) => {
            card.kind = info.kind;
            card.capabilities = info.capabilities.iter_names().map(|(name, _)| name.to_owned()).collect();
            let chosen = crate::all_cases().into_iter().filter(|case| is_chosen(case, options)).collect();
            let run = Run { make: &make, options, capabilities: info.capabilities, has_faults, ask, asked };
            card.results = run.run(chosen);
        }
        Err(outcome) => card.results.push(CaseResult {
            group: crate::Group::Robustness,
            name: "info answers".into(),
            law: "wit/backend: info is the first call",
            outcome,
            took_us: micros(started.elapsed()),
        }),
    }
    card.took_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    card
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn is_chosen(case: &Case, options: &Options) -> bool {
    let Some(only) = &options.only else { return true };
    let only = only.to_lowercase();
    case.name.to_lowercase().contains(&only) || case.group.name().contains(&*only)
}

/// Asks what the filesystem is, on another thread.
fn probe(fs: Arc<dyn Filesystem>, deadline: Duration) -> Result<FilesystemInfo, Outcome> {
    let (sender, receiver) = channel();
    thread::spawn(move || sender.send(guard(|| fs.info())));
    match receiver.recv_timeout(deadline) {
        Ok(Ok(info)) => Ok(info),
        Ok(Err(stop)) => Err(outcome_of(Err(stop), Vec::new())),
        Err(_) => Err(Outcome::TimedOut { after_ms: u64::try_from(deadline.as_millis()).unwrap_or(u64::MAX) }),
    }
}

struct Run<'a, F> {
    make: &'a F,
    options: &'a Options,
    capabilities: Capabilities,
    has_faults: bool,
    ask: Sender<FreshRequest>,
    asked: Receiver<FreshRequest>,
}

impl<F: Fn() -> Made> Run<'_, F> {
    fn run(&self, cases: Vec<Case>) -> Vec<CaseResult> {
        let mut outcomes: Vec<Option<(Outcome, Duration)>> = cases.iter().map(|_| None).collect();
        let (sender, ended) = channel();
        let (mut next, mut timed_out, mut running) = (0, 0, Vec::<Running>::new());
        loop {
            while next < cases.len() && running.len() < self.options.jobs.max(1) {
                let case = &cases[next];
                match self.why_not(case, timed_out) {
                    Some(reason) => outcomes[next] = Some((Outcome::LeftOut { reason }, Duration::ZERO)),
                    None => {
                        self.start(next, case, &sender);
                        running.push(Running { index: next, started: Instant::now() });
                    }
                }
                next += 1;
            }
            if running.is_empty() {
                break;
            }
            while let Ok(FreshRequest(reply)) = self.asked.try_recv() {
                let _ = reply.send((self.make)());
            }
            match ended.recv_timeout(POLL) {
                // One that was given up already is no longer waited for.
                Ok(Ended { index, outcome, took }) if running.iter().any(|case| case.index == index) => {
                    running.retain(|case| case.index != index);
                    outcomes[index] = Some((outcome, took));
                }
                Ok(_) | Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            for late in running.extract_if(.., |case| case.started.elapsed() > self.options.deadline) {
                let after_ms = u64::try_from(self.options.deadline.as_millis()).unwrap_or(u64::MAX);
                outcomes[late.index] = Some((Outcome::TimedOut { after_ms }, self.options.deadline));
                timed_out += 1;
            }
        }
        let lost = || (Outcome::LeftOut { reason: "the kit stopped before".into() }, Duration::ZERO);
        cases.into_iter().zip(outcomes).map(|(case, ended)| result(case, ended.unwrap_or_else(lost))).collect()
    }

    fn start(&self, index: usize, case: &Case, sender: &Sender<Ended>) {
        let (made, run, ask, sender) = ((self.make)(), Arc::clone(&case.run), self.ask.clone(), sender.clone());
        let options = self.options;
        let settings = Settings {
            seed: options.seed,
            long: options.long,
            deadline: options.deadline,
            kept: options.populated,
            bytes_max: options.bytes_max,
        };
        let body = move || {
            let started = Instant::now();
            let mut calls = Vec::new();
            // The filesystem is dropped inside, too: that can hang or panic like any call.
            let ended = guard(|| {
                let subject = Subject::new(made, settings, ask);
                let ended = guard(|| run(&subject));
                calls = subject.calls();
                ended
            });
            let outcome = outcome_of(ended.and_then(|ended| ended), calls);
            let _ = sender.send(Ended { index, outcome, took: started.elapsed() });
        };
        thread::spawn(body);
    }

    /// Why a case does not apply.
    fn why_not(&self, case: &Case, timed_out: usize) -> Option<String> {
        let missing = case.needs - self.capabilities;
        let too_much = case.lacks & self.capabilities;
        if timed_out >= TIMED_OUT_MAX {
            Some(format!("{TIMED_OUT_MAX} cases did not end"))
        } else if case.long && !self.options.long {
            Some("is of the long form".into())
        } else if !missing.is_empty() {
            Some(format!("needs {}", names(missing)))
        } else if !too_much.is_empty() {
            Some(format!("is for backends without {}", names(too_much)))
        } else if case.condition == Condition::Populated && self.options.populated.is_none() {
            Some("needs the fixture".into())
        } else if case.condition == Condition::Bounded && self.options.bytes_max.is_none() {
            Some("needs a bound of bytes".into())
        } else if case.condition == Condition::Faulty && !self.has_faults {
            Some("is for backends made of others".into())
        } else {
            None
        }
    }
}

fn names(capabilities: Capabilities) -> String {
    let names: Vec<_> = capabilities.iter_names().map(|(name, _)| name).collect();
    names.join(", ")
}

fn outcome_of(ended: Result<(), Stop>, calls: Vec<String>) -> Outcome {
    match ended {
        Ok(()) => Outcome::Passed,
        Err(Stop::LeftOut(reason)) => Outcome::LeftOut { reason },
        Err(Stop::Failed { message, at }) => {
            Outcome::Failed { message, calls, at: at.map(|at| format!("{}:{}", at.file(), at.line())) }
        }
    }
}

fn result(case: Case, (outcome, took): (Outcome, Duration)) -> CaseResult {
    CaseResult { group: case.group, name: case.name, law: case.law, outcome, took_us: micros(took) }
}
