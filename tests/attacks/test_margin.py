"""B. Margin, equity, withdrawals (21 to 32)."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from plimsoll.chain import address_of
from plimsoll.client import Account
from plimsoll.table import PoolSpec, Table, default_table, market
from plimsoll.units import MAX_UINT, to_wad
from tests.attacks.venue import Venue, tried, without_funding
from tests.utils.calls import refusal

D = Decimal
CENT = D("0.01")

WITHDRAWING = (
    "self._check_margin(total, slots.cash_of(header), collateral.value(account, header).initial, 0)"
)
OPENING = "self._check_margin(total, cash_after, backing.initial, PROFIT_WEIGHT_PPM)"


@pytest.fixture
def still(venue_of: Callable[..., Venue]) -> Venue:
    """The default venue with funding that stands still."""
    return venue_of(
        without_funding(default_table().only("BTC", "ETH", "SOL", "LINK").with_collateral())
    )


def take_out(venue: Venue, who: Any) -> Decimal:
    """Withdraw all the cash there is if the contract lets it go, else what the Lens says may go."""
    view = venue.client.account(who)
    cash = view.cash.quantize(D("1e-6"), "ROUND_DOWN")
    for amount in (cash, view.withdrawable):
        if amount > 0 and tried(lambda a=amount: venue.client.withdraw(a, signer=who)) is None:
            return amount
    return D(0)


# ------------------------------------------------------------------ paper profit


@pytest.mark.defence(
    "Clearinghouse.vy",
    WITHDRAWING,
    WITHDRAWING.replace(", 0)", ", 10**6)"),
)
def test_21__withdraw_paper_profit__only_cash_above_the_requirement_leaves(venue):
    """Hyperliquid, March 2025: a whale took out his margin against unrealised profit, was liquidated
    on purpose, and left the vault with a position of 4m loss."""
    client, attacker = venue.client, venue.attacker
    client.deposit(50_000, signer=attacker)
    client.trade("ETH", 100, signer=attacker)
    venue.hold(ETH=3_300)  # 30,000 of paper profit, at the stable price too
    view = client.account(attacker)
    assert view.pnl > 29_000
    assert view.withdrawable <= view.cash - view.initial
    too_much = view.withdrawable + D("0.01")
    assert refusal(lambda: client.withdraw(too_much, signer=attacker)) == "margin: below initial"
    client.withdraw(view.withdrawable - D("0.01"), signer=attacker)
    after = client.account(attacker)
    assert after.cash >= after.initial


@pytest.mark.defence(
    "Clearinghouse.vy",
    WITHDRAWING,
    WITHDRAWING.replace(", 0)", ", 10**6)"),
)
@pytest.mark.parametrize("fall", [D("0.09"), D("0.11"), D("0.13")])
def test_21__withdraw_at_the_top_then_be_liquidated__no_better_than_staying_in(still, fall):
    """The same to its end: 3m of ether rise by a tenth, all that may go goes, the market turns within a
    block and the whale's accomplice liquidates. What is left must cover the fall: nobody else pays, and
    the whale has no more than if he had left his money in."""
    client, whale, accomplice = still.client, still.attacker, still.accomplice
    client.deposit(200_000, signer=whale)
    client.trade("ETH", 1_000, signer=whale)
    still.hold(ETH=3_300)

    def ends_with(withdraw: bool) -> tuple[Decimal, Decimal]:
        with still.imagined():
            if withdraw:
                assert take_out(still, whale) > 20_000
            still.prices(ETH=3_300 * (1 - fall))
            owed = D(0)
            if client.account(whale).liquidatable:
                done = client.liquidate(whale, signer=accomplice)
                owed = done.debt_to_insurance + done.debt_to_pool
            else:
                client.close("ETH", signer=whale)
            return still.wealth(whale, accomplice), owed

    stayed, _ = ends_with(withdraw=False)
    left, owed = ends_with(withdraw=True)
    assert owed == 0
    assert left <= stayed


@pytest.mark.defence("Clearinghouse.vy", OPENING, OPENING.replace("PROFIT_WEIGHT_PPM", "10**6"))
@pytest.mark.parametrize("im", [D("0.12"), D("0.20")])
def test_22__paper_profit_staked_again_at_each_step_up__grows_by_half_its_weight(venue_of, im):
    """dYdX, November 2023, 9m of its insurance fund: YFI longs, each step of the rise staked again. A
    net unrealised profit counts by half, so each hundredth up allows sizes (1 + 0.5 % / im) / 1.01 as
    large: 8.7 times at 12 % over a doubling, 2.8 times at 20 %; counted in full it would be
    135 and 15 times."""
    spec = market("YFI", 10_000, "other", im=im, depth=10**10, spread="0.0001", taker_fee="0.0001")
    venue = venue_of(without_funding(Table(markets=(spec,))))
    client, attacker = venue.client, venue.attacker
    client.deposit(10_000, signer=attacker)

    def stake(price: Decimal) -> Decimal:
        view = client.account(attacker)
        for weight in (
            1,
            venue.system.table.profit_weight,
        ):  # of the paper profit: all, or what counts
            equity = view.cash + view.pnl * (weight if view.pnl > 0 else 1)
            free = equity - max(view.initial, D(6))  # the flat reward, before there is a position
            size = (free / price / (im + D("0.0007"))).quantize(D("1e-12"))  # costs and depth
            if buy(size) is None:
                break
        position = client.account(attacker).position("YFI")
        assert position is not None
        return position.size

    def buy(size: Decimal) -> str | None:
        return tried(lambda: client.trade("YFI", size, slippage=None, signer=attacker))

    price = spec.price
    size, first = stake(price), 10_000 / im / price
    for _ in range(70):
        price = (price * D("1.01")).quantize(D("1e-8"))
        venue.hold(YFI=price)  # no faster than the stable price
        size = stake(price)
    bound = ((1 + D("0.01") / 2 / im) / D("1.01")) ** 70
    assert size / first <= bound
    assert size / first > D("0.95") * bound


@pytest.mark.defence(
    "modules/markets.vy",
    "if crowd > t2 & slots.MASK_96:",
    "if crowd > max_value(uint256) - 1:",
)
@pytest.mark.parametrize("realise", [False, True], ids=["on paper", "realised"])
def test_22__small_stake_through_a_doubling__is_held_by_the_cap(still, realise):
    """What holds it in the end. On a major, at 5 %, the weight allows 10,000 to become the whole cap on
    the skew well before the price has doubled; and closing and opening anew turns paper into cash for
    the price of a round trip. Then it grows no more: cap times the rise is the most that can be made."""
    venue, client, attacker = still, still.client, still.attacker
    spec = venue.system.table.spec("ETH")
    client.deposit(10_000, signer=attacker)
    gained, nav = venue.gains(attacker), venue.nav()
    price, reached = spec.price, None
    for step in range(71):
        if realise and step % 8 == 7:
            client.close("ETH", signer=attacker)
        for part in (D("0.9"), D("0.09")):
            power = client.account(attacker).buying_power
            if power > 100:
                size = (part * power / price).quantize(D("1e-12"))
                why = tried(lambda s=size: client.trade("ETH", s, slippage=None, signer=attacker))
                if why == "caps: skew" and reached is None:
                    reached = price
        price = (price * D("1.01")).quantize(D("1e-8"))
        venue.hold(ETH=price)  # no faster than the stable price
    held = client.account(attacker).position("ETH")
    assert held is not None
    assert held.size <= spec.max_skew
    client.close("ETH", signer=attacker)
    assert gained() <= spec.max_skew * (price - spec.price)
    assert nav - venue.nav() <= spec.max_skew * (price - spec.price)
    assert gained() > 1_000_000  # held by nothing but the cap
    assert reached is not None


# ------------------------------------------------------------------ a pump of minutes

ORACLE_ALONE = (
    "modules/markets.vy",
    "    if steady == 0:\n        return m.price\n",
    "    if steady != 0:\n        return m.price\n",
)
TOKENS_BY_THE_ORACLE = (
    "modules/collateral.vy",
    "worth = unsafe_div(unsafe_mul(amount, min(h.price, h.stable)), WAD)",
    "worth = unsafe_div(unsafe_mul(amount, h.price), WAD)",
)


@pytest.mark.defence(*ORACLE_ALONE)
@pytest.mark.parametrize("side", [1, -1], ids=["pumped", "crushed"])
def test_19__thin_market_moved_tenfold_for_ten_minutes__opens_nothing_elsewhere(venue_of, side):
    """Mango, October 2022, 116m: a thin market pumped for minutes, everything else borrowed against the
    paper profit. The stable price goes 6 % an hour: in ten minutes a hundredth of the way. What the
    whale may open in the big market, and what he may take out, is what it was but for a hundredth of
    his thin position; and what he takes in the thin market itself is its cap times the jump, no more."""
    spec = market("THIN", 10, "other")
    venue = venue_of(without_funding(Table(markets=(spec, market("BTC", 60_000, "major")))))
    client, whale = venue.client, venue.attacker
    client.deposit(100_000, signer=whale)
    spec = venue.system.table.spec("THIN")
    size = min(spec.max_skew, D(30_000)) * side
    client.trade("THIN", size, signer=whale)
    before = client.account(whale)
    pumped = D(100) if side > 0 else D(1)
    for _ in range(5):
        venue.wait(120)
        venue.prices(THIN=pumped)
        venue.system.poke("THIN")
    view = client.account(whale)
    paper = abs(size) * abs(pumped - 10)
    assert view.pnl > paper * D("0.9")
    # Ten minutes at 6 % an hour, of the notional then.
    crept = abs(size) * 10 * D("0.0106")  # and the seconds of the transactions
    assert view.withdrawing_equity <= before.withdrawing_equity + crept
    assert view.opening_equity <= before.opening_equity + crept
    # What is free, and what the thin position asks, as a multiple of the big market's requirement.
    most = before.buying_power + D("1.15") * crept / D("0.05")
    assert view.buying_power <= most
    nav = venue.nav()
    if view.buying_power > 0:
        stake = (view.buying_power / 60_000).quantize(D("1e-8"))
        tried(lambda: client.trade("BTC", stake, slippage=None, signer=whale))
    held = client.account(whale).position("BTC")
    assert held is None or held.size * 60_000 <= most
    tried(lambda: client.close("THIN", signer=whale))
    assert venue.wealth(whale) <= 100_000 + paper * D("1.01")  # the curve gives its premium back
    assert nav - venue.nav() <= paper * D("1.01")


@pytest.mark.defence(*TOKENS_BY_THE_ORACLE)
def test_19__collateral_pumped_tenfold_for_ten_minutes__carries_no_more(venue_of):
    """The same with what stands behind: Mango's own token, Venus' THE, Moonwell's wrsETH at 5.8m. For opening and
    withdrawing a token counts at the lower of oracle and stable price."""
    venue = venue_of(default_table())
    client, whale = venue.client, venue.attacker
    client.deposit(10, token="WETH", signer=whale)
    before = client.account(whale)
    assert before.opening_equity > 20_000
    for _ in range(5):
        venue.wait(120)
        venue.prices(WETH=30_000)
        venue.send(
            venue.house, "poke_token", venue.system.token_address("WETH"), sender=venue.stranger
        )
    view = client.account(whale)
    assert view.equity > before.equity * 9
    assert view.opening_equity <= before.opening_equity * D("1.011")
    assert view.buying_power <= before.buying_power * D("1.011")


# ------------------------------------------------------------------ who pays whom


@pytest.mark.defence(
    "Clearinghouse.vy",
    "ledger.add_cash(ledger.POOL, unsafe_add(f.cost, convert(unsafe_sub(fee, to_insurance), int256)))",
    "ledger.add_cash(ledger.POOL, convert(unsafe_sub(fee, to_insurance), int256))",
)
@pytest.mark.parametrize("jump", [D("0.04"), D("0.3"), D("0.6")])
def test_23__winner_withdraws_before_the_loser_is_settled__only_the_backers_pay(still, jump):
    """Drift, May 2022: profits against losses that nobody had settled were paid out of the others'
    deposits, and the last could not leave. Here the pool is everybody's counterparty: what the winner
    takes is off the pool's cash in the same call, so a third party's money is there all the while. The
    pair gets what the jump exceeds the loser's margin by, from the insurance fund and the pool."""
    client, winner, loser, victim = still.client, still.attacker, still.accomplice, still.victim
    client.deposit(500_000, signer=victim)
    size = D(1_340)
    for who in (winner, loser):
        client.deposit(300_000, signer=who)
    gained, backed = still.gains(winner, loser), still.nav() + still.insurance()
    client.trade("ETH", size, signer=winner)
    client.trade("ETH", -size, signer=loser)
    for who in (winner, loser):
        take_out(still, who)
    still.balance()

    still.prices(ETH=3_000 * (1 + jump))
    client.close("ETH", signer=winner)
    still.balance()
    take_out(still, winner)
    still.balance()
    with still.imagined():  # a run, while the loser's debt is open
        assert take_out(still, victim) == 500_000
        still.balance()

    done = tried(lambda: client.liquidate(loser, signer=winner))
    still.balance()
    take_out(still, winner)
    bound = size * 3_000 * max(D(0), jump - D("0.05"))
    assert gained() <= bound
    assert backed - still.nav() - still.insurance() <= bound
    if done is None:
        assert client.account(loser).equity >= 0
        assert bound == 0 or gained() > bound * D("0.9")
    assert take_out(still, victim) == 500_000


