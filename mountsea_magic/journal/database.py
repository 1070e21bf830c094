"""The journal's SQLite file: shared by several kernels, its schema and the handling of damage.

Each operation opens and closes the file (about 1 ms), so that a file that another kernel has moved,
deleted or replaced is noticed at once, and a fork shares no connection.
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
from ..runtime.text import os_error_reason

try:
    import sqlite3
except ImportError:  # some Pythons are built without SQLite
    sqlite3 = None  # type: ignore[assignment]  # mypy treats a module's name as constant

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
"""Each script migrates from the schema version of its index to the next; never change one."""

_LOCAL_FILE_SYSTEMS = frozenset(
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
"""Local file systems, where SQLite's write-ahead log is safe."""

_SELECT_FOREIGN_CODE = """
    SELECT 1 FROM sqlite_master WHERE (type = 'trigger' AND tbl_name = 'orders')
    OR (type = 'view' AND name = 'orders')
"""
"""Finds a view in place of our table, or a trigger on it: both would run someone else's code."""

_MAX_VERSIONS = 1000

_SUFFIXES = ("-wal", "-shm", "-journal")
"""The suffixes of the files that SQLite creates beside the journal."""


class _Damaged(Exception):
    """The file can be read, but its content is invalid."""


class JournalError(Exception):
    """The journal could not be read or written.

    Attributes:
        busy: Whether another process has locked it, so that a retry may succeed.
    """

    def __init__(self, message: str, *, busy: bool = False) -> None:
        super().__init__(message)
        self.busy = busy


