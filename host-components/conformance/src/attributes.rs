//! Attributes, times and how full it is.

use eyot_backend::{AttributeChanges, Errno, Timestamp};

use crate::{Check, Subject, W};

pub(crate) const CHECKS: &[Check] = &[
    Check { name: "permission bits can be changed, and only they", needs: W, run: mode },
    Check { name: "times can be set to the nanosecond", needs: W, run: set_times },
    Check { name: "a change moves the times that it should", needs: W, run: times_move },
    Check { name: "statfs adds up", needs: W, run: statfs },
];

fn mode(s: &Subject) {
    let file = s.file(s.root, "f");
    for mode in [0, 0o777, 0o4755, 0o1777, 0o600] {
        let changes = AttributeChanges { mode: Some(mode), ..AttributeChanges::default() };
        match s.fs.setattr(file.node, &changes) {
            Ok(changed) => assert_eq!((changed.mode, changed.kind, changed.size), (mode, file.kind, 0)),
            // A backend whose files others can run may refuse to set these bits.
            Err(errno) => assert!(errno == Errno::Perm && mode & 0o6000 != 0, "{mode:o}: {errno:?}"),
        }
    }
    let changes = AttributeChanges { mode: Some(0o700), ..AttributeChanges::default() };
    assert_eq!(s.fs.setattr(s.dir(s.root, "d").node, &changes).unwrap().mode, 0o700);
}

fn set_times(s: &Subject) {
    let file = s.file(s.root, "f").node;
    let accessed = Timestamp { seconds: 1_000_000_000, nanoseconds: 123_456_789 };
    let modified = Timestamp { seconds: -5, nanoseconds: 999_999_999 };
    let both = AttributeChanges { accessed: Some(accessed), modified: Some(modified), ..Default::default() };
    s.fs.setattr(file, &both).unwrap();
    let found = s.peek(s.root, "f").unwrap();
    assert_eq!((found.accessed, found.modified), (accessed, modified));
    let one = AttributeChanges { modified: Some(accessed), ..Default::default() };
    let found = s.fs.setattr(file, &one).unwrap();
    assert_eq!((found.accessed, found.modified), (accessed, accessed));
}

fn times_move(s: &Subject) {
    let old = Timestamp { seconds: 1_000, nanoseconds: 0 };
    let back = AttributeChanges { accessed: Some(old), modified: Some(old), ..Default::default() };
    let file = s.file(s.root, "f").node;
    s.fs.setattr(file, &back).unwrap();
    s.write(file, 0, b"x");
    let written = s.fs.getattr(file).unwrap();
    assert!(written.modified > old && written.changed > old);
    s.fs.setattr(file, &back).unwrap();
    s.fs.setattr(file, &AttributeChanges { size: Some(9), ..Default::default() }).unwrap();
    assert!(s.fs.getattr(file).unwrap().modified > old, "a new length is a modification");

    let dir = s.dir(s.root, "d").node;
    for change in 0..3 {
        s.fs.setattr(dir, &back).unwrap();
        match change {
            0 => drop(s.file(dir, "a")),
            1 => s.fs.rename(dir, "a", dir, "b", Default::default()).unwrap(),
            _ => s.fs.unlink(dir, "b").unwrap(),
        }
        assert!(s.fs.getattr(dir).unwrap().modified > old, "change {change}");
    }
}

fn statfs(s: &Subject) {
    let status = s.fs.statfs().unwrap();
    assert!(status.block_size >= 512 && status.name_max == 255);
    assert!(status.blocks_free <= status.blocks && status.files_free <= status.files);
}