@pytest.mark.defence(
    "Clearinghouse.vy",
    "if owed != 0 and bitmap == 0 and not converting:",
    "if owed > 2**118 and bitmap == 0 and not converting:",
)
@pytest.mark.parametrize("fall", [D("0.15"), D("0.4"), D("0.8")])
def test_24__bankrupt_account_is_liquidated__nobody_is_last_to_leave(venue_of, fall):
    """Perennial, Flatmoney, Unstoppable: a debt stays in its account as a number below zero, everybody
    else's balance still counts it, and whoever withdraws last gets nothing. Here the account ends at
    zero and the loss is the insurance fund's, then the pool's, to the wei: the pool's holders redeem all
    that is theirs, and the trader who leaves after them finds all that is his."""
    table = replace(
        default_table().only("ETH"), pool=PoolSpec(seed=D(1_000_000)), insurance=D(10_000)
    )
    venue = venue_of(without_funding(table))
    client, attacker, victim = venue.client, venue.attacker, venue.victim
    client.deposit(500_000, signer=victim)
    client.deposit(150_000, signer=attacker)
    client.trade("ETH", 450, signer=attacker)
    insurance = venue.insurance()
    owed = client.account(attacker).equity - 450 * 3_000 * fall
    venue.prices(ETH=3_000 * (1 - fall))
    assert client.account(attacker).equity == owed < -50_000

    done = client.liquidate(attacker, signer=venue.keeper)
    with venue.imagined():  # the run: the pool's holders first, then the trader
        venue.ask(venue.owner)
        venue.wait(86_400)
        venue.leave(venue.owner)
        tried(lambda: client.withdraw(500_000, signer=victim))
        assert venue.tokens(victim) == 500_000
        assert venue.nav() < 1
        venue.balance()

    after = client.account(attacker)
    assert (after.cash, after.positions) == (0, ())
    assert done.debt_to_insurance == insurance
    # Closing refunds the curve's premium, 450^2 / 2S at the new price; the rest of the debt is there.
    refund = D(450) ** 2 / (2 * 134_000) * 3_000 * (1 - fall)
    assert abs(done.debt_to_insurance + done.debt_to_pool + owed + refund) < D("1e-9")
    assert venue.insurance() == 0
    # The pool has what there is beside the victim's money, and claims nothing that is not there.
    assert venue.nav() == 1_000_000 + 10_000 + 150_000
    venue.balance()


