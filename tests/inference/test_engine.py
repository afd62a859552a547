"""What one can rely on when drawing: batches, seeds, progress, cancelling, refusals, precision."""

import math
import weakref
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torch import Tensor

from inference import Cancelled, Engine, GenerationRequest, InvalidRequest, NotFinite, OutOfMemory, Progress, Stage
from inference.engine import spherical_blend
from inference.metadata import read
from inference.metadata.parameters import RedrawMask
from inference.pixels import pixels_from_image
from inference.request import SAMPLERS
from inference.sampling import initial_noise
from inference.solver_settings import ErSdeSettings
from tests.golden import MODELS, relative_error

REQUEST = GenerationRequest("1girl, (smile:1.3)", "worst quality", width=64, height=64, steps=3, seed=7)


def unlike_requests(sampler: str) -> list[GenerationRequest]:
    """They share a batch, and else as little as can be."""
    return [
        replace(REQUEST, sampler=sampler, seed=1),
        replace(REQUEST, sampler=sampler, seed=2, prompt="hat, " * 200, cfg_scale=5.0),
        replace(REQUEST, sampler=sampler, seed=3, prompt="", negative_prompt=""),
    ]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_each_picture_of_a_batch_is_the_one_it_would_have_been_alone(engine: Engine, sampler: str) -> None:
    requests = unlike_requests(sampler)
    together = engine.generate(requests)
    for request, picture in zip(requests, together, strict=True):
        alone = engine.generate([request])[0]
        assert picture.request is request
        assert relative_error(picture.latent, alone.latent) < 1e-4


def test_requests_that_cannot_share_a_batch_come_back_in_their_order(engine: Engine) -> None:
    requests = [REQUEST, replace(REQUEST, width=96), replace(REQUEST, seed=8), replace(REQUEST, cfg_scale=1.0)]
    pictures = engine.generate(requests)
    assert [picture.request for picture in pictures] == requests
    assert [picture.image.size for picture in pictures] == [(64, 64), (96, 64), (64, 64), (64, 64)]


def test_the_same_request_is_the_same_picture_again(engine: Engine) -> None:
    first, second = (engine.generate([REQUEST])[0] for _ in range(2))
    assert torch.equal(first.latent, second.latent)


def test_without_nag_the_negative_prompt_has_no_effect_at_cfg_1(engine: Engine) -> None:
    plain = replace(REQUEST, cfg_scale=1.0, nag=False)
    one, other = engine.generate([plain, replace(plain, negative_prompt="smile")])
    assert torch.equal(one.latent, other.latent)
    assert not one.parameters.nag


def test_with_nag_the_negative_prompt_has_an_effect_at_cfg_1_and_the_file_says_so(engine: Engine) -> None:
    plain = replace(REQUEST, cfg_scale=1.0)
    one, other = engine.generate([plain, replace(plain, negative_prompt="smile")])
    assert relative_error(one.latent, other.latent) > 1e-3
    read_back = read(one.png())
    assert read_back is not None and read_back.nag and one.parameters.nag


@pytest.mark.parametrize("changes", [{"negative_prompt": " "}, {"cfg_scale": 4.0}, {"sampler": "euler_cfg_pp"}])
def test_nag_changes_nothing_where_guidance_uses_the_negative_or_there_is_none(
    engine: Engine, changes: dict[str, Any]
) -> None:
    request = replace(REQUEST, **({"cfg_scale": 1.0} | changes))
    with_nag, without = engine.generate([request])[0], engine.generate([replace(request, nag=False)])[0]
    assert torch.equal(with_nag.latent, without.latent)
    assert not with_nag.parameters.nag


def test_images_at_cfg_1_without_a_negative_are_unchanged_by_others_in_the_batch(engine: Engine) -> None:
    plain = replace(REQUEST, cfg_scale=1.0, negative_prompt="")
    requests = [plain, replace(plain, negative_prompt="smile"), replace(plain, negative_prompt="hat, " * 50, seed=8)]
    together = engine.generate(requests)
    assert torch.equal(together[0].latent, engine.generate([plain])[0].latent)
    for request, picture in zip(requests, together, strict=True):
        assert relative_error(picture.latent, engine.generate([request])[0].latent) < 1e-4


