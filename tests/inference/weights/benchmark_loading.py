"""Measures the memory that loading a diffusion model takes, by the form of its file, at full size with random weights.

    python -m tests.inference.weights.benchmark_loading

With `--zeros` the numbers are zeros, which take no space on the disk and no time to write: what loading takes of memory
does not depend on them. Each form is loaded in a process of its own. What counts is the peak of its anonymous memory
(RssAnon), without the pages of the file, which the system may drop at any time. Linux only; the files are as large as
the real ones, one at a time.
"""

from __future__ import annotations

import argparse
import gc
import json
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import Tensor

from inference.networks.params import TransformerParams
from inference.networks.structure import shapes_alone
from inference.networks.transformer import Transformer
from inference.weights.headers.contents import TRANSFORMER_MARK
from inference.weights.quantized import rotate_groups
from inference.weights.weights_file import WeightsFile, load_module
from tests.golden import FULL_SIZE_KEYS

Shapes = Mapping[str, tuple[int, ...]]
MEBI = 1 << 20
FULL_SIZE: Shapes = {
    key.removeprefix("net."): tuple(shape)
    for key, shape in FULL_SIZE_KEYS["diffusion_models/anima-base-v1.0.safetensors"].items()
}


def plain(key: str, weight: Tensor) -> dict[str, Tensor]:
    return {key: weight.bfloat16()}


def scaled_fp8(key: str, weight: Tensor) -> dict[str, Tensor]:
    if weight.ndim < 2:
        return plain(key, weight)
    scale = weight.abs().max() / 448
    return {key: (weight / scale).to(torch.float8_e4m3fn), f"{key}_scale": scale}


def convrot(key: str, weight: Tensor) -> dict[str, Tensor]:
    if weight.ndim < 2 or weight.shape[1] % 256:
        return plain(key, weight)
    turned = rotate_groups(weight, 256)
    scale = turned.abs().amax(1, keepdim=True) / 127
    settings = b'{"format": "int8_tensorwise", "convrot": true, "convrot_groupsize": 256}'
    return {
        key: (turned / scale).round().to(torch.int8),
        f"{key}_scale": scale,
        f"{key.removesuffix('weight')}comfy_quant": torch.tensor(list(settings), dtype=torch.uint8),
    }


def write(path: Path, shapes: Shapes, form: Callable[[str, Tensor], dict[str, Tensor]], all_in_one: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    tensors: dict[str, Tensor] = {}
    before = "model.diffusion_model." if all_in_one else "net."
    for key, shape in shapes.items():
        tensors |= form(f"{before}{key}", 0.02 * torch.randn(shape, generator=generator))
    if all_in_one:
        tensors |= _other_parts(shapes, "cpu")
    save_file(tensors, path)


def write_zeros(path: Path, shapes: Shapes, form: Callable[[str, Tensor], dict[str, Tensor]], all_in_one: bool) -> None:
    """As `write`, in a sparse file: of the data only what is no weight is written."""
    tensors: dict[str, Tensor] = {}
    before = "model.diffusion_model." if all_in_one else "net."
    for key, shape in shapes.items():
        tensors |= form(f"{before}{key}", torch.empty(shape, device="meta"))
    if all_in_one:
        tensors |= _other_parts(shapes, "meta")
    header: dict[str, object] = {}
    end = 0
    for key, tensor in tensors.items():
        header[key] = {
            "dtype": DTYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [end, end + tensor.nbytes],
        }
        end += tensor.nbytes
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        start = file.tell()
        file.truncate(start + end)
        for key, tensor in tensors.items():
            if not tensor.is_meta:
                file.seek(start + header[key]["data_offsets"][0])  # type: ignore[index]
                file.write(bytes(tensor.tolist()))


def _other_parts(shapes: Shapes, device: str) -> dict[str, Tensor]:
    """Text encoder and VAE, as they are in a file with all parts."""
    tensors: dict[str, Tensor] = {}
    for part, prefix in (
        ("text_encoders/qwen_3_06b_base", "text_encoders.qwen3_06b.transformer."),
        ("vae/qwen_image_vae", "vae."),
    ):
        sizes = FULL_SIZE_KEYS[f"{part}.safetensors"] if shapes is FULL_SIZE else {"x": [8]}
        tensors |= {
            prefix + key: torch.zeros(shape, dtype=torch.bfloat16, device=device) for key, shape in sizes.items()
        }
    return tensors


DTYPES = {
    torch.float32: "F32",
    torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.int8: "I8",
    torch.uint8: "U8",
}
FORMS: Mapping[str, tuple[Callable[[str, Tensor], dict[str, Tensor]], bool]] = {
    "plain": (plain, False),
    "scaled fp8": (scaled_fp8, False),
    "int8 with ConvRot": (convrot, False),
    "all-in-one": (plain, True),
    "all-in-one, scaled fp8": (scaled_fp8, True),
}


def anonymous_bytes() -> int:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    return int(status.split("RssAnon:")[1].split()[0]) * 1024


def peak_of_loading(path: Path, dtype: torch.dtype) -> tuple[int, int]:
    """How far the anonymous memory of this process rises while the model is loaded, and where it ends; in bytes."""
    torch.set_num_threads(1)
    file = WeightsFile(path, TRANSFORMER_MARK)
    with shapes_alone():
        model = Transformer(TransformerParams.from_shapes(file.shapes))
    gc.collect()
    start = highest = anonymous_bytes()
    done = threading.Event()

    def watch() -> None:
        nonlocal highest
        while not done.is_set():
            highest = max(highest, anonymous_bytes())
            time.sleep(0.001)

    watcher = threading.Thread(target=watch)
    watcher.start()
    load_module(model, file, torch.device("cpu"), dtype, ignored=("pos_embedder.",))
    done.set()
    watcher.join()
    return max(highest, anonymous_bytes()) - start, anonymous_bytes() - start


def peaks(shapes: Shapes, dtype: str, folder: Path, zeros: bool = False) -> Iterator[tuple[str, int, int]]:
    """For each form of file: its name, the peak and the end, in bytes. One file is on the disk at a time."""
    for name, (form, all_in_one) in FORMS.items():
        path = folder / "model.safetensors"
        (write_zeros if zeros else write)(path, shapes, form, all_in_one)
        command = [sys.executable, "-m", __spec__.name, "--load", str(path), "--dtype", dtype]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        peak, end = (int(number) for number in done.stdout.split())
        path.unlink()
        yield name, peak, end


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--dtype", default="float32", choices=("float32", "bfloat16"))
    parser.add_argument("--load", type=Path, help="load this file and print its peak; for the processes of one form")
    parser.add_argument("--folder", type=Path, help="where the files are written")
    parser.add_argument("--zeros", action="store_true", help="files full of zeros instead of random numbers")
    options = parser.parse_args()
    if options.load is not None:
        print(*peak_of_loading(options.load, getattr(torch, options.dtype)))
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        for name, peak, end in peaks(FULL_SIZE, options.dtype, Path(folder), options.zeros):
            print(f"{name}: peak {peak / MEBI:,.0f} MiB, then {end / MEBI:,.0f} MiB", flush=True)


if __name__ == "__main__":
    main()
