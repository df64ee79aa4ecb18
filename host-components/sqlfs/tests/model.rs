//! Random operations on this filesystem and on the one in memory: the same answers, the same tree, and the same again after it was closed and opened;
//! with snapshots and clones whose trees are compared with what they were.

mod common;

use std::collections::BTreeMap;

use common::{ROOT, Thing, assert_clean, place, read_all, size, tight, tree};
use eyot_backend::{
    AttributeChanges, Attributes, Errno, Filesystem, Node, NodeKind, Ownership, RenameFlags, Timestamp,
};
use eyot_memfs::Memfs;
use eyot_sqlfs::{Sqlfs, SqlfsBuilder};
use proptest::prelude::*;

/// One step. Inodes are chosen among those that are held, names among few.
#[derive(Clone, Debug)]
enum Step {
    Create(u8, u8),
    Mkdir(u8, u8),
    Symlink(u8, u8, u16),
    Special(u8, u8, bool),
    Link(u8, u8, u8),
    Unlink(u8, u8),
    Rmdir(u8, u8),
    Rename(u8, u8, u8, u8, u8),
    Lookup(u8, u8),
    Forget(u8),
    Write(u8, u32, u32, u8),
    Read(u8, u32, u32),
    Size(u8, u32),
    Attributes(u8, u16, bool),
    Set(u8, u8, u16),
    Remove(u8, u8),
    Fsync(u8),
    Reopen,
    Snapshot,
    Clone(u8),
    CloneSnapshot(u8),
    CheckClones,
    Compact,
}

fn step() -> impl Strategy<Value = Step> {
    let id = any::<u8>;
    let name = || 0..6_u8;
    let place = || prop_oneof![0..200_u32, 60_000..70_000_u32, 0..400_000_u32];
    prop_oneof![
        6 => (id(), name()).prop_map(|(dir, name)| Step::Create(dir, name)),
        4 => (id(), name()).prop_map(|(dir, name)| Step::Mkdir(dir, name)),
        1 => (id(), name(), 1..300_u16).prop_map(|(dir, name, length)| Step::Symlink(dir, name, length)),
        1 => (id(), name(), any::<bool>()).prop_map(|(dir, name, fifo)| Step::Special(dir, name, fifo)),
        3 => (id(), id(), name()).prop_map(|(of, dir, name)| Step::Link(of, dir, name)),
        4 => (id(), name()).prop_map(|(dir, name)| Step::Unlink(dir, name)),
        2 => (id(), name()).prop_map(|(dir, name)| Step::Rmdir(dir, name)),
        5 => (id(), name(), id(), name(), 0..5_u8).prop_map(|(a, b, c, d, how)| Step::Rename(a, b, c, d, how)),
        3 => (id(), name()).prop_map(|(dir, name)| Step::Lookup(dir, name)),
        2 => id().prop_map(Step::Forget),
        10 => (id(), place(), place(), id()).prop_map(|(of, at, length, seed)| Step::Write(of, at, length, seed)),
        5 => (id(), place(), place()).prop_map(|(of, at, length)| Step::Read(of, at, length)),
        4 => (id(), place()).prop_map(|(of, bytes)| Step::Size(of, bytes)),
        2 => (id(), any::<u16>(), any::<bool>()).prop_map(|(of, mode, times)| Step::Attributes(of, mode, times)),
        2 => (id(), name(), 0..500_u16).prop_map(|(of, name, length)| Step::Set(of, name, length)),
        1 => (id(), name()).prop_map(|(of, name)| Step::Remove(of, name)),
        2 => id().prop_map(Step::Fsync),
        1 => Just(Step::Reopen),
        1 => Just(Step::Snapshot),
        1 => id().prop_map(Step::Clone),
        1 => id().prop_map(Step::CloneSnapshot),
        1 => Just(Step::CheckClones),
        1 => Just(Step::Compact),
    ]
}

/// Where clones are put: a directory that the model does not have.
const CLONES: &str = "clones";

