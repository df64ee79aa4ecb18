//! `delayfs.wasm`, a component whose calls wait, behind the plug-in host: it does what memfs does, many calls are in flight at once, and what changes behind the kernel's
//! back is seen.
//!
//! `EYOT_DELAYFS_WASM` names the component. Without it these tests say so and check nothing.

use std::sync::Arc;
use std::time::{Duration, Instant};

use eyot_backend::{Capabilities, Errno, Filesystem, Ownership};
use eyot_kernel::Vm;
use eyot_kernel::plugin::{Inspection, PluginConfig, PluginError, PluginFilesystem, PluginMount, World};
use eyot_kernel::vfs::MountOptions;
use eyot_memfs::Memfs;
use wasmtime::component::Component;
use wasmtime::{Config, Engine};

const OWNER: Ownership = Ownership { mode: 0o644, uid: 0, gid: 0 };

fn component() -> Option<Component> {
    let Some(path) = std::env::var_os("EYOT_DELAYFS_WASM") else {
        eprintln!("left out: EYOT_DELAYFS_WASM is not set");
        return None;
    };
    let mut config = Config::new();
    config.epoch_interruption(true);
    let engine = Engine::new(&config).unwrap();
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
    Some(Component::from_binary(&engine, &bytes).unwrap())
}

fn config(settings: &[(&str, &str)]) -> PluginConfig {
    let mut config = PluginConfig::new("delayfs.wasm");
    config.settings = settings.iter().map(|&(key, value)| (key.into(), value.into())).collect();
    config
}

fn start(component: &Component, settings: &[(&str, &str)]) -> PluginFilesystem {
    PluginFilesystem::start(component, config(settings)).unwrap()
}

#[test]
fn it_conforms_as_memfs_does() {
    let Some(component) = component() else { return };
    let ran = eyot_conformance::run(|| Arc::new(start(&component, &[("delay", "0ms")])));
    assert_eq!(ran, eyot_conformance::checks().len(), "memfs offers everything");
}

#[test]
fn a_hundred_calls_wait_at_once() {
    let Some(component) = component() else { return };
    let fs = start(&component, &[("delay", "50ms")]);
    let begin = Instant::now();
    std::thread::scope(|scope| {
        for index in 0..100 {
            let fs = &fs;
            scope.spawn(move || {
                let name = format!("f{index}");
                let file = fs.create(1, &name, OWNER).unwrap().node;
                assert_eq!(fs.write(file, 0, 0, name.as_bytes()), Ok(name.len()));
                let mut buffer = [0; 8];
                assert_eq!(fs.read(file, 0, 0, &mut buffer), Ok(name.len()));
                assert_eq!(&buffer[..name.len()], name.as_bytes());
            });
        }
    });
    let taken = begin.elapsed();
    assert!(taken >= Duration::from_millis(150));
    assert!(taken < Duration::from_secs(5), "300 calls of 50 ms each took {taken:?}");
    assert_eq!(fs.readdir(1, 0, 1000).unwrap().len(), 100);
}

#[test]
fn its_world_and_its_settings_are_known() {
    let Some(component) = component() else { return };
    let inspection = Inspection::of(&component, &config(&[]));
    assert_eq!(inspection.worlds, [World::AsyncMount, World::AsyncFilesystem]);
    let settings = inspection.settings.unwrap().unwrap();
    assert!(settings.iter().any(|setting| setting.key == "delay"), "{settings:?}");
    assert_eq!(inspection.info.unwrap().unwrap().kind, "delayfs");
    let error = PluginFilesystem::start(&component, config(&[("delay", "2h")])).err().unwrap();
    let PluginError::Refused { errno: Errno::Inval, message, .. } = error else { panic!("{error}") };
    assert!(message.contains("more than an hour"), "{message}");
}

/// The kernel believes the attributes for ever, until it is told.
#[test]
fn what_changes_behind_the_kernels_back_is_seen() {
    let Some(component) = component() else { return };
    for replaceable in [false, true] {
        let fs = start(&component, &[("delay", "0ms"), ("tick", "20ms")]);
        assert!(fs.info().capabilities.contains(Capabilities::EVENTS));
        let fs: Arc<dyn Filesystem> =
            if replaceable { Arc::new(PluginMount::new("delayfs", fs, None)) } else { Arc::new(fs) };
        let builder = Vm::builder().root(Arc::new(Memfs::new())).user(0, 0);
        let vm = builder.mount("/m", fs, MountOptions::default()).build().unwrap();
        let modified = || vm.stat("/m/ticks").unwrap().attributes.modified;
        let first = modified();
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut seen = 0;
        let mut last = first;
        while seen < 3 {
            assert!(Instant::now() < deadline, "the kernel goes on to believe what it saw first");
            std::thread::sleep(Duration::from_millis(5));
            let now = modified();
            if now != last {
                (last, seen) = (now, seen + 1);
            }
        }
    }
}

#[test]
fn another_backend_takes_over_while_calls_wait() {
    let Some(component) = component() else { return };
    let mount = PluginMount::new("delayfs", start(&component, &[("delay", "30ms")]), None);
    let root = mount.info().root;
    std::thread::scope(|scope| {
        let calls: Vec<_> = (0..20).map(|_| scope.spawn(|| mount.getattr(root))).collect();
        std::thread::sleep(Duration::from_millis(10));
        mount.replace_plugin(start(&component, &[("delay", "0ms")])).unwrap();
        assert!(calls.into_iter().all(|call| call.join().unwrap().is_ok()));
    });
    let begin = Instant::now();
    mount.getattr(root).unwrap();
    assert!(begin.elapsed() < Duration::from_millis(30));
}
