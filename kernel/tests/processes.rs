//! Processes, descriptors, pipes, signals and limits.

mod common;

use std::sync::Arc;
use std::time::{Duration, Instant};

use common::{World, now, waits};
use eyot_kernel::Errno;
use eyot_kernel::limits::Limit;
use eyot_kernel::policy::{Action, Rule, Verdict};
use eyot_kernel::process::{ExitStatus, FileAction, ProgramSpec, Task};
use eyot_kernel::signal;
use eyot_kernel::syscall::types::{DescriptorFlags, OpenFlags, PollRequest, Readiness, WaitFlags, WaitStatus};
use eyot_kernel::syscall::{descriptor, fs, pipe, process, signal as signals};

fn spec(path: &str, arguments: &[&str]) -> ProgramSpec {
    ProgramSpec {
        path: path.into(),
        arguments: arguments.iter().map(|text| (*text).to_owned()).collect(),
        ..ProgramSpec::default()
    }
}

fn spawn(task: &Arc<Task>, spec: ProgramSpec) -> Result<i32, Errno> {
    process::spawn(task, spec).map_err(|error| error.errno)
}

fn wait(task: &Arc<Task>, pid: i32) -> Result<Option<(i32, WaitStatus)>, Errno> {
    task.blocking(|| process::wait(task, pid, WaitFlags::empty()))
}

#[test]
fn a_child_is_waited_for_once() {
    let world = World::new();
    world.program("seven", |_| 7);
    world.run(|task| {
        let pid = spawn(task, spec("/bin/seven", &["seven"])).unwrap();
        assert_eq!(wait(task, pid), Ok(Some((pid, WaitStatus::Exited(7)))));
        assert_eq!(wait(task, pid), Err(Errno::Child));
        assert_eq!(wait(task, -1), Err(Errno::Child));
    });
}

#[test]
fn a_running_child_is_not_told_with_no_hang() {
    let world = World::new();
    world.program("sleeper", |task| {
        let _ = task.blocking(|| eyot_kernel::syscall::clock::sleep_until(task, u64::MAX));
        0
    });
    world.run(|task| {
        let pid = spawn(task, spec("/bin/sleeper", &[])).unwrap();
        assert_eq!(now(process::wait(task, pid, WaitFlags::NO_HANG)), Ok(None));
        assert!(waits(process::wait(task, -1, WaitFlags::empty())));
        now(signals::kill(task, pid, 0)).unwrap();
        now(signals::kill(task, pid, signal::TERM)).unwrap();
        assert_eq!(wait(task, -1), Ok(Some((pid, WaitStatus::Signaled(signal::TERM)))));
        assert_eq!(now(signals::kill(task, pid, 0)), Err(Errno::Srch));
        assert_eq!(now(signals::kill(task, task.pid(), 65)), Err(Errno::Inval));
        assert_eq!(now(signals::kill(task, task.pid(), signal::STOP)), Err(Errno::Nosys));
    });
}

#[test]
fn starting_gives_the_errors_of_execve() {
    let world = World::new();
    world.vm.write_file("/bin/plain", b"just text", 0o644).unwrap();
    world.vm.write_file("/bin/text", b"just text", 0o755).unwrap();
    world.vm.write_file("/bin/loops", b"#!/bin/loops\n", 0o755).unwrap();
    world.vm.write_file("/bin/orphan", b"#!/bin/none\n", 0o755).unwrap();
    world.run(|task| {
        assert_eq!(spawn(task, spec("/bin/none", &[])), Err(Errno::Noent));
        assert_eq!(spawn(task, spec("/bin/plain", &[])), Err(Errno::Acces));
        assert_eq!(spawn(task, spec("/bin", &[])), Err(Errno::Acces));
        assert_eq!(spawn(task, spec("/bin/text", &[])), Err(Errno::Noexec));
        assert_eq!(spawn(task, spec("/bin/loops", &[])), Err(Errno::Loop));
        assert_eq!(spawn(task, spec("/bin/orphan", &[])), Err(Errno::Noent));
        let long = "x".repeat(2 << 20);
        assert_eq!(spawn(task, spec("/bin/main", &[&long])), Err(Errno::TooBig));
        let missing = ProgramSpec { search_path: true, ..spec("nowhere", &[]) };
        let error = process::spawn(task, missing).unwrap_err();
        assert_eq!((error.errno, error.message.as_str()), (Errno::Noent, "nowhere: command not found"));
    });
}

