"""The demo editor: a prompt's words change an image."""

from __future__ import annotations

import hashlib
import io
import random
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import combinations
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageDraw, ImageStat

from mountsea_magic.demo.drawing import paint
from mountsea_magic.demo.drawing.mark import draw_mark
from mountsea_magic.demo.editing.editor import edit
from mountsea_magic.demo.editing.unmark import lift_mark
from mountsea_magic.request.catalog import bundled_catalog

pytestmark = pytest.mark.drawing

SIZE = 256
MODEL = "nano-banana-edit"
NOTE = (253, 243, 196)
HUB = "http://demo-hub.invalid/pictures"
TASK = "hub-01234567-89ab-cdef-0123-456789abcdef"

PROMPTS = (
    "Make it winter",
    "in autumn",
    "It is spring!",
    "a sunny summer day",
    "at night",
    "at sunset",
    "with fog",
    "in the rain",
    "with a rainbow",
    "make it red",
    "make the sky purple",
    "blue and orange",
    "as an oil painting",
    "a watercolour",
    "as a pencil sketch",
    "drawn with coloured pencils",
    "a comic",
    "a blueprint",
    "pixel art",
    "a Roman mosaic",
    "stained glass",
    "pop art",
    "a poster",
    "neon",
    "brighter",
    "darker",
    "warmer",
    "colder",
    "more vivid",
    "faded",
    "sharper",
    "a negative",
    "blurred",
    "dreamy",
    "an old photo",
    "black and white",
    "a polaroid",
    "in a frame",
    "in a golden frame",
    "mirror it",
    "upside down",
    "zoom in",
    "add a black cat",
    "add two birds",
)

STRANGE = {
    "empty": "",
    "blank": " \t\n ",
    "emoji": "🐕🏊‍♀️🌊 👩🏽‍🚀",
    "right to left": "كلب يسبح في المسبح",
    "chinese": "雪山下的狐狸",
    "control characters": "a\x00b\x1b[31m\x7f\u202e\ufeff hat",
    "lone surrogate": "a hat \ud83d on the dog",
    "one long word": "w" * 500,
    "very long": "put a hat on the dog, " * 500,
}


@pytest.fixture(scope="module")
def village() -> Image.Image:
    """Paint what is edited."""
    return paint("a village in summer", 3, SIZE, SIZE, model="nano-banana")


@pytest.fixture(scope="module")
def dog() -> Image.Image:
    """Paint another image."""
    return paint("a dog", 3, SIZE, SIZE, model="nano-banana")


@pytest.fixture(scope="module")
def gallery(village: Image.Image) -> dict[str, Image.Image]:
    """Edit one image by every prompt, for the tests that compare the results."""
    return {prompt: changed(village, prompt) for prompt in PROMPTS}


def changed(image: Image.Image, prompt: str, seed: int = 1, **more: Any) -> Image.Image:
    """Edit an image at its own size."""
    return edit(prompt, seed, [image], *image.size, model=MODEL, **more)


def apart(first: Image.Image, second: Image.Image) -> float:
    """Measure how far two images are apart at a glance: per channel, 0 to 255."""
    small = [image.resize((64, 64), Image.Resampling.BOX) for image in (first, second)]
    return sum(ImageStat.Stat(ImageChops.difference(*small)).mean) / 3


def mean(image: Image.Image) -> tuple[float, float, float]:
    """Average red, green and blue, without the strip that has the mark."""
    red, green, blue = ImageStat.Stat(image.crop((0, 0, SIZE, round(SIZE * 0.9)))).mean
    return red, green, blue


def light(image: Image.Image) -> float:
    """Average brightness."""
    return sum(mean(image)) / 3


def light_of(image: Image.Image) -> float:
    """Average brightness of a part."""
    return ImageStat.Stat(image.convert("L")).mean[0]


def colorfulness(image: Image.Image) -> float:
    """Average saturation, without the strip that has the mark."""
    strip = image.crop((0, 0, SIZE, round(SIZE * 0.9))).convert("HSV")
    return ImageStat.Stat(strip).mean[1]


def has_note(image: Image.Image) -> bool:
    """Whether there is a note with the prompt on it."""
    flat = Image.new("RGB", image.size, NOTE)
    difference = ImageChops.difference(image, flat).convert("L")
    return difference.histogram()[0] > 200


@pytest.mark.parametrize("prompt", PROMPTS)
def test_each_instruction_changes_the_image(
    prompt: str, village: Image.Image, gallery: dict[str, Image.Image]
) -> None:
    """Each is seen at a glance, and understood: there is no note on the image."""
    assert gallery[prompt].size == village.size
    assert apart(gallery[prompt], village) > 2
    assert not has_note(gallery[prompt])


