# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title collateral
@license AGPL-3.0-only
@notice Owns the collateral tokens: their terms, who holds how much, and what that is worth.
@dev Held in raw units. Invariant: the sum of all balances of a token, the auction's included, is its total, and
     no more than balanceOf. A weight falls with depth as a requirement rises with it: maintenance looks at the
     account's own amount alone, so that nobody can lower another's health by a deposit; initial at everybody's.
     A dead token counts nothing for opening and withdrawing; its maintenance value fades over a day from when its
     death was seen, which anybody may report.
@custom:spec LED-4, COL-1, COL-4, LIQ-4
"""

from ethereum.ercs import IERC20

from ..interfaces import IClearinghouse
from . import fixed_point
from . import ledger
from . import prices
from . import reasons
from . import slots

uses: ledger

WAD: constant(uint256) = 10**18
PPM: constant(uint256) = 10**6
DAY: constant(uint256) = 86_400
MAX_TOKENS: constant(uint256) = 16

STABLE_SPEED_PPM: immutable(uint256)  # an hour


struct Token:  # packed: see slots
    t0: uint256
    t1: uint256
    holding: uint256


struct Backing:  # the holdings of one account [WAD quote]
    maintenance: uint256
    initial: uint256
    credit: uint256  # of live tokens
    dead: uint256  # what dead tokens would be credited with at their last known prices


_tokens: Token[MAX_TOKENS]
_limits: uint256[MAX_TOKENS]  # token 2, packed: see slots
_ids: HashMap[address, uint256]  # of a token, plus one
_held: HashMap[uint256, uint256]  # [raw] by account << 96 | token id


@deploy
def __init__(stable_speed_ppm: uint256):
    STABLE_SPEED_PPM = stable_speed_ppm


@internal
@view
def id_of(token: address) -> uint256:
    id: uint256 = self._ids[token]
    if id == 0:
        fixed_point.fail(reasons.LEDGER_UNKNOWN_TOKEN)
    return unsafe_sub(id, 1)


@internal
@view
def load(account: address, id: uint256) -> IClearinghouse.Holding:
    """
    @notice What `account` holds of a token, valued now: for opening and withdrawing at the lower of the oracle's and
            the stable price.
    """
    token: Token = self._tokens[id]
    h: IClearinghouse.Holding = empty(IClearinghouse.Holding)
    h.id = id
    h.own = self._held[ledger.key(account, id)]
    h.unit = pow_mod256(10, (token.t1 >> slots.UNIT_EXPONENT) & 31)
    seen_at: uint256 = (token.holding >> slots.SEEN_AT) & slots.MASK_32
    most: uint256 = 0
    h.price, h.status, most = prices.read(token.t0, token.t1, 0, seen_at)
    if h.price == 0:  # nothing that is newer than what is stored
        h.price = token.holding & slots.MASK_96
        h.fading = (token.holding >> slots.IS_DEAD) & 1 != 0

    amount: uint256 = unsafe_mul(h.own, h.unit)
    worth: uint256 = unsafe_div(unsafe_mul(amount, h.price), WAD)
    scale: uint256 = token.t1 & slots.MASK_96
    weight: uint256 = slots.weight_now(token.t0, token.t1, slots.MM, slots.MM_BEFORE)
    h.maintenance = self._weighed(worth, weight, scale, amount)
    h.kept_ppm = unsafe_sub(PPM, token.t0 >> slots.DISCOUNT)
    h.credit = self.credit_of(h, h.own)
    h.stable = h.price
    steady: uint256 = (token.holding >> slots.STEADY) & slots.MASK_31
    if steady != 0:
        last: uint256 = token.holding & slots.MASK_96
        elapsed: uint256 = unsafe_sub(block.timestamp, seen_at) if h.status == prices.LIVE else 0
        h.stable = prices.follow(unsafe_mul(last, steady) >> 24, last >> 24, h.price, elapsed, STABLE_SPEED_PPM)
    if h.status == prices.LIVE:
        weight = slots.weight_now(token.t0, token.t1, slots.IM, slots.IM_BEFORE)
        worth = unsafe_div(unsafe_mul(amount, min(h.price, h.stable)), WAD)
        h.initial = self._weighed(worth, weight, scale, unsafe_mul(token.holding >> slots.TOTAL, h.unit))
    elif h.fading:
        fade: uint256 = min(unsafe_sub(block.timestamp, seen_at), DAY)
        h.maintenance = unsafe_div(unsafe_mul(h.maintenance, unsafe_sub(DAY, fade)), DAY)
    return h


@internal
@pure
def _weighed(worth: uint256, weight: uint256, scale: uint256, depth: uint256) -> uint256:
    """
    @notice worth * weight * S / (S + depth), rounded down.
    """
    return unsafe_div(unsafe_mul(unsafe_mul(worth, weight), scale), unsafe_mul(PPM, unsafe_add(scale, depth)))


@internal
@view
def value(account: address, header: uint256) -> Backing:
    """
    @notice All holdings of an account; nothing is read for an account without any.
    """
    sum: Backing = empty(Backing)
    if (header >> slots.HAS_TOKENS) & 1 != 0:
        bitmap: uint256 = ledger._backings[account] & slots.MASK_16
        for id: uint256 in range(MAX_TOKENS):
            if (bitmap >> id) & 1 != 0:
                h: IClearinghouse.Holding = self.load(account, id)
                sum.maintenance = unsafe_add(sum.maintenance, h.maintenance)
                sum.initial = unsafe_add(sum.initial, h.initial)
                if h.status == prices.LIVE:
                    sum.credit = unsafe_add(sum.credit, h.credit)
                else:
                    sum.dead = unsafe_add(sum.dead, h.credit)
    return sum


@internal
@pure
def credit_of(h: IClearinghouse.Holding, amount: uint256) -> uint256:
    """
    @notice What a seizure of `amount` [raw] is credited with: its worth less the discount, rounded down.
    """
    worth: uint256 = unsafe_div(unsafe_mul(unsafe_mul(amount, h.unit), h.price), WAD)
    return unsafe_div(unsafe_mul(worth, h.kept_ppm), PPM)


@internal
@pure
def fewest(h: IClearinghouse.Holding, credit: uint256) -> uint256:
    """
    @notice The fewest raw units that a seizure credits with at least `credit`, which all of them exceed.
    """
    worth: uint256 = fixed_point.ceil_div(unsafe_mul(credit, PPM), h.kept_ppm)
    return fixed_point.ceil_div(unsafe_mul(worth, WAD), unsafe_mul(h.unit, h.price))


@internal
def set_balance(account: address, id: uint256, balance: uint256) -> uint256:
    """
    @notice Write what `account` holds of a token, and the bits that say so.
    @return [packed] the account's header
    """
    self._held[ledger.key(account, id)] = balance
    word: uint256 = ledger._backings[account]
    bit: uint256 = 1 << id
    word = word | bit if balance != 0 else word & ~bit
    ledger._backings[account] = word
    header: uint256 = ledger._headers[account] & ~(1 << slots.HAS_TOKENS)
    header = header | (convert(word & slots.MASK_16 != 0, uint256) << slots.HAS_TOKENS)
    ledger._headers[account] = header
    log IClearinghouse.TokenMoved(account=account, id=id, balance=balance)
    return header


@internal
def receive(account: address, id: uint256, token: address, amount: uint256) -> uint256:
    """
    @notice Take `amount` [raw] from the caller for `account`, at a live price and below the cap.
    @return [raw] what arrived
    """
    h: IClearinghouse.Holding = self.load(account, id)
    prices.must_be_live(h.status)
    if (self._tokens[id].t0 >> slots.STATUS) & 7 != slots.STATUS_OPEN:
        fixed_point.fail(reasons.COLLATERAL_BEING_DELISTED)
    arrived: uint256 = ledger.pull(IERC20(token), amount)
    total: uint256 = (self._tokens[id].holding >> slots.TOTAL) + arrived
    if total > self._limits[id] & slots.MASK_128:
        fixed_point.fail(reasons.CAPS_COLLATERAL)
    self.set_balance(account, id, unsafe_add(h.own, arrived))
    self.keep(h, total)
    return arrived


@internal
def give(account: address, id: uint256, amount: uint256) -> uint256:
    """
    @notice Take `amount` [raw] from what `account` holds, and from the total.
    @return [packed] the account's header
    """
    own: uint256 = self._held[ledger.key(account, id)]
    if amount > own:
        fixed_point.fail(reasons.MARGIN_NOT_ENOUGH_TOKENS)
    self._tokens[id].holding = unsafe_sub(self._tokens[id].holding, amount << slots.TOTAL)
    return self.set_balance(account, id, unsafe_sub(own, amount))


@internal
def move(account: address, auction: address, id: uint256, own: uint256, amount: uint256):
    """
    @notice Move `amount` [raw] of its `own` to the auction's account. The price is kept: what the lot may bring is reckoned
            at it, should the feed die.
    """
    self.poke(id)
    lots: uint256 = self._held[ledger.key(auction, id)]
    self.set_balance(auction, id, unsafe_add(lots, amount))
    self.set_balance(account, id, unsafe_sub(own, amount))


@internal
def poke(id: uint256) -> uint256:
    """
    @notice Keep a token's price, or when its death was seen.
    @return [WAD quote/base] the price, or the last good one
    """
    h: IClearinghouse.Holding = self.load(empty(address), id)
    if not h.fading:
        self.keep(h, self._tokens[id].holding >> slots.TOTAL)
    return h.price


@internal
def set_terms(id: uint256, token: address, words: uint256[3]):
    """
    @notice Take a token's terms; its feed answers now.
    """
    self._ids[token] = id + 1
    self._tokens[id].t0 = words[0]
    self._tokens[id].t1 = words[1]
    self._limits[id] = words[2]
    self.poke(id)


@internal
def keep(h: IClearinghouse.Holding, total: uint256):
    """
    @notice Write a token's state as of now. A price that is not valid moves the stable one no further.
    """
    steady: uint256 = min(unsafe_div(h.stable << 24, h.price), slots.MASK_31)
    self._tokens[h.id].holding = (
        h.price
        | (block.timestamp << slots.SEEN_AT)
        | (convert(h.status != prices.LIVE, uint256) << slots.IS_DEAD)
        | (steady << slots.STEADY)
        | (total << slots.TOTAL)
    )
