"""Collateral tokens in and out, what they count for, and whose terms they are (COL-1, COL-4, LIQ-4)."""

from __future__ import annotations

from fractions import Fraction
from math import floor
from typing import Any

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data

from plimsoll import slots
from plimsoll.formulas import FAILED, STALE
from plimsoll.fuzz.artifacts import compile_contract
from plimsoll.fuzz.chain import CHAIN_ID, Contract
from plimsoll.model import Settings
from plimsoll.slots import WAD
from tests.utils.backed import DAY, MAX, PPM, Backed, coin, named, names

ETH, BTC, USD = range(3)


@pytest.fixture
def b() -> Backed:
    return Backed()


def counts(worth: int, weight_ppm: int, scale: int, depth: int) -> int:
    """COL-4: worth * weight * S / (S + depth), rounded down."""
    return floor(Fraction(worth * weight_ppm * scale, PPM * (scale + depth)))


# ------------------------------------------------------------------ deposit


@pytest.mark.parametrize("decimals", [0, 2, 6, 8, 18])
def test_deposit__token_of_any_decimals__is_held_in_its_own_units(decimals: int):
    b = Backed([coin(3_000, decimals)])
    b.do("mint", "alice", 7, 0)
    told = b.do("deposit", "alice", "alice", "coin0", 7)
    assert told.value == 7
    house, token = b.house.address, b.coins[0].address
    assert named(told) == [
        ("Transfer", b.at("alice"), house, 7),
        ("TokenMoved", b.at("alice"), 0, 7),
        ("Deposited", b.at("alice"), token, b.at("alice"), 7),
    ]
    h = b.holding("alice", 0)
    unit = 10 ** (18 - decimals)
    worth = 7 * unit * 3_000
    scale = b.setup.coins[0].terms["scale"]
    assert (h.own, h.unit, h.price, h.status) == (7, unit, 3_000 * WAD, 0)
    assert h.maintenance == counts(worth, 850_000, scale, 7 * unit)
    assert h.initial == counts(worth, 800_000, scale, 7 * unit)
    assert h.credit == worth * 92 // 100
    word, interest = b.house.view("backing", b.at("alice"))
    assert (word, interest) == (1, 0)
    assert slots.unpack_header(b.house.view("header", b.at("alice"))).flags == 1
    b.balance()


def test_deposit__again__adds_up_and_keeps_price_and_time(b: Backed):
    b.back("alice", ETH, WAD)
    b.wait(100)
    b.price(ETH, 3_100)
    b.back("alice", ETH, 2 * WAD)
    assert (b.held("alice", ETH), b.total(ETH)) == (3 * WAD, 3 * WAD)
    state = slots.unpack_token_state(b.house.view("token_words", ETH)[3])
    # 3,000 may have gone 6 % an hour for what has passed since, and what storing may have cut off.
    stable = 3_000 * WAD + (3_000 * WAD >> 24) + 3_000 * WAD * 60_000 * 100 // (3_600 * PPM)
    steady = (stable << 24) // (3_100 * WAD)
    assert state == slots.TokenState(3_100 * WAD, b.chain.now, False, 3 * WAD, steady)


def test_deposit__other_sub_accounts__hold_their_own(b: Backed):
    b.back("alice", ETH, WAD)
    b.back("alice.255", ETH, 2 * WAD)
    assert (b.held("alice", ETH), b.held("alice.255", ETH)) == (WAD, 2 * WAD)
    assert b.refusal("withdraw", "alice", "alice", "coin0", WAD + 1, "alice") == (
        "margin: not enough tokens"
    )


def test_deposit__nothing__reverts(b: Backed):
    assert b.refusal("deposit", "alice", "alice", "coin0", 0) == "ledger: zero amount"


@pytest.mark.parametrize("account", ["pool", "fund", "auction", "zero"])
def test_deposit__token_for_a_system_account__reverts(b: Backed, account: str):
    b.do("mint", "alice", WAD, ETH)
    assert b.refusal("deposit", "alice", account, "coin0", WAD) == "account: system"


