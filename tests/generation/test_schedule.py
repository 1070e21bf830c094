"""The polling schedule: few polls before a task is due, many around then, backing off after."""

from __future__ import annotations

from dataclasses import FrozenInstanceError
from itertools import pairwise

import pytest

from mountsea_magic.generation.duration import DurationEstimate
from mountsea_magic.generation.schedule import LearnedSchedule, Schedule

KNOWN = DurationEstimate(20.0, 0.15, 0.02)
"""The estimate after fifty tasks of about 20 s."""

ESTIMATES = [
    DurationEstimate(),
    KNOWN,
    DurationEstimate(0.3, 0.12, 0.02),
    DurationEstimate(600.0, 1.5, 0.3),
]


def _poll_times(schedule: Schedule, until_s: float) -> list[float]:
    """Return the times of the polls, without jitter."""
    times = [0.0]
    while times[-1] < until_s:
        times.append(times[-1] + schedule.interval_s(times[-1], jitter=0.5))
    return times[1:]


def test_polls_are_dense_only_around_the_expected_end() -> None:
    """Fewest before the task can be ready, most when it is due, fewer afterwards."""
    polls = _poll_times(LearnedSchedule(KNOWN), 60)
    before, due, after = (
        sum(start < poll <= start + 10 for poll in polls) for start in (0.0, 15.0, 40.0)
    )
    assert before < after < due
    assert due >= 3 * before


def test_an_overdue_task_is_polled_less_and_less() -> None:
    """An outlier may take very long, so the intervals grow up to the maximum."""
    schedule = LearnedSchedule(KNOWN)
    pauses = [schedule.interval_s(seconds, jitter=0.5) for seconds in (24, 40, 100, 400, 3600)]
    assert all(first < second for first, second in pairwise(pauses[:-1]))
    assert pauses[-1] == pytest.approx(schedule.max_interval_s)


def test_the_prior_limits_the_number_of_polls() -> None:
    """Without earlier tasks: at most 60 polls in a minute, 600 in an hour."""
    schedule = LearnedSchedule(DurationEstimate())
    assert 10 <= len(_poll_times(schedule, 60)) <= 60
    assert len(_poll_times(schedule, 3600)) <= 600


@pytest.mark.parametrize("estimate", ESTIMATES)
@pytest.mark.parametrize("waited_s", [0.0, 1e-9, 3.0, 12.0, 100.0, 1e5])
@pytest.mark.parametrize("jitter", [0.0, 0.999])
def test_every_interval_is_within_its_limits(
    estimate: DurationEstimate, waited_s: float, jitter: float
) -> None:
    """For every estimate and waiting time, with the jitter on both sides."""
    schedule = LearnedSchedule(estimate)
    pause_s = schedule.interval_s(waited_s, jitter=jitter)
    assert schedule.min_interval_s * 0.9 <= pause_s <= schedule.max_interval_s * 1.1


@pytest.mark.parametrize("waited_s", [0.0, 12.0, 100.0])
def test_jitter_is_symmetric_around_the_interval(waited_s: float) -> None:
    """A random number changes an interval by at most its fraction, in both directions."""
    schedule = LearnedSchedule(KNOWN, jitter=0.2)
    least, middle, most = (
        schedule.interval_s(waited_s, jitter=jitter) for jitter in (0.0, 0.5, 1.0)
    )
    assert least == pytest.approx(middle * 0.8)
    assert most == pytest.approx(middle * 1.2)


def test_a_lower_poll_cost_means_more_polls() -> None:
    """Four times the cost is about half the polls, as the square root in the rule says."""
    high_cost, low_cost = (
        len(_poll_times(LearnedSchedule(KNOWN, poll_cost=cost, min_interval_s=0.01), 30))
        for cost in (0.04, 0.01)
    )
    assert low_cost == pytest.approx(2 * high_cost, rel=0.25)


def test_a_custom_schedule() -> None:
    """All limits are arguments."""
    schedule: Schedule = LearnedSchedule(KNOWN, min_interval_s=2.0, max_interval_s=2.0, jitter=0.0)
    assert [schedule.interval_s(waited, jitter=0.9) for waited in (0, 20, 900)] == [2.0] * 3


def test_a_schedule_is_frozen() -> None:
    """A schedule can be shared between tasks."""
    with pytest.raises(FrozenInstanceError):
        LearnedSchedule(KNOWN).poll_cost = 1.0  # type: ignore[misc]  # that is the point
