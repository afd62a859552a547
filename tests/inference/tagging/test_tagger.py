"""A tagger in the WD14 family's format sees what an image shows, and says why it cannot be used."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from safetensors import safe_open

from inference.miniature.classifier import QUESTIONS, Classifier
from inference.tagging.tag_list import TAG_LIST, TaggerError, TagKind
from inference.tagging.tagger import MIN_PROBABILITY, Tagger, find_model, missing_files
from tests.miniature_tagger import CLASSIFIER, WEIGHTS, WRITTEN

PICTURES = Path(__file__).parent / "pictures"


def names(tagger: Tagger, image: Image.Image, least: float = 0.35) -> set[str]:
    return {guess.name for guess in tagger.guesses(image) if guess.probability >= least}


def avatar(shape: tuple[int, int] = (128, 128)) -> Image.Image:
    """One of the miniature's style `lorelei`: red long hair, dark skin, glasses, aqua background."""
    with Image.open(PICTURES / "avatar.png") as image:
        width, height = shape
        left, top = (128 - width) // 2, 128 - height
        return image.convert("RGB").crop((left, top, left + width, top + height))


@pytest.mark.parametrize("shape", [(128, 128), (100, 128), (128, 100)])
def test_an_image_of_any_shape_is_described_by_what_it_shows(tagger_folder: Path, shape: tuple[int, int]) -> None:
    found = names(Tagger.load(tagger_folder), avatar(shape))
    assert {"red_hair", "long_hair", "aqua_background", "lorelei", "glasses", "dark_skin"} <= found


def test_it_sees_the_colours_and_not_their_mirror_image(tagger_folder: Path) -> None:
    """The model takes blue first; red first would turn red hair blue."""
    tagger = Tagger.load(tagger_folder)
    swapped = Image.merge("RGB", avatar().split()[::-1])
    assert "red_hair" in names(tagger, avatar()) and "red_hair" not in names(tagger, swapped)


def test_guesses_come_in_order_with_their_kinds_and_the_improbable_is_left_out(tagger_folder: Path) -> None:
    guesses = Tagger.load(tagger_folder).guesses(avatar())
    probabilities = [guess.probability for guess in guesses]
    assert probabilities == sorted(probabilities, reverse=True) and min(probabilities) >= MIN_PROBABILITY
    assert {guess.name: guess.kind for guess in guesses}["lorelei"] is TagKind.ARTIST
    assert guesses[0].kind is TagKind.RATING and guesses[0].name == "general"


def test_large_and_small_images_are_brought_to_the_models_size(tagger_folder: Path) -> None:
    tagger = Tagger.load(tagger_folder)
    for side in (1000, 64):
        assert "aqua_background" in names(tagger, avatar().resize((side, side), Image.Resampling.BICUBIC))


def test_the_miniatures_classifier_agrees(tagger_folder: Path) -> None:
    believed = Classifier.load(CLASSIFIER).probabilities([np.array(avatar())])
    answers = {
        "hair colour": "red",
        "background": "aqua",
        "style": "lorelei",
    }
    found = names(Tagger.load(tagger_folder), avatar())
    for question, answer in answers.items():
        assert QUESTIONS[question][0][int(believed[question][0].argmax())] == answer
        assert WRITTEN.get(question, "{answer}").format(answer=answer) in found


def test_a_folder_and_its_model_mean_the_same(own_folder: Path) -> None:
    assert find_model(own_folder) == find_model(own_folder / "model.onnx") == own_folder / "model.onnx"
    (own_folder / "model.onnx").rename(own_folder / "wd-v3.onnx")
    assert find_model(own_folder) == own_folder / "wd-v3.onnx"
    assert missing_files(own_folder) is None


def refused(folder: Path) -> str:
    with pytest.raises(TaggerError) as raised:
        Tagger.load(folder)
    sentence = str(raised.value)
    assert "\n" not in sentence and sentence.endswith(".")
    return sentence


