"""Writes captions: Danbooru tags or a sentence, a new one each time an image is trained on.

A caption says nothing that the image does not show, with one deliberate exception: a wrong tag with a low weight, as in
`(glasses:0.3)`, or with a lower weight than the true tag, as in `(smile:1.5), frown`. This teaches the model what
weights mean.
"""

import random
from collections.abc import Callable, Sequence

from inference.miniature.characters import (
    BACKGROUNDS,
    CLOTHES_COLOURS,
    HAIR_COLOURS,
    HAIR_LENGTHS,
    SKINS,
    STYLES,
    Character,
)
from inference.miniature.data import Record

POSITIVE = ("masterpiece", "best quality", "score_7", "safe")
NEGATIVE = ("worst quality", "low quality", "score_1", "score_2", "score_3")
EYEWEAR = ("glasses", "sunglasses")
#: Words that say nothing about the images. Captions have some, so that words the model does not know do no harm.
INDIFFERENT = (
    *(
        "solo",
        "portrait",
        "face",
        "looking at viewer",
        "absurdres",
        "highres",
        "simple background",
        "cartoon",
        "avatar",
    ),
    *("upper body", "flat color", "2d", "newest", "recent", "year 2025", "official art", "illustration", "artist name"),
    *("watermark", "text", "signature", "anime", "cute", "cool", "detailed", "digital art", "cinematic lighting"),
    *("beautiful", "cat", "dog", "sunset", "city", "forest", "ocean", "mountain", "school uniform", "sword", "holding"),
    *(
        "standing",
        "sitting",
        "sky",
        "cloud",
        "tree",
        "dragon",
        "robot",
        "car",
        "beach",
        "snow",
        "rain",
        "wings",
        "tail",
    ),
    *("armor", "cape", "gloves", "boots", "kimono", "guitar", "book", "food", "cake", "coffee", "phone", "window"),
    *("garden", "castle", "space", "star", "moon", "sun", "bird", "fish", "fox", "at night", "in the rain", "fantasy"),
    *("dramatic", "chibi", "realistic", "watercolor", "sketch", "by the sea", "happy birthday", "hatsune miku"),
)


def caption(record: Record, rng: random.Random) -> str:
    """A random caption for an image, in ComfyUI's prompt syntax."""
    if rng.random() < 0.1:
        return ""
    if record.degradation:
        quality = [tag for tag in NEGATIVE if rng.random() < 0.6] or [NEGATIVE[0]]
        quality += [record.degradation] if rng.random() < 0.6 else []
    else:
        quality = [tag for tag in POSITIVE if rng.random() < 0.8] if rng.random() < 0.75 else []
    form = rng.choices([full_tags, few_tags, sentence], weights=[0.55, 0.22, 0.23])[0]
    parts = [*quality, *form(record.character, rng)]
    if rng.random() < 0.15:
        extra = rng.sample(INDIFFERENT, rng.randint(1, 3))
        parts = [*extra, *parts] if rng.random() < 0.5 else [*parts, *extra]
    return ", ".join(parts)


def full_tags(character: Character, rng: random.Random) -> list[str]:
    """The image's tags; only what is obvious at a glance is sometimes left out."""
    obvious = {character.gender, character.skin, *character.hair}
    leave_out = rng.choice([0.0, 0.1, 0.4])
    tags = [tag for tag in character.tags if tag not in obvious or rng.random() >= leave_out]
    if rng.random() < 0.3:
        tags = rng.choice([_weight_one, _outweigh])(character, tags, rng)
    return _with_style(character, tags, rng, style_chance=0.9)


def few_tags(character: Character, rng: random.Random) -> list[str]:
    """One to five tags of an image that may show much more, and perhaps its style."""
    tags = rng.sample(character.tags, rng.randint(1, 4))
    if rng.random() < 0.5:
        tags = _outweigh(character, tags[1:], rng)
    return _with_style(character, tags, rng, style_chance=0.6)


def sentence(character: Character, rng: random.Random) -> list[str]:
    """One or two plain English sentences."""
    noun = {"1girl": ("girl", "woman", "person"), "1boy": ("boy", "man", "person")}[character.gender]
    subject = rng.choice(("a portrait of a", "a drawing of a", "a picture of a", "a")) + f" {rng.choice(noun)}"
    hair = _describe_hair(character)
    text = subject + (f" with {hair}" if hair else "")
    worn = [f"{character.clothes_colour} {character.clothes}"] if character.clothes else []
    worn += [f"{character.headwear_colour} hat"] if character.headwear == "hat" else []
    if worn:
        text += ", wearing " + " and ".join(_a(thing) for thing in worn)
    text += rng.choice((" on ", " in front of ", ", with ")) + _a(f"{character.background} background")
    details = [tag for tag in _small_tags(character) if rng.random() < 0.95]
    rng.shuffle(details)
    if rng.random() < 0.6:
        details.append(character.skin)
    if details:
        text += rng.choice((". the person has ", ", ", " with ")) + " and ".join(details)
    if rng.random() < 0.85:
        text += rng.choice((", in the style of @", ", drawn by @", ". @")) + character.style
    return [text]


