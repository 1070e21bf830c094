"""The architecture: which way imports run, short modules, the public names, true examples."""

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
    """The import contracts in pyproject.toml hold, for imports within functions, too."""
    # in a process of its own: import-linter reconfigures logging
    code = (
        "from importlinter.cli import lint_imports; raise SystemExit(lint_imports(no_cache=True))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_the_demo_is_imported_only_when_it_is_used() -> None:
    """A new process that imports the session and its clients imports no demo Hub."""
    code = "import sys, mountsea_magic.session; print('mountsea_magic.demo' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize("path", MODULES, ids=name_of)
def test_every_module_is_short_and_says_what_it_is(path: Path) -> None:
    """Under 400 lines, and with a docstring."""
    text = path.read_text("utf-8")
    assert len(text.splitlines()) < 400
    assert ast.get_docstring(ast.parse(text))


@pytest.mark.parametrize("name", mountsea_magic.__all__)
def test_every_public_name_is_there(name: str) -> None:
    """The lazy import finds each name in its module, and it has a docstring."""
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
        for node in ast.walk(ast.parse((PACKAGE / "__init__.py").read_text("utf-8")))
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
    tried = doctest.testmod(module)
    assert tried.failed == 0
    blocks = re.findall(r"^ +Examples?:\n +(\S+)", path.read_text("utf-8"), re.MULTILINE)
    assert set(blocks) <= {">>>"}