@pytest.mark.parametrize("account", ["pool", "auction", "zero"])
def test_deposit__quote_for_a_system_account_but_the_fund__reverts(b: Backed, account: str):
    b.do("mint", "alice", 2)
    assert b.refusal("deposit", "alice", account, "token", 1) == "account: system"
    b.do("deposit", "alice", "fund", "token", 1)


def test_deposit__token_that_nobody_listed__reverts(b: Backed):
    b.do("coin", 18)
    b.do("mint", "alice", WAD, 3)
    assert b.refusal("deposit", "alice", "alice", "coin3", WAD) == "ledger: unknown token"
    for stranger in (b.at("alice"), b.at("pool"), b.at("zero")):
        assert b.house.call("deposit", b.at("alice"), stranger, 1, sender=b.at("alice")).reason == (
            "ledger: unknown token"
        )


def test_deposit__by_a_stranger__only_what_the_account_has_some_of(b: Backed):
    b.do("mint", "bob", 3 * WAD, ETH)
    assert b.refusal("deposit", "bob", "alice", "coin0", WAD) == "account: not yours"
    b.back("alice", ETH, 1)
    told = b.do("deposit", "bob", "alice", "coin0", WAD)
    assert named(told, "Deposited") == [
        ("Deposited", b.at("alice"), b.coins[ETH].address, b.at("bob"), WAD)
    ]
    b.do("mint", "bob", 10, BTC)
    assert b.refusal("deposit", "bob", "alice", "coin1", 1) == "account: not yours"
    b.do("withdraw", "alice", "alice", "coin0", WAD + 1, "alice")
    assert b.refusal("deposit", "bob", "alice", "coin0", WAD) == "account: not yours"


def test_deposit__up_to_the_cap_and_one_more(b: Backed):
    cap = b.setup.coins[BTC].terms["cap"]
    b.back("alice", BTC, cap - 5)
    b.do("mint", "bob", 100, BTC)
    assert b.refusal("deposit", "bob", "bob", "coin1", 6) == "caps: collateral"
    b.do("deposit", "bob", "bob", "coin1", 5)
    assert b.refusal("deposit", "bob", "bob", "coin1", 1) == "caps: collateral"
    b.do("withdraw", "alice", "alice", "coin1", 1, "alice")
    b.do("deposit", "bob", "bob", "coin1", 1)


def test_deposit__more_than_there_is_or_is_approved__reverts(b: Backed):
    b.do("mint", "alice", WAD, ETH)
    assert b.refusal("deposit", "alice", "alice", "coin0", WAD + 1) == ""
    b.coins[ETH].call("approve", b.house.address, WAD - 1, sender=b.at("alice"))
    refused = b.house.call("deposit", b.at("alice"), b.at("coin0"), WAD, sender=b.at("alice"))
    assert not refused.ok


@pytest.mark.parametrize(
    ("answer", "age", "reason"),
    [
        (0, 0, "prices: not positive"),
        (-1, 0, "prices: not positive"),
        (3_000 * 10**8, None, "prices: bad time"),
        (3_000 * 10**8, DAY + 1, "prices: stale"),
        (3 * 10**8, 0, "prices: out of bounds"),
        (300_000 * 10**8, 0, "prices: out of bounds"),
    ],
)
def test_deposit__price_that_may_not_be_used__says_why(
    b: Backed, answer: int, age: int | None, reason: str
):
    b.do("mint", "alice", WAD, ETH)
    b.do("price", b.feed(ETH), answer, age)
    assert b.refusal("deposit", "alice", "alice", "coin0", WAD) == reason


def test_deposit__at_each_edge_of_a_price__goes_through(b: Backed):
    b.do("mint", "alice", 10 * WAD, ETH)
    for answer, age in (
        (3 * 10**8 + 1, 0),
        (300_000 * 10**8 - 1, 0),
        (3_000 * 10**8, DAY),
    ):
        b.do("price", b.feed(ETH), answer, age)
        b.do("deposit", "alice", "alice", "coin0", WAD)
    b.kill(ETH)
    assert b.refusal("deposit", "alice", "alice", "coin0", WAD) == "prices: feed failed"


