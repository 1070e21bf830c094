"""Requests have only what was set, and are validated by the model's schema."""

from __future__ import annotations

import hashlib
import json
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from mountsea_magic.errors import InvalidRequest
from mountsea_magic.notebook.options import spell_option
from mountsea_magic.request.catalog import Catalog, Model
from mountsea_magic.request.request import (
    DEFAULT_MODEL,
    ImageRequest,
    build_request,
    problems_by_parameter,
)

MINIMAL_SCHEMA = {
    "type": "object",
    "properties": {"prompt": {"type": "string"}},
    "required": ["prompt"],
}
LIVE = Catalog(
    {
        "live": Model(
            "live",
            "Live",
            "",
            "text-to-image",
            "A model as described by a Hub.",
            "live",
            {
                **MINIMAL_SCHEMA,
                "properties": {
                    "prompt": {"type": "string"},
                    "seed": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
                    "size": {"anyOf": [{"enum": ["square", "wide"]}, {"type": "object"}]},
                },
            },
            {"prompt": "a dog"},
        )
    }
)


def refused(model: str = DEFAULT_MODEL, prompt: str = "a dog", **parameters: Any) -> str:
    """Return the error message for an invalid request."""
    with pytest.raises(InvalidRequest) as caught:
        build_request(prompt, model=model, parameters=parameters)
    return str(caught.value)


def test_only_parameters_that_were_set_are_sent() -> None:
    """The Hub applies the schema's defaults."""
    assert build_request("a dog").body() == {"model": "nano-banana", "input": {"prompt": "a dog"}}


def test_the_body_has_the_documented_shape() -> None:
    """Exactly `model` and `input`, which has the prompt and the parameters."""
    request = build_request("a dog", model="nano-banana-2", parameters={"resolution": "2K"})
    assert request.body() == {
        "model": "nano-banana-2",
        "input": {"prompt": "a dog", "resolution": "2K"},
    }


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("a dog", "a dog"),
        ("\n\n  \na dog\n\t\n", "a dog"),
        ("  a dog  ", "  a dog  "),
        ("a\n\n\ndog", "a\n\n\ndog"),
        ("Ein Köter 🐕 犬 כלב", "Ein Köter 🐕 犬 כלב"),
        ("{x} {{ y }} \\n %s", "{x} {{ y }} \\n %s"),
        ("a" * 10_000, "a" * 10_000),
    ],
)
def test_blank_lines_around_the_prompt_are_removed(typed: str, sent: str) -> None:
    """Nothing else is changed."""
    assert build_request(typed).prompt == sent


@pytest.mark.parametrize("prompt", ["", " ", "\n", " \n\t\n"])
def test_an_empty_prompt_is_refused(prompt: str) -> None:
    """It would be charged."""
    assert "The prompt is empty" in refused(prompt=prompt)


@pytest.mark.parametrize(
    ("model", "parameters", "sent"),
    [
        ("nano-banana", {"seed": "7"}, {"seed": 7}),
        ("nano-banana", {"seed": "-7"}, {"seed": -7}),
        ("nano-banana", {"seed": 0}, {"seed": 0}),
        ("nano-banana", {"num_images": "4"}, {"num_images": 4}),
        ("nano-banana", {"safety_tolerance": 6}, {"safety_tolerance": "6"}),
        ("nano-banana", {"safety_tolerance": "1"}, {"safety_tolerance": "1"}),
        ("nano-banana", {"sync_mode": "yes"}, {"sync_mode": True}),
        ("nano-banana", {"sync_mode": False}, {"sync_mode": False}),
        ("nano-banana-2", {"aspect_ratio": "8:1"}, {"aspect_ratio": "8:1"}),
        ("nano-banana-2", {"enable_web_search": "on"}, {"enable_web_search": True}),
        ("gpt-image-2", {"image_size": "square_hd"}, {"image_size": "square_hd"}),
        (
            "gpt-image-2",
            {"image_size": '{"width": 640, "height": 480}'},
            {"image_size": {"width": 640, "height": 480}},
        ),
        (
            "nano-banana-edit",
            {"image_urls": '["https://a.example/b.png"]'},
            {"image_urls": ["https://a.example/b.png"]},
        ),
        (
            "nano-banana-edit",
            {"image_urls": ["data:image/png;base64,AAAA"]},
            {"image_urls": ["data:image/png;base64,AAAA"]},
        ),
    ],
)
def test_parameters_are_converted_to_their_schemas_type(
    model: str, parameters: dict[str, Any], sent: dict[str, Any]
) -> None:
    """Such as text from a magic line."""
    request = build_request("a dog", model=model, parameters=parameters)
    assert request.body()["input"] == {"prompt": "a dog"} | sent
    assert json.loads(request.canonical()) == request.body()


