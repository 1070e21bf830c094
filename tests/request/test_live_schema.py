"""Live schemas: whatever a Hub says becomes a schema that fetches nothing and takes no time."""

from __future__ import annotations

import random
import tracemalloc
from dataclasses import replace
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from mountsea_magic.errors import InvalidRequest
from mountsea_magic.request.catalog import Catalog, Model, bundled_catalog
from mountsea_magic.request.coercion import read_value
from mountsea_magic.request.live_schema import (
    MAX_DEPTH,
    MAX_DESCRIPTION,
    MAX_PARAMETERS,
    UnusableSchema,
    rebuild_schema,
)
from mountsea_magic.request.patterns import MAX_PATTERN, MAX_TEXT, is_harmless
from mountsea_magic.request.request import build_request
from mountsea_magic.request.schema import find_errors, validator
from mountsea_magic.request.schema_values import (
    MAX_VALUES,
    UnfitValue,
    read_enum,
    read_schema_value,
)

HUGE = 10**400
NAN, INFINITE = float("nan"), float("inf")


def nested(levels: int, schema: dict[str, Any] | None = None) -> dict[str, Any]:
    """Put a schema into alternatives, that many times."""
    schema = schema or {"type": "string"}
    for _ in range(levels):
        schema = {"anyOf": [schema, {"type": "null"}]}
    return schema


@pytest.mark.parametrize("model", list(bundled_catalog()), ids=lambda model: model.id)
def test_the_bundled_schemas_lose_nothing(model: Model) -> None:
    """All keywords that the documented parameters need are among those that are kept."""
    assert rebuild_schema(model.input_schema) == model.input_schema


@pytest.mark.parametrize(
    ("said", "built"),
    [
        ({"$id": "http://x", "$schema": "http://y", "$anchor": "z", "type": "string"}, "string"),
        ({"type": "string", "format": "uri", "contentEncoding": "base64"}, "string"),
        ({"type": ["string", "null"]}, ["string", "null"]),
        ({"type": "colour"}, None),
        ({"type": ["string", "colour"]}, None),
        ({"type": []}, None),
        ({"type": {"a": 1}}, None),
        ({"not": {"type": "string"}, "if": {"$ref": "http://x"}, "type": "string"}, "string"),
    ],
    ids=str,
)
def test_only_keywords_that_are_known_are_kept(said: dict[str, Any], built: Any) -> None:
    """All others go, and what is no type is no rule."""
    assert rebuild_schema(said) == ({} if built is None else {"type": built})


