"""The journal: every order is in it, whatever other kernels do; its trouble stops nothing."""

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
from hub_server import KEY, StandInHub, data_uri, image, json_reply
from own_session import begin_session

from mountsea_magic import generate
from mountsea_magic.errors import MountseaError
from mountsea_magic.images.files import GeneratedImage
from mountsea_magic.journal import journal
from mountsea_magic.journal.database import JournalError
from mountsea_magic.journal.entry import CLOSED, Entry
from mountsea_magic.journal.journal import WEEK_S, Journal, JournaledSubmission
from mountsea_magic.request.request import build_request

HUB, OTHER = "https://hub.example", "https://other.example"
FILES = (GeneratedImage(Path("/originals/dog.png"), "png", 64, 48, "ab" * 32),)


@pytest.fixture
def path(home: Path) -> Path:
    """Where the journal is."""
    return home / "journal.sqlite"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandInHub]:
    """A stand-in Hub that `generate` reaches, from a session of its own."""
    fresh = begin_session(monkeypatch)
    with StandInHub(images=[image()]) as stand_in:
        monkeypatch.setenv("MOUNTSEA_BASE_URL", stand_in.url)
        monkeypatch.setenv("MOUNTSEA_API_KEY", KEY)
        yield stand_in
        fresh.worker.run(fresh.clients.aclose())


def made(
    prompt: str = "a dog", *, hub: str = HUB, age_s: float = 0.0, seed: int = 1, **changes: Any
) -> Entry:
    """Make the entry of an order that was placed some time ago."""
    when = time.time() - age_s
    entry = Entry.begin(hub, build_request(prompt, parameters={"seed": seed}))
    return replace(entry, **({"created": when, "updated": when} | changes))


def written(path: Path, *entries: Entry) -> Journal:
    """Write entries down, and return a journal that has not read any of them."""
    for entry in entries:
        Journal(path).write(entry)
    return Journal(path)


def rows(path: Path) -> list[dict[str, Any]]:
    """Read what is in the file behind the package's back."""
    with closing(sqlite3.connect(path)) as db:
        db.row_factory = sqlite3.Row
        return [dict(row) for row in db.execute("SELECT * FROM orders ORDER BY created")]


def in_the_files(home: Path) -> bytes:
    """Return all bytes of the journal and of the files beside it."""
    return b"".join(file.read_bytes() for file in home.glob("journal*"))


def test_what_one_kernel_writes_another_one_finds(path: Path) -> None:
    """An entry comes back whole, by its task."""
    entry = made(task_id="hub-1", state="completed", files=FILES, elapsed_s=2.5)
    assert written(path, entry).find("hub-1") == entry
    assert Journal(path).find("hub-2") is None


def test_a_task_is_found_at_its_own_hub_first(path: Path) -> None:
    """Two Hubs may give the same id: the Hub at hand goes before the newer entry."""
    here = made(task_id="1", age_s=60)
    there = made(task_id="1", hub=OTHER)
    found = written(path, here, there)
    assert found.find("1", hub=HUB) == here
    assert found.find("1", hub=OTHER) == found.find("1") == found.find("1", hub="demo:") == there


def test_an_entry_changes_and_is_not_doubled(path: Path) -> None:
    """Each state takes the place of the one before."""
    entry = made()
    for state in ("submitting", "submitted", "processing"):
        Journal(path).write(replace(entry, state=state, task_id="hub-1"))
    assert [(row["id"], row["state"]) for row in rows(path)] == [(entry.id, "processing")]


def test_a_stale_entry_does_not_take_the_images_away(path: Path) -> None:
    """A kernel that still polls what another one has fetched leaves its files in the journal."""
    entry = made(task_id="hub-1", state="processing")
    done = replace(entry, state="completed", files=FILES)
    found = written(path, entry, done, entry, replace(entry, state="failed"))
    assert found.find("hub-1") == done
    again = replace(done, files=(replace(FILES[0], path=Path("/originals/dog-2.png")),))
    assert written(path, again).find("hub-1") == again


def test_open_is_what_may_still_bring_images(path: Path) -> None:
    """Oldest first, of all Hubs; without what is ended, has its files, or never had a task."""
    new = made(task_id="hub-3", state="processing")
    old = made(task_id="hub-1", state="completed", age_s=100, hub=OTHER)
    closed = [made(task_id=f"x-{state}", state=state) for state in CLOSED]
    files = made(task_id="hub-2", state="completed", files=FILES)
    orders = [made(state=state) for state in ("submitting", "uncertain", "refused", "unsent")]
    assert written(path, new, old, *closed, files, *orders).open_entries() == [old, new]


