"""The checkout that the tests stand in: where it is, what it holds, what its package is called."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[2]
HELPERS = Path(__file__).parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))


def project() -> dict[str, Any]:
    """Return the package's own metadata."""
    read = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    found: dict[str, Any] = read["project"]
    return found


def repository() -> str:
    """Return owner and name, as the package's own metadata has them."""
    address: str = project()["urls"]["Repository"]
    return urlsplit(address).path.strip("/")


def files() -> list[str]:
    """List what a clone would hold, with what is new but not yet committed."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    names = sorted(set(filter(None, listed.stdout.split("\0"))))
    return [name for name in names if (ROOT / name).is_file()]
