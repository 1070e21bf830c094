"""Run generations against a stand-in Hub: shared by the tests of `generation`."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import httpx
from hub_server import KEY, StandInHub, all_text_of
from quick_loop import QuickLoop

from mountsea_magic.errors import MountseaError
from mountsea_magic.generation.context import GenerationContext
from mountsea_magic.generation.events import Completed, Event
from mountsea_magic.generation.executors import HERE, ImageWorkers
from mountsea_magic.generation.poll import wait_for_images
from mountsea_magic.generation.run import run
from mountsea_magic.generation.schedule import Schedule
from mountsea_magic.generation.submit import PendingSubmissions
from mountsea_magic.hub.client import HubClient
from mountsea_magic.journal.entry import Entry
from mountsea_magic.journal.journal import Journal, JournaledSubmission
from mountsea_magic.request.request import ImageRequest, build_request
from mountsea_magic.settings import Secret

T = TypeVar("T")
DOG = build_request("A dog!")
HUB = "https://hub.example"
"""The Hub's URL in the journal; nothing is sent there."""


class FrequentPolls:
    """A schedule that polls every few milliseconds, and records its calls.

    Args:
        interval_s: The time between two polls, in seconds.

    Attributes:
        calls: The `waited_s` of each call.
    """

    def __init__(self, interval_s: float = 0.002) -> None:
        self.calls: list[float] = []
        self._interval_s = interval_s

    def interval_s(self, waited_s: float, *, jitter: float) -> float:
        """Record the call, and return the interval."""
        assert 0 <= jitter < 1
        self.calls.append(waited_s)
        return self._interval_s


def with_client(hub: StandInHub, work: Callable[[HubClient], Awaitable[T]]) -> T:
    """Run a coroutine with a client, and close the client."""

    async def run() -> T:
        client = HubClient(hub.url, Secret(KEY))
        try:
            return await work(client)
        finally:
            await client.aclose()

    return asyncio.run(run())


def in_virtual_time(
    work: Callable[[HubClient], Awaitable[None]],
    poll: Callable[[httpx.Request], Awaitable[httpx.Response]],
) -> list[str]:
    """Run a coroutine in virtual time, with a Hub that accepts every submission.

    Args:
        work: The coroutine; the time of its loop is virtual.
        poll: Handles a poll.

    Returns:
        The method of each request, in order.
    """
    methods: list[str] = []

    async def respond(request: httpx.Request) -> httpx.Response:
        methods.append(request.method)
        if request.method == "POST":
            return httpx.Response(200, json={"task_id": "hub-0001"})
        return await poll(request)

    async def run() -> None:
        client = HubClient(HUB, Secret(KEY), transport=httpx.MockTransport(respond))
        await work(client)
        await client.aclose()

    with QuickLoop() as loop:
        loop.run(run())
    assert loop.unhandled == []
    return methods


async def processing(_: httpx.Request) -> httpx.Response:
    """Respond to a poll of a task that never ends."""
    return httpx.Response(200, json={"status": "processing"})


def journal_of(folder: Path) -> Journal:
    """Return the journal next to a folder of originals."""
    return Journal(folder.parent / "journal.sqlite")


def newest_entry(folder: Path) -> Entry:
    """Return the newest entry of the journal."""
    return journal_of(folder).search()[0]


async def submit_and_wait(
    client: HubClient,
    request: ImageRequest,
    folder: Path,
    *,
    timeout_s: float = 20.0,
    schedule: Schedule | None = None,
    pending: PendingSubmissions | None = None,
    on_event: Callable[[Event], None] = lambda event: None,
    on_task_id: Callable[[str], None] = lambda task_id: None,
    workers: ImageWorkers = HERE,
    fresh: bool = True,
) -> list[Event]:
    """Submit, with a journal next to the folder; return all events, and the images last."""
    events: list[Event] = []

    def report(event: Event) -> None:
        events.append(event)
        on_event(event)

    context = GenerationContext(
        HUB,
        lambda: client,
        journal_of(folder),
        pending or PendingSubmissions(),
        folder,
        report,
        on_task_id,
        workers=workers,
    )
    done = await run(context, request, timeout_s=timeout_s, fresh=fresh, schedule=schedule)
    return [*events, done]


async def wait_for_task(
    client: HubClient, task_id: str, folder: Path, *, schedule: Schedule | None = None
) -> list[Event]:
    """Wait for a task, with its journal entry if there is one; return all events."""
    journal, events = journal_of(folder), list[Event]()
    entry = journal.find(task_id) or Entry.begin(HUB, task_id=task_id)
    done = await wait_for_images(
        client,
        JournaledSubmission(journal, entry),
        folder,
        on_event=events.append,
        schedule=schedule or FrequentPolls(),
    )
    return [*events, done]


def generate(
    hub: StandInHub,
    folder: Path,
    request: ImageRequest = DOG,
    *,
    timeout_s: float = 20.0,
    schedule: Schedule | None = None,
) -> list[Event]:
    """Submit, and wait for the images."""
    often = schedule or FrequentPolls()
    return with_client(
        hub,
        lambda client: submit_and_wait(
            client, request, folder, timeout_s=timeout_s, schedule=often
        ),
    )


def resume(hub: StandInHub, folder: Path, task_id: str = "hub-x") -> list[Event]:
    """Wait for a task, given its id."""
    return with_client(hub, lambda client: wait_for_task(client, task_id, folder))


def completed(events: list[Event]) -> Completed:
    """Return the last event, which must be `Completed`."""
    last = events[-1]
    assert isinstance(last, Completed)
    return last


def names(folder: Path) -> list[str]:
    """List all files, including hidden ones."""
    return sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []


def assert_helpful(error: MountseaError, task_id: str = "hub-0001") -> None:
    """Check that an error has its task id and the command to resume, and no secrets."""
    assert error.task_id == task_id
    assert f"`%mountsea resume {task_id}`" in str(error)
    assert_discreet(error)


def assert_named(error: MountseaError, task_id: str = "hub-0001") -> None:
    """Check that an error has its task id, where resuming is not possible."""
    assert error.task_id == task_id
    assert task_id in str(error)
    assert_discreet(error)


def assert_discreet(error: MountseaError) -> None:
    """Check that neither the error nor its causes contain the key or a signed URL."""
    assert KEY not in all_text_of(error)
    cause: BaseException | None = error
    while cause is not None:
        assert "s3cret-query" not in f"{cause} {cause!r} {vars(cause)}"
        assert cause is error or getattr(cause, "_request", None) is None
        cause = cause.__cause__ or cause.__context__
    assert error.__cause__ is None or error.__cause__.__traceback__ is None
