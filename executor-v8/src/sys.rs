//! The only door from this crate to the kernel: everything that leaves the isolate goes through here.

use std::cell::RefCell;
use std::time::Duration;

/// A failed system call, as a positive errno.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Errno(pub(crate) i32);

/// What the process was started with.
pub(crate) struct Start {
    pub(crate) argv: Vec<String>,
    pub(crate) env: Vec<(String, String)>,
}

pub(crate) struct Sys {
    start: Start,
    env: RefCell<Vec<(String, String)>>,
    t0: std::time::Instant,
}

impl Sys {
    pub(crate) fn new(start: Start) -> Self {
        let env = RefCell::new(start.env.clone());
        Self { start, env, t0: std::time::Instant::now() }
    }
    pub(crate) fn argv(&self) -> Vec<String> {
        self.start.argv.clone()
    }
    pub(crate) fn exec_path(&self) -> &str {
        "/usr/bin/node"
    }
    pub(crate) fn write_all(&self, fd: u32, bytes: &[u8]) {
        use std::io::Write;
        if fd == 1 {
            let _ = std::io::stdout().write_all(bytes);
        } else {
            let _ = std::io::stderr().write_all(bytes);
        }
    }
    pub(crate) fn handle_type(&self, _fd: u32) -> u32 {
        3
    }
    pub(crate) fn sleep(&self, d: Duration) {
        std::thread::sleep(d);
    }
    pub(crate) fn monotonic_ns(&self) -> u64 {
        self.t0.elapsed().as_nanos() as u64
    }
    pub(crate) fn realtime_ns(&self) -> u64 {
        std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).map_or(0, |d| d.as_nanos() as u64)
    }
    pub(crate) fn cpu_ns(&self) -> u64 {
        0
    }
    pub(crate) fn cwd(&self) -> Result<String, Errno> {
        Ok("/".into())
    }
    pub(crate) fn chdir(&self, _d: &str) -> Result<(), Errno> {
        Err(Errno(2))
    }
    pub(crate) fn umask(&self, _m: Option<u32>) -> u32 {
        0o22
    }
    pub(crate) fn kill(&self, _pid: i32, _sig: i32) -> Result<(), Errno> {
        Err(Errno(3))
    }
    pub(crate) fn killed(&self) -> bool {
        false
    }
    pub(crate) fn pid(&self) -> u32 {
        1
    }
    pub(crate) fn ppid(&self) -> u32 {
        0
    }
    pub(crate) fn uid(&self) -> u32 {
        1000
    }
    pub(crate) fn gid(&self) -> u32 {
        1000
    }
    pub(crate) fn hostname(&self) -> String {
        "eyot".into()
    }
    pub(crate) fn read_file(&self, path: &[u8]) -> Result<Vec<u8>, Errno> {
        std::fs::read(String::from_utf8_lossy(path).as_ref()).map_err(|e| Errno(e.raw_os_error().unwrap_or(5)))
    }

    pub(crate) fn getenv(&self, name: &str) -> Option<String> {
        self.env.borrow().iter().find(|(k, _)| k == name).map(|(_, v)| v.clone())
    }
    pub(crate) fn setenv(&self, name: &str, value: &str) {
        let mut env = self.env.borrow_mut();
        match env.iter_mut().find(|(k, _)| k == name) {
            Some((_, v)) => value.clone_into(v),
            None => env.push((name.to_owned(), value.to_owned())),
        }
    }
    pub(crate) fn unsetenv(&self, name: &str) {
        self.env.borrow_mut().retain(|(k, _)| k != name);
    }
    pub(crate) fn env_names(&self) -> Vec<String> {
        self.env.borrow().iter().map(|(k, _)| k.clone()).collect()
    }
}
