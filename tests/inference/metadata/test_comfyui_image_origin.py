"""Of the samplers of a graph the one that began the image is read, and what the others did is named."""

import json
from dataclasses import replace
from typing import Any

import pytest

from inference.metadata import LEFT_OUT, Parameters, comfyui_reader, read
from tests.inference.metadata.examples import png
from tests.inference.metadata.test_comfyui_reader import PARTS, READ, node
from tests.inference.metadata.test_comfyui_reader import read as read_graph


def more_samplers(name: str, **inputs: Any) -> dict[str, Any]:
    """Another sampler with nodes that decode and save what it makes."""
    return {
        name: node("KSampler", **PARTS["sampler"]["inputs"] | {"seed": 1, "steps": 9} | inputs),
        f"{name} decoded": node("VAEDecode", samples=[name, 0], vae=["model", 2]),
        f"{name} saved": node("SaveImage", images=[f"{name} decoded", 0]),
    }


HIRES = PARTS | {
    "larger": node("LatentUpscaleBy", samples=["sampler", 0], scale_by=1.5),
    **more_samplers("hires", latent_image=["larger", 0], denoise=0.5),
}
SECOND_PASS = ((LEFT_OUT, "LatentUpscaleBy (scale_by 1.5)"), (LEFT_OUT, "KSampler (steps 9, denoise 0.5)"))


def of_size(graph: dict[str, Any], size: tuple[int, int]) -> Parameters | None:
    return read(png({"prompt": json.dumps(graph)}, size))


def test_both_passes_that_are_saved_begin_with_the_first() -> None:
    assert read_graph(HIRES) == replace(READ, extra=SECOND_PASS)
    shuffled = {name: HIRES[name] for name in sorted(HIRES, reverse=True)}
    assert read_graph(shuffled) == replace(READ, extra=SECOND_PASS)


def test_the_size_of_the_image_tells_the_passes_apart() -> None:
    assert of_size(HIRES, (512, 768)) == READ
    assert of_size(HIRES, (768, 1152)) == replace(READ, extra=SECOND_PASS)


def test_the_size_of_the_image_tells_branches_apart() -> None:
    wide = {"wide": node("EmptyLatentImage", width=768, height=512, batch_size=1)}
    graph = PARTS | wide | more_samplers("other", latent_image=["wide", 0])
    other = replace(READ, seed=1, steps=9, width=768, height=512)
    assert (of_size(graph, (512, 768)), of_size(graph, (768, 512))) == (READ, other)


def test_that_the_file_could_be_another_image_of_its_graph_is_told() -> None:
    found = read_graph(PARTS | more_samplers("other"))
    assert found is not None and found.extra == ((LEFT_OUT, "one of 2 images of its graph"),)


def test_nodes_that_save_something_else_do_not_count() -> None:
    others = {
        "0": node("Save Text File", text=["positive", 0]),
        "1": node("SaveImage", images=["2", 0]),
        "2": node("MaskToImage", mask=["3", 0]),
        "3": node("MaskFromSomewhere", image=["decoded", 0]),
        "4": node("SaveImage", images=["5", 0]),
        "5": node("LoadImage", image="x.png"),
    }
    assert read_graph(others | PARTS) == READ


def test_a_sampler_that_only_made_a_reference_is_not_the_first() -> None:
    graph = more_samplers("reference") | PARTS
    del graph["reference saved"]
    graph["adapted"] = node("IPAdapter", model=["model", 0], image=["reference decoded", 0])
    graph["sampler"] = node("KSampler", **PARTS["sampler"]["inputs"] | {"model": ["adapted", 0]})
    assert read_graph(graph) == replace(READ, extra=((LEFT_OUT, "IPAdapter"),))


def advanced(latent: str, start: int, end: int, **inputs: Any) -> dict[str, Any]:
    usual = {name: value for name, value in PARTS["sampler"]["inputs"].items() if name not in ("seed", "denoise")}
    return node(
        "KSamplerAdvanced",
        **usual | {"latent_image": [latent, 0], "noise_seed": 42, "start_at_step": start, "end_at_step": end} | inputs,
    )


