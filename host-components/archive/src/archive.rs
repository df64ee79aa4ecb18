//! How an archive is opened.

use std::fmt;
use std::sync::Arc;

use eyot_backend::Errno;

use crate::builder::TreeBuilder;
use crate::codec::{Fault, Frame, ListLimits};
use crate::data::{Data, ZipData};
use crate::error::{ArchiveError, Warnings, shortened};
use crate::options::ArchiveOptions;
use crate::pool::Pool;
use crate::saved::{self, Saved};
use crate::source::{Source, Spill, read_full};
use crate::stream::{Located, Stream};
use crate::tar::{self, Furthest};
use crate::tree::Tree;
use crate::zip;

/// How much is decompressed before the limit of expansion counts.
const EXPANSION_FREE_BYTES: u64 = 1 << 30;
/// A frame of Zstandard longer than this many distances of access points is spilled, when there is a spill.
const STRETCHES_MAX: u64 = 4;

/// The formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub enum Format {
    /// Tar.
    Tar,
    /// Tar, compressed with gzip.
    TarGzip,
    /// Tar, compressed with Zstandard.
    TarZstd,
    /// Zip.
    Zip,
}

/// An archive as a read-only filesystem: tar, tar.gz, tar.zst or zip, recognised by its contents.
///
/// ```no_run
/// use std::sync::Arc;
/// use eyot_archive::{Archive, ArchiveOptions, FileSource};
/// use eyot_backend::Filesystem;
///
/// let source = FileSource::open("image.tar".as_ref())?;
/// let archive = Archive::open(Arc::new(source), &ArchiveOptions::new())?;
/// let file = archive.lookup(archive.info().root, "README")?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// **Opening** reads the headers of a tar, the central directory of a zip, and nothing else of them. A compressed tar is decompressed once from start to end, but a seekable one (Zstandard in
/// many frames that say their lengths) only where its headers are. [`index_bytes`](Self::index_bytes) saves that work for the next time.
///
/// **The tree** is the one that unpacking would make: later entries replace earlier ones, hard links share a node, directories that are only implied are made (0755, owned by root). Paths
/// are taken from the root, whatever `/` or `./` they begin with, and no symlink is followed to place an entry. What cannot be shown is left out and
/// counted ([`warnings`](Self::warnings)).
///
/// **Reading.** What is stored uncompressed goes from the source into the caller's buffer. What is compressed is decoded in blocks that are kept in a bounded cache, from the
/// nearest access point: in gzip and deflate every 2 MiB of output, in Zstandard at each frame.
///
/// **Hostile archives.** Every number is checked, and every kind of memory has a limit in [`ArchiveOptions`]. Time is bounded by the archive's
/// (decompressed) length.
pub struct Archive {
    pub(crate) source: Arc<dyn Source>,
    pub(crate) format: Format,
    pub(crate) tree: Tree,
    pub(crate) warnings: Warnings,
    pub(crate) data: Data,
    pub(crate) pool: Pool,
    /// The frames of an archive that was spilled.
    pub(crate) spilled_frames: Vec<Frame>,
    hash_whole: bool,
}

/// What an archive takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Usage {
    /// Inodes.
    pub inodes: u64,
    /// Memory of the index, in bytes, access points not included.
    pub index_bytes: u64,
    /// Memory of the access points, in bytes.
    pub access_points_bytes: u64,
    /// Memory of the decompressed blocks that are kept, in bytes.
    pub cached_bytes: u64,
}

impl fmt::Debug for Archive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Archive").field("format", &self.format).field("usage", &self.usage()).finish_non_exhaustive()
    }
}

/// The tar in a compressed stream.
struct StreamInput<'a> {
    stream: &'a Stream,
    pool: &'a Pool,
    options: &'a ArchiveOptions,
}

impl tar::Input for StreamInput<'_> {
    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize, ArchiveError> {
        self.stream
            .read(self.pool, offset, buffer)
            .map_err(|located| refusal(located, self.stream.source_bytes(), self.options))
    }

    fn length(&self) -> Option<u64> {
        self.stream.length()
    }
}

