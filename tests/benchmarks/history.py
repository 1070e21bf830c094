"""Measure the table and the migration of a large journal: ``python tests/benchmarks/history.py``.

Prints one line for each measurement, with the goal beside it; the argument ``table`` or
``migration`` selects one of them. Searches are measured in `journal`.
"""

from __future__ import annotations

import io
import random
import sqlite3
import sys
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from IPython.core.interactiveshell import InteractiveShell
from journal import entries, journal_of
from PIL import Image

from mountsea_magic.generation.history import history_of
from mountsea_magic.images.files import GeneratedImage, check
from mountsea_magic.images.thumbnail_cache import find_cached_thumbnail
from mountsea_magic.journal.database import MIGRATIONS
from mountsea_magic.journal.journal import Journal


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
        notebook=True, attended=True, clicks=True, late_outputs=True, draws_png=False, updates=True
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
    "migration": migration,
    "table": table,
}

if __name__ == "__main__":
    for name in sys.argv[1:] or MEASUREMENTS:
        MEASUREMENTS[name]()
