"""The journal's file: its schema and migrations, and what is done with a file that is broken."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from mountsea_magic.journal import database
from mountsea_magic.journal.database import MIGRATIONS, JournalDatabase, JournalError, wal_is_safe

COLUMNS = (
    *("id", "hub", "task_id", "state", "model", "input", "fingerprint"),
    *("created", "updated", "elapsed_s", "error", "description", "files"),
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where the journal goes; its folder is not there yet."""
    return tmp_path / "deep" / "down" / "journal.sqlite"


def put(file: JournalDatabase, name: str) -> None:
    """Write one row, all of whose texts are its name."""
    row = tuple(0.0 if column in ("created", "updated") else name for column in COLUMNS)
    marks = ", ".join("?" * len(COLUMNS))
    file.use(
        lambda db: db.execute(f"INSERT INTO orders ({', '.join(COLUMNS)}) VALUES ({marks})", row),
        patience_s=10.0,
    )


def names(file: JournalDatabase) -> list[str]:
    """List the rows by name."""
    rows = file.use(lambda db: db.execute("SELECT id FROM orders ORDER BY id").fetchall())
    return [row[0] for row in rows]


def version(path: Path) -> int:
    """Read a file's schema version behind the package's back."""
    with closing(sqlite3.connect(path)) as db:
        return int(db.execute("PRAGMA user_version").fetchone()[0])


def kept(path: Path) -> list[Path]:
    """List the files that were set aside."""
    return sorted(path.parent.glob("journal.damaged-*.sqlite"))


def test_a_file_is_begun_with_its_folders_and_its_schema(path: Path) -> None:
    """The first use makes all that is needed; the second finds what the first has written."""
    put(JournalDatabase(path), "dog")
    assert names(JournalDatabase(path)) == ["dog"]
    assert version(path) == len(MIGRATIONS)
    assert JournalDatabase(path).use(
        lambda db: [row[1] for row in db.execute("PRAGMA table_info(orders)")]
    ) == list(COLUMNS)


def test_making_one_touches_nothing(path: Path) -> None:
    """Loading the extension must not leave files behind."""
    JournalDatabase(path)
    assert not path.parent.parent.exists()


@pytest.mark.parametrize("safe", [True, False])
def test_the_log_fits_the_file_system(
    path: Path, monkeypatch: pytest.MonkeyPatch, safe: bool
) -> None:
    """WAL where it is safe, the rollback journal elsewhere; and nothing stays open after a use."""
    monkeypatch.setattr(database, "wal_is_safe", lambda folder: safe)
    put(JournalDatabase(path), "dog")
    with closing(sqlite3.connect(path)) as db:
        (mode,) = db.execute("PRAGMA journal_mode").fetchone()
    assert mode == ("wal" if safe else "delete")
    assert [left.name for left in path.parent.iterdir()] == ["journal.sqlite"]


def test_an_older_file_is_led_forward_and_loses_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each missing script runs once, in order; the rows of the old schema are there afterwards."""
    put(JournalDatabase(path), "dog")
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


def test_a_migration_that_fails_leaves_the_old_file_as_it_was(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All scripts or none: half a migration would be a schema that nobody knows."""
    put(JournalDatabase(path), "dog")
    broken = (*MIGRATIONS, "ALTER TABLE orders ADD COLUMN cost REAL; DROP TABLE no_such_table")
    with monkeypatch.context() as patch:
        patch.setattr(database, "MIGRATIONS", broken)
        with pytest.raises(JournalError, match="no_such_table") as caught:
            names(JournalDatabase(path))
        assert not caught.value.busy
    assert version(path) == len(MIGRATIONS)
    assert names(JournalDatabase(path)) == ["dog"]
    assert kept(path) == []


def test_a_newer_file_is_left_alone(path: Path) -> None:
    """What a newer version of this package wrote is neither read, changed, nor set aside."""
    put(JournalDatabase(path), "dog")
    with closing(sqlite3.connect(path)) as db:
        db.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    before = path.read_bytes()
    with pytest.raises(JournalError, match="newer mountsea-magic") as caught:
        put(JournalDatabase(path), "cat")
    assert not caught.value.busy
    assert path.read_bytes() == before
    assert kept(path) == []


def _zeroed(whole: bytes) -> bytes:
    """All zeros, as some crashed file systems leave files."""
    return bytes(len(whole))


