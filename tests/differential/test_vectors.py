"""Numbers that others have published, to the last digit: by the model and by the contracts.

Sources: Synthetix V3, AsyncOrder.sol (comment on the fill price), the tests of PerpsMarketModule,
OffchainAsyncOrder and Position/Funding, and of its interest rate; the audit of Unstoppable, H-5 (leverage).
"""

from __future__ import annotations

from decimal import Decimal

import pytest

from plimsoll import formulas, slots
from plimsoll.formulas import DAY
from plimsoll.slots import WAD


def wad(number: str) -> int:
    """A decimal, exactly."""
    scaled = Decimal(number) * WAD
    assert scaled == scaled.to_integral_value()
    return int(scaled)


FILLS = [
    # price, skew, delta, scale, fill price
    ("1200", "0", "100", "1000000", "1200.06"),
    ("1000", "0", "1", "100000", "1000.005"),
    ("1000", "0", "-1", "100000", "999.995"),
    ("1010", "0", "1", "10000", "1010.0505"),
    ("1010", "10", "1", "10000", "1011.0605"),
    ("1010", "10", "-11", "10000", "1010.4545"),
    ("1010", "-10", "11", "10000", "1009.5455"),
]


@pytest.mark.parametrize(("price", "skew", "delta", "scale", "expected"), FILLS)
def test_fill_price__published_vectors__match_to_the_digit(
    modules, price, skew, delta, scale, expected
):
    args = wad(price), wad(skew), wad(delta), wad(scale), 0
    assert formulas.fill_price(*args) == wad(expected)
    assert modules.fill_price(*args) == wad(expected)


FUNDING_SCALE = wad("10000")
FUNDING_VELOCITY_PPM = 3_000_000  # per day^2
FUNDING_PRICE = wad("2000")
FUNDING = [
    # days before the order, order, skew after it, rate then, paid by the +20 so far
    ("0", "20", "20", "0", "0"),
    ("1", "-60", "-40", "0.006", "120"),
    ("1", "15", "-25", "-0.006", "120"),
    ("0.25", "37", "12", "-0.007875", "50.625"),
    ("2", "-17", "-5", "-0.000675", "-291.375"),
    ("0.2", "155", "150", "-0.000975", "-297.975"),
]


@pytest.mark.parametrize("side", ["model", "contract"])
def test_accrue__published_funding_table__matches_to_the_digit(modules, side):
    accrue = formulas.accrue if side == "model" else modules.accrue
    index = rate = skew = 0
    for days, order, skew_after, rate_then, paid in FUNDING:
        elapsed = int(Decimal(days) * DAY)
        index, rate = accrue(
            index,
            rate,
            skew,
            FUNDING_SCALE,
            FUNDING_VELOCITY_PPM,
            1_000_000,
            wad("1000000"),
            FUNDING_PRICE,
            elapsed,
        )
        skew += wad(order)
        assert skew == wad(skew_after)
        assert rate == wad(rate_then)
        # What the position pays is what its PnL lost to the index.
        position = wad("20"), 0, FUNDING_PRICE
        paid_so_far = pnl(modules, side, *position, 0) - pnl(modules, side, *position, index)
        assert paid_so_far == wad(paid)


def pnl(modules, side, size, basis, price, index):
    args = size, basis, price, index, 10_000, FUNDING_SCALE, 0
    return (formulas.value if side == "model" else modules.value)(*args)[0]


@pytest.mark.parametrize("side", ["model", "contract"])
def test_value__debt_against_a_falling_coin__leverage_is_29(modules, side):
    # 28,000 of debt (14 ETH at 2,000) against 1 BTC that falls from 30,000 to 29,000.
    value = formulas.value if side == "model" else modules.value
    notional = formulas.notional if side == "model" else modules.notional
    equity = formulas.equity if side == "model" else modules.equity
    size, cash = wad("1"), wad("2000")
    leverages = []
    for price in (wad("30000"), wad("29000")):
        profit = value(size, wad("30000"), price, 0, 10_000, wad("1000000"), 0)[0]
        leverages.append(notional(size, price) * WAD // equity(cash, profit, 10**6))
    assert leverages == [wad("15"), wad("29")]


INTEREST = [
    # utilisation, yearly rate: kink 0.75, low gradient 0.0003, high 0.01 a percentage point
    ("0.5", "0.015"),
    ("0.75", "0.0225"),
    ("0.9", "0.1725"),
    ("1", "0.2725"),
]


@pytest.mark.parametrize(("utilisation", "rate"), INTEREST)
def test_interest__published_vectors__match_to_the_digit(modules, utilisation, rate):
    """The deployed bytecode, over a year: tests/unit/Clearinghouse/test_interest.py."""
    terms = slots.CreditTerms(
        debt_cap=wad("1000"), kink_ppm=750_000, low_slope_ppm=30_000, high_slope_ppm=1_000_000
    )
    debt, wanted = wad("1000") * wad(utilisation) // WAD, wad(rate) * 10**6
    assert formulas.interest_rate(terms, debt) == wanted
    assert modules.rate_ppm(slots.pack_credit(terms)[0], debt) == wanted
    assert modules.grown(WAD, wanted, formulas.YEAR) == WAD + wad(rate)
