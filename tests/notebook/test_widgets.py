"""Progress widgets in a real kernel: updates, Cancel, background cells and cleanup."""

from __future__ import annotations

import json
import threading
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
from hang import HANG_S
from hub_server import Reply, StandInHub, image, json_reply
from kernel_driver import CellRun, Kernel, Message

pytestmark = pytest.mark.kernel

WAIT = "import asyncio\nasync with asyncio.timeout(20): await dog"


@pytest.fixture
def hub(hub: StandInHub) -> StandInHub:
    """Delay each task, so that progress can be seen."""
    hub.ready_after_s = 0.2
    return hub


def _updates_until(kernel: Kernel, text: str) -> list[Message]:
    """Collect output updates until one contains the text."""
    updates: list[Message] = []
    while not updates or text not in json.dumps(updates[-1]["data"]):
        message = kernel.client.get_iopub_msg(timeout=HANG_S)
        if message["msg_type"] == "update_display_data":
            updates.append(message["content"])
    return updates


def _opened(run: CellRun) -> dict[str, dict[str, Any]]:
    """Return the state of each widget that was created, by its id."""
    return {
        message["content"]["comm_id"]: message["content"]["data"]["state"]
        for message in run.messages
        if message["msg_type"] == "comm_open"
    }


def _closed(run: CellRun) -> set[str]:
    """Return the ids of the widgets that were closed."""
    return {
        message["content"]["comm_id"]
        for message in run.messages
        if message["msg_type"] == "comm_close"
    }


def _subshell(kernel: Kernel) -> str:
    """Create a subshell, like a front end for its widgets; only ipykernel 7 has subshells."""
    info = kernel.client.kernel_info(reply=True, timeout=HANG_S)
    if "kernel subshells" not in info["content"].get("supported_features", []):
        pytest.skip("this kernel has no subshells, so no click arrives while a cell runs")
    channel = kernel.client.control_channel
    message = kernel.client.session.msg("create_subshell_request")
    channel.send(message)
    reply: Message = channel.get_msg(timeout=HANG_S)
    return str(reply["content"]["subshell_id"])


def _click(kernel: Kernel, comm_id: str, subshell: str | None) -> None:
    """Click a button like a front end."""
    data = {"method": "custom", "content": {"event": "click"}}
    message = kernel.client.session.msg("comm_msg", {"comm_id": comm_id, "data": data})
    if subshell is not None:
        message["header"]["subshell_id"] = subshell
    kernel.client.shell_channel.send(message)


def _cancel_button(message: Message) -> str | None:
    """Return the id of the Cancel button if the message creates it."""
    content = message["content"]
    state = content.get("data", {}).get("state", {}) if message["msg_type"] == "comm_open" else {}
    return content["comm_id"] if state.get("description") == "Cancel" else None


@pytest.mark.parametrize("prompts", [1, 4])
def test_a_waiting_cell_sends_few_updates(hub: StandInHub, kernel: Kernel, prompts: int) -> None:
    """At most ten changes per second, however many lines there are, and the bar moves."""
    hub.ready_after_polls = 10**6
    changes, bars = list[Any](), list[float]()

    def on_message(message: Message) -> None:
        if message["msg_type"] != "comm_msg" or message["content"]["data"]["method"] != "update":
            return
        changes.append(message["content"]["data"]["state"])
        if isinstance(value := changes[-1].get("value"), float):
            bars.append(value)
        if len(changes) >= 12 and len(set(bars)) >= 5:
            hub.ready_after_polls = 0

    body = "\n---\n".join(f"a dog {number}" for number in range(prompts))
    started = time.monotonic()
    kernel.run(f"%%mountsea\n{body}", on_message=on_message)
    took_s = time.monotonic() - started
    assert len(changes) <= 10 * took_s
    assert all(0 < value <= 0.97 or value == 1.0 for value in bars)


