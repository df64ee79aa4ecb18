//! Components that were granted something: layers, and captures of what is given.

use std::sync::Arc;
use std::time::Duration;

use eyot_backend::{Errno, Filesystem, Node, Ownership, wrap_filesystem};
use eyot_conformance::forge::{Bytes, Forge};
use eyot_memfs::Memfs;
use wasmtime::component::Component;

use super::tests::engine;
use super::{Grant, Inspection, PluginConfig, PluginError, PluginFilesystem, PluginHost, World};

const OWNER: Ownership = Ownership { mode: 0o644, uid: 0, gid: 0 };

fn config(layers: &[Arc<dyn Filesystem>]) -> PluginConfig {
    PluginConfig { layers: layers.to_vec(), ..PluginConfig::new("test") }
}

fn start(forge: &Forge, layers: &[Arc<dyn Filesystem>]) -> Result<PluginFilesystem, PluginError> {
    PluginFilesystem::load(&engine(false), &forge.build(), config(layers))
}

fn memfs() -> Arc<dyn Filesystem> {
    Arc::new(Memfs::new())
}

/// A component that only passes calls on does what is below it does.
#[test]
fn a_layer_conforms_as_what_it_stands_on() {
    let component = Component::from_binary(&engine(false), &Forge::layer().build()).unwrap();
    let ran = eyot_conformance::run(|| Arc::new(PluginFilesystem::start(&component, config(&[memfs()])).unwrap()));
    assert_eq!(ran, eyot_conformance::checks().len(), "memfs offers everything");
}

/// Layers are components, too: each below the first has a stack of its own.
#[test]
fn layers_may_lie_in_each_other() {
    let component = Component::from_binary(&engine(false), &Forge::layer().build()).unwrap();
    let mut fs = memfs();
    for _ in 0..6 {
        fs = Arc::new(PluginFilesystem::start(&component, config(&[fs])).unwrap());
    }
    let root = fs.info().root;
    let file = fs.create(root, "f", OWNER).unwrap().node;
    let handle = fs.open(file, eyot_backend::OpenFlags::READ | eyot_backend::OpenFlags::WRITE).unwrap();
    assert_eq!(fs.write(file, handle, 0, b"through six components"), Ok(22));
    let mut buffer = [0; 30];
    assert_eq!(fs.read(file, handle, 8, &mut buffer), Ok(14));
    assert_eq!(&buffer[..14], b"six components");
    assert_eq!(fs.sync(), Ok(()));
}

#[test]
fn a_layer_that_is_granted_nothing_is_refused_with_what_to_do() {
    let refused = start(&Forge::layer(), &[]).err().unwrap();
    assert!(matches!(refused, PluginError::Imports { layers: true, .. }));
    let message = refused.to_string();
    assert!(message.contains("eyot:backend/filesystem") && message.contains("layer=SPEC"), "{message}");
    let useless = start(&Forge::new(), &[memfs()]).err().unwrap().to_string();
    assert!(useless.contains("no use for layers"), "{useless}");
    let many: Vec<_> = (0..129).map(|_| memfs()).collect();
    assert!(start(&Forge::layer(), &many).err().unwrap().to_string().contains("128 layers"));
}

#[test]
fn it_is_seen_what_a_layer_needs() {
    let component = Component::from_binary(&engine(false), &Forge::layer().build()).unwrap();
    let inspection = Inspection::of(&component, &PluginConfig::new("test"));
    assert_eq!(inspection.worlds, [World::Layer, World::Mount, World::Filesystem]);
    assert!(inspection.settings.unwrap().unwrap().is_empty(), "it can be asked without layers");
    assert!(inspection.info.is_none(), "and not started");
    let grant = |name: &str| {
        let import = inspection.imports.iter().find(|import| import.interface.name.starts_with(name)).unwrap();
        import.grant
    };
    assert_eq!(grant("eyot:backend/filesystem@"), Grant::Layers);
    assert_eq!(grant("eyot:backend/durable@"), Grant::ByDefault);
    assert!(Grant::Layers.how().unwrap().contains("layer="));
    let inspection = Inspection::of(&component, &config(&[memfs()]));
    assert_eq!(inspection.info.unwrap().unwrap().kind, "memfs");
}

