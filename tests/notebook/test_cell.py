"""One cell: validation before anything is sent, `%config` defaults, and the bound result."""

from __future__ import annotations

import json
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hub_server import KEY, StandInHub, image
from IPython.core.interactiveshell import InteractiveShell

from mountsea_magic.errors import ConfigurationError, InvalidRequest, WaitTimeout
from mountsea_magic.notebook.cell import describe
from mountsea_magic.request.request import build_request
from mountsea_magic.settings import DEFAULT_BASE_URL, DEMO_URL, Secret, Settings

Run = Callable[..., Any]


@pytest.fixture
def run(shell: InteractiveShell) -> Run:
    """Run a cell, and return the value bound to `dog`."""

    def run_cell(line: str, body: str = "a dog") -> Any:
        shell.run_cell_magic("mountsea", f"-o dog {line}", body)  # type: ignore[no-untyped-call]  # IPython is untyped
        return shell.user_ns.get("dog")

    return run_cell


@pytest.mark.parametrize("demo", [False, True])
def test_the_curl_command_sends_the_same_request(home: Path, demo: bool) -> None:
    """The same URL, body and headers; the key is a variable."""
    base_url = DEMO_URL if demo else "https://hub.example"
    settings = Settings(base_url, Secret(KEY), "a test", None, home)
    request = build_request('it\'s a `dog` for $5 & "more"\nин', parameters={"num_images": 2})
    output = describe([request], settings)
    command = output[output.index("curl ") : output.index("\n\n2 images; nothing was sent.")]
    words = shlex.split(command.replace("\\\n", " "))
    arguments = dict(zip(words[1::2], words[2::2], strict=True))
    assert arguments["--url"] == f"{DEFAULT_BASE_URL if demo else base_url}/hub/v1/image"
    assert (
        arguments["--request"] == "POST" and json.loads(arguments["--data-raw"]) == request.body()
    )
    headers = [words[n + 1] for n, word in enumerate(words) if word == "--header"]
    assert headers == ["Authorization: Bearer $MOUNTSEA_API_KEY", "Content-Type: application/json"]
    assert KEY not in output and json.loads(output[output.index("{") : output.index("\n\ncurl")])


