//! Random access to compressed archives, the cache, the saved index, and many threads.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use common::{Random, Tar, find, gzip, mount, open_with, read, texture, walk, zstd, zstd_frames};
use eyot_archive::{Archive, ArchiveError, ArchiveOptions, FileSource, Format, MemorySource, Source};
use eyot_backend::{Errno, Filesystem};

/// A source that counts what is read of it.
struct Counting {
    inner: MemorySource,
    bytes: AtomicU64,
}

impl Counting {
    fn new(bytes: Vec<u8>) -> Arc<Self> {
        Arc::new(Self { inner: MemorySource::new(bytes), bytes: AtomicU64::new(0) })
    }

    fn take(&self) -> u64 {
        self.bytes.swap(0, Ordering::Relaxed)
    }
}

impl Source for Counting {
    fn len(&self) -> u64 {
        self.inner.len()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        let count = self.inner.read_at(offset, buffer)?;
        self.bytes.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

const LARGE: usize = 24 << 20;

fn image() -> (Vec<u8>, Vec<u8>) {
    let large = texture(LARGE, 1);
    let mut tar = Tar::default().dir("d").file("d/large", &large);
    for index in 0..200 {
        tar = tar.file(&format!("d/small-{index}"), &texture(index * 37, index as u64));
    }
    (tar.end(), large)
}

fn packed() -> Vec<(&'static str, Vec<u8>)> {
    let (tar, _) = image();
    let (first, second) = tar.split_at(tar.len() / 3);
    vec![
        ("gzip", gzip(&tar)),
        ("gzip members", [gzip(first), gzip(second)].concat()),
        ("gzip fast", common::pipe("gzip", &["-1"], &tar)),
        ("gzip with a name", {
            let mut bytes = gzip(&tar);
            bytes[3] |= 8 | 4;
            bytes.splice(10..10, [3, 0, 1, 2, 3].into_iter().chain(*b"name\0"));
            bytes
        }),
        ("one frame", zstd(&tar)),
        ("frames", zstd_frames(&tar, 1 << 20)),
        ("frames by the tool", common::pipe("zstd", &["-c", "--no-check", "-q"], &tar)),
        ("frames without lengths", tar.chunks(1 << 20).flat_map(zstd).collect()),
    ]
}

#[test]
fn every_compression_shows_the_same_tree() {
    let expected = walk(&mount(image().0));
    for (name, bytes) in packed() {
        let seen = walk(&mount(bytes));
        assert!(seen == expected, "{name}");
    }
}

#[test]
fn reads_anywhere_are_right_with_small_caches_and_one_decoder() {
    let (_, large) = image();
    let options = ArchiveOptions::new().cache_bytes(1 << 20).decoders_max(1).access_point_bytes(1 << 20);
    for (name, bytes) in packed() {
        let fs = open_with(bytes, &options).unwrap();
        let node = find(&fs, "d/large").unwrap().node;
        let mut random = Random(7);
        for round in 0..if name.contains("frame") { 10 } else { 60 } {
            let offset = random.below(LARGE as u64) as usize;
            let length = random.below(300_000) as usize + 1;
            let mut buffer = vec![0xa5; length];
            let count = fs.read(node, 0, offset as u64, &mut buffer).unwrap();
            assert_eq!(count, length.min(LARGE - offset));
            assert!(buffer[..count] == large[offset..offset + count], "{name}, round {round}");
            assert!(fs.usage().cached_bytes <= 1 << 20);
        }
    }
}

#[test]
fn a_read_in_the_middle_decompresses_little() {
    let (tar, _) = image();
    for (name, bytes, most) in [("gzip", gzip(&tar), 6 << 20), ("frames", zstd_frames(&tar, 1 << 20), 3 << 20)] {
        let source = Counting::new(bytes);
        let options = ArchiveOptions::new().cache_bytes(0);
        let fs = Archive::open(source.clone(), &options).unwrap();
        let node = find(&fs, "d/large").unwrap().node;
        for offset in [LARGE - 10, LARGE / 2, LARGE / 3, 0] {
            source.take();
            fs.read(node, 0, offset as u64, &mut [0; 10]).unwrap();
            let taken = source.take();
            assert!(taken <= most, "{name}: {taken} bytes for 10 at {offset}");
        }
    }
}

#[test]
fn opening_reads_headers_only() {
    let (tar, _) = image();
    let source = Counting::new(tar.clone());
    Archive::open(source.clone(), &ArchiveOptions::new()).unwrap();
    let taken = source.take();
    assert!(taken < 5 << 20, "{taken} of {} bytes read of a tar", source.len());
    let source = Counting::new(zstd_frames(&tar, 1 << 20));
    Archive::open(source.clone(), &ArchiveOptions::new()).unwrap();
    let taken = source.take();
    assert!(taken < source.len() / 2, "{taken} of {} bytes read of a seekable tar.zst", source.len());
}

#[test]
fn what_is_stored_is_read_once_and_exactly() {
    let source = Counting::new(image().0);
    let fs = Archive::open(source.clone(), &ArchiveOptions::new()).unwrap();
    let node = find(&fs, "d/large").unwrap().node;
    source.take();
    fs.read(node, 0, 12_345, &mut vec![0; 100_000]).unwrap();
    assert_eq!(source.take(), 100_000);
}

#[test]
fn many_threads_read_at_once() {
    let (tar, large) = image();
    for bytes in [tar.clone(), gzip(&tar), zstd_frames(&tar, 1 << 20)] {
        let options = ArchiveOptions::new().cache_bytes(2 << 20).decoders_max(3);
        let fs = open_with(bytes, &options).unwrap();
        let node = find(&fs, "d/large").unwrap().node;
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (fs, large) = (&fs, &large);
                scope.spawn(move || {
                    let mut random = Random(thread);
                    let mut at = random.below(LARGE as u64) as usize;
                    for round in 0..60 {
                        let mut buffer = vec![0; 65536];
                        let count = fs.read(node, 0, at as u64, &mut buffer).unwrap();
                        assert!(buffer[..count] == large[at..at + count]);
                        at = if round % 20 == 19 { random.below(LARGE as u64) as usize } else { at + count };
                        let small = format!("d/small-{}", random.below(200));
                        let index = small[8..].parse::<usize>().unwrap();
                        assert!(read(fs, &small) == texture(index * 37, index as u64));
                    }
                });
            }
        });
    }
}

