"""{{name}}: a filesystem in memory, with files, directories, symlinks and hard links. Change it into yours.

The kernel has checked names, permissions and sizes before it calls, and calls one function at a time. An error is raised: `raise Err(Errno.NOENT)`.
"""

from dataclasses import dataclass, field
from typing import Optional

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import clock
from wit_world.imports.types import (
    AttributeChanges,
    Attributes,
    Capabilities,
    DirectoryEntry,
    Errno,
    FilesystemInfo,
    FilesystemStatus,
    NodeKind,
    OpenFlags,
    Ownership,
    RenameFlags,
    Timestamp,
)
# {{#mount}}
from wit_world.exports.mount import Refusal, Setting, SettingDescription, SettingKind
# {{/}}

ROOT = 1
FOREVER = 2**64 - 1
SIZE_MAX = 2**63 - 1
INODES_MAX = 100_000
BLOCK_BYTES = 4096
NAME_BYTES_MAX = 255
TARGET_BYTES_MAX = 4095


@dataclass
class Inode:
    node: int
    kind: NodeKind
    mode: int
    uid: int
    gid: int
    links: int
    accessed: Timestamp
    modified: Timestamp
    changed: Timestamp
    created: Timestamp
    # How many times the kernel holds it. While it does, the number stays valid, with or without a name.
    lookups: int = 0
    # Of a file.
    data: bytearray = field(default_factory=bytearray)
    # Of a directory: names with their nodes and cookies, in the order of the cookies.
    entries: dict[str, tuple[int, int]] = field(default_factory=dict)
    next_cookie: int = 1
    parent: Optional["Inode"] = None
    # Of a symlink.
    target: str = ""

    def is_directory(self) -> bool:
        return self.kind == NodeKind.DIRECTORY

    def size(self) -> int:
        return len(self.target.encode()) if self.kind == NodeKind.SYMLINK else len(self.data)

    def attributes(self) -> Attributes:
        size = self.size()
        return Attributes(
            node=self.node,
            kind=self.kind,
            mode=self.mode,
            links=self.links,
            uid=self.uid,
            gid=self.gid,
            device=0,
            size=size,
            blocks=(size + 511) // 512,
            accessed=self.accessed,
            modified=self.modified,
            changed=self.changed,
            created=self.created,
            # Nothing but this mount changes it, so the kernel need not ask again.
            lifetime_ns=FOREVER,
        )

    def touch(self) -> None:
        self.modified = self.changed = clock.now()


