"""The journal: reads and writes entries, shared by several kernels and never fatal."""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ..hub.status import CLOSED, Status
from ..request.request import ImageRequest
from ..runtime.clock import Stopwatch
from ..runtime.process_lock import has_ended, own_token
from ..runtime.rng import RNG
from .claims import Claim, ClaimOutcome, claim, count_images, find_by_key, withdraw
from .database import JournalDatabase, JournalError
from .entry import Entry, plausible_seconds
from .rows import encoded, select, upsert
from .search import search
from .writer import JournalWriter

if TYPE_CHECKING:
    import sqlite3

T = TypeVar("T")

LOCK_TIMEOUT_S = 5.0
"""How long to wait for locks of other kernels, in seconds."""

MAX_DURATIONS = 50
"""How many durations an estimate is made of."""

_WORKLOAD_PARAMETERS = (
    *("num_images", "resolution", "image_size", "quality"),
    *("thinking_level", "enable_web_search"),
)
"""The parameters that determine how long a task takes."""

MAX_READERS = 4
"""How many threads may read at once: each has up to three files open."""

SHORT_LOCK_TIMEOUT_S = 0.05
"""The timeout after the first one has passed: a locked journal must not slow down every step."""

WEEK_S = 7 * 24 * 3600.0
"""How long a submission without a response is reported, in seconds."""


