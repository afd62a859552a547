"""What ComfyUI's folders hold in forms that are not supported is named, by its own name and its form."""

import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from inference.pool.loras import LoraFolder
from inference.request import CheckpointError, InvalidRequest
from inference.weights.checkpoint import ModelFiles
from tests.golden import MODELS

TRANSFORMER = Path("diffusion_models/anima-tiny.safetensors")
TEXT_ENCODER = Path("text_encoders/qwen_3_tiny.safetensors")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return Path(shutil.copytree(MODELS, tmp_path / "models"))


def in_pieces(path: Path) -> None:
    """Replace a file by two pieces as programs split large ones; the network's mark is in one of them."""
    tensors = load_file(path)
    keys = sorted(tensors)
    for number, part in enumerate((keys[: len(keys) // 2], keys[len(keys) // 2 :]), start=1):
        save_file({key: tensors[key] for key in part}, path.with_name(f"{path.stem}-0000{number}-of-00002.safetensors"))
    path.unlink()


@pytest.mark.parametrize("file", [TRANSFORMER, TEXT_ENCODER])
def test_a_model_in_pieces_is_called_so(models: Path, file: Path) -> None:
    in_pieces(models / file)
    piece = file.with_name(f"{file.stem}-00001-of-00002.safetensors").as_posix()
    with pytest.raises(CheckpointError, match=rf"{piece} is one of several pieces of a model, which are not supported"):
        ModelFiles.find(models)


def test_pieces_are_never_candidates_beside_a_whole_file_and_cannot_be_named(models: Path) -> None:
    shutil.copy(models / TRANSFORMER, models / "diffusion_models" / "other.safetensors")
    in_pieces(models / "diffusion_models" / "other.safetensors")
    assert ModelFiles.find(models).transformer.path == models / TRANSFORMER
    with pytest.raises(CheckpointError, match=r"other-00002-of-00002.safetensors is one of several pieces"):
        ModelFiles.find(models, "other-00002-of-00002.safetensors")


def test_the_only_piece_of_one_is_a_whole_file(models: Path) -> None:
    whole = models / "diffusion_models" / "anima-00001-of-00001.safetensors"
    (models / TRANSFORMER).rename(whole)
    assert ModelFiles.find(models).transformer.path == whole


@pytest.mark.parametrize(
    ("file", "says"),
    [
        ("diffusion_models/anima-Q8_0.gguf", "is a GGUF file, a format that is not supported"),
        ("unet/anima-Q8_0.gguf", "is a GGUF file, a format that is not supported"),
        ("checkpoints/wai-anima.gguf", "is a GGUF file, a format that is not supported"),
        ("unet/anima.ckpt", "is not a .safetensors file. Other formats can run code when opened"),
    ],
)
def test_other_formats_are_named_in_every_folder(models: Path, file: str, says: str) -> None:
    (models / TRANSFORMER).unlink()
    (models / file).parent.mkdir(exist_ok=True)
    (models / file).write_bytes(b"GGUF")
    with pytest.raises(CheckpointError, match=f"{file} {says}"):
        ModelFiles.find(models)


def test_another_models_file_in_checkpoints_is_not_blamed(models: Path) -> None:
    (models / TRANSFORMER).unlink()
    (models / "checkpoints").mkdir()
    (models / "checkpoints" / "sd15.ckpt").write_bytes(b"PK")
    with pytest.raises(CheckpointError, match="contains an Anima diffusion model") as error:
        ModelFiles.find(models)
    assert "sd15" not in str(error.value)


def test_packed_weights_are_called_so_before_sizes_are_read_off_them(models: Path) -> None:
    """The text encoder that does not fit the packed shapes is the right one."""
    tensors = load_file(models / TRANSFORMER)
    for key in [key for key in tensors if key.endswith("_proj.weight")]:
        rows, columns = tensors[key].shape
        tensors[key] = torch.zeros(rows, columns // 2, dtype=torch.uint8)
        tensors[f"{key}_scale"] = torch.zeros(rows, 4).to(torch.float8_e4m3fn)
        tensors[f"{key}_scale_2"] = torch.ones(())
    save_file(tensors, models / TRANSFORMER)
    with pytest.raises(CheckpointError, match=rf"{TRANSFORMER.name}: its weights are quantised as nvfp4"):
        ModelFiles.find(models)


def test_weights_of_bitsandbytes_are_called_by_their_form(models: Path) -> None:
    tensors = load_file(models / TRANSFORMER)
    key = next(key for key in tensors if key.endswith("q_proj.weight"))
    tensors[key] = torch.zeros(tensors[key].numel() // 2, 1, dtype=torch.uint8)
    tensors |= {f"{key}.absmax": torch.ones(4), f"{key}.quant_state.bitsandbytes__nf4": torch.zeros(4)}
    save_file(tensors, models / TRANSFORMER)
    with pytest.raises(CheckpointError, match="its weights are quantised as nf4, which is not supported"):
        ModelFiles.find(models)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("qwen-Q8_0.gguf", "which is a GGUF file"),
        ("qwen.pth", "which is not a .safetensors file"),
        ("qwen-00001-of-00002", "which is one of several pieces of a model"),
    ],
)
def test_a_setting_that_names_such_a_file_is_told_why_it_is_not_used(models: Path, name: str, says: str) -> None:
    file = name if name.endswith((".gguf", ".pth")) else f"{name}.safetensors"
    (models / "text_encoders" / file).write_bytes(b"GGUF")
    with pytest.raises(CheckpointError, match=f"ANIMA_TEXT_ENCODER names .*{file}, {says}"):
        ModelFiles.find(models, text_encoder=name)


def test_a_name_that_no_file_can_have_is_an_unknown_one(models: Path) -> None:
    with pytest.raises(CheckpointError, match="There is no diffusion model 'aaa"):
        ModelFiles.find(models, "a" * 5000)


@pytest.mark.parametrize("file", [TRANSFORMER, TEXT_ENCODER])
def test_a_link_to_a_file_that_is_gone_is_named(models: Path, file: Path) -> None:
    (models / file).unlink()
    (models / file).symlink_to(models / "second disk" / "file.safetensors")
    with pytest.raises(CheckpointError, match=rf"{file.as_posix()} is a link to .*second disk.*, which does not exist"):
        ModelFiles.find(models)


@pytest.mark.parametrize("inside", ["", "anima"])
def test_a_link_to_a_folder_that_is_gone_is_named(models: Path, inside: str) -> None:
    shutil.rmtree(models / "vae")
    link = models / "vae" / inside
    link.parent.mkdir(exist_ok=True)
    link.symlink_to(models / "second disk")
    with pytest.raises(
        CheckpointError, match=f"{Path('vae', inside).as_posix()} is a link to .*, which does not exist"
    ):
        ModelFiles.find(models)


@pytest.mark.parametrize("folder", ["Text_Encoders", "text_encoder", "anima/split_files/text_encoders", "loras"])
def test_a_file_in_a_folder_of_another_name_is_pointed_out(models: Path, folder: str) -> None:
    elsewhere = models / folder / "qwen.safetensors"
    elsewhere.parent.mkdir(parents=True, exist_ok=True)
    if elsewhere.parent.samefile(models / "text_encoders"):
        pytest.skip("This system does not tell such folders apart.")
    (models / TEXT_ENCODER).rename(elsewhere)
    with pytest.raises(CheckpointError, match=f"{folder}/qwen.safetensors does: move it there"):
        ModelFiles.find(models)


def with_a_name_of_bytes(path: Path) -> None:
    """Gives a file a name that is not UTF-8, as archives of other systems bring."""
    other = os.path.join(os.fsencode(path.parent), b"\xe9.safetensors")
    try:
        os.rename(os.fsencode(path), other)
    except OSError:
        pytest.skip("This system has no such names.")


@pytest.mark.parametrize("file", [TRANSFORMER, TEXT_ENCODER])
def test_a_name_that_is_no_text_is_to_be_changed(models: Path, file: Path) -> None:
    with_a_name_of_bytes(models / file)
    with pytest.raises(CheckpointError, match=r"has a name that is not text in UTF-8; rename it\."):
        ModelFiles.find(models)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("style", "style.pt is not a .safetensors file. Other formats can run code when opened"),
        ("style.pt", "style.pt is not a .safetensors file. Other formats can run code when opened"),
        ("gone", "gone.safetensors is a link to .*, which does not exist"),
        ("unknown", "There are: lokr, low_rank_comfyui"),
    ],
)
def test_of_a_lora_that_cannot_be_used_it_is_said_why(models: Path, name: str, says: str) -> None:
    (models / "loras" / "style.pt").write_bytes(b"PK")
    (models / "loras" / "gone.safetensors").symlink_to(models / "second disk" / "file.safetensors")
    with pytest.raises(InvalidRequest, match=rf"there is no LoRA '{name}' in .*loras\. {says}"):
        LoraFolder(models, nn.Module()).check([(name, 1.0)])