#[test]
fn a_script_runs_its_interpreter() {
    let world = World::new();
    world.program("interpret", |task| {
        let arguments = task.startup().arguments.clone();
        u8::from(arguments != ["/bin/interpret", "-x y", "/bin/script", "one"])
    });
    world.vm.write_file("/bin/script", b"#! /bin/interpret  -x y \nbody\n", 0o755).unwrap();
    let status = world.vm.command("/bin/script").arg("one").status().unwrap();
    assert_eq!(status, ExitStatus::Exited(0));
}

#[test]
fn descriptors_are_inherited_but_those_closed_on_exec() {
    let world = World::new();
    world.program("count", |task| {
        let open: Vec<u32> = task.fds().numbers().collect();
        u8::try_from(open.iter().map(|fd| 1_u32 << fd).sum::<u32>()).unwrap()
    });
    world.run(|task| {
        let (reader, writer) = now(pipe::pipe(task, DescriptorFlags::empty())).unwrap();
        assert_eq!((reader, writer), (3, 4));
        let hidden = now(descriptor::dup(task, reader, 0)).unwrap();
        assert_eq!(hidden, 5);
        let plain = spawn(task, spec("/bin/count", &[])).unwrap();
        assert_eq!(wait(task, plain), Ok(Some((plain, WaitStatus::Exited(0b11111)))));
        let actions = vec![
            FileAction::Dup2 { from: 5, to: 6 },
            FileAction::Close(3),
            FileAction::Open { fd: 0, path: "/dev/zero".into(), flags: OpenFlags::READ, mode: 0 },
        ];
        let acted = spawn(task, ProgramSpec { actions, ..spec("/bin/count", &[]) }).unwrap();
        assert_eq!(wait(task, acted), Ok(Some((acted, WaitStatus::Exited(0b101_0111)))));
        let bad = vec![FileAction::Dup2 { from: 99, to: 1 }];
        assert_eq!(spawn(task, ProgramSpec { actions: bad, ..spec("/bin/count", &[]) }), Err(Errno::Badf));
    });
}

#[test]
fn a_pipeline_carries_bytes_between_processes() {
    let world = World::new();
    world.program("produce", |task| {
        let bytes = vec![b'x'; 1000];
        for _ in 0..1000 {
            if task.blocking(|| descriptor::write(task, 1, &bytes)).is_err() {
                return 1;
            }
        }
        0
    });
    world.program("consume", |task| {
        let mut total = 0;
        let mut buffer = [0; 777];
        loop {
            match task.blocking(|| descriptor::read(task, 0, &mut buffer)) {
                Ok(0) => return u8::from(total != 1_000_000),
                Ok(count) => total += count,
                Err(_) => return 2,
            }
        }
    });
    world.run(|task| {
        let (reader, writer) = now(pipe::pipe(task, DescriptorFlags::CLOSE_ON_EXEC)).unwrap();
        let to = |fd, from| vec![FileAction::Dup2 { from, to: fd }];
        let producer = spawn(task, ProgramSpec { actions: to(1, writer), ..spec("/bin/produce", &[]) }).unwrap();
        let consumer = spawn(task, ProgramSpec { actions: to(0, reader), ..spec("/bin/consume", &[]) }).unwrap();
        now(descriptor::close(task, reader)).unwrap();
        now(descriptor::close(task, writer)).unwrap();
        assert_eq!(wait(task, producer), Ok(Some((producer, WaitStatus::Exited(0)))));
        assert_eq!(wait(task, consumer), Ok(Some((consumer, WaitStatus::Exited(0)))));
    });
}

#[test]
fn writing_without_a_reader_ends_the_writer() {
    let world = World::new();
    world.program("writer", |task| {
        let (reader, writer) = now(pipe::pipe(task, DescriptorFlags::empty())).unwrap();
        now(descriptor::close(task, reader)).unwrap();
        assert_eq!(now(descriptor::write(task, writer, b"x")), Err(Errno::Pipe));
        0
    });
    assert_eq!(world.vm.command("writer").status().unwrap(), ExitStatus::Signaled(signal::PIPE));
}

