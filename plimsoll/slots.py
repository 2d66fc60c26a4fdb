"""The hand-packed storage words: the mirror of ``contracts/modules/slots.vy``.

Bits are counted from the least significant; signed fields are two's complement. Everything here is
plain integers in the contracts' units: WAD (1e18) for quote, base and prices, parts per million for
ratios, unix seconds for times. Packing refuses what does not fit instead of truncating it.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

WAD = 10**18
LOT = 2**32  # [wei of base]
REWARD_UNIT = 10**16  # [WAD quote]

UNLISTED, OPEN, REDUCE_ONLY, SETTLED = 0, 1, 2, 3


class Header(NamedTuple):
    """An account: cash [WAD quote], flags, and the bitmap of the markets that it is in."""

    cash: int = 0
    flags: int = 0
    bitmap: int = 0


class Position(NamedTuple):
    """An account's size [WAD base] and basis [WAD quote] in one market."""

    size: int = 0
    basis: int = 0


class StateA(NamedTuple):
    """The half of a market's state that a fill moves."""

    lots: int = 0  # long open interest, in lots
    last_price: int = 0  # [WAD quote/base]
    skew: int = 0  # [WAD base]


class StateB(NamedTuple):
    """The half of a market's state that time moves."""

    funding_index: int = 0  # [WAD quote/base]
    rate: int = 0  # [WAD/day] funding
    touched_at: int = 0  # [unix s]
    surge_ppm: int = 0  # liquidated at `touched_at`, over the skew scale
    steady: int = 0  # the stable price over the market's greatest, in 2**-48; 0: none yet


class Book(NamedTuple):
    """What the clearinghouse knows of the pool."""

    nav: int = 0  # [WAD quote] last known
    exposure: int = 0  # [WAD quote] open interest of all markets at their last prices
    known_at: int = 0  # [unix s] of the NAV
    calm_from: int = 0  # [unix s] until when the venue is frozen, or in grace


class Terms(NamedTuple):
    """A market's terms in readable numbers, field by field as in ``IConfigurator.Terms``."""

    feed: str  # AggregatorV3Interface, 0x and 40 lower-case digits
    max_age: int  # [s]
    min_price: int  # [WAD quote/base] exclusive
    max_price: int  # [WAD quote/base] exclusive
    skew_scale: int  # [WAD base]
    max_skew: int  # [WAD base]
    max_open_interest: int  # [WAD base]
    im_ppm: int
    mm_ppm: int
    liquidation_fee_ppm: int
    reward: int  # [WAD quote] flat, a multiple of 0.01
    taker_fee_ppm: int
    spread_ppm: int
    otc_band_ppm: int
    max_velocity_ppm: int  # [ppm/day^2]
    max_rate_ppm: int  # [ppm/day]
    reduce_only: bool = False


class Ramp(NamedTuple):
    """A market's terms on their way, as in ``IConfigurator.Ramp``."""

    target: Terms
    im_ppm: int  # where it began, and likewise
    mm_ppm: int
    liquidation_fee_ppm: int
    reward: int  # [WAD quote]
    skew_scale: int  # [WAD base]
    duration: int  # [s] of the whole way
    progress: int  # [s] of it walked
    walked_at: int  # [unix s] of the last step, or the start


class CollateralTerms(NamedTuple):
    """A token's terms in readable numbers, as in ``IConfigurator.CollateralTerms``."""

    feed: str  # AggregatorV3Interface, 0x and 40 lower-case digits
    max_age: int  # [s]
    min_price: int  # [WAD quote/base] exclusive
    max_price: int  # [WAD quote/base] exclusive
    initial_weight_ppm: int
    maintenance_weight_ppm: int
    scale: int  # [WAD base] weights fall to half at a holding of so much
    cap: int  # [raw] of all accounts together
    discount_ppm: int  # the auction's greatest, and what a seizure takes off
    premium_ppm: int  # over the oracle's price, at the auction's start
    duration: int  # [s] of the fall from one to the other
    delisted: bool = False


