"""What a parameter's schema means for its field: its kind, its values, and its texts."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ...request.catalog import IMAGES
from ...request.coercion import TYPE_IN_WORDS, read_value
from ...runtime.text import escape_html, json_text, sanitize
from ..options import spell_option
from ..progress import TEXT_ONLY

MAX_PARTS = 12
"""The maximum number of fields for the properties of one object."""

_MAX_WEB_INTEGER = 2**53
"""The largest whole number that a browser's number field keeps exact."""

_EXAMPLES = {
    "array": ' in JSON, such as ["a", "b"] or [1, 2]',
    "object": ' in JSON: {"name": value}',
}
"""How values that a text field takes as JSON are written."""

Schema = Mapping[str, Any]
"""The JSON Schema of a parameter."""


def label_of(name: str) -> str:
    """Return a parameter's name in plain words, without a character that has a meaning in HTML.

    Labels of ipywidgets 7 are HTML, those of ipywidgets 8 are text, and MathJax reads both.

    Args:
        name: The parameter's name, which may come from a Hub.

    Example:
        >>> label_of("aspect_ratio"), label_of("<b>$x$")
        ('aspect ratio', 'b x')
    """
    words = re.sub(r"[^\w.,:()/+-]|_", " ", sanitize(name, limit=60)).split()
    return " ".join(words) or "parameter"


def note_html(help_text: str = "", problems: Sequence[str] = ()) -> str:
    """Return the note below a control: its help, then what is wrong with its value.

    Args:
        help_text: HTML.
        problems: Messages; the text is escaped.
    """
    messages = "".join(
        f'<div class="mountsea-problem" role="alert">⚠ {escape_html(problem)}</div>'
        for problem in problems
    )
    shown = f'<div class="mountsea-help">{help_text}</div>' if help_text else ""
    return f'<div class="{TEXT_ONLY}">{shown}{messages}</div>' if shown or messages else ""


def section_html(title: str) -> str:
    """Return the heading of a part of the form.

    Args:
        title: HTML.
    """
    return f'<div class="mountsea-heading" role="heading" aria-level="4">{title}</div>'


def as_typed(value: Any, schema: Schema) -> Any:
    """Return what `read_value` reads as a value of an enum: the value itself, or its JSON.

    Args:
        value: The JSON value.
        schema: The parameter's schema.

    Example:
        >>> as_typed("1", {"type": "string"}), as_typed("1", {})
        ('1', '"1"')
    """
    for typed in (value, json.dumps(value)):
        if is_same(read_value(typed, schema), value):
            return typed
    return value


def is_same(first: Any, second: Any) -> bool:
    """Return whether two JSON values are the same: True is not 1."""
    return type(first) is type(second) and bool(first == second)


def alternatives(schema: Schema) -> list[dict[str, Any]]:
    """Return the alternative schemas of a parameter, if it has any.

    Example:
        >>> alternatives({"anyOf": [{"type": "string"}, {"type": "null"}]})
        [{'type': 'string'}, {'type': 'null'}]
    """
    found = schema.get("anyOf") or schema.get("oneOf") or []
    return [option for option in found if isinstance(option, dict)]


def enum_of(schema: Schema) -> list[Any]:
    """Return the values of a parameter with a closed list of values, else an empty list.

    Example:
        >>> enum_of({"enum": ["low", "high"]}), enum_of({"type": "string"})
        (['low', 'high'], [])
    """
    values = schema.get("enum")
    return values if isinstance(values, list) else []


def kind_of(schema: Schema) -> str:
    """Return the only type besides null, or an empty text if there are several.

    Example:
        >>> kind_of({"type": ["integer", "null"]}), kind_of({"type": ["integer", "string"]})
        ('integer', '')
    """
    kinds = schema.get("type")
    names = [
        name for name in ([kinds] if isinstance(kinds, str) else kinds or []) if name != "null"
    ]
    return names[0] if len(names) == 1 and not alternatives(schema) else ""


