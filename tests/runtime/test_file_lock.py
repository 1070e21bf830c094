"""The file lock: one after the other, whether threads or processes, and whoever dies."""

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


def test_one_after_the_other(tmp_path: Path) -> None:
    """No change between a read and a write is lost, and nothing is left behind."""
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


def test_another_process_is_waited_for_and_its_death_is_noticed(tmp_path: Path) -> None:
    """What a killed process leaves keeps nobody out."""
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


def test_an_error_in_the_block_gives_the_lock_back(tmp_path: Path) -> None:
    """It is the block's error that is raised."""
    with pytest.raises(KeyError), file_lock(tmp_path / "lock"):
        raise KeyError
    with file_lock(tmp_path / "lock", timeout_s=0.0):
        pass


@pytest.mark.skipif(os.name != "posix", reason="Windows has other locks")
def test_a_drive_without_locks_is_worked_on_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As before there were locks."""

    def fail(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", fail)
    with file_lock(tmp_path / "lock", timeout_s=0.0):
        assert os.listdir(tmp_path) == ["lock"]


@pytest.mark.skipif(os.name != "posix", reason="Windows has no such links for everybody")
def test_a_link_in_the_locks_place_is_not_followed(tmp_path: Path) -> None:
    """Nothing is made, and nothing changed, where it leads."""
    (tmp_path / "lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError), file_lock(tmp_path / "lock", timeout_s=0.0):
        pass
    assert not (tmp_path / "elsewhere").exists()