#[test]
fn an_ignored_signal_does_nothing() {
    World::new().run(|task| {
        assert_eq!(now(signals::set_disposition(task, signal::PIPE, true)), Ok(false));
        assert_eq!(now(signals::set_disposition(task, signal::PIPE, true)), Ok(true));
        let (reader, writer) = now(pipe::pipe(task, DescriptorFlags::empty())).unwrap();
        now(descriptor::close(task, reader)).unwrap();
        assert_eq!(now(descriptor::write(task, writer, b"x")), Err(Errno::Pipe));
        assert!(!task.killed());
        assert_eq!(now(signals::set_disposition(task, signal::KILL, true)), Err(Errno::Inval));
        assert_eq!(now(signals::set_disposition(task, 65, true)), Err(Errno::Inval));
    });
}

#[test]
fn non_blocking_descriptors_answer_again() {
    World::new().run(|task| {
        let (reader, writer) = now(pipe::pipe(task, DescriptorFlags::NON_BLOCKING)).unwrap();
        assert_eq!(now(descriptor::read(task, reader, &mut [0])), Err(Errno::Again));
        while now(descriptor::write(task, writer, &[0; 8192])).is_ok() {}
        assert_eq!(now(descriptor::write(task, writer, &[0])), Err(Errno::Again));
        now(descriptor::set_flags(task, reader, DescriptorFlags::empty())).unwrap();
        assert!(waits({
            let mut big = vec![0; 1 << 17];
            now(descriptor::read(task, reader, &mut big)).unwrap();
            descriptor::read(task, reader, &mut [0])
        }));
    });
}

#[test]
fn poll_tells_what_is_ready_and_keeps_its_deadline() {
    World::new().run(|task| {
        let (reader, writer) = now(pipe::pipe(task, DescriptorFlags::empty())).unwrap();
        let request = |fd, interest| PollRequest { fd, interest };
        let both = [request(reader, Readiness::READABLE), request(writer, Readiness::WRITABLE)];
        assert_eq!(now(descriptor::poll(task, &both, None)).unwrap(), [Readiness::empty(), Readiness::WRITABLE]);
        assert!(waits(descriptor::poll(task, &both[..1], None)));
        let start = Instant::now();
        let deadline = eyot_kernel::syscall::clock::monotonic(task) + 5_000_000;
        let ready = task.blocking(|| descriptor::poll(task, &both[..1], Some(deadline))).unwrap();
        assert_eq!(ready, [Readiness::empty()]);
        assert!(start.elapsed() >= Duration::from_millis(4));
        now(descriptor::write(task, writer, b"x")).unwrap();
        assert_eq!(now(descriptor::poll(task, &both[..1], None)).unwrap(), [Readiness::READABLE]);
        assert_eq!(now(descriptor::poll(task, &[request(77, Readiness::READABLE)], None)).unwrap(), [Readiness::ERROR]);
    });
}

#[test]
fn each_limit_fails_with_its_errno() {
    let world = World::with(|builder| {
        builder.limit(Limit::DescriptorsPerProcess, 8).limit(Limit::OpenFiles, 20).limit(Limit::Processes, 3)
    });
    world.program("sleeper", |task| {
        let _ = task.blocking(|| eyot_kernel::syscall::clock::sleep_until(task, u64::MAX));
        0
    });
    world.run(|task| {
        let open = || now(fs::open(task, None, "/bin/main", OpenFlags::READ, 0));
        for _ in 3..8 {
            open().unwrap();
        }
        assert_eq!(open(), Err(Errno::Mfile));
        assert_eq!(now(descriptor::dup(task, 0, 8)), Err(Errno::Inval));
        let first = spawn(task, spec("/bin/sleeper", &[])).unwrap();
        let second = spawn(task, spec("/bin/sleeper", &[])).unwrap();
        assert_eq!(spawn(task, spec("/bin/sleeper", &[])), Err(Errno::Again));
        for pid in [first, second] {
            now(signals::kill(task, pid, signal::KILL)).unwrap();
            wait(task, pid).unwrap();
        }
        assert!(spawn(task, spec("/bin/sleeper", &[])).is_ok());
    });
    world.vm.kill_all();
}

