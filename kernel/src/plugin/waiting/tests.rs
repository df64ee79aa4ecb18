//! Many calls in flight, and components that mean harm.

use std::time::{Duration, Instant};

use eyot_backend::{Errno, Filesystem, RenameFlags};
use eyot_conformance::forge::Bytes;
use eyot_conformance::waiting_forge::WaitingForge;
use wasmtime::{Config, Engine};

use super::admission::CALLS_MAX;
use crate::plugin::{Inspection, PluginConfig, PluginError, PluginFilesystem, PluginHost, PluginMount, World};

/// Waits for ever.
const NEVER: &str = "(i32.or (i32.const 2) (i32.shl (call $set_new) (i32.const 4)))";

fn engine() -> Engine {
    let mut config = Config::new();
    config.epoch_interruption(true);
    Engine::new(&config).unwrap()
}

fn config() -> PluginConfig {
    PluginConfig { waiting_time_max: Duration::from_secs(20), ..PluginConfig::new("test") }
}

fn load(forge: &WaitingForge, config: PluginConfig) -> Result<PluginFilesystem, PluginError> {
    PluginFilesystem::load(&engine(), &forge.build(), config)
}

/// A component whose `unlink` waits 50 ms, whose `rmdir` waits for ever, and that otherwise traps.
fn forge() -> WaitingForge {
    let mut forge = WaitingForge::new();
    forge.waits_for("unlink", 50_000_000).waits("rmdir", NEVER, "unreachable");
    forge
}

/// Calls from so many threads at once; answers what they answered, and how long it took.
fn at_once<T: Send>(count: usize, call: impl Fn(usize) -> T + Sync) -> (Vec<T>, Duration) {
    let start = Instant::now();
    let answers = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..count)
            .map(|index| {
                scope.spawn({
                    let call = &call;
                    move || call(index)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    (answers, start.elapsed())
}

#[test]
fn calls_that_wait_do_not_wait_for_each_other() {
    let fs = load(&forge(), config()).unwrap();
    assert_eq!(fs.info().kind, "forged");
    assert!(fs.may_wait());
    let start = Instant::now();
    assert_eq!(fs.unlink(1, "a"), Ok(()));
    assert!(start.elapsed() >= Duration::from_millis(50));
    let (answers, taken) = at_once(100, |_| fs.unlink(1, "a"));
    assert!(answers.iter().all(|answer| *answer == Ok(())), "{answers:?}");
    assert!(taken < Duration::from_millis(2500), "100 calls of 50 ms each took {taken:?}");
}

#[test]
fn more_calls_than_there_are_places_are_all_answered() {
    let fs = load(&forge(), config()).unwrap();
    let (answers, _) = at_once(CALLS_MAX + 50, |_| fs.unlink(1, "a"));
    assert!(answers.iter().all(|answer| *answer == Ok(())), "{answers:?}");
}

#[test]
fn a_call_that_is_never_answered_times_out_alone() {
    let config = PluginConfig { waiting_time_max: Duration::from_millis(700), ..config() };
    let fs = load(&forge(), config).unwrap();
    std::thread::scope(|scope| {
        let never = scope.spawn(|| {
            let start = Instant::now();
            (fs.rmdir(1, "a"), start.elapsed())
        });
        for _ in 0..5 {
            assert_eq!(fs.unlink(1, "a"), Ok(()));
        }
        let (answer, taken) = never.join().unwrap();
        assert_eq!(answer, Err(Errno::Timedout));
        assert!(taken >= Duration::from_millis(700), "{taken:?}");
    });
    assert!(!fs.is_retired());
    assert_eq!(fs.unlink(1, "a"), Ok(()));
}

#[test]
fn an_instance_that_answers_nothing_any_more_is_retired() {
    let config = PluginConfig { waiting_time_max: Duration::from_millis(300), ..config() };
    let fs = load(&forge(), config).unwrap();
    let (answers, _) = at_once(CALLS_MAX / 2 - 1, |_| fs.rmdir(1, "a"));
    assert!(answers.iter().all(|answer| *answer == Err(Errno::Timedout)), "{answers:?}");
    assert!(!fs.is_retired(), "there are places left");
    assert_eq!(fs.rmdir(1, "a"), Err(Errno::Timedout));
    assert_eq!(fs.unlink(1, "a"), Err(Errno::Io));
    assert!(fs.is_retired());
}

#[test]
fn a_trap_wakes_all_who_wait_and_nobody_else_notices() {
    let engine = engine();
    let bytes = forge().build();
    let start = || PluginFilesystem::load(&engine, &bytes, config()).unwrap();
    let (fs, other) = (start(), start());
    let (answers, taken) = at_once(50, |index| {
        if index == 0 {
            std::thread::sleep(Duration::from_millis(300));
            return fs.statfs().err();
        }
        fs.rmdir(1, "a").err()
    });
    assert!(answers.iter().all(|answer| *answer == Some(Errno::Io)), "{answers:?}");
    assert!(taken < Duration::from_secs(15), "{taken:?}");
    assert!(fs.is_retired());
    assert_eq!(fs.unlink(1, "a"), Err(Errno::Io));
    assert_eq!(other.unlink(1, "a"), Ok(()));
    assert!(!other.is_retired());
}

#[test]
fn one_that_computes_without_end_is_retired() {
    let spin = "(loop br 0) unreachable";
    // Yields (1) each time, and goes on at once: it is never long at work.
    let yields = "(i32.const 1)";
    for (forge, what) in [
        (WaitingForge::new().body("rmdir", spin), "a loop"),
        (WaitingForge::new().waits("rmdir", spin, "unreachable"), "a loop in what begins"),
        (WaitingForge::new().waits("rmdir", yields, yields), "a loop of yields"),
        (WaitingForge::new().waits("rmdir", yields, spin), "a loop after a yield"),
    ] {
        forge.waits_for("unlink", 1_000_000_000_000);
        let config = PluginConfig { call_time_max: Duration::from_millis(300), ..config() };
        let fs = load(forge, config).unwrap();
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| fs.unlink(1, "a"));
            std::thread::sleep(Duration::from_millis(50));
            assert_eq!(fs.rmdir(1, "a"), Err(Errno::Io), "{what}");
            assert_eq!(waits.join().unwrap(), Err(Errno::Io), "{what}");
        });
        assert!(fs.is_retired(), "{what}");
    }
}

