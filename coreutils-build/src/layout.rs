//! The base image: what every VM finds in its `/`.

use std::fs;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

use eyot_memfs::{ImageBuilder, Meta};

use crate::cache::{Key, result};
use crate::{Ctx, Error, Result, Tools, tools};

/// Counts up when the contents change in a way that this file's own text does not show.
const RECIPE: &str = "image 1";

/// The file's name in its directory of the cache.
const FILE: &str = "base.img";

/// Directories that root owns. `/dev`, `/proc` and `/sys` are where the kernel mounts its own.
const DIRECTORIES: &[&str] = &[
    "/bin",
    "/dev",
    "/etc",
    "/home",
    "/mnt",
    "/opt",
    "/proc",
    "/run",
    "/srv",
    "/sys",
    "/usr",
    "/usr/lib",
    "/usr/local",
    "/usr/local/bin",
    "/usr/share",
    "/var",
    "/var/cache",
    "/var/lib",
    "/var/log",
];

const SYMLINKS: &[(&str, &str)] =
    &[("/sbin", "bin"), ("/usr/bin", "../bin"), ("/usr/sbin", "../bin"), ("/var/run", "../run"), ("/lib", "usr/lib")];

const TEXTS: &[(&str, &str)] = &[
    (
        "/etc/passwd",
        "root:x:0:0:root:/root:/bin/sh\n\
         user:x:1000:1000:user:/home/user:/bin/sh\n\
         nobody:x:65534:65534:nobody:/:/bin/false\n",
    ),
    ("/etc/group", "root:x:0:\nuser:x:1000:\nnogroup:x:65534:\n"),
    ("/etc/hosts", "127.0.0.1\tlocalhost\n::1\tlocalhost\n"),
    ("/etc/hostname", "eyot\n"),
    ("/etc/shells", "/bin/sh\n/bin/bash\n"),
    ("/etc/os-release", "NAME=\"Eyot\"\nID=eyot\nPRETTY_NAME=\"Eyot\"\n"),
    ("/etc/profile", "export PATH=\"${PATH:-/usr/local/bin:/usr/bin:/bin}\"\n"),
];

/// Programs that are an executor's own: the kernel hands a file with such a first line to the executor of that name.
const EXECUTORS: &[(&str, &str)] = &[("/bin/node", "#!eyot:node\n")];

/// Programs that answer to more names than their own.
const NAMES: &[(&str, &[&str])] = &[("findutils", &["find", "xargs"]), ("sh", &["bash"])];

/// The packed base image, built when it is missing.
///
/// # Errors
/// As [`tools()`], or when the image cannot be written.
pub fn image(ctx: &Ctx<'_>) -> Result<PathBuf> {
    let tools = tools(ctx)?;
    let mut key = Key::new(RECIPE).and(include_str!("layout.rs"));
    key = key.and_tree(&ctx.recipes.join("../host-components/memfs/src/image"))?;
    for tool in &tools.all {
        key = key.and(tool.name).and(blake3::Hash::from(tool.blake3).to_hex().as_str());
    }
    let dir = result(ctx, "image", &key.finish(), |dir| {
        ctx.progress.step("packing the base image");
        let builder = fill(&tools, &coreutils_names(&ctx.recipes)?)?;
        let path = dir.join(FILE);
        let file = fs::File::create(&path).map_err(|error| Error::io("make", &path, error))?;
        builder
            .write_to(BufWriter::new(file))
            .map_err(|error| Error::new(format!("can't write {}: {error}", path.display())))?;
        Ok(())
    })?;
    Ok(dir.join(FILE))
}

