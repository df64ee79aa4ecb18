//! The VM's shell and tools, against the same lines on Linux.

use eyot_tests::{Eyot, Files};

/// Runs a line in the VM and in the host's bash and compares output and exit code.
#[track_caller]
fn same_as_linux(line: &str) {
    let ours = Eyot::sh(line).run();
    let theirs = std::process::Command::new("bash").args(["-c", line]).current_dir("/tmp").output().unwrap();
    assert_eq!(ours.stdout, String::from_utf8_lossy(&theirs.stdout), "{line}\n{}", ours.stderr);
    assert_eq!(Some(ours.code), theirs.status.code(), "{line}\n{}", ours.stderr);
}

#[test]
fn pipelines() {
    same_as_linux("seq 1000 | sort -n | tail -1");
    same_as_linux("seq 100000 | wc -l");
    same_as_linux("printf 'b\\na\\nc\\n' | sort | head -2 | tr a-z A-Z");
    same_as_linux("yes | head -3");
    same_as_linux("false | true; echo $?; true | false; echo $?");
}

#[test]
fn substitutions_and_variables() {
    same_as_linux("echo $(seq 3 | tr '\\n' ' ')");
    same_as_linux("x=5; echo $((x * 7)) ${x}y \"${x:-0}\" ${y:-none}");
    same_as_linux("for i in a b c; do echo -n $i; done; echo");
    same_as_linux("x=$(false); echo $?");
}

#[test]
fn redirections() {
    same_as_linux("d=$(mktemp -d); echo one > $d/f; echo two >> $d/f; cat < $d/f; rm -r $d");
    same_as_linux("cat <<END\nhere $((1 + 1))\nEND");
    same_as_linux("ls /no/such/dir 2>/dev/null || echo failed");
    same_as_linux("{ echo out; echo err >&2; } 2>&1 | sort");
}

#[test]
fn control_flow() {
    same_as_linux("if echo abc | grep -q b; then echo yes; else echo no; fi");
    same_as_linux("i=0; while [ $i -lt 3 ]; do i=$((i + 1)); echo $i; done");
    same_as_linux("seq 5 | while read n; do echo $((n * n)); done");
    same_as_linux("f() { echo \"$1-$2\"; return 3; }; f a b; echo $?");
    same_as_linux("case hello in h*) echo h;; *) echo other;; esac");
    same_as_linux("(exit 7); echo $?; (cd /; pwd)");
}

#[test]
fn background_jobs() {
    same_as_linux("sleep 0.05 & wait; echo $?");
    same_as_linux("(sleep 0.05; echo late) & echo early; wait");
}

#[test]
fn tools_on_files() {
    same_as_linux("cd $(mktemp -d) && mkdir -p a/b && touch a/b/c && find a | sort");
    same_as_linux("cd $(mktemp -d) && echo x > f && ln -s f l && cat l && readlink l && cp f g && mv g h && ls");
    same_as_linux("cd $(mktemp -d) && seq 20 | split -l 5 && ls && cat x* | wc -l");
    same_as_linux("printf 'a b\\nc d\\n' | sed 's/ /-/' | cut -d- -f2 | paste -s");
    same_as_linux("printf '%s\\n' 3 1 2 | sort | uniq -c | wc -l; echo abc | sha256sum");
    same_as_linux("seq 30 | xargs -n 10 echo");
}

#[test]
fn a_pipeline_over_real_files() {
    let files = Files::new().with("a/x.rs", "1\n2\n").with("b.rs", "3\n").with("c.txt", "4\n");
    let ended =
        Eyot::new(["sh", &files.mount("/src", ":ro"), "-c", "find /src -name '*.rs' | xargs cat | wc -l"]).run();
    assert_eq!(ended.ok().trim(), "3");
}

#[test]
fn programs_without_a_name_in_path_are_127_and_without_permission_126() {
    same_as_linux("no-such-program-anywhere 2>/dev/null; echo $?");
    same_as_linux("cd $(mktemp -d); echo x > f; ./f 2>/dev/null; echo $?");
}
