"""Validate by JSON Schema: without fetching references, and with a fast import, if any."""

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
from .quick_check import is_surely_valid

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError
    from jsonschema.protocols import Validator

_SLOW_MODULE = "rfc3987_syntax"
_REPR_CHARACTERS = 500
_MAX_ERRORS = 1000
_TYPICAL_INPUT = {"prompt": "An action shot of a black lab swimming in an inground suburban pool."}
_IMPORT_LOCK = threading.Lock()


def validator(schema: Mapping[str, Any]) -> Validator:
    """Return a validator; the first call imports jsonschema.

    jsonschema fetches references by any URL. Here, a reference outside the schema raises. Patterns
    are applied to short texts only: see `patterns`.

    jsonschema imports the checker of its format ``iri``, if JupyterLab has installed it, and that
    compiles 35 grammars: 1.3 of the 1.6 seconds of CPU time of the import. No schema of the Hub
    has that format, so the checker is imported on first use instead, as proposed in
    python-jsonschema/jsonschema#1428.

    Args:
        schema: A JSON Schema.

    Returns:
        The validator; it does not check formats.

    Example:
        >>> validator({"type": "integer"}).is_valid(4)
        True
    """
    with _IMPORT_LOCK:
        defer = (
            _SLOW_MODULE not in sys.modules
            and "jsonschema" not in sys.modules
            and find_spec(_SLOW_MODULE)
        )
        if defer:
            stand_in = ModuleType(_SLOW_MODULE)
            vars(stand_in)["is_valid_syntax"] = _is_valid_syntax
            sys.modules[_SLOW_MODULE] = stand_in
        try:
            validator_class, registry = _validator_class()
        finally:
            if defer:
                del sys.modules[_SLOW_MODULE]
    return validator_class(schema, registry=registry)


@cache
def _validator_class() -> tuple[Callable[..., Validator], Any]:
    """Return our validator class, and an empty registry, so that nothing is fetched."""
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend
    from referencing import Registry

    validator_class = extend(Draft202012Validator, {"pattern": _check_pattern})  # type: ignore[no-untyped-call]  # its stub has no types
    return validator_class, Registry()


def _check_pattern(
    _: Validator, pattern: str, instance: Any, __: Mapping[str, Any]
) -> Iterator[ValidationError]:
    """Check like jsonschema, but skip texts so long that backtracking could take long."""
    from jsonschema.exceptions import ValidationError

    if isinstance(instance, str) and len(instance) <= MAX_TEXT and not re.search(pattern, instance):
        yield ValidationError(f"{instance!r} does not match {pattern!r}")


def find_errors(schema: Mapping[str, Any], value: Any) -> list[ValidationError]:
    """Validate a value, with long texts shortened in the messages.

    Args:
        schema: A JSON Schema.
        value: A JSON value, such as a request's input with its images as data URIs.

    Returns:
        The errors, sorted by path; at most 1,000.

    Raises:
        ArithmeticError, ValueError: If a number is NaN, infinite or too large.
        RecursionError: If the value is nested too deep.

    Example:
        >>> [error.message for error in find_errors({"type": "integer"}, "a dog")]
        ["'a dog' is not of type 'integer'"]
    """
    if is_surely_valid(schema, value):
        return []
    errors = islice(validator(schema).iter_errors(_with_short_reprs(value)), _MAX_ERRORS)
    # as text, since indexes and names can't be compared
    return sorted(errors, key=lambda error: [str(step) for step in error.path])


def takes_prompt(schema: Mapping[str, Any]) -> bool:
    """Return whether a model's schema accepts a typical prompt, without which it is unusable.

    Args:
        schema: The JSON Schema of a model's input.

    Example:
        >>> takes_prompt({"properties": {"prompt": {"type": "string"}}})
        True
    """
    properties = schema.get("properties")
    rule = properties.get("prompt") if isinstance(properties, dict) else None
    return rule is not None and not find_errors({"properties": {"prompt": rule}}, _TYPICAL_INPUT)


class _LongText(str):
    """A text whose `repr` shows only its start."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(self[:_REPR_CHARACTERS] + "…")


def _with_short_reprs(value: Any) -> Any:
    """Return an equal value whose long texts have a short `repr`."""
    if isinstance(value, str) and len(value) > _REPR_CHARACTERS:
        return _LongText(value)
    if isinstance(value, list):
        return [_with_short_reprs(item) for item in value]
    if isinstance(value, dict):
        return {name: _with_short_reprs(item) for name, item in value.items()}
    return value


def _is_valid_syntax(term: str, text: str) -> bool:
    """Import the real checker on first use."""
    return bool(import_module(_SLOW_MODULE).is_valid_syntax(term, text))
