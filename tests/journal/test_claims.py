"""Claims: at most one paid request under a key, and no more images than a budget allows."""

from __future__ import annotations

import asyncio
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hang import HANG_S

from mountsea_magic.hub.status import CLOSED
from mountsea_magic.images.files import GeneratedImage
from mountsea_magic.journal import journal as journal_module
from mountsea_magic.journal.claims import DAY_S, Claim, ClaimOutcome
from mountsea_magic.journal.database import JournalError
from mountsea_magic.journal.entry import SUBMISSION_TIMEOUT_S, Entry
from mountsea_magic.journal.journal import Journal, JournaledSubmission
from mountsea_magic.request.request import build_request

HUB, OTHER = "https://hub.example", "https://other.example"
KEY = "poster-42"
FILES = (GeneratedImage(Path("/originals/dog.png"), "png", 64, 48, "ab" * 32),)


@pytest.fixture
def path(home: Path) -> Path:
    """The path of the journal."""
    return home / "journal.sqlite"


def new_entry(
    prompt: str = "a dog", *, hub: str = HUB, key: str | None = KEY, count: int = 1
) -> Entry:
    """Return the entry of a new request."""
    request = build_request(prompt, parameters={"num_images": count})
    return Entry.begin(hub, request, idempotency_key=key)


def claim(path: Path, entry: Entry, **options: Any) -> Claim:
    """Claim, as a process that has just opened the journal."""
    return asyncio.run(Journal(path).claim(entry, **options))


def claimed(path: Path, **changes: Any) -> Entry:
    """Claim the key for a request, and change its entry as its submission would."""
    first = claim(path, new_entry()).entry
    Journal(path).write(replace(first, **changes))
    return replace(first, **changes)


def find(path: Path, key: str = KEY) -> Entry | None:
    """Find the entry that has a key."""
    return asyncio.run(Journal(path).find_by_key(HUB, key))


def rows(path: Path) -> dict[str, tuple[str, str | None]]:
    """Read state and key of each id without the package."""
    with closing(sqlite3.connect(path)) as db:
        found = db.execute("SELECT id, state, idempotency_key FROM orders").fetchall()
    return {name: (state, key) for name, state, key in found}


def test_a_new_key_is_claimed_and_written(path: Path) -> None:
    """Its entry is there before the POST, as `submitting`."""
    entry = new_entry()
    answer = claim(path, entry)
    assert answer.outcome == ClaimOutcome.SUBMIT
    assert (answer.entry.id, answer.entry.status) == (entry.id, "submitting")
    assert rows(path) == {entry.id: ("submitting", KEY)}
    assert find(path) == answer.entry
    assert find(path, "another") is None


@pytest.mark.parametrize("state", ["refused", "unsent", *CLOSED])
@pytest.mark.parametrize("prompt", ["a dog", "a cat"])
def test_the_key_of_an_unpaid_request_is_taken(path: Path, state: str, prompt: str) -> None:
    """Nothing was or will be paid for it; the old entry stays, without the key."""
    old = claimed(path, status=state, task_id="hub-1" if state in CLOSED else None)
    entry = new_entry(prompt)
    assert claim(path, entry).outcome == ClaimOutcome.SUBMIT
    assert rows(path) == {old.id: (state, None), entry.id: ("submitting", KEY)}


PAID: tuple[dict[str, Any], ...] = (
    {"status": "submitting"},
    {"status": "uncertain"},
    {"status": "submitted", "task_id": "hub-1"},
    {"status": "processing", "task_id": "hub-1"},
    {"status": "completed", "task_id": "hub-1"},
    {"status": "completed", "task_id": "hub-1", "files": FILES},
)


@pytest.mark.parametrize("changes", PAID, ids=str)
def test_what_may_be_paid_keeps_its_key(path: Path, changes: dict[str, Any]) -> None:
    """The same request gets its entry, another one is refused; nothing is written."""
    old = claimed(path, **changes)
    before = rows(path)
    same, other = claim(path, new_entry()), claim(path, new_entry("a cat"))
    assert (same.outcome, same.entry) == (ClaimOutcome.EXISTING, old)
    assert (other.outcome, other.entry) == (ClaimOutcome.OTHER_REQUEST, old)
    assert rows(path) == before


