"""GOV-1: the guardian lowers risk, at once, and that is all he can; what he stops begins again by itself.

Contracts beside the model throughout.
"""

from __future__ import annotations

import pytest

from plimsoll import slots
from plimsoll.formulas import MAX_UINT
from plimsoll.fuzz.system import System
from plimsoll.slots import WAD
from tests.utils.backed import CREDIT, Backed, coin
from tests.utils.governed import (
    DAY,
    HOUR,
    NOT_OWNER,
    do,
    everything,
    governed,
    names,
    opened,
    ramp,
    refused,
    terms,
    wait,
    walk,
)

NOT_GUARDIAN = "configurator: guardian only"
WEEK = 7 * DAY
SKEW, INTEREST = 10_000 * WAD, 14_000 * WAD


def paused(system: System, market: int = 0) -> int:
    """[unix s] until when a market is paused, as the Clearinghouse has it."""
    return slots.unpack_terms(*system.clearinghouse.view("market_words", market)[:3]).paused_until


# ------------------------------------------------------------------ who


def test_set_guardian__by_the_owner__he_and_no_longer_the_old_one():
    system = governed()
    outcome = do(system, "guardian", "owner", "bob")
    assert names(outcome) == ["GuardianSet"]
    assert outcome.events[0].args == (system.address("bob"),)
    assert refused(system, "pause", "keeper", 0, HOUR) == NOT_GUARDIAN
    assert refused(system, "pause", "bob", 0, HOUR) is None
    assert do(system, "guardian", "owner", "zero").ok
    assert refused(system, "pause", "bob", 0, HOUR) == NOT_GUARDIAN
    assert refused(system, "pause", "owner", 0, HOUR) is None


@pytest.mark.parametrize("sender", ["keeper", "mallory", "stranger"])
def test_set_guardian__by_anybody_else__refused(sender):
    """Nor does the guardian name his successor."""
    system = governed()
    assert refused(system, "guardian", sender, sender) == NOT_OWNER


@pytest.mark.parametrize(
    "op",
    [
        ["pause", 0, HOUR],
        ["restrict", 0, 0, 0, True],
        ["restrict_coin", 0, 0],
        ["freeze", HOUR],
        ["unfreeze"],
    ],
    ids=lambda op: op[0],
)
def test_guardian__everything_he_can__nobody_but_he_and_the_owner_can(op):
    system = governed()
    name, *args = op
    for sender in ("mallory", "stranger", "alice"):
        assert refused(system, name, sender, *args) == NOT_GUARDIAN


@pytest.mark.parametrize(
    "op",
    [
        ["configure", 0, 0, {}],
        ["list", "another", 0, {}],
        ["ramp", 0, 0, {}, 3 * DAY],
        ["delist", 0, 3 * DAY],
        ["guardian", "keeper"],
        ["configure_credit", {}],
        ["list_coin", "coin0", 0, {}],
        ["configure_coin", 0, 0, {}],
    ],
    ids=lambda op: op[0],
)
def test_guardian__what_is_the_owners__is_not_his(op):
    system = with_a_coin()
    name, *args = op
    assert refused(system, name, "keeper", *args) == NOT_OWNER


# ------------------------------------------------------------------ pauses


@pytest.mark.parametrize("sender", ["keeper", "owner"])
@pytest.mark.parametrize("duration", [1, HOUR, WEEK])
def test_pause_market__by_guardian_or_owner__is_in_the_markets_words(sender, duration):
    system = opened()
    before = terms(system)
    outcome = do(system, "pause", sender, 0, duration)
    until = system.chain.now + duration
    assert names(outcome) == ["MarketMoved", "MarketConfigured", "MarketPaused"]
    assert outcome.events[-1].args == (0, until)
    assert paused(system) == system.configurator.view("paused_until", 0) == until
    assert terms(system) == before


@pytest.mark.parametrize("duration", [0, WEEK + 1, 2**32, MAX_UINT])
def test_pause_market__of_nothing_or_of_more_than_a_week__refused(duration):
    system = opened()
    assert refused(system, "pause", "keeper", 0, duration) == "configurator: pause too long"
    assert refused(system, "pause", "keeper", 0, WEEK) is None


@pytest.mark.parametrize("market", [1, 128, MAX_UINT])
def test_guardian__market_that_is_not_there__refused(market):
    system = governed()
    assert refused(system, "pause", "keeper", market, HOUR) == "market: unknown"
    assert refused(system, "restrict", "keeper", market, 0, 0, True) == "market: unknown"


