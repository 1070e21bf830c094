"""Validate numbers from JSON: values that arithmetic or formatting would raise for become None.

Python's ``json`` accepts ``NaN``, ``Infinity`` and integers of any length, and `bool` is a subclass
of `int`; arithmetic, formatting and ``int()`` raise for some of these.
"""

from __future__ import annotations

from typing import Any

MAX_NUMBER = 2**128
"""The largest magnitude that is accepted; seeds, limits and balances are smaller."""

_MAX_DIGITS = 4000
"""Python raises for integers of more than 4300 digits, which would lose the whole response."""

_MAX_ELAPSED_MS = 1e15


def parse_integer(digits: str) -> int | float:
    """Parse a JSON integer, as infinity if it exceeds Python's limit on digits.

    Use as ``json.loads(text, parse_int=parse_integer)``, so that an absurd number next to a task id
    does not lose the id.

    Args:
        digits: The integer's text.

    Example:
        >>> parse_integer("7"), parse_integer("-" + "9" * 5000)
        (7, -inf)
    """
    return int(digits) if len(digits) <= _MAX_DIGITS else float(digits)


def finite_number(value: Any) -> int | float | None:
    """Return a finite number of reasonable size, or None for anything else.

    Args:
        value: Any JSON value; a boolean does not count as a number.

    Example:
        >>> finite_number(0.5), finite_number(True), finite_number(10**400)
        (0.5, None, None)
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value if -MAX_NUMBER <= value <= MAX_NUMBER else None
    return None


def read_milliseconds(value: Any) -> int | None:
    """Return a duration in whole milliseconds, or None if the value is not a valid one.

    Args:
        value: Any JSON value.

    Example:
        >>> read_milliseconds(1500.7), read_milliseconds(-1), read_milliseconds(float("nan"))
        (1500, None, None)
    """
    number = finite_number(value)
    return int(number) if number is not None and 0 <= number < _MAX_ELAPSED_MS else None