struct Pair {
    builder: SqlfsBuilder,
    path: std::path::PathBuf,
    ours: Option<Sqlfs>,
    model: Memfs,
    /// What both hold, as the numbers that either gave.
    held: Vec<(Node, Node)>,
    clones: u32,
    /// What the clones were when they were made.
    cloned: BTreeMap<String, BTreeMap<String, Thing>>,
    snapshots: Vec<(String, BTreeMap<String, Thing>)>,
}

fn name(index: u8) -> String {
    format!("name-{index}")
}

/// What must be the same of both.
fn face(attributes: Attributes) -> impl PartialEq + std::fmt::Debug {
    let Attributes { kind, mode, links, uid, gid, device, size, .. } = attributes;
    (kind, mode, links, uid, gid, device, size)
}

fn owner(seed: u8) -> Ownership {
    Ownership { mode: 0o600 | u32::from(seed), uid: u32::from(seed), gid: 7 }
}

impl Pair {
    fn new(builder: SqlfsBuilder, path: std::path::PathBuf) -> Self {
        let ours = builder.clone().open(&path).unwrap();
        let clones = ours.mkdir(ROOT, CLONES, owner(0)).unwrap();
        ours.forget(clones.node, 1);
        let model = Memfs::new();
        model.mkdir(ROOT, CLONES, owner(0)).unwrap();
        Self {
            builder,
            path,
            ours: Some(ours),
            model,
            held: vec![(ROOT, ROOT)],
            clones: 0,
            cloned: BTreeMap::new(),
            snapshots: Vec::new(),
        }
    }

    fn ours(&self) -> &Sqlfs {
        self.ours.as_ref().unwrap()
    }

    fn pick(&self, index: u8) -> (Node, Node) {
        self.held[usize::from(index) % self.held.len()]
    }

    fn made(&mut self, ours: Result<Attributes, Errno>, model: Result<Attributes, Errno>) {
        assert_eq!(ours.map(face), model.map(face));
        if let (Ok(ours), Ok(model)) = (ours, model) {
            self.held.push((ours.node, model.node));
        }
    }

    /// Whether a directory lies at or below another, in the model.
    fn is_below(&self, top: Node, dir: Node) -> bool {
        let mut waiting = vec![top];
        while let Some(at) = waiting.pop() {
            if at == dir {
                return true;
            }
            let entries = common::list(&self.model, at).unwrap_or_default();
            waiting.extend(entries.into_iter().filter(|(_, it)| it.kind == NodeKind::Directory).map(|(_, it)| it.node));
        }
        false
    }

    fn apply(&mut self, step: &Step) {
        let ours = self.ours.take().unwrap();
        self.apply_to(&ours, step);
        self.ours = Some(ours);
        match step {
            Step::Reopen => self.reopen(),
            Step::Snapshot => {
                let name = format!("snapshot-{}", self.snapshots.len());
                self.ours().snapshot(&name).unwrap();
                self.snapshots.push((name, self.our_tree()));
            }
            Step::Clone(of) => self.clone_tree(*of),
            Step::CloneSnapshot(which) => self.clone_snapshot(*which),
            Step::CheckClones => self.check_clones(),
            Step::Compact => drop(self.ours().compact().unwrap()),
            _ => {}
        }
    }

