"""The training loop: resuming, learning rate, log."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from inference.miniature.training import Run, Schedule, averaged_weights


def make_run(path: Path) -> Run:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.SiLU(), nn.Linear(8, 2))
    matrices = [parameter for parameter in model.parameters() if parameter.ndim == 2]
    others = [parameter for parameter in model.parameters() if parameter.ndim != 2]
    optimizers = [torch.optim.Muon(matrices, lr=0.02), torch.optim.AdamW(others, lr=1e-2)]
    return Run(path, model, optimizers, Schedule(steps=20, warmup=4))


def loss_of(run: Run) -> "torch.types.Callable[[int], Tensor]":  # type: ignore[name-defined]
    def loss(step: int) -> Tensor:
        x = torch.randn(16, 4, generator=torch.Generator().manual_seed(step))
        return (run.model(x) - x[:, :2]).square().mean()

    return loss


def test_a_resumed_run_takes_the_very_steps_that_an_unbroken_one_takes(tmp_path: Path) -> None:
    unbroken = make_run(tmp_path / "unbroken.pt")
    expected = [unbroken.advance(loss_of(unbroken)) for _ in range(12)]

    broken = make_run(tmp_path / "broken.pt")
    losses = [broken.advance(loss_of(broken)) for _ in range(7)]
    broken.save()
    resumed = make_run(tmp_path / "broken.pt")
    assert resumed.step == 7
    losses += [resumed.advance(loss_of(resumed)) for _ in range(5)]

    assert losses == expected
    for key, value in unbroken.average.state_dict().items():
        assert torch.equal(value, resumed.average.state_dict()[key]), key


def test_training_lowers_the_loss_and_logs_it(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run.pt")
    before = float(loss_of(run)(99).detach())
    run.fit(loss_of(run), lambda average: {"judged": 1})
    assert float(loss_of(run)(99).detach()) < before
    assert '"judged": 1' in (tmp_path / "run.log").read_text(encoding="utf-8")
    assert averaged_weights(tmp_path / "run.pt").keys() == run.model.state_dict().keys()


def test_the_learning_rate_rises_stays_and_falls() -> None:
    schedule = Schedule(steps=1000, warmup=100, falling=0.4)
    factors = [schedule.factor(step) for step in range(1000)]
    assert factors[0] == pytest.approx(0.01)
    assert factors[100:600] == [1.0] * 500
    assert factors[999] == pytest.approx(1 / 400)
    assert [replace(schedule, peak=0.3).factor(step) for step in (0, 500)] == pytest.approx([0.003, 0.3])


def test_a_stage_that_was_not_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="run the train stage first"):
        averaged_weights(tmp_path / "train.pt")
