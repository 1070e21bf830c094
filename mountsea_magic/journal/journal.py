"""The journal: every order from before it is sent until its images are safe, across kernels."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from ..request.request import ImageRequest
from ..runtime.clock import Stopwatch
from ..runtime.rng import RNG
from .database import JournalDatabase, JournalError
from .entry import CLOSED, Entry

if TYPE_CHECKING:
    import sqlite3

LOCK_TIMEOUT_S = 5.0
"""How long a reader or writer waits for other kernels, in seconds."""

MAX_READERS = 4
"""How many threads read at once: each has up to three files open."""

SHORT_LOCK_TIMEOUT_S = 0.05
"""How long it waits once that was in vain: a locked journal must not slow down every step."""

WEEK_S = 7 * 24 * 3600.0
"""How long an order that was never answered is worth a reminder, in seconds."""


class Journal:
    """The entries of all kernels that share a folder; what fails here stops no generation.

    Example:
        >>> journal = Journal(Path("journal.sqlite"))
        >>> journal.write(Entry.begin("demo:", task_id="hub-1"))  # doctest: +SKIP
        >>> journal.find("hub-1").hub  # doctest: +SKIP
        'demo:'
    """

    def __init__(self, path: Path) -> None:
        """Open nothing yet.

        Args:
            path: The SQLite file.
        """
        self._file = JournalDatabase(path)
        self._patience_s = LOCK_TIMEOUT_S
        self._reading = threading.BoundedSemaphore(MAX_READERS)
        self._turns: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock]
        self._turns = WeakKeyDictionary()
        self._said: set[str] = set()
        self._unsaid: list[str] = []

    def write(self, entry: Entry) -> None:
        """Write an entry down as it is now; a completed one is not overwritten by a stale one.

        Raises:
            JournalTrouble: If that fails, at once also where another kernel is writing.
        """
        row = entry.row()
        names, marks = ", ".join(row), ", ".join(f":{name}" for name in row)
        news = ", ".join(f"{name} = excluded.{name}" for name in row if name != "id")
        statement = (
            f"INSERT INTO orders ({names}) VALUES ({marks}) ON CONFLICT (id) DO UPDATE SET {news} "
            "WHERE orders.files = '[]' OR excluded.files <> '[]'"
        )
        self._file.use(lambda db: db.execute(statement, row))

    async def keep(self, entry: Entry) -> None:
        """Write an entry down, with patience for other kernels; trouble is kept for `trouble`."""
        # in turn: of hundreds that try at random, one would be unlucky for ever
        async with self._turns.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
            clock = Stopwatch()
            while True:
                try:
                    self.write(entry)
                except JournalError as error:
                    if not error.busy or clock.elapsed_s > self._patience_s:
                        self._note(error)
                        return
                    await asyncio.sleep(RNG.uniform(0.002, 0.01))
                else:
                    self._patience_s = LOCK_TIMEOUT_S
                    self._note_damage()
                    return

    def trouble(self) -> list[str]:
        """Return what went wrong since the last call, each kind once in a process."""
        said, self._unsaid = self._unsaid, []
        return said

    def find(self, task_id: str, *, hub: str | None = None) -> Entry | None:
        """Return the newest entry of a task, that of a given Hub before all others."""
        entries = self._select("task_id = ? ORDER BY hub = ? DESC, created DESC", task_id, hub)
        return entries[0] if entries else None

    def open_entries(self) -> list[Entry]:
        """Return the entries whose task may still bring images, oldest first."""
        marks = ", ".join("?" * len(CLOSED))
        where = f"task_id IS NOT NULL AND files = '[]' AND state NOT IN ({marks}) ORDER BY created"
        return self._select(where, *CLOSED)

    def unanswered(self) -> list[Entry]:
        """Return the orders of this week that may have been taken unknown to us, oldest first."""
        where = "task_id IS NULL AND state IN ('uncertain', 'submitting') AND created > ?"
        return self._select(f"{where} ORDER BY created", time.time() - WEEK_S)

    def find_identical(self, hub: str, fingerprint: str) -> list[Entry]:
        """Return the entries of equal requests at the same Hub that had images, newest first."""
        where = "fingerprint = ? AND hub = ? AND files <> '[]' ORDER BY created DESC LIMIT 10"
        return self._select(where, fingerprint, hub)

    def durations(self, hub: str, request: ImageRequest) -> list[float]:
        """Return how long tasks of the kind took, in seconds, newest first, at most 50.

        Args:
            hub: The Hub's base URL.
            request: What shall be ordered: model, image count and size make the kind.
        """
        where = "hub = ? AND model = ? AND elapsed_s > 0 ORDER BY created DESC LIMIT 100"
        kind = _kind(request.input)
        entries = self._select(where, hub, request.model)
        times = [entry.elapsed_s for entry in entries if _kind(entry.input) == kind]
        return [seconds for seconds in times if seconds is not None][:50]

    def search(self, text: str = "", *, limit: int = 20) -> list[Entry]:
        """Return the newest entries that hold a text in prompt, id, model or state; newest first.

        Args:
            text: What to look for, in any case of letters; an empty text finds all.
            limit: How many at most.
        """
        wanted, found, now = text.casefold(), list[Entry](), time.time()
        enough = "" if text else f" LIMIT {int(limit)}"
        for entry in self._select(f"TRUE ORDER BY created DESC{enough}"):
            state = entry.state_at(now)
            places = (entry.prompt, entry.task_id or "", entry.model, state, entry.hub)
            if any(wanted in place.casefold() for place in places):
                found.append(entry)
            if len(found) == limit:
                break
        return found

    def _select(self, where: str, *values: Any) -> list[Entry]:
        """A journal that can't be read is an empty one, and is told of."""
        given = [
            text.encode("utf-8", "replace").decode() if isinstance(text, str) else text
            for text in values
        ]  # as it was written down

        def rows(db: sqlite3.Connection) -> list[dict[str, Any]]:
            # one damaged letter must not hide all rows
            db.text_factory = lambda text: text.decode("utf-8", "replace")
            found = db.execute(f"SELECT * FROM orders WHERE {where}", given)
            names = [column[0] for column in found.description]
            return [dict(zip(names, row, strict=True)) for row in found]

        try:
            with self._reading:
                found = self._file.use(rows, patience_s=self._patience_s)
        except JournalError as error:
            self._note(error)
            return []
        self._note_damage()
        entries = [Entry.from_row(row) for row in found]
        return [entry for entry in entries if entry is not None]

    def _note(self, error: JournalError) -> None:
        """Once is enough: thirty prompts need no thirty warnings."""
        if error.busy:
            self._patience_s = SHORT_LOCK_TIMEOUT_S
        self._note_text(
            f"the journal {self._file.path} can't be used ({error}): tasks are not written down, "
            "so keep the task ids that are shown"
        )

    def _note_damage(self) -> None:
        """The entries of a damaged file are not lost, but they are not found either."""
        if self._file.set_aside is not None:
            self._note_text(
                f"the journal {self._file.path} was damaged: it is kept as "
                f"{self._file.set_aside.name}, and a new one was begun"
            )

    def _note_text(self, text: str) -> None:
        """What was said once in this process is not said again."""
        if text not in self._said:
            self._said.add(text)
            self._unsaid.append(text)


def _kind(given: Mapping[str, Any]) -> tuple[str, ...]:
    """What makes a task take longer."""
    return tuple(str(given.get(name)) for name in ("num_images", "resolution", "quality"))


class JournaledSubmission:
    """The entry of one order, kept up to date in the journal.

    Attributes:
        entry: As it is now.

    Example:
        >>> async def refuse(record: JournaledSubmission) -> None:
        ...     await record.note(state="refused", error="no dogs")
    """

    def __init__(self, journal: Journal, entry: Entry) -> None:
        """Write nothing yet."""
        self.entry = entry
        self._journal = journal

    async def note(self, **changes: Any) -> None:
        """Change some of the entry's attributes, and write them down if they are news."""
        changed = replace(self.entry, **changes)
        if changed != self.entry or self.entry.state == "submitting":
            self.entry = replace(changed, updated=time.time())
            await self._journal.keep(self.entry)