class Journal:
    """The entries of all kernels that share a data folder.

    Problems with the file never stop a generation; `trouble` returns them.

    Args:
        path: The SQLite file; it is opened on first use.

    Example:
        >>> journal = Journal(Path("journal.sqlite"))
        >>> journal.write(Entry.begin("demo:", task_id="hub-1"))  # doctest: +SKIP
        >>> journal.find("hub-1").hub  # doctest: +SKIP
        'demo:'
    """

    def __init__(self, path: Path) -> None:
        self._database = JournalDatabase(path)
        self._timeout_s = LOCK_TIMEOUT_S
        self._readers = threading.BoundedSemaphore(MAX_READERS)
        self._writer = JournalWriter(self._database)
        self._waiting = 0
        self._reported: set[str] = set()
        self._unreported: list[str] = []

    def write(self, entry: Entry) -> None:
        """Insert or update an entry; one without images never overwrites one with images.

        Raises:
            JournalError: If that fails, without waiting for locks of other kernels.
        """
        self._database.use(lambda db: upsert(db, entry))

    async def save(self, entry: Entry) -> None:
        """Write an entry, waiting for other kernels; `trouble` returns what went wrong.

        It returns after the commit. The entry is written even if this coroutine is cancelled,
        unless another kernel has locked the journal.
        """
        try:
            await self._run(lambda db: upsert(db, entry))
        except JournalError as error:
            self._report_error(error)

    async def claim(
        self, entry: Entry, *, fresh: bool = False, image_limit: int | None = None
    ) -> Claim:
        """Decide in one transaction whether a request may be submitted, and write its entry if so.

        To be called before each POST: after one that was refused, another process may have taken
        the key. If the caller is cancelled, the entry becomes ``unsent``.

        Args:
            entry: The request's entry, with its idempotency key, if it has one.
            fresh: Submit it whatever is there under its key. Not for a retry, which must not take
                the key back from another process.
            image_limit: How many images may be ordered at its Hub in a day, or None.

        Returns:
            What to do; its entry is the one to go on with.

        Raises:
            JournalError: If the journal can't be used, and a key or limit depends on it.
        """
        entry = replace(entry, status=Status.SUBMITTING, error="", updated=time.time())

        def work(db: sqlite3.Connection) -> Claim:
            owner = None if entry.idempotency_key is None else own_token(self._database.path.parent)
            return claim(
                db,
                replace(entry, owner=owner),
                self._has_ended,
                fresh=fresh,
                image_limit=image_limit,
            )

        try:
            if entry.idempotency_key is not None or image_limit is not None:
                return await self._run(work)
            await self.save(entry)
        except asyncio.CancelledError:
            self.withdraw(entry)
            raise
        return Claim(ClaimOutcome.SUBMIT, entry)

    def withdraw(self, entry: Entry) -> None:
        """Note, without waiting, that nothing was sent for an entry that is ``submitting``.

        If another kernel has just locked the journal, the entry becomes uncertain instead.
        """
        noted = self._writer.submit(lambda db: withdraw(db, entry))
        # consume the exception, or asyncio logs "never retrieved"
        noted.add_done_callback(lambda done: done.cancelled() or done.exception())

    async def find_by_key(self, hub: str, key: str) -> Entry | None:
        """Return the entry that has an idempotency key at a Hub, or None.

        Its state is ``uncertain`` if nobody waits for its response any more.

        Raises:
            JournalError: If the journal can't be used.
        """
        return await self._run(lambda db: find_by_key(db, hub, key, self._has_ended), writes=False)

    def count_images(self, hub: str, since: float) -> int:
        """Return how many images of submissions at a Hub were or may be paid.

        Args:
            hub: The Hub's base URL.
            since: Count submissions after this time, in seconds since 1970.
        """
        return self._read(lambda db: count_images(db, hub, since)) or 0

    def _has_ended(self, owner: str) -> bool:
        return has_ended(self._database.path.parent, owner)

    async def _run(self, work: Callable[[sqlite3.Connection], T], *, writes: bool = True) -> T:
        """Call a function in a transaction on the journal's thread, waiting for other kernels.

        Raises:
            JournalError: If that fails.
        """
        clock = Stopwatch()
        while True:
            try:
                result = await self._writer.run(work, writes=writes)
            except JournalError as error:
                if not error.busy:
                    raise
                if clock.elapsed_s > self._timeout_s:
                    self._timeout_s = SHORT_LOCK_TIMEOUT_S
                    raise
            else:
                self._timeout_s = LOCK_TIMEOUT_S
                self._report_damage()
                return result
            self._waiting += 1
            try:
                # the more wait, the less often each tries: together about a thousand times a second
                await asyncio.sleep(RNG.uniform(0.002, 0.01) * (1 + self._waiting / 8))
            finally:
                self._waiting -= 1

    def trouble(self) -> list[str]:
        """Return the problems since the last call, each of them once per process."""
        problems, self._unreported = self._unreported, []
        return problems

    def find(self, task_id: str, *, hub: str | None = None) -> Entry | None:
        """Return the newest entry of a task, preferring the given Hub, or None."""
        return next(iter(self._select(*_of_task(task_id, hub))), None)

    async def afind(self, task_id: str, *, hub: str | None = None) -> Entry | None:
        """Do as `find`, on the journal's thread."""
        return next(iter(await self._aselect(*_of_task(task_id, hub))), None)

    def open_entries(self) -> list[Entry]:
        """Return the entries whose task may still produce images, oldest first."""
        marks = ", ".join("?" * len(CLOSED))
        where = f"task_id IS NOT NULL AND files = '[]' AND state NOT IN ({marks}) ORDER BY created"
        return self._select(where, *CLOSED)

    def unanswered(self) -> list[Entry]:
        """Return the submissions of the last week without a response, oldest first."""
        where = "task_id IS NULL AND state IN (?, ?) AND created > ? ORDER BY created"
        since = time.time() - WEEK_S
        return self._select(where, Status.UNCERTAIN, Status.SUBMITTING, since)

    def find_identical(self, hub: str, fingerprint: str) -> list[Entry]:
        """Return the completed entries of identical requests at the same Hub, newest first."""
        return self._select(_IDENTICAL, fingerprint, hub)

    async def afind_identical(self, hub: str, fingerprint: str) -> list[Entry]:
        """Do as `find_identical`, on the journal's thread."""
        return await self._aselect(_IDENTICAL, fingerprint, hub)

    def durations(self, hub: str, request: ImageRequest) -> list[float]:
        """Return how long similar tasks took, in seconds, newest first, at most 50.

        Args:
            hub: The Hub's base URL.
            request: The request; tasks of the same model, image count and size are similar.
        """
        return self._read(lambda db: _durations(db, hub, request)) or []

    async def adurations(self, hub: str, request: ImageRequest) -> list[float]:
        """Do as `durations`, on the journal's thread."""
        return await self._aread(lambda db: _durations(db, hub, request)) or []

    def search(self, text: str = "", *, limit: int = 20) -> list[Entry]:
        """Return the entries that contain a text in prompt, id, model, status or Hub, newest first.

        Args:
            text: The text to find, ignoring case; an empty text finds all entries.
            limit: The maximum number of entries.
        """
        return self._read(lambda db: search(db, text, limit=limit, now=time.time())) or []

    def _select(self, where: str, *values: Any) -> list[Entry]:
        return self._read(lambda db: select(db, where, values)) or []

    async def _aselect(self, where: str, *values: Any) -> list[Entry]:
        return await self._aread(lambda db: select(db, where, values)) or []

    def _read(self, query: Callable[[sqlite3.Connection], T]) -> T | None:
        """Run a query; None, with a notice, if the journal can't be read."""
        try:
            with self._readers:
                found = self._database.use(query, timeout_s=self._timeout_s)
        except JournalError as error:
            self._report_error(error)
            return None
        self._report_damage()
        return found

    async def _aread(self, query: Callable[[sqlite3.Connection], T]) -> T | None:
        """As `_read`, with the open connection."""
        try:
            found = await self._writer.run(query, writes=False)
        except JournalError:  # wait for other kernels, and report what is wrong
            return await asyncio.to_thread(self._read, query)
        self._report_damage()
        return found

    def _report_error(self, error: JournalError) -> None:
        """Report an error, once for all prompts of a cell."""
        if error.busy:
            self._timeout_s = SHORT_LOCK_TIMEOUT_S
        self._report(
            f"the journal {self._database.path} can't be used ({error}): tasks are not recorded, "
            "so note the task ids that are shown"
        )

    def _report_damage(self) -> None:
        if self._database.set_aside is not None:
            self._report(
                f"the journal {self._database.path} was damaged: it was renamed to "
                f"{self._database.set_aside.name}, and a new one was created"
            )

    def _report(self, text: str) -> None:
        if text not in self._reported:
            self._reported.add(text)
            self._unreported.append(text)


