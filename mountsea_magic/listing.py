"""What the Hub says of its models: a list of ids, and each one's input schema and example.

Documented are the two addresses and the names ``input_schema`` and ``example``; the shapes inside
are not, so every likely one is read, and what can't be read is left to the bundled catalogue.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from .catalog import Model
from .refusals import ACCEPTED, Answer, refusal
from .schema import validator
from .text import plain, remark

MODELS_PATH = "/hub/v1/models"
_WRAPS = ("data", "models", "items", "results", "model")
_IDS = ("model", "id", "name")


def read_model_ids(answer: Answer) -> tuple[str, ...]:
    """Read the list of models.

    Returns:
        Their ids in the Hub's order, each once.

    Raises:
        MountseaError: If the answer is a refusal.

    Example:
        >>> read_model_ids(Answer(200, {}, {"data": [{"id": "nano-banana"}, "gpt-image-2"]}))
        ('nano-banana', 'gpt-image-2')
    """
    if answer.status not in ACCEPTED:
        raise refusal(answer)
    items = _list_in(answer.body)
    found = (item if isinstance(item, str) else _text(item, *_IDS) for item in items)
    return tuple(dict.fromkeys(plain(name, limit=100) for name in found if name))


def read_model(answer: Answer, model_id: str, bundled: Model | None = None) -> Model | None:
    """Read what the Hub says of one model.

    Args:
        answer: The Hub's answer.
        model_id: The model that was asked for.
        bundled: What is known of it already, for what the Hub leaves out.

    Returns:
        The model, or None if the answer holds no schema that can be used.

    Raises:
        MountseaError: If the answer is a refusal.
    """
    if answer.status not in ACCEPTED:
        raise refusal(answer)
    said = _object_in(answer.body, "input_schema")
    schema = _schema(said.get("input_schema"))
    if schema is None:
        return None
    example = said.get("example")
    if isinstance(example, dict) and isinstance(example.get("input"), dict):
        example = example["input"]
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
        example=example if isinstance(example, dict) else bundled.example if bundled else {},
    )


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


def _schema(said: Any) -> dict[str, Any] | None:
    """A JSON Schema, one as text, one of the whole body, or but a table of parameters."""
    if isinstance(said, str):
        try:
            said = json.loads(said)
        except (ValueError, RecursionError):
            return None
    if isinstance(said, list):
        said = {item["name"]: item for item in said if isinstance(item, dict) and "name" in item}
    if not isinstance(said, dict) or not said:
        return None
    properties = said.get("properties", said if "type" not in said else None)
    if not isinstance(properties, dict) or not properties:
        return None
    inner = properties.get("input")
    if "prompt" not in properties and isinstance(inner, dict) and "properties" in inner:
        return _schema(inner)
    table = {name: value for name, value in properties.items() if isinstance(value, dict)}
    required = said.get("required") if "properties" in said else None
    if not isinstance(required, list):
        required = [name for name, value in table.items() if value.get("required") is True]
    clean = {name: _without_flag(value) for name, value in table.items()}
    schema = {**(said if "properties" in said else {}), "type": "object", "properties": clean}
    schema["required"] = [name for name in required if isinstance(name, str)]
    for name in ("$id", "$schema"):
        schema.pop(name, None)
    # a slip of the user's shall be named here, and not be paid for
    schema["additionalProperties"] = False
    return schema if _is_sound(schema) else None


def _without_flag(parameter: Mapping[str, Any]) -> dict[str, Any]:
    """`required: true` on a parameter is no JSON Schema."""
    flagged = isinstance(parameter.get("required"), bool)
    return {
        name: value for name, value in parameter.items() if not (flagged and name == "required")
    }


def _is_sound(schema: Mapping[str, Any]) -> bool:
    """A schema that is none would break every cell: so would a pattern, or a way to nowhere."""
    check = validator(schema).check_schema
    from jsonschema.exceptions import SchemaError

    try:
        check(schema)
        for part in _parts(schema):
            if isinstance(part.get("pattern"), str):
                re.compile(part["pattern"])
            if "$dynamicRef" in part or "$recursiveRef" in part:
                return False
            if "$ref" in part and not _leads_somewhere(schema, part["$ref"]):
                return False
    except (SchemaError, RecursionError, re.error):
        return False
    return True


def _parts(schema: Any) -> Iterator[Mapping[str, Any]]:
    """Every object within a schema."""
    if isinstance(schema, dict):
        yield schema
    inner = schema.values() if isinstance(schema, dict) else schema
    for part in inner if isinstance(schema, dict | list) else ():
        yield from _parts(part)


def _leads_somewhere(schema: Any, reference: Any) -> bool:
    """A reference must stay within the schema, where it is not fetched, and not go in a circle."""
    for _ in range(20):
        if not isinstance(reference, str) or not reference.startswith("#"):
            return False
        target = schema
        for step in reference[1:].strip("/").split("/") if reference[1:] else ():
            if not isinstance(target, dict) or step not in target:
                return False
            target = target[step]
        if not isinstance(target, dict) or "$ref" not in target:
            return True
        reference = target["$ref"]
    return False


def _text(item: Any, *names: str) -> str:
    """The first of some members that is a text."""
    if not isinstance(item, dict):
        return ""
    texts = (item.get(name) for name in names)
    return next((remark(text) for text in texts if isinstance(text, str) and text.strip()), "")
