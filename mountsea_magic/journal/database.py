"""The journal's file: SQLite shared by many kernels, its schema, and what is done when it breaks.

Each operation opens the file and closes it again (about 1 ms), so that a file that was set aside,
deleted or replaced by another kernel is noticed at once, and a fork shares no connection.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from ..runtime.private_files import private_file, private_folder, restrict_to_owner

try:
    import sqlite3
except ImportError:  # some Pythons are built without SQLite
    sqlite3 = None  # type: ignore[assignment]  # mypy takes a module's name for a constant

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]  # as above

T = TypeVar("T")

MIGRATIONS = (
    """
    CREATE TABLE orders (
        id TEXT PRIMARY KEY,
        hub TEXT NOT NULL,
        task_id TEXT,
        state TEXT NOT NULL,
        model TEXT NOT NULL,
        input TEXT NOT NULL,
        fingerprint TEXT NOT NULL,
        created REAL NOT NULL,
        updated REAL NOT NULL,
        elapsed_s REAL,
        error TEXT NOT NULL,
        description TEXT NOT NULL,
        files TEXT NOT NULL
    );
    CREATE INDEX orders_by_task ON orders (task_id);
    CREATE INDEX orders_by_fingerprint ON orders (fingerprint);
    CREATE INDEX orders_by_time ON orders (created);
    """,
)
"""Each script leads from the schema version of its index to the next; none is ever changed."""

_LOCAL = frozenset(
    [
        "ext2",
        "ext3",
        "ext4",
        "xfs",
        "btrfs",
        "zfs",
        "f2fs",
        "bcachefs",
        "tmpfs",
        "overlay",
        "apfs",
        "hfs",
        "jfs",
    ]
)
"""File systems of one machine, where SQLite's write-ahead log is safe."""

_FOREIGN_CODE = """
    SELECT 1 FROM sqlite_master WHERE (type = 'trigger' AND tbl_name = 'orders')
    OR (type = 'view' AND name = 'orders')
"""
"""Whether something that runs stands in the place of our table, or behind it."""

_MAX_VERSIONS = 1000

_TAILS = ("-wal", "-shm", "-journal")
"""What SQLite's files beside the journal are called, after its own name."""


class _Damaged(Exception):
    """The file can be read, but what it says can't be true."""


class JournalError(Exception):
    """The journal could not be read or written.

    Attributes:
        busy: Whether another process was at it: later it may go well.
    """

    def __init__(self, message: str, *, busy: bool = False) -> None:
        """Keep why."""
        super().__init__(message)
        self.busy = busy


