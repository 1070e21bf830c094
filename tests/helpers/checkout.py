"""The repository checkout: its path, files and project metadata."""

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
    """Return the ``project`` table of pyproject.toml."""
    metadata = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    table: dict[str, Any] = metadata["project"]
    return table


def repository() -> str:
    """Return the repository's ``owner/name``, from the project metadata."""
    url: str = project()["urls"]["Repository"]
    return urlsplit(url).path.strip("/")


def files() -> list[str]:
    """List the tracked files, and new ones that are not committed yet."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, check=True, capture_output=True, text=True,
    )  # fmt: skip
    names = sorted(set(filter(None, listed.stdout.split("\0"))))
    return [name for name in names if (ROOT / name).is_file()]
