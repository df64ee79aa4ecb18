//! V8's library: where it comes from, in which order, and how cargo is told.
//!
//! The `v8` crate looks at `RUSTY_V8_ARCHIVE`. Setup puts the library into the cache, where its path depends on its content
//! alone, and writes that path to `.cargo/v8.toml`, which `.cargo/config.toml` includes: plain cargo commands then work, and
//! because the value is always the same the crate is not rebuilt between `cargo xtask` and plain `cargo`.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::ValueEnum;

use crate::cache::{Cache, is_whole, sha256_of};
use crate::command::Run;
use crate::failure::{Failure, OrFail, Result};
use crate::fetch::verify;
use crate::places::{Places, cargo};
use crate::ui::Ui;

/// The variable the `v8` crate reads.
pub const ARCHIVE: &str = "RUSTY_V8_ARCHIVE";

/// After upstream could not be reached, it is not tried again by itself for this long.
const UPSTREAM_PAUSE: Duration = Duration::from_secs(3600);

/// What `--v8` can say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Choice {
    /// EYOT_V8_DIR, ../shared/v8, the cache, upstream: the first that has it
    Auto,
    /// Upstream's prebuilt library, downloaded by the v8 crate (RUSTY_V8_MIRROR names a mirror)
    Upstream,
    /// Built from the v8 crate's own source: about 100 minutes on two cores
    Source,
    /// Leave JavaScript out
    None,
}

/// What was found.
#[derive(Debug, Clone)]
pub enum V8 {
    /// Cargo can build with V8; the text says where the library comes from.
    Ready(String),
    /// JavaScript is left out, for this reason.
    Missing(Failure),
}

impl V8 {
    /// Whether JavaScript is built.
    pub fn is_ready(&self) -> bool {
        matches!(self, Self::Ready(_))
    }
}

/// The caller's own `RUSTY_V8_ARCHIVE`, as against the one that cargo passes on from `.cargo/v8.toml`.
pub fn archive_of_user(root: &Path) -> Option<OsString> {
    let value = std::env::var_os(ARCHIVE).filter(|value| !value.is_empty())?;
    let ours = configured(root).map(PathBuf::into_os_string);
    (ours.as_ref() != Some(&value)).then_some(value)
}

/// The directory `.cargo/v8.toml` names.
pub fn configured(root: &Path) -> Option<PathBuf> {
    let text = std::fs::read_to_string(config_file(root)).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(ARCHIVE)?.trim_start().strip_prefix('='))?;
    serde_json::from_str::<String>(value.trim()).ok().map(PathBuf::from)
}

fn config_file(root: &Path) -> PathBuf {
    root.join(".cargo/v8.toml")
}

fn configure(root: &Path, dir: Option<&Path>) -> Result<()> {
    let file = config_file(root);
    let failed = || format!("cannot write {}", file.display());
    let fix = "check that the checkout can be written to";
    let Some(dir) = dir else {
        return match std::fs::remove_file(&file) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(Failure::new(failed(), e, fix)),
            _ => Ok(()),
        };
    };
    if configured(root).as_deref() == Some(dir) {
        return Ok(());
    }
    // A JSON string is a TOML basic string too.
    let value = serde_json::to_string(&dir.to_string_lossy()).or_fail(failed(), fix)?;
    let text = format!("# Written by `cargo xtask setup`; not in git.\n[env]\n{ARCHIVE} = {value}\n");
    let tmp = file.with_extension("toml.new");
    std::fs::write(&tmp, text).and_then(|()| std::fs::rename(&tmp, &file)).or_fail(failed(), fix)
}

/// Finds V8 and tells cargo.
pub fn resolve(places: &Places, cache: &Cache, ui: &Ui, choice: Choice) -> Result<V8> {
    let step = ui.step("V8");
    let found = match choice {
        Choice::None => Ok(V8::Missing(Failure::new(
            "JavaScript is left out",
            "--v8 none was given",
            "run `cargo xtask setup` to have it",
        ))),
        Choice::Source => {
            crate::v8_source::build(places, cache, ui).and_then(|dir| use_entry(places, &dir, "built from source"))
        }
        Choice::Upstream => upstream(places, cache, ui, true),
        Choice::Auto => auto(places, cache, ui),
    }?;
    match &found {
        V8::Ready(from) => step.done(from),
        V8::Missing(failure) => {
            if configured(&places.root).is_some_and(|dir| !is_whole(&dir)) {
                configure(&places.root, None)?;
            }
            step.missing(&failure.line());
        }
    }
    Ok(found)
}

