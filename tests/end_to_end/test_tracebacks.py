"""Verbose tracebacks, which show the locals of all frames, never show the key."""

from __future__ import annotations

import ast
import base64
import re
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from checkout import HELPERS
from hang import HANG_S
from traceback_probe import WAYS

import mountsea_magic

KEY = "sk-s3cr3t/+0123456789abcdef~"
FORMS = (
    KEY[:14],
    quote(KEY, safe="")[:14],
    base64.b64encode(KEY.encode()).decode()[:14],
    base64.b64encode(f"Bearer {KEY}".encode()).decode()[:24],
)


@pytest.fixture(scope="module")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Run the probe with a minimal environment; return its output by kind of failure."""
    home = tmp_path_factory.mktemp("home")
    environment = {
        "MOUNTSEA_API_KEY": KEY,
        "MOUNTSEA_HOME": str(home),
        "IPYTHONDIR": str(home / "ipython"),
        "PYTHONIOENCODING": "utf-8",
    }
    probe = HELPERS / "traceback_probe.py"
    done = subprocess.run(
        [sys.executable, str(probe)],
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=HANG_S,
    )
    assert done.returncode == 0, done.stderr
    assert FORMS[0] not in done.stderr
    parts = re.split(r"^=== (.*)$", done.stdout, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_probe_shows_the_locals_of_a_frame(outputs: dict[str, str]) -> None:
    """Control: every traceback printer does show a local that holds the key."""
    assert outputs["control"].count(KEY) >= 3


@pytest.mark.parametrize("failure", sorted(set(WAYS) - {"control"}))
def test_no_raising_frame_holds_the_key(outputs: dict[str, str], failure: str) -> None:
    """No frame or cause of an error shows the key, plain or encoded."""
    assert "Traceback" in outputs[failure]
    assert [form for form in FORMS if form in outputs[failure]] == []


def test_only_known_functions_read_the_environment() -> None:
    """Only these functions read the environment, since Verbose mode shows all names of a line."""
    named = set()
    for path in Path(mountsea_magic.__file__).parent.rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                inner = [node for node in ast.walk(function) if isinstance(node, ast.Attribute)]
                if any(node.attr in ("environ", "environb", "getenv") for node in inner):
                    named.add(f"{path.stem}.{function.name}")
    assert named == {"__init__._variable", "environment.variable", "environment.set_variable"}
