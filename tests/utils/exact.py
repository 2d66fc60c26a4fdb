"""The formulas of the mechanism in exact fractions, each rounded once, against the account.

Written from the specification and not from the contracts or the model, so that a test's expected number
has a source of its own. Quote, base and prices are WAD integers, ratios parts per million.
"""

from fractions import Fraction
from math import ceil, floor

WAD = 10**18
PPM = 10**6
DAY = 86_400
LOT = 2**32


def fill_price(price: int, skew: int, delta: int, scale: int, extra_ppm: int = 0) -> int:
    """QTE-1 and QTE-2: P * (1 + (k + d/2) / S), and `extra_ppm` of P more for the taker to pay."""
    side = 1 if delta > 0 else -1
    tilt = 1 + Fraction(2 * skew + delta, 2 * scale) + side * Fraction(extra_ppm, PPM)
    exact = max(price * tilt, Fraction(0))
    return ceil(exact) if delta > 0 else floor(exact)


def cost(delta: int, price: int, index: int = 0) -> int:
    """LED-6: what a fill of `delta` costs its taker."""
    return ceil(Fraction(delta * (price - index), WAD))


def pnl(size: int, basis: int, price: int, index: int = 0) -> int:
    """LED-6: the unrealised profit of a position."""
    return floor(Fraction(size * (price - index), WAD)) - basis


def notional(size: int, price: int) -> int:
    """N of section 6."""
    return ceil(Fraction(abs(size) * price, WAD))


def fee(delta: int, price: int, fee_ppm: int) -> int:
    """QTE-5: the taker's fee on a fill."""
    return ceil(Fraction(abs(delta) * price * fee_ppm, WAD * PPM))


def maintenance(size: int, price: int, scale: int, mm_ppm: int, reward: int) -> int:
    """MGN-1: of one position."""
    ratio = Fraction(mm_ppm, PPM) + Fraction(abs(size), 2 * scale)
    return ceil(notional(size, price) * ratio) + reward


def initial(size: int, skew: int, price: int, scale: int, im_ppm: int, reward: int) -> int:
    """MGN-2: of one position."""
    ratio = Fraction(im_ppm, PPM) + Fraction(max(abs(size), abs(skew)), 2 * scale)
    return ceil(notional(size, price) * ratio) + reward


def steady(price: int, max_price: int) -> int:
    """PRC-3: a market's stable price as it is stored, over the greatest in 2**-48."""
    return floor(Fraction(price * 2**48, max_price))


def steady_after(kept: int, max_price: int, price: int, seconds: int, ppm: int = 60_000) -> int:
    """PRC-3: the same once it has followed the oracle's: 6 % of itself an hour, one hour at most."""
    stable = floor(Fraction(max_price * kept, 2**48))
    way = floor(Fraction(stable * ppm * min(seconds, 3_600), 3_600 * PPM))
    high = stable + way + max_price // 2**47  # what storing has cut off is no distance
    return steady(max(min(price, high), stable - way), max_price)


def share_of(amount: int, ppm: int) -> int:
    """A share that is handed out: rounded down."""
    return floor(Fraction(amount * ppm, PPM))


def health(equity: int, requirement: int) -> int:
    """MGN-6, for an account with positions."""
    return floor(Fraction(max(equity, 0) * WAD, requirement))


def rate_after(rate: int, skew: int, scale: int, velocity_ppm: int, max_ppm: int, dt: int) -> int:
    """FND-1: the funding rate [WAD/day] after `dt` seconds."""
    pull = max(min(Fraction(skew, scale), Fraction(1)), Fraction(-1))
    limit = max_ppm * 10**12
    moved = rate + floor(pull * velocity_ppm * 10**12 * Fraction(dt, DAY))
    return max(min(moved, limit), -limit)


def index_after(index: int, rate: int, rate_then: int, price: int, dt: int) -> int:
    """FND-1: the funding index after `dt` seconds on which the rate did not meet its clamp."""
    mean = Fraction(rate + rate_then, 2)
    return index + floor(mean * Fraction(dt, DAY) * price / WAD)


def lots(*sizes: int) -> int:
    """The long side of a market in whole lots, account by account."""
    return sum(size // LOT for size in sizes if size > 0)
