"""The journal: reads and writes entries, shared by several kernels and never fatal."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from ..hub.status import CLOSED, Status
from ..request.request import ImageRequest
from ..runtime.clock import Stopwatch
from ..runtime.rng import RNG
from .database import JournalDatabase, JournalError
from .entry import Entry

if TYPE_CHECKING:
    import sqlite3

LOCK_TIMEOUT_S = 5.0
"""How long to wait for locks of other kernels, in seconds."""

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
        self._write_locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock]
        self._write_locks = WeakKeyDictionary()
        self._reported: set[str] = set()
        self._unreported: list[str] = []

    def write(self, entry: Entry) -> None:
        """Insert or update an entry; one without images never overwrites one with images.

        Raises:
            JournalError: If that fails, without waiting for locks of other kernels.
        """
        row = entry.row()
        names, marks = ", ".join(row), ", ".join(f":{name}" for name in row)
        updates = ", ".join(f"{name} = excluded.{name}" for name in row if name != "id")
        statement = (
            f"INSERT INTO orders ({names}) VALUES ({marks}) "  # noqa: S608  # columns of ours
            f"ON CONFLICT (id) DO UPDATE SET {updates} "
            "WHERE orders.files = '[]' OR excluded.files <> '[]'"
        )
        self._database.use(lambda db: db.execute(statement, row))

    async def save(self, entry: Entry) -> None:
        """Write an entry, waiting for other kernels; `trouble` returns what went wrong."""
        # serialize writers per loop: with random retries one of hundreds starves
        async with self._write_locks.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
            clock = Stopwatch()
            while True:
                try:
                    self.write(entry)
                except JournalError as error:
                    if not error.busy or clock.elapsed_s > self._timeout_s:
                        self._report_error(error)
                        return
                    await asyncio.sleep(RNG.uniform(0.002, 0.01))
                else:
                    self._timeout_s = LOCK_TIMEOUT_S
                    self._report_damage()
                    return

    def trouble(self) -> list[str]:
        """Return the problems since the last call, each of them once per process."""
        problems, self._unreported = self._unreported, []
        return problems

    def find(self, task_id: str, *, hub: str | None = None) -> Entry | None:
        """Return the newest entry of a task, preferring the given Hub, or None."""
        entries = self._select("task_id = ? ORDER BY hub = ? DESC, created DESC", task_id, hub)
        return entries[0] if entries else None

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
        where = "fingerprint = ? AND hub = ? AND files <> '[]' ORDER BY created DESC LIMIT 10"
        return self._select(where, fingerprint, hub)

    def durations(self, hub: str, request: ImageRequest) -> list[float]:
        """Return how long similar tasks took, in seconds, newest first, at most 50.

        Args:
            hub: The Hub's base URL.
            request: The request; tasks of the same model, image count and size are similar.
        """
        where = "hub = ? AND model = ? AND elapsed_s > 0 ORDER BY created DESC LIMIT 100"
        workload = _workload(request.input)
        entries = self._select(where, hub, request.model)
        durations = [entry.elapsed_s for entry in entries if _workload(entry.input) == workload]
        return [seconds for seconds in durations if seconds is not None][:50]

    def search(self, text: str = "", *, limit: int = 20) -> list[Entry]:
        """Return the entries that contain a text in prompt, id, model, status or Hub, newest first.

        Args:
            text: The text to find, ignoring case; an empty text finds all entries.
            limit: The maximum number of entries.
        """
        wanted, found, now = text.casefold(), list[Entry](), time.time()
        limit_clause = "" if text else f" LIMIT {int(limit)}"
        for entry in self._select(f"TRUE ORDER BY created DESC{limit_clause}"):
            status = entry.status_at(now)
            searched = (entry.prompt, entry.task_id or "", entry.model, status, entry.hub)
            if any(wanted in value.casefold() for value in searched):
                found.append(entry)
            if len(found) == limit:
                break
        return found

    def _select(self, where: str, *values: Any) -> list[Entry]:
        """Select entries; none, with a notice, if the journal can't be read."""
        # encoded as in `Entry.row`
        parameters = [
            text.encode("utf-8", "replace").decode() if isinstance(text, str) else text
            for text in values
        ]

        def rows(db: sqlite3.Connection) -> list[dict[str, Any]]:
            # one invalid byte must not hide all rows
            db.text_factory = lambda text: text.decode("utf-8", "replace")
            statement = f"SELECT * FROM orders WHERE {where}"  # noqa: S608  # each is a literal
            found = db.execute(statement, parameters)
            names = [column[0] for column in found.description]
            return [dict(zip(names, row, strict=True)) for row in found]

        try:
            with self._readers:
                found = self._database.use(rows, timeout_s=self._timeout_s)
        except JournalError as error:
            self._report_error(error)
            return []
        self._report_damage()
        entries = [Entry.from_row(row) for row in found]
        return [entry for entry in entries if entry is not None]

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


def _workload(parameters: Mapping[str, Any]) -> tuple[str, ...]:
    """The parameters that determine how long a task takes."""
    return tuple(str(parameters.get(name)) for name in ("num_images", "resolution", "quality"))


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
        self._journal = journal

    async def update(self, **changes: Any) -> None:
        """Change attributes of the entry, and write it if any of them differs."""
        changed = replace(self.entry, **changes)
        if changed != self.entry or self.entry.status == Status.SUBMITTING:
            self.entry = replace(changed, updated=time.time())
            await self._journal.save(self.entry)
