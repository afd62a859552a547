"""Parses LoRAs as users type them, with or without a strength."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches

from bot.generation.errors import InvalidOption
from bot.generation.typed.models import list_names
from bot.generation.values import MAX_LORA_STRENGTH, MAX_LORAS
from bot.text.markdown import MAX_NAME_SHOWN, inline
from bot.text.numbers import half_width, number
from bot.text.translation import N_, say
from inference.weights.folders import composed, without_suffix

#: Separates a LoRA's name from its trigger words in choices. Users can type more after a choice.
TRIGGERS_SEPARATOR = " — "
#: Maximum length of a LoRA with its strength, in characters.
MAX_TYPED_LENGTH = 400
MAX_SUGGESTIONS = 3

NO_SUCH_LORA = N_("There is no LoRA called “{name}”. There are: {names}.")
CLOSE_LORAS = N_("There is no LoRA called “{name}”. Did you mean {names}?")
NO_LORAS = N_("There is no LoRA called “{name}”. There are no LoRAs here yet.")
AMBIGUOUS = N_("“{name}” matches several LoRAs: {names}. Write the whole name.")
NO_STRENGTH = N_("I don't understand the strength in “{typed}”. Write a number after the colon, such as {example}.")
STRENGTH_RANGE = N_("The strength of “{name}” is {strength}, but must be from -{most} to {most}.")
TOO_MANY_LORAS = N_("{count} LoRAs are too many. One picture can have up to {most}, including those in the prompt.")


class LoraNames:
    """Finds the available LoRAs by name or alias."""

    def __init__(self, names: Sequence[str], aliases: Mapping[str, Iterable[str]] | None = None) -> None:
        """`aliases`: other names from the files' headers, by LoRA name."""
        self.names = tuple(names)
        stems: defaultdict[str, list[str]] = defaultdict(list)
        spoken: defaultdict[str, list[str]] = defaultdict(list)
        for name in names:
            stems[_folded(_stem(name))].append(name)
            for alias in (aliases or {}).get(name, ()):
                spoken[_folded(alias.strip())].append(name)
        folded: defaultdict[str, list[str]] = defaultdict(list)
        for name in names:
            folded[_folded(name)].append(name)
        self._exact = frozenset(names)
        self._by = (folded, stems, spoken)

    def find(self, typed: str) -> str | None:
        """Looks up a full name, then a file name without its folder, then an alias; case-insensitive.

        None if there is none. Raises InvalidOption if there are several.
        """
        typed = typed.strip()
        for form in dict.fromkeys((typed, without_suffix(typed.replace("\\", "/")))):
            if form in self._exact:
                return form
            for by_key in self._by:
                found = list(dict.fromkeys(by_key.get(_folded(form), ())))
                if len(found) > 1:
                    raise InvalidOption(say(AMBIGUOUS, name=inline(typed, MAX_NAME_SHOWN), names=list_names(found)))
                if found:
                    return found[0]
        return None

    def close_to(self, typed: str) -> list[str]:
        """Names similar to a typed one, the most likely first."""
        by_stem = {_folded(_stem(name)): name for name in reversed(self.names)}
        stem = _folded(_stem(without_suffix(typed)))[:MAX_NAME_SHOWN]
        containing = sorted(key for key in by_stem if len(stem) > 2 and stem in key)
        close = get_close_matches(stem, by_stem, MAX_SUGGESTIONS)
        return [by_stem[key] for key in dict.fromkeys((*close, *containing))][:MAX_SUGGESTIONS]


def parse_lora(typed: str, known: LoraNames) -> tuple[str, float]:
    """Parses `name` or `name:0.8`; names may contain colons, the longest match wins. Raises InvalidOption.

    If there are two numbers, the second is used: in A1111 it is the strength for the diffusion model.
    """
    text = typed.strip()[:MAX_TYPED_LENGTH]
    ends = [len(text), *(match.start() for match in reversed(list(re.finditer("[:：]", text))))]  # noqa: RUF001
    for end in ends:
        if (found := known.find(text[:end])) is not None:
            return found, _strength(text[end + 1 :], text, found) if end < len(text) else 1.0
    name, triggers_follow, rest = text.partition(TRIGGERS_SEPARATOR)
    if triggers_follow and (found := known.find(name)) is not None:
        strength = half_width(rest).rpartition(":")[2] if ":" in half_width(rest) else ""
        return found, _strength(strength, text, found) if number(strength) is not None else 1.0
    raise InvalidOption(no_such_lora(_name_alone(text), known))


def parse_loras(
    chosen: Iterable[str | None], in_prompt: Iterable[str], known: LoraNames
) -> tuple[tuple[str, float], ...] | None:
    """The LoRAs of the options and the prompt; None if there are none.

    If a LoRA is named twice, the last strength is used, the prompt's after the options': their sum would be stronger
    than intended. Raises InvalidOption.
    """
    typed = [*(each for each in chosen if each is not None and each.strip()), *in_prompt]
    if not typed:
        return None
    loras = dict(parse_lora(each, known) for each in typed)
    wanted = tuple((name, strength) for name, strength in loras.items() if strength)
    if len(wanted) > MAX_LORAS:
        raise InvalidOption(say(TOO_MANY_LORAS, count=len(wanted), most=MAX_LORAS))
    return wanted


def no_such_lora(name: str, known: LoraNames) -> str:
    """The error for an unknown LoRA: suggests similar ones, or lists all."""
    shown = inline(name, MAX_NAME_SHOWN)
    if not known.names:
        return say(NO_LORAS, name=shown)
    if close := known.close_to(name):
        return say(CLOSE_LORAS, name=shown, names=say(" or ").join(inline(each, MAX_NAME_SHOWN) for each in close))
    return say(NO_SUCH_LORA, name=shown, names=list_names(known.names))


def _stem(name: str) -> str:
    return name.replace("\\", "/").rpartition("/")[2]


def _folded(name: str) -> str:
    """Equal for names that differ only in case or Unicode composition."""
    return composed(name).casefold()


def _name_alone(text: str) -> str:
    """The name part of an unknown LoRA."""
    name, _, rest = half_width(text).partition(":")
    return name if rest and number(rest.rpartition(":")[2]) is not None else text


def _strength(arguments: str, typed: str, name: str) -> float:
    """The diffusion model's strength in `0.8`, `0.5:0.8` or `te=0.5:unet=0.8`."""
    parts = [part.strip() for part in half_width(arguments).split(":") if part.strip()]
    named = dict(part.split("=", 1) for part in parts if "=" in part)
    in_order = [part for part in parts if "=" not in part]
    value = named.get("unet") or (in_order[1] if len(in_order) > 1 else None)
    value = value or named.get("te") or (in_order[0] if in_order else "1")
    strength = number(value)
    if strength is None:
        example = f"{inline(name, MAX_NAME_SHOWN)}:0.8"
        raise InvalidOption(say(NO_STRENGTH, typed=inline(typed, MAX_NAME_SHOWN), example=example))
    if abs(strength) > MAX_LORA_STRENGTH:
        raise InvalidOption(
            say(STRENGTH_RANGE, name=inline(name, MAX_NAME_SHOWN), strength=f"{strength:g}", most=MAX_LORA_STRENGTH)
        )
    return strength
