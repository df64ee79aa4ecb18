//! The longest, the most, the deepest, and what happens when there is no more room.

use super::prelude::*;

pub(crate) fn add(cases: &mut Cases) {
    cases.group(Group::Limits).law("wit/backend: names of up to 255 bytes; ENAMETOOLONG beyond (path_resolution(7))");
    cases.add("a name of 256 bytes is refused everywhere", W, name_too_long);
    cases.law("symlink(2): ENAMETOOLONG for a target of 4096 bytes and more");
    cases.add("a target of 4096 bytes is refused", SYMLINKS, |s| {
        s.symlink(s.root, "l", &"t".repeat(4096)).fails_with(&[Errno::Nametoolong, Errno::Inval]);
        s.symlink(s.root, "l", &"t".repeat(100_000)).fails_with(&[Errno::Nametoolong, Errno::Inval]);
        s.holds_names(s.root, &[]);
    });
    cases.law("wit/backend, read and write: up to 1 MiB in one call");
    cases.add("the longest read and write, at odd offsets", W, longest_calls);
    cases.law("path_resolution(7): a path has no depth of its own");
    cases.add("directories 500 deep", W, |s| depth(s, 500));
    cases.add("directories 3000 deep", W, |s| depth(s, 3000)).long();
    cases.law("readdir(3)");
    cases.add("a hundred thousand entries", W, hundred_thousand).long();
    cases.law("wit/backend, readdir: at most so many entries, however many are asked for");
    cases.add("a page of more entries than there can be", W, |s| {
        for index in 0..20 {
            s.file(s.root, &format!("f{index}"));
        }
        for page in [21, u32::MAX as usize] {
            same("how many entries there are", s.list(s.root, page).len(), 20);
        }
    });
    bounded(cases);
}

fn bounded(cases: &mut Cases) {
    cases.law("write(2): ENOSPC when there is no room, or fewer bytes taken than given");
    cases.add("a write where there is no room is ENOSPC and loses nothing", W, fill).when(Condition::Bounded);
    cases.add("what was taken away gives its room back", W, fill_again).when(Condition::Bounded);
    cases.law("open(2), mkdir(2): ENOSPC when there is no room; what is there stays");
    cases.add("a full filesystem is read, listed and emptied", W, full_is_usable).when(Condition::Bounded);
    cases.law("rename(2), unlink(2)");
    cases.add("a full filesystem lets names go", W, full_lets_go).when(Condition::Bounded);
    cases.law("truncate(2)");
    cases.add("a full filesystem is cut", W, full_is_cut).when(Condition::Bounded);
}

fn name_too_long(s: &Subject) {
    let long = "n".repeat(256);
    let file = s.file(s.root, "f").node;
    s.create(s.root, &long).fails_with(&[Errno::Nametoolong, Errno::Inval]);
    s.mkdir(s.root, &long).fails_with(&[Errno::Nametoolong, Errno::Inval]);
    s.rename(s.root, "f", s.root, &long, NONE).fails_with(&[Errno::Nametoolong, Errno::Inval]);
    s.lookup(s.root, &long).fails_with(&[Errno::Nametoolong, Errno::Inval, Errno::Noent]);
    s.unlink(s.root, &long).fails_with(&[Errno::Nametoolong, Errno::Inval, Errno::Noent]);
    if s.has(Capabilities::HARD_LINKS) {
        s.link(file, s.root, &long).fails_with(&[Errno::Nametoolong, Errno::Inval]);
    }
    s.holds_names(s.root, &["f"]);
}

fn longest_calls(s: &Subject) {
    let file = s.file(s.root, "f").node;
    let handle = s.open(file, OpenFlags::all()).ok();
    let mut model = Vec::new();
    for (seed, offset) in [0, 1, 65_535, 999_999, (1 << 20) + 1].into_iter().enumerate() {
        let bytes = pattern(CHUNK_BYTES_MAX, seed as u64);
        s.write_all(file, handle, offset as u64, &bytes);
        model.resize(model.len().max(offset + bytes.len()), 0);
        model[offset..offset + bytes.len()].copy_from_slice(&bytes);
    }
    for offset in [0, 1, 4097, 1 << 20] {
        let got = s.pread(file, handle, offset as u64, CHUNK_BYTES_MAX).ok();
        same_bytes(format_args!("1 MiB at {offset}"), &got, &model[offset..offset + CHUNK_BYTES_MAX]);
    }
}

fn depth(s: &Subject, depth: usize) {
    let mut path = vec![s.root];
    for _ in 0..depth {
        path.push(s.dir(path[path.len() - 1], "d").node);
    }
    s.file_of(path[depth], "bottom", b"bottom");
    for &node in &path[1..] {
        s.forget(node, 1);
    }
    let mut at = s.root;
    for _ in 0..depth {
        at = s.lookup(at, "d").ok().node;
    }
    let file = s.lookup(at, "bottom").ok();
    same_bytes("what the file at the bottom holds", &s.read(file.node, 0, 10), b"bottom");
}

