//! Debian's packages: which are missing, and installing them where that can be done without asking.

use std::path::Path;

use crate::command::{Run, find_program};
use crate::failure::{Failure, Result};
use crate::ui::Step;

/// What builds guests beside a Rust compiler with its library's source; eyot-coreutils-build installs them itself when it may.
pub const GUEST_COMPILERS: [&str; 2] = ["clang-22", "llvm-22"];

/// Those of the packages that are not installed. Where there is no dpkg, none can be told to be missing.
pub fn missing<'a>(packages: &[&'a str]) -> Vec<&'a str> {
    if find_program("dpkg-query").is_none() {
        return Vec::new();
    }
    packages.iter().copied().filter(|package| !is_installed(package)).collect()
}

fn is_installed(package: &str) -> bool {
    Run::new("dpkg-query")
        .args(["--show", "--showformat=${db:Status-Status}", package])
        .output()
        .is_ok_and(|status| status == "installed")
}

/// Installs what is missing, as root or by `sudo` without a password; else says what to run.
pub fn need(packages: &[&str], step: &Step, log: &Path) -> Result<()> {
    let missing = missing(packages);
    if missing.is_empty() {
        return Ok(());
    }
    let by_hand =
        format!("as root, run: apt-get update && apt-get install -y --no-install-recommends {}", missing.join(" "));
    let failure =
        |why: &str| Failure::new(format!("Debian packages are missing: {}", missing.join(", ")), why, by_hand.clone());
    if find_program("apt-get").is_none() {
        return Err(failure("there is no apt-get here to install them with"));
    }
    let prefix: &[&str] = if is_root() {
        &[]
    } else if Run::new("sudo").args(["-n", "true"]).output().is_ok() {
        &["sudo", "-n"]
    } else {
        return Err(failure("they can't be installed without root's rights"));
    };
    step.note(&format!("installing {}", missing.join(" ")));
    let apt = |args: &[&str]| {
        let words: Vec<&str> =
            prefix.iter().copied().chain(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get"]).collect();
        Run::new(words[0]).args(&words[1..]).args(args).fix(by_hand.clone())
    };
    apt(&["update", "-q"]).quiet(step, log)?;
    apt(&["install", "-q", "-y", "--no-install-recommends"]).args(&missing).quiet(step, log)
}

fn is_root() -> bool {
    Run::new("id").arg("-u").output().is_ok_and(|id| id.trim() == "0")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_package_is_missing_where_dpkg_is() {
        if find_program("dpkg-query").is_some() {
            assert_eq!(missing(&["dpkg", "eyot-no-such-package"]), ["eyot-no-such-package"]);
        }
    }
}
