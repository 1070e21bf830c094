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
from ..journal.journal import Journal, Record
from ..request.request import ImageRequest
from ..settings import DEFAULT_TIMEOUT_S
from .duration import Expectation, expect
from .events import Completed, Event
from .poll import follow, order
from .submit import Flights

REFETCH_S = 20.0
"""How long the Hub is asked for a picture that was altered here, in seconds, before a new order."""


@dataclass(frozen=True, slots=True)
class Desk:
    """Where requests are brought to.

    Attributes:
        hub: The Hub's base URL, or ``demo:``.
        client: Gives its client, once it has to be asked.
        journal: The journal.
        flights: What keeps orders alive after an interrupt.
        folder: Where the originals go.
    """

    hub: str
    client: Callable[[], HubClient]
    journal: Journal
    flights: Flights
    folder: Path


async def answer(
    desk: Desk,
    request: ImageRequest,
    *,
    told: Callable[[str], None],
    timeout_s: float = DEFAULT_TIMEOUT_S,
    fresh: bool = False,
    cache: bool = False,
) -> AsyncGenerator[Event, None]:
    """Answer a request from the journal if that may be, else order it.

    Args:
        desk: Where it is brought to.
        request: What is wanted; without a seed a new picture is wanted each time.
        told: Called with the task's id as soon as it is known, also after an interrupt.
        timeout_s: How long to wait for the task, in seconds.
        fresh: Never answer from the journal.
        cache: Answer from it also without a seed.

    Yields:
        The events of the generation, last `Completed`.

    Raises:
        MountseaError: See `order`.
    """
    if not fresh and (cache or request.input.get("seed") is not None):
        twins = await asyncio.to_thread(desk.journal.twins, desk.hub, request.fingerprint())
        async with aclosing(_recall(desk, twins)) as recalled:
            async for event in recalled:
                yield event
                if isinstance(event, Completed):
                    return
    record = Record(desk.journal, Entry.begin(desk.hub, request))
    expectation = await _expected(desk, request)
    ordered = order(
        desk.client(),
        request,
        record,
        desk.folder,
        flights=desk.flights,
        told=told,
        timeout_s=timeout_s,
        expectation=expectation,
    )
    async with aclosing(ordered):
        async for event in ordered:
            yield event


async def resume(
    desk: Desk,
    task_id: str,
    request: ImageRequest | None = None,
    *,
    timeout_s: float = DEFAULT_TIMEOUT_S,
) -> AsyncGenerator[Event, None]:
    """Bring the pictures of a task, from disk if they are there; nothing is ordered.

    Args:
        desk: Where it is brought to.
        task_id: The task.
        request: What was ordered, where that is known.
        timeout_s: How long to wait for the task, in seconds.

    Yields:
        The events of the generation, last `Completed`.

    Raises:
        MountseaError: See `follow`.
    """
    entry = await asyncio.to_thread(desk.journal.find, task_id, hub=desk.hub)
    if entry is None or entry.hub != desk.hub:
        entry = Entry.begin(desk.hub, request, task_id=task_id)
    found = await kept(entry)
    if found is not None:
        yield found
        return
    followed = follow(
        desk.client(),
        Record(desk.journal, entry),
        desk.folder,
        timeout_s=timeout_s,
        expectation=await _expected(desk, entry.request),
    )
    async with aclosing(followed):
        async for event in followed:
            yield event


async def kept(entry: Entry) -> Completed | None:
    """Return the pictures of an entry if all are on disk as they were received.

    Args:
        entry: The entry of a task.
    """
    if not entry.files:
        return None
    intact = await asyncio.to_thread(lambda: all(picture.is_intact() for picture in entry.files))
    if not intact:
        return None
    return Completed(entry.files, entry.description, entry.elapsed_s, entry.task_id, True)


async def _expected(desk: Desk, request: ImageRequest | None) -> Expectation:
    """What such tasks took before, on this Hub and for all kernels that share the journal."""
    if request is None:
        return Expectation()
    return expect(await asyncio.to_thread(desk.journal.durations, desk.hub, request))


async def _recall(desk: Desk, twins: list[Entry]) -> AsyncGenerator[Event, None]:
    """From disk, or by fetching once more; without `Completed` the pictures are gone for good."""
    for twin in twins:
        found = await kept(twin)
        if found is not None:
            yield found
            return
    for twin in twins:
        record = Record(desk.journal, twin)
        followed = follow(desk.client(), record, desk.folder, timeout_s=REFETCH_S)
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
