"""The people in the training images: what prompts can ask for, and how DiceBear draws it.

A `Character` holds what an image visibly shows, as Danbooru tags. Captions, the classifier's labels and the
evaluation's prompts are all made from it, so captions are true by construction. Each tag stands for very few of
DiceBear's variants, the bold ones: a small model learns twenty clear mouths well, but not a hundred similar ones.
"""

import hashlib
import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

HAIR_COLOURS = {
    "black": "1c1a1e",
    "brown": "6b3e1e",
    "blonde": "ecc95f",
    "red": "c4261d",
    "orange": "ee7f22",
    "pink": "f48fbd",
    "purple": "7d3bb0",
    "blue": "2f62d6",
    "green": "3a9c40",
    "white": "f4f4f4",
    "grey": "8d9198",
    "aqua": "3ccbc8",
}
BACKGROUNDS = {
    "black": "202126",
    "brown": "98693f",
    "yellow": "f9e25c",
    "red": "d93a34",
    "orange": "f79a3a",
    "pink": "f9b4d0",
    "purple": "a277da",
    "blue": "5596e6",
    "green": "6cc05a",
    "white": "ffffff",
    "grey": "a6abb2",
    "aqua": "86e3e0",
}
CLOTHES_COLOURS = {
    "black": "232327",
    "brown": "7d5130",
    "yellow": "f5d742",
    "red": "cf2d2a",
    "orange": "f28a2a",
    "pink": "f28fb5",
    "purple": "7f45b5",
    "blue": "2f66c9",
    "green": "3f9f4a",
    "white": "f5f5f5",
    "grey": "868b92",
}
SKINS = {"pale skin": "ffdfc8", "tan": "c98d5c", "dark skin": "6e4226"}
HAIR_LENGTHS = ("short hair", "long hair")

# Two colours that DiceBear itself never uses, so that lines drawn in them can be found and made bolder.
INK, GOLD = "202021", "f4c431"

#: Parts that DiceBear draws with a certain probability in some style; here that is always 0 or 100.
OPTIONAL_PARTS = (
    *("glasses", "earrings", "beard", "features", "accessories", "hat", "facialHair", "freckles"),
    *("hairAccessories", "rearHair"),
)

Options = Mapping[str, str]
#: Left, top, right and bottom in fractions of a whole.
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Style:
    """How one of DiceBear's styles draws each tag.

    `frame` is the square (left, top, side) shown at native size and `face` the box (left, top, right, bottom) around
    eyes and mouth, both in fractions of the drawing's side. `details` are boxes around other small parts. A `grounded`
    figure is cut off by the frame's lower edge. `bolder` are replacements in the SVG that make thin parts bolder.
    """

    frame: tuple[float, float, float]
    face: Box
    grounded: bool
    hair: Mapping[tuple[str, ...], Sequence[Options]]
    mouths: Mapping[str, Sequence[Options]]
    eyes: Mapping[str | None, Sequence[Options]]
    eyewear: Mapping[str, Sequence[Options]] = field(default_factory=dict)
    beards: Mapping[str, Sequence[Options]] = field(default_factory=dict)
    headwear: Mapping[str, Sequence[Options]] = field(default_factory=dict)
    earrings: Sequence[Options] = ()
    blush: Sequence[Options] = ()
    clothes: Mapping[str, Sequence[Options]] = field(default_factory=dict)
    details: Sequence[Box] = ()
    beard_hides_mouth: bool = False
    fixed: Options = field(default_factory=dict)
    bolder: Sequence[tuple[str, str]] = ()


def _of(option: str, *variants: str) -> list[Options]:
    return [{option: variant} for variant in variants]


