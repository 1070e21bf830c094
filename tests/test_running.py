"""Running a cell: what is bound and said at once, in the background and after a Stop."""

from __future__ import annotations

import json

import pytest
from cells import FAILED, handles, prompts, run_cell
from hub_server import StandInHub, json_reply
from IPython.core.interactiveshell import InteractiveShell

from mountsea_magic.errors import (
    AuthenticationError,
    Interrupted,
    TaskFailed,
)


def test_a_quiet_cell_says_nothing(
    hub: StandInHub, shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    """On success; what goes wrong is still raised."""
    capsys.readouterr()
    run_cell(shell, "a dog\n---\na cat", "-q")
    assert capsys.readouterr() == ("", "")
    hub.looks.append(FAILED)
    with pytest.raises(TaskFailed):
        run_cell(shell, "a dog", "-q")


def test_the_handles_are_bound_before_anything_is_sent(
    hub: StandInHub, shell: InteractiveShell
) -> None:
    """They are there after a failure; the last is `_mountsea`."""
    hub.submits += [json_reply({"message": "bad key"}, 401)] * 2
    with pytest.raises(AuthenticationError):
        run_cell(shell, "a dog\n---\na cat")
    dogs = handles(shell)
    assert [dog.prompt for dog in dogs] == ["a dog", "a cat"]
    assert shell.user_ns["_mountsea"] is dogs[1]


def test_what_is_unfinished_in_the_background_is_named(
    hub: StandInHub, shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bare `%mountsea` lists it while it runs and after its wait was cancelled."""
    hub.ready_after_looks = 10**6
    (dog,) = run_cell(shell, "a dog", "-b -q")
    hub.wait_until(lambda: len(hub.looks_seen) >= 1)
    shell.run_line_magic("mountsea", "")
    assert "open tasks: 1\n  hub-0001 " in capsys.readouterr().out
    dog.cancel()
    with pytest.raises(Interrupted):
        dog.wait(20)
    shell.run_line_magic("mountsea", "")
    assert "hub-0001" in capsys.readouterr().out
    hub.ready_after_looks = 0
    shell.run_line_magic("mountsea", "resume hub-0001")
    assert len(dog) == 1 and len(hub.posts) == 1 and json.dumps(prompts(hub)) == '["a dog"]'
