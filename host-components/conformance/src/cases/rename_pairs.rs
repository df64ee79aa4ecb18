//! Rename over every pair of kinds, in one directory and between two, with each flag.

use super::prelude::*;

/// What rename does to what is there.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum How {
    Replace,
    NoReplace,
    Exchange,
}

impl How {
    fn flags(self) -> RenameFlags {
        match self {
            How::Replace => NONE,
            How::NoReplace => RenameFlags::NO_REPLACE,
            How::Exchange => RenameFlags::EXCHANGE,
        }
    }

    fn name(self) -> &'static str {
        match self {
            How::Replace => "onto",
            How::NoReplace => "with no-replace onto",
            How::Exchange => "in exchange with",
        }
    }

    fn law(self) -> &'static str {
        match self {
            How::Replace => {
                "rename(2): replaces; EISDIR: new is a directory and old is not; ENOTDIR: the reverse; ENOTEMPTY: new is not empty"
            }
            How::NoReplace => "renameat2(2), RENAME_NOREPLACE: EEXIST when new is there, and nothing changes",
            How::Exchange => "renameat2(2), RENAME_EXCHANGE: swaps, whatever the kinds; ENOENT when new is not there",
        }
    }
}

#[derive(Clone, Copy)]
struct Pair {
    source: Thing,
    target: Option<Thing>,
    how: How,
    between: bool,
}

pub(crate) fn add(cases: &mut Cases) {
    cases.group(Group::Rename);
    let targets = || [None].into_iter().chain(Thing::ALL.into_iter().map(Some));
    for how in [How::Replace, How::NoReplace, How::Exchange] {
        cases.law(how.law());
        for source in Thing::ALL {
            for target in targets() {
                for between in [false, true] {
                    let pair = Pair { source, target, how, between };
                    let needs = if how == How::Exchange { ATOMIC } else { W };
                    let needs = needs | source.needs() | target.map_or(W, Thing::needs);
                    cases.add(pair.name(), needs, move |s| pair.run(s));
                }
            }
        }
    }
}

impl Pair {
    fn name(self) -> String {
        let target = self.target.map_or("what is not there", Thing::name);
        let place = if self.between { "in another directory" } else { "in the same directory" };
        format!("{} {} {target} {place}", self.source.name(), self.how.name())
    }

    fn wanted(self) -> Result<(), Errno> {
        let Some(target) = self.target else {
            return if self.how == How::Exchange { Err(Errno::Noent) } else { Ok(()) };
        };
        match self.how {
            How::NoReplace => Err(Errno::Exist),
            How::Exchange => Ok(()),
            How::Replace => match (self.source.is_directory(), target.is_directory()) {
                (true, false) => Err(Errno::Notdir),
                (false, true) => Err(Errno::Isdir),
                (true, true) if target == Thing::FullDirectory => Err(Errno::Notempty),
                _ => Ok(()),
            },
        }
    }

    fn run(self, s: &Subject) {
        let from = s.dir(s.root, "from").node;
        let to = if self.between { s.dir(s.root, "to").node } else { from };
        s.file(from, "bystander");
        let source = self.source.make(s, from, "a");
        let target = self.target.map(|thing| thing.make(s, to, "b"));
        let wanted = self.wanted();
        let call = s.rename(from, "a", to, "b", self.how.flags());
        match wanted {
            Ok(()) => call.ok(),
            Err(errno) => call.fails(errno),
        }
        // Who has which name now: from/a and to/b.
        let (source, target) = (source.node, target.map(|target| target.node));
        let (at_from, at_to) = match (wanted, self.how) {
            (Err(_), _) => (Some(source), target),
            (Ok(()), How::Exchange) => (target, Some(source)),
            (Ok(()), _) => (None, Some(source)),
        };
        let found = |dir, name: &str| match s.peek(dir, name).result {
            Ok(found) => Some(found.node),
            Err(errno) => {
                same(format_args!("lookup of {name}"), errno, Errno::Noent);
                None
            }
        };
        same("what the old name leads to", found(from, "a"), at_from);
        same("what the new name leads to", found(to, "b"), at_to);
        same("what the bystander leads to", found(from, "bystander").is_some(), true);
        self.check_names(s, from, to, at_from.is_some(), at_to.is_some());
        self.check_inside(s, self.source, source);
        if let (Some(thing), Some(node)) = (self.target, target) {
            let replaced = wanted.is_ok() && self.how != How::Exchange;
            same("links of what was there: some", s.links(node) > 0, !replaced);
            if !replaced {
                self.check_inside(s, thing, node);
            }
        }
        self.check_links(s, from, to);
    }

    fn check_names(self, s: &Subject, from: Node, to: Node, a: bool, b: bool) {
        let a = if a { Some("a") } else { None };
        let b = if b { Some("b") } else { None };
        if self.between {
            s.holds_names(from, &[Some("bystander"), a].into_iter().flatten().collect::<Vec<_>>());
            s.holds_names(to, &[b].into_iter().flatten().collect::<Vec<_>>());
        } else {
            s.holds_names(from, &[Some("bystander"), a, b].into_iter().flatten().collect::<Vec<_>>());
        }
    }

    fn check_inside(self, s: &Subject, thing: Thing, node: Node) {
        if thing == Thing::FullDirectory {
            s.holds_names(node, &["inside"]);
        }
        if thing == Thing::Symlink {
            same("the symlink's target", s.readlink(node).ok(), "nowhere");
        }
    }

    /// The links of both directories are what is in them.
    fn check_links(self, s: &Subject, from: Node, to: Node) {
        if !s.counts_directories() {
            return;
        }
        for (what, dir) in [("the old directory", from), ("the new directory", to)] {
            let entries = s.list(dir, 100).into_iter();
            let directories = entries.filter(|entry| entry.attributes.kind == NodeKind::Directory).count();
            same(format_args!("links of {what}"), s.links(dir), 2 + directories as u32);
        }
    }
}