impl Archive {
    /// Opens an archive and makes its index.
    pub fn open(source: Arc<dyn Source>, options: &ArchiveOptions) -> Result<Self, ArchiveError> {
        let format = recognise(&source)?;
        let pool = Pool::new(options);
        let mut builder = TreeBuilder::new(options);
        let mut spilled_frames = Vec::new();
        let data = match format {
            Format::Tar => {
                let mut input = tar::PlainInput::new(&*source);
                tar::scan(&mut input, &mut builder)?;
                Data::Plain(Arc::clone(&source))
            }
            Format::Zip => {
                zip::scan(&source, &mut builder)?;
                Data::Plain(Arc::clone(&source))
            }
            Format::TarGzip => {
                let stream = Stream::gzip(Arc::clone(&source), output_max(source.len(), options));
                scan_stream(&stream, &pool, options, &mut builder, "gzip")?;
                Data::Packed(stream)
            }
            Format::TarZstd => {
                let limits = ListLimits {
                    window_bytes_max: options.window_bytes_max,
                    count_max: options.index_bytes_max / 32,
                    output_max: output_max(source.len(), options),
                };
                let stream = Stream::zstd(0, Arc::clone(&source), 0..source.len(), None, limits);
                let stream = stream.map_err(|located| refusal(located, source.len(), options))?;
                let limit = ArchiveError::Limit {
                    limit: "index_bytes_max",
                    max: options.index_bytes_max,
                    offset: source.len(),
                    entry: String::new(),
                };
                let stream = stream.ok_or(limit)?;
                match spilled(&stream, &pool, options)? {
                    Some(spill) => {
                        scan_tar(&mut tar::PlainInput::new(&*spill), &mut builder, "Zstandard")?;
                        spilled_frames = stream.frames();
                        Data::Plain(spill)
                    }
                    None => {
                        scan_stream(&stream, &pool, options, &mut builder, "Zstandard")?;
                        Data::Packed(stream)
                    }
                }
            }
        };
        let (tree, warnings) = builder.finish();
        let data = match (format, data) {
            (Format::Zip, _) => Data::Zip(ZipData::new(Arc::clone(&source), tree.packed.len(), options.expansion_max)),
            (_, data) => data,
        };
        Ok(Self { source, format, tree, warnings, data, pool, spilled_frames, hash_whole: options.hash_whole })
    }

    /// Opens an archive with an index that [`index_bytes`](Self::index_bytes) made of it.
    ///
    /// An index that is damaged or belongs to another archive is refused ([`ArchiveError::IndexDamaged`], [`ArchiveError::IndexStale`]); then [`open`](Self::open) is the way. The whole index is
    /// validated, and no index makes anything possible that an archive could not: but one from a stranger can show other names and other bytes
    /// of the archive than its headers do.
    pub fn open_with_index(
        source: Arc<dyn Source>,
        options: &ArchiveOptions,
        index: &[u8],
    ) -> Result<Self, ArchiveError> {
        let Saved { format, tree, warnings, length, spacing, points, frames, .. } =
            saved::load(&source, options, index)?;
        let pool = Pool::new(options);
        let mut spilled_frames = Vec::new();
        let data = match format {
            Format::Tar => Data::Plain(Arc::clone(&source)),
            Format::Zip => Data::Zip(ZipData::new(Arc::clone(&source), tree.packed.len(), options.expansion_max)),
            Format::TarGzip => {
                let stream = Stream::gzip(Arc::clone(&source), output_max(source.len(), options));
                stream.restore(&pool, points, spacing, length);
                Data::Packed(stream)
            }
            Format::TarZstd => {
                let stream = Stream::zstd_of(Arc::clone(&source), frames);
                match spilled(&stream, &pool, options)? {
                    Some(spill) => {
                        spilled_frames = stream.frames();
                        Data::Plain(spill)
                    }
                    None => Data::Packed(stream),
                }
            }
        };
        Ok(Self { source, format, tree, warnings, data, pool, spilled_frames, hash_whole: options.hash_whole })
    }

    /// The index with the access points, to be kept beside the archive.
    pub fn index_bytes(&self) -> Result<Vec<u8>, ArchiveError> {
        saved::save(self, self.hash_whole)
    }

    /// Which format it has.
    pub fn format(&self) -> Format {
        self.format
    }

    /// What of the archive does not show.
    pub fn warnings(&self) -> Warnings {
        self.warnings
    }

    /// What it takes now.
    pub fn usage(&self) -> Usage {
        let tree = &self.tree;
        let fixed = size_of_val(&*tree.nodes) + size_of_val(&*tree.entries) + size_of_val(&*tree.packed);
        let extras: u64 = tree.extras.iter().map(crate::tree::Extra::bytes).sum();
        Usage {
            inodes: tree.nodes.len() as u64,
            index_bytes: (fixed + tree.strings.len()) as u64 + extras,
            access_points_bytes: self.pool.points_bytes(),
            cached_bytes: self.pool.cached_bytes(),
        }
    }
}

