//! The resolver and the calls on paths, with the errors that Linux's pages name.

mod common;

use std::sync::Arc;

use common::{World, now};
use eyot_kernel::Errno;
use eyot_kernel::backend::NodeKind;
use eyot_kernel::process::Task;
use eyot_kernel::syscall::fs::{self, At};
use eyot_kernel::syscall::types::{NewTime, OpenFlags, PathFlags, RenameFlags, Whence};
use eyot_kernel::syscall::{descriptor, process};

const FOLLOW: PathFlags = PathFlags::FOLLOW;
const NONE: PathFlags = PathFlags::empty();

fn create(task: &Task, path: &str) {
    let flags = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::EXCLUSIVE;
    let fd = now(fs::open(task, None, path, flags, 0o644)).unwrap();
    now(descriptor::close(task, fd)).unwrap();
}

fn open(task: &Task, path: &str, flags: OpenFlags) -> Result<u32, Errno> {
    now(fs::open(task, None, path, flags, 0o644))
}

fn kind(task: &Task, path: &str, flags: PathFlags) -> Result<NodeKind, Errno> {
    now(fs::stat(task, None, path, flags)).map(|status| status.attributes.kind)
}

fn tree(task: &Arc<Task>) {
    for path in ["/d", "/d/e", "/d/e/f"] {
        now(fs::mkdir(task, None, path, 0o755)).unwrap();
    }
    create(task, "/d/file");
    for (target, path) in
        [("d", "/to-d"), ("file", "/d/to-file"), ("missing", "/dangling"), ("loop", "/loop"), ("/d/e", "/abs")]
    {
        now(fs::symlink(task, target, None, path, NONE)).unwrap();
    }
}

#[test]
fn walks_follow_the_rules_of_path_resolution() {
    World::new().run(|task| {
        tree(task);
        let real = |path: &str| now(fs::real_path(task, None, path));
        assert_eq!(real("/d/e/../file").as_deref(), Ok("/d/file"));
        assert_eq!(real("//d///e/./").as_deref(), Ok("/d/e"));
        assert_eq!(real("/to-d/to-file").as_deref(), Ok("/d/file"));
        assert_eq!(real("/abs/..").as_deref(), Ok("/d"));
        assert_eq!(real("/../..").as_deref(), Ok("/"));
        assert_eq!(real("/d/file/"), Err(Errno::Notdir));
        assert_eq!(real("/d/file/."), Err(Errno::Notdir));
        assert_eq!(real("/d/file/.."), Err(Errno::Notdir));
        assert_eq!(real("/d/to-file/"), Err(Errno::Notdir));
        assert_eq!(real("/dangling"), Err(Errno::Noent));
        assert_eq!(real("/loop"), Err(Errno::Loop));
        assert_eq!(real("/loop/x"), Err(Errno::Loop));
        assert_eq!(real(""), Err(Errno::Noent));
        assert_eq!(real("/a\0b"), Err(Errno::Inval));
        assert_eq!(real(&format!("/{}", "n".repeat(256))), Err(Errno::Nametoolong));
        assert_eq!(real(&"/d".repeat(2048)), Err(Errno::Nametoolong));
        assert_eq!(kind(task, "/to-d", NONE), Ok(NodeKind::Symlink));
        assert_eq!(kind(task, "/to-d/", NONE), Ok(NodeKind::Directory), "a trailing slash follows");
    });
}

#[test]
fn forty_symlinks_are_followed_and_no_more() {
    World::new().run(|task| {
        now(fs::mkdir(task, None, "/l0", 0o755)).unwrap();
        for n in 1..=41 {
            now(fs::symlink(task, &format!("l{}", n - 1), None, &format!("/l{n}"), NONE)).unwrap();
        }
        assert_eq!(kind(task, "/l40", FOLLOW), Ok(NodeKind::Directory));
        assert_eq!(kind(task, "/l41", FOLLOW), Err(Errno::Loop));
    });
}

