//! What is under a name, through all layers.

use std::sync::Arc;

use eyot_backend::{Attributes, Errno, NodeKind};

use crate::inode::{Identity, Inode, Makings, Part, Parts, Stack};
use crate::layer::Held;
use crate::marks::{check_name, is_whiteout};
use crate::overlay::Overlay;

/// How many lookups of layers one name may take. Redirects in layers that somebody made up could ask for many more.
const LOOKUPS_MAX: u32 = 1 << 19;

/// What is under a name.
pub(crate) struct Found {
    pub(crate) upper: Option<Held>,
    pub(crate) lowers: Box<[Part]>,
    /// Those of the topmost.
    pub(crate) attributes: Attributes,
    lower_path: Option<Box<str>>,
    redirected: bool,
}

impl Found {
    /// What was just made in the upper.
    pub(crate) fn made(upper: Held, attributes: Attributes) -> Self {
        Self { upper: Some(upper), lowers: Box::default(), attributes, lower_path: None, redirected: false }
    }
}

/// What a look at a name tells.
pub(crate) struct Sought {
    pub(crate) found: Option<Found>,
    /// Whether the upper has a device there that says that there is nothing.
    pub(crate) whiteout_device: bool,
}

/// An entry, with the inode that it names.
pub(crate) struct Entry {
    pub(crate) inode: Arc<Inode>,
    /// Whether the name itself is in the upper.
    pub(crate) in_upper: bool,
    /// What the topmost layer says of it.
    pub(crate) attributes: Attributes,
}

/// How far a walk through the layers came.
#[derive(Default)]
struct Walk {
    parts: Parts,
    attributes: Option<Attributes>,
    /// The redirect of the topmost.
    redirect: Option<String>,
    whiteout_device: bool,
}

impl Overlay {
    /// Looks a name up in a directory. The caller holds its `entries`.
    pub(crate) fn find(&self, dir: &Inode, name: &str) -> Result<Sought, Errno> {
        let walk = self.walk(&dir.stack(), name, &mut { LOOKUPS_MAX })?;
        let whiteout_device = walk.whiteout_device;
        Ok(Sought { found: self.found(walk, dir, name), whiteout_device })
    }

    fn found(&self, walk: Walk, dir: &Inode, name: &str) -> Option<Found> {
        let attributes = walk.attributes?;
        let mut parts = walk.parts.into_iter().peekable();
        let upper = parts.next_if(|part| part.layer < self.lowers_from).map(|part| part.held);
        let lowers: Box<[Part]> = parts.collect();
        let redirect = walk.redirect.filter(|_| upper.is_some());
        let redirected = redirect.as_ref().is_some_and(|path| path.starts_with('/'));
        let lower_path = (!lowers.is_empty() && attributes.kind == NodeKind::Directory)
            .then(|| match redirect {
                Some(path) if redirected => path,
                Some(sibling) => child_path(dir, &sibling),
                None => child_path(dir, name),
            })
            .map(String::into_boxed_str);
        Some(Found { upper, lowers, attributes, lower_path, redirected })
    }

    /// Looks a name up, and its inode. The caller holds the directory's `entries`.
    pub(crate) fn entry(&self, dir: &Arc<Inode>, name: &str) -> Result<(Option<Entry>, bool), Errno> {
        if self.is_reserved(dir, name) {
            return Ok((None, false));
        }
        let walk = self.walk(&dir.stack(), name, &mut { LOOKUPS_MAX })?;
        let (Some(attributes), Some(top)) = (walk.attributes, walk.parts.first()) else {
            return Ok((None, walk.whiteout_device));
        };
        let in_upper = top.layer < self.lowers_from;
        // What is known already needs nothing made.
        if let Some(inode) = self.table.find(top.identity()).filter(|inode| inode.kind == attributes.kind) {
            return Ok((Some(Entry { inode, in_upper, attributes }), false));
        }
        let found = self.found(walk, dir, name).ok_or(Errno::Io)?;
        let inode = self.intern(found, dir, name)?;
        Ok((Some(Entry { inode, in_upper, attributes }), false))
    }

