"""The demo painter: an image for every prompt, of exactly the requested size."""

import hashlib
import itertools
import json
import random
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations

import pytest
from checkout import ROOT
from PIL import Image, ImageChops, ImageStat

from mountsea_magic.demo.drawing import paint
from mountsea_magic.demo.drawing.note import lay_out, writable
from mountsea_magic.demo.drawing.recognition import is_drawn
from mountsea_magic.demo.drawing.subject import read_subject

pytestmark = pytest.mark.drawing

PROMPTS = (
    "An action shot of a black lab swimming in a pool, the camera on the water line.",
    "a lighthouse at sunset",
    "A red fox in a snowy forest",
    "Tokyo at night in the rain, neon",
    "a cat on the moon",
    "mountains and a lake at dawn",
    "a field of tulips",
    "abstract composition in blue and gold",
    "a watercolour of a village in autumn",
    "two birds over a misty valley",
    "a robot teacher in a classroom",
)

NOT_DRAWN = (
    "a teapot",
    "A logo for a coffee shop",
    "an infographic about whales",
    "a red car",
    "a fox logo",
    "a dog's bowl",
    "a bowl of cherries",
    "a portrait of my grandmother",
    "a person riding a horse on the beach",
    "a bridge over a river at night",
    "a robot in the forest",
    "a sailing boat above a coral reef",
    "a penguin in a classroom",
    "a cat on a ship",
    "an owl above a coral reef",
    "a sunset",
    "xyzzy qwrt",
    "雪山下的狐狸",
    "🐕🏊‍♀️🌊",
    "12345 !!!",
)

DRAWN = (
    "cute and fluffy cat, 4k, highly detailed",
    "Please draw me two dogs on a skateboard",
    "Create a photorealistic image of a lighthouse",
    "watercolour, a fox in the snow",
    "A HOT AIR BALLOON",
    "an astronaut riding a horse",
    "children in a classroom",
    "the milky way",
    "a cat sits on a sofa",
    "a sunset over the ocean",
    "a dog swimming in the ocean",
    "a cat on the beach",
    "two seagulls over the sea",
    "geometric pattern",
    "a boat \ud83d on the sea",
    "red and gold",
)

LONG = (
    "A photorealistic teapot on a wooden table beside a window, with steam rising in the morning"
    " light and a plate of croissants"
)

NOTE = (253, 243, 196)

STRANGE = {
    "empty": "",
    "blank": " \t\n ",
    "emoji": "🐕🏊‍♀️🌊 👩🏽‍🚀",
    "right to left": "كلب يسبح في المسبح — חתול על הירח",
    "chinese": "雪山下的狐狸",
    "control characters": "a\x00b\x1b[31m\x7f\u202e\ufeff sea",
    "lone surrogate": "a boat \ud83d on the sea",
    "very long": "a dog and a boat in the city at night, " * 257,
    "no letters": "!!! ??? 12345 ---",
}


def small(prompt: str, seed: int = 1, model: str = "gpt-image-1") -> Image.Image:
    """Paint at the smallest size the demo is asked for, which is also the fastest."""
    return paint(prompt, seed, 256, 256, model=model)


def difference(first: Image.Image, second: Image.Image) -> float:
    """Measure how far two images are apart at a glance: per channel, 0 to 255."""
    size = (32, 32)
    apart = ImageChops.difference(first.resize(size), second.resize(size))
    return sum(ImageStat.Stat(apart).mean) / 3


def note_box(image: Image.Image) -> tuple[int, int, int, int] | None:
    """Find the paper of the note, or None where there is none."""
    apart = ImageChops.difference(image, Image.new("RGB", image.size, NOTE)).convert("L")
    paper = apart.point([255] + [0] * 255)
    return paper.getbbox() if paper.histogram()[255] > 100 else None


FILLED_IN = {
    "place": ["the moon", "village", "forest", "lake"],
    "time": ["dawn", "noon", "night"],
    "season": ["winter", "autumn"],
    "color": ["red", "green", "purple"],
    "product": ["boat", "house", "tulips", "balloon"],
}
"""Values that the notebooks' prompts are filled in with, by name."""