def test_nag_uses_the_lora_files_of_the_request(engine: Engine) -> None:
    request = replace(REQUEST, cfg_scale=1.0, loras=(("lokr", 1.0),))
    first = engine.generate([request])[0]
    engine.generate([replace(request, loras=())])
    assert torch.equal(engine.generate([request])[0].latent, first.latent)


def test_an_operator_can_switch_nag_off_for_every_request(engine: Engine) -> None:
    request = replace(REQUEST, cfg_scale=1.0)
    without = engine.generate([replace(request, nag=False)])[0]
    switched_off = Engine.load(MODELS, device="cpu", nag=False).generate([request])[0]
    assert torch.equal(switched_off.latent, without.latent)
    assert not switched_off.parameters.nag


def test_sides_of_an_odd_number_of_latent_places_are_padded_by_their_first_row_and_column(engine: Engine) -> None:
    with torch.inference_mode():
        context = engine.transformer.context(engine.encode(["1girl"]))
        x, level = torch.randn(1, engine.transformer.params.latent_channels, 7, 9), torch.full((1,), 0.5)
        padded = torch.cat([x, x[..., :1]], dim=-1)
        padded = torch.cat([padded, padded[..., :1, :]], dim=-2)
        expected = engine.transformer(padded, level, context)[..., :7, :9]
        assert torch.equal(engine.transformer(x, level, context), expected)
    source = Image.new("RGB", (56, 72), "red")
    for request in (replace(REQUEST, width=56, height=72), replace(REQUEST, width=56, image=source, denoise=0.5)):
        assert engine.generate([request])[0].image.size == (request.width, request.height)


@pytest.mark.parametrize("changes", [{"shift": 5.0}, {"scheduler": "beta", "beta": (0.9, 0.3)}])
def test_a_schedules_shape_changes_the_image_and_is_in_its_file(engine: Engine, changes: dict[str, Any]) -> None:
    plain = replace(REQUEST, scheduler=changes.get("scheduler", "simple"))
    usual, other = engine.generate([plain, replace(plain, **changes)])
    assert relative_error(usual.latent, other.latent) > 1e-3
    found = read(other.png())
    assert found is not None
    assert (found.shift, found.beta) == (changes.get("shift", 3.0), changes.get("beta"))


def test_the_settings_of_er_sde_change_the_image_and_stand_in_its_file(engine: Engine) -> None:
    settings = ErSdeSettings("Reverse-time SDE", 2, eta=0.5)
    request = replace(REQUEST, sampler="er_sde")
    usual, other = engine.generate([request, replace(request, er_sde=settings)])
    assert relative_error(usual.latent, other.latent) > 1e-3
    found, plain = read(other.png()), read(usual.png())
    assert found is not None and plain is not None
    assert (found.er_sde, plain.er_sde) == (settings, None)


@pytest.mark.parametrize("dialect", ["comfyui", "diffusers", "kohya"])
def test_a_lora_that_comfyui_passes_over_is_named_in_the_file(engine: Engine, dialect: str) -> None:
    name = f"low_rank_{dialect}"
    found = engine.parameters(replace(REQUEST, loras=((name, 1.0),)))
    assert found.loras_without_comfyui == ((name,) if dialect == "diffusers" else ())


