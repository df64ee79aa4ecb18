//! Listings.
//!
//! A directory that one layer has alone is listed by that layer. A merged one, or one that may be merged by a later copy-up, is listed in the order of
//! its names' hashes, and an entry's cookie is its name's hash: so it stays good whatever comes, goes, or moves from one layer to another, and
//! needs nothing to be kept. What is kept is a convenience: the last few listings, so that a big directory in pages is merged once.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::ops::ControlFlow;
use std::sync::Arc;

use eyot_backend::{Attributes, DirectoryEntry, Errno, NodeKind};
use parking_lot::Mutex;

use crate::inode::{Identity, Inode};
use crate::layer::Layer;
use crate::marks::is_whiteout;
use crate::overlay::Overlay;

/// The most entries that a layer's directory may have to be merged, else `EOVERFLOW`: a layer that lists without end must not fill the memory.
pub(crate) const ENTRIES_MAX: usize = 1 << 20;
/// The most entries of one answer.
const ANSWER_ENTRIES_MAX: usize = 4096;
/// How many entries of a layer's directory are asked for at once.
const PAGE_ENTRIES: usize = 1024;
/// How many listings are kept, and of how many entries in all; the newest is kept whatever its size.
const KEPT_MAX: usize = 8;
const KEPT_ENTRIES_MAX: usize = 1 << 17;
/// What a cookie is at most: there is room above for those who count on from it.
const COOKIE_BITS: u32 = 62;

/// The listings that were made last, newest first.
#[derive(Default)]
pub(crate) struct Listings {
    kept: Mutex<VecDeque<Arc<Listing>>>,
    hasher: RandomState,
}

/// A merged directory as it was.
struct Listing {
    /// Whose it is, and how often that had changed.
    serial: u64,
    version: u64,
    items: Vec<Item>,
}

struct Item {
    cookie: u64,
    name: Box<str>,
    layer: usize,
    attributes: Attributes,
}

impl Listings {
    fn find(&self, dir: &Inode, from_start: bool) -> Option<Arc<Listing>> {
        let kept = self.kept.lock();
        let found = kept.iter().find(|listing| listing.serial == dir.serial)?;
        (!from_start || found.version == dir.version()).then(|| Arc::clone(found))
    }

    fn keep(&self, listing: &Arc<Listing>) {
        let mut kept = self.kept.lock();
        kept.retain(|other| other.serial != listing.serial);
        kept.push_front(Arc::clone(listing));
        let entries = |kept: &VecDeque<Arc<Listing>>| kept.iter().map(|listing| listing.items.len()).sum::<usize>();
        while kept.len() > 1 && (kept.len() > KEPT_MAX || entries(&kept) > KEPT_ENTRIES_MAX) {
            kept.pop_back();
        }
    }

    fn cookie(&self, name: &str) -> u64 {
        (self.hasher.hash_one(name) >> (u64::BITS - COOKIE_BITS)).max(1)
    }
}

impl Overlay {
    /// At most `entries_max` entries after `cookie`.
    pub(crate) fn list(&self, dir: &Arc<Inode>, cookie: u64, entries_max: usize) -> Result<Vec<DirectoryEntry>, Errno> {
        if !dir.is_dir() {
            return Err(Errno::Notdir);
        }
        let entries_max = entries_max.min(ANSWER_ENTRIES_MAX);
        if dir.is_dead() || entries_max == 0 {
            return Ok(Vec::new());
        }
        match dir.stack()[..] {
            [one] if dir.lowers.is_empty() || !self.writable => self.list_one(dir, one, cookie, entries_max),
            _ => self.list_merged(dir, cookie, entries_max),
        }
    }

