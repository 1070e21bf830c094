"""Convert typed text and Python values to the types in a parameter's schema."""

from __future__ import annotations

import contextlib
import json
import operator
import re
from collections.abc import Mapping
from typing import Any

from ..runtime.text import listed
from .schema import validator

TYPE_IN_WORDS = {
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "string": "text",
    "array": "a list",
    "object": "an object",
}
"""JSON types as they are called in messages."""

_BOOLEANS = {"true": True, "yes": True, "on": True, "1": True}
_BOOLEANS |= {"false": False, "no": False, "off": False, "0": False}


def read_value(value: Any, schema: Mapping[str, Any] | None) -> Any:
    """Convert a value to its schema's type; returns it unchanged if it does not fit.

    The validation then reports the unchanged value.

    Args:
        value: A JSON value, or text as typed on a command line.
        schema: The parameter's schema; without one, text is parsed as JSON if possible.

    Returns:
        The converted value.

    Example:
        >>> read_value("7", {"type": "integer"}), read_value("7", {"type": "string"})
        (7, '7')
        >>> read_value(4, {"type": "string"})
        '4'
    """
    options = _options(schema)
    if options:
        if not isinstance(value, str) and any(_fits(value, option) for option in options):
            return value
        for option in options:
            reading = read_value(value, option)
            if reading != value and ("type" not in option or _fits(reading, option)):
                return reading
        return value
    target = (schema or {}).get("type")
    if not isinstance(value, str):
        if target == "string" and isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        # accept integers of numpy and other libraries
        if hasattr(value, "__index__") and not isinstance(value, bool):
            with contextlib.suppress(TypeError):  # an array has __index__, but raises
                return operator.index(value)
        if target == "integer" and isinstance(value, float) and value.is_integer():
            return int(value)
        return value
    text = value.strip()
    if target == "integer" and re.fullmatch(r"[+-]?[0-9]{1,30}", text):
        return int(text)
    if target == "boolean":
        return _BOOLEANS.get(text.lower(), value)
    if target in ("number", "object", "array", None):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return value
    return value


def _options(schema: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """Return the alternative schemas of a parameter, if there are several."""
    if schema is None:
        return []
    if isinstance(schema.get("type"), list):
        # without the other keywords: nested alternatives would multiply with the types
        return [{"type": name} for name in schema["type"]]
    found = schema.get("anyOf") or schema.get("oneOf") or []
    return [option for option in found if isinstance(option, dict)]


def _fits(value: Any, schema: Mapping[str, Any]) -> bool:
    """Return whether a value already has an alternative's type and needs no conversion."""
    kinds = schema.get("type", [])
    rules = validator({})  # is_type only: an error message would contain the whole value
    return any(
        rules.is_type(value, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds)
    )


def alternatives(options: Any) -> str:
    """Describe the alternatives of a parameter in words, except null.

    Args:
        options: The alternative schemas; untrusted, so of any type.

    Example:
        >>> alternatives([{"enum": ["square", "wide"]}, {"type": "object"}, {"type": "null"}])
        'one of square, wide, or an object'
    """
    schemas = [option for option in options if isinstance(option, Mapping)]
    names = [value for schema in schemas for value in schema.get("enum", [])]
    kinds = [str(schema.get("type")) for schema in schemas if "enum" not in schema]
    words = [TYPE_IN_WORDS[kind] for kind in dict.fromkeys(kinds) if kind in TYPE_IN_WORDS]
    return ", or ".join([*([f"one of {listed(names)}"] if names else []), *words]) or "any"
