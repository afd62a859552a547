"""Stage ten: does an image that was enlarged in tiles show their borders, and how much memory does enlarging take?

A seam is a difference between neighbouring rows or columns of pixels (here, a step) that is larger at the borders of
tiles than elsewhere. Borders lie between latent positions, where the VAE itself makes steps, and some lie where it made
steps in the small image. So each border is compared with other places of its kind. Only the outermost tiles' borders
lie exactly there; the others shift around these places from one sampling step to the next.

The image's content at the borders matters too, for example that of the middle. So the same places are also measured in
an image that was only resized, and in one that was drawn in one pass.
"""

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from inference import Engine, GenerationRequest
from inference.miniature.evaluate import NEGATIVE, cases, prompt
from inference.networks.vae import SCALE
from inference.tiling.layout import Tiles, drawn_tiles

DENOISE = 0.2
#: The largest allowed ratio of the steps at borders to those without drawing, or to those of one pass.
TARGET = 1.05
#: Bytes for each additional pixel.
MEMORY_TARGET = 32


def enlarged(engine: Engine, count: int, factor: int, steps: int) -> list[GenerationRequest]:
    """Requests that enlarge images of avatars held out of training by `factor`, in tiles."""
    requests = []
    for case in cases(engine, count):
        width, height = case.size
        text = prompt(case.character)
        small = engine.native.request(
            text, negative_prompt=NEGATIVE, width=width, height=height, seed=case.seed, steps=steps
        )
        [picture] = engine.generate([small])
        larger = replace(small, width=factor * width, height=factor * height)
        requests.append(replace(larger, image=picture.image, denoise=DENOISE, tiled=True))
    return requests


def border_steps(image: Image.Image, tiles: Tiles, factor: int) -> tuple[float, float, float]:
    """The mean step across tiles' borders, at other places of the same kind, and at all other places.

    factor: by how much the image was enlarged.
    """
    levels = np.asarray(image, dtype=np.float64)
    down = _steps(levels, _borders([rows for rows, _ in tiles], levels.shape[0]), factor)
    across = _steps(levels.swapaxes(0, 1), _borders([columns for _, columns in tiles], levels.shape[1]), factor)
    at, alike, others = (float(np.concatenate(both).mean()) for both in zip(down, across, strict=True))
    return at, alike, others


def _borders(tiles: Sequence[slice], length: int) -> list[int]:
    """The positions of tiles' first pixels, and of the pixels after their last, without the image's own edges."""
    edges = {SCALE * edge for tile in tiles for edge in (tile.start, tile.stop)}
    return sorted(edge for edge in edges if 0 < edge < length)


def _steps(levels: np.ndarray, borders: Sequence[int], factor: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The steps to the rows at borders, for each the mean step at other places of its kind, and all other steps."""
    steps = np.abs(np.diff(levels, axis=0)).mean((1, 2))
    to_row = np.arange(1, len(levels))
    at, in_small = np.isin(to_row, borders), to_row % (factor * SCALE) == 0
    alike = [~at & (to_row % SCALE == 0) & (in_small == kind) for kind in in_small[at]]
    return steps[at], np.array([steps[places].mean() for places in alike]), steps[~at]


def seams(engine: Engine, requests: Sequence[GenerationRequest]) -> dict[str, tuple[float, float]]:
    """How many times larger the steps at tiles' borders are than at other places of their kind, and than elsewhere.

    Means over all images: only resized, drawn in tiles, and drawn in one pass.
    """
    found: dict[str, list[tuple[float, float, float]]] = {"nothing drawn": [], "tiles": [], "one pass": []}
    for request in requests:
        assert request.image is not None
        size = request.width, request.height
        tiles, factor = drawn_tiles(size, engine.native.sizes[0]), request.width // request.image.width
        images = {
            "nothing drawn": request.image.resize(size, Image.Resampling.LANCZOS),
            "tiles": engine.generate([request])[0].image,
            "one pass": engine.generate([replace(request, tiled=False)])[0].image,
        }
        for name, image in images.items():
            found[name].append(border_steps(image, tiles, factor))
    means = {name: np.mean(measured, axis=0) for name, measured in found.items()}
    return {name: (at / alike, at / others) for name, (at, alike, others) in means.items()}


#: A program that draws one image and prints its own peak memory, in KiB.
_PEAK = """
import sys
from dataclasses import replace
from inference import Engine
from inference.miniature.evaluate_enlarging import enlarged
engine = Engine.load(sys.argv[1], device="cpu")
[request] = enlarged(engine, 1, int(sys.argv[2]), int(sys.argv[3]))
engine.generate([request])[0].png()
print(next(line for line in open("/proc/self/status") if line.startswith("VmHWM")).split()[1])
"""


def peak_memory(models: Path, factor: int, steps: int) -> int:
    """The peak memory in bytes of a process that loads the models and enlarges one image. Linux only.

    glibc is set to return large blocks as soon as they are freed, so that only memory in use counts.
    """
    environment = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_ARENA_MAX": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", _PEAK, str(models), str(factor), str(steps)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return 1024 * int(run.stdout)


def bytes_per_pixel(engine: Engine, models: Path, steps: int) -> float:
    """By how much the peak memory grows per pixel, between 2 and 4 times the model's native sides."""
    width, height = engine.native.sizes[0]
    peaks = [peak_memory(models, factor, steps) for factor in (2, 4)]
    return (peaks[1] - peaks[0]) / ((4**2 - 2**2) * width * height)


def report(engine: Engine, models: Path, count: int, steps: int) -> str:
    """All measurements as text."""
    lines = []
    for factor in (2, 3, 4):
        found = seams(engine, enlarged(engine, count, factor, steps))
        for name, (alike, others) in found.items():
            lines.append(f"{factor}x, {name}: at borders {alike:.3f} of places like them, {others:.3f} of all")
        for name in ("nothing drawn", "one pass"):
            lines.append(f"{factor}x, tiles beside {name}: {found['tiles'][0] / found[name][0]:.3f}")
    lines.append(f"memory: {bytes_per_pixel(engine, models, steps):.1f} bytes for each further pixel")
    lines.append(f"targets: {TARGET}, {MEMORY_TARGET}")
    return "\n".join(lines)
