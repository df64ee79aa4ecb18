//! The way between the types that `bindgen!` made of `wit/kernel` and the kernel's own.

use super::super::bindings::kernel::eyot::kernel::{descriptor, fs, process, types};
use crate::Errno;
use crate::backend::{NodeKind, Timestamp};
use crate::process::FileAction;
use crate::syscall::types as own;

/// A set of flags of one type as one of another, bit by bit by name.
macro_rules! flags {
    ($from:expr, $theirs:path => $ours:path, $($their_flag:ident $our_flag:ident)*) => {{
        use $ours as Ours;
        use $theirs as Theirs;
        let from = $from;
        let mut to = Ours::empty();
        $(if from.contains(Theirs::$their_flag) {
            to |= Ours::$our_flag;
        })*
        to
    }};
}

pub(super) fn timestamp_out(time: Timestamp) -> types::Timestamp {
    types::Timestamp { seconds: time.seconds, nanoseconds: time.nanoseconds }
}

pub(super) fn new_time_in(time: types::NewTime) -> own::NewTime {
    match time {
        types::NewTime::Keep => own::NewTime::Keep,
        types::NewTime::Now => own::NewTime::Now,
        types::NewTime::At(time) => {
            own::NewTime::At(Timestamp { seconds: time.seconds, nanoseconds: time.nanoseconds })
        }
    }
}

pub(super) fn kind_out(kind: NodeKind) -> types::FileKind {
    match kind {
        NodeKind::File => types::FileKind::File,
        NodeKind::Directory => types::FileKind::Directory,
        NodeKind::Symlink => types::FileKind::Symlink,
        NodeKind::Fifo => types::FileKind::Fifo,
        NodeKind::Socket => types::FileKind::Socket,
        NodeKind::CharacterDevice => types::FileKind::CharacterDevice,
        NodeKind::BlockDevice => types::FileKind::BlockDevice,
    }
}

pub(super) fn kind_in(kind: types::FileKind) -> NodeKind {
    match kind {
        types::FileKind::File => NodeKind::File,
        types::FileKind::Directory => NodeKind::Directory,
        types::FileKind::Symlink => NodeKind::Symlink,
        types::FileKind::Fifo => NodeKind::Fifo,
        types::FileKind::Socket => NodeKind::Socket,
        types::FileKind::CharacterDevice => NodeKind::CharacterDevice,
        types::FileKind::BlockDevice => NodeKind::BlockDevice,
    }
}

pub(super) fn status_out(status: own::FileStatus) -> types::FileStatus {
    let attributes = status.attributes;
    types::FileStatus {
        device: status.device,
        inode: attributes.node,
        kind: kind_out(attributes.kind),
        mode: attributes.mode,
        links: attributes.links,
        uid: attributes.uid,
        gid: attributes.gid,
        special_device: attributes.device,
        size: attributes.size,
        blocks: attributes.blocks,
        block_size: status.block_size,
        accessed: timestamp_out(attributes.accessed),
        modified: timestamp_out(attributes.modified),
        changed: timestamp_out(attributes.changed),
        created: timestamp_out(attributes.created),
    }
}

pub(super) fn descriptor_flags_in(flags: descriptor::DescriptorFlags) -> own::DescriptorFlags {
    flags!(flags, descriptor::DescriptorFlags => own::DescriptorFlags,
        CLOSE_ON_EXEC CLOSE_ON_EXEC NON_BLOCKING NON_BLOCKING APPEND APPEND)
}

pub(super) fn descriptor_flags_out(flags: own::DescriptorFlags) -> descriptor::DescriptorFlags {
    flags!(flags, own::DescriptorFlags => descriptor::DescriptorFlags,
        CLOSE_ON_EXEC CLOSE_ON_EXEC NON_BLOCKING NON_BLOCKING APPEND APPEND)
}

pub(super) fn readiness_in(flags: descriptor::Readiness) -> own::Readiness {
    flags!(flags, descriptor::Readiness => own::Readiness,
        READABLE READABLE WRITABLE WRITABLE HANG_UP HANG_UP ERROR ERROR)
}

