"""The `%mountsea` commands without a kernel: what they say, and what they refuse."""

from __future__ import annotations

import getpass
from collections.abc import Callable
from pathlib import Path

import pytest
from hub_server import KEY, StandInHub
from IPython.core.interactiveshell import InteractiveShell

from mountsea_magic import __version__
from mountsea_magic.errors import ConfigurationError, Interrupted, InvalidRequest
from mountsea_magic.notebook.options import command_parsers
from mountsea_magic.session import Session

Run = Callable[[str], str]


@pytest.fixture
def run(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a `%mountsea` line, and return what it printed."""

    def run_line(line: str) -> str:
        capsys.readouterr()
        shell.run_line_magic("mountsea", line)
        return capsys.readouterr().out

    return run_line


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is typed when a key is asked for."""
    answers: list[str] = []
    monkeypatch.setattr(getpass, "getpass", lambda _: answers.pop(0))
    return answers


def test_alone_it_says_where_things_stand(hub: StandInHub, run: Run, home: Path) -> None:
    """Version, Hub, where the key is from, model and folder, each on its line; never the key."""
    said = run("")
    for line in (
        f"mountsea-magic {__version__}",
        f"Hub: {hub.url}",
        "key: MOUNTSEA_API_KEY",
        "model: nano-banana",
        f"files: {home / 'originals'}",
    ):
        assert line in said.splitlines()
    assert KEY not in said and hub.requests == []


def test_on_the_demo_it_says_that_the_key_is_not_used(hub: StandInHub, run: Run) -> None:
    """Nobody shall think that the demo costs something, or that the real Hub is on."""
    run("demo")
    said = run("")
    assert "Hub: demo: (the embedded demo Hub)" in said
    assert "key: MOUNTSEA_API_KEY, not used by the demo Hub" in said
    assert f"The Hub is {hub.url}; key: MOUNTSEA_API_KEY." in run("demo off")


@pytest.mark.parametrize("line", ["help", "-h", "--help"])
def test_help_lists_every_command(run: Run, line: str) -> None:
    """A line each."""
    said = run(line)
    assert all(f"\n  {name} " in said for name in command_parsers())


@pytest.mark.parametrize("name", command_parsers())
def test_each_command_has_a_help(run: Run, name: str) -> None:
    """It is shown in place of carrying the command out."""
    said = run(f"{name} --help")
    assert said.startswith(f"usage: %mountsea {name}") and run("") != said


@pytest.mark.parametrize(
    ("line", "says"),
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
def test_a_wrong_line_is_refused_and_changes_nothing(
    here: Session, hub: StandInHub, run: Run, line: str, says: str
) -> None:
    """In words, before anything is asked or switched."""
    with pytest.raises(InvalidRequest) as caught:
        run(line)
    assert says in str(caught.value)
    assert here.demo is None and here.login is None and hub.requests == []


def test_a_fault_may_be_switched_on_with_the_demo(here: Session, run: Run) -> None:
    """In one line, or once the demo is on; `none` mends it."""
    assert "The demo Hub draws the images locally" in run("demo --if-no-key --fail offline")
    assert here.clients.demo_fault == "offline"
    assert run("demo --fail none").startswith("The demo's network: ")
    assert here.clients.demo_fault == "none"


def test_a_login_stays_in_memory(hub: StandInHub, run: Run, typed: list[str], home: Path) -> None:
    """It goes before the environment, says so, is not said itself, and is in no file."""
    typed.append("sk-typed-in-0123456789")
    said = run("login") + run("")
    assert "API key stored in this kernel's memory" in said and "key: login" in said
    assert "sk-typed-in" not in said
    assert not [path for path in home.rglob("*") if b"sk-typed" in path.read_bytes()]
    assert run("logout") == "API key removed. key: MOUNTSEA_API_KEY\n"


def test_a_login_that_is_saved_is_found_by_the_next_kernel(
    run: Run, typed: list[str], home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In a file of mode 0600 where there is no keyring, until the logout."""
    monkeypatch.setenv("MOUNTSEA_BASE_URL", "https://hub.example")
    typed.append(KEY)
    said = run("login --save")
    stored = home / "keys.json"
    assert f"API key stored in {stored}, for https://hub.example" in said and KEY not in said
    assert stored.stat().st_mode & 0o777 == 0o600
    found = Session().settings()
    assert found.key is not None and found.key.reveal() == KEY
    assert run("logout") == "API key removed. key: none\n" and not stored.exists()


def test_a_login_while_the_demo_is_on_says_so(run: Run, typed: list[str]) -> None:
    """The key would seem to do nothing."""
    run("demo")
    typed.append(KEY)
    assert "The demo Hub is still on; `%mountsea demo off`" in run("login")


@pytest.mark.parametrize("nothing", ["", "  ", "two words", "ключ"])
def test_what_is_no_key_is_not_kept(
    here: Session, run: Run, typed: list[str], nothing: str
) -> None:
    """It could stand in no header."""
    typed.append(nothing)
    with pytest.raises(ConfigurationError):
        run("login")
    assert here.login is None


@pytest.mark.parametrize("error", [EOFError, RuntimeError])
def test_a_front_end_that_cant_ask_says_what_to_do(
    run: Run, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    """Nbclient and papermill have nobody to ask."""

    def refuse(_: str) -> str:
        raise error("no stdin")

    monkeypatch.setattr(getpass, "getpass", refuse)
    with pytest.raises(ConfigurationError, match="set MOUNTSEA_API_KEY before"):
        run("login")


def test_a_stop_while_asking_is_short(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the same kind of error as in a cell."""

    def stop(_: str) -> str:
        raise KeyboardInterrupt

    monkeypatch.setattr(getpass, "getpass", stop)
    with pytest.raises(Interrupted, match=r"^Stopped\. `%mountsea` shows the tasks"):
        run("login")


def test_credits_are_told_with_their_hub(
    hub: StandInHub, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whole numbers as such; of the demo Hub it is said that they are."""
    hub.credits = 12_345
    monkeypatch.setenv("MOUNTSEA_CREDITS_URL", hub.credits_url)
    assert run("credits") == "12,345 credits left.\n"
    run("demo")
    assert run("credits") == "1,000 credits left at the demo Hub.\n"


@pytest.mark.parametrize("command", ["history", "resume", "show", "models"])
def test_a_command_does_not_take_the_key(
    hub: StandInHub, shell: InteractiveShell, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    """It would be printed, or sent in a URL."""
    with pytest.raises(InvalidRequest) as caught:
        shell.run_line_magic("mountsea", f"{command} {KEY}")
    assert KEY not in str(caught.value) + capsys.readouterr().out and hub.requests == []
