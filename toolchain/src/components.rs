//! The shipped backends as components, each from the same source as the one that is compiled in.

use std::path::PathBuf;

use eyot_coreutils_build::Sysroot;

use crate::cache::{Cache, key_of_sources};
use crate::command::Run;
use crate::failure::{Failure, OrFail, Result};
use crate::places::{Places, cargo};
use crate::ui::Ui;

const TARGET: &str = "wasm32-unknown-unknown";

/// A backend that is shipped as a component.
struct Component {
    /// The crate's folder in `host-components`, and the component's name.
    name: &'static str,
    /// What else it is made of; `wit/backend` and the lock file always are.
    inputs: &'static [&'static str],
}

const COMPONENTS: &[Component] = &[
    Component { name: "memfs", inputs: &[] },
    Component { name: "overlay", inputs: &[] },
    Component { name: "archive", inputs: &["host-components/preopen", "wit/kernel"] },
    Component { name: "hostdir", inputs: &["host-components/preopen", "wit/kernel"] },
    Component { name: "crypt", inputs: &["host-components/preopen", "wit/kernel"] },
];

/// A component that is there.
#[derive(Debug)]
pub struct Built {
    /// What the file is called: `memfs.wasm`.
    pub file: String,
    /// The variable of the environment that names it to tests: `EYOT_MEMFS_WASM`.
    pub variable: String,
    /// Where it is.
    pub path: PathBuf,
}

/// Builds those that are not there yet.
pub fn build(places: &Places, cache: &Cache, ui: &Ui, sysroot: &Sysroot) -> Result<Vec<Built>> {
    let step = ui.step("backends as components");
    let (mut all, mut made) = (Vec::new(), Vec::new());
    for component in COMPONENTS {
        let name = component.name;
        let built = Built {
            file: format!("{name}.wasm"),
            variable: format!("EYOT_{}_WASM", name.to_uppercase()),
            path: PathBuf::new(),
        };
        let own = format!("host-components/{name}");
        let mut inputs = vec![own.as_str(), "wit/backend", "Cargo.lock"];
        inputs.extend(component.inputs);
        let key = key_of_sources(&places.root, &inputs, &[name, &sysroot.path.display().to_string()])?;
        let entry = match cache.get("plugins", &key) {
            Some(entry) => entry,
            None => {
                step.note(&built.file);
                made.push(name);
                let wasm = compile(places, cache, &step, sysroot, name)?;
                cache.put("plugins", &key, |dir| {
                    let kept = std::fs::copy(&wasm, dir.join(&built.file));
                    kept.map(drop).or_fail(format!("cannot keep {}", built.file), "check the cache")
                })?
            }
        };
        all.push(Built { path: entry.join(&built.file), ..built });
    }
    if made.is_empty() {
        step.skipped("already there")
    } else {
        step.done(&format!("built {}", made.join(", ")))
    }
    Ok(all)
}

/// Compiles one; answers where it is.
fn compile(places: &Places, cache: &Cache, step: &crate::ui::Step, sysroot: &Sysroot, name: &str) -> Result<PathBuf> {
    let out = cache.root().join("build").join("plugins");
    let flags = format!("{} -Clinker=wasm-component-ld", sysroot.rustflags());
    Run::new(cargo())
        .args(["rustc", "--release", "--package", &format!("eyot-{name}"), "--lib", "--crate-type", "cdylib"])
        .args(["--features", "component", "--target", TARGET])
        .cwd(&places.root)
        .env("RUSTC", &sysroot.rustc)
        .env("CARGO_TARGET_DIR", &out)
        .env("CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUSTFLAGS", flags)
        .env_remove("RUSTFLAGS")
        .quiet(step, &places.log(&format!("{name}-component")))?;
    let built = out.join(TARGET).join(format!("release/eyot_{name}.wasm"));
    if !built.is_file() {
        return Err(Failure::new(
            format!("{name}.wasm was not built"),
            format!("cargo left no {}", built.display()),
            "report this with the log of the step",
        ));
    }
    Ok(built)
}