STYLES: dict[str, Style] = {
    "adventurer": Style(
        frame=(0.02, 0.05, 0.93),
        face=(0.18, 0.38, 0.80, 0.82),
        grounded=False,
        hair={
            ("short hair",): _of("hair", "short01", "short10", "short11"),
            ("short hair", "curly hair"): _of("hair", "short03"),
            ("long hair",): _of("hair", "long05", "long07", "long09"),
            ("long hair", "hair flower"): _of("hair", "long08"),
            ("hair bun",): _of("hair", "long11", "short05"),
            ("twintails",): _of("hair", "long14"),
            ("bald",): _of("hair", "short19"),
        },
        mouths={
            "smile": _of("mouth", "variant05"),
            "grin": _of("mouth", "variant23"),
            "open mouth": _of("mouth", "variant15", "variant27"),
            "frown": _of("mouth", "variant14"),
            "tongue out": _of("mouth", "variant16"),
        },
        eyes={
            None: _of("eyes", "variant26"),
            "closed eyes": _of("eyes", "variant20"),
            "one eye closed": _of("eyes", "variant21"),
        },
        eyewear={
            "glasses": _of("glasses", "variant02", "variant05"),
            "sunglasses": _of("glasses", "variant01"),
        },
        beards={"mustache": _of("features", "mustache")},
        blush=_of("features", "blush"),
        fixed={"eyebrows": "variant07"},
    ),
    "lorelei": Style(
        frame=(0.08, 0.02, 0.88),
        face=(0.36, 0.38, 0.80, 0.80),
        grounded=False,
        hair={
            ("short hair",): _of("hair", "variant06", "variant08", "variant12"),
            ("short hair", "curly hair"): _of("hair", "variant05"),
            ("long hair",): _of("hair", "variant15", "variant35"),
            ("hair bun",): _of("hair", "variant38", "variant14"),
            ("ponytail",): _of("hair", "variant31"),
        },
        mouths={
            "smile": _of("mouth", "happy06"),
            "grin": _of("mouth", "happy16"),
            "open mouth": _of("mouth", "sad01"),
            "frown": _of("mouth", "sad05"),
        },
        eyes={None: _of("eyes", "variant24"), "closed eyes": _of("eyes", "variant19")},
        eyewear={
            "glasses": _of("glasses", "variant01", "variant04"),
            "sunglasses": _of("glasses", "variant02"),
        },
        beards={"beard": _of("beard", "variant01", "variant02")},
        headwear={"hair flower": _of("hairAccessories", "flowers")},
        earrings=_of("earrings", "variant03"),
        details=[(0.22, 0.57, 0.38, 0.68)],
        beard_hides_mouth=True,
        fixed={"eyebrows": "variant11", "head": "variant04", "nose": "variant01", "hairAccessoriesColor": "e2504c"}
        | {"mouthColor": INK, "glassesColor": INK, "eyesColor": INK, "earringsColor": GOLD},
        bolder=[
            (f'fill="#{INK}"', 'fill="#000" stroke="#000" stroke-width="10"'),
            (f'fill="#{GOLD}"', f'fill="#{GOLD}" stroke="#{GOLD}" stroke-width="16"'),
        ],
    ),
    "pixel-art": Style(
        frame=(0.0, 0.0, 1.0),
        face=(0.18, 0.30, 0.82, 0.82),
        grounded=True,
        hair={
            ("short hair",): _of("hair", "short01", "short06", "short15"),
            ("long hair",): _of("hair", "long12", "long13", "long20"),
        },
        mouths={
            "smile": _of("mouth", "happy09"),
            "open mouth": _of("mouth", "happy01"),
            "frown": _of("mouth", "sad01"),
        },
        eyes={None: _of("eyes", "variant01")},
        eyewear={"glasses": _of("glasses", "light05", "light06")},
        headwear={"hat": _of("hat", "variant06", "variant09", "variant04")},
        earrings=_of("accessories", "variant01"),
        details=[(0.0, 0.42, 0.25, 0.58), (0.75, 0.42, 1.0, 0.58)],
        clothes={"shirt": _of("clothing", "variant03", "variant12")},
        fixed={"mouthColor": "b3122a", "eyesColor": "4b5a60", "glassesColor": "191919", "accessoriesColor": "f4c431"},
    ),
    "toon-head": Style(
        frame=(0.10, 0.09, 0.82),
        face=(0.28, 0.40, 0.72, 0.74),
        grounded=True,
        hair={
            ("short hair",): _of("hair", "sideComed", "undercut"),
            ("short hair", "spiky hair"): _of("hair", "spiky"),
            ("long hair",): [{"hair": "sideComed", "rearHair": rear} for rear in ("longStraight", "longWavy")],
            ("hair bun",): _of("hair", "bun"),
        },
        mouths={
            "smile": _of("mouth", "smile"),
            "open mouth": _of("mouth", "agape", "laugh"),
            "frown": _of("mouth", "sad"),
        },
        eyes={
            None: _of("eyes", "happy"),
            "closed eyes": _of("eyes", "bow"),
            "one eye closed": _of("eyes", "wink"),
        },
        beards={"beard": _of("beard", "fullBeard", "longBeard"), "mustache": _of("beard", "moustacheTwirl")},
        clothes={
            "shirt": _of("clothes", "tShirt"),
            "turtleneck": _of("clothes", "turtleNeck"),
            "jacket": _of("clothes", "openJacket"),
        },
        fixed={"eyebrows": "neutral"},
        bolder=[('fill="#3F2626" fill-opacity="0.5"', 'fill="#3F1616" stroke="#3F1616" stroke-width="7"')],
    ),
    "big-smile": Style(
        frame=(0.06, 0.05, 0.88),
        face=(0.28, 0.34, 0.92, 0.90),
        grounded=False,
        hair={
            ("short hair",): _of("hair", "shortHair", "bowlCutHair"),
            ("short hair", "curly hair"): _of("hair", "curlyShortHair"),
            ("long hair",): _of("hair", "straightHair", "bangs"),
            ("hair bun",): _of("hair", "bunHair"),
        },
        mouths={
            "smile": _of("mouth", "kawaii"),
            "grin": _of("mouth", "teethSmile"),
            "open mouth": _of("mouth", "openedSmile"),
            "frown": _of("mouth", "openSad"),
            "expressionless": _of("mouth", "unimpressed"),
        },
        eyes={
            None: _of("eyes", "normal"),
            "closed eyes": _of("eyes", "sleepy"),
            "one eye closed": _of("eyes", "winking"),
        },
        eyewear={
            "glasses": _of("accessories", "glasses"),
            "sunglasses": _of("accessories", "sunglasses"),
        },
        beards={"mustache": _of("accessories", "mustache")},
        headwear={"cat ears": _of("accessories", "catEars")},
        beard_hides_mouth=True,
        bolder=[
            *((f'fill="#{gold}"', 'fill="#4a3000" stroke="#4a3000" stroke-width="5"') for gold in ("896307", "C5900F")),
            ('fill="#592125"', 'fill="#3a1014" stroke="#3a1014" stroke-width="6"'),
        ],
    ),
    "micah": Style(
        frame=(0.10, 0.03, 0.88),
        face=(0.28, 0.30, 0.72, 0.72),
        grounded=True,
        hair={
            ("short hair",): _of("hair", "fonze"),
            ("long hair",): _of("hair", "full"),
            ("bob cut",): _of("hair", "pixie"),
            ("mohawk",): _of("hair", "mrT"),
            ("bald",): _of("hair", "mrClean"),
        },
        mouths={
            "smile": _of("mouth", "smile"),
            "grin": _of("mouth", "nervous"),
            "open mouth": _of("mouth", "surprised", "laughing"),
            "frown": _of("mouth", "frown"),
        },
        eyes={None: _of("eyes", "eyes"), "closed eyes": _of("eyes", "smiling")},
        eyewear={"glasses": _of("glasses", "round", "square")},
        beards={"beard": _of("facialHair", "beard")},
        beard_hides_mouth=True,
        earrings=_of("earrings", "hoop"),
        clothes={"shirt": _of("shirt", "collared", "crew")},
        details=[(0.17, 0.47, 0.38, 0.69), (0.20, 0.83, 0.90, 0.92)],
        fixed={"eyebrows": "up", "ears": "attached", "glassesColor": INK, "earringColor": GOLD},
        bolder=[
            (f'stroke="#{INK}" stroke-width="4"', 'stroke="#000" stroke-width="7"'),
            (f'stroke="#{GOLD}" stroke-width="4"', f'stroke="#{GOLD}" stroke-width="9"'),
        ],
    ),
}


