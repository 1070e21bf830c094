"""A journal entry, and its conversion to and from a row."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import pytest
from hub_server import data_uri, image

from mountsea_magic.hub.status import CLOSED
from mountsea_magic.images.files import GeneratedImage
from mountsea_magic.journal.entry import MAX_FILES, MAX_TEXT, SUBMISSION_TIMEOUT_S, Entry
from mountsea_magic.request.request import ImageRequest, build_request

HUB = "https://hub.example"
DOG = build_request("a dög\n“in two lines”", parameters={"seed": 7, "num_images": 2})
FILES = (
    GeneratedImage(
        Path("/originals/dög 1.png"), "png", 64, 48, "ab" * 32, "https://cdn.example/a?sig=1"
    ),
    GeneratedImage(Path("/originals/dog-2.jpg"), "jpeg", 48, 64, "cd" * 32),
)


def round_trip(entry: Entry) -> Entry:
    """Convert an entry to a row and back."""
    read = Entry.from_row(entry.row())
    assert read is not None
    return read


def test_a_new_submission_has_id_request_and_time() -> None:
    """Its status is `submitting`, and it has no task id yet."""
    before = time.time()
    entry = Entry.begin(HUB, DOG)
    assert (entry.hub, entry.task_id, entry.status) == (HUB, None, "submitting")
    assert (entry.model, entry.prompt) == ("nano-banana", DOG.prompt)
    assert dict(entry.input) == dict(DOG.input)
    assert entry.fingerprint == DOG.fingerprint()
    assert before <= entry.created == entry.updated <= time.time()
    assert entry.id != Entry.begin(HUB, DOG).id


def test_an_entry_of_a_task_id_alone_is_resumed() -> None:
    """Nothing else is known, and without a fingerprint no request reuses it."""
    entry = Entry.begin(HUB, task_id="hub-1")
    assert (entry.task_id, entry.status, entry.is_open) == ("hub-1", "resumed", True)
    assert (entry.model, entry.prompt, entry.fingerprint, entry.request) == ("", "", "", None)


def test_an_entry_is_frozen() -> None:
    """Changes need `replace`, so that none is left unwritten."""
    with pytest.raises(FrozenInstanceError):
        Entry.begin(HUB).status = "completed"  # type: ignore[misc]  # that is the point


@pytest.mark.parametrize(
    "entry",
    [
        Entry.begin(HUB, DOG),
        Entry.begin("demo:", task_id="hub-1"),
        replace(
            Entry.begin(HUB, DOG, task_id="hub-1"),
            status="completed",
            elapsed_s=3.25,
            error="it said “no”",
            description="two\nlines",
            idempotency_key="poster-42?sig=1",
            owner="a host 7",
            duration_s=2.5,
        ),
        replace(Entry.begin(HUB, build_request("a lone \\ud800 in words")), elapsed_s=0.0),
    ],
    ids=["new", "resumed", "completed", "backslash"],
)
def test_a_round_trip_preserves_every_attribute(entry: Entry) -> None:
    """With the same values and types."""
    assert round_trip(entry) == entry


def test_images_are_stored_without_their_url() -> None:
    """It is signed and expires; everything else is stored."""
    entry = replace(Entry.begin(HUB, DOG, task_id="hub-1"), files=FILES)
    assert "sig" not in repr(entry.row())
    assert round_trip(entry).files == tuple(replace(file, url=None) for file in FILES)


def test_a_row_has_types_that_sqlite_supports() -> None:
    """It has the attributes, the number of images and the text to search: text, number or None."""
    row = replace(Entry.begin(HUB, DOG), files=FILES).row()
    columns = ["state" if name == "status" else name for name in Entry.__slots__]
    assert list(row) == [*columns, "images", "searched"]
    assert all(value is None or isinstance(value, str | float | int) for value in row.values())


@pytest.mark.parametrize(
    ("name", "length"),
    [
        ("task_id", 10_000),
        ("idempotency_key", 10_000),
        *((name, MAX_TEXT) for name in ("status", "error", "description")),
    ],
)
def test_texts_of_the_hub_are_limited_and_valid_utf8(name: str, length: int) -> None:
    """A lone surrogate becomes `?`; long texts are truncated, but ids and keys are not."""
    changes: dict[str, Any] = {name: "a\ud800ö" + "x" * 9_997}
    entry = replace(Entry.begin(HUB), **changes)
    stored = getattr(round_trip(entry), name)
    assert stored == "a?ö" + "x" * (length - 3)
    assert stored.encode("utf-8")


def test_input_images_and_signed_urls_are_not_stored() -> None:
    """At any depth, a data URI is replaced by its digest, and a URL loses its query."""
    uri = data_uri(image())
    request = ImageRequest(
        "nano-banana-edit",
        {
            "prompt": "https://words.example/?q=stay data:too,stay",
            "image_urls": [uri, "https://cdn.example/in.png?X-Signature=s3cret#part"],
            "mask": {"url": "HTTP://cdn.example/mask.png?sig=s3cret"},
            "seed": 7,
        },
    )
    entry = Entry.begin(HUB, request)
    text = entry.row()["input"]
    assert "s3cret" not in text
    assert uri[40:80] not in text
    assert json.loads(text) == {
        "prompt": "https://words.example/?q=stay data:too,stay",
        "image_urls": [
            f"data:image/png;base64,sha256={hashlib.sha256(uri.encode()).hexdigest()}",
            "https://cdn.example/in.png?…",
        ],
        "mask": {"url": "HTTP://cdn.example/mask.png?…"},
        "seed": 7,
    }


def test_fingerprints_depend_on_the_content_of_input_images() -> None:
    """Two images of the same size have different fingerprints."""

    def fingerprint(number: int) -> str:
        urls = [data_uri(image(number=number))]
        request = build_request(
            "a hat", model="nano-banana-edit", parameters={"image_urls": urls, "seed": 1}
        )
        return Entry.begin(HUB, request).fingerprint

    assert fingerprint(1) == fingerprint(1) != fingerprint(2)


@pytest.mark.parametrize(
    ("changes", "is_open"),
    [
        ({}, True),
        ({"status": "processing"}, True),
        ({"status": "completed"}, True),
        ({"status": "an unknown status"}, True),
        ({"status": "completed", "files": FILES}, False),
        ({"status": "submitting", "task_id": None}, False),
        ({"status": "uncertain", "task_id": None}, False),
        *[({"status": status}, False) for status in CLOSED],
    ],
    ids=repr,
)
def test_an_open_task_may_still_produce_images(changes: dict[str, Any], is_open: bool) -> None:
    """A task without files is open until the Hub reports that there will be none."""
    assert replace(Entry.begin(HUB, DOG, task_id="hub-1"), **changes).is_open is is_open


@pytest.mark.parametrize(
    ("status", "age_s", "expected"),
    [
        ("submitting", 0.0, "submitting"),
        ("submitting", SUBMISSION_TIMEOUT_S - 1, "submitting"),
        ("submitting", SUBMISSION_TIMEOUT_S + 1, "uncertain"),
        ("submitted", SUBMISSION_TIMEOUT_S + 1, "submitted"),
        ("refused", SUBMISSION_TIMEOUT_S + 1, "refused"),
    ],
)
def test_a_submission_of_a_killed_kernel_becomes_uncertain(
    status: str, age_s: float, expected: str
) -> None:
    """After the timeout nobody waits for its response any more."""
    entry = replace(Entry.begin(HUB, DOG), status=status)
    assert entry.status_at(entry.updated + age_s) == expected


@pytest.mark.parametrize(
    ("given", "count"),
    [({}, 1), ({"num_images": 3}, 3), *(({"num_images": odd}, 1) for odd in ("3", -3, 1e9, None))],
    ids=repr,
)
def test_the_number_of_ordered_images_is_known(given: dict[str, Any], count: int) -> None:
    """One if it is not given; none of a task that was submitted elsewhere."""
    entry = replace(Entry.begin(HUB, DOG), input={"prompt": "a dog"} | given)
    assert entry.image_count == entry.row()["images"] == count
    assert Entry.begin(HUB, task_id="hub-1").row()["images"] == 0


def test_the_request_can_be_shown() -> None:
    """With model, prompt and parameters."""
    request = round_trip(Entry.begin(HUB, DOG)).request
    assert request is not None
    assert request.body() == DOG.body()


@pytest.mark.parametrize(
    "invalid",
    [
        {"input": "{"},
        {"input": "7"},
        {"input": None},
        {"files": "[{}]"},
        {"files": '[{"path": 7}]'},
        {"files": "null"},
        {"files": '[{"path": "a", "colour": "red"}]'},
        {"files": '{"path": "a"}'},
        {"files": "[[]]"},
        {"task_id": 7},
        {"idempotency_key": 7},
        {"owner": b"me"},
        {"state": b"completed"},
        {"hub": None},
        {"error": 7},
    ],
    ids=repr,
)
def test_an_invalid_row_is_none(invalid: dict[str, Any]) -> None:
    """Another program may have written it."""
    assert Entry.from_row(Entry.begin(HUB, DOG).row() | invalid) is None


def test_a_row_with_a_missing_column_is_none() -> None:
    """There are no default values."""
    row = Entry.begin(HUB, DOG).row()
    del row["state"]
    assert Entry.from_row(row) is None


@pytest.mark.parametrize(
    "changed",
    [
        {"format": "svg+xml"},
        {"format": "png; charset=utf-8"},
        {"format": "../../.bashrc"},
        {"format": "gif"},
        {"format": None},
        {"format": ["png"]},
        {"path": "originals/dog.png"},
        {"path": "/originals/dog\0.png"},
        {"width": 0},
        {"width": "64"},
        {"width": True},
        {"height": 1e400},
        {"height": 10**30},
        {"sha256": ""},
        {"sha256": None},
        {"sha256": "g" * 64},
    ],
    ids=repr,
)
def test_an_implausible_image_is_ignored(changed: dict[str, Any]) -> None:
    """Its format would become a media type; the task stays open and can be polled again."""
    row = replace(Entry.begin(HUB, DOG, task_id="hub-1"), status="completed", files=FILES).row()
    files = json.loads(row["files"])
    files[1] |= changed
    entry = Entry.from_row(row | {"files": json.dumps(files)})
    assert entry is not None
    assert (entry.files, entry.is_open) == ((), True)


@pytest.mark.parametrize("name", ["elapsed_s", "duration_s"])
@pytest.mark.parametrize("value", [1e400, -1, "ages", float("nan"), b"7"], ids=repr)
def test_an_implausible_duration_is_none(value: object, name: str) -> None:
    """It would be shown, and used for estimates."""
    entry = Entry.from_row(Entry.begin(HUB, DOG).row() | {name: value})
    assert entry is not None and getattr(entry, name) is None


def test_the_number_of_images_is_limited() -> None:
    """Each of them would be opened and shown."""
    row = Entry.begin(HUB, DOG, task_id="hub-1").row()
    files = json.loads(replace(Entry.begin(HUB), files=FILES[:1]).row()["files"]) * 10_000
    entry = Entry.from_row(row | {"files": json.dumps(files)})
    assert entry is not None and len(entry.files) == MAX_FILES
