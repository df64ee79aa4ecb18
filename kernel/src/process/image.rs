//! Finding a program: the file, its `#!` line, the executor that runs it (execve(2)).

use std::sync::Arc;

use super::{Image, ImageHead, ImageIdentity, LoadError, Program, Task};
use crate::Errno;
use crate::backend::{Content, NodeKind, OpenFlags};
use crate::policy::Action;
use crate::vfs::{Access, Dentry, Inode, WalkFlags, Walker};

/// How many `#!` lines may follow each other (as on Linux).
const INTERPRETERS_MAX: usize = 4;

/// How much of a file is looked at to tell what it is.
const HEAD_BYTES: usize = 256;

/// The largest program image in bytes.
const IMAGE_BYTES_MAX: u64 = 512 << 20;

/// The prefix of an interpreter that is no file but an executor's own: `#!eyot:node`.
const EXECUTOR_PREFIX: &str = "eyot:";

/// A program that is ready to run.
pub(crate) struct Loaded {
    pub(crate) program: Box<dyn Program>,
    /// Where it was found.
    pub(crate) path: String,
    /// The arguments with what `#!` lines put before them.
    pub(crate) arguments: Vec<String>,
}

/// Loads the program at `path` for `task`, from directory `base`.
pub(crate) fn load(
    task: &Task,
    base: &Arc<Dentry>,
    path: &str,
    mut arguments: Vec<String>,
) -> Result<Loaded, LoadError> {
    let mut path = path.to_owned();
    let mut interpreter: Option<String> = None;
    for _ in 0..=INTERPRETERS_MAX {
        let fail = |errno: Errno| LoadError { errno, message: format!("{path}: {errno}") };
        let (place, absolute) = find(task, base, &path).map_err(fail)?;
        let inode = place.inode();
        let identity = identify(inode).map_err(fail)?;
        if interpreter.is_none() {
            let known = task.kernel().executors.iter().find_map(|executor| executor.recall(&identity));
            if let Some(program) = known {
                return Ok(Loaded { program, path: absolute, arguments });
            }
        }
        let image = read(inode, absolute, identity).map_err(fail)?;
        let bytes: &[u8] = (*image.content.bytes).as_ref();
        let head = &bytes[..bytes.len().min(HEAD_BYTES)];
        if interpreter.is_none()
            && let Some(line) = shebang(head).map_err(|errno| LoadError {
                errno,
                message: format!("{path}: the #! line names no interpreter or is longer than {HEAD_BYTES} bytes"),
            })?
        {
            // `#! INTERPRETER [ARG]`: the arguments become INTERPRETER [ARG] PATH and the given ones after the first.
            match line.interpreter.strip_prefix(EXECUTOR_PREFIX) {
                Some(name) => interpreter = Some(name.to_owned()),
                None => {
                    let front = [Some(line.interpreter.clone()), line.argument, Some(path)];
                    arguments = front.into_iter().flatten().chain(arguments.into_iter().skip(1)).collect();
                    path = line.interpreter;
                    continue;
                }
            }
        }
        let head = ImageHead { path: &image.path, bytes: head, interpreter: interpreter.as_deref() };
        let executor = task.kernel().executors.iter().find(|executor| executor.accepts(head)).ok_or_else(|| {
            let errno = Errno::Noexec;
            LoadError { errno, message: format!("{path}: {errno}: {}", describe(head, task)) }
        })?;
        let program = executor.load(&image)?;
        return Ok(Loaded { program, path: image.path, arguments });
    }
    Err(LoadError { errno: Errno::Loop, message: format!("{path}: too many interpreters") })
}

fn describe(head: ImageHead<'_>, task: &Task) -> String {
    let known: Vec<_> = task.kernel().executors.iter().map(|executor| executor.name()).collect();
    let what = match head.interpreter {
        Some(name) => format!("it asks for the executor '{name}'"),
        None if head.bytes.is_empty() => "it is empty".to_owned(),
        None => "it is neither WebAssembly, a JavaScript file nor a script with a #! line".to_owned(),
    };
    format!("{what} (executors of this VM: {})", known.join(", "))
}