fn auto(places: &Places, cache: &Cache, ui: &Ui) -> Result<V8> {
    if let Some(dir) = archive_of_user(&places.root) {
        return Ok(V8::Ready(format!("{ARCHIVE}={} (set by you)", dir.display())));
    }
    if let Some(dir) = std::env::var_os("EYOT_V8_DIR").filter(|dir| !dir.is_empty()) {
        let entry = keep(places, cache, Path::new(&dir))?;
        return use_entry(places, &entry, "EYOT_V8_DIR");
    }
    let shared = places.root.join("../shared/v8");
    if shared.is_dir() {
        match keep(places, cache, &shared) {
            Ok(entry) => return use_entry(places, &entry, "../shared/v8"),
            Err(failure) => ui.say(format!(" !!  ../shared/v8 is not used: {}", failure.line())),
        }
    }
    let prefix = format!("{}-", version(&places.root)?);
    let kept = cache
        .entries("v8")
        .into_iter()
        .rev()
        .find(|dir| dir.file_name().is_some_and(|name| name.to_string_lossy().starts_with(&prefix)));
    if let Some(entry) = kept {
        return use_entry(places, &entry, "the cache");
    }
    upstream(places, cache, ui, false)
}

fn use_entry(places: &Places, entry: &Path, from: &str) -> Result<V8> {
    configure(&places.root, Some(entry))?;
    Ok(V8::Ready(format!("{} from {from}", version(&places.root)?)))
}

/// Copies the library of a directory into the cache after comparing it with the directory's `SHA256SUMS`.
pub fn keep(places: &Places, cache: &Cache, dir: &Path) -> Result<PathBuf> {
    let host = host()?;
    let names = [format!("librusty_v8_release_{host}.a.gz"), format!("src_binding_release_{host}.rs")];
    let sums_file = dir.join("SHA256SUMS");
    let fix = format!("put {}, {} and a SHA256SUMS of both into it, or leave it out", names[0], names[1]);
    let sums =
        std::fs::read_to_string(&sums_file).or_fail(format!("cannot read {}", sums_file.display()), fix.clone())?;
    for name in &names {
        let wanted = sum_of(&sums, name).ok_or_else(|| {
            Failure::new(
                format!("cannot use {}", dir.display()),
                format!("SHA256SUMS does not name {name}"),
                fix.clone(),
            )
        })?;
        if !dir.join(name).is_file() {
            return Err(Failure::new(format!("cannot use {}", dir.display()), format!("it has no {name}"), fix));
        }
        verify(&dir.join(name), wanted)?;
    }
    let key = format!("{}-{}", version(&places.root)?, &sha256_of(&dir.join(&names[0]))?[..16]);
    if let Some(entry) = cache.get("v8", &key) {
        return Ok(entry);
    }
    cache.put("v8", &key, |tmp| {
        for name in &names {
            std::fs::copy(dir.join(name), tmp.join(name))
                .or_fail(format!("cannot copy {name} into the cache"), "check that the disk has room")?;
        }
        Ok(())
    })
}

fn sum_of<'a>(sums: &'a str, name: &str) -> Option<&'a str> {
    sums.lines().find_map(|line| {
        let (sum, file) = line.split_once(char::is_whitespace)?;
        (file.trim_start().trim_start_matches('*') == name).then_some(sum)
    })
}

