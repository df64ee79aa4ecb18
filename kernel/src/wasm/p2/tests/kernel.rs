//! `eyot:kernel`, as components call it.

use super::super::bindings::kernel::eyot::kernel::descriptor::{self, Host as _, Readiness, Whence};
use super::super::bindings::kernel::eyot::kernel::fs::{self, AccessMode, OpenFlags, PathFlags, RenameFlags};
use super::super::bindings::kernel::eyot::kernel::process::{self, Host as _, Program, WaitFlags, WaitStatus};
use super::super::bindings::kernel::eyot::kernel::{clock, pipe, random, signal, terminal, types};
use super::component::program;
use super::*;

fn call<T>(result: Result<T, Failure>) -> T {
    result.unwrap_or_else(|failure| panic!("{failure:?}"))
}

fn open(stage: &mut Stage, path: &str, flags: OpenFlags) -> Result<u32, Failure> {
    fs::Host::open(&mut stage.guest, None, path.into(), flags, 0o644)
}

fn hello(path: &str) -> Program {
    Program {
        path: path.into(),
        search_path: false,
        arguments: vec!["hello".into()],
        environment: None,
        working_directory: None,
        actions: vec![],
        process_group: None,
        new_session: false,
    }
}

#[test]
fn files_by_path_and_descriptor() {
    let mut stage = stage();
    let fd = call(open(&mut stage, "/tmp/a", OpenFlags::CREATE | OpenFlags::READ | OpenFlags::WRITE));
    assert_eq!(call(block(stage.guest.write(fd, b"hello".to_vec()))), 5);
    assert_eq!(call(stage.guest.pwrite(fd, b"J".to_vec(), 0)), 1);
    assert_eq!(call(stage.guest.seek(fd, -4, Whence::End)), 1);
    assert_eq!(call(block(stage.guest.read(fd, u32::MAX))), b"ello");
    assert_eq!(call(stage.guest.pread(fd, 2, 0)), b"Je");
    call(stage.guest.set_size(fd, 3));
    call(stage.guest.allocate(fd, 0, 10));
    call(stage.guest.set_mode(fd, 0o600));
    call(stage.guest.set_owner(fd, Some(5), None));
    let time = types::NewTime::At(types::Timestamp { seconds: 5, nanoseconds: 6 });
    call(descriptor::Host::set_times(&mut stage.guest, fd, time, types::NewTime::Keep));
    call(stage.guest.sync(fd, false));
    let status = call(descriptor::Host::stat(&mut stage.guest, fd));
    assert_eq!((status.size, status.mode, status.uid, status.accessed.seconds), (10, 0o600, 5, 5));
    assert_eq!(status.kind, types::FileKind::File);
    let by_path = call(fs::Host::stat(&mut stage.guest, None, "/tmp/a".into(), PathFlags::FOLLOW));
    assert_eq!((by_path.inode, by_path.device), (status.inode, status.device));
    call(stage.guest.set_flags(fd, descriptor::DescriptorFlags::APPEND));
    assert_eq!(call(stage.guest.get_flags(fd)), descriptor::DescriptorFlags::APPEND);
    let copy = call(stage.guest.dup(fd, 20));
    call(stage.guest.dup2(copy, 30));
    call(stage.guest.close(30));
    assert_eq!(errno(stage.guest.close(30)), Errno::Badf);
    assert_eq!(errno(stage.guest.close(u32::MAX)), Errno::Badf);
    assert_eq!(errno(stage.guest.dup2(fd, u32::MAX)), Errno::Badf);
    assert_eq!(errno(stage.guest.seek(fd, i64::MIN, Whence::Current)), Errno::Inval);
}

