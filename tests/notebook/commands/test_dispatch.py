"""The `%mountsea` commands without a kernel: arguments, output and refusals."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from pathlib import Path

import pytest
from hub_server import KEY, StandInHub
from IPython.core.interactiveshell import InteractiveShell

from mountsea_magic import __version__
from mountsea_magic.errors import ConfigurationError, Interrupted, InvalidRequest
from mountsea_magic.notebook.commands.dispatch import command_parsers
from mountsea_magic.session import Session

Run = Callable[[str], str]


@pytest.fixture
def run(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a `%mountsea` line, and return what it prints."""

    def run_line(line: str) -> str:
        capsys.readouterr()
        shell.run_line_magic("mountsea", line)
        return capsys.readouterr().out

    return run_line


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the list of inputs for the prompt for a key."""
    inputs: list[str] = []
    monkeypatch.setattr(getpass, "getpass", lambda _: inputs.pop(0))
    return inputs


@pytest.mark.parametrize(
    ("command", "line", "values"),
    [
        ("models", "", {"model": None, "refresh": False}),
        ("models", "gpt-image-2 --refresh", {"model": "gpt-image-2", "refresh": True}),
        ("demo", "", {"state": None, "if_no_key": False, "fail": None}),
        ("demo", "on", {"state": "on"}),
        ("demo", "off", {"state": "off"}),
        ("demo", "--if-no-key", {"if_no_key": True}),
        ("demo", "--fail none", {"fail": "none"}),
        ("resume", "", {"task_ids": []}),
        ("resume", "hub-1 'x y'", {"task_ids": ["hub-1", "x y"]}),
        ("login", "", {"save": False}),
        ("login", "--save", {"save": True}),
        ("history", "", {"count": 20, "text": []}),
        ("history", "-n 3 a dog", {"count": 3, "text": ["a", "dog"]}),
        ("history", "'a dog' -n 3", {"count": 3, "text": ["a dog"]}),
        ("show", "hub-1", {"task_id": "hub-1"}),
        ("logout", "", {}),
        ("credits", "", {}),
        ("form", "", {"model": None}),
        ("form", "-m gpt-image-2", {"model": "gpt-image-2"}),
    ],
)
def test_command_arguments_are_parsed(command: str, line: str, values: dict[str, object]) -> None:
    """Each command has its own arguments."""
    parsed = vars(command_parsers()[command].parse_line(line))
    assert {name: parsed[name] for name in values} == values


@pytest.mark.parametrize(
    ("command", "line", "words"),
    [
        ("models", "--refesh", ["Did you mean --refresh?"]),
        ("models", "a b", ["Unexpected argument 'b'"]),
        ("demo", "maybe", ["invalid choice: 'maybe'", "%mountsea demo -h"]),
        ("demo", "on off", ["Unexpected argument 'off'"]),
        ("demo", "--if-no-keys", ["Did you mean --if-no-key?"]),
        ("demo", "--fail", ["--fail", "expected one argument"]),
        ("logout", "now", ["Unexpected argument 'now'"]),
        ("credits", "--all", ["Unknown option '--all'", "%mountsea credits -h"]),
        ("resume", "'open", ["Could not parse the line"]),
        ("login", "--sav", ["Did you mean --save?"]),
        ("history", "-n x", ["-n", "expected a whole number, got 'x'", "%mountsea history -h"]),
        ("history", "--all", ["Unknown option '--all'", "%mountsea history -h"]),
        ("form", "gpt-image-2", ["Unexpected argument 'gpt-image-2'"]),
        ("form", "--modle x", ["Did you mean --model?"]),
        ("show", "", ["required: TASK_ID", "%mountsea show -h"]),
        ("show", "hub-1 hub-2", ["Unexpected argument 'hub-2'"]),
    ],
)
def test_invalid_command_arguments_raise(command: str, line: str, words: list[str]) -> None:
    """With the closest option, or the command's help option."""
    with pytest.raises(InvalidRequest) as caught:
        command_parsers()[command].parse_line(line)
    for word in words:
        assert word in str(caught.value)


@pytest.mark.parametrize("command", sorted(command_parsers()))
def test_every_command_has_help(command: str) -> None:
    """With its usage and description."""
    parser = command_parsers()[command]
    assert parser.format_help().startswith(f"usage: %mountsea {command}")
    assert parser.description and parser.description in " ".join(parser.format_help().split())


def test_without_a_command_the_status_is_shown(hub: StandInHub, run: Run, home: Path) -> None:
    """Version, Hub, source of the key, model and folder; never the key."""
    output = run("")
    for line in (
        f"mountsea-magic {__version__}",
        f"Hub: {hub.url}",
        "key: MOUNTSEA_API_KEY",
        "model: nano-banana",
        f"files: {home / 'originals'}",
    ):
        assert line in output.splitlines()
    assert KEY not in output and hub.requests == []


def test_the_status_of_the_demo_hub_says_that_the_key_is_unused(hub: StandInHub, run: Run) -> None:
    """And `demo off` names the real Hub."""
    run("demo")
    output = run("")
    assert "Hub: demo: (the embedded demo Hub)" in output
    assert "key: MOUNTSEA_API_KEY, not used by the demo Hub" in output
    assert f"The Hub is {hub.url}; key: MOUNTSEA_API_KEY." in run("demo off")