class JournalDatabase:
    """A SQLite file with the current schema; nothing is opened before the first `use`.

    Attributes:
        path: The SQLite file.
        set_aside: Where this process has moved a damaged file to, or None.

    Example:
        >>> database = JournalDatabase(Path("journal.sqlite"))
        >>> database.use(lambda db: db.execute("SELECT 1").fetchone())  # doctest: +SKIP
        (1,)
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.set_aside: Path | None = None
        self._prepared: tuple[int, int, int] | None = None

    def use(self, work: Callable[[sqlite3.Connection], T], *, timeout_s: float = 0.0) -> T:
        """Call a function with a connection; if the file is damaged, again with a new file.

        Args:
            work: Called with a connection in autocommit mode.
            timeout_s: How long to wait for locks of other processes, in seconds.

        Returns:
            The result of the function.

        Raises:
            JournalError: If the file could not be read or written.
        """
        if sqlite3 is None:
            raise JournalError("this Python has no sqlite3 module")
        try:
            try:
                return self._use(work, timeout_s)
            except (sqlite3.DatabaseError, _Damaged, UnicodeDecodeError) as error:
                if not _is_damage(error):
                    raise
            with _exclusive(self.path):
                return self._replace_and_use(work, timeout_s)
        except (_Damaged, UnicodeDecodeError) as error:
            raise JournalError("the file is damaged") from error
        except sqlite3.Error as error:
            busy = _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
            raise JournalError(str(error), busy=busy) from error
        except OSError as error:
            raise JournalError(os_error_reason(error)) from error

    def _use(self, work: Callable[[sqlite3.Connection], T], timeout_s: float) -> T:
        """Check the schema each time: another kernel may have replaced the file."""
        self._prepare()
        with closing(
            sqlite3.connect(self.path, timeout=timeout_s, isolation_level=None)
        ) as connection:
            connection.execute("PRAGMA trusted_schema = OFF")
            version = int(connection.execute("PRAGMA user_version").fetchone()[0])
            if not 0 <= version <= _MAX_VERSIONS:
                raise _Damaged("its schema version is invalid")
            if version > len(MIGRATIONS):
                raise sqlite3.NotSupportedError(
                    "it was written by a newer version of mountsea-magic"
                )
            if version < len(MIGRATIONS):
                self._migrate(connection)
            if connection.execute(_SELECT_FOREIGN_CODE).fetchone() is not None:
                raise sqlite3.NotSupportedError(
                    "it contains a view or trigger not created by mountsea-magic"
                )
            return work(connection)

    def _prepare(self) -> None:
        """Create the file with private permissions; cached, since it is slower than a query."""
        if self._prepared is not None and self._prepared == _identity(self.path):
            return
        private_folder(self.path.parent)
        private_file(self.path)
        for suffix in _SUFFIXES:  # SQLite copies the file's mode, but older ones may be wider
            restrict_to_owner(self.path.with_name(self.path.name + suffix))
        self._prepared = _identity(self.path)

    def _migrate(self, connection: sqlite3.Connection) -> None:
        """Migrate under a lock, since two kernels may open the same old file at once."""
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
            # not damage: an older file that can't be migrated must stay unchanged
            raise sqlite3.NotSupportedError(
                f"the journal could not be migrated to the current version: {error}"
            ) from error
        connection.execute("COMMIT")

    def _replace_and_use(self, work: Callable[[sqlite3.Connection], T], timeout_s: float) -> T:
        """Set the damaged file aside, unless another kernel has already replaced it."""
        try:
            return self._use(work, timeout_s)
        except (sqlite3.DatabaseError, _Damaged, UnicodeDecodeError) as error:
            if not _is_damage(error):
                raise
        stamp = f"{datetime.now():%Y%m%d-%H%M%S}-{secrets.token_hex(2)}"
        aside = self.path.with_name(f"{self.path.stem}.damaged-{stamp}{self.path.suffix}")
        for suffix in _SUFFIXES:
            beside = self.path.with_name(self.path.name + suffix)
            if beside.exists():
                os.replace(beside, aside.with_name(aside.name + suffix))
        os.replace(self.path, aside)  # not deleted: some of it may be recovered
        self.set_aside = aside
        return self._use(work, timeout_s)


def _identity(path: Path) -> tuple[int, int, int] | None:
    """Changes if the file is replaced, or its permissions change."""
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino, stat.st_mode


@contextmanager
def _exclusive(path: Path) -> Iterator[None]:
    """Serialize kernels that find the same damaged file: only one sets it aside."""
    if fcntl is None:
        yield
        return
    lock_path = path.with_name(f"{path.name}.lock")
    private_file(lock_path)
    with lock_path.open("r+b") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def wal_is_safe(folder: Path, mounts: str | None = None) -> bool:
    r"""Return whether a folder's file system supports SQLite's write-ahead log; NFS does not.

    Args:
        folder: The folder.
        mounts: The content of ``/proc/self/mounts``; read if left out.

    Example:
        >>> wal_is_safe(Path("/home/ann"), "/dev/sda1 / ext4 rw 0 0\nhub:/x /home nfs4 rw 0 0")
        False
    """
    if mounts is None:
        if not sys.platform.startswith("linux"):
            return False  # not known there, and the rollback journal is safe everywhere
        try:
            mounts = Path("/proc/self/mounts").read_text("utf-8", "replace")
        except OSError:
            return False
        folder = folder.resolve()
    file_system, depth = "", -1
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        mount_point = Path(fields[1].replace("\\040", " "))
        # of two mounts on one point the later one hides the earlier
        if folder.is_relative_to(mount_point) and len(mount_point.parts) >= depth:
            file_system, depth = fields[2], len(mount_point.parts)
    return file_system in _LOCAL_FILE_SYSTEMS


def _is_damage(error: sqlite3.DatabaseError | _Damaged | UnicodeDecodeError) -> bool:
    """Whether the file is damaged; SQLite's message then may not even be valid UTF-8."""
    if not isinstance(error, sqlite3.DatabaseError):
        return True
    # SQLITE_ERROR: our statements are valid, so the schema must be damaged
    codes = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
    return _code(error) in codes


def _code(error: sqlite3.Error) -> int:
    """The primary result code, without the extended code's higher bits; 0 for our own errors."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
