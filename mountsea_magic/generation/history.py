"""`History`: generations of the journal, newest first, as an immutable sequence."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, overload

from ..errors import MountseaError, SubmissionUncertain, TaskFailed
from ..hub.status import UNCHARGED, Status
from ..journal.entry import Entry
from ..runtime.text import counted, quoted, sanitize
from ..settings import DEMO_URL
from .batch_report import row_of
from .handle import Generation

if TYPE_CHECKING:
    import pandas


class History(Sequence[Generation]):
    """Earlier submissions, newest first, as the journal had them when it was read.

    Indexing gives a `Generation`, slicing a `History`. In a notebook it shows itself as a table
    with thumbnails, in a terminal as lines.

    Args:
        items: The generations, each with the time of its submission.

    Example:
        >>> past = History([PastGeneration(Generation(None, task_id="hub-1"), 0.0)])
        >>> past, past[0].task_id
        (<History 1 submission>, 'hub-1')
    """

    def __init__(self, items: Sequence[PastGeneration] = ()) -> None:
        self._items = tuple(items)

    @property
    def items(self) -> tuple[PastGeneration, ...]:
        """The generations, each with the time of its submission."""
        return self._items

    def to_pandas(self) -> pandas.DataFrame:
        """Return a table with one row per submission.

        Its columns are those of `Batch.to_pandas`, and ``submitted``, the time of the submission in
        UTC, after ``model``.

        Raises:
            ImportError: If pandas is not installed.
        """
        import pandas

        return pandas.DataFrame([_row(item) for item in self._items])

    def _ipython_display_(self) -> None:
        """Show a table with thumbnails, or lines where HTML is not shown."""
        from ..notebook.gallery import show_history

        show_history(self)

    def __len__(self) -> int:
        return len(self._items)

    def __iter__(self) -> Iterator[Generation]:
        return (item.generation for item in self._items)

    @overload
    def __getitem__(self, index: int) -> Generation: ...

    @overload
    def __getitem__(self, index: slice) -> History: ...

    def __getitem__(self, index: int | slice) -> Generation | History:
        if isinstance(index, slice):
            return History(self._items[index])
        return self._items[index].generation

    def __repr__(self) -> str:
        return f"<History {counted(len(self), 'submission')}>"

    def __str__(self) -> str:
        return "\n".join(map(line_of, self._items)) or repr(self)


@dataclass(frozen=True, slots=True)
class PastGeneration:
    """A generation of the journal.

    Attributes:
        generation: The handle, with what the journal knows; it does not wait for its task.
        submitted: When it was submitted, in seconds since 1970.
    """

    generation: Generation
    submitted: float


def history_of(entries: Sequence[Entry]) -> History:
    """Rebuild the generations of the journal's entries.

    Args:
        entries: The entries, newest first.

    Example:
        >>> len(history_of([]))
        0
    """
    now = time.time()
    return History([PastGeneration(_generation(entry, now), entry.created) for entry in entries])


def line_of(item: PastGeneration) -> str:
    """Return a submission as one line: time, status, model, task id, images and prompt.

    Args:
        item: The generation and the time of its submission.
    """
    generation = item.generation
    parts = [
        f"{datetime.fromtimestamp(item.submitted):%Y-%m-%d %H:%M:%S}",
        sanitize(generation.status),
        quoted(generation.request.model) if generation.request is not None else "resumed",
        quoted(generation.task_id) if generation.task_id else "no task",
        counted(len(generation), "image") if generation.images else "",
        "demo" if generation.is_demo else "",
        f"“{sanitize(generation.prompt, limit=60)}”" if generation.prompt else "",
    ]
    return "  ".join(filter(None, parts))


def _generation(entry: Entry, now: float) -> Generation:
    """Return the handle of an entry; its input images are known by their digests only."""
    generation = Generation(
        entry.request,
        task_id=entry.task_id,
        is_demo=entry.hub == DEMO_URL,
        idempotency_key=entry.idempotency_key,
    )
    generation.status = entry.status_at(now)
    generation.images = entry.files
    generation.elapsed_s = entry.elapsed_s
    generation.description = entry.description
    generation.from_journal = bool(entry.files)
    if entry.error and not entry.files:
        generation.error = _error(entry.error, generation)
    return generation


def _error(message: str, generation: Generation) -> MountseaError:
    """Return the error of a status; the journal has only its message."""
    if generation.status == Status.UNCERTAIN:
        return SubmissionUncertain(message, task_id=generation.task_id)
    kind = TaskFailed if generation.status in UNCHARGED else MountseaError
    return kind(message, task_id=generation.task_id)


def _row(item: PastGeneration) -> dict[str, Any]:
    row = row_of(item.generation)
    begin = {name: row.pop(name) for name in ("prompt", "model")}
    return begin | {"submitted": datetime.fromtimestamp(item.submitted, UTC)} | row
