"""The journal: reads and writes by several kernels, and problems that stop nothing."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hang import HANG_S
from hub_server import KEY, StandInHub, data_uri, image, json_reply
from own_session import begin_session

from mountsea_magic import generate
from mountsea_magic.errors import MountseaError
from mountsea_magic.hub.status import CLOSED
from mountsea_magic.images.files import GeneratedImage
from mountsea_magic.journal import journal as journal_module
from mountsea_magic.journal.database import JournalError
from mountsea_magic.journal.entry import Entry
from mountsea_magic.journal.journal import WEEK_S, Journal, JournaledSubmission
from mountsea_magic.request.request import build_request

HUB, OTHER = "https://hub.example", "https://other.example"
FILES = (GeneratedImage(Path("/originals/dog.png"), "png", 64, 48, "ab" * 32),)


@pytest.fixture
def path(home: Path) -> Path:
    """The path of the journal."""
    return home / "journal.sqlite"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandInHub]:
    """A stand-in Hub that `generate` uses, with a session of its own."""
    fresh = begin_session(monkeypatch)
    with StandInHub(images=[image()]) as stand_in:
        monkeypatch.setenv("MOUNTSEA_BASE_URL", stand_in.url)
        monkeypatch.setenv("MOUNTSEA_API_KEY", KEY)
        yield stand_in
        fresh.worker.run(fresh.clients.aclose())


def make_entry(
    prompt: str = "a dog", *, hub: str = HUB, age_s: float = 0.0, seed: int = 1, **changes: Any
) -> Entry:
    """Return the entry of a request that was submitted some time ago."""
    when = time.time() - age_s
    entry = Entry.begin(hub, build_request(prompt, parameters={"seed": seed}))
    return replace(entry, **({"created": when, "updated": when} | changes))


def journal_with(path: Path, *entries: Entry) -> Journal:
    """Write entries, and return another journal object for the same file."""
    for entry in entries:
        Journal(path).write(entry)
    return Journal(path)


def rows(path: Path) -> list[dict[str, Any]]:
    """Read the rows without the package."""
    with closing(sqlite3.connect(path)) as db:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute("SELECT * FROM orders ORDER BY created")]


def journal_bytes(home: Path) -> bytes:
    """Return all bytes of the journal and of SQLite's files beside it."""
    return b"".join(file.read_bytes() for file in home.glob("journal*"))


def test_an_entry_is_found_by_another_kernel(path: Path) -> None:
    """It is found by its task id, with all attributes."""
    entry = make_entry(task_id="hub-1", status="completed", files=FILES, elapsed_s=2.5)
    assert journal_with(path, entry).find("hub-1") == entry
    assert Journal(path).find("hub-2") is None


def test_find_prefers_the_given_hub(path: Path) -> None:
    """Two Hubs may assign the same id: the given Hub takes precedence over the newer entry."""
    here = make_entry(task_id="1", age_s=60)
    there = make_entry(task_id="1", hub=OTHER)
    journal = journal_with(path, here, there)
    assert journal.find("1", hub=HUB) == here
    assert (
        journal.find("1", hub=OTHER) == journal.find("1") == journal.find("1", hub="demo:") == there
    )


def test_writing_an_entry_again_updates_its_row(path: Path) -> None:
    """Each status replaces the previous one."""
    entry = make_entry()
    for status in ("submitting", "submitted", "processing"):
        Journal(path).write(replace(entry, status=status, task_id="hub-1"))
    assert [(row["id"], row["state"]) for row in rows(path)] == [(entry.id, "processing")]


def test_a_stale_entry_does_not_overwrite_images(path: Path) -> None:
    """A kernel may still poll a task whose images another kernel has downloaded."""
    entry = make_entry(task_id="hub-1", status="processing")
    done = replace(entry, status="completed", files=FILES)
    journal = journal_with(path, entry, done, entry, replace(entry, status="failed"))
    assert journal.find("hub-1") == done
    again = replace(done, files=(replace(FILES[0], path=Path("/originals/dog-2.png")),))
    assert journal_with(path, again).find("hub-1") == again


