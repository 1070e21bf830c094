"""Requests as the text of cells: pasted and run, a cell submits the same body."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pytest

from mountsea_magic.errors import InvalidRequest
from mountsea_magic.notebook import cell
from mountsea_magic.notebook.cell_text import cell_text
from mountsea_magic.notebook.options import spell_option
from mountsea_magic.request.axes import ImageWord
from mountsea_magic.request.catalog import Catalog, Model, bundled_catalog
from mountsea_magic.request.sweep import Item
from mountsea_magic.session import Session, current_session

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

SCHEMAS: dict[str, Any] = {
    **{name: {"type": "string"} for name in ("aspect_ratio", "text", "style name", "größe")},
    **{name: {"type": "boolean"} for name in ("sync_mode", "limit_generations", "tiled")},
    **{name: {"type": "integer"} for name in ("seed", "num_images", "steps")},
    "strength": {"type": "number"},
    "anything": {},
    "words": {"type": "array"},
    "image_size": {"anyOf": [{"type": "string"}, {"type": "object"}]},
    "maybe": {"type": ["string", "null"]},
    "mask_url": {"type": "string"},
    "image_urls": {"type": "array"},
}
ODD = Model(
    "odd-model",
    "Odd",
    "",
    "text-to-image",
    "",
    "live",
    {"properties": SCHEMAS, "type": "object"},
    {},
)
EDIT = bundled_catalog().model("nano-banana-edit")
PIECES = (
    *("a dog", " ", "  ", "'", '"', "\\", "$", "$$", "$x", "$HOME", "{", "}", "{{", "}}", "{x}"),
    *("{{ x }}", "{% if %}", "{# no #}", '{"a": 1}', '{"a":{x}', "{}", "[", "[1, 2]", "-", "--"),
    *("---", "\n", "\n---\n", "\n \n", "\n\n", "\r\n", "\t", "\x0b", "\x0c", "\x1b[2J", "\x85"),
    *(
        "\u2028",
        "\u202e",
        "\xa0",
        "\x00",
        "é",
        "犬",
        "\U0001f415",
        "7",
        "-7",
        "1.5",
        "true",
        "null",
    ),
    *("NaN", '"7"', "=", "a=b", "-g a='b'", '--grid a="b,c"', " -p ", "!ls", "%magic", "?", "#"),
    *(
        ">>> ",
        "... ",
        "In [1]: ",
        "\n>>> x",
        "   ...: ",
        "@dog",
        ",",
        ";",
        "`id`",
        "!r}",
        ":",
        "\\n",
    ),
)

LOOP: list[Any] = []
LOOP.append(LOOP)


@pytest.fixture
def submitted(
    shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], dict[str, Any]]:
    """Return what runs a cell in the shell, and returns the body that it would submit."""
    found: list[Any] = []
    monkeypatch.setattr(cell, "run", lambda shell, batch, settings, options: found.extend(batch))
    shell.user_ns |= {"x": "EXPANDED", "HOME": "EXPANDED", "dog": "https://example.com/dog.png"}

    def run(text: str) -> dict[str, Any]:
        found.clear()
        shell.run_cell(text).raise_error()  # type: ignore[no-untyped-call]  # IPython has no types
        (generation,) = found
        body: dict[str, Any] = generation.request.body()
        return body

    return run


@pytest.fixture
def odd(monkeypatch: pytest.MonkeyPatch) -> Model:
    """Let the Hub have a model with parameters of every type, and one without a type."""
    catalog = Catalog({ODD.id: ODD, EDIT.id: EDIT})
    monkeypatch.setattr(Session, "catalog_for", lambda *_: catalog)
    return ODD


def body_of(
    model: str, prompt: str, parameters: Mapping[str, Any], images: Sequence[str] = ()
) -> dict[str, Any]:
    """Build the body from the values themselves."""
    session = current_session()
    return session.build(
        session.settings(),
        Item(prompt.replace("\r\n", "\n"), images=tuple(map(ImageWord, images))),
        model=model,
        parameters=parameters,
        spell=spell_option,
    ).body()


def hostile_text(rng: random.Random) -> str:
    """Return text of pieces that mean something to IPython, shells, argparse, JSON or Jinja."""
    return "".join(rng.choices(PIECES, k=rng.choice((0, 1, 1, 2, 3, 6))))


def hostile_value(rng: random.Random, name: str) -> Any:
    """Return a value that a parameter of `SCHEMAS` accepts."""
    kind = SCHEMAS[name].get("type")
    tree = {hostile_text(rng): [hostile_text(rng), None, 1.5], "width": {"a": True}}
    values: dict[Any, Any] = {
        "boolean": rng.choice((True, False)),
        "integer": rng.choice((0, 7, -7, 10**20, "8", " +9 ")),
        "number": rng.choice((0, -0.5, 1e-9, 1e22, "0.5")),
        "array": rng.choice(([], [tree], [hostile_text(rng)], "[1]")),
        "string": hostile_text(rng),
    }
    if isinstance(kind, str):
        return values[kind]
    text = rng.choice((hostile_text(rng), "7", "{x}"))
    return text if name == "maybe" else rng.choice((tree, {}, text))


@pytest.mark.parametrize("seed", range(20))
def test_a_cell_submits_the_same_body_for_hostile_values(
    seed: int, demo: None, odd: Model, submitted: Callable[[str], dict[str, Any]]
) -> None:
    """Quotes, braces, dollars, line breaks and what looks like JSON or options come through."""
    rng = random.Random(seed)
    for _ in range(20):
        names = [name for name in SCHEMAS if not name.endswith(("_url", "_urls"))]
        parameters = {
            name: hostile_value(rng, name) for name in rng.sample(names, rng.randint(0, 4))
        }
        prompt = hostile_text(rng) + rng.choice(("a dog", "\n  a dog \n", "a\r\n\r\ndog"))
        prompt += hostile_text(rng)
        try:
            expected = body_of(odd.id, prompt, parameters)
        except InvalidRequest:  # such as `[1]` for text or an object
            continue
        text = cell_text(odd, prompt, parameters)
        assert submitted(text) == expected, text


@pytest.mark.parametrize(
    ("parameters", "line"),
    [
        ({"aspect_ratio": "16:9", "num_images": 2}, "--aspect-ratio 16:9 --num-images 2"),
        ({"seed": 7, "sync_mode": True}, "--seed 7 --sync-mode"),
        ({"sync_mode": False}, "-p sync_mode=false"),
        ({"tiled": True}, "-p tiled=true"),
        ({"seed": -7}, "--seed=-7"),
        ({"aspect_ratio": "-x y"}, "'--aspect-ratio=-x y'"),
        ({"aspect_ratio": "--"}, "-p aspect_ratio=--"),
        ({"text": "calm and wide"}, "-p 'text=calm and wide'"),
        ({"text": "it's"}, """-p 'text=it'"'"'s'"""),
        ({"text": "7"}, "-p text=7"),
        ({"text": ""}, "-p text="),
        ({"steps": "8"}, "-p steps=8"),
        ({"anything": '"7"'}, """-p 'anything="7"'"""),
        ({"anything": None}, "-p anything=null"),
        (
            {"image_size": {"width": 640, "height": 480}},
            '-p image_size={"width": 640, "height": 480}',
        ),
        ({"image_size": {}}, "-p image_size={}"),
        ({"words": ["{x}", 'a "b"']}, r'-p words=["{{x}}", "a \"b\""]'),
        ({"text": "{x}", "image_size": {"a": 1}}, """-p 'text={{x}}' -p image_size={{"a": 1}}"""),
        ({"image_size": {"a": 1}, "text": "{x}"}, """-p image_size={"a": 1} -p 'text={x}'"""),
        ({"text": "$x"}, "-p 'text=$x'"),
        ({"words": ["$x"]}, '-p words=["$$x"]'),
        ({"text": "a\nb"}, r"""-p 'text=a{"\n"}b'"""),
        ({"mask_url": "https://example.com/[1].png"}, "-p 'mask_url=https://example.com/[1].png'"),
        (
            {"image_urls": ["https://example.com/a.png"]},
            '-p image_urls=["https://example.com/a.png"]',
        ),
    ],
)
def test_a_parameter_is_written_as_taught(
    parameters: dict[str, Any],
    line: str,
    demo: None,
    odd: Model,
    submitted: Callable[[str], dict[str, Any]],
) -> None:
    """Options are in their long form, others in `-p`, JSON without quotes where that works."""
    text = cell_text(odd, "A dog", parameters)
    assert text == f"%%mountsea --model odd-model {line}\nA dog"
    assert submitted(text) == body_of(odd.id, "A dog", parameters)


@pytest.mark.parametrize(
    ("prompt", "text"),
    [
        ("A dog {swims} for $5 {% x %}?", "\nA dog {swims} for $5 {% x %}?"),
        ("\n \n  A dog\n\nA cat \n\n", "\n  A dog\n\nA cat "),
        ("A dog\r\nA cat\r", "\nA dog\nA cat"),
        ("Show {{ x }}", " --raw\nShow {{ x }}"),
        ("A dog\n---\nA cat", " --raw\nA dog\n---\nA cat"),
        ("... and a dog", "\n\n... and a dog"),
        ("In [1]: a dog", "\n\nIn [1]: a dog"),
        ("A dog\n>>> {{ x }}\n---", '\nA dog\n{{ ">>>" }} {{ "{{" }} x }}\n{{ "---" }}'),
        ("A {>>> dog\n >>>", '\nA {{ "{>>>" }} dog\n {{ ">>>" }}'),
        ("A dog\n  \nA cat", '\nA dog\n{{ "  " }}\nA cat'),
    ],
)
def test_a_prompt_is_literal(
    prompt: str,
    text: str,
    demo: None,
    odd: Model,
    submitted: Callable[[str], dict[str, Any]],
) -> None:
    """Templates and `---` lines mean nothing in it, and IPython removes nothing from it."""
    written = cell_text(odd, prompt, {})
    assert written == f"%%mountsea --model odd-model{text}"
    expected = body_of(odd.id, prompt.replace("\r", ""), {})
    assert submitted(written) == expected


def test_an_empty_prompt_gives_an_empty_body() -> None:
    """The form shows the cell while nothing is typed yet."""
    assert cell_text("nano-banana", " \n", {}) == "%%mountsea --model nano-banana\n"


def test_input_images_are_words_of_the_line(
    demo: None, odd: Model, submitted: Callable[[str], dict[str, Any]]
) -> None:
    """A variable stays a variable, and a path or URL with odd characters is quoted."""
    images = ["dog", "https://example.com/a b'{x}$x.png"]
    text = cell_text(EDIT, "Add a hat", {"seed": 1}, images)
    assert text.startswith("%%mountsea --model nano-banana-edit --image dog --image 'https://")
    with pytest.raises(InvalidRequest, match="dog"):
        body_of(EDIT.id, "Add a hat", {"seed": 1}, images)  # without variables
    urls = ["https://example.com/dog.png", images[1]]
    assert submitted(text) == body_of(EDIT.id, "Add a hat", {"seed": 1}, urls)
    assert "--image=-x.png --image ./--" in cell_text(EDIT, "a", {}, ["-x.png", "--"])


@pytest.mark.parametrize("model_id", ["a model", "{x}", "$x", "-m", "it's", "名"])
def test_a_model_id_comes_through_as_it_is(
    model_id: str,
    demo: None,
    monkeypatch: pytest.MonkeyPatch,
    submitted: Callable[[str], dict[str, Any]],
) -> None:
    """A Hub's ids may have spaces, braces or a leading dash."""
    odd_id = Model(model_id, "", "", "text-to-image", "", "live", {}, {})
    monkeypatch.setattr(Session, "catalog_for", lambda *_: Catalog({model_id: odd_id}))
    assert submitted(cell_text(model_id, "A dog", {}))["model"] == model_id


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("aspect_ratio", object(), "--aspect-ratio can't"),
        ("aspect_ratio", ["16:9"], "--aspect-ratio can't"),
        ("text", None, "-p text can't"),
        ("maybe", None, "-p maybe can't"),
        ("image_urls", b"bytes", "--image can't"),
        ("mask_url", 7, "-p mask_url can't"),
        ("anything", {1, 2}, "-p anything can't"),
        ("anything", LOOP, "-p anything can't"),
        ("two-words", 1, "parameter two-words can't"),
        ("a=b", 1, "parameter a=b can't"),
        (" a", 1, "parameter “a” can't"),
        ("", 1, "parameter “” can't"),
    ],
)
def test_what_no_line_can_say_is_refused(name: str, value: Any, shown: str) -> None:
    """The message names the parameter, in one line."""
    with pytest.raises(InvalidRequest) as caught:
        cell_text(ODD, "A dog", {name: value})
    assert shown in str(caught.value)
    assert "\n" not in str(caught.value)
