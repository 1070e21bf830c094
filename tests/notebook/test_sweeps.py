"""Cells with many requests: --grid, --table and keys, their bodies, order and wrong input."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cells import prompts, run_cell
from hub_server import KEY, RESET, StandInHub, image
from IPython.core.interactiveshell import InteractiveShell

from mountsea_magic.errors import BatchFailed, InvalidRequest
from mountsea_magic.generation.batch import Batch
from mountsea_magic.images import inputs
from mountsea_magic.notebook import cell as cell_module
from mountsea_magic.request.axes import ImageWord
from mountsea_magic.request.prepare import InputImages

Bodies = Callable[..., list[dict[str, Any]]]


@pytest.fixture
def bodies(hub: StandInHub, shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> Bodies:
    """Return the bodies that a cell submits, by `input`, in the order of its dry run."""

    def run(line: str, body: str = "a dog") -> list[dict[str, Any]]:
        before = len(hub.posts)
        shell.run_cell_magic("mountsea", f"--dry-run {line}", body)  # type: ignore[no-untyped-call]  # IPython is untyped
        assert len(hub.posts) == before
        lines = capsys.readouterr().out.split("\n")
        shown = [json.loads(line) for line in lines if line.startswith("{") and len(line) > 1]
        run_cell(shell, body, f"{line} --yes -j 8")
        sent = [seen.json for seen in hub.posts[before:]]
        if "data:" in str(shown):  # which are shortened there
            return sorted((each["input"] for each in sent), key=lambda input: input["seed"])
        assert sorted(map(json.dumps, sent)) == sorted(map(json.dumps, shown))
        return [each["input"] for each in shown]

    return run


def refused(shell: InteractiveShell, line: str, body: str = "a dog") -> str:
    """Return the message with which a cell is refused."""
    with pytest.raises(InvalidRequest) as caught:
        run_cell(shell, body, line)
    return str(caught.value)


def test_axes_combine_in_the_order_of_product(bodies: Bodies) -> None:
    """The last axis varies fastest; a name of the prompt fills it, a parameter is set."""
    found = bodies("--grid time=dawn,noon --grid seed=1..3", "a bay at {{ time }}")
    assert found == [
        {"prompt": f"a bay at {time}", "seed": seed}
        for time in ("dawn", "noon")
        for seed in (1, 2, 3)
    ]


def test_prompts_are_the_first_axis(bodies: Bodies) -> None:
    """Options hold for all requests."""
    found = bodies("-n 2 -g aspect_ratio=1:1,16:9", "a dog\n---\na cat")
    assert found == [
        {"prompt": prompt, "num_images": 2, "aspect_ratio": ratio}
        for prompt in ("a dog", "a cat")
        for ratio in ("1:1", "16:9")
    ]


def test_a_table_fills_prompts_and_sets_parameters(bodies: Bodies, shell: InteractiveShell) -> None:
    """Other columns are kept with the result, and sent nowhere; an empty cell sets nothing."""
    shell.user_ns["rows"] = [
        {"animal": "cat", "seed": 7, "sku": "A-1"},
        {"animal": "dog", "seed": float("nan"), "sku": "A-2"},
    ]
    found = bodies("--table rows -f webp", "a {{ animal }}")
    assert found == [
        {"prompt": "a cat", "output_format": "webp", "seed": 7},
        {"prompt": "a dog", "output_format": "webp"},
    ]
    batch = shell.user_ns["dogs"]
    assert [each.variables for each in batch] == [
        {"animal": "cat", "sku": "A-1"},
        {"animal": "dog", "sku": "A-2"},
    ]
    assert [each.prompt for each in batch.where(sku="A-2")] == ["a dog"]


def test_one_at_a_time_is_in_the_order_of_the_rows(
    hub: StandInHub, shell: InteractiveShell
) -> None:
    """Rows with a seed, which the journal may answer, and rows without."""
    shell.user_ns["rows"] = [
        {"animal": "cat", "seed": 1},
        {"animal": "dog"},
        {"animal": "fish", "aspect_ratio": "1:1", "seed": 3},
        {"animal": "horse", "model": "gpt-image-2"},
        {"animal": "owl", "num_images": 2},
    ]
    run_cell(shell, "{{ animal }}", "--table rows -j 1 -q")
    assert prompts(hub) == ["cat", "dog", "fish", "horse", "owl"]


def test_every_row_meets_every_combination(bodies: Bodies, shell: InteractiveShell) -> None:
    """Rows come before the axes; the model may be a column."""
    shell.user_ns["rows"] = [{"model": "gpt-image-2"}, {"animal": "fish"}]
    shell.user_ns["animal"] = "unused"
    message = refused(shell, "--table rows --grid seed=1,2", "a {{ animal }}")
    assert "The prompt uses animal, which is empty in this row of --table." in message
    shell.user_ns["rows"] = [{"animal": "cat"}, {"animal": "fish"}]
    found = bodies("--table rows --grid seed=1,2", "a {{ animal }}")
    assert [(each["prompt"], each["seed"]) for each in found] == [
        ("a cat", 1),
        ("a cat", 2),
        ("a fish", 1),
        ("a fish", 2),
    ]


def test_several_requests_are_bound_as_a_batch_before_waiting(
    hub: StandInHub, shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the axes, and is the same object at the end; of one request it is the generation."""
    bound = []

    def seen(shell: InteractiveShell, batch: Batch, *_: Any) -> None:
        bound.append((shell.user_ns["dogs"], batch))

    monkeypatch.setattr(cell_module, "run", seen)
    run_cell(shell, "a dog", "--grid seed=1,2 --preview 99")
    run_cell(shell, "a dog", "--grid seed=1")
    (batch, given), (one, alone) = bound
    assert isinstance(batch, Batch) and batch is given
    assert [axis.name for axis in batch.axes] == ["seed"]
    assert {each.preview_px for each in batch} == {99}
    assert (one, len(alone)) == (alone[0], 1)


