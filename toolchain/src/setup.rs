//! `cargo xtask setup`: every step of making a machine ready, in order, each skipped when its result is there.

use std::path::PathBuf;

use eyot_coreutils_build as guests;

use crate::build;
use crate::cache::Cache;
use crate::command::{Run, find_program};
use crate::components::{self, Built, Targets, Wasi};
use crate::failure::{Failure, Result};
use crate::home;
use crate::places::Places;
use crate::ui::{Step, Ui};
use crate::v8::{self, Choice, V8};

/// What the other commands work with.
#[derive(Debug)]
pub struct Ready {
    /// Where things are.
    pub places: Places,
    /// Where progress goes.
    pub ui: Ui,
    /// Whether JavaScript is there.
    pub v8: V8,
    /// The shipped backends as components.
    pub components: Vec<Built>,
}

impl Ready {
    /// Where a component is: `memfs.wasm`.
    pub fn component(&self, file: &str) -> PathBuf {
        self.components.iter().find(|built| built.file == file).map_or_else(|| file.into(), |built| built.path.clone())
    }
}

/// Sets the machine up.
pub fn run(choice: Choice) -> Result<Ready> {
    let ui = Ui::new();
    let places = Places::find()?;
    ui.say(format!("setting up (cache: {})", places.cache.display()));
    let cache = Cache::lock(&places.cache, &ui)?;
    basics()?;
    let mut v8 = v8::resolve(&places, &cache, &ui, choice)?;
    let node = if v8.is_ready() {
        match node_library(&places, &cache, &ui) {
            Ok(artefact) => Some(artefact),
            Err(failure) => {
                v8 = V8::Missing(failure);
                None
            }
        }
    } else {
        None
    };
    let image = base_image(&places, &ui)?;
    let targets = Targets { plain: plain_sysroot(&places, &ui)?, wasi: wasi(&places, &ui)? };
    let components = components::build(&places, &cache, &ui, &targets)?;
    build::eyot(&places, &ui, &v8)?;
    let mut files = vec![("base.img", Some(image)), ("node.bin", node)];
    files.extend(components.iter().map(|built| (built.file.as_str(), Some(built.path.clone()))));
    home::fill(&places, &files)?;
    warm(&places, &ui)?;
    if let V8::Missing(failure) = &v8 {
        ui.say(failure.line());
    }
    Ok(Ready { places, ui, v8, components })
}

/// What nothing can be done without.
fn basics() -> Result<()> {
    for (program, package) in [("cc", "gcc and libc6-dev"), ("python3", "python3 and python3-pip")] {
        if find_program(program).is_none() {
            return Err(Failure::new(
                "cannot set this machine up",
                format!("there is no `{program}` in PATH"),
                format!("install it (Debian: {package}) and run the same command again"),
            ));
        }
    }
    Ok(())
}

/// Node's JavaScript library; without npm there is no JavaScript, and that is said.
fn node_library(places: &Places, cache: &Cache, ui: &Ui) -> Result<PathBuf> {
    let step = ui.step("Node's library");
    let made = crate::node::artefact(places, cache, &step);
    match made {
        Ok(artefact) => {
            step.done("ready");
            Ok(artefact)
        }
        Err(failure) => {
            step.missing(&failure.line());
            Err(failure)
        }
    }
}

struct Notes<'a>(&'a Step);

impl guests::Progress for Notes<'_> {
    fn step(&self, what: &str) {
        self.0.note(what);
    }
}

/// Lets what builds the guests work, with its notes on the step.
pub fn with_guests<T>(
    places: &Places,
    step: &Step,
    work: impl FnOnce(&guests::Ctx<'_>) -> guests::Result<T>,
) -> Result<T> {
    let jobs = std::thread::available_parallelism().map_or(2, usize::from);
    let recipes = places.root.join("coreutils-build");
    let made = work(&guests::Ctx { recipes, cache: places.cache.join("guests"), jobs, progress: &Notes(step) });
    made.map_err(|error| {
        Failure::new(
            "what guests need cannot be built",
            error,
            "mend its cause and run the same command again; it goes on where it stopped",
        )
    })
}

fn guests_step<T>(
    places: &Places,
    ui: &Ui,
    name: &str,
    work: impl FnOnce(&guests::Ctx<'_>) -> guests::Result<T>,
) -> Result<T> {
    let step = ui.step(name);
    let made = with_guests(places, &step, work)?;
    step.done("ready");
    Ok(made)
}

/// The packed shell and tools: one that was built elsewhere, or built here.
fn base_image(places: &Places, ui: &Ui) -> Result<PathBuf> {
    if let Some(given) = std::env::var_os("EYOT_BASE_IMAGE").filter(|path| !path.is_empty()) {
        let path = std::path::absolute(&given).unwrap_or_else(|_| given.into());
        let step = ui.step("base image (shell and tools)");
        if !path.is_file() {
            let why = format!("EYOT_BASE_IMAGE names {}, which is no file", path.display());
            return Err(Failure::new(
                "there is no base image",
                why,
                "correct EYOT_BASE_IMAGE, or unset it to have one built",
            ));
        }
        step.skipped(&format!("{} (EYOT_BASE_IMAGE)", path.display()));
        return Ok(path);
    }
    guests_step(places, ui, "base image (shell and tools)", guests::image)
}

fn plain_sysroot(places: &Places, ui: &Ui) -> Result<guests::Sysroot> {
    guests_step(places, ui, "standard library for plug-ins", |ctx| guests::sysroot(ctx, "wasm32-unknown-unknown"))
}

/// What a plug-in with C in it is built with.
fn wasi(places: &Places, ui: &Ui) -> Result<Wasi> {
    guests_step(places, ui, "C library for plug-ins", |ctx| {
        Ok(Wasi { sysroot: guests::sysroot(ctx, components::WASI)?, libc: guests::wasi_libc(ctx)? })
    })
}

/// Fills the machine-code cache, so that no command has to wait for a compiler.
fn warm(places: &Places, ui: &Ui) -> Result<()> {
    let step = ui.step("machine code of the tools");
    Run::new(places.eyot())
        .arg("warm")
        .env("EYOT_CACHE", &places.cache)
        .env("EYOT_HOME", places.home())
        .fix("run `target/release/eyot info` to see what the command finds")
        .quiet(&step, &places.log("warm"))?;
    step.done("in the cache");
    Ok(())
}
