//! `cargo xtask doctor`: looks at everything setup needs or makes, changes nothing, and says what to do.

use std::path::Path;

use serde::Serialize;

use crate::apt;
use crate::command::{Run, find_program};
use crate::failure::{Failure, Result};
use crate::home;
use crate::places::{Places, cargo};
use crate::{templates, v8};

/// Free disk space below which setup may not end, in GiB.
const DISK_GIB_MIN: u64 = 8;

#[derive(Debug, Serialize)]
struct Check {
    name: String,
    state: State,
    found: String,
    #[serde(rename = "do")]
    fix: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    /// Setup mends it, or only a part is lost.
    Warn,
    /// Nothing works before it is mended.
    Bad,
}

/// Prints the table, or JSON; fails when something must be mended by hand.
pub fn run(json: bool) -> Result<()> {
    let places = Places::find()?;
    let checks = all(&places);
    if json {
        let text = serde_json::to_string_pretty(&checks);
        println!("{}", text.map_err(|e| Failure::new("cannot write JSON", e, "report this"))?);
    } else {
        table(&checks);
    }
    let bad: Vec<&str> = checks.iter().filter(|c| c.state == State::Bad).map(|c| c.name.as_str()).collect();
    if bad.is_empty() {
        return Ok(());
    }
    Err(Failure::new(
        "this machine can't build Eyot yet",
        format!("wrong: {}", bad.join(", ")),
        "follow the last column above",
    ))
}

fn all(places: &Places) -> Vec<Check> {
    let mut checks = vec![
        rust(places),
        program("C compiler", "cc", "apt-get install gcc libc6-dev", State::Bad),
        program("Python", "python3", "apt-get install python3 python3-pip", State::Bad),
        program("npm", "npm", "install Node.js with npm (without it there is no JavaScript)", State::Warn),
        program("git", "git", "apt-get install git", State::Warn),
        debian(),
        disk(&places.cache),
        cache(places),
        v8_check(places),
    ];
    for name in home::FILES {
        checks.push(made(name, &places.home().join(name)));
    }
    checks.push(made("eyot", &places.eyot()));
    checks.push(match templates::state(places) {
        Ok(found) => check("template tools", State::Ok, found, ""),
        Err(failure) => check("template tools", State::Warn, failure.why, &failure.fix),
    });
    checks.push(nextest());
    checks
}

fn check(name: &str, state: State, found: impl Into<String>, fix: &str) -> Check {
    let fix = if state == State::Ok { String::new() } else { fix.to_owned() };
    Check { name: name.to_owned(), state, found: found.into(), fix }
}

fn rust(places: &Places) -> Check {
    let fix = "install Rust 1.95 or later: rustup toolchain install stable";
    match Run::new(cargo()).arg("--version").cwd(&places.root).output() {
        Ok(text) => {
            let minor = text.split_whitespace().nth(1).and_then(|v| v.split('.').nth(1)?.parse::<u32>().ok());
            let state = if minor.is_some_and(|m| m >= 95) { State::Ok } else { State::Bad };
            check("Rust", state, text.trim(), fix)
        }
        Err(failure) => check("Rust", State::Bad, failure.why, fix),
    }
}

fn program(name: &str, program: &str, fix: &str, absent: State) -> Check {
    match find_program(program) {
        Some(path) => check(name, State::Ok, path.display().to_string(), fix),
        None => check(name, absent, format!("no `{program}` in PATH"), fix),
    }
}

fn debian() -> Check {
    let missing = apt::missing(&apt::GUEST_COMPILERS);
    let fix = "setup installs them as root; without root: apt-get install the ones named";
    if missing.is_empty() {
        check("guest compilers", State::Ok, "installed", fix)
    } else {
        check("guest compilers", State::Warn, format!("missing: {}", missing.join(" ")), fix)
    }
}

fn disk(cache: &Path) -> Check {
    let fix = "make room, or set EYOT_CACHE and CARGO_TARGET_DIR to another disk";
    let free = Run::new("df").args(["--output=avail", "--block-size=1G"]).arg(cache).output();
    match free.ok().and_then(|text| text.lines().nth(1)?.trim().parse::<u64>().ok()) {
        Some(gib) => {
            check("free disk", if gib >= DISK_GIB_MIN { State::Ok } else { State::Warn }, format!("{gib} GiB"), fix)
        }
        None => check("free disk", State::Warn, "cannot be told", fix),
    }
}

fn cache(places: &Places) -> Check {
    let probe = places.cache.join(".probe");
    let written = std::fs::write(&probe, "").and_then(|()| std::fs::remove_file(&probe));
    match written {
        Ok(()) => check("cache", State::Ok, places.cache.display().to_string(), ""),
        Err(e) => check(
            "cache",
            State::Bad,
            format!("{}: {e}", places.cache.display()),
            "set EYOT_CACHE to a directory that can be written to",
        ),
    }
}

fn v8_check(places: &Places) -> Check {
    match v8::state(places) {
        Ok(from) => check("V8", State::Ok, from, ""),
        Err(why) => check("V8", State::Warn, why, "cargo xtask setup"),
    }
}

fn made(name: &str, path: &Path) -> Check {
    // `metadata` follows the link: a link to something that was deleted counts as missing.
    match std::fs::metadata(path) {
        Ok(meta) if meta.len() > 0 => check(name, State::Ok, path.display().to_string(), ""),
        Ok(_) => check(name, State::Warn, "empty", "cargo xtask setup"),
        Err(_) => check(name, State::Warn, "not made yet", "cargo xtask setup"),
    }
}

fn nextest() -> Check {
    match Run::new(cargo()).args(["nextest", "--version"]).output() {
        Ok(text) => check("nextest", State::Ok, text.lines().next().unwrap_or_default().trim(), ""),
        Err(_) => check("nextest", State::Ok, "not installed; `cargo test` is used instead", ""),
    }
}

fn table(checks: &[Check]) {
    let width = |of: fn(&Check) -> &str| checks.iter().map(|c| of(c).chars().count()).max().unwrap_or(0);
    let (names, founds) = (width(|c| &c.name), width(|c| &c.found).min(72));
    for c in checks {
        let mark = match c.state {
            State::Ok => "ok  ",
            State::Warn => "warn",
            State::Bad => "BAD ",
        };
        println!("{}", format!("{mark}  {:names$}  {:founds$}  {}", c.name, c.found, c.fix).trim_end());
    }
}
