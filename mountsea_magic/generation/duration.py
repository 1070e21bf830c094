"""How long a task will take: learned from the tasks before it, guessed where there are none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

PRIOR_S = 12.0
"""How long a task takes at a guess, in seconds (the vendor's take about 5 to 60)."""

PRIOR_SPREAD = 0.6
"""How far apart tasks lie at a guess, as the deviation of the logarithm of their seconds."""

PRIOR_WEIGHT = 3.0
"""How many tasks the guess counts for: three real ones weigh as much."""

PRIOR_OUTLIER_WEIGHT = 0.3
MIN_OUTLIER_WEIGHT = 0.02
"""The part of tasks that may be of another kind altogether: large at first, then small."""

_TAIL_SCALE_S = 0.2
_TAIL_SHAPE = 0.5
"""Of tasks of another kind: a Lomax distribution, whose tail is so heavy that it excludes none."""

NARROWEST = 0.12
"""However alike past tasks were, the next may differ by so much."""


@dataclass(frozen=True, slots=True)
class DurationEstimate:
    """When a task will probably be ready.

    Attributes:
        median_s: After so many seconds half of such tasks are ready.
        spread: The deviation of the logarithm of the seconds; 0.3 means a third more or less.
        outlier_weight: The share of tasks that this does not describe; ready at any time.

    Example:
        >>> DurationEstimate().median_s
        12.0
    """

    median_s: float = PRIOR_S
    spread: float = PRIOR_SPREAD
    outlier_weight: float = PRIOR_OUTLIER_WEIGHT

    def hazard(self, seconds: float) -> float:
        """Return how probably a task that is not ready yet becomes so now, per second.

        Args:
            seconds: Since it was submitted.

        Example:
            >>> early, due = DurationEstimate().hazard(1.0), DurationEstimate().hazard(12.0)
            >>> early < due
            True
        """
        seconds = max(seconds, 1e-3)
        z = (math.log(seconds) - math.log(self.median_s)) / self.spread
        density = math.exp(-z * z / 2) / (math.sqrt(2 * math.pi) * self.spread * seconds)
        survival = 0.5 * math.erfc(z / math.sqrt(2))
        # the longer a task is overdue, the likelier it is one of another kind
        tail = math.pow(_TAIL_SCALE_S / (seconds + _TAIL_SCALE_S), _TAIL_SHAPE)
        anytime = self.outlier_weight * tail
        ready = (1 - self.outlier_weight) * density + anytime * _TAIL_SHAPE / (
            seconds + _TAIL_SCALE_S
        )
        return ready / ((1 - self.outlier_weight) * survival + anytime)


def estimate_duration(
    durations_s: Sequence[float], *, guess: DurationEstimate | None = None
) -> DurationEstimate:
    """Learn from how long such tasks took; the first few only bend the guess.

    Args:
        durations_s: Seconds of past tasks of the kind, newest first.
        guess: What to expect without any.

    Example:
        >>> round(estimate_duration([8.0] * 50).median_s)
        8
        >>> estimate_duration([]) == DurationEstimate()
        True
    """
    guess = guess or DurationEstimate()
    logs = sorted(math.log(seconds) for seconds in durations_s if 0.05 <= seconds < 86_400)
    if not logs:
        return guess
    count = len(logs)
    middle = (logs[(count - 1) // 2] + logs[count // 2]) / 2
    weight = count / (count + PRIOR_WEIGHT)
    center = weight * middle + (1 - weight) * math.log(guess.median_s)
    # the median of the distances: one task that hung for an hour must not blur all others
    distances = sorted(abs(value - middle) for value in logs)
    spread = 1.4826 * (distances[(count - 1) // 2] + distances[count // 2]) / 2
    blend = math.sqrt(weight * spread**2 + (1 - weight) * guess.spread**2)
    outlier_weight = MIN_OUTLIER_WEIGHT + (guess.outlier_weight - MIN_OUTLIER_WEIGHT) / (
        1 + count / 2
    )
    return DurationEstimate(math.exp(center), max(NARROWEST, blend), outlier_weight)