/// Lets the v8 crate download upstream's library, by building what needs it.
fn upstream(places: &Places, cache: &Cache, ui: &Ui, asked: bool) -> Result<V8> {
    let pause = cache.root().join("v8-upstream-unreachable");
    let missing = |why: &str| {
        V8::Missing(Failure::new(
            "JavaScript is left out, everything else works: V8's library cannot be had",
            why,
            "give a directory with it in EYOT_V8_DIR, a mirror in RUSTY_V8_MIRROR, or run `cargo xtask setup --v8 source` (100 minutes)",
        ))
    };
    let tried = std::fs::metadata(&pause).and_then(|m| m.modified()).ok();
    if !asked && tried.is_some_and(|at| SystemTime::now().duration_since(at).is_ok_and(|age| age < UPSTREAM_PAUSE)) {
        return Ok(missing(
            "upstream could not be reached within the last hour (`cargo xtask setup --v8 upstream` tries again)",
        ));
    }
    configure(&places.root, None)?;
    let step = ui.step("V8 from upstream");
    step.note("downloading the prebuilt library and building the v8 crate");
    let log = places.log("v8-upstream");
    let _ = std::fs::remove_file(&log);
    let built = Run::new(cargo())
        .args(["build", "--release", "--workspace", "--bins"])
        .cwd(&places.root)
        .env_remove(ARCHIVE)
        .fix("mend what the compiler says and run the same command again")
        .quiet(&step, &log);
    match built {
        Ok(()) => {
            let _ = std::fs::remove_file(&pause);
            Ok(V8::Ready(format!("{}, upstream's prebuilt library", version(&places.root)?)))
        }
        Err(failure) => {
            let text = std::fs::read_to_string(&log).unwrap_or_default();
            if !text.contains("Failed to fetch the V8 prebuilt artifact") {
                return Err(failure);
            }
            // Only a note to ourselves; without it the next run just tries again.
            let _ = std::fs::write(&pause, "");
            Ok(missing(&format!("the download failed (see {})", log.display())))
        }
    }
}

/// The version of the v8 crate in `Cargo.lock`.
pub fn version(root: &Path) -> Result<String> {
    let lock =
        std::fs::read_to_string(root.join("Cargo.lock")).or_fail("cannot read Cargo.lock", "check the checkout")?;
    locked(&lock, "v8").map(str::to_owned).ok_or_else(|| {
        Failure::new(
            "cannot tell V8's version",
            "Cargo.lock does not name the crate v8",
            "run `cargo update --package v8`",
        )
    })
}

fn locked<'a>(lock: &'a str, name: &str) -> Option<&'a str> {
    let wanted = format!("name = \"{name}\"");
    let mut lines = lock.lines().skip_while(|line| *line != wanted).skip(1);
    lines.next()?.strip_prefix("version = \"")?.strip_suffix('"')
}

/// The host's target triple.
pub fn host() -> Result<String> {
    let text = Run::new("rustc").arg("-vV").fix("install Rust 1.95 or later (rustup)").output()?;
    text.lines().find_map(|line| line.strip_prefix("host: ")).map(str::to_owned).ok_or_else(|| {
        Failure::new(
            "cannot tell the host's target triple",
            "`rustc -vV` has no host line",
            "check the installation of Rust",
        )
    })
}

/// For `doctor`: where V8 comes from now, without fetching anything.
pub fn state(places: &Places) -> Result<String, String> {
    if let Some(dir) = archive_of_user(&places.root) {
        return Ok(format!("{ARCHIVE}={} (set by you)", dir.display()));
    }
    match configured(&places.root) {
        Some(dir) if is_whole(&dir) => Ok(dir.display().to_string()),
        Some(dir) => Err(format!("{} is missing or broken", dir.display())),
        None if places.target.join("release/gn_out/obj/librusty_v8.a").is_file() => Ok("upstream's library".into()),
        None => Err("not set up".into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_found_by_name() {
        let sums = "aa  one\nbb *two\n";
        assert_eq!(sum_of(sums, "one"), Some("aa"));
        assert_eq!(sum_of(sums, "two"), Some("bb"));
        assert_eq!(sum_of(sums, "tw"), None);
    }

    #[test]
    fn the_lock_file_gives_the_version() {
        let lock = "[[package]]\nname = \"v8x\"\nversion = \"1\"\n[[package]]\nname = \"v8\"\nversion = \"152.2.0\"\n";
        assert_eq!(locked(lock, "v8"), Some("152.2.0"));
        assert_eq!(locked(lock, "v9"), None);
    }

    #[test]
    fn the_config_file_is_read_back() {
        let root = std::env::temp_dir().join(format!("eyot-xtask-v8-{}", std::process::id()));
        std::fs::create_dir_all(root.join(".cargo")).unwrap();
        let dir = Path::new("/some/\"quoted\" dir");
        configure(&root, Some(dir)).unwrap();
        assert_eq!(configured(&root).as_deref(), Some(dir));
        configure(&root, None).unwrap();
        assert_eq!(configured(&root), None);
        configure(&root, None).unwrap();
        std::fs::remove_dir_all(&root).unwrap();
    }
}
