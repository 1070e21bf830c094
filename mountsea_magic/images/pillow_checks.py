"""Strictness: what Pillow raises for damaged files, and how it is kept from taking half of one."""

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
"""What Pillow's plug-ins raise for damaged files; those of its oldest formats check little."""


class _Strictness:
    """Pillow's leniency is one switch for the whole process: the last to leave turns it back."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._inside = 0
        self._before = ExitStack()

    def enter(self) -> None:
        from PIL import ImageFile

        with self._lock:
            self._inside += 1
            if self._inside == 1:
                self._before.enter_context(warnings.catch_warnings())
                warnings.simplefilter("ignore")
                lenient = ImageFile.LOAD_TRUNCATED_IMAGES
                self._before.callback(setattr, ImageFile, "LOAD_TRUNCATED_IMAGES", lenient)
                ImageFile.LOAD_TRUNCATED_IMAGES = False

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._before.close()


_STRICTNESS = _Strictness()


@contextmanager
def strictly() -> Iterator[None]:
    """Let Pillow refuse half a file, and warn of nothing: our own limits are our own errors.

    A notebook may have set `LOAD_TRUNCATED_IMAGES` for its own images; then half a JPEG would pass.
    """
    _STRICTNESS.enter()
    try:
        yield
    finally:
        _STRICTNESS.leave()
