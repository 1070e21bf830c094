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
from hub_server import KEY, StandInHub, image
from kernel_driver import reset_code
from PIL import Image
from terminals import end_terminal

PLAIN = ["-m", "IPython", "--no-banner", "--colors=NoColor", "--simple-prompt", "--no-confirm-exit"]


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[StandInHub]:
    """A stand-in Hub whose address and key IPython finds in its environment."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    with StandInHub() as stand_in:
        monkeypatch.setenv("MOUNTSEA_BASE_URL", stand_in.url)
        monkeypatch.setenv("MOUNTSEA_API_KEY", KEY)
        yield stand_in


@pytest.fixture(scope="module")
def ipython(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pexpect.spawn]:
    """Keep one IPython in a terminal of 100 columns for all tests."""
    environ = os.environ | {"IPYTHONDIR": str(tmp_path_factory.mktemp("ipython"))}
    # its history would not bear that the numbers of the cells begin anew
    command = [*PLAIN, "--HistoryManager.enabled=False"]
    child = pexpect.spawn(
        sys.executable, command, encoding="utf-8", dimensions=(40, 100), timeout=30, env=environ
    )
    child.expect(r"In \[1\]: ")
    yield child
    end_terminal(child)


@pytest.fixture
def terminal(ipython: pexpect.spawn, hub: StandInHub, tmp_path: Path) -> pexpect.spawn:
    """Return the terminal, as good as new, with the extension loaded."""
    code = reset_code(tmp_path).replace("\n", "; ")
    ipython.sendline(f"{code}; get_ipython().execution_count = 1")
    ipython.expect(r"In \[1\]: ")
    ipython.sendline("%load_ext mountsea_magic")
    ipython.expect(r"In \[2\]: ")
    return ipython


def _cell(line: str, prompt: str) -> str:
    """A cell magic as one line, which a simple prompt can take."""
    return f"get_ipython().run_cell_magic('mountsea', {line!r}, {prompt!r})"


def _in_terminal(*cells: str) -> str:
    """Run cells in a terminal of 100 columns, and return all that it was sent."""
    child = pexpect.spawn(
        sys.executable, PLAIN, encoding="utf-8", dimensions=(40, 100), timeout=30, env=os.environ
    )
    said = ""
    for number, cell in enumerate([*cells, "exit()"], start=1):
        child.expect(rf"In \[{number}\]: ")
        said += child.before or ""
        child.sendline(cell)
    child.expect(pexpect.EOF)
    return said + (child.before or "")


def test_one_line_rewrites_itself(terminal: pexpect.spawn, hub: StandInHub) -> None:
    """A bar of text moves in place; afterwards the final line and each file's full path stay."""
    hub.ready_after_polls = 10**6
    terminal.sendline(_cell("-n 2 -o dog", "a dog \x1b[31mred"))
    terminal.expect(r"\r\x1b\[2K\[#+\.+\] nano-banana")
    said = terminal.before or ""
    hub.ready_after_polls = 0
    terminal.expect(r"In \[3\]: ")
    said += terminal.before or ""
    final = said.rpartition("\x1b[2K")[2]
    assert "nano-banana · 2 × 64×48" in final and "\x1b" not in final
    paths = re.findall(r"^  (/.*\.png)\r?$", final, re.MULTILINE)
    assert [Path(path).read_bytes() for path in paths] == [image("png", n) for n in range(2)]
    assert "FloatProgress" not in said and KEY not in said


def test_interrupt_in_a_terminal(terminal: pexpect.spawn, hub: StandInHub) -> None:
    """Ctrl+C gives the prompt back with one line that names the task."""
    hub.ready_after_polls = 10**6
    terminal.sendline(_cell("-o dog", "a dog"))
    terminal.expect("processing")
    terminal.sendintr()
    terminal.expect(r"Interrupted: Stopped waiting\. Task (hub-\S+) goes on")
    terminal.expect(r"In \[3\]: ")
    assert terminal.match is not None and "Traceback" not in (terminal.before or "")
    terminal.sendline("1 + 1")
    terminal.expect("2")
    assert len(hub.posts) == 1


def test_an_error_in_a_terminal_is_short(terminal: pexpect.spawn, hub: StandInHub) -> None:
    """An error is one line without a traceback."""
    terminal.sendline(_cell("-n 9", "a dog"))
    terminal.expect("InvalidRequest: --num-images must be at most 4")
    terminal.expect(r"In \[3\]: ")
    assert "Traceback" not in (terminal.before or "") and not hub.posts


def test_the_background_spares_the_line_that_is_typed(
    terminal: pexpect.spawn, hub: StandInHub
) -> None:
    """A line when it begins and one when it ends; nothing is rewritten meanwhile."""
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


@pytest.mark.parametrize("speaks", ["1", "0"])
def test_a_terminal_that_draws_shows_the_images(
    hub: StandInHub, monkeypatch: pytest.MonkeyPatch, speaks: str
) -> None:
    """IPython draws PNG by kitty's protocol; each image stands below its own line, as a PNG."""
    monkeypatch.setenv("IPYTHON_KITTY_GRAPHICS", speaks)
    body = _cell("-f jpeg -o dogs", "a dog\n---\na cat")
    said = _in_terminal("%load_ext mountsea_magic", body, "dogs[1]")
    lines = [said.index("“a dog” · nano-banana"), said.index("“a cat” · nano-banana")]
    drawn = re.findall(r"\x1b_Ga=T,f=100,m=0;([^\x1b]+)\x1b\\", said)
    assert len(drawn) == (3 if speaks == "1" else 0)
    for data in drawn:
        with Image.open(io.BytesIO(base64.b64decode(data))) as image:
            assert image.format == "PNG" and image.size == (64, 48)
    if drawn:
        assert lines[0] < said.index("\x1b_G") < lines[1] < said.rindex("\x1b_G")
    assert said.count(".jpeg\r\n") + said.count(".jpg\r\n") == 3


def test_a_script_prints_one_line(hub: StandInHub, tmp_path: Path) -> None:
    """`ipython script.ipy` prints the final line and the paths, and no progress."""
    script = tmp_path / "script.ipy"
    script.write_text("%load_ext mountsea_magic\n" + _cell("-o dog", "a dog") + "\n")
    command = [sys.executable, "-m", "IPython", "--colors=NoColor", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    lines = done.stdout.strip().splitlines()
    assert len(lines) == 2 and "nano-banana" in lines[0]
    assert Path(lines[1].strip()).read_bytes() == image()
    assert "\x1b" not in done.stdout


def test_plain_python(hub: StandInHub) -> None:
    """The API works in a plain Python process."""
    code = "import mountsea_magic as m; g = m.generate('a dog', num_images=2); print(len(g), g)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.startswith("2 <Generation nano-banana completed, 2 images, task hub-")
