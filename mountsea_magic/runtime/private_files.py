"""Private files: what is kept is made for its owner alone, and read only where it is a plain file.

Prompts and faces are private whatever the umask says, so files and folders are made with modes
0600 and 0700, not changed to them afterwards. Where a file system has no modes, as on Windows,
nothing is refused for them.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
import stat
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from io import BufferedReader, BufferedWriter

_OTHERS = 0o077
"""The rights of the group and of all others."""

_MAX_LINKS = 40
"""How many symbolic links Linux follows on the way to one file."""

_OUR_NAMES = re.compile(
    r"journal\..+|keys\..+|originals|models|demo|processes|hub-.+|\..+\.part|\.nfs.+|\.DS_Store"
)
"""What stands in a data folder. One with other things in it is the user's, and keeps its mode."""


class NotOurs(PermissionError):
    """Someone else has put something in the way, where all can write."""


def check_way(path: Path) -> None:
    """Refuse a path that another user may have laid, as is possible below ``/tmp``.

    In a folder that all can write, what is ours is what we or root have made, and no link. A link
    in a folder that a group can write must be ours, root's, or that of the folder's owner.

    Args:
        path: Where a file or folder of ours is, or will be.

    Raises:
        NotOurs: If it leads through something that another user may have put there.

    Example:
        >>> check_way(Path("/"))
    """
    if not hasattr(os, "geteuid"):  # Windows
        return
    # as text: pathlib takes five times as long, and this is asked at each step
    here, links = os.sep, 0
    names = str(path.absolute()).split(os.sep)[::-1]
    while names:
        name = names.pop()
        if name in ("", "."):
            continue
        entry = os.path.dirname(here) if name == ".." else os.path.join(here, name)
        try:
            above, found = os.stat(here), os.lstat(entry)
            target = os.readlink(entry) if stat.S_ISLNK(found.st_mode) else None
        except (OSError, ValueError):
            return  # not there, or not to be seen: using it fails
        if name != ".." and _is_foreign(here, above, found):
            what = "a link" if target is not None else f"made by another user ({found.st_uid})"
            problem = f"{entry} is {what} in a folder that others can write"
            raise NotOurs(errno.EPERM, problem, entry)
        if target is None:
            here = entry
        elif (links := links + 1) > _MAX_LINKS:
            return
        else:
            here = os.sep if os.path.isabs(target) else here
            names += target.split(os.sep)[::-1]


def private_folder(folder: Path, *, ours: bool = False) -> None:
    """Make a folder for its owner alone, and those above it that are missing.

    One of our own that others can enter is narrowed.

    Args:
        folder: The folder.
        ours: Whether it is ours whatever is in it; else it must hold nothing but our files to be
            narrowed, since a user may name a folder with other things in it, or ``/tmp``.

    Raises:
        NotOurs: If another user may have put something in its way.
        OSError: If it can't be made.
    """
    check_way(folder)
    _make(folder)
    if not hasattr(os, "geteuid") or not folder.stat().st_mode & _OTHERS:
        return
    with suppress(OSError):  # no modes there
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            found = os.fstat(opened)
            shared = found.st_uid != os.geteuid() or found.st_mode & stat.S_ISVTX
            if not shared and _holds_only_ours(opened, found, any_name=ours):
                os.fchmod(opened, stat.S_IMODE(found.st_mode) & ~_OTHERS)
        finally:
            os.close(opened)


def _holds_only_ours(opened: int, folder: os.stat_result, *, any_name: bool) -> bool:
    """What others have put there is known as theirs for as long as the folder is not narrowed."""
    names = os.listdir(opened)
    if not any_name and not all(map(_OUR_NAMES.fullmatch, names)):
        return False
    if not folder.st_mode & 0o022:
        return True
    found = [os.lstat(name, dir_fd=opened) for name in names]
    return all(
        entry.st_uid in (os.geteuid(), 0) and not stat.S_ISLNK(entry.st_mode) for entry in found
    )


def _make(folder: Path, *, above: bool = True) -> None:
    """As `Path.mkdir` with parents, but that these are private too."""
    try:
        os.mkdir(folder, 0o700)
    except FileNotFoundError:
        if not above or folder.parent == folder:
            raise
        _make(folder.parent)
        _make(folder, above=False)
    except OSError:
        if not folder.is_dir():
            raise
    else:
        if folder.stat().st_mode & 0o700 != 0o700:  # an umask that takes the owner's rights, too
            with suppress(OSError):
                folder.chmod(0o700)


