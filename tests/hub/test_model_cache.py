"""The model cache on disk: one file per Hub with its date, and harmless when damaged."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from mountsea_magic.hub.model_cache import MAX_FILE_BYTES, MAX_MODELS, LiveModels, load, save
from mountsea_magic.request.catalog import Model, bundled_catalog

HUB = "https://hub.example"
MODEL = replace(bundled_catalog().model("nano-banana"), id="ü/1", name="Ü", mark="live")


def saved(folder: Path) -> Path:
    """Save one model and return the file."""
    save(folder, LiveModels(HUB, 1_000_000.5, {MODEL.id: MODEL}, ("ü/1", "b")))
    (path,) = folder.iterdir()
    return path


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    """Models, order of the list and date; the folder is created."""
    saved(tmp_path / "a" / "b")
    live = load(tmp_path / "a" / "b", HUB)
    assert live == LiveModels(HUB, 1_000_000.5, {MODEL.id: MODEL}, ("ü/1", "b"))


def test_each_hub_has_its_own_file(tmp_path: Path) -> None:
    """Hubs have different models."""
    saved(tmp_path)
    other = LiveModels("https://other.example", 5.0, {})
    save(tmp_path, other)
    assert load(tmp_path, other.hub) == other
    assert set(load(tmp_path, HUB).models) == {"ü/1"}
    assert load(tmp_path, "https://third.example") == LiveModels("https://third.example", 0.0, {})


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"\x00" * 500,
        b"\xff\xfe",
        b"null",
        b"[]",
        b"7",
        b"{}",
        b'{"date": "x", "models": [], "listed": []}',
        b'{"date": 1, "models": [{}], "listed": []}',
        b'{"date": 1, "models": [7], "listed": []}',
        b'{"date": 1, "models": {"a": 1}, "listed": []}',
        b'{"date": 1, "models": [], "listed": 7}',
        b'{"date": 1, "models": [{"id": "a", "surprise": 1}], "listed": []}',
        b"[" * 200_000,
    ],
    ids=lambda content: str(content[:40]),
)
def test_a_damaged_file_counts_as_empty(tmp_path: Path, content: bytes) -> None:
    """The bundled models remain."""
    saved(tmp_path).write_bytes(content)
    live = load(tmp_path, HUB)
    assert live == LiveModels(HUB, 0.0, {})
    assert set(live.catalog().models) == set(bundled_catalog().models)


@pytest.mark.parametrize("field", ["input_schema", "example", "name", "mode", "id"])
def test_a_field_of_the_wrong_type_raises_nothing(tmp_path: Path, field: str) -> None:
    """A file of another version can still be listed."""
    path = saved(tmp_path)
    content = json.loads(path.read_text("utf-8"))
    content["models"][0][field] = 7
    path.write_text(json.dumps(content), "utf-8")
    for model in load(tmp_path, HUB).catalog():
        assert isinstance(dict(model.parameters), dict)
        assert model.image_parameter in (None, "image_urls")


def test_a_folder_that_cannot_be_written_is_ignored(tmp_path: Path) -> None:
    """A file with its name is left alone, and nothing is raised."""
    (tmp_path / "models").write_text("mine")
    save(tmp_path / "models", LiveModels(HUB, 1.0, {}))
    assert (tmp_path / "models").read_text() == "mine"
    assert load(tmp_path / "models", HUB).date == 0.0


def test_a_failed_save_leaves_no_temporary_file(tmp_path: Path) -> None:
    """A folder with the file's name can't be replaced."""
    path = saved(tmp_path)
    path.unlink()
    path.mkdir()
    save(tmp_path, LiveModels(HUB, 7.0, {}))
    assert list(tmp_path.iterdir()) == [path]


def test_saving_again_replaces_the_whole_file(tmp_path: Path) -> None:
    """No temporary file remains."""
    saved(tmp_path)
    save(tmp_path, LiveModels(HUB, 7.0, {}))
    assert load(tmp_path, HUB) == LiveModels(HUB, 7.0, {})
    assert len(list(tmp_path.iterdir())) == 1


def test_live_models_replace_bundled_ones_with_the_same_id() -> None:
    """The other bundled models remain."""
    live = replace(MODEL, id="nano-banana")
    catalog = LiveModels(HUB, 1.0, {"nano-banana": live, "new": replace(MODEL, id="new")}).catalog()
    assert catalog.model("nano-banana") is live
    assert set(catalog.models) == {*bundled_catalog().models, "new"}


def test_updates_are_added_and_dated() -> None:
    """A newer model replaces an older one; without a new list the old one stays."""
    first = LiveModels(HUB, 0.0, {"a": MODEL}, ("a",))
    newer: dict[str, Model] = {"a": replace(MODEL, name="newer"), "b": MODEL}
    before = time.time()
    second = first.updated(newer)
    assert second.date >= before
    assert (second.models, second.listed) == (newer, ("a",))
    assert second.updated({}, ("b",)).listed == ("b",)
    assert first.models == {"a": MODEL}


UNSAFE = [
    {"pattern": "^(a+)+$"},
    {"$ref": "http://127.0.0.1:1/schema.json"},
    {"$ref": "#/properties/a"},
    {"anyOf": [{}] * 5_000},
    {"enum": ["x" * 100_000]},
    {"multipleOf": 0},
    {"minimum": 10**400},
]


@pytest.mark.parametrize("unsafe", UNSAFE, ids=lambda schema: str(schema)[:40])
def test_a_schema_that_an_older_version_saved_is_validated_again(
    tmp_path: Path, unsafe: dict[str, object]
) -> None:
    """It is corrected or left out, the others stay, and the file is rewritten without it."""
    path = saved(tmp_path)
    content = json.loads(path.read_text("utf-8"))
    entry = json.loads(json.dumps(content["models"][0])) | {"id": "unsafe"}
    entry["input_schema"]["properties"]["a"] = unsafe
    content["models"].append(entry)
    path.write_text(json.dumps(content), "utf-8")
    live = load(tmp_path, HUB)
    assert live.models["ü/1"] == MODEL and live.date == 1_000_000.5
    text = path.read_text("utf-8")
    (name,) = unsafe
    assert f'"{name}": {json.dumps(unsafe[name])}' not in text
    assert load(tmp_path, HUB) == live and path.read_text("utf-8") == text


@pytest.mark.parametrize(
    "content",
    [
        b'{"date": NaN, "models": [], "listed": []}',
        b'{"date": 1e400, "models": [], "listed": []}',
        b'{"date": 1e300, "models": [], "listed": []}',
        b'{"date": 1' + b"0" * 400 + b', "models": [], "listed": []}',
        b'{"date": 1' + b"0" * 5000 + b', "models": [], "listed": []}',
        b'{"date": -1, "models": [], "listed": []}',
        b'{"date": true, "models": [], "listed": []}',
        b'{"date": 1, "models": [], "listed": [7]}',
        b'{"date": 1, "models": [], "listed": "abc"}',
        b'{"date": 1, "models": [], "listed": []}' + b" " * MAX_FILE_BYTES,
        b"[" * 1_000_000,
    ],
    ids=lambda content: str(content[:40]),
)
def test_an_invalid_file_is_ignored_and_rewritten(tmp_path: Path, content: bytes) -> None:
    """An invalid date or list, or a file that is larger than we would write."""
    path = saved(tmp_path)
    path.write_bytes(content)
    assert load(tmp_path, HUB) == LiveModels(HUB, 0.0, {})
    assert json.loads(path.read_bytes())["models"] == []


def test_the_number_of_models_is_limited() -> None:
    """For a Hub that lists other models each time; the newest ones are kept."""
    live = LiveModels(HUB, 0.0, {"old": MODEL, "refreshed": MODEL})
    news = {f"m{number}": MODEL for number in range(MAX_MODELS - 1)}
    live = live.updated(news | {"refreshed": MODEL})
    assert len(live.models) == MAX_MODELS
    assert "old" not in live.models and "refreshed" in live.models


def test_a_file_that_would_be_too_large_is_not_written(tmp_path: Path) -> None:
    """The old file remains."""
    path = saved(tmp_path)
    before = path.read_bytes()
    model = replace(MODEL, summary="x" * MAX_FILE_BYTES)
    save(tmp_path, LiveModels(HUB, 1.0, {"a": model}))
    assert path.read_bytes() == before
