"""`Lens.account`: each number against a sum done by hand, and against what then happens."""

from fractions import Fraction

import pytest

WAD = 10**18
RAW = 10**6
MAX_UINT = 2**256 - 1


def position(view, market):
    """The position in `market`."""
    return next(entry for entry in view.positions if entry.market == market)


def withdraw(stage, trader, raw, account=None):
    return stage.clearinghouse.withdraw(account or trader, stage.token, raw, trader, sender=trader)


# ------------------------------------------------------------------ what is in it


def test_account__never_used__is_empty_and_healthy(stage, trader):
    view = stage.lens.account(trader)
    assert (view.cash, view.equity, view.initial, view.maintenance) == (0, 0, 0, 0)
    assert (view.withdrawable, view.buying_power, view.leverage) == (0, 0, 0)
    assert view.health == MAX_UINT
    assert not view.margin_call
    assert not view.liquidatable
    assert not view.has_dead_leg
    assert view.positions == []


def test_account__only_cash__can_all_be_withdrawn(stage, trader):
    stage.fund(trader, "12.345678")
    view = stage.lens.account(trader)
    assert view.cash == view.equity == view.opening_equity == view.withdrawing_equity
    assert view.cash == 12_345_678 * 10**12
    assert view.withdrawable == 12_345_678
    assert view.leverage == 0
    # The lowest initial ratio of the three markets is 5 %.
    assert view.buying_power == 20 * view.cash