#[test]
fn the_tree_is_changed_by_path() {
    let mut stage = stage();
    let g = &mut stage.guest;
    call(fs::Host::mkdir(g, None, "/d".into(), 0o755));
    call(fs::Host::make_node(g, None, "/d/fifo".into(), types::FileKind::Fifo, 0o644, 0));
    call(fs::Host::symlink(g, "/d/fifo".into(), None, "/d/link".into()));
    assert_eq!(call(fs::Host::readlink(g, None, "/d/link".into())), "/d/fifo");
    assert_eq!(call(fs::Host::real_path(g, None, "/d/../d/link".into())), "/d/fifo");
    call(fs::Host::link(g, None, "/d/fifo".into(), PathFlags::empty(), None, "/d/second".into()));
    call(fs::Host::rename(g, None, "/d/second".into(), None, "/d/third".into(), RenameFlags::NO_REPLACE));
    let taken = fs::Host::rename(g, None, "/d/third".into(), None, "/d/fifo".into(), RenameFlags::NO_REPLACE);
    assert_eq!(errno(taken), Errno::Exist);
    call(fs::Host::access(g, None, "/d".into(), AccessMode::READ | AccessMode::EXECUTE));
    call(fs::Host::set_mode(g, None, "/d".into(), PathFlags::FOLLOW, 0o700));
    call(fs::Host::set_owner(g, None, "/d/link".into(), PathFlags::empty(), None, Some(9)));
    call(fs::Host::set_times(g, None, "/d".into(), PathFlags::FOLLOW, types::NewTime::Now, types::NewTime::Now));
    assert_eq!(errno(fs::Host::set_size(g, None, "/d".into(), 1)), Errno::Isdir);
    assert!(call(fs::Host::statfs(g, None, "/".into())).name_max >= 255);
    let dir = call(fs::Host::open(g, None, "/d".into(), OpenFlags::DIRECTORY | OpenFlags::READ, 0));
    let names: Vec<_> = call(g.readdir(dir, 0, u32::MAX)).into_iter().map(|entry| entry.name).collect();
    assert_eq!(names.len(), 5, "{names:?}");
    call(g.fchdir(dir));
    assert_eq!(call(g.getcwd()), "/d");
    call(fs::Host::unlink(g, None, "third".into()));
    call(fs::Host::unlink(g, Some(dir), "fifo".into()));
    call(fs::Host::unlink(g, Some(dir), "link".into()));
    call(g.chdir("/".into()));
    call(fs::Host::rmdir(g, None, "/d".into()));
    assert_eq!(errno(g.chdir("/d".into())), Errno::Noent);
    assert_eq!(errno(fs::Host::stat(g, Some(77), "x".into(), PathFlags::empty())), Errno::Badf);
}

#[test]
fn a_component_spawns_a_component_and_waits() {
    let mut stage = stage();
    let hello_text = r#"(data (i32.const 0x8000) "hello\n") (func $run (result i32)
        (call $write (call $get_stdout) (i32.const 0x8000) (i32.const 6) (i32.const 0)) (i32.const 1))"#;
    stage.vm.write_file("/hello", &program(hello_text), 0o755).unwrap();
    let (reader, writer) = call(pipe::Host::pipe(&mut stage.guest, descriptor::DescriptorFlags::CLOSE_ON_EXEC));
    let mut spec = hello("/hello");
    // Standard output becomes a copy of the pipe's end.
    spec.actions = vec![process::FileAction::Dup2((1, writer))];
    let pid = call(stage.guest.spawn(spec));
    call(stage.guest.close(writer));
    let waited = call(block(stage.guest.wait(pid, WaitFlags::empty())));
    assert!(matches!(waited, Some((child, WaitStatus::Exited(1))) if child == pid), "{waited:?}");
    assert_eq!(call(block(stage.guest.read(reader, 100))), b"hello\n");
    assert_eq!(errno(block(stage.guest.wait(-1, WaitFlags::NO_HANG))), Errno::Child);
    assert_eq!(errno(stage.guest.spawn(hello("/nothing"))), Errno::Noent);
    assert_eq!(errno(stage.guest.spawn(hello("/hel\0lo"))), Errno::Inval);
    let mut spec = hello("/hello");
    spec.environment = Some(vec![("A=B".into(), "c".into())]);
    assert_eq!(errno(stage.guest.spawn(spec)), Errno::Inval);
    let mut spec = hello("/hello");
    spec.actions = vec![process::FileAction::Dup2((1, 999))];
    assert_eq!(errno(stage.guest.spawn(spec)), Errno::Badf);
}