def test_a_slow_submission_shows_its_progress(hub: StandInHub, kernel: Kernel) -> None:
    """The progress does not wait for the response of a Hub that takes long to accept a request."""
    respond = threading.Event()
    hub.submits.append(json_reply({"task_id": "hub-late"}, hold=respond))
    hub.polls.append(hub.done({"url": hub.image_url("a")}))
    hub.downloads.append(Reply(200, image()))

    def on_message(message: Message) -> None:
        if "submitting" in json.dumps(message["content"].get("data", {})):
            respond.set()

    run = kernel.run("%%mountsea\na dog", on_message=on_message)
    assert respond.is_set() and _opened(run) and len(run.images()) == 1


@pytest.mark.parametrize(
    "way",
    [
        *("completed", "failed", "timed out", "background"),
        pytest.param("interrupted", marks=pytest.mark.own_kernel),
    ],
)
def test_no_widget_is_left_behind(hub: StandInHub, kernel: Kernel, way: str) -> None:
    """However the cell ends, all widgets are closed and replaced by HTML."""
    hub.ready_after_s, hub.ready_after_polls = 0.0, 10**6
    hub.ending = "failed" if way == "failed" else "completed"
    pressed: list[bool] = []

    def on_message(message: Message) -> None:
        if "hub-0001" not in json.dumps(message["content"]):
            return
        if way in ("completed", "failed"):
            hub.ready_after_polls = 0
        elif way == "interrupted" and not pressed:
            pressed.append(True)
            kernel.interrupt()

    if way == "background":
        hub.ready_after_polls = 0  # its widgets are made before the submission
    line = {"timed out": "--timeout 0.5", "background": "-b -o dog"}.get(way, "")
    run = kernel.run(f"%%mountsea {line}\na dog", on_message=on_message)
    made, closed = _opened(run), _closed(run)
    if way == "background":
        while not set(made) <= closed:
            message = kernel.client.get_iopub_msg(timeout=HANG_S)
            run.messages.append(message)
            closed = _closed(run)
        updates = [m for m in run.messages if m["msg_type"] == "update_display_data"]
        assert not any("widget" in kind for m in updates for kind in m["content"]["data"])
        assert any("nano-banana" in json.dumps(m["content"]["data"]) for m in updates)
    else:
        assert not run.widgets() and "nano-banana" in run.html()
    assert set(made) == closed
    assert len(made) >= 5 or way == "timed out"  # on a busy machine it may end before they are made


@pytest.mark.parametrize("line", ["-o dog", "-b -o dog"])
def test_cancel_stops_the_wait(hub: StandInHub, kernel: Kernel, line: str) -> None:
    """In a blocking cell and in a background one; the error names the task to resume."""
    hub.ready_after_s = 3600
    subshell = None if "-b" in line else _subshell(kernel)
    clicked, buttons = list[float](), list[str]()

    def on_message(message: Message) -> None:
        buttons.extend(filter(None, [_cancel_button(message)]))
        if subshell and not clicked and buttons and "hub-0001" in json.dumps(message["content"]):
            clicked.append(time.monotonic())
            _click(kernel, buttons[0], subshell)

    run = kernel.run(f"%%mountsea {line}\na dog", on_message=on_message)
    if "-b" in line:
        assert run.status == "ok"
        hub.wait_until(lambda: len(hub.polls_seen) >= 1)
        _click(kernel, buttons[0], None)
        _updates_until(kernel, "interrupted")
        run = kernel.run(WAIT)
    assert run.error == "Interrupted"
    assert "%mountsea resume hub-0001" in run.error_message and len(hub.posts) == 1
    hub.ready_after_s = 0
    assert len(kernel.run("%mountsea resume").images()) == 1
    assert len(hub.posts) == 1


def test_the_cancel_button_has_a_tooltip(hub: StandInHub, kernel: Kernel) -> None:
    """Waiting stops, the Hub documents no cancel, and the task can be resumed."""
    run = kernel.run("%%mountsea -b\na dog")
    (button,) = (state for state in _opened(run).values() if state.get("description") == "Cancel")
    for words in ("Stops waiting", "documents no cancel", "charged", "%mountsea resume"):
        assert words in button["tooltip"]