#[test]
fn access_points_are_thinned_out_when_they_take_too_much() {
    let bytes = gzip(&image().0);
    let options = ArchiveOptions::new().access_point_bytes(128 << 10).access_points_bytes_max(10 * 33 * 1024);
    let fs = open_with(bytes.clone(), &options).unwrap();
    let taken = fs.usage().access_points_bytes;
    assert!((3 * 33 * 1024..=10 * 33 * 1024).contains(&taken), "{taken}");
    assert!(walk(&fs) == walk(&mount(bytes.clone())));
    let none = open_with(bytes, &ArchiveOptions::new().access_points_bytes_max(0)).unwrap();
    assert_eq!(none.usage().access_points_bytes, 0);
    assert!(read(&none, "d/large") == image().1);
}

#[test]
fn a_spill_takes_the_place_of_access_points() {
    let (tar, large) = image();
    let bytes = zstd(&tar);
    let source = Counting::new(bytes.clone());
    let spill = Arc::new(FileSource::new(tempfile::tempfile().unwrap()).unwrap());
    let options = ArchiveOptions::new().spill(spill.clone()).access_point_bytes(1 << 20);
    let fs = Archive::open(source.clone(), &options).unwrap();
    assert_eq!((fs.format(), spill.len()), (Format::TarZstd, tar.len() as u64));
    source.take();
    assert!(read(&fs, "d/large") == large);
    assert_eq!(source.take(), 0, "read from the spill");
    let again = Arc::new(FileSource::new(tempfile::tempfile().unwrap()).unwrap());
    let index = fs.index_bytes().unwrap();
    let options = options.spill(again.clone());
    let loaded = Archive::open_with_index(source, &options, &index).unwrap();
    assert_eq!(again.len(), tar.len() as u64);
    assert!(walk(&loaded) == walk(&fs));
    // What was spilled can be opened without a spill by the same index.
    let plain = Archive::open_with_index(Arc::new(MemorySource::new(bytes)), &ArchiveOptions::new(), &index).unwrap();
    assert!(walk(&plain) == walk(&fs));
    // Frames that are short need no spill.
    let unused = Arc::new(FileSource::new(tempfile::tempfile().unwrap()).unwrap());
    let options = ArchiveOptions::new().spill(unused.clone());
    open_with(zstd_frames(&tar, 1 << 20), &options).unwrap();
    assert_eq!(unused.len(), 0);
    // A spill that cannot be written is an error.
    let closed = tempfile::NamedTempFile::new().unwrap();
    let closed = Arc::new(FileSource::open(closed.path()).unwrap());
    let error = open_with(zstd(&tar), &ArchiveOptions::new().spill(closed)).unwrap_err();
    assert!(matches!(error, ArchiveError::Spill { offset: 0, .. }), "{error}");
}

