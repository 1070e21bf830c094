"""Measure a journal of 100,000 submissions: ``python tests/benchmarks/journal.py``.

Beside it is what SQLite itself takes for the same rows, in a table without a journal's rules.
"""

from __future__ import annotations

import asyncio
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from report import OURS, Figure, markdown_table

from mountsea_magic.images.files import GeneratedImage
from mountsea_magic.journal.entry import Entry
from mountsea_magic.journal.journal import Journal, JournaledSubmission
from mountsea_magic.journal.rows import upsert
from mountsea_magic.request.request import ImageRequest

SECTION = "Journal"

PLAIN = "limit: plain SQLite"

ROWS = 100_000

HUB = "https://hub.example/v1"

AT_ONCE = 64

STATUSES = ("submitted", "pending", "processing", "completed")
"""What a submission goes through, once it is journaled: one write each."""

SEARCHES = {
    "a common text": "golden light",
    "a common text in another script": "灯台",
    "a text of one row": "number 31415",
    "a text of no row": "no such text",
}

WORDS = (
    "a lighthouse on the rock at dusk with waves golden light seen from above in watercolor of an "
    "old harbor city market street rain neon portrait black lab swimming pool camera mountain "
    "灯台 猫 Straße"
)

PLAIN_TABLE = """
    CREATE TABLE plain.orders AS SELECT id, hub, task_id, state, input,
        json_extract(input, '$.prompt') AS prompt, fingerprint, created, files, idempotency_key
        FROM main.orders;
    CREATE UNIQUE INDEX plain.by_id ON orders (id);
    CREATE INDEX plain.by_fingerprint ON orders (fingerprint);
    CREATE UNIQUE INDEX plain.by_key ON orders (hub, idempotency_key);
    CREATE INDEX plain.by_time ON orders (created);
"""

NO_RULES = "The plain table has no rules: no migrations, no check of the file, no merging of rows."

SCANS = "SQLite's LIKE knows no case beyond ASCII, and reads the rows themselves."

OPENS = "Ours also checks whose file it is and its schema, each time."

OPENING = {
    OURS: """
from pathlib import Path; from sys import argv; from time import perf_counter; import sqlite3
from mountsea_magic.journal.journal import Journal
started = perf_counter()
assert Journal(Path(argv[1])).find_identical(argv[2], argv[3])
print(perf_counter() - started)
""",
    PLAIN: """
from sys import argv; from time import perf_counter; import sqlite3
started = perf_counter()
db = sqlite3.connect(argv[1])
assert db.execute("SELECT * FROM orders WHERE fingerprint = ?", argv[3:]).fetchall()
print(perf_counter() - started)
""",
}


def entries(
    count: int, images: tuple[GeneratedImage, ...] = (), *, keys: bool = False
) -> Iterator[Entry]:
    """Yield entries with prompts of about 200 characters, oldest first.

    Args:
        count: How many.
        images: The images of each.
        keys: Whether each has an idempotency key.
    """
    rng, now, words = random.Random(7), time.time(), WORDS.split()
    for number in range(count):
        prompt = f"number {number} " + " ".join(rng.choices(words, k=34))[:190]
        request = ImageRequest("nano-banana", {"prompt": prompt, "seed": 7})
        key = f"bench/{number}" if keys else None
        yield replace(
            Entry.begin(HUB, request, idempotency_key=key),
            task_id=f"{rng.getrandbits(128):032x}",
            status="completed" if number % 50 else "failed",
            created=now - 60 * (count - number),
            updated=now,
            files=images,
        )


@contextmanager
def journal_of(count: int) -> Iterator[Path]:
    """Write a journal into an empty data folder; yields its path.

    Args:
        count: How many entries it has.
    """
    with tempfile.TemporaryDirectory() as home:
        os.environ["MOUNTSEA_HOME"] = home
        path = Path(home, "journal.sqlite")

        def write(db: sqlite3.Connection) -> None:
            db.execute("BEGIN")
            for entry in entries(count, (image_in(path.parent),), keys=True):
                upsert(db, entry)
            db.execute("COMMIT")

        Journal(path)._database.use(write)
        yield path


def image_in(folder: Path) -> GeneratedImage:
    """Return an image whose file is not there."""
    return GeneratedImage(folder / "dog.png", "png", 64, 48, "ab" * 32)


class Store(Protocol):
    """A place for submissions, ours or a plain table."""

    async def append(self, fresh: Sequence[Entry]) -> object:
        """Write new submissions and then all their updates, all at the same time."""

    async def by_fingerprint(self, fingerprint: str) -> object:
        """Return the submissions of a request, if there are any."""

    async def by_key(self, key: str) -> object:
        """Return the submission that has an idempotency key, if there is one."""

    async def search(self, text: str) -> object:
        """Return the latest 20 submissions with a text."""


class OurStore:
    """The journal, as generations and `history` use it.

    Args:
        path: Its file.
    """

    def __init__(self, path: Path) -> None:
        self._journal, self._images = Journal(path), (image_in(path.parent),)

    async def append(self, fresh: Sequence[Entry]) -> object:
        """Write them as `generation.run` does, through the journal's thread."""
        return await asyncio.gather(*map(self._append, fresh))

    async def _append(self, entry: Entry) -> None:
        record = JournaledSubmission(self._journal, replace(entry, task_id=None))
        await record.claim()
        for status in STATUSES:
            files = self._images if status == "completed" else ()
            await record.update(status=status, task_id=entry.task_id, files=files)

    async def by_fingerprint(self, fingerprint: str) -> object:
        """Look for identical requests."""
        return await self._journal.afind_identical(HUB, fingerprint)

    async def by_key(self, key: str) -> object:
        """Look for the submission under a key."""
        return await self._journal.find_by_key(HUB, key)

    async def search(self, text: str) -> object:
        """Search as `history` does."""
        return self._journal.search(text)


