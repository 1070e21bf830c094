"""Each lesson in a real JupyterLab: run to its end, exported, and reopened without a kernel."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from checkout import NOTEBOOKS
from lab_server import (
    IMAGE,
    WIDGETS,
    alts_of,
    await_cells,
    close_notebooks,
    end_kernels,
    open_notebook,
    run_all_cells,
    saved,
)

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

LESSONS = [path.name for path in NOTEBOOKS]
_SHOWN = """() => [...globalThis.jupyterapp?.shell.widgets('main') ?? []]
  .find(widget => widget.content?.widgets?.length)?.title.label"""


@pytest.fixture(scope="module")
def drawn() -> dict[str, int]:
    """Keep how many images each lesson has made, once it has been run."""
    return {}


def run_lesson(page: Page, url: str, path: Path, drawn: dict[str, int]) -> None:
    """Run All of a lesson, once, and check what it saves."""
    if path.name in drawn:
        return
    open_notebook(page, url, path.name)
    run_all_cells(page)
    await_cells(page)
    outputs = [output for cell in saved(page, path) for output in cell]
    alts = alts_of(outputs)
    assert len(alts) >= 3 and all(alt.startswith("Demo drawing") for alt in alts)
    assert not [output for output in outputs if output.output_type == "error"]
    assert "widget-view" not in json.dumps(outputs)
    # with those that Pillow shows, which have no alt text
    drawn[path.name] = sum("image/jpeg" in output.get("data", {}) for output in outputs)


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_lesson_runs_to_its_end(
    page: Page, url: str, folder: Path, drawn: dict[str, int], lesson: str
) -> None:
    """Run All leaves no error and no dead widget; images have alt texts, and are in its HTML."""
    from nbconvert import HTMLExporter

    run_lesson(page, url, folder / lesson, drawn)
    exported, _ = HTMLExporter().from_filename(str(folder / lesson))
    assert exported.count("data:image/") >= drawn[lesson]
    assert "Error displaying widget" not in exported


def test_lessons_are_reopened_without_a_kernel(
    page: Page, url: str, folder: Path, drawn: dict[str, int]
) -> None:
    """All images of a saved lesson are there, and no dead widget, though nothing runs."""
    for lesson in LESSONS:
        run_lesson(page, url, folder / lesson, drawn)
        close_notebooks(page)
        end_kernels(url)
    page.goto("about:blank")
    page.route("**/api/sessions*", lambda route: route.abort())
    try:
        page.goto(f"{url}/lab?reset")
        page.wait_for_function(
            "() => globalThis.jupyterapp?.commands.hasCommand('docmanager:open')"
        )
        page.evaluate("async () => { await jupyterapp.restored }")
        # JupyterLab draws only what is near the window
        page.set_viewport_size({"width": 1280, "height": 12_000})
        for lesson in LESSONS:
            close_notebooks(page)
            page.evaluate(
                "name => { jupyterapp.commands.execute('docmanager:open',"
                " {path: name, factory: 'Notebook', kernelPreference: {shouldStart: false}}) }",
                lesson,
            )
            page.wait_for_function(f"name => ({_SHOWN})() === name", arg=lesson)
            page.wait_for_function(
                "([selector, count]) => [...document.querySelectorAll(selector)]"
                ".filter(image => image.naturalWidth).length === count",
                arg=[IMAGE, drawn[lesson]],
            )
            assert "rror displaying widget" not in page.inner_text(".jp-NotebookPanel")
            assert page.query_selector(WIDGETS) is None
            assert page.evaluate(
                "() => [...jupyterapp.shell.widgets('main')]"
                ".every(one => !one.sessionContext?.session)"
            )
    finally:
        page.unroute("**/api/sessions*")
        page.goto("about:blank")
