"""From human units to the Configurator's: exact, or refused by the market's and field's name."""

from __future__ import annotations

import json
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from plimsoll.errors import TableError
from plimsoll.formulas import Refused
from plimsoll.fuzz.system import Setup
from plimsoll.model import NOWHERE
from plimsoll.rules import check_collateral, check_credit
from plimsoll.slots import (
    pack_collateral,
    pack_credit,
    pack_terms,
    unpack_credit,
    unpack_terms,
    unpack_token,
)
from plimsoll.table import (
    CreditSpec,
    PoolSpec,
    Table,
    TokenSpec,
    collateral,
    collateral_terms_of,
    default_table,
    load_table,
    market,
    table_of,
    terms_of,
)
from plimsoll.units import from_wad

FEED = "0x" + "11" * 20
D = Decimal


def test_default_table__terms__are_those_of_the_specification() -> None:
    table = default_table()
    btc, sol = table.terms("BTC", FEED), table.terms("SOL", FEED)
    assert (btc.im_ppm, btc.mm_ppm) == (50_000, 25_000)
    assert (sol.im_ppm, sol.mm_ppm) == (120_000, 60_000)
    assert (btc.taker_fee_ppm, btc.spread_ppm) == (500, 1_000)
    assert (sol.taker_fee_ppm, sol.spread_ppm) == (800, 5_000)
    assert (btc.liquidation_fee_ppm, sol.liquidation_fee_ppm) == (10_000, 15_000)
    assert btc.reward == sol.reward == 5 * 10**18
    assert (btc.max_velocity_ppm, btc.max_rate_ppm) == (500_000, 10_000)
    assert (sol.max_velocity_ppm, sol.max_rate_ppm) == (750_000, 30_000)
    assert btc.max_skew * 1000 == btc.skew_scale * 10
    assert btc.max_open_interest * 1000 == btc.skew_scale * 14
    assert sol.max_skew * 100 == sol.skew_scale * 2
    assert sol.max_open_interest * 100 == sol.skew_scale * 3
    for name, notional in (("BTC", 400_000_000), ("SOL", 20_000_000)):
        depth = from_wad(table.terms(name, FEED).skew_scale) * table.spec(name).price
        assert notional <= depth < notional * D("1.01")
    assert table.settings() == {
        "keeper_share_ppm": 200_000,
        "insurance_share_ppm": 200_000,
        "profit_weight_ppm": 500_000,
        "max_pool_leverage_ppm": 1_500_000,
        "top_up_per_block": 50 * 10**18,
        "stable_speed_ppm": 60_000,
        "outflow_ppm": 0,
        "outflow_floor": 0,
    }
    assert (table.pool.seed, table.insurance) == (10_000_000, 250_000)


@pytest.mark.parametrize(
    "price", ["0.000001", "0.0003", "0.00123", "0.999", "1", "7.77", "80.5", "60000", "123456.789"]
)
def test_terms__any_price__survive_packing(price: str) -> None:
    spec = market("COIN", price)
    terms = terms_of(spec, FEED)
    found = unpack_terms(*pack_terms(terms, spec.feed_decimals))
    assert (found.min_price, found.max_price) == (terms.min_price, terms.max_price)
    assert from_wad(found.max_price) >= 100 * spec.price
    assert from_wad(found.min_price) <= spec.price / 10_000
    assert found.skew_scale == terms.skew_scale


@pytest.mark.parametrize("tier", ["major", "other"])
@pytest.mark.parametrize(
    ("price", "depth", "low", "high"),
    [
        # The skew scale stops at what 96 bits hold, the lower bound at what the Configurator takes.
        ("0.00000001", "792", "0.000000000001", "0.000001"),
        ("0.000001", "79200", "0.00000000001", "0.0001"),
        # And the upper bound at what 96 bits hold.
        ("1000000000", None, "10000", "79200000000"),
        ("70000000000", None, "10000", "79200000000"),
    ],
)
def test_market__price_at_the_edge__as_deep_and_as_wide_as_it_goes(
    price: str, depth: str | None, low: str, high: str, tier: str
) -> None:
    spec = market("COIN", price, tier)
    terms = terms_of(spec, FEED)
    assert unpack_terms(*pack_terms(terms, spec.feed_decimals)).max_price == terms.max_price
    assert (from_wad(terms.min_price), from_wad(terms.max_price)) == (D(low), D(high))
    whole = {"major": 400_000_000, "other": 20_000_000}[tier]
    assert spec.skew_scale * spec.price == pytest.approx(D(depth or whole), rel=D("0.01"))


