"""Training pictures for stages that have only to run."""

import random
from pathlib import Path

import numpy as np

from inference.miniature.characters import random_character
from inference.miniature.data import Record


def write_pictures(workdir: Path, split: str) -> None:
    """Plain squares of 64x64, some of which are said to show something small."""
    rng = random.Random(split)
    records = [Record(random_character(rng, held_out=False, style=style)) for style in ("micah", "adventurer") * 4]
    pixels = np.stack([np.full((64, 64, 3), 20 * number, np.uint8) for number in range(len(records))])
    folder = workdir / "pictures"
    folder.mkdir(exist_ok=True)
    np.save(folder / f"{split}-0000.npy", pixels)
    (folder / f"{split}-0000.jsonl").write_text("".join(record.to_json() + "\n" for record in records))