def test_a_status_from_the_hub_is_escaped(hub: StandInHub, kernel: Kernel) -> None:
    """It is shown as text."""
    hub.polls.append(json_reply({"status": "<img src=x onerror=alert(1)>"}, repeat=True))

    def on_message(message: Message) -> None:
        if "img src=x" in json.dumps(message["content"]):
            hub.polls.clear()

    run = kernel.run("%%mountsea\na dog", on_message=on_message)
    sent = json.dumps(run.messages, default=str)
    # the fallback of a display for front ends without widgets is plain text, not HTML
    plain = [m["content"].get("data", {}).get("text/plain", "") for m in run.messages]
    fallbacks = sum(text.count("<img src=x") for text in plain)
    assert "&lt;img src=x" in sent and sent.count("<img src=x") == fallbacks


def test_a_quiet_cell_creates_no_widget(hub: StandInHub, kernel: Kernel) -> None:
    """Nor any other output."""
    run = kernel.run("%%mountsea -q\na dog")
    assert _opened(run) == {} and run.outputs == []


@pytest.mark.own_kernel
def test_a_background_cell_fills_its_own_outputs(hub: StandInHub, kernel: Kernel) -> None:
    """Line and images appear below it, even while another cell blocks the kernel."""
    hub.ready_after_polls = 10**6
    run = kernel.run("%%mountsea -b -n 2 -o dog\na dog")
    assert run.status == "ok" and not run.images()
    blocking = kernel.begin("import time; time.sleep(3600)")
    hub.ready_after_polls = 0
    kernel.follow(run, lambda: len(run.images()) == 2 and not run.widgets(), "two images")
    kernel.interrupt()
    blocked = kernel.collect(blocking)
    assert blocked.error == "KeyboardInterrupt" and blocked.outputs == []
    assert "2 × 64×48" in run.html() and len(run.outputs) == 3
    assert len(hub.posts) == 1


def test_background_images_of_several_prompts_have_captions(
    hub: StandInHub, kernel: Kernel
) -> None:
    """Each prompt above its images, in order."""
    hub.ready_after_polls = 1
    run = kernel.run("%%mountsea -b -o dogs\na dog\n---\na cat")
    kernel.follow(run, lambda: len(run.images()) == 2 and not run.widgets(), "two images")
    shown = [
        "image" if "image/png" in output["data"] else output["data"]["text/html"]
        for output in run.outputs[1:]
    ]
    dog, dogs_image, cat, cats_image = shown
    assert "a dog" in dog and "a cat" in cat and dogs_image == cats_image == "image"


@pytest.mark.parametrize(
    ("made", "attended"), [(0, True), (0, False), (1, True), (3, True), (3, False)]
)
def test_a_background_cell_leaves_no_empty_output(
    hub: StandInHub, kernel: Kernel, made: int, attended: bool
) -> None:
    """Reserved outputs without an image get a text."""
    hub.polls.append(json_reply({"status": "processing"}, repeat=True))
    run = kernel.run("%%mountsea -b -n 2 -o dog\na dog", attended=attended)
    hub.ending = "completed" if made else "failed"
    hub.polls.clear()
    if made:
        drawn = hub.done(hub.data([image("png", number) for number in range(made)]))
        hub.polls.append(json_reply(drawn, repeat=True))
    held = len(run.outputs) == 3
    assert held != (attended and int(version("ipykernel").partition(".")[0]) >= 7)
    then = kernel.run("try:\n    dog.wait()\nexcept Exception: pass", on_message=run.take)
    assert then.outputs == [] and len(hub.posts) == 1
    kernel.follow(run, lambda: "task" in run.html() or "64×48" in run.html(), "the final line")
    assert len(run.images()) == min(made, 2)
    assert ("1 extra image was not downloaded" in run.html()) == (made == 3)
    assert not run.widgets() and all(any(output["data"].values()) for output in run.outputs)
    texts = [output["data"]["text/plain"] for output in run.outputs[1:]]
    assert texts.count("no image") == (max(0, 2 - made) if held else 0)


