"""The fields of the form: the control of every kind of schema, and of hostile ones."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from forms import registry

from mountsea_magic.notebook.form.fields import UNSET, Field, make_field
from mountsea_magic.notebook.form.schema import as_typed, label_of
from mountsea_magic.notebook.widget_tree import close_tree, widgets_of
from mountsea_magic.request.catalog import bundled_catalog
from mountsea_magic.request.coercion import read_value
from mountsea_magic.request.live_schema import rebuild_schema
from mountsea_magic.request.request import problems_by_parameter, read_parameters

SIZE = {
    "anyOf": [
        {"enum": ["square", "wide"]},
        {"type": "object", "properties": {"width": {"type": "integer"}, "fit": {"enum": [1, "1"]}}},
    ]
}


@pytest.fixture(autouse=True)
def widgets_are_closed() -> Iterator[None]:
    """Close the widgets of a test."""
    others = set(registry())
    yield
    close_tree(*[each for key, each in registry().items() if key not in others])


@pytest.mark.parametrize(
    ("schema", "control", "texts"),
    [
        ({"enum": ["a", "b"], "default": "a"}, "Dropdown", ["default (a)", "a", "b"]),
        ({"anyOf": [{"enum": [1, "1"]}, {"type": "null"}]}, "Dropdown", ["not set", "1", "1"]),
        ({"type": "boolean", "default": True}, "Checkbox", None),
        ({"type": ["boolean", "null"]}, "Dropdown", ["not set", "true", "false"]),
        ({"type": "integer", "minimum": 1, "maximum": 4, "default": 1}, "FloatText", None),
        ({"type": "number", "minimum": 0, "maximum": 1, "default": 0.5}, "FloatText", None),
        ({"type": "integer", "minimum": 1, "maximum": 4}, "Text", None),
        ({"type": "integer", "minimum": 9, "maximum": 4, "default": 5}, "Text", None),
        ({"type": "integer", "minimum": 0, "maximum": 2**64, "default": 0}, "Text", None),
        ({"type": "integer", "minimum": 0, "maximum": 9, "default": "x"}, "Text", None),
        (
            {"type": ["integer", "null"], "minimum": 0, "maximum": 9, "default": 1},
            "FloatText",
            None,
        ),
        (
            {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 9}, {"type": "null"}]}
            | {"default": 1},
            "FloatText",
            None,
        ),
        ({"anyOf": [{"type": "boolean"}, {"type": "null"}], "default": True}, "Checkbox", None),
        ({"type": "string"}, "Text", None),
        ({"type": "array", "items": {"enum": ["a", "b"]}}, "SelectMultiple", ["a", "b"]),
        ({"type": "array", "items": {"type": "string"}}, "Text", None),
        ({"type": "object", "properties": {"a": {}}}, "Dropdown", ["not set", "custom"]),
        ({"type": "object"}, "Text", None),
        ({"anyOf": [{"enum": ["a"]}, {"type": "string"}]}, "Dropdown", ["not set", "a", "custom"]),
        (SIZE, "Dropdown", ["not set", "square", "wide", "custom"]),
        ({}, "Text", None),
        (True, "Text", None),
        ({"enum": ["", None, {"a": 1}]}, "Dropdown", ["not set", "(empty)", "null", '{"a": 1}']),
    ],
    ids=json.dumps,
)
def test_the_control_fits_the_schema(schema: Any, control: str, texts: list[str] | None) -> None:
    """Whatever is not changed is not sent."""
    field = make_field("some_name", schema)
    widget = field.controls[0]
    assert type(widget).__name__ == control and widget.description == "some name"
    if texts is not None:
        assert [text for text, _ in widget.options] == texts
    assert field.typed() is UNSET


@pytest.mark.parametrize(
    ("schema", "values"),
    [
        ({"enum": ["a", 1, "1", True, 1.5, None]}, ["a", 1, "1", True, 1.5, None]),
        ({"type": "string", "enum": ["1", "2"]}, ["1", "2"]),
        ({"type": "boolean", "default": True}, [False]),
        ({"type": "boolean"}, [True, False]),
        ({"type": "integer", "minimum": 1, "maximum": 4, "default": 1}, [2, 4]),
        ({"type": "number", "minimum": 0, "maximum": 1, "default": 0.5}, [0.25]),
        ({"type": "integer"}, [7, -(10**20)]),
        ({"type": "string"}, ["a dog", "7"]),
        ({"type": "array", "items": {"enum": ["a", 1, "1"]}}, [["a"], [1, "1"]]),
        (SIZE, ["square", {"width": 7}, {"width": 7, "fit": "1"}, {"fit": 1}]),
        ({"type": "object"}, [{"a": [1, None]}]),
    ],
    ids=json.dumps,
)
def test_a_field_returns_what_it_is_filled_with(schema: Any, values: list[Any]) -> None:
    """Read by the schema, it is the value, of the same type."""
    for value in values:
        first, second = make_field("x", schema), make_field("x", schema)
        first.fill(as_typed(value, schema))
        assert json.dumps(read_value(first.typed(), schema)) == json.dumps(value)
        second.fill(first.typed())
        assert json.dumps(second.typed()) == json.dumps(first.typed())


@pytest.mark.parametrize(
    ("schema", "sent"),
    [
        ({"type": "boolean", "default": True}, True),
        ({"type": "integer", "minimum": 1, "maximum": 4, "default": 2}, 2),
        ({"type": "integer", "default": 2}, 2),
        ({"type": "string", "default": "7"}, "7"),
        ({"enum": ["a", "1", 1], "default": "1"}, "1"),
        ({"type": "array", "items": {"enum": ["a", "b"]}, "default": ["b"]}, ["b"]),
        ({"type": "array", "default": [1, "1"]}, [1, "1"]),
        (SIZE | {"default": "wide"}, "wide"),
        (SIZE | {"default": {"width": 7}}, {"width": 7}),
    ],
    ids=json.dumps,
)
def test_a_required_parameter_is_sent_with_its_default(schema: Any, sent: object) -> None:
    """Else no request could have the default; but it is nothing that the user has changed."""
    field = make_field("x", schema, required=True)
    assert json.dumps(read_value(field.typed(), schema)) == json.dumps(sent)
    assert field.changed() is UNSET and "Required." in field._note.value


def test_the_required_parts_of_an_object_are_sent_with_their_defaults() -> None:
    """The numbers that the form shows are those that are sent."""
    side = {"type": "integer", "minimum": 64, "maximum": 4096, "default": 512}
    schema = {
        "type": "object",
        "properties": {"width": side, "depth": side},
        "required": ["width"],
    }
    field = make_field("size", schema)
    field.controls[0].value = 1
    assert field.typed() == {"width": 512}


def test_a_required_choice_without_default_asks_for_one() -> None:
    """Its first entry does not claim that nothing is needed."""
    field = make_field("x", {"enum": ["a", "b"]}, required=True)
    assert field.controls[0].options[0] == ("choose one", 0) and field.typed() is UNSET


def _hostile() -> Iterator[Any]:
    """Yield schemas as a Hub could send them."""
    nasty = "<img src=x onerror=alert(1)>$x$`{quit()}`"
    yield {"enum": [f"{nasty}{number}" for number in range(200)], "description": nasty * 10}
    yield {"enum": [{"a": nasty}, [nasty], None, True, 1e300]}
    yield {"type": "string", "description": nasty, "default": nasty}
    yield {"type": ["null"]}
    yield {"type": ["string", "integer", "null"], "enum": []}
    yield {"anyOf": [True, {}, {"type": "null"}, {"anyOf": [{"enum": [1]}]}]}
    yield {"type": "object", "properties": {nasty: {"enum": [nasty]}, "b": True, "": {}}}
    yield {"type": "object", "properties": {f"p{n}": {} for n in range(100)}}
    yield {"allOf": [{"enum": ["a"]}, {"type": "integer"}]}
    yield {"type": "integer", "minimum": 1e300, "maximum": 1e301, "default": 1e300}
    yield {"type": "array", "items": {"enum": [[1], [2]]}, "minItems": 9}


@pytest.mark.parametrize("schema", list(_hostile()), ids=range(11))
@pytest.mark.parametrize("name", ["<b>$x$</b>", "a b", "", "x" * 100])
def test_a_hostile_schema_gets_a_field_of_escaped_text(schema: Any, name: str) -> None:
    """No markup of the Hub's reaches HTML, nor a label, which ipywidgets 7 shows as HTML."""
    field = make_field(name, rebuild_schema(schema))
    for widget in widgets_of(field.box):
        html = str(getattr(widget, "value", "")) if type(widget).__name__ == "HTML" else ""
        label = getattr(widget, "description", "")
        assert "<img" not in html and "<b>" not in html and "$x$" not in html
        assert not set("<>&$`\\") & set(label) and len(label) <= 60
    field.fill("some text")
    field.typed()
    field.show_problems(["<b>wrong</b>"])
    assert "<b>wrong" not in field._note.value and "wrong" in field._note.value


def test_a_label_is_never_empty() -> None:
    """A parameter without a letter in its name has one, too."""
    assert label_of("$$$") == "parameter"


def test_problems_are_grouped_by_parameter() -> None:
    """In the words of `build_request`, with the user's name for each."""
    model = bundled_catalog().model("nano-banana-edit")
    body = read_parameters(model, {"seed": "abc", "num_images": "9", "sede": "1"})
    problems = problems_by_parameter(model, {"prompt": "a dog", **body}, label_of)
    assert set(problems) == {"sede", "image_urls", "num_images", "seed"}
    assert problems["num_images"] == ["num images must be at most 4 for nano-banana-edit (got 9)."]
    assert "is not a parameter" in problems["sede"][0]
    assert problems["image_urls"] == ["nano-banana-edit requires image urls."]
    (of_none,) = problems_by_parameter(model, {"prompt": "a dog", "num_images": 10**5000}).items()
    assert of_none[0] == "" and "too large, too deep or not a number" in of_none[1][0]


def test_an_enum_value_is_shown_but_not_its_markup() -> None:
    """As an entry of a list, which is text in every version."""
    field: Field = make_field("x", {"enum": ["<b>"]})
    assert [text for text, _ in field.controls[0].options] == ["not set", "<b>"]
