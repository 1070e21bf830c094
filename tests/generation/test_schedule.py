"""The polling schedule: seldom before a task is due, often when it is, and backing off after."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from itertools import pairwise

import pytest

from mountsea_magic.generation.duration import DurationEstimate
from mountsea_magic.generation.schedule import LearnedSchedule, Schedule

KNOWN = DurationEstimate(20.0, 0.15, 0.02)
"""What fifty tasks of about 20 s lead to."""

EXPECTATIONS = [
    DurationEstimate(),
    KNOWN,
    DurationEstimate(0.3, 0.12, 0.02),
    DurationEstimate(600.0, 1.5, 0.3),
]


def _looks(schedule: Schedule, until_s: float) -> list[float]:
    """Return when the schedule looks at a task, without jitter."""
    times = [0.0]
    while times[-1] < until_s:
        times.append(times[-1] + schedule.interval_s(times[-1], jitter=0.5))
    return times[1:]


def test_looks_are_dense_around_the_expected_end_alone() -> None:
    """Fewest before the task can be ready, most when it is due, and fewer again after."""
    looks = _looks(LearnedSchedule(KNOWN), 60)
    before, due, after = (
        sum(start < look <= start + 10 for look in looks) for start in (0.0, 15.0, 40.0)
    )
    assert before < after < due
    assert due >= 3 * before


def test_the_longer_overdue_the_fewer_looks() -> None:
    """A task that is no usual one may take for ever, so the pauses grow up to the longest."""
    schedule = LearnedSchedule(KNOWN)
    pauses = [schedule.interval_s(seconds, jitter=0.5) for seconds in (24, 40, 100, 400, 3600)]
    assert all(first < second for first, second in pairwise(pauses[:-1]))
    assert pauses[-1] == pytest.approx(schedule.max_interval_s)


def test_an_unknown_task_is_looked_at_a_bearable_number_of_times() -> None:
    """The guess fits none well: a minute takes some forty looks, an hour at most 600."""
    schedule = LearnedSchedule(DurationEstimate())
    assert 10 <= len(_looks(schedule, 60)) <= 50
    assert len(_looks(schedule, 3600)) <= 600


@pytest.mark.parametrize("expectation", EXPECTATIONS)
@pytest.mark.parametrize("waited_s", [0.0, 1e-9, 3.0, 12.0, 100.0, 1e5])
@pytest.mark.parametrize("jitter", [0.0, 0.999])
def test_every_pause_is_within_its_bounds(
    expectation: DurationEstimate, waited_s: float, jitter: float
) -> None:
    """Whatever is expected and however long it takes, with the jitter on both sides."""
    schedule = LearnedSchedule(expectation)
    pause_s = schedule.interval_s(waited_s, jitter=jitter)
    assert schedule.min_interval_s * 0.9 <= pause_s <= schedule.max_interval_s * 1.1


@pytest.mark.parametrize("waited_s", [0.0, 12.0, 100.0])
def test_jitter_spreads_a_class_evenly_around_the_interval(waited_s: float) -> None:
    """The chance moves an interval by at most its part, down as far as up."""
    schedule = LearnedSchedule(KNOWN, jitter=0.2)
    least, middle, most = (schedule.interval_s(waited_s, jitter=c) for c in (0.0, 0.5, 1.0))
    assert least == pytest.approx(middle * 0.8)
    assert most == pytest.approx(middle * 1.2)


def test_a_lower_price_buys_more_looks() -> None:
    """Four times the price is about half the looks: their rate is what the rule says."""
    dear, cheap = (
        len(_looks(LearnedSchedule(KNOWN, poll_cost=cost, min_interval_s=0.01), 30))
        for cost in (0.04, 0.01)
    )
    assert cheap == pytest.approx(2 * dear, rel=0.25)


def test_a_schedule_of_ones_own() -> None:
    """Its parts are arguments, so that tests and patient users choose their own."""
    schedule: Schedule = LearnedSchedule(KNOWN, min_interval_s=2.0, max_interval_s=2.0, jitter=0.0)
    assert [schedule.interval_s(waited, jitter=0.9) for waited in (0, 20, 900)] == [2.0] * 3


def test_a_schedule_is_frozen() -> None:
    """A schedule may be shared between tasks."""
    with pytest.raises(FrozenInstanceError):
        LearnedSchedule(KNOWN).poll_cost = 1.0  # type: ignore[misc]  # that is the point
