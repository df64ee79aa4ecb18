//! Random operations, each beside a plain model of what must come of it.
//!
//! Operations name things by path, so that a list of them means something without those before; that is how a list that fails is made
//! shorter until every operation in it matters.

mod apply;
mod compare;
mod op;
mod shrink;
mod tree;

use super::prelude::*;
use apply::Applied;
use op::Op;

pub(crate) fn add(cases: &mut Cases) {
    cases
        .group(Group::Model)
        .law("POSIX and wit/backend, as in the other groups: after each operation backend and model are alike");
    for (name, mix) in [
        ("of every kind", op::Mix::ALL),
        ("on names", op::Mix::NAMES),
        ("on contents", op::Mix::CONTENTS),
        ("on files that are held without a name", op::Mix::HELD),
    ] {
        for run in 0..3 {
            cases.add(format!("random operations {name}, run {run}"), W, move |s| {
                check(s, s.settings.seed.wrapping_mul(1000).wrapping_add(run), mix, s.rounds(1500, 20_000));
            });
        }
    }
    cases.add("random operations of every kind, many short runs", W, |s| {
        for run in 0..s.rounds(20, 200) as u64 {
            check(s, s.settings.seed.wrapping_mul(7777).wrapping_add(run), op::Mix::ALL, 60);
        }
    });
}

fn check(s: &Subject, seed: u64, mix: op::Mix, count: usize) {
    let mut random = Random::new(seed);
    let ops: Vec<_> = (0..count).map(|_| Op::random(&mut random, mix, s.capabilities)).collect();
    let fresh = s.another();
    let Err(first) = run(&fresh, &ops) else { return };
    let failing = &ops[..=first.step];
    let (ops, failure) = shrink::shorter(s, failing, first);
    let list: Vec<_> = ops.iter().map(|op| format!("\n  {op}")).collect();
    fail(format_args!(
        "seed {seed}, {} operations, the last of which fails: {}{}",
        ops.len(),
        failure.message,
        list.concat()
    ));
}

/// What went wrong, and at which operation.
struct Failure {
    step: usize,
    message: String,
}

/// Applies the operations to an empty filesystem and to the model, and compares after each.
fn run(s: &Subject, ops: &[Op]) -> Result<(), Failure> {
    let mut applied = Applied::new(s);
    for (step, op) in ops.iter().enumerate() {
        let checked = applied.apply(op).and_then(|()| {
            // The contents of every file take long: of the touched one after each step, of all now and then.
            applied.compare(step % 32 == 31 || step + 1 == ops.len())
        });
        checked.map_err(|message| Failure { step, message })?;
    }
    Ok(())
}
