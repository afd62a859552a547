"""The image classifier says what transformers says, and one that cannot be used is refused at the start."""

import json
import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from PIL import Image
from safetensors.torch import load_file, save_file
from transformers import (
    BertConfig,
    BertModel,
    ViTConfig,
    ViTForImageClassification,
    ViTImageProcessorPil,
    ViTModel,
)

from inference import Cancelled, Engine, GenerationRequest, NotFinite, Stage, TurboLora
from inference.classifier import ClassifyingEngine, ImageClassifier
from inference.process import EngineProcess, load_engine
from inference.request import CheckpointError
from tests.bot.cli.fake_hub import FakeHub
from tests.golden import MODELS

CPU = torch.device("cpu")
SIDE = 32
LABELS = {0: "drawing", 1: "nsfw", 2: "sensitive"}
NAME = "someone/judge"
REQUEST = GenerationRequest("1girl, smile", width=64, height=64, steps=1, seed=7)


def config(labels: Mapping[int, str] = LABELS, **fields: Any) -> ViTConfig:
    return ViTConfig(
        hidden_size=16,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=32,
        image_size=SIDE,
        patch_size=8,
        initializer_range=0.5,
        id2label=dict(labels),
        label2id={label: index for index, label in labels.items()},
        **fields,
    )


def write(folder: Path, network: torch.nn.Module, side: int = SIDE) -> Path:
    network.save_pretrained(folder)
    ViTImageProcessorPil(size={"height": side, "width": side}).save_pretrained(folder)
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    torch.manual_seed(0)
    return write(tmp_path / "judge", ViTForImageClassification(config()))


def pictures() -> list[Image.Image]:
    noise = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    return [Image.fromarray(noise), Image.new("RGB", (SIDE, SIDE), "red"), Image.new("RGBA", (64, 96), (0, 0, 255, 9))]


def logits(folder: Path, picture: Image.Image) -> torch.Tensor:
    """As transformers computes them, from pixels that are resized and scaled here."""
    levels = np.asarray(picture.convert("RGB").resize((SIDE, SIDE), Image.Resampling.BILINEAR), np.float32)
    pixels = torch.from_numpy(levels / 127.5 - 1).permute(2, 0, 1)[None]
    with torch.no_grad():
        found: torch.Tensor = ViTForImageClassification.from_pretrained(folder)(pixel_values=pixels).logits[0]
    return found


def test_labels_have_the_probabilities_that_the_network_gives_them(folder: Path) -> None:
    found = ImageClassifier.load(str(folder), CPU).labels(pictures())
    assert len(found) == 3
    for labels, picture in zip(found, pictures(), strict=True):
        assert list(labels) == list(LABELS.values())
        assert sum(labels.values()) == pytest.approx(1)
        expected = logits(folder, picture).softmax(0)
        assert list(labels.values()) == pytest.approx(expected.tolist(), abs=1e-5)
    assert found[0] != pytest.approx(found[1], abs=0.01)


@pytest.mark.parametrize(
    ("labels", "fields"), [(LABELS, {"problem_type": "multi_label_classification"}), ({0: "nsfw"}, {})]
)
def test_labels_that_do_not_exclude_each_other_have_a_probability_each(
    tmp_path: Path, labels: Mapping[int, str], fields: Mapping[str, str]
) -> None:
    folder = write(tmp_path, ViTForImageClassification(config(labels, **fields)))
    [found] = ImageClassifier.load(str(folder), CPU).labels(pictures()[:1])
    assert list(found.values()) == pytest.approx(logits(folder, pictures()[0]).sigmoid().tolist(), abs=1e-5)


@pytest.mark.parametrize(
    "fields",
    [
        {"image_processor_type": "ViTImageProcessorFast"},
        {"image_processor_type": None, "feature_extractor_type": "ViTFeatureExtractor", "size": SIDE},
        {"image_processor_type": None},
    ],
)
def test_pictures_are_prepared_alike_whatever_version_wrote_the_files(folder: Path, fields: Mapping[str, Any]) -> None:
    expected = ImageClassifier.load(str(folder), CPU).labels(pictures())
    path = folder / "preprocessor_config.json"
    said = {**json.loads(path.read_text(encoding="utf-8")), **fields}
    path.write_text(json.dumps({key: value for key, value in said.items() if value is not None}))
    assert ImageClassifier.load(str(folder), CPU).labels(pictures()) == expected


def test_pictures_may_be_none(folder: Path) -> None:
    assert ImageClassifier.load(str(folder), CPU).labels([]) == []


def test_an_image_that_cannot_be_classified_is_an_error(folder: Path) -> None:
    classifier = ImageClassifier.load(str(folder), CPU)
    classifier._model.classifier.bias.data[1] = math.nan
    with pytest.raises(NotFinite, match="not numbers"):
        classifier.labels(pictures()[:1])


def damaged(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-50])


def without_numbers(folder: Path) -> None:
    path = folder / "model.safetensors"
    save_file({key: tensor * math.nan for key, tensor in load_file(path).items()}, path, metadata={"format": "pt"})


def pickled(folder: Path) -> None:
    torch.save(load_file(folder / "model.safetensors"), folder / "pytorch_model.bin")
    (folder / "model.safetensors").unlink()


