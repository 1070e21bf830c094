"""Private files: created with access for their owner only, and read only if they are regular files.

Prompts and photos are private whatever the umask, so files and folders are created with modes 0600
and 0700, not changed to them afterwards. On file systems without modes, as on Windows, modes are
not checked.
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
"""The permissions of group and others."""

_MAX_LINKS = 40
"""The most symbolic links that Linux follows while it resolves a path."""

_OUR_NAMES = re.compile(
    r"journal\..+|keys\..+|originals|thumbnails|models|demo|processes|hub-.+|\..+\.part|\.nfs.+"
    r"|\.DS_Store"
)
"""Names of files in a data folder. A folder with other files keeps the mode the user gave it."""


class UntrustedPathError(PermissionError):
    """Another user may control a part of the path."""


def check_path(path: Path) -> None:
    """Raise if another user may control a part of a path, as is possible below ``/tmp``.

    In a world-writable folder an entry must belong to this user, root or the folder's owner, and a
    link to root. In a group-writable folder a link must belong to this user, root or the owner.

    Args:
        path: Where a file or folder of ours is, or will be.

    Raises:
        UntrustedPathError: If an entry on the path, or on a link's target, is not trusted.

    Example:
        >>> check_path(Path("/"))
    """
    if not hasattr(os, "geteuid"):  # Windows
        return
    # strings, since pathlib takes five times as long and this runs often
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
            return  # missing or not accessible: using it will fail
        if name != ".." and _is_foreign(here, above, found):
            kind = "a link" if target is not None else f"owned by another user ({found.st_uid})"
            problem = f"{entry} is {kind} in a folder that others can write to"
            raise UntrustedPathError(errno.EPERM, problem, entry)
        if target is None:
            here = entry
        elif (links := links + 1) > _MAX_LINKS:
            return
        else:
            here = os.sep if os.path.isabs(target) else here
            names += target.split(os.sep)[::-1]


def private_folder(folder: Path, *, ours: bool = False) -> None:
    """Create a folder with mode 0700, and its missing parents.

    If it exists, belongs to this user and is accessible to others, its mode is restricted.

    Args:
        folder: The folder.
        ours: Whether it is ours whatever it contains. If not, its mode is only restricted if it has
            no files but ours, since the user may have named a shared folder, or ``/tmp``.

    Raises:
        UntrustedPathError: If another user may control a part of the path.
        OSError: If the folder can't be created.
    """
    check_path(folder)
    _create(folder)
    if not hasattr(os, "geteuid") or not folder.stat().st_mode & _OTHERS:
        return
    with suppress(OSError):  # a file system without modes
        opened = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            found = os.fstat(opened)
            shared = found.st_uid != os.geteuid() or found.st_mode & stat.S_ISVTX
            if not shared and _has_only_our_files(opened, found, any_name=ours):
                os.fchmod(opened, stat.S_IMODE(found.st_mode) & ~_OTHERS)
        finally:
            os.close(opened)


def _has_only_our_files(opened: int, folder: os.stat_result, *, any_name: bool) -> bool:
    """False if there are other files, or entries of other users in a folder open to them."""
    names = os.listdir(opened)
    if not any_name and not all(map(_OUR_NAMES.fullmatch, names)):
        return False
    if not folder.st_mode & 0o022:
        return True
    found = [os.lstat(name, dir_fd=opened) for name in names]
    return all(
        entry.st_uid in (os.geteuid(), 0) and not stat.S_ISLNK(entry.st_mode) for entry in found
    )


def _create(folder: Path, *, parents: bool = True) -> None:
    """As `Path.mkdir` with `parents`, but with mode 0700 for the parents too."""
    try:
        os.mkdir(folder, 0o700)
    except FileNotFoundError:
        if not parents or folder.parent == folder:
            raise
        _create(folder.parent)
        _create(folder, parents=False)
    except OSError:
        if not folder.is_dir():
            raise
    else:
        if folder.stat().st_mode & 0o700 != 0o700:  # the umask removed the owner's permissions
            with suppress(OSError):
                folder.chmod(0o700)


def private_file(path: Path) -> None:
    """Create an empty file with mode 0600, or restrict the mode of an existing one.

    An existing file is not opened: closing it would release SQLite's locks.

    Args:
        path: The file, in an existing folder.

    Raises:
        UntrustedPathError: If another user may control a part of the path.
        OSError: If it can't be created, or is not a regular file.
    """
    check_path(path)
    if restrict_to_owner(path):
        if not os.access(path, os.R_OK):
            owner = path.stat().st_uid
            raise PermissionError(errno.EACCES, f"it belongs to another user ({owner})", str(path))
        return
    real = Path(os.path.realpath(path))
    part = real.with_name(f".{secrets.token_hex(8)}.part")
    new_file(part).close()
    try:
        # a hard link, since closing a file created in place could release SQLite's locks too
        os.link(part, real)
    except FileExistsError:
        pass  # another kernel was faster
    except OSError:
        with suppress(FileExistsError):  # a file system without hard links
            new_file(real).close()
    finally:
        part.unlink()


def restrict_to_owner(path: Path) -> bool:
    """Remove the permissions of group and others from a file that belongs to this user.

    Args:
        path: The file.

    Returns:
        Whether the file exists.

    Raises:
        OSError: If it is not a regular file.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    _require_regular(found)
    if hasattr(os, "geteuid") and found.st_mode & _OTHERS and found.st_uid == os.geteuid():
        with suppress(OSError):  # a file system without modes
            path.chmod(stat.S_IMODE(found.st_mode) & ~_OTHERS)
    return True


