"""G. Collateral and tokens (91 to 102), as far as there is one token: the quote.

Of the quote alone; other tokens, debt and the auction are in test_collateral.py. The
limit on custody (100) is in tests/unit/Clearinghouse/test_deposit.py, over 18 decimals (99) there and
in tests/unit/LiquidityPool/test_deployment.py.
"""

from __future__ import annotations

import random
from decimal import ROUND_FLOOR, Decimal
from typing import Any

import pytest

from plimsoll.chain import address_of
from plimsoll.client import sub_account
from plimsoll.units import PPM
from tests.attacks.hostile import SOURCE as HOSTILE
from tests.attacks.hostile import Carrier, Hostile, a_few_markets, table_with
from tests.attacks.venue import DAY, MAX_UINT, Venue, tried
from tests.utils.calls import refusal

D = Decimal
MILLION = 10**6
ODD = "OddTokenMock"
HONEST, SILENT, FALSE, FROZEN, FEE = range(5)


def behave(venue: Venue, mode: int, fee_ppm: int = 0) -> None:
    """The odd token's habits from now on."""
    venue.send(venue.odd, "set_mode", mode, fee_ppm, sender=venue.stranger)


def held(venue: Venue) -> D:
    """The quote that the Clearinghouse really has."""
    return venue.tokens(venue.house)


def owed(venue: Venue) -> D:
    """The quote that it holds for accounts, by its books."""
    return venue.system.from_raw(int(venue.view(venue.house, "globals").custody))


def all_of(amount: D, decimals: int = 6) -> D:
    """As much of it as whole units of the token can be."""
    return amount.quantize(D(1).scaleb(-decimals), ROUND_FLOOR)


# ------------------------------------------------------------------ fee on transfer (96)


@pytest.mark.defence(
    "modules/ledger.vy",
    "arrived: uint256 = self._balance(token) - before",
    "arrived: uint256 = amount + 0 * before",
)
def test_96__deposit_a_token_that_keeps_a_part__credit_is_what_arrived(venue_of):
    """A venue that credits what was sent pays out what others brought (Unstoppable, sherlock 2023-06
    #40; Tracer, c4 2021-06 M-03).

    The attacker pays the token's fee both ways, and each of the others can have all that is his."""
    for fee_ppm in (1, 10_000, 333_333, 900_000):
        venue = venue_of(a_few_markets(), quote=ODD)
        attacker, client = venue.attacker, venue.client
        client.deposit(10_000, signer=venue.victim)
        venue.system.provide(attacker, 10_000, venue.house)
        behave(venue, FEE, fee_ppm)
        before = venue.wealth(attacker)
        for _ in range(5):
            sent = venue.tokens(attacker)
            client.deposit(sent, signer=attacker)
            arrived = sent - all_of(sent * fee_ppm / PPM)
            credit = client.account(attacker).cash
            assert owed(venue) <= held(venue), fee_ppm
            client.withdraw(credit, signer=attacker)
            assert credit == arrived
            assert venue.tokens(attacker) == credit - all_of(credit * fee_ppm / PPM)
        assert venue.wealth(attacker) < before
        behave(venue, HONEST)
        venue.ask(venue.owner)
        venue.wait(DAY)
        venue.leave(venue.owner)
        client.withdraw(10_000, signer=venue.victim)
        assert held(venue) == owed(venue) == venue.insurance()


@pytest.mark.defence("LiquidityPool.vy", "if arrived < needed:", "if False:")
def test_96__mint_shares_with_a_token_that_keeps_a_part__is_refused(venue_of):
    """`mint` names the shares: what arrives for them must be what they cost. `deposit` gives shares for
    what arrived, two fees on, and a way in and out is no gain."""
    for fee_ppm in (1, 10_000, 333_333):
        venue = venue_of(a_few_markets(), quote=ODD)
        attacker, me = venue.attacker, address_of(venue.attacker)
        venue.system.provide(attacker, 10_000, venue.pool)
        before, others = venue.wealth(attacker), venue.shares_worth(venue.owner)
        behave(venue, FEE, fee_ppm)
        why = venue.tried(venue.pool, "mint", 10**15, me, MAX_UINT, sender=attacker)
        assert venue.shares_worth(venue.owner) >= others, fee_ppm
        assert why == "pool: too little arrived"
        raw = venue.system.raw(5_000)
        venue.send(venue.pool, "deposit", raw, me, 0, sender=attacker)
        assert venue.shares_worth(venue.owner) >= others
        behave(venue, HONEST)
        venue.ask(attacker)
        venue.wait(DAY)
        venue.leave(attacker)
        assert venue.wealth(attacker) <= before - 5_000 * D(fee_ppm) / PPM


