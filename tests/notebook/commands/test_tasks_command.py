"""`%mountsea history`, `show` and `resume`, in an IPython shell with stand-in Hubs."""

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
from hang import HANG_S
from hub_server import KEY, OTHER_KEY, RESET, Reply, StandInHub, image, json_reply
from IPython.core.interactiveshell import InteractiveShell
from lab_server import end_demo_tasks
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
from mountsea_magic.journal.entry import SUBMISSION_TIMEOUT_S, Entry
from mountsea_magic.journal.journal import Journal
from mountsea_magic.request.request import build_request
from mountsea_magic.session import Session
from mountsea_magic.settings import Secret

HOSTILE = "hub-\x1b]0;own\x07\x1b[31m\u202e\r\n<b>1"
Run = Callable[[str], str]

pytestmark = pytest.mark.usefixtures("here")


@pytest.fixture
def run(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a `%mountsea` line in an IPython shell, and return what it prints."""
    magics: Any = shell.magics_manager.registry["MountseaMagics"]
    magics.demo_seconds = 0.1

    def run_line(line: str) -> str:
        capsys.readouterr()
        shell.run_line_magic("mountsea", line)
        output = capsys.readouterr()
        assert output.err == ""
        return output.out

    return run_line


@pytest.fixture
def journal(home: Path) -> Journal:
    """Open the journal like another process."""
    return Journal(home / "journal.sqlite")


def leave_open(hub: StandInHub, *prompts: str) -> None:
    """Submit prompts and stop waiting before their images are ready."""
    before, hub.ready_after_polls = hub.ready_after_polls, 10**6
    for prompt in prompts:
        with pytest.raises(WaitTimeout):
            generate(prompt, timeout=0.01)
    hub.ready_after_polls = before


def statuses(journal: Journal) -> dict[str | None, str]:
    """Return the status of each task."""
    return {entry.task_id: entry.status for entry in journal.search()}


def test_an_empty_journal(hub: StandInHub, run: Run) -> None:
    """With and without a search text; no request is sent."""
    assert run("history") == "No submissions in the journal.\n"
    assert run("history no such dog") == "No submissions in the journal that match 'no such dog'.\n"
    assert run("resume") == "No open tasks.\n"
    assert hub.requests == []


def test_history_lists_submissions_newest_first(
    hub: StandInHub, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Time, status, model, full id, images and prompt, one line each; no key is needed."""
    generate("a dog", num_images=2)
    hub.submits.append(json_reply({"message": "no cats"}, 422))
    with pytest.raises(InvalidRequest):
        generate("a cat")
    hub.submits.append(RESET)
    with pytest.raises(SubmissionUncertain):
        generate("a mouse\nin two lines " + "x" * 100)
    leave_open(hub, "a horse")
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


def test_history_rejects_an_invalid_count(run: Run) -> None:
    """Less than 1, or not a number."""
    for line in ("history -n 0", "history -n -3", "history -n many"):
        with pytest.raises(InvalidRequest):
            run(line)


def test_history_reports_an_unreadable_journal(run: Run, home: Path) -> None:
    """Instead of showing an empty list."""
    home.write_text("mine")
    assert "Note: the journal" in run("history")


def test_show_prints_all_details(hub: StandInHub, run: Run) -> None:
    """From the journal, without a request to the Hub."""
    dog = generate("a dog", seed=7, aspect_ratio="16:9")
    before = len(hub.requests)
    output = run("show hub-0001")
    for fact in (
        *("task hub-0001", "status: completed", f"Hub: {hub.url}", "model: nano-banana"),
        *("prompt: a dog", '"seed": 7', '"aspect_ratio": "16:9"'),
        *("description: A stand-in's drawing.", f"file: {dog[0].path}  64×48"),
    ):
        assert fact in output
    assert "resume" not in output
    assert len(hub.requests) == before


def test_show_names_the_command_for_missing_images(hub: StandInHub, run: Run) -> None:
    """For an open task, and for a file that was changed."""
    leave_open(hub, "a dog")
    assert "fetch it: `%mountsea resume hub-0001`" in run("show hub-0001")
    run("resume hub-0001")
    dog = generate("a dog", cache=True)
    dog[0].path.write_bytes(b"altered")
    assert "changed or missing: `%mountsea resume hub-0001`" in run("show hub-0001")
    run("resume hub-0001")
    assert "resume" not in run("show hub-0001")
    assert len(hub.posts) == 1


def test_unknown_ids_are_looked_up_at_the_hub(
    hub: StandInHub, run: Run, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The id of a colleague can be shown and resumed; this needs a key."""
    monkeypatch.setenv("MOUNTSEA_HOME", str(home.with_name("colleague")))
    generate("a dog")
    monkeypatch.setenv("MOUNTSEA_HOME", str(home))
    output = run("show hub-0001")
    assert "task hub-0001, not in the journal\n" in output
    assert "status: completed" in output
    assert "images: 1; fetch them: `%mountsea resume hub-0001`" in output
    path = re.search(r"^  (/.*\.png)$", run("resume hub-0001"), re.MULTILINE)
    assert path is not None
    assert Path(path[1]).read_bytes() == image()
    assert len(hub.posts) == 1
    monkeypatch.delenv("MOUNTSEA_API_KEY")
    for line in ("show hub-0009", "resume hub-0009"):
        with pytest.raises(ConfigurationError, match="No API key found"):
            run(line)


@pytest.mark.parametrize("command", ["show", "resume"])
def test_an_id_unknown_to_the_hub_raises(hub: StandInHub, run: Run, command: str) -> None:
    """After one poll, with a short error that names the id; nothing stays open."""
    with pytest.raises(InvalidRequest, match=r"(has no|knows a) task hub-9") as caught:
        run(f"{command} hub-9")
    assert caught.value.task_id == "hub-9"
    assert len(hub.requests) == 1
    assert run("resume").strip() == "No open tasks."
    assert "open tasks: none" in run("")
    assert run("history") == "No submissions in the journal.\n"


def test_resume_downloads_images_without_submitting(
    hub: StandInHub, run: Run, journal: Journal, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By id, or all open tasks; what is on disk is not downloaded again."""
    leave_open(hub, "a dog", "a cat", "a mouse")
    assert len(journal.open_entries()) == 3
    begin_session(monkeypatch)
    assert "“a cat” · nano-banana · 64×48" in run("resume hub-0002")
    output = run("resume")
    assert "“a dog”" in output and "“a mouse”" in output and "“a cat”" not in output
    assert run("resume").strip() == "No open tasks."
    assert statuses(journal) == dict.fromkeys(hub.task_ids, "completed")
    before = len(hub.requests), len(hub.downloads_seen)
    assert run("resume hub-0001 hub-0001").count("from the journal, nothing charged") == 1
    assert (len(hub.requests), len(hub.downloads_seen)) == before
    assert (len(hub.posts), len(hub.downloads_seen)) == (3, 3)


def test_resume_continues_after_a_failure_and_raises_at_the_end(
    hub: StandInHub,
    run: Run,
    journal: Journal,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The other tasks get their images; the summary names each failure."""
    leave_open(hub, "a dog", "a cat", "a mouse")
    for entry in journal.open_entries():
        journal.write(
            replace(entry, created=entry.created - 60)
        )  # past the grace period of new tasks
    failed = {"status": "failed", "error_message": "no dogs"}
    hub.polls.extend([failed, None, json_reply({"message": "who?"}, 404)])
    monkeypatch.setattr(retry, "NEW_TASK_GRACE_S", 0.0)
    with pytest.raises(MountseaError, match=r"2 of 3 tasks returned no images") as caught:
        run("resume")
    # the tasks are polled at once, so any of them may get each response
    assert "TaskFailed: The task ended with status failed: no dogs" in str(caught.value)
    assert "InvalidRequest: The Hub has no task hub-000" in str(caught.value)
    assert "” · nano-banana · 64×48" in capsys.readouterr().out
    assert sorted(statuses(journal).values()) == ["completed", "failed", "forgotten"]
    assert "open tasks: none" in run("")
    begin_session(monkeypatch)
    assert run("resume").strip() == "No open tasks."
    assert len(hub.posts) == 3


def test_a_failed_download_can_be_resumed(hub: StandInHub, run: Run, journal: Journal) -> None:
    """Once the host of the image works again."""
    leave_open(hub, "a dog")
    hub.downloads.extend([Reply(500)] * 4)
    with pytest.raises(MountseaError, match="`%mountsea resume hub-0001`"):
        run("resume")
    assert [entry.task_id for entry in journal.open_entries()] == ["hub-0001"]
    assert "64×48" in run("resume")
    assert len(hub.posts) == 1


def test_tasks_of_another_hub_are_not_resumed(
    hub: StandInHub, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The error names the setting; the other open tasks are resumed."""
    leave_open(hub, "a dog")
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
        output = run("resume")
        assert (
            f"hub-0001: The task belongs to another Hub: set MOUNTSEA_BASE_URL to {hub.url}"
            in output
        )
        assert "“a cat” · nano-banana · 64×48" in output
        assert len(hub.requests) == before[0]
    monkeypatch.setenv("MOUNTSEA_BASE_URL", hub.url)
    assert "“a dog”" in run("resume")
    assert len(hub.posts) == 1


@pytest.mark.parametrize("command", ["show", "resume"])
@pytest.mark.parametrize("same_kernel", [True, False], ids=["same kernel", "another kernel"])
def test_images_on_disk_are_shown_whatever_the_hub(
    hub: StandInHub, run: Run, monkeypatch: pytest.MonkeyPatch, command: str, same_kernel: bool
) -> None:
    """Without a request, and without a key."""
    dog = generate("a dog")
    before = len(hub.requests)
    if not same_kernel:
        begin_session(monkeypatch)
    with StandInHub() as other:
        monkeypatch.setenv("MOUNTSEA_BASE_URL", other.url)
        monkeypatch.delenv("MOUNTSEA_API_KEY")
        assert str(dog[0].path) in run(f"{command} hub-0001")
        assert (len(hub.requests), other.requests) == (before, [])


def test_each_hub_gets_only_its_own_key(
    here: Session, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the hosts of images get none."""
    with StandInHub(key=KEY) as hub, StandInHub(key=OTHER_KEY) as other:
        monkeypatch.setenv("MOUNTSEA_BASE_URL", hub.url)
        here.keys().save(hub.url, Secret(KEY))
        here.keys().save(other.url, Secret(OTHER_KEY))
        leave_open(hub, "a dog")
        monkeypatch.setenv("MOUNTSEA_BASE_URL", other.url)
        with pytest.raises(ConfigurationError):
            run("resume hub-0001")
        assert other.requests == []
        leave_open(other, "a cat")
        for at in (other, hub):
            monkeypatch.setenv("MOUNTSEA_BASE_URL", at.url)
            run("resume hub-0001")
        for at, key, foreign in ((hub, KEY, OTHER_KEY), (other, OTHER_KEY, KEY)):
            assert {seen.headers["authorization"] for seen in at.requests} == {f"Bearer {key}"}
            assert foreign not in repr(at.requests)
            assert KEY not in repr(at.downloads_seen) and OTHER_KEY not in repr(at.downloads_seen)
            assert (len(at.posts), len(at.downloads_seen)) == (1, 1)


def test_a_demo_task_can_be_resumed_after_demo_off(hub: StandInHub, run: Run, home: Path) -> None:
    """At the demo Hub; the real Hub gets no request."""
    run("demo on")
    session.current_session().clients.demo_seconds = 3600
    size = {"width": 96, "height": 64}
    with pytest.raises(WaitTimeout) as caught:
        generate("a dog", model="gpt-image-2", image_size=size, timeout=0.01)
    end_demo_tasks(home)
    run("demo off")
    task_id = caught.value.task_id
    assert f"{task_id}" in run("") and "demo  “a dog”" in run("history")
    assert "demo Hub: drawn locally" in run("resume")
    assert "demo Hub: drawn locally" in run(f"resume {task_id}")
    assert hub.requests == []


def test_ids_and_texts_are_shown_without_control_characters(
    hub: StandInHub, run: Run, journal: Journal
) -> None:
    """A task id or status moves no cursor and reverses no text."""
    hub.submits.append({"task_id": HOSTILE})
    hub.polls.append(json_reply({"status": "pro\x1b[2Jcessing\u202e"}, repeat=True))
    with pytest.raises(WaitTimeout) as caught:
        generate("a \x1b[31mred\u202e dog\x07", timeout=0.4)
    assert caught.value.task_id == HOSTILE
    hub.polls.clear()
    failed_so = {"status": "failed", "error_message": "\x1b[31mno\u202e\x9b"}
    hub.polls.append(json_reply(failed_so, repeat=True))
    output = str(caught.value) + run("history") + run("")
    with pytest.raises(TaskFailed) as failed:
        run("resume")
    output += str(failed.value) + run("history") + run("")
    assert not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", output)
    assert "a [31mred dog" in output and "hub-]0;own[31m" in output
    assert {entry.task_id for entry in journal.search()} == {HOSTILE}


def test_uncertain_submissions_are_reported(hub: StandInHub, run: Run, journal: Journal) -> None:
    """With the commands to look them up; nothing is submitted."""
    old = Entry.begin(hub.url, build_request("a dog"))
    when = time.time() - SUBMISSION_TIMEOUT_S - 60
    journal.write(replace(old, created=when, updated=when))
    output = run("resume")
    assert "1 submission got no response" in output and "`%mountsea history uncertain`" in output
    assert re.search(r"uncertain  nano-banana  no task  “a dog”", run("history uncertain"))
    hub.submits.append(RESET)
    with pytest.raises(SubmissionUncertain):
        generate("a cat")
    output = run("resume")
    assert (
        "2 submissions got no response" in output and "may have been accepted by the Hub" in output
    )
    assert "2 submissions got no response" in run("")
    assert len(hub.requests) == 1


def test_resume_waits_for_a_submission_in_progress(
    hub: StandInHub, here: Session, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Right after an interrupt it finds the task of the interrupted cell."""
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
    output = run("resume")
    assert output.startswith("Waiting for the Hub's response")
    assert "“a dog” · nano-banana · 64×48" in output
    assert len(hub.posts) == 1


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, None], ids=["kill", "stop", "time"])
def test_resume_downloads_tasks_of_another_process(
    hub: StandInHub, run: Run, journal: Journal, how: signal.Signals | None
) -> None:
    """Killed, interrupted or timed out: the task is in the journal and is downloaded once."""
    hub.ready_after_polls = 10**6
    timeout_s = 1 if how is None else 600
    code = f"import mountsea_magic as m; m.generate('a dog', num_images=2, timeout={timeout_s})"
    other = subprocess.Popen([sys.executable, "-c", code], stderr=subprocess.PIPE, text=True)
    if how is not None:
        hub.wait_until(lambda: len(hub.polls_seen) >= 1)
        other.send_signal(how)
    _, output = other.communicate(timeout=HANG_S)
    assert other.returncode != 0
    assert how is signal.SIGKILL or "`%mountsea resume hub-0001`" in output
    assert [entry.task_id for entry in journal.open_entries()] == ["hub-0001"]
    hub.ready_after_polls = 0
    paths = re.findall(r"^  (/.*\.png)$", run("resume"), re.MULTILINE)
    assert [Path(path).read_bytes() for path in paths] == [image(number=n) for n in range(2)]
    assert len(hub.posts) == 1


def test_another_ipython_process_can_resume(hub: StandInHub, tmp_path: Path) -> None:
    """It lists, shows and resumes the task."""
    leave_open(hub, "a dog")
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
        timeout=HANG_S,
        check=True,
    )
    listed, rest = done.stdout.split("\n", 1)
    assert "submitted  nano-banana  hub-0001  “a dog”" in listed
    assert "“a dog” · nano-banana · 64×48" in rest
    assert "status: completed" in rest
    assert len(hub.posts) == 1
