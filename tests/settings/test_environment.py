"""Cells, commands and the demo with invalid environment variables, which are then corrected."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest
from cells import run_cell
from hub_server import StandInHub, all_text_of
from IPython.core.interactiveshell import InteractiveShell
from own_session import SMALL
from proxies import HttpProxy, SocksProxy

import mountsea_magic
from mountsea_magic.errors import ConfigurationError, DownloadFailed, HubUnavailable, MountseaError
from mountsea_magic.hub import retry
from mountsea_magic.session import Session

BROKEN = {
    "unsupported proxy": ("ALL_PROXY", "socks4://127.0.0.1:9"),
    "port out of range": ("HTTP_PROXY", "http://127.0.0.1:123456"),
    "nonsense": ("http_proxy", "not a proxy"),
    "missing certificates": ("SSL_CERT_FILE", "/none/ca.pem"),
    "folder of none": ("SSL_CERT_DIR", "/none"),
    "missing bundle": ("REQUESTS_CA_BUNDLE", "/none/ca.pem"),
}


@pytest.fixture
def proxy() -> Iterator[HttpProxy]:
    """Start a proxy server."""
    with HttpProxy() as started:
        yield started


@pytest.fixture(autouse=True)
def no_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do not wait for retries that fail again."""
    monkeypatch.setattr(retry, "MAX_CONNECT_ATTEMPTS", 1)


def states(home: Path) -> list[str]:
    """Return the journaled status of all submissions."""
    path = home / "journal.sqlite"
    if not path.exists():
        return []
    with sqlite3.connect(path) as database:
        rows = database.execute("SELECT state FROM orders ORDER BY created").fetchall()
    database.close()
    return [row[0] for row in rows]


@pytest.mark.parametrize("what", BROKEN)
def test_an_invalid_variable_is_reported_before_anything_is_submitted(
    hub: StandInHub,
    shell: InteractiveShell,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
) -> None:
    """Nothing is journaled; once the variable is corrected in the notebook, the cell works."""
    name, value = BROKEN[what]
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=f"^{name}") as caught:
        run_cell(shell)
    assert "Traceback" not in "\n".join(caught.value._render_traceback_())
    assert (hub.requests, states(home)) == ([], [])
    monkeypatch.delenv(name)
    run_cell(shell)
    assert (len(hub.posts), states(home)) == (1, ["completed"])


@pytest.mark.parametrize("what", BROKEN)
@pytest.mark.parametrize("line", ["credits", "models --refresh"])
def test_an_invalid_variable_is_reported_by_commands(
    hub: StandInHub,
    shell: InteractiveShell,
    monkeypatch: pytest.MonkeyPatch,
    what: str,
    line: str,
) -> None:
    """As in a cell."""
    name, value = BROKEN[what]
    monkeypatch.setenv("MOUNTSEA_CREDITS_URL", hub.credits_url)
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=f"^{name}"):
        shell.run_line_magic("mountsea", line)
    assert hub.requests == []


@pytest.mark.parametrize("what", BROKEN)
def test_the_demo_works_with_any_invalid_variable(
    shell: InteractiveShell, home: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    """It runs in-process and uses no proxy, certificate or keyring."""
    monkeypatch.setenv(*BROKEN[what])
    monkeypatch.setenv("SSLKEYLOGFILE", "/none/keys.log")
    monkeypatch.setenv("MOUNTSEA_BASE_URL", "nonsense")
    for line in ("demo", "credits", "models --refresh", ""):
        shell.run_line_magic("mountsea", line)
    assert len(mountsea_magic.generate("a dog", **SMALL)) == 1


def test_proxy_variables_can_be_changed_between_cells(
    hub: StandInHub,
    shell: InteractiveShell,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    proxy: HttpProxy,
) -> None:
    """Unreachable, working, and excluded by NO_PROXY; one POST for each cell that works."""
    monkeypatch.setenv("HTTP_PROXY", "http://ann:s3cret@127.0.0.1:9")
    with pytest.raises(
        HubUnavailable, match=r"The proxy http://127\.0\.0\.1:9 \(HTTP_PROXY\)"
    ) as no:
        run_cell(shell)
    assert "s3cret" not in all_text_of(no.value)
    assert (hub.requests, states(home)) == ([], ["unsent"])
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
    run_cell(shell)
    seen = len(proxy.seen)
    assert seen >= 3 and len(hub.posts) == 1
    monkeypatch.setenv("NO_PROXY", "10.0.0.0/8, 127.0.0.0/8")
    run_cell(shell)
    assert (len(proxy.seen), len(hub.posts)) == (seen, 2)


def test_a_generation_uses_a_socks_proxy(
    hub: StandInHub, here: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For submission, polls and download; the variable is in GNOME's form."""
    with SocksProxy() as socks:
        monkeypatch.setenv("all_proxy", f"socks://127.0.0.1:{socks.port}/")
        assert len(mountsea_magic.generate("a dog")) == 1
    assert set(socks.seen) == {
        hub.url.removeprefix("http://"),
        hub.image_origin.removeprefix("http://"),
    }
    assert len(hub.posts) == 1


def test_a_page_of_a_proxy_is_not_retried(
    hub: StandInHub,
    here: Session,
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    proxy: HttpProxy,
) -> None:
    """The request did not reach the Hub, and a retry would get the same page."""
    monkeypatch.setattr(retry, "MAX_CONNECT_ATTEMPTS", 3)
    proxy.refusal, proxy.page = "403 Forbidden", b"<html><title>Web filter</title></html>"
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
    with pytest.raises(HubUnavailable, match=r"Web filter.*Nothing was submitted"):
        mountsea_magic.generate("a dog")
    assert (len(proxy.seen), hub.requests, states(home)) == (1, [], ["unsent"])


def test_a_task_is_resumed_after_an_invalid_proxy_is_corrected(
    hub: StandInHub, here: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """NO_PROXY has the Hub, but not its image host; resuming downloads the image without a POST."""
    monkeypatch.setenv("ALL_PROXY", "socks4://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", hub.url.removeprefix("http://"))
    with pytest.raises(DownloadFailed, match="ALL_PROXY can't be used") as caught:
        mountsea_magic.generate("a dog", seed=7)
    assert caught.value.task_id == "hub-0001"
    monkeypatch.delenv("ALL_PROXY")
    generation, settings = here.recall("hub-0001")
    here.worker.run(here.generate(generation, settings))
    assert len(generation) == 1 and len(hub.posts) == 1


def test_a_proxys_password_is_never_shown(
    hub: StandInHub, here: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is wrong with the proxy's URL."""
    for value in (
        "http://ann:s3cret@127.0.0.1:0",
        "ann:s3cret@127.0.0.1:none",
        "socks4://ann:s3cret@127.0.0.1",
        "http://ann:s3cret@",
        "ann:s3cret",
    ):
        monkeypatch.setenv("HTTP_PROXY", value)
        with pytest.raises(MountseaError) as caught:
            mountsea_magic.generate("a dog")
        assert "s3cret" not in all_text_of(caught.value)
    assert hub.requests == []