def test_unanswered_orders_are_told_for_a_week(path: Path) -> None:
    """Oldest first: those of which nobody knows if the Hub has taken them."""
    uncertain = made(state="uncertain", age_s=60)
    on_its_way = made(state="submitting")
    others = [
        made(state="uncertain", age_s=WEEK_S + 60),
        made(state="refused"),
        made(state="unsent"),
        made(state="submitted", task_id="hub-1"),
    ]
    assert written(path, on_its_way, uncertain, *others).unanswered() == [uncertain, on_its_way]


def test_a_twin_is_an_equal_request_at_the_same_hub_with_its_images(path: Path) -> None:
    """All of them, newest first; another Hub, model or input, or no files, is no twin."""
    done: dict[str, Any] = {"state": "completed", "files": FILES}
    older = made(task_id="hub-1", age_s=120, **done)
    twin = made(task_id="hub-2", age_s=60, **done)
    others = [
        older,
        made(task_id="hub-3"),
        made(task_id="hub-4", hub="demo:", **done),
        made(task_id="hub-5", seed=2, **done),
        made("a cat", task_id="hub-6", **done),
    ]
    found = written(path, twin, *others)
    assert found.find_identical(HUB, twin.fingerprint) == [twin, older]
    assert found.find_identical(OTHER, twin.fingerprint) == []
    assert found.find_identical(HUB, twin.fingerprint[:-1]) == []


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
def test_a_search_takes_the_text_literally(path: Path, text: str, found: set[str]) -> None:
    """No character is a wildcard or ends the statement; case does not matter in any script."""
    entries = written(path, *(made(prompt) for prompt in ODD)).search(text)
    assert {entry.prompt for entry in entries} == found


@pytest.mark.parametrize("text", ["a dog", "hub-77", "NANO-BANANA", "complet", "hub.example"])
def test_a_search_looks_at_all_that_a_line_shows(path: Path, text: str) -> None:
    """Prompt, task, model, state and Hub."""
    entry = made(task_id="hub-77", state="completed")
    assert written(path, entry).search(text) == [entry]


def test_a_search_gives_the_newest_first_and_no_more_than_asked_for(path: Path) -> None:
    """Also where the others stand between."""
    entries = [made(f"{kind} {n}", age_s=n) for n in range(9) for kind in ("dog", "cat")]
    found = written(path, *reversed(entries)).search("dog", limit=3)
    assert [entry.prompt for entry in found] == ["dog 0", "dog 1", "dog 2"]


@pytest.mark.parametrize("change", ["files = '{'", "input = '['", "created = 'x'", "updated = x''"])
def test_a_row_that_makes_no_sense_hides_no_other(path: Path, change: str) -> None:
    """What something else wrote to the file is passed over, without a word."""
    good = made(task_id="hub-1")
    found = written(path, made(task_id="hub-2"), good)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute(f"UPDATE orders SET {change} WHERE task_id = 'hub-2'")
    assert found.search() == found.open_entries() == [good]
    assert found.find("hub-2") is None
    assert found.trouble() == []


def test_one_bad_letter_hides_no_row(path: Path) -> None:
    """Bytes that are no text are read as a mark, and the row is found with all others."""
    good = made(task_id="hub-1", age_s=60)
    found = written(path, made("a cat", task_id="hub-2", error="no"), good)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE orders SET error = CAST(x'ff41' AS TEXT) WHERE task_id = 'hub-2'")
    bad, other = found.search()
    assert (bad.task_id, bad.prompt, bad.error) == ("hub-2", "a cat", "\ufffdA")
    assert other == good
    assert found.trouble() == []


def test_a_record_writes_news_and_nothing_else(path: Path) -> None:
    """The row is there before the order goes out; what does not change is not written again."""
    entry = made()
    record = JournaledSubmission(Journal(path), entry)

    async def work() -> None:
        await record.update(state="submitting", error="")
        assert [row["state"] for row in rows(path)] == ["submitting"]
        await record.update(state="submitted", task_id="hub-1")
        (before,) = rows(path)
        await record.update(state="submitted")
        assert rows(path) == [before]
        await record.update(state="processing")

    asyncio.run(work())
    (row,) = rows(path)
    assert (row["id"], row["state"], row["task_id"]) == (entry.id, "processing", "hub-1")
    assert row["created"] == entry.created < row["updated"] == record.entry.updated


def test_keep_waits_for_another_writer(path: Path) -> None:
    """A kernel that is at it for a moment delays a row, and costs no warning."""
    kept = written(path, made(task_id="hub-1"))

    async def work() -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            keeping = asyncio.ensure_future(kept.save(made(task_id="hub-2")))
            with pytest.raises(JournalError, match="locked"):
                kept.write(made(task_id="hub-3"))
            await asyncio.sleep(0.1)
            assert not keeping.done()
            other.execute("ROLLBACK")
            await keeping

    asyncio.run(work())
    assert {row["task_id"] for row in rows(path)} == {"hub-1", "hub-2"}
    assert kept.trouble() == []


