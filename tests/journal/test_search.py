"""Search: one scan of an index, with the same meaning for all rows, however they were written."""

from __future__ import annotations

import json
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hang import HANG_S

from mountsea_magic.hub.status import Status
from mountsea_magic.journal import search as search_module
from mountsea_magic.journal.database import MIGRATIONS
from mountsea_magic.journal.entry import MAX_SEARCHED, SUBMISSION_TIMEOUT_S, Entry, folded
from mountsea_magic.journal.journal import Journal
from mountsea_magic.request.request import ImageRequest

HUB, OTHER = "https://hub.example", "https://Other.example"

PROMPTS = (
    "Ein Leuchtturm an der STRASSE",
    "İstanbul at dusk",
    "一只猫在灯塔上",
    "灯台の上の猫、夕焼け",
    "Маяк НА скале",
    "φάρος ΣΤΗ νήσος",
    "100%_sure* [it]? 'quoted' \"twice\" \\ ;--",
    "a 🐕 and e\u0301cole",
    "x" * 3000 + " the Needle",
    "ß" * (MAX_SEARCHED - 3) + "edge",
)

TEXTS = (
    *("straße", "STRASSE", "i̇stan", "istanbul", "İ", "猫", "灯", "灯塔", "灯台", "猫、"),
    *("маяк", "на СКАЛЕ", "στη", "ΝΉΣΟΣ", "%", "_", "*", "%_", "?", "[it]", "'", '"', "\\"),
    *(
        "🐕",
        "école",
        "e\u0301",
        "needle",
        "EDGE",
        "ssedge",
        "xx",
        "x the",
        "nothing like it",
        "\x00",
    ),
    *("\x00 and", "and more", "x" * 70_000, "a*", "*a", "[", "a?", "[a]", "*?"),
    *("\ud800", "\x1e", "\x1f", "hub-1", "HUB-1\x1f", "nano", "complet", "uncert", "UNCERTAIN"),
    *("submitting", "é", "ÉCHEC", "example", "other.EX", " ", "\n", "1\x1fnano-banana\x1fein"),
)


def entry_of(prompt: str, number: int = 0, **changes: Any) -> Entry:
    """Return an entry whose age is its number, in seconds."""
    entry = Entry.begin(changes.pop("hub", HUB), ImageRequest("nano-banana", {"prompt": prompt}))
    when = time.time() - number
    return replace(entry, **({"created": when, "updated": when} | changes))


@pytest.fixture
def path(home: Path) -> Path:
    """The path of the journal."""
    return home / "journal.sqlite"


def entries_of_all_kinds() -> list[Entry]:
    """Return entries in many scripts, at two Hubs, in many statuses, newest first."""
    lost_s = SUBMISSION_TIMEOUT_S + 10
    entries = [
        entry_of(prompt, number, task_id=f"Hub-{number}", status=Status.COMPLETED)
        for number, prompt in enumerate(PROMPTS)
    ]
    entries += [
        entry_of("a lost one", 20, updated=time.time() - lost_s),
        entry_of("one that is sent now", 21, updated=time.time()),
        entry_of("uncertain weather", 22, status=Status.UNSENT),
        entry_of("of another Hub", 23, hub=OTHER, status="échec", task_id="T"),
        replace(Entry.begin(HUB, task_id="hub-1x"), created=time.time() - 24),
    ]
    return entries


def expected(entries: list[Entry], text: str) -> list[Entry]:
    """Return what a search finds, by its definition."""
    now, wanted = time.time(), folded(text)
    return [
        entry
        for entry in entries
        if any(
            wanted in folded(each)
            for each in (
                entry.prompt,
                entry.task_id or "",
                entry.model,
                entry.status_at(now),
                entry.hub,
            )
        )
    ]