def test_no_two_instructions_give_the_same(gallery: dict[str, Image.Image]) -> None:
    """Each word does something of its own."""
    near = {
        pair: distance
        for pair in combinations(PROMPTS, 2)
        if (distance := apart(gallery[pair[0]], gallery[pair[1]])) < 1.5
    }
    assert near == {}


@pytest.mark.parametrize("prompt", ["put a hat on the dog", "", "雪山"])
def test_what_is_not_understood_is_changed_and_noted(prompt: str, village: Image.Image) -> None:
    """The mood changes, and a note says what was asked for: something is always seen."""
    result = changed(village, prompt)
    assert has_note(result)
    assert apart(result, village) > 5


@pytest.mark.parametrize(
    "prompt", ["remove the snow", "not too dark", "without any fog", "no rain"]
)
def test_what_is_not_wanted_is_not_done(prompt: str, village: Image.Image) -> None:
    """A word after a negation is not an instruction."""
    assert has_note(changed(village, prompt))


def test_words_match_whole_and_in_any_case(village: Image.Image) -> None:
    """Capitals and plurals are the same word; a knight brings no night."""
    assert apart(changed(village, "NIGHTS"), changed(village, "night")) < 8
    assert has_note(changed(village, "a knight, a brain, a frametable"))


def test_instructions_do_what_they_say(
    village: Image.Image, gallery: dict[str, Image.Image]
) -> None:
    """Winter is bluer and lighter, night darker, sunset redder, and so on."""
    red, _, blue = mean(village)

    def warmth(prompt: str) -> float:
        return (mean(gallery[prompt])[0] - mean(gallery[prompt])[2]) - (red - blue)

    assert warmth("Make it winter") < -5
    assert light(gallery["Make it winter"]) > light(village) + 5
    assert warmth("in autumn") > 30
    assert warmth("at sunset") > 40
    assert warmth("warmer") > 15
    assert warmth("colder") < -15
    assert warmth("make it red") > 60
    assert light(gallery["at night"]) < light(village) - 50
    assert light(gallery["darker"]) < light(village) - 25
    assert light(gallery["brighter"]) > light(village) + 25
    assert light(gallery["with fog"]) > light(village) + 5
    assert colorfulness(gallery["more vivid"]) > colorfulness(village) + 20
    assert colorfulness(gallery["black and white"]) == 0
    assert colorfulness(gallery["as a pencil sketch"]) < 30
    assert len(gallery["pixel art"].crop((0, 0, SIZE, 220)).getcolors() or []) <= 28


def test_instructions_combine(village: Image.Image, gallery: dict[str, Image.Image]) -> None:
    """A winter night is neither winter nor night alone, and darker than winter."""
    both = changed(village, "a winter night")
    assert apart(both, gallery["Make it winter"]) > 30
    assert apart(both, gallery["at night"]) > 10
    assert light(both) < light(gallery["Make it winter"]) - 50


def test_a_chain_goes_on_from_what_was_made(village: Image.Image) -> None:
    """Winter, then a sketch of that: the second edit shows the first one's snow."""
    winter = changed(village, "Make it winter")
    sketch = changed(winter, "as a pencil sketch")
    assert apart(sketch, winter) > 15
    assert apart(sketch, changed(village, "as a pencil sketch")) > 5


def test_mirroring_mirrors(village: Image.Image) -> None:
    """Above the mark each row is the reverse of what it was."""
    top = (0, 0, SIZE, round(SIZE * 0.8))
    expected = village.transpose(Image.Transpose.FLIP_LEFT_RIGHT).crop(top)
    assert changed(village, "flip it").crop(top).tobytes() == expected.tobytes()


def test_a_colour_of_a_thing_is_not_the_images(village: Image.Image) -> None:
    """A red hat makes no red image, nor a golden frame a golden one."""
    red = changed(village, "make it red")
    assert apart(changed(village, "give him a red hat"), red) > 20
    middle = (80, 80, 170, 170)
    framed, golden = (changed(village, f"in a {word} frame") for word in ("wooden", "golden"))
    assert framed.crop(middle).tobytes() == golden.crop(middle).tobytes()
    assert apart(framed, golden) > 3


def test_the_sky_alone_can_take_a_colour(village: Image.Image) -> None:
    """The ground stays as it was."""
    result = changed(village, "make the sky red")
    ground = (0, 160, SIZE, 220)
    assert result.crop(ground).tobytes() == village.crop(ground).tobytes()
    assert apart(result.crop((0, 0, SIZE, 60)), village.crop((0, 0, SIZE, 60))) > 20


def test_same_arguments_give_the_same_image(
    village: Image.Image, gallery: dict[str, Image.Image]
) -> None:
    """In threads, too, and the global random generator is left alone."""
    random.seed(5)
    expected = random.random()
    random.seed(5)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda prompt: changed(village, prompt), PROMPTS))
    assert random.random() == expected
    for prompt, result in zip(PROMPTS, results, strict=True):
        assert result.tobytes() == gallery[prompt].tobytes(), prompt


