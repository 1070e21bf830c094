"""The admission of a batch, in virtual time, with a Hub that refuses what it can't take."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

import pytest
from quick_loop import QuickLoop

from mountsea_magic.errors import (
    AuthenticationError,
    DownloadFailed,
    HubUnavailable,
    InsufficientCredits,
    InvalidRequest,
    MountseaError,
    RateLimited,
    SubmissionUncertain,
    TaskFailed,
)
from mountsea_magic.generation.admission import BatchAdmission, Stopped
from mountsea_magic.generation.duration import DurationEstimate
from mountsea_magic.generation.poll_limit import MAX_LEAD_S

T = TypeVar("T")
ROUND_TRIP_S = 0.02


def in_virtual_time(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a loop whose time jumps."""
    with QuickLoop() as loop:
        result = loop.run(work)
    assert loop.unhandled == []
    return result


class Hub:
    """A Hub that takes so many tasks at a time, and answers 429 to the rest.

    Attributes:
        sent_at: When each submission arrived, in seconds.
        refused: How many were refused.
        most: The most tasks that ran at once.
    """

    def __init__(
        self, capacity: int, task_s: float = 1.0, retry_after_s: float | None = 1.0
    ) -> None:
        self.sent_at: list[float] = []
        self.refused = self.running = self.most = 0
        self._capacity, self._task_s = capacity, task_s
        self._retry_after_s = retry_after_s

    async def submit(self) -> asyncio.Task[None]:
        """Start a task, or raise."""
        await asyncio.sleep(ROUND_TRIP_S)
        self.sent_at.append(asyncio.get_running_loop().time())
        if self.running >= self._capacity:
            self.refused += 1
            raise RateLimited("busy", retry_after_s=self._retry_after_s)
        self.running += 1
        self.most = max(self.most, self.running)
        return asyncio.ensure_future(self._run())

    async def _run(self) -> None:
        await asyncio.sleep(self._task_s)
        self.running -= 1


async def one(hub: Hub, admission: BatchAdmission) -> None:
    """Submit until accepted, and wait for the task, as a generation does."""
    tries = 0
    while True:
        tries += 1
        await admission.admit(again=tries > 1)
        sent_at = asyncio.get_running_loop().time()
        try:
            task = await hub.submit()
        except MountseaError as error:
            pause_s = admission.refused(error, sent_at=sent_at, tries=tries, paused_s=0.0)
            admission.release(ran=False, error=error if pause_s is None else None)
            if pause_s is None:
                raise
            continue
        admission.accepted()
        await task
        admission.release(ran=True)
        return


async def many(hub: Hub, count: int, concurrency: int) -> float:
    """Run many through one admission; return how long it took, in seconds."""
    admission = BatchAdmission(concurrency)
    await asyncio.gather(*(one(hub, admission) for _ in range(count)))
    return asyncio.get_running_loop().time()


@pytest.mark.parametrize("concurrency", [1, 4, 16])
def test_no_more_tasks_run_than_the_concurrency(concurrency: int) -> None:
    """From the submission until the task has ended."""
    hub = Hub(capacity=1000)
    in_virtual_time(many(hub, 40, concurrency))
    assert (hub.most, len(hub.sent_at), hub.refused) == (concurrency, 40, 0)


@pytest.mark.parametrize("concurrency", [8, 16, 40])
@pytest.mark.parametrize("task_s", [1.0, 2.0, 10.0])
@pytest.mark.parametrize("retry_after_s", [None, 0.5, 1.0])
def test_a_hub_that_takes_eight_at_a_time_is_used_well(
    concurrency: int, task_s: float, retry_after_s: float | None
) -> None:
    """40 tasks take at most 1.4 times the ideal, with a third as many refused submissions."""
    hub = Hub(8, task_s, retry_after_s)
    took_s = in_virtual_time(many(hub, 40, concurrency))
    assert took_s <= 1.4 * 5 * task_s
    assert hub.refused <= 40 / 3
    assert len(hub.sent_at) == 40 + hub.refused


def test_nothing_is_sent_before_retry_after() -> None:
    """By any request of the batch; what was on its way already is."""
    hub = Hub(4, 30.0, retry_after_s=20.0)
    in_virtual_time(many(hub, 12, 8))
    first_refused = hub.sent_at[4]
    assert [
        at for at in hub.sent_at if first_refused + ROUND_TRIP_S < at < first_refused + 20
    ] == []


def test_a_hub_that_refuses_everything_is_given_up() -> None:
    """After half a minute without progress, for all at once."""

    async def work() -> list[BaseException | None]:
        admission, hub = BatchAdmission(4), Hub(0, retry_after_s=None)
        outcomes = await asyncio.gather(
            *(one(hub, admission) for _ in range(10)), return_exceptions=True
        )
        assert asyncio.get_running_loop().time() < 40
        return outcomes

    outcomes = in_virtual_time(work())
    assert {type(outcome) for outcome in outcomes} == {RateLimited, Stopped}


