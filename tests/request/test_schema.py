"""The validator is imported quickly, without side effects on other users of jsonschema."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

import pytest
from hang import HANG_S
from hub_server import StandInHub

from mountsea_magic.request.schema import validator


def test_values_are_validated() -> None:
    """By draft 2020-12, without formats."""
    assert validator({"type": "integer", "maximum": 4}).is_valid(4)
    assert not validator({"type": "integer", "maximum": 4}).is_valid(5)
    assert validator({"type": "string", "format": "iri"}).is_valid("no iri")


def test_references_are_not_fetched() -> None:
    """A reference to a URL raises."""
    with StandInHub() as hub:
        with pytest.raises(Exception, match="Unresolvable"):
            validator({"$ref": f"{hub.url}/schema.json"}).is_valid(4)
        assert hub.requests == []


@pytest.mark.skipif(find_spec("rfc3987_syntax") is None, reason="comes with JupyterLab")
def test_the_slow_format_checker_is_imported_on_first_use() -> None:
    """Our import does not compile it, and it still works for other users."""
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
    subprocess.run([sys.executable, "-c", program], check=True, timeout=HANG_S)


def test_an_imported_jsonschema_is_not_changed() -> None:
    """If the kernel imported it before, its modules stay the same."""
    program = """
import sys, jsonschema
before = {name: module for name, module in sys.modules.items() if name.startswith("rfc3987")}
from mountsea_magic.request.schema import validator
validator({})
assert all(sys.modules[name] is module for name, module in before.items())
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=HANG_S)


def test_many_threads_can_make_the_first_validator() -> None:
    """Such as when many requests are validated on threads at once."""
    program = """
from concurrent.futures import ThreadPoolExecutor
from mountsea_magic.request.schema import validator
with ThreadPoolExecutor(30) as threads:
    assert all(one.is_valid(1) for one in threads.map(validator, [{"type": "integer"}] * 300))
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=HANG_S)
