"""How a request is answered: from the journal, by the task it has already, or by a new order."""

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
from .events import Completed, Event
from .poll import submit_and_wait, wait_for_images
from .submit import PendingSubmissions

REFETCH_S = 20.0
"""How long the Hub is asked for an image that was altered here, in seconds, before a new order."""


@dataclass(frozen=True, slots=True)
class GenerationContext:
    """Where requests are brought to.

    Attributes:
        hub: The Hub's base URL, or ``demo:``.
        client: Gives its client, once it has to be asked.
        journal: The journal.
        pending: What keeps orders alive after an interrupt.
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
    """Answer a request from the journal if that may be, else order it.

    Args:
        context: Where it is brought to.
        request: What is wanted; without a seed a new image is wanted each time.
        on_task_id: Called with the task's id as soon as it is known, also after an interrupt.
        timeout_s: How long to wait for the task, in seconds.
        fresh: Never answer from the journal.
        cache: Answer from it also without a seed.

    Yields:
        The events of the generation, last `Completed`.

    Raises:
        MountseaError: See `submit_and_wait`.
    """
    if not fresh and (cache or request.input.get("seed") is not None):
        fingerprint = request.fingerprint()
        found = await asyncio.to_thread(context.journal.find_identical, context.hub, fingerprint)
        async with aclosing(_from_journal(context, found)) as recalled:
            async for event in recalled:
                yield event
                if isinstance(event, Completed):
                    return
    record = JournaledSubmission(context.journal, Entry.begin(context.hub, request))
    expectation = await _estimate(context, request)
    ordered = submit_and_wait(
        context.client(),
        request,
        record,
        context.folder,
        pending=context.pending,
        on_task_id=on_task_id,
        timeout_s=timeout_s,
        expectation=expectation,
    )
    async with aclosing(ordered):
        async for event in ordered:
            yield event


async def resume(
    context: GenerationContext,
    task_id: str,
    request: ImageRequest | None = None,
    *,
    timeout_s: float = DEFAULT_TIMEOUT_S,
) -> AsyncGenerator[Event, None]:
    """Bring the images of a task, from disk if they are there; nothing is ordered.

    Args:
        context: Where it is brought to.
        task_id: The task.
        request: What was ordered, where that is known.
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
    followed = wait_for_images(
        context.client(),
        JournaledSubmission(context.journal, entry),
        context.folder,
        timeout_s=timeout_s,
        expectation=await _estimate(context, entry.request),
    )
    async with aclosing(followed):
        async for event in followed:
            yield event


async def completed_from_disk(entry: Entry) -> Completed | None:
    """Return the images of an entry if all are on disk as they were received.

    Args:
        entry: The entry of a task.
    """
    if not entry.files:
        return None
    intact = await asyncio.to_thread(lambda: all(image.is_intact() for image in entry.files))
    if not intact:
        return None
    return Completed(entry.files, entry.description, entry.elapsed_s, entry.task_id, True)


async def _estimate(context: GenerationContext, request: ImageRequest | None) -> DurationEstimate:
    """What such tasks took before, on this Hub and for all kernels that share the journal."""
    if request is None:
        return DurationEstimate()
    return estimate_duration(
        await asyncio.to_thread(context.journal.durations, context.hub, request)
    )


async def _from_journal(
    context: GenerationContext, entries: list[Entry]
) -> AsyncGenerator[Event, None]:
    """From disk, or by fetching once more; without `Completed` the images are gone for good."""
    for entry in entries:
        found = await completed_from_disk(entry)
        if found is not None:
            yield found
            return
    for entry in entries:
        record = JournaledSubmission(context.journal, entry)
        followed = wait_for_images(context.client(), record, context.folder, timeout_s=REFETCH_S)
        try:
            async with aclosing(followed):
                async for event in followed:
                    if isinstance(event, Completed):
                        event = replace(event, from_journal=True)
                    yield event
            return
        except MountseaError as error:
            if not _is_gone(error):
                raise


def _is_gone(error: MountseaError) -> bool:
    """Only what the Hub surely has no more is ordered, and paid for, a second time."""
    if isinstance(error, DownloadFailed):
        return error.gone
    return isinstance(error, TaskFailed) or is_unknown_task(error)
