"""Make Pillow reject truncated files, and list the exceptions that it raises for damaged ones."""

from __future__ import annotations

import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

UNREADABLE = (
    *(OSError, SyntaxError, ValueError, TypeError, AttributeError, struct.error),
    *(EOFError, LookupError, ArithmeticError, RuntimeError, MemoryError, AssertionError),
)
"""What Pillow's plugins raise for damaged files; those of old formats validate little."""


class _TruncationGuard:
    """Counts concurrent users of Pillow's global leniency setting; the last one restores it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._restore = ExitStack()

    def enter(self) -> None:
        from PIL import ImageFile

        with self._lock:
            self._users += 1
            if self._users == 1:
                self._restore.enter_context(warnings.catch_warnings())
                warnings.simplefilter("ignore")
                lenient = ImageFile.LOAD_TRUNCATED_IMAGES
                self._restore.callback(setattr, ImageFile, "LOAD_TRUNCATED_IMAGES", lenient)
                ImageFile.LOAD_TRUNCATED_IMAGES = False

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            if self._users == 0:
                self._restore.close()


_GUARD = _TruncationGuard()


@contextmanager
def reject_truncated() -> Iterator[None]:
    """Make Pillow reject truncated files, and suppress its warnings: we check our own limits.

    A notebook may have set `LOAD_TRUNCATED_IMAGES`, which would accept a truncated JPEG.
    """
    _GUARD.enter()
    try:
        yield
    finally:
        _GUARD.leave()