def _half(whole: bytes) -> bytes:
    """Cut in the middle."""
    return whole[: len(whole) // 2]


def _one_page(whole: bytes) -> bytes:
    """Cut after the first page, which still promises others."""
    return whole[:4096]


def _header(whole: bytes) -> bytes:
    """Cut within the first page."""
    return whole[:60]


def _garbage(whole: bytes) -> bytes:
    """No database at all."""
    return b"<html>502 Bad Gateway</html>" * 300


def _scribbled(whole: bytes) -> bytes:
    """A good header and a good first page, garbage after it."""
    return whole[:4096] + b"\xfe" * (len(whole) - 4096)


@pytest.mark.parametrize(
    "damage",
    [_zeroed, _half, _one_page, _header, _garbage, _scribbled],
    ids=lambda how: how.__name__,
)
@pytest.mark.parametrize("first", [put, lambda file, name: names(file)], ids=["write", "read"])
def test_a_damaged_file_is_set_aside_and_kept(
    path: Path,
    damage: Callable[[bytes], bytes],
    first: Callable[[JournalDatabase, str], object],
) -> None:
    """Whether it is found on writing or reading, a new file is begun, and not a byte is lost."""
    for number in range(100):
        put(JournalDatabase(path), f"dog {number} {'x' * 100}")
    broken = damage(path.read_bytes())
    path.write_bytes(broken)
    file = JournalDatabase(path)
    first(file, "cat")
    put(file, "mouse")
    assert "mouse" in names(file)
    assert kept(path) == [file.set_aside]
    assert kept(path)[0].read_bytes() == broken


def test_every_damaged_file_is_kept(path: Path) -> None:
    """A second one within the same second does not take the first one's place."""
    for number in range(3):
        put(JournalDatabase(path), "dog")
        path.write_bytes(b"garbage %d " % number * 1000)
        assert names(JournalDatabase(path)) == []
    assert {file.read_bytes()[:9] for file in kept(path)} == {b"garbage %d" % n for n in range(3)}


def test_an_empty_file_is_a_new_one(path: Path) -> None:
    """There is nothing in it to keep."""
    path.parent.mkdir(parents=True)
    path.touch()
    put(JournalDatabase(path), "dog")
    assert names(JournalDatabase(path)) == ["dog"]
    assert kept(path) == []


@pytest.mark.parametrize("place", ["folder", "file", "above"])
def test_what_stands_in_the_way_is_trouble_and_stays(tmp_path: Path, place: str) -> None:
    """A file in a folder's place, or a folder in the file's, is neither removed nor a crash."""
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
            put(JournalDatabase(path), "dog")
        assert not caught.value.busy
    assert obstacle.is_dir() if place == "file" else obstacle.read_text() == "mine"


def test_a_folder_that_is_deleted_meanwhile_is_made_again(path: Path) -> None:
    """A user who tidies up in mid-session loses the past, not what comes."""
    file = JournalDatabase(path)
    put(file, "dog")
    path.unlink()
    path.parent.rmdir()
    put(file, "cat")
    assert names(file) == ["cat"]
    assert file.set_aside is None


def test_a_file_of_someone_else_is_trouble_and_stays(path: Path) -> None:
    """A healthy database that is no journal is not ours to put away."""
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path)) as db:
        db.execute("CREATE TABLE orders (mine TEXT)")
    before = path.read_bytes()
    with pytest.raises(JournalError, match="already exists"):
        put(JournalDatabase(path), "dog")
    with closing(sqlite3.connect(path)) as db:
        assert [row[1] for row in db.execute("PRAGMA table_info(orders)")] == ["mine"]
    assert len(path.read_bytes()) == len(before)
    assert kept(path) == []


@pytest.mark.parametrize(
    "script",
    [
        "ALTER TABLE orders RENAME TO rows; CREATE VIEW orders AS WITH RECURSIVE endless(n) AS "
        "(SELECT 1 UNION ALL SELECT n + 1 FROM endless) SELECT rows.* FROM endless, rows",
        "CREATE TRIGGER copy AFTER INSERT ON orders BEGIN DELETE FROM orders; END",
    ],
    ids=["view", "trigger"],
)
def test_a_file_that_runs_something_of_its_own_is_trouble_and_stays(
    path: Path, script: str
) -> None:
    """A table of ours runs nothing; an endless view would hang each cell."""
    put(JournalDatabase(path), "dog")
    with closing(sqlite3.connect(path)) as db:
        db.executescript(script)
    with pytest.raises(JournalError, match="a view or a trigger that is not ours"):
        put(JournalDatabase(path), "cat")
    assert kept(path) == []


