//! Random operations on an overlay over populated layers, against the same on a plain memfs that holds the merged tree: the same answers, the same
//! tree afterwards, and the same again in a new overlay over the same layers.

mod common;

use std::collections::HashMap;
use std::sync::Arc;

use common::*;
use eyot_backend::*;
use eyot_hostdir::Hostdir;
use eyot_memfs::Memfs;
use eyot_overlay::Overlay;
use proptest::prelude::*;

type Path = Vec<u8>;

#[derive(Clone, Debug)]
enum Op {
    Create(Path),
    Mkdir(Path),
    Symlink(Path),
    Fifo(Path),
    Link(Path, Path),
    Unlink(Path),
    Rmdir(Path),
    Rename(Path, Path, u32),
    Write(Path, u16, u8),
    Truncate(Path, u16),
    Chmod(Path, u16),
    Chown(Path, u8),
    SetXattr(Path, u8),
    RemoveXattr(Path, u8),
    Stat(Path),
    List(Path),
    /// Keeps an inode, open for reading or for both.
    Keep(u8, Path, bool),
    ReadKept(u8),
    WriteKept(u8, u8),
    StatKept(u8),
    LinkKept(u8, Path),
    CreateInKept(u8, u8),
    LetGo(u8),
    Reopen,
}

fn path() -> impl Strategy<Value = Path> {
    prop_oneof![4 => Just(1usize), 4 => Just(2), 2 => Just(3)]
        .prop_flat_map(|length| prop::collection::vec(0u8..3, length))
}

fn op() -> impl Strategy<Value = Op> {
    let slot = 0u8..3;
    prop_oneof![
        3 => path().prop_map(Op::Create),
        3 => path().prop_map(Op::Mkdir),
        1 => path().prop_map(Op::Symlink),
        1 => path().prop_map(Op::Fifo),
        4 => (path(), path()).prop_map(|(a, b)| Op::Link(a, b)),
        4 => path().prop_map(Op::Unlink),
        4 => path().prop_map(Op::Rmdir),
        10 => (path(), path(), 0u32..3).prop_map(|(a, b, how)| Op::Rename(a, b, how)),
        4 => (path(), 0u16..300, any::<u8>()).prop_map(|(a, at, byte)| Op::Write(a, at, byte)),
        2 => (path(), 0u16..300).prop_map(|(a, size)| Op::Truncate(a, size)),
        2 => (path(), 0u16..0o1000).prop_map(|(a, mode)| Op::Chmod(a, mode)),
        1 => (path(), any::<u8>()).prop_map(|(a, id)| Op::Chown(a, id)),
        1 => (path(), 0u8..2).prop_map(|(a, x)| Op::SetXattr(a, x)),
        2 => (path(), 0u8..2).prop_map(|(a, x)| Op::RemoveXattr(a, x)),
        2 => path().prop_map(Op::Stat),
        2 => path().prop_map(Op::List),
        3 => (slot.clone(), path(), any::<bool>()).prop_map(|(s, a, w)| Op::Keep(s, a, w)),
        3 => slot.clone().prop_map(Op::ReadKept),
        2 => (slot.clone(), any::<u8>()).prop_map(|(s, byte)| Op::WriteKept(s, byte)),
        2 => slot.clone().prop_map(Op::StatKept),
        1 => (slot.clone(), path()).prop_map(|(s, a)| Op::LinkKept(s, a)),
        1 => (slot.clone(), 0u8..3).prop_map(|(s, n)| Op::CreateInKept(s, n)),
        1 => slot.prop_map(Op::LetGo),
        1 => Just(Op::Reopen),
    ]
}

/// What layers are made by: the operations that make things.
fn making() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => path().prop_map(Op::Create),
        9 => path().prop_map(Op::Mkdir),
        1 => path().prop_map(Op::Symlink),
        1 => path().prop_map(Op::Fifo),
        6 => (path(), path()).prop_map(|(a, b)| Op::Link(a, b)),
        3 => (path(), 0u16..300, any::<u8>()).prop_map(|(a, at, byte)| Op::Write(a, at, byte)),
        1 => (path(), 0u16..0o1000).prop_map(|(a, mode)| Op::Chmod(a, mode)),
        1 => (path(), 0u8..2).prop_map(|(a, x)| Op::SetXattr(a, x)),
    ]
}

