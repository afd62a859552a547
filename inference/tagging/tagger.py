"""A tagger of the WD14 family, run by ONNX Runtime on the CPU: which tags an image shows, with probabilities.

    tagger = Tagger.load(Path("taggers/wd-swinv2-tagger-v3"))
    tagger.guesses(image)  # [TagGuess("1girl", TagKind.GENERAL, 0.99), …]

The model takes float32 [1, side, side, 3] in BGR order, 0 to 255, and returns a probability for each line of its list.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from inference.tagging.tag_list import TAG_LIST, ListedTag, TaggerError, TagGuess, read_tag_list

MODEL = "model.onnx"
#: Threads; the engine and the bot need the other cores.
MAX_THREADS = 4
#: The largest plausible side of a model's input, in pixels.
MAX_SIDE = 2048
#: Less probable guesses are left out.
MIN_PROBABILITY = 0.05
#: How far outside of 0 to 1 a sigmoid may round.
TOLERANCE = 1e-3


class Tagger:
    def __init__(self, session: Any, side: int, tags: tuple[ListedTag, ...]) -> None:
        """`session`: ONNX Runtime's. `side`: of its square input, in pixels."""
        self._session = session
        self.side = side
        self.tags = tags

    @classmethod
    def load(cls, path: Path) -> Tagger:
        """Load a model and the list beside it, and try it on an image. `path`: the model's file or folder.

        Raises TaggerError.
        """
        model = find_model(path)
        tags = read_tag_list(model.parent / TAG_LIST)
        session = _session(model)
        tagger = cls(session, _side(session, model), tags)
        tagger._try(model)
        return tagger

    def guesses(self, image: Image.Image) -> list[TagGuess]:
        """What the image shows, the most probable first, without guesses below MIN_PROBABILITY."""
        probabilities = self._run(image)
        order = np.argsort(-probabilities, kind="stable")
        return [
            TagGuess(self.tags[at].name, self.tags[at].kind, float(probabilities[at]))
            for at in order
            if probabilities[at] >= MIN_PROBABILITY
        ]

    def _run(self, image: Image.Image) -> np.ndarray[Any, np.dtype[np.float32]]:
        """The model's outputs, [tags]."""
        [given] = self._session.get_inputs()
        output = self._session.get_outputs()[0].name
        [answer] = self._session.run([output], {given.name: _pixels(image, self.side)})
        return np.asarray(answer, np.float32).reshape(-1)

    def _try(self, model: Path) -> None:
        try:
            outputs = self._run(Image.new("RGB", (self.side, self.side // 2), "grey"))
        except Exception as error:  # ONNX Runtime's own exceptions are not documented
            raise TaggerError(f"{model} cannot be run: {_first_line(error)}. Choose another tagger.") from error
        if len(outputs) != len(self.tags):
            raise TaggerError(
                f"{model} has {len(outputs)} outputs, but {TAG_LIST} next to it lists {len(self.tags)} tags: use the "
                "list that belongs to the model."
            )
        if not (np.isfinite(outputs).all() and outputs.min() >= -TOLERANCE and outputs.max() <= 1 + TOLERANCE):
            raise TaggerError(f"{model} does not give probabilities from 0 to 1: choose a tagger of the WD14 family.")


def find_model(path: Path) -> Path:
    """The model's file. Raises TaggerError."""
    if path.is_file():
        return path
    if not path.is_dir():
        raise TaggerError(f"There is no tagger at {path}: fix ANIMA_TAGGER, or download one there.")
    if (path / MODEL).is_file():
        return path / MODEL
    found = sorted(path.glob("*.onnx"))
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(each.name for each in found[:3])
        raise TaggerError(f"{path} has several models ({names}): name one of them in ANIMA_TAGGER.")
    raise TaggerError(f"{path} has no {MODEL}: download the tagger's ONNX file there.")


def missing_files(path: Path) -> str | None:
    """What is wrong with a tagger's files, without opening the model; None if nothing."""
    try:
        read_tag_list(find_model(path).parent / TAG_LIST)
    except TaggerError as error:
        return str(error)
    return None


def _session(model: Path) -> Any:
    try:
        import onnxruntime
    except ImportError as error:
        raise TaggerError(
            f"A tagger needs the package onnxruntime ({_first_line(error)}): pip install 'anima-bot[tagger]'."
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = min(MAX_THREADS, os.cpu_count() or 1)
    # Threads that spin while waiting would take cores from the engine.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_cpu_mem_arena = False
    options.log_severity_level = 4
    try:
        return onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise TaggerError(f"{model} cannot be opened: {_first_line(error)}. Download it again.") from error


def _side(session: Any, model: Path) -> int:
    """The side of the model's square input, in pixels. Raises TaggerError."""
    inputs = session.get_inputs()
    if [(given.type, len(given.shape)) for given in inputs] == [("tensor(float)", 4)]:
        _, height, width, channels = inputs[0].shape
        if channels == 3 and isinstance(height, int) and height == width and 8 <= height <= MAX_SIDE:
            return height
    listed = " and ".join(f"{given.type} {given.shape}" for given in inputs) or "nothing"
    raise TaggerError(
        f"{model} does not take images as the WD14 family does, tensor(float) [1, side, side, 3], but {listed}: choose "
        "another tagger."
    )


def _pixels(image: Image.Image, side: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """The image in the middle of a white square, [1, side, side, 3] in BGR order, 0 to 255."""
    longer = max(image.size)
    square = Image.new("RGB", (longer, longer), "white")
    square.paste(image.convert("RGB"), ((longer - image.width) // 2, (longer - image.height) // 2))
    if longer != side:
        square = square.resize((side, side), Image.Resampling.BICUBIC)
    return np.ascontiguousarray(np.asarray(square, np.float32)[None, :, :, ::-1])


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0][:300].rstrip(".")