@pytest.fixture
def locked(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[sqlite3.Connection]:
    """A journal that another connection has locked and does not let go, and a short patience."""
    monkeypatch.setattr(journal, "LOCK_TIMEOUT_S", 0.2)
    monkeypatch.setattr(journal, "SHORT_LOCK_TIMEOUT_S", 0.05)
    written(path, made(task_id="hub-1"))
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield other


def test_keep_gives_up_a_locked_journal_and_says_so_once(
    path: Path, locked: sqlite3.Connection
) -> None:
    """The warning names the file and the reason; when the lock is gone, all is well again."""
    kept = Journal(path)

    async def work() -> None:
        for number in range(3):
            await kept.save(made(task_id=f"lost-{number}"))
        (said,) = kept.trouble()
        assert str(path) in said and "locked" in said
        assert kept.trouble() == []
        locked.execute("ROLLBACK")
        await kept.save(made(task_id="hub-2"))

    asyncio.run(work())
    assert {row["task_id"] for row in rows(path)} == {"hub-1", "hub-2"}
    assert kept.trouble() == []


def test_a_locked_journal_stops_no_generation(hub: StandInHub, locked: sqlite3.Connection) -> None:
    """One POST, the images, and one warning for all that could not be written."""
    with pytest.warns(RuntimeWarning, match="locked") as warned:
        dog = generate("a dog", seed=7)
    assert len(hub.posts) == 1
    assert dog[0].bytes == image()
    assert len(warned) == 1


@pytest.mark.parametrize("what", ["a file in the folder's place", "a folder in the file's place"])
def test_a_journal_that_cant_be_had_stops_nothing(home: Path, what: str) -> None:
    """Reading finds nothing, writing does nothing, and each kind of trouble is told once."""
    if what.startswith("a file"):
        home.write_text("mine")
    else:
        (home / "journal.sqlite").mkdir(parents=True)
    kept = Journal(home / "journal.sqlite")
    for _ in range(2):
        assert kept.find("hub-1") is None and kept.find_identical(HUB, "x") == []
        assert kept.open_entries() == kept.unanswered() == kept.search("a") == []
        asyncio.run(kept.save(made()))
    (said,) = kept.trouble()
    assert str(home / "journal.sqlite") in said


def test_a_damaged_journal_is_told_once_with_the_name_of_what_is_kept(path: Path) -> None:
    """Reading or writing finds it, the new one works at once."""
    kept = written(path, made(task_id="hub-1"))
    path.write_bytes(bytes(path.stat().st_size))
    assert kept.open_entries() == []
    asyncio.run(kept.save(made(task_id="hub-2")))
    (said,) = kept.trouble()
    (aside,) = path.parent.glob("journal.damaged-*")
    assert aside.name in said
    assert [row["task_id"] for row in rows(path)] == ["hub-2"]


def test_half_a_character_does_not_keep_a_row_out(path: Path) -> None:
    """JSON from outside may hold a lone surrogate, which no UTF-8 file can."""
    entry = made(task_id="hub-\ud800", error="\udfff!", description="\ud83d", state="do\udc00ne")
    kept = Journal(path)
    asyncio.run(kept.save(entry))
    (row,) = rows(path)
    assert (row["task_id"], row["error"], row["description"]) == ("hub-?", "?!", "?")
    for task_id in ("hub-?", "hub-\ud800"):
        found = kept.find(task_id)
        assert found is not None and found.id == entry.id
    assert kept.trouble() == []


@pytest.mark.parametrize("ending", ["completed", "refused", "no image"])
def test_neither_key_nor_image_nor_signature_is_in_the_file(
    home: Path, hub: StandInHub, ending: str
) -> None:
    """Whatever comes of an order, and whatever the Hub echoes of the key."""
    inner = data_uri(image(number=3))
    urls = [inner, "https://cdn.example/in.png?X-Amz-Signature=s3cret-query"]
    if ending == "refused":
        said = {"detail": [{"loc": ["input"], "msg": f"bad key {KEY}", "input": inner}]}
        hub.submits.append(json_reply(said, 422))
    if ending == "no image":
        hub.downloads.extend([json_reply({"message": KEY}, 500)] * 9)
    with nullcontext() if ending == "completed" else pytest.raises(MountseaError):
        generate("a hat", model="nano-banana-edit", image_urls=urls)
    content = in_the_files(home)
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


def test_two_processes_with_many_generations_each_lose_no_row(path: Path, hub: StandInHub) -> None:
    """All at once on one journal: no warning of a lock, one POST and one complete row for each."""
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
    deadline = time.monotonic() + 120
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
    assert {entry.state for entry in found} == {"completed"}
    assert all(image.is_intact() for entry in found for image in entry.files)
    assert {entry.prompt for entry in found} == {
        f"{name} {number}" for name in ("dog", "cat") for number in range(count)
    }
