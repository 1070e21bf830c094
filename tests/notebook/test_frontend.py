"""The detected capabilities of front ends: terminals, notebooks and unattended runners."""

from __future__ import annotations

from importlib.metadata import version

import pytest
from IPython.core.interactiveshell import InteractiveShell
from kernel_driver import Kernel

from mountsea_magic.notebook.frontend import _parent, front_end

ASK = "from mountsea_magic.notebook.frontend import front_end\nprint(front_end(get_ipython()))"
NEW = int(version("ipykernel").partition(".")[0]) >= 7


@pytest.mark.parametrize("renders", [False, True])
def test_a_terminal_draws_png_if_it_has_a_renderer(
    shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch, renders: bool
) -> None:
    """Without a kernel there is no notebook; IPython has renderers for some terminals."""
    if renders:
        monkeypatch.setattr(shell, "mime_renderers", {"image/png": print}, raising=False)
    front = front_end(shell)
    assert not front.notebook and not front.clicks
    assert front.draws_png is renders


def test_plain_python_has_no_front_end() -> None:
    """There is no shell, and nothing is shown."""
    front = front_end(None)
    assert not (front.notebook or front.draws_png or front.clicks or front.late_outputs)


@pytest.mark.kernel
@pytest.mark.parametrize("attended", [True, False], ids=["JupyterLab", "nbclient"])
def test_unattended_runners_are_detected(kernel: Kernel, attended: bool) -> None:
    """A front end allows input and receives late outputs; nbclient does neither."""
    output = kernel.run(ASK, attended=attended).text
    assert "notebook=True" in output and "draws_png=False" in output
    assert f"attended={attended}" in output
    assert f"late_outputs={attended and NEW}" in output and f"clicks={NEW}" in output


@pytest.mark.kernel
def test_the_front_end_is_detected_for_each_cell(kernel: Kernel) -> None:
    """A front end can connect to a kernel that a runner has started."""
    assert "attended=False" in kernel.run(ASK, attended=False).text
    assert "attended=True" in kernel.run(ASK).text


def test_the_parent_process_is_found_without_proc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as on macOS; both ways give the same arguments."""
    arguments = [text for text in _parent() if text]
    monkeypatch.setattr("os.getppid", lambda: -1)
    assert arguments and _parent() == arguments