def test_a_variation_runs_from_one_seeds_picture_to_the_others(engine: Engine) -> None:
    start, end = engine.generate([REQUEST, replace(REQUEST, seed=9)])
    blends = engine.generate([replace(REQUEST, variation_seed=9, variation_strength=s) for s in (0.0, 0.3, 1.0)])
    assert relative_error(blends[0].latent, start.latent) < 1e-5
    # At the end only the noise that er_sde adds on its way is still the first seed's.
    assert relative_error(blends[2].latent, end.latent) < relative_error(blends[1].latent, end.latent)


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1), st.floats(0, 1))
@settings(max_examples=30, deadline=None)
def test_a_spherical_blend_is_as_long_as_noise_is(first: int, second: int, strength: float) -> None:
    blend = spherical_blend(initial_noise(first, 1, 16, 1, 16, 16), initial_noise(second, 1, 16, 1, 16, 16), strength)
    assert blend.std().item() == pytest.approx(1, abs=0.1)


def test_progress_comes_after_each_step_and_can_be_looked_at(engine: Engine) -> None:
    told: list[Progress] = []
    engine.generate([REQUEST, replace(REQUEST, seed=8)], on_progress=told.append)
    assert [(progress.step, progress.steps, progress.pictures) for progress in told] == [
        (1, 3, (0, 1)),
        (2, 3, (0, 1)),
        (3, 3, (0, 1)),
    ]
    previews = told[1].previews()
    assert len(previews) == 2
    assert all(isinstance(preview, Image.Image) and preview.mode == "RGB" for preview in previews)


def test_each_stage_of_each_batch_is_reported_as_it_begins(engine: Engine) -> None:
    told: list[Stage | int] = []
    engine.generate(
        [REQUEST, replace(REQUEST, seed=8), replace(REQUEST, width=96)],
        on_progress=lambda progress: told.append(progress.step),
        on_stage=told.append,
    )
    before, after = (Stage.CONDITIONING, Stage.SAMPLING, 1, 2, 3), (Stage.FINISHING,)
    assert told == [*before, Stage.DECODING, Stage.DECODING, *after, *before, Stage.DECODING, *after]


@pytest.mark.parametrize("sampler", SAMPLERS)
def test_cancelling_takes_effect_within_one_step(engine: Engine, sampler: str) -> None:
    steps_done: list[int] = []
    with pytest.raises(Cancelled):
        engine.generate(
            [replace(REQUEST, sampler=sampler, steps=24)],
            on_progress=lambda progress: steps_done.append(progress.step),
            cancelled=lambda: len(steps_done) >= 3,
        )
    assert steps_done == [1, 2, 3]


@pytest.mark.parametrize(
    ("fields", "named", "allowed"),
    [
        ({"shift": 0.0}, "shift", "from 0.01 to 100"),
        ({"beta": (0.0, 1.0), "scheduler": "beta"}, "beta", "from 0.01 to 50"),
        ({"beta": (0.6, 0.7)}, "beta", "only 'beta' uses it"),
        ({"er_sde": ErSdeSettings("SDE")}, "er_sde", "must be one of: ER-SDE, Reverse-time SDE, ODE"),
        ({"er_sde": ErSdeSettings(), "sampler": "euler"}, "er_sde", "only 'er_sde' uses it"),
        ({"width": 1004}, "width", "multiple of 8, such as 1000 or 1008"),
        ({"height": 0}, "height", "from 8 to 4096"),
        ({"height": 8192}, "height", "from 8 to 4096"),
        ({"width": 64.0}, "width", "whole number"),
        ({"steps": 0}, "steps", "from 1 to 1000"),
        ({"steps": True}, "steps", "whole number"),
        ({"cfg_scale": math.nan}, "cfg_scale", "from 0 to 100"),
        ({"cfg_scale": -1.0}, "cfg_scale", "from 0 to 100"),
        ({"sampler": "magic"}, "sampler", "er_sde, euler_a"),
        ({"scheduler": "magic"}, "scheduler", "simple, beta57"),
        ({"seed": -1}, "seed", "from 0 to"),
        ({"seed": 2**64}, "seed", "from 0 to"),
        ({"prompt": "a" * 20_000}, "prompt", "at most 10,000"),
        ({"negative_prompt": "a" * 20_000}, "negative_prompt", "at most 10,000"),
        ({"prompt": None}, "prompt", "text"),
        ({"prompt": "1girl, (smile:nan)"}, "prompt", "must be a number"),
        ({"negative_prompt": "(smile: -Inf )"}, "negative_prompt", "must be a number"),
        ({"loras": (("nobody", 1.0),)}, "loras", "low_rank_comfyui"),
        ({"loras": (("../vae/qwen_image_vae_tiny", 1.0),)}, "loras", "low_rank_comfyui"),
        ({"loras": (("lokr", math.inf),)}, "loras", "from -100 to 100"),
        ({"denoise": 0.0, "image": Image.new("RGB", (64, 64))}, "denoise", "above 0"),
        ({"denoise": 0.5}, "denoise", "must be 1"),
        ({"denoise": 1e-6, "steps": 30, "image": Image.new("RGB", (64, 64))}, "denoise", "at least 3e-05"),
        ({"denoise": 5e-324, "image": Image.new("RGB", (64, 64))}, "denoise", "at least"),
        ({"variation_strength": 0.5}, "variation_strength", "variation_seed"),
        ({"variation_seed": 1, "variation_strength": 2.0}, "variation_strength", "from 0 to 1"),
    ],
)
def test_bad_input_is_refused_before_any_work(engine: Engine, fields: dict[str, Any], named: str, allowed: str) -> None:
    told: list[Progress] = []
    with pytest.raises(InvalidRequest) as refusal:
        engine.generate([REQUEST, replace(REQUEST, **fields)], on_progress=told.append)
    assert named in str(refusal.value)
    assert allowed in str(refusal.value)
    assert not told