def test_a_dry_run_needs_no_key_and_binds_nothing(
    hub: StandInHub, run: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every request is shown, the first one's curl form, and how many there are in all."""
    monkeypatch.delenv("MOUNTSEA_API_KEY")
    assert run("--dry-run -n 3", "a dog\n---\na cat") is None
    output = capsys.readouterr().out
    bodies = [json.loads(line) for line in output.split("\n") if line.startswith("{")]
    assert [body["input"]["prompt"] for body in bodies] == ["a dog", "a cat"]
    assert output.count("curl ") == 1 and "--data-raw" in output
    assert output.endswith("\n\n2 requests, 6 images; nothing was sent.\n")
    assert hub.requests == []


def test_nothing_is_sent_if_one_prompt_is_invalid(hub: StandInHub, run: Run) -> None:
    """The error names the number of the prompt."""
    with pytest.raises(InvalidRequest, match=r"^Prompt 2: .*'nobody' is undefined"):
        run("", "a dog\n---\na {{ nobody }}\n---\na cat")
    assert hub.requests == []


@pytest.mark.parametrize("line_end", ["\n", "\r\n"], ids=["LF", "CRLF"])
def test_a_raw_body_is_one_prompt(hub: StandInHub, run: Run, line_end: str) -> None:
    """A line of `---` in it neither splits it nor is lost: one POST with the body as is."""
    body = line_end.join(["# A poster", "---", "{{ title }}", "", "by {name}"])
    run("--raw", body + line_end)
    assert [seen.json["input"]["prompt"] for seen in hub.posts] == [body]


@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"], ids=["LF", "CRLF", "CR"])
def test_every_line_ending_splits_prompts(hub: StandInHub, run: Run, line_end: str) -> None:
    """No carriage return is left in a prompt or at its end."""
    run("", line_end.join(["a dog", "on ice", "--- ", "a cat", ""]))
    sent = {seen.json["input"]["prompt"] for seen in hub.posts}
    assert sent == {"a dog\non ice", "a cat"}


def test_templates_are_rendered_once_and_raw_text_never(
    hub: StandInHub, shell: InteractiveShell, run: Run
) -> None:
    """A variable's value is not a template."""
    shell.user_ns["animal"] = "{{ 1 + 1 }}"
    run("", "a {{ animal }}")
    run("--raw", "a {{ animal }}")
    sent = [seen.json["input"]["prompt"] for seen in hub.posts]
    assert sent == ["a {{ 1 + 1 }}", "a {{ animal }}"]


def test_a_prompt_that_contains_the_key_is_refused(hub: StandInHub, run: Run) -> None:
    """It would be stored at the Hub, in the journal and notebook; the error does not quote it."""
    with pytest.raises(InvalidRequest, match="contains your API key") as caught:
        run("", f"a dog with {KEY}")
    assert KEY not in str(caught.value) and hub.requests == []


def test_without_a_key_nothing_is_bound_or_sent(
    hub: StandInHub, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The error names the solutions."""
    monkeypatch.delenv("MOUNTSEA_API_KEY")
    with pytest.raises(ConfigurationError, match="`%mountsea demo`"):
        run("")
    assert hub.requests == []


def test_an_unusable_folder_is_refused_before_submitting(
    hub: StandInHub, run: Run, tmp_path: Path
) -> None:
    """A file has the folder's name."""
    (tmp_path / "taken").write_text("mine")
    for folder in ("taken", "taken/deeper"):
        with pytest.raises(InvalidRequest, match="can't create the folder"):
            run(f"--save {tmp_path / folder}")
    assert hub.requests == [] and (tmp_path / "taken").read_text() == "mine"


@pytest.mark.parametrize("named", ["~/my/dogs", "$TARGET/dogs", "${TARGET}/dogs", "~/$NAME"])
def test_home_and_variables_in_a_folder_are_expanded(
    hub: StandInHub, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    """As in a shell; a missing folder is created."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TARGET", str(tmp_path / "my"))
    monkeypatch.setenv("NAME", "my/dogs")
    run(f"--save {named}")
    (copy,) = (tmp_path / "my" / "dogs").iterdir()
    assert copy.read_bytes() == image()


@pytest.mark.parametrize(
    "named",
    ["dog.png", "out/dog.JPG", "~/dog.webp", "a.b.jpeg", "dog.avif", "dog.heic", "dogs.zip"],
)
def test_a_file_name_for_a_folder_is_refused(
    hub: StandInHub,
    run: Run,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    named: str,
) -> None:
    """The error names the way to save one image to a file."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    with pytest.raises(InvalidRequest, match=r"--save .*looks like a file.*NAME\[0\]\.save\("):
        run(f"--save {named}")
    assert hub.requests == [] and list(tmp_path.iterdir()) == [] and not home.exists()


@pytest.mark.parametrize("named", ["dog.png/", "v1.2", "2026.11.26", "there.png", ".hidden"])
def test_a_folders_name_can_contain_a_dot(
    hub: StandInHub, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    """With a slash at its end, without an image suffix, or if the folder exists."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.png").mkdir()
    run(f"--save {named}")
    assert len(list((tmp_path / named).iterdir())) == 1


@pytest.mark.parametrize(
    ("named", "message"),
    [
        ("~no-such-user/dogs", "there is no home folder ~no-such-user"),
        ("$NO_SUCH_VARIABLE/dogs", r"the environment variable \$NO_SUCH_VARIABLE is not set"),
        ("${NO_SUCH_VARIABLE}", r"the environment variable \$\{NO_SUCH_VARIABLE\} is not set"),
        ("''", "the name is empty"),
    ],
)
def test_an_invalid_folder_is_refused(
    hub: StandInHub,
    run: Run,
    home: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    named: str,
    message: str,
) -> None:
    """Nothing is sent, and no folder with the literal name is created."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidRequest, match=message):
        run(f"--save {named}")
    assert hub.requests == [] and list(tmp_path.iterdir()) == [] and not home.exists()


def test_save_methods_expand_paths_like_the_option(
    hub: StandInHub, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`NAME.save` and `NAME[0].save` accept and refuse the same paths."""
    monkeypatch.setenv("TARGET", str(tmp_path))
    dog = run("")
    (copy,) = dog.save("$TARGET/dogs")
    assert copy.parent == tmp_path / "dogs"
    assert dog[0].save("$TARGET/a.png") == tmp_path / "a.png"
    with pytest.raises(InvalidRequest, match="looks like a file"):
        dog.save(tmp_path / "b.png")
    for wrong in ("~no-such-user/x", "$NO_SUCH_VARIABLE/x"):
        with pytest.raises(InvalidRequest):
            dog[0].save(wrong)
        with pytest.raises(InvalidRequest):
            dog.save(wrong)


def test_config_sets_defaults_of_options(
    hub: StandInHub, shell: InteractiveShell, run: Run
) -> None:
    """Model, preview and timeout; an option overrides them."""
    shell.run_line_magic("config", "MountseaMagics.model = 'nano-banana-pro'")
    shell.run_line_magic("config", "MountseaMagics.preview = 99")
    assert run("").preview_px == 99
    assert run("-m nano-banana --preview 0").preview_px == 0
    assert [seen.json["model"] for seen in hub.posts] == ["nano-banana-pro", "nano-banana"]
    hub.ready_after_polls = 10**6
    shell.run_line_magic("config", "MountseaMagics.timeout = 0.2")
    with pytest.raises(WaitTimeout, match=r"within 0\.2 s"):
        run("")
    with pytest.raises(WaitTimeout, match=r"within 0\.1 s"):
        run("--timeout 0.1")


def test_config_base_url_overrides_the_environment(
    hub: StandInHub, shell: InteractiveShell, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The order is: option, `%config`, environment."""
    monkeypatch.setenv("MOUNTSEA_BASE_URL", "http://127.0.0.1:9")
    shell.run_line_magic("config", f"MountseaMagics.base_url = '{hub.url}'")
    assert len(run("")) == 1 and len(hub.posts) == 1


@pytest.mark.parametrize("line", ["", "--dry-run"])
def test_a_template_that_renders_the_key_is_refused(
    hub: StandInHub,
    shell: InteractiveShell,
    run: Run,
    line: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Also in a dry run."""
    shell.user_ns["os"] = os
    with pytest.raises(InvalidRequest, match="contains your API key"):
        run(line, "a {{ os.environ['MOUNTSEA_API_KEY'] }}")
    assert KEY not in capsys.readouterr().out and hub.requests == []


@pytest.mark.parametrize("line", ["-a {}", "-m {}", "--{}", "{}", "-p {}", "-o {}", "--save '{}"])
def test_an_error_does_not_quote_the_key(hub: StandInHub, run: Run, line: str) -> None:
    """IPython expands variables in the line, and errors quote invalid values."""
    with pytest.raises(InvalidRequest) as caught:
        run(line.format(KEY))
    assert KEY not in str(caught.value) and hub.requests == []
