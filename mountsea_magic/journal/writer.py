"""Group commit: one thread writes what many coroutines have queued, in one transaction."""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from .database import JournalDatabase, JournalError, error_of_one_job

if TYPE_CHECKING:
    import sqlite3

T = TypeVar("T")

IDLE_S = 0.25
"""When nothing was queued for this long, in seconds, the file is closed and the thread ends."""


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    """A function to call with a connection, and the future that waits for it."""

    work: Callable[[sqlite3.Connection], Any]
    done: asyncio.Future[Any]
    loop: asyncio.AbstractEventLoop
    writes: bool


class JournalWriter:
    """Runs functions on one thread with one open connection, all that are queued at once.

    The thread runs only while there is something to do. No connection is open during a fork.

    Args:
        database: The file.

    Example:
        >>> async def count(writer: JournalWriter) -> int:
        ...     found = await writer.run(lambda db: db.execute("SELECT COUNT(*) FROM orders"))
        ...     return int(found.fetchone()[0])
    """

    def __init__(self, database: JournalDatabase) -> None:
        self._database = database
        self._jobs: deque[_Job] = deque()
        self._wake: SimpleQueue[None] = SimpleQueue()
        self._is_serving = False
        self._guard = threading.Lock()  # held while queueing, and while the thread decides to end
        self._lock = threading.Lock()  # held while the connection is used

    async def run(self, work: Callable[[sqlite3.Connection], T], *, writes: bool = True) -> T:
        """Call a function within a transaction on the thread; it is called even if cancelled.

        Args:
            work: Called with the connection, maybe more than once: the file may be replaced.
            writes: Whether it writes.

        Returns:
            Its result, after the commit.

        Raises:
            JournalError: If that fails, without waiting for locks of other processes.
        """
        result: T = await self.submit(work, writes=writes)
        return result

    def submit(
        self, work: Callable[[sqlite3.Connection], object], *, writes: bool = True
    ) -> asyncio.Future[Any]:
        """Queue a function as `run` does, in a coroutine that does not wait for it.

        Args:
            work: See `run`.
            writes: See `run`.
        """
        loop = asyncio.get_running_loop()
        job = _Job(work, loop.create_future(), loop, writes)
        with self._guard:
            self._jobs.append(job)
            starts, self._is_serving = not self._is_serving, True
        if starts:
            self._start()
        else:
            self._wake.put(None)
        return job.done

    def flush(self) -> None:
        """Run what is queued on this thread, and close the file."""
        self._run_queued()
        with self._lock:
            self._database.close()

    def pause(self) -> None:
        """Close the file before a fork, and keep it closed: the child must have no connection."""
        self._lock.acquire()
        self._database.close()

    def proceed(self) -> None:
        """Go on after a fork."""
        self._lock.release()

    def forget(self) -> None:
        """In a forked child, forget the parent's thread and jobs."""
        self._jobs, self._wake = deque(), SimpleQueue()
        self._is_serving = False
        self._guard, self._lock = threading.Lock(), threading.Lock()

    def _start(self) -> None:
        _SERVING.add(self)
        try:
            threading.Thread(
                target=self._serve, args=(IDLE_S,), name="mountsea-journal", daemon=True
            ).start()
        except RuntimeError:  # since Python 3.12 no thread can start during interpreter shutdown
            self._serve(0.0)

    def _serve(self, idle_s: float) -> None:
        """Run what is queued until nothing was for a while."""
        while True:
            self._run_queued()
            try:
                self._wake.get(timeout=idle_s)
            except Empty:
                self.flush()
                with self._guard:
                    if not self._jobs:
                        self._is_serving = False
                        _SERVING.discard(self)
                        return

    def _run_queued(self) -> None:
        """Run all jobs in one transaction, and tell each loop once."""
        with self._lock:
            jobs = [self._jobs.popleft() for _ in range(len(self._jobs))]
            if not jobs:
                return
            outcomes = self._outcomes(jobs)
        for loop in {job.loop for job in jobs}:
            own = [(job.done, outcome) for job, outcome in outcomes if job.loop is loop]
            with suppress(RuntimeError):  # the loop was closed, so nobody waits
                loop.call_soon_threadsafe(_publish, own)

    def _outcomes(self, jobs: Sequence[_Job]) -> list[tuple[_Job, Any]]:
        """Each job's result or exception."""
        try:
            return self._database.use_open(lambda db: _transaction(db, jobs))
        except JournalError as error:  # one each: a traceback is attached where it is raised
            return [(job, JournalError(str(error), busy=error.busy)) for job in jobs]
        except Exception as error:  # nobody may wait forever
            return [(job, error) for job in jobs]


_SERVING: set[JournalWriter] = set()
"""The writers that may have a file open, or jobs."""

_PAUSED: list[JournalWriter] = []
"""The writers that wait for the end of a fork."""


def _transaction(db: sqlite3.Connection, jobs: Sequence[_Job]) -> list[tuple[_Job, Any]]:
    """Run the jobs and commit; an error that concerns one job alone undoes only that one."""
    outcomes: list[tuple[_Job, Any]] = []
    # readers need no lock on a file that another kernel writes
    db.execute("BEGIN IMMEDIATE" if any(job.writes for job in jobs) else "BEGIN")
    try:
        for job in jobs:
            db.execute("SAVEPOINT job")
            try:
                outcomes.append((job, job.work(db)))
            except Exception as error:
                own = error_of_one_job(error)
                if own is None:
                    raise
                db.execute("ROLLBACK TO job")
                outcomes.append((job, own))
            db.execute("RELEASE job")
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
    return outcomes


def _publish(outcomes: Sequence[tuple[asyncio.Future[Any], Any]]) -> None:
    """Set the results of the futures of this loop."""
    for done, outcome in outcomes:
        if done.done():  # cancelled
            continue
        if isinstance(outcome, BaseException):
            done.set_exception(outcome)
        else:
            done.set_result(outcome)


def _flush_all() -> None:
    """Before the process exits: a cancelled coroutine's row may still be queued."""
    for writer in list(_SERVING):
        writer.flush()


def _pause_all() -> None:
    for writer in list(_SERVING):
        writer.pause()
        _PAUSED.append(writer)


def _proceed() -> None:
    while _PAUSED:
        _PAUSED.pop().proceed()


def _begin_in_child() -> None:
    """The parent runs its jobs; the child has none of its threads."""
    while _PAUSED:
        _PAUSED.pop().forget()
    _SERVING.clear()


atexit.register(_flush_all)
if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(before=_pause_all, after_in_parent=_proceed, after_in_child=_begin_in_child)
