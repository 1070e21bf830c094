"""The test suite itself: its command line, with and without pytest-xdist."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
from checkout import ROOT
from hang import HANG_S


def run_pytest(
    tmp_path: Path, *options: str, preexec_fn: Callable[[], object] | None = None
) -> str:
    """Run a part of the suite, which must pass, in a subprocess and return its output."""
    # with its own basetemp: pytest fails if several runs clean up a shared one at once
    command = [sys.executable, "-m", "pytest", f"--basetemp={tmp_path / 'inner'}", *options]
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=HANG_S, preexec_fn=preexec_fn
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("options", "workers"),
    [
        (["-p", "no:xdist"], None),
        (["-n", "0"], None),
        (["-n", "1"], "1"),
    ],
    ids=["without xdist", "one process", "one worker"],
)
def test_option_n_sets_the_number_of_workers(
    options: list[str], workers: str | None, tmp_path: Path
) -> None:
    """Without pytest-xdist, or with `-n 0`, everything runs in one process."""
    output = run_pytest(tmp_path, *options, "tests/generation/test_notices.py")
    created = re.search(r"(\d+) workers? ", output)
    assert (created and created[1]) == workers


def test_it_can_stop_processes_where_it_was_started_in_the_background(tmp_path: Path) -> None:
    """A shell starts `pytest &` with SIGINT ignored, which every process below would inherit."""
    test = "test_a_process_waits_at_exit_for_a_pending_submission"
    chosen = f"tests/generation/test_submit.py::{test}"
    ignore = partial(signal.signal, signal.SIGINT, signal.SIG_IGN)
    run_pytest(tmp_path, "-n", "1", chosen, preexec_fn=ignore)
