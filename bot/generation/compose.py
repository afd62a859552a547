"""Turns a user's options into a recipe for each picture: wildcards, prompt rules, turbo. Does not use Discord."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from bot.generation.comparison import RECOMMENDED, Comparison, Rewording
from bot.generation.errors import InvalidComparison
from bot.generation.options import Options
from bot.generation.recipe import Recipe
from bot.generation.sizes import tile_for
from bot.generation.spec import JobSpec
from bot.generation.typed.loras import LoraNames, no_such_lora
from bot.generation.typed.models import list_models, no_such_model
from bot.prompting import TagIndex, escape_wildcards, expand, final_prompts
from bot.text.markdown import inline
from bot.text.translation import N_, say
from inference import NativeSettings
from inference.request import TurboLora
from inference.weights.headers.diffusion_models import ModelFacts
from inference.weights.headers.loras import LoraFacts

MODEL_GONE = N_(
    "The model “{name}” is no longer available, so I can't draw this the same way again. There are: {names}."
)
LORA_GONE = N_("The LoRA “{name}” no longer exists, so I can't draw this the same way again.")
NO_TURBO = N_("There is no turbo LoRA here. Leave `speed` out.")


@dataclass(frozen=True)
class ModelInfo:
    """The facts about one diffusion model that requests need, and those of all others.

    lora_facts: facts from the LoRA files' headers, by name.
    name: the name in requests; empty if the files could not be read, so that there is no choice.
    models: the facts of all diffusion models by name, including this one, the operator's default first.
    """

    native: NativeSettings
    loras: tuple[str, ...] = ()
    turbo: TurboLora | None = None
    lora_facts: Mapping[str, LoraFacts] = field(default_factory=dict)
    name: str = ""
    models: Mapping[str, ModelFacts] = field(default_factory=dict)

    def of(self, name: str | None) -> ModelInfo:
        """The same for another model; for this one if there is no such model."""
        facts = self.models.get(name or "")
        return self if facts is None else replace(self, name=facts.name, native=facts.native, turbo=facts.turbo)

    @property
    def default(self) -> ModelInfo:
        """The same for the operator's default model."""
        return self.of(next(iter(self.models), None))

    def work_of(self, recipe: Recipe) -> float:
        """The work of a recipe's model relative to the default one's, at the same size and steps."""
        drawn, default = self.models.get(recipe.model), self.models.get(self.default.name)
        return drawn.blocks / default.blocks if drawn and default and drawn.blocks and default.blocks else 1.0

    @property
    def lora_names(self) -> LoraNames:
        """Finds LoRAs by name or alias."""
        return LoraNames(self.loras, {name: facts.aliases for name, facts in self.lora_facts.items()})


@dataclass(frozen=True)
class PromptRules:
    """What a server adds to every prompt.

    age_restricted: pictures need not be safe there. nag: negative prompts have an effect at CFG 1 too.
    """

    tags: TagIndex
    prefix: str
    negative: str
    age_restricted: bool
    nag: bool = True


def choose_model(said: Options, below: Options, models: ModelInfo, offered: Sequence[str]) -> ModelInfo:
    """The model to use: the requested one, or a stored default, or the operator's, or the first one offered.

    offered: the models that may be used there; a stored default that is not among them is skipped.
    """
    if said.model is not None and said.model in models.models:
        return models.of(said.model)
    usual = [below.model, models.default.name, *offered]
    return models.of(next((name for name in usual if name in offered), models.default.name))


def with_offered_model(below: Options, offered: Sequence[str]) -> Options:
    """Removes a model that is gone or not offered: stored defaults may name one, but nobody requested it now."""
    return below if below.model is None or below.model in offered else replace(below, model=None)


