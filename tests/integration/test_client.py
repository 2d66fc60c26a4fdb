"""The SDK against the contracts: it says what they hold, and sends what was meant."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import pytest
from ape.api import AccountAPI
from ape.managers.project import LocalProject

from plimsoll import chain
from plimsoll.capital import legs_of, need
from plimsoll.chain import ApeChain
from plimsoll.client import Client, conservation, is_owner, known_accounts, sub_account
from plimsoll.deployment import Deployment, deploy
from plimsoll.errors import ChainError, DeploymentError
from plimsoll.table import Table
from plimsoll.units import from_wad
from tests.utils.calls import refusal

D = Decimal


def test_sub_account__owner_xor_number() -> None:
    owner = "0x" + "00" * 19 + "f0"
    assert sub_account(owner, 0).lower() == owner
    assert int(sub_account(owner, 255), 16) == 0x0F
    assert is_owner(owner, sub_account(owner, 255))
    assert not is_owner(owner, "0x" + "00" * 18 + "01f0")
    for number in (-1, 256):
        with pytest.raises(ValueError, match="there are 0 to 255"):
            sub_account(owner, number)


def test_trade__preview_and_result__agree_to_the_wei(
    system: Deployment, client: Client, trader: AccountAPI
) -> None:
    account = sub_account(trader, 7)
    client.deposit(50_000, account, trader)
    preview = client.preview_trade(account, "BTC", "1.5")
    trade = client.trade("BTC", "1.5", account=account, signer=trader)
    assert (trade.price, trade.fee, trade.size) == (preview.price, preview.fee, D("1.5"))
    view = client.account(account)
    position = view.position("BTC")
    assert position is not None and position.size == D("1.5") and view.cash == 50_000 - trade.fee
    assert view.health == client.health(account) == client.healths([account])[account]
    assert view.equity == view.cash + view.pnl
    header = client.header(account)
    assert from_wad(header.cash) == view.cash and header.bitmap == 1
    words = client.words("BTC")
    assert from_wad(words.a.skew) == D("1.5") and words.terms.im_ppm == 50_000
    assert client.market("BTC").skew == client.market(0).skew == D("1.5")
    closed = client.close("BTC", account, trader)
    assert closed is not None and closed.size == 0
    assert client.close("BTC", account, trader) is None


def test_entries__opened_in_two_fills_and_closed_in_part__average_price_and_funding(
    system: Deployment, client: Client, trader: AccountAPI, trader2: AccountAPI
) -> None:
    client.deposit(100_000, signer=trader)
    client.deposit(100_000, signer=trader2)
    first = client.trade("ETH", 10, signer=trader)
    system.set_price("ETH", 3_100)
    second = client.trade("ETH", 30, signer=trader)
    client.trade("ETH", -8, signer=trader)
    entry = client.entries(client.account(trader))["ETH"]
    average = (10 * first.price + 30 * second.price) / 40
    assert abs(entry.price - average) < D("1e-15")
    assert abs(entry.funding) < D("0.1")  # some seconds of it

    # Through zero: the short was opened by the one fill, and all that the index moved is funding.
    flip = client.trade("ETH", -50, signer=trader)
    opened = client.words("ETH").b.funding_index
    client.trade("BTC", 1, signer=trader)  # somewhere else
    client.trade("ETH", -60, signer=trader2)  # somebody else
    system.chain.advance(40_000)
    system.refresh_prices()
    view = client.account(trader)
    entries = client.entries(view)
    assert set(entries) == {"BTC", "ETH"}
    assert entries["ETH"].price == flip.price
    position = view.position("ETH")
    assert position is not None and position.size == -18
    leg = system.chain.view(system.clearinghouse, "leg", trader.address, 1)
    assert abs(entries["ETH"].funding - 18 * from_wad(int(leg.index) - opened)) < D("1e-16")
    assert entries["ETH"].funding < -1  # shorts pay while the skew is short
    paid = position.size * (position.mark_price - flip.price) + entries["ETH"].funding
    assert abs(paid - position.pnl) < D("1e-17")
    client.close("ETH", signer=trader)
    assert set(client.entries(client.account(trader))) == {"BTC"}


def test_trade__limit__kept_on_both_sides(client: Client, trader: AccountAPI) -> None:
    client.deposit(50_000, signer=trader)
    past = "trade: past limit price"
    assert refusal(lambda: client.trade("BTC", 1, 60_060, signer=trader)) == past
    assert refusal(lambda: client.trade("BTC", -1, 59_940, signer=trader)) == past
    assert client.trade("BTC", 1, 60_070, signer=trader).price <= 60_070
    assert client.trade("BTC", -1, 59_930, signer=trader).price >= 59_930


def test_trade__no_signer_or_no_number__refused_in_words(
    client: Client, trader: AccountAPI
) -> None:
    with pytest.raises(DeploymentError, match="nobody to sign"):
        client.trade("BTC", 1)
    with pytest.raises(DeploymentError, match=r'write it in quotes: "0.1"'):
        client.trade("BTC", 0.1, signer=trader)  # type: ignore[arg-type]
    with pytest.raises(DeploymentError, match="more than 6 decimals"):
        client.deposit("0.0000001", signer=trader)
    with pytest.raises(DeploymentError, match="limit: 'x' is not a number"):
        client.trade("BTC", 1, "x", signer=trader)
    for slippage in ("-0.1", "2"):
        with pytest.raises(DeploymentError, match=f"slippage: {slippage} is no fraction"):
            client.trade("BTC", 1, signer=trader, slippage=slippage)
    with pytest.raises(DeploymentError, match="65 accounts: 64 at most"):
        client.liquidate_many([trader] * 65, signer=trader)
    with pytest.raises(DeploymentError, match="no lot -1 is for sale"):
        client.lot(-1)
    for nobody in (None, 5, "0x12"):
        with pytest.raises(ChainError, match="is no address, no contract and no signer"):
            client.account(nobody)


def test_readme__its_example__prints_a_health(
    project: LocalProject, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("pyrevm")
    monkeypatch.setattr(chain, "compiled", chain.compiled_by_ape(project))
    readme = (Path(__file__).parents[2] / "README.md").read_text()
    example = readme.partition("```python\n")[2].partition("```")[0]
    exec(compile(example, "README.md", "exec"), {})
    assert D(capsys.readouterr().out) > 10


def test_withdraw__what_the_lens_says__and_not_a_unit_more(
    client: Client, trader: AccountAPI
) -> None:
    client.deposit(20_000, signer=trader)
    client.trade("ETH", 30, signer=trader)
    most = client.account(trader).withdrawable - D("0.01")  # funding runs on
    assert refusal(lambda: client.withdraw(most + 1, signer=trader)) == "margin: below initial"
    client.withdraw(most, signer=trader)
    assert client.deployment.quote.balanceOf(trader) == client.deployment.raw(most)


def test_shock__then_the_real_move__same_numbers(
    system: Deployment, client: Client, trader: AccountAPI
) -> None:
    client.deposit(40_000, signer=trader)
    client.trade("BTC", 2, signer=trader)
    client.trade("SOL", -300, signer=trader)
    shock = client.shock(trader, {"BTC": "-0.1", "all": "0.05"})
    assert shock.equity_before == client.account(trader).equity
    assert shock.prices == {"BTC": (60_000, 54_000), "SOL": (150, D("157.5"))}
    system.set_prices({"BTC": 54_000, "SOL": "157.5"})
    now = client.account(trader)
    assert abs(now.equity - shock.equity) < D("0.01")  # a few seconds of funding
    assert now.health is not None and shock.health is not None
    assert abs(now.health - shock.health) < D("0.0001")
    assert not shock.liquidatable and client.shock(trader, {"BTC": "-0.4"}).liquidatable
    with pytest.raises(ValueError, match="leaves no price"):
        client.shock(trader, {"BTC": -1})
    with pytest.raises(DeploymentError, match="no market 'DOGE'"):
        client.shock(trader, {"DOGE": 0})
    with pytest.raises(DeploymentError, match="the account has nothing of ETH; it has BTC, SOL"):
        client.shock(trader, {"ETH": "-0.1"})
    with pytest.raises(DeploymentError, match="BTC is moved twice"):
        client.shock(trader, {"BTC": "-0.1", 0: "-0.2"})


def test_liquidate__preview_and_result__agree_and_the_books_balance(
    system: Deployment,
    client: Client,
    trader: AccountAPI,
    trader2: AccountAPI,
    keeper: AccountAPI,
) -> None:
    client.deposit(20_000, signer=trader)
    client.trade("BTC", 3, signer=trader)
    client.trade("LINK", 2_000, signer=trader)
    client.deposit(90_000, signer=trader2)
    client.trade("LINK", -9_000, signer=trader2)
    healthy = refusal(lambda: client.liquidate(trader, keeper))
    assert healthy == "liquidation: account is healthy"
    system.set_prices({"BTC": 56_000, "LINK": 14})
    assert client.liquidatable([trader, trader2]) == [trader.address]
    preview = client.preview_liquidation(trader)
    done = client.liquidate(trader, keeper)
    assert (done.closed, done.reward, done.charged) == (2, preview.reward, preview.charged)
    assert done.health < 1
    remaining = client.account(trader).cash
    assert abs(remaining - preview.remaining) < D("0.001")  # a second of funding
    assert client.account(keeper).cash == done.reward
    assert client.liquidate_many([trader, trader2], keeper) == []
    books = conservation(system)
    assert books.holds and books.difference == 0
    assert [size.difference for size in books.sizes] == [0, 0, 0, 0]
    everyone = {trader, trader2, keeper, system.pool, system.clearinghouse}
    assert set(known_accounts(system)) == {who.address for who in everyone}


def test_conservation__an_account_left_out__differs_by_it(
    system: Deployment, client: Client, trader: AccountAPI
) -> None:
    client.deposit(1_000, signer=trader)
    client.trade("ETH", "0.5", signer=trader)
    books = conservation(system, [])
    assert not books.holds
    assert from_wad(books.sizes[1].difference) == D("-0.5")
    view = client.account(trader)
    position = view.position("ETH")
    assert position is not None
    assert from_wad(books.difference) == -(view.cash - position.basis)
    assert conservation(system, [trader]).holds


def test_need__hedged_and_lone_book__cross_needs_less_only_for_the_hedged(
    system: Deployment, client: Client, trader: AccountAPI, trader2: AccountAPI
) -> None:
    for who in (trader, trader2):
        client.deposit(100_000, signer=who)
        client.trade("BTC", 5, signer=who)
    client.trade("ETH", -100, signer=trader)
    start = {name: system.price(name) for name in system.names}
    path = [start, start | {"BTC": D(50_000), "ETH": D(2_500)}]
    hedged, alone = (need(legs_of(system, who), path) for who in (trader, trader2))
    assert hedged.isolated > hedged.cross > 0
    assert alone.isolated == alone.cross and alone.more == 0
    assert (hedged + alone).cross == hedged.cross + alone.cross
    # What it says is enough is enough, and a hundredth less is not.
    view = client.account(trader2)
    moved = client.shock(trader2, {"BTC": D(50_000) / 60_000 - 1})
    slack = moved.equity - moved.maintenance
    assert abs(view.cash - slack - alone.cross) < D("0.01")


def test_account__price_jumped__both_prices_told(
    system: Deployment, client: Client, trader: AccountAPI
) -> None:
    client.deposit(50_000, signer=trader)
    client.trade("BTC", 1, signer=trader)
    before = client.account(trader)
    held = before.position("BTC")
    assert held is not None and held.stable_price == held.mark_price == 60_000
    system.set_price("BTC", 66_000)
    view, market = client.account(trader), client.market("BTC")
    held = view.position("BTC")
    assert held is not None and held.mark_price == market.price == 66_000
    assert 60_000 < held.stable_price == market.stable_price < 60_100  # 1 a second
    assert view.pnl > 5_000 and view.opening_equity < view.cash + 20
    assert view.initial == held.initial > before.initial * D("1.09")
    eth = client.market("ETH")
    assert (eth.stable_price, eth.settled, eth.paused_until) == (eth.price, False, 0)


def test_pool__table_without_more__calm_and_no_limit(client: Client) -> None:
    pool = client.pool()
    assert (pool.calm, pool.calm_from, pool.share) == (True, 0, None)
    assert pool.outflow_left is None


def test_pool__sequencer_and_limit_in_the_table__told_as_they_are(
    ape_chain: ApeChain, owner: AccountAPI, trader: AccountAPI, table: Table
) -> None:
    uptime = ape_chain.deploy("FeedMock", 0, 0, sender=owner)
    ape_chain.send(uptime, "set_round", 0, 1, sender=owner)
    slow = replace(table, sequencer=uptime.address, outflow=D("0.01"), outflow_floor=D(1_000))
    venue = deploy(slow, ape_chain, owner)
    client = Client(venue, trader)
    client.deposit(200_000)
    # Into the next hour, in which nothing has moved, and far from its end: this chain keeps real time.
    ape_chain.advance(3_610 - ape_chain.now % 3_600)
    pool = client.pool()
    assert pool.calm and pool.outflow_left == pool.custody / 100
    assert client.account(trader).withdrawable == pool.outflow_left
    client.withdraw(100_000)
    pool = client.pool()
    assert pool.outflow_left == (pool.custody + 100_000) / 100 - 100_000
    assert refusal(lambda: client.withdraw(10_000)) == "withdraw: outflow limit"
    venue.set_price("BTC", 60_000)
    venue.set_price("ETH", 3_000)
    client.trade("BTC", "0.5")
    client.trade("ETH", -1)
    ape_chain.send(uptime, "set_round", 1, ape_chain.now, sender=owner)
    venue.set_price("BTC", 1_000)
    pool, view = client.pool(), client.account(trader)
    assert not pool.calm and pool.calm_from == 0
    assert (view.withdrawable, view.buying_power) == (0, 0)
    assert client.preview_trade(trader, "BTC", 1).reason == "venue: frozen or in grace"
    assert client.preview_trade(trader, "BTC", "-0.5").allowed
    assert refusal(lambda: client.trade("BTC", 1)) == "venue: frozen or in grace"
