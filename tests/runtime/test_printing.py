"""Printing works on streams of any encoding, and never raises."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from cells import prompts
from hang import HANG_S
from hub_server import StandInHub
from IPython.core.interactiveshell import InteractiveShell

from mountsea_magic import generate
from mountsea_magic.errors import MountseaError
from mountsea_magic.runtime.printing import echo, encodable, is_terminal

TEXT = "3 × “dog” · 犬 … \udce9"


class FailingStream(io.TextIOBase):
    """A user-defined stream whose methods raise an error."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    def write(self, text: str) -> int:
        """Raise the error."""
        raise self._error

    def isatty(self) -> bool:
        """Raise the error."""
        raise self._error


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp932", "cp1252", "koi8-r", "utf-16"])
def test_text_can_be_printed_in_every_encoding(encoding: str) -> None:
    """Characters that the encoding lacks are escaped; the rest is unchanged."""
    content = io.BytesIO()
    stream = io.TextIOWrapper(content, encoding=encoding)
    echo(TEXT, stream=stream)
    shown = content.getvalue().decode(encoding)
    assert shown.startswith("3 ") and shown.endswith("\\udce9" + os.linesep)
    assert ("犬" in shown) == (encoding in ("cp932", "utf-16"))


def test_encodable_text_is_unchanged() -> None:
    """A stream without an encoding takes any text."""
    stream = io.StringIO()
    echo(TEXT[:-1], stream=stream)
    assert stream.getvalue() == TEXT[:-1] + "\n"
    assert encodable("“犬”", "utf-8") == "“犬”"
    assert encodable("“犬”", "no-such-encoding") == '"\\u72ac"'


def test_a_stream_that_does_not_report_its_encoding_gets_ascii() -> None:
    """Such as a tee into a file with another encoding."""
    content = io.BytesIO()
    inner = io.TextIOWrapper(content, encoding="ascii")

    class Tee:
        def write(self, text: str) -> int:
            return inner.write(text)

        def flush(self) -> None:
            inner.flush()

    echo("“dog”", stream=Tee())  # type: ignore[arg-type]  # as users write them
    assert content.getvalue().decode() == '"dog"' + os.linesep


ERRORS = [BrokenPipeError(), ValueError("closed"), OSError(28, "disk full"), RuntimeError("mine")]


@pytest.mark.parametrize("error", ERRORS, ids=lambda error: type(error).__name__)
def test_a_failing_stream_does_not_end_a_job(
    hub: StandInHub, shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """Each prompt is submitted once and completes; no command raises."""
    hub.ready_after_polls = 3
    monkeypatch.setattr(sys, "stdout", FailingStream(error))
    assert not is_terminal(sys.stdout)
    shell.run_cell_magic("mountsea", "-o dog", "a “dog”\n---\na 犬")  # type: ignore[no-untyped-call]  # IPython's is so
    for line in ("", "history", "models", "help"):
        shell.run_line_magic("mountsea", line)
    assert [task.status for task in shell.user_ns["dog"]] == ["completed"] * 2
    assert len(hub.posts) == 2


def test_a_process_without_streams_prints_nothing(
    hub: StandInHub, shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`pythonw` and daemons have no streams."""
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, None)
    shell.run_cell_magic("mountsea", "-o dog", "a dog")  # type: ignore[no-untyped-call]  # as above
    assert shell.user_ns["dog"].status == "completed" and len(hub.posts) == 1


def test_a_notice_that_cannot_be_shown_does_not_end_a_job(
    hub: StandInHub, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The user's code for warnings may raise."""
    (home / "journal.sqlite").mkdir(parents=True)

    def fail(*_: object, **__: object) -> None:
        raise UnicodeEncodeError("ascii", "“", 0, 1, "ordinal not in range")

    monkeypatch.setattr("warnings.warn", fail)
    monkeypatch.setattr(sys, "stderr", FailingStream(ValueError("closed")))
    assert generate("a dog", cache=True).status == "completed"
    assert len(hub.posts) == 1


@pytest.mark.parametrize("encoding", ["ascii", "cp932", "latin-1"])
def test_an_error_is_rendered_in_the_encoding_of_standard_output(
    monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    """IPython prints the lines unchanged."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    (line,) = MountseaError("the “dog” … 犬 é")._render_traceback_()
    print(line, flush=True)
    assert line.startswith("MountseaError: the ")


TERMINAL = """
%load_ext mountsea_magic
%mountsea
%mountsea models
%mountsea models nano-banana
get_ipython().run_cell_magic("mountsea", "--dry-run", "a “犬” · é")
get_ipython().run_cell_magic("mountsea", "-o dog", "a “犬” · é")
dog
dog[0]
%mountsea history
get_ipython().run_line_magic("mountsea", "show " + dog.task_id)
get_ipython().run_line_magic("mountsea", "resume " + dog.task_id)
get_ipython().run_cell_magic("mountsea", "--help", "x")
print("all " + "was displayed")
get_ipython().run_cell_magic("mountsea", "-a “犬”", "a dog")
"""


@pytest.mark.parametrize("encoding", ["ascii", "cp932", "latin-1"])
def test_ipython_with_another_encoding_shows_everything(
    hub: StandInHub, tmp_path: Path, encoding: str
) -> None:
    """In an IPython process with piped output: no UnicodeEncodeError, one POST."""
    script = tmp_path / "script.ipy"
    script.write_text(TERMINAL, "utf-8")
    environment = os.environ | {
        "PYTHONIOENCODING": encoding,
        "PYTHONUTF8": "0",
        "IPYTHONDIR": str(tmp_path / "ipython"),
        "MOUNTSEA_HOME": str(tmp_path / "Zoë 犬"),
    }
    command = [sys.executable, "-m", "IPython", "--no-banner", "--colors=NoColor", str(script)]
    done = subprocess.run(command, env=environment, capture_output=True, timeout=HANG_S)
    shown = done.stdout.decode(encoding)
    assert "all was displayed" in shown, done.stderr.decode("utf-8", "replace")
    assert "UnicodeEncodeError" not in shown and b"UnicodeEncodeError" not in done.stderr
    assert "InvalidRequest: " in shown
    assert len(prompts(hub)) == 1