# the plus hides the Hub from SQLite, which would look for it and read all rows that have it
_IDENTICAL = "fingerprint = ? AND +hub = ? AND files <> '[]' ORDER BY created DESC LIMIT 10"


def _of_task(task_id: str, hub: str | None) -> tuple[str, str, str | None]:
    return "task_id = ? ORDER BY hub = ? DESC, created DESC", task_id, hub


def _durations(db: sqlite3.Connection, hub: str, request: ImageRequest) -> list[float]:
    """Parse no more than needed: this runs for each task."""
    statement = (
        "SELECT input, COALESCE(duration_s, elapsed_s) AS seconds FROM orders "
        "WHERE hub = ? AND model = ? AND seconds > 0 ORDER BY created DESC LIMIT 200"
    )
    wanted, durations = _workload(request.input), list[float]()
    for text, value in db.execute(statement, encoded((hub, request.model))):
        with suppress(ValueError, TypeError, RecursionError):  # other programs may write
            seconds = plausible_seconds(value)
            if seconds is not None and _workload(dict(json.loads(text))) == wanted:
                durations.append(seconds)
        if len(durations) == MAX_DURATIONS:
            break
    return durations


def kind_of(request: ImageRequest | None) -> tuple[str, ...]:
    """Return what determines how long a task takes: the model and some parameters.

    Args:
        request: The request, if known.

    Example:
        >>> kind_of(ImageRequest("nano-banana", {"prompt": "a dog", "num_images": 2}))
        ('nano-banana', '2', 'None', 'None', 'None', 'None', 'None')
    """
    return () if request is None else (request.model, *_workload(request.input))


def _workload(parameters: Mapping[str, Any]) -> tuple[str, ...]:
    """The parameters that determine how long a task takes."""
    return tuple(str(parameters.get(name)) for name in _WORKLOAD_PARAMETERS)


class JournaledSubmission:
    """The entry of one submission, with its changes written to the journal.

    Attributes:
        entry: The current entry.

    Args:
        journal: The journal.
        entry: The entry; it is not written before the first `update`.

    Example:
        >>> async def refuse(record: JournaledSubmission) -> None:
        ...     await record.update(status=Status.REFUSED, error="no dogs")
    """

    def __init__(self, journal: Journal, entry: Entry) -> None:
        self.entry = entry
        self._saved = entry
        self._journal = journal

    async def claim(self, *, fresh: bool = False, image_limit: int | None = None) -> Claim:
        """Write the entry as ``submitting``, if that is allowed; see `Journal.claim`."""
        answer = await self._journal.claim(self.entry, fresh=fresh, image_limit=image_limit)
        if answer.outcome == ClaimOutcome.SUBMIT:
            self.entry = self._saved = answer.entry
        return answer

    def change(self, **changes: Any) -> None:
        """Change attributes of the entry, which the next `update` writes."""
        self.entry = replace(self.entry, **changes)

    async def update(self, **changes: Any) -> None:
        """Change attributes of the entry, and write it if any differs from what is written."""
        self.change(**changes)
        if self.entry != self._saved:
            self.entry = self._saved = replace(self.entry, updated=time.time())
            await self._journal.save(self.entry)
