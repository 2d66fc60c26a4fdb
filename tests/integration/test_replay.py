"""Prices through the contracts, on both engines; what the population and the ticks are made of."""

from __future__ import annotations

import re
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from ape.managers.project import LocalProject
from rich.console import Console

from plimsoll.chain import ApeChain, RevmChain, compiled_by_ape
from plimsoll.demo import play
from plimsoll.errors import PriceFileError
from plimsoll.prices import parse_prices, read_prices, synthetic_crash
from plimsoll.replay import (
    count_ticks,
    population,
    replay,
    table_for,
    ticks,
    with_wrapped,
    wrong_way,
)
from plimsoll.report import replay_report

D = Decimal

HOLES = """time_utc,BTC_close,ETH_close,DOGE_close
2022-05-01 00:00:00,40000,2800,0.13
2022-05-01 01:00:00,39000,2700,0.12
2022-05-01 02:00:00,36000,2450,
2022-05-01 05:00:00,32000,2000,
2022-05-01 06:00:00,31000,-1,
2022-05-01 07:00:00,30500,1800,
"""


@pytest.fixture
def holes(tmp_path: Path) -> Path:
    """A small file with hours missing, a coin that falls silent, and a price below zero."""
    file = tmp_path / "holes.csv"
    file.write_text(HOLES)
    return file


def test_replay__synthetic_12_hours__same_on_both_engines_to_the_wei(
    project: LocalProject, ape_chain: ApeChain, revm: RevmChain
) -> None:
    series = synthetic_crash(seed=3, hours=12, prices={"BTC": "60000", "SOL": "150"})
    slow = replay(ape_chain, series, traders=3, seed=2)
    fast = replay(revm, series, traders=3, seed=2)
    assert slow.balanced and fast.balanced
    assert fast.closed
    assert slow.as_numbers() == fast.as_numbers()


def test_replay__file_with_holes__told_and_gone_through(revm: RevmChain, holes: Path) -> None:
    series = read_prices(holes)
    assert [str(p) for p in series.problems] == [
        "line 4: DOGE: no price, nor in the 3 lines that follow",
        "line 5: 2 rows missing between 2022-05-01 02:00 and 2022-05-01 05:00",
        "line 6: ETH: -1 is not above zero",
    ]
    run = replay(revm, series, traders=12, seed=1)
    assert run.steps == 7 and len(run.nav) == 8
    assert run.dead == {"DOGE": "prices: stale"}
    assert run.closed and run.balanced
    assert all(c.liquidation.health < 1 for c in run.closed)
    # Whoever stands holds a coin that fell silent, or was never in trouble.
    assert run.standing + len({c.liquidation.account for c in run.closed}) >= 12


def test_replay__keeper_who_looks_more_often__finds_them_healthier(
    project: LocalProject, revm: RevmChain
) -> None:
    series = synthetic_crash(seed=1, hours=24)
    rare = replay(revm, series, traders=12, seed=4)
    often = replay(RevmChain(compiled_by_ape(project)), series, traders=12, seed=4, cuts=12)
    assert len(often.nav) == 12 * 24 + 1
    assert min(often.healths) > min(rare.healths)
    assert sum(often.bad_debt) <= sum(rare.bad_debt)


def test_replay__many_traders__no_price_dies_while_they_open(revm: RevmChain) -> None:
    series = synthetic_crash(seed=2, hours=3)
    table = table_for(series, max_age=60)  # seconds; each transaction takes one
    run = replay(revm, series, table, traders=30, seed=4)
    assert not [reason for reason in run.refused if reason.startswith("prices:")]
    assert run.opened > 30


def test_replay__coin_without_a_first_price__said_to_be_left_out(revm: RevmChain) -> None:
    lines = HOLES.splitlines()
    lines[1] = "2022-05-01 00:00:00,40000,,0.13"
    run = replay(revm, parse_prices(lines, "file"), traders=2, seed=4)
    assert run.left_out == ("ETH",)
    shown = StringIO()
    Console(file=shown, width=100).print(replay_report(run))
    assert re.search(r"no price in the first row, left out +ETH", shown.getvalue())


def test_table_for__first_row_without_any_price__refused_with_line() -> None:
    lines = HOLES.splitlines()
    lines[1] = "2022-05-01 00:00:00,,,"
    with pytest.raises(PriceFileError, match="file: line 2 has no price to open with"):
        table_for(parse_prices(lines, "file"))


