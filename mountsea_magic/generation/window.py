"""The window of a batch: how many tasks may run at once, halved by a 429; without a clock."""

from __future__ import annotations

FIRST_SIZE = 4
"""How many tasks run at once before the first response: a Hub's limit is not known yet."""

FIRST_PROBE_COST = 2.0
"""How many windows of accepted submissions come before one task more is tried, after a 429."""

FIRST_PAUSE_S = 1.0
"""The pause after a 429 without `Retry-After`, in seconds; it doubles with each in a row."""

MAX_PAUSE_S = 16.0
"""The longest such pause, in seconds."""


class Window:
    """How many tasks of a batch may run at the Hub at once.

    Additive increase, multiplicative decrease (AIMD): it grows by one with each accepted submission
    until the first 429. A 429 halves it and forbids all submissions until `Retry-After`. It then
    grows by one with each accepted submission up to the number of tasks that the Hub was running
    when it refused one more; beyond that it probes, by one task at a time, more rarely after each
    429 and more often after each success.

    Args:
        limit: The largest size.

    Example:
        >>> window = Window(64)
        >>> window.on_refused(now=0.5, sent_at=0.0, running=4, retry_after_s=2.0, jitter=0.0)
        >>> window.size, window.blocked_until
        (2, 2.5)
    """

    def __init__(self, limit: int) -> None:
        self.blocked_until = 0.0
        self._limit = limit
        self._size = float(min(limit, FIRST_SIZE))
        self._known_capacity = 0.0
        self._probe_cost = FIRST_PROBE_COST
        self._refused = False
        self._halved_at = float("-inf")
        self._refused_in_a_row = 0

    @property
    def size(self) -> int:
        """How many tasks may run at once, at least 1."""
        return int(self._size)

    def on_accepted(self, *, running: int) -> None:
        """The Hub has accepted a submission.

        Args:
            running: How many tasks are running at the Hub, this one included.
        """
        self._refused_in_a_row = 0
        if running > self._known_capacity:
            self._known_capacity = float(running)
            self._probe_cost /= 2  # the Hub's limit has moved
        step = 1.0
        if self._refused and self._size >= self._known_capacity:
            step = min(1.0, 1 / (self._size * self._probe_cost))
        self._size = min(self._size + step, float(self._limit))

    def on_refused(
        self,
        *,
        now: float,
        sent_at: float,
        running: int,
        retry_after_s: float | None,
        jitter: float,
    ) -> None:
        """The Hub has answered a submission with 429.

        Args:
            now: The current time, in seconds.
            sent_at: When the submission was sent: those sent before the last halving halve nothing.
            running: How many tasks are running at the Hub.
            retry_after_s: The seconds that the Hub asks to wait, if it does.
            jitter: A random number from 0 up to 1, so that many clients do not retry in step.
        """
        if sent_at >= self._halved_at:
            self._halved_at = now
            self._refused_in_a_row += 1
            self._size = max(1.0, self._size / 2)
            if self._refused:
                self._probe_cost = max(FIRST_PROBE_COST, 2 * self._probe_cost)
            else:
                self._refused, self._probe_cost = True, FIRST_PROBE_COST
            self._known_capacity = float(max(1, running))
        pause_s = retry_after_s
        if pause_s is None:
            doublings = max(0, self._refused_in_a_row - 1)
            pause_s = min(FIRST_PAUSE_S * 2.0**doublings, MAX_PAUSE_S)
        self.blocked_until = max(self.blocked_until, now + pause_s * (1 + 0.1 * jitter))
