"""The validator comes quickly, and takes nothing from others who use jsonschema."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest
from hub_server import StandInHub

from mountsea_magic.request.schema import validator


def test_it_validates() -> None:
    """By the draft that the Hub's schemas are of, without formats."""
    assert validator({"type": "integer", "maximum": 4}).is_valid(4)
    assert not validator({"type": "integer", "maximum": 4}).is_valid(5)
    assert validator({"type": "string", "format": "iri"}).is_valid("no iri")


def test_nothing_is_fetched() -> None:
    """A reference to elsewhere raises, whatever is served there."""
    with StandInHub() as hub:
        with pytest.raises(Exception, match="Unresolvable"):
            validator({"$ref": f"{hub.url}/schema.json"}).is_valid(4)
        assert hub.requests == []


@pytest.mark.skipif(find_spec("rfc3987_syntax") is None, reason="comes with JupyterLab")
def test_the_slow_checker_is_brought_when_it_is_asked() -> None:
    """It is not compiled by our import, and checks as ever for those who check formats."""
    program = """
import sys
from mountsea_magic.request.schema import validator
validator({})
assert "lark" not in sys.modules and "rfc3987_syntax" not in sys.modules
from jsonschema import Draft202012Validator as Theirs
formats = Theirs({"format": "iri"}, format_checker=Theirs.FORMAT_CHECKER)
assert formats.is_valid("https://example.org/ü") and not formats.is_valid("no iri")
assert "lark" in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_a_jsonschema_that_is_there_is_left_alone() -> None:
    """What the kernel has imported before us stays as it was."""
    program = """
import sys, jsonschema
before = {name: module for name, module in sys.modules.items() if name.startswith("rfc3987")}
from mountsea_magic.request.schema import validator
validator({})
assert all(sys.modules[name] is module for name, module in before.items())
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_many_threads_may_be_the_first() -> None:
    """A class's worth of prompts is checked at once, each on a thread of its own."""
    program = """
from concurrent.futures import ThreadPoolExecutor
from mountsea_magic.request.schema import validator
with ThreadPoolExecutor(30) as threads:
    assert all(one.is_valid(1) for one in threads.map(validator, [{"type": "integer"}] * 300))
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
