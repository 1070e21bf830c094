"""Live schemas: what a Hub says of a model's input is rebuilt here, of keywords that can't hurt.

A schema from the network is a program. It can make a validator fetch a URL, follow a circle, try a
pattern for years, or hold more than the memory. So none is used as it came: a schema of our own is
made of an allow-list of keywords, with bounds for each. What is left out makes it milder, never
stricter, for the Hub judges a request once more, and charges for none that it refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

from ..runtime.json_numbers import finite_number
from .patterns import is_harmless
from .schema_values import MAX_TEXT, UnfitValue, read_enum, read_schema_value, text_size

MAX_PARTS = 400
"""The most schemas within a schema: each is tried on each value of a request."""

MAX_DEPTH = 12
"""How deep schemas may be nested."""

MAX_CHARACTERS = 60_000
"""How long all names, values and descriptions of a schema may be together, in characters."""

MAX_PARAMETERS = 200
"""The most parameters of one object."""

MAX_NAME = 100
"""The longest name of a parameter, in characters."""

MAX_DESCRIPTION = 600
"""How much of a description is kept, in characters."""

_TYPES = frozenset({"string", "number", "integer", "boolean", "array", "object", "null"})
_MAX_LENGTH = 2**53
_FINEST = 1e-9
"""A multiple of less is no rule: every number is one, give or take."""

_ANNOTATIONS = frozenset({"description", "default", "x-mark"})
_DYNAMIC = ("$dynamicRef", "$recursiveRef")


class UnusableSchema(ValueError):
    """A schema that no request can be checked with; its text says why."""


def rebuild_schema(said: Mapping[str, Any]) -> dict[str, Any]:
    """Make a schema of our own of what a Hub says.

    References into the schema itself are replaced by what they lead to; ``oneOf`` becomes
    ``anyOf``, since a milder branch must not make a value match twice.

    Args:
        said: A JSON Schema as the Hub gave it, or one that was made here before.

    Returns:
        A schema without references and within the bounds of this module; rebuilt once more it
        stays the same.

    Raises:
        UnusableSchema: If it refers to itself or elsewhere, or is too large.

    Example:
        >>> rebuild_schema({"$id": "https://hub.example", "type": "integer", "minimum": 1})
        {'type': 'integer', 'minimum': 1}
        >>> rebuild_schema({"$ref": "https://hub.example/schema.json"})
        Traceback (most recent call last):
        mountsea_magic.request.live_schema.UnusableSchema: it refers to another document
    """
    built = _Rebuilding(said).schema(said)
    return built if isinstance(built, dict) else {}


class _Rebuilding:
    """One schema that is being rebuilt, and what it has used of its bounds."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._parts = 0
        self._characters = 0
        self._following: list[str] = []

    def schema(self, said: Any, depth: int = 0) -> dict[str, Any] | bool:
        """What is no schema at all rules nothing."""
        self._count(1)
        if isinstance(said, bool):
            return said
        if not isinstance(said, dict):
            return {}
        if depth > MAX_DEPTH:
            raise UnusableSchema(f"it is nested deeper than {MAX_DEPTH} levels")
        if any(name in said for name in _DYNAMIC):
            raise UnusableSchema("it has a dynamic reference")
        built = {
            name: value
            for name, read in _READERS.items()
            if name in said and (value := read(said[name])) is not None
        }
        for name in ("const", "default"):
            if name in said:
                _keep_value(built, name, said[name])
        self._count(0, text_size([*built.values()]))
        self._add_members(built, said, depth)
        others: list[dict[str, Any] | bool] = [
            {"anyOf": [self.schema(part, depth + 1) for part in said[name]]}
            for name in ("anyOf", "oneOf")
            if _list_of(said.get(name))
        ]
        others += [self.schema(part, depth + 1) for part in _list_of(said.get("allOf"))]
        if "$ref" in said:
            others.append(self._referred(said["$ref"], depth))
        return _joined(built, others)

    def _add_members(self, built: dict[str, Any], said: Mapping[str, Any], depth: int) -> None:
        """What rules the members of an object and the items of an array."""
        properties = said.get("properties")
        if isinstance(properties, dict):
            if len(properties) > MAX_PARAMETERS:
                raise UnusableSchema(f"it has more than {MAX_PARAMETERS} parameters")
            for name in properties:
                if len(name) > MAX_NAME:
                    raise UnusableSchema("the name of a parameter is too long")
                self._count(0, len(name))
            built["properties"] = {
                name: self.schema(part, depth + 1) for name, part in properties.items()
            }
        # without the rule for the others, the rule for the rest would be for all
        for name, other in (
            ("additionalProperties", "patternProperties"),
            ("items", "prefixItems"),
        ):
            if isinstance(said.get(name), dict | bool) and other not in said:
                built[name] = self.schema(said[name], depth + 1)

    def _referred(self, reference: Any, depth: int) -> dict[str, Any] | bool:
        """What a reference leads to, which must be within this schema."""
        if not isinstance(reference, str) or not (reference + "/").startswith("#/"):
            raise UnusableSchema("it refers to another document")
        if reference in self._following:
            raise UnusableSchema("it refers to itself")
        target: Any = self._root
        steps = unquote(reference[2 : 2 + 10 * MAX_NAME]).split("/") if reference[2:] else []
        for step in steps:
            name = step.replace("~1", "/").replace("~0", "~")
            if not isinstance(target, dict) or name not in target:
                raise UnusableSchema("it refers to something that is not there")
            target = target[name]
        self._following.append(reference)
        built = self.schema(target, depth + 1)
        self._following.pop()
        return built

    def _count(self, parts: int, characters: int = 0) -> None:
        """References may repeat a part any number of times, so what they make is counted."""
        self._parts += parts
        self._characters += characters
        if self._parts > MAX_PARTS or self._characters > MAX_CHARACTERS:
            raise UnusableSchema("it is too large")