# ------------------------------------------------------------------ checks after the fact


def adverse(venue: Venue, who: Any, other: Any) -> dict[str, list[tuple[Any, ...]]]:
    """For each function of the Clearinghouse, calls that would hurt `who` most: sender, arguments."""
    account, token = address_of(who), address_of(venue.token)
    ids = {name: venue.system.market_id(name) for name in ("ETH", "BTC", "SOL")}
    cash = venue.system.raw(venue.client.account(who).cash.quantize(CENT, "ROUND_DOWN"))

    def trade(name: str, size: int | str) -> tuple[Any, ...]:
        delta = to_wad(D(size), "size")
        return who, account, ids[name], delta, MAX_UINT if delta > 0 else 0

    return {
        "deposit": [(other, account, token, 1)],
        "withdraw": [
            (who, account, token, amount, address_of(to))
            for amount in (cash, 10**6, 2)
            for to in (who, other, venue.pool)
        ],
        "trade": [
            *(trade("ETH", size) for size in (1_000, 100, 1, "0.01", -800, -450)),
            *(trade("ETH", size) for size in (-1, -100, -200)),
            *(trade("BTC", size) for size in ("-0.001", -1, 3, 7, 20)),
            *(trade("SOL", size) for size in ("0.1", "-0.1", 2_000)),
        ],
        "liquidate": [(other, account)],
        "liquidate_many": [(other, [account] * 3)],
        "poke": [(other, i) for i in ids.values()],
        "set_terms": [(who, ids["ETH"], [0, 0, 0]), (other, ids["ETH"], [1, 1, 1])],
        "set_nav": [(who, -(10**25)), (other, 10**25)],
        "set_calm": [(who, 0), (other, 2**32 - 1)],
        "set_share": [(who, 0), (other, 1)],
        "deposit_with_permit": [(other, account, token, 1, 0, 27, bytes(32), bytes(32))],
        "convert_collateral": [(other, account)],
        "settle": [(other, account)],
        "set_token": [(who, 0, token, [0, 0, 0]), (other, 0, token, [1, 1, 1])],
        "set_credit": [(who, 0, 0), (other, MAX_UINT, MAX_UINT)],
        "poke_token": [(other, token)],
    }