def resolve_options(said: Options, below: Options, model: ModelInfo) -> Options:
    """The effective options; required ones are all set. `said`: by the command; `below`: by preferences and server.

    model: the one to use, from `choose_model`. Turbo sets its own steps and CFG; only the command's options override
    them.
    """
    options = said.merged_over(below).merged_over(Options.of_model(model.native))
    options = replace(options, model=model.name or None)
    if not options.turbo or model.turbo is None:
        return replace(options, turbo=False)
    cfg_scale = said.cfg_scale or model.turbo.cfg_scale
    return replace(options, fast=False, steps=said.steps or model.turbo.steps, cfg_scale=cfg_scale)


def with_known_loras(below: Options, model: ModelInfo) -> Options:
    """Removes LoRAs that are gone: stored defaults may name some, but nobody requested them now."""
    if below.loras is None:
        return below
    return replace(below, loras=tuple(each for each in below.loras if each[0] in model.loras))


def unavailable(options: Options, said: Options, model: ModelInfo) -> str | None:
    """The error if a LoRA, or the requested turbo, is missing. `options`: resolved; `said`: by the command."""
    for name, _ in options.loras or ():
        if name not in model.loras:
            return no_such_lora(name, model.lora_names)
    if said.turbo and model.turbo is None and model.native.cfg_scale != 1:
        return say(NO_TURBO)
    return None


def unavailable_in(spec: JobSpec, model: ModelInfo) -> str | None:
    """The error if a model or LoRA of recipes that are drawn again unchanged is missing."""
    models = [recipe.model for recipe in spec.recipes if recipe.model and recipe.model not in model.models]
    if models and model.models:
        return say(MODEL_GONE, name=inline(models[0], 100), names=list_models(model.models))
    gone = [name for recipe in spec.recipes for name, _ in recipe.loras if name not in model.loras]
    return say(LORA_GONE, name=inline(gone[0], 100)) if gone else None


def comparison_recipes(
    comparison: Comparison,
    prompt: str,
    options: Options,
    seed: int,
    rules_for: Callable[[NativeSettings], PromptRules],
    model: ModelInfo,
) -> tuple[Recipe, ...]:
    """The recipes of a comparison, row by row, all with one seed. Raises InvalidComparison.

    options: resolved. rules_for: the prompt rules for a model's native settings.
    """

    def make_recipe(reword: Rewording, name: str | None) -> Recipe:
        if name is not None and name not in model.models:
            raise InvalidComparison(no_such_model(name, model.models))
        own = model.of(name)
        drawn = options if name is None else _options_of_other(options, comparison, own)
        return recipes(prompt, drawn, [seed], rules_for(own.native), own, from_image=False, reword=reword)[0]

    return comparison.recipes(make_recipe)


def _options_of_other(options: Options, comparison: Comparison, model: ModelInfo) -> Options:
    """The options for one of the compared models: it recommends those in RECOMMENDED that are not fixed."""
    own = resolve_options(Options(turbo=options.turbo), Options(), model)
    recommended = {name: getattr(own, name) for name in RECOMMENDED if name not in comparison.fixed}
    return replace(options, model=model.name, turbo=own.turbo, **recommended)


def with_fixed_settings(comparison: Comparison, said: Options, below: Options) -> Comparison:
    """Sets `fixed`, the settings that apply to every compared model; `said` and `below` as in `resolve_options`.

    Turbo sets its own steps and CFG, unless the command has set them.
    """
    if not comparison.compares_models:
        return comparison
    both = said.merged_over(below)
    by_turbo = ("steps", "cfg_scale") if both.turbo else ()
    fixed = tuple(name for name in RECOMMENDED if getattr(said if name in by_turbo else both, name) is not None)
    return replace(comparison, fixed=fixed)


