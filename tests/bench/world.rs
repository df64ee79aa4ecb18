//! The VMs that the rows run in, and the whole processes they compare.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::{Arc, OnceLock};

use eyot_kernel::Vm;
use eyot_kernel::process::Executor;
use eyot_kernel::vm::{Output, VmBuilder};
use eyot_kernel::wasm::{WasmConfig, WasmExecutor};
use eyot_memfs::{BaseImage, Memfs};

/// The base image that `cargo xtask setup` linked beside the command.
fn base() -> Result<Arc<BaseImage>, String> {
    static BASE: OnceLock<Result<Arc<BaseImage>, String>> = OnceLock::new();
    BASE.get_or_init(|| {
        let file = home()?.join("base.img");
        let bytes =
            std::fs::read(&file).map_err(|error| format!("{}: {error}; run `cargo xtask setup`", file.display()))?;
        BaseImage::open(Arc::new(bytes)).map(Arc::new).map_err(|error| format!("{}: {error}", file.display()))
    })
    .clone()
}

pub fn home() -> Result<PathBuf, String> {
    let beside = || eyot_tests::binary().parent().and_then(|dir| dir.parent()).map(|dir| dir.join("share/eyot"));
    std::env::var_os("EYOT_HOME")
        .map(PathBuf::from)
        .or_else(|| beside().filter(|dir| dir.is_dir()))
        .or_else(|| cache().map(|cache| cache.join("home")))
        .ok_or_else(|| "no home of eyot: run `cargo xtask setup`".to_owned())
}

pub fn cache() -> Option<PathBuf> {
    let var = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    var("EYOT_CACHE")
        .or_else(|| var("XDG_CACHE_HOME").map(|dir| dir.join("eyot")))
        .or_else(|| var("HOME").map(|dir| dir.join(".cache/eyot")))
}

/// The executor that all VMs of this run share, as they would in a server.
pub fn wasm() -> Arc<dyn Executor> {
    static WASM: OnceLock<Arc<WasmExecutor>> = OnceLock::new();
    WASM.get_or_init(|| Arc::new(WasmExecutor::new(WasmConfig { code_cache: cache().map(|cache| cache.join("code")) })))
        .clone()
}

/// A VM over the base image.
pub fn vm() -> Result<Vm, String> {
    vm_with(|builder| builder)
}

/// A VM over the base image, described further.
pub fn vm_with(describe: impl FnOnce(VmBuilder) -> VmBuilder) -> Result<Vm, String> {
    let builder = Vm::builder().root(Arc::new(Memfs::over(base()?))).executor(wasm()).env("HOME", "/home/user");
    describe(builder).build().map_err(|error| error.to_string())
}

/// A mebibyte of lines of text, one in ten of which holds the word `island`.
pub fn text_of_1_mib() -> Vec<u8> {
    let mut text = Vec::with_capacity(1 << 20);
    for line in 0_u32.. {
        let word = if line % 10 == 0 { "island" } else { "river" };
        let next = format!("line {line} of the {word}, where the water is {} feet deep\n", line % 97);
        if text.len() + next.len() > 1 << 20 {
            break;
        }
        text.extend_from_slice(next.as_bytes());
    }
    text
}

/// Runs a command in a VM; anything but success is an error.
pub fn output(vm: &Vm, program: &str, arguments: &[&str]) -> Result<Output, String> {
    let output = vm.command(program).args(arguments.iter().copied()).output().map_err(|error| error.to_string())?;
    if output.status.success() {
        Ok(output)
    } else {
        Err(format!("{program}: {:?}: {}", output.status, String::from_utf8_lossy(&output.stderr)))
    }
}

/// Runs a command of the host; anything but success is an error.
pub fn host(mut command: Command) -> Result<Vec<u8>, String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .map_err(|error| format!("{}: {error}", command.get_program().to_string_lossy()))?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(format!("{command:?}: {}: {}", output.status, String::from_utf8_lossy(&output.stderr)))
    }
}