def test_market__price_beyond_96_bits__refused() -> None:
    with pytest.raises(TableError, match="COIN: max_price does not fit 96 bits"):
        terms_of(market("COIN", "79200000000"), FEED)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"im": "0.0500001"}, "BTC: im: 0.0500001 has more than 6 decimals"),
        ({"im": 0.05}, "BTC: im: 0.05 is no exact number"),
        ({"im": "five"}, "BTC: im: 'five' is not a number"),
        ({"im": "NaN"}, "BTC: im: NaN is not a finite number"),
        ({"im": "-0.1"}, "BTC: im_ppm is below zero"),
        ({"im": "2"}, "BTC: im_ppm does not fit 20 bits"),
        ({"reward": "0.005"}, "BTC: reward: 0.005 has more than 2 decimals"),
        ({"skew_scale": "1e11"}, "BTC: skew_scale does not fit 96 bits"),
        ({"max_age": "1.5"}, "BTC: max_age: 1.5 is not a whole number"),
        ({"max_age": 2_000_000}, "BTC: max_age does not fit 20 bits"),
        ({"min_price": "0.001", "max_price": "1000000"}, "1000000000 such units make max_price"),
        ({"depht": 1}, "BTC: depht: no such field"),
        ({"reduce_only": "yes"}, "BTC: reduce_only: true or false"),
    ],
)
def test_terms__what_cannot_be_represented__refused_by_name(
    changes: dict[str, Any], why: str
) -> None:
    with pytest.raises(TableError) as refused:
        terms_of(market("BTC", 60_000, **changes), FEED)
    assert why in str(refused.value)


def test_terms__the_next_representable__accepted() -> None:
    assert terms_of(market("BTC", 60_000, im="0.050001"), FEED).im_ppm == 50_001
    assert terms_of(market("BTC", 60_000, reward="0.01"), FEED).reward == 10**16


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"markets": ()}, "no market"),
        ({"markets": (market("BTC", 1), market("BTC", 2))}, "BTC: listed twice"),
        ({"markets": (market("BTC", 1), market("btc", 2))}, "btc: listed twice, as BTC"),
        ({"markets": (market("7", 1),)}, "would be taken for an id"),
        ({"markets": (market("All", 1),)}, "'All' would mean something else in a command"),
        ({"markets": (market("A=B", 1),)}, "would mean something else in a command"),
        ({"markets": (market("A,B", 1),)}, "would mean something else in a command"),
        ({"markets": (market(" BTC", 1),)}, "' BTC': blanks around it"),
        ({"markets": (market("B\0C", 1),)}, "signs that cannot be printed"),
        ({"markets": (market("\u6bd4" * 11, 1),)}, "1 to 32 bytes"),
        ({"markets": (market("A", 1, feed="foo"),)}, "the feed of A: 'foo' is no address"),
        ({"markets": (market("A", 1, feed_decimals=19),)}, "the feed of A: 19 decimals"),
        ({"quote": TokenSpec(address="0x12")}, "USDC: '0x12' is no address"),
        ({"quote": TokenSpec(decimals=19)}, "USDC: 19 decimals; 0 to 18 are accepted"),
        ({"quote": TokenSpec(symbol="X" * 17)}, "1 to 16 bytes"),
        ({"pool": PoolSpec(name="")}, "pool: name '': 1 to 32 bytes"),
        ({"pool": PoolSpec(cooldown=3_599)}, "cooldown 3599 is not between 3600 and 2592000"),
        ({"pool": PoolSpec(seed=D(-1))}, "pool: seed -1 is below zero"),
        ({"insurance": D(-1)}, "insurance -1 is below zero"),
        ({"top_up_per_block": D(-1)}, "top_up_per_block -1 is below zero"),
        ({"outflow_floor": D(-1)}, "outflow_floor -1 is below zero"),
        ({"outflow": D("1.5")}, "outflow 1.5 is not between 0 and 1"),
        ({"stable_speed": D(0)}, "stable_speed 0: a stable price must be able to follow"),
        ({"stable_speed": D(2)}, "stable_speed 2 is not between 0 and 1"),
        ({"grace": 86_401}, "grace 86401 is not between 0 and 86400"),
        ({"sequencer": "nowhere"}, "sequencer: 'nowhere' is no address"),
        ({"max_pool_leverage": D(-1)}, "max_pool_leverage -1 is below zero"),
        ({"markets": (market("X" * 33, 1),)}, "1 to 32 bytes"),
        ({"markets": tuple(market(f"M{i}", 1) for i in range(129))}, "129 markets"),
        ({"margin_call_line": D("0.9")}, "below the liquidation line"),
        ({"keeper_share": D("1.1")}, "keeper_share 1.1 is not between 0 and 1"),
    ],
)
def test_table__impossible_settings__refused(change: dict[str, Any], why: str) -> None:
    with pytest.raises(TableError) as refused:
        replace(default_table(), **change)
    assert why in str(refused.value)