def stands(before: Account, after: Account) -> bool:
    """Whether an account keeps its initial margin, or has only been reduced, its health no lower."""
    if after.opening_equity >= after.initial:
        return True
    held = {p.market: p.size for p in before.positions}
    only_less = all(
        abs(p.size) <= abs(held.get(p.market, D(0))) and p.size * held[p.market] > 0
        for p in after.positions
        if p.market in held
    ) and {p.market for p in after.positions} <= set(held)
    return (
        only_less
        and after.equity >= 0
        and (after.health is None or (before.health is not None and after.health >= before.health))
    )


@pytest.mark.defence(
    "Clearinghouse.vy",
    OPENING,
    "self._check_margin(before, cash, backing.initial, PROFIT_WEIGHT_PPM)",
)
@pytest.mark.defence(
    "Clearinghouse.vy",
    WITHDRAWING,
    WITHDRAWING.replace(
        "slots.cash_of(header)",
        "unsafe_add(slots.cash_of(header), convert(unsafe_mul(amount, ledger.UNIT), int256))",
    ),
)
@pytest.mark.parametrize("move", [D("-0.004"), D(0), D("0.02")], ids=["loss", "even", "profit"])
def test_25__every_function_against_an_account_at_its_limit__leaves_it_its_margin(
    still, artifact, move
):
    """Euler, March 2023, 197m; Platypus; Sharwa, October 2025: solvency was checked before the change of
    state, or by all functions but one. Every function that can change the Clearinghouse's state is called
    on an account that has its initial margin and not a cent more."""
    client, attacker, stranger = still.client, still.attacker, still.stranger
    client.deposit(100_000, signer=attacker)
    client.trade("ETH", 200, signer=attacker)
    client.trade("BTC", -5, signer=attacker)
    client.deposit(100, signer=stranger)
    still.fund(stranger, 1)
    still.system.provide(stranger, 10, still.house)
    still.hold(ETH=3_000 * (1 + move))
    client.withdraw(client.account(attacker).withdrawable, signer=attacker)
    before = client.account(attacker)
    assert before.withdrawing_equity - before.initial < CENT

    table = adverse(still, attacker, stranger)
    changing = {
        entry["name"]
        for entry in artifact("Clearinghouse").abi
        if entry["type"] == "function" and entry["stateMutability"] in ("nonpayable", "payable")
    }
    assert set(table) == changing
    passed: dict[str, int] = dict.fromkeys(table, 0)
    for method, calls in table.items():
        for sender, *args in calls:
            with still.imagined():
                reason = tried(
                    lambda s=sender, m=method, a=args: still.send(still.house, m, *a, sender=s)
                )
                if reason is not None:
                    continue
                passed[method] += 1
                after = client.account(attacker)
                assert stands(before, after), f"{method}{args}"
                if method == "withdraw":
                    assert after.withdrawing_equity >= after.initial, f"{method}{args}"
                assert not after.liquidatable
    # Deposits and reductions pass, so that the table is not one of refusals alone.
    assert passed["deposit"] == 1
    assert passed["trade"] >= 3
    assert passed["poke"] == 3
    assert passed["withdraw"] + passed["liquidate"] + passed["set_terms"] + passed["set_nav"] == 0


