"""liquidate and liquidate_many: every live leg closed on the curve, what is left shared out, what is missing absorbed."""

import ape
import pytest

from plimsoll import slots
from plimsoll.formulas import STALE
from tests.utils import exact
from tests.utils.bytecode import cold_reads, deploy_runtime, returning, reverting, words
from tests.utils.events import event, events, named
from tests.utils.system import DAY, MAX_UINT, ZERO, System, wad

POOL = wad(10_000_000)
FUND = wad(1_000)


@pytest.fixture
def long(system, still, trader):
    """The trader is long 10 at 100.1005 with 99.4994975 left; the pool and the fund have had their parts."""
    system.deposit(trader, 100)
    system.trade(trader, still, 10)
    return trader


def after_opening(system: System) -> tuple[int, int]:
    """Cash of the pool and of the insurance fund."""
    return system.cash(system.pool), system.cash(system.clearinghouse)


# ------------------------------------------------------------------ one leg, by hand


def test_liquidate__enough_left__charges_reward_and_fee_and_leaves_the_rest(
    system, house, still, long, keeper
):
    pool, fund = after_opening(system)
    system.price(still, "92.5")
    assert house.liquidate.call(long, sender=keeper) == wad("6.85")
    receipt = system.liquidate(long, keeper)
    # Sold at 92.5 * (1 + (10 - 5) / 1m) = 92.5004625; 99.4994975 + 925.004625 - 1,001.005 = 23.4991225 is left.
    # Flat 5, fee 1 % of 925 = 9.25, a fifth of it the keeper's.
    assert events(receipt) == [
        event(
            "Fill",
            long,
            still.id,
            -wad(10),
            wad("92.5004625"),
            0,
            0,
            slots.pack_state_a(slots.StateA(0, wad("92.5"), 0)),
            slots.pack_state_b(
                slots.StateB(
                    touched_at=receipt.timestamp, surge_ppm=10, steady=still.steady(wad(100))
                )
            ),
        ),
        event("CashMoved", long, wad("9.2491225")),
        event("CashMoved", system.pool, pool - wad("925.004625")),
        event("CashMoved", house, fund + wad("7.4")),
        event("CashMoved", keeper, wad("6.85")),
        # Equity 23.4944975 at the oracle's price; required 925 * (2.5 % + 10 / 2m) + 5.
        event(
            "Liquidated",
            long,
            keeper,
            wad("23.4944975"),
            wad("28.129625"),
            wad(925),
            wad("14.25"),
            wad("6.85"),
        ),
    ]
    assert system.header(long) == (wad("9.2491225"), 0, 0)
    assert system.position(long, still) == (0, 0)
    assert system.book().exposure == 0
    assert house.health(long) == MAX_UINT


def test_liquidate__short__is_the_mirror(system, house, reef, trader, keeper):
    system.deposit(trader, 160)
    system.trade(trader, reef, -10)
    pool, fund = after_opening(system)
    system.price(reef, 110)
    receipt = system.liquidate(trader, keeper)
    # Sold at 99.8995, bought back at 110 * (1 + (-10 + 5) / 1m) = 109.99945: -1,099.9945 + 998.995.
    left = wad("159.5005025") - wad("100.9995")
    charged, reward = wad("2.5") + wad(11), wad("2.5") + wad("2.2")
    assert events(receipt) == [
        event(
            "Fill",
            trader,
            reef.id,
            wad(10),
            wad("109.99945"),
            0,
            0,
            slots.pack_state_a(slots.StateA(0, wad(110), 0)),
            slots.pack_state_b(
                slots.StateB(
                    touched_at=receipt.timestamp, surge_ppm=10, steady=reef.steady(wad(100))
                )
            ),
        ),
        event("CashMoved", trader, left - charged),
        event("CashMoved", system.pool, pool + wad("1099.9945")),
        event("CashMoved", house, fund + wad("8.8")),
        event("CashMoved", keeper, reward),
        event(
            "Liquidated",
            trader,
            keeper,
            wad("159.5005025") - wad("101.005"),
            wad("66.0055") + wad("2.5"),
            wad(1_100),
            charged,
            reward,
        ),
    ]


