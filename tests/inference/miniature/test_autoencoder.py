import json
import random
from pathlib import Path

import numpy as np
import pytest
import torch

from inference.miniature.autoencoder import encode_pictures, polish_decoder, train_vae
from inference.miniature.characters import random_character
from inference.miniature.data import Record
from inference.miniature.training import averaged_weights

CPU = torch.device("cpu")


def write_pictures(workdir: Path, split: str) -> None:
    """Plain squares of 64x64, some of which are said to show something small."""
    rng = random.Random(split)
    records = [Record(random_character(rng, held_out=False, style=style)) for style in ("micah", "adventurer") * 4]
    pixels = np.stack([np.full((64, 64, 3), 20 * number, np.uint8) for number in range(len(records))])
    folder = workdir / "pictures"
    folder.mkdir(exist_ok=True)
    np.save(folder / f"{split}-0000.npy", pixels)
    (folder / f"{split}-0000.jsonl").write_text("".join(record.to_json() + "\n" for record in records))


@pytest.mark.filterwarnings("ignore:Mismatch dtype between input and weight")  # mixed precision norms in two steps
def test_the_decoder_learns_on_and_the_latents_stay_as_they_were(tmp_path: Path) -> None:
    write_pictures(tmp_path, "train")
    write_pictures(tmp_path, "held_out")
    train_vae(tmp_path, 1, CPU)
    encode_pictures(tmp_path, CPU)
    polish_decoder(tmp_path, 12, CPU)
    before = torch.load(tmp_path / "vae_folded.pt")
    after = torch.load(tmp_path / "vae_polished.pt")["model"]
    changed = {key for key, weight in before.items() if not torch.equal(weight, after[key])}
    assert changed and all(key.startswith(("decoder.", "conv2.")) for key in changed)
    assert averaged_weights(tmp_path / "vae_polished.pt").keys() == before.keys()
    assert json.loads((tmp_path / "vae_polished.log").read_text().splitlines()[-1])["psnr (64, 64)"] > 0
