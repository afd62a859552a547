"""Parses the names of diffusion models as users type them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from bot.generation.errors import InvalidOption
from bot.text.markdown import MAX_NAME_SHOWN, inline
from bot.text.translation import N_, listed, say
from inference.weights.headers.diffusion_models import ModelFacts
from inference.weights.headers.model_list import find_model, models_called

#: Separates a model's name from its description in choices. Users can type more after a choice.
ABOUT_SEPARATOR = " — "
MAX_NAMES_LISTED = 10

NO_SUCH_MODEL = N_("There is no model called “{name}”. There are: {names}.")
SEVERAL_MODELS = N_("“{name}” matches several models: {names}. Write the whole name of one, with its folder.")
ONLY_MODEL = N_("There is no model called “{name}”. The only one here is {names}.")


def parse_model(typed: str | None, models: Mapping[str, ModelFacts]) -> str | None:
    """Parses a model: its name, case-insensitive, with or without folder and suffix, or a variant that only one has.

    Raises InvalidOption.
    """
    if typed is None or not typed.strip():
        return None
    for text in dict.fromkeys((typed, typed.partition(ABOUT_SEPARATOR)[0])):
        if meant := models_meant(text, models):
            return the_only(meant, text)
    raise InvalidOption(no_such_model(typed.partition(ABOUT_SEPARATOR)[0], models))


def models_meant(text: str, models: Mapping[str, ModelFacts]) -> list[str]:
    """The models that a text could mean, as in `parse_model`: none, one or several."""
    if (named := find_named_model(text, models)) is not None:
        return [named]
    folded = text.strip().casefold()
    of_name = [name for name in models if models_called(folded, [name.casefold()])]
    return of_name or [name for name, facts in models.items() if facts.native.variant == folded]


def the_only(meant: Sequence[str], text: str) -> str:
    """The model that `text` means. If there are several, raises InvalidOption, which names all."""
    if len(meant) == 1:
        return meant[0]
    raise InvalidOption(say(SEVERAL_MODELS, name=inline(text, MAX_NAME_SHOWN), names=list_models(meant)))


def find_named_model(text: str, models: Iterable[str]) -> str | None:
    """The model of that name, case-insensitive, with or without folder and suffix; None for none or several."""
    names = tuple(models)
    if (exact := find_model(text, names)) is not None:
        return exact
    folded = {name.casefold(): name for name in names}
    found = find_model(text.casefold(), folded) if len(folded) == len(names) else None
    return None if found is None else folded[found]


def no_such_model(name: str, models: Iterable[str]) -> str:
    """The error for an unknown model; lists the known ones."""
    known = list(models)
    return say(
        ONLY_MODEL if len(known) == 1 else NO_SUCH_MODEL, name=inline(name, MAX_NAME_SHOWN), names=list_models(known)
    )


def list_models(names: Iterable[str]) -> str:
    return list_names(names) or say("none")


def list_names(names: Iterable[str]) -> str:
    """A list of models or LoRAs; of many, only the first names and the number of others."""
    return listed((inline(name, MAX_NAME_SHOWN) for name in names), MAX_NAMES_LISTED)
