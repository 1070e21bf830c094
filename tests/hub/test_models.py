"""Parsing the Hub's models: every likely shape is read, and none causes a crash."""

from __future__ import annotations

import json
from typing import Any

import pytest
from wire import hub_response

from mountsea_magic.errors import InvalidRequest, MountseaError
from mountsea_magic.hub.models import read_model, read_model_ids
from mountsea_magic.request.catalog import Catalog, bundled_catalog
from mountsea_magic.request.request import build_request

PROPERTIES = {"prompt": {"type": "string"}, "mood": {"enum": ["calm", "wild"]}}
SCHEMA = {"type": "object", "properties": PROPERTIES, "required": ["prompt"]}


def deep(levels: int) -> dict[str, Any]:
    """Return a nested schema."""
    schema: dict[str, Any] = {"type": "string"}
    for _ in range(levels):
        schema = {"type": "object", "properties": {"a": schema}}
    return schema


@pytest.mark.parametrize(
    "items",
    [
        ["a", "b"],
        [{"model": "a"}, {"model": "b"}],
        [{"id": "a"}, {"id": "b"}],
        [{"name": "a"}, {"name": "b"}],
        [{"model": "a", "id": "uuid-1", "name": "A"}, "b"],
        [{"model": None, "id": "a"}, {"model": "", "name": "b"}],
        ["a", "b", "a", {"id": "b"}],
        ["a", 7, None, [], {}, {"id": 5}, "b"],
    ],
    ids=str,
)
@pytest.mark.parametrize("wrap", [None, "data", "models", "items"])
def test_every_shape_of_the_list_is_read(wrap: str | None, items: list[Any]) -> None:
    """Bare or wrapped, of strings or objects: the ids in order, without duplicates."""
    assert read_model_ids(hub_response(items if wrap is None else {wrap: items})) == ("a", "b")


@pytest.mark.parametrize(
    "body", [None, "", "a page", 7, True, {}, [], {"data": None}, {"data": {"models": []}}]
)
def test_a_body_without_a_list_gives_no_models(body: Any) -> None:
    """An unexpected response raises nothing."""
    assert read_model_ids(hub_response(body)) == ()


def test_a_list_in_nested_wrappers_is_found() -> None:
    """As in responses of similar services."""
    assert read_model_ids(hub_response({"data": {"models": [{"id": "a"}]}})) == ("a",)


@pytest.mark.parametrize("status", [401, 404, 429, 500])
def test_an_error_response_is_raised(status: int) -> None:
    """By both readers."""
    with pytest.raises(MountseaError):
        read_model_ids(hub_response({"message": "no"}, status))
    with pytest.raises(MountseaError):
        read_model(hub_response({"message": "no"}, status), "m")


@pytest.mark.parametrize(
    "schema",
    [
        SCHEMA,
        json.dumps(SCHEMA),
        {"properties": PROPERTIES, "required": ["prompt"]},
        {"prompt": {"type": "string", "required": True}, "mood": {"enum": ["calm", "wild"]}},
        [
            {"name": "prompt", "type": "string", "required": True},
            {"name": "mood", "enum": ["calm", "wild"], "required": False},
        ],
        {"type": "object", "properties": {"model": {"type": "string"}, "input": SCHEMA}},
        {
            "type": "object",
            "properties": {
                "prompt": {"type": "string", "required": True},
                "mood": {"$ref": "#/$defs/mood"},
            },
            "$defs": {"mood": {"enum": ["calm", "wild"]}},
        },
    ],
    ids=["schema", "text", "untyped", "table", "list", "whole body", "definitions"],
)
@pytest.mark.parametrize("wrap", [None, "data", "model", "alone"])
def test_every_shape_of_a_schema_is_read(wrap: str | None, schema: Any) -> None:
    """JSON Schema, its text, a table or list of parameters, of the input or the whole body."""
    fields: Any = {"model": "m", "input_schema": schema}
    body = {None: fields, "alone": [fields]}.get(wrap, {wrap: fields})
    model = read_model(hub_response(body), "m")
    assert model is not None and set(model.parameters) == {"mood"}
    assert model.input_schema["required"] == ["prompt"]
    own = Catalog({"m": model})
    good = build_request("x", model="m", parameters={"mood": "calm"}, catalog=own)
    assert good.input == {"prompt": "x", "mood": "calm"}
    for wrong in ({"mood": "sad"}, {"moot": "calm"}):
        with pytest.raises(InvalidRequest):
            build_request("x", model="m", parameters=wrong, catalog=own)


