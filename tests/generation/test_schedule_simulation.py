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
        delay_s: Mean seconds from ready to noticed.
    """

    polls: float
    delay_s: float


@dataclass
class Learned:
    """The package's schedule, learning from its own tasks, for a given cost of a poll.

    Attributes:
        poll_cost: The cost of a poll, as for `LearnedSchedule`.
        min_interval_s: The shortest interval.
    """

    poll_cost: float
    min_interval_s: float = 0.25
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
    "every 0.1 s": (Fixed(0.1), Learned(0.0002, min_interval_s=0.05)),
    "every 0.5 s": (Fixed(0.5), Learned(0.01)),
    "every 1 s": (Fixed(1.0), Learned(0.03)),
    "every 3 s": (Fixed(3.0), Learned(0.15)),
    "exponential": (Exponential(), Learned(0.15)),
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
    rng, polls, delay_s = random.Random(1), 0, 0.0
    for kind, ready_s in _tasks():
        pause, now_s = policy.begin(noticed[kind]), 0.0
        while now_s < ready_s:
            now_s += pause(now_s) * (1 + JITTER * (2 * rng.random() - 1))
            polls += 1
        delay_s += now_s - ready_s
        noticed[kind].insert(0, now_s)
    return Year(polls / len(_tasks()), delay_s / len(_tasks()))


@pytest.mark.parametrize("name", list(RIVALS))
def test_learned_polling_is_better_than(name: str) -> None:
    """Over a year it notices tasks at least 3 % sooner, with no more polls."""
    rival, learned = (_year(policy) for policy in RIVALS[name])
    print(f"\n{'':14}{'polls per task':>14}{'mean delay':>14}")
    for label, year in ((name, rival), ("learned", learned)):
        print(f"{label:14}{year.polls:14.1f}{year.delay_s:12.3f} s")
    assert learned.polls <= rival.polls
    assert learned.delay_s <= 0.97 * rival.delay_s


def test_the_default_poll_cost_beats_polling_every_second() -> None:
    """The defaults need at most 60 % of the polls, and notice tasks no later."""
    year, every_second = (
        _year(Learned(LearnedSchedule(DurationEstimate()).poll_cost)),
        _year(Fixed(1.0)),
    )
    print(f"\ndefaults: {year.polls:.1f} polls per task, {year.delay_s:.3f} s mean delay")
    assert year.polls <= 0.6 * every_second.polls
    assert year.delay_s <= 1.02 * every_second.delay_s
