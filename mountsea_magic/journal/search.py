"""Search: the entries that contain a text, by one scan of an index, however many there are.

The index has all that a search compares except for the end of very long prompts, so that no row is
read unless it is found. What the scan finds is only a candidate, which is compared with the entry
itself, since other programs may write to the file.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING

from ..hub.status import Status
from .entry import CUT_MARK, Entry, folded, searched_text
from .rows import encoded, select

if TYPE_CHECKING:
    import sqlite3

FILLED_AT_ONCE = 20_000
"""How many rows are filled in one transaction: meanwhile other kernels wait to write."""

PAUSE_S = 0.02
"""The pause between two such transactions, in seconds, in which other kernels write."""

_MAX_PIECE = 200
"""The longest piece of a text that the scan looks for first, in characters."""

_DISTINCT_HUBS = """
    WITH RECURSIVE known (hub) AS (
        SELECT MIN(hub) FROM orders UNION ALL
        SELECT (SELECT MIN(hub) FROM orders WHERE hub > known.hub) FROM known
        WHERE known.hub IS NOT NULL
    ) SELECT hub FROM known WHERE hub IS NOT NULL
"""
"""One step in an index for each Hub; SQLite's DISTINCT would read the whole index."""

_DISTINCT_STATES = """
    WITH RECURSIVE known (state) AS (
        SELECT MIN(state) FROM orders WHERE state <> 'completed' UNION ALL
        SELECT (
            SELECT MIN(state) FROM orders WHERE state <> 'completed' AND state > known.state
        ) FROM known WHERE known.state IS NOT NULL
    ) SELECT state FROM known WHERE state IS NOT NULL
"""


def search(db: sqlite3.Connection, text: str, *, limit: int, now: float) -> list[Entry]:
    """Return the entries that contain a text in prompt, id, model, status or Hub, newest first.

    Args:
        db: A connection in autocommit mode.
        text: The text to find, ignoring case and how letters are encoded; an empty text finds
            all entries.
        limit: The maximum number of entries.
        now: The present time, in seconds since 1970.
    """
    if not text:
        latest = "TRUE ORDER BY created DESC, rowid DESC LIMIT ?"
        return select(db, latest, (min(limit, sys.maxsize),))
    _fill(db)
    wanted, found = folded(text), list[Entry]()
    for rowid in _candidates(db, wanted):
        entries = select(db, "rowid = ?", (rowid,))
        found += [entry for entry in entries if entry.contains(wanted, now)]
        if len(found) >= limit:
            break
    return found


def _candidates(db: sqlite3.Connection, wanted: str) -> Iterator[int]:
    """Yield the rows that may contain a text, newest first; only an index is read."""
    hubs = [hub for (hub,) in db.execute(_DISTINCT_HUBS) if wanted in folded(str(hub))]
    states = [state for (state,) in db.execute(_DISTINCT_STATES)] + [Status.COMPLETED.value]
    states = [state for state in states if wanted in folded(str(state))]
    if wanted in Status.UNCERTAIN:
        states.append(Status.SUBMITTING.value)  # those without a response are shown as uncertain
    pieces = [f"*{piece}*" for piece in _piece(wanted)]
    contains = " AND ".join([*("searched GLOB ?" for _ in pieces), "instr(searched, ?)"])
    conditions = [contains, "searched < ?", "searched IS NULL"]
    if hubs:
        conditions.append(f"hub IN ({', '.join('?' * len(hubs))})")
    if states:
        conditions.append(f"state IN ({', '.join('?' * len(states))})")
    statement = (
        f"SELECT rowid FROM orders WHERE {' OR '.join(conditions)} "  # noqa: S608  # literals
        "ORDER BY created DESC, rowid DESC"
    )
    values = encoded([*pieces, wanted, chr(ord(CUT_MARK) + 1), *hubs, *states])
    for (rowid,) in db.execute(statement, values):
        yield rowid


def _piece(wanted: str) -> list[str]:
    """Return the longest piece of a text without wildcards of GLOB, or none.

    GLOB finds the first character as fast as `strchr` does, which takes a third of the time of
    `instr`; but it knows wildcards, limits a pattern's length and stops at a null character.
    """
    (text,) = encoded([wanted])
    piece = max(re.split(r"[*?\[\0]", text), key=len)[:_MAX_PIECE]
    return [piece] if piece else []


def _fill(db: sqlite3.Connection) -> None:
    """Fill the searched text of rows of older versions and other programs, if that is possible."""
    import sqlite3

    try:
        while db.execute("SELECT 1 FROM orders WHERE searched IS NULL LIMIT 1").fetchone():
            db.execute("BEGIN IMMEDIATE")
            rows = db.execute(
                "SELECT rowid, input, task_id, model FROM orders WHERE searched IS NULL "
                "ORDER BY created LIMIT ?",
                (FILLED_AT_ONCE,),
            ).fetchall()
            db.executemany(
                "UPDATE orders SET searched = ? WHERE rowid = ?",
                [(_searched(*values), rowid) for rowid, *values in rows],
            )
            db.execute("COMMIT")
            if len(rows) == FILLED_AT_ONCE:
                time.sleep(PAUSE_S)
    except sqlite3.OperationalError:  # locked, read-only, or a full disk: they are read instead
        if db.in_transaction:
            db.execute("ROLLBACK")


def _searched(text: object, task_id: object, model: object) -> str:
    """Return the searched text of a row, whatever is in it."""
    prompt = ""
    with suppress(ValueError, TypeError, RecursionError):
        prompt = str(dict(json.loads(str(text))).get("prompt", ""))
    return searched_text(prompt, _str(task_id), _str(model))


def _str(value: object) -> str:
    return value if isinstance(value, str) else ""