def test_account__one_long__numbers_done_by_hand(stage, trader):
    # 10 at 100: curve 5 / 1m, spread 0.1 %: 100.1005. Fee 0.05 % of 1001.005.
    stage.fund(trader, 100)
    stage.trade(trader, 0, 10)
    view = stage.lens.account(trader)
    assert view.cash == 99_499_497_500_000_000_000
    assert view.pnl == -1_005_000_000_000_000_000
    assert view.equity == view.opening_equity == view.withdrawing_equity
    assert view.equity == 98_494_497_500_000_000_000
    assert view.notional == 1000 * WAD
    # 1000 * (2.5 % + 10 / 2m) + 5 and 1000 * (5 % + 10 / 2m) + 5.
    assert view.maintenance == 30_005_000_000_000_000_000
    assert view.initial == 55_005_000_000_000_000_000
    assert view.health == 98_494_497_500_000_000_000 * WAD // 30_005_000_000_000_000_000
    assert view.leverage == -(-1000 * WAD * WAD // 98_494_497_500_000_000_000)
    assert view.withdrawable == 43_489_497  # 98.4944975 - 55.005, rounded down
    assert view.buying_power == 869_789_950_000_000_000_000  # 43.4894975 / 5 %

    (leg,) = view.positions
    assert (leg.market, leg.name) == (0, "ALPHA")
    assert leg.size == 10 * WAD
    assert leg.basis == 1_001_005_000_000_000_000_000
    assert leg.break_even_price == 100_100_500_000_000_000_000
    assert (leg.mark_price, leg.price_status) == (100 * WAD, 0)
    assert (leg.notional, leg.pnl) == (1000 * WAD, -1_005_000_000_000_000_000)
    assert (leg.initial, leg.maintenance) == (view.initial, view.maintenance)
    assert leg.rate == 0
    # 99.4994975 + 10 P - 1001.005 < 10 P * 2.5005 % + 5 below 906.5055025 / 9.74995.
    edge = Fraction("906.5055025") / Fraction("9.74995") * WAD
    assert edge - 1 <= leg.liquidation_price <= edge


def test_account__one_short__numbers_done_by_hand(stage, trader):
    # 3 sold at 100: curve 1.5 / 1m, spread 0.1 %: 99.89985. Fee 0.05 % of 299.69955.
    stage.fund(trader, 50)
    stage.trade(trader, 0, -3)
    view = stage.lens.account(trader)
    assert view.cash == 49_850_150_225_000_000_000
    assert view.equity == 49_549_700_225_000_000_000
    (leg,) = view.positions
    assert leg.size == -3 * WAD
    assert leg.basis == -299_699_550_000_000_000_000
    assert leg.break_even_price == 99_899_850_000_000_000_000
    assert leg.pnl == -300_450_000_000_000_000
    assert leg.maintenance == 12_500_450_000_000_000_000
    # 49.850150225 + 299.69955 - 3 P < 3 P * 2.50015 % + 5 above 344.549700225 / 3.0750045.
    edge = Fraction("344.549700225") / Fraction("3.0750045") * WAD
    assert edge <= leg.liquidation_price <= edge + 1


def test_account__paper_profit__counts_half_for_opening_and_not_for_withdrawing(stage, trader):
    stage.fund(trader, 100)
    stage.trade(trader, 0, 10)
    stage.price(0, 110 * WAD)
    stage.catch_up(0)
    view = stage.lens.account(trader)
    assert view.pnl == 98_995_000_000_000_000_000
    assert view.equity == view.cash + view.pnl
    assert view.opening_equity == view.cash + view.pnl // 2
    assert view.withdrawing_equity == view.cash


@pytest.mark.parametrize(("size", "price"), [(10, 130), (10, 70), (-10, 130), (-10, 70)])
def test_account__price_just_jumped__opening_looks_at_the_worse_of_two_prices(
    stage, trader, size, price
):
    stage.fund(trader, 1000)
    stage.trade(trader, 0, size)
    stage.price(0, price * WAD)
    view = stage.lens.account(trader)
    (leg,) = view.positions
    assert leg.mark_price == price * WAD
    assert 0 < abs(leg.stable_price - 100 * WAD) < WAD  # some seconds on its way, at 6 % an hour
    low, high = sorted((leg.mark_price, leg.stable_price))
    worse = leg.size * (low if size > 0 else high) // WAD - leg.basis
    assert view.pnl == leg.size * price - leg.basis
    assert worse <= view.pnl
    assert view.withdrawing_equity == view.cash + min(worse, 0)
    assert view.opening_equity == view.cash + (worse // 2 if worse > 0 else worse)
    # 5 % and 10 / 2m at the higher price, and 5; maintenance at the oracle's alone.
    assert leg.initial == view.initial == -(-10 * high * 50_005 // 10**6) + 5 * WAD
    assert leg.maintenance == view.maintenance == 10 * price * 25_005 * WAD // 10**6 + 5 * WAD
    stage.catch_up(0)
    (leg,) = stage.lens.account(trader).positions
    assert leg.stable_price == leg.mark_price


def test_account__several_legs__sums_of_the_positions(stage, trader):
    stage.fund(trader, 1000)
    stage.trade(trader, 0, 10)
    stage.trade(trader, 1, -20)
    stage.trade(trader, 2, 5)
    view = stage.lens.account(trader)
    assert [leg.market for leg in view.positions] == [0, 1, 2]
    assert [leg.name for leg in view.positions] == ["ALPHA", "BETA", "GAMMA"]
    for total, field in (
        (view.pnl, "pnl"),
        (view.notional, "notional"),
        (view.initial, "initial"),
        (view.maintenance, "maintenance"),
    ):
        assert total == sum(getattr(leg, field) for leg in view.positions)
    assert view.health == stage.clearinghouse.health(trader)


def test_account__sub_account__shares_nothing_with_its_owner(stage, trader):
    sub = f"0x{int(trader.address, 16) ^ 7:040x}"
    stage.fund(sub, 100)
    stage.trade(trader, 0, 1, account=sub)
    assert len(stage.lens.account(sub).positions) == 1
    assert stage.lens.account(trader).positions == []


def test_account__funding__break_even_is_where_pnl_turns(stage, trader, maker, chain):
    stage.trade(maker, 2, 5000)
    stage.fund(trader, 1000)
    stage.trade(trader, 2, "7.123456789")
    sub = f"0x{int(trader.address, 16) ^ 1:040x}"
    stage.fund(sub, 1000)
    stage.trade(trader, 2, "-3.987654321", account=sub)
    chain.pending_timestamp += 40_000
    chain.mine()
    for account in (trader.address, sub):
        leg = stage.clearinghouse.leg(account, 2)
        assert leg.rate > 0
        assert leg.index != 0
        (view,) = stage.lens.account(account).positions
        assert view.rate == leg.rate

        def pnl(price, leg=leg):
            return leg.size * (price - leg.index) // WAD - leg.basis

        assert view.pnl == pnl(leg.price)
        worse = -1 if leg.size > 0 else 1
        assert pnl(view.break_even_price) >= 0
        assert pnl(view.break_even_price + worse) < 0


# ------------------------------------------------------------------ withdrawable


@pytest.mark.parametrize("price", [100, 97, 130])
def test_account__withdrawable__passes_and_one_more_unit_does_not(stage, trader, price):
    stage.fund(trader, 200)
    stage.trade(trader, 0, 10)
    stage.trade(trader, 1, -2)
    stage.price(0, price * WAD)
    stage.catch_up(0)
    most = stage.lens.account(trader).withdrawable
    assert most > 0
    with_one_more = stage.refusal(lambda: withdraw(stage, trader, most + 1))
    assert with_one_more == "margin: below initial"
    withdraw(stage, trader, most)
    assert stage.lens.account(trader).withdrawable == 0
    assert stage.token.balanceOf(trader) == most


def test_account__flat__withdrawable_is_the_cash(stage, trader):
    stage.fund(trader, 3)
    assert stage.refusal(lambda: withdraw(stage, trader, 3 * RAW + 1)) == "margin: not enough cash"
    withdraw(stage, trader, 3 * RAW)


def test_account__below_initial__nothing_is_withdrawable(stage, trader):
    stage.fund(trader, 100)
    stage.trade(trader, 0, 10)
    stage.price(0, 95 * WAD)
    assert stage.lens.account(trader).withdrawable == 0
    assert stage.refusal(lambda: withdraw(stage, trader, 1)) == "margin: below initial"


def test_account__dead_leg__nothing_is_withdrawable_nor_buyable(stage, trader):
    stage.fund(trader, 1000)
    stage.trade(trader, 0, 1)
    stage.silence(0)
    view = stage.lens.account(trader)
    assert view.has_dead_leg
    assert (view.withdrawable, view.buying_power) == (0, 0)
    (leg,) = view.positions
    assert leg.mark_price == 100 * WAD  # the last one known
    assert stage.lens.price_status_text(leg.price_status) == "prices: not positive"
    assert stage.refusal(lambda: withdraw(stage, trader, 1)) == "margin: dead leg"


def test_account__richer_than_custody__withdrawable_is_custody(stage, trader):
    # The pool believes in 10m but has none left: a winner can be owed more than there is.
    stage.perform(
        stage.pool,
        (
            stage.clearinghouse.withdraw,
            stage.pool.address,
            stage.token.address,
            10_000_000 * RAW,
            stage.deployer.address,
        ),
    )
    stage.fund(trader, 100_000)
    stage.trade(trader, 0, 5000)
    stage.price(0, 300 * WAD)
    stage.trade(trader, 0, -5000)
    view = stage.lens.account(trader)
    assert view.cash > 900_000 * WAD
    assert view.withdrawable == 350_000 * RAW
    assert (
        stage.refusal(lambda: withdraw(stage, trader, view.withdrawable + 1))
        == "margin: not enough cash"
    )
    withdraw(stage, trader, view.withdrawable)


# ------------------------------------------------------------------ buying power and leverage


def test_account__buying_power__lowest_initial_ratio_among_open_markets(stage, trader):
    stage.fund(trader, 60)
    assert stage.lens.account(trader).buying_power == 60 * 20 * WAD
    stage.reconfigure(0, reduce_only=True)
    stage.reconfigure(2, reduce_only=True)
    assert stage.lens.account(trader).buying_power == 500 * WAD  # BETA's 12 %
    stage.reconfigure(1, reduce_only=True)
    assert stage.lens.account(trader).buying_power == 0


def test_account__no_equity_left__leverage_is_boundless(stage, trader):
    stage.fund(trader, 100)
    stage.trade(trader, 0, 10)
    stage.price(0, 80 * WAD)
    view = stage.lens.account(trader)
    assert view.equity < 0
    assert (view.leverage, view.health) == (MAX_UINT, 0)


# ------------------------------------------------------------------ liquidation price


def healthy(stage, trader, market, price):
    """Whether the account stands at `price`; the price stays there."""
    stage.price(market, price)
    health = stage.clearinghouse.health(trader)
    view = stage.lens.account(trader)
    assert view.health == health
    assert view.liquidatable == (health < WAD)
    return health >= WAD


@pytest.mark.parametrize(
    ("size", "deposit", "better"),
    [(10, 60, 1), (-10, 60, -1), ("2.718281828459045235", 20, 1), ("-0.314159265", 7, -1)],
)
def test_account__liquidation_price__one_wei_better_and_the_account_stands(
    stage, trader, size, deposit, better
):
    stage.fund(trader, deposit)
    stage.trade(trader, 0, size)
    edge = stage.lens.account(trader).positions[0].liquidation_price
    assert abs(edge - 100 * WAD) < 10 * WAD
    assert healthy(stage, trader, 0, edge + better)
    why = stage.refusal(lambda: stage.clearinghouse.liquidate(trader, sender=stage.keeper))
    assert why == "liquidation: account is healthy"
    assert not healthy(stage, trader, 0, edge)
    stage.clearinghouse.liquidate(trader, sender=stage.keeper)


def test_account__liquidation_price_of_two_legs__each_with_the_other_held_still(stage, trader):
    stage.fund(trader, 250)
    stage.trade(trader, 0, 10)
    stage.trade(trader, 1, -12)
    view = stage.lens.account(trader)
    for market, better in ((0, 1), (1, -1)):
        edge = position(view, market).liquidation_price
        assert healthy(stage, trader, market, edge + better)
        assert not healthy(stage, trader, market, edge)
        stage.price(market, 100 * WAD)


def test_account__liquidation_price_with_funding_due__counts_it_at_that_price(
    stage, trader, maker, robot, chain
):
    # What has accrued since the market was last touched goes by the price as well.
    stage.trade(maker, 2, 9000)
    for number, size, better in ((1, 10, 1), (2, -10, -1)):
        account = f"0x{int(trader.address, 16) ^ number:040x}"
        stage.fund(account, 90)
        stage.trade(trader, 2, size, account=account)
        chain.pending_timestamp += 50_000
        chain.mine()
        stage.price(2, 100 * WAD)
        edge = stage.lens.account(account).positions[0].liquidation_price
        _, stands, _, falls = stage.imagine(
            robot,
            (stage.feeds[2].set_answer, edge + better),
            (stage.clearinghouse.health, account),
            (stage.feeds[2].set_answer, edge),
            (stage.clearinghouse.health, account),
        )
        assert falls.value < WAD <= stands.value


def test_account__liquidation_price_of_dust__still_an_edge(stage, trader):
    # One lot (2**32 wei) rounded up: the smallest position there can be.
    stage.fund(trader, 60)
    stage.trade(trader, 0, 10)
    stage.trade(trader, 1, "0.0000000043")
    edge = position(stage.lens.account(trader), 0).liquidation_price
    assert healthy(stage, trader, 0, edge + 1)
    assert not healthy(stage, trader, 0, edge)


def test_account__no_price_does_it__liquidation_price_is_zero(stage, trader):
    stage.fund(trader, 1000)
    stage.trade(trader, 0, 1)
    (leg,) = stage.lens.account(trader).positions
    assert leg.liquidation_price == 0


def test_account__liquidatable_already__liquidation_price_is_the_mark(stage, trader):
    stage.fund(trader, 100)
    stage.trade(trader, 0, 10)
    stage.price(0, 92 * WAD)
    view = stage.lens.account(trader)
    assert view.liquidatable
    assert view.positions[0].liquidation_price == 92 * WAD


# ------------------------------------------------------------------ flags


def test_account__health_at_the_line__margin_call_only_below_it(stage, trader):
    stage.fund(trader, 100)
    stage.trade(trader, 0, 10)
    # Health 1.25: 10 P - 901.5055025 = 1.25 * (0.25005 P + 5).
    line = Fraction("907.7555025") / Fraction("9.6874375") * WAD
    stage.price(0, int(line) + 1)
    view = stage.lens.account(trader)
    assert view.health >= stage.lens.margin_call_line() == 125 * 10**16
    assert not view.margin_call
    stage.price(0, int(line))
    view = stage.lens.account(trader)
    assert view.health < stage.lens.margin_call_line()
    assert view.margin_call
    assert not view.liquidatable


def test_account__system_accounts__nothing_withdrawable_no_flags(stage, trader):
    stage.fund(trader, 10_000)
    stage.trade(trader, 0, -1000)  # a seller: the pool's cash falls by what it bought
    stage.perform(
        stage.pool,
        (
            stage.clearinghouse.withdraw,
            stage.pool.address,
            stage.token.address,
            9_950_000 * RAW,
            stage.deployer.address,
        ),
    )
    pool = stage.lens.account(stage.pool)
    assert pool.cash < 0
    assert pool.health == 0
    for view in (pool, stage.lens.account(stage.clearinghouse)):
        assert not view.liquidatable
        assert not view.margin_call
        assert (view.withdrawable, view.buying_power, view.positions) == (0, 0, [])
    assert stage.lens.account(stage.clearinghouse).cash > 250_000 * WAD
