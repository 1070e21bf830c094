"""Values in a live schema, such as those of an enum: kept if they are JSON, finite and short."""

from __future__ import annotations

from typing import Any

from ..runtime.json_numbers import finite_number

MAX_TEXT = 200
"""The longest text among them, in characters."""

MAX_VALUES = 500
"""The most values of one enum."""

MAX_ENUM_TEXT = 10_000
"""How long all texts of one enum may be together, in characters."""

_MAX_ITEMS = 50
_MAX_DEPTH = 2


class UnfitValue(ValueError):
    """A value is too large, or none of JSON's."""


def read_schema_value(value: Any, *, max_text: int = MAX_TEXT, depth: int = _MAX_DEPTH) -> Any:
    """Copy a JSON value that a schema names.

    Args:
        value: The value.
        max_text: The longest text in it, in characters.
        depth: How deep it may be nested.

    Raises:
        UnfitValue: If it is too large, too deep, or a number that is none.

    Example:
        >>> read_schema_value({"width": 1024})
        {'width': 1024}
        >>> read_schema_value(float("nan"))
        Traceback (most recent call last):
        mountsea_magic.request.schema_values.UnfitValue: no number that can be sent
    """
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, str):
        if len(value) > max_text:
            raise UnfitValue("a text that is too long")
        return value
    if isinstance(value, int | float):
        if finite_number(value) is None:
            raise UnfitValue("no number that can be sent")
        return value
    if not isinstance(value, dict | list) or depth == 0 or len(value) > _MAX_ITEMS:
        raise UnfitValue("too many values, or too deep")
    if isinstance(value, list):
        return [read_schema_value(item, max_text=max_text, depth=depth - 1) for item in value]
    return {
        read_schema_value(str(name)): read_schema_value(item, max_text=max_text, depth=depth - 1)
        for name, item in value.items()
    }


def read_enum(values: Any) -> list[Any] | None:
    """Copy an enum, or return None for one that is too large to be checked here.

    Args:
        values: What a schema has under ``enum``.

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
    """Return how many characters a JSON value has, about: whatever is no text counts for one.

    Args:
        value: A value that `read_schema_value` has returned.

    Example:
        >>> text_size(["auto", {"width": 1024}])
        10
    """
    if isinstance(value, str):
        return len(value)
    if isinstance(value, dict):
        return sum(len(name) + text_size(item) for name, item in value.items())
    return sum(map(text_size, value)) if isinstance(value, list) else 1
