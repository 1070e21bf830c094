"""The form in real JupyterLab and Notebook 7, in Chromium: by keyboard, and what is saved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hub_server import image
from lab_server import (
    IMAGE,
    KERNEL_IDLE,
    WIDGETS,
    alts_of,
    await_cells,
    close_notebooks,
    end_kernels,
    open_notebook,
    run_all_cells,
    run_cell,
    saved,
    serious_violations,
    write_notebook,
)
from own_session import demo_tasks

from mountsea_magic.notebook.form.layout import MAX_UPLOAD_BYTES

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

FORM = ".mountsea-form"
RESULT = f"{FORM} .mountsea-result"
CELL = f"{FORM} .mountsea-cell textarea"
SET_SOURCE = """text => {
  jupyterapp.shell.currentWidget.content.widgets[2].model.sharedModel.setSource(text);
}"""
HAS_LINE = "text => document.querySelector('.mountsea-cell textarea').value.includes(text)"


def _setup(home: Path) -> str:
    """Return a cell that sets up the demo Hub with a home folder and journal of its own."""
    return (
        f"import os\nos.environ['MOUNTSEA_HOME'] = {str(home)!r}\n%load_ext mountsea_magic\n"
        "%mountsea demo\n%config MountseaMagics.demo_seconds = 0.2"
    )


def _bodies(home: Path) -> list[object]:
    """Return what was submitted to the demo Hub."""
    return [{key: task[key] for key in ("model", "input")} for task in demo_tasks(home)]


def _press(page: Page, *keys: str) -> None:
    for key in keys:
        page.keyboard.press(key)


def test_a_form_is_filled_in_by_keyboard_and_its_cell_does_the_same(
    page: Page, url: str, folder: Path, tmp_path: Path
) -> None:
    """The copied cell is answered from the journal: it is the same request. A note stays."""
    path = folder / f"{tmp_path.name}.ipynb"
    open_notebook(
        page, url, write_notebook(path, _setup(tmp_path), "%mountsea form", "print('cell')")
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
    page.wait_for_function(KERNEL_IDLE)
    assert page.query_selector(WIDGETS) is None
    outputs = saved(page, path)[1]
    assert "widget-view" not in json.dumps(outputs) and len(alts_of(outputs)) == 1
    end_kernels(url)
    close_notebooks(page)
    open_notebook(page, url, path.name)
    page.wait_for_selector(".jp-OutputArea-output pre:has-text('--seed 7')")
    page.wait_for_selector(IMAGE)
    assert "Loading widget" not in page.inner_text("body")


def test_images_are_uploaded_and_edited_in_notebook_7(
    page: Page, url: str, folder: Path, tmp_path: Path
) -> None:
    """A recent image and an upload; the form answers while another cell blocks the kernel."""
    path = folder / f"{tmp_path.name}.ipynb"
    sources = [
        _setup(tmp_path),
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
    right.write_bytes(image())
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
