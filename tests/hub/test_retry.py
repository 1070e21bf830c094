"""Retry rules: a submission only if it certainly was not accepted, a poll nearly always."""

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
"""Errors that are never retried, neither for a submission nor for a poll."""


def pauses(error: MountseaError, *, jitter: float = 0.0) -> list[float]:
    """List the pauses of a submission that fails in the same way each time."""
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
        SubmissionUncertain("no response arrived"),
        SubmissionUncertain("it returned HTTP 502", status_code=502),
        RateLimited("no credits left", of_credits=True),
        RateLimited("the quota is used up", retry_after_s=1.0, of_credits=True),
    ],
    ids=repr,
)
def test_an_uncertain_or_rejected_submission_is_not_retried(
    error: MountseaError,
) -> None:
    """Nor is one without enough credits."""
    assert pauses(error) == []


def test_429_without_retry_after_backs_off_exponentially() -> None:
    """After 1, 2, 4 and 8 s the submission fails."""
    assert pauses(RateLimited("busy")) == [1.0, 2.0, 4.0, 8.0]
    assert len(pauses(RateLimited("busy"))) == MAX_SUBMIT_ATTEMPTS - 1


def test_an_unreachable_hub_is_retried_twice_quickly() -> None:
    """A request that never arrived is retried after 0.4 and 0.8 s."""
    assert pauses(HubUnavailable("connection refused")) == [0.4, 0.8]
    assert len(pauses(HubUnavailable("connection refused"))) == MAX_CONNECT_ATTEMPTS - 1


@pytest.mark.parametrize(
    ("requested_s", "expected"),
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
def test_retry_after_is_waited_for_in_full_or_not_at_all(
    requested_s: float, expected: list[float]
) -> None:
    """If it exceeds the budget, there is no retry."""
    assert pauses(RateLimited("busy", retry_after_s=requested_s)) == expected


@pytest.mark.parametrize("requested_s", [None, 0.5, 2.0, 7.0, 14.0, 29.0])
@pytest.mark.parametrize("jitter", [0.0, 0.5, 0.999])
def test_jitter_lengthens_a_pause_and_never_shortens_it(
    requested_s: float | None, jitter: float
) -> None:
    """Many clients do not retry in step, none before `Retry-After`, and the total is limited."""
    got = pauses(RateLimited("busy", retry_after_s=requested_s), jitter=jitter)
    without_jitter = pauses(RateLimited("busy", retry_after_s=requested_s))
    assert all(one >= (requested_s or 0) for one in got)
    left_s = SUBMIT_RETRY_BUDGET_S
    for one, without in zip(got, without_jitter, strict=False):
        assert one == pytest.approx(min(without * (1 + 0.25 * jitter), left_s))
        left_s -= one
    assert left_s >= 0
    assert len(got) < MAX_SUBMIT_ATTEMPTS


@pytest.mark.parametrize("requested_s", [1.0, 7.0, 29.0, SUBMIT_RETRY_BUDGET_S])
@pytest.mark.parametrize("jitter", [0.0, 0.5, 0.999])
def test_jitter_does_not_decide_whether_there_is_a_retry(requested_s: float, jitter: float) -> None:
    """A pause that fits the budget still fits with jitter."""
    error = RateLimited("busy", retry_after_s=requested_s)
    assert submit_retry_pause(error, tries=1, paused_s=0.0, jitter=jitter) is not None


@pytest.mark.parametrize(
    ("tries", "paused_s"),
    [(MAX_SUBMIT_ATTEMPTS, 0.0), (MAX_SUBMIT_ATTEMPTS + 9, 0.0), (1, SUBMIT_RETRY_BUDGET_S)],
)
def test_attempts_and_time_are_both_limited(tries: int, paused_s: float) -> None:
    """Either limit ends the retries."""
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
def test_a_poll_is_retried_after_temporary_errors(
    error: MountseaError, age_s: float | None
) -> None:
    """Network errors, 408, 429 and 5xx, however old the task is."""
    assert may_retry_poll(error, age_s=age_s)


@pytest.mark.parametrize("age_s", [None, 0.0, 60.0])
@pytest.mark.parametrize("error", [error for error in FINAL if error.status_code != 404], ids=repr)
def test_a_rejected_poll_is_not_retried(error: MountseaError, age_s: float | None) -> None:
    """401, 403 and other errors of the Hub are raised at once."""
    assert not may_retry_poll(error, age_s=age_s)


@pytest.mark.parametrize(
    ("age_s", "retried"),
    [(0.0, True), (4.9, True), (NEW_TASK_GRACE_S, False), (60.0, False), (None, False)],
)
def test_404_for_a_new_task_is_retried(age_s: float | None, retried: bool) -> None:
    """A distributed Hub may not know it yet; a resumed task must be known."""
    assert may_retry_poll(InvalidRequest("no such task", status_code=404), age_s=age_s) is retried