def test_open_entries_may_still_produce_images(path: Path) -> None:
    """Oldest first, of all Hubs; without those that have ended, have files or have no task."""
    new = make_entry(task_id="hub-3", status="processing")
    old = make_entry(task_id="hub-1", status="completed", age_s=100, hub=OTHER)
    closed = [make_entry(task_id=f"x-{status}", status=status) for status in CLOSED]
    files = make_entry(task_id="hub-2", status="completed", files=FILES)
    without_task = [
        make_entry(status=status) for status in ("submitting", "uncertain", "refused", "unsent")
    ]
    assert journal_with(path, new, old, *closed, files, *without_task).open_entries() == [old, new]


def test_submissions_without_a_response_are_listed_for_a_week(path: Path) -> None:
    """Oldest first: those that the Hub may or may not have accepted."""
    uncertain = make_entry(status="uncertain", age_s=60)
    pending = make_entry(status="submitting")
    others = [
        make_entry(status="uncertain", age_s=WEEK_S + 60),
        make_entry(status="refused"),
        make_entry(status="unsent"),
        make_entry(status="submitted", task_id="hub-1"),
    ]
    assert journal_with(path, pending, uncertain, *others).unanswered() == [uncertain, pending]


@pytest.mark.parametrize(
    ("where", "index"),
    [
        (journal_module._IDENTICAL, "orders_by_fingerprint (fingerprint=?)"),
        (journal_module._of_task("hub-1", HUB)[0], "orders_by_task (task_id=?)"),
        ("hub = ? AND idempotency_key = ?", "orders_by_key (hub=? AND idempotency_key=?)"),
    ],
)
def test_a_look_up_reads_no_row_that_it_does_not_find(path: Path, where: str, index: str) -> None:
    """SQLite has several indexes to choose from, and a journal can have many rows."""
    journal = Journal(path)
    journal.write(make_entry())
    with closing(sqlite3.connect(path)) as db:
        statement = f"EXPLAIN QUERY PLAN SELECT * FROM orders WHERE {where}"
        plan = [row[3] for row in db.execute(statement, ("a", "b"))]
    assert plan[0] == f"SEARCH orders USING INDEX {index}"


def test_find_identical_returns_completed_requests_at_the_same_hub(path: Path) -> None:
    """Newest first; without those of another Hub, another input, or without files."""
    done: dict[str, Any] = {"status": "completed", "files": FILES}
    older = make_entry(task_id="hub-1", age_s=120, **done)
    newer = make_entry(task_id="hub-2", age_s=60, **done)
    others = [
        older,
        make_entry(task_id="hub-3"),
        make_entry(task_id="hub-4", hub="demo:", **done),
        make_entry(task_id="hub-5", seed=2, **done),
        make_entry("a cat", task_id="hub-6", **done),
    ]
    journal = journal_with(path, newer, *others)
    assert journal.find_identical(HUB, newer.fingerprint) == [newer, older]
    assert journal.find_identical(OTHER, newer.fingerprint) == []
    assert journal.find_identical(HUB, newer.fingerprint[:-1]) == []


OTHER_WORKLOADS: list[dict[str, Any]] = [
    {"num_images": 4},
    {"resolution": "4K"},
    {"image_size": {"width": 2048, "height": 2048}},
    {"quality": "high"},
    {"thinking_level": "high"},
]
"""Parameters with which a task takes longer or shorter."""


