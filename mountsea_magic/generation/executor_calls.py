"""Calls of an executor, awaited without blocking the event loop, until the executor breaks."""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from ..errors import without_frames
from ..runtime.daemon_threads import DaemonThreads
from ..runtime.text import sanitize_inline

GRACE_S = 1.0
"""How long calls may go on after the executor has broken, in seconds. Most fail at once; a process
pool crashes if one is cancelled before (CPython 3.11)."""

MAX_REASON = 200
"""How much of an executor's error is reported, in characters."""


class ExecutorBroken(Exception):
    """The executor has raised, and is used no more; the text says why."""


class ExecutorCalls:
    """The calls of one executor.

    Attributes:
        has_broken: Whether the executor has raised.

    Args:
        executor: Anything with the interface of `concurrent.futures.Executor`.

    Example:
        >>> asyncio.run(ExecutorCalls(DaemonThreads()).run(sum, [1, 2]))
        3
    """

    def __init__(self, executor: Any) -> None:
        self.has_broken = False
        self._executor = executor
        self._has_given_up = False
        self._waiting = set[asyncio.Event]()
        self._submitting = threading.Lock()

    async def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Run a function on the executor; a cancelled caller cancels it and does not wait.

        Args:
            function: A function that raises nothing.
            arguments: Its arguments.

        Raises:
            ExecutorBroken: Whatever the executor raises, or if it has broken meanwhile.
        """

        def submit() -> Any:
            # one at a time, since not every executor is safe for threads
            with self._submitting:
                return self._executor.submit(function, *arguments)

        submitting = DaemonThreads().submit(submit)
        try:
            return await self._end_of(await self._end_of(submitting))
        except ExecutorBroken:
            if not self.has_broken:
                asyncio.get_running_loop().call_later(GRACE_S, self._give_up)
            self.has_broken = True
            DaemonThreads().submit(_cancel, submitting)
            raise
        except asyncio.CancelledError:
            # on a thread: dask's `cancel` waits for its scheduler
            DaemonThreads().submit(_cancel, submitting)
            raise

    async def _end_of(self, future: Any) -> Any:
        """Wait for a future of any kind, and return its result.

        Once the executor has broken, do not wait long: dask's futures may never end when their
        client is closed.
        """
        loop, ended = asyncio.get_running_loop(), asyncio.Event()

        def end(_: object) -> None:
            with suppress(RuntimeError):  # the loop has ended meanwhile
                loop.call_soon_threadsafe(ended.set)

        self._waiting.add(ended)
        try:
            future.add_done_callback(end)
            if not self._has_given_up:
                await ended.wait()
        finally:
            self._waiting.discard(ended)
        if not future.done():
            raise ExecutorBroken("the executor has broken")
        if isinstance(future, concurrent.futures.Future):
            return _result_of(future)
        # a result that is fetched only now, as by the futures of dask's client
        return await loop.run_in_executor(DaemonThreads(), _result_of, future)

    def _give_up(self) -> None:
        self._has_given_up = True
        for ended in self._waiting:
            ended.set()


def _result_of(future: Any) -> Any:
    try:
        return future.result()
    except BaseException as error:  # also a worker's KeyboardInterrupt
        text = sanitize_inline(error, limit=MAX_REASON).rstrip(".")
        name = type(error).__name__
        without_frames(error)
    raise ExecutorBroken(f"the executor has broken ({name}{': ' if text else ''}{text})")


def _cancel(submitting: concurrent.futures.Future[Any]) -> None:
    with suppress(BaseException):  # nobody waits for it
        submitting.result().cancel()