# ------------------------------------------------------------------ collateral and credit


def test_default_table__collateral__keeps_the_rules_and_its_numbers() -> None:
    table = default_table()
    credit = table.credit_terms()
    weth, wbtc = (table.collateral_terms(symbol, FEED) for symbol in ("WETH", "WBTC"))
    for terms, coin in ((weth, table.coin("WETH")), (wbtc, table.coin("WBTC"))):
        check_collateral(terms, coin.decimals, credit.liquidation_fee_ppm)
    check_credit(credit, [(t.maintenance_weight_ppm, t.discount_ppm) for t in (weth, wbtc)])
    assert (weth.initial_weight_ppm, weth.maintenance_weight_ppm) == (850_000, 900_000)
    assert (weth.discount_ppm, weth.premium_ppm, weth.duration) == (50_000, 20_000, 7_200)
    # 5m and 50m of quote at 3,000 and at 60,000, in three digits: the cap down, the scale up.
    assert (weth.cap, weth.scale) == (1_660 * 10**18, 16_700 * 10**18)
    assert (wbtc.cap, wbtc.scale) == (83_300_000 * 10**2, 834 * 10**18)
    assert (credit.debt_cap, credit.debt_ratio_ppm) == (10**24, 500_000)
    assert (credit.kink_ppm, credit.low_slope_ppm, credit.high_slope_ppm) == (
        750_000,
        30_000,
        1_000_000,
    )
    assert (credit.call_line_ppm, credit.conversion_bound) == (1_250_000, 10_000)
    assert credit.liquidation_fee_ppm == 20_000 and credit.order == tuple(range(16))
    assert unpack_credit(*pack_credit(credit)) == credit


