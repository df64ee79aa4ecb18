//! {{name}}: a filesystem in memory, with files, directories, symlinks and hard links. Change it into yours.
//!
//! The kernel has checked names, permissions and sizes before it calls, and calls one function at a time. This file answers its calls; `tree.rs` is the
//! filesystem.

mod tree;

use std::sync::{LazyLock, Mutex, MutexGuard};

use eyot::backend::transfer;
use eyot::backend::types::*;
use exports::eyot::backend::filesystem::Guest;
// {{#mount}}
use exports::eyot::backend::mount::{Guest as Mount, Refusal, Setting, SettingDescription, SettingKind};
// {{/}}
use tree::{BYTES_MAX_DEFAULT, Tree};

wit_bindgen::generate!({ path: "wit", world: "{{world}}" });

struct Backend;

export!(Backend);

static TREE: LazyLock<Mutex<Tree>> = LazyLock::new(|| Mutex::new(Tree::new(BYTES_MAX_DEFAULT)));

fn tree() -> MutexGuard<'static, Tree> {
    TREE.lock().expect("a component has one thread, and a panic ends it")
}

impl Guest for Backend {
    fn info() -> FilesystemInfo {
        FilesystemInfo {
            root: tree::ROOT,
            capabilities: Capabilities::WRITABLE
                | Capabilities::HARD_LINKS
                | Capabilities::SYMLINKS
                | Capabilities::ATOMIC_RENAME
                | Capabilities::CASE_SENSITIVE,
            // Nothing but this mount changes it, so the kernel need not ask again.
            entry_lifetime_ns: u64::MAX,
            absence_lifetime_ns: u64::MAX,
            kind: "{{name}}".into(),
        }
    }

    fn lookup(dir: Node, name: String) -> Result<Attributes, Errno> {
        tree().lookup(dir, &name)
    }

    fn forget(node: Node, count: u64) {
        tree().forget(node, count);
    }

    fn getattr(node: Node) -> Result<Attributes, Errno> {
        tree().getattr(node)
    }

    fn setattr(node: Node, changes: AttributeChanges) -> Result<Attributes, Errno> {
        tree().setattr(node, &changes)
    }

    fn create(dir: Node, name: String, owner: Ownership) -> Result<Attributes, Errno> {
        tree().create(dir, &name, owner)
    }

    fn mkdir(dir: Node, name: String, owner: Ownership) -> Result<Attributes, Errno> {
        tree().mkdir(dir, &name, owner)
    }

    fn symlink(dir: Node, name: String, target: String, owner: Ownership) -> Result<Attributes, Errno> {
        tree().symlink(dir, &name, target, owner)
    }

    fn make_node(_: Node, _: String, _: NodeKind, _: u64, _: Ownership) -> Result<Attributes, Errno> {
        Err(Errno::Notsup)
    }

    fn link(target: Node, dir: Node, name: String) -> Result<Attributes, Errno> {
        tree().link(target, dir, &name)
    }

    fn unlink(dir: Node, name: String) -> Result<(), Errno> {
        tree().unlink(dir, &name)
    }

    fn rmdir(dir: Node, name: String) -> Result<(), Errno> {
        tree().rmdir(dir, &name)
    }

    fn rename(from: Node, from_name: String, to: Node, to_name: String, how: RenameFlags) -> Result<(), Errno> {
        tree().rename(from, &from_name, to, &to_name, how)
    }

    fn readlink(node: Node) -> Result<String, Errno> {
        tree().readlink(node)
    }

    fn open(node: Node, _: OpenFlags) -> Result<Handle, Errno> {
        tree().file(node).map(|_| 0)
    }

    fn release(_: Node, _: Handle) {}

    fn read(node: Node, _: Handle, offset: u64, length: u32) -> Result<Vec<u8>, Errno> {
        // Given straight from where the bytes are: quicker than answering a copy of them.
        transfer::give(tree().read(node, offset, length)?);
        Ok(Vec::new())
    }

    fn write(node: Node, _: Handle, offset: u64, bytes: Vec<u8>) -> Result<u32, Errno> {
        tree().write(node, offset, &bytes)
    }

    fn fsync(node: Node, _: Handle, _: bool) -> Result<(), Errno> {
        tree().getattr(node).map(drop)
    }

    fn readdir(dir: Node, cookie: u64, max_entries: u32) -> Result<Vec<DirectoryEntry>, Errno> {
        tree().readdir(dir, cookie, max_entries)
    }

    fn statfs() -> Result<FilesystemStatus, Errno> {
        Ok(tree().statfs())
    }

    // `info` does not name `xattrs`, so the kernel never calls these.
    fn getxattr(_: Node, _: String) -> Result<Vec<u8>, Errno> {
        Err(Errno::Notsup)
    }

    fn setxattr(_: Node, _: String, _: Vec<u8>) -> Result<(), Errno> {
        Err(Errno::Notsup)
    }

    fn listxattr(_: Node) -> Result<Vec<String>, Errno> {
        Err(Errno::Notsup)
    }

    fn removexattr(_: Node, _: String) -> Result<(), Errno> {
        Err(Errno::Notsup)
    }
}
// {{#mount}}

impl Mount for Backend {
    fn settings() -> Vec<SettingDescription> {
        vec![SettingDescription {
            key: "bytes_max".into(),
            kind: SettingKind::Size,
            required: false,
            default_value: Some("64M".into()),
            help: "The most bytes of contents; ENOSPC beyond.".into(),
        }]
    }

    // The kernel has checked the values: a `size` is a number with an optional unit.
    fn configure(settings: Vec<Setting>) -> Result<(), Refusal> {
        for Setting { key, value } in settings {
            let wrong = || Refusal { code: Errno::Inval, message: format!("{key}: {value} is not understood") };
            let bytes_max = Some(&value).filter(|_| key == "bytes_max").and_then(|value| size(value));
            *tree() = Tree::new(bytes_max.ok_or_else(wrong)?);
        }
        Ok(())
    }
}

fn size(text: &str) -> Option<u64> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let shift = match unit.to_ascii_lowercase().trim_end_matches('b').trim_end_matches('i') {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(1 << shift)
}
// {{/}}