/// A filesystem, with what is kept of it.
struct Side {
    fs: Arc<dyn Filesystem>,
    kept: HashMap<u8, (Node, Option<Handle>)>,
}

/// What an operation answers, as far as both sides must agree.
#[derive(Debug, PartialEq)]
enum Answer {
    Done,
    Skipped,
    Seen(NodeKind, u32, u32, u32, u32, u64, u64),
    Names(Vec<String>),
    Bytes(Vec<u8>),
}

const NAMES: [&str; 3] = ["a", "b", "c"];

impl Side {
    fn new(fs: Arc<dyn Filesystem>) -> Self {
        Self { fs, kept: HashMap::new() }
    }

    fn find(&self, path: &[u8]) -> Result<Node, Errno> {
        let names: Vec<_> = path.iter().map(|&name| NAMES[name as usize]).collect();
        walk(&*self.fs, &names.join("/")).map(|found| found.node)
    }

    fn done(&self, node: Node) {
        if node != self.fs.info().root {
            self.fs.forget(node, 1);
        }
    }

    fn at<T>(&self, path: &[u8], act: impl FnOnce(Node) -> Result<T, Errno>) -> Result<T, Errno> {
        let node = self.find(path)?;
        let result = act(node);
        self.done(node);
        result
    }

    /// Acts on the directory and the name of a path.
    fn within<T>(&self, path: &[u8], act: impl FnOnce(Node, &str) -> Result<T, Errno>) -> Result<T, Errno> {
        let (name, dir) = path.split_last().unwrap();
        self.at(dir, |dir| act(dir, NAMES[*name as usize]))
    }

    fn made(&self, made: Attributes) -> Answer {
        self.done(made.node);
        seen(&made)
    }

    /// Whether what is at `path` lies on the way to `other`, or is there: the kernel refuses such renames.
    fn is_above(&self, path: &[u8], other: &[u8]) -> bool {
        let Ok(node) = self.find(path) else { return false };
        let above = (0..other.len()).filter_map(|length| self.find(&other[..length]).ok()).collect::<Vec<_>>();
        let is_above = above.contains(&node);
        above.into_iter().chain([node]).for_each(|node| self.done(node));
        is_above
    }