pub(super) fn readiness_out(flags: own::Readiness) -> descriptor::Readiness {
    flags!(flags, own::Readiness => descriptor::Readiness,
        READABLE READABLE WRITABLE WRITABLE HANG_UP HANG_UP ERROR ERROR)
}

pub(super) fn whence_in(whence: descriptor::Whence) -> own::Whence {
    match whence {
        descriptor::Whence::Start => own::Whence::Start,
        descriptor::Whence::Current => own::Whence::Current,
        descriptor::Whence::End => own::Whence::End,
    }
}

pub(super) fn open_flags_in(flags: fs::OpenFlags) -> own::OpenFlags {
    flags!(flags, fs::OpenFlags => own::OpenFlags,
        READ READ WRITE WRITE CREATE CREATE EXCLUSIVE EXCLUSIVE TRUNCATE TRUNCATE APPEND APPEND DIRECTORY DIRECTORY
        NO_FOLLOW NO_FOLLOW NON_BLOCKING NON_BLOCKING CLOSE_ON_EXEC CLOSE_ON_EXEC PATH_ONLY PATH_ONLY TEMPORARY TEMPORARY)
}

pub(super) fn path_flags_in(flags: fs::PathFlags) -> own::PathFlags {
    flags!(flags, fs::PathFlags => own::PathFlags, FOLLOW FOLLOW)
}

pub(super) fn rename_flags_in(flags: fs::RenameFlags) -> own::RenameFlags {
    flags!(flags, fs::RenameFlags => own::RenameFlags, NO_REPLACE NO_REPLACE EXCHANGE EXCHANGE)
}

pub(super) fn access_mode_in(flags: fs::AccessMode) -> own::AccessMode {
    flags!(flags, fs::AccessMode => own::AccessMode, READ READ WRITE WRITE EXECUTE EXECUTE)
}

pub(super) fn wait_flags_in(flags: process::WaitFlags) -> own::WaitFlags {
    flags!(flags, process::WaitFlags => own::WaitFlags, NO_HANG NO_HANG UNTRACED UNTRACED CONTINUED CONTINUED)
}

pub(super) fn wait_status_out(status: own::WaitStatus) -> process::WaitStatus {
    match status {
        own::WaitStatus::Exited(code) => process::WaitStatus::Exited(code),
        own::WaitStatus::Signaled(signal) => process::WaitStatus::Signaled(signal),
        own::WaitStatus::Stopped(signal) => process::WaitStatus::Stopped(signal),
        own::WaitStatus::Continued => process::WaitStatus::Continued,
    }
}

fn file_action_in(action: process::FileAction) -> FileAction {
    match action {
        // "The first becomes a copy of the second."
        process::FileAction::Dup2((to, from)) => FileAction::Dup2 { from, to },
        process::FileAction::Close(fd) => FileAction::Close(fd),
        process::FileAction::Open(open) => {
            FileAction::Open { fd: open.fd, path: open.path, flags: open_flags_in(open.flags), mode: open.mode }
        }
    }
}

/// The record of `spawn` and `exec`. Errors: `EINVAL` for a string with a NUL, or a variable whose name is empty or holds `=`.
pub(super) fn program_in(program: process::Program) -> Result<crate::process::ProgramSpec, Errno> {
    let has_nul = |text: &String| text.contains('\0');
    let bad_variable =
        |(name, value): &(String, String)| name.is_empty() || name.contains('=') || has_nul(name) || has_nul(value);
    let bad = has_nul(&program.path)
        || program.arguments.iter().any(has_nul)
        || program.environment.iter().flatten().any(bad_variable);
    if bad {
        return Err(Errno::Inval);
    }
    Ok(crate::process::ProgramSpec {
        path: program.path,
        search_path: program.search_path,
        arguments: program.arguments,
        environment: program.environment,
        working_directory: program.working_directory,
        actions: program.actions.into_iter().map(file_action_in).collect(),
        process_group: program.process_group,
        new_session: program.new_session,
    })
}
