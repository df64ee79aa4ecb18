//! JavaScript, when it is first asked for. V8 is initialised by the first script of the process, and never when there is none.

use eyot_kernel::process::{Executor, Image, ImageHead, LoadError, Program};

use crate::home::Home;

/// The executor of JavaScript, not yet made.
pub struct LazyNode {
    #[cfg(feature = "v8")]
    home: Home,
    #[cfg(feature = "v8")]
    made: std::sync::OnceLock<Result<eyot_executor_v8::V8Executor, String>>,
}

#[cfg(feature = "v8")]
mod built_in {
    use std::path::PathBuf;
    use std::sync::OnceLock;

    use eyot_executor_v8::{Artefact, Setup, V8Executor};
    use eyot_kernel::Errno;

    use super::*;

    impl LazyNode {
        /// Remembers where to look.
        pub fn new(home: &Home) -> Self {
            Self { home: home.clone(), made: OnceLock::new() }
        }

        fn get(&self) -> Result<&V8Executor, LoadError> {
            let made = self.made.get_or_init(|| make(&self.home));
            made.as_ref().map_err(|message| LoadError { errno: Errno::Noexec, message: message.clone() })
        }
    }

    fn make(home: &Home) -> Result<V8Executor, String> {
        let artefact = artefact(home)?;
        let snapshot = snapshot_file(home).and_then(|file| std::fs::read(file).ok());
        let snapshot = snapshot.map(|bytes| &*bytes.leak());
        Ok(V8Executor::new(Setup { artefact, snapshot, code_cache: None }))
    }

    /// Node's library.
    pub fn artefact(home: &Home) -> Result<&'static Artefact, String> {
        let file = home.file("node.bin").ok_or(
            "JavaScript needs Node's library, and there is no node.bin in eyot's home: run `cargo xtask setup`, or set EYOT_HOME",
        )?;
        Artefact::open(&file).map_err(|e| e.to_string())
    }

    /// Where the startup snapshot of this very executable is kept: another build's would be refused.
    pub fn snapshot_file(home: &Home) -> Option<PathBuf> {
        use std::os::unix::fs::MetadataExt;
        let exe = std::fs::metadata("/proc/self/exe").ok()?;
        let name = format!("node-{:x}-{:x}{:x}.snapshot", exe.size(), exe.mtime(), exe.mtime_nsec());
        Some(home.code()?.join(name))
    }

    impl Executor for LazyNode {
        fn name(&self) -> &'static str {
            "node"
        }

        fn accepts(&self, head: ImageHead<'_>) -> bool {
            eyot_executor_v8::accepts(head)
        }

        fn load(&self, image: &Image) -> Result<Box<dyn Program>, LoadError> {
            self.get()?.load(image)
        }
    }
}

#[cfg(feature = "v8")]
pub use built_in::{artefact, snapshot_file};

/// Where JavaScript was left out, scripts are known and refused with the reason.
#[cfg(not(feature = "v8"))]
mod left_out {
    use eyot_kernel::Errno;

    use super::*;

    impl LazyNode {
        /// Nothing to remember.
        pub fn new(_: &Home) -> Self {
            Self {}
        }
    }

    impl Executor for LazyNode {
        fn name(&self) -> &'static str {
            "node"
        }

        fn accepts(&self, head: ImageHead<'_>) -> bool {
            match head.interpreter {
                Some(name) => name == "node",
                None => [".js", ".cjs", ".mjs"].iter().any(|suffix| head.path.ends_with(suffix)),
            }
        }

        fn load(&self, _: &Image) -> Result<Box<dyn Program>, LoadError> {
            Err(LoadError { errno: Errno::Noexec, message: crate::info::NO_JAVASCRIPT.into() })
        }
    }
}
