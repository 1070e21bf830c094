"""Fixtures and hooks of all tests: clean environment, stand-in Hubs in threads, real kernels."""

from __future__ import annotations

import atexit
import gc
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from checkout import ROOT
from hub_server import StandInHub
from lab_server import close_notebooks, end_kernels, has_chromium, lab, page_in_chromium
from own_session import begin_session, end_sessions, reach

import mountsea_magic
from mountsea_magic.generation import admission, download
from mountsea_magic.generation.schedule import LearnedSchedule
from mountsea_magic.request.schema import validator
from mountsea_magic.session import Session

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell
    from kernel_driver import Kernel
    from playwright.sync_api import Page

# A shell starts background jobs with SIGINT ignored, and child processes inherit that: the tests
# could interrupt none of them.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# for collecting, which makes many objects and no garbage; `pytest_collection_finish` enables it
gc.disable()

# without bytecode, every kernel of the suite would compile the package again
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# import jsonschema first: nbformat would import it with its slow checker, in each worker
validator({})

_SLOW_MARKS = ("browser", "kernel")

_SLOW_FILES = ("test_faults.py", "test_batch_faults.py", "test_cluster.py", "test_batches.py")

_OPT_IN_MARKS = ("binder", "drawing", "lesson", "release")

_CLEARED_VARIABLES = (
    *("MOUNTSEA_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"),
    *("SSL_CERT_", "SSLKEYLOGFILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
)


@pytest.fixture(scope="session", autouse=True)
def ipython_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Isolate kernels from the user's IPython profile and from a shared history file."""
    profile = tmp_path_factory.mktemp("ipython") / "profile_default"
    profile.mkdir()
    setting = "c = get_config()\nc.HistoryManager.hist_file = ':memory:'\n"
    (profile / "ipython_config.py").write_text(setting)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("IPYTHONDIR", str(profile.parent))
        yield


@pytest.fixture(scope="session")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return an endless series of folders that do not exist yet."""
    parent = tmp_path_factory.mktemp("homes")
    return (parent / str(number) for number in count())


@pytest.fixture(autouse=True)
def home(homes: Iterator[Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Isolate each test from the user's settings, files, keyring and proxies."""
    for name in list(os.environ):
        if name.upper().startswith(_CLEARED_VARIABLES):
            monkeypatch.delenv(name)
    # not in `tmp_path`, whose creation takes a millisecond, and most tests need none
    folder = next(homes)
    monkeypatch.setenv("MOUNTSEA_HOME", str(folder))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "keyring.backends.null.Keyring")
    return folder


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """Start a session as in a new kernel, with short pauses; close its clients afterwards."""
    fresh = begin_session(monkeypatch)
    monkeypatch.setitem(sys.modules, "keyring", None)
    monkeypatch.setattr(download, "PAUSES_S", (0.0,) * len(download.PAUSES_S))
    often = partial(LearnedSchedule, min_interval_s=0.02, max_interval_s=0.05)
    monkeypatch.setattr(admission, "LearnedSchedule", often)
    yield fresh
    end_sessions()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[StandInHub]:
    """Start a stand-in Hub and set its URL and key in the environment."""
    with StandInHub() as stand_in:
        reach(stand_in, monkeypatch)
        yield stand_in


@pytest.fixture
def demo(monkeypatch: pytest.MonkeyPatch) -> None:
    """Select the demo Hub by environment variable."""
    monkeypatch.setenv("MOUNTSEA_BASE_URL", "demo:")


@pytest.fixture
def shell(here: Session) -> Iterator[InteractiveShell]:
    """Create an IPython shell without a kernel, as in a terminal, with the extension loaded."""
    from IPython.core.interactiveshell import InteractiveShell
    from traitlets.config import Config

    config = Config({"HistoryManager": {"enabled": False}})
    ipython = InteractiveShell(config=config)  # type: ignore[no-untyped-call]  # IPython has no types
    mountsea_magic.load_ipython_extension(ipython)
    yield ipython
    mountsea_magic.unload_ipython_extension(ipython)
    # at exit, IPython would clean up every shell of the run, which takes ten seconds
    atexit.unregister(ipython.atexit_operations)


