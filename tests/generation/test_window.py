"""The window of a batch: pure rules, with the time passed in."""

from __future__ import annotations

import pytest

from mountsea_magic.generation.window import FIRST_SIZE, MAX_PAUSE_S, Window


def refuse(
    window: Window, now: float, *, running: int = 8, retry_after_s: float | None = 1.0
) -> None:
    """Answer 429 to a submission that was sent just now."""
    window.on_refused(
        now=now, sent_at=now, running=running, retry_after_s=retry_after_s, jitter=0.0
    )


def grown(limit: int, size: int) -> Window:
    """Return a window that accepted submissions have let grow to a size."""
    window = Window(limit)
    while window.size < size:
        window.on_accepted(running=0)
    return window


@pytest.mark.parametrize("limit", [1, 2, 4, 64])
def test_it_starts_small_and_never_exceeds_its_limit(limit: int) -> None:
    """The Hub's own limit is not known yet."""
    window = Window(limit)
    assert window.size == min(limit, FIRST_SIZE)
    for _ in range(1000):
        window.on_accepted(running=0)
    assert window.size == limit


def test_a_429_halves_it() -> None:
    """Down to one task at a time."""
    window = grown(64, 40)
    sizes = []
    for now in range(8):
        refuse(window, float(now))
        sizes.append(window.size)
    assert sizes == [20, 10, 5, 2, 1, 1, 1, 1]


def test_429s_of_one_round_halve_it_once() -> None:
    """Those of submissions that were sent before the window was halved say nothing new."""
    window = grown(64, 40)
    for now in (1.0, 1.1, 1.2):
        window.on_refused(now=now, sent_at=0.5, running=8, retry_after_s=None, jitter=0.0)
    assert window.size == 20


def test_retry_after_holds_for_all() -> None:
    """A shorter one does not cut a longer one short, whenever its submission was sent."""
    window = Window(64)
    refuse(window, 10.0, retry_after_s=30.0)
    window.on_refused(now=11.0, sent_at=9.0, running=8, retry_after_s=2.0, jitter=0.0)
    assert window.blocked_until == 40.0
    window.on_refused(now=12.0, sent_at=9.0, running=8, retry_after_s=60.0, jitter=0.0)
    assert window.blocked_until == 72.0


def test_without_retry_after_the_pause_doubles_until_one_is_accepted() -> None:
    """Up to its limit."""
    window, pauses = Window(64), []
    for number in range(8):
        now = 100.0 * (number + 1)
        refuse(window, now, retry_after_s=None)
        pauses.append(window.blocked_until - now)
    assert pauses == [1.0, 2.0, 4.0, 8.0, 16.0, MAX_PAUSE_S, MAX_PAUSE_S, MAX_PAUSE_S]
    window.on_accepted(running=0)
    refuse(window, 1000.0, retry_after_s=None)
    assert window.blocked_until == 1001.0


def test_it_recovers_quickly_up_to_what_the_hub_was_running() -> None:
    """Step by step with each accepted submission; beyond that it probes slowly."""
    window = grown(64, 16)
    refuse(window, 1.0, running=12)
    sizes = []
    for _ in range(8):
        window.on_accepted(running=0)
        sizes.append(window.size)
    assert sizes == [9, 10, 11, 12, 12, 12, 12, 12]


def test_it_probes_more_rarely_after_each_429_and_more_often_after_each_success() -> None:
    """A Hub with a fixed limit is not asked for more all the time; one that got faster is used."""

    def accepted_until_growth(window: Window) -> int:
        size, count = window.size, 0
        while window.size == size:
            window.on_accepted(running=0)
            count += 1
        return count

    window, counts = grown(64, 8), []
    for now in (1.0, 2.0, 3.0):
        refuse(window, now, running=8)
        while window.size < 8:
            window.on_accepted(running=0)
        counts.append(accepted_until_growth(window))
    assert counts[0] < counts[1] < counts[2]
    faster = []
    for running in range(9, 15):
        window.on_accepted(running=running)
        faster.append(accepted_until_growth(window))
    assert faster[-1] < faster[0]
