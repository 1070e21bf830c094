"""What goes wrong on the user's own machine: the disk, the journal, the folders."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

from fault_layer import FaultLayer, fill_disk


class Machine:
    """A machine with a home folder in which one thing goes wrong.

    Attributes:
        forgetful: Whether entries of the journal may be gone without anybody's fault.
        mute: Whether the journal may be out of use for so long that this is said.
    """

    def __init__(self, home: Path, layer: FaultLayer) -> None:
        """Break nothing yet."""
        self.forgetful = self.mute = False
        self._home, self._journal, self._layer = home, home / "journal.sqlite", layer
        self._rng = layer.rng
        self._locks: list[sqlite3.Connection] = []
        self._obstacles: list[Path] = []

    async def break_down(self) -> None:
        """Do one thing at a random moment."""
        await asyncio.sleep(self._rng.choice((0.0, 0.0, 1.0, 20.0)) * self._rng.random())
        trouble = self._rng.choice(
            (
                *(self._lock, self._lock, self._damage, self._damage, self._damage),
                *(self._delete, self._block, self._block_originals, self._fill),
            )
        )
        self._layer.note(f"machine: {trouble.__name__}")
        hold_s = trouble()
        if hold_s:
            try:
                await asyncio.sleep(hold_s)
            finally:
                self._unlock()

    def mend(self) -> None:
        """End all that is wrong; what is lost stays lost."""
        self._unlock()
        fill_disk(False)
        for obstacle in self._obstacles:
            obstacle.rmdir() if obstacle.is_dir() else obstacle.unlink()
        self._obstacles.clear()

    def _lock(self) -> float:
        """Another process writes for a while, or hangs while it does."""
        if not self._journal.is_file():
            return 0.0
        lock = sqlite3.connect(self._journal, isolation_level=None)
        lock.execute("BEGIN EXCLUSIVE")
        self._locks.append(lock)
        long = self._rng.random() < 0.1
        self.mute = self.mute or long
        return 0.0 if long else self._rng.uniform(0.1, 2.0)

    def _damage(self) -> float:
        """Bytes of the file are overwritten, or its end is gone."""
        if not self._journal.is_file():
            return 0.0
        self.forgetful = True
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
        """Somebody tidies up."""
        self.forgetful = True
        self._journal.unlink(missing_ok=True)
        return 0.0

    def _block(self) -> float:
        """The journal can't be had: a folder stands in its place."""
        self.forgetful = self.mute = True
        self._journal.unlink(missing_ok=True)
        self._journal.mkdir(parents=True)
        self._obstacles.append(self._journal)
        return 0.0

    def _block_originals(self) -> float:
        """The folder of the originals can't be had: a file stands in its place."""
        originals = self._home / "originals"
        if not originals.exists():
            self._home.mkdir(parents=True, exist_ok=True)
            originals.write_bytes(b"")
            self._obstacles.append(originals)
        return 0.0

    def _fill(self) -> float:
        """The disk is full, for a while or for good."""
        self.mute = True
        fill_disk(True)
        return 0.0

    def _unlock(self) -> None:
        for lock in self._locks:
            lock.rollback()
            lock.close()
        self._locks.clear()
