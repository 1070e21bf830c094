"""Templates: `{{ expr }}` is rendered once and strictly; everything else is plain text."""

from __future__ import annotations

from typing import Any

import pytest

from mountsea_magic.errors import InvalidRequest
from mountsea_magic.request.templates import names_used, render, split_prompts


class Recorder:
    """Counts how often it is called and converted to text."""

    def __init__(self) -> None:
        self.calls = 0
        self.texts = 0

    def __call__(self) -> str:
        """Count a call."""
        self.calls += 1
        return f"call {self.calls}"

    def __str__(self) -> str:
        """Count a conversion."""
        self.texts += 1
        return f"text {self.texts}"


@pytest.mark.parametrize(
    "prompt",
    [
        "",
        "a dog",
        "a {dog} in {a} {pool}",
        "{ dog }",
        '{"json": {"of": "mine"}}',
        "}} {",
        "{% if dog %}a dog{% endif %}",
        "{%- raw -%}",
        "{# no comment #}",
        "# ## line",
        "100 % {percent} %s %(x)s $x ${x}",
        "\\n \\{",
        "a\nb\n\nc\n",
        " leading and trailing ",
        "köpek 🐕 犬 כלב",
        "x" * 10_000,
    ],
)
def test_everything_else_is_plain_text(prompt: str) -> None:
    """Single braces, blocks and comments stay as typed, with and without a template."""
    assert render(prompt, {}) == prompt
    assert render(prompt + " {{ x }}", {"x": "!"}) == prompt + " !"
    assert render("{{ x }} " + prompt, {"x": "!"}) == "! " + prompt


@pytest.mark.parametrize(
    ("prompt", "names", "text"),
    [
        ("a {{ colour }} dog", {"colour": "black"}, "a black dog"),
        ("{{colour}}{{ colour }}", {"colour": "x"}, "xx"),
        ("{{ n + 1 }} dogs", {"n": 2}, "3 dogs"),
        ("{{ dog.name }}", {"dog": {"name": "Rex"}}, "Rex"),
        ("{{ dogs[1] }}", {"dogs": ["a", "b"]}, "b"),
        ("{{ name.upper() }}", {"name": "rex"}, "REX"),
        ("{{ name | upper }}", {"name": "rex"}, "REX"),
        ("{{ 'a' if n else 'b' }}", {"n": 0}, "b"),
        ("{{ dogs | join(', ') }}", {"dogs": ["a", "b"]}, "a, b"),
        ("{{ f(2) }}", {"f": lambda n: n * 21}, "42"),
        ("{{ farbe }}", {"farbe": "schwärzlich 🐕"}, "schwärzlich 🐕"),
        ("{{ größe }}", {"größe": 3}, "3"),
        ("{{ self }} {{ self.x }}", {"self": {"x": 1}}, "{'x': 1} 1"),
        ("a <{{ x }}>", {"x": "<b>&'\""}, "a <<b>&'\">"),
        ("{{ x }}\n", {"x": 1}, "1\n"),
        ("{{ x }}", {"x": None}, "None"),
        ("{{ x }}", {"x": ""}, ""),
        ("{{ x }} }}", {"x": 1}, "1 }}"),
        ("{{ '{{' }}", {}, "{{"),
        ("{{ x }}", {"x": "y" * 10_000}, "y" * 10_000),
        ("z" * 10_000 + "{{ x }}", {"x": 1}, "z" * 10_000 + "1"),
    ],
)
def test_expressions_are_rendered(prompt: str, names: dict[str, Any], text: str) -> None:
    """With Jinja's syntax, and nothing escaped."""
    assert render(prompt, names) == text


@pytest.mark.parametrize(
    "value", ["{{ y }}", "{{ y", "}}", "{% x %}", "{{ '{{ y }}' }}", "{{ 1/0 }}", "{# #}", "---"]
)
def test_a_value_is_not_evaluated_again(value: str) -> None:
    """Braces in a value are plain text."""
    assert render("a {{ x }} b", {"x": value, "y": "evil"}) == f"a {value} b"


def test_an_expression_is_evaluated_once() -> None:
    """An expression with a side effect has it once."""
    first, second = Recorder(), Recorder()
    assert render("{{ f() }} and {{ g }}", {"f": first, "g": second}) == "call 1 and text 1"
    assert (first.calls, first.texts, second.calls, second.texts) == (1, 0, 0, 1)


def test_each_rendering_evaluates_again() -> None:
    """Nothing is cached between cells."""
    recorder = Recorder()
    assert [render("{{ f() }}", {"f": recorder}) for _ in range(2)] == ["call 1", "call 2"]


def test_rendering_does_not_change_the_namespace() -> None:
    """It adds nothing to it."""
    names = {"x": 1}
    render("{{ x }}", names)
    assert names == {"x": 1}


