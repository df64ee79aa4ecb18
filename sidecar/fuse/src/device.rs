//! How a FUSE filesystem gets into the host's tree and out of it again.

use std::ffi::CString;
use std::fs::{self, OpenOptions};
use std::io::{self, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::{AtFlags, CWD, StatxFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};

use crate::error::MountError;

const DEVICE: &str = "/dev/fuse";
/// The helper that may mount for users: of libfuse 3, else of libfuse 2.
const HELPERS: [&str; 2] = ["fusermount3", "fusermount"];
/// Where the helper is looked for beside `PATH`.
const HELPER_DIRS: [&str; 3] = ["/usr/bin", "/bin", "/usr/local/bin"];

/// What the host's kernel is told about the mount.
pub(crate) struct Terms<'a> {
    pub name: &'a str,
    pub read_only: bool,
    pub allow_other: bool,
}

/// A place in the host's tree where a FUSE filesystem is mounted.
pub(crate) struct Place {
    path: PathBuf,
    /// The connection's number, which is the minor number of the mount's device.
    connection: Option<u32>,
}

/// What became of an attempt to unmount.
#[derive(PartialEq, Eq)]
pub(crate) enum Left {
    /// It is no longer in the tree.
    Gone,
    /// Something in it is in use.
    Busy,
}

/// Mounts on `path`; answers the device by which the host's kernel asks.
pub(crate) fn mount(path: &Path, terms: &Terms<'_>) -> Result<(OwnedFd, Place), MountError> {
    let path = check(path)?;
    let device = match mount_directly(&path, terms)? {
        Some(device) => device,
        None => mount_by_helper(&path, terms)?,
    };
    let connection = connection_at(&path);
    Ok((device, Place { path, connection }))
}

/// Whether this process could mount at all.
pub(crate) fn available() -> Result<(), MountError> {
    open_device()?;
    if rustix::process::geteuid().is_root() || helper().is_some() { Ok(()) } else { Err(MountError::NoHelper) }
}

fn open_device() -> Result<OwnedFd, MountError> {
    let opened = OpenOptions::new().read(true).write(true).open(DEVICE);
    opened.map(OwnedFd::from).map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => MountError::NoDevice,
        io::ErrorKind::PermissionDenied => MountError::NoAccess,
        // The driver is not there, or a container may not use the device.
        _ => MountError::Refused { path: DEVICE.into(), source },
    })
}

/// The path as the host's kernel knows it, when it is an empty directory.
fn check(path: &Path) -> Result<PathBuf, MountError> {
    let failed = |source: io::Error| match source.raw_os_error() {
        Some(number) if number == Errno::NOTCONN.raw_os_error() => MountError::Dead { path: path.to_owned() },
        _ => MountError::Path { path: path.to_owned(), source },
    };
    let canonical = path.canonicalize().map_err(failed)?;
    if !fs::metadata(&canonical).map_err(failed)?.is_dir() {
        return Err(MountError::NotADirectory { path: canonical });
    }
    if fs::read_dir(&canonical).map_err(failed)?.next().is_some() {
        return Err(MountError::NotEmpty { path: canonical });
    }
    Ok(canonical)
}

/// Mounts by the system call. `None` when this process may not.
fn mount_directly(path: &Path, terms: &Terms<'_>) -> Result<Option<OwnedFd>, MountError> {
    let device = open_device()?;
    let user = rustix::process::getuid().as_raw();
    let group = rustix::process::getgid().as_raw();
    let mut data =
        format!("fd={},rootmode=40000,user_id={user},group_id={group},default_permissions", device.as_raw_fd());
    if terms.allow_other {
        data.push_str(",allow_other");
    }
    let data = CString::new(data).unwrap_or_default();
    let mut flags = MountFlags::NOSUID | MountFlags::NODEV;
    flags.set(MountFlags::RDONLY, terms.read_only);
    match rustix::mount::mount(source(terms.name).as_str(), path, "fuse.eyot", flags, &*data) {
        Ok(()) => Ok(Some(device)),
        Err(Errno::PERM) => Ok(None),
        Err(error) => Err(MountError::Refused { path: path.to_owned(), source: error.into() }),
    }
}

/// Mounts by the helper, which passes the device back through a socket. The socket is its standard input, so that no descriptor need be let through.
fn mount_by_helper(path: &Path, terms: &Terms<'_>) -> Result<OwnedFd, MountError> {
    let helper = helper().ok_or(MountError::NoHelper)?;
    let mut options = format!("default_permissions,subtype=eyot,fsname={}", source(terms.name));
    if terms.allow_other {
        options.push_str(",allow_other");
    }
    if terms.read_only {
        options.push_str(",ro");
    }
    let failed = |message: String| MountError::Helper { path: path.to_owned(), message };
    let spawn = || -> io::Result<_> {
        let (ours, theirs) = UnixStream::pair()?;
        let child = Command::new(&helper)
            .args(["-o", &options, "--"])
            .arg(path)
            .env("_FUSE_COMMFD", "0")
            .stdin(Stdio::from(OwnedFd::from(theirs)))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()?;
        Ok((ours, child))
    };
    let (socket, mut child) = spawn().map_err(|error| failed(error.to_string()))?;
    let device = receive(&socket);
    let mut message = String::new();
    if let Some(stderr) = child.stderr.take() {
        // A helper has a line or two to say.
        let _ = stderr.take(4096).read_to_string(&mut message);
    }
    let _ = child.wait();
    device.ok_or_else(|| failed(if message.is_empty() { "nothing".into() } else { message.trim().into() }))
}

