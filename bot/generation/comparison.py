"""Comparisons: one prompt and seed with one or two axes of values, parsed from the command's options.

Each column value is combined with each row value, and every such cell is a picture.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from types import MappingProxyType
from typing import TypeAlias

from bot.generation.errors import InvalidComparison, InvalidOption
from bot.generation.recipe import Recipe
from bot.generation.typed.models import parse_model
from bot.generation.values import MAX_COMPARED, MAX_LORA_STRENGTH, MIN_CFG_SCALE, Speed
from bot.prompting.syntax import COMMAS, UNSPACED_SCRIPTS
from bot.text.markdown import inline
from bot.text.numbers import half_width
from bot.text.translation import N_, say, say_plural
from inference import NativeSettings
from inference.prompt import parse_weights
from inference.request import MAX_CFG_SCALE, MAX_STEPS, SAMPLERS, SCHEDULERS, TurboLora
from inference.weights.headers.diffusion_models import ModelFacts

MAX_WEIGHT = 5.0
MAX_WORDS_LENGTH = 200
#: How many models are compared if none are named.
USUAL_MODELS = 4
#: Maximum characters of typed words and names that a message repeats.
MAX_QUOTED_LENGTH = 60

UNKNOWN_NAME = N_("There is no {axis} called “{name}”. There are: {names}.")
NO_NUMBER = N_("“{value}” can't be used for {axis}. Give numbers separated by commas, such as {example}.")
NOT_WHOLE = N_("“{value}” can't be used for {axis}. Give whole numbers separated by commas, such as {example}.")
OUT_OF_RANGE = N_("{value} can't be used for {axis}. Give numbers from {least} to {most}.")
ONE_VALUE = N_("A comparison needs two or more values for {axis}, separated by commas.")
TOO_MANY = N_("That would be {count} pictures. One comparison can have up to {most}. Use fewer values.")
SAME_AXIS = N_("Columns and rows both change {axis}. Choose something else for one of them, or leave `rows` out.")
NO_ROWS = N_("`row_values` needs `rows`. Choose `rows` as well.")
NO_WORDS = N_("Which words should get the weights? Give words of the prompt as `words`.")
NO_WEIGHT = N_("`words` only works with weight. Choose weight for `columns` or `rows`.")
NO_LORA = N_("Which LoRA should get the strengths? Choose one as `lora`.")
NO_TURBO_TO_COMPARE = N_("There is no turbo LoRA here, so speeds can't be compared. Choose something else.")
ONE_MODEL = N_("There is only one model here, so models can't be compared. Choose something else.")
NOT_IN_PROMPT = N_(
    "“{words}” isn't in the prompt, so its weight can't change. Write `words` exactly as in the prompt, "
    "outside of wildcards."
)
BRACKETS = N_(
    "“{words}” can't get a weight because the brackets around it don't match. Close every bracket in the "
    "prompt, or write `\\(` for a literal one."
)

NO_MODELS: Mapping[str, ModelFacts] = MappingProxyType({})

Value: TypeAlias = str | float
#: Changes a prompt after its wildcards are chosen and before prompt rules are applied.
Rewording: TypeAlias = Callable[[str], str]


class AxisKind(StrEnum):
    SAMPLER = "sampler"
    SCHEDULER = "scheduler"
    CFG = "cfg"
    STEPS = "steps"
    WEIGHT = "weight"
    LORA_STRENGTH = "lora strength"
    SPEED = "speed"
    MODEL = "model"


#: Options that each model recommends itself, so they differ between cells if models are compared.
RECOMMENDED = ("steps", "cfg_scale", "sampler", "scheduler")


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The axis that varies between columns, and maybe one that varies between rows.

    fixed: the settings of RECOMMENDED that somebody has set, so that they apply to every compared model.
    """

    columns: Axis
    rows: Axis | None = None
    fixed: tuple[str, ...] = ()

    def recipes(self, make_recipe: Callable[[Rewording, str | None], Recipe]) -> tuple[Recipe, ...]:
        """A recipe for each cell, row by row.

        make_recipe: makes the recipe without the cell's values. It gets the function that rewords the prompt, so that
            prompt rules are applied after that, and the name of the cell's model if models are compared.

        Raises InvalidComparison if the prompt does not contain the words whose weight is varied.
        """
        return tuple(_cell(chosen, make_recipe) for chosen in self._cells())

    @property
    def compares_models(self) -> bool:
        return AxisKind.MODEL in (self.columns.what, self.rows and self.rows.what)

    @property
    def title(self) -> str:
        if self.rows is None:
            return say("{columns} compared", columns=self.columns.name)
        return say("{columns} and {rows} compared", columns=self.columns.name, rows=self.rows.name)

    @property
    def labels(self) -> list[str]:
        """Each cell's label, row by row."""
        return [", ".join(axis.label(value) for axis, value in reversed(chosen)) for chosen in self._cells()]

    def _cells(self) -> list[tuple[tuple[Axis, Value], ...]]:
        across = [(self.columns, value) for value in self.columns.values]
        if self.rows is None:
            return [(column,) for column in across]
        return [(column, (self.rows, value)) for value in self.rows.values for column in across]


