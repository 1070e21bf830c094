"""What the Hub says of its models: every likely shape is read, and nothing it says is a crash."""

from __future__ import annotations

import json
from typing import Any

import pytest
from wire import answer

from mountsea_magic.errors import InvalidRequest, MountseaError
from mountsea_magic.hub.models import read_model, read_model_ids
from mountsea_magic.request.catalog import Catalog, bundled_catalog
from mountsea_magic.request.request import build_request

PROPERTIES = {"prompt": {"type": "string"}, "mood": {"enum": ["calm", "wild"]}}
SCHEMA = {"type": "object", "properties": PROPERTIES, "required": ["prompt"]}


def deep(levels: int) -> dict[str, Any]:
    """Nest a schema."""
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
    """Bare or wrapped, of texts or objects: the ids in order, each once."""
    assert read_model_ids(answer(items if wrap is None else {wrap: items})) == ("a", "b")


@pytest.mark.parametrize(
    "body", [None, "", "a page", 7, True, {}, [], {"data": None}, {"data": {"models": []}}]
)
def test_what_is_no_list_lists_nothing(body: Any) -> None:
    """An answer that makes no sense is no crash."""
    assert read_model_ids(answer(body)) == ()


def test_a_list_within_a_wrap_within_a_wrap_is_found() -> None:
    """As sister services answer."""
    assert read_model_ids(answer({"data": {"models": [{"id": "a"}]}})) == ("a",)


@pytest.mark.parametrize("status", [401, 404, 429, 500])
def test_a_refusal_is_raised(status: int) -> None:
    """By both readers, as one of our errors."""
    with pytest.raises(MountseaError):
        read_model_ids(answer({"message": "no"}, status))
    with pytest.raises(MountseaError):
        read_model(answer({"message": "no"}, status), "m")


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
    """As JSON Schema, as its text, as a table or list of parameters, of the input or the body."""
    said: Any = {"model": "m", "input_schema": schema}
    body = {None: said, "alone": [said]}.get(wrap, {wrap: said})
    model = read_model(answer(body), "m")
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
def test_an_unsound_schema_breaks_no_cell(schema: Any) -> None:
    """It is not used; or, if it is, a request is made or refused, and nothing else happens."""
    model = read_model(answer({"input_schema": schema}), "zz-9")
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
def test_an_answer_without_a_schema_is_none(body: Any) -> None:
    """What is bundled then holds."""
    assert read_model(answer(body), "m") is None


@pytest.mark.parametrize(
    ("name", "odd"),
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
def test_odd_but_sound_rules_accept_or_refuse(name: str, odd: dict[str, Any], value: Any) -> None:
    """Rules that the bundled models do not use are still obeyed, without a crash."""
    properties = {"prompt": {"type": "string"}, name: odd}
    model = read_model(answer({"input_schema": {"properties": properties}}), "m")
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


def test_what_is_said_beside_the_schema_is_taken() -> None:
    """Name, vendor, mode, summary and example; what is missing comes from the bundled model."""
    bundled = bundled_catalog().model("nano-banana")
    model = read_model(answer({"input_schema": SCHEMA}), "nano-banana", bundled)
    assert model is not None
    assert (model.name, model.vendor, model.mode) == ("Nano Banana", "Google", "text-to-image")
    assert (model.mark, model.example) == ("live", bundled.example)
    said = {
        "title": "Ü",
        "provider": "V",
        "description": "D",
        "example": {"input": {"prompt": "p"}},
    }
    model = read_model(answer({"input_schema": SCHEMA} | said), "m")
    assert model is not None
    assert (model.name, model.vendor, model.summary) == ("Ü", "V", "D")
    assert model.example == {"prompt": "p"}


@pytest.mark.parametrize("required", [["prompt", "image_urls"], ["prompt"]])
def test_a_model_that_needs_images_is_an_edit_model(required: list[str]) -> None:
    """Where the Hub does not say the mode."""
    schema = {"properties": {"prompt": {}, "image_urls": {"type": "array"}}, "required": required}
    model = read_model(answer({"input_schema": schema}), "m")
    assert model is not None and model.image_parameter == "image_urls"
    assert model.mode == ("image-to-image" if "image_urls" in required else "text-to-image")


def test_what_the_hub_says_is_safe_to_print() -> None:
    """Escapes of a terminal go."""
    said = {"input_schema": SCHEMA, "name": "a\x1b[31mb\nc", "vendor": "\x1b"}
    model = read_model(answer(said), "m")
    assert model is not None and model.name == "a[31mb c"
    assert read_model_ids(answer(["a\x1b[31m"])) == ("a[31m",)


@pytest.mark.parametrize(
    "rule",
    [None, False, {"type": "integer"}, {"enum": ["x"]}, {"maxLength": 0}, {"pattern": "^z$"}],
)
def test_a_schema_that_refuses_every_prompt_is_not_used(rule: Any) -> None:
    """Else the model would be lost for as long as the schema is kept."""
    properties = {"mood": {"type": "string"}} | ({} if rule is None else {"prompt": rule})
    reasons: list[str] = []
    said = {"input_schema": {"type": "object", "properties": properties}}
    assert read_model(answer(said), "m", on_unusable=reasons.append) is None
    assert reasons == ["it takes no ordinary prompt"]
