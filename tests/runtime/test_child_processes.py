"""A kernel's choice of the demo Hub applies to its child processes, whatever key they inherit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hub_server import StandInHub
from IPython.core.interactiveshell import InteractiveShell
from kernel_driver import Kernel

from mountsea_magic.runtime.child_processes import ChildProcesses, inherited_demo
from mountsea_magic.session import Session
from mountsea_magic.settings import DEMO_URL, read_settings

DRAWER = """
import mountsea_magic as mm
from mountsea_magic.session import current_session

def draw(prompt):
    current_session().clients.demo_seconds = 0.05
    size = {"width": 64, "height": 64}
    return mm.generate(prompt, model="gpt-image-2", image_size=size).is_demo

if __name__ == "__main__":
    print(draw("a dog"))
"""

POOLS = """
import os, subprocess, sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from joblib.externals.loky import ProcessPoolExecutor as LokyPool
from drawer import draw

def pools():
    made = {name: ProcessPoolExecutor(1, get_context(name)) for name in ("spawn", "forkserver")}
    made["loky"] = LokyPool(1)
    for pool in made.values():
        pool.submit(os.getpid).result()  # starts its worker
    return made

def drawn(pools):
    waiting = {name: pool.submit(draw, "a dog") for name, pool in pools.items()}
    return {name: future.result() for name, future in waiting.items()}

def ended(pools):
    for pool in pools.values():
        pool.shutdown()

old = pools()
"""

SCRIPT = "subprocess.run([sys.executable, '-m', 'drawer'], capture_output=True, text=True).stdout"


@pytest.fixture
def drawer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Write a user's module that workers import."""
    (tmp_path / "drawer.py").write_text(DRAWER)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return tmp_path


@pytest.mark.kernel
@pytest.mark.own_kernel
@pytest.mark.parametrize(
    "choose",
    ["%mountsea demo", "%config MountseaMagics.base_url = 'demo:'"],
    ids=["demo", "config"],
)
def test_workers_use_the_demo_hub_of_their_kernel(
    drawer: Path, hub: StandInHub, kernel: Kernel, choose: str
) -> None:
    """In pools started before and after the choice, and in scripts, no request reaches the Hub."""
    assert kernel.run(POOLS).status == "ok"
    run = kernel.run(
        f"{choose}\nnew = pools()\nprint(drawn(old), drawn(new), {SCRIPT})\nended(old | new)"
    )
    assert run.status == "ok", run.traceback
    assert run.text.count("True") == 7 and "False" not in run.text
    assert hub.requests == []


@pytest.mark.kernel
@pytest.mark.own_kernel
def test_workers_use_the_real_hub_after_demo_off(
    drawer: Path, hub: StandInHub, kernel: Kernel
) -> None:
    """Running pools and a script submit there, each once."""
    assert kernel.run(POOLS).status == "ok"
    run = kernel.run(f"%mountsea demo\n%mountsea demo off\nprint(drawn(old), {SCRIPT})\nended(old)")
    assert run.status == "ok", run.traceback
    assert run.text.count("False") == 4
    assert len(hub.posts) == 4