@dataclass(frozen=True)
class Character:
    """What one image shows. `None` means nothing to mention: a hidden mouth, open eyes, no hat."""

    style: str
    gender: str
    hair: tuple[str, ...]
    hair_colour: str | None
    skin: str
    background: str
    mouth: str | None = None
    eyes: str | None = None
    eyewear: str | None = None
    beard: str | None = None
    headwear: str | None = None
    headwear_colour: str | None = None
    earrings: bool = False
    blush: bool = False
    clothes: str | None = None
    clothes_colour: str | None = None

    @property
    def hair_length(self) -> str | None:
        return self.hair[0] if self.hair[0] in HAIR_LENGTHS else None

    @property
    def tags(self) -> tuple[str, ...]:
        """Everything the image shows except its style, as tags."""
        coloured = (
            f"{self.hair_colour} hair" if self.hair_colour else None,
            f"{self.background} background",
            f"{self.clothes_colour} {self.clothes}" if self.clothes else None,
            f"{self.headwear_colour} {self.headwear}" if self.headwear_colour else self.headwear,
        )
        plain = (
            self.skin,
            self.mouth,
            self.eyes,
            self.eyewear,
            self.beard,
            "earrings" if self.earrings else None,
            "blush" if self.blush else None,
        )
        return (self.gender, *self.hair, *(tag for tag in coloured + plain if tag))


