"""Graphs of ComfyUI's page, as they stand in files without the server's graph."""

import copy
import json
from dataclasses import replace
from typing import Any

import pytest

from inference.metadata import LEFT_OUT, Parameters, comfyui_reader
from tests.effort import bounded_effort
from tests.inference.metadata.test_comfyui_reader import PAGE, READ


def read(page: dict[str, Any]) -> Parameters | None:
    return comfyui_reader.read({"workflow": json.dumps(page)})


def with_subgraph(outer: dict[str, Any]) -> dict[str, Any]:
    """The page with everything but the saving node inside a subgraph that takes the prompt's text and the seed."""
    inner = [copy.deepcopy(node) for node in PAGE["nodes"] if node["id"] != 8]
    text, sampler = (next(node for node in inner if node["id"] == id_) for id_ in (2, 7))
    text["inputs"].append({"name": "text", "widget": {"name": "text"}, "link": 20})
    next(socket for socket in sampler["inputs"] if socket["name"] == "seed")["link"] = 21
    links = [
        dict(zip(("id", "origin_id", "origin_slot", "target_id", "target_slot"), link, strict=False))
        for link in PAGE["links"]
        if link[0] != 10
    ]
    links += [
        {"id": 20, "origin_id": -10, "origin_slot": 0, "target_id": 2, "target_slot": 1},
        {"id": 21, "origin_id": -10, "origin_slot": 1, "target_id": 7, "target_slot": 4},
        {"id": 22, "origin_id": 7, "origin_slot": 0, "target_id": -20, "target_slot": 0},
    ]
    return {
        "nodes": [
            {"id": 30, "type": "some-uuid", **outer},
            {"id": 8, "type": "SaveImage", "inputs": [{"name": "images", "link": 40}]},
            {"id": 31, "type": "PrimitiveStringMultiline", "inputs": [], "widgets_values": ["from a wire"]},
        ],
        "links": [[40, 30, 0, 8, 0, "IMAGE"], [41, 31, 0, 30, 0, "STRING"]],
        "definitions": {"subgraphs": [{"id": "some-uuid", "nodes": inner, "links": links}]},
    }  # fmt: skip


def sockets(text_link: int | None) -> list[dict[str, Any]]:
    return [
        {"name": "text", "widget": {"name": "text"}, "link": text_link},
        {"name": "seed", "widget": {"name": "seed"}, "link": None},
    ]


def test_values_set_on_a_subgraphs_node_win_over_those_inside() -> None:
    page = with_subgraph({"inputs": sockets(None), "widgets_values": ["2girls", 99, "randomize"]})
    assert read(page) == replace(READ, prompt="2girls", seed=99)


def test_links_into_a_subgraphs_node_are_followed() -> None:
    page = with_subgraph({"inputs": sockets(41), "widgets_values": ["2girls", 99, "randomize"]})
    assert read(page) == replace(READ, prompt="from a wire", seed=99)


def test_promoted_values_of_inner_nodes_count() -> None:
    proxies = {"proxyWidgets": [["2", "text"], ["7", "seed"]]}
    page = with_subgraph({"inputs": [], "properties": proxies, "widgets_values": ["2girls", 99]})
    assert read(page) == replace(READ, prompt="2girls", seed=99)


def test_promoted_values_of_the_node_itself_are_its_inputs() -> None:
    proxies = {"proxyWidgets": [["7", "steps"], ["-1", "seed"], ["-1", "text"], ["-1", "unheard of"]]}
    page = with_subgraph({"inputs": sockets(None), "properties": proxies, "widgets_values": [9, 99, "2girls", 1]})
    assert read(page) == replace(READ, prompt="2girls", seed=99, steps=9)


