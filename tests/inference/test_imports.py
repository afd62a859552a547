"""Importing takes most of the time until a first image: what the CPU's path does not use stays unimported."""

import subprocess
import sys

from tests.golden import MODELS

#: transformers is for a classifier; SciPy and torchsde are for a few samplers and schedulers; the rest is the compiler.
UNUSED = ("transformers", "scipy", "torchsde", "sympy", "torch._dynamo", "torch._inductor", "triton", "ray")

GENERATE = f"""
import sys
from inference import GenerationRequest
from inference.process import load_engine

engine = load_engine({str(MODELS)!r}, "cpu", "float32", None)
image, = engine.generate([GenerationRequest("1girl", "hat", width=64, height=64, steps=2, seed=1)], lambda _: None)
image.png()
print(*(name for name in {UNUSED} if name in sys.modules))
"""


def test_an_image_on_the_cpu_needs_neither_a_compiler_nor_transformers_nor_scipy() -> None:
    run = subprocess.run([sys.executable, "-c", GENERATE], capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout.split()) == (0, []), run.stderr
