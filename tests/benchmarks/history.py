"""Measure the history of a large journal: ``python tests/benchmarks/history.py [NAME...]``.

Prints one line for each measurement, with the goal beside it.
"""

from __future__ import annotations

import io
import os
import random
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from PIL import Image

from mountsea_magic.generation.history import history_of
from mountsea_magic.images.files import GeneratedImage, check
from mountsea_magic.images.thumbnail_cache import find_cached_thumbnail
from mountsea_magic.journal.database import MIGRATIONS
from mountsea_magic.journal.entry import Entry
from mountsea_magic.journal.journal import Journal
from mountsea_magic.journal.rows import upsert
from mountsea_magic.request.request import ImageRequest

WORDS = (
    "a lighthouse on the rock at dusk with waves golden light seen from above in watercolor of an "
    "old harbor city market street rain neon portrait black lab swimming pool camera mountain "
    "灯台 猫 Straße"
)


def report(name: str, measured: str, goal: str) -> None:
    """Print one line."""
    print(f"{name:<46} {measured:<58} goal: {goal}", flush=True)


def fastest_ms(work: Callable[[], object], times: int = 5) -> float:
    """Return the shortest time of several, in milliseconds."""
    taken = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return 1000 * min(taken)


def entries(count: int, images: tuple[GeneratedImage, ...] = ()) -> Iterator[Entry]:
    """Yield entries with prompts of about 200 characters, oldest first."""
    rng, now = random.Random(7), time.time()
    for number in range(count):
        prompt = " ".join(rng.choices(WORDS.split(), k=34))[:200]
        entry = Entry.begin(
            "https://hub.example/v1", ImageRequest("nano-banana", {"prompt": prompt, "seed": 7})
        )
        yield replace(
            entry,
            task_id=f"{rng.getrandbits(128):032x}",
            status="completed" if number % 50 else "failed",
            created=now - 60 * (count - number),
            updated=now,
            files=images,
        )


@contextmanager
def journal_of(count: int) -> Iterator[Path]:
    """Write a journal into an empty data folder."""
    with tempfile.TemporaryDirectory() as home:
        os.environ["MOUNTSEA_HOME"] = home
        path = Path(home, "journal.sqlite")
        image = GeneratedImage(Path(home, "dog.png"), "png", 64, 48, "ab" * 32)

        def write(db: sqlite3.Connection) -> None:
            db.execute("BEGIN")
            for entry in entries(count, (image,)):
                upsert(db, entry)
            db.execute("COMMIT")

        Journal(path)._database.use(write)
        yield path


def search() -> None:
    """100,000 entries: texts that match nothing, little, and much."""
    with journal_of(100_000) as path:
        journal = Journal(path)
        for text in ("", "no such text", "zq", "犬", "灯台", "uncertain", "failed", "hub.example"):
            found = journal.search(text)
            taken_ms = fastest_ms(lambda text=text: journal.search(text))  # type: ignore[misc]  # mypy can't infer it
            report(
                f"search {text!r} in 100,000",
                f"{taken_ms:.1f} ms, {len(found)} found",
                "<= 100 ms",
            )
        report("size of the journal", f"{path.stat().st_size / 1e6:.0f} MB", "")


def migration() -> None:
    """A journal of 100,000 entries of version 2: opened, then searched."""
    with journal_of(100_000) as path:
        with closing(sqlite3.connect(path, isolation_level=None)) as db:
            for name in ("by_search", "by_state", "unsearched", "without_images"):
                db.execute(f"DROP INDEX orders_{name}")
            db.execute("ALTER TABLE orders DROP COLUMN searched")
            db.execute("CREATE INDEX orders_by_time ON orders (created)")
            db.execute(f"PRAGMA user_version = {len(MIGRATIONS) - 1}")
        journal = Journal(path)
        report(
            "migration of 100,000",
            f"{fastest_ms(lambda: journal.find('x'), 1):.0f} ms",
            "<= 1,000 ms",
        )
        report(
            "first search: fills 100,000 rows",
            f"{fastest_ms(lambda: journal.search('no such text'), 1):.0f} ms",
            "<= 5,000 ms",
        )