/// A component that asks for what it was never given hears `ESTALE`, and lives on.
#[test]
fn a_component_that_makes_numbers_up_gets_nowhere() {
    let secret = Arc::new(Memfs::new());
    let node = secret.create(1, "secret", OWNER).unwrap().node;
    let mut forge = Forge::layer();
    let at = Forge::imported_at();
    forge.body("getattr", &format!("(call $filesystem.getattr (i64.const {node}) (i32.const {at})) (i32.const {at})"));
    let fs = start(&forge, &[secret.clone() as Arc<dyn Filesystem>]).unwrap();
    assert_eq!(fs.getattr(1), Err(Errno::Stale));
    // A name that cannot be one, from a place that holds slashes and dots.
    let name = forge.put(&Bytes(b"a/../b".to_vec()));
    let call = format!(
        "(call $filesystem.lookup (i64.const 1) (i32.const {name}) (i32.const 6) (i32.const {at})) (i32.const {at})"
    );
    forge.body("lookup", &call);
    let fs = start(&forge, &[secret.clone() as Arc<dyn Filesystem>]).unwrap();
    assert_eq!(fs.lookup(1, "x"), Err(Errno::Inval));
    assert!(!fs.is_retired());
    // A string that lies outside of its memory is a breach of the ABI, as is one that is no UTF-8.
    let bad = forge.put(&Bytes(b"\xff\xfe".to_vec()));
    for (pointer, length) in [(0xffff_0000_u32, 6), (bad, 2)] {
        let call = format!(
            "(call $filesystem.lookup (i64.const 1) (i32.const {pointer}) (i32.const {length}) (i32.const {at})) (i32.const {at})"
        );
        forge.body("lookup", &call);
        let fs = start(&forge, &[secret.clone() as Arc<dyn Filesystem>]).unwrap();
        assert_eq!(fs.lookup(1, "x"), Err(Errno::Io));
        assert!(fs.is_retired());
    }
}

#[test]
fn what_a_component_held_is_given_back_when_it_is_retired() {
    let below = Arc::new(Memfs::new());
    let mut forge = Forge::layer();
    forge.body("getattr", "unreachable");
    let fs = start(&forge, &[below.clone() as Arc<dyn Filesystem>]).unwrap();
    let file = fs.create(1, "f", OWNER).unwrap().node;
    fs.unlink(1, "f").unwrap();
    assert_eq!(below.getattr(file).unwrap().links, 0, "the component holds it");
    assert_eq!(fs.getattr(file), Err(Errno::Io));
    assert!(fs.is_retired());
    assert_eq!(below.getattr(file), Err(Errno::Stale));
}

/// What is below says that it may wait, and takes its time.
struct Slow(Memfs);

impl Slow {
    fn around<T>(&self, call: impl FnOnce(&dyn Filesystem) -> T) -> T {
        std::thread::sleep(Duration::from_millis(150));
        call(&self.0)
    }
}

wrap_filesystem!(impl for Slow, around, may_wait: true);

#[test]
fn the_time_of_a_layer_is_not_the_components() {
    let below: Arc<dyn Filesystem> = Arc::new(Slow(Memfs::new()));
    let mut forge = Forge::layer();
    let at = Forge::imported_at();
    let once = format!("(call $filesystem.getattr (local.get 0) (i32.const {at}))");
    forge.body("getattr", &format!("{} (i32.const {at})", once.repeat(4)));
    let config = PluginConfig { call_time_max: Duration::from_millis(200), ..config(&[below]) };
    let fs = PluginFilesystem::load(&engine(false), &forge.build(), config).unwrap();
    assert!(fs.may_wait(), "what stands on it may wait as well");
    assert!(fs.getattr(1).is_ok());
}

