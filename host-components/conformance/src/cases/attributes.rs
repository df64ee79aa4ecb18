//! Attributes: modes, owners, times that are set, and how full it is.

use super::prelude::*;

pub(crate) fn add(cases: &mut Cases) {
    cases.group(Group::Attributes).law("chmod(2): the low 12 bits of the mode, and nothing else");
    for mode in [0, 0o1, 0o400, 0o644, 0o755, 0o777, 0o1777, 0o2755, 0o4755, 0o6777, 0o7777] {
        cases.add(format!("the mode of a file becomes {mode:#o}"), W, move |s| {
            let file = s.file(s.root, "f").node;
            change_mode(s, file, mode);
        });
        cases.add(format!("the mode of a directory becomes {mode:#o}"), W, move |s| {
            let dir = s.dir(s.root, "d").node;
            change_mode(s, dir, mode);
        });
    }
    cases.law("chown(2): owner and group, each alone or both");
    for (name, uid, gid) in
        [("an owner", Some(77), None), ("a group", None, Some(88)), ("owner and group", Some(u32::MAX - 1), Some(0))]
    {
        cases.add(format!("a file gets {name}"), W, move |s| change_owner(s, uid, gid));
    }
    set_times(cases);
    cases.law("wit/backend, setattr: what is absent stays; the answer is the new attributes");
    cases.add("a change of nothing changes nothing", W, nothing);
    cases.add("several changes at once are all made", W, several);
    cases.add("a size and a time of modification at once: the time is the one that was given", W, size_and_time);
    cases.add("a change that fails changes nothing", W, all_or_nothing);
    cases.add("a file without a name is changed", W, without_name);
    cases.law("wit/backend, attributes");
    cases.add("getattr, lookup and readdir tell the same", W, all_tell_the_same);
    cases.add("attributes are what they can be", Capabilities::empty(), sane);
    cases.add("what was made is as old as it is", W, made_now);
    cases.law("statvfs(3)");
    cases.add("statfs adds up", Capabilities::empty(), statfs);
    cases.add("statfs answers while a filesystem is used", W, statfs_used);
}

fn change_mode(s: &Subject, node: Node, mode: u32) {
    let before = s.attr(node);
    let changes = AttributeChanges { mode: Some(mode), ..Default::default() };
    let found = match s.setattr(node, &changes).result {
        Ok(found) => found,
        // A backend whose files others can run may refuse to set these bits.
        Err(Errno::Perm) if mode & 0o6000 != 0 => leave_out("no set-id bits"),
        Err(errno) => fail(format_args!("the mode {mode:#o}: expected success, got {errno:?}")),
    };
    let octal = |mode: u32| format!("{mode:#o}");
    same("mode and kind", (octal(found.mode), found.kind), (octal(mode), before.kind));
    let after = s.attr(node);
    same("mode of getattr", octal(after.mode), octal(mode));
    let told = |from: Attributes| (from.size, from.links, from.uid, from.gid, from.modified, from.device);
    same("size, links, owner, group, modification, device", told(after), told(before));
}

fn change_owner(s: &Subject, uid: Option<u32>, gid: Option<u32>) {
    let file = s.file(s.root, "f");
    let found = s.setattr(file.node, &AttributeChanges { uid, gid, ..Default::default() }).ok_or_leave_out();
    let wanted = (uid.unwrap_or(file.uid), gid.unwrap_or(file.gid));
    same("owner and group", (found.uid, found.gid), wanted);
    let found = s.attr(file.node);
    same("owner and group of getattr", (found.uid, found.gid), wanted);
    same("the mode", found.mode, file.mode);
}

const fn time(seconds: i64, nanoseconds: u32) -> Timestamp {
    Timestamp { seconds, nanoseconds }
}

