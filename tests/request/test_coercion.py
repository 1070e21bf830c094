"""Typed text and Python values are converted to the types in the schema."""

from __future__ import annotations

from typing import Any

import pytest

from mountsea_magic.request.coercion import read_value
from mountsea_magic.request.request import build_request


@pytest.mark.parametrize(
    ("value", "schema", "expected"),
    [
        ("7", {"type": "integer"}, 7),
        (" +7 ", {"type": "integer"}, 7),
        ("-7", {"type": "integer"}, -7),
        ("7.5", {"type": "integer"}, "7.5"),
        ("seven", {"type": "integer"}, "seven"),
        ("", {"type": "integer"}, ""),
        ("٣", {"type": "integer"}, "٣"),
        ("9" * 31, {"type": "integer"}, "9" * 31),
        (7, {"type": "integer"}, 7),
        (7.0, {"type": "integer"}, 7),
        (7.5, {"type": "integer"}, 7.5),
        (True, {"type": "integer"}, True),
        (None, {"type": "integer"}, None),
        (float("inf"), {"type": "integer"}, float("inf")),
        ("0.5", {"type": "number"}, 0.5),
        ("half", {"type": "number"}, "half"),
        ("TRUE", {"type": "boolean"}, True),
        ("yes", {"type": "boolean"}, True),
        ("on", {"type": "boolean"}, True),
        ("1", {"type": "boolean"}, True),
        ("Off", {"type": "boolean"}, False),
        ("no", {"type": "boolean"}, False),
        ("0", {"type": "boolean"}, False),
        ("maybe", {"type": "boolean"}, "maybe"),
        ("4", {"type": "string"}, "4"),
        ('{"a": 1}', {"type": "string"}, '{"a": 1}'),
        (" 4 ", {"type": "string"}, " 4 "),
        (4, {"type": "string"}, "4"),
        (True, {"type": "string"}, True),
        ('["a"]', {"type": "array"}, ["a"]),
        ("a,b", {"type": "array"}, "a,b"),
        ('{"width": 5}', {"type": "object"}, {"width": 5}),
        ("[1, {", {"type": "object"}, "[1, {"),
        ("7", None, 7),
        ("true", None, True),
        ("null", None, None),
        ("plain text", None, "plain text"),
        ('"quoted"', None, "quoted"),
        ("7", {}, 7),
        ("square", {"anyOf": [{"type": "string"}, {"type": "object"}]}, "square"),
        ('{"width": 5}', {"anyOf": [{"type": "string"}, {"type": "object"}]}, {"width": 5}),
        ("7", {"anyOf": [{"type": "string"}, {"type": "object"}]}, "7"),
        ("7", {"type": ["string", "array"]}, "7"),
        ("7", {"anyOf": [{"type": "string"}, {"enum": [7, 8]}]}, 7),
    ],
)
def test_values_are_converted_by_the_schemas_type(
    value: object, schema: dict[str, Any] | None, expected: object
) -> None:
    """Without a type as JSON, else as text; a value that does not fit is unchanged."""
    result = read_value(value, schema)
    assert result == expected
    assert type(result) is type(expected)


def test_objects_with_index_are_integers() -> None:
    """Such as the integers of other libraries."""

    class Seven:
        def __index__(self) -> int:
            return 7

    assert read_value(Seven(), {"type": "integer"}) == 7
    assert build_request("x", parameters={"seed": Seven()}).input["seed"] == 7


def test_a_value_that_already_fits_is_not_converted() -> None:
    """With several types in a live schema."""
    either = {"anyOf": [{"type": "integer"}, {"type": "string"}]}
    assert read_value(4, either) == 4 and read_value("a", either) == "a"
    assert read_value("4", {"anyOf": [{"type": "integer"}, {"type": "null"}]}) == 4
    assert read_value(True, {"type": ["boolean", "string"]}) is True
