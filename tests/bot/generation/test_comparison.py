"""What was typed about a comparison, the recipes that come of it, and each of them drawn alone again."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bot.generation.comparison import (
    Axis,
    AxisKind,
    CompareOptions,
    Comparison,
    complete_values,
    parse_comparison,
    set_weight,
)
from bot.generation.compose import (
    ModelInfo,
    PromptRules,
    choose_model,
    comparison_recipes,
    options_of_image,
    prompt_of_image,
    recipes,
    resolve_options,
    with_fixed_settings,
)
from bot.generation.errors import InvalidComparison
from bot.generation.options import Options
from bot.generation.recipe import Recipe
from bot.generation.spec import JobSpec
from bot.generation.values import MAX_COMPARED, Speed
from bot.prompting import TagIndex, escape_wildcards, expand, final_prompts
from inference import NativeSettings
from inference.prompt import parse_weights
from inference.request import SAMPLERS, SCHEDULERS, TurboLora
from inference.weights.headers.diffusion_models import ModelFacts

NATIVE = NativeSettings(sizes=((64, 64),), steps=24, cfg_scale=4.0, sampler="er_sde", scheduler="simple")
TURBO = TurboLora("turbo.safetensors", 8, 1.0)
FAST = replace(NATIVE, variant="turbo", steps=6, cfg_scale=1.0, sampler="euler")
MODELS = {
    facts.name: facts
    for facts in (
        ModelFacts("anima-base", NATIVE, TURBO),
        ModelFacts("anima-turbo", FAST, None),
        ModelFacts("mine/Portraits", replace(NATIVE, steps=40), TURBO),
        ModelFacts("a, b", NATIVE, TURBO),
    )
}
MODEL = ModelInfo(NATIVE, ("style.safetensors", "turbo.safetensors"), TURBO, name="anima-base", models=MODELS)
RULES = PromptRules(TagIndex.load(), "masterpiece, best quality, safe, ", "worst quality", age_restricted=False)
PROMPT = "1girl, red hair, smile"

FIELDS = {
    AxisKind.SAMPLER: {"sampler"},
    AxisKind.SCHEDULER: {"scheduler"},
    AxisKind.CFG: {"cfg_scale"},
    AxisKind.STEPS: {"steps"},
    AxisKind.WEIGHT: {"prompt"},
    AxisKind.LORA_STRENGTH: {"loras"},
    AxisKind.SPEED: {"steps", "cfg_scale", "loras", "fast"},
    AxisKind.MODEL: {"model", "steps", "cfg_scale", "sampler", "loras"},
}


def typed(columns: AxisKind, rows: AxisKind | None = None, **more: str) -> CompareOptions:
    axes = (columns, rows)
    needed = {"words": "red hair"} if AxisKind.WEIGHT in axes else {}
    needed |= {"lora": "style.safetensors"} if AxisKind.LORA_STRENGTH in axes else {}
    return CompareOptions(columns=columns, rows=rows, **{**needed, **more})


def compared(what: AxisKind, values: str) -> tuple[object, ...]:
    return parse_comparison(typed(what, column_values=values), NATIVE, MODEL.turbo, MODELS).columns.values


def options(**said: object) -> Options:
    return resolve_options(Options(loras=(("style.safetensors", 1.0),), **said), Options(), MODEL)  # type: ignore[arg-type]


def make_recipe(comparison: Comparison, prompt: str = PROMPT, seed: int = 7, **said: object) -> tuple[Recipe, ...]:
    return comparison_recipes(comparison, prompt, options(**said), seed, lambda _: RULES, MODEL)


def refusal(asked: CompareOptions) -> str:
    with pytest.raises(InvalidComparison) as mistake:
        parse_comparison(asked, NATIVE, MODEL.turbo, MODELS)
    return str(mistake.value)


# --- Values ---


def test_values_are_read_as_people_write_them() -> None:
    assert compared(AxisKind.SAMPLER, "er_sde, Euler A,euler-a,、heun") == ("er_sde", "euler_a", "heun")
    assert compared(AxisKind.SCHEDULER, "beta57,simple") == ("beta57", "simple")
    assert compared(AxisKind.CFG, "1, 4.5,4.50, 12.") == (1.0, 4.5, 12.0)
    assert compared(AxisKind.STEPS, "8, 20, 30") == (8, 20, 30)
    assert compared(AxisKind.WEIGHT, "-1,0,.5, +2") == (-1.0, 0.0, 0.5, 2.0)
    assert compared(AxisKind.LORA_STRENGTH, "-0, 0, 1") == (0.0, 1.0)
    assert compared(AxisKind.MODEL, "turbo, PORTRAITS, anima-turbo") == ("anima-turbo", "mine/Portraits")


@pytest.mark.parametrize("columns", AxisKind)
@pytest.mark.parametrize("rows", [None, *AxisKind])
@settings(deadline=None)
@given(own=st.tuples(st.integers(1, 1000), st.floats(1, 100)))
def test_default_values_fit_any_two_axes(columns: AxisKind, rows: AxisKind | None, own: tuple[int, float]) -> None:
    if rows is columns:
        return
    usual = replace(NATIVE, steps=own[0], cfg_scale=own[1])
    comparison = parse_comparison(typed(columns, rows), usual, MODEL.turbo, MODELS)
    assert 2 <= len(comparison.labels) <= 12
    for axis in (comparison.columns, comparison.rows):
        if axis is not None and axis.what is AxisKind.CFG:
            assert own[1] in axis.values and all(1 <= float(value) <= 100 for value in axis.values)
        if axis is not None and axis.what is AxisKind.STEPS:
            assert own[0] in axis.values and all(1 <= float(value) <= 1000 for value in axis.values)


MISTAKES = {
    "an unknown sampler": (typed(AxisKind.SAMPLER, column_values="er_sde, plms"), ["sampler", "plms", *SAMPLERS]),
    "an unknown scheduler": (typed(AxisKind.SCHEDULER, column_values="karas"), ["scheduler", "karas", *SCHEDULERS]),
    "a word for a number": (typed(AxisKind.CFG, column_values="3, high"), ["CFG", "high", "2, 4, 6"]),
    "an endless number": (typed(AxisKind.CFG, column_values="inf, nan"), ["CFG", "inf"]),
    "half a step": (typed(AxisKind.STEPS, column_values="10, 12.5"), ["steps", "12.5", "whole"]),
    "no steps": (typed(AxisKind.STEPS, column_values="0, 10"), ["steps", "from 1 to 1000"]),
    "too little CFG": (typed(AxisKind.CFG, column_values="0.5, 4"), ["0.5", "CFG", "from 1 to 100"]),
    "too much weight": (typed(AxisKind.WEIGHT, column_values="1, 6"), ["6", "weight", "from -5 to 5"]),
    "too strong a LoRA": (typed(AxisKind.LORA_STRENGTH, column_values="1, 11"), ["11", "from -10 to 10"]),
    "one value": (typed(AxisKind.CFG, column_values="4"), ["CFG", "two or more"]),
    "one value twice": (typed(AxisKind.CFG, AxisKind.STEPS, row_values="4, 4"), ["steps", "two or more"]),
    "the same axis twice": (typed(AxisKind.CFG, AxisKind.CFG), ["both change CFG"]),
    "values of no rows": (typed(AxisKind.CFG, row_values="1, 2"), ["`rows`"]),
    "a weight of no words": (CompareOptions(columns=AxisKind.WEIGHT), ["`words`"]),
    "a weight of blanks": (typed(AxisKind.WEIGHT, words=" _ "), ["`words`"]),
    "words of no weight": (typed(AxisKind.CFG, words="red hair"), ["weight", "`columns`"]),
    "a strength of no LoRA": (CompareOptions(columns=AxisKind.LORA_STRENGTH), ["`lora`"]),
    "an unknown model": (typed(AxisKind.MODEL, column_values="anima-base, sdxl"), ["model", "sdxl", "anima-turbo"]),
    "too many": (typed(AxisKind.CFG, column_values=", ".join(map(str, range(1, 18)))), ["17", str(MAX_COMPARED)]),
    "too many together": (
        typed(AxisKind.CFG, AxisKind.STEPS, column_values="1,2,3,4,5", row_values="1,2,3,4"),
        ["20", str(MAX_COMPARED)],
    ),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_error_messages_say_what_to_do(case: str) -> None:
    asked, named = MISTAKES[case]
    sentence = refusal(asked)
    assert all(name in sentence for name in named), sentence
    assert "{" not in sentence


def test_typed_text_is_escaped_and_shortened() -> None:
    sentence = refusal(typed(AxisKind.SAMPLER, column_values="**@everyone** " + "x" * 200))
    assert "**" not in sentence.replace("\\*", "") and "@everyone" not in sentence and "x" * 61 not in sentence


def test_values_are_completed_at_the_last_one() -> None:
    assert complete_values(AxisKind.SAMPLER, "", NATIVE)[:2] == [
        "er_sde, euler_a, dpmpp_2m_sde_gpu",
        "er_sde",
    ]
    found = complete_values(AxisKind.SAMPLER, "heun, Euler", NATIVE)
    assert found[:2] == ["heun, euler_a", "heun, euler"] and all(text.startswith("heun, euler") for text in found)
    assert "heun" not in [text.split(", ")[-1] for text in complete_values(AxisKind.SAMPLER, "heun, ", NATIVE)]
    assert complete_values(AxisKind.SCHEDULER, "nothing", NATIVE) == []
    assert complete_values(AxisKind.CFG, "", NATIVE) == ["2, 4, 6"]
    three = ["anima-base", "anima-turbo", "mine/Portraits"]
    assert complete_values(AxisKind.MODEL, "", NATIVE, MODELS) == [", ".join(three), *three]
    assert complete_values(AxisKind.MODEL, "anima-base, port", NATIVE, MODELS) == ["anima-base, mine/Portraits"]
    assert complete_values(AxisKind.STEPS, "3, 5", NATIVE) == ["3, 5", "12, 24, 36"]


# --- Recipes ---

NUMBERS = {
    AxisKind.CFG: (1, 100),
    AxisKind.STEPS: (1, 1000),
    AxisKind.WEIGHT: (-5, 5),
    AxisKind.LORA_STRENGTH: (-10, 10),
}


@st.composite
def comparisons(draw: st.DrawFn) -> Comparison:
    def axis(what: AxisKind) -> Axis:
        speeds = tuple(speed.value for speed in Speed)
        models = tuple(MODELS)
        names = {AxisKind.SAMPLER: SAMPLERS, AxisKind.SCHEDULER: SCHEDULERS}.get(what)
        names = {AxisKind.SPEED: speeds, AxisKind.MODEL: models}.get(what, names)
        values: st.SearchStrategy[float | str]
        if names is not None:
            values = st.sampled_from(names)
        else:
            least, most = NUMBERS[what]
            digits = 1 if what is AxisKind.STEPS else 8
            values = st.integers(least * digits, most * digits).map(lambda number: number / digits)
        of = {AxisKind.WEIGHT: "red hair", AxisKind.LORA_STRENGTH: "style.safetensors"}.get(what, "")
        found = draw(st.lists(values, min_size=2, max_size=4, unique=True))
        if what is AxisKind.SPEED:
            return Axis(what=what, values=tuple(found), turbo=MODEL.turbo, no_turbo=("anima-turbo",))
        return Axis(what=what, values=tuple(found), of=of)

    kinds = st.lists(st.sampled_from(AxisKind), min_size=1, max_size=2, unique=True)
    # A turbo model is as fast as it is, so these two have cells that are alike.
    chosen = draw(kinds.filter(lambda both: set(both) != {AxisKind.SPEED, AxisKind.MODEL}))
    return Comparison(columns=axis(chosen[0]), rows=axis(chosen[1]) if len(chosen) == 2 else None)


@settings(deadline=None)
@given(comparisons(), st.booleans())
def test_cells_differ_only_in_what_is_varied(comparison: Comparison, turbo: bool) -> None:
    axes = [comparison.columns] + ([] if comparison.rows is None else [comparison.rows])
    turbo = turbo and AxisKind.SPEED not in [axis.what for axis in axes]  # which the command switches off then
    base = recipes(PROMPT, options(turbo=turbo), [7], RULES, MODEL, from_image=False)[0]
    found = make_recipe(comparison, turbo=turbo)
    count = len(comparison.columns.values) * len(comparison.rows.values if comparison.rows else (0,))
    assert len(found) == len(comparison.labels) == count == len(set(found))
    may_differ = set.union(*(FIELDS[axis.what] for axis in axes))
    for recipe in found:
        differ = {each.name for each in fields(Recipe) if getattr(recipe, each.name) != getattr(base, each.name)}
        assert differ <= may_differ


@settings(deadline=None)
@given(comparisons())
def test_cells_come_row_by_row_and_are_called_by_their_values(comparison: Comparison) -> None:
    found, rows = make_recipe(comparison), comparison.rows
    across = len(comparison.columns.values)
    for index, recipe in enumerate(found):
        column = comparison.columns.values[index % across]
        if comparison.columns.what is not AxisKind.SPEED:  # which settings of the other axis stand against
            assert comparison.columns.applied(recipe, column) == recipe
        assert comparison.labels[index].endswith(comparison.columns.label(column))
        if rows is not None:
            row = rows.values[index // across]
            if rows.what is not AxisKind.SPEED:
                assert rows.applied(recipe, row) == recipe
            assert comparison.labels[index].startswith(rows.label(row))


def test_each_axis_sets_what_it_is_called() -> None:
    def varied(what: AxisKind, values: str, field: str, **said: object) -> list[object]:
        found = make_recipe(parse_comparison(typed(what, column_values=values), NATIVE, MODEL.turbo, MODELS), **said)
        return [getattr(recipe, field) for recipe in found]

    assert varied(AxisKind.SAMPLER, "heun,lcm", "sampler") == ["heun", "lcm"]
    assert varied(AxisKind.SCHEDULER, "beta,karras", "scheduler") == ["beta", "karras"]
    assert varied(AxisKind.CFG, "1,7.5", "cfg_scale") == [1, 7.5]
    assert varied(AxisKind.STEPS, "3,9", "steps") == [3, 9]
    weights = varied(AxisKind.WEIGHT, "-1,1.25", "prompt")
    assert [parse_weights(str(prompt))[1] for prompt in weights] == [("red hair", -1), ("red hair", 1.25)]
    turbo = ("turbo.safetensors", 1.0)
    style = "style.safetensors"
    assert varied(AxisKind.LORA_STRENGTH, "0,0.5", "loras", turbo=True) == [(turbo,), ((style, 0.5), turbo)]


def test_the_strength_of_the_turbo_lora_itself_can_be_varied_down_to_none() -> None:
    comparison = parse_comparison(
        typed(AxisKind.LORA_STRENGTH, lora="turbo.safetensors", column_values="0, 1"), NATIVE, MODEL.turbo
    )
    said = resolve_options(Options(loras=(("turbo.safetensors", 1.0),), turbo=True), Options(), MODEL)
    found = comparison_recipes(comparison, PROMPT, said, 7, lambda _: RULES, MODEL)
    assert [recipe.loras for recipe in found] == [(), (("turbo.safetensors", 1.0),)]
    alone = resolve_options(
        options_of_image(JobSpec(recipes=found, options=said, comparison=comparison), 0), Options(), MODEL
    )
    assert recipes(found[0].prompt, alone, [7], RULES, MODEL, from_image=False) == (found[0],)


@settings(deadline=None)
@given(comparisons(), st.sampled_from([PROMPT, "{red|blue} eyes, red hair", r"\{a|b\}, red hair, \\{ @artist"]))
def test_a_cell_drawn_alone_is_the_same_image(comparison: Comparison, prompt: str) -> None:
    said = options(negative=r"hat, \{x|y\}", artist="nnn yryr", turbo=True)
    found = comparison_recipes(comparison, prompt, said, 7, lambda _: RULES, MODEL)
    drawing = JobSpec(recipes=found, options=said, comparison=comparison)
    drawing = JobSpec.of(StoredJob(drawing.as_json()))  # type: ignore[arg-type]
    assert drawing.comparison == comparison
    for index, recipe in enumerate(found):
        own = options_of_image(drawing, index)
        model = choose_model(own, Options(), MODEL, tuple(MODELS))
        alone = resolve_options(own, Options(loras=(("style.safetensors", 0.3),), turbo=True), model)
        assert alone.seed is not None
        again = recipes(prompt_of_image(prompt, drawing, index), alone, [alone.seed], RULES, model, from_image=False)
        assert again == (recipe,)


class StoredJob:
    def __init__(self, parameters: dict[str, object]) -> None:
        self.parameters = parameters


@settings(deadline=None)
@given(st.text(alphabet="ab{}|\\:,12 ", max_size=40), st.integers(0, 99))
def test_a_text_literal_becomes_itself_whatever_the_seed(text: str, seed: int) -> None:
    assert expand(escape_wildcards(text), seed) == text


# --- Weights ---


@pytest.mark.parametrize(
    ("prompt", "words", "result"),
    [
        ("1girl, red hair, hair", "hair", "1girl, red (hair:2), (hair:2)"),
        ("1girl, (red hair:1.3), smile", "red hair", "1girl, (red hair:2), smile"),
        ("1girl, (red hair), smile", "red hair", "1girl, (red hair:2), smile"),
        ("1girl, (red hair, smile:1.3)", "smile", "1girl, (red hair, (smile:2):1.3)"),
        ("Red_Hair, chair", "red hair", "(Red_Hair:2), chair"),
        ("red hair", "  red_hair ", "(red hair:2)"),
        ("hatch, hat", "hat", "hatch, (hat:2)"),
        ("白い猫耳, cat", "猫", "白い(猫:2)耳, cat"),
        ("白いcat", "cat", "白い(cat:2)"),
        (r"saber \(fate\), smile", "saber (fate)", r"(saber \(fate\):2), smile"),
        (r"saber \(fate\), smile", r"saber \(fate\)", r"(saber \(fate\):2), smile"),
        (">_<, smile", ">_<", "(>_<:2), smile"),
        ("@nnn yryr, smile", "@nnn yryr", "(@nnn yryr:2), smile"),
        ("a.b, axb", "a.b", "(a.b:2), axb"),
    ],
)
def test_words_get_the_weight_wherever_they_stand(prompt: str, words: str, result: str) -> None:
    assert set_weight(prompt, words, 2.0) == result


@pytest.mark.parametrize("prompt", ["1girl, smile", "hatch, that", "", "(h at)"])
def test_words_missing_from_the_prompt_are_named(prompt: str) -> None:
    with pytest.raises(InvalidComparison, match="“hat” isn't in the prompt"):
        set_weight(prompt, "hat", 2.0)


def test_brackets_that_do_not_match_are_named_for_the_weight_would_be_read_as_text() -> None:
    with pytest.raises(InvalidComparison, match="brackets"):
        set_weight("smile :(, hat", "hat", 2.0)


@settings(deadline=None)
@given(
    st.lists(st.sampled_from(["hat", "hat", "(", ")", ":1.2", ", ", " ", "\\(", "\\)", "that", "blue"]), max_size=12),
    st.integers(-40, 40).map(lambda number: number / 8),
)
def test_either_every_occurrence_has_the_weight_or_the_prompt_is_refused(pieces: list[str], weight: float) -> None:
    prompt = "".join(pieces)
    try:
        result = set_weight(prompt, "hat", weight)
    except InvalidComparison:
        return
    unescaped = "".join(text for text, _ in parse_weights(result))
    for text, found in parse_weights(result):
        assert found == weight or text != "hat"
    assert ("hat", weight) in parse_weights(result)
    assert "".join(text for text, _ in parse_weights(prompt)).count("hat") >= unescaped.count("hat")


@settings(deadline=None)
@given(st.sampled_from([-5.0, 0.0, 0.1, 3.0]), st.sampled_from(["safe", "nsfw", "best quality", "1girl"]))
def test_prompt_rules_decide_every_weight(weight: float, words: str) -> None:
    comparison = Comparison(columns=Axis(what=AxisKind.WEIGHT, values=(weight, 1.0), of=words))
    [first, _] = make_recipe(comparison, "1girl, safe, nsfw, best quality")
    segments = parse_weights(first.prompt)
    at_full_weight = [tag.strip() for text, found in segments if found == 1 for tag in text.split(",")]
    assert "safe" in at_full_weight
    assert not any("nsfw" in text for text, _ in segments)
    final = final_prompts(first.prompt, prefix="", negative_prefix="", age_restricted=False)
    assert final.positive == first.prompt


def test_words_are_looked_for_in_what_wildcards_have_become() -> None:
    comparison = Comparison(columns=Axis(what=AxisKind.WEIGHT, values=(0.5, 2.0), of="red hair"))
    seeds = range(20)
    with_words = [seed for seed in seeds if expand("{red|blue} hair", seed) == "red hair"]
    assert 0 < len(with_words) < len(seeds)
    for seed in seeds:
        if seed in with_words:
            assert all("(red hair:" in recipe.prompt for recipe in make_recipe(comparison, "{red|blue} hair", seed))
        else:
            with pytest.raises(InvalidComparison):
                make_recipe(comparison, "{red|blue} hair", seed)


def test_turbo_is_a_speed_with_its_own_lora_steps_and_cfg_and_conflicts_with_these_axes() -> None:
    turbo = MODEL.turbo
    speeds = parse_comparison(typed(AxisKind.SPEED), NATIVE, turbo)
    normal, fast = make_recipe(speeds)
    assert (normal.steps, normal.cfg_scale) == (24, 4.0) and ("turbo.safetensors", 1.0) not in normal.loras
    assert (fast.steps, fast.cfg_scale) == (8, 1.0) and ("turbo.safetensors", 1.0) in fast.loras
    both = parse_comparison(typed(AxisKind.STEPS, AxisKind.SPEED, column_values="5, 6"), NATIVE, turbo)
    assert [(recipe.steps, recipe.cfg_scale) for recipe in make_recipe(both)] == [(5, 4), (6, 4), (5, 1), (6, 1)]
    assert both.labels == ["normal, 5 steps", "normal, 6 steps", "turbo, 5 steps", "turbo, 6 steps"]


def test_speeds_are_compared_only_where_there_is_a_turbo_lora() -> None:
    with pytest.raises(InvalidComparison, match="no turbo LoRA here"):
        parse_comparison(typed(AxisKind.SPEED), NATIVE)


def test_an_axis_of_strengths_is_named_after_its_lora() -> None:
    strengths = Axis(what=AxisKind.LORA_STRENGTH, values=(0.5, 1), of="chibi")
    assert strengths.name == "strength of chibi"
    samplers = Axis(what=AxisKind.SAMPLER, values=("euler", "heun"))
    assert samplers.name == "sampler"


# --- Models ---


def test_models_are_compared_only_where_there_are_several() -> None:
    with pytest.raises(InvalidComparison, match="only one model here"):
        parse_comparison(typed(AxisKind.MODEL), NATIVE, models={"anima-base": MODELS["anima-base"]})


def test_each_compared_model_has_its_own_settings_but_for_those_that_somebody_has_set() -> None:
    comparison = parse_comparison(typed(AxisKind.MODEL, column_values="anima-base, turbo"), NATIVE, None, MODELS)
    cells = {recipe.model: recipe for recipe in make_recipe(comparison)}
    assert [(each.steps, each.cfg_scale, each.sampler) for each in cells.values()] == [
        (24, 4, "er_sde"),
        (6, 1, "euler"),
    ]
    said, kept = Options(steps=9), Options(sampler="heun", cfg_scale=3.0)
    fixed = with_fixed_settings(comparison, said, kept)
    assert fixed.fixed == ("steps", "cfg_scale", "sampler")
    cells = {recipe.model: recipe for recipe in make_recipe(fixed, steps=9, sampler="heun", cfg_scale=3.0)}
    assert {(each.steps, each.cfg_scale, each.sampler) for each in cells.values()} == {(9, 3.0, "heun")}


def test_turbo_counts_as_set_only_where_the_command_says_steps_and_cfg() -> None:
    comparison = parse_comparison(typed(AxisKind.MODEL), NATIVE, TURBO, MODELS)
    assert with_fixed_settings(comparison, Options(turbo=True), Options(steps=9)).fixed == ()
    assert with_fixed_settings(comparison, Options(turbo=True, steps=9), Options()).fixed == ("steps",)
    other = parse_comparison(typed(AxisKind.STEPS), NATIVE, TURBO, MODELS)
    assert with_fixed_settings(other, Options(steps=9), Options()) == other


def test_turbo_models_take_no_turbo_lora_when_speeds_are_compared_too() -> None:
    asked = typed(AxisKind.SPEED, AxisKind.MODEL, row_values="anima-base, anima-turbo")
    found = make_recipe(parse_comparison(asked, NATIVE, TURBO, MODELS))
    of_turbo = [recipe for recipe in found if recipe.model == "anima-turbo"]
    assert all(("turbo.safetensors", 1.0) not in recipe.loras and recipe.steps == 6 for recipe in of_turbo)
    assert [recipe.steps for recipe in found if recipe.model == "anima-base"] == [24, 8]


def test_a_removed_model_is_named_and_not_replaced() -> None:
    comparison = Comparison(columns=Axis(what=AxisKind.MODEL, values=("anima-base", "gone")))
    with pytest.raises(InvalidComparison, match="no model called “gone”"):
        make_recipe(comparison)
