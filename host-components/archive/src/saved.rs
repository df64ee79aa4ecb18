//! The index in a file beside the archive.
//!
//! A magic number, the BLAKE3 hash of the rest, and the rest in the encoding of `postcard`. The hash notices damage. What says that the index belongs to the archive is a hash of the
//! archive's length and samples, or of all of it. Neither makes the index trusted: `validate` checks all of it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::archive::{Archive, Format};
use crate::codec::{Frame, Point};
use crate::data::Data;
use crate::error::{ArchiveError, Warnings};
use crate::options::ArchiveOptions;
use crate::source::{Source, read_full};
use crate::tree::Tree;
use crate::validate;

const MAGIC: [u8; 8] = *b"eyotaix\x01";
const HASH_BYTES: usize = 32;
/// Up to this length an archive is always hashed whole.
const WHOLE_BYTES: u64 = 1 << 20;
const SAMPLES: u64 = 128;
const SAMPLE_BYTES: u64 = 4096;

/// What is saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Saved {
    pub source_bytes: u64,
    pub whole: bool,
    pub hash: [u8; HASH_BYTES],
    pub format: Format,
    pub tree: Tree,
    pub warnings: Warnings,
    /// The length of the tar: decompressed, if it is compressed.
    pub length: u64,
    pub spacing: u64,
    pub points: Vec<Point>,
    pub frames: Vec<Frame>,
}

/// Encodes the index of an archive.
pub(crate) fn save(archive: &Archive, whole: bool) -> Result<Vec<u8>, ArchiveError> {
    let source = &archive.source;
    let (mut points, mut spacing, mut frames) = (Vec::new(), 0, Vec::new());
    let length = match &archive.data {
        Data::Packed(stream) => {
            (points, spacing) = stream.points();
            frames = stream.frames();
            stream.length().unwrap_or(0)
        }
        Data::Plain(source) => source.len(),
        Data::Zip(_) => source.len(),
    };
    if archive.format == Format::TarZstd && frames.is_empty() {
        frames = archive.spilled_frames.clone();
    }
    let saved = Saved {
        source_bytes: source.len(),
        whole,
        hash: fingerprint(&**source, whole)?,
        format: archive.format,
        tree: archive.tree.clone(),
        warnings: archive.warnings,
        length,
        spacing,
        points,
        frames,
    };
    let body = postcard::to_allocvec(&saved);
    let body = body.map_err(|_| ArchiveError::IndexDamaged { what: "it cannot be encoded" })?;
    Ok([&MAGIC[..], blake3::hash(&body).as_bytes(), &body].concat())
}

/// Decodes and validates an index for an archive.
pub(crate) fn load(source: &Arc<dyn Source>, options: &ArchiveOptions, bytes: &[u8]) -> Result<Saved, ArchiveError> {
    let damaged = |what| ArchiveError::IndexDamaged { what };
    let body = bytes.strip_prefix(&MAGIC).ok_or(damaged("it does not begin as an index of this version does"))?;
    let (hash, body) = body.split_at_checked(HASH_BYTES).ok_or(damaged("it is cut short"))?;
    if blake3::hash(body).as_bytes() != hash {
        return Err(damaged("its hash is wrong"));
    }
    if body.len() as u64 > options.index_bytes_max {
        let max = options.index_bytes_max;
        return Err(ArchiveError::Limit { limit: "index_bytes_max", max, offset: 0, entry: String::new() });
    }
    let saved: Saved = postcard::from_bytes(body).map_err(|_| damaged("it cannot be decoded"))?;
    if saved.source_bytes != source.len() {
        return Err(ArchiveError::IndexStale { what: "its length is another" });
    }
    if options.hash_whole && !saved.whole {
        return Err(ArchiveError::IndexStale { what: "the index has only samples of it, and hash_whole is asked for" });
    }
    if fingerprint(&**source, saved.whole)? != saved.hash {
        return Err(ArchiveError::IndexStale { what: "its contents are others" });
    }
    validate::validate(&saved, options).map_err(damaged)?;
    Ok(saved)
}

/// The hash of the whole source, or of its length and samples at even distances, the beginning and the end among them.
fn fingerprint(source: &dyn Source, whole: bool) -> Result<[u8; HASH_BYTES], ArchiveError> {
    let length = source.len();
    let mut hasher = blake3::Hasher::new();
    hasher.update(&length.to_le_bytes());
    let mut feed = |from: u64, to: u64| {
        let mut buffer = vec![0; usize::try_from(to - from).unwrap_or(usize::MAX).min(1 << 20)];
        let mut at = from;
        while at < to {
            let wanted = usize::try_from(to - at).unwrap_or(usize::MAX).min(buffer.len());
            let target = buffer.get_mut(..wanted).unwrap_or_default();
            let count = read_full(source, at, target).map_err(|errno| ArchiveError::Read { offset: at, errno })?;
            if count == 0 {
                break;
            }
            hasher.update(target.get(..count).unwrap_or_default());
            at += count as u64;
        }
        Ok(())
    };
    if whole || length <= WHOLE_BYTES {
        feed(0, length)?;
    } else {
        let step = (length - SAMPLE_BYTES) / (SAMPLES - 1);
        for sample in 0..SAMPLES {
            let at = if sample == SAMPLES - 1 { length - SAMPLE_BYTES } else { sample * step };
            feed(at, at + SAMPLE_BYTES)?;
        }
    }
    Ok(*hasher.finalize().as_bytes())
}
