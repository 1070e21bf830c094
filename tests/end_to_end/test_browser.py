"""The notebook front end and the form in real JupyterLab and Notebook 7, in Chromium.

In one file, because each file with a browser starts JupyterLab and Chromium, and loads them.
"""

from __future__ import annotations

import io
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hub_server import image as small_png
from lab_server import (
    IMAGE,
    WIDGETS,
    alts_of,
    await_cells,
    await_idle,
    await_kernel_after_error,
    close_notebooks,
    end_demo_tasks,
    end_kernels,
    open_notebook,
    run_all_cells,
    run_cell,
    saved,
    serious_violations,
    write_notebook,
)
from own_session import demo_tasks
from PIL import Image

from mountsea_magic.notebook.form.layout import MAX_UPLOAD_BYTES

if TYPE_CHECKING:
    from playwright.sync_api import ElementHandle, Page

pytestmark = pytest.mark.browser

OUTPUT = ".jp-NotebookPanel .jp-OutputArea-output"
LIVE = ".widget-html-content:has-text('hub-')"
STOP = 'jp-button[data-command="notebook:interrupt-kernel"]'
COUNT = "n = globals().get('n', -1) + 1\nprint('cell number', n)"
# where the size of the image does not matter
SMALL = "%%mountsea -m nano-banana-2 -p resolution=0.5K"
GRID = f"{SMALL} -g aspect_ratio=1:1,16:9 -g seed=1..4\na dog"
SLIDER = f"{OUTPUT} input[type=range]"
CANCEL = "button.jupyter-button:has-text('Cancel')"
FORM = ".mountsea-form"
RESULT = f"{FORM} .mountsea-result"
CELL = f"{FORM} .mountsea-cell textarea"
SET_SOURCE = """text => {
  jupyterapp.shell.currentWidget.content.widgets[2].model.sharedModel.setSource(text);
}"""
HAS_LINE = "text => document.querySelector('.mountsea-cell textarea').value.includes(text)"

_BAR_MOVED = """() => {
  const width = document.querySelector('.widget-hprogress .progress-bar')?.offsetWidth;
  const widths = window.widths ??= [];
  if (width !== undefined && width !== widths.at(-1)) widths.push(width);
  return widths.length >= 3;
}"""


def _setup(home: Path, seconds: float) -> str:
    """Return a cell that sets up the demo Hub with a home folder and journal of its own."""
    return (
        f"import os\nos.environ['MOUNTSEA_HOME'] = {str(home)!r}\n%load_ext mountsea_magic\n"
        f"%mountsea demo\n%config MountseaMagics.demo_seconds = {seconds}"
    )


def _boxes(page: Page, selector: str) -> list[tuple[int, int, int, int]]:
    """Return left, top, right and bottom of each element that matches."""
    found: list[tuple[int, int, int, int]] = []
    for element in page.query_selector_all(selector):
        box = element.bounding_box()
        assert box is not None
        right, bottom = box["x"] + box["width"], box["y"] + box["height"]
        found.append((round(box["x"]), round(box["y"]), round(right), round(bottom)))
    return found


def _cell(page: Page, number: int) -> ElementHandle:
    """Wait for a cell's element; JupyterLab removes cells far from the viewport from the page."""
    found = page.wait_for_selector(f'.jp-Cell[data-windowed-list-index="{number}"]')
    assert found is not None
    return found


def _bodies(home: Path) -> list[object]:
    """Return what was submitted to the demo Hub."""
    return [{key: task[key] for key in ("model", "input")} for task in demo_tasks(home)]


def _press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def test_progress_bar_grows_and_leaves_one_line(
    page: Page, url: str, folder: Path, tmp_path: Path
) -> None:
    """While a task runs the bar grows; afterwards there are a line and an image, and no widget."""
    sources = _setup(tmp_path, 3600), "%%mountsea\na sail boat on the open sea"
    open_notebook(page, url, write_notebook(folder / f"{tmp_path.name}.ipynb", *sources))
    run_all_cells(page)
    page.wait_for_function(_BAR_MOVED)
    seen = page.evaluate("() => window.widths")
    assert seen == sorted(seen) and len(seen) >= 3
    end_demo_tasks(tmp_path)
    image = page.wait_for_selector(IMAGE)
    assert image is not None and image.evaluate("img => img.naturalWidth") == 768
    assert page.query_selector(WIDGETS) is None
    assert "sail boat" in page.inner_text(".jp-RenderedHTMLCommon small")
    assert alts_of(saved(page, folder / f"{tmp_path.name}.ipynb")[1]) == [
        "Demo drawing: a sail boat on the open sea"
    ]


