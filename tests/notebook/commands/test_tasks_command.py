"""`%mountsea history`, `show` and `resume`, in a real IPython shell against real Hubs."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hub_server import KEY, OTHER_KEY, RESET, Reply, StandInHub, image, json_reply
from IPython.core.interactiveshell import InteractiveShell
from own_session import begin_session

from mountsea_magic import generate, session
from mountsea_magic.errors import (
    ConfigurationError,
    InvalidRequest,
    MountseaError,
    SubmissionUncertain,
    TaskFailed,
    WaitTimeout,
)
from mountsea_magic.generation.handle import Generation
from mountsea_magic.hub import retry
from mountsea_magic.journal.entry import FORGOTTEN_S, Entry
from mountsea_magic.journal.journal import Journal
from mountsea_magic.request.request import build_request
from mountsea_magic.session import Session
from mountsea_magic.settings import Secret

HOSTILE = "hub-\x1b]0;own\x07\x1b[31m\u202e\r\n<b>1"
Run = Callable[[str], str]

pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture
def run(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a `%mountsea` line in an IPython shell, and return what it printed."""
    magics: Any = shell.magics_manager.registry["MountseaMagics"]
    magics.demo_seconds = 0.1

    def run_line(line: str) -> str:
        capsys.readouterr()
        shell.run_line_magic("mountsea", line)
        said = capsys.readouterr()
        assert said.err == ""
        return said.out

    return run_line


@pytest.fixture
def journal(home: Path) -> Journal:
    """The journal, as another process sees it."""
    return Journal(home / "journal.sqlite")


def left_open(hub: StandInHub, *prompts: str) -> None:
    """Order images and stop waiting before they are there."""
    patience, hub.ready_after_polls = hub.ready_after_polls, 10**6
    for prompt in prompts:
        with pytest.raises(WaitTimeout):
            generate(prompt, timeout=0.01)
    hub.ready_after_polls = patience


def states(journal: Journal) -> dict[str | None, str]:
    """Return the states by task."""
    return {entry.task_id: entry.state for entry in journal.search()}


def test_an_empty_journal_says_so(hub: StandInHub, run: Run) -> None:
    """With or without a text to look for; nothing is asked of the Hub."""
    assert run("history") == "The journal has no order.\n"
    assert run("history no such dog") == "The journal has no order that holds 'no such dog'.\n"
    assert run("resume") == "There is no open task.\n"
    assert hub.requests == []