def test_a_refused_submission_is_sent_again_before_those_that_wait() -> None:
    """It was requested first."""

    async def work() -> list[str]:
        admission, order = BatchAdmission(1), list[str]()
        await admission.admit()

        async def wait(name: str, *, again: bool) -> None:
            await admission.admit(again=again)
            order.append(name)
            admission.release(ran=False)

        waiting = [asyncio.ensure_future(wait(name, again=False)) for name in ("b", "c")]
        await asyncio.sleep(0)
        waiting.append(asyncio.ensure_future(wait("a", again=True)))
        await asyncio.sleep(0)
        admission.release(ran=False)
        await asyncio.gather(*waiting)
        return order

    assert in_virtual_time(work()) == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("error", "stops"),
    [
        (AuthenticationError("no"), True),
        (InsufficientCredits("no"), True),
        (HubUnavailable("down"), True),
        (InvalidRequest("no"), False),
        (TaskFailed("no"), False),
        (DownloadFailed("no"), False),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_what_would_fail_for_all_stops_further_submissions(
    error: MountseaError, stops: bool
) -> None:
    """At once, also those that already wait for their turn."""

    async def work() -> bool:
        admission = BatchAdmission(1)
        await admission.admit()
        waiting = asyncio.ensure_future(admission.admit())
        await asyncio.sleep(0)
        admission.release(ran=False, error=error)
        try:
            await waiting
        except Stopped as stopped:
            assert stopped.cause is error
            with pytest.raises(Stopped):
                await admission.admit()
            return True
        return False

    assert in_virtual_time(work()) is stops


def test_three_uncertain_submissions_in_a_row_stop_further_ones() -> None:
    """An accepted one in between shows that the Hub is there."""

    async def work() -> None:
        admission, lost = BatchAdmission(4), SubmissionUncertain("lost")

        async def lose() -> None:
            await admission.admit()
            admission.release(ran=False, error=lost)

        for _ in range(2):
            await lose()
        await admission.admit()
        admission.accepted()
        for _ in range(2):
            await lose()
        assert admission.stopped_by is None
        await lose()
        assert admission.stopped_by is lost

    in_virtual_time(work())


def test_a_cancelled_wait_keeps_no_place() -> None:
    """Neither while it waits nor in the step in which it is admitted."""

    async def work() -> None:
        admission = BatchAdmission(1)
        await admission.admit()
        for admitted in (False, True):
            waiting = asyncio.ensure_future(admission.admit())
            await asyncio.sleep(0)
            if admitted:
                admission.release(ran=False)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            if not admitted:
                continue
        await asyncio.wait_for(admission.admit(), 1)

    in_virtual_time(work())


def test_polls_share_a_limit() -> None:
    """The oldest task has its turn first; a cancelled one takes none."""

    async def work() -> list[tuple[int, float]]:
        admission, turns = BatchAdmission(64, polls_per_s=10.0), list[tuple[int, float]]()

        async def poll(number: int) -> None:
            await admission.poll_turn(waited_s=4.0 - number / 10)
            turns.append((number, asyncio.get_running_loop().time()))

        cancelled = asyncio.ensure_future(poll(-1))
        polls = [asyncio.ensure_future(poll(number)) for number in reversed(range(30))]
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.gather(*polls)
        return turns

    turns = in_virtual_time(work())
    assert [number for number, _ in turns] == list(range(30))
    assert turns[-1][1] == pytest.approx(2.9, abs=0.01)


def test_an_old_task_does_not_keep_younger_ones_from_their_turns() -> None:
    """However often it is polled, each waits a few seconds at most."""

    async def work() -> float:
        admission = BatchAdmission(64, polls_per_s=10.0)

        async def poll_all_the_time() -> None:
            while True:
                await admission.poll_turn(waited_s=1000.0)

        old = [asyncio.ensure_future(poll_all_the_time()) for _ in range(20)]
        await asyncio.sleep(1)
        started = asyncio.get_running_loop().time()
        await admission.poll_turn(waited_s=0.0)
        for task in old:
            task.cancel()
        return asyncio.get_running_loop().time() - started

    assert in_virtual_time(work()) < MAX_LEAD_S + 3


def test_a_crowd_polls_more_rarely() -> None:
    """So that polls do not queue for their turns."""

    async def work() -> tuple[float, float]:
        admission = BatchAdmission(64, polls_per_s=10.0)
        schedule = admission.schedule(DurationEstimate(2.0, 0.12))
        alone_s = schedule.interval_s(0.0, jitter=0.5)
        for _ in range(64):
            await admission.admit()
            admission.accepted()
        return alone_s, schedule.interval_s(0.0, jitter=0.5)

    alone_s, crowded_s = in_virtual_time(work())
    assert crowded_s > alone_s


def test_what_a_failure_makes_room_for_is_not_submitted() -> None:
    """A submission frees its place before its error is known."""

    async def work() -> None:
        admission = BatchAdmission(1)
        await admission.admit()
        waiting = asyncio.ensure_future(admission.admit())
        await asyncio.sleep(0)
        admission.release(ran=False)
        admission.failed(AuthenticationError("no"))
        with pytest.raises(Stopped):
            await waiting

    in_virtual_time(work())