def test_a_grid_fills_its_contact_sheet(page: Page, url: str, folder: Path, tmp_path: Path) -> None:
    """One bar and one line while it runs; the reopened notebook has the sheet, and no widget."""
    name = f"{tmp_path.name}.ipynb"
    sources = _setup(tmp_path, 1), GRID
    open_notebook(page, url, write_notebook(folder / name, *sources))
    run_all_cells(page)
    line = page.wait_for_selector(".widget-html-content:has-text(' of 8 · ')")
    assert line is not None and len(page.query_selector_all(".widget-hprogress")) == 1
    image = page.wait_for_selector(IMAGE)
    assert image is not None and "8 of 8" not in page.inner_text(".jp-NotebookPanel")
    page.wait_for_selector(f"{OUTPUT} small:has-text('8 images · nano-banana-2 · ')")
    await_idle(page)
    assert page.query_selector(WIDGETS) is None
    (alt,) = alts_of(saved(page, folder / name)[1])
    assert alt.startswith("Contact sheet, 2 × 4. Columns: 1: seed=1;") and "waiting" not in alt
    close_notebooks(page)
    end_kernels(url)
    open_notebook(page, url, name)
    (left, top, right, bottom) = _boxes(page, IMAGE)[0]
    assert right - left > 500 and bottom - top > 200
    assert page.query_selector(WIDGETS) is None
    assert "Loading widget" not in page.inner_text("body")


@pytest.mark.parametrize("button", [STOP, CANCEL], ids=["stop", "cancel"])
def test_cancel_and_stop_end_a_grid(
    page: Page, url: str, folder: Path, tmp_path: Path, button: str
) -> None:
    """At once, with one line that says what can be resumed."""
    name = f"{tmp_path.name}.ipynb"
    sources = _setup(tmp_path, 60), GRID
    open_notebook(page, url, write_notebook(folder / name, *sources))
    run_all_cells(page)
    page.wait_for_selector(".widget-html-content:has-text('0 of 8 · 4 running')")
    page.click(button)
    page.wait_for_selector("pre:visible:has-text('4 tasks keep running at the Hub')")
    assert page.query_selector(WIDGETS) is None
    sheet, line = "Contact sheet, 2 × 4", page.inner_text(f"{OUTPUT} small")
    assert "4 interrupted" in line and "4 not submitted" in line
    (alt,) = alts_of(saved(page, folder / name)[1])
    assert alt.startswith(sheet) and "4 interrupted. 4 not submitted." in alt


@pytest.mark.parametrize("button", [STOP, CANCEL], ids=["stop", "cancel"])
def test_stop_and_cancel_end_the_cell_within_half_a_second(
    page: Page, url: str, folder: Path, tmp_path: Path, button: str
) -> None:
    """Stop and Cancel end a waiting cell within half a second, with no widget left behind.

    The round trip of an empty cell is subtracted, since on a busy machine it may take as long; and
    the fastest of three counts, since other processes can only add to it.
    """
    sources = _setup(tmp_path, 60), "%%mountsea\na red fox", "print(40 + 2)", COUNT
    open_notebook(page, url, write_notebook(folder / f"{tmp_path.name}.ipynb", *sources))
    run_cell(page, 0)
    await_idle(page)
    elapsed_s, round_trip_s = [], []
    for number in range(3):
        started = time.monotonic()
        run_cell(page, 3)
        page.wait_for_selector(f"pre:has-text('cell number {number}')")
        round_trip_s.append(time.monotonic() - started)
        await_idle(page)
        run_cell(page, 1)
        task_id = page.inner_text(LIVE).rpartition(" ")[2]
        pressed = time.monotonic()
        page.click(button)
        page.wait_for_selector(f"pre:visible:has-text('{task_id}')")
        elapsed_s.append(time.monotonic() - pressed)
        assert page.query_selector(WIDGETS) is None
        await_kernel_after_error(page)
    assert min(elapsed_s) - min(round_trip_s) < 0.5
    run_cell(page, 2)
    page.wait_for_selector(".jp-OutputArea-output pre:has-text('42')")
    (ending, error) = saved(page, folder / f"{tmp_path.name}.ipynb")[1]
    assert "interrupted" in ending.data["text/plain"] and error.ename == "Interrupted"


