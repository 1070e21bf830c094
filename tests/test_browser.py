"""The notebook's face in a real JupyterLab and a real Notebook 7, in real Chromium."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nbformat
import pytest
from lab_server import (
    KERNEL_IDLE,
    await_cells,
    close_notebooks,
    end_kernels,
    has_chromium,
    lab,
    open_notebook,
    page_in_chromium,
    run_all_cells,
    run_cell,
    save,
    write_notebook,
)
from nbconvert import HTMLExporter

if TYPE_CHECKING:
    from playwright.sync_api import ElementHandle, Page

pytestmark = pytest.mark.browser

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"
LESSONS = sorted(path.name for path in NOTEBOOKS.glob("*.ipynb"))
PICTURE = ".jp-RenderedImage img"
OUTPUT = ".jp-NotebookPanel .jp-OutputArea-output"
LIVE = ".widget-html-content:has-text('hub-')"
WIDGETS = ".jupyter-widgets, .widget-hprogress"
STOP = 'jp-button[data-command="notebook:interrupt-kernel"]'
CANCEL = "button.jupyter-button:has-text('Cancel')"


@pytest.fixture(scope="module", autouse=True)
def chromium() -> None:
    """Skip where there is no browser, but never where all is to be tested."""
    if has_chromium():
        return
    if os.environ.get("CI"):
        pytest.fail("Chromium is missing: apt-get install chromium")
    pytest.skip("needs Chromium: apt-get install chromium")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that is served, with a copy of the lessons."""
    return Path(shutil.copytree(NOTEBOOKS, tmp_path_factory.mktemp("lab") / "root"))


@pytest.fixture(scope="module")
def url(folder: Path) -> Iterator[str]:
    """Serve the folder: a server takes seconds to start, and its kernels keep tests apart."""
    with lab(folder, folder.parent) as address:
        yield address


@pytest.fixture(scope="module")
def tab() -> Iterator[Page]:
    """Keep one browser, whose cache holds JupyterLab's scripts."""
    with page_in_chromium() as page:
        yield page


@pytest.fixture
def page(tab: Page, url: str) -> Iterator[Page]:
    """Leave neither page nor kernel to the next test."""
    yield tab
    tab.set_viewport_size({"width": 1280, "height": 800})
    close_notebooks(tab)
    end_kernels(url)


def _setup(home: Path, seconds: float) -> str:
    """A home of its own: no test sees another's open tasks, or learns from its seconds."""
    return (
        f"import os\nos.environ['MOUNTSEA_HOME'] = {str(home)!r}\n%load_ext mountsea_magic\n"
        f"%mountsea demo\n%config MountseaMagics.demo_seconds = {seconds}"
    )


def _saved(page: Page, path: Path) -> list[Any]:
    """Save the notebook, and return the outputs of each code cell."""
    save(page)
    notebook = nbformat.read(path, as_version=4)
    assert not notebook.metadata.get("widgets")
    return [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]


def _alts(outputs: list[Any]) -> list[str]:
    """Return the alt texts of the pictures of a cell."""
    return [
        described["alt"]
        for output in outputs
        for kind, described in output.get("metadata", {}).items()
        if kind.startswith("image/")
    ]


def _boxes(page: Page, selector: str) -> list[tuple[int, int, int, int]]:
    """Return left, top, right and bottom of all that a selector finds."""
    found: list[tuple[int, int, int, int]] = []
    for element in page.query_selector_all(selector):
        box = element.bounding_box()
        assert box is not None
        right, bottom = box["x"] + box["width"], box["y"] + box["height"]
        found.append((round(box["x"]), round(box["y"]), round(right), round(bottom)))
    return found


def _cell(page: Page, number: int) -> ElementHandle:
    """Return what is drawn of a cell; JupyterLab takes those far away out of the page."""
    found = page.wait_for_selector(f'.jp-Cell[data-windowed-list-index="{number}"]')
    assert found is not None
    return found