class JournalDatabase:
    """A SQLite file with the newest schema.

    Attributes:
        path: Where it is.
        set_aside: Where a damaged predecessor was put by this process, or None.

    Example:
        >>> file = JournalDatabase(Path("journal.sqlite"))
        >>> file.use(lambda db: db.execute("SELECT 1").fetchone())  # doctest: +SKIP
        (1,)
    """

    def __init__(self, path: Path) -> None:
        """Open nothing yet."""
        self.path = path
        self.set_aside: Path | None = None
        self._prepared: tuple[int, int, int] | None = None

    def use(self, work: Callable[[sqlite3.Connection], T], *, patience_s: float = 0.0) -> T:
        """Do something with the file, and again with a new one if it turns out to be damaged.

        Args:
            work: Given a connection in autocommit mode; its statements are each atomic.
            patience_s: How long to wait for other processes, in seconds.

        Raises:
            JournalTrouble: If it could not be done.
        """
        if sqlite3 is None:
            raise JournalError("this Python has no sqlite3 module")
        try:
            try:
                return self._use(work, patience_s)
            except (sqlite3.DatabaseError, _Damaged, UnicodeDecodeError) as error:
                if not _is_damage(error):
                    raise
            with _alone(self.path):
                return self._use_anew(work, patience_s)
        except (_Damaged, UnicodeDecodeError) as error:
            raise JournalError("it is damaged") from error
        except sqlite3.Error as error:
            busy = _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
            raise JournalError(str(error), busy=busy) from error
        except OSError as error:
            raise JournalError(error.strerror or str(error)) from error

    def _use(self, work: Callable[[sqlite3.Connection], T], patience_s: float) -> T:
        """The schema is looked at each time: another kernel may have begun the file anew."""
        self._prepare()
        with closing(
            sqlite3.connect(self.path, timeout=patience_s, isolation_level=None)
        ) as connection:
            connection.execute("PRAGMA trusted_schema = OFF")
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            if not 0 <= version <= _MAX_VERSIONS:
                raise _Damaged("its version makes no sense")
            if version > len(MIGRATIONS):
                raise sqlite3.NotSupportedError("it was written by a newer mountsea-magic")
            if version < len(MIGRATIONS):
                self._migrate(connection)
            if connection.execute(_FOREIGN_CODE).fetchone() is not None:
                raise sqlite3.NotSupportedError("it holds a view or a trigger that is not ours")
            return work(connection)

    def _prepare(self) -> None:
        """Once for each file, and again once its mode is another: it takes longer than a query."""
        if self._prepared is not None and self._prepared == _identity(self.path):
            return
        private_folder(self.path.parent)
        private_file(self.path)
        for tail in _TAILS:  # SQLite gives them the file's mode, but older ones may be wider
            restrict_to_owner(self.path.with_name(self.path.name + tail))
        self._prepared = _identity(self.path)

    def _migrate(self, connection: sqlite3.Connection) -> None:
        """Under a lock, since two kernels may find the same old file at once."""
        mode = "WAL" if wal_is_safe(self.path.parent) else "DELETE"
        connection.execute(f"PRAGMA journal_mode = {mode}")
        connection.execute("BEGIN IMMEDIATE")
        try:
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            for script in MIGRATIONS[version:]:
                for statement in filter(str.strip, script.split(";")):
                    connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
        except sqlite3.Error as error:
            connection.execute("ROLLBACK")
            if _code(error) != sqlite3.SQLITE_ERROR:
                raise
            # not damage: an older file that can't be led forward must stay as it was
            raise sqlite3.NotSupportedError(f"it can't be led to a new version: {error}") from error
        connection.execute("COMMIT")

    def _use_anew(self, work: Callable[[sqlite3.Connection], T], patience_s: float) -> T:
        """Another kernel may have begun it anew by now; else the damaged file is put aside."""
        try:
            return self._use(work, patience_s)
        except (sqlite3.DatabaseError, _Damaged, UnicodeDecodeError) as error:
            if not _is_damage(error):
                raise
        stamp = f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        kept = self.path.with_name(f"{self.path.stem}.damaged-{stamp}{self.path.suffix}")
        for tail in _TAILS:
            beside = self.path.with_name(self.path.name + tail)
            if beside.exists():
                os.replace(beside, kept.with_name(kept.name + tail))
        os.replace(self.path, kept)  # whoever can read damaged files may save what is in it
        self.set_aside = kept
        return self._use(work, patience_s)


def _identity(path: Path) -> tuple[int, int, int] | None:
    """What is another once a file is replaced, or others may read it."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mode


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Of several kernels that find a file damaged, one shall put it aside."""
    if fcntl is None:
        yield
        return
    beside = path.with_name(f"{path.name}.lock")
    private_file(beside)
    with beside.open("r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def wal_is_safe(folder: Path, mounts: str | None = None) -> bool:
    r"""Say whether a folder's file system bears SQLite's write-ahead log, which NFS does not.

    Args:
        folder: The folder.
        mounts: What ``/proc/self/mounts`` says; read if left out.

    Example:
        >>> wal_is_safe(Path("/home/ann"), "/dev/sda1 / ext4 rw 0 0\nhub:/x /home nfs4 rw 0 0")
        False
    """
    if mounts is None:
        if not sys.platform.startswith("linux"):
            return False  # it can't be told there, and the rollback journal is safe everywhere
        try:
            mounts = Path("/proc/self/mounts").read_text("utf-8", "replace")
        except OSError:
            return False
        folder = folder.resolve()
    kind, longest = "", -1
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        point = Path(fields[1].replace("\\040", " "))
        # of two mounts on one point the later one hides the earlier
        if folder.is_relative_to(point) and len(point.parts) >= longest:
            kind, longest = fields[2], len(point.parts)
    return kind in _LOCAL


def _is_damage(error: sqlite3.DatabaseError | _Damaged | UnicodeDecodeError) -> bool:
    """A damaged schema stands in SQLite's message, which then may be no text at all."""
    if not isinstance(error, sqlite3.DatabaseError):
        return True
    # SQLITE_ERROR: our statements are right, so it is the schema that is not ours any more
    damage = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
    return _code(error) in damage


def _code(error: sqlite3.Error) -> int:
    """The primary code: extended ones add detail in the higher bits; our own errors have none."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
