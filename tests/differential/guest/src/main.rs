//! Runs a list of file and process operations and prints what each answers, one line per step. The same source runs on
//! Linux and as a WASI guest, so that the two can be compared.
//!
//! `differential DIR [MARK...] < LIST`: every section works in a directory of its own below `DIR`; steps that carry one of
//! the marks are skipped.

mod errno;
mod files;
mod list;
mod processes;

use std::collections::HashMap;
use std::io::{Read, Write};

use crate::errno::Errno;
use crate::list::{Line, Step};

/// What a step answers: a value, or an errno.
pub type Answer = Result<String, Errno>;

/// What the steps of one section have open.
#[derive(Default)]
pub struct Section {
    /// File descriptors by name. A closed one keeps its number: what it answers then is worth a step.
    pub handles: HashMap<String, i32>,
    /// Children by name.
    pub children: HashMap<String, processes::Child>,
}

impl Section {
    /// The descriptor a word names: a handle, or `#N` for the number itself.
    pub fn fd(&self, word: &[u8]) -> Result<i32, Errno> {
        let word = std::str::from_utf8(word).expect("a handle's name is text");
        match word.strip_prefix('#') {
            Some(number) => Ok(number.parse().expect("a descriptor's number")),
            None => self.handles.get(word).copied().ok_or(Errno::NO_HANDLE),
        }
    }

    /// Closes and ends everything.
    fn leave(&mut self) {
        for (_, fd) in self.handles.drain() {
            files::close(fd).ok();
        }
        for (_, mut child) in self.children.drain() {
            child.end();
        }
    }
}

fn main() {
    let mut args = std::env::args().skip(1);
    let base = args.next().expect("usage: differential DIR [MARK...] < LIST");
    let marks: Vec<String> = args.collect();
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).expect("the list is text");
    files::set_umask();
    processes::ignore_sigpipe();
    // By lines: when a step hangs, the one before it is known.
    let mut out = std::io::stdout().lock();
    let mut section = Section::default();
    let (mut name, mut number, mut sections, mut skipped) = (String::new(), 0, 0, false);
    for line in text.lines() {
        match list::parse(line) {
            Line::Nothing => {}
            Line::Section { title, skip } => {
                section.leave();
                (name, number) = (title, 0);
                sections += 1;
                skipped = skip.is_marked(&marks);
                files::enter(&format!("{base}/{sections}")).expect("a directory for the section");
            }
            Line::Step(step) => {
                number += 1;
                let answer = match skipped || step.skip.is_marked(&marks) {
                    true => "skipped".to_owned(),
                    false => match run(&mut section, &step) {
                        Ok(value) if value.is_empty() => "ok".to_owned(),
                        Ok(value) => format!("ok {value}"),
                        Err(errno) => errno.to_string(),
                    },
                };
                writeln!(out, "{name}.{number} {} => {answer}", step.text).expect("standard output");
            }
        }
    }
    section.leave();
}

fn run(section: &mut Section, step: &Step) -> Answer {
    match files::run(section, step).or_else(|| processes::run(section, step)) {
        Some(answer) => answer,
        None => panic!("no such operation: {}", step.text),
    }
}