def test_liquidate__less_than_the_fee_left__takes_what_there_is(system, house, still, long, keeper):
    _, fund = after_opening(system)
    system.price(still, "90.95")
    receipt = system.liquidate(long, keeper)
    # 909.5045475 of proceeds leave 7.999045: flat 5 and 2.999045 of the fee, a fifth of it the keeper's.
    assert events(receipt)[-1][-2:] == (wad("7.999045"), wad("5.599809"))
    assert system.cash(long) == 0
    assert system.cash(house) == fund + wad("2.399236")
    assert not named(receipt, "BadDebt")


def test_liquidate__little_left__keeps_the_cost_of_closing_before_the_keepers_share(
    system, house, still, long, keeper
):
    _, fund = after_opening(system)
    system.price(still, "90.83")
    receipt = system.liquidate(long, keeper)
    # 908.3045415 leave 6.799039: flat 5, fee 1.799039. Closing is reckoned at 1.25 * 0.15 % of 908.3 = 1.7030625,
    # which the system keeps: the keeper's share is what is over.
    assert events(receipt)[-1][-2:] == (wad("6.799039"), wad("5.0959765"))
    assert system.cash(house) == fund + wad("1.7030625")


def test_liquidate__less_left_than_flat_and_closing__cuts_the_flat_reward(
    system, house, still, long, keeper
):
    _, fund = after_opening(system)
    system.price(still, "90.55")
    receipt = system.liquidate(long, keeper)
    # 905.5045275 leave 3.999025; the system keeps 1.25 * 0.15 % of 905.5 = 1.6978125, the keeper gets the rest.
    assert events(receipt)[-1][-2:] == (wad("3.999025"), wad("2.3012125"))
    assert system.cash(long) == 0
    assert system.cash(house) == fund + wad("1.6978125")


def test_liquidate__next_to_nothing_left__is_topped_up_to_the_flat_reward(
    system, house, still, long, keeper
):
    _, fund = after_opening(system)
    system.price(still, "90.2")
    receipt = system.liquidate(long, keeper)
    # 902.00451 leave 0.4990075: closing would have cost more.
    assert events(receipt)[-1][-2:] == (wad("0.4990075"), wad(5))
    assert system.cash(long) == 0
    assert system.cash(house) == fund - wad("4.5009925")
    assert system.cash(keeper) == wad(5)


def test_liquidate__bankrupt_account__ends_at_zero_at_the_funds_expense(
    system, house, still, long, keeper
):
    pool, fund = after_opening(system)
    system.price(still, 80)
    nav = system.book().nav
    receipt = system.liquidate(long, keeper)
    # Sold at 80 * (1 + 5 / 1m) = 80.0004: 99.4994975 + 800.004 - 1,001.005 = -101.5015025.
    assert events(receipt) == [
        event(
            "Fill",
            long,
            still.id,
            -wad(10),
            wad("80.0004"),
            0,
            0,
            slots.pack_state_a(slots.StateA(0, wad(80), 0)),
            slots.pack_state_b(
                slots.StateB(
                    touched_at=receipt.timestamp, surge_ppm=10, steady=still.steady(wad(100))
                )
            ),
        ),
        event("BadDebt", long, wad("101.5015025"), 0),
        event("CashMoved", long, 0),
        event("CashMoved", system.pool, pool - wad("800.004")),
        event("CashMoved", house, fund - wad("101.5015025") - wad(5)),
        event("CashMoved", keeper, wad(5)),
        event(
            "Liquidated",
            long,
            keeper,
            wad("-101.5055025"),
            wad("25.004"),
            wad(800),
            0,
            wad(5),
        ),
    ]
    assert house.header(long) == 0
    assert system.book().nav == nav