# ------------------------------------------------------------------ answers (97)


@pytest.mark.defence(
    "modules/ledger.vy",
    "if not extcall token.transfer(receiver, amount, default_return_value=True):",
    "if not extcall token.transfer(receiver, amount, default_return_value=True) and False:",
)
def test_97__token_that_answers_false__nobody_is_debited_for_what_was_not_paid(venue_of):
    """A token that answers `False` and moves nothing: what is not checked is credited, or debited, for
    nothing (Tracer, c4 2021-06 M-02; Elfi, sherlock 2024-05 M-10)."""
    venue = venue_of(a_few_markets(), quote=ODD)
    who, me = venue.attacker, address_of(venue.attacker)
    quote, raw = address_of(venue.token), venue.system.raw(1_000)
    venue.client.deposit(5_000, signer=who)
    venue.enter(who, 5_000)
    venue.ask(who)
    venue.wait(DAY)
    venue.system.provide(who, 5_000, venue.house)
    venue.system.provide(who, 5_000, venue.pool)
    before = venue.wealth(who)
    paths = [
        (venue.house, "withdraw", me, quote, raw, me),
        (venue.house, "deposit", me, quote, raw),
        (venue.pool, "deposit", raw, me, 0),
        (venue.pool, "mint", raw * 10**6, me, MAX_UINT),
        (venue.pool, "redeem", raw * 10**6, me, me, 0),
        (venue.pool, "withdraw", raw, me, me, MAX_UINT),
    ]
    for mode, reason in ((FALSE, "transfer failed"), (FROZEN, "token: frozen")):
        behave(venue, mode)
        for path in paths:
            why = venue.tried(*path, sender=who)
            assert venue.wealth(who) == before, (mode, path[1])
            assert why and why.endswith(reason), (mode, path[1])
    # The ones that answer nothing at all are as good as any.
    for mode in (HONEST, SILENT):
        behave(venue, mode)
        for path in paths:
            with venue.imagined():
                venue.send(*path, sender=who)
                assert abs(venue.wealth(who) - before) < D("0.01"), (mode, path[1])


def test_97__token_that_pays_nobody__stops_no_trade_and_no_liquidation(venue_of):
    """Trading, liquidation and the keeper's reward are numbers: no token moves (38)."""
    for mode in (FALSE, FROZEN):
        venue = venue_of(a_few_markets(), quote=ODD)
        client = venue.client
        client.deposit(10_000, signer=venue.trader)
        client.deposit(1_000, signer=venue.victim)
        client.trade("SOL", 45, signer=venue.victim, slippage=None)
        behave(venue, mode)
        client.trade("ETH", 1, signer=venue.trader)
        client.close("ETH", signer=venue.trader)
        venue.prices(SOL=135)
        done = client.liquidate(venue.victim, signer=venue.keeper)
        assert done.reward > 0
        assert client.account(venue.keeper).cash == done.reward
        behave(venue, HONEST)
        client.withdraw(all_of(done.reward), signer=venue.keeper)
        assert venue.tokens(venue.keeper) == all_of(done.reward)


# ------------------------------------------------------------------ callbacks (98)


@pytest.mark.defence("Clearinghouse.vy", "# pragma nonreentrancy on", "# pragma nonreentrancy off")
def test_98__deposit_inside_a_deposit__is_credited_once(venue_of):
    """A token that calls back between the two readings of a balance: what the inner deposit brings is
    counted by both (Flat Money, sherlock 2023-12 #75; Cream, August 2021, 18m).

    Undone, 250,000 deposited inside 1,000 are credited as 501,000 and withdrawn as such."""
    for amount in (D(1), D(1_000), D(250_000)):
        for late in (False, True):
            venue = venue_of(a_few_markets(), quote=HOSTILE)
            stage = Hostile(venue)
            us = (stage.me, stage.puppet.address)
            quote, raw = address_of(venue.token), venue.system.raw(amount)
            before = venue.wealth(*us)
            outer = (venue.house, "deposit", us[1], quote, venue.system.raw(1_000))
            inner = {"deposit": (venue.house, "deposit", stage.me, quote, raw)}
            carrier = Carrier("deposit", outer, skip=0, late=late, house=True, pool=False)
            answers = stage.inside(carrier, inner)
            some_seconds = D("0.1")  # of funding, to shares
            assert venue.wealth(*us) - before < some_seconds, (amount, late)
            assert owed(venue) <= held(venue)
            assert not answers["deposit"].success
            for who, act in zip(us, (stage.act, stage.puppet.act), strict=True):
                cash = venue.system.raw(all_of(venue.client.account(who).cash))
                act((venue.house, "withdraw", who, quote, cash, who))
            assert venue.wealth(*us) - before < some_seconds