@pytest.mark.parametrize("lesson", LESSONS)
def test_a_lesson_survives_saving_and_reopening(
    page: Page, url: str, folder: Path, lesson: str
) -> None:
    """Run All of a lesson ends well; as HTML and reopened without a kernel its pictures are there.

    No error, no dead widget; each picture has its alt text in the metadata.
    """
    open_notebook(page, url, lesson)
    run_all_cells(page)
    await_cells(page)
    cells = _saved(page, folder / lesson)
    outputs = [output for cell in cells for output in cell]
    alts = _alts(outputs)
    assert len(alts) >= 3 and all(alt.startswith("Demo drawing") for alt in alts)
    assert not [output for output in outputs if output.output_type == "error"]
    assert "widget-view" not in json.dumps(outputs)
    exported, _ = HTMLExporter().from_filename(str(folder / lesson))
    assert exported.count("data:image/jpeg;base64") == len(alts)
    # with those that Pillow shows, which have no alt text
    pictures = [output for output in outputs if "image/jpeg" in output.get("data", {})]
    assert "Error displaying widget" not in exported

    page.goto("about:blank")
    end_kernels(url)
    page.route("**/api/sessions*", lambda route: route.abort())
    try:
        page.goto(f"{url}/lab/tree/{lesson}?reset")
        page.wait_for_function(
            "() => [...globalThis.jupyterapp?.shell.widgets('main') ?? []]"
            ".some(widget => widget.content?.widgets?.length)"
        )
        # JupyterLab draws only what is near the window
        page.set_viewport_size({"width": 1280, "height": 12_000})
        page.wait_for_function(
            "([selector, count]) => [...document.querySelectorAll(selector)]"
            ".filter(image => image.naturalWidth).length === count",
            arg=[PICTURE, len(pictures)],
        )
        assert "rror displaying widget" not in page.inner_text(".jp-NotebookPanel")
        assert page.query_selector(WIDGETS) is None
        assert page.evaluate(
            "() => [...jupyterapp.shell.widgets('main')].every(one => !one.sessionContext?.session)"
        )
    finally:
        page.unroute("**/api/sessions*")
        page.goto("about:blank")


def test_the_bar_moves_and_leaves_one_line(
    page: Page, url: str, folder: Path, tmp_path: Path
) -> None:
    """While a task runs the bar grows; afterwards there is a picture and no widget."""
    sources = _setup(tmp_path, 3), "%%mountsea\na sail boat on the open sea"
    open_notebook(page, url, write_notebook(folder / f"{tmp_path.name}.ipynb", *sources))
    run_all_cells(page)
    bar = page.wait_for_selector(".widget-hprogress .progress-bar")
    assert bar is not None
    seen: list[float] = []
    while bar.is_visible() and len(set(seen)) < 4:
        box = bar.bounding_box()
        seen.append(box["width"] if box else 0.0)
        page.wait_for_timeout(100)
    assert seen == sorted(seen) and len(set(seen)) >= 3
    picture = page.wait_for_selector(PICTURE)
    assert picture is not None and picture.evaluate("img => img.naturalWidth") == 768
    assert page.query_selector(WIDGETS) is None
    assert "sail boat" in page.inner_text(".jp-RenderedHTMLCommon small")
    assert _alts(_saved(page, folder / f"{tmp_path.name}.ipynb")[1]) == [
        "Demo drawing: a sail boat on the open sea"
    ]


