"""Group nodes of ComfyUI's page, and subgraphs within subgraphs: what is set outside counts."""

import copy
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inference.metadata import comfyui_reader
from tests.effort import bounded_effort
from tests.inference.metadata.test_comfyui_page import read, with_subgraph
from tests.inference.metadata.test_comfyui_reader import READ, VALUES

#: A loader outside; two encoders, the latent and the sampler inside, with values that no longer count. The seed comes
#: from a primitive node inside.
STALE = "what stood there before"
GROUP: dict[str, Any] = {
    "nodes": [
        *(
            {"type": "CLIPTextEncode", "inputs": [{"name": "clip"}], "outputs": [{}], "widgets_values": [STALE]}
            for _ in range(2)
        ),
        {"type": "EmptyLatentImage", "outputs": [{}], "widgets_values": [1, 1, 1]},
        {"type": "PrimitiveNode", "outputs": [{}], "widgets_values": [1, "randomize"]},
        {
            "type": "KSampler",
            "inputs": [
                *({"name": name, "link": None} for name in ("model", "positive", "negative", "latent_image")),
                {"name": "seed", "widget": {"name": "seed"}, "link": None},
            ],
            "outputs": [{}],
            "widgets_values": [1, "randomize", 1, 1.0, STALE, STALE, 1.0],
        },
        {"type": "VAEDecode", "inputs": [{"name": "samples"}, {"name": "vae"}], "outputs": [{}]},
    ],
    "links": [
        *([0, 0, 4, 1, 12, "CONDITIONING"], [1, 0, 4, 2, 13, "CONDITIONING"], [2, 0, 4, 3, 14, "LATENT"]),
        *([3, 0, 4, 4, 15, "INT"], [4, 0, 5, 0, 16, "LATENT"], [None, 0, 4, 0, 11, "MODEL"]),
    ],
    "external": [[5, 0, "IMAGE"]],
}  # fmt: skip
OUTSIDE: list[Any] = ["1girl", "bad", 512, 768, 1, 42, "randomize", 20, 7.5, "euler_ancestral", "karras", 1.0]


def grouped(kind: str = "workflow>My group", group: dict[str, Any] = GROUP, **changes: Any) -> dict[str, Any]:
    outer = {
        "id": 5, "type": kind, "outputs": [{}], "widgets_values": OUTSIDE,
        "inputs": [
            {"name": "clip", "link": 1}, {"name": "CLIP Text Encode clip", "link": 2}, {"name": "model", "link": 3},
            {"name": "vae", "link": 4},
        ],
        **changes,
    }  # fmt: skip
    loader = {"id": 1, "type": "CheckpointLoaderSimple", "outputs": [{}] * 3, "widgets_values": ["any.safetensors"]}
    save = {"id": 9, "type": "SaveImage", "inputs": [{"name": "images", "link": 5}], "widgets_values": ["x"]}
    return {
        "nodes": [loader, save, outer],
        "links": [
            *([1, 1, 1, 5, 0, "CLIP"], [2, 1, 1, 5, 1, "CLIP"], [3, 1, 0, 5, 2, "MODEL"], [4, 1, 2, 5, 3, "VAE"]),
            [5, 5, 0, 9, 0, "IMAGE"],
        ],
        "extra": {"groupNodes": {"My group": group}},
    }  # fmt: skip


@pytest.mark.parametrize("kind", ["workflow>My group", "workflow/My group"])
def test_a_group_node_is_read_with_its_own_values(kind: str) -> None:
    assert read(grouped(kind)) == READ


def test_two_nodes_of_one_group_have_values_of_their_own() -> None:
    page = grouped()
    second = copy.deepcopy(page["nodes"][2]) | {"id": 6, "inputs": []}
    page["nodes"].append(second | {"widgets_values": ["another", *OUTSIDE[1:]]})
    assert read(page) == READ


def test_a_value_that_is_wired_into_a_group_node_is_followed() -> None:
    group = copy.deepcopy(GROUP)
    group["nodes"][0]["inputs"].append({"name": "text", "widget": {"name": "text"}, "link": None})
    page = grouped(group=group, widgets_values=OUTSIDE[1:])
    page["nodes"][2]["inputs"].append({"name": "text", "widget": {"name": "text"}, "link": 6})
    page["nodes"].append({"id": 7, "type": "PrimitiveString", "widgets_values": ["2girls"]})
    page["links"].append([6, 7, 0, 5, 4, "STRING"])
    assert read(page) == replace(READ, prompt="2girls")


