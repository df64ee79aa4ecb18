//! The shipped backends as components do what the same sources do when they are compiled in.
//!
//! `EYOT_ARCHIVE_WASM`, `EYOT_HOSTDIR_WASM`, `EYOT_CRYPT_WASM` and `EYOT_SQLFS_WASM` name them; `cargo xtask test` builds them and sets the variables. A test without its component says so and
//! checks nothing. Memfs and the overlay have files of their own beside this one.

use std::sync::Arc;

use eyot_backend::{Capabilities, Errno, Filesystem, Node, OpenFlags, Ownership};
use eyot_conformance::{FixtureBody, FixtureEntry, Kept, Options, check_all, check_layer, fixture, populate};
use eyot_kernel::plugin::{PluginConfig, PluginError, PluginFilesystem, Preopen};
use eyot_memfs::Memfs;
use wasmtime::component::Component;
use wasmtime::{Config, Engine};

const OWNER: Ownership = Ownership { mode: 0o644, uid: 0, gid: 0 };
/// Instead of a passphrase, so that no time goes into it.
const KEY: (&str, &str) = ("key", "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");

fn component(name: &str) -> Option<Component> {
    let variable = format!("EYOT_{}_WASM", name.to_uppercase());
    let Some(path) = std::env::var_os(&variable) else {
        eprintln!("left out: {variable} is not set (cargo xtask test builds the component and sets it)");
        return None;
    };
    let mut config = Config::new();
    config.epoch_interruption(true);
    let engine = Engine::new(&config).unwrap();
    let bytes = std::fs::read(&path).unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()));
    Some(Component::from_binary(&engine, &bytes).unwrap())
}

fn config(name: &str, settings: &[(&str, &str)]) -> PluginConfig {
    let mut config = PluginConfig::new(name);
    config.settings = settings.iter().map(|&(key, value)| (key.into(), value.into())).collect();
    config
}

fn preopened(
    component: &Component,
    path: &str,
    filesystem: Arc<dyn Filesystem>,
    settings: &[(&str, &str)],
) -> Result<PluginFilesystem, PluginError> {
    let mut config = config("preopened", settings);
    config.preopens = vec![Preopen { path: path.into(), filesystem, read_only: false }];
    PluginFilesystem::start(component, config)
}

fn layered(
    component: &Component,
    layers: Vec<Arc<dyn Filesystem>>,
    settings: &[(&str, &str)],
) -> Result<PluginFilesystem, PluginError> {
    let config = PluginConfig { layers, ..config("layered", settings) };
    PluginFilesystem::start(component, config)
}

fn memfs() -> Arc<dyn Filesystem> {
    Arc::new(Memfs::new())
}

/// The cases for a filesystem that offers everything but extended attributes.
fn without_attributes() -> usize {
    eyot_conformance::checks().len() - 40
}

#[test]
fn hostdir_conforms_over_a_granted_directory() {
    let Some(component) = component("hostdir") else { return };
    let ran = eyot_conformance::run(|| Arc::new(preopened(&component, "/", memfs(), &[]).unwrap()));
    assert!(ran >= without_attributes(), "only {ran} cases ran");
}

#[test]
fn hostdir_shows_a_tree_that_was_there() {
    let Some(component) = component("hostdir") else { return };
    let make = || -> Arc<dyn Filesystem> {
        let below = memfs();
        populate(&*below, &fixture()).unwrap();
        Arc::new(preopened(&component, "/data", below, &[("path", "/data")]).unwrap())
    };
    let populated = Some(Kept { xattrs: false, ..Kept::ALL });
    let card = check_all(make, &Options { populated, only: Some("fixture".into()), ..Options::default() });
    assert!(card.is_clean() && card.total().passed > 20, "{card}");
}