#[test]
fn a_saved_index_spares_the_pass() {
    for (name, bytes) in packed().into_iter().chain([("tar", image().0)]) {
        let source = Counting::new(bytes);
        let fs = Archive::open(source.clone(), &ArchiveOptions::new()).unwrap();
        let index = fs.index_bytes().unwrap();
        source.take();
        let loaded = Archive::open_with_index(source.clone(), &ArchiveOptions::new(), &index).unwrap();
        let taken = source.take();
        assert!(taken <= 128 * 4096, "{name}: {taken} bytes read to open with an index");
        assert_eq!(loaded.index_bytes().unwrap(), index, "{name}");
        assert_eq!(loaded.usage().access_points_bytes, fs.usage().access_points_bytes);
        assert!(walk(&loaded) == walk(&fs), "{name}");
    }
}

#[test]
fn a_stale_or_damaged_index_is_noticed() {
    let (tar, _) = image();
    let bytes = gzip(&tar);
    let open = |bytes: &[u8], options: &ArchiveOptions, index: &[u8]| {
        Archive::open_with_index(Arc::new(MemorySource::new(bytes.to_vec())), options, index).map(|_| ()).unwrap_err()
    };
    let options = ArchiveOptions::new();
    let index = open_with(bytes.clone(), &options).unwrap().index_bytes().unwrap();
    let stale = |error| matches!(error, ArchiveError::IndexStale { .. });
    let damaged = |error| matches!(error, ArchiveError::IndexDamaged { .. });
    assert!(stale(open(&bytes[..bytes.len() - 1], &options, &index)));
    for at in [0, bytes.len() - 1] {
        let mut other = bytes.clone();
        other[at] ^= 1;
        assert!(stale(open(&other, &options, &index)), "{at}");
    }
    // One byte between the samples is only found by hashing everything.
    let mut other = bytes.clone();
    other[5000] ^= 1;
    assert!(stale(open(&bytes, &ArchiveOptions::new().hash_whole(true), &index)));
    let whole = ArchiveOptions::new().hash_whole(true);
    let whole_index = open_with(bytes.clone(), &whole).unwrap().index_bytes().unwrap();
    assert!(stale(open(&other, &whole, &whole_index)));
    for cut in [0, 7, 8, 39, 40, 100, index.len() - 1] {
        assert!(damaged(open(&bytes, &options, &index[..cut])), "{cut}");
    }
    let mut random = Random(3);
    for _ in 0..200 {
        let mut flipped = index.clone();
        let at = random.below(flipped.len() as u64) as usize;
        flipped[at] ^= 1 << random.below(8);
        assert!(damaged(open(&bytes, &options, &flipped)), "{at}");
    }
    assert!(open(&bytes, &options, b"").to_string().contains("delete it and make it again"));
    let small = ArchiveOptions::new().index_bytes_max(1000);
    assert!(matches!(open(&bytes, &small, &index), ArchiveError::Limit { limit: "index_bytes_max", .. }));
}

