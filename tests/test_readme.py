"""README and CONTRIBUTING: code blocks run, named files exist, and quoted messages are current."""

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
from mountsea_magic.notebook.commands.dispatch import command_parsers
from mountsea_magic.notebook.line_parser import split_line
from mountsea_magic.notebook.options import cell_parser

README = (ROOT / "README.md").read_text(encoding="utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")

PROMPTS_FOR_KEY = "asks for a key: read, not run"
COMMANDS = ("use command", "test command")
"""The marks of the two blocks that create a virtual environment; ``.ci/run`` runs the second."""


@dataclass(frozen=True, slots=True)
class CodeBlock:
    """One fenced block of a Markdown file.

    Attributes:
        mark: The HTML comment directly above it, or an empty string: `PROMPTS_FOR_KEY`, one of
            `COMMANDS`, or ``raises`` and the name of the expected error.
        language: The language after the opening fence; empty for a cell with a magic.
        code: The lines between the fences.
    """

    mark: str
    language: str
    code: str


def blocks(text: str) -> list[CodeBlock]:
    """Return all fenced blocks in order; fail if a fence would be overlooked."""
    found = re.findall(
        r"(?:^<!-- ([^\n]+) -->\n)?^```(\w*)\n(.*?)\n```$", text, re.MULTILINE | re.DOTALL
    )
    assert 2 * len(found) == text.count("```"), "a fence is indented, or not closed"
    return [CodeBlock(*parts) for parts in found]


def is_cell(block: CodeBlock) -> bool:
    """Whether the block can be run in a notebook."""
    return block.language in ("", "python", "ipython") and block.mark != PROMPTS_FOR_KEY


def failures(kernel: Kernel, text: str) -> Iterator[str]:
    """Run the cells of a text in order, and yield a message for each one that misbehaves."""
    for block in filter(is_cell, blocks(text)):
        run = kernel.run(block.code)
        if run.error != block.mark.removeprefix("raises "):
            yield f"{block.code}\n{run.error or 'nothing'} was raised: {run.error_message}"
        shows = block.code.startswith("%%mountsea") and "--dry-run" not in block.code
        if shows and run.status == "ok" and not run.images():
            yield f"{block.code}\nshows no image"


def message_templates() -> list[str]:
    """Return all string literals of the package except docstrings, with … for f-string fields."""
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
def test_every_notebook_block_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """All cells run in order in one real kernel on the demo Hub; a broken cell is detected."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOUNTSEA_DEMO", "if-no-key")
    with started_kernel() as kernel:
        kernel.run("%load_ext mountsea_magic\n%config MountseaMagics.demo_seconds = 0.1")
        assert list(failures(kernel, README)) == []
        no_image = "%%mountsea -q -s 3 -a 3:2\nA red fox in the snow"  # from the journal: quick
        for broken in ("%%mountsea --num-imags 2\na dog", no_image, "1 / 0"):
            assert len(list(failures(kernel, f"```\n{broken}\n```"))) == 1, broken
        assert len(list(failures(kernel, "<!-- raises WaitTimeout -->\n```\n%mountsea\n```"))) == 1
    assert len(list((tmp_path / "images").iterdir())) == 2


def test_every_block_is_run_or_checked() -> None:
    """Each block is run in a kernel, run by .ci/run, or parsed; other kinds need a rule here."""
    for block in blocks(README):
        if block.language == "bash":
            assert block.mark in COMMANDS
        elif block.mark == PROMPTS_FOR_KEY:
            command, *words = split_line(block.code.removeprefix("%mountsea "))
            command_parsers()[command].parse_arguments(words)
        else:
            assert is_cell(block)
            error = block.mark.removeprefix("raises ")
            assert not block.mark or error in mountsea_magic.__all__
    assert {block.language for block in blocks(CONTRIBUTING)} <= {"bash", "python"}


def test_ci_runs_the_readmes_test_command() -> None:
    """.ci/run runs the test command verbatim; the use command differs only where it must."""
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
def test_paths_links_and_test_names_exist(text: str) -> None:
    """Links into this repository, paths and test names exist; bash blocks parse."""
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


def test_every_question_quotes_a_message_of_the_code() -> None:
    """Each piece between two … of a question occurs in one message of the code, in that order."""
    questions = re.findall(r"^- \*\*“(.+?)”\*\*", README, re.MULTILINE)
    texts = message_templates()
    for question in questions:
        pattern = ".*".join(re.escape(piece.strip()) for piece in question.split("…"))
        assert any(re.search(pattern, text, re.DOTALL) for text in texts), question
    assert len(questions) > 20


def test_fault_suite_figures_match_the_code() -> None:
    """The README states the current numbers of sequences and faults."""
    submissions, polls, downloads = map(len, FAULTS.values())
    assert f"{SEQUENCES:,} seeded sequences" in README
    assert (
        f"{submissions} faults of submissions, {polls} of polls and {downloads} of down" in README
    )
    assert f"{OVER_SOCKETS} more sequences over real sockets" in README


def test_every_option_is_documented() -> None:
    """The README lists each option of the parser, in all its spellings."""
    spellings = re.findall(r"`(-{1,2}[a-z][a-z-]*)", README)
    known = {word for action in cell_parser()._actions for word in action.option_strings}
    assert known <= set(spellings)


def test_every_command_is_documented() -> None:
    """The README lists each command."""
    assert [name for name in command_parsers() if f"`%mountsea {name}" not in README] == []


ERRORS = [
    name
    for name in mountsea_magic.__all__
    if name[0].isupper() and issubclass(getattr(mountsea_magic, name), BaseException)
]


@pytest.mark.parametrize("name", sorted(set(ERRORS) - {"MountseaError"}))
def test_every_error_is_documented(name: str) -> None:
    """The errors table of the README lists each public error."""
    assert f"| `{name}` |" in README