    /// A directory that only one layer has, now and always: by that layer's cookies.
    fn list_one(
        &self,
        dir: &Arc<Inode>,
        (layer, node): Identity,
        mut cookie: u64,
        entries_max: usize,
    ) -> Result<Vec<DirectoryEntry>, Errno> {
        let of = self.layers.get(layer).ok_or(Errno::Io)?;
        loop {
            let page = of.fs.readdir(node, cookie, entries_max)?;
            let Some(last) = page.last() else { return Ok(Vec::new()) };
            if last.cookie == cookie || page.len() > entries_max {
                return Err(Errno::Io);
            }
            cookie = last.cookie;
            let mut entries = Vec::with_capacity(page.len());
            for DirectoryEntry { name, cookie, attributes } in page {
                let hidden = self.is_reserved(dir, &name) || is_whiteout(&attributes);
                if !hidden && let Some(attributes) = self.listed(dir, &name, layer, &attributes)? {
                    entries.push(DirectoryEntry { name, cookie, attributes });
                }
            }
            // Only an empty answer is the end.
            if !entries.is_empty() {
                return Ok(entries);
            }
        }
    }

    fn list_merged(&self, dir: &Arc<Inode>, cookie: u64, entries_max: usize) -> Result<Vec<DirectoryEntry>, Errno> {
        let (listing, fresh) = self.listing(dir, cookie == 0)?;
        let mut rest =
            listing.items.get(listing.items.partition_point(|item| item.cookie <= cookie)..).unwrap_or_default();
        loop {
            let (page, after) = split_page(rest, entries_max);
            if page.is_empty() {
                return Ok(Vec::new());
            }
            let mut entries = Vec::with_capacity(page.len());
            for item in page {
                let from_lower = item.layer >= self.lowers_from;
                let as_it_was = dir.version() == listing.version && (fresh || from_lower);
                let attributes = if as_it_was {
                    self.listed(dir, &item.name, item.layer, &item.attributes)?
                } else {
                    self.relook(dir, &item.name)?
                };
                if let Some(attributes) = attributes {
                    entries.push(DirectoryEntry { name: item.name.to_string(), cookie: item.cookie, attributes });
                }
            }
            if !entries.is_empty() {
                return Ok(entries);
            }
            rest = after;
        }
    }

    /// The attributes of an entry that a layer just listed with its own.
    fn listed(
        &self,
        dir: &Arc<Inode>,
        name: &str,
        layer: usize,
        attributes: &Attributes,
    ) -> Result<Option<Attributes>, Errno> {
        // What is merged with a directory shows only when it is looked up.
        if attributes.kind == NodeKind::Directory && self.layers.len() > 1 {
            return self.relook(dir, name);
        }
        let identity = (layer, attributes.node);
        Ok(match self.table.find(identity) {
            None => Some(Attributes { node: self.table.number(identity), ..*attributes }),
            Some(inode) if inode.stack().first() == Some(&identity) => self.dress(&inode, *attributes).ok(),
            Some(inode) => self.attributes(&inode).ok(),
        })
    }

    /// The attributes of what has the name now, if anything.
    fn relook(&self, dir: &Arc<Inode>, name: &str) -> Result<Option<Attributes>, Errno> {
        let entries = dir.entries.read();
        let (entry, _) = if dir.is_dead() { (None, false) } else { self.entry(dir, name)? };
        drop(entries);
        match entry.map(|entry| self.attributes(&entry.inode)) {
            None | Some(Err(Errno::Stale | Errno::Noent)) => Ok(None),
            Some(attributes) => attributes.map(Some),
        }
    }

    /// The directory as it is, or as it was when the listing began; and whether it was merged just now.
    fn listing(&self, dir: &Inode, from_start: bool) -> Result<(Arc<Listing>, bool), Errno> {
        if let Some(listing) = self.listings.find(dir, from_start) {
            return Ok((listing, false));
        }
        let entries = dir.entries.read();
        let (version, mut items) = (dir.version(), Vec::new());
        self.merge(dir, |name, layer, attributes| {
            items.push(Item { cookie: self.listings.cookie(&name), name: name.into(), layer, attributes });
            ControlFlow::Continue(())
        })?;
        drop(entries);
        items.sort_unstable_by(|a, b| (a.cookie, &a.name, a.layer).cmp(&(b.cookie, &b.name, b.layer)));
        items.dedup_by(|a, b| a.name == b.name);
        let listing = Arc::new(Listing { serial: dir.serial, version, items });
        self.listings.keep(&listing);
        Ok((listing, true))
    }