@pytest.mark.parametrize(
    ("load", "sentence"),
    [
        (lambda: Engine.load(MODELS, device="warp"), 'it is "auto", "cpu"'),
        (lambda: Engine.load(MODELS, dtype="int8"), "must be one of: auto, float32, bfloat16, float16, float8"),
    ],
)
def test_an_unknown_device_or_dtype_is_refused(load: Callable[[], Engine], sentence: str) -> None:
    with pytest.raises(ValueError, match=sentence):
        load()


def test_a_device_that_is_not_there_is_refused() -> None:
    missing = f"cuda:{torch.cuda.device_count()}"
    with pytest.raises(ValueError, match="Use device cpu, or fix the driver"):
        Engine.load(MODELS, device=missing)


def test_a_picture_that_is_not_a_number_is_an_error_and_not_a_black_picture() -> None:
    engine = Engine.load(MODELS, device="cpu")
    with torch.no_grad():
        engine.transformer.final_layer.linear.weight.data = torch.full_like(
            engine.transformer.final_layer.linear.weight, math.nan
        )
    with pytest.raises(NotFinite, match=r"not numbers\. Try dtype float32"):
        engine.generate([REQUEST])


def test_a_weight_that_spoils_the_picture_is_named(engine: Engine) -> None:
    with pytest.raises(NotFinite, match=r"the weight 1e\+30 in a prompt is too large"):
        engine.generate([replace(REQUEST, prompt="(1girl:1e30), smile")])


BFLOAT16_LATENT_BOUND = 0.06
BFLOAT16_LEVEL_BOUND = 6.0


@pytest.fixture(scope="module")
def half() -> Engine:
    return Engine.load(MODELS, device="cpu", dtype="bfloat16")


@pytest.mark.parametrize("sampler", ["er_sde", "euler_a", "dpmpp_2m_sde_gpu"])
def test_bfloat16_pictures_stay_near_those_of_float32(engine: Engine, half: Engine, sampler: str) -> None:
    """Latents within 6 % (relative), pictures within 6 of 255 levels on average."""
    request = replace(REQUEST, sampler=sampler, steps=8)
    exact, rounded = (each.generate([request])[0] for each in (engine, half))
    assert relative_error(rounded.latent, exact.latent) < BFLOAT16_LATENT_BOUND
    levels = [torch.tensor(list(picture.image.tobytes()), dtype=torch.float32) for picture in (exact, rounded)]
    assert (levels[0] - levels[1]).abs().mean() < BFLOAT16_LEVEL_BOUND


