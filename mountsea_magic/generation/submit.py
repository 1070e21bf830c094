"""Placing an order: written down before it is sent, sent at most once, and seen to its answer.

Once the POST is on its way nothing stops it: an interrupt gives the cell back, while the answer is
still awaited in the background, so that the task's id is never lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Callable

from ..errors import HubUnavailable, MountseaError, SubmissionUncertain
from ..hub.client import HubClient
from ..hub.retry import ORDER_BUDGET_S, order_again
from ..journal.journal import Record
from ..request.request import ImageRequest
from ..runtime.rng import LOT
from .events import Postponed, Submitted, Submitting

MAX_SUBMISSIONS = 24
"""How many submissions wait for a response at once: each has a socket open, and macOS lets a
process open 256 files."""


class Flights:
    """The orders that are on their way to a Hub, and the slots for them.

    Example:
        >>> Flights().count
        0
    """

    def __init__(self) -> None:
        """Begin with none."""
        self._flying: set[asyncio.Task[str]] = set()
        self._slots = asyncio.Semaphore(MAX_SUBMISSIONS)

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._flying)

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
        self._flying.add(post)
        post.add_done_callback(self._landed)

    async def landed(self) -> None:
        """Wait until none is on its way any more; call it on the loop that they fly on."""
        while self._flying:
            await asyncio.wait(self._flying)

    def _landed(self, post: asyncio.Task[str]) -> None:
        """Its error was written down by the order itself; here it only must not be reported."""
        self._flying.discard(post)
        self.release()
        if not post.cancelled():
            post.exception()


async def place(
    client: HubClient,
    request: ImageRequest,
    record: Record,
    flights: Flights,
    told: Callable[[str], None],
    *,
    timeout_s: float = ORDER_BUDGET_S,
) -> AsyncGenerator[Submitting | Postponed | Submitted, None]:
    """Send an order, again only as `order_again` allows.

    Args:
        client: The Hub.
        request: What is ordered.
        record: Its entry in the journal.
        flights: What keeps the POST alive.
        told: Called with the task's id as soon as it is known, also after an interrupt.
        timeout_s: How long all pauses between retries may take together, in seconds.

    Yields:
        `Submitting` before each try, `Postponed` before each pause, last `Submitted`.

    Raises:
        HubUnavailable: If the order never arrived.
        SubmissionUncertain: If it may have arrived, but no answer says so.
        MountseaError: If the Hub refused it.
    """
    tries, paused_s = 0, 0.0
    while True:
        tries += 1
        await flights.acquire()
        try:
            await record.note(state="submitting", error="")
            yield Submitting()
        except BaseException:
            flights.release()
            raise
        post = asyncio.ensure_future(_send(client, request, record, told))
        flights.start(post)
        try:
            task_id = await asyncio.shield(post)
        except MountseaError as error:
            pause_s = order_again(error, tries=tries, paused_s=paused_s, chance=LOT.random())
            if pause_s is None or paused_s + pause_s > timeout_s:
                raise
            cause = "is busy" if error.status_code == 429 else "can't be reached"
        else:
            yield Submitted(task_id)
            return
        yield Postponed(f"the Hub {cause}; the order goes out again")
        await asyncio.sleep(pause_s)
        paused_s += pause_s


async def _send(
    client: HubClient, request: ImageRequest, record: Record, told: Callable[[str], None]
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
    told(task_id)
    await record.note(task_id=task_id, state="submitted")
    return task_id