@pytest.mark.parametrize(
    ("prompt", "names", "words"),
    [
        ("a {{ colour }} dog", {}, ["'colour' is undefined", "define it in a cell first"]),
        ("{{ Colour }}", {"colour": 1}, ["'Colour' is undefined"]),
        ("{{ range(3) }}", {}, ["'range' is undefined"]),
        ("{{ dict() }}", {}, ["'dict' is undefined"]),
        ("{{ __import__('os') }}", {}, ["'__import__' is undefined"]),
        ("{{ dog.tail }}", {"dog": {}}, ["no attribute 'tail'"]),
        ("{{ dog.tail.tip }}", {"dog": {}}, ["no attribute 'tail'"]),
        ("{{ nobody.tail }}", {}, ["'nobody' is undefined"]),
        ("{{ dogs[5] }}", {"dogs": [1]}, ["no element 5"]),
        ("{{ x + y }}", {"x": "a"}, ["'y' is undefined"]),
        ("{{ x | nope }}", {"x": 1}, ["No filter named 'nope'"]),
        ("{{ x is nope }}", {"x": 1}, ["No test named 'nope'"]),
        ("{{ 1 / 0 }}", {}, ["ZeroDivisionError"]),
        ("{{ x + 1 }}", {"x": "a"}, ["TypeError"]),
        ("{{ x", {"x": 1}, ["line 1"]),
        ("a\nb {{ x y }}", {"x": 1, "y": 2}, ["line 2"]),
        ("{{ }}", {}, ["line 1"]),
        ("{{{x}}}", {"x": 1}, ["line 1"]),
        ("{{ x = 1 }}", {}, ["line 1"]),
        ("{{ import os }}", {}, ["line 1"]),
        ("{{ '\x1b[31m", {}, ["line 1"]),
    ],
)
def test_invalid_templates_raise(prompt: str, names: dict[str, Any], words: list[str]) -> None:
    """One line without control characters, which names the problem and `--raw`."""
    with pytest.raises(InvalidRequest) as caught:
        render(prompt, names)
    message = str(caught.value)
    for word in [*words, "{{ }}", "`--raw`"]:
        assert word in message
    assert "\n" not in message and "\x1b" not in message


def test_an_error_of_the_users_function_is_chained() -> None:
    """The message names it, and it is the cause."""
    error = LookupError("no\x1b[31m\ndog")

    def fail() -> str:
        raise error

    with pytest.raises(InvalidRequest, match=r"LookupError: no\[31m dog") as caught:
        render("{{ fail() }}", {"fail": fail})
    assert caught.value.__cause__ is error


def test_a_keyboard_interrupt_is_not_converted() -> None:
    """The user's own function can be interrupted."""

    def interrupt() -> str:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        render("{{ f() }}", {"f": interrupt})


@pytest.mark.parametrize(
    ("cell", "prompts"),
    [
        ("", [""]),
        ("a dog", ["a dog"]),
        ("a dog\n", ["a dog\n"]),
        ("a dog\n---\na cat\n", ["a dog", "a cat\n"]),
        ("a dog\n  --- \t\na cat", ["a dog", "a cat"]),
        ("a\n---\nb\n---\nc", ["a", "b", "c"]),
        ("---\na", ["", "a"]),
        ("a\n---", ["a", ""]),
        ("a\n---\n---\nb", ["a", "", "b"]),
        ("a --- b", ["a --- b"]),
        ("a\n----\nb", ["a\n----\nb"]),
        ("a\n--\nb", ["a\n--\nb"]),
        ("a\n--- b\nc", ["a\n--- b\nc"]),
        ("a\n———\nb", ["a\n———\nb"]),
        ("a\n\n---\n\nb", ["a\n", "\nb"]),
        ("a 🐕\n---\nא", ["a 🐕", "א"]),
    ],
)
def test_a_cell_is_split_at_lines_of_three_hyphens(cell: str, prompts: list[str]) -> None:
    """Only a line of nothing but `---` separates prompts."""
    assert split_prompts(cell) == prompts


@pytest.mark.parametrize("letter", ["\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"])
def test_only_line_endings_split_lines(letter: str) -> None:
    """Other separators of `str.splitlines` are part of a prompt."""
    assert split_prompts(f"a{letter}---{letter}b") == [f"a{letter}---{letter}b"]


@pytest.mark.parametrize(
    ("prompt", "names"),
    [
        ("a dog", set()),
        ("a {dog} {% cat %} {# cow #}", set()),
        ("{{ dog }}", {"dog"}),
        ("{{ dog }} {{ dog }} {{ cat }}", {"dog", "cat"}),
        ("{{ dog.name }} {{ cats[n] }}", {"dog", "cats", "n"}),
        ("{{ dog | upper }} {{ x is defined }}", {"dog", "x"}),
        ("{{ f(x, y=z) }}", {"f", "x", "z"}),
        ("{{ 'dog' }} {{ 1 + 2 }} {{ true }} {{ none }}", set()),
        ("{{ self }} {{ größe }}", {"self", "größe"}),
    ],
)
def test_the_names_that_a_prompt_uses(prompt: str, names: set[str]) -> None:
    """Those of variables, and not of attributes, filters, arguments or constants."""
    assert names_used(prompt) == names
    assert names_used(prompt) == names


def test_names_of_an_invalid_template_raise() -> None:
    """With the same message as rendering it."""
    with pytest.raises(InvalidRequest) as rendered:
        render("a {{ x y }}", {})
    with pytest.raises(InvalidRequest) as asked:
        names_used("a {{ x y }}")
    assert str(asked.value) == str(rendered.value)
