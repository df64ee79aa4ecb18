//! What can be mounted: every type from the command line and from a file, and on the host.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use eyot_tests::{Eyot, Files};

fn on_host(dir: &Path, program: &str, args: &[&str]) {
    let status = Command::new(program).args(args).current_dir(dir).status().expect("the host has it");
    assert!(status.success(), "{program} {args:?}");
}

#[test]
fn an_overlay_keeps_changes_in_memory() {
    let files = Files::new().with("kept", "as it was\n").with("dir/inner", "inner\n");
    let mount = format!("--mount=/w=overlay:host:{}", files.path("").display());
    let line = "cd /w && echo changed > kept && rm dir/inner && echo new > dir/new && cat kept && ls dir";
    assert_eq!(Eyot::sh(line).arg(mount).run().ok(), "changed\nnew\n");
    assert_eq!(std::fs::read_to_string(files.path("kept")).unwrap(), "as it was\n");
    assert!(files.path("dir/inner").is_file() && !files.path("dir/new").exists());
}

#[test]
fn an_archive_is_read_in_place() {
    let files = Files::new().with("tree/a", "from the archive\n").with("tree/sub/b", "b\n");
    on_host(&files.path(""), "tar", &["--mode=a+rw", "-czf", "tree.tar.gz", "tree"]);
    let mount = format!("--mount=/a=archive:{}", files.text("tree.tar.gz"));
    let ended = Eyot::sh("cat /a/tree/a && find /a -type f | sort").arg(&mount).run();
    assert_eq!(ended.ok(), "from the archive\n/a/tree/a\n/a/tree/sub/b\n");
    Eyot::sh("echo x > /a/tree/a").arg(&mount).run().refused(1, "Read-only file system");
    let broken = Files::new().with("x.tar", vec![1; 2000]);
    let mount = format!("--mount=/a=archive:{}", broken.text("x.tar"));
    Eyot::sh("true").arg(mount).run().refused(1, "x.tar");
}

#[test]
fn a_database_outlasts_the_vm() {
    let files = Files::new();
    let mount = format!("--mount=/home/user=sqlfs:{}", files.text("home.db"));
    let first = "mkdir -p notes && echo remembered > notes/one && seq 50000 > numbers && ln -s notes/one link";
    Eyot::sh(first).arg(&mount).run().ok();
    assert_eq!(Eyot::sh("cat link && wc -l < numbers").arg(&mount).run().ok(), "remembered\n50000\n");
}

#[test]
fn a_database_is_whole_even_after_a_timeout() {
    let files = Files::new();
    let mount = format!("--mount=/d=sqlfs:{}", files.text("d.db"));
    let ended = Eyot::new(["sh", "--timeout", "2s", "-c", "echo here > /d/f; while :; do :; done"]).arg(&mount);
    // `--mount` after the options and before nothing: the shell's line was given already.
    assert_eq!(ended.run().code, 124);
    assert_eq!(Eyot::sh("cat /d/f").arg(&mount).run().ok(), "here\n");
}

#[test]
fn a_file_describes_a_vm_and_the_command_line_goes_before_it() {
    let files = Files::new().with("data/f", "from the host\n");
    let config = format!(
        "working_directory = \"/work\"\nenv = {{ GREETING = \"hello\" }}\nlimits = {{ processes = 32 }}\n\
         [mounts.\"/work\"]\ntype = \"overlay\"\n\
         [[mounts.\"/work\".layers]]\ntype = \"memfs\"\n\
         [[mounts.\"/work\".layers]]\ntype = \"host\"\nsource = \"{}\"\nread_only = true\n",
        files.text("data")
    );
    let files = files.with("vm.toml", config);
    let file = format!("--config={}", files.text("vm.toml"));
    let ended = Eyot::sh("pwd; echo $GREETING; cat f; echo x > g; ls").arg(&file).run();
    assert_eq!(ended.ok(), "/work\nhello\nfrom the host\nf\ng\n");
    assert!(!files.path("data/g").exists());
    let ended = Eyot::sh("pwd; echo $GREETING").arg(&file).arg("--cwd=/tmp").arg("--env=GREETING=bye").run();
    assert_eq!(ended.ok(), "/tmp\nbye\n");
}

#[test]
fn what_is_wrong_with_a_mount_is_said_before_anything_runs() {
    let files = Files::new().with("vm.toml", "[mounts.\"/m\"]\ntype = \"memfs\"\nsettings = { bytes = 1 }\n");
    Eyot::sh("true")
        .arg(format!("--config={}", files.text("vm.toml")))
        .run()
        .refused(2, "bytes: there is no such setting");
    Eyot::sh("true").arg("--config=no/such/file").run().refused(2, "no/such/file");
    Eyot::sh("true").arg("--mount=/m=memfs,bytes_max=lots").run().refused(2, "bytes_max: lots is not a size");
    Eyot::sh("true").arg("--mount=/m=sqlfs:/no/such/dir/x.db").run().refused(1, "/no/such/dir/x.db");
    Eyot::sh("true").arg("--mount=/m=archive:/no/such.tar").run().refused(1, "/no/such.tar");
    Eyot::new(["mount", "ftp:x", "/tmp"]).run().refused(2, "unknown mount type `ftp`");
    Eyot::new(["mount", "memfs", "/no/such/directory"]).run().refused(1, "/no/such/directory");
}

/// `eyot mount` serves until a signal, and leaves nothing mounted.
#[test]
fn a_filesystem_is_mounted_on_the_host() {
    let root = rustix::process::geteuid().is_root();
    if !root || !Path::new("/dev/fuse").exists() {
        eprintln!("left out: FUSE needs root and /dev/fuse here");
        return;
    }
    let files = Files::new().with("point/.keep", "");
    std::fs::remove_file(files.path("point/.keep")).unwrap();
    let (database, point) = (files.text("f.db"), files.text("point"));
    for round in 0..2 {
        let mut child = Eyot::new(["mount", &format!("sqlfs:{database}"), &point]).spawn();
        let device = |path: &str| rustix::fs::stat(path).unwrap().st_dev;
        let outside = device(&files.text(""));
        let begun = Instant::now();
        while device(&point) == outside {
            assert!(begun.elapsed() < Duration::from_secs(20), "nothing was mounted");
            std::thread::sleep(Duration::from_millis(10));
        }
        if round == 0 {
            std::fs::write(files.path("point/file"), "through FUSE").unwrap();
            on_host(&files.path("point"), "mkdir", &["dir"]);
        } else {
            assert_eq!(std::fs::read_to_string(files.path("point/file")).unwrap(), "through FUSE");
            assert!(files.path("point/dir").is_dir());
        }
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        assert!(child.wait().unwrap().success());
        assert_eq!(device(&point), outside, "it is unmounted");
    }
}