def _joined(built: dict[str, Any], others: list[dict[str, Any] | bool]) -> dict[str, Any] | bool:
    """One schema for several that all hold; where they speak of the same, they stay apart."""
    apart: list[dict[str, Any] | bool] = []
    for other in others:
        if other is True or other == {}:
            continue
        if isinstance(other, dict) and not (other.keys() & built.keys()) - _ANNOTATIONS:
            built = other | built
        else:
            apart.append(other)
    return built | {"allOf": [*built.get("allOf", []), *apart]} if apart else built


def _keep_value(built: dict[str, Any], name: str, value: Any) -> None:
    """None is a value here, too."""
    try:
        built[name] = read_schema_value(value)
    except UnfitValue:
        return


def _list_of(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _type(value: Any) -> str | list[str] | None:
    """One type or several; one that is not known might mean anything."""
    names = value if isinstance(value, list) else [value]
    if not 0 < len(names) <= len(_TYPES):
        return None
    if not all(isinstance(name, str) and name in _TYPES for name in names):
        return None
    return list(dict.fromkeys(names)) if isinstance(value, list) else str(value)


def _length(value: Any) -> int | None:
    number = finite_number(value)
    fits = number is not None and 0 <= number <= _MAX_LENGTH and number == int(number)
    return int(number) if fits and number is not None else None


def _multiple(value: Any) -> int | float | None:
    number = finite_number(value)
    return number if number is not None and number >= _FINEST else None


def _pattern(value: Any) -> str | None:
    return value if isinstance(value, str) and is_harmless(value) else None


def _required(value: Any) -> list[str] | None:
    """Names that are too many or too long are none of a parameter that is known here."""
    names = [name for name in _list_of(value)[: 10 * MAX_PARAMETERS] if isinstance(name, str)]
    kept = [name for name in dict.fromkeys(names) if len(name) <= MAX_NAME]
    return kept[:MAX_PARAMETERS] if isinstance(value, list) else None


_READERS: dict[str, Callable[[Any], Any]] = {
    "type": _type,
    "description": lambda value: value[:MAX_DESCRIPTION] if isinstance(value, str) else None,
    "enum": read_enum,
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), finite_number),
    "multipleOf": _multiple,
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems"), _length),
    "pattern": _pattern,
    "required": _required,
    # where a fact of the bundled catalogue comes from
    "x-mark": lambda value: value if isinstance(value, str) and len(value) <= MAX_TEXT else None,
}
"""What each keyword may say; None leaves it out. All others are left out: ``$id``, ``format``…"""
