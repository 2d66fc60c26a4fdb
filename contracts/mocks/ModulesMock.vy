# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title ModulesMock
@license AGPL-3.0-only
@notice The pure modules with their functions opened to calls. For tests only.
"""

from ..modules import curve
from ..modules import debt
from ..modules import fixed_point
from ..modules import funding
from ..modules import liquidation
from ..modules import margin
from ..modules import prices
from ..modules import slots


@external
@pure
def floor_div(x: int256, y: int256) -> int256:
    return fixed_point.floor_div(x, y)


@external
@pure
def ceil_div(x: uint256, y: uint256) -> uint256:
    return fixed_point.ceil_div(x, y)


# ------------------------------------------------------------------ slots


@external
@pure
def cash_of(header: uint256) -> int256:
    return slots.cash_of(header)


@external
@pure
def with_cash(header: uint256, cash: int256) -> uint256:
    return slots.with_cash(header, cash)


@external
@pure
def pack_position(size: int256, basis: int256) -> uint256:
    return slots.pack_position(size, basis)


@external
@pure
def unpack_position(word: uint256) -> (int256, int256):
    return slots.unpack_position(word)


@external
@pure
def pack_state_a(lots: uint256, last_price: uint256, skew: int256) -> uint256:
    return slots.pack_state_a(lots, last_price, skew)


@external
@pure
def pack_state_b(index: int256, rate: int256, touched_at: uint256, surge_ppm: uint256, steady: uint256) -> uint256:
    return slots.pack_state_b(index, rate, touched_at, surge_ppm, steady)


@external
@pure
def open_interest(lots: uint256, skew: int256) -> uint256:
    return slots.open_interest(lots, skew)


@external
@pure
def pack_book(nav: int256, exposure: uint256, times: uint256) -> uint256:
    return slots.pack_book(nav, exposure, times)


@external
@pure
def unpack_book(word: uint256) -> (int256, uint256, uint256):
    return slots.unpack_book(word)


# ------------------------------------------------------------------ curve


@external
@pure
def fill_price(price: uint256, skew: int256, delta: int256, scale: uint256, extra_ppm: uint256) -> uint256:
    return curve.fill_price(price, skew, delta, scale, extra_ppm)


@external
@pure
def cost_of(delta: int256, price: uint256, index: int256) -> int256:
    return curve.cost_of(delta, price, index)


@external
@pure
def only_reduces(size: int256, delta: int256) -> bool:
    return curve.only_reduces(size, delta)


@external
@pure
def fill(size: int256, basis: int256, delta: int256, price: uint256, index: int256) -> (int256, int256, int256, int256):
    return curve.fill(size, basis, delta, price, index)


# ------------------------------------------------------------------ funding


@external
@pure
def accrue(
    index: int256,
    rate: int256,
    skew: int256,
    scale: uint256,
    max_velocity_ppm: uint256,
    max_rate_ppm: uint256,
    max_price: uint256,
    price: uint256,
    elapsed: uint256,
) -> (int256, int256):
    return funding.accrue(index, rate, skew, scale, max_velocity_ppm, max_rate_ppm, max_price, price, elapsed)


# ------------------------------------------------------------------ margin


@external
@pure
def notional(own: uint256, price: uint256) -> uint256:
    return margin.notional(own, price)


@external
@pure
def value(
    size: int256,
    basis: int256,
    price: uint256,
    index: int256,
    mm_ppm: uint256,
    scale: uint256,
    reward: uint256,
) -> (int256, uint256):
    return margin.value(size, basis, price, index, mm_ppm, scale, reward)


@external
@pure
def opening_value(
    size: int256,
    pnl: int256,
    price: uint256,
    stable: uint256,
    skew: int256,
    im_ppm: uint256,
    scale: uint256,
    reward: uint256,
) -> (int256, uint256):
    return margin.opening_value(size, pnl, price, stable, skew, im_ppm, scale, reward)


@external
@pure
def follow(stable: uint256, cut: uint256, price: uint256, elapsed: uint256, speed_ppm: uint256) -> uint256:
    return prices.follow(stable, cut, price, elapsed, speed_ppm)


@external
@pure
def equity(cash: int256, pnl: int256, profit_weight_ppm: uint256) -> int256:
    return margin.equity(cash, pnl, profit_weight_ppm)


@external
@pure
def health(equity_: int256, maintenance: uint256) -> uint256:
    return margin.health(equity_, maintenance)


@external
@pure
def no_worse(equity_before: int256, mm_before: uint256, equity_after: int256, mm_after: uint256) -> bool:
    return margin.no_worse(equity_before, mm_before, equity_after, mm_after)


# ------------------------------------------------------------------ liquidation


@external
@pure
def split(bill: liquidation.Bill, equity_left: int256, keeper_share_ppm: uint256) -> liquidation.Split:
    return liquidation.split(bill, equity_left, keeper_share_ppm)


# ------------------------------------------------------------------ debt


@external
@pure
def rate_ppm(terms: uint256, total: uint256) -> uint256:
    return debt.rate_ppm(terms, total)


@external
@pure
def grown(index: uint256, rate: uint256, elapsed: uint256) -> uint256:
    return debt.grown(index, rate, elapsed)


@external
@pure
def owed(debt_: uint256, then: uint256, now: uint256) -> uint256:
    return debt.owed(debt_, then, now)


@external
@pure
def scaled(debt_: uint256, index: uint256) -> uint256:
    return debt.scaled(debt_, index)


@external
@pure
def unposted(scaled_total: uint256, now: uint256, total: uint256) -> uint256:
    return debt.unposted(scaled_total, now, total)


# ------------------------------------------------------------------ collateral


@external
@view
def weight_now(t0: uint256, t1: uint256, at: uint256, before_at: uint256) -> uint256:
    return slots.weight_now(t0, t1, at, before_at)