def test_the_file_of_a_picture_says_how_it_was_made(engine: Engine) -> None:
    request = replace(REQUEST, loras=(("lokr", 0.5),))
    said = read(engine.generate([request])[0].png())
    assert said is not None
    assert (said.prompt, said.negative_prompt, said.seed, said.steps) == ("1girl, (smile:1.3)", "worst quality", 7, 3)
    assert (said.sampler, said.scheduler, said.loras) == ("er_sde", "simple", (("lokr", 0.5),))
    assert said.model == "anima-tiny.safetensors"
    assert said.model_hash is not None


def test_an_image_of_another_size_and_mode_can_be_started_from(engine: Engine) -> None:
    source = Image.new("RGBA", (300, 100), (255, 0, 0, 128))
    picture = engine.generate([replace(REQUEST, image=source, denoise=0.5)])[0]
    assert picture.image.size == (64, 64)


def test_a_batch_too_large_for_the_memory_is_split(engine: Engine) -> None:
    requests = [replace(REQUEST, seed=seed) for seed in range(5)]
    wanted = engine.generate(requests)
    rows: list[int] = []

    def too_many(module: object, inputs: tuple[torch.Tensor, ...]) -> None:
        rows.append(len(inputs[0]))
        if len(inputs[0]) > 4:  # two pictures and their negative prompts
            raise torch.OutOfMemoryError

    with engine.transformer.register_forward_pre_hook(too_many):
        drawn = engine.generate(requests)
    assert max(rows) == 10 and 4 in rows
    for got, picture in zip(drawn, wanted, strict=True):
        assert got.request == picture.request
        assert relative_error(got.latent, picture.latent) < 1e-4


def test_an_image_too_large_for_the_memory_alone_is_explained(engine: Engine) -> None:
    def full(*_: object) -> None:
        raise torch.OutOfMemoryError

    with (
        engine.transformer.register_forward_pre_hook(full),
        pytest.raises(OutOfMemory, match="does not have enough memory for this picture"),
    ):
        engine.generate([REQUEST])
    assert engine.generate([REQUEST])