#[test]
fn orphans_go_on_and_leave_nothing_behind() {
    let world = World::new();
    world.program("sleeper", |task| {
        let _ = task.blocking(|| eyot_kernel::syscall::clock::sleep_until(task, u64::MAX));
        0
    });
    world.program("parent", |task| {
        spawn(task, spec("/bin/sleeper", &[])).unwrap();
        0
    });
    assert!(world.vm.command("parent").status().unwrap().success());
    let orphan = world.vm.processes().pop().unwrap();
    assert_eq!(orphan.ppid(), 0);
    world.vm.kill_all();
    let deadline = Instant::now() + Duration::from_secs(10);
    while !world.vm.processes().is_empty() {
        assert!(Instant::now() < deadline, "a killed orphan stays in the table");
        std::thread::yield_now();
    }
}

#[test]
fn groups_and_sessions() {
    let world = World::new();
    world.program("sleeper", |task| {
        let _ = task.blocking(|| eyot_kernel::syscall::clock::sleep_until(task, u64::MAX));
        0
    });
    world.run(|task| {
        let own = spawn(task, ProgramSpec { process_group: Some(0), ..spec("/bin/sleeper", &[]) }).unwrap();
        assert_eq!(now(process::getpgid(task, own)), Ok(own));
        let joined = spawn(task, ProgramSpec { process_group: Some(own), ..spec("/bin/sleeper", &[]) }).unwrap();
        assert_eq!(now(process::getpgid(task, joined)), Ok(own));
        assert_eq!(
            spawn(task, ProgramSpec { process_group: Some(9999), ..spec("/bin/sleeper", &[]) }),
            Err(Errno::Perm)
        );
        let session = spawn(task, ProgramSpec { new_session: true, ..spec("/bin/sleeper", &[]) }).unwrap();
        assert_eq!(now(process::getsid(task, session)), Ok(session));
        assert_eq!(now(process::setpgid(task, session, 0)), Err(Errno::Perm));
        assert_eq!(now(process::setsid(task)), Err(Errno::Perm), "a leader of a group");
        now(signals::kill(task, -own, signal::KILL)).unwrap();
        assert_eq!(wait(task, -own).unwrap().unwrap().1, WaitStatus::Signaled(signal::KILL));
        assert_eq!(wait(task, -own).unwrap().unwrap().1, WaitStatus::Signaled(signal::KILL));
        assert_eq!(wait(task, -own), Err(Errno::Child));
        now(signals::kill(task, session, signal::KILL)).unwrap();
    });
}

#[test]
fn dev_and_proc_show_what_they_should() {
    World::new().run(|task| {
        let read = |path: &str| -> Result<Vec<u8>, Errno> {
            let fd = now(fs::open(task, None, path, OpenFlags::READ, 0))?;
            let mut buffer = vec![0; 4096];
            let count = now(descriptor::read(task, fd, &mut buffer));
            now(descriptor::close(task, fd)).unwrap();
            count.map(|count| buffer[..count].to_vec())
        };
        assert_eq!(read("/dev/null").unwrap(), b"");
        assert_eq!(read("/dev/zero").unwrap(), vec![0; 4096]);
        assert_ne!(read("/dev/urandom").unwrap(), read("/dev/random").unwrap());
        assert_eq!(read("/dev/tty"), Err(Errno::Nxio));
        assert_eq!(read("/dev/stdin").unwrap(), b"", "the test's standard input is /dev/null");
        assert_eq!(read("/proc/self/cmdline").unwrap(), b"/bin/main\0");
        let status = String::from_utf8(read("/proc/self/status").unwrap()).unwrap();
        assert!(status.contains(&format!("Pid:\t{}\n", task.pid())), "{status}");
        let stat = String::from_utf8(read("/proc/self/stat").unwrap()).unwrap();
        assert_eq!(stat.split_whitespace().count(), 52, "{stat}");
        assert!(String::from_utf8(read("/proc/mounts").unwrap()).unwrap().contains(" /dev devtmpfs "));
        assert!(String::from_utf8(read("/proc/meminfo").unwrap()).unwrap().starts_with("MemTotal:  "));
        let exe = now(fs::readlink(task, None, "/proc/self/exe", Default::default()));
        assert_eq!(exe.as_deref(), Ok("/bin/main"));
        assert_eq!(read("/proc/999999/stat"), Err(Errno::Noent));
        assert_eq!(now(fs::open(task, None, "/proc/new", OpenFlags::WRITE | OpenFlags::CREATE, 0)), Err(Errno::Acces));
        let full = now(fs::open(task, None, "/dev/full", OpenFlags::WRITE, 0)).unwrap();
        assert_eq!(now(descriptor::write(task, full, b"x")), Err(Errno::Nospc));
        let cut = OpenFlags::WRITE | OpenFlags::CREATE | OpenFlags::TRUNCATE;
        assert!(now(fs::open(task, None, "/dev/null", cut, 0o644)).is_ok(), "as a shell's > opens it");
    });
}