fn set_times(cases: &mut Cases) {
    cases.law("utimensat(2): both times, each alone, to the nanosecond");
    for (name, at) in [
        ("1970-01-01", time(0, 0)),
        ("one nanosecond", time(0, 1)),
        ("before 1970", time(-5, 999_999_999)),
        ("1901", time(-(1 << 31), 0)),
        ("2001-09-09", time(1_000_000_000, 123_456_789)),
        ("the last nanosecond of 2038's 32 bits", time((1 << 31) - 1, 999_999_999)),
        ("after 2038", time(1 << 31, 0)),
        ("after 2106", time((1 << 32) + 7, 500)),
    ] {
        cases.add(format!("times are set to {name}"), W, move |s| times_are(s, at));
    }
    for thing in [Thing::Directory, Thing::Symlink, Thing::Fifo] {
        cases.add(format!("the times of {} are set", thing.name()), thing.needs(), move |s| {
            let node = thing.make(s, s.root, "x").node;
            let (a, m) = (time(1_000, 1), time(2_000, 2));
            let both = AttributeChanges { accessed: Some(a), modified: Some(m), ..Default::default() };
            let found = s.setattr(node, &both).ok();
            same("both times", (found.accessed, found.modified), (a, m));
            let found = s.peek(s.root, "x").ok();
            same("the time of modification by lookup", found.modified, m);
        });
    }
    cases.add("one time is set and the other stays", W, one_time);
    cases.law("utimensat(2): EINVAL when the nanoseconds are 1,000,000,000 and more");
    cases.add("a time with too many nanoseconds is refused", W, |s| {
        let file = s.file(s.root, "f");
        for nanoseconds in [1_000_000_000, u32::MAX] {
            let wrong = Some(Timestamp { seconds: 1, nanoseconds });
            s.setattr(file.node, &AttributeChanges { accessed: wrong, ..Default::default() }).refused();
            s.setattr(file.node, &AttributeChanges { modified: wrong, ..Default::default() }).refused();
        }
        same("the time of modification", s.attr(file.node).modified, file.modified);
    });
}

fn times_are(s: &Subject, at: Timestamp) {
    let file = s.file(s.root, "f").node;
    let both = AttributeChanges { accessed: Some(at), modified: Some(at), ..Default::default() };
    let found = s.setattr(file, &both).ok();
    same("both times", (found.accessed, found.modified), (at, at));
    let found = s.peek(s.root, "f").ok();
    same("both times by lookup", (found.accessed, found.modified), (at, at));
    holds!(found.changed.nanoseconds < 1_000_000_000, "{:?} is no time", found.changed);
}

fn one_time(s: &Subject) {
    let file = s.file(s.root, "f").node;
    let (a, m) = (time(1_000, 1), time(2_000, 2));
    let both = AttributeChanges { accessed: Some(a), modified: Some(m), ..Default::default() };
    s.setattr(file, &both).ok();
    let found = s.setattr(file, &AttributeChanges { modified: Some(a), ..Default::default() }).ok();
    same("both times", (found.accessed, found.modified), (a, a));
    let found = s.setattr(file, &AttributeChanges { accessed: Some(m), ..Default::default() }).ok();
    same("both times", (found.accessed, found.modified), (m, a));
}

fn nothing(s: &Subject) {
    let file = s.file_of(s.root, "f", b"bytes");
    let before = s.attr(file);
    s.tick();
    let found = s.setattr(file, &AttributeChanges::default()).ok();
    let told = |from: Attributes| (from.node, from.kind, from.mode, from.size, from.links, from.uid, from.modified);
    same("what setattr answers", told(found), told(before));
    same("what getattr answers", told(s.attr(file)), told(before));
    same_bytes("what it holds", &s.read(file, 0, 10), b"bytes");
}

fn several(s: &Subject) {
    let file = s.file_of(s.root, "f", b"0123456789");
    let (a, m) = (time(1_000, 1), time(2_000, 2));
    let changes = AttributeChanges {
        mode: Some(0o600),
        size: Some(4),
        accessed: Some(a),
        modified: Some(m),
        ..Default::default()
    };
    for found in [s.setattr(file, &changes).ok(), s.attr(file)] {
        let told = (found.mode, found.size, found.accessed, found.modified);
        same("mode, size and times", told, (0o600, 4, a, m));
    }
    same_bytes("what it holds", &s.read(file, 0, 20), b"0123");
}

fn size_and_time(s: &Subject) {
    let file = s.file_of(s.root, "f", b"0123456789");
    let m = time(2_000, 2);
    for size in [4, 9, 9] {
        let changes = AttributeChanges { size: Some(size), modified: Some(m), ..Default::default() };
        let found = s.setattr(file, &changes).ok();
        same("size and modification", (found.size, found.modified), (size, m));
    }
}

