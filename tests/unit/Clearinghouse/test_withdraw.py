"""withdraw: the owner, to anyone, what neither losses nor the initial requirement hold back."""

import ape
import pytest

from tests.utils import exact
from tests.utils.bytecode import deploy_runtime, reverting
from tests.utils.events import event, events
from tests.utils.system import DAY, MAX_UINT, ZERO, System, wad

# ------------------------------------------------------------------ who, what, where to


def test_withdraw__own_cash__pays_and_tells(system, house, trader):
    system.deposit(trader, 100)
    custody = house.globals().custody
    receipt = house.withdraw(trader, system.token, 40_000_001, trader, sender=trader)
    assert events(receipt) == [
        event("CashMoved", trader, wad("59.999999")),
        event("Transfer", house, trader, 40_000_001),
        event("Withdrawn", trader, system.token, trader, 40_000_001),
    ]
    assert system.cash(trader) == wad("59.999999")
    assert system.token.balanceOf(trader) == 40_000_001
    assert house.globals().custody == custody - 40_000_001


def test_withdraw__everything__leaves_an_empty_account(system, house, trader):
    system.deposit(trader, 100)
    with system.refuses("margin: not enough cash"):
        system.withdraw(trader, "100.000001")
    system.withdraw(trader, 100)
    assert house.header(trader) == 0
    with system.refuses("margin: not enough cash"):
        system.withdraw(trader, "0.000001")


def test_withdraw__to_another__pays_him(system, house, trader, stranger):
    system.deposit(trader, 100)
    receipt = house.withdraw(trader, system.token, 1, stranger, sender=trader)
    assert events(receipt)[2] == event("Withdrawn", trader, system.token, stranger, 1)
    assert system.token.balanceOf(stranger) == 1
    assert system.token.balanceOf(trader) == 0


@pytest.mark.parametrize("number", [1, 128, 255])
def test_withdraw__sub_account__is_its_owners(system, house, trader, stranger, number):
    sub = system.sub(trader, number)
    system.deposit(sub, 5)
    with system.refuses("account: not yours"):
        house.withdraw(sub, system.token, 1, stranger, sender=stranger)
    house.withdraw(sub, system.token, 5_000_000, trader, sender=trader)
    assert system.token.balanceOf(trader) == 5_000_000


@pytest.mark.parametrize("number", [256, 257, 2**159])
def test_withdraw__address_beyond_the_last_byte__is_not_his(system, house, trader, number):
    other = system.sub(trader, number)
    system.deposit(other, 5)
    with system.refuses("account: not yours"):
        house.withdraw(other, system.token, 1, trader, sender=trader)


@pytest.mark.parametrize("who", ["pool", "clearinghouse", "zero", "victim"])
def test_withdraw__account_of_another__is_refused(system, house, attacker, victim, who):
    system.deposit(victim, 5)
    account = {
        "pool": system.pool,
        "clearinghouse": house,
        "zero": ZERO,
        "victim": victim,
    }[who]
    with system.refuses("account: not yours"):
        house.withdraw(account, system.token, 1, attacker, sender=attacker)


def test_withdraw__zero_amount__is_refused(system, house, trader):
    system.deposit(trader, 1)
    with system.refuses("ledger: zero amount"):
        house.withdraw(trader, system.token, 0, trader, sender=trader)
    house.withdraw(trader, system.token, 1, trader, sender=trader)


def test_withdraw__another_token__is_refused(system, house, trader):
    system.deposit(trader, 1)
    for token in (ZERO, house, trader):
        with system.refuses("ledger: unknown token"):
            house.withdraw(trader, token, 1, trader, sender=trader)
    house.withdraw(trader, system.token, 1, trader, sender=trader)


def test_withdraw__to_nobody_or_to_the_house_itself__is_refused(system, house, trader):
    system.deposit(trader, 1)
    for receiver in (ZERO, house):
        with system.refuses("withdraw: bad receiver"):
            house.withdraw(trader, system.token, 1, receiver, sender=trader)
    house.withdraw(trader, system.token, 1, system.token, sender=trader)  # his own affair


