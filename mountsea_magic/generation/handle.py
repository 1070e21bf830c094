"""`Generation`: the live handle of one generation, from before it is ordered until it is shown."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any, overload

from ..errors import (
    DownloadFailed,
    Interrupted,
    MountseaError,
    SubmissionUncertain,
    TaskFailed,
    resume_hint,
)
from ..hub.retry import is_unknown_task
from ..images.files import GeneratedImage, copy_into
from ..images.user_paths import output_folder
from ..request.request import ImageRequest
from ..runtime.loop_thread import TICK_S, Job
from ..runtime.text import quoted, sanitize
from ..settings import DEFAULT_PREVIEW_PX
from .events import Completed, Downloading, Event, RetryScheduled, Submitted, Submitting, Waiting


class Generation:
    """One generation: it alone changes while it runs; what it holds is frozen.

    Attributes:
        request: What was ordered, or None for a task that was resumed by its id alone.
        task_id: The task's id, or None before the Hub has taken the order.
        status: ``new``, ``submitting``, ``postponed`` (the Hub is busy or out of reach, and the
            order goes out again), ``submitted``, the Hub's own word, ``downloading``,
            ``completed``; or ``failed``, ``uncertain``, ``not downloaded``, ``skipped``.
        images: The images, in the Hub's order; none before it is completed.
        elapsed_s: Seconds from the submission until it was ready, or None.
        description: What the model said beside the images.
        error: What ended it, where something did.
        is_demo: Whether the demo Hub drew its images.
        from_journal: Whether they were paid for before: nothing was ordered for them.
        left_out: How many images the Hub named beside those that were asked for; not fetched.

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
        self.images: tuple[GeneratedImage, ...] = ()
        self.elapsed_s: float | None = None
        self.description = ""
        self.error: BaseException | None = None
        self.is_demo = is_demo
        self.from_journal = False
        self.left_out = 0
        self.preview_px = DEFAULT_PREVIEW_PX
        self._job: Job[Any] | None = None
        self._show_job: Job[Any] | None = None

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
        elif isinstance(event, RetryScheduled):
            self.status = "postponed"
        elif isinstance(event, Submitted):
            self.learn_task(event.task_id)
        elif isinstance(event, Waiting):
            self.status = event.status
        elif isinstance(event, Downloading):
            self.status = "downloading"
        elif isinstance(event, Completed):
            self._complete(event)

    def fail(self, error: MountseaError, *, resumed: bool) -> None:
        """Learn what ended it; without a task, or with a failed one, there is nothing to wait for.

        Args:
            error: What went wrong.
            resumed: Whether it had a task before, which the Hub may have forgotten.
        """
        self.error = error
        forgotten = resumed and is_unknown_task(error)
        if isinstance(error, SubmissionUncertain):
            self.status = "uncertain"
        elif isinstance(error, TaskFailed) or forgotten or error.task_id is None:
            self.status = "failed"
        elif isinstance(error, DownloadFailed):
            self.status = "not downloaded"

    def learn_task(self, task_id: str) -> None:
        """Learn the task's id, be it after the wait was interrupted.

        Args:
            task_id: The id that the Hub gave.
        """
        self.task_id, self.status = task_id, "submitted"

    def interrupted(self) -> Interrupted:
        """Return the error of an interrupted wait: what goes on, and how to get at it."""
        if self.status == "completed":
            where = self.images[0].path.parent
            return Interrupted(f"Stopped. The images are in {where}.", task_id=self.task_id)
        if self.task_id is not None:
            said = (
                f"Stopped waiting. Task {quoted(self.task_id)} goes on at the Hub, and is charged "
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

    def attach(self, job: Job[Any], shown: Job[Any] | None = None) -> None:
        """Bind the job that brings the images, so that it can be waited for and cancelled.

        Args:
            job: The job on the loop thread.
            shown: The job that shows them, where no cell does: a wait lasts until they are shown.
        """
        self._job, self._show_job = job, shown

    def done(self) -> bool:
        """Return whether it is over: completed, failed or cancelled."""
        return self._job is None or self._job.ended

    def cancel(self) -> None:
        """Stop waiting; the Hub documents no cancel, so its task goes on and can be resumed."""
        if self._job is not None:
            self._job.cancel()

    def wait(self, timeout: float | None = None) -> Generation:
        """Wait until it is over; an interrupt stops the wait alone.

        Args:
            timeout: How long to wait, in seconds.

        Returns:
            The handle itself, completed.

        Raises:
            TimeoutError: If it is not over in time.
            Interrupted: If the wait was interrupted.
            MountseaError: What went wrong with it.
        """
        started = time.monotonic()
        while pending := [job for job in self._jobs() if not job.ended]:
            left_s = TICK_S if timeout is None else timeout - (time.monotonic() - started)
            if left_s <= 0:
                raise TimeoutError(f"the generation is not over within {timeout:g} s")
            try:
                pending[0].wait(min(left_s, TICK_S))
            except KeyboardInterrupt:
                raise Interrupted(
                    "Stopped waiting. The generation goes on in the background; wait again with "
                    "`.wait()`, or end it with `.cancel()`.",
                    task_id=self.task_id,
                ) from None
        if self.error is not None:
            raise self.error
        return self

    def __await__(self) -> Generator[Any, None, Generation]:
        return self._awaited().__await__()

    async def _awaited(self) -> Generation:
        """The job's own error is this handle's, so it is raised from here."""
        outcomes = [asyncio.wrap_future(job.outcome) for job in self._jobs()]
        if outcomes:
            await asyncio.wait(outcomes)
        for outcome in outcomes:
            if not outcome.cancelled():
                outcome.exception()
        return self.wait()

    def _jobs(self) -> list[Job[Any]]:
        """What a wait is for."""
        return [job for job in (self._job, self._show_job) if job is not None]

    def save(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Copy the originals into a folder, under names that sort; overwrites nothing.

        Args:
            folder: Made if it is not there; `~` and `$VAR` are expanded.

        Returns:
            The paths of the copies, in the images' order.

        Raises:
            MountseaError: If there are no images yet.
            InvalidRequest: If it can't be a folder, or is meant to be a file.
            OSError: If the folder can't be written to.
        """
        if not self.images:
            raise MountseaError(
                f"There are no images to save: the generation is {sanitize(self.status)}.",
                task_id=self.task_id,
            )
        target = output_folder(folder)
        return [copy_into(image, target) for image in self.images]

    def _complete(self, event: Completed) -> None:
        """All at once, so that whoever sees `completed` sees the images too."""
        self.images = event.images
        self.description = event.description
        self.elapsed_s = event.elapsed_s
        self.from_journal = event.from_journal
        self.left_out = event.left_out
        self.task_id = event.task_id or self.task_id
        self.error = None
        self.status = "completed"

    def _ipython_display_(self) -> None:
        """Each image is an output of its own, so that every front end can show it."""
        from ..notebook.outputs import show

        show(self)

    def __getstate__(self) -> dict[str, Any]:
        """A result can be kept; the job that brought it is of this process."""
        return vars(self) | {"_job": None, "_show_job": None}

    def __len__(self) -> int:
        return len(self.images)

    def __iter__(self) -> Iterator[GeneratedImage]:
        return iter(self.images)

    @overload
    def __getitem__(self, index: int) -> GeneratedImage: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[GeneratedImage, ...]: ...

    def __getitem__(self, index: int | slice) -> GeneratedImage | tuple[GeneratedImage, ...]:
        return self.images[index]

    def __repr__(self) -> str:
        model = quoted(self.request.model) if self.request is not None else "resumed"
        task = quoted(self.task_id) if self.task_id is not None else "None"
        count = f", {len(self)} image{'s' if len(self) != 1 else ''}" if self.images else ""
        return f"<Generation {model} {sanitize(self.status, limit=40)}{count}, task {task}>"
