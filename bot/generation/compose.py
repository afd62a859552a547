"""From what a person asked for to the recipes of its pictures: wildcards, prompt rules, turbo. Free of Discord."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from bot.generation.comparison import Comparison, Rewording
from bot.generation.options import Options
from bot.generation.recipe import Recipe
from bot.generation.spec import JobSpec
from bot.generation.typed.loras import LoraNames, no_such_lora
from bot.prompting import TagIndex, escape_wildcards, expand, final_prompts
from bot.text.markdown import inline
from bot.text.translation import N_, say
from inference import NativeSettings
from inference.request import TurboLora
from inference.weights.headers.loras import LoraFacts

LORA_GONE = N_("The LoRA “{name}” no longer exists, so I can't draw this the same way again.")
NO_TURBO = N_("There is no turbo LoRA here. Leave `speed` out.")


@dataclass(frozen=True)
class ModelInfo:
    """What requests need to know about the loaded model.

    lora_facts: facts from the LoRA files' headers, by name.
    """

    native: NativeSettings
    loras: tuple[str, ...] = ()
    turbo: TurboLora | None = None
    lora_facts: Mapping[str, LoraFacts] = field(default_factory=dict)

    @property
    def lora_names(self) -> LoraNames:
        """Finds LoRAs by name or alias."""
        return LoraNames(self.loras, {name: facts.aliases for name, facts in self.lora_facts.items()})


@dataclass(frozen=True)
class PromptRules:
    """What is added to every prompt in a server.

    age_restricted: more than safe pictures may be drawn there. nag: negative prompts have an effect at CFG 1 too.
    """

    tags: TagIndex
    prefix: str
    negative: str
    age_restricted: bool
    nag: bool = True


def resolve_options(said: Options, below: Options, model: ModelInfo) -> Options:
    """What holds, with nothing left open. `said`: with the command; `below`: by preferences and server.

    Turbo brings its own steps and CFG with it; only what was said with the command stands against them.
    """
    options = said.merged_over(below).merged_over(Options.of_model(model.native))
    if not options.turbo or model.turbo is None:
        return replace(options, turbo=False)
    return replace(options, steps=said.steps or model.turbo.steps, cfg_scale=said.cfg_scale or model.turbo.cfg_scale)


def with_known_loras(below: Options, model: ModelInfo) -> Options:
    """Kept defaults may name files that are gone; nobody asked for those just now."""
    if below.loras is None:
        return below
    return replace(below, loras=tuple(each for each in below.loras if each[0] in model.loras))


def unavailable(options: Options, said: Options, model: ModelInfo) -> str | None:
    """What was asked for that is not there, in a sentence. `options`: resolved; `said`: with the command."""
    for name, _ in options.loras or ():
        if name not in model.loras:
            return no_such_lora(name, model.lora_names)
    if said.turbo and model.turbo is None and model.native.cfg_scale != 1:
        return say(NO_TURBO)
    return None


def unavailable_in(spec: JobSpec, model: ModelInfo) -> str | None:
    """The same of recipes that are to be drawn just as they were."""
    gone = [name for recipe in spec.recipes for name, _ in recipe.loras if name not in model.loras]
    return say(LORA_GONE, name=inline(gone[0], 100)) if gone else None


def comparison_recipes(
    comparison: Comparison, prompt: str, options: Options, seed: int, prompt_rules: PromptRules, model: ModelInfo
) -> tuple[Recipe, ...]:
    """The recipes of a comparison, row by row, all of one seed. Raises InvalidComparison. `options`: resolved."""

    def make_recipe(reword: Rewording) -> Recipe:
        return recipes(prompt, options, [seed], prompt_rules, model, from_image=False, reword=reword)[0]

    return comparison.recipes(make_recipe)


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
    """A picture for each seed, which also chooses the prompt's wildcards.

    options: resolved. from_image: whether there is a source image, `denoise` of which is redrawn.
    """
    assert options.size is not None and options.steps is not None and options.cfg_scale is not None
    assert options.sampler is not None and options.scheduler is not None
    assert options.loras is not None and options.denoise is not None
    width, height = options.size
    loras = options.loras
    if options.turbo and model.turbo is not None and model.turbo.name not in dict(loras):
        loras = (*loras, (model.turbo.name, 1.0))
    variation_seed, variation_strength = options.variation or (None, 0.0)
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
        made.append(
            Recipe(
                prompt=final.positive,
                negative_prompt=final.negative,
                width=width,
                height=height,
                steps=options.steps,
                cfg_scale=options.cfg_scale,
                sampler=options.sampler,
                scheduler=options.scheduler,
                seed=seed,
                loras=loras,
                denoise=options.denoise if from_image else 1.0,
                variation_seed=variation_seed,
                variation_strength=variation_strength,
                nag=prompt_rules.nag and options.nag is not False,
                shift=options.shift or 3.0,
                beta=options.beta if options.scheduler == "beta" else None,
                er_sde=options.er_sde if options.sampler == "er_sde" else None,
            )
        )
    return tuple(made)


def repeat_recipes(spec: JobSpec, prompt_rules: PromptRules) -> tuple[Recipe, ...]:
    """The recipes of a job once more, just as they were, save for what every prompt has to have in a channel now."""
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
    """What has to be said to get one image of a job alone, with all that was special about it."""
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
        raw=True,
        nag=recipe.nag,
        shift=recipe.shift,
        beta=recipe.beta,
        er_sde=recipe.er_sde,
    )


def prompt_of_image(typed: str, spec: JobSpec, index: int) -> str:
    """The prompt that goes with `options_of_image`: as it was typed, unless a comparison has changed it."""
    return typed if spec.comparison is None else escape_wildcards(spec.recipes[index].prompt)