@pytest.mark.parametrize("price", ["0.000001", "0.00123", "0.999", "7.77", "3000", "123456.789"])
@pytest.mark.parametrize("decimals", [0, 6, 8, 18])
def test_collateral_terms__any_price__survive_packing_and_the_rules(
    price: str, decimals: int
) -> None:
    coin = collateral("COIN", price, decimals=decimals)
    terms = collateral_terms_of(coin, FEED)
    check_collateral(terms, decimals, 20_000)
    found = unpack_token(*pack_collateral(terms, coin.feed_decimals, decimals))
    assert (found.min_price, found.max_price) == (terms.min_price, terms.max_price)
    assert (found.scale, found.cap, found.duration) == (terms.scale, terms.cap, 7_200)
    worth = D(found.cap).scaleb(-decimals) * coin.price
    assert worth == pytest.approx(min(D(5_000_000), D(79_200_000_000) * coin.price), rel=D("0.02"))


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"initial_weight": "0.8000001"}, "COIN: initial_weight: 0.8000001 has more than 6"),
        ({"initial_weight": 0.8}, "COIN: initial_weight: 0.8 is no exact number"),
        ({"premium": "2"}, "COIN: premium_ppm does not fit 20 bits"),
        ({"premium": "-1"}, "COIN: premium_ppm is below zero"),
        ({"scale": "-1"}, "COIN: scale is below zero"),
        ({"cap": "-1"}, "COIN: cap is below zero"),
        ({"cap": "1", "decimals": 0}, "COIN: cap 1 is less than one unit of it"),
        ({"cap": "2e10"}, "COIN: cap 20000000000 would be worth more than 1267 billion"),
        ({"duration": "0.5"}, "COIN: duration: 0.5 is not a whole number"),
        ({"max_age": 2_000_000}, "COIN: max_age does not fit 20 bits"),
        ({"min_price": "0.001", "max_price": "1000000"}, "1000000000 such units make max_price"),
        ({"depth": 1}, "COIN: depth: no such field"),
    ],
)
def test_collateral_terms__what_cannot_be_represented__refused_by_name(
    changes: dict[str, Any], why: str
) -> None:
    with pytest.raises(TableError) as refused:
        collateral_terms_of(collateral("COIN", 3_000, **changes), FEED)
    assert why in str(refused.value)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"debt_cap": D("1e11")}, "credit: debt_cap does not fit 96 bits"),
        ({"debt_ratio": D(-1)}, "credit: debt_ratio_ppm is below zero"),
        ({"low_slope": D("0.0000001")}, "credit: low_slope: 1E-7 has more than 6 decimals"),
        ({"conversion_bound": 2**32}, "credit: conversion_bound does not fit 32 bits"),
    ],
)
def test_credit_terms__what_cannot_be_represented__refused_by_name(
    change: dict[str, Any], why: str
) -> None:
    table = replace(default_table(), credit=replace(CreditSpec(), **change))
    with pytest.raises(TableError) as refused:
        table.credit_terms()
    assert why in str(refused.value)


def test_credit_terms__order__first_those_named_then_as_listed() -> None:
    coins = tuple(collateral(symbol, 1) for symbol in ("A", "B", "C"))
    table = replace(default_table(), collateral=coins, credit=CreditSpec(order=("C", "A")))
    assert table.credit_terms().order == (2, 0, 1, *range(3, 16))
    assert table.only("BTC").credit_terms().order == table.credit_terms().order
    assert table.with_collateral(coins[0]).credit_terms().order == tuple(range(16))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"collateral": (collateral("BTC", 1),)}, "collateral symbol 'BTC' is taken by BTC"),
        ({"collateral": (collateral("Usdc", 1),)}, "'Usdc' is taken by the quote token"),
        ({"collateral": (collateral("A", 1), collateral("a", 1))}, "symbol 'a' is taken by A"),
        ({"collateral": (collateral("7", 1),)}, "'7' would be taken for an id"),
        ({"collateral": (collateral("ALL", 1),)}, "'ALL' would mean something else in a command"),
        ({"collateral": (collateral("X" * 17, 1),)}, "1 to 16 bytes"),
        ({"collateral": (collateral("A", 1, name="X" * 33),)}, "A: name"),
        ({"collateral": (collateral("A", 1, decimals=19),)}, "A: 19 decimals"),
        ({"collateral": (collateral("A", 1, feed_decimals=19),)}, "the feed of A: 19 decimals"),
        ({"collateral": (collateral("A", 1, address="0x1"),)}, "A: '0x1' is no address"),
        ({"collateral": (collateral("A", 1, feed="foo"),)}, "the feed of A: 'foo' is no address"),
        ({"collateral": tuple(collateral(f"C{i}", 1) for i in range(17))}, "17 collateral tokens"),
        ({"credit": CreditSpec(order=("DAI",))}, "no collateral 'DAI'; there are WETH, WBTC"),
        ({"credit": CreditSpec(order=("WETH", "WETH"))}, "order: WETH is in it twice"),
        ({"collateral": (), "credit": CreditSpec(order=("WETH",))}, "'WETH'; there is none"),
        (
            {"credit": CreditSpec(liquidation_fee=D("0.050001"))},
            "WETH: maintenance_weight 0.90 leaves 0.1, less than the discount 0.05 and the "
            "liquidation fee 0.050001 together",
        ),
    ],
)
def test_table__impossible_collateral__refused(change: dict[str, Any], why: str) -> None:
    with pytest.raises(TableError) as refused:
        replace(default_table(), **change)
    assert why in str(refused.value)