@pytest.mark.parametrize(
    "amount",
    [
        MAX_UINT,
        2**255,
        MAX_UINT // 10**12,  # what would wrap in WAD,
        MAX_UINT // 10**12 + 1,
        MAX_UINT // 10**12 + 2,  # and come out as little as this
        2**244,
    ],
)
def test_withdraw__absurd_amount__is_refused(system, house, trader, amount):
    system.deposit(trader, 1)
    with system.refuses("margin: not enough cash"):
        house.withdraw(trader, system.token, amount, trader, sender=trader)


def test_withdraw__account_with_nothing__is_refused(system, house, stranger):
    with system.refuses("margin: not enough cash"):
        house.withdraw(stranger, system.token, 1, stranger, sender=stranger)


def test_withdraw__more_than_custody_by_the_pool__is_refused(system, house):
    custody = house.globals().custody
    call = (house.withdraw, system.pool.address, system.token.address)
    with system.refuses("margin: not enough cash"):
        system.perform(system.pool, (*call, custody + 1, system.pool.address))
    receipt = system.perform(system.pool, (*call, custody, system.pool.address))
    # Its contract keeps its lines (LPV-3): the ledger lets its cash go below zero, as basis.
    assert system.cash(system.pool) == wad(10_000_000) - custody * 10**12 < 0
    assert events(receipt)[0] == event("CashMoved", system.pool, wad(-1_000))


# ------------------------------------------------------------------ rounding


def test_withdraw__cash_between_two_units_of_the_token__rounds_down(system, house, still, trader):
    system.deposit(trader, 1_000)
    system.trade(trader, still, 10)
    system.trade(trader, still, -10)
    # 10 at 100 * (1 + 5 / 1m + 0.1 %) = 100.1005 and 10 at 100 * (1 + 5 / 1m - 0.1 %) = 99.9005: 2 lost,
    # and a fee of 0.05 % on both notionals: 0.5005025 + 0.4995025.
    assert system.cash(trader) == wad("996.999995")
    with system.refuses("margin: not enough cash"):
        system.withdraw(trader, "996.999996")
    # A lot of base is worth less than half a unit of the token.
    system.trade_wad(trader, still, exact.LOT)
    system.trade_wad(trader, still, -exact.LOT)
    cash = system.cash(trader)
    assert 0 < wad("996.999995") - cash < 10**12
    with system.refuses("margin: not enough cash"):
        system.withdraw(trader, "996.999995")
    system.withdraw(trader, "996.999994")
    assert system.cash(trader) == cash - wad("996.999994") > 0


# ------------------------------------------------------------------ with positions


def test_withdraw__down_to_the_initial_requirement__and_no_wei_further(fine, trader):
    system, house, still = fine, fine.clearinghouse, fine.markets[0]
    system.deposit(trader, 1_000)
    system.trade(trader, still, 10)
    # Bought at 100.1005: a loss of 1.005 and a fee of 0.5005025.
    # Required: 1,000 * (5 % + 10 / 2m) + 5 = 55.005.
    free = wad("1000") - wad("0.5005025") - wad("1.005") - wad("55.005")
    with system.refuses("margin: below initial"):
        house.withdraw(trader, system.token, free + 1, trader, sender=trader)
    house.withdraw(trader, system.token, free, trader, sender=trader)
    assert system.cash(trader) == wad("56.01")
    with system.refuses("margin: below initial"):
        house.withdraw(trader, system.token, 1, trader, sender=trader)


def test_withdraw__short_position__holds_back_as_much(fine, trader):
    system, house, still = fine, fine.clearinghouse, fine.markets[0]
    system.deposit(trader, 1_000)
    system.trade(trader, still, -10)
    # Sold at 99.8995: a loss of 1.005 and a fee of 0.4994975.
    free = wad("1000") - wad("0.4994975") - wad("1.005") - wad("55.005")
    with system.refuses("margin: below initial"):
        house.withdraw(trader, system.token, free + 1, trader, sender=trader)
    house.withdraw(trader, system.token, free, trader, sender=trader)


