"""Colors of the demo images: named palettes, and how words and seeds bend them."""

import colorsys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from random import Random
from types import MappingProxyType

Color = tuple[int, int, int]
Ink = tuple[int, int, int, int]
"""A color with its opacity, 0 (invisible) to 255."""


@dataclass(frozen=True)
class Palette:
    """The colors one image is allowed to use.

    Attributes:
        sky: The sky from its top, through its middle, to the horizon.
        light: The sun or the moon, and whatever it strikes.
        far: Land at the horizon, already pale with distance.
        near: Land at the viewer's feet.
        leaf: Leaves and grass.
        water: Deep water.
        accents: Four colors for roofs, sails, flowers and signs; the third is the palest.
        dark: Whether it is night: stars come out and windows are lit.
    """

    sky: tuple[Color, Color, Color]
    light: Color
    far: Color
    near: Color
    leaf: Color
    water: Color
    accents: tuple[Color, Color, Color, Color]
    dark: bool = False


def color(code: str) -> Color:
    """Read a color written as "#rrggbb"."""
    return int(code[1:3], 16), int(code[3:5], 16), int(code[5:7], 16)


def mix(first: Color, second: Color, share: float) -> Color:
    """Mix two colors: 0 gives the first, 1 the second."""
    # unrolled: thousands of calls for an image
    (a, b, c), (x, y, z) = first, second
    return round(a + (x - a) * share), round(b + (y - b) * share), round(c + (z - c) * share)


def lit(base: Color, amount: float) -> Color:
    """Lighten or darken a color: 1 gives white, -1 black."""
    return mix(base, (255, 255, 255) if amount > 0 else (0, 0, 0), abs(amount))


def veil(base: Color, opacity: float) -> Ink:
    """Give a color an opacity, 0 to 1."""
    return (*base, max(0, min(255, round(opacity * 255))))


def _palette(sky: str, land: str, accents: str, *, dark: bool = False) -> Palette:
    """Keep the table of moods below readable: colors as words in three short lists."""
    top, middle, low, light = (color("#" + code) for code in sky.split())
    far, near, leaf, water = (color("#" + code) for code in land.split())
    one, two, three, four = (color("#" + code) for code in accents.split())
    return Palette((top, middle, low), light, far, near, leaf, water, (one, two, three, four), dark)


MOODS: Mapping[str, Palette] = MappingProxyType(
    {
        "day": _palette(
            "2f8fd8 7cc4ee d9f1f6 fff4cf",
            "9cc3cf 2e6f57 4f9d55 1c6f9c",
            "ff6b4a ffd166 f9f4e6 2a6f97",
        ),
        "summer": _palette(
            "2b9ac4 86d3d8 fdf1cf fff7d6",
            "a9cdb6 3b7d4f 63ad4e 13829b",
            "f25f5c ffc94d fff8e7 1f7a8c",
        ),
        "dawn": _palette(
            "4a5a9c d99ab0 ffdcb0 fff0cc",
            "b7a3c4 2f3560 5a7a74 5f77a8",
            "ef8a7a f6c177 fbe9d7 7b6bb0",
        ),
        "sunset": _palette(
            "2a2a63 c8506f ffb056 ffe9ad",
            "a4557d 221a3f 3f3a55 2f3673",
            "ff7b54 ffd56b ffe8d1 8c4a8f",
        ),
        "golden": _palette(
            "d98324 f3b74f ffe7ae fff6d0",
            "d49a55 5a3518 8a7a2c b0752c",
            "c8452d ffdf80 fff3d6 7a4a24",
        ),
        "night": _palette(
            "060a22 152250 3a4a86 f4f0d8",
            "2a3a70 060a1e 14304a 0e1b46",
            "ffb454 ffe08a dfe6ff 6f7fd8",
            dark=True,
        ),
        "neon": _palette(
            "0d0425 3c0d63 d0357f ffd6f2",
            "5a1f86 0b0420 1a2a5a 1b0a46",
            "ff2e93 00e5ff ffe94a 8a5bff",
            dark=True,
        ),
        "autumn": _palette(
            "7fa8b8 e8cfa4 fbe6c2 fff2cf",
            "c6a27a 6b3b1f c8642a 5f7f86",
            "c8442b e8a13a f3e2bf 8a4a2b",
        ),
        "pastel": _palette(
            "a7c7e7 e3d0ee ffe5d9 fffaf0",
            "c9c6e3 7f8fb5 a8d5ba 9cc5d8",
            "f7a6b5 ffd8a8 fffaf0 b5a6e0",
        ),
        "winter": _palette(
            "7ba6c9 b9d3e6 eef4f7 fff8e6",
            "b4c9da 35506b 46687a 6f9cba",
            "d9534f f2c078 f8fbff 4a7fa8",
        ),
        "mist": _palette(
            "8fa9ad c3d0cb eceade fff8e3",
            "b3c2bd 2f4a49 4f7266 7d9a9c",
            "d98c6a e6c98f f5f1e4 5f8a8b",
        ),
        "tropical": _palette(
            "0a8fb5 55cbcd fff0c9 fffbe0",
            "7cc8b8 14604f 2fa36b 078a9a",
            "ff5f6d ffc371 fff7e6 00a79d",
        ),
        "spring": _palette(
            "6bb7e0 bfe3e8 fdeef0 fffbe8",
            "b3d6c0 4a8a54 7cc36a 4a9bb8",
            "f2709c ffd86b fff6f2 9b7ede",
        ),
        "storm": _palette(
            "2b3440 56636f a3aaa6 e9edea",
            "7b878d 1c252b 33463f 2d4552",
            "d9a441 f0d9a0 e6ebe8 4d7ea8",
        ),
    }
)

