"""What may be sent again: an order only if it surely was not taken, a look nearly always."""

from __future__ import annotations

import pytest

from mountsea_magic.errors import (
    AuthenticationError,
    ConfigurationError,
    DownloadFailed,
    HubUnavailable,
    InsufficientCredits,
    InvalidRequest,
    MountseaError,
    RateLimited,
    SubmissionUncertain,
    TaskFailed,
    WaitTimeout,
)
from mountsea_magic.hub.retry import (
    MAX_CONNECT_ATTEMPTS,
    MAX_SUBMIT_ATTEMPTS,
    NEW_TASK_GRACE_S,
    SUBMIT_RETRY_BUDGET_S,
    may_retry_poll,
    submit_retry_pause,
)

FINAL = [
    MountseaError("something"),
    ConfigurationError("a redirect", status_code=307),
    InvalidRequest("no dogs", status_code=422),
    InvalidRequest("no such route", status_code=404),
    AuthenticationError("no such key", status_code=401),
    AuthenticationError("not allowed", status_code=403),
    InsufficientCredits("no credits", status_code=402),
    TaskFailed("failed"),
    WaitTimeout("too long"),
    DownloadFailed("no image"),
]
"""Errors after which nothing is sent again, neither an order nor a look."""


def pauses(error: MountseaError, *, jitter: float = 0.0) -> list[float]:
    """List the pauses of an order that fails in the same way each time."""
    found: list[float] = []
    while True:
        tries = len(found) + 1
        pause_s = submit_retry_pause(error, tries=tries, paused_s=sum(found), jitter=jitter)
        if pause_s is None:
            return found
        found.append(pause_s)


@pytest.mark.parametrize(
    "error",
    [
        *FINAL,
        SubmissionUncertain("no answer came back"),
        SubmissionUncertain("it answered 502", status_code=502),
        RateLimited("no credits left", of_credits=True),
        RateLimited("the quota is used up", retry_after_s=1.0, of_credits=True),
    ],
    ids=repr,
)
def test_an_order_that_may_be_taken_or_is_refused_for_good_is_sent_once(
    error: MountseaError,
) -> None:
    """Neither doubt nor a refusal sends a billable order twice; nor does a lack of money."""
    assert pauses(error) == []


def test_a_busy_hub_is_asked_again_ever_more_slowly() -> None:
    """After 429 without a wish: 1, 2, 4, 8 s, then the order is given up."""
    assert pauses(RateLimited("busy")) == [1.0, 2.0, 4.0, 8.0]
    assert len(pauses(RateLimited("busy"))) == MAX_SUBMIT_ATTEMPTS - 1


def test_a_hub_out_of_reach_is_tried_a_few_times_quickly() -> None:
    """An order that never arrived goes out again after 0.4 and 0.8 s, then the error is told."""
    assert pauses(HubUnavailable("connection refused")) == [0.4, 0.8]
    assert len(pauses(HubUnavailable("connection refused"))) == MAX_CONNECT_ATTEMPTS - 1


@pytest.mark.parametrize(
    ("asked_s", "expected"),
    [
        (0.0, [1.0, 2.0, 4.0, 8.0]),
        (3.0, [3.0, 3.0, 4.0, 8.0]),
        (10.0, [10.0, 10.0, 10.0]),
        (SUBMIT_RETRY_BUDGET_S, [SUBMIT_RETRY_BUDGET_S]),
        (SUBMIT_RETRY_BUDGET_S + 0.1, []),
        (86_400.0, []),
        (float("inf"), []),
    ],
)
def test_a_pause_that_was_asked_for_is_kept_in_full_or_not_begun(
    asked_s: float, expected: list[float]
) -> None:
    """`Retry-After` is never cut short: what does not fit the budget ends the order instead."""
    assert pauses(RateLimited("busy", retry_after_s=asked_s)) == expected


@pytest.mark.parametrize("asked_s", [None, 0.5, 2.0, 7.0, 14.0, 29.0])
@pytest.mark.parametrize("jitter", [0.0, 0.5, 0.999])
def test_jitter_lengthens_a_pause_and_never_shortens_it(
    asked_s: float | None, jitter: float
) -> None:
    """A class does not come in step, none comes earlier than asked, and the waiting has an end."""
    got = pauses(RateLimited("busy", retry_after_s=asked_s), jitter=jitter)
    plain = pauses(RateLimited("busy", retry_after_s=asked_s))
    assert all(one >= (asked_s or 0) for one in got)
    left_s = SUBMIT_RETRY_BUDGET_S
    for one, without in zip(got, plain, strict=False):
        assert one == pytest.approx(min(without * (1 + 0.25 * jitter), left_s))
        left_s -= one
    assert left_s >= 0
    assert len(got) < MAX_SUBMIT_ATTEMPTS


@pytest.mark.parametrize("asked_s", [1.0, 7.0, 29.0, SUBMIT_RETRY_BUDGET_S])
@pytest.mark.parametrize("jitter", [0.0, 0.5, 0.999])
def test_chance_does_not_decide_if_a_busy_hub_is_asked_again(asked_s: float, jitter: float) -> None:
    """A pause that fits is kept by everyone: jitter makes no pause one that does not fit."""
    error = RateLimited("busy", retry_after_s=asked_s)
    assert submit_retry_pause(error, tries=1, paused_s=0.0, jitter=jitter) is not None


@pytest.mark.parametrize(
    ("tries", "paused_s"),
    [(MAX_SUBMIT_ATTEMPTS, 0.0), (MAX_SUBMIT_ATTEMPTS + 9, 0.0), (1, SUBMIT_RETRY_BUDGET_S)],
)
def test_tries_and_time_both_run_out(tries: int, paused_s: float) -> None:
    """The last try and the last second are the last, whatever is left of the other."""
    error = RateLimited("busy", retry_after_s=1.0)
    assert submit_retry_pause(error, tries=tries, paused_s=paused_s, jitter=0.0) is None


@pytest.mark.parametrize("age_s", [None, 0.0, 4.0, 6.0, 1e6])
@pytest.mark.parametrize(
    "error",
    [
        HubUnavailable("network"),
        HubUnavailable("408", status_code=408),
        HubUnavailable("502", status_code=502),
        HubUnavailable("a proxy's page"),
        RateLimited("busy"),
        RateLimited("busy", retry_after_s=3.0, of_credits=True),
    ],
    ids=repr,
)
def test_a_look_is_tried_again_whenever_the_trouble_may_pass(
    error: MountseaError, age_s: float | None
) -> None:
    """Looking costs nothing: network, 408, 429 and 5xx pass, however old the task is."""
    assert may_retry_poll(error, age_s=age_s)


@pytest.mark.parametrize("age_s", [None, 0.0, 60.0])
@pytest.mark.parametrize("error", [error for error in FINAL if error.status_code != 404], ids=repr)
def test_a_look_that_is_refused_is_not_tried_again(
    error: MountseaError, age_s: float | None
) -> None:
    """401 and 403 raise at once, and so does what the Hub refuses for any other reason."""
    assert not may_retry_poll(error, age_s=age_s)


@pytest.mark.parametrize(
    ("age_s", "again"),
    [(0.0, True), (4.9, True), (NEW_TASK_GRACE_S, False), (60.0, False), (None, False)],
)
def test_a_404_is_forgiven_in_the_first_seconds_of_a_task(age_s: float | None, again: bool) -> None:
    """A Hub of several machines may not know a new task yet; a resumed one has no such excuse."""
    assert may_retry_poll(InvalidRequest("no such task", status_code=404), age_s=age_s) is again
