"""One generation, from a request to pictures on disk: submits, polls, downloads, yields events."""

from __future__ import annotations

import asyncio
import hashlib
import random
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime
from pathlib import Path

from .client import HubClient
from .errors import (
    DownloadFailed,
    HubUnavailable,
    InvalidRequest,
    MountseaError,
    RateLimited,
    TaskFailed,
    WaitTimeout,
    plain,
    resume_hint,
)
from .events import Completed, Event, Submitted, Waiting
from .fetching import Fetching
from .pictures import file_stem
from .polling import ProportionalSchedule, Schedule
from .protocol import TaskState
from .request import ImageRequest

DEFAULT_TIMEOUT_S = 600.0
NEWBORN_S = 5.0
"""A Hub of several machines may need this long, in seconds, until all of them know a new task."""


async def order(
    client: HubClient,
    request: ImageRequest,
    folder: Path,
    *,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    schedule: Schedule | None = None,
) -> AsyncGenerator[Event, None]:
    """Submit a request once, and follow its task to its pictures.

    Args:
        client: The Hub.
        request: What is ordered.
        folder: Where the originals go.
        timeout_s: How long to wait for the task, in seconds.
        schedule: When to look.

    Yields:
        `Submitted`, then `Waiting` and `Downloading` any number of times, last `Completed`.

    Raises:
        MountseaError: See `HubClient.submit` and `follow`.
    """
    task_id = await client.submit(request)
    yield Submitted(task_id)
    events = follow(
        client,
        task_id,
        folder,
        prompt=request.prompt,
        newborn=True,
        timeout_s=timeout_s,
        schedule=schedule,
    )
    async with aclosing(events):
        async for event in events:
            yield event


async def follow(
    client: HubClient,
    task_id: str,
    folder: Path,
    *,
    prompt: str = "",
    newborn: bool = False,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    schedule: Schedule | None = None,
) -> AsyncGenerator[Event, None]:
    """Wait for a task that was submitted, by whomever, and fetch its pictures.

    Args:
        client: The Hub.
        task_id: The task.
        folder: Where the originals go.
        prompt: The prompt, for the names of the files.
        newborn: Whether it was submitted just now; else the first look is at once.
        timeout_s: How long to wait for the task, in seconds; downloads come on top.
        schedule: When to look.

    Yields:
        `Waiting` and `Downloading` any number of times, last `Completed`.

    Raises:
        TaskFailed: If the task ended without an output.
        WaitTimeout: If it did not end in time.
        DownloadFailed: If its pictures could not be had.
        MountseaError: If the Hub refused to say.
    """
    started = time.monotonic()
    looks = _look(client, task_id, newborn, timeout_s, schedule or ProportionalSchedule())
    async with aclosing(looks):
        async for state in looks:
            if not state.ended:
                yield Waiting(state.status, time.monotonic() - started)
    waited_s = time.monotonic() - started
    if not state.succeeded:
        reason = state.error.rstrip(".") or "the Hub gave no reason"
        raise TaskFailed(
            f"The task ended as {state.status}: {reason}. "
            f"Nothing was charged. Task {plain(task_id)}.",
            task_id=task_id,
        )
    if not state.sources:
        said = plain(state.description or state.error or "nothing more")
        raise DownloadFailed(
            f"The task is {state.status}, but there is no picture in its answer; it may have been "
            f"charged. The Hub said: {said}. Ask again: {resume_hint(task_id)}.",
            task_id=task_id,
        )
    token = hashlib.sha256(task_id.encode()).hexdigest()[:8]
    stem = file_stem(prompt, token, datetime.now())
    fetching = Fetching(client, task_id, state.sources, folder, stem)
    async with aclosing(fetching.all()) as steps:
        async for step in steps:
            yield step
    pictures = fetching.pictures
    elapsed_s = waited_s if newborn or state.elapsed_ms is None else state.elapsed_ms / 1000
    yield Completed(pictures, state.description, elapsed_s)


async def _look(
    client: HubClient, task_id: str, newborn: bool, timeout_s: float, schedule: Schedule
) -> AsyncGenerator[TaskState, None]:
    """Yield every state that the Hub tells until one is final, never past the deadline."""
    started = time.monotonic()
    pause_s = schedule.interval_s(0.0, chance=random.random()) if newborn else 0.0
    trouble = ""
    while True:
        left_s = timeout_s - (time.monotonic() - started)
        if pause_s >= left_s:
            await asyncio.sleep(max(0.0, left_s))
            break
        await asyncio.sleep(pause_s)
        waited_s = time.monotonic() - started
        asked_pause_s = 0.0
        try:
            async with asyncio.timeout(timeout_s - waited_s):
                state = await client.task(task_id)
        except TimeoutError:
            break
        except (HubUnavailable, RateLimited, InvalidRequest) as error:
            unborn = newborn and error.status_code == 404 and waited_s < NEWBORN_S
            if isinstance(error, InvalidRequest) and not unborn:
                if newborn or error.status_code != 404:
                    raise error.concerning(task_id) from None
                raise InvalidRequest(
                    f"The Hub knows no task {plain(task_id)}. {error}",
                    task_id=task_id,
                    status_code=error.status_code,
                ) from None
            trouble = f" The last look failed: {error}"
            asked_pause_s = getattr(error, "retry_after_s", None) or 0.0
        except MountseaError as error:
            raise error.concerning(task_id) from error.__cause__
        else:
            trouble = ""
            yield state
            if state.ended:
                return
        waited_s = time.monotonic() - started
        pause_s = max(schedule.interval_s(waited_s, chance=random.random()), asked_pause_s)
    raise WaitTimeout(
        f"The task was not ready within {timeout_s:g} s; it goes on at the Hub and is charged if "
        f"it completes. Fetch it later: {resume_hint(task_id)}.{trouble}",
        task_id=task_id,
    )