def with_code_of_its_own(folder: Path) -> None:
    (folder / "config.json").write_text(
        json.dumps({"model_type": "strange", "auto_map": {"AutoConfig": "evil.Config", "AutoModel": "evil.Model"}})
    )
    (folder / "evil.py").write_text("raise SystemExit('this ran')")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda folder: (folder / "config.json").unlink(), "cannot be used"),
        (lambda folder: (folder / "preprocessor_config.json").unlink(), "preprocessor_config.json"),
        (lambda folder: (folder / "model.safetensors").unlink(), "no file named model.safetensors"),
        (lambda folder: write(folder, ViTModel(config())), "no weights for classifier.bias, classifier.weight"),
        (
            lambda folder: write(
                folder,
                BertModel(BertConfig(hidden_size=16, num_hidden_layers=1, num_attention_heads=1, intermediate_size=16)),
            ),
            "BertConfig",
        ),
        (
            lambda folder: write(folder, ViTForImageClassification(config(problem_type="regression"))),
            "not probabilities",
        ),
        (lambda folder: write(folder, ViTForImageClassification(config()), side=48), "48"),
        (damaged, "not fully covered"),
        (without_numbers, "not numbers"),
        (pickled, "no file named model.safetensors"),
        (with_code_of_its_own, "custom code"),
    ],
)
def test_a_model_that_cannot_classify_is_refused_when_loaded(
    folder: Path, change: Callable[[Path], object], sentence: str
) -> None:
    change(folder)
    with pytest.raises(CheckpointError, match=sentence) as error:
        ImageClassifier.load(str(folder), CPU)
    assert str(folder) in str(error.value)
    assert "Choose another one, or download it again" in str(error.value)


@pytest.mark.parametrize("name", ["/nowhere/judge", "./judge", "a/b/c"])
def test_a_folder_that_is_not_there_is_named(name: str) -> None:
    with pytest.raises(CheckpointError, match=f"There is no folder '{name}'.*Fix the path"):
        ImageClassifier.load(name, CPU)


def test_images_of_an_engine_in_its_own_process_have_labels(folder: Path, engine: Engine) -> None:
    process = EngineProcess(partial(load_engine, str(MODELS), "cpu", "auto", None, str(folder)))
    try:
        assert process.start().name == "anima-tiny"
        [picture] = process.generate([REQUEST])
    finally:
        process.stop()
    here = engine.generate([REQUEST])[0]
    assert here.labels == {}
    assert picture.labels == pytest.approx(ImageClassifier.load(str(folder), CPU).labels([here.image])[0], abs=1e-3)


def test_an_engine_with_a_classifier_adds_only_labels(
    folder: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    turbo = TurboLora("turbo", steps=8, cfg_scale=1.0)
    monkeypatch.setattr(engine, "turbo_lora", lambda: turbo)
    classifying = ClassifyingEngine(engine, ImageClassifier.load(str(folder), CPU))
    assert (classifying.name, classifying.native) == (engine.name, engine.native)
    assert (classifying.lora_names(), classifying.turbo_lora()) == (engine.lora_names(), turbo)
    told: list[Stage | int] = []
    [picture] = classifying.generate([REQUEST], lambda progress: told.append(progress.step), lambda: False, told.append)
    assert told == [Stage.CONDITIONING, Stage.SAMPLING, 1, Stage.DECODING, Stage.FINISHING]
    assert picture.request is REQUEST
    with pytest.raises(Cancelled):
        classifying.generate([REQUEST], cancelled=lambda: True)


def test_a_classifier_that_cannot_be_loaded_is_reported_before_the_engine_is_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def load(*_: object) -> None:
        pytest.fail("the engine was loaded first")

    monkeypatch.setattr(Engine, "load", load)
    with pytest.raises(CheckpointError, match="picture classifier"):
        load_engine(str(MODELS), "cpu", "auto", None, str(tmp_path))


@pytest.fixture
def use_hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Makes this address the hub, as HF_ENDPOINT does when Python starts. Nothing is in the library's cache yet."""

    def use(address: str) -> None:
        monkeypatch.setattr(constants, "ENDPOINT", address)
        monkeypatch.setattr(
            constants, "HUGGINGFACE_CO_URL_TEMPLATE", address + "/{repo_id}/resolve/{revision}/{filename}"
        )

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    return use


def test_a_classifier_from_the_hub_is_downloaded_once(folder: Path, use_hub: Callable[[str], None]) -> None:
    wanted = {path.name: path.read_bytes() for path in folder.iterdir()}
    expected = ImageClassifier.load(str(folder), CPU).labels(pictures())
    with FakeHub({NAME: wanted | {"pytorch_model.bin": b"a pickle"}}) as hub:
        use_hub(hub.address)
        assert ImageClassifier.load(NAME, CPU).labels(pictures()) == expected
        assert sorted(asked.path for asked in hub.asked) == sorted(wanted)
    assert ImageClassifier.load(NAME, CPU).labels(pictures()) == expected


def test_a_classifier_missing_on_the_hub_is_named(use_hub: Callable[[str], None]) -> None:
    with FakeHub() as hub:
        use_hub(hub.address)
        with pytest.raises(CheckpointError, match=f"no folder '{NAME}'.*no such model on the .* hub.*HF_TOKEN"):
            ImageClassifier.load(NAME, CPU)


def test_an_unreachable_hub_is_reported(use_hub: Callable[[str], None]) -> None:
    use_hub("http://127.0.0.1:9")
    with pytest.raises(CheckpointError, match=f"'{NAME}' cannot be downloaded.*Check the network"):
        ImageClassifier.load(NAME, CPU)