def test_another_process_gives_the_same_image() -> None:
    """Nothing depends on the process, such as Python's randomized string hashes."""
    code = (
        "import hashlib; from PIL import Image;"
        "from mountsea_magic.demo.editing.editor import edit;"
        "image = edit('a winter night in oil', 1, [Image.linear_gradient('L')], 96, 64, model='m');"
        "print(hashlib.sha256(image.tobytes()).hexdigest())"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    here = edit("a winter night in oil", 1, [Image.linear_gradient("L")], 96, 64, model="m")
    assert run.stdout.strip() == hashlib.sha256(here.tobytes()).hexdigest()


@pytest.mark.parametrize("prompt", ["Make it winter", "in autumn", "as a pencil sketch", "no idea"])
def test_another_seed_gives_another_image(prompt: str, village: Image.Image) -> None:
    """Thirty students with thirty seeds see thirty images."""
    results = {changed(village, prompt, seed).tobytes() for seed in range(5)}
    assert len(results) == 5


def test_the_input_images_stay_as_they_are(village: Image.Image, dog: Image.Image) -> None:
    """They may be edited again."""
    before = village.tobytes(), dog.tobytes()
    edit("winter night", 1, [village, dog], SIZE, SIZE, model=MODEL)
    assert (village.tobytes(), dog.tobytes()) == before


def test_a_mask_keeps_what_is_black(village: Image.Image) -> None:
    """Within the white everything may change, outside nothing but the mark's corner."""
    mask = Image.new("L", (SIZE, SIZE))
    ImageDraw.Draw(mask).rectangle((64, 64, 191, 191), fill=255)
    result = changed(village, "at night", mask=mask)
    difference = ImageChops.difference(result, village).crop((0, 0, SIZE, 220))
    assert difference.getbbox() == (64, 64, 192, 192)
    inside = (64, 64, 192, 192)
    assert result.crop(inside).tobytes() == changed(village, "at night").crop(inside).tobytes()


def test_a_mask_is_scaled_to_its_image(village: Image.Image) -> None:
    """A small colour mask with transparency works as a large gray one."""
    mask = Image.new("RGBA", (16, 16), "black")
    mask.paste((255, 255, 255, 255), (0, 0, 16, 8))
    result = changed(village, "at night", mask=mask)
    assert apart(result.crop((0, 0, SIZE, 100)), village.crop((0, 0, SIZE, 100))) > 30
    below = (0, 160, SIZE, 220)
    assert apart(result.crop(below), village.crop(below)) < 1


@pytest.mark.parametrize("count", [2, 3, 7, 9])
def test_further_images_lie_on_the_first(
    count: int, village: Image.Image, dog: Image.Image
) -> None:
    """However many there are, each is seen, and the first one still fills the frame."""
    one = edit("brighter", 1, [village], SIZE, SIZE, model=MODEL)
    fewer = edit("brighter", 1, [village, *[dog] * (count - 2)], SIZE, SIZE, model=MODEL)
    result = edit("brighter", 1, [village, *[dog] * (count - 1)], SIZE, SIZE, model=MODEL)
    assert apart(result, one) > 3
    assert apart(result, fewer) > 1
    assert result.crop((120, 120, 136, 136)).tobytes() == one.crop((120, 120, 136, 136)).tobytes()


def test_without_an_image_there_is_nothing_to_edit() -> None:
    """It raises an error."""
    with pytest.raises(ValueError, match="no image"):
        edit("winter", 1, [], 64, 64, model=MODEL)


@pytest.mark.parametrize(
    "size",
    [(256, 256), (64, 64), (512, 64), (64, 512), (301, 177), (640, 256), (256, 640)],
    ids=lambda size: f"{size[0]}x{size[1]}",
)
@pytest.mark.parametrize("prompt", ["winter night", "oil", "mosaic", "polaroid in a frame", "hm"])
def test_size_is_exact(prompt: str, size: tuple[int, int], village: Image.Image) -> None:
    """Whatever the input's shape is, the result has the pixels asked for, all of them filled."""
    result = edit(prompt, 3, [village], *size, model="m")
    assert (result.size, result.mode) == (size, "RGB")
    for part in ((0, 0, size[0] // 2, size[1]), (size[0] // 2, 0, *size)):
        assert max(ImageStat.Stat(result.crop(part)).stddev) > 8


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 900), (3000, 2), (31, 33)])
def test_an_input_may_have_any_size(size: tuple[int, int]) -> None:
    """One pixel and a hair line are images, too, and masks."""
    tiny = Image.new("RGB", size, "olive")
    for prompt in ("a winter night", "in oil", "a polaroid", "hat"):
        result = edit(prompt, 1, [tiny, tiny], 64, 80, model="m", mask=tiny)
        assert result.size == (64, 80)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I"])