def test_liquidate__fund_too_small__leaves_the_rest_to_the_pool(
    system, house, still, trader, keeper
):
    system.deposit(trader, 7_000)
    system.trade(trader, still, 1_000)
    pool, fund = after_opening(system)
    cash, basis = system.cash(trader), system.position(trader, still).basis
    system.price(still, 90)
    receipt = system.liquidate(trader, keeper)
    f = exact.fill_price(wad(90), wad(1_000), -wad(1_000), still.scale)
    owed = -(cash + 1_000 * f - basis)
    assert owed > fund > 0
    assert named(receipt, "BadDebt") == [event("BadDebt", trader, fund, owed - fund)]
    assert system.cash(trader) == 0
    assert system.cash(house) == 0
    assert system.cash(system.pool) == pool - 1_000 * f - (owed - fund)
    # The loss is off the pool's known NAV at once; and with the fund empty nobody tops the keeper up.
    assert system.book().nav == slots.kept_nav(POOL - (owed - fund))
    assert system.cash(keeper) == 0
    assert named(receipt, "CashMoved") == [
        event("CashMoved", trader, 0),
        event("CashMoved", system.pool, pool - 1_000 * f - (owed - fund)),
        event("CashMoved", house, 0),
    ]


def test_liquidate__fund_with_less_than_a_reward_left__tops_up_with_that(
    system, house, still, trader, keeper
):
    system.deposit(trader, 7_000)
    system.trade(trader, still, 1_000)
    _, fund = after_opening(system)
    cash, basis = system.cash(trader), system.position(trader, still).basis

    def owed(answer: int) -> int:
        f = exact.fill_price(answer * 10**10, wad(1_000), -wad(1_000), still.scale)
        return -(cash + 1_000 * f - basis)

    low, high = 90 * 10**8, 95 * 10**8  # where the debt leaves the fund just something
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if owed(middle) > fund else (low, middle)
    system.round(still, high, system.now())
    rest = fund - owed(high)
    assert 0 < rest < wad(5)
    receipt = system.liquidate(trader, keeper)
    assert named(receipt, "BadDebt") == [event("BadDebt", trader, owed(high), 0)]
    assert system.cash(keeper) == rest
    assert system.cash(house) == 0


# ------------------------------------------------------------------ whom


@pytest.mark.parametrize("less", [0, 1])
def test_liquidate__health_of_exactly_one__is_healthy_and_a_wei_less_is_not(
    fine, trader, keeper, less
):
    system, house, still = fine, fine.clearinghouse, fine.markets[0]
    # At 92 he has cash + 920 - 1,001.005 and must have 920 * (2.5 % + 10 / 2m) + 5 = 28.0046.
    cash = wad("28.0046") + wad("81.005")
    system.clearinghouse.deposit(
        trader, system.token, cash + wad("0.5005025") - less, sender=system.deployer
    )
    system.trade(trader, still, 10)
    system.price(still, 92)
    if less:
        assert house.health(trader) < wad(1)
        system.liquidate(trader, keeper)
    else:
        assert house.health(trader) == wad(1)
        with system.refuses("liquidation: account is healthy"):
            system.liquidate(trader, keeper)


def test_liquidate__healthy_account__is_refused_even_below_initial(
    system, house, still, long, keeper
):
    system.price(still, 95)
    assert house.health(long) > wad(1)
    with system.refuses("margin: below initial"):
        system.trade(long, still, 1)
    with system.refuses("liquidation: account is healthy"):
        system.liquidate(long, keeper)


def test_liquidate__account_with_nothing_or_with_cash_alone__is_healthy(
    system, trader, stranger, keeper
):
    system.deposit(trader, 1)
    for account in (trader, stranger):
        with system.refuses("liquidation: account is healthy"):
            system.liquidate(account, keeper)


def test_liquidate__system_account__is_refused(system, house, still, long, keeper):
    system.price(still, 80)
    for account in (system.pool, house, ZERO):
        with system.refuses("account: system"):
            system.liquidate(account, keeper)
    system.liquidate(long, keeper)


def test_liquidate__twice__is_refused(system, still, long, keeper):
    system.price(still, 80)
    system.liquidate(long, keeper)
    with system.refuses("liquidation: account is healthy"):
        system.liquidate(long, keeper)