class Tree:
    """All inodes."""

    def __init__(self) -> None:
        self.inodes: dict[int, Inode] = {}
        self.next_node = ROOT
        self.bytes_used = 0
        self.bytes_max = 64 * 1024 * 1024
        # This runs when the component is built, where there is no clock: `info` sets the root's times.
        self.make(NodeKind.DIRECTORY, Ownership(mode=0o755, uid=0, gid=0), Timestamp(0, 0))

    def make(self, kind: NodeKind, owner: Ownership, now: Timestamp) -> Inode:
        if len(self.inodes) >= INODES_MAX:
            raise Err(Errno.NOSPC)
        links = 2 if kind == NodeKind.DIRECTORY else 1
        inode = Inode(self.next_node, kind, owner.mode & 0o7777, owner.uid, owner.gid, links, now, now, now, now)
        self.inodes[inode.node] = inode
        self.next_node += 1
        return inode

    def find(self, node: int) -> Inode:
        inode = self.inodes.get(node)
        if inode is None:
            raise Err(Errno.STALE)
        return inode

    def directory(self, node: int) -> Inode:
        inode = self.find(node)
        if not inode.is_directory():
            raise Err(Errno.NOTDIR)
        return inode

    def file(self, node: int) -> Inode:
        inode = self.find(node)
        if inode.is_directory():
            raise Err(Errno.ISDIR)
        if inode.kind != NodeKind.FILE:
            raise Err(Errno.INVAL)
        return inode

    def entry(self, directory: Inode, name: str) -> Inode:
        found = directory.entries.get(name)
        if found is None:
            raise Err(Errno.NOENT)
        return self.find(found[0])

    def room_for(self, node: int, name: str) -> Inode:
        """A directory that gets a new name."""
        directory = self.directory(node)
        check_name(name)
        if name in directory.entries:
            raise Err(Errno.EXIST)
        if directory.links == 0:
            raise Err(Errno.NOENT)
        return directory

    def add(self, node: int, name: str, kind: NodeKind, owner: Ownership, target: str = "") -> Attributes:
        directory = self.room_for(node, name)
        inode = self.make(kind, owner, clock.now())
        inode.target = target
        add_name(directory, name, inode)
        directory.touch()
        return held(inode)

    def reap(self, inode: Inode) -> None:
        """Lets an inode go that has neither a name nor a holder."""
        if inode.links == 0 and inode.lookups == 0 and inode.node != ROOT:
            self.bytes_used -= len(inode.data)
            del self.inodes[inode.node]

    def lose_link(self, inode: Inode) -> None:
        """The last step of `unlink`, `rmdir` and a rename that replaces."""
        inode.links = 0 if inode.is_directory() else inode.links - 1
        inode.changed = clock.now()
        self.reap(inode)

    def resize(self, inode: Inode, size: int) -> None:
        """Makes a file this long: cuts, or extends with zeroes."""
        if size > SIZE_MAX:
            raise Err(Errno.FBIG)
        more = size - len(inode.data)
        if more > 0 and self.bytes_used + more > self.bytes_max:
            raise Err(Errno.NOSPC)
        if more > 0:
            inode.data.extend(bytes(more))
        else:
            del inode.data[size:]
        self.bytes_used += more


def check_name(name: str) -> None:
    if name in ("", ".", "..") or "/" in name or "\0" in name:
        raise Err(Errno.INVAL)
    if len(name.encode()) > NAME_BYTES_MAX:
        raise Err(Errno.NAMETOOLONG)


def add_name(directory: Inode, name: str, inode: Inode) -> None:
    directory.entries[name] = (inode.node, directory.next_cookie)
    directory.next_cookie += 1
    if inode.is_directory():
        inode.parent = directory
        directory.links += 1


def drop_name(directory: Inode, name: str, inode: Inode) -> None:
    del directory.entries[name]
    if inode.is_directory():
        directory.links -= 1


def held(inode: Inode) -> Attributes:
    """An answer that the kernel holds from now on."""
    inode.lookups += 1
    return inode.attributes()


def is_within(directory: Inode, ancestor: Inode) -> bool:
    at: Optional[Inode] = directory
    while at is not None:
        if at is ancestor:
            return True
        at = at.parent
    return False


tree = Tree()