def is_held_out(character: Character) -> bool:
    """Whether this combination of style, hair, background and mouth is excluded from training, as one in ten is."""
    combination = (
        character.style,
        character.hair_length,
        character.hair_colour,
        character.background,
        character.mouth,
    )
    return hashlib.sha256(repr(combination).encode()).digest()[0] % 10 == 0


def random_character(rng: random.Random, *, held_out: bool, style: str | None = None) -> Character:
    """Chooses a random character whose combination is, or is not, held out of training."""
    while True:
        character = _any_character(rng, style or rng.choice(list(STYLES)))
        if is_held_out(character) == held_out:
            return character


def _any_character(rng: random.Random, name: str) -> Character:
    style = STYLES[name]

    def maybe(tags: Mapping[str, Any], chance: float) -> str | None:
        return rng.choice(list(tags)) if tags and rng.random() < chance else None

    def length(hair: tuple[str, ...]) -> int:
        """How often hair is chosen: users ask mostly for plain long and short hair."""
        return 3 if hair in (("short hair",), ("long hair",)) else 1

    hair = rng.choices(list(style.hair), weights=[length(hair) for hair in style.hair])[0]
    beard = maybe(style.beards, 0.25) if hair[0] not in ("long hair", "hair bun", "twintails", "ponytail") else None
    headwear = maybe(style.headwear, 0.3) if hair != ("bald",) and not beard else None
    eyewear = maybe({k: v for k, v in style.eyewear.items() if k == "glasses"}, 0.35)
    eyewear = eyewear or maybe({k: v for k, v in style.eyewear.items() if k == "sunglasses"}, 0.2)
    if name == "big-smile":  # it can draw only one of these at a time
        beard, headwear, eyewear = rng.choice([(beard, None, None), (None, headwear, None), (None, None, eyewear)])
    earrings = bool(style.earrings) and not beard and rng.random() < 0.3
    feminine = hair[0] in ("long hair", "hair bun", "twintails", "ponytail", "bob cut")
    gender = "1boy" if beard or rng.random() < (0.1 if feminine or earrings else 0.75) else "1girl"
    clothes = rng.choice(list(style.clothes)) if style.clothes else None
    shows_eyes = eyewear != "sunglasses"
    return Character(
        style=name,
        gender=gender,
        hair=hair,
        hair_colour=None if hair == ("bald",) else rng.choice(list(HAIR_COLOURS)),
        skin=rng.choice(list(SKINS)),
        background=rng.choice(list(BACKGROUNDS)),
        mouth=None if beard and style.beard_hides_mouth else rng.choice(list(style.mouths)),
        eyes=maybe({eyes: None for eyes in style.eyes if eyes}, 0.4) if shows_eyes else None,
        eyewear=eyewear,
        beard=beard,
        headwear=headwear,
        headwear_colour=rng.choice(list(CLOTHES_COLOURS)) if headwear == "hat" else None,
        earrings=earrings,
        blush=bool(style.blush) and not beard and rng.random() < 0.25,
        clothes=clothes,
        clothes_colour=rng.choice(list(CLOTHES_COLOURS)) if clothes else None,
    )