def in_two(**inputs: Any) -> Parameters | None:
    first = advanced("latent", 0, 12, add_noise="enable", return_with_leftover_noise="enable")
    second = advanced("sampler", 12, 10_000, add_noise="disable", noise_seed=0, **inputs)
    decoded = node("VAEDecode", samples=["second", 0], vae=["model", 2])
    return read_graph(PARTS | {"sampler": first, "second": second, "decoded": decoded})


def test_two_halves_of_one_walk_are_one_sampler() -> None:
    assert in_two() == READ
    named = ("Last step", "12"), (LEFT_OUT, "KSamplerAdvanced (steps 20)")
    assert in_two(cfg=2.0) == replace(READ, extra=named)


def test_a_walk_that_ends_early_is_told() -> None:
    graph = PARTS | {"sampler": advanced("latent", 0, 12, add_noise="enable")}
    assert read_graph(graph) == replace(READ, extra=(("Last step", "12"),))
    assert read_graph(PARTS | {"sampler": advanced("latent", 0, 20, add_noise="enable")}) == READ


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"latent": node("EmptyLatentImage", width=512, height=768, batch_size=4)}, "batch_size 4"),
        (
            {
                "latent": node("RepeatLatentBatch", samples=["empty", 0], amount=3),
                "empty": node("EmptyLatentImage", width=512, height=768, batch_size=1),
            },
            "batch_size 3",
        ),
        ({"sampler": advanced("latent", 0, 10_000, add_noise="disable")}, "add_noise disable"),
        (
            {"sampler": node("KSampler //Inspire", **PARTS["sampler"]["inputs"], noise_mode="GPU(=A1111)")},
            "noise_mode GPU(=A1111)",
        ),
    ],
)
def test_other_noise_than_a_seeds_own_is_named(changes: dict[str, Any], named: str) -> None:
    """File k of a batch has the seed of all of them, and its noise is the k-th slice of what that seed gives."""
    assert read_graph(PARTS | changes) == replace(READ, extra=((LEFT_OUT, named),))


def test_a_custom_sampler_without_noise_is_named() -> None:
    graph = PARTS | {
        "sampler": node(
            "SamplerCustomAdvanced",
            **{name: [name, 0] for name in ("noise", "guider", "sigmas")},
            sampler=["chosen", 0],
            latent_image=["latent", 0],
        ),
        "noise": node("DisableNoise"),
        "guider": node("CFGGuider", cfg=7.5, model=["model", 0], positive=["positive", 0], negative=["negative", 0]),
        "chosen": node("Reroute (rgthree)", **{"": ["select", 0]}),
        "select": node("KSamplerSelect", sampler_name="euler_ancestral"),
        "sigmas": node("Any Switch (rgthree)", any_01=["basic", 0]),
        "basic": node("BasicScheduler", scheduler="karras", steps=20, denoise=1.0, model=["model", 0]),
    }
    assert read_graph(graph) == replace(READ, seed=None, extra=((LEFT_OUT, "DisableNoise"),))


def test_without_a_sampler_on_the_way_of_images_any_that_can_be_reached_counts() -> None:
    graph = PARTS | {"decoded": node("Somebody's Decoder", stuff=["sampler", 0], vae=["model", 2])}
    found = comfyui_reader.read({"prompt": json.dumps(graph)})
    assert found is not None and found.seed == 42


def test_an_image_that_is_only_shown_counts_beside_a_text_that_is_saved() -> None:
    text = node("Save Text File", text=["positive", 0])
    assert read_graph(PARTS | {"0": text, "saved": node("PreviewImage", images=["decoded", 0])}) == READ


def test_an_image_that_is_sent_is_read_with_all_its_passes() -> None:
    graph = {name: each for name, each in HIRES.items() if not name.endswith("saved")}
    graph["sent"] = node("ETN_SendImageWebSocket", images=["hires decoded", 0])
    assert read_graph(graph) == replace(READ, extra=SECOND_PASS)


def test_of_two_images_of_one_size_the_one_with_more_done_to_it_is_told() -> None:
    graph = PARTS | {
        "detailed": node("FaceDetailer", image=["decoded", 0], model=["model", 0], denoise=0.4),
        "detailed saved": node("SaveImage", images=["detailed", 0]),
    }
    assert of_size(graph, (512, 768)) == replace(READ, extra=((LEFT_OUT, "FaceDetailer (denoise 0.4)"),))