def writes() -> None:
    """What a submission's row costs: inserted, then updated four times, in one transaction."""
    with journal_of(100_000) as path:
        fresh = list(entries(5_000))

        def write(db: sqlite3.Connection) -> float:
            db.execute("BEGIN")
            started = time.perf_counter()
            for status in ("submitting", "submitted", "pending", "processing", "completed"):
                for entry in fresh:
                    task_id = None if status == "submitting" else entry.task_id
                    upsert(db, replace(entry, status=status, task_id=task_id))
            taken_s = time.perf_counter() - started
            db.execute("ROLLBACK")
            return taken_s

        taken = [Journal(path)._database.use(write) for _ in range(3)]
        report("upsert", f"{1e6 * min(taken) / 5 / len(fresh):.0f} µs each", "")


def photos(folder: Path, count: int, *, noise: bool) -> list[GeneratedImage]:
    """Write images of 1024×1024 pixels."""
    images, rng = list[GeneratedImage](), random.Random(7)
    side = 1024 if noise else 16
    for number in range(count):
        if number == 0 or not noise:
            small = Image.frombytes("RGB", (side, side), rng.randbytes(3 * side * side))
            whole = small.resize((1024, 1024), Image.Resampling.BICUBIC)
        whole.putpixel((0, 0), (number % 256, number // 256, 7))
        path = folder / f"{number}.png"
        buffer = io.BytesIO()
        whole.save(buffer, "PNG", compress_level=0 if noise else 1)
        path.write_bytes(buffer.getvalue())
        images.append(check(path))
    return images


def table() -> None:
    """200 rows of a journal of 10,000, with nothing kept and with everything kept."""
    from mountsea_magic.notebook import gallery
    from mountsea_magic.notebook.frontend import FrontEnd

    shell: Any = InteractiveShell.instance()
    front = FrontEnd(
        notebook=True, watched=True, clicks=True, late_outputs=True, draws_png=False, updates=True
    )
    vars(gallery)["front_end"] = lambda shell: front
    with journal_of(9_800) as path:
        home = path.parent
        for kind, per_row in (("photos", 1), ("noise", 4)):
            images = photos(home, 200 * per_row, noise=kind == "noise")
            shown: list[int] = []
            shell.display_pub = SimpleNamespace(
                publish=lambda data, **_: shown.append(len(data["text/html"] + data["text/plain"]))  # noqa: B023  # each loop waits for its own
            )
            rows = [
                replace(entry, files=tuple(images[per_row * n : per_row * (n + 1)]))
                for n, entry in enumerate(entries(200))
            ]
            journal = Journal(path)
            for row in rows:
                journal.write(replace(row, created=time.time()))
            for cache in ("cold", "warm"):
                shown.clear()
                started = time.perf_counter()
                gallery.show_history(history_of(journal.search(limit=200)))
                taken_ms = 1000 * (time.perf_counter() - started)
                first, started = shown[0], time.perf_counter()
                while any(
                    find_cached_thumbnail(image, home / "thumbnails") is None for image in images
                ):
                    time.sleep(0.1)
                filled_s = time.perf_counter() - started
                report(
                    f"200 rows of {kind}, {per_row} each, {cache} cache",
                    f"{taken_ms:.0f} ms, {first / 1e6:.2f} MB, all made {filled_s:.0f} s later",
                    "<= 1,000 ms, <= 1.2 MB",
                )


MEASUREMENTS: dict[str, Callable[[], None]] = {
    "search": search,
    "migration": migration,
    "writes": writes,
    "table": table,
}

if __name__ == "__main__":
    for name in sys.argv[1:] or MEASUREMENTS:
        MEASUREMENTS[name]()
