"""Before a large order: the question, who can answer it, what does not count, and the budget."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from cells import run_cell
from hang import HANG_S
from hub_server import KEY, StandInHub, json_reply
from IPython.core.error import StdinNotImplementedError
from IPython.core.interactiveshell import InteractiveShell
from kernel_driver import Kernel

from mountsea_magic.errors import (
    BatchFailed,
    BudgetExceeded,
    Interrupted,
    InvalidRequest,
    TaskFailed,
)
from mountsea_magic.generation.budget import Budget
from mountsea_magic.hub.client import HubClient
from mountsea_magic.notebook import confirm
from mountsea_magic.session import Session

MANY = "-q --grid seed=1..17"
"""One image more than a cell orders without asking."""


class Keyboard:
    """Answers questions, and keeps them.

    Attributes:
        answer: The next answers.
        questions: What was asked.
    """

    def __init__(self) -> None:
        self.answer: str | Exception = "y"
        self.questions: list[str] = []

    def __call__(self, question: str = "") -> str:
        """Keep a question, and answer it."""
        self.questions.append(question)
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def keyboard(monkeypatch: pytest.MonkeyPatch) -> Keyboard:
    """Replace `input`."""
    typed = Keyboard()
    monkeypatch.setattr(builtins, "input", typed)
    return typed


@pytest.fixture
def attended(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Return what makes the shell one of a notebook, in which somebody can answer or nobody."""

    def set_front(attended: bool) -> None:
        front = SimpleNamespace(notebook=True, attended=attended)
        monkeypatch.setattr(confirm, "front_end", lambda _: front)

    return set_front


