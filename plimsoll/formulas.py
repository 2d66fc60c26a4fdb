"""The arithmetic, in plain Python integers: one function for each of the contracts' pure modules.

What a price is worth, a fill, a margin, a liquidation, a debt, a seizure: nothing here knows of an
account or a deployment. Each function is the contracts' to the last digit, compared with them in
`tests/differential/test_pure.py`, with the same refusals (`Refused`) in the same words.

Units are the contracts' own: WAD (1e18) for quote, base, prices and ratios, parts per million where
a name ends in ``_ppm``, token units where it ends in ``_raw``, unix seconds for times. Requirement
ids (``MGN-7``) are those of the specification.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from plimsoll.slots import (
    WAD,
    CreditTerms,
    TokenTerms,
    Unpacked,
)

PPM = 10**6
HOUR = 3_600
DAY = 86_400
MAX_UINT = 2**256 - 1
YEAR = 365 * DAY
RAMP = 3 * DAY  # [s] in which lowered weights settle
MAX_INDEX = 2**88 - 1  # of debt


class Refused(Exception):
    """A call that reverts, and why. The arithmetic limits of the machine give no reason: ``""``."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def require(condition: bool, reason: str) -> None:
    """Refuse with `reason` unless `condition`."""
    if not condition:
        raise Refused(reason)


def fits_word(value: int) -> int:
    """`value`, if it fits 256 bits; what does not fit reverts without a reason."""
    require(0 <= value < 2**256, "")
    return value


def fits_signed(value: int, bits: int) -> int:
    """`value`, if it fits a signed integer of `bits` bits; otherwise a revert without a reason."""
    require(-(1 << (bits - 1)) <= value < 1 << (bits - 1), "")
    return value


# ------------------------------------------------------------------ rounding


def floor_div(x: int, y: int) -> int:
    """`x / y` toward minus infinity: what an account is given."""
    return x // y


