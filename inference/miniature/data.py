"""Stage one: draws the training images with DiceBear (through Node.js), and saves them with what they show.

`<workdir>/pictures/train-0007.npy` holds a thousand images of one size, uint8 [1000, height, width, 3], and
`train-0007.jsonl` their records, one per line. No training image has the combinations of tags in `held_out-…`.
"""

import io
import json
import os
import random
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageFilter
from tqdm.contrib.concurrent import thread_map

from inference.miniature.characters import Character, drawing, random_character

AVATARS = Path(__file__).parent / "avatars"
CHUNK = 1000
DEGRADED_SHARE = 0.08
DEGRADATIONS = ("blurry", "jpeg artifacts", "noise")

Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]


@dataclass(frozen=True)
class Record:
    """What is known about one image: the character, and how the image was degraded, if it was."""

    character: Character
    degradation: str | None = None

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> "Record":
        fields = json.loads(line)
        character = fields["character"]
        return cls(Character(**character | {"hair": tuple(character["hair"])}), fields["degradation"])


@dataclass(frozen=True)
class TrainingImages:
    """Images of one size, uint8 [n, height, width, 3], with their records."""

    pixels: Pixels
    records: list[Record]

    @property
    def size(self) -> tuple[int, int]:
        return self.pixels.shape[2], self.pixels.shape[1]


def make_images(workdir: Path, sizes: list[tuple[int, int]], train: int, held_out: int, renderer: Path) -> None:
    """Draws what is missing of `train` and `held_out` chunks of a thousand images, most of them in the first size."""
    folder = workdir / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    cycle = [sizes[0]] * (len(sizes) if len(sizes) > 1 else 1) + sizes[1:]
    jobs = [("train", number) for number in range(train)] + [("held_out", number) for number in range(held_out)]

    def make(job: tuple[str, int]) -> None:
        split, number = job
        path = folder / f"{split}-{number:04}.npy"
        if path.exists():
            return
        pixels, records = _chunk(split, number, cycle[number % len(cycle)], renderer)
        path.with_suffix(".jsonl").write_text("".join(record.to_json() + "\n" for record in records), "utf-8")
        with path.with_suffix(".part").open("wb") as file:
            np.save(file, pixels)
        path.with_suffix(".part").rename(path)

    # Threads suffice: Node.js does the work, in a process for each chunk.
    thread_map(make, jobs, max_workers=os.cpu_count(), unit="k", desc="pictures")


def _chunk(split: str, number: int, size: tuple[int, int], renderer: Path) -> tuple[Pixels, list[Record]]:
    rng = random.Random(f"{split} {number}")
    characters = [random_character(rng, held_out=split == "held_out") for _ in range(CHUNK)]
    pixels = draw(characters, size, rng, renderer)
    records = []
    for index, character in enumerate(characters):
        degradation = None
        if split == "train" and rng.random() < DEGRADED_SHARE:
            degradation = rng.choice(DEGRADATIONS)
            pixels[index] = degrade(pixels[index], degradation, rng)
        records.append(Record(character, degradation))
    return pixels, records


def draw(characters: list[Character], size: tuple[int, int], rng: random.Random, renderer: Path) -> Pixels:
    """Draws characters with the packages installed in `renderer`: uint8 [n, height, width, 3].

    Raises:
        RuntimeError: Node.js or the packages that `avatars/package.json` names are missing.
    """
    return render([drawing(character, size, rng) for character in characters], size, renderer)


def render(drawings: Sequence[Mapping[str, Any]], size: tuple[int, int], renderer: Path) -> Pixels:
    """Draws the results of `characters.drawing`: uint8 [n, height, width, 3]. Raises RuntimeError as `draw` does."""
    lines = "\n".join(map(json.dumps, drawings))
    try:
        done = subprocess.run(["node", renderer / "draw.mjs"], input=lines.encode(), capture_output=True, check=True)
    except FileNotFoundError:
        raise RuntimeError("Node.js was not found. Install it: the training images are generated with it.") from None
    except subprocess.CalledProcessError as error:
        raise RuntimeError(f"{renderer / 'draw.mjs'} failed:\n{error.stderr.decode()}") from None
    width, height = size
    return np.frombuffer(done.stdout, np.uint8).reshape(len(drawings), height, width, 3).copy()


def install_renderer(workdir: Path) -> Path:
    """Installs DiceBear and resvg in the work folder with npm, if not done yet. Returns the folder with `draw.mjs`."""
    folder = workdir / "avatars"
    folder.mkdir(parents=True, exist_ok=True)
    for file in AVATARS.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    if not (folder / "node_modules").exists():
        subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=folder, check=True)
    return folder


def degrade(pixels: Pixels, how: str, rng: random.Random) -> Pixels:
    """Visibly degrades an image, [height, width, 3], in one of the ways in DEGRADATIONS."""
    image = Image.fromarray(pixels)
    if how == "blurry":
        return np.asarray(image.filter(ImageFilter.GaussianBlur(rng.uniform(1.6, 2.8))))
    if how == "jpeg artifacts":
        buffer = io.BytesIO()
        image.save(buffer, "JPEG", quality=rng.randint(4, 12))
        return np.asarray(Image.open(buffer).convert("RGB"))
    noise = np.random.default_rng(rng.getrandbits(32)).normal(0, rng.uniform(25, 45), pixels.shape)
    return (pixels + noise).clip(0, 255).astype(np.uint8)


def load_images(workdir: Path, split: str) -> list[TrainingImages]:
    """All images of a split, one `TrainingImages` for each size.

    Raises:
        FileNotFoundError: the data stage has not been run in this work folder.
    """
    by_size: dict[tuple[int, ...], list[Path]] = {}
    for path in sorted((workdir / "pictures").glob(f"{split}-*.npy")):
        by_size.setdefault(np.load(path, mmap_mode="r").shape[1:], []).append(path)
    if not by_size:
        raise FileNotFoundError(f"No {split} pictures in {workdir / 'pictures'}: run the data stage first.")
    return [
        TrainingImages(np.concatenate([np.load(path) for path in paths]), list(_records(paths)))
        for paths in by_size.values()
    ]


def _records(paths: list[Path]) -> Iterator[Record]:
    for path in paths:
        for line in path.with_suffix(".jsonl").read_text("utf-8").splitlines():
            yield Record.from_json(line)
