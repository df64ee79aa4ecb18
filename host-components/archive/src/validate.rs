//! Checks everything of a saved index that the rest relies on.

use crate::archive::Format;
use crate::builder::{NAME_BYTES_MAX, PATH_BYTES_MAX, XATTR_BYTES_MAX};
use crate::codec::WINDOW_BYTES;
use crate::options::ArchiveOptions;
use crate::saved::Saved;
use crate::tree::{Extra, Kind, NONE, NodeRecord, Time, Tree};

/// Says what cannot be true.
pub(crate) fn validate(saved: &Saved, options: &ArchiveOptions) -> Result<(), &'static str> {
    let tree = &saved.tree;
    if tree.nodes.len() as u64 > options.entries_max.saturating_add(1) {
        return Err("it has more nodes than entries_max");
    }
    ensure(saved.format != Format::Tar || saved.length == saved.source_bytes, "a length is wrong")?;
    points(saved)?;
    frames(saved)?;
    names(tree)?;
    for extra in &tree.extras {
        check_extra(extra, saved)?;
    }
    for node in &tree.nodes {
        check_node(node, saved)?;
    }
    Ok(())
}

fn ensure(holds: bool, what: &'static str) -> Result<(), &'static str> {
    if holds { Ok(()) } else { Err(what) }
}

/// Every directory's entries lie together, sorted; every node but the root has as many names as links, a directory one, in a directory before it.
fn names(tree: &Tree) -> Result<(), &'static str> {
    let mut links = vec![0u32; tree.nodes.len()];
    let mut expected = 0;
    ensure(tree.nodes.first().is_some_and(|root| root.kind == Kind::Directory), "the root is no directory")?;
    for (index, dir) in tree.nodes.iter().enumerate().filter(|(_, node)| node.kind == Kind::Directory) {
        let range = Tree::range(dir);
        ensure(range.start == expected && range.end <= tree.entries.len(), "directories overlap")?;
        expected = range.end;
        let (mut before, mut subdirectories) = ("", 0u32);
        for entry in tree.entries(dir) {
            let name = tree.name(entry);
            let valid = !matches!(name, "" | "." | "..") && !name.contains(['/', '\0']) && name.len() <= NAME_BYTES_MAX;
            ensure(valid, "a name is none")?;
            ensure(before < name, "names are out of order")?;
            before = name;
            let at = entry.node as usize;
            let node = tree.nodes.get(at).filter(|_| at != 0).ok_or("a name leads nowhere")?;
            if node.kind == Kind::Directory {
                ensure(at > index && links.get(at) == Some(&0), "directories go in circles")?;
                subdirectories += 1;
            }
            if let Some(links) = links.get_mut(at) {
                *links += 1;
            }
        }
        ensure(dir.links == subdirectories.saturating_add(2), "a directory's links are wrong")?;
    }
    ensure(expected == tree.entries.len(), "entries belong to no directory")?;
    for (node, &links) in tree.nodes.iter().zip(&links).skip(1) {
        ensure(links > 0 && (node.kind == Kind::Directory || links == node.links), "a node's links are wrong")?;
    }
    Ok(())
}

fn time(time: Time) -> bool {
    time.nanoseconds < 1_000_000_000
}

fn check_node(node: &NodeRecord, saved: &Saved) -> Result<(), &'static str> {
    let tree = &saved.tree;
    ensure(node.mode <= 0o7777 && time(node.modified), "a mode or time is out of range")?;
    ensure(node.extra == NONE || tree.extra(node).is_some(), "a node's extras are missing")?;
    ensure(
        node.packed == NONE || (saved.format == Format::Zip && tree.packed(node).is_some()),
        "a packed file is none",
    )?;
    let segments = tree.extra(node).and_then(|extra| extra.segments.as_ref());
    ensure(segments.is_none() || (node.kind == Kind::File && node.packed == NONE), "what is no file is sparse")?;
    match node.kind {
        Kind::File if saved.format == Format::Zip => ensure(node.packed != NONE, "a file has no data"),
        Kind::File => match segments {
            Some(segments) => {
                let end = segments.last().map_or(0, |last| last.offset.saturating_add(last.length));
                ensure(end <= node.length, "a sparse file is shorter than its data")
            }
            None => {
                let end = node.start.checked_add(node.length);
                ensure(end.is_some_and(|end| end <= saved.length), "a file lies beyond the archive")
            }
        },
        Kind::Symlink if node.packed == NONE => {
            let target = tree.target(node);
            let valid = !target.is_empty() && target.len() <= PATH_BYTES_MAX && !target.contains('\0');
            ensure(valid && target.len() as u64 == node.length, "a symlink's target is none")
        }
        _ => Ok(()),
    }
}

fn check_extra(extra: &Extra, saved: &Saved) -> Result<(), &'static str> {
    let times = [extra.accessed, extra.changed, extra.created];
    ensure(times.into_iter().flatten().all(time), "a time is out of range")?;
    for (name, value) in &extra.xattrs {
        let valid = (1..=NAME_BYTES_MAX).contains(&name.len()) && !name.contains('\0');
        ensure(valid && value.len() <= XATTR_BYTES_MAX, "an extended attribute is none")?;
    }
    let mut end = 0;
    for segment in extra.segments.iter().flatten() {
        let data_end = segment.start.checked_add(segment.length);
        ensure(segment.offset >= end && segment.length > 0, "pieces of a sparse file are out of order")?;
        ensure(data_end.is_some_and(|it| it <= saved.length), "a piece of a sparse file lies beyond the archive")?;
        end = segment.offset.checked_add(segment.length).ok_or("a piece of a sparse file has no end")?;
    }
    Ok(())
}

fn points(saved: &Saved) -> Result<(), &'static str> {
    ensure(saved.points.is_empty() || saved.format == Format::TarGzip, "access points are out of place")?;
    let mut before = 0;
    for point in &saved.points {
        ensure(point.output > before && point.output <= saved.length, "access points are out of order")?;
        before = point.output;
        let windowed = if point.member { point.window.is_empty() } else { point.window.len() <= WINDOW_BYTES };
        ensure(windowed && point.bits < 8 && point.input <= saved.source_bytes, "an access point is none")?;
    }
    Ok(())
}

fn frames(saved: &Saved) -> Result<(), &'static str> {
    ensure(saved.frames.is_empty() || saved.format == Format::TarZstd, "frames are out of place")?;
    let (mut input, mut output) = (0, 0);
    for frame in &saved.frames {
        let ascending = frame.input.start >= input && frame.input.end > frame.input.start && frame.output_end > output;
        ensure(ascending && frame.input.end <= saved.source_bytes, "frames are out of order")?;
        (input, output) = (frame.input.end, frame.output_end);
    }
    ensure(saved.format != Format::TarZstd || output == saved.length, "frames have another length than the tar")
}