def test_liquidate__by_the_owner__pays_him_the_reward(system, still, long):
    system.price(still, "92.5")
    receipt = system.liquidate(long, long)
    # The same numbers as above; his own account is written twice, and nothing is lost between.
    assert named(receipt, "CashMoved")[0] == event("CashMoved", long, wad("9.2491225"))
    assert named(receipt, "CashMoved")[-1] == event("CashMoved", long, wad("16.0991225"))
    assert system.cash(long) == wad("16.0991225")


def test_liquidate__by_the_owner_of_a_sub_account__pays_his_main_account(system, still, trader):
    sub = system.sub(trader, 7)
    system.deposit(sub, 100)
    system.trade(trader, still, 10, account=sub)
    system.price(still, "92.5")
    system.liquidate(sub, trader)
    assert system.cash(sub) == wad("9.2491225")
    assert system.cash(trader) == wad("6.85")


def test_liquidate__by_the_pool__pays_the_pool(system, house, still, long):
    pool, _ = after_opening(system)
    system.price(still, "92.5")
    system.perform(system.pool, (house.liquidate, long.address))
    assert system.cash(system.pool) == pool - wad("925.004625") + wad("6.85")


def test_liquidate__what_is_left__can_be_withdrawn(system, house, still, long, keeper):
    system.price(still, "92.5")
    system.liquidate(long, keeper)
    house.withdraw(long, system.token, 9_249_122, long, sender=long)
    house.withdraw(keeper, system.token, 6_850_000, keeper, sender=keeper)


def test_liquidate__moves_no_token(system, still, long, keeper):
    system.price(still, 80)
    assert not named(system.liquidate(long, keeper), "Transfer")


# ------------------------------------------------------------------ the insurance fund's top-up


def test_liquidate__small_position__is_topped_up_by_a_hundredth_of_it(
    system, still, trader, keeper
):
    system.deposit(trader, 20)
    system.trade(trader, still, 2)
    system.price(still, 80)
    receipt = system.liquidate(trader, keeper)
    assert events(receipt)[-1][-1] == wad("1.6")  # 1 % of 160


def test_liquidate__several_legs__are_topped_up_by_one_reward(system, still, reef, trader, keeper):
    system.deposit(trader, 250)
    system.trade(trader, still, 10)
    system.trade(trader, reef, 10)
    system.price(still, 80)
    system.price(reef, 80)
    receipt = system.liquidate(trader, keeper)
    assert events(receipt)[-1][-1] == wad(5)  # the greater of 5 and 2.5


def test_liquidate__many_in_one_block__share_the_blocks_allowance(
    system, house, still, trader, keeper
):
    subs = [system.sub(trader, n) for n in range(1, 7)]
    for sub in subs:
        system.deposit(sub, 100)
        system.trade(trader, still, 10, account=sub)
    system.price(still, 80)
    assert house.liquidate_many.call(subs, sender=keeper) == wad(20)
    receipt = house.liquidate_many(subs, sender=keeper)
    assert [e[-1] for e in named(receipt, "Liquidated")] == [wad(5)] * 4 + [0, 0]
    assert system.cash(keeper) == wad(20)
    assert house.globals().topped_up == slots.pack_period(receipt.block_number, wad(20))


def test_liquidate__next_block__has_an_allowance_of_its_own(system, house, still, trader, keeper):
    subs = [system.sub(trader, n) for n in range(1, 6)]
    for sub in subs:
        system.deposit(sub, 100)
        system.trade(trader, still, 10, account=sub)
    system.price(still, 80)
    house.liquidate_many(subs[:4], sender=keeper)
    receipt = system.liquidate(subs[4], keeper)
    assert named(receipt, "Liquidated")[0][-1] == wad(5)
    assert house.globals().topped_up == slots.pack_period(receipt.block_number, wad(5))


# ------------------------------------------------------------------ several legs


def test_liquidate__profit_and_loss__offset_each_other(system, house, still, reef, trader, keeper):
    system.deposit(trader, 200)
    system.trade(trader, still, 10)
    system.trade(trader, reef, -5)
    system.price(still, 80)
    system.price(reef, 80)
    assert house.health(trader) > wad(
        1
    )  # it gains 100 on the one of the 200 that it loses on the other
    with system.refuses("liquidation: account is healthy"):
        system.liquidate(trader, keeper)
    system.price(still, 74)
    receipt = system.liquidate(trader, keeper)
    assert [e[2:4] for e in named(receipt, "Fill")] == [(still.id, -wad(10)), (reef.id, wad(5))]
    assert system.header(trader).bitmap == 0


