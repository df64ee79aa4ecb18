//! Which times move when, and which must not.

use super::prelude::*;

/// What a case works on.
#[derive(Clone, Copy)]
struct Scene {
    /// A directory that holds `x` and, when there is one, `y`.
    dir: Node,
    /// Another directory.
    other: Node,
    /// `x` in `dir`.
    node: Node,
    /// `y` in `other`.
    target: Node,
}

/// Whose times.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Of {
    Dir,
    Other,
    Node,
    Target,
}

impl Of {
    fn name(self) -> &'static str {
        match self {
            Of::Dir => "the directory",
            Of::Other => "the other directory",
            Of::Node => "the file",
            Of::Target => "the other file",
        }
    }
}

fn shown(time: Timestamp) -> String {
    format!("{}.{:09}", time.seconds, time.nanoseconds)
}

/// What must become of times: `m` modified, `c` changed, `b` birth; `+` must move on, `=` must stay.
type Moves = &'static [(Of, &'static str)];

const DIR_MOVES: Moves = &[(Of::Dir, "m+c+")];

pub(crate) fn add(cases: &mut Cases) {
    cases.group(Group::Attributes);
    names(cases);
    contents(cases);
    attributes(cases);
    nothing(cases);
}

/// Adds a case: makes the scene, waits for the clock, acts and looks.
fn case(cases: &mut Cases, name: &'static str, needs: Capabilities, act: fn(&Subject, Scene), moves: Moves) {
    cases.add(format!("times: {name}"), needs, move |s| {
        let (dir, other) = (s.dir(s.root, "dir").node, s.dir(s.root, "other").node);
        let scene = Scene { dir, other, node: s.file_of(dir, "x", b"bytes"), target: s.file_of(other, "y", b"y") };
        run(s, scene, act, moves);
    });
}

fn run(s: &Subject, scene: Scene, act: fn(&Subject, Scene), moves: Moves) {
    let node = |of| match of {
        Of::Dir => scene.dir,
        Of::Other => scene.other,
        Of::Node => scene.node,
        Of::Target => scene.target,
    };
    // Each is asked before and after, so that a backend that is lazy about times is seen as a guest sees it.
    let before: Vec<_> = moves.iter().map(|&(of, _)| s.attr(node(of))).collect();
    s.tick();
    act(s, scene);
    for (&(of, wanted), before) in moves.iter().zip(before) {
        let after = s.attr(node(of));
        let mut wanted = wanted.chars();
        while let (Some(which), Some(how)) = (wanted.next(), wanted.next()) {
            let (name, was, is) = match which {
                'm' => ("modification", before.modified, after.modified),
                'c' => ("change", before.changed, after.changed),
                _ => ("birth", before.created, after.created),
            };
            let (of, was_shown, is_shown) = (of.name(), shown(was), shown(is));
            match how {
                '+' => holds!(is > was, "{of}: the time of {name} must move on from {was_shown}, and is {is_shown}"),
                _ => holds!(is == was, "{of}: the time of {name} must stay {was_shown}, and is {is_shown}"),
            }
        }
    }
}

fn names(cases: &mut Cases) {
    cases.law("open(2), mkdir(2), symlink(2), mknod(2), unlink(2), rmdir(2): st_mtime and st_ctime of the directory");
    case(
        cases,
        "create marks the directory",
        W,
        |s, at| {
            s.file(at.dir, "new");
        },
        DIR_MOVES,
    );
    case(
        cases,
        "mkdir marks the directory",
        W,
        |s, at| {
            s.dir(at.dir, "new");
        },
        DIR_MOVES,
    );
    case(
        cases,
        "symlink marks the directory",
        SYMLINKS,
        |s, at| {
            s.symlink(at.dir, "new", "t").ok();
        },
        DIR_MOVES,
    );
    case(
        cases,
        "make-node marks the directory",
        SPECIAL,
        |s, at| {
            Thing::Fifo.make(s, at.dir, "new");
        },
        DIR_MOVES,
    );
    case(cases, "unlink marks the directory", W, |s, at| s.unlink(at.dir, "x").ok(), DIR_MOVES);
    cases.add("times: rmdir marks the directory", W, |s| {
        let dir = s.dir(s.root, "dir").node;
        let node = s.dir(dir, "x").node;
        let scene = Scene { dir, other: dir, node, target: node };
        run(s, scene, |s, at| s.rmdir(at.dir, "x").ok(), DIR_MOVES);
    });
    cases.law("link(2): st_ctime of the file, st_mtime and st_ctime of the directory that gets the name");
    let moves: Moves = &[(Of::Node, "m=c+"), (Of::Other, "m+c+"), (Of::Dir, "m=c=")];
    case(
        cases,
        "link marks file and directory",
        HARD_LINKS,
        |s, at| {
            s.link(at.node, at.other, "new").ok();
        },
        moves,
    );
    cases.law("unlink(2): st_ctime of the file when its link count is not 0");
    cases.add("times: unlink marks a file that has another name", HARD_LINKS, |s| {
        let (dir, other) = (s.dir(s.root, "dir").node, s.dir(s.root, "other").node);
        let node = s.file(dir, "x").node;
        s.link(node, other, "y").ok();
        let scene = Scene { dir, other, node, target: node };
        run(s, scene, |s, at| s.unlink(at.dir, "x").ok(), &[(Of::Node, "m=c+"), (Of::Other, "m=c=")]);
    });
    renames(cases);
}