def test_table__haircut_to_the_last_millionth__as_the_rule_has_it() -> None:
    credit = CreditSpec(liquidation_fee=D("0.05"))
    table = replace(default_table(), credit=credit)
    check_collateral(table.collateral_terms("WETH", FEED), 18, 50_000)
    with pytest.raises(Refused, match="haircut"):
        check_collateral(table.collateral_terms("WETH", FEED), 18, 50_001)


def test_setup_of__table__carries_the_collateral_over() -> None:
    table = default_table().only("BTC")
    setup = Setup.of(replace(table, credit=CreditSpec(order=("WBTC",))))
    assert [(c.decimals, c.price) for c in setup.coins] == [
        (18, 3_000 * 10**8),
        (8, 60_000 * 10**8),
    ]
    wanted = table.collateral_terms("WBTC", NOWHERE)._asdict()
    assert setup.coins[1].terms == {k: v for k, v in wanted.items() if k != "feed"}
    assert setup.credit is not None and setup.credit["order"] == [1, 0, *range(2, 16)]
    assert Setup.from_json(json.loads(json.dumps(setup.to_json()))) == setup
    bare = Setup.of(table.with_collateral())
    assert (bare.coins, bare.credit) == ([], None)


def test_table__names_of_any_language__accepted() -> None:
    names = ("\u039e", "\u6bd4\u7279\u5e01", "[/red]", "1000 PEPE")
    table = replace(default_table(), markets=tuple(market(name, 1) for name in names))
    assert [spec.name for spec in table.markets] == list(names)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"top_up_per_block": D("1e21")}, "top_up_per_block 1E+21 is too large"),
        ({"max_pool_leverage": D("1e33")}, "max_pool_leverage 1E+33 is too large"),
        ({"max_pool_leverage": D("1.0000001")}, "has more than 6 decimals"),
        ({"stable_speed": D("0.0000001")}, "has more than 6 decimals"),
        ({"outflow_floor": D("1e33")}, "outflow_floor 1E+33 is too large"),
    ],
)
def test_settings__what_the_chain_cannot_keep__refused(change: dict[str, Any], why: str) -> None:
    with pytest.raises(TableError) as refused:
        replace(default_table(), **change).settings()
    assert why in str(refused.value)


def test_line__beyond_256_bits__refused() -> None:
    assert default_table().line() == 125 * 10**16
    with pytest.raises(TableError, match="margin_call_line 1E\\+60 is too large"):
        replace(default_table(), margin_call_line=D("1e60")).line()


def test_market__price_not_above_zero__refused() -> None:
    for price in ("0", "-1"):
        with pytest.raises(TableError, match="is not above zero"):
            market("BTC", price)


def test_answer__feed_decimals__rounds_to_them_and_never_to_nothing() -> None:
    table = table_of({"COIN": D("0.5")})
    assert table.answer("COIN", D("0.123456785")) == 12_345_678  # half to even
    with pytest.raises(TableError, match="cannot say 1E-9"):
        table.answer("COIN", D("0.000000001"))
    with pytest.raises(TableError, match="a feed of 8 decimals cannot say 1E\\+60"):
        table.answer("COIN", D("1e60"))


def test_from_dict__round_trip__is_the_same_table() -> None:
    ordered = replace(default_table(), credit=CreditSpec(order=("WBTC", "WETH")))
    prices = {"A": D("0.0003"), "B": D(80)}
    for table in (default_table(), ordered, table_of(prices, max_age=7_200)):
        assert Table.from_dict(table.to_dict()) == table


ONE = "markets: [{name: BTC, price: 1}]"
YAML = """
quote: {symbol: EURC, decimals: 18}
keeper_share: 0.1
pool: {seed: 1_000_000}
markets:
  - {name: BTC, price: 61234.56}
  - {name: PEPE, price: 0.01, tier: other, depth: 1000000, im: 0.2, max_age: 7200}
collateral:
  - {symbol: WETH, price: 3000.5}
  - {symbol: USDX, price: 1, decimals: 6, cap: 2000000, maintenance_weight: 0.93, duration: 600}
credit: {debt_cap: 250_000, high_slope: 2.5, order: [USDX, WETH]}
"""