#[test]
fn nothing_above_a_confined_directory_is_reached() {
    World::new().run(|task| {
        tree(task);
        now(fs::symlink(task, "../../d/file", None, "/d/e/out", NONE)).unwrap();
        let dir = open(task, "/d/e", OpenFlags::READ | OpenFlags::DIRECTORY).unwrap();
        let confined = |path: &str| now(fs::stat(task, Some(dir), path, FOLLOW | PathFlags::BENEATH)).map(drop);
        assert_eq!(confined("f"), Ok(()));
        assert_eq!(confined("f/.."), Ok(()));
        assert_eq!(confined(".."), Err(Errno::Perm));
        assert_eq!(confined("f/../../file"), Err(Errno::Perm));
        assert_eq!(confined("/d/e/f"), Err(Errno::Perm));
        assert_eq!(confined("out"), Err(Errno::Perm));
        assert_eq!(now(fs::stat(task, Some(dir), "out", PathFlags::BENEATH)).map(drop), Ok(()), "the link itself");
        let root = open(task, "/", OpenFlags::READ | OpenFlags::DIRECTORY).unwrap();
        assert!(now(fs::stat(task, Some(root), "abs/f", FOLLOW | PathFlags::BENEATH)).is_ok());
        let file = open(task, "/d/file", OpenFlags::READ).unwrap();
        assert_eq!(now(fs::stat(task, Some(file), "x", FOLLOW)).map(drop), Err(Errno::Notdir));
        assert_eq!(now(fs::stat(task, Some(99), "x", FOLLOW)).map(drop), Err(Errno::Badf));
    });
}

#[test]
fn open_gives_the_errors_of_its_page() {
    World::new().run(|task| {
        tree(task);
        let make = OpenFlags::WRITE | OpenFlags::CREATE;
        assert_eq!(open(task, "/none", OpenFlags::READ), Err(Errno::Noent));
        assert_eq!(open(task, "/d", OpenFlags::WRITE), Err(Errno::Isdir));
        assert_eq!(open(task, "/d", make), Err(Errno::Isdir));
        assert_eq!(open(task, "/d/file", OpenFlags::READ | OpenFlags::DIRECTORY), Err(Errno::Notdir));
        assert_eq!(open(task, "/d/file", make | OpenFlags::EXCLUSIVE), Err(Errno::Exist));
        assert_eq!(open(task, "/dangling", make | OpenFlags::EXCLUSIVE), Err(Errno::Exist));
        assert_eq!(open(task, "/to-d", OpenFlags::READ | OpenFlags::NO_FOLLOW), Err(Errno::Loop));
        assert_eq!(open(task, "/new/", make), Err(Errno::Isdir));
        assert_eq!(open(task, "/d/file/new", make), Err(Errno::Notdir));
        assert_eq!(open(task, "/d/file/", make), Err(Errno::Isdir));
        assert!(open(task, "/d", OpenFlags::READ | OpenFlags::APPEND).is_ok());
        assert_eq!(open(task, "/d", OpenFlags::READ | OpenFlags::CREATE | OpenFlags::DIRECTORY), Err(Errno::Inval));
        assert!(open(task, "/dangling", make).is_ok(), "creates where the link leads");
        assert_eq!(kind(task, "/missing", NONE), Ok(NodeKind::File));
    });
}

#[test]
fn removing_gives_the_errors_of_its_pages() {
    World::new().run(|task| {
        tree(task);
        let unlink = |path: &str| now(fs::unlink(task, None, path, NONE));
        let rmdir = |path: &str| now(fs::rmdir(task, None, path, NONE));
        assert_eq!(unlink("/d"), Err(Errno::Isdir));
        assert_eq!(unlink("/none"), Err(Errno::Noent));
        assert_eq!(unlink("/d/file/"), Err(Errno::Notdir));
        assert_eq!(rmdir("/d"), Err(Errno::Notempty));
        assert_eq!(rmdir("/d/file"), Err(Errno::Notdir));
        assert_eq!(rmdir("/to-d"), Err(Errno::Notdir));
        assert_eq!(rmdir("/d/e/f/."), Err(Errno::Inval));
        assert_eq!(rmdir("/d/e/f/.."), Err(Errno::Notempty));
        assert_eq!(rmdir("/"), Err(Errno::Busy));
        assert_eq!(rmdir("/proc"), Err(Errno::Busy));
        assert_eq!(rmdir("/d/e/f/"), Ok(()));
        assert_eq!(unlink("/to-d"), Ok(()));
        assert_eq!(kind(task, "/to-d", NONE), Err(Errno::Noent));
    });
}

