//! The home of a built `eyot`: a directory of links into the cache, which the command finds as `../share/eyot` from where
//! it lies (or by `EYOT_HOME`, or as `home` in the cache when it was copied elsewhere).

use std::path::{Path, PathBuf};

use crate::failure::{OrFail, Result};
use crate::places::Places;

/// What the command can find in its home, by name.
pub const FILES: [&str; 8] =
    ["base.img", "memfs.wasm", "overlay.wasm", "archive.wasm", "hostdir.wasm", "crypt.wasm", "sqlfs.wasm", "node.bin"];

/// Links `files` (name, where it is) into both homes; what is `None` is taken away.
pub fn fill(places: &Places, files: &[(&str, Option<PathBuf>)]) -> Result<()> {
    for home in [places.home(), places.cache.join("home")] {
        std::fs::create_dir_all(&home)
            .or_fail(format!("cannot create {}", home.display()), "check that its parent can be written to")?;
        for (name, target) in files {
            link(&home.join(name), target.as_deref())?;
        }
    }
    Ok(())
}

/// Makes `link` point at `target`, in one step for whoever reads it at the same time.
fn link(link: &Path, target: Option<&Path>) -> Result<()> {
    let failed = || format!("cannot link {}", link.display());
    let fix = "check that its directory can be written to";
    let Some(target) = target else {
        let _ = std::fs::remove_file(link);
        return Ok(());
    };
    if std::fs::read_link(link).is_ok_and(|now| now == target) {
        return Ok(());
    }
    if let Some(parent) = link.parent() {
        std::fs::create_dir_all(parent).or_fail(failed(), fix)?;
    }
    let tmp = link.with_extension("new");
    let _ = std::fs::remove_file(&tmp);
    std::os::unix::fs::symlink(target, &tmp).and_then(|()| std::fs::rename(&tmp, link)).or_fail(failed(), fix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn homes_are_filled_changed_and_cleared() {
        let dir = std::env::temp_dir().join(format!("eyot-xtask-home-{}", std::process::id()));
        let places = Places { root: dir.clone(), target: dir.join("target"), cache: dir.join("cache") };
        for target in ["/a", "/b"] {
            fill(&places, &[("base.img", Some(target.into())), ("node.bin", None)]).unwrap();
            for home in [places.home(), places.cache.join("home")] {
                assert_eq!(std::fs::read_link(home.join("base.img")).unwrap(), Path::new(target));
            }
        }
        fill(&places, &[("part/tool", Some("/c".into()))]).unwrap();
        assert_eq!(std::fs::read_link(places.home().join("part/tool")).unwrap(), Path::new("/c"));
        fill(&places, &[("base.img", None)]).unwrap();
        assert!(std::fs::read_link(places.home().join("base.img")).is_err());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
