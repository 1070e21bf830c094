"""TAB completion through real kernels, and installing the matcher."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hang import HANG_S
from hub_server import StandInHub, image
from IPython.core import completer
from IPython.core.interactiveshell import InteractiveShell
from kernel_driver import Kernel

from mountsea_magic.notebook.completer import install, remove

pytestmark = pytest.mark.kernel


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Work in a folder with one image."""
    path = tmp_path / "work"
    path.mkdir()
    (path / "photo.png").write_bytes(image())
    monkeypatch.chdir(path)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))


@pytest.fixture
def kernel(folder: None, kernel: Kernel) -> Kernel:
    """Start the kernel in that folder."""
    return kernel


def tab(kernel: Kernel, code: str) -> list[str]:
    """Press TAB at the ‸ of a cell (default: its end); return the completed lines."""
    before, _, after = code.partition("‸")
    reply: Any = kernel.client.complete(before + after, len(before), reply=True, timeout=HANG_S)
    content = reply["content"]
    start, end = content["cursor_start"], content["cursor_end"]
    whole = before + after
    return [
        (whole[:start] + word + whole[end:]).split("\n")[before.count("\n")]
        for word in content["matches"]
    ]


def test_a_kernel_completes_the_magics_lines(kernel: Kernel, hub: StandInHub) -> None:
    """Nothing of other completers is mixed in."""
    kernel.run("raw_dog, number = open('photo.png', 'rb').read(), 7")
    expected = {
        "%%mountsea --asp": ["%%mountsea --aspect-ratio"],
        "%%mountsea --asp‸\na dog": ["%%mountsea --aspect-ratio"],
        "%%mountsea --asp‸ -n 2\na dog": ["%%mountsea --aspect-ratio -n 2"],
        "%%mountsea --aspect-ratio 16:": ["%%mountsea --aspect-ratio 16:9"],
        "%%mountsea --aspect-ratio=16:‸\na dog": ["%%mountsea --aspect-ratio=16:9"],
        "%%mountsea --aspect-ratio=1": [f"%%mountsea --aspect-ratio={r}" for r in ("16:9", "1:1")],
        "%%mountsea -m gpt-image-2-": ["%%mountsea -m gpt-image-2-edit"],
        "%%mountsea -m nano-banana-pro -p res": ["%%mountsea -m nano-banana-pro -p resolution="],
        "%%mountsea -m nano-banana-pro -p resolution=2": [
            "%%mountsea -m nano-banana-pro -p resolution=2K"
        ],
        "%%mountsea -i ": ["%%mountsea -i raw_dog", "%%mountsea -i photo.png"],
        "%%mountsea -i ph": ["%%mountsea -i photo.png"],
        "%%mountsea -i ./ph": ["%%mountsea -i ./photo.png"],
        "%%mountsea -o raw": ["%%mountsea -o raw_dog"],
        "%mountsea his": ["%mountsea history"],
        "x = 1\n%mountsea demo --fail fl": ["%mountsea demo --fail flaky"],
        "%mountsea models gpt-image-2-": ["%mountsea models gpt-image-2-edit"],
    }
    assert {code: sorted(tab(kernel, code)) for code in expected} == {
        code: sorted(lines) for code, lines in expected.items()
    }
    kernel.run("%config MountseaMagics.model = 'gpt-image-2'")
    assert tab(kernel, "%%mountsea -p qual") == ["%%mountsea -p quality="]
    assert not hub.requests


def test_a_kernel_completes_task_ids(kernel: Kernel, hub: StandInHub) -> None:
    """From the journal, without a request to the Hub."""
    assert kernel.run("%%mountsea -q -o dog\na dog").status == "ok"
    before = len(hub.requests)
    assert tab(kernel, "%mountsea show hub-") == ["%mountsea show hub-0001"]
    assert tab(kernel, "%mountsea resume hub-") == ["%mountsea resume hub-0001"]
    assert sorted(tab(kernel, "%%mountsea -m nano-banana-edit -i d")) == [
        "%%mountsea -m nano-banana-edit -i dog"
    ]
    assert len(hub.requests) == before and len(hub.posts) == 1


def test_python_completion_still_works(kernel: Kernel) -> None:
    """In other cells and in the cell's body."""
    body = tab(kernel, "%%mountsea -n 2\na dog --asp")
    assert not any("--aspect-ratio" in line for line in body)
    assert not any("resume" in line for line in tab(kernel, "%%mountsea\n%mountsea resu"))
    assert "import sqlite3" in tab(kernel, "import sqli")
    kernel.run("a_long_name = 1")
    assert "a_long_name" in tab(kernel, "a_long_n")
    assert any(line == "%%mountsea" for line in tab(kernel, "%%mounts"))


def test_unloading_removes_the_matcher(kernel: Kernel) -> None:
    """Loading and reloading leave exactly one."""
    count = "print(len(get_ipython().Completer.custom_matchers))"
    kernel.run("%load_ext mountsea_magic\n%reload_ext mountsea_magic\n%reload_ext mountsea_magic")
    assert kernel.run(count).text == "1\n"
    assert tab(kernel, "%%mountsea --asp") == ["%%mountsea --aspect-ratio"]
    kernel.run("%unload_ext mountsea_magic")
    assert kernel.run(count).text == "0\n"
    assert "%%mountsea --aspect-ratio" not in tab(kernel, "%%mountsea --asp")
    kernel.run("%load_ext mountsea_magic")
    assert tab(kernel, "%%mountsea --asp") == ["%%mountsea --aspect-ratio"]


def test_ipython_without_matchers_is_supported(
    shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before IPython 8.6 nothing is installed or removed."""
    monkeypatch.delattr(completer, "context_matcher")
    before = list(shell.Completer.custom_matchers)
    assert install(shell, lambda: "nano-banana") is None
    remove(shell, None)
    assert shell.Completer.custom_matchers == before
