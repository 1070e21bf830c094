"""Submitting a request: journaled before it is sent, and accepted by the Hub at most once.

A POST that has been started is never cancelled: an interrupt ends the cell, while the response is
awaited in the background, so that the task id is never lost.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from ..errors import (
    ConfigurationError,
    HubUnavailable,
    InvalidRequest,
    MountseaError,
    RateLimited,
    SubmissionUncertain,
)
from ..hub.client import HubClient
from ..hub.retry import SUBMIT_RETRY_BUDGET_S
from ..hub.status import Status
from ..journal.claims import ClaimOutcome
from ..journal.database import JournalError
from ..journal.journal import JournaledSubmission
from ..request.request import ImageRequest
from ..runtime.text import quoted
from .admission import SINGLE, Admission
from .budget import over_budget
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


class HeldByAnother(Exception):
    """The key is held by another submission, for which something is or may be paid."""


async def submit(
    client: HubClient,
    request: ImageRequest,
    record: JournaledSubmission,
    pending: PendingSubmissions,
    *,
    on_event: Callable[[Event], None],
    on_task_id: Callable[[str], None],
    on_failure: Callable[[MountseaError], None] = lambda error: None,
    admission: Admission = SINGLE,
    timeout_s: float = SUBMIT_RETRY_BUDGET_S,
    fresh: bool = False,
    image_limit: int | None = None,
) -> str:
    """Submit a request when it is admitted; retry only where the admission allows it.

    Args:
        client: The Hub's client.
        request: The request.
        record: Its journal entry.
        pending: Keeps the POST alive after an interrupt.
        on_event: Called with `Submitting` before each attempt, `RetryScheduled` before each pause.
        on_task_id: Called with the task id as soon as it is journaled, also after an interrupt.
        on_failure: Called if an attempt has failed, also after an interrupt.
        admission: Decides when it may be sent. The task of a submission that was accepted keeps
            its place: the caller releases it when the task has ended.
        timeout_s: How long all pauses between retries may take together, in seconds.
        fresh: Submit it whatever the journal has under its idempotency key.
        image_limit: How many images may be ordered at the Hub in a day, or None.

    Returns:
        The task id.

    Raises:
        HubUnavailable: If the request never reached the Hub.
        SubmissionUncertain: If it may have reached the Hub, but no response confirms it.
        Stopped: If nothing more is submitted.
        HeldByAnother: If another process was faster to submit under the same idempotency key.
        InvalidRequest: If the idempotency key was used for another request.
        BudgetExceeded: If the budget does not allow it.
        MountseaError: If the Hub refused it.
    """
    tries, paused_s = 0, 0.0
    while True:
        tries += 1
        await admission.admit(again=tries > 1)
        sent_at = asyncio.get_running_loop().time()
        try:
            await pending.acquire()
            try:
                # after a 429 another process may have taken the key
                await _claim(record, fresh=fresh and tries == 1, image_limit=image_limit)
                on_event(Submitting())
            except BaseException:
                pending.release()
                raise
            post = asyncio.ensure_future(_send(client, request, record, on_task_id, on_failure))
            pending.start(post)
            task_id = await asyncio.shield(post)
        except MountseaError as error:
            pause_s = admission.refused(error, sent_at=sent_at, tries=tries, paused_s=paused_s)
            asked_s = error.retry_after_s if isinstance(error, RateLimited) else None
            # a batch's pause is in `admit`, which would wait for years if the Hub asked for it
            if pause_s is None or paused_s + max(pause_s, asked_s or 0.0) > timeout_s:
                admission.release(ran=False, error=error)
                raise
            admission.release(ran=False)
            cause = "is busy" if error.status_code == 429 else "can't be reached"
        except BaseException:
            admission.release(ran=False)
            raise
        else:
            admission.accepted()
            return task_id
        on_event(RetryScheduled(f"the Hub {cause}; retrying"))
        await asyncio.sleep(pause_s)
        paused_s += pause_s


async def _claim(record: JournaledSubmission, *, fresh: bool, image_limit: int | None) -> None:
    """Journal the submission before its POST, if its idempotency key and the budget allow it."""
    try:
        answer = await record.claim(fresh=fresh, image_limit=image_limit)
    except JournalError as error:
        raise ConfigurationError(
            f"The journal can't be used ({error}), and an idempotency key or a budget depends on "
            "it. Nothing was submitted. Check the folder MOUNTSEA_HOME."
        ) from error
    key, count = record.entry.idempotency_key, record.entry.image_count
    if answer.outcome == ClaimOutcome.EXISTING:
        raise HeldByAnother
    if answer.outcome == ClaimOutcome.OTHER_REQUEST:
        raise InvalidRequest(key_of_another_request(str(key)))
    if answer.outcome == ClaimOutcome.OVER_BUDGET:
        raise over_budget(image_limit or 0, answer.images_ordered, count)


def key_of_another_request(key: str) -> str:
    """Return the message for an idempotency key that was used for another request."""
    return (
        f"The idempotency key {quoted(key)} was used for another request. Use another key, or "
        "submit this request under it with `fresh=True` or `--fresh`."
    )


async def _send(
    client: HubClient,
    request: ImageRequest,
    record: JournaledSubmission,
    on_task_id: Callable[[str], None],
    on_failure: Callable[[MountseaError], None],
) -> str:
    """Send the POST, and journal what came of it; it goes on if its caller is cancelled."""
    try:
        task_id = await client.submit(request)
    except MountseaError as error:
        status = Status.REFUSED
        if isinstance(error, SubmissionUncertain):
            status = Status.UNCERTAIN
        elif isinstance(error, HubUnavailable):
            status = Status.UNSENT
        await record.update(status=status, error=str(error))
        on_failure(error)
        raise
    # journaled before it is reported
    await record.update(task_id=task_id, status=Status.SUBMITTED)
    on_task_id(task_id)
    return task_id
