//! What is known of a directory's entries.

use std::collections::{BTreeMap, HashMap};
use std::ops::Bound::{Excluded, Unbounded};
use std::sync::Arc;
use std::time::{Duration, Instant};

use eyot_backend::NodeKind;

use crate::requests::Object;

/// An entry.
#[derive(Clone, Debug)]
pub(crate) struct Listed {
    /// Its place in the order of listings: higher than that of all that were seen before.
    cookie: u64,
    pub(crate) kind: NodeKind,
    pub(crate) object: Object,
    /// It is not on the server yet.
    pub(crate) local: bool,
}

/// The entries of a directory, as the server told last and as this mount changed them since.
#[derive(Default)]
pub(crate) struct Listing {
    entries: HashMap<Arc<str>, Listed>,
    order: BTreeMap<u64, Arc<str>>,
    last_cookie: u64,
    /// When the server told of all of them.
    complete: Option<Instant>,
    /// There are more than a page: names are asked for one by one.
    pub(crate) is_large: bool,
    /// Whether there is an object for the directory itself; `None`: nobody looked.
    pub(crate) marker: Option<bool>,
    /// Changes of this mount are counted, and while somebody reads the server's listing, remembered.
    change: u64,
    readers: u32,
    changed: HashMap<Arc<str>, u64>,
}

impl Listing {
    /// Of a directory that this mount has just made.
    pub(crate) fn empty() -> Self {
        Self { complete: Some(Instant::now()), marker: Some(true), ..Self::default() }
    }

