//! Bugs of what is told: attributes, times and listings.

use eyot_backend::{Attributes, DirectoryEntry, Errno, Node, NodeKind};

use super::{Broken, Bug};

impl Broken {
    /// Attributes as they are told.
    pub(super) fn shown(&self, mut found: Attributes) -> Attributes {
        let notes = self.notes();
        if let Some(&size) = notes.sizes.get(&found.node) {
            found.size = size;
        }
        for (told, hidden) in [
            (&mut found.changed, notes.changed.get(&found.node)),
            (&mut found.modified, notes.modified.get(&found.node)),
        ] {
            if let Some(&(instead, hidden)) = hidden
                && *told == hidden
            {
                *told = instead;
            }
        }
        match self.bug {
            Some(Bug::LinksOffByOne) if found.kind == NodeKind::File && found.links > 1 => found.links += 1,
            Some(Bug::UnlinkedHasALink) if found.links == 0 => found.links = 1,
            Some(Bug::SubdirectoriesNotCounted) if found.kind == NodeKind::Directory => {
                found.links = found.links.min(2);
            }
            _ => {}
        }
        found
    }

    /// Tells the time of change that was, as long as it has not moved on from what it is now.
    pub(super) fn hide_changed(&self, before: Attributes, after: Attributes) {
        let mut notes = self.notes();
        // What was told before may itself have been hidden.
        let told = notes.changed.get(&before.node).filter(|(_, hidden)| *hidden == before.changed);
        let told = told.map_or(before.changed, |&(told, _)| told);
        notes.changed.insert(before.node, (told, after.changed));
    }

    pub(super) fn hide_modified(&self, before: Attributes, after: Attributes) {
        let mut notes = self.notes();
        let told = notes.modified.get(&before.node).filter(|(_, hidden)| *hidden == before.modified);
        let told = told.map_or(before.modified, |&(told, _)| told);
        notes.modified.insert(before.node, (told, after.modified));
    }

    pub(super) fn hide_times(&self, before: Attributes) {
        if let Ok(after) = self.inner.getattr(before.node) {
            self.hide_changed(before, after);
            self.hide_modified(before, after);
        }
    }

    pub(super) fn list(&self, dir: Node, cookie: u64, entries_max: usize) -> Result<Vec<DirectoryEntry>, Errno> {
        let mut entries = match self.bug {
            Some(Bug::ListingErrorIsTheEnd) => self.inner.readdir(dir, cookie, entries_max).unwrap_or_default(),
            Some(Bug::ReaddirSkips) if cookie > 0 => {
                let skipped = self.inner.readdir(dir, cookie, 1)?;
                let after = skipped.last().map_or(cookie, |entry| entry.cookie);
                self.inner.readdir(dir, after, entries_max)?
            }
            Some(Bug::ReaddirRepeats) if cookie > 0 => {
                let all = self.inner.readdir(dir, 0, usize::MAX)?;
                let from = all.iter().position(|entry| entry.cookie >= cookie).unwrap_or(all.len());
                let more = all.len() > from + 1;
                if more { all.into_iter().skip(from).take(entries_max).collect() } else { Vec::new() }
            }
            Some(Bug::CookiesArePositions) => {
                let all = self.inner.readdir(dir, 0, usize::MAX)?;
                let skip = usize::try_from(cookie).unwrap_or(usize::MAX);
                let numbered = (1..).zip(all).skip(skip).take(entries_max);
                numbered.map(|(cookie, entry)| DirectoryEntry { cookie, ..entry }).collect()
            }
            Some(Bug::ReaddirIgnoresMax) => self.inner.readdir(dir, cookie, entries_max.saturating_add(1))?,
            _ => self.inner.readdir(dir, cookie, entries_max)?,
        };
        if self.is(Bug::DotsAreListed)
            && cookie == 0
            && let Some(first) = entries.first().cloned()
        {
            entries.insert(0, DirectoryEntry { name: ".".into(), cookie: u64::MAX, ..first });
            entries.truncate(entries_max);
        }
        for entry in &mut entries {
            entry.attributes = self.shown(entry.attributes);
            if self.is(Bug::ListedSizeIsZero) {
                entry.attributes.size = 0;
            }
        }
        Ok(entries)
    }
}