def test_liquidate__legs_of_both_sides__sum_up_in_one_bill(
    system, house, still, reef, trader, maker, keeper
):
    system.deposit(maker, 100_000)
    system.trade(maker, still, 500)
    system.trade(maker, reef, -700)
    system.deposit(trader, 360)
    long, short = wad(10), -wad(12)
    system.trade_wad(trader, still, long)
    system.trade_wad(trader, reef, short)
    cash = system.cash(trader)
    basis = system.position(trader, still).basis, system.position(trader, reef).basis
    pool, fund = after_opening(system)
    system.price(still, 89)
    system.price(reef, 112)

    equity = cash + exact.pnl(long, basis[0], wad(89)) + exact.pnl(short, basis[1], wad(112))
    required = exact.maintenance(long, wad(89), still.scale, 25_000, wad(5))
    required += exact.maintenance(short, wad(112), reef.scale, 60_000, wad("2.5"))
    sold = exact.fill_price(wad(89), wad(510), -long, still.scale)
    bought = exact.fill_price(wad(112), -wad(712), -short, reef.scale)
    costs = exact.cost(-long, sold) + exact.cost(-short, bought)
    left = cash - sum(basis) - costs
    notional = 10 * wad(89) + 12 * wad(112)
    charged = wad("7.5") + notional // 100
    reward = wad("7.5") + notional // 500
    assert 0 < equity < required and left > charged

    receipt = system.liquidate(trader, keeper)
    assert [e[:5] for e in named(receipt, "Fill")] == [
        event("Fill", trader, still.id, -long, sold),
        event("Fill", trader, reef.id, -short, bought),
    ]
    assert named(receipt, "CashMoved", "Liquidated") == [
        event("CashMoved", trader, left - charged),
        event("CashMoved", system.pool, pool + costs),
        event("CashMoved", house, fund + charged - reward),
        event("CashMoved", keeper, reward),
        event("Liquidated", trader, keeper, equity, required, notional, charged, reward),
    ]
    assert system.state(still)[0].skew == wad(500)
    assert system.state(reef)[0].skew == -wad(700)


def test_liquidate__funding__is_settled_first(system, house, tide, trader, keeper):
    system.deposit(trader, 63_000)
    opened = system.trade(trader, tide, 10_000).timestamp
    cash, basis = system.cash(trader), system.position(trader, tide).basis
    for _ in range(4):
        system.travel(DAY - 60)
        system.price(tide, 100)
    receipt = system.liquidate(trader, keeper)
    # The rate reaches its clamp of 1 % a day after two days: over 4 days some 3 % of a million.
    dt = receipt.timestamp - opened
    b = system.state(tide)[1]
    assert b.rate == wad("0.01")
    index = exact.index_after(0, 0, wad("0.01"), wad(100), 2 * DAY)
    index = exact.index_after(index, wad("0.01"), wad("0.01"), wad(100), dt - 2 * DAY)
    assert abs(b.funding_index - index) <= 4 * 100  # a wei of the mean rate, over four days, at 100
    index = b.funding_index
    f = exact.fill_price(wad(100), wad(10_000), -wad(10_000), tide.scale)
    left = cash - basis - exact.cost(-wad(10_000), f, index)
    equity = cash + exact.pnl(wad(10_000), basis, wad(100), index)
    liquidated = named(receipt, "Liquidated")[0]
    assert liquidated[3] == equity
    assert liquidated[-2] == wad(10_005) < left
    assert system.cash(trader) == left - wad(10_005)
    assert named(receipt, "Fill")[0][4] == f


# ------------------------------------------------------------------ dead legs


def two_legs(system: System, trader) -> tuple:
    """Long 5 of STILL and 5 of REEF with 150."""
    still, _, reef = system.markets
    system.deposit(trader, 150)
    system.trade(trader, still, 5)
    system.trade(trader, reef, 5)
    return still, reef


