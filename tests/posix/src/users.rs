//! Users of this host that tests can become.

use std::fs;
use std::os::unix::fs::MetadataExt;

/// Whom tests become when they are there; otherwise it is whoever comes first.
const PREFERRED: [&str; 4] = ["nobody", "tests", "daemon", "bin"];

/// Whether this process is root.
pub(crate) fn am_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|me| me.uid() == 0)
}

/// Two users who are not root, each with the name of the group that is theirs.
pub(crate) fn dummies() -> Option<[(String, String); 2]> {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    dummies_among(&read("/etc/passwd"), &read("/etc/group"))
}

fn dummies_among(passwd: &str, group: &str) -> Option<[(String, String); 2]> {
    let group_of = |gid: &str| {
        let line = group.lines().find(|line| line.split(':').nth(2) == Some(gid))?;
        line.split(':').next()
    };
    let mut users: Vec<(&str, &str, &str)> = passwd
        .lines()
        .filter_map(|line| {
            let mut fields = line.split(':');
            let (name, _, uid, gid) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
            (uid != "0" && gid != "0").then_some((name, gid, group_of(gid)?))
        })
        .collect();
    users.sort_by_key(|(name, ..)| PREFERRED.iter().position(|preferred| preferred == name).unwrap_or(PREFERRED.len()));
    let first = users.first()?;
    let second = users.iter().find(|user| user.1 != first.1)?;
    Some([first, second].map(|(name, _, group)| ((*name).into(), (*group).into())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_users_of_different_groups_are_found() {
        let passwd =
            "root:x:0:0::/:/sh\nx:x:5:60::/:/sh\nsync:x:4:65534::/:\nnobody:x:65534:65534::/:\nlone:x:7:99::/:\n";
        let group = "root:x:0:\ngames:x:60:\nnogroup:x:65534:\n";
        let found = dummies_among(passwd, group).unwrap();
        assert_eq!(found, [("nobody".into(), "nogroup".into()), ("x".into(), "games".into())]);
        assert_eq!(dummies_among("root:x:0:0::/:/sh\n", group), None);
    }
}
