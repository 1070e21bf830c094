"""No verbose traceback shows the key, whatever fails: all locals of all frames are rendered."""

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
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Fail in every way, in one process with as few variables as a container has."""
    home = tmp_path_factory.mktemp("home")
    environment = {
        "MOUNTSEA_API_KEY": KEY,
        "MOUNTSEA_HOME": str(home),
        "IPYTHONDIR": str(home / "ipython"),
        "PYTHONIOENCODING": "utf-8",
    }
    probe = HELPERS / "traceback_probe.py"
    ran = subprocess.run(
        [sys.executable, str(probe)],
        env=environment,
        capture_output=True,
        encoding="utf-8",
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr
    assert FORMS[0] not in ran.stderr
    parts = re.split(r"^=== (.*)$", ran.stdout, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_the_probe_sees_what_a_frame_holds(told: dict[str, str]) -> None:
    """Each printer shows a local, so that their silence means something."""
    assert told["control"].count(KEY) >= 3


@pytest.mark.parametrize("way", sorted(set(WAYS) - {"control"}))
def test_no_frame_that_raises_holds_the_key(told: dict[str, str], way: str) -> None:
    """Neither as it is nor encoded, in none of the frames and causes of an error."""
    assert "Traceback" in told[way]
    assert [form for form in FORMS if form in told[way]] == []


def test_the_environment_is_named_only_where_nothing_is_raised() -> None:
    """IPython's Verbose mode shows what a frame's lines name, and not only its locals."""
    named = set()
    for path in Path(mountsea_magic.__file__).parent.rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
                inner = [node for node in ast.walk(function) if isinstance(node, ast.Attribute)]
                if any(node.attr in ("environ", "environb", "getenv") for node in inner):
                    named.add(f"{path.stem}.{function.name}")
    assert named == {"__init__._variable", "environment.variable", "environment.set_variable"}
