"""Aliases of versions: set, compared, taken away, rolled back, and their history."""

from __future__ import annotations

import asyncio
import doctest
import itertools
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st
from storing import publish

from norman_protocol.errors import (
    Conflict,
    ModelNotFound,
    NameInvalid,
    RequestInvalid,
    VersionNotFound,
)
from norman_protocol.references import parse_reference
from norman_protocol.rest import ErrorBody
from norman_protocol.signature import Signature
from norman_server.domain.records import AliasChange
from norman_server.registry import aliasing
from norman_server.registry.aliasing import AliasMove, earlier_version


async def make_ready(registry, text, **options):
    record, _ = await publish(registry, "digits", text, **options)
    return await registry.mark_ready(record.id, signature=Signature(), load_s=0.1)


@pytest.fixture
async def three(registry):
    for text in ("1", "2", "3"):
        await make_ready(registry, text)
    return registry


def move(number, alias="production", **changes):
    facts = {"name": "digits", "user": "ada", "why": "", "action": "set", **changes}
    return AliasMove(alias=alias, number=number, **facts)


async def roll_back(registry, alias="active", to=None):
    plan = await registry.plan_rollback("digits", alias, to)
    return await registry.move_alias(
        move(plan.target, alias, action="rollback", expected=plan.before)
    )


async def test_an_alias_leads_to_its_version_and_is_told_with_it(three):
    change = await three.move_alias(move(2, why="better"))
    assert (change.before, change.after, change.changed_by, change.why) == (
        None,
        2,
        "ada",
        "better",
    )
    record = await three.version(parse_reference("Digits@Production"))
    assert (record.number, record.aliases) == (2, ("production",))
    assert (await three.routing("digits")).aliases == {"active": 3, "production": 2}
    page = await three.aliases("digits")
    assert [(item.alias, item.reference, item.why) for item in page.items] == [
        ("active", "digits@3", "ready after its upload"),
        ("production", "digits@2", "better"),
    ]