@dataclass(frozen=True, kw_only=True)
class Axis:
    """A setting that is varied, and its values.

    of: the words whose weight is varied, or the LoRA's name.
    turbo: the turbo LoRA for the axis of speeds. no_turbo: the models that need few steps without it.
    """

    what: AxisKind
    values: tuple[Value, ...]
    of: str = ""
    turbo: TurboLora | None = None
    no_turbo: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        if self.what is AxisKind.WEIGHT:
            return say("weight of “{words}”", words=self.of)
        if self.what is AxisKind.LORA_STRENGTH:
            return say("strength of {lora}", lora=self.of)
        return axis_name(self.what)

    def label(self, value: Value) -> str:
        match self.what:
            case AxisKind.CFG:
                return f"CFG {value:g}"
            case AxisKind.STEPS:
                return say_plural("{count} step", "{count} steps", float(value))
            case AxisKind.WEIGHT:
                return say("weight {weight}", weight=f"{value:g}")
            case AxisKind.LORA_STRENGTH:
                return say("LoRA {strength}", strength=f"{value:g}") if value else say("without LoRA")
            case _:
                return str(value)

    def reword(self, prompt: str, value: Value) -> str:
        return set_weight(prompt, self.of, float(value)) if self.what is AxisKind.WEIGHT else prompt

    def applied(self, recipe: Recipe, value: Value) -> Recipe:
        match self.what:
            case AxisKind.SAMPLER:
                return replace(recipe, sampler=str(value))
            case AxisKind.SCHEDULER:
                return replace(recipe, scheduler=str(value))
            case AxisKind.CFG:
                return replace(recipe, cfg_scale=float(value))
            case AxisKind.STEPS:
                return replace(recipe, steps=int(value))
            case AxisKind.LORA_STRENGTH:
                strengths = ((name, float(value) if name == self.of else strength) for name, strength in recipe.loras)
                return replace(recipe, loras=tuple(lora for lora in strengths if lora != (self.of, 0)))
            case AxisKind.SPEED:
                recipe = replace(recipe, fast=value == Speed.FAST)
                has_turbo = value == Speed.TURBO and recipe.model not in self.no_turbo
                return recipe if self.turbo is None or not has_turbo else _with_turbo(recipe, self.turbo)
            case AxisKind.WEIGHT | AxisKind.MODEL:
                return recipe  # `make_recipe` has applied it


def axis_name(what: AxisKind) -> str:
    """The axis's name inside a sentence."""
    match what:
        case AxisKind.SAMPLER:
            return say("sampler")
        case AxisKind.SCHEDULER:
            return say("scheduler")
        case AxisKind.CFG:
            return "CFG"
        case AxisKind.STEPS:
            return say("steps")
        case AxisKind.WEIGHT:
            return say("weight")
        case AxisKind.LORA_STRENGTH:
            return say("LoRA strength")
        case AxisKind.SPEED:
            return say("speed")
        case AxisKind.MODEL:
            return say("model")


def _cell(chosen: Sequence[tuple[Axis, Value]], make_recipe: Callable[[Rewording, str | None], Recipe]) -> Recipe:
    def reword(prompt: str) -> str:
        for axis, value in chosen:
            prompt = axis.reword(prompt, value)
        return prompt

    recipe = make_recipe(reword, next((str(value) for axis, value in chosen if axis.what is AxisKind.MODEL), None))
    # Turbo sets steps and CFG, so it conflicts with an axis of these.
    for axis, value in sorted(chosen, key=lambda each: each[0].what is not AxisKind.SPEED):
        recipe = axis.applied(recipe, value)
    return recipe


def _with_turbo(recipe: Recipe, turbo: TurboLora) -> Recipe:
    loras = recipe.loras if turbo.name in dict(recipe.loras) else (*recipe.loras, (turbo.name, 1.0))
    return replace(recipe, loras=loras, steps=turbo.steps, cfg_scale=turbo.cfg_scale)


# --- Weights ---