/// `read` of a component that captures what it gives itself, as one does that is put together of two.
fn capturing(body: &str) -> PluginFilesystem {
    let mut forge = Forge::layer();
    let bytes = forge.put(&Bytes(b"0123456789".to_vec()));
    let answer = forge.put(&Bytes::default().u8(0).align(4).u32(bytes).u32(0));
    let at = Forge::imported_at();
    let body = body
        .replace("GIVE", &format!("(call $transfer.give (i32.const {bytes})"))
        .replace("BEGIN", "(call $capture.begin (i32.const")
        .replace("END", &format!("(call $capture.end (i32.const {at}))"))
        // Hands what was captured on to the reader.
        .replace(
            "PASS",
            &format!("(call $transfer.give (i32.load (i32.const {at})) (i32.load offset=4 (i32.const {at})))"),
        );
    forge.body("read", &format!("{body} (i32.const {answer})"));
    forge.body("release", &format!("(call $capture.begin (i32.const 4)) (i32.const {answer}) drop"));
    start(&forge, &[memfs()]).unwrap()
}

fn read(fs: &PluginFilesystem) -> (Result<usize, Errno>, String) {
    let mut buffer = [b'-'; 10];
    let count = fs.read(2 as Node, 0, 0, &mut buffer);
    (count, String::from_utf8(buffer.to_vec()).unwrap())
}

#[test]
fn what_is_captured_does_not_reach_the_reader() {
    let fs = capturing("BEGIN 5)) GIVE (i32.const 3)) END GIVE (i32.const 2))");
    assert_eq!(read(&fs), (Ok(2), "01--------".into()));
    let fs = capturing("BEGIN 5)) GIVE (i32.const 3)) GIVE (i32.const 2)) END PASS");
    assert_eq!(read(&fs), (Ok(5), "01201-----".into()));
    let nested = "BEGIN 9)) GIVE (i32.const 1)) BEGIN 4)) GIVE (i32.const 4)) END PASS END PASS";
    assert_eq!(read(&capturing(nested)), (Ok(5), "00123-----".into()));
    assert!(!fs.is_retired());
}

#[test]
fn captures_are_bounded_and_come_in_pairs() {
    let nested = "BEGIN 1)) ".repeat(16) + &"END ".repeat(16);
    assert_eq!(read(&capturing(&nested)).0, Ok(0));
    for (wrong, body) in [
        ("too deep", "BEGIN 1)) ".repeat(17)),
        ("an end without a beginning", "END".into()),
        ("one end too many", "BEGIN 1)) END END".into()),
        ("more than a call may carry", "BEGIN 1048577)) END".into()),
        ("more than was asked for", "BEGIN 4)) GIVE (i32.const 5)) END".into()),
    ] {
        let fs = capturing(&body);
        assert_eq!(read(&fs).0, Err(Errno::Io), "{wrong}");
        assert!(fs.is_retired(), "{wrong}");
    }
}

#[test]
fn a_capture_that_is_left_open_fails_its_call_and_no_other() {
    let fs = capturing("BEGIN 4)) GIVE (i32.const 2))");
    assert_eq!(read(&fs).0, Err(Errno::Io));
    assert!(!fs.is_retired());
    fs.release(1, 1);
    let file = fs.create(1, "f", OWNER);
    assert!(file.is_ok(), "the next call begins anew: {file:?}");
}

/// A guest's fiber has 512 KiB for the kernel's calls and a component's: one that nests without end is retired within that.
#[test]
fn a_component_that_recurses_stays_within_the_stack_that_there_is() {
    let text = "(component
        (core module $m
          (func $deep (param i64) (result i64)
            (i64.add (call $deep (i64.add (local.get 0) (i64.const 1))) (local.get 0)))
          (func (export \"run\") (drop (call $deep (i64.const 0)))))
        (core instance $i (instantiate $m))
        (func $run (export \"deep\") (canon lift (core func $i \"run\"))))";
    let host = PluginHost::new(None).unwrap();
    let component = host.compile(&wat::parse_str(text).unwrap(), "deep").unwrap();
    let deep = move || {
        let mut store = wasmtime::Store::new(component.engine(), ());
        store.set_epoch_deadline(u64::MAX >> 1);
        let linker = wasmtime::component::Linker::new(component.engine());
        let instance = linker.instantiate(&mut store, &component).unwrap();
        let function = instance.get_typed_func::<(), ()>(&mut store, "deep").unwrap();
        let trap = function.call(&mut store, ()).unwrap_err();
        assert_eq!(trap.downcast_ref::<wasmtime::Trap>(), Some(&wasmtime::Trap::StackOverflow));
    };
    std::thread::Builder::new().stack_size(512 << 10).spawn(deep).unwrap().join().unwrap();
}
