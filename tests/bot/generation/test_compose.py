"""From options to recipes: layers, turbo, LoRAs, artists, seeds, wildcards and prompt rules."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import Mock

import pytest

from bot.generation.compose import (
    ModelInfo,
    PromptRules,
    choose_model,
    options_of_image,
    recipes,
    repeat_recipes,
    resolve_options,
    unavailable_in,
    with_offered_model,
)
from bot.generation.options import Options
from bot.generation.recipe import Recipe
from bot.generation.spec import JobSpec
from bot.prompting import TagIndex
from bot.rules.server_settings import ServerDefaults
from inference import NativeSettings
from inference.request import TurboLora
from inference.weights.headers.diffusion_models import ModelFacts
from inference.weights.modelspec import TURBO

NATIVE = NativeSettings(sizes=((832, 1216),), steps=30, cfg_scale=4.0, sampler="er_sde", scheduler="simple")
PLAIN = ModelInfo(NATIVE, ("ink", "turbo"))
WITH_TURBO = ModelInfo(NATIVE, ("ink", "turbo"), TurboLora("turbo", steps=8, cfg_scale=1.0))
TAGS = TagIndex.load()
FOR_EVERYONE = ServerDefaults().prompt_rules(TAGS, age_restricted=False)
AFTER_DARK = ServerDefaults().prompt_rules(TAGS, age_restricted=True)


def make_recipe(
    said: Options = Options(),  # noqa: B008
    prompt: str = "1girl, smile",
    *,
    model: ModelInfo = PLAIN,
    prompt_rules: PromptRules = FOR_EVERYONE,
    from_image: bool = False,
) -> Recipe:
    options = resolve_options(said, Options(), model)
    return recipes(prompt, options, [7], prompt_rules, model, from_image=from_image)[0]


def test_without_options_the_models_own_settings_are_used() -> None:
    recipe = make_recipe()
    assert (recipe.width, recipe.height, recipe.steps, recipe.cfg_scale) == (832, 1216, 30, 4.0)
    assert (recipe.sampler, recipe.scheduler, recipe.seed) == ("er_sde", "simple", 7)
    assert (recipe.loras, recipe.denoise, recipe.variation_seed) == ((), 1.0, None)


def test_the_command_wins_over_stored_defaults_and_these_over_the_model() -> None:
    holds = resolve_options(Options(steps=50), Options(steps=20, cfg_scale=5.0), PLAIN)
    assert (holds.steps, holds.cfg_scale, holds.sampler) == (50, 5.0, "er_sde")


def test_turbo_overrides_steps_and_cfg_of_defaults_but_not_of_the_command() -> None:
    kept = Options(turbo=True, steps=40, cfg_scale=6.0)
    holds = resolve_options(Options(), kept, WITH_TURBO)
    assert (holds.turbo, holds.steps, holds.cfg_scale) == (True, 8, 1.0)
    holds = resolve_options(Options(steps=12), kept, WITH_TURBO)
    assert (holds.steps, holds.cfg_scale) == (12, 1.0)
    holds = resolve_options(Options(turbo=False), kept, WITH_TURBO)
    assert (holds.turbo, holds.steps, holds.cfg_scale) == (False, 40, 6.0)


def test_only_a_large_upscale_of_an_image_is_drawn_in_tiles_of_the_models_own_size() -> None:
    upscaled = Options(upscaled=True, size=(1872, 2736))
    assert make_recipe(upscaled, from_image=True).tile == (832, 1216)
    assert make_recipe(upscaled, from_image=True).request(None).tiled
    assert make_recipe(upscaled).tile is None
    assert make_recipe(replace(upscaled, size=(1248, 1824)), from_image=True).tile is None
    assert make_recipe(replace(upscaled, upscaled=None), from_image=True).tile is None


def test_negatives_work_at_cfg_1_unless_the_server_or_the_picture_to_repeat_says_no() -> None:
    assert make_recipe().request(None).nag
    assert not make_recipe(prompt_rules=ServerDefaults(nag=False).prompt_rules(TAGS, age_restricted=False)).nag
    assert not make_recipe(Options(nag=False)).nag


def test_a_recipe_from_before_negatives_worked_at_cfg_1_stays_without() -> None:
    stored = JobSpec(recipes=(make_recipe(),)).as_json()
    [recipe] = stored["recipes"]
    del recipe["nag"]
    assert not JobSpec.of(Mock(parameters=stored)).recipes[0].nag


def test_a_models_own_prompt_texts_are_added_unless_the_server_has_others() -> None:
    native = replace(NATIVE, prefix="newest, ", negative="hat")
    of_model = ServerDefaults().prompt_rules(TAGS, age_restricted=True, native=native)
    of_server = ServerDefaults(prefix="old", negative="").prompt_rules(TAGS, age_restricted=True, native=native)
    texts = [make_recipe(prompt_rules=rules) for rules in (of_model, of_server)]
    assert [(recipe.prompt, recipe.negative_prompt) for recipe in texts] == [
        ("newest, 1girl, smile", "hat"),
        ("old, 1girl, smile", ""),
    ]


def test_a_typed_backslash_n_is_a_line_break() -> None:
    rules = ServerDefaults(prefix_on=False).prompt_rules(TAGS, age_restricted=True)
    assert make_recipe(prompt=r"ye-pop\nA lamp", prompt_rules=rules).prompt == "ye-pop\nA lamp"


def test_turbo_defaults_without_a_turbo_lora_are_ignored() -> None:
    holds = resolve_options(Options(), Options(turbo=True, steps=40), PLAIN)
    assert (holds.turbo, holds.steps) == (False, 40)


@pytest.mark.parametrize(
    ("loras", "taken"),
    [
        ((), (("turbo", 1.0),)),
        ((("ink", 0.7),), (("ink", 0.7), ("turbo", 1.0))),
        ((("turbo", 0.5),), (("turbo", 0.5),)),
    ],
)
def test_turbo_adds_its_lora_unless_that_is_there_with_a_strength_of_its_own(
    loras: tuple[tuple[str, float], ...], taken: tuple[tuple[str, float], ...]
) -> None:
    assert make_recipe(Options(turbo=True, loras=loras), model=WITH_TURBO).loras == taken


def test_artists_get_an_at_sign_and_their_place_and_are_not_repeated() -> None:
    assert make_recipe(Options(artist="nnn yryr"), "1girl, smile, @nnn yryr").prompt.count("@nnn yryr") == 1
    prompt = make_recipe(Options(artist="nnn yryr")).prompt
    assert prompt.index("@nnn yryr") < prompt.index("smile")


def test_raw_adds_nothing_but_what_keeps_the_channel_safe() -> None:
    raw = Options(raw=True, negative="hat")
    assert (make_recipe(raw).prompt, make_recipe(raw, prompt_rules=AFTER_DARK).prompt) == (
        "safe, 1girl, smile",
        "1girl, smile",
    )
    assert (
        "nsfw" in make_recipe(raw).negative_prompt
        and make_recipe(raw, prompt_rules=AFTER_DARK).negative_prompt == "hat"
    )


def test_a_server_without_prefix_and_negative_adds_none() -> None:
    prompt_rules = ServerDefaults(prefix_on=False, negative_on=False).prompt_rules(TAGS, age_restricted=True)
    recipe = make_recipe(prompt_rules=prompt_rules)
    assert (recipe.prompt, recipe.negative_prompt) == ("1girl, smile", "")


def test_denoise_needs_a_source_image() -> None:
    assert make_recipe(Options(denoise=0.4)).denoise == 1.0
    assert make_recipe(Options(denoise=0.4), from_image=True).denoise == 0.4


def test_each_seed_has_its_own_picture_and_chooses_its_own_words_in_both_prompts() -> None:
    options = resolve_options(Options(negative="{hat|cap|scarf|mask}", count=4), Options(), PLAIN)
    made = recipes("{red|blue|green|pink} hair", options, range(20), FOR_EVERYONE, PLAIN, from_image=False)
    assert [recipe.seed for recipe in made] == list(range(20))
    assert len({recipe.prompt for recipe in made}) == 4 == len({recipe.negative_prompt for recipe in made})


def test_options_of_one_image_draw_that_image() -> None:
    options = resolve_options(Options(count=3, negative="hat", artist="nnn yryr", steps=9), Options(), PLAIN)
    made = recipes("{red|blue} hair", options, [5, 6, 7], FOR_EVERYONE, PLAIN, from_image=False)
    varied = tuple(replace(recipe, variation_seed=3, variation_strength=0.2) for recipe in made)
    spec = JobSpec(recipes=varied, options=options)
    said = options_of_image(spec, 1)
    once_more = recipes("{red|blue} hair", said, [said.seed or 0], FOR_EVERYONE, PLAIN, from_image=False)
    assert once_more == (varied[1],)


def test_a_repeat_is_unchanged_except_for_the_channels_current_rules() -> None:
    recipe = make_recipe(Options(raw=True), "1girl, smile", prompt_rules=AFTER_DARK)
    spec = JobSpec(recipes=(recipe,))
    assert repeat_recipes(spec, AFTER_DARK) == (recipe,)
    [kept_safe] = repeat_recipes(spec, FOR_EVERYONE)
    assert kept_safe.prompt == "safe, 1girl, smile" and "nsfw" in kept_safe.negative_prompt
    assert replace(kept_safe, prompt=recipe.prompt, negative_prompt=recipe.negative_prompt) == recipe


# --- Models ---

MODELS = {
    facts.name: facts
    for facts in (
        ModelFacts("base", NATIVE, TurboLora("turbo", steps=8, cfg_scale=1.0), blocks=28),
        ModelFacts("fast", TURBO, None, blocks=28),
        ModelFacts("deep", NATIVE, None, blocks=42),
    )
}
SEVERAL = ModelInfo(NATIVE, ("ink", "turbo"), MODELS["base"].turbo, name="base", models=MODELS)


@pytest.mark.parametrize(
    ("said", "kept", "offered", "holds"),
    [
        (None, None, ("base", "fast", "deep"), "base"),
        ("fast", "deep", ("base", "fast", "deep"), "fast"),
        (None, "deep", ("base", "fast", "deep"), "deep"),
        (None, "deep", ("base", "fast"), "base"),
        (None, None, ("fast", "deep"), "fast"),
        ("base", None, ("fast",), "base"),  # which the policy refuses
        (None, "gone", (), "base"),
    ],
)
def test_the_model_that_is_used(said: str | None, kept: str | None, offered: tuple[str, ...], holds: str) -> None:
    model = choose_model(Options(model=said), Options(model=kept), SEVERAL, offered)
    assert model.name == holds
    assert model.native == MODELS[holds].native and model.turbo == MODELS[holds].turbo
    assert model.default.name == "base" and model.loras == SEVERAL.loras


def test_a_stored_model_that_is_unavailable_keeps_the_other_defaults() -> None:
    assert with_offered_model(Options(model="gone", steps=7), ("base",)) == Options(steps=7)
    assert with_offered_model(Options(model="base", steps=7), ("base",)).model == "base"


def test_a_recipe_has_the_name_of_its_model_and_turbo_models_take_no_turbo_lora() -> None:
    fast = make_recipe(Options(turbo=True), model=SEVERAL.of("fast"))
    assert (fast.model, fast.steps, fast.cfg_scale, fast.loras) == ("fast", 10, 1.0, ())
    assert make_recipe(model=PLAIN).model == "", "where the files cannot be read, there is no choice"


def test_a_job_is_repeated_only_with_the_models_that_it_had() -> None:
    spec = JobSpec(recipes=(make_recipe(model=SEVERAL), make_recipe(model=SEVERAL.of("deep"))))
    assert unavailable_in(spec, SEVERAL) is None
    without = replace(SEVERAL, models={name: facts for name, facts in MODELS.items() if name != "deep"})
    assert unavailable_in(spec, without) == (
        "The model “deep” is no longer available, so I can't draw this the same way again. There are: base, fast."
    )


def test_a_deeper_model_costs_as_much_more_as_it_has_blocks_more() -> None:
    def cost(name: str) -> float:
        recipe = replace(make_recipe(model=SEVERAL), model=name)
        return JobSpec(recipes=(recipe,)).cost(NATIVE, SEVERAL.work_of)

    assert (cost("base"), cost("deep"), cost("gone"), cost("")) == (1.0, 1.5, 1.0, 1.0)


def test_a_servers_fast_mode_applies_unless_turbo_or_another_speed_is_chosen() -> None:
    kept = ServerDefaults(fast=True).options()
    assert resolve_options(Options(), kept, WITH_TURBO).fast
    assert not resolve_options(Options(fast=False), kept, WITH_TURBO).fast
    assert not resolve_options(Options(turbo=True), kept, WITH_TURBO).fast
    assert resolve_options(Options(turbo=True), kept, PLAIN).fast
    assert not ServerDefaults().options().fast


def test_a_fast_recipe_is_less_work_and_a_batch_of_its_own() -> None:
    usual, fast = make_recipe(), make_recipe(Options(fast=True))
    assert fast.request(None).fast and not usual.request(None).fast
    assert fast.work < usual.work and fast.batch_key != usual.batch_key