@pytest.mark.parametrize("shown", [["seed"], ["seed", "text"]])
def test_inputs_that_are_shown_are_known_by_their_names(shown: list[str]) -> None:
    by_name = {socket["name"]: socket for socket in sockets(41)}
    page = with_subgraph({"inputs": [by_name[name] for name in shown], "widgets_values": [99, "randomize", "2girls"]})
    page["definitions"]["subgraphs"][0]["inputs"] = [{"name": "text"}, {"name": "seed"}, None]
    page["links"][1][4] = 1
    prompt = "from a wire" if "text" in shown else READ.prompt
    assert read(page) == replace(READ, prompt=prompt, seed=99)


def test_without_values_outside_those_inside_count() -> None:
    assert read(with_subgraph({"inputs": [], "widgets_values": []})) == READ


def test_subgraphs_within_themselves_end() -> None:
    page = with_subgraph({"inputs": []})
    page["definitions"]["subgraphs"][0]["nodes"].append({"id": 50, "type": "some-uuid"})
    assert read(page) is not None


@pytest.mark.parametrize("kinds", [("SetNode", "GetNode"), ("easy setNode", "easy getNode")])
def test_set_and_get_nodes_are_wires(kinds: tuple[str, str]) -> None:
    page = copy.deepcopy(PAGE)
    page["nodes"] += [
        {"id": 60, "type": kinds[0], "inputs": [{"name": "MODEL", "link": 61}], "widgets_values": ["the model"]},
        {"id": 62, "type": kinds[1], "inputs": [], "widgets_values": ["the model"]},
    ]
    page["links"] = [link for link in page["links"] if link[0] != 6] + [
        [61, 1, 0, 60, 0, "MODEL"], [6, 62, 0, 7, 0, "MODEL"],
    ]  # fmt: skip
    assert read(page) == READ


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        ("Lora Loader Stack (rgthree)", ["a.safetensors", 0.7, "None", 1, "None", 1, "None", 1]),
        ("Lora Loader (LoraManager)", ["<lora:a:1>", [{"name": "a.safetensors", "strength": 0.7, "active": True}]]),
        ("Efficient Loader", ["m.safetensors", "Baked VAE", -1, "a.safetensors", 0.7, 1, "cat", "bad"]),
    ],
)
def test_loaders_are_read_without_sockets_for_their_values(kind: str, values: list[Any]) -> None:
    page = copy.deepcopy(PAGE)
    loader = next(node for node in page["nodes"] if node["id"] == 6)
    loader |= {"type": kind, "mode": 0, "widgets_values": values}
    found = read(page)
    assert found is not None and (found.loras, found.vae) == ((("a.safetensors", 0.7),), READ.vae)


@pytest.mark.parametrize(
    ("kind", "values", "text"),
    [
        ("StringReplace", ["a cat", "cat", "dog"], "a dog"),
        ("StringConcatenate", ["cat", "hat", ", "], "cat, hat"),
        ("ImpactWildcardProcessor", ["{a|b}", "b", "populate", 1, "fixed", "Select"], "b"),
    ],
)
def test_nodes_of_texts_are_read_without_sockets_for_their_values(kind: str, values: list[Any], text: str) -> None:
    page = copy.deepcopy(PAGE)
    encoder = next(node for node in page["nodes"] if node["id"] == 2)
    encoder["inputs"].append({"name": "text", "widget": {"name": "text"}, "link": 90})
    page["nodes"].append({"id": 91, "type": kind, "inputs": [], "widgets_values": values})
    page["links"].append([90, 91, 0, 2, 1, "STRING"])
    found = read(page)
    assert found is not None and found.prompt == text


def test_a_node_that_could_hold_several_texts_may_hold_one() -> None:
    page = copy.deepcopy(PAGE)
    next(node for node in page["nodes"] if node["id"] == 4)["type"] = "Text String"
    assert read(page) == READ