def test_liquidate__dead_leg__stays_open_while_the_live_one_closes(system, house, trader, keeper):
    still, reef = two_legs(system, trader)
    cash = system.cash(trader)
    system.kill(reef)
    system.price(still, 79)
    assert house.health(trader) < wad(1)  # REEF at 100, its last good price
    receipt = system.liquidate(trader, keeper)
    f = exact.fill_price(wad(79), wad(5), -wad(5), still.scale)
    left = cash + 5 * f - wad("500.50125")
    assert [e[2] for e in named(receipt, "Fill")] == [still.id]
    assert system.position(trader, reef) == (wad(5), wad("500.50125"))
    assert system.header(trader).bitmap == 1 << reef.id
    # A reward for the one leg that was closed, and 1 % of its 395; a fifth of that to the keeper.
    assert system.cash(trader) == left - wad(5) - wad("3.95")
    assert named(receipt, "Liquidated")[0][-2:] == (wad("8.95"), wad("5.79"))


def test_liquidate__dead_leg_with_a_profit_on_paper__pays_no_fee_from_it(
    system, house, trader, keeper
):
    still, reef = two_legs(system, trader)
    cash = system.cash(trader)
    system.price(reef, 120)
    house.poke(reef.id, sender=keeper)
    system.kill(reef)
    system.price(still, 57)
    receipt = system.liquidate(trader, keeper)
    f = exact.fill_price(wad(57), wad(5), -wad(5), still.scale)
    left = cash + 5 * f - wad("500.50125")
    assert left < 0  # and the paper profit of 99.5 is more than that
    assert house.leg(trader, reef.id).price == wad(120)
    # Nothing is charged, nothing absorbed: the debt stays while the dead leg does. Closing would have ended in
    # debt, so the keeper is topped up.
    assert not named(receipt, "BadDebt")
    assert system.cash(trader) == left
    assert named(receipt, "Liquidated")[0][-2:] == (0, wad("2.85"))


def test_liquidate__only_a_dead_leg_left__returns_nothing_and_moves_nothing(
    system, house, trader, keeper
):
    still, reef = two_legs(system, trader)
    system.kill(reef)
    system.price(still, 60)
    system.liquidate(trader, keeper)
    debt = system.cash(trader)
    assert debt < 0
    assert house.health(trader) == 0
    pool, fund, has = system.cash(system.pool), system.cash(house), system.cash(keeper)
    assert house.liquidate.call(trader, sender=keeper) == 0
    receipt = system.liquidate(trader, keeper)
    assert events(receipt) == [
        event("CashMoved", trader, debt),
        event(
            "Liquidated",
            trader,
            keeper,
            debt - wad("0.50125"),
            exact.maintenance(wad(5), wad(100), reef.scale, 60_000, wad("2.5")),
            0,
            0,
            0,
        ),
    ]
    assert (pool, fund, has) == tuple(system.cash(a) for a in (system.pool, house, keeper))


def test_liquidate__feed_returns__closes_the_rest_and_absorbs_the_debt(
    system, house, trader, keeper
):
    still, reef = two_legs(system, trader)
    system.kill(reef)
    system.price(still, 60)
    system.liquidate(trader, keeper)
    debt = -system.cash(trader)
    fund = system.cash(house)
    system.price(reef, 99)
    receipt = system.liquidate(trader, keeper)
    f = exact.fill_price(wad(99), wad(5), -wad(5), reef.scale)
    owed = debt + wad("500.50125") - 5 * f
    assert named(receipt, "BadDebt") == [event("BadDebt", trader, owed, 0)]
    assert house.header(trader) == 0
    assert system.cash(house) == fund - owed - wad("2.5")


