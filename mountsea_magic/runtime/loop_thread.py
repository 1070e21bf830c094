"""The loop thread: runs coroutines for blocking code, and cancels them on an interrupt.

One daemon thread runs one event loop for the life of the process, so that connections are reused
from cell to cell. On the kernel's own loop a cell would have to nest event loops.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextvars
import os
import sys
import threading
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, Generic, TypeVar

T = TypeVar("T")

TICK_S = 0.2
"""How often a blocked cell wakes up, in seconds; Windows needs it to notice an interrupt."""

DRAIN_TIMEOUT_S = 2.0
"""How long an interrupt waits for the `finally` clauses of the coroutines, in seconds."""


class Job(Generic[T]):
    """A coroutine on the loop thread; it can be cancelled before, while and after it starts.

    Args:
        loop: The loop thread's event loop.
        work: The coroutine, which `launch` starts.

    Attributes:
        outcome: Its result or exception, set after all its `finally` clauses have run. In a thread
            that can be interrupted use `wait`, not this: an interrupt may hit the future's
            condition between `acquire` and the block that releases it (python/cpython#74174), and
            the loop thread would then hang forever.
        ended: Whether there is an outcome.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, work: Coroutine[Any, Any, T]) -> None:
        self.outcome: concurrent.futures.Future[T] = concurrent.futures.Future()
        self.ended = False
        self._running = threading.Lock()
        self._running.acquire()
        self._loop = loop
        self._work = work
        self._task: asyncio.Task[T] | None = None
        self._cancelled = False

    def launch(self) -> None:
        """Start the coroutine in a copy of the caller's context: output goes to the right cell."""
        self._loop.call_soon_threadsafe(self._start, context=contextvars.copy_context())

    def cancel(self) -> None:
        """Cancel the coroutine; `outcome` is set once it has ended. A second call does nothing."""
        self._loop.call_soon_threadsafe(self._cancel)

    def wait(self, timeout_s: float) -> bool:
        """Wait for the outcome; the wait can be interrupted at any moment.

        Args:
            timeout_s: The longest wait, in seconds.

        Returns:
            Whether there is an outcome.
        """
        # the flag is right even if an interrupt leaves the lock acquired
        if not self.ended and self._running.acquire(timeout=max(0.0, timeout_s)):
            self._running.release()
        return self.ended

    def _start(self) -> None:
        """Create the task; runs on the loop thread."""
        if not self._cancelled:
            self._task = self._loop.create_task(self._contained())
            self._task.add_done_callback(self._finish)

    def _cancel(self) -> None:
        """Cancel the task, or keep it from starting; runs on the loop thread.

        Only once: a second cancel would interrupt the `finally` clauses.
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
        """Convert SystemExit and KeyboardInterrupt, which would end the loop thread."""
        try:
            return await self._work
        except (SystemExit, KeyboardInterrupt) as error:
            raise RuntimeError(f"a coroutine raised {type(error).__name__}") from error

    def _finish(self, task: asyncio.Task[T]) -> None:
        """Copy the task's result, exception or cancellation to `outcome`."""
        if task.cancelled():
            self._work.close()  # in case it was cancelled before its first step
            self.outcome.cancel()
            self.outcome.set_running_or_notify_cancel()
        elif (error := task.exception()) is not None:
            self.outcome.set_exception(error)
        else:
            self.outcome.set_result(task.result())
        self._end()

    def _end(self) -> None:
        """Wake up waiters; must come after `outcome` is set."""
        self.ended = True
        self._running.release()


def cancel_all(jobs: Iterable[Job[Any]]) -> None:
    """Cancel jobs in one step of their loop: what one of them frees, no other takes meanwhile.

    Args:
        jobs: Jobs of one loop thread.
    """
    jobs = list(jobs)

    def cancel() -> None:
        for job in jobs:
            job._cancel()

    if jobs:
        jobs[0]._loop.call_soon_threadsafe(cancel)


