"""`Batch`: the live handles of many generations, in the order of their requests."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from ..errors import Interrupted, MountseaError
from ..hub.status import Status
from ..images.files import GeneratedImage, copy_into
from ..images.user_paths import output_folder
from ..request.axes import Axis
from ..request.request import recorded
from ..runtime.loop_thread import cancel_all
from ..runtime.text import json_text, slug
from .batch_report import batch_error, facts, row_of
from .handle import Generation

if TYPE_CHECKING:
    import pandas
    from PIL.Image import Image

MANIFEST = "manifest.jsonl"
"""The file of `Batch.save` that lists the copies, one JSON object per line."""

_WAIT_S = 0.05
"""How often `wait` looks for generations that were added to a live batch, in seconds."""


class Batch(Sequence[Generation]):
    """The generations of many requests, in the order of the requests; live while they run.

    Indexing gives a `Generation`, slicing a `Batch` of the same handles.

    Attributes:
        axes: The axes of the grid that the requests come from; empty without a grid.
        stopped_by: The error because of which nothing more was submitted, or None.
        feeding: Whether more requests may be added.
        cancelled: Whether it was cancelled: nothing more is drawn or submitted.
        rerun: Runs again what its argument returns, and returns what stopped that, if anything.

    Args:
        generations: The handles; more are added while `requests` are drawn from an iterator.
        axes: The axes of the grid that the requests come from.
        name: What the user calls the batch, for error messages.
        rerun: Runs again what its argument returns, and returns what stopped that, if anything.
        whole: The batch of which this is a part, or None.

    Example:
        >>> batch = Batch([Generation(None, task_id="hub-1")])
        >>> len(batch), len(batch.completed), len(batch[:0])
        (1, 0, 0)
    """

    def __init__(
        self,
        generations: Sequence[Generation] = (),
        *,
        axes: Sequence[Axis] = (),
        name: str = "batch",
        rerun: Rerun | None = None,
        whole: Batch | None = None,
    ) -> None:
        self._generations = list(generations)
        self.axes = tuple(axes)
        self._name = name
        self._whole = whole
        self.rerun = rerun
        self.stopped_by: MountseaError | None = None
        self.feeding = False
        self.cancelled = False

    @property
    def completed(self) -> list[Generation]:
        """The generations whose images are on disk."""
        return [each for each in self._generations if each.status == Status.COMPLETED]

    @property
    def failed(self) -> list[Generation]:
        """The generations that ended without images: failed, refused, skipped or uncertain."""
        return [each for each in self._generations if _has_failed(each)]

    @property
    def uncertain(self) -> list[Generation]:
        """The generations whose request may or may not have reached the Hub."""
        return [each for each in self._generations if each.status == Status.UNCERTAIN]

    @property
    def pending(self) -> list[Generation]:
        """The generations that have not ended."""
        return [
            each
            for each in self._generations
            if each.status != Status.COMPLETED and not _has_failed(each)
        ]

    @property
    def images(self) -> list[GeneratedImage]:
        """The images of all generations, in order."""
        return [image for each in self._generations for image in each.images]

    @property
    def whole(self) -> Batch:
        """The batch of which this is a part, or itself."""
        return self if self._whole is None else self._whole

    def where(self, **values: Any) -> Batch:
        """Return the generations whose parameters, variables or columns have these values.

        Args:
            **values: Names and values, such as ``seed=2, time="dawn"``; also ``model``, ``prompt``
                and ``status``.

        Raises:
            KeyError: If no generation has such a name.

        Example:
            >>> len(Batch([]).where())
            0
        """
        for name in values:
            if self._generations and not any(name in facts(each) for each in self):
                known = sorted({name for each in self for name in facts(each)})
                raise KeyError(f"no request has {name!r}; there are: {', '.join(known)}")
        found = [
            each
            for each in self
            if all(_same(facts(each).get(name), value) for name, value in values.items())
        ]
        return self._part(found)

    def add(self, generation: Generation) -> None:
        """Add a handle, while requests are drawn from an iterator."""
        self._generations.append(generation)

    def done(self) -> bool:
        """Return whether all have ended."""
        return not self.feeding and all(each.done() for each in self._generations)

    def cancel(self) -> None:
        """Stop all waits and submit nothing more; submitted tasks go on and can be resumed."""
        self.cancelled = True
        cancel_all(job for each in list(self._generations) if (job := each.job) is not None)

    def wait(self, timeout: float | None = None) -> Batch:
        """Wait until all have ended; an interrupt stops only the wait.

        Args:
            timeout: How long to wait, in seconds; forever if None.

        Returns:
            The batch.

        Raises:
            TimeoutError: If they have not ended in time.
            Interrupted: If the wait was interrupted.
            BatchFailed: If some of them failed.
            MountseaError: If one cause stopped all.
        """
        started = time.monotonic()
        while True:
            feeding, pending = self.feeding, self._first_pending()
            if pending is None and not feeding:
                break
            left_s = _WAIT_S if timeout is None else timeout - (time.monotonic() - started)
            if left_s <= 0:
                raise TimeoutError(f"the batch did not end within {timeout:g} s")
            try:
                if pending is None:
                    time.sleep(min(left_s, _WAIT_S))
                else:
                    pending.wait_until_ended(min(left_s, _WAIT_S))
            except KeyboardInterrupt:
                raise Interrupted(
                    "Stopped waiting. The batch continues in the background; wait again with "
                    "`.wait()`, or stop it with `.cancel()`."
                ) from None
        error = self.error()
        if error is not None:
            raise error
        return self

    def _first_pending(self) -> Generation | None:
        """The first that has not ended, or that no cell shows yet: later outputs would be lost."""
        return next((each for each in self if not each.wait_until_ended(0.0)), None)

    def error(self) -> Exception | None:
        """Return the error of a batch in which some failed, or None.

        Where one cause stopped everything, it is that cause in its own type.
        """
        return batch_error(
            self._generations,
            stopped_by=self.stopped_by,
            batch=self,
            retry=f"{self._name}.retry_failed()",
        )

    def retry_failed(self, uncertain: bool = False) -> Batch:
        """Run those again that have no images, in place: submit the failed, follow the open ones.

        Args:
            uncertain: Also submit uncertain ones anew, which may be charged twice.

        Returns:
            The batch.

        Raises:
            BatchFailed: If some failed again.
            BudgetExceeded: If they would exceed the budget; nothing is sent.
            Interrupted: If the wait was interrupted.
        """
        if self.rerun is not None:
            self.stopped_by = self.rerun(Retry(self, uncertain))
        error = self.error()
        if error is not None:
            raise error
        return self

    def sheet(
        self,
        rows: str | Sequence[str] | None = None,
        columns: str | Sequence[str] | None = None,
        tile: int = 256,
    ) -> Image:
        """Draw a contact sheet: every image of a request in its place, or why there is none.

        Args:
            rows: The axis, or a list of axes, whose values make the rows.
            columns: The axis, or a list of axes, whose values make the columns; by default the
                last axis makes the columns, the others the rows, and a single axis wraps after six.
            tile: The side of a place, in pixels.

        Raises:
            InvalidRequest: If an axis is unknown or used twice, or the tile's size is not valid.
        """
        from .batch_sheet import draw_sheet

        return draw_sheet(self, rows=rows, columns=columns, tile=tile)

    def to_pandas(self) -> pandas.DataFrame:
        """Return a table with one row a request.

        Its columns are ``prompt``, ``model``, each parameter, each column of the table or variable
        of the grid, ``status``, ``task_id``, ``elapsed_s`` (seconds), ``from_journal``, ``files``
        (a list of paths) and ``error``.

        Raises:
            ImportError: If pandas is not installed.
        """
        import pandas

        return pandas.DataFrame([row_of(each) for each in self])

    def save(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Copy the originals to a folder, with telling names and a ``manifest.jsonl``.

        Args:
            folder: The folder; created if it does not exist. Nothing in it is overwritten, and a
                manifest that is there is continued.

        Returns:
            The copies, in the order of the requests.

        Raises:
            InvalidRequest: If the folder can't be created.
            OSError: If a file can't be written.
        """
        target = output_folder(folder)
        width = len(str(len(self)))
        copies = list[Path]()
        with (target / MANIFEST).open("a", encoding="utf-8") as manifest:
            for number, each in enumerate(self, start=1):
                stem = f"{number:0{width}}-{slug(_label(each))}".rstrip("-")
                paths = [copy_into(image, target, stem=stem) for image in each.images]
                row = row_of(each) | {"files": [path.name for path in paths]}
                manifest.write(json_text(row) + "\n")
                copies += paths
        return copies

    def _part(self, generations: Sequence[Generation]) -> Batch:
        """Return a batch of some of the handles."""
        return Batch(
            generations, axes=self.axes, name=self._name, rerun=self.rerun, whole=self.whole
        )

    def _ipython_display_(self) -> None:
        """Show the contact sheet."""
        from ..notebook.batch_outputs import show_batch

        show_batch(self)

    def __await__(self) -> Generator[Any, None, Batch]:
        return self._awaited().__await__()

    async def _awaited(self) -> Batch:
        # on no thread, which would outlive a cancelled caller; no event tells of its end
        while self.feeding or self._first_pending() is not None:  # noqa: ASYNC110
            await asyncio.sleep(_WAIT_S)
        return self.wait()

    def __copy__(self) -> Batch:
        """Copy the list, not the handles; unlike a pickled one it can run again."""
        return self[:]

    def __getstate__(self) -> dict[str, Any]:
        """Pickle everything but what belongs to this process, which runs and feeds it."""
        return vars(self) | {"rerun": None, "feeding": False}

    def __len__(self) -> int:
        return len(self._generations)

    def __iter__(self) -> Iterator[Generation]:
        return iter(self._generations)

    @overload
    def __getitem__(self, index: int) -> Generation: ...

    @overload
    def __getitem__(self, index: slice) -> Batch: ...

    def __getitem__(self, index: int | slice) -> Generation | Batch:
        if isinstance(index, slice):
            return self._part(self._generations[index])
        return self._generations[index]

    def __repr__(self) -> str:
        counts = {
            "completed": len(self.completed),
            "failed": len(self.failed),
            "pending": len(self.pending),
        }
        parts = [f"{count} {word}" for word, count in counts.items() if count]
        return f"<Batch of {len(self)}: {', '.join(parts) or 'empty'}>"


