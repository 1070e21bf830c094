"""The architecture: import direction, module size, public names, docstring examples."""

from __future__ import annotations

import ast
import doctest
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest
from checkout import ROOT

import mountsea_magic
from mountsea_magic import errors

PACKAGE = Path(mountsea_magic.__file__).parent
MODULES = sorted(PACKAGE.rglob("*.py"), key=str)


def name_of(path: Path) -> str:
    """Return a module's dotted name."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(part for part in parts if part != "__init__")


def test_imports_run_one_way() -> None:
    """The import contracts in pyproject.toml hold, also for imports within functions."""
    # in a subprocess: import-linter reconfigures logging
    code = (
        "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_the_demo_hub_is_imported_lazily() -> None:
    """Importing the session and its clients does not import the demo Hub."""
    code = "import sys, mountsea_magic.session; print('mountsea_magic.demo' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_module_is_short_and_has_a_docstring(path: Path) -> None:
    """A module has less than 400 lines."""
    text = path.read_text("utf-8")
    assert len(text.splitlines()) < 400
    assert ast.get_docstring(ast.parse(text))


@pytest.mark.parametrize("name", mountsea_magic.__all__)
def test_every_public_name_can_be_imported(name: str) -> None:
    """The lazy import finds it, it has a docstring, and `dir` lists it."""
    public = getattr(mountsea_magic, name)
    assert public.__name__ == name
    assert inspect.getdoc(public)
    assert name in dir(mountsea_magic)


def test_all_matches_the_star_import_and_the_type_checking_imports() -> None:
    """`__all__` is sorted, and equals both."""
    imported: dict[str, object] = {}
    exec("from mountsea_magic import *", imported)
    del imported["__builtins__"]
    declared = {
        alias.name
        for node in ast.walk(ast.parse((PACKAGE / "__init__.py").read_text("utf-8")))
        if isinstance(node, ast.If)
        for inner in node.body
        if isinstance(inner, ast.ImportFrom) and inner.level
        for alias in inner.names
    }
    assert mountsea_magic.__all__ == sorted(imported) == sorted(declared)


def test_every_error_is_public() -> None:
    """All classes of `errors` are in `__all__`."""
    tree = {
        name
        for name, kind in inspect.getmembers(errors, inspect.isclass)
        if kind.__module__ == errors.__name__ and not name.startswith("_")
    }
    assert tree <= set(mountsea_magic.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    """The message is Python's own."""
    with pytest.raises(AttributeError, match="no attribute 'generat'"):
        _ = mountsea_magic.generat


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_docstring_examples_are_correct(path: Path) -> None:
    """All doctests of a module pass, and each `Example:` block is a doctest."""
    module = importlib.import_module(name_of(path))
    result = doctest.testmod(module)
    assert result.failed == 0
    blocks = re.findall(r"^ +Examples?:\n +(\S+)", path.read_text("utf-8"), re.MULTILINE)
    assert set(blocks) <= {">>>"}
