"""A process that ends: what it waits for, and for how long."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest
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


def test_an_order_in_the_background_leaves_before_its_process_does(hub: StandInHub) -> None:
    """A script that ends right after the cell has ordered, and the journal knows the task."""
    hub.ready_after_polls = 10**6
    # however slow the machine is: how long it waits at most is another test's matter
    patient = LEAVE + "exit_hook.EXIT_TIMEOUT_S = 60.0\n"
    subprocess.run([sys.executable, "-c", patient], check=True, timeout=60)
    assert len(hub.posts) == 1
    code = (
        "from mountsea_magic.session import current_session\n"
        "print(current_session().open_tasks()[0].task_id)"
    )
    asked = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert asked.stdout == "hub-0001\n"


def test_a_hub_that_does_not_answer_does_not_hold_it(hub: StandInHub) -> None:
    """The order may have been taken; the process ends all the same, within seconds."""
    hub.submits.append(SILENT)
    impatient = LEAVE + "exit_hook.EXIT_TIMEOUT_S = 0.1\ninput()\n"
    process = subprocess.Popen([sys.executable, "-c", impatient], stdin=subprocess.PIPE)
    hub.wait_until(lambda: len(hub.posts) == 1, timeout_s=30)
    process.communicate(b"\n", timeout=60)
    assert (process.returncode, len(hub.posts)) == (0, 1)
    assert 0 < exit_hook.EXIT_TIMEOUT_S <= 5


def test_what_has_begun_is_waited_for_and_no_longer(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked again and again, up to the limit."""
    worker, asked = LoopThread(), list[bool]()
    worker.start(_nothing())

    def begun() -> bool:
        asked.append(True)
        return len(asked) < 4

    wait_for_submissions(worker, begun)
    assert len(asked) == 4
    monkeypatch.setattr(exit_hook, "EXIT_TIMEOUT_S", 0.1)
    started = time.monotonic()
    wait_for_submissions(worker, lambda: True)
    assert time.monotonic() - started >= 0.1


def test_without_a_thread_there_is_nothing_to_wait_for() -> None:
    """And none is started for it."""
    worker = LoopThread()
    wait_for_submissions(worker, lambda: True)
    assert not worker.is_running


async def _nothing() -> None:
    """A job that starts the thread."""
