"""The file lock serializes threads and processes, and is released when a process dies."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mountsea_magic.runtime.file_lock import file_lock

HOLD = """
import sys
from pathlib import Path
from mountsea_magic.runtime.file_lock import file_lock
with file_lock(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_threads_are_serialized(tmp_path: Path) -> None:
    """No update is lost, and the lock file is removed."""
    number = tmp_path / "number"
    number.write_text("0")

    def add(_: int) -> None:
        with file_lock(tmp_path / "lock"):
            read = int(number.read_text())
            threading.Event().wait(0.001)
            number.write_text(str(read + 1))

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(24)))
    assert (number.read_text(), os.listdir(tmp_path)) == ("24", ["number"])


def test_a_lock_of_another_process_is_released_when_it_is_killed(tmp_path: Path) -> None:
    """The lock file that it leaves blocks nobody."""
    path = tmp_path / "lock"
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout is not None and holder.stdout.readline() == b"held\n"
        with pytest.raises(TimeoutError, match="another process"), file_lock(path, timeout_s=0.0):
            pass
        holder.kill()
    assert path.exists()
    with file_lock(path, timeout_s=0.0):
        assert path.exists()
    assert not path.exists()


def test_an_error_in_the_block_releases_the_lock(tmp_path: Path) -> None:
    """The block's error is raised."""
    with pytest.raises(KeyError), file_lock(tmp_path / "lock"):
        raise KeyError
    with file_lock(tmp_path / "lock", timeout_s=0.0):
        pass


@pytest.mark.skipif(os.name != "posix", reason="Windows has other locks")
def test_on_a_drive_without_locks_the_block_runs_unlocked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`flock` raises ENOLCK there."""

    def fail(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", fail)
    with file_lock(tmp_path / "lock", timeout_s=0.0):
        assert os.listdir(tmp_path) == ["lock"]


@pytest.mark.skipif(os.name != "posix", reason="symbolic links need privileges on Windows")
def test_a_link_at_the_locks_path_is_not_followed(tmp_path: Path) -> None:
    """Its target is not created."""
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError), file_lock(tmp_path / "lock", timeout_s=0.0):
        pass
    assert not (tmp_path / "elsewhere").exists()
