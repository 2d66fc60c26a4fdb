"""MGN-8: what could hurt an open account goes in a straight line that anybody walks, an hour at most.

Contracts beside the model throughout; a refused call is compared with what was there before.
"""

from __future__ import annotations

from typing import Any

import pytest

from plimsoll.formulas import MAX_UINT, Refused, ceil_div
from plimsoll.fuzz.system import System
from plimsoll.rules import check_terms
from plimsoll.slots import WAD
from tests.utils.governed import (
    BASE,
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

CENT = WAD // 100
HARDER = {
    "im_ppm": 80_000,
    "mm_ppm": 40_000,
    "liquidation_fee_ppm": 15_000,
    "reward": 20 * WAD,
    "skew_scale": 900_000 * WAD,
}


def started(changes: dict[str, Any] | None = None, duration: int = 3 * DAY) -> System:
    """An open market whose ramp has just begun."""
    system = opened()
    assert ramp(system, changes or HARDER, duration).ok
    return system


# ------------------------------------------------------------------ the start


def test_ramp_market__start__is_told_and_changes_no_term_yet():
    system = opened()
    before, words = terms(system), system.clearinghouse.view("market_words", 0)
    outcome = ramp(system, {**HARDER, "taker_fee_ppm": 400}, 5 * DAY)
    target = before._replace(**HARDER, taker_fee_ppm=400)
    assert names(outcome) == ["RampStarted"]
    assert outcome.events[0].args == (0, target, 5 * DAY)
    assert terms(system) == before
    assert system.clearinghouse.view("market_words", 0) == words
    seen = system.configurator.view("ramp", 0)
    begin = (50_000, 25_000, 10_000, 5 * WAD, 1_000_000 * WAD)
    assert seen == (target, *begin, 5 * DAY, 0, system.chain.now)


@pytest.mark.parametrize(
    ("inside", "outside", "reason"),
    [
        (3 * DAY, 3 * DAY - 1, "configurator: ramp too short"),
        (3 * DAY, 0, "configurator: ramp too short"),
        (30 * DAY, 30 * DAY + 1, "configurator: ramp too long"),
        (30 * DAY, MAX_UINT, "configurator: ramp too long"),
    ],
)
def test_ramp_market__duration__three_to_thirty_days(inside, outside, reason):
    system = opened()
    before = everything(system)
    assert ramp(system, HARDER, outside).reason == reason
    assert everything(system) == before
    assert ramp(system, HARDER, inside).ok


@pytest.mark.parametrize("sender", ["keeper", "mallory", "stranger", "alice"])
def test_ramp_market__by_anybody_but_the_owner__refused(sender):
    """Not by the guardian, either: he lowers risk alone."""
    system = opened()
    before = everything(system)
    assert ramp(system, HARDER, sender=sender).reason == NOT_OWNER
    assert everything(system) == before
    assert ramp(system, HARDER).ok


@pytest.mark.parametrize("market", [1, 127, 128, MAX_UINT])
def test_ramp_market__market_that_is_not_there__refused(market):
    system = governed()
    assert refused(system, "ramp", "owner", market, 0, HARDER, 3 * DAY) == "market: unknown"
    assert refused(system, "walk", "owner", market) == "configurator: no ramp"


@pytest.mark.parametrize(
    "change", [{"max_age": 3_601}, {"min_price": 2 * WAD}, {"max_price": 9_000 * WAD}]
)
@pytest.mark.parametrize("build", [governed, opened])
def test_ramp_market__feed_age_or_bounds_of_another__refused_open_or_not(build, change):
    system = build()
    assert (
        refused(system, "ramp", "owner", 0, 0, change, 3 * DAY) == "configurator: feed and bounds"
    )
    assert refused(system, "ramp", "owner", 0, 0, {}, 3 * DAY) is None


def test_ramp_market__another_feed__refused_even_for_a_dead_one():
    system = opened()
    do(system, "feed", 8, 100 * 10**8)
    for mode in ("ok", "revert"):
        do(system, "fault", 0, mode)
        reason = refused(system, "ramp", "owner", 0, 0, {"feed": 1}, 3 * DAY)
        assert reason == "configurator: feed and bounds"


@pytest.mark.parametrize(
    ("inside", "outside", "reason"),
    [
        ({"mm_ppm": 24_000}, {"mm_ppm": 23_999}, "configurator: mm too low"),
        ({"im_ppm": 37_500}, {"im_ppm": 37_499}, "configurator: im below 1.5 mm"),
        ({"im_ppm": 10**6}, {"im_ppm": 10**6 + 1}, "configurator: im above 1"),
        ({"reward": 1_000 * WAD}, {"reward": 1_000 * WAD + CENT}, "configurator: reward"),
        ({"reward": CENT}, {"reward": CENT + 1}, "configurator: reward"),
        (
            {"liquidation_fee_ppm": 2_344},
            {"liquidation_fee_ppm": 2_343},
            "configurator: fee below closing",
        ),
        (
            {"liquidation_fee_ppm": 11_000},
            {"liquidation_fee_ppm": 11_001},
            "configurator: mm too low",
        ),
        ({"max_skew": 14_000 * WAD}, {"max_skew": 14_000 * WAD + 1}, "configurator: max_skew"),
        ({"max_rate_ppm": 25_000}, {"max_rate_ppm": 25_001}, "configurator: max_rate"),
        ({"skew_scale": 10**24}, {"skew_scale": 0}, "configurator: skew_scale"),
        ({"skew_scale": 10**24}, {"skew_scale": 2**96}, "configurator: skew_scale"),
        ({"skew_scale": 10**24}, {"skew_scale": MAX_UINT}, "configurator: skew_scale"),
        ({}, {"mm_ppm": MAX_UINT // 2}, "configurator: im below 1.5 mm"),
    ],
)
def test_ramp_market__target_outside_the_rules__refused_and_one_inside_accepted(
    inside, outside, reason
):
    """MGN-3, for where the ramp goes."""
    system = opened()
    before = everything(system)
    assert ramp(system, outside).reason == reason
    assert everything(system) == before
    assert ramp(system, inside).ok


@pytest.mark.parametrize(
    "harder", [{"mm_ppm": 20_000}, {"liquidation_fee_ppm": 14_000}, {"skew_scale": 900_000 * WAD}]
)
def test_ramp_market__caps_lowered_with_the_terms_that_they_allow__refused(harder):
    """MGN-3 at every moment: the caps are lowered by the last step, the others go all the way there.
    The caps first, which the owner may do at once, then the ramp."""
    system = opened()
    before = everything(system)
    lower = {**harder, "max_open_interest": 10_000 * WAD}
    assert ramp(system, lower).reason == "configurator: mm too low"
    assert everything(system) == before
    assert do(system, "configure", "owner", 0, 0, {"max_open_interest": 10_000 * WAD}).ok
    assert ramp(system, harder).ok


def test_ramp_market__caps_raised_with_the_margin_that_they_need__wait_for_the_last_step():
    system = opened()
    more = {"mm_ppm": 41_000, "im_ppm": 61_500, "max_open_interest": 31_000 * WAD}
    assert ramp(system, more).ok
    for _ in range(71):
        now = walk(system, HOUR)
        assert now.max_open_interest == 14_000 * WAD
    assert now.mm_ppm < 41_000
    assert walk(system, HOUR) == terms(system)._replace(**more)


# ------------------------------------------------------------------ the skew scale


def worth_of_a_step(least: int, step: int) -> int:
    """The greatest position [WAD] for which a step of the scale is not worth two taker fees."""
    # size / 2 * (1 / least - 1 / (least + step)) <= 2 * 500 ppm
    return 4 * 500 * least * (least + step) // (step * 10**6)


@pytest.mark.parametrize(("way", "duration"), [(1, 3 * DAY), (-1, 3 * DAY), (1, 30 * DAY)])
def test_ramp_market__step_of_the_scale__worth_two_taker_fees_at_most(way, duration):
    """MGN-10: who holds all there may be gains nothing by going in before a step and out after it."""
    start = 1_000_000 * WAD

    def fits(change: int) -> bool:
        least = min(start, start + way * change)
        step = ceil_div(change * HOUR, duration)
        return not step or worth_of_a_step(least, step) >= 14_000 * WAD

    low, high = 0, 10**30 if way > 0 else start - 100_000 * WAD
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    system = governed(max_price=1_000 * WAD)
    wide = {"mm_ppm": 200_000, "im_ppm": 300_000}  # so that no other rule asks first
    for change, reason in ((high, "configurator: skew_scale step"), (low, None)):
        changes = {**wide, "skew_scale": start + way * change}
        before = everything(system)
        assert ramp(system, changes, duration).reason == reason
        assert (everything(system) == before) == (reason is not None)


def test_ramp_market__scale_without_a_taker_fee__refused_now_and_then():
    """The fee of now, or of then: whoever leaves after the last step pays that one."""
    change = {"skew_scale": 1_000_001 * WAD}
    system = governed(taker_fee_ppm=0)
    assert ramp(system, {**change, "taker_fee_ppm": 500}).reason == "configurator: skew_scale step"
    assert ramp(system, {"taker_fee_ppm": 500}).ok
    system = governed()
    assert ramp(system, {**change, "taker_fee_ppm": 0}).reason == "configurator: skew_scale step"
    assert ramp(system, change).ok


def test_ramp_market__scale_with_a_lowered_cap__reckons_with_what_is_open():
    """A cap below what somebody holds does not make his step worth less."""
    change = {"skew_scale": 110_000 * WAD, "mm_ppm": 200_000, "im_ppm": 300_000}
    system = opened(10_000 * WAD)
    assert do(system, "restrict", "keeper", 0, 0, 0, False).ok
    assert ramp(system, change).reason == "configurator: skew_scale step"
    system.must("trade", "alice", "alice", 0, "all")
    assert ramp(system, change).ok


# ------------------------------------------------------------------ the way


@pytest.mark.parametrize("seconds", [1, 17, 1_234, 3_599, 3_600])
def test_walk_ramp__after_some_seconds__is_where_the_line_is_rounded_down(seconds):
    system = started()
    now = walk(system, seconds)

    def line(name: str) -> int:
        a, b = BASE[name], HARDER[name]
        return a * (3 * DAY - seconds) + b * seconds

    whole = 3 * DAY
    assert now.im_ppm == line("im_ppm") // whole
    assert now.mm_ppm == line("mm_ppm") // whole
    assert now.liquidation_fee_ppm == line("liquidation_fee_ppm") // whole
    assert now.reward == line("reward") // whole // CENT * CENT
    assert now.skew_scale == ceil_div(line("skew_scale"), whole)
    rest = set(BASE) - set(HARDER)
    assert all(getattr(now, name) == BASE[name] for name in rest)


def test_walk_ramp__step__is_told_with_the_terms_in_effect():
    system = started()
    wait(system, HOUR)
    outcome = do(system, "walk", "stranger", 0)
    assert names(outcome) == ["MarketMoved", "MarketConfigured", "MarketReconfigured"]
    assert outcome.events[-1].args == (0, terms(system))
    assert system.configurator.view("ramp", 0)[7:] == (HOUR, system.chain.now)


@pytest.mark.parametrize("slept", [HOUR, HOUR + 1, 2 * HOUR, 3 * DAY, 1_000 * DAY])
def test_walk_ramp__however_long_it_slept__moves_by_an_hour(slept):
    """Nobody can save a raise up and have it in one block."""
    one, other = started(), started()
    assert walk(one, HOUR) == walk(other, slept)
    assert refused(other, "walk", "mallory", 0) == "configurator: nothing to walk"
    assert walk(other, 1).mm_ppm <= terms(one).mm_ppm + 1


def test_walk_ramp__in_the_second_of_the_start_or_of_another__refused():
    system = started()
    assert refused(system, "walk", "mallory", 0) == "configurator: nothing to walk"
    walk(system, 1)
    assert refused(system, "walk", "owner", 0) == "configurator: nothing to walk"
    walk(system, 1)


def test_walk_ramp__to_its_end__all_terms_are_the_targets_and_it_is_over():
    target = {**HARDER, "taker_fee_ppm": 400, "max_skew": 5_000 * WAD, "reduce_only": True}
    system = started(target)
    for _ in range(71):
        now = walk(system, HOUR)
        assert (now.taker_fee_ppm, now.max_skew, now.reduce_only) == (500, 10_000 * WAD, False)
    walk(system, HOUR - 1)
    wait(system, 12, answer=None)
    outcome = do(system, "walk", "mallory", 0)
    told = ["RampEnded", "MarketMoved", "MarketConfigured", "MarketReconfigured"]
    assert names(outcome) == told
    assert terms(system) == terms(system)._replace(**target)
    assert set(system.configurator.view("ramp", 0)[1:]) == {0}
    wait(system, HOUR)
    assert refused(system, "walk", "mallory", 0) == "configurator: no ramp"


@pytest.mark.parametrize("mode", ["revert", "burn", "short"])
def test_walk_ramp__feed_is_dead__goes_on(mode):
    """A ramp asks nothing of the feed."""
    system = started()
    do(system, "fault", 0, mode)
    assert walk(system, HOUR).mm_ppm > 25_000
    assert walk(system, HOUR).mm_ppm > terms(governed()).mm_ppm


def test_walk_ramp__rules_met_to_the_ppm_at_both_ends__never_stands_still():
    """Rounded down each by itself, im would now and then be half a ppm short of 1.5 mm, and mm a ppm
    short of fee and depth; in a slow ramp for longer than the hour that a step may be."""
    tight = {"im_ppm": 37_500, "mm_ppm": 25_000, "liquidation_fee_ppm": 11_000}
    slow = {
        "im_ppm": 37_509,
        "mm_ppm": 25_006,
        "liquidation_fee_ppm": 11_002,
        "skew_scale": 999_716 * WAD,
    }
    system = opened(**tight)
    assert ramp(system, slow, 3 * DAY).ok
    line_is_short = 0
    for hour in range(1, 73):
        now = walk(system, HOUR)
        check_terms(now, now.max_open_interest, 200_000)  # MGN-3, in effect
        im, mm = 37_500 * 72 + 9 * hour, 25_000 * 72 + 6 * hour
        assert im // 72 <= now.im_ppm < im / 72 + 2
        assert mm // 72 <= now.mm_ppm < mm / 72 + 1
        alone = now._replace(im_ppm=im // 72, mm_ppm=mm // 72)
        try:
            check_terms(alone, now.max_open_interest, 200_000)
        except Refused:
            line_is_short += 1
    assert now == now._replace(**slow)
    assert line_is_short > 20


def test_walk_ramp__downwards__the_requirements_fall():
    system = opened()
    assert ramp(system, {"im_ppm": 40_000, "mm_ppm": 24_000, "reward": 0}).ok
    health = system.clearinghouse.view("health", system.address("alice"))
    now = walk(system, HOUR)
    assert (now.im_ppm, now.mm_ppm, now.reward) == (49_861, 24_986, 493 * CENT)
    assert system.clearinghouse.view("health", system.address("alice")) > health


# ------------------------------------------------------------------ its end before the end


def test_ramp_market__while_one_runs__goes_on_from_where_it_came():
    system = started()
    halfway = walk(system, HOUR)
    outcome = ramp(system, BASE, 4 * DAY)
    assert names(outcome) == ["RampStarted"]
    assert terms(system) == halfway
    seen = system.configurator.view("ramp", 0)
    begin = [halfway.im_ppm, halfway.mm_ppm, halfway.liquidation_fee_ppm, halfway.reward]
    assert list(seen[1:6]) == [*begin, halfway.skew_scale]
    assert seen[6:] == (4 * DAY, 0, system.chain.now)
    assert walk(system, HOUR).mm_ppm <= halfway.mm_ppm


def test_configure_market__while_a_ramp_runs__ends_it():
    system = started()
    walk(system, HOUR)
    outcome = do(system, "configure", "owner", 0, 0, {"skew_scale": terms(system).skew_scale})
    assert names(outcome)[0] == "RampEnded"
    wait(system, HOUR)
    assert refused(system, "walk", "mallory", 0) == "configurator: no ramp"
    assert terms(system).mm_ppm == 25_000


def test_configure_market__refused_while_a_ramp_runs__leaves_it():
    system = started()
    walk(system, HOUR)
    assert refused(system, "configure", "owner", 0, 0, {"im_ppm": 60_000}) is not None
    assert walk(system, HOUR).mm_ppm > 25_000


def test_walk_ramp__empty_market__walks_the_same():
    full, empty = started(), governed()
    assert ramp(empty, HARDER).ok
    assert walk(full, HOUR) == walk(empty, HOUR)._replace(feed=terms(full).feed)
