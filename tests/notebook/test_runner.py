"""Running a cell: handles, background runs and interrupts."""

from __future__ import annotations

import json
import threading

import pytest
from cells import FAILED, handles, prompts, run_cell
from hang import HANG_S
from hub_server import Reply, StandInHub, json_reply
from IPython.core.interactiveshell import InteractiveShell

from mountsea_magic import session
from mountsea_magic.errors import (
    AuthenticationError,
    DownloadFailed,
    Interrupted,
    MountseaError,
    TaskFailed,
)
from mountsea_magic.generation.events import Event
from mountsea_magic.generation.handle import Generation
from mountsea_magic.notebook.cell_run import CellRun


def test_a_quiet_cell_prints_nothing(
    hub: StandInHub, shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    """On success; errors are still raised."""
    capsys.readouterr()
    run_cell(shell, "a dog\n---\na cat", "-q")
    assert capsys.readouterr() == ("", "")
    hub.polls.append(FAILED)
    with pytest.raises(TaskFailed):
        run_cell(shell, "a dog", "-q")


def test_the_handles_are_bound_before_anything_is_sent(
    hub: StandInHub, shell: InteractiveShell
) -> None:
    """They exist after a failure; the batch of them is `_mountsea`, too."""
    hub.submits += [json_reply({"message": "bad key"}, 401)] * 2
    with pytest.raises(AuthenticationError):
        run_cell(shell, "a dog\n---\na cat")
    dogs = handles(shell)
    assert [dog.prompt for dog in dogs] == ["a dog", "a cat"]
    assert shell.user_ns["_mountsea"] is shell.user_ns["dogs"]


def test_the_status_lists_open_background_tasks(
    hub: StandInHub, shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    """While they run, and after their wait was cancelled."""
    hub.ready_after_polls = 10**6
    (dog,) = run_cell(shell, "a dog", "-b -q")
    hub.wait_until(lambda: len(hub.polls_seen) >= 1)
    shell.run_line_magic("mountsea", "")
    assert "open tasks: 1\n  hub-0001 " in capsys.readouterr().out
    dog.cancel()
    with pytest.raises(Interrupted):
        dog.wait(HANG_S)
    shell.run_line_magic("mountsea", "")
    assert "hub-0001" in capsys.readouterr().out
    hub.ready_after_polls = 0
    shell.run_line_magic("mountsea", "resume hub-0001")
    assert len(dog) == 1 and len(hub.posts) == 1 and json.dumps(prompts(hub)) == '["a dog"]'


@pytest.mark.parametrize("prompt_count", [1, 2])
def test_errors_of_quiet_background_cells_are_printed(
    hub: StandInHub,
    shell: InteractiveShell,
    capsys: pytest.CaptureFixture[str],
    prompt_count: int,
) -> None:
    """There is no cell in which they could be raised."""
    hub.ending = "failed"
    for dog in run_cell(shell, "\n---\n".join(["a dog"] * prompt_count), "-b -q"):
        with pytest.raises(TaskFailed):
            dog.wait(HANG_S)
    output = capsys.readouterr()
    assert output.out == "" and output.err.count("TaskFailed: ") == prompt_count


def test_resume_waits_for_a_background_generation(
    hub: StandInHub,
    shell: InteractiveShell,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its images are downloaded once and shown here too."""
    hub.ready_after_polls = 10**6
    (dog,) = run_cell(shell, "a dog", "-b")
    hub.wait_until(lambda: len(hub.polls_seen) >= 1)
    wait = Generation.wait

    def ready_once_waited_for(generation: Generation, timeout: float | None = None) -> Generation:
        hub.ready_after_polls = 0
        return wait(generation, timeout)

    monkeypatch.setattr(Generation, "wait", ready_once_waited_for)
    shell.run_line_magic("mountsea", "resume")
    assert "runs in the background" in capsys.readouterr().out
    assert dog.wait(HANG_S) is dog and dog.error is None
    assert (len(hub.posts), len(hub.downloads_seen)) == (1, 1)
    assert len(list(dog[0].path.parent.iterdir())) == 1


def test_an_interrupt_after_completion_loses_nothing(
    hub: StandInHub, shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the folder of the images, and no handle fails."""

    def stopped(self: CellRun) -> None:
        monkeypatch.setattr(CellRun, "close", close)
        raise KeyboardInterrupt

    close = CellRun.close
    monkeypatch.setattr(CellRun, "close", stopped)
    with pytest.raises(Interrupted, match=r"^Stopped\. The images are in "):
        shell.run_cell_magic("mountsea", "-o dogs", "a dog\n---\na cat")  # type: ignore[no-untyped-call]  # IPython is untyped
    assert [dog.wait(0).status for dog in handles(shell)] == ["completed", "completed"]


def test_an_interrupt_before_the_submission_submits_nothing(
    hub: StandInHub, shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A wait for a job that never started ends at once."""

    def stopped(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(session.current_session().worker, "join", stopped)
        with pytest.raises(Interrupted, match="Stopped before anything was submitted"):
            run_cell(shell, "a dog")
    (dog,) = handles(shell)
    with pytest.raises(Interrupted):
        dog.wait(HANG_S)
    assert hub.requests == [] and session.current_session().open == []


def test_an_interrupt_during_rate_limiting_leaves_nothing_open(
    hub: StandInHub, shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A submission that got a 429 was not accepted: there is nothing to resume."""
    postponed, take = threading.Event(), Generation.take

    def taken(dog: Generation, event: Event) -> None:
        take(dog, event)
        if dog.status == "postponed":
            postponed.set()

    monkeypatch.setattr(Generation, "take", taken)
    hub.submits += [json_reply({"message": "slow down"}, 429, headers={"Retry-After": "20"})] * 3
    (dog,) = run_cell(shell, "a dog", "-b")
    assert postponed.wait(HANG_S)
    assert session.current_session().open == [dog]
    dog.cancel()
    with pytest.raises(Interrupted, match="Stopped before anything was submitted"):
        dog.wait(HANG_S)
    assert session.current_session().open == [] and len(hub.posts) == 1


def test_a_failed_download_keeps_the_handle_open(hub: StandInHub, shell: InteractiveShell) -> None:
    """Its status is `not downloaded`, and the task can be resumed."""
    hub.downloads += [Reply(500)] * 9
    with pytest.raises(DownloadFailed):
        run_cell(shell, "a dog")
    (dog,) = handles(shell)
    assert dog.status == "not downloaded" and session.current_session().open == [dog]
    with pytest.raises(MountseaError, match="not downloaded"):
        dog.save("anywhere")
    hub.downloads.clear()
    shell.run_line_magic("mountsea", "resume")
    assert len(dog) == 1 and dog.status == "completed" and len(hub.posts) == 1
