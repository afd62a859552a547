"""The rule by which models keep their places, as properties."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from inference.pool.placement import Placed, place

SIZES = st.integers(1, 10)
ROOMS = st.integers(-5, 40)


@st.composite
def recent_models(draw: st.DrawFn) -> list[Placed]:
    count = draw(st.integers(1, 7))
    return [Placed(str(number), draw(SIZES), draw(st.booleans())) for number in range(count)]


@given(recent_models(), ROOMS, ROOMS)
def test_no_place_gets_more_than_fits_except_the_requested_model(
    recent: list[Placed], device_room: int, memory_room: int
) -> None:
    size = {model.name: model.size for model in recent}
    found = place(recent, device_room, memory_room)
    assert found.on_device[0] == recent[0].name
    if len(found.on_device) > 1:
        assert sum(size[name] for name in found.on_device) <= device_room
    assert sum(size[name] for name in found.in_memory) <= max(0, memory_room)
    assert not set(found.on_device) & set(found.in_memory)


@given(recent_models(), ROOMS, ROOMS)
def test_the_least_recently_used_leaves_first(recent: list[Placed], device_room: int, memory_room: int) -> None:
    found = place(recent, device_room, memory_room)
    here = [model.name for model in recent[1:] if model.on_device]
    assert list(found.on_device[1:]) == here[: len(found.on_device) - 1]
    elsewhere = [model.name for model in recent[1:] if model.name not in found.on_device]
    assert list(found.in_memory) == elsewhere[: len(found.in_memory)]


@given(recent_models(), ROOMS, ROOMS)
def test_none_leaves_while_it_fits_and_none_comes_unasked(
    recent: list[Placed], device_room: int, memory_room: int
) -> None:
    size = {model.name: model.size for model in recent}
    found = place(recent, device_room, memory_room)
    left = [model for model in recent[1:] if model.on_device and model.name not in found.on_device]
    if left:
        assert sum(size[name] for name in found.on_device) + left[0].size > device_room
    dropped = [model for model in recent[1:] if model.name not in (*found.on_device, *found.in_memory)]
    if dropped:
        assert sum(size[name] for name in found.in_memory) + dropped[0].size > memory_room
    assert all(model.on_device for model in recent[1:] if model.name in found.on_device)


@given(recent_models(), ROOMS, ROOMS, st.integers(0, 10))
def test_more_room_on_the_device_sends_none_away(
    recent: list[Placed], device_room: int, memory_room: int, more: int
) -> None:
    before, after = place(recent, device_room, memory_room), place(recent, device_room + more, memory_room)
    assert set(before.on_device) <= set(after.on_device)
    assert {*before.on_device, *before.in_memory} <= {*after.on_device, *after.in_memory}
