"""Running a request: from the journal, from its existing task, or by a new submission."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from pathlib import Path

from ..errors import DownloadFailed, MountseaError, TaskFailed
from ..hub.client import HubClient
from ..hub.retry import is_unknown_task
from ..journal.entry import Entry
from ..journal.journal import Journal, JournaledSubmission
from ..request.request import ImageRequest
from ..settings import DEFAULT_TIMEOUT_S
from .duration import DurationEstimate, estimate_duration
from .events import Completed, Event, Submitted
from .poll import wait_for_images
from .schedule import Schedule
from .submit import PendingSubmissions, submit

REFETCH_TIMEOUT_S = 20.0
"""How long to wait, in seconds, for a task whose files were changed or deleted on this disk."""


@dataclass(frozen=True, slots=True)
class GenerationContext:
    """What a generation needs: the Hub, the journal and the folder of the originals.

    Attributes:
        hub: The Hub's base URL, or ``demo:``.
        client: Returns the Hub's client; called only if a request has to be sent.
        journal: The journal.
        pending: Keeps submissions alive after an interrupt.
        folder: Where the originals go.
    """

    hub: str
    client: Callable[[], HubClient]
    journal: Journal
    pending: PendingSubmissions
    folder: Path


async def run(
    context: GenerationContext,
    request: ImageRequest,
    *,
    on_task_id: Callable[[str], None],
    timeout_s: float = DEFAULT_TIMEOUT_S,
    fresh: bool = False,
    cache: bool = False,
) -> AsyncGenerator[Event, None]:
    """Return the images of an identical request from the journal, or submit the request.

    Args:
        context: The Hub, the journal and the folder of the originals.
        request: The request; without a seed it is submitted each time.
        on_task_id: Called with the task id as soon as it is known, also after an interrupt.
        timeout_s: How long to wait for the task, in seconds.
        fresh: Never use the journal.
        cache: Use the journal also without a seed.

    Yields:
        The events of the generation, last `Completed`.

    Raises:
        MountseaError: See `submit_and_wait`.
    """
    if not fresh and (cache or request.input.get("seed") is not None):
        fingerprint = request.fingerprint()
        found = await asyncio.to_thread(context.journal.find_identical, context.hub, fingerprint)
        async with aclosing(_from_journal(context, found)) as events:
            async for event in events:
                yield event
                if isinstance(event, Completed):
                    return
    record = JournaledSubmission(context.journal, Entry.begin(context.hub, request))
    estimate = await _estimate(context, request)
    submitted = submit_and_wait(
        context.client(),
        request,
        record,
        context.folder,
        pending=context.pending,
        on_task_id=on_task_id,
        timeout_s=timeout_s,
        estimate=estimate,
    )
    async with aclosing(submitted) as events:
        async for event in events:
            yield event


async def submit_and_wait(
    client: HubClient,
    request: ImageRequest,
    record: JournaledSubmission,
    folder: Path,
    *,
    pending: PendingSubmissions,
    on_task_id: Callable[[str], None],
    timeout_s: float = DEFAULT_TIMEOUT_S,
    estimate: DurationEstimate | None = None,
    schedule: Schedule | None = None,
) -> AsyncGenerator[Event, None]:
    """Submit a request once, wait for its task and download the images.

    Args:
        client: The Hub's client.
        request: The request.
        record: Its journal entry.
        folder: Where the originals go.
        pending: Keeps the POST alive after an interrupt.
        on_task_id: Called with the task id as soon as it is known, also after an interrupt.
        timeout_s: How long to wait for the task, in seconds.
        estimate: The estimated duration of the task.
        schedule: When to poll; defaults to a `LearnedSchedule` for the estimate.

    Yields:
        The events of `submit`, then those of `wait_for_images`.

    Raises:
        MountseaError: See `submit` and `wait_for_images`.
    """
    estimate = estimate or DurationEstimate()
    submission = submit(client, request, record, pending, on_task_id, timeout_s=timeout_s)
    async with aclosing(submission):
        async for step in submission:
            if isinstance(step, Submitted):
                step = Submitted(step.task_id, estimate.median_s)
            yield step
    waiting = wait_for_images(
        client,
        record,
        folder,
        just_submitted=True,
        timeout_s=timeout_s,
        estimate=estimate,
        schedule=schedule,
    )
    async with aclosing(waiting) as events:
        async for event in events:
            yield event


async def resume(
    context: GenerationContext,
    task_id: str,
    request: ImageRequest | None = None,
    *,
    timeout_s: float = DEFAULT_TIMEOUT_S,
) -> AsyncGenerator[Event, None]:
    """Fetch the images of an existing task, from disk if they are there; submits nothing.

    Args:
        context: The Hub, the journal and the folder of the originals.
        task_id: The task.
        request: The request of the task, if known.
        timeout_s: How long to wait for the task, in seconds.

    Yields:
        The events of the generation, last `Completed`.

    Raises:
        MountseaError: See `wait_for_images`.
    """
    entry = await asyncio.to_thread(context.journal.find, task_id, hub=context.hub)
    if entry is None or entry.hub != context.hub:
        entry = Entry.begin(context.hub, request, task_id=task_id)
    found = await completed_from_disk(entry)
    if found is not None:
        yield found
        return
    waiting = wait_for_images(
        context.client(),
        JournaledSubmission(context.journal, entry),
        context.folder,
        timeout_s=timeout_s,
        estimate=await _estimate(context, entry.request),
    )
    async with aclosing(waiting) as events:
        async for event in events:
            yield event


async def completed_from_disk(entry: Entry) -> Completed | None:
    """Return the images of a journal entry if all files are on disk and unchanged.

    Args:
        entry: The journal entry of a task.
    """
    if not entry.files:
        return None
    intact = await asyncio.to_thread(lambda: all(image.is_intact() for image in entry.files))
    if not intact:
        return None
    return Completed(entry.files, entry.description, entry.elapsed_s, entry.task_id, True)


async def _estimate(context: GenerationContext, request: ImageRequest | None) -> DurationEstimate:
    """Estimate the duration from all tasks in the journal that are like this one."""
    if request is None:
        return DurationEstimate()
    return estimate_duration(
        await asyncio.to_thread(context.journal.durations, context.hub, request)
    )


async def _from_journal(
    context: GenerationContext, entries: list[Entry]
) -> AsyncGenerator[Event, None]:
    """Yield an earlier result, from disk or downloaded again; no `Completed` if all are gone."""
    for entry in entries:
        found = await completed_from_disk(entry)
        if found is not None:
            yield found
            return
    for entry in entries:
        record = JournaledSubmission(context.journal, entry)
        waiting = wait_for_images(
            context.client(), record, context.folder, timeout_s=REFETCH_TIMEOUT_S
        )
        try:
            async with aclosing(waiting) as events:
                async for event in events:
                    if isinstance(event, Completed):
                        event = replace(event, from_journal=True)
                    yield event
            return
        except MountseaError as error:
            if not _is_gone(error):
                raise


def _is_gone(error: MountseaError) -> bool:
    """Whether the Hub certainly no longer has the images; only then are they paid for again."""
    if isinstance(error, DownloadFailed):
        return error.gone
    return isinstance(error, TaskFailed) or is_unknown_task(error)