@pytest.mark.parametrize("line", ["", "-b -o dog"])
def test_an_unattended_run_creates_no_widget(hub: StandInHub, kernel: Kernel, line: str) -> None:
    """The line is HTML, since nbclient saves the state of closed widgets."""
    hub.ready_after_polls = 1
    run = kernel.run(f"%%mountsea {line}\na dog", attended=False)
    assert _opened(run) == {} and not run.widgets()
    if line:
        assert "results that arrive after the last cell of this run" in run.html()
        kernel.run("_ = dog.wait()", attended=False, on_message=run.take)
    assert "64×48" in run.html() and len(run.images()) == 1 and len(run.outputs) == 2


def test_an_unattended_run_gets_background_outputs_with_the_next_cell(
    hub: StandInHub, kernel: Kernel
) -> None:
    """Outputs sent between two cells are sent again, since nbclient listens only during a cell."""
    run = kernel.run("%%mountsea -b -o dog\na dog", attended=False)
    kernel.follow(run, lambda: len(run.images()) == 1 and "64×48" in run.html(), "the image")
    then = kernel.run("40 + 2", attended=False)
    updates = [
        m["content"]["data"] for m in then.messages if m["msg_type"] == "update_display_data"
    ]
    assert any("image/png" in data for data in updates)
    assert any("64×48" in data.get("text/html", "") for data in updates)
    assert len(then.outputs) == 1 and then.outputs[0]["data"]["text/plain"] == "42"
    assert kernel.run("40 + 2", attended=False).displays == {}


def test_a_missing_file_leaves_no_widget(hub: StandInHub, kernel: Kernel) -> None:
    """A message says that it can't be displayed; the result exists."""
    kernel.run(
        "from mountsea_magic.notebook import outputs\ndef gone(*_, **more):\n"
        "    raise FileNotFoundError('gone')\noutputs.image_bundle = gone"
    )
    run = kernel.run("%%mountsea -o dog\na dog")
    assert run.status == "ok" and "Could not display" in run.text and not run.images()
    assert set(_opened(run)) == _closed(run)
    assert kernel.run("print(len(dog))").text == "1\n"


@pytest.mark.own_kernel
def test_an_interrupted_wait_leaves_the_generation_running(hub: StandInHub, kernel: Kernel) -> None:
    """The interrupt ends `wait` with a short error."""
    hub.ready_after_polls = 10**6
    kernel.run("%%mountsea -b -o dog\na dog")
    waiting = kernel.begin("dog.wait()")
    hub.wait_until(lambda: len(hub.polls_seen) >= 1)
    kernel.interrupt()
    stopped = kernel.collect(waiting)
    assert stopped.error == "Interrupted" and "continues in the background" in stopped.error_message
    assert kernel.run("print(dog.done())").text == "False\n"


def test_a_background_error_is_shown_below_its_cell(hub: StandInHub, kernel: Kernel) -> None:
    """Later cells are not stopped; waiting for the handle raises it."""
    hub.ending = "failed"
    run = kernel.run("%%mountsea -b -o dog\na dog")
    kernel.follow(run, lambda: "TaskFailed" in run.html(), "the error")
    assert run.status == "ok" and "The stand-in was told to" in run.html()
    assert "Nothing was charged" in run.outputs[0]["data"]["text/plain"]
    assert kernel.run(WAIT).error == "TaskFailed"


def test_a_background_notice_is_shown_below_its_cell(
    hub: StandInHub, kernel: Kernel, home: Path
) -> None:
    """Not below the cell that happens to run."""
    home.mkdir(exist_ok=True)
    (home / "journal.sqlite").write_bytes(bytes(5000))
    run = kernel.run("%%mountsea -b -o dog\na dog")
    own = {m["content"]["transient"]["display_id"] for m in run.messages if _displayed(m)}
    waiting = kernel.run(WAIT)
    messages = [message["content"] for message in run.messages + waiting.messages]
    notices = [content for content in messages if "was damaged" in json.dumps(content.get("data"))]
    assert notices and all(content["transient"]["display_id"] in own for content in notices)
    assert (run.text, waiting.text, waiting.outputs) == ("", "", [])


def _displayed(message: Message) -> bool:
    """Return whether a message creates an output that can be updated."""
    return message["msg_type"] == "display_data" and bool(message["content"].get("transient"))
