# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title reader
@license AGPL-3.0-only
@notice Reads accounts out of the Clearinghouse for those who only look, and foresees what a seizure would do.
@dev It does its sums with the Clearinghouse's own modules on the Clearinghouse's own words, so they are the same to the
     wei. All of an account's numbers are net of the interest that its next touch would post.
@custom:spec MGN-1 to MGN-6, COL-1, COL-2, LIQ-4
"""

from ..interfaces import IClearinghouse
from ..interfaces import ICollateralLens
from . import collateral
from . import fixed_point
from . import margin
from . import markets
from . import prices
from . import slots

PPM: constant(uint256) = 10**6
MAX_LEGS: constant(uint256) = 32
MAX_TOKENS: constant(uint256) = 16

CLEARINGHOUSE: immutable(IClearinghouse)
STABLE_SPEED_PPM: immutable(uint256)  # an hour


struct Sum:  # of the legs of one account
    pnl: int256  # [WAD quote] unrealised, net
    opening_pnl: int256  # [WAD quote] the same, for opening and withdrawing
    maintenance: uint256  # [WAD quote]
    initial: uint256  # [WAD quote]
    notional: uint256  # [WAD quote]
    legs: uint256
    dead: bool  # some leg has no valid price


struct Purse:  # the cash and the tokens of one account
    cash: int256  # [WAD quote] net of `interest`
    interest: uint256  # [WAD quote] not posted yet
    markets: uint256  # bitmap
    tokens: uint256  # bitmap in the lowest 16 bits
    maintenance: int256  # [WAD quote] what the tokens count
    initial: int256  # [WAD quote]
    credit: uint256  # [WAD quote] of live tokens, in a seizure
    dead: uint256  # [WAD quote] of dead tokens, at their last known prices


struct Seizure:
    credit: uint256  # [WAD quote]
    paid: uint256  # [WAD quote] of it, by the insurance fund
    tokens: uint256  # bitmap of what the account has left, likewise
    lots: DynArray[ICollateralLens.LotPreview, MAX_TOKENS]


struct Sale:  # a seizure of live tokens
    seizure: Seizure
    fee: uint256  # [WAD quote] on it
    share: uint256  # [WAD quote] of the fee, to the keeper
    proceeds: int256  # [WAD quote] to the account
    insurance: uint256  # [WAD quote] of the insurance fund, then


@deploy
def __init__(clearinghouse: address):
    CLEARINGHOUSE = IClearinghouse(clearinghouse)
    STABLE_SPEED_PPM = (staticcall IClearinghouse(clearinghouse).settings()).stable_speed_ppm


# ------------------------------------------------------------------ words

# Each of these calls is in one place: what decodes an answer is long.


@internal
@view
def settings() -> IClearinghouse.Settings:
    return staticcall CLEARINGHOUSE.settings()


@internal
@view
def globals() -> IClearinghouse.Globals:
    return staticcall CLEARINGHOUSE.globals()


@internal
@view
def is_calm() -> bool:
    return staticcall CLEARINGHOUSE.is_calm()


@internal
@view
def credit() -> uint256[5]:
    return staticcall CLEARINGHOUSE.credit()


@internal
@view
def words(market: uint256) -> IClearinghouse.Words:
    return staticcall CLEARINGHOUSE.market_words(market)


@internal
@view
def leg(account: address, market: uint256) -> IClearinghouse.Leg:
    return staticcall CLEARINGHOUSE.leg(account, market)


@internal
@view
def holding(account: address, id: uint256) -> IClearinghouse.Holding:
    return staticcall CLEARINGHOUSE.holding(account, id)


# ------------------------------------------------------------------ accounts


@internal
@view
def is_system(account: address, s: IClearinghouse.Settings) -> bool:
    return (
        account == s.pool
        or account == s.auction
        or account == CLEARINGHOUSE.address
        or account == empty(address)
    )


@internal
@view
def purse(account: address) -> Purse:
    p: Purse = empty(Purse)
    header: uint256 = staticcall CLEARINGHOUSE.header(account)
    p.tokens, p.interest = staticcall CLEARINGHOUSE.backing(account)
    p.cash = slots.cash_of(header) - convert(p.interest, int256)
    p.markets = header & slots.MASK_128
    for id: uint256 in range(MAX_TOKENS):
        if (p.tokens >> id) & 1 != 0:
            h: IClearinghouse.Holding = self.holding(account, id)
            p.maintenance += convert(h.maintenance, int256)
            p.initial += convert(h.initial, int256)
            if h.status == prices.LIVE:
                p.credit += h.credit
            else:
                p.dead += h.credit
    return p


@internal
@view
def legs(account: address, bitmap: uint256) -> DynArray[IClearinghouse.Leg, MAX_LEGS]:
    """
    @notice The legs of `account` in the markets of `bitmap`.
    """
    found: DynArray[IClearinghouse.Leg, MAX_LEGS] = []
    for id: uint256 in range(markets.MAX_MARKETS):
        rest: uint256 = bitmap >> id
        if rest == 0:
            break
        if rest & 1 != 0:
            found.append(self.leg(account, id))
    return found


@internal
@pure
def worth(leg: IClearinghouse.Leg, price: uint256, index: int256) -> (int256, uint256):
    """
    @notice A leg at a price and a funding index, by the Clearinghouse's own valuation.
    @return (unrealised PnL, maintenance) [WAD quote]
    """
    return margin.value(
        leg.size,
        leg.basis,
        price,
        index,
        (leg.t0 >> slots.MM) & slots.MASK_20,
        leg.t1 & slots.MASK_96,
        ((leg.t1 >> slots.REWARD) & slots.MASK_22) * slots.REWARD_UNIT,
    )


@internal
@view
def stable(leg: IClearinghouse.Leg) -> uint256:
    return markets.stable(leg, STABLE_SPEED_PPM)


@internal
@view
def opening_worth(leg: IClearinghouse.Leg, pnl: int256) -> (int256, uint256):
    """
    @notice A leg as opening and withdrawing see it: at the worse of the oracle's and the stable price.
    @param pnl [WAD quote] its own, at the oracle's
    @return (unrealised PnL, initial) [WAD quote]
    """
    return margin.opening_value(
        leg.size,
        pnl,
        leg.price,
        self.stable(leg),
        leg.skew,
        (leg.t0 >> slots.IM) & slots.MASK_20,
        leg.t1 & slots.MASK_96,
        ((leg.t1 >> slots.REWARD) & slots.MASK_22) * slots.REWARD_UNIT,
    )


@internal
@view
def plus(total: Sum, leg: IClearinghouse.Leg) -> Sum:
    """
    @notice `total` with one more leg in it.
    """
    if leg.size == 0:
        return total
    pnl: int256 = 0
    mm: uint256 = 0
    pnl, mm = self.worth(leg, leg.price, leg.index)
    opening_pnl: int256 = 0
    im: uint256 = 0
    opening_pnl, im = self.opening_worth(leg, pnl)
    return Sum(
        pnl=total.pnl + pnl,
        opening_pnl=total.opening_pnl + opening_pnl,
        maintenance=total.maintenance + mm,
        initial=total.initial + im,
        notional=total.notional + margin.notional(convert(abs(leg.size), uint256), leg.price),
        legs=total.legs + 1,
        dead=total.dead or leg.status != prices.LIVE,
    )


@internal
@view
def sum(found: DynArray[IClearinghouse.Leg, MAX_LEGS]) -> Sum:
    total: Sum = empty(Sum)
    for leg: IClearinghouse.Leg in found:
        total = self.plus(total, leg)
    return total


@internal
@view
def counted(account: address, tokens: uint256) -> int256:
    """
    @notice What the account's holdings of `tokens`, a bitmap, count for maintenance.
    """
    total: int256 = 0
    for id: uint256 in range(MAX_TOKENS):
        if (tokens >> id) & 1 != 0:
            h: IClearinghouse.Holding = self.holding(account, id)
            total += convert(h.maintenance, int256)
    return total


# ------------------------------------------------------------------ debt


@internal
@pure
def owed(cash: int256, pnl: int256) -> int256:
    """
    @notice What the caps on debt look at: a net unrealised loss counts. Below zero, what is missing to a debt.
    """
    return -cash - min(pnl, 0)


@internal
@pure
def debt_limit(p: Purse, initial: int256, credit: uint256[5]) -> int256:
    """
    @notice The most that the account of `p` may owe, with tokens that count `initial`: its share of them, and what
            everybody else's debts leave under the cap on all. Never below zero.
    """
    stored: int256 = min(p.cash + convert(p.interest, int256), 0)
    others: int256 = convert(credit[0] & slots.MASK_128, int256) + stored
    own: int256 = initial * convert((credit[1] >> slots.DEBT_RATIO) & slots.MASK_20, int256) // 10**6
    return min(own, max(convert(credit[1] & slots.MASK_96, int256) - others, 0))


# ------------------------------------------------------------------ seizures


@internal
@view
def insurance() -> uint256:
    return convert(slots.cash_of(staticcall CLEARINGHOUSE.header(CLEARINGHOUSE.address)), uint256)


@internal
@view
def sell(
    account: address, p: Purse, debt: int256, fund: uint256, charged: bool, s: IClearinghouse.Settings
) -> Sale:
    """
    @notice As the Clearinghouse's `_sell`: live tokens for a `debt`, below zero, and for the fee where it is `charged`.
    """
    credit: uint256[5] = self.credit()
    due: uint256 = convert(-debt, uint256)
    fee_ppm: uint256 = (credit[2] >> slots.SEIZURE_FEE) & slots.MASK_20 if charged else 0
    sale: Sale = empty(Sale)
    want: uint256 = fixed_point.ceil_div(due * PPM, PPM - fee_ppm)
    sale.seizure = self.seize(account, p.tokens, credit[2], want, fund, True, False)
    got: uint256 = sale.seizure.credit
    sale.fee = min(want - due, got - min(due, got))
    sale.share = sale.fee * s.keeper_share_ppm // PPM
    sale.proceeds = convert(got - sale.fee, int256)
    sale.insurance = fund + sale.fee - sale.share - sale.seizure.paid
    return sale


@internal
@view
def seize(
    account: address, tokens: uint256, order: uint256, due: uint256, fund: uint256, live: bool, is_heir: bool
) -> Seizure:
    """
    @notice As the Clearinghouse's `_seize`, on an account that has `tokens` left.
    """
    z: Seizure = empty(Seizure)
    z.tokens = tokens
    for i: uint256 in range(MAX_TOKENS):
        if live and z.credit >= due:
            break
        id: uint256 = (order >> (4 * i)) & 15
        if (z.tokens >> id) & 1 == 0:
            continue
        h: IClearinghouse.Holding = self.holding(account, id)
        if (h.status == prices.LIVE) != live or (live and h.credit == 0):
            continue
        part: uint256 = due - z.credit
        amount: uint256 = h.own
        if h.credit <= part:
            part = h.credit
        elif live:
            amount = collateral.fewest(h, part)
            part = collateral.credit_of(h, amount)
        if amount == h.own:
            z.tokens = z.tokens & ~(1 << id)
        paid: uint256 = min(part, fund - z.paid)
        z.lots.append(
            ICollateralLens.LotPreview(
                token=id, amount=amount, to_insurance=paid, to_pool=part - paid, surplus_to_account=is_heir
            )
        )
        z.credit += part
        z.paid += paid
    return z