fn renames(cases: &mut Cases) {
    cases.law(
        "rename(2): st_mtime and st_ctime of both directories; on Linux st_ctime of the file, which keeps its st_mtime",
    );
    let within: Moves = &[(Of::Dir, "m+c+"), (Of::Node, "m=c+"), (Of::Other, "m=c=")];
    case(cases, "rename within a directory", W, |s, at| s.rename(at.dir, "x", at.dir, "z", NONE).ok(), within);
    let between: Moves = &[(Of::Dir, "m+c+"), (Of::Other, "m+c+"), (Of::Node, "m=c+")];
    case(cases, "rename between directories", W, |s, at| s.rename(at.dir, "x", at.other, "z", NONE).ok(), between);
    let replaced: Moves = &[(Of::Dir, "m+c+"), (Of::Other, "m+c+"), (Of::Node, "m=c+"), (Of::Target, "m=c+")];
    case(cases, "rename onto a file", W, |s, at| s.rename(at.dir, "x", at.other, "y", NONE).ok(), replaced);
    case(cases, "exchange", ATOMIC, |s, at| s.rename(at.dir, "x", at.other, "y", RenameFlags::EXCHANGE).ok(), replaced);
    let stays: Moves = &[(Of::Dir, "m=c="), (Of::Other, "m=c="), (Of::Node, "m=c="), (Of::Target, "m=c=")];
    cases.law("rename(2): what fails, or does nothing, changes nothing");
    case(
        cases,
        "a rename that fails marks nothing",
        W,
        |s, at| {
            s.rename(at.dir, "x", at.other, "y", RenameFlags::NO_REPLACE).fails(Errno::Exist);
            s.rename(at.dir, "none", at.other, "y", NONE).fails(Errno::Noent);
        },
        stays,
    );
    case(cases, "a name onto itself marks nothing", W, |s, at| s.rename(at.dir, "x", at.dir, "x", NONE).ok(), stays);
}

fn contents(cases: &mut Cases) {
    cases.law("write(2): st_mtime and st_ctime of the file; nothing of its directory");
    let moves: Moves = &[(Of::Node, "m+c+"), (Of::Dir, "m=c=")];
    case(cases, "a write", W, |s, at| s.write(at.node, 2, b"x"), moves);
    case(cases, "a write beyond the end", W, |s, at| s.write(at.node, 100_000, b"x"), moves);
    case(cases, "a write of the same bytes", W, |s, at| s.write(at.node, 0, b"bytes"), moves);
    cases.law("truncate(2): st_mtime and st_ctime when the size changed");
    case(
        cases,
        "a cut",
        W,
        |s, at| {
            s.set_size(at.node, 2);
        },
        moves,
    );
    case(
        cases,
        "an extension",
        W,
        |s, at| {
            s.set_size(at.node, 100_000);
        },
        moves,
    );
    case(cases, "a cut of a file without a name", W, cut_unlinked, &[(Of::Node, "m+c+")]);
    cases.law("read(2), readdir(3), readlink(2): at most st_atime");
    let stays: Moves = &[(Of::Node, "m=c="), (Of::Dir, "m=c=")];
    case(cases, "a read", W, |s, at| drop(s.read(at.node, 0, 10)), stays);
    case(cases, "a listing", W, |s, at| drop(s.list(at.dir, 10)), stays);
    case(cases, "open, fsync and release", W, open_and_sync, stays);
    cases.add("times: a symlink that is read", SYMLINKS, |s| {
        let dir = s.dir(s.root, "dir").node;
        let node = s.symlink(dir, "x", "target").ok().node;
        let scene = Scene { dir, other: dir, node, target: node };
        run(s, scene, |s, at| drop(s.readlink(at.node).ok()), &[(Of::Node, "m=c="), (Of::Dir, "m=c=")]);
    });
    cases.add("times: a read never sets the time of access back", W, |s| {
        let node = s.file_of(s.root, "f", b"bytes");
        let before = s.attr(node);
        s.tick();
        s.read(node, 0, 10);
        let after = s.attr(node);
        holds!(after.accessed >= before.accessed, "from {:?} to {:?}", before.accessed, after.accessed);
    });
}

fn cut_unlinked(s: &Subject, at: Scene) {
    s.unlink(at.dir, "x").ok();
    s.set_size(at.node, 1);
}

