# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title slots
@license AGPL-3.0-only
@notice The layout of every hand-packed word, and nothing else.
@dev Bits are counted from the least significant. Signed fields are two's complement.

     header    an account: cash int120 [136..255] | flags [128..135] | markets bitmap [0..127]
     backing   an account's second word: debt index [16..103] | bitmap of its collateral tokens [0..15]
     position  basis int128 [128..255] | size int128 [0..127]
     state a   a market: long lots [192..255] | last price [96..191] | skew int96 [0..95]
     state b   a market: funding index int96 [160..255] | rate int60 [100..159] | touched at [68..99]
               | surge ppm [48..67] | stable price over the greatest, in 2**-48 [0..47]; 0: none yet
     terms 0   liquidation fee ppm [232..251] | im ppm [212..231] | mm ppm [192..211]
               | status [185..187] | feed exponent [180..184] | max age [160..179] | feed [0..159]
     terms 1   instant spread ppm [235..254] | taker fee ppm [215..234] | reward, 0.01 quote [193..214]
               | bound exponent [188..192] | max price [164..187] | min price [140..163]
               | max rate ppm/day [120..139] | max velocity ppm/day^2 [96..119] | skew scale [0..95]
     terms 2   paused until [212..243] | otc band ppm [192..211] | max open interest [96..191] | max skew [0..95]
     book      the pool's: last known NAV, 2**24 wei, int80 [176..255] | exposure [64..175] | NAV known at [0..31]
               and the venue's: calm from [32..63]

     token 0   of a collateral token: auction discount ppm [232..251] | initial weight ppm [212..231]
               | maintenance weight ppm [192..211] | status, feed exponent, max age, feed: as terms 0
     token 1   initial weight before ppm [213..232] | maintenance weight before ppm [193..212]
               | bound exponent, max price, min price: as terms 1 | unit exponent [128..132]
               | weights settle at [96..127] | concentration scale [0..95]
     token 2   auction duration [148..167] | auction premium ppm [128..147] | deposit cap, raw [0..127]
     holding   a token's state: total, raw [160..255] | stable price over the last one, in 2**-24 [129..159]; 0: none yet
               | dead [128] | seen at [96..127] | last price [0..95]
     custody   1 + share of a claim that is paid, WAD [128..255], 0 but in a settlement | quote held, raw [0..127]
     debts     index [168..255] | accrued at [128..167] | sum of debts [0..127]
     credit    terms: high slope ppm [160..183] | low slope ppm [136..159] | kink ppm [116..135]
               | debt ratio ppm [96..115] | debt cap [0..95]
     seizing   terms: margin call line ppm [116..139] | liquidation fee ppm [96..115]
               | bound of a conversion, quote [64..95] | order of the tokens, 16 ids of 4 bits [0..63]

     A lot is 2**32 wei of base. A price bound is `mantissa * 10**exponent`. The feed exponent is 18 less
     the feed's decimals, the unit exponent 18 less the token's. Status: 0 unlisted, 1 open, 2 reduce only, 3 settled.
     A token's weights go in a straight line from those before to the others, which they reach when they settle.
