"""Make the README's screenshots in a real browser: ``python tests/make_screenshot.py``."""

from __future__ import annotations

import io
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from lab_server import lab, open_notebook, page_in_chromium, run_all_cells, write_notebook
from PIL import Image

if TYPE_CHECKING:
    from playwright.sync_api import Page

FOLDER = Path(__file__).parent.parent / "notebooks"
STILL, ANIMATION = FOLDER / "screenshot.png", FOLDER / "screenshot.webp"
CELLS = [
    "%load_ext mountsea_magic\n%mountsea demo --if-no-key",
    "%%mountsea --aspect-ratio 16:9 --seed 5 -o dog\n"
    "An action shot of a black lab swimming in a pool, the camera on the water line.",
]
SIZE = (960, 600)
FRAME_S = 0.35
LAST_FRAME_S = 3.0
"""Duration of the last frame, in seconds."""


def main() -> None:
    """Run two cells on the demo Hub in JupyterLab, and save screenshots of the page."""
    with tempfile.TemporaryDirectory() as scratch:
        root = Path(scratch) / "root"
        root.mkdir()
        name = write_notebook(root / "first-picture.ipynb", *CELLS)
        # a short path fits into the screenshot; a result from the journal has no progress bar
        home = Path("/tmp/mountsea")
        shutil.rmtree(home, ignore_errors=True)
        with (
            lab(root, Path(scratch), home=home, demo_seconds=6) as url,
            page_in_chromium() as page,
        ):
            open_notebook(page, url, name)
            page.evaluate("() => { jupyterapp.commands.execute('application:toggle-left-area') }")
            page.get_by_role("button", name="No", exact=True).click()
            page.wait_for_selector("text=Would you like to get notified", state="detached")
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


def _frame(page: Page) -> Image.Image:
    """Take a screenshot, scaled down to load quickly and still be readable."""
    return Image.open(io.BytesIO(page.screenshot())).convert("RGB").resize(SIZE)


if __name__ == "__main__":
    main()
