use super::*;

fn sample() -> ImageBuilder {
    let mut builder = ImageBuilder::new();
    builder.add_dir("/", Meta::executable()).unwrap();
    builder.add_file("/bin/coreutils", Meta::executable(), vec![7; 10_000]).unwrap();
    builder.add_hardlink("bin/ls", "/bin/coreutils").unwrap();
    builder.add_symlink("/bin/dir", "ls", Meta::file()).unwrap();
    builder.add_file("/etc/motd", Meta::file().with_owner(1, 2), b"hello\n".to_vec()).unwrap();
    builder.add_file("/etc/same", Meta::file(), b"hello\n".to_vec()).unwrap();
    builder.add_file("/etc/empty", Meta::file(), Vec::new()).unwrap();
    builder.add_dir("/tmp", Meta::executable().with_mode(0o1777)).unwrap();
    builder.add_special("/dev/null", NodeKind::CharacterDevice, 0x103, Meta::file().with_mode(0o666)).unwrap();
    builder
}

fn open(bytes: Vec<u8>) -> Result<BaseImage, ImageError> {
    BaseImage::open(Arc::new(bytes))
}

fn walk(image: &BaseImage, path: &str) -> Option<(u32, BaseNode)> {
    let mut at = (0, image.node(0)?);
    for name in path.split('/').filter(|name| !name.is_empty()) {
        let (_, entry) = image.find(&at.1, name)?;
        at = (entry.node, image.node(entry.node)?);
    }
    Some(at)
}

#[test]
fn what_goes_in_comes_out() {
    let image = open(sample().to_vec().unwrap()).unwrap();
    image.verify().unwrap();
    let (ls, node) = walk(&image, "/bin/ls").unwrap();
    assert_eq!((walk(&image, "/bin/coreutils").unwrap().0, node.links, node.mode), (ls, 2, 0o755));
    assert_eq!(image.data(&node), vec![7; 10_000]);
    let content = image.content(&node);
    assert_eq!((*content.bytes).as_ref(), vec![7; 10_000]);
    assert_eq!(content.blake3.unwrap(), *blake3::hash(&vec![7; 10_000]).as_bytes());
    assert_eq!(image.target(&walk(&image, "/bin/dir").unwrap().1), "ls");
    let motd = walk(&image, "/etc/motd").unwrap().1;
    assert_eq!((image.data(&motd), motd.uid, motd.gid, motd.start % 4096), (&b"hello\n"[..], 1, 2, 0));
    assert_eq!(walk(&image, "/etc/same").unwrap().1.start, motd.start, "equal files share their bytes");
    assert_eq!(walk(&image, "/tmp").unwrap().1.mode, 0o1777);
    assert_eq!(walk(&image, "/dev/null").unwrap().1.device, 0x103);
    assert_eq!(walk(&image, "/").unwrap().1.links, 6);
    assert!(walk(&image, "/etc/nothing").is_none());
}

#[test]
fn the_same_calls_make_the_same_bytes() {
    assert_eq!(sample().to_vec().unwrap(), sample().to_vec().unwrap());
}

#[test]
fn the_builder_refuses_what_cannot_be() {
    let mut builder = sample();
    let file = |builder: &mut ImageBuilder, path: &str| builder.add_file(path, Meta::file(), Vec::new());
    assert!(matches!(file(&mut builder, "/etc/motd"), Err(BuildError::Exists { .. })));
    assert!(matches!(builder.add_dir("/bin", Meta::file()), Ok(())), "an implied directory takes its meta later");
    assert!(matches!(builder.add_dir("/bin", Meta::file()), Err(BuildError::Exists { .. })));
    assert!(matches!(file(&mut builder, "/etc/motd/below"), Err(BuildError::NotADirectory { .. })));
    for path in ["", "/", "/a/../b", ".", "a\0b", &"n".repeat(256)] {
        let refused = file(&mut builder, path);
        assert!(matches!(refused, Err(BuildError::Path { .. } | BuildError::Exists { .. })), "{path:?}");
    }
    assert!(matches!(builder.add_hardlink("/x", "/none"), Err(BuildError::LinkTarget { .. })));
    assert!(matches!(builder.add_hardlink("/x", "/etc"), Err(BuildError::LinkTarget { .. })));
    assert!(matches!(builder.add_symlink("/x", "", Meta::file()), Err(BuildError::Target { .. })));
    assert!(matches!(builder.add_dir("/x", Meta::file().with_mode(0o10000)), Err(BuildError::Meta { .. })));
    assert!(!builder.contains("/x"));
    open(builder.to_vec().unwrap()).unwrap();
}