class PlainStore:
    """A table with the same rows, on a connection that stays open.

    Args:
        path: Its file.
    """

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")

    async def append(self, fresh: Sequence[Entry]) -> object:
        """Write them in one transaction for each step."""
        rows = [entry.row() | {"prompt": entry.prompt} for entry in fresh]
        columns = ("id", "hub", "state", "input", "prompt", "fingerprint", "created", "files")
        marks = ", ".join(f":{name}" for name in columns)
        self._write(f"INSERT INTO orders ({', '.join(columns)}) VALUES ({marks})", rows)
        for status in STATUSES:
            change = f"state = '{status}', task_id = :task_id, files = :files"
            self._write(f"UPDATE orders SET {change} WHERE id = :id", rows)
        return rows

    def _write(self, statement: str, rows: Sequence[dict[str, object]]) -> None:
        self._db.execute("BEGIN IMMEDIATE")
        self._db.executemany(statement, rows)
        self._db.execute("COMMIT")

    async def by_fingerprint(self, fingerprint: str) -> object:
        """Select by an index."""
        return self._select("fingerprint = ?", fingerprint)

    async def by_key(self, key: str) -> object:
        """Select by an index."""
        return self._select("hub = ? AND idempotency_key = ?", HUB, key)

    async def search(self, text: str) -> object:
        """Read the table from its latest row."""
        return self._select("prompt LIKE ? ORDER BY created DESC LIMIT 20", f"%{text}%")

    def _select(self, where: str, *values: str) -> object:
        return self._db.execute(f"SELECT * FROM orders WHERE {where}", values).fetchall()


Work = tuple[str, float | None, str, int, Callable[[Store], Awaitable[object]]]
"""The quantity, the goal, the note, how many there are, and what takes the time."""


def _cases(known: Sequence[tuple[str, str]]) -> dict[str, Work]:
    """Return what is measured.

    Args:
        known: Fingerprints and idempotency keys of rows.
    """
    fingerprints, keys = zip(*known, strict=True)

    async def each(look_up: Callable[[str], Awaitable[object]], values: Sequence[str]) -> None:
        for value in values:
            assert await look_up(value)

    append, look_up = "ms a submission, five writes", "ms a look-up"
    cases: dict[str, Work] = {
        "append, alone": (append, None, NO_RULES, 5, lambda store: _one_by_one(store, 5)),
        f"append, {AT_ONCE} at once": (
            *(append, None, "", AT_ONCE),
            lambda store: store.append(list(entries(AT_ONCE))),
        ),
        "by fingerprint": (
            *(look_up, 2.0, "", len(known)),
            lambda store: each(store.by_fingerprint, fingerprints),
        ),
        "by idempotency key": (
            *(look_up, 2.0, "", len(known)),
            lambda store: each(store.by_key, keys),
        ),
    }
    for name, text in SEARCHES.items():
        cases[f"search, {name}"] = (
            *("ms a search", 100.0, SCANS, 1),
            _searching(text),
        )
    return cases


def _searching(text: str) -> Callable[[Store], Awaitable[object]]:
    return lambda store: store.search(text)


async def _one_by_one(store: Store, count: int) -> None:
    for entry in entries(count):
        await store.append([entry])


def measure(runs: int = 7) -> list[Figure]:
    """Measure the journal and a plain table in turn.

    Args:
        runs: How often.
    """
    with journal_of(ROWS) as path:
        plain = path.with_name("plain.sqlite")
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            db.execute("ATTACH ? AS plain", (str(plain),))
            db.executescript(PLAIN_TABLE)
            known = db.execute(
                "SELECT fingerprint, idempotency_key FROM main.orders WHERE rowid % 2000 = 0"
            ).fetchall()
        return asyncio.run(_measure({OURS: path, PLAIN: plain}, known, runs))


async def _measure(
    files: dict[str, Path], known: Sequence[tuple[str, str]], runs: int
) -> list[Figure]:
    stores: dict[str, Store] = {OURS: OurStore(files[OURS]), PLAIN: PlainStore(files[PLAIN])}
    values = defaultdict[tuple[str, str], list[float]](list)
    opening, cases = "opening, and the first look-up", _cases(known)
    for _ in range(runs):
        for case, (_, _, _, count, work) in cases.items():
            for client, store in stores.items():
                started = time.perf_counter()
                await work(store)
                values[case, client].append(1000 * (time.perf_counter() - started) / count)
        for client, path in files.items():
            values[opening, client].append(_opening_ms(client, path, known[0][0]))
    figures = list[Figure]()
    cases[opening] = ("ms, in a new process", 20.0, OPENS, 1, lambda store: store.search(""))
    for (case, client), of_runs in values.items():
        quantity, goal, note, _, _ = cases[case]
        ours = client == OURS
        figures.append(
            Figure(
                *(SECTION, f"{ROWS:,} rows: {case}", quantity, client, tuple(of_runs)),
                *(goal if ours else None, "" if ours else note),
            )
        )
    return figures


def _opening_ms(client: str, path: Path, fingerprint: str) -> float:
    """Open a file in a new process, and look for a row; nobody else waits meanwhile."""
    command = [sys.executable, "-c", OPENING[client], str(path), HUB, fingerprint]
    return 1000 * float(subprocess.check_output(command, text=True))


if __name__ == "__main__":
    print(markdown_table(measure()))
