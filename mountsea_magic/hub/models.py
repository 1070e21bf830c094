"""What the Hub says of its models: a list of ids, and each one's input schema and example.

Documented are the two addresses and the names ``input_schema`` and ``example``; the shapes inside
are not, so every likely one is read, and what can't be read is left to the bundled catalogue.
A schema that could hurt is not used: see `live_schema`.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from typing import Any

from ..request.catalog import Model
from ..request.live_schema import MAX_PARAMETERS, UnusableSchema, rebuild_schema
from ..request.schema import takes_prompt
from ..request.schema_values import UnfitValue, read_schema_value
from ..runtime.json_numbers import parse_integer
from ..runtime.text import sanitize, sanitize_inline
from .error_mapping import ACCEPTED, HubResponse, error_from_response

MODELS_PATH = "/hub/v1/models"
MAX_LISTED = 500
"""How many models of a list are read at most."""

_MAX_ITEMS = 10 * MAX_LISTED
_MAX_SCHEMA_TEXT = 300_000
_MAX_EXAMPLE_TEXT = 2000
_WRAPS = ("data", "models", "items", "results", "model")
_IDS = ("model", "id", "name")


def read_model_ids(answer: HubResponse) -> tuple[str, ...]:
    """Read the list of models.

    Returns:
        Their ids in the Hub's order, each once, and `MAX_LISTED` of them at most.

    Raises:
        MountseaError: If the answer is a refusal.

    Example:
        >>> read_model_ids(HubResponse(200, {}, {"data": [{"id": "nano-banana"}, "gpt-image-2"]}))
        ('nano-banana', 'gpt-image-2')
    """
    if answer.status not in ACCEPTED:
        raise error_from_response(answer)
    items = _list_in(answer.body)[:_MAX_ITEMS]
    found = (item if isinstance(item, str) else _text(item, *_IDS) for item in items)
    ids = dict.fromkeys(sanitize(name, limit=100) for name in found if name)
    return tuple(itertools.islice(filter(None, ids), MAX_LISTED))


def read_model(
    answer: HubResponse,
    model_id: str,
    bundled: Model | None = None,
    *,
    on_unusable: Callable[[str], None] | None = None,
) -> Model | None:
    """Read what the Hub says of one model.

    Args:
        answer: The Hub's answer.
        model_id: The model that was asked for.
        bundled: What is known of it already, for what the Hub leaves out.
        on_unusable: Called with the reason, if there is a schema that can't be used.

    Returns:
        The model, or None if the answer holds no schema that can be used.

    Raises:
        MountseaError: If the answer is a refusal.
    """
    if answer.status not in ACCEPTED:
        raise error_from_response(answer)
    said = _object_in(answer.body, "input_schema")
    try:
        schema = _schema(said.get("input_schema"))
    except UnusableSchema as error:
        if on_unusable is not None:
            on_unusable(str(error))
        return None
    if schema is None:
        return None
    example = _example(said.get("example"))
    edits = any("image" in name and "url" in name for name in schema["required"])
    return Model(
        id=model_id,
        name=_text(said, "display_name", "title", "name")
        or (bundled.name if bundled else model_id),
        vendor=_text(said, "vendor", "provider") or (bundled.vendor if bundled else ""),
        mode=_text(said, "mode")
        or (bundled.mode if bundled else "image-to-image" if edits else "text-to-image"),
        summary=_text(said, "summary", "description") or (bundled.summary if bundled else ""),
        mark="live",
        input_schema=schema,
        example=example if example is not None else bundled.example if bundled else {},
    )


def _example(said: Any) -> dict[str, Any] | None:
    """An example as long as a book is none."""
    if isinstance(said, dict) and isinstance(said.get("input"), dict):
        said = said["input"]
    try:
        read = read_schema_value(said, max_text=_MAX_EXAMPLE_TEXT)
    except UnfitValue:
        return None
    return read if isinstance(read, dict) else None


def _list_in(body: Any, depth: int = 3) -> list[Any]:
    """The list may stand bare or under one of the usual names."""
    if isinstance(body, list):
        return body
    if isinstance(body, dict) and depth:
        for name in _WRAPS:
            found = _list_in(body.get(name), depth - 1)
            if found:
                return found
    return []


def _object_in(body: Any, wanted: str, depth: int = 3) -> Mapping[str, Any]:
    """The object that has a certain member may stand bare, wrapped, or alone in a list."""
    if isinstance(body, list) and len(body) == 1:
        body = body[0]
    if not isinstance(body, dict):
        return {}
    if wanted in body or not depth:
        return body
    for name in _WRAPS:
        found = _object_in(body.get(name), wanted, depth - 1)
        if wanted in found:
            return found
    return {}


def _schema(said: Any, depth: int = 3) -> dict[str, Any] | None:
    """A JSON Schema, one as text, one of the whole body, or but a table of parameters."""
    if isinstance(said, str):
        if len(said) > _MAX_SCHEMA_TEXT:
            raise UnusableSchema("it is too large")
        try:
            said = json.loads(said, parse_int=parse_integer)
        except (ValueError, RecursionError):
            return None
    if isinstance(said, list):
        items = [item for item in said[: 2 * MAX_PARAMETERS] if isinstance(item, dict)]
        said = {item["name"]: item for item in items if isinstance(item.get("name"), str)}
    if not isinstance(said, dict) or not said:
        return None
    properties = said.get("properties", said if "type" not in said else None)
    if not isinstance(properties, dict) or not properties:
        return None
    inner = properties.get("input")
    if depth and "prompt" not in properties and isinstance(inner, dict) and "properties" in inner:
        return _schema(inner, depth - 1)
    if len(properties) > MAX_PARAMETERS:
        raise UnusableSchema(f"it has more than {MAX_PARAMETERS} parameters")
    table = {name: value for name, value in properties.items() if isinstance(value, dict)}
    required = said.get("required") if "properties" in said else None
    if not isinstance(required, list):
        # on a parameter of its own, this is no JSON Schema
        required = [name for name, value in table.items() if value.get("required") is True]
    schema = {**(said if "properties" in said else {}), "type": "object", "properties": table}
    # what is required and can't be given would refuse every request
    schema["required"] = [name for name in required if isinstance(name, str) and name in table]
    # a slip of the user's shall be named here, and not be paid for
    schema["additionalProperties"] = False
    built = rebuild_schema(schema)
    if not takes_prompt(built):
        raise UnusableSchema("it takes no ordinary prompt")
    return built


def _text(item: Any, *names: str) -> str:
    """The first of some members that is a text."""
    if not isinstance(item, dict):
        return ""
    texts = (item.get(name) for name in names)
    return next(
        (sanitize_inline(text) for text in texts if isinstance(text, str) and text.strip()), ""
    )