@pytest.mark.parametrize(
    "how",
    [
        "stale",
        "zero",
        "negative",
        "future",
        "no round",
        "low",
        "high",
        "down",
        "hungry",
        "three words",
        "nothing",
    ],
)
def test_liquidate__feed_dead_in_any_way__does_not_stop_the_other_leg(
    system, project, trader, keeper, how
):
    feed = system.deployer.deploy(project.FaultyFeedMock, 8, 100 * 10**8)
    odd, still = system.list_market("ODD", feed=feed), system.markets[0]
    system.deposit(trader, 150)
    system.trade(trader, odd, 5)
    system.trade(trader, still, 5)
    now = system.now()
    rounds = {
        "stale": (100 * 10**8, now - DAY - 60),
        "zero": (0, now),
        "negative": (-1, now),
        "future": (100 * 10**8, now + 1_000),
        "no round": (100 * 10**8, 0),
        "low": (10**8, now),
        "high": (10_000 * 10**8, now),
    }
    modes = {"down": 1, "hungry": 2, "three words": 3, "nothing": 4}
    if how in rounds:
        system.round(odd, *rounds[how])
    else:
        feed.set_mode(modes[how], sender=trader)
    system.price(still, 75)
    receipt = system.liquidate(trader, keeper)
    assert [e[2] for e in named(receipt, "Fill")] == [still.id]
    assert system.header(trader).bitmap == 1 << odd.id
    feed.set_mode(0, sender=trader)
    system.round(odd, 75 * 10**8, system.now())
    system.liquidate(trader, keeper)
    assert system.header(trader).bitmap == 0


@pytest.mark.parametrize("tail", [returning(10**6), reverting(10**6), returning(0)])
def test_liquidate__feed_that_answers_a_megabyte__does_not_stop_the_other_leg(
    loose, trader, keeper, tail
):
    still, reef = two_legs(loose, trader)
    runtime = words(1, 100 * 10**8, loose.now(), loose.now(), 1) + tail
    loose.configure(reef, feed=deploy_runtime(loose.deployer, runtime).address)
    loose.price(still, 79)
    receipt = loose.liquidate(trader, keeper)
    assert [e[2] for e in named(receipt, "Fill")] == [still.id]
    assert receipt.gas_used < 300_000


def test_liquidate__stale_answer_newer_than_the_stored_price__values_the_dead_leg(
    system, house, trader, keeper
):
    still, reef = two_legs(system, trader)
    at = system.now() + 1
    system.price(reef, 90)  # a day from now this is stale, but it is the best there is
    system.travel(DAY + 60)
    system.price(still, 100)
    leg = house.leg(trader, reef.id)
    assert (leg.price, leg.status) == (wad(90), STALE)
    assert reef.feed.latestRoundData()[3] == at
    # An older answer than the stored price is not.
    system.price(reef, 95)
    house.poke(reef.id, sender=keeper)
    system.round(reef, 90 * 10**6, system.now() - DAY - 60)
    leg = house.leg(trader, reef.id)
    assert (leg.price, leg.status) == (wad(95), STALE)


# ------------------------------------------------------------------ gas


def test_liquidate__too_little_gas_for_the_feeds__is_refused_whole(system, still, long, keeper):
    system.price(still, 80)
    reverted = []
    for gas in (60_000, 80_000, 100_000, 120_000, 140_000, 160_000, 180_000, 250_000):
        with ape.chain.isolate():
            try:
                system.clearinghouse.liquidate(long, sender=keeper, gas=gas)
            except ape.exceptions.ContractLogicError as error:
                reverted.append(error.revert_message)
                assert system.position(long, still).size == wad(10)
            else:
                reverted.append(None)
                assert system.position(long, still).size == 0
    assert reverted[-1] is None
    assert "prices: too little gas" in reverted


def test_liquidate__expensive_feed__is_never_made_to_look_dead(loose, trader, keeper):
    """A feed that needs nearly all the gas it may have: with less, the call must fail and not the feed."""
    still, reef = two_legs(loose, trader)
    runtime = cold_reads(26) + words(1, 100 * 10**8, loose.now(), loose.now(), 1) + returning(160)
    loose.configure(reef, feed=deploy_runtime(loose.deployer, runtime).address)
    loose.price(still, 79)
    outcomes = set()
    for gas in range(120_000, 480_000, 20_000):
        with ape.chain.isolate():
            try:
                loose.clearinghouse.liquidate(trader, sender=keeper, gas=gas)
            except (ape.exceptions.ContractLogicError, ape.exceptions.OutOfGasError):
                outcomes.add("refused")
            else:
                outcomes.add(loose.header(trader).bitmap)
    assert outcomes == {"refused", 0}