fn find(task: &Task, base: &Arc<Dentry>, path: &str) -> Result<(Arc<Dentry>, String), Errno> {
    let vfs = &task.kernel().vfs;
    let walker = Walker { task, base: base.clone(), flags: WalkFlags::FOLLOW };
    let place = vfs.walk(&walker, path)?.place()?;
    let inode = place.inode();
    if inode.kind() != NodeKind::File {
        return Err(Errno::Acces);
    }
    task.credentials().check(inode, Access::Execute)?;
    let absolute = vfs.path_of(&place)?;
    task.allow(Action::Execute, || absolute.clone())?;
    Ok((place, absolute))
}

fn identify(inode: &Inode) -> Result<ImageIdentity, Errno> {
    // The image is read from the backend.
    inode.write_back()?;
    let attributes = inode.attributes()?;
    if attributes.size > IMAGE_BYTES_MAX {
        return Err(Errno::Fbig);
    }
    Ok(ImageIdentity {
        mount: inode.mount().id(),
        node: inode.node(),
        size: attributes.size,
        modified_ns: attributes.modified.as_nanos(),
        changed_ns: attributes.changed.as_nanos(),
    })
}

fn read(inode: &Arc<Inode>, path: String, identity: ImageIdentity) -> Result<Image, Errno> {
    let content = match inode.fs().content(inode.node()) {
        Some(content) => content,
        None => read_whole(inode, identity.size)?,
    };
    Ok(Image { path, content, identity })
}

fn read_whole(inode: &Inode, size: u64) -> Result<Content, Errno> {
    let size = usize::try_from(size).map_err(|_| Errno::Nomem)?;
    let mut bytes = vec![0; size];
    let handle = inode.fs().open(inode.node(), OpenFlags::READ)?;
    let mut done = 0;
    let result = loop {
        let end = size.min(done + crate::backend::CHUNK_BYTES_MAX);
        if done == end {
            break Ok(());
        }
        match inode.fs().read(inode.node(), handle, done as u64, &mut bytes[done..end]) {
            Ok(0) => break Ok(()),
            Ok(count) if count <= end - done => done += count,
            Ok(_) => break Err(Errno::Io),
            Err(errno) => break Err(errno),
        }
    };
    inode.fs().release(inode.node(), handle);
    result?;
    bytes.truncate(done);
    Ok(Content { bytes: Arc::new(bytes), blake3: None })
}

struct Shebang {
    interpreter: String,
    argument: Option<String>,
}

/// The `#!` line of a script. Errors: `ENOEXEC` when it has no end within the head or names nothing.
fn shebang(head: &[u8]) -> Result<Option<Shebang>, Errno> {
    let Some(rest) = head.strip_prefix(b"#!") else { return Ok(None) };
    let end = rest.iter().position(|&byte| byte == b'\n');
    let line = match end {
        Some(end) => &rest[..end],
        None if head.len() < HEAD_BYTES => rest,
        None => return Err(Errno::Noexec),
    };
    let line = std::str::from_utf8(line).map_err(|_| Errno::Noexec)?.trim_matches([' ', '\t', '\r']);
    let (interpreter, argument) = match line.split_once([' ', '\t']) {
        Some((interpreter, argument)) => (interpreter, Some(argument.trim_matches([' ', '\t']).to_owned())),
        None => (line, None),
    };
    if interpreter.is_empty() {
        return Err(Errno::Noexec);
    }
    Ok(Some(Shebang { interpreter: interpreter.to_owned(), argument }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(head: &str) -> Option<(String, Option<String>)> {
        shebang(head.as_bytes()).unwrap().map(|line| (line.interpreter, line.argument))
    }

    #[test]
    fn shebang_lines() {
        assert_eq!(parse("#!/bin/sh\necho"), Some(("/bin/sh".into(), None)));
        assert_eq!(parse("#! /usr/bin/env  node --x \nfoo"), Some(("/usr/bin/env".into(), Some("node --x".into()))));
        assert_eq!(parse("#!/bin/sh"), Some(("/bin/sh".into(), None)));
        assert_eq!(parse("echo"), None);
        assert_eq!(shebang(b"#!\n").err(), Some(Errno::Noexec));
        assert_eq!(shebang(&[b"#!".as_slice(), &[b'a'; 300]].concat()[..HEAD_BYTES]).err(), Some(Errno::Noexec));
    }
}
