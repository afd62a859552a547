"""What only a GPU can show. Where there is none, these are skipped; `docs/benchmarks.md` says when they last ran."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image

from inference import Cancelled, Engine, OutOfMemory
from inference.benchmark.loop import recompilations
from inference.gpu.attention import kernels_for
from inference.gpu.batch_gain import SIZES
from inference.gpu.fused_projections import fuse_projections, unfuse_projections
from inference.networks.compile import graphs_compiled
from inference.process import EngineProcess, load_engine
from inference.sampling import SAMPLERS, initial_noise
from inference.sampling.noise import white_noise
from tests.golden import CASES, EXPECTED, MODELS, NETWORK_TOLERANCE, PICTURE_TOLERANCE, relative_error
from tests.inference.test_engine import BFLOAT16_LATENT_BOUND, BFLOAT16_LEVEL_BOUND, REQUEST, unlike_requests
from tests.inference.test_golden import draw, without_frame

pytestmark = [
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
    pytest.mark.xdist_group("cuda"),
    # The compiler advises TensorFloat32 for float32, which these tests use for the sake of exactness.
    pytest.mark.filterwarnings("default"),
]

LARGE = replace(REQUEST, width=1024, height=1024, steps=1)


@pytest.fixture(scope="module")
def gpu() -> Engine:
    return Engine.load(MODELS, device="cuda", dtype="float32")


@contextmanager
def at_most(allocated: float) -> Iterator[None]:
    """Lets PyTorch have so many bytes of the device's memory and no more."""
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties("cuda").total_memory
    torch.cuda.set_per_process_memory_fraction(min(1.0, allocated / total))
    try:
        yield
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def levels(image: Image.Image) -> "np.ndarray[tuple[int, ...], np.dtype[np.int16]]":
    return np.array(image, np.int16)


@pytest.mark.parametrize("number", range(len(CASES["velocity"])))
@torch.inference_mode()
def test_velocities_are_the_references(gpu: Engine, number: int) -> None:
    case = CASES["velocity"][number]
    gpu.use_loras(())
    context = gpu.transformer.context([EXPECTED[case["context"]][0].cuda()] * case["batch"])
    x, sigma = without_frame(f"velocity/{number}/x").cuda(), torch.tensor([case["sigma"]], device="cuda")
    velocity = gpu.transformer(x, sigma, context)
    assert relative_error(velocity.cpu(), without_frame(f"velocity/{number}/v")) < NETWORK_TOLERANCE


def test_a_picture_whose_sampler_adds_no_noise_is_the_references(gpu: Engine) -> None:
    drawn = 0
    for number, case in enumerate(CASES["images"]):
        if case["sampler"] == "euler":
            picture = draw(gpu, case)
            assert relative_error(picture.latent, EXPECTED[f"images/{number}/latent"][0, :, 0]) < PICTURE_TOLERANCE
            drawn += 1
    assert drawn


def test_pictures_are_the_processors_where_noise_is_drawn_there(gpu: Engine) -> None:
    request = replace(REQUEST, sampler="dpmpp_sde", steps=6)
    on_cpu = Engine.load(MODELS, device="cpu").generate([request])[0]
    on_gpu = gpu.generate([request])[0]
    assert relative_error(on_gpu.latent, on_cpu.latent) < PICTURE_TOLERANCE
    assert np.abs(levels(on_gpu.image) - levels(on_cpu.image)).mean() < 1


def test_samplers_draw_their_noise_on_the_gpu_from_the_seed_itself() -> None:
    noise = white_noise([7, 8], initial_noise(7, 2, 16, 8, 8).cuda())(1.0, 0.5)
    for seed, picture in zip((7, 8), noise, strict=True):
        generator = torch.Generator("cuda").manual_seed(seed)
        expected = torch.randn(1, 16, 1, 8, 8, generator=generator, device="cuda")
        assert torch.equal(picture, expected[0, :, 0])


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_each_picture_of_a_batch_is_the_one_it_would_have_been_alone(gpu: Engine, sampler: str) -> None:
    requests = unlike_requests(sampler)
    for request, picture in zip(requests, gpu.generate(requests), strict=True):
        assert relative_error(picture.latent, gpu.generate([request])[0].latent) < PICTURE_TOLERANCE