# ------------------------------------------------------------------ withdraw


def test_withdraw__flat_without_debt__all_of_it_whatever_the_feed_says(b: Backed):
    b.back("alice", ETH, WAD)
    b.kill(ETH)
    told = b.do("withdraw", "alice", "alice", "coin0", WAD, "bob")
    assert named(told) == [
        ("TokenMoved", b.at("alice"), ETH, 0),
        ("Transfer", b.house.address, b.at("bob"), WAD),
        ("Withdrawn", b.at("alice"), b.coins[ETH].address, b.at("bob"), WAD),
    ]
    assert (b.held("alice", ETH), b.total(ETH), b.purse("bob", ETH)) == (0, 0, WAD)
    assert b.house.view("backing", b.at("alice")) == (0, 0)
    assert slots.unpack_header(b.house.view("header", b.at("alice"))).flags == 0


def test_withdraw__of_two_tokens_the_one__the_flag_stays_for_the_other(b: Backed):
    b.back("alice", ETH, WAD)
    b.back("alice", USD, 5)
    b.do("withdraw", "alice", "alice", "coin0", WAD, "alice")
    assert b.house.view("backing", b.at("alice"))[0] == 1 << USD
    assert slots.unpack_header(b.house.view("header", b.at("alice"))).flags == 1


def test_withdraw__refusals__each_by_its_name(b: Backed):
    b.back("alice", ETH, WAD)
    for op, reason in (
        (("withdraw", "bob", "alice", "coin0", 1, "bob"), "account: not yours"),
        (("withdraw", "alice", "alice", "coin0", 0, "alice"), "ledger: zero amount"),
        (("withdraw", "alice", "alice", "coin0", 1, "zero"), "withdraw: bad receiver"),
        (("withdraw", "alice", "alice", "coin0", 1, "fund"), "withdraw: bad receiver"),
        (("withdraw", "alice", "alice", "coin0", WAD + 1, "alice"), "margin: not enough tokens"),
        (("withdraw", "alice", "alice", "coin1", 1, "alice"), "margin: not enough tokens"),
        (("withdraw", "alice", "alice", "alice", 1, "alice"), "ledger: unknown token"),
        (("withdraw", "alice", "alice", "token", 1, "alice"), "margin: not enough cash"),
    ):
        assert b.refusal(*op) == reason, op


def test_withdraw__with_a_position__down_to_the_initial_margin_and_no_unit_more(b: Backed):
    b.back("alice", ETH, 100 * WAD)
    b.fund("alice", 10_000)
    b.do("trade", "alice", "alice", 0, 50 * WAD)
    low, high = 0, 100 * WAD
    while high - low > 1:  # the least that may stay
        middle = (low + high) // 2
        with b.imagined():
            ok = b.attempt("withdraw", "alice", "alice", "coin0", middle, "alice").ok
        low, high = (middle, high) if ok else (low, middle)
    assert 90 * WAD < low < 100 * WAD
    reason = b.refusal("withdraw", "alice", "alice", "coin0", low + 1, "alice")
    assert reason == "margin: below initial"
    b.do("withdraw", "alice", "alice", "coin0", low, "alice")
    # 50 * 3,000 at a tenth and a little depth, less 10,000 of cash less the price of the depth.
    kept = b.holding("alice", ETH).initial
    assert 5_000 * WAD < kept < 5_003 * WAD


def test_withdraw__beside_a_dead_leg__reverts(b: Backed):
    b.back("alice", ETH, 100 * WAD)
    b.do("trade", "alice", "alice", 0, WAD)
    b.do("fault", 0, "revert")
    assert b.refusal("withdraw", "alice", "alice", "coin0", 1, "alice") == "margin: dead leg"


