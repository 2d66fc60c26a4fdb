"""`Lens.market` and `Lens.markets`."""

import pytest

from plimsoll.formulas import BAD_TIME, FAILED, LIVE, NOT_POSITIVE, OUT_OF_BOUNDS, STALE

WAD = 10**18
MAX_UINT = 2**256 - 1
LOT = 2**32


def test_market__untouched__its_terms_and_price(stage):
    view = stage.lens.market(1)
    assert (view.market, view.name) == (1, "BETA")
    assert view.terms == stage.configurator.terms(1)
    assert (view.terms.im_ppm, view.terms.mm_ppm) == (120_000, 60_000)
    assert (view.price, view.price_status) == (100 * WAD, 0)
    assert (view.skew, view.long_open_interest, view.short_open_interest) == (0, 0, 0)
    assert (view.exposure, view.index, view.rate, view.surge_ppm) == (0, 0, 0, 0)
    assert view.last_price == view.touched_at == 0


def test_market__both_sides_open__open_interest_and_quotes(stage, accounts, chain):
    for person in accounts[5:7]:
        stage.fund(person, 100_000)
    stage.trade(accounts[5], 0, 2000)
    stage.trade(accounts[6], 0, -500)
    stored_at = chain.blocks.head.timestamp
    stage.price(0, 110 * WAD)
    view = stage.lens.market(0)
    assert view.skew == 1500 * WAD
    assert view.long_open_interest == 2000 * WAD // LOT * LOT
    assert view.short_open_interest == view.long_open_interest - 1500 * WAD
    assert view.exposure == view.long_open_interest * 100
    assert (view.price, view.last_price) == (110 * WAD, 100 * WAD)
    assert view.touched_at == stored_at
    # 110 * (1 + 1500 / 1m +- 0.1 %), and half a wei of the curve rounded against the taker.
    assert view.ask == 110_275 * WAD // 1000 + 1
    assert view.bid == 110_055 * WAD // 1000 - 1


def test_market__price_moves__stable_price_follows_by_6_percent_an_hour(stage, maker, chain):
    stage.trade(maker, 0, 10)
    touched = chain.blocks.head.timestamp
    assert stage.lens.market(0).stable_price == 100 * WAD
    stage.price(0, 150 * WAD)
    chain.pending_timestamp = touched + 1_800
    chain.mine()
    view = stage.lens.market(0)
    elapsed = chain.blocks.head.timestamp - touched
    # 100 as stored, in 2**-48 of the greatest price: what is cut off does not count as a distance.
    stored = 10_000 * WAD * (100 * 2**48 // 10_000) // 2**48
    cut = 10_000 * WAD // 2**47
    assert view.price == 150 * WAD
    assert view.stable_price == stored + cut + stored * 60_000 * elapsed // (3_600 * 10**6)
    chain.pending_timestamp = touched + 80_000
    chain.mine()
    assert (
        stage.lens.market(0).stable_price == stored + cut + stored * 6 // 100
    )  # an hour's, no more
    stage.price(0, 100 * WAD)
    assert stage.lens.market(0).stable_price == 100 * WAD


def test_market__all_short__long_side_is_empty(stage, maker):
    stage.trade(maker, 0, -70)
    view = stage.lens.market(0)
    assert (view.long_open_interest, view.short_open_interest) == (0, 70 * WAD)


def test_market__funding__as_of_now(stage, maker, robot, chain):
    stage.trade(maker, 2, 5000)
    chain.pending_timestamp += 10_000
    chain.mine()
    view, leg = (
        outcome.value
        for outcome in stage.imagine(
            robot, (stage.lens.market, 2), (stage.clearinghouse.leg, robot.address, 2)
        )
    )
    assert (view.index, view.rate) == (leg.index, leg.rate)
    assert view.rate > 0


def test_market__liquidation_in_the_block__surge(stage, robot, trader):
    stage.fund(trader, 10_000)
    stage.trade(trader, 0, 1000)
    stage.price(0, 91 * WAD)
    view = stage.imagine(
        robot, (stage.clearinghouse.liquidate, trader.address), (stage.lens.market, 0)
    )[1].value
    assert view.surge_ppm == 1000
    assert view.bid == 91 * 998 * WAD // 1000 - 1
    assert stage.lens.market(0).surge_ppm == 0


@pytest.mark.parametrize("market", [3, 128, MAX_UINT])
def test_market__not_listed__reverts(stage, market):
    assert stage.refusal(lambda: stage.lens.market(market)) == "market: unknown"


def test_market__no_price__status_in_words(stage):
    stage.silence(0)
    view = stage.lens.market(0)
    assert stage.lens.price_status_text(view.price_status) == "prices: not positive"
    assert (view.room_to_buy, view.room_to_sell) == (0, 0)


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (LIVE, "live"),
        (FAILED, "prices: feed failed"),
        (NOT_POSITIVE, "prices: not positive"),
        (BAD_TIME, "prices: bad time"),
        (OUT_OF_BOUNDS, "prices: out of bounds"),
        (STALE, "prices: stale"),
        (int.from_bytes(b"x" * 32, "big"), "x" * 32),  # the longest that there can be
    ],
)
def test_price_status_text__each__the_revert_text(stage, status, text):
    assert stage.lens.price_status_text(status) == text


