//! What every filesystem backend must do.
//!
//! The checks see a backend only through [`Filesystem`], so the same list runs on a native backend, on a component behind the plugin host, and on a
//! host directory. A check that needs what the backend does not offer is left out, and said so.
//!
//! ```no_run
//! fn check(make: fn() -> std::sync::Arc<dyn eyot_backend::Filesystem>) {
//!     eyot_conformance::run(make); // panics with the names of the checks that failed
//! }
//! ```

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use eyot_backend::{Attributes, Capabilities, Errno, Filesystem, Node, Ownership};

mod attributes;
mod data;
mod directories;
#[cfg(feature = "forge")]
pub mod forge;
mod names;
mod rename;
mod xattrs;

/// One check.
#[derive(Clone, Copy)]
pub struct Check {
    /// What must hold.
    pub name: &'static str,
    /// What the backend must offer for it.
    pub needs: Capabilities,
    /// Panics when it does not hold. The filesystem is fresh and empty.
    pub run: fn(&Subject),
}

/// The filesystem under test.
pub struct Subject {
    fs: Arc<dyn Filesystem>,
    root: Node,
    capabilities: Capabilities,
}

/// Every check.
pub fn checks() -> Vec<Check> {
    [names::CHECKS, data::CHECKS, directories::CHECKS, rename::CHECKS, attributes::CHECKS, xattrs::CHECKS].concat()
}

/// Runs every check that applies on a fresh filesystem from `make`. Panics when one fails, after all of them ran, and answers how many ran.
pub fn run(make: impl Fn() -> Arc<dyn Filesystem>) -> usize {
    let (mut failed, mut ran) = (Vec::new(), 0);
    for check in checks() {
        let fs = make();
        let info = fs.info();
        if !info.capabilities.contains(check.needs) {
            println!("left out: {} (needs {:?})", check.name, check.needs);
            continue;
        }
        ran += 1;
        let subject = Subject { fs, root: info.root, capabilities: info.capabilities };
        if catch_unwind(AssertUnwindSafe(|| (check.run)(&subject))).is_err() {
            failed.push(check.name);
        }
    }
    assert!(failed.is_empty(), "{} of {ran} checks failed: {failed:#?}", failed.len());
    ran
}

const OWNER: Ownership = Ownership { mode: 0o644, uid: 1000, gid: 1000 };
const W: Capabilities = Capabilities::WRITABLE;

impl Subject {
    fn file(&self, dir: Node, name: &str) -> Attributes {
        self.fs.create(dir, name, OWNER).unwrap_or_else(|errno| panic!("create {name}: {errno:?}"))
    }

    fn dir(&self, dir: Node, name: &str) -> Attributes {
        let owner = Ownership { mode: 0o755, ..OWNER };
        self.fs.mkdir(dir, name, owner).unwrap_or_else(|errno| panic!("mkdir {name}: {errno:?}"))
    }

    /// The number and kind behind a name, without keeping a lookup.
    fn peek(&self, dir: Node, name: &str) -> Result<Attributes, Errno> {
        let found = self.fs.lookup(dir, name)?;
        self.fs.forget(found.node, 1);
        Ok(found)
    }

    fn write(&self, node: Node, offset: u64, bytes: &[u8]) {
        let handle = self.fs.open(node, eyot_backend::OpenFlags::all()).unwrap();
        let mut done = 0;
        while done < bytes.len() {
            let count = self.fs.write(node, handle, offset + done as u64, &bytes[done..]).unwrap();
            assert!(count > 0 && count <= bytes.len() - done);
            done += count;
        }
        self.fs.release(node, handle);
    }

    fn read(&self, node: Node, offset: u64, length: usize) -> Vec<u8> {
        let handle = self.fs.open(node, eyot_backend::OpenFlags::READ).unwrap();
        // What the backend does not fill must not be taken for an answer.
        let mut buffer = vec![0xa5; length];
        let count = self.fs.read(node, handle, offset, &mut buffer).unwrap();
        self.fs.release(node, handle);
        buffer.truncate(count);
        buffer
    }

    fn names(&self, dir: Node) -> Vec<String> {
        let (mut names, mut cookie) = (Vec::new(), 0);
        loop {
            let page = self.fs.readdir(dir, cookie, 100).unwrap();
            let Some(last) = page.last() else { break };
            cookie = last.cookie;
            names.extend(page.into_iter().map(|entry| entry.name));
        }
        names.sort();
        names
    }
}