def execute(path: Path, statement: str, *values: Any) -> list[Any]:
    """Run SQL without the package."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        return db.execute(statement, values).fetchall()


@pytest.mark.parametrize("filled", ["by the writer", "by the search", "by nobody"])
def test_search_finds_what_its_definition_says(
    path: Path, monkeypatch: pytest.MonkeyPatch, filled: str
) -> None:
    """In all scripts, cases and attributes; also in rows whose index entry is still missing."""
    entries, journal = entries_of_all_kinds(), Journal(path)
    for entry in reversed(entries):
        journal.write(entry)
    if filled != "by the writer":
        execute(path, "UPDATE orders SET searched = NULL")
    if filled == "by nobody":
        monkeypatch.setattr(search_module, "_fill", lambda db: None)
    for text in TEXTS:
        found = [entry.id for entry in journal.search(text, limit=100)]
        assert found == [entry.id for entry in expected(entries, text)], text
    (unfilled,) = execute(path, "SELECT COUNT(*) FROM orders WHERE searched IS NULL")[0]
    assert unfilled == (len(entries) if filled == "by nobody" else 0)
    assert journal.trouble() == []


def test_the_texts_find_something_and_not_everything() -> None:
    """The test above would pass with any search if they did not."""
    entries = entries_of_all_kinds()
    counts = {text: len(expected(entries, text)) for text in TEXTS}
    assert sum(0 < count < len(entries) for count in counts.values()) >= 30
    assert counts["straße"] == counts["needle"] == counts["猫、"] == 1 and counts["猫"] == 2
    assert counts["uncert"] == 2 and counts["nothing like it"] == 0


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        ("cafe\u0301 in Paris", "CAFÉ"),
        ("café in Paris", "cafe\u0301"),
        ("İstanbul", "istanbul"),
        ("istanbul", "İSTANBUL"),
        ("\uff21\uff22\uff23\uff11", "abc1"),
        ("か\u3099く", "がく"),
    ],
)
def test_texts_that_look_alike_are_found(path: Path, prompt: str, text: str) -> None:
    """Keyboards, file names and web pages encode the same letter in several ways."""
    journal = Journal(path)
    journal.write(entry_of(prompt))
    assert len(journal.search(text)) == 1


def test_an_update_of_the_task_id_is_found(path: Path) -> None:
    """The id comes after the row, and so does every status."""
    journal, entry = Journal(path), entry_of("a dog")
    journal.write(entry)
    assert journal.search("hub-77") == []
    submitted = replace(entry, task_id="Hub-77", status=Status.SUBMITTED)
    journal.write(submitted)
    assert journal.search("hub-77") == journal.search("submitted") == [submitted]


def test_the_limit_counts_from_the_newest(path: Path) -> None:
    """Of entries of the same moment, the one that was written last is the newest."""
    journal, when = Journal(path), time.time()
    for number in range(6):
        journal.write(replace(entry_of(f"dog {number}"), created=when))
    found = journal.search("dog", limit=4)
    assert [entry.prompt for entry in found] == ["dog 5", "dog 4", "dog 3", "dog 2"]
    assert journal.search(limit=4) == found
    assert len(journal.search(limit=10**30)) == len(journal.search("dog", limit=10**30)) == 6


@pytest.mark.parametrize("prompt", ["x" * 10, "x" * MAX_SEARCHED, "ß" * MAX_SEARCHED, "x" * 9000])
def test_the_end_of_a_long_prompt_is_found(path: Path, prompt: str) -> None:
    """The index has only its beginning."""
    journal, entry = Journal(path), entry_of(f"{prompt} and a Needle", 1)
    journal.write(entry)
    journal.write(entry_of(prompt))
    assert journal.search("a needle") == [entry]
    (length,) = execute(path, "SELECT MAX(LENGTH(searched)) FROM orders")[0]
    assert length <= MAX_SEARCHED + 1


def test_rows_written_by_sql_are_found(path: Path) -> None:
    """Whatever is in them; rows that are invalid are not shown, and searched only once."""
    journal = Journal(path)
    journal.write(entry_of("a dog", 5))
    insert = (
        "INSERT INTO orders (id, hub, task_id, state, model, input, fingerprint, created, updated, "
        "error, description, files) VALUES (?, 'h', ?, 'completed', 'm', ?, '', ?, 1, '', '', '[]')"
    )
    now = time.time()
    execute(path, insert, "1", "T-1", json.dumps({"prompt": "A Needle in İ"}), now)
    execute(path, insert, "2", "T-2", "{", now - 1)
    execute(path, insert, "3", 7, '{"prompt": "needle"}', now - 2)
    execute(path, insert, "4", "T-4", '{"prompt": ["needle"]}', now - 3)
    execute(path, insert, "5", "T-5", '{"prompt": "\\ud83d needle"}', now - 4)
    execute(path, insert, "6", b"\xff", "[" * 100_000, now - 5)
    assert [entry.id for entry in journal.search("needle")] == ["1", "3", "4", "5"]
    assert [entry.id for entry in journal.search("t-1")] == ["1"]
    assert execute(path, "SELECT COUNT(*) FROM orders WHERE searched IS NULL") == [(0,)]
    assert journal.trouble() == []


def test_a_wrong_index_entry_shows_nothing_wrong(path: Path) -> None:
    """The row itself decides: another program may have written to the column."""
    journal, entry = Journal(path), entry_of("a dog")
    journal.write(entry)
    for value in ("needle", b"needle", 7, "", "\x1e"):
        execute(path, "UPDATE orders SET searched = ?", value)
        assert journal.search("needle") == []
    assert journal.search("a dog") == [entry]  # one that was cut is read whole


@pytest.mark.parametrize("text", ["needle", "hub.example", "completed", "uncertain"])
def test_only_the_index_is_scanned(path: Path, text: str) -> None:
    """A row is read only if it is found: of 100,000 rows that would take seconds."""
    journal = Journal(path)
    journal.write(entry_of("a dog", status=Status.COMPLETED))
    statements: list[str] = []

    def trace(db: sqlite3.Connection) -> None:
        db.set_trace_callback(statements.append)
        search_module.search(db, text, limit=20, now=time.time())
        db.set_trace_callback(None)

    journal._database.use(trace)
    plans = {
        statement: [row[3] for row in execute(path, f"EXPLAIN QUERY PLAN {statement}")]
        for statement in statements
        if "rowid = " not in statement
    }
    assert any("instr" in statement for statement in plans)
    for statement, plan in plans.items():
        scans = [step for step in plan if step.startswith(("SCAN orders", "SEARCH orders"))]
        covered = ("USING COVERING INDEX", "orders_unsearched")  # the latter is empty
        assert scans and all(any(each in step for each in covered) for step in scans), statement


def test_open_entries_are_found_by_an_index(path: Path) -> None:
    """`%mountsea` alone asks for them: rows with images are not read."""
    journal, statements = Journal(path), list[str]()
    entry = entry_of("a dog", task_id="hub-1", status="processing")
    journal.write(entry)
    assert journal.open_entries() == [entry]
    journal._database.use_open(lambda db: db.set_trace_callback(statements.append))
    journal._database.use = lambda work, **_: journal._database.use_open(work)  # type: ignore[method-assign]  # traced
    assert journal.open_entries() == [entry]
    journal._database.close()
    (statement,) = [each for each in statements if "SELECT *" in each]
    (plan,) = [row[3] for row in execute(path, f"EXPLAIN QUERY PLAN {statement}")]
    assert plan == "SCAN orders USING INDEX orders_without_images"


def make_version_2(path: Path, count: int) -> None:
    """Create a file as the second version of the package did."""
    path.parent.mkdir(parents=True, exist_ok=True)
    insert = (
        "INSERT INTO orders (id, hub, task_id, state, model, input, fingerprint, created, updated, "
        "error, description, files) VALUES (?, ?, ?, 'completed', 'm', ?, '', ?, 1, '', '', '[]')"
    )
    rows = [
        (str(n), HUB, f"hub-{n}", json.dumps({"prompt": f"Straße {n}"}), float(n))
        for n in range(count)
    ]
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        for script in MIGRATIONS[:2]:
            db.executescript(script)
        db.executemany(insert, rows)
        db.execute("PRAGMA user_version = 2")
        db.commit()


def test_several_kernels_migrate_and_search_an_old_file_at_once(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each finds all, and the file is migrated and filled once."""
    make_version_2(path, 300)
    code = (
        "import sys; from pathlib import Path\n"
        "from mountsea_magic.journal import search\n"
        "from mountsea_magic.journal.journal import Journal\n"
        "search.FILLED_AT_ONCE = 70\n"
        "sys.stdin.readline()\n"
        "journal = Journal(Path(sys.argv[1]))\n"
        "found = [entry.id for entry in journal.search('STRASSE 2', limit=1000)]\n"
        "print(len(found), found[0], journal.trouble())"
    )
    kernels = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    for kernel in kernels:
        assert kernel.stdin is not None
        kernel.stdin.write("go\n")
        kernel.stdin.flush()
    assert [kernel.communicate(timeout=HANG_S)[0] for kernel in kernels] == ["111 299 []\n"] * 2
    assert execute(path, "SELECT COUNT(*), COUNT(searched) FROM orders") == [(300, 300)]
    assert execute(path, "PRAGMA user_version") == [(len(MIGRATIONS),)]


def test_a_locked_journal_is_searched_without_filling_it(path: Path) -> None:
    """Another kernel writes for long: the rows are read instead."""
    journal, entry = Journal(path), entry_of("a dog")
    journal.write(entry)
    journal._timeout_s = 0.05
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("UPDATE orders SET searched = NULL")
        other.execute("BEGIN IMMEDIATE")
        assert journal.search("A DOG") == [entry]
        other.execute("ROLLBACK")
    assert journal.trouble() == []
    assert execute(path, "SELECT COUNT(searched) FROM orders") == [(0,)]
    assert journal.search("A DOG") == [entry]
    assert execute(path, "SELECT COUNT(searched) FROM orders") == [(1,)]
