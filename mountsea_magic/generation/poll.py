"""One generation, from a request to images on disk: submits, polls, downloads, yields events."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
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
from ..hub.responses import UNCHARGED, TaskState
from ..hub.retry import is_unknown_task, may_retry_poll
from ..images.files import file_stem
from ..journal.journal import JournaledSubmission
from ..request.request import ImageRequest
from ..runtime.clock import Stopwatch
from ..runtime.rng import RNG
from ..runtime.text import quoted, sanitize_inline
from ..settings import DEFAULT_TIMEOUT_S
from .download import TaskDownloads
from .duration import DurationEstimate
from .events import Completed, Event, Submitted, Waiting
from .schedule import LearnedSchedule, Schedule
from .submit import PendingSubmissions, submit


async def submit_and_wait(
    client: HubClient,
    request: ImageRequest,
    record: JournaledSubmission,
    folder: Path,
    *,
    pending: PendingSubmissions,
    on_task_id: Callable[[str], None],
    timeout_s: float = DEFAULT_TIMEOUT_S,
    expectation: DurationEstimate | None = None,
    schedule: Schedule | None = None,
) -> AsyncGenerator[Event, None]:
    """Submit a request once, and follow its task to its images.

    Args:
        client: The Hub.
        request: What is ordered.
        record: Its entry in the journal.
        folder: Where the originals go.
        pending: What keeps the POST alive after an interrupt.
        on_task_id: Called with the task's id as soon as it is known, also after an interrupt.
        timeout_s: How long to wait for the task, in seconds.
        expectation: When the task will probably be ready.
        schedule: When to look; by the expectation if left out.

    Yields:
        The events of `submit`, then those of `wait_for_images`.

    Raises:
        MountseaError: See `submit` and `wait_for_images`.
    """
    expectation = expectation or DurationEstimate()
    submission = submit(client, request, record, pending, on_task_id, timeout_s=timeout_s)
    async with aclosing(submission) as steps:
        async for step in steps:
            if isinstance(step, Submitted):
                step = Submitted(step.task_id, expectation.median_s)
            yield step
    events = wait_for_images(
        client,
        record,
        folder,
        just_submitted=True,
        timeout_s=timeout_s,
        expectation=expectation,
        schedule=schedule,
    )
    async with aclosing(events):
        async for event in events:
            yield event


async def wait_for_images(
    client: HubClient,
    record: JournaledSubmission,
    folder: Path,
    *,
    just_submitted: bool = False,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    expectation: DurationEstimate | None = None,
    schedule: Schedule | None = None,
) -> AsyncGenerator[Event, None]:
    """Wait for a task that was submitted, by whomever, and fetch its images.

    Args:
        client: The Hub.
        record: The task's entry in the journal, which learns of all that happens.
        folder: Where the originals go.
        just_submitted: Whether it was submitted just now; else the first look is at once.
        timeout_s: How long to wait for the task, in seconds; downloads come on top.
        expectation: When the task will probably be ready.
        schedule: When to look; by the expectation if left out.

    Yields:
        `Waiting` and `Downloading` any number of times, last `Completed`.

    Raises:
        TaskFailed: If the task ended without an output.
        WaitTimeout: If it did not end in time.
        DownloadFailed: If its images could not be had.
        MountseaError: If the Hub refused to say.
    """
    task_id = record.entry.task_id
    if task_id is None:
        raise ValueError("only a task with an id can be followed")
    clock = Stopwatch()
    try:
        age_s = _age_s(record, just_submitted)
        before_s = 0.0 if just_submitted else max(0.0, time.time() - record.entry.created)
        expectation = expectation or DurationEstimate()
        looks = _poll(
            client,
            task_id,
            timeout_s,
            schedule or LearnedSchedule(expectation),
            just_submitted=just_submitted,
            age_s=age_s,
        )
        async with aclosing(looks):
            async for state in looks:
                await record.note(state=state.status)
                if not state.ended:
                    yield Waiting(state.status, before_s + clock.elapsed_s, expectation.median_s)
        waited_s = clock.elapsed_s
        if not state.succeeded or not state.sources:
            raise _without_images(task_id, state)
        token = hashlib.sha256(task_id.encode("utf-8", "replace")).hexdigest()[:8]
        stem = file_stem(record.entry.prompt, token, datetime.now())
        most = max_images(record.entry.request)
        fetching = TaskDownloads(client, task_id, state.sources, folder, stem, most=most)
        async with aclosing(fetching.all()) as steps:
            async for step in steps:
                yield step
    except MountseaError as error:
        mistyped = is_unknown_task(error) and record.entry.state == "resumed"
        if not mistyped:
            state_now = _state_after(error, record.entry.state, just_submitted)
            await record.note(state=state_now, error=str(error))
        raise
    # how long a resumed task took is known to the Hub alone
    told_s = None if state.elapsed_ms is None else state.elapsed_ms / 1000
    elapsed_s = waited_s if just_submitted else told_s
    await record.note(
        files=fetching.images, elapsed_s=elapsed_s, description=state.description, error=""
    )
    yield Completed(
        fetching.images, state.description, elapsed_s, task_id, left_out=fetching.left_out
    )


def _age_s(record: JournaledSubmission, just_submitted: bool) -> float | None:
    """How old a task is, where it may be too new to be known; a mistyped id gets no grace."""
    if just_submitted:
        return 0.0
    if record.entry.state != "submitted":
        return None
    return max(0.0, time.time() - record.entry.updated)


def _without_images(task_id: str, state: TaskState) -> MountseaError:
    """An end without an image: free if it failed, but not if it is said to be complete."""
    if not state.succeeded:
        reason = (state.error or state.explanation).rstrip(".") or "the Hub gave no reason"
        return TaskFailed(
            f"The task ended as {state.status}: {reason}. "
            f"Nothing was charged. Task {quoted(task_id)}.",
            task_id=task_id,
        )
    message = sanitize_inline(state.explanation or state.description or state.error).rstrip(".")
    return DownloadFailed(
        f"The task is {state.status}, but there is no image in its response; it may have been "
        f"charged. The Hub said: {message or 'nothing more'}. Ask again: {resume_hint(task_id)}.",
        task_id=task_id,
        gone=True,
    )


def _state_after(error: MountseaError, state: str, just_submitted: bool) -> str:
    """A failed task is closed whatever the Hub calls it, and so is one that it has forgotten."""
    if isinstance(error, TaskFailed):
        return state if state in UNCHARGED else "failed"
    return "forgotten" if is_unknown_task(error) and not just_submitted else state


async def _poll(
    client: HubClient,
    task_id: str,
    timeout_s: float,
    schedule: Schedule,
    *,
    just_submitted: bool,
    age_s: float | None,
) -> AsyncGenerator[TaskState, None]:
    """Yield every state that the Hub tells until one is final, never past the deadline."""
    clock = Stopwatch()
    pause_s = schedule.interval_s(0.0, jitter=RNG.random()) if just_submitted else 0.0
    trouble = ""
    while True:
        left_s = timeout_s - clock.elapsed_s
        if pause_s >= left_s:
            await asyncio.sleep(max(0.0, left_s))
            break
        await asyncio.sleep(pause_s)
        waited_s = clock.elapsed_s
        asked_pause_s = 0.0
        try:
            async with asyncio.timeout(timeout_s - waited_s):
                state = await client.task(task_id)
        except TimeoutError:
            break
        except (HubUnavailable, RateLimited, InvalidRequest) as error:
            if not may_retry_poll(error, age_s=None if age_s is None else age_s + waited_s):
                if just_submitted or not is_unknown_task(error):
                    raise error.with_task(task_id) from None
                raise InvalidRequest(
                    f"The Hub knows no task {quoted(task_id)}. {error}",
                    task_id=task_id,
                    status_code=error.status_code,
                ) from None
            trouble = f" The last look failed: {error}"
            asked_pause_s = getattr(error, "retry_after_s", None) or 0.0
        except MountseaError as error:
            raise error.with_task(task_id) from error.__cause__
        else:
            trouble = ""
            yield state
            if state.ended:
                return
        waited_s = clock.elapsed_s
        since_s = (age_s or 0.0) + waited_s
        pause_s = max(schedule.interval_s(since_s, jitter=RNG.random()), asked_pause_s)
    raise WaitTimeout(
        f"The task was not ready within {timeout_s:g} s; it goes on at the Hub and is charged if "
        f"it completes. Fetch it later: {resume_hint(task_id)}.{trouble}",
        task_id=task_id,
    )