    fn apply_to(&mut self, fs: &Sqlfs, step: &Step) {
        match *step {
            Step::Create(dir, n) => {
                let (a, b) = self.pick(dir);
                let (ours, model) = (fs.create(a, &name(n), owner(n)), self.model.create(b, &name(n), owner(n)));
                self.made(ours, model);
            }
            Step::Mkdir(dir, n) => {
                let (a, b) = self.pick(dir);
                let (ours, model) = (fs.mkdir(a, &name(n), owner(n)), self.model.mkdir(b, &name(n), owner(n)));
                self.made(ours, model);
            }
            Step::Symlink(dir, n, length) => {
                let (a, b) = self.pick(dir);
                let target = "t".repeat(length.into());
                let ours = fs.symlink(a, &name(n), &target, owner(n));
                let model = self.model.symlink(b, &name(n), &target, owner(n));
                self.made(ours, model);
            }
            Step::Special(dir, n, fifo) => {
                let (a, b) = self.pick(dir);
                let kind = if fifo { NodeKind::Fifo } else { NodeKind::BlockDevice };
                let ours = fs.make_node(a, &name(n), kind, u64::MAX - 5, owner(n));
                let model = self.model.make_node(b, &name(n), kind, u64::MAX - 5, owner(n));
                self.made(ours, model);
            }
            Step::Link(of, dir, n) => {
                let ((a, b), (to_a, to_b)) = (self.pick(of), self.pick(dir));
                let (ours, model) = (fs.link(a, to_a, &name(n)), self.model.link(b, to_b, &name(n)));
                self.made(ours, model);
            }
            Step::Lookup(dir, n) => {
                let (a, b) = self.pick(dir);
                let (ours, model) = (fs.lookup(a, &name(n)), self.model.lookup(b, &name(n)));
                self.made(ours, model);
            }
            Step::Unlink(dir, n) => {
                let (a, b) = self.pick(dir);
                assert_eq!(fs.unlink(a, &name(n)), self.model.unlink(b, &name(n)));
            }
            Step::Rmdir(dir, n) => {
                let (a, b) = self.pick(dir);
                assert_eq!(fs.rmdir(a, &name(n)), self.model.rmdir(b, &name(n)));
            }
            Step::Rename(from, n, to, m, how) => self.rename(fs, (from, n), (to, m), how),
            Step::Forget(index) => {
                let index = usize::from(index) % self.held.len();
                if index > 0 {
                    let (a, b) = self.held.swap_remove(index);
                    fs.forget(a, 1);
                    self.model.forget(b, 1);
                }
            }
            _ => self.apply_data(fs, step),
        }
    }

    fn rename(&mut self, fs: &Sqlfs, (from, n): (u8, u8), (to, m): (u8, u8), how: u8) {
        let ((a, b), (to_a, to_b)) = (self.pick(from), self.pick(to));
        let how = [RenameFlags::empty(), RenameFlags::NO_REPLACE, RenameFlags::EXCHANGE][usize::from(how) % 3];
        // The kernel rules this out, and the model trusts it.
        let moved = |dir: Node, name: &str| {
            self.model.lookup(dir, name).ok().inspect(|found| self.model.forget(found.node, 1)).map(|found| found.node)
        };
        let down = moved(b, &name(n)).is_some_and(|node| self.is_below(node, to_b));
        let up = how == RenameFlags::EXCHANGE && moved(to_b, &name(m)).is_some_and(|node| self.is_below(node, b));
        let ours = fs.rename(a, &name(n), to_a, &name(m), how);
        if down || up {
            // Two names of one inode come first, and missing directories.
            assert!(ours.is_err(), "{ours:?}");
            return;
        }
        assert_eq!(ours, self.model.rename(b, &name(n), to_b, &name(m), how));
    }

