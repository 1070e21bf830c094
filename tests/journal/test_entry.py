"""An entry: what is known of an order, and how it comes through a row of the journal."""

from __future__ import annotations

import hashlib
import json
import time
from dataclasses import FrozenInstanceError, replace
from pathlib import Path
from typing import Any

import pytest
from hub_server import data_uri, image

from mountsea_magic.images.files import GeneratedImage
from mountsea_magic.journal.entry import CLOSED, MAX_FILES, MAX_TEXT, SUBMISSION_TIMEOUT_S, Entry
from mountsea_magic.request.request import ImageRequest, build_request

HUB = "https://hub.example"
DOG = build_request("a dög\n“in two lines”", parameters={"seed": 7, "num_images": 2})
FILES = (
    GeneratedImage(
        Path("/originals/dög 1.png"), "png", 64, 48, "ab" * 32, "https://cdn.example/a?sig=1"
    ),
    GeneratedImage(Path("/originals/dog-2.jpg"), "jpeg", 48, 64, "cd" * 32),
)


def through_a_row(entry: Entry) -> Entry:
    """Write an entry as a row and read it back."""
    read = Entry.from_row(entry.row())
    assert read is not None
    return read


def test_an_order_begins_as_submitting_with_all_that_is_known() -> None:
    """Before it is sent it has a name of its own, its request and its time, but no task."""
    before = time.time()
    entry = Entry.begin(HUB, DOG)
    assert (entry.hub, entry.task_id, entry.state) == (HUB, None, "submitting")
    assert (entry.model, entry.prompt) == ("nano-banana", DOG.prompt)
    assert dict(entry.input) == dict(DOG.input)
    assert entry.fingerprint == DOG.fingerprint()
    assert before <= entry.created == entry.updated <= time.time()
    assert entry.id != Entry.begin(HUB, DOG).id


def test_a_task_that_someone_else_ordered_begins_as_resumed() -> None:
    """By its id alone nothing else is known of it, and it can never answer a request."""
    entry = Entry.begin(HUB, task_id="hub-1")
    assert (entry.task_id, entry.state, entry.is_open) == ("hub-1", "resumed", True)
    assert (entry.model, entry.prompt, entry.fingerprint, entry.request) == ("", "", "", None)


def test_an_entry_is_frozen() -> None:
    """What was written down does not change behind the journal's back."""
    with pytest.raises(FrozenInstanceError):
        Entry.begin(HUB).state = "completed"  # type: ignore[misc]  # that is the point


@pytest.mark.parametrize(
    "entry",
    [
        Entry.begin(HUB, DOG),
        Entry.begin("demo:", task_id="hub-1"),
        replace(
            Entry.begin(HUB, DOG, task_id="hub-1"),
            state="completed",
            elapsed_s=3.25,
            error="it said “no”",
            description="two\nlines",
        ),
        replace(Entry.begin(HUB, build_request("a lone \\ud800 in words")), elapsed_s=0.0),
    ],
    ids=["new", "resumed", "completed", "backslash"],
)
def test_a_row_gives_back_what_was_written(entry: Entry) -> None:
    """Every attribute comes back as it was, of the same type."""
    assert through_a_row(entry) == entry


def test_images_are_kept_by_path_and_hash_without_their_address() -> None:
    """An image's URL is signed and expires: it is the one thing that is not written down."""
    entry = replace(Entry.begin(HUB, DOG, task_id="hub-1"), files=FILES)
    assert "sig" not in repr(entry.row())
    assert through_a_row(entry).files == tuple(replace(file, url=None) for file in FILES)


def test_a_row_holds_columns_that_sqlite_can_bear() -> None:
    """A row names exactly the attributes, each as a text, a number or nothing."""
    row = replace(Entry.begin(HUB, DOG), files=FILES).row()
    assert list(row) == list(Entry.__slots__)
    assert all(value is None or isinstance(value, str | float) for value in row.values())


