//! Zip: the central directory, read by `rawzip` in pieces and in bounded memory. The crate `zip` keeps every record whole and hands out one reader at a
//! time.
//!
//! A file's local header is read when the file is: only it says where the data begins.

use std::sync::Arc;

use rawzip::extra_fields::{ExtraFieldId, ExtraFields};
use rawzip::{CreatorSystem, ErrorKind, ReaderAt, ZipArchive, ZipFileHeaderRecord};

use crate::builder::{Body, NewEntry, TreeBuilder};
use crate::error::ArchiveError;
use crate::source::{Source, read_full};
use crate::tree::{Extra, Kind, Packed, Time};

/// Methods of compression (APPNOTE 4.4.5).
pub(crate) const STORED: u16 = 0;
pub(crate) const DEFLATED: u16 = 8;
pub(crate) const ZSTD: u16 = 93;
/// As some programs wrote it before 93 was assigned.
pub(crate) const ZSTD_OLD: u16 = 20;

/// The longest record of a central directory: the fixed part, and three parts of 65535 bytes.
const RECORD_BYTES_MAX: usize = rawzip::MAX_CENTRAL_DIRECTORY_RECORD_SIZE;

/// A source as `rawzip` reads it.
struct Reader(Arc<dyn Source>);

impl ReaderAt for Reader {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> std::io::Result<usize> {
        self.0.read_at(offset, buffer).map_err(|errno| std::io::Error::from_raw_os_error(errno.linux()))
    }
}

/// Whether a source that does not begin as a zip ends as one: programs that unpack themselves do.
pub(crate) fn ends_like_zip(source: &Arc<dyn Source>) -> bool {
    let mut buffer = vec![0; RECORD_BYTES_MAX];
    ZipArchive::with_max_search_space(128 * 1024)
        .locate_in_reader(Reader(Arc::clone(source)), &mut buffer, source.len())
        .is_ok()
}

/// Reads the central directory into `builder`.
pub(crate) fn scan(source: &Arc<dyn Source>, builder: &mut TreeBuilder<'_>) -> Result<(), ArchiveError> {
    let mut buffer = vec![0; RECORD_BYTES_MAX];
    let archive = ZipArchive::with_max_search_space(128 * 1024)
        .locate_in_reader(Reader(Arc::clone(source)), &mut buffer, source.len())
        .map_err(|(_, error)| problem(error, source.len(), "the end of the central directory"))?;
    let directory = archive.directory_offset();
    let expected = archive.entries_hint();
    let mut entries = archive.entries(&mut buffer);
    let mut count = 0u64;
    while let Some(record) = entries.next_entry().map_err(|error| problem(error, directory, "the central directory"))? {
        count += 1;
        builder.count_entry(record.central_directory_offset())?;
        add(&record, builder)
            .map_err(|error| error.in_entry(&String::from_utf8_lossy(record.file_path().as_bytes())))?;
    }
    if count != expected {
        let what = "the central directory has another number of entries than its end says";
        return Err(ArchiveError::Damaged { what, offset: directory, entry: String::new() });
    }
    Ok(())
}