def test_background_cells_keep_their_own_output(
    page: Page, url: str, folder: Path, tmp_path: Path
) -> None:
    """Five background cells show images in their own outputs while a blocking cell runs."""
    prompts = ["red fox", "sail boat", "lighthouse", "tulips", "mountain lake"]
    sources = [
        _setup(tmp_path, 2),
        *(f"{SMALL} --background -o p{n}\n{prompt}" for n, prompt in enumerate(prompts)),
        "import time\ndeadline = time.monotonic() + 60\n"
        f"while not os.path.exists({str(tmp_path / 'go')!r}) and time.monotonic() < deadline:\n"
        "    time.sleep(0.05)\nprint('unblocked')",
        f"{SMALL}\na snowy forest",
    ]
    name = write_notebook(folder / f"{tmp_path.name}.ipynb", *sources)
    open_notebook(page, url, name)
    run_all_cells(page)
    shown = """count => jupyterapp.shell.currentWidget.content.widgets.map(
      cell => cell.model.outputs.toJSON().filter(
        output => 'image/jpeg' in (output.data ?? {})).length
    ).reduce((sum, images) => sum + images) === count"""
    page.wait_for_function(shown, arg=5)
    assert (
        page.evaluate(
            "() => jupyterapp.shell.currentWidget.content.widgets[6].model.executionState"
        )
        == "running"
    )
    (tmp_path / "go").touch()
    await_cells(page)
    cells = saved(page, folder / name)
    for prompt, outputs in zip(prompts, cells[1:6], strict=True):
        assert alts_of(outputs) == [f"Demo drawing: {prompt}"]
        assert "widget-view" not in json.dumps(outputs)
    assert [output.get("text") for output in cells[6]] == ["unblocked\n"]
    assert alts_of(cells[7]) == ["Demo drawing: a snowy forest"]


def test_outputs_that_cannot_be_updated_show_the_final_result(
    page: Page, url: str, folder: Path, tmp_path: Path
) -> None:
    """An Output widget, a click and `interact` show the line and the image, and no dead widget."""
    sources = [
        _setup(tmp_path, 0.2),
        "import ipywidgets\n"
        "def draw(animal, line=''):\n"
        f"    line += {SMALL.removeprefix('%%mountsea')!r}\n"
        "    get_ipython().run_cell_magic('mountsea', line, 'a {{ animal }}')",
        "first = ipywidgets.Output()\ndisplay(first)\nwith first:\n    draw('fox')",
        "second, button = ipywidgets.Output(), ipywidgets.Button(description='Draw')\n"
        "button.on_click(lambda _: second.capture()(draw)('owl'))\ndisplay(button, second)",
        "_ = ipywidgets.interact(draw, animal=['cat'], line=ipywidgets.fixed(''))",
        "third = ipywidgets.Output()\ndisplay(third)\nwith third:\n    draw('hare', '-b -o hare')",
        "_ = hare.wait()",
    ]
    name = write_notebook(folder / f"{tmp_path.name}.ipynb", *sources)
    open_notebook(page, url, name)
    run_all_cells(page)
    await_cells(page)
    page.click("button.jupyter-button:has-text('Draw')")
    for number, animal in ((2, "fox"), (3, "owl"), (4, "cat"), (5, "hare")):
        cell = _cell(page, number)
        cell.scroll_into_view_if_needed()
        within = f'.jp-Cell[data-windowed-list-index="{number}"] .widget-output'
        page.wait_for_selector(f"{within} small:has-text('“a {animal}”')")
        page.wait_for_selector(f"{within} {IMAGE}")
        assert page.query_selector(f"{within} .widget-hprogress") is None
    page.screenshot(path=str(tmp_path / "static.png"))
    assert "Error displaying widget" not in page.inner_text("body")


