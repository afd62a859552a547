"""What fits on a card: counted from the released model's sizes, and as docs/operating.md says it."""

from argparse import Namespace
from pathlib import Path

import pytest

from bot.cli.doctor import doctor
from inference.benchmark.fit import FULL_QWEN, GIB, ModelWeights, advice, choose, table
from inference.networks.precision import PRECISIONS
from inference.networks.qwen import Qwen
from inference.networks.structure import shapes_alone
from tests.golden import FULL_SIZE_KEYS

CARDS = (6.0, 8.0, 12.0, 16.0, 24.0)
DOCS = Path(__file__).parents[3] / "docs" / "operating.md"


def test_the_docs_have_the_commands_table(capsys: pytest.CaptureFixture[str]) -> None:
    doctor(Namespace(memory=list(CARDS)))
    printed = capsys.readouterr().out.strip()
    assert printed == table(CARDS)
    assert printed in DOCS.read_text("utf-8")


def test_the_text_encoder_that_is_counted_is_the_released_one() -> None:
    with shapes_alone():
        counted = {name: list(weight.shape) for name, weight in Qwen(FULL_QWEN).named_parameters()}
    released = next(shapes for shapes in FULL_SIZE_KEYS.values() if any("embed_tokens" in name for name in shapes))
    prefix = next(name for name in released if name.endswith("embed_tokens.weight")).removesuffix("embed_tokens.weight")
    assert counted == {name.removeprefix(prefix): shape for name, shape in released.items() if "lm_head" not in name}


def test_less_is_needed_in_8_bits_where_parts_wait_and_for_fewer_images() -> None:
    model = ModelWeights()
    sixteen, eight = PRECISIONS["bfloat16"], PRECISIONS["float8"]
    assert model.needed(eight, False) < 0.8 * model.needed(sixteen, False)
    assert model.needed(sixteen, True) < model.needed(sixteen, False) < model.needed(sixteen, False, images=2)
    assert model.needed(sixteen, False) < model.needed(sixteen, False, fast=True)


def test_a_larger_card_never_gets_a_worse_choice() -> None:
    order = [(dtype, waiting) for dtype in ("bfloat16", "float8") for waiting in (False, True)]
    found = [choose(int(gigabytes * GIB / 2)) for gigabytes in range(1, 49)]
    assert found[0] is None and found[-1] is not None
    ranks = [order.index((choice.dtype, choice.waiting)) if choice else len(order) for choice in found]
    assert ranks == sorted(ranks, reverse=True)
    for choice, half_gigabytes in zip(found, range(1, 49), strict=True):
        if choice is not None:
            assert (
                ModelWeights().needed(PRECISIONS[choice.dtype], choice.waiting, choice.images)
                <= half_gigabytes * GIB / 2
            )


def test_doctor_says_what_to_choose_on_a_card() -> None:
    assert "ANIMA_DTYPE=bfloat16" in advice("cuda:0", 8 * GIB)
    assert "ANIMA_DTYPE=float8" in advice("cuda:0", 6 * GIB)
    assert "too small" in advice("cuda:0", 2 * GIB)
