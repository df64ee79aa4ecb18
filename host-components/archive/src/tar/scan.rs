//! The pass over the headers.

use super::header::{BLOCK_BYTES, Header};
use super::pax::Pax;
use super::sparse;
use crate::builder::{Body, NAME_BYTES_MAX, NewEntry, TreeBuilder, XATTR_BYTES_MAX};
use crate::error::ArchiveError;
use crate::source::{Source, read_full};
use crate::tree::{Extra, Kind};

/// The largest pax header, in bytes.
const PAX_BYTES_MAX: u64 = 4 << 20;
/// How much of a long name of GNU tar is read: enough to see that it is too long.
const LONG_NAME_BYTES: u64 = 8192;
/// Who owns what has an owner beyond 2^32 (`nobody`).
const NOBODY: u32 = 65534;

/// A tar, read mostly forward.
pub(crate) trait Input {
    /// Reads at `offset`; fewer only at the end.
    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize, ArchiveError>;

    /// How long it is, when that is known.
    fn length(&self) -> Option<u64>;
}

/// A tar as it lies in a source. Where files are small, headers are read many at a time.
pub(crate) struct PlainInput<'s> {
    source: &'s dyn Source,
    buffer: Vec<u8>,
    start: u64,
    end: u64,
}

impl<'s> PlainInput<'s> {
    const FAR_BYTES: u64 = 16 * 1024;
    const AHEAD_BYTES: usize = 32 * 1024;

    pub(crate) fn new(source: &'s dyn Source) -> Self {
        Self { source, buffer: vec![0; Self::AHEAD_BYTES], start: 0, end: 0 }
    }
}

impl Input for PlainInput<'_> {
    fn read(&mut self, offset: u64, buffer: &mut [u8]) -> Result<usize, ArchiveError> {
        let length = buffer.len() as u64;
        let failed = |errno| ArchiveError::Read { offset, errno };
        let inside = |start: u64, end: u64| offset >= start && offset.checked_add(length).is_some_and(|it| it <= end);
        if !inside(self.start, self.end) {
            let far = offset.abs_diff(self.end) > Self::FAR_BYTES;
            if far || buffer.len() > self.buffer.len() {
                (self.start, self.end) = (offset, offset);
                return read_full(self.source, offset, buffer).map_err(failed);
            }
            let count = read_full(self.source, offset, &mut self.buffer).map_err(failed)?;
            (self.start, self.end) = (offset, offset.saturating_add(count as u64));
        }
        let from = (offset - self.start) as usize;
        let ready = self.buffer.get(from..(self.end - self.start) as usize).unwrap_or_default();
        let count = ready.len().min(buffer.len());
        if let (Some(target), Some(ready)) = (buffer.get_mut(..count), ready.get(..count)) {
            target.copy_from_slice(ready);
        }
        Ok(count)
    }

    fn length(&self) -> Option<u64> {
        Some(self.source.len())
    }
}

/// The end of the data that lies furthest back, to be compared with the tar's length when that is known.
#[derive(Default)]
pub(crate) struct Furthest {
    pub end: u64,
    pub offset: u64,
    pub entry: Vec<u8>,
}

/// What headers before an entry say of it.
#[derive(Default)]
struct Before {
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    pax: Option<Pax>,
}

struct Scan<'i, 'b, 'o> {
    input: &'i mut dyn Input,
    builder: &'b mut TreeBuilder<'o>,
    /// What a global pax header says of all that follow.
    global: Pax,
    before: Before,
    furthest: Furthest,
}

/// Reads all headers into `builder`.
pub(crate) fn scan(input: &mut dyn Input, builder: &mut TreeBuilder<'_>) -> Result<Furthest, ArchiveError> {
    let (global, before, furthest) = (Pax::default(), Before::default(), Furthest::default());
    let mut scan = Scan { input, builder, global, before, furthest };
    let mut at = 0;
    while let Some(next) = scan.entry(at)? {
        at = next;
    }
    Ok(scan.furthest)
}

/// Reads one block that must be there.
pub(crate) fn read_block(
    input: &mut dyn Input,
    offset: u64,
    what: &'static str,
) -> Result<[u8; BLOCK_BYTES], ArchiveError> {
    let mut block = [0; BLOCK_BYTES];
    match input.read(offset, &mut block)? {
        BLOCK_BYTES => Ok(block),
        _ => Err(ArchiveError::Truncated { what, offset, entry: String::new() }),
    }
}