def ceil_div(x: int, y: int) -> int:
    """`x / y` toward plus infinity: what an account is asked for."""
    return -(-x // y)


def trunc_div(x: int, y: int) -> int:
    """`x / y` toward zero: the machine's own division."""
    return x // y if (x >= 0) == (y > 0) else -(-x // y)


# ------------------------------------------------------------------ prices (PRC)

# A status is 0, or its reason's bytes as a number.
LIVE = 0
FAILED, NOT_POSITIVE, BAD_TIME, OUT_OF_BOUNDS, STALE = (
    int.from_bytes(f"prices: {why}".encode(), "big")
    for why in ("feed failed", "not positive", "bad time", "out of bounds", "stale")
)
PRICE_REASONS = {
    status: status.to_bytes(32, "big").strip(b"\0").decode()
    for status in (FAILED, NOT_POSITIVE, BAD_TIME, OUT_OF_BOUNDS, STALE)
}


class Answer(NamedTuple):
    """What a feed says: the two words of ``latestRoundData`` that matter."""

    answer: int  # in the feed's decimals
    updated_at: int  # [unix s]


def judge_price(
    said: Answer | None,
    terms: Unpacked | TokenTerms,
    last_price: int,
    touched_at: int,
    now: int,
) -> tuple[int, int]:
    """A market's price and whether it is valid (PRC-2); if not, the best that is known (PRC-5).

    Args:
        said: the feed's answer; None if it reverted, starved or was cut short.
        terms: of the market.
        last_price: [WAD quote/base] stored.
        touched_at: [unix s] when it was stored.
        now: [unix s].

    Returns:
        Price [WAD quote/base] and status: ``LIVE`` or why not.
    """
    if said is None:
        return last_price, FAILED
    if said.answer <= 0:
        return last_price, NOT_POSITIVE
    if said.updated_at == 0 or said.updated_at > now:
        return last_price, BAD_TIME
    price = said.answer * 10**terms.feed_exponent
    if said.answer >= 2**96 or not terms.min_price < price < terms.max_price:
        return last_price, OUT_OF_BOUNDS
    if now - said.updated_at > terms.max_age:
        return (price if said.updated_at >= touched_at else last_price), STALE
    return price, LIVE


def follow(stable: int, cut: int, price: int, elapsed: int, speed_ppm: int) -> int:
    """A stable price on its way to the oracle's: so fast an hour, for an hour at most (PRC-3).

    Args:
        stable: [WAD quote/base] when it was stored.
        cut: [WAD quote/base] by how much storing may have rounded it down.
        price: [WAD quote/base] the oracle's.
        elapsed: [s] since.
        speed_ppm: of itself, an hour.
    """
    way = floor_div(stable * speed_ppm * min(elapsed, HOUR), HOUR * PPM)
    return max(min(price, stable + cut + way), stable - way)


# ------------------------------------------------------------------ funding (FND)


def accrue(
    index: int,
    rate: int,
    skew: int,
    scale: int,
    max_velocity_ppm: int,
    max_rate_ppm: int,
    max_price: int,
    price: int,
    elapsed: int,
) -> tuple[int, int]:
    """The funding index and rate after `elapsed` seconds at a constant skew and price (FND-1).

    The rate moves by ``clamp(k/S, -1, 1) * max_velocity`` a day and stops at ``+-max_rate``; the
    index moves by the area under it times the price. Twice the mean rate of an interval from r0 to
    r1 is ``r0 + r1``; if the rate meets its limit L on the way, after the share
    ``(L - r0) / change`` of the interval, it is
    ``(r0 + L) * share + 2L * (1 - share) = 2L - (L - r0)**2 / change``.

    Returns:
        Index [WAD quote/base] and rate [WAD/day]. A step that would take the index past 64 times
        the market's greatest price is left out.
    """
    limit = max_rate_ppm * 10**12
    if scale == 0:  # a market that was never listed
        return index, 0
    start = max(-limit, min(rate, limit))
    clamped_skew = max(-scale, min(skew, scale))
    change = floor_div(clamped_skew * max_velocity_ppm * 10**12 * elapsed, scale * DAY)
    end = start + change
    twice_mean = start + end
    if not -limit <= end <= limit:
        end = limit if change > 0 else -limit
        gap = end - start
        twice_mean = 2 * end - trunc_div(gap * gap, change)
    moved = index + floor_div(twice_mean * elapsed * price, 2 * DAY * WAD)
    bound = min(64 * max_price, 2**95 - 1)
    if bound < moved > index or -bound > moved < index:
        return index, end
    return moved, end


# ------------------------------------------------------------------ the pool's quote (QTE)


def fill_price(price: int, skew: int, delta: int, scale: int, extra_ppm: int = 0) -> int:
    """``P * (1 + (k + d/2) / S)``, worsened for the taker by `extra_ppm` of P, rounded against him.

    Args:
        price: [WAD quote/base] the oracle's.
        skew: [WAD base] before the fill.
        delta: [WAD base] the taker's, not zero.
        scale: [WAD base] the depth of the curve.
        extra_ppm: instant spread and surge (QTE-2).

    Returns:
        [WAD quote/base], never below zero.
    """
    # Everything times 2 * S * 1e6, so that there is one division.
    curve = (2 * scale + 2 * skew + delta) * PPM
    extra = 2 * scale * extra_ppm
    if delta > 0:
        return ceil_div(price * fits_word(curve + extra), 2 * scale * PPM)
    return floor_div(price * max(curve - extra, 0), 2 * scale * PPM)


def cost_of(delta: int, price: int, index: int) -> int:
    """What the taker of `delta` owes: ``ceil(d * (f - F))`` [WAD quote] (LED-6)."""
    return ceil_div(delta * (price - index), WAD)


def only_reduces(size: int, delta: int) -> bool:
    """Whether |size| falls without crossing zero (QTE-4)."""
    return size != 0 and (size > 0) != (delta > 0) and abs(delta) <= abs(size) and delta != 0


class Fill(NamedTuple):
    """One side of a fill [WAD]."""

    size: int
    basis: int
    realised: int  # to the account's cash
    cost: int  # owed to the other side


def fill(size: int, basis: int, delta: int, price: int, index: int) -> Fill:
    """A position of `size` and `basis` takes `delta` at `price` (LED-6, LED-7).

    What opens adds its cost to the basis. What closes takes its share of the basis along, rounded
    against the account, and settles it in cash. Crossing zero is a close, then an open.
    In every case ``cash - basis`` falls by the cost, to the wei.
    """
    cost = cost_of(delta, price, index)
    after = size + delta
    if size == 0 or (size > 0) == (delta > 0):
        return Fill(after, basis + cost, 0, cost)
    if after == 0:
        return Fill(0, 0, -basis - cost, cost)
    if (size > 0) == (after > 0):
        share = ceil_div(basis * abs(delta), abs(size))
        return Fill(after, basis - share, -share - cost, cost)
    closing = cost_of(-size, price, index)
    return Fill(after, cost - closing, -basis - closing, cost)


def taker_fee(delta: int, price: int, fee_ppm: int) -> int:
    """``ceil(|d| * f * taker_fee)`` [WAD quote] (QTE-5)."""
    return ceil_div(abs(delta) * price * fee_ppm, WAD * PPM)


# ------------------------------------------------------------------ margin (MGN)


class Value(NamedTuple):
    """A leg's worth and what it asks for [WAD quote]."""

    pnl: int
    required: int


def notional(size: int, price: int) -> int:
    """``ceil(|size| * P)`` [WAD quote]."""
    return ceil_div(abs(size) * price, WAD)


def required(size: int, price: int, ratio_ppm: int, depth: int, scale: int, reward: int) -> int:
    """``ceil(N * (ratio + depth / 2S)) + reward`` [WAD quote]."""
    amount = notional(size, price)
    return ceil_div(amount * (2 * scale * ratio_ppm + depth * PPM), 2 * scale * PPM) + reward


def value(
    size: int, basis: int, price: int, index: int, mm_ppm: int, scale: int, reward: int
) -> Value:
    """A leg for maintenance (LED-6, MGN-1): ``floor(size * (P - F)) - basis``, its own depth."""
    return Value(
        floor_div(size * (price - index), WAD) - basis,
        required(size, price, mm_ppm, abs(size), scale, reward),
    )


def opening_value(
    size: int,
    pnl: int,
    price: int,
    stable: int,
    skew: int,
    im_ppm: int,
    scale: int,
    reward: int,
) -> Value:
    """A leg for opening and withdrawing (MGN-2, PRC-4): at the worse of oracle and stable price.

    PnL at the lower for longs, at the higher for shorts; the requirement at the higher, and of the
    market's skew where that is more than the size.

    `pnl` is that at the oracle's price; what the worse price takes off it rounds up.
    """
    low, high = sorted((price, stable))
    return Value(
        pnl - notional(size, price - low if size > 0 else high - price),
        required(size, high, im_ppm, max(abs(size), abs(skew)), scale, reward),
    )


def equity(cash: int, pnl: int, profit_weight_ppm: int) -> int:
    """Cash and PnL; a net profit counts by its weight, a net loss in full (MGN-4, MGN-5)."""
    return cash + (floor_div(pnl * profit_weight_ppm, PPM) if pnl > 0 else pnl)


def health(equity_: int, maintenance: int) -> int:
    """Equity over maintenance [WAD], rounded down; boundless if flat, 0 in debt (MGN-6)."""
    if equity_ < 0:
        return 0
    return floor_div(equity_ * WAD, maintenance) if maintenance else MAX_UINT


def no_worse(equity_before: int, mm_before: int, equity_after: int, mm_after: int) -> bool:
    """Whether a reduction left equity >= 0 and health no lower (MGN-7)."""
    return equity_after >= 0 and equity_after * mm_before >= equity_before * mm_after


# ------------------------------------------------------------------ liquidation (LIQ)


@dataclass
class Bill:
    """What a liquidation closes, summed over its legs [WAD quote]."""

    notional: int = 0
    fee_ppm: int = 0  # sum of notional * liquidation fee
    closing_ppm: int = 0  # sum of notional * (taker fee + instant spread)
    flat: int = 0  # flat rewards
    one_flat: int = 0  # the greatest of them


class Split(NamedTuple):
    """Who gets what [WAD quote]."""

    charged: int  # leaves the account
    reward: int  # to the keeper, of what is charged
    shortfall: int  # a flat reward that the insurance fund may pay instead


def split(bill: Bill, equity_left: int, keeper_share_ppm: int) -> Split:
    """The system's part, the keeper's flat reward, then his share of the fee (LIQ-3, LIQ-5, LIQ-6).

    Closing at the oracle price would have cost fee and spread; with the curve, between 0.75 and
    1.25 times that. The dearest closing is kept for the system before the keeper gets anything, as
    far as equity goes. Where even the cheapest would have ended in debt, the insurance fund may pay
    a flat reward: one, and 1 % of N at most.
    """
    left = max(equity_left, 0)
    dearest = ceil_div(5 * bill.closing_ppm, 4 * PPM)
    kept = min(left, dearest)
    flat = min(bill.flat, left - kept)
    fee = min(ceil_div(bill.fee_ppm, PPM), left - flat)
    share = min(floor_div(fee * keeper_share_ppm, PPM), max(fee - kept, 0))
    bankrupt = equity_left < 0 or 5 * left < 3 * dearest
    shortfall = min(bill.one_flat, bill.notional // 100) if bankrupt else 0
    return Split(charged=flat + fee, reward=flat + share, shortfall=shortfall)


# ------------------------------------------------------------------ debt (COL-2)


def interest_rate(terms: CreditTerms, total: int) -> int:
    """What debt costs a year [WAD * ppm]: one slope up to the kink, another from there to the cap.

    Args:
        terms: of credit.
        total: [WAD quote] all debt; its share of the cap is the utilisation, 1 at most.
    """
    used = floor_div(total * WAD, terms.debt_cap) if total < terms.debt_cap else WAD
    below = min(used, terms.kink_ppm * 10**12)
    return below * terms.low_slope_ppm + (used - below) * terms.high_slope_ppm


def grown_index(index: int, rate: int, elapsed: int) -> int:
    """The index of debt after `elapsed` seconds at a yearly `rate` [WAD * ppm], rounded up."""
    return min(index + ceil_div(index * rate * elapsed, WAD * PPM * YEAR), MAX_INDEX)


def interest_on(debt: int, then: int, now: int) -> int:
    """The interest on `debt` while the index went from `then` to `now`, rounded up."""
    return ceil_div(debt * now, then) - debt


def scaled(debt: int, index: int) -> int:
    """A debt in units of the index, rounded down; nothing where there is neither."""
    return floor_div(debt * WAD, index) if index else 0


def unposted(scaled_total: int, now: int, total: int) -> int:
    """The interest of all debtors together that their next touches would post [WAD quote]."""
    return max(ceil_div(scaled_total * now, WAD) - total, 0)


# ------------------------------------------------------------------ collateral (COL-1, COL-4)


def weight_now(weight_ppm: int, before_ppm: int, settle_at: int, now: int) -> int:
    """A weight on its straight line down from the one before; a higher one holds at once [ppm]."""
    left = max(settle_at - now, 0)
    return weight_ppm + floor_div((max(before_ppm, weight_ppm) - weight_ppm) * left, RAMP)


def weighed(worth: int, weight_ppm: int, scale: int, depth: int) -> int:
    """``worth * weight * S / (S + depth)``, rounded down: the deeper a holding, the less it counts.

    Args:
        worth: [WAD quote] at the oracle's price.
        weight_ppm: of the token.
        scale: [WAD base] at which half is left.
        depth: [WAD base] the account's own amount for maintenance, everybody's for opening.
    """
    if scale == 0:  # a token that was never listed
        return 0
    return floor_div(worth * weight_ppm * scale, PPM * (scale + depth))


def seizure_credit(amount_raw: int, unit: int, price: int, kept_ppm: int) -> int:
    """What a seizure is credited with: worth less the discount, rounded down (LIQ-4)."""
    return floor_div(floor_div(amount_raw * unit * price, WAD) * kept_ppm, PPM)


def fewest(credit: int, unit: int, price: int, kept_ppm: int) -> int:
    """The fewest raw units that are credited with at least `credit`."""
    return ceil_div(ceil_div(credit * PPM, kept_ppm) * WAD, unit * price)


# ------------------------------------------------------------------ the auction (LIQ-7)


def live_seconds(seen_at: int, live_until: int, updated_at: int, now: int) -> int:
    """How much of the time since a lot was looked at its feed is known to have been live.

    From then to where the round of then went stale, or the round of now came; and from that on.
    """
    return max(min(updated_at, live_until) - seen_at, 0) + now - max(updated_at, seen_at)


def auction_cost(amount_raw: int, price: int, elapsed: int, terms: TokenTerms) -> int:
    """``amount * P * (1 + premium - (premium + discount) * elapsed / duration)``, rounded up."""
    gone = (terms.premium_ppm + terms.discount_ppm) * min(elapsed, terms.duration)
    share = (PPM + terms.premium_ppm) * terms.duration - gone
    return ceil_div(amount_raw * terms.unit * price * share, WAD * PPM * terms.duration)
