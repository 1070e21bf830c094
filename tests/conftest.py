"""What every test stands on: an environment of its own, real Hubs in threads, real kernels."""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from checkout import ROOT
from hub_server import StandInHub
from lab_server import close_notebooks, end_kernels, has_chromium, lab, page_in_chromium
from own_session import begin_session, end_sessions, reach

import mountsea_magic
from mountsea_magic.generation import download, poll
from mountsea_magic.generation.schedule import LearnedSchedule
from mountsea_magic.request.schema import validator
from mountsea_magic.session import Session

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell
    from kernel_driver import Kernel
    from playwright.sync_api import Page

# A shell starts what it runs in the background with SIGINT ignored, and that is inherited: no
# process of the tests could be stopped.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# without bytecode every kernel of the suite would compile the package anew
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# nbformat would import jsonschema with its slow checker, in each worker
validator({})

_LONGEST = ("browser", "kernel")

_LONG_FILES = ("test_faults.py",)

_SELECTED_ONLY = ("binder", "drawing", "release")

_NAMES = (
    *("MOUNTSEA_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("SSL_CERT_", "SSLKEYLOGFILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
)


@pytest.fixture(scope="session", autouse=True)
def ipython_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Keep kernels away from the user's profile, and from a history that they all would write."""
    profile = tmp_path_factory.mktemp("ipython") / "profile_default"
    profile.mkdir()
    setting = "c = get_config()\nc.HistoryManager.hist_file = ':memory:'\n"
    (profile / "ipython_config.py").write_text(setting)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(profile.parent))
        yield


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Keep each test away from the user's settings, files, keyring and proxies."""
    for name in list(os.environ):
        if name.upper().startswith(_NAMES):
            monkeypatch.delenv(name)
    folder = tmp_path / "home"
    monkeypatch.setenv("MOUNTSEA_HOME", str(folder))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    yield folder


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """Begin a session, as in a new kernel, in which nothing waits long; close its clients."""
    fresh = begin_session(monkeypatch)
    monkeypatch.setitem(sys.modules, "keyring", None)
    monkeypatch.setattr(download, "PAUSES_S", (0.0,) * len(download.PAUSES_S))
    often = partial(LearnedSchedule, min_interval_s=0.02, max_interval_s=0.05)
    monkeypatch.setattr(poll, "LearnedSchedule", often)
    yield fresh
    end_sessions()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandInHub]:
    """Start a stand-in Hub whose address and key stand in the environment."""
    with StandInHub() as stand_in:
        reach(stand_in, monkeypatch)
        yield stand_in


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch) -> None:
    """Choose the demo Hub by the environment."""
    monkeypatch.setenv("MOUNTSEA_BASE_URL", "demo:")


@pytest.fixture
def shell(here: Session) -> Iterator[InteractiveShell]:
    """Make an IPython shell without a kernel, as in a terminal, with the extension loaded."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    config = Config({"HistoryManager": {"enabled": False}})
    made = InteractiveShell(config=config)  # type: ignore[no-untyped-call]  # IPython's is so
    mountsea_magic.load_ipython_extension(made)
    yield made
    mountsea_magic.unload_ipython_extension(made)
    # at exit IPython would tidy up each shell of the run, which takes ten seconds
    atexit.unregister(made.atexit_operations)


@pytest.fixture(scope="module")
def module_kernel() -> Iterator[Kernel]:
    """Keep one kernel for the tests of a module."""
    from kernel_driver import started_kernel

    with started_kernel() as started:
        yield started


@pytest.fixture
def own_kernel() -> Iterator[Kernel]:
    """Start a kernel that no other test meets: one may kill it, interrupt it, or nest its loop."""
    from kernel_driver import started_kernel

    with started_kernel() as started:
        yield started


@pytest.fixture
def kernel(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Kernel]:
    """Have a kernel with the extension loaded, once the environment leads to the test's Hub.

    It is the module's, made as good as new; where the test is marked `own_kernel`, its own.
    """
    for name in {"hub", "demo"} & set(request.fixturenames):
        request.getfixturevalue(name)
    if request.node.get_closest_marker("own_kernel"):
        found: Kernel = request.getfixturevalue("own_kernel")
    else:
        found = request.getfixturevalue("module_kernel")
        found.renew(tmp_path_factory.mktemp("renewed"))
    assert found.run("%load_ext mountsea_magic").status == "ok"
    yield found


@pytest.fixture(scope="module")
def chromium() -> None:
    """Skip where there is no browser, but never where all is to be tested."""
    if has_chromium():
        return
    if os.environ.get("CI"):
        pytest.fail("Chromium is missing: apt-get install chromium")
    pytest.skip("needs Chromium: apt-get install chromium")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that is served, with a copy of the lessons."""
    return Path(shutil.copytree(ROOT / "notebooks", tmp_path_factory.mktemp("lab") / "root"))


@pytest.fixture(scope="module")
def url(chromium: None, folder: Path) -> Iterator[str]:
    """Serve the folder: a server takes seconds to start, and its kernels keep tests apart."""
    with lab(folder, folder.parent) as address:
        yield address


@pytest.fixture(scope="module")
def tab(chromium: None) -> Iterator[Page]:
    """Keep one browser, whose cache holds JupyterLab's scripts."""
    with page_in_chromium() as page:
        yield page


@pytest.fixture
def page(tab: Page, url: str) -> Iterator[Page]:
    """Leave neither page nor kernel to the next test."""
    yield tab
    tab.set_viewport_size({"width": 1280, "height": 800})
    close_notebooks(tab)
    end_kernels(url)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let `tests/end_to_end/test_fuzz.py` go on for longer, or repeat one case."""
    parser.addoption("--fuzz-seconds", type=float, default=0.0, help="fuzz for longer, in seconds")
    parser.addoption("--fuzz-seed", type=int, help="the one case to try, as a failure names it")


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Run on all processors where pytest-xdist is installed and the command line says nothing."""
    # in `addopts` these options would end every run where the plugin is missing
    is_worker = hasattr(config, "workerinput")
    if is_worker or not config.pluginmanager.hasplugin("xdist"):
        return
    option = config.option
    option.loadscopereorder = False
    if not option.tx:
        option.numprocesses = "auto" if option.numprocesses is None else option.numprocesses
        option.dist = "loadfile" if option.dist == "no" else option.dist


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Two a processor: many a test waits for a kernel, a Hub or a browser."""
    return 2 * (os.cpu_count() or 1)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what only `-m` selects, and begin with the files that take long.

    Otherwise one worker would be left alone with such a file at the end.
    """
    # not by a `-m` in `addopts`, in whose place the command line's would come
    skipped = {name for name in _SELECTED_ONLY if name not in config.option.markexpr}
    left_out = [item for item in items if any(map(item.get_closest_marker, skipped))]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        left_out_ids = set(map(id, left_out))
        items[:] = [item for item in items if id(item) not in left_out_ids]
    long: dict[Path, int] = {}
    for item in items:
        known = (n for n, mark in enumerate(_LONGEST) if item.get_closest_marker(mark))
        weight = next(known, 2 if item.path.name in _LONG_FILES else 9)
        long[item.path] = min(weight, long.get(item.path, 9))
    items.sort(key=lambda item: long[item.path])


def pytest_collection_finish() -> None:
    """Let no garbage collection go through thousands of tests that stay until the end."""
    gc.collect()
    gc.freeze()
