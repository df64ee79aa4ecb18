//! Random trees through an archive and back.

mod common;

use std::collections::BTreeMap;
use std::io::{Cursor, Write};

use common::{gzip, mount, open_with, texture, walk, zstd_frames};
use eyot_archive::ArchiveOptions;
use eyot_backend::NodeKind;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Thing {
    Dir,
    File(Vec<u8>),
    Symlink(String),
    Fifo,
    /// A hard link to the file that is so manieth.
    Link(usize),
}

#[derive(Debug, Clone)]
struct Entry {
    path: Vec<String>,
    thing: Thing,
    mode: u32,
    id: u32,
    time: u32,
}

/// What the tree must be: path to kind and contents.
type Model = BTreeMap<String, (NodeKind, Option<u32>, Vec<u8>)>;

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        8 => "[a-c]",
        2 => "[a-zA-Z0-9 ._-]{1,20}",
        1 => "\\PC{1,10}",
        1 => "[x]{90,255}",
    ]
    .prop_filter("a name", |name| !name.contains(['/', '\\', '\0']) && name != "." && name != ".." && name.len() <= 255)
}

fn entry() -> impl Strategy<Value = Entry> {
    let thing = prop_oneof![
        2 => Just(Thing::Dir),
        5 => (0..200_000usize, any::<u64>()).prop_map(|(length, seed)| Thing::File(texture(length / (1 + seed as usize % 50), seed))),
        1 => "[a-z]{1,90}(/[a-z]{1,40}){0,4}".prop_map(Thing::Symlink),
        1 => Just(Thing::Fifo),
        1 => (0..10usize).prop_map(Thing::Link),
    ];
    (prop::collection::vec(name(), 1..4), thing, 0..0o10000u32, any::<u32>(), any::<u32>())
        .prop_map(|(path, thing, mode, id, time)| Entry { path, thing, mode, id, time })
}

/// Leaves out what would not fit where it is put, so that the model stays simple; replaced entries stay in.
fn fitting(entries: Vec<Entry>) -> (Vec<Entry>, Model) {
    let (mut kept, mut model, mut files) = (Vec::new(), Model::new(), Vec::<String>::new());
    for mut entry in entries {
        let path = entry.path.join("/");
        let above: Vec<_> = (1..entry.path.len()).map(|depth| entry.path[..depth].join("/")).collect();
        let blocked = above.iter().any(|dir| model.get(dir).is_some_and(|it| it.0 != NodeKind::Directory));
        let full =
            model.range(format!("{path}/")..).next().is_some_and(|(below, _)| below.starts_with(&format!("{path}/")));
        if blocked || (full && !matches!(entry.thing, Thing::Dir)) {
            continue;
        }
        let mut made = match &entry.thing {
            Thing::Dir => (NodeKind::Directory, Some(entry.mode), Vec::new()),
            Thing::File(bytes) => (NodeKind::File, Some(entry.mode), bytes.clone()),
            Thing::Symlink(target) => (NodeKind::Symlink, Some(entry.mode), target.clone().into_bytes()),
            Thing::Fifo => (NodeKind::Fifo, Some(entry.mode), Vec::new()),
            Thing::Link(which) => {
                let Some(target) = files.get(which % files.len().max(1)).cloned() else { continue };
                let Some(found) = model.get(&target).filter(|it| it.0 == NodeKind::File && target != path) else {
                    continue;
                };
                let found = found.clone();
                entry.thing = Thing::Symlink(target);
                entry.mode = u32::MAX;
                found
            }
        };
        for dir in above {
            model.entry(dir).or_insert((NodeKind::Directory, None, Vec::new()));
        }
        if made.0 == NodeKind::File {
            files.push(path.clone());
        }
        if made.0 == NodeKind::Symlink && made.2.is_empty() {
            continue;
        }
        if made.1 == Some(u32::MAX) {
            made.1 = None;
        }
        model.insert(path, made);
        kept.push(entry);
    }
    (kept, model)
}