class Filesystem(exports.Filesystem):
    """The interface `filesystem`, as wit/filesystem.wit describes it."""

    def info(self) -> FilesystemInfo:
        root = tree.find(ROOT)
        root.touch()
        root.accessed = root.created = root.changed
        return FilesystemInfo(
            root=ROOT,
            capabilities=Capabilities.WRITABLE
            | Capabilities.HARD_LINKS
            | Capabilities.SYMLINKS
            | Capabilities.ATOMIC_RENAME
            | Capabilities.CASE_SENSITIVE,
            entry_lifetime_ns=FOREVER,
            absence_lifetime_ns=FOREVER,
            kind="{{name}}",
        )

    def lookup(self, dir: int, name: str) -> Attributes:
        return held(tree.entry(tree.directory(dir), name))

    def forget(self, of_node: int, count: int) -> None:
        inode = tree.inodes.get(of_node)
        if inode is not None:
            inode.lookups = max(0, inode.lookups - count)
            tree.reap(inode)

    def getattr(self, of_node: int) -> Attributes:
        return tree.find(of_node).attributes()

    def setattr(self, of_node: int, changes: AttributeChanges) -> Attributes:
        inode = tree.find(of_node)
        for time in (changes.accessed, changes.modified):
            if time is not None and time.nanoseconds >= 1_000_000_000:
                raise Err(Errno.INVAL)
        if changes.size is not None:
            tree.resize(tree.file(of_node), changes.size)
            inode.touch()
        if changes.mode is not None:
            inode.mode = changes.mode & 0o7777
        if changes.uid is not None:
            inode.uid = changes.uid
        if changes.gid is not None:
            inode.gid = changes.gid
        if changes.accessed is not None:
            inode.accessed = changes.accessed
        if changes.modified is not None:
            inode.modified = changes.modified
        inode.changed = clock.now()
        return inode.attributes()

    def create(self, dir: int, name: str, owner: Ownership) -> Attributes:
        return tree.add(dir, name, NodeKind.FILE, owner)

    def mkdir(self, dir: int, name: str, owner: Ownership) -> Attributes:
        return tree.add(dir, name, NodeKind.DIRECTORY, owner)

    def symlink(self, dir: int, name: str, target: str, owner: Ownership) -> Attributes:
        if not target:
            raise Err(Errno.NOENT)
        if len(target.encode()) > TARGET_BYTES_MAX:
            raise Err(Errno.NAMETOOLONG)
        return tree.add(dir, name, NodeKind.SYMLINK, Ownership(0o777, owner.uid, owner.gid), target)

    def make_node(self, dir: int, name: str, kind: NodeKind, device: int, owner: Ownership) -> Attributes:
        raise Err(Errno.NOTSUP)

    def link(self, target: int, dir: int, name: str) -> Attributes:
        inode = tree.find(target)
        if inode.is_directory():
            raise Err(Errno.PERM)
        directory = tree.room_for(dir, name)
        if inode.links == 0:
            raise Err(Errno.NOENT)
        add_name(directory, name, inode)
        inode.links += 1
        inode.changed = clock.now()
        directory.touch()
        return held(inode)

    def unlink(self, dir: int, name: str) -> None:
        directory = tree.directory(dir)
        inode = tree.entry(directory, name)
        if inode.is_directory():
            raise Err(Errno.ISDIR)
        drop_name(directory, name, inode)
        directory.touch()
        tree.lose_link(inode)

    def rmdir(self, dir: int, name: str) -> None:
        directory = tree.directory(dir)
        inode = tree.entry(directory, name)
        if not inode.is_directory():
            raise Err(Errno.NOTDIR)
        if inode.entries:
            raise Err(Errno.NOTEMPTY)
        drop_name(directory, name, inode)
        directory.touch()
        tree.lose_link(inode)

    def rename(self, from_dir: int, from_name: str, to_dir: int, to_name: str, how: RenameFlags) -> None:
        if RenameFlags.NO_REPLACE in how and RenameFlags.EXCHANGE in how:
            raise Err(Errno.INVAL)
        source_dir, target_dir = tree.directory(from_dir), tree.directory(to_dir)
        check_name(from_name)
        check_name(to_name)
        source = tree.entry(source_dir, from_name)
        if RenameFlags.EXCHANGE in how:
            self.exchange(source_dir, from_name, source, target_dir, to_name)
            return
        if target_dir.links == 0:
            raise Err(Errno.NOENT)
        if is_within(target_dir, source):
            raise Err(Errno.INVAL)
        if to_name in target_dir.entries:
            if RenameFlags.NO_REPLACE in how:
                raise Err(Errno.EXIST)
            target = tree.entry(target_dir, to_name)
            if target is source:
                return
            if source.is_directory() and not target.is_directory():
                raise Err(Errno.NOTDIR)
            if target.is_directory() and not source.is_directory():
                raise Err(Errno.ISDIR)
            if target.entries:
                raise Err(Errno.NOTEMPTY)
            drop_name(target_dir, to_name, target)
            tree.lose_link(target)
        drop_name(source_dir, from_name, source)
        add_name(target_dir, to_name, source)
        source.changed = clock.now()
        source_dir.touch()
        target_dir.touch()

    def exchange(self, source_dir: Inode, from_name: str, source: Inode, target_dir: Inode, to_name: str) -> None:
        target = tree.entry(target_dir, to_name)
        if source is target:
            return
        if is_within(target_dir, source) or is_within(source_dir, target):
            raise Err(Errno.INVAL)
        drop_name(source_dir, from_name, source)
        drop_name(target_dir, to_name, target)
        add_name(source_dir, from_name, target)
        add_name(target_dir, to_name, source)
        source.changed = target.changed = clock.now()
        source_dir.touch()
        target_dir.touch()

    def readlink(self, of_node: int) -> str:
        inode = tree.find(of_node)
        if inode.kind != NodeKind.SYMLINK:
            raise Err(Errno.INVAL)
        return inode.target

    def open(self, of_node: int, how: OpenFlags) -> int:
        tree.file(of_node)
        return 0

    def release(self, of_node: int, open_file: int) -> None:
        pass

    def read(self, of_node: int, open_file: int, offset: int, length: int) -> bytes:
        return bytes(tree.file(of_node).data[offset : offset + length])

    def write(self, of_node: int, open_file: int, offset: int, bytes: bytes) -> int:
        inode = tree.file(of_node)
        end = offset + len(bytes)
        if end > SIZE_MAX:
            raise Err(Errno.FBIG)
        if not bytes:
            return 0
        if end > len(inode.data):
            tree.resize(inode, end)
        inode.data[offset:end] = bytes
        inode.touch()
        return len(bytes)

    def fsync(self, of_node: int, open_file: int, data_only: bool) -> None:
        tree.find(of_node)

    def readdir(self, dir: int, cookie: int, max_entries: int) -> list[DirectoryEntry]:
        entries: list[DirectoryEntry] = []
        for name, (node, at) in tree.directory(dir).entries.items():
            if len(entries) >= max_entries:
                break
            if at > cookie:
                entries.append(DirectoryEntry(name, at, tree.find(node).attributes()))
        return entries

    def statfs(self) -> FilesystemStatus:
        return FilesystemStatus(
            block_size=BLOCK_BYTES,
            blocks=tree.bytes_max // BLOCK_BYTES,
            blocks_free=(tree.bytes_max - tree.bytes_used) // BLOCK_BYTES,
            files=INODES_MAX,
            files_free=INODES_MAX - len(tree.inodes),
            name_max=NAME_BYTES_MAX,
        )

    # `info` does not name XATTRS, so the kernel never calls these.

    def getxattr(self, of_node: int, name: str) -> bytes:
        raise Err(Errno.NOTSUP)

    def setxattr(self, of_node: int, name: str, value: bytes) -> None:
        raise Err(Errno.NOTSUP)

    def listxattr(self, of_node: int) -> list[str]:
        raise Err(Errno.NOTSUP)

    def removexattr(self, of_node: int, name: str) -> None:
        raise Err(Errno.NOTSUP)
# {{#mount}}


UNITS = {"": 0, "k": 10, "m": 20, "g": 30, "t": 40}


class Mount(exports.Mount):
    """The interface `mount`."""

    def settings(self) -> list[SettingDescription]:
        help = "The most bytes of contents; ENOSPC beyond."
        return [SettingDescription("bytes_max", SettingKind.SIZE, False, "64M", help)]

    def configure(self, settings: list[Setting]) -> None:
        """The kernel has checked the values: a `size` is a number with an optional unit."""
        for setting in settings:
            digits = setting.value.rstrip("kKmMgGtTiIbB")
            unit = setting.value[len(digits) :].lower().rstrip("b").rstrip("i")
            if setting.key != "bytes_max" or not digits.isdecimal() or unit not in UNITS:
                raise Err(Refusal(Errno.INVAL, f"{setting.key}: {setting.value} is not understood"))
            tree.bytes_max = int(digits) << UNITS[unit]
# {{/}}