/// The descriptor that the helper sends, if it sends one before it closes its end.
fn receive(socket: &UnixStream) -> Option<OwnedFd> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    loop {
        match rustix::net::recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            Err(_) => return None,
            Ok(_) => break,
        }
    }
    control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    })
}

fn helper() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs: Vec<PathBuf> = std::env::split_paths(&path).chain(HELPER_DIRS.map(PathBuf::from)).collect();
    HELPERS.iter().find_map(|name| dirs.iter().map(|dir| dir.join(name)).find(|file| file.is_file()))
}

/// The name in `/proc/mounts`, and nothing that would be read as another option.
fn source(name: &str) -> String {
    let name: String = name.chars().map(|c| if c == ',' || c == '\\' || c.is_control() { '_' } else { c }).collect();
    if name.is_empty() { "eyot".into() } else { name }
}

/// The device's minor number, without asking the filesystem: it may not answer.
fn connection_at(path: &Path) -> Option<u32> {
    let flags = AtFlags::STATX_DONT_SYNC | AtFlags::NO_AUTOMOUNT;
    let status = rustix::fs::statx(CWD, path, flags, StatxFlags::empty()).ok()?;
    (status.stx_dev_major == 0).then_some(status.stx_dev_minor)
}

impl Place {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Takes the mount out of the tree if nothing uses it.
    pub(crate) fn unmount(&self) -> Left {
        self.leave(UnmountFlags::NOFOLLOW, &["-u"])
    }

    /// Takes the mount out of the tree, whatever uses it: calls that wait for an answer end with `ECONNABORTED`, later ones with `ENOTCONN`.
    pub(crate) fn force(&self) -> Left {
        self.abort();
        // FUSE takes `FORCE` as leave to break the connection off; `DETACH` makes it go even while it is in use.
        self.leave(UnmountFlags::NOFOLLOW | UnmountFlags::FORCE | UnmountFlags::DETACH, &["-u", "-z"])
    }

    /// Takes the mount out of the tree when its connection is broken.
    pub(crate) fn bury(&self) {
        let ours = self.connection.is_some() && connection_at(&self.path) == self.connection;
        let dead =
            || fs::metadata(&self.path).is_err_and(|error| error.raw_os_error() == Some(Errno::NOTCONN.raw_os_error()));
        if ours && dead() {
            self.leave(UnmountFlags::NOFOLLOW | UnmountFlags::DETACH, &["-u", "-z"]);
        }
    }

    /// Breaks the connection off by the control filesystem, where that is mounted.
    pub(crate) fn abort(&self) {
        if let Some(connection) = self.connection {
            let _ = fs::write(format!("/sys/fs/fuse/connections/{connection}/abort"), "1");
        }
    }

    fn leave(&self, flags: UnmountFlags, options: &[&str]) -> Left {
        // Somebody may have unmounted it, and mounted something else there.
        if self.connection.is_none() || connection_at(&self.path) != self.connection {
            return Left::Gone;
        }
        match rustix::mount::unmount(&self.path, flags) {
            Ok(()) => Left::Gone,
            Err(Errno::BUSY) => Left::Busy,
            // The helper may, for whom it mounted; or this process has given up what it was.
            Err(Errno::PERM) => self.leave_by_helper(options),
            // It is no mount point, or not there any more.
            Err(_) => Left::Gone,
        }
    }

    fn leave_by_helper(&self, options: &[&str]) -> Left {
        let Some(helper) = helper() else { return Left::Gone };
        let command =
            Command::new(helper).args(options).args(["-q", "--"]).arg(&self.path).stdin(Stdio::null()).status();
        match command {
            Ok(status) if status.success() => Left::Gone,
            _ if connection_at(&self.path) == self.connection => Left::Busy,
            _ => Left::Gone,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_cannot_smuggle_options_in() {
        assert_eq!(source("memfs"), "memfs");
        assert_eq!(source("a,allow_other\n\\"), "a_allow_other__");
        assert_eq!(source(""), "eyot");
    }

    #[test]
    fn only_an_empty_directory_will_do() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(matches!(check(dir.path()), Err(MountError::NotEmpty { .. })));
        assert!(matches!(check(&file), Err(MountError::NotADirectory { .. })));
        let missing = check(&dir.path().join("missing")).unwrap_err();
        assert!(missing.to_string().contains("make an empty directory"), "{missing}");
        fs::remove_file(&file).unwrap();
        assert_eq!(check(dir.path()).unwrap(), dir.path().canonicalize().unwrap());
    }
}