fn problem(error: rawzip::Error, offset: u64, part: &'static str) -> ArchiveError {
    match error.kind() {
        ErrorKind::IO(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => {
            ArchiveError::Read { offset, errno: eyot_backend::Errno::from(error) }
        }
        ErrorKind::IO(_) | ErrorKind::Eof | ErrorKind::MissingEndOfCentralDirectory => {
            ArchiveError::Truncated { what: part, offset, entry: String::new() }
        }
        _ => ArchiveError::Damaged {
            what: "a record of the central directory cannot be true",
            offset,
            entry: String::new(),
        },
    }
}

fn add(record: &ZipFileHeaderRecord<'_>, builder: &mut TreeBuilder<'_>) -> Result<(), ArchiveError> {
    const TYPE: u32 = 0o170_000;
    let path = record.file_path();
    let found = Found::read(record.extra_fields());
    let mode = mode(record);
    let is_dir = path.as_bytes().ends_with(b"/");
    let kind = match mode & TYPE {
        _ if is_dir => Kind::Directory,
        0o120_000 => Kind::Symlink,
        0o040_000 => Kind::Directory,
        0o010_000 => Kind::Fifo,
        0o140_000 => Kind::Socket,
        // Zip keeps no device numbers.
        0o020_000 | 0o060_000 => {
            builder.warnings.no_files += 1;
            return Ok(());
        }
        _ => Kind::File,
    };
    let flags = record.flags();
    let body = match kind {
        Kind::File | Kind::Symlink => Body::Data {
            start: record.local_header_offset(),
            length: record.uncompressed_size_hint(),
            packed: Some(Packed {
                method: record.compression_method().as_u16(),
                encrypted: flags.is_encrypted() || flags.has_strong_encryption(),
                crc32: record.crc32(),
                length: record.compressed_size_hint(),
            }),
        },
        _ => Body::Nothing,
    };
    let dos = record.last_modified_dos();
    let (uid, gid) = found.owner.unwrap_or_default();
    builder.add(NewEntry {
        path: path.as_bytes(),
        kind,
        mode: mode & 0o7777,
        uid,
        gid,
        modified: found.modified.unwrap_or_else(|| {
            civil(dos.year().into(), dos.month().into(), dos.day().into(), [dos.hour(), dos.minute(), dos.second()])
        }),
        body,
        extra: Extra { accessed: found.accessed, created: found.created, ..Extra::default() },
        offset: record.central_directory_offset(),
    })
}

/// The kind and permissions, as in `st_mode`.
fn mode(record: &ZipFileHeaderRecord<'_>) -> u32 {
    let system = record.version_made_by().creator_system();
    let unix = system == CreatorSystem::UNIX || system == CreatorSystem::MACOS;
    match record.mode().value() {
        // Programs that know no permissions leave none: a file that nobody can read is not what they mean.
        _ if unix && record.external_attributes() >> 16 == 0 && record.is_dir() => 0o040_755,
        _ if unix && record.external_attributes() >> 16 == 0 => 0o100_644,
        mode if unix => mode,
        mode => mode & !0o022,
    }
}

/// What extra fields say.
#[derive(Default)]
struct Found {
    modified: Option<Time>,
    accessed: Option<Time>,
    created: Option<Time>,
    owner: Option<(u32, u32)>,
}

impl Found {
    fn read(fields: ExtraFields<'_>) -> Self {
        let mut found = Found::default();
        for (id, data) in fields {
            match id {
                ExtraFieldId::EXTENDED_TIMESTAMP if data.first().is_some_and(|flags| flags & 1 != 0) => {
                    let seconds = data.get(1..5).and_then(|bytes| bytes.try_into().ok()).map(i32::from_le_bytes);
                    let time = seconds.map(|seconds| Time { seconds: seconds.into(), nanoseconds: 0 });
                    // The finer times of NTFS are kept when they were there before.
                    found.modified = found.modified.or(time);
                }
                ExtraFieldId::NTFS => {
                    let time = |at: usize| {
                        // After four bytes reserved, attribute 1 with 24 bytes: three times.
                        (data.get(4..8)? == [1, 0, 24, 0]).then_some(())?;
                        windows_time(u64::from_le_bytes(data.get(at..at + 8)?.try_into().ok()?))
                    };
                    found.modified = time(8).or(found.modified);
                    (found.accessed, found.created) = (time(16), time(24));
                }
                ExtraFieldId::INFO_ZIP_UNIX_UID_GID => found.owner = owner(data).or(found.owner),
                _ => {}
            }
        }
        found
    }
}

/// Version 1, then the length and bytes of the user's number, then of the group's.
fn owner(data: &[u8]) -> Option<(u32, u32)> {
    let number = |at: usize| {
        let length = usize::from(*data.get(at)?);
        let bytes = data.get(at + 1..at + 1 + length)?;
        let wide = bytes
            .iter()
            .rev()
            .take(8)
            .try_fold(0u64, |value, &byte| value.checked_mul(256).map(|value| value | u64::from(byte)))?;
        Some((u32::try_from(wide).unwrap_or(65534), at + 1 + length))
    };
    if data.first() != Some(&1) {
        return None;
    }
    let (uid, at) = number(1)?;
    Some((uid, number(at)?.0))
}

/// From units of 100 ns since 1601.
fn windows_time(units: u64) -> Option<Time> {
    const UNITS_PER_SECOND: u64 = 10_000_000;
    const SECONDS_1601_TO_1970: i64 = 11_644_473_600;
    if units == 0 {
        return None;
    }
    let seconds = i64::try_from(units / UNITS_PER_SECOND).ok()? - SECONDS_1601_TO_1970;
    Some(Time { seconds, nanoseconds: (units % UNITS_PER_SECOND) as u32 * 100 })
}

/// Seconds since 1970 of a civil time; it has no zone, and is taken as UTC.
fn civil(year: i64, month: i64, day: i64, [hour, minute, second]: [u8; 3]) -> Time {
    // Years begin in March, so that the leap day is the last.
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    let days = era * 146_097 + day_of_era - 719_468;
    let seconds = days * 86_400 + i64::from(hour) * 3600 + i64::from(minute) * 60 + i64::from(second);
    Time { seconds, nanoseconds: 0 }
}

/// Where the data of the file with its local header at `header` begins, when `length` bytes of it are there.
pub(crate) fn data_start(source: &dyn Source, header: u64, length: u64) -> Option<u64> {
    const FIXED_BYTES: usize = 30;
    let mut fixed = [0; FIXED_BYTES];
    if read_full(source, header, &mut fixed).ok()? < FIXED_BYTES || !fixed.starts_with(b"PK\x03\x04") {
        return None;
    }
    let u16_at = |at: usize| Some(u64::from(u16::from_le_bytes(fixed.get(at..at + 2)?.try_into().ok()?)));
    let start = header.checked_add(FIXED_BYTES as u64 + u16_at(26)? + u16_at(28)?)?;
    start.checked_add(length).filter(|&end| end <= source.len())?;
    Some(start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_counted_from_1970() {
        for (seconds, year, month, day, clock) in [
            (0, 1970, 1, 1, [0, 0, 0]),
            (951_782_400, 2000, 2, 29, [0, 0, 0]),
            (951_868_799, 2000, 2, 29, [23, 59, 59]),
            (315_532_800, 1980, 1, 1, [0, 0, 0]),
            (4_107_542_399, 2100, 2, 28, [23, 59, 59]),
        ] {
            assert_eq!(civil(year, month, day, clock).seconds, seconds);
        }
        assert_eq!(windows_time(116_444_736_000_000_001), Some(Time { seconds: 0, nanoseconds: 100 }));
        assert_eq!(windows_time(0), None);
    }

    #[test]
    fn owners_of_any_length_are_read() {
        assert_eq!(owner(&[1, 4, 0xe8, 3, 0, 0, 4, 100, 0, 0, 0]), Some((1000, 100)));
        assert_eq!(owner(&[1, 2, 0xe8, 3, 1, 7]), Some((1000, 7)));
        assert_eq!(owner(&[1, 8, 0, 0, 0, 0, 1, 0, 0, 0, 0]), Some((65534, 0)));
        for bad in [&b""[..], &[2, 1, 1, 1, 1], &[1, 9, 0], &[1, 1]] {
            assert_eq!(owner(bad), None);
        }
    }
}
