"""When to look next: the polling schedule, with no clock and no I/O of its own."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from .duration import DurationEstimate


class Schedule(Protocol):
    """Decides how long to wait until the next look at a task."""

    def interval_s(self, waited_s: float, *, jitter: float) -> float:
        """Return the pause before the next look.

        Args:
            waited_s: Seconds since the task was submitted.
            jitter: A random number from 0 up to 1, for the jitter.

        Returns:
            Seconds, more than 0.
        """


@dataclass(frozen=True, slots=True)
class LearnedSchedule:
    """Looks seldom before a task can be ready, often when it is due, and backs off after.

    With looks at a rate r(t), the delay after ready is 1 / (2 r) on average, and each look costs
    some patience of the Hub's. The sum is least where r is proportional to the square root of the
    hazard: the probability that the task becomes ready just now, if it is not yet.

    Attributes:
        expectation: When the task is expected.
        price: What a look costs, as seconds of delay: a lower price buys more looks.
        shortest_s: The shortest interval, in seconds, before jitter.
        longest_s: The longest interval, in seconds, before jitter.
        jitter: The part by which an interval is at most longer or shorter.

    Example:
        >>> schedule = LearnedSchedule(DurationEstimate(12.0, 0.2))
        >>> schedule.interval_s(0.5, jitter=0.5) > 2 * schedule.interval_s(12.0, jitter=0.5)
        True
    """

    expectation: DurationEstimate
    price: float = 0.05
    shortest_s: float = 0.25
    longest_s: float = 10.0
    jitter: float = 0.1

    def interval_s(self, waited_s: float, *, jitter: float) -> float:
        """Return the pause before the next look, in seconds."""
        looks, pause_s, step_s = 0.0, 0.0, self.shortest_s / 5
        while looks < 1 and pause_s < self.longest_s:
            step_s = max(step_s, pause_s / 20)
            hazard = self.expectation.hazard(waited_s + pause_s + step_s / 2)
            looks += math.sqrt(hazard / (2 * self.price)) * step_s
            pause_s += step_s
        even_s = min(max(pause_s, self.shortest_s), self.longest_s)
        return even_s * (1 + self.jitter * (2 * jitter - 1))
