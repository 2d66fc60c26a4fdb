"""What the tables say of a venue in a storm, and that they say nothing of it on other days."""

from __future__ import annotations

import io
from dataclasses import fields, replace
from decimal import Decimal
from typing import Any

import pytest
from rich.console import Console

from plimsoll import report
from plimsoll.client import Market, Pool

D = Decimal
AT = 1_750_000_000  # 2025-06-15 15:06


def of(cls: type[Any], **told: Any) -> Any:
    """A view with zeros for what does not matter."""
    plain = {"str": "", "bool": False, "int": 0}
    return cls(**{f.name: plain.get(str(f.type), D(0)) for f in fields(cls)} | told)


CALM = of(Pool, calm=True, share=None, outflow_left=None, leverage=None)
BTC = of(Market, name="BTC", price=D(60_000), stable_price=D(60_000), price_status="live")


def shown(thing: Any) -> str:
    """As it is printed, in one line."""
    file = io.StringIO()
    Console(width=200, file=file).print(thing)
    return " ".join(file.getvalue().split())


@pytest.mark.parametrize(
    ("pool", "market", "lines"),
    [
        ({}, {}, []),
        ({"calm": False}, {}, ["not calm, its sequencer is down, or was a moment ago: nobody"]),
        (
            {"calm": False, "calm_from": AT},
            {},
            ["not calm, frozen, and in grace until 2025-06-15 15:06 UTC: nobody"],
        ),
        ({"share": D(0)}, {}, ["its share is not known yet: wait."]),
        ({"share": D("0.3333")}, {}, ["Settlement: of each claim that is withdrawn, 33.33 %."]),
        ({}, {"paused_until": AT}, ["BTC is paused until 2025-06-15 15:06 UTC"]),
        ({}, {"settled": True}, ["BTC is settled: what is left of it is closed at 60,000."]),
        (
            {"calm": False, "share": D(1)},
            {"settled": True},
            ["is not calm", "Settlement", "BTC is settled"],
        ),
    ],
)
def test_venue_lines__each_state__a_line_for_each_that_is_not_ordinary(
    pool: dict[str, Any], market: dict[str, Any], lines: list[str]
) -> None:
    found = list(report.venue_lines(replace(CALM, **pool), [replace(BTC, **market)]))
    assert len(found) == len(lines)
    for line, part in zip(found, lines, strict=True):
        assert part in line.plain


@pytest.mark.parametrize(
    ("market", "name"),
    [
        ({}, "BTC 60,000"),
        ({"reduce_only": True}, "BTC (reduce only)"),
        (
            {"reduce_only": True, "settled": True, "price_status": "prices: feed failed"},
            "BTC (settled) 60,000 - -",
        ),
        ({"price_status": "prices: feed failed"}, "BTC feed failed - -"),
        ({"paused_until": AT}, "BTC (paused)"),
    ],
)
def test_markets_table__market_not_open__says_so_by_its_name(
    market: dict[str, Any], name: str
) -> None:
    assert f" {name} " in shown(report.markets_table([replace(BTC, **market)], "USDC"))


def test_markets_table__stable_prices__only_those_that_differ_as_shown() -> None:
    far = replace(BTC, name="ETH", stable_price=D(59_000))
    near = replace(BTC, name="SOL", stable_price=D("59999.99"))  # rounds to the price
    text = shown(report.markets_table([BTC, far, near], "USDC"))
    assert "where they are worse: ETH 59,000." in text
    assert "Stable" not in shown(report.markets_table([BTC, near], "USDC"))


def test_pool_table__outflow__only_where_it_is_limited() -> None:
    assert "leave" not in shown(report.pool_table(CALM, "USDC"))
    slow = replace(CALM, outflow_left=D(7))
    assert "that may still leave in this hour 7.00" in shown(report.pool_table(slow, "USDC"))