@pytest.mark.parametrize(
    ("model", "parameters", "parts"),
    [
        ("nano-banana", {"num_images": 0}, ["num_images must be at least 1", "(got 0)"]),
        ("nano-banana", {"num_images": 5}, ["num_images must be at most 4", "(got 5)"]),
        (
            "nano-banana",
            {"num_images": "two"},
            ["num_images must be a whole number", "(got 'two')"],
        ),
        (
            "nano-banana",
            {"num_images": "1.5"},
            ["num_images must be a whole number", "(got '1.5')"],
        ),
        ("nano-banana", {"num_images": True}, ["num_images must be a whole number", "(got true)"]),
        ("nano-banana", {"seed": None}, ["seed must be a whole number", "(got null)"]),
        ("nano-banana", {"seed": float("nan")}, ["seed must be a whole number", "(got NaN)"]),
        ("nano-banana", {"seed": ""}, ["seed must be a whole number", "(got '')"]),
        ("nano-banana", {"aspect_ratio": "16:10"}, ["aspect_ratio", "(got '16:10')", "16:9?"]),
        (
            "nano-banana",
            {"aspect_ratio": "auto"},
            ["aspect_ratio must be one of 21:9", "(got 'auto')"],
        ),
        (
            "nano-banana",
            {"output_format": "jpg"},
            ["output_format", "(got 'jpg')", "Did you mean jpeg"],
        ),
        (
            "nano-banana",
            {"safety_tolerance": "7"},
            ["safety_tolerance", "(got '7')", "1, 2, 3, 4, 5, 6"],
        ),
        (
            "nano-banana",
            {"sync_mode": "maybe"},
            ["sync_mode must be true or false", "(got 'maybe')"],
        ),
        ("nano-banana", {"sed": 3}, ["sed is not a parameter of nano-banana", "mean seed?"]),
        ("nano-banana", {"resolution": "1K"}, ["resolution is not a parameter of nano-banana"]),
        ("nano-banana", {"prompt": "x"}, ["prompt: the prompt is the cell's body"]),
        ("nano-banana-pro", {"resolution": "0.5K"}, ["resolution", "(got '0.5K')", "1K, 2K, 4K"]),
        ("gpt-image-2", {"aspect_ratio": "1:1"}, ["aspect_ratio is not a parameter"]),
        (
            "gpt-image-2",
            {"image_size": "big"},
            ["image_size", "(got 'big')", "square_hd", "or an object"],
        ),
        ("gpt-image-2", {"image_size": '{"width": 0, "height": 1}'}, ["image_size"]),
        ("gpt-image-2", {"image_size": {"width": 5}}, ["image_size"]),
        ("nano-banana-edit", {}, ["nano-banana-edit requires image_urls."]),
        (
            "nano-banana-edit",
            {"image_urls": []},
            ["image_urls must have at least 1 item", "(got [])"],
        ),
        (
            "nano-banana-edit",
            {"image_urls": "a.png"},
            ["image_urls must be a list", "(got 'a.png')"],
        ),
        ("nano-banana-edit", {"image_urls": [1]}, ["image_urls must be text", "(got 1)"]),
        ("nano-banana", {"seed": b"7"}, ["seed", "a whole number"]),
        ("nano-banana", {"seed": "\x1b[31mx"}, ["seed must be a whole number", "(got '[31mx')"]),
        ("nano-banana", {"\x1b[31m": "x"}, ["[31m is not a parameter"]),
        ("nano-banan", {}, ["Unknown model 'nano-banan'. Did you mean nano-banana"]),
    ],
)
def test_the_message_has_parameter_value_and_expectation(
    model: str, parameters: dict[str, Any], parts: list[str]
) -> None:
    """It is one line, safe to print."""
    with pytest.raises(InvalidRequest) as caught:
        build_request("a dog", model=model, parameters=parameters)
    message = str(caught.value)
    for part in parts:
        assert part in message
    assert "\x1b" not in message
    assert len(message.splitlines()) == 1


def test_all_problems_are_reported_at_once() -> None:
    """One per line."""
    message = refused(num_images=9, aspect_ratio="7:5", sede=1).splitlines()
    assert len(message) == 3
    assert {line.split()[0] for line in message} == {"num_images", "aspect_ratio", "sede"}