def test_a_forked_process_keeps_the_choice(hub: StandInHub, home: Path) -> None:
    """The parent's choice is in the memory of the child."""
    code = (
        "import os; from mountsea_magic.session import current_session\n"
        "current_session().use_demo('on')\n"
        "child = os.fork()\n"
        "if child: os.waitpid(child, 0)\n"
        "print(child == 0, current_session().settings().is_demo, flush=True)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "True True\nFalse True\n"


def _choose_by_config(shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch) -> None:
    shell.run_line_magic("config", f"MountseaMagics.base_url = '{DEMO_URL}'")


def _choose_by_environment(shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOUNTSEA_BASE_URL", DEMO_URL)


@pytest.mark.parametrize("choose", [_choose_by_config, _choose_by_environment])
def test_a_base_url_that_is_set_after_demo_off_wins(
    hub: StandInHub,
    here: Session,
    shell: InteractiveShell,
    monkeypatch: pytest.MonkeyPatch,
    choose: Callable[[InteractiveShell, pytest.MonkeyPatch], None],
) -> None:
    """`demo off` overrides only earlier choices."""
    for _ in range(2):
        shell.run_line_magic("mountsea", "demo")
        shell.run_line_magic("mountsea", "demo off")
        assert here.settings().base_url == hub.url
        choose(shell, monkeypatch)
        assert here.settings().is_demo
        shell.run_line_magic("mountsea", "demo off")
        assert not here.settings().is_demo
        monkeypatch.setenv("MOUNTSEA_BASE_URL", hub.url)


def test_a_demo_base_url_wins_over_an_inherited_off(home: Path) -> None:
    """A script whose own environment has `demo:` uses the demo Hub."""
    environ = {"MOUNTSEA_DEMO": "off", "MOUNTSEA_BASE_URL": DEMO_URL, "MOUNTSEA_HOME": str(home)}
    assert read_settings(environ).is_demo


def test_the_environment_is_restored_when_the_choice_is_removed(
    here: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Variables get the values that the user had set."""
    monkeypatch.setenv("MOUNTSEA_BASE_URL", "https://hub.example")
    here.use_base_url(DEMO_URL)
    assert os.environ["MOUNTSEA_BASE_URL"] == DEMO_URL
    here.use_base_url(None)
    assert os.environ["MOUNTSEA_BASE_URL"] == "https://hub.example"
    assert "MOUNTSEA_DEMO" not in os.environ


def _inherited(home: Path) -> str:
    """Return what a child of this process reads."""
    code = (
        "import sys; from pathlib import Path\n"
        "from mountsea_magic.runtime.child_processes import inherited_demo\n"
        "print(inherited_demo(Path(sys.argv[1])))"
    )
    command = [sys.executable, "-c", code, str(home)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def test_a_file_of_an_earlier_process_is_ignored(home: Path) -> None:
    """Process ids are reused; containers have the same ones every day."""
    ChildProcesses().publish(home, demo="on", base_url=None)
    assert _inherited(home) == "on"
    (path,) = (home / "demo" / "processes").iterdir()
    content = json.loads(path.read_text())
    path.write_text(json.dumps(content | {"started_s": content["started_s"] - 3600}))
    assert _inherited(home) == "None"


@pytest.mark.parametrize(
    "content", ["", "[]", "{}", '{"demo": "on"}', '{"demo": 7, "started_s": 0}']
)
def test_a_damaged_file_is_ignored(home: Path, content: str) -> None:
    """It raises nothing in a worker."""
    ChildProcesses().publish(home, demo="on", base_url=None)
    (path,) = (home / "demo" / "processes").iterdir()
    path.write_text(content)
    assert _inherited(home) == "None"


def test_files_of_killed_processes_are_removed(home: Path) -> None:
    """Files of other machines and of running processes stay."""
    ChildProcesses().publish(home, demo="on", base_url=None)
    (own,) = (home / "demo" / "processes").iterdir()
    killed = own.with_name(own.name.replace(f"-{os.getpid()}.", "-99999999."))
    elsewhere = own.with_name("another-machine-99999999.json")
    for path in (killed, elsewhere):
        path.write_text(own.read_text())
    ChildProcesses().publish(home, demo="if-no-key", base_url=None)
    assert sorted(own.parent.iterdir()) == sorted([own, elsewhere])


def test_an_inherited_choice_is_overridden_by_on_and_by_the_command(home: Path) -> None:
    """A worker whose own environment says `on` never uses the real Hub."""
    for chosen in ("on", "off", ""):
        environment = {"MOUNTSEA_DEMO": chosen, "MOUNTSEA_HOME": str(home)}
        settings = read_settings(environment, inherited=lambda _: "on")
        assert settings.is_demo
        assert read_settings(environment, demo="off", inherited=lambda _: "on").is_demo is False
    assert inherited_demo(home) is None