def set_weight(prompt: str, words: str, weight: float) -> str:
    """Gives the words this weight wherever they occur in the prompt; replaces a weight of exactly these words.

    Ignores case, and does not distinguish spaces from underscores. Raises InvalidComparison if the words are not in
    the prompt, or are inside brackets that do not match.

    >>> set_weight("1girl, (red hat:1.2), hatch", "red hat", 0.5)
    '1girl, (red hat:0.5), hatch'
    """
    found: list[str] = []

    def with_weight(occurrence: re.Match[str]) -> str:
        text = occurrence["enclosed"] or occurrence["bare"]
        found.append(_without_backslashes(text))
        return f"({text}:{weight:g})"

    result = _occurrences(words).sub(with_weight, prompt)
    if not found:
        raise InvalidComparison(say(NOT_IN_PROMPT, words=inline(words, MAX_QUOTED_LENGTH)))
    segments = parse_weights(result)
    if any(segments.count((text, weight)) < found.count(text) for text in found):
        raise InvalidComparison(say(BRACKETS, words=inline(words, MAX_QUOTED_LENGTH)))
    return result


_LETTER = re.compile(rf"[^\W{UNSPACED_SCRIPTS}]")


def _occurrences(words: str) -> re.Pattern[str]:
    plain = _without_backslashes(words).strip(string.whitespace + "_")
    text = r"[\s_]+".join(_spelled(word) for word in re.split(r"[\s_]+", plain))
    before = f"(?<!{_LETTER.pattern})" if _LETTER.match(plain[0]) else ""
    after = f"(?!{_LETTER.pattern})" if _LETTER.match(plain[-1]) else ""
    number = r"[-+]?[0-9.]+"
    enclosed = rf"(?<!\\)\(\s*(?P<enclosed>{text})\s*(?::\s*{number}\s*)?\)"
    return re.compile(rf"{enclosed}|{before}(?P<bare>{text}){after}", re.IGNORECASE)


def _without_backslashes(text: str) -> str:
    return re.sub(r"\\([()])", r"\1", text)


def _spelled(word: str) -> str:
    """A pattern for a word. Literal brackets have a backslash in prompts."""
    return "".join(rf"\\{re.escape(each)}" if each in "()" else re.escape(each) for each in word)


# --- Parsing ---


@dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """The command's options about what is varied. None: not given."""

    columns: AxisKind
    column_values: str | None = None
    rows: AxisKind | None = None
    row_values: str | None = None
    words: str | None = None
    lora: str | None = None


def parse_comparison(
    typed: CompareOptions,
    usual: NativeSettings,
    turbo: TurboLora | None = None,
    models: Mapping[str, ModelFacts] = NO_MODELS,
) -> Comparison:
    """Raises InvalidComparison.

    turbo: the turbo LoRA, if there is one.
    models: those that may be compared, by name.
    usual: the other settings; if no values are given, some around these are chosen.

    Does not check whether the LoRA exists.
    """
    if typed.rows is None and typed.row_values is not None:
        raise InvalidComparison(say(NO_ROWS))
    if typed.rows is typed.columns:
        raise InvalidComparison(say(SAME_AXIS, axis=axis_name(typed.columns)))
    if typed.words is not None and AxisKind.WEIGHT not in (typed.columns, typed.rows):
        raise InvalidComparison(say(NO_WEIGHT))
    known = _Known(usual, turbo, models)
    columns = _axis(typed, typed.columns, typed.column_values, known)
    rows = None if typed.rows is None else _axis(typed, typed.rows, typed.row_values, known)
    count = len(columns.values) * (1 if rows is None else len(rows.values))
    if count > MAX_COMPARED:
        raise InvalidComparison(say(TOO_MANY, count=count, most=MAX_COMPARED))
    return Comparison(columns=columns, rows=rows)


@dataclass(frozen=True)
class _Known:
    """The available names and usual settings; as in `parse_comparison`."""

    usual: NativeSettings
    turbo: TurboLora | None = None
    models: Mapping[str, ModelFacts] = field(default_factory=dict)

    def names(self, what: AxisKind) -> tuple[str, ...]:
        if what is AxisKind.MODEL:
            return tuple(name for name in self.models if not set(name) & set(COMMAS))
        return {AxisKind.SAMPLER: SAMPLERS, AxisKind.SCHEDULER: SCHEDULERS, AxisKind.SPEED: tuple(Speed)}.get(what, ())


def complete_values(
    what: AxisKind, typed: str, usual: NativeSettings, models: Mapping[str, ModelFacts] = NO_MODELS
) -> list[str]:
    """Completions of a list of values whose last one is still being typed."""
    given, known = _pieces(typed), _Known(usual, models=models)
    names = known.names(what)
    usual_values = ", ".join(_written(value) for value in _usual_values(what, known))
    if not given:
        return [usual_values, *names]
    if not names:
        return [typed.strip(), usual_values]
    finished = typed.rstrip().endswith(tuple(COMMAS))
    chosen, begun = (given, "") if finished else (given[:-1], _name(given[-1]))
    matching = [name for name in names if begun in _name(name) and _name(name) not in map(_name, chosen)]
    return [", ".join([*chosen, name]) for name in matching]


