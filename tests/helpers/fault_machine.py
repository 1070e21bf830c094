"""Faults on the user's machine: full disk, damaged or locked journal, blocked folders."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

from fault_layer import FaultLayer, fill_disk


class Machine:
    """Causes one random fault in a MOUNTSEA_HOME folder.

    Args:
        home: The folder.
        layer: Logs what happens, and has the random number generator.

    Attributes:
        may_lose_entries: Whether entries of the journal may be lost.
        may_warn: Whether the journal may be unusable for so long that a warning is shown.
    """

    def __init__(self, home: Path, layer: FaultLayer) -> None:
        self.may_lose_entries = self.may_warn = False
        self._home, self._journal, self._layer = home, home / "journal.sqlite", layer
        self._rng = layer.rng
        self._locks: list[sqlite3.Connection] = []
        self._obstacles: list[Path] = []

    async def break_down(self) -> None:
        """Cause one fault at a random time."""
        await asyncio.sleep(self._rng.choice((0.0, 0.0, 1.0, 20.0)) * self._rng.random())
        fault = self._rng.choice(
            (
                *(self._lock, self._lock, self._damage, self._damage, self._damage),
                *(self._delete, self._block, self._block_originals, self._fill),
            )
        )
        self._layer.note(f"machine: {fault.__name__}")
        hold_s = fault()
        if hold_s:
            try:
                await asyncio.sleep(hold_s)
            finally:
                self._unlock()

    def repair(self) -> None:
        """Undo the fault; lost data stays lost."""
        self._unlock()
        fill_disk(False)
        for obstacle in self._obstacles:
            obstacle.rmdir() if obstacle.is_dir() else obstacle.unlink()
        self._obstacles.clear()

    def _lock(self) -> float:
        """Lock the journal for a while, or for good, as another process may."""
        if not self._journal.is_file():
            return 0.0
        lock = sqlite3.connect(self._journal, isolation_level=None)
        lock.execute("BEGIN EXCLUSIVE")
        self._locks.append(lock)
        long = self._rng.random() < 0.1
        self.may_warn = self.may_warn or long
        return 0.0 if long else self._rng.uniform(0.1, 2.0)

    def _damage(self) -> float:
        """Overwrite parts of the journal, or truncate it."""
        if not self._journal.is_file():
            return 0.0
        self.may_lose_entries = True
        content = bytearray(self._journal.read_bytes())
        how = self._rng.choice(("bytes", "bytes", "head", "zero", "page", "end", "other"))
        if how == "bytes":
            for _ in range(self._rng.choice((1, 20, 2000))):
                content[self._rng.randrange(len(content))] = self._rng.randrange(256)
        elif how == "head":
            content[: self._rng.choice((4, 16, 100))] = self._rng.randbytes(16)
        elif how == "zero":
            content[:] = bytes(len(content))
        elif how == "page":
            start = self._rng.randrange(len(content)) // 4096 * 4096
            content[start : start + 4096] = self._rng.randbytes(4096)
        elif how == "end":
            del content[self._rng.randrange(len(content)) :]
        else:
            content = bytearray(b"this is no journal " * 99)
        self._journal.write_bytes(content)
        return 0.0

    def _delete(self) -> float:
        """Delete the journal."""
        self.may_lose_entries = True
        self._journal.unlink(missing_ok=True)
        return 0.0

    def _block(self) -> float:
        """Replace the journal by a folder."""
        self.may_lose_entries = self.may_warn = True
        self._journal.unlink(missing_ok=True)
        self._journal.mkdir(parents=True)
        self._obstacles.append(self._journal)
        return 0.0

    def _block_originals(self) -> float:
        """Create a file in place of the folder of originals."""
        originals = self._home / "originals"
        if not originals.exists():
            self._home.mkdir(parents=True, exist_ok=True)
            originals.write_bytes(b"")
            self._obstacles.append(originals)
        return 0.0

    def _fill(self) -> float:
        """Fill the disk."""
        self.may_warn = True
        fill_disk(True)
        return 0.0

    def _unlock(self) -> None:
        for lock in self._locks:
            lock.rollback()
            lock.close()
        self._locks.clear()