    fn apply_data(&mut self, fs: &Sqlfs, step: &Step) {
        match *step {
            Step::Write(of, at, length, seed) => {
                let (a, b) = self.pick(of);
                let bytes = match seed % 4 {
                    0 => vec![0; length as usize],
                    1 => vec![seed; length as usize],
                    _ => common::Random(u64::from(seed) + 1).bytes(length as usize),
                };
                let ours = fs.write(a, 0, u64::from(at), &bytes);
                assert_eq!(ours, self.model.write(b, 0, u64::from(at), &bytes));
            }
            Step::Read(of, at, length) => {
                let (a, b) = self.pick(of);
                let (mut ours, mut model) = (vec![1; length as usize], vec![2; length as usize]);
                let counts = (fs.read(a, 0, at.into(), &mut ours), self.model.read(b, 0, at.into(), &mut model));
                assert_eq!(counts.0, counts.1);
                let count = counts.0.unwrap_or_default();
                assert!(ours[..count] == model[..count], "other bytes");
            }
            Step::Size(of, bytes) => {
                let (a, b) = self.pick(of);
                let (ours, model) = (fs.setattr(a, &size(bytes.into())), self.model.setattr(b, &size(bytes.into())));
                assert_eq!(ours.map(face), model.map(face));
            }
            Step::Attributes(of, mode, times) => {
                let (a, b) = self.pick(of);
                let time = Timestamp { seconds: i64::from(mode) - 9, nanoseconds: u32::from(mode) };
                let time = times.then_some(time);
                let changes = AttributeChanges {
                    mode: Some(mode.into()),
                    uid: Some(mode.into()),
                    accessed: time,
                    modified: time,
                    ..Default::default()
                };
                let (ours, model) = (fs.setattr(a, &changes).unwrap(), self.model.setattr(b, &changes).unwrap());
                assert_eq!(face(ours), face(model));
                assert!(!times || (ours.accessed, ours.modified) == (model.accessed, model.modified));
            }
            Step::Set(of, n, length) => {
                let (a, b) = self.pick(of);
                let value = vec![n; length.into()];
                assert_eq!(fs.setxattr(a, &name(n), &value), self.model.setxattr(b, &name(n), &value));
            }
            Step::Remove(of, n) => {
                let (a, b) = self.pick(of);
                assert_eq!(fs.removexattr(a, &name(n)), self.model.removexattr(b, &name(n)));
            }
            Step::Fsync(of) => {
                let (a, b) = self.pick(of);
                assert_eq!(fs.fsync(a, 0, false), self.model.fsync(b, 0, false));
            }
            _ => {}
        }
    }

    /// Closes and opens. What has no name is gone then, and the model's must go as well.
    fn reopen(&mut self) {
        for (_, (ours, model)) in self.held.iter().enumerate().skip(1).filter(|(index, _)| index % 2 == 0) {
            self.ours().forget(*ours, 1);
            self.model.forget(*model, 1);
        }
        let before = self.ours().getattr(ROOT).unwrap();
        self.ours = None;
        self.ours = Some(self.builder.clone().open(&self.path).unwrap());
        assert_eq!(self.ours().getattr(ROOT).unwrap(), before);
        for (ours, model) in std::mem::take(&mut self.held).into_iter().skip(1) {
            let _ = ours;
            self.model.forget(model, u64::MAX);
        }
        self.held = vec![(ROOT, ROOT)];
    }

    fn our_tree(&self) -> BTreeMap<String, Thing> {
        let mut tree = tree(self.ours(), ROOT);
        tree.retain(|path, _| !path.starts_with("/clones/"));
        tree
    }

    fn clones_dir(&self) -> Node {
        let found = self.ours().lookup(ROOT, CLONES).unwrap();
        self.ours().forget(found.node, 1);
        found.node
    }

    fn next_clone(&mut self) -> String {
        self.clones += 1;
        format!("clone-{}", self.clones)
    }

    fn clone_tree(&mut self, of: u8) {
        let (source, _) = self.pick(of);
        let attributes = self.ours().getattr(source).unwrap();
        if attributes.kind != NodeKind::Directory || source == ROOT {
            return;
        }
        let name = self.next_clone();
        let dir = self.clones_dir();
        let made = self.ours().clone_tree(source, dir, &name);
        if attributes.links == 0 {
            assert_eq!(made, Err(Errno::Noent));
            return;
        }
        self.ours().forget(made.unwrap().node, 1);
        let source = unlinked_from_outside(tree(self.ours(), source));
        self.cloned.insert(name, source);
    }

    fn clone_snapshot(&mut self, which: u8) {
        if self.snapshots.is_empty() || self.clones > 12 {
            return;
        }
        let (snapshot, was) = self.snapshots[usize::from(which) % self.snapshots.len()].clone();
        let name = self.next_clone();
        let made = self.ours().clone_snapshot(&snapshot, self.clones_dir(), &name).unwrap();
        self.ours().forget(made.node, 1);
        self.cloned.insert(name, unlinked_from_outside(was));
    }