    fn act(&mut self, op: &Op) -> Result<Answer, Errno> {
        let fs = Arc::clone(&self.fs);
        let done = |()| Answer::Done;
        match op {
            Op::Create(path) => self.within(path, |dir, name| fs.create(dir, name, FILE)).map(|made| self.made(made)),
            Op::Mkdir(path) => self.within(path, |dir, name| fs.mkdir(dir, name, DIR)).map(|made| self.made(made)),
            Op::Symlink(path) => {
                self.within(path, |dir, name| fs.symlink(dir, name, "to/where", FILE)).map(|made| self.made(made))
            }
            Op::Fifo(path) => {
                let make = |dir, name: &str| fs.make_node(dir, name, NodeKind::Fifo, 0, FILE);
                self.within(path, make).map(|made| self.made(made))
            }
            Op::Link(from, to) => {
                let link = |from| self.within(to, |dir, name| fs.link(from, dir, name));
                self.at(from, link).map(|made| self.made(made))
            }
            Op::Unlink(path) => self.within(path, |dir, name| fs.unlink(dir, name)).map(done),
            Op::Rmdir(path) => self.within(path, |dir, name| fs.rmdir(dir, name)).map(done),
            Op::Rename(from, to, how) => {
                let how = [NONE, RenameFlags::NO_REPLACE, RenameFlags::EXCHANGE][*how as usize];
                if self.is_above(from, to) || how == RenameFlags::EXCHANGE && self.is_above(to, from) {
                    return Ok(Answer::Skipped);
                }
                self.within(from, |from_dir, from| {
                    self.within(to, |to_dir, to| fs.rename(from_dir, from, to_dir, to, how))
                })
                .map(done)
            }
            Op::Write(path, at, byte) => self.at(path, |node| write(&*fs, node, (*at).into(), &[*byte; 50])).map(done),
            Op::Truncate(path, size) => {
                let changes = AttributeChanges { size: Some((*size).into()), ..Default::default() };
                self.at(path, |node| fs.setattr(node, &changes)).map(|changed| seen(&changed))
            }
            Op::Chmod(path, mode) => {
                let changes = AttributeChanges { mode: Some((*mode).into()), ..Default::default() };
                self.at(path, |node| fs.setattr(node, &changes)).map(|changed| seen(&changed))
            }
            Op::Chown(path, id) => {
                let id = Some((*id).into());
                let changes = AttributeChanges { uid: id, gid: id, ..Default::default() };
                self.at(path, |node| fs.setattr(node, &changes)).map(|changed| seen(&changed))
            }
            Op::SetXattr(path, x) => self.at(path, |node| fs.setxattr(node, &format!("user.{x}"), &[*x])).map(done),
            Op::RemoveXattr(path, x) => self.at(path, |node| fs.removexattr(node, &format!("user.{x}"))).map(done),
            Op::Stat(path) => self.at(path, |node| fs.getattr(node)).map(|found| seen(&found)),
            Op::List(path) => self.at(path, |node| {
                fs.readdir(node, 0, 1)?;
                Ok(Answer::Names(names(&*fs, node)))
            }),
            Op::Keep(slot, path, writes) => {
                self.let_go(*slot);
                let node = self.find(path)?;
                let how = if *writes { OpenFlags::all() } else { OpenFlags::READ };
                let handle = fs.open(node, how);
                self.kept.insert(*slot, (node, handle.ok()));
                handle.map(|_| Answer::Done)
            }
            Op::ReadKept(slot) => {
                let Some((node, Some(handle))) = self.kept.get(slot) else { return Ok(Answer::Skipped) };
                let mut bytes = vec![0; 400];
                let count = fs.read(*node, *handle, 0, &mut bytes)?;
                bytes.truncate(count);
                Ok(Answer::Bytes(bytes))
            }
            Op::WriteKept(slot, byte) => {
                let Some((node, Some(_))) = self.kept.get(slot) else { return Ok(Answer::Skipped) };
                write(&*fs, *node, 7, &[*byte; 30]).map(done)
            }
            Op::StatKept(slot) => {
                let Some((node, _)) = self.kept.get(slot) else { return Ok(Answer::Skipped) };
                fs.getattr(*node).map(|found| seen(&found))
            }
            Op::LinkKept(slot, path) => {
                let Some((node, _)) = self.kept.get(slot) else { return Ok(Answer::Skipped) };
                self.within(path, |dir, name| fs.link(*node, dir, name)).map(|made| self.made(made))
            }
            Op::CreateInKept(slot, name) => {
                let Some((node, _)) = self.kept.get(slot) else { return Ok(Answer::Skipped) };
                fs.create(*node, NAMES[*name as usize], FILE).map(|made| self.made(made))
            }
            Op::LetGo(slot) => {
                self.let_go(*slot);
                Ok(Answer::Done)
            }
            Op::Reopen => Ok(Answer::Done),
        }
    }

    fn let_go(&mut self, slot: u8) {
        if let Some((node, handle)) = self.kept.remove(&slot) {
            if let Some(handle) = handle {
                self.fs.release(node, handle);
            }
            self.done(node);
        }
    }

    fn let_all_go(&mut self) {
        (0..3).for_each(|slot| self.let_go(slot));
    }
}

fn seen(of: &Attributes) -> Answer {
    let size = if of.kind == NodeKind::Directory { 0 } else { of.size };
    Answer::Seen(of.kind, of.mode, of.uid, of.gid, of.links, size, of.device)
}

