//! What stands between the host's kernel and the backend.

use std::cell::RefCell;
use std::ffi::OsStr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use eyot_backend::{Attributes, Capabilities, Errno, Filesystem, FilesystemInfo, Node, NodeKind, OpenFlags, Ownership};
use fuser::{FopenFlags, Generation, INodeNo, ReplyEntry, Request};

use crate::changes::Teller;
use crate::convert::{self, Numbers, errno, lifetime, new_name};
use crate::counts::Counts;
use crate::mount::{Options, Unmounter, Watch};
use crate::rights;

pub(crate) struct Bridge {
    pub(crate) fs: Arc<dyn Filesystem>,
    pub(crate) numbers: Numbers,
    pub(crate) held: Arc<Counts>,
    entry_lifetime: Duration,
    absence_lifetime: Duration,
    teller: Arc<Teller>,
    /// Names change only through this mount.
    pub(crate) names_are_ours: bool,
    /// Attributes change only through this mount.
    pub(crate) attributes_are_ours: bool,
    /// Whatever the backend says of lifetimes.
    exclusive: bool,
    pub(crate) has_xattrs: bool,
    /// Writes may wait in the page cache: asked for until `init`, granted from then on.
    pub(crate) writes_back: bool,
    /// Files without a page cache can still be mapped.
    pub(crate) maps_uncached: bool,
    unmounter: Unmounter,
}

thread_local! {
    static WATCH: RefCell<Option<Watch>> = const { RefCell::new(None) };
}

impl Bridge {
    pub(crate) fn new(
        fs: Arc<dyn Filesystem>,
        info: &FilesystemInfo,
        root: &Attributes,
        (options, teller): (&Options, Arc<Teller>),
        unmounter: Unmounter,
    ) -> Self {
        let exclusive = options.exclusive;
        let believed = |lifetime_ns| if exclusive { u64::MAX } else { lifetime_ns };
        Self {
            fs,
            numbers: teller.numbers(),
            held: teller.held(),
            entry_lifetime: lifetime(believed(info.entry_lifetime_ns)),
            absence_lifetime: lifetime(believed(info.absence_lifetime_ns)),
            teller,
            names_are_ours: believed(info.entry_lifetime_ns) == u64::MAX,
            attributes_are_ours: believed(root.lifetime_ns) == u64::MAX,
            exclusive,
            has_xattrs: info.capabilities.contains(Capabilities::XATTRS),
            writes_back: options.writeback,
            maps_uncached: false,
            unmounter,
        }
    }

    /// Calls the backend. One that panics answers `EIO`.
    pub(crate) fn ask<T>(&self, call: impl FnOnce(&dyn Filesystem) -> Result<T, Errno>) -> Result<T, fuser::Errno> {
        WATCH.with_borrow_mut(|watch| {
            watch.get_or_insert_with(|| Watch(self.unmounter.clone()));
        });
        match catch_unwind(AssertUnwindSafe(|| call(&*self.fs))) {
            Ok(answer) => answer.map_err(errno),
            Err(_) => Err(fuser::Errno::EIO),
        }
    }

    /// How long the host's kernel may believe that a name leads where it led.
    pub(crate) fn entry_lifetime(&self) -> Duration {
        self.teller.name_lifetime(self.entry_lifetime)
    }

    /// How long it may believe that a name is not there.
    pub(crate) fn absence_lifetime(&self) -> Duration {
        self.teller.name_lifetime(self.absence_lifetime)
    }

    pub(crate) fn lifetime_ns(&self, attributes: &Attributes) -> u64 {
        if self.exclusive { u64::MAX } else { attributes.lifetime_ns }
    }

    /// How long the host's kernel may believe attributes.
    pub(crate) fn lifetime(&self, attributes: &Attributes) -> Duration {
        lifetime(self.lifetime_ns(attributes))
    }

    /// Answers with a node that the backend has counted as looked up once.
    pub(crate) fn entry(&self, answer: Result<Attributes, fuser::Errno>, reply: ReplyEntry) {
        match answer {
            Ok(attributes) => {
                self.held.add(attributes.node);
                let attr = self.numbers.attributes(&attributes);
                reply.entry_with_ttls(&self.lifetime(&attributes), &self.entry_lifetime(), &attr, Generation(0));
            }
            Err(error) => reply.error(error),
        }
    }

    /// Makes something in `parent` for whoever asks.
    pub(crate) fn make(
        &self,
        request: &Request,
        parent: INodeNo,
        name: &OsStr,
        (mode, kind): (u32, NodeKind),
        make: impl FnOnce(&dyn Filesystem, Node, &str, Ownership) -> Result<Attributes, Errno>,
    ) -> Result<Attributes, fuser::Errno> {
        let dir = self.numbers.node(parent);
        self.ask(|fs| {
            let name = new_name(name)?;
            let owner = rights::owner(&fs.getattr(dir)?, request.uid(), request.gid(), mode, kind);
            make(fs, dir, name, owner)
        })
    }

    /// How the backend opens a file. What the page cache writes back it may have to read first: the rest of a page.
    pub(crate) fn open_flags(&self, flags: fuser::OpenFlags) -> OpenFlags {
        let flags = convert::open_flags(flags);
        if self.writes_back { flags | OpenFlags::READ } else { flags }
    }

    /// How the host's kernel caches a file that it opens.
    pub(crate) fn caching(&self, attributes: &Attributes) -> FopenFlags {
        match self.lifetime_ns(attributes) {
            u64::MAX => FopenFlags::FOPEN_KEEP_CACHE,
            0 if self.maps_uncached => FopenFlags::FOPEN_DIRECT_IO | FopenFlags::FOPEN_PARALLEL_DIRECT_WRITES,
            _ => FopenFlags::empty(),
        }
    }

    pub(crate) fn forget_all(&self, node: Node, count: u64) {
        let held = self.held.take(node, count);
        if held > 0 {
            let _ = self.ask(|fs| {
                fs.forget(node, held);
                Ok(())
            });
        }
    }
}
