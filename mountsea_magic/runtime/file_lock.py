"""A lock between processes: of several that change one file, one after the other does."""

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
def file_lock(path: Path, *, patience_s: float = LOCK_TIMEOUT_S) -> Iterator[None]:
    """Keep other processes, and other threads, out for as long as the block takes.

    The system gives the lock back when a process ends, however it ends. On a file system that
    knows no locks, as some network drives, the block runs without one.

    Args:
        path: The lock's own file, made and removed here.
        patience_s: How long to wait, in seconds.

    Raises:
        TimeoutError: If others have not let go of it by then.
        OSError: If the lock's file can't be made.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     with file_lock(Path(folder, "keys.json.lock")):
        ...         print(os.listdir(folder))
        ['keys.json.lock']
    """
    deadline = time.monotonic() + patience_s
    while (descriptor := _acquired(path)) is None:
        if time.monotonic() > deadline:
            raise TimeoutError(None, f"another process has been changing it for {patience_s:g} s")
        time.sleep(RNG.uniform(0.002, 0.02))
    try:
        yield
    finally:
        with suppress(OSError):  # Windows removes no file that another process has open
            path.unlink()
        os.close(descriptor)


def _acquired(path: Path) -> int | None:
    """The open file that holds the lock, or None while another has it."""
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0)
    descriptor = os.open(path, flags, 0o600)
    try:
        if _locked(descriptor) and _is_file_of(path, descriptor):
            return descriptor
    except BaseException:
        os.close(descriptor)
        raise
    os.close(descriptor)
    return None


def _locked(descriptor: int) -> bool:
    """Whether the lock is ours now; where there are no locks, it counts as ours."""
    try:
        if sys.platform == "win32":
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        else:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return not isinstance(error, BlockingIOError | PermissionError)
    return True


def _is_file_of(path: Path, descriptor: int) -> bool:
    """The one before us has removed its file: a lock on that keeps out nobody who comes later."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except OSError:
        return False
