"""Several prompts in a cell: concurrency, order of outputs, and failures."""

from __future__ import annotations

from pathlib import Path

import pytest
from cells import FAILED, handles, prompts, run_cell
from hang import HANG_S
from hub_server import StandInHub, image, json_reply
from IPython.core.interactiveshell import InteractiveShell

from mountsea_magic.errors import (
    AuthenticationError,
    BatchFailed,
    InsufficientCredits,
    Interrupted,
    MountseaError,
)
from mountsea_magic.generation.admission import DEFAULT_CONCURRENCY as CONCURRENCY

SIX = "\n---\n".join(f"dog {number}" for number in range(6))


def test_prompts_run_concurrently(hub: StandInHub, shell: InteractiveShell) -> None:
    """Each prompt is submitted once, and results belong to their prompts."""
    hub.ready_after_polls = 10**6
    dogs = run_cell(shell, SIX, "-b")
    hub.wait_until(lambda: len({seen.path for seen in hub.polls_seen}) == CONCURRENCY)
    hub.ready_after_polls = 0
    for dog in dogs:
        dog.wait(HANG_S)
    assert sorted(prompts(hub)) == [f"dog {number}" for number in range(6)]
    assert [dog.prompt for dog in dogs] == [f"dog {number}" for number in range(6)]
    prompt_of = dict(zip(hub.task_ids, prompts(hub), strict=True))
    assert [prompt_of[str(dog.task_id)] for dog in dogs] == [dog.prompt for dog in dogs]
    assert all(len(dog) == 1 for dog in dogs)


def test_concurrency_is_limited(hub: StandInHub, shell: InteractiveShell) -> None:
    """The next prompt is submitted only when a task has ended."""
    hub.ready_after_polls = 10**6
    shell.run_cell_magic("mountsea", "-b -q -o dogs", SIX)  # type: ignore[no-untyped-call]  # as above
    hub.wait_until(lambda: len({seen.path for seen in hub.polls_seen}) == CONCURRENCY)
    assert len(hub.posts) == CONCURRENCY
    handles(shell)[0].cancel()
    hub.wait_until(lambda: len(hub.posts) == CONCURRENCY + 1)
    # from the last one on: each that ends frees a slot
    for dog in reversed(handles(shell)):
        dog.cancel()
    for dog in handles(shell):
        with pytest.raises(Interrupted):
            dog.wait(HANG_S)
    assert len(hub.posts) == CONCURRENCY + 1
    errors = [str(dog.error) for dog in handles(shell)]
    assert errors[5] == "Stopped before anything was submitted."
    assert all("charged if it completes" in text for text in errors[:5])


def test_a_failed_task_does_not_stop_the_others(
    hub: StandInHub, shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    """One error at the end counts what completed and what failed, and says how to try again."""
    hub.polls.append(FAILED)
    with pytest.raises(BatchFailed) as caught:
        run_cell(shell, SIX)
    dogs = handles(shell)
    (failed,) = [dog for dog in dogs if dog.error is not None]
    counts, reason, retry = str(caught.value).splitlines()
    assert counts == "1 of 6 requests failed, 5 completed:"
    assert reason.startswith("1 × TaskFailed: ") and "no dogs" in reason
    assert str(failed.task_id) in reason
    assert retry == "`dogs.retry_failed()` runs those without images again."
    assert caught.value.errors == [failed.error] and caught.value.batch is shell.user_ns["dogs"]
    assert sum(len(dog) for dog in dogs) == 5 and len(hub.posts) == 6
    assert capsys.readouterr().out.count(".png\n") == 5


def test_failed_requests_can_be_run_again(
    hub: StandInHub, shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    """`retry_failed` submits those anew that failed, and no others."""
    hub.polls.append(FAILED)
    with pytest.raises(BatchFailed):
        run_cell(shell, SIX)
    capsys.readouterr()
    assert len(shell.user_ns["dogs"].retry_failed().completed) == 6
    assert len(hub.posts) == 7 and capsys.readouterr().out.count("64×48") == 1


@pytest.mark.parametrize(
    ("status", "kind"), [(401, AuthenticationError), (402, InsufficientCredits)]
)
def test_an_error_that_affects_all_prompts_stops_submissions(
    hub: StandInHub, shell: InteractiveShell, status: int, kind: type[MountseaError]
) -> None:
    """At most those already in progress are submitted; the others are skipped."""
    hub.submits += [json_reply({"message": "no"}, status)] * 20
    with pytest.raises(kind):
        run_cell(shell, "\n---\n".join("abcdefghijkl"))
    assert len(hub.posts) <= CONCURRENCY
    unsent = [dog for dog in handles(shell) if dog.status == "skipped"]
    assert len(unsent) == 12 - len(hub.posts)
    assert all(
        "Skipped, because an earlier prompt in this cell failed: " in str(dog.error)
        and dog.task_id is None
        for dog in unsent
    )


def test_results_are_shown_in_the_order_of_the_prompts(
    hub: StandInHub, shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    """Not in the order of completion."""
    hub.ready_after_polls = 1
    hub.polls += [{"status": "processing"}] * 2
    dogs = run_cell(shell, "a dog\n---\na cat\n---\na cow")
    output = capsys.readouterr().out
    positions = [output.index(str(dog[0].path)) for dog in dogs]
    assert positions == sorted(positions)


def test_a_reason_is_said_once(hub: StandInHub, shell: InteractiveShell) -> None:
    """With the number of requests that failed for it."""
    hub.polls += [FAILED, FAILED]
    with pytest.raises(BatchFailed) as caught:
        run_cell(shell, "a dog\n---\na cat")
    counts, reason, _ = str(caught.value).splitlines()
    assert counts == "2 of 2 requests failed, 0 completed:"
    assert reason.startswith("2 × TaskFailed: ") and "no dogs" in reason


@pytest.mark.parametrize("line", ["", "-b"])
def test_save_copies_the_images_of_all_prompts(
    hub: StandInHub, shell: InteractiveShell, tmp_path: Path, line: str
) -> None:
    """Also in the background."""
    folder = tmp_path / "copies"
    for dog in run_cell(shell, "a dog\n---\na cat", f"-n 2 -q --save {folder} {line}"):
        dog.wait(HANG_S)
    contents = sorted(path.read_bytes() for path in folder.iterdir())
    assert contents == sorted([image("png", 0), image("png", 1)] * 2)
