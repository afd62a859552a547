"""The options that `/anima imagine` and `/anima compare` share: as typed, and parsed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bot.generation.comparison import MAX_QUOTED_LENGTH, UNKNOWN_NAME, AxisKind, axis_name
from bot.generation.compose import ModelInfo
from bot.generation.errors import InvalidOption
from bot.generation.options import Options
from bot.generation.sizes import parse_size
from bot.generation.typed.loras import parse_loras
from bot.generation.typed.models import parse_model
from bot.generation.values import Speed
from bot.prompting.lora_syntax import take_loras
from bot.prompting.syntax import BLANKS_AND_COMMAS
from bot.text.markdown import inline
from bot.text.numbers import half_width, whole_number
from bot.text.translation import N_, say
from inference.request import MAX_SEED, SAMPLERS, SCHEDULERS

WRONG_SEED = N_("The seed must be a whole number from 0 to {most}, or -1 for a new one.")
LORA_IN_NEGATIVE = N_("`<lora:…>` in the negative prompt has no effect, so it was left out. Put it into the prompt.")


@dataclass(frozen=True, kw_only=True)
class TypedOptions:
    """The options by their names in the commands; None: not given. Only strings, numbers and booleans."""

    prompt: str
    negative: str | None = None
    tags: str | None = None
    aspect: str | None = None
    count: int | None = None
    steps: int | None = None
    cfg: float | None = None
    sampler: str | None = None
    scheduler: str | None = None
    seed: str | None = None
    model: str | None = None
    lora: str | None = None
    lora2: str | None = None
    lora3: str | None = None
    artist: str | None = None
    speed: str | None = None
    denoise: float | None = None
    spoiler: bool | None = None
    private: bool | None = None
    raw: bool | None = None

    def read(self, usual_model: ModelInfo) -> ReadOptions:
        """Raises InvalidOption.

        usual_model: the one to use if these do not name another.
        """
        name = parse_model(self.model, usual_model.models)
        model = usual_model.of(name)
        prompt, in_prompt = take_loras(self.prompt)
        negative, in_negative = (None, ()) if self.negative is None else take_loras(self.negative)
        options = Options(
            model=name,
            negative=negative,
            artist=self.artist,
            size=None if self.aspect is None else parse_size(self.aspect, model.native.sizes),
            count=self.count,
            steps=self.steps,
            cfg_scale=self.cfg,
            sampler=parse_sampler(self.sampler),
            scheduler=parse_scheduler(self.scheduler),
            seed=parse_seed(self.seed),
            loras=parse_loras((self.lora, self.lora2, self.lora3), in_prompt, model.lora_names),
            turbo=None if self.speed is None else Speed(self.speed) is Speed.TURBO,
            fast=None if self.speed is None else Speed(self.speed) is Speed.FAST,
            denoise=self.denoise,
            raw=self.raw,
            spoiler=self.spoiler,
            private=self.private,
        )
        return ReadOptions(with_tags(prompt, self.tags), options, (say(LORA_IN_NEGATIVE),) if in_negative else ())


@dataclass(frozen=True)
class ReadOptions:
    """`prompt`: without its LoRAs, with the tags. `notes`: what was ignored, one sentence each."""

    prompt: str
    options: Options
    notes: tuple[str, ...] = ()


def with_tags(prompt: str, tags: str | None) -> str:
    """Appends tags to a prompt."""
    added = (tags or "").strip(BLANKS_AND_COMMAS)
    if not added:
        return prompt
    begun = prompt.rstrip(BLANKS_AND_COMMAS)
    return f"{begun}, {added}" if begun else added


def parse_seed(typed: str | None) -> int | None:
    """Parses a typed seed; -1 is a random one, as in web UIs. It is text because Discord's integers are too small.

    Raises InvalidOption.
    """
    if typed is None or half_width(typed).strip() in ("-1", "−1"):  # noqa: RUF001
        return None
    seed = whole_number(typed)
    if seed is None or seed > MAX_SEED:
        raise InvalidOption(say(WRONG_SEED, most=MAX_SEED))
    return seed


def parse_sampler(typed: str | None) -> str | None:
    """Parses a sampler. Raises InvalidOption."""
    return _known(typed, AxisKind.SAMPLER, SAMPLERS)


def parse_scheduler(typed: str | None) -> str | None:
    """Parses a scheduler. Raises InvalidOption."""
    return _known(typed, AxisKind.SCHEDULER, SCHEDULERS)


def _known(typed: str | None, kind: AxisKind, names: Sequence[str]) -> str | None:
    if typed is None:
        return None
    name = half_width(typed).strip().casefold().replace(" ", "_")
    if name not in names:
        unknown = say(UNKNOWN_NAME, axis=axis_name(kind), name=inline(typed, MAX_QUOTED_LENGTH), names=", ".join(names))
        raise InvalidOption(unknown)
    return name