def test_bfloat16_pictures_stay_near_those_of_float32(gpu: Engine) -> None:
    half = Engine.load(MODELS, device="cuda")
    assert half.dtype == torch.bfloat16
    request = replace(REQUEST, steps=8)
    exact, rounded = (engine.generate([request])[0] for engine in (gpu, half))
    assert relative_error(rounded.latent, exact.latent) < BFLOAT16_LATENT_BOUND
    assert np.abs(levels(exact.image) - levels(rounded.image)).mean() < BFLOAT16_LEVEL_BOUND


def test_a_picture_may_start_from_a_picture(gpu: Engine) -> None:
    source = Image.effect_mandelbrot((100, 100), (-2, -1.5, 1, 1.5), 50).convert("RGB")
    request = replace(REQUEST, image=source, denoise=0.4, sampler="euler", steps=4)
    on_gpu, on_cpu = (engine.generate([request])[0] for engine in (gpu, Engine.load(MODELS, device="cpu")))
    assert relative_error(on_gpu.latent, on_cpu.latent) < 1e-2  # cuDNN's convolutions use TensorFloat32


@torch.inference_mode()
def test_no_block_is_compiled_again_for_another_size(gpu: Engine) -> None:
    texts = [gpu.text_encoder.context(text, gpu.transformer.llm_adapter) for text in ("smile", "hat, " * 50)]
    sizes = [(1024, 1024), (832, 1216), (512, 512), (1344, 768), (64, 64)]
    assert recompilations(gpu.transformer, gpu.transformer.context(texts), sizes) == 0


def test_after_warming_up_no_picture_waits_for_the_compiler() -> None:
    engine = Engine.load(MODELS, device="cuda")
    engine.warm_up()
    compiled = graphs_compiled()
    assert compiled > 0
    engine.generate([REQUEST, replace(REQUEST, seed=8), replace(LARGE, cfg_scale=1.0, loras=(("lokr", 1.0),))])
    assert graphs_compiled() == compiled


