"""`mountsea_magic.history`: generations of the journal as an immutable sequence."""

from __future__ import annotations

import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import mountsea_magic as mm
from mountsea_magic.errors import InvalidRequest, MountseaError, SubmissionUncertain, TaskFailed
from mountsea_magic.generation.batch import Batch
from mountsea_magic.generation.history import History, history_of, line_of
from mountsea_magic.hub.status import Status
from mountsea_magic.images.files import GeneratedImage
from mountsea_magic.journal.entry import SUBMISSION_TIMEOUT_S, Entry
from mountsea_magic.journal.journal import Journal
from mountsea_magic.request.request import build_request
from mountsea_magic.session import Session
from mountsea_magic.settings import DEMO_URL

HUB = "https://hub.example"
FILES = tuple(
    GeneratedImage(Path(f"/originals/dog-{n}.png"), "png", 64, 48, f"{n:064x}") for n in range(2)
)


def entry_of(prompt: str, age_s: float = 0.0, *, hub: str = HUB, **changes: Any) -> Entry:
    """Return an entry that was submitted some time ago."""
    when = time.time() - age_s
    entry = Entry.begin(hub, build_request(prompt, parameters={"seed": 7}))
    return replace(entry, **({"created": when, "updated": when} | changes))


ENTRIES = (
    entry_of("a dog", 1, task_id="hub-1", status="completed", files=FILES, elapsed_s=2.5),
    entry_of("a cat", 2, task_id="hub-2", status="failed", error="no cats"),
    entry_of("a cow", SUBMISSION_TIMEOUT_S + 5),
    entry_of("a hen", 200, status="refused", error="no hens", idempotency_key="hen-1"),
    entry_of("a fox", 300, hub=DEMO_URL, task_id="hub-5", status="queued"),
    replace(Entry.begin(HUB, task_id="hub-6"), created=time.time() - 400),
)


@pytest.fixture
def past(here: Session, home: Path) -> History:
    """The history of a journal with some submissions."""
    journal = Journal(home / "journal.sqlite")
    for entry in ENTRIES:
        journal.write(replace(entry, idempotency_key=None))
    return mm.history()


def test_generations_are_rebuilt_newest_first(past: History) -> None:
    """With request, task, status, images and error, as far as the journal knows them."""
    assert [each.prompt for each in past] == ["a dog", "a cat", "a cow", "a hen", "a fox", ""]
    assert [each.status for each in past] == [
        *("completed", "failed", "uncertain", "refused", "queued", "resumed"),
    ]
    dog, cat, cow, hen, fox, resumed = past
    assert dog.task_id == "hub-1" and dog.images == FILES and dog.elapsed_s == 2.5
    assert dog.request == build_request("a dog", parameters={"seed": 7})
    assert dog.from_journal and dog.error is None and dog.done() and dog.wait() is dog
    assert isinstance(cat.error, TaskFailed) and str(cat.error) == "no cats"
    assert cat.error.task_id == "hub-2" and not cat.from_journal
    assert cow.error is None and cow.task_id is None
    assert type(hen.error) is MountseaError
    assert fox.is_demo and not dog.is_demo
    assert resumed.request is None and resumed.task_id == "hub-6"


def test_an_uncertain_submission_has_its_error_and_key() -> None:
    """The type of the error says that it may have been charged."""
    entry = entry_of("a hen", status=Status.UNCERTAIN, error="cut", idempotency_key="hen-1")
    (hen,) = history_of([entry])
    assert isinstance(hen.error, SubmissionUncertain) and hen.idempotency_key == "hen-1"


def test_it_is_a_sequence_that_can_not_be_changed(past: History) -> None:
    """A slice is a history, too."""
    assert len(past) == 6 and past[-1] is past[5] and past[0] in past
    assert isinstance(past[1:3], History) and list(past[1:3]) == [past[1], past[2]]
    assert [each.task_id for each in past[::-1][:2]] == ["hub-6", "hub-5"]
    assert past.index(past[2]) == 2 and not past[:0]
    assert repr(past) == "<History 6 submissions>" and repr(past[:1]) == "<History 1 submission>"
    with pytest.raises(IndexError):
        past[6]
    for change in ("past[0] = None", "del past[0]", "past.items = ()", "past.append(None)"):
        with pytest.raises((TypeError, AttributeError)):
            exec(change, {"past": past})


def test_text_and_limit_select(past: History) -> None:
    """As in `%mountsea history`."""
    assert [each.prompt for each in mm.history("CA")] == ["a cat"]
    assert [each.prompt for each in mm.history("hub.example", limit=2)] == ["a dog", "a cat"]
    assert len(mm.history(limit=10**30)) == 6 and len(mm.history("no such")) == 0


@pytest.mark.parametrize("limit", [0, -1, 2.0, "5", True, None, float("nan")])
def test_a_limit_that_is_no_count_is_refused(past: History, limit: Any) -> None:
    """With its value."""
    with pytest.raises(InvalidRequest, match="limit must be a whole number from 1"):
        mm.history(limit=limit)


def test_a_text_that_is_no_string_is_refused(past: History) -> None:
    """Such as a limit that was given without its name."""
    with pytest.raises(InvalidRequest, match="text must be a string"):
        mm.history(5)  # type: ignore[arg-type]  # that is the mistake


def test_an_unreadable_journal_is_reported(here: Session, home: Path) -> None:
    """As a warning; the history is empty."""
    home.mkdir()
    (home / "journal.sqlite").mkdir()
    with pytest.warns(RuntimeWarning, match="journal"):
        assert len(mm.history()) == 0


def test_it_is_a_table_with_the_columns_of_a_batch(past: History) -> None:
    """And with the time of the submission."""
    pytest.importorskip("pandas")
    table, batch = past.to_pandas(), Batch(list(past)).to_pandas()
    assert [name for name in table.columns if name != "submitted"] == list(batch.columns)
    assert list(table.columns[:3]) == ["prompt", "model", "submitted"]
    assert table["submitted"][0] == datetime.fromtimestamp(ENTRIES[0].created, UTC)
    assert str(table["submitted"].dtype).startswith("datetime64") and table["seed"][0] == 7
    assert table["status"].tolist()[2] == "uncertain" and len(table["files"][0]) == 2
    assert len(past[:0].to_pandas()) == 0 and past[2:3].to_pandas()["prompt"].tolist() == ["a cow"]


def test_its_text_has_a_line_for_each(past: History) -> None:
    """As the command in a terminal."""
    lines = str(past).splitlines()
    assert lines == [line_of(item) for item in past.items]
    assert lines[0].endswith("completed  nano-banana  hub-1  2 images  “a dog”")
    assert lines[2].endswith("uncertain  nano-banana  no task  “a cow”")
    assert lines[4].endswith("queued  nano-banana  hub-5  demo  “a fox”")
    assert str(past[:0]) == "<History 0 submissions>"


def test_in_a_terminal_it_shows_lines(past: History, capsys: pytest.CaptureFixture[str]) -> None:
    """And in plain Python."""
    past[:2]._ipython_display_()
    assert capsys.readouterr().out == f"{past[:2]}\n"