def test_withdraw__crowded_market__asks_for_its_depth(fine, trader, maker):
    system, house, still = fine, fine.clearinghouse, fine.markets[0]
    system.deposit(trader, 1_000)
    system.deposit(maker, 100_000)
    system.trade(trader, still, 10)
    system.trade(maker, still, 4_990)
    # The skew is 5,000 now: 1,000 * (5 % + 5,000 / 2m) + 5 = 57.5, of all who are in the market.
    free = wad("1000") - wad("0.5005025") - wad("1.005") - wad("57.5")
    with system.refuses("margin: below initial"):
        house.withdraw(trader, system.token, free + 1, trader, sender=trader)
    house.withdraw(trader, system.token, free, trader, sender=trader)


def test_withdraw__paper_profit__cannot_be_taken(fine, trader):
    system, house, still = fine, fine.clearinghouse, fine.markets[0]
    system.deposit(trader, 100)
    system.trade(trader, still, 10)
    system.hold(still, 200)
    # Required at the new price: 2,000 * (5 % + 10 / 2m) + 5 = 105.01; the profit of 998.995 counts nothing.
    with system.refuses("margin: below initial"):
        house.withdraw(trader, system.token, 1, trader, sender=trader)
    system.deposit(trader, 10)
    free = wad("110") - wad("0.5005025") - wad("105.01")
    with system.refuses("margin: below initial"):
        house.withdraw(trader, system.token, free + 1, trader, sender=trader)
    house.withdraw(trader, system.token, free, trader, sender=trader)
    # Realised, it is cash.
    system.trade(trader, still, -10)
    house.withdraw(trader, system.token, wad(1_000), trader, sender=trader)


def test_withdraw__paper_loss__counts_in_full(fine, trader):
    system, house, still = fine, fine.clearinghouse, fine.markets[0]
    system.deposit(trader, 1_000)
    system.trade(trader, still, 10)
    system.hold(still, 90)
    # Lost 101.005 on paper; required 900 * (5 % + 10 / 2m) + 5 = 50.0045.
    free = wad("1000") - wad("0.5005025") - wad("101.005") - wad("50.0045")
    with system.refuses("margin: below initial"):
        house.withdraw(trader, system.token, free + 1, trader, sender=trader)
    house.withdraw(trader, system.token, free, trader, sender=trader)


def test_withdraw__profit_of_one_leg__offsets_the_loss_of_another_but_adds_nothing(fine, trader):
    system, house = fine, fine.clearinghouse
    still, _, reef = fine.markets
    system.deposit(trader, 1_000)
    system.trade(trader, still, 10)
    system.trade(trader, reef, -10)
    cash = system.cash(trader)
    system.hold(still, 90)
    system.hold(reef, 90)
    # The short's profit of 98.995 covers most of the long's loss of 101.005.
    required = wad("50.0045") + wad("108.0045") + wad("2.5")  # 900 * (12 % + 10 / 2m) + 2.5
    free = cash - wad("2.01") - required
    with system.refuses("margin: below initial"):
        house.withdraw(trader, system.token, free + 1, trader, sender=trader)
    house.withdraw(trader, system.token, free, trader, sender=trader)


