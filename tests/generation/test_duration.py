"""The duration estimate: the prior at first, then more and more the observed durations."""

from __future__ import annotations

import math
import random
from itertools import pairwise

import pytest

from mountsea_magic.generation.duration import (
    MIN_OUTLIER_WEIGHT,
    MIN_SPREAD,
    PRIOR_S,
    DurationEstimate,
    estimate_duration,
)


def _random_durations(median_s: float, spread: float, count: int) -> list[float]:
    """Draw random durations."""
    rng = random.Random(7)
    return [median_s * math.exp(rng.gauss(0, spread)) for _ in range(count)]


@pytest.mark.parametrize(("median_s", "spread"), [(3.0, 0.2), (25.0, 0.3), (200.0, 0.5)])
def test_median_and_spread_are_learned(median_s: float, spread: float) -> None:
    """Fifty tasks determine both, however far they are from the prior."""
    learned = estimate_duration(_random_durations(median_s, spread, 50))
    assert learned.median_s == pytest.approx(median_s, rel=0.25)
    assert learned.spread == pytest.approx(spread, abs=0.15)
    assert MIN_OUTLIER_WEIGHT < learned.outlier_weight < 0.05


@pytest.mark.parametrize("seconds", [2.0, 90.0])
def test_each_task_moves_the_estimate_further(seconds: float) -> None:
    """The first moves it most, more move it further, never past the observed value."""
    medians = [estimate_duration([seconds] * count).median_s for count in (0, 1, 3, 10, 50)]
    distances = [abs(math.log(median_s / seconds)) for median_s in medians]
    assert medians[0] == PRIOR_S
    assert distances == sorted(distances, reverse=True)
    assert 0.5 * distances[0] > distances[1] > distances[-1] > 0


def test_the_outlier_weight_shrinks_with_every_task() -> None:
    """But never below its minimum."""
    weights = [estimate_duration([8.0] * count).outlier_weight for count in (0, 1, 2, 10, 50)]
    assert all(first > second for first, second in pairwise(weights))
    assert weights[-1] > MIN_OUTLIER_WEIGHT


def test_the_spread_has_a_minimum() -> None:
    """Even if all past tasks took equally long, the next may differ a little."""
    assert estimate_duration([8.0] * 10_000).spread == pytest.approx(MIN_SPREAD, abs=0.06)


def test_one_outlier_changes_little() -> None:
    """One hour among fifteen typical tasks changes neither the median nor the spread by much."""
    typical = _random_durations(9.0, 0.2, 15)
    before, after = estimate_duration(typical), estimate_duration([3600.0, *typical])
    assert after.median_s == pytest.approx(before.median_s, rel=0.1)
    assert after.spread == pytest.approx(before.spread, abs=0.1)


@pytest.mark.parametrize(
    "implausible", [0.0, -5.0, 0.01, 86_400.0, math.inf, math.nan, 1e300], ids=str
)
def test_implausible_durations_are_ignored(implausible: float) -> None:
    """A clock that jumped, or a damaged row, does not change the estimate."""
    assert estimate_duration([implausible]) == DurationEstimate()
    assert estimate_duration([implausible, 8.0, 9.0]) == estimate_duration([8.0, 9.0])


def test_the_newest_tasks_count_most() -> None:
    """Services change: of two halves that differ, the newer one decides."""
    fast, slow = _random_durations(4.0, 0.1, 10), _random_durations(16.0, 0.1, 10)
    assert estimate_duration(fast + slow).median_s == pytest.approx(4.0, rel=0.2)
    assert estimate_duration(slow + fast).median_s == pytest.approx(16.0, rel=0.2)


@pytest.mark.parametrize("median_s", [1.0, 12.0, 300.0])
@pytest.mark.parametrize("spread", [MIN_SPREAD, 0.6, 1.5])
def test_the_hazard_integrates_to_the_median(median_s: float, spread: float) -> None:
    """It is finite and positive at any time, and half of the tasks end before the median."""
    expected = DurationEstimate(median_s, spread, 0.02)
    for seconds in (0.0, 1e-6, median_s / 100, median_s, 100 * median_s, 1e6):
        assert 0 < expected.hazard(seconds) < math.inf
    steps = [median_s * step / 1000 for step in range(1, 1001)]
    until_median = sum(expected.hazard(seconds) * median_s / 1000 for seconds in steps)
    assert math.exp(-until_median) == pytest.approx(0.5, abs=0.05)


def test_the_hazard_falls_once_a_task_is_overdue() -> None:
    """A task that is long overdue is an outlier, and may take much longer."""
    expected = DurationEstimate(10.0, 0.2, 0.02)
    assert expected.hazard(2) < expected.hazard(6) < expected.hazard(10)
    assert expected.hazard(14) > expected.hazard(40) > expected.hazard(400)