def test_history_lists_every_order_newest_first(
    hub: StandInHub, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Time, state, model, the whole id, images and prompt, a line each; no key is needed."""
    generate("a dog", num_images=2)
    hub.submits.append(json_reply({"message": "no cats"}, 422))
    with pytest.raises(InvalidRequest):
        generate("a cat")
    hub.submits.append(RESET)
    with pytest.raises(SubmissionUncertain):
        generate("a mouse\nin two lines " + "x" * 100)
    left_open(hub, "a horse")
    before = len(hub.requests)
    monkeypatch.delenv("MOUNTSEA_API_KEY")
    horse, mouse, cat, dog = run("history").splitlines()
    when = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d"
    assert re.fullmatch(rf"{when}  submitted  nano-banana  hub-0002  “a horse”", horse)
    assert re.fullmatch(rf"{when}  uncertain  nano-banana  no task  “a mouse in two.*…”", mouse)
    assert re.fullmatch(rf"{when}  refused  nano-banana  no task  “a cat”", cat)
    assert re.fullmatch(rf"{when}  completed  nano-banana  hub-0001  2 images  “a dog”", dog)
    assert run("history -n 2").splitlines() == [horse, mouse]
    assert run("history HUB-0001").splitlines() == [dog]
    assert run("history in two").splitlines() == [mouse]
    assert run("history -n 1 a").splitlines() == [horse]
    assert len(hub.requests) == before


def test_history_wants_a_count_that_makes_sense(run: Run) -> None:
    """None at all is a slip, and so is a word."""
    for line in ("history -n 0", "history -n -3", "history -n many"):
        with pytest.raises(InvalidRequest):
            run(line)


def test_trouble_with_the_journal_is_told_below_the_list(run: Run, home: Path) -> None:
    """Instead of passing an unreadable journal off as an empty one."""
    home.write_text("mine")
    assert "Note: the journal" in run("history")


def test_show_tells_all_and_shows_the_images(hub: StandInHub, run: Run) -> None:
    """From the journal alone: the Hub is not asked."""
    dog = generate("a dog", seed=7, aspect_ratio="16:9")
    before = len(hub.requests)
    said = run("show hub-0001")
    for fact in (
        *("task hub-0001", "state: completed", f"Hub: {hub.url}", "model: nano-banana"),
        *("prompt: a dog", '"seed": 7', '"aspect_ratio": "16:9"'),
        *("the model said: A stand-in's drawing.", f"file: {dog[0].path}  64×48"),
    ):
        assert fact in said
    assert "resume" not in said
    assert len(hub.requests) == before


def test_show_names_the_way_to_what_is_missing(hub: StandInHub, run: Run) -> None:
    """A task that is open, and a file that was altered, come with the command that fetches them."""
    left_open(hub, "a dog")
    assert "fetch it: `%mountsea resume hub-0001`" in run("show hub-0001")
    run("resume hub-0001")
    dog = generate("a dog", cache=True)
    dog[0].path.write_bytes(b"altered")
    assert "altered or gone: `%mountsea resume hub-0001`" in run("show hub-0001")
    run("resume hub-0001")
    assert "resume" not in run("show hub-0001")
    assert len(hub.posts) == 1


def test_an_id_that_the_journal_does_not_know_is_asked_of_the_hub(
    hub: StandInHub, run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An id from a colleague can be shown, then resumed; the key is needed for that."""
    monkeypatch.setenv("MOUNTSEA_HOME", str(home.with_name("colleague")))
    generate("a dog")
    monkeypatch.setenv("MOUNTSEA_HOME", str(home))
    said = run("show hub-0001")
    assert "task hub-0001, not in the journal\n" in said
    assert "state: completed" in said
    assert "images: 1; fetch them: `%mountsea resume hub-0001`" in said
    path = re.search(r"^  (/.*\.png)$", run("resume hub-0001"), re.MULTILINE)
    assert path is not None
    assert Path(path[1]).read_bytes() == image()
    assert len(hub.posts) == 1
    monkeypatch.delenv("MOUNTSEA_API_KEY")
    for line in ("show hub-0009", "resume hub-0009"):
        with pytest.raises(ConfigurationError, match="no Mountsea key"):
            run(line)


@pytest.mark.parametrize("command", ["show", "resume"])
def test_an_id_that_nobody_knows_is_refused(hub: StandInHub, run: Run, command: str) -> None:
    """One look, a short error that names the id, and nothing stays open."""
    with pytest.raises(InvalidRequest, match=r"knows (no|a) task hub-9") as caught:
        run(f"{command} hub-9")
    assert caught.value.task_id == "hub-9"
    assert len(hub.requests) == 1
    assert run("resume").strip() == "There is no open task."
    assert "open tasks: none" in run("")
    assert run("history") == "The journal has no order.\n"


def test_resume_brings_the_images_without_an_order(
    hub: StandInHub, run: Run, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In another kernel, by id or all that are open; what is there already is not fetched again."""
    left_open(hub, "a dog", "a cat", "a mouse")
    assert len(journal.open_entries()) == 3
    begin_session(monkeypatch)
    assert "“a cat” · nano-banana · 64×48" in run("resume hub-0002")
    said = run("resume")
    assert "“a dog”" in said and "“a mouse”" in said and "“a cat”" not in said
    assert run("resume").strip() == "There is no open task."
    assert states(journal) == dict.fromkeys(hub.task_ids, "completed")
    before = len(hub.requests), len(hub.downloads_seen)
    assert run("resume hub-0001 hub-0001").count("from the journal, nothing charged") == 1
    assert (len(hub.requests), len(hub.downloads_seen)) == before
    assert (len(hub.posts), len(hub.downloads_seen)) == (3, 3)


def test_resume_goes_on_after_a_failure_and_raises_at_the_end(
    hub: StandInHub,
    run: Run,
    journal: Journal,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One task that failed costs no other its images; the summary names each failure."""
    left_open(hub, "a dog", "a cat", "a mouse")
    for entry in journal.open_entries():
        journal.write(replace(entry, created=entry.created - 60))  # no Hub is still to learn of it
    failed = {"status": "failed", "error_message": "no dogs"}
    hub.polls.extend([failed, None, json_reply({"message": "who?"}, 404)])
    monkeypatch.setattr(retry, "NEW_TASK_GRACE_S", 0.0)
    with pytest.raises(MountseaError, match=r"2 of 3 tasks brought no images") as caught:
        run("resume")
    assert "TaskFailed: The task ended as failed: no dogs" in str(caught.value)
    assert "InvalidRequest: The Hub knows no task hub-0003" in str(caught.value)
    assert "“a cat” · nano-banana · 64×48" in capsys.readouterr().out
    assert states(journal) == {
        "hub-0001": "failed",
        "hub-0002": "completed",
        "hub-0003": "forgotten",
    }
    assert "open tasks: none" in run("")
    begin_session(monkeypatch)
    assert run("resume").strip() == "There is no open task."
    assert len(hub.posts) == 3


def test_a_failed_download_stays_open_and_is_resumed(
    hub: StandInHub, run: Run, journal: Journal
) -> None:
    """The image is at the Hub; when its host is well again it is fetched."""
    left_open(hub, "a dog")
    hub.downloads.extend([Reply(500)] * 4)
    with pytest.raises(MountseaError, match="`%mountsea resume hub-0001`"):
        run("resume")
    assert [entry.task_id for entry in journal.open_entries()] == ["hub-0001"]
    assert "64×48" in run("resume")
    assert len(hub.posts) == 1


def test_a_task_of_another_hub_is_left_alone(
    hub: StandInHub, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error says how to get there; of all that are open the others are brought all the same."""
    left_open(hub, "a dog")
    with StandInHub() as other:
        monkeypatch.setenv("MOUNTSEA_BASE_URL", other.url)
        other.submits.append({"task_id": "other-1"})
        with pytest.raises(WaitTimeout):
            generate("a cat", timeout=0.01)
        before = len(hub.requests), len(other.requests)
        with pytest.raises(ConfigurationError, match=f"MOUNTSEA_BASE_URL to {hub.url}") as caught:
            run("resume hub-0001")
        assert caught.value.task_id == "hub-0001"
        assert f"hub-0001 submitted at {hub.url}" in run("")
        assert (len(hub.requests), len(other.requests)) == before
        other.polls.append(other.done(other.data([image(number=4)])))
        said = run("resume")
        assert f"hub-0001: The task is at another Hub: set MOUNTSEA_BASE_URL to {hub.url}" in said
        assert "“a cat” · nano-banana · 64×48" in said
        assert len(hub.requests) == before[0]
    monkeypatch.setenv("MOUNTSEA_BASE_URL", hub.url)
    assert "“a dog”" in run("resume")
    assert len(hub.posts) == 1


@pytest.mark.parametrize("command", ["show", "resume"])
@pytest.mark.parametrize("same_kernel", [True, False], ids=["same kernel", "another kernel"])
def test_images_of_another_hub_that_are_here_need_no_hub(
    hub: StandInHub, run: Run, monkeypatch: pytest.MonkeyPatch, command: str, same_kernel: bool
) -> None:
    """What is paid for and on disk is shown wherever the settings lead, with or without a key."""
    dog = generate("a dog")
    before = len(hub.requests)
    if not same_kernel:
        begin_session(monkeypatch)
    with StandInHub() as other:
        monkeypatch.setenv("MOUNTSEA_BASE_URL", other.url)
        monkeypatch.delenv("MOUNTSEA_API_KEY")
        assert str(dog[0].path) in run(f"{command} hub-0001")
        assert (len(hub.requests), other.requests) == (before, [])


def test_each_hub_is_asked_with_its_own_key_only(
    here: Session, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of two stored keys each goes to its Hub, and none to the host of the images."""
    with StandInHub(key=KEY) as hub, StandInHub(key=OTHER_KEY) as other:
        monkeypatch.setenv("MOUNTSEA_BASE_URL", hub.url)
        here.keys().save(hub.url, Secret(KEY))
        here.keys().save(other.url, Secret(OTHER_KEY))
        left_open(hub, "a dog")
        monkeypatch.setenv("MOUNTSEA_BASE_URL", other.url)
        with pytest.raises(ConfigurationError):
            run("resume hub-0001")
        assert other.requests == []
        left_open(other, "a cat")
        for at in (other, hub):
            monkeypatch.setenv("MOUNTSEA_BASE_URL", at.url)
            run("resume hub-0001")
        for at, key, foreign in ((hub, KEY, OTHER_KEY), (other, OTHER_KEY, KEY)):
            assert {seen.headers["authorization"] for seen in at.requests} == {f"Bearer {key}"}
            assert foreign not in repr(at.requests)
            assert KEY not in repr(at.downloads_seen) and OTHER_KEY not in repr(at.downloads_seen)
            assert (len(at.posts), len(at.downloads_seen)) == (1, 1)


def test_a_demo_task_is_resumed_after_the_demo(hub: StandInHub, run: Run) -> None:
    """It is the demo Hub that is asked, and the real one hears nothing of it."""
    run("demo on")
    session.current_session().clients.demo_seconds = 0.5
    size = {"width": 96, "height": 64}
    with pytest.raises(WaitTimeout) as caught:
        generate("a dog", model="gpt-image-2", image_size=size, timeout=0.01)
    run("demo off")
    task_id = caught.value.task_id
    assert f"{task_id}" in run("") and "demo  “a dog”" in run("history")
    assert "demo Hub: drawn here" in run("resume")
    assert "demo Hub: drawn here" in run(f"resume {task_id}")
    assert hub.requests == []


def test_hostile_ids_and_words_are_shown_without_control_characters(
    hub: StandInHub, run: Run, journal: Journal
) -> None:
    """What the Hub calls a task, and what it says, moves no cursor and turns no text around."""
    hub.submits.append({"task_id": HOSTILE})
    hub.polls.append(json_reply({"status": "pro\x1b[2Jcessing\u202e"}, lasting=True))
    with pytest.raises(WaitTimeout) as caught:
        generate("a \x1b[31mred\u202e dog\x07", timeout=0.4)
    assert caught.value.task_id == HOSTILE
    hub.polls.clear()
    failed_so = {"status": "failed", "error_message": "\x1b[31mno\u202e\x9b"}
    hub.polls.append(json_reply(failed_so, lasting=True))
    said = str(caught.value) + run("history") + run("")
    with pytest.raises(TaskFailed) as failed:
        run("resume")
    said += str(failed.value) + run("history") + run("")
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", said)
    assert "a [31mred dog" in said and "hub-]0;own[31m" in said
    assert {entry.task_id for entry in journal.search()} == {HOSTILE}


def test_orders_that_were_never_answered_are_named(
    hub: StandInHub, run: Run, journal: Journal
) -> None:
    """Nothing can be fetched for them: it is said where to look, there they are; none is sent."""
    old = Entry.begin(hub.url, build_request("a dog"))
    when = time.time() - FORGOTTEN_S - 60
    journal.write(replace(old, created=when, updated=when))
    said = run("resume")
    assert "1 order was never answered" in said and "`%mountsea history uncertain`" in said
    assert re.search(r"uncertain  nano-banana  no task  “a dog”", run("history uncertain"))
    hub.submits.append(RESET)
    with pytest.raises(SubmissionUncertain):
        generate("a cat")
    said = run("resume")
    assert "2 orders were never answered" in said and "may have been taken" in said
    assert "2 orders were never answered" in run("")
    assert len(hub.requests) == 1


def test_resume_waits_for_an_order_that_is_on_its_way(
    hub: StandInHub, here: Session, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Run right after an interrupt it finds the task that the interrupt left behind."""
    hold = threading.Event()
    hub.submits.append(json_reply({"task_id": "hub-7"}, hold=hold))
    hub.polls.append(hub.done(hub.data([image()])))
    dog = Generation(build_request("a dog"))
    job = here.worker.start(here.generate(dog, here.settings()))
    hub.wait_until(lambda: len(hub.posts) == 1)
    job.cancel()
    drain = here.drain

    async def land() -> None:
        hold.set()
        await drain()

    monkeypatch.setattr(here, "drain", land)
    said = run("resume")
    assert said.startswith("Waiting for the Hub's answer")
    assert "“a dog” · nano-banana · 64×48" in said
    assert len(hub.posts) == 1


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, None], ids=["kill", "stop", "time"])
def test_what_another_process_ordered_is_brought_here(
    hub: StandInHub, run: Run, journal: Journal, how: signal.Signals | None
) -> None:
    """Killed, interrupted or out of patience: the task is in the journal, and is fetched once."""
    hub.ready_after_polls = 10**6
    timeout_s = 1 if how is None else 600
    code = f"import mountsea_magic as m; m.generate('a dog', num_images=2, timeout={timeout_s})"
    other = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    if how is not None:
        hub.wait_until(lambda: len(hub.polls_seen) >= 1, timeout_s=30)
        other.send_signal(how)
    _, said = other.communicate(timeout=30)
    assert other.returncode != 0
    assert how is signal.SIGKILL or "`%mountsea resume hub-0001`" in said
    assert [entry.task_id for entry in journal.open_entries()] == ["hub-0001"]
    hub.ready_after_polls = 0
    paths = re.findall(r"^  (/.*\.png)$", run("resume"), re.MULTILINE)
    assert [Path(path).read_bytes() for path in paths] == [image(number=n) for n in range(2)]
    assert len(hub.posts) == 1


def test_what_was_ordered_here_is_seen_by_ipython_elsewhere(
    hub: StandInHub, tmp_path: Path
) -> None:
    """A process of its own lists, shows and resumes it."""
    left_open(hub, "a dog")
    script = tmp_path / "script.ipy"
    lines = (
        "%load_ext mountsea_magic",
        *(f"%mountsea {c}" for c in ("history", "resume", "show hub-0001")),
    )
    script.write_text("\n".join(lines))
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "IPython",
            "--colors=NoColor",
            f"--ipython-dir={tmp_path}",
            str(script),
        ],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    listed, rest = done.stdout.split("\n", 1)
    assert "submitted  nano-banana  hub-0001  “a dog”" in listed
    assert "“a dog” · nano-banana · 64×48" in rest
    assert "state: completed" in rest
    assert len(hub.posts) == 1