def test_pause_market__once_more__lasts_as_long_as_the_longer():
    """A shorter one must not lift a longer one."""
    system = opened()
    do(system, "pause", "keeper", 0, DAY)
    until = paused(system)
    do(system, "pause", "keeper", 0, 1)
    assert paused(system) == until
    wait(system, HOUR)
    do(system, "pause", "owner", 0, DAY)
    assert paused(system) == until + HOUR


def test_pause_market__terms_changed_while_it_runs__goes_on():
    system = opened()
    do(system, "pause", "keeper", 0, DAY)
    until = paused(system)
    for op in (
        ["configure", "owner", 0, 0, {"im_ppm": 49_000}],
        ["restrict", "keeper", 0, SKEW // 2, INTEREST // 2, False],
    ):
        assert do(system, *op).ok
        assert paused(system) == until
    assert ramp(system, {"mm_ppm": 30_000}).ok
    walk(system, HOUR)
    assert paused(system) == until
    assert do(system, "delist", "owner", 0, 3 * DAY).ok
    assert paused(system) == until


def test_pause_market__one_of_two__leaves_the_other():
    system = governed()
    assert do(system, "list", "owner", "another", 0, {}).ok
    do(system, "pause", "keeper", 1, DAY)
    assert paused(system, 0) == 0
    assert paused(system, 1) == system.chain.now + DAY


def test_pause_market__dead_feed__goes_through_open_or_not():
    for system in (governed(), opened()):
        do(system, "fault", 0, "revert")
        assert do(system, "pause", "keeper", 0, DAY).ok


# ------------------------------------------------------------------ caps


@pytest.mark.parametrize("sender", ["keeper", "owner"])
def test_restrict_market__lower__in_effect_at_once_and_until_the_owner_changes_it(sender):
    system = opened()
    before = terms(system)
    outcome = do(system, "restrict", sender, 0, SKEW // 2, INTEREST // 2, True)
    after = before._replace(max_skew=SKEW // 2, max_open_interest=INTEREST // 2, reduce_only=True)
    assert names(outcome) == ["MarketMoved", "MarketConfigured", "MarketReconfigured"]
    assert outcome.events[-1].args == (0, after)
    assert terms(system) == after
    wait(system, 30 * DAY)
    assert do(system, "trade", "alice", "alice", 0, WAD).reason == "market: reduce only"
    assert do(system, "trade", "alice", "alice", 0, -WAD).ok
    assert do(system, "configure", "owner", 0, 0, {}).ok
    assert do(system, "trade", "alice", "alice", 0, WAD).reason != "market: reduce only"


@pytest.mark.parametrize(
    ("caps", "reason"),
    [
        ((SKEW + 1, INTEREST, True), "configurator: only lower"),
        ((SKEW, INTEREST + 1, True), "configurator: only lower"),
        ((MAX_UINT, MAX_UINT, True), "configurator: only lower"),
        ((SKEW, INTEREST, False), "configurator: only lower"),
        ((0, 0, False), "configurator: only lower"),
        ((SKEW, SKEW - 1, True), "configurator: max_skew"),
    ],
)
def test_restrict_market__anything_raised__refused_by_guardian_and_owner(caps, reason):
    """That a market only reduces is not his to lift; nor is one cap to be bought with another."""
    system = opened(reduce_only=False)
    assert do(system, "restrict", "keeper", 0, SKEW, INTEREST, True).ok
    for sender in ("keeper", "owner"):
        assert refused(system, "restrict", sender, 0, *caps) == reason
    assert refused(system, "restrict", "keeper", 0, SKEW, SKEW, True) is None


def test_restrict_market__to_nothing_with_open_interest_and_a_dead_feed__goes_through():
    for system in (governed(), opened()):
        do(system, "fault", 0, "burn")
        assert do(system, "restrict", "keeper", 0, 0, 0, True).ok
        assert do(system, "restrict", "keeper", 0, 0, 0, True).ok  # it is there already


def test_restrict_market__while_a_ramp_runs__its_last_step_does_not_undo_it():
    """The target was announced before: it is lowered, too."""
    system = opened()
    assert ramp(system, {"mm_ppm": 30_000, "max_skew": SKEW // 2}).ok
    assert do(system, "restrict", "keeper", 0, SKEW * 8 // 10, INTEREST - WAD, True).ok
    target = system.configurator.view("ramp", 0)[0]
    assert (target[5], target[6], target[16]) == (SKEW // 2, INTEREST - WAD, True)
    assert do(system, "restrict", "keeper", 0, SKEW // 4, INTEREST // 4, True).ok
    for _ in range(72):
        now = walk(system, HOUR)
    assert (now.max_skew, now.max_open_interest, now.reduce_only) == (
        SKEW // 4,
        INTEREST // 4,
        True,
    )
    assert now.mm_ppm == 30_000


def test_restrict_market__caps_alone_while_a_ramp_runs__leaves_its_target_open():
    system = opened()
    assert ramp(system, {"mm_ppm": 30_000}).ok
    assert do(system, "restrict", "keeper", 0, SKEW // 2, INTEREST, False).ok
    assert system.configurator.view("ramp", 0)[0][16] is False


def test_restrict_market__without_a_ramp__begins_none():
    system = opened()
    assert do(system, "restrict", "keeper", 0, 0, 0, True).ok
    assert refused(system, "walk", "keeper", 0) == "configurator: no ramp"


# ------------------------------------------------------------------ a token's cap


def with_a_coin() -> Backed:
    """A market, and a token that stands behind positions."""
    backed = Backed([coin(3_000, 18)], CREDIT)
    assert do(backed, "guardian", "owner", "keeper").ok
    return backed


def test_restrict_collateral__lower__only_the_cap_moves_and_lowered_weights_go_on_settling():
    system = with_a_coin()
    cap = system.configurator.view("collateral_terms", 0)[7]
    lower = {"initial_weight_ppm": 0, "maintenance_weight_ppm": 1}
    assert do(system, "configure_coin", "owner", 0, 0, lower).ok
    do(system, "wait", DAY)
    do(system, "price", len(system.setup.markets), 3_000 * 10**8, 0)
    words = system.clearinghouse.view("token_words", 0)
    outcome = do(system, "restrict_coin", "keeper", 0, cap // 3)
    assert names(outcome) == ["CollateralReconfigured"]
    after = system.clearinghouse.view("token_words", 0)
    assert after[:2] == words[:2]
    assert after[2] == words[2] - cap + cap // 3
    assert system.configurator.view("collateral_terms", 0)[7] == cap // 3


def test_restrict_collateral__raised_or_of_no_token__refused():
    system = with_a_coin()
    cap = system.configurator.view("collateral_terms", 0)[7]
    for sender in ("keeper", "owner"):
        for more in (cap + 1, 2**96, 2**128, MAX_UINT):
            assert refused(system, "restrict_coin", sender, 0, more) == "configurator: only lower"
        for id in (1, 16, MAX_UINT):
            assert refused(system, "restrict_coin", sender, id, 0) == "collateral: unknown"
    assert refused(system, "restrict_coin", "keeper", 0, cap) is None
    assert refused(system, "restrict_coin", "keeper", 0, 0) is None
    assert refused(system, "restrict_coin", "keeper", 0, 1) == "configurator: only lower"


@pytest.mark.parametrize("mode", ["revert", "burn", "short"])
def test_restrict_collateral__dead_feed__goes_through(mode):
    system = with_a_coin()
    do(system, "fault", len(system.setup.markets), mode)
    assert do(system, "restrict_coin", "keeper", 0, 0).ok


# ------------------------------------------------------------------ the freeze

FROZEN = "venue: frozen or in grace"


def calm(system: System) -> int:
    """[s] until everything is allowed, as the Clearinghouse has it."""
    told = slots.unpack_book(system.clearinghouse.view("globals")[1]).calm_from
    assert told == system.configurator.view("calm_from")
    return told - system.chain.now


@pytest.mark.parametrize("by", ["keeper", "owner"])
@pytest.mark.parametrize("duration", [1, HOUR, DAY])
def test_freeze__up_to_a_day__and_an_hour_of_grace(by, duration):
    system = governed()
    outcome = do(system, "freeze", by, duration)
    assert calm(system) == duration + HOUR
    assert names(outcome) == ["CalmSet"]
    assert outcome.events[0].args == (system.chain.now + duration + HOUR,)


@pytest.mark.parametrize("duration", [0, DAY + 1, 2**32, MAX_UINT])
def test_freeze__of_nothing_or_of_more_than_a_day__refused(duration):
    system = governed()
    assert refused(system, "freeze", "keeper", duration) == "configurator: freeze too long"
    assert refused(system, "freeze", "keeper", DAY) is None


def test_freeze__again__three_days_after_the_end_of_the_last():
    """By guardian and owner together, not by each: liquidations wait a day and an hour in four."""
    system = governed()
    assert refused(system, "freeze", "keeper", DAY) is None
    for seconds in (0, HOUR, DAY, DAY - 1):
        do(system, "wait", seconds)
        assert refused(system, "freeze", "keeper", 1) == "configurator: too soon"
        assert refused(system, "freeze", "owner", 1) == "configurator: too soon"
    do(system, "wait", calm(system) + 3 * DAY - 1)
    assert refused(system, "freeze", "keeper", DAY) == "configurator: too soon"
    do(system, "wait", 1)
    assert refused(system, "freeze", "keeper", DAY) is None
    assert calm(system) == DAY + HOUR


def test_unfreeze__early__leaves_the_hour_of_grace():
    system = governed()
    assert refused(system, "unfreeze", "keeper") == "configurator: not frozen"
    assert refused(system, "freeze", "keeper", DAY) is None
    do(system, "wait", 60)
    assert names(do(system, "unfreeze", "owner")) == ["CalmSet"]
    assert calm(system) == HOUR
    assert refused(system, "unfreeze", "keeper") == "configurator: not frozen"
    do(system, "wait", HOUR + 3 * DAY - 1)
    assert refused(system, "freeze", "keeper", HOUR) == "configurator: too soon"
    do(system, "wait", 1)
    assert refused(system, "freeze", "keeper", HOUR) is None


def test_unfreeze__in_the_grace_or_after_it__refused():
    """It must neither lengthen nor shorten the hour."""
    system = governed()
    assert refused(system, "freeze", "keeper", 60) is None
    do(system, "wait", 59)
    guardian = system.address("keeper")
    assert system.configurator.attempt("unfreeze", sender=guardian).ok
    for seconds in (1, 1, HOUR - 1, DAY):
        do(system, "wait", seconds)
        assert refused(system, "unfreeze", "keeper") == "configurator: not frozen"


def test_freeze__while_it_lasts__deposits_and_reductions_go_on_and_all_else_waits():
    system = opened()
    crash = 10**8 * 3
    free = opened()
    for each in (system, free):
        do(each, "withdraw", "alice", "alice", "token", 9_999_900 * 10**6, "alice")
        do(each, "mint", "bob", 10**10)
        do(each, "deposit", "bob", "bob", "token", 10**10)
    assert do(system, "freeze", "keeper", DAY).ok
    for each in (system, free):
        assert do(each, "price", 0, crash, 0).ok
    assert do(free, "liquidate", "bob", "alice").ok
    wait(system, DAY, answer=crash)
    do(system, "refresh", "keeper")
    assert do(system, "liquidate", "bob", "alice").reason == FROZEN
    assert do(system, "trade", "bob", "bob", 0, WAD).reason == FROZEN
    assert do(system, "deposit", "bob", "bob", "token", 0).reason == "ledger: zero amount"
    do(system, "mint", "bob", 10**6)
    assert do(system, "deposit", "bob", "alice", "token", 10**6).ok
    assert do(system, "withdraw", "bob", "bob", "token", 10**6, "bob").ok
    wait(system, HOUR - 1, answer=crash)
    assert do(system, "liquidate", "bob", "alice").reason == FROZEN
    wait(system, 1, answer=crash)
    do(system, "refresh", "keeper")
    assert do(system, "liquidate", "bob", "alice").ok
    assert do(system, "trade", "bob", "bob", 0, WAD).ok


def test_pause_market__while_it_lasts__only_reducing():
    system = opened()
    assert do(system, "pause", "keeper", 0, HOUR).ok
    assert do(system, "trade", "alice", "alice", 0, WAD).reason == "market: paused"
    assert do(system, "trade", "alice", "alice", 0, -WAD).ok
    wait(system, HOUR - 1)
    assert do(system, "trade", "alice", "alice", 0, WAD).reason == "market: paused"
    wait(system, 1)
    assert do(system, "trade", "alice", "alice", 0, WAD).ok


def test_refused__by_the_helper__means_that_nothing_changed():
    system = governed()
    before = everything(system)
    assert refused(system, "restrict", "keeper", 0, 0, 0, True) is None
    assert everything(system) != before