def test_durations_are_those_of_similar_tasks(path: Path) -> None:
    """Newest first: the task's own duration where it is known, else how long the user waited."""
    entries = [
        make_entry(elapsed_s=9.0, duration_s=2.0, age_s=1),
        make_entry("a cat", elapsed_s=3.0, age_s=2),
        make_entry(duration_s=4.0, age_s=3),
        make_entry(age_s=4),
        make_entry(elapsed_s=5.0, hub=OTHER),
        make_entry(elapsed_s=6.0, model="another"),
        *(make_entry(elapsed_s=7.0, input={"prompt": "dogs", **each}) for each in OTHER_WORKLOADS),
        make_entry(elapsed_s=8.0, duration_s=0.0),
    ]
    journal = journal_with(path, *entries)
    request = build_request("a dog")
    assert journal.durations(HUB, request) == [2.0, 3.0, 4.0]
    assert asyncio.run(journal.adurations(HUB, request)) == [2.0, 3.0, 4.0]


def test_coroutines_read_the_same(path: Path) -> None:
    """On the journal's thread; without a journal, nothing."""
    done = make_entry(task_id="hub-1", status="completed", files=FILES)
    journal = journal_with(path, done)

    async def work() -> None:
        assert await journal.afind("hub-1", hub=HUB) == done
        assert await journal.afind("hub-2") is None
        assert await journal.afind_identical(HUB, done.fingerprint) == [done]
        assert await journal.afind_identical(OTHER, done.fingerprint) == []

    asyncio.run(work())
    assert journal.trouble() == []


ODD = (
    "50%",
    "a_b",
    "x[y]*?",
    "it's",
    'say "hi"',
    "semi;--",
    "back\\slash",
    "STRASSE",
    "ünïcödé 🐕",
)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", set(ODD)),
        ("%", {"50%"}),
        ("_", {"a_b"}),
        ("[y]*", {"x[y]*?"}),
        ("?", {"x[y]*?"}),
        ("'", {"it's"}),
        ('"', {'say "hi"'}),
        (";--", {"semi;--"}),
        ("\\", {"back\\slash"}),
        ("straße", {"STRASSE"}),
        ("ÜNÏCÖDÉ", {"ünïcödé 🐕"}),
        ("🐕", {"ünïcödé 🐕"}),
        ("nothing like it", set()),
        ("\x00", set()),
        ("\ud800", set()),
    ],
)
def test_search_text_is_literal(path: Path, text: str, found: set[str]) -> None:
    """No character is a wildcard or ends the statement; case is ignored in any script."""
    entries = journal_with(path, *(make_entry(prompt) for prompt in ODD)).search(text)
    assert {entry.prompt for entry in entries} == found


@pytest.mark.parametrize("text", ["a dog", "hub-77", "NANO-BANANA", "complet", "hub.example"])
def test_search_covers_all_visible_attributes(path: Path, text: str) -> None:
    """Prompt, task id, model, status and Hub."""
    entry = make_entry(task_id="hub-77", status="completed")
    assert journal_with(path, entry).search(text) == [entry]


def test_search_returns_the_newest_matches_up_to_the_limit(path: Path) -> None:
    """Even if other entries are in between."""
    entries = [make_entry(f"{kind} {n}", age_s=n) for n in range(9) for kind in ("dog", "cat")]
    found = journal_with(path, *reversed(entries)).search("dog", limit=3)
    assert [entry.prompt for entry in found] == ["dog 0", "dog 1", "dog 2"]


@pytest.mark.parametrize("change", ["files = '{'", "input = '['", "created = 'x'", "updated = x''"])
def test_an_invalid_row_is_skipped(path: Path, change: str) -> None:
    """Without a warning: another program may write to the file."""
    good = make_entry(task_id="hub-1")
    journal = journal_with(path, make_entry(task_id="hub-2"), good)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(f"UPDATE orders SET {change} WHERE task_id = 'hub-2'")
    assert journal.search() == journal.open_entries() == [good]
    assert journal.find("hub-2") is None
    assert journal.trouble() == []


