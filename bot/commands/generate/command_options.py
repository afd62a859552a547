"""The options that several commands share: types, choices, descriptions, and their labels in forms and messages."""

from __future__ import annotations

from collections.abc import Mapping

from discord import app_commands

from bot.generation.values import MAX_ARTISTS_LENGTH, MIN_CFG_SCALE, Speed
from bot.messages.limits import MAX_CHOICE_LENGTH, MAX_OPTION_LENGTH
from inference.request import MAX_CFG_SCALE, MAX_PROMPT_LENGTH, MAX_STEPS

MAX_TAGS_LENGTH = 2000
#: With a strength, and with the trigger words that a choice names.
MAX_LORA_TEXT_LENGTH = 150

PromptText = app_commands.Range[str, 1, min(MAX_OPTION_LENGTH, MAX_PROMPT_LENGTH)]
AspectText = app_commands.Range[str, 1, MAX_CHOICE_LENGTH]
StepsNumber = app_commands.Range[int, 1, MAX_STEPS]
CfgNumber = app_commands.Range[float, MIN_CFG_SCALE, MAX_CFG_SCALE]
SeedText = app_commands.Range[str, 1, 20]
TagsText = app_commands.Range[str, 1, MAX_TAGS_LENGTH]
ModelText = app_commands.Range[str, 1, MAX_CHOICE_LENGTH]
LoraText = app_commands.Range[str, 1, MAX_LORA_TEXT_LENGTH]
ArtistText = app_commands.Range[str, 1, MAX_ARTISTS_LENGTH]


#: What each option does, by its name in the command.
DESCRIPTIONS: Mapping[str, str] = {
    "prompt": "What to draw: tags, sentences, or both",
    "negative": "What to avoid",
    "tags": "Tags to add to the prompt, completed one after another",
    "aspect": "Shape and size: pick from the list, or type a ratio (2:3) or a size (832x1216)",
    "steps": "More steps give finer detail but take longer",
    "cfg": "How closely to follow the prompt",
    "sampler": "Sampling method; each has its own look",
    "scheduler": "How steps are spread over noise levels",
    "seed": "The same seed and settings give the same picture",
    "model": "Which model draws; each has its own steps, CFG and quality tags",
    "lora": "A LoRA, an extra style or character; its strength after a colon (ink:0.8)",
    "lora2": "A second LoRA",
    "lora3": "A third LoRA",
    "artist": "One or more artists, separated by commas; @ is added for you",
    "speed": "Turbo takes fewer steps; fast leaves out what changes little. Both cost less",
    "spoiler": "Hide the picture until it is clicked",
    "private": "Only you can see it",
    "raw": "Use your prompt as it is: no quality tags and no negative prompt are added",
}

SPEEDS = [app_commands.Choice(name=speed.value, value=speed.value) for speed in Speed]
