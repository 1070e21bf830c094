"""`%mountsea budget`: what is left, the limits of a kernel, and wrong arguments."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from cells import run_cell
from hub_server import StandInHub
from IPython.core.interactiveshell import InteractiveShell
from own_session import begin_session

import mountsea_magic
from mountsea_magic import generate
from mountsea_magic.errors import BudgetExceeded, ConfigurationError, InvalidRequest
from mountsea_magic.journal.entry import Entry
from mountsea_magic.request.request import build_request
from mountsea_magic.session import Session

Command = Callable[[str], str]


@pytest.fixture
def command(
    hub: StandInHub, shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Run `%mountsea` with a line, and return what it prints."""

    def run(line: str) -> str:
        capsys.readouterr()
        shell.run_line_magic("mountsea", line)
        return capsys.readouterr().out.rstrip("\n")

    return run


def test_without_a_limit_it_says_how_many_were_ordered(
    command: Command, shell: InteractiveShell
) -> None:
    """And how to set one."""
    run_cell(shell, "a dog", "-q -n 3")
    assert command("budget") == (
        "No budget is set; 3 images ordered in the last 24 hours. `%mountsea budget 20` allows at "
        "most 20."
    )
    assert "\nbudget: none\n" in command("")


def test_a_limit_is_set_shown_and_lifted(command: Command, shell: InteractiveShell) -> None:
    """What is left counts down; the status has it, too."""
    left = "0 ordered in the last 24 hours. Set by: %mountsea budget 20."
    assert command("budget 20") == f"20 of 20 images left: {left}"
    run_cell(shell, "a dog", "-q -n 3")
    assert command("budget").startswith("17 of 20 images left: 3 ordered in the last 24 hours.")
    assert "\nbudget: 17 of 20 images left (24 hours)\n" in command("")
    assert command("budget 2").startswith("0 of 2 images left: 3 ordered")
    assert command("budget off").startswith("No budget is set; 3 images ordered")


def test_the_lowest_limit_counts(
    command: Command, shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`budget off` lifts only the command's own."""
    monkeypatch.setenv("MOUNTSEA_BUDGET", "5")
    shell.run_line_magic("config", "MountseaMagics.budget = 7")
    limits = "%config MountseaMagics.budget 7, MOUNTSEA_BUDGET 5; the lowest counts."
    found = command("budget 1000")
    assert found.startswith("5 of 5 images left") and "%mountsea budget 1,000, " in found
    assert found.endswith(limits)
    assert command("budget off").endswith(f"Set by: {limits}")


def test_the_trait_refuses_wrong_limits(command: Command, shell: InteractiveShell) -> None:
    """Limits are whole numbers from 0."""
    for wrong in ("-1", "1.5", "'many'"):
        shell.run_line_magic("config", f"MountseaMagics.budget = {wrong}")
    assert command("budget").startswith("No budget is set")
    shell.run_line_magic("config", "MountseaMagics.budget = 0")
    assert command("budget").startswith("0 of 0 images left")


@pytest.mark.parametrize("wrong", ["-3", "1.5", "many", "", "٣", "1e3", "9" * 30, "OFF"])
def test_a_wrong_limit_is_refused(command: Command, here: Session, wrong: str) -> None:
    """The limit stays as it was."""
    command("budget 7")
    with pytest.raises(InvalidRequest, match="budget"):
        command(f"budget '{wrong}'")
    with pytest.raises(InvalidRequest, match="Unexpected argument"):
        command("budget 7 8")
    assert here.budget.command == 7


def test_the_limit_lasts_as_long_as_the_kernel(
    command: Command, shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was ordered is counted from the journal: a restart changes nothing there."""
    command("budget 20")
    run_cell(shell, "a dog", "-q -n 3")
    assert begin_session(monkeypatch).budget.command is None
    assert command("budget 20").startswith("17 of 20 images left")


def test_only_this_hub_and_the_last_day_count(command: Command, here: Session) -> None:
    """Open, uncertain and pending submissions count like completed ones."""
    settings = here.settings()
    journal = here.journal(settings)
    request = build_request("a dog", parameters={"num_images": 2})
    now = time.time()
    for status, age_h, hub, counts in [
        ("submitted", 1, settings.base_url, True),
        ("uncertain", 23.9, settings.base_url, True),
        ("submitting", 0, settings.base_url, True),
        ("failed", 1, settings.base_url, False),
        ("refused", 1, settings.base_url, False),
        ("unsent", 1, settings.base_url, False),
        ("submitted", 24.1, settings.base_url, False),
        ("submitted", 1, "https://other.example", False),
        ("submitted", 1, "demo:", False),
    ]:
        before = here.budget.ordered(settings)
        entry = Entry.begin(hub, request)
        task_id = entry.id if status in ("submitted", "failed") else None
        journal.write(replace(entry, status=status, task_id=task_id, created=now - age_h * 3600))
        assert here.budget.ordered(settings) - before == 2 * counts, (status, age_h, hub)


def test_the_demo_hub_counts_nothing(
    command: Command, here: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the limits are."""
    command("budget 0")
    command("demo")
    assert command("budget") == ("The demo Hub charges nothing: a budget holds at other Hubs only.")
    assert here.budget.limit(here.settings()) is None
    command("demo off")
    assert here.budget.limit(here.settings()) == 0


def test_a_wrong_variable_is_a_configuration_error(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit that can't be read is not ignored."""
    monkeypatch.setenv("MOUNTSEA_BUDGET", "twenty")
    with pytest.raises(ConfigurationError, match="MOUNTSEA_BUDGET must be a whole number"):
        command("budget")


def test_a_limit_of_the_profile_holds_when_the_extension_is_loaded(
    hub: StandInHub, shell: InteractiveShell, here: Session
) -> None:
    """As in `ipython_config.py`; for `mountsea_magic.generate`, too."""
    shell.config.MountseaMagics.budget = 1
    mountsea_magic.unload_ipython_extension(shell)
    mountsea_magic.load_ipython_extension(shell)
    assert here.budget.limit(here.settings()) == 1
    with pytest.raises(BudgetExceeded):
        generate("a dog", num_images=2)
    assert hub.posts == []