fn fill(tools: &Tools, utilities: &[String]) -> Result<ImageBuilder> {
    let mut image = ImageBuilder::new();
    let wrong = |error: eyot_memfs::BuildError| Error::new(format!("the base image: {error}"));
    let directory = Meta::executable();
    let user = directory.with_owner(1000, 1000);
    for path in DIRECTORIES {
        image.add_dir(path, directory).map_err(wrong)?;
    }
    for path in ["/tmp", "/var/tmp"] {
        image.add_dir(path, directory.with_mode(0o1777)).map_err(wrong)?;
    }
    image.add_dir("/root", directory.with_mode(0o700)).map_err(wrong)?;
    image.add_dir("/home/user", user).map_err(wrong)?;
    for (path, text) in TEXTS {
        image.add_file(path, Meta::file(), text.as_bytes().to_vec()).map_err(wrong)?;
    }
    for (path, text) in EXECUTORS {
        image.add_file(path, Meta::executable(), text.as_bytes().to_vec()).map_err(wrong)?;
    }
    for tool in &tools.all {
        let bytes = fs::read(&tool.path).map_err(|error| Error::io("read", &tool.path, error))?;
        let path = format!("/bin/{}", tool.name);
        image.add_file(&path, Meta::executable(), bytes).map_err(wrong)?;
        let names = if tool.name == "coreutils" { utilities } else { &further_names(tool.name) };
        for name in names {
            // A hard link: no second step when the program is looked up, and one content for the code cache.
            image.add_hardlink(&format!("/bin/{name}"), &path).map_err(wrong)?;
        }
    }
    for (path, target) in SYMLINKS {
        image.add_symlink(path, target, Meta::file().with_mode(0o777)).map_err(wrong)?;
    }
    Ok(image)
}

/// The further names of a program.
fn further_names(program: &str) -> Vec<String> {
    let known = NAMES.iter().find(|(name, _)| *name == program);
    known.map_or(Vec::new(), |(_, names)| names.iter().map(|name| (*name).to_owned()).collect())
}

/// Each utility is a crate `uu_<name>` that the multi-call program depends on.
fn coreutils_names(recipes: &Path) -> Result<Vec<String>> {
    #[derive(serde::Deserialize)]
    struct Manifest {
        dependencies: std::collections::BTreeMap<String, toml::Value>,
    }
    let path = recipes.join("guests/coreutils/Cargo.toml");
    let text = fs::read_to_string(&path).map_err(|error| Error::io("read", &path, error))?;
    let manifest: Manifest =
        toml::from_str(&text).map_err(|error| Error::new(format!("{}: {error}", path.display())))?;
    let crates = manifest.dependencies.keys().filter_map(|name| name.strip_prefix("uu_"));
    Ok(crates.chain(["["]).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use eyot_memfs::BaseImage;

    use super::*;

    fn recipes() -> &'static Path {
        Path::new(env!("CARGO_MANIFEST_DIR"))
    }

    #[test]
    fn every_name_is_in_the_image_once_packed() {
        let dir = tempfile::tempdir().unwrap();
        let all = ["coreutils", "findutils", "sh"].map(|name| {
            let path = dir.path().join(name);
            fs::write(&path, name).unwrap();
            crate::Tool { name, path, blake3: *blake3::hash(name.as_bytes()).as_bytes() }
        });
        let tools = Tools { dir: dir.path().to_owned(), all: all.to_vec() };
        let image = fill(&tools, &coreutils_names(recipes()).unwrap()).unwrap();
        for path in [
            "/bin/ls",
            "/bin/[",
            "/bin/find",
            "/bin/xargs",
            "/bin/bash",
            "/bin/node",
            "/etc/passwd",
            "/home/user",
            "/tmp",
        ] {
            assert!(image.contains(path), "{path}");
        }
        BaseImage::open(Arc::new(image.to_vec().unwrap())).unwrap().verify().unwrap();
    }

    #[test]
    fn the_multi_call_program_and_the_image_agree_on_names() {
        let main = fs::read_to_string(recipes().join("guests/coreutils/src/main.rs")).unwrap();
        for name in coreutils_names(recipes()).unwrap() {
            assert!(main.contains(&format!("(\"{name}\", uu_")), "{name} is no name of the multi-call program");
        }
    }
}