async def test_history_is_appended_and_read_page_by_page(three):
    for number in (1, 2, 2, 3):
        await three.move_alias(move(number))
    await three.delete_alias("digits", "production", user="bob", why="over")
    seen, cursor = [], None
    while True:
        page = await three.alias_history("DIGITS", "Production", limit=2, cursor=cursor)
        seen += [(item.action, item.before, item.after) for item in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == [("delete", 3, None), ("set", 2, 3), ("set", 1, 2), ("set", None, 1)]
    everything = await three.alias_history("digits", None)
    assert len(everything.items) == 7


async def test_a_move_from_elsewhere_than_expected_is_a_conflict(three):
    await three.move_alias(move(1, expected=0))
    with pytest.raises(Conflict, match=r"digits@production leads to digits@1 now"):
        await three.move_alias(move(2, expected=3))
    with pytest.raises(Conflict, match="leads to digits@1"):
        await three.move_alias(move(2, expected=0))
    await three.delete_alias("digits", "production", user="ada", why="")
    with pytest.raises(Conflict, match="isn't set"):
        await three.move_alias(move(2, expected=1))
    assert len((await three.alias_history("digits", "production")).items) == 2


async def test_of_many_moves_with_one_expectation_one_wins(three):
    moves = [three.move_alias(move(1 + index % 3, expected=0)) for index in range(12)]
    outcomes = await asyncio.gather(*moves, return_exceptions=True)
    assert sum(isinstance(outcome, Conflict) for outcome in outcomes) == 11
    assert len((await three.alias_history("digits", "production")).items) == 1


async def test_a_chain_of_moves_has_no_gap(three):
    await asyncio.gather(*(three.move_alias(move(1 + index % 3)) for index in range(12)))
    items = (await three.alias_history("digits", "production")).items[::-1]
    assert [item.before for item in items[1:]] == [item.after for item in items[:-1]]


async def test_an_unknown_alias_names_the_nearest_and_what_there_is(three):
    await three.move_alias(move(2))
    for failing in (
        three.version(parse_reference("digits@prodution")),
        three.delete_alias("digits", "prodution", user="ada", why=""),
        three.plan_rollback("digits", "prodution", None),
        three.alias_history("digits", "prodution"),
    ):
        with pytest.raises(
            VersionNotFound,
            match=r"Did you mean digits@production\? .*versions 1, 2, 3.*active, production",
        ) as caught:
            await failing
        assert caught.value.nearest == ["production"]


async def test_versions_and_models_that_are_not_there_are_refused(three):
    with pytest.raises(VersionNotFound, match=r"no digits@9"):
        await three.move_alias(move(9))
    with pytest.raises(VersionNotFound):
        await three.move_alias(move(2**70))
    with pytest.raises(ModelNotFound):
        await three.move_alias(move(1, name="digit"))
    with pytest.raises(ModelNotFound):
        await three.versions("digit")
    with pytest.raises(NameInvalid):
        await three.alias_history("digits", "latest")


# --- rolling back -----------------------------------------------------------------------------


async def test_rolling_back_again_and_again_walks_further_back(three):
    assert [(await roll_back(three)).after for _ in range(2)] == [2, 1]
    with pytest.raises(Conflict, match="no other version before"):
        await roll_back(three)
    assert (await three.version(parse_reference("digits"))).number == 1


async def test_a_rollback_is_undone_by_the_alias_and_begins_again_from_there(three):
    await roll_back(three)
    await roll_back(three)
    await three.move_alias(move(3, "active"))
    assert (await roll_back(three)).after == 1


async def test_a_rollback_may_name_its_version(three):
    assert (await roll_back(three, to=1)).after == 1
    with pytest.raises(Conflict):
        await roll_back(three)
    with pytest.raises(VersionNotFound, match=r"no digits@7"):
        await roll_back(three, to=7)


async def test_a_deleted_alias_is_rolled_back_to_where_it_led(three):
    await three.move_alias(move(2))
    await three.delete_alias("digits", "production", user="ada", why="")
    assert (await roll_back(three, "production")).after == 2


async def test_versions_that_cannot_serve_are_passed_over():
    history = [step(1), step(2), step(3), step(4)]
    assert earlier_version(history, {1, 4}) == 1
    assert earlier_version(history, {4}) is None
    assert earlier_version([], {1}) is None


def step(after, action="set"):
    return AliasChange(
        alias="active",
        before=None,
        after=after,
        changed_at=datetime(2031, 1, 1, tzinfo=UTC),
        changed_by="ada",
        reason="",
        action=action,
    )


@given(st.lists(st.integers(1, 6), min_size=1, max_size=30))
def test_walking_back_ends_and_visits_no_step_twice(numbers):
    history = [step(number) for number in numbers]
    walked = 0
    while (target := earlier_version(history, set(range(1, 7)))) is not None:
        history.append(step(target, "rollback"))
        walked += 1
        assert walked < len(numbers)
    changes = sum(one != two for one, two in itertools.pairwise(numbers))
    assert walked == changes


# --- uploads meanwhile ------------------------------------------------------------------------


async def test_a_switch_outranks_an_upload_that_was_begun_before(three):
    fourth, _ = await publish(three, "digits", "4")
    await three.move_alias(move(1, "active"))
    await three.mark_ready(fourth.id, signature=Signature(), load_s=0.1)
    assert (await three.version(parse_reference("digits"))).number == 1


async def test_unsetting_active_outranks_an_upload_that_was_begun_before(three):
    fourth, _ = await publish(three, "digits", "4")
    await three.delete_alias("digits", "active", user="ada", why="")
    ready = await three.mark_ready(fourth.id, signature=Signature(), load_s=0.1)
    assert not ready.active
    fifth = await make_ready(three, "5")
    assert fifth.active


async def test_an_alias_moves_in_the_history_of_its_own_model_only(three):
    record, _ = await publish(three, "faces", "1")
    await three.mark_failed(record.id, ErrorBody(code="load_failed", message="no"))
    with pytest.raises(VersionNotFound):
        await three.alias_history("faces", "active")
    assert (await three.aliases("faces")).items == ()


# --- pages ------------------------------------------------------------------------------------


async def test_every_version_is_on_one_page_newest_first(three):
    await three.move_alias(move(2))
    for limit in (1, 2, 3, 4):
        seen, cursor = [], None
        while True:
            page = await three.versions("digits", limit=limit, cursor=cursor)
            assert len(page.items) <= limit
            seen += [(item.number, item.aliases) for item in page.items]
            cursor = page.next_cursor
            if cursor is None:
                break
        assert seen == [(3, ("active",)), (2, ("production",)), (1, ())]


async def test_every_alias_is_on_one_page_by_name(three):
    for alias in ("b", "a", "ä", "c"):
        await three.move_alias(move(1, alias))
    seen, cursor = [], None
    while True:
        page = await three.aliases("digits", limit=2, cursor=cursor)
        seen += [item.alias for item in page.items]
        cursor = page.next_cursor
        if cursor is None:
            break
    assert seen == ["a", "active", "b", "c", "ä"]


@pytest.mark.parametrize(
    "cursor", ["é", "====", "bmFtZQ", "LTE", "OTk5OTk5OTk5OTk5OTk5OTk5OTk5OTk"]
)
async def test_a_cursor_that_no_page_gave_is_refused(three, cursor):
    with pytest.raises(RequestInvalid):
        await three.versions("digits", cursor=cursor)
    with pytest.raises(RequestInvalid):
        await three.alias_history("digits", "active", cursor=cursor)


@pytest.mark.parametrize("limit", [0, -1, 10**9])
async def test_wild_limits_are_refused(three, limit):
    for ask in (three.versions, three.aliases):
        with pytest.raises(RequestInvalid):
            await ask("digits", limit=limit)
    with pytest.raises(RequestInvalid):
        await three.alias_history("digits", None, limit=limit)


def test_examples_run():
    assert doctest.testmod(aliasing).failed == 0
