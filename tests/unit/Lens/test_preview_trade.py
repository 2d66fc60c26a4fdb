"""`Lens.preview_trade` is `Clearinghouse.trade` in the same block: fill, fee, health, refusal.

A `Puppet` asks for the preview, trades and looks at the result in one call, so that funding and
surge are those of one block.
"""

import random

import pytest

WAD = 10**18
MAX_UINT = 2**256 - 1
MIN_INT, MAX_INT = -(2**255), 2**255 - 1
ZERO = "0x" + "00" * 20


def side_by_side(stage, robot, market, delta, limit=None, first=(), account=None):
    """Preview and trade in one block, compare all that can be; the preview.

    `first` are calls of the robot before the two, in the same block.
    """
    account = account or robot.address
    if limit is None:
        limit = MAX_UINT if delta > 0 else 0
    lens, clearinghouse = stage.lens, stage.clearinghouse
    cash_of = clearinghouse.header
    outcomes = stage.imagine(
        robot,
        *first,
        (clearinghouse.health, account),
        (lens.preview_trade, account, market, delta, limit),
        (clearinghouse.trade, account, market, delta, limit),
        (clearinghouse.health, account),
        (cash_of, account),
        (stage.tokens.preview_liquidation, account),
        *([(clearinghouse.leg, account, market)] if market < 128 else []),
    )[len(first) :]
    health_before, preview, trade, health_after, header, after, *leg = outcomes
    assert preview.reason is None, "a preview never reverts"
    view = preview.value
    assert view.allowed == (trade.reason is None)
    assert view.reason == (trade.reason or "")
    assert view.health_before == health_before.value
    if not view.allowed:
        return view
    assert view.price == trade.value
    assert view.health_after == health_after.value
    assert view.cash_after == int.from_bytes(
        header.value.to_bytes(32, "big")[:15], "big", signed=True
    )
    assert view.size_after == leg[0].value.size
    assert (view.equity_after, view.maintenance_after) == (
        after.value.equity,
        after.value.maintenance,
    )
    return view


def trade(stage, robot, market, size, account=None):
    """A mined trade of a robot at any price."""
    limit = MAX_UINT if size > 0 else 0
    stage.perform(robot, (stage.clearinghouse.trade, account or robot.address, market, size, limit))


# ------------------------------------------------------------------ what it shows


def test_preview_trade__first_long__numbers_done_by_hand(stage, robot):
    stage.fund(robot, 100)
    view = side_by_side(stage, robot, 0, 10 * WAD)
    assert view.allowed
    assert view.reason == ""
    assert not view.reduces
    assert view.price == 100_100_500_000_000_000_000
    assert view.fee == 500_502_500_000_000_000
    assert view.size_after == 10 * WAD
    assert view.cash_after == 99_499_497_500_000_000_000
    assert view.equity_before == 100 * WAD
    assert view.equity_after == view.opening_equity_after == 98_494_497_500_000_000_000
    assert view.initial_after == 55_005_000_000_000_000_000
    assert view.maintenance_after == 30_005_000_000_000_000_000
    assert view.health_before == MAX_UINT
    assert view.health_after == 98_494_497_500_000_000_000 * WAD // 30_005_000_000_000_000_000


def test_preview_trade__executed__liquidation_price_is_the_accounts(stage, robot):
    stage.fund(robot, 200)
    trade(stage, robot, 0, 10 * WAD)
    for delta in (5 * WAD, -4 * WAD, -12 * WAD, -8 * WAD):
        view = side_by_side(stage, robot, 0, delta)
        assert view.allowed
        trade(stage, robot, 0, delta)
        (leg,) = stage.lens.account(robot).positions
        assert view.liquidation_price_after == leg.liquidation_price != 0
        assert view.initial_after == leg.initial


def test_preview_trade__closing__leaves_nothing(stage, robot):
    stage.fund(robot, 100)
    trade(stage, robot, 0, 10 * WAD)
    view = side_by_side(stage, robot, 0, -10 * WAD)
    assert view.allowed
    assert view.reduces
    assert (view.size_after, view.initial_after, view.maintenance_after) == (0, 0, 0)
    assert view.health_after == MAX_UINT
    assert view.liquidation_price_after == 0


