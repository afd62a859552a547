"""`inference.startup.garbage`."""

import gc

import pytest

from inference.startup.garbage import without_garbage_collection


@pytest.fixture(autouse=True)
def unfrozen():
    yield
    gc.unfreeze()


def test_nothing_is_collected_meanwhile_and_what_was_made_is_never_looked_at_again() -> None:
    before = gc.get_freeze_count()
    with without_garbage_collection():
        assert not gc.isenabled()
        made = [[] for _ in range(1000)]
    assert gc.isenabled()
    assert gc.get_freeze_count() >= before + len(made)


def test_it_collects_again_after_an_import_that_failed() -> None:
    with pytest.raises(ImportError), without_garbage_collection():
        raise ImportError("no such module")
    assert gc.isenabled()