#[test]
fn a_fifo_connects_two_processes() {
    use eyot_kernel::backend::NodeKind;
    let world = World::new();
    world.program("writer", |task| {
        let fd = now(fs::open(task, None, "/tmp/fifo", OpenFlags::WRITE, 0)).unwrap();
        task.blocking(|| descriptor::write(task, fd, b"through")).unwrap();
        0
    });
    world.run(|task| {
        now(fs::make_node(task, None, "/tmp/fifo", NodeKind::Fifo, 0o600, 0)).unwrap();
        let non_blocking = OpenFlags::WRITE | OpenFlags::NON_BLOCKING;
        assert_eq!(now(fs::open(task, None, "/tmp/fifo", non_blocking, 0)), Err(Errno::Nxio));
        let fd = now(fs::open(task, None, "/tmp/fifo", OpenFlags::READ, 0)).unwrap();
        assert!(waits(descriptor::read(task, fd, &mut [0])), "no end before the first writer");
        let writer = spawn(task, spec("/bin/writer", &[])).unwrap();
        let mut buffer = [0; 16];
        let count = task.blocking(|| descriptor::read(task, fd, &mut buffer)).unwrap();
        assert_eq!(&buffer[..count], b"through");
        wait(task, writer).unwrap();
        assert_eq!(now(descriptor::read(task, fd, &mut buffer)), Ok(0));
    });
}

#[test]
fn policy_narrows_what_guests_do() {
    let world = World::with(|builder| {
        builder
            .rule(Rule::new(Verdict::Deny, Action::Write, "/etc"))
            .rule(Rule::new(Verdict::Deny, Action::Read, "/secret"))
            .rule(Rule::new(Verdict::Deny, Action::Execute, "/opt"))
    });
    world.vm.make_dir("/opt", 0o755).unwrap();
    world.vm.make_dir("/secret", 0o755).unwrap();
    world.vm.write_file("/opt/tool", b"#!eyot:native\n", 0o755).unwrap();
    world.vm.write_file("/secret/key", b"k", 0o644).unwrap();
    world.run(|task| {
        assert_eq!(now(fs::mkdir(task, None, "/etc", 0o755)), Err(Errno::Acces));
        assert_eq!(now(fs::open(task, None, "/secret/key", OpenFlags::READ, 0)), Err(Errno::Acces));
        assert_eq!(spawn(task, spec("/opt/tool", &[])), Err(Errno::Acces));
    });
}

#[test]
fn output_is_collected_and_a_deadline_kept() {
    let world = World::new();
    world.program("echo", |task| {
        let mut buffer = [0; 100];
        let count = task.blocking(|| descriptor::read(task, 0, &mut buffer)).unwrap();
        task.blocking(|| descriptor::write(task, 1, &buffer[..count])).unwrap();
        task.blocking(|| descriptor::write(task, 2, b"noise")).unwrap();
        3
    });
    let output = world.vm.command("echo").output_with_input(b"hello").unwrap();
    assert_eq!(
        (output.status, output.stdout, output.stderr),
        (ExitStatus::Exited(3), b"hello".to_vec(), b"noise".to_vec())
    );
    world.program("sleeper", |task| {
        let _ = task.blocking(|| eyot_kernel::syscall::clock::sleep_until(task, u64::MAX));
        0
    });
    let process = world.vm.command("sleeper").spawn().unwrap();
    assert_eq!(process.wait_until(Instant::now() + Duration::from_millis(5)), None);
    process.signal(signal::KILL);
    assert_eq!(process.wait(), ExitStatus::Signaled(signal::KILL));
}
