//! What can be mounted: every type from the command line and from a file, and on the host.

use std::path::{Path, PathBuf};
use std::process::{Child, Command};
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

/// `eyot mount` at work on a directory of the host.
struct Mounted {
    child: Child,
    point: PathBuf,
    outside: u64,
}

impl Mounted {
    /// `None` where FUSE cannot be used.
    fn new(files: &Files, args: &[&str], point_last: bool) -> Option<Self> {
        if !rustix::process::geteuid().is_root() || !Path::new("/dev/fuse").exists() {
            eprintln!("left out: FUSE needs root and /dev/fuse here");
            return None;
        }
        let point = files.path("point");
        std::fs::create_dir_all(&point).unwrap();
        let outside = device(&files.path(""));
        let mut eyot = Eyot::new(["mount"]);
        for arg in args {
            eyot = eyot.arg(arg);
        }
        let child = if point_last { eyot.arg(&point) } else { eyot.arg("--vm").arg(&point) }.spawn();
        let mounted = Self { child, point, outside };
        let begun = Instant::now();
        while device(&mounted.point) == outside {
            assert!(begun.elapsed() < Duration::from_secs(20), "nothing was mounted");
            std::thread::sleep(Duration::from_millis(10));
        }
        Some(mounted)
    }

    fn at(&self, path: &str) -> PathBuf {
        self.point.join(path)
    }

    fn text(&self, path: &str) -> String {
        std::fs::read_to_string(self.at(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    /// A signal ends it, and nothing stays mounted.
    fn end(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
        assert!(self.child.wait().unwrap().success());
        assert_eq!(device(&self.point), self.outside, "it is unmounted");
    }
}

impl Drop for Mounted {
    /// A test that failed leaves nothing mounted either.
    fn drop(&mut self) {
        if self.child.try_wait().is_ok_and(|ended| ended.is_none()) {
            let pid = rustix::process::Pid::from_child(&self.child);
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::INT);
            let _ = self.child.wait();
        }
    }
}

fn device(path: &Path) -> u64 {
    rustix::fs::stat(path).unwrap().st_dev
}

/// `eyot mount` serves until a signal, and leaves nothing mounted.
#[test]
fn a_filesystem_is_mounted_on_the_host() {
    let files = Files::new();
    let database = format!("sqlfs:{}", files.text("f.db"));
    for round in 0..2 {
        let Some(mounted) = Mounted::new(&files, &[&database], true) else { return };
        if round == 0 {
            std::fs::write(mounted.at("file"), "through FUSE").unwrap();
            on_host(&mounted.at(""), "mkdir", &["dir"]);
        } else {
            assert_eq!(mounted.text("file"), "through FUSE");
            assert!(mounted.at("dir").is_dir());
        }
        mounted.end();
    }
}

/// The base image, `/dev`, `/proc` and what `--mount` and `--config` name, in one tree.
#[test]
fn a_whole_vm_is_mounted_on_the_host() {
    let files = Files::new().with("shared/note", "from the host\n").with("kept/note", "kept\n");
    let config = "[mounts.\"/srv/config\"]\ntype = \"memfs\"\n";
    let files = files.with("vm.toml", config);
    let (config, database) = (format!("--config={}", files.text("vm.toml")), files.text("home.db"));
    let shared = format!("--mount=/srv/deep/shared=host:{}", files.text("shared"));
    let kept = format!("--mount=/srv/kept=host:{}:ro", files.text("kept"));
    let home = format!("--mount=/home/user=sqlfs:{database}");
    let Some(vm) = Mounted::new(&files, &[&config, &shared, &kept, &home], false) else { return };

    // The VM's own files, and what is mounted inside.
    assert!(vm.at("bin").read_dir().unwrap().count() > 50, "the tools");
    assert_eq!(vm.text("srv/deep/shared/note"), "from the host\n");
    let mut names: Vec<_> = vm.at("srv").read_dir().unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["config", "deep", "kept"]);
    on_host(&vm.at(""), "sh", &["-c", "cd srv/deep/shared && cd ../../.. && test -d srv/kept && test -d proc"]);

    // What is written lands where it belongs.
    std::fs::write(vm.at("srv/deep/shared/new"), "for the host").unwrap();
    assert_eq!(std::fs::read_to_string(files.path("shared/new")).unwrap(), "for the host");
    std::fs::write(vm.at("home/user/durable"), "in the database").unwrap();
    std::fs::write(vm.at("tmp/f"), vec![7; 3 << 20]).unwrap();
    assert_eq!(std::fs::read(vm.at("tmp/f")).unwrap(), vec![7; 3 << 20]);
    let refused = std::fs::write(vm.at("srv/kept/new"), "x").unwrap_err();
    assert_eq!(refused.raw_os_error(), Some(rustix::io::Errno::ROFS.raw_os_error()));

    // Mounts stay mounts: names don't move between them, files are copied.
    let crossed = std::fs::rename(vm.at("tmp/f"), vm.at("srv/config/f")).unwrap_err();
    assert_eq!(crossed.raw_os_error(), Some(rustix::io::Errno::XDEV.raw_os_error()));
    on_host(&vm.at(""), "mv", &["tmp/f", "srv/config/f"]);
    assert_eq!(std::fs::metadata(vm.at("srv/config/f")).unwrap().len(), 3 << 20);
    assert!(std::fs::remove_dir(vm.at("srv/config")).is_err(), "a mount point is in use");

    // Processes and devices are shown as what they are.
    assert!(vm.text("proc/mounts").contains(" /srv/deep/shared "), "{}", vm.text("proc/mounts"));
    assert!(std::fs::write(vm.at("proc/mounts"), "x").is_err());
    let null = rustix::fs::stat(vm.at("dev/null")).unwrap();
    assert!(rustix::fs::FileType::from_raw_mode(null.st_mode).is_char_device());
    assert_eq!((rustix::fs::major(null.st_rdev), rustix::fs::minor(null.st_rdev)), (1, 3));
    vm.end();

    // The VM finds what the host's programs left.
    let read = Eyot::sh("cat durable").arg(&home).run();
    assert_eq!(read.ok(), "in the database");
}
