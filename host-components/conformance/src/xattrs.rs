//! Extended attributes.

use eyot_backend::{Capabilities, Errno};

use crate::{Check, Subject, W};

pub(crate) const CHECKS: &[Check] =
    &[Check { name: "extended attributes are kept by name", needs: W.union(Capabilities::XATTRS), run: kept }];

fn kept(s: &Subject) {
    let file = s.file(s.root, "f").node;
    assert_eq!(s.fs.getxattr(file, "user.a"), Err(Errno::Nodata));
    assert_eq!(s.fs.removexattr(file, "user.a"), Err(Errno::Nodata));
    s.fs.setxattr(file, "user.a", b"one").unwrap();
    s.fs.setxattr(file, "user.b", b"").unwrap();
    s.fs.setxattr(file, "user.a", b"\0\xff").unwrap();
    assert_eq!(s.fs.getxattr(file, "user.a").unwrap(), b"\0\xff");
    assert_eq!(s.fs.getxattr(file, "user.b").unwrap(), b"");
    let mut names = s.fs.listxattr(file).unwrap();
    names.sort();
    assert_eq!(names, ["user.a", "user.b"]);
    s.fs.removexattr(file, "user.a").unwrap();
    assert_eq!(s.fs.listxattr(file).unwrap(), ["user.b"]);
    assert!(s.fs.setxattr(file, "", b"x").is_err());
}
