"""`Generation`: the live handle of one generation, from before its submission to its images."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Generator, Iterator, Mapping
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
from ..hub.status import Status
from ..images.files import GeneratedImage, copy_into
from ..images.user_paths import output_folder
from ..request.request import ImageRequest
from ..runtime.loop_thread import TICK_S, Job
from ..runtime.text import quoted, sanitize
from ..settings import DEFAULT_PREVIEW_PX
from .events import (
    Completed,
    Downloading,
    Event,
    PostprocessFailed,
    RetryScheduled,
    Submitted,
    Submitting,
    Waiting,
)


class Generation:
    """A live handle of one generation; it is updated while the generation runs.

    Attributes:
        request: The request, or None for a task that was resumed by its id alone.
        task_id: The task id, or None before the Hub has accepted the request.
        status: ``new``, ``submitting``, ``postponed`` (the Hub is busy or can't be reached, and
            the submission is retried), ``submitted``, the status reported by the Hub,
            ``downloading``, ``completed``; or ``failed``, ``uncertain``, ``not downloaded``,
            ``skipped``.
        images: The images, in the Hub's order; empty until the generation has completed.
        elapsed_s: Seconds from the submission until the task was complete, or None.
        description: The text that the model returned with the images.
        error: The error that ended the generation, or None.
        is_demo: Whether it runs at the demo Hub.
        from_journal: Whether the images come from an earlier task: nothing was submitted.
        left_out: How many images the Hub returned beyond the number requested; not downloaded.
        variables: What filled the prompt, and other columns of a table: never sent.
        idempotency_key: The key under which the request is submitted at most once, or None.
        postprocessed: What the batch's ``postprocess`` returned, one for each image.

    Args:
        request: The request, or None if only the task id is known.
        task_id: The id of an existing task.
        is_demo: Whether it runs at the demo Hub.
        variables: What filled the prompt, and other columns of a table.
        idempotency_key: The key under which the request is submitted at most once.

    Example:
        >>> dog = Generation(None, task_id="hub-1")
        >>> len(dog), dog.status
        (0, 'new')
    """

    def __init__(
        self,
        request: ImageRequest | None,
        *,
        task_id: str | None = None,
        is_demo: bool = False,
        variables: Mapping[str, Any] | None = None,
        idempotency_key: str | None = None,
    ) -> None:
        self.request = request
        self.task_id = task_id
        self.status: str = Status.NEW
        self.images: tuple[GeneratedImage, ...] = ()
        self.elapsed_s: float | None = None
        self.description = ""
        self.error: BaseException | None = None
        self.is_demo = is_demo
        self.from_journal = False
        self.left_out = 0
        self.variables = dict(variables or {})
        self.idempotency_key = idempotency_key
        self.postprocessed: list[Any] = []
        self.submits_anew = False
        self.preview_px = DEFAULT_PREVIEW_PX
        self._job: Job[Any] | None = None
        self._show_job: Job[Any] | None = None

    @property
    def prompt(self) -> str:
        """The prompt, or an empty text for a task that was resumed by its id alone."""
        return self.request.prompt if self.request is not None else ""

    @property
    def may_be_submitted(self) -> bool:
        """Whether the Hub may have the request: then its task can be fetched later."""
        return self.task_id is not None or self.status == Status.SUBMITTING

    def take(self, event: Event) -> None:
        """Update the handle from an event of its generation.

        Args:
            event: The event.
        """
        if isinstance(event, Submitting):
            self.status, self.error = Status.SUBMITTING, None
        elif isinstance(event, RetryScheduled):
            self.status, self.error = Status.POSTPONED, None
        elif isinstance(event, Submitted):
            self.set_task_id(event.task_id)
        elif isinstance(event, Waiting):
            self.status = event.status
        elif isinstance(event, Downloading):
            self.status = Status.DOWNLOADING
        elif isinstance(event, Completed):
            self._complete(event)

    def fail(self, error: MountseaError, *, resumed: bool) -> None:
        """Record the error that ended the generation, and set the status accordingly.

        Args:
            error: The error.
            resumed: Whether an existing task was resumed, which the Hub may have deleted.
        """
        self.error = error
        deleted = resumed and is_unknown_task(error)
        if isinstance(error, SubmissionUncertain):
            self.status = Status.UNCERTAIN
        elif isinstance(error, TaskFailed | PostprocessFailed) or deleted or error.task_id is None:
            self.status = Status.FAILED
        elif isinstance(error, DownloadFailed):
            self.status = Status.NOT_DOWNLOADED

    def submission_failed(self, error: MountseaError) -> None:
        """Record that a submission has failed, which may be after the wait was interrupted.

        Args:
            error: Why; the submission may be retried.
        """
        if self.status == Status.SUBMITTING:
            self.fail(error, resumed=False)

    def set_task_id(self, task_id: str) -> None:
        """Record the task id, which may arrive after the wait was interrupted.

        Args:
            task_id: The id that the Hub assigned.
        """
        self.task_id, self.status = task_id, Status.SUBMITTED

    def interrupted(self) -> Interrupted:
        """Return the error for an interrupted wait: what is still running, and how to fetch it."""
        if self.status == Status.COMPLETED:
            folder = self.images[0].path.parent
            return Interrupted(f"Stopped. The images are in {folder}.", task_id=self.task_id)
        if self.task_id is not None:
            message = (
                f"Stopped waiting. Task {quoted(self.task_id)} keeps running at the Hub and is "
                f"charged if it completes; fetch it with {resume_hint(self.task_id)}."
            )
        elif self.status == Status.SUBMITTING:
            message = (
                "Stopped waiting. The request is already being submitted and is charged if it "
                "completes; `%mountsea history` will list its task, `%mountsea resume` fetches it."
            )
        else:
            message = "Stopped before anything was submitted."
        self.error = Interrupted(message, task_id=self.task_id)
        return self.error

    @property
    def needs_submission(self) -> bool:
        """Whether running it submits its request: it has no images, and no task to follow."""
        if self.status in (Status.COMPLETED, Status.SUBMITTING):
            return False
        return self.task_id is None or self._task_is_over

    @property
    def _task_is_over(self) -> bool:
        """Whether its task has ended without images that could still be fetched."""
        error = self.error
        gone = isinstance(error, DownloadFailed) and error.gone
        unknown = isinstance(error, MountseaError) and is_unknown_task(error)
        return isinstance(error, TaskFailed) or gone or unknown

    def reset(self) -> None:
        """Prepare a handle that has ended to run again.

        A task that may still have images is followed; else the request is submitted anew, also an
        uncertain one.
        """
        if self._task_is_over:
            self.task_id = None
        self.submits_anew = self.status == Status.UNCERTAIN
        self.status, self.error = Status.NEW, None

    def attach(self, job: Job[Any], shown: Job[Any] | None = None) -> None:
        """Attach the background job, so that it can be waited for and cancelled.

        Args:
            job: The job on the loop thread that fetches the images.
            shown: The job that shows them, if no cell does: `wait` waits for it, too.
        """
        self._job, self._show_job = job, shown

    @property
    def job(self) -> Job[Any] | None:
        """The job on the loop thread that fetches the images, or None."""
        return self._job

    def done(self) -> bool:
        """Return whether it has ended: completed, failed or cancelled."""
        return self._job is None or self._job.ended

    def cancel(self) -> None:
        """Stop waiting. The Hub documents no cancel: the task keeps running and can be resumed."""
        if self._job is not None:
            self._job.cancel()

    def wait(self, timeout: float | None = None) -> Generation:
        """Wait until it has ended; an interrupt stops only the wait.

        Args:
            timeout: How long to wait, in seconds; forever if None.

        Returns:
            The handle itself, completed.

        Raises:
            TimeoutError: If it has not ended in time.
            Interrupted: If the wait was interrupted.
            MountseaError: If the generation failed.
        """
        started = time.monotonic()
        while pending := [job for job in self._jobs() if not job.ended]:
            left_s = TICK_S if timeout is None else timeout - (time.monotonic() - started)
            if left_s <= 0:
                raise TimeoutError(f"the generation did not end within {timeout:g} s")
            try:
                pending[0].wait(min(left_s, TICK_S))
            except KeyboardInterrupt:
                raise Interrupted(
                    "Stopped waiting. The generation continues in the background; wait again with "
                    "`.wait()`, or stop it with `.cancel()`.",
                    task_id=self.task_id,
                ) from None
        if self.error is not None:
            raise self.error
        return self

    def wait_until_ended(self, timeout_s: float) -> bool:
        """Wait a while for its end, and return whether it has ended; raises nothing of its own.

        Args:
            timeout_s: The longest wait, in seconds.
        """
        pending = next((job for job in self._jobs() if not job.ended), None)
        return pending is None or pending.wait(timeout_s)

    def __await__(self) -> Generator[Any, None, Generation]:
        return self._awaited().__await__()

    async def _awaited(self) -> Generation:
        outcomes = [asyncio.wrap_future(job.outcome) for job in self._jobs()]
        if outcomes:
            await asyncio.wait(outcomes)
        for outcome in outcomes:
            if not outcome.cancelled():  # consume the exception: `wait` raises it from the handle
                outcome.exception()
        return self.wait()

    def _jobs(self) -> list[Job[Any]]:
        return [job for job in (self._job, self._show_job) if job is not None]

    def save(self, folder: str | os.PathLike[str]) -> list[Path]:
        """Copy the originals into a folder, with names that sort; overwrites nothing.

        Args:
            folder: Created if it does not exist; `~` and `$VAR` are expanded.

        Returns:
            The paths of the copies, in the order of the images.

        Raises:
            MountseaError: If there are no images yet.
            InvalidRequest: If the path is not a folder, or looks like a file's.
            OSError: If the folder is not writable.
        """
        if not self.images:
            raise MountseaError(
                f"There are no images to save: the generation is {sanitize(self.status)}.",
                task_id=self.task_id,
            )
        target = output_folder(folder)
        return [copy_into(image, target) for image in self.images]

    def _complete(self, event: Completed) -> None:
        self.images = event.images
        self.description = event.description
        self.elapsed_s = event.elapsed_s
        self.from_journal = event.from_journal
        self.left_out = event.left_out
        self.postprocessed = list(event.postprocessed)
        self.task_id = event.task_id or self.task_id
        self.error = None
        self.status = Status.COMPLETED  # last: another thread that sees it finds the images, too

    def _ipython_display_(self) -> None:
        """Show each image as a separate output, which every front end supports."""
        from ..notebook.outputs import show

        show(self)

    def __getstate__(self) -> dict[str, Any]:
        """Pickle everything but the jobs, which belong to this process."""
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