/// What two trees look like on top of each other.
fn merge(top: &Tree, bottom: &Tree) -> Tree {
    let is_hidden = |path: &str| {
        let above = path.match_indices('/').map(|(end, _)| &path[..end]).chain([path]);
        let mut above = above.filter_map(|path| top.get(path).map(|seen| (path, seen)));
        // Hidden by the same name, or by what is no directory on the way.
        above.any(|(at, seen)| at == path || seen.kind != NodeKind::Directory)
    };
    // A file of the bottom also hides nothing: a directory of the top is there, with its entries.
    let mut merged = top.clone();
    let visible = bottom.iter().filter(|(path, _)| !is_hidden(path));
    merged.extend(visible.map(|(path, seen)| (path.clone(), seen.clone())));
    // What was the bottom's below a directory that both have stays; the numbers of links of directories are counted anew.
    let subdirs = |path: &str| {
        let children = merged.iter().filter(|(child, seen)| {
            seen.kind == NodeKind::Directory && child.rsplit_once('/').is_some_and(|(above, _)| above == path)
        });
        2 + children.count() as u32
    };
    let counted: Vec<_> = merged
        .iter()
        .filter(|(_, seen)| seen.kind == NodeKind::Directory)
        .map(|(path, _)| (path.clone(), subdirs(path)))
        .collect();
    for (path, links) in counted {
        merged.get_mut(&path).unwrap().links = links;
    }
    merged
}

/// A memfs that holds a tree. `None` when one of a file's names is hidden, since a lower counts that too.
fn hold(tree: &Tree) -> Option<Arc<Memfs>> {
    let fs = Arc::new(Memfs::new());
    for (path, seen) in tree {
        let (dir, name) = path.rsplit_once('/').unwrap();
        let dir = walk(&*fs, dir).unwrap().node;
        let owner = Ownership { mode: seen.mode, uid: seen.uid, gid: seen.gid };
        let made = match (&seen.same_as, seen.kind) {
            (Some(first), _) => fs.link(walk(&*fs, first).ok()?.node, dir, name).ok()?,
            (_, NodeKind::File) => fs.create(dir, name, owner).unwrap(),
            (_, NodeKind::Directory) => fs.mkdir(dir, name, owner).unwrap(),
            (_, NodeKind::Symlink) => {
                fs.symlink(dir, name, std::str::from_utf8(&seen.content).unwrap(), owner).unwrap()
            }
            (_, kind) => fs.make_node(dir, name, kind, seen.device, owner).unwrap(),
        };
        if seen.same_as.is_none() {
            if seen.kind == NodeKind::File {
                write(&*fs, made.node, 0, &seen.content).unwrap();
            }
            for (name, value) in &seen.xattrs {
                fs.setxattr(made.node, name, value).unwrap();
            }
        }
    }
    // Everything goes: the model must know what it holds no better than the overlay does.
    (dump(&*fs) == *tree).then_some(fs)
}

fn layer(ops: &[Op]) -> Arc<dyn Filesystem> {
    let mut side = Side::new(Arc::new(Memfs::new()));
    for op in ops {
        let _ = side.act(op);
    }
    side.fs
}

/// What a case runs on.
struct Case {
    upper: Arc<dyn Filesystem>,
    /// Whether owners and extended attributes are left out.
    simple: bool,
}

/// The tree, without what a simple upper does not keep.
fn tree(fs: &dyn Filesystem, simple: bool) -> Tree {
    let mut tree = dump(fs);
    if simple {
        for seen in tree.values_mut() {
            (seen.uid, seen.gid, seen.xattrs) = (0, 0, Default::default());
            // The host has its own idea of a symlink's mode.
            if seen.kind == NodeKind::Symlink {
                seen.mode = 0o777;
            }
        }
    }
    tree
}

fn same(ours: Result<Answer, Errno>, theirs: Result<Answer, Errno>, simple: bool) -> bool {
    match (ours, theirs) {
        (Ok(Answer::Seen(kind, mode, _, _, links, size, device)), Ok(Answer::Seen(k, m, _, _, l, s, d))) if simple => {
            (kind, mode, links, size, device) == (k, m, l, s, d)
        }
        (ours, theirs) => ours == theirs,
    }
}