def test_what_stands_between_joined_texts_is_known_without_sockets() -> None:
    page = copy.deepcopy(PAGE)
    page["nodes"] += [
        {
            "id": 50, "type": "Text Concatenate", "widgets_values": [", ", "true"],
            "inputs": [{"name": "text_a", "link": 50}, {"name": "text_b", "link": 51}],
        },
        {"id": 51, "type": "Text Multiline", "widgets_values": ["bad"]},
        {"id": 52, "type": "Text Multiline", "widgets_values": ["worse"]},
    ]  # fmt: skip
    page["links"] += [[50, 51, 0, 50, 0, "STRING"], [51, 52, 0, 50, 1, "STRING"]]
    next(link for link in page["links"] if link[0] == 3)[1] = 50
    assert read(page) == replace(READ, negative_prompt="bad, worse")


def test_the_rows_of_a_lora_loader_without_sockets_are_read() -> None:
    page = copy.deepcopy(PAGE)
    loader = next(node for node in page["nodes"] if node["id"] == 6)
    loader |= {"type": "Power Lora Loader (rgthree)", "mode": 0}
    loader["widgets_values"] = [
        {}, {"type": "PowerLoraLoaderHeaderWidget"},
        {"on": True, "lora": "a.safetensors", "strength": 0.7, "strengthTwo": None},
        {"on": False, "lora": "b.safetensors", "strength": 1}, {}, "",
    ]  # fmt: skip
    assert read(page) == replace(READ, loras=(("a.safetensors", 0.7),))


def test_enormous_subgraphs_within_themselves_take_no_time() -> None:
    page = with_subgraph({"inputs": []})
    inside = page["definitions"]["subgraphs"][0]
    inside["nodes"] += [{"id": 100 + i, "type": "some-uuid"} for i in range(200)]
    inside["links"] += [[i, -10, 5, 2, 1] for i in range(60_000)]
    text = json.dumps(page)
    with bounded_effort(200):
        comfyui_reader.read({"workflow": text})


def with_values(node_id: int, **changes: Any) -> Parameters | None:
    page = copy.deepcopy(PAGE)
    next(node for node in page["nodes"] if node["id"] == node_id).update(changes)
    return read(page)


def test_values_of_a_sampler_that_had_others_before_are_found_by_what_they_are() -> None:
    values = ["Sample", 13, 42, True, 20, 7.5, "euler_ancestral", "karras", 1, "Disabled"]
    sockets = [socket for socket in PAGE["nodes"][6]["inputs"] if "widget" not in socket]
    assert with_values(7, type="KSampler (Efficient)", inputs=sockets, widgets_values=values) == READ
    values = [None, "what", "ever", "it", "is"]
    found = with_values(7, type="KSampler (Efficient)", inputs=sockets, widgets_values=values)
    assert found is not None and (found.steps, found.seed) == (None, None)


def test_a_value_that_belongs_to_no_socket_is_passed_over() -> None:
    sockets = [{"name": "clip", "link": 1}, {"name": "text", "widget": {"name": "text"}, "link": None}]
    values = [{"version": 1, "textWidgetName": "text"}, "1girl", []]
    assert with_values(2, type="Prompt (LoraManager)", inputs=sockets, widgets_values=values) == READ


def test_loaders_and_encoders_whose_values_have_no_names_are_read() -> None:
    assert with_values(1, type="unCLIPCheckpointLoader") == READ
    assert with_values(1, type="CheckpointLoader|pysssss", widgets_values=["x", "any.safetensors"]) == READ
    assert with_values(2, type="smZ CLIPTextEncode", widgets_values=["1girl", "comfy", True]) == READ


def test_the_flag_of_a_node_that_joins_texts_is_no_text() -> None:
    page = copy.deepcopy(PAGE)
    encoder = next(node for node in page["nodes"] if node["id"] == 2)
    encoder["inputs"].append({"name": "text", "link": 90})
    sockets = [{"name": "text_a", "link": 91}, {"name": "text_b", "link": 92}]
    page["nodes"] += [
        {"id": 93, "type": "Text Concatenate", "inputs": sockets, "widgets_values": ["false"]},
        {"id": 94, "type": "Text Multiline", "widgets_values": ["1gi"]},
        {"id": 95, "type": "Text Multiline", "widgets_values": ["rl"]},
    ]
    page["links"] += [[90, 93, 0, 2, 1], [91, 94, 0, 93, 0], [92, 95, 0, 93, 1]]
    assert read(page) == READ