def _axis(typed: CompareOptions, what: AxisKind, values: str | None, known: _Known) -> Axis:
    words = (typed.words or "").strip(string.whitespace + "_")
    if what is AxisKind.WEIGHT and not words:
        raise InvalidComparison(say(NO_WORDS))
    if what is AxisKind.LORA_STRENGTH and typed.lora is None:
        raise InvalidComparison(say(NO_LORA))
    if what is AxisKind.SPEED and known.turbo is None:
        raise InvalidComparison(say(NO_TURBO_TO_COMPARE))
    if what is AxisKind.MODEL and len(known.models) < 2:
        raise InvalidComparison(say(ONE_MODEL))
    of = {AxisKind.WEIGHT: words, AxisKind.LORA_STRENGTH: typed.lora or ""}.get(what, "")
    read = [_value(what, piece, known) for piece in _pieces(values or "")]
    distinct = tuple(dict.fromkeys(read)) or _usual_values(what, known)
    if len(distinct) < 2:
        raise InvalidComparison(say(ONE_VALUE, axis=axis_name(what)))
    if what is not AxisKind.SPEED:
        return Axis(what=what, values=distinct, of=of)
    no_turbo = tuple(name for name, facts in known.models.items() if facts.turbo is None)
    return Axis(what=what, values=distinct, turbo=known.turbo, no_turbo=no_turbo)


def _pieces(text: str) -> list[str]:
    return [half_width(piece).strip() for piece in re.split(f"[{COMMAS}]", text) if piece.strip()]


def _value(what: AxisKind, text: str, known: _Known) -> Value:
    if what is AxisKind.MODEL:
        try:
            return parse_model(text, known.models) or text
        except InvalidOption as error:
            raise InvalidComparison(str(error)) from error
    names = known.names(what)
    if names:
        if _name(text) not in names:
            unknown = say(
                UNKNOWN_NAME, axis=axis_name(what), name=inline(text, MAX_QUOTED_LENGTH), names=", ".join(names)
            )
            raise InvalidComparison(unknown)
        return _name(text)
    whole = what is AxisKind.STEPS
    if not re.fullmatch(r"\d{1,5}" if whole else r"[-+]?(\d{1,5}(\.\d{0,3})?|\.\d{1,3})", text, re.ASCII):
        example = ", ".join(_written(value) for value in _usual_values(what, known))
        value = inline(text, MAX_QUOTED_LENGTH)
        raise InvalidComparison(
            say(NOT_WHOLE if whole else NO_NUMBER, value=value, axis=axis_name(what), example=example)
        )
    least, most = _RANGES[what]
    number = float(text) + 0.0  # turns -0.0 into 0.0
    if not least <= number <= most:
        values = {"value": _written(number), "least": _written(least), "most": _written(most)}
        raise InvalidComparison(say(OUT_OF_RANGE, axis=axis_name(what), **values))
    return number


def _name(text: str) -> str:
    return re.sub(r"[\s-]+", "_", text.casefold())


def _written(value: Value) -> str:
    return value if isinstance(value, str) else f"{value:g}"


_RANGES: Mapping[AxisKind, tuple[float, float]] = {
    AxisKind.CFG: (MIN_CFG_SCALE, MAX_CFG_SCALE),
    AxisKind.STEPS: (1, MAX_STEPS),
    AxisKind.WEIGHT: (-MAX_WEIGHT, MAX_WEIGHT),
    AxisKind.LORA_STRENGTH: (-MAX_LORA_STRENGTH, MAX_LORA_STRENGTH),
}


def _usual_values(what: AxisKind, known: _Known) -> tuple[Value, ...]:
    """Default values, few enough that any two axes make a comparison."""
    usual = known.usual
    match what:
        case AxisKind.SAMPLER:
            return "er_sde", "euler_a", "dpmpp_2m_sde_gpu"
        case AxisKind.SCHEDULER:
            return "simple", "beta57", "normal"
        case AxisKind.CFG:
            own = usual.cfg_scale
            low, high = max(MIN_CFG_SCALE, round(0.6 * own)), min(MAX_CFG_SCALE, round(1.5 * own))
            return tuple(float(cfg_scale) for cfg_scale in sorted({low, own, high}))
        case AxisKind.STEPS:
            own_steps = usual.steps
            few, many = max(1, own_steps // 2), min(MAX_STEPS, own_steps + max(1, own_steps // 2))
            return tuple(float(steps) for steps in sorted({few, own_steps, many}))
        case AxisKind.WEIGHT:
            return 0.5, 1.0, 1.5
        case AxisKind.LORA_STRENGTH:
            return 0.0, 0.5, 1.0
        case AxisKind.SPEED:
            return Speed.NORMAL.value, Speed.TURBO.value
        case AxisKind.MODEL:
            return known.names(what)[:USUAL_MODELS]
