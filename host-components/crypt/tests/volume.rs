//! What the layer holds, what it gives away, and what happens when it is altered.

use std::sync::Arc;

use eyot_backend::{AttributeChanges, Errno, Filesystem, Handle, Node, NodeKind, OpenFlags, Ownership, RenameFlags};
use eyot_crypt::{Crypt, CryptOptions, Error, Secret};
use eyot_memfs::Memfs;

const OWNER: Ownership = Ownership { mode: 0o644, uid: 0, gid: 0 };
const KEY: Secret<'static> = Secret::Key(&[7; 32]);

/// Little memory, so that the tests are quick.
fn quick() -> CryptOptions {
    CryptOptions { memory_kib: 64, passes: 1, ..CryptOptions::default() }
}

fn layered() -> (Arc<Memfs>, Crypt) {
    let layer = Arc::new(Memfs::new());
    let fs = Crypt::open(layer.clone(), KEY, &quick()).unwrap();
    (layer, fs)
}

fn open(fs: &dyn Filesystem, node: Node) -> Handle {
    fs.open(node, OpenFlags::READ | OpenFlags::WRITE).unwrap()
}

fn write(fs: &dyn Filesystem, node: Node, offset: u64, bytes: &[u8]) {
    let handle = open(fs, node);
    let mut done = 0;
    while done < bytes.len() {
        done += fs.write(node, handle, offset + done as u64, &bytes[done..]).unwrap();
    }
    fs.release(node, handle);
}

fn read(fs: &dyn Filesystem, node: Node) -> Result<Vec<u8>, Errno> {
    let mut bytes = vec![0; 1 << 20];
    let handle = open(fs, node);
    let count = fs.read(node, handle, 0, &mut bytes);
    fs.release(node, handle);
    bytes.truncate(count?);
    Ok(bytes)
}

fn file(fs: &dyn Filesystem, name: &str, bytes: &[u8]) -> Node {
    let node = fs.create(fs.info().root, name, OWNER).unwrap().node;
    write(fs, node, 0, bytes);
    node
}

fn names(fs: &dyn Filesystem) -> Vec<String> {
    fs.readdir(fs.info().root, 0, 100).unwrap().into_iter().map(|entry| entry.name).collect()
}

/// All bytes that the layer has: names, contents, targets, attributes.
fn everything(layer: &Memfs) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in layer.readdir(layer.info().root, 0, 1000).unwrap() {
        let node = entry.attributes.node;
        all.extend(entry.name.as_bytes());
        match entry.attributes.kind {
            NodeKind::File => all.extend(read(layer, node).unwrap()),
            NodeKind::Symlink => all.extend(layer.readlink(node).unwrap().as_bytes()),
            _ => {}
        }
        for name in layer.listxattr(node).unwrap() {
            all.extend(name.as_bytes());
            all.extend(layer.getxattr(node, &name).unwrap());
        }
    }
    all
}

#[test]
fn nothing_shows_in_the_layer() {
    let (layer, fs) = layered();
    let root = fs.info().root;
    let secret = b"the secret is out".repeat(1000);
    let node = file(&fs, "a secret name", &secret);
    fs.setxattr(node, "user.secret-attribute", b"a secret value").unwrap();
    fs.symlink(root, "link", "secret/target", OWNER).unwrap();
    file(&fs, &"secret".repeat(40), b"");
    let all = everything(&layer);
    assert!(all.len() > secret.len());
    assert!(!all.windows(6).any(|window| window == b"secret"));
}

#[test]
fn a_passphrase_opens_it_and_no_other() {
    let layer = Arc::new(Memfs::new());
    let mount = |secret: Secret<'_>| Crypt::open(layer.clone(), secret, &quick());
    file(&mount(Secret::Passphrase("right")).unwrap(), "f", b"kept");
    let fs = mount(Secret::Passphrase("right")).unwrap();
    assert_eq!(read(&fs, fs.lookup(fs.info().root, "f").unwrap().node).unwrap(), b"kept");
    assert!(matches!(mount(Secret::Passphrase("wrong")), Err(Error::WrongSecret)));
    assert!(matches!(mount(Secret::Passphrase("")), Err(Error::WrongSecret)));
    assert!(matches!(mount(KEY), Err(Error::OtherSecret { made_with: "passphrase" })));
}

