"""The journal's SQLite file: schema, migrations, locks and damage."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from hang import HANG_S

from mountsea_magic.journal import database
from mountsea_magic.journal.database import MIGRATIONS, JournalDatabase, JournalError
from mountsea_magic.journal.entry import Entry
from mountsea_magic.journal.file_systems import wal_is_safe
from mountsea_magic.journal.journal import Journal

COLUMNS = (
    *("id", "hub", "task_id", "state", "model", "input", "fingerprint"),
    *("created", "updated", "elapsed_s", "error", "description", "files"),
    *("idempotency_key", "owner", "duration_s", "images", "searched"),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """The path of the journal; its folder does not exist yet."""
    return tmp_path / "deep" / "down" / "journal.sqlite"


def insert(file: JournalDatabase, name: str) -> None:
    """Insert one row with its name in every text column."""
    row = tuple(0.0 if column in ("created", "updated") else name for column in COLUMNS)
    marks = ", ".join("?" * len(COLUMNS))
    file.use(
        lambda db: db.execute(f"INSERT INTO orders ({', '.join(COLUMNS)}) VALUES ({marks})", row),
        timeout_s=10.0,
    )


def names(file: JournalDatabase) -> list[str]:
    """Return the names of all rows."""
    rows = file.use(lambda db: db.execute("SELECT id FROM orders ORDER BY id").fetchall())
    return [row[0] for row in rows]


def version(path: Path) -> int:
    """Read a file's schema version without the package."""
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("PRAGMA user_version").fetchone()[0])


VERSION_1 = """
CREATE TABLE orders (
    id TEXT PRIMARY KEY, hub TEXT NOT NULL, task_id TEXT, state TEXT NOT NULL, model TEXT NOT NULL,
    input TEXT NOT NULL, fingerprint TEXT NOT NULL, created REAL NOT NULL, updated REAL NOT NULL,
    elapsed_s REAL, error TEXT NOT NULL, description TEXT NOT NULL, files TEXT NOT NULL
);
CREATE INDEX orders_by_task ON orders (task_id);
CREATE INDEX orders_by_fingerprint ON orders (fingerprint);
CREATE INDEX orders_by_time ON orders (created);
PRAGMA user_version = 1;
"""


def make_version_1(path: Path, ids: Sequence[str]) -> None:
    """Create a file as the first version of the package did, without the package."""
    path.parent.mkdir(parents=True)
    insert = (
        "INSERT INTO orders VALUES (?, 'https://hub.example', 't-' || ?, 'completed', 'm', "
        "'{\"prompt\": \"a dog\"}', 'f', 7.5, 8.5, 2.5, '', 'a text', '[]')"
    )
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript(VERSION_1)
        db.executemany(insert, [(name, name) for name in ids])
        db.commit()


def set_aside(path: Path) -> list[Path]:
    """Return the files that were set aside."""
    return sorted(path.parent.glob("journal.damaged-*.sqlite"))


def test_the_first_use_creates_folders_and_schema(path: Path) -> None:
    """A second object reads what the first has written."""
    insert(JournalDatabase(path), "dog")
    assert names(JournalDatabase(path)) == ["dog"]
    assert version(path) == len(MIGRATIONS)
    assert JournalDatabase(path).use(
        lambda db: [row[1] for row in db.execute("PRAGMA table_info(orders)")]
    ) == list(COLUMNS)


def test_the_constructor_creates_no_files(path: Path) -> None:
    """Loading the extension must not create any."""
    JournalDatabase(path)
    assert not path.parent.parent.exists()


@pytest.mark.parametrize("safe", [True, False])
def test_the_journal_mode_depends_on_the_file_system(
    path: Path, monkeypatch: pytest.MonkeyPatch, safe: bool
) -> None:
    """WAL where it is safe, else the rollback journal; nothing stays open after a use."""
    monkeypatch.setattr(database, "wal_is_safe", lambda folder: safe)
    insert(JournalDatabase(path), "dog")
    with closing(sqlite3.connect(path)) as db:
        (mode,) = db.execute("PRAGMA journal_mode").fetchone()
    assert mode == ("wal" if safe else "delete")
    assert [file.name for file in path.parent.iterdir()] == ["journal.sqlite"]