@torch.inference_mode()
def test_joined_projections_and_all_steps_at_once_change_no_image(gpu: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    assert gpu.transformer.blocks[0].self_attn.fused is not None  # type: ignore[union-attr]
    joined = gpu.generate([REQUEST])[0].latent
    monkeypatch.setattr("inference.gpu.passes.computes_ahead", lambda _device: False)
    unfuse_projections(gpu.transformer)
    try:
        assert relative_error(joined, gpu.generate([REQUEST])[0].latent) < PICTURE_TOLERANCE
    finally:
        fuse_projections(gpu.transformer)


def test_small_images_are_the_same_as_a_graph() -> None:
    engine = Engine.load(MODELS, device="cuda")
    engine.warm_up()
    request = replace(REQUEST, steps=20)
    plain = engine.generate([request])[0].latent
    assert engine.graphs is not None
    engine.graphs.full_pass = 1 << 20
    recorded = engine.generate([request])[0].latent
    assert engine.generate([replace(request, seed=8)])
    assert relative_error(recorded, plain) < 1e-2


def test_the_kernels_of_self_attention_are_tried_out() -> None:
    assert kernels_for(torch.device("cuda"), torch.bfloat16, 128)


def test_the_size_from_which_a_batch_gains_nothing_is_measured() -> None:
    engine = Engine.load(MODELS, device="cuda")
    engine.measure()
    assert engine.full_pass is None or engine.full_pass in SIZES


def test_cancelling_takes_effect_within_one_step(gpu: Engine) -> None:
    steps_done: list[int] = []
    with pytest.raises(Cancelled):
        gpu.generate(
            [replace(REQUEST, steps=8)],
            on_progress=lambda progress: steps_done.append(progress.step),
            cancelled=lambda: len(steps_done) >= 3,
        )
    assert steps_done == [1, 2, 3]


def test_a_lora_that_is_taken_out_leaves_no_trace(gpu: Engine) -> None:
    gpu.use_loras(())
    before = {key: weight.clone() for key, weight in gpu.transformer.state_dict().items()}
    plain = gpu.generate([REQUEST])[0].latent
    changed = gpu.generate([replace(REQUEST, loras=(("lokr", 1.0),))])[0].latent
    assert relative_error(changed, plain) > 1e-3
    gpu.use_loras(())
    assert all(torch.equal(weight, before[key]) for key, weight in gpu.transformer.state_dict().items())
    assert relative_error(gpu.generate([REQUEST])[0].latent, plain) < 1e-6


def test_a_picture_says_how_much_of_the_gpus_memory_it_took(gpu: Engine) -> None:
    memory = gpu.generate([REQUEST])[0].gpu_memory
    assert memory is not None
    assert 0 < memory.peak < memory.total == torch.cuda.get_device_properties("cuda").total_memory


def test_a_batch_too_large_for_the_memory_is_split(gpu: Engine) -> None:
    requests = [replace(LARGE, seed=seed) for seed in range(32)]  # so many that to decode one takes less memory
    torch.cuda.reset_peak_memory_stats()
    wanted = gpu.generate(requests)
    rows: list[int] = []
    with (
        at_most(0.9 * torch.cuda.max_memory_allocated()),
        gpu.transformer.register_forward_pre_hook(lambda _module, inputs: rows.append(len(inputs[0]))),
    ):
        drawn = gpu.generate(requests)
    assert rows[0] == 64
    assert sum(row for row in rows if row < 64) >= 64
    for got, picture in zip(drawn, wanted, strict=True):
        assert got.request == picture.request
        assert relative_error(got.latent, picture.latent) < PICTURE_TOLERANCE


def test_an_image_too_large_for_the_memory_is_explained_and_the_next_is_drawn(gpu: Engine) -> None:
    gpu.generate([REQUEST])
    with (
        at_most(torch.cuda.memory_allocated() + 2**22),
        pytest.raises(OutOfMemory, match="does not have enough memory for this picture"),
    ):
        gpu.generate([replace(LARGE, width=2048, height=2048)])
    assert gpu.generate([REQUEST])


@torch.inference_mode()
def test_a_picture_that_cannot_be_decoded_whole_is_decoded_in_tiles(
    gpu: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    [wanted] = gpu.generate([LARGE])
    latent = wanted.latent[None].cuda()
    torch.cuda.empty_cache()
    before = torch.cuda.memory_reserved()
    torch.cuda.reset_peak_memory_stats()
    gpu.vae.decode(latent)
    decoding = torch.cuda.max_memory_reserved() - before
    tiles: list[int] = []
    in_tiles = gpu.vae.decode_in_tiles
    monkeypatch.setattr(
        gpu.vae, "decode_in_tiles", lambda latent, *tile: tiles.append(len(latent)) or in_tiles(latent, *tile)
    )
    with at_most(before + 0.6 * decoding):
        [tiled] = gpu.generate([LARGE])
    assert tiles == [1]
    assert np.abs(levels(tiled.image) - levels(wanted.image)).mean() < 4


def test_an_engine_in_its_own_process_draws_on_the_gpu_and_comes_back_after_it_was_killed() -> None:
    process = EngineProcess(partial(load_engine, str(MODELS), "cuda", "auto", None))
    try:
        process.start()
        [first] = process.generate([REQUEST])
        assert first.gpu_memory is not None
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.start()
        [second] = process.generate([REQUEST])
    finally:
        process.stop()
    one, other = (levels(Image.open(BytesIO(picture.png))) for picture in (first, second))
    assert np.abs(one - other).max() <= 1
