"""Bounded JSON: the same values as `json.loads`, unless they need too much memory."""

from __future__ import annotations

import base64
import json
import random
import tracemalloc
from typing import Any

import pytest

from mountsea_magic.hub import bounded_json
from mountsea_magic.hub.bounded_json import JsonBody
from mountsea_magic.settings import Secret

KEY = Secret("sk-mountsea-0123456789abcdef")
IMAGE = "data:image/png;base64," + base64.b64encode(bytes(range(256)) * 30).decode()


def read(content: bytes, step: int = 1 << 16, *, max_inline_bytes: int = 1 << 20) -> JsonBody:
    """Parse a body in pieces of ``step`` bytes."""
    body = JsonBody(max_inline_bytes=max_inline_bytes, key=KEY)
    for at in range(0, len(content), step):
        body.feed(content[at : at + step])
    body.finish()
    return body


def value_of(content: bytes, step: int = 1 << 16) -> Any:
    """Parse a body and put its images back."""
    body = read(content, step)
    assert body.is_json
    return body.with_images(body.value)


@pytest.mark.parametrize("step", [1, 3, 1 << 16])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_ordinary_json_is_parsed_like_json_loads(encoding: str, step: int) -> None:
    """With escapes, nesting and pieces of any size."""
    value = {
        'a"\\': ["\\", '"', '\\\\"', "é🐶\n", "", {"": [[], {}, None, True, 1.5, -3, 10**30]}],
        "data:": "data:image/png;base64,AAAA",
        "description": "many words, " * 350,
    }
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False, indent=2)):
        assert value_of(text.encode(encoding), step) == value


@pytest.mark.parametrize(
    "data",
    [
        {"images": [{"url": IMAGE, "width": 1}, {"url": IMAGE + "AAAA"}], "description": "🐶"},
        {"images": [IMAGE, "https://a.example/b.png", IMAGE + "AAAA"]},
        {"image": {"b64_json": IMAGE.partition(",")[2]}},
        {"image": {"b64": f" {IMAGE.partition(',')[2]}\n"}},
        {"output": IMAGE},
        IMAGE,
    ],
    ids=["url", "list", "b64_json", "b64", "output", "bare"],
)
@pytest.mark.parametrize("step", [997, 1 << 16])
def test_inline_images_are_put_back_in_every_shape(data: Any, step: int) -> None:
    """Also with the escapes of PHP and .NET."""
    text = json.dumps({"status": "completed", "data": data})
    for escaped in (text, text.replace("/", "\\/"), text.replace("+", "\\u002B")):
        assert value_of(escaped.encode(), step) == {"status": "completed", "data": data}


@pytest.mark.parametrize(
    "data",
    [
        {"images": [IMAGE[:4000], IMAGE[:3900], {"width": 1}, IMAGE * 9]},
        {"images": [{"url": "https://cdn.example/" + "a" * 5000}, {"url": IMAGE}, IMAGE]},
        {"url": IMAGE, "input": {"prompt": [IMAGE[:99]]}, "images": [[IMAGE]]},
    ],
)
def test_images_in_a_list_have_the_name_of_the_list(data: Any) -> None:
    """Whatever is between the name and the image."""
    body = read(json.dumps({"data": data}).encode())
    assert body.with_images(body.value) == {"data": data}


@pytest.mark.parametrize(
    ("text", "begins"), [("A" * 5000, "AAAA"), ("data: none " * 999, "data: ")]
)
def test_the_beginning_of_a_text_that_looks_like_an_image_is_kept(text: str, begins: str) -> None:
    """An error message may be anything."""
    body = read(json.dumps({"error_message": text}).encode())
    assert body.with_images(body.value)["error_message"].startswith(begins)


def test_images_are_in_memory_once_even_beside_an_emoji() -> None:
    """In one string with an emoji, each character would take four bytes."""
    image = "data:image/png;base64," + "A" * (1 << 20)
    body = JsonBody(max_inline_bytes=64 << 20)
    content = json.dumps({"data": {"images": [image] * 4, "a": "🐶"}}, ensure_ascii=False).encode()
    pieces = [content[at : at + 65536] for at in range(0, len(content), 65536)]
    tracemalloc.start()
    try:
        for piece in pieces:
            body.feed(piece)
        body.finish()
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert body.with_images(body.value)["data"]["images"] == [image] * 4
    assert peak < 1.6 * len(content)


