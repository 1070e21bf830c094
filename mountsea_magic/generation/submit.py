"""Placing an order: written down before it is sent, sent at most once, and seen to its answer.

Once the POST is on its way nothing stops it: an interrupt gives the cell back, while the answer is
still awaited in the background, so that the task's id is never lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

from ..errors import HubUnavailable, MountseaError, SubmissionUncertain
from ..hub.client import HubClient
from ..hub.retry import SUBMIT_RETRY_BUDGET_S, submit_retry_pause
from ..journal.journal import JournaledSubmission
from ..request.request import ImageRequest
from ..runtime.rng import RNG
from .events import RetryScheduled, Submitted, Submitting

MAX_SUBMISSIONS = 24
"""How many submissions wait for a response at once: each has a socket open, and macOS lets a
process open 256 files."""


class PendingSubmissions:
    """The orders that are on their way to a Hub, and the slots for them.

    Example:
        >>> PendingSubmissions().count
        0
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._tasks: set[asyncio.Task[str]] = set()
        self._slots = asyncio.Semaphore(MAX_SUBMISSIONS)

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._tasks)

    async def acquire(self) -> None:
        """Wait for a slot; what is cancelled by then is not sent."""
        await self._slots.acquire()

    def release(self) -> None:
        """Give a slot back that no POST has used."""
        self._slots.release()

    def start(self, post: asyncio.Task[str]) -> None:
        """Keep an order's POST alive until it is answered, whoever stops waiting for it.

        Args:
            post: The POST; its end gives the slot back.
        """
        self._tasks.add(post)
        post.add_done_callback(self._on_done)

    async def drain(self) -> None:
        """Wait until none is on its way any more; call it on the loop that they fly on."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def _on_done(self, post: asyncio.Task[str]) -> None:
        """Its error was written down by the order itself; here it only must not be reported."""
        self._tasks.discard(post)
        self.release()
        if not post.cancelled():
            post.exception()


async def submit(
    client: HubClient,
    request: ImageRequest,
    record: JournaledSubmission,
    pending: PendingSubmissions,
    on_task_id: Callable[[str], None],
    *,
    timeout_s: float = SUBMIT_RETRY_BUDGET_S,
) -> AsyncGenerator[Submitting | RetryScheduled | Submitted, None]:
    """Send an order, again only as `submit_retry_pause` allows.

    Args:
        client: The Hub.
        request: What is ordered.
        record: Its entry in the journal.
        pending: What keeps the POST alive.
        on_task_id: Called with the task's id as soon as it is known, also after an interrupt.
        timeout_s: How long all pauses between retries may take together, in seconds.

    Yields:
        `Submitting` before each try, `RetryScheduled` before each pause, last `Submitted`.

    Raises:
        HubUnavailable: If the order never arrived.
        SubmissionUncertain: If it may have arrived, but no answer says so.
        MountseaError: If the Hub refused it.
    """
    tries, paused_s = 0, 0.0
    while True:
        tries += 1
        await pending.acquire()
        try:
            await record.note(state="submitting", error="")
            yield Submitting()
        except BaseException:
            pending.release()
            raise
        post = asyncio.ensure_future(_send(client, request, record, on_task_id))
        pending.start(post)
        try:
            task_id = await asyncio.shield(post)
        except MountseaError as error:
            pause_s = submit_retry_pause(error, tries=tries, paused_s=paused_s, jitter=RNG.random())
            if pause_s is None or paused_s + pause_s > timeout_s:
                raise
            cause = "is busy" if error.status_code == 429 else "can't be reached"
        else:
            yield Submitted(task_id)
            return
        yield RetryScheduled(f"the Hub {cause}; the order goes out again")
        await asyncio.sleep(pause_s)
        paused_s += pause_s


async def _send(
    client: HubClient,
    request: ImageRequest,
    record: JournaledSubmission,
    on_task_id: Callable[[str], None],
) -> str:
    """The id is written down in the step in which the answer is read: no kill comes between."""
    try:
        task_id = await client.submit(request)
    except MountseaError as error:
        state = "refused"
        if isinstance(error, SubmissionUncertain):
            state = "uncertain"
        elif isinstance(error, HubUnavailable):
            state = "unsent"
        await record.note(state=state, error=str(error))
        raise
    on_task_id(task_id)
    await record.note(task_id=task_id, state="submitted")
    return task_id
