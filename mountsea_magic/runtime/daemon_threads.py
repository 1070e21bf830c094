"""Daemon threads: abandon C code that can't be interrupted instead of waiting for it."""

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
"""How often a waiting thread wakes up, in seconds; Windows needs it to notice an interrupt."""


class DaemonThreads(Executor):
    """An executor with one daemon thread per call; neither loop nor process joins it at exit.

    asyncio's default executor has few threads, and the process joins them all at exit.

    Example:
        >>> DaemonThreads().submit(sum, [1, 2]).result()
        3
    """

    def submit(self, work: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Run a function in a new thread.

        Args:
            work: The function.
            args: Its arguments.
            kwargs: Its keyword arguments.
        """
        future: Future[T] = Future()

        def run() -> None:
            if not future.set_running_or_notify_cancel():
                return
            try:
                result = work(*args, **kwargs)
            except BaseException as error:  # re-raised by `future.result()`
                future.set_exception(error)
            else:
                future.set_result(result)

        thread = threading.Thread(target=run, name="mountsea-image", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            run()  # since Python 3.12 no thread can start during interpreter shutdown
        return future


def run_in_thread(work: Callable[[threading.Event], T]) -> T:
    """Run a function in a new thread and wait for it; the wait can be interrupted at any moment.

    Args:
        work: The function; its argument is an event that is set if the caller stops waiting.

    Raises:
        KeyboardInterrupt: If the waiting thread was interrupted.
        Exception: Whatever the function raises.

    Example:
        >>> run_in_thread(lambda abandoned: abandoned.is_set())
        False
    """
    abandoned = threading.Event()
    # a lock, not `Future.result`: an interrupt can break a future's condition (see `Job.outcome`)
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


class Slots:
    """A semaphore whose waiters give up once they are abandoned; a forked child gets a new one.

    Args:
        count: How many holders there can be at once.

    Example:
        >>> with Slots(1).acquire(threading.Event()):
        ...     pass
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._reset()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._reset)

    def _reset(self) -> None:
        self._free = threading.Semaphore(self._count)

    @contextlib.contextmanager
    def acquire(self, abandoned: threading.Event) -> Iterator[None]:
        """Hold a slot within a block.

        Args:
            abandoned: Set when the result is no longer needed.

        Raises:
            Abandoned: If it was set before a slot was free.
        """
        while not self._free.acquire(timeout=TICK_S):
            if abandoned.is_set():
                raise Abandoned
        try:
            yield
        finally:
            self._free.release()


class Abandoned(Exception):
    """The caller no longer waits for the result."""