def test_withdraw__funding_owed__is_counted_first(fine, trader):
    system, house, tide = fine, fine.clearinghouse, fine.markets[1]
    system.deposit(trader, 200_000)
    system.trade(trader, tide, 10_000)
    cash, opened = system.cash(trader), system.state(tide)[1].touched_at
    basis = system.position(trader, tide).basis
    system.travel(DAY // 2)
    system.price(tide, 100)

    def free_at(time: int) -> int:
        dt = time - opened
        rate = exact.rate_after(0, wad(10_000), tide.scale, 500_000, 10_000, dt)
        index = exact.index_after(0, 0, rate, wad(100), dt)
        pnl = exact.pnl(wad(10_000), basis, wad(100), index)
        required = exact.initial(wad(10_000), wad(10_000), wad(100), tide.scale, 50_000, wad(5))
        return cash + min(pnl, 0) - required

    time = system.now() + 1  # when the next block will be
    # In half a day the rate has gone from 0 to 0.25 % a day: 625 owed on a million.
    assert wad(620) < free_at(opened) - free_at(time) < wad(630)
    with system.refuses("margin: below initial"):
        house.withdraw(trader, system.token, free_at(time) + 1, trader, sender=trader)
    time = system.now() + 1
    receipt = house.withdraw(trader, system.token, free_at(time), trader, sender=trader)
    assert receipt.timestamp == time


def test_withdraw__negative_cash__is_refused_whatever_the_profit(
    system, house, still, reef, trader
):
    system.deposit(trader, 200)
    system.trade(trader, still, 10)
    system.trade(trader, reef, 10)
    system.price(still, 75)
    system.price(reef, 200)
    system.trade(trader, still, -10)  # realises more than his cash, which the other leg carries
    assert system.cash(trader) < 0
    assert house.health(trader) > wad(1)
    with system.refuses("margin: not enough cash"):
        system.withdraw(trader, "0.000001")


# ------------------------------------------------------------------ dead legs


@pytest.mark.parametrize("how", ["stale", "zero", "negative", "future", "no round", "low", "high"])
def test_withdraw__dead_leg__waits_for_its_feed(system, house, still, trader, how):
    system.deposit(trader, 1_000)
    system.trade(trader, still, 10)
    now = system.now()
    answer, updated_at = {
        "stale": (100 * 10**8, now - DAY - 1),
        "zero": (0, now),
        "negative": (-1, now),
        "future": (100 * 10**8, now + 1_000),
        "no round": (100 * 10**8, 0),
        "low": (1 * 10**8, now),
        "high": (10_000 * 10**8, now),
    }[how]
    system.round(still, answer, updated_at)
    with system.refuses("margin: dead leg"):
        system.withdraw(trader, 1)
    system.price(still, 100)
    system.withdraw(trader, 1)


def test_withdraw__dead_feed_of_a_market_he_is_not_in__is_nothing_to_him(
    system, still, reef, trader
):
    system.deposit(trader, 1_000)
    system.trade(trader, reef, 1)
    system.kill(still)
    system.withdraw(trader, 1)


def test_withdraw__flat_account__needs_no_feed(system, house, still, trader):
    system.deposit(trader, 1_000)
    system.trade(trader, still, 10)
    system.trade(trader, still, -10)
    for market in system.markets:
        system.kill(market)
    cash = system.cash(trader)
    house.withdraw(trader, system.token, cash // 10**12, trader, sender=trader)
    assert system.cash(trader) == cash % 10**12


# ------------------------------------------------------------------ tokens


@pytest.mark.parametrize(("mode", "reason"), [(2, "ledger: transfer failed"), (3, "token: frozen")])
def test_withdraw__token_that_will_not_pay__changes_nothing(
    project, accounts, trader, mode, reason
):
    token = accounts[0].deploy(project.OddTokenMock, 6)
    system = System(project, list(accounts), token=token)
    system.deposit(trader, 10)
    token.set_mode(mode, sender=trader)
    with system.refuses(reason):
        system.withdraw(trader, 10)
    token.set_mode(0, sender=trader)
    system.withdraw(trader, 10)
    assert token.balanceOf(trader) == 10**7
    system.check_conservation()


def test_withdraw__token_that_takes_a_fee__costs_the_receiver(project, accounts, trader):
    token = accounts[0].deploy(project.OddTokenMock, 6)
    system = System(project, list(accounts), token=token)
    system.deposit(trader, 10)
    token.set_mode(4, 10_000, sender=trader)
    receipt = system.withdraw(trader, 10)
    assert events(receipt)[0] == event("CashMoved", trader, 0)
    assert token.balanceOf(trader) == 9_900_000
    system.check_conservation()


def test_withdraw__to_a_receiver_that_the_token_refuses__stops_that_call_only(
    system, house, trader
):
    system.deposit(trader, 10)
    # The mock token pays anyone; a codeless receiver and a contract are the same to it.
    raw = deploy_runtime(system.deployer, reverting(0))
    house.withdraw(trader, system.token, 1, raw, sender=trader)
    assert system.token.balanceOf(raw) == 1
    with ape.reverts("account: not yours"):
        house.withdraw(raw, system.token, 1, trader, sender=trader)