#[test]
fn an_unlinked_file_lives_while_it_is_open() {
    World::new().run(|task| {
        let fd = open(task, "/f", OpenFlags::READ | OpenFlags::WRITE | OpenFlags::CREATE).unwrap();
        now(fs::unlink(task, None, "/f", NONE)).unwrap();
        assert_eq!(now(descriptor::write(task, fd, b"still here")), Ok(10));
        assert_eq!(now(descriptor::seek(task, fd, 0, Whence::Start)), Ok(0));
        let mut buffer = [0; 16];
        assert_eq!(now(descriptor::read(task, fd, &mut buffer)), Ok(10));
        assert_eq!(now(descriptor::stat(task, fd)).unwrap().attributes.links, 0);
        assert_eq!(kind(task, "/f", NONE), Err(Errno::Noent));
    });
}

#[test]
fn renaming_follows_its_page() {
    World::new().run(|task| {
        tree(task);
        let rename = |from: &str, to: &str, how| {
            now(fs::rename(task, At { dir: None, path: from }, At { dir: None, path: to }, how, NONE))
        };
        let plain = RenameFlags::empty();
        assert_eq!(rename("/d", "/d/e/x", plain), Err(Errno::Inval));
        assert_eq!(rename("/d/e", "/d", plain), Err(Errno::Notempty));
        assert_eq!(rename("/d/file", "/d/e", plain), Err(Errno::Isdir));
        assert_eq!(rename("/d/e", "/d/file", plain), Err(Errno::Notdir));
        assert_eq!(rename("/d/file", "/proc/x", plain), Err(Errno::Xdev));
        assert_eq!(rename("/proc", "/x", plain), Err(Errno::Busy), "a mount point stays where it is");
        assert_eq!(rename("/d/file", "/dangling", RenameFlags::NO_REPLACE), Err(Errno::Exist));
        assert_eq!(rename("/d/file", "/d/new/", plain), Err(Errno::Notdir));
        assert_eq!(rename("/d/.", "/x", plain), Err(Errno::Busy));
        now(process::chdir(task, "/d/e/f")).unwrap();
        assert_eq!(rename("/d", "/moved", plain), Ok(()));
        assert_eq!(now(process::getcwd(task)).as_deref(), Ok("/moved/e/f"), "the working directory moves along");
        assert_eq!(rename("/moved", "/dangling", RenameFlags::EXCHANGE), Ok(()));
        assert_eq!(kind(task, "/moved", NONE), Ok(NodeKind::Symlink));
        assert_eq!(kind(task, "/dangling/e", NONE), Ok(NodeKind::Directory));
    });
}

#[test]
fn links_share_the_inode() {
    World::new().run(|task| {
        tree(task);
        let link = |from: &str, to: &str| now(fs::link(task, None, from, NONE, None, to));
        assert_eq!(link("/d/file", "/hard"), Ok(()));
        let (a, b) = (now(fs::stat(task, None, "/d/file", NONE)), now(fs::stat(task, None, "/hard", NONE)));
        assert_eq!(a.as_ref().unwrap().attributes.node, b.unwrap().attributes.node);
        assert_eq!(a.unwrap().attributes.links, 2);
        assert_eq!(link("/d", "/x"), Err(Errno::Perm));
        assert_eq!(link("/d/file", "/hard"), Err(Errno::Exist));
        assert_eq!(link("/d/file", "/proc/x"), Err(Errno::Xdev));
        assert_eq!(link("/none", "/x"), Err(Errno::Noent));
    });
}

