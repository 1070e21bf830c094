"""The HTTP libraries are imported between cells, and never while one runs."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections.abc import Callable

import pytest
from hang import HANG_S
from IPython.core.interactiveshell import InteractiveShell

from mountsea_magic.notebook import preload
from mountsea_magic.notebook.preload import MODULES, Preload


@pytest.fixture
def imported(shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Collect the names in place of importing them, without a pause."""
    shell.magics_manager.registry["MountseaMagics"].preload.stop()
    names: list[str] = []
    monkeypatch.setattr(preload, "import_module", names.append)
    monkeypatch.setattr(preload, "PAUSE_S", 0.0)
    return names


def _ended(started: Preload) -> bool:
    """Wait for the thread of a preload, and return whether it has ended."""
    assert started._thread is not None
    started._thread.join(HANG_S)
    return not started._thread.is_alive()


def _run_a_cell(shell: InteractiveShell) -> None:
    shell.run_cell("loaded = True")  # type: ignore[no-untyped-call]  # IPython is untyped


def _callbacks(shell: InteractiveShell) -> list[Callable[..., object]]:
    return [*shell.events.callbacks["pre_execute"], *shell.events.callbacks["post_execute"]]


def test_modules_are_imported_after_the_cell(shell: InteractiveShell, imported: list[str]) -> None:
    """Each once, in order; then no callback is left."""
    before = _callbacks(shell)
    started = Preload(shell)
    assert started._thread is None and len(_callbacks(shell)) == len(before) + 2
    _run_a_cell(shell)
    assert _ended(started) and imported == [*MODULES]
    assert _callbacks(shell) == before


def test_nothing_is_imported_while_a_cell_runs(
    shell: InteractiveShell, imported: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A cell that starts during the pause postpones the imports to its end."""
    paused, pauses = threading.Event(), 0

    def pause(_: float) -> None:
        nonlocal pauses
        pauses += 1
        if pauses == 1:
            shell.events.trigger("pre_execute")
            paused.set()

    monkeypatch.setattr(preload, "sleep", pause)
    started = Preload(shell)
    shell.events.trigger("post_execute")
    assert paused.wait(HANG_S) and imported == []
    shell.events.trigger("post_execute")
    assert _ended(started) and imported == [*MODULES] and pauses == 2


def test_unloading_stops_the_imports(shell: InteractiveShell, imported: list[str]) -> None:
    """Also while a cell runs, and a second time."""
    started = Preload(shell)
    shell.events.trigger("post_execute")
    shell.events.trigger("pre_execute")
    started.stop()
    assert _ended(started)
    started.stop()
    before = len(imported)
    _run_a_cell(shell)
    assert len(imported) == before


def test_a_broken_module_is_left_to_the_cell_that_needs_it(
    shell: InteractiveShell, imported: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is printed, and nothing more is imported."""

    def fail(name: str) -> None:
        imported.append(name)
        raise ImportError(name)

    monkeypatch.setattr(preload, "import_module", fail)
    started = Preload(shell)
    _run_a_cell(shell)
    assert _ended(started) and imported == [MODULES[0]]


def test_all_modules_exist() -> None:
    """A name that no longer exists would end the imports silently."""
    program = f"from importlib import import_module\nfor name in {MODULES!r}: import_module(name)"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=HANG_S)
