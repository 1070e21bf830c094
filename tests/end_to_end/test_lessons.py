"""Each lesson in real JupyterLab: run all cells, export, and reopen without a kernel."""

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

pytestmark = [pytest.mark.browser, pytest.mark.lesson]

LESSONS = [path.name for path in NOTEBOOKS]
_VISIBLE_NOTEBOOK = """() => [...globalThis.jupyterapp?.shell.widgets('main') ?? []]
  .find(widget => widget.content?.widgets?.length)?.title.label"""


@pytest.fixture(scope="module")
def image_counts() -> dict[str, int]:
    """Return the number of images of each lesson that has been run, filled by the tests."""
    return {}


def run_lesson(page: Page, url: str, path: Path, image_counts: dict[str, int]) -> None:
    """Run all cells of a lesson, once per module, and check the saved outputs."""
    if path.name in image_counts:
        return
    open_notebook(page, url, path.name)
    run_all_cells(page)
    await_cells(page)
    close_form(page, path)
    outputs = [output for cell in saved(page, path) for output in cell]
    alts = alts_of(outputs)
    assert len(alts) >= 3
    assert all(alt.startswith(("Demo drawing", "Contact sheet", "Two images")) for alt in alts)
    assert not [output for output in outputs if output.output_type == "error"]
    assert "widget-view" not in json.dumps(outputs)
    # including Pillow's own outputs, which have no alt text
    image_counts[path.name] = sum("image/jpeg" in output.get("data", {}) for output in outputs)


def close_form(page: Page, path: Path) -> None:
    """Close the form of a lesson, as it tells its readers to do before they save it."""
    if '"%mountsea form"' in path.read_text("utf-8"):
        # the click waits for the form, which appears some time after its cell has run
        page.locator(".jp-OutputArea").get_by_role("button", name="Close").click()
        page.wait_for_selector(WIDGETS, state="detached")


@pytest.mark.parametrize("lesson", LESSONS)
def test_lesson_runs_without_errors(
    page: Page, url: str, folder: Path, image_counts: dict[str, int], lesson: str
) -> None:
    """Run All leaves no error and no dead widget; images have alt texts and are in the HTML."""
    from nbconvert import HTMLExporter

    run_lesson(page, url, folder / lesson, image_counts)
    exported, _ = HTMLExporter().from_filename(str(folder / lesson))
    assert exported.count("data:image/") >= image_counts[lesson]
    assert "Error displaying widget" not in exported


def test_saved_lessons_show_their_images_without_a_kernel(
    page: Page, url: str, folder: Path, image_counts: dict[str, int]
) -> None:
    """A saved lesson shows all images and no dead widget without a kernel."""
    for lesson in LESSONS:
        run_lesson(page, url, folder / lesson, image_counts)
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
        # JupyterLab renders only cells near the viewport
        page.set_viewport_size({"width": 1280, "height": 12_000})
        for lesson in LESSONS:
            close_notebooks(page)
            page.evaluate(
                "name => { jupyterapp.commands.execute('docmanager:open',"
                " {path: name, factory: 'Notebook', kernelPreference: {shouldStart: false}}) }",
                lesson,
            )
            page.wait_for_function(f"name => ({_VISIBLE_NOTEBOOK})() === name", arg=lesson)
            page.wait_for_function(
                "([selector, count]) => [...document.querySelectorAll(selector)]"
                ".filter(image => image.naturalWidth).length === count",
                arg=[IMAGE, image_counts[lesson]],
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
