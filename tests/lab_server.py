"""A real JupyterLab server for tests, and a page of real Chromium that shows a notebook in it."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import URLError
from urllib.request import urlopen

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = "/usr/bin/chromium"
TOKEN = "for-this-test-only"
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_KERNEL_IDLE = """() => {
  const widget = globalThis.jupyterapp?.shell.currentWidget;
  return widget?.sessionContext?.session?.kernel?.status === 'idle';
}"""


@contextmanager
def lab(root: Path, scratch: Path) -> Iterator[str]:
    """Serve a folder in JupyterLab.

    Args:
        root: The folder with the notebooks.
        scratch: For Jupyter's own files and its log.

    Yields:
        The server's address.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    own = {f"JUPYTER_{name}_DIR": str(scratch / name) for name in ("CONFIG", "DATA", "RUNTIME")}
    command = [
        sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1",
        f"--port={port}", f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={root}",
        "--LabApp.expose_app_in_browser=True",
    ]  # fmt: skip
    with (scratch / "lab.log").open("wb") as log:
        server = subprocess.Popen(command, env=os.environ | own, stdout=log, stderr=log)
    url = f"http://127.0.0.1:{port}"
    try:
        _await_server(f"{url}/api?token={TOKEN}", server, scratch / "lab.log")
        yield url
    finally:
        server.terminate()
        server.wait(timeout=20)


@contextmanager
def page_in_chromium() -> Iterator[Page]:
    """Open a page in Debian's Chromium, 1280×800 pixels."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        try:
            yield page
        finally:
            browser.close()


def has_chromium() -> bool:
    """Tell whether the browser is there: `apt-get install chromium` brings it."""
    return shutil.which(CHROMIUM) is not None


def open_notebook(page: Page, url: str, name: str) -> None:
    """Show a notebook and wait until its kernel is idle."""
    page.goto(f"{url}/lab/tree/{name}?token={TOKEN}&reset")
    page.wait_for_function(_KERNEL_IDLE, timeout=60_000)


def run_all_cells(page: Page) -> None:
    """Click Run All, and do not wait for it."""
    # the braces keep the command's promise from being awaited
    page.evaluate("() => { jupyterapp.commands.execute('notebook:run-all-cells') }")


def save(page: Page) -> None:
    """Save the notebook that is shown."""
    page.evaluate("async () => { await jupyterapp.commands.execute('docmanager:save') }")


def _await_server(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    """The port opens before the server answers; a server that died must not be waited for."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if server.poll() is not None:
            break
        try:
            with urlopen(url):
                return
        except (URLError, OSError):
            time.sleep(0.1)
    raise AssertionError(f"JupyterLab did not start:\n{log.read_text(errors='replace')[-3000:]}")
