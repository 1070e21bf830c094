"""Let an interrupt wait for the end of a block that must not be left half done."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def deferred_interrupt() -> Iterator[None]:
    """Let an interrupt take effect at the end of a short block.

    Only the main thread can be interrupted, so elsewhere this does nothing.

    Raises:
        KeyboardInterrupt: At the end, if there was an interrupt; whatever the handler raises.

    Example:
        >>> with deferred_interrupt():
        ...     pass
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[Any] = []
    handler = signal.signal(signal.SIGINT, lambda number, frame: received.append(frame))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL if handler is None else handler)
        if received and callable(handler):
            handler(signal.SIGINT, received[0])
