//! The component's exports: the same filesystem behind the types that `wit-bindgen` makes of `wit/backend`.

use std::sync::OnceLock;

use eyot_backend as b;
use eyot_backend::Filesystem as _;

use crate::inode::{Body, Inode};
use crate::memfs::View;
use crate::{Memfs, MemfsBuilder};
use exports::eyot::backend::filesystem::Guest as FilesystemGuest;
use exports::eyot::backend::mount::{Guest as MountGuest, Refusal, Setting};
use eyot::backend::types as w;

wit_bindgen::generate!({ path: "../../wit/backend", world: "mount-backend" });

struct Component;
export!(Component);

static MEMFS: OnceLock<Memfs> = OnceLock::new();

/// The filesystem: as it was configured, or with the default limits when nobody did.
fn memfs() -> &'static Memfs {
    MEMFS.get_or_init(|| builder().build())
}

fn builder() -> MemfsBuilder {
    Memfs::builder().clock(|| timestamp_in(eyot::backend::clock::now()))
}

impl MountGuest for Component {
    fn configure(settings: Vec<Setting>) -> Result<(), Refusal> {
        let refuse = |message: String| Refusal { code: w::Errno::Inval, message };
        let mut builder = builder();
        let mut root = b::Ownership { mode: 0o755, uid: 0, gid: 0 };
        for Setting { key, value } in settings {
            let number = match value.strip_prefix("0o") {
                Some(octal) => u64::from_str_radix(octal, 8),
                None => value.parse(),
            };
            let number = number.map_err(|_| refuse(format!("{key}={value}: the value is not a number")))?;
            let small = u32::try_from(number).map_err(|_| refuse(format!("{key}={value}: the value is too large")));
            match key.as_str() {
                "bytes_max" => builder = builder.bytes_max(number),
                "inodes_max" => builder = builder.inodes_max(number),
                "mode" => root.mode = small?,
                "uid" => root.uid = small?,
                "gid" => root.gid = small?,
                _ => {
                    let known = "bytes_max, inodes_max, mode, uid and gid";
                    return Err(refuse(format!("{key}: memfs has no such setting; it has {known}")));
                }
            }
        }
        let mut made = false;
        MEMFS.get_or_init(|| {
            made = true;
            builder.root(root).build()
        });
        if made { Ok(()) } else { Err(refuse("the filesystem is in use already".into())) }
    }
}

impl FilesystemGuest for Component {
    fn info() -> w::FilesystemInfo {
        let info = memfs().info();
        w::FilesystemInfo {
            root: info.root,
            capabilities: w::Capabilities::from_bits_truncate(info.capabilities.bits() as _),
            entry_lifetime_ns: info.entry_lifetime_ns,
            attribute_lifetime_ns: info.attribute_lifetime_ns,
            kind: info.kind,
        }
    }

    fn lookup(dir: u64, name: String) -> Result<w::Attributes, w::Errno> {
        attributes(memfs().lookup(dir, &name))
    }

    fn forget(node: u64, count: u64) {
        memfs().forget(node, count);
    }

    fn getattr(node: u64) -> Result<w::Attributes, w::Errno> {
        attributes(memfs().getattr(node))
    }

    fn setattr(node: u64, changes: w::AttributeChanges) -> Result<w::Attributes, w::Errno> {
        let changes = b::AttributeChanges {
            mode: changes.mode,
            uid: changes.uid,
            gid: changes.gid,
            size: changes.size,
            accessed: changes.accessed.map(timestamp_in),
            modified: changes.modified.map(timestamp_in),
        };
        attributes(memfs().setattr(node, &changes))
    }

    fn create(dir: u64, name: String, owner: w::Ownership) -> Result<w::Attributes, w::Errno> {
        attributes(memfs().create(dir, &name, ownership(owner)))
    }

    fn mkdir(dir: u64, name: String, owner: w::Ownership) -> Result<w::Attributes, w::Errno> {
        attributes(memfs().mkdir(dir, &name, ownership(owner)))
    }

    fn symlink(dir: u64, name: String, target: String, owner: w::Ownership) -> Result<w::Attributes, w::Errno> {
        attributes(memfs().symlink(dir, &name, &target, ownership(owner)))
    }

