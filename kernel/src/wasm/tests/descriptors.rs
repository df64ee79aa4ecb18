//! WASI 0.1's functions on descriptors, environment, clocks and randomness.

use super::*;

/// Opens `/tmp/f` for reading and writing, made anew, as descriptor 4 (3 is `/`).
const OPEN: &str = r#"
    (expect 0 (call $path_open (i32.const 3) (i32.const 1) (str "tmp/f") (i32.const 9) (i64.const 0x1fffffff) (i64.const 0) (i32.const 0) (i32.const 16)))
    (expect32 16 4)"#;

fn with_file(body: &str) -> Output {
    run(&format!("{OPEN}\n{body}"))
}

#[test]
fn arguments_and_environment() {
    run(r#"
        (expect 0 (call $args_sizes_get (i32.const 0) (i32.const 4)))
        (expect32 0 2) (expect32 4 14)
        (expect 0 (call $args_get (i32.const 16) (i32.const 64)))
        (expect32 16 64) (expect32 20 74)
        (expect32 74 0x00656e6f)
        (expect 0 (call $environ_sizes_get (i32.const 0) (i32.const 4)))
        (expect32 0 2)
        (expect 0 (call $environ_get (i32.const 16) (i32.const 256)))
        (expect 21 (call $args_get (i32.const 16) (i32.const 262140)))
        (expect 21 (call $args_get (i32.const -2) (i32.const 64)))
        (expect 21 (call $args_sizes_get (i32.const 0) (i32.const 262141)))
        (expect 21 (call $environ_get (i32.const 262143) (i32.const 256)))"#);
}

#[test]
fn clocks() {
    run(r#"
        (expect 0 (call $clock_res_get (i32.const 0) (i32.const 0))) (expect64 0 1000)
        (expect 0 (call $clock_res_get (i32.const 1) (i32.const 0))) (expect64 0 1000)
        (expect 28 (call $clock_res_get (i32.const 2) (i32.const 0)))
        (expect 0 (call $clock_time_get (i32.const 0) (i64.const 1) (i32.const 0)))
        (expect 1 (i64.gt_u (i64.load (i32.const 0)) (i64.const 1700000000000000000)))
        (expect 0 (call $clock_time_get (i32.const 1) (i64.const 1) (i32.const 8)))
        (expect 0 (call $clock_time_get (i32.const 1) (i64.const 1) (i32.const 16)))
        (expect 1 (i64.ge_u (i64.load (i32.const 16)) (i64.load (i32.const 8))))
        (expect 28 (call $clock_time_get (i32.const 3) (i64.const 1) (i32.const 0)))
        (expect 28 (call $clock_time_get (i32.const -1) (i64.const 1) (i32.const 0)))
        (expect 21 (call $clock_time_get (i32.const 1) (i64.const 1) (i32.const 262137)))"#);
}

#[test]
fn randomness_and_yielding() {
    run(r#"
        (expect 0 (call $random_get (i32.const 0) (i32.const 16)))
        (expect 0 (call $random_get (i32.const 16) (i32.const 16)))
        (expect 0 (i64.eq (i64.load (i32.const 0)) (i64.load (i32.const 16))))
        (expect 0 (call $random_get (i32.const 262144) (i32.const 0)))
        (expect 21 (call $random_get (i32.const 262144) (i32.const 1)))
        (expect 21 (call $random_get (i32.const 1) (i32.const -1)))
        (drop (memory.grow (i32.const 64)))
        (expect 0 (call $random_get (i32.const 262144) (i32.const 3145728)))
        (expect 0 (i64.eqz (i64.load (i32.const 3407864))))
        (expect 0 (call $sched_yield))"#);
}

#[test]
fn reading_and_writing_move_the_position() {
    with_file(
        r#"
        (i64.store (i32.const 512) (i64.const 0x6867666564636261))
        (iov 0 512 3) (iov 8 0 0) (iov 16 515 5)
        (expect 0 (call $fd_write (i32.const 4) (i32.const 0) (i32.const 3) (i32.const 64)))
        (expect32 64 8)
        (expect 0 (call $fd_tell (i32.const 4) (i32.const 64))) (expect64 64 8)
        (expect 0 (call $fd_seek (i32.const 4) (i64.const -6) (i32.const 2) (i32.const 64))) (expect64 64 2)
        (iov 0 600 2) (iov 8 602 100)
        (expect 0 (call $fd_read (i32.const 4) (i32.const 0) (i32.const 2) (i32.const 64)))
        (expect32 64 6) (expect32 600 0x66656463)
        (expect 0 (call $fd_read (i32.const 4) (i32.const 0) (i32.const 2) (i32.const 64)))
        (expect32 64 0)
        (expect 0 (call $fd_seek (i32.const 4) (i64.const 100) (i32.const 1) (i32.const 64))) (expect64 64 108)
        (expect 28 (call $fd_seek (i32.const 4) (i64.const -1) (i32.const 0) (i32.const 64)))
        (expect 28 (call $fd_seek (i32.const 4) (i64.const 0) (i32.const 3) (i32.const 64)))
        (expect 21 (call $fd_seek (i32.const 4) (i64.const 0) (i32.const 0) (i32.const 262137)))
        (expect 0 (call $fd_tell (i32.const 4) (i32.const 64))) (expect64 64 108)
        (expect 70 (call $fd_seek (i32.const 0) (i64.const 0) (i32.const 0) (i32.const 64)))
        (expect 8 (call $fd_seek (i32.const 3) (i64.const 0) (i32.const 0) (i32.const 64)))
        (expect 8 (call $fd_tell (i32.const 99) (i32.const 64)))"#,
    );
}

#[test]
fn reading_and_writing_at_an_offset_do_not() {
    with_file(
        r#"
        (i64.store (i32.const 512) (i64.const 0x6867666564636261))
        (iov 0 512 4) (iov 8 516 4)
        (expect 0 (call $fd_pwrite (i32.const 4) (i32.const 0) (i32.const 2) (i64.const 2) (i32.const 64)))
        (expect32 64 8)
        (expect 0 (call $fd_tell (i32.const 4) (i32.const 64))) (expect64 64 0)
        (iov 0 600 1) (iov 8 601 7)
        (expect 0 (call $fd_pread (i32.const 4) (i32.const 0) (i32.const 2) (i64.const 4) (i32.const 64)))
        (expect32 64 6) (expect32 600 0x66656463)
        (expect 28 (call $fd_pread (i32.const 4) (i32.const 0) (i32.const 1) (i64.const -1) (i32.const 64)))
        (expect 70 (call $fd_pread (i32.const 0) (i32.const 0) (i32.const 1) (i64.const 0) (i32.const 64)))
        (expect 70 (call $fd_pwrite (i32.const 1) (i32.const 0) (i32.const 1) (i64.const 0) (i32.const 64)))
        (expect 31 (call $fd_pread (i32.const 3) (i32.const 0) (i32.const 1) (i64.const 0) (i32.const 64)))"#,
    );
}

#[test]
fn vectors_are_checked_before_anything_moves() {
    with_file(
        r#"
        (iov 0 512 3) (iov 8 262143 2)
        (expect 21 (call $fd_write (i32.const 4) (i32.const 0) (i32.const 2) (i32.const 64)))
        (expect 0 (call $fd_tell (i32.const 4) (i32.const 64))) (expect64 64 0)
        (expect 21 (call $fd_write (i32.const 4) (i32.const 0) (i32.const 1) (i32.const 262141)))
        (expect 0 (call $fd_tell (i32.const 4) (i32.const 64))) (expect64 64 0)
        (expect 21 (call $fd_read (i32.const 0) (i32.const 262140) (i32.const 1) (i32.const 64)))
        (expect 28 (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1025) (i32.const 64)))
        (expect 28 (call $fd_write (i32.const 4) (i32.const 0) (i32.const -1) (i32.const 64)))
        (expect 0 (call $fd_write (i32.const 4) (i32.const 0) (i32.const 0) (i32.const 64))) (expect32 64 0)
        (expect 8 (call $fd_write (i32.const 99) (i32.const 0) (i32.const 0) (i32.const 64)))
        (expect 8 (call $fd_write (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 64)))
        (expect 8 (call $fd_read (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 64)))"#,
    );
}

#[test]
fn standard_input_is_read_to_its_end() {
    let body = r#"
        (iov 0 512 1000)
        (loop $again
          (expect 0 (call $fd_read (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 64)))
          (local.set $n (i32.load (i32.const 64)))
          (i32.store (i32.const 8) (i32.const 512)) (i32.store (i32.const 12) (local.get $n))
          (expect 0 (call $fd_write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 64)))
          (br_if $again (local.get $n)))"#;
    let input: Vec<u8> = (0..300_000_u32).map(|n| (n % 251) as u8).collect();
    assert!(run_in(&vm(), body, &input).stdout == input);
}

#[test]
fn state_of_descriptors() {
    with_file(
        r#"
        (expect 0 (call $fd_fdstat_get (i32.const 4) (i32.const 0)))
        (expect 4 (i32.load8_u (i32.const 0)))
        (expect 0 (i32.load16_u (i32.const 2)))
        ;; read, seek, tell, write, allocate, set_size, poll
        (expect 0x84000e6 (i32.and (i32.load (i32.const 8)) (i32.const 0x84000e6)))
        (expect 0 (call $fd_fdstat_set_flags (i32.const 4) (i32.const 5)))
        (expect 0 (call $fd_fdstat_get (i32.const 4) (i32.const 0)))
        (expect 5 (i32.load16_u (i32.const 2)))
        (expect 58 (call $fd_fdstat_set_flags (i32.const 4) (i32.const 2)))
        (expect 28 (call $fd_fdstat_set_flags (i32.const 4) (i32.const 32)))
        (expect 8 (call $fd_fdstat_set_flags (i32.const 3) (i32.const 1)))
        (expect 8 (call $fd_fdstat_set_flags (i32.const 99) (i32.const 1)))
        (expect 0 (call $fd_fdstat_get (i32.const 3) (i32.const 0)))
        (expect 3 (i32.load8_u (i32.const 0)))
        (expect 0 (call $fd_fdstat_get (i32.const 0) (i32.const 0)))
        (expect 0 (i32.load8_u (i32.const 0)))
        ;; a pipe cannot be sought, and the end for reading not be written
        (expect 2 (i32.and (i32.load (i32.const 8)) (i32.const 0x66)))
        (expect 8 (call $fd_fdstat_get (i32.const 99) (i32.const 0)))
        (expect 21 (call $fd_fdstat_get (i32.const 4) (i32.const 262121)))"#,
    );
}

#[test]
fn rights_are_neither_gained_nor_lost() {
    with_file(
        r#"
        (expect 0 (call $fd_fdstat_get (i32.const 4) (i32.const 0)))
        (expect 0 (call $fd_fdstat_set_rights (i32.const 4) (i64.load (i32.const 8)) (i64.load (i32.const 16))))
        (expect 58 (call $fd_fdstat_set_rights (i32.const 4) (i64.const 2) (i64.const 0)))
        (expect 63 (call $fd_fdstat_set_rights (i32.const 4) (i64.const -1) (i64.const 0)))
        (expect 8 (call $fd_fdstat_set_rights (i32.const 99) (i64.const 0) (i64.const 0)))"#,
    );
}

#[test]
fn appending_goes_to_the_end() {
    let vm = vm();
    vm.write_file("/tmp/log", b"old", 0o644).unwrap();
    run_in(
        &vm,
        r#"
        (expect 0 (call $path_open (i32.const 3) (i32.const 1) (str "tmp/log") (i32.const 0) (i64.const 64) (i64.const 0) (i32.const 1) (i32.const 16)))
        (i32.store (i32.const 512) (i32.const 0x77656e2b)) (iov 0 512 4)
        (expect 0 (call $fd_write (i32.const 4) (i32.const 0) (i32.const 1) (i32.const 64)))
        (expect 0 (call $fd_seek (i32.const 4) (i64.const 0) (i32.const 0) (i32.const 64)))
        (expect 0 (call $fd_write (i32.const 4) (i32.const 0) (i32.const 1) (i32.const 64)))
        (expect 8 (call $fd_read (i32.const 4) (i32.const 0) (i32.const 1) (i32.const 64)))"#,
        b"",
    );
    assert_eq!(vm.read_file("/tmp/log").unwrap(), b"old+new+new");
}

#[test]
fn attributes() {
    with_file(
        r#"
        (iov 0 512 100)
        (expect 0 (call $fd_write (i32.const 4) (i32.const 0) (i32.const 1) (i32.const 64)))
        (expect 0 (call $fd_filestat_get (i32.const 4) (i32.const 128)))
        (expect 4 (i32.load8_u (i32.const 144)))
        (expect64 152 1) (expect64 160 100)
        (expect 1 (i64.gt_u (i64.load (i32.const 176)) (i64.const 1700000000000000000)))
        (expect 0 (call $fd_filestat_set_size (i32.const 4) (i64.const 40)))
        (expect 0 (call $fd_filestat_set_times (i32.const 4) (i64.const 1000000007) (i64.const 2000000009) (i32.const 5)))
        (expect 0 (call $fd_filestat_get (i32.const 4) (i32.const 128)))
        (expect64 160 40) (expect64 168 1000000007) (expect64 176 2000000009)
        (expect 0 (call $fd_allocate (i32.const 4) (i64.const 30) (i64.const 30)))
        (expect 0 (call $fd_filestat_get (i32.const 4) (i32.const 128))) (expect64 160 60)
        (expect 0 (call $fd_allocate (i32.const 4) (i64.const 0) (i64.const 10)))
        (expect 0 (call $fd_filestat_get (i32.const 4) (i32.const 128))) (expect64 160 60)
        (expect 28 (call $fd_allocate (i32.const 4) (i64.const 0) (i64.const 0)))
        (expect 22 (call $fd_allocate (i32.const 4) (i64.const -1) (i64.const 5)))
        (expect 22 (call $fd_filestat_set_size (i32.const 4) (i64.const -1)))
        (expect 28 (call $fd_filestat_set_times (i32.const 4) (i64.const 0) (i64.const 0) (i32.const 3)))
        (expect 8 (call $fd_filestat_set_size (i32.const 3) (i64.const 0)))
        (expect 8 (call $fd_allocate (i32.const 3) (i64.const 0) (i64.const 1)))
        (expect 0 (call $fd_filestat_get (i32.const 0) (i32.const 128)))
        (expect 0 (i32.load8_u (i32.const 144)))
        (expect 21 (call $fd_filestat_get (i32.const 4) (i32.const 262081)))
        (expect 0 (call $fd_sync (i32.const 4))) (expect 0 (call $fd_datasync (i32.const 4)))
        (expect 28 (call $fd_sync (i32.const 0))) (expect 8 (call $fd_datasync (i32.const 99)))"#,
    );
}

#[test]
fn advice() {
    with_file(
        r#"
        (expect 0 (call $fd_advise (i32.const 4) (i64.const 0) (i64.const 100) (i32.const 5)))
        (expect 28 (call $fd_advise (i32.const 4) (i64.const 0) (i64.const 100) (i32.const 6)))
        (expect 28 (call $fd_advise (i32.const 4) (i64.const -1) (i64.const 100) (i32.const 0)))
        (expect 70 (call $fd_advise (i32.const 0) (i64.const 0) (i64.const 100) (i32.const 0)))
        (expect 8 (call $fd_advise (i32.const 3) (i64.const 0) (i64.const 100) (i32.const 0)))
        (expect 8 (call $fd_advise (i32.const 99) (i64.const 0) (i64.const 100) (i32.const 0)))"#,
    );
}

#[test]
fn closing_and_renumbering() {
    with_file(
        r#"
        (expect 0 (call $fd_close (i32.const 4)))
        (expect 8 (call $fd_close (i32.const 4)))
        (expect 0 (call $path_open (i32.const 3) (i32.const 1) (str "tmp/f") (i32.const 0) (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 16)))
        (expect32 16 4)
        (expect 0 (call $path_open (i32.const 3) (i32.const 1) (str "tmp/g") (i32.const 1) (i64.const 64) (i64.const 0) (i32.const 0) (i32.const 16)))
        (expect32 16 5)
        (expect 0 (call $fd_renumber (i32.const 5) (i32.const 4)))
        (expect 8 (call $fd_close (i32.const 5)))
        (expect 0 (call $fd_fdstat_get (i32.const 4) (i32.const 0)))
        (expect 64 (i32.and (i32.load (i32.const 8)) (i32.const 66)))
        (expect 0 (call $fd_renumber (i32.const 4) (i32.const 4)))
        (expect 8 (call $fd_renumber (i32.const 4) (i32.const 50)))
        (expect 8 (call $fd_renumber (i32.const 50) (i32.const 4)))
        (expect 8 (call $fd_renumber (i32.const 50) (i32.const 50)))"#,
    );
}

#[test]
fn the_directory_that_a_program_starts_with() {
    run(r#"
        (expect 0 (call $fd_prestat_get (i32.const 3) (i32.const 0)))
        (expect32 0 0) (expect32 4 1)
        (expect 0 (call $fd_prestat_dir_name (i32.const 3) (i32.const 8) (i32.const 1)))
        (expect 47 (i32.load8_u (i32.const 8)))
        (expect 37 (call $fd_prestat_dir_name (i32.const 3) (i32.const 8) (i32.const 0)))
        (expect 8 (call $fd_prestat_get (i32.const 4) (i32.const 0)))
        (expect 8 (call $fd_prestat_dir_name (i32.const 0) (i32.const 8) (i32.const 1)))
        ;; below the directory, an open descriptor that is none answers with a tag that no library knows
        (expect 0 (call $fd_prestat_get (i32.const 0) (i32.const 0)))
        (expect 255 (i32.load (i32.const 0)))"#);
}

#[test]
fn a_file_is_no_socket() {
    with_file(
        r#"
        (expect 57 (call $sock_accept (i32.const 4) (i32.const 0) (i32.const 0)))
        (expect 57 (call $sock_recv (i32.const 4) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
        (expect 57 (call $sock_send (i32.const 4) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)))
        (expect 57 (call $sock_shutdown (i32.const 4) (i32.const 0)))
        (expect 8 (call $sock_shutdown (i32.const 99) (i32.const 0)))"#,
    );
}
