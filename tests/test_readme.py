"""The README: its options, commands and errors are those of the code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import mountsea_magic
from mountsea_magic.options import cell_parser, command_parsers

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_every_option_is_told() -> None:
    """Each option of the parser stands in the README, in all its spellings."""
    spellings = re.findall(r"`(-{1,2}[a-z][a-z-]*)", README)
    known = {word for action in cell_parser()._actions for word in action.option_strings}
    assert known <= set(spellings)


def test_every_command_is_told() -> None:
    """Each command stands in the README."""
    assert [name for name in command_parsers() if f"`%mountsea {name}" not in README] == []


@pytest.mark.parametrize("name", [n for n in mountsea_magic.__all__ if n[0].isupper()])
def test_every_error_is_told(name: str) -> None:
    """Each error that can be caught stands in the errors table."""
    value = getattr(mountsea_magic, name)
    if issubclass(value, BaseException) and name != "MountseaError":
        assert f"| `{name}` |" in README


def test_links_and_pictures_are_there() -> None:
    """What the README shows from this repository exists."""
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", README):
        assert (ROOT / target).is_file()
