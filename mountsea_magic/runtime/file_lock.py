"""An inter-process lock: serializes changes to one file."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .rng import RNG

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

LOCK_TIMEOUT_S = 10.0
"""How long to wait for other processes, in seconds."""


@contextmanager
def file_lock(path: Path, *, timeout_s: float = LOCK_TIMEOUT_S) -> Iterator[None]:
    """Hold an exclusive lock against other processes and threads within a block.

    The operating system releases the lock when a process dies. On a file system without locks, such
    as some network drives, the block runs unlocked.

    Args:
        path: The lock file, which is created and removed here.
        timeout_s: How long to wait, in seconds.

    Raises:
        TimeoutError: If the lock is still held after `timeout_s`.
        OSError: If the lock file can't be created.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with file_lock(Path(folder, "keys.json.lock")):
        ...         print(os.listdir(folder))
        ['keys.json.lock']
    """
    deadline = time.monotonic() + timeout_s
    while (descriptor := _acquired(path)) is None:
        if time.monotonic() > deadline:
            raise TimeoutError(None, f"still locked by another process after {timeout_s:g} s")
        time.sleep(RNG.uniform(0.002, 0.02))
    try:
        yield
    finally:
        with suppress(OSError):  # Windows can't remove a file that another process has open
            path.unlink()
        os.close(descriptor)


def try_lock(descriptor: int) -> bool:
    """Lock an open file if nobody else holds its lock.

    Args:
        descriptor: The file, open for writing; the lock is held until it is closed.

    Returns:
        Whether the lock was acquired.

    Raises:
        OSError: If the file system has no locks.
    """
    try:
        if sys.platform == "win32":
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):
        return False
    return True


def is_file_of(path: Path, descriptor: int) -> bool:
    """Return whether a path leads to an open file: a lock on a removed one would exclude nobody.

    Args:
        path: The path.
        descriptor: The open file.
    """
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except OSError:
        return False


def _acquired(path: Path) -> int | None:
    """The file descriptor that holds the lock, or None while it is held elsewhere."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(path, flags, 0o600)
    try:
        if _locked(descriptor) and is_file_of(path, descriptor):
            return descriptor
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _locked(descriptor: int) -> bool:
    """Whether the lock was acquired; True on file systems without locks."""
    try:
        return try_lock(descriptor)
    except OSError:
        return True
