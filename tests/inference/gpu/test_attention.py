"""Which kernels a GPU's attention runs on, with stand-ins for those that a GPU has."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
import torch._dynamo
import torch.nn.functional as F
from torch import Tensor
from torch.nn.attention import SDPBackend

import inference.gpu.attention as kernels
from inference import Engine, GenerationRequest
from inference.gpu.attention import attention, kernels_for, working_kernels
from inference.networks.compile import compile_blocks, leave_uncompiled
from tests.golden import MODELS, relative_error

CUDNN, FLASH = SDPBackend.CUDNN_ATTENTION, SDPBackend.FLASH_ATTENTION
EFFICIENT, MATH = SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH
GPU = torch.device("cuda")


@pytest.mark.parametrize(
    ("capability", "broken", "order"),
    [
        ((12, 0), (), (CUDNN, FLASH, EFFICIENT, MATH)),
        ((9, 0), (), (CUDNN, FLASH, EFFICIENT, MATH)),
        ((9, 0), (CUDNN,), (FLASH, EFFICIENT, MATH)),
        ((8, 6), (), (FLASH, EFFICIENT, MATH)),
        ((7, 5), (FLASH,), (EFFICIENT, MATH)),
        ((6, 1), (FLASH, EFFICIENT), (MATH,)),
    ],
)
def test_the_best_kernel_that_works_comes_first(
    capability: tuple[int, int], broken: tuple[SDPBackend, ...], order: tuple[SDPBackend, ...]
) -> None:
    assert working_kernels(capability, lambda kernel: kernel not in broken) == order


@pytest.fixture
def gpu(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[SDPBackend, float]]:
    """A Hopper on the CPU: the kernels that it has, each with the factor by which its results are wrong."""
    there = {CUDNN: 1.0, FLASH: 1.0, EFFICIENT: 1.0, MATH: 1.0}
    chosen: list[list[SDPBackend]] = []
    exact, to = F.scaled_dot_product_attention, Tensor.to

    @contextmanager
    def choose(order: list[SDPBackend], set_priority: bool = False) -> Iterator[None]:
        chosen.append(order)
        yield
        chosen.pop()

    def run(*inputs: Tensor, **settings: object) -> Tensor:
        for kernel in chosen[-1] if chosen else []:
            if kernel in there:
                return there[kernel] * exact(*inputs, **settings)  # type: ignore[arg-type]
        raise RuntimeError("No available kernel. Aborting execution.")

    monkeypatch.setattr(kernels, "sdpa_kernel", choose)
    monkeypatch.setattr(F, "scaled_dot_product_attention", run)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _device: (9, 0))
    monkeypatch.setattr(
        Tensor, "to", lambda tensor, *where, **how: tensor if GPU in where else to(tensor, *where, **how)
    )
    kernels_for.cache_clear()
    yield there
    kernels_for.cache_clear()


def test_every_kernel_is_tried_before_it_is_used(gpu: dict[SDPBackend, float]) -> None:
    assert kernels_for(GPU, torch.bfloat16, 128) == (CUDNN, FLASH, EFFICIENT, MATH)
    kernels_for.cache_clear()
    gpu[CUDNN] = 1.1
    assert kernels_for(GPU, torch.bfloat16, 128) == (FLASH, EFFICIENT, MATH)
    kernels_for.cache_clear()
    del gpu[FLASH]
    gpu[EFFICIENT] = float("nan")
    assert kernels_for(GPU, torch.bfloat16, 128) == (MATH,)


def test_the_cpu_has_no_choice() -> None:
    assert kernels_for(torch.device("cpu"), torch.float32, 128) == ()
    engine = Engine.load(MODELS, device="cpu")
    compile_blocks(engine.transformer, backend="eager")
    assert all(block.self_attn.kernels == () for block in engine.transformer.blocks)  # type: ignore[union-attr]


def test_the_order_is_part_of_what_is_compiled() -> None:
    torch._dynamo.reset()
    before = torch.nn.attention._cur_sdpa_kernel_backends(with_priority=True)
    request = GenerationRequest("1girl", width=64, height=64, steps=2, seed=7)
    plain = Engine.load(MODELS, device="cpu").generate([request])[0].latent
    engine = Engine.load(MODELS, device="cpu")
    graphs: list[str] = []

    def backend(module: torch.fx.GraphModule, _inputs: list[Tensor]) -> object:
        graphs.append(str(module.graph))
        return module.forward

    compile_blocks(engine.transformer, backend=backend)  # type: ignore[arg-type]
    for block in engine.transformer.blocks:
        block.self_attn.kernels = (CUDNN, FLASH, MATH)  # type: ignore[union-attr]
    assert relative_error(engine.generate([request])[0].latent, plain) < 1e-6
    assert graphs
    for graph in graphs:
        chosen, others = graph.index("(CUDNN_ATTENTION,)"), graph.index("scaled_dot_product_attention](")
        assert chosen < graph.index("(FLASH_ATTENTION,)") < others
    assert torch.nn.attention._cur_sdpa_kernel_backends(with_priority=True) == before
    leave_uncompiled(engine.transformer)
    assert all(block.self_attn.kernels == () for block in engine.transformer.blocks)  # type: ignore[union-attr]
    torch._dynamo.reset()


def test_attention_is_what_it_is_in_any_order() -> None:
    inputs = torch.randn(3, 1, 2, 8, 16)
    exact = attention(*inputs, ())  # type: ignore[call-arg]
    assert relative_error(attention(*inputs, (CUDNN, FLASH, MATH)), exact) < 1e-6  # type: ignore[call-arg]