    fn make_node(
        dir: u64,
        name: String,
        kind: w::NodeKind,
        device: u64,
        owner: w::Ownership,
    ) -> Result<w::Attributes, w::Errno> {
        let kind = match kind {
            w::NodeKind::File => b::NodeKind::File,
            w::NodeKind::Directory => b::NodeKind::Directory,
            w::NodeKind::Symlink => b::NodeKind::Symlink,
            w::NodeKind::Fifo => b::NodeKind::Fifo,
            w::NodeKind::Socket => b::NodeKind::Socket,
            w::NodeKind::CharacterDevice => b::NodeKind::CharacterDevice,
            w::NodeKind::BlockDevice => b::NodeKind::BlockDevice,
        };
        attributes(memfs().make_node(dir, &name, kind, device, ownership(owner)))
    }

    fn link(target: u64, dir: u64, name: String) -> Result<w::Attributes, w::Errno> {
        attributes(memfs().link(target, dir, &name))
    }

    fn unlink(dir: u64, name: String) -> Result<(), w::Errno> {
        memfs().unlink(dir, &name).map_err(errno)
    }

    fn rmdir(dir: u64, name: String) -> Result<(), w::Errno> {
        memfs().rmdir(dir, &name).map_err(errno)
    }

    fn rename(
        from_dir: u64,
        from_name: String,
        to_dir: u64,
        to_name: String,
        how: w::RenameFlags,
    ) -> Result<(), w::Errno> {
        let how = b::RenameFlags::from_bits_truncate(u32::from(how.bits()));
        memfs().rename(from_dir, &from_name, to_dir, &to_name, how).map_err(errno)
    }

    fn readlink(node: u64) -> Result<String, w::Errno> {
        memfs().readlink(node).map_err(errno)
    }

    fn open(node: u64, how: w::OpenFlags) -> Result<u64, w::Errno> {
        memfs().open(node, b::OpenFlags::from_bits_truncate(u32::from(how.bits()))).map_err(errno)
    }

    fn release(node: u64, open_file: u64) {
        memfs().release(node, open_file);
    }

    fn read(node: u64, open_file: u64, offset: u64, length: u32) -> Result<Vec<u8>, w::Errno> {
        memfs().read_vec(node, open_file, offset, length as usize).map_err(errno)
    }

    fn write(node: u64, open_file: u64, offset: u64, bytes: Vec<u8>) -> Result<u32, w::Errno> {
        memfs().write(node, open_file, offset, &bytes).map(|count| count as u32).map_err(errno)
    }

    fn fsync(node: u64, open_file: u64, data_only: bool) -> Result<(), w::Errno> {
        memfs().fsync(node, open_file, data_only).map_err(errno)
    }

    fn readdir(dir: u64, cookie: u64, max_entries: u32) -> Result<Vec<w::DirectoryEntry>, w::Errno> {
        let entries = memfs().readdir(dir, cookie, max_entries as usize).map_err(errno)?;
        let entries = entries.into_iter().map(|entry| w::DirectoryEntry {
            name: entry.name,
            cookie: entry.cookie,
            attributes: attributes_out(&entry.attributes),
        });
        Ok(entries.collect())
    }

    fn statfs() -> Result<w::FilesystemStatus, w::Errno> {
        let status = memfs().statfs().map_err(errno)?;
        Ok(w::FilesystemStatus {
            block_size: status.block_size,
            blocks: status.blocks,
            blocks_free: status.blocks_free,
            files: status.files,
            files_free: status.files_free,
            name_max: status.name_max,
        })
    }

    fn getxattr(node: u64, name: String) -> Result<Vec<u8>, w::Errno> {
        memfs().getxattr(node, &name).map_err(errno)
    }

    fn setxattr(node: u64, name: String, value: Vec<u8>) -> Result<(), w::Errno> {
        memfs().setxattr(node, &name, &value).map_err(errno)
    }

    fn listxattr(node: u64) -> Result<Vec<String>, w::Errno> {
        memfs().listxattr(node).map_err(errno)
    }

    fn removexattr(node: u64, name: String) -> Result<(), w::Errno> {
        memfs().removexattr(node, &name).map_err(errno)
    }
}