def test_wires_of_anything_everywhere_are_followed() -> None:
    page = copy.deepcopy(PAGE)
    page["links"] = [link for link in page["links"] if link[0] != 6]
    page["nodes"][6]["inputs"][0]["link"] = None
    sent = {"downstream": 7, "downstream_slot": 0, "upstream": "1", "upstream_slot": 0, "type": "MODEL"}
    page["extra"] = {"ue_links": [sent, None, {}, sent | {"downstream_slot": 99}, sent | {"upstream": "99"}]}
    assert read(page) == READ


def test_a_sampler_without_the_control_of_its_seed_is_read() -> None:
    sockets = [socket for socket in PAGE["nodes"][6]["inputs"] if "widget" not in socket]
    for values in ([42, 20, 7.5, "euler_ancestral", "karras", 1], [42, None, 20, 7.5, "euler_ancestral", "karras", 1]):
        assert with_values(7, type="KSampler", inputs=sockets, widgets_values=values) == READ


def test_the_first_of_several_values_without_names_is_no_setting() -> None:
    page = copy.deepcopy(PAGE)
    sampler = page["nodes"][6]
    next(socket for socket in sampler["inputs"] if socket["name"] == "sampler_name")["link"] = 90
    page["nodes"].append({"id": 91, "type": "Make Saver Config", "widgets_values": ["%seed", "png", 100]})
    page["links"].append([90, 91, 0, 7, 7, "COMBO"])
    named = ((LEFT_OUT, "sampler_name (Make Saver Config)"),)
    assert read(page) == replace(READ, sampler=None, extra=named)


@pytest.mark.parametrize(("layer", "named"), [(-1, ()), (-2, ((LEFT_OUT, "CLIPSetLastLayer (-2)"),))])
def test_the_layer_of_the_text_encoder_is_read_without_its_name(layer: int, named: tuple[tuple[str, str], ...]) -> None:
    page = copy.deepcopy(PAGE)
    sockets = [{"name": "clip", "link": 90}]
    page["nodes"].append({"id": 91, "type": "CLIPSetLastLayer", "inputs": sockets, "widgets_values": [layer]})
    page["links"] = [[1, 91, 0, 2, 0, "CLIP"] if link[0] == 1 else link for link in page["links"]]
    page["links"].append([90, 1, 1, 91, 0, "CLIP"])
    assert read(page) == replace(READ, extra=named)


@pytest.mark.parametrize(
    ("text", "prompt", "choices"),
    [
        ("1girl// a comment", "1girl", ()),
        ("1/* x * y */girl", "1girl", ()),
        ("{red|blue} hat, {a}", "{red|blue} hat, {a}", ("{red|blue}",)),
        (r"1\{a|b}", r"1\{a|b}", ()),
    ],
)
def test_what_the_page_makes_of_a_text_is_told(text: str, prompt: str, choices: tuple[str, ...]) -> None:
    """It leaves comments out and chooses anew for each image, which the file does not keep."""
    extra = tuple((LEFT_OUT, choice) for choice in choices)
    assert with_values(2, widgets_values=[text]) == replace(READ, prompt=prompt, extra=extra)


@pytest.mark.parametrize("text", ["/*" * 50_000, "{" * 100_000, "{|" * 50_000, "{" + "a" * 100_000, "//" * 50_000])
def test_a_long_text_of_a_page_is_read_at_once(text: str) -> None:
    page = copy.deepcopy(PAGE)
    next(node for node in page["nodes"] if node["id"] == 2)["widgets_values"] = [text]
    with bounded_effort(200):
        read(page)
