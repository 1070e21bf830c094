"""Notebooks without a browser: the lessons, and one of everything through every runner."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import nbformat
import pytest
from badges import badges, opening
from checkout import HELPERS, NOTEBOOKS, ROOT, repository
from lab_server import alts_of, write_notebook

from mountsea_magic.journal.journal import Journal

SOURCES = [
    "%load_ext mountsea_magic\n%mountsea demo\n%config MountseaMagics.demo_seconds = 0.3",
    "%%mountsea --background -o fox\na red fox",
    "%%mountsea -n 2 -o boats\nsail boats",
    # the run is over before this last one is
    "%config MountseaMagics.demo_seconds = 3600\nfox.wait()",
    "%%mountsea --background\na lighthouse",
]
OVER_IPC = HELPERS / "over_ipc.py"
RUNNERS = {
    "jupyter execute": ["nbclient.cli:main", "--output", "out.ipynb", "in.ipynb"],
    "papermill": ["papermill.cli:papermill", "--no-progress-bar", "in.ipynb", "out.ipynb"],
}


every_lesson = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


@every_lesson
def test_committed_without_outputs(path: Path) -> None:
    """A lesson holds no output, no execution count and no widget state."""
    notebook = nbformat.read(path, as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert code and all(not cell.outputs and cell.execution_count is None for cell in code)
    assert "widgets" not in notebook.metadata


@every_lesson
def test_the_badges_open_this_very_lesson(path: Path) -> None:
    """Binder and Colab open the file that bears the badge, from the package's own repository."""
    found = badges(opening(path))
    home = f"https://colab.research.google.com/github/{repository()}/blob/main"
    assert set(found) == {"mybinder.org", "colab.research.google.com"}
    binder, colab = found["mybinder.org"], found["colab.research.google.com"]
    assert binder.target.startswith(f"https://mybinder.org/v2/gh/{repository()}/HEAD?")
    assert binder.urlpath == f"lab/tree/notebooks/{path.name}"
    assert colab.target == f"{home}/notebooks/{path.name}"
    assert all(badge.alt.startswith("Open in ") for badge in found.values())


@every_lesson
def test_colab_alone_installs_the_package(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first code cell installs from the repository on Colab, and does nothing elsewhere."""
    ran: list[str] = []
    source = re.sub("%pip .*", lambda line: f"ran.append({line[0]!r})", _sources(path, "code")[0])
    exec(source, {"ran": ran})
    assert ran == []
    monkeypatch.setitem(sys.modules, "google.colab", ModuleType("google.colab"))
    exec(source, {"ran": ran})
    address = f"https://github.com/{repository()}"
    assert ran == [f'%pip install -q "mountsea-magic @ git+{address}"']


@every_lesson
def test_has_an_exercise_with_a_folded_solution(path: Path) -> None:
    """A lesson ends with the reader's turn: what to try, a way to do it that is folded, a cell."""
    texts = _sources(path, "markdown")
    assert "## Your turn" in texts[-1]
    assert re.search(r"<details><summary>[^<]+</summary>\n\n.+\n\n</details>$", texts[-1], re.S)
    assert nbformat.read(path, as_version=4).cells[-1].cell_type == "code"


@every_lesson
def test_its_links_within_the_repository_lead_somewhere(path: Path) -> None:
    """What a lesson links to or shows from this repository exists."""
    for text in _sources(path, "markdown"):
        for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
            assert (path.parent / target).is_file(), target


def test_what_a_lesson_writes_is_not_committed() -> None:
    """Git ignores the folder into which the lesson on Python saves its images."""
    if not (ROOT / ".git").exists():
        pytest.skip("needs a clone")
    ignored = subprocess.run(["git", "check-ignore", "-q", "notebooks/images/a.png"], cwd=ROOT)
    assert ignored.returncode == 0


@pytest.mark.kernel
@pytest.mark.parametrize("runner", RUNNERS)
def test_every_runner_saves_it_cleanly(tmp_path: Path, home: Path, runner: str) -> None:
    """Each image is in the cell that asked for it, background ones too, and no widget is left.

    Of a background cell with none behind it nothing more is heard: the line says so, and its task
    is there to be resumed.
    """
    write_notebook(tmp_path / "in.ipynb", *SOURCES)
    command = [sys.executable, str(OVER_IPC), *RUNNERS[runner]]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120)
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
    """Return the sources of a notebook's cells of a kind."""
    cells = nbformat.read(path, as_version=4).cells
    return [cell.source for cell in cells if cell.cell_type == kind]
