"""IPython without a kernel: a real terminal, and a script."""

from __future__ import annotations

import base64
import io
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pexpect
import pytest
from hang import HANG_S
from hub_server import KEY, StandInHub, image
from kernel_driver import reset_code
from PIL import Image
from terminals import end_terminal

IPYTHON = [
    "-m",
    "IPython",
    "--no-banner",
    "--colors=NoColor",
    "--simple-prompt",
    "--no-confirm-exit",
]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[StandInHub]:
    """Start a stand-in Hub and set its URL and key in IPython's environment."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    with StandInHub() as stand_in:
        monkeypatch.setenv("MOUNTSEA_BASE_URL", stand_in.url)
        monkeypatch.setenv("MOUNTSEA_API_KEY", KEY)
        yield stand_in


@pytest.fixture(scope="module")
def ipython(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pexpect.spawn]:
    """Start one IPython in a terminal of 100 columns for the module."""
    environ = os.environ | {"IPYTHONDIR": str(tmp_path_factory.mktemp("ipython"))}
    # IPython's history fails when the tests reset the cell numbers
    command = [*IPYTHON, "--HistoryManager.enabled=False"]
    child = pexpect.spawn(
        sys.executable, command, encoding="utf-8", dimensions=(40, 100), timeout=HANG_S, env=environ
    )
    child.expect(r"In \[1\]: ")
    yield child
    end_terminal(child)


@pytest.fixture
def terminal(ipython: pexpect.spawn, hub: StandInHub, tmp_path: Path) -> pexpect.spawn:
    """Return the terminal after a reset, with the extension loaded."""
    code = reset_code(tmp_path).replace("\n", "; ")
    ipython.sendline(f"{code}; get_ipython().execution_count = 1")
    ipython.expect(r"In \[1\]: ")
    ipython.sendline("%load_ext mountsea_magic")
    ipython.expect(r"In \[2\]: ")
    return ipython


def _cell(line: str, prompt: str) -> str:
    """Return a cell magic as one line, for a simple prompt."""
    return f"get_ipython().run_cell_magic('mountsea', {line!r}, {prompt!r})"


def _in_terminal(*cells: str) -> str:
    """Run cells in a terminal of 100 columns, and return the whole output."""
    child = pexpect.spawn(
        sys.executable,
        IPYTHON,
        encoding="utf-8",
        dimensions=(40, 100),
        timeout=HANG_S,
        env=os.environ,
    )
    output = ""
    for number, cell in enumerate([*cells, "exit()"], start=1):
        child.expect(rf"In \[{number}\]: ")
        output += child.before or ""
        child.sendline(cell)
    child.expect(pexpect.EOF)
    return output + (child.before or "")


def test_progress_line_is_updated_in_place(terminal: pexpect.spawn, hub: StandInHub) -> None:
    """A text progress bar is updated in place; then the final line and each file's path remain."""
    hub.ready_after_polls = 10**6
    terminal.sendline(_cell("-n 2 -o dog", "a dog \x1b[31mred"))
    terminal.expect(r"\r\x1b\[2K\[#+\.+\] nano-banana")
    output = terminal.before or ""
    hub.ready_after_polls = 0
    terminal.expect(r"In \[3\]: ")
    output += terminal.before or ""
    final = output.rpartition("\x1b[2K")[2]
    assert "nano-banana · 2 × 64×48" in final and "\x1b" not in final
    paths = re.findall(r"^  (/.*\.png)\r?$", final, re.MULTILINE)
    assert [Path(path).read_bytes() for path in paths] == [image("png", n) for n in range(2)]
    assert "FloatProgress" not in output and KEY not in output


def test_interrupt_in_a_terminal(terminal: pexpect.spawn, hub: StandInHub) -> None:
    """Ctrl+C ends the cell with one line that names the task."""
    hub.ready_after_polls = 10**6
    terminal.sendline(_cell("-o dog", "a dog"))
    terminal.expect("processing")
    terminal.sendintr()
    terminal.expect(r"Interrupted: Stopped waiting\. Task (hub-\S+) keeps running")
    terminal.expect(r"In \[3\]: ")
    assert terminal.match is not None and "Traceback" not in (terminal.before or "")
    terminal.sendline("1 + 1")
    terminal.expect("2")
    assert len(hub.posts) == 1


def test_errors_in_a_terminal_are_short(terminal: pexpect.spawn, hub: StandInHub) -> None:
    """An error is one line without a traceback."""
    terminal.sendline(_cell("-n 9", "a dog"))
    terminal.expect("InvalidRequest: --num-images must be at most 4")
    terminal.expect(r"In \[3\]: ")
    assert "Traceback" not in (terminal.before or "") and not hub.posts


def test_background_cells_never_rewrite_the_input_line(
    terminal: pexpect.spawn, hub: StandInHub
) -> None:
    """One line at the start and one at the end; nothing is rewritten meanwhile."""
    hub.ready_after_polls = 10**6
    terminal.sendline(_cell("-b -o dog", "a dog"))
    terminal.expect(r"nano-banana · in the background\r\n")
    terminal.expect(r"In \[3\]: ")
    hub.ready_after_polls = 0
    terminal.expect(r"nano-banana · 64×48 .*\.png\r\n")
    assert "\x1b" not in (terminal.before or "") and "processing" not in (terminal.before or "")
    terminal.sendline("dog.status")
    terminal.expect("'completed'")
    assert len(hub.posts) == 1


@pytest.mark.parametrize("supported", ["1", "0"])
def test_terminals_with_kitty_graphics_show_the_images(
    hub: StandInHub, monkeypatch: pytest.MonkeyPatch, supported: str
) -> None:
    """With kitty's graphics protocol, each image is shown as a PNG below its own line."""
    monkeypatch.setenv("IPYTHON_KITTY_GRAPHICS", supported)
    body = _cell("-f jpeg -o dogs", "a dog\n---\na cat")
    output = _in_terminal("%load_ext mountsea_magic", body, "dogs[1]")
    lines = [output.index("“a dog” · nano-banana"), output.index("“a cat” · nano-banana")]
    shown = re.findall(r"\x1b_Ga=T,f=100,m=0;([^\x1b]+)\x1b\\", output)
    assert len(shown) == (3 if supported == "1" else 0)
    for data in shown:
        with Image.open(io.BytesIO(base64.b64decode(data))) as image:
            assert image.format == "PNG" and image.size == (64, 48)
    if shown:
        assert lines[0] < output.index("\x1b_G") < lines[1] < output.rindex("\x1b_G")
    assert output.count(".jpeg\r\n") + output.count(".jpg\r\n") == 3


def test_script_prints_the_final_line_and_paths(hub: StandInHub, tmp_path: Path) -> None:
    """`ipython script.ipy` prints the final line and the paths, and no progress."""
    script = tmp_path / "script.ipy"
    script.write_text("%load_ext mountsea_magic\n" + _cell("-o dog", "a dog") + "\n")
    command = [sys.executable, "-m", "IPython", "--colors=NoColor", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_S, check=True)
    lines = done.stdout.strip().splitlines()
    assert len(lines) == 2 and "nano-banana" in lines[0]
    assert Path(lines[1].strip()).read_bytes() == image()
    assert "\x1b" not in done.stdout


def test_plain_python_process(hub: StandInHub) -> None:
    """The API works in a plain Python process."""
    code = "import mountsea_magic as m; g = m.generate('a dog', num_images=2); print(len(g), g)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=HANG_S, check=True)
    assert done.stdout.startswith("2 <Generation nano-banana completed, 2 images, task hub-")