def test_withdraw__with_a_debt__up_to_its_share_of_the_collateral(b: Backed):
    b.back("alice", ETH, 100 * WAD)
    b.owe("alice", 50_000 * WAD)
    debt, scale = -b.cash("alice"), b.setup.coins[ETH].terms["scale"]

    def allowed(own: int) -> bool:
        return 2 * debt <= counts(own * 3_000, 800_000, scale, own)

    low, high = 0, 100 * WAD
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if allowed(100 * WAD - middle) else (low, middle)
    assert b.refusal("withdraw", "alice", "alice", "coin0", low + 1, "alice") == "caps: debt"
    b.do("withdraw", "alice", "alice", "coin0", low, "alice")


def test_withdraw__with_a_debt_and_a_dead_token__counts_nothing_for_the_dead(b: Backed):
    b.back("alice", ETH, 100 * WAD)
    b.back("alice", BTC, 10**8)
    b.owe("alice", 10_000 * WAD)
    b.kill(ETH)
    b.do("withdraw", "alice", "alice", "coin0", 100 * WAD, "alice")
    assert b.refusal("withdraw", "alice", "alice", "coin1", 10**8, "alice") == (
        "margin: below initial"
    )


def test_trade__on_tokens_alone__as_far_as_initial_weights_go(b: Backed):
    """COL-1: no quote at all, and as large as the initial value allows, to the wei of size."""
    b.back("alice", ETH, 10 * WAD)
    initial = b.holding("alice", ETH).initial
    low, high = 10**10, 1_000 * WAD
    while high - low > 1:
        middle = (low + high) // 2
        with b.imagined():
            outcome = b.attempt("trade", "alice", "alice", 0, middle)
        low, high = (middle, high) if outcome.ok else (low, middle)
    assert b.refusal("trade", "alice", "alice", 0, low + 1) == "margin: below initial"
    b.do("trade", "alice", "alice", 0, low)
    leg = b.house.view("leg", b.at("alice"), 0)
    pnl = floor(Fraction(low * 3_000)) - leg[4]
    required = floor(Fraction(low * 3_000) * (Fraction(1, 10) + Fraction(low, 20_000_000 * WAD)))
    assert abs(initial + pnl - required) < 1_000


# ------------------------------------------------------------------ permits


KEY = Account.from_key("0x" + "22" * 32)


def permit_token(b: Backed, approved: bool = False) -> Contract:
    """A token with permits, listed as the next one; its owner has 100 of it."""
    token = b.chain.deploy(compile_contract("mocks/PermitTokenMock.vy"), 18)
    number = len(b.coins)
    b.setup.coins.append(coin(3_000))
    b.do("feed", 8, 3_000 * 10**8)
    b.coins.append(token)
    terms = b.system._coin_terms(number, {})
    listed = b.configurator.call("list_collateral", token.address, terms, sender=b.at("owner"))
    assert listed.ok
    assert token.call("mint", KEY.address, 100 * WAD).ok
    return token


def signed(b: Backed, token: Contract, amount: int, deadline: int = MAX, **changes: Any) -> Any:
    """The arguments of a deposit with a permit by `KEY` for the Clearinghouse."""
    value = {
        "owner": KEY.address,
        "spender": b.house.address,
        "value": amount,
        "nonce": token.view("nonces", KEY.address),
        "deadline": deadline,
    } | changes
    domain = {
        "name": token.view("name"),
        "version": "1",
        "chainId": CHAIN_ID,
        "verifyingContract": token.address,
    }
    kinds = {"owner": "address", "spender": "address"}
    fields = [{"name": n, "type": kinds.get(n, "uint256")} for n in value]
    done = Account.sign_message(encode_typed_data(domain, {"Permit": fields}, value), KEY.key)
    r, s = done.r.to_bytes(32, "big"), done.s.to_bytes(32, "big")
    return KEY.address, token.address, amount, deadline, done.v, r, s