def test_any_mode_is_an_input(mode: str) -> None:
    """As PNG, JPEG and WebP files bring them; a half-gray image is half gray."""
    source = Image.new("L", (64, 64), 128)
    if mode.startswith("I"):
        source = Image.new(mode, (64, 64), 128 * 256)
    elif mode != "1":
        source = source.convert("RGB").convert(mode)
    result = edit("flip", 1, [source], 64, 64, model="m")
    assert light_of(result.crop((0, 0, 64, 32))) == pytest.approx(128, abs=12)


def test_what_was_transparent_becomes_white() -> None:
    """The background of a cut-out becomes white, not black."""
    source = Image.new("RGBA", (64, 64), (0, 0, 0, 0))
    assert light_of(edit("flip", 1, [source], 64, 64, model="m").crop((0, 0, 64, 28))) == 255


def test_a_photo_that_lies_on_its_side_is_set_upright() -> None:
    """Cameras note how they were held."""
    source = Image.new("RGB", (60, 30), "black")
    source.paste((255, 255, 255), (0, 0, 30, 30))
    exif = Image.Exif()
    exif[0x0112] = 6
    buffer = io.BytesIO()
    source.save(buffer, "PNG", exif=exif)
    result = edit("flip", 1, [Image.open(buffer)], 30, 60, model="m")
    assert light_of(result.crop((0, 0, 30, 28))) > 250


def test_the_mark_is_on_it_and_names_the_model(village: Image.Image) -> None:
    """Two models' edits differ where the mark is, along the bottom, and nowhere else."""
    first, second = (
        edit("winter", 1, [village], SIZE, SIZE, model=model) for model in ("gpt-image-2", "flux")
    )
    box = ImageChops.difference(first, second).getbbox()
    assert box is not None
    assert box[1] > SIZE * 0.85


@pytest.mark.parametrize("kind", ["png", "jpeg", "webp"])
@pytest.mark.parametrize("model", [model.id for model in bundled_catalog()])
def test_an_old_mark_is_lifted(model: str, kind: str) -> None:
    """Its letters are gone, though the file was packed with loss; so a mirrored one shows none."""
    marked = Image.linear_gradient("L").point([60 + v // 4 for v in range(256)]).resize((512, 512))
    marked = marked.convert("RGB")
    draw_mark(marked, model)
    buffer = io.BytesIO()
    marked.save(buffer, kind.upper(), quality=85)
    with Image.open(buffer) as read:
        packed = read.convert("RGB")
    healed = lift_mark(packed)
    strip = (100, 470, 512, 512)
    assert max(packed.crop(strip).convert("L").tobytes()) > 230
    assert max(healed.crop(strip).convert("L").tobytes()) < 135
    assert min(healed.crop(strip).convert("L").tobytes()) > 100
    top = (0, 0, 512, 460)
    assert healed.crop(top).tobytes() == packed.crop(top).tobytes()


def test_a_mirrored_mark_is_lifted() -> None:
    """As on an image that was mirrored between two edits."""
    marked = Image.new("RGB", (512, 512), (90, 120, 60))
    draw_mark(marked, MODEL)
    mirrored = marked.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    assert lift_mark(mirrored).getcolors() == [(512 * 512, (90, 120, 60))]


def test_an_image_without_a_mark_is_left_alone() -> None:
    """Be it dark, light, or busy."""
    for image in (
        Image.new("RGB", (512, 512), "black"),
        Image.new("RGB", (512, 512), "white"),
        Image.effect_noise((512, 512), 120).convert("RGB"),
        Image.linear_gradient("L").convert("RGB"),
    ):
        assert lift_mark(image) is image


@pytest.mark.parametrize("name", STRANGE)
def test_strange_prompts_still_give_an_image(name: str, village: Image.Image) -> None:
    """Any Unicode text is a prompt, also none and 10,000 characters."""
    assert apart(changed(village, STRANGE[name]), village) > 3


@pytest.mark.parametrize(
    "prompt", ["oil painting", "watercolour", "a winter night", "stained glass"]
)
def test_an_edit_is_fast(prompt: str) -> None:
    """At the usual size well under a second of processor time, so that no class waits."""
    source = paint("a dog", 1, 1024, 1024, model="nano-banana")
    start = time.thread_time()
    edit(prompt, 1, [source], 1024, 1024, model=MODEL)
    assert time.thread_time() - start < 1.2


def test_a_large_edit_is_made_in_time(village: Image.Image) -> None:
    """The largest size costs less than five seconds of processor time."""
    start = time.thread_time()
    assert edit("winter in oil", 1, [village], 4096, 4096, model="m").size == (4096, 4096)
    assert time.thread_time() - start < 5