def test_98__every_way_of_moving_money_inside_every_other__is_no_richer(venue_of):
    """Both of them the attacker's, the one who is called back in the middle of it and the one who
    moves money meanwhile: deposits, withdrawals, shares, trades."""
    venue = venue_of(a_few_markets(), quote=HOSTILE)
    stage = Hostile(venue)
    us = (stage.me, stage.puppet.address)
    others = venue.shares_worth(venue.owner)
    inner = stage.calls("Clearinghouse", views=False) | stage.calls("LiquidityPool", views=False)
    del inner["liquidate"], inner["liquidate_many"]  # rewards are earned
    for carrier in stage.carriers():
        with venue.imagined():
            stage.puppet.act(carrier.call)
            alone = venue.wealth(*us)
        with venue.imagined():
            stage.inside(carrier, inner)
            assert venue.wealth(*us) <= alone + D("0.01"), carrier.name
            assert venue.shares_worth(venue.owner) >= others - D("0.01")
            assert owed(venue) <= held(venue)


# ------------------------------------------------------------------ decimals (99)


@pytest.mark.parametrize("decimals", [0, 2, 6, 8, 18])
def test_99__odd_amounts_in_and_out_at_any_decimals__never_a_unit_gained(venue_of, decimals):
    """Scaling between the token's units and the venue's is where a venue loses or gives money (Zaros,
    Cyfrin 2024-07, twice; Tigris, c4 2022-12 M-19).

    Deposits, withdrawals, trades and a way through the pool, in amounts from one unit up: at one price
    nothing is gained, and whatever is left between two units stays in the account."""
    venue = venue_of(table_with(decimals), quote=ODD)
    attacker, client, dice = venue.attacker, venue.client, random.Random(decimals)
    me, sub = address_of(attacker), sub_account(attacker, 7)
    quote, unit = address_of(venue.token), D(1).scaleb(-decimals)
    venue.system.provide(attacker, 60_000, venue.house)
    venue.system.provide(attacker, 60_000, venue.pool)
    start, others = venue.tokens(attacker), venue.shares_worth(venue.owner)
    for account in (me, sub):
        client.deposit(20_000, account=account, signer=attacker)
    for _ in range(25):
        account = dice.choice((me, sub))
        size = D(dice.choice((1, -1)) * dice.randrange(1, 10**6)).scaleb(-6)
        tried(lambda: client.trade("ETH", size, account=account, signer=attacker))  # noqa: B023
        cash = int(client.account(account).cash / unit)
        raw = dice.choice((1, 2, dice.randrange(1, max(cash // 2, 2))))
        venue.tried(venue.house, "withdraw", account, quote, raw, me, sender=attacker)
        venue.tried(venue.house, "deposit", account, quote, raw, sender=attacker)
        venue.tried(venue.pool, "deposit", raw, me, 0, sender=attacker)
        venue.tried(venue.pool, "mint", dice.randrange(1, 10**9), me, MAX_UINT, sender=attacker)
        assert owed(venue) <= held(venue)
    for account in (me, sub):
        client.close("ETH", account=account, signer=attacker)
        cash = client.account(account).cash
        whole = all_of(cash, decimals)
        too_much = venue.system.raw(whole) + 1
        why = venue.tried(venue.house, "withdraw", account, quote, too_much, me, sender=attacker)
        assert why == "margin: not enough cash"
        client.withdraw(whole, account=account, signer=attacker)
        assert 0 <= client.account(account).cash < unit
    venue.ask(attacker)
    venue.wait(DAY)
    venue.leave(attacker)
    assert venue.view(venue.pool, "balanceOf", me) == 0
    assert start - 5_000 < venue.tokens(attacker) < start
    assert venue.shares_worth(venue.owner) >= others


# ------------------------------------------------------------------ blocked (102)


def block(venue: Venue, who: Any, blocked: bool = True) -> None:
    """The issuer's list."""
    venue.send(venue.odd, "block_", address_of(who), blocked, sender=venue.stranger)


def test_102__issuer_blocks_a_trader__his_account_can_be_liquidated_and_pays_elsewhere(venue_of):
    """Whoever is blocked cannot be paid; it is his affair. Paid out as part of a liquidation, it would
    be everybody's (JOJO, sherlock 2023-04 #206; Predy, c4 2024-05 M-06)."""
    venue = venue_of(a_few_markets(), quote=HOSTILE)
    client, victim = venue.client, venue.victim
    client.deposit(1_000, signer=victim)
    client.trade("SOL", 45, signer=victim, slippage=None)
    for who in (victim, venue.keeper):
        block(venue, who)
    venue.prices(SOL=135)
    done = client.liquidate(victim, signer=venue.keeper)
    assert done.closed == 1 and done.reward > 0
    for who in (victim, venue.keeper):
        cash = all_of(client.account(who).cash)
        assert cash > 0
        why = refusal(lambda: client.withdraw(cash, signer=who))  # noqa: B023
        assert why == "token: blocked"
        client.withdraw(cash, receiver=venue.stranger, signer=who)
        assert client.account(who).cash < D("0.000001")
    assert venue.tokens(venue.stranger) > done.reward


def test_102__claim_for_a_receiver_who_is_blocked__harms_himself_alone(venue_of):
    """A claim is pulled, by one for himself: nobody waits behind him (77; Hubble, sherlock 2023-04
    #116)."""
    venue = venue_of(a_few_markets(), quote=HOSTILE)
    for who in (venue.attacker, venue.lp):
        venue.enter(who, MILLION)
        venue.ask(who)
    block(venue, venue.attacker)
    venue.wait(DAY)
    worth = venue.shares_worth(venue.attacker)
    why = refusal(lambda: venue.leave(venue.attacker))
    assert why == "token: blocked"
    assert venue.shares_worth(venue.attacker) == worth
    venue.leave(venue.lp)
    assert venue.tokens(venue.lp) > MILLION - D("0.01")
    me, shares = address_of(venue.attacker), 10**12
    to = address_of(venue.stranger)
    venue.send(venue.pool, "redeem", shares, to, me, 0, sender=venue.attacker)
    assert venue.tokens(venue.stranger) > 0


@pytest.mark.parametrize("whom", ["house", "pool"])
def test_102__issuer_blocks_the_venue_itself__books_stand_and_all_but_transfers_go_on(
    venue_of, whom
):
    """What no rule removes: the issuer can stop all deposits and withdrawals. Nobody's books change,
    positions can be closed and liquidated, and once it ends each is paid what is his.

    The pool's own address only passes deposits on: if it alone is blocked, claims are still paid."""
    venue = venue_of(a_few_markets(), quote=HOSTILE)
    client, lp = venue.client, venue.lp
    client.deposit(10_000, signer=venue.trader)
    client.deposit(1_000, signer=venue.victim)
    client.trade("SOL", 45, signer=venue.victim, slippage=None)
    client.trade("ETH", 5, signer=venue.trader)
    venue.enter(lp, MILLION)
    venue.ask(lp)
    venue.wait(DAY)
    block(venue, getattr(venue, whom))
    assert refusal(lambda: venue.enter(lp, 1)) == "token: blocked"
    if whom == "house":
        assert refusal(lambda: client.deposit(1, signer=venue.trader)) == "token: blocked"
        assert refusal(lambda: venue.leave(lp)) == "token: blocked"
    else:
        venue.leave(lp)
        assert venue.tokens(lp) > MILLION - 10
    venue.prices(SOL=135, ETH=3_100)
    client.liquidate(venue.victim, signer=venue.keeper)
    client.close("ETH", signer=venue.trader)
    due = all_of(client.account(venue.trader).cash)
    assert due > 10_400
    if whom == "house":
        assert refusal(lambda: client.withdraw(due, signer=venue.trader)) == "token: blocked"
        block(venue, venue.house, False)
        venue.leave(lp)
    had = venue.tokens(venue.trader)
    client.withdraw(due, signer=venue.trader)
    assert venue.tokens(venue.trader) == had + due