def test_ticks__hole__time_passes_without_prices(holes: Path) -> None:
    series = read_prices(holes)
    found = list(ticks(series))
    assert len(found) == count_ticks(series) == 7
    assert [bool(tick.prices) for tick in found] == [True, True, False, False, True, True, True]
    assert [later.at - tick.at for tick, later in zip(found, found[1:], strict=False)] == [3600] * 6


def test_ticks__cuts__straight_between_closes_and_nowhere_else(holes: Path) -> None:
    found = list(ticks(read_prices(holes), 4))
    btc = [tick.prices.get("BTC") for tick in found[:4]]
    assert btc == [D(39_750), D(39_500), D(39_250), D(39_000)]
    # The hole is not filled in, and a coin is not carried on past its last price.
    assert [tick.prices for tick in found if not tick.prices] == [{}, {}]
    assert all("DOGE" not in tick.prices for tick in found[4:])


def test_population__seeds__same_seed_same_traders_and_no_overdraft() -> None:
    table = table_for(synthetic_crash())
    traders = population(50, 7, table)
    assert traders == population(50, 7, table) != population(50, 8, table)
    sides = {order.size > 0 for trader in traders for order in trader.orders}
    assert sides == {True, False}
    for trader in traders:
        asked = sum(
            abs(order.size) * table.spec(order.market).price * table.spec(order.market).im
            for order in trader.orders
        )
        assert asked < trader.collateral


def test_wrong_way__seeds__long_other_coins_alone_and_no_cash() -> None:
    table = table_for(
        synthetic_crash(prices={"ETH": "3000", "SOL": "150", "BTC": "60000", "X": "1"})
    )
    traders = wrong_way(50, 7, table)
    assert traders == wrong_way(50, 7, table) != wrong_way(50, 8, table)
    assert {trader.token for trader in traders} == {"WETH", "WBTC"}
    assert {o.market for trader in traders for o in trader.orders} == {"SOL", "X"}
    assert all(o.size > 0 for trader in traders for o in trader.orders)
    # Collateral is drawn as everybody else's is.
    others = table.only("SOL", "X")
    assert [t.collateral for t in traders] == [t.collateral for t in population(50, 7, others)]


def test_with_wrapped__tokens_at_their_markets_prices_or_refused() -> None:
    series = synthetic_crash(prices={"ETH": "2800.5", "BTC": "41000", "SOL": "90"})
    table = with_wrapped(table_for(series, max_age=7_000))
    weth, wbtc = table.collateral
    assert (weth.symbol, weth.price, weth.decimals) == ("WETH", D("2800.5"), 18)
    assert (wbtc.symbol, wbtc.price, wbtc.decimals, wbtc.max_age) == ("WBTC", 41_000, 8, 7_000)
    for names, why in (
        (("BTC", "SOL"), "the table: no ETH in the first row"),
        (("SOL",), "no ETH and no BTC"),
        (("BTC", "ETH"), "nothing but ETH and BTC"),
    ):
        with pytest.raises(PriceFileError, match=why):
            with_wrapped(table_for(series).only(*names))


def test_replay__wrong_way__same_on_both_engines_to_the_wei(
    project: LocalProject, ape_chain: ApeChain, revm: RevmChain
) -> None:
    prices = {"BTC": "60000", "ETH": "3000", "SOL": "150"}
    series = synthetic_crash(seed=3, hours=8, prices=prices, fall=0.5)
    slow = replay(ape_chain, series, traders=3, seed=5, backed=True)
    fast = replay(revm, series, traders=3, seed=5, backed=True)
    assert slow.balanced and fast.balanced
    assert fast.seizures and fast.seizures.sold
    assert slow.as_numbers() == fast.as_numbers()


