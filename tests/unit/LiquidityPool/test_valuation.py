"""What the pool says it is worth (LPV-1), and what it does when a price may not be used (LPV-4)."""

from fractions import Fraction
from math import floor

import ape
import pytest

from tests.unit.LiquidityPool.conftest import DAY, SCALE, WAD, kept, wad

# ------------------------------------------------------------------ the number


def test_valuation__two_skews_moved_prices__is_the_sum_by_hand(stage):
    stage.price(0, 103)
    stage.price(1, 98)
    cash = stage.cash(stage.pool)
    # long 5,000 at 103, short 3,000 at 98; premium P k^2 / 2S
    longs = -5_000 * 103 * WAD - Fraction(103 * 5_000**2 * WAD, 2_000_000)
    shorts = 3_000 * 98 * WAD - Fraction(98 * 3_000**2 * WAD, 2_000_000)
    assert stage.pool.valuation().nav == cash + longs + shorts


def test_valuation__odd_numbers__rounds_for_the_pool_by_less_than_two_wei_a_market(stage, trader):
    stage.trade(trader, 0, "0.000000000000000007")
    stage.trade(trader, 1, "1.123456789123456789")
    stage.price(0, "101.123456789123456789")
    stage.price(1, "99.999999999999999999")
    value = stage.value()
    seen = stage.pool.valuation()
    assert 0 < value.nav - seen.nav < 2 * value.markets
    assert 0 < seen.spread - value.spread < value.markets


def test_valuation__funding_accrued__counts_at_once(stage_of, lp, trader):
    stage = stage_of()
    stage.list_market("ALPHA", max_velocity_ppm=10**6, max_rate_ppm=20_000)
    stage.enter(lp, 1_000_000 * stage.quote)
    stage.fund(trader, 100_000)
    stage.trade(trader, 0, 5_000)
    before = stage.pool.valuation().nav
    stage.pass_time(2 * DAY)
    earned = stage.pool.valuation().nav - before
    # The rate rises by 0.5 % a day: in two days the pool was paid 1 % of 500,000.
    assert earned == pytest.approx(5_000 * WAD, rel=1e-3)
    value = stage.value()
    assert 0 <= value.nav - stage.pool.valuation().nav < 2


def test_valuation__a_trade_at_one_price__moves_by_fee_and_spread_alone(stage, trader):
    before = stage.pool.valuation().nav
    stage.trade(trader, 0, 1_000)
    # Premium booked is premium owed; 0.1 % spread, 0.05 % fee, a fifth of it to the insurance fund.
    price = 100 * WAD * (1 + Fraction(5_500, 1_000_000) + Fraction(1_000, 10**6))
    gain = 1_000 * price * Fraction(500, 10**6) * Fraction(4, 5) + 1_000 * 100 * WAD // 1_000
    assert abs(stage.pool.valuation().nav - before - gain) < 10


def test_valuation__one_wei_of_skew_in_the_widest_market__is_exact(stage_of, lp, trader):
    stage = stage_of(decimals=18)
    stage.list_market(
        "WIDE",
        price=10**9,
        max_price=wad(16 * 10**9),
        min_price=wad(10**3),
        skew_scale=wad(5 * 10**3),
        max_skew=wad(50),
        max_open_interest=wad(70),
    )
    stage.enter(lp, 10**11 * stage.quote)
    stage.fund(trader, 10**11)
    stage.trade(trader, 0, "49.999999999999999999")
    stage.price(0, "15999999999.999999")
    value = stage.value()
    seen = stage.pool.valuation()
    assert 0 <= value.nav - seen.nav < 2
    # So near its margin an entry pays the premium, too: P * k^2 / 2S.
    depth = 50 * 10**18 - 1
    premium = Fraction((16 * 10**15 - 1) * 10**12 * depth**2, 2 * 5 * 10**3 * 10**36)
    assert 0 <= seen.spread - value.spread - premium < 2


@pytest.mark.parametrize("decimals", [6, 8, 18])
def test_total_assets__any_decimals__is_the_nav_in_token_units_rounded_down(
    stage_of, lp, trader, decimals
):
    stage = stage_of(decimals=decimals)
    stage.list_market("ALPHA")
    stage.enter(lp, 1_000_000 * stage.quote)
    stage.fund(trader, 50_000)
    stage.trade(trader, 0, "333.333333333333333333")
    stage.price(0, "100.000000000000000001")
    assert stage.pool.totalAssets() == stage.pool.valuation().nav // stage.unit
    assert stage.pool.decimals() == decimals + 6
    assert stage.pool.totalSupply() == 1_000_000 * stage.quote * 10**6


