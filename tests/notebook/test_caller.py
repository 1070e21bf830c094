"""Names in a cell: the caller's locals, then its globals, then the notebook's."""

from __future__ import annotations

import textwrap
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cells import prompts
from hub_server import StandInHub, data_uri, image
from IPython.core.interactiveshell import InteractiveShell
from PIL import Image

from mountsea_magic.errors import InvalidRequest
from mountsea_magic.notebook.caller import CallerNames

CELL = 'get_ipython().run_cell_magic("mountsea", "-q", "A {{ animal }}")'


def notebook_cell(shell: InteractiveShell, code: str) -> None:
    """Run code as a cell of the notebook, and raise its error."""
    shell.run_cell(textwrap.dedent(code)).raise_error()  # type: ignore[no-untyped-call]  # IPython is untyped


CALLERS = {
    "function": f"""
        def draw(animal):
            {CELL}
        draw("fox")
        """,
    "method": f"""
        class Zoo:
            def draw(self, animal):
                {CELL}
        Zoo().draw("fox")
        """,
    "captured by a closure": f"""
        def make(animal):
            def callback():
                animal
                {CELL}
            return callback
        make("fox")()
        """,
    "lambda": f"""
        (lambda animal: {CELL})("fox")
        """,
    "list comprehension": f"""
        [{CELL} for animal in ["fox"]]
        """,
    "comprehension in a function": f"""
        def draw(animal):
            return {{number: {CELL} for number in range(1)}}
        draw("fox")
        """,
    "generator expression in a function": f"""
        def draw(animal):
            return list({CELL} for number in range(1))
        draw("fox")
        """,
    "generator": f"""
        def draw(animal):
            yield {CELL}
        list(draw("fox"))
        """,
    "class body": f"""
        class Drawing:
            animal = "fox"
            {CELL}
        """,
    "exec with namespaces of its own": f"""
        exec({CELL!r}, {{"get_ipython": get_ipython}}, {{"animal": "fox"}})
        """,
    "module": f"""
        import sys, types
        zoo = types.ModuleType("zoo")
        zoo.animal, zoo.get_ipython = "fox", get_ipython
        exec('def draw(): {CELL}', vars(zoo))
        zoo.draw()
        """,
    "coroutine": f"""
        async def draw(animal):
            {CELL}
        await draw("fox")
        """,
    "through other magics": f"""
        def draw(animal):
            get_ipython().run_line_magic("time", {CELL!r}.replace("animal", "place"))
        place = "fox"
        draw("cat")
        """,
}


@pytest.mark.parametrize("code", CALLERS.values(), ids=CALLERS)
def test_a_local_variable_takes_precedence(
    hub: StandInHub, shell: InteractiveShell, code: str
) -> None:
    """A name has the meaning that it has for Python where the magic is called."""
    shell.user_ns["animal"] = "dog"
    notebook_cell(shell, code)
    assert prompts(hub) == ["A fox"]


@pytest.mark.parametrize(
    "code",
    [
        CELL,
        f"def draw():\n    {CELL}\ndraw()",
        f"def draw():\n    global animal\n    animal = 'dog'\n    {CELL}\ndraw()",
        f"class Zoo:\n    animal = 'cat'\n    def draw(self):\n        {CELL}\nZoo().draw()",
        f"def draw(place):\n    def inner():\n        {CELL}\n    inner()\ndraw('fox')",
    ],
    ids=["cell", "function", "global statement", "class attribute", "nested function"],
)
def test_without_a_local_the_notebooks_variable_is_used(
    hub: StandInHub, shell: InteractiveShell, code: str
) -> None:
    """As in Python, attributes of a class are not locals of its methods."""
    shell.user_ns["animal"] = "dog"
    notebook_cell(shell, code)
    assert prompts(hub) == ["A dog"]


def test_self_is_the_methods_object(hub: StandInHub, shell: InteractiveShell) -> None:
    """Not Jinja's own `self`."""
    notebook_cell(
        shell,
        f"""
        class Zoo:
            animal = "fox"
            def draw(self):
                {CELL.replace("animal", "self.animal")}
        Zoo().draw()
        """,
    )
    assert prompts(hub) == ["A fox"]


def test_self_outside_of_a_method_is_undefined(hub: StandInHub, shell: InteractiveShell) -> None:
    """Not Jinja's own `self`."""
    with pytest.raises(InvalidRequest, match="'self' is undefined"):
        shell.run_cell_magic("mountsea", "", "A {{ self.animal }}")  # type: ignore[no-untyped-call]  # IPython is untyped
    assert hub.posts == []


@pytest.mark.parametrize(
    "code",
    [
        f"def draw():\n    {CELL}\n    animal = 'fox'\ndraw()",
        f"def draw(animal):\n    del animal\n    {CELL}\ndraw('fox')",
    ],
    ids=["assigned later", "deleted"],
)
def test_an_unassigned_local_is_undefined(
    hub: StandInHub, shell: InteractiveShell, code: str
) -> None:
    """Python would raise UnboundLocalError; the notebook's variable is not used."""
    shell.user_ns["animal"] = "dog"
    with pytest.raises(InvalidRequest, match="'animal' is undefined"):
        notebook_cell(shell, code)
    assert hub.posts == []


