"""`python -m mountsea_magic.demo`: the demo Hub for other programs, over a real socket."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import pytest

from mountsea_magic.demo import __main__ as demo

COMMAND = [sys.executable, "-m", "mountsea_magic.demo"]


@pytest.fixture
def served(home: Path) -> Iterator[str]:
    """Serve on a free port, with a key, and end it with the test."""
    command = [*COMMAND, "--port", "0", "--seconds", "0", "--key", "right"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        try:
            lines = iter(server.stderr.readline, "")
            found = (re.search(r"http://127\.0\.0\.1:\d+", line) for line in lines)
            yield next(match[0] for match in found if match is not None)
        finally:
            server.terminate()


def test_it_serves_the_contract(served: str, home: Path) -> None:
    """An order, its task and its image, for who has the key; the tasks are under the home."""
    headers = {"Authorization": "Bearer right", "Content-Type": "application/json"}
    order = json.dumps({"model": "nano-banana", "input": {"prompt": "a dog"}}).encode()
    with urlopen(Request(f"{served}/hub/v1/image", order, headers)) as answer:
        task_id = json.load(answer)["task_id"]
    with urlopen(Request(f"{served}/hub/v1/tasks/{task_id}", headers=headers)) as answer:
        address = json.load(answer)["data"]["images"][0]["url"]
    assert address.startswith(served)
    with urlopen(address) as answer:
        assert answer.read(4) == b"\x89PNG"
    assert [path.stem for path in (home / "demo").glob("*.json")] == [task_id]
    with pytest.raises(HTTPError, match="401"):
        urlopen(f"{served}/hub/v1/tasks/{task_id}")


def test_without_a_server_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Uvicorn comes with an extra."""
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(SystemExit) as caught:
        demo.main([])
    assert caught.value.code == 1
    assert "pip install 'mountsea-magic[lab]'" in capsys.readouterr().err


@pytest.mark.parametrize("words", [["--port", "x"], ["--seconds", "soon"], ["--nothing"]])
def test_a_wrong_command_line_is_refused(words: list[str]) -> None:
    """As argparse does it: here people are at a shell."""
    with pytest.raises(SystemExit) as caught:
        demo.main(words)
    assert caught.value.code == 2
