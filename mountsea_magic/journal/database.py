"""The journal's SQLite file: shared by several kernels, its schema and the handling of damage.

`use` opens and closes the file (about 1 ms). `use_open` keeps one connection open between calls,
and checks before and after each that the file is still the one it has opened: another kernel may
have moved, deleted or replaced it.
"""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from ..runtime.private_files import private_file, private_folder, restrict_to_owner
from ..runtime.text import os_error_reason
from .file_systems import wal_is_safe

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
    """
    ALTER TABLE orders ADD COLUMN idempotency_key TEXT;
    ALTER TABLE orders ADD COLUMN owner TEXT;
    ALTER TABLE orders ADD COLUMN duration_s REAL;
    ALTER TABLE orders ADD COLUMN images INTEGER;
    CREATE UNIQUE INDEX orders_by_key ON orders (hub, idempotency_key)
        WHERE idempotency_key IS NOT NULL;
    CREATE INDEX orders_by_model ON orders (hub, model, created DESC);
    CREATE INDEX orders_by_budget ON orders (hub, created, state, images);
    """,
    """
    ALTER TABLE orders ADD COLUMN searched TEXT;
    CREATE INDEX orders_by_search ON orders (created, hub, state, searched);
    CREATE INDEX orders_unsearched ON orders (created) WHERE searched IS NULL;
    CREATE INDEX orders_by_state ON orders (state) WHERE state <> 'completed';
    CREATE INDEX orders_without_images ON orders (created)
        WHERE files = '[]' AND task_id IS NOT NULL;
    DROP INDEX IF EXISTS orders_by_time;
    """,
)
"""Each script migrates from the schema version of its index to the next; never change one."""

_SELECT_FOREIGN_CODE = """
    SELECT 1 FROM sqlite_master WHERE (type = 'trigger' AND tbl_name = 'orders')
    OR (type = 'view' AND name = 'orders')
"""
"""Finds a view in place of our table, or a trigger on it: both would run someone else's code."""

_MAX_VERSIONS = 1000

_MAX_REPLACED = 5
"""How often a file may be replaced while it is written before that is an error."""

CHECKPOINT_INTERVAL_S = 0.2
"""The least time between two moves of the log's rows to the file itself, in seconds."""