#[test]
fn every_byte_of_the_volumes_file_counts() {
    let (layer, fs) = layered();
    drop(fs);
    let node = layer.lookup(layer.info().root, ".eyot-crypt").unwrap().node;
    let bytes = read(&*layer, node).unwrap();
    assert_eq!(bytes.len(), 112);
    for at in 0..bytes.len() {
        write(&*layer, node, at as u64, &[bytes[at] ^ 1]);
        let error = Crypt::open(layer.clone(), KEY, &quick()).err().unwrap_or_else(|| panic!("byte {at}"));
        assert!(!matches!(error, Error::Layer(_)), "byte {at}: {error}");
        write(&*layer, node, at as u64, &bytes[at..=at]);
    }
    assert!(Crypt::open(layer.clone(), KEY, &quick()).is_ok());
    write(&*layer, node, 112, b"x");
    assert!(matches!(Crypt::open(layer, KEY, &quick()), Err(Error::Damaged(_))));
}

#[test]
fn files_that_were_there_are_not_taken_over() {
    let layer = Arc::new(Memfs::new());
    file(&*layer, "somebody's", b"file");
    assert!(matches!(Crypt::open(layer.clone(), KEY, &quick()), Err(Error::NoVolume)));
    assert_eq!(names(&*layer), ["somebody's"]);
    // What was left by a making that was cut short is no hindrance.
    let layer = Arc::new(Memfs::new());
    file(&*layer, ".eyot-crypt.new", b"half");
    assert!(Crypt::open(layer.clone(), KEY, &quick()).is_ok());
    assert_eq!(names(&*layer), [".eyot-crypt"]);
}

#[test]
fn altered_contents_are_an_error_and_only_there() {
    let (layer, fs) = layered();
    let bytes: Vec<u8> = (0..20_000_u32).map(|at| (at / 7) as u8 | 1).collect();
    let node = file(&fs, "f", &bytes);
    let stored = read(&*layer, node).unwrap();
    assert_eq!(stored.len(), 20_000 + 32 + 5 * 32);
    // In the third block.
    let at = 32 + 2 * 4128 + 100;
    write(&*layer, node, at, &[stored[at as usize] ^ 0x10]);
    let handle = open(&fs, node);
    let mut block = [0; 4096];
    for index in 0..4 {
        let got = fs.read(node, handle, index * 4096, &mut block);
        if index == 2 {
            assert_eq!(got, Err(Errno::Io));
            assert_eq!(fs.write(node, handle, index * 4096 + 5, b"part"), Err(Errno::Io), "the rest is not known");
        } else {
            assert_eq!(got, Ok(4096));
            assert_eq!(block[..], bytes[index as usize * 4096..][..4096]);
        }
    }
    assert_eq!(fs.write(node, handle, 2 * 4096, &[3; 4096]), Ok(4096), "a whole block needs nothing of the old one");
    assert_eq!(fs.read(node, handle, 2 * 4096, &mut block), Ok(4096));
    fs.release(node, handle);
}

#[test]
fn blocks_that_were_moved_or_brought_from_elsewhere_are_errors() {
    let (layer, fs) = layered();
    let (a, b) = (file(&fs, "a", &[1; 8192]), file(&fs, "b", &[1; 8192]));
    let stored = read(&*layer, a).unwrap();
    write(&*layer, a, 32, &stored[32 + 4128..]);
    assert_eq!(read(&fs, a), Err(Errno::Io));
    write(&*layer, b, 32, &stored[32..]);
    assert_eq!(read(&fs, b), Err(Errno::Io));
}