# ------------------------------------------------------------------ room


def room_is_exact(stage, robot, market):
    """The room is what a flat account can trade, and a wei more it cannot: (to buy, to sell)."""
    view = stage.lens.market(market)
    for delta, sign in ((view.room_to_buy, 1), (-view.room_to_sell, -1)):
        limit = MAX_UINT if sign > 0 else 0
        calls = [
            (stage.clearinghouse.trade, robot.address, market, size, limit)
            for size in (delta, sign * max(abs(delta) + 1, LOT))
        ]
        fits, over = (stage.imagine(robot, call)[0] for call in calls)
        assert over.reason.startswith("caps: ")
        assert fits.reason == ("trade: zero size" if delta == 0 else None)
    return view.room_to_buy, view.room_to_sell


def test_market__empty__room_is_the_skew_cap(stage, robot):
    stage.fund(robot, 10_000_000)
    assert room_is_exact(stage, robot, 0) == (10_000 * WAD, 10_000 * WAD)


def test_market__skewed__more_room_on_the_thin_side(stage, robot, maker):
    stage.fund(robot, 10_000_000)
    stage.trade(maker, 0, 9000)
    assert room_is_exact(stage, robot, 0)[0] == 1000 * WAD
    # Shorts up to the cap of open interest, as the skew stays within its own.
    assert room_is_exact(stage, robot, 0)[1] < 14_001 * WAD
    stage.know_nav(600_001)  # exposure 900,000 of 900,001.5 at most
    buy, sell = room_is_exact(stage, robot, 0)
    assert buy < WAD
    assert sell > 9000 * WAD


def test_market__old_nav__only_what_lowers_the_skew(stage, robot, maker, chain):
    stage.fund(robot, 10_000_000)
    stage.trade(maker, 0, -900)
    chain.pending_timestamp += 86_402
    stage.price(0, 100 * WAD)
    assert room_is_exact(stage, robot, 0) == (1800 * WAD - 1, 0)


def test_market__reduce_only__no_room(stage):
    stage.reconfigure(0, reduce_only=True)
    view = stage.lens.market(0)
    assert view.terms.reduce_only
    assert (view.room_to_buy, view.room_to_sell) == (0, 0)


# ------------------------------------------------------------------ pages


@pytest.mark.parametrize(
    ("start", "count", "ids"),
    [
        (0, 100, [0, 1, 2]),
        (0, 2, [0, 1]),
        (2, 2, [2]),
        (3, 1, []),
        (127, MAX_UINT, []),
        (MAX_UINT, MAX_UINT, []),
        (0, 0, []),
    ],
)
def test_markets__page__those_that_are_listed(stage, start, count, ids):
    page = stage.lens.markets(start, count)
    assert [view.market for view in page] == ids
    if ids == [2]:
        assert page[0].name == "GAMMA"
        assert page[0] == stage.lens.market(2)
