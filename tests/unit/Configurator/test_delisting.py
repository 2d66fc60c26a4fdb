"""PRC-6: a market is taken off with notice, and settles at its last good price, which nobody chose."""

from __future__ import annotations

import pytest

from plimsoll import slots
from plimsoll.formulas import FAILED, MAX_UINT
from plimsoll.fuzz.system import System
from plimsoll.model import NOWHERE
from plimsoll.slots import WAD
from tests.utils.governed import (
    BASE,
    DAY,
    HOUR,
    NOT_OWNER,
    PRICE,
    do,
    governed,
    names,
    opened,
    ramp,
    refused,
    terms,
    wait,
    walk,
)


def delisted(size: int = 10 * WAD) -> System:
    """A market with a position and three days' notice."""
    system = opened(size)
    assert do(system, "delist", "owner", 0, 3 * DAY).ok
    return system


def leg(system: System):
    """The market, and alice's position in it."""
    return system.clearinghouse.view("leg", system.address("alice"), 0)


# ------------------------------------------------------------------ the notice


@pytest.mark.parametrize("duration", [3 * DAY, 30 * DAY])
def test_delist_market__notice__only_reducing_from_now_on(duration):
    system = opened()
    before = terms(system)
    outcome = do(system, "delist", "owner", 0, duration)
    told = ["MarketMoved", "MarketConfigured", "MarketReconfigured", "MarketDelisted"]
    assert names(outcome) == told
    assert outcome.events[-1].args == (0, system.chain.now + duration)
    assert system.configurator.view("settles_at", 0) == system.chain.now + duration
    assert terms(system) == before._replace(reduce_only=True)
    assert do(system, "trade", "alice", "alice", 0, WAD).reason == "market: reduce only"
    assert do(system, "trade", "alice", "alice", 0, -WAD).ok


@pytest.mark.parametrize(
    ("duration", "reason"),
    [
        (0, "configurator: notice too short"),
        (3 * DAY - 1, "configurator: notice too short"),
        (30 * DAY + 1, "configurator: notice too long"),
        (MAX_UINT, "configurator: notice too long"),
    ],
)
def test_delist_market__too_short_or_too_long__refused(duration, reason):
    system = opened()
    assert refused(system, "delist", "owner", 0, duration) == reason
    assert refused(system, "delist", "owner", 0, 3 * DAY) is None


@pytest.mark.parametrize("sender", ["keeper", "mallory", "stranger"])
def test_delist_market__by_anybody_but_the_owner__refused(sender):
    system = opened()
    assert refused(system, "delist", sender, 0, 3 * DAY) == NOT_OWNER


def test_delist_market__that_is_not_there__refused():
    system = governed()
    for market in (1, 128, MAX_UINT):
        assert refused(system, "delist", "owner", market, 3 * DAY) == "market: unknown"
        assert refused(system, "settle_market", "owner", market) == "market: unknown"


def test_delist_market__then_everything_else__refused():
    """There is no way back, and no way to put the day off."""
    system = delisted()
    for op in (
        ["delist", "owner", 0, 30 * DAY],
        ["configure", "owner", 0, 0, {}],
        ["configure", "owner", 0, 0, {"reduce_only": True}],
        ["ramp", "owner", 0, 0, {}, 3 * DAY],
        ["pause", "keeper", 0, HOUR],
        ["restrict", "keeper", 0, 0, 0, True],
    ):
        assert refused(system, *op) == "configurator: delisted", op
    assert do(system, "list", "owner", "M0", 0, {}).reason == "configurator: name taken"
    assert do(system, "list", "owner", "M1", 0, {}).ok
    assert do(system, "configure", "owner", 1, 0, {"im_ppm": 60_000}).ok


def test_delist_market__while_a_ramp_runs__ends_it_where_it_is():
    system = opened()
    assert ramp(system, {"mm_ppm": 30_000}).ok
    now = walk(system, HOUR)
    assert names(do(system, "delist", "owner", 0, 3 * DAY))[0] == "RampEnded"
    wait(system, HOUR)
    assert refused(system, "walk", "mallory", 0) == "configurator: no ramp"
    assert terms(system) == now._replace(reduce_only=True)


