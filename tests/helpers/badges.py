"""Parse the badges of a Markdown text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import nbformat

_BADGE = re.compile(r"\[!\[(?P<alt>[^\]]+)\]\((?P<image>[^)]+)\)\]\((?P<target>[^)]+)\)")


@dataclass(frozen=True)
class Badge:
    """An image with a link.

    Attributes:
        alt: The alt text.
        image: The image's URL.
        target: The URL of the link.
    """

    alt: str
    image: str
    target: str

    @property
    def urlpath(self) -> str:
        """The page that Binder opens once it has started."""
        return parse_qs(urlsplit(self.target).query)["urlpath"][0]


def badges(text: str) -> dict[str, Badge]:
    """Return the badges of a Markdown text, by the host of their link."""
    parsed = (Badge(**match.groupdict()) for match in _BADGE.finditer(text))
    return {urlsplit(badge.target).hostname or "": badge for badge in parsed}


def first_cell(path: Path) -> str:
    """Return the first cell of a notebook if it is Markdown, else an empty string."""
    first = nbformat.read(path, as_version=4).cells[0]
    return str(first.source) if first.cell_type == "markdown" else ""
