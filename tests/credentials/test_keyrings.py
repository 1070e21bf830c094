"""The real `keyring` package with failing backends: the key file is used instead."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import keyring.core
import pytest
from hub_server import KEY
from IPython.core.interactiveshell import InteractiveShell

from mountsea_magic.errors import ConfigurationError
from mountsea_magic.session import Session

HUB = "https://hub.example"
Run = Callable[[str], str]

BACKEND = """
import os
from keyring.backend import KeyringBackend

{at_import}

class Panic(BaseException):
    pass

class Keyring(KeyringBackend):
    priority = 9
    stored = {{}}

    def get_password(self, service, name):
        {get}

    def set_password(self, service, name, password):
        {set}

    def delete_password(self, service, name):
        {delete}
"""
GOOD = {
    "at_import": "",
    "get": "return self.stored.get(name)",
    "set": "self.stored[name] = password",
    "delete": "del self.stored[name]",
}
AT_IMPORT = {
    "raises an ImportError": "import nonsense_that_is_not_there",
    "raises an AttributeError": "os.nonsense",
    "raises a RuntimeError": "raise RuntimeError('no D-Bus')",
    "ends the process": "raise SystemExit(3)",
    "panics": "raise BaseException('a Rust library panics')",
    "is not valid Python": "this is no Python",
    "has no backend": "KeyringBackend = object",
}
IN_USE = {
    "fails": "raise OSError('no session bus')",
    "fails with its arguments": "raise ValueError(list(locals().values()))",
    "panics": "raise Panic('a Rust library panics')",
    "ends the process": "raise SystemExit(3)",
}


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Configure a backend as a user does, by the variable of `keyring`."""

    def write(**parts: str) -> None:
        (tmp_path / "odd_backend.py").write_text(BACKEND.format(**GOOD | parts))

    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "odd_backend.Keyring")
    monkeypatch.setattr(keyring.core, "_keyring_backend", None)
    monkeypatch.setenv("MOUNTSEA_BASE_URL", HUB)
    monkeypatch.delitem(sys.modules, "odd_backend", raising=False)
    return write


@pytest.fixture
def run(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Run]:
    """Run `%mountsea` lines with `keyring` installed; the prompt of login gets the key."""
    monkeypatch.setitem(sys.modules, "keyring", keyring)
    monkeypatch.setattr(getpass, "getpass", lambda _: KEY)

    def run_line(line: str) -> str:
        capsys.readouterr()
        shell.run_line_magic("mountsea", line)
        return capsys.readouterr().out

    yield run_line
    sys.modules.pop("odd_backend", None)


def found() -> tuple[str | None, str]:
    """Return the key that a new kernel finds, and where it comes from."""
    settings = Session().settings()
    return settings.key.reveal() if settings.key else None, settings.key_source


def test_a_working_keyring_stores_the_key(
    install: Callable[..., None], run: Run, home: Path
) -> None:
    """No key file is created, and logout deletes the key."""
    install()
    assert f"API key stored in the system keyring, for {HUB}." in run("login --save")
    assert found() == (KEY, "the system keyring")
    assert not (home / "keys.json").exists()
    assert "API key removed. key: none" in run("logout")
    assert found() == (None, "none")


@pytest.mark.parametrize("how", [*AT_IMPORT, "is not installed"])
def test_without_a_loadable_keyring_the_file_is_used(
    install: Callable[..., None], run: Run, home: Path, monkeypatch: pytest.MonkeyPatch, how: str
) -> None:
    """Status, login and logout work; login reports where the key is and why."""
    if how in AT_IMPORT:
        install(at_import=AT_IMPORT[how])
    else:
        monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "nonsense_that_is_not_there.Keyring")
    assert "key: none" in run("")
    output = run("login --save")
    path = home / "keys.json"
    assert f"API key stored in {path}, because the system keyring can't be used (" in output
    assert found() == (KEY, str(path))
    output = run("logout")
    assert "API key removed. The system keyring can't be used (" in output
    assert "key: none" in output
    assert found() == (None, "none") and not path.exists()


@pytest.mark.parametrize("how", IN_USE)
def test_if_a_keyring_fails_in_use_the_file_is_used(
    install: Callable[..., None], run: Run, home: Path, how: str
) -> None:
    """Logout deletes the key from the file, and fails since the keyring may have it."""
    install(get=IN_USE[how], set=IN_USE[how], delete=IN_USE[how])
    assert "key: none" in run("")
    output = run("login --save")
    path = home / "keys.json"
    assert f"API key stored in {path}, because the system keyring can't be used (" in output
    assert KEY not in output
    assert found() == (KEY, str(path))
    with pytest.raises(ConfigurationError, match="Could not delete the key from the system") as no:
        run("logout")
    assert KEY not in str(no.value)
    assert found() == (None, "none") and not path.exists()


@pytest.mark.parametrize(
    "value", ["7", "b'sk-bytes-0123456789'", "['sk']", "object()", "None", "''"]
)
def test_if_a_keyring_does_not_return_the_key_the_file_is_used(
    install: Callable[..., None], run: Run, home: Path, value: str
) -> None:
    """A saved key is read back to verify it."""
    install(get=f"return {value}")
    assert "key: none" in run("")
    assert "it did not store the key" in run("login --save")
    assert found() == (KEY, str(home / "keys.json"))


def test_the_demo_hub_does_not_use_the_keyring(
    run: Run, shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither its commands nor its cells import it."""

    class Trap(ModuleType):
        def __getattr__(self, name: str) -> object:
            raise AssertionError(f"keyring.{name} was used")

    run("demo")
    monkeypatch.setitem(sys.modules, "keyring", Trap("keyring"))
    monkeypatch.setitem(sys.modules, "keyring.core", Trap("keyring.core"))
    calls: list[str] = []
    monkeypatch.setattr(
        "mountsea_magic.credentials.key_store._keyring", lambda: calls.append("keyring")
    )
    for line in ("", "demo", "models", "models --refresh", "credits", "history", "resume", "login"):
        run(line)
    shell.run_cell_magic("mountsea", "--seed 7 -q", "a dog")  # type: ignore[no-untyped-call]  # IPython's is so
    run("history")
    assert calls == []