@pytest.mark.parametrize("button", [STOP, CANCEL], ids=["stop", "cancel"])
def test_the_cell_is_given_back_at_once(
    page: Page, url: str, folder: Path, tmp_path: Path, button: str
) -> None:
    """Stop and Cancel end a waiting cell within half a second, with no widget left behind."""
    sources = _setup(tmp_path, 60), "%%mountsea\na red fox", "print(40 + 2)"
    open_notebook(page, url, write_notebook(folder / f"{tmp_path.name}.ipynb", *sources))
    run_cell(page, 0)
    took_s = []
    for _ in range(3):
        run_cell(page, 1)
        task_id = page.inner_text(LIVE).rpartition(" ")[2]
        pressed = time.monotonic()
        page.click(button)
        page.wait_for_selector(f"pre:visible:has-text('{task_id}')", timeout=5_000)
        took_s.append(time.monotonic() - pressed)
        assert page.query_selector(WIDGETS) is None
    assert statistics.median(took_s) < 0.5
    run_cell(page, 2)
    page.wait_for_selector(".jp-OutputArea-output pre:has-text('42')", timeout=5_000)
    (ending, error) = _saved(page, folder / f"{tmp_path.name}.ipynb")[1]
    assert "interrupted" in ending.data["text/plain"] and error.ename == "Interrupted"


def test_background_cells_keep_their_own_output(
    page: Page, url: str, folder: Path, tmp_path: Path
) -> None:
    """Five background cells are filled in their own places while a blocking cell runs."""
    prompts = ["red fox", "sail boat", "lighthouse", "tulips", "mountain lake"]
    sources = [
        _setup(tmp_path, 2),
        *(f"%%mountsea --background -o p{n}\n{said}" for n, said in enumerate(prompts)),
        "import time\ndeadline = time.monotonic() + 60\n"
        f"while not os.path.exists({str(tmp_path / 'go')!r}) and time.monotonic() < deadline:\n"
        "    time.sleep(0.05)\nprint('unblocked')",
        "%%mountsea\na snowy forest",
    ]
    name = write_notebook(folder / f"{tmp_path.name}.ipynb", *sources)
    open_notebook(page, url, name)
    run_all_cells(page)
    shown = """count => jupyterapp.shell.currentWidget.content.widgets.map(
      cell => cell.model.outputs.toJSON().filter(
        output => 'image/jpeg' in (output.data ?? {})).length
    ).reduce((sum, images) => sum + images) === count"""
    page.wait_for_function(shown, arg=5, timeout=30_000)
    assert page.evaluate(
        "() => jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'busy'"
    )
    (tmp_path / "go").touch()
    await_cells(page)
    cells = _saved(page, folder / name)
    for said, outputs in zip(prompts, cells[1:6], strict=True):
        assert _alts(outputs) == [f"Demo drawing: {said}"]
        assert "widget-view" not in json.dumps(outputs)
    assert [output.get("text") for output in cells[6]] == ["unblocked\n"]
    assert _alts(cells[7]) == ["Demo drawing: a snowy forest"]


@pytest.mark.parametrize("face", ["lab", "notebook"])
def test_pictures_stand_side_by_side(
    page: Page, url: str, folder: Path, tmp_path: Path, face: str
) -> None:
    """Several pictures of a result share a row, however they come, and each is saved as one."""
    sources = [
        _setup(tmp_path, 0.2),
        "%%mountsea -n 2 -o fox\na red fox",
        "fox",
        "%%mountsea -n 2 --background -o boat\na sail boat",
        "_ = boat.wait()",
    ]
    name = write_notebook(folder / f"{tmp_path.name}.ipynb", *sources)
    open_notebook(page, url, name, face=face)
    run_all_cells(page)
    await_cells(page)
    for number in (1, 2, 3):
        cell = _cell(page, number)
        cell.scroll_into_view_if_needed()
        marked = f'.jp-Cell[data-windowed-list-index="{number}"] {PICTURE}'
        page.wait_for_function(
            "selector => document.querySelectorAll(selector).length === 2", arg=marked
        )
        left, right = _boxes(page, marked)
        assert left[1] == right[1] and left[2] <= right[0], f"cell {number}"
    kinds = [
        [kind for output in outputs for kind in output.data if kind.startswith("image/")]
        for outputs in _saved(page, folder / name)[1:4]
    ]
    assert kinds == [["image/jpeg"] * 2] * 3
    assert page.query_selector(WIDGETS) is None


