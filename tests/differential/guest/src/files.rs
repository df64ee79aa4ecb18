//! Steps on files: each is one call of the C library, so that nothing between it and the kernel decides an answer.

use std::ffi::CString;
use std::mem::MaybeUninit;

use libc::c_int;

use crate::errno::Errno;
use crate::list::{Step, shown};
use crate::{Answer, Section};

/// What `old` sets times to, in seconds.
const OLD: i64 = 1000;

type Result<T> = std::result::Result<T, Errno>;

/// Gives new files the permissions that the answers expect.
pub fn set_umask() {
    #[cfg(not(target_os = "wasi"))]
    // SAFETY: it takes a number and touches no memory of ours.
    unsafe {
        libc::umask(0o022)
    };
}

/// Makes a directory and goes there.
pub fn enter(path: &str) -> Result<()> {
    let path = c(path.as_bytes());
    // SAFETY: the path ends in a NUL byte and outlives the calls.
    let made = unsafe { libc::mkdir(path.as_ptr(), 0o755) };
    done(made)?;
    chdir(path.as_bytes())
}

/// By the standard library, which on WASI tells the kernel too: children start where their parent is.
fn chdir(path: &[u8]) -> Result<()> {
    std::env::set_current_dir(os_string(path)).map_err(|error| Errno::of(&error))
}

/// Closes a descriptor.
pub fn close(fd: c_int) -> Result<()> {
    // SAFETY: the number alone is handed on; nothing here owns it.
    done(unsafe { libc::close(fd) })
}

/// Runs a step on files; `None` when it is another kind of step.
pub fn run(section: &mut Section, step: &Step) -> Option<Answer> {
    Some(match step.op.as_str() {
        "open" => open(&step.args).map(|fd| {
            section.handles.insert(step.results[0].clone(), fd);
            String::new()
        }),
        "put" => open_write(step, &["w", "create", "trunc"]),
        "append" => open_write(step, &["w", "create", "append"]),
        "get" => get(step),
        "stat" | "lstat" => stat(step.arg(0), step.op == "lstat").map(|stat| summary(&stat)),
        "mode" => stat(step.arg(0), false).map(|stat| format!("{:o}", stat.st_mode & 0o7777)),
        "times" => stat(step.arg(0), true).map(|stat| times(&stat)),
        "changed" => stat(step.arg(0), true).map(|stat| yes(stat.st_mtime() != OLD)),
        "same" => same(step),
        "readdir" => readdir(step.arg(0)),
        "readlink" => readlink(step.arg(0)),
        "chdir" => chdir(step.arg(0)).map(|()| String::new()),
        "mkdirs" => std_answer(std::fs::create_dir_all(step.word(0))),
        "rmtree" => std_answer(std::fs::remove_dir_all(step.word(0))),
        _ => return on_path(step).or_else(|| on_handle(section, step)),
    })
}

/// Steps of one call that takes paths.
fn on_path(step: &Step) -> Option<Answer> {
    let path = c(step.args.first().map_or(&b""[..], Vec::as_slice));
    let other = c(step.args.get(1).map_or(&b""[..], Vec::as_slice));
    let (path, other) = (path.as_ptr(), other.as_ptr());
    // SAFETY: both paths end in a NUL byte and outlive the call.
    let result = unsafe {
        match step.op.as_str() {
            "mkdir" => libc::mkdir(path, step.mode(1) as libc::mode_t),
            "rmdir" => libc::rmdir(path),
            "unlink" => libc::unlink(path),
            "rename" => libc::rename(path, other),
            "link" => libc::link(path, other),
            "symlink" => libc::symlink(path, other),
            "chmod" => libc::chmod(path, step.mode(1) as libc::mode_t),
            "truncate" => libc::truncate(path, step.number(1)),
            "access" => libc::access(path, access_mode(step.word(1))),
            "utimes" => utimes(path, [step.seconds(1), step.seconds(2)], 0),
            "lutimes" => utimes(path, [step.seconds(1), step.seconds(2)], libc::AT_SYMLINK_NOFOLLOW),
            "old" => utimes(path, [OLD as f64; 2], libc::AT_SYMLINK_NOFOLLOW),
            _ => return None,
        }
    };
    Some(done(result).map(|()| String::new()))
}

