"""How long a task will take: a prior, updated with the durations of earlier tasks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

PRIOR_S = 12.0
"""The prior median duration of a task, in seconds (the vendor's models take about 5 to 60)."""

PRIOR_SPREAD = 0.8
"""How far the median of a kind of task may be from `PRIOR_S`: the standard deviation of its log."""

PRIOR_TASK_SPREAD = 0.25
"""The prior for how far a task is from the median of its kind, likewise."""

_PRIOR_TASKS = 1.5
"""`PRIOR_TASK_SPREAD` counts as much as so many observed tasks."""

PRIOR_OUTLIER_WEIGHT = 0.15
MIN_OUTLIER_WEIGHT = 0.01
"""The share of outliers: large in the prior, down to this minimum with many observed tasks."""

_TAIL_SCALE_S = 0.2
_TAIL_SHAPE = 0.5
"""Outliers follow a Lomax distribution, whose heavy tail gives every duration some probability."""

MIN_SPREAD = 0.06
"""The least spread, even if all past tasks took equally long."""

HALF_LIFE_TASKS = 4
"""After so many newer tasks, a task counts half as much: services become faster or slower."""

_MEDIAN_VARIANCE = math.pi / 2
"""The variance of a median is so many times that of a mean."""


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
    spread: float = math.hypot(PRIOR_SPREAD, PRIOR_TASK_SPREAD)
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


def estimate_duration(durations_s: Sequence[float]) -> DurationEstimate:
    """Estimate a duration from those of earlier tasks: the prior, then mostly the newest tasks.

    It is a normal distribution of the logarithms, by Bayes' rule: the spread is that of the tasks
    and, while few of them are known, the uncertainty of their median.

    Args:
        durations_s: Durations of similar tasks, in seconds, newest first; implausible ones are
            ignored.

    Example:
        >>> round(estimate_duration([8.0] * 50).median_s)
        8
        >>> estimate_duration([]) == DurationEstimate()
        True
    """
    logs = [math.log(seconds) for seconds in durations_s if 0.05 <= seconds < 86_400]
    if not logs:
        return DurationEstimate()
    weights = [0.5 ** (age / HALF_LIFE_TASKS) for age in range(len(logs))]
    count = sum(weights) ** 2 / sum(weight * weight for weight in weights)
    median = _weighted_median(logs, weights)
    # the median absolute deviation: robust against a task that hung for an hour
    deviation = 1.4826 * _weighted_median([abs(value - median) for value in logs], weights)
    blended = _PRIOR_TASKS * PRIOR_TASK_SPREAD**2 + count * deviation**2
    variance = max(MIN_SPREAD**2, blended / (_PRIOR_TASKS + count))
    prior_precision, precision = PRIOR_SPREAD**-2, count / (_MEDIAN_VARIANCE * variance)
    total_precision = prior_precision + precision
    center = (prior_precision * math.log(PRIOR_S) + precision * median) / total_precision
    return DurationEstimate(
        math.exp(center),
        math.sqrt(variance + 1 / total_precision),
        MIN_OUTLIER_WEIGHT + (PRIOR_OUTLIER_WEIGHT - MIN_OUTLIER_WEIGHT) / (1 + 2 * len(logs)),
    )


def _weighted_median(values: Sequence[float], weights: Sequence[float]) -> float:
    """The value at which half of the total weight is reached."""
    half, reached = sum(weights) / 2, 0.0
    ordered = sorted(zip(values, weights, strict=True))
    for value, weight in ordered:
        reached += weight
        if reached >= half:
            return value
    return ordered[-1][0]
