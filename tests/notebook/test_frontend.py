"""What is known of the front end: terminals, kernels that someone looks on at, and runners."""

from __future__ import annotations

from importlib.metadata import version

import pytest
from IPython.core.interactiveshell import InteractiveShell
from kernel_driver import Kernel

from mountsea_magic.notebook.frontend import front_end

ASK = "from mountsea_magic.notebook.frontend import front_end\nprint(front_end(get_ipython()))"
NEW = int(version("ipykernel").partition(".")[0]) >= 7


@pytest.mark.parametrize("renders", [False, True])
def test_a_terminal_draws_what_it_has_a_renderer_for(
    shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch, renders: bool
) -> None:
    """Without a kernel there is no notebook; PNG is drawn by whatever IPython was given for it."""
    if renders:
        monkeypatch.setattr(shell, "mime_renderers", {"image/png": print}, raising=False)
    front = front_end(shell)
    assert not front.notebook and not front.clicks
    assert front.draws_png is renders


def test_plain_python_has_no_front_end() -> None:
    """There is no shell, and nothing is shown."""
    front = front_end(None)
    assert not (front.notebook or front.draws_png or front.clicks or front.late)


@pytest.mark.kernel
@pytest.mark.parametrize("watched", [True, False], ids=["JupyterLab", "nbclient"])
def test_a_runner_is_told_by_what_it_asks(kernel: Kernel, watched: bool) -> None:
    """A front end allows input and hears of cells that are over; nbclient does neither."""
    said = kernel.run(ASK, watched=watched).text
    assert "notebook=True" in said and "draws_png=False" in said
    assert f"watched={watched}" in said
    assert f"late={watched and NEW}" in said and f"clicks={NEW}" in said


@pytest.mark.kernel
def test_each_cell_is_asked_anew(kernel: Kernel) -> None:
    """A kernel may be started by a runner, and be looked on at later."""
    assert "watched=False" in kernel.run(ASK, watched=False).text
    assert "watched=True" in kernel.run(ASK).text
