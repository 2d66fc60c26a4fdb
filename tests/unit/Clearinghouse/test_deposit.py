"""deposit: whoever pays, the account gets what arrived."""

import ape
import pytest

from tests.utils.events import event, events
from tests.utils.system import MAX_UINT, ZERO, System, wad

FEE_MODE = 4


@pytest.fixture
def purse(system, house, trader):
    """The trader has 1,000 of the token, outside."""
    system.token.mint(trader, 1_000 * 10**6, sender=trader)
    system.token.approve(house, MAX_UINT, sender=trader)
    return system.token


def odd_system(project, accounts, decimals: int = 6) -> System:
    """A deployment whose quote token can misbehave; the deployer has 1,000."""
    token = accounts[0].deploy(project.OddTokenMock, decimals)
    return System(project, list(accounts), token=token, decimals=decimals)


# ------------------------------------------------------------------ who and what


def test_deposit__own_account__credits_it_and_tells(system, house, trader, purse):
    assert house.deposit.call(trader, purse, 123_456_789, sender=trader) == 123_456_789
    receipt = house.deposit(trader, purse, 123_456_789, sender=trader)
    assert events(receipt) == [
        event("Transfer", trader, house, 123_456_789),
        event("CashMoved", trader, wad("123.456789")),
        event("Deposited", trader, purse, trader, 123_456_789),
    ]
    assert system.cash(trader) == wad("123.456789")
    assert purse.balanceOf(trader) == 1_000 * 10**6 - 123_456_789


def test_deposit__again__adds_to_the_cash(system, house, trader, purse):
    custody = house.globals().custody
    house.deposit(trader, purse, 1, sender=trader)
    receipt = house.deposit(trader, purse, 999, sender=trader)
    assert events(receipt)[1] == event("CashMoved", trader, wad("0.001"))
    assert house.globals().custody == custody + 1_000


def test_deposit__anothers_account__is_paid_by_the_sender(system, house, trader, stranger, purse):
    receipt = house.deposit(stranger, purse, 5_000_000, sender=trader)
    assert events(receipt) == [
        event("Transfer", trader, house, 5_000_000),
        event("CashMoved", stranger, wad(5)),
        event("Deposited", stranger, purse, trader, 5_000_000),
    ]
    assert system.cash(stranger) == wad(5)
    assert system.cash(trader) == 0


def test_deposit__victims_allowance__cannot_be_spent_by_another(
    system, house, trader, attacker, purse
):
    # The trader has approved everything; there is no argument by which another could make him pay.
    with ape.reverts():
        house.deposit(attacker, purse, 1, sender=attacker)
    assert purse.balanceOf(trader) == 1_000 * 10**6


def test_deposit__sub_account__leaves_the_main_account_alone(system, house, trader, purse):
    sub = system.sub(trader, 255)
    house.deposit(sub, purse, 7_000_000, sender=trader)
    assert system.cash(sub) == wad(7)
    assert system.cash(trader) == 0


def test_deposit__insurance_fund__takes_it_from_anyone(system, house, trader, purse):
    before = system.cash(house)
    house.deposit(house, purse, 3_000_000, sender=trader)
    assert system.cash(house) == before + wad(3)


def test_deposit__pools_account__takes_it_from_the_pool_alone(system, house, trader, purse):
    before = system.cash(system.pool)
    with system.refuses("account: system"):
        house.deposit(system.pool, purse, 1, sender=trader)
    receipt = system.deposit(system.pool, 2)
    assert events(receipt)[1:] == [
        event("Transfer", system.pool, house, 2_000_000),
        event("CashMoved", system.pool, before + wad(2)),
        event("Deposited", system.pool, purse, system.pool, 2_000_000),
    ]


def test_deposit__zero_account__is_refused(system, house, trader, purse):
    with system.refuses("account: system"):
        house.deposit(ZERO, purse, 1, sender=trader)
    house.deposit(
        "0x" + "00" * 19 + "01", purse, 1, sender=trader
    )  # a strange account, but somebody's
    system.know("0x" + "00" * 19 + "01")


def test_deposit__zero_amount__is_refused(system, house, trader, purse):
    with system.refuses("ledger: zero amount"):
        house.deposit(trader, purse, 0, sender=trader)
    house.deposit(trader, purse, 1, sender=trader)
    assert system.cash(trader) == 10**12


def test_deposit__another_token__is_refused(system, project, house, trader, purse):
    other = trader.deploy(project.TokenMock, "Other", "O", 6)
    other.mint(trader, 10, sender=trader)
    other.approve(house, 10, sender=trader)
    for token in (other, ZERO, house.address, trader):
        with system.refuses("ledger: unknown token"):
            house.deposit(trader, token, 10, sender=trader)
    house.deposit(trader, purse, 10, sender=trader)


def test_deposit__more_than_the_balance__is_refused(system, house, trader, purse):
    with system.refuses():
        house.deposit(trader, purse, 1_000 * 10**6 + 1, sender=trader)
    house.deposit(trader, purse, 1_000 * 10**6, sender=trader)


@pytest.mark.parametrize("amount", [MAX_UINT, 2**255, 2**244])
def test_deposit__absurd_amount__is_refused(system, house, trader, purse, amount):
    with system.refuses():
        house.deposit(trader, purse, amount, sender=trader)


def test_deposit__without_an_allowance__is_refused(system, house, stranger, purse):
    purse.mint(stranger, 5, sender=stranger)
    with system.refuses():
        house.deposit(stranger, purse, 5, sender=stranger)
    purse.approve(house, 5, sender=stranger)
    house.deposit(stranger, purse, 5, sender=stranger)


