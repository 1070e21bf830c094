"""A simulated year of tasks: learned polling against every other way to place the looks."""

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

ORDERS_A_DAY = 5
JITTER = 0.1

Pause = Callable[[float], float]
"""Seconds until the next look, by the seconds that were waited."""


@dataclass(frozen=True, slots=True)
class Year:
    """What a year's polling came to.

    Attributes:
        looks: Requests a task.
        delay_s: Seconds from ready to seen, on average.
    """

    looks: float
    delay_s: float


@dataclass
class Learned:
    """The schedule of the package, with a journal of its own and at a price.

    Attributes:
        poll_cost: The cost of a poll, as for `LearnedSchedule`.
        min_interval_s: The shortest interval.
    """

    poll_cost: float
    min_interval_s: float = 0.25
    _intervals: dict[tuple[float, ...], float] = field(default_factory=dict)

    def begin(self, durations: list[float]) -> Pause:
        """Expect what the newest fifty tasks of the kind took; rounded, so that it is quick."""
        learned = estimate_duration(durations[:50])
        about = (
            math.exp(round(math.log(learned.median_s), 1)),
            round(learned.spread, 1),
            round(learned.outlier_weight, 2),
        )
        schedule = LearnedSchedule(DurationEstimate(*about), self.poll_cost, self.min_interval_s)

        def pause(waited_s: float) -> float:
            key = (*about, round(waited_s, 1) if waited_s < 10 else round(2 * waited_s) / 2)
            if key not in self._intervals:
                self._intervals[key] = schedule.interval_s(key[-1], jitter=0.5)
            return self._intervals[key]

        return pause


@dataclass(frozen=True, slots=True)
class Fixed:
    """Looks every so many seconds.

    Attributes:
        interval_s: How many.
    """

    interval_s: float

    def begin(self, durations: list[float]) -> Pause:
        """Learn nothing."""
        return lambda waited_s: self.interval_s


class Exponential:
    """Begins with a quarter of a second, and takes half as much more each time, up to ten."""

    def begin(self, durations: list[float]) -> Pause:
        """Learn nothing."""
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
"""Against each, the price at which the learned looks are about as many."""


@cache
def _tasks() -> list[tuple[int, float]]:
    """A year of orders: busier in summer, and one task in a hundred takes six times as long."""
    rng, tasks = random.Random(5), []
    for day in range(365):
        load = 1 + 0.25 * math.sin(day / 365 * 2 * math.pi)
        for _ in range(ORDERS_A_DAY):
            kind = rng.randrange(len(KINDS))
            median_s, spread = KINDS[kind]
            hung = 6 if rng.random() < 0.01 else 1
            tasks.append((kind, median_s * load * math.exp(rng.gauss(0, spread)) * hung))
    return tasks


def _year(policy: Learned | Fixed | Exponential) -> Year:
    """Look at each task until it is seen ready; what is learned is when it was seen."""
    seen: list[list[float]] = [[] for _ in KINDS]
    rng, looks, delay_s = random.Random(1), 0, 0.0
    for kind, ready_s in _tasks():
        pause, now_s = policy.begin(seen[kind]), 0.0
        while now_s < ready_s:
            now_s += pause(now_s) * (1 + JITTER * (2 * rng.random() - 1))
            looks += 1
        delay_s += now_s - ready_s
        seen[kind].insert(0, now_s)
    return Year(looks / len(_tasks()), delay_s / len(_tasks()))


@pytest.mark.parametrize("name", list(RIVALS))
def test_learned_polling_is_better_than(name: str) -> None:
    """Over a year it sees tasks sooner by no more requests, and by a margin."""
    rival, learned = (_year(policy) for policy in RIVALS[name])
    print(f"\n{'':14}{'looks a task':>14}{'mean delay':>14}")
    for label, year in ((name, rival), ("learned", learned)):
        print(f"{label:14}{year.looks:14.1f}{year.delay_s:12.3f} s")
    assert learned.looks <= rival.looks
    assert learned.delay_s <= 0.97 * rival.delay_s


def test_the_price_of_the_package_beats_both_neighbours() -> None:
    """As it is set, it looks half as often as once a second, and no later."""
    year, second = _year(Learned(LearnedSchedule(DurationEstimate()).poll_cost)), _year(Fixed(1.0))
    print(f"\nas it is set: {year.looks:.1f} looks a task, {year.delay_s:.3f} s mean delay")
    assert year.looks <= 0.6 * second.looks
    assert year.delay_s <= 1.02 * second.delay_s
