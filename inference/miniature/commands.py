"""The command line: one command per stage, in the order in which the stages build on each other.

If you interrupt training or the drawing of training images, run the same command again: it continues where it stopped.
"""

import argparse
from pathlib import Path

import torch

from inference import Engine
from inference.miniature import (
    autoencoder,
    data,
    distill,
    evaluate,
    evaluate_edits,
    evaluate_enlarging,
    evaluate_modes,
    export,
    joint,
    restore,
    tokenizers,
)
from inference.miniature.classifier import Classifier, held_out_accuracies, save_classifier, train_classifier
from inference.miniature.training import choose_device

HERE = Path(__file__).parent
MODELS = HERE / "models"
MODEL_CARD = HERE / "MODEL_CARD.md"
CLASSIFIER = HERE / "classifier.safetensors"

NATIVE_SIZES = {96: [(96, 96), (80, 112), (112, 80)], 128: [(128, 128), (112, 144), (144, 112)]}


def main() -> None:
    arguments = _parser().parse_args()
    torch.set_flush_denormal(True)  # without it, CPU steps slow down as weights near zero
    arguments.stage(arguments)


def _data(arguments: argparse.Namespace) -> None:
    renderer = data.install_renderer(arguments.workdir)
    data.make_images(arguments.workdir, NATIVE_SIZES[arguments.size], train=40, held_out=5, renderer=renderer)


def _tokenizers(arguments: argparse.Namespace) -> None:
    tokenizers.make_tokenizers(arguments.workdir)


def _vae(arguments: argparse.Namespace) -> None:
    device = choose_device(arguments.device)
    autoencoder.train_vae(arguments.workdir, arguments.steps, arguments.peak, device)
    autoencoder.encode_images(arguments.workdir, device)


def _decoder(arguments: argparse.Namespace) -> None:
    autoencoder.polish_decoder(arguments.workdir, arguments.steps, choose_device(arguments.device))


def _restore(arguments: argparse.Namespace) -> None:
    restore.restore(arguments.workdir, arguments.models, choose_device(arguments.device))


def _train(arguments: argparse.Namespace) -> None:
    joint.train(arguments.workdir, arguments.steps, arguments.peak, arguments.batch, choose_device(arguments.device))


def _distill(arguments: argparse.Namespace) -> None:
    distill.train_turbo(arguments.workdir, arguments.steps, arguments.batch, choose_device(arguments.device))


def _classifier(arguments: argparse.Namespace) -> None:
    train_classifier(arguments.workdir, arguments.steps, choose_device(arguments.device))
    save_classifier(arguments.workdir, arguments.classifier)


def _export(arguments: argparse.Namespace) -> None:
    export.export(arguments.workdir, arguments.models, NATIVE_SIZES[arguments.size])


def _evaluate(arguments: argparse.Namespace) -> None:
    engine = Engine.load(arguments.models, device=arguments.device)
    network = Classifier.load(arguments.classifier).to(engine.device)
    evaluation = evaluate.Evaluation(engine, network, evaluate.cases(engine, arguments.prompts))
    table = evaluation.report(held_out_accuracies(arguments.workdir, network))
    print(table)
    evaluate.write_into(arguments.card, table)


def _evaluate_edits(arguments: argparse.Namespace) -> None:
    engine = Engine.load(arguments.models, device=arguments.device)
    network = Classifier.load(arguments.classifier).to(engine.device)
    print(evaluate_edits.report(engine, network, arguments.images, arguments.workdir))


def _evaluate_enlarging(arguments: argparse.Namespace) -> None:
    engine = Engine.load(arguments.models, device=arguments.device)
    print(evaluate_enlarging.report(engine, arguments.models, arguments.images, arguments.steps))


def _evaluate_modes(arguments: argparse.Namespace) -> None:
    network = Classifier.load(arguments.classifier)
    for line in evaluate_modes.report(arguments.models, network, arguments.modes, arguments.prompts):
        print(line, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m inference.miniature", description=__doc__)
    stages = parser.add_subparsers(required=True, metavar="STAGE")
    for name, stage, what, steps in (
        ("data", _data, "generate the training images (needs Node.js)", None),
        ("tokenizers", _tokenizers, "make the two tokenizers", None),
        ("vae", _vae, "train the VAE and encode the images with it", 6000),
        ("decoder", _decoder, "train the VAE's decoder on, for small details", 4000),
        ("restore", _restore, "instead of the last three: continue from the bundled files", None),
        ("train", _train, "train transformer, adapter and Qwen3 together", 5000),
        ("distill", _distill, "distil the turbo LoRA", 600),
        ("classifier", _classifier, "train the classifier", 2500),
        ("export", _export, "write the files of ComfyUI's layout", None),
        ("evaluate", _evaluate, "measure, and write the table into the model card", None),
        ("evaluate-modes", _evaluate_modes, "compare fast mode, turbo and number formats with the usual images", None),
        ("evaluate-edits", _evaluate_edits, "measure redrawing a part and extending", None),
        ("evaluate-enlarging", _evaluate_enlarging, "measure enlarging in tiles: seams, memory", 24),
    ):
        command = stages.add_parser(
            name, help=what, description=what, formatter_class=argparse.ArgumentDefaultsHelpFormatter
        )
        command.set_defaults(stage=stage)
        command.add_argument("--workdir", type=Path, default=Path("runs/miniature"), help="data, checkpoints and logs")
        command.add_argument("--device", default="auto", help="auto, cpu, cuda")
        if steps:
            command.add_argument("--steps", type=int, default=steps, help="how long to train, or of each image")
        if name in ("vae", "train"):
            command.add_argument("--peak", type=float, default=1.0, help="learning rate factor; 0.3 after restore")
        if name in ("train", "distill"):
            command.add_argument("--batch", type=int, default=64, help="captions per step; more for a GPU")
        if name in ("data", "export"):
            command.add_argument("--size", type=int, choices=NATIVE_SIZES, default=96, help="native side in pixels")
        if name in ("restore", "export", "evaluate", "evaluate-edits", "evaluate-enlarging", "evaluate-modes"):
            command.add_argument("--models", type=Path, default=MODELS, help="ComfyUI's `models` folder")
        if name in ("classifier", "evaluate", "evaluate-edits", "evaluate-modes"):
            command.add_argument("--classifier", type=Path, default=CLASSIFIER, help="the classifier's weights")
        if name == "evaluate-edits":
            command.add_argument("--images", type=int, default=128, help="how many images of each kind")
        if name == "evaluate-enlarging":
            command.add_argument("--images", type=int, default=16, help="how many images")
        if name == "evaluate-modes":
            command.add_argument("--prompts", type=int, default=256, help="how many images to compare")
            command.add_argument("--modes", nargs="+", choices=evaluate_modes.MODES, default=["fast", "turbo"])
        if name == "evaluate":
            command.add_argument("--prompts", type=int, default=256, help="how many images to evaluate")
            command.add_argument("--card", type=Path, default=MODEL_CARD, help="file that the table is written to")
    return parser
