"""The magics: loading, unloading, help, `%config` and interrupts."""

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
    """Yield for each place where the shell can hold our objects whether it does."""
    magics = shell.magics_manager.magics
    yield "mountsea" in magics["cell"]
    yield "mountsea" in magics["line"]
    yield "MountseaMagics" in shell.magics_manager.registry
    yield any(isinstance(each, MountseaMagics) for each in shell.configurables)
    matchers = shell.Completer.custom_matchers
    yield any(getattr(each, "matcher_identifier", "") == "mountsea" for each in matchers)


def test_loading_and_unloading_are_idempotent_and_complete(shell: InteractiveShell) -> None:
    """Unloading leaves nothing behind, and loading again works."""
    mountsea_magic.load_ipython_extension(shell)
    assert all(_found(shell)) and len(shell.Completer.custom_matchers) == 1
    for _ in range(2):
        mountsea_magic.unload_ipython_extension(shell)
        assert not any(_found(shell))
    mountsea_magic.load_ipython_extension(shell)
    assert all(_found(shell))


def test_help_shows_the_parsers_help(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    """`%%mountsea?`, `--help` and `-h` show the same; nothing is submitted."""
    text = cell_parser().format_help()
    for line in ("-h", "--help", "-n 2 --help"):
        shell.run_cell_magic("mountsea", line, "a dog")  # type: ignore[no-untyped-call]  # IPython is untyped
        assert capsys.readouterr().out.strip() == text.strip()
    shell.run_line_magic("pinfo", "%%mountsea")  # type: ignore[no-untyped-call]  # as above
    assert text.strip() in capsys.readouterr().out


def test_help_with_a_model_adds_its_parameters(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    """Below the options."""
    shell.run_cell_magic("mountsea", "-m gpt-image-2 -h", "a dog")  # type: ignore[no-untyped-call]  # as above
    output = capsys.readouterr().out
    assert output.index("--aspect-ratio") < output.index("quality")


def test_an_interrupt_outside_of_the_wait_is_a_short_error(
    shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It names the command that lists open tasks."""

    def stopped(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(cell, "run_cell", stopped)
    with pytest.raises(Interrupted, match=r"^Stopped\. `%mountsea`"):
        shell.run_cell_magic("mountsea", "", "a dog")  # type: ignore[no-untyped-call]  # as above


@pytest.mark.parametrize(
    ("trait", "value"),
    [("preview", -1), ("timeout", 0.0), ("runner", "threads"), ("demo_seconds", -0.1)],
)
def test_config_rejects_invalid_values(shell: InteractiveShell, trait: str, value: object) -> None:
    """And keeps the value before."""
    magics = shell.magics_manager.registry["MountseaMagics"]
    before = getattr(magics, trait)
    with pytest.raises(TraitError):
        setattr(magics, trait, value)
    assert getattr(magics, trait) == before


def test_config_also_applies_to_the_python_api(here: Session, shell: InteractiveShell) -> None:
    """At once, even before a cell has run."""
    assert not here.settings().is_demo
    shell.run_line_magic("config", "MountseaMagics.base_url = 'demo:'")
    shell.run_line_magic("config", "MountseaMagics.demo_seconds = 0.25")
    assert here.settings().is_demo and here.clients.demo_seconds == 0.25
    mountsea_magic.unload_ipython_extension(shell)
    assert not here.settings().is_demo


def test_config_from_a_file_applies_after_loading(here: Session) -> None:
    """Such as ipython_config.py."""
    own = {"base_url": "demo:", "demo_seconds": 0.125}
    config = Config({"HistoryManager": {"enabled": False}, "MountseaMagics": own})
    shell = InteractiveShell(config=config)  # type: ignore[no-untyped-call]  # as above
    mountsea_magic.load_ipython_extension(shell)
    assert here.settings().is_demo and here.clients.demo_seconds == 0.125
    mountsea_magic.unload_ipython_extension(shell)
    assert not here.settings().is_demo
