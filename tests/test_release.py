"""What is published: the sdist and the wheel hold what they should, and the sdist tests itself."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path

import pytest
from checkout import ROOT, files, project

import mountsea_magic

pytestmark = pytest.mark.release

VERSION = mountsea_magic.__version__
NAME = f"mountsea_magic-{VERSION}"
SHIPPED = (".ci/", "binder/", "mountsea_magic/", "notebooks/", "tests/")
# hatchling adds .gitignore, and nothing keeps it from it
BESIDE = {"CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "README.md", "pyproject.toml", ".gitignore"}
FAST = [
    "demo/test_demo_app.py",
    "generation/test_submit.py",
    "hub/test_client.py",
    "hub/test_responses.py",
    "notebook/test_options.py",
    "request/test_request.py",
    "test_architecture.py",
    "test_readme.py",
    "test_settings.py",
]


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build both once, or take those that were built where RELEASE_DIST says."""
    if built := os.environ.get("RELEASE_DIST"):
        return Path(built)
    folder = tmp_path_factory.mktemp("dist")
    _run([sys.executable, "-m", "build", "--outdir", str(folder), str(ROOT)], folder)
    return folder


@pytest.fixture(scope="module")
def unpacked(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Unpack the sdist away from the checkout."""
    folder = tmp_path_factory.mktemp("unpacked")
    with tarfile.open(dist / f"{NAME}.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    return folder / NAME


def test_there_is_one_of_each(dist: Path) -> None:
    """A build brings an sdist and a wheel for every Python 3, and no more."""
    built = {path.name for path in dist.iterdir() if path.name != ".gitignore"}
    assert built == {f"{NAME}.tar.gz", f"{NAME}-py3-none-any.whl"}


def test_the_sdist_holds_what_git_does(unpacked: Path) -> None:
    """Package, tests, lessons and Binder's folder go out as they are in git, with their papers."""
    expected = {name for name in files() if name.startswith(SHIPPED) or name in BESIDE}
    assert {"LICENSE", "README.md", "CHANGELOG.md"} <= expected
    found = {
        path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()
    }
    assert found == expected | {"PKG-INFO"}
    assert all((unpacked / name).read_bytes() == (ROOT / name).read_bytes() for name in expected)
    assert os.access(unpacked / "binder" / "start", os.X_OK)


def test_the_wheel_holds_the_package_alone(dist: Path) -> None:
    """The package as it is in git, with type marker, catalog and licence; no test, no lesson."""
    expected = {name for name in files() if name.startswith("mountsea_magic/")}
    assert {"mountsea_magic/py.typed", "mountsea_magic/catalog.json"} <= expected
    papers = {"METADATA", "WHEEL", "RECORD", "licenses/LICENSE"}
    with zipfile.ZipFile(dist / f"{NAME}-py3-none-any.whl") as wheel:
        assert set(wheel.namelist()) == expected | {f"{NAME}.dist-info/{name}" for name in papers}


def test_its_metadata_are_the_projects(dist: Path) -> None:
    """Version, Pythons, licence, links and every extra stand in the wheel, for indexes to show."""
    said = _metadata(dist)
    assert (said["Version"], said["License-Expression"]) == (VERSION, "MIT")
    assert said["Requires-Python"] == ">=3.11"
    kinds = set(said.get_all("Classifier", []))
    pythons = {f"Programming Language :: Python :: 3.{minor}" for minor in (11, 12, 13)}
    assert {"Framework :: IPython", "Framework :: Jupyter", "Typing :: Typed"} | pythons <= kinds
    links = dict(link.split(", ") for link in said.get_all("Project-URL", []))
    assert links == project()["urls"] and {"Repository", "Changelog", "Issues"} <= set(links)
    extras = set(project()["optional-dependencies"])
    assert set(said.get_all("Provides-Extra", [])) == extras


def test_indexes_accept_it(dist: Path) -> None:
    """Twine finds no fault with either, nor with how the README is rendered."""
    built = sorted(str(path) for path in dist.glob("mountsea_magic-*"))
    _run([sys.executable, "-m", "twine", "check", "--strict", *built], dist)


def test_the_sdist_passes_its_own_tests(unpacked: Path) -> None:
    """A fast part of the tests passes where only the sdist is, with the sdist's package."""
    told = ("MOUNTSEA_", "PYTEST_", "COV_")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(told)}
    environ["PYTHONPATH"] = str(unpacked)
    where = _run(
        [sys.executable, "-c", "import mountsea_magic; print(mountsea_magic.__file__)"],
        unpacked.parent, environ,
    )  # fmt: skip
    assert Path(where.strip()).is_relative_to(unpacked)
    tests = [f"tests/{name}" for name in FAST]
    options = ["-q", "-n", "0", f"--basetemp={unpacked.parent / 'inner'}"]
    said = _run([sys.executable, "-m", "pytest", *options, *tests], unpacked, environ)
    assert re.search(r"\d{3} passed", said)


def test_the_changelog_tells_of_this_version() -> None:
    """The newest release of the changelog is this version, with its day and its link."""
    log = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    releases = re.findall(r"^## \[(\d[^\]]*)\] - \d{4}-\d\d-\d\d$", log, re.M)
    assert releases[0] == VERSION
    assert f"[{VERSION}]: {project()['urls']['Repository']}/releases/tag/v{VERSION}" in log


def _metadata(dist: Path) -> Message:
    """Read what an index reads."""
    with zipfile.ZipFile(dist / f"{NAME}-py3-none-any.whl") as wheel:
        return HeaderParser().parsestr(wheel.read(f"{NAME}.dist-info/METADATA").decode())


def _run(command: list[str], folder: Path, environ: dict[str, str] | None = None) -> str:
    """Run to the end, and show what was said if it fails."""
    done = subprocess.run(
        command, cwd=folder, env=environ, timeout=600,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout
