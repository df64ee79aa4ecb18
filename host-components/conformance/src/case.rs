//! What a case is, and the list of them.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use eyot_backend::Capabilities;
use serde::{Serialize, Serializer};

use crate::subject::Subject;

macro_rules! groups {
    ($($ident:ident = $name:literal, $what:literal;)*) => {
        /// What a case is about.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Group {
            $(#[doc = $what] $ident,)*
        }

        impl Group {
            /// Every group, in the order of the scorecard.
            pub const ALL: &'static [Group] = &[$(Group::$ident,)*];

            /// The name, such as `lookup counts`.
            pub const fn name(self) -> &'static str {
                match self { $(Group::$ident => $name,)* }
            }
        }
    };
}

groups! {
    Names = "names", "Making, finding and taking away names.";
    Lookups = "lookup counts", "What is held stays valid, and no longer.";
    Data = "data", "Reading, writing and cutting files.";
    Directories = "directories", "Directories and their listings.";
    Rename = "rename", "Moving names.";
    Links = "links", "Hard links.";
    Symlinks = "symlinks", "Symlinks.";
    Attributes = "attributes and times", "Attributes, and which times move when.";
    Xattrs = "xattrs", "Extended attributes.";
    Special = "special files", "FIFOs, sockets' names and device nodes.";
    Holes = "holes", "What was never written.";
    Large = "large files", "Many bytes, and far offsets.";
    OddNames = "odd names", "Names that somebody's code trips over.";
    Limits = "limits", "The longest, the most, the deepest.";
    Concurrency = "concurrency", "Many threads at once.";
    Robustness = "robustness", "What no kernel asks, and a backend must survive.";
    Faults = "error injection", "What lies under the backend fails.";
    Model = "model", "Random operations beside a model.";
    Fixture = "fixture", "A tree that was there before.";
}

impl fmt::Display for Group {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for Group {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

type Run = dyn Fn(&Subject) + Send + Sync;

/// One case: what must hold.
#[derive(Clone)]
pub struct Case {
    pub(crate) group: Group,
    pub(crate) name: Cow<'static, str>,
    pub(crate) needs: Capabilities,
    pub(crate) lacks: Capabilities,
    pub(crate) law: &'static str,
    pub(crate) long: bool,
    pub(crate) condition: Condition,
    pub(crate) run: Arc<Run>,
}

/// What beside capabilities a case needs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Condition {
    /// Nothing.
    Always,
    /// A filesystem that holds the fixture.
    Populated,
    /// A filesystem with a ceiling of bytes.
    Bounded,
    /// A filesystem over one whose calls can be made to fail.
    Faulty,
}

impl Case {
    /// What it is about.
    pub fn group(&self) -> Group {
        self.group
    }

    /// What must hold.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the backend must offer for it.
    pub fn needs(&self) -> Capabilities {
        self.needs
    }

    /// Who says that it must hold: a manual page, or the WIT.
    pub fn law(&self) -> &'static str {
        self.law
    }

    /// Whether a backend that offers everything, and of which nothing else is known, runs it in the short form.
    pub(crate) fn is_common(&self) -> bool {
        !self.long && self.lacks.is_empty() && self.condition == Condition::Always
    }
}

/// The list while it is made.
pub(crate) struct Cases {
    group: Group,
    law: &'static str,
    pub(crate) list: Vec<Case>,
}

impl Cases {
    pub(crate) fn new() -> Self {
        Self { group: Group::Names, law: "", list: Vec::new() }
    }

    /// The group of the cases that follow.
    pub(crate) fn group(&mut self, group: Group) -> &mut Self {
        self.group = group;
        self
    }

    /// The law of the cases that follow.
    pub(crate) fn law(&mut self, law: &'static str) -> &mut Self {
        self.law = law;
        self
    }

    /// Adds a case.
    pub(crate) fn add(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        needs: Capabilities,
        run: impl Fn(&Subject) + Send + Sync + 'static,
    ) -> &mut Self {
        self.list.push(Case {
            group: self.group,
            name: name.into(),
            needs,
            lacks: Capabilities::empty(),
            law: self.law,
            long: false,
            condition: Condition::Always,
            run: Arc::new(run),
        });
        self
    }

    fn last(&mut self, change: impl FnOnce(&mut Case)) -> &mut Self {
        if let Some(case) = self.list.last_mut() {
            change(case);
        }
        self
    }

    /// The last case is for the long form only.
    pub(crate) fn long(&mut self) -> &mut Self {
        self.last(|case| case.long = true)
    }

    /// The last case is for a backend that does not offer this.
    pub(crate) fn lacking(&mut self, lacks: Capabilities) -> &mut Self {
        self.last(|case| case.lacks = lacks)
    }

    /// The last case needs this beside capabilities.
    pub(crate) fn when(&mut self, condition: Condition) -> &mut Self {
        self.last(|case| case.condition = condition)
    }
}
