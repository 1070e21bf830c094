"""The loop thread: runs a coroutine for blocking code, and lets go of it on an interrupt.

One persistent daemon thread holds one event loop for the life of the process, so that connections
are reused from cell to cell. Run on the kernel's own loop instead, a cell would have to nest loops.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import os
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Generic, TypeVar

T = TypeVar("T")

TICK_S = 0.2
"""How often a blocked cell comes up for air, in seconds; Windows needs it to see an interrupt."""

DRAIN_S = 2.0
"""How long an interrupt waits for the coroutine's `finally` clauses, in seconds."""


class Job(Generic[T]):
    """A coroutine at work on the loop thread.

    Attributes:
        outcome: Its result or its exception, once all its `finally` clauses have run. A thread that
            can be interrupted waits by `wait`, not by this: an interrupt may hit a future's
            condition between its `acquire` and the block that would release it
            (python/cpython#74174), and then the loop thread would stand still for ever.
        ended: Whether there is an outcome.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> None:
        """Start nothing yet: whoever holds the job can cancel it before and while it starts."""
        self.outcome: concurrent.futures.Future[T] = concurrent.futures.Future()
        self.ended = False
        self._running = threading.Lock()
        self._running.acquire()
        self._loop = loop
        self._work = work
        self._task: asyncio.Task[T] | None = None
        self._cancelled = False

    def launch(self) -> None:
        """Start the coroutine in a copy of the caller's context, so that output finds its cell."""
        self._loop.call_soon_threadsafe(self._start, context=contextvars.copy_context())

    def cancel(self) -> None:
        """Ask the coroutine to stop; `outcome` says when it has. A second time changes nothing."""
        self._loop.call_soon_threadsafe(self._cancel)

    def wait(self, timeout_s: float) -> bool:
        """Wait for the outcome, interruptible at any moment.

        Args:
            timeout_s: How long at most, in seconds.

        Returns:
            Whether it is there.
        """
        # should an interrupt leave the lock acquired, the flag tells all the same
        if not self.ended and self._running.acquire(timeout=max(0.0, timeout_s)):
            self._running.release()
        return self.ended

    def _start(self) -> None:
        """Runs on the loop thread, where alone a task can be made."""
        if not self._cancelled:
            self._task = self._loop.create_task(self._contained())
            self._task.add_done_callback(self._finish)

    def _cancel(self) -> None:
        """Runs on the loop thread; a job that has not started by then never will.

        Asked again, it would disturb what its `finally` clauses await.
        """
        if self._cancelled:
            return
        self._cancelled = True
        if self._task is not None:
            self._task.cancel()
        else:
            self._work.close()
            self.outcome.cancel()
            self.outcome.set_running_or_notify_cancel()
            self._end()

    async def _contained(self) -> T:
        """An exit would end the loop thread, and with it every later cell."""
        try:
            return await self._work
        except (SystemExit, KeyboardInterrupt) as error:
            raise RuntimeError("a coroutine on the loop thread tried to end it") from error

    def _finish(self, task: asyncio.Task[T]) -> None:
        """Hand the outcome over; a cancelled task has none but its cancellation."""
        if task.cancelled():
            self._work.close()  # it may have been cancelled before its first step
            self.outcome.cancel()
            self.outcome.set_running_or_notify_cancel()
        elif (error := task.exception()) is not None:
            self.outcome.set_exception(error)
        else:
            self.outcome.set_result(task.result())
        self._end()

    def _end(self) -> None:
        """Only now: whoever was told of the end asks for the outcome."""
        self.ended = True
        self._running.release()


