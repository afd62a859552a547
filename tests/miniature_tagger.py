"""A tagger in the WD14 family's format for what the miniature draws.

`tests/train_miniature_tagger.py` trained its weights, on what the miniature drew. They are those of a network like the
miniature's classifier; each of its answers is a tag. Styles are artists, as the miniature's prompts have them.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import load_file

import inference.miniature
from inference.tagging.tag_list import TAG_LIST, TagKind

WEIGHTS = Path(__file__).with_suffix(".safetensors")
#: Pixels of the square that it takes.
SIDE = 128
CLASSIFIER = Path(inference.miniature.__file__).parent / "classifier.safetensors"
STRIDES = (2, 2, 1, 2, 1, 2)
EPSILON = 1e-5
#: Cells of a side of what the last layer reads.
POOLED = 4
#: Outputs that mean that there is nothing.
NOTHING = "none"
RATINGS = ("general", "sensitive", "questionable", "explicit")

#: How an answer to each question is written as a tag; answers to other questions are tags themselves.
WRITTEN: Mapping[str, str] = {
    "hair colour": "{answer}_hair",
    "background": "{answer}_background",
    "clothes": "{answer}_shirt",
}


def write_tagger(folder: Path, *, extra: Mapping[str, float] = {}) -> Path:
    """Write `model.onnx` and its list for images of SIDE pixels, all of them rated general. Returns the folder.

    extra: tags, as the list has them, that it sees in every image, each with its
    probability; those with `:4` at their end are characters.
    """
    import onnx

    from inference.miniature.classifier import QUESTIONS

    folder.mkdir(parents=True, exist_ok=True)
    rows = [(rating, TagKind.RATING) for rating in RATINGS]
    rows += [_extra(name) for name in extra]
    kept: list[int] = []
    at = 0
    for question, (answers, _) in QUESTIONS.items():
        for answer in answers:
            if answer != NOTHING:
                kept.append(at)
                rows.append(_row(question, answer))
            at += 1
    constants = [float(each == "general") for each in RATINGS] + list(extra.values())
    sizes = [len(answers) for answers, _ in QUESTIONS.values()]
    onnx.save(_model(SIDE, sizes, kept, np.array([constants], np.float32)), str(folder / "model.onnx"))
    with (folder / TAG_LIST).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["tag_id", "name", "category", "count"])
        writer.writerows([number, name, kind.value, 1000] for number, (name, kind) in enumerate(rows))
    return folder


def _row(question: str, answer: str) -> tuple[str, TagKind]:
    name = WRITTEN.get(question, "{answer}").format(answer=answer.replace(" ", "_"))
    return name, TagKind.ARTIST if question == "style" else TagKind.GENERAL


def _extra(name: str) -> tuple[str, TagKind]:
    return (name[:-2], TagKind.CHARACTER) if name.endswith(":4") else (name, TagKind.GENERAL)


def _model(side: int, sizes: list[int], kept: list[int], constants: np.ndarray) -> Any:
    """From float32 [1, side, side, 3], blue first, 0 to 255, to [1, constants and kept answers]."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    weights = {key: value.astype(np.float32) for key, value in load_file(WEIGHTS).items()}
    arrays: dict[str, np.ndarray] = {
        "reds": np.array([2, 1, 0], np.int64),
        "half": np.array(127.5, np.float32),
        "one": np.array(1, np.float32),
        "sizes": np.array(sizes, np.int64),
        "kept": np.array(kept, np.int64),
        "constants": constants,
    }
    nodes = [
        helper.make_node("Gather", ["image", "reds"], ["rgb"], axis=3),
        helper.make_node("Transpose", ["rgb"], ["planes"], perm=[0, 3, 1, 2]),
        helper.make_node("Div", ["planes", "half"], ["doubled"]),
        helper.make_node("Sub", ["doubled", "one"], ["x0"]),
    ]
    for layer, stride in enumerate(STRIDES):
        convolution, norm = f"features.{3 * layer}", f"features.{3 * layer + 1}"
        scale = weights[f"{norm}.weight"] / np.sqrt(weights[f"{norm}.running_var"] + EPSILON)
        arrays[f"w{layer}"] = weights[f"{convolution}.weight"] * scale[:, None, None, None]
        arrays[f"b{layer}"] = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * scale
        nodes += [
            helper.make_node(
                "Conv",
                [f"x{layer}", f"w{layer}", f"b{layer}"],
                [f"c{layer}"],
                strides=[stride, stride],
                pads=[1, 1, 1, 1],
            ),
            helper.make_node("Relu", [f"c{layer}"], [f"x{layer + 1}"]),
        ]
    cell = side // 16 // POOLED
    arrays["w"], arrays["b"] = weights["answers.weight"], weights["answers.bias"]
    parts = [f"part{number}" for number in range(len(sizes))]
    nodes += [
        helper.make_node(
            "AveragePool", [f"x{len(STRIDES)}"], ["pooled"], kernel_shape=[cell, cell], strides=[cell, cell]
        ),
        helper.make_node("Flatten", ["pooled"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w", "b"], ["logits"], transB=1),
        helper.make_node("Split", ["logits", "sizes"], parts, axis=1),
        *(helper.make_node("Softmax", [part], [f"{part}p"], axis=1) for part in parts),
        helper.make_node("Concat", [f"{part}p" for part in parts], ["answers"], axis=1),
        helper.make_node("Gather", ["answers", "kept"], ["tags"], axis=1),
        helper.make_node("Concat", ["constants", "tags"], ["probabilities"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "miniature_tagger",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, side, side, 3])],
        [helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [1, constants.shape[1] + len(kept)])],
        [numpy_helper.from_array(value, name) for name, value in arrays.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    return model