#[test]
fn hostdir_takes_what_is_there_and_nothing_else() {
    let Some(component) = component("hostdir") else { return };
    for path in ["/none", "relative", "/data/../.."] {
        let error = preopened(&component, "/data", memfs(), &[("path", path)]).err();
        assert!(error.is_none_or(|error| error.to_string().contains("path: ")), "{path}");
    }
    // Two directories, side by side under the root that they lie in.
    let mut config = config("hostdir", &[]);
    config.preopens =
        ["/a", "/b"].map(|path| Preopen { path: path.into(), filesystem: memfs(), read_only: path == "/b" }).into();
    let fs = PluginFilesystem::start(&component, config).unwrap();
    let root = fs.info().root;
    let (a, b) = (fs.lookup(root, "a").unwrap().node, fs.lookup(root, "b").unwrap().node);
    assert_ne!(a, b);
    assert!(fs.create(a, "f", OWNER).is_ok());
    assert_eq!(fs.create(b, "f", OWNER), Err(Errno::Rofs));
    assert_eq!(fs.rename(a, "f", b, "f", Default::default()), Err(Errno::Xdev));
}

#[test]
fn crypt_conforms_over_a_granted_layer() {
    let Some(component) = component("crypt") else { return };
    let ran = eyot_conformance::run(|| Arc::new(layered(&component, vec![memfs()], &[KEY]).unwrap()));
    assert_eq!(ran, eyot_conformance::checks().len(), "it offers what memfs offers");
}

#[test]
fn crypt_conforms_over_a_layer_that_fails() {
    let Some(component) = component("crypt") else { return };
    let wrap = |layer| -> Arc<dyn Filesystem> { Arc::new(layered(&component, vec![layer], &[KEY]).unwrap()) };
    let card = check_layer(memfs, wrap, &Options { only: Some("error injection".into()), ..Options::default() });
    assert!(card.is_clean() && card.total().passed > 5, "{card}");
}

/// What the component wrote, the one that is compiled in would read: the format is one.
#[test]
fn crypt_keeps_its_volume_in_the_layer() {
    let Some(component) = component("crypt") else { return };
    let layer = memfs();
    let mount = |settings: &[(&str, &str)]| layered(&component, vec![Arc::clone(&layer)], settings);
    let fs = mount(&[("passphrase", "right")]).unwrap();
    write(&fs, fs.info().root, "letter", b"Dear Bob");
    drop(fs);
    assert_eq!(layer.lookup(layer.info().root, "letter"), Err(Errno::Noent));
    let error = mount(&[("passphrase", "wrong")]).err().unwrap().to_string();
    assert!(error.contains("not the volume's secret") && !error.contains("wrong"), "{error}");
    let fs = mount(&[("passphrase", "right")]).unwrap();
    let node = fs.lookup(fs.info().root, "letter").unwrap().node;
    let handle = fs.open(node, OpenFlags::READ).unwrap();
    let mut bytes = [0; 100];
    assert_eq!(fs.read(node, handle, 0, &mut bytes), Ok(8));
    assert_eq!(&bytes[..8], b"Dear Bob");
}

#[test]
fn archive_conforms_from_a_granted_directory() {
    let Some(component) = component("archive") else { return };
    let bytes = tar();
    let make = || -> Arc<dyn Filesystem> {
        let below = memfs();
        write(&*below, below.info().root, "image.tar", &bytes);
        Arc::new(preopened(&component, "/images", below, &[("path", "/images/image.tar")]).unwrap())
    };
    assert!(!make().info().capabilities.contains(Capabilities::WRITABLE));
    let populated = Some(Kept { times_step_ns: Some(1_000_000_000), ..Kept::ALL });
    let card = check_all(make, &Options { populated, ..Options::default() });
    assert!(card.is_clean() && card.total().passed > 10, "{card}");
}

#[test]
fn archive_says_what_is_wrong_with_the_file() {
    let Some(component) = component("archive") else { return };
    let below = memfs();
    write(&*below, below.info().root, "noise", &[7; 5000]);
    for (path, part) in [
        ("/d/noise", "not an archive"),
        ("/d/none", "no such file"),
        ("/d", "is a directory"),
        ("d/noise", "invalid argument"),
    ] {
        let error = preopened(&component, "/d", Arc::clone(&below), &[("path", path)]).err().unwrap().to_string();
        assert!(error.contains("path: ") && error.contains(part), "{error}");
    }
    let error = preopened(&component, "/d", below, &[]).err().unwrap().to_string();
    assert!(error.contains("path: missing"), "{error}");
}

