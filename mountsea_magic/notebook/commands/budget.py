"""The command ``budget``: shows, sets and lifts the limit of images in 24 hours."""

from __future__ import annotations

from ...errors import InvalidRequest
from ...runtime.text import counted, sanitize
from ...session import current_session
from ...settings import MAX_BUDGET


def budget(text: str | None) -> str:
    """Set or lift the limit of this kernel, and return what is left.

    Args:
        text: A number of images, ``off``, or None to change nothing.

    Raises:
        InvalidRequest: If it is neither.
    """
    if text is not None:
        current_session().budget.command = _limit(text)
    return _report()


def budget_line() -> str:
    """Return the budget in one line, for the status."""
    session = current_session()
    settings = session.settings()
    limit = session.budget.limit(settings)
    if limit is None:
        return "budget: none"
    left = max(0, limit - session.budget.ordered(settings))
    return f"budget: {left:,} of {counted(limit, 'image')} left (24 hours)"


def _limit(text: str) -> int | None:
    """Read a limit; None for ``off``."""
    if text == "off":
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and int(text) <= MAX_BUDGET):
        raise InvalidRequest(
            "%mountsea budget must be a whole number of images or off "
            f"(got '{sanitize(text, limit=60)}')."
        )
    return int(text)


def _report() -> str:
    """Say what is left, and which settings set the limits."""
    session = current_session()
    settings = session.settings()
    if settings.is_demo:
        return "The demo Hub charges nothing: a budget holds at other Hubs only."
    ordered = session.budget.ordered(settings)
    limits = session.budget.sources(settings)
    if not limits:
        return (
            f"No budget is set; {counted(ordered, 'image')} ordered in the last 24 hours. "
            "`%mountsea budget 20` allows at most 20."
        )
    limit = min(limits.values())
    sources = ", ".join(f"{name} {value:,}" for name, value in limits.items())
    lowest = "; the lowest counts" if len(limits) > 1 else ""
    return (
        f"{max(0, limit - ordered):,} of {counted(limit, 'image')} left: {ordered:,} ordered in "
        f"the last 24 hours. Set by: {sources}{lowest}."
    )