    /// The inode that this is.
    pub(crate) fn intern(&self, found: Found, dir: &Arc<Inode>, name: &str) -> Result<Arc<Inode>, Errno> {
        let Found { upper, lowers, attributes, lower_path, redirected } = found;
        let at = (upper.is_none() && self.has_upper()).then(|| (Arc::clone(dir), name.into()));
        self.table.intern(Makings { kind: attributes.kind, upper, lowers, lower_path, at, redirected })
    }

    /// Whether the lowers have this name, whatever the upper has.
    pub(crate) fn is_below(&self, dir: &Inode, name: &str) -> Result<bool, Errno> {
        Ok(self.walk(&dir.lower_stack(), name, &mut { LOOKUPS_MAX })?.attributes.is_some())
    }

    /// What the lowers have at a path.
    pub(crate) fn in_lowers(&self, path: &str) -> Result<Parts, Errno> {
        self.resolve(self.lowers_from, path, &mut { LOOKUPS_MAX })
    }

    /// What the layers from `first` on have at a path; nothing when something else than directories is on the way.
    fn resolve(&self, first: usize, path: &str, budget: &mut u32) -> Result<Parts, Errno> {
        let roots = self.layers.iter().enumerate().skip(first);
        let mut parts: Parts = roots.map(|(layer, of)| Part { layer, held: of.hold_root() }).collect();
        for (depth, name) in path.split('/').filter(|name| !name.is_empty()).enumerate() {
            if check_name(name).is_err() || self.is_reserved_in(depth == 0, name) {
                return Ok(Parts::new());
            }
            let stack: Stack = parts.iter().map(Part::identity).collect();
            let walk = self.walk(&stack, name, budget)?;
            // The parts above stay held until those below are.
            parts = walk.parts;
        }
        Ok(parts)
    }

    /// Goes through the layers for a name, topmost first, until one says that nothing below counts.
    fn walk(&self, stack: &[Identity], name: &str, budget: &mut u32) -> Result<Walk, Errno> {
        let mut walk = Walk::default();
        for (place, &(layer, dir)) in stack.iter().enumerate() {
            *budget = budget.checked_sub(1).ok_or(Errno::Loop)?;
            let of = self.layers.get(layer).ok_or(Errno::Io)?;
            let below = stack.get(place + 1..).unwrap_or_default();
            let Some((held, attributes)) = of.look(dir, name)? else {
                if !below.is_empty() && of.has_whiteout_file(dir, name)? {
                    break;
                }
                continue;
            };
            if is_whiteout(&attributes) {
                walk.whiteout_device = layer < self.lowers_from;
                break;
            }
            let topmost = walk.attributes.is_none();
            if attributes.kind != NodeKind::Directory {
                if topmost {
                    walk.attributes = Some(attributes);
                    walk.parts.push(Part { layer, held });
                }
                break;
            }
            let node = held.node;
            walk.attributes.get_or_insert(attributes);
            walk.parts.push(Part { layer, held });
            if layer + 1 == self.layers.len() {
                break;
            }
            if let Some(redirect) = of.redirect(node)? {
                walk.parts.extend(self.redirected(layer, below, &redirect, budget)?);
                if topmost {
                    walk.redirect = Some(redirect);
                }
                break;
            }
            if !below.is_empty() && (of.is_opaque(node)? || of.has_whiteout_file(dir, name)?) {
                break;
            }
        }
        Ok(walk)
    }

    /// The directories below `layer` that a redirect leads to: from the root, or (as Linux writes it) under another name in the same place.
    fn redirected(&self, layer: usize, below: &[Identity], redirect: &str, budget: &mut u32) -> Result<Parts, Errno> {
        let parts = if redirect.starts_with('/') {
            self.resolve(layer + 1, redirect, budget)?
        } else {
            check_name(redirect).map_err(|_| Errno::Io)?;
            self.walk(below, redirect, budget)?.parts
        };
        // A file there has nothing to do with a directory.
        let is_directory = match parts.first() {
            Some(part) => part.held.getattr()?.kind == NodeKind::Directory,
            None => false,
        };
        Ok(if is_directory { parts } else { Parts::new() })
    }
}

/// The path that a name in a directory has in the lowers.
pub(crate) fn child_path(dir: &Inode, name: &str) -> String {
    format!("{}/{name}", dir.lower_path.as_deref().unwrap_or_default())
}
