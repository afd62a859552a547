"""Own defaults, presets and drafts."""

import asyncio

import pytest

from storage.preferences import DRAFT_LIFETIME, MAX_PRESETS, TooManyPresets
from tests.storage.requests import ALICE, BOB


async def test_changes_of_single_defaults_leave_the_others_as_they_are(database):
    await database.preferences.change_defaults(ALICE, {"steps": 30, "sampler": "er_sde"})
    await database.preferences.change_defaults(ALICE, {"steps": None, "count": 2, "turbo": False})
    assert await database.preferences.defaults(ALICE) == {"sampler": "er_sde", "count": 2, "turbo": False}
    assert await database.preferences.defaults(BOB) == {}
    await database.preferences.change_defaults(ALICE, dict.fromkeys(("sampler", "count", "turbo", "artist")))
    assert await database.preferences.defaults(ALICE) == {}


async def test_changes_at_the_same_time_do_not_undo_each_other(database):
    names = [f"option {number}" for number in range(12)]
    await asyncio.gather(*(database.preferences.change_defaults(ALICE, {name: 1}) for name in names))
    assert await database.preferences.defaults(ALICE) == dict.fromkeys(names, 1)


async def test_presets_are_saved_replaced_found_and_deleted_by_name(database):
    await database.preferences.save_preset(ALICE, "portrait", {"aspect": "2:3"})
    await database.preferences.save_preset(ALICE, "夜景", {"steps": 40})
    await database.preferences.save_preset(ALICE, "portrait", {"aspect": "3:4"})
    assert await database.preferences.presets(ALICE) == {"portrait": {"aspect": "3:4"}, "夜景": {"steps": 40}}
    assert await database.preferences.preset(ALICE, "portrait") == {"aspect": "3:4"}
    assert await database.preferences.preset(BOB, "portrait") is None
    assert await database.preferences.delete_preset(ALICE, "portrait")
    assert not await database.preferences.delete_preset(ALICE, "portrait")


async def test_there_are_never_too_many_presets_even_when_saved_at_once(database):
    names = [f"preset {number:02}" for number in range(MAX_PRESETS + 3)]
    saved = await asyncio.gather(
        *(database.preferences.save_preset(ALICE, name, {"name": name}) for name in names), return_exceptions=True
    )
    assert sum(isinstance(outcome, TooManyPresets) for outcome in saved) == 3
    kept = await database.preferences.presets(ALICE)
    assert len(kept) == MAX_PRESETS
    await database.preferences.save_preset(ALICE, next(iter(kept)), {"replaced": True})
    with pytest.raises(TooManyPresets, match="delete one before saving “one more”"):
        await database.preferences.save_preset(ALICE, "one more", {})


async def test_only_the_newest_drafts_of_a_day_are_kept_and_only_for_their_user(database, clock):
    ids = [await database.preferences.save_draft(ALICE, "form", {"name": str(number)}) for number in range(7)]
    other = await database.preferences.save_draft(BOB, "form", {})
    found = [await database.preferences.draft(ALICE, draft_id) for draft_id in ids]
    assert [draft.fields["name"] for draft in found if draft is not None] == ["2", "3", "4", "5", "6"]
    assert await database.preferences.draft(BOB, ids[-1]) is None
    clock.turn(DRAFT_LIFETIME)
    assert await database.preferences.draft(ALICE, ids[-1]) is None
    await database.privacy.forget_older_than()
    assert (await database.privacy.export(BOB))["drafts"] == []
    assert other > ids[-1]


async def test_drafts_of_one_form_do_not_take_the_place_of_anothers(database):
    first = await database.preferences.save_draft(ALICE, "form", {"name": "first"})
    for _ in range(7):
        await database.preferences.save_draft(ALICE, "another", {})
    assert await database.preferences.draft(ALICE, first) is not None