fn damaged(what: &'static str, offset: u64) -> ArchiveError {
    ArchiveError::Damaged { what, offset, entry: String::new() }
}

impl Scan<'_, '_, '_> {
    /// Reads the header at `at`; answers where the next one is, or nothing at the end.
    fn entry(&mut self, at: u64) -> Result<Option<u64>, ArchiveError> {
        let mut block = [0; BLOCK_BYTES];
        match self.input.read(at, &mut block)? {
            // Some programs write no zeroes at the end.
            0 => return Ok(None),
            BLOCK_BYTES => {}
            _ => return Err(ArchiveError::Truncated { what: "a header", offset: at, entry: String::new() }),
        }
        let header = Header(&block);
        if header.is_zero() {
            return Ok(None);
        }
        if !header.checksum_is_right() {
            return Err(damaged("the header's checksum is wrong", at));
        }
        self.builder.count_entry(at)?;
        let result = match header.kind() {
            b'x' | b'X' | b'g' | b'L' | b'K' => self.extension(&header, at),
            _ => {
                let before = std::mem::take(&mut self.before);
                self.file(&header, at, before)
            }
        };
        result.map(Some).map_err(|error| error.in_entry(&String::from_utf8_lossy(&header.path())))
    }

    /// Where the header after `size` bytes of data is. The data must be there.
    fn next(&mut self, data: u64, size: u64, name: &[u8]) -> Result<u64, ArchiveError> {
        let end = data.checked_add(size).ok_or_else(|| damaged("a size beyond 2^64", data))?;
        if self.input.length().is_some_and(|length| end > length) {
            return Err(ArchiveError::Truncated { what: "the data", offset: data, entry: String::new() });
        }
        if end > self.furthest.end && size > 0 {
            (self.furthest.end, self.furthest.offset) = (end, data);
            self.furthest.entry.clear();
            self.furthest.entry.extend_from_slice(name);
        }
        end.checked_next_multiple_of(BLOCK_BYTES as u64).ok_or_else(|| damaged("a size beyond 2^64", data))
    }

    /// A header that says something of the next entry, or of all that follow.
    fn extension(&mut self, header: &Header<'_>, at: u64) -> Result<u64, ArchiveError> {
        let size = header.size().ok_or_else(|| damaged("the header's size is no number", at))?;
        let data = at + BLOCK_BYTES as u64;
        let next = self.next(data, size, b"")?;
        let kind = header.kind();
        let long = matches!(kind, b'L' | b'K');
        if !long && size > PAX_BYTES_MAX {
            let what = "a pax header of more than 4 MiB";
            return Err(ArchiveError::Unsupported { what, offset: at, entry: String::new() });
        }
        let mut bytes = vec![0; size.min(if long { LONG_NAME_BYTES } else { PAX_BYTES_MAX }) as usize];
        if self.input.read(data, &mut bytes)? < bytes.len() {
            return Err(ArchiveError::Truncated { what: "a header's data", offset: data, entry: String::new() });
        }
        match kind {
            b'L' | b'K' => {
                bytes.truncate(bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len()));
                *(if kind == b'L' { &mut self.before.long_name } else { &mut self.before.long_link }) = Some(bytes);
            }
            b'g' => {
                self.global.read(&bytes).map_err(|what| damaged(what, data))?;
                // What only makes sense for one entry is not taken; so a copy for each entry stays small.
                let Pax { path, link, size, xattrs, sparse, .. } = &mut self.global;
                (*path, *link, *size) = (None, None, None);
                (*xattrs, *sparse) = Default::default();
            }
            _ => {
                let mut pax = self.before.pax.take().unwrap_or_else(|| self.global.clone());
                pax.read(&bytes).map_err(|what| damaged(what, data))?;
                if pax.bytes() > PAX_BYTES_MAX {
                    let what = "pax headers of more than 4 MiB for one entry";
                    return Err(ArchiveError::Unsupported { what, offset: at, entry: String::new() });
                }
                self.before.pax = Some(pax);
            }
        }
        Ok(next)
    }

    /// A header that stands for a file of some kind.
    fn file(&mut self, header: &Header<'_>, at: u64, before: Before) -> Result<u64, ArchiveError> {
        let mut pax = before.pax.unwrap_or_else(|| self.global.clone());
        let path = pax.path.take().or(before.long_name).unwrap_or_else(|| header.path());
        let link = pax.link.take().or(before.long_link);
        let stored = pax.size.or_else(|| header.size()).ok_or_else(|| damaged("the header's size is no number", at));
        let next = stored.and_then(|stored| self.node(header, at, &pax, (&path, link), stored));
        next.map_err(|error| error.in_entry(&String::from_utf8_lossy(&path)))
    }

    /// Adds the node or the link of a header whose path is known; `stored` is the size of its data. Answers where the next header is.
    fn node(
        &mut self,
        header: &Header<'_>,
        at: u64,
        pax: &Pax,
        (path, link): (&[u8], Option<Vec<u8>>),
        stored: u64,
    ) -> Result<u64, ArchiveError> {
        let data = at + BLOCK_BYTES as u64;
        let target = link.as_deref().unwrap_or_else(|| header.link());
        match header.kind() {
            b'1' => {
                let stored = if self.is_header(data)? { 0 } else { stored };
                let next = self.next(data, stored, path)?;
                self.builder.link(path, target, at)?;
                return Ok(next);
            }
            b'V' | b'M' | b'N' => {
                self.builder.warnings.no_files += 1;
                return self.next(data, stored, path);
            }
            _ => {}
        }
        let map = match header.kind() {
            b'S' => Some(sparse::gnu(self.input, header.gnu_sparse(), data, stored)?),
            _ => None,
        };
        let next = self.next(map.as_ref().map_or(data, |map| map.data_start), stored, path)?;
        let mut extra = self.extra(header, pax);
        let (kind, body) = match header.kind() {
            b'2' => (Kind::Symlink, Body::Target(target)),
            b'3' => (Kind::CharacterDevice, Body::Device(device(header, pax))),
            b'4' => (Kind::BlockDevice, Body::Device(device(header, pax))),
            b'5' | b'D' => (Kind::Directory, Body::Nothing),
            b'6' => (Kind::Fifo, Body::Nothing),
            // Before POSIX a directory was a file with a slash at its end.
            b'0' | 0 if path.ends_with(b"/") => (Kind::Directory, Body::Nothing),
            // Kinds that are not known are files, as POSIX has it.
            _ => match map.map_or_else(|| sparse::pax(self.input, pax, data, stored), |map| Ok(Some(map)))? {
                Some(map) => {
                    extra.segments = Some(map.segments);
                    (Kind::File, Body::Data { start: map.data_start, length: map.size, packed: None })
                }
                None => (Kind::File, Body::Data { start: data, length: stored, packed: None }),
            },
        };
        let id = |id: Option<u64>| id.map_or(0, |id| u32::try_from(id).unwrap_or(NOBODY));
        self.builder.add(NewEntry {
            path,
            kind,
            mode: header.mode(),
            uid: id(pax.uid.or_else(|| header.uid())),
            gid: id(pax.gid.or_else(|| header.gid())),
            modified: pax.modified.unwrap_or_else(|| header.modified()),
            body,
            extra,
            offset: at,
        })?;
        Ok(next)
    }

    /// Hard links have no data in most archives, whatever their size says; in some pax archives they do. It is known by what follows.
    fn is_header(&mut self, at: u64) -> Result<bool, ArchiveError> {
        let mut block = [0; BLOCK_BYTES];
        if self.input.read(at, &mut block)? < BLOCK_BYTES {
            return Ok(true);
        }
        let header = Header(&block);
        Ok(header.is_zero() || header.checksum_is_right())
    }

    fn extra(&mut self, header: &Header<'_>, pax: &Pax) -> Extra {
        let (accessed, changed) = header.gnu_times();
        let mut extra = Extra {
            accessed: pax.accessed.or(accessed),
            changed: pax.changed.or(changed),
            created: pax.created,
            ..Extra::default()
        };
        for (name, value) in &pax.xattrs {
            match std::str::from_utf8(name) {
                Ok(name)
                    if (1..=NAME_BYTES_MAX).contains(&name.len())
                        && !name.contains('\0')
                        && value.len() <= XATTR_BYTES_MAX =>
                {
                    extra.xattrs.push((name.to_owned(), value.clone()));
                }
                _ => self.builder.warnings.bad_xattrs += 1,
            }
        }
        extra
    }
}

fn device(header: &Header<'_>, pax: &Pax) -> u64 {
    match pax.device {
        (Some(major), Some(minor)) => super::header::make_device(major, minor),
        _ => header.device(),
    }
}
