"""What a prompt asks for: which scene, which animals, which colors and which weather."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from .palettes import MOOD_WORDS, Color
from .words import (
    COLORED_THINGS,
    COLORS,
    HABITATS,
    KINDS,
    KNOWN,
    NUMBERS,
    SCENE_VOTES,
    without_s,
    words_of,
)

_LONGEST = 12_000
"""Characters read: more than any service accepts, and it bounds the time spent reading."""


@dataclass(frozen=True)
class Creature:
    """An animal to put in the scene.

    Attributes:
        kind: Which animal, e.g. "dog".
        coat: The color the prompt gives it, if it does.
        count: How many of them, 1 to 7.
    """

    kind: str
    coat: Color | None = None
    count: int = 1


@dataclass(frozen=True)
class Subject:
    """What to draw, read from a prompt.

    Attributes:
        scene: A key of the table of scenes, or "" when no word chose one.
        words: Every word of the prompt, in lower case and without a plural s.
        creatures: At most three kinds of animals.
        tints: The colors the prompt gives to the whole image, in order.
        mood: A key of the table of moods, or "" when no word chose one.
        owned: Things that have a color of their own, and that color.
    """

    scene: str
    words: frozenset[str]
    creatures: tuple[Creature, ...]
    tints: tuple[Color, ...]
    mood: str
    owned: tuple[tuple[str, Color], ...] = ()

    def color_of(self, *things: str) -> Color | None:
        """Look up the color the prompt gives to one of these things, as in "a red boat"."""
        return next((tint for thing, tint in self.owned if thing in things), None)

    def has(self, *words: str) -> bool:
        """Return whether the prompt has any of these words, in lower case and singular."""
        return not self.words.isdisjoint(words)


def read_subject(prompt: str) -> Subject:
    """Read what a prompt asks for: words match whole, in any case, with a plural s or not."""
    written = words_of(prompt[:_LONGEST])
    words = [singular(word) for word in written]
    creatures = _creatures(words, written)
    votes: dict[str, float] = {}
    for word in dict.fromkeys(words):
        for scene, weight in SCENE_VOTES.get(word, ()):
            votes[scene] = votes.get(scene, 0.0) + weight
    mood = next((MOOD_WORDS[word] for word in words if word in MOOD_WORDS), "")
    if "night" in words and mood not in ("night", "neon"):
        mood = "night"
    if "neon" in words:
        mood = "neon"
    if not votes and creatures:
        votes[HABITATS.get(creatures[0].kind, "field")] = 1.0
    if not mood and any(creature.kind == "penguin" for creature in creatures):
        mood = "winter"
    return Subject(
        scene=max(votes, key=lambda scene: votes[scene]) if votes else "",
        words=frozenset(words),
        creatures=creatures,
        tints=_tints(words),
        mood=mood,
        owned=_owned(words),
    )


def singular(word: str) -> str:
    """Drop a plural ending, but only when that gives a word we know: "glass" is no "glas"."""
    if word in KNOWN:
        return word
    for ending, stem in (("ies", "y"), ("ves", "f"), ("es", ""), ("s", "")):
        if word.endswith(ending) and word[: -len(ending)] + stem in KNOWN:
            return word[: -len(ending)] + stem
    return without_s(word)


def _creatures(words: Sequence[str], written: Sequence[str]) -> tuple[Creature, ...]:
    """Find the animals, each with the number and the color that stand right before it."""
    found: dict[str, Creature] = {}
    for place, word in enumerate(words):
        kind = KINDS.get(word)
        if kind is None or kind in found:
            continue
        before = words[max(0, place - 3) : place]
        coat = next((COLORS[near] for near in reversed(before) if near in COLORS), None)
        many = 3 if written[place] != word else 1
        count = next((NUMBERS[near] for near in reversed(before) if near in NUMBERS), many)
        found[kind] = Creature(kind, coat, count)
    return tuple(found.values())[:3]


def _owned(words: Sequence[str]) -> tuple[tuple[str, Color], ...]:
    """Find the things that a color stands right before."""
    return tuple(
        (thing, COLORS[word])
        for word, thing in pairwise(words)
        if word in COLORS and thing in COLORED_THINGS
    )[:6]


def _tints(words: Sequence[str]) -> tuple[Color, ...]:
    """Find the colors of the whole image: those that belong to no animal or thing."""
    tints: dict[str, Color] = {}
    for place, word in enumerate(words):
        after = words[place + 1 : place + 3]
        owned = any(near in KINDS for near in after) or not COLORED_THINGS.isdisjoint(after[:1])
        if word in COLORS and not owned:
            tints[word] = COLORS[word]
    return tuple(tints.values())[:3]
