"""The data folder: the same in every working directory, or a clear error."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import platformdirs
import pytest
from hang import HANG_S
from hub_server import StandInHub, image
from IPython.core.interactiveshell import InteractiveShell

from mountsea_magic import generate
from mountsea_magic.errors import ConfigurationError
from mountsea_magic.settings import read_settings
from mountsea_magic.settings.home import make_home_absolute


def run_python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run code in a subprocess."""
    command = [sys.executable, "-W", "always", "-c", code]
    return subprocess.run(
        command, env=os.environ | environment, capture_output=True, text=True, timeout=HANG_S
    )


@pytest.mark.parametrize("named", ["data", "./data", "../data", "data/../data/", " data "])
def test_a_relative_home_does_not_follow_the_working_directory(
    hub: StandInHub,
    shell: InteractiveShell,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    named: str,
) -> None:
    """After `%cd` the journal is the same, and a request with a seed is not charged twice."""
    for folder in ("one", "two/three"):
        (tmp_path / folder).mkdir(parents=True)
    monkeypatch.setenv("MOUNTSEA_HOME", named)
    monkeypatch.chdir(tmp_path / "one")
    first = generate("a dog", seed=7)
    shell.run_line_magic("cd", f"-q {tmp_path / 'two/three'}")
    again = generate("a dog", seed=7)
    assert (again.from_journal, again[0].path) == (True, first[0].path)
    assert len(hub.posts) == 1
    assert list((tmp_path / "two").rglob("*")) == [tmp_path / "two/three"]


def test_a_relative_home_is_made_absolute_when_the_extension_is_loaded(
    shell: InteractiveShell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A `%cd` between `%load_ext` and the first cell does not change it either."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOUNTSEA_HOME", "data")
    shell.run_line_magic("reload_ext", "mountsea_magic")
    monkeypatch.chdir("/")
    assert read_settings().home == tmp_path / "data"


def test_child_processes_have_the_same_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker with another working directory shares the journal."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MOUNTSEA_HOME", "data")
    home = read_settings().home
    monkeypatch.chdir("/")
    code = "from mountsea_magic.settings import read_settings; print(read_settings().home)"
    assert Path(run_python(code).stdout.strip()) == home == tmp_path / "data"


def test_a_relative_home_in_a_deleted_working_directory_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message names MOUNTSEA_HOME."""
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    monkeypatch.setenv("MOUNTSEA_HOME", "data")
    make_home_absolute()
    with pytest.raises(ConfigurationError, match=r"MOUNTSEA_HOME is data: .*No such file"):
        read_settings()


@pytest.mark.parametrize("named", ["", "~/data"])
def test_a_user_without_a_home_directory_has_to_set_mountsea_home(named: str) -> None:
    """With neither HOME nor a passwd entry, the error names MOUNTSEA_HOME."""
    code = (
        "import os, sys; from mountsea_magic import errors, settings; import platformdirs\n"
        "os.environ.pop('HOME', None); os.getuid = lambda: 54321; import pwd\n"
        "def nobody(uid): raise KeyError(uid)\n"
        "pwd.getpwuid = nobody\n"
        "try: settings.read_settings()\n"
        "except errors.ConfigurationError as error: print(error)"
    )
    done = run_python(code, MOUNTSEA_HOME=named)
    assert "MOUNTSEA_HOME" in done.stdout and "Traceback" not in done.stderr


def test_a_relative_folder_of_an_older_platformdirs_is_an_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It returns a relative folder `~` if there is no home directory."""
    monkeypatch.delenv("MOUNTSEA_HOME")
    monkeypatch.setattr(platformdirs, "user_data_path", lambda *_, **__: Path("~/.local/share/x"))
    with pytest.raises(ConfigurationError, match="Set MOUNTSEA_HOME"):
        read_settings()


@pytest.mark.parametrize("module", ["sqlite3", "_sqlite3"])
def test_generating_works_without_sqlite(hub: StandInHub, home: Path, module: str) -> None:
    """As with any journal that can't be used, there is a warning."""
    code = (
        f"import sys; sys.modules[{module!r}] = None\n"
        "import mountsea_magic\n"
        "dog = mountsea_magic.generate('a dog', seed=7)\n"
        "print(dog.status, dog[0].path.is_file())\n"
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "from traitlets.config import Config\n"
        "shell = InteractiveShell(config=Config({'HistoryManager': {'enabled': False}}))\n"
        "mountsea_magic.load_ipython_extension(shell)\n"
        "for line in ('', 'history', 'resume', 'show ' + dog.task_id):\n"
        "    shell.run_line_magic('mountsea', line)\n"
    )
    done = run_python(code)
    assert done.stdout.startswith("completed True\n") and done.returncode == 0, done.stderr
    assert "can't be used (this Python has no sqlite3 module)" in done.stderr
    assert "note the task ids that are shown" in done.stderr
    assert "Traceback" not in done.stderr
    assert len(hub.posts) == 1


@pytest.mark.parametrize("kind", ["too long", "a file above it", "a loop of links"])
def test_generating_works_if_the_home_cannot_be_created(
    hub: StandInHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """There is a warning about the journal."""
    homes = {"too long": tmp_path / ("x" * 300), "a file above it": tmp_path / "file" / "home"}
    (tmp_path / "file").write_text("mine")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    monkeypatch.setenv("MOUNTSEA_HOME", str(homes.get(kind, tmp_path / "loop" / "home")))
    with pytest.warns(RuntimeWarning, match="can't be used"):
        assert generate("a dog")[0].bytes == image()
    assert len(hub.posts) == 1


@pytest.mark.parametrize("named", ['"{}"', "'{}'", "$PLACE", "${{PLACE}}"])
def test_quotes_and_variables_in_the_home_are_expanded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    """`%env` and env files leave them in the value."""
    monkeypatch.setenv("PLACE", str(tmp_path / "data"))
    monkeypatch.setenv("MOUNTSEA_HOME", named.format(tmp_path / "data"))
    assert read_settings().home == tmp_path / "data"
