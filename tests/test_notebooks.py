"""Notebooks without a browser: the lessons, and one of everything through every runner."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import nbformat
import pytest
from lab_server import write_notebook

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))
SOURCES = [
    "%load_ext mountsea_magic\n%mountsea demo\n%config MountseaMagics.demo_seconds = 0.3",
    "%%mountsea --background -o fox\na red fox",
    "%%mountsea -n 2 -o boats\nsail boats",
    "fox.wait()",
]
RUNNERS = {
    "jupyter execute": ["-m", "jupyter", "execute", "--output", "out.ipynb", "in.ipynb"],
    "papermill": ["-m", "papermill", "--no-progress-bar", "in.ipynb", "out.ipynb"],
}


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_committed_without_outputs(path: Path) -> None:
    """A lesson holds no output, no execution count and no widget state."""
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code and all(not cell.outputs and cell.execution_count is None for cell in code)
    assert "widgets" not in notebook.metadata


@pytest.mark.kernel
@pytest.mark.parametrize("runner", RUNNERS)
def test_every_runner_saves_it_cleanly(tmp_path: Path, runner: str) -> None:
    """Each picture is in the cell that asked for it, background ones too, and no widget is left."""
    write_notebook(tmp_path / "in.ipynb", *SOURCES)
    command = [sys.executable, *RUNNERS[runner]]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    cells = nbformat.read(tmp_path / "out.ipynb", as_version=4).cells
    assert [_alts(cell.outputs) for cell in cells[1:]] == [
        ["Demo drawing: a red fox"],
        ["Demo drawing 1 of 2: sail boats", "Demo drawing 2 of 2: sail boats"],
        ["Demo drawing: a red fox"],
    ]
    assert "widget-view" not in json.dumps(cells)
    for cell, count in ((cells[1], 1), (cells[2], 2)):
        line, *pictures = [output.data for output in cell.outputs]
        assert "demo Hub" in line["text/plain"] and len(pictures) == count


def _alts(outputs: list[Any]) -> list[str]:
    """Return the alt texts of the pictures of a cell."""
    return [
        described["alt"]
        for output in outputs
        for kind, described in output.get("metadata", {}).items()
        if kind.startswith("image/")
    ]
