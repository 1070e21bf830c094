"""The suite itself: how its command line is understood, with pytest-xdist and without it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from functools import partial

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


def test_it_can_stop_processes_where_it_was_started_in_the_background() -> None:
    """A shell starts `pytest &` with SIGINT ignored, which every process below would inherit."""
    chosen = "tests/test_ordering.py::test_a_process_that_ends_in_mid_flight_still_learns_its_task"
    command = [sys.executable, "-m", "pytest", "-n", "1", chosen]
    ignore = partial(signal.signal, signal.SIGINT, signal.SIG_IGN)
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, preexec_fn=ignore
    )
    assert done.returncode == 0, done.stdout + done.stderr
