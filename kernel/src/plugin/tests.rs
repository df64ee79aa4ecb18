//! Components that mean harm.

use std::time::{Duration, Instant};

use eyot_backend::{AttributeChanges, Errno, Filesystem, NodeKind, OpenFlags, Ownership, RenameFlags};
use eyot_conformance::forge::{Bytes, Forge};
use wasmtime::{Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig};

use super::{PluginConfig, PluginError, PluginFilesystem};

const OWNER: Ownership = Ownership { mode: 0o644, uid: 0, gid: 0 };

pub(super) fn engine(pooling: bool) -> Engine {
    let mut config = Config::new();
    config.epoch_interruption(true);
    config.concurrency_support(false);
    if pooling {
        let mut pool = PoolingAllocationConfig::default();
        pool.total_component_instances(8).total_core_instances(16).total_memories(16).total_tables(16);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    }
    Engine::new(&config).unwrap()
}

fn load(bytes: &[u8]) -> Result<PluginFilesystem, PluginError> {
    PluginFilesystem::load(&engine(false), bytes, PluginConfig::new("test"))
}

fn refused(bytes: &[u8]) -> String {
    load(bytes).err().expect("it must be refused").to_string()
}

/// A call, and the error that it answered.
type Call = fn(&dyn Filesystem) -> Option<Errno>;

/// Every function of the trait that can answer an error.
const CALLS: &[(&str, Call)] = &[
    ("lookup", |fs| fs.lookup(1, "a").err()),
    ("getattr", |fs| fs.getattr(1).err()),
    ("setattr", |fs| fs.setattr(1, &AttributeChanges::default()).err()),
    ("create", |fs| fs.create(1, "a", OWNER).err()),
    ("mkdir", |fs| fs.mkdir(1, "a", OWNER).err()),
    ("symlink", |fs| fs.symlink(1, "a", "b", OWNER).err()),
    ("make-node", |fs| fs.make_node(1, "a", NodeKind::Fifo, 0, OWNER).err()),
    ("link", |fs| fs.link(2, 1, "a").err()),
    ("unlink", |fs| fs.unlink(1, "a").err()),
    ("rmdir", |fs| fs.rmdir(1, "a").err()),
    ("rename", |fs| fs.rename(1, "a", 1, "b", RenameFlags::empty()).err()),
    ("readlink", |fs| fs.readlink(2).err()),
    ("open", |fs| fs.open(2, OpenFlags::READ).err()),
    ("read", |fs| fs.read(2, 0, 0, &mut [0; 8]).err()),
    ("write", |fs| fs.write(2, 0, 0, b"bytes").err()),
    ("fsync", |fs| fs.fsync(2, 0, false).err()),
    ("readdir", |fs| fs.readdir(1, 0, 10).err()),
    ("statfs", |fs| fs.statfs().err()),
    ("getxattr", |fs| fs.getxattr(1, "user.a").err()),
    ("setxattr", |fs| fs.setxattr(1, "user.a", b"").err()),
    ("listxattr", |fs| fs.listxattr(1).err()),
    ("removexattr", |fs| fs.removexattr(1, "user.a").err()),
];

fn every_call(fs: &dyn Filesystem) -> Vec<(&'static str, Option<Errno>)> {
    CALLS.iter().map(|(name, call)| (*name, call(fs))).collect()
}

#[test]
fn a_trap_in_any_call_is_eio_and_the_end_of_that_instance_only() {
    let bytes = Forge::new().build();
    for pooling in [false, true] {
        let engine = engine(pooling);
        let start = || PluginFilesystem::load(&engine, &bytes, PluginConfig::new("test")).unwrap();
        let other = start();
        let silent = start();
        silent.forget(1, 1);
        assert!(silent.is_retired(), "a trap where nothing can be answered retires, too");
        assert!(every_call(&silent).iter().all(|(_, errno)| *errno == Some(Errno::Io)));
        drop(silent);
        for call in CALLS {
            let fs = start();
            assert_eq!((call.1)(&fs), Some(Errno::Io), "{}", call.0);
            assert!(fs.is_retired(), "{}", call.0);
            assert_eq!(fs.info().kind, "forged");
        }
        assert!(!other.is_retired(), "another instance does not notice");
    }
}