# ------------------------------------------------------------------ a price that may not be used


def test_valuation__dead_feed_with_skew__takes_the_last_price_and_says_so(stage):
    stage.price(0, 110)
    stage.clearinghouse.poke(0, sender=stage.deployer)
    stage.kill(0)
    seen = stage.pool.valuation()
    assert not seen.live
    assert seen.nav == floor(stage.value().nav)
    assert stage.clearinghouse.leg(stage.pool, 0).price == wad(110)


def test_valuation__dead_feed_without_skew__is_live(stage, trader):
    stage.trade(trader, 0, -5_000)
    stage.kill(0)
    assert stage.clearinghouse.leg(stage.pool, 0).status != 0
    assert stage.pool.valuation().live


def test_total_assets__dead_feed__does_not_revert(stage):
    alive = stage.pool.totalAssets()
    stage.kill(0)
    assert stage.pool.totalAssets() == alive
    assert stage.pool.convertToAssets(stage.pool.totalSupply()) == pytest.approx(alive, abs=1)


def test_total_assets__nav_below_zero__is_zero(stage, trader, lp):
    ruin(stage)
    assert stage.pool.valuation().nav < 0
    assert stage.pool.totalAssets() == 0
    assert stage.pool.convertToAssets(stage.pool.balanceOf(lp)) == 0


# ------------------------------------------------------------------ upkeep


def test_refresh__live__tells_the_clearinghouse(stage, stranger):
    stage.price(0, 105)
    assert stage.known_nav() != stage.pool.valuation().nav
    nav = stage.pool.valuation().nav
    assert stage.pool.refresh.call(sender=stranger) == nav
    receipt = stage.pool.refresh(sender=stranger)
    assert stage.known_nav() == kept(nav)
    assert receipt.events == [stage.clearinghouse.NavKnown(nav=nav)]


def test_refresh__nav_below_zero__tells_that_too(stage, stranger):
    ruin(stage)
    stage.pool.refresh(sender=stranger)
    assert stage.known_nav() < 0


def test_refresh__dead_feed__waits(stage, stranger):
    stage.kill(1)
    with ape.reverts("pool: a price is not live"):
        stage.pool.refresh(sender=stranger)
    stage.renew()
    stage.pool.refresh(sender=stranger)


def test_refresh__old_nav__lets_traders_add_to_the_skew_again(stage, trader, stranger):
    stage.pass_time(DAY + 2)
    with ape.reverts("caps: pool NAV is old"):
        stage.trade(trader, 0, 1)
    stage.pool.refresh(sender=stranger)
    stage.trade(trader, 0, 1)


# ------------------------------------------------------------------ what is nobody's


def test_valuation__tokens_sent_to_the_pool__change_nothing(stage, stranger):
    before = stage.pool.valuation(), stage.pool.totalAssets(), stage.pool.previewDeposit(10**6)
    stage.token.mint(stage.pool, 10**12, sender=stranger)
    assert (
        stage.pool.valuation(),
        stage.pool.totalAssets(),
        stage.pool.previewDeposit(10**6),
    ) == before


def test_valuation__tokens_sent_to_the_clearinghouse__change_nothing(stage, stranger):
    before = stage.pool.valuation()
    stage.token.mint(stage.clearinghouse, 10**12, sender=stranger)
    assert stage.pool.valuation() == before


def test_valuation__strangers_deposit_to_the_pools_account__is_refused(stage, stranger):
    stage.token.mint(stranger, 10**6, sender=stranger)
    stage.token.approve(stage.clearinghouse, 10**6, sender=stranger)
    with ape.reverts("account: system"):
        stage.clearinghouse.deposit(stage.pool, stage.token, 10**6, sender=stranger)
    stage.clearinghouse.deposit(stranger, stage.token, 10**6, sender=stranger)


def ruin(stage):
    """ALPHA to 3,000: the pool is short 5,000 of it and loses 14.5m of its 10m."""
    assert stage.clearinghouse.leg(stage.pool, 0).skew == 5_000 * WAD
    assert stage.clearinghouse.leg(stage.pool, 0).t1 & (2**96 - 1) == SCALE
    stage.price(0, 3_000)
