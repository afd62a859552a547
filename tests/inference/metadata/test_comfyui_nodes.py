"""Texts, switches and LoRAs of ComfyUI's nodes mean what those nodes make of them, or nothing."""

from dataclasses import replace
from typing import Any

import pytest

from inference.metadata import LEFT_OUT, Parameters
from tests.effort import bounded_effort
from tests.inference.metadata.test_comfyui_reader import PARTS, READ, node, read, sampler


def prompt_of(text: Any, **nodes: dict[str, Any]) -> str:
    found = read(PARTS | {"positive": node("CLIPTextEncode", text=text, clip=["model", 1])} | nodes)
    assert found is not None
    return found.prompt


@pytest.mark.parametrize(
    ("made_by", "prompt"),
    [
        (node("StringReplace", string="a cat", find="cat", replace="dog"), "a dog"),
        (node("CaseConverter", string="A Cat", mode="lowercase"), "a cat"),
        (node("CaseConverter", string="A Cat", mode="unheard of"), ""),
        (node("StringTrim", string="  cat ", mode="Both"), "cat"),
        (node("StringSubstring", string="a cat, a dog", start=2, end=5), "cat"),
        (node("RegexReplace", string="a cat", regex_pattern="c.t", replace="dog"), ""),
        (node("RegexExtract", string="a cat", regex_pattern="c.t"), ""),
        (node("PrimitiveStringMultiline", value="cat"), "cat"),
        (node("ImpactWildcardProcessor", wildcard_text="{a|b}", populated_text="b <lora:x:1>"), "b"),
        (node("DPRandomGenerator", text="{cat|dog} hat"), ""),
        (node("DPRandomGenerator", text="cat hat"), "cat hat"),
    ],
)
def test_a_text_is_what_its_node_makes_of_it_and_never_a_wrong_one(made_by: dict[str, Any], prompt: str) -> None:
    assert prompt_of(["made", 0], made=made_by) == prompt


def test_joins_of_changed_texts_are_followed() -> None:
    joined = node("StringConcatenate", string_a=["upper", 0], string_b="hat", delimiter=", ")
    upper = node("CaseConverter", string=["cat", 0], mode="UPPERCASE")
    assert prompt_of(["upper", 0], upper=upper, cat=node("PrimitiveString", value="cat")) == "CAT"
    assert prompt_of(["joined", 0], joined=joined, upper=upper, cat=node("PrimitiveString", value="cat")) == "CAT, hat"


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        ("ComfySwitchNode", ("switch", "on_true", "on_false")),
        ("Switch any [Crystools]", ("boolean", "on_true", "on_false")),
        ("easy ifElse", ("boolean", "on_true", "on_false")),
        ("ImpactConditionalBranch", ("cond", "tt_value", "ff_value")),
        ("Text Input Switch", ("boolean", "text_a", "text_b")),
    ],
)
@pytest.mark.parametrize(("value", "prompt"), [(True, "yes"), (False, "no"), ("true", "yes"), (["flag", 0], "yes")])
def test_a_condition_chooses_its_side(kind: str, names: tuple[str, str, str], value: Any, prompt: str) -> None:
    switch = node(kind, **{names[0]: value, names[1]: ["yes", 0], names[2]: ["no", 0]})
    texts = {text: node("PrimitiveString", value=text) for text in ("yes", "no")}
    assert prompt_of(["chosen", 0], chosen=switch, flag=node("PrimitiveBoolean", value=True), **texts) == prompt


def test_a_long_chain_of_changed_texts_ends() -> None:
    chain = {f"n{i}": node("StringTrim", string=[f"n{i + 1}", 0], mode="Both") for i in range(3000)}
    assert prompt_of(["n0", 0], **chain) == ""
    joins = {
        f"n{i}": node("StringConcatenate", string_a=[f"t{i}", 0], string_b=[f"t{i}", 0], delimiter="")
        for i in range(900)
    }
    trims = {f"t{i}": node("StringTrim", string=[f"n{i + 1}", 0], mode="Both") for i in range(900)}
    with bounded_effort(200):
        prompt_of(["n0", 0], **joins, **trims)


def with_model(**nodes: dict[str, Any]) -> Parameters | None:
    return read(sampler(model=["changed", 0]) | nodes)


@pytest.mark.parametrize(
    "loader",
    [
        node("ImpactWildcardEncode", model=["model", 0], populated_text="cat <lora:style:0.6:1>", wildcard_text="x"),
        node("LoraTagLoader", model=["model", 0], text="<lora:style:0.6:1>"),
    ],
)
def test_loras_by_tags_in_a_nodes_text_are_read(loader: dict[str, Any]) -> None:
    assert with_model(changed=loader) == replace(READ, loras=(("style", 1.0),))


def test_tags_that_comfyui_reads_as_text_stay() -> None:
    assert prompt_of("cat <lora:style:1>") == "cat <lora:style:1>"


@pytest.mark.parametrize("kind", ["TorchCompileModel", "PathchSageAttentionKJ", "Reroute"])
def test_what_only_makes_a_model_faster_is_not_named(kind: str) -> None:
    assert with_model(changed=node(kind, model=["model", 0])) == READ


def test_what_changes_a_model_otherwise_is_named() -> None:
    assert with_model(changed=node("RescaleCFG", model=["model", 0], multiplier=0.7)) == replace(
        READ, extra=((LEFT_OUT, "RescaleCFG"),)
    )
