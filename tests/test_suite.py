"""The suite itself: how its command line is understood, with pytest-xdist and without it."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from checkout import ROOT


@pytest.mark.parametrize(
    ("options", "workers"),
    [
        (["-p", "no:xdist"], None),
        (["-n", "0"], None),
        (["-n", "1"], "1"),
    ],
    ids=["without xdist", "one process", "one worker"],
)
def test_the_command_line_says_how_many_processes_run(
    options: list[str], workers: str | None
) -> None:
    """Without pytest-xdist everything runs in one process; what is asked for is what runs."""
    command = [sys.executable, "-m", "pytest", *options, "tests/test_notices.py"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    created = re.search(r"(\d+) workers? ", done.stdout)
    assert (created and created[1]) == workers