def _has_failed(generation: Generation) -> bool:
    """Whether it ended without images; one that was only interrupted can be followed."""
    has_error = isinstance(generation.error, Exception)
    return has_error and generation.status != Status.COMPLETED and generation.done()


def _label(generation: Generation) -> str:
    """The variables and the prompt of a request, for a file name."""
    return " ".join([*map(str, generation.variables.values()), generation.prompt])


def _same(known: Any, wanted: Any) -> bool:
    """Compare values as a user means them; those of arrays and frames compare to no bool."""
    try:
        same = bool(known == wanted) or (known is not None and str(known) == str(wanted))
        return same or (isinstance(wanted, str) and bool(known == recorded(wanted)))
    except (TypeError, ValueError):
        return False


@dataclass(frozen=True, slots=True)
class Retry:
    """Which generations of a batch to run again.

    Attributes:
        batch: The batch.
        uncertain: Whether uncertain ones are submitted anew, too.
    """

    batch: Batch
    uncertain: bool

    def candidates(self) -> list[Generation]:
        """Return the handles that have ended without images, as they are."""
        return [
            each
            for each in self.batch
            if each.done()
            and each.status != Status.COMPLETED
            and (self.uncertain or each.status != Status.UNCERTAIN)
            and (each.request is not None or each.task_id is not None)
        ]

    def submissions(self) -> list[Generation]:
        """Return those of them that would be submitted, for the budget."""
        return [each for each in self.candidates() if each.needs_submission]

    def take(self) -> list[Generation]:
        """Return the handles, prepared to run again."""
        self.batch.cancelled = False
        taken = self.candidates()
        for each in taken:
            each.reset()
        return taken


Rerun = Callable[[Retry], MountseaError | None]
"""Runs generations again, and returns what stopped that, if anything."""