def test_a_large_order_is_confirmed_once(
    hub: StandInHub, shell: InteractiveShell, keyboard: Keyboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The question has the requests, the images and the credits left."""
    hub.credits = 1234
    monkeypatch.setenv("MOUNTSEA_CREDITS_URL", hub.credits_url)
    batch = run_cell(shell, "a dog", "-q --grid seed=1..6 -n 3")
    assert keyboard.questions == ["Submit 6 requests for 18 images (1,234 credits left)? [y/N] "]
    assert len(hub.posts) == len(batch) == 6


@pytest.mark.parametrize("answer", ["y", "Y", " yes ", "YES"])
def test_yes_submits(
    hub: StandInHub, shell: InteractiveShell, keyboard: Keyboard, answer: str
) -> None:
    """Without a known credits URL the question has no credits, and nothing else is requested."""
    keyboard.answer = answer
    run_cell(shell, "a dog", MANY)
    assert keyboard.questions == ["Submit 17 requests for 17 images? [y/N] "]
    assert len(hub.posts) == 17


@pytest.mark.parametrize("answer", ["", "n", "no", "yess", "17"])
@pytest.mark.parametrize("line", [MANY, f"{MANY} -b"])
def test_any_other_answer_cancels(
    hub: StandInHub, shell: InteractiveShell, keyboard: Keyboard, answer: str, line: str
) -> None:
    """With a short error: nothing is sent or bound, also of a background cell."""
    keyboard.answer = answer
    with pytest.raises(Interrupted, match=r"^Cancelled\. Nothing was sent\.$"):
        run_cell(shell, "a dog", line)
    assert hub.posts == [] and "dogs" not in shell.user_ns and "_mountsea" not in shell.user_ns


@pytest.mark.parametrize(
    "line", ["--grid seed=1..16", f"{MANY} --yes", f"{MANY} -y", f"{MANY} --dry-run"]
)
def test_small_orders_yes_and_dry_runs_do_not_ask(
    hub: StandInHub, shell: InteractiveShell, keyboard: Keyboard, line: str
) -> None:
    """Sixteen images are no large order."""
    if "--dry-run" in line:
        shell.run_cell_magic("mountsea", line, "a dog")  # type: ignore[no-untyped-call]  # IPython is untyped
    else:
        run_cell(shell, "a dog", f"-q {line}")
    assert keyboard.questions == []


@pytest.mark.parametrize(
    "error", [EOFError(), StdinNotImplementedError(), OSError("reading from stdin"), None]
)
def test_where_nobody_can_answer_the_cell_is_refused(
    hub: StandInHub,
    shell: InteractiveShell,
    keyboard: Keyboard,
    attended: Callable[[bool], None],
    error: Exception | None,
) -> None:
    """As in nbclient, papermill or a script without standard input; the error names --yes."""
    if error is None:
        attended(False)
    else:
        keyboard.answer = error
    with pytest.raises(InvalidRequest, match=r"17 requests for 17 images.* --yes .*Nothing was"):
        run_cell(shell, "a dog", MANY)
    assert hub.posts == [] and len(keyboard.questions) == (error is not None)


def test_a_notebook_with_a_keyboard_is_asked(
    hub: StandInHub,
    shell: InteractiveShell,
    keyboard: Keyboard,
    attended: Callable[[bool], None],
) -> None:
    """On the kernel's standard input."""
    attended(True)
    keyboard.answer = "n"
    with pytest.raises(Interrupted):
        run_cell(shell, "a dog", MANY)
    assert len(keyboard.questions) == 1


def test_config_sets_the_limit(
    hub: StandInHub, shell: InteractiveShell, keyboard: Keyboard
) -> None:
    """0 asks before every order."""
    shell.run_line_magic("config", "MountseaMagics.confirm_above = 0")
    run_cell(shell, "a dog", "-q")
    assert keyboard.questions == ["Submit 1 request for 1 image? [y/N] "]


def test_answers_from_the_journal_do_not_count(
    hub: StandInHub, shell: InteractiveShell, keyboard: Keyboard
) -> None:
    """Seeded requests that completed before, --cache and completed keys; --fresh orders anew."""
    run_cell(shell, "a dog", f"{MANY} --yes")
    run_cell(shell, "a dog", MANY)
    run_cell(shell, "a cat", "-q --grid aspect_ratio=1:1,16:9 --idempotency-key cats")
    shell.run_line_magic("config", "MountseaMagics.confirm_above = 1")
    run_cell(shell, "a cat", "-q --grid aspect_ratio=1:1,16:9 --cache")
    run_cell(shell, "a cat", "-q --grid aspect_ratio=1:1,16:9 --idempotency-key cats")
    assert keyboard.questions == [] and len(hub.posts) == 19
    run_cell(shell, "a dog", "-q --grid seed=15..19")
    assert keyboard.questions == ["Submit 2 requests for 2 images? [y/N] "]
    run_cell(shell, "a dog", f"{MANY} --fresh")
    assert keyboard.questions[1:] == ["Submit 17 requests for 17 images? [y/N] "]
    assert len(hub.posts) == 19 + 2 + 17


def test_the_demo_hub_never_asks(
    shell: InteractiveShell, keyboard: Keyboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It charges nothing."""
    monkeypatch.setenv("MOUNTSEA_BASE_URL", "demo:")
    monkeypatch.setenv("MOUNTSEA_BUDGET", "0")
    shell.run_line_magic("config", "MountseaMagics.confirm_above = 0")
    line = '-q -m gpt-image-2 -p image_size={"width": 96, "height": 64}'
    assert len(run_cell(shell, "a dog", line)[0]) == 1
    assert keyboard.questions == []


@pytest.mark.parametrize("fails", ["refused", "slow"])
def test_failing_credits_do_not_fail_the_cell(
    hub: StandInHub,
    shell: InteractiveShell,
    keyboard: Keyboard,
    monkeypatch: pytest.MonkeyPatch,
    fails: str,
) -> None:
    """The question has none then."""
    monkeypatch.setenv("MOUNTSEA_CREDITS_URL", hub.credits_url)
    if fails == "refused":
        monkeypatch.setenv("MOUNTSEA_CREDITS_URL", f"{hub.url}/nowhere")
    else:

        async def slow(client: HubClient) -> float:
            await asyncio.sleep(60)
            return 1.0

        monkeypatch.setattr(confirm, "CREDITS_TIMEOUT_S", 0.05)
        monkeypatch.setattr(HubClient, "credits", slow)
    run_cell(shell, "a dog", MANY)
    assert keyboard.questions == ["Submit 17 requests for 17 images? [y/N] "]
    assert len(hub.posts) == 17


def test_over_budget_nothing_is_sent_or_asked(
    hub: StandInHub, shell: InteractiveShell, keyboard: Keyboard
) -> None:
    """The whole cell is refused, with both numbers."""
    shell.run_line_magic("mountsea", "budget 20")
    run_cell(shell, "a dog", "-q -n 4 --grid seed=1..4")
    with pytest.raises(BudgetExceeded) as caught:
        run_cell(shell, "a cat", f"{MANY} --yes")
    assert str(caught.value) == (
        "Over budget: this would order 17 images, but 4 of the 20 allowed in 24 hours are left. "
        "Nothing was sent. See `%mountsea budget`."
    )
    with pytest.raises(BudgetExceeded):
        run_cell(shell, "a cat", MANY)
    assert keyboard.questions == [] and len(hub.posts) == 4
    run_cell(shell, "a cat", "-q -n 4")
    run_cell(shell, "a dog", "-q -n 4 --grid seed=1..4")
    with pytest.raises(BudgetExceeded, match=r"order 1 image, but 0 of the 20 .* are left"):
        run_cell(shell, "a cat", "-q")
    shell.run_line_magic("mountsea", "budget off")
    run_cell(shell, "a cat", "-q")
    assert len(hub.posts) == 6


def test_what_was_not_charged_leaves_the_budget(
    hub: StandInHub, shell: InteractiveShell, here: Session
) -> None:
    """Refused and failed requests do not count."""
    settings = here.settings()
    hub.submits += [json_reply({"message": "no"}, 422)]
    with pytest.raises(InvalidRequest):
        run_cell(shell, "a dog", "-q -n 4")
    assert here.budget.ordered(settings) == 0
    hub.polls += [{"status": "failed", "ready": True, "error_message": "no dogs"}]
    with pytest.raises(Exception, match="no dogs"):
        run_cell(shell, "a dog", "-q -n 4")
    assert here.budget.ordered(settings) == 0
    run_cell(shell, "a dog", "-q -n 4")
    assert here.budget.ordered(settings) == 4


def test_a_retry_over_budget_is_refused_whole(hub: StandInHub, shell: InteractiveShell) -> None:
    """Nothing is sent, and the handles keep their errors; tasks that are followed cost nothing."""
    shell.run_line_magic("mountsea", "budget 3")
    hub.ending = "failed"
    with pytest.raises(BatchFailed):
        run_cell(shell, "a dog", "-q --grid seed=1..3")
    batch, hub.ending = shell.user_ns["dogs"], "completed"
    run_cell(shell, "a cat", "-q -n 2 -o cat")
    with pytest.raises(BudgetExceeded, match=r"order 3 images, but 1 of the 3 .* is left"):
        batch.retry_failed()
    assert len(hub.posts) == 4 and len(batch.failed) == 3
    assert {type(each.error) for each in batch} == {TaskFailed}
    shell.run_line_magic("mountsea", "budget 5")
    assert len(batch.retry_failed().completed) == 3


def test_a_retry_that_follows_tasks_costs_nothing(hub: StandInHub, shell: InteractiveShell) -> None:
    """Also where the budget is used up."""
    shell.run_line_magic("mountsea", "budget 2")
    hub.ready_after_polls = 1000
    run_cell(shell, "a dog", "-q --grid seed=1,2 --background")
    batch = shell.user_ns["dogs"]
    hub.wait_until(lambda: len({seen.path for seen in hub.polls_seen}) == 2)
    batch.cancel()
    batch.wait()
    hub.ready_after_polls = 0
    assert len(batch.retry_failed().completed) == len(hub.posts) == 2


def test_a_budget_of_the_environment_can_not_be_lifted(
    hub: StandInHub, shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lowest limit counts, whichever is set."""
    monkeypatch.setenv("MOUNTSEA_BUDGET", "1")
    for command in ("budget 50", "budget off"):
        shell.run_line_magic("mountsea", command)
        with pytest.raises(BudgetExceeded, match="1 of the 1 allowed in 24 hours is left"):
            run_cell(shell, "a dog\n---\na cat", "-q")
    monkeypatch.setenv("MOUNTSEA_BUDGET", "9")
    shell.run_line_magic("config", "MountseaMagics.budget = 1")
    with pytest.raises(BudgetExceeded):
        run_cell(shell, "a dog\n---\na cat", "-q")
    shell.run_line_magic("config", "MountseaMagics.budget = None")
    run_cell(shell, "a dog\n---\na cat", "-q")
    assert len(hub.posts) == 2


def test_the_question_never_shows_the_key(
    hub: StandInHub, shell: InteractiveShell, keyboard: Keyboard, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The credits URL is asked with it."""
    monkeypatch.setenv("MOUNTSEA_CREDITS_URL", hub.credits_url)
    run_cell(shell, "a dog", MANY)
    assert KEY not in keyboard.questions[0]


def test_a_small_order_is_not_counted(
    hub: StandInHub, shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a limit and below the number, the journal is not even read for it."""

    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError("nothing has to be counted")

    monkeypatch.setattr(Budget, "charged", fail)
    run_cell(shell, "a dog", "-q -n 4 -s 1")


@pytest.mark.kernel
def test_a_kernel_asks_where_the_front_end_can_answer(hub: StandInHub, kernel: Kernel) -> None:
    """On its standard input; one that nobody watches refuses and names --yes."""
    code = "%%mountsea -q --grid seed=1..17\na dog"
    unattended = kernel.run(code, attended=False)
    assert (unattended.error, len(hub.posts)) == ("InvalidRequest", 0)
    assert " --yes " in unattended.error_message
    for answer, error, posts in [("n", "Interrupted", 0), ("y", None, 17)]:
        message_id = kernel.begin(code)
        asked = kernel.client.get_stdin_msg(timeout=HANG_S)["content"]
        assert asked["prompt"] == "Submit 17 requests for 17 images? [y/N] "
        kernel.client.input(answer)
        run = kernel.collect(message_id)
        assert (run.error or None, len(hub.posts)) == (error, posts)
