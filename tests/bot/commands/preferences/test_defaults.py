"""What holds of a person's defaults, whose it is, and what is to be known about it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bot.commands.preferences.defaults import PreferencesContext, describe_option, validate
from bot.generation.compose import ModelInfo
from bot.generation.errors import InvalidForm
from bot.generation.options import Options
from bot.generation.typed.validation_errors import LABELS
from bot.rules.policy import EffectiveLimits
from bot.rules.server_settings import ServerDefaults
from inference import NativeSettings
from inference.request import TurboLora

NATIVE = NativeSettings(sizes=((64, 64),), steps=30, cfg_scale=4.0, sampler="er_sde", scheduler="simple")
CONTEXT = PreferencesContext(
    own=Options(),
    server=ServerDefaults().options(),
    model=ModelInfo(NATIVE, ("turbo",), TurboLora("turbo", steps=8, cfg_scale=1.0)),
    limits=EffectiveLimits(side=4096, area=16384, upscaled=16384, steps=100, count=4, compared=12),
    presets={},
    in_server=True,
)


def says(name: str, context: PreferencesContext) -> str:
    return " · ".join(describe_option(name, context, context.holds(context.own)))


def test_turbo_shows_its_own_steps_and_cfg_and_the_users_without_it() -> None:
    context = replace(CONTEXT, own=Options(turbo=True, steps=40))
    assert says("turbo", context) == "turbo · **yours** (server: normal)"
    assert says("steps", context) == "8 · set by turbo (yours without turbo: 40)"
    assert says("cfg_scale", context) == "1 · set by turbo"
    assert says("sampler", context) == "`er_sde` · model default"
    assert says("steps", replace(context, own=Options(steps=40))) == "40 · **yours** (model: 30)"


def test_the_servers_turbo_applies_unless_the_user_switched_it_off() -> None:
    context = replace(CONTEXT, server=ServerDefaults(turbo=True).options())
    assert says("steps", context) == "8 · set by turbo"
    assert says("steps", replace(context, own=Options(turbo=False))) == "30 · model default"


def test_turbo_without_a_turbo_lora_is_shown_as_unavailable() -> None:
    context = replace(CONTEXT, own=Options(turbo=True, steps=40), model=ModelInfo(NATIVE))
    assert says("turbo", context) == "turbo · **yours** (server: normal) · not available with this model"
    assert says("steps", context) == "40 · **yours** (model: 30)"


@pytest.mark.parametrize(
    ("own", "name", "refused"),
    [
        (Options(size=(128, 128)), "size", False),
        (Options(size=(128, 144)), "size", True),
        (Options(size=(4112, 16)), "size", True),
        (Options(steps=100), "steps", False),
        (Options(steps=101), "steps", True),
        (Options(count=4), "count", False),
        (Options(), "steps", False),
    ],
)
def test_defaults_above_the_limits_are_marked_as_refused(own: Options, name: str, refused: bool) -> None:
    context = replace(CONTEXT, own=own, limits=replace(CONTEXT.limits, area=128 * 128))
    assert ("refused" in says(name, context)) is refused


def test_a_servers_own_default_above_its_limits_is_shown_too() -> None:
    context = replace(CONTEXT, server=ServerDefaults(count=4).options(), limits=replace(CONTEXT.limits, count=2))
    assert says("count", context) == "4 · server default · ⚠️ above the limit here, will be refused"


@pytest.mark.parametrize("changes", [{"sampler": "best"}, {"size": ["a", "b"]}, {"size": ["64"]}, {"count": 10**30}])
def test_impossible_defaults_are_explained(changes: dict[str, object]) -> None:
    [name] = changes
    with pytest.raises(InvalidForm) as error:
        validate(changes)
    assert str(error.value).startswith(f"**{LABELS[name]}** ")