def test_an_older_file_is_migrated(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each missing script runs once, in order; existing rows are kept."""
    insert(JournalDatabase(path), "dog")
    newer = (
        *MIGRATIONS,
        "ALTER TABLE orders ADD COLUMN cost REAL; UPDATE orders SET cost = 1.5;",
        "ALTER TABLE orders RENAME COLUMN cost TO price",
    )
    monkeypatch.setattr(database, "MIGRATIONS", newer)
    for _ in range(2):
        found = JournalDatabase(path).use(
            lambda db: db.execute("SELECT id, task_id, price FROM orders").fetchall()
        )
        assert found == [("dog", "dog", 1.5)]
    assert version(path) == len(MIGRATIONS) + 2


def test_a_file_of_version_1_keeps_all_rows(path: Path) -> None:
    """What is new is empty in them; they are read and written as before."""
    ids = [f"{number:03}" for number in range(300)]
    make_version_1(path, ids)
    journal = Journal(path)
    entries = journal.search(limit=1000)
    assert sorted(entry.id for entry in entries) == ids
    expected = Entry(
        ids[7],
        "https://hub.example",
        "t-007",
        "completed",
        "m",
        {"prompt": "a dog"},
        "f",
        7.5,
        8.5,
        2.5,
        description="a text",
    )
    assert journal.find("t-007") == expected
    journal.write(replace(expected, duration_s=1.5))
    assert journal.find("t-007") == replace(expected, duration_s=1.5)
    assert version(path) == len(MIGRATIONS)
    assert journal.trouble() == []


def test_a_failed_migration_leaves_the_file_unchanged(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All scripts or none are applied."""
    insert(JournalDatabase(path), "dog")
    broken = (*MIGRATIONS, "ALTER TABLE orders ADD COLUMN cost REAL; DROP TABLE no_such_table")
    with monkeypatch.context() as patch:
        patch.setattr(database, "MIGRATIONS", broken)
        with pytest.raises(JournalError, match="no_such_table") as caught:
            names(JournalDatabase(path))
        assert not caught.value.busy
    assert version(path) == len(MIGRATIONS)
    assert names(JournalDatabase(path)) == ["dog"]
    assert set_aside(path) == []


def test_a_newer_file_is_left_unchanged(path: Path) -> None:
    """A file of a newer version is neither read, changed, nor set aside."""
    insert(JournalDatabase(path), "dog")
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    before = path.read_bytes()
    with pytest.raises(JournalError, match="newer version of mountsea-magic") as caught:
        insert(JournalDatabase(path), "cat")
    assert not caught.value.busy
    assert path.read_bytes() == before
    assert set_aside(path) == []


def _zeroed(whole: bytes) -> bytes:
    """All zeros, as after a crash of some file systems."""
    return bytes(len(whole))


def _half(whole: bytes) -> bytes:
    """Truncated in the middle."""
    return whole[: len(whole) // 2]


def _one_page(whole: bytes) -> bytes:
    """Truncated after the first page, whose header claims more pages."""
    return whole[:4096]


def _header(whole: bytes) -> bytes:
    """Truncated within the first page."""
    return whole[:60]


def _garbage(whole: bytes) -> bytes:
    """Not a database."""
    return b"<html>502 Bad Gateway</html>" * 300


def _overwritten(whole: bytes) -> bytes:
    """A valid first page, followed by garbage."""
    return whole[:4096] + b"\xfe" * (len(whole) - 4096)


@pytest.mark.parametrize(
    "damage",
    [_zeroed, _half, _one_page, _header, _garbage, _overwritten],
    ids=lambda how: how.__name__,
)
@pytest.mark.parametrize("first", [insert, lambda file, name: names(file)], ids=["write", "read"])
def test_a_damaged_file_is_set_aside(
    path: Path,
    damage: Callable[[bytes], bytes],
    first: Callable[[JournalDatabase, str], object],
) -> None:
    """By a write or a read: a new file is created, and the damaged one is kept unchanged."""
    for number in range(100):
        insert(JournalDatabase(path), f"dog {number} {'x' * 100}")
    damaged = damage(path.read_bytes())
    path.write_bytes(damaged)
    file = JournalDatabase(path)
    first(file, "cat")
    insert(file, "mouse")
    assert "mouse" in names(file)
    assert set_aside(path) == [file.set_aside]
    assert set_aside(path)[0].read_bytes() == damaged


def test_every_damaged_file_is_kept(path: Path) -> None:
    """A second one within the same second does not overwrite the first."""
    for number in range(3):
        insert(JournalDatabase(path), "dog")
        path.write_bytes(b"garbage %d " % number * 1000)
        assert names(JournalDatabase(path)) == []
    assert {file.read_bytes()[:9] for file in set_aside(path)} == {
        b"garbage %d" % n for n in range(3)
    }


def test_an_empty_file_is_not_damaged(path: Path) -> None:
    """It is used as a new file."""
    path.parent.mkdir(parents=True)
    path.touch()
    insert(JournalDatabase(path), "dog")
    assert names(JournalDatabase(path)) == ["dog"]
    assert set_aside(path) == []


@pytest.mark.parametrize("place", ["folder", "file", "above"])
def test_an_obstacle_is_an_error_and_is_not_removed(tmp_path: Path, place: str) -> None:
    """A file in place of a folder, or a folder in place of the file."""
    folder = tmp_path / "deep" / "down"
    path = folder / "journal.sqlite"
    obstacle = {"folder": folder, "file": path, "above": folder.parent}[place]
    obstacle.parent.mkdir(parents=True, exist_ok=True)
    if place == "file":
        obstacle.mkdir()
    else:
        obstacle.write_text("mine")
    for _ in range(2):
        with pytest.raises(JournalError, match=r"\S") as caught:
            insert(JournalDatabase(path), "dog")
        assert not caught.value.busy
    assert obstacle.is_dir() if place == "file" else obstacle.read_text() == "mine"


def test_a_deleted_folder_is_created_again(path: Path) -> None:
    """A user who deletes it during a session loses only earlier entries."""
    file = JournalDatabase(path)
    insert(file, "dog")
    path.unlink()
    path.parent.rmdir()
    insert(file, "cat")
    assert names(file) == ["cat"]
    assert file.set_aside is None


def test_a_database_of_another_program_is_an_error_and_is_not_changed(path: Path) -> None:
    """A valid database that is not a journal is not set aside."""
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE orders (mine TEXT)")
    before = path.read_bytes()
    with pytest.raises(JournalError, match="already exists"):
        insert(JournalDatabase(path), "dog")
    with closing(sqlite3.connect(path)) as db:
        assert [row[1] for row in db.execute("PRAGMA table_info(orders)")] == ["mine"]
    assert len(path.read_bytes()) == len(before)
    assert set_aside(path) == []


@pytest.mark.parametrize(
    "script",
    [
        "ALTER TABLE orders RENAME TO rows; CREATE VIEW orders AS WITH RECURSIVE endless(n) AS "
        "(SELECT 1 UNION ALL SELECT n + 1 FROM endless) SELECT rows.* FROM endless, rows",
        "CREATE TRIGGER copy AFTER INSERT ON orders BEGIN DELETE FROM orders; END",
    ],
    ids=["view", "trigger"],
)
def test_a_file_with_a_view_or_trigger_is_refused(path: Path, script: str) -> None:
    """Our schema has none; an endless view would block each cell."""
    insert(JournalDatabase(path), "dog")
    with closing(sqlite3.connect(path)) as db:
        db.executescript(script)
    with pytest.raises(JournalError, match="a view or trigger not created by mountsea-magic"):
        insert(JournalDatabase(path), "cat")
    assert set_aside(path) == []


@pytest.mark.parametrize("statement", ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"])
def test_a_locked_file_is_busy_and_not_damaged(path: Path, statement: str) -> None:
    """A retry may succeed, so the file is not set aside."""
    insert(JournalDatabase(path), "dog")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute(statement)
        with pytest.raises(JournalError, match="locked") as caught:
            JournalDatabase(path).use(lambda db: db.execute("DELETE FROM orders"))
        assert caught.value.busy
        other.execute("ROLLBACK")
    assert names(JournalDatabase(path)) == ["dog"]
    assert set_aside(path) == []


FULL_DISK = """
import resource, sys
from pathlib import Path
from mountsea_magic.journal.database import JournalDatabase, JournalError

def insert(file, number):
    row = (str(number), "x" * 2000)
    file.use(lambda db: db.execute(
        "INSERT INTO orders VALUES "
        "(?, 'h', 't', 's', 'm', ?, 'f', 0, 0, 0, '', '', '[]', NULL, NULL, NULL, 1, '')", row))

file = JournalDatabase(Path(sys.argv[1]))
insert(file, 0)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
written = 0
try:
    for number in range(1, 500):
        insert(file, number)
        written = number
except JournalError as error:
    print(written, error.busy, file.set_aside)
"""


@pytest.mark.parametrize("free_bytes", [0, 20_000, 33_000, 100_000])
def test_a_full_disk_is_an_error_and_keeps_existing_rows(path: Path, free_bytes: int) -> None:
    """The write fails, and the file is not treated as damaged."""
    insert(JournalDatabase(path), "dog")
    command = [sys.executable, "-c", FULL_DISK, str(path), str(free_bytes)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_S, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    written, busy, aside = done.stdout.split()
    assert (busy, aside) == ("False", "None")
    assert sorted(names(JournalDatabase(path))) == sorted(
        ["dog", *map(str, range(int(written) + 1))]
    )


FIRST_USE = """
import sys
from pathlib import Path
from mountsea_magic.journal.database import JournalDatabase, JournalError

file = JournalDatabase(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
while True:
    try:
        file.use(lambda db: db.execute(
            "INSERT INTO orders VALUES "
            "(?, 'h', 't', 's', 'm', '{}', 'f', 0, 0, 0, '', '', '[]', NULL, NULL, NULL, 1, '')",
            (sys.argv[2],)))
        break
    except JournalError as error:
        assert error.busy, error
print(file.set_aside)
"""


@pytest.mark.parametrize("initial", ["nothing", "garbage", "version 1"])
def test_processes_that_create_the_same_file_at_once_agree(path: Path, initial: str) -> None:
    """None overwrites another's file; it is set aside or migrated once, and no row is lost."""
    if initial == "version 1":
        make_version_1(path, ["old"])
    if initial == "garbage":
        path.parent.mkdir(parents=True)
        path.write_bytes(b"garbage " * 1000)
    command = [sys.executable, "-c", FIRST_USE, str(path)]
    started = [
        subprocess.Popen(
            [*command, str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(4)
    ]
    for process in started:
        assert process.stdout is not None and process.stdin is not None
        assert process.stdout.readline() == "ready\n"
    for process in started:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    ended = [process.communicate(timeout=HANG_S) for process in started]
    assert [stderr for _, stderr in ended] == [""] * len(started)
    kept = ["old"] if initial == "version 1" else []
    assert names(JournalDatabase(path)) == [*map(str, range(len(started))), *kept]
    assert len(set_aside(path)) == (1 if initial == "garbage" else 0)


ROOT = "/dev/sda1 / ext4 rw 0 0"


@pytest.mark.parametrize(
    ("folder", "mounts", "safe"),
    [
        ("/home/ann", [ROOT], True),
        ("/home/ann", ["overlay / overlay rw,lowerdir=/a 0 0"], True),
        ("/home/ann", ["none / 9p rw,trans=virtio 0 0"], False),
        ("/home/ann", ["drvfs / fuse.sshfs rw 0 0"], False),
        ("/home/ann", [ROOT, "hub:/x /home nfs4 rw 0 0"], False),
        ("/home/ann", [ROOT, "hub:/x /home/ann nfs rw 0 0"], False),
        ("/home/ann", ["hub:/x /home nfs rw 0 0", ROOT], False),
        ("/home/ann", [ROOT, "//nas/x /home cifs rw 0 0"], False),
        ("/home/ann", [ROOT, "lustre /home lustre rw 0 0"], False),
        ("/home/ann", [ROOT, "hub:/x /home nfs4 rw 0 0", "/dev/b /home/ann xfs rw 0 0"], True),
        ("/home/ann", ["/dev/b /home/ann xfs rw 0 0", "hub:/x /home nfs4 rw 0 0", ROOT], True),
        ("/home/ann", [ROOT, "auto /home autofs rw 0 0", "hub:/x /home nfs4 rw 0 0"], False),
        ("/home/ann", [ROOT, "hub:/x /home nfs4 rw 0 0", "/dev/c /home btrfs rw 0 0"], True),
        ("/home/annabel", [ROOT, "hub:/x /home/ann nfs4 rw 0 0"], True),
        ("/home/ann", [ROOT, "hub:/x /home/ann/far nfs4 rw 0 0"], True),
        ("/my home/ann", [ROOT, r"hub:/x /my\040home nfs4 rw 0 0"], False),
        ("/tmp/x", [ROOT, "tmpfs /tmp tmpfs rw 0 0"], True),
        ("/home/ann", [], False),
        ("/home/ann", ["", "nonsense", ROOT], True),
    ],
)
def test_wal_is_only_used_on_local_file_systems(folder: str, mounts: list[str], safe: bool) -> None:
    """The deepest mount counts, the later of two on one point; unknown types are not safe."""
    assert wal_is_safe(Path(folder), "\n".join(mounts)) is safe


@pytest.mark.parametrize("platform", ["darwin", "win32", "freebsd14"])
def test_without_known_mounts_wal_is_not_used(
    monkeypatch: pytest.MonkeyPatch, platform: str
) -> None:
    """Home folders may be on a server, and the rollback journal is safe everywhere."""
    monkeypatch.setattr(sys, "platform", platform)
    assert not wal_is_safe(Path("/Network/Servers/hub/home/ann"))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it reads /proc")
def test_the_mounts_of_this_machine_are_read(tmp_path: Path) -> None:
    """A symbolic link to a folder is resolved."""
    link = tmp_path / "link"
    link.symlink_to(tmp_path, target_is_directory=True)
    mounts = Path("/proc/self/mounts").read_text()
    assert wal_is_safe(link) is wal_is_safe(tmp_path) is wal_is_safe(tmp_path.resolve(), mounts)


def test_without_sqlite_every_use_is_an_error(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some Pythons are built without it; the package still loads."""
    monkeypatch.setattr(database, "sqlite3", None)
    with pytest.raises(JournalError, match="this Python has no sqlite3 module"):
        JournalDatabase(path).use(lambda db: None)
    assert not path.parent.exists()


def test_a_file_that_another_process_has_replaced_is_not_set_aside(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While this process waited for its turn to replace the damaged file."""
    insert(JournalDatabase(path), "dog")
    good = path.read_bytes()
    path.write_bytes(b"damaged" * 1000)
    file = JournalDatabase(path)
    wait_for_turn = database._exclusive

    @contextmanager
    def replaced_meanwhile(path: Path) -> Iterator[None]:
        with wait_for_turn(path):
            path.write_bytes(good)
            yield

    monkeypatch.setattr(database, "_exclusive", replaced_meanwhile)
    assert names(file) == ["dog"]
    assert set_aside(path) == []
