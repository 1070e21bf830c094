"""Whether a prompt's main noun is drawn; where it is not, the drawing must say so."""

import re

from .sea import is_in_sea, is_under_water
from .species import FURRY
from .subject import Subject, singular
from .words import COLORS, KINDS, NUMBERS, SCENE_VOTES

_LONGEST = 2_000
"""Characters searched for the main noun: it stands near the beginning."""

_TOKEN = re.compile(r"[^\W_]+|[^\w\s]")


def _words(*lines: str) -> frozenset[str]:
    """Split lines of words."""
    return frozenset(" ".join(lines).split())


_INNER_MARKS = frozenset("'’-‐‑\"“”«»*_")
"""Punctuation that does not end a phrase."""

_ENDS = _words(
    "a an the this that these those my your our their his her its some any each every no of on in",
    "at with without by for from to into onto over under above below behind beside near before",
    "after between among across through during around along inside outside against toward towards",
    "like as about and or but while where when which who whose if so than then until via full",
    "made is are was were be been being has have had do does did can will would should sits",
    "stands runs jumps flies swims sleeps eats looks walks plays drinks reads holds wears rides",
    "drives chases catches dances sings waits lies hides watches smiles paints teaches learns sit",
    "stand run jump fly swim sleep eat look walk play drink hold wear ride drive chase dance sing",
    "wait hide watch smile together alone everywhere outdoors indoors today seen viewed painted",
    "drawn taken shown set",
)
"""Words that end a phrase and are no noun."""

_IGNORED = (
    _words(
        # the medium
        "photo photograph photography shot action image picture painting drawing sketch art",
        "artwork illustration watercolor watercolour aquarelle gouache oil pencil portrait render",
        "rendering cartoon comic anime wallpaper background scene style digital pixel vector macro",
        "closeup close up wide angle camera view depiction version",
        # the request
        "please draw paint create make generate show give me us i you we it want need design new",
        "another something",
        # how many
        "one group bunch lot herd pack row pile few way",
        # adjectives
        "cute beautiful pretty lovely nice funny happy sad big large huge giant small little tiny",
        "old young ancient modern fluffy furry majestic magical mystical colorful colourful vivid",
        "vibrant bright dark light soft warm cold calm quiet peaceful busy crowded empty lonely",
        "wild realistic photorealistic hyperrealistic surreal minimal minimalist minimalistic",
        "simple detailed highly very really cinematic dramatic epic stunning amazing high low",
        "quality resolution hd uhd ultra vintage retro classic shiny wooden paper friendly brave",
        "lazy sleepy curious hot tall long short deep open foggy misty snowy rainy stormy sunny",
        "cloudy golden monochrome noir abstract",
    )
    | frozenset(COLORS)
    | frozenset(NUMBERS)
)
"""Words that are no main noun, whatever is drawn."""

_NOUNS_IN_ING = _words(
    "building spring evening morning king ring wing string ceiling wedding clothing lightning",
    "thing sling swing earring pudding sibling duckling viking sterling darling painting",
)

_NOT_DRAWN = _words(
    "swimmer swim surfer surfing pirate mermaid octopus diver diving crab turtle jellyfish",
    "aquarium snorkel captain titanic cruise hiking climber waterfall camel dragon volcano canyon",
    "traffic taxi neon car bus train alley rooftop tram metro bridge umbrella hero future",
    "futuristic urban ufo alien comet asteroid constellation meteor eclipse satellite orbit fairy",
    "camp campfire bamboo elf deer monkey picnic bee tractor horse cow sheep pig chicken elephant",
    "temple knight king queen family homework library office exam university computer book math",
    "mathematics learning kitchen laptop professor",
)
"""Words that choose a scene in which the thing itself is not drawn."""

_SCENES_OF: dict[str, tuple[str, ...]] = {
    "windmill": ("field",),
    "mill": ("field",),
    **dict.fromkeys(("robot", "child", "children", "kid", "pupil", "student"), ("classroom",)),
    "sun": ("sea", "mountain", "field", "village", "city", "forest"),
}
"""What is drawn in other scenes than those for which its word votes."""

_ABOVE_WATER = _words("boat ship sailboat sail yacht lighthouse palm beach island cliff")
"""What is on the sea, but not in a drawing from below its surface."""

_WEATHER = _words("rain storm thunder snow snowfall blizzard")
"""What is drawn in every scene."""

_HOURS = _words(
    "night midnight moonlight sunset dusk twilight sunrise dawn morning evening noon day daylight",
    "autumn fall winter spring summer ice mist fog haze sky cloud",
)
"""What any scene shows, but no abstract composition."""


def is_drawn(prompt: str, subject: Subject) -> bool:
    """Return whether the prompt's main noun is drawn; True for a blank prompt, which has none.

    The main noun is the last word of the first phrase that has a noun: "boat" in "a photo of a
    red sailing boat on a lake". It is drawn if it is an animal of the scene, or chose the scene.
    """
    noun = _main_noun(prompt)
    if noun is not None:
        return _shows(subject, noun)
    return bool(subject.scene or subject.creatures or subject.tints) or not prompt.strip()


def _main_noun(prompt: str) -> str | None:
    """Find the main noun, as `Subject.words` has it, or None where every word is another kind."""
    noun: str | None = None
    for token in _TOKEN.findall(prompt[:_LONGEST].casefold()):
        if token in _INNER_MARKS:
            continue
        if token in _ENDS or not token.isalnum() or (noun and _is_participle(token)):
            if noun:
                break
            continue
        word = singular(token)
        plain = word not in _IGNORED and not token[0].isdigit() and not _is_participle(token)
        if plain and (len(word) > 1 or not word.isascii()):
            noun = word
    return noun


def _is_participle(word: str) -> bool:
    """Return whether a word such as "swimming" tells what somebody does."""
    return len(word) > 4 and word.endswith("ing") and word not in _NOUNS_IN_ING


def _shows(subject: Subject, noun: str) -> bool:
    """Return whether the subject's scene shows what a noun names."""
    if noun in _WEATHER:
        return True
    if noun in _HOURS:
        return subject.scene not in ("", "abstract")
    kind = KINDS.get(noun)
    if kind is not None and any(creature.kind == kind for creature in subject.creatures):
        return _shows_animal(subject, kind)
    if noun in _SCENES_OF:
        return subject.scene in _SCENES_OF[noun]
    if subject.scene == "sea" and noun in _ABOVE_WATER and is_under_water(subject):
        return False
    voted = (scene for scene, _ in SCENE_VOTES.get(noun, ()))
    return noun not in _NOT_DRAWN and subject.scene in voted


def _shows_animal(subject: Subject, kind: str) -> bool:
    """Return whether the subject's scene has a place for one of its animals."""
    if subject.scene == "classroom":
        return kind in FURRY and not subject.has("robot")
    return subject.scene != "sea" or is_in_sea(kind, subject)
