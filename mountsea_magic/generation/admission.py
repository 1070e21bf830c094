"""Admission: when a submission may be sent, for one generation alone or for the many of a batch."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

from ..errors import (
    AuthenticationError,
    BudgetExceeded,
    ConfigurationError,
    HubUnavailable,
    InsufficientCredits,
    MountseaError,
    RateLimited,
    SubmissionUncertain,
)
from ..hub.retry import SUBMIT_RETRY_BUDGET_S, submit_retry_pause
from ..runtime.rng import RNG
from ..settings import DEFAULT_CONCURRENCY as DEFAULT_CONCURRENCY
from .duration import DurationEstimate
from .poll_limit import DEFAULT_POLLS_PER_S, PollLimiter
from .schedule import LearnedSchedule, Schedule, SharedSchedule
from .window import Window

MAX_UNCERTAIN_IN_A_ROW = 3
"""After so many submissions in a row without a response, nothing more is submitted."""

LEARN_INTERVAL_S = 1.0
"""How often a batch learns from the journal how long its tasks take, in seconds."""

_STOPS_SUBMISSIONS = (
    AuthenticationError,
    BudgetExceeded,
    ConfigurationError,
    HubUnavailable,
    InsufficientCredits,
    RateLimited,
)
"""After such an error a batch submits nothing more: its other requests would fail as well."""


Learn = Callable[[], Awaitable[DurationEstimate]]
"""Learns from the journal how long a task takes."""


class Stopped(Exception):
    """Nothing more is submitted, because an earlier request of the batch failed.

    Attributes:
        cause: The error of that request.
    """

    def __init__(self, cause: MountseaError) -> None:
        super().__init__(str(cause))
        self.cause = cause


class Admission(Protocol):
    """Decides when a submission may be sent, and whether a refused one is sent again.

    Each `admit` or `admit_task` is followed by exactly one `release`: when the submission has
    failed, or when its task has ended at the Hub.
    """

    async def admit(self, *, again: bool = False) -> None:
        """Wait until a submission may be sent.

        Args:
            again: Whether it was refused before, and so goes first.

        Raises:
            Stopped: If nothing more is submitted.
        """

    async def admit_task(self) -> None:
        """Wait until an existing task may be followed.

        Raises:
            Stopped: If the batch has stopped.
        """

    def accepted(self) -> None:
        """The Hub has accepted the submission: its task runs."""

    def refused(
        self, error: MountseaError, *, sent_at: float, tries: int, paused_s: float
    ) -> float | None:
        """Return the pause before the submission is sent again in seconds, or None to give up.

        Args:
            error: Why it failed.
            sent_at: When it was sent, on the event loop's clock, in seconds.
            tries: The number of attempts so far.
            paused_s: The total of its pauses so far, in seconds.
        """

    def release(self, *, ran: bool, error: MountseaError | None = None) -> None:
        """The submission has failed, or its task has ended.

        Args:
            ran: Whether it was accepted, so that its task has run.
            error: Why it ended without images, if it is final.
        """

    async def poll_turn(self, waited_s: float) -> None:
        """Wait until a poll that is due may be sent.

        Args:
            waited_s: Seconds since the task was submitted.
        """

    def schedule(self, estimate: DurationEstimate, kind: tuple[str, ...] = ()) -> Schedule:
        """Return when to poll a task.

        Args:
            estimate: How long it takes, as far as is known now.
            kind: As for `estimate`; what a batch learns meanwhile is used.
        """

    async def estimate(self, kind: tuple[str, ...], learn: Learn) -> DurationEstimate:
        """Return how long a task of a kind takes.

        Args:
            kind: The model, and the parameters that determine how long it takes.
            learn: Learns it from the journal.
        """


class SingleAdmission:
    """The admission of a generation that is alone: it waits for nobody."""

    async def admit(self, *, again: bool = False) -> None:
        """Return at once."""

    async def admit_task(self) -> None:
        """Return at once."""

    def accepted(self) -> None:
        """Nothing else depends on it."""

    def refused(
        self, error: MountseaError, *, sent_at: float, tries: int, paused_s: float
    ) -> float | None:
        """Return the pause of `submit_retry_pause`."""
        return submit_retry_pause(error, tries=tries, paused_s=paused_s, jitter=RNG.random())

    def release(self, *, ran: bool, error: MountseaError | None = None) -> None:
        """Nothing else waits for it."""

    async def poll_turn(self, waited_s: float) -> None:
        """Return at once."""

    def schedule(self, estimate: DurationEstimate, kind: tuple[str, ...] = ()) -> Schedule:
        """Return the schedule of a task that is alone."""
        return LearnedSchedule(estimate)

    async def estimate(self, kind: tuple[str, ...], learn: Learn) -> DurationEstimate:
        """Learn it."""
        return await learn()


SINGLE = SingleAdmission()
"""The admission of every generation that belongs to no batch."""


class BatchAdmission:
    """The admission of the generations of one batch; used on one event loop only.

    A 429 slows all of them down, and an error that all would have stops what is not submitted yet.

    Attributes:
        stopped_by: The error because of which nothing more is submitted, or None.
        pause_s: For how many seconds nothing may be submitted; can be asked from any thread.

    Args:
        concurrency: How many tasks may run at the Hub at once.
        polls_per_s: How many polls a second all tasks may make together.
        stop_at_failure: Whether any failure stops further submissions.

    Example:
        >>> BatchAdmission(64).stopped_by is None
        True
    """

    def __init__(
        self,
        concurrency: int = DEFAULT_CONCURRENCY,
        *,
        polls_per_s: float = DEFAULT_POLLS_PER_S,
        stop_at_failure: bool = False,
    ) -> None:
        self.stopped_by: MountseaError | None = None
        self._window = Window(concurrency)
        self._polls, self._polls_per_s = PollLimiter(polls_per_s), polls_per_s
        self._stop_at_failure = stop_at_failure
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._held = 0
        self._running = 0
        self._uncertain_in_a_row = 0
        self._progress_at: float | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._estimates: dict[tuple[str, ...], tuple[float, DurationEstimate]] = {}

    @property
    def pause_s(self) -> float:
        """For how many seconds nothing may be submitted, as the Hub asked after a 429, or 0."""
        return max(0.0, self._window.blocked_until - time.monotonic())

    async def admit(self, *, again: bool = False) -> None:
        """Wait for a place in the window, and for the end of a pause that the Hub asked for."""
        if self.stopped_by is not None:
            raise Stopped(self.stopped_by)
        turn = asyncio.get_running_loop().create_future()
        if again:
            self._waiting.appendleft(turn)
        else:
            self._waiting.append(turn)
        self._admit_waiting()
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self.release(ran=False)  # it was admitted in the step in which it was cancelled
            raise
        if self.stopped_by is not None:  # since it was admitted: a failure frees its place first
            self.release(ran=False)
            raise Stopped(self.stopped_by)

    async def admit_task(self) -> None:
        """Wait for a place in the window."""
        await self.admit()
        self._running += 1

    def accepted(self) -> None:
        """Let the window grow."""
        self._running += 1
        self._uncertain_in_a_row = 0
        self._progress_at = _now()
        self._window.on_accepted(running=self._running)
        self._admit_waiting()

    def refused(
        self, error: MountseaError, *, sent_at: float, tries: int, paused_s: float
    ) -> float | None:
        """Slow the whole batch down after a 429; it gives up only while nothing makes progress."""
        if not isinstance(error, RateLimited) or error.of_credits:
            return submit_retry_pause(error, tries=tries, paused_s=paused_s, jitter=RNG.random())
        now = _now()
        self._window.on_refused(
            now=now,
            sent_at=sent_at,
            running=self._running,
            retry_after_s=error.retry_after_s,
            jitter=RNG.random(),
        )
        if self._progress_at is None:
            self._progress_at = sent_at
        without_progress_s = self._window.blocked_until - self._progress_at
        if not self._running and without_progress_s > SUBMIT_RETRY_BUDGET_S:
            return None
        return 0.0  # `admit` waits

    def release(self, *, ran: bool, error: MountseaError | None = None) -> None:
        """Free the place in the window, for the next one unless that is hopeless."""
        self._held -= 1
        if isinstance(error, SubmissionUncertain):
            self._uncertain_in_a_row += 1
        if error is not None:
            self.failed(error)
        if ran:
            self._running -= 1
            self._progress_at = _now()
        self._admit_waiting()

    def failed(self, error: MountseaError) -> None:
        """Stop further submissions if all others would fail in the same way.

        Args:
            error: Why a generation of the batch failed.
        """
        if isinstance(error, SubmissionUncertain) and error.of_earlier_run:
            return  # nothing was sent for it, so it says nothing about the others
        hopeless = isinstance(error, _STOPS_SUBMISSIONS) or self._stop_at_failure
        if hopeless or self._uncertain_in_a_row >= MAX_UNCERTAIN_IN_A_ROW:
            self.stopped_by = self.stopped_by or error
            while self._waiting:
                turn = self._waiting.popleft()
                if not turn.done():
                    turn.set_exception(Stopped(self.stopped_by))

    async def poll_turn(self, waited_s: float) -> None:
        """Wait for a turn among the polls of the batch."""
        await self._polls.turn(waited_s)

    def schedule(self, estimate: DurationEstimate, kind: tuple[str, ...] = ()) -> Schedule:
        """Return a schedule that polls more rarely while many tasks run, and goes on learning."""

        def base() -> LearnedSchedule:
            _, learned = self._estimates.get(kind, (0.0, estimate))
            return LearnedSchedule(learned)

        return SharedSchedule(base, lambda: self._running / self._polls_per_s)

    async def estimate(self, kind: tuple[str, ...], learn: Learn) -> DurationEstimate:
        """Learn it every `LEARN_INTERVAL_S` seconds: the batch's own tasks tell soon."""
        now = _now()
        learned_at, known = self._estimates.get(kind, (now, None))
        if known is None or now - learned_at > LEARN_INTERVAL_S:
            if known is not None:  # meanwhile the others use what is known
                self._estimates[kind] = now, known
            known = await learn()
            self._estimates[kind] = now, known
        return known

    def _admit_waiting(self) -> None:
        """Admit as many as the window has places, now or when the Hub's pause is over."""
        now = _now()
        if now < self._window.blocked_until:
            if self._timer is not None:
                self._timer.cancel()
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(self._window.blocked_until, self._admit_waiting)
            return
        while self._waiting and self._held < self._window.size:
            turn = self._waiting.popleft()
            if not turn.done():  # else it was cancelled
                self._held += 1
                turn.set_result(None)


def _now() -> float:
    return asyncio.get_running_loop().time()
