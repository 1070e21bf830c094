"""Retry rules for submissions and polls, without a clock or I/O.

Those for downloads are in `generation.download`.
"""

from __future__ import annotations

from ..errors import HubUnavailable, InvalidRequest, MountseaError, RateLimited

MAX_SUBMIT_ATTEMPTS = 5
"""The most attempts to submit; each one follows a 429 or a request that never arrived."""

SUBMIT_RETRY_BUDGET_S = 30.0
"""The longest total of all pauses between the attempts of a submission, in seconds."""

MAX_CONNECT_ATTEMPTS = 3
"""The most attempts to submit to a Hub that can't be reached."""

NEW_TASK_GRACE_S = 5.0
"""How long a 404 for a new task is retried, in seconds: a distributed Hub may not know it yet."""


def submit_retry_pause(
    error: MountseaError, *, tries: int, paused_s: float, jitter: float
) -> float | None:
    """Return the pause before a submission is retried, or None if it must not be.

    It is only retried if the Hub certainly did not accept it: it never arrived (`HubUnavailable`
    without a status from `HubClient.submit`), or got a 429 that is not about credits. A proxy's
    page, which has a status, is not retried: it would come again. `Retry-After` is never cut
    short; if it exceeds the rest of `SUBMIT_RETRY_BUDGET_S`, there is no retry.

    Args:
        error: Why the last attempt failed.
        tries: The number of attempts so far.
        paused_s: The total of all pauses so far, in seconds.
        jitter: A random number from 0 up to 1, so that many clients do not retry in step.

    Returns:
        The pause before the next attempt in seconds, or None.

    Example:
        >>> busy = RateLimited("busy", retry_after_s=2.0)
        >>> submit_retry_pause(busy, tries=1, paused_s=0.0, jitter=0.0)
        2.0
        >>> submit_retry_pause(MountseaError("refused"), tries=1, paused_s=0.0, jitter=0.0) is None
        True
    """
    if isinstance(error, RateLimited) and not error.of_credits:
        limit, first_s = MAX_SUBMIT_ATTEMPTS, 1.0
    elif isinstance(error, HubUnavailable) and error.status_code is None:
        limit, first_s = MAX_CONNECT_ATTEMPTS, 0.4
    else:
        return None
    requested_s: float = getattr(error, "retry_after_s", None) or 0.0
    pause_s = max(first_s * 2.0 ** (tries - 1), requested_s)
    if tries >= limit or paused_s + pause_s > SUBMIT_RETRY_BUDGET_S:
        return None
    return min(pause_s * (1 + 0.25 * jitter), SUBMIT_RETRY_BUDGET_S - paused_s)


def may_retry_poll(error: MountseaError, *, age_s: float | None) -> bool:
    """Return whether a failed poll may be retried; polling is free.

    Network errors, 408, 429, 5xx and responses that are not from the Hub are retried. Other errors
    are not, except a 404 in the first `NEW_TASK_GRACE_S` seconds of a task.

    Args:
        error: Why the poll failed.
        age_s: Seconds since the task was submitted, or None for a resumed task.

    Example:
        >>> may_retry_poll(HubUnavailable("502"), age_s=None)
        True
    """
    if isinstance(error, InvalidRequest):
        return is_unknown_task(error) and age_s is not None and age_s < NEW_TASK_GRACE_S
    return isinstance(error, HubUnavailable | RateLimited)


def is_unknown_task(error: MountseaError) -> bool:
    """Return whether the Hub itself reported that it does not know a task (any more).

    A 404 of a proxy says nothing about the task.

    Args:
        error: Why a poll failed.

    Example:
        >>> is_unknown_task(HubUnavailable("a proxy's page", status_code=404))
        False
    """
    return isinstance(error, InvalidRequest) and error.status_code == 404
