//! The command's own behaviour: streams, exit codes, signals, options.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use eyot_tests::{Ended, Eyot, Files};

#[track_caller]
fn code(eyot: Eyot, code: i32) -> Ended {
    let ended = eyot.run();
    assert_eq!(ended.code, code, "{ended:?}");
    ended
}

#[test]
fn exit_codes_pass_through() {
    code(Eyot::sh("exit 0"), 0);
    code(Eyot::sh("exit 42"), 42);
    code(Eyot::new(["exec", "false"]), 1);
}

#[test]
fn standard_streams_are_the_hosts() {
    let ended = Eyot::sh("cat; echo oops >&2").input("in\n").run();
    assert_eq!((ended.ok(), ended.stderr.as_str()), ("in\n", "oops\n"));
}

#[test]
fn bytes_are_bytes() {
    let bytes: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
    let sum = Eyot::new(["exec", "cksum"]).input(bytes.clone()).run();
    let file = Files::new().with("bytes", &bytes);
    let here =
        std::process::Command::new("cksum").stdin(std::fs::File::open(file.path("bytes")).unwrap()).output().unwrap();
    let numbers = |text: &str| text.split_whitespace().take(2).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(numbers(sum.ok()), numbers(&String::from_utf8(here.stdout).unwrap()));
}

#[test]
fn a_reader_that_goes_away_ends_the_writer() {
    let mut child = Eyot::sh("yes").spawn();
    let mut some = [0; 4];
    child.stdout.take().unwrap().read_exact(&mut some).unwrap();
    assert_eq!(&some, b"y\ny\n");
    let begun = Instant::now();
    while child.try_wait().unwrap().is_none() {
        assert!(begun.elapsed() < Duration::from_secs(20), "it goes on without a reader");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn output_is_not_held_back() {
    let mut child = Eyot::sh("read line; echo got $line; read line; echo got $line").spawn();
    let mut stdin = child.stdin.take().unwrap();
    let mut stdout = child.stdout.take().unwrap();
    for word in ["one", "two"] {
        writeln!(stdin, "{word}").unwrap();
        let mut line = [0; 8];
        stdout.read_exact(&mut line).unwrap();
        assert_eq!(std::str::from_utf8(&line).unwrap(), format!("got {word}\n"));
    }
    assert!(child.wait().unwrap().success());
}

#[test]
fn signals_reach_the_guest() {
    for (signal, number) in [(rustix::process::Signal::INT, 2), (rustix::process::Signal::TERM, 15)] {
        let mut child = Eyot::sh("echo ready; exec sleep 60").spawn();
        child.stdout.as_mut().unwrap().read_exact(&mut [0; 6]).unwrap();
        std::thread::sleep(Duration::from_millis(100));
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, signal).unwrap();
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            assert!(begun.elapsed() < Duration::from_secs(10), "signal {number} did nothing");
            std::thread::sleep(Duration::from_millis(5));
        };
        assert_eq!(status.code(), Some(128 + number));
    }
}

#[test]
fn the_environment_is_not_the_hosts() {
    let ended = Eyot::new(["exec", "env"]).host_env("SECRET_OF_THE_HOST", "1").run();
    assert!(!ended.ok().contains("SECRET_OF_THE_HOST"), "{ended:?}");
    assert!(ended.stdout.contains("HOME=/home/user\n") && ended.stdout.contains("PATH="), "{ended:?}");
    let ended = Eyot::new(["exec", "--env", "A=b c", "--env", "PASSED", "env"]).host_env("PASSED", "on").run();
    assert!(ended.ok().contains("A=b c\n") && ended.stdout.contains("PASSED=on\n"), "{ended:?}");
}

