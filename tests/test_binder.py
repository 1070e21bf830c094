"""Binder without Docker: run the steps of repo2docker, then open the badge's link in Chromium."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pytest
from badges import badges, first_cell
from checkout import NOTEBOOKS, ROOT, files
from lab_server import (
    IMAGE,
    TOKEN,
    await_cells,
    await_idle,
    await_server,
    has_chromium,
    page_in_chromium,
    reserved_port,
    run_all_cells,
    stop_server,
)

pytestmark = [pytest.mark.binder, pytest.mark.browser]

FIRST_IMAGE_S = 60
"""The first lesson says "this takes a minute"."""

_SUBMITS = re.compile(r"%%mountsea(?!.*--dry-run)")
_IMAGE_LOADED = (
    """selector => [...document.querySelectorAll(selector)].some(img => img.naturalWidth)"""
)
_COUNT_OUTPUTS = """() => jupyterapp.shell.currentWidget.content.widgets
  .flatMap(cell => cell.model.outputs?.toJSON() ?? [])
  .reduce((found, output) => ({
    images: found.images + ('image/jpeg' in (output.data ?? {})),
    errors: found.errors + (output.output_type === 'error'),
  }), {images: 0, errors: 0})"""


RecordProperty = Callable[[str, object], None]
"""The type of pytest's `record_property`."""


@dataclass(frozen=True)
class BinderImage:
    """The environment that repo2docker would build from a checkout.

    Attributes:
        checkout: The repository's files, where everything runs.
        environ: The variables of every process: the venv on PATH, an empty home, no settings.
    """

    checkout: Path
    environ: dict[str, str]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> BinderImage:
    """Build once per module: installing takes most of a minute."""
    if not has_chromium():
        pytest.fail("Chromium is missing: apt-get install chromium")
    scratch = tmp_path_factory.mktemp("binder")
    checkout, venv, home = scratch / "checkout", scratch / "venv", scratch / "home"
    home.mkdir()
    for name in files():
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, checkout / name)
    excluded = ("MOUNTSEA_", "JUPYTER", "IPYTHON", "PYTHON", "XDG_", "PYTEST_", "VIRTUAL_ENV")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(excluded)}
    environ |= {"PATH": f"{venv / 'bin'}{os.pathsep}{os.environ['PATH']}", "HOME": str(home)}
    _step("environment", [_python(checkout), "-m", "venv", str(venv)], checkout, environ)
    # in the same order as repo2docker, which reads only binder/ if it exists
    requirements = ["-m", "pip", "install", "-q", "-r", "binder/requirements.txt"]
    _step("requirements", [str(venv / "bin" / "python"), *requirements], checkout, environ)
    _step("postBuild", ["./binder/postBuild"], checkout, environ)
    return BinderImage(checkout, environ)


def test_first_image_within_a_minute(image: BinderImage, record_property: RecordProperty) -> None:
    """After the badge's link and Run All: an image within 60 s, then all images, and no dialog."""
    lesson = NOTEBOOKS[0]
    urlpath = badges(first_cell(lesson))["mybinder.org"].urlpath
    # start the browser first: a reader has it open already
    with page_in_chromium() as page:
        started = time.monotonic()
        with _started(image) as url:
            _record_elapsed(record_property, "server", started)
            page.goto(f"{url}/{urlpath}?token={TOKEN}")
            await_idle(page)
            _record_elapsed(record_property, "kernel", started)
            run_all_cells(page)
            page.wait_for_function(_IMAGE_LOADED, arg=IMAGE)
            first_s = _record_elapsed(record_property, "first image", started)
            await_cells(page)
            _record_elapsed(record_property, "all images", started)
            found = page.evaluate(_COUNT_OUTPUTS)
            questions = page.get_by_text("Would you like to get notified").count()
    submitting = [cell for cell in _code_cells(lesson) if _SUBMITS.match(cell)]
    assert found["errors"] == 0 and found["images"] >= len(submitting) > 3
    assert questions == 0
    assert first_s < FIRST_IMAGE_S


def _code_cells(path: Path) -> list[str]:
    """Return the sources of a notebook's code cells."""
    cells = nbformat.read(path, as_version=4).cells
    return [cell.source for cell in cells if cell.cell_type == "code"]


@contextmanager
def _started(image: BinderImage) -> Iterator[str]:
    """Start the server like the image's entry point, with BinderHub's arguments, on localhost."""
    command = [
        "binder/start", "jupyter", "lab", "--no-browser", "--ip=127.0.0.1",
        f"--IdentityProvider.token={TOKEN}", "--LabApp.expose_app_in_browser=True", "--allow-root",
    ]  # fmt: skip
    log = image.checkout.parent / "lab.log"
    with reserved_port() as port, log.open("wb") as output:
        server = subprocess.Popen(
            [*command, f"--port={port}"],
            cwd=image.checkout, env=image.environ, stdout=output, stderr=output,
        )  # fmt: skip
        url = f"http://127.0.0.1:{port}"
        try:
            await_server(f"{url}/api?token={TOKEN}", server, log)
            yield url
        finally:
            stop_server(server)


def _python(checkout: Path) -> str:
    """Find the Python of runtime.txt, or fall back to the current one."""
    wanted = (checkout / "binder" / "runtime.txt").read_text(encoding="utf-8").strip()
    found = shutil.which(wanted.replace("-", ""))
    if found is None:
        return sys.executable
    # a version manager's shim may be on PATH and still not run
    probe = subprocess.run([found, "-c", "import ensurepip"], capture_output=True)
    return sys.executable if probe.returncode else found


def _step(name: str, command: list[str], folder: Path, environ: dict[str, str]) -> None:
    """Run a step of the build and print its duration; show its output if it fails."""
    started = time.monotonic()
    done = subprocess.run(
        command, cwd=folder, env=environ, timeout=600,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert done.returncode == 0, f"{name}:\n{done.stdout[-3000:]}"
    print(f"\nBinder: {name} took {time.monotonic() - started:.1f} s", end="", flush=True)


def _record_elapsed(record_property: RecordProperty, what: str, started: float) -> float:
    """Print and record the seconds from the start to an event."""
    seconds = time.monotonic() - started
    record_property(f"binder: start to {what}, s", round(seconds, 1))
    print(f"\nBinder: start to {what} {seconds:.1f} s", end="", flush=True)
    return seconds
