"""Where outputs can't be updated: final lines and images appear, and no widget is left."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pexpect
import pytest
from hang import HANG_S
from hub_server import StandInHub
from kernel_driver import CellRun, Kernel
from terminals import end_terminal

SETUP = """
import ipywidgets as widgets
out = widgets.Output()
def draw(line="", body="a dog"):
    get_ipython().run_cell_magic("mountsea", "-o dog " + line, body)
"""

PLACES = {
    "Output": "with out:\n    draw()",
    "nested Outputs": "with out, widgets.Output():\n    draw()",
    "capture decorator": "out.capture()(draw)()",
    "interact": "_ = widgets.interact(lambda _: draw(), _=[1])",
    "callback of a button": "button = widgets.Button()\n"
    "button.on_click(lambda _: out.capture()(draw)())\nbutton.click()",
    "capture cell magic": "%%capture held\ndraw()",
    "capture_output": "from IPython.utils.capture import capture_output\n"
    "with capture_output() as held:\n    draw()",
}


@pytest.fixture
def kernel(hub: StandInHub, kernel: Kernel) -> Kernel:
    """Start a kernel with an `Output` widget and a function that runs a cell."""
    assert kernel.run(SETUP).status == "ok"
    return kernel


def _assert_static(run: CellRun, images: int = 1, lines: int = 1) -> None:
    """Check that there are only final lines and images, and no updates or widgets."""
    kinds = [m["msg_type"] for m in run.messages if m["parent_header"]["msg_id"] == run.message_id]
    assert run.status == "ok", run.traceback
    assert "update_display_data" not in kinds
    own = [output for output in run.outputs if "hub-" in str(output) or "64×48" in str(output)]
    assert not any("widget-view" in kind for output in own for kind in output["data"])
    assert run.html().count("64×48") == lines
    assert len(run.images()) == images


@pytest.mark.kernel
@pytest.mark.parametrize("code", PLACES.values(), ids=PLACES)
@pytest.mark.parametrize("attended", [True, False], ids=["JupyterLab", "nbclient"])
def test_line_and_image_are_separate_final_outputs(
    kernel: Kernel, hub: StandInHub, code: str, attended: bool
) -> None:
    """No widget is displayed, and nothing relies on an update."""
    run = kernel.run(code, attended=attended)
    if "held" in code:
        assert run.outputs == []
        run = kernel.run("held.show()", attended=attended)
    _assert_static(run)
    assert len(hub.posts) == 1


@pytest.mark.kernel
def test_several_prompts_are_shown_in_order(kernel: Kernel, hub: StandInHub) -> None:
    """Each with its line above its images."""
    run = kernel.run("with out:\n    draw('-n 2', 'a dog\\n---\\na cat')")
    _assert_static(run, images=4, lines=4)  # a final line and a caption for each prompt
    assert run.html().index("a dog") < run.html().index("a cat")
    assert len(hub.posts) == 2


@pytest.mark.kernel
def test_a_failed_task_leaves_its_line(kernel: Kernel, hub: StandInHub) -> None:
    """With the task id."""
    hub.ending = "failed"
    run = kernel.run("with out:\n    draw()")
    assert "task failed · task hub-0001" in run.html()
    assert run.error == "TaskFailed"


@pytest.mark.kernel
def test_a_background_cell_uses_its_output_widget(kernel: Kernel, hub: StandInHub) -> None:
    """Also for outputs after the end of the cell."""
    hub.ready_after_polls = 2
    run = kernel.run("with out:\n    draw('-b')")
    kernel.follow(run, lambda: len(run.images()) == 1, "the image")
    kernel.run("_ = dog.wait()", on_message=run.take)
    _assert_static(run)
    sent = [str(message["content"].get("data", "")) for message in run.messages]
    opened = [number for number, text in enumerate(sent) if f"'msg_id': '{run.message_id}'" in text]
    shown = next(number for number, text in enumerate(sent) if "image/png" in text)
    closed = [number for number, text in enumerate(sent) if "'msg_id': ''" in text]
    assert any(o < shown < c and c in closed for o in opened[1:] for c in closed)


@pytest.mark.kernel
def test_images_are_shown_if_widgets_are_broken(kernel: Kernel, hub: StandInHub) -> None:
    """The line appears at the end."""
    kernel.run("original, widgets.FloatProgress = widgets.FloatProgress, None")
    _assert_static(kernel.run("draw()"))
    kernel.run("widgets.FloatProgress = original")
    assert len(hub.posts) == 1


@pytest.mark.kernel
def test_jupyter_console_prints_the_final_line(hub: StandInHub, tmp_path: Path) -> None:
    """It ignores updates, and would print a widget as its repr."""
    hub.ready_after_polls = 2
    environment = os.environ | {
        "JUPYTER_CONFIG_DIR": str(tmp_path / "config"),
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "TERM": "dumb",
    }
    options = ["--simple-prompt", "--ZMQTerminalInteractiveShell.image_handler=None"]
    console = pexpect.spawn(
        sys.executable, ["-m", "jupyter_console", "--transport=ipc", *options],
        env=environment, encoding="utf-8", timeout=HANG_S, dimensions=(40, 250),
    )  # fmt: skip
    try:
        console.expect(r"In \[1\]:")
        console.sendline("%load_ext mountsea_magic")
        console.expect(r"In \[2\]:")
        console.sendline(
            "get_ipython().run_cell_magic('mountsea', '', 'a dog'); print('en' + 'ded')"
        )
        console.expect("ended")
        assert "64×48" in console.before and "nano-banana · 64×48" in console.before
        for word in ("VBox", "HBox", "FloatProgress", "waiting", "submitt"):
            assert word not in console.before
    finally:
        end_terminal(console)
    assert len(hub.posts) == 1