def with_permit(b: Backed, args: Any, sender: str = KEY.address) -> Any:
    return b.house.call("deposit_with_permit", *args, sender=sender)


def test_deposit_with_permit__good__approves_and_deposits(b: Backed):
    token = permit_token(b)
    told = with_permit(b, signed(b, token, 5 * WAD))
    assert told.ok
    assert told.value == 5 * WAD
    assert names(told) == ["Approval", "Approval", "Transfer", "TokenMoved", "Deposited"]
    assert b.holding(KEY.address, 3).own == 5 * WAD
    assert token.view("allowance", KEY.address, b.house.address) == 0


def test_deposit_with_permit__already_used_by_a_front_runner__deposits_all_the_same(b: Backed):
    token = permit_token(b)
    args = signed(b, token, 5 * WAD)
    front = token.call("permit", KEY.address, b.house.address, *args[2:], sender=b.at("mallory"))
    assert front.ok
    assert with_permit(b, args).ok
    assert b.holding(KEY.address, 3).own == 5 * WAD


def test_deposit_with_permit__replayed__takes_nothing_more(b: Backed):
    token = permit_token(b)
    args = signed(b, token, 5 * WAD)
    assert with_permit(b, args).ok
    assert not with_permit(b, args).ok
    assert b.holding(KEY.address, 3).own == 5 * WAD


@pytest.mark.parametrize("what", ["spender", "expired", "amount", "signer"])
def test_deposit_with_permit__not_a_permit_for_this__takes_nothing(b: Backed, what: str):
    token = permit_token(b)
    if what == "spender":
        args = signed(b, token, WAD, spender=b.at("pool"))
    elif what == "expired":
        args = signed(b, token, WAD, deadline=b.chain.now - 1)
    elif what == "amount":
        args = (*signed(b, token, WAD)[:2], 2 * WAD, *signed(b, token, WAD)[3:])
    else:
        args = signed(b, token, WAD)
    sender = b.at("mallory") if what == "signer" else KEY.address
    account = b.at("mallory") if what == "signer" else KEY.address
    assert not with_permit(b, (account, *args[1:]), sender).ok
    assert token.view("balanceOf", KEY.address) == 100 * WAD
    assert b.total(3) == 0


def test_deposit_with_permit__at_the_last_second_of_it__goes_through(b: Backed):
    token = permit_token(b)
    assert with_permit(b, signed(b, token, WAD, deadline=b.chain.now)).ok


def test_deposit_with_permit__token_without_permits_but_approved__is_a_deposit(b: Backed):
    b.do("mint", "alice", WAD, ETH)
    args = b.at("alice"), b.at("coin0"), WAD, MAX, 27, bytes(32), bytes(32)
    assert with_permit(b, args, b.at("alice")).ok
    b.do("mint", "alice", 5)
    args = b.at("alice"), b.at("token"), 5, MAX, 27, bytes(32), bytes(32)
    assert with_permit(b, args, b.at("alice")).ok
    assert (b.held("alice", ETH), b.cash("alice")) == (WAD, 5 * 10**12)


def test_deposit_with_permit__anything_for_a_token__is_not_called_unless_listed(b: Backed):
    """The one call to an address that the caller names: what it does is undone if it is no token here."""
    odd = b.chain.deploy(compile_contract("mocks/PermitTokenMock.vy"), 18)
    odd.call("mint", KEY.address, WAD)
    refused = with_permit(b, signed(b, odd, WAD))
    assert refused.reason == "ledger: unknown token"
    assert odd.view("nonces", KEY.address) == 0


# ------------------------------------------------------------------ dead tokens


def test_poke_token__live__keeps_price_and_time(b: Backed):
    b.wait(50)
    b.price(ETH, 3_210)
    assert b.do("poke_token", "keeper", "coin0").value == 3_210 * WAD
    state = slots.unpack_token_state(b.house.view("token_words", ETH)[3])
    stable = 3_000 * WAD + (3_000 * WAD >> 24) + 3_000 * WAD * 60_000 * 50 // (3_600 * PPM)
    steady = (stable << 24) // (3_210 * WAD)
    assert state == slots.TokenState(3_210 * WAD, b.chain.now, False, 0, steady)
    assert b.refusal("poke_token", "keeper", "alice") == "ledger: unknown token"