fn hundred_thousand(s: &Subject) {
    let dir = s.dir(s.root, "d").node;
    for index in 0..100_000 {
        let made = s.fs.create(dir, &format!("entry-number-{index}"), OWNER);
        let made = made.unwrap_or_else(|errno| fail(format_args!("create number {index}: {errno:?}")));
        s.fs.forget(made.node, 1);
    }
    same("how many entries there are", s.list(dir, 1000).len(), 100_000);
    let mut random = s.random();
    for _ in 0..1000 {
        s.peek(dir, &format!("entry-number-{}", random.below(100_000))).ok();
    }
}

/// Writes files of 64 KiB until there is no room; answers how many bytes each holds.
fn filled(s: &Subject, dir: Node) -> Vec<(Node, usize)> {
    let bound = s.settings.bytes_max.unwrap_or(0);
    let mut files = Vec::new();
    for index in 0..bound / 65_536 * 2 + 10 {
        let made = match s.create(dir, &format!("f{index}")).result {
            Ok(made) => made.node,
            Err(errno) => {
                same("the error of create", errno, Errno::Nospc);
                return files;
            }
        };
        let (bytes, mut done) = (pattern(65_536, index), 0);
        let handle = s.open(made, OpenFlags::all()).ok();
        while done < bytes.len() {
            match s.pwrite(made, handle, done as u64, &bytes[done..]).result {
                Ok(count) if count > 0 && count <= bytes.len() - done => done += count,
                Ok(count) => fail(format_args!("write of {} bytes took {count}", bytes.len() - done)),
                Err(errno) => {
                    same("the error of write", errno, Errno::Nospc);
                    s.release(made, handle);
                    files.push((made, done));
                    return files;
                }
            }
        }
        s.release(made, handle);
        files.push((made, done));
    }
    fail(format_args!("{} files of 64 KiB went into {bound} bytes", files.len()))
}

fn check_filled(s: &Subject, files: &[(Node, usize)]) {
    for (index, &(node, size)) in (0..).zip(files) {
        same(format_args!("the size of file {index}"), s.attr(node).size, size as u64);
        same_bytes(format_args!("file {index}"), &s.read(node, 0, 65_537), &pattern(65_536, index)[..size]);
    }
}

fn fill(s: &Subject) {
    let files = filled(s, s.root);
    holds!(files.len() > 2, "only {} files went in", files.len());
    check_filled(s, &files);
    let status = s.statfs().ok();
    let block = u64::from(status.block_size.max(1));
    holds!(status.blocks_free <= 131_072 / block + 1, "{} blocks are free and there is no room", status.blocks_free);
}

fn fill_again(s: &Subject) {
    let mut counts = Vec::new();
    for _ in 0..3 {
        let files = filled(s, s.root);
        counts.push(files.len());
        for (index, (node, _)) in files.into_iter().enumerate() {
            s.unlink(s.root, &format!("f{index}")).ok();
            s.forget(node, 1);
        }
        for name in s.names(s.root) {
            s.unlink(s.root, &name).ok();
            s.holds_names(s.root, &[]);
        }
    }
    holds!(counts[2] + 1 >= counts[0], "{} files went in at first, and {} at last", counts[0], counts[2]);
}

fn full_is_usable(s: &Subject) {
    let dir = s.dir(s.root, "d").node;
    let files = filled(s, dir);
    check_filled(s, &files);
    let listed = s.list(dir, 100).len();
    holds!(listed == files.len() || listed == files.len() + 1, "{} files were made and {listed} listed", files.len());
    for name in s.names(dir) {
        s.unlink(dir, &name).ok();
    }
    s.rmdir(s.root, "d").ok();
}

fn full_lets_go(s: &Subject) {
    let files = filled(s, s.root);
    s.rename(s.root, "f0", s.root, "f1", NONE).ok();
    same("what replaced it", s.peek(s.root, "f1").ok().node, files[0].0);
    s.unlink(s.root, "f1").ok();
    same_bytes("what is held", &s.read(files[0].0, 0, 65_536), &pattern(65_536, 0));
    s.forget(files[0].0, 1);
    s.forget(files[1].0, 1);
    let again = s.file_of(s.root, "again", &[1; 1000]);
    same("the size of a new file", s.attr(again).size, 1000);
}

fn full_is_cut(s: &Subject) {
    let files = filled(s, s.root);
    s.set_size(files[0].0, 0);
    s.set_size(files[1].0, 10);
    let bytes = pattern(30_000, 99);
    s.write(files[0].0, 0, &bytes);
    same_bytes("what was written then", &s.read(files[0].0, 0, 65_536), &bytes);
    same_bytes("what was cut", &s.read(files[1].0, 0, 65_536), &pattern(65_536, 1)[..10]);
    check_filled(s, &[]);
}
