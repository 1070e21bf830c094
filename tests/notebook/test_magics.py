"""The magics themselves: they come, go, show their help, and end a Stop in one line."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets import TraitError
from traitlets.config import Config

import mountsea_magic
from mountsea_magic.errors import Interrupted
from mountsea_magic.notebook import cell
from mountsea_magic.notebook.magics import MountseaMagics
from mountsea_magic.notebook.options import cell_parser
from mountsea_magic.session import Session


def _found(shell: InteractiveShell) -> Iterator[bool]:
    """Say for each place in which the shell knows of us whether it does."""
    magics = shell.magics_manager.magics
    yield "mountsea" in magics["cell"]
    yield "mountsea" in magics["line"]
    yield "MountseaMagics" in shell.magics_manager.registry
    yield any(isinstance(each, MountseaMagics) for each in shell.configurables)
    matchers = shell.Completer.custom_matchers
    yield any(getattr(each, "matcher_identifier", "") == "mountsea" for each in matchers)


def test_they_come_once_and_go_wholly(shell: InteractiveShell) -> None:
    """Loading twice is harmless; unloading leaves nothing, be it done twice; they come again."""
    mountsea_magic.load_ipython_extension(shell)
    assert all(_found(shell)) and len(shell.Completer.custom_matchers) == 1
    for _ in range(2):
        mountsea_magic.unload_ipython_extension(shell)
        assert not any(_found(shell))
    mountsea_magic.load_ipython_extension(shell)
    assert all(_found(shell))


def test_help_is_the_parsers(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    """`%%mountsea?`, `--help` and `-h` above any body show the same; nothing is ordered."""
    text = cell_parser().format_help()
    for line in ("-h", "--help", "-n 2 --help"):
        shell.run_cell_magic("mountsea", line, "a dog")  # type: ignore[no-untyped-call]  # IPython's is so
        assert capsys.readouterr().out.strip() == text.strip()
    assert text in (shell.find_cell_magic("mountsea").__doc__ or "")  # type: ignore[no-untyped-call]  # as above


def test_help_with_a_model_tells_of_the_model(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its parameters come after the options."""
    shell.run_cell_magic("mountsea", "-m gpt-image-2 -h", "a dog")  # type: ignore[no-untyped-call]  # as above
    said = capsys.readouterr().out
    assert said.index("--aspect-ratio") < said.index("quality")


def test_a_stop_outside_of_the_wait_is_short(
    shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever it hits, it is one line that says how to see what is open."""

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cell, "run_cell", stopped)
    with pytest.raises(Interrupted, match=r"^Stopped\. `%mountsea`"):
        shell.run_cell_magic("mountsea", "", "a dog")  # type: ignore[no-untyped-call]  # as above


@pytest.mark.parametrize(
    ("trait", "value"),
    [("preview", -1), ("timeout", 0.0), ("runner", "threads"), ("demo_seconds", -0.1)],
)
def test_config_refuses_what_makes_no_sense(
    shell: InteractiveShell, trait: str, value: object
) -> None:
    """At once, and the value before it stays."""
    magics = shell.magics_manager.registry["MountseaMagics"]
    before = getattr(magics, trait)
    with pytest.raises(TraitError):
        setattr(magics, trait, value)
    assert getattr(magics, trait) == before


def test_config_holds_for_python_too_and_from_its_change_on(
    here: Session, shell: InteractiveShell
) -> None:
    """`generate` asks the same Hub as the next cell would, also if none has run."""
    assert not here.settings().is_demo
    shell.run_line_magic("config", "MountseaMagics.base_url = 'demo:'")
    shell.run_line_magic("config", "MountseaMagics.demo_seconds = 0.25")
    assert here.settings().is_demo and here.clients.demo_seconds == 0.25
    mountsea_magic.unload_ipython_extension(shell)
    assert not here.settings().is_demo


def test_config_of_a_file_holds_once_they_are_loaded(here: Session) -> None:
    """As ipython_config.py sets it."""
    own = {"base_url": "demo:", "demo_seconds": 0.125}
    config = Config({"HistoryManager": {"enabled": False}, "MountseaMagics": own})
    shell = InteractiveShell(config=config)  # type: ignore[no-untyped-call]  # as above
    mountsea_magic.load_ipython_extension(shell)
    assert here.settings().is_demo and here.clients.demo_seconds == 0.125
    mountsea_magic.unload_ipython_extension(shell)
    assert not here.settings().is_demo
