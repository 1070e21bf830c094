"""At process exit, wait briefly for submissions in flight."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures.thread  # noqa: F401  # registers its exit hook first, so that ours runs before it
import threading
import time
import weakref
from collections.abc import Callable

from .loop_thread import LoopThread

EXIT_TIMEOUT_S = 3.0
"""The longest wait, in seconds."""

POLL_INTERVAL_S = 0.02
"""The pause between two checks, in seconds."""

_CALLBACKS: list[weakref.WeakMethod[Callable[[], None]]] = []


def call_at_exit(callback: Callable[[], None]) -> None:
    """Call a method once at process exit, while threads still work.

    Args:
        callback: A bound method; only a weak reference to its object is kept.
    """
    if not _CALLBACKS:
        # `atexit` would be too late: it runs after the thread pools that write the journal close
        getattr(threading, "_register_atexit", atexit.register)(_run_callbacks)
    if not any(reference() == callback for reference in _CALLBACKS):
        _CALLBACKS.append(weakref.WeakMethod(callback))


def wait_for_submissions(worker: LoopThread, is_submitting: Callable[[], bool]) -> None:
    """Wait until the Hub has responded to every submission in flight.

    Otherwise an interrupted script could exit before the task id arrives, and a notebook that ends
    with a background cell before the request is sent.

    Args:
        worker: The loop thread; if it is not running, there is nothing to wait for.
        is_submitting: Returns whether a submission is still waiting for its response.

    Example:
        >>> wait_for_submissions(LoopThread(), lambda: True)
    """
    started = time.monotonic()
    while worker.is_running:
        # at least once: a job that was just started may not have run yet
        worker.start(asyncio.sleep(POLL_INTERVAL_S)).wait(EXIT_TIMEOUT_S)
        if not is_submitting() or time.monotonic() - started > EXIT_TIMEOUT_S:
            return


def _run_callbacks() -> None:
    for reference in _CALLBACKS:
        callback = reference()
        if callback is not None:
            callback()
