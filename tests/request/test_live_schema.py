"""Schemas from a Hub are rebuilt as schemas that are safe and fast to validate with."""

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
from mountsea_magic.request.patterns import MAX_PATTERN, MAX_TEXT, is_safe_pattern
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
    """Nest a schema in alternatives, that many levels deep."""
    schema = schema or {"type": "string"}
    for _ in range(levels):
        schema = {"anyOf": [schema, {"type": "null"}]}
    return schema


@pytest.mark.parametrize("model", list(bundled_catalog()), ids=lambda model: model.id)
def test_the_bundled_schemas_are_unchanged(model: Model) -> None:
    """All keywords of the documented parameters are allowed."""
    assert rebuild_schema(model.input_schema) == model.input_schema


@pytest.mark.parametrize(
    ("source", "built"),
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
def test_unknown_keywords_and_types_are_dropped(source: dict[str, Any], built: Any) -> None:
    """Only allowed keywords remain; an invalid type allows everything."""
    assert rebuild_schema(source) == ({} if built is None else {"type": built})


@pytest.mark.parametrize("name", ["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"])
@pytest.mark.parametrize("value", [HUGE, -HUGE, NAN, INFINITE, True, "1", None, [1], {"a": 1}])
def test_a_bound_that_is_not_a_finite_number_is_dropped(name: str, value: Any) -> None:
    """NaN, infinities, integers beyond floats, and other types."""
    assert rebuild_schema({name: value}) == {}
    assert rebuild_schema({name: 1}) == {name: 1}


@pytest.mark.parametrize(
    ("source", "built"),
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
def test_invalid_and_too_large_values_of_keywords_are_dropped(
    source: dict[str, Any], built: dict[str, Any]
) -> None:
    """Which makes the schema less strict."""
    assert rebuild_schema(source) == built


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
def test_external_and_recursive_references_are_refused(name: str, reference: Any) -> None:
    """At every level, and with other keywords beside them."""
    definitions = {"circle": {"anyOf": [{"$ref": "#/$defs/circle2"}]}}
    definitions["circle2"] = {"anyOf": [{"$ref": "#/$defs/circle"}]}
    part = {name: reference, "type": "string"}
    for place in (part, {"items": {"anyOf": [part]}}, {"properties": {"b": part}}):
        with pytest.raises(UnusableSchema, match="refer"):
            rebuild_schema({"properties": {"a": place}, "$defs": definitions})


def test_internal_references_are_replaced_by_their_targets() -> None:
    """Also indirectly, with escapes, and with a default beside it."""
    definitions = {"a b/c": {"$ref": "#/definitions/mood"}}
    source = {
        "properties": {"mood": {"$ref": "#/$defs/a%20b~1c", "default": "calm"}},
        "$defs": definitions,
        "definitions": {"mood": {"enum": ["calm", "wild"], "default": "wild"}},
    }
    mood = {"enum": ["calm", "wild"], "default": "calm"}
    assert rebuild_schema(source) == {"properties": {"mood": mood}}


@pytest.mark.parametrize(
    "source",
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
def test_a_too_large_schema_is_refused(source: dict[str, Any]) -> None:
    """Before it is copied, and including the expansion of its references."""
    with pytest.raises(UnusableSchema, match=r"large|deeper|long|more than"):
        rebuild_schema(source)


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


def random_schema(rng: random.Random, depth: int) -> Any:
    """Make a random schema, valid or not."""
    if depth == 0 or rng.random() < 0.3:
        return rng.choice(SCALARS)
    source: dict[str, Any] = {}
    for name in rng.choices(KEYWORDS, k=rng.randint(0, 5)):
        if name in ("anyOf", "oneOf", "allOf", "prefixItems"):
            source[name] = [random_schema(rng, depth - 1) for _ in range(rng.randint(0, 3))]
        elif name in ("properties", "patternProperties", "$defs"):
            source[name] = {key: random_schema(rng, depth - 1) for key in rng.sample("abc", 2)}
        elif name in ("items", "additionalProperties", "not", "if"):
            source[name] = random_schema(rng, depth - 1)
        else:
            source[name] = rng.choice(SCALARS)
    return source


def test_a_random_schema_is_rebuilt_as_a_valid_one_or_refused() -> None:
    """Rebuilding is idempotent, and the result accepts all that a valid original accepts."""
    rng = random.Random(12)
    values: list[Any] = [None, True, 1, "a", [1], ["a"], {}, {"a": 1, "b": "a"}]
    rebuilt = compared = 0
    for number in range(1_500):
        source = random_schema(rng, 4)
        try:
            built = rebuild_schema(source if isinstance(source, dict) else {"items": source})
        except UnusableSchema:
            continue
        rebuilt += 1
        assert rebuild_schema(built) == built, source
        if number % 10:
            continue
        Draft202012Validator.check_schema(built)
        if not isinstance(source, dict) or not Draft202012Validator(
            Draft202012Validator.META_SCHEMA
        ).is_valid(source):
            continue
        for value in values:
            try:
                accepted = Draft202012Validator(source).is_valid(value)
            except Exception:  # the original may be unusable
                continue
            compared += accepted
            assert not accepted or validator(built).is_valid(value), source
    assert rebuilt > 500 and compared > 50


@pytest.mark.parametrize(
    "pattern",
    [
        *("^#[0-9a-fA-F]{6}$", "^https?://", "[0-9]+", r"^\d+x\d+$", r"^(auto|\d+:\d+)$", r"\S"),
        *("^(?:png|jpe?g|webp)$", "^[a-z0-9_-]{1,64}$", "^.+$", "", "^$", r"^v\d(\.\d)?$"),
    ],
)
def test_usual_patterns_are_kept(pattern: str) -> None:
    """They are applied unchanged."""
    assert is_safe_pattern(pattern)
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
def test_patterns_that_may_backtrack_for_long_are_dropped(pattern: str) -> None:
    """So are those that Python can't parse; the Hub checks them."""
    assert not is_safe_pattern(pattern)
    assert rebuild_schema({"type": "string", "pattern": pattern}) == {"type": "string"}


def test_patterns_are_applied_to_short_texts_only() -> None:
    """The Hub checks longer ones, such as data URIs."""
    rule = validator({"pattern": "^a+$"})
    assert rule.is_valid("a" * MAX_TEXT) and not rule.is_valid("a" * (MAX_TEXT - 1) + "b")
    assert rule.is_valid("b" * (MAX_TEXT + 1)) and rule.is_valid(7)
    assert not is_safe_pattern("a" * (MAX_PATTERN + 1))


def test_nested_types_and_alternatives_do_not_multiply() -> None:
    """A value is converted once per alternative, not once per path to it."""
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
def test_a_large_value_is_shortened_in_each_message(rule: dict[str, Any]) -> None:
    """An image of megabytes that violates hundreds of rules does not take gigabytes."""
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


def test_the_message_about_a_long_text_has_its_start() -> None:
    """The rules still apply to the full text."""
    (error,) = find_errors({"properties": {"a": {"maxLength": 9_999}}}, {"a": "x" * 10_000})
    assert len(error.message) < 600 and len(str(error.instance)) == 10_000
    assert find_errors({"maxLength": 10_000}, "x" * 10_000) == []
    assert find_errors({"enum": ["x" * 10_000]}, "x" * 10_000) == []


@pytest.mark.parametrize("value", [NAN, HUGE, "x" * 201, [[[1]]], [0] * 51, (1,), {"a" * 201: 1}])
def test_values_beyond_the_limits_are_refused(value: Any) -> None:
    """Both alone and in an enum."""
    with pytest.raises(UnfitValue):
        read_schema_value(value)
    assert read_enum([value]) is None
    assert read_enum([[[1]], {"a": "b"}]) == [[[1]], {"a": "b"}]
    assert read_enum(["x" * 200] * 100) is None
