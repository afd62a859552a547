"""`anima generate`: options, files and error messages."""

import io
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image

from bot.cli.generate import _lora, _request, save
from bot.ops.settings import MINIATURE
from inference import Engine, GenerationRequest, NativeSettings
from inference.metadata import Parameters, read
from inference.solver_settings import ErSdeSettings
from tests.bot.cli.conftest import Anima
from tests.golden import MODELS

Output = pytest.CaptureFixture[str]

SMALL = ("--models", MODELS, "--size", "64x32", "--steps", "2")


def drawn(number: int = 1) -> Parameters:
    parameters = read(Path(f"pictures/anima-{number:05}.png"))
    assert parameters is not None
    return parameters


def test_every_option_reaches_the_picture(anima: Anima) -> None:
    options = [
        *("--models", MODELS, "--negative", "text", "--width", "48", "--height", "32", "--steps", "3", "--cfg", "2.5"),
        *("--sampler", "euler", "--scheduler", "beta57", "--seed", "7", "--lora", "low_rank_kohya:-0.5", "-l", "lokr"),
        *("--variation-seed", "9", "--variation-strength", "0.25", "--dtype", "bfloat16", "--device", "cpu"),
        *("--diffusion-model", "anima-tiny", "--output", "here/too", "--name", "cat"),
    ]
    assert anima("generate", "a", "(cat:1.2),", "smile", *options) == 0
    parameters = read(Path("here/too/cat-00001.png"))
    assert parameters is not None
    assert parameters.prompt == "a (cat:1.2), smile"
    assert parameters.negative_prompt == "text"
    assert (parameters.width, parameters.height) == (48, 32)
    assert (parameters.steps, parameters.cfg_scale) == (3, 2.5)
    assert (parameters.sampler, parameters.scheduler) == ("euler", "beta57")
    assert parameters.loras == (("low_rank_kohya", -0.5), ("lokr", 1.0))
    assert (parameters.seed, parameters.variation_seed, parameters.variation_strength) == (7, 9, 0.25)
    assert parameters.model == "anima-tiny.safetensors"


def test_settings_of_er_sde_and_the_shape_of_beta_choose_sampler_and_schedule(anima: Anima) -> None:
    settings = ("--solver-type", "Reverse-time SDE", "--max-stage", "2", "--eta", "0.5", "--s-noise", "0.25")
    assert anima("generate", "1girl", *SMALL, *settings, "--beta", "0.9", "0.3") == 0
    parameters = drawn()
    assert (parameters.sampler, parameters.beta) == ("er_sde", (0.9, 0.3))
    assert parameters.er_sde == ErSdeSettings("Reverse-time SDE", 2, 0.5, 0.25)


def test_wrong_settings_of_er_sde_and_beta_are_named_before_a_model_is_loaded(anima: Anima, capsys: Output) -> None:
    wrong = ("--solver-type", "SDE", "--sampler", "euler", "--beta", "0", "1", "--scheduler", "karras")
    assert anima("generate", "1girl", *SMALL, *wrong) == 2
    shown = capsys.readouterr().err
    assert "er_sde has the solver_type 'SDE', but it must be one of: ER-SDE, Reverse-time SDE, ODE" in shown
    assert "beta is 0, but must be from 0.01 to 50" in shown


def test_the_model_may_be_named_as_doctor_lists_it(anima: Anima, capsys: Output, tmp_path: Path) -> None:
    models = Path(shutil.copytree(MODELS, tmp_path / "several"))
    (models / "diffusion_models" / "mine").mkdir()
    for name in ("mine/turbo", "base"):
        file = MODELS / "diffusion_models" / "anima-tiny.safetensors"
        shutil.copy(file, models / "diffusion_models" / f"{name}.safetensors")
    small = ("--models", models, "--size", "64x32")
    assert anima("generate", "1girl", *small, "--model", "mine/turbo") == 0
    assert (drawn().model, drawn().steps, drawn().cfg_scale) == ("mine/turbo.safetensors", 10, 1.0)
    assert anima("generate", "1girl", *small, "--model", "none") == 1
    assert "There is no diffusion model 'none'" in capsys.readouterr().err


def test_the_picture_is_the_one_that_the_engine_draws(anima: Anima) -> None:
    assert anima("generate", "1girl", *SMALL, "--seed", "3", "--device", "cpu") == 0
    request = GenerationRequest("1girl", width=64, height=32, steps=2, seed=3)
    (picture,) = Engine.load(MODELS, device="cpu").generate([request])
    with Image.open("pictures/anima-00001.png") as image:
        assert image.tobytes() == picture.image.tobytes()