@pytest.mark.parametrize("name", ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"])
@pytest.mark.parametrize("value", [HUGE, -HUGE, NAN, INFINITE, True, "1", None, [1], {"a": 1}])
def test_a_bound_that_is_no_number_is_no_rule(name: str, value: Any) -> None:
    """Neither what JSON can't bear, nor what floats can't."""
    assert rebuild_schema({name: value}) == {}
    assert rebuild_schema({name: 1}) == {name: 1}


@pytest.mark.parametrize(
    ("said", "built"),
    [
        ({"multipleOf": 8}, {"multipleOf": 8}),
        ({"multipleOf": 0.5}, {"multipleOf": 0.5}),
        *(({"multipleOf": value}, {}) for value in (0, -1, 1e-300, NAN, HUGE, True, "8")),
        ({"maxLength": 7.0, "minItems": 1}, {"maxLength": 7, "minItems": 1}),
        *(({"maxLength": value}, {}) for value in (-1, 1.5, HUGE, NAN, True, "7", 2**60)),
        ({"enum": ["a", 1, None, True]}, {"enum": ["a", 1, None, True]}),
        *(({"enum": value}, {}) for value in ("a", [], [NAN], [HUGE], ["x" * 300], {"a": 1})),
        ({"enum": [f"v{n}" for n in range(MAX_VALUES + 1)]}, {}),
        ({"enum": ["x" * 4_000_000], "type": "string"}, {"type": "string"}),
        ({"const": None}, {"const": None}),
        ({"const": NAN, "default": INFINITE}, {}),
        ({"default": None, "type": "string"}, {"default": None, "type": "string"}),
        ({"default": [[[["deep"]]]]}, {}),
        ({"description": "x" * 5_000}, {"description": "x" * MAX_DESCRIPTION}),
        ({"description": 7}, {}),
        ({"required": ["a", "a", 7, "b"]}, {"required": ["a", "b"]}),
        ({"required": True}, {}),
        ({"properties": {"a": True, "b": 7}}, {"properties": {"a": True, "b": {}}}),
        ({"properties": 7, "items": [1], "anyOf": [], "allOf": 3}, {}),
        ({"items": {"type": "string"}, "prefixItems": [{}]}, {}),
        ({"additionalProperties": False, "patternProperties": {"(": {}}}, {}),
        ({"oneOf": [{"type": "string"}]}, {"anyOf": [{"type": "string"}]}),
        ({"allOf": [{"enum": ["a"]}], "default": "a"}, {"enum": ["a"], "default": "a"}),
        (
            {"type": "string", "allOf": [{"type": "string", "enum": ["a"]}]},
            {"type": "string", "allOf": [{"type": "string", "enum": ["a"]}]},
        ),
        (
            {"anyOf": [{"type": "string"}], "oneOf": [{"type": "null"}]},
            {"anyOf": [{"type": "string"}], "allOf": [{"anyOf": [{"type": "null"}]}]},
        ),
    ],
    ids=lambda value: str(value)[:50],
)
def test_what_a_keyword_may_say(said: dict[str, Any], built: dict[str, Any]) -> None:
    """What is too large or makes no sense is left out, and makes the schema milder."""
    assert rebuild_schema(said) == built


@pytest.mark.parametrize(
    "reference",
    [
        "http://127.0.0.1:1/schema.json",
        "https://evil.example/a#/b",
        "file:///etc/passwd",
        "other.json",
        "//evil.example/a",
        "urn:x",
        "#anchor",
        "#/$defs/nowhere",
        "#/$defs/a/b/c",
        "",
        7,
        None,
        {"a": 1},
        "#",
        "#/",
        "#/properties/a",
        "#/$defs/circle",
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["$ref", "$dynamicRef", "$recursiveRef"])
def test_a_reference_elsewhere_or_in_a_circle_is_refused(name: str, reference: Any) -> None:
    """Wherever it stands, and whatever stands beside it."""
    definitions = {"circle": {"anyOf": [{"$ref": "#/$defs/circle2"}]}}
    definitions["circle2"] = {"anyOf": [{"$ref": "#/$defs/circle"}]}
    part = {name: reference, "type": "string"}
    for place in (part, {"items": {"anyOf": [part]}}, {"properties": {"b": part}}):
        with pytest.raises(UnusableSchema, match="refer"):
            rebuild_schema({"properties": {"a": place}, "$defs": definitions})


def test_a_reference_within_the_schema_is_replaced_by_what_it_leads_to() -> None:
    """Also by way of others, with escapes, and with a default beside it."""
    definitions = {"a b/c": {"$ref": "#/definitions/mood"}}
    said = {
        "properties": {"mood": {"$ref": "#/$defs/a%20b~1c", "default": "calm"}},
        "$defs": definitions,
        "definitions": {"mood": {"enum": ["calm", "wild"], "default": "wild"}},
    }
    mood = {"enum": ["calm", "wild"], "default": "calm"}
    assert rebuild_schema(said) == {"properties": {"mood": mood}}


@pytest.mark.parametrize(
    "said",
    [
        nested(MAX_DEPTH + 1),
        nested(300),
        {"properties": {f"p{n}": {} for n in range(MAX_PARAMETERS + 1)}},
        {"properties": {"a" * 5_000_000: {}}},
        {"anyOf": [{}] * 100_000},
        {"properties": {f"p{n}": {"description": "x" * 1_000} for n in range(MAX_PARAMETERS)}},
        {
            "$ref": "#/$defs/0",
            "$defs": {str(n): {"anyOf": [{"$ref": f"#/$defs/{n + 1}"}] * 9} for n in range(4)}
            | {"4": {"type": "string"}},
        },
    ],
    ids=["deep", "deeper", "wide", "name", "alternatives", "words", "a billion laughs"],
)
def test_a_schema_that_is_too_large_is_refused(said: dict[str, Any]) -> None:
    """Before it is copied, and whatever its references would make of it."""
    with pytest.raises(UnusableSchema, match=r"large|deeper|long|more than"):
        rebuild_schema(said)


KEYWORDS = (
    *(
        "type",
        "enum",
        "const",
        "minimum",
        "multipleOf",
        "maxLength",
        "pattern",
        "items",
        "required",
    ),
    *("properties", "anyOf", "oneOf", "allOf", "$ref", "additionalProperties", "not", "if"),
    *("patternProperties", "prefixItems", "minItems", "default", "$id", "$defs"),
)
SCALARS: list[Any] = [
    *(None, True, 0, 1, -1, 2.5, HUGE, NAN, 1e-300, "", "a", "string", "integer", "http://x"),
    *("^(a+)+$", "[a-z]+", "#/$defs/a", ["string", "null"], [], {}, [1, "a", None], ["a"]),
]


def any_schema(rng: random.Random, depth: int) -> Any:
    """Make a schema, sound or not."""
    if depth == 0 or rng.random() < 0.3:
        return rng.choice(SCALARS)
    said: dict[str, Any] = {}
    for name in rng.choices(KEYWORDS, k=rng.randint(0, 5)):
        if name in ("anyOf", "oneOf", "allOf", "prefixItems"):
            said[name] = [any_schema(rng, depth - 1) for _ in range(rng.randint(0, 3))]
        elif name in ("properties", "patternProperties", "$defs"):
            said[name] = {key: any_schema(rng, depth - 1) for key in rng.sample("abc", 2)}
        elif name in ("items", "additionalProperties", "not", "if"):
            said[name] = any_schema(rng, depth - 1)
        else:
            said[name] = rng.choice(SCALARS)
    return said


def test_any_schema_is_rebuilt_as_a_sound_one_or_refused() -> None:
    """It is JSON Schema, rebuilds to itself, and accepts all that a sound original accepts."""
    rng = random.Random(12)
    values: list[Any] = [None, True, 1, "a", [1], ["a"], {}, {"a": 1, "b": "a"}]
    rebuilt = compared = 0
    for number in range(1_500):
        said = any_schema(rng, 4)
        try:
            built = rebuild_schema(said if isinstance(said, dict) else {"items": said})
        except UnusableSchema:
            continue
        rebuilt += 1
        assert rebuild_schema(built) == built, said
        if number % 10:
            continue
        Draft202012Validator.check_schema(built)
        if not isinstance(said, dict) or not Draft202012Validator(
            Draft202012Validator.META_SCHEMA
        ).is_valid(said):
            continue
        for value in values:
            try:
                accepted = Draft202012Validator(said).is_valid(value)
            except Exception:  # what the original says is why it is rebuilt
                continue
            compared += accepted
            assert not accepted or validator(built).is_valid(value), said
    assert rebuilt > 500 and compared > 50


@pytest.mark.parametrize(
    "pattern",
    [
        *("^#[0-9a-fA-F]{6}$", "^https?://", "[0-9]+", r"^\d+x\d+$", r"^(auto|\d+:\d+)$", r"\S"),
        *("^(?:png|jpe?g|webp)$", "^[a-z0-9_-]{1,64}$", "^.+$", "", "^$", r"^v\d(\.\d)?$"),
    ],
)
def test_usual_patterns_are_kept(pattern: str) -> None:
    """They are tried as ever."""
    assert is_harmless(pattern)
    assert rebuild_schema({"pattern": pattern}) == {"pattern": pattern}


@pytest.mark.parametrize(
    "pattern",
    [
        *("^(a+)+$", "^(a|a)*b$", "^(a|aa)+$", "(x+x+)+y", "^(([a-z])+.)+[A-Z]([a-z])+$"),
        *("^a*a*a*a*b$", "a?" * 30 + "a" * 30, "(.*)*b", "(a{1,200}){1,200}b", "(?:a??)*b"),
        *(r"^(\w+\s?)*$", r"^(?:(?:a*)*)*$", "(a)\\1+b", "(?=(a+))b", "(?i)x", "(?P<n>a)(?P=n)"),
        *("(", "[", "a{99999999999}", "*", r"\p{L}", "(?", "[[a]", "(" * 99, "a" * 500),
        *("(){1000}", "a{5000}", "(?>a+)b", "a*+b", "^(a+){2,}(b+){2,}c"),
    ],
)
def test_a_pattern_that_may_take_long_is_not_tried(pattern: str) -> None:
    """Nor one that Python can't read; the Hub has its own."""
    assert not is_harmless(pattern)
    assert rebuild_schema({"type": "string", "pattern": pattern}) == {"type": "string"}


def test_a_pattern_is_tried_on_short_texts_alone() -> None:
    """What is longer, such as a data URI, the Hub judges."""
    rule = validator({"pattern": "^a+$"})
    assert rule.is_valid("a" * MAX_TEXT) and not rule.is_valid("a" * (MAX_TEXT - 1) + "b")
    assert rule.is_valid("b" * (MAX_TEXT + 1)) and rule.is_valid(7)
    assert not is_harmless("a" * (MAX_PATTERN + 1))


def test_types_and_alternatives_within_each_other_do_not_multiply() -> None:
    """What was typed is read once for each alternative, not once for each way to it."""
    schema: dict[str, Any] = {"type": "string"}
    kinds = ["string", "null", "number", "integer", "boolean", "array", "object"]
    for _ in range(MAX_DEPTH - 1):
        schema = {"type": kinds, "anyOf": [schema]}
    assert read_value("x", rebuild_schema(schema)) == "x"


@pytest.mark.parametrize(
    "rule",
    [
        {"anyOf": [{"type": "integer"}] * 300},
        {"allOf": [{"type": "integer"}] * 300},
        {"type": "array", "items": {"anyOf": [{"type": "integer"}] * 300}},
        {"enum": ["a"], "const": 1, "maxLength": 3, "allOf": [False]},
    ],
    ids=lambda rule: str(rule)[:40],
)
def test_a_large_value_is_not_written_into_each_message(rule: dict[str, Any]) -> None:
    """An image of megabytes that breaks hundreds of rules takes no gigabytes."""
    image = "data:image/png;base64," + "iVBORw0KGgo=" * 100_000
    schema = rebuild_schema({"properties": {"prompt": {}, "picture": rule}})
    model = replace(bundled_catalog().model("nano-banana"), id="m", input_schema=schema)
    tracemalloc.start()
    with pytest.raises(InvalidRequest) as caught:
        build_request(
            "x", model="m", parameters={"picture": [image]}, catalog=Catalog({"m": model})
        )
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 10 * len(image)
    assert len(str(caught.value)) < 1000 and "data:image/png" in str(caught.value)


def test_an_error_of_a_long_text_shows_its_beginning() -> None:
    """The text itself stays as long as it is for the rules."""
    (error,) = find_errors({"properties": {"a": {"maxLength": 9_999}}}, {"a": "x" * 10_000})
    assert len(error.message) < 600 and len(str(error.instance)) == 10_000
    assert find_errors({"maxLength": 10_000}, "x" * 10_000) == []
    assert find_errors({"enum": ["x" * 10_000]}, "x" * 10_000) == []


@pytest.mark.parametrize("value", [NAN, HUGE, "x" * 201, [[[1]]], [0] * 51, (1,), {"a" * 201: 1}])
def test_a_value_that_does_not_fit_is_none(value: Any) -> None:
    """Alone and in an enum."""
    with pytest.raises(UnfitValue):
        read_schema_value(value)
    assert read_enum([value]) is None
    assert read_enum([[[1]], {"a": "b"}]) == [[[1]], {"a": "b"}]
    assert read_enum(["x" * 200] * 100) is None