def test_a_huge_invalid_value_is_shortened() -> None:
    """Such as the base64 of an image in the wrong parameter."""
    assert len(refused(seed="x" * 100_000)) < 200


@pytest.mark.parametrize(
    ("schema", "value", "words"),
    [
        ({"type": ["integer", "null"]}, "x", "must be a whole number for new (got 'x')."),
        ({"exclusiveMinimum": 0}, 0, "must be more than 0 for new (got 0)."),
        ({"exclusiveMaximum": 1.5}, 2, "must be less than 1.5 for new (got 2)."),
        ({"multipleOf": 5}, 7, "must be a multiple of 5 for new (got 7)."),
        ({"minLength": 3}, "x", "must have at least 3 characters for new (got 'x')."),
        ({"type": "string", "maxLength": 1}, "xx", "must have at most 1 character for new"),
        ({"minItems": 2}, [1], "must have at least 2 items for new (got [1])."),
        ({"maxItems": 1}, [1, 2], "must have at most 1 item for new (got [1, 2])."),
    ],
    ids=json.dumps,
)
def test_limits_of_the_schema_are_told_in_words(schema: Any, value: Any, words: str) -> None:
    """Not as the validator's text, which names keywords of JSON Schema."""
    rule = {"type": "object", "properties": {"prompt": {"type": "string"}, "size": schema}}
    model = Model("new", "New", "", "", "", "", rule, {})
    (message,) = problems_by_parameter(model, {"prompt": "a dog", "size": value})["size"]
    assert message.startswith(f"size {words}")


def test_the_message_uses_the_users_spelling() -> None:
    """On a magic line, parameters are options."""
    with pytest.raises(InvalidRequest) as caught:
        build_request("x", parameters={"num_images": 9, "resolutions": 1}, spell=spell_option)
    assert "--num-images must be at most 4" in str(caught.value)
    assert "-p resolutions is not" in str(caught.value)


@pytest.mark.parametrize(
    ("prompt", "parameters"),
    [("half a \ud83d dog", {}), ("a dog", {"image_urls": ["https://a.example/\ud83d"]})],
)
def test_a_lone_surrogate_is_refused(prompt: str, parameters: dict[str, Any]) -> None:
    """In the prompt or a parameter: UTF-8 can't encode it."""
    model = "nano-banana-edit" if parameters else DEFAULT_MODEL
    with pytest.raises(InvalidRequest, match="invalid Unicode character"):
        build_request(prompt, model=model, parameters=parameters)


def test_equal_requests_have_equal_canonical_text() -> None:
    """Independent of the order of parameters; Unicode is not escaped."""
    first = build_request("köpek", parameters={"seed": 7, "num_images": 2})
    second = build_request("köpek", parameters={"num_images": "2", "seed": "7"})
    assert first.canonical() == second.canonical()
    assert first.canonical() == (
        '{"input":{"num_images":2,"prompt":"köpek","seed":7},"model":"nano-banana"}'
    )


def edited(url: str) -> ImageRequest:
    """Build a request to edit an image."""
    return build_request("x", model="nano-banana-edit", parameters={"image_urls": [url]})


def test_equal_requests_have_equal_fingerprints() -> None:
    """The SHA-256 of the canonical text, the same in every process."""
    first = build_request("a dog", parameters={"seed": 7, "num_images": 2})
    second = build_request("\n\na dog\n", parameters={"num_images": "2", "seed": "7"})
    assert first.fingerprint() == second.fingerprint()
    assert first.fingerprint() == hashlib.sha256(first.canonical().encode()).hexdigest()


def test_different_requests_have_different_fingerprints() -> None:
    """By prompt, model, each parameter, and each byte of an input image."""
    requests = [
        build_request("a dog"),
        build_request("a dog "),
        build_request("A dog"),
        build_request("a dog", model="nano-banana-pro"),
        *(build_request("a dog", parameters={"seed": seed}) for seed in (0, 1, -1)),
        build_request("a dog", parameters={"num_images": 1}),
        *(edited(f"data:image/png;base64,iVBORw0{end}=") for end in "gh"),
        edited("https://a.example/dog.png"),
    ]
    assert len({request.fingerprint() for request in requests}) == len(requests)


