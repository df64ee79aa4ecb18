//! `eyot backend test`: the conformance kit.

use eyot_conformance::{Options, Scorecard, all_cases, check_all};
use serde_json::{Value, json};

use super::options::TestOptions;
use super::subject::Subject;
use crate::failure::Failure;
use crate::home::Home;

/// Runs the kit and prints the scorecard; answers 1 when a case does not hold.
pub fn run(home: &Home, options: &TestOptions) -> Result<u8, Failure> {
    let subject = Subject::read(home, &options.file)?;
    let make = subject.maker(home, &options.given)?;
    let base = if options.long { Options::long() } else { Options::default() };
    let kit = Options { only: options.filter.clone(), seed: options.seed, ..base };
    let card = check_all(make, &kit);
    if card.results.is_empty() {
        let groups: std::collections::BTreeSet<_> = all_cases().iter().map(|case| case.group().name()).collect();
        let groups: Vec<_> = groups.into_iter().collect();
        let filter = options.filter.as_deref().unwrap_or_default();
        return Err(Failure::setup(format!("no case contains `{filter}`; the groups are {}", groups.join(", "))));
    }
    if options.json {
        super::print_json(&as_json(&subject, &card))?;
    } else {
        crate::print(&format!("{}: {card}{}\n", subject.name, verdict(&card)))?;
    }
    Ok(u8::from(!card.is_clean()))
}

fn verdict(card: &Scorecard) -> String {
    let total = card.total();
    if card.is_clean() {
        return format!("\n{} cases hold", total.passed);
    }
    let failed = total.failed + total.timed_out;
    let seed = card.seed;
    format!(
        "\n{failed} of {} cases do not hold; --filter NAME runs one alone, --seed {seed} repeats it",
        total.passed + failed
    )
}

fn as_json(subject: &Subject, card: &Scorecard) -> Value {
    let mut value = json!(card);
    value["file"] = json!(subject.name);
    value["total"] = json!(card.total());
    value["clean"] = json!(card.is_clean());
    value
}
