"""The bundled catalog matches the documentation; unknown names get suggestions."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from mountsea_magic.errors import InvalidRequest
from mountsea_magic.request.catalog import Catalog, Model, bundled_catalog, nearest

MODELS = list(bundled_catalog())
NANO_BANANAS = ["nano-banana", "nano-banana-2", "nano-banana-pro"]
RATIOS = ["21:9", "16:9", "3:2", "4:3", "5:4", "1:1", "4:5", "3:4", "2:3", "9:16"]


def schema(model: str, parameter: str) -> dict[str, Any]:
    """Return the schema of a parameter."""
    return dict(bundled_catalog().model(model).parameters[parameter])


def test_the_bundled_models_are_the_documented_ones() -> None:
    """Four text-to-image models, each with an edit model."""
    names = [*NANO_BANANAS, "gpt-image-2"]
    assert set(bundled_catalog().models) == {*names, *(f"{name}-edit" for name in names)}
    assert [model.id for model in MODELS] == list(bundled_catalog().models)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.id)
def test_every_schema_is_valid_and_accepts_its_example(model: Model) -> None:
    """It requires a prompt and allows no additional properties."""
    Draft202012Validator.check_schema(model.input_schema)
    Draft202012Validator(model.input_schema).validate(model.example)
    assert "prompt" in model.input_schema["required"]
    assert model.input_schema["additionalProperties"] is False
    assert "prompt" not in model.parameters
    assert model.mark in ("documented", "neighbour")
    assert model.summary and model.name and model.vendor


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.id)
def test_every_parameter_has_a_description_and_a_mark(model: Model) -> None:
    """For the help, which shows what a parameter does and where that is documented."""
    for parameter in model.parameters.values():
        assert parameter["description"]
        assert parameter["x-mark"] in ("documented", "neighbour")


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.id)
def test_only_edit_models_require_images(model: Model) -> None:
    """Edit models require image_urls; the others don't have it."""
    is_edit = model.id.endswith("-edit")
    assert (model.mode == "image-to-image") is is_edit
    assert ("image_urls" in model.parameters) is is_edit
    assert ("image_urls" in model.input_schema["required"]) is is_edit


def test_nano_banana_has_the_documented_parameters() -> None:
    """Exactly those of the vendor's documentation."""
    model = bundled_catalog().model("nano-banana")
    assert model.mark == "documented"
    assert set(model.parameters) == {
        "seed",
        "num_images",
        "aspect_ratio",
        "output_format",
        "safety_tolerance",
        "sync_mode",
        "limit_generations",
    }
    assert schema("nano-banana", "aspect_ratio")["enum"] == RATIOS
    assert set(schema("nano-banana", "output_format")["enum"]) == {"jpeg", "png", "webp"}


@pytest.mark.parametrize("name", NANO_BANANAS)
def test_the_safety_tolerance_is_a_string(name: str) -> None:
    """The Hub expects "1" to "6" as strings."""
    assert schema(name, "safety_tolerance")["type"] == "string"
    assert schema(name, "safety_tolerance")["enum"] == list("123456")


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.id)
def test_num_images_is_one_to_four(model: Model) -> None:
    """For every model."""
    number = schema(model.id, "num_images")
    assert (number["type"], number["minimum"], number["maximum"]) == ("integer", 1, 4)


@pytest.mark.parametrize(
    ("name", "parameter", "known"),
    [
        ("nano-banana-2", "resolution", {"0.5K", "1K", "2K", "4K"}),
        ("nano-banana-pro", "resolution", {"1K", "2K", "4K"}),
        ("nano-banana-2", "thinking_level", {"minimal", "high"}),
        ("nano-banana-2", "aspect_ratio", {*RATIOS, "auto", "4:1", "1:4", "8:1", "1:8"}),
        ("nano-banana-pro", "aspect_ratio", {*RATIOS, "auto"}),
        ("gpt-image-2", "quality", {"auto", "low", "medium", "high"}),
    ],
)
def test_enumerated_values_are_the_documented_ones(
    name: str, parameter: str, known: set[str]
) -> None:
    """As in the documentation."""
    assert set(schema(name, parameter)["enum"]) == known


@pytest.mark.parametrize("name", ["gpt-image-2", "gpt-image-2-edit"])
def test_gpt_image_has_image_size_instead_of_aspect_ratio(name: str) -> None:
    """The parameter of the other family is a common mistake."""
    parameters = bundled_catalog().model(name).parameters
    assert "aspect_ratio" not in parameters
    assert "image_size" in parameters


@pytest.mark.parametrize("name", ["nano-bananna", "", "NANO-BANANA ", "gpt-image-3", "\x1b[31m"])
def test_the_message_for_an_unknown_model_suggests_others(name: str) -> None:
    """It is one line, safe to print."""
    with pytest.raises(InvalidRequest, match="Unknown model") as caught:
        bundled_catalog().model(name)
    message = str(caught.value)
    assert "nano-banana" in message or "gpt-image-2" in message
    assert "\x1b" not in message and "\n" not in message


def test_a_custom_catalog() -> None:
    """It can be iterated, and its models found by id."""
    model = Model("m", "M", "V", "text-to-image", "s", "neighbour", {}, {})
    catalog = Catalog({"m": model})
    assert list(catalog) == [model]
    assert catalog.model("m") is model
    assert model.parameters == {}


@pytest.mark.parametrize(
    ("word", "known", "message"),
    [
        ("nano-bananna", ["nano-banana", "gpt"], "Did you mean nano-banana?"),
        ("seeed", {"seed": 1, "size": 2}, "Did you mean seed?"),
        ("ab1", ["ab2", "ab3", "zz"], "Did you mean ab3 or ab2?"),
        ("", ["a", "b"], "Available: a, b."),
        ("犬", ["a"], "Available: a."),
    ],
)
def test_nearest_suggests_similar_names_or_lists_all(
    word: str, known: dict[str, object] | list[str], message: str
) -> None:
    """Without a similar name, all are listed."""
    assert nearest(word, known) == message