#[test]
fn altered_targets_and_attributes_are_errors() {
    let (layer, fs) = layered();
    let root = fs.info().root;
    let link = fs.symlink(root, "l", "target", OWNER).unwrap().node;
    let entry = layer.readdir(root, 0, 10).unwrap().into_iter().find(|entry| entry.attributes.node == link).unwrap();
    layer.unlink(root, &entry.name).unwrap();
    let forged = layer.symlink(root, &entry.name, "Zm9yZ2Vk", OWNER).unwrap().node;
    assert_eq!(fs.readlink(forged), Err(Errno::Io));
    let node = file(&fs, "f", b"");
    for size in [10, 65_536] {
        fs.setxattr(node, "user.x", &vec![1; size]).unwrap();
        for attribute in layer.listxattr(node).unwrap() {
            let mut value = layer.getxattr(node, &attribute).unwrap();
            *value.last_mut().unwrap() ^= 1;
            layer.setxattr(node, &attribute, &value).unwrap();
            assert_eq!(fs.getxattr(node, "user.x"), Err(Errno::Io));
            assert_eq!(fs.listxattr(node), Err(Errno::Io));
            *value.last_mut().unwrap() ^= 1;
            layer.setxattr(node, &attribute, &value).unwrap();
        }
        assert_eq!(fs.getxattr(node, "user.x").unwrap().len(), size);
    }
    fs.setxattr(node, "user.x", b"short").unwrap();
    assert_eq!(layer.listxattr(node).unwrap().len(), 1, "the rest of the long value is gone");
}

#[test]
fn names_that_are_not_the_volumes_do_not_show() {
    let (layer, fs) = layered();
    let root = fs.info().root;
    for foreign in ["readme", "~abc", "AAAA", "with.dot"] {
        file(&*layer, foreign, b"");
    }
    file(&fs, "mine", b"");
    assert_eq!(names(&fs), ["mine"]);
    let mut listed = Vec::new();
    let mut cookie = 0;
    while let Some(entry) = fs.readdir(root, cookie, 1).unwrap().pop() {
        cookie = entry.cookie;
        listed.push(entry.name);
    }
    assert_eq!(listed, ["mine"], "one by one");
}

#[test]
fn long_names_move_and_come_back() {
    let (layer, fs) = layered();
    let root = fs.info().root;
    let (long, other) = ("l".repeat(255), "o".repeat(200));
    let node = file(&fs, &long, b"long");
    let none = RenameFlags::empty();
    let dir = fs.mkdir(root, &"d".repeat(255), OWNER).unwrap().node;
    fs.link(node, dir, &long).unwrap();
    fs.rename(root, &long, root, &other, none).unwrap();
    assert_eq!(fs.readdir(dir, 0, 10).unwrap()[0].name, long, "the note of the other link's name is kept");
    fs.unlink(dir, &long).unwrap();
    for name in [&*long, "short", &*other, &*long] {
        let from = names(&fs).into_iter().find(|name| !name.starts_with('d')).unwrap();
        fs.rename(root, &from, root, name, none).unwrap();
        assert!(names(&fs).contains(&name.to_owned()));
        assert!(layer.listxattr(node).unwrap().len() <= 2, "old names are not kept");
    }
    fs.rename(root, &long, root, &"d".repeat(255), RenameFlags::EXCHANGE).unwrap();
    let mut both = names(&fs);
    both.sort();
    assert_eq!(both, ["d".repeat(255), long.clone()]);
    assert_eq!(fs.lookup(root, &"d".repeat(255)).unwrap().kind, NodeKind::File);
}

#[test]
fn a_cut_to_nothing_changes_the_key() {
    let (layer, fs) = layered();
    let node = file(&fs, "f", b"before");
    let before = read(&*layer, node).unwrap();
    let handle = open(&fs, node);
    fs.setattr(node, &AttributeChanges { size: Some(0), ..Default::default() }).unwrap();
    assert_eq!(layer.getattr(node).unwrap().size, 0);
    fs.write(node, handle, 0, b"after!").unwrap();
    fs.release(node, handle);
    let after = read(&*layer, node).unwrap();
    assert_eq!((after.len(), read(&fs, node).unwrap()), (before.len(), b"after!".to_vec()));
    assert_ne!(after[8..24], before[8..24]);
}

#[test]
fn two_volumes_of_one_key_have_nothing_in_common() {
    let ((one, first), (two, second)) = (layered(), layered());
    for fs in [&first, &second] {
        file(fs, "same name", &[5; 5000]);
    }
    let of = |layer: &Memfs| {
        let entries = layer.readdir(layer.info().root, 0, 10).unwrap();
        entries.into_iter().map(|entry| (entry.name, read(layer, entry.attributes.node).unwrap())).collect::<Vec<_>>()
    };
    for (name, bytes) in of(&one).into_iter().filter(|(name, _)| name != ".eyot-crypt") {
        assert!(of(&two).iter().all(|(other, others)| *other != name && others[32..] != bytes[32..]));
    }
}