_MOOD_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "night": "night midnight moonlight moonlit nocturnal dark",
        "neon": "neon cyberpunk synthwave vaporwave arcade",
        "sunset": "sunset dusk twilight evening",
        "dawn": "dawn sunrise morning daybreak",
        "golden": "golden desert dune canyon savanna savannah warm",
        "autumn": "autumn fall october november harvest",
        "pastel": "pastel soft dreamy gentle kawaii",
        "winter": "snow snowy winter ice icy frozen arctic",
        "mist": "mist misty fog foggy haze hazy",
        "tropical": "tropical jungle pool lagoon palm reef",
        "spring": "spring april blossom cherry tulip",
        "storm": "storm stormy thunder gloomy rainy rain",
        "summer": "summer sunny july holiday",
        "day": "noon day daylight daytime",
    }
)

MOOD_WORDS: Mapping[str, str] = MappingProxyType(
    {word: mood for mood, words in _MOOD_NAMES.items() for word in words.split()}
)
"""For each word that sets a mood, the mood."""


def shaded(palette: Palette, rng: Random) -> Palette:
    """Vary a palette a little, so that two seeds of one prompt do not share every color."""
    turn, glow = rng.uniform(-0.015, 0.015), rng.uniform(-0.07, 0.05)

    def moved(base: Color) -> Color:
        hue, lightness, saturation = colorsys.rgb_to_hls(*(part / 255 for part in base))
        r, g, b = colorsys.hls_to_rgb(hue + turn, lightness, saturation)
        return lit((round(r * 255), round(g * 255), round(b * 255)), glow * (1 - lightness))

    return _recolored(palette, [moved(base) for base in _flat(palette)])


def tinted(palette: Palette, tints: Sequence[Color], sky: float) -> Palette:
    """Steer a palette towards the colors a prompt names; `sky` is how far the sky follows."""
    if not tints:
        return palette
    follow = [sky, sky, sky, sky, 0.45, 0.7, 0.7, 0.7]
    ground = [
        _toward(base, tints[0], share) for base, share in zip(_flat(palette), follow, strict=False)
    ]
    if len(tints) > 1:
        bright = [tints[1 + index % (len(tints) - 1)] for index in range(4)]
        accents = [bright[0], lit(bright[1], 0.35), lit(bright[2], 0.8), lit(bright[3], -0.15)]
        ground[3] = lit(tints[1], 0.6)
    else:
        accents = [mix(base, tints[0], 0.35) for base in palette.accents]
    return _recolored(palette, [*ground, *accents])


def _toward(base: Color, tint: Color, share: float) -> Color:
    """Give a color another's hue while keeping its own lightness, so that depth survives."""
    own_lightness = colorsys.rgb_to_hls(*(part / 255 for part in base))[1]
    hue, lightness, saturation = colorsys.rgb_to_hls(*(part / 255 for part in tint))
    level = own_lightness + (lightness - own_lightness) * (0.12 if saturation > 0.15 else 0.35)
    r, g, b = colorsys.hls_to_rgb(hue, level, saturation * 0.8)
    return mix(base, (round(r * 255), round(g * 255), round(b * 255)), share)


def _flat(palette: Palette) -> list[Color]:
    """List every color in a fixed order, so that one rule can be applied to all."""
    land = (palette.light, palette.far, palette.near, palette.leaf, palette.water)
    return [*palette.sky, *land, *palette.accents]


def _recolored(palette: Palette, colors: Sequence[Color]) -> Palette:
    """Put colors listed by `_flat` back in their places."""
    top, middle, low, light, far, near, leaf, water, one, two, three, four = colors
    return replace(
        palette,
        sky=(top, middle, low),
        light=light,
        far=far,
        near=near,
        leaf=leaf,
        water=water,
        accents=(one, two, three, four),
    )