def test_deposit__custody_at_its_limit__takes_that_and_no_more(system, house, trader, purse):
    limit = 2**100 // 10**12  # [raw], with 6 decimals
    room = limit - house.globals().custody
    purse.mint(trader, room + 1, sender=trader)
    with system.refuses("ledger: deposit too large"):
        house.deposit(trader, purse, room + 1, sender=trader)
    house.deposit(trader, purse, room, sender=trader)
    assert house.globals().custody == limit
    with system.refuses("ledger: deposit too large"):
        house.deposit(trader, purse, 1, sender=trader)


def test_deposit__tokens_sent_without_a_call__are_nobodys(system, house, trader, stranger, purse):
    purse.transfer(house, 400 * 10**6, sender=trader)
    assert system.cash(trader) == 0
    receipt = house.deposit(trader, purse, 1_000_000, sender=trader)
    assert events(receipt)[1] == event("CashMoved", trader, wad(1))  # not 401
    assert purse.balanceOf(house) == house.globals().custody + 400 * 10**6
    with system.refuses("margin: not enough cash"):
        house.withdraw(trader, purse, 1_000_001, trader, sender=trader)


def test_deposit__account_with_a_dead_feed__is_always_welcome(system, house, still, trader, purse):
    system.deposit(trader, 100)
    system.trade(trader, still, 1)
    system.kill(still)
    before = system.cash(trader)
    house.deposit(trader, purse, 1_000_000, sender=trader)
    assert system.cash(trader) == before + wad(1)
    assert system.position(trader, still).size == wad(1)


def test_deposit__liquidatable_account__can_save_it(system, house, still, trader, keeper, purse):
    system.deposit(trader, 100)
    system.trade(trader, still, 10)
    system.price(still, 92)
    assert house.health(trader) < wad(1)
    house.deposit(trader, purse, 50 * 10**6, sender=trader)
    assert house.health(trader) > wad(1)
    with system.refuses("liquidation: account is healthy"):
        house.liquidate(trader, sender=keeper)


# ------------------------------------------------------------------ tokens


@pytest.mark.parametrize("decimals", [0, 6, 8, 18])
def test_deposit__decimals_of_the_quote__scale_exactly(project, accounts, trader, decimals):
    system = System(project, list(accounts), decimals=decimals)
    house = system.clearinghouse
    assert house.settings().unit == 10 ** (18 - decimals)
    house.deposit(trader, system.token, 12_345, sender=system.deployer)
    assert system.cash(trader) == 12_345 * 10 ** (18 - decimals)
    with system.refuses("margin: not enough cash"):
        house.withdraw(trader, system.token, 12_346, trader, sender=trader)
    house.withdraw(trader, system.token, 12_345, trader, sender=trader)
    assert system.cash(trader) == 0
    assert system.token.balanceOf(trader) == 12_345
    system.check_conservation()


@pytest.mark.parametrize("decimals", [19, 24, 255])
def test_deposit__quote_of_over_18_decimals__cannot_be_deployed(project, accounts, decimals):
    with ape.reverts("ledger: over 18 decimals"):
        System(project, list(accounts), decimals=decimals)


def test_deposit__token_that_answers_nothing__is_fine(project, accounts, trader):
    system = odd_system(project, accounts)
    system.token.set_mode(1, sender=trader)
    receipt = system.deposit(trader, 10)
    assert events(receipt) == [
        event("CashMoved", trader, wad(10)),
        event("Deposited", trader, system.token, system.deployer, 10**7),
    ]
    system.withdraw(trader, 10)
    assert system.token.balanceOf(trader) == 10**7
    system.check_conservation()


def test_deposit__token_that_answers_false__is_refused(project, accounts, trader):
    system = odd_system(project, accounts)
    system.token.set_mode(2, sender=trader)
    with system.refuses("ledger: transfer failed"):
        system.deposit(trader, 10)
    system.token.set_mode(0, sender=trader)
    system.deposit(trader, 10)
    system.check_conservation()


def test_deposit__token_that_reverts__is_refused_with_its_reason(project, accounts, trader):
    system = odd_system(project, accounts)
    system.token.set_mode(3, sender=trader)
    with system.refuses("token: frozen"):
        system.deposit(trader, 10)


@pytest.mark.parametrize(
    ("fee_ppm", "arrived"), [(10_000, 9_900_000), (333_333, 6_666_670), (999_999, 10)]
)
def test_deposit__token_that_takes_a_fee__credits_what_arrived(
    project, accounts, trader, fee_ppm, arrived
):
    system = odd_system(project, accounts)
    house = system.clearinghouse
    system.token.set_mode(FEE_MODE, fee_ppm, sender=trader)
    assert house.deposit.call(trader, system.token, 10**7, sender=system.deployer) == arrived
    receipt = system.deposit(trader, 10)
    assert events(receipt) == [
        event("CashMoved", trader, arrived * 10**12),
        event("Deposited", trader, system.token, system.deployer, arrived),
    ]
    assert house.globals().custody == system.token.balanceOf(house) == arrived
    system.check_conservation()


def test_deposit__token_that_keeps_everything__is_refused(project, accounts, trader):
    system = odd_system(project, accounts)
    system.token.set_mode(FEE_MODE, 10**6, sender=trader)
    with system.refuses("ledger: zero amount"):
        system.deposit(trader, 10)
