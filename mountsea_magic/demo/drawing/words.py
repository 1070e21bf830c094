"""The vocabulary: what each word of a prompt means for scene, animals, colors and numbers."""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import TypeVar

from .palettes import MOOD_WORDS, Color, color

_Meaning = TypeVar("_Meaning")

_VOTES: Mapping[str, Mapping[float, str]] = MappingProxyType(
    {
        "sea": {
            3: "sea ocean pool swim swimming swimmer beach boat ship sailboat sail sailing yacht"
            " lighthouse underwater coral reef surf surfer surfing harbor harbour pirate mermaid"
            " shark whale dolphin octopus diver diving lagoon waterline snorkel jellyfish",
            2: "wave island coast shore bay fish turtle aquarium seagull captain cruise titanic",
            1: "water blue crab palm tropical",
        },
        "mountain": {
            3: "mountain alp peak valley glacier volcano canyon fjord summit cliff himalaya",
            2: "lake hill landscape hike hiking climber river waterfall eagle desert dune camel",
            1: "snow snowy bird mist misty fog dragon wolf penguin bear view horizon reflection",
        },
        "city": {
            3: "city skyline skyscraper tokyo paris london berlin shanghai manhattan metropolis"
            " downtown urban cyberpunk traffic york chicago dubai hong megacity",
            2: "street tower taxi building bridge neon car bus train alley rooftop tram metro",
            1: "rain night future futuristic lamp umbrella hero",
        },
        "space": {
            3: "space planet galaxy astronaut cosmos universe saturn jupiter mars nebula rocket"
            " spaceship spacecraft ufo alien comet asteroid constellation milky orbit cosmic",
            2: "moon star meteor eclipse earth satellite",
            0.6: "night sky midnight",
        },
        "forest": {
            3: "forest wood woodland jungle rainforest pine birch",
            2: "tree path mushroom fairy cabin camp campfire bamboo leaf oak trail elf",
            1: "fox deer owl bear squirrel wolf autumn hedgehog panda raccoon monkey tiger fall",
        },
        "field": {
            3: "tulip meadow flower garden sunflower daisy poppy lavender field rose blossom"
            " orchard wheat prairie picnic",
            2: "park farm butterfly bee grass spring balloon countryside tractor horse cow sheep",
            1: "dog cat rabbit lion pig chicken puppy kitten bunny mouse elephant animal pet",
        },
        "village": {
            3: "village house cottage church castle hamlet mill",
            2: "town barn windmill home chimney roof farmhouse palace temple knight king queen",
            1: "autumn christmas family",
        },
        "classroom": {
            3: "classroom school teacher lesson blackboard chalkboard pupil lecture homework",
            2: "student class teach teaching room desk library office exam university computer",
            1: "robot book math mathematics learning kitchen laptop professor",
        },
        "abstract": {
            5: "abstract kandinsky geometric bauhaus pattern cubist cubism mondrian",
            2: "composition shape circle triangle line minimal art",
        },
    }
)


def _votes_of(word: str) -> tuple[tuple[str, float], ...]:
    """Turn the table above around: it is written by scene and read by word."""
    return tuple(
        (scene, weight)
        for scene, levels in _VOTES.items()
        for weight, words in levels.items()
        if word in words.split()
    )


def _named(table: Mapping[str, _Meaning]) -> Mapping[str, _Meaning]:
    """Give several words one meaning, without a line for each."""
    return MappingProxyType(
        {word: value for words, value in table.items() for word in words.split()}
    )


SCENE_VOTES: Mapping[str, tuple[tuple[str, float], ...]] = MappingProxyType(
    {
        word: _votes_of(word)
        for levels in _VOTES.values()
        for words in levels.values()
        for word in words.split()
    }
)
"""For each word the scenes it speaks for, and how strongly."""

KINDS: Mapping[str, str] = _named(
    {
        "dog lab labrador puppy poodle retriever corgi beagle husky pup animal pet": "dog",
        "cat kitten kitty tabby": "cat",
        "fox": "fox",
        "wolf coyote": "wolf",
        "bear": "bear",
        "panda": "panda",
        "rabbit bunny hare": "rabbit",
        "lion": "lion",
        "tiger leopard": "tiger",
        "mouse hamster rat squirrel hedgehog": "mouse",
        "raccoon": "raccoon",
        "owl": "owl",
        "penguin": "penguin",
        "bird eagle seagull gull swallow crow raven dove pigeon heron": "bird",
        "fish goldfish clownfish salmon shark tuna": "fish",
        "whale dolphin orca": "whale",
        "duck duckling swan goose": "duck",
        "butterfly": "butterfly",
    }
)
"""For each word for an animal the kind that is drawn."""

HABITATS: Mapping[str, str] = _named(
    {
        "fish whale duck": "sea",
        "bird penguin bear": "mountain",
        "fox wolf owl panda tiger raccoon": "forest",
    }
)
"""The scene of an animal that no word puts elsewhere; the others live in the field."""

COLORS: Mapping[str, Color] = MappingProxyType(
    {
        word: color(code)
        for word, code in _named(
            {
                "red": "#d7263d",
                "crimson": "#b3162e",
                "scarlet": "#e0301e",
                "orange": "#f77f00",
                "yellow": "#ffcf33",
                "gold golden": "#dba21f",
                "green": "#2e9e5b",
                "emerald": "#12875a",
                "teal": "#159a96",
                "turquoise": "#1fb5ad",
                "cyan": "#17b8d4",
                "blue": "#2463c4",
                "navy": "#1d2f6f",
                "indigo": "#4338a8",
                "purple": "#7d3cb5",
                "violet": "#7a4fd0",
                "lilac": "#b08fd8",
                "pink": "#ee6fa5",
                "magenta": "#d4218f",
                "brown": "#8a5a34",
                "chocolate": "#5a3620",
                "beige": "#dcc6a0",
                "cream": "#f1e3c6",
                "white": "#f4f4f1",
                "black": "#26262b",
                "grey gray": "#8d9299",
                "silver": "#b8bec6",
                "ginger": "#d9822b",
            }
        ).items()
    }
)
"""The colors a prompt can name."""

NUMBERS: Mapping[str, int] = _named(
    {
        "two 2 couple pair": 2,
        "three 3": 3,
        "four 4": 4,
        "five 5 several": 5,
        "six 6": 6,
        "seven 7 flock many": 7,
    }
)
"""How many animals a word means."""

COLORED_THINGS: frozenset[str] = frozenset(
    {
        *("boat", "sail", "sailboat", "ship", "yacht", "house", "cottage", "robot", "balloon"),
        *("flower", "tulip", "rose", "daisy", "poppy", "sunflower", "lavender"),
    }
)
"""Things that are drawn in the color that stands right before them."""

KNOWN: frozenset[str] = frozenset(SCENE_VOTES) | set(KINDS) | set(MOOD_WORDS) | set(COLORS)
"""Every word that means something."""


def words_of(text: str) -> list[str]:
    """List a text's words, letters and digits of any script, in lower case."""
    return re.findall(r"[^\W_]+", text.casefold())


def without_s(word: str) -> str:
    """Drop a plural s, but none of "bus" or "glass"."""
    return word[:-1] if len(word) > 3 and word.endswith("s") and not word.endswith("ss") else word
