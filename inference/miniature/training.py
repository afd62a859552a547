"""What all training stages share: the loop, its learning rate, its checkpoints.

A step's batch and noise depend only on the step's number, and a checkpoint holds everything else, so a run that was
interrupted continues from its last checkpoint as if nothing had happened.
"""

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel
from tqdm import tqdm

SAVE_INTERVAL = 120

TensorList = tuple[Tensor, ...] | list[Tensor]


@dataclass(frozen=True)
class Schedule:
    """A learning rate that rises for `warmup` steps to `peak`, stays, and falls to zero in the last part of `steps`.

    Until the fall begins, a run can be restarted with another number of steps. Use a low peak for weights that are
    already trained.
    """

    steps: int
    warmup: int = 150
    falling: float = 0.4
    peak: float = 1.0

    def factor(self, step: int) -> float:
        """The factor for the optimizers' learning rates at `step`, 0 to `peak`."""
        rise = (step + 1) / self.warmup
        fall = (self.steps - step) / (self.falling * self.steps)
        return self.peak * min(1.0, rise, fall)


class Run:
    """A model in training: its weights, their running average, its optimizers, and the step it is at."""

    def __init__(
        self,
        path: Path,
        model: nn.Module,
        optimizers: Sequence[torch.optim.Optimizer],
        schedule: Schedule,
        averaging: float = 0.999,
    ) -> None:
        self.path = path
        self.model = model
        self.optimizers = list(optimizers)
        self.schedule = schedule
        self.average = AveragedModel(model, multi_avg_fn=_moving_average(averaging))
        self.step = 0
        self._learning_rates = [[group["lr"] for group in optimizer.param_groups] for optimizer in self.optimizers]
        if path.exists():
            self._restore(torch.load(path, map_location=next(model.parameters()).device))

    def fit(self, loss: Callable[[int], Tensor], validate: Callable[[nn.Module], dict[str, Any]]) -> None:
        """Trains to the schedule's end. `loss(step)` is minimised; `validate` measures the averaged weights.

        The run is saved every two minutes; each time, the result of `validate` is added to a log beside the checkpoint.
        """
        saved = time.monotonic()
        with tqdm(total=self.schedule.steps, initial=self.step, desc=self.path.stem, mininterval=10) as bar:
            recent = 0.0
            while self.step < self.schedule.steps:
                recent += 0.01 * (self.advance(loss) - recent) if recent else self.advance(loss)
                bar.update()
                bar.set_postfix(loss=f"{recent:.4f}", refresh=False)
                if self.step == self.schedule.steps or time.monotonic() - saved > SAVE_INTERVAL:
                    self.save()
                    self._log({"step": self.step, "loss": round(recent, 5)} | validate(self.average.module))
                    saved = time.monotonic()

    def advance(self, loss: Callable[[int], Tensor]) -> float:
        """One step; returns its loss."""
        factor = self.schedule.factor(self.step)
        for optimizer, learning_rates in zip(self.optimizers, self._learning_rates, strict=True):
            for group, learning_rate in zip(optimizer.param_groups, learning_rates, strict=True):
                group["lr"] = learning_rate * factor
        self.model.train()
        value = loss(self.step)
        self.model.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        for optimizer in self.optimizers:
            optimizer.step()
        self.average.update_parameters(self.model)
        self.step += 1
        return float(value.detach())

    def save(self) -> None:
        part = self.path.with_suffix(".part")
        state = {
            "step": self.step,
            "model": self.model.state_dict(),
            "average": self.average.state_dict(),
            "optimizers": [optimizer.state_dict() for optimizer in self.optimizers],
        }
        torch.save(state, part)
        part.rename(self.path)

    def _restore(self, state: dict[str, Any]) -> None:
        self.step = state["step"]
        self.model.load_state_dict(state["model"])
        self.average.load_state_dict(state["average"])
        for optimizer, saved in zip(self.optimizers, state["optimizers"], strict=True):
            optimizer.load_state_dict(saved)

    def _log(self, entry: dict[str, Any]) -> None:
        with self.path.with_suffix(".log").open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")


def _moving_average(decay: float) -> Callable[[TensorList, TensorList, Tensor | int], None]:
    """An exponential moving average that forgets faster at first, so that untrained weights do not stay in it."""

    @torch.no_grad()
    def update(averaged: TensorList, current: TensorList, count: Tensor | int) -> None:
        kept = min(decay, (1 + float(count)) / (10 + float(count)))
        torch._foreach_lerp_(averaged, current, 1 - kept)

    return update


def averaged_weights(path: Path) -> dict[str, Tensor]:
    """The averaged weights of a run.

    Raises:
        FileNotFoundError: its stage has not been run in this work folder.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing: run the {path.stem} stage first.")
    average = torch.load(path, map_location="cpu")["average"]
    return {key.removeprefix("module."): value for key, value in average.items() if key.startswith("module.")}


def choose_device(name: str) -> torch.device:
    """`auto` is the first CUDA device if there is one, and otherwise the CPU."""
    return torch.device(("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name)


def mixed_precision(device: torch.device) -> torch.autocast:
    return torch.autocast(device.type, dtype=torch.bfloat16)
