"""A real JupyterLab server for tests, and a Chromium page to show its notebooks."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any
from urllib.error import URLError
from urllib.request import Request, urlopen

from checkout import HELPERS
from hang import HANG_S

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = "/usr/bin/chromium"
OVER_IPC = HELPERS / "over_ipc.py"
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
PAGE_CONFIG = {
    # what JupyterLab looks for whenever it loads: new versions, other extensions and language
    # servers, on the internet and by starting Node.js
    "buildAvailable": False,
    "buildCheck": False,
    "disabledExtensions": {
        "@jupyterlab/apputils-extension:announcements": True,
        "@jupyterlab/extensionmanager-extension": True,
        "@jupyterlab/lsp-extension": True,
        "ipyparallel-labextension": True,
    },
}
"""The settings of the page."""
SERVER_EXTENSIONS = {"ipyparallel": False, "jupyter_lsp": False, "jupyter_server_terminals": False}
"""The extensions of the server that are turned off."""
IMAGE = ".jp-RenderedImage img"
WIDGETS = ".jupyter-widgets, .widget-hprogress"
_KERNEL_IDLE = """() => {
  const widget = globalThis.jupyterapp?.shell.currentWidget;
  return widget?.sessionContext?.session?.kernel?.status === 'idle';
}"""
# by default, Chromium would draw 60 frames a second, only to evaluate a condition with each
_POLLING_MS = 100
_ACCEPTS_CELLS = """async () => {
  const kernel = jupyterapp.shell.currentWidget.sessionContext.session.kernel;
  for (;;) {
    const reply = await kernel.requestExecute({code: '', silent: true}).done;
    if (reply.content.status === 'ok') return;
  }
}"""
_OPEN = """async name => {
  await jupyterapp.commands.execute('docmanager:open', {path: name, factory: 'Notebook'});
}"""
_CLOSE = """() => {
  for (const widget of [...globalThis.jupyterapp?.shell.widgets('main') ?? []]) {
    if (widget.context) widget.context.model.dirty = false;
    widget.dispose();
  }
}"""
_ALL_RUN = """() => jupyterapp.shell.currentWidget.content.widgets
  .filter(cell => cell.model.type === 'code')
  .every(cell => cell.model.executionCount !== null && cell.model.executionState !== 'running')"""


@contextmanager
def lab(
    root: Path, scratch: Path, *, home: Path | None = None, demo_seconds: float = 0.5
) -> Iterator[str]:
    """Serve a folder in JupyterLab and in Notebook 7.

    Args:
        root: The folder with the notebooks.
        scratch: A folder for Jupyter's and IPython's files and the log.
        home: The kernels' MOUNTSEA_HOME; in `scratch` if None.
        demo_seconds: Duration of a demo task in seconds, unless the notebook sets it.

    Yields:
        The server's base URL.
    """
    own = {f"JUPYTER_{name}_DIR": str(scratch / name) for name in ("CONFIG", "DATA")}
    own |= {"IPYTHONDIR": str(scratch / "ipython"), "MOUNTSEA_HOME": str(home or scratch / "home")}
    own["PYTHON_KEYRING_BACKEND"] = "keyring.backends.null.Keyring"
    write_profile(scratch / "ipython", demo_seconds)
    _write_config(scratch / "CONFIG")
    others = {name: value for name, value in os.environ.items() if "MOUNTSEA_" not in name}
    command = [
        sys.executable, str(OVER_IPC), "jupyterlab.labapp:main",
        "--no-browser", "--allow-root", "--ip=127.0.0.1",
        f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={root}",
        "--LabApp.expose_app_in_browser=True", "--JupyterNotebookApp.expose_app_in_browser=True",
    ]  # fmt: skip
    # it holds the kernels' IPC sockets, whose paths must be short
    with TemporaryDirectory(prefix="lab") as runtime, reserved_port() as port:
        own["JUPYTER_RUNTIME_DIR"] = runtime
        with (scratch / "lab.log").open("wb") as log:
            server = subprocess.Popen(
                [*command, f"--port={port}"], env=others | own, stdout=log, stderr=log
            )
        url = f"http://127.0.0.1:{port}"
        try:
            await_server(f"{url}/api?token={TOKEN}", server, scratch / "lab.log")
            yield url
        finally:
            stop_server(server)


@contextmanager
def page_in_chromium() -> Iterator[Page]:
    """Open a page of 1280×800 pixels in Debian's Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = browser.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(1000 * HANG_S)
        try:
            yield page
        finally:
            browser.close()


def has_chromium() -> bool:
    """Return whether Chromium is installed (`apt-get install chromium`)."""
    return shutil.which(CHROMIUM) is not None


def write_profile(folder: Path, demo_seconds: float) -> None:
    """Set the duration of demo tasks for kernels whose IPYTHONDIR is the folder."""
    profile = folder / "profile_default"
    profile.mkdir(parents=True, exist_ok=True)
    setting = f"c = get_config()\nc.MountseaMagics.demo_seconds = {demo_seconds}\n"
    (profile / "ipython_config.py").write_text(setting)