def test_inputs_and_outputs_that_a_person_hid_have_no_place() -> None:
    group = copy.deepcopy(GROUP)
    group["config"] = {"0": {"input": {"clip": {"visible": False}}, "output": {"0": {"visible": True}}}}
    page = grouped(group=group)
    del page["nodes"][2]["inputs"][0]
    page["links"][-1] = [5, 5, 1, 9, 0, "IMAGE"]
    assert read(page) == READ


def test_values_that_do_not_come_out_even_are_none() -> None:
    found = read(grouped(widgets_values=OUTSIDE[:5]))
    assert found is None or STALE not in str(found)


def test_a_group_node_that_is_bypassed_has_no_values() -> None:
    found = read(grouped(mode=4))
    assert found is None or "1girl" not in str(found)


@given(st.dictionaries(st.sampled_from(["nodes", "links", "external", "config"]), VALUES), VALUES, VALUES)
def test_every_group_is_read_or_refused(changes: dict[str, Any], inputs: Any, values: Any) -> None:
    comfyui_reader.read({"workflow": json.dumps(grouped(group=GROUP | changes, inputs=inputs, widgets_values=values))})


@given(st.lists(st.lists(st.integers(-1, 9) | st.none(), max_size=6), max_size=8))
def test_wires_that_lead_nowhere_do_no_harm(links: list[list[int | None]]) -> None:
    comfyui_reader.read({"workflow": json.dumps(grouped(group=GROUP | {"links": links, "external": links}))})


def test_enormous_groups_take_no_time() -> None:
    page = grouped(group=GROUP | {"nodes": GROUP["nodes"] * 500, "links": [[0, 0, 4, 1, 0, "X"]] * 4_000})
    page["nodes"] += [copy.deepcopy(page["nodes"][2]) | {"id": 100 + i} for i in range(2_000)]
    text = json.dumps(page)
    with bounded_effort(200):
        comfyui_reader.read({"workflow": text})


OUTER = [{"name": name, "widget": {"name": name}, "link": None} for name in ("text", "seed")]


def nested(wired: bool, **outer: Any) -> dict[str, Any]:
    """A page whose subgraph is in another one. wired: whether both have the values among their inputs."""
    page = with_subgraph({"inputs": copy.deepcopy(OUTER), "widgets_values": ["not this", 1, "fixed"]})
    host, save = page["nodes"][0], page["nodes"][1]
    links = [{"id": 70, "origin_id": 30, "origin_slot": 0, "target_id": -20, "target_slot": 0}]
    if wired:
        for slot, socket in enumerate(host["inputs"]):
            socket["link"] = 80 + slot
            links.append({"id": 80 + slot, "origin_id": -10, "origin_slot": slot, "target_id": 30, "target_slot": slot})
    around = {"id": "around", "inputs": OUTER if wired else [], "nodes": [host], "links": links}
    return {
        "nodes": [{"id": 40, "type": "around", "inputs": OUTER if wired else [], **outer}, save],
        "links": [[40, 40, 0, 8, 0, "IMAGE"]],
        "definitions": {"subgraphs": [*page["definitions"]["subgraphs"], around]},
    }


SHOWN = {
    "by name": [["30", "text"], ["30", "seed"]],
    "with the node inside": [["30", "text", "2"], ["30", "seed", "7"]],
    "with the node in front": [["30", "2: text"], ["30", "7: seed"]],
    "as text": json.dumps([["30", "text"], ["30", "seed"]]),
}


def test_values_set_on_the_outermost_subgraph_win() -> None:
    assert read(nested(True, widgets_values=["2girls", 99, "randomize"])) == replace(READ, prompt="2girls", seed=99)


@pytest.mark.parametrize("shown", SHOWN.values(), ids=SHOWN.keys())
def test_values_of_a_subgraph_within_that_are_shown_outside_win(shown: Any) -> None:
    page = nested(False, widgets_values=["2girls", 99], properties={"proxyWidgets": shown})
    assert read(page) == replace(READ, prompt="2girls", seed=99)


def test_shown_values_may_name_the_node_that_has_them() -> None:
    page = with_subgraph(
        {"inputs": [], "widgets_values": ["2girls"], "properties": {"proxyWidgets": [["2", "text", "9"]]}}
    )
    assert read(page) == replace(READ, prompt="2girls")