def drawing(character: Character, size: tuple[int, int], rng: random.Random) -> dict[str, Any]:
    """The drawing of a character as `avatars/draw.mjs` reads it; `size` is (width, height) in pixels."""
    style = STYLES[character.style]

    def pick(variants: Sequence[Options]) -> Options:
        return rng.choice(list(variants))

    parts: dict[str, str] = {**style.fixed, **pick(style.hair[character.hair])}
    parts |= pick(style.mouths[character.mouth or next(iter(style.mouths))])
    parts |= pick(style.eyes[character.eyes])
    if character.eyewear:
        parts |= pick(style.eyewear[character.eyewear])
    if character.beard:
        parts |= pick(style.beards[character.beard])
    if character.headwear:
        parts |= pick(style.headwear[character.headwear])
    if character.earrings:
        parts |= pick(style.earrings)
    if character.blush:
        parts |= pick(style.blush)
    if character.clothes:
        parts |= pick(style.clothes[character.clothes])

    hair = _near(HAIR_COLOURS[character.hair_colour], rng) if character.hair_colour else INK
    skin = _near(SKINS[character.skin], rng)
    parts |= {"hairColor": hair, "facialHairColor": hair, "skinColor": skin, "baseColor": skin}
    if character.clothes_colour:
        clothes = _near(CLOTHES_COLOURS[character.clothes_colour], rng)
        parts |= {"clothingColor": clothes, "clothesColor": clothes, "shirtColor": clothes}
    if character.headwear_colour:
        parts["hatColor"] = _near(CLOTHES_COLOURS[character.headwear_colour], rng)

    options: dict[str, Any] = {f"{part}Probability": 100 if part in parts else 0 for part in OPTIONAL_PARTS}
    options |= {part: [value] for part, value in parts.items()}
    return {
        "style": character.style,
        "options": options,
        "bolder": list(style.bolder),
        "frame": frame(character.style, size),
        "size": size,
        "background": "#" + _near(BACKGROUNDS[character.background], rng),
    }


def _near(colour: str, rng: random.Random, spread: int = 8) -> str:
    channels = (int(colour[i : i + 2], 16) + rng.randint(-spread, spread) for i in (0, 2, 4))
    return "".join(f"{min(255, max(0, channel)):02x}" for channel in channels)


def frame(style: str, size: tuple[int, int]) -> tuple[float, float, float, float]:
    """The part of the drawing that is seen at `size`, as (left, top, width, height) in fractions of its side.

    If an image is not square, its short side shows a little less than the square frame, and its long side shows more
    background, so that nothing that a caption names is cut off.
    """
    left, top, side = STYLES[style].frame
    width, height = size
    if width == height:
        return left, top, side, side
    scale = 0.93 * side / min(size)
    seen_width, seen_height = scale * width, scale * height
    slack = side - seen_height
    return (
        left + (side - seen_width) / 2,
        top + (slack if STYLES[style].grounded else slack / 2),
        seen_width,
        seen_height,
    )


def face_box(style: str, size: tuple[int, int]) -> Box:
    """Where eyes and mouth are in an image of `size`, in fractions of the image."""
    return _seen(STYLES[style].face, frame(style, size))


def detail_boxes(style: str, size: tuple[int, int]) -> list[Box]:
    """Where earrings and narrow strips of clothes are in an image of `size`, in fractions of the image."""
    return [_seen(box, frame(style, size)) for box in STYLES[style].details]


def _seen(box: Box, framed: tuple[float, float, float, float]) -> Box:
    """Convert a box of the drawing to a box of the image, which shows (left, top, width, height) of the drawing."""
    left, top, width, height = framed
    x0, y0, x1, y1 = box
    inside = ((x0 - left) / width, (y0 - top) / height, (x1 - left) / width, (y1 - top) / height)
    return tuple(min(1.0, max(0.0, edge)) for edge in inside)  # type: ignore[return-value]
