"""Submitting a request: journaled before it is sent, and accepted by the Hub at most once.

A POST that has been started is never cancelled: an interrupt ends the cell, while the response is
awaited in the background, so that the task id is never lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ..errors import HubUnavailable, MountseaError, SubmissionUncertain
from ..hub.client import HubClient
from ..hub.retry import SUBMIT_RETRY_BUDGET_S, submit_retry_pause
from ..hub.status import Status
from ..journal.journal import JournaledSubmission
from ..request.request import ImageRequest
from ..runtime.rng import RNG
from .events import Event, RetryScheduled, Submitting

MAX_SUBMISSIONS = 24
"""How many submissions may wait for a response at once: each has a socket open, and macOS limits a
process to 256 open files."""


class PendingSubmissions:
    """The submissions that wait for a response, limited to `MAX_SUBMISSIONS` at once.

    Example:
        >>> PendingSubmissions().count
        0
    """

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[str]] = set()
        self._slots = asyncio.Semaphore(MAX_SUBMISSIONS)

    @property
    def count(self) -> int:
        """How many submissions wait for a response."""
        return len(self._tasks)

    async def acquire(self) -> None:
        """Wait for a free slot, before anything is sent."""
        await self._slots.acquire()

    def release(self) -> None:
        """Release a slot for which no POST was started."""
        self._slots.release()

    def start(self, post: asyncio.Task[str]) -> None:
        """Keep a POST alive until its response is there, even if its caller is cancelled.

        Args:
            post: The running POST; it releases the slot when it ends.
        """
        self._tasks.add(post)
        post.add_done_callback(self._on_done)

    async def drain(self) -> None:
        """Wait until all submissions have their response; call it on their event loop."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _on_done(self, post: asyncio.Task[str]) -> None:
        self._tasks.discard(post)
        self.release()
        if not post.cancelled():
            # consume the exception, or asyncio logs "never retrieved"; `_send` has journaled it
            post.exception()


async def submit(
    client: HubClient,
    request: ImageRequest,
    record: JournaledSubmission,
    pending: PendingSubmissions,
    *,
    on_event: Callable[[Event], None],
    on_task_id: Callable[[str], None],
    timeout_s: float = SUBMIT_RETRY_BUDGET_S,
) -> str:
    """Submit a request; retry only where `submit_retry_pause` allows it.

    Args:
        client: The Hub's client.
        request: The request.
        record: Its journal entry.
        pending: Keeps the POST alive after an interrupt.
        on_event: Called with `Submitting` before each attempt, `RetryScheduled` before each pause.
        on_task_id: Called with the task id as soon as it is known, also after an interrupt.
        timeout_s: How long all pauses between retries may take together, in seconds.

    Returns:
        The task id.

    Raises:
        HubUnavailable: If the request never reached the Hub.
        SubmissionUncertain: If it may have reached the Hub, but no response confirms it.
        MountseaError: If the Hub refused it.
    """
    tries, paused_s = 0, 0.0
    while True:
        tries += 1
        await pending.acquire()
        try:
            await record.update(status=Status.SUBMITTING, error="")
            on_event(Submitting())
        except BaseException:
            pending.release()
            raise
        post = asyncio.ensure_future(_send(client, request, record, on_task_id))
        pending.start(post)
        try:
            return await asyncio.shield(post)
        except MountseaError as error:
            pause_s = submit_retry_pause(error, tries=tries, paused_s=paused_s, jitter=RNG.random())
            if pause_s is None or paused_s + pause_s > timeout_s:
                raise
            cause = "is busy" if error.status_code == 429 else "can't be reached"
        on_event(RetryScheduled(f"the Hub {cause}; retrying"))
        await asyncio.sleep(pause_s)
        paused_s += pause_s


async def _send(
    client: HubClient,
    request: ImageRequest,
    record: JournaledSubmission,
    on_task_id: Callable[[str], None],
) -> str:
    """Journal the task id in the loop step that reads the response: a kill may follow any step."""
    try:
        task_id = await client.submit(request)
    except MountseaError as error:
        status = Status.REFUSED
        if isinstance(error, SubmissionUncertain):
            status = Status.UNCERTAIN
        elif isinstance(error, HubUnavailable):
            status = Status.UNSENT
        await record.update(status=status, error=str(error))
        raise
    on_task_id(task_id)
    await record.update(task_id=task_id, status=Status.SUBMITTED)
    return task_id