def filled_in(prompt: str) -> list[str]:
    """Return a prompt with each combination of values for its ``{{ name }}``."""
    names = list(dict.fromkeys(re.findall(r"{{ (\w+) }}", prompt)))
    filled = []
    for values in itertools.product(*(FILLED_IN[name] for name in names)):
        text = prompt
        for name, value in zip(names, values, strict=True):
            text = text.replace(f"{{{{ {name} }}}}", value)
        filled.append(text)
    return filled


def lesson_prompts() -> list[str]:
    """Collect what the notebooks have drawn from text."""
    prompts = []
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        for cell in json.loads(path.read_text("utf-8"))["cells"]:
            source = "".join(cell["source"])
            if cell["cell_type"] != "code":
                continue
            if source.startswith("%%mountsea"):
                line, _, body = source.partition("\n")
                if " -i " not in line:
                    prompts += filled_in(body)
            else:
                prompts += re.findall(r'"(an? [^"{]+)"', source, re.IGNORECASE)
    return prompts


@pytest.fixture(scope="module")
def gallery() -> dict[str, Image.Image]:
    """Paint every prompt once for the tests that compare them."""
    return {prompt: small(prompt) for prompt in PROMPTS}


def test_same_arguments_give_the_same_image(gallery: dict[str, Image.Image]) -> None:
    """The image depends on the arguments alone, not on the global random seed."""
    random.seed(99)
    for prompt in PROMPTS[:4]:
        assert small(prompt).tobytes() == gallery[prompt].tobytes()