def _a(thing: str) -> str:
    return ("an " if thing[0] in "aeiou" else "a ") + thing


def _describe_hair(character: Character) -> str:
    if character.hair_colour is None:
        return "a bald head"
    first, *rest = character.hair
    if first in HAIR_LENGTHS:
        adjectives = [first.removesuffix(" hair"), *(tag.removesuffix(" hair") for tag in rest if "hair" in tag)]
        return " ".join([*(word for word in adjectives if word != "hair flower"), character.hair_colour, "hair"])
    return f"{character.hair_colour} hair and a {first}"


def _small_tags(character: Character) -> list[str]:
    tags = [character.mouth, character.eyes, character.eyewear, character.beard]
    tags += [character.headwear if character.headwear != "hat" else None]
    tags += ["hair flower" if "hair flower" in character.hair else None]
    tags += ["earrings" if character.earrings else None, "blush" if character.blush else None]
    return [tag for tag in tags if tag]


def _with_style(character: Character, tags: list[str], rng: random.Random, style_chance: float) -> list[str]:
    rng.shuffle(tags)
    if rng.random() < style_chance:
        tags.insert(0 if rng.random() < 0.5 else rng.randint(0, len(tags)), f"@{character.style}")
    return tags


def _weight_one(character: Character, tags: list[str], rng: random.Random) -> list[str]:
    """Raises or lowers the weight of a true tag, or adds a wrong one with so low a weight that it should not show."""
    tags = list(tags)
    chance = rng.random()
    if chance < 0.6:
        wrong = rng.choice([tag for tag in _alternatives(character, rng) if tag not in character.tags])
        return [*tags, f"({wrong}:{rng.uniform(0.05, 0.45):.2f})"]
    chosen = rng.randrange(len(tags))
    weight = rng.uniform(1.2, 1.8) if chance < 0.9 else rng.uniform(0.3, 0.9)
    tags[chosen] = f"({tags[chosen]}:{weight:.2f})"
    return tags


def _outweigh(character: Character, tags: list[str], rng: random.Random) -> list[str]:
    """Adds a tag that contradicts a true one, and gives the true one the higher weight."""
    true, rivals = rng.choice(_contradicted(character))
    low, high = rng.choice([(0.3, 1.0), (0.6, 1.0), (0.8, 1.4), (1.0, 1.3), (1.0, 1.5), (1.0, 1.8)])
    low, high = (round(weight + rng.uniform(-0.1, 0.1), 2) if weight != 1 else 1.0 for weight in (low, high))
    others = [tag for tag in tags if tag != true]
    return [*others, _weighted(true, high), _weighted(rng.choice(rivals), low)]


def _weighted(tag: str, weight: float) -> str:
    return tag if weight == 1 else f"({tag}:{weight})"


def _contradicted(character: Character) -> list[tuple[str, list[str]]]:
    """The true tags that exclude other tags, each with the tags that it excludes."""
    kinds: list[tuple[str | None, Sequence[str]]] = [
        (character.hair_length, HAIR_LENGTHS),
        (character.hair_colour and f"{character.hair_colour} hair", [f"{colour} hair" for colour in HAIR_COLOURS]),
        (f"{character.background} background", [f"{colour} background" for colour in BACKGROUNDS]),
        (character.skin, tuple(SKINS)),
        (character.eyewear, EYEWEAR),
        # A mouth is so small that the model only learns it from more captions than all other kinds have together.
        *[(character.mouth, tuple(STYLES[character.style].mouths))] * 8,
    ]
    return [(true, [tag for tag in tags if tag != true]) for true, tags in kinds if true]


def _alternatives(character: Character, rng: random.Random) -> list[str]:
    """One random tag of each kind; it may or may not be true."""
    kinds: list[Callable[[], str]] = [
        lambda: f"{rng.choice(list(HAIR_COLOURS))} hair",
        lambda: f"{rng.choice(list(BACKGROUNDS))} background",
        lambda: f"{rng.choice(list(CLOTHES_COLOURS))} shirt",
        lambda: rng.choice(list(SKINS)),
        lambda: rng.choice(HAIR_LENGTHS),
        lambda: rng.choice(("smile", "grin", "frown", "open mouth")),
        lambda: rng.choice(("closed eyes", "one eye closed")),
        lambda: rng.choice(EYEWEAR),
        lambda: rng.choice(("beard", "earrings", "hair flower", "cat ears", "blush")),
    ]
    return [kind() for kind in kinds]
