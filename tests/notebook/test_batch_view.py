"""A cell's generations at once: how many, in which order, and what one that fails does."""

from __future__ import annotations

from pathlib import Path

import pytest
from cells import FAILED, handles, prompts, run_cell
from hub_server import StandInHub, image, json_reply
from IPython.core.interactiveshell import InteractiveShell

from mountsea_magic.errors import (
    AuthenticationError,
    InsufficientCredits,
    Interrupted,
    MountseaError,
    TaskFailed,
)
from mountsea_magic.notebook.batch_view import AT_ONCE

SIX = "\n---\n".join(f"dog {number}" for number in range(6))


def test_several_prompts_run_at_once_but_not_all(hub: StandInHub, shell: InteractiveShell) -> None:
    """A few tasks wait side by side; each prompt is ordered once, and none is mixed up."""
    hub.ready_after_polls = 10**6
    dogs = run_cell(shell, SIX, "-b")
    hub.wait_until(lambda: len({seen.path for seen in hub.polls_seen}) == AT_ONCE)
    hub.ready_after_polls = 0
    for dog in dogs:
        dog.wait(20)
    assert sorted(prompts(hub)) == [f"dog {number}" for number in range(6)]
    assert [dog.prompt for dog in dogs] == [f"dog {number}" for number in range(6)]
    orders = dict(zip(hub.task_ids, prompts(hub), strict=True))
    assert [orders[str(dog.task_id)] for dog in dogs] == [dog.prompt for dog in dogs]
    assert all(len(dog) == 1 for dog in dogs)


def test_no_more_than_a_few_tasks_wait_at_once(hub: StandInHub, shell: InteractiveShell) -> None:
    """The others are ordered only when one of them has ended."""
    hub.ready_after_polls = 10**6
    shell.run_cell_magic("mountsea", "-b -q -o dogs", SIX)  # type: ignore[no-untyped-call]  # as above
    hub.wait_until(lambda: len({seen.path for seen in hub.polls_seen}) == AT_ONCE)
    assert len(hub.posts) == AT_ONCE
    handles(shell)[0].cancel()
    hub.wait_until(lambda: len(hub.posts) == AT_ONCE + 1)
    # from the last one on: each that ends makes room for the next
    for dog in reversed(handles(shell)):
        dog.cancel()
    for dog in handles(shell):
        with pytest.raises(Interrupted):
            dog.wait(20)
    assert len(hub.posts) == AT_ONCE + 1
    said = [str(dog.error) for dog in handles(shell)]
    assert said[5] == "Stopped before anything was ordered."
    assert all("charged if it completes" in text for text in said[:5])


def test_one_that_fails_does_not_stop_the_others(
    hub: StandInHub, shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its error is raised once all have ended, with its prompt's number; the rest is shown."""
    hub.polls.append(FAILED)
    with pytest.raises(TaskFailed, match=r"^Prompt \d: .*no dogs") as caught:
        run_cell(shell, SIX)
    dogs = handles(shell)
    failed = [dog for dog in dogs if dog.error is not None]
    assert [dog.task_id for dog in failed] == [caught.value.task_id]
    assert f"Prompt {dogs.index(failed[0]) + 1}: " in str(caught.value)
    assert sum(len(dog) for dog in dogs) == 5 and len(hub.posts) == 6
    assert capsys.readouterr().out.count(".png\n") == 5


@pytest.mark.parametrize(
    ("status", "kind"), [(401, AuthenticationError), (402, InsufficientCredits)]
)
def test_a_hopeless_error_leaves_the_others_unsent(
    hub: StandInHub, shell: InteractiveShell, status: int, kind: type[MountseaError]
) -> None:
    """What fails for all in the same way is not tried for each: only those on their way are."""
    hub.submits += [json_reply({"message": "no"}, status)] * 20
    with pytest.raises(kind):
        run_cell(shell, "\n---\n".join("abcdefghijkl"))
    assert len(hub.posts) <= AT_ONCE
    unsent = [dog for dog in handles(shell) if dog.status == "not ordered"]
    assert len(unsent) == 12 - len(hub.posts)
    assert all("Not ordered" in str(dog.error) and dog.task_id is None for dog in unsent)


def test_images_are_told_in_the_prompts_order(
    hub: StandInHub, shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whichever is ready first."""
    hub.ready_after_polls = 1
    hub.polls += [{"status": "processing"}] * 2
    dogs = run_cell(shell, "a dog\n---\na cat\n---\na cow")
    said = capsys.readouterr().out
    places = [said.index(str(dog[0].path)) for dog in dogs]
    assert places == sorted(places)


def test_several_errors_are_told_together(hub: StandInHub, shell: InteractiveShell) -> None:
    """The first has its type, and all have their prompt's number."""
    hub.polls += [FAILED, FAILED]
    with pytest.raises(TaskFailed) as caught:
        run_cell(shell, "a dog\n---\na cat")
    first, second = str(caught.value).splitlines()
    assert first.startswith("Prompt 1: ") and second.startswith("Prompt 2: ")


@pytest.mark.parametrize("line", ["", "-b"])
def test_copies_are_made_of_each_prompts_images(
    hub: StandInHub, shell: InteractiveShell, tmp_path: Path, line: str
) -> None:
    """In the folder that was named, also in the background."""
    folder = tmp_path / "kept"
    for dog in run_cell(shell, "a dog\n---\na cat", f"-n 2 -q --save {folder} {line}"):
        dog.wait(20)
    contents = sorted(path.read_bytes() for path in folder.iterdir())
    assert contents == sorted([image("png", 0), image("png", 1)] * 2)
