"""A classifier of finished images: any image classifier of the Hugging Face hub, or one in a local folder.

    classifier = ImageClassifier.load("Falconsai/nsfw_image_detection", engine.device)
    classifier.labels([image.image])  # [{"normal": 0.98, "nsfw": 0.02}]

The operator who chooses the classifier decides what its labels mean and what follows from them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError, RepositoryNotFoundError
from PIL import Image
from transformers import AutoImageProcessor, AutoModelForImageClassification, BaseImageProcessor, PreTrainedModel

from inference.request import (
    CheckpointError,
    GenerationRequest,
    IsCancelled,
    LoadedEngine,
    NativeSettings,
    NotFinite,
    OnProgress,
    OnStage,
    Picture,
    TurboLora,
)

#: Files to download from a repository: no pickles, which can run code when opened, and no weights for other frameworks.
FILES = ("*.json", "model*.safetensors")


class ImageClassifier:
    """An image classifier on one device, in float32."""

    def __init__(self, processor: BaseImageProcessor, model: PreTrainedModel) -> None:
        self._processor = processor
        self._model = model
        self._names = [name for _, name in sorted((model.config.id2label or {}).items())]
        # As in transformers' own pipeline: labels that can apply together get independent probabilities.
        self._independent = model.config.problem_type == "multi_label_classification" or len(self._names) == 1

    @classmethod
    def load(cls, name: str, device: torch.device) -> ImageClassifier:
        """Load a classifier and try it on an image. `name`: a folder, or a model of the hub, such as `owner/name`.

        The hub's files are downloaded once and kept in its cache, so they also work without a network.

        Raises CheckpointError.
        """
        folder = _folder(name)
        try:
            processor = AutoImageProcessor.from_pretrained(folder, backend="pil", trust_remote_code=False)
            model, report = AutoModelForImageClassification.from_pretrained(
                folder,
                dtype=torch.float32,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
            if report["missing_keys"]:  # transformers would continue with random numbers
                raise ValueError(f"it has no weights for {', '.join(sorted(report['missing_keys'])[:3])}")
            if model.config.problem_type == "regression":
                raise ValueError("it returns quantities, not probabilities of labels")
            classifier = cls(processor, model.to(device).eval())
            classifier.labels([Image.new("RGB", (96, 64), "grey")])
        except Exception as error:  # files of unknown origin can make the libraries raise anything
            raise CheckpointError(
                f"The picture classifier {name!r} cannot be used: {_first_line(error)}. It must be an image "
                "classifier for transformers, with config.json, preprocessor_config.json and model.safetensors, and "
                "without code of its own. Choose another one, or download it again if it is damaged."
            ) from error
        return classifier

    def labels(self, images: Sequence[Image.Image]) -> list[Mapping[str, float]]:
        """For each image, the probability of each label, 0 to 1. Raises NotFinite if there is none."""
        return [self._classify(image) for image in images]

    @torch.inference_mode()
    def _classify(self, image: Image.Image) -> Mapping[str, float]:
        inputs = self._processor(images=image.convert("RGB"), return_tensors="pt").to(self._model.device)
        logits = self._model(**inputs).logits[0]
        if not torch.isfinite(logits).all():
            raise NotFinite("The picture classifier returned values that are not numbers: choose another classifier.")
        probabilities = logits.sigmoid() if self._independent else logits.softmax(dim=0)
        return dict(zip(self._names, probabilities.tolist(), strict=True))


class ClassifyingEngine:
    """An engine that adds a classifier's labels to its images."""

    def __init__(self, engine: LoadedEngine, classifier: ImageClassifier) -> None:
        self._engine = engine
        self._classifier = classifier

    @property
    def native(self) -> NativeSettings:
        return self._engine.native

    @property
    def name(self) -> str:
        return self._engine.name

    @property
    def full_pass(self) -> int | None:
        return self._engine.full_pass

    def lora_names(self) -> list[str]:
        return self._engine.lora_names()

    def loaded_models(self) -> tuple[str, ...]:
        return self._engine.loaded_models()

    def turbo_lora(self) -> TurboLora | None:
        return self._engine.turbo_lora()

    def generate(
        self,
        requests: Sequence[GenerationRequest],
        on_progress: OnProgress | None = None,
        cancelled: IsCancelled | None = None,
        on_stage: OnStage | None = None,
    ) -> list[Picture]:
        """As `Engine.generate`. Raises NotFinite also where an image cannot be classified."""
        images = self._engine.generate(requests, on_progress, cancelled, on_stage)
        found = self._classifier.labels([image.image for image in images])
        return [replace(image, labels=labels) for image, labels in zip(images, found, strict=True)]


def _folder(name: str) -> Path:
    """The folder with the classifier's files, downloaded from the hub if needed."""
    here = Path(name).expanduser()
    if here.is_dir():
        return here
    try:
        return Path(snapshot_download(name, allow_patterns=list(FILES)))
    except HFValidationError:
        raise CheckpointError(
            f"There is no folder {name!r} with a picture classifier, and this is not a valid name of a model on "
            "the Hugging Face hub. Fix the path, or name a model as in Falconsai/nsfw_image_detection."
        ) from None
    except RepositoryNotFoundError as error:
        raise CheckpointError(
            f"There is no folder {name!r} with a picture classifier, and no such model on the Hugging Face hub. "
            "Fix the name, or set HF_TOKEN if access to the model is restricted."
        ) from error
    except Exception as error:  # from the network, the disk, or the hub
        raise CheckpointError(
            f"The picture classifier {name!r} cannot be downloaded from the Hugging Face hub ({_first_line(error)}). "
            "Check the network, or download the model elsewhere and name its folder."
        ) from error


def _first_line(error: Exception) -> str:
    lines = str(error).splitlines() or [type(error).__name__]
    return lines[0].rstrip(".")
