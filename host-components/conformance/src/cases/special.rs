//! FIFOs, sockets' names and device nodes: their bytes are the kernel's affair.

use super::prelude::*;

const KINDS: [(&str, NodeKind, u64); 4] = [
    ("a FIFO", NodeKind::Fifo, 0),
    ("a socket's name", NodeKind::Socket, 0),
    ("a character device", NodeKind::CharacterDevice, 0x103),
    ("a block device", NodeKind::BlockDevice, 0x801),
];

pub(crate) fn add(cases: &mut Cases) {
    cases
        .group(Group::Special)
        .law("mknod(2), mkfifo(3): the node has the kind, the mode and the device that were given");
    for (name, kind, device) in KINDS {
        cases.add(format!("{name} keeps kind, mode and device"), SPECIAL, move |s| kept(s, kind, device));
        cases.add(format!("{name} is listed, renamed, replaced and taken away"), SPECIAL, move |s| lives(s, kind));
        cases.add(format!("{name} has modes and times"), SPECIAL, move |s| changes(s, kind));
        cases.add(format!("{name} is no file to open, cut, read or write"), SPECIAL, move |s| no_file(s, kind));
    }
    cases.law("wit/backend, attributes: st_rdev of a device node, in 64 bits");
    // Not 0: Linux's overlayfs, and so ours, keeps 0:0 for marks of its own.
    for device in [1, 0xff, 0x100, 0xffff, 0xf_ffff, 0x7fff_ffff, 0xffff_ffff, 0xffff_ffff_ffff] {
        cases.add(format!("a device of the number {device:#x}"), SPECIAL, move |s| {
            kept(s, NodeKind::CharacterDevice, device);
        });
    }
    cases.law("mknod(2): EINVAL for what is no FIFO, socket or device; wit/backend, make-node");
    for kind in [NodeKind::Directory, NodeKind::Symlink] {
        cases.add(format!("make-node of a {kind:?} is EINVAL"), SPECIAL, move |s| {
            s.make_node(s.root, "x", kind, 0).fails(Errno::Inval);
            s.holds_names(s.root, &[]);
        });
    }
    cases.law("wit/backend, capabilities: what is not offered is refused");
    cases.add("make-node is refused where it is not offered", W, |s| {
        s.make_node(s.root, "p", NodeKind::Fifo, 0).refused();
        s.holds_names(s.root, &[]);
    });
    cases.lacking(Capabilities::SPECIAL_FILES);
}

fn kept(s: &Subject, kind: NodeKind, device: u64) {
    let made = s.make_node(s.root, "x", kind, device).ok();
    let told = |from: Attributes| (from.kind, from.device, from.mode, from.links, from.size);
    let wanted = (kind, device, OWNER.mode, 1, 0);
    same("kind, device, mode, links, size", told(made), wanted);
    same("the same of getattr", told(s.attr(made.node)), wanted);
    s.forget(made.node, 1);
    same("the same of lookup", told(s.peek(s.root, "x").ok()), wanted);
}

/// The number of a node that is made: of a device `/dev/null`'s.
fn number(kind: NodeKind) -> u64 {
    if matches!(kind, NodeKind::CharacterDevice | NodeKind::BlockDevice) { 0x103 } else { 0 }
}

fn lives(s: &Subject, kind: NodeKind) {
    let dir = s.dir(s.root, "d").node;
    let node = s.make_node(dir, "x", kind, number(kind)).ok().node;
    let listed = s.list(dir, 10);
    same("the kind in a listing", listed[0].attributes.kind, kind);
    s.rename(dir, "x", s.root, "y", NONE).ok();
    same("what the new name leads to", s.peek(s.root, "y").ok().node, node);
    s.make_node(s.root, "y", kind, number(kind)).fails(Errno::Exist);
    s.rmdir(s.root, "y").fails(Errno::Notdir);
    s.file(s.root, "new");
    s.rename(s.root, "new", s.root, "y", NONE).ok();
    let found = s.attr(node);
    same("kind and links of what was replaced", (found.kind, found.links), (kind, 0));
    s.make_node(s.root, "z", kind, number(kind)).ok();
    s.unlink(s.root, "z").ok();
    s.holds_names(s.root, &["d", "y"]);
}

fn changes(s: &Subject, kind: NodeKind) {
    let node = s.make_node(s.root, "x", kind, number(kind)).ok().node;
    let time = Timestamp { seconds: 1_000_000_000, nanoseconds: 5 };
    let both = AttributeChanges { accessed: Some(time), modified: Some(time), ..Default::default() };
    s.chmod(node, 0o600);
    let found = s.setattr(node, &both).ok();
    same("mode and times", (found.mode, found.accessed, found.modified), (0o600, time, time));
}

fn no_file(s: &Subject, kind: NodeKind) {
    let node = s.make_node(s.root, "x", kind, number(kind)).ok().node;
    s.open(node, OpenFlags::READ).refused();
    s.setattr(node, &AttributeChanges { size: Some(0), ..Default::default() }).refused();
    s.pread(node, 0, 0, 10).refused();
    s.pwrite(node, 0, 0, b"x").refused();
    s.readlink(node).fails(Errno::Inval);
    same("size", s.attr(node).size, 0);
}
