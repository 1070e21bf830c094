"""Whether another process still runs, as its lock tells."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from hang import HANG_S

from mountsea_magic.runtime import file_lock, process_lock
from mountsea_magic.runtime.process_lock import has_ended, own_token

HOLD = """
import os, sys
from pathlib import Path
from mountsea_magic.runtime.process_lock import own_token
folder = Path(sys.argv[1])
os.write(1, f"{own_token(folder)}\\n".encode())
if len(sys.argv) > 2:
    os.fork()
    os.write(1, f"{own_token(folder)}\\n".encode())  # `print` writes the line's end on its own
sys.stdin.readline()
"""


def start(folder: Path, *arguments: str) -> tuple[subprocess.Popen[str], str]:
    """Start a process that holds its lock, and return its token."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def files(folder: Path) -> int:
    """Count the lock files."""
    return len(list(folder.glob("journal.owner-*.lock")))


@pytest.fixture(autouse=True)
def released() -> None:
    """Forget the locks of earlier tests."""
    process_lock._release_all()


def test_a_process_has_one_token(tmp_path: Path) -> None:
    """As long as its file is there; its own lock shows that it runs."""
    token = own_token(tmp_path)
    assert token is not None and own_token(tmp_path) == token
    assert not has_ended(tmp_path, token)
    (file,) = tmp_path.iterdir()
    assert file.stat().st_mode & 0o077 == 0
    file.unlink()
    other = own_token(tmp_path)
    assert other not in (None, token)
    process_lock._release_all()
    assert files(tmp_path) == 0


@pytest.mark.parametrize("how", ["killed", "exit"])
def test_a_process_that_has_ended_is_known(tmp_path: Path, how: str) -> None:
    """However it ended; its file is removed."""
    process, token = start(tmp_path)
    assert not has_ended(tmp_path, token)
    assert not has_ended(tmp_path, token)
    if how == "killed":
        process.send_signal(signal.SIGKILL)
    process.communicate("\n", timeout=HANG_S)
    assert has_ended(tmp_path, token)
    assert has_ended(tmp_path, token)
    assert files(tmp_path) == 0


def test_files_of_killed_processes_are_removed(tmp_path: Path) -> None:
    """When another process creates its own; those of running ones stay."""
    killed, _ = start(tmp_path)
    killed.send_signal(signal.SIGKILL)
    killed.communicate(timeout=HANG_S)
    running, token = start(tmp_path)
    assert own_token(tmp_path) is not None
    assert files(tmp_path) == 2
    assert not has_ended(tmp_path, token)
    running.communicate("\n", timeout=HANG_S)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_child_is_another_process(tmp_path: Path) -> None:
    """It has its own token, and does not hold its parent's lock."""
    process, token = start(tmp_path, "fork")
    assert process.stdout is not None
    tokens = {process.stdout.readline().strip() for _ in range(2)}
    assert token in tokens and len(tokens) == 2
    (child,) = tokens - {token}
    process.send_signal(signal.SIGKILL)
    process.wait(HANG_S)
    assert has_ended(tmp_path, token)
    assert not has_ended(tmp_path, child)
    process.communicate("\n")


@pytest.mark.parametrize(
    "token", ["", "x", "another-host 0123456789abcdef", "{host} ../x", "{host} "]
)
def test_an_unknown_token_may_be_of_a_running_process(tmp_path: Path, token: str) -> None:
    """Another machine's locks may not be seen, and another program may have written anything."""
    assert not has_ended(tmp_path, token.format(host=socket.gethostname()))


def test_without_locks_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On such a file system there is no token, and no file."""
    process, token = start(tmp_path)

    def refuse(descriptor: int) -> bool:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(process_lock, "try_lock", refuse)
    assert own_token(tmp_path) is None
    assert not has_ended(tmp_path, token)
    assert files(tmp_path) == 1
    assert own_token(tmp_path / "missing") is None
    process.communicate("\n", timeout=HANG_S)


def test_a_file_lock_works_without_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The block runs unlocked."""

    def refuse(descriptor: int) -> bool:
        raise OSError(95, "Operation not supported")

    monkeypatch.setattr(file_lock, "try_lock", refuse)
    with file_lock.file_lock(tmp_path / "keys.json.lock"):
        assert (tmp_path / "keys.json.lock").exists()