def test_without_a_models_folder_the_miniature_uses_its_own_defaults(anima: Anima, capsys: Output) -> None:
    assert anima("generate", "1girl") == 0
    shown = capsys.readouterr()
    assert "There is no models folder at models, so the bundled miniature" in shown.err
    assert "24/24" in shown.err, "the progress bar came to its end"
    native = Engine.load(MINIATURE, device="cpu").native
    parameters = drawn()
    assert (parameters.width, parameters.height) == native.sizes[0]
    assert (parameters.steps, parameters.cfg_scale) == (native.steps, native.cfg_scale)
    seed = re.search(r"Saved pictures/anima-00001.png \(seed (\d+)\)", shown.out)
    assert seed is not None and int(seed[1]) == parameters.seed < 2**53


def test_several_pictures_have_seeds_that_follow_whatever_the_batch(anima: Anima, capsys: Output) -> None:
    assert anima("generate", "1girl", *SMALL, "--seed", 2**64 - 2, "--count", "3", "--batch", "2") == 0
    assert [drawn(number).seed for number in (1, 2, 3)] == [2**64 - 2, 2**64 - 1, 0]
    assert "images 1-2 of 3" in capsys.readouterr().err
    assert anima("generate", "1girl", *SMALL, "--seed", 2**64 - 1) == 0
    with Image.open("pictures/anima-00002.png") as together, Image.open("pictures/anima-00004.png") as alone:
        differences = [abs(a - b) for a, b in zip(together.tobytes(), alone.tobytes(), strict=True)]
    assert max(differences) <= 1, "a picture is the same in a batch and alone, up to rounding"


def test_an_image_gives_the_size_most_like_its_shape_and_is_redrawn_in_part(anima: Anima) -> None:
    Image.new("RGB", (30, 60), "navy").save("blue.png")
    assert anima("generate", "1girl", "--models", MINIATURE, "--steps", "4", "--image", "blue.png") == 0
    parameters = drawn()
    native = Engine.load(MINIATURE, device="cpu").native
    assert (parameters.width, parameters.height) == min(native.sizes, key=lambda size: abs(size[0] / size[1] - 0.5))
    assert (parameters.denoise, parameters.source_image) == (0.6, "blue.png")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--steps", "0"), "steps is 0, but must be from 1 to 1000."),
        (("--width", "100"), "width is 100, but must be a multiple of 8, such as 96 or 104."),
        (("--size", "64x64", "--width", "64"), "size: use either --size, or --width and --height."),
        (("--sampler", "best"), "sampler is 'best', but must be one of"),
        (("--seed", "-1"), "seed is -1, but must be from 0"),
        (("--denoise", "0.5"), "without an image it must be 1"),
        (("--image", "none.png"), "image: none.png cannot be read as an image"),
        (("--name", "a/b"), "name is 'a/b', but must be a file name without a folder"),
        (("--lora", "none:0.5"), "loras: there is no LoRA 'none'"),
        (("--size", "huge"), "'huge' is not a size; use for example 832x1216"),
        (("--count", "0"), "'0' is not a whole number from 1"),
    ],
)
def test_an_invalid_option_is_explained(anima: Anima, capsys: Output, options: tuple[str, ...], sentence: str) -> None:
    assert anima("generate", "1girl", "--models", MODELS, *options) == 2
    assert sentence in capsys.readouterr().err
    assert not Path("pictures").exists()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (("--models", "nowhere"), "There is no models folder at nowhere. Run `anima download`"),
        (("--models", MODELS, "--diffusion-model", "turbo"), "There is no diffusion model 'turbo'"),
        (("--models", MODELS, "--device", "toaster"), "There is no device 'toaster'"),
        (("--models", MODELS, "--dtype", "int4"), "dtype is 'int4'"),
        ((*SMALL, "--output", "file"), "Choose another folder with --output."),
    ],
)
def test_an_impossible_request_is_explained(
    anima: Anima, capsys: Output, options: tuple[str | Path, ...], sentence: str
) -> None:
    Path("file").touch()
    assert anima("generate", "1girl", *options) == 1
    assert sentence in capsys.readouterr().err