def new_file(path: Path) -> BufferedWriter:
    """Create a file with mode 0600 and open it for writing; a link is not followed.

    Raises:
        OSError: If it can't be created; `FileExistsError` if it exists.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    opened = os.open(path, flags, 0o600)
    if os.fstat(opened).st_mode & 0o600 != 0o600:  # the umask removed the owner's permissions
        with suppress(OSError):
            os.fchmod(opened, 0o600)
    return os.fdopen(opened, "wb")


def write_private(path: Path, content: bytes, *, durable: bool = True) -> None:
    """Write a file with mode 0600 atomically, replacing an existing one.

    Args:
        path: The file, in an existing folder.
        content: Its whole content.
        durable: Wait until it is on the disk, which takes some milliseconds. Without it, a crash of
            the machine may leave a file that is empty or cut.

    Raises:
        OSError: If that fails; an existing file is then unchanged.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(8)}.part")
    try:
        with new_file(part) as file:
            file.write(content)
            if durable:
                file.flush()
                os.fsync(file.fileno())
        os.replace(part, path)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file for reading: opening a pipe would hang, and a device may never end.

    Raises:
        OSError: If it is not a regular file, or can't be read.
    """
    _require_regular(path.stat())  # before opening, which has side effects on some devices
    opened = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    try:
        _require_regular(os.fstat(opened))
    except BaseException:
        os.close(opened)
        raise
    return os.fdopen(opened, "rb")


def read_regular(path: Path, max_bytes: int) -> bytes:
    """Read a regular file of limited size.

    Args:
        path: The file.
        max_bytes: The largest size, in bytes.

    Raises:
        OSError: If it is larger, is not a regular file, or can't be read.
    """
    with open_regular(path) as file:
        # its reported size may be wrong, as in /proc
        large = os.fstat(file.fileno()).st_size > max_bytes
        content = b"" if large else file.read(max_bytes + 1)
    if large or len(content) > max_bytes:
        raise OSError(errno.EFBIG, f"it is larger than {max_bytes:,} bytes", str(path))
    return content


def _require_regular(found: os.stat_result) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is not a regular file")


def _is_foreign(folder: str, above: os.stat_result, found: os.stat_result) -> bool:
    """Whether another user may have put an entry into a folder."""
    trusted: tuple[int, ...] = (os.geteuid(), 0, above.st_uid)
    is_link = stat.S_ISLNK(found.st_mode)
    if above.st_mode & stat.S_IWOTH:
        if is_link:  # another user may have moved one of ours there; root's links are trusted
            trusted = (0,) if os.geteuid() else ()
        return found.st_uid not in trusted and _tells_users_apart(folder, found.st_uid)
    # only links: containers have group-writable folders that belong to a group of many users
    return bool(above.st_mode & stat.S_IWGRP) and is_link and found.st_uid not in trusted


@cache
def _tells_users_apart(folder: str, other: int) -> bool:
    """Whether the file system supports modes and owners, which a new file shows."""
    probe = Path(folder, f".{secrets.token_hex(8)}.part")
    try:
        with new_file(probe) as file:
            created = os.fstat(file.fileno())
        probe.unlink()
    except OSError:
        return True
    has_modes = not created.st_mode & _OTHERS
    return has_modes and (created.st_uid == os.geteuid() or created.st_uid != other)