fn write(fs: &dyn Filesystem, dir: Node, name: &str, bytes: &[u8]) {
    let node = fs.create(dir, name, OWNER).unwrap().node;
    let handle = fs.open(node, OpenFlags::READ | OpenFlags::WRITE).unwrap();
    let mut done = 0;
    while done < bytes.len() {
        let end = bytes.len().min(done + (1 << 20));
        done += fs.write(node, handle, done as u64, &bytes[done..end]).unwrap();
    }
    fs.release(node, handle);
    fs.forget(node, 1);
}

/// The kit's tree as a tar archive, extended attributes in pax records.
fn tar() -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for entry in fixture() {
        append(&mut tar, &entry);
    }
    tar.into_inner().unwrap()
}

fn append(tar: &mut tar::Builder<Vec<u8>>, entry: &FixtureEntry) {
    let named: Vec<_> = entry.xattrs.iter().map(|(name, value)| (format!("SCHILY.xattr.{name}"), value)).collect();
    if !named.is_empty() {
        tar.append_pax_extensions(named.iter().map(|(name, value)| (name.as_str(), value.as_slice()))).unwrap();
    }
    let mut header = tar::Header::new_gnu();
    header.set_mode(entry.mode);
    header.set_uid(entry.uid.into());
    header.set_gid(entry.gid.into());
    header.set_mtime(u64::try_from(entry.modified.seconds).unwrap());
    let (kind, data, target): (_, &[u8], _) = match &entry.body {
        FixtureBody::Directory => (tar::EntryType::Directory, &[], None),
        FixtureBody::File(bytes) => (tar::EntryType::Regular, bytes, None),
        FixtureBody::Symlink(to) => (tar::EntryType::Symlink, &[], Some(to)),
        FixtureBody::HardLink(to) => (tar::EntryType::Link, &[], Some(to)),
        FixtureBody::Fifo => (tar::EntryType::Fifo, &[], None),
        FixtureBody::CharacterDevice(number) => {
            header.set_device_major((number >> 8) as u32).unwrap();
            header.set_device_minor((number & 0xff) as u32).unwrap();
            (tar::EntryType::Char, &[], None)
        }
    };
    header.set_entry_type(kind);
    header.set_size(data.len() as u64);
    match target {
        Some(target) => tar.append_link(&mut header, &entry.path, target).unwrap(),
        None => tar.append_data(&mut header, &entry.path, data).unwrap(),
    }
}

#[test]
fn sqlfs_conforms_over_a_granted_directory() {
    let Some(component) = component("sqlfs") else { return };
    let ran = eyot_conformance::run(|| {
        Arc::new(preopened(&component, "/data", memfs(), &[("path", "/data/files.db")]).unwrap())
    });
    assert_eq!(ran, eyot_conformance::checks().len(), "it offers everything");
}

#[test]
fn sqlfs_keeps_its_files() {
    let Some(component) = component("sqlfs") else { return };
    let below = memfs();
    let mount = || preopened(&component, "/data", Arc::clone(&below), &[("path", "/data/files.db")]).unwrap();
    let fs = mount();
    write(&fs, fs.info().root, "kept", &[7; 300_000]);
    fs.sync().unwrap();
    write(&fs, fs.info().root, "lost", b"not synced");
    // Its instance is dropped as if it had been killed.
    drop(fs);
    let fs = mount();
    let node = fs.lookup(fs.info().root, "kept").unwrap();
    assert_eq!(node.size, 300_000);
    let handle = fs.open(node.node, OpenFlags::READ).unwrap();
    let mut bytes = vec![0; 300_000];
    assert_eq!(fs.read(node.node, handle, 0, &mut bytes), Ok(300_000));
    assert!(bytes.iter().all(|&byte| byte == 7));
    let names = below.readdir(below.info().root, 0, 10).unwrap();
    assert!(names.iter().any(|entry| entry.name == "files.db"));
    let error = preopened(&component, "/d", memfs(), &[("path", "files.db")]).err().unwrap().to_string();
    assert!(error.contains("path: files.db is not absolute"), "{error}");
}