#[test]
fn computing_for_long_is_no_crime_when_it_comes_to_an_end() {
    let mut forge = WaitingForge::new();
    let count = "(local $i i32)
        (loop (br_if 0 (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 40000000))))
        (call $return (i32.const 0) (i32.const 0)) (i32.const 0)";
    forge.waits("unlink", count, "unreachable");
    let fs = load(&forge, config()).unwrap();
    let (answers, _) = at_once(20, |_| fs.unlink(1, "a"));
    assert!(answers.iter().all(|answer| *answer == Ok(())), "{answers:?}");
    assert!(!fs.is_retired());
}

#[test]
fn a_start_that_fails_is_told() {
    let refusal = |forge: &mut WaitingForge| {
        let text = forge.put(&Bytes(b"endpoint: nobody\x07 answers there".to_vec()));
        let refusal = Bytes::default().u8(1).align(8).u8(6).u32(text).u32(31);
        forge.answer("info", &refusal);
    };
    let mut forge = WaitingForge::new();
    refusal(&mut forge);
    let error = load(&forge, config()).err().unwrap();
    let PluginError::Refused { errno: Errno::Acces, message, .. } = error else { panic!("{error}") };
    assert_eq!(message, "endpoint: nobody answers there");
    let spin = "(loop br 0) unreachable";
    let short = || PluginConfig {
        call_time_max: Duration::from_millis(200),
        waiting_time_max: Duration::from_millis(900),
        ..config()
    };
    for forge in [
        WaitingForge::new().body("info", "unreachable"),
        WaitingForge::new().body("info", spin),
        WaitingForge::new().waits("info", NEVER, "unreachable"),
        WaitingForge::new().waits("info", "(i32.const 1)", "(i32.const 1)"),
    ] {
        let error = load(forge, short()).err().unwrap();
        assert!(matches!(error, PluginError::Start { .. }), "{error}");
    }
    let with = PluginConfig { settings: vec![("a".into(), "b".into())], ..config() };
    assert!(matches!(load(&WaitingForge::new(), with), Err(PluginError::NoSettings { .. })));
}

#[test]
fn what_it_answers_is_checked() {
    let mut forge = WaitingForge::new();
    let more = forge.put(&Bytes(vec![7; 16]));
    forge.answer("read", &Bytes::default().u8(0).align(4).u32(more).u32(16));
    forge.answer("write", &Bytes::default().u8(0).align(4).u32(0));
    forge.answer("getattr", &Bytes::default().u8(0).align(8).attributes(2, 1, 0o755));
    forge.answer("rename", &Bytes::default().u8(1).u8(8));
    let fs = load(&forge, config()).unwrap();
    let mut buffer = [0; 16];
    assert_eq!(fs.read(2, 0, 0, &mut buffer), Ok(16));
    assert_eq!(buffer, [7; 16]);
    assert_eq!(fs.read(2, 0, 0, &mut [0; 8]), Err(Errno::Io), "more than was asked for");
    assert_eq!(fs.write(2, 0, 0, b"bytes"), Err(Errno::Io), "nothing written, and no error");
    assert_eq!(fs.getattr(2).map(|found| found.mode), Ok(0o755));
    assert_eq!(fs.getattr(1), Err(Errno::Io), "another node");
    assert_eq!(fs.rename(1, "a", 1, "b", RenameFlags::empty()), Err(Errno::Exist));
    assert!(!fs.is_retired());
}

#[test]
fn a_mount_counts_and_starts_again() {
    let engine = engine();
    let mut forge = forge();
    forge.answer("getattr", &Bytes::default().u8(0).align(8).attributes(1, 1, 0o755));
    let bytes = forge.build();
    let start = move || PluginFilesystem::load(&engine, &bytes, config());
    let mount = PluginMount::new("test", start().unwrap(), Some(std::sync::Arc::new(start)));
    assert_eq!(mount.unlink(1, "a"), Ok(()));
    assert_eq!(mount.statfs().err(), Some(Errno::Io));
    assert!(mount.is_retired());
    assert_eq!(mount.unlink(1, "a"), Ok(()), "another instance");
    let metrics = mount.metrics();
    assert_eq!((metrics.retirements, metrics.restarts), (1, 1));
}

#[test]
fn it_is_known_by_its_exports() {
    let host = PluginHost::new(None).unwrap();
    let component = host.compile(&forge().build(), "test").unwrap();
    let inspection = Inspection::of(&component, &config());
    assert_eq!(inspection.worlds, [World::AsyncFilesystem]);
    assert!(
        inspection.imports.iter().any(|import| import.interface.name.starts_with("wasi:clocks/monotonic-clock@0.3"))
    );
    assert!(inspection.imports.iter().all(|import| import.grant == crate::plugin::Grant::ByDefault), "{inspection:?}");
    assert_eq!(inspection.info.unwrap().unwrap().kind, "forged");
}
