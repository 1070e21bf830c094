"""Lets other processes see whether the process that wrote something still runs.

Each process holds a lock on a file of its own until it ends, however it ends: the operating system
then releases it. Unlike a process id, it can't be taken by another process later, and it needs no
start times, which every system tells in its own way.
"""

from __future__ import annotations

import atexit
import os
import secrets
import socket
import threading
from contextlib import suppress
from pathlib import Path

from .file_lock import is_file_of, try_lock

_PATTERN = "journal.owner-{}.lock"


def own_token(folder: Path) -> str | None:
    """Return this process's token, and hold its lock from now on.

    Args:
        folder: An existing folder of the user, which the processes share.

    Returns:
        The token, or None where the file system has no locks, or no room.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     has_ended(Path(folder), own_token(Path(folder)) or "")
        False
    """
    with _LOCK:
        if folder in _HELD:
            token, descriptor = _HELD[folder]
            if is_file_of(_path(folder, token), descriptor):
                return token
            os.close(_HELD.pop(folder)[1])  # somebody has removed the file
        with suppress(OSError):
            _remove_abandoned(folder)
            _HELD[folder] = _create(folder)
            return _HELD[folder][0]
        return None


def has_ended(folder: Path, token: str) -> bool:
    """Return whether a process has certainly ended; False if that can't be known.

    Args:
        folder: The folder of its `own_token`.
        token: Its token.
    """
    host, _, name = token.rpartition(" ")
    # locks of another machine may not be seen here
    if host != socket.gethostname() or not name.isalnum():
        return False
    if folder in _HELD and _HELD[folder][0] == token:
        return False  # on some network drives, closing its file would release its lock
    return _is_abandoned(_path(folder, token))


def _path(folder: Path, token: str) -> Path:
    return folder / _PATTERN.format(token.rpartition(" ")[2])


def _create(folder: Path) -> tuple[str, int]:
    """Create and lock a file; again if another process removed it before it was locked."""
    while True:
        token = f"{socket.gethostname()} {secrets.token_hex(8)}"
        path = _path(folder, token)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            if try_lock(descriptor) and is_file_of(path, descriptor):
                return token, descriptor
        except OSError:  # no locks here
            os.close(descriptor)
            path.unlink(missing_ok=True)
            raise
        os.close(descriptor)


def _is_abandoned(path: Path) -> bool:
    """Whether nobody holds the lock of a file, which is removed then."""
    try:
        descriptor = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    try:
        if not try_lock(descriptor):
            return False
        with suppress(OSError):  # Windows can't remove an open file
            path.unlink()
        return True
    except OSError:  # no locks here
        return False
    finally:
        os.close(descriptor)


def _remove_abandoned(folder: Path) -> None:
    """Remove the files of processes that were killed."""
    for path in folder.glob(_PATTERN.format("*")):
        _is_abandoned(path)


def _release_all() -> None:
    """At exit, remove the files of this process."""
    for folder, (token, descriptor) in _HELD.items():
        os.close(descriptor)
        with suppress(OSError):
            _path(folder, token).unlink()
    _HELD.clear()


def _forget_parent() -> None:
    """In a forked child: close the parent's files, whose locks would outlive it here."""
    global _LOCK  # another thread of the parent may have held it
    _LOCK = threading.Lock()
    for _, descriptor in _HELD.values():
        os.close(descriptor)
    _HELD.clear()


_HELD: dict[Path, tuple[str, int]] = {}
"""The token and the open file of this process in each folder."""

_LOCK = threading.Lock()

atexit.register(_release_all)
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_forget_parent)