def _write_config(folder: Path) -> None:
    """Turn off what the tests do not use."""
    extensions = {"ServerApp": {"jpserver_extensions": SERVER_EXTENSIONS}}
    for name, config in (
        ("labconfig/page_config.json", PAGE_CONFIG),
        ("jupyter_server_config.json", extensions),
    ):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(config))


def write_notebook(path: Path, *sources: str) -> str:
    """Write a notebook of code cells, and return its name."""
    import nbformat

    cells = [nbformat.v4.new_code_cell(source) for source in sources]
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": kernel})
    nbformat.write(notebook, path)
    return path.name


def open_notebook(page: Page, url: str, name: str, *, face: str = "lab") -> None:
    """Open a notebook in JupyterLab or in Notebook 7, and wait until its kernel is idle.

    If the page already shows JupyterLab, it is not reloaded.
    """
    if face == "lab" and page.url.startswith(f"{url}/lab"):
        page.evaluate(_OPEN, name)
    else:
        path = f"lab/tree/{name}?reset&" if face == "lab" else f"notebooks/{name}?"
        page.goto(f"{url}/{path}token={TOKEN}")
    await_idle(page)


def close_notebooks(page: Page) -> None:
    """Close all documents in JupyterLab without saving them."""
    page.evaluate(_CLOSE)


def run_all_cells(page: Page) -> None:
    """Run all cells without waiting for them."""
    # with braces nothing is returned, so the command's promise is not awaited
    page.evaluate("() => { jupyterapp.commands.execute('notebook:run-all-cells') }")


def run_cell(page: Page, number: int) -> None:
    """Run one cell without waiting for it."""
    page.evaluate(
        """number => {
          jupyterapp.shell.currentWidget.content.activeCellIndex = number;
          jupyterapp.commands.execute('notebook:run-cell');
        }""",
        number,
    )


def await_cells(page: Page) -> None:
    """Wait until every code cell has run and the kernel is idle."""
    page.wait_for_function(_ALL_RUN, polling=_POLLING_MS)
    await_idle(page)


def await_idle(page: Page) -> None:
    """Wait until the kernel is idle."""
    page.wait_for_function(_KERNEL_IDLE, polling=_POLLING_MS)


def await_kernel_after_error(page: Page) -> None:
    """Wait until the kernel runs cells again: idle, it aborts some for a moment after an error."""
    await_idle(page)
    page.evaluate(_ACCEPTS_CELLS)


def save(page: Page) -> None:
    """Save the current notebook."""
    page.evaluate("async () => { await jupyterapp.commands.execute('docmanager:save') }")


def saved(page: Page, path: Path) -> list[Any]:
    """Save the current notebook, and return the outputs of each code cell."""
    import nbformat

    save(page)
    notebook = nbformat.read(path, as_version=4)
    assert not notebook.metadata.get("widgets")
    return [cell.outputs for cell in notebook.cells if cell.cell_type == "code"]


def serious_violations(page: Page, within: str) -> list[str]:
    """Return what axe-core finds serious, but for images: JupyterLab sets no alt text itself."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(
        page,
        context={"include": [[within]], "exclude": [[".jp-RenderedImage img"]]},
        options={"resultTypes": ["violations"]},
    )
    return [
        f"{violation['id']}: {node['html']}"
        for violation in found.response["violations"]
        for node in violation["nodes"]
        if violation["impact"] in ("serious", "critical")
    ]


def alts_of(outputs: list[Any]) -> list[str]:
    """Return the alt texts of the images among outputs."""
    return [
        described["alt"]
        for output in outputs
        for kind, described in output.get("metadata", {}).items()
        if kind.startswith("image/")
    ]


@contextmanager
def reserved_port() -> Iterator[int]:
    """Reserve a port for a server, so that no other process gets it."""
    with socket.socket() as reserved:
        # with this option, which servers set too, two sockets may be bound if only one listens
        reserved.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        reserved.bind(("127.0.0.1", 0))
        yield reserved.getsockname()[1]


def end_demo_tasks(home: Path) -> None:
    """Make all tasks of the demo Hub end now."""
    for path in (home / "demo").glob("hub-*.json"):
        task = json.loads(path.read_text())
        part = path.with_suffix(".part")
        part.write_text(json.dumps(task | {"duration_s": 0.0}))
        part.replace(path)


def end_kernels(url: str) -> None:
    """Shut down all kernels of the server, so that notebooks do not share any."""
    for session in _api(f"{url}/api/sessions"):
        _api(f"{url}/api/sessions/{session['id']}", "DELETE")


def await_server(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    """Wait until the server responds, or has died."""
    deadline = time.monotonic() + HANG_S
    while time.monotonic() < deadline:
        if server.poll() is not None:
            break
        try:
            with urlopen(url):
                return
        except (URLError, OSError):
            time.sleep(0.1)
    raise AssertionError(f"JupyterLab did not start:\n{log.read_text(errors='replace')[-3000:]}")


def stop_server(server: subprocess.Popen[bytes]) -> None:
    """Stop a server and its kernels."""
    server.terminate()
    try:
        server.wait(timeout=10)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


def _api(url: str, method: str = "GET") -> Any:
    """Call the server's REST API."""
    request = Request(url, method=method, headers={"Authorization": f"token {TOKEN}"})
    with urlopen(request) as response:
        return json.loads(response.read() or b"null")