def test_preview_trade__after_a_liquidation_in_the_block__pays_the_surge(stage, robot, trader):
    stage.fund(robot, 10_000)
    stage.fund(trader, 10_000)
    stage.trade(trader, 0, 1000)
    stage.price(0, 91 * WAD)
    calm = side_by_side(stage, robot, 0, 10 * WAD)
    stormy = side_by_side(
        stage, robot, 0, 10 * WAD, first=[(stage.clearinghouse.liquidate, trader.address)]
    )
    # 1000 of skew are gone from the curve, and 1000 / 1m of the price are added for the surge.
    assert calm.allowed
    assert stormy.allowed
    assert stormy.price == calm.price
    sold = side_by_side(
        stage, robot, 0, -10 * WAD, first=[(stage.clearinghouse.liquidate, trader.address)]
    )
    # 91 * (1 - 5 / 1m - 0.1 % - 0.1 %).
    assert sold.price == 90_817_545_000_000_000_000


# ------------------------------------------------------------------ why not


def test_preview_trade__nobodys_account__not_yours(stage, robot):
    for account in (ZERO, stage.clearinghouse.address):
        view = side_by_side(stage, robot, 0, WAD, account=account)
        assert view.reason == "account: not yours"


def test_preview_trade__pool__system_account(stage):
    view = side_by_side(stage, stage.pool, 0, WAD)
    assert view.reason == "account: system"


def test_preview_trade__no_size__zero_size(stage, robot):
    assert side_by_side(stage, robot, 0, 0).reason == "trade: zero size"


@pytest.mark.parametrize("market", [3, 127, 128, 255, 256, MAX_UINT])
def test_preview_trade__no_such_market__unknown(stage, robot, market):
    assert side_by_side(stage, robot, market, WAD).reason == "market: unknown"


@pytest.mark.parametrize(
    ("answer", "late", "reason"),
    [
        (0, 0, "prices: not positive"),
        (-5, 0, "prices: not positive"),
        (WAD, 0, "prices: out of bounds"),
        (10_000 * WAD, 0, "prices: out of bounds"),
        (100 * WAD, 86_500, "prices: stale"),
        (100 * WAD, -100_000, "prices: bad time"),
    ],
)
def test_preview_trade__price_not_live__says_why(stage, robot, chain, answer, late, reason):
    stage.fund(robot, 100)
    now = chain.pending_timestamp
    stage.feeds[0].set_round(answer, now - late, sender=stage.deployer)
    assert side_by_side(stage, robot, 0, WAD).reason == reason


def test_preview_trade__more_than_the_scale_or_dust__out_of_range(stage, robot):
    stage.fund(robot, 100)
    trade(stage, robot, 0, WAD)
    scale, lot = 1_000_000 * WAD, 2**32
    for delta in (scale + 1, -scale - 1, MAX_INT, MIN_INT, lot - 1 - WAD, -WAD + 1, -WAD - 1):
        assert side_by_side(stage, robot, 0, delta).reason == "trade: size out of range"
    for delta in (lot - WAD, -WAD, -WAD - lot):
        assert side_by_side(stage, robot, 0, delta).allowed
    for delta in (scale, -scale):
        assert side_by_side(stage, robot, 0, delta).reason == "caps: open interest"


def test_preview_trade__limit__met_to_the_wei(stage, robot):
    stage.fund(robot, 100)
    for delta, worse in ((WAD, 1), (-WAD, -1)):
        price = side_by_side(stage, robot, 0, delta).price
        assert side_by_side(stage, robot, 0, delta, limit=price).allowed
        view = side_by_side(stage, robot, 0, delta, limit=price - worse)
        assert view.reason == "trade: past limit price"
        assert view.price == price
        assert view.health_after > 0


def test_preview_trade__reduce_only_market__only_reduces(stage, robot):
    stage.fund(robot, 100)
    trade(stage, robot, 0, 5 * WAD)
    stage.reconfigure(0, reduce_only=True)
    assert side_by_side(stage, robot, 0, WAD).reason == "market: reduce only"
    assert side_by_side(stage, robot, 0, -6 * WAD).reason == "market: reduce only"
    assert side_by_side(stage, robot, 0, -5 * WAD).allowed