#[test]
fn a_call_that_does_not_end_is_given_up() {
    let bytes = Forge::new().body("getattr", "(loop br 0) unreachable").build();
    let engine = engine(false);
    let config = PluginConfig { call_time_max: Duration::from_millis(50), ..PluginConfig::new("test") };
    let fs = PluginFilesystem::load(&engine, &bytes, config).unwrap();
    let start = Instant::now();
    assert_eq!(fs.getattr(1), Err(Errno::Io));
    assert!((Duration::from_millis(50)..Duration::from_secs(5)).contains(&start.elapsed()), "{:?}", start.elapsed());
    assert!(fs.is_retired());
    assert_eq!(fs.getattr(1), Err(Errno::Io));
}

#[test]
fn a_start_that_does_not_end_is_given_up() {
    let bytes = Forge::new().body("info", "(loop br 0) unreachable").build();
    let engine = engine(false);
    let refused = PluginFilesystem::load(&engine, &bytes, PluginConfig::new("test")).err().unwrap();
    assert!(matches!(refused, PluginError::Start { .. }), "{refused}");
}

#[test]
fn memory_ends_at_its_limit() {
    // Answers (unlink succeeds) when 16 MiB more were refused and a page was granted, and traps otherwise.
    let at = "(if (i32.ne (memory.grow (i32.const 256)) (i32.const -1)) (then unreachable))
              (if (i32.eq (memory.grow (i32.const 1)) (i32.const -1)) (then unreachable))";
    let mut forge = Forge::new();
    let ok = forge.put(&Bytes::default().u8(0).u8(0));
    let bytes = forge.body("unlink", &format!("{at} (i32.const {ok})")).build();
    let config = PluginConfig { memory_bytes_max: 8 << 20, ..PluginConfig::new("test") };
    let fs = PluginFilesystem::load(&engine(false), &bytes, config).unwrap();
    assert_eq!(fs.unlink(1, "a"), Ok(()));
    let config = PluginConfig { memory_bytes_max: 64 << 10, ..PluginConfig::new("test") };
    let refused = PluginFilesystem::load(&engine(false), &bytes, config).err().unwrap().to_string();
    assert!(refused.contains("failed when it was started"), "{refused}");
}

/// Epochs that pass do not end a call that is short: what counts is time.
#[test]
fn a_call_outlives_many_epochs() {
    let ok = Bytes::default().u8(0).u8(0);
    let mut forge = Forge::new();
    let at = forge.put(&ok);
    let spin = format!(
        "(local $i i32) (loop (br_if 0 (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 100000000)))) (i32.const {at})"
    );
    let engine = engine(false);
    let fs = PluginFilesystem::load(&engine, &forge.body("unlink", &spin).build(), PluginConfig::new("test")).unwrap();
    std::thread::scope(|scope| {
        let call = scope.spawn(|| fs.unlink(1, "a"));
        while !call.is_finished() {
            engine.increment_epoch();
            std::thread::yield_now();
        }
        assert_eq!(call.join().unwrap(), Ok(()));
    });
}