#[test]
fn the_hosts_files_are_not_there() {
    let ended = Eyot::sh("cat /etc/shadow /proc/1/environ").run();
    assert!(ended.code != 0 && ended.stdout.is_empty(), "{ended:?}");
    let files = Files::new().with("of-the-host", "secret");
    let ended = Eyot::new(["exec", "cat"]).arg(files.path("of-the-host")).run();
    assert!(ended.code != 0 && ended.stdout.is_empty(), "{ended:?}");
}

#[test]
fn the_working_directory_is_an_option() {
    assert_eq!(Eyot::sh("pwd").run().ok(), "/home/user\n");
    assert_eq!(Eyot::new(["sh", "--cwd", "/tmp", "-c", "pwd"]).run().ok(), "/tmp\n");
    Eyot::new(["sh", "--cwd", "/nowhere", "-c", "pwd"]).run().refused(1, "/nowhere");
}

#[test]
fn a_host_directory_can_be_read_and_written() {
    let files = Files::new().with("in", "from the host\n");
    let mount = files.mount("/data", "");
    assert_eq!(
        Eyot::new(["sh", &mount, "-c", "cat /data/in; echo from the guest > /data/out"]).run().ok(),
        "from the host\n"
    );
    assert_eq!(std::fs::read_to_string(files.path("out")).unwrap(), "from the guest\n");
}

#[test]
fn a_read_only_mount_is_read_only() {
    let files = Files::new().with("in", "x");
    let mount = files.mount("/data", ":ro");
    let ended = Eyot::new(["sh", &mount, "-c", "echo y > /data/in; rm /data/in; mkdir /data/d"]).run();
    assert!(ended.code != 0 && ended.stderr.contains("ead-only file system"), "{ended:?}");
    assert_eq!(std::fs::read_to_string(files.path("in")).unwrap(), "x");
}

#[test]
fn a_host_directory_has_no_way_out() {
    let files = Files::new().with("inside/a", "x").with("secret", "secret");
    std::os::unix::fs::symlink("../secret", files.path("inside/up")).unwrap();
    std::os::unix::fs::symlink(files.path("secret"), files.path("inside/absolute")).unwrap();
    let mount = format!("--mount=/data=host:{}", files.text("inside"));
    let ended = Eyot::new(["sh", &mount, "-c", "cat /data/up /data/absolute /data/../secret"]).run();
    assert!(ended.code != 0 && !ended.stdout.contains("secret"), "{ended:?}");
}

#[test]
fn memory_mounts_are_empty_and_apart() {
    let line = "ls -A /a /b; echo x > /a/f; ls /a /b";
    let ended = Eyot::new(["sh", "--mount", "/a=memfs", "--mount", "/b=memfs", "-c", line]).run();
    assert_eq!(ended.ok(), "/a:\n\n/b:\n/a:\nf\n\n/b:\n");
}

#[test]
fn a_timeout_ends_everything() {
    let ended = Eyot::new(["sh", "--timeout", "500ms", "-c", "sleep 60 | sleep 60"]).run();
    ended.refused(124, "500ms");
    assert!(ended.took < Duration::from_secs(10), "{ended:?}");
}

#[test]
fn wrong_command_lines_are_2() {
    for args in [&["frobnicate"][..], &[], &["sh", "--timeout", "soon"], &["run"], &["sh", "--mount", "m=memfs"]] {
        let ended = Eyot::new(args).run();
        assert_eq!(ended.code, 2, "{args:?}: {ended:?}");
        assert!(!ended.stderr.is_empty());
    }
}

#[test]
fn help_has_examples() {
    for args in [&["--help"][..], &["run", "--help"], &["sh", "--help"], &["exec", "--help"]] {
        assert!(Eyot::new(args).run().ok().contains("Examples:"), "{args:?}");
    }
}

#[test]
fn info_says_where_things_are() {
    let ended = Eyot::new(["info", "--json"]).run();
    let info: serde_json::Value = serde_json::from_str(ended.ok()).unwrap();
    assert!(std::path::Path::new(info["home"].as_str().unwrap()).join("base.img").is_file(), "{info}");
}
