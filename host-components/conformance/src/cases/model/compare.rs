//! Compares the backend with the model: what is listed, what is told, what is held.

use std::collections::BTreeMap;

use eyot_backend::{Attributes, Node, NodeKind, OpenFlags};

use super::apply::{Applied, Checked};
use super::tree::{Body, Id, ROOT};
use crate::verdict::difference;

impl Applied<'_> {
    /// Compares the whole tree: names, numbers, attributes; with `contents` also what files hold.
    pub(super) fn compare(&self, contents: bool) -> Checked {
        let mut nodes = BTreeMap::new();
        self.compare_directory(ROOT, self.s.root, "", contents, &mut nodes)
    }

    fn compare_directory(
        &self,
        id: Id,
        node: Node,
        path: &str,
        contents: bool,
        nodes: &mut BTreeMap<Node, Id>,
    ) -> Checked {
        let entries = self.list(node).map_err(|message| format!("then {path}/: {message}"))?;
        let wanted = self.tree.entries(id).map_err(|errno| format!("{errno:?}"))?;
        if !entries.keys().eq(wanted.keys()) {
            let (got, wanted): (Vec<_>, Vec<_>) = (entries.keys().collect(), wanted.keys().collect());
            return Err(format!("then {path}/ lists {got:?}, expected {wanted:?}"));
        }
        for (name, found) in &entries {
            let Some(&child) = wanted.get(name) else { continue };
            let path = format!("{path}/{name}");
            self.same_item(child, *found).map_err(|message| format!("then {path}: {message}"))?;
            if *nodes.entry(found.node).or_insert(child) != child {
                return Err(format!("then {path} has the number {} of another file", found.node));
            }
            if self.tree.is_directory(child) {
                // A listing is no lookup: the number is good only once it was looked up.
                let held =
                    self.s.fs.lookup(node, name).map_err(|errno| format!("then {path}: lookup: got {errno:?}"))?;
                let compared = self.compare_directory(child, held.node, &path, contents, nodes);
                self.s.fs.forget(held.node, 1);
                compared?;
            } else if contents {
                self.same_inside(child, node, name).map_err(|message| format!("then {path}: {message}"))?;
            }
        }
        Ok(())
    }

    fn list(&self, node: Node) -> Result<BTreeMap<String, Attributes>, String> {
        let (mut entries, mut cookie) = (BTreeMap::new(), 0);
        loop {
            let page = self.s.fs.readdir(node, cookie, 3).map_err(|errno| format!("readdir: got {errno:?}"))?;
            let Some(last) = page.last() else { return Ok(entries) };
            cookie = last.cookie;
            for entry in page {
                if entries.insert(entry.name.clone(), entry.attributes).is_some() {
                    return Err(format!("{} is listed twice", entry.name));
                }
            }
        }
    }

    pub(super) fn same_item(&self, id: Id, found: Attributes) -> Checked {
        let item = &self.tree.items[id];
        let (kind, size) = match &item.body {
            Body::File(data) => (NodeKind::File, Some(data.len() as u64)),
            Body::Directory(_) => (NodeKind::Directory, None),
            Body::Symlink(target) => (NodeKind::Symlink, Some(target.len() as u64)),
            Body::Fifo => (NodeKind::Fifo, Some(0)),
        };
        let counted = kind != NodeKind::Directory || self.counts_directories;
        let links = if counted { item.links } else { found.links };
        let mode = if kind == NodeKind::Symlink { found.mode } else { item.mode };
        let wanted = (kind, links, mode, size.unwrap_or(found.size));
        let got = (found.kind, found.links, found.mode, found.size);
        if got == wanted {
            return Ok(());
        }
        let shown = |(kind, links, mode, size): (NodeKind, u32, u32, u64)| {
            format!("{kind:?}, {links} links, mode {mode:#o}, {size} bytes")
        };
        Err(format!("expected {}, got {}", shown(wanted), shown(got)))
    }

    pub(super) fn same_bytes(&self, id: Id, node: Node) -> Checked {
        let Body::File(data) = &self.tree.items[id].body else { return Ok(()) };
        let handle = self.s.fs.open(node, OpenFlags::READ).map_err(|errno| format!("open: got {errno:?}"))?;
        let mut buffer = vec![0xa5; data.len() + 10];
        let count = self.s.fs.read(node, handle, 0, &mut buffer);
        self.s.fs.release(node, handle);
        let count = count.map_err(|errno| format!("read: got {errno:?}"))?;
        match difference(buffer.get(..count).unwrap_or_default(), data) {
            Some(difference) => Err(format!("its bytes: {difference}")),
            None => Ok(()),
        }
    }

    pub(super) fn same_xattrs(&self, id: Id, node: Node) -> Checked {
        let wanted = &self.tree.items[id].xattrs;
        let mut names = self.s.fs.listxattr(node).map_err(|errno| format!("listxattr: got {errno:?}"))?;
        names.sort();
        if !names.iter().eq(wanted.keys()) {
            return Err(format!("its attributes are {names:?}, expected {:?}", wanted.keys()));
        }
        for (name, value) in wanted {
            if self.s.fs.getxattr(node, name).as_ref() != Ok(value) {
                return Err(format!("the value of {name} is not the one that was set"));
            }
        }
        Ok(())
    }

    /// What a file, symlink or FIFO holds, by a lookup of its own.
    fn same_inside(&self, id: Id, dir: Node, name: &str) -> Checked {
        let found = self.s.fs.lookup(dir, name).map_err(|errno| format!("lookup: got {errno:?}"))?;
        let checked = match &self.tree.items[id].body {
            Body::File(_) => self.same_bytes(id, found.node).and_then(|()| {
                if self.tree.items[id].xattrs.is_empty() { Ok(()) } else { self.same_xattrs(id, found.node) }
            }),
            Body::Symlink(target) if self.s.fs.readlink(found.node).as_ref() != Ok(target) => {
                Err("its target is not the one it was made with".into())
            }
            _ => Ok(()),
        };
        self.s.fs.forget(found.node, 1);
        checked
    }
}