impl Memfs {
    /// Reads into a new vector; what is the filesystem's own is copied once.
    fn read_vec(&self, node: u64, handle: u64, offset: u64, length: usize) -> Result<Vec<u8>, b::Errno> {
        let length = length.min(b::CHUNK_BYTES_MAX);
        let copied = self.view(node, |view| match view {
            View::Own(Inode { body: Body::File(data), accessed, modified, changed, .. })
                if accessed > modified && accessed > changed =>
            {
                let left = usize::try_from(data.size().saturating_sub(offset)).unwrap_or(usize::MAX);
                let mut bytes = Vec::new();
                bytes.try_reserve_exact(left.min(length)).map_err(|_| b::Errno::Nomem)?;
                data.read_onto(offset, length, self.shown(data.under()), &mut bytes);
                Ok(Some(bytes))
            }
            _ => Ok(None),
        })?;
        if let Some(bytes) = copied {
            return Ok(bytes);
        }
        // The first read since a change, or an error: the long way.
        let size = self.getattr(node)?.size;
        let left = usize::try_from(size.saturating_sub(offset)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; left.min(length)];
        let count = self.read(node, handle, offset, &mut bytes)?;
        bytes.truncate(count);
        Ok(bytes)
    }
}

fn timestamp_in(time: w::Timestamp) -> b::Timestamp {
    b::Timestamp { seconds: time.seconds, nanoseconds: time.nanoseconds }
}

fn timestamp_out(time: b::Timestamp) -> w::Timestamp {
    w::Timestamp { seconds: time.seconds, nanoseconds: time.nanoseconds }
}

fn ownership(owner: w::Ownership) -> b::Ownership {
    b::Ownership { mode: owner.mode, uid: owner.uid, gid: owner.gid }
}

fn attributes(result: Result<b::Attributes, b::Errno>) -> Result<w::Attributes, w::Errno> {
    result.map(|attributes| attributes_out(&attributes)).map_err(errno)
}

fn attributes_out(from: &b::Attributes) -> w::Attributes {
    w::Attributes {
        node: from.node,
        kind: match from.kind {
            b::NodeKind::File => w::NodeKind::File,
            b::NodeKind::Directory => w::NodeKind::Directory,
            b::NodeKind::Symlink => w::NodeKind::Symlink,
            b::NodeKind::Fifo => w::NodeKind::Fifo,
            b::NodeKind::Socket => w::NodeKind::Socket,
            b::NodeKind::CharacterDevice => w::NodeKind::CharacterDevice,
            b::NodeKind::BlockDevice => w::NodeKind::BlockDevice,
        },
        mode: from.mode,
        links: from.links,
        uid: from.uid,
        gid: from.gid,
        device: from.device,
        size: from.size,
        blocks: from.blocks,
        accessed: timestamp_out(from.accessed),
        modified: timestamp_out(from.modified),
        changed: timestamp_out(from.changed),
        created: timestamp_out(from.created),
    }
}

/// The WIT names only what a backend has reason to answer; anything else would be a mistake here.
fn errno(error: b::Errno) -> w::Errno {
    match error {
        b::Errno::Perm => w::Errno::Perm,
        b::Errno::Noent => w::Errno::Noent,
        b::Errno::Nxio => w::Errno::Nxio,
        b::Errno::Again => w::Errno::Again,
        b::Errno::Nomem => w::Errno::Nomem,
        b::Errno::Acces => w::Errno::Acces,
        b::Errno::Busy => w::Errno::Busy,
        b::Errno::Exist => w::Errno::Exist,
        b::Errno::Xdev => w::Errno::Xdev,
        b::Errno::Notdir => w::Errno::Notdir,
        b::Errno::Isdir => w::Errno::Isdir,
        b::Errno::Inval => w::Errno::Inval,
        b::Errno::Txtbsy => w::Errno::Txtbsy,
        b::Errno::Fbig => w::Errno::Fbig,
        b::Errno::Nospc => w::Errno::Nospc,
        b::Errno::Spipe => w::Errno::Spipe,
        b::Errno::Rofs => w::Errno::Rofs,
        b::Errno::Mlink => w::Errno::Mlink,
        b::Errno::Range => w::Errno::Range,
        b::Errno::Nametoolong => w::Errno::Nametoolong,
        b::Errno::Nosys => w::Errno::Nosys,
        b::Errno::Notempty => w::Errno::Notempty,
        b::Errno::Loop => w::Errno::Loop,
        b::Errno::Nodata => w::Errno::Nodata,
        b::Errno::Overflow => w::Errno::Overflow,
        b::Errno::Ilseq => w::Errno::Ilseq,
        b::Errno::Notsup => w::Errno::Notsup,
        b::Errno::Timedout => w::Errno::Timedout,
        b::Errno::Stale => w::Errno::Stale,
        b::Errno::Dquot => w::Errno::Dquot,
        _ => w::Errno::Io,
    }
}
