"""Read JSON values from an untrusted schema, such as those of an enum, within limits."""

from __future__ import annotations

from typing import Any

from ..runtime.json_numbers import finite_number

MAX_TEXT = 200
"""The longest text value, in characters."""

MAX_VALUES = 500
"""The limit of values of one enum."""

MAX_ENUM_TEXT = 10_000
"""The limit of all texts of one enum together, in characters."""

_MAX_ITEMS = 50
_MAX_DEPTH = 2


class UnfitValue(ValueError):
    """The value is too large or not valid JSON."""


def read_schema_value(value: Any, *, max_text: int = MAX_TEXT, depth: int = _MAX_DEPTH) -> Any:
    """Copy a JSON value from a schema.

    Args:
        value: The value.
        max_text: The limit for each text in it, in characters.
        depth: The limit of nesting.

    Returns:
        The copy.

    Raises:
        UnfitValue: If it is too large, nested too deep, or has a number that is not finite.

    Example:
        >>> read_schema_value({"width": 1024})
        {'width': 1024}
        >>> read_schema_value(float("nan"))
        Traceback (most recent call last):
        mountsea_magic.request.schema_values.UnfitValue: not a finite number
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        if len(value) > max_text:
            raise UnfitValue("the text is too long")
        return value
    if isinstance(value, int | float):
        if finite_number(value) is None:
            raise UnfitValue("not a finite number")
        return value
    if not isinstance(value, dict | list) or depth == 0 or len(value) > _MAX_ITEMS:
        raise UnfitValue("too many values, or nested too deep")
    if isinstance(value, list):
        return [read_schema_value(item, max_text=max_text, depth=depth - 1) for item in value]
    return {
        read_schema_value(str(name)): read_schema_value(item, max_text=max_text, depth=depth - 1)
        for name, item in value.items()
    }


def read_enum(values: Any) -> list[Any] | None:
    """Copy an enum; returns None if it is invalid or too large.

    Args:
        values: The value of the keyword ``enum``.

    Example:
        >>> read_enum(["1K", "2K"]), read_enum([]), read_enum(["x" * 4_000_000])
        (['1K', '2K'], None, None)
    """
    if not isinstance(values, list) or not 0 < len(values) <= MAX_VALUES:
        return None
    read, size = [], 0
    for value in values:
        try:
            read.append(read_schema_value(value))
        except UnfitValue:
            return None
        size += text_size(read[-1])
        if size > MAX_ENUM_TEXT:
            return None
    return read


def text_size(value: Any) -> int:
    """Return the approximate size of a JSON value in characters; non-texts count as one.

    Args:
        value: A value returned by `read_schema_value`.

    Example:
        >>> text_size(["auto", {"width": 1024}])
        10
    """
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(len(name) + text_size(item) for name, item in value.items())
    return sum(map(text_size, value)) if isinstance(value, list) else 1