@pytest.mark.parametrize("changes", PAID, ids=str)
def test_fresh_submits_whatever_has_the_key(path: Path, changes: dict[str, Any]) -> None:
    """And takes the key; the old entry can still be changed by whoever follows it."""
    old = claimed(path, **changes)
    entry = new_entry()
    assert claim(path, entry, fresh=True).outcome == ClaimOutcome.SUBMIT
    Journal(path).write(replace(old, status="processing"))
    assert rows(path)[entry.id] == ("submitting", KEY)
    assert rows(path)[old.id][1] is None


def test_keys_belong_to_a_hub(path: Path) -> None:
    """The same one at another Hub is another one."""
    claimed(path, status="completed", task_id="hub-1", files=FILES)
    assert claim(path, new_entry(hub=OTHER)).outcome == ClaimOutcome.SUBMIT


def test_a_key_is_taken_literally(path: Path) -> None:
    """Nothing in it is redacted, shortened or matched; a lone surrogate is no other key."""
    for key in ("a" * 9000, "https://x.example/?sig=1", "%", "it's", "ü🐕", "", "\ud800"):
        entry = new_entry(key=key)
        assert claim(path, entry).outcome == ClaimOutcome.SUBMIT
        assert claim(path, new_entry(key=key)).outcome == ClaimOutcome.EXISTING
        found = find(path, key)
        assert found is not None and found.id == entry.id


def test_a_request_that_was_refused_is_claimed_again_before_its_retry(path: Path) -> None:
    """Unless another process has taken the key in the pause: that one submits."""
    refused = claimed(path, status="refused")
    again = claim(path, refused)
    assert (again.outcome, again.entry.id) == (ClaimOutcome.SUBMIT, refused.id)
    assert rows(path) == {refused.id: ("submitting", KEY)}
    Journal(path).write(refused)
    other = claim(path, new_entry())
    assert other.outcome == ClaimOutcome.SUBMIT
    late = claim(path, refused)
    assert (late.outcome, late.entry) == (ClaimOutcome.EXISTING, other.entry)
    Journal(path).write(replace(other.entry, status="refused"))
    assert claim(path, refused).outcome == ClaimOutcome.SUBMIT
    assert rows(path) == {refused.id: ("submitting", KEY), other.entry.id: ("refused", None)}


def test_an_old_submission_is_uncertain(path: Path) -> None:
    """After the submit's own time-out nobody waits for its response."""
    old = claimed(path, updated=time.time() - SUBMISSION_TIMEOUT_S - 1, owner=None)
    answer = claim(path, new_entry())
    assert (answer.outcome, answer.entry.status) == (ClaimOutcome.EXISTING, "uncertain")
    found = find(path)
    assert found is not None and (found.id, found.status) == (old.id, "uncertain")
    assert rows(path) == {old.id: ("submitting", KEY)}


def test_a_claim_that_is_written_again_is_no_other_request(path: Path) -> None:
    """The file was changed during the commit, and the entry is there already; nothing was sent."""
    journal, entry, calls = Journal(path), new_entry(), list[int]()

    def delete_log(db: sqlite3.Connection) -> None:
        calls.append(0)
        if len(calls) == 1:
            path.with_name("journal.sqlite-wal").unlink()

    async def work() -> Claim:
        with journal._writer._lock:
            claiming = asyncio.ensure_future(journal.claim(entry, image_limit=1))
            deleting = asyncio.ensure_future(journal._writer.run(delete_log))
            await asyncio.sleep(0)
        await deleting
        return await claiming

    answer = asyncio.run(work())
    assert (answer.outcome, len(calls)) == (ClaimOutcome.SUBMIT, 2)
    assert rows(path) == {entry.id: ("submitting", KEY)}


