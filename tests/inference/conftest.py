import pytest
import torch

from inference import Engine
from inference.startup.preparation import prepare_engines
from tests.golden import MODELS


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Test processes run side by side; PyTorch's own threads would only get in each other's way."""
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def prepared() -> None:
    """Engines' processes are copied from one, as the bot's are, instead of importing PyTorch each."""
    prepare_engines()


@pytest.fixture(scope="session")
def engine() -> Engine:
    return Engine.load(MODELS, device="cpu")
