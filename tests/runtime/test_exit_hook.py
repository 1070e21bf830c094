"""Process exit: what it waits for, and for how long."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
from hang import HANG_S
from hub_server import SILENT, StandInHub

from mountsea_magic.runtime import exit_hook
from mountsea_magic.runtime.exit_hook import wait_for_submissions
from mountsea_magic.runtime.loop_thread import LoopThread

LEAVE = """
import mountsea_magic
from mountsea_magic.runtime import exit_hook
from IPython.core.interactiveshell import InteractiveShell
shell = InteractiveShell.instance()
mountsea_magic.load_ipython_extension(shell)
shell.run_cell_magic("mountsea", "-b -q", "a dog")
"""


def test_a_background_submission_is_sent_before_the_process_exits(hub: StandInHub) -> None:
    """The script ends right after the cell; the journal has the task id."""
    hub.ready_after_polls = 10**6
    # a long timeout, for slow machines; another test checks the timeout
    patient = LEAVE + "exit_hook.EXIT_TIMEOUT_S = 60.0\n"
    subprocess.run([sys.executable, "-c", patient], check=True, timeout=HANG_S)
    assert len(hub.posts) == 1
    code = (
        "from mountsea_magic.session import current_session\n"
        "print(current_session().open_tasks()[0].task_id)"
    )
    later = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert later.stdout == "hub-0001\n"


def test_a_hub_that_does_not_respond_does_not_block_the_exit(hub: StandInHub) -> None:
    """The process exits within seconds, although the request may have been accepted."""
    hub.submits.append(SILENT)
    impatient = LEAVE + "exit_hook.EXIT_TIMEOUT_S = 0.1\ninput()\n"
    process = subprocess.Popen([sys.executable, "-c", impatient], stdin=subprocess.PIPE)
    hub.wait_until(lambda: len(hub.posts) == 1)
    process.communicate(b"\n", timeout=HANG_S)
    assert (process.returncode, len(hub.posts)) == (0, 1)
    assert 0 < exit_hook.EXIT_TIMEOUT_S <= 5


def test_it_waits_until_submissions_have_ended_or_the_timeout(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The check is repeated until it returns False."""
    worker, checks = LoopThread(), list[bool]()
    worker.start(_nothing())

    def is_submitting() -> bool:
        checks.append(True)
        return len(checks) < 4

    wait_for_submissions(worker, is_submitting)
    assert len(checks) == 4
    monkeypatch.setattr(exit_hook, "EXIT_TIMEOUT_S", 0.1)
    started = time.monotonic()
    wait_for_submissions(worker, lambda: True)
    assert time.monotonic() - started >= 0.1


def test_without_a_loop_thread_it_does_not_wait() -> None:
    """It does not start one either."""
    worker = LoopThread()
    wait_for_submissions(worker, lambda: True)
    assert not worker.is_running


async def _nothing() -> None:
    """A job that starts the thread."""
