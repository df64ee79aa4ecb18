//! WASI 0.1's functions on paths, and directories.

use super::*;

#[test]
fn opening() {
    let vm = vm();
    vm.write_file("/tmp/f", b"abc", 0o644).unwrap();
    run_in(
        &vm,
        r#"
        (expect 44 (call $path_open (i32.const 3) (i32.const 1) (str "tmp/none") (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 16)))
        (expect 20 (call $path_open (i32.const 3) (i32.const 1) (str "tmp/f") (i32.const 5) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 16)))
        (expect 54 (call $path_open (i32.const 3) (i32.const 1) (str "tmp/f") (i32.const 2) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 16)))
        (expect 54 (call $path_open (i32.const 3) (i32.const 1) (str "tmp/f/") (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 16)))
        (expect 31 (call $path_open (i32.const 3) (i32.const 1) (str "tmp") (i32.const 0) (i64.const 66) (i64.const 0) (i32.const 0) (i32.const 16)))
        (expect 28 (call $path_open (i32.const 3) (i32.const 1) (str "tmp") (i32.const 3) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 16)))
        (expect 8 (call $path_open (i32.const 99) (i32.const 1) (str "tmp/f") (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 16)))
        (expect 54 (call $path_open (i32.const 0) (i32.const 1) (str "tmp/f") (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 16)))
        (expect 25 (call $path_open (i32.const 3) (i32.const 1) (str "tmp/\ff") (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 16)))
        (expect 28 (call $path_open (i32.const 3) (i32.const 1) (str "tmp/\00") (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 16)))
        (expect 44 (call $path_open (i32.const 3) (i32.const 1) (str "") (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 16)))
        (expect 21 (call $path_open (i32.const 3) (i32.const 1) (i32.const -1) (i32.const 5) (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 16)))
        (memory.fill (i32.const 0x10000) (i32.const 97) (i32.const 5000))
        (expect 37 (call $path_open (i32.const 3) (i32.const 1) (i32.const 0x10000) (i32.const 5000) (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 16)))
        (expect 21 (call $path_open (i32.const 3) (i32.const 1) (str "tmp/f") (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 262141)))
        ;; nothing was left open by all that
        (expect 0 (call $path_open (i32.const 3) (i32.const 1) (str "./tmp/../tmp//f") (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 16)))
        (expect32 16 4)
        ;; opened for neither reading nor writing
        (expect 0 (call $path_open (i32.const 3) (i32.const 1) (str "tmp/f") (i32.const 0) (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 16)))
        (iov 0 512 4)
        (expect 8 (call $fd_read (i32.const 5) (i32.const 0) (i32.const 1) (i32.const 64)))
        (expect 0 (call $fd_filestat_get (i32.const 5) (i32.const 128))) (expect64 160 3)
        ;; cut to nothing
        (expect 0 (call $path_open (i32.const 3) (i32.const 1) (str "tmp/f") (i32.const 8) (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 16)))
        (expect 0 (call $fd_filestat_get (i32.const 5) (i32.const 128))) (expect64 160 0)"#,
        b"",
    );
}

#[test]
fn nothing_outside_the_directory_is_reached() {
    run(r#"
        (expect 0 (call $path_create_directory (i32.const 3) (str "tmp/d")))
        (expect 0 (call $path_symlink (str "../..") (i32.const 3) (str "tmp/d/up")))
        (expect 0 (call $path_symlink (str "/tmp") (i32.const 3) (str "tmp/d/root")))
        (expect 0 (call $path_open (i32.const 3) (i32.const 1) (str "tmp/d") (i32.const 2) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 16)))
        (expect32 16 4)
        (expect 63 (call $path_filestat_get (i32.const 4) (i32.const 1) (str "..") (i32.const 128)))
        (expect 63 (call $path_filestat_get (i32.const 4) (i32.const 1) (str "/tmp") (i32.const 128)))
        (expect 63 (call $path_filestat_get (i32.const 4) (i32.const 1) (str "up/tmp") (i32.const 128)))
        (expect 63 (call $path_filestat_get (i32.const 4) (i32.const 1) (str "root") (i32.const 128)))
        (expect 63 (call $path_create_directory (i32.const 4) (str "../x")))
        (expect 63 (call $path_create_directory (i32.const 4) (str "root/x")))
        (expect 63 (call $path_unlink_file (i32.const 4) (str "../f")))
        (expect 63 (call $path_remove_directory (i32.const 4) (str "../d")))
        (expect 63 (call $path_symlink (str "x") (i32.const 4) (str "../s")))
        (expect 63 (call $path_rename (i32.const 4) (str "up") (i32.const 4) (str "../x")))
        (expect 63 (call $path_link (i32.const 4) (i32.const 0) (str "up") (i32.const 4) (str "../x")))
        (expect 63 (call $path_readlink (i32.const 4) (str "../d/up") (i32.const 0) (i32.const 8) (i32.const 64)))
        (expect 63 (call $path_filestat_set_times (i32.const 4) (i32.const 1) (str "..") (i64.const 0) (i64.const 0) (i32.const 1)))
        (expect 63 (call $path_open (i32.const 4) (i32.const 1) (str "../f") (i32.const 1) (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 16)))
        ;; the links themselves are there
        (expect 0 (call $path_filestat_get (i32.const 4) (i32.const 0) (str "up") (i32.const 128)))
        (expect 7 (i32.load8_u (i32.const 144)))
        (expect 28 (call $path_filestat_get (i32.const 4) (i32.const 2) (str "up") (i32.const 128)))
        ;; and from the very root lead where they say
        (expect 0 (call $path_filestat_get (i32.const 3) (i32.const 1) (str "tmp/d/root/d") (i32.const 128)))
        (expect 63 (call $path_filestat_get (i32.const 3) (i32.const 1) (str "/tmp") (i32.const 128)))"#);
}

