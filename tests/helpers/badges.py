"""The badges of a text, and what they lead to."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import nbformat

_BADGE = re.compile(r"\[!\[(?P<alt>[^\]]+)\]\((?P<image>[^)]+)\)\]\((?P<target>[^)]+)\)")


@dataclass(frozen=True)
class Badge:
    """An image that is a link.

    Attributes:
        alt: What is read out in place of the image.
        image: The image's address.
        target: Where a click leads.
    """

    alt: str
    image: str
    target: str

    @property
    def urlpath(self) -> str:
        """What a Binder opens when it has started."""
        return parse_qs(urlsplit(self.target).query)["urlpath"][0]


def badges(text: str) -> dict[str, Badge]:
    """Return the badges of a Markdown text, by the host that a click leads to."""
    found = (Badge(**match.groupdict()) for match in _BADGE.finditer(text))
    return {urlsplit(badge.target).hostname or "": badge for badge in found}


def opening(path: Path) -> str:
    """Return the first cell of a notebook, where it is a text."""
    first = nbformat.read(path, as_version=4).cells[0]
    return str(first.source) if first.cell_type == "markdown" else ""