@pytest.fixture(scope="module")
def module_kernel() -> Iterator[Kernel]:
    """Start one kernel for all tests of a module."""
    from kernel_driver import started_kernel

    with started_kernel() as started:
        yield started


@pytest.fixture
def own_kernel() -> Iterator[Kernel]:
    """Start a kernel for this test only, to be killed, interrupted or run with a nested loop."""
    from kernel_driver import started_kernel

    with started_kernel() as started:
        yield started


@pytest.fixture
def kernel(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Kernel:
    """Return a kernel with the extension loaded, after the test's Hub is set in the environment.

    It is the module's kernel after a reset, or a new one if the test is marked `own_kernel`.
    """
    for name in {"hub", "demo"} & set(request.fixturenames):
        request.getfixturevalue(name)
    if request.node.get_closest_marker("own_kernel"):
        kernel: Kernel = request.getfixturevalue("own_kernel")
    else:
        kernel = request.getfixturevalue("module_kernel")
        kernel.renew(tmp_path_factory.mktemp("renewed"))
    assert kernel.run("%load_ext mountsea_magic").status == "ok"
    return kernel


@pytest.fixture(scope="module")
def chromium() -> None:
    """Skip the test if there is no browser; fail if `CI` is set."""
    if has_chromium():
        return
    if os.environ.get("CI"):
        pytest.fail("Chromium is missing: apt-get install chromium")
    pytest.skip("needs Chromium: apt-get install chromium")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that Jupyter serves, with a copy of the lessons."""
    return Path(shutil.copytree(ROOT / "notebooks", tmp_path_factory.mktemp("lab") / "root"))


@pytest.fixture(scope="module")
def url(chromium: None, folder: Path) -> Iterator[str]:
    """Start a Jupyter server for the module: starting takes seconds, and kernels isolate tests."""
    with lab(folder, folder.parent) as base_url:
        yield base_url


@pytest.fixture(scope="module")
def tab(chromium: None) -> Iterator[Page]:
    """Start one browser for the module, so that it caches JupyterLab's scripts."""
    with page_in_chromium() as page:
        yield page


@pytest.fixture
def page(tab: Page, url: str) -> Iterator[Page]:
    """Return the browser's page; close its notebooks and end their kernels afterwards."""
    yield tab
    tab.set_viewport_size({"width": 1280, "height": 800})
    close_notebooks(tab)
    end_kernels(url)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add options that run `tests/end_to_end/test_fuzz.py` for longer or repeat one case."""
    parser.addoption("--fuzz-seconds", type=float, default=0.0, help="fuzz for longer, in seconds")
    parser.addoption("--fuzz-seed", type=int, help="run only this case, as named by a failure")


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Run on all processors by default if pytest-xdist is installed."""
    # not in `addopts`: without the plugin, pytest would reject these options
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
    """Use two workers per processor: tests often wait for a kernel, a Hub or a browser."""
    return 2 * (os.cpu_count() or 1)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect tests that need `-m`, and run the slow files first.

    Otherwise one worker would still be running a slow file when the others are done.
    """
    # not by `-m` in `addopts`, which a `-m` on the command line would replace
    skipped = {name for name in _OPT_IN_MARKS if name not in config.option.markexpr}
    kept, left_out = list[pytest.Item](), list[pytest.Item]()
    file_ranks: dict[Path, int] = {}
    for item in items:
        marks = {mark.name for mark in item.iter_markers()}
        if marks & skipped:
            left_out.append(item)
            continue
        kept.append(item)
        ranks = (n for n, mark in enumerate(_SLOW_MARKS) if mark in marks)
        rank = next(ranks, 2 if item.path.name in _SLOW_FILES else 9)
        file_ranks[item.path] = min(rank, file_ranks.get(item.path, 9))
    if left_out:
        config.hook.pytest_deselected(items=left_out)
    kept.sort(key=lambda item: file_ranks[item.path])
    items[:] = kept


def pytest_collection_finish() -> None:
    """Exclude the collected tests from garbage collection: thousands of objects that stay."""
    gc.freeze()
    gc.enable()