def test_preview_trade__caps__each_named(stage, robot, maker):
    stage.fund(robot, 1_000_000)
    assert side_by_side(stage, robot, 0, 14_000 * WAD + 1).reason == "caps: open interest"
    assert side_by_side(stage, robot, 0, 10_000 * WAD + 1).reason == "caps: skew"
    assert side_by_side(stage, robot, 0, 10_000 * WAD).allowed
    stage.trade(maker, 0, 10_000)
    # A fill that lowers the skew may pass its cap, not that of open interest.
    assert side_by_side(stage, robot, 0, -14_000 * WAD).allowed
    assert side_by_side(stage, robot, 0, WAD).reason == "caps: skew"
    # The pool's exposure is 1m: at 1.5 times its NAV, and a wei too much for a new position.
    stage.know_nav(666_667)
    assert side_by_side(stage, robot, 1, WAD).reason == "caps: pool exposure"
    assert side_by_side(stage, robot, 1, 10**15).allowed


def test_preview_trade__nav_a_day_old__only_what_lowers_the_skew(stage, robot, maker, chain):
    stage.fund(robot, 100_000)
    stage.trade(maker, 0, 100)
    chain.pending_timestamp += 86_402
    stage.price(0, 100 * WAD)
    assert side_by_side(stage, robot, 0, WAD).reason == "caps: pool NAV is old"
    assert side_by_side(stage, robot, 0, -WAD).allowed
    stage.know_nav(10_000_000)
    assert side_by_side(stage, robot, 0, WAD).allowed


def test_preview_trade__margin__each_refusal(stage, robot):
    stage.fund(robot, 70)
    assert side_by_side(stage, robot, 0, 20 * WAD).reason == "margin: below initial"
    trade(stage, robot, 0, 10 * WAD)
    stage.price(0, 97 * WAD)
    assert side_by_side(stage, robot, 0, WAD // 10**6).reason == "margin: below initial"
    assert side_by_side(stage, robot, 0, -5 * WAD).allowed
    # Near the line, with a fee and a spread that cost more than the requirement falls.
    stage.price(0, 93 * WAD + WAD // 10)
    assert side_by_side(stage, robot, 0, -1).reason == "margin: health would fall"


def test_preview_trade__dead_leg_elsewhere__no_added_risk(stage, robot):
    stage.fund(robot, 1000)
    trade(stage, robot, 0, 5 * WAD)
    trade(stage, robot, 1, 5 * WAD)
    stage.silence(1)
    assert side_by_side(stage, robot, 0, WAD).reason == "margin: dead leg"
    assert side_by_side(stage, robot, 0, -6 * WAD).reason == "margin: dead leg"
    assert side_by_side(stage, robot, 0, -WAD).allowed


# ------------------------------------------------------------------ at random


@pytest.mark.parametrize("seed", range(3))
def test_preview_trade__random_trades__preview_is_the_trade(stage, robot, maker, chain, seed):
    """Four accounts of one robot trade, prices move, feeds die: never off by a wei."""
    dice = random.Random(seed)
    accounts = [f"0x{int(robot.address, 16) ^ i:040x}" for i in range(4)]
    for i, account in enumerate(accounts):
        stage.fund(account, 10 ** (i + 2))
    stage.trade(maker, 2, 3000)
    seen = set()
    for _ in range(30):
        account = dice.choice(accounts)
        market = dice.choice([0, 0, 1, 1, 2, 2, 2, 3])
        act = dice.random()
        if act < 0.15 and market < 3:
            stage.price(market, dice.randrange(90 * WAD, 110 * WAD))
        elif act < 0.2 and market < 3:
            stage.silence(market)
        elif act < 0.25:
            chain.pending_timestamp += dice.randrange(20_000)
        size = stage.clearinghouse.leg(account, market).size if market < 3 else 0
        delta = dice.choice(
            [
                dice.randrange(-(10**22), 10**22),
                dice.randrange(-(10**20), 10**20),
                dice.randrange(-100, 100),
                -size,
                -size // 2,
                -2 * size,
            ]
        )
        limit = None if dice.random() < 0.8 else dice.randrange(99 * WAD, 101 * WAD)
        view = side_by_side(stage, robot, market, delta, limit=limit, account=account)
        seen.add(view.reason)
        if view.allowed:
            stage.refusal(lambda a=account, m=market, d=delta: trade(stage, robot, m, d, a))
    assert "" in seen
    assert len(seen) >= 4