@pytest.mark.defence("Clearinghouse.vy", WITHDRAWING, "pass")
@pytest.mark.parametrize("fall", [D("0.01"), D("0.024")])
def test_26__give_margin_away_and_have_oneself_liquidated__is_no_way_out_of_a_loss(still, fall):
    """Euler, March 2023: a donation made the donor's own account insolvent, and his second account
    liquidated it at a profit. Money leaves an account by `withdraw` alone, whoever it goes to, and by the
    fees of trades; neither takes it under its margin. An owner who sits on a loss cannot leave it to
    the insurance fund by emptying his account first."""
    client, attacker, accomplice = still.client, still.attacker, still.accomplice
    client.deposit(100_000, signer=attacker)
    client.trade("ETH", 500, signer=attacker)
    client.withdraw(client.account(attacker).withdrawable, signer=attacker)
    gained, backed = still.gains(attacker, accomplice), still.insurance() + still.nav()
    still.prices(ETH=3_000 * (1 - fall))
    with still.imagined():
        client.close("ETH", signer=attacker)
        honest = gained()
    assert honest < -500 * 3_000 * (fall - D("0.002"))

    reasons = set()
    for receiver in (accomplice, still.pool, attacker):
        view = client.account(attacker)
        for amount in (view.cash, view.equity, view.cash / 2, D(1)):
            if amount > 0:
                give = amount.quantize(CENT, "ROUND_DOWN")
                reasons.add(
                    tried(
                        lambda g=give, r=receiver: client.withdraw(g, receiver=r, signer=attacker)
                    )
                )
    # To churn: each trade pays spread and fee.
    for _ in range(40):
        for size in (D(-1), D(1)):
            tried(lambda s=size: client.trade("ETH", s, slippage=None, signer=attacker))
    done = tried(lambda: client.liquidate(attacker, signer=accomplice))
    if done is not None:
        assert take_out(still, attacker) == 0
        client.close("ETH", signer=attacker)
    assert gained() <= honest + D(
        "1e-15"
    )  # the price of one sale is rounded once, that of many often
    assert still.insurance() + still.nav() >= backed
    assert reasons == {"margin: below initial"}
    assert done == "liquidation: account is healthy"
    house = address_of(still.house)
    refused = refusal(lambda: client.withdraw(1, receiver=house, signer=attacker))
    assert refused == "withdraw: bad receiver"
    # The honest way: closing takes the loss, and what is left may go.
    assert take_out(still, attacker) > 0


