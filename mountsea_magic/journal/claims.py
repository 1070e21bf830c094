"""Claims: in one transaction before a POST, decide whether a request may be submitted.

Whatever was or may be paid under an idempotency key keeps it; a budget counts what may be paid.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from ..hub.status import CLOSED, Status
from .database import JournalError
from .entry import Entry
from .rows import encoded, select, upsert

if TYPE_CHECKING:
    import sqlite3

DAY_S = 24 * 3600.0
"""The period of a budget, in seconds."""

UNPAID = (Status.REFUSED, Status.UNSENT, *CLOSED)
"""The statuses of requests for which nothing is or will be paid."""


class ClaimOutcome(StrEnum):
    """What to do with a request."""

    SUBMIT = "submit"
    EXISTING = "existing"
    OTHER_REQUEST = "other request"
    OVER_BUDGET = "over budget"


@dataclass(frozen=True, slots=True)
class Claim:
    """The answer of `Journal.claim`.

    Attributes:
        outcome: `SUBMIT`: the entry was written as ``submitting``. `EXISTING`: nothing is to be
            submitted, but what the entry says to be awaited, fetched or reported. `OTHER_REQUEST`:
            the key was used for another request. `OVER_BUDGET`: too many images.
        entry: The entry to submit; for `EXISTING` and `OTHER_REQUEST` the one that has the key. Its
            status is ``uncertain`` if nobody waits for its response any more.
        images_ordered: For `OVER_BUDGET`, how many images the budget's period has already.
    """

    outcome: ClaimOutcome
    entry: Entry
    images_ordered: int = 0


def claim(
    db: sqlite3.Connection,
    entry: Entry,
    has_ended: Callable[[str], bool],
    *,
    fresh: bool = False,
    image_limit: int | None = None,
) -> Claim:
    """Decide about a request, and write its entry if it is to be submitted.

    Args:
        db: A connection in a transaction that has locked the journal.
        entry: The request's new entry.
        has_ended: Whether the process of an owner has ended.
        fresh: Submit it whatever is there under its key.
        image_limit: How many images may be ordered at the Hub in a day, or None.

    Raises:
        JournalError: If the row that has the key is invalid.
    """
    key = entry.idempotency_key
    if not _is_claimed(db, entry):
        found = None if key is None or fresh else find_by_key(db, entry.hub, key, has_ended)
        if found is not None and found.status not in UNPAID:
            same = found.fingerprint == entry.fingerprint
            return Claim(ClaimOutcome.EXISTING if same else ClaimOutcome.OTHER_REQUEST, found)
        ordered = 0 if image_limit is None else count_images(db, entry.hub, time.time() - DAY_S)
        if image_limit is not None and ordered + entry.image_count > image_limit:
            return Claim(ClaimOutcome.OVER_BUDGET, entry, ordered)
    upsert(db, entry)
    if key is not None:
        row = entry.row()
        db.execute(
            "UPDATE orders SET idempotency_key = NULL "
            "WHERE hub = :hub AND idempotency_key = :idempotency_key AND id <> :id",
            row,
        )
        db.execute(
            "UPDATE orders SET idempotency_key = :idempotency_key, owner = :owner WHERE id = :id",
            row,
        )
    return Claim(ClaimOutcome.SUBMIT, entry)


def _is_claimed(db: sqlite3.Connection, entry: Entry) -> bool:
    """Whether this entry was claimed a moment ago: the work is repeated if the file changed."""
    where = "id = ? AND state = 'submitting' AND idempotency_key IS ?"
    return bool(select(db, where, (entry.id, entry.idempotency_key)))


def withdraw(db: sqlite3.Connection, entry: Entry) -> None:
    """Note that nothing was sent for a claim whose caller was cancelled.

    Args:
        db: A connection.
        entry: The entry that was claimed, maybe.
    """
    db.execute(
        "UPDATE orders SET state = 'unsent' WHERE id = ? AND state = 'submitting'", (entry.id,)
    )


def find_by_key(
    db: sqlite3.Connection, hub: str, key: str, has_ended: Callable[[str], bool]
) -> Entry | None:
    """Return the entry that has a key, or None; see `Claim.entry`.

    Args:
        db: A connection.
        hub: The Hub's base URL.
        key: The idempotency key.
        has_ended: Whether the process of an owner has ended.

    Raises:
        JournalError: If the row that has the key is invalid.
    """
    where, values = "hub = ? AND idempotency_key = ?", (hub, key)
    entry = next(iter(select(db, where, values)), None)
    if entry is None:
        statement = f"SELECT 1 FROM orders WHERE {where}"  # noqa: S608  # a literal
        if db.execute(statement, encoded(values)).fetchone():
            raise JournalError("the entry of this key is invalid")
        return None
    if entry.status != Status.SUBMITTING:
        return entry
    if entry.owner is not None and has_ended(entry.owner):
        return replace(entry, status=Status.UNCERTAIN)
    return replace(entry, status=entry.status_at(time.time()))


def count_images(db: sqlite3.Connection, hub: str, since: float) -> int:
    """Return how many images of submissions were or may be paid.

    Args:
        db: A connection.
        hub: The Hub's base URL.
        since: Count submissions after this time, in seconds since 1970.
    """
    statement = (
        "SELECT TOTAL(COALESCE(images, 1)) FROM orders "  # noqa: S608  # only question marks
        f"WHERE hub = ? AND created > ? AND state NOT IN ({', '.join('?' * len(UNPAID))})"
    )
    (count,) = db.execute(statement, (hub, since, *UNPAID)).fetchone()
    return int(count)