class LoopThread:
    """The loop thread, started when it is first needed, and anew in a forked process.

    Example:
        >>> async def answer() -> int:
        ...     return 42
        >>> LoopThread().run(answer())
        42
    """

    def __init__(self) -> None:
        """Start nothing yet."""
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = 0

    @property
    def is_running(self) -> bool:
        """Whether the thread is there, in this very process."""
        return self._loop is not None and self._pid == os.getpid()

    def start(self, work: Coroutine[Any, Any, T]) -> Job[T]:
        """Start a coroutine on the loop thread and return at once."""
        job = Job(self._running_loop(), work)
        job.launch()
        return job

    def run(self, work: Coroutine[Any, Any, T], *, tick: Callable[[], None] | None = None) -> T:
        """Run a coroutine to its end while this thread waits.

        Args:
            work: The coroutine.
            tick: Called on this thread about every `TICK_S` seconds while it runs.

        Returns:
            What the coroutine returns.

        Raises:
            KeyboardInterrupt: If this thread was interrupted; see `join`.
            Exception: What the coroutine raises.
        """
        job = self.prepare(work)
        self.join([job], tick=tick)
        return job.outcome.result()

    def prepare(self, work: Coroutine[Any, Any, T]) -> Job[T]:
        """Make a job of a coroutine, to be launched by `join`, by `follow` or by itself."""
        return Job(self._running_loop(), work)

    def join(self, jobs: Sequence[Job[Any]], *, tick: Callable[[], None] | None = None) -> None:
        """Launch jobs, and wait on this thread until all have ended, in whatever way.

        Args:
            jobs: From `prepare`.
            tick: Called on this thread about every `TICK_S` seconds while they run.

        Raises:
            KeyboardInterrupt: If this thread was interrupted; the jobs are then cancelled, and
                their `finally` clauses have run.
        """
        try:
            for job in jobs:
                job.launch()
            for job in jobs:
                while not job.wait(TICK_S):
                    if tick is not None:
                        tick()
        except BaseException:
            for job in jobs:
                if not job.ended:
                    job.cancel()
            deadline = time.monotonic() + DRAIN_S
            for job in jobs:
                job.wait(deadline - time.monotonic())
            raise

    async def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop thread, awaited from any other event loop."""
        job = self.prepare(work)
        await self.follow([job])
        return job.outcome.result()

    async def follow(self, jobs: Sequence[Job[Any]]) -> None:
        """Launch jobs, and await from any other event loop that all have ended.

        Args:
            jobs: From `prepare`; whoever cancels this cancels them.
        """
        for job in jobs:
            job.launch()
        outcomes = [asyncio.wrap_future(job.outcome) for job in jobs]
        try:
            await asyncio.wait(outcomes)
        except asyncio.CancelledError:
            for job in jobs:
                job.cancel()
            await asyncio.wait(outcomes, timeout=DRAIN_S)
            raise
        finally:
            for outcome in outcomes:
                if outcome.done() and not outcome.cancelled():
                    outcome.exception()  # whoever made the job asks for it there

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        """Threads do not survive a fork, so the process's id is part of the question."""
        if self._loop is not None and self.is_running:
            return self._loop  # without the lock, which an interrupt may leave taken
        with self._lock:
            if self._loop is None or not self.is_running:
                loop = asyncio.new_event_loop()
                if (3, 12) <= sys.version_info < (3, 12, 2):
                    # they start no thread once the process ends (python/cpython#113964), and a
                    # background cell's request may still have to be journaled and sent by then
                    loop.set_default_executor(_started_threads())
                threading.Thread(target=loop.run_forever, name="mountsea-loop", daemon=True).start()
                # an interrupt before this line leaves an idle loop, not one that nobody runs
                self._loop, self._pid = loop, os.getpid()
            return self._loop


def _started_threads(count: int = 8) -> concurrent.futures.ThreadPoolExecutor:
    """Return a pool that need not start a thread any more."""
    # in time, since an interrupt may keep the last of them from coming
    all_started = threading.Barrier(count, timeout=1.0)
    threads = concurrent.futures.ThreadPoolExecutor(count)
    try:
        for _ in range(count):
            threads.submit(all_started.wait)
    except BaseException:
        all_started.abort()
        raise
    return threads


def run_nested(work: Coroutine[Any, Any, T], *, tick: Callable[[], None] | None = None) -> T:
    """Run a coroutine on the loop that already runs in this thread, by nesting it.

    The user's own asyncio tasks go on meanwhile. `nest-asyncio2` patches the loop for good.

    Args:
        work: The coroutine.
        tick: Called about every `TICK_S` seconds while it runs.

    Raises:
        KeyboardInterrupt: If interrupted; the coroutine is then cancelled and drained.
        RuntimeError: If no loop runs in this thread.
    """
    import nest_asyncio2

    loop = asyncio.get_running_loop()
    nest_asyncio2.apply(loop)
    task = loop.create_task(work)
    ticker = loop.create_task(_tick_on(tick)) if tick is not None else None
    try:
        return loop.run_until_complete(task)
    except BaseException:
        if not task.done():
            task.cancel()
            loop.run_until_complete(asyncio.wait([task], timeout=DRAIN_S))
        raise
    finally:
        if ticker is not None:
            ticker.cancel()


async def _tick_on(tick: Callable[[], None]) -> None:
    """There is no thread left to tick on: the loop itself must."""
    while True:
        await asyncio.sleep(TICK_S)
        tick()