@pytest.mark.parametrize("method", ["handle", "resume"])
def test_reload_during_a_run_loses_no_result(
    page: Page, url: str, folder: Path, tmp_path: Path, method: str
) -> None:
    """A reloaded page gets the image from the handle, or by resume after a kernel restart."""
    name = write_notebook(
        folder / f"{tmp_path.name}.ipynb",
        _setup(tmp_path, 3600),
        f"{SMALL} -o fox\na red fox",
        "fox.wait()" if method == "handle" else "%mountsea resume",
    )
    open_notebook(page, url, name)
    run_cell(page, 0)
    run_cell(page, 1)
    page.wait_for_selector(LIVE)
    page.goto("about:blank")
    if method == "resume":
        end_kernels(url)
    end_demo_tasks(tmp_path)
    open_notebook(page, url, name)
    if method == "resume":
        run_cell(page, 0)
    assert page.query_selector(IMAGE) is None
    run_cell(page, 2)
    page.wait_for_selector(IMAGE)
    await_idle(page)
    assert alts_of(saved(page, folder / name)[2]) == ["Demo drawing: a red fox"]
    assert len(list((tmp_path / "originals").rglob("*.png"))) == 1


def test_hostile_prompt_is_shown_as_text(
    page: Page, url: str, folder: Path, tmp_path: Path
) -> None:
    """Markup, scripts and formulas in a prompt are shown literally."""
    hostile = "<img src=x onerror=\"window.pwned=1\"><b id='bold'>$x^2$</b> \\(y\\)"
    sources = _setup(tmp_path, 0.2), f"{SMALL} --raw\n{hostile}"
    open_notebook(page, url, write_notebook(folder / f"{tmp_path.name}.ipynb", *sources))
    run_all_cells(page)
    page.wait_for_selector(IMAGE)
    line = page.wait_for_selector(".jp-OutputArea-output small")
    assert line is not None and hostile[:40] in line.inner_text()
    assert page.evaluate("() => window.pwned === undefined")
    assert page.query_selector(".jp-OutputArea #bold") is None
    assert page.query_selector(".jp-OutputArea mjx-container, .jp-OutputArea .MathJax") is None


def test_outputs_have_no_serious_accessibility_violations(
    page: Page, url: str, folder: Path, tmp_path: Path
) -> None:
    """axe-core finds no serious violation in live lines, final lines, lists, images and errors."""
    sources = [
        _setup(tmp_path, 0.2),
        f"{SMALL} -n 2\na red fox",
        "%mountsea models",
        "%config MountseaMagics.demo_seconds = 60",
        "%%mountsea\na sail boat\n---\na lighthouse",
    ]
    open_notebook(page, url, write_notebook(folder / f"{tmp_path.name}.ipynb", *sources))
    page.set_viewport_size({"width": 1280, "height": 3_000})
    run_all_cells(page)
    # the last cell's, not the first one's
    page.wait_for_selector(f"{OUTPUT} small:has-text('a red fox')")
    page.wait_for_selector(CANCEL)
    page.wait_for_selector(LIVE)
    assert serious_violations(page, OUTPUT) == []
    page.click(CANCEL)
    page.wait_for_selector("pre:visible:has-text('Stopped. 0 of 2 completed')")
    assert serious_violations(page, OUTPUT) == []
    page.evaluate(
        "selector => document.querySelector(selector).append(document.createElement('button'))",
        f"{OUTPUT} small",
    )
    assert [violation.split(":")[0] for violation in serious_violations(page, OUTPUT)] == [
        "button-name"
    ]