@pytest.mark.parametrize("line", ["help", "-h", "--help"])
def test_help_lists_every_command(run: Run, line: str) -> None:
    """One line each."""
    output = run(line)
    assert all(f"\n  {name} " in output for name in command_parsers())


@pytest.mark.parametrize("name", command_parsers())
def test_each_command_has_help(run: Run, name: str) -> None:
    """The command itself is not run."""
    output = run(f"{name} --help")
    assert output.startswith(f"usage: %mountsea {name}") and run("") != output


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("demmo", "Did you mean demo?"),
        ("demo maybe", "on"),
        ("demo on --if-no-key", "can't be combined"),
        ("demo off --if-no-key", "can't be combined"),
        ("demo --fail flaky", "`%mountsea demo` first"),
        ("demo on --fail flacky", "Did you mean flaky?"),
        ("login now", "accepts only --save"),
        ("login --save now", "accepts only --save"),
        ("credits please", "credits"),
        ("history -n none", "whole number"),
        ("'", "Could not parse the line"),
    ],
)
def test_an_invalid_line_raises_and_changes_nothing(
    here: Session, hub: StandInHub, run: Run, line: str, message: str
) -> None:
    """No request is sent."""
    with pytest.raises(InvalidRequest) as caught:
        run(line)
    assert message in str(caught.value)
    assert here.demo is None and here.login is None and hub.requests == []


def test_a_fault_can_be_set_when_switching_to_the_demo_hub(here: Session, run: Run) -> None:
    """Or later; `none` ends it."""
    assert "The demo Hub draws the images locally" in run("demo --if-no-key --fail offline")
    assert here.clients.demo_fault == "offline"
    assert run("demo --fail none").startswith("The demo's network: ")
    assert here.clients.demo_fault == "none"


def test_a_login_stays_in_memory(hub: StandInHub, run: Run, typed: list[str], home: Path) -> None:
    """It overrides the environment, is never shown, and is in no file."""
    typed.append("sk-typed-in-0123456789")
    output = run("login") + run("")
    assert "API key stored in this kernel's memory" in output and "key: login" in output
    assert "sk-typed-in" not in output
    assert not [path for path in home.rglob("*") if b"sk-typed" in path.read_bytes()]
    assert run("logout") == "API key removed. key: MOUNTSEA_API_KEY\n"


def test_a_saved_key_is_found_by_the_next_kernel(
    run: Run, typed: list[str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without a keyring in a file with mode 0600, until the logout."""
    monkeypatch.setenv("MOUNTSEA_BASE_URL", "https://hub.example")
    typed.append(KEY)
    output = run("login --save")
    stored = home / "keys.json"
    assert f"API key stored in {stored}, for https://hub.example" in output and KEY not in output
    assert stored.stat().st_mode & 0o777 == 0o600
    found = Session().settings()
    assert found.key is not None and found.key.reveal() == KEY
    assert run("logout") == "API key removed. key: none\n" and not stored.exists()


def test_login_warns_while_the_demo_hub_is_on(run: Run, typed: list[str]) -> None:
    """The key has no effect then."""
    run("demo")
    typed.append(KEY)
    assert "The demo Hub is still on; `%mountsea demo off`" in run("login")


@pytest.mark.parametrize("nothing", ["", "  ", "two words", "ключ"])
def test_an_invalid_key_is_not_stored(
    here: Session, run: Run, typed: list[str], nothing: str
) -> None:
    """It can't be sent in a header."""
    typed.append(nothing)
    with pytest.raises(ConfigurationError):
        run("login")
    assert here.login is None


@pytest.mark.parametrize("error", [EOFError, RuntimeError])
def test_login_without_input_names_the_environment_variable(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    """Such as in nbclient and papermill."""

    def refuse(_: str) -> str:
        raise error("no stdin")

    monkeypatch.setattr(getpass, "getpass", refuse)
    with pytest.raises(ConfigurationError, match="set MOUNTSEA_API_KEY before"):
        run("login")


def test_an_interrupt_of_login_is_a_short_error(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Like in a cell."""

    def stop(_: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(getpass, "getpass", stop)
    with pytest.raises(Interrupted, match=r"^Stopped\. `%mountsea` shows the tasks"):
        run("login")


def test_credits_name_the_demo_hub(
    hub: StandInHub, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole numbers without decimals."""
    hub.credits = 12_345
    monkeypatch.setenv("MOUNTSEA_CREDITS_URL", hub.credits_url)
    assert run("credits") == "12,345 credits left.\n"
    run("demo")
    assert run("credits") == "1,000 credits left at the demo Hub.\n"


@pytest.mark.parametrize("command", ["history", "resume", "show", "models"])
def test_a_key_on_a_commands_line_is_refused(
    hub: StandInHub, shell: InteractiveShell, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    """It would be printed or sent in a URL."""
    with pytest.raises(InvalidRequest) as caught:
        shell.run_line_magic("mountsea", f"{command} {KEY}")
    assert KEY not in str(caught.value) + capsys.readouterr().out and hub.requests == []