/// A lie is an error of that call; the component goes on.
#[test]
fn an_answer_that_cannot_be_true_is_eio() {
    let ok = || Bytes::default().u8(0);
    let mut forge = Forge::new();
    let slash = forge.put(&Bytes(b"a/b".to_vec()));
    let dots = forge.put(&Bytes(b"..".to_vec()));
    let name = forge.put(&Bytes(b"name".to_vec()));
    let entry = |name: u32, length: u32, cookie: u64| {
        Bytes::default().u32(name).u32(length).u64(cookie).attributes(5, 0, 0o644)
    };
    let slash = forge.put(&entry(slash, 3, 1));
    let dots = forge.put(&entry(dots, 2, 1));
    let zero = forge.put(&entry(name, 4, 0));
    let good = forge.put(&entry(name, 4, 9));

    let getattr: Call = |fs| fs.getattr(1).err();
    let readdir: Call = |fs| fs.readdir(1, 0, 1).err();
    let cases: Vec<(&str, &str, Bytes, Call)> = vec![
        ("node 0", "lookup", ok().attributes(0, 0, 0o644), |fs| fs.lookup(1, "a").err()),
        ("another node", "getattr", ok().attributes(2, 1, 0o755), getattr),
        ("a mode with a kind", "getattr", ok().attributes(1, 1, 0o40755), getattr),
        ("a directory for a file", "create", ok().attributes(2, 1, 0o644), |fs| fs.create(1, "a", OWNER).err()),
        ("a file for a directory", "mkdir", ok().attributes(2, 0, 0o644), |fs| fs.mkdir(1, "a", OWNER).err()),
        ("a link to something else", "link", ok().attributes(3, 0, 0o644), |fs| fs.link(2, 1, "a").err()),
        ("too many bytes", "read", ok().u32(4096).u32(9), |fs| fs.read(2, 0, 0, &mut [0; 8]).err()),
        ("more written than given", "write", ok().u32(6), |fs| fs.write(2, 0, 0, b"bytes").err()),
        ("nothing written", "write", ok().u32(0), |fs| fs.write(2, 0, 0, b"bytes").err()),
        ("a name with a slash", "readdir", ok().u32(slash).u32(1), readdir),
        ("a name ..", "readdir", ok().u32(dots).u32(1), readdir),
        ("cookie 0", "readdir", ok().u32(zero).u32(1), readdir),
        ("too many entries", "readdir", ok().u32(good).u32(1), |fs| fs.readdir(1, 0, 0).err()),
        ("a listing that turns in a circle", "readdir", ok().u32(good).u32(1), |fs| fs.readdir(1, 9, 10).err()),
        ("an empty target", "readlink", ok().u32(4096).u32(0), |fs| fs.readlink(2).err()),
        ("a target with a NUL", "readlink", ok().u32(2048).u32(4), |fs| fs.readlink(2).err()),
        ("more free than there is", "statfs", ok().align(8).u32(4096).u64(10).u64(11).u64(1).u64(1).u32(255), |fs| {
            fs.statfs().err()
        }),
    ];
    for (lie, function, answer, call) in cases {
        forge.answer(function, &answer);
        forge.answer("fsync", &ok().u8(0));
        let fs = load(&forge.build()).unwrap();
        assert_eq!(call(&fs), Some(Errno::Io), "{lie}");
        assert!(!fs.is_retired(), "{lie}: it is a false answer, not a trap");
        assert_eq!(fs.fsync(2, 0, true), Ok(()));
    }
    // The same entry, asked for as it should be.
    forge.answer("readdir", &ok().u32(good).u32(1));
    let entries = load(&forge.build()).unwrap().readdir(1, 0, 10).unwrap();
    assert_eq!((entries[0].name.as_str(), entries[0].cookie, entries[0].attributes.node), ("name", 9, 5));
}

#[test]
fn a_breach_of_the_abi_retires() {
    let far = Bytes::default().u8(0).u32(0xffff_0000).u32(4);
    let fs = load(&Forge::new().answer("readlink", &far).build()).unwrap();
    assert_eq!(fs.readlink(2), Err(Errno::Io));
    assert!(fs.is_retired());
    let unknown = Bytes::default().u8(1).u8(200);
    let fs = load(&Forge::new().answer("unlink", &unknown).build()).unwrap();
    assert_eq!(fs.unlink(1, "a"), Err(Errno::Io));
    assert!(fs.is_retired());
}

#[test]
fn errors_are_passed_on() {
    let error = |number| Bytes::default().u8(1).u8(number);
    for (number, errno) in [(0, Errno::Perm), (1, Errno::Noent), (15, Errno::Nospc), (30, Errno::Dquot)] {
        let fs = load(&Forge::new().answer("unlink", &error(number)).build()).unwrap();
        assert_eq!(fs.unlink(1, "a"), Err(errno));
        assert!(!fs.is_retired());
    }
}