#[test]
fn permission_bits_are_kept() {
    let world = World::new();
    world.run(|task| {
        now(fs::mkdir(task, None, "/private", 0o700)).unwrap();
        create(task, "/private/file");
        create(task, "/readable");
        now(fs::mkdir(task, None, "/sticky", 0o777)).unwrap();
        now(fs::set_mode(task, None, "/sticky", FOLLOW, 0o1777)).unwrap();
        create(task, "/sticky/roots");
    });
    world.run_as(1000, |task| {
        assert_eq!(kind(task, "/private/file", FOLLOW), Err(Errno::Acces));
        assert_eq!(open(task, "/readable", OpenFlags::WRITE), Err(Errno::Acces));
        assert!(open(task, "/readable", OpenFlags::READ).is_ok());
        assert_eq!(open(task, "/new", OpenFlags::WRITE | OpenFlags::CREATE), Err(Errno::Acces));
        assert_eq!(now(fs::unlink(task, None, "/sticky/roots", NONE)), Err(Errno::Perm));
        create(task, "/sticky/own");
        assert_eq!(now(fs::set_mode(task, None, "/readable", FOLLOW, 0o777)), Err(Errno::Perm));
        assert_eq!(now(fs::set_owner(task, None, "/sticky/own", FOLLOW, Some(0), None)), Err(Errno::Perm));
        assert_eq!(now(fs::set_times(task, None, "/readable", FOLLOW, NewTime::Now, NewTime::Now)), Err(Errno::Acces));
        assert_eq!(now(fs::unlink(task, None, "/sticky/own", NONE)), Ok(()));
        assert_eq!(
            now(fs::rmdir(task, None, "/readable", NONE)),
            Err(Errno::Acces),
            "permission comes before the kind"
        );
        assert_eq!(now(fs::unlink(task, None, "/private", NONE)), Err(Errno::Acces));
        assert_eq!(
            now(fs::make_node(task, None, "/tmp/null", NodeKind::CharacterDevice, 0o666, 0x103)),
            Err(Errno::Perm)
        );
    });
}

#[test]
fn a_removed_working_directory_is_told() {
    World::new().run(|task| {
        now(fs::mkdir(task, None, "/gone", 0o755)).unwrap();
        now(process::chdir(task, "/gone")).unwrap();
        now(fs::rmdir(task, None, "/gone", NONE)).unwrap();
        assert_eq!(now(process::getcwd(task)), Err(Errno::Noent));
        assert_eq!(open(task, "new", OpenFlags::WRITE | OpenFlags::CREATE), Err(Errno::Noent));
    });
}

#[test]
fn a_tree_deeper_than_the_hosts_stack_is_dropped() {
    World::new().run(|task| {
        for _ in 0..20_000 {
            now(fs::mkdir(task, None, "deeper", 0o755)).unwrap();
            now(process::chdir(task, "deeper")).unwrap();
        }
        now(process::chdir(task, "/")).unwrap();
    });
}

#[test]
fn listings_have_dots_and_cookies() {
    World::new().run(|task| {
        tree(task);
        let fd = open(task, "/d", OpenFlags::READ | OpenFlags::DIRECTORY).unwrap();
        let mut names = Vec::new();
        let mut cookie = 0;
        loop {
            let entries = now(descriptor::readdir(task, fd, cookie, 2)).unwrap();
            let Some(last) = entries.last() else { break };
            cookie = last.cookie;
            names.extend(entries.into_iter().map(|entry| entry.name));
        }
        names[2..].sort();
        assert_eq!(names, [".", "..", "e", "file", "to-file"]);
        let file = open(task, "/d/file", OpenFlags::READ).unwrap();
        assert_eq!(now(descriptor::readdir(task, file, 0, 1)), Err(Errno::Notdir));
    });
}
