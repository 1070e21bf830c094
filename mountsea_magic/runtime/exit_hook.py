"""Leaving: a process that ends waits a moment for the orders that it has begun."""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures.thread  # noqa: F401  # else its pools would be closed before we are asked
import threading
import time
import weakref
from collections.abc import Callable

from .loop_thread import LoopThread

EXIT_S = 3.0
"""How long it waits at most, in seconds."""

ROUND_S = 0.02
"""How long it waits before it asks again, in seconds."""

_WAITS: list[weakref.WeakMethod[Callable[[], None]]] = []


def before_leaving(wait: Callable[[], None]) -> None:
    """Have a method called once as the process ends, while its threads can still work.

    Args:
        wait: A bound method; its object is not kept alive for it.
    """
    if not _WAITS:
        # `atexit` comes after the thread pools are closed, and orders are written down by them
        getattr(threading, "_register_atexit", atexit.register)(_leave)
    if not any(reference() == wait for reference in _WAITS):
        _WAITS.append(weakref.WeakMethod(wait))


def wait_for_submissions(worker: LoopThread, begun: Callable[[], bool]) -> None:
    """Wait until the Hub has answered what was ordered.

    A script that was interrupted ends at once, and the Hub's answer would find nobody. A notebook
    that ends with a background cell ends before its order has left.

    Args:
        worker: The loop thread; if it does not run, there is nothing to wait for.
        begun: Says whether an order has begun whose answer is not there yet.

    Example:
        >>> wait_for_submissions(LoopThread(), lambda: True)
    """
    started = time.monotonic()
    while worker.is_running:
        # one round in any case: the thread may not have come to a job that was just started
        worker.start(asyncio.sleep(ROUND_S)).wait(EXIT_S)
        if not begun() or time.monotonic() - started > EXIT_S:
            return


def _leave() -> None:
    """Those that are gone have nothing to wait for."""
    for reference in _WAITS:
        wait = reference()
        if wait is not None:
            wait()
