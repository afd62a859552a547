"""What the processes of a fake engine are copied from: as `inference.startup.imports`, but without PyTorch."""

import sys
from types import ModuleType

sys.modules["inference.engine"] = ModuleType("inference.engine")

import inference.startup.imports  # noqa: E402, F401, after its place is taken