#[test]
fn what_is_no_backend_is_refused_with_its_reason() {
    let good = Forge::new().build();
    assert!(refused(b"").contains("cannot be loaded as a component"));
    assert!(refused(&good[..good.len() / 2]).contains("cannot be loaded as a component"));
    assert!(refused(b"\0asm\x01\0\0\0").contains("cannot be loaded as a component"));
    let component = |text: &str| wat::parse_str(text).unwrap();
    let empty = refused(&component("(component)"));
    assert!(empty.contains("does not export eyot:backend/filesystem@0.1.0"), "{empty}");
    let greedy = component(
        "(component
            (import \"wasi:cli/environment@0.2.0\" (instance))
            (import \"wasi:http/types@0.2.0\" (instance))
            (import \"wasi:cli/environment@0.3.0\" (instance))
            (import \"eyot:backend/clock@0.1.0\" (instance))
            (import \"eyot:backend/layers@0.1.0\" (instance)))",
    );
    let greedy = refused(&greedy);
    let expected = "test imports what nobody serves: wasi:http/types@0.2.0, wasi:cli/environment@0.3.0; \
                    imports eyot:backend/filesystem, the filesystems below it, and was granted none: give it layers";
    assert!(greedy.starts_with(expected), "{greedy}");
    let partial = component("(component (instance $i) (export \"eyot:backend/filesystem@0.1.0\" (instance $i)))");
    assert!(refused(&partial).contains("has no function info"));
}

#[test]
fn what_it_says_of_itself_is_checked() {
    let mut forge = Forge::new();
    let kind = forge.put(&Bytes(b"a b".to_vec()));
    let info = |root: u64, kind: u32| Bytes::default().u64(root).u16(0).u64(0).u64(0).u32(kind).u32(3);
    assert!(refused(&forge.answer("info", &info(0, 4096)).build()).contains("its root is node 0"));
    assert!(refused(&forge.answer("info", &info(1, kind)).build()).contains("kind is not a short name"));
}

#[test]
fn settings_need_someone_to_take_them() {
    let mut config = PluginConfig::new("test");
    config.settings = vec![("key".into(), "value".into())];
    let refused = PluginFilesystem::load(&engine(false), &Forge::new().build(), config).err().unwrap();
    assert_eq!(refused.to_string(), "test takes no settings: it does not export eyot:backend/mount");
}

/// `read` gives `given` bytes of the component's memory and then returns `returned` more.
fn giver(given: u32, returned: u32) -> PluginFilesystem {
    let mut forge = Forge::new();
    let bytes = forge.put(&Bytes(b"0123456789".to_vec()));
    let answer = forge.put(&Bytes::default().u8(0).align(4).u32(bytes + given).u32(returned));
    forge.body("read", &format!("(call $give (i32.const {bytes}) (i32.const {given})) (i32.const {answer})"));
    forge.body("release", "(call $give (i32.const 0) (i32.const 1))");
    load(&forge.build()).unwrap()
}

#[test]
fn what_is_given_comes_before_what_is_returned() {
    for (given, returned) in [(0, 10), (10, 0), (4, 6), (3, 2)] {
        let mut buffer = [b'-'; 10];
        let fs = giver(given, returned);
        assert_eq!(fs.read(2, 0, 0, &mut buffer), Ok((given + returned) as usize));
        let read = buffer.iter().take_while(|byte| **byte != b'-').count();
        assert_eq!(&buffer[..read], &b"0123456789"[..(given + returned) as usize]);
    }
}

#[test]
fn more_than_was_asked_for_is_refused_however_it_comes() {
    let mut buffer = [b'-'; 4];
    let fs = giver(5, 0);
    assert_eq!(fs.read(2, 0, 0, &mut buffer), Err(Errno::Io));
    assert_eq!(&buffer, b"----", "nothing beyond the buffer, and nothing in it");
    assert!(fs.is_retired(), "giving too much traps");
    let fs = giver(3, 2);
    assert_eq!(fs.read(2, 0, 0, &mut buffer), Err(Errno::Io));
    assert!(!fs.is_retired(), "returning too much is an answer that cannot be true");
    assert_eq!(fs.read(2, 0, 0, &mut [0; 5]), Ok(5));
}

#[test]
fn bytes_outside_of_a_read_end_the_instance() {
    let fs = giver(2, 0);
    assert_eq!(fs.read(2, 0, 0, &mut [0; 4]), Ok(2));
    fs.release(2, 0);
    assert!(fs.is_retired());
}

#[test]
fn a_backend_that_fails_is_started_again_with_growing_waits() {
    let engine = engine(false);
    let broken = Forge::new().build();
    let mut forge = Forge::new();
    forge.answer("getattr", &Bytes::default().u8(0).align(8).attributes(1, 1, 0o755));
    let sound = forge.build();
    let starts = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = starts.clone();
    let starter: super::Starter = std::sync::Arc::new(move || {
        let attempt = count.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        // The first attempt starts something that is broken, too.
        let bytes = if attempt == 0 { &broken } else { &sound };
        PluginFilesystem::load(&engine, bytes, PluginConfig::new("test"))
    });
    let mount = super::PluginMount::new("test", load(&Forge::new().build()).unwrap(), Some(starter));
    let root = mount.info().root;
    assert_eq!(mount.getattr(root).err(), Some(Errno::Io));
    assert_eq!(mount.metrics().retirements, 1);
    let start = Instant::now();
    while mount.getattr(root).is_err() {
        assert!(start.elapsed() < Duration::from_secs(10), "it never came back");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(start.elapsed() >= Duration::from_millis(80), "the second attempt waited");
    assert_eq!(starts.load(std::sync::atomic::Ordering::Relaxed), 2);
    assert_eq!(mount.metrics().restarts, 1);
    let alone = super::PluginMount::new("test", load(&Forge::new().build()).unwrap(), None);
    assert_eq!(alone.getattr(1).err(), Some(Errno::Io));
    assert!(alone.is_retired() && alone.getattr(1).is_err(), "nobody said how to start it again");
}
