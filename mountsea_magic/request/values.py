"""Values of variables, tables and arrays: found, made Python values, and which are missing."""

from __future__ import annotations

import math
from collections.abc import Mapping
from decimal import Decimal
from difflib import get_close_matches
from typing import Any

from ..errors import InvalidRequest
from ..runtime.text import is_pasteable, sanitize


def find_variable(name: str, variables: Mapping[str, Any], label: str, *, cure: str = "") -> Any:
    """Return the value of one of the user's variables.

    Args:
        name: The variable's name, as typed.
        variables: The user's variables.
        label: The option, for error messages.
        cure: What else to do if there is no such variable, as a sentence; empty for nothing.

    Raises:
        InvalidRequest: If there is no such variable; the message suggests a similar one.

    Example:
        >>> find_variable("rows", {"rows": [1]}, "--table")
        [1]
    """
    if name in variables:
        return variables[name]
    known = [other for other in variables if is_pasteable(other) and not other.startswith("_")]
    close = get_close_matches(name, known, n=1)
    hints = [f"Did you mean {close[0]}?"] if close else []
    hints += [cure] if cure else []
    message = f"{label}: there is no variable '{sanitize(name, limit=60)}'."
    raise InvalidRequest(" ".join([message, *hints]))


def python_value(value: Any) -> Any:
    """Return a scalar of numpy or another array library as a Python value; others unchanged.

    Args:
        value: Any value.

    Example:
        >>> python_value("a"), python_value([1])
        ('a', [1])
    """
    if getattr(value, "ndim", None) != 0 or not callable(getattr(value, "item", None)):
        return value
    plain = value.item()
    # numpy has times in nanoseconds, which it would return as a plain number
    is_time = getattr(getattr(value, "dtype", None), "kind", None) in ("M", "m")
    return value if is_time and isinstance(plain, int) else plain


def is_missing(value: Any) -> bool:
    """Return whether a value stands for a missing one: None, NaN, NaT or pandas' NA.

    Args:
        value: Any value.

    Example:
        >>> is_missing(None), is_missing(float("nan")), is_missing(""), is_missing(0)
        (True, True, False, False)
    """
    # by name, since pandas must not be imported for this
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    if isinstance(value, Decimal):
        return value.is_nan()
    return isinstance(value, float) and math.isnan(value)


def is_data_frame(value: Any) -> bool:
    """Return whether a value is a DataFrame of pandas or polars; neither is imported.

    Args:
        value: Any value.

    Example:
        >>> is_data_frame([{"seed": 1}])
        False
    """
    return any(
        kind.__name__ == "DataFrame" and kind.__module__.partition(".")[0] in ("pandas", "polars")
        for kind in type(value).__mro__
    )
