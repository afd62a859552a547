"""Stage ten: does an image that was enlarged in tiles show their borders, and how much memory does it take?

A seam is a step from one row or column of pixels to the next that is larger at the borders of tiles than elsewhere.
They lie between latent positions, where the VAE makes steps of its own, so they are compared with other places between
latent positions; and the same image drawn in one pass is measured at the same places. Borders move around these
places from step to step, but for those of the outermost tiles.

What is drawn at these places counts too: the middle of the image, and at twice the size the grid that the VAE left in
the small image. So one pass is what tiles are held against.
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
#: How many times larger steps at borders may be, beside those of one pass.
TARGET = 1.05
#: Bytes for each further pixel.
MEMORY_TARGET = 32


def enlarged(engine: Engine, count: int, factor: int, steps: int) -> list[GenerationRequest]:
    """Requests for avatars held out of training, `factor` times as large as the model draws them, in tiles."""
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


def border_steps(image: Image.Image, tiles: Tiles) -> tuple[float, float, float]:
    """The mean step across tiles' borders, that between other latent positions, and that of all other places."""
    levels = np.asarray(image, dtype=np.float64)
    down = _steps(levels, _borders([rows for rows, _ in tiles], levels.shape[0]))
    across = _steps(levels.swapaxes(0, 1), _borders([columns for _, columns in tiles], levels.shape[1]))
    at, between, others = (float(np.concatenate(both).mean()) for both in zip(down, across, strict=True))
    return at, between, others


def _borders(tiles: Sequence[slice], length: int) -> list[int]:
    """The first pixels of tiles, and those after their last."""
    edges = {SCALE * edge for tile in tiles for edge in (tile.start, tile.stop)}
    return sorted(edge for edge in edges if 0 < edge < length)


def _steps(levels: np.ndarray, borders: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The steps down to each row at a border, to each of the others between latent positions, to all others."""
    steps = np.abs(np.diff(levels, axis=0)).mean((1, 2))
    to_row = np.arange(1, len(levels))
    at = np.isin(to_row, borders)
    return steps[at], steps[~at & (to_row % SCALE == 0)], steps[~at]


def seams(engine: Engine, requests: Sequence[GenerationRequest]) -> dict[str, tuple[float, float]]:
    """How many times larger the steps at tiles' borders are than those between other latent positions, and than all.

    Means over all images: in tiles, and in one pass.
    """
    found: dict[str, list[tuple[float, float, float]]] = {"tiles": [], "one pass": []}
    for request in requests:
        tiles = drawn_tiles((request.width, request.height), engine.native.sizes[0])
        for name, drawn in (("tiles", request), ("one pass", replace(request, tiled=False))):
            [picture] = engine.generate([drawn])
            found[name].append(border_steps(picture.image, tiles))
    means = {name: np.mean(measured, axis=0) for name, measured in found.items()}
    return {name: (at / between, at / others) for name, (at, between, others) in means.items()}


#: Prints the peak of a process of its own that draws one image.
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
    """The most bytes that a process takes which loads the models and enlarges one image. Linux only.

    glibc gives large blocks back as soon as they are freed, so that none counts that is not in use.
    """
    environment = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_ARENA_MAX": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", _PEAK, str(models), str(factor), str(steps)]
    run = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return 1024 * int(run.stdout)


def bytes_per_pixel(engine: Engine, models: Path, steps: int) -> float:
    """By how much the peak grows for each pixel, from twice the model's size to four times."""
    width, height = engine.native.sizes[0]
    peaks = [peak_memory(models, factor, steps) for factor in (2, 4)]
    return (peaks[1] - peaks[0]) / ((4**2 - 2**2) * width * height)


def report(engine: Engine, models: Path, count: int, steps: int) -> str:
    """All of it as text."""
    lines = []
    for factor in (2, 3, 4):
        found = seams(engine, enlarged(engine, count, factor, steps))
        for name, (between, others) in found.items():
            lines.append(f"{factor}x, {name}: at borders {between:.3f} of other latent positions, {others:.3f} of all")
        lines.append(f"{factor}x, tiles beside one pass: {found['tiles'][0] / found['one pass'][0]:.3f}")
    lines.append(f"memory: {bytes_per_pixel(engine, models, steps):.1f} bytes for each further pixel")
    lines.append(f"targets: {TARGET}, {MEMORY_TARGET}")
    return "\n".join(lines)