"""

MASK_20: constant(uint256) = 2**20 - 1
MASK_22: constant(uint256) = 2**22 - 1
MASK_24: constant(uint256) = 2**24 - 1
MASK_31: constant(uint256) = 2**31 - 1
MASK_32: constant(uint256) = 2**32 - 1
MASK_48: constant(uint256) = 2**48 - 1
MASK_40: constant(uint256) = 2**40 - 1
MASK_64: constant(uint256) = 2**64 - 1
MASK_60: constant(uint256) = 2**60 - 1
MASK_88: constant(uint256) = 2**88 - 1
MASK_96: constant(uint256) = 2**96 - 1
MASK_112: constant(uint256) = 2**112 - 1
MASK_128: constant(uint256) = 2**128 - 1
MASK_136: constant(uint256) = 2**136 - 1
MASK_160: constant(uint256) = 2**160 - 1

LOT_BITS: constant(uint256) = 32
MAX_INT80: constant(int256) = 2**79 - 1
MAX_SURGE: constant(uint256) = MASK_20

# state a
LAST_PRICE: constant(uint256) = 96
LOTS: constant(uint256) = 192
# state b
SURGE: constant(uint256) = 48
TOUCHED_AT: constant(uint256) = 68
RATE: constant(uint256) = 100
INDEX: constant(uint256) = 160
# terms 0
MAX_AGE: constant(uint256) = 160
EXPONENT: constant(uint256) = 180
STATUS: constant(uint256) = 185
MM: constant(uint256) = 192
IM: constant(uint256) = 212
LIQUIDATION_FEE: constant(uint256) = 232
# terms 1
VELOCITY: constant(uint256) = 96
MAX_RATE: constant(uint256) = 120
MIN_PRICE: constant(uint256) = 140
MAX_PRICE: constant(uint256) = 164
BOUND_EXPONENT: constant(uint256) = 188
REWARD: constant(uint256) = 193
TAKER_FEE: constant(uint256) = 215
SPREAD: constant(uint256) = 235
# terms 2
MAX_OPEN_INTEREST: constant(uint256) = 96
OTC_BAND: constant(uint256) = 192
PAUSED_UNTIL: constant(uint256) = 212

# header
HAS_TOKENS: constant(uint256) = 128  # the bit
# backing
DEBT_INDEX: constant(uint256) = 16
MASK_16: constant(uint256) = 2**16 - 1
# token 0
DISCOUNT: constant(uint256) = 232
# token 1
SETTLE_AT: constant(uint256) = 96
UNIT_EXPONENT: constant(uint256) = 128
MM_BEFORE: constant(uint256) = 193
IM_BEFORE: constant(uint256) = 213
# token 2
PREMIUM: constant(uint256) = 128
DURATION: constant(uint256) = 148
# holding
SEEN_AT: constant(uint256) = 96
IS_DEAD: constant(uint256) = 128  # the bit
STEADY: constant(uint256) = 129
TOTAL: constant(uint256) = 160
# book
CALM_FROM: constant(uint256) = 32
EXPOSURE: constant(uint256) = 64
NAV: constant(uint256) = 176
NAV_SHIFT: constant(uint256) = 24
# custody
SHARE: constant(uint256) = 128
# debts
ACCRUED_AT: constant(uint256) = 128
INDEX_OF_DEBT: constant(uint256) = 168
# credit
DEBT_RATIO: constant(uint256) = 96
KINK: constant(uint256) = 116
LOW_SLOPE: constant(uint256) = 136
HIGH_SLOPE: constant(uint256) = 160
# seizing
CONVERT_BOUND: constant(uint256) = 64
SEIZURE_FEE: constant(uint256) = 96
CALL_LINE: constant(uint256) = 116

RAMP: constant(uint256) = 3 * 86_400  # [s] in which a token's weights settle
REWARD_UNIT: constant(uint256) = 10**16  # [WAD quote]

STATUS_OPEN: constant(uint256) = 1
STATUS_REDUCE_ONLY: constant(uint256) = 2
STATUS_SETTLED: constant(uint256) = 3


# ------------------------------------------------------------------ header


@internal
@pure
def cash_of(header: uint256) -> int256:
    return convert(convert(header, bytes32), int256) >> 136


@internal
@pure
def with_cash(header: uint256, cash: int256) -> uint256:
    """
    @dev The int120 conversion refuses what would not fit; the bounds on entry keep every
         account's cash far inside it (SPEC.md, "Why nothing overflows").
    """
    narrow: int256 = convert(convert(cash, int120), int256)
    return (header & MASK_136) | (convert(convert(narrow, bytes32), uint256) << 136)


# ------------------------------------------------------------------ position


@internal
@pure
def pack_position(size: int256, basis: int256) -> uint256:
    high: int256 = convert(convert(basis, int128), int256)
    low: int256 = convert(convert(size, int128), int256)
    return (convert(convert(high, bytes32), uint256) << 128) | (convert(convert(low, bytes32), uint256) & MASK_128)


@internal
@pure
def unpack_position(word: uint256) -> (int256, int256):
    """
    @return (size [WAD base], basis [WAD quote])
    """
    signed: int256 = convert(convert(word, bytes32), int256)
    return (convert(convert(word << 128, bytes32), int256) >> 128, signed >> 128)


# ------------------------------------------------------------------ market state


@internal
@pure
def pack_state_a(lots: uint256, last_price: uint256, skew: int256) -> uint256:
    """
    @dev Exact while lots < 2**64, price < 2**96 and |skew| < 2**95, which the caps ensure.
    """
    return (lots << LOTS) | (last_price << LAST_PRICE) | (convert(convert(skew, bytes32), uint256) & MASK_96)


@internal
@pure
def pack_state_b(index: int256, rate: int256, touched_at: uint256, surge_ppm: uint256, steady: uint256) -> uint256:
    """
    @dev Exact while |index| < 2**95, |rate| < 2**59 and the time is below 2**32. `steady` is the low 48 bits.
    """
    return (
        (convert(convert(index, bytes32), uint256) << INDEX)
        | ((convert(convert(rate, bytes32), uint256) & MASK_60) << RATE)
        | (touched_at << TOUCHED_AT)
        | (surge_ppm << SURGE)
        | steady
    )


@internal
@pure
def open_interest(lots: uint256, skew: int256) -> uint256:
    """
    @notice The larger of the long and the short side of all accounts but the pool.
    @dev Long lots are floored account by account, so they may fall short of the truth by less than a lot
         an account; the skew is exact, and a side is never smaller than it: one-sided markets are exact.
    """
    long: int256 = convert(convert(lots << LOT_BITS, bytes32), int256)
    return convert(convert(max(max(long, skew), unsafe_sub(long, skew)), bytes32), uint256)


# ------------------------------------------------------------------ collateral


@internal
@view
def weight_now(t0: uint256, t1: uint256, at: uint256, before_at: uint256) -> uint256:
    """
    @notice A token's weight, on its straight line from the one before [ppm].
    """
    weight: uint256 = (t0 >> at) & MASK_20
    before: uint256 = max((t1 >> before_at) & MASK_20, weight)
    left: uint256 = unsafe_sub(max((t1 >> SETTLE_AT) & MASK_32, block.timestamp), block.timestamp)
    return unsafe_add(weight, unsafe_div(unsafe_mul(unsafe_sub(before, weight), left), RAMP))


# ------------------------------------------------------------------ book


@internal
@pure
def pack_book(nav: int256, exposure: uint256, times: uint256) -> uint256:
    """
    @dev The NAV saturates, and loses what is below 2**24 wei: it only gates new exposure, and 10**13 quote gates
         nothing. `times` is the low 64 bits: NAV known at, calm from.
    """
    most: int256 = MAX_INT80
    narrow: int256 = max(min(nav >> NAV_SHIFT, most), unsafe_sub(0, most))
    return (convert(convert(narrow, bytes32), uint256) << NAV) | (exposure << EXPOSURE) | times


@internal
@pure
def unpack_book(word: uint256) -> (int256, uint256, uint256):
    """
    @return (NAV [WAD quote], exposure [WAD quote], NAV known at [unix s])
    """
    return (
        (convert(convert(word, bytes32), int256) >> NAV) << NAV_SHIFT,
        (word >> EXPOSURE) & MASK_112,
        word & MASK_32,
    )
