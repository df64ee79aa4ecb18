//! Makes a list of operations that fails shorter, by leaving out what is not needed.

use std::time::Instant;

use super::op::Op;
use super::{Failure, run};
use crate::subject::Subject;

/// How many lists are tried.
const TRIES_MAX: usize = 2000;

/// A shorter list that fails too, in whichever way, and how it fails. The time is a third of what the case has.
pub(super) fn shorter(s: &Subject, ops: &[Op], first: Failure) -> (Vec<Op>, Failure) {
    let (mut ops, mut failure) = (ops.to_vec(), first);
    let (started, time) = (Instant::now(), s.settings.deadline / 3);
    let (mut part, mut tries) = (ops.len() / 2, 0);
    while part > 0 {
        let mut at = 0;
        let mut left_out = false;
        while at < ops.len() {
            tries += 1;
            if tries > TRIES_MAX || started.elapsed() > time {
                return (ops, failure);
            }
            let end = (at + part).min(ops.len());
            let fewer: Vec<_> = ops[..at].iter().chain(&ops[end..]).cloned().collect();
            match run(&s.another(), &fewer) {
                Err(failed) => {
                    ops = fewer[..=failed.step].to_vec();
                    failure = failed;
                    left_out = true;
                }
                Ok(()) => at += part,
            }
        }
        if !left_out || part > 1 {
            part /= 2;
        }
    }
    (ops, failure)
}
