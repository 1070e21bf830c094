"""Rebuild the JSON Schemas of a Hub from an allow-list of safe keywords.

A schema from the network is untrusted code: it can make a validator fetch a URL, recurse forever,
backtrack in a pattern for years, or exhaust memory. So it is never used directly; a new schema is
built from allowed keywords, each with limits. Omitted keywords only make it less strict: the Hub
validates each request again, and does not charge for one that it refuses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import unquote

from ..runtime.json_numbers import finite_number
from .patterns import is_safe_pattern
from .schema_values import MAX_TEXT, UnfitValue, read_enum, read_schema_value, text_size

MAX_PARTS = 400
"""The limit of subschemas; each may be applied to each value of a request."""

MAX_DEPTH = 12
"""The limit of nesting."""

MAX_CHARACTERS = 60_000
"""The limit of all names, values and descriptions of a schema together, in characters."""

MAX_PARAMETERS = 200
"""The limit of properties of one object."""

MAX_NAME = 100
"""The longest name of a parameter, in characters."""

MAX_DESCRIPTION = 600
"""Longer descriptions are cut at this length, in characters."""

_TYPES = frozenset({"string", "number", "integer", "boolean", "array", "object", "null"})
_MAX_LENGTH = 2**53
_MIN_MULTIPLE = 1e-9
"""A smaller `multipleOf` is ignored: floating point can't check it."""

_ANNOTATIONS = frozenset({"description", "default", "x-mark"})
_DYNAMIC = ("$dynamicRef", "$recursiveRef")


class UnusableSchema(ValueError):
    """The schema can't be used for validation; the message has the reason."""


def rebuild_schema(source: Mapping[str, Any]) -> dict[str, Any]:
    """Rebuild a Hub's schema from safe keywords.

    References within the schema are replaced by their targets; ``oneOf`` becomes ``anyOf``, since
    in less strict branches a value could match twice.

    Args:
        source: A JSON Schema from the Hub, or one that was already rebuilt.

    Returns:
        A schema without references and within the limits of this module. Rebuilding is
        idempotent.

    Raises:
        UnusableSchema: If it has recursive or external references, or is too large.

    Example:
        >>> rebuild_schema({"$id": "https://hub.example", "type": "integer", "minimum": 1})
        {'type': 'integer', 'minimum': 1}
        >>> rebuild_schema({"$ref": "https://hub.example/schema.json"})
        Traceback (most recent call last):
        mountsea_magic.request.live_schema.UnusableSchema: it refers to another document
    """
    built = _Rebuilder(source).schema(source)
    return built if isinstance(built, dict) else {}