class LoopThread:
    """The loop thread, started on first use, and again in a forked child.

    Example:
        >>> async def work() -> int:
        ...     return 42
        >>> LoopThread().run(work())
        42
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._pid = 0

    @property
    def is_running(self) -> bool:
        """Whether the thread runs in this process; after a fork it does not."""
        return self._loop is not None and self._pid == os.getpid()

    def start(self, work: Coroutine[Any, Any, T]) -> Job[T]:
        """Start a coroutine on the loop thread and return immediately."""
        job = Job(self._running_loop(), work)
        job.launch()
        return job

    def run(self, work: Coroutine[Any, Any, T], *, tick: Callable[[], None] | None = None) -> T:
        """Run a coroutine on the loop thread, and block until it has ended.

        Args:
            work: The coroutine.
            tick: Called on the calling thread about every `TICK_S` seconds while it runs.

        Returns:
            The coroutine's result.

        Raises:
            KeyboardInterrupt: If the calling thread was interrupted; see `join`.
            Exception: Whatever the coroutine raises.
        """
        if self.is_running and asyncio._get_running_loop() is self._loop:
            work.close()
            raise RuntimeError("the loop thread would wait for itself")
        job = self.prepare(work)
        self.join([job], tick=tick)
        return job.outcome.result()

    def prepare(self, work: Coroutine[Any, Any, T]) -> Job[T]:
        """Create a job that is started by `join`, `join_async` or `Job.launch`."""
        return Job(self._running_loop(), work)

    def join(self, jobs: Sequence[Job[Any]], *, tick: Callable[[], None] | None = None) -> None:
        """Launch jobs, and block until all have ended, successfully or not.

        Args:
            jobs: Jobs from `prepare`.
            tick: Called on the calling thread about every `TICK_S` seconds while they run.

        Raises:
            KeyboardInterrupt: If the calling thread was interrupted; the jobs are then cancelled,
                and have up to `DRAIN_TIMEOUT_S` seconds to run their `finally` clauses.
        """
        try:
            for job in jobs:
                job.launch()
            for job in jobs:
                while not job.wait(TICK_S):
                    if tick is not None:
                        tick()
        except BaseException:
            cancel_all(job for job in jobs if not job.ended)
            deadline = time.monotonic() + DRAIN_TIMEOUT_S
            for job in jobs:
                job.wait(deadline - time.monotonic())
            raise

    async def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop thread, and await its result from another event loop."""
        job = self.prepare(work)
        await self.join_async([job])
        return job.outcome.result()

    async def join_async(self, jobs: Sequence[Job[Any]]) -> None:
        """Launch jobs, and await from another event loop until all have ended.

        Args:
            jobs: Jobs from `prepare`; cancelling this coroutine cancels them.
        """
        for job in jobs:
            job.launch()
        outcomes = [asyncio.wrap_future(job.outcome) for job in jobs]
        try:
            await asyncio.wait(outcomes)
        except asyncio.CancelledError:
            cancel_all(jobs)
            await asyncio.wait(outcomes, timeout=DRAIN_TIMEOUT_S)
            raise
        finally:
            for outcome in outcomes:
                if outcome.done() and not outcome.cancelled():
                    outcome.exception()  # consume it, or asyncio logs "never retrieved"

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        """The event loop, whose thread is started if it does not run in this process yet."""
        if self._loop is not None and self.is_running:
            return self._loop  # without the lock, which an interrupt may leave acquired
        with self._lock:
            if self._loop is None or not self.is_running:
                loop = asyncio.new_event_loop()
                if (3, 12) <= sys.version_info < (3, 12, 2):
                    # these can't start threads during shutdown (python/cpython#113964), when a
                    # background cell's request may still have to be journaled and sent
                    loop.set_default_executor(_started_threads())
                threading.Thread(target=loop.run_forever, name="mountsea-loop", daemon=True).start()
                # only now: an interrupt before this line must not leave a loop without its thread
                self._loop, self._pid = loop, os.getpid()
            return self._loop


def _started_threads(count: int = 8) -> concurrent.futures.ThreadPoolExecutor:
    """Return a pool whose threads have all been started."""
    # with a timeout, since an interrupt may keep the last thread from starting
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
    """Run a coroutine on the event loop that already runs in this thread, by nesting it.

    Meanwhile the user's own asyncio tasks go on. `nest-asyncio2` patches the loop permanently.

    Args:
        work: The coroutine.
        tick: Called about every `TICK_S` seconds while it runs.

    Raises:
        KeyboardInterrupt: If interrupted; the coroutine is cancelled, and has up to
            `DRAIN_TIMEOUT_S` seconds to run its `finally` clauses.
        RuntimeError: If no event loop runs in this thread.
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
            loop.run_until_complete(asyncio.wait([task], timeout=DRAIN_TIMEOUT_S))
        raise
    finally:
        if ticker is not None:
            ticker.cancel()


async def _tick_on(tick: Callable[[], None]) -> None:
    """Call `tick` from the loop, since its thread is the only one."""
    while True:
        await asyncio.sleep(TICK_S)
        tick()