/// Whoever can make the hash right can write any index: nothing may come of it but an error or a wrong tree.
#[test]
fn a_hostile_index_is_no_worse_than_a_hostile_archive() {
    let tar = Tar::default()
        .dir("d")
        .file("d/a", b"content")
        .hardlink("d/b", "d/a")
        .symlink("s", "d/a")
        .pax(&[("SCHILY.xattr.user.x", b"value"), ("GNU.sparse.size", b"100"), ("GNU.sparse.map", b"0,3,50,4")])
        .file("sparse", b"abc1234")
        .end();
    let mut accepted = 0;
    for bytes in [tar.clone(), gzip(&tar), zstd_frames(&tar, 1000)] {
        let options = ArchiveOptions::new();
        let index = open_with(bytes.clone(), &options).unwrap().index_bytes().unwrap();
        let source: Arc<dyn Source> = Arc::new(MemorySource::new(bytes));
        let mut random = Random(11);
        for _ in 0..6000 {
            let mut hostile = index.clone();
            for _ in 0..=random.below(3) {
                let at = 40 + random.below(hostile.len() as u64 - 40) as usize;
                match random.below(4) {
                    0 => hostile[at] = random.next() as u8,
                    1 => hostile[at] ^= 1 << random.below(8),
                    2 => drop(hostile.remove(at)),
                    _ => hostile.insert(at, random.next() as u8),
                }
            }
            let hash = *blake3::hash(&hostile[40..]).as_bytes();
            hostile[8..40].copy_from_slice(&hash);
            if let Ok(fs) = Archive::open_with_index(Arc::clone(&source), &options, &hostile) {
                accepted += 1;
                let seen = common::walk_up_to(&fs, 1 << 20);
                assert!(seen.len() < 20);
                for one in seen.values().filter(|one| one.attributes.size > 1 << 20) {
                    let _ = fs.read(one.attributes.node, 0, one.attributes.size / 2, &mut [0; 100]);
                }
            }
        }
    }
    assert!(accepted > 100, "only {accepted}: the test tests little");
}

/// A source that fails after it was opened.
struct Failing {
    inner: MemorySource,
    after: AtomicU64,
}

impl Source for Failing {
    fn len(&self) -> u64 {
        self.inner.len()
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        match self.after.load(Ordering::Relaxed) {
            0 => Err(Errno::Nxio),
            // Shorter than it says.
            1 => Ok(0),
            _ => self.inner.read_at(offset, buffer),
        }
    }
}

#[test]
fn a_source_that_fails_or_shrinks_is_an_error_and_nothing_worse() {
    let (tar, _) = image();
    for bytes in [tar.clone(), gzip(&tar), zstd(&tar)] {
        let source = Arc::new(Failing { inner: MemorySource::new(bytes), after: 2.into() });
        let fs = Archive::open(source.clone(), &ArchiveOptions::new().cache_bytes(0)).unwrap();
        let node = find(&fs, "d/large").unwrap().node;
        for (state, errno) in [(0, Errno::Nxio), (1, Errno::Io)] {
            source.after.store(state, Ordering::Relaxed);
            assert_eq!(fs.read(node, 0, 5 << 20, &mut [0; 1000]), Err(errno));
            assert!(Archive::open(source.clone(), &ArchiveOptions::new()).is_err());
        }
        source.after.store(2, Ordering::Relaxed);
        assert_eq!(fs.read(node, 0, 5 << 20, &mut [0; 1000]), Ok(1000), "what failed is not remembered");
    }
}

#[test]
fn a_spill_with_something_in_it_is_refused() {
    let file = tempfile::tempfile().unwrap();
    file.set_len(1).unwrap();
    let options = ArchiveOptions::new().spill(Arc::new(FileSource::new(file).unwrap())).access_point_bytes(1 << 20);
    let error = open_with(zstd(&image().0), &options).unwrap_err();
    assert_eq!(error, ArchiveError::Spill { offset: 0, errno: Errno::Exist });
}
