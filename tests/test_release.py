"""Release artifacts: contents of the sdist and the wheel, and the tests run from the sdist."""

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
# hatchling always adds .gitignore
TOP_LEVEL = {
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "README.md",
    "pyproject.toml",
    ".gitignore",
}
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
    """Build sdist and wheel once, or use the existing ones in the folder RELEASE_DIST."""
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


def test_build_produces_one_sdist_and_one_wheel(dist: Path) -> None:
    """A build creates one sdist and one pure-Python wheel, and nothing else."""
    built = {path.name for path in dist.iterdir() if path.name != ".gitignore"}
    assert built == {f"{NAME}.tar.gz", f"{NAME}-py3-none-any.whl"}


def test_sdist_contains_the_files_in_git(unpacked: Path) -> None:
    """Package, tests, lessons, binder/ and the top-level files are as they are in git."""
    expected = {name for name in files() if name.startswith(SHIPPED) or name in TOP_LEVEL}
    assert {"LICENSE", "README.md", "CHANGELOG.md"} <= expected
    found = {
        path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()
    }
    assert found == expected | {"PKG-INFO"}
    assert all((unpacked / name).read_bytes() == (ROOT / name).read_bytes() for name in expected)
    assert os.access(unpacked / "binder" / "start", os.X_OK)


def test_wheel_contains_only_the_package(dist: Path) -> None:
    """The wheel has the package as in git, py.typed, catalog and license; no tests or lessons."""
    expected = {name for name in files() if name.startswith("mountsea_magic/")}
    assert {"mountsea_magic/py.typed", "mountsea_magic/request/catalog.json"} <= expected
    dist_info = {"METADATA", "WHEEL", "RECORD", "licenses/LICENSE"}
    with zipfile.ZipFile(dist / f"{NAME}-py3-none-any.whl") as wheel:
        assert set(wheel.namelist()) == expected | {
            f"{NAME}.dist-info/{name}" for name in dist_info
        }


def test_wheel_metadata_match_the_project(dist: Path) -> None:
    """The wheel declares version, Python versions, license, links and every extra."""
    metadata = _metadata(dist)
    assert (metadata["Version"], metadata["License-Expression"]) == (VERSION, "MIT")
    assert metadata["Requires-Python"] == ">=3.11"
    kinds = set(metadata.get_all("Classifier", []))
    pythons = {f"Programming Language :: Python :: 3.{minor}" for minor in (11, 12, 13)}
    assert {"Framework :: IPython", "Framework :: Jupyter", "Typing :: Typed"} | pythons <= kinds
    links = dict(link.split(", ") for link in metadata.get_all("Project-URL", []))
    assert links == project()["urls"] and {"Repository", "Changelog", "Issues"} <= set(links)
    extras = set(project()["optional-dependencies"])
    assert set(metadata.get_all("Provides-Extra", [])) == extras


def test_twine_check_passes(dist: Path) -> None:
    """``twine check --strict`` accepts both files and the rendered README."""
    built = sorted(str(path) for path in dist.glob("mountsea_magic-*"))
    _run([sys.executable, "-m", "twine", "check", "--strict", *built], dist)


def test_the_sdist_passes_its_own_tests(unpacked: Path) -> None:
    """A fast subset of the tests passes in the unpacked sdist, with the sdist's package."""
    excluded = ("MOUNTSEA_", "PYTEST_", "COV_")
    environ = {name: value for name, value in os.environ.items() if not name.startswith(excluded)}
    environ["PYTHONPATH"] = str(unpacked)
    where = _run(
        [sys.executable, "-c", "import mountsea_magic; print(mountsea_magic.__file__)"],
        unpacked.parent, environ,
    )  # fmt: skip
    assert Path(where.strip()).is_relative_to(unpacked)
    tests = [f"tests/{name}" for name in FAST]
    options = ["-q", "-n", "0", f"--basetemp={unpacked.parent / 'inner'}"]
    output = _run([sys.executable, "-m", "pytest", *options, *tests], unpacked, environ)
    assert re.search(r"\d{3} passed", output)


def test_changelog_has_this_version() -> None:
    """The newest release in the changelog is this version, with its date and link."""
    log = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    releases = re.findall(r"^## \[(\d[^\]]*)\] - \d{4}-\d\d-\d\d$", log, re.M)
    assert releases[0] == VERSION
    assert f"[{VERSION}]: {project()['urls']['Repository']}/releases/tag/v{VERSION}" in log


def _metadata(dist: Path) -> Message:
    """Read the wheel's METADATA file."""
    with zipfile.ZipFile(dist / f"{NAME}-py3-none-any.whl") as wheel:
        return HeaderParser().parsestr(wheel.read(f"{NAME}.dist-info/METADATA").decode())


def _run(command: list[str], folder: Path, environ: dict[str, str] | None = None) -> str:
    """Run a command to its end; show its output if it fails."""
    done = subprocess.run(
        command, cwd=folder, env=environ, timeout=600,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-3000:]
    return done.stdout