class CreditTerms(NamedTuple):
    """The terms of debt and of seizures, as in ``IConfigurator.CreditTerms``."""

    debt_cap: int = 0  # [WAD quote] of all accounts together
    debt_ratio_ppm: int = 0  # of the collateral's initial value, for an account
    kink_ppm: int = 0  # of the cap
    low_slope_ppm: int = 0  # [ppm/year] per 100 % of the cap, up to the kink
    high_slope_ppm: int = 0  # [ppm/year] from there
    call_line_ppm: int = 0  # the health below which collateral may be converted
    conversion_bound: int = 0  # [quote, whole] in one call
    liquidation_fee_ppm: int = 0  # on seizures from flat accounts, and on conversions
    order: tuple[int, ...] = (0,) * 16  # every token id once, the most liquid first


class TokenTerms(NamedTuple):
    """What the clearinghouse and the auction read out of a token's three words of terms."""

    feed: str
    max_age: int
    feed_exponent: int  # 18 less the feed's decimals
    status: int
    maintenance_ppm: int
    initial_ppm: int
    discount_ppm: int
    scale: int
    settle_at: int  # [unix s] when the weights arrive where they are going
    unit: int  # [WAD base] of one raw unit
    min_price: int
    max_price: int
    maintenance_before_ppm: int
    initial_before_ppm: int
    cap: int
    premium_ppm: int
    duration: int


class TokenState(NamedTuple):
    """What time and deposits make of a token."""

    last_price: int = 0  # [WAD quote/base]
    seen_at: int = 0  # [unix s] when the price was stored, or the death was seen
    dead: bool = False
    total: int = 0  # [raw] of all accounts, the auction's included
    steady: int = 0  # the stable price over the last one, in 2**-24; 0: none yet


class Debts(NamedTuple):
    """All debts, and what they have cost so far."""

    total: int = 0  # [WAD quote]
    accrued_at: int = 0  # [unix s]
    debt_index: int = WAD


class Unpacked(NamedTuple):
    """What the clearinghouse reads out of a market's three words of terms."""

    feed: str
    max_age: int
    feed_exponent: int  # 18 less the feed's decimals
    status: int
    mm_ppm: int
    im_ppm: int
    liquidation_fee_ppm: int
    skew_scale: int
    max_velocity_ppm: int
    max_rate_ppm: int
    min_price: int
    max_price: int
    reward: int
    taker_fee_ppm: int
    spread_ppm: int
    max_skew: int
    max_open_interest: int
    otc_band_ppm: int
    paused_until: int  # [unix s]


# ------------------------------------------------------------------ fields


def take(word: int, at: int, bits: int) -> int:
    """The unsigned field of `bits` bits that starts at bit `at`."""
    return (word >> at) & ((1 << bits) - 1)


def take_signed(word: int, at: int, bits: int) -> int:
    """The two's complement field of `bits` bits that starts at bit `at`."""
    field = take(word, at, bits)
    return field - (1 << bits) if field >> (bits - 1) else field


def put(value: int, at: int, bits: int) -> int:
    """`value` as an unsigned field.

    Raises:
        OverflowError: if it does not fit.
    """
    if not 0 <= value < 1 << bits:
        raise OverflowError(f"{value} does not fit {bits} bits")
    return value << at


def put_signed(value: int, at: int, bits: int) -> int:
    """`value` as a two's complement field.

    Raises:
        OverflowError: if it does not fit.
    """
    if not -(1 << (bits - 1)) <= value < 1 << (bits - 1):
        raise OverflowError(f"{value} does not fit {bits} signed bits")
    return (value & ((1 << bits) - 1)) << at


# ------------------------------------------------------------------ accounts


def pack_header(header: Header) -> int:
    """Cash int120 | flags 8 | bitmap 128."""
    return (
        put_signed(header.cash, 136, 120) | put(header.flags, 128, 8) | put(header.bitmap, 0, 128)
    )


def unpack_header(word: int) -> Header:
    """The inverse of `pack_header`."""
    return Header(take_signed(word, 136, 120), take(word, 128, 8), take(word, 0, 128))


def pack_position(position: Position) -> int:
    """Basis int128 | size int128."""
    return put_signed(position.basis, 128, 128) | put_signed(position.size, 0, 128)


