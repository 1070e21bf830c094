"""JSON Schema's validator, which fetches nothing, and is imported without the second it costs."""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib import import_module
from importlib.util import find_spec
from itertools import islice
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .patterns import MAX_TEXT

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

_SLOW = "rfc3987_syntax"
_SHOWN = 500
_MOST = 1000
_ORDINARY = {"prompt": "An action shot of a black lab swimming in an inground suburban pool."}
_ONE_AT_A_TIME = threading.Lock()


def validator(schema: Mapping[str, Any]) -> Validator:
    """Make a validator; the first one imports jsonschema.

    By itself, jsonschema fetches what a schema refers to, by any URL. Here a reference leads to
    the schema itself or raises. A pattern is tried on short texts only: see `patterns`.

    jsonschema imports the checker of its format ``iri``, which JupyterLab brings, and that one
    compiles 35 grammars: 1.3 of the 1.6 seconds of processor that the import takes. No schema of
    the Hub's names that format, so the checker is brought when somebody asks it, which is what
    its maintainers were asked for in python-jsonschema/jsonschema#1428.

    Args:
        schema: A JSON Schema.

    Returns:
        The validator; it checks no formats.

    Example:
        >>> validator({"type": "integer"}).is_valid(4)
        True
    """
    with _ONE_AT_A_TIME:
        late = _SLOW not in sys.modules and "jsonschema" not in sys.modules and find_spec(_SLOW)
        if late:
            stand_in = ModuleType(_SLOW)
            vars(stand_in)["is_valid_syntax"] = _is_valid_syntax
            sys.modules[_SLOW] = stand_in
        try:
            kind, registry = _kind()
        finally:
            if late:
                del sys.modules[_SLOW]
    return kind(schema, registry=registry)


@cache
def _kind() -> tuple[Callable[..., Validator], Any]:
    """The kind of our validators, and the empty registry in which they look schemas up."""
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend
    from referencing import Registry

    kind = extend(Draft202012Validator, {"pattern": _check_pattern})  # type: ignore[no-untyped-call]  # its stub has no types
    return kind, Registry()


def _check_pattern(
    _: Validator, pattern: str, instance: Any, __: Mapping[str, Any]
) -> Iterator[ValidationError]:
    """As jsonschema does, but not on a text so long that it could take long."""
    from jsonschema.exceptions import ValidationError

    if isinstance(instance, str) and len(instance) <= MAX_TEXT and not re.search(pattern, instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def find_errors(schema: Mapping[str, Any], value: Any) -> list[ValidationError]:
    """Check a value, without writing its megabytes into a message for each rule that it breaks.

    Args:
        schema: A JSON Schema.
        value: A JSON value, such as a request's input with its images as data URIs.

    Returns:
        What is wrong, in the order of the places in the value; of thousands only the first.

    Raises:
        ArithmeticError, ValueError: If a number in it is NaN, infinite or too large to be checked.
        RecursionError: If it is nested too deep.

    Example:
        >>> [error.message for error in find_errors({"type": "integer"}, "a dog")]
        ["'a dog' is not of type 'integer'"]
    """
    errors = islice(validator(schema).iter_errors(_with_short_reprs(value)), _MOST)
    # numbers and names can't be compared
    return sorted(errors, key=lambda error: [str(step) for step in error.path])


def takes_prompt(schema: Mapping[str, Any]) -> bool:
    """Return whether a model's schema takes an ordinary prompt: one that does not is of no use.

    Args:
        schema: The JSON Schema of a model's input.

    Example:
        >>> takes_prompt({"properties": {"prompt": {"type": "string"}}})
        True
    """
    properties = schema.get("properties")
    rule = properties.get("prompt") if isinstance(properties, dict) else None
    return rule is not None and not find_errors({"properties": {"prompt": rule}}, _ORDINARY)


class _LongText(str):
    """A text of which messages show the beginning."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(self[:_SHOWN] + "…")


def _with_short_reprs(value: Any) -> Any:
    """The same value, whose texts are written in short."""
    if isinstance(value, str) and len(value) > _SHOWN:
        return _LongText(value)
    if isinstance(value, list):
        return [_with_short_reprs(item) for item in value]
    if isinstance(value, dict):
        return {name: _with_short_reprs(item) for name, item in value.items()}
    return value


def _is_valid_syntax(term: str, text: str) -> bool:
    """Whoever checks the format in this process gets the real thing, and pays for it then."""
    return bool(import_module(_SLOW).is_valid_syntax(term, text))
