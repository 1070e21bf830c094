"""httpx is imported without its command line."""

from __future__ import annotations

import subprocess
import sys

import pytest

_USES = "from mountsea_magic.runtime.httpx_import import httpx"
_MODULES = "print(*sorted({'click', 'rich', 'httpx._main'} & sys.modules.keys()))"


def run(*lines: str) -> subprocess.CompletedProcess[str]:
    """Run lines of Python in a process of their own."""
    return subprocess.run(
        [sys.executable, "-c", "\n".join(["import sys", *lines])],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_command_line_is_not_imported() -> None:
    """What the command line needs is not imported, and it can still be imported."""
    done = run(_USES, _MODULES, "import httpx._main as command_line", "print(command_line.main)")
    assert done.stdout.startswith("\n<"), done.stderr


@pytest.mark.parametrize("first", [_USES, "import httpx"])
def test_the_command_line_can_be_called(first: str) -> None:
    """`httpx.main` shows its help, whoever imported httpx first."""
    done = run(first, _USES, "sys.argv = ['httpx', '--help']", "httpx.main()")
    assert "Usage:" in done.stdout or "http" in done.stdout.lower(), done.stderr
    assert done.returncode == 0


def test_an_earlier_import_is_used() -> None:
    """If the user has imported httpx before, it stays as it is."""
    done = run("import httpx", "main = httpx.main", _USES, "print(httpx.main is main)")
    assert done.stdout == "True\n", done.stderr