def test_a_picture_that_cannot_be_decoded_whole_is_decoded_in_tiles(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    [wanted] = engine.generate([REQUEST])

    decode, sizes = engine.vae.decode, []

    def full_at_first(latent: torch.Tensor) -> torch.Tensor:
        sizes.append(latent.shape)
        if len(sizes) == 1:
            raise torch.OutOfMemoryError
        return decode(latent)

    monkeypatch.setattr(engine.vae, "decode", full_at_first)
    [tiled] = engine.generate([REQUEST])
    levels = [torch.tensor(list(picture.image.tobytes()), dtype=torch.float32) for picture in (wanted, tiled)]
    assert (levels[0] - levels[1]).abs().max() <= 1
    assert len(sizes) == 2


def test_a_source_that_cannot_be_encoded_whole_is_encoded_in_tiles(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = Image.linear_gradient("L").resize((528, 64)).convert("RGB")
    request = replace(REQUEST, width=528, image=source, denoise=0.5, steps=1)
    [wanted] = engine.generate([request])
    encode, widths = engine.vae.encode, []

    def full_for_the_whole(pixels: torch.Tensor) -> torch.Tensor:
        widths.append(pixels.shape[-1])
        if pixels.shape[-1] == 528:
            raise torch.OutOfMemoryError
        return encode(pixels)

    monkeypatch.setattr(engine.vae, "encode", full_for_the_whole)
    [tiled] = engine.generate([request])
    assert widths == [528, 512, 512]
    assert relative_error(tiled.latent, wanted.latent) < 0.1


def test_images_decoded_before_memory_ran_out_are_freed_before_tiling(engine: Engine) -> None:
    held: list[weakref.ref[torch.Tensor]] = []
    still_there: list[bool] = []

    def full_at_first(_module: object, inputs: tuple[torch.Tensor, ...]) -> None:
        if not held:
            held.append(weakref.ref(inputs[0]))
            raise torch.OutOfMemoryError
        still_there.append(held[0]() is not None)

    with engine.vae.decoder.head.register_forward_pre_hook(full_at_first):
        engine.generate([REQUEST])
    assert still_there == [False]


def test_a_picture_for_which_there_is_too_little_room_is_decoded_in_tiles_at_once(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = replace(REQUEST, width=528, steps=1)
    [picture] = engine.generate([request])
    needed = engine.vae.decoding_bytes(picture.latent[None])
    decode, widths = engine.vae.decode, []

    def watched(latent: torch.Tensor) -> torch.Tensor:
        widths.append(latent.shape[-1])
        return decode(latent)

    monkeypatch.setattr(engine.vae, "decode", watched)
    for free in (needed, needed - 1):
        monkeypatch.setattr("inference.engine.free_memory", lambda device, free=free: free)
        engine.generate([request])
    assert widths == [66, 64, 64]


def test_a_sampler_of_cfg_pp_hears_the_negative_prompt_also_at_cfg_1(engine: Engine) -> None:
    plain = replace(REQUEST, sampler="euler_cfg_pp", cfg_scale=1.0)
    [picture, other] = engine.generate([plain, replace(plain, negative_prompt="something else entirely")])
    assert picture.image.tobytes() != other.image.tobytes()


def test_images_of_a_sampler_that_chooses_its_own_steps_are_drawn_one_by_one(engine: Engine) -> None:
    requests = [replace(REQUEST, sampler="dpm_adaptive", seed=seed, steps=2) for seed in (1, 2)]
    together = engine.generate(requests)
    alone = [engine.generate([request])[0] for request in requests]
    assert [picture.image.tobytes() for picture in together] == [picture.image.tobytes() for picture in alone]


def source_image(size: tuple[int, int] = (64, 64)) -> Image.Image:
    return Image.effect_noise(size, 80).convert("RGB")


def left_half(size: tuple[int, int] = (64, 64), level: int = 255) -> Image.Image:
    mask = Image.new("L", size)
    mask.paste(level, (0, 0, size[0] // 2, size[1]))
    return mask


@pytest.mark.parametrize("sampler", ["er_sde", "euler_a", "dpmpp_2m_sde_gpu", "euler_cfg_pp"])
def test_outside_of_the_mask_every_pixel_stays_and_inside_the_image_changes(engine: Engine, sampler: str) -> None:
    source = source_image()
    request = replace(REQUEST, image=source, mask=left_half(), denoise=0.8, sampler=sampler)
    drawn = np.asarray(engine.generate([request])[0].image).astype(int)
    changes = np.abs(drawn - np.asarray(source)).max(axis=(0, 2))
    assert (changes[32:] == 0).all()
    assert (changes[:28] > 8).all()


def test_a_soft_mask_changes_light_places_more_than_dark_ones(engine: Engine) -> None:
    source, mask = source_image((128, 64)), Image.linear_gradient("L").rotate(90).resize((128, 64))
    request = replace(REQUEST, width=128, image=source, mask=mask, denoise=1.0, steps=8)
    latent = engine.generate([request])[0].latent
    unchanged = engine.vae.encode(pixels_from_image(source, 128, 64)[None])[0]
    difference = (latent - unchanged).abs().mean(dim=(0, 1))
    first, last = (difference[part].mean() for part in (slice(0, 4), slice(-4, None)))
    dark, light = (first, last) if np.asarray(mask)[0, 0] < np.asarray(mask)[0, -1] else (last, first)
    assert light > 1.3 * dark


def test_masked_requests_share_a_batch_only_if_their_mask_is_the_same(engine: Engine) -> None:
    mask = left_half()
    one = replace(REQUEST, image=source_image(), mask=mask)
    assert one.batch_key == replace(one, seed=8).batch_key
    assert one.batch_key != replace(one, mask=left_half()).batch_key
    assert one.batch_key != replace(one, mask=None).batch_key


def test_a_file_says_which_part_was_redrawn(engine: Engine) -> None:
    boxes = engine.generate([replace(REQUEST, image=source_image(), mask=left_half())])[0]
    assert read(boxes.png()) == boxes.parameters
    assert boxes.parameters.mask == RedrawMask(boxes=((0, 0, 32, 64),), seam=4)
    soft = engine.generate([replace(REQUEST, image=source_image(), mask=left_half(level=200))])[0]
    assert read(soft.png()) == soft.parameters
    assert soft.parameters.mask == RedrawMask(image="mask.png", soft=True, seam=4)


@pytest.mark.parametrize("mask", ["thin", "dark"])
def test_a_mask_that_would_redraw_nothing_is_refused_instead_of_returning_the_same_image(
    engine: Engine, mask: str
) -> None:
    """Of eight pixels a latent sees the two in the middle; a dark grey's turn is later than the last of three steps."""
    image = left_half(level=100)
    if mask == "thin":
        image = Image.new("L", (64, 64))
        image.paste(255, (8, 0, 11, 64))
    with pytest.raises(InvalidRequest, match="mask: nothing would be redrawn"):
        engine.generate([replace(REQUEST, image=source_image(), mask=image)])


def test_a_whole_number_may_be_the_cfg_scale(engine: Engine) -> None:
    whole, same = (engine.generate([replace(REQUEST, cfg_scale=scale)])[0] for scale in (3, 3.0))
    assert torch.equal(whole.latent, same.latent)


def test_a_mask_needs_an_image(engine: Engine) -> None:
    with pytest.raises(InvalidRequest, match="mask is set, but there is no image"):
        engine.generate([replace(REQUEST, mask=left_half())])


def test_tiles_of_the_models_size_are_drawn_one_at_a_time(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    width, height = 64, 64
    small = replace(engine.native, sizes=((width, height),))
    monkeypatch.setattr(engine, "native_of", lambda _model: small)
    shapes: set[tuple[int, ...]] = set()
    called = engine.transformer.forward

    def noting(x: Tensor, *others: Any) -> Tensor:
        shapes.add(tuple(x.shape[-2:]))
        return called(x, *others)

    monkeypatch.setattr(engine.transformer, "forward", noting)
    request = replace(REQUEST, width=2 * width, height=2 * height, steps=2, tiled=True)
    (picture,) = engine.generate([request])
    assert shapes == {(height // 8, width // 8)}
    assert picture.image.size == (2 * width, 2 * height)
    assert picture.parameters.tiled
    assert not torch.equal(picture.latent, engine.generate([replace(request, tiled=False)])[0].latent)


@pytest.mark.parametrize("denoise", [1.0, 0.5])
def test_in_tiles_a_mask_applies_to_all_and_pixels_outside_stay(
    engine: Engine, monkeypatch: pytest.MonkeyPatch, denoise: float
) -> None:
    small = replace(engine.native, sizes=((64, 64),))
    monkeypatch.setattr(engine, "native_of", lambda _model: small)
    source, mask = source_image((128, 128)), left_half((128, 128))
    request = replace(REQUEST, width=128, height=128, image=source, mask=mask, denoise=denoise, steps=2, tiled=True)
    (picture,) = engine.generate([request])
    changed = (np.asarray(picture.image) != np.asarray(source)).any(axis=2)
    assert not changed[:, 64:].any()
    for part in np.array_split(changed[:, :56], 3):
        assert part.mean() > 0.9


def test_an_image_of_the_models_size_is_the_same_in_tiles(engine: Engine) -> None:
    width, height = engine.native.sizes[0]
    request = replace(REQUEST, width=width, height=height, steps=1)
    plain, tiled = engine.generate([request])[0], engine.generate([replace(request, tiled=True)])[0]
    assert torch.equal(plain.latent, tiled.latent)
