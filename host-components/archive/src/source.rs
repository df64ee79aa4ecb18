//! Where an archive's bytes come from, and where decompressed ones may be put.

use std::sync::Arc;

use eyot_backend::Errno;

/// Bytes that somebody shares for as long as they are looked at.
pub type SharedBytes = Arc<dyn AsRef<[u8]> + Send + Sync>;

/// The bytes of an archive, read at any place by any thread.
///
/// An archive does not change while it is mounted: an implementation answers the same bytes every time. One that breaks this spoils what is read, never the
/// process.
pub trait Source: Send + Sync + 'static {
    /// How many bytes there are.
    fn len(&self) -> u64;

    /// Whether there are none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Reads at `offset` into `buffer`; answers how many bytes. Zero only at the end, or for an empty buffer.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno>;

    /// All the bytes in place, when they lie in memory: then files that are stored uncompressed need not be copied.
    fn bytes(&self) -> Option<SharedBytes> {
        None
    }
}

/// A place for decompressed bytes, given by the embedder ([`ArchiveOptions::spill`](crate::ArchiveOptions::spill)).
pub trait Spill: Source {
    /// Writes all of `bytes` at `offset`. Offsets come in ascending order without gaps.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), Errno>;
}

/// An archive in memory: a vector, a memory map, anything that answers the same slice every time.
///
/// A map of a file that somebody else shortens while it is in use ends the host's process with `SIGBUS`: map files that only the embedder writes.
#[derive(Clone)]
pub struct MemorySource(SharedBytes);

impl MemorySource {
    /// Takes the bytes.
    pub fn new(bytes: impl AsRef<[u8]> + Send + Sync + 'static) -> Self {
        Self(Arc::new(bytes))
    }

    /// Takes bytes that are shared already.
    pub fn shared(bytes: SharedBytes) -> Self {
        Self(bytes)
    }
}

impl Source for MemorySource {
    fn len(&self) -> u64 {
        (*self.0).as_ref().len() as u64
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        let bytes = (*self.0).as_ref();
        let rest = usize::try_from(offset).ok().and_then(|offset| bytes.get(offset..)).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        if let (Some(target), Some(source)) = (buffer.get_mut(..count), rest.get(..count)) {
            target.copy_from_slice(source);
        }
        Ok(count)
    }

    fn bytes(&self) -> Option<SharedBytes> {
        Some(Arc::clone(&self.0))
    }
}

/// An archive in a file of the host, read with `pread`; also a [`Spill`], when it was opened for writing.
#[cfg(unix)]
pub struct FileSource {
    file: std::fs::File,
    /// The length when it was opened: what is appended later is not part of the archive.
    length: std::sync::atomic::AtomicU64,
}

#[cfg(unix)]
impl FileSource {
    /// Takes an open file.
    pub fn new(file: std::fs::File) -> Result<Self, Errno> {
        let metadata = file.metadata().map_err(|error| Errno::from(&error))?;
        if metadata.is_dir() {
            return Err(Errno::Isdir);
        }
        Ok(Self { file, length: metadata.len().into() })
    }

    /// Opens a file for reading.
    pub fn open(path: &std::path::Path) -> Result<Self, Errno> {
        Self::new(std::fs::File::open(path).map_err(|error| Errno::from(&error))?)
    }
}

#[cfg(unix)]
impl Source for FileSource {
    fn len(&self) -> u64 {
        self.length.load(std::sync::atomic::Ordering::Acquire)
    }

    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
        let rest = usize::try_from(self.len().saturating_sub(offset)).unwrap_or(usize::MAX);
        let count = rest.min(buffer.len());
        let Some(buffer) = buffer.get_mut(..count).filter(|buffer| !buffer.is_empty()) else { return Ok(0) };
        loop {
            match rustix::io::pread(&self.file, &mut *buffer, offset) {
                Ok(count) => return Ok(count),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(Errno::from_linux(error.raw_os_error()).unwrap_or(Errno::Io)),
            }
        }
    }
}

#[cfg(unix)]
impl Spill for FileSource {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<(), Errno> {
        std::os::unix::fs::FileExt::write_all_at(&self.file, bytes, offset).map_err(|error| Errno::from(&error))?;
        let end = offset.checked_add(bytes.len() as u64).ok_or(Errno::Fbig)?;
        self.length.fetch_max(end, std::sync::atomic::Ordering::AcqRel);
        Ok(())
    }
}

/// Reads until `buffer` is full or the source ends; answers how many bytes.
pub(crate) fn read_full(source: &dyn Source, offset: u64, buffer: &mut [u8]) -> Result<usize, Errno> {
    let mut done = 0;
    while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
        let Some(at) = offset.checked_add(done as u64) else { break };
        let wanted = rest.len();
        match source.read_at(at, rest)? {
            0 => break,
            count => done += count.min(wanted),
        }
    }
    Ok(done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_at_every_place() {
        let source = MemorySource::new(b"0123456789".to_vec());
        let mut buffer = [0xa5; 4];
        assert_eq!((source.len(), source.is_empty()), (10, false));
        assert_eq!(source.read_at(8, &mut buffer), Ok(2));
        assert_eq!(&buffer, &[b'8', b'9', 0xa5, 0xa5]);
        assert_eq!(source.read_at(10, &mut buffer), Ok(0));
        assert_eq!(source.read_at(u64::MAX, &mut buffer), Ok(0));
        assert_eq!(read_full(&source, u64::MAX, &mut buffer), Ok(0));
        assert_eq!(read_full(&source, 6, &mut buffer), Ok(4));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_is_read_and_spilled_to() {
        let file = FileSource::new(tempfile::tempfile().unwrap()).unwrap();
        let mut buffer = [0; 8];
        assert_eq!(file.read_at(0, &mut buffer), Ok(0));
        file.write_at(0, b"abc").unwrap();
        file.write_at(3, b"def").unwrap();
        assert_eq!((file.len(), file.read_at(2, &mut buffer)), (6, Ok(4)));
        assert_eq!(&buffer[..4], b"cdef");
        assert_eq!(file.read_at(u64::MAX, &mut buffer), Ok(0));
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(FileSource::open(dir.path()).err(), Some(Errno::Isdir));
        assert_eq!(FileSource::open(&dir.path().join("none")).err(), Some(Errno::Noent));
    }
}