def without_null(schema: Schema) -> Schema:
    """Return a schema without its alternative null, which a field offers by being left alone.

    Args:
        schema: The parameter's schema.

    Example:
        >>> without_null({"anyOf": [{"type": "integer", "maximum": 9}, {"type": "null"}]})
        {'type': 'integer', 'maximum': 9}
        >>> without_null({"type": ["integer", "null"]})
        {'type': 'integer'}
    """
    kind = kind_of(schema)
    if kind:
        return {**schema, "type": kind}
    options = alternatives(schema)
    others = [option for option in options if option.get("type") != "null"]
    if len(others) != 1 or len(options) == 1:
        return schema
    rest = {name: value for name, value in schema.items() if name not in ("anyOf", "oneOf")}
    return {**others[0], **rest}


def has_parts(schema: Schema) -> bool:
    """Return whether a parameter is an object whose properties can have a field each.

    Example:
        >>> has_parts({"properties": {"width": {"type": "integer"}}})
        True
    """
    parts = schema.get("properties")
    return isinstance(parts, dict) and 0 < len(parts) <= MAX_PARTS


def is_bounded(schema: Schema) -> bool:
    """Return whether a number has bounds and a default that a browser's number field can have.

    Example:
        >>> is_bounded({"type": "integer", "minimum": 1, "maximum": 4, "default": 1})
        True
        >>> is_bounded({"type": "integer", "minimum": 1})
        False
    """
    kinds = {"integer": (int,), "number": (int, float)}.get(str(schema.get("type")), ())
    numbers: list[Any] = [schema.get(name) for name in ("minimum", "default", "maximum")]
    low, value, high = (each if type(each) in kinds else math.nan for each in numbers)
    return bool(-_MAX_WEB_INTEGER <= low <= value <= high <= _MAX_WEB_INTEGER)


def help_html(schema: Schema, name: str = "", *, required: bool = False) -> str:
    """Return a parameter's option, its description and its bounds, as HTML.

    Args:
        schema: The parameter's schema.
        name: The parameter's name; without one no option is named.
        required: Whether a request must have it.
    """
    words = ["Required."] if required else []
    words.append(sanitize(schema.get("description") or "", limit=300))
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        words.append(f"{low} to {high}.")
    elif low is not None or high is not None:
        words.append(f"At least {low}." if high is None else f"At most {high}.")
    kind = kind_of(schema)
    if _is_text(schema, kind) and name not in IMAGES:
        words.append(f"{TYPE_IN_WORDS[kind].capitalize()}{_EXAMPLES.get(kind, '')}.")
    option = f"<code>{escape_html(spell_option(sanitize(name, limit=60)))}</code>" if name else ""
    return " ".join(filter(None, (option, escape_html(" ".join(filter(None, words))))))


def _is_text(schema: Schema, kind: str) -> bool:
    """Return whether a value that is no text is typed as text."""
    if enum_of(schema) or is_bounded(schema):
        return False
    items = schema.get("items")
    has_choices = isinstance(items, dict) and bool(enum_of(items))
    is_left = {"array": not has_choices, "object": not has_parts(schema)}
    return kind in ("integer", "number", "array", "object") and is_left.get(kind, True)


def default_text(schema: Schema) -> str:
    """Return what a control shows for a parameter that is not sent.

    Example:
        >>> default_text({"default": "1:1"}), default_text({})
        ('default (1:1)', 'not set')
    """
    default = schema.get("default")
    return "not set" if default is None else f"default ({value_text(default)})"


def value_text(value: Any) -> str:
    """Return a value as the text of an entry in a list.

    Example:
        >>> value_text("low"), value_text(None), value_text({"width": 64})
        ('low', 'null', '{"width": 64}')
    """
    return sanitize(value if isinstance(value, str) else json_text(value), limit=80) or "(empty)"
