//! Sparse files: GNU's old form (type `S`) and its forms in pax headers (0.0, 0.1 and 1.0).

use super::header::{BLOCK_BYTES, more_pairs};
use super::pax::{Pax, decimal};
use super::scan::{Input, read_block};
use crate::error::ArchiveError;
use crate::tree::Segment;

/// The most pieces of one file.
const SEGMENTS_MAX: usize = 1 << 20;

/// Where a sparse file's data lies.
pub(crate) struct Map {
    pub segments: Vec<Segment>,
    /// The file's length.
    pub size: u64,
    /// Where the data begins, after blocks of the map.
    pub data_start: u64,
}

fn damaged(what: &'static str, offset: u64) -> ArchiveError {
    ArchiveError::Damaged { what, offset, entry: String::new() }
}

fn too_many(offset: u64) -> ArchiveError {
    ArchiveError::Unsupported { what: "a sparse file of more than a million pieces", offset, entry: String::new() }
}

/// The map of an entry of type `S`, whose header at `data_start - 512` begins it; `stored` bytes of data follow.
pub(crate) fn gnu(
    input: &mut dyn Input,
    header: (Vec<(u64, u64)>, bool, Option<u64>),
    data_start: u64,
    stored: u64,
) -> Result<Map, ArchiveError> {
    let (mut pairs, mut more, size) = header;
    let size = size.ok_or_else(|| damaged("a sparse file without a size", data_start))?;
    let mut at = data_start;
    while more {
        let block = read_block(input, at, "a map of a sparse file")?;
        let (found, again) = more_pairs(&block);
        pairs.extend(found);
        if pairs.len() > SEGMENTS_MAX {
            return Err(too_many(at));
        }
        more = again;
        at = at.checked_add(BLOCK_BYTES as u64).ok_or_else(|| damaged("an offset beyond 2^64", at))?;
    }
    Ok(Map { segments: segments(pairs, at, stored, size)?, size, data_start: at })
}

/// The map that pax headers describe, if they do. `stored` bytes at `data_start`, those of a map of version 1.0 included.
pub(crate) fn pax(input: &mut dyn Input, pax: &Pax, data_start: u64, stored: u64) -> Result<Option<Map>, ArchiveError> {
    if !pax.sparse.there {
        return Ok(None);
    }
    let size = pax.sparse.size.unwrap_or(stored);
    let (numbers, map_bytes) = match pax.sparse.major {
        None | Some(0) => (pax.sparse.map.clone(), 0),
        Some(1) => leading_map(input, data_start, stored)?,
        Some(_) => {
            let what = "a version of sparse files that is not known";
            return Err(ArchiveError::Unsupported { what, offset: data_start, entry: String::new() });
        }
    };
    if numbers.len() > 2 * SEGMENTS_MAX {
        return Err(too_many(data_start));
    }
    if !numbers.len().is_multiple_of(2) {
        return Err(damaged("a map of a sparse file with half a pair", data_start));
    }
    let pairs = numbers.chunks_exact(2).filter_map(|pair| Some((*pair.first()?, *pair.get(1)?))).collect();
    // The map lies within the data: `leading_map` saw to it.
    let data = data_start.saturating_add(map_bytes);
    Ok(Some(Map { segments: segments(pairs, data, stored.saturating_sub(map_bytes), size)?, size, data_start: data }))
}

/// The map of version 1.0: decimal numbers, a line each, first how many pairs there are, padded to whole blocks.
fn leading_map(input: &mut dyn Input, start: u64, stored: u64) -> Result<(Vec<u64>, u64), ArchiveError> {
    let (mut numbers, mut digits, mut used, mut wanted) = (Vec::new(), Vec::new(), 0u64, None);
    loop {
        let at = start.saturating_add(used);
        if used >= stored {
            return Err(damaged("a map of a sparse file that goes beyond its data", at));
        }
        let block = read_block(input, at, "a map of a sparse file")?;
        used += BLOCK_BYTES as u64;
        for byte in block {
            if byte != b'\n' {
                digits.push(byte);
                if digits.len() > 20 {
                    return Err(damaged("a map of a sparse file that is none", at));
                }
                continue;
            }
            let number = decimal(&digits).ok_or_else(|| damaged("a map of a sparse file that is none", at))?;
            digits.clear();
            match wanted {
                None if number > SEGMENTS_MAX as u64 => return Err(too_many(at)),
                None => wanted = Some(number * 2),
                Some(_) => numbers.push(number),
            }
            if wanted == Some(numbers.len() as u64) {
                return Ok((numbers, used));
            }
        }
    }
}

/// Pieces from pairs of offset and length that must ascend, fit the file and use no more than the data that is stored.
fn segments(pairs: Vec<(u64, u64)>, data: u64, stored: u64, size: u64) -> Result<Vec<Segment>, ArchiveError> {
    let (mut segments, mut used, mut end) = (Vec::new(), 0u64, 0u64);
    for (offset, length) in pairs {
        let piece_end = offset.checked_add(length).filter(|&it| it <= size && offset >= end);
        end = piece_end.ok_or_else(|| damaged("pieces of a sparse file out of order or beyond its size", data))?;
        let start = data.checked_add(used).ok_or_else(|| damaged("an offset beyond 2^64", data))?;
        used = used
            .checked_add(length)
            .filter(|&used| used <= stored)
            .ok_or_else(|| damaged("pieces of a sparse file that need more data than is stored", data))?;
        if length > 0 {
            segments.push(Segment { offset, length, start });
        }
    }
    Ok(segments)
}
