"""Group commit: what many coroutines queue is written at once, by one open connection."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hang import HANG_S

from mountsea_magic.journal import journal as journal_module
from mountsea_magic.journal import writer as writer_module
from mountsea_magic.journal.database import JournalDatabase, JournalError
from mountsea_magic.journal.entry import Entry
from mountsea_magic.journal.journal import Journal

HUB = "https://hub.example"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of the journal; its folder does not exist yet."""
    return tmp_path / "home" / "journal.sqlite"


@pytest.fixture
def busy_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """The file stays open between the steps of a test, however slow the machine is."""
    monkeypatch.setattr(writer_module, "IDLE_S", HANG_S)


@pytest.fixture
def journal(path: Path) -> Iterator[Journal]:
    """A journal whose thread is ended after the test."""
    opened = Journal(path)
    yield opened
    opened._writer.flush()


def entry(task_id: str) -> Entry:
    """Return an entry of a task."""
    return Entry.begin(HUB, task_id=task_id)


def task_ids(path: Path) -> set[str]:
    """Read the task ids without the package."""
    with closing(sqlite3.connect(path)) as db:
        return {row[0] for row in db.execute("SELECT task_id FROM orders")}


def log_of(path: Path) -> Path:
    """Return the path of the write-ahead log, which is there while the file is open."""
    return path.with_name("journal.sqlite-wal")


def wait_until_alone(path: Path) -> None:
    """Wait until no file is beside the journal."""
    deadline = time.monotonic() + HANG_S
    while [file.name for file in path.parent.iterdir()] != ["journal.sqlite"]:
        assert time.monotonic() < deadline, list(path.parent.iterdir())
        time.sleep(0.01)