def unpack_position(word: int) -> Position:
    """The inverse of `pack_position`."""
    return Position(take_signed(word, 0, 128), take_signed(word, 128, 128))


# ------------------------------------------------------------------ market state


def pack_state_a(a: StateA) -> int:
    """Lots 64 | last price 96 | skew int96."""
    return put(a.lots, 192, 64) | put(a.last_price, 96, 96) | put_signed(a.skew, 0, 96)


def unpack_state_a(word: int) -> StateA:
    """The inverse of `pack_state_a`."""
    return StateA(take(word, 192, 64), take(word, 96, 96), take_signed(word, 0, 96))


@functools.lru_cache(maxsize=4096)
def pack_state_b(b: StateB) -> int:
    """Index int96 | rate int60 | touched at 32 | surge 20 | steady 48."""
    return (
        put_signed(b.funding_index, 160, 96)
        | put_signed(b.rate, 100, 60)
        | put(b.touched_at, 68, 32)
        | put(b.surge_ppm, 48, 20)
        | put(b.steady, 0, 48)
    )


@functools.lru_cache(maxsize=4096)
def unpack_state_b(word: int) -> StateB:
    """The inverse of `pack_state_b`."""
    return StateB(
        take_signed(word, 160, 96),
        take_signed(word, 100, 60),
        take(word, 68, 32),
        take(word, 48, 20),
        take(word, 0, 48),
    )


def open_interest(lots: int, skew: int) -> int:
    """The larger of the long and the short side of all traders [WAD base].

    The long side is known in whole lots of each account, the skew exactly.
    """
    long = lots * LOT
    return max(long, long - skew, skew)


# ------------------------------------------------------------------ book

NAV_UNIT = 2**24  # [WAD quote]
MAX_NAV = 2**79 - 1  # of those


def kept_nav(nav: int) -> int:
    """A NAV [WAD quote] as the book keeps it: whole units, rounded down, saturating."""
    return max(min(nav // NAV_UNIT, MAX_NAV), -MAX_NAV) * NAV_UNIT


def pack_book(book: Book) -> int:
    """NAV int80, saturating | exposure 112 | calm from 32 | NAV known at 32."""
    return (
        put_signed(kept_nav(book.nav) // NAV_UNIT, 176, 80)
        | put(book.exposure, 64, 112)
        | put(book.calm_from, 32, 32)
        | put(book.known_at, 0, 32)
    )


def unpack_book(word: int) -> Book:
    """The inverse of `pack_book`, but for what the NAV loses in it."""
    nav = take_signed(word, 176, 80) * NAV_UNIT
    return Book(nav, take(word, 64, 112), take(word, 0, 32), take(word, 32, 32))


# ------------------------------------------------------------------ terms


def bound_exponent(min_price: int, max_price: int) -> int:
    """The exponent of both price bounds: the greatest that leaves no remainder, 31 at most."""
    exponent = 0
    while exponent < 31 and not (
        min_price % 10 ** (exponent + 1) or max_price % 10 ** (exponent + 1)
    ):
        exponent += 1
    return exponent


def pack_terms(terms: Terms, feed_decimals: int, paused_until: int = 0) -> tuple[int, int, int]:
    """The three words that the clearinghouse keeps of a market's terms.

    Args:
        terms: readable numbers.
        feed_decimals: of the feed's answers, 0 to 18.
        paused_until: [unix s] nobody opens or enlarges.

    Returns:
        Terms 0, 1 and 2.

    Raises:
        OverflowError: if a number does not fit its field.
        ValueError: if the reward is not a multiple of 0.01.
    """
    if terms.reward % REWARD_UNIT:
        raise ValueError("the reward is not a multiple of 0.01")
    exponent = bound_exponent(terms.min_price, terms.max_price)
    t0 = (
        put(int(terms.feed, 16), 0, 160)
        | put(terms.max_age, 160, 20)
        | put(18 - feed_decimals, 180, 5)
        | put(REDUCE_ONLY if terms.reduce_only else OPEN, 185, 3)
        | put(terms.mm_ppm, 192, 20)
        | put(terms.im_ppm, 212, 20)
        | put(terms.liquidation_fee_ppm, 232, 20)
    )
    t1 = (
        put(terms.skew_scale, 0, 96)
        | put(terms.max_velocity_ppm, 96, 24)
        | put(terms.max_rate_ppm, 120, 20)
        | put(terms.min_price // 10**exponent, 140, 24)
        | put(terms.max_price // 10**exponent, 164, 24)
        | put(exponent, 188, 5)
        | put(terms.reward // REWARD_UNIT, 193, 22)
        | put(terms.taker_fee_ppm, 215, 20)
        | put(terms.spread_ppm, 235, 20)
    )
    t2 = (
        put(terms.max_skew, 0, 96)
        | put(terms.max_open_interest, 96, 96)
        | put(terms.otc_band_ppm, 192, 20)
        | put(paused_until, 212, 32)
    )
    return t0, t1, t2


def unpack_terms(t0: int, t1: int, t2: int) -> Unpacked:
    """What the clearinghouse reads out of a market's words."""
    unit = 10 ** take(t1, 188, 5)
    return Unpacked(
        feed=f"0x{take(t0, 0, 160):040x}",
        max_age=take(t0, 160, 20),
        feed_exponent=take(t0, 180, 5),
        status=take(t0, 185, 3),
        mm_ppm=take(t0, 192, 20),
        im_ppm=take(t0, 212, 20),
        liquidation_fee_ppm=take(t0, 232, 20),
        skew_scale=take(t1, 0, 96),
        max_velocity_ppm=take(t1, 96, 24),
        max_rate_ppm=take(t1, 120, 20),
        min_price=take(t1, 140, 24) * unit,
        max_price=take(t1, 164, 24) * unit,
        reward=take(t1, 193, 22) * REWARD_UNIT,
        taker_fee_ppm=take(t1, 215, 20),
        spread_ppm=take(t1, 235, 20),
        max_skew=take(t2, 0, 96),
        max_open_interest=take(t2, 96, 96),
        otc_band_ppm=take(t2, 192, 20),
        paused_until=take(t2, 212, 32),
    )


# ------------------------------------------------------------------ collateral


def pack_collateral(
    terms: CollateralTerms,
    feed_decimals: int,
    token_decimals: int,
    before: tuple[int, int] = (0, 0),
    settle_at: int = 0,
) -> tuple[int, int, int]:
    """The three words that the clearinghouse keeps of a token's terms.

    Args:
        terms: readable numbers.
        feed_decimals: of the feed's answers, 0 to 18.
        token_decimals: of the token, 0 to 18.
        before: maintenance and initial weight [ppm] that the weights come from.
        settle_at: [unix s] when they arrive.

    Raises:
        OverflowError: if a number does not fit its field.
    """
    exponent = bound_exponent(terms.min_price, terms.max_price)
    maintenance, initial = weights_of(terms)
    t0 = (
        put(int(terms.feed, 16), 0, 160)
        | put(terms.max_age, 160, 20)
        | put(18 - feed_decimals, 180, 5)
        | put(REDUCE_ONLY if terms.delisted else OPEN, 185, 3)
        | put(maintenance, 192, 20)
        | put(initial, 212, 20)
        | put(terms.discount_ppm, 232, 20)
    )
    t1 = (
        put(terms.scale, 0, 96)
        | put(settle_at, 96, 32)
        | put(18 - token_decimals, 128, 5)
        | put(terms.min_price // 10**exponent, 140, 24)
        | put(terms.max_price // 10**exponent, 164, 24)
        | put(exponent, 188, 5)
        | put(before[0], 193, 20)
        | put(before[1], 213, 20)
    )
    t2 = put(terms.cap, 0, 128) | put(terms.premium_ppm, 128, 20) | put(terms.duration, 148, 20)
    return t0, t1, t2


def weights_of(terms: CollateralTerms) -> tuple[int, int]:
    """Where a token's maintenance and initial weight are going [ppm]."""
    if terms.delisted:
        return 0, 0
    return terms.maintenance_weight_ppm, terms.initial_weight_ppm


def unpack_token(t0: int, t1: int, t2: int) -> TokenTerms:
    """What the contracts read out of a token's words."""
    unit = 10 ** take(t1, 188, 5)
    return TokenTerms(
        feed=f"0x{take(t0, 0, 160):040x}",
        max_age=take(t0, 160, 20),
        feed_exponent=take(t0, 180, 5),
        status=take(t0, 185, 3),
        maintenance_ppm=take(t0, 192, 20),
        initial_ppm=take(t0, 212, 20),
        discount_ppm=take(t0, 232, 24),
        scale=take(t1, 0, 96),
        settle_at=take(t1, 96, 32),
        unit=10 ** take(t1, 128, 5),
        min_price=take(t1, 140, 24) * unit,
        max_price=take(t1, 164, 24) * unit,
        maintenance_before_ppm=take(t1, 193, 20),
        initial_before_ppm=take(t1, 213, 20),
        cap=take(t2, 0, 128),
        premium_ppm=take(t2, 128, 20),
        duration=take(t2, 148, 20),
    )


def pack_token_state(state: TokenState) -> int:
    """Total 96 | steady 31 | dead 1 | seen at 32 | last price 96."""
    return (
        put(state.total, 160, 96)
        | put(state.steady, 129, 31)
        | put(int(state.dead), 128, 1)
        | put(state.seen_at, 96, 32)
        | put(state.last_price, 0, 96)
    )


def unpack_token_state(word: int) -> TokenState:
    """The inverse of `pack_token_state`."""
    return TokenState(
        take(word, 0, 96),
        take(word, 96, 32),
        bool(take(word, 128, 1)),
        take(word, 160, 96),
        take(word, 129, 31),
    )


def pack_backing(tokens: int, debt_index: int) -> int:
    """Debt index 88 | bitmap of tokens 16."""
    return put(debt_index, 16, 88) | put(tokens, 0, 16)


def unpack_backing(word: int) -> tuple[int, int]:
    """The inverse of `pack_backing`."""
    return take(word, 0, 16), take(word, 16, 88)


def pack_debts(debts: Debts) -> int:
    """Index 88 | accrued at 40 | sum 128."""
    return (
        put(debts.debt_index, 168, 88) | put(debts.accrued_at, 128, 40) | put(debts.total, 0, 128)
    )


def unpack_debts(word: int) -> Debts:
    """The inverse of `pack_debts`."""
    return Debts(take(word, 0, 128), take(word, 128, 40), take(word, 168, 88))


def pack_credit(terms: CreditTerms) -> tuple[int, int]:
    """The clearinghouse's words of credit and of seizing."""
    credit = (
        put(terms.debt_cap, 0, 96)
        | put(terms.debt_ratio_ppm, 96, 20)
        | put(terms.kink_ppm, 116, 20)
        | put(terms.low_slope_ppm, 136, 24)
        | put(terms.high_slope_ppm, 160, 24)
    )
    seizing = (
        put(terms.conversion_bound, 64, 32)
        | put(terms.liquidation_fee_ppm, 96, 20)
        | put(terms.call_line_ppm, 116, 24)
    )
    for i, token in enumerate(terms.order):
        seizing |= put(token, 4 * i, 4)
    return credit, seizing


def unpack_credit(credit: int, seizing: int) -> CreditTerms:
    """The inverse of `pack_credit`."""
    return CreditTerms(
        debt_cap=take(credit, 0, 96),
        debt_ratio_ppm=take(credit, 96, 20),
        kink_ppm=take(credit, 116, 20),
        low_slope_ppm=take(credit, 136, 24),
        high_slope_ppm=take(credit, 160, 24),
        call_line_ppm=take(seizing, 116, 24),
        conversion_bound=take(seizing, 64, 32),
        liquidation_fee_ppm=take(seizing, 96, 20),
        order=tuple(take(seizing, 4 * i, 4) for i in range(16)),
    )


def pack_period(period: int, amount: int) -> int:
    """Block or hour 128 | what was paid in it, or is held to its end 128."""
    return put(period, 128, 128) | put(amount, 0, 128)
