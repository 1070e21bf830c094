"""The notebook's face in a real JupyterLab in real Chromium."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from lab_server import has_chromium, lab, open_notebook, page_in_chromium, run_all_cells, save

pytestmark = pytest.mark.browser

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"


@pytest.fixture(autouse=True)
def chromium() -> None:
    """Skip where there is no browser, but never where all is to be tested."""
    if has_chromium():
        return
    if os.environ.get("CI"):
        pytest.fail("Chromium is missing: apt-get install chromium")
    pytest.skip("needs Chromium: apt-get install chromium")


@pytest.fixture
def url(tmp_path: Path, home: Path) -> Iterator[str]:
    """Serve a copy of the notebooks."""
    shutil.copytree(NOTEBOOKS, tmp_path / "notebooks")
    with lab(tmp_path / "notebooks", tmp_path) as address:
        yield address


def _notebook(tmp_path: Path, *sources: str) -> str:
    """Write a notebook of code cells beside the others."""
    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(notebook, tmp_path / "notebooks" / "test.ipynb")
    return "test.ipynb"


DEMO = "%load_ext mountsea_magic\n%mountsea demo\n%config MountseaMagics.demo_seconds = "


def test_the_first_lesson_ends_with_pictures(tmp_path: Path, url: str) -> None:
    """Run All of the first lesson shows every picture, and saves it without a dead widget."""
    with page_in_chromium() as page:
        open_notebook(page, url, "01-first-picture.ipynb")
        run_all_cells(page)
        page.wait_for_function(
            "() => jupyterapp.shell.currentWidget.content.widgets"
            ".filter(cell => cell.model.type === 'code')"
            ".every(cell => cell.model.executionCount !== null)",
            timeout=90_000,
        )
        page.wait_for_function(
            "() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'"
        )
        save(page)
    saved = nbformat.read(tmp_path / "notebooks" / "01-first-picture.ipynb", as_version=4)
    outputs = [output for cell in saved.cells for output in cell.get("outputs", [])]
    pictures = [output for output in outputs if "image/jpeg" in output.get("data", {})]
    assert len(pictures) == 5
    assert all(p["metadata"]["image/jpeg"]["alt"].startswith("Demo drawing") for p in pictures)
    assert "widget-view" not in json.dumps(outputs)


def test_the_bar_moves_and_leaves_one_line(tmp_path: Path, url: str) -> None:
    """While a task runs the bar grows; afterwards there is a picture and no widget."""
    name = _notebook(tmp_path, DEMO + "3", "%%mountsea\na sail boat on the open sea")
    with page_in_chromium() as page:
        open_notebook(page, url, name)
        run_all_cells(page)
        bar = page.wait_for_selector(".widget-hprogress .progress-bar", timeout=30_000)
        assert bar is not None
        seen: list[float] = []
        while bar.is_visible() and len(set(seen)) < 4:
            box = bar.bounding_box()
            seen.append(box["width"] if box else 0.0)
            page.wait_for_timeout(150)
        assert seen == sorted(seen) and len(set(seen)) >= 3
        picture = page.wait_for_selector(".jp-RenderedImage img", timeout=30_000)
        assert picture is not None and picture.evaluate("img => img.naturalWidth") == 768
        assert page.query_selector(".widget-hprogress") is None
        assert "sail boat" in page.inner_text(".jp-RenderedHTMLCommon small")


def test_stop_gives_the_cell_back(tmp_path: Path, url: str) -> None:
    """The Stop button ends a waiting cell within half a second, and the next cell runs."""
    name = _notebook(tmp_path, DEMO + "60", "%%mountsea\na red fox", "print(40 + 2)")
    with page_in_chromium() as page:
        open_notebook(page, url, name)
        run_all_cells(page)
        page.wait_for_selector(".widget-hprogress")
        page.wait_for_function("() => document.body.innerText.includes('hub-')")
        pressed = time.monotonic()
        page.click('jp-button[data-command="notebook:interrupt-kernel"]')
        page.wait_for_selector("text=Stopped waiting", timeout=5_000)
        took_s = time.monotonic() - pressed
        assert took_s < 0.5
        assert page.query_selector(".widget-hprogress") is None


def test_hostile_prompt_is_only_text(tmp_path: Path, url: str) -> None:
    """Markup, scripts and formulas of a prompt are shown as the characters that they are."""
    hostile = "<img src=x onerror=\"window.pwned=1\"><b id='bold'>$x^2$</b> \\(y\\)"
    name = _notebook(tmp_path, DEMO + "0.2", f"%%mountsea --raw\n{hostile}")
    with page_in_chromium() as page:
        open_notebook(page, url, name)
        run_all_cells(page)
        page.wait_for_selector(".jp-RenderedImage img", timeout=30_000)
        line = page.wait_for_selector(".jp-OutputArea-output small")
        assert line is not None and hostile[:40] in line.inner_text()
        assert page.evaluate("() => window.pwned === undefined")
        assert page.query_selector(".jp-OutputArea #bold") is None
        assert page.query_selector(".jp-OutputArea mjx-container, .jp-OutputArea .MathJax") is None