@pytest.mark.parametrize(
    "schema",
    [
        None,
        7,
        True,
        "",
        "no JSON",
        "[" * 50_000,
        "[]",
        [],
        {},
        ["prompt"],
        {"type": "object"},
        {"type": "object", "properties": {}},
        {"type": "object", "properties": []},
        {"properties": {"a": {"type": "colour"}}},
        {"properties": {"a": {"type": 5}}},
        {"properties": {"a": {"minimum": "one"}}},
        {"properties": {"a": {"enum": "x"}}},
        {"properties": {"a": {"type": "string", "pattern": "("}}},
        {"properties": {"a": {"patternProperties": {"(": {}}}}},
        {"properties": {"a": {"$ref": "https://evil.example/schema.json"}}},
        {"properties": {"a": {"$ref": "other.json#/a"}}},
        {"properties": {"a": {"$ref": "#/$defs/nowhere"}}},
        {"properties": {"a": {"$ref": "#anchor"}}},
        {"properties": {"a": {"$dynamicRef": "https://evil.example/schema.json"}}},
        {"properties": {"a": {"$ref": "#/properties/a"}}},
        {"properties": {"a": deep(400)}},
        "[" * 100_000,
    ],
    ids=lambda schema: str(schema)[:60],
)
def test_an_invalid_schema_raises_nothing_but_invalid_request(schema: Any) -> None:
    """It is not used, or a request is accepted or rejected with it."""
    model = read_model(hub_response({"input_schema": schema}), "zz-9")
    if model is not None:
        own = Catalog({"zz-9": model})
        try:
            build_request("x", model="zz-9", parameters={"a": "1"}, catalog=own)
        except InvalidRequest as error:
            assert "zz-9" in str(error)


@pytest.mark.parametrize(
    "body",
    [None, [], "text", 7, {}, {"input_schema": None}, {"data": []}, {"data": {"id": "m"}}],
    ids=str,
)
def test_a_response_without_a_schema_is_none(body: Any) -> None:
    """The bundled model is then used."""
    assert read_model(hub_response(body), "m") is None


@pytest.mark.parametrize(
    ("name", "rule"),
    [
        ("anyOf", {"anyOf": [True, {"type": "string"}]}),
        ("oneOf", {"oneOf": [{"enum": ["x"]}, {"type": "integer"}]}),
        ("types", {"type": ["integer", "null"]}),
        ("const", {"const": "x"}),
        ("allOf", {"allOf": [{"type": "integer"}, {"minimum": 3}]}),
        ("not", {"not": {"type": "string"}}),
        ("dependent", {"type": "string", "format": "uri"}),
        ("mixed", {"anyOf": [{"type": "integer", "maximum": 3}, {"enum": ["auto"]}]}),
    ],
)
@pytest.mark.parametrize("value", ["x", "7", "", "null", "true", '{"a": 1}', [1], {"b": 2}, None])
def test_unusual_valid_schemas_accept_or_reject_values(
    name: str, rule: dict[str, Any], value: Any
) -> None:
    """Keywords that the bundled models do not use still work."""
    properties = {"prompt": {"type": "string"}, name: rule}
    model = read_model(hub_response({"input_schema": {"properties": properties}}), "m")
    assert model is not None
    model.values(name)
    try:
        request = build_request(
            "x", model="m", parameters={name: value}, catalog=Catalog({"m": model})
        )
    except InvalidRequest as error:
        assert name in str(error)
    else:
        assert set(request.input) == {"prompt", name}


def test_fields_beside_the_schema_are_read() -> None:
    """Name, vendor, mode, summary and example; missing ones come from the bundled model."""
    bundled = bundled_catalog().model("nano-banana")
    model = read_model(hub_response({"input_schema": SCHEMA}), "nano-banana", bundled)
    assert model is not None
    assert (model.name, model.vendor, model.mode) == ("Nano Banana", "Google", "text-to-image")
    assert (model.mark, model.example) == ("live", bundled.example)
    fields = {
        "title": "Ü",
        "provider": "V",
        "description": "D",
        "example": {"input": {"prompt": "p"}},
    }
    model = read_model(hub_response({"input_schema": SCHEMA} | fields), "m")
    assert model is not None
    assert (model.name, model.vendor, model.summary) == ("Ü", "V", "D")
    assert model.example == {"prompt": "p"}


@pytest.mark.parametrize("required", [["prompt", "image_urls"], ["prompt"]])
def test_a_model_that_needs_images_is_an_edit_model(required: list[str]) -> None:
    """If the Hub does not give the mode."""
    schema = {"properties": {"prompt": {}, "image_urls": {"type": "array"}}, "required": required}
    model = read_model(hub_response({"input_schema": schema}), "m")
    assert model is not None and model.image_parameter == "image_urls"
    assert model.mode == ("image-to-image" if "image_urls" in required else "text-to-image")


def test_model_fields_are_safe_to_print() -> None:
    """Terminal escapes are removed."""
    fields = {"input_schema": SCHEMA, "name": "a\x1b[31mb\nc", "vendor": "\x1b"}
    model = read_model(hub_response(fields), "m")
    assert model is not None and model.name == "a[31mb c"
    assert read_model_ids(hub_response(["a\x1b[31m"])) == ("a[31m",)


@pytest.mark.parametrize(
    "rule",
    [None, False, {"type": "integer"}, {"enum": ["x"]}, {"maxLength": 0}, {"pattern": "^z$"}],
)
def test_a_schema_that_rejects_every_prompt_is_not_used(rule: Any) -> None:
    """Otherwise the model could not be used while the schema is cached."""
    properties = {"mood": {"type": "string"}} | ({} if rule is None else {"prompt": rule})
    reasons: list[str] = []
    fields = {"input_schema": {"type": "object", "properties": properties}}
    assert read_model(hub_response(fields), "m", on_unusable=reasons.append) is None
    assert reasons == ["it does not accept an ordinary prompt"]