/// Tells the format by the first bytes, or the last.
fn recognise(source: &Arc<dyn Source>) -> Result<Format, ArchiveError> {
    let mut first = [0; 512];
    let count = read_full(&**source, 0, &mut first).map_err(|errno| ArchiveError::Read { offset: 0, errno })?;
    let there = first.get(..count).unwrap_or_default();
    let skippable =
        there.get(1..4) == Some(&[0x2a, 0x4d, 0x18]) && there.first().is_some_and(|byte| byte & 0xf0 == 0x50);
    if count == first.len() && tar::looks_like_tar(&first) {
        return Ok(Format::Tar);
    }
    if there.starts_with(&[0x1f, 0x8b]) {
        return Ok(Format::TarGzip);
    }
    if there.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) || skippable {
        return Ok(Format::TarZstd);
    }
    let zip = there.starts_with(b"PK\x03\x04") || there.starts_with(b"PK\x05\x06") || zip::ends_like_zip(source);
    if zip {
        return Ok(Format::Zip);
    }
    Err(ArchiveError::UnknownFormat { begins: there.get(..there.len().min(8)).unwrap_or_default().to_vec() })
}

/// How much a compressed tar of this length may become.
pub(crate) fn output_max(length: u64, options: &ArchiveOptions) -> u64 {
    expanded(length, options.expansion_max).min(options.stream_bytes_max)
}

/// How much something compressed of this length may become.
pub(crate) fn expanded(length: u64, expansion_max: u64) -> u64 {
    length.saturating_mul(expansion_max).max(EXPANSION_FREE_BYTES)
}

fn scan_stream(
    stream: &Stream,
    pool: &Pool,
    options: &ArchiveOptions,
    builder: &mut TreeBuilder<'_>,
    compression: &'static str,
) -> Result<(), ArchiveError> {
    let furthest = scan_tar(&mut StreamInput { stream, pool, options }, builder, compression)?;
    let length = stream.finish(pool).map_err(|located| refusal(located, stream.source_bytes(), options))?;
    if furthest.end > length {
        let Furthest { offset, entry, .. } = furthest;
        let entry = shortened(&String::from_utf8_lossy(&entry));
        return Err(ArchiveError::Truncated { what: "the data", offset, entry });
    }
    Ok(())
}

fn scan_tar(
    input: &mut dyn tar::Input,
    builder: &mut TreeBuilder<'_>,
    compression: &'static str,
) -> Result<Furthest, ArchiveError> {
    let mut first = [0; 512];
    if input.read(0, &mut first)? < first.len() || !tar::looks_like_tar(&first) {
        return Err(ArchiveError::NotATarInside { format: compression });
    }
    tar::scan(input, builder)
}

/// Decompresses a stream without useful access points into the spill, if there is one.
fn spilled(stream: &Stream, pool: &Pool, options: &ArchiveOptions) -> Result<Option<Arc<dyn Source>>, ArchiveError> {
    let Some(spill) = &options.spill else { return Ok(None) };
    if stream.longest_stretch() <= pool.spacing.saturating_mul(STRETCHES_MAX) {
        return Ok(None);
    }
    if !spill.is_empty() {
        // What is in it would be taken for part of the tar.
        return Err(ArchiveError::Spill { offset: 0, errno: Errno::Exist });
    }
    let mut buffer = vec![0; 1 << 20];
    let mut at = 0u64;
    loop {
        let count =
            stream.read(pool, at, &mut buffer).map_err(|located| refusal(located, stream.source_bytes(), options))?;
        let Some(bytes) = buffer.get(..count).filter(|bytes| !bytes.is_empty()) else { break };
        spill.write_at(at, bytes).map_err(|errno| ArchiveError::Spill { offset: at, errno })?;
        at = at.saturating_add(count as u64);
    }
    let spill: Arc<dyn Spill> = Arc::clone(spill);
    Ok(Some(spill))
}

/// What a fault means for the archive as a whole.
fn refusal(located: Located, source_bytes: u64, options: &ArchiveOptions) -> ArchiveError {
    let Located { fault, offset } = located;
    let entry = String::new();
    match fault {
        Fault::Source(errno) => ArchiveError::Read { offset, errno },
        Fault::Ended => ArchiveError::Truncated { what: "the compressed data", offset, entry },
        Fault::Damaged(what) => ArchiveError::Damaged { what, offset, entry },
        Fault::Unsupported(what) => ArchiveError::Unsupported { what, offset, entry },
        Fault::Window => {
            ArchiveError::Limit { limit: "window_bytes_max", max: options.window_bytes_max, offset, entry }
        }
        Fault::TooLarge => {
            // Whichever of the two is the smaller.
            let (limit, max) = match options.stream_bytes_max <= expanded(source_bytes, options.expansion_max) {
                true => ("stream_bytes_max", options.stream_bytes_max),
                false => ("expansion_max", options.expansion_max),
            };
            ArchiveError::Limit { limit, max, offset, entry }
        }
    }
}

/// What a guest is told when a read fails.
pub(crate) fn errno(located: Located) -> Errno {
    located.fault.errno()
}
