//! Bugs of names and of lookup counts.

use std::borrow::Cow;
use std::time::Duration;

use eyot_backend::{Attributes, Errno, Node, NodeKind, OpenFlags, Ownership, RenameFlags};

use super::{Broken, Bug};

/// How long a race stays open.
const RACE: Duration = Duration::from_micros(300);

fn hang() -> ! {
    loop {
        std::thread::park();
    }
}

impl Broken {
    /// The name that is really used.
    pub(super) fn name<'a>(&self, name: &'a str) -> Cow<'a, str> {
        match self.bug {
            Some(Bug::NamesFolded) => name.to_lowercase().into(),
            Some(Bug::NamesComposed) => name.replace("e\u{301}", "é").into(),
            Some(Bug::NamesTrimmed) if !name.trim_end_matches([' ', '.']).is_empty() => {
                name.trim_end_matches([' ', '.']).into()
            }
            Some(Bug::BackslashIsSlash) => name.replace('\\', "_").into(),
            Some(Bug::SlashInNames) if name.len() > 1 => name.replace('/', "").into(),
            Some(Bug::NamesOf254Bytes) if name.len() == 255 => {
                name.char_indices().nth_back(0).map_or(name, |(end, _)| &name[..end]).into()
            }
            _ => name.into(),
        }
    }

    pub(super) fn target(&self, target: &str) -> String {
        match self.bug {
            Some(Bug::TargetCutAt255) if target.is_char_boundary(255.min(target.len())) => {
                target[..255.min(target.len())].to_owned()
            }
            Some(Bug::TargetCleaned) => target.replace("//", "/"),
            _ => target.to_owned(),
        }
    }

    pub(super) fn find(&self, dir: Node, name: &str) -> Result<Attributes, Errno> {
        let key = (dir, name.to_owned());
        if self.is(Bug::NegativeEntriesStay) && self.notes().absent.contains(&key) {
            return Err(Errno::Noent);
        }
        match self.inner.lookup(dir, &self.name(name)) {
            Ok(found) => {
                if self.is(Bug::LookupsNotCounted) {
                    self.inner.forget(found.node, 1);
                }
                Ok(self.shown(found))
            }
            Err(Errno::Noent) if self.is(Bug::MissingIsIo) => Err(Errno::Io),
            Err(_) if self.is(Bug::LookupErrorIsAbsence) => Err(Errno::Noent),
            Err(errno) => {
                if errno == Errno::Noent && self.is(Bug::NegativeEntriesStay) {
                    self.notes().absent.insert(key);
                }
                Err(errno)
            }
        }
    }

    pub(super) fn give_back(&self, node: Node, count: u64) {
        match self.bug {
            Some(Bug::ForgetIgnored) => {}
            Some(Bug::ForgetsOneTooMany) => self.inner.forget(node, count.saturating_add(1)),
            _ => self.inner.forget(node, count),
        }
    }

    pub(super) fn make_file(&self, dir: Node, name: &str, owner: Ownership) -> Result<Attributes, Errno> {
        if self.is(Bug::HangsOnCreate) || self.is(Bug::HangsOnLongNames) && name.len() > 255 {
            hang();
        }
        let before = self.inner.getattr(dir).ok();
        let mode = if self.is(Bug::ModeMaskedAgain) { owner.mode & !0o22 } else { owner.mode };
        let owner = Ownership { mode, ..owner };
        let real = self.name(name);
        let made = match self.bug {
            Some(Bug::DeadDirectoryTakesNames) if self.notes().dead.contains(&dir) => {
                self.inner.create(self.inner.info().root, &real, owner)
            }
            Some(Bug::RaceInCreate) => self.create_late(dir, &real, owner),
            _ => self.inner.create(dir, &real, owner),
        };
        match made {
            Ok(made) => {
                if self.is(Bug::CreateNotCounted) {
                    self.inner.forget(made.node, 1);
                }
                let old = self.notes().deleted.remove(&(dir, name.to_owned()));
                if let (true, Some(old)) = (self.is(Bug::DataOfDeletedReappears), old) {
                    self.put(made.node, 0, &old);
                    return self.inner.getattr(made.node);
                }
                if let (true, Some(before)) = (self.is(Bug::DirectoryTimesStayOnCreate), before) {
                    self.hide_times(before);
                }
                Ok(made)
            }
            Err(Errno::Exist) if self.is(Bug::CreateOpensExisting) => self.inner.lookup(dir, &real),
            Err(errno) => {
                if errno == Errno::Exist && self.is(Bug::FailedCreateCounts) {
                    let _ = self.inner.lookup(dir, &real);
                }
                Err(errno)
            }
        }
    }

    /// Looks first and makes the file later; who made it meanwhile is not noticed.
    fn create_late(&self, dir: Node, name: &str, owner: Ownership) -> Result<Attributes, Errno> {
        if let Ok(found) = self.inner.lookup(dir, name) {
            self.inner.forget(found.node, 1);
            return Err(Errno::Exist);
        }
        std::thread::sleep(RACE);
        match self.inner.create(dir, name, owner) {
            Err(Errno::Exist) => self.inner.lookup(dir, name),
            made => made,
        }
    }

    pub(super) fn make_directory(&self, dir: Node, name: &str, owner: Ownership) -> Result<Attributes, Errno> {
        self.inner.mkdir(dir, &self.name(name), owner)
    }

    pub(super) fn add_name(&self, target: Node, dir: Node, name: &str) -> Result<Attributes, Errno> {
        let before = self.inner.getattr(target)?;
        if self.is(Bug::LinkOfDirectory) && before.kind == NodeKind::Directory {
            return Err(Errno::Isdir);
        }
        if self.is(Bug::LinkToDeadFile) && before.links == 0 {
            return Err(Errno::Io);
        }
        let linked = self.inner.link(target, dir, &self.name(name))?;
        if self.is(Bug::LinkNotCounted) {
            self.inner.forget(target, 1);
        }
        if self.is(Bug::CtimeStaysOnLink) {
            self.hide_changed(before, linked);
        }
        Ok(linked)
    }

    pub(super) fn take_name(&self, dir: Node, name: &str) -> Result<(), Errno> {
        let before = self.inner.getattr(dir).ok();
        let real = self.name(name);
        if self.is(Bug::DataOfDeletedReappears)
            && let Ok(found) = self.inner.lookup(dir, &real)
        {
            let bytes = self.bytes_of(found.node, 0);
            self.inner.forget(found.node, 1);
            self.notes().deleted.insert((dir, name.to_owned()), bytes);
        }
        match self.inner.unlink(dir, &real) {
            Err(Errno::Isdir) if self.is(Bug::UnlinkOfDirectoryIsPerm) => Err(Errno::Perm),
            Err(Errno::Noent) if self.is(Bug::MissingIsIo) => Err(Errno::Io),
            taken => {
                if let (true, true, Some(before)) = (self.is(Bug::DirectoryTimesStayOnUnlink), taken.is_ok(), before) {
                    self.hide_times(before);
                }
                taken
            }
        }
    }

    pub(super) fn take_directory(&self, dir: Node, name: &str) -> Result<(), Errno> {
        let real = self.name(name);
        let found = self.inner.lookup(dir, &real);
        if let Ok(found) = found {
            self.inner.forget(found.node, 1);
        }
        match self.inner.rmdir(dir, &real) {
            Err(Errno::Notempty) if self.is(Bug::NotemptyIsExist) => Err(Errno::Exist),
            Err(Errno::Notempty) if self.is(Bug::RmdirTakesFull) => {
                for entry in self.inner.readdir(found?.node, 0, 1000)? {
                    self.inner.unlink(found?.node, &entry.name)?;
                }
                self.inner.rmdir(dir, &real)
            }
            taken => {
                if let (Ok(()), Ok(found)) = (taken, found) {
                    self.notes().dead.insert(found.node);
                }
                taken
            }
        }
    }

    pub(super) fn move_name(&self, from: Node, name: &str, to: Node, new: &str, how: RenameFlags) -> Result<(), Errno> {
        let peek = |dir, name: &str| {
            let found = self.inner.lookup(dir, name).ok();
            if let Some(found) = found {
                self.inner.forget(found.node, 1);
            }
            found
        };
        let (source, target) = (peek(from, name), peek(to, new));
        let plain = how.is_empty();
        match (self.bug, source, target) {
            (Some(Bug::RenameDoesNotReplace), Some(source), Some(target))
                if plain && source.kind == NodeKind::File && target.kind == NodeKind::File =>
            {
                return Ok(());
            }
            (Some(Bug::RenameUnlinksSameFile), Some(source), Some(target))
                if plain && source.node == target.node && (from, name) != (to, new) =>
            {
                return self.inner.unlink(from, name);
            }
            (Some(Bug::RenameIgnoresKinds), Some(source), Some(target))
                if plain && source.kind != NodeKind::Directory && target.kind == NodeKind::Directory =>
            {
                self.inner.rmdir(to, new)?;
            }
            (Some(Bug::NoReplaceIgnored), ..) if how == RenameFlags::NO_REPLACE => {
                return self.inner.rename(from, name, to, new, RenameFlags::empty());
            }
            (Some(Bug::ExchangeIsRename), ..) if how == RenameFlags::EXCHANGE => {
                return self.inner.rename(from, name, to, new, RenameFlags::empty());
            }
            (Some(Bug::ExchangeNeedsNoTarget), Some(_), None) if how == RenameFlags::EXCHANGE => {
                return self.inner.rename(from, name, to, new, RenameFlags::empty());
            }
            (Some(Bug::RenameCopies), Some(source), None) if from != to && source.kind != NodeKind::Directory => {
                let linked = self.inner.link(source.node, to, new)?;
                self.inner.forget(linked.node, 1);
                return Ok(());
            }
            (Some(Bug::RenameByHalf), Some(source), None) if plain && source.kind == NodeKind::File => {
                let linked = self.inner.link(source.node, to, new)?;
                self.inner.forget(linked.node, 1);
                return self.inner.unlink(from, name);
            }
            (Some(Bug::RaceInRename), Some(source), Some(target))
                if plain && target.kind == NodeKind::File && source.node != target.node =>
            {
                self.inner.unlink(to, new)?;
                std::thread::sleep(RACE);
            }
            _ => {}
        }
        self.inner.rename(from, name, to, new, how)?;
        if let (true, Some(source)) = (self.is(Bug::CtimeStaysOnRename), source)
            && let Ok(after) = self.inner.getattr(source.node)
        {
            self.hide_changed(source, after);
        }
        Ok(())
    }

    /// Whether a file without a name is to be out of reach.
    pub(super) fn is_out_of_reach(&self, node: Node, _how: OpenFlags) -> bool {
        self.is(Bug::UnlinkKillsOpen) && self.inner.getattr(node).is_ok_and(|found| found.links == 0)
    }
}
