"""`Generation`: the live handle of one generation, from before it is ordered until it is shown."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import overload

from .errors import Interrupted, MountseaError, plain, resume_hint
from .events import Completed, Downloading, Event, Submitted, Submitting, Waiting
from .pictures import Picture, copy_into
from .request import ImageRequest


class Generation:
    """One generation: it alone changes while it runs; what it holds is frozen.

    Attributes:
        request: What was ordered, or None for a task that was resumed by its id alone.
        task_id: The task's id, or None before the Hub has taken the order.
        status: ``new``, ``submitting``, the Hub's own word, ``downloading``, ``completed``,
            ``failed``, or ``uncertain``.
        images: The pictures, in the Hub's order; none before it is completed.
        elapsed_s: Seconds from the submission until it was ready, or None.
        description: What the model said beside the pictures.
        error: What ended it, where something did.
        is_demo: Whether the demo Hub drew its pictures.
        from_journal: Whether they were paid for before: nothing was ordered for them.

    Example:
        >>> dog = Generation(None, task_id="hub-1")
        >>> len(dog), dog.status
        (0, 'new')
    """

    def __init__(
        self, request: ImageRequest | None, *, task_id: str | None = None, is_demo: bool = False
    ) -> None:
        """Make a handle of a generation that has not begun."""
        self.request = request
        self.task_id = task_id
        self.status = "new"
        self.images: tuple[Picture, ...] = ()
        self.elapsed_s: float | None = None
        self.description = ""
        self.error: BaseException | None = None
        self.is_demo = is_demo
        self.from_journal = False
        self.preview_px = 768

    @property
    def prompt(self) -> str:
        """The prompt, or an empty text for a task that was resumed by its id alone."""
        return self.request.prompt if self.request is not None else ""

    def take(self, event: Event) -> None:
        """Learn from an event of the generation.

        Args:
            event: The newest event.
        """
        if isinstance(event, Submitting):
            self.status = "submitting"
        elif isinstance(event, Submitted):
            self.learn_task(event.task_id)
        elif isinstance(event, Waiting):
            self.status = event.status
        elif isinstance(event, Downloading):
            self.status = "downloading"
        elif isinstance(event, Completed):
            self._complete(event)

    def learn_task(self, task_id: str) -> None:
        """Learn the task's id, be it after the wait was interrupted.

        Args:
            task_id: The id that the Hub gave.
        """
        self.task_id, self.status = task_id, "submitted"

    def interrupted(self) -> Interrupted:
        """Return the error of an interrupted wait: what goes on, and how to get at it."""
        if self.task_id is not None:
            said = (
                f"Stopped waiting. Task {plain(self.task_id)} goes on at the Hub, and is charged "
                f"if it completes; fetch it with {resume_hint(self.task_id)}."
            )
        elif self.status == "submitting":
            said = (
                "Stopped waiting. The order is on its way, and is charged if it completes; its "
                "task will be in `%mountsea history`, fetch it with `%mountsea resume`."
            )
        else:
            said = "Stopped before anything was ordered."
        self.error = Interrupted(said, task_id=self.task_id)
        return self.error

    def save(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Copy the originals into a folder, under names that sort; overwrites nothing.

        Args:
            folder: Made if it is not there.

        Returns:
            The paths of the copies, in the pictures' order.

        Raises:
            MountseaError: If there are no pictures yet.
            OSError: If the folder can't be written to.
        """
        if not self.images:
            raise MountseaError(
                f"There are no pictures to save: the generation is {self.status}.",
                task_id=self.task_id,
            )
        return [copy_into(picture, Path(folder).expanduser()) for picture in self.images]

    def _complete(self, event: Completed) -> None:
        """All at once, so that whoever sees `completed` sees the pictures too."""
        self.images = event.pictures
        self.description = event.description
        self.elapsed_s = event.elapsed_s
        self.from_journal = event.from_journal
        self.task_id = event.task_id or self.task_id
        self.status = "completed"

    def _ipython_display_(self) -> None:
        """Each picture is an output of its own, so that every front end can show it."""
        from .display import show

        show(self)

    def __len__(self) -> int:
        return len(self.images)

    def __iter__(self) -> Iterator[Picture]:
        return iter(self.images)

    @overload
    def __getitem__(self, index: int) -> Picture: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Picture, ...]: ...

    def __getitem__(self, index: int | slice) -> Picture | tuple[Picture, ...]:
        return self.images[index]

    def __repr__(self) -> str:
        model = self.request.model if self.request is not None else "resumed"
        count = f", {len(self)} picture{'s' if len(self) != 1 else ''}" if self.images else ""
        return f"<Generation {model} {self.status}{count}, task {self.task_id}>"