#[test]
fn exec_loads_the_next_program_or_answers_why_not() {
    let mut stage = stage();
    assert_eq!(stage.guest.exec(hello("/nothing")).unwrap(), types::Errno::Noent);
    assert_eq!(stage.guest.exec(hello("/tmp")).unwrap(), types::Errno::Acces);
    assert!(stage.guest.next.is_none());
    stage.vm.write_file("/hello", &program("(func $run (result i32) (i32.const 0))"), 0o755).unwrap();
    assert!(stage.guest.exec(hello("/hello")).unwrap_err().to_string().contains("exec"));
    assert!(stage.guest.next.is_some());
}

#[test]
fn a_process_knows_itself() {
    let mut stage = stage();
    let pid = stage.guest.getpid().unwrap();
    assert_eq!(pid, stage.process.pid());
    assert_eq!(stage.guest.getppid().unwrap(), 0);
    assert_eq!(call(stage.guest.getpgid(0)), pid);
    assert_eq!(call(stage.guest.getsid(0)), pid);
    assert_eq!(errno(stage.guest.setsid()), Errno::Perm);
    assert_eq!(errno(stage.guest.setpgid(99_999, 0)), Errno::Srch);
    assert_eq!(stage.guest.umask(0o077).unwrap(), 0o022);
    assert_eq!(stage.guest.identity().unwrap(), (0, 0, 0, 0));
    assert_eq!(stage.guest.arguments().unwrap(), ["/puppet", "one"]);
    assert!(stage.guest.environment().unwrap().contains(&("KEY".into(), "value".into())));
    assert!(stage.guest.exit(3).unwrap_err().to_string().contains('3'));
}

#[test]
fn clocks_randomness_and_terminals() {
    let mut stage = stage();
    let g = &mut stage.guest;
    let now = clock::Host::monotonic(g).unwrap();
    call(block(clock::Host::sleep_until(g, now + 5_000_000)));
    assert!(clock::Host::monotonic(g).unwrap() >= now + 5_000_000);
    assert!(clock::Host::realtime(g).unwrap().seconds > 1_700_000_000);
    assert_eq!(clock::Host::resolution(g).unwrap(), 1000);
    assert_ne!(call(random::Host::bytes(g, 16)), [0; 16]);
    assert_eq!(errno(random::Host::bytes(g, u32::MAX)), Errno::Inval);
    assert!(!call(terminal::Host::is_terminal(g, 0)));
    assert_eq!(errno(terminal::Host::get_window_size(g, 0)), Errno::Notty);
    assert_eq!(errno(terminal::Host::is_terminal(g, 55)), Errno::Badf);
}

#[test]
fn polls_and_signals() {
    let mut stage = stage();
    let request = |fd, interest| descriptor::PollRequest { fd, interest };
    let requests =
        vec![request(0, Readiness::READABLE), request(1, Readiness::WRITABLE), request(99, Readiness::READABLE)];
    let ready = call(block(descriptor::Host::poll(&mut stage.guest, requests, None)));
    assert_eq!(ready, [Readiness::empty(), Readiness::WRITABLE, Readiness::ERROR]);
    let late = call(block(descriptor::Host::poll(&mut stage.guest, vec![request(0, Readiness::READABLE)], Some(0))));
    assert_eq!(late, [Readiness::empty()]);
    call(signal::Host::kill(&mut stage.guest, stage.process.pid(), 0));
    assert_eq!(errno(signal::Host::kill(&mut stage.guest, 99_999, 15)), Errno::Srch);
    assert_eq!(errno(signal::Host::kill(&mut stage.guest, 1, 65)), Errno::Inval);
    let end = signal::Host::kill(&mut stage.guest, 0, crate::signal::TERM);
    assert!(matches!(end, Err(Failure::Trap(_))), "who kills itself does not come back");
}