def test_values_of_a_variable_become_an_axis(bodies: Bodies, shell: InteractiveShell) -> None:
    """Any iterable."""
    shell.user_ns["seeds"] = (number * 10 for number in range(1, 3))
    shell.user_ns["times"] = ["dawn, early", "noon"]
    message = refused(shell, "--grid seed=@sedes")
    assert message == (
        "--grid seed: there is no variable 'sedes'. Did you mean seeds? "
        "Text that starts with @ needs quotes."
    )
    found = bodies('--grid time=@times,"a, b"', "a dog at {{ time }}")
    assert [each["prompt"] for each in found] == [
        "a dog at dawn, early",
        "a dog at noon",
        "a dog at a, b",
    ]


def test_an_image_axis_converts_each_image_once(
    bodies: Bodies, shell: InteractiveShell, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not once for each combination: files, variables and values of a variable."""
    reads = []

    def read(content: bytes, shrink: bool) -> str:
        reads.append(content)
        return uri(content, shrink)

    uri = inputs._data_uri
    monkeypatch.setattr(inputs, "_data_uri", read)
    shell.user_ns |= {"dog": image(), "cats": [image("png", 1), image("png", 2)]}
    found = bodies("-m nano-banana-edit --grid image=dog,@cats --grid seed=1..4", "more snow")
    assert len(found) == 12 and len(reads) == 2 * 3
    assert len({json.dumps(each["image_urls"]) for each in found}) == 3


def test_an_image_column_sets_the_input_image(
    bodies: Bodies, shell: InteractiveShell, tmp_path: Path
) -> None:
    """Text in a table is a path or a URL, not the name of a variable; -i fills empty cells."""
    (tmp_path / "dog.png").write_bytes(image())
    url = "https://example.com/cat.png"
    shell.user_ns["cat"] = image()
    shell.user_ns["rows"] = [
        {"image": str(tmp_path / "dog.png"), "seed": 1},
        {"image": url, "seed": 2},
        {"seed": 3},
    ]
    found = bodies(f"-m nano-banana-edit --table rows -i {url}x", "more snow")
    assert [each["image_urls"][0][:15] for each in found[:1]] == ["data:image/png;"]
    assert [each["image_urls"] for each in found[1:]] == [[url], [f"{url}x"]]
    shell.user_ns["rows"] = [{"image": "cat"}]
    message = refused(shell, "-m nano-banana-edit --table rows", "more snow")
    assert message.startswith("image: ")


def test_an_image_is_found_by_what_the_user_called_it(
    bodies: Bodies, shell: InteractiveShell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On an axis and in a table; no signature of a URL is kept."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "dog.png").write_bytes(image())
    url = "https://example.com/cat.png?signature=s3cret"
    shell.user_ns["cat"] = image("png", 1)
    bodies(f"-m nano-banana-edit --grid image=dog.png,cat,{url} --grid seed=1,2", "more snow")
    batch = shell.user_ns["dogs"]
    for name in ("dog.png", "cat", url):
        assert [each.request.input["seed"] for each in batch.where(image=name)] == [1, 2]
    assert batch.to_pandas()["image"].tolist()[::2] == [
        "dog.png",
        "cat",
        "https://example.com/cat.png?…",
    ]
    shell.user_ns["rows"] = [{"image": "dog.png", "seed": 3}, {"image": image(), "seed": 4}]
    bodies("-m nano-banana-edit --table rows", "more snow")
    batch = shell.user_ns["dogs"]
    assert [each.variables for each in batch] == [{"image": "dog.png"}, {}]
    assert len(batch.where(image="dog.png")) == 1


def test_a_model_axis_uses_the_parameters_of_each_model(
    hub: StandInHub, shell: InteractiveShell
) -> None:
    """An axis that only one of the models has is set for that one."""
    run_cell(shell, "a dog", "--grid model=nano-banana,gpt-image-2 -q")
    assert sorted(seen.json["model"] for seen in hub.posts) == ["gpt-image-2", "nano-banana"]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("--grid seed", "--grid must be NAME=VALUES (got 'seed')."),
        ("--grid seed=", "--grid seed: it has no values"),
        ("--grid seed=1 --grid seed=2", "--grid seed is given twice"),
        ("--grid seed=1 -s 2", "seed is set by an option and by --grid; remove one of them."),
        ("--grid model=gpt-image-2 -m nano-banana", "model is set by an option and by --grid"),
        ("--grid image=a.png -i b.png -m nano-banana-edit", "image is set by an option"),
        ("--grid sede=1,2", "Did you mean seed"),
        ("--grid image=a.png", "'nano-banana' does not accept images"),
        ("--grid seed=1..99999999", "more than 10,000 values"),
        ("--grid seed=1..200 --grid num_images=1..4 --grid aspect_ratio=@wide", "16,000 requests"),
        ("--grid seed=@nothing", "has no values"),
        ("--grid seed=@number", "must be a list or another iterable"),
        ("--grid model=nano-bananna", "Did you mean nano-banana"),
        ("--table nobody", "--table: there is no variable 'nobody'."),
        ("--table number", "--table number must be a DataFrame or a list of mappings"),
        ("--table nothing", "--table nothing has no rows."),
        ("--table unused", "No column of --table is used (colour)."),
        ("--table seeds --grid seed=1", "seed is set by --grid and by a column of --table"),
        ("-j 0", "--concurrency must be at least 1 (got 0)."),
        ("-j two", "expected a whole number, got 'two'"),
        ("--idempotency-key ''", "--idempotency-key is empty"),
        (f"--idempotency-key {'k' * 201}", "has 201 characters; at most 200 are possible."),
        ("--idempotency-key 'a\x07b'", "must not contain control characters"),
    ],
)
def test_wrong_input_is_refused_before_anything_is_sent(
    hub: StandInHub, shell: InteractiveShell, line: str, message: str
) -> None:
    """In one or two lines that name the cure."""
    shell.user_ns |= {"nothing": [], "number": 7, "wide": ["16:9"] * 20}
    shell.user_ns |= {"unused": [{"colour": "red"}], "seeds": [{"seed": 1}]}
    found = refused(shell, line)
    assert message in found.replace("nano-banana does", "'nano-banana' does")
    assert hub.posts == [] and "dogs" not in shell.user_ns


def test_problems_of_axes_and_table_are_reported_together(
    hub: StandInHub, shell: InteractiveShell
) -> None:
    """Of several problems all."""
    assert refused(shell, "--grid seed= --table nobody").count("\n") == 1
    assert hub.requests == []


def test_a_problem_that_many_share_is_said_once(hub: StandInHub, shell: InteractiveShell) -> None:
    """With where it occurs, unless all have it."""
    message = refused(shell, "--grid seed=1..3 -n 9")
    assert message == "--num-images must be at most 4 for nano-banana (got 9)."
    message = refused(shell, "--grid num_images=1,9 --grid seed=1..3")
    assert message == (
        "num_images=9, seed=1 and 2 more: --num-images must be at most 4 for nano-banana (got 9)."
    )
    assert hub.requests == []


def test_a_raw_body_has_no_names(bodies: Bodies, shell: InteractiveShell) -> None:
    """--grid can then set parameters only."""
    assert "neither a parameter" in refused(shell, "--raw --grid time=1,2", "at {{ time }}")
    found = bodies("--raw --grid seed=1,2", "{{ a }}\n---")
    assert [each["prompt"] for each in found] == ["{{ a }}\n---"] * 2


def test_the_requests_of_a_cell_have_numbered_keys(
    hub: StandInHub, shell: InteractiveShell
) -> None:
    """A single request has the key as it is."""
    batch = run_cell(shell, "a dog\n---\na cat", "--idempotency-key pets -q")
    assert [each.idempotency_key for each in batch] == ["pets/1", "pets/2"]
    (dog,) = run_cell(shell, "a fox", "--idempotency-key fox -q")
    assert dog.idempotency_key == "fox"
    (dog,) = run_cell(shell, "a fox", "-q")
    assert dog.idempotency_key is None
    run_cell(shell, "a dog\n---\na cat", "--idempotency-key pets -q")
    assert len(hub.posts) == 4


def test_a_reason_that_names_another_key_each_time_is_said_once(
    hub: StandInHub, shell: InteractiveShell
) -> None:
    """Uncertain requests of an earlier run, and keys of other requests."""
    hub.submits += [RESET, RESET]
    with pytest.raises(BatchFailed):
        run_cell(shell, "a dog", "-q --grid seed=1..3 -j 1 --idempotency-key dogs")
    with pytest.raises(BatchFailed) as caught:
        run_cell(shell, "a dog", "-q --grid seed=1..3 --idempotency-key dogs")
    assert str(caught.value).count("may have reached the Hub") == 1
    assert "2 × SubmissionUncertain: An earlier submission" in str(caught.value)
    with pytest.raises(BatchFailed, match="3 × InvalidRequest: The idempotency key dogs"):
        run_cell(shell, "a cat", "-q --grid seed=1..3 --idempotency-key dogs")
    assert len(hub.posts) == 3


def test_a_key_that_contains_the_api_key_is_refused(
    hub: StandInHub, shell: InteractiveShell
) -> None:
    """It would be stored in the journal."""
    assert "contains your API key" in refused(shell, f"--idempotency-key a{KEY}")
    assert hub.requests == []


def test_a_dry_run_shows_every_request_and_the_first_as_curl(
    hub: StandInHub, shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    """One line each, however many; the demo Hub or a real one, with or without a confirmation."""
    shell.run_cell_magic("mountsea", "--dry-run --grid seed=1..24 -n 2", "a dog")  # type: ignore[no-untyped-call]  # as above
    output = capsys.readouterr().out
    shown = [json.loads(line) for line in output.split("\n") if line.startswith("{")]
    assert [body["input"]["seed"] for body in shown] == list(range(1, 25))
    assert output.count("curl ") == 1 and "$MOUNTSEA_API_KEY" in output and KEY not in output
    assert output.endswith("\n24 requests, 48 images; nothing was sent.\n")
    assert hub.requests == []


def test_the_help_names_the_options_of_many(
    shell: InteractiveShell, capsys: pytest.CaptureFixture[str]
) -> None:
    """In `-h`, as in `%%mountsea?`."""
    shell.run_cell_magic("mountsea", "-h", "\n")  # type: ignore[no-untyped-call]  # as above
    output = capsys.readouterr().out
    for option in ("--grid NAME=VALUES", "--table NAME", "--concurrency N", "--idempotency-key"):
        assert option in output


def test_texts_are_converted_apart_from_words() -> None:
    """Text of a variable is a path, a word of the line may be a variable: of equal text, too."""
    url = "https://example.com/dog.png"
    images = InputImages({"dog": url})
    assert images.urls(ImageWord("dog"), label="image") == [url]
    with pytest.raises(InvalidRequest, match="image: "):
        images.urls("dog", label="image")