fn run(case: Case, layers: &[Vec<Op>], ops: &[Op]) -> Result<(), TestCaseError> {
    let Case { upper, simple } = case;
    let lowers: Vec<_> = layers.iter().map(|ops| Arc::new(Probe::new(layer(ops)))).collect();
    let trees: Vec<_> = lowers.iter().map(|lower| dump(&**lower)).collect();
    let merged = trees.iter().rev().fold(Tree::new(), |bottom, top| merge(top, &bottom));
    let model = hold(&merged);
    prop_assume!(model.is_some());
    let before: Vec<_> = lowers.iter().map(|lower| lower.changes()).collect();
    let upper = Arc::new(Probe::new(upper));
    let make = || {
        let lowers = lowers.iter().map(|lower| lower.clone() as Arc<dyn Filesystem>).collect();
        Overlay::new(upper.clone(), lowers).unwrap()
    };
    let mut overlay = Arc::new(make());
    prop_assert_eq!(tree(&*overlay, false), merged);
    let (mut ours, mut theirs) = (Side::new(overlay.clone()), Side::new(model.unwrap()));
    for op in ops {
        if matches!(op, Op::Reopen) {
            ours.let_all_go();
            theirs.let_all_go();
            drop(ours);
            drop(overlay);
            prop_assert_eq!(upper.held(), (0, 0));
            overlay = Arc::new(make());
            ours = Side::new(overlay.clone());
            continue;
        }
        let (our, their) = (ours.act(op), theirs.act(op));
        let (said, expected) = (format!("{our:?}"), format!("{their:?}"));
        prop_assert!(same(our, their, simple), "{:?}: {} and not {}", op, said, expected);
    }
    prop_assert_eq!(tree(&*overlay, simple), tree(&*theirs.fs, simple));
    ours.let_all_go();
    theirs.let_all_go();
    let expected = tree(&*theirs.fs, simple);
    prop_assert_eq!(tree(&*overlay, simple), expected.clone());
    prop_assert_eq!(overlay.inode_count(), 1 + overlay.index_count());
    prop_assert_eq!(upper.open_files(), 0);
    drop(ours);
    drop(overlay);
    let again = make();
    prop_assert_eq!(tree(&again, simple), expected);
    drop(again);
    prop_assert_eq!(upper.held(), (0, 0));
    for ((lower, before), tree) in lowers.iter().zip(before).zip(trees) {
        prop_assert_eq!((lower.changes(), lower.held(), lower.open_files()), (before, (0, 0), 0));
        prop_assert_eq!(dump(&**lower), tree);
    }
    Ok(())
}

fn layers() -> impl Strategy<Value = Vec<Vec<Op>>> {
    prop::collection::vec(prop::collection::vec(making(), 0..45), 1..4)
}

fn cases(factor: u32) -> ProptestConfig {
    let cases = std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(400);
    ProptestConfig {
        cases: cases * factor,
        max_global_rejects: cases * factor * 20,
        max_shrink_iters: 20_000,
        failure_persistence: None,
        ..Default::default()
    }
}

proptest! {
    #![proptest_config(cases(2))]

    #[test]
    fn an_overlay_is_a_plain_filesystem(layers in layers(), ops in prop::collection::vec(op(), 0..100)) {
        run(Case { upper: Arc::new(Memfs::new()), simple: false }, &layers, &ops)?;
    }

    #[test]
    fn also_when_its_upper_is_marked_by_names(layers in layers(), ops in prop::collection::vec(op(), 0..100)) {
        let without = Capabilities::SPECIAL_FILES | Capabilities::ATOMIC_RENAME;
        let able = |op: &&Op| !matches!(op, Op::Fifo(_));
        let layers: Vec<_> = layers.iter().map(|ops| ops.iter().filter(able).cloned().collect()).collect();
        let ops: Vec<_> = ops.iter().filter(able).cloned().collect();
        let upper = Arc::new(Probe::new(Arc::new(Memfs::new())).without(without));
        run(Case { upper, simple: false }, &layers, &ops)?;
    }
}

proptest! {
    #![proptest_config(cases(1))]

    #[test]
    fn also_when_its_upper_is_a_host_directory(layers in layers(), ops in prop::collection::vec(op(), 0..100)) {
        let able = |op: &&Op| {
            !matches!(op, Op::Fifo(_) | Op::Chown(..) | Op::SetXattr(..) | Op::RemoveXattr(..) | Op::Chmod(..))
        };
        let layers: Vec<_> = layers.iter().map(|ops| ops.iter().filter(able).cloned().collect()).collect();
        let ops: Vec<_> = ops.iter().filter(able).cloned().collect();
        let dir = tempfile::tempdir().unwrap();
        let upper = Arc::new(Hostdir::new(dir.path(), false).unwrap());
        run(Case { upper, simple: true }, &layers, &ops)?;
    }
}