@pytest.mark.parametrize(
    ("name", "length"),
    [("task_id", 10_000), *((name, MAX_TEXT) for name in ("state", "error", "description"))],
)
def test_text_from_outside_is_bounded_and_whole_characters(name: str, length: int) -> None:
    """Half a character becomes a question mark; a novel keeps its beginning, an id its end too."""
    said: dict[str, Any] = {name: "a\ud800ö" + "x" * 9_997}
    entry = replace(Entry.begin(HUB), **said)
    kept = getattr(through_a_row(entry), name)
    assert kept == "a?ö" + "x" * (length - 3)
    assert kept.encode("utf-8")


def test_input_images_and_signed_addresses_are_not_written_down() -> None:
    """A data URI becomes its digest and an address loses its query, however deep they stand."""
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


def test_input_images_count_by_content() -> None:
    """Two images of one size have two fingerprints, one image has one."""

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
        ({"state": "processing"}, True),
        ({"state": "completed"}, True),
        ({"state": "a word that nobody knows"}, True),
        ({"state": "completed", "files": FILES}, False),
        ({"state": "submitting", "task_id": None}, False),
        ({"state": "uncertain", "task_id": None}, False),
        *[({"state": state}, False) for state in CLOSED],
    ],
    ids=repr,
)
def test_open_is_what_may_still_bring_images(changes: dict[str, Any], is_open: bool) -> None:
    """A task without its files is open until the Hub has said that there will be none."""
    assert replace(Entry.begin(HUB, DOG, task_id="hub-1"), **changes).is_open is is_open


@pytest.mark.parametrize(
    ("state", "age_s", "said"),
    [
        ("submitting", 0.0, "submitting"),
        ("submitting", SUBMISSION_TIMEOUT_S - 1, "submitting"),
        ("submitting", SUBMISSION_TIMEOUT_S + 1, "uncertain"),
        ("submitted", SUBMISSION_TIMEOUT_S + 1, "submitted"),
        ("refused", SUBMISSION_TIMEOUT_S + 1, "refused"),
    ],
)
def test_an_order_whose_kernel_was_killed_becomes_uncertain(
    state: str, age_s: float, said: str
) -> None:
    """Nobody waits for its answer any more: what became of it is not known."""
    entry = replace(Entry.begin(HUB, DOG), state=state)
    assert entry.state_at(entry.updated + age_s) == said


def test_the_request_is_there_to_be_shown() -> None:
    """Model, prompt and parameters come back from the journal."""
    request = through_a_row(Entry.begin(HUB, DOG)).request
    assert request is not None
    assert request.body() == DOG.body()


@pytest.mark.parametrize(
    "broken",
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
        {"state": b"completed"},
        {"hub": None},
        {"error": 7},
    ],
    ids=repr,
)
def test_a_row_that_makes_no_sense_is_no_entry(broken: dict[str, Any]) -> None:
    """What something else wrote into the file stops nobody."""
    assert Entry.from_row(Entry.begin(HUB, DOG).row() | broken) is None


def test_a_row_without_a_column_is_no_entry() -> None:
    """A column that is missing is not guessed."""
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
def test_an_image_that_can_not_be_ours_is_none(changed: dict[str, Any]) -> None:
    """Its format would become a media type; the task is asked again, and nothing paid for twice."""
    row = replace(Entry.begin(HUB, DOG, task_id="hub-1"), state="completed", files=FILES).row()
    files = json.loads(row["files"])
    files[1] |= changed
    entry = Entry.from_row(row | {"files": json.dumps(files)})
    assert entry is not None
    assert (entry.files, entry.is_open) == ((), True)


@pytest.mark.parametrize("value", [1e400, -1, "ages", float("nan"), b"7"], ids=repr)
def test_a_duration_that_makes_no_sense_is_none(value: object) -> None:
    """It would be shown, and taken for what such tasks take."""
    entry = Entry.from_row(Entry.begin(HUB, DOG).row() | {"elapsed_s": value})
    assert entry is not None and entry.elapsed_s is None


def test_a_row_with_very_many_images_is_cut() -> None:
    """Each is opened and shown; no model makes so many."""
    row = Entry.begin(HUB, DOG, task_id="hub-1").row()
    files = json.loads(replace(Entry.begin(HUB), files=FILES[:1]).row()["files"]) * 10_000
    entry = Entry.from_row(row | {"files": json.dumps(files)})
    assert entry is not None and len(entry.files) == MAX_FILES