def private_file(path: Path) -> None:
    """Make an empty file for its owner alone if there is none; narrow one of ours.

    A file that is there is not opened: that would take SQLite's locks away.

    Args:
        path: The file, in a folder that is there.

    Raises:
        NotOurs: If another user may have put something in its way.
        OSError: If it can't be made, or is no plain file.
    """
    check_way(path)
    if narrow(path):
        if not os.access(path, os.R_OK):
            owner = path.stat().st_uid
            raise PermissionError(errno.EACCES, f"it is another user's ({owner})", str(path))
        return
    real = Path(os.path.realpath(path))
    part = real.with_name(f".{secrets.token_hex(8)}.part")
    new_file(part).close()
    try:
        # not made in its place, since to close it there would take SQLite's locks away, too
        os.link(part, real)
    except FileExistsError:
        pass  # another kernel was quicker
    except OSError:
        with suppress(FileExistsError):  # no hard links there
            new_file(real).close()
    finally:
        part.unlink()


def narrow(path: Path) -> bool:
    """Take the rights of others from a file of ours.

    Args:
        path: The file.

    Returns:
        Whether there is one.

    Raises:
        OSError: If it is no plain file.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    _refuse_special(found)
    if hasattr(os, "geteuid") and found.st_mode & _OTHERS and found.st_uid == os.geteuid():
        with suppress(OSError):  # no modes there
            path.chmod(stat.S_IMODE(found.st_mode) & ~_OTHERS)
    return True


def new_file(path: Path) -> BufferedWriter:
    """Make a file for its owner alone, and open it for writing; a link is not followed.

    Raises:
        OSError: If it can't be made; `FileExistsError` if there is one.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    opened = os.open(path, flags, 0o600)
    if os.fstat(opened).st_mode & 0o600 != 0o600:  # an umask that takes the owner's rights, too
        with suppress(OSError):
            os.fchmod(opened, 0o600)
    return os.fdopen(opened, "wb")


def write_private(path: Path, content: bytes) -> None:
    """Write a whole file for its owner alone, in the place of one that may be there.

    Args:
        path: The file, in a folder that is there.
        content: What it shall hold.

    Raises:
        OSError: If that fails; what was there stays.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        with new_file(part) as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise


def open_plain(path: Path) -> BufferedReader:
    """Open a file for reading if it is a plain one: a pipe would hang, a device never end.

    Raises:
        OSError: If it is none, or can't be read.
    """
    _refuse_special(path.stat())  # some devices do something when they are opened
    opened = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        _refuse_special(os.fstat(opened))
    except BaseException:
        os.close(opened)
        raise
    return os.fdopen(opened, "rb")


def read_plain(path: Path, max_bytes: int) -> bytes:
    """Read a plain file that is not too large.

    Args:
        path: The file.
        max_bytes: How large it may be.

    Raises:
        OSError: If it is larger, no plain file, or can't be read.
    """
    with open_plain(path) as file:
        # what it says of its size may be wrong, as in /proc
        large = os.fstat(file.fileno()).st_size > max_bytes
        content = b"" if large else file.read(max_bytes + 1)
    if large or len(content) > max_bytes:
        raise OSError(errno.EFBIG, f"it is larger than {max_bytes:,} bytes", str(path))
    return content


def _refuse_special(found: os.stat_result) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is not a plain file")


def _is_foreign(folder: str, above: os.stat_result, found: os.stat_result) -> bool:
    """Whether someone else may have put an entry into a folder."""
    trusted: tuple[int, ...] = (os.geteuid(), 0, above.st_uid)
    is_link = stat.S_ISLNK(found.st_mode)
    if above.st_mode & stat.S_IWOTH:
        if is_link:  # one of ours may have been moved there; root's is the administrator's
            trusted = (0,) if os.geteuid() else ()
        return found.st_uid not in trusted and _tells_users_apart(folder, found.st_uid)
    # folders are not judged here: those of containers belong to the group of many users
    return bool(above.st_mode & stat.S_IWGRP) and is_link and found.st_uid not in trusted


@cache
def _tells_users_apart(folder: str, other: int) -> bool:
    """Whether modes and owners mean something on a file system: a new file shows it."""
    probe = Path(folder, f".{secrets.token_hex(8)}.part")
    try:
        with new_file(probe) as file:
            made = os.fstat(file.fileno())
        probe.unlink()
    except OSError:
        return True
    return not made.st_mode & _OTHERS and (made.st_uid == os.geteuid() or made.st_uid != other)
