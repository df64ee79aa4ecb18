//! Puts a VM together from the options of a command line.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use eyot_kernel::backend::Filesystem;
use eyot_kernel::limits::Limit;
use eyot_kernel::vfs::{Caching, MountOptions};
use eyot_kernel::vm::{BuildError, ConfigError, MountError, VmBuilder, VmConfig};
use eyot_kernel::{Errno, Vm};
use eyot_memfs::{BaseImage, ImageBuilder, Memfs, Meta};

use crate::cli::VmOptions;
use crate::failure::Failure;
use crate::home::Home;
use crate::program::{self, HostPart, PROGRAM_DIR};
use crate::session::Program;
use crate::{config, executors, interpreter, mounts};

const READ_ONLY: MountOptions = MountOptions { read_only: true, cache: Caching::Auto };

/// Where programs start, unless told otherwise.
const START: &str = "/home/user";

/// How much of a script is looked at for its `#!` line.
const HEAD_BYTES: usize = 256;

/// The VM of `eyot sh` and `eyot exec`.
pub fn new(home: &Home, options: &VmOptions) -> Result<Vm, Failure> {
    build(describe(home, options, &configuration(options)?)?)
}

/// The VM of `eyot run`, and what is run in it.
pub fn with_program(
    home: &Home,
    options: &VmOptions,
    file: &Path,
    args: Vec<String>,
) -> Result<(Vm, Program), Failure> {
    let config = configuration(options)?;
    let guests: Vec<&str> = config.mounts.keys().map(String::as_str).collect();
    let user_home = std::env::var_os("HOME").map(std::path::PathBuf::from);
    let placed = program::place(file, &guests, user_home.as_deref())
        .map_err(|no| Failure { message: no.message, code: no.code })?;
    let mut builder = describe(home, options, &config)?;
    let mut head = Vec::new();
    if let Some(part) = &placed.host {
        head = head_of(file)?;
        builder = builder.mount(PROGRAM_DIR, brought(part)?, READ_ONLY);
    }
    Ok((build(builder)?, interpreter::command(placed.guest_path, &head, args)))
}

/// What the file says, and the command line above it.
fn configuration(options: &VmOptions) -> Result<VmConfig, Failure> {
    let mut config = match &options.config {
        Some(file) => config::read(file)?,
        None => VmConfig::default(),
    };
    for point in &options.mounts {
        config.mounts.insert(point.guest.clone(), point.mount.clone());
    }
    for variable in &options.env {
        config.env.insert(variable.name.clone(), variable.value.clone());
    }
    if let Some(directory) = &options.cwd {
        config.working_directory = Some(directory.clone());
    }
    Ok(config)
}

fn describe(home: &Home, options: &VmOptions, config: &VmConfig) -> Result<VmBuilder, Failure> {
    let mut builder = Vm::builder()
        .root(Arc::new(Memfs::over(Arc::new(base_image(home)?))))
        .env("HOME", "/home/user")
        .env("USER", "user")
        .env("LANG", "C.UTF-8")
        .working_directory(START);
    for executor in executors::all(home) {
        builder = builder.executor(executor);
    }
    let mut builder = builder.config(config, &mounts::types(home, mounts::GUEST)).map_err(|error| refused(&error))?;
    if let Some(bytes) = options.memory {
        builder = builder.limit(Limit::MemoryBytes, bytes);
        builder = builder.limit(Limit::MemoryBytesPerProcess, bytes.min(Limit::MemoryBytesPerProcess.default_value()));
    }
    Ok(builder)
}

/// A wrong configuration is a wrong command line; what could not be done with a right one is not.
fn refused(error: &ConfigError) -> Failure {
    let usage = match error {
        ConfigError::Mount { error: MountError::Refused { refusal, .. }, .. } => refusal.errno == Errno::Inval,
        _ => true,
    };
    // On the command line a mount is known by its path.
    let message = match error {
        ConfigError::Mount { path, error: MountError::Refused { refusal, .. } } => format!("mount {path}: {refusal}"),
        other => other.to_string(),
    };
    if usage { Failure::usage(message) } else { Failure::setup(message) }
}

fn build(builder: VmBuilder) -> Result<Vm, Failure> {
    builder.build().map_err(|error| match &error {
        BuildError::WorkingDirectory { path, .. } if path == START => {
            Failure::setup(format!("{error}; give another with --cwd"))
        }
        _ => Failure::setup(error.to_string()),
    })
}

/// The VM's own tree, mapped: pages that nobody reads cost nothing, and a VM's changes are its own.
pub fn base_image(home: &Home) -> Result<BaseImage, Failure> {
    let missing = || {
        let looked =
            home.dir.as_deref().map_or("there is no home".to_owned(), |dir| format!("looked in {}", dir.display()));
        Failure::setup(format!(
            "no base image ({looked}): run `cargo xtask setup`, or set EYOT_HOME to a directory with base.img"
        ))
    };
    let path = home.file("base.img").ok_or_else(missing)?;
    let fail =
        |e: &dyn std::fmt::Display| Failure::setup(format!("the base image {} can't be used: {e}", path.display()));
    let file = File::open(&path).map_err(|e| fail(&e))?;
    // SAFETY: the image lies in the user's own cache or installation, is replaced only by renaming another file over it, and is
    // never written in place; no guest can reach it unless the user mounts its directory.
    let map = unsafe { memmap2::Mmap::map(&file) }.map_err(|e| fail(&e))?;
    BaseImage::open(Arc::new(map)).map_err(|e| fail(&e))
}

fn brought(part: &HostPart) -> Result<Arc<dyn Filesystem>, Failure> {
    match part {
        HostPart::Directory(dir) => mounts::host_directory(dir, true, mounts::GUEST)
            .map_err(|e| Failure::setup(format!("the program's directory: {e}"))),
        HostPart::File(file) => {
            let fail = |e: &dyn std::fmt::Display| Failure { message: format!("{}: {e}", file.display()), code: 126 };
            // Read, not mapped: another process, or the guest itself over a mount, may cut the file short.
            let bytes = std::fs::read(file).map_err(|e| fail(&e))?;
            let name = file.file_name().unwrap_or_default().to_string_lossy();
            Ok(Arc::new(Memfs::over(Arc::new(one_file(&name, bytes).map_err(|e| fail(&e))?))))
        }
    }
}

/// A tree of one executable file, which is loaded in place.
fn one_file(name: &str, bytes: Vec<u8>) -> Result<BaseImage, String> {
    let mut image = ImageBuilder::new();
    image.add_file(&format!("/{name}"), Meta::executable().with_mode(0o555), bytes).map_err(|e| e.to_string())?;
    let bytes = image.to_vec().map_err(|e| e.to_string())?;
    BaseImage::open(Arc::new(bytes)).map_err(|e| e.to_string())
}

fn head_of(file: &Path) -> Result<Vec<u8>, Failure> {
    use std::io::Read;
    let mut head = Vec::with_capacity(HEAD_BYTES);
    let read = File::open(file).and_then(|file| file.take(HEAD_BYTES as u64).read_to_end(&mut head));
    read.map_err(|e| Failure { message: format!("{}: {e}", file.display()), code: 126 })?;
    Ok(head)
}