def test_invalid_utf8_hides_no_row(path: Path) -> None:
    """Invalid bytes are read as replacement characters."""
    good = make_entry(task_id="hub-1", age_s=60)
    journal = journal_with(path, make_entry("a cat", task_id="hub-2", error="no"), good)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE orders SET error = CAST(x'ff41' AS TEXT) WHERE task_id = 'hub-2'")
    bad, other = journal.search()
    assert (bad.task_id, bad.prompt, bad.error) == ("hub-2", "a cat", "\ufffdA")
    assert other == good
    assert journal.trouble() == []


def test_a_submission_is_written_only_if_it_has_changed(path: Path) -> None:
    """Its row exists before the POST; an unchanged entry is not written again."""
    entry = make_entry()
    record = JournaledSubmission(Journal(path), entry)

    async def work() -> None:
        await record.claim()
        assert [row["state"] for row in rows(path)] == ["submitting"]
        await record.update(status="submitted", task_id="hub-1")
        (before,) = rows(path)
        await record.update(status="submitted")
        assert rows(path) == [before]
        await record.update(status="processing")

    asyncio.run(work())
    (row,) = rows(path)
    assert (row["id"], row["state"], row["task_id"]) == (entry.id, "processing", "hub-1")
    assert row["created"] == entry.created < row["updated"] == record.entry.updated


def test_save_waits_for_another_writer(path: Path) -> None:
    """A short lock by another kernel delays the row, without a warning."""
    journal = journal_with(path, make_entry(task_id="hub-1"))

    async def work() -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            saving = asyncio.ensure_future(journal.save(make_entry(task_id="hub-2")))
            with pytest.raises(JournalError, match="locked"):
                journal.write(make_entry(task_id="hub-3"))
            await asyncio.sleep(0.1)
            assert not saving.done()
            other.execute("ROLLBACK")
            await saving

    asyncio.run(work())
    assert {row["task_id"] for row in rows(path)} == {"hub-1", "hub-2"}
    assert journal.trouble() == []


