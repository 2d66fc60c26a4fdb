"""Collateral, debt and the auction through the SDK, on both engines where they could differ."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest
from ape.api import AccountAPI

from plimsoll.chain import RevmChain
from plimsoll.client import Client, conservation, known_accounts, sub_account
from plimsoll.deployment import Deployment, deploy
from plimsoll.errors import DeploymentError, Reverted
from plimsoll.table import PoolSpec, Table, default_table
from tests.utils.calls import refusal

D = Decimal
YEAR = 365 * 86_400


@pytest.fixture
def venue(revm: RevmChain) -> Deployment:
    """BTC and ETH, WETH and WBTC, on a fresh chain; funding stands still."""
    table = default_table().only("BTC", "ETH")
    still = tuple(
        replace(m, max_velocity=D(0), max_rate=D(0), max_age=10**6) for m in table.markets
    )
    coins = tuple(replace(c, max_age=10**6) for c in table.collateral)
    return deploy(replace(table, markets=still).with_collateral(*coins), revm, revm.signers[0])


@pytest.fixture
def desk(venue: Deployment) -> Client:
    """The SDK on `venue`, signed by a trader."""
    return Client(venue, venue.chain.signers[3])


def lever(desk: Client, weth: str = "10", btc: str = "0.9") -> None:
    """Long BTC with WETH alone behind it; the fee is a debt at once."""
    desk.deposit(weth, token="WETH")
    desk.trade("BTC", btc)


# ------------------------------------------------------------------ in and out


def test_deposit__token_by_symbol__counts_by_its_weights(
    system: Deployment, client: Client, trader: AccountAPI
) -> None:
    client.deposit("2.5", signer=trader, token="weth")
    client.deposit("0.1", signer=trader, token="WBTC")
    view = client.account(trader)
    weth, wbtc = view.holdings
    assert (weth.token, weth.amount, weth.price, weth.value) == ("WETH", D("2.5"), 3_000, 7_500)
    assert (wbtc.token, wbtc.amount, wbtc.value) == ("WBTC", D("0.1"), 6_000)
    # 0.90 * S / (S + 2.5) with the scale of 16,700: rounded down to the wei.
    assert abs(weth.maintenance_weight - D("0.9") * 16_700 / D("16702.5")) < D("1e-18")
    assert abs(weth.initial_weight - D("0.85") * 16_700 / D("16702.5")) < D("1e-18")
    assert weth.credit == 7_500 * D("0.95")
    assert view.equity == weth.maintenance + wbtc.maintenance and view.health is None
    assert (view.cash, view.debt.amount) == (0, 0)
    assert view.debt.most == (weth.initial + wbtc.initial) / 2
    assert view.holding("WBTC") == wbtc and view.holding("DAI") is None
    token = client.token("WETH")
    assert (token.total, token.cap, token.scale) == (D("2.5"), 1_660, 16_700)
    assert [t.symbol for t in client.tokens()] == ["WETH", "WBTC"]
    client.withdraw("2.5", signer=trader, token="WETH")
    assert system.tokens["WETH"].balanceOf(trader) == 25 * 10**17
    assert [h.token for h in client.account(trader).holdings] == ["WBTC"]


def test_initial_weight__others_deposit__falls_for_all_and_maintenance_does_not(
    desk: Client,
) -> None:
    desk.deposit(10, token="WETH")
    (before,) = desk.collateral(desk.signer)
    desk.deposit(1_000, signer=desk.chain.signers[4], token="WETH")
    (after,) = desk.collateral(desk.signer)
    assert after.initial_weight < before.initial_weight
    assert after.maintenance_weight == before.maintenance_weight


@pytest.mark.parametrize(
    ("call", "why"),
    [
        (lambda c: c.deposit(1, token="DAI"), "no collateral 'DAI'; there are WETH, WBTC"),
        (lambda c: c.withdraw(1, token="DAI"), "no collateral 'DAI'"),
        (lambda c: c.deposit(0, token="WETH"), "an amount of nothing"),
        (lambda c: c.withdraw(0, token="WETH"), "an amount of nothing"),
        (lambda c: c.deposit(0), "an amount of nothing"),
        (lambda c: c.deposit(-1, token="WETH"), "WETH: -1 is below zero"),
        (lambda c: c.deposit("0.000000001", token="WBTC"), "WBTC: 1E-9 has more than 8 decimals"),
        (lambda c: c.withdraw("1.01", token="WETH"), "the account has 1 WETH; 1.01 are asked"),
        (lambda c: c.withdraw(1, token="WBTC"), "the account has 0 WBTC; 1 are asked"),
        (lambda c: c.buy_collateral(0), "no lot 0 is for sale"),
        (lambda c: c.lots(-1) or c.lot(7), "no lot 7 is for sale"),
    ],
)
def test_calls__mistakes__one_clear_line_and_nothing_sent(  # type: ignore[no-untyped-def]
    desk: Client, call, why: str
) -> None:
    desk.deposit(1, token="WETH")
    height = desk.chain.height
    with pytest.raises(DeploymentError, match=why.replace("(", r"\(")):
        call(desk)
    assert desk.chain.height == height


def test_deposit__token_into_somebody_elses_account__only_more_of_what_is_there(
    desk: Client,
) -> None:
    friend = desk.chain.signers[5]
    with pytest.raises(Reverted, match="account: not yours"):
        desk.deposit(1, desk.signer.address, friend, token="WETH")
    desk.deposit(1, token="WETH")
    desk.deposit(1, desk.signer.address, friend, token="WETH")
    assert desk.collateral(desk.signer)[0].amount == 2


def test_withdraw__token_that_carries_a_position__as_far_as_the_margin_lets(desk: Client) -> None:
    lever(desk)
    with pytest.raises(Reverted, match="margin: below initial"):
        desk.withdraw(9, token="WETH")
    desk.withdraw(1, token="WETH")
    assert desk.account(desk.signer).holdings[0].amount == 9


# ------------------------------------------------------------------ debt


def test_debt__fee_without_cash__grows_by_its_rate_and_is_posted(
    venue: Deployment, desk: Client
) -> None:
    lever(desk)
    view = desk.account(desk.signer)
    assert view.cash < 0 and view.debt.amount == -view.cash and view.debt.interest == 0
    credit = desk.credit()
    assert credit.debts == -view.cash and credit.order == ("WETH", "WBTC")
    assert credit.used == credit.debts / 1_000_000
    assert view.debt.rate == credit.rate == pytest.approx(credit.used * D("0.03"), rel=D("1e-9"))
    owed = view.debt.amount
    venue.chain.advance(YEAR // 100)
    venue.refresh_prices()
    later = desk.account(desk.signer)
    assert later.debt.amount == owed + later.debt.interest
    assert later.debt.interest == pytest.approx(owed * view.debt.rate / 100, rel=D("1e-6"))
    # Everybody's is his: the sum over indices rounds down by a wei at most.
    assert abs(desk.credit().interest - later.debt.interest) < D("1e-15")
    worth = later.holdings[0].maintenance - later.debt.amount + later.pnl
    assert later.equity == worth
    assert later.health == desk.health(desk.signer)
    assert later.leverage is not None and later.leverage >= later.notional / later.equity
    desk.deposit(1_000)  # any touch posts it
    paid = desk.account(desk.signer)
    assert paid.debt.amount == paid.debt.interest == 0
    assert paid.cash == pytest.approx(1_000 - later.debt.amount, abs=D("1e-9"))
    assert conservation(venue).holds


def test_account__pool_whose_cash_is_below_zero__owes_nothing(revm: RevmChain) -> None:
    table = replace(default_table().only("BTC"), pool=PoolSpec(seed=D(1_000_000)))
    venue = deploy(table, revm, revm.signers[0])
    client = Client(venue, revm.signers[3])
    client.deposit(200_000)
    client.trade("BTC", -20)
    pool = client.account(venue.pool)
    assert pool.cash < 0 and pool.debt.amount == 0 and not pool.liquidatable
    assert client.debt(venue.pool).amount == 0 and client.credit().debts == 0


def test_settle__loss__is_cash_and_equity_stays(venue: Deployment, desk: Client) -> None:
    lever(desk)
    venue.set_price("BTC", 58_000)
    before = desk.account(desk.signer)
    anybody = venue.chain.signers[7]
    loss = desk.settle(desk.signer, anybody)
    after = desk.account(desk.signer)
    assert loss == -before.pnl > 1_000 and after.pnl == 0
    assert abs(after.equity - before.equity) < D("0.001")
    assert after.debt.amount > 1_000
    with pytest.raises(Reverted, match="settle: no net loss"):
        desk.settle(desk.signer, anybody)


@pytest.mark.parametrize(
    ("ratio", "price", "health"),
    [
        ("0.5", 52_000, "2.05"),  # owes more than half of what its collateral counts for
        ("1", 50_800, "1.17"),  # owes what it may, below the call line
    ],
)
def test_convert__past_the_cap_or_below_the_line__a_lot_repays_a_bounded_part(
    revm: RevmChain, ratio: str, price: int, health: str
) -> None:
    table = default_table().only("BTC")
    credit = replace(table.credit, debt_ratio=D(ratio))
    venue = deploy(replace(table, credit=credit), revm, revm.signers[0])
    desk, keeper = Client(venue, revm.signers[3]), revm.signers[7]
    lever(desk, "10", "2.5")
    with pytest.raises(Reverted, match="convert: not called"):
        desk.convert(desk.signer, keeper)
    venue.set_price("BTC", price)
    desk.settle(desk.signer, keeper)
    before = desk.account(desk.signer)
    assert before.health == pytest.approx(D(health), abs=D("0.01"))
    assert before.margin_call is (ratio == "1") and not before.liquidatable
    assert (before.debt.amount > before.debt.most) is (ratio == "0.5")
    done = desk.convert(desk.signer, keeper)
    after = desk.account(desk.signer)
    assert done.closed == 0 and done.health == pytest.approx(before.health, rel=D("1e-6"))
    # 10,000 of debt at most, and 2 % of what is seized.
    assert done.seized == pytest.approx(10_000 / D("0.98"), rel=D("1e-6"))
    assert before.debt.amount - after.debt.amount == pytest.approx(D(10_000), abs=D("0.01"))
    (lot,) = desk.lots()
    assert done.lots == (lot.id,) and lot.surplus_to is None
    assert lot.to_insurance + lot.to_pool == done.seized
    assert desk.account(keeper).cash == done.reward > 0
    assert conservation(venue).holds


# ------------------------------------------------------------------ seizure and auction


def test_liquidate__tokens_seized__bought_from_the_auction(
    system: Deployment, client: Client, trader: AccountAPI, keeper: AccountAPI, lp: AccountAPI
) -> None:
    client.deposit(10, signer=trader, token="WETH")
    client.trade("BTC", "2.5", signer=trader)
    system.set_prices({"BTC": 50_500, "WETH": 2_900})
    before = client.account(trader)
    assert before.liquidatable and client.liquidatable([trader]) == [trader.address]
    done = client.liquidate(trader, keeper)
    after = client.account(trader)
    (lot,) = client.lots()
    assert done.closed == 1 and done.lots == (lot.id,) and lot.token == "WETH"
    assert after.debt.amount == 0 and not after.positions
    kept = after.holdings[0].amount
    assert lot.amount == 10 - kept > 0
    # A seizure credits the price less the discount, the fund stood in for it.
    assert done.seized == pytest.approx(lot.amount * 2_900 * D("0.95"), abs=D("0.01"))
    assert lot.to_insurance == done.seized and done.debt_to_insurance == 0

    # It begins at 2 % over the feed and falls to 5 % under it in two hours.
    assert lot.price == pytest.approx(2_900 * D("1.02"), rel=D("0.001"))
    assert client.lot(lot.id, 240).price_later == pytest.approx(2_900 * D("0.95"), rel=D("1e-9"))
    for minutes, share in ((0, "1.02"), (60, "0.985"), (120, "0.95")):
        later = client.lot(lot.id, minutes).cost_later
        assert later == pytest.approx(lot.amount * 2_900 * D(share), rel=D("0.001"))
    with pytest.raises(DeploymentError, match="minutes: -1 is below zero"):
        client.lots(-1)
    with pytest.raises(DeploymentError, match=f"lot {lot.id} has .* WETH left; 11 are asked"):
        client.buy_collateral(lot.id, 11, signer=lp)
    dear = refusal(lambda: client.buy_collateral(lot.id, 1, 2_800, signer=lp))
    assert dear == "auction: cost above maximum"

    fund = client.pool().insurance
    part = client.buy_collateral(lot.id, 1, signer=lp)
    assert (part.token, part.amount, part.left) == ("WETH", 1, lot.amount - 1)
    assert part.cost == part.price <= 2_900 * D("1.02")
    rest = client.buy_collateral(lot.id, receiver=keeper, signer=lp)
    assert rest.left == 0 and client.lots() == []
    assert system.tokens["WETH"].balanceOf(lp) == 10**18
    assert system.tokens["WETH"].balanceOf(keeper) == system.raw(rest.amount, "WETH")
    # All of it is the fund's, which is owed more than this brings.
    assert client.pool().insurance - fund == part.cost + rest.cost
    books = conservation(system)
    assert books.holds and [t.token for t in books.tokens] == ["WETH", "WBTC"]
    assert books.tokens[0].held == system.raw(kept, "WETH")
    assert system.auction.address in known_accounts(system)


def test_lots__feed_dead__no_price_and_no_sale(venue: Deployment, desk: Client) -> None:
    lever(desk, "10", "2.5")
    venue.set_price("BTC", 50_000)
    desk.liquidate(desk.signer, venue.chain.signers[7])
    venue.set_price("WETH", "0.0001")
    (lot,) = desk.lots()
    assert (lot.price, lot.cost_later, lot.price_later) == (None, None, None)
    with pytest.raises(Reverted, match="prices: out of bounds"):
        desk.buy_collateral(lot.id)
    venue.set_price("WETH", 3_000)
    desk.tick(lot.id)
    assert desk.lot(lot.id).price is not None


def test_liquidate__tokens_without_a_price__bad_debt_and_a_lot_of_their_own(
    venue: Deployment, desk: Client
) -> None:
    lever(desk, "10", "2.5")
    venue.set_prices({"BTC": 50_000, "WETH": "0.0001"})
    desk.poke_token("WETH")
    (held,) = desk.collateral(desk.signer)
    assert held.price_status == "prices: out of bounds" and (held.initial, held.credit) == (0, 0)
    venue.chain.advance(50_000)  # most of what it counts has faded
    venue.refresh_prices()
    done = desk.liquidate(desk.signer, venue.chain.signers[7])
    assert done.seized == 0 and done.debt_to_insurance > 20_000
    lot = desk.lot(done.lots[0])
    assert lot.surplus_to == desk.signer.address
    assert lot.to_insurance == done.debt_to_insurance
    assert conservation(venue).holds


# ------------------------------------------------------------------ what would be


def test_shock__token_falls__same_numbers_as_the_real_move(venue: Deployment, desk: Client) -> None:
    lever(desk, "10", "1")
    shock = desk.shock(desk.signer, {"WETH": "-0.2", "BTC": "-0.05"})
    assert shock.equity_before == desk.account(desk.signer).equity
    assert shock.prices == {"BTC": (60_000, 57_000), "WETH": (3_000, 2_400)}
    venue.set_prices({"BTC": 57_000, "WETH": 2_400})
    now = desk.account(desk.signer)
    assert abs(now.equity - shock.equity) < D("0.001")
    both = desk.shock(desk.signer, {"all": "-0.5"})
    assert both.liquidatable and both.prices["WETH"] == (2_400, 1_200)


def test_conservation__tokens_that_nobody_counts__differ_by_them(
    venue: Deployment, desk: Client
) -> None:
    desk.deposit(3, token="WBTC")
    desk.deposit(1, sub_account(desk.signer, 9), token="WBTC")
    books = conservation(venue, [desk.signer])
    assert not books.holds
    assert books.tokens[1].difference == -(10**8) and books.tokens[1].total == 4 * 10**8
    assert conservation(venue).holds


def test_credit__no_collateral__all_zero(revm: RevmChain) -> None:
    table: Table = default_table().only("BTC").with_collateral()
    client = Client(deploy(table, revm, revm.signers[0]), revm.signers[3])
    credit = client.credit()
    assert (credit.cap, credit.rate, credit.used, credit.order) == (0, 0, 0, ())
    assert client.tokens() == [] and client.lots() == []
    client.deposit(100)
    assert client.account(revm.signers[3]).holdings == ()