/// Steps of one call that takes a descriptor.
fn on_handle(section: &mut Section, step: &Step) -> Option<Answer> {
    const WITH_HANDLE: [&str; 15] = [
        "close",
        "read",
        "pread",
        "write",
        "pwrite",
        "seek",
        "ftruncate",
        "fsync",
        "fdatasync",
        "fstat",
        "fchmod",
        "futimes",
        "fallocate",
        "dup",
        "setfl",
    ];
    if !WITH_HANDLE.contains(&step.op.as_str()) {
        return None;
    }
    let fd = match section.fd(step.arg(0)) {
        Ok(fd) => fd,
        Err(errno) => return Some(Err(errno)),
    };
    let nothing = |result: c_int| done(result).map(|()| String::new());
    // SAFETY: only numbers are passed; the calls with memory have functions of their own.
    Some(unsafe {
        match step.op.as_str() {
            "close" => nothing(libc::close(fd)),
            "read" => read(step.number(1), |buffer, size| libc::read(fd, buffer, size)),
            "pread" => read(step.number(1), |buffer, size| libc::pread(fd, buffer, size, step.number(2))),
            "write" => count(libc::write(fd, step.arg(1).as_ptr().cast(), step.arg(1).len())),
            "pwrite" => count(libc::pwrite(fd, step.arg(1).as_ptr().cast(), step.arg(1).len(), step.number(2))),
            "seek" => match libc::lseek(fd, step.number(1), whence(step.word(2))) {
                -1 => Err(Errno::last()),
                at => Ok(at.to_string()),
            },
            "ftruncate" => nothing(libc::ftruncate(fd, step.number(1))),
            "fsync" => nothing(libc::fsync(fd)),
            "fdatasync" => nothing(libc::fdatasync(fd)),
            "fstat" => fstat(fd).map(|stat| summary(&stat)),
            "fchmod" => nothing(libc::fchmod(fd, step.mode(1) as libc::mode_t)),
            "futimes" => nothing(libc::futimens(fd, [step.seconds(1), step.seconds(2)].map(timespec).as_ptr())),
            // It answers its error itself.
            "fallocate" => match libc::posix_fallocate(fd, step.number(1), step.number(2)) {
                0 => Ok(String::new()),
                errno => Err(Errno(errno)),
            },
            "dup" => crate::processes::dup(fd).map(|copy| {
                section.handles.insert(step.results[0].clone(), copy);
                String::new()
            }),
            _ => nothing(libc::fcntl(fd, libc::F_SETFL, open_flags(&step.args[1..]).0)),
        }
    })
}

fn c(bytes: &[u8]) -> CString {
    CString::new(bytes).expect("no NUL byte in a path")
}

fn done(result: c_int) -> Result<()> {
    if result == -1 { Err(Errno::last()) } else { Ok(()) }
}

fn std_answer(result: std::io::Result<()>) -> Answer {
    result.map(|()| String::new()).map_err(|error| Errno::of(&error))
}

fn yes(is: bool) -> String {
    if is { "yes" } else { "no" }.to_owned()
}

/// The flags that words name, and the mode among them.
fn open_flags(words: &[Vec<u8>]) -> (c_int, u32) {
    let (mut flags, mut mode) = (0, 0o644);
    for word in words {
        flags |= match word.as_slice() {
            b"r" => libc::O_RDONLY,
            b"w" => libc::O_WRONLY,
            b"rw" => libc::O_RDWR,
            b"create" => libc::O_CREAT,
            b"excl" => libc::O_EXCL,
            b"trunc" => libc::O_TRUNC,
            b"append" => libc::O_APPEND,
            b"dir" => libc::O_DIRECTORY,
            b"nofollow" => libc::O_NOFOLLOW,
            b"nonblock" => libc::O_NONBLOCK,
            b"none" => 0,
            octal => {
                let text = std::str::from_utf8(octal).expect("a flag is text");
                mode = u32::from_str_radix(text, 8).unwrap_or_else(|_| panic!("no such flag: {text}"));
                0
            }
        };
    }
    (flags, mode)
}