#[test]
fn making_and_taking_away() {
    run(r#"
        (expect 0 (call $path_create_directory (i32.const 3) (str "tmp/d")))
        (expect 20 (call $path_create_directory (i32.const 3) (str "tmp/d")))
        (expect 44 (call $path_create_directory (i32.const 3) (str "no/d")))
        (expect 0 (call $path_create_directory (i32.const 3) (str "tmp/d/e/")))
        (expect 55 (call $path_remove_directory (i32.const 3) (str "tmp/d")))
        (expect 31 (call $path_unlink_file (i32.const 3) (str "tmp/d")))
        (expect 0 (call $path_open (i32.const 3) (i32.const 1) (str "tmp/f") (i32.const 1) (i64.const 66) (i64.const 0) (i32.const 0) (i32.const 16)))
        (expect 54 (call $path_remove_directory (i32.const 3) (str "tmp/f")))
        (expect 54 (call $path_unlink_file (i32.const 3) (str "tmp/f/")))
        (expect 0 (call $path_link (i32.const 3) (i32.const 0) (str "tmp/f") (i32.const 3) (str "tmp/g")))
        (expect 20 (call $path_link (i32.const 3) (i32.const 0) (str "tmp/f") (i32.const 3) (str "tmp/g")))
        (expect 63 (call $path_link (i32.const 3) (i32.const 0) (str "tmp/d") (i32.const 3) (str "tmp/h")))
        (expect 0 (call $fd_filestat_get (i32.const 4) (i32.const 128))) (expect64 152 2)
        (expect 0 (call $path_rename (i32.const 3) (str "tmp/g") (i32.const 3) (str "tmp/d/g")))
        (expect 28 (call $path_rename (i32.const 3) (str "tmp/d") (i32.const 3) (str "tmp/d/e/d")))
        (expect 44 (call $path_rename (i32.const 3) (str "tmp/g") (i32.const 3) (str "tmp/x")))
        (expect 54 (call $path_rename (i32.const 3) (str "tmp/d") (i32.const 3) (str "tmp/f")))
        (expect 0 (call $path_unlink_file (i32.const 3) (str "tmp/d/g")))
        (expect 44 (call $path_unlink_file (i32.const 3) (str "tmp/d/g")))
        (expect 0 (call $path_remove_directory (i32.const 3) (str "tmp/d/e")))
        (expect 0 (call $path_remove_directory (i32.const 3) (str "tmp/d/")))
        (expect 0 (call $fd_filestat_get (i32.const 4) (i32.const 128))) (expect64 152 1)"#);
}

#[test]
fn symlinks() {
    run(r#"
        (expect 0 (call $path_symlink (str "target") (i32.const 3) (str "tmp/link")))
        (expect 20 (call $path_symlink (str "target") (i32.const 3) (str "tmp/link")))
        (expect 44 (call $path_symlink (str "") (i32.const 3) (str "tmp/link2")))
        (expect 0 (call $path_readlink (i32.const 3) (str "tmp/link") (i32.const 512) (i32.const 100) (i32.const 64)))
        (expect32 64 6) (expect32 512 0x67726174)
        (expect 0 (call $path_readlink (i32.const 3) (str "tmp/link") (i32.const 512) (i32.const 3) (i32.const 64)))
        (expect32 64 3)
        (expect 28 (call $path_readlink (i32.const 3) (str "tmp") (i32.const 512) (i32.const 3) (i32.const 64)))
        (expect 44 (call $path_filestat_get (i32.const 3) (i32.const 1) (str "tmp/link") (i32.const 128)))
        (expect 0 (call $path_filestat_get (i32.const 3) (i32.const 0) (str "tmp/link") (i32.const 128)))
        (expect 32 (call $path_open (i32.const 3) (i32.const 0) (str "tmp/link") (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 16)))
        (expect 0 (call $path_open (i32.const 3) (i32.const 1) (str "tmp/link") (i32.const 1) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 16)))
        (expect 0 (call $path_filestat_get (i32.const 3) (i32.const 0) (str "tmp/target") (i32.const 128)))
        (expect 0 (call $path_symlink (str "loop") (i32.const 3) (str "tmp/loop")))
        (expect 32 (call $path_filestat_get (i32.const 3) (i32.const 1) (str "tmp/loop") (i32.const 128)))
        (expect 0 (call $path_filestat_set_times (i32.const 3) (i32.const 0) (str "tmp/link") (i64.const 5) (i64.const 7) (i32.const 5)))
        (expect 0 (call $path_filestat_get (i32.const 3) (i32.const 0) (str "tmp/link") (i32.const 128)))
        (expect64 168 5) (expect64 176 7)
        (expect 0 (call $path_link (i32.const 3) (i32.const 1) (str "tmp/link") (i32.const 3) (str "tmp/hard")))
        (expect 0 (call $path_filestat_get (i32.const 3) (i32.const 0) (str "tmp/hard") (i32.const 128)))
        (expect 4 (i32.load8_u (i32.const 144)))"#);
}

#[test]
fn listing_in_one_go_and_in_pieces() {
    let vm = vm();
    vm.make_dir("/tmp/d", 0o755).unwrap();
    for index in 0..50 {
        vm.write_file(&format!("/tmp/d/file-{index:02}"), b"", 0o644).unwrap();
    }
    // Entries of 24 + 7 bytes; ".": 25, "..": 26.
    run_in(
        &vm,
        r#"
        (expect 0 (call $path_open (i32.const 3) (i32.const 1) (str "tmp/d") (i32.const 2) (i64.const 0x4000) (i64.const 0) (i32.const 0) (i32.const 16)))
        (expect 0 (call $fd_readdir (i32.const 4) (i32.const 1024) (i32.const 8192) (i64.const 0) (i32.const 64)))
        (expect32 64 1601)
        (expect32 1040 1) (expect 46 (i32.load8_u (i32.const 1048)))
        (expect 3 (i32.load8_u (i32.const 1044)))
        ;; the same by pieces that end in the middle of entries
        (local.set $n (i32.const 0))
        (i64.store (i32.const 72) (i64.const 0))
        (block $end (loop $again
          (expect 0 (call $fd_readdir (i32.const 4) (i32.const 16384) (i32.const 60) (i64.load (i32.const 72)) (i32.const 64)))
          (br_if $end (i32.eqz (i32.load (i32.const 64))))
          (i64.store (i32.const 72) (i64.load (i32.const 16384)))
          (local.set $n (i32.add (local.get $n) (i32.const 1)))
          (br $again)))
        (expect 52 (local.get $n))
        (expect 0 (call $fd_readdir (i32.const 4) (i32.const 1024) (i32.const 0) (i64.const 0) (i32.const 64))) (expect32 64 0)
        (expect 0 (call $fd_readdir (i32.const 4) (i32.const 1024) (i32.const 5) (i64.const 0) (i32.const 64))) (expect32 64 5)
        (expect 21 (call $fd_readdir (i32.const 4) (i32.const 262143) (i32.const 2) (i64.const 0) (i32.const 64)))
        (expect 21 (call $fd_readdir (i32.const 4) (i32.const 1024) (i32.const 2) (i64.const 0) (i32.const 262141)))
        (expect 54 (call $fd_readdir (i32.const 0) (i32.const 1024) (i32.const 2) (i64.const 0) (i32.const 64)))
        (expect 54 (call $fd_readdir (i32.const 0) (i32.const 1024) (i32.const 0) (i64.const 0) (i32.const 64)))
        (expect 8 (call $fd_readdir (i32.const 99) (i32.const 1024) (i32.const 2) (i64.const 0) (i32.const 64)))
        (expect 0 (call $fd_readdir (i32.const 4) (i32.const 1024) (i32.const 100) (i64.const -1) (i32.const 64)))"#,
        b"",
    );
}
