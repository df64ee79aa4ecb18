//! The kit's own tree, packed by others, is what the kit expects of a filesystem that cannot be changed.

mod common;

use std::sync::Arc;

use common::{gzip, mount, zstd, zstd_frames};
use eyot_conformance::{FixtureBody, FixtureEntry, Kept, Options, check_all, fixture};

/// The fixture as a tar archive, attributes in pax records.
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
        let records = named.iter().map(|(name, value)| (name.as_str(), value.as_slice()));
        tar.append_pax_extensions(records).unwrap();
    }
    let mut header = tar::Header::new_gnu();
    header.set_mode(entry.mode);
    header.set_uid(entry.uid.into());
    header.set_gid(entry.gid.into());
    header.set_mtime(u64::try_from(entry.modified.seconds).unwrap());
    header.set_size(0);
    let mut data: &[u8] = &[];
    let mut target = None;
    let kind = match &entry.body {
        FixtureBody::Directory => tar::EntryType::Directory,
        FixtureBody::File(bytes) => {
            data = bytes;
            tar::EntryType::Regular
        }
        FixtureBody::Symlink(to) => {
            target = Some(to);
            tar::EntryType::Symlink
        }
        FixtureBody::HardLink(to) => {
            target = Some(to);
            tar::EntryType::Link
        }
        FixtureBody::Fifo => tar::EntryType::Fifo,
        FixtureBody::CharacterDevice(number) => {
            header.set_device_major((number >> 8) as u32).unwrap();
            header.set_device_minor((number & 0xff) as u32).unwrap();
            tar::EntryType::Char
        }
    };
    header.set_entry_type(kind);
    header.set_size(data.len() as u64);
    match target {
        Some(target) => tar.append_link(&mut header, &entry.path, target).unwrap(),
        None => tar.append_data(&mut header, &entry.path, data).unwrap(),
    }
}

fn conforms(archive: Vec<u8>) {
    let options =
        Options { populated: Some(Kept { times_step_ns: Some(1_000_000_000), ..Kept::ALL }), ..Options::default() };
    let card = check_all(|| Arc::new(mount(archive.clone())), &options);
    assert!(card.is_clean(), "{card}");
    assert!(card.total().passed > 10, "the tree was looked at: {card}");
}

#[test]
fn the_kits_tree_in_a_tar() {
    conforms(tar());
}

#[test]
fn the_kits_tree_in_a_tar_gz() {
    conforms(gzip(&tar()));
}

#[test]
fn the_kits_tree_in_a_tar_zst_of_one_frame_and_of_many() {
    conforms(zstd(&tar()));
    conforms(zstd_frames(&tar(), 100_000));
}
