"""The catalogue: the bundled models agree with the contract page, and slips are answered."""

from __future__ import annotations

from typing import Any

import pytest
from jsonschema import Draft202012Validator

from mountsea_magic.errors import InvalidRequest
from mountsea_magic.request.catalog import Catalog, Model, bundled_catalog, nearest

MODELS = list(bundled_catalog())
BANANAS = ["nano-banana", "nano-banana-2", "nano-banana-pro"]
RATIOS = ["21:9", "16:9", "3:2", "4:3", "5:4", "1:1", "4:5", "3:4", "2:3", "9:16"]


def schema(model: str, parameter: str) -> dict[str, Any]:
    """Return one parameter's schema."""
    return dict(bundled_catalog().model(model).parameters[parameter])


def test_the_models_are_those_of_the_contract_page() -> None:
    """Four models draw, and each has a namesake that edits."""
    names = [*BANANAS, "gpt-image-2"]
    assert set(bundled_catalog().models) == {*names, *(f"{name}-edit" for name in names)}
    assert [model.id for model in MODELS] == list(bundled_catalog().models)


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.id)
def test_every_model_is_sound(model: Model) -> None:
    """Its schema is one, needs a prompt, allows nothing else, and takes its own example."""
    Draft202012Validator.check_schema(model.input_schema)
    Draft202012Validator(model.input_schema).validate(model.example)
    assert "prompt" in model.input_schema["required"]
    assert model.input_schema["additionalProperties"] is False
    assert "prompt" not in model.parameters
    assert model.mark in ("documented", "neighbour")
    assert model.summary and model.name and model.vendor


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.id)
def test_every_parameter_is_described_and_marked(model: Model) -> None:
    """Help can say of each parameter what it does and how well that is known."""
    for parameter in model.parameters.values():
        assert parameter["description"]
        assert parameter["x-mark"] in ("documented", "neighbour")


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.id)
def test_edit_models_need_images(model: Model) -> None:
    """An edit model takes and needs image_urls; no other does."""
    is_edit = model.id.endswith("-edit")
    assert (model.mode == "image-to-image") is is_edit
    assert ("image_urls" in model.parameters) is is_edit
    assert ("image_urls" in model.input_schema["required"]) is is_edit


def test_nano_banana_is_the_documented_one() -> None:
    """Its parameters are exactly those of the vendor's page."""
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


@pytest.mark.parametrize("name", BANANAS)
def test_the_safety_tolerance_is_a_string(name: str) -> None:
    """The Hub wants "1" to "6" as text, not numbers."""
    assert schema(name, "safety_tolerance")["type"] == "string"
    assert schema(name, "safety_tolerance")["enum"] == list("123456")


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.id)
def test_one_to_four_images(model: Model) -> None:
    """No model takes an order for fewer than one or more than four images."""
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
def test_closed_lists(name: str, parameter: str, known: set[str]) -> None:
    """The values of a closed list are those of the contract page."""
    assert set(schema(name, parameter)["enum"]) == known


@pytest.mark.parametrize("name", ["gpt-image-2", "gpt-image-2-edit"])
def test_gpt_image_has_sizes_and_no_aspect_ratio(name: str) -> None:
    """The usual slip between the families is refused by the schema."""
    parameters = bundled_catalog().model(name).parameters
    assert "aspect_ratio" not in parameters
    assert "image_size" in parameters


@pytest.mark.parametrize("name", ["nano-bananna", "", "NANO-BANANA ", "gpt-image-3", "\x1b[31m"])
def test_an_unknown_model_is_refused_in_one_safe_line(name: str) -> None:
    """The message names the slip and a model that exists."""
    with pytest.raises(InvalidRequest, match="Unknown model") as caught:
        bundled_catalog().model(name)
    said = str(caught.value)
    assert "nano-banana" in said or "gpt-image-2" in said
    assert "\x1b" not in said and "\n" not in said


def test_a_catalogue_of_ones_own() -> None:
    """A catalogue is iterated and asked by id, whatever models it holds."""
    model = Model("m", "M", "V", "text-to-image", "s", "neighbour", {}, {})
    catalog = Catalog({"m": model})
    assert list(catalog) == [model]
    assert catalog.model("m") is model
    assert model.parameters == {}


@pytest.mark.parametrize(
    ("word", "known", "said"),
    [
        ("nano-bananna", ["nano-banana", "gpt"], "Did you mean nano-banana?"),
        ("seeed", {"seed": 1, "size": 2}, "Did you mean seed?"),
        ("ab1", ["ab2", "ab3", "zz"], "Did you mean ab3 or ab2?"),
        ("", ["a", "b"], "Available: a, b."),
        ("犬", ["a"], "Available: a."),
    ],
)
def test_nearest_names_the_likely_or_all(
    word: str, known: dict[str, object] | list[str], said: str
) -> None:
    """A near word is suggested; without one, all are named."""
    assert nearest(word, known) == said
