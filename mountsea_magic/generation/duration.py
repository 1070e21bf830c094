"""How long a task will take: a prior, updated with the durations of earlier tasks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

PRIOR_S = 12.0
"""The prior median duration of a task, in seconds (the vendor's models take about 5 to 60)."""

PRIOR_SPREAD = 0.6
"""The prior spread: the standard deviation of the logarithm of the seconds."""

PRIOR_WEIGHT = 3.0
"""The weight of the prior: it counts as much as three observed tasks."""

PRIOR_OUTLIER_WEIGHT = 0.3
MIN_OUTLIER_WEIGHT = 0.02
"""The share of outliers: large in the prior, down to this minimum with many observed tasks."""

_TAIL_SCALE_S = 0.2
_TAIL_SHAPE = 0.5
"""Outliers follow a Lomax distribution, whose heavy tail gives every duration some probability."""

MIN_SPREAD = 0.06
"""The least spread, even if all past tasks took equally long."""


@dataclass(frozen=True, slots=True)
class DurationEstimate:
    """The estimated duration of a task: a log-normal distribution with some outliers.

    Attributes:
        median_s: The median, in seconds.
        spread: The standard deviation of the logarithm of the seconds; 0.3 means about a third
            more or less.
        outlier_weight: The share of tasks that do not follow this distribution, from 0 to 1.

    Example:
        >>> DurationEstimate().median_s
        12.0
    """

    median_s: float = PRIOR_S
    spread: float = PRIOR_SPREAD
    outlier_weight: float = PRIOR_OUTLIER_WEIGHT

    def hazard(self, seconds: float) -> float:
        """Return the hazard rate: the probability per second that a running task ends now.

        Args:
            seconds: Seconds since it was submitted.

        Example:
            >>> early, due = DurationEstimate().hazard(1.0), DurationEstimate().hazard(12.0)
            >>> early < due
            True
        """
        seconds = max(seconds, 1e-3)
        z = (math.log(seconds) - math.log(self.median_s)) / self.spread
        density = math.exp(-z * z / 2) / (math.sqrt(2 * math.pi) * self.spread * seconds)
        survival = 0.5 * math.erfc(z / math.sqrt(2))
        # the longer a task is overdue, the more likely it is an outlier
        tail = math.pow(_TAIL_SCALE_S / (seconds + _TAIL_SCALE_S), _TAIL_SHAPE)
        anytime = self.outlier_weight * tail
        ready = (1 - self.outlier_weight) * density + anytime * _TAIL_SHAPE / (
            seconds + _TAIL_SCALE_S
        )
        return ready / ((1 - self.outlier_weight) * survival + anytime)


def estimate_duration(
    durations_s: Sequence[float], *, prior: DurationEstimate | None = None
) -> DurationEstimate:
    """Estimate a duration from those of earlier tasks; with few of them the prior dominates.

    Args:
        durations_s: Durations of similar tasks, in seconds; implausible ones are ignored.
        prior: The estimate without any such task; defaults to `DurationEstimate()`.

    Example:
        >>> round(estimate_duration([8.0] * 50).median_s)
        8
        >>> estimate_duration([]) == DurationEstimate()
        True
    """
    prior = prior or DurationEstimate()
    logs = sorted(math.log(seconds) for seconds in durations_s if 0.05 <= seconds < 86_400)
    if not logs:
        return prior
    count = len(logs)
    median = (logs[(count - 1) // 2] + logs[count // 2]) / 2
    weight = count / (count + PRIOR_WEIGHT)
    # the center is known sooner than the spread: a dozen tasks outweigh the prior
    center_weight = count**1.5 / (count**1.5 + PRIOR_WEIGHT**1.5)
    center = center_weight * median + (1 - center_weight) * math.log(prior.median_s)
    # the median absolute deviation: robust against a task that hung for an hour
    deviations = sorted(abs(value - median) for value in logs)
    spread = 1.4826 * (deviations[(count - 1) // 2] + deviations[count // 2]) / 2
    blended = math.sqrt(weight * spread**2 + (1 - weight) * prior.spread**2)
    outlier_weight = MIN_OUTLIER_WEIGHT + (prior.outlier_weight - MIN_OUTLIER_WEIGHT) / (
        1 + count / 2
    )
    return DurationEstimate(math.exp(center), max(MIN_SPREAD, blended), outlier_weight)