def test_the_slider_of_a_comparison_needs_no_kernel(
    page: Page, url: str, folder: Path, tmp_path: Path
) -> None:
    """By mouse and keyboard, and in the reopened notebook; one without trust has the image only."""
    path = folder / f"{tmp_path.name}.ipynb"
    source = (
        "import mountsea_magic as mm\nfrom PIL import Image\n"
        "mm.compare(*(Image.new('RGB', (600, 300), color) for color in ('teal', 'red')))"
    )
    open_notebook(page, url, write_notebook(path, source))
    run_all_cells(page)
    page.wait_for_selector(IMAGE)
    slider = page.wait_for_selector(SLIDER)
    assert slider is not None and _border(slider) == pytest.approx(50, abs=0.5)
    assert serious_violations(page, f"{OUTPUT}.jp-RenderedHTML") == []
    slider.focus()
    for key, expected in (("ArrowRight", 51), ("ArrowDown", 50), ("Home", 0), ("End", 100)):
        page.keyboard.press(key)
        assert _border(slider) == pytest.approx(expected, abs=0.5), key
    ((left, top, right, bottom),) = _boxes(page, SLIDER)
    page.mouse.move(right - 9, (top + bottom) // 2)
    page.mouse.down()
    page.mouse.move(left + (right - left) // 4, (top + bottom) // 2, steps=3)
    page.mouse.up()
    assert _border(slider) == pytest.approx(25, abs=1.5)
    (outputs,) = saved(page, path)
    assert alts_of(outputs) == [
        "Two images one above the other. before · 600×300. after · 600×300."
    ]
    close_notebooks(page)
    end_kernels(url)
    open_notebook(page, url, path.name)
    page.wait_for_selector(IMAGE)
    slider = page.wait_for_selector(SLIDER)
    assert slider is not None
    slider.focus()
    page.keyboard.press("Home")
    assert _border(slider) < 1
    close_notebooks(page)
    stranger = folder / f"{tmp_path.name}-2.ipynb"
    stranger.write_text(path.read_text().replace("'red'", "'blue'"))
    open_notebook(page, url, stranger.name)
    page.wait_for_selector(IMAGE)
    assert page.query_selector(SLIDER) is None
    assert page.inner_text(".jp-RenderedHTMLCommon.jp-RenderedHTML").strip() == ""


def _border(slider: ElementHandle) -> float:
    """Return where the border is between teal and red, in percent of the width."""
    frame = slider.evaluate_handle("it => it.parentNode").as_element()
    assert frame is not None
    image = Image.open(io.BytesIO(frame.screenshot())).convert("RGB")
    row = image.crop((0, 9 * image.height // 10, image.width, 9 * image.height // 10 + 1))
    return 100 * sum(green > 80 for green in row.getchannel("G").tobytes()) / image.width


def test_a_form_is_filled_in_by_keyboard_and_its_cell_does_the_same(
    page: Page, url: str, folder: Path, tmp_path: Path
) -> None:
    """The copied cell is answered from the journal: it is the same request. A note stays."""
    path = folder / f"{tmp_path.name}.ipynb"
    open_notebook(
        page, url, write_notebook(path, _setup(tmp_path, 0.2), "%mountsea form", "print('cell')")
    )
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.set_viewport_size({"width": 1280, "height": 2_400})
    run_all_cells(page)
    page.wait_for_selector(FORM)
    assert "Demo Hub" in page.inner_text(FORM)
    page.get_by_label("model", exact=True).focus()
    _press(page, "Tab")
    page.keyboard.type("a red fox {{ in }} the snow")
    _press(page, "Tab")
    page.keyboard.type("7x")
    alert = page.wait_for_selector(f"{FORM} [role=alert]:has-text('seed must be a whole number')")
    assert alert is not None and serious_violations(page, FORM) == []
    _press(page, "Backspace", "Tab", "ArrowUp", "Tab")
    page.keyboard.type("16:9")
    page.wait_for_function(HAS_LINE, arg="--seed 7 --num-images 2 --aspect-ratio 16:9")
    _press(page, "Tab", "Tab", "Tab", "Space", "Tab", "Tab", "Enter")
    page.wait_for_selector(f"{RESULT} img >> nth=1")
    assert serious_violations(page, FORM) == []
    figure = page.wait_for_selector(f"{RESULT} figure img")
    assert figure is not None
    assert figure.get_attribute("alt") == "Demo drawing 1 of 2: a red fox {{ in }} the snow"
    page.focus(CELL)
    _press(page, "Tab", "Enter")
    page.wait_for_selector(".mountsea-copy:has-text('Copied')")
    copied = page.evaluate("() => navigator.clipboard.readText()")
    assert copied == page.input_value(CELL)
    page.evaluate(SET_SOURCE, copied)
    run_cell(page, 2)
    page.wait_for_selector(".jp-OutputArea-output small:has-text('from the journal')")
    (body,) = _bodies(tmp_path)
    assert body == {
        "model": "nano-banana",
        "input": {
            "prompt": "a red fox {{ in }} the snow",
            "seed": 7,
            "num_images": 2,
            "aspect_ratio": "16:9",
            "sync_mode": True,
        },
    }
    page.get_by_role("button", name="Close").focus()
    _press(page, "Enter")
    page.wait_for_selector(".jp-OutputArea-output pre:has-text('%%mountsea --model')")
    await_idle(page)
    assert page.query_selector(WIDGETS) is None
    outputs = saved(page, path)[1]
    assert "widget-view" not in json.dumps(outputs) and len(alts_of(outputs)) == 1
    end_kernels(url)
    close_notebooks(page)
    open_notebook(page, url, path.name)
    page.wait_for_selector(".jp-OutputArea-output pre:has-text('--seed 7')")
    page.wait_for_selector(IMAGE)
    assert "Loading widget" not in page.inner_text("body")


# last, because the next test in JupyterLab would have to load it again
@pytest.mark.parametrize("front_end", ["lab", "notebook"])
def test_images_are_side_by_side(
    page: Page, url: str, folder: Path, tmp_path: Path, front_end: str
) -> None:
    """Several images of a result share a row, and each is saved as an output of its own."""
    sources = [
        _setup(tmp_path, 0.2),
        "%%mountsea -n 2 -o fox\na red fox",
        "fox",
        "%%mountsea -n 2 --background -o boat\na sail boat",
        "_ = boat.wait()",
    ]
    name = write_notebook(folder / f"{tmp_path.name}.ipynb", *sources)
    open_notebook(page, url, name, face=front_end)
    run_all_cells(page)
    await_cells(page)
    for number in (1, 2, 3):
        cell = _cell(page, number)
        cell.scroll_into_view_if_needed()
        marked = f'.jp-Cell[data-windowed-list-index="{number}"] {IMAGE}'
        page.wait_for_function(
            "selector => document.querySelectorAll(selector).length === 2", arg=marked
        )
        left, right = _boxes(page, marked)
        assert left[1] == right[1] and left[2] <= right[0], f"cell {number}"
    kinds = [
        [kind for output in outputs for kind in output.data if kind.startswith("image/")]
        for outputs in saved(page, folder / name)[1:4]
    ]
    assert kinds == [["image/jpeg"] * 2] * 3
    assert page.query_selector(WIDGETS) is None


def test_images_are_uploaded_and_edited_in_notebook_7(
    page: Page, url: str, folder: Path, tmp_path: Path
) -> None:
    """A recent image and an upload; the form answers while another cell blocks the kernel."""
    path = folder / f"{tmp_path.name}.ipynb"
    sources = [
        _setup(tmp_path, 0.2),
        '%%mountsea -q -m gpt-image-2 -p image_size=\'{"width": 96, "height": 64}\'\na lake',
        "%mountsea form",
        "import time\nwhile not os.path.exists(os.environ['MOUNTSEA_HOME'] + '/go'):\n"
        "    time.sleep(0.05)",
    ]
    open_notebook(page, url, write_notebook(path, *sources), face="notebook")
    page.set_viewport_size({"width": 1280, "height": 2_400})
    run_all_cells(page)
    page.wait_for_selector(f"{FORM} .mountsea-recent img[alt='Image: a lake']")
    page.click(".mountsea-recent button:has-text('Edit this one')")
    page.wait_for_function(HAS_LINE, arg="--model nano-banana-edit --image ")
    huge = tmp_path / "huge.png"
    huge.write_bytes(bytes(MAX_UPLOAD_BYTES + 1))
    with page.expect_file_chooser() as chooser:
        page.click(f"{FORM} .widget-upload")
    chooser.value.set_files(huge)
    page.wait_for_selector(f"{FORM} [role=alert]:has-text('Not uploaded')")
    with page.expect_file_chooser() as chooser:
        page.click(f"{FORM} .widget-upload")
    wrong = tmp_path / "notes.txt"
    wrong.write_text("no image")
    right = tmp_path / "photo.png"
    right.write_bytes(small_png())
    chooser.value.set_files([wrong, right])
    page.wait_for_selector(f"{FORM} [role=alert]:has-text('notes.txt: it is not a readable image')")
    page.wait_for_function(HAS_LINE, arg="--image upload_1")
    page.get_by_label("prompt").fill("make it winter")
    page.click("button:has-text('Generate')")
    page.wait_for_selector(f"{RESULT} img")
    bodies = json.dumps(_bodies(tmp_path))
    assert bodies.count("make it winter") == 1
    assert serious_violations(page, FORM) == []
    page.click(f"{RESULT} button:has-text('Edit this one')")
    page.wait_for_selector(f"{FORM} .mountsea-source >> nth=2")
    page.click("button:has-text('Close')")
    page.wait_for_selector(".jp-OutputArea-output pre:has-text('--image upload_1')")
    (tmp_path / "go").touch()
    await_cells(page)
    assert page.query_selector(WIDGETS) is None
    assert alts_of(saved(page, path)[2]) == ["Demo drawing: make it winter"]
