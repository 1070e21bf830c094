"""The polling schedule: short at first, longer with the wait, capped, and out of step."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from itertools import pairwise

import pytest

from mountsea_magic.polling import ProportionalSchedule, Schedule


@pytest.mark.parametrize(
    ("waited_s", "interval_s"),
    [(0, 0.3), (1, 0.3), (2, 0.3), (10, 1.5), (20, 3.0), (27, 4.0), (60, 4.0), (1e9, 4.0)],
)
def test_the_interval_is_a_part_of_the_wait_between_its_bounds(
    waited_s: float, interval_s: float
) -> None:
    """Without jitter the interval is 15 % of the wait, from 0.3 s to the vendor's 4 s."""
    schedule = ProportionalSchedule()
    assert schedule.interval_s(waited_s, chance=0.5) == pytest.approx(interval_s, abs=0.06)


@pytest.mark.parametrize("waited_s", [0.0, 3.0, 10.0, 100.0])
def test_jitter_spreads_a_class_evenly_around_the_interval(waited_s: float) -> None:
    """The chance moves an interval by at most its part, down as far as up."""
    schedule = ProportionalSchedule()
    least, middle, most = (schedule.interval_s(waited_s, chance=c) for c in (0.0, 0.5, 1.0))
    assert least == pytest.approx(middle * 0.85)
    assert most == pytest.approx(middle * 1.15)


@pytest.mark.parametrize("chance", [0.0, 0.3, 0.999])
def test_the_interval_never_shrinks_with_the_wait(chance: float) -> None:
    """The longer a task runs, the less often it is looked at; the pause is never 0."""
    schedule = ProportionalSchedule()
    intervals = [schedule.interval_s(waited / 4, chance=chance) for waited in range(400)]
    assert all(0 < first <= second for first, second in pairwise(intervals))


def test_a_minute_takes_few_looks() -> None:
    """A task of 60 s is looked at some thirty times, the longest task at most every 3.4 s."""
    schedule, waited, looks = ProportionalSchedule(), 0.0, 0
    while waited < 60:
        waited += schedule.interval_s(waited, chance=0.5)
        looks += 1
    assert 20 <= looks <= 40


def test_a_schedule_of_ones_own() -> None:
    """Its parts are arguments, so that tests and patient users choose their own."""
    schedule: Schedule = ProportionalSchedule(part=0.5, shortest_s=1, longest_s=2, jitter=0)
    assert [schedule.interval_s(waited, chance=0.9) for waited in (0, 3, 9)] == [1, 1.5, 2]


def test_a_schedule_is_frozen() -> None:
    """A schedule may be shared between tasks."""
    with pytest.raises(FrozenInstanceError):
        ProportionalSchedule().part = 1.0  # type: ignore[misc]  # that is the point