def test_images_of_an_echoed_input_are_dropped() -> None:
    """They take no memory; the rest is parsed."""
    echo = {"input": {"image_urls": [IMAGE * 9], "mask": IMAGE}, "status": "pending"}
    body = read(json.dumps(echo).encode())
    assert body.value["status"] == "pending"
    assert len(json.dumps(body.with_images(body.value))) < 400


def test_a_string_with_the_key_is_not_an_image() -> None:
    """It stays in the text, which is redacted later."""
    text = f"{IMAGE}{KEY.reveal()}"
    body = read(json.dumps({"data": text}).encode())
    assert body.value == {"data": text}


@pytest.mark.parametrize(
    "unit",
    [b"[],", b"1234567,", b'{"a":1},', b'"abc",', b'"', b"1", b" ", b'" ', b"[", b'{"a":', b'"a"'],
)
def test_too_many_values_are_rejected_before_parsing(
    unit: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Small as text, large as objects: they take neither memory nor time."""
    monkeypatch.setattr(bounded_json, "MAX_TOKENS", 10_000)
    monkeypatch.setattr(bounded_json, "MAX_TEXT_BYTES", 100_000)
    body, fed = JsonBody(max_inline_bytes=384 << 20), 0
    body.feed(b'{"status": "pending", "a": [')
    piece = unit * (4096 // len(unit))
    while not body.problem and fed < 1 << 20:
        body.feed(piece)
        fed += len(piece)
    body.finish()
    assert body.problem
    assert body.value is None
    assert fed <= 110_000


@pytest.mark.parametrize("opening", [b"[", b'{"a":'])
def test_deep_nesting_is_rejected(opening: bytes) -> None:
    """So that later code can walk values recursively."""
    assert "nested" in read(opening * 300).problem
    assert value_of(b"[" * 190 + b"]" * 190)


def test_a_long_string_that_is_not_an_image_is_rejected() -> None:
    """Besides images a response has a few megabytes of text at most."""
    body = JsonBody(max_inline_bytes=384 << 20)
    body.feed(b'{"data": "not an image: ')
    for _ in range(100):
        body.feed(b"x" * 65536)
    assert "too large" in body.problem


def test_images_over_the_limits_are_rejected(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limits for one image, and for all of them."""
    content = json.dumps({"data": [IMAGE] * 4}).encode()
    assert "too large" in read(content, max_inline_bytes=3 * len(IMAGE)).problem
    assert not read(content, max_inline_bytes=5 * len(IMAGE)).problem
    monkeypatch.setattr(bounded_json, "MAX_INLINE_BYTES", 8192)
    assert "too large" in read(content, step=1000).problem


@pytest.mark.parametrize(
    ("content", "task_id"),
    [
        (b'{"task_id": "hub-1", "a": "' + b" " * (5 << 20) + b'"}', "hub-1"),
        (b'{"a": [' + b"[]," * 134_000 + b'0], "data": {"taskId": "hub-2"}}', "hub-2"),
        (b'{"a": [' + b"[]," * 134_000 + b'0], "taskId": 17, "task_id": "17"}', "17"),
        (b"[" * 999 + b'{"task_id":"hub-4"}', "hub-4"),
        (b'{"task_id": "a", "last": {"task_id": "b"}, "c": [' + b"1," * 500_000, None),
        (b'{"message": "\\"task_id\\": \\"a\\"", "c": [' + b"1," * 500_000, None),
    ],
    ids=["before", "after", "number", "deep", "two", "quoted"],
)
def test_the_task_id_is_found_in_a_body_that_is_too_large(
    content: bytes, task_id: str | None
) -> None:
    """The task may be charged; two different ids are ambiguous, so neither is used."""
    body = read(content, step=60_000 + random.Random(7).randrange(99))
    assert body.problem
    assert body.task_id == task_id