fn open(args: &[Vec<u8>]) -> Result<c_int> {
    let (path, (flags, mode)) = (c(&args[0]), open_flags(&args[1..]));
    // SAFETY: the path ends in a NUL byte and outlives the call.
    let fd = unsafe { libc::open(path.as_ptr(), flags | libc::O_CLOEXEC, mode) };
    if fd == -1 { Err(Errno::last()) } else { Ok(fd) }
}

fn open_write(step: &Step, flags: &[&str]) -> Answer {
    let mut args = vec![step.arg(0).to_vec()];
    args.extend(flags.iter().map(|flag| flag.as_bytes().to_vec()));
    let fd = open(&args)?;
    let mut rest = step.arg(1);
    while !rest.is_empty() {
        // SAFETY: the memory is that of `rest`.
        let written = unsafe { libc::write(fd, rest.as_ptr().cast(), rest.len()) };
        if written < 0 {
            let errno = Errno::last();
            close(fd).ok();
            return Err(errno);
        }
        rest = &rest[written as usize..];
    }
    close(fd).map(|()| String::new())
}

fn get(step: &Step) -> Answer {
    let fd = open(&[step.arg(0).to_vec(), b"r".to_vec()])?;
    let (mut all, mut buffer) = (Vec::new(), vec![0_u8; 65536]);
    let answer = loop {
        // SAFETY: the memory is that of `buffer`.
        match unsafe { libc::read(fd, buffer.as_mut_ptr().cast(), buffer.len()) } {
            -1 => break Err(Errno::last()),
            0 => break Ok(shown(&all)),
            some => all.extend(&buffer[..some as usize]),
        }
    };
    close(fd).ok();
    answer
}

fn read(size: i64, call: impl FnOnce(*mut libc::c_void, usize) -> isize) -> Answer {
    let mut buffer = vec![0_u8; size as usize];
    match call(buffer.as_mut_ptr().cast(), buffer.len()) {
        -1 => Err(Errno::last()),
        some => Ok(shown(&buffer[..some as usize])),
    }
}

fn count(result: isize) -> Answer {
    if result == -1 { Err(Errno::last()) } else { Ok(result.to_string()) }
}

fn whence(word: &str) -> c_int {
    match word {
        "set" => libc::SEEK_SET,
        "cur" => libc::SEEK_CUR,
        "end" => libc::SEEK_END,
        number => number.parse().expect("set, cur, end or a number"),
    }
}

fn access_mode(word: &str) -> c_int {
    word.chars().fold(0, |mode, letter| match letter {
        'f' => mode | libc::F_OK,
        'r' => mode | libc::R_OK,
        'w' => mode | libc::W_OK,
        'x' => mode | libc::X_OK,
        _ => panic!("access is of f, r, w and x"),
    })
}

fn timespec(seconds: f64) -> libc::timespec {
    // SAFETY: all its fields are numbers.
    let mut time: libc::timespec = unsafe { MaybeUninit::zeroed().assume_init() };
    time.tv_sec = seconds.floor() as libc::time_t;
    time.tv_nsec = ((seconds - seconds.floor()) * 1e9).round() as _;
    time
}

/// # Safety
/// The path must end in a NUL byte.
unsafe fn utimes(path: *const libc::c_char, times: [f64; 2], flags: c_int) -> c_int {
    let times = times.map(timespec);
    // SAFETY: the path is the caller's promise, and there are two times.
    unsafe { libc::utimensat(libc::AT_FDCWD, path, times.as_ptr(), flags) }
}

