"""README and CONTRIBUTING: what they show runs, what they name is there, and quotes are true."""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from checkout import ROOT
from fault_catalog import FAULTS
from fault_sequences import OVER_SOCKETS, SEQUENCES
from kernel_driver import Kernel, started_kernel

import mountsea_magic
from mountsea_magic.notebook.line_parser import split_line
from mountsea_magic.notebook.options import cell_parser, command_parsers

README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")

ASKS = "asks for a key: read, not run"
COMMANDS = ("use command", "test command")
"""The marks of the two blocks that make a virtual environment: ``.ci/run`` runs the second."""


@dataclass(frozen=True, slots=True)
class ProgressView:
    """One fenced block of a Markdown file.

    Attributes:
        mark: The HTML comment right above it, or an empty text: `ASKS`, one of `COMMANDS`, or
            ``raises`` and the error that it must end with.
        language: What stands behind the fence; nothing is a cell with a magic.
        code: Its lines.
    """

    mark: str
    language: str
    code: str


def blocks(text: str) -> list[ProgressView]:
    """Find all blocks, in order; one that could be overlooked is an error."""
    found = re.findall(
        r"(?:^<!-- ([^\n]+) -->\n)?^```(\w*)\n(.*?)\n```$", text, re.MULTILINE | re.DOTALL
    )
    assert 2 * len(found) == text.count("```"), "a fence is indented, or not closed"
    return [ProgressView(*parts) for parts in found]


def is_cell(block: ProgressView) -> bool:
    """Whether it can be run in a notebook."""
    return block.language in ("", "python", "ipython") and block.mark != ASKS


def failures(kernel: Kernel, text: str) -> Iterator[str]:
    """Run the cells of a text in order, and tell of each that does not do what it shows."""
    for block in filter(is_cell, blocks(text)):
        run = kernel.run(block.code)
        if run.error != block.mark.removeprefix("raises "):
            yield f"{block.code}\n{run.error or 'nothing'} was raised: {run.said}"
        shows = block.code.startswith("%%mountsea") and "--dry-run" not in block.code
        if shows and run.status == "ok" and not run.images():
            yield f"{block.code}\nshows no image"


def said_by_the_package() -> list[str]:
    """Return every text of the package's code but docstrings, with … for what is filled in."""
    texts = []
    for path in Path(mountsea_magic.__file__).parent.rglob("*.py"):
        nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
        docstrings = {id(node.value) for node in nodes if isinstance(node, ast.Expr)}
        for node in nodes:
            if isinstance(node, ast.Constant) and id(node) not in docstrings:
                texts.append(str(node.value))
            elif isinstance(node, ast.JoinedStr):
                parts = [getattr(part, "value", None) for part in node.values]
                texts.append("".join(part if isinstance(part, str) else "…" for part in parts))
    return texts


@pytest.mark.kernel
def test_every_cell_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one real kernel, in order, on the demo Hub; and a cell that breaks is noticed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOUNTSEA_DEMO", "if-no-key")
    with started_kernel() as kernel:
        kernel.run("%load_ext mountsea_magic\n%config MountseaMagics.demo_seconds = 0.1")
        assert list(failures(kernel, README)) == []
        unseen = "%%mountsea -q -s 3 -a 3:2\nA red fox in the snow"  # from the journal: quick
        for broken in ("%%mountsea --num-imags 2\na dog", unseen, "1 / 0"):
            assert len(list(failures(kernel, f"```\n{broken}\n```"))) == 1, broken
        assert len(list(failures(kernel, "<!-- raises WaitTimeout -->\n```\n%mountsea\n```"))) == 1
    assert len(list((tmp_path / "pictures").iterdir())) == 2


def test_every_block_is_tried() -> None:
    """By the kernel, by .ci/run, or by name: a block of another kind needs a rule here first."""
    for block in blocks(README):
        if block.language == "bash":
            assert block.mark in COMMANDS
        elif block.mark == ASKS:
            command, *words = split_line(block.code.removeprefix("%mountsea "))
            command_parsers()[command].parse_arguments(words)
        else:
            assert is_cell(block)
            error = block.mark.removeprefix("raises ")
            assert not block.mark or error in mountsea_magic.__all__
    assert {block.language for block in blocks(CONTRIBUTING)} <= {"bash", "python"}


def test_the_commands_are_those_that_are_tried() -> None:
    """.ci/run runs the test command word for word; the use command differs where it must."""
    use, test = (
        next(block.code for block in blocks(README) if block.mark == mark) for mark in COMMANDS
    )
    program = re.search(r"awk '(.+)' README\.md", (ROOT / ".ci/run").read_text("utf-8"))
    assert program is not None
    run = subprocess.run(
        ["awk", program[1], ROOT / "README.md"], capture_output=True, text=True, check=True
    )
    assert run.stdout == f"{test}\n"
    installs, opens = use.split(".venv/bin/jupyter lab")
    assert test.startswith(installs.replace("[lab]", "[lab,test]"))
    assert (ROOT / opens.split()[-1]).is_file()
    assert test in CONTRIBUTING and use in CONTRIBUTING


@pytest.mark.parametrize("text", [README, CONTRIBUTING], ids=["README", "CONTRIBUTING"])
def test_what_it_names_is_there(text: str) -> None:
    """Links into this repository, test files and tests; and its bash blocks parse."""
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", text):
        assert (ROOT / target).is_file(), target
    for path in re.findall(r"(?<![\w./-])(?:tests|notebooks|mountsea_magic|\.ci)/[\w./-]*\w", text):
        assert (ROOT / path).exists(), path
    tests = "\n".join(path.read_text("utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    for name in re.findall(r"\btest_\w+(?!\.py|\w)", text):
        found = any((ROOT / "tests").rglob(f"{name}.py")) or f"def {name}(" in tests
        assert found, name
    for block in blocks(text):
        if block.language == "bash":
            subprocess.run(["bash", "-n", "-c", block.code], check=True)


def test_every_question_is_what_the_package_says() -> None:
    """Who searches for a message finds it: each piece between two … is said, in that order."""
    questions = re.findall(r"^- \*\*“(.+?)”\*\*", README, re.MULTILINE)
    texts = said_by_the_package()
    for question in questions:
        pattern = ".*".join(re.escape(piece.strip()) for piece in question.split("…"))
        assert any(re.search(pattern, text, re.DOTALL) for text in texts), question
    assert len(questions) > 20


def test_its_figures_are_those_of_the_fault_suite() -> None:
    """How many sequences, and among how many faults."""
    order, task, image = (len(FAULTS[place]) for place in ("order", "task", "picture"))
    assert f"{SEQUENCES:,} seeded sequences" in README
    assert f"{order} faults of orders, {task} of looks at a task and {image} of down" in README
    assert f"{OVER_SOCKETS} sequences more over real sockets" in README


def test_every_option_is_told() -> None:
    """Each option of the parser stands in the README, in all its spellings."""
    spellings = re.findall(r"`(-{1,2}[a-z][a-z-]*)", README)
    known = {word for action in cell_parser()._actions for word in action.option_strings}
    assert known <= set(spellings)


def test_every_command_is_told() -> None:
    """Each command stands in the README."""
    assert [name for name in command_parsers() if f"`%mountsea {name}" not in README] == []


ERRORS = [
    name
    for name in mountsea_magic.__all__
    if name[0].isupper() and issubclass(getattr(mountsea_magic, name), BaseException)
]


@pytest.mark.parametrize("name", sorted(set(ERRORS) - {"MountseaError"}))
def test_every_error_is_told(name: str) -> None:
    """Each error that can be caught stands in the errors table."""
    assert f"| `{name}` |" in README
