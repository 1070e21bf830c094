"""Run generations against a stand-in Hub: shared by the tests of `generation`."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import TypeVar

import httpx
from hub_server import KEY, StandInHub, all_text_of
from quick_loop import QuickLoop

from mountsea_magic.errors import MountseaError
from mountsea_magic.generation.events import Completed, Event
from mountsea_magic.generation.poll import wait_for_images
from mountsea_magic.generation.run import submit_and_wait
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


async def collect(events: AsyncGenerator[Event, None]) -> list[Event]:
    """Collect all events."""
    async with aclosing(events):
        return [event async for event in events]


def journal_of(folder: Path) -> Journal:
    """Return the journal next to a folder of originals."""
    return Journal(folder.parent / "journal.sqlite")


def newest_entry(folder: Path) -> Entry:
    """Return the newest entry of the journal."""
    return journal_of(folder).search()[0]


def start_generation(
    client: HubClient,
    request: ImageRequest,
    folder: Path,
    *,
    timeout_s: float = 20.0,
    schedule: Schedule | None = None,
    pending: PendingSubmissions | None = None,
    on_task_id: Callable[[str], None] = lambda task_id: None,
) -> AsyncGenerator[Event, None]:
    """Start a submission, with a journal next to the folder."""
    return submit_and_wait(
        client,
        request,
        JournaledSubmission(journal_of(folder), Entry.begin(HUB, request)),
        folder,
        pending=pending or PendingSubmissions(),
        on_task_id=on_task_id,
        timeout_s=timeout_s,
        schedule=schedule,
    )


def start_waiting(
    client: HubClient, task_id: str, folder: Path, *, schedule: Schedule | None = None
) -> AsyncGenerator[Event, None]:
    """Start waiting for a task, given its id, with its journal entry if there is one."""
    journal = journal_of(folder)
    entry = journal.find(task_id) or Entry.begin(HUB, task_id=task_id)
    return wait_for_images(
        client, JournaledSubmission(journal, entry), folder, schedule=schedule or FrequentPolls()
    )


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
        lambda client: collect(
            start_generation(client, request, folder, timeout_s=timeout_s, schedule=often)
        ),
    )


def resume(hub: StandInHub, folder: Path, task_id: str = "hub-x") -> list[Event]:
    """Wait for a task, given its id."""
    return with_client(hub, lambda client: collect(start_waiting(client, task_id, folder)))


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
