"""Accept values that are certainly valid by a schema, without importing jsonschema.

That import takes a third of the time from a kernel's first cell to its submission, and most cells
are valid. What is not certain is left to jsonschema, whose errors say what is wrong.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from types import NoneType
from typing import Any

_KINDS: Mapping[Any, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (NoneType,),
    "array": (list,),
    "object": (dict,),
}
"""The exact Python types of each JSON type: jsonschema accepts others, too."""

_SCALARS = (str, int, bool, NoneType)
_ANNOTATIONS = frozenset({"title", "description", "default", "x-mark"})


def is_surely_valid(schema: Any, value: Any) -> bool:
    """Return whether a value is certainly valid by a JSON Schema; False means that it may be.

    Args:
        schema: A JSON Schema.
        value: A JSON value.

    Example:
        >>> is_surely_valid({"type": "integer", "maximum": 4}, 4)
        True
        >>> is_surely_valid({"type": "integer", "maximum": 4}, 5)
        False
    """
    rules = {} if schema is True else schema
    if not isinstance(rules, dict):
        return False
    if type(value) is float:
        known = math.isfinite(value)
    elif type(value) is list:
        known = "items" in rules  # a part that no schema describes may be nested too deep for JSON
    elif type(value) is dict:
        known = "properties" in rules
    else:
        known = type(value) in _SCALARS
    return known and all(
        name in _CHECKS and _CHECKS[name](rule, value, rules)
        for name, rule in rules.items()
        if name not in _ANNOTATIONS
    )


def _has_type(names: Any, value: Any, _: Any) -> bool:
    names = names if isinstance(names, list) else [names]
    return any(type(value) in _KINDS.get(name, ()) for name in names)


def _is_listed(values: Any, value: Any, _: Any) -> bool:
    # by type, too: to Python 1, 1.0 and True are equal
    return type(value) in _SCALARS and any(
        type(each) is type(value) and each == value for each in values
    )


def _has_valid_properties(schemas: Any, value: Any, rules: Mapping[str, Any]) -> bool:
    others = rules.get("additionalProperties", True)
    return type(value) is not dict or all(
        is_surely_valid(schemas.get(name, others), item) for name, item in value.items()
    )


def _of(kinds: tuple[type, ...], holds: Callable[[Any, Any], bool]) -> Callable[..., bool]:
    """Make a check that ignores values of other types, as JSON Schema does."""
    return lambda rule, value, _: type(value) not in kinds or holds(rule, value)


_NUMBERS = (int, float)
_CHECKS: Mapping[str, Callable[[Any, Any, Mapping[str, Any]], bool]] = {
    "type": _has_type,
    "enum": _is_listed,
    "minimum": _of(_NUMBERS, lambda limit, value: value >= limit),
    "maximum": _of(_NUMBERS, lambda limit, value: value <= limit),
    "minLength": _of((str,), lambda limit, value: len(value) >= limit),
    "maxLength": _of((str,), lambda limit, value: len(value) <= limit),
    "minItems": _of((list,), lambda limit, value: len(value) >= limit),
    "maxItems": _of((list,), lambda limit, value: len(value) <= limit),
    "items": _of((list,), lambda rule, value: all(is_surely_valid(rule, item) for item in value)),
    "required": _of((dict,), lambda names, value: all(name in value for name in names)),
    "properties": _has_valid_properties,
    "additionalProperties": lambda *_: True,  # applied by `properties`, without which all is unsure
    "anyOf": lambda schemas, value, _: any(is_surely_valid(each, value) for each in schemas),
    "allOf": lambda schemas, value, _: all(is_surely_valid(each, value) for each in schemas),
}
"""The check of each keyword; any other makes a value uncertain."""