#[test]
fn damage_is_noticed_wherever_it_is() {
    let good = sample().to_vec().unwrap();
    assert_eq!(open(Vec::new()).unwrap_err(), ImageError::NotAnImage);
    assert_eq!(open(b"\0asm\x01\0\0\0".to_vec()).unwrap_err(), ImageError::NotAnImage);
    for length in [8, 40, 95, 96, 500, good.len() - 1] {
        let cut = open(good[..length].to_vec()).unwrap_err();
        assert!(matches!(cut, ImageError::Length { .. }), "{length}: {cut}");
    }
    let index_end = open(good.clone()).unwrap().layout.strings.end;
    for at in 0..index_end {
        let mut bad = good.clone();
        bad[at] ^= 0x41;
        assert!(open(bad).is_err(), "byte {at} was changed and nobody noticed");
    }
    let mut bad = good.clone();
    let last = bad.len() - 4096;
    bad[last] ^= 1;
    assert!(matches!(open(bad).unwrap().verify(), Err(ImageError::DataHash { .. })));
}

/// Changes `bytes`, makes the index hash right again and answers why the image is refused.
fn forged(change: impl FnOnce(&mut [u8], &Layout)) -> String {
    let mut bytes = sample().to_vec().unwrap();
    let layout = open(bytes.clone()).unwrap().layout;
    change(&mut bytes, &layout);
    let hash = index_hash(&bytes[..HEADER_FIELDS_BYTES], &bytes[HEADER_BYTES..layout.strings.end]);
    bytes[HEADER_FIELDS_BYTES..HEADER_BYTES].copy_from_slice(&hash);
    open(bytes).unwrap_err().to_string()
}

#[test]
fn a_forged_index_is_refused_with_its_fault() {
    let put = |bytes: &mut [u8], at: usize, value: u32| bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    let node = |layout: &Layout, index: usize| layout.nodes.start + index * NODE_BYTES;
    let entry = |layout: &Layout, index: usize| layout.entries.start + index * ENTRY_BYTES;
    // Breadth first: 0 is "/", 1 to 4 are bin, dev, etc and tmp, 5 is coreutils, 6 is dir, 7 is null.
    let cases: Vec<(&str, String)> = vec![
        ("kind is unknown", forged(|b, l| put(b, node(l, 5), 9))),
        ("root is not a directory", forged(|b, l| put(b, node(l, 0), 0))),
        ("07777", forged(|b, l| put(b, node(l, 5) + 4, 0o10644))),
        ("nanoseconds", forged(|b, l| put(b, node(l, 5) + 20, 1_000_000_000))),
        ("multiple of 4096", forged(|b, l| put(b, node(l, 5) + 40, 1))),
        ("data ends outside", forged(|b, l| put(b, node(l, 5) + 52, 1))),
        ("target ends outside", forged(|b, l| put(b, node(l, 6) + 52, 1))),
        ("target is empty", forged(|b, l| put(b, node(l, 6) + 48, 0))),
        ("special file with contents", forged(|b, l| put(b, node(l, 7) + 48, 1))),
        ("follow", forged(|b, l| put(b, node(l, 1) + 40, 0))),
        ("too many entries", forged(|b, l| put(b, node(l, 4) + 52, 1))),
        ("number of names", forged(|b, l| put(b, node(l, 5) + 16, 7))),
        ("does not exist", forged(|b, l| put(b, entry(l, 4) + 8, 77))),
        ("inside itself", forged(|b, l| put(b, entry(l, 0) + 8, 0))),
        ("name ends outside", forged(|b, l| put(b, entry(l, 0), 1 << 30))),
        ("not sorted", forged(|b, l| b.copy_within(entry(l, 1)..entry(l, 1) + 8, entry(l, 0)))),
        ("name is empty", forged(|b, l| put(b, entry(l, 0) + 4, 0))),
        ("does not fit", forged(|b, _| put(b, 16, u32::MAX))),
        ("data part", forged(|b, _| put(b, 32, 4097))),
        ("reserved", forged(|b, _| put(b, 48, 1))),
    ];
    for (expected, message) in cases {
        assert!(message.contains(expected), "{expected:?} is not in {message:?}");
    }
}

#[test]
fn opening_five_hundred_entries_takes_less_than_a_millisecond() {
    let mut builder = ImageBuilder::new();
    for index in 0..500 {
        builder.add_file(&format!("/usr/bin/program-{index}"), Meta::executable(), vec![index as u8; 100]).unwrap();
    }
    let bytes: ImageBytes = Arc::new(builder.to_vec().unwrap());
    let best = (0..20).map(|_| {
        let start = std::time::Instant::now();
        BaseImage::open(Arc::clone(&bytes)).unwrap();
        start.elapsed()
    });
    let best = best.min().unwrap();
    println!("opened in {best:?}");
    assert!(best.as_micros() < 1000, "{best:?}");
}