def test_delist_market__dead_feed__goes_through_open_or_not():
    for system in (governed(), opened()):
        do(system, "fault", 0, "revert")
        assert do(system, "delist", "owner", 0, 3 * DAY).ok


# ------------------------------------------------------------------ the day


def test_settle_market__before_its_time__refused_to_the_second():
    system = opened()
    for sender in ("owner", "keeper", "mallory"):
        assert refused(system, "settle_market", sender, 0) == "configurator: not yet"
    do(system, "delist", "owner", 0, 3 * DAY)
    wait(system, 3 * DAY - 1)
    for sender in ("owner", "keeper", "mallory"):
        assert refused(system, "settle_market", sender, 0) == "configurator: not yet"
    wait(system, 1)
    assert refused(system, "settle_market", "stranger", 0) is None


def test_settle_market__live_feed__its_price_of_now_for_good_and_no_terms_but_the_scale():
    system = delisted()
    wait(system, 3 * DAY, answer=PRICE * 11 // 10)
    before = leg(system)
    outcome = do(system, "settle_market", "stranger", 0)
    assert names(outcome) == ["MarketMoved", "MarketConfigured", "MarketSettled"]
    assert outcome.events[-1].args == (0, 110 * WAD)
    t0, t1, t2, a, _ = system.clearinghouse.view("market_words", 0)
    exponent = slots.bound_exponent(WAD, 10_000 * WAD)
    assert t0 == slots.SETTLED << 185
    assert slots.unpack_terms(t0, t1, t2) == slots.Unpacked(
        feed=NOWHERE,
        skew_scale=BASE["skew_scale"],
        min_price=WAD,
        max_price=10_000 * WAD,
        feed_exponent=0,
        status=slots.SETTLED,
        **dict.fromkeys(
            set(slots.Unpacked._fields)
            - {"feed", "skew_scale", "min_price", "max_price", "feed_exponent", "status"},
            0,
        ),
    )
    assert slots.take(t1, 188, 5) == exponent
    assert t2 == 0
    assert slots.unpack_state_a(a).last_price == 110 * WAD
    after = leg(system)
    assert (after[5], after[6]) == (110 * WAD, FAILED)
    assert (after[3], after[4], after[7]) == (before[3], before[4], before[7])
    now = terms(system)
    assert (now.feed, now.max_age, now.reduce_only) == (NOWHERE, 0, True)
    kept = {"min_price", "max_price", "skew_scale", "reduce_only", "feed"}
    assert {getattr(now, f) for f in set(now._fields) - kept} == {0}


def test_settle_market__afterwards__price_and_funding_stand_still():
    system = delisted(9_000 * WAD)
    wait(system, 3 * DAY)
    do(system, "settle_market", "mallory", 0)
    settled = leg(system)
    assert settled[7] != 0  # funding had been running
    for seconds, answer in ((1, PRICE * 2), (HOUR, PRICE // 2), (365 * DAY, PRICE * 3)):
        wait(system, seconds, answer=answer)
        assert do(system, "poke", "keeper", 0).reason == "prices: feed failed"
        assert leg(system)[3:8] == settled[3:8]


def test_settle_market__feed_dead_by_then__a_week_later_at_the_last_good_price():
    """Nobody's choice: what was stored last, or the feed's own answer if that is newer."""
    system = delisted()
    wait(system, DAY, answer=PRICE * 12 // 10)
    assert do(system, "poke", "keeper", 0).ok
    wait(system, 2 * DAY, answer=PRICE * 2)
    do(system, "fault", 0, "revert")
    wait(system, 7 * DAY - 1, answer=None)
    assert refused(system, "settle_market", "mallory", 0) == "configurator: not yet"
    wait(system, 1, answer=None)
    outcome = do(system, "settle_market", "mallory", 0)
    assert outcome.events[-1].args == (0, 120 * WAD)


@pytest.mark.parametrize(("size", "against"), [(10 * WAD, -10 * WAD), (-10 * WAD, 0)])
def test_settle_market__feed_dead__waits_for_longs_without_a_skew_and_for_shorts_alone(
    size, against
):
    system = opened(size)
    if against:
        do(system, "mint", "bob", 10**12)
        do(system, "deposit", "bob", "bob", "token", 10**12)
        assert do(system, "trade", "bob", "bob", 0, against).ok
    state = leg(system)
    assert (state[10] == 0, state[11] == 0) == ((True, False) if against else (False, True))
    assert do(system, "delist", "owner", 0, 3 * DAY).ok
    wait(system, 3 * DAY)
    do(system, "fault", 0, "revert")
    assert refused(system, "settle_market", "mallory", 0) == "configurator: not yet"
    wait(system, 7 * DAY, answer=None)
    assert do(system, "settle_market", "mallory", 0).ok


def test_settle_market__feed_dead_and_nobody_in_it__at_once():
    system = delisted()
    size = leg(system)[3]
    do(system, "trade", "alice", "alice", 0, -size)
    wait(system, 3 * DAY)
    do(system, "fault", 0, "revert")
    assert do(system, "settle_market", "mallory", 0).ok


def test_settle_market__stale_by_then__a_week_later_at_the_feeds_own_last_answer():
    system = delisted()
    wait(system, DAY, answer=PRICE * 12 // 10)
    wait(system, 9 * DAY, answer=None)
    outcome = do(system, "settle_market", "mallory", 0)
    assert outcome.events[-1].args == (0, 120 * WAD)


def test_settle_market__once_more_or_anything_else__refused():
    system = delisted()
    wait(system, 3 * DAY)
    do(system, "settle_market", "mallory", 0)
    for sender in ("owner", "mallory"):
        assert refused(system, "settle_market", sender, 0) == "configurator: settled"
    for op in (
        ["delist", "owner", 0, 3 * DAY],
        ["configure", "owner", 0, 0, {}],
        ["ramp", "owner", 0, 0, {}, 3 * DAY],
        ["pause", "keeper", 0, HOUR],
        ["restrict", "keeper", 0, 0, 0, True],
    ):
        assert refused(system, *op) == "configurator: delisted", op
    assert refused(system, "walk", "mallory", 0) == "configurator: no ramp"


def test_settle_market__paused__the_pause_is_over():
    system = opened()
    do(system, "pause", "keeper", 0, 7 * DAY)
    do(system, "delist", "owner", 0, 3 * DAY)
    wait(system, 3 * DAY)
    do(system, "settle_market", "mallory", 0)
    assert system.clearinghouse.view("market_words", 0)[2] == 0


def test_settle_market__empty_market__settles_too():
    system = governed()
    do(system, "delist", "owner", 0, 3 * DAY)
    wait(system, 3 * DAY)
    assert do(system, "settle_market", "mallory", 0).events[-1].args == (0, 100 * WAD)


def test_settle_market__by_the_backstop__at_any_time_without_notice():
    """A global settlement: whoever the Clearinghouse says is its backstop. Here it is one without code,
    as the engine takes no transaction from a contract."""
    pyrevm = pytest.importorskip("pyrevm")
    system = opened()
    backstop = system.clearinghouse.view("settings")[10]
    system.chain.evm.insert_account_info(backstop, pyrevm.AccountInfo())
    assert ramp(system, {"mm_ppm": 30_000}).ok
    outcome = do(system, "settle_market", backstop, 0)
    told = ["RampEnded", "MarketMoved", "MarketConfigured", "MarketSettled"]
    assert names(outcome) == told
    assert system.configurator.view("settles_at", 0) == system.chain.now
    assert refused(system, "configure", "owner", 0, 0, {}) == "configurator: delisted"
    assert refused(system, "settle_market", backstop, 0) == "configurator: settled"
