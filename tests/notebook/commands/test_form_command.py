"""The command ``form`` in real kernels, and where there can be no widgets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from cells import DEFAULTS
from forms import LIVE, registry
from hub_server import StandInHub
from IPython.core.interactiveshell import InteractiveShell
from kernel_driver import CellRun, Kernel

from mountsea_magic.errors import MountseaError
from mountsea_magic.notebook.commands import form as form_command
from mountsea_magic.notebook.commands.dispatch import run_command
from mountsea_magic.notebook.form.form import Form

THIS_FORM = (
    "from mountsea_magic.notebook.form.open_forms import OPEN_FORMS\n"
    "form = OPEN_FORMS._forms[-1][1]\n"
)
GENERATE = "form.widgets.prompt.value = 'a red fox'\nform.widgets.generate.click()\n"


def opened(run: CellRun) -> set[str]:
    """Return the ids of the widgets that were created."""
    return {m["content"]["comm_id"] for m in run.messages if m["msg_type"] == "comm_open"}


def closed(run: CellRun) -> set[str]:
    """Return the ids of the widgets that were closed."""
    return {m["content"]["comm_id"] for m in run.messages if m["msg_type"] == "comm_close"}


def shown(run: CellRun) -> list[dict[str, Any]]:
    """Return the mimebundle of each output."""
    return [output["data"] for output in run.outputs if "data" in output]


def test_a_terminal_names_the_alternative(demo: None, shell: InteractiveShell) -> None:
    """Widgets would be printed as their repr."""
    with pytest.raises(MountseaError, match=r"needs a notebook.*%%mountsea cell"):
        run_command(shell, "form", DEFAULTS)


@pytest.mark.parametrize("failure", [KeyboardInterrupt, OSError])
def test_a_form_that_is_not_shown_leaves_no_widget(
    hub: StandInHub,
    shell: InteractiveShell,
    monkeypatch: pytest.MonkeyPatch,
    failure: type[BaseException],
) -> None:
    """Such as after an interrupt while the Hub is asked for its models."""

    def fail(*_: object) -> None:
        raise failure

    monkeypatch.setattr(form_command, "front_end", lambda _: LIVE)
    monkeypatch.setattr(Form, "_refresh_models", fail)
    others = set(registry())
    with pytest.raises(failure):
        run_command(shell, "form", DEFAULTS)
    assert set(registry()) == others


@pytest.mark.kernel
def test_a_form_generates_and_leaves_no_widget(hub: StandInHub, kernel: Kernel) -> None:
    """A second run of the cell would close it too; the image is an output of its cell."""
    run = kernel.run("%mountsea form -m nano-banana-pro")
    assert run.status == "ok" and len(run.widgets()) == 1
    widget, reserved = shown(run)
    assert "%%mountsea --model nano-banana-pro" in widget["text/plain"]
    assert reserved == {"text/plain": ""}
    kernel.run(THIS_FORM + GENERATE + "_ = _mountsea.wait(20)", on_message=run.take)
    assert len(hub.posts) == 1 and run.images() == []
    last = kernel.run("form.widgets.close.click()", on_message=run.take)
    assert last.outputs == [] and not run.widgets()
    note, image = shown(run)
    assert note["text/plain"].endswith("%%mountsea --model nano-banana-pro\na red fox")
    assert "image/png" in image and len(opened(run)) > 100
    assert opened(run) <= closed(run)


@pytest.mark.kernel
def test_a_form_becomes_a_note_when_the_kernel_ends(
    hub: StandInHub, own_kernel: Kernel, home: Path
) -> None:
    """As far as the front end still listens."""
    kernel = own_kernel
    kernel.run("%load_ext mountsea_magic")
    run = kernel.run("%mountsea form")
    assert len(run.widgets()) == 1
    kernel.client.shutdown()
    kernel.follow(run, lambda: not run.widgets(), "the note")
    assert "The form was closed" in shown(run)[0]["text/plain"]


@pytest.mark.kernel
def test_an_unattended_run_gets_a_cell_in_its_place(hub: StandInHub, kernel: Kernel) -> None:
    """Nbclient and papermill would save dead widgets."""
    run = kernel.run("%mountsea form -m nano-banana-2", attended=False)
    assert run.status == "ok" and opened(run) == set()
    (note,) = shown(run)
    assert "%%mountsea --model nano-banana-2" in note["text/html"]
    assert "%%mountsea --model nano-banana-2" in note["text/plain"]


@pytest.mark.kernel
def test_an_app_of_voila_gets_a_form(hub: StandInHub, kernel: Kernel) -> None:
    """It runs the cells unattended, but its widgets are live; only they can change."""
    run = kernel.run(
        "import os\nos.environ['SERVER_SOFTWARE'] = 'voila/0.5.13'\n%mountsea form", attended=False
    )
    assert run.status == "ok" and len(run.widgets()) == 1 and len(shown(run)) == 1
    displays = [m for m in run.messages if m["msg_type"] == "display_data"]
    assert not any(m["content"].get("transient") for m in displays)


@pytest.mark.kernel
@pytest.mark.parametrize(
    ("code", "error", "words"),
    [
        (
            "import ipywidgets\nwith ipywidgets.Output():\n    %mountsea form",
            "MountseaError",
            "Output widget",
        ),
        ("%mountsea form -m nano-bananna", "InvalidRequest", "Did you mean nano-banana"),
    ],
    ids=["Output", "unknown model"],
)
def test_where_there_is_no_form_an_error_says_why(
    hub: StandInHub, kernel: Kernel, code: str, error: str, words: str
) -> None:
    """Short, and without a widget."""
    run = kernel.run(code)
    assert run.error == error
    assert words in json.dumps([message["content"] for message in run.messages], default=str)
    assert "widget-view+json" not in json.dumps(shown(run))
