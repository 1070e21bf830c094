"""A simulated year of tasks: the learned schedule against fixed and exponential ones."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache

import pytest

from mountsea_magic.generation.duration import DurationEstimate, estimate_duration
from mountsea_magic.generation.schedule import LearnedSchedule

KINDS = [(6.0, 0.25), (11.0, 0.3), (24.0, 0.35), (9.0, 0.2), (40.0, 0.4)]
"""Median and spread of the seconds of several models, image counts and resolutions."""

TASKS_A_DAY = 5
JITTER = 0.1

Pause = Callable[[float], float]
"""Seconds until the next poll, given the seconds waited so far."""


@dataclass(frozen=True, slots=True)
class Year:
    """The result of a year of polling.

    Attributes:
        polls: Polls per task.
        delay: Mean time from ready to noticed, as a share of the task's duration.
    """

    polls: float
    delay: float


@dataclass
class Learned:
    """The package's schedule, learning from its own tasks, for a given cost of a poll.

    Attributes:
        poll_cost: The cost of a poll, as for `LearnedSchedule`.
        min_interval_s: The shortest interval.
    """

    poll_cost: float
    min_interval_s: float = 0.1
    _intervals: dict[tuple[float, ...], float] = field(default_factory=dict)

    def begin(self, durations: list[float]) -> Pause:
        """Estimate from the newest fifty similar tasks, rounded so that results can be cached."""
        learned = estimate_duration(durations[:50])
        rounded = (
            math.exp(round(math.log(learned.median_s), 1)),
            round(learned.spread, 1),
            round(learned.outlier_weight, 2),
        )
        schedule = LearnedSchedule(DurationEstimate(*rounded), self.poll_cost, self.min_interval_s)

        def pause(waited_s: float) -> float:
            key = (*rounded, round(waited_s, 1) if waited_s < 10 else round(2 * waited_s) / 2)
            if key not in self._intervals:
                self._intervals[key] = schedule.interval_s(key[-1], jitter=0.5)
            return self._intervals[key]

        return pause


@dataclass(frozen=True, slots=True)
class Fixed:
    """Polls at a fixed interval.

    Attributes:
        interval_s: The interval, in seconds.
    """

    interval_s: float

    def begin(self, durations: list[float]) -> Pause:
        """Ignore earlier tasks."""
        return lambda waited_s: self.interval_s


class Exponential:
    """Exponential backoff from 0.25 s by a factor of 1.5, up to 10 s."""

    def begin(self, durations: list[float]) -> Pause:
        """Ignore earlier tasks."""
        pause_s = 0.25

        def pause(waited_s: float) -> float:
            nonlocal pause_s
            pause_s = min(pause_s * 1.5, 10.0)
            return pause_s

        return pause


RIVALS: dict[str, tuple[Fixed | Exponential, Learned]] = {
    "every 0.1 s": (Fixed(0.1), Learned(0.00001, min_interval_s=0.02)),
    "every 0.5 s": (Fixed(0.5), Learned(0.0002)),
    "every 1 s": (Fixed(1.0), Learned(0.0008)),
    "every 3 s": (Fixed(3.0), Learned(0.007)),
    "exponential": (Exponential(), Learned(0.0055)),
}
"""Each with the learned schedule whose cost leads to about as many polls."""


@cache
def _tasks() -> list[tuple[int, float]]:
    """A year of tasks: slower in summer, and one in a hundred takes six times as long."""
    rng, tasks = random.Random(5), []
    for day in range(365):
        load = 1 + 0.25 * math.sin(day / 365 * 2 * math.pi)
        for _ in range(TASKS_A_DAY):
            kind = rng.randrange(len(KINDS))
            median_s, spread = KINDS[kind]
            hung = 6 if rng.random() < 0.01 else 1
            tasks.append((kind, median_s * load * math.exp(rng.gauss(0, spread)) * hung))
    return tasks


def _year(policy: Learned | Fixed | Exponential) -> Year:
    """Poll each task until it is noticed as ready, and learn from the noticed duration."""
    noticed: list[list[float]] = [[] for _ in KINDS]
    rng, polls, delay = random.Random(1), 0, 0.0
    for kind, ready_s in _tasks():
        pause, now_s = policy.begin(noticed[kind]), 0.0
        while now_s < ready_s:
            now_s += pause(now_s) * (1 + JITTER * (2 * rng.random() - 1))
            polls += 1
        delay += (now_s - ready_s) / ready_s
        noticed[kind].insert(0, now_s)
    return Year(polls / len(_tasks()), delay / len(_tasks()))


@pytest.mark.parametrize("name", list(RIVALS))
def test_learned_polling_is_better_than(name: str) -> None:
    """Over a year it takes a third off the delay of other ways, or more, with no more polls."""
    rival, learned = (_year(policy) for policy in RIVALS[name])
    print(f"\n{'':14}{'polls per task':>14}{'mean delay':>14}")
    for label, year in ((name, rival), ("learned", learned)):
        print(f"{label:14}{year.polls:14.1f}{year.delay:14.2%}")
    assert learned.polls <= rival.polls
    assert learned.delay <= 0.65 * rival.delay


def test_the_default_poll_cost_beats_polling_every_second() -> None:
    """The defaults need less than 70 % of the polls, for less than 70 % of the delay."""
    year, every_second = (
        _year(Learned(LearnedSchedule(DurationEstimate()).poll_cost)),
        _year(Fixed(1.0)),
    )
    print(f"\ndefaults: {year.polls:.1f} polls per task, {year.delay:.2%} mean delay")
    assert year.polls <= 0.7 * every_second.polls
    assert year.delay <= 0.7 * every_second.delay


def _polled(duration_s: float, known_s: list[float], rng: random.Random) -> tuple[float, int]:
    """Poll one task by the default schedule: the seconds from ready to noticed, and the polls."""
    schedule = LearnedSchedule(estimate_duration(known_s))
    now_s, polls = 0.0, 0
    while now_s < duration_s:
        now_s += schedule.interval_s(now_s, jitter=rng.random())
        polls += 1
    return now_s - duration_s, polls


def _similar(median_s: float, count: int, rng: random.Random) -> list[float]:
    """Durations within 20 % of a median, in seconds."""
    return [median_s * rng.uniform(0.8, 1.2) for _ in range(count)]


@pytest.mark.parametrize("median_s", [8.0, 15.0, 30.0])
def test_a_known_kind_of_task_is_noticed_within_2_percent(median_s: float) -> None:
    """On average after at most 2 % of its duration, with at most 12 polls."""
    rng, share, polls = random.Random(3), 0.0, 0
    for duration_s in _similar(median_s, 150, rng):
        delay_s, more = _polled(duration_s, _similar(median_s, 20, rng), rng)
        share += delay_s / duration_s / 150
        polls += more
    assert share <= 0.02
    assert polls / 150 <= 12


@pytest.mark.parametrize("known", [1, 5, 20])
@pytest.mark.parametrize("median_s", [0.3, 1.0, 3.0, 8.0, 15.0, 30.0])
def test_no_fixed_interval_is_better_on_both(median_s: float, known: int) -> None:
    """Of the intervals that other clients use, each has a longer delay or needs more polls."""
    rng = random.Random(4)
    tasks = _similar(median_s, 150, rng)
    ours = [_polled(duration_s, _similar(median_s, known, rng), rng) for duration_s in tasks]
    delay_s, polls = sum(each[0] for each in ours) / 150, sum(each[1] for each in ours) / 150
    for interval_s in (0.1, 0.5, 1.0, 3.0, 5.0):
        counts = [math.ceil(duration_s / interval_s) for duration_s in tasks]
        waits_s = [count * interval_s for count in counts]
        other_delay_s = sum(map(float.__sub__, waits_s, tasks)) / 150
        assert delay_s < other_delay_s or polls < sum(counts) / 150, interval_s


@pytest.mark.parametrize(("before_s", "after_s"), [(8.0, 4.0), (20.0, 10.0), (8.0, 16.0)])
def test_a_changed_service_is_believed_within_ten_tasks(before_s: float, after_s: float) -> None:
    """After ten tasks that take twice or half as long, the estimate is that of the new ones."""
    rng = random.Random(6)
    for _ in range(50):
        known_s = [*_similar(after_s, 10, rng), *_similar(before_s, 40, rng)]
        assert estimate_duration(known_s).median_s == pytest.approx(after_s, rel=0.2)
