"""JSON Schema's validator, without the second that its import costs wherever JupyterLab is."""

from __future__ import annotations

import sys
import threading
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    from jsonschema import Draft202012Validator

_SLOW = "rfc3987_syntax"
_ONE_AT_A_TIME = threading.Lock()


def validator(schema: Mapping[str, Any]) -> Draft202012Validator:
    """Make a validator; the first one imports jsonschema.

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
            from jsonschema import Draft202012Validator
        finally:
            if late:
                del sys.modules[_SLOW]
    return Draft202012Validator(schema)


def _is_valid_syntax(term: str, text: str) -> bool:
    """Whoever checks the format in this process gets the real thing, and pays for it then."""
    return bool(import_module(_SLOW).is_valid_syntax(term, text))
