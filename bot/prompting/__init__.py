"""Works on prompts, without Discord or PyTorch: wildcards, prompt rules, hints, tag completion.

prompt = expand("{red|blue} hair, smile", seed)
final = final_prompts(prompt, negative, artist="nnn yryr", age_restricted=False)
"""

from bot.prompting.hints import Correction, Hint, HintCode, correct, fixed, hints
from bot.prompting.prompt_rules import (
    RECOMMENDED_NEGATIVE,
    RECOMMENDED_PREFIX,
    FinalPrompts,
    artist_tags,
    final_prompts,
    without_prefix,
)
from bot.prompting.tags import OWN_TAGS, Category, Completion, Tag, TagFileError, TagIndex
from bot.prompting.wildcards import escape_wildcards, expand, expansions, has_wildcards

__all__ = [
    "OWN_TAGS",
    "RECOMMENDED_NEGATIVE",
    "RECOMMENDED_PREFIX",
    "Category",
    "Completion",
    "Correction",
    "FinalPrompts",
    "Hint",
    "HintCode",
    "Tag",
    "TagFileError",
    "TagIndex",
    "artist_tags",
    "correct",
    "escape_wildcards",
    "expand",
    "expansions",
    "final_prompts",
    "fixed",
    "has_wildcards",
    "hints",
    "without_prefix",
]
