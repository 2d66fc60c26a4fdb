"""From human units to the Configurator's: exact, or refused by the market's and field's name."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from plimsoll.errors import TableError
from plimsoll.slots import pack_terms, unpack_terms
from plimsoll.table import (
    PoolSpec,
    Table,
    TokenSpec,
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
    assert table.settings() == (200_000, 200_000, 500_000, 1_500_000, 50 * 10**18)
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
    for table in (default_table(), table_of({"A": D("0.0003"), "B": D(80)}, max_age=7_200)):
        assert Table.from_dict(table.to_dict()) == table


YAML = """
quote: {symbol: EURC, decimals: 18}
keeper_share: 0.1
pool: {seed: 1_000_000}
markets:
  - {name: BTC, price: 61234.56}
  - {name: PEPE, price: 0.01, tier: other, depth: 1000000, im: 0.2, max_age: 7200}
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
        ("t.yaml", "markets: [", "not YAML in line 1"),
        ("t.json", "{", "t.json:1:"),
        ("t.yaml", "- 1", "not a mapping"),
        ("t.yaml", "markets: []", "no list of markets"),
        ("t.yaml", "markets: [{name: BTC}]", "market 0: name and price are needed"),
        ("t.yaml", "markets: [{name: BTC, price: 1, foo: 2}]", "BTC: foo: no such field"),
        ("t.yaml", "markets: [{name: BTC, price: 1, tier: odd}]", "no tier 'odd'"),
        ("t.yaml", "colour: red\nmarkets: [{name: BTC, price: 1}]", "colour: no such field"),
        ("t.yaml", "pool: 5\nmarkets: [{name: BTC, price: 1}]", "pool is not a mapping"),
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