@pytest.mark.parametrize(
    ("url", "recorded"),
    [
        ("https://a.example/dog.png", "https://a.example/dog.png"),
        ("https://a.example/dog.png?signature=s3cret", "https://a.example/dog.png?…"),
        ("HTTPS://a.example/dog.png?signature=s3cret\nmore", "HTTPS://a.example/dog.png?…"),
        ("https://a.example/dog.png#s3cret", "https://a.example/dog.png?…"),
    ],
)
def test_the_journaled_input_has_no_url_queries(url: str, recorded: str) -> None:
    """Queries may be signatures; the request itself keeps them."""
    request = edited(url)
    assert request.for_the_record() == {"prompt": "x", "image_urls": [recorded]}
    assert request.input["image_urls"] == [url]


def test_the_journaled_input_has_digests_of_images() -> None:
    """So that different images can be distinguished."""
    images = [f"data:image/png;base64,{'iVBORw0K' * 5000}{end}=" for end in "gh"]
    records = [str(edited(image).for_the_record()) for image in images]
    assert len(set(records)) == 2
    assert all("data:image/png;base64,sha256=" in record for record in records)
    assert all(len(record) < 200 for record in records)


def test_the_journaled_input_has_the_unchanged_prompt() -> None:
    """Including URLs in it."""
    request = build_request("as in https://a.example/?q=1", parameters={"seed": 7})
    assert request.for_the_record() == request.input


@pytest.mark.parametrize(("parameters", "count"), [({}, 1), ({"num_images": "3"}, 3)])
def test_image_count(parameters: dict[str, Any], count: int) -> None:
    """One by default."""
    assert build_request("x", parameters=parameters).image_count == count


def test_a_request_is_frozen_and_its_body_is_a_copy() -> None:
    """So what was validated is what is sent."""
    request = build_request("a dog")
    request.body()["input"]["seed"] = "wrong"
    request.body()["model"] = "wrong"
    assert request == ImageRequest("nano-banana", {"prompt": "a dog"})
    with pytest.raises(FrozenInstanceError):
        request.model = "gpt-image-2"  # type: ignore[misc]  # that is the point


def test_the_callers_parameters_are_not_modified() -> None:
    """Values are converted in a copy."""
    parameters = {"seed": "7"}
    build_request("x", parameters=parameters)
    assert parameters == {"seed": "7"}


def test_a_custom_catalog_is_used_for_validation() -> None:
    """Its models have their own schemas."""
    schema = {"type": "object", "properties": {"prompt": {}, "mood": {"enum": ["calm", "wild"]}}}
    own = Catalog({"m": Model("m", "M", "V", "text-to-image", "s", "neighbour", schema, {})})
    request = build_request("x", model="m", parameters={"mood": "calm"}, catalog=own)
    assert request.input == {"prompt": "x", "mood": "calm"}
    with pytest.raises(InvalidRequest, match="Did you mean wild"):
        build_request("x", model="m", parameters={"mood": "wid"}, catalog=own)
    with pytest.raises(InvalidRequest, match="Unknown model"):
        build_request("x", model="nano-banana", catalog=own)


def test_null_is_left_out_of_the_message() -> None:
    """Live schemas usually have optional parameters as `anyOf` with null."""
    with pytest.raises(
        InvalidRequest, match=r"^seed must be a whole number for live \(got 'abc'\)\.$"
    ):
        build_request("a dog", model="live", parameters={"seed": "abc"}, catalog=LIVE)
    with pytest.raises(InvalidRequest, match="must be one of square, wide, or an object for live"):
        build_request("a dog", model="live", parameters={"size": "long"}, catalog=LIVE)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), {1, 2}, object(), 1j])
def test_values_that_are_not_json_are_refused(value: object) -> None:
    """Even if the schema does not mention the parameter."""
    with pytest.raises(InvalidRequest):
        build_request("a dog", model="live", parameters={"free": value}, catalog=LIVE)


def test_a_numpy_array_is_not_an_integer() -> None:
    """It has `__index__`, which raises; a numpy integer is accepted."""
    numpy = pytest.importorskip("numpy")
    with pytest.raises(InvalidRequest, match="whole number"):
        build_request("a dog", parameters={"seed": numpy.array([1, 2])})
    assert build_request("a dog", parameters={"seed": numpy.int64(7)}).input["seed"] == 7


def test_an_invalid_num_images_counts_as_one() -> None:
    """A live model without a schema for it accepts any value."""
    request = build_request("a dog", model="live", parameters={"num_images": "x"}, catalog=LIVE)
    assert request.image_count == 1
