//! What Linux leaves to a filesystem of owners and set-ID bits.

use eyot_backend::{AttributeChanges, Attributes, NodeKind, Ownership};

const SET_USER_ID: u32 = 0o4000;
const SET_GROUP_ID: u32 = 0o2000;
const GROUP_EXECUTE: u32 = 0o0010;

/// Whose a new inode is: in a set-group-ID directory it takes the directory's group, and a new directory takes the bit too (inode(7)).
pub(crate) fn owner(parent: &Attributes, uid: u32, gid: u32, mode: u32, kind: NodeKind) -> Ownership {
    let inherits = parent.mode & SET_GROUP_ID != 0;
    let bit = if inherits && kind == NodeKind::Directory { SET_GROUP_ID } else { 0 };
    Ownership { mode: mode & 0o7777 | bit, uid, gid: if inherits { parent.gid } else { gid } }
}

/// The mode without the bits that a write or a change of owner takes away, when it has any. The set-group-ID bit of a file that its group may not execute means something else and stays.
pub(crate) fn stripped(attributes: &Attributes) -> Option<u32> {
    if attributes.kind == NodeKind::Directory {
        return None;
    }
    let mut mode = attributes.mode & !SET_USER_ID;
    if mode & GROUP_EXECUTE != 0 {
        mode &= !SET_GROUP_ID;
    }
    (mode != attributes.mode).then_some(mode)
}

/// Whether a change takes set-ID bits away. The host's kernel says so in a flag that does not reach us; this is how it decides: a change of owner always, a truncation when
/// the caller is not privileged.
pub(crate) fn strips(changes: &AttributeChanges, caller_uid: u32) -> bool {
    changes.uid.is_some() || changes.gid.is_some() || (changes.size.is_some() && caller_uid != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use eyot_backend::Timestamp;

    fn attributes(kind: NodeKind, mode: u32) -> Attributes {
        let time = Timestamp::default();
        Attributes {
            node: 9,
            kind,
            mode,
            links: 1,
            uid: 1,
            gid: 20,
            device: 0,
            size: 0,
            blocks: 0,
            accessed: time,
            modified: time,
            changed: time,
            created: time,
            lifetime_ns: 0,
        }
    }

    #[test]
    fn a_set_group_id_directory_hands_down_its_group() {
        let plain = attributes(NodeKind::Directory, 0o777);
        let group = attributes(NodeKind::Directory, 0o2777);
        let made = |parent, kind| owner(parent, 7, 8, 0o100640, kind);
        assert_eq!(made(&plain, NodeKind::File), Ownership { mode: 0o640, uid: 7, gid: 8 });
        assert_eq!(made(&group, NodeKind::File), Ownership { mode: 0o640, uid: 7, gid: 20 });
        assert_eq!(made(&group, NodeKind::Directory), Ownership { mode: 0o2640, uid: 7, gid: 20 });
    }

    #[test]
    fn a_write_takes_what_would_run_as_somebody_else() {
        let file = |mode| stripped(&attributes(NodeKind::File, mode));
        assert_eq!(file(0o4755), Some(0o755));
        assert_eq!(file(0o6775), Some(0o775));
        assert_eq!(file(0o2755), Some(0o755));
        assert_eq!(file(0o2745), None, "mandatory locking, not a privilege");
        assert_eq!(file(0o1777), None);
        assert_eq!(stripped(&attributes(NodeKind::Directory, 0o6775)), None);
    }

    #[test]
    fn only_the_unprivileged_lose_bits_by_truncation() {
        let size = AttributeChanges { size: Some(0), ..Default::default() };
        assert!(strips(&size, 1000) && !strips(&size, 0));
        assert!(strips(&AttributeChanges { gid: Some(0), ..Default::default() }, 0));
        assert!(!strips(&AttributeChanges { mode: Some(0o4755), ..Default::default() }, 1000));
    }
}
