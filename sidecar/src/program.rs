//! What `eyot run PROGRAM` means: which file, how much of the host comes with it, and its path in the VM.

use std::io::Read;
use std::path::{Path, PathBuf};

/// Where a program of the host appears in the VM.
pub const PROGRAM_DIR: &str = "/mnt/program";

/// A program to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Its path in the VM.
    pub guest_path: String,
    /// What of the host is put at [`PROGRAM_DIR`] for it.
    pub host: Option<HostPart>,
}

/// The part of the host that a program brings along, read-only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HostPart {
    /// Its file alone.
    File(PathBuf),
    /// A directory with everything in it.
    Directory(PathBuf),
}

/// Why there is no such program.
#[derive(Debug)]
pub struct NoProgram {
    /// What and what to do.
    pub message: String,
    /// 127 when it is not there, 126 when it can't be read or is no file.
    pub code: u8,
}

/// Finds `program`. What lies below one of the VM's mounts (`guests`) is a path of the VM; everything else is a file of the host.
pub fn place(program: &Path, guests: &[&str], user_home: Option<&Path>) -> Result<Placed, NoProgram> {
    if let Some(path) = program.to_str()
        && guests.iter().any(|guest| path.strip_prefix(guest).is_some_and(|rest| rest.starts_with('/')))
    {
        return Ok(Placed { guest_path: path.to_owned(), host: None });
    }
    let file = std::fs::canonicalize(program).map_err(|error| missing(program, &error))?;
    let is_wasm = starts_as_wasm(&file).map_err(|error| missing(program, &error))?;
    let root = if is_wasm { None } else { script_root(&file, user_home) };
    let inside = match &root {
        Some(root) => file.strip_prefix(root).unwrap_or(&file),
        None => Path::new(file.file_name().unwrap_or_default()),
    };
    let inside = inside.to_str().ok_or_else(|| NoProgram {
        message: format!("{}: the name is not UTF-8, and paths in the VM are; rename it", program.display()),
        code: 126,
    })?;
    let guest_path = format!("{PROGRAM_DIR}/{inside}");
    Ok(Placed { guest_path, host: Some(root.map_or(HostPart::File(file.clone()), HostPart::Directory)) })
}

fn missing(program: &Path, error: &std::io::Error) -> NoProgram {
    let name = program.display();
    if error.kind() == std::io::ErrorKind::NotFound {
        let hint = "give a file of the host, or a path below a --mount; for a program of the VM: eyot exec";
        return NoProgram { message: format!("{name}: no such file on the host; {hint}"), code: 127 };
    }
    NoProgram { message: format!("{name}: {error}"), code: 126 }
}

fn starts_as_wasm(file: &Path) -> std::io::Result<bool> {
    let mut head = Vec::with_capacity(4);
    std::fs::File::open(file)?.take(4).read_to_end(&mut head)?;
    Ok(head == *b"\0asm")
}

/// The directory that comes with a script: the one it lies in, or that of its package. `node_modules` around it count as the
/// package's own. Never the host's root or the user's whole home directory, unless the script lies right in it.
fn script_root(file: &Path, user_home: Option<&Path>) -> Option<PathBuf> {
    let own = file.parent()?;
    let allowed = |dir: &&Path| dir.parent().is_some() && Some(*dir) != user_home;
    let package = own.ancestors().take_while(allowed).find(|dir| dir.join("package.json").is_file());
    let root = package.unwrap_or(own);
    let around = root.ancestors().filter(|dir| dir.file_name().is_some_and(|name| name == "node_modules")).last();
    let around = around.and_then(Path::parent).filter(allowed);
    Some(around.unwrap_or(root).to_path_buf())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Tree(tempfile::TempDir);

    impl Tree {
        fn new(files: &[(&str, &[u8])]) -> Self {
            let tree = Self(tempfile::tempdir().unwrap());
            for (name, bytes) in files {
                let path = tree.path(name);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, bytes).unwrap();
            }
            tree
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().canonicalize().unwrap().join(name)
        }
    }

    #[test]
    fn a_wasm_file_comes_alone() {
        let tree = Tree::new(&[("app.wasm", b"\0asm\x01\0\0\0"), ("package.json", b"{}")]);
        let placed = place(&tree.path("app.wasm"), &[], None).unwrap();
        assert_eq!(placed.guest_path, "/mnt/program/app.wasm");
        assert_eq!(placed.host, Some(HostPart::File(tree.path("app.wasm"))));
    }

    #[test]
    fn a_script_brings_its_directory_or_its_package() {
        let tree = Tree::new(&[("lone/a.js", b""), ("pkg/package.json", b"{}"), ("pkg/src/b.js", b"")]);
        let placed = place(&tree.path("lone/a.js"), &[], None).unwrap();
        assert_eq!(placed.host, Some(HostPart::Directory(tree.path("lone"))));
        assert_eq!(placed.guest_path, "/mnt/program/a.js");
        let placed = place(&tree.path("pkg/src/b.js"), &[], None).unwrap();
        assert_eq!(placed.host, Some(HostPart::Directory(tree.path("pkg"))));
        assert_eq!(placed.guest_path, "/mnt/program/src/b.js");
    }

    #[test]
    fn a_package_in_node_modules_brings_its_neighbours() {
        let tree = Tree::new(&[
            ("p/package.json", b"{}"),
            ("p/node_modules/t/package.json", b"{}"),
            ("p/node_modules/t/bin/t.js", b""),
        ]);
        let placed = place(&tree.path("p/node_modules/t/bin/t.js"), &[], None).unwrap();
        assert_eq!(placed.host, Some(HostPart::Directory(tree.path("p"))));
        assert_eq!(placed.guest_path, "/mnt/program/node_modules/t/bin/t.js");
    }

    #[test]
    fn the_home_directory_is_not_given_for_a_package_json_in_it() {
        let tree = Tree::new(&[("package.json", b"{}"), ("sub/a.js", b"")]);
        let home = tree.path("").components().collect::<PathBuf>();
        let placed = place(&tree.path("sub/a.js"), &[], Some(&home)).unwrap();
        assert_eq!(placed.host, Some(HostPart::Directory(tree.path("sub"))));
    }

    #[test]
    fn symlinks_are_followed_first() {
        let tree = Tree::new(&[("real/a.js", b"")]);
        std::os::unix::fs::symlink(tree.path("real/a.js"), tree.path("link.js")).unwrap();
        let placed = place(&tree.path("link.js"), &[], None).unwrap();
        assert_eq!(placed.host, Some(HostPart::Directory(tree.path("real"))));
    }

    #[test]
    fn paths_below_a_mount_are_the_vms() {
        let placed = place(Path::new("/data/x.js"), &["/data"], None).unwrap();
        assert_eq!(placed, Placed { guest_path: "/data/x.js".into(), host: None });
        assert!(place(Path::new("/database/x.js"), &["/data"], None).is_err());
    }

    #[test]
    fn what_is_not_there_is_127_and_what_cannot_be_read_126() {
        let tree = Tree::new(&[("d/f", b"")]);
        assert_eq!(place(&tree.path("none"), &[], None).unwrap_err().code, 127);
        assert_eq!(place(&tree.path("d"), &[], None).unwrap_err().code, 126);
    }
}
