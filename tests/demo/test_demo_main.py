"""`python -m mountsea_magic.demo`: the demo Hub over HTTP, for other programs."""

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
    """Serve on a free port, with a key; yield the base URL."""
    command = [*COMMAND, "--port", "0", "--seconds", "0", "--key", "right"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        try:
            lines = iter(server.stderr.readline, "")
            matches = (re.search(r"http://127\.0\.0\.1:\d+", line) for line in lines)
            yield next(match[0] for match in matches if match is not None)
        finally:
            server.terminate()


def test_server_implements_the_contract(served: str, home: Path) -> None:
    """Submit, poll and download with the key; tasks are stored under MOUNTSEA_HOME."""
    headers = {"Authorization": "Bearer right", "Content-Type": "application/json"}
    submission = json.dumps({"model": "nano-banana", "input": {"prompt": "a dog"}}).encode()
    with urlopen(Request(f"{served}/hub/v1/image", submission, headers)) as response:
        task_id = json.load(response)["task_id"]
    with urlopen(Request(f"{served}/hub/v1/tasks/{task_id}", headers=headers)) as response:
        url = json.load(response)["data"]["images"][0]["url"]
    assert url.startswith(served)
    with urlopen(url) as response:
        assert response.read(4) == b"\x89PNG"
    assert [path.stem for path in (home / "demo").glob("*.json")] == [task_id]
    with pytest.raises(HTTPError, match="401"):
        urlopen(f"{served}/hub/v1/tasks/{task_id}")


def test_missing_uvicorn_names_the_extra_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Uvicorn is an optional dependency."""
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    with pytest.raises(SystemExit) as caught:
        demo.main([])
    assert caught.value.code == 1
    assert "pip install 'mountsea-magic[lab]'" in capsys.readouterr().err


@pytest.mark.parametrize("arguments", [["--port", "x"], ["--seconds", "soon"], ["--nothing"]])
def test_invalid_command_line_is_rejected(arguments: list[str]) -> None:
    """By argparse, with exit code 2."""
    with pytest.raises(SystemExit) as caught:
        demo.main(arguments)
    assert caught.value.code == 2