    /// Visits the entries of a directory, each with its topmost layer. The caller holds `entries`.
    fn merge(
        &self,
        dir: &Inode,
        mut visit: impl FnMut(String, usize, Attributes) -> ControlFlow<()>,
    ) -> Result<(), Errno> {
        let stack = dir.stack();
        let mut hidden: HashSet<String> = HashSet::new();
        for (place, &(layer, node)) in stack.iter().enumerate() {
            let of = self.layers.get(layer).ok_or(Errno::Io)?;
            let last_layer = place + 1 == stack.len();
            let (mut here, mut cookie, mut count) = (Vec::new(), 0, 0);
            loop {
                let page = of.fs.readdir(node, cookie, PAGE_ENTRIES)?;
                let Some(last) = page.last() else { break };
                (cookie, count) = (last.cookie, count + page.len());
                if count > ENTRIES_MAX {
                    return Err(Errno::Overflow);
                }
                for DirectoryEntry { name, attributes, .. } in page {
                    if let Some(gone) = of.gone(&name) {
                        here.push(gone.to_owned());
                    } else if is_whiteout(&attributes) {
                        here.push(name);
                    } else if !self.is_reserved(dir, &name) && !self.is_hidden(&hidden, &name) {
                        if !last_layer {
                            here.push(name.clone());
                        }
                        if visit(name, layer, attributes).is_break() {
                            return Ok(());
                        }
                    }
                }
            }
            if !last_layer {
                hidden.extend(here);
            }
        }
        Ok(())
    }

    /// Whether a directory has no entries. The caller holds its `entries`.
    pub(crate) fn is_empty(&self, dir: &Inode) -> Result<bool, Errno> {
        let mut empty = true;
        self.merge(dir, |_, _, _| {
            empty = false;
            ControlFlow::Break(())
        })?;
        Ok(empty)
    }

    /// How many subdirectories a merged directory has. Counted once, and kept while it is held.
    pub(crate) fn count_subdirs(&self, dir: &Inode) -> Result<u64, Errno> {
        if let Some(subdirs) = dir.subdirs() {
            return Ok(subdirs);
        }
        let _entries = dir.entries.read();
        let mut subdirs = 0;
        self.merge(dir, |_, _, attributes| {
            subdirs += u64::from(attributes.kind == NodeKind::Directory);
            ControlFlow::Continue(())
        })?;
        dir.counted(subdirs);
        Ok(subdirs)
    }
}

impl Overlay {
    /// Whether a layer above has the name, or says that it is not there.
    fn is_hidden(&self, hidden: &HashSet<String>, name: &str) -> bool {
        if hidden.is_empty() {
            return false;
        }
        // A long name is hidden by its hash.
        let by_hash = |layer: &Layer| {
            layer.marks.are_names
                && layer.marks.is_long(name)
                && layer.gone(&layer.marks.whiteout(name)).is_some_and(|name| hidden.contains(name))
        };
        hidden.contains(name) || self.layers.iter().any(by_hash)
    }
}

impl Layer {
    /// The name that a file of this layer says is not there.
    fn gone<'a>(&self, name: &'a str) -> Option<&'a str> {
        if self.marks.are_names { name.strip_prefix(&self.marks.prefix) } else { None }
    }
}

/// So many items, but never some of one cookie without the others; and the rest.
fn split_page(items: &[Item], count_max: usize) -> (&[Item], &[Item]) {
    let mut end = count_max.min(items.len());
    if let (Some(last), Some(next)) = (items.get(end.wrapping_sub(1)), items.get(end))
        && last.cookie == next.cookie
    {
        let start = items.partition_point(|item| item.cookie < last.cookie);
        // So many names of one hash do not come about; they would not all be shown.
        end = if start > 0 { start } else { end };
    }
    items.split_at(end)
}