    /// The clones are what was cloned, whatever happened since.
    fn check_clones(&self) {
        for (name, was) in &self.cloned {
            let clone = self.ours().lookup(self.clones_dir(), name).unwrap();
            let mut is = tree(self.ours(), clone.node);
            is.retain(|path, _| !path.starts_with("/clones/"));
            self.ours().forget(clone.node, 1);
            assert_eq!(keys(&is), keys(was), "{name}");
            for (path, thing) in &is {
                assert!(same(path, thing, &was[path]), "{name}{path}: {thing:?} was {:?}", was[path]);
            }
        }
    }

    fn compare(&self) {
        let (ours, model) = (tree(self.ours(), ROOT), tree(&self.model, ROOT));
        let ours: BTreeMap<_, _> = ours.into_iter().filter(|(path, _)| !path.starts_with("/clones")).collect();
        let model: BTreeMap<_, _> = model.into_iter().filter(|(path, _)| !path.starts_with("/clones")).collect();
        assert_eq!(keys(&ours), keys(&model));
        for (path, thing) in &ours {
            assert!(*thing == model[path], "{path}: {thing:?} is not {:?}", model[path]);
        }
        assert_clean(self.ours());
    }
}

fn keys(tree: &BTreeMap<String, Thing>) -> Vec<&String> {
    tree.keys().collect()
}

/// The directory of the clones has other subdirectories in a clone.
fn same(path: &str, is: &Thing, was: &Thing) -> bool {
    *is == *was || (path == "/clones" && is.kind == was.kind)
}

/// In a clone an inode counts the names that it has there.
fn unlinked_from_outside(mut tree: BTreeMap<String, Thing>) -> BTreeMap<String, Thing> {
    let mut counts: BTreeMap<String, u32> = BTreeMap::new();
    for thing in tree.values().filter(|thing| thing.kind != NodeKind::Directory) {
        *counts.entry(thing.same_as.clone()).or_default() += 1;
    }
    for thing in tree.values_mut().filter(|thing| thing.kind != NodeKind::Directory) {
        thing.links = counts[&thing.same_as];
    }
    tree
}

fn run(builder: SqlfsBuilder, steps: &[Step]) {
    let place = place();
    let mut pair = Pair::new(builder, place.path.clone());
    for step in steps {
        pair.apply(step);
        assert_eq!(pair.ours().failure(), None);
    }
    for (ours, model) in &pair.held {
        let attributes = pair.ours().getattr(*ours).map(face);
        assert_eq!(attributes, pair.model.getattr(*model).map(face));
        if attributes.is_ok_and(|_| pair.model.getattr(*model).unwrap().kind == NodeKind::File) {
            assert!(read_all(pair.ours(), *ours).unwrap() == read_all(&pair.model, *model).unwrap());
        }
    }
    pair.compare();
    pair.check_clones();
    pair.reopen();
    pair.compare();
    pair.check_clones();
    // Back to the first snapshot, when there is one.
    if let Some((name, was)) = pair.snapshots.first().cloned() {
        pair.ours().restore(&name).unwrap();
        let is = pair.our_tree();
        assert_eq!(keys(&is), keys(&was));
        assert!(is.iter().all(|(path, thing)| same(path, thing, &was[path])), "{is:?} was {was:?}");
        assert_clean(pair.ours());
        if let Some((name, was)) = pair.snapshots.last().cloned() {
            pair.ours().restore(&name).unwrap();
            let is = pair.our_tree();
            assert!(is.iter().all(|(path, thing)| same(path, thing, &was[path])), "{is:?} was {was:?}");
            assert_clean(pair.ours());
        }
    }
    pair.ours().compact().unwrap();
    assert_clean(pair.ours());
}

fn cases() -> u32 {
    if std::env::var_os("EYOT_LONG").is_some() { 3000 } else { 60 }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 3000, failure_persistence: None, ..Default::default() })]

    #[test]
    fn it_is_what_memfs_is(steps in prop::collection::vec(step(), 1..150)) {
        run(tight(), &steps);
    }

    #[test]
    fn it_is_what_memfs_is_with_default_sizes(steps in prop::collection::vec(step(), 1..150)) {
        run(Sqlfs::builder(), &steps);
    }
}
