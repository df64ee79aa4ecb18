//! `eyot warm`: makes ahead of time what the first run of anything would otherwise wait for: machine code of every program of
//! the base image and of the plug-ins, and V8's startup snapshot.

use std::collections::BTreeSet;

use eyot_kernel::Vm;

use crate::cli::VmOptions;
use crate::failure::Failure;
use crate::home::Home;
use crate::island;

/// Where the base image keeps programs.
const PROGRAMS: &str = "/bin";

/// Fills the machine-code cache.
pub fn run(home: &Home) -> Result<u8, Failure> {
    let code =
        home.code().ok_or_else(|| Failure::setup("there is nowhere to keep machine code: set EYOT_CACHE or HOME"))?;
    std::fs::create_dir_all(&code).map_err(|e| Failure::setup(format!("cannot create {}: {e}", code.display())))?;
    if let Err(failure) = snapshot(home) {
        // Scripts run without one too, they only start later.
        eprintln!("eyot: {}", failure.message);
    }
    let vm = island::new(home, &VmOptions { cwd: Some("/".into()), ..VmOptions::default() })?;
    for program in programs(&vm)? {
        println!("compiling {program}");
        // Compiling is part of starting. With no arguments and an empty input these programs end at once or complain; either will do.
        let output = vm.command(program.as_str()).arg("--version").output();
        output.map_err(|e| Failure::setup(format!("{program} cannot be compiled: {}", e.message)))?;
    }
    Ok(0)
}

/// One name of each program that has machine code: the others are links to the same file, and what is no WebAssembly is an executor's, which may not be
/// built in.
fn programs(vm: &Vm) -> Result<Vec<String>, Failure> {
    let fail = |e| Failure::setup(format!("the base image's {PROGRAMS} cannot be listed: {e}"));
    let mut seen = BTreeSet::new();
    let mut programs = Vec::new();
    for name in vm.read_dir(PROGRAMS).map_err(fail)? {
        let path = format!("{PROGRAMS}/{name}");
        let stat = vm.stat(&path).map_err(fail)?;
        if seen.insert(stat.attributes.node) && vm.read_file(&path).map_err(fail)?.starts_with(b"\0asm") {
            programs.push(path);
        }
    }
    Ok(programs)
}

#[cfg(feature = "v8")]
fn snapshot(home: &Home) -> Result<(), Failure> {
    let Some(file) = crate::node::snapshot_file(home) else { return Ok(()) };
    if file.is_file() || home.file("node.bin").is_none() {
        return Ok(());
    }
    println!("making V8's startup snapshot");
    // In a process of its own: V8's read-only memory is set up for making a snapshot, once for the whole process.
    let exe = std::env::current_exe().map_err(|e| Failure::setup(format!("cannot tell where eyot lies: {e}")))?;
    let made = std::process::Command::new(exe).args(["warm", "--snapshot"]).status();
    match made {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(Failure::setup(format!("V8's startup snapshot could not be made: {status}"))),
        Err(e) => Err(Failure::setup(format!("V8's startup snapshot could not be made: {e}"))),
    }
}

#[cfg(not(feature = "v8"))]
fn snapshot(_: &Home) -> Result<(), Failure> {
    Ok(())
}

/// `eyot warm --snapshot`: makes the snapshot and ends.
#[cfg(feature = "v8")]
pub fn make_snapshot(home: &Home) -> Result<u8, Failure> {
    let fail = |e: String| Failure::setup(format!("V8's startup snapshot: {e}"));
    let file = crate::node::snapshot_file(home).ok_or_else(|| fail("there is nowhere to keep it".into()))?;
    let artefact = crate::node::artefact(home).map_err(fail)?;
    let bytes = eyot_executor_v8::build_snapshot(artefact).map_err(|e| fail(e.to_string()))?;
    forget_others(&file);
    let tmp = file.with_extension("new");
    std::fs::write(&tmp, bytes).and_then(|()| std::fs::rename(&tmp, &file)).map_err(|e| fail(e.to_string()))?;
    Ok(0)
}

/// Takes snapshots of earlier builds away that nobody has used for a day.
#[cfg(feature = "v8")]
fn forget_others(file: &std::path::Path) {
    let day = std::time::Duration::from_secs(86_400);
    let Some(listing) = file.parent().and_then(|dir| std::fs::read_dir(dir).ok()) else { return };
    for entry in listing.flatten() {
        let old = entry.metadata().and_then(|m| m.accessed()).is_ok_and(|at| at.elapsed().is_ok_and(|age| age > day));
        if old && entry.path().extension().is_some_and(|suffix| suffix == "snapshot") {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

/// `eyot warm --snapshot` where JavaScript was left out.
#[cfg(not(feature = "v8"))]
pub fn make_snapshot(_: &Home) -> Result<u8, Failure> {
    Err(Failure::setup(crate::info::NO_JAVASCRIPT))
}
