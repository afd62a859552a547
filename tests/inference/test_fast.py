"""Fast mode: which blocks are left out, that each image decides for itself, and what says so."""

from dataclasses import replace

import pytest
import torch
from PIL import Image

from inference import Engine, GenerationRequest
from inference.fast.block_cache import MAX_SKIPPED, THRESHOLD, WARMUP_CALLS, BlockCache
from inference.metadata.files import read
from inference.miniature.commands import MODELS
from inference.miniature.evaluate import cases
from inference.miniature.evaluate_modes import counted_blocks
from tests.golden import relative_error

#: Measured on 64 prompts: 1.59 times fewer blocks.
FEWER = 1.5
REQUEST = GenerationRequest("1girl, smile", "worst quality", width=64, height=64, steps=12, seed=3, fast=True)


class Blocks:
    """A first block that adds a given constant to the stream, others that add ten, and for which rows they did."""

    def __init__(self) -> None:
        self.adds: list[float] = []
        self.asked: list[list[int]] = []

    def first(self, tokens: torch.Tensor) -> torch.Tensor:
        return tokens + torch.tensor(self.adds).view(-1, 1, 1)

    def rest(self, tokens: torch.Tensor, rows: list[int]) -> torch.Tensor:
        self.asked.append(rows)
        return tokens + 10

    def run(self, cache: BlockCache, *adds: float) -> torch.Tensor:
        self.adds = list(adds)
        return cache.run(torch.zeros(len(adds), 2, 4), self.first, self.rest)


def warmed_up(blocks: Blocks, *adds: float) -> BlockCache:
    cache = BlockCache()
    for _ in range(WARMUP_CALLS):
        blocks.run(cache, *adds)
    blocks.asked.clear()
    return cache


def test_the_first_calls_are_computed_in_full() -> None:
    blocks = Blocks()
    cache = BlockCache()
    for _ in range(WARMUP_CALLS):
        blocks.run(cache, 1.0, 1.0)
    assert blocks.asked == [[0, 1]] * WARMUP_CALLS


def test_each_row_is_computed_where_its_own_first_block_changed() -> None:
    blocks = Blocks()
    cache = warmed_up(blocks, 1.0, 1.0)
    little, much = 1 + THRESHOLD / 2, 1 + 2 * THRESHOLD
    result = blocks.run(cache, little, much)
    assert blocks.asked == [[1]]
    assert torch.allclose(result[:, 0, 0], torch.tensor([little + 10, much + 10]))
    blocks.run(cache, 1.0, much)
    assert blocks.asked == [[1]]  # it is compared with what was computed last, not with the first call


def test_small_changes_add_up_and_no_row_is_left_out_for_ever() -> None:
    blocks = Blocks()
    cache = warmed_up(blocks, 1.0)
    for _ in range(MAX_SKIPPED + 1):
        blocks.run(cache, 1.0)
    assert blocks.asked == [[0]]
    blocks.asked.clear()
    for number in range(1, 4):
        blocks.run(cache, 1 + 0.45 * THRESHOLD * number)
    assert blocks.asked == [[0]]


def test_blocks_are_computed_if_a_value_is_not_a_number() -> None:
    blocks = Blocks()
    cache = warmed_up(blocks, 1.0)
    blocks.run(cache, float("nan"))
    assert blocks.asked == [[0]]


def test_tiles_are_told_apart() -> None:
    blocks = Blocks()
    cache = BlockCache()
    for _ in range(WARMUP_CALLS):
        for tile, adds in enumerate((1.0, 5.0)):
            cache.use_tile(tile)
            blocks.run(cache, adds)
    blocks.asked.clear()
    for tile, adds in enumerate((1.0, 5.0)):
        cache.use_tile(tile)
        blocks.run(cache, adds)
    assert blocks.asked == []


def test_it_computes_two_thirds_of_the_blocks_of_a_picture_that_stays_alike() -> None:
    engine = Engine.load(MODELS, device="cpu", dtype="float32")
    requests = [case.request(engine) for case in cases(engine, 2)]
    counts, images = [], []
    for fast in (False, True):
        with counted_blocks(engine) as rows:
            images.append(engine.generate([replace(request, fast=fast) for request in requests]))
        counts.append(sum(rows))
    assert counts[0] / counts[1] > FEWER
    for usual, quick in zip(*images, strict=True):
        assert 0 < relative_error(quick.latent, usual.latent) < 0.35


def test_an_image_of_a_batch_is_the_one_it_would_be_alone(engine: Engine) -> None:
    requests = [replace(REQUEST, seed=seed) for seed in range(3)]
    together = engine.generate(requests)
    for request, image in zip(requests, together, strict=True):
        assert relative_error(engine.generate([request])[0].latent, image.latent) < 1e-4


@pytest.mark.parametrize(
    "fields",
    [
        {"sampler": "euler_cfg_pp", "cfg_scale": 1.5},
        {"cfg_scale": 1.0},
        {"width": 1536, "height": 64, "tiled": True},
        {"sampler": "heun", "steps": 6},
    ],
)
def test_it_works_with_every_kind_of_guidance_and_with_tiles(engine: Engine, fields: dict[str, object]) -> None:
    request = replace(REQUEST, **fields)  # type: ignore[arg-type]
    counts = []
    for fast in (False, True):
        with counted_blocks(engine) as rows:
            engine.generate([replace(request, fast=fast)])
        counts.append(sum(rows))
    assert counts[1] < counts[0]


def test_on_the_cpu_nothing_is_modulated_for_blocks_that_are_left_out(engine: Engine) -> None:
    modulated: list[torch.nn.Module] = []
    hooks = [
        block.adaln_modulation_mlp.register_forward_pre_hook(lambda part, _inputs: modulated.append(part))  # type: ignore[union-attr]
        for block in engine.transformer.blocks
    ]
    with counted_blocks(engine) as rows:
        engine.generate([REQUEST])
    for hook in hooks:
        hook.remove()
    assert len(modulated) == len(rows)


def test_outside_of_a_mask_the_image_stays_as_it_was(engine: Engine) -> None:
    source = Image.new("RGB", (64, 64), (200, 40, 90))
    mask = Image.new("L", (64, 64), 0)
    mask.paste(255, (0, 0, 32, 64))
    drawn = engine.generate([replace(REQUEST, image=source, mask=mask, denoise=0.8)])[0].image
    assert drawn.getpixel((63, 63)) == (200, 40, 90)


def test_fast_mode_is_off_by_default_and_recorded_in_the_file(engine: Engine) -> None:
    assert not GenerationRequest("1girl").fast
    assert not engine.native.request("1girl").fast
    usual, quick = (engine.generate([replace(REQUEST, fast=fast, steps=4)])[0] for fast in (False, True))
    assert (read(usual.png()).fast, read(quick.png()).fast) == (False, True)  # type: ignore[union-attr]
    assert replace(REQUEST, fast=False).batch_key != REQUEST.batch_key


def test_a_request_that_is_not_fast_does_not_ask_for_a_cache(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BlockCache, "run", None)
    engine.generate([replace(REQUEST, fast=False, steps=2)])
    with pytest.raises(TypeError):
        engine.generate([REQUEST])