MAKERS = {
    "lambda": "    return lambda: CELL",
    "function": "    def job():\n        CELL\n    return job",
    "method of a class": "    class Job:\n        def __call__(self):\n            CELL\n"
    "    return Job()",
    "function in a function": "    def outer():\n        def job():\n            CELL\n"
    "        return job\n    return outer()",
}


@pytest.mark.parametrize("body", MAKERS.values(), ids=MAKERS)
@pytest.mark.parametrize("known", [False, True], ids=["lost", "captured"])
def test_an_unavailable_enclosing_variable_raises(
    hub: StandInHub, shell: InteractiveShell, body: str, known: bool
) -> None:
    """A callback runs after the function has returned; the notebook's variable is not used."""
    shell.user_ns["animal"] = "dog"
    cell = f"(animal, {CELL})" if known else CELL
    notebook_cell(shell, f"def make(animal):\n{body.replace('CELL', cell)}\njob = make('fox')")
    if known:
        notebook_cell(shell, "job()")
        assert prompts(hub) == ["A fox"]
        return
    with pytest.raises(InvalidRequest, match="'animal' is a variable of an enclosing function"):
        notebook_cell(shell, "job()")
    assert hub.posts == []


def test_a_callback_can_use_the_notebooks_variables(
    hub: StandInHub, shell: InteractiveShell
) -> None:
    """If no enclosing function has such a variable."""
    shell.user_ns["animal"] = "dog"
    notebook_cell(shell, f"def make(place):\n    return lambda: {CELL}\nmake('sea')()")
    assert prompts(hub) == ["A dog"]


def test_a_module_that_uses_the_result_gets_it(hub: StandInHub, shell: InteractiveShell) -> None:
    """`-o` also binds in the calling module if its code uses the name; others stay unchanged."""
    for name, body in (("uses", "return found.status"), ("passes", "pass")):
        module = types.ModuleType(name)
        vars(module)["get_ipython"] = lambda: shell
        call = 'get_ipython().run_cell_magic("mountsea", "-q -o found", "a dog")'
        exec(f"def draw():\n    {call}\n    {body}", vars(module))
        assert module.draw() == ("completed" if name == "uses" else None)
        assert hasattr(module, "found") == (name == "uses")
    assert shell.user_ns["found"].status == "completed" and len(hub.posts) == 2


def test_a_script_uses_its_own_variables(
    hub: StandInHub, shell: InteractiveShell, tmp_path: Path
) -> None:
    """A script run by `%run` uses its variables and gets the result of `-o`."""
    script = tmp_path / "zoo.py"
    script.write_text(
        "animal = 'fox'\n"
        'get_ipython().run_cell_magic("mountsea", "-q -o found", "A {{ animal }} by {{ day }}")\n'
        "print(found.status)\n"
        "status = found.status\n"
    )
    shell.user_ns.update(animal="dog", day="night")
    notebook_cell(shell, f"%run {script}")
    assert prompts(hub) == ["A fox by night"]
    assert shell.user_ns["found"].status == shell.user_ns["status"] == "completed"


@pytest.mark.parametrize("word", ["photo", "photo[0]", "photo.images[0]"])
def test_input_images_use_the_callers_names(
    hub: StandInHub, shell: InteractiveShell, word: str
) -> None:
    """`-i NAME` looks a name up like the prompt."""
    shell.user_ns["photo"] = Image.new("RGB", (8, 8), "blue")

    class Result:
        images = (image(number=1),)

        def __getitem__(self, number: int) -> bytes:
            return self.images[number]

    def draw(photo: Any) -> None:
        shell.run_cell_magic("mountsea", f"-q -m nano-banana-edit -i {word}", "Winter")  # type: ignore[no-untyped-call]  # as above

    draw(Result())
    assert hub.posts[0].json["input"]["image_urls"] == [data_uri(image(number=1))]


def test_a_callback_uses_its_own_locals(hub: StandInHub, shell: InteractiveShell) -> None:
    """Such as the callback of a button or of `interact`."""

    def on_click(callback: Callable[[str], None]) -> None:
        animal = "cat"
        callback(animal.replace("cat", "fox"))

    def callback(animal: str) -> None:
        shell.run_cell_magic("mountsea", "-q", "A {{ animal }}")  # type: ignore[no-untyped-call]  # as above

    shell.user_ns["animal"] = "dog"
    on_click(callback)
    assert prompts(hub) == ["A fox"]


def test_the_repr_shows_no_values() -> None:
    """A traceback that prints locals must not print the user's variables."""
    key = "sk-local-0123456789"
    names = CallerNames.of_caller({"other": key})
    assert names["other"] == key
    assert key not in repr(names)
    assert len(names) == len(list(names))