def test_what_is_queued_at_once_is_one_transaction(
    path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred coroutines need a few commits, and each returns after its own."""
    transaction, sizes = writer_module._transaction, list[int]()

    def counted(db: sqlite3.Connection, jobs: list[object]) -> object:
        sizes.append(len(jobs))
        return transaction(db, jobs)  # type: ignore[arg-type]  # it is only passed on

    async def save(number: int) -> None:
        await journal.save(entry(f"hub-{number}"))
        assert f"hub-{number}" in task_ids(path)

    async def work() -> None:
        with journal._writer._lock:  # the thread can't begin before all are queued
            saves = [asyncio.ensure_future(save(number)) for number in range(100)]
            await asyncio.sleep(0)
        await asyncio.gather(*saves)

    monkeypatch.setattr(writer_module, "_transaction", counted)
    asyncio.run(work())
    assert sizes == [100]


@pytest.mark.parametrize(
    ("statement", "values", "expected"),
    [
        ("SELECT ?", (2**99,), OverflowError),
        ("SELECT ?", (object(),), JournalError),
        ("INSERT INTO orders (id) VALUES (NULL)", (), JournalError),
    ],
    ids=["too large", "no SQL type", "constraint"],
)
def test_an_error_of_one_job_concerns_no_other(
    path: Path, journal: Journal, statement: str, values: tuple[Any, ...], expected: type
) -> None:
    """Its own changes are undone, and those of the others are committed."""

    def fail(db: sqlite3.Connection) -> None:
        db.execute("DELETE FROM orders")
        db.execute(statement, values)

    async def work() -> list[object]:
        with journal._writer._lock:
            jobs = [
                asyncio.ensure_future(journal.save(entry("hub-1"))),
                asyncio.ensure_future(journal._writer.run(fail)),
                asyncio.ensure_future(journal.save(entry("hub-2"))),
            ]
            await asyncio.sleep(0)
        return await asyncio.gather(*jobs, return_exceptions=True)

    first, error, second = asyncio.run(work())
    assert first is second is None
    assert type(error) is expected
    assert task_ids(path) == {"hub-1", "hub-2"}


def test_an_idle_file_is_alone(path: Path) -> None:
    """Soon after the last row, nothing is beside the file, and the thread has ended."""
    before = set(threading.enumerate())
    asyncio.run(Journal(path).save(entry("hub-1")))
    wait_until_alone(path)
    deadline = time.monotonic() + HANG_S
    while set(threading.enumerate()) - before:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert task_ids(path) == {"hub-1"}


@pytest.mark.usefixtures("busy_thread")
def test_an_open_file_can_be_copied_between_two_rows(path: Path, journal: Journal) -> None:
    """All rows are in the file itself."""
    asyncio.run(journal.save(entry("hub-1")))
    assert log_of(path).stat().st_size == 0
    copy = Path(shutil.copy(path, path.with_name("copy.sqlite")))
    assert task_ids(copy) == {"hub-1"}


def wait_for_a_tick(path: Path) -> None:
    """Wait until the file system's clock shows another time than that of the last write."""
    probe = path.with_name("probe")
    while True:
        probe.write_bytes(b"")
        if probe.stat().st_mtime_ns > path.stat().st_mtime_ns:
            probe.unlink()
            return


def _delete(path: Path) -> None:
    path.unlink()


def _delete_folder(path: Path) -> None:
    shutil.rmtree(path.parent)


def _set_aside(path: Path) -> None:
    for file in path.parent.glob("journal.sqlite*"):
        file.rename(file.with_name(f"aside-{file.name}"))


def _replace(path: Path) -> None:
    other = path.with_name("other.sqlite")
    JournalDatabase(other).use(lambda db: None)
    os.replace(other, path)


def _overwrite(path: Path) -> None:
    other = path.with_name("other.sqlite")
    JournalDatabase(other).use(lambda db: None)
    path.write_bytes(other.read_bytes())


def _garbage(path: Path) -> None:
    path.write_bytes(b"garbage " * 1000)


def _delete_log(path: Path) -> None:
    log_of(path).unlink()


def _add_trigger(path: Path) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TRIGGER t AFTER INSERT ON orders BEGIN DELETE FROM orders; END")


CHANGES = (_delete, _delete_folder, _set_aside, _replace, _overwrite, _garbage, _delete_log)


@pytest.mark.usefixtures("busy_thread")
@pytest.mark.parametrize("change", CHANGES, ids=lambda how: how.__name__)
def test_a_changed_file_is_noticed_before_the_next_row(
    path: Path, journal: Journal, change: Callable[[Path], None]
) -> None:
    """The row is in the file that is there then, although another one was open."""

    async def work() -> None:
        await journal.save(entry("hub-1"))
        assert log_of(path).exists()
        wait_for_a_tick(path)
        change(path)
        await journal.save(entry("hub-2"))
        await journal.save(entry("hub-3"))

    asyncio.run(work())
    kept = {"hub-1"} if change is _delete_log else set()
    assert task_ids(path) == {"hub-2", "hub-3"} | kept
    assert len(journal.trouble()) == (change is _garbage)


@pytest.mark.usefixtures("busy_thread")
def test_a_trigger_of_others_is_noticed_in_an_open_file(path: Path, journal: Journal) -> None:
    """No row is written then, with one warning."""

    async def work() -> None:
        await journal.save(entry("hub-1"))
        _add_trigger(path)
        await journal.save(entry("hub-2"))

    asyncio.run(work())
    assert task_ids(path) == {"hub-1"}
    (message,) = journal.trouble()
    assert "a view or trigger" in message


@pytest.mark.usefixtures("busy_thread")
@pytest.mark.parametrize(
    "change",
    [_delete, _delete_folder, _set_aside, _replace, _delete_log],
    ids=lambda how: how.__name__,
)
def test_a_file_that_is_replaced_during_a_commit_is_written_again(
    path: Path, journal: Journal, change: Callable[[Path], None]
) -> None:
    """Whoever awaits a row finds it in the file that is there then."""
    calls = list[int]()

    def replace_once(db: sqlite3.Connection) -> int:
        calls.append(0)
        if len(calls) == 1:
            change(path)
        return len(calls)

    async def work() -> None:
        await journal.save(entry("hub-1"))
        with journal._writer._lock:
            saving = asyncio.ensure_future(journal.save(entry("hub-2")))
            replacing = asyncio.ensure_future(journal._writer.run(replace_once))
            await asyncio.sleep(0)
        await saving
        assert "hub-2" in task_ids(path)
        assert await replacing == 2  # the result of the last call

    asyncio.run(work())


def test_a_file_that_is_replaced_again_and_again_is_an_error(path: Path, journal: Journal) -> None:
    """It ends, and says why."""

    async def work() -> None:
        await journal._writer.run(lambda db: _delete(path))

    with pytest.raises(JournalError, match="replaced again and again"):
        asyncio.run(work())


OPEN_AND_CLOSE = """
import sqlite3, sys
db = sqlite3.connect(sys.argv[1])
db.execute("SELECT COUNT(*) FROM orders").fetchone()
db.close()
"""


@pytest.mark.usefixtures("busy_thread")
def test_a_cell_that_reads_the_file_loses_no_row(path: Path, journal: Journal) -> None:
    """That drops SQLite's locks, so that another process removes the log in use."""

    def drop_locks() -> None:
        path.read_bytes()
        subprocess.run([sys.executable, "-c", OPEN_AND_CLOSE, str(path)], check=True)

    async def work() -> None:
        await journal.save(entry("hub-1"))
        drop_locks()
        await journal.save(entry("hub-2"))
        assert task_ids(path) == {"hub-1", "hub-2"}

    asyncio.run(work())
    assert journal.trouble() == []


def test_a_cancelled_save_is_made(path: Path, journal: Journal) -> None:
    """Also if its event loop has ended before it is written."""

    async def work() -> None:
        saving = asyncio.ensure_future(journal.save(entry("hub-1")))
        await asyncio.sleep(0)
        saving.cancel()

    with journal._writer._lock:
        asyncio.run(work())
    journal._writer.flush()
    assert task_ids(path) == {"hub-1"}


def test_a_locked_journal_does_not_block_the_event_loop(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other coroutines run while rows wait for another kernel; readers don't wait."""
    monkeypatch.setattr(journal_module, "LOCK_TIMEOUT_S", HANG_S)
    JournalDatabase(path).use(lambda db: None)
    journal = Journal(path)

    async def work() -> None:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            saves = [asyncio.ensure_future(journal.save(entry(f"hub-{n}"))) for n in range(50)]
            for _ in range(20):
                await asyncio.sleep(0.01)
            assert await journal.afind("hub-1") is None
            assert not any(save.done() for save in saves)
            other.execute("ROLLBACK")
        await asyncio.gather(*saves)

    asyncio.run(work())
    assert task_ids(path) == {f"hub-{number}" for number in range(50)}
    assert journal.trouble() == []


def test_two_event_loops_share_one_journal(path: Path, journal: Journal) -> None:
    """Each coroutine is resumed on its own loop."""

    async def work(name: str) -> None:
        for number in range(50):
            await journal.save(entry(f"{name}-{number}"))

    threads = [threading.Thread(target=asyncio.run, args=(work(name),)) for name in ("a", "b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG_S)
    assert task_ids(path) == {f"{name}-{number}" for name in "ab" for number in range(50)}


def test_without_threads_rows_are_written_at_once(
    path: Path, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Since Python 3.12 no thread can start during interpreter shutdown."""

    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't create new thread at interpreter shutdown")

    async def work() -> None:
        await journal.save(entry("hub-1"))
        await journal.save(entry("hub-2"))

    monkeypatch.setattr(threading.Thread, "start", refuse)
    asyncio.run(work())
    assert task_ids(path) == {"hub-1", "hub-2"}
    assert [file.name for file in path.parent.iterdir()] == ["journal.sqlite"]


def run_script(script: str, path: Path) -> str:
    """Run a script in its own process, which must end without an error."""
    head = (
        "import asyncio, os, sys, threading\nfrom pathlib import Path\n"
        "from mountsea_magic.journal.entry import Entry\n"
        "from mountsea_magic.journal.journal import Journal\n"
        "journal = Journal(Path(sys.argv[1]))\n"
        "entry = lambda name: Entry.begin('https://hub.example', task_id=name)\n"
    )
    command = [sys.executable, "-W", "ignore", "-c", head + script, str(path)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=HANG_S, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    return ended.stdout


def test_a_queued_row_is_written_before_the_process_exits(path: Path) -> None:
    """A script that ends at once loses no row, leaves the file alone, and does not hang."""
    run_script(
        "async def work():\n"
        "    for number in range(200):\n"
        "        asyncio.ensure_future(journal.save(entry(f'hub-{number}')))\n"
        "    await asyncio.sleep(0)\n"
        "asyncio.run(work())\n",
        path,
    )
    assert task_ids(path) == {f"hub-{number}" for number in range(200)}
    assert [file.name for file in path.parent.iterdir()] == ["journal.sqlite"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_uses_no_connection_of_its_parent(path: Path) -> None:
    """Forked in the middle of many rows: both go on, and no row is lost or written twice."""
    output = run_script(
        "async def work():\n"
        "    async def save(number):\n"
        "        for part in range(20):\n"
        "            await journal.save(entry(f'parent-{number}-{part}'))\n"
        "    saves = [asyncio.ensure_future(save(number)) for number in range(20)]\n"
        "    children = []\n"
        "    for child in range(5):\n"
        "        await asyncio.sleep(0.01)\n"
        "        pid = os.fork()\n"
        "        if pid == 0:\n"
        "            asyncio._set_running_loop(None)\n"
        "            assert journal._database._open is None\n"
        "            asyncio.run(journal.save(entry(f'child-{child}')))\n"
        "            journal._writer.flush()\n"
        "            os._exit(0)\n"
        "        children.append(pid)\n"
        "    await asyncio.gather(*saves)\n"
        "    for pid in children:\n"
        "        assert os.waitpid(pid, 0)[1] == 0\n"
        "asyncio.run(work())\n"
        "print(journal.trouble())\n",
        path,
    )
    assert output == "[]\n"
    parents = {f"parent-{number}-{part}" for number in range(20) for part in range(20)}
    assert task_ids(path) == parents | {f"child-{child}" for child in range(5)}