fn pack_tar(entries: &[Entry]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for entry in entries {
        let mut header = tar::Header::new_gnu();
        header.set_mode(entry.mode & 0o7777);
        header.set_uid(entry.id.into());
        header.set_gid((entry.id / 2).into());
        header.set_mtime(entry.time.into());
        header.set_size(0);
        let path = entry.path.join("/");
        match &entry.thing {
            Thing::Dir => header.set_entry_type(tar::EntryType::Directory),
            Thing::Fifo => header.set_entry_type(tar::EntryType::Fifo),
            Thing::File(bytes) => {
                header.set_size(bytes.len() as u64);
                builder.append_data(&mut header, &path, &bytes[..]).unwrap();
                continue;
            }
            Thing::Symlink(target) => {
                let link = entry.mode == u32::MAX;
                header.set_entry_type(if link { tar::EntryType::Link } else { tar::EntryType::Symlink });
                builder.append_link(&mut header, &path, target).unwrap();
                continue;
            }
            Thing::Link(_) => unreachable!(),
        }
        builder.append_data(&mut header, &path, std::io::empty()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn check(what: &str, fs: &eyot_archive::Archive, model: &Model) {
    let mut seen = walk(fs);
    seen.remove("");
    let (left, right): (Vec<_>, Vec<_>) = (seen.keys().collect(), model.keys().collect());
    assert_eq!(left, right, "{what}");
    for (path, (kind, mode, bytes)) in model {
        let one = &seen[path];
        assert_eq!(one.attributes.kind, *kind, "{what}: {path}");
        if let Some(mode) = mode {
            assert_eq!(one.attributes.mode, *mode, "{what}: {path}");
        }
        match kind {
            NodeKind::File => assert!(one.content.as_ref().unwrap() == bytes, "{what}: {path}"),
            NodeKind::Symlink => assert_eq!(one.target.as_ref().unwrap().as_bytes(), bytes, "{what}: {path}"),
            _ => {}
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_tree_through_tar(entries in prop::collection::vec(entry(), 0..40)) {
        let (entries, model) = fitting(entries);
        let tar = pack_tar(&entries);
        check("tar", &mount(tar.clone()), &model);
        check("tar.gz", &mount(gzip(&tar)), &model);
        let small = ArchiveOptions::new().cache_bytes(200_000).decoders_max(2);
        check("tar.zst", &open_with(zstd_frames(&tar, 50_000), &small).unwrap(), &model);
        let fs = mount(tar.clone());
        let index = fs.index_bytes().unwrap();
        let source = std::sync::Arc::new(eyot_archive::MemorySource::new(tar));
        check("index", &eyot_archive::Archive::open_with_index(source, &ArchiveOptions::new(), &index).unwrap(), &model);
    }

    #[test]
    fn a_tree_through_zip(entries in prop::collection::vec(entry(), 0..30)) {
        // The crate refuses names that are there already, and has no FIFOs and hard links.
        let mut unique = BTreeMap::new();
        for entry in entries {
            if matches!(entry.thing, Thing::Dir | Thing::File(_) | Thing::Symlink(_)) {
                unique.entry(entry.path.join("/")).or_insert(entry);
            }
        }
        let (entries, mut model) = fitting(unique.into_values().collect());
        let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for entry in &entries {
            let path = entry.path.join("/");
            let method = if entry.id % 2 == 0 { zip::CompressionMethod::Stored } else { zip::CompressionMethod::Deflated };
            let options = zip::write::SimpleFileOptions::default()
                .compression_method(method)
                .large_file(entry.id % 3 == 0)
                .unix_permissions(entry.mode & 0o777);
            match &entry.thing {
                Thing::Dir => writer.add_directory(&path, options).unwrap(),
                Thing::File(bytes) => {
                    writer.start_file(&path, options).unwrap();
                    writer.write_all(bytes).unwrap();
                }
                Thing::Symlink(target) => writer.add_symlink(&path, target, options).unwrap(),
                _ => unreachable!(),
            }
        }
        for one in model.values_mut() {
            one.1 = one.1.map(|mode| mode & 0o777).filter(|_| one.0 == NodeKind::File);
        }
        check("zip", &mount(writer.finish().unwrap().into_inner()), &model);
    }
}