@pytest.mark.defence(
    "modules/markets.vy",
    "elapsed: uint256 = unsafe_sub(block.timestamp, touched_at)",
    "elapsed: uint256 = 0",
)
def test_27__withdraw_before_days_of_funding_are_posted__what_is_owed_stays(venue):
    """Unstoppable, GMX, Elfi, Deriverse: funding that had accrued but was not yet posted was left out of
    the check, and left with the withdrawal. Every valuation accrues it to the second: three days at
    1 % of the skew scale, nobody having touched the market, cost 2 % of 4m."""
    client, attacker = venue.client, venue.attacker
    client.deposit(500_000, signer=attacker)
    client.trade("ETH", 1_340, signer=attacker)
    before = client.account(attacker)
    gained = venue.gains(attacker)
    with venue.imagined():
        client.close("ETH", signer=attacker)
        at_once, nav = gained(), venue.nav()
    venue.wait(3 * 86_400)
    due = 1_340 * 3_000 * D("0.02")  # the rate rises to 1 % a day in two days, then stands
    assert abs(gained() + due) < 5
    view = client.account(attacker)
    assert abs(before.withdrawable - view.withdrawable - due) < 5

    over = view.withdrawable + 1
    assert refusal(lambda: client.withdraw(over, signer=attacker)) == "margin: below initial"
    client.withdraw(view.withdrawable - 2, signer=attacker)  # two seconds cost 0.93
    venue.system.poke("ETH")
    after = client.account(attacker)
    assert after.withdrawing_equity >= after.initial - 1
    client.close("ETH", signer=attacker)
    assert abs(gained() - at_once + due) < 5
    assert abs(venue.nav() - nav - due) < 5


@pytest.mark.defence(
    "Clearinghouse.vy",
    "others = self._value(account, header & slots.MASK_128 & ~bit, True)",
    "others = empty(Sum)",
)
def test_28__free_margin_used_three_times_in_one_transaction__is_there_once(still):
    """Perennial, Sherlock 2025-01 #28, #30, #31: intents that wait count for nothing, so each of several
    passes alone on the same margin. There are no orders yet; trades count at once, in one transaction as
    in many, in one market as in several."""
    client, puppet = still.client, still.puppet()
    puppet.deposit(50_000)
    trades = [puppet.trade("ETH", 300), puppet.trade("BTC", 15), puppet.trade("SOL", 2_000)]
    for one in trades:
        with still.imagined():
            puppet.act(one)
            assert client.account(puppet.address).withdrawable < 10_000
    with still.imagined():
        below = "margin: below initial"
        assert puppet.attempt(trades[0], trades[0], *trades[1:]) == [None, below, below, below]
        view = client.account(puppet.address)
        assert view.opening_equity >= view.initial
    assert puppet.refusal(*trades) == "margin: below initial"
    assert client.account(puppet.address).positions == ()


