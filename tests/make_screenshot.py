"""Make the README's screenshot from a real browser run: ``python tests/make_screenshot.py``."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import nbformat
from lab_server import lab, open_notebook, page_in_chromium, run_all_cells

TARGET = Path(__file__).parent.parent / "notebooks" / "screenshot.png"
CELLS = [
    "%load_ext mountsea_magic\n%mountsea demo --if-no-key",
    "%%mountsea --aspect-ratio 16:9 --seed 5 -o dog\n"
    "An action shot of a black lab swimming in a pool, the camera on the water line.",
]


def main() -> None:
    """Run two cells on the demo Hub in JupyterLab, and keep what a person would see."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        os.environ["MOUNTSEA_HOME"] = "/tmp/mountsea"
        kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
        cells = [nbformat.v4.new_code_cell(source) for source in CELLS]
        notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
        (folder / "root").mkdir()
        nbformat.write(notebook, folder / "root" / "first-picture.ipynb")
        with lab(folder / "root", folder) as url, page_in_chromium() as page:
            open_notebook(page, url, "first-picture.ipynb")
            page.evaluate("() => { jupyterapp.commands.execute('application:toggle-left-area') }")
            run_all_cells(page)
            page.wait_for_selector(".jp-RenderedImage img", timeout=60_000)
            page.get_by_role("button", name="No", exact=True).click()
            page.wait_for_selector("text=Would you like to get notified", state="detached")
            page.screenshot(path=TARGET)


if __name__ == "__main__":
    main()