def test_poke_token__dead__fades_in_a_straight_line_of_a_day_from_then(b: Backed):
    """LIQ-4: in full until somebody reports it, by seconds from then, nothing after a day."""
    b.back("alice", ETH, 10 * WAD)
    full = b.holding("alice", ETH)
    b.kill(ETH)
    b.wait(10 * DAY, fresh=False)
    h = b.holding("alice", ETH)
    assert (h.maintenance, h.initial, h.status) == (full.maintenance, 0, FAILED)
    assert b.do("poke_token", "keeper", "coin0").value == 3_000 * WAD
    since = 0
    for wait in (0, 1, DAY // 4 - 1, DAY // 4, DAY // 2 - 1, 1, 1, DAY):
        b.wait(wait, fresh=False)
        since += wait
        left = max(DAY - since, 0)
        assert b.holding("alice", ETH).maintenance == full.maintenance * left // DAY
        b.do("poke_token", "keeper", "coin0")  # again: does not start it anew
    b.kill(ETH, "ok")
    b.price(ETH, 3_000)
    assert b.holding("alice", ETH) == full


@pytest.mark.parametrize("revived_by", ["poke_token", "deposit", "liquidate"])
def test_poke_token__alive_again_and_seen__the_next_death_starts_from_its_own_report(
    b: Backed, revived_by: str
):
    b.back("alice", ETH, 10 * WAD)
    b.back("bob", ETH, 10 * WAD)
    b.do("trade", "bob", "bob", 0, 20 * WAD)
    b.kill(ETH)
    b.do("poke_token", "keeper", "coin0")
    b.wait(DAY, fresh=False)
    assert b.holding("alice", ETH).maintenance == 0
    b.kill(ETH, "ok")
    b.price(ETH, 3_000)
    if revived_by == "deposit":
        b.back("alice", ETH, 1)
    elif revived_by == "liquidate":  # which seizes
        b.market_price(1_750)
        b.do("liquidate", "keeper", "bob")
        assert b.lots()
    else:
        b.do("poke_token", "keeper", "coin0")
    b.kill(ETH)
    h = b.holding("alice", ETH)
    assert h.maintenance > 0
    b.do("poke_token", "keeper", "coin0")
    assert b.holding("alice", ETH).maintenance == h.maintenance


def test_holding__stale_answer_newer_than_what_is_kept__is_the_price_it_is_valued_at(b: Backed):
    """PRC-5: the best that is known."""
    b.back("alice", ETH, 10 * WAD)
    b.wait(100, fresh=False)
    b.price(ETH, 2_000)
    b.wait(DAY + 1, fresh=False)
    assert b.holding("alice", ETH).status == STALE
    assert b.holding("alice", ETH).price == 2_000 * WAD


# ------------------------------------------------------------------ weights


def test_holding__deeper__counts_for_less_by_its_own_amount_and_by_everybodys():
    b = Backed([coin(3_000, scale=100 * WAD, cap=10_000 * WAD)])
    b.back("alice", 0, 100 * WAD)
    worth = 300_000 * WAD
    assert b.holding("alice", 0).maintenance == worth * 85 // 100 // 2
    assert b.holding("alice", 0).initial == worth * 80 // 100 // 2
    b.back("bob", 0, 200 * WAD)
    h = b.holding("alice", 0)
    assert h.maintenance == worth * 85 // 100 // 2
    assert h.initial == worth * 80 // 100 // 4
    assert b.holding("bob", 0).maintenance == 2 * worth * 85 // 100 // 3


def test_weights__lowered__go_in_a_straight_line_for_three_days(b: Backed):
    b.back("alice", ETH, WAD)
    worth, scale = 3_000 * WAD, b.setup.coins[ETH].terms["scale"]
    changes = {"maintenance_weight_ppm": 550_000, "initial_weight_ppm": 200_000}
    b.do("configure_coin", "owner", ETH, ETH, changes)
    gone = 0
    for wait in (0, 1, DAY - 1, DAY, DAY // 2, DAY // 2 - 1, 1, 1, 10 * DAY):
        b.wait(wait)
        gone += wait
        left = max(3 * DAY - gone, 0)
        mm = 550_000 + 300_000 * left // (3 * DAY)
        im = 200_000 + 600_000 * left // (3 * DAY)
        h = b.holding("alice", ETH)
        assert h.maintenance == counts(worth, mm, scale, WAD)
        assert h.initial == counts(worth, im, scale, WAD)


def test_weights__lowered_and_lowered_again_half_way__start_from_where_they_are(b: Backed):
    b.back("alice", ETH, WAD)
    worth, scale = 3_000 * WAD, b.setup.coins[ETH].terms["scale"]
    b.do("configure_coin", "owner", ETH, ETH, {"initial_weight_ppm": 200_000})
    b.wait(3 * DAY // 2)
    assert b.holding("alice", ETH).initial == counts(worth, 500_000, scale, WAD)
    b.do("configure_coin", "owner", ETH, ETH, {"initial_weight_ppm": 100_000})
    assert b.holding("alice", ETH).initial == counts(worth, 500_000, scale, WAD)
    b.wait(3 * DAY // 2)
    assert b.holding("alice", ETH).initial == counts(worth, 300_000, scale, WAD)


def test_weights__raised__hold_at_once_even_while_the_other_falls(b: Backed):
    b.back("alice", ETH, WAD)
    worth, scale = 3_000 * WAD, b.setup.coins[ETH].terms["scale"]
    changes = {"maintenance_weight_ppm": 900_000, "initial_weight_ppm": 200_000}
    b.do("configure_coin", "owner", ETH, ETH, changes)
    h = b.holding("alice", ETH)
    assert h.maintenance == counts(worth, 900_000, scale, WAD)
    assert h.initial == counts(worth, 800_000, scale, WAD)


# ------------------------------------------------------------------ access


def test_set_token_and_set_credit__by_anybody_but_the_configurator__revert(b: Backed):
    words = [*b.house.view("token_words", ETH)[:3]]
    credit, seizing = b.house.view("credit")[1:3]
    for sender in ("owner", "alice", "keeper"):
        who = b.at(sender)
        for call in (
            b.house.call("set_token", ETH, b.at("coin0"), words, sender=who),
            b.house.call("set_credit", credit, seizing, sender=who),
        ):
            assert call.reason == "access: configurator only"


def test_set_token__sixteenth_and_seventeenth__takes_the_one(b: Backed):
    """By a configurator that is a puppet, since the real one counts for itself."""
    chain, words = b.chain, [*b.house.view("token_words", ETH)[:3]]
    peer = chain.deploy(compile_contract("mocks/PuppetMock.vy"), b.at("zero"), 0)
    peers = [b.at("token"), 0, *[peer.address] * 3, *[0] * 5, peer.address]
    house = chain.deploy(b.artifacts.clearinghouse, Settings(*peers))
    function = house.interface.functions["set_token"]
    for id in (15, 16):
        data = function.selector + function.inputs.encode((id, b.at("alice"), words))
        assert peer.call("act", [(house.address, data)]).ok == (id == 15)
    assert house.view("token_words", 15)[:3] == tuple(words)


def test_views__of_ids_past_the_last__revert(b: Backed):
    assert b.house.call("token_words", 15).ok
    assert b.house.call("token_words", 15).value == (0, 0, 0, 0)
    for view, args in (("token_words", (16,)), ("holding", (b.at("alice"), 16))):
        assert not b.house.call(view, *args).ok
    assert b.house.view("holding", b.at("alice"), 15)[1] == 0