def test_another_process_paints_the_same_image(gallery: dict[str, Image.Image]) -> None:
    """Nothing depends on the process, such as Python's randomized string hashes."""
    code = (
        "import hashlib; from mountsea_magic.demo.drawing import paint;"
        f"image = paint({PROMPTS[1]!r}, 1, 256, 256, model='gpt-image-1');"
        "print(hashlib.sha256(image.tobytes()).hexdigest())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == hashlib.sha256(gallery[PROMPTS[1]].tobytes()).hexdigest()


def test_painting_leaves_the_global_random_alone() -> None:
    """A student's own seeded numbers are not disturbed by an image."""
    random.seed(5)
    expected = random.random()
    random.seed(5)
    small("a dog")
    assert random.random() == expected


def test_threads_do_not_disturb_each_other(gallery: dict[str, Image.Image]) -> None:
    """Images painted at the same time are those painted one by one."""
    with ThreadPoolExecutor(4) as pool:
        for prompt, image in zip(PROMPTS, pool.map(small, PROMPTS[:6]), strict=False):
            assert image.tobytes() == gallery[prompt].tobytes()


@pytest.mark.parametrize("prompt", PROMPTS)
def test_another_seed_gives_a_clear_variation(prompt: str, gallery: dict[str, Image.Image]) -> None:
    """Thirty students with thirty seeds see thirty images, of the same prompt."""
    assert difference(gallery[prompt], small(prompt, seed=2)) > 2.5


def test_prompts_differ_clearly_from_one_another(gallery: dict[str, Image.Image]) -> None:
    """No two prompts of different subjects are alike at a glance."""
    distances = {
        pair: difference(gallery[pair[0]], gallery[pair[1]]) for pair in combinations(PROMPTS, 2)
    }
    assert {pair: apart for pair, apart in distances.items() if apart < 16} == {}


def test_a_prompt_is_closer_to_itself_than_to_others(gallery: dict[str, Image.Image]) -> None:
    """A seed varies the subject; only another prompt changes it."""
    for prompt in PROMPTS[:4]:
        own = difference(gallery[prompt], small(prompt, seed=2))
        others = [
            difference(gallery[prompt], gallery[other]) for other in PROMPTS if other != prompt
        ]
        assert own < sum(others) / len(others)


@pytest.mark.parametrize(
    "size",
    [(256, 256), (1024, 128), (256, 2048), (1536, 672), (301, 777), (640, 257)],
    ids=lambda size: f"{size[0]}x{size[1]}",
)
def test_size_is_exact(size: tuple[int, int]) -> None:
    """The image has exactly the pixels asked for, and fills a banner as it fills a square."""
    image = paint("a sail boat on the open sea", 3, *size, model="m")
    assert (image.size, image.mode) == (size, "RGB")
    assert min(ImageStat.Stat(image).stddev) > 12


@pytest.mark.parametrize("prompt", [*PROMPTS, "", "xyzzy qwrt"])
def test_image_is_never_flat(prompt: str, gallery: dict[str, Image.Image]) -> None:
    """Every image has thousands of colours, and light and dark in it."""
    image = gallery.get(prompt) or small(prompt)
    assert len(image.getcolors(256 * 256) or []) > 3000
    assert ImageStat.Stat(image.convert("L")).stddev[0] > 14


def test_mark_names_the_model_and_stays_in_its_corner() -> None:
    """Two models' images differ where the mark is, along the bottom, and nowhere else."""
    first, second = (
        paint("a lighthouse", 1, 512, 512, model=model) for model in ("gpt-image-1", "flux-pro")
    )
    box = ImageChops.difference(first, second).getbbox()
    assert box is not None
    assert box[1] > 512 * 0.9


@pytest.mark.parametrize("prompt", ["white snow, winter, pastel", "black night, dark space"])
@pytest.mark.parametrize("size", [(256, 256), (1024, 256), (256, 1024)])
def test_mark_is_legible_on_light_and_dark(prompt: str, size: tuple[int, int]) -> None:
    """The mark is pale ink on a dark pane: both are in the band that holds it."""
    image = paint(prompt, 1, *size, model="gpt-image-1")
    other = paint(prompt, 1, *size, model="another-name-x9")
    box = ImageChops.difference(image, other).getbbox()
    assert box is not None
    pane = image.crop(box).convert("L")
    histogram = pane.histogram()
    count = pane.width * pane.height
    assert sum(histogram[205:]) > 0.02 * count, "ink"
    assert sum(histogram[:150]) > 0.5 * count, "pane"


def test_a_model_name_too_long_for_the_image_is_cut() -> None:
    """A long or broken name never widens the image nor fails."""
    assert paint("sea", 1, 256, 256, model="m" * 500 + "\n\n é🎨").size == (256, 256)


@pytest.mark.parametrize("name", STRANGE)
def test_strange_prompts_still_give_an_image(name: str) -> None:
    """Any Unicode text is a prompt, also none and 10,000 characters."""
    image = small(STRANGE[name])
    assert ImageStat.Stat(image.convert("L")).stddev[0] > 14


def test_words_match_whole_and_in_any_case() -> None:
    """Boats in capitals are a boat; a seat has no sea in it."""
    assert read_subject("BOATS!").scene == "sea"
    assert read_subject("foxes").creatures[0].kind == "fox"
    assert read_subject("seat, category, scatter").scene == ""


def test_a_colour_belongs_to_the_animal_it_stands_before() -> None:
    """A black cat is black; the image around it is not."""
    subject = read_subject("a black cat in a red garden")
    assert subject.creatures[0].coat == (38, 38, 43)
    assert subject.tints == ((215, 38, 61),)


def test_colour_words_steer_the_palette() -> None:
    """An abstract image in blue is bluer than the same in red."""
    blue, red = (
        ImageStat.Stat(small(f"abstract composition in {word}")).mean for word in ("blue", "red")
    )
    assert blue[2] - blue[0] > red[2] - red[0] + 30


def test_night_is_darker_than_day() -> None:
    """Words of the hour set the light."""
    night, day = (small(f"a village at {hour}").convert("L") for hour in ("night", "noon"))
    assert ImageStat.Stat(night).mean[0] < ImageStat.Stat(day).mean[0] - 40


def test_a_large_image_is_painted_in_time() -> None:
    """The largest size costs less than five seconds of processor time."""
    start = time.thread_time()
    assert paint("a cat on the moon", 1, 4096, 4096, model="m").size == (4096, 4096)
    assert time.thread_time() - start < 5


@pytest.mark.parametrize("prompt", NOT_DRAWN)
def test_a_main_noun_that_is_not_drawn_gets_a_note(prompt: str) -> None:
    """Whether the word is unknown or only chose the scene, the prompt is written on the image."""
    assert note_box(small(prompt)) is not None


def test_a_prompt_that_is_drawn_gets_no_note(gallery: dict[str, Image.Image]) -> None:
    """Neither the prompts of these tests nor those of the lessons do, nor a blank one."""
    assert [prompt for prompt, image in gallery.items() if note_box(image)] == []
    lessons = lesson_prompts()
    assert len(lessons) > 20
    known = (*lessons, *DRAWN, "", " \n ")
    assert [prompt for prompt in known if not is_drawn(prompt, read_subject(prompt))] == []


@pytest.mark.parametrize(
    "size",
    [
        *((64, 64), (64, 128), (128, 64), (256, 256), (1536, 672), (2048, 2048)),
        *((1024, 128), (128, 1024), (2048, 64), (64, 2048)),
    ],
    ids=lambda size: f"{size[0]}x{size[1]}",
)
@pytest.mark.parametrize("prompt", ["a teapot", LONG, "w" * 500, "雪山"])
def test_the_note_is_legible(prompt: str, size: tuple[int, int]) -> None:
    """It is whole, above the mark, dark on pale, in letters of at least 10 pixels."""
    image = paint(prompt, 1, *size, model="m")
    box = note_box(image)
    assert box is not None
    left, top, right, bottom = box
    assert left > 0 and top > 0 and right < size[0] and bottom <= size[1] / 2 + 10
    ink = image.crop(box).convert("L").point([255 if v < 110 else 0 for v in range(256)])
    assert ink.histogram()[255] > 15
    layout = lay_out(writable(prompt) or "no letters", size)
    assert layout.size >= 10
    assert layout.width < size[0] and layout.height < size[1] / 2


def test_a_note_wraps_and_ends_with_an_ellipsis() -> None:
    """Words stay whole where there is room; what does not fit is cut."""
    roomy = lay_out(writable(LONG), (1024, 1024)).lines
    assert len(roomy) > 1
    assert " ".join(roomy) == writable(LONG)
    assert roomy[-1].endswith(" …")
    assert lay_out("a teapot", (64, 64)).lines == ("a teapot",)
    tight = lay_out(writable(LONG), (64, 64)).lines
    assert len(tight) > 1
    assert tight[-1].endswith("…")
    assert writable("w" * 500) == "w" * 95 + "…"


@pytest.mark.parametrize(
    ("prompt", "written"),
    [
        ("Ça, c’est “l’œuf” d’Étienne – naïve", "Ca, c’est “l’oeuf” d’Etienne - naive"),
        ("e\u0301te\u0301, ｆｕｌｌ ﬁ", "ete, full fi"),
        ("a\x00b\x1b[31m\x7f\u202e\ufeff hat \ud83d", "ab[31m hat"),
        ("雪山 teapot 🫖", "teapot"),
        ("🐕, 🌊!", ""),
        ("a\n\n tea\tpot", "a tea pot"),
    ],
)
def test_a_note_has_only_letters_of_its_font(prompt: str, written: str) -> None:
    """Accents and other scripts are left out: the font would draw boxes for them."""
    assert writable(prompt) == written


def test_a_note_lies_on_the_same_drawing() -> None:
    """Nothing but what it and its shadow cover changes, and the same seed gives the same note."""
    plain = paint("a red car", 1, 256, 256, model="m", note=False)
    noted = small("a red car", model="m")
    assert note_box(plain) is None
    assert noted.tobytes() == small("a red car", model="m").tobytes()
    changed = ImageChops.difference(plain, noted).getbbox()
    assert changed is not None
    assert changed[2] < 128 and changed[3] < 96
