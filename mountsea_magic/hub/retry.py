"""What may be sent again: the rules for orders and for looks, with no clock and no I/O."""

from __future__ import annotations

from ..errors import HubUnavailable, InvalidRequest, MountseaError, RateLimited

MAX_SUBMIT_ATTEMPTS = 5
"""How often an order is sent at most, each time after it was refused or never arrived."""

SUBMIT_RETRY_BUDGET_S = 30.0
"""How long all pauses between an order's tries may take together, in seconds."""

MAX_CONNECT_ATTEMPTS = 3
"""How often a Hub that can't be reached is tried for one order."""

NEW_TASK_GRACE_S = 5.0
"""A Hub of several machines may need this long, in seconds, until all of them know a new task."""


def submit_retry_pause(
    error: MountseaError, *, tries: int, paused_s: float, jitter: float
) -> float | None:
    """Say whether an order may be sent again: only if the Hub surely has not taken it.

    That is so if it never arrived (`HubUnavailable` from `HubClient.submit`), or if it was refused
    with 429 for any reason but money. A page that answered in the Hub's place, which has a status,
    would answer again. A pause that the Hub asked for is kept in full; if it is
    more than what is left of `SUBMIT_RETRY_BUDGET_S`, the order is given up instead.

    Args:
        error: Why the last try failed.
        tries: How often it was sent so far.
        paused_s: How long all pauses took so far, in seconds.
        jitter: A random number from 0 up to 1, so that a class of thirty does not come in step.

    Returns:
        The pause before the next try in seconds, or None if there shall be none.

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
    asked_s: float = getattr(error, "retry_after_s", None) or 0.0
    pause_s = max(first_s * 2.0 ** (tries - 1), asked_s)
    if tries >= limit or paused_s + pause_s > SUBMIT_RETRY_BUDGET_S:
        return None
    return min(pause_s * (1 + 0.25 * jitter), SUBMIT_RETRY_BUDGET_S - paused_s)


def may_retry_poll(error: MountseaError, *, age_s: float | None) -> bool:
    """Say whether a look at a task that failed may be tried again; looking costs nothing.

    Network trouble, 408, 429, 5xx and answers that are not the Hub's pass; what the Hub refuses
    does not, but for a 404 in the first `NEW_TASK_GRACE_S` seconds of a task.

    Args:
        error: Why the look failed.
        age_s: Seconds since the task was submitted, or None for one submitted at another time.

    Example:
        >>> may_retry_poll(HubUnavailable("502"), age_s=None)
        True
    """
    if isinstance(error, InvalidRequest):
        return is_unknown_task(error) and age_s is not None and age_s < NEW_TASK_GRACE_S
    return isinstance(error, HubUnavailable | RateLimited)


def is_unknown_task(error: MountseaError) -> bool:
    """Say whether the Hub itself says that it does not know a task, or not any more.

    A 404 of something in its place says nothing about the task.

    Args:
        error: Why the status of a task could not be had.

    Example:
        >>> is_unknown_task(HubUnavailable("a proxy's page", status_code=404))
        False
    """
    return isinstance(error, InvalidRequest) and error.status_code == 404