fn stat(path: &[u8], link: bool) -> Result<libc::stat> {
    let path = c(path);
    let mut stat = MaybeUninit::zeroed();
    let call = if link { libc::lstat } else { libc::stat };
    // SAFETY: the path ends in a NUL byte, and the memory is that of `stat`.
    done(unsafe { call(path.as_ptr(), stat.as_mut_ptr()) })?;
    // SAFETY: all its fields are numbers, and it was zeroed.
    Ok(unsafe { stat.assume_init() })
}

fn fstat(fd: c_int) -> Result<libc::stat> {
    let mut stat = MaybeUninit::zeroed();
    // SAFETY: the memory is that of `stat`.
    done(unsafe { libc::fstat(fd, stat.as_mut_ptr()) })?;
    // SAFETY: all its fields are numbers, and it was zeroed.
    Ok(unsafe { stat.assume_init() })
}

/// Two platforms, two names for the same fields.
trait Times {
    fn st_mtime(&self) -> i64;
    fn all(&self) -> [(i64, i64); 2];
}

impl Times for libc::stat {
    fn st_mtime(&self) -> i64 {
        self.all()[1].0
    }

    #[cfg(target_os = "wasi")]
    fn all(&self) -> [(i64, i64); 2] {
        [&self.st_atim, &self.st_mtim].map(|time| (time.tv_sec as i64, time.tv_nsec as i64))
    }

    #[cfg(not(target_os = "wasi"))]
    fn all(&self) -> [(i64, i64); 2] {
        [(self.st_atime, self.st_atime_nsec), (self.st_mtime, self.st_mtime_nsec)]
    }
}

fn times(stat: &libc::stat) -> String {
    stat.all().map(|(seconds, ns)| format!("{seconds}.{ns:09}")).join(" ")
}

/// The kind; size and links where they mean the same everywhere.
fn summary(stat: &libc::stat) -> String {
    let kind = match stat.st_mode & libc::S_IFMT {
        libc::S_IFDIR => return "dir".to_owned(),
        libc::S_IFCHR => return "char".to_owned(),
        libc::S_IFREG => "file",
        libc::S_IFLNK => "link",
        _ => return "other".to_owned(),
    };
    format!("{kind} size {} links {}", stat.st_size, stat.st_nlink)
}

fn same(step: &Step) -> Answer {
    let [one, two] = [stat(step.arg(0), true)?, stat(step.arg(1), true)?];
    Ok(yes((one.st_dev, one.st_ino) == (two.st_dev, two.st_ino)))
}

fn readlink(path: &[u8]) -> Answer {
    let path = c(path);
    let mut buffer = vec![0_u8; 8192];
    // SAFETY: the path ends in a NUL byte, and the memory is that of `buffer`.
    count_of(unsafe { libc::readlink(path.as_ptr(), buffer.as_mut_ptr().cast(), buffer.len()) })
        .map(|size| shown(&buffer[..size]))
}

fn count_of(result: isize) -> Result<usize> {
    if result == -1 { Err(Errno::last()) } else { Ok(result as usize) }
}

/// The entries in order, each with a letter of its kind as `ls -F` has it.
fn readdir(path: &[u8]) -> Answer {
    let path = os_string(path);
    let entries = std::fs::read_dir(path).map_err(|error| Errno::of(&error))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(|error| Errno::of(&error))?;
        let kind = entry.file_type().map_err(|error| Errno::of(&error))?;
        let mut name = entry.file_name().as_encoded_bytes().to_vec();
        if kind.is_dir() {
            name.push(b'/');
        } else if kind.is_symlink() {
            name.push(b'@');
        }
        names.push(name);
    }
    names.sort();
    Ok(names.iter().map(|name| shown(name)).collect::<Vec<_>>().join(" "))
}

/// Bytes as the standard library takes them.
pub fn os_string(bytes: &[u8]) -> std::ffi::OsString {
    // SAFETY: on both platforms these are arbitrary bytes.
    unsafe { std::ffi::OsString::from_encoded_bytes_unchecked(bytes.to_vec()) }
}