def recipes(
    prompt: str,
    options: Options,
    seeds: Sequence[int],
    prompt_rules: PromptRules,
    model: ModelInfo,
    *,
    from_image: bool,
    reword: Rewording = lambda prompt: prompt,
) -> tuple[Recipe, ...]:
    """A recipe for each seed, which also chooses the prompt's wildcards.

    options: resolved. from_image: whether there is a source image, which `denoise` applies to.
    """
    settings = _recipe_without_prompt(options, prompt_rules, model, from_image=from_image)
    made = []
    for seed in seeds:
        final = final_prompts(
            reword(expand(prompt, seed)),
            expand(options.negative or "", seed),
            artist=options.artist or "",
            prefix="" if options.raw else prompt_rules.prefix,
            negative_prefix="" if options.raw else prompt_rules.negative,
            age_restricted=prompt_rules.age_restricted,
            category_of=prompt_rules.tags.category_of,
        )
        made.append(replace(settings, prompt=final.positive, negative_prompt=final.negative, seed=seed))
    return tuple(made)


def _recipe_without_prompt(
    options: Options, prompt_rules: PromptRules, model: ModelInfo, *, from_image: bool
) -> Recipe:
    """The settings that all pictures of a request share."""
    assert options.size is not None and options.steps is not None and options.cfg_scale is not None
    assert options.sampler is not None and options.scheduler is not None
    assert options.loras is not None and options.denoise is not None
    width, height = options.size
    loras = options.loras
    if options.turbo and model.turbo is not None and model.turbo.name not in dict(loras):
        loras = (*loras, (model.turbo.name, 1.0))
    variation_seed, variation_strength = options.variation or (None, 0.0)
    return Recipe(
        prompt="",
        negative_prompt="",
        width=width,
        height=height,
        steps=options.steps,
        cfg_scale=options.cfg_scale,
        sampler=options.sampler,
        scheduler=options.scheduler,
        seed=0,
        loras=loras,
        denoise=options.denoise if from_image else 1.0,
        variation_seed=variation_seed,
        variation_strength=variation_strength,
        nag=prompt_rules.nag and options.nag is not False,
        shift=options.shift or 3.0,
        beta=options.beta if options.scheduler == "beta" else None,
        er_sde=options.er_sde if options.sampler == "er_sde" else None,
        model=model.name,
        tile=tile_for(options.size, model.native.sizes[0]) if options.upscaled and from_image else None,
        fast=bool(options.fast),
    )


def repeat_recipes(spec: JobSpec, prompt_rules: PromptRules) -> tuple[Recipe, ...]:
    """A job's recipes again, unchanged except for what the channel now requires in every prompt."""
    made = []
    for recipe in spec.recipes:
        final = final_prompts(
            recipe.prompt,
            recipe.negative_prompt,
            prefix="",
            negative_prefix="",
            age_restricted=prompt_rules.age_restricted,
            category_of=prompt_rules.tags.category_of,
        )
        made.append(replace(recipe, prompt=final.positive, negative_prompt=final.negative))
    return tuple(made)


def options_of_image(spec: JobSpec, index: int) -> Options:
    """The options that draw one of a job's images alone, with all its special settings."""
    recipe = spec.recipes[index]
    variation = None if recipe.variation_seed is None else (recipe.variation_seed, recipe.variation_strength)
    options = replace(spec.options, seed=recipe.seed, variation=variation)
    if spec.comparison is None:
        return options
    return replace(
        options,
        negative=escape_wildcards(recipe.negative_prompt),
        artist="",
        count=1,
        steps=recipe.steps,
        cfg_scale=recipe.cfg_scale,
        sampler=recipe.sampler,
        scheduler=recipe.scheduler,
        loras=recipe.loras,
        turbo=False,
        fast=recipe.fast,
        raw=True,
        nag=recipe.nag,
        shift=recipe.shift,
        beta=recipe.beta,
        er_sde=recipe.er_sde,
        model=recipe.model or options.model,
    )


def prompt_of_image(typed: str, spec: JobSpec, index: int) -> str:
    """The prompt for `options_of_image`: as typed, unless a comparison has changed it."""
    return typed if spec.comparison is None else escape_wildcards(spec.recipes[index].prompt)