# ------------------------------------------------------------------ parts of a position


@pytest.mark.defence(
    "modules/curve.vy",
    "unsafe_add(unsafe_add(doubled, unsafe_mul(2, skew)), delta)",
    "unsafe_add(doubled, unsafe_mul(2, skew))",
)
@pytest.mark.parametrize("side", [1, -1], ids=["long", "short"])
@pytest.mark.parametrize("steps", [2, 10, 100])
def test_29__closing_in_many_steps__pays_what_closing_in_one_does(still, side, steps):
    """GMX, Sherlock 2023-02 #154; Tigris: a path of partial closes took out more, or left a position
    without collateral. 99.99 % closed in random steps or at once: the same cash to the wei a step, and
    what is left still holds its initial margin, the flat reward with it."""
    client = still.client
    client.deposit(200_000, signer=still.trader)
    client.trade("ETH", 300 * side, signer=still.trader)  # somebody is there already
    puppet, dice = still.puppet(), random.Random(steps)
    puppet.deposit(100_000)
    puppet.act(puppet.trade("ETH", 100 * side))
    still.prices(ETH=3_000 * (1 + side * D("0.05")))
    cuts = sorted({dice.randrange(1, 9_999) for _ in range(steps - 1)} | {0, 9_999})
    parts = [D(b - a) / 100 * -side for a, b in zip(cuts, cuts[1:], strict=False)]
    assert sum(parts) == D("99.99") * -side

    def after(*sizes: Decimal) -> tuple[Account, int]:
        with still.imagined():
            puppet.act(*(puppet.trade("ETH", size) for size in sizes))
            take = client.account(puppet.address).withdrawable
            house, token = still.house, address_of(still.token)
            puppet.act(
                (house, "withdraw", puppet.address, token, still.system.raw(take), puppet.address)
            )
            left = client.account(puppet.address)
            assert left.cash >= left.initial > 5
            assert left.position("ETH").size == side * CENT
            return left, int(take.scaleb(6))

    once, taken_once = after(sum(parts, D(0)))
    split, taken_split = after(*parts)
    # A step rounds its price and its fee, each by less than 2 wei a unit of base.
    assert split.equity + D(taken_split).scaleb(-6) <= once.equity + D(taken_once).scaleb(-6) + D(
        "1e-15"
    )
    assert abs(taken_split - taken_once) <= 1
    assert abs(split.equity - once.equity) < D("1.1e-6")


@pytest.mark.defence(
    "modules/curve.vy",
    """share: int256 = unsafe_sub(
            0,
            fixed_point.floor_div(
                unsafe_mul(basis, unsafe_sub(0, max(delta, unsafe_sub(0, delta)))), max(size, unsafe_sub(0, size))
            ),
        )""",
    "share: int256 = 0",
)
@pytest.mark.parametrize("part", [D("0.01"), D("0.1"), D("0.5")])
def test_30__closing_a_part__realises_that_part_of_the_profit_and_no_more(still, part):
    """Unstoppable, Sherlock 2023-06 #85, #143, #150: reducing took margin or profit in the wrong
    proportion. Closing a tenth turns a tenth of the paper profit into cash; the rest cannot be withdrawn
    and is there when the market turns: nobody else pays for an eighth down after a tenth up."""
    client, attacker = still.client, still.attacker
    client.deposit(200_000, signer=attacker)
    client.trade("ETH", 1_000, signer=attacker)
    still.prices(ETH=3_300)
    before = client.account(attacker)
    basis = before.positions[0].basis
    fill = client.trade("ETH", -1_000 * part, signer=attacker)
    after = client.account(attacker)
    realised = after.cash - before.cash + fill.fee
    assert realised <= part * (1_000 * fill.price - basis)
    assert realised > part * (1_000 * fill.price - basis) - D("1e-15")
    kept = (1 - part) * basis
    assert 0 <= after.positions[0].basis - kept < D("1e-15")

    take_out(still, attacker)
    still.prices(ETH=3_300 * (1 - D("0.125")))
    done = client.liquidate(attacker, signer=still.keeper)
    assert done.debt_to_insurance + done.debt_to_pool == 0