class _Rebuilder:
    """The state of rebuilding one schema: its root and the used-up limits."""

    def __init__(self, root: Mapping[str, Any]) -> None:
        self._root = root
        self._parts = 0
        self._characters = 0
        self._following: list[str] = []

    def schema(self, source: Any, depth: int = 0) -> dict[str, Any] | bool:
        """Rebuild a subschema; one of an invalid type becomes an empty schema."""
        self._count(1)
        if isinstance(source, bool):
            return source
        if not isinstance(source, dict):
            return {}
        if depth > MAX_DEPTH:
            raise UnusableSchema(f"it is nested deeper than {MAX_DEPTH} levels")
        if any(name in source for name in _DYNAMIC):
            raise UnusableSchema("it has a dynamic reference")
        built = {
            name: value
            for name, read in _READERS.items()
            if name in source and (value := read(source[name])) is not None
        }
        for name in ("const", "default"):
            if name in source:
                _copy_value(built, name, source[name])
        self._count(0, text_size([*built.values()]))
        self._add_members(built, source, depth)
        schemas: list[dict[str, Any] | bool] = [
            {"anyOf": [self.schema(part, depth + 1) for part in source[name]]}
            for name in ("anyOf", "oneOf")
            if _list_of(source.get(name))
        ]
        schemas += [self.schema(part, depth + 1) for part in _list_of(source.get("allOf"))]
        if "$ref" in source:
            schemas.append(self._resolve(source["$ref"], depth))
        return _merge(built, schemas)

    def _add_members(self, built: dict[str, Any], source: Mapping[str, Any], depth: int) -> None:
        """Rebuild the subschemas for object properties and array items."""
        properties = source.get("properties")
        if isinstance(properties, dict):
            if len(properties) > MAX_PARAMETERS:
                raise UnusableSchema(f"it has more than {MAX_PARAMETERS} parameters")
            for name in properties:
                if len(name) > MAX_NAME:
                    raise UnusableSchema("a parameter name is too long")
                self._count(0, len(name))
            built["properties"] = {
                name: self.schema(part, depth + 1) for name, part in properties.items()
            }
        # these depend on the keyword that is dropped: alone they would apply to all members
        for name, dependency in (
            ("additionalProperties", "patternProperties"),
            ("items", "prefixItems"),
        ):
            if isinstance(source.get(name), dict | bool) and dependency not in source:
                built[name] = self.schema(source[name], depth + 1)

    def _resolve(self, reference: Any, depth: int) -> dict[str, Any] | bool:
        """Rebuild the target of a reference, which must be within this schema."""
        if not isinstance(reference, str) or not (reference + "/").startswith("#/"):
            raise UnusableSchema("it refers to another document")
        if reference in self._following:
            raise UnusableSchema("it refers to itself")
        target: Any = self._root
        steps = unquote(reference[2 : 2 + 10 * MAX_NAME]).split("/") if reference[2:] else []
        for step in steps:
            name = step.replace("~1", "/").replace("~0", "~")
            if not isinstance(target, dict) or name not in target:
                raise UnusableSchema("it refers to a missing definition")
            target = target[name]
        self._following.append(reference)
        built = self.schema(target, depth + 1)
        self._following.pop()
        return built

    def _count(self, parts: int, characters: int = 0) -> None:
        """Count the output: references may repeat a subschema any number of times."""
        self._parts += parts
        self._characters += characters
        if self._parts > MAX_PARTS or self._characters > MAX_CHARACTERS:
            raise UnusableSchema("it is too large")


def _merge(built: dict[str, Any], schemas: list[dict[str, Any] | bool]) -> dict[str, Any] | bool:
    """Merge schemas that must all match; those with the same keywords go to ``allOf``."""
    conflicting: list[dict[str, Any] | bool] = []
    for other in schemas:
        if other is True or other == {}:
            continue
        if isinstance(other, dict) and not (other.keys() & built.keys()) - _ANNOTATIONS:
            built = other | built
        else:
            conflicting.append(other)
    return built | {"allOf": [*built.get("allOf", []), *conflicting]} if conflicting else built


def _copy_value(built: dict[str, Any], name: str, value: Any) -> None:
    """Copy a JSON value, which may be None, if it is within the limits."""
    try:
        built[name] = read_schema_value(value)
    except UnfitValue:
        return


def _list_of(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _type(value: Any) -> str | list[str] | None:
    """Return one type or several; None if any of them is unknown."""
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
    return number if number is not None and number >= _MIN_MULTIPLE else None


def _pattern(value: Any) -> str | None:
    return value if isinstance(value, str) and is_safe_pattern(value) else None


def _required(value: Any) -> list[str] | None:
    """Drop names beyond the limits; no known parameter has one of those."""
    names = [name for name in _list_of(value)[: 10 * MAX_PARAMETERS] if isinstance(name, str)]
    unique = [name for name in dict.fromkeys(names) if len(name) <= MAX_NAME]
    return unique[:MAX_PARAMETERS] if isinstance(value, list) else None


_READERS: dict[str, Callable[[Any], Any]] = {
    "type": _type,
    "description": lambda value: value[:MAX_DESCRIPTION] if isinstance(value, str) else None,
    "enum": read_enum,
    **dict.fromkeys(("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"), finite_number),
    "multipleOf": _multiple,
    **dict.fromkeys(("minLength", "maxLength", "minItems", "maxItems"), _length),
    "pattern": _pattern,
    "required": _required,
    # the source mark of the bundled catalog
    "x-mark": lambda value: value if isinstance(value, str) and len(value) <= MAX_TEXT else None,
}
"""The reader of each allowed keyword; None drops it. Others, such as ``$id``, are dropped."""