fn open_and_sync(s: &Subject, at: Scene) {
    let handle = s.open(at.node, OpenFlags::all()).ok();
    s.fsync(at.node, handle, false).ok();
    s.release(at.node, handle);
}

fn attributes(cases: &mut Cases) {
    cases.law("chmod(2), chown(2), utimensat(2), setxattr(2): st_ctime, and not st_mtime");
    let moves: Moves = &[(Of::Node, "m=c+"), (Of::Dir, "m=c=")];
    case(
        cases,
        "chmod",
        W,
        |s, at| {
            s.chmod(at.node, 0o600);
        },
        moves,
    );
    case(
        cases,
        "chown",
        W,
        |s, at| {
            let changes = AttributeChanges { uid: Some(5), gid: Some(6), ..Default::default() };
            s.setattr(at.node, &changes).ok_or_leave_out();
        },
        moves,
    );
    case(
        cases,
        "a time of access that is set",
        W,
        |s, at| {
            let accessed = Some(Timestamp { seconds: 1, nanoseconds: 1 });
            s.setattr(at.node, &AttributeChanges { accessed, ..Default::default() }).ok();
        },
        moves,
    );
    case(
        cases,
        "a time of modification that is set",
        W,
        |s, at| {
            let modified = Some(Timestamp { seconds: 1, nanoseconds: 1 });
            s.setattr(at.node, &AttributeChanges { modified, ..Default::default() }).ok();
        },
        &[(Of::Node, "c+"), (Of::Dir, "m=c=")],
    );
    case(cases, "setxattr", XATTRS, |s, at| s.setxattr(at.node, "user.x", b"value").ok(), moves);
    cases.add("times: removexattr", XATTRS, |s| {
        let dir = s.dir(s.root, "dir").node;
        let node = s.file(dir, "x").node;
        s.setxattr(node, "user.x", b"value").ok();
        let scene = Scene { dir, other: dir, node, target: node };
        let moves: Moves = &[(Of::Node, "m=c+"), (Of::Dir, "m=c=")];
        run(s, scene, |s, at| s.removexattr(at.node, "user.x").ok(), moves);
    });
    cases.law("chmod(2) of a directory marks that directory and not its parent");
    cases.add("times: chmod of a directory", W, |s| {
        let dir = s.dir(s.root, "dir").node;
        let node = s.dir(dir, "x").node;
        let scene = Scene { dir, other: dir, node, target: node };
        run(
            s,
            scene,
            |s, at| {
                s.chmod(at.node, 0o700);
            },
            &[(Of::Node, "m=c+"), (Of::Dir, "m=c=")],
        );
    });
    cases.law("statx(2), stx_btime: the birth of a file does not change");
    cases.add("times: the birth stays", W, birth);
}

fn birth(s: &Subject) {
    let (dir, node) = (s.dir(s.root, "dir").node, s.file(s.root, "x").node);
    let scene = Scene { dir, other: dir, node, target: node };
    let before = s.attr(node);
    s.tick();
    s.chmod(node, 0o600);
    let after = s.attr(node);
    if after.created == after.changed && after.created != before.created {
        leave_out("no time of birth is kept");
    }
    let act = |s: &Subject, at: Scene| {
        s.write(at.node, 0, b"bytes");
        s.set_size(at.node, 2);
        s.rename(s.root, "x", at.dir, "y", NONE).ok();
    };
    run(s, scene, act, &[(Of::Node, "b=m+c+")]);
}

fn nothing(cases: &mut Cases) {
    let stays: Moves = &[(Of::Dir, "m=c="), (Of::Node, "m=c="), (Of::Other, "m=c="), (Of::Target, "m=c=")];
    cases.law("stat(2), path_resolution(7): to look changes nothing");
    case(
        cases,
        "lookup and getattr",
        W,
        |s, at| {
            s.peek(at.dir, "x").ok();
            s.attr(at.node);
        },
        stays,
    );
    case(
        cases,
        "statfs",
        W,
        |s, _| {
            s.statfs().ok();
        },
        stays,
    );
    case(
        cases,
        "getxattr and listxattr",
        XATTRS,
        |s, at| {
            s.getxattr(at.node, "user.none").fails(Errno::Nodata);
            s.listxattr(at.node).ok();
        },
        stays,
    );
    cases.law("open(2), unlink(2), mkdir(2), rmdir(2): what fails changes nothing");
    case(
        cases,
        "what fails marks nothing",
        W,
        |s, at| {
            s.create(at.dir, "x").fails(Errno::Exist);
            s.mkdir(at.dir, "x").fails(Errno::Exist);
            s.unlink(at.dir, "none").fails(Errno::Noent);
            s.rmdir(at.dir, "x").fails(Errno::Notdir);
            s.unlink(s.root, "dir").fails(Errno::Isdir);
            s.rmdir(s.root, "dir").fails(Errno::Notempty);
        },
        stays,
    );
}
