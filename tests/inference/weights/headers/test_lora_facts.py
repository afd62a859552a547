"""Aliases and trigger words from LoRA files."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as some

from inference.weights.headers.loras import MAX_TRIGGERS_LENGTH, LoraFacts, LoraHeaders


def write_lora(path: Path, **metadata: str) -> None:
    header = json.dumps({"__metadata__": metadata}).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(len(header).to_bytes(8, "little") + header)


FREQUENCY = {"5_ink": {"ink style": 40, "1girl": 30, "hat (red)": 25, "smile": 2}, "1_more": {"ink style": 4}}


@pytest.mark.parametrize(
    ("metadata", "triggers"),
    [
        ({}, ""),
        ({"modelspec.trigger_phrase": " ink style,  lineart "}, "ink style, lineart"),
        ({"trained_words": '["ink style", "lineart, bold"]'}, "ink style, lineart, bold"),
        ({"trainedWords": "ink style"}, "ink style"),
        ({"ss_tag_frequency": json.dumps(FREQUENCY)}, r"ink style, 1girl, hat \(red\)"),
        ({"modelspec.trigger_phrase": "inky", "ss_tag_frequency": json.dumps(FREQUENCY)}, "inky"),
        ({"activation_text": "ink style"}, "ink style"),
        ({"ss_tag_frequency": json.dumps(FREQUENCY["5_ink"])}, r"ink style, 1girl, hat \(red\)"),
        ({"ss_tag_frequency": "not JSON"}, ""),
        ({"ss_tag_frequency": '{"a": [1], "b": {"x": "y", "z": -1}}'}, ""),
        ({"trained_words": "[1, null]"}, ""),
    ],
)
def test_trigger_words_are_what_the_maker_wrote_or_what_most_images_had(
    metadata: dict[str, str], triggers: str
) -> None:
    assert LoraFacts.of(metadata).triggers == triggers


def test_long_trigger_words_are_cut_between_words() -> None:
    triggers = LoraFacts.of({"trained_words": ", ".join(f"word {number}" for number in range(200))}).triggers
    assert len(triggers) <= MAX_TRIGGERS_LENGTH and triggers.split(", ")[-1].startswith("word ")


def test_other_names_are_the_trainers_and_the_title() -> None:
    facts = LoraFacts.of({"ss_output_name": "ink_v3", "modelspec.title": "Ink  Style"})
    assert facts.aliases == ("ink_v3", "Ink Style")


@given(some.dictionaries(some.sampled_from(["trained_words", "ss_tag_frequency", "ss_output_name"]), some.text()))
def test_any_header_is_read(metadata: dict[str, str]) -> None:
    assert len(LoraFacts.of(metadata).triggers) <= MAX_TRIGGERS_LENGTH


def test_a_file_is_read_again_only_when_it_has_changed(tmp_path: Path) -> None:
    file = tmp_path / "loras" / "styles" / "ink.safetensors"
    write_lora(file, trained_words="one")
    (tmp_path / "loras" / "broken.safetensors").write_bytes(b"nothing")
    headers = LoraHeaders(tmp_path)
    assert headers.facts() == {"styles/ink": LoraFacts(triggers="one"), "broken": LoraFacts()}
    before = file.stat()
    write_lora(file, trained_words="two")
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert headers.facts(["styles/ink", "gone"]) == {"styles/ink": LoraFacts(triggers="one")}
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert headers.facts(["styles/ink"]) == {"styles/ink": LoraFacts(triggers="two")}
