"""The lessons: committed without outputs, run top to bottom with no key, saved without junk."""

from __future__ import annotations

import json
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbconvert import HTMLExporter

NOTEBOOKS = sorted((Path(__file__).parent.parent / "notebooks").glob("*.ipynb"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_committed_without_outputs(path: Path) -> None:
    """A lesson holds no output, no execution count and no widget state."""
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code and all(not cell.outputs and cell.execution_count is None for cell in code)
    assert "widgets" not in notebook.metadata


@pytest.mark.kernel
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_runs_without_a_key(path: Path) -> None:
    """Every cell runs on the demo Hub; notebook and HTML hold pictures and no dead widget."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=60, kernel_name="python3").execute()
    outputs = [out for cell in notebook.cells for out in cell.get("outputs", [])]
    pictures = [out for out in outputs if any("image/" in kind for kind in out.get("data", {}))]
    assert len(pictures) >= 3
    assert "widget-view" not in json.dumps(outputs)
    page, _ = HTMLExporter().from_notebook_node(notebook)
    assert page.count("data:image/jpeg;base64") >= 3
    assert "Error displaying widget" not in page
    assert '<script type="application/vnd.jupyter.widget-view+json"' not in page
