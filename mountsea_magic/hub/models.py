"""Parse the Hub's model list, and each model's input schema and example.

Only the two endpoints and the names ``input_schema`` and ``example`` are documented, so every
likely shape is accepted; what can't be read falls back to the bundled catalog. Unsafe schemas are
not used: see `live_schema`.
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
from .error_mapping import error_from_response
from .http_response import ACCEPTED, HubResponse

MODELS_PATH = "/hub/v1/models"
MAX_LISTED = 500
"""The most models of a list that are read."""

_MAX_ITEMS = 10 * MAX_LISTED
_MAX_SCHEMA_TEXT = 300_000
_MAX_EXAMPLE_TEXT = 2000
_WRAPPERS = ("data", "models", "items", "results", "model")
_IDS = ("model", "id", "name")


def read_model_ids(response: HubResponse) -> tuple[str, ...]:
    """Read the list of models.

    Returns:
        Their ids in the Hub's order, without duplicates, at most `MAX_LISTED`.

    Raises:
        MountseaError: If it is an error response.

    Example:
        >>> read_model_ids(HubResponse(200, {}, {"data": [{"id": "nano-banana"}, "gpt-image-2"]}))
        ('nano-banana', 'gpt-image-2')
    """
    if response.status not in ACCEPTED:
        raise error_from_response(response)
    items = _list_in(response.body)[:_MAX_ITEMS]
    found = (item if isinstance(item, str) else _text(item, *_IDS) for item in items)
    ids = dict.fromkeys(sanitize(name, limit=100) for name in found if name)
    return tuple(itertools.islice(filter(None, ids), MAX_LISTED))


def read_model(
    response: HubResponse,
    model_id: str,
    bundled: Model | None = None,
    *,
    on_unusable: Callable[[str], None] | None = None,
) -> Model | None:
    """Read one model.

    Args:
        response: The Hub's response.
        model_id: The requested model.
        bundled: The bundled model, for fields that the Hub leaves out.
        on_unusable: Called with the reason, if the schema can't be used.

    Returns:
        The model, or None if the response contains no usable schema.

    Raises:
        MountseaError: If it is an error response.
    """
    if response.status not in ACCEPTED:
        raise error_from_response(response)
    fields = _object_in(response.body, "input_schema")
    try:
        schema = _schema(fields.get("input_schema"))
    except UnusableSchema as error:
        if on_unusable is not None:
            on_unusable(str(error))
        return None
    if schema is None:
        return None
    example = _example(fields.get("example"))
    edits = any("image" in name and "url" in name for name in schema["required"])
    return Model(
        id=model_id,
        name=_text(fields, "display_name", "title", "name")
        or (bundled.name if bundled else model_id),
        vendor=_text(fields, "vendor", "provider") or (bundled.vendor if bundled else ""),
        mode=_text(fields, "mode")
        or (bundled.mode if bundled else "image-to-image" if edits else "text-to-image"),
        summary=_text(fields, "summary", "description") or (bundled.summary if bundled else ""),
        mark="live",
        input_schema=schema,
        example=example if example is not None else bundled.example if bundled else {},
    )


def _example(given: Any) -> dict[str, Any] | None:
    """Read an example, of the input or the whole body; ignore a very long one."""
    if isinstance(given, dict) and isinstance(given.get("input"), dict):
        given = given["input"]
    try:
        read = read_schema_value(given, max_text=_MAX_EXAMPLE_TEXT)
    except UnfitValue:
        return None
    return read if isinstance(read, dict) else None


def _list_in(body: Any, depth: int = 3) -> list[Any]:
    """Find the list, bare or under one of the usual names."""
    if isinstance(body, list):
        return body
    if isinstance(body, dict) and depth:
        for name in _WRAPPERS:
            found = _list_in(body.get(name), depth - 1)
            if found:
                return found
    return []


def _object_in(body: Any, wanted: str, depth: int = 3) -> Mapping[str, Any]:
    """Find the object with a certain member: bare, wrapped, or the only item of a list."""
    if isinstance(body, list) and len(body) == 1:
        body = body[0]
    if not isinstance(body, dict):
        return {}
    if wanted in body or not depth:
        return body
    for name in _WRAPPERS:
        found = _object_in(body.get(name), wanted, depth - 1)
        if wanted in found:
            return found
    return {}


def _schema(given: Any, depth: int = 3) -> dict[str, Any] | None:
    """Read a JSON Schema: of the input or the whole body, as JSON text, or a parameter table."""
    if isinstance(given, str):
        if len(given) > _MAX_SCHEMA_TEXT:
            raise UnusableSchema("it is too large")
        try:
            given = json.loads(given, parse_int=parse_integer)
        except (ValueError, RecursionError):
            return None
    if isinstance(given, list):
        items = [item for item in given[: 2 * MAX_PARAMETERS] if isinstance(item, dict)]
        given = {item["name"]: item for item in items if isinstance(item.get("name"), str)}
    if not isinstance(given, dict) or not given:
        return None
    properties = given.get("properties", given if "type" not in given else None)
    if not isinstance(properties, dict) or not properties:
        return None
    inner = properties.get("input")
    if depth and "prompt" not in properties and isinstance(inner, dict) and "properties" in inner:
        return _schema(inner, depth - 1)
    if len(properties) > MAX_PARAMETERS:
        raise UnusableSchema(f"it has more than {MAX_PARAMETERS} parameters")
    table = {name: value for name, value in properties.items() if isinstance(value, dict)}
    required = given.get("required") if "properties" in given else None
    if not isinstance(required, list):
        # `required` on single parameters is not JSON Schema, but some APIs use it
        required = [name for name, value in table.items() if value.get("required") is True]
    schema = {**(given if "properties" in given else {}), "type": "object", "properties": table}
    # a required but unknown parameter would reject every request
    schema["required"] = [name for name in required if isinstance(name, str) and name in table]
    # catch a mistyped parameter here, before it is paid for
    schema["additionalProperties"] = False
    built = rebuild_schema(schema)
    if not takes_prompt(built):
        raise UnusableSchema("it does not accept an ordinary prompt")
    return built


def _text(item: Any, *names: str) -> str:
    """Return the first of some members that is a text."""
    if not isinstance(item, dict):
        return ""
    texts = (item.get(name) for name in names)
    return next(
        (sanitize_inline(text) for text in texts if isinstance(text, str) and text.strip()), ""
    )