# ------------------------------------------------------------------ liquidate_many


def test_liquidate_many__mixed_list__does_what_it_can(
    system, house, still, trader, maker, keeper, stranger
):
    for owner in (trader, maker):
        system.deposit(owner, 100)
        system.trade(owner, still, 10)
    system.deposit(stranger, 1)
    healthy = system.sub(trader, 1)
    system.deposit(healthy, 1_000)
    system.trade(trader, still, 10, account=healthy)
    system.price(still, "92.5")
    accounts = [ZERO, trader, healthy, system.pool, house, stranger, trader, maker]
    total = house.liquidate_many.call(accounts, sender=keeper)
    receipt = house.liquidate_many(accounts, sender=keeper)
    assert [(e[0], e[1]) for e in named(receipt, "Fill", "Liquidated")] == [
        ("Fill", trader),
        ("Liquidated", trader),
        ("Fill", maker),
        ("Liquidated", maker),
    ]
    rewards = [e[-1] for e in named(receipt, "Liquidated")]
    assert total == sum(rewards) == wad("13.7")
    assert system.cash(keeper) == total
    assert system.position(healthy, still).size == wad(10)
    # Each pays the curve as the one before it left it, and the surge adds up: 10 and 10 ppm.
    skews = [wad(30), wad(20)]
    assert [e[4] for e in named(receipt, "Fill")] == [
        exact.fill_price(wad("92.5"), k, -wad(10), still.scale) for k in skews
    ]
    assert system.state(still)[1].surge_ppm == 20


def test_liquidate_many__nobody__changes_nothing(system, house, still, long, keeper):
    before = system.digest()
    assert house.liquidate_many.call([], sender=keeper) == 0
    receipt = house.liquidate_many([], sender=keeper)
    assert events(receipt) == []
    assert events(house.liquidate_many([long, keeper, ZERO], sender=keeper)) == []
    assert system.digest() == before


def test_liquidate_many__sixty_four__is_the_most(system, house, still, long, keeper):
    system.price(still, "92.5")
    with system.refuses():
        house.liquidate_many([long] * 65, sender=keeper)
    receipt = house.liquidate_many([long] * 64, sender=keeper)
    assert len(named(receipt, "Liquidated")) == 1


def test_liquidate_many__one_reverting_for_gas__reverts_all(system, house, still, long, keeper):
    system.price(still, "92.5")
    with system.refuses("prices: too little gas"):
        house.liquidate_many([long], sender=keeper, gas=85_000)
    house.liquidate_many([long], sender=keeper)


def test_liquidate_many__truncated_list__reads_what_is_missing_as_nobody(
    system, house, still, long, keeper
):
    """Calldata that promises three accounts and brings one: the compiler reads zeros, and zero is skipped."""
    system.price(still, "92.5")
    whole = bytes(house.liquidate_many.encode_input([long.address] * 3))
    puppet = system.puppet()
    receipt = puppet.act([(house.address, whole[:-64])], sender=keeper)
    assert [e[1:3] for e in named(receipt, "Liquidated")] == [(long, puppet)]
    assert system.cash(puppet) == wad("6.85")


# ------------------------------------------------------------------ LIQ-6, by hand


@pytest.mark.parametrize("price", ["90.29", "90.3", "90.315", "90.32", "90.5", "91", "92.5"])
def test_liquidate__where_closing_is_possible__costs_owner_and_keeper_no_less(
    system, house, still, price
):
    owner = system.puppet()
    system.deposit(owner, 100)
    system.perform(owner, (house.trade, owner.address, still.id, wad(10), MAX_UINT))
    system.price(still, price)
    close, closed = system.imagine(
        owner, (house.trade, owner.address, still.id, -wad(10), 0), (house.header, owner.address)
    )
    liquidation, liquidated = system.imagine(
        owner, (house.liquidate, owner.address), (house.header, owner.address)
    )
    assert close.reason is None and liquidation.reason is None
    assert slots.unpack_header(liquidated.value).cash <= slots.unpack_header(closed.value).cash
