"""The live catalogue on disk: kept per Hub with its date, and harmless when damaged."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from pathlib import Path

import pytest

from mountsea_magic.catalog import Model, bundled_catalog
from mountsea_magic.catalog_file import LiveModels, load, save

HUB = "https://hub.example"
MODEL = replace(bundled_catalog().model("nano-banana"), id="ü/1", name="Ü", mark="live")


def kept(folder: Path) -> Path:
    """Save one model, and return the file."""
    save(folder, LiveModels(HUB, 1_000_000.5, {MODEL.id: MODEL}, ("ü/1", "b")))
    (path,) = folder.iterdir()
    return path


def test_what_is_saved_is_loaded(tmp_path: Path) -> None:
    """Models, order of the list, and date; the folder is made."""
    kept(tmp_path / "a" / "b")
    live = load(tmp_path / "a" / "b", HUB)
    assert live == LiveModels(HUB, 1_000_000.5, {MODEL.id: MODEL}, ("ü/1", "b"))


def test_each_hub_has_its_own_file(tmp_path: Path) -> None:
    """What one Hub offers, another need not."""
    kept(tmp_path)
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
def test_a_damaged_file_says_nothing(tmp_path: Path, content: bytes) -> None:
    """The bundled models are there whatever happens to the file."""
    kept(tmp_path).write_bytes(content)
    live = load(tmp_path, HUB)
    assert live == LiveModels(HUB, 0.0, {})
    assert set(live.catalog().models) == set(bundled_catalog().models)


@pytest.mark.parametrize("field", ["input_schema", "example", "name", "mode", "id"])
def test_a_file_with_a_field_of_the_wrong_type_breaks_no_cell(tmp_path: Path, field: str) -> None:
    """A catalogue that another version wrote can still be listed."""
    path = kept(tmp_path)
    content = json.loads(path.read_text("utf-8"))
    content["models"][0][field] = 7
    path.write_text(json.dumps(content), "utf-8")
    for model in load(tmp_path, HUB).catalog():
        assert isinstance(dict(model.parameters), dict)
        assert model.picture_parameter in (None, "image_urls")


def test_a_folder_that_cannot_be_written_to_is_no_reason_to_stop(tmp_path: Path) -> None:
    """A file in its place is left alone, and nothing is raised."""
    (tmp_path / "models").write_text("mine")
    save(tmp_path / "models", LiveModels(HUB, 1.0, {}))
    assert (tmp_path / "models").read_text() == "mine"
    assert load(tmp_path / "models", HUB).date == 0.0


def test_a_save_that_fails_leaves_no_part_behind(tmp_path: Path) -> None:
    """Something is in the file's place that can't be replaced."""
    path = kept(tmp_path)
    path.unlink()
    path.mkdir()
    save(tmp_path, LiveModels(HUB, 7.0, {}))
    assert list(tmp_path.iterdir()) == [path]


def test_saving_again_replaces_the_whole_file(tmp_path: Path) -> None:
    """No part stays behind."""
    kept(tmp_path)
    save(tmp_path, LiveModels(HUB, 7.0, {}))
    assert load(tmp_path, HUB) == LiveModels(HUB, 7.0, {})
    assert len(list(tmp_path.iterdir())) == 1


def test_live_models_stand_in_place_of_their_namesakes() -> None:
    """And beside those that only the bundled catalogue has."""
    live = replace(MODEL, id="nano-banana")
    catalog = LiveModels(HUB, 1.0, {"nano-banana": live, "new": replace(MODEL, id="new")}).catalog()
    assert catalog.model("nano-banana") is live
    assert set(catalog.models) == {*bundled_catalog().models, "new"}


def test_what_is_learned_is_added_and_dated() -> None:
    """A later answer replaces an earlier one; a list that was not asked for stays."""
    first = LiveModels(HUB, 0.0, {"a": MODEL}, ("a",))
    newer: dict[str, Model] = {"a": replace(MODEL, name="newer"), "b": MODEL}
    before = time.time()
    second = first.learned(newer)
    assert second.date >= before
    assert (second.models, second.listed) == (newer, ("a",))
    assert second.learned({}, ("b",)).listed == ("b",)
    assert first.models == {"a": MODEL}