def test_replay__wrong_way__what_is_seized_is_sold_and_repaid(revm: RevmChain) -> None:
    prices = {"BTC": "60000", "ETH": "3000", "SOL": "150", "AVAX": "30"}
    series = synthetic_crash(seed=1, hours=48, prices=prices, fall=0.5)
    run = replay(revm, series, traders=12, seed=4, backed=True)
    found = run.seizures
    assert found and run.balanced and run.closed
    in_liquidations = sum(c.liquidation.seized for c in run.closed)
    assert 0 < in_liquidations < found.seized and found.conversions > 0
    assert 0 < found.sold <= found.opened and found.highest_debt > 0 and found.interest > 0
    # Nobody had any cash: what the sales brought is all that was ever paid in after the seeds.
    assert run.conservation is not None
    paid_in = run.conservation.custody - (10_000_000 + 250_000) * 10**18
    assert paid_in == found.proceeds * 10**18
    assert [t.token for t in run.conservation.tokens] == ["WETH", "WBTC"]
    assert found.unpaid < found.seized and (found.below > 0) is (found.unpaid > 0)
    shown = StringIO()
    Console(file=shown, width=100).print(replay_report(run))
    assert re.search(rf"seized, for +{found.opened} lots, \d+,\d", shown.getvalue())
    assert re.search(rf"below their credit, by +{found.below}, ", shown.getvalue())
    plain = replay(RevmChain(revm._artifact), series, traders=3, seed=4)
    assert plain.seizures is None
    Console(file=shown, width=100).print(replay_report(plain))
    assert shown.getvalue().count("seized, for") == 1


def test_table_for__first_row_without_a_market__left_out() -> None:
    lines = HOLES.splitlines()
    lines[1] = "2022-05-01 00:00:00,40000,,0.13"
    assert [m.name for m in table_for(parse_prices(lines, "file")).markets] == ["BTC", "DOGE"]


def test_play__story__goes_as_told(revm: RevmChain) -> None:
    story = play(revm)
    opened, dip, fall, crash, _ = story.scenes
    assert story.balanced and story.liquidation and story.leo_after
    # Hana loses more on BTC than she paid in, and stands.
    bitcoin = crash.accounts["Hana"].position("BTC")
    assert bitcoin is not None and bitcoin.pnl < -180_000
    healths = [scene.accounts["Hana"].health for scene in story.scenes]
    assert all(health is not None and health > 2 for health in healths)
    # Her twin, isolated, loses both positions.
    assert set(story.isolated) == {"BTC", "ETH"}
    assert story.twin_after < story.hana_after / 4
    assert story.needs["Hana"].isolated > 2 * story.needs["Hana"].cross
    # Leo is warned first, then closed out whole by somebody without a cent here.
    assert opened.accounts["Leo"].margin_call is False
    assert dip.accounts["Leo"].margin_call and not dip.accounts["Leo"].liquidatable
    assert fall.accounts["Leo"].liquidatable
    assert story.liquidation.closed == 3 and not story.leo_after.positions
    assert story.keeper_before == 0 < story.keeper_after == story.liquidation.reward
    assert story.leo_after.cash > 0
    assert story.leo_after.cash - story.withdrawn < D("0.000001")
    # Mina's loss becomes a debt within its cap, and costs interest.
    mina = story.mina
    assert mina and mina.opened.cash < 0 and mina.opened.holdings[0].amount == 100
    assert mina.fallen.pnl < -100_000 and mina.settled.pnl == 0
    assert abs(mina.fallen.equity - mina.settled.equity) < 1
    owed = mina.settled.debt.amount
    assert 100_000 < owed < mina.settled.debt.most
    assert mina.day_later.debt.interest == pytest.approx(
        owed * mina.settled.debt.rate / 365, rel=D("0.01")
    )
    # Her ether repays it, not all of it taken, and the fund is no worse off than the fee made it.
    assert mina.settled.liquidatable is False and mina.crashed.liquidatable
    assert mina.liquidation.closed == 1 and mina.liquidation.lots == (mina.lot.id,)
    assert mina.after.debt.amount == 0 and not mina.after.positions
    assert mina.lot.amount + mina.after.holdings[0].amount == 100
    assert mina.lot.to_insurance == mina.liquidation.seized
    assert mina.purchase.left == 0 and mina.purchase.price < mina.lot.price
    assert mina.purchase.price == pytest.approx(mina.lot.price_later, rel=D("0.001"))
    before, seized, after = mina.fund
    assert (
        seized
        == before - mina.lot.to_insurance + mina.liquidation.charged - mina.liquidation.reward
    )
    assert after == seized + mina.purchase.cost
    # Nothing is lost to bad debt.
    closed = (story.liquidation, *story.isolated.values(), mina.liquidation)
    assert all(c.debt_to_insurance == c.debt_to_pool == 0 for c in closed)
