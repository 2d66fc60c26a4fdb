"""G. Collateral, debt and the auction: 15 to 17, 32, 91 to 102, and what has no number.

The venue is two markets at 3,000 without fee, spread or funding, and ether, bitcoin and a dollar as
collateral (tests/utils/backed.py), so that whatever moves is what the attack moved.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from plimsoll.fuzz.chain import Contract
from plimsoll.slots import WAD
from tests.utils.backed import DAY, MAX, PPM, PRICE, YEAR, Backed, coin, named

ETH, BTC, USD = range(3)
Make = Callable[..., Backed]

WEIGHED = "worth: uint256 = unsafe_div(unsafe_mul(amount, h.price), WAD)"
ARRIVED = "arrived: uint256 = self._balance(token) - before"
OWES = "if everybodys > ledger._credit & slots.MASK_96 or self._over_ratio(debt, tokens):"
DISCOUNTED = "h.kept_ppm = unsafe_sub(PPM, token.t0 >> slots.DISCOUNT)"
HAIRCUT = "PPM - weight_ppm >= discount_ppm + fee_ppm"


def in_trouble(b: Backed, account: str = "alice", size: int = 100, ether: int = 20) -> None:
    """An account of ether alone, long so far that a third off the market takes it below the line."""
    b.back(account, ETH, ether * WAD)
    b.do("trade", account.split(".", maxsplit=1)[0], account, 0, size * WAD)


def lot_of(b: Backed, account: str = "alice", keeper: str = "keeper") -> int:
    """Liquidate an account into a lot of ether; the lot."""
    in_trouble(b, account)
    b.market_price(2_600)
    b.do("liquidate", keeper, account)
    return b.lots() - 1


def rich(b: Backed, *wallets: str, quote: int = 10_000_000) -> None:
    """Quote tokens for buyers."""
    for wallet in wallets:
        b.do("mint", wallet, quote * b.raw)


# ------------------------------------------------------------------ 15 to 17: what a token is worth


@pytest.mark.defence(
    "modules/prices.vy",
    "elif answer >= 2**96 or told <= min_price or told >= max_price:",
    "elif answer >= 2**96 or told <= min_price:",
)
def test_15__feed_of_a_token_spikes_past_its_bound__takes_and_opens_nothing(backed_of: Make):
    """Moonwell, November 2025: wrsETH was 5.8m for an hour, and a tenth of a token borrowed all there
    was. Past the bounds of its listing a price is none: the token cannot come in and opens nothing."""
    b = backed_of()
    b.back("mallory", ETH, WAD // 10)
    b.do("mint", "mallory", WAD, ETH)
    b.price(ETH, 300_000)  # the bound itself: exclusive
    assert b.holding("mallory", ETH).initial == 0
    assert b.holding("mallory", ETH).price == 3_000 * WAD
    assert b.attempt("deposit", "mallory", "mallory", "coin0", WAD).reason == (
        "prices: out of bounds"
    )
    assert b.attempt("trade", "mallory", "mallory", 0, WAD).reason == "margin: below initial"


@pytest.mark.defence(
    "modules/collateral.vy",
    "unsafe_mul(PPM, unsafe_add(scale, depth))",
    "unsafe_mul(PPM, scale + 0 * depth)",
)
def test_15__feed_of_a_token_spikes_within_its_bounds__counts_for_no_more_than_its_scale(
    backed_of: Make,
):
    """The same inside the bounds, where the feed is believed: BOUNDED. However many tokens there are and
    however many accounts they are in, they count for less than the scale at that price and weight,
    even where it stands so long that the stable price, which is at 3,180 after an hour, gets there."""
    b = backed_of()
    cap = b.setup.coins[ETH].terms["cap"]
    for account in ("mallory", "mallory.1", "mallory.2"):
        b.back(account, ETH, cap // 3)
    b.price(ETH, 100_000)
    for _ in range(65):  # 1.06 ** 61 is 35
        b.wait(3_600)
        b.do("poke_token", "mallory", "coin0")
    assert b.holding("mallory", ETH).stable == 100_000 * WAD
    scale = b.setup.coins[ETH].terms["scale"]
    counts = sum(b.holding(a, ETH).initial for a in ("mallory", "mallory.1", "mallory.2"))
    assert 0 < counts < scale * 100_000 * 8 // 10


@pytest.mark.defence(
    "modules/ledger.vy", ARRIVED, "arrived: uint256 = self._balance(token) + 0 * before"
)
def test_16__donation_of_a_token__lifts_nobody_and_is_nobodys(backed_of: Make):
    """Curve LlamaLend, March 2026; Venus, 2025 and 2026; Resupply: a donation to a vault lifted the price
    of its share. Nothing is priced by a balance here: a gift to the Clearinghouse moves no account, is
    in no account, and does not come out with the next deposit. A token whose own contract prices it by
    its reserves must not have such a feed: what is read is the feed alone."""
    b = backed_of()
    b.back("mallory", ETH, WAD)
    b.back("alice", ETH, WAD)
    before = b.holding("mallory", ETH)
    b.do("mint", "fund", 1_000 * WAD, ETH)
    assert b.holding("mallory", ETH) == before
    b.back("mallory", ETH, WAD)
    assert b.held("mallory", ETH) == 2 * WAD
    refused = b.attempt("withdraw", "mallory", "mallory", "coin0", 2 * WAD + 1, "mallory")
    assert refused.reason == "margin: not enough tokens"


@pytest.mark.defence("modules/collateral.vy", WEIGHED, "worth: uint256 = amount + 0 * h.price")
def test_17__stablecoin_below_one__counts_for_what_its_feed_says(backed_of: Make):
    """Predy (sherlock 2024-02 #118), Velar (2024-08 #52), Hubble (2023-04 #69); USDe at 0.65 in October
    2025: a stablecoin taken for one while it trades for less is bought outside and borrowed on."""
    b = backed_of()
    b.back("mallory", USD, 100_000 * 10**6)
    b.price(USD, 0.7)
    h = b.holding("mallory", USD)
    assert h.initial < 70_000 * WAD * 8 // 10
    assert h.maintenance < 70_000 * WAD * 85 // 100
    assert h.credit == 70_000 * WAD * 92 // 100
    most = h.initial * 10 // PRICE  # at an initial margin of a tenth, a little more by depth
    assert b.attempt("trade", "mallory", "mallory", 0, most).reason == "margin: below initial"
    # Nor does it buy shares of the pool, which takes the quote.
    b.do("mint", "mallory", 10**6 * 10**6, USD)
    entry = b.pool.call("deposit", 10**6 * 10**6, b.at("mallory"), 0, sender=b.at("mallory"))
    assert not entry.ok


# ------------------------------------------------------------------ 32: debt


@pytest.mark.defence(
    "modules/ledger.vy", "    if header >> 255 == 0 or account == POOL:\n", "    if True:\n"
)
def test_32__loss_left_as_a_debt_beside_ether__pays_interest_to_the_pool(backed_of: Make):
    """Derived; JOJO, Derive: a deficit in the quote beside other collateral is a loan without interest.
    The attacker loses 50,000 to his accomplice, who takes it out of the venue. The debt that he leaves
    behind costs both of them a year's interest, and the pool is richer by as much."""
    b = backed_of()
    b.back("mallory", ETH, 100 * WAD)
    b.fund("bob", 100_000)
    b.do("trade", "mallory", "mallory", 0, 50 * WAD)
    b.do("trade", "bob", "bob", 0, -50 * WAD)
    b.market_price(2_000)
    for who, size in (("mallory", -50), ("bob", 50)):
        b.do("trade", who, who, 0, size * WAD)
    b.do("withdraw", "bob", "bob", "token", 150_000 * b.raw - 1, "bob")
    owed = -b.cash("mallory")
    assert 49_000 * WAD < owed < 51_000 * WAD
    wealth, nav = b.wealth("mallory", "bob"), b.nav()
    b.wait(YEAR)
    b.do("mint", "mallory", 1)
    b.do("deposit", "mallory", "mallory", "token", 1)
    rate = owed * 30_000 // (1_000_000 * WAD)  # [ppm] five hundredths of the cap at 3 %
    interest = owed * rate // PPM
    assert b.wealth("mallory", "bob") <= wealth - interest * 99 // 100
    assert b.nav() >= nav + interest * 99 // 100


@pytest.mark.defence("Clearinghouse.vy", OWES, "if False:")
def test_32__more_debt_than_half_of_the_collateral__nothing_goes_out_and_anybody_converts(
    backed_of: Make,
):
    """The same up to its bound: while a debt is past half of what stands behind it, no token goes out and
    no position is added, and anybody may sell ether for it until it is not."""
    b = backed_of()
    b.back("mallory", ETH, 50 * WAD)
    b.owe("mallory", 70_000 * WAD)
    allowed = b.holding("mallory", ETH).initial // 2
    assert allowed < 70_000 * WAD
    for amount in (1, WAD, 10 * WAD):
        reason = b.attempt("withdraw", "mallory", "mallory", "coin0", amount, "mallory").reason
        assert reason == "caps: debt"
    assert b.attempt("trade", "mallory", "mallory", 0, WAD).reason == "caps: debt"
    calls = 0
    while b.attempt("convert", "bob", "mallory").ok:
        calls += 1
    assert calls == 2
    assert -b.cash("mallory") <= b.holding("mallory", ETH).maintenance // 2


def test_32__global_cap_of_debt__stops_who_comes_next_and_converts_nobody(backed_of: Make):
    """The same over many accounts: the sum of all debts has a cap of its own. It stops what would add to
    it; it is no reason to convert anybody, or whoever fills it would choose whose tokens are sold."""
    b = backed_of(credit={"debt_cap": 50_000 * WAD})
    for who in ("alice", "mallory"):
        b.back(who, ETH, 100 * WAD)
    b.owe("alice", 30_000 * WAD)
    b.do("withdraw", "alice", "alice", "coin0", 1, "alice")
    b.owe("mallory", 20_001 * WAD)
    for who in ("alice", "mallory"):
        assert b.attempt("withdraw", who, who, "coin0", 1, who).reason == "caps: debt"
        assert b.attempt("convert", "bob", who).reason == "convert: not called"
    b.do("mint", "mallory", 10 * 10**6)
    b.do("deposit", "mallory", "mallory", "token", 10 * 10**6)
    b.do("withdraw", "alice", "alice", "coin0", 1, "alice")


# ------------------------------------------------------------------ 91 to 95: the auction


@pytest.mark.defence(
    "CollateralAuction.vy",
    "self._pack(amount, token, 0, block.timestamp, block.timestamp)",
    "self._pack(amount, token, (self._lots[max(id, 1) - 1].sale >> 136) & slots.MASK_32, "
    "block.timestamp, block.timestamp)",
)
def test_91__dust_left_in_a_lot_until_the_floor__the_next_seizure_starts_at_the_top(
    backed_of: Make,
):
    """Hubble (sherlock 2023-04 #168): a wei left in an auction kept it alive, and what was seized later
    went at its old price. Each seizure is a lot of its own, with a clock of its own."""
    b = backed_of()
    rich(b, "mallory")
    first = lot_of(b)
    b.do("buy", "mallory", first, b.lot(first).amount - 1, None, "mallory")
    for _ in range(4):
        b.wait(3_600)
        b.do("tick", "mallory", first)
    b.market_price(PRICE)
    second = lot_of(b, "mallory.1", "mallory")
    assert second == first + 1
    assert b.lot(first).amount == 1
    worth = b.lot(second).amount * 3_000 // 10**12
    assert b.cost(second, b.lot(second).amount) >= worth * 102 // 100
    assert b.cost(first, WAD) == 3_000 * 10**6 * 92 // 100


@pytest.mark.defence("CollateralAuction.vy", "min(elapsed, duration)", "elapsed")
def test_92__wait_for_ever__a_lot_never_goes_below_its_floor(backed_of: Make):
    """JOJO (sherlock 2023-04 #369), Abracadabra: collateral sold for less and less until it is free."""
    b = backed_of()
    lot = lot_of(b)
    floor = 3_000 * 10**6 * 92 // 100
    assert b.cost(lot, WAD) == 3_000 * 10**6 * 102 // 100
    for seconds in (7_199, 7_200, 7_201, 10_000, 10**6, 2**31):
        cost = b.auction.call("cost_of", lot, WAD, seconds)
        assert cost.ok
        assert cost.value == floor + (1 if seconds == 7_199 else 0) * (cost.value - floor)
        assert cost.value >= floor


@pytest.mark.defence("Clearinghouse.vy", "if (held >> id) & 1 == 0:", "if False:")
def test_seizure__feeds_of_tokens_that_he_does_not_hold__are_not_read(backed_of: Make):
    """Fifteen feeds that burn what they are given, of tokens that others hold: a seizure took 1.25m gas, and
    takes 0.28m."""
    b = backed_of(coins=[coin(3_000) for _ in range(16)], credit={"debt_cap": 10**7 * WAD})
    b.back("bob", 15, 100 * WAD)
    b.owe("bob", 100_000 * WAD, 1)
    b.price(15, 1_050)
    for id in range(15):
        b.kill(id, "burn")
    b.system.gas = 300_000
    assert b.attempt("liquidate", "keeper", "bob").ok
    assert b.lots() == 1


@pytest.mark.defence(
    "CollateralAuction.vy",
    "max(min(updated_at, sale >> 208), seen_at) - seen_at",
    "max(updated_at, seen_at) - seen_at",
)
@pytest.mark.defence("CollateralAuction.vy", "    prices.must_be_live(status)\n", "")
def test_92__feed_dead_in_the_middle_of_an_auction__nobody_buys_and_its_time_does_not_count(
    backed_of: Make,
):
    """A lot whose price nobody knows is not for sale, and does not get cheaper meanwhile."""
    b = backed_of()
    rich(b, "mallory")
    lot = lot_of(b)
    b.kill(ETH)
    b.wait(6 * 3_600, fresh=False)
    assert b.attempt("buy", "mallory", lot, WAD, None, "mallory").reason == "prices: feed failed"
    assert b.attempt("tick", "mallory", lot).reason == "prices: feed failed"
    b.kill(ETH, "ok")
    b.price(ETH, 3_000)
    assert b.cost(lot, WAD) == 3_000 * 10**6 * 102 // 100


@pytest.mark.defence("modules/collateral.vy", DISCOUNTED, "h.kept_ppm = PPM + 0 * token.t0")
def test_92__liquidated_by_his_accomplice_who_buys_his_lot__no_richer_together(backed_of: Make):
    """The liquidated buys his own collateral, at the floor if nobody else came: what he was credited with
    is no more than that."""
    b = backed_of()
    rich(b, "bob")
    in_trouble(b, "mallory")
    b.market_price(2_600)
    before = b.wealth("mallory", "bob")
    b.do("liquidate", "bob", "mallory")
    lot = b.lots() - 1
    b.wait(7_200, fresh=False)
    assert b.cost(lot, WAD) == 3_000 * 10**6 * 92 // 100
    b.do("buy", "bob", lot, b.lot(lot).amount, None, "bob")
    # Closing gave back the premium of his own size on the curve, 100^2 / 2S at this price.
    premium = 100 * 100 * 2_600 * WAD // (2 * 10_000_000)
    assert b.wealth("mallory", "bob") <= before + premium


@pytest.mark.defence(
    "CollateralAuction.vy", "return fixed_point.ceil_div(worth, UNIT)", "return worth // UNIT"
)
def test_93__lot_bought_in_crumbs__each_costs_a_unit_at_least(backed_of: Make):
    """Whatever costs less than a unit of the quote rounds to nothing, and is taken a million times."""
    b = backed_of()
    rich(b, "mallory")
    lot = lot_of(b)
    crumb = 10**8  # 0.3 of a unit of the quote, at 3,000
    before, bought = b.purse("mallory"), 0
    for amount in [1, 1, crumb, crumb, crumb, 3 * crumb + 1, 10**12 + 7]:
        assert b.do("buy", "mallory", lot, amount, None, "mallory").value >= 1
        bought += amount
    assert before - b.purse("mallory") >= b.cost(lot, bought)
    assert b.purse("mallory", ETH) == bought


@pytest.mark.defence("CollateralAuction.vy", "    if cost > max_cost:", "    if False:")
def test_94__price_goes_up_under_a_buyer__pays_no_more_than_he_said(backed_of: Make):
    """Predy (sherlock 2024-02 #121): the price of a sale moved between the look and the purchase: here by
    a new round of the feed, or because the owner has given the token a greater premium."""
    b = backed_of()
    rich(b, "alice")
    lot = lot_of(b)
    b.wait(3_600)
    b.do("tick", "keeper", lot)
    seen = b.cost(lot, WAD)
    with b.imagined():
        b.price(ETH, 3_001)
        reason = b.attempt("buy", "alice", lot, WAD, seen, "alice").reason
        assert reason == "auction: cost above maximum"
    with b.imagined():
        b.do("configure_coin", "owner", ETH, ETH, {"premium_ppm": 300_000})
        reason = b.attempt("buy", "alice", lot, WAD, seen, "alice").reason
        assert reason == "auction: cost above maximum"
    assert b.attempt("buy", "alice", lot, WAD, seen - 1, "alice").reason is not None
    assert b.do("buy", "alice", lot, WAD, seen, "alice").value == seen


@pytest.mark.defence("Configurator.vy", f"assert {HAIRCUT}", "assert True")
def test_95__discount_and_fee_greater_than_the_haircut__cannot_be_set(backed_of: Make):
    """Zaros, 2024: collateral counted for more than its sale brings. What a seizure credits, less its fee,
    is never less than what the tokens counted for, so a conversion never lowers a health."""
    b = backed_of()
    b.back("alice", ETH, 100 * WAD)
    b.owe("alice", 127_000 * WAD)
    for changes in (
        {"discount_ppm": 130_001},
        {"maintenance_weight_ppm": 900_001},
        {"discount_ppm": 100_000, "maintenance_weight_ppm": 880_001},
    ):
        refused = b.attempt("configure_coin", "owner", ETH, ETH, changes)
        assert refused.reason == "configurator: haircut"
    for fee in (70_001, 100_000):
        terms = {**b.setup.credit, "liquidation_fee_ppm": fee}
        assert b.attempt("configure_credit", "owner", terms).reason == "configurator: haircut"
    b.do("configure_coin", "owner", ETH, ETH, {"discount_ppm": 130_000})
    before = b.cash("alice") + b.holding("alice", ETH).maintenance
    b.do("convert", "bob", "alice")
    assert b.cash("alice") + b.holding("alice", ETH).maintenance >= before


# ------------------------------------------------------------------ 96 to 99: bad tokens


def odd(b: Backed, decimals: int = 18, price: int = 3_000, **terms: Any) -> Contract:
    """List a token of the bad sort, which everybody has approved; its number is the next one."""
    from plimsoll.fuzz.artifacts import compile_contract

    chain, system = b.chain, b.system
    token = chain.deploy(compile_contract("mocks/OddTokenMock.vy"), decimals)
    number = len(system.coins)
    system.setup.coins.append(coin(price, decimals, **terms))
    b.do("feed", 8, price * 10**8)
    system.coins.append(token)
    system.names[f"coin{number}"] = token.address
    system.model.decimals[token.address] = decimals
    for wallet in ("alice", "bob", "mallory", "keeper", "lender"):
        token.call("approve", b.house.address, MAX, sender=b.at(wallet))
        token.call("mint", b.at(wallet), 10**6 * 10**decimals)
    b.do("list_coin", "owner", f"coin{number}", number, {})
    return token


def odd_lot(b: Backed) -> Contract:
    """A lot of such a token, seized from alice, and a mallory who can buy it."""
    token = odd(b)
    b.do("deposit", "alice", "alice", "coin0", 20 * WAD)
    b.do("trade", "alice", "alice", 0, 100 * WAD)
    b.market_price(2_600)
    b.do("liquidate", "keeper", "alice")
    rich(b, "mallory")
    return token


def behave(token: Contract, mode: int, fee_ppm: int = 0) -> None:
    """Its habits from now on: see OddTokenMock."""
    assert token.call("set_mode", mode, fee_ppm).ok


def test_lots__of_a_token_that_nobody_can_move_any_more__count_while_its_feed_lives(
    backed_of: Make,
):
    """KNOWN LIMITATION. Nobody buys such a lot, and nobody may write it off."""
    b = backed_of([], insurance_cash=0)
    token = odd_lot(b)
    behave(token, 3)
    assert not b.attempt("buy", "mallory", 0, "all", None, "mallory").ok
    b.wait(31 * DAY)
    assert b.attempt("write_off", "keeper", 0).reason == "auction: not to be written off"
    by_live = b.system.auction.view("worth")[0]
    assert by_live == b.system.auction.view("owed_to_pool") > 0


@pytest.mark.defence("modules/ledger.vy", ARRIVED, "arrived: uint256 = amount + 0 * before")
@pytest.mark.parametrize("fee_ppm", [1, 10_000, 333_333, 999_999])
def test_96__deposit_collateral_that_keeps_a_part__credit_is_what_arrived(
    backed_of: Make, fee_ppm: int
):
    """Unstoppable (sherlock 2023-06 #40), Tracer (c4 2021-06 M-03): credited with what was sent, taken out
    with what others brought."""
    b = backed_of([])
    token = odd(b)
    b.do("deposit", "alice", "alice", "coin0", 100 * WAD)
    behave(token, 4, fee_ppm)
    arrived = 10 * WAD - 10 * WAD * fee_ppm // PPM
    b.attempt("deposit", "mallory", "mallory", "coin0", 10 * WAD)
    assert b.held("mallory", 0) == arrived
    assert b.total(0) == 100 * WAD + arrived == token.view("balanceOf", b.house.address)
    before = token.view("balanceOf", b.at("mallory"))
    b.attempt("withdraw", "mallory", "mallory", "coin0", arrived, "mallory")
    got = token.view("balanceOf", b.at("mallory")) - before
    assert got == arrived - arrived * fee_ppm // PPM
    behave(token, 0)
    b.attempt("withdraw", "alice", "alice", "coin0", 100 * WAD, "alice")
    assert token.view("balanceOf", b.house.address) == 0


def test_96__bought_from_a_lot_with_a_fee__the_buyer_pays_for_all_and_bears_the_fee(
    backed_of: Make,
):
    """The same on its way out of the auction: whoever buys such a token gets less of it, and nobody else
    any the less."""
    b = backed_of([])
    token = odd_lot(b)
    behave(token, 4, 10_000)
    before, cost = token.view("balanceOf", b.at("mallory")), b.cost(0, WAD)
    assert b.attempt("buy", "mallory", 0, WAD, None, "mallory").value == cost
    assert token.view("balanceOf", b.at("mallory")) - before == WAD * 99 // 100
    assert b.total(0) == token.view("balanceOf", b.house.address)


@pytest.mark.defence(
    "modules/ledger.vy",
    "if not extcall token.transfer(receiver, amount, default_return_value=True):",
    "if not extcall token.transfer(receiver, amount, default_return_value=True) and False:",
)
def test_97__collateral_that_answers_false__nobody_is_debited_or_credited_for_it(backed_of: Make):
    """Tracer (c4 2021-06 M-02), Elfi (sherlock 2024-05 M-10): a transfer that answers false and moves
    nothing, counted. Deposit, withdrawal and purchase are refused; liquidation moves no token at all."""
    b = backed_of([])
    token = odd(b)
    b.do("deposit", "alice", "alice", "coin0", 20 * WAD)
    b.do("deposit", "bob", "bob", "coin0", WAD)
    b.do("trade", "alice", "alice", 0, 100 * WAD)
    b.market_price(2_600)
    rich(b, "mallory")
    behave(token, 2)
    b.do("liquidate", "keeper", "alice")
    quote = b.purse("mallory")
    for op in (
        ("deposit", "bob", "bob", "coin0", WAD),
        ("withdraw", "bob", "bob", "coin0", WAD, "bob"),
        ("buy", "mallory", 0, WAD, None, "mallory"),
    ):
        assert b.attempt(*op).reason == "ledger: transfer failed", op
    assert (b.held("bob", 0), b.purse("mallory")) == (WAD, quote)
    behave(token, 1)  # answers nothing, as the oldest tokens do: that is a yes
    assert b.attempt("withdraw", "bob", "bob", "coin0", WAD, "bob").ok
    assert b.attempt("deposit", "bob", "bob", "coin0", WAD).ok
    assert b.attempt("buy", "mallory", 0, WAD, None, "mallory").ok


@pytest.mark.defence("Clearinghouse.vy", "# pragma nonreentrancy on", "# pragma nonreentrancy off")
def test_98__collateral_that_calls_back__is_credited_once_and_lets_nothing_in(backed_of: Make):
    """Flat Money (sherlock 2023-12 #75), Cream: a token that calls its sender between the two readings of
    a balance. In the middle of its deposit, withdrawal or purchase it can do nothing with the venue."""
    b = backed_of([])
    token = odd(b)
    house, me = b.house, token.address
    b.do("deposit", "alice", "alice", "coin0", 20 * WAD)
    b.do("trade", "alice", "alice", 0, 100 * WAD)
    b.market_price(2_600)
    b.do("liquidate", "keeper", "alice")
    rich(b, "mallory")

    def data(contract: Contract, name: str, *args: Any) -> tuple[str, bytes]:
        function = contract.interface.functions[name]
        return contract.address, function.selector + function.inputs.encode(args)

    assert token.call("mint", me, 100 * WAD).ok
    setup = [
        data(token, "approve", house.address, MAX),
        data(house, "deposit", me, me, 10 * WAD),
    ]
    assert token.call("act", setup).ok
    inner = [
        data(house, "deposit", me, me, WAD),
        data(house, "withdraw", me, me, WAD, me),
        data(house, "poke_token", me),
        data(house, "settle", b.at("alice")),
        data(house, "liquidate", b.at("alice")),
        data(house, "convert_collateral", b.at("alice")),
    ]
    for op in (
        ("deposit", "mallory", "mallory", "coin0", 5 * WAD),
        ("withdraw", "mallory", "mallory", "coin0", 2 * WAD, "mallory"),
        ("buy", "mallory", 0, WAD, None, "mallory"),
    ):
        assert token.call("set_calls", inner).ok
        behave(token, 5)
        assert b.attempt(*op).ok, op
        done = [token.view("succeeded", i) for i in range(len(inner))]
        assert done == [False] * len(inner), op
    assert (b.held("mallory", 0), b.holding(me, 0).own) == (3 * WAD, 10 * WAD)
    everybody = sum(b.held(a, 0) for a in ("alice", "mallory", "auction")) + 10 * WAD
    assert everybody == b.total(0) == token.view("balanceOf", house.address)


@pytest.mark.defence(
    "CollateralAuction.vy", "# pragma nonreentrancy on", "# pragma nonreentrancy off"
)
def test_98__bought_token_calls_the_auction_back__the_lot_is_sold_once(backed_of: Make):
    """The same into the auction: a buyer's token buys again in the middle of a purchase."""
    b = backed_of([])
    token = odd_lot(b)
    me, auction = token.address, b.auction

    def data(contract: Contract, name: str, *args: Any) -> tuple[str, bytes]:
        function = contract.interface.functions[name]
        return contract.address, function.selector + function.inputs.encode(args)

    inner = [data(auction, "tick", 0), data(auction, "owed_to_pool"), data(auction, "lot", 0)]
    behave(token, 5)
    assert token.call("set_calls", inner).ok
    assert b.attempt("buy", "mallory", 0, WAD, None, me).ok
    assert [token.view("succeeded", i) for i in range(3)] == [False] * 3


@pytest.mark.parametrize("decimals", [0, 2, 6, 8, 18])
def test_99__collateral_of_any_decimals__in_and_out_never_a_unit_gained(
    backed_of: Make, decimals: int
):
    """Zaros, Tigris (c4 2022-12 M-19), Tracer (2021-06 M-04), Symmetrical (sherlock 2023-06 H-5): amounts
    scaled by the wrong power of ten. A token counts for its worth whatever its decimals, comes out to the
    unit, and neither a lot nor a conversion makes its owner and his accomplice richer."""
    b = backed_of([coin(3_000, decimals)])
    rich(b, "bob")
    one = 10**decimals
    for amount in (1, 3, one, 7 * one + (1 if decimals else 0)):
        b.back("mallory", 0, amount)
        h = b.holding("mallory", 0)
        assert h.own * h.unit == amount * 10 ** (18 - decimals)
        worth = amount * 3_000 * 10 ** (18 - decimals)
        assert worth * 84 // 100 < h.maintenance <= worth * 85 // 100
        b.do("withdraw", "mallory", "mallory", "coin0", amount, "mallory")
        assert b.purse("mallory", 0) >= amount
        assert b.held("mallory", 0) == 0
        assert b.attempt("withdraw", "mallory", "mallory", "coin0", 1, "mallory").reason is not None
    b.do("deposit", "mallory", "mallory", "coin0", 8 * one)
    b.owe("mallory", 11_000 * WAD)
    before = b.wealth("mallory", "bob")
    assert b.attempt("convert", "bob", "mallory").ok
    b.do("buy", "bob", 0, b.lot(0).amount, None, "bob")
    assert b.wealth("mallory", "bob") <= before


@pytest.mark.parametrize("decimals", [19, 24, 255])
def test_99__collateral_of_over_18_decimals__cannot_be_listed(backed_of: Make, decimals: int):
    """The same past the eighteenth."""
    b = backed_of()
    b.do("coin", decimals)
    b.setup.coins.append(coin(3_000, 18))
    b.do("feed", 8, 3_000 * 10**8)
    refused = b.attempt("list_coin", "owner", "coin3", 3, {"cap": 10**18})
    assert refused.reason == "configurator: token decimals"


# ------------------------------------------------------------------ 100 to 102: caps, delisting, issuers


@pytest.mark.defence(
    "modules/collateral.vy",
    "if total > self._limits[id] & slots.MASK_128:",
    "if arrived > self._limits[id] & slots.MASK_128:",
)
def test_100__cap_avoided_in_pieces_or_by_many_accounts__is_on_what_there_is_of_all(
    backed_of: Make,
):
    """Zaros; JOJO (sherlock 2023-04 M-5); Perennial (2023-10 M-6): a cap on one deposit or on one account
    is none. It is on everybody's, lots for sale among them."""
    b = backed_of([coin(3_000, cap=100 * WAD)])
    b.back("alice", 0, 60 * WAD)
    b.back("mallory", 0, 20 * WAD)
    b.back("mallory.1", 0, 20 * WAD)
    b.do("mint", "mallory", 10 * WAD, 0)
    for account in ("mallory", "mallory.1", "mallory.2"):
        assert b.attempt("deposit", "mallory", account, "coin0", 1).reason == "caps: collateral"
    b.do("withdraw", "alice", "alice", "coin0", 1, "alice")
    assert b.attempt("deposit", "mallory", "mallory", "coin0", 2).reason == "caps: collateral"
    b.do("deposit", "mallory", "mallory", "coin0", 1)


def test_100__cap_lowered_below_what_is_there__liquidates_and_lets_go_all_the_same(
    backed_of: Make,
):
    """Nor does a cap stop anything but deposits."""
    b = backed_of()
    in_trouble(b)
    b.back("bob", ETH, WAD)
    b.do("configure_coin", "owner", ETH, ETH, {"cap": 0})
    b.do("mint", "bob", WAD, ETH)
    assert b.attempt("deposit", "bob", "bob", "coin0", 1).reason == "caps: collateral"
    b.market_price(2_600)
    b.do("liquidate", "keeper", "alice")
    assert b.cash("alice") >= 0
    b.do("withdraw", "bob", "bob", "coin0", WAD, "bob")
    rich(b, "keeper")
    b.do("buy", "keeper", 0, b.lot(0).amount, None, "keeper")


@pytest.mark.defence(
    "modules/slots.vy",
    "return unsafe_add(weight, unsafe_div(unsafe_mul(unsafe_sub(before, weight), left), RAMP))",
    "return weight + 0 * before * left",
)
def test_101__collateral_is_delisted__nobody_is_liquidated_at_once_and_all_can_leave(
    backed_of: Make,
):
    """Zaros, 2024: whoever held a collateral that was removed had nothing, or could not be liquidated. Here
    its weights fall in a straight line for three days: there is time to leave, then a liquidation still
    finds it and seizes it, and what nobody owes against can be taken out for ever."""
    b = backed_of()
    b.back("alice", ETH, 20 * WAD)
    b.back("bob", ETH, WAD)
    b.do("trade", "alice", "alice", 0, 100 * WAD)
    health = b.health("alice")
    b.do("configure_coin", "owner", ETH, ETH, {"delisted": True})
    assert b.health("alice") == health
    b.wait(36 * 3_600)
    assert abs(b.holding("alice", ETH).maintenance - 20 * 3_000 * WAD * 425 // 1_000) < 400 * WAD
    b.do("mint", "alice", WAD, ETH)
    refused = b.attempt("deposit", "alice", "alice", "coin0", WAD)
    assert refused.reason == "collateral: being delisted"
    with b.imagined():  # in time: he closes, and all of it goes
        b.do("trade", "alice", "alice", 0, -100 * WAD)
        b.do("mint", "alice", 2 * b.raw)
        b.do("deposit", "alice", "alice", "token", 2 * b.raw)
        b.do("withdraw", "alice", "alice", "coin0", 20 * WAD, "alice")
    for _ in range(2):
        b.wait(18 * 3_600)
    assert b.holding("alice", ETH).maintenance == 0
    b.market_price(2_900)
    b.do("liquidate", "keeper", "alice")
    assert b.cash("alice") >= 0
    assert b.lot(0).amount + b.held("alice", ETH) == 20 * WAD
    b.do("withdraw", "bob", "bob", "coin0", WAD, "bob")


def test_102__issuer_of_a_collateral_blocks_the_venue__all_else_goes_on(backed_of: Make):
    """An issuer blocks the Clearinghouse: the token neither comes nor goes until he relents, but its holders
    can trade, add quote and be liquidated, since no token moves in any of it; other tokens are untouched.
    Not removed by any rule: withdrawals and purchases of that token wait."""
    b = backed_of([])
    token = odd(b)
    other = odd(b)
    b.do("deposit", "alice", "alice", "coin0", 20 * WAD)
    b.do("deposit", "alice", "alice", "coin1", WAD)
    b.do("trade", "alice", "alice", 0, 100 * WAD)
    behave(token, 3)
    for op in (
        ("deposit", "alice", "alice", "coin0", WAD),
        ("withdraw", "alice", "alice", "coin0", 1, "alice"),
    ):
        assert b.attempt(*op).reason == "token: frozen"
    b.do("withdraw", "alice", "alice", "coin1", WAD, "alice")
    assert other.view("balanceOf", b.house.address) == 0
    b.do("trade", "alice", "alice", 0, -WAD)
    b.market_price(2_600)
    b.do("liquidate", "keeper", "alice")
    assert b.cash("alice") >= 0
    rich(b, "mallory")
    purse = b.purse("mallory")
    assert b.attempt("buy", "mallory", 0, WAD, None, "mallory").reason == "token: frozen"
    assert b.purse("mallory") == purse
    behave(token, 0)
    assert b.attempt("buy", "mallory", 0, WAD, None, "mallory").ok


# ------------------------------------------------------------------ without a number


def test_loop__deposit_borrow_withdraw__never_gains(backed_of: Make):
    """An attacker with three accounts deposits, loses to himself, settles, converts, buys his own lots,
    repays and withdraws in any order at constant prices of the tokens: after each round of it he and
    his accomplice are no richer, but for what the curve gives back."""
    b = backed_of()
    rng = random.Random(32)
    rich(b, "mallory", "bob", quote=1_000_000)
    for who in ("mallory", "bob"):
        b.do("mint", who, 200 * WAD, ETH)
        b.do("mint", who, 5 * 10**8, BTC)
    b.do("mint", "bob", b.raw)
    b.do("deposit", "bob", "bob", "token", 200_000 * b.raw)
    start, through = b.wealth("mallory", "bob"), 0
    accounts = ("mallory", "mallory.1")
    for _ in range(300):
        account, id = rng.choice(accounts), rng.choice([ETH, BTC])
        amount = rng.randrange(1, 30 * WAD if id == ETH else 10**8)
        ops: list[tuple[Any, ...]] = [
            ("deposit", "mallory", account, f"coin{id}", amount),
            ("withdraw", "mallory", account, f"coin{id}", rng.randrange(1, amount + 1), "mallory"),
            ("deposit", "mallory", account, "token", rng.randrange(1, 5_000 * b.raw)),
            ("withdraw", "mallory", account, "token", rng.randrange(1, 50_000 * b.raw), "mallory"),
            ("settle", "bob", account),
            ("convert", "bob", account),
            ("liquidate", "bob", account),
        ]
        op = rng.choice(ops)
        if rng.random() < 0.3:  # lose to the accomplice: both trade, the market moves, both close
            size = rng.randrange(1, 20) * WAD
            if b.attempt("trade", "mallory", account, 0, size).ok:
                b.do("trade", "bob", "bob", 0, -size)
                b.market_price(rng.choice([2_850, 2_800]))
                b.attempt("trade", "mallory", account, 0, -size)
                b.attempt("trade", "bob", "bob", 0, size)
                b.market_price(PRICE)
        through += b.attempt(*op).ok
        if b.lots() and b.lot(b.lots() - 1).amount:
            b.attempt("buy", "bob", b.lots() - 1, rng.randrange(1, WAD), None, "bob")
        if rng.random() < 0.2:
            b.wait(rng.randrange(1, 7_200))
            b.do("refresh", "keeper")
        with b.imagined():  # what is open is closed at this price, so that no premium is counted
            for who, name in (("mallory", "mallory"), ("mallory", "mallory.1"), ("bob", "bob")):
                size = b.house.view("leg", b.at(name), 0)[3]
                if size:
                    b.attempt("trade", who, name, 0, -size)
            assert b.wealth("mallory", "bob") <= start + 1_000
    assert through > 100


def test_strangers__deposit_settle_poke_tick_and_buy__take_nothing_from_anybody(backed_of: Make):
    """Whatever anybody may do to another's account, he is no richer by it, and the other no poorer."""
    b = backed_of()
    b.back("alice", ETH, 100 * WAD)
    b.fund("alice", 1_000)
    b.do("trade", "alice", "alice", 0, 20 * WAD)
    b.market_price(2_900)
    rich(b, "mallory")
    b.do("mint", "mallory", 10 * WAD, ETH)
    for op in (
        ("deposit", "mallory", "alice", "token", b.raw),
        ("deposit", "mallory", "alice", "coin0", WAD),
        ("settle", "mallory", "alice"),
        ("poke_token", "mallory", "coin0"),
    ):
        mine, his, health = b.wealth("mallory"), b.wealth("alice"), b.health("alice")
        b.do(*op)
        assert b.wealth("mallory") <= mine, op
        assert b.wealth("alice") >= his - 1, op
        assert b.health("alice") >= health - 1, op
    for op in (
        ("deposit", "mallory", "alice", "coin1", 1),
        ("withdraw", "mallory", "alice", "coin0", 1, "mallory"),
        ("convert", "mallory", "alice"),
        ("liquidate", "mallory", "alice"),
    ):
        assert b.attempt(*op).reason in (
            "account: not yours",
            "convert: not called",
            "liquidation: account is healthy",
        )


@pytest.mark.defence(
    "LiquidityPool.vy",
    "    v.due += interest\n",
    "    v.due += 0 * interest\n",
)
def test_liquidity__enter_just_before_interest_is_posted__none_of_it_is_his(backed_of: Make):
    """Interest of a year, about to be posted: whoever enters pays for it."""
    b = backed_of()
    b.back("alice", ETH, 1_000 * WAD)
    b.owe("alice", 500_000 * WAD)
    b.wait(YEAR)
    b.do("refresh", "keeper")
    rich(b, "mallory", "alice")
    assert b.interest("alice") > 7_000 * WAD
    before = b.wealth("mallory")
    b.do("pool_deposit", "mallory", 10_000_000 * b.raw, "mallory")
    b.do("deposit", "alice", "alice", "token", 1)
    assert b.interest("alice") == 0
    assert b.wealth("mallory") <= before


@pytest.mark.defence(
    "LiquidityPool.vy",
    "v.due = staticcall ICollateralAuction(settings.auction).owed_to_pool()",
    "v.due = 0 * staticcall ICollateralAuction(settings.auction).owed_to_pool()",
)
def test_liquidity__enter_just_before_a_lot_is_sold__none_of_it_is_his(backed_of: Make):
    """The pool has stood in for 40,000; whoever enters before the lot is sold pays for what it brings."""
    b = backed_of(insurance_cash=0)
    lot_of(b)
    assert b.auction.view("owed_to_pool") > 30_000 * WAD
    rich(b, "mallory", "keeper")
    before = b.wealth("mallory")
    b.do("pool_deposit", "mallory", 10_000_000 * b.raw, "mallory")
    b.do("buy", "keeper", 0, b.lot(0).amount, None, "keeper")
    assert b.auction.view("owed_to_pool") == 0
    assert b.wealth("mallory") <= before


@pytest.mark.defence(
    "Clearinghouse.vy", "        if h.credit <= due:\n", "        if h.credit <= due and live:\n"
)
def test_dead_tokens__dust_of_a_worthless_one_first_in_line__does_not_carry_the_debt(
    backed_of: Make,
):
    """Two dead tokens behind a bankrupt: a crumb of the one that comes first in the order, all the worth in
    the other. If the crumb's lot had to repay the debt, the good lot would repay nobody, and all that it
    brings would be the bankrupt's."""
    b = backed_of(insurance_cash=0)
    b.back("mallory", ETH, 10**12)
    b.back("mallory", BTC, 2 * 10**8)
    b.do("trade", "mallory", "mallory", 0, 100 * WAD)
    b.market_price(2_000)
    for id in (ETH, BTC):
        b.kill(id)
        b.do("poke_token", "keeper", f"coin{id}")
    b.wait(DAY, fresh=False)
    b.market_price(2_000)
    b.do("liquidate", "keeper", "mallory")
    owed = b.auction.view("owed_to_pool")
    assert owed > 90_000 * WAD
    assert b.lot(0).to_pool == 10**12 * 3_000 * 92 // 100
    assert b.lot(1).to_pool == owed - b.lot(0).to_pool
    b.kill(BTC, "ok")
    b.price(BTC, 60_000)
    rich(b, "keeper")
    cost = b.do("buy", "keeper", 1, 2 * 10**8, None, "keeper").value
    assert b.cash("mallory") <= cost * 10**12 - b.lot(0).to_pool
    assert b.auction.view("owed_to_pool") == b.lot(0).to_pool


# ------------------------------------------------------------------ what a red team found


def test_convert__somebodys_flash_deposit__makes_nobodys_debt_convertible(backed_of: Make):
    """The attacker deposits all that the cap has room for, in one transaction: initial values, which look
    at everybody's amount, fall to a third, debts are past half of them, and he is paid a share of the
    fee for converting each, again and again; then he takes his tokens back."""
    b = backed_of()
    b.back("alice", ETH, 100 * WAD)
    b.owe("alice", 100_000 * WAD)
    assert b.attempt("convert", "mallory", "alice").reason == "convert: not called"
    room = b.setup.coins[ETH].terms["cap"] - b.total(ETH)
    b.do("mint", "mallory", room, ETH)
    before, his = b.wealth("mallory"), b.wealth("alice")
    b.do("deposit", "mallory", "mallory", "coin0", room)
    while b.attempt("convert", "mallory", "alice").ok:
        pass
    b.do("withdraw", "mallory", "mallory", "coin0", room, "mallory")
    assert b.wealth("mallory") <= before, b.wealth("mallory") - before  # 367
    assert b.wealth("alice") >= his, his - b.wealth("alice")  # 9,823


def test_fading__feed_that_was_stale_once_and_again_a_week_later__nobody_is_liquidated(
    backed_of: Make,
):
    """A round is a second late; the attacker reports it. The next round comes, nothing seems to have
    happened. A week later a round is a second late again: the token is worth nothing at once, since the
    day of its fading is counted from the first report, and everybody who leans on it is liquidated."""
    b = backed_of()
    b.back("alice", ETH, 100 * WAD)
    b.do("trade", "alice", "alice", 0, 50 * WAD)
    b.wait(DAY + 1, fresh=False)
    b.market_price(PRICE)
    b.do("poke_token", "mallory", "coin0")
    for _ in range(14):
        b.wait(DAY // 2)
    health = b.health("alice")
    assert health > 30 * WAD
    b.wait(DAY + 1, fresh=False)
    b.market_price(PRICE)
    assert b.health("alice") >= health // 2, b.health("alice")
    assert not b.attempt("liquidate", "mallory", "alice").ok


def test_dead_tokens__crumb_of_another_token_beside__their_surplus_is_not_the_bankrupts(
    backed_of: Make,
):
    """What a dead lot must repay is its last known worth at most. Were its surplus the bankrupt's, a crumb
    of another token could be made to carry the rest of the debt, and a good one would enrich him; it is
    his only where the worth of all his dead tokens covered what others paid."""
    b = backed_of([coin(3_000), coin(1, 18)], insurance_cash=0)
    b.back("mallory", 0, 2 * WAD)
    b.back("mallory", 1, 1)
    b.do("trade", "mallory", "mallory", 0, 8 * WAD)
    b.market_price(2_000)
    b.kill(0)
    b.do("poke_token", "keeper", "coin0")
    b.wait(DAY, fresh=False)
    b.market_price(2_000)
    b.price(1, 1)
    (bad,) = named(b.do("liquidate", "keeper", "mallory"), "BadDebt")
    lot = b.lot(0)
    assert 0 < lot.to_pool < bad[3]  # 5,520 of 8,000
    assert lot.surplus_to == "0x" + "00" * 20  # the insurance fund's


@pytest.mark.parametrize("delisted", [False, True])
def test_configure_collateral__greater_discount_while_weights_fall__conversion_keeps_the_health(
    backed_of: Make, delisted: bool
):
    """Lower weights take three days, a greater discount none: for three days a seizure credits 0.70 for
    what counts 0.85, and the conversion that "never lowers a health" lowers one, by anybody's call."""
    b = backed_of([coin(3_000)])
    b.back("alice", 0, 100 * WAD)
    b.owe("alice", 100_000 * WAD)
    b.do("trade", "alice", "alice", 0, 100 * WAD)
    terms = {"discount_ppm": 300_000, "maintenance_weight_ppm": 600_000}
    terms |= {"initial_weight_ppm": 600_000, "delisted": delisted}
    if not b.attempt("configure_coin", "owner", 0, 0, terms).ok:
        return  # or refuse it: that mends it too
    b.market_price(2_150)
    health = b.health("alice")
    while b.attempt("convert", "mallory", "alice").ok:
        pass
    assert b.health("alice") >= health, (b.health("alice"), health)  # 4.2 and 5.8


def test_list_collateral__before_any_terms_of_credit__refused(backed_of: Make):
    """The word of the order of seizures is zero until `configure_credit`: sixteen times token 0. A bankrupt
    would keep his other tokens, and the insurance fund and the pool pay his debt."""
    from tests.utils.backed import NO_CREDIT

    b = backed_of([], NO_CREDIT)
    b.do("feed", 8, 3_000 * 10**8)
    b.do("coin", 18)
    b.setup.coins.append(coin(3_000))
    refused = b.attempt("list_coin", "owner", "coin0", 0, {})
    assert refused.reason == "configurator: no credit terms"


@pytest.mark.defence(
    "modules/collateral.vy",
    "    if not h.fading:\n        self.keep(",
    "    if (self._tokens[id].holding >> slots.IS_DEAD) & 1 == 0:\n        self.keep(",
)
def test_15__feed_reported_dead_is_back__a_poke_gives_its_next_failure_a_day_again(
    backed_of: Make,
):
    """A report of a death stands while nobody tells that the feed is back: a day later a failure of one
    block liquidates, for a day of fading seems to be over. One poke by anybody ends that."""
    b = backed_of(coins=[coin(3_000)], insurance_cash=0)
    b.back("alice", 0, 100 * WAD)
    b.do("trade", "alice", "alice", 0, 10 * WAD)
    b.kill(0)
    b.do("poke_token", "mallory", "coin0")
    b.kill(0, "ok")
    b.wait(DAY)
    with b.imagined():
        b.kill(0)
        assert b.attempt("liquidate", "mallory", "alice").ok  # as COL-4 says
    b.kill(0, "ok")
    b.do("poke_token", "keeper", "coin0")
    b.wait(12)
    b.kill(0)
    assert not b.attempt("liquidate", "mallory", "alice").ok
    b.do("poke_token", "mallory", "coin0")
    b.wait(12, fresh=False)
    assert not b.attempt("liquidate", "mallory", "alice").ok


@pytest.mark.defence(
    "CollateralAuction.vy",
    "self._change(lot, (dues & slots.MASK_128) + (dues >> 128))",
    "self._change(lot, dues & slots.MASK_128)",
)
def test_lots__debtor_writes_off_what_his_lot_owes_the_pool__gains_nothing(backed_of: Make):
    """The surplus of a lot is its debtor's. A month after its feed died he has the pool's due written
    off, and when the feed is back the lot brings him 306,000 instead of 175,999: the pool's money. What
    is written off is the insurance fund's from then on."""
    b = backed_of(coins=[coin(3_000)], insurance_cash=0)
    b.back("mallory", 0, 100 * WAD)
    b.owe("mallory", 130_000 * WAD)
    b.kill(0)
    b.do("poke_token", "keeper", "coin0")
    b.wait(DAY, fresh=False)
    b.do("price", 0, 3_000 * 10**8, 0)
    b.do("liquidate", "keeper", "mallory")
    due = b.lot(0).to_pool
    assert due > 130_000 * WAD
    b.wait(31 * DAY, fresh=False)
    assert b.do("write_off", "mallory", 0).value == due
    assert b.system.auction.view("owed_to_pool") == 0
    b.kill(0, "ok")
    b.price(0, 3_000)
    rich(b, "bob")
    cost = b.do("buy", "bob", 0, 100 * WAD, MAX, "bob").value
    assert b.cash("fund") >= due
    assert b.cash("mallory") <= cost * (WAD // b.raw) - due


@pytest.mark.defence(
    "Clearinghouse.vy",
    "    self._check_calm()\n    header: uint256 = ledger.post(account)\n    net",
    "    header: uint256 = ledger.post(account)\n    net",
)
def test_32__loss_of_a_glitch_made_a_debt_in_a_freeze__waits(backed_of: Make):
    """A price is ten times wrong for a block and the guardian freezes: nobody can be liquidated, but anybody
    made everybody's paper loss a debt in cash, which stays when the price is right again. It pays interest,
    nobody could leave the pool, and all tokens of an account without any debt could be converted."""
    b = backed_of(coins=[coin(3_000)], pool_cash=10_000_000)
    b.back("alice", 0, 200 * WAD)
    b.do("trade", "alice", "alice", 0, -100 * WAD)
    b.market_price(30_000)
    b.do("freeze", "owner", 3_600)
    assert not b.attempt("settle", "mallory", "alice").ok
    b.market_price(3_000)
    b.wait(7_200)
    assert b.debts() == 0
    assert not b.attempt("convert", "mallory", "alice").ok


@pytest.mark.defence(
    "CollateralAuction.vy",
    "seen_at: uint256 = max((sale >> 168) & slots.MASK_40, calm_from)",
    "seen_at: uint256 = (sale >> 168) & slots.MASK_40",
)
def test_92__clock_of_a_lot_runs_through_a_freeze__nobody_buys_at_the_floor_when_it_ends(
    backed_of: Make,
):
    """Nobody may buy in a freeze, but a feed that is live lets time pass: whoever was first in the calm
    bought at the floor, 31,000 below what others would have bid down to on the way."""
    b = backed_of(coins=[coin(3_000)])
    b.back("mallory", 0, 100 * WAD)
    b.owe("mallory", 130_000 * WAD)
    b.price(0, 1_400)
    b.do("liquidate", "keeper", "mallory")
    before = b.cost(0, WAD)
    b.do("freeze", "owner", 3_600)
    for _ in range(4):
        b.wait(1_800)
        b.attempt("tick", "bob", 0)
    assert b.cost(0, WAD) == before


@pytest.mark.parametrize("how", ["freeze", "restart"])
@pytest.mark.defence(
    "CollateralAuction.vy",
    "    if not calm:\n        fixed_point.fail(reasons.VENUE_FROZEN_OR_IN_GRACE)\n",
    "",
)
def test_lots__bought_at_the_price_that_a_freeze_is_about__waits(backed_of: Make, how: str):
    """Ether reads 200 instead of 2,000 and the guardian freezes in that block; or the sequencer is back and
    the feed is still where it was. A lot of 6m went for 612,000, all of that the pool's loss."""
    b = backed_of(coins=[coin(3_000)], insurance_cash=0, grace=3_600)
    b.wait(7_200)
    b.back("mallory", 0, 100 * WAD)
    b.owe("mallory", 130_000 * WAD)
    b.price(0, 1_400)
    b.do("liquidate", "keeper", "mallory")
    b.wait(7_200)
    if how == "freeze":
        b.price(0, 140)
        b.do("freeze", "owner", 3_600)
    else:
        b.do("uptime", 1, 60)
        b.wait(1)
        b.do("uptime", 0, 0)
    rich(b, "bob")
    assert not b.attempt("buy", "bob", 0, 100 * WAD, MAX, "bob").ok
    b.price(0, 1_400)
    b.wait(7_200)
    b.do("buy", "bob", 0, 100 * WAD, MAX, "bob")


# ------------------------------------------------------------------ in front of a claim


def half_each(backed_of: Make, debt: int, **options: Any) -> Backed:
    """The lender and mallory have half of a pool of 10m each; bob, `debt` behind 3m of ether, owes it."""
    b = backed_of(
        coins=[coin(3_000, scale=10**5 * WAD)],
        insurance_cash=250_000,
        pool_cash=5_000_000,
        credit={"debt_cap": 10**7 * WAD, "low_slope_ppm": 0, "high_slope_ppm": 0},
        **options,
    )
    b.do("mint", "mallory", 5_000_000 * b.raw)
    b.do("pool_deposit", "mallory", 5_000_000 * b.raw, "mallory")
    b.back("bob", ETH, 1_000 * WAD)
    b.owe("bob", debt * WAD, 1)
    return b


def claimed(b: Backed) -> int:
    """All that the lender's claim pays [quote]."""
    before = b.purse("lender")
    shares = b.pool.view("maxRedeem", b.at("lender"))
    b.do("redeem", "lender", shares, "lender", "lender")
    return (b.purse("lender") - before) // b.raw


@pytest.mark.defence(
    "LiquidityPool.vy",
    "return v.nav + convert(v.sure, int256) - convert(v.doubtful, int256)",
    "return v.nav - convert(v.doubtful, int256)",
)
def test_72__convert_a_debtor_in_front_of_a_claim__takes_none_of_it(backed_of: Make):
    """A debt is a part of what a claim is priced at, and what a lot owes was none: whoever stays converted a
    debtor past his ratio in a loop, had the leaver's part of the lots, and it cost him nothing: 447,000 of
    5m. The bound that the request set had counted them."""

    def leave(convert: bool) -> int:
        b = half_each(backed_of, 1_400_000)
        b.do("request", "lender", "all", "lender", "lender")
        b.wait(DAY + 1)
        b.price(ETH, 2_000)
        while convert and b.attempt("convert", "mallory", "bob").ok:
            pass
        return claimed(b)

    assert abs(leave(True) - leave(False)) <= 1


@pytest.mark.defence(
    "LiquidityPool.vy",
    "stays: uint256 = (credit[0] & slots.MASK_128) + v.sure",
    "stays: uint256 = credit[0] & slots.MASK_128",
)
def test_75__claim_what_was_given_for_lots__is_not_there(backed_of: Make):
    """What the pool gave for a lot is not in custody: who left with it would take it from those who are flat."""
    b = half_each(backed_of, 1_400_000)
    b.do("request", "mallory", "all", "mallory", "mallory")
    b.do("request", "lender", "all", "lender", "lender")
    b.wait(DAY + 1)
    b.price(ETH, 2_000)
    while b.attempt("convert", "keeper", "bob").ok:
        pass
    owed = b.auction.view("owed_to_pool")
    assert owed > 50_000 * WAD
    claimed(b)
    room = b.pool.view("maxWithdraw", b.at("mallory"))
    b.do("redeem", "mallory", b.pool.view("maxRedeem", b.at("mallory")), "mallory", "mallory")
    assert room <= 5_000_000 * b.raw
    assert b.house.view("globals")[0] * (WAD // b.raw) >= sum(
        max(b.cash(a), 0) for a in ("alice", "bob", "keeper", "fund")
    )


@pytest.mark.defence(
    "LiquidityPool.vy",
    "        return held.maintenance\n",
    "        return 0\n",
)
def test_74__report_a_debtor_while_his_tokens_feed_is_late__is_no_loss(backed_of: Make):
    """In the one block in which the feed of good ether was late, the whole of a sound debt was reported as a
    loss, and was one until somebody reported the account again."""
    b = half_each(backed_of, 990_000)
    b.kill(ETH)
    b.do("report", "mallory", "bob")
    b.kill(ETH, "ok")
    assert b.pool.view("doubtful") == 0


@pytest.mark.defence("LiquidityPool.vy", "    v.doubtful = 0\n", "    pass\n")
def test_74__report_a_loss_in_front_of_a_request__is_taken_back_by_the_claim(backed_of: Make):
    """A price that is wrong for a block, and a loss that is reported at it: the bound of a request made in
    between was too low for good, 370,000 of 5m, however soon the account was reported again."""
    b = half_each(backed_of, 990_000)
    b.price(ETH, 30)
    b.do("report", "mallory", "bob")
    b.price(ETH, 3_000)
    assert b.pool.view("doubtful") > 700_000 * WAD
    b.do("request", "lender", "all", "lender", "lender")
    b.do("report", "lender", "bob")
    b.wait(DAY + 1)
    assert abs(claimed(b) - b.nav() // WAD) <= 2  # a half, and the other stays


@pytest.mark.defence(
    "CollateralAuction.vy",
    "self._worth_of(held, owing.amount)",
    "self._worth_of(held, held.own)",
)
def test_74__claim_beside_a_live_lot_of_the_funds__counts_what_is_left_for_the_pool(
    backed_of: Make,
):
    """A lot of the fund's and one of the pool's, and what both are good for has fallen: one of them is the
    fund's. Counted as the pool's, who left before the lots were sold had 202,500 of those who stayed."""
    leaves_beside_lots(backed_of, 450_000)


@pytest.mark.defence(
    "CollateralAuction.vy", "brings - min(brings, owing.dues & slots.MASK_128)", "brings"
)
def test_74__claim_beside_a_lot_that_is_first_the_funds__counts_what_is_left_for_the_pool(
    backed_of: Make,
):
    """The same, and the fund has given a part of the second lot, too, which is the first of it."""
    leaves_beside_lots(backed_of, 650_000)


def leaves_beside_lots(backed_of: Make, insurance: int) -> None:
    """Who leaves before the lots are sold has no more of it than who leaves after."""

    def leave(sold: bool) -> int:
        b = backed_of(
            coins=[coin(3_000, scale=10**6 * WAD)],
            insurance_cash=insurance,
            credit={"debt_cap": 10**7 * WAD, "low_slope_ppm": 0, "high_slope_ppm": 0},
            pool_cash=1_000_000,
        )
        b.do("mint", "mallory", 10**6 * b.raw)
        b.do("pool_deposit", "mallory", 10**6 * b.raw, "mallory")
        for who in ("bob", "alice"):
            b.back(who, ETH, 300 * WAD)
            b.owe(who, 450_000 * WAD, 1)
        b.do("request", "mallory", "all", "mallory", "mallory")
        b.wait(DAY + 1)
        b.price(ETH, 1_700)
        for who in ("bob", "alice"):
            b.do("liquidate", "keeper", who)
        b.price(ETH, 850)
        rich(b, "keeper")
        if sold:
            for _ in range(2):
                for lot in range(b.lots()):
                    b.do("tick", "keeper", lot)
                b.wait(3_660)
            for lot in range(b.lots()):
                b.do("buy", "keeper", lot, "all", None, "keeper")
        shares = b.pool.view("maxRedeem", b.at("mallory"))
        b.do("redeem", "mallory", shares, "mallory", "mallory")
        return b.purse("mallory") // b.raw

    assert leave(sold=False) <= leave(sold=True) + 1