@pytest.mark.parametrize("statement", ["BEGIN IMMEDIATE", "BEGIN EXCLUSIVE"])
def test_another_writer_is_told_apart_from_damage(path: Path, statement: str) -> None:
    """Busy means that later it may go well: the file is left in its place."""
    put(JournalDatabase(path), "dog")
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute(statement)
        with pytest.raises(JournalError, match="locked") as caught:
            JournalDatabase(path).use(lambda db: db.execute("DELETE FROM orders"))
        assert caught.value.busy
        other.execute("ROLLBACK")
    assert names(JournalDatabase(path)) == ["dog"]
    assert kept(path) == []


FULL_DISK = """
import resource, sys
from pathlib import Path
from mountsea_magic.journal.database import JournalDatabase, JournalError

def put(file, number):
    row = (str(number), "x" * 2000)
    file.use(lambda db: db.execute(
        "INSERT INTO orders VALUES (?, 'h', 't', 's', 'm', ?, 'f', 0, 0, 0, '', '', '[]')", row))

file = JournalDatabase(Path(sys.argv[1]))
put(file, 0)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
written = 0
try:
    for number in range(1, 500):
        put(file, number)
        written = number
except JournalError as error:
    print(written, error.busy, file.set_aside)
"""


@pytest.mark.parametrize("free_bytes", [0, 20_000, 33_000, 100_000])
def test_a_full_disk_is_trouble_and_what_was_written_stays(path: Path, free_bytes: int) -> None:
    """Files that can't grow fail one write, in no way that is taken for damage."""
    put(JournalDatabase(path), "dog")
    command = [sys.executable, "-c", FULL_DISK, str(path), str(free_bytes)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    written, busy, aside = done.stdout.split()
    assert (busy, aside) == ("False", "None")
    assert sorted(names(JournalDatabase(path))) == sorted(
        ["dog", *map(str, range(int(written) + 1))]
    )


BEGINNER = """
import sys
from pathlib import Path
from mountsea_magic.journal.database import JournalDatabase, JournalError

file = JournalDatabase(Path(sys.argv[1]))
print("ready", flush=True)
sys.stdin.readline()
while True:
    try:
        file.use(lambda db: db.execute(
            "INSERT INTO orders VALUES (?, 'h', 't', 's', 'm', '{}', 'f', 0, 0, 0, '', '', '[]')",
            (sys.argv[2],)))
        break
    except JournalError as error:
        assert error.busy, error
print(file.set_aside)
"""


@pytest.mark.parametrize("beginning", ["nothing", "garbage"])
def test_processes_that_begin_the_same_file_at_once_agree(path: Path, beginning: str) -> None:
    """Nobody overwrites what another has begun; a damaged file is set aside once."""
    if beginning == "garbage":
        path.parent.mkdir(parents=True)
        path.write_bytes(b"garbage " * 1000)
    command = [sys.executable, "-c", BEGINNER, str(path)]
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
    ended = [process.communicate(timeout=60) for process in started]
    assert [stderr for _, stderr in ended] == [""] * len(started)
    assert names(JournalDatabase(path)) == [str(number) for number in range(len(started))]
    assert len(kept(path)) == (1 if beginning == "garbage" else 0)


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
def test_wal_is_used_on_file_systems_of_one_machine_only(
    folder: str, mounts: list[str], safe: bool
) -> None:
    """The deepest mount decides, of two on one point the later; what is not known is not safe."""
    assert wal_is_safe(Path(folder), "\n".join(mounts)) is safe


@pytest.mark.parametrize("platform", ["darwin", "win32", "freebsd14"])
def test_where_mounts_are_not_told_nothing_is_safe(
    monkeypatch: pytest.MonkeyPatch, platform: str
) -> None:
    """Homes are on a server's disk there too, and the rollback journal is safe everywhere."""
    monkeypatch.setattr(sys, "platform", platform)
    assert not wal_is_safe(Path("/Network/Servers/hub/home/ann"))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="it reads /proc")
def test_the_machines_own_mounts_are_read(tmp_path: Path) -> None:
    """A link to a folder counts as where it leads to, and is as safe as that."""
    link = tmp_path / "link"
    link.symlink_to(tmp_path, target_is_directory=True)
    mounts = Path("/proc/self/mounts").read_text()
    assert wal_is_safe(link) is wal_is_safe(tmp_path) is wal_is_safe(tmp_path.resolve(), mounts)