def test_each_fault_is_explained_with_what_to_do(own_folder: Path, tmp_path: Path) -> None:
    assert "fix ANIMA_TAGGER" in refused(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    assert "has no model.onnx" in refused(tmp_path / "empty")
    for name in "ab":
        (tmp_path / "empty" / f"{name}.onnx").write_bytes(b"")
    assert "several models (a.onnx, b.onnx)" in refused(tmp_path / "empty")
    model, tags = own_folder / "model.onnx", own_folder / TAG_LIST
    listed = tags.read_text("utf-8")
    tags.write_text("\n".join(listed.splitlines()[:-1]), "utf-8")
    assert "has 67 outputs, but selected_tags.csv next to it lists 66 tags" in refused(own_folder)
    tags.unlink()
    assert "There is no " in refused(own_folder) and missing_files(own_folder) is not None
    tags.write_text(listed, "utf-8")
    model.write_bytes(model.read_bytes()[:1000])
    assert "cannot be opened" in refused(own_folder)


@pytest.mark.parametrize(
    ("inputs", "told"),
    [
        ([("FLOAT", [1, 3, 128, 128])], "tensor(float) [1, 3, 128, 128]"),
        ([("FLOAT", [1, 128, 96, 3])], "tensor(float) [1, 128, 96, 3]"),
        ([("FLOAT", [1, 128, 128, 4])], "tensor(float) [1, 128, 128, 4]"),
        ([("FLOAT", [1, 4, 4, 3])], "tensor(float) [1, 4, 4, 3]"),
        ([("FLOAT", [1, 4096, 4096, 3])], "tensor(float) [1, 4096, 4096, 3]"),
        ([("FLOAT", [1, "height", "height", 3])], "tensor(float) [1, 'height', 'height', 3]"),
        ([("FLOAT", [128, 128, 3])], "tensor(float) [128, 128, 3]"),
        ([("DOUBLE", [1, 128, 128, 3])], "tensor(double) [1, 128, 128, 3]"),
        ([("UINT8", [1, 128, 128, 3])], "tensor(uint8) [1, 128, 128, 3]"),
        ([("FLOAT", [1, 8, 8, 3]), ("FLOAT", [1])], "tensor(float) [1, 8, 8, 3] and tensor(float) [1]"),
        ([], "nothing"),
    ],
)
def test_a_model_of_another_kind_is_not_taken_for_a_tagger(
    inputs: list[tuple[str, list[Any]]], told: str, own_folder: Path
) -> None:
    onnx = pytest.importorskip("onnx")
    value = onnx.numpy_helper.from_array(np.zeros((1, 67), np.float32))
    types = [getattr(onnx.TensorProto, name) for name, _ in inputs]
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Constant", [], ["tags"], value=value)],
        "another",
        [onnx.helper.make_tensor_value_info(f"given{at}", types[at], shape) for at, (_, shape) in enumerate(inputs)],
        [onnx.helper.make_tensor_value_info("tags", onnx.TensorProto.FLOAT, [1, 67])],
    )
    opset = [onnx.helper.make_opsetid("", 17)]
    onnx.save(onnx.helper.make_model(graph, ir_version=8, opset_imports=opset), str(own_folder / "model.onnx"))
    wanted = "does not take images as the WD14 family does, tensor(float) [1, side, side, 3], but"
    assert refused(own_folder).endswith(f"model.onnx {wanted} {told}: choose another tagger.")


def test_a_model_whose_input_does_not_fit_its_own_layers_cannot_be_opened(own_folder: Path) -> None:
    onnx = pytest.importorskip("onnx")
    model = onnx.load(own_folder / "model.onnx")
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.DOUBLE
    onnx.save(model, str(own_folder / "model.onnx"))
    sentence = refused(own_folder)
    assert "model.onnx cannot be opened: " in sentence and sentence.endswith(". Download it again.")


def test_a_model_that_gives_no_probabilities_is_refused(own_folder: Path) -> None:
    onnx = pytest.importorskip("onnx")
    made = onnx.load(own_folder / "model.onnx")
    constants = next(each for each in made.graph.initializer if each.name == "constants")
    constants.CopyFrom(onnx.numpy_helper.from_array(np.full((1, 4), 3.5, np.float32), "constants"))
    onnx.save(made, str(own_folder / "model.onnx"))
    assert "does not give probabilities" in refused(own_folder)


def test_without_onnxruntime_the_extra_to_install_is_named(own_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert "pip install 'anima-bot[tagger]'" in refused(own_folder)


def test_the_tests_weights_are_those_of_the_miniatures_network() -> None:
    shapes = []
    for file in (WEIGHTS, CLASSIFIER):
        with safe_open(file, "np") as weights:
            shapes.append({key: weights.get_slice(key).get_shape() for key in weights.keys()})  # noqa: SIM118
    assert shapes[0] == shapes[1]
