"""Numbers from outside: what JSON can bear and no code of ours expects is no number here.

Python's ``json`` reads ``NaN``, ``Infinity`` and integers of any length, and a boolean is an
integer to it; arithmetic, formatting and ``int()`` raise for one or the other of them.
"""

from __future__ import annotations

from typing import Any

LARGEST = 2**128
"""No seed, limit or balance is larger; a float of this size is still exact to work with."""

_MAX_DIGITS = 4000
"""Python refuses to read an integer of more than 4300 digits, and with it the whole response."""

_MAX_ELAPSED_MS = 1e15


def parse_integer(digits: str) -> int | float:
    """Read an integer of a JSON text, also one that Python's limit on digits refuses.

    For ``json.loads(text, parse_int=parse_integer)``: an absurd number beside a task's id must
    not hide the id.

    Args:
        digits: The integer as it is written.

    Example:
        >>> parse_integer("7"), parse_integer("-" + "9" * 5000)
        (7, -inf)
    """
    return int(digits) if len(digits) <= _MAX_DIGITS else float(digits)


def finite_number(value: Any) -> int | float | None:
    """Return a number that can be calculated with, or None for anything else.

    Args:
        value: Any value of a JSON text; a boolean is no number.

    Example:
        >>> finite_number(0.5), finite_number(True), finite_number(10**400)
        (0.5, None, None)
    """
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return value if -LARGEST <= value <= LARGEST else None
    return None


def read_milliseconds(value: Any) -> int | None:
    """Return a duration in milliseconds, or None for what can't be one.

    Args:
        value: Any value of a JSON text.

    Example:
        >>> read_milliseconds(1500.7), read_milliseconds(-1), read_milliseconds(float("nan"))
        (1500, None, None)
    """
    number = finite_number(value)
    return int(number) if number is not None and 0 <= number < _MAX_ELAPSED_MS else None
