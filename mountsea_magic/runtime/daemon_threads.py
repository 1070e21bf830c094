"""Daemon threads: work in C that nothing can interrupt is left behind, not waited for."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, Future
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")

TICK_S = 0.2
"""How often a waiting thread comes up for air, in seconds; Windows needs it to see an interrupt."""


class DaemonThreads(Executor):
    """An executor whose threads nobody joins: neither a loop's end nor the process's waits for one.

    asyncio's own pool has few threads, and a process that ends joins them all.

    Example:
        >>> DaemonThreads().submit(sum, [1, 2]).result()
        3
    """

    def submit(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run a function in a thread of its own.

        Args:
            work: The function.
            args: Its arguments.
            kwargs: Its named arguments.
        """
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = work(*args, **kwargs)
            except BaseException as error:  # whoever waits for the future gets it
                future.set_exception(error)
            else:
                future.set_result(result)

        thread = threading.Thread(target=run, name="mountsea-image", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            run()  # from 3.12 on a process that ends starts no thread
        return future


def run_apart(work: Callable[[threading.Event], T]) -> T:
    """Run a function in a thread of its own, and wait for it, interruptible at any moment.

    Args:
        work: The function; it is given an event that is set once nobody waits for it any more.

    Raises:
        KeyboardInterrupt: If this thread was interrupted.
        Exception: What the function raises.

    Example:
        >>> run_apart(lambda abandoned: abandoned.is_set())
        False
    """
    abandoned = threading.Event()
    # a plain lock, since an interrupt may hit a future's condition (see `worker.Job.outcome`)
    running = threading.Lock()
    running.acquire()
    ended: list[Future[T]] = []

    def end(future: Future[T]) -> None:
        ended.append(future)
        running.release()

    try:
        DaemonThreads().submit(work, abandoned).add_done_callback(end)
        while not ended:
            running.acquire(timeout=TICK_S)
    except BaseException:
        abandoned.set()
        raise
    return ended[0].result()


class Turns:
    """Turns of which only so many are taken at once; who is abandoned stops waiting for one.

    Example:
        >>> with Turns(1).one(threading.Event()):
        ...     pass
    """

    def __init__(self, count: int) -> None:
        """Have so many; a forked process has all of them again.

        Args:
            count: How many are taken at once.
        """
        self._count = count
        self._renew()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._renew)

    def _renew(self) -> None:
        self._free = threading.Semaphore(self._count)

    @contextlib.contextmanager
    def one(self, abandoned: threading.Event) -> Iterator[None]:
        """Take one for the length of a block.

        Args:
            abandoned: Set once nobody needs the result any more.

        Raises:
            Abandoned: If it was set before there was a turn.
        """
        while not self._free.acquire(timeout=TICK_S):
            if abandoned.is_set():
                raise Abandoned
        try:
            yield
        finally:
            self._free.release()


class Abandoned(Exception):
    """Nobody waits for the result any more."""