    pub(crate) fn is_fresh(&self, lifetime: Duration) -> bool {
        self.complete.is_some_and(|at| at.elapsed() <= lifetime)
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Listed> {
        self.entries.get(name)
    }

    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The entries behind a cookie, in order.
    pub(crate) fn after(&self, cookie: u64) -> impl Iterator<Item = (u64, &Arc<str>, &Listed)> {
        let order = self.order.range((Excluded(cookie), Unbounded));
        order.filter_map(|(&cookie, name)| self.entries.get(name).map(|listed| (cookie, name, listed)))
    }

    /// This mount made an entry, or changed what is known of it.
    pub(crate) fn put(&mut self, name: &str, kind: NodeKind, object: Object, local: bool) {
        let name = self.note(name);
        self.place(name, kind, object, local);
    }

    /// What is known of an entry that is there.
    pub(crate) fn update(&mut self, name: &str, object: &Object, local: bool) {
        if let Some(listed) = self.entries.get_mut(name) {
            (listed.object, listed.local) = (object.clone(), local);
            self.note(name);
        }
    }

    /// This mount took an entry away.
    pub(crate) fn remove(&mut self, name: &str) {
        self.note(name);
        self.forget(name);
    }

    /// Objects became others of the same contents.
    pub(crate) fn retag(&mut self, etag: impl Fn(&str, NodeKind) -> Option<Arc<str>>) {
        for (name, listed) in &mut self.entries {
            if let Some(etag) = etag(name, listed.kind) {
                listed.object.etag = Some(etag);
                listed.object.modified = eyot_backend::Timestamp::default();
            }
        }
    }

    /// Nothing is believed any more but what is only here.
    pub(crate) fn doubt(&mut self) {
        self.complete = None;
    }

    fn note(&mut self, name: &str) -> Arc<str> {
        let name: Arc<str> = self.entries.get_key_value(name).map_or_else(|| name.into(), |(name, _)| Arc::clone(name));
        self.change += 1;
        if self.readers > 0 {
            self.changed.insert(Arc::clone(&name), self.change);
        }
        name
    }

    fn place(&mut self, name: Arc<str>, kind: NodeKind, mut object: Object, local: bool) {
        if let Some(listed) = self.entries.get_mut(&name) {
            // The listing does not tell what the headers say, but if nothing changed, that did not either.
            if object.metadata.is_none() && listed.kind == kind && listed.object.is(&object) {
                object.metadata.clone_from(&listed.object.metadata);
                object.etag = object.etag.or_else(|| listed.object.etag.clone());
            }
            (listed.kind, listed.object, listed.local) = (kind, object, local);
            return;
        }
        self.last_cookie += 1;
        self.order.insert(self.last_cookie, Arc::clone(&name));
        self.entries.insert(name, Listed { cookie: self.last_cookie, kind, object, local });
    }

    fn forget(&mut self, name: &str) {
        if let Some(listed) = self.entries.remove(name) {
            self.order.remove(&listed.cookie);
        }
    }

    /// Somebody begins to read the server's listing. Each must end.
    pub(crate) fn begin(&mut self) -> u64 {
        self.readers += 1;
        self.change
    }

    /// The server's listing is not to be had.
    pub(crate) fn give_up(&mut self) {
        self.readers = self.readers.saturating_sub(1);
        if self.readers == 0 {
            self.changed.clear();
        }
    }

    /// The server's listing, whole. What this mount changed since it was begun is newer.
    pub(crate) fn end(&mut self, begun: u64, mut told: HashMap<Arc<str>, (NodeKind, Object)>, marker: bool) {
        let newer = |changed: &HashMap<Arc<str>, u64>, name: &str| changed.get(name).is_some_and(|&at| at > begun);
        let gone: Vec<Arc<str>> = self
            .entries
            .iter()
            .filter(|(name, listed)| !listed.local && !told.contains_key(*name) && !newer(&self.changed, name))
            .map(|(name, _)| Arc::clone(name))
            .collect();
        for name in gone {
            self.forget(&name);
        }
        told.retain(|name, _| !newer(&self.changed, name));
        let mut told: Vec<_> = told.into_iter().collect();
        told.sort_by(|(one, _), (two, _)| one.cmp(two));
        for (name, (kind, object)) in told {
            if !self.entries.get(&name).is_some_and(|listed| listed.local) {
                self.place(name, kind, object, false);
            }
        }
        self.complete = Some(Instant::now());
        if marker || self.marker.is_none() {
            self.marker = Some(marker);
        }
        self.give_up();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(names: &[&str]) -> HashMap<Arc<str>, (NodeKind, Object)> {
        names.iter().map(|name| ((*name).into(), (NodeKind::File, Object::default()))).collect()
    }

    fn names(listing: &Listing) -> Vec<String> {
        listing.after(0).map(|(_, name, _)| name.to_string()).collect()
    }

    #[test]
    fn cookies_stay_while_the_server_tells_again() {
        let mut listing = Listing::default();
        let begun = listing.begin();
        listing.end(begun, told(&["b", "a", "c"]), true);
        assert_eq!(names(&listing), ["a", "b", "c"]);
        let cookie = listing.after(0).nth(1).unwrap().0;
        let begun = listing.begin();
        listing.end(begun, told(&["aa", "b", "c"]), true);
        assert_eq!(names(&listing), ["b", "c", "aa"]);
        assert_eq!(listing.after(0).next().unwrap().0, cookie);
        listing.remove("b");
        assert_eq!(listing.after(cookie).count(), 2);
        assert_eq!(listing.after(u64::MAX).count(), 0);
    }

    #[test]
    fn what_this_mount_did_meanwhile_is_newer() {
        let mut listing = Listing::default();
        listing.put("kept", NodeKind::File, Object::default(), true);
        let begun = listing.begin();
        listing.put("made", NodeKind::File, Object::default(), false);
        listing.put("taken", NodeKind::File, Object::default(), false);
        listing.remove("taken");
        listing.end(begun, told(&["taken", "old"]), false);
        assert_eq!(names(&listing), ["kept", "made", "old"]);
        let begun = listing.begin();
        listing.end(begun, told(&["old"]), false);
        assert_eq!(names(&listing), ["kept", "old"]);
    }

    #[test]
    fn what_the_headers_said_is_kept_while_nothing_changes() {
        let object = |metadata| Object { size: 3, etag: Some("e".into()), metadata, ..Object::default() };
        let mut listing = Listing::default();
        listing.put("a", NodeKind::File, object(Some(Arc::default())), false);
        let begun = listing.begin();
        listing.end(begun, HashMap::from([("a".into(), (NodeKind::File, object(None)))]), true);
        assert!(listing.get("a").unwrap().object.metadata.is_some());
        let begun = listing.begin();
        let changed = Object { size: 4, ..object(None) };
        listing.end(begun, HashMap::from([("a".into(), (NodeKind::File, changed))]), true);
        assert!(listing.get("a").unwrap().object.metadata.is_none());
    }
}
