"""Make the README's screenshots in a real browser.

``python tests/helpers/make_screenshot.py [NAME...]``: the names are ``cell`` and ``form``; without
a name both are made.
"""

from __future__ import annotations

import io
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from lab_server import (
    await_cells,
    lab,
    open_notebook,
    page_in_chromium,
    run_all_cells,
    run_cell,
    write_notebook,
)
from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Page

FOLDER = Path(__file__).parents[2] / "notebooks"
STILL, ANIMATION = FOLDER / "screenshot.png", FOLDER / "screenshot.webp"
FORM = FOLDER / "screenshot-form.png"
LOAD = "%load_ext mountsea_magic\n%mountsea demo --if-no-key"
CELLS = [
    LOAD,
    "%%mountsea --aspect-ratio 16:9 --seed 5 -o dog\n"
    "An action shot of a black lab swimming in a pool, the camera on the water line.",
]
FORM_CELLS = [
    f"{LOAD}\n%config MountseaMagics.preview = 320",
    "%%mountsea --num-images 2 --quiet\nA cat on the moon",
    "%%mountsea --seed 11 --quiet -o village\nA village with a church in the mountains",
    "%%mountsea --model nano-banana-edit -i village --quiet\nMake it winter, with snow",
    "%mountsea form",
    "%mountsea history",
]
SIZE = (960, 600)
FRAME_S = 0.35
LAST_FRAME_S = 3.0
"""Duration of the last frame, in seconds."""


def main() -> None:
    """Make the screenshots that the command line names."""
    makers = {"cell": make_cell, "form": make_form}
    for name in sys.argv[1:] or makers:
        makers[name]()


def make_cell() -> None:
    """Run two cells on the demo Hub in JupyterLab, and save screenshots of the page."""
    with notebook(CELLS, demo_seconds=6) as page:
        frames = [_frame(page)]
        run_all_cells(page)
        started = time.monotonic()
        while page.query_selector(".jp-RenderedImage img") is None:
            if time.monotonic() - started > 60:
                raise TimeoutError("no image appeared within 60 s")
            frames.append(_frame(page))
            page.wait_for_timeout(FRAME_S * 1000)
        page.wait_for_function(
            "() => document.querySelector('.jp-RenderedImage img').naturalWidth > 0"
        )
        page.screenshot(path=STILL)
        frames.append(_frame(page))
    first, *others = frames
    steps = [round(FRAME_S * 1000)] * len(others)
    first.save(
        ANIMATION,
        save_all=True,
        append_images=others,
        duration=[*steps, round(LAST_FRAME_S * 1000)],
        loop=0,
        quality=70,
        method=6,
    )
    print(f"{STILL} {STILL.stat().st_size:,} B; {ANIMATION} {ANIMATION.stat().st_size:,} B")


def make_form() -> None:
    """Fill in the form and generate with it, then show the history below it."""
    with notebook(FORM_CELLS, demo_seconds=1) as page:
        page.set_viewport_size({"width": 1280, "height": 2200})
        run_all_cells(page)
        await_cells(page)
        page.get_by_label("prompt").fill("A red fox in a snowy forest, early morning")
        page.get_by_label("aspect ratio").select_option("3:2")
        page.get_by_label("seed").fill("7")
        page.get_by_role("button", name="Generate").click()
        page.wait_for_selector("figure img")
        run_cell(page, FORM_CELLS.index("%mountsea history"))
        page.wait_for_function(
            "() => document.querySelectorAll('.jp-RenderedHTML table tbody tr').length === 4"
        )
        form = page.locator(".mountsea-form").bounding_box()
        table = page.locator(".jp-RenderedHTML table").bounding_box()
        assert form is not None and table is not None
        top, bottom = form["y"] - 45, table["y"] + table["height"] + 35
        page.screenshot(path=FORM, clip={"x": 75, "y": top, "width": 1160, "height": bottom - top})
    with Image.open(FORM) as shot:
        shot.convert("RGB").quantize(256).save(FORM, optimize=True)
    print(f"{FORM} {FORM.stat().st_size:,} B")


@contextmanager
def notebook(cells: list[str], demo_seconds: float) -> Iterator[Page]:
    """Open a notebook in JupyterLab, and yield the page before any cell has run."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "root"
        root.mkdir()
        name = write_notebook(root / "first-picture.ipynb", *cells)
        # a short path fits into the screenshot; a result from the journal has no progress bar
        home = Path("/tmp/mountsea")
        shutil.rmtree(home, ignore_errors=True)
        with (
            lab(root, Path(scratch), home=home, demo_seconds=demo_seconds) as url,
            page_in_chromium() as page,
        ):
            open_notebook(page, url, name)
            page.evaluate("() => { jupyterapp.commands.execute('application:toggle-left-area') }")
            page.get_by_role("button", name="No", exact=True).click()
            page.wait_for_selector("text=Would you like to get notified", state="detached")
            yield page


def _frame(page: Page) -> Image.Image:
    """Take a screenshot, scaled down to load quickly and still be readable."""
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB").resize(SIZE)


if __name__ == "__main__":
    main()
