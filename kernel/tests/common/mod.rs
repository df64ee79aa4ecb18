//! A VM for tests: memfs as its root, and an executor whose programs are Rust functions, each on a thread of its own.

#![allow(dead_code, reason = "each test crate uses a part of it")]

pub mod far;
pub mod random;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use eyot_kernel::process::{Executor, ExitStatus, Image, ImageHead, LoadError, Program, Task};
use eyot_kernel::wait::{SysError, SysResult};
use eyot_kernel::{Errno, Vm};
use eyot_memfs::Memfs;

type Body = Arc<dyn Fn(&Arc<Task>) -> u8 + Send + Sync>;

/// Runs programs whose file is `#!eyot:native` and a name.
#[derive(Default)]
pub struct Native {
    bodies: Mutex<HashMap<String, Body>>,
}

impl Executor for Native {
    fn name(&self) -> &'static str {
        "native"
    }

    fn accepts(&self, head: ImageHead<'_>) -> bool {
        head.interpreter == Some("native")
    }

    fn load(&self, image: &Image) -> Result<Box<dyn Program>, LoadError> {
        let name = image.path.rsplit('/').next().unwrap_or_default().to_owned();
        let body = self.bodies.lock().unwrap().get(&name).cloned();
        let body = body.ok_or_else(|| LoadError { errno: Errno::Noexec, message: format!("no body for {name}") })?;
        Ok(Box::new(Run(body)))
    }
}

struct Run(Body);

impl Program for Run {
    fn start(self: Box<Self>, task: Arc<Task>) {
        std::thread::spawn(move || {
            let code = (self.0)(&task);
            task.finish(task.fatal_status().unwrap_or(ExitStatus::Exited(code)));
        });
    }
}

/// A VM and the programs it knows.
pub struct World {
    pub vm: Vm,
    native: Arc<Native>,
}

impl World {
    pub fn new() -> Self {
        Self::with(|builder| builder)
    }

    pub fn with(configure: impl FnOnce(eyot_kernel::vm::VmBuilder) -> eyot_kernel::vm::VmBuilder) -> Self {
        let native = Arc::new(Native::default());
        let builder = Vm::builder().root(Arc::new(Memfs::new())).executor(native.clone()).user(0, 0);
        let vm = configure(builder).build().unwrap();
        vm.make_dir("/bin", 0o755).unwrap();
        vm.make_dir("/tmp", 0o777).unwrap();
        Self { vm, native }
    }

    /// Gives the VM a program in `/bin`.
    pub fn program(&self, name: &str, body: impl Fn(&Arc<Task>) -> u8 + Send + Sync + 'static) {
        self.native.bodies.lock().unwrap().insert(name.to_owned(), Arc::new(body));
        self.vm.write_file(&format!("/bin/{name}"), b"#!eyot:native\n", 0o755).unwrap();
    }

    /// Runs a function as the superuser's only program, and passes its panic on.
    pub fn run(&self, body: impl Fn(&Arc<Task>) + Send + Sync + 'static) {
        self.run_as(0, body);
    }

    /// Runs a function as a program of some user's.
    pub fn run_as(&self, uid: u32, body: impl Fn(&Arc<Task>) + Send + Sync + 'static) {
        let failure = Arc::new(Mutex::new(None));
        let seen = failure.clone();
        self.program("main", move |task| {
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| body(task)));
            *seen.lock().unwrap() = result.err();
            0
        });
        self.vm.command("/bin/main").user(uid, uid).status().unwrap();
        if let Some(panic) = failure.lock().unwrap().take() {
            std::panic::resume_unwind(panic);
        }
    }
}

/// The value of a call that must not wait. `Err` is its errno.
pub fn now<T>(result: SysResult<T>) -> Result<T, Errno> {
    result.map_err(|error| match error {
        SysError::Errno(errno) => errno,
        SysError::Wait(_) => panic!("the call waits"),
    })
}

/// Whether a call waits.
pub fn waits<T>(result: SysResult<T>) -> bool {
    matches!(result, Err(SysError::Wait(_)))
}