@pytest.mark.parametrize("way", ["handle", "resume"])
def test_a_reload_in_mid_run_loses_no_result(
    page: Page, url: str, folder: Path, tmp_path: Path, way: str
) -> None:
    """A page that was reloaded gets the picture by the handle; after a new kernel, by resume."""
    name = write_notebook(
        folder / f"{tmp_path.name}.ipynb",
        _setup(tmp_path, 3),
        "%%mountsea -o fox\na red fox",
        "fox.wait()" if way == "handle" else "%mountsea resume",
    )
    open_notebook(page, url, name)
    run_cell(page, 0)
    run_cell(page, 1)
    page.wait_for_selector(LIVE)
    page.goto("about:blank")
    if way == "resume":
        end_kernels(url)
    open_notebook(page, url, name)
    if way == "resume":
        run_cell(page, 0)
    assert page.query_selector(PICTURE) is None
    run_cell(page, 2)
    page.wait_for_selector(PICTURE)
    page.wait_for_function(KERNEL_IDLE)
    assert _alts(_saved(page, folder / name)[2]) == ["Demo drawing: a red fox"]
    assert len(list((tmp_path / "originals").rglob("*.png"))) == 1


def test_hostile_prompt_is_only_text(page: Page, url: str, folder: Path, tmp_path: Path) -> None:
    """Markup, scripts and formulas of a prompt are shown as the characters that they are."""
    hostile = "<img src=x onerror=\"window.pwned=1\"><b id='bold'>$x^2$</b> \\(y\\)"
    sources = _setup(tmp_path, 0.2), f"%%mountsea --raw\n{hostile}"
    open_notebook(page, url, write_notebook(folder / f"{tmp_path.name}.ipynb", *sources))
    run_all_cells(page)
    page.wait_for_selector(PICTURE)
    line = page.wait_for_selector(".jp-OutputArea-output small")
    assert line is not None and hostile[:40] in line.inner_text()
    assert page.evaluate("() => window.pwned === undefined")
    assert page.query_selector(".jp-OutputArea #bold") is None
    assert page.query_selector(".jp-OutputArea mjx-container, .jp-OutputArea .MathJax") is None


def test_nothing_of_ours_keeps_anyone_out(
    page: Page, url: str, folder: Path, tmp_path: Path
) -> None:
    """axe-core finds no serious fault in live lines, final lines, lists, pictures and errors."""
    sources = [
        _setup(tmp_path, 0.2),
        "%%mountsea -n 2\na red fox",
        "%mountsea models",
        "%config MountseaMagics.demo_seconds = 60",
        "%%mountsea\na sail boat\n---\na lighthouse",
    ]
    open_notebook(page, url, write_notebook(folder / f"{tmp_path.name}.ipynb", *sources))
    page.set_viewport_size({"width": 1280, "height": 3_000})
    run_all_cells(page)
    page.wait_for_selector(CANCEL)
    page.wait_for_selector(LIVE)
    assert _faults(page) == []
    page.click(CANCEL)
    page.wait_for_selector("pre:visible:has-text('Stopped waiting')")
    assert _faults(page) == []
    page.evaluate(
        "selector => document.querySelector(selector).append(document.createElement('button'))",
        f"{OUTPUT} small",
    )
    assert [fault.split(":")[0] for fault in _faults(page)] == ["button-name"]


def _faults(page: Page) -> list[str]:
    """Look at all outputs; JupyterLab itself gives its pictures no alt text."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(
        page,
        context={"include": [[OUTPUT]], "exclude": [[".jp-RenderedImage"]]},
        options={"resultTypes": ["violations"]},
    )
    return [
        f"{fault['id']}: {node['html']}"
        for fault in found.response["violations"]
        for node in fault["nodes"]
        if fault["impact"] in ("serious", "critical")
    ]