def test_load_table__yaml__reads_numbers_as_they_are_written(tmp_path: Path) -> None:
    file = tmp_path / "table.yaml"
    file.write_text(YAML)
    table = load_table(file)
    assert table.keeper_share == D("0.1")
    assert table.pool.seed == 1_000_000
    assert (table.quote.symbol, table.quote.decimals) == ("EURC", 18)
    assert table.spec("BTC").price == D("61234.56")
    pepe = table.spec("PEPE")
    assert (pepe.im, pepe.max_age, pepe.skew_scale) == (D("0.2"), 7_200, D(100_000_000))
    weth, usdx = table.collateral
    assert weth == collateral("WETH", D("3000.5"))
    assert (usdx.decimals, usdx.cap, usdx.maintenance_weight) == (6, 2_000_000, D("0.93"))
    credit = table.credit
    assert (credit.debt_cap, credit.high_slope) == (250_000, D("2.5"))
    assert credit.order == ("USDX", "WETH") and credit.debt_ratio == D("0.5")


def test_load_table__byte_order_mark__of_no_account(tmp_path: Path) -> None:
    for name, text in (
        ("t.json", '{"markets": [{"name": "A", "price": 1}]}'),
        ("t.yaml", "markets: [{name: A, price: 1}]"),
    ):
        file = tmp_path / name
        file.write_text(text, encoding="utf-8-sig")
        assert load_table(file).spec("A").price == 1


def test_load_table__json__reads_numbers_as_they_are_written(tmp_path: Path) -> None:
    file = tmp_path / "table.json"
    file.write_text('{"markets": [{"name": "ETH", "price": 3000.1, "spread": 0.0015}]}')
    spec = load_table(file).spec("ETH")
    assert (spec.price, spec.spread) == (D("3000.1"), D("0.0015"))


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("t.yaml", "markets: [", "t.yaml:1: not YAML"),
        ("t.json", "{", "t.json:1:"),
        ("t.yaml", "- 1", "not a mapping"),
        ("t.yaml", "markets: []", "no list of markets"),
        ("t.yaml", "markets: [{name: BTC}]", "market 0: name and price are needed"),
        ("t.yaml", "markets: [{name: BTC, price: 1, foo: 2}]", "BTC: foo: no such field"),
        ("t.yaml", "markets: [{name: BTC, price: 1, tier: odd}]", "no tier 'odd'"),
        ("t.yaml", "colour: red\nmarkets: [{name: BTC, price: 1}]", "colour: no such field"),
        ("t.yaml", "pool: 5\nmarkets: [{name: BTC, price: 1}]", "pool is not a mapping"),
        ("t.yaml", f"collateral: 5\n{ONE}", "collateral is not a list"),
        ("t.yaml", f"collateral: [{{symbol: A}}]\n{ONE}", "collateral 0: symbol and price are"),
        ("t.yaml", f"collateral: [{{symbol: , price: 1}}]\n{ONE}", "0: None is no symbol"),
        ("t.yaml", f"collateral: [{{symbol: A, price: 0}}]\n{ONE}", "A: price 0 is not above"),
        ("t.yaml", f"collateral: [{{symbol: A, price: 1, im: 2}}]\n{ONE}", "A: im: no such field"),
        ("t.yaml", f"credit: 5\n{ONE}", "credit is not a mapping"),
        ("t.yaml", f"credit: {{order: A}}\n{ONE}", "credit: order: a list of names, not 'A'"),
        ("t.yaml", f"credit: {{fee: 1}}\n{ONE}", "credit: fee: no such field"),
        ("t.txt", "", "tables are .yaml, .yml or .json"),
        ("t.yaml", "markets: [{name: , price: 1}]", "market 0: None is no name"),
        ("t.yaml", "markets: [{name: [A], price: 1}]", "is no name"),
        ("t.yaml", "markets: [{name: A, price: 1e400}]", "A: price: 1e400 is too large"),
        ("t.yaml", b"markets: [{name: \xe9, price: 1}]", "t.yaml: not a text file"),
    ],
)
def test_load_table__broken_file__one_clear_line(
    tmp_path: Path, name: str, text: str | bytes, why: str
) -> None:
    file = tmp_path / name
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(TableError) as refused:
        load_table(file)
    assert why in str(refused.value) and "\n" not in str(refused.value)


def test_load_table__no_file__one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(TableError, match="No such file"):
        load_table(tmp_path / "none.yaml")