def test_all_problems_are_reported_at_once_before_a_model_is_loaded(
    anima: Anima, capsys: Output, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Engine, "load", None)
    Path("file").touch()
    wrong = [
        *(
            "--sampler",
            "best",
            "--steps",
            "0",
            "--cfg",
            "1000",
            "--seed",
            "-1",
            "--width",
            "100",
            "--negative",
            "(a:nan)",
        ),
        *("--lora", "none", "--lora", "gone:0.5", "--image", "none.png", "--denoise", "0.5", "--name", "a/b"),
        *("--variation-strength", "0.5", "--output", "file"),
    ]
    assert anima("generate", "(cat:inf)", "--models", MODELS, *wrong) == 2
    said = capsys.readouterr().err.splitlines()
    begin = ["image: none.png", "prompt has the weight 'inf'", "variation_strength is set", "sampler is 'best'"]
    begin += ["cfg_scale is 1000", "negative_prompt has the weight 'nan'", "seed is -1", "steps is 0", "width is 100"]
    begin += ["loras: there is no LoRA 'none'", "loras: there is no LoRA 'gone'", "name is 'a/b'"]
    assert [line[: len(start)] for line, start in zip(said, begin, strict=False)] == begin
    assert said[len(begin) :] == [line for line in said if "Choose another folder with --output." in line] != []


def test_an_invalid_setting_is_explained(anima: Anima, capsys: Output, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANIMA_LARGEST_BATCH", "many")
    assert anima("generate", "1girl") == 1
    assert capsys.readouterr().err.startswith("ANIMA_LARGEST_BATCH: ")


def test_no_file_is_overwritten(tmp_path: Path) -> None:
    for name in ("cat-00007.png", "cat-1.png", "dog-00100.png", "cat-00009.txt"):
        (tmp_path / name).write_text("mine")
    assert save(b"8", tmp_path, "cat").name == "cat-00008.png"
    assert save(b"9", tmp_path, "cat").name == "cat-00009.png"
    assert save(b"1", tmp_path, "cat (1)").name == "cat (1)-00001.png"
    assert [path.read_text(encoding="utf-8") for path in sorted(tmp_path.glob("cat-0*"))] == ["mine", "8", "9", "mine"]


@given(st.text(min_size=1), st.floats(allow_nan=False))
def test_a_lora_is_its_name_and_after_the_last_colon_its_strength(name: str, strength: float) -> None:
    assert _lora(f"{name}:{strength}") == (name, strength)


@pytest.mark.parametrize("name", ["turbo", "style:v2"])
def test_a_lora_without_a_strength_has_strength_1(name: str) -> None:
    assert _lora(name) == (name, 1.0)


def test_anima_alone_shows_the_commands(anima: Anima, capsys: Output) -> None:
    assert anima() == 0
    said = capsys.readouterr().out
    assert said.startswith("usage: anima") and "generate" in said and "sandbox" in said


def test_the_sandbox_reports_problems_before_it_starts(anima: Anima, capsys: Output) -> None:
    Path("file").touch()
    assert anima("sandbox", "--prompt", "(a:nan)", "--pictures", "file") == 1
    said = capsys.readouterr()
    assert "prompt has the weight 'nan'" in said.err and "Pictures cannot be saved in file" in said.err
    assert said.out == ""


def test_the_help_of_every_command_needs_no_slow_imports() -> None:
    code = """
import contextlib, io, sys
from bot.__main__ import main
for command in ([], ["run"], ["sandbox"], ["generate"], ["download"], ["doctor"]):
    text = io.StringIO()
    with contextlib.suppress(SystemExit), contextlib.redirect_stdout(text):
        main([*command, "--help"])
    assert text.getvalue().startswith(" ".join(["usage: anima", *command])), text.getvalue()
slow = {"torch", "transformers", "discord", "huggingface_hub", "pydantic", "PIL", "sqlalchemy"}
assert not slow & sys.modules.keys(), slow & sys.modules.keys()
"""
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=MINIATURE.parents[2])
    assert (result.returncode, result.stderr) == (0, "")


def test_the_shape_of_an_image_is_that_in_which_it_is_seen() -> None:
    """Phones store a portrait as a landscape that is to be turned."""
    native = NativeSettings(((64, 64), (48, 80), (80, 48)), 2, 1.0, "euler", "simple")
    lying = Image.new("RGB", (80, 48))
    lying.getexif()[ExifTags.Base.Orientation] = 6
    stored = io.BytesIO()
    lying.save(stored, "JPEG", exif=lying.getexif())
    made = _request(native, "1girl", {"image": Image.open(stored)})
    assert (made.width, made.height) == (48, 80)
