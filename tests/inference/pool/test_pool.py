"""What happens to models as others are wanted, on a device and a main memory of known sizes."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from inference.pool.pool import CPU, ModelPool
from inference.request import CheckpointError, OutOfMemory

#: Never used; only told apart from the CPU.
GPU = torch.device("cuda")


class Machine:
    """A device and a main memory that hold so many bytes, and the models in them."""

    def __init__(self, device: int, memory: int) -> None:
        self.room = {"cuda": device, "cpu": memory}
        self.models: list[FakeModel] = []
        self.events: list[str] = []

    def free(self, device: torch.device) -> int:
        return self.room[device.type] - sum(model.size for model in self.models if model.place == device.type)

    def load(self, name: str, size: int, place: str = "cuda") -> FakeModel:
        self.events.append(f"load {name}")
        return FakeModel(self, name, size, place)


class FakeModel:
    def __init__(self, machine: Machine, name: str, size: int, place: str) -> None:
        self.machine, self.name, self.size, self.place = machine, name, size, place
        if machine.free(torch.device(place)) < size:
            raise torch.OutOfMemoryError
        machine.models.append(self)

    def move_to(self, device: torch.device) -> None:
        if self.machine.free(device) < self.size:
            raise torch.OutOfMemoryError
        self.place = device.type
        self.machine.events.append(f"{self.name} to {device.type}")

    def release(self) -> None:
        self.machine.models.remove(self)
        self.machine.events.append(f"drop {self.name}")


@pytest.fixture(autouse=True)
def no_cuda(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: None)


Use = Callable[..., FakeModel]


def pool_on(machine: Machine, device: torch.device = GPU) -> tuple[ModelPool[FakeModel], Use]:
    pool = ModelPool[FakeModel](device, machine.free)

    def use(name: str, size: int = 4, needed: int = 0) -> FakeModel:
        load = lambda: machine.load(name, size, device.type)  # noqa: E731
        return pool.use(name, size, needed, load, lambda: machine.events.append("loading"))

    return pool, use


def test_models_that_fit_stay_and_cost_nothing_to_use_again() -> None:
    machine = Machine(device=8, memory=8)
    pool, use = pool_on(machine)
    first = use("a")
    use("b")
    machine.events.clear()
    assert use("a") is first
    assert machine.events == []
    assert pool.loaded == ("a", "b")


def test_the_least_recently_used_goes_to_main_memory_and_comes_back_from_there() -> None:
    machine = Machine(device=8, memory=8)
    pool, use = pool_on(machine)
    for name in "abac":
        use(name)
    assert (pool.loaded, pool.in_memory) == (("c", "a"), ("b",))
    machine.events.clear()
    use("b")
    assert machine.events == ["loading", "a to cpu", "b to cuda"]


def test_models_that_main_memory_cannot_hold_are_read_from_their_files_again() -> None:
    machine = Machine(device=4, memory=4)
    pool, use = pool_on(machine)
    for name in "abc":
        use(name)
    assert (pool.loaded, pool.in_memory) == (("c",), ("b",))
    machine.events.clear()
    use("a")
    assert "load a" in machine.events
    assert "drop b" in machine.events


def test_on_a_cpu_models_that_do_not_fit_are_dropped() -> None:
    machine = Machine(device=0, memory=8)
    pool, use = pool_on(machine, CPU)
    for name in "abc":
        use(name)
    assert (pool.loaded, pool.in_memory) == (("c", "b"), ())
    assert "drop a" in machine.events


def test_on_a_cpu_a_dropped_model_does_not_stay_as_one_in_main_memory() -> None:
    machine = Machine(device=0, memory=8)
    pool, use = pool_on(machine, CPU)
    use("small", 1)
    use("b")
    use("c")  # `small` would still fit if the two places were counted apart
    assert (pool.loaded, pool.in_memory) == (("c", "b"), ())


def test_room_is_left_for_generating() -> None:
    machine = Machine(device=8, memory=8)
    pool, use = pool_on(machine)
    use("a")
    use("b", needed=1)
    assert (pool.loaded, pool.in_memory) == (("b",), ("a",))
    use("a")
    assert pool.loaded == ("a", "b")
    use("a", needed=4)  # a larger image with the same model
    assert pool.loaded == ("a",)


def test_other_models_leave_when_the_memory_turns_out_to_be_too_small() -> None:
    machine = Machine(device=8, memory=8)
    pool, use = pool_on(machine)
    use("a")
    use("b")
    assert pool.release_idle("b")
    assert (pool.loaded, pool.in_memory) == (("b",), ("a",))
    assert not pool.release_idle("b")


def test_a_model_that_cannot_be_loaded_leaves_the_others_usable() -> None:
    machine = Machine(device=8, memory=8)
    pool, use = pool_on(machine)
    first = use("a")

    def fails() -> FakeModel:
        raise CheckpointError("damaged")

    with pytest.raises(CheckpointError):
        pool.use("broken", 4, 0, fails, lambda: None)
    assert pool.loaded == ("a",)
    with pytest.raises(OutOfMemory, match="does not have enough memory for the model huge"):
        use("huge", 9)
    assert use("a") is first


def test_a_dropped_model_is_loaded_again() -> None:
    machine = Machine(device=8, memory=8)
    pool, use = pool_on(machine)
    first = use("a")
    pool.drop("a")
    pool.drop("none")
    assert pool.loaded == ()
    assert use("a") is not first


@given(
    st.lists(st.tuples(st.sampled_from("abcde"), st.integers(0, 3)), max_size=30),
    st.integers(4, 20),
    st.integers(0, 20),
)
def test_the_requested_model_is_on_the_device_and_nothing_is_in_two_places(
    wanted: list[tuple[str, int]], device: int, memory: int
) -> None:
    machine = Machine(device, memory)
    pool, use = pool_on(machine)
    sizes = dict(zip("abcde", (1, 2, 3, 4, 4), strict=True))
    for name, needed in wanted:
        model = use(name, sizes[name], needed)
        assert (model.name, model.place, pool.loaded[0]) == (name, "cuda", name)
        assert sorted(each.name for each in machine.models) == sorted((*pool.loaded, *pool.in_memory))
        assert {each.name for each in machine.models if each.place == "cuda"} == set(pool.loaded)
        assert machine.free(GPU) >= 0
        assert machine.free(CPU) >= 0
