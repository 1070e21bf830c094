"""Notebooks without a browser: the lesson files, and a notebook run by nbclient and papermill."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import nbformat
import pytest
from badges import badges, first_cell
from checkout import NOTEBOOKS, ROOT, repository
from hang import HANG_S
from lab_server import OVER_IPC, alts_of, write_notebook

from mountsea_magic.journal.journal import Journal

SOURCES = [
    "%load_ext mountsea_magic\n%mountsea demo\n%config MountseaMagics.demo_seconds = 0.3",
    "%%mountsea --background -o fox\na red fox",
    "%%mountsea -n 2 -o boats\nsail boats",
    # the run ends before this last task does
    "%config MountseaMagics.demo_seconds = 3600\nfox.wait()",
    "%%mountsea --background\na lighthouse",
]
RUNNERS = {
    "jupyter execute": ["nbclient.cli:main", "--output", "out.ipynb", "in.ipynb"],
    "papermill": ["papermill.cli:papermill", "--no-progress-bar", "in.ipynb", "out.ipynb"],
}


every_lesson = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@every_lesson
def test_lesson_is_committed_without_outputs(path: Path) -> None:
    """A lesson has no outputs, no execution counts and no widget state."""
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code and all(not cell.outputs and cell.execution_count is None for cell in code)
    assert "widgets" not in notebook.metadata


@every_lesson
def test_badges_open_this_lesson(path: Path) -> None:
    """Binder and Colab open the lesson itself, from the package's own repository."""
    found = badges(first_cell(path))
    home = f"https://colab.research.google.com/github/{repository()}/blob/main"
    assert set(found) == {"mybinder.org", "colab.research.google.com"}
    binder, colab = found["mybinder.org"], found["colab.research.google.com"]
    assert binder.target.startswith(f"https://mybinder.org/v2/gh/{repository()}/HEAD?")
    assert binder.urlpath == f"lab/tree/notebooks/{path.name}"
    assert colab.target == f"{home}/notebooks/{path.name}"
    assert all(badge.alt.startswith("Open in ") for badge in found.values())


@every_lesson
def test_only_colab_installs_the_package(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first code cell installs from the repository on Colab, and does nothing elsewhere."""
    commands: list[str] = []
    source = re.sub(
        "%pip .*", lambda line: f"commands.append({line[0]!r})", _sources(path, "code")[0]
    )
    exec(source, {"commands": commands})
    assert commands == []
    monkeypatch.setitem(sys.modules, "google.colab", ModuleType("google.colab"))
    exec(source, {"commands": commands})
    url = f"https://github.com/{repository()}"
    assert commands == [f'%pip install -q "mountsea-magic @ git+{url}"']


@every_lesson
def test_lesson_ends_with_an_exercise_and_a_collapsed_solution(path: Path) -> None:
    """A lesson ends with an exercise, a collapsed solution, and a code cell."""
    texts = _sources(path, "markdown")
    assert "## Your turn" in texts[-1]
    assert re.search(r"<details><summary>[^<]+</summary>\n\n.+\n\n</details>$", texts[-1], re.S)
    assert nbformat.read(path, as_version=4).cells[-1].cell_type == "code"


@every_lesson
def test_relative_links_lead_to_existing_files(path: Path) -> None:
    """Relative links of a lesson lead to files that exist."""
    for text in _sources(path, "markdown"):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
            assert (path.parent / target).is_file(), target


def test_images_saved_by_a_lesson_are_ignored_by_git() -> None:
    """Git ignores the folder into which lessons save their images."""
    if not (ROOT / ".git").exists():
        pytest.skip("needs a clone")
    ignored = subprocess.run(["git", "check-ignore", "-q", "notebooks/images/a.png"], cwd=ROOT)
    assert ignored.returncode == 0


@pytest.mark.kernel
@pytest.mark.parametrize("runner", RUNNERS)
def test_runners_save_all_images_and_no_widgets(tmp_path: Path, home: Path, runner: str) -> None:
    """Each image is in the cell that submitted it, also background ones, and no widget remains.

    A background cell with no cell after it can't be updated: its line says so, and its task can be
    resumed.
    """
    write_notebook(tmp_path / "in.ipynb", *SOURCES)
    command = [sys.executable, str(OVER_IPC), *RUNNERS[runner]]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=HANG_S)
    assert done.returncode == 0, done.stderr[-3000:]
    notebook = nbformat.read(tmp_path / "out.ipynb", as_version=4)
    *cells, last = notebook.cells
    assert not notebook.metadata.get("widgets")
    assert [alts_of(cell.outputs) for cell in cells[1:]] == [
        ["Demo drawing: a red fox"],
        ["Demo drawing 1 of 2: sail boats", "Demo drawing 2 of 2: sail boats"],
        ["Demo drawing: a red fox"],
    ]
    assert "widget-view" not in json.dumps(notebook.cells)
    assert ["after the last cell" in out.data["text/html"] for out in last.outputs[:1]] == [True]
    open_entries = Journal(home / "journal.sqlite").open_entries()
    assert [entry.prompt for entry in open_entries if entry.task_id] == ["a lighthouse"]
    for cell, count in ((cells[1], 1), (cells[2], 2)):
        line, *images = [output.data for output in cell.outputs]
        assert "demo Hub" in line["text/plain"] and len(images) == count


def _sources(path: Path, kind: str) -> list[str]:
    """Return the sources of a notebook's cells of one type."""
    cells = nbformat.read(path, as_version=4).cells
    return [cell.source for cell in cells if cell.cell_type == kind]