fn all_or_nothing(s: &Subject) {
    let dir = s.dir(s.root, "d");
    let changes = AttributeChanges { mode: Some(0o700), size: Some(0), ..Default::default() };
    s.setattr(dir.node, &changes).fails(Errno::Isdir);
    same("the mode", s.attr(dir.node).mode, dir.mode);
    let file = s.file_of(s.root, "f", b"bytes");
    let changes = AttributeChanges { mode: Some(0o600), size: Some(u64::MAX), ..Default::default() };
    s.setattr(file, &changes).fails(Errno::Fbig);
    let found = s.attr(file);
    same("mode and size", (found.mode, found.size), (OWNER.mode, 5));
}

fn without_name(s: &Subject) {
    let file = s.file_of(s.root, "f", b"bytes");
    s.unlink(s.root, "f").ok();
    s.chmod(file, 0o600);
    let m = time(2_000, 2);
    s.setattr(file, &AttributeChanges { modified: Some(m), ..Default::default() }).ok();
    let found = s.attr(file);
    same("mode, modification and links", (found.mode, found.modified, found.links), (0o600, m, 0));
}

fn all_tell_the_same(s: &Subject) {
    let file = s.file_of(s.root, "f", &[1; 5000]);
    s.chmod(file, 0o640);
    let dir = s.dir(s.root, "d").node;
    s.dir(dir, "inside");
    for entry in s.list(s.root, 10) {
        let listed = Attributes { lifetime_ns: 0, ..entry.attributes };
        let found = Attributes { lifetime_ns: 0, ..s.peek(s.root, &entry.name).ok() };
        let got = Attributes { lifetime_ns: 0, ..s.attr(found.node) };
        same("lookup and getattr", got, found);
        same("readdir and getattr", listed, got);
    }
}

fn sane(s: &Subject) {
    let mut all = vec![s.attr(s.info.root)];
    all.extend(s.list(s.info.root, 50).into_iter().take(500).map(|entry| entry.attributes));
    for found in all {
        holds!(found.node != 0, "the number 0");
        holds!(found.mode <= 0o7777, "the mode {:#o} has more than 12 bits", found.mode);
        holds!(found.links > 0, "node {} has a name and no link", found.node);
        for at in [found.accessed, found.modified, found.changed, found.created] {
            holds!(at.nanoseconds < 1_000_000_000, "{at:?} is no time");
        }
        holds!(found.size <= i64::MAX as u64, "the size {}", found.size);
    }
    holds!(!s.info.kind.is_empty() && s.info.kind.len() < 100, "the kind {:?} is no short name", s.info.kind);
    same("the kind of the root", s.attr(s.info.root).kind, NodeKind::Directory);
    let again = s.fs.info();
    same("root and capabilities, asked again", (again.root, again.capabilities), (s.info.root, s.capabilities));
}

fn made_now(s: &Subject) {
    let before = s.file(s.root, "first").created;
    s.tick();
    for thing in Thing::ALL.into_iter().filter(|thing| s.has(thing.needs())) {
        let made = thing.make(s, s.root, thing.name());
        for (what, at) in [
            ("accessed", made.accessed),
            ("modified", made.modified),
            ("changed", made.changed),
            ("created", made.created),
        ] {
            holds!(at > before, "{what} of {}: {at:?} is before it was made, after {before:?}", thing.name());
        }
    }
}

fn statfs(s: &Subject) {
    let status = s.statfs().ok();
    holds!(status.block_size >= 512, "blocks of {} bytes", status.block_size);
    same("the longest name", status.name_max, 255);
    holds!(status.blocks_free <= status.blocks, "{} of {} blocks are free", status.blocks_free, status.blocks);
    holds!(status.files_free <= status.files, "{} of {} files are free", status.files_free, status.files);
}

fn statfs_used(s: &Subject) {
    let before = s.statfs().ok();
    let file = s.file_of(s.root, "f", &pattern(1 << 20, 1));
    for status in [s.statfs().ok(), before] {
        holds!(status.blocks_free <= status.blocks, "{} of {} blocks are free", status.blocks_free, status.blocks);
        same("the size of a block", status.block_size, before.block_size);
    }
    s.unlink(s.root, "f").ok();
    s.forget(file, 1);
    s.statfs().ok();
}