CLAIM_AND_WAIT = """
import asyncio, sys
from pathlib import Path
from mountsea_magic.journal.entry import Entry
from mountsea_magic.journal.journal import Journal
from mountsea_magic.request.request import build_request

request = build_request("a dog", parameters={"num_images": 1})
entry = Entry.begin("https://hub.example", request, idempotency_key="poster-42")
print(asyncio.run(Journal(Path(sys.argv[1])).claim(entry)).outcome, flush=True)
sys.stdin.readline()
"""


@pytest.mark.parametrize("end", ["killed", "exit"])
def test_a_submission_of_a_process_that_has_ended_is_uncertain(path: Path, end: str) -> None:
    """At once, not only after the time-out; as long as it runs, its answer is awaited."""
    process = subprocess.Popen(
        [sys.executable, "-c", CLAIM_AND_WAIT, str(path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "submit\n"
    answer = claim(path, new_entry())
    assert (answer.outcome, answer.entry.status) == (ClaimOutcome.EXISTING, "submitting")
    if end == "killed":
        process.send_signal(signal.SIGKILL)
    process.communicate("\n", timeout=HANG_S)
    answer = claim(path, new_entry())
    assert (answer.outcome, answer.entry.status) == (ClaimOutcome.EXISTING, "uncertain")


RACE = """
import asyncio, sys
from pathlib import Path
from mountsea_magic.journal.entry import Entry
from mountsea_magic.journal.journal import Journal
from mountsea_magic.request.request import build_request

request = build_request("a dog")
journal = Journal(Path(sys.argv[1]))

async def work():
    for line in sys.stdin:
        entry = Entry.begin("https://hub.example", request, idempotency_key=line.strip())
        print((await journal.claim(entry)).outcome, flush=True)

asyncio.run(work())
"""


def test_of_two_processes_one_submits(path: Path) -> None:
    """Fifty times they claim one key at the same moment; the other gets the first's entry."""
    racers = [
        subprocess.Popen(
            [sys.executable, "-c", RACE, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for number in range(50):
        for racer in racers:
            assert racer.stdin is not None
            racer.stdin.write(f"key-{number}\n")
            racer.stdin.flush()
        outcomes = [racer.stdout.readline().strip() for racer in racers if racer.stdout]
        assert sorted(outcomes) == ["existing", "submit"]
    for racer in racers:
        racer.communicate(timeout=HANG_S)
    assert sorted(key or "" for _, key in rows(path).values()) == sorted(
        f"key-{number}" for number in range(50)
    )


def test_of_many_coroutines_one_submits(path: Path) -> None:
    """In one process, and in one transaction, as in many."""

    async def work() -> list[Claim]:
        journal = Journal(path)
        return await asyncio.gather(*(journal.claim(new_entry()) for _ in range(50)))

    outcomes = [answer.outcome for answer in asyncio.run(work())]
    assert sorted(outcomes) == [ClaimOutcome.EXISTING] * 49 + [ClaimOutcome.SUBMIT]


def test_a_budget_counts_what_may_be_paid(path: Path) -> None:
    """Images of the last day at this Hub that completed, are open, submitting or uncertain."""
    journal = Journal(path)
    for number, changes in enumerate(PAID):
        journal.write(replace(new_entry(key=None, count=number % 3 + 1), **changes))
    for state in ("refused", "unsent", *CLOSED):
        journal.write(replace(new_entry(key=None, count=4), status=state, task_id="hub-2"))
    journal.write(new_entry(key=None, hub=OTHER))
    journal.write(replace(new_entry(key=None), created=time.time() - DAY_S - 60))
    journal.write(Entry.begin(HUB, task_id="hub-3"))  # submitted elsewhere
    assert journal.count_images(HUB, time.time() - DAY_S) == 12
    before = rows(path)
    over = claim(path, new_entry(key=None, count=3), image_limit=14)
    assert (over.outcome, over.images_ordered) == (ClaimOutcome.OVER_BUDGET, 12)
    assert rows(path) == before
    assert claim(path, new_entry(key=None, count=2), image_limit=14).outcome == ClaimOutcome.SUBMIT
    assert claim(path, new_entry(key=None), image_limit=14).outcome == ClaimOutcome.OVER_BUDGET
    assert claim(path, new_entry(key=None)).outcome == ClaimOutcome.SUBMIT


def test_many_claims_at_once_stay_within_the_budget(path: Path) -> None:
    """Each counts those before it, also of the same transaction."""

    async def work() -> list[Claim]:
        journal = Journal(path)
        entries = [new_entry(key=None, count=2) for _ in range(30)]
        return await asyncio.gather(*(journal.claim(one, image_limit=21) for one in entries))

    outcomes = [answer.outcome for answer in asyncio.run(work())]
    assert outcomes.count(ClaimOutcome.SUBMIT) == 10
    assert outcomes.count(ClaimOutcome.OVER_BUDGET) == 20


def test_an_answer_from_the_journal_needs_no_budget(path: Path) -> None:
    """Nothing is ordered; `fresh` orders."""
    claimed(path, status="completed", task_id="hub-1", files=FILES)
    assert claim(path, new_entry(), image_limit=0).outcome == ClaimOutcome.EXISTING
    over = claim(path, new_entry(), fresh=True, image_limit=1)
    assert (over.outcome, over.images_ordered) == (ClaimOutcome.OVER_BUDGET, 1)


def test_rows_of_version_1_count_one_image_each(path: Path) -> None:
    """They don't have the number of their images."""
    Journal(path).write(new_entry(key=None, count=4))
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE orders SET images = NULL")
    assert Journal(path).count_images(HUB, 0.0) == 1


@pytest.mark.parametrize("options", [{"key": KEY}, {"key": None, "limit": 5}], ids=str)
def test_without_a_journal_nothing_is_promised(path: Path, options: dict[str, Any]) -> None:
    """A key or a limit can't be kept then; without either it is as before."""
    path.mkdir(parents=True)
    entry = new_entry(key=options["key"])
    with pytest.raises(JournalError):
        claim(path, entry, image_limit=options.get("limit"))
    if options["key"]:
        with pytest.raises(JournalError):
            find(path)
    journal = Journal(path)
    answer = asyncio.run(journal.claim(new_entry(key=None)))
    assert answer.outcome == ClaimOutcome.SUBMIT
    assert len(journal.trouble()) == 1


def test_a_locked_journal_delays_a_claim_and_then_refuses_it(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits as `save` does."""
    monkeypatch.setattr(journal_module, "LOCK_TIMEOUT_S", 0.2)
    claimed(path, status="refused")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(JournalError, match="locked") as caught:
            claim(path, new_entry())
        assert caught.value.busy
        other.execute("ROLLBACK")
    assert claim(path, new_entry()).outcome == ClaimOutcome.SUBMIT


def test_an_invalid_entry_keeps_its_key(path: Path) -> None:
    """It may be paid, although nobody can tell what it was; `fresh` submits."""
    claimed(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE orders SET input = '{'")
    for _ in range(2):
        with pytest.raises(JournalError, match="invalid"):
            claim(path, new_entry())
    assert claim(path, new_entry(), fresh=True).outcome == ClaimOutcome.SUBMIT


@pytest.mark.parametrize("key", [KEY, None])
@pytest.mark.parametrize("moment", ["queued", "written"])
def test_a_cancelled_claim_is_unsent(path: Path, key: str | None, moment: str) -> None:
    """Nothing was sent, so that nothing is uncertain, and the key is free."""
    journal = Journal(path)
    written = threading.Event()

    async def work() -> None:
        claiming = asyncio.ensure_future(JournaledSubmission(journal, new_entry(key=key)).claim())
        await asyncio.sleep(0)
        if moment == "written":  # and the loop does not know it yet
            journal._writer._run_queued()
            written.set()
        claiming.cancel()
        with pytest.raises(asyncio.CancelledError):
            await claiming

    asyncio.run(work())
    journal._writer.flush()
    assert [state for state, _ in rows(path).values()] == ["unsent"]
    assert claim(path, new_entry()).outcome == ClaimOutcome.SUBMIT
