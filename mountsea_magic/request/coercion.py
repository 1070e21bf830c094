"""Reading: what was typed becomes a value of the type that a parameter's schema wants."""

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
"""What a JSON type is to somebody who types."""

_BOOLEANS = {"true": True, "yes": True, "on": True, "1": True}
_BOOLEANS |= {"false": False, "no": False, "off": False, "0": False}


def read_value(value: Any, schema: Mapping[str, Any] | None) -> Any:
    """Read a value by its schema's type; what does not fit is left for the validation to name.

    Args:
        value: A JSON value, or text as typed on a command line.
        schema: The parameter's schema; without one, text is read as JSON, else kept as text.

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
        readings = [read_value(value, option) for option in options]
        return next((reading for reading in readings if reading != value), value)
    wanted = (schema or {}).get("type")
    if not isinstance(value, str):
        if wanted == "string" and isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        # numpy's integers and the like count as integers wherever Python takes an index
        if hasattr(value, "__index__") and not isinstance(value, bool):
            with contextlib.suppress(TypeError):  # an array has the method, and is no number
                return operator.index(value)
        if wanted == "integer" and isinstance(value, float) and value.is_integer():
            return int(value)
        return value
    text = value.strip()
    if wanted == "integer" and re.fullmatch(r"[+-]?[0-9]{1,30}", text):
        return int(text)
    if wanted == "boolean":
        return _BOOLEANS.get(text.lower(), value)
    if wanted in ("number", "object", "array", None):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            return value
    return value


def _options(schema: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """The schemas that a value may be of, where there are several."""
    if schema is None:
        return []
    if isinstance(schema.get("type"), list):
        # nothing else of the schema: alternatives within it would multiply with the types
        return [{"type": name} for name in schema["type"]]
    found = schema.get("anyOf") or schema.get("oneOf") or []
    return [option for option in found if isinstance(option, dict)]


def _fits(value: Any, schema: Mapping[str, Any]) -> bool:
    """Whether a value is of an option's type already, so that no other option may change it."""
    kinds = schema.get("type", [])
    rules = validator({})  # which is not asked for its message, that would hold the whole value
    return any(
        rules.is_type(value, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds)
    )


def alternatives(options: Any) -> str:
    """Say what a parameter of several kinds takes; that it may be left out goes without saying.

    Args:
        options: The schemas of the kinds, in whatever shape a Hub gives them.

    Example:
        >>> alternatives([{"enum": ["square", "wide"]}, {"type": "object"}, {"type": "null"}])
        'one of square, wide, or an object'
    """
    schemas = [option for option in options if isinstance(option, Mapping)]
    names = [value for schema in schemas for value in schema.get("enum", [])]
    kinds = [str(schema.get("type")) for schema in schemas if "enum" not in schema]
    words = [TYPE_IN_WORDS[kind] for kind in dict.fromkeys(kinds) if kind in TYPE_IN_WORDS]
    return ", or ".join([*([f"one of {listed(names)}"] if names else []), *words]) or "any"
