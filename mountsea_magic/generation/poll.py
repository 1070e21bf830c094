"""Polling: wait for a submitted task and download its images."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from ..errors import (
    DownloadFailed,
    HubUnavailable,
    InvalidRequest,
    MountseaError,
    RateLimited,
    TaskFailed,
    WaitTimeout,
    resume_hint,
)
from ..hub.client import HubClient
from ..hub.image_counts import max_images
from ..hub.responses import HubTask
from ..hub.retry import is_unknown_task, may_retry_poll
from ..hub.status import UNCHARGED, Status
from ..images.files import file_stem
from ..journal.journal import JournaledSubmission, kind_of
from ..request.request import ImageRequest
from ..runtime.clock import Stopwatch
from ..runtime.rng import RNG
from ..runtime.text import quoted, sanitize_inline
from ..settings import DEFAULT_TIMEOUT_S
from .admission import SINGLE, Admission
from .download import TaskDownloads
from .duration import DurationEstimate
from .events import Completed, Event, Waiting
from .executors import HERE, ImageWorkers
from .schedule import Schedule


async def wait_for_images(
    client: HubClient,
    record: JournaledSubmission,
    folder: Path,
    *,
    on_event: Callable[[Event], None],
    just_submitted: bool = False,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    estimate: DurationEstimate | None = None,
    schedule: Schedule | None = None,
    admission: Admission = SINGLE,
    workers: ImageWorkers = HERE,
    request: ImageRequest | None = None,
) -> Completed:
    """Wait for a task and download its images.

    Args:
        client: The Hub's client.
        record: The task's journal entry, which is kept up to date.
        folder: Where the originals go.
        on_event: Called with `Waiting` after each poll of a running task, then with `Downloading`.
        just_submitted: Whether it was submitted just now; otherwise the first poll is immediate.
        timeout_s: How long to wait for the task, in seconds, not counting the downloads.
        estimate: The estimated duration of the task.
        schedule: When to poll; defaults to the admission's schedule for the estimate.
        admission: Where the task has its place, from its submission or from now on; it is
            released when the task has ended, before the downloads.
        workers: Where its images are downloaded and post-processed.
        request: The request for ``postprocess``; the journal's, without input images, by default.

    Returns:
        The images, which are on disk and journaled.

    Raises:
        TaskFailed: If the task failed; nothing was charged.
        WaitTimeout: If it did not end in time.
        DownloadFailed: If its images could not be downloaded.
        PostprocessFailed: If ``postprocess`` raised; the images are on disk and journaled.
        MountseaError: If the Hub refused to report its status.
    """
    task_id, request = record.entry.task_id, request or record.entry.request
    if task_id is None:
        raise ValueError("only a task with an id can be polled")
    clock = Stopwatch()
    estimate = estimate or DurationEstimate()
    age_s = 0.0 if just_submitted else max(0.0, time.time() - record.entry.created)
    try:
        if not just_submitted:
            await admission.admit_task()
        try:
            task, duration_s = await _poll(
                client,
                record,
                schedule or admission.schedule(estimate, kind_of(request)),
                lambda text: on_event(Waiting(text, age_s + clock.elapsed_s, estimate.median_s)),
                admission,
                timeout_s=timeout_s,
                just_submitted=just_submitted,
            )
            if not task.succeeded or not task.sources:
                raise _no_images_error(task_id, task)
        except BaseException as error:
            admission.release(ran=True, error=error if isinstance(error, MountseaError) else None)
            raise
        admission.release(ran=True)
        waited_s = clock.elapsed_s
        token = hashlib.sha256(task_id.encode("utf-8", "replace")).hexdigest()[:8]
        stem = file_stem(record.entry.prompt, token, datetime.now())
        limit = max_images(record.entry.request)
        downloads = TaskDownloads(
            *(client, task_id, task.sources, folder, stem),
            limit=limit,
            workers=workers,
            request=request,
        )
        images = await downloads.all(on_event)
    except MountseaError as error:
        mistyped = is_unknown_task(error) and record.entry.status == Status.RESUMED
        if not mistyped:
            status = _status_after(error, record.entry.status, just_submitted)
            await record.update(status=status, error=str(error))
        raise
    # only the Hub knows how long a resumed task took
    reported_s = None if task.elapsed_ms is None else task.elapsed_ms / 1000
    elapsed_s = waited_s if just_submitted else reported_s
    await record.update(
        files=images,
        elapsed_s=elapsed_s,
        duration_s=duration_s,
        description=task.description,
        error="",
    )
    return await workers.postprocess(
        Completed(images, task.description, elapsed_s, task_id, left_out=downloads.left_out),
        request,
        outcomes=downloads.outcomes,
        on_event=on_event,
    )


def _duration_s(task: HubTask, seen_s: tuple[float, float] | None) -> float | None:
    """How long a task took: as the Hub reports it, else between the last two polls.

    Args:
        task: The response of the last poll.
        seen_s: When it was last seen running, and when it was seen to have ended, in seconds since
            its submission; None for a task that was submitted earlier.
    """
    reported_s = None if task.elapsed_ms is None else task.elapsed_ms / 1000
    if seen_s is None:
        return reported_s
    running_at_s, ended_at_s = seen_s
    # a Hub whose clock or unit is wrong reports more than the time that has passed, or nothing; one
    # that does not count the time in its queue reports less than the task was seen running
    if reported_s is not None and running_at_s * 0.9 <= reported_s <= ended_at_s and reported_s > 0:
        return reported_s
    return (running_at_s + ended_at_s) / 2


def _age_s(record: JournaledSubmission, just_submitted: bool) -> float | None:
    """The age of a task that the Hub may not know yet; None for one that gets no grace period."""
    if just_submitted:
        return 0.0
    if record.entry.status != Status.SUBMITTED:
        return None
    return max(0.0, time.time() - record.entry.updated)


def _no_images_error(task_id: str, task: HubTask) -> MountseaError:
    """The error for a task without images: a failed one is free, a completed one may not be."""
    if not task.succeeded:
        reason = (task.error or task.explanation).rstrip(".") or "the Hub gave no reason"
        return TaskFailed(
            f"The task ended with status {task.status}: {reason}. "
            f"Nothing was charged. Task {quoted(task_id)}.",
            task_id=task_id,
        )
    message = sanitize_inline(task.explanation or task.description or task.error).rstrip(".")
    return DownloadFailed(
        f"The task is {task.status}, but its response contains no image; it may have been "
        f"charged. Message from the Hub: {message or 'none'}. Retry: {resume_hint(task_id)}.",
        task_id=task_id,
        gone=True,
    )


def _status_after(error: MountseaError, status: str, just_submitted: bool) -> str:
    """The journal's status after an error: failed and unknown tasks are closed."""
    if isinstance(error, TaskFailed):
        return status if status in UNCHARGED else Status.FAILED
    return Status.FORGOTTEN if is_unknown_task(error) and not just_submitted else status


