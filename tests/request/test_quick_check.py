"""What is certainly valid is accepted without jsonschema, and nothing else."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
from hang import HANG_S

from mountsea_magic.request.catalog import Model, bundled_catalog
from mountsea_magic.request.quick_check import is_surely_valid
from mountsea_magic.request.schema import validator

NAMES = ("a", "b", "c")
VALUES = ("", "a", "dog", 0, 1, 2, -3, 1.0, 1.5, 10**400, True, False, None, float("nan"))
TYPES = ("string", "integer", "number", "boolean", "null", "array", "object")


def random_schema(rng: random.Random, depth: int = 0) -> Any:
    """Return a schema with some keywords, known and unknown."""
    if depth > 3 or rng.random() < 0.05:
        return rng.choice([True, False, {}])

    def part() -> Any:
        return random_schema(rng, depth + 1)

    keywords: dict[str, Callable[[], Any]] = {
        "type": lambda: rng.choice([rng.choice(TYPES), rng.sample(TYPES, 2)]),
        "enum": lambda: rng.sample([*VALUES, [1], {"a": 1}], 3),
        "const": lambda: rng.choice(VALUES),
        "minimum": lambda: rng.choice([-1, 0, 1.5]),
        "maximum": lambda: rng.choice([0, 1, 2.5]),
        "exclusiveMinimum": lambda: 0,
        "multipleOf": lambda: 2,
        "minLength": lambda: rng.randrange(3),
        "maxLength": lambda: rng.randrange(3),
        "pattern": lambda: "^d",
        "minItems": lambda: rng.randrange(3),
        "maxItems": lambda: rng.randrange(3),
        "uniqueItems": lambda: True,
        "items": part,
        "required": lambda: rng.sample(NAMES, 1),
        "properties": lambda: {name: part() for name in rng.sample(NAMES, 2)},
        "additionalProperties": part,
        "anyOf": lambda: [part(), part()],
        "allOf": lambda: [part()],
        "not": part,
        "description": lambda: "a dog",
    }
    return {name: keywords[name]() for name in rng.sample([*keywords], rng.randrange(4))}


def random_value(rng: random.Random, depth: int = 0) -> Any:
    """Return a JSON value, or a number that JSON does not have."""
    kind = rng.randrange(4) if depth < 3 else 0
    if kind == 1:
        return [random_value(rng, depth + 1) for _ in range(rng.randrange(3))]
    if kind == 2:
        return {name: random_value(rng, depth + 1) for name in rng.sample(NAMES, rng.randrange(4))}
    return rng.choice(VALUES)


def test_nothing_is_accepted_that_jsonschema_refuses() -> None:
    """Of 10,000 pairs of schemas and values, more than a tenth of which it accepts."""
    rng, accepted = random.Random(7), 0
    for _ in range(10_000):
        schema, value = random_schema(rng), random_value(rng)
        if is_surely_valid(schema, value):
            accepted += 1
            assert validator(schema).is_valid(value), (schema, value)
    assert accepted > 1_000


@pytest.mark.parametrize("model", list(bundled_catalog()), ids=lambda model: model.id)
def test_inputs_of_the_bundled_models_are_accepted(model: Model) -> None:
    """The example of each model, with any enumerated value of each parameter."""
    assert is_surely_valid(model.input_schema, model.example)
    for name, schema in model.parameters.items():
        for value in schema.get("enum", []):
            assert is_surely_valid(model.input_schema, {**model.example, name: value})


@pytest.mark.parametrize("value", [{"a": [[]]}, [1], {}, 1.0, ("a",), b"a", float("inf")])
def test_other_values_are_left_to_jsonschema(value: object) -> None:
    """Such as parts that no schema describes, which may be nested too deep for JSON."""
    assert not is_surely_valid({"type": ["object", "array", "integer"]}, value)


def test_a_valid_request_does_not_import_jsonschema() -> None:
    """An invalid one does, for its message."""
    program = """
import sys
from mountsea_magic.request.request import build_request
build_request("a dog", parameters={"num_images": "2", "aspect_ratio": "16:9", "seed": 7})
assert "jsonschema" not in sys.modules
try:
    build_request("a dog", parameters={"num_images": "9"})
except Exception as error:
    assert "at most 4" in str(error)
assert "jsonschema" in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=HANG_S)