_STABLE = 3
"""How much of a file's identity our own writes do not change."""

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
        self._prepared: tuple[int, ...] = ()
        self._open: sqlite3.Connection | None = None
        self._opened: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
        self._checkpointed_at = float("-inf")

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
        return self._repairing(lambda: self._use(work, timeout_s))

    def use_open(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Call a function with the connection that stays open, which only one thread may do.

        If the file turns out not to be the one that was opened, it is opened and the function is
        called again.

        Args:
            work: Called with a connection in autocommit mode, maybe more than once.

        Returns:
            The result of the last call.

        Raises:
            JournalError: If the file could not be read or written, also without waiting for locks
                of other processes.
        """
        return self._repairing(lambda: self._use_open(work))

    def close(self) -> None:
        """Close the connection that `use_open` has left open, in its thread or while it waits."""
        connection, self._open = self._open, None
        if connection is not None:
            # SQLite deletes nothing by its name if the file was moved meanwhile
            with suppress(sqlite3.Error):
                connection.close()

    def _repairing(self, use: Callable[[], T]) -> T:
        """Call a function; if the file is damaged, again with a new file."""
        if sqlite3 is None:
            raise JournalError("this Python has no sqlite3 module")
        try:
            try:
                return use()
            except (sqlite3.DatabaseError, _Damaged, UnicodeDecodeError) as error:
                if not _is_damage(error):
                    raise
            with _exclusive(self.path):
                return self._replace_and_use(use)
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
        with closing(self._connect(timeout_s)) as connection:
            self._check(connection)
            return work(connection)

    def _use_open(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Work on the file that is there before and after the work."""
        for _ in range(_MAX_REPLACED):
            try:
                connection = self._checked()
                result = work(connection)
                self._checkpoint(connection)
            except BaseException:
                self.close()
                raise
            before, self._opened = self._opened, self._identities()
            if [found[:_STABLE] for found in before] == [found[:_STABLE] for found in self._opened]:
                return result
            self.close()
        raise sqlite3.OperationalError("it is replaced again and again")

    def _checkpoint(self, connection: sqlite3.Connection) -> None:
        """Move all rows from the log to the file itself, now and then.

        Then it can be copied, and replacing it mixes no pages of the old one into the new one. A
        batch writes many times a second, and each time costs three waits for the disk.
        """
        now = time.monotonic()
        if now - self._checkpointed_at >= CHECKPOINT_INTERVAL_S:
            self._checkpointed_at = now
            with suppress(sqlite3.OperationalError):  # e.g. a full disk: the rows are in the log
                connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def _checked(self) -> sqlite3.Connection:
        """The open connection; if it is not to the file that is there now, a new one."""
        if self._open is not None and self._opened == self._identities():
            self._check(self._open)
            return self._open
        self.close()
        self._prepare()
        # before the file is opened, so that a change meanwhile is noticed
        file = _identity(self.path)
        self._open = self._connect(0.0)
        self._check(self._open)
        self._opened = file, self._identities()[1]  # the write-ahead log exists only now
        return self._open

    def _identities(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The identities of the file and its write-ahead log."""
        log = self.path.with_name(f"{self.path.name}-wal")
        return _identity(self.path), _identity(log)[:_STABLE]

    def _connect(self, timeout_s: float) -> sqlite3.Connection:
        # another thread may close the open connection: at exit, and before a fork
        connection = sqlite3.connect(
            self.path, timeout=timeout_s, isolation_level=None, check_same_thread=False
        )
        # one invalid byte must not hide all rows
        connection.text_factory = lambda text: text.decode("utf-8", "replace")
        connection.execute("PRAGMA trusted_schema = OFF")  # reads nothing
        return connection

    def _check(self, connection: sqlite3.Connection) -> None:
        """Migrate the file; refuse one that is newer or has code of others."""
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if not 0 <= version <= _MAX_VERSIONS:
            raise _Damaged("its schema version is invalid")
        if version > len(MIGRATIONS):
            raise sqlite3.NotSupportedError("it was written by a newer version of mountsea-magic")
        if version < len(MIGRATIONS):
            self._migrate(connection)
        if connection.execute(_SELECT_FOREIGN_CODE).fetchone() is not None:
            raise sqlite3.NotSupportedError(
                "it contains a view or trigger not created by mountsea-magic"
            )

    def _prepare(self) -> None:
        """Create the file with private permissions; cached, since it is slower than a query."""
        if self._prepared and self._prepared == _identity(self.path)[:_STABLE]:
            return
        private_folder(self.path.parent)
        private_file(self.path)
        for suffix in _SUFFIXES:  # SQLite copies the file's mode, but older ones may be wider
            restrict_to_owner(self.path.with_name(self.path.name + suffix))
        self._prepared = _identity(self.path)[:_STABLE]

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

    def _replace_and_use(self, use: Callable[[], T]) -> T:
        """Set the damaged file aside, unless another kernel has already replaced it."""
        try:
            return use()
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
        return use()


def _identity(path: Path) -> tuple[int, ...]:
    """Changes if the file is replaced, its permissions change or, after `_STABLE`, its content."""
    try:
        stat = path.stat()
    except OSError:
        return ()
    return stat.st_dev, stat.st_ino, stat.st_mode, stat.st_size, stat.st_mtime_ns


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


def _is_damage(error: sqlite3.DatabaseError | _Damaged | UnicodeDecodeError) -> bool:
    """Whether the file is damaged; SQLite's message then may not even be valid UTF-8."""
    if not isinstance(error, sqlite3.DatabaseError):
        return True
    # SQLITE_ERROR: our statements are valid, so the schema must be damaged
    codes = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR)
    return _code(error) in codes


def error_of_one_job(error: Exception) -> Exception | None:
    """Return the error to raise for one of several jobs, or None if it concerns the whole file.

    Args:
        error: What a statement of the job has raised.

    Example:
        >>> error_of_one_job(OverflowError("Python int too large to convert to SQLite INTEGER"))
        OverflowError('Python int too large to convert to SQLite INTEGER')
    """
    if not isinstance(error, sqlite3.Error):
        return None if isinstance(error, OSError | UnicodeDecodeError) else error
    own = (sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH)
    return JournalError(str(error)) if _code(error) in (0, *own) else None


def _code(error: sqlite3.Error) -> int:
    """The primary result code, without the extended code's higher bits; 0 for our own errors."""
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF
