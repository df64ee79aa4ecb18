//! The check of an image's index: everything that the readers rely on.

use std::ops::Range;

use eyot_backend::NodeKind;

use super::{
    BaseNode, DATA_ALIGN, ENTRY_BYTES, HEADER_BYTES, HEADER_FIELDS_BYTES, ImageError, Layout, MAGIC, NODE_BYTES,
    decode_entry, decode_node, index_hash, slice, u32_at, u64_at,
};
use eyot_backend::{TARGET_BYTES_MAX, check_name};

pub(super) fn validate(bytes: &[u8]) -> Result<(Layout, [u8; 32]), ImageError> {
    let (layout, index_end) = layout(bytes)?;
    let fields = bytes.get(..HEADER_FIELDS_BYTES).unwrap_or_default();
    let named = bytes.get(HEADER_FIELDS_BYTES..HEADER_BYTES).unwrap_or_default();
    let hash = index_hash(fields, bytes.get(HEADER_BYTES..index_end).unwrap_or_default());
    if hash != *named {
        return Err(ImageError::IndexHash);
    }
    Tree { layout: &layout, bytes, seen: vec![Seen::default(); layout.node_count as usize] }.check()?;
    Ok((layout, hash))
}

/// Reads the header: where the parts lie, and where the index ends.
fn layout(bytes: &[u8]) -> Result<(Layout, usize), ImageError> {
    if bytes.get(..MAGIC.len()) != Some(&MAGIC) {
        return Err(ImageError::NotAnImage);
    }
    let actual = bytes.len() as u64;
    let header = |at| u64_at(bytes, at).ok_or(ImageError::Length { expected: HEADER_BYTES as u64, actual });
    let expected = header(8)?;
    if expected != actual || bytes.len() < HEADER_BYTES {
        return Err(ImageError::Length { expected, actual });
    }
    let malformed = |what| ImageError::Malformed { what, part: "header", index: 0 };
    let node_count = u32_at(bytes, 16).unwrap_or_default();
    let entry_count = u32_at(bytes, 20).unwrap_or_default();
    let (strings_len, data_start, data_len) = (header(24)?, header(32)?, header(40)?);
    if header(48)? != 0 || header(56)? != 0 {
        return Err(malformed("reserved fields are not zero"));
    }

    let mut end = HEADER_BYTES;
    let mut next = |length: u64| -> Option<Range<usize>> {
        let start = end;
        end = start.checked_add(usize::try_from(length).ok()?).filter(|&end| end <= bytes.len())?;
        Some(start..end)
    };
    let beyond = || malformed("the index does not fit into the image");
    let nodes = next(u64::from(node_count) * NODE_BYTES as u64).ok_or_else(beyond)?;
    let entries = next(u64::from(entry_count) * ENTRY_BYTES as u64).ok_or_else(beyond)?;
    let strings = next(strings_len).ok_or_else(beyond)?;
    let index_end = end;
    if !data_start.is_multiple_of(DATA_ALIGN)
        || data_start < index_end as u64
        || data_start.checked_add(data_len) != Some(actual)
    {
        return Err(malformed("the data part is not where it should be"));
    }
    let data = usize::try_from(data_start).map_err(|_| beyond())?..bytes.len();
    Ok((Layout { node_count, entry_count, nodes, entries, strings, data }, index_end))
}

/// What the directories say of a node.
#[derive(Clone, Copy, Default)]
struct Seen {
    names: u32,
    subdirectories: u32,
}

struct Tree<'a> {
    layout: &'a Layout,
    bytes: &'a [u8],
    seen: Vec<Seen>,
}

impl Tree<'_> {
    fn part(&self, range: &Range<usize>) -> &[u8] {
        self.bytes.get(range.clone()).unwrap_or_default()
    }

    fn check(mut self) -> Result<(), ImageError> {
        for index in 0..self.layout.node_count {
            let wrong = |what| ImageError::Malformed { what, part: "node", index };
            let node = decode_node(self.part(&self.layout.nodes), index).ok_or(wrong("the kind is unknown"))?;
            self.node(index, &node).map_err(wrong)?;
        }
        let mut entries_used = 0;
        for index in 0..self.layout.node_count {
            let wrong = |what| ImageError::Malformed { what, part: "node", index };
            let node = decode_node(self.part(&self.layout.nodes), index).ok_or(wrong("the kind is unknown"))?;
            if node.kind == NodeKind::Directory {
                if node.start != u64::from(entries_used) {
                    return Err(wrong("a directory's entries do not follow the last directory's"));
                }
                let end = node.start.checked_add(node.length).filter(|&end| end <= u64::from(self.layout.entry_count));
                let end =
                    end.and_then(|end| u32::try_from(end).ok()).ok_or(wrong("a directory has too many entries"))?;
                self.directory(index, entries_used..end)?;
                entries_used = end;
            }
        }
        if entries_used != self.layout.entry_count {
            return Err(ImageError::Malformed { what: "an entry in no directory", part: "entry", index: entries_used });
        }
        self.links()
    }

    /// What can be said of a node by itself.
    fn node(&self, index: u32, node: &BaseNode) -> Result<(), &'static str> {
        if index == 0 && node.kind != NodeKind::Directory {
            return Err("the root is not a directory");
        }
        if node.mode > 0o7777 {
            return Err("permission bits above 07777");
        }
        if node.modified.nanoseconds >= 1_000_000_000 {
            return Err("nanoseconds of a second or more");
        }
        match node.kind {
            NodeKind::File => {
                if !node.start.is_multiple_of(DATA_ALIGN) {
                    return Err("a file's data does not begin at a multiple of 4096");
                }
                slice(self.part(&self.layout.data), node.start, node.length).ok_or("a file's data ends outside")?;
            }
            NodeKind::Symlink => {
                let target = slice(self.part(&self.layout.strings), node.start, node.length)
                    .ok_or("a symlink's target ends outside")?;
                let target = std::str::from_utf8(target).map_err(|_| "a symlink's target is not UTF-8")?;
                if target.is_empty() || target.len() > TARGET_BYTES_MAX || target.contains('\0') {
                    return Err("a symlink's target is empty, too long or holds a NUL");
                }
            }
            NodeKind::Directory => {}
            _ if node.length != 0 => return Err("a special file with contents"),
            _ => {}
        }
        Ok(())
    }

    fn directory(&mut self, dir: u32, entries: Range<u32>) -> Result<(), ImageError> {
        let mut last: Option<Range<usize>> = None;
        for index in entries {
            let wrong = |what| ImageError::Malformed { what, part: "entry", index };
            let strings = self.bytes.get(self.layout.strings.clone()).unwrap_or_default();
            let entry = decode_entry(self.part(&self.layout.entries), strings, index)
                .ok_or(wrong("a name ends outside or is not UTF-8"))?;
            check_name(entry.name).map_err(|_| wrong("a name is empty, too long, . or .., or holds / or NUL"))?;
            let start = entry.name.as_ptr() as usize - strings.as_ptr() as usize;
            let name = entry.name;
            if let Some(last) = last.and_then(|range| strings.get(range))
                && last >= name.as_bytes()
            {
                return Err(wrong("a directory's entries are not sorted or not unique"));
            }
            last = Some(start..start + name.len());
            let child = entry.node;
            let kind = decode_node(self.part(&self.layout.nodes), child)
                .filter(|_| child < self.layout.node_count)
                .ok_or(wrong("an entry of a node that does not exist"))?
                .kind;
            if kind == NodeKind::Directory {
                if child <= dir {
                    return Err(wrong("a directory inside itself or numbered before its parent"));
                }
                if let Some(parent) = self.seen.get_mut(dir as usize) {
                    parent.subdirectories += 1;
                }
            }
            if let Some(seen) = self.seen.get_mut(child as usize) {
                seen.names += 1;
            }
        }
        Ok(())
    }

    /// The link counts are those that the directories show.
    fn links(&self) -> Result<(), ImageError> {
        for (index, seen) in (0..).zip(&self.seen) {
            let Some(node) = decode_node(self.part(&self.layout.nodes), index) else { continue };
            let (names, links) = match node.kind {
                NodeKind::Directory => (u32::from(index != 0), 2 + u64::from(seen.subdirectories)),
                _ => (seen.names.max(1), u64::from(seen.names)),
            };
            if seen.names != names || u64::from(node.links) != links {
                let what = "the number of links is not the number of names";
                return Err(ImageError::Malformed { what, part: "node", index });
            }
        }
        if self.layout.node_count == 0 {
            return Err(ImageError::Malformed { what: "there is no root", part: "node", index: 0 });
        }
        Ok(())
    }
}