def test_30__crossing_zero__is_a_close_and_an_open(still):
    """The same for a flip: to the wei what closing and opening anew give."""
    client, attacker = still.client, still.attacker
    client.deposit(200_000, signer=attacker)
    client.trade("ETH", 300, signer=attacker)
    still.prices(ETH=3_123)

    def after(*sizes: int) -> Account:
        with still.imagined():
            for size in sizes:
                client.trade("ETH", size, signer=attacker)
            return client.account(attacker)

    at_once, in_two = after(-500), after(-300, -200)
    assert at_once.positions[0].size == in_two.positions[0].size == -200
    assert abs(at_once.equity - in_two.equity) < D("1e-15")


@pytest.mark.defence(
    "Clearinghouse.vy",
    f"    if not reduces:\n        {OPENING}\n        return price",
    f"    {OPENING}\n    if not reduces:\n        return price",
)
@pytest.mark.defence(
    "Clearinghouse.vy",
    "reduces: bool = curve.only_reduces(leg.size, size_delta)",
    "reduces: bool = fixed_point.magnitude(after) < fixed_point.magnitude(leg.size)",
)
@pytest.mark.parametrize("fall", [D("0.01"), D("0.02")])
def test_31__between_maintenance_and_initial__can_reduce_and_nothing_else(still, fall):
    """Zaros, 2024: a trader under his initial margin, not yet liquidatable, could not reduce and had to
    wait for his liquidation. Here he can, in any part; he can neither add, nor open elsewhere, nor turn
    his position around on the margin of a position that he already had."""
    client, victim = still.client, still.victim
    client.deposit(50_000, signer=victim)
    client.trade("ETH", 200, signer=victim)
    take_out(still, victim)
    still.prices(ETH=3_000 * (1 - fall))
    view = client.account(victim)
    assert view.maintenance < view.equity < view.initial

    # To the other side goes only what has its initial margin there, of whatever size it is.
    through = 0
    for size in range(-205, -405, -5):
        with still.imagined():
            if tried(lambda s=size: client.trade("ETH", s, signer=victim)) is None:
                after = client.account(victim)
                assert after.opening_equity >= after.initial, size
                through += 1
    assert 0 < through < 40
    for name, size in (("ETH", 1), ("ETH", 100), ("BTC", D("0.1")), ("SOL", -10)):
        reason = tried(lambda n=name, s=size: client.trade(n, s, signer=victim))
        assert reason == "margin: below initial", (name, size)
    for size in (D("-0.01"), -20, -100, -199, -200):
        with still.imagined():
            client.trade("ETH", size, signer=victim)
            after = client.account(victim)
            assert after.health is None or after.health > view.health
            assert after.equity > view.equity - CENT - abs(size) * 3_000 * D("0.0016")


def test_32__loss_realised_beside_a_paper_profit__is_a_debt_that_can_take_nothing_out(still):
    """Derived; JOJO, Derive: a deficit in the quote beside collateral of another kind is a loan without
    interest that empties the quote. There is no other collateral here; what cash below zero can stand
    on is an unrealised profit against the pool. It bears no interest yet and has no cap of its own, but it
    stays below that profit, takes nothing out, adds nothing, and is repaid in full when the profit goes."""
    client, attacker, victim = still.client, still.attacker, still.victim
    client.deposit(250_000, signer=victim)
    client.deposit(450_000, signer=attacker)
    client.trade("ETH", 1_000, signer=attacker)
    client.trade("BTC", -50, signer=attacker)
    still.prices(ETH=3_600, BTC=72_000)
    client.close("BTC", signer=attacker)
    view = client.account(attacker)
    assert view.cash < -150_000
    assert -view.cash <= view.pnl - view.maintenance

    assert view.withdrawable == 0
    refused = refusal(lambda: client.withdraw(CENT, signer=attacker))
    assert refused == "margin: not enough cash"
    for name, size in (("ETH", 1), ("BTC", D("0.01")), ("SOL", -1)):
        reason = tried(lambda n=name, s=size: client.trade(n, s, signer=attacker))
        assert reason == "margin: below initial"
    with still.imagined():
        assert take_out(still, victim) == 250_000
    still.wait(365 * 86_400)
    assert client.account(attacker).cash == view.cash  # no interest

    # The profit goes: at each price either the debt is covered with a margin, or anyone ends it.
    for price in range(3_600, 3_000, -10):
        still.prices(ETH=price)
        now = client.account(attacker)
        if now.liquidatable:
            break
        assert -now.cash <= now.pnl - now.maintenance
    done = client.liquidate(attacker, signer=still.keeper)
    assert done.debt_to_insurance + done.debt_to_pool == 0
    assert client.account(attacker).cash >= 0
    assert take_out(still, victim) == 250_000