async def _poll(
    client: HubClient,
    record: JournaledSubmission,
    schedule: Schedule,
    on_running: Callable[[str], None],
    admission: Admission,
    *,
    timeout_s: float,
    just_submitted: bool,
) -> tuple[HubTask, float | None]:
    """Poll until the task has ended, never past the timeout; journal each status.

    Returns the last response, and how long the task took in seconds, or None if unknown.
    """
    task_id, age_s = str(record.entry.task_id), _age_s(record, just_submitted)
    clock = Stopwatch()
    pause_s = schedule.interval_s(0.0, jitter=RNG.random()) if just_submitted else 0.0
    last_failure, running_at_s = "", 0.0
    while True:
        left_s = timeout_s - clock.elapsed_s
        if pause_s >= left_s:
            await asyncio.sleep(max(0.0, left_s))
            break
        await asyncio.sleep(pause_s)
        await admission.poll_turn(clock.elapsed_s)
        waited_s = clock.elapsed_s
        retry_after_s = 0.0
        try:
            async with asyncio.timeout(timeout_s - waited_s):
                task = await client.task(task_id)
        except TimeoutError:
            break
        except (HubUnavailable, RateLimited, InvalidRequest) as error:
            if not may_retry_poll(error, age_s=None if age_s is None else age_s + waited_s):
                if just_submitted or not is_unknown_task(error):
                    raise error.with_task(task_id) from None
                raise InvalidRequest(
                    f"The Hub has no task {quoted(task_id)}. {error}",
                    task_id=task_id,
                    status_code=error.status_code,
                ) from None
            last_failure = f" The last poll failed: {error}"
            retry_after_s = getattr(error, "retry_after_s", None) or 0.0
        except MountseaError as error:
            raise error.with_task(task_id) from error.__cause__
        else:
            last_failure = ""
            if task.ended:
                # written with the images, which it would delay, or with the error
                record.change(status=task.status)
                seen_s = (running_at_s, waited_s) if just_submitted else None
                return task, _duration_s(task, seen_s)
            await record.update(status=task.status)
            running_at_s = waited_s
            on_running(task.status)
        waited_s = clock.elapsed_s
        total_s = (age_s or 0.0) + waited_s
        pause_s = max(schedule.interval_s(total_s, jitter=RNG.random()), retry_after_s)
    raise WaitTimeout(
        f"The task was not ready within {timeout_s:g} s; it keeps running at the Hub and is "
        f"charged if it completes. Fetch it later: {resume_hint(task_id)}.{last_failure}",
        task_id=task_id,
    )
