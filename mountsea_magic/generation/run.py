"""Running a request: from the journal, from its existing task, or by a new submission."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
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
    """What a generation needs, and what it reports to.

    Attributes:
        hub: The Hub's base URL, or ``demo:``.
        client: Returns the Hub's client; called only if a request has to be sent.
        journal: The journal.
        pending: Keeps submissions alive after an interrupt.
        folder: Where the originals go.
        on_event: Called with each event.
        on_task_id: Called with the task id as soon as it is known, also after an interrupt.
    """

    hub: str
    client: Callable[[], HubClient]
    journal: Journal
    pending: PendingSubmissions
    folder: Path
    on_event: Callable[[Event], None]
    on_task_id: Callable[[str], None]


async def run(
    context: GenerationContext,
    request: ImageRequest,
    *,
    timeout_s: float = DEFAULT_TIMEOUT_S,
    fresh: bool = False,
    cache: bool = False,
    schedule: Schedule | None = None,
) -> Completed:
    """Return the images of an identical request from the journal, or submit the request.

    Args:
        context: The Hub, the journal, the folder of the originals, and the callbacks.
        request: The request; without a seed it is submitted each time.
        timeout_s: How long to wait for the task, in seconds.
        fresh: Never use the journal.
        cache: Use the journal also without a seed.
        schedule: When to poll a new task; defaults to a `LearnedSchedule` for the estimate.

    Raises:
        MountseaError: See `submit` and `wait_for_images`.
    """
    if not fresh and (cache or request.input.get("seed") is not None):
        fingerprint = request.fingerprint()
        found = await asyncio.to_thread(context.journal.find_identical, context.hub, fingerprint)
        completed = await _from_journal(context, found)
        if completed is not None:
            return completed
    record = JournaledSubmission(context.journal, Entry.begin(context.hub, request))
    estimate = await _estimate(context, request)
    client, on_event = context.client(), context.on_event
    task_id = await submit(
        client,
        request,
        record,
        context.pending,
        on_event=on_event,
        on_task_id=context.on_task_id,
        timeout_s=timeout_s,
    )
    on_event(Submitted(task_id, estimate.median_s))
    return await wait_for_images(
        client,
        record,
        context.folder,
        on_event=on_event,
        just_submitted=True,
        timeout_s=timeout_s,
        estimate=estimate,
        schedule=schedule,
    )


async def resume(
    context: GenerationContext,
    task_id: str,
    request: ImageRequest | None = None,
    *,
    timeout_s: float = DEFAULT_TIMEOUT_S,
) -> Completed:
    """Fetch the images of an existing task, from disk if they are there; submits nothing.

    Args:
        context: The Hub, the journal, the folder of the originals, and the callbacks.
        task_id: The task.
        request: The request of the task, if known.
        timeout_s: How long to wait for the task, in seconds.

    Raises:
        MountseaError: See `wait_for_images`.
    """
    entry = await asyncio.to_thread(context.journal.find, task_id, hub=context.hub)
    if entry is None or entry.hub != context.hub:
        entry = Entry.begin(context.hub, request, task_id=task_id)
    completed = await completed_from_disk(entry)
    if completed is not None:
        return completed
    return await wait_for_images(
        context.client(),
        JournaledSubmission(context.journal, entry),
        context.folder,
        on_event=context.on_event,
        timeout_s=timeout_s,
        estimate=await _estimate(context, entry.request),
    )


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


async def _from_journal(context: GenerationContext, entries: list[Entry]) -> Completed | None:
    """Return an earlier result, from disk or downloaded again; None if all are gone."""
    for entry in entries:
        completed = await completed_from_disk(entry)
        if completed is not None:
            return completed
    for entry in entries:
        try:
            completed = await wait_for_images(
                context.client(),
                JournaledSubmission(context.journal, entry),
                context.folder,
                on_event=context.on_event,
                timeout_s=REFETCH_TIMEOUT_S,
            )
        except MountseaError as error:
            if not _is_gone(error):
                raise
        else:
            return replace(completed, from_journal=True)
    return None


def _is_gone(error: MountseaError) -> bool:
    """Whether the Hub certainly no longer has the images; only then are they paid for again."""
    if isinstance(error, DownloadFailed):
        return error.gone
    return isinstance(error, TaskFailed) or is_unknown_task(error)
