"""The house: who may import whom, short modules, the public face, and honest examples."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

import brushes
import pytest

import mountsea_magic
from mountsea_magic import errors

HOUSE = Path(mountsea_magic.__file__).parent
MODULES = sorted(HOUSE.rglob("*.py"), key=str)

FLOORS = [
    {"key_gate"},
    {"text", "key_forms"},
    {"errors", "chance", "environment", "wire_numbers", "patterns", "private_files"},
    {
        *("caller", "child_processes", "hub_urls", "home", "schema_values", "resolver"),
        *("secret", "file_lock"),
    },
    {"settings", "catalog", "files", "printing", "live_schema", "key_file"},
    {"keys", "addresses", "network", "redaction", "retrying", "stopwatch", "expecting", "schema"},
    {
        *("file_format", "inline", "side_by_side", "exif", "strictness", "daemon_threads"),
        *("bounded_json", "content_coding"),
    },
    {"image_work", "color_profiles", "limited_process"},
    {"decoding", "arrays", "bounded"},
    {"reading"},
    {"request"},
    {"certificates", "failures", "connector"},
    {"refusals"},
    {
        "protocol",
        "polling",
        "worker",
        "pictures",
        "transport",
        "templating",
        "line_parser",
        "journal_file",
    },
    {"options", "catalog_file", "listing", "uploads", "image_counts"},
    {"examples"},
    {"events", "entries", "delivery", "previews"},
    {"answer_body"},
    {"exchange"},
    {"client", "journal"},
    {"fetching", "ordering"},
    {"generation", "progress", "front_end"},
    {"answering", "display", "leaving", "notices"},
    *({room} for room in ("handle", "connections", "refreshing", "session", "composing")),
    {"widgets"},
    {"batch"},
    {"running"},
    {"api", "cell", "completion", "models"},
    *({room} for room in ("matcher", "history", "commands", "magic")),
]
BELOW = {room: set().union(*FLOORS[:n]) for n, floor in enumerate(FLOORS) for room in floor}
BELOW["options"] = {"errors", "line_parser", "text"}
BELOW["demo"] = {"demo", "catalog", "chance", "errors", "private_files", "request", "settings"}
BELOW["pictures"] |= {"display"}  # lazily: an image shows itself
BELOW["demo"] |= {"decoding", "file_format", "inline"}  # how images are written, by whomever
BELOW["connections"] |= {"demo"}  # lazily: see the next test


def name_of(path: Path) -> str:
    """Return a module's dotted name."""
    parts = path.relative_to(HOUSE.parent).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def rooms(tree: ast.AST, path: Path) -> Iterator[str]:
    """Yield the rooms that the code imports, at any depth, by relative or absolute names."""
    package = path.relative_to(HOUSE.parent).parts[:-1]
    for node in ast.walk(tree):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = list(package[: len(package) + 1 - node.level]) if node.level else []
            module = ".".join([*base, node.module or ""]).strip(".")
            names = [f"{module}.{alias.name}" for alias in node.names]
        for name in names:
            if name.startswith("mountsea_magic.") and name != "mountsea_magic.__version__":
                yield name.split(".")[1]


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_nothing_imports_upwards(path: Path) -> None:
    """Each room imports only rooms below it, within functions, too."""
    room = path.relative_to(HOUSE).parts[0].removesuffix(".py")
    if room != "__init__":
        assert set(rooms(ast.parse(path.read_text("utf-8")), path)) <= BELOW[room]


def test_the_demo_is_imported_only_when_it_is_used() -> None:
    """What is not in a function or under TYPE_CHECKING is imported with the session."""
    path = HOUSE / "connections.py"
    at_once = [
        node
        for node in ast.parse(path.read_text("utf-8")).body
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert "demo" not in set(rooms(ast.Module(list(at_once), []), path))


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_module_is_short_and_says_what_it_is(path: Path) -> None:
    """Under 300 lines, and with a docstring."""
    text = path.read_text("utf-8")
    assert len(text.splitlines()) < 300
    assert ast.get_docstring(ast.parse(text))


@pytest.mark.parametrize("name", mountsea_magic.__all__)
def test_every_public_name_is_there(name: str) -> None:
    """The lazy import finds each name in its room, and says what it is."""
    public = getattr(mountsea_magic, name)
    assert public.__name__ == name
    assert inspect.getdoc(public)
    assert name in dir(mountsea_magic)


def test_the_public_face_is_what_is_exported() -> None:
    """`__all__` is sorted and equals what a star brings and what type checkers are shown."""
    brought: dict[str, object] = {}
    exec("from mountsea_magic import *", brought)
    del brought["__builtins__"]
    shown = {
        alias.name
        for node in ast.walk(ast.parse((HOUSE / "__init__.py").read_text("utf-8")))
        if isinstance(node, ast.If)
        for inner in node.body
        if isinstance(inner, ast.ImportFrom) and inner.level
        for alias in inner.names
    }
    assert mountsea_magic.__all__ == sorted(brought) == sorted(shown)


def test_every_error_is_public() -> None:
    """Whatever the package raises can be caught by its name."""
    tree = {
        name
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if kind.__module__ == errors.__name__ and not name.startswith("_")
    }
    assert tree <= set(mountsea_magic.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """A slip is told as Python tells it."""
    with pytest.raises(AttributeError, match="no attribute 'generat'"):
        _ = mountsea_magic.generat


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_the_examples_are_true(path: Path) -> None:
    """Each docstring example of a module gives what it says; there is none that is not run."""
    module = importlib.import_module(name_of(path))
    at_hand = {name: value for name, value in vars(brushes).items() if name[:2] != "__"}
    brush = at_hand if {"painter", "effects"} & set(path.parts) else {}
    tried = doctest.testmod(module, extraglobs=brush)
    assert tried.failed == 0
    blocks = re.findall(r"^ +Examples?:\n +(\S+)", path.read_text("utf-8"), re.MULTILINE)
    assert set(blocks) <= {">>>"}
