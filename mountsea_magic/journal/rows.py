"""SQL that reads and writes entries."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from .entry import Entry

if TYPE_CHECKING:
    import sqlite3


def select(db: sqlite3.Connection, where: str, values: Sequence[Any]) -> list[Entry]:
    """Select entries; invalid rows are skipped.

    Args:
        db: A connection.
        where: What follows WHERE; a literal of the code.
        values: Its parameters.
    """
    statement = f"SELECT * FROM orders WHERE {where}"  # noqa: S608  # each is a literal
    found = db.execute(statement, encoded(values))
    names = [column[0] for column in found.description]
    entries = [Entry.from_row(dict(zip(names, row, strict=True))) for row in found]
    return [entry for entry in entries if entry is not None]


def encoded(values: Sequence[Any]) -> list[Any]:
    """Encode texts as `Entry.row` does.

    Args:
        values: Parameters of a statement.
    """
    return [
        text.encode("utf-8", "replace").decode() if isinstance(text, str) else text
        for text in values
    ]


def upsert(db: sqlite3.Connection, entry: Entry) -> None:
    """Insert or update an entry; one without images never overwrites one with images.

    It neither takes an idempotency key from another row, nor takes it back: see `claim`.

    Args:
        db: A connection.
        entry: The entry.
    """
    row = entry.row()
    marks = {name: f":{name}" for name in row}
    marks["idempotency_key"] = (
        "CASE WHEN EXISTS (SELECT 1 FROM orders AS other WHERE other.hub = :hub "
        "AND other.idempotency_key = :idempotency_key AND other.id <> :id) "
        "THEN NULL ELSE :idempotency_key END"
    )
    changed = [name for name in row if name not in ("id", "idempotency_key", "owner")]
    updates = ", ".join(f"{name} = excluded.{name}" for name in changed)
    statement = (
        f"INSERT INTO orders ({', '.join(marks)}) "  # noqa: S608  # columns of ours
        f"VALUES ({', '.join(marks.values())}) ON CONFLICT (id) DO UPDATE SET {updates} "
        "WHERE orders.files = '[]' OR excluded.files <> '[]'"
    )
    db.execute(statement, row)