@pytest.fixture
def locked(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[sqlite3.Connection]:
    """A journal that another connection has locked, with short timeouts."""
    monkeypatch.setattr(journal_module, "LOCK_TIMEOUT_S", 0.2)
    monkeypatch.setattr(journal_module, "SHORT_LOCK_TIMEOUT_S", 0.05)
    journal_with(path, make_entry(task_id="hub-1"))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield other


def test_save_gives_up_on_a_locked_journal_with_one_warning(
    path: Path, locked: sqlite3.Connection
) -> None:
    """It names the file and the reason; after the lock is released, entries are written again."""
    journal = Journal(path)

    async def work() -> None:
        for number in range(3):
            await journal.save(make_entry(task_id=f"lost-{number}"))
        (message,) = journal.trouble()
        assert str(path) in message and "locked" in message
        assert journal.trouble() == []
        locked.execute("ROLLBACK")
        await journal.save(make_entry(task_id="hub-2"))

    asyncio.run(work())
    assert {row["task_id"] for row in rows(path)} == {"hub-1", "hub-2"}
    assert journal.trouble() == []


def test_a_locked_journal_does_not_stop_a_generation(
    hub: StandInHub, locked: sqlite3.Connection
) -> None:
    """One POST, the images, and one warning for all failed writes."""
    with pytest.warns(RuntimeWarning, match="locked") as warned:
        dog = generate("a dog", seed=7)
    assert len(hub.posts) == 1
    assert dog[0].bytes == image()
    assert len(warned) == 1


@pytest.mark.parametrize("what", ["a file in the folder's place", "a folder in the file's place"])
def test_an_unusable_journal_is_empty(home: Path, what: str) -> None:
    """Reading returns nothing, writing does nothing, and there is one warning."""
    if what.startswith("a file"):
        home.write_text("mine")
    else:
        (home / "journal.sqlite").mkdir(parents=True)
    journal = Journal(home / "journal.sqlite")
    for _ in range(2):
        assert journal.find("hub-1") is None and journal.find_identical(HUB, "x") == []
        assert journal.open_entries() == journal.unanswered() == journal.search("a") == []
        assert asyncio.run(journal.afind("hub-1")) is None
        asyncio.run(journal.save(make_entry()))
    (message,) = journal.trouble()
    assert str(home / "journal.sqlite") in message


def test_a_damaged_journal_leads_to_one_warning_with_the_new_name(path: Path) -> None:
    """Reading or writing detects the damage; the new file works at once."""
    journal = journal_with(path, make_entry(task_id="hub-1"))
    path.write_bytes(bytes(path.stat().st_size))
    assert journal.open_entries() == []
    asyncio.run(journal.save(make_entry(task_id="hub-2")))
    (message,) = journal.trouble()
    (aside,) = path.parent.glob("journal.damaged-*")
    assert aside.name in message
    assert [row["task_id"] for row in rows(path)] == ["hub-2"]


def test_a_lone_surrogate_is_replaced(path: Path) -> None:
    """JSON from the Hub may contain one, which UTF-8 can't encode."""
    entry = make_entry(
        task_id="hub-\ud800", error="\udfff!", description="\ud83d", status="do\udc00ne"
    )
    journal = Journal(path)
    asyncio.run(journal.save(entry))
    (row,) = rows(path)
    assert (row["task_id"], row["error"], row["description"]) == ("hub-?", "?!", "?")
    for task_id in ("hub-?", "hub-\ud800"):
        found = journal.find(task_id)
        assert found is not None and found.id == entry.id
    assert journal.trouble() == []


@pytest.mark.parametrize("ending", ["completed", "refused", "no image"])
def test_the_file_contains_no_key_image_or_signature(
    home: Path, hub: StandInHub, ending: str
) -> None:
    """Whatever the outcome, and even if the Hub echoes the key."""
    inner = data_uri(image(number=3))
    urls = [inner, "https://cdn.example/in.png?X-Amz-Signature=s3cret-query"]
    if ending == "refused":
        response = {"detail": [{"loc": ["input"], "msg": f"bad key {KEY}", "input": inner}]}
        hub.submits.append(json_reply(response, 422))
    if ending == "no image":
        hub.downloads.extend([json_reply({"message": KEY}, 500)] * 9)
    with nullcontext() if ending == "completed" else pytest.raises(MountseaError):
        generate("a hat", model="nano-banana-edit", image_urls=urls)
    content = journal_bytes(home)
    assert b"a hat" in content
    for secret in (KEY, "s3cret-query", inner[30:60], inner[-40:-10]):
        assert secret.encode() not in content


MANY = """
import asyncio, sys
from mountsea_magic import agenerate

async def work():
    name, count = sys.argv[1], int(sys.argv[2])
    print("ready", flush=True)
    sys.stdin.readline()
    done = await asyncio.gather(*(agenerate(f"{name} {n}") for n in range(count)))
    print(*sorted(one.task_id for one in done))

asyncio.run(work())
"""


def test_two_processes_with_many_generations_lose_no_row(path: Path, hub: StandInHub) -> None:
    """All at once on one journal: no warning, one POST and one completed row for each."""
    count = 200
    started = [
        subprocess.Popen(
            [sys.executable, "-c", MANY, name, str(count)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for name in ("dog", "cat")
    ]
    for process in started:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    deadline = time.monotonic() + HANG_S
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    ended = [process.communicate(timeout=deadline - time.monotonic()) for process in started]
    assert len(hub.posts) == 2 * count
    assert [stderr for _, stderr in ended] == ["", ""]
    assert sorted(" ".join(stdout for stdout, _ in ended).split()) == sorted(hub.task_ids)
    found = Journal(path).search(limit=3 * count)
    assert sorted(entry.task_id or "" for entry in found) == sorted(hub.task_ids)
    assert {entry.status for entry in found} == {"completed"}
    assert all(image.is_intact() for entry in found for image in entry.files)
    assert {entry.prompt for entry in found} == {
        f"{name} {number}" for name in ("dog", "cat") for number in range(count)
    }
