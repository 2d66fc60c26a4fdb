# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
# pragma optimize codesize
"""
@title CollateralLens
@license AGPL-3.0-only
@notice What wallets, bots and pages read of collateral and debt: tokens, holdings, what a conversion or a liquidation
        would do.
@dev The second half of the Lens, which has no room for it. Nothing on-chain depends on it; it keeps nothing but an
     immutable, and a new one can replace it at any time.
     Every price is read from its feed, with the Clearinghouse's care: a call that runs low on gas reverts with
     "prices: too little gas" instead of taking a live feed for a dead one.
@custom:security Views only: it holds nothing, calls nothing but views, and no contract should act on it.
"""

from modules import collateral
from modules import curve
from modules import debt
from modules import fixed_point
from modules import liquidation
from modules import margin
from modules import prices
from modules import reader
from modules import reasons
from modules import slots
from interfaces import IClearinghouse
from interfaces import ICollateralAuction
from interfaces import ICollateralLens
from interfaces import IConfigurator

implements: ICollateralLens

initializes: reader


interface IListing:
    def collateral_count() -> uint256: view
    def collateral_token(id: uint256) -> address: view
    def collateral_terms(id: uint256) -> IConfigurator.CollateralTerms: view
    def credit_terms() -> IConfigurator.CreditTerms: view


# ------------------------------------------------------------------ CONSTANTS

PPM: constant(uint256) = 10**6
WAD: constant(uint256) = 10**18
MAX_TOKENS: constant(uint256) = 16
MAX_LEGS: constant(uint256) = 32
MAX_ACCOUNTS: constant(uint256) = 1024
BALANCE_BITS: constant(uint256) = 96  # of the greatest balance that a cap allows

# ------------------------------------------------------------------ IMMUTABLES

# The reader's alone: the Clearinghouse.

# ------------------------------------------------------------------ STORAGE

# None.


struct State:  # an account as of now
    purse: reader.Purse
    total: reader.Sum
    calm: bool  # the venue
    credit: uint256[5]  # all debts and their terms
    room: int256  # [WAD quote] what the account may still lose or spend before the caps on debt stop it
    is_system: bool


# ------------------------------------------------------------------ CONSTRUCTOR


@deploy
def __init__(clearinghouse_: address):
    """
    @param clearinghouse_ [address] to look at
    """
    reader.__init__(clearinghouse_)


# ------------------------------------------------------------------ VIEWS: accounts


@external
@view
def account(account: address) -> ICollateralLens.BackingView:
    """
    @notice The cash, the debt and the tokens of an account, as of this block.
    @param account [address] of any account; an unused one reads as empty
    @return [struct] of which each field has its unit in ICollateralLens
    @custom:access anyone
    @custom:spec COL-1, COL-2, MGN-5, LIQ-8
    """
    settings: IClearinghouse.Settings = reader.settings()
    s: State = self._state(account, settings)
    v: ICollateralLens.BackingView = empty(ICollateralLens.BackingView)
    v.cash = s.purse.cash
    v.interest = s.purse.interest
    if not s.is_system:
        limit: int256 = reader.debt_limit(s.purse, s.purse.initial, s.credit)
        v.debt = self._positive(-s.purse.cash)
        v.debt_limit = self._positive(limit)
        v.debt_room = self._positive(min(s.room, limit))
    v.maintenance = self._positive(s.purse.maintenance)
    v.initial = self._positive(s.purse.initial)
    v.credit = s.purse.credit
    for id: uint256 in range(MAX_TOKENS):
        if (s.purse.tokens >> id) & 1 != 0:
            h: IClearinghouse.Holding = reader.holding(account, id)
            v.holdings.append(
                ICollateralLens.HoldingView(
                    id=id,
                    token=staticcall IListing(settings.configurator).collateral_token(id),
                    balance=h.own,
                    price=h.price,
                    price_status=h.status,
                    stable_price=h.stable,
                    worth=h.own * h.unit * h.price // WAD,
                    maintenance=h.maintenance,
                    initial=h.initial,
                    credit=h.credit if h.status == prices.LIVE else 0,
                    withdrawable=self._withdrawable(s, h),
                )
            )
    return v


@external
@view
def convertible(
    accounts: DynArray[address, MAX_ACCOUNTS], start: uint256, count: uint256
) -> DynArray[address, MAX_ACCOUNTS]:
    """
    @notice Those of `accounts[start : start + count]` that `convert_collateral` would accept now, in the same order:
            none while the venue is not calm.
    @dev As `Lens.liquidatable`: choose `count` by the node's limit.
    @param accounts [address] list, at most 1,024
    @param start [index] of the first to look at
    @param count [number] to look at, at most
    @return [address] list
    @custom:access anyone
    @custom:spec COL-3, LIQ-8
    """
    settings: IClearinghouse.Settings = reader.settings()
    found: DynArray[address, MAX_ACCOUNTS] = []
    if start >= len(accounts):
        return found
    for i: uint256 in range(min(count, len(accounts) - start), bound=MAX_ACCOUNTS):
        account: address = accounts[start + i]
        s: State = self._state(account, settings)
        if self._called(s):
            found.append(account)
    return found


# ------------------------------------------------------------------ VIEWS: previews


@external
@view
def preview_liquidation(account: address) -> ICollateralLens.LiquidationPreview:
    """
    @notice What `Clearinghouse.liquidate` would do to the account in this block.
    @dev Who calls it does not matter to these numbers. `remaining` is what is the account's before the keeper's
         reward, should the keeper be its owner acting for this very account. Tokens that are seized become lots of
         the auction, each for what the insurance fund and the pool stand in for.
    @param account [address] of any account
    @return [struct] of which each field has its unit in ICollateralLens
    @custom:access anyone
    @custom:spec LIQ-1 to LIQ-5, LIQ-8
    """
    p: ICollateralLens.LiquidationPreview = empty(ICollateralLens.LiquidationPreview)
    s: IClearinghouse.Settings = reader.settings()
    q: reader.Purse = reader.purse(account)
    cash: int256 = q.cash
    legs: DynArray[IClearinghouse.Leg, MAX_LEGS] = reader.legs(account, q.markets)
    total: reader.Sum = reader.sum(legs)
    p.equity = cash + total.pnl + q.maintenance
    p.maintenance = total.maintenance
    if reader.is_system(account, s) or p.equity >= convert(p.maintenance, int256) or not reader.is_calm():
        return p
    p.liquidatable = True

    # Close.
    bill: liquidation.Bill = empty(liquidation.Bill)
    dead_pnl: int256 = 0
    for leg: IClearinghouse.Leg in legs:
        if leg.status != prices.LIVE:
            paper: reader.Sum = reader.plus(empty(reader.Sum), leg)
            dead_pnl += paper.pnl
            p.left_open += 1
            continue
        p.closed += 1
        price: uint256 = curve.fill_price(leg.price, leg.skew, -leg.size, leg.t1 & slots.MASK_96, 0)
        size: int256 = 0
        basis: int256 = 0
        realised: int256 = 0
        cost: int256 = 0
        size, basis, realised, cost = curve.fill(leg.size, leg.basis, -leg.size, price, leg.index)
        cash += realised
        amount: uint256 = margin.notional(convert(abs(leg.size), uint256), leg.price)
        flat: uint256 = ((leg.t1 >> slots.REWARD) & slots.MASK_22) * slots.REWARD_UNIT
        closing_ppm: uint256 = ((leg.t1 >> slots.TAKER_FEE) & slots.MASK_20) + (leg.t1 >> slots.SPREAD)
        bill.notional += amount
        bill.fee_ppm += amount * ((leg.t0 >> slots.LIQUIDATION_FEE) & slots.MASK_20)
        bill.closing_ppm += amount * closing_ppm
        bill.flat += flat
        bill.one_flat = max(bill.one_flat, flat)

    # Charge, seize for what is missing, then the waterfall.
    left: int256 = cash + min(dead_pnl, 0) + convert(q.credit, int256)
    split: liquidation.Split = liquidation.split(bill, left, s.keeper_share_ppm)
    cash -= convert(split.charged, int256)
    fund: uint256 = reader.insurance() + split.charged - split.reward
    p.notional = bill.notional
    p.charged = split.charged
    p.reward = split.reward
    if cash < 0 and q.credit != 0:
        charged: bool = bill.notional < convert(-cash, uint256)
        sale: reader.Sale = reader.sell(account, q, cash, fund, charged, s)
        cash += sale.proceeds
        fund = sale.insurance
        q.tokens = sale.seizure.tokens
        p.seized = sale.seizure.credit
        p.seized_from_insurance = sale.seizure.paid
        p.lots = sale.seizure.lots
        p.charged += sale.fee
        p.reward += sale.share
        if charged:
            p.notional += p.seized
    # With what tokens that nobody would seize count: dead ones, and crumbs.
    equity: int256 = cash + reader.counted(account, q.tokens)
    if equity < 0 and p.left_open == 0:
        due: uint256 = convert(-cash, uint256)
        p.debt_to_insurance = min(due, fund)
        p.debt_to_pool = due - p.debt_to_insurance
        fund -= p.debt_to_insurance
        cash = 0
        credit: uint256[5] = reader.credit()
        order: uint256 = credit[2]
        rest: reader.Seizure = reader.seize(account, q.tokens, order, due, p.debt_to_insurance, False, q.dead >= due)
        for lot: ICollateralLens.LotPreview in rest.lots:
            p.lots.append(lot)
    if split.shortfall != 0:
        topped_up: uint256 = reader.globals().topped_up
        spent: uint256 = topped_up & slots.MASK_128 if topped_up >> 128 == block.number else 0
        p.top_up = min(min(split.shortfall, fund), s.top_up_per_block - spent)
        p.reward += p.top_up
    p.remaining = cash
    return p


@external
@view
def preview_conversion(account: address) -> ICollateralLens.ConversionPreview:
    """
    @notice What `Clearinghouse.convert_collateral` would do to the account in this block.
    @dev Who calls it does not matter to these numbers. `remaining` is what is the account's before the keeper's
         reward, should the keeper be its owner acting for this very account.
    @param account [address] of any account
    @return [struct] of which each field has its unit in ICollateralLens
    @custom:access anyone
    @custom:spec COL-3, LIQ-4, LIQ-8
    """
    settings: IClearinghouse.Settings = reader.settings()
    s: State = self._state(account, settings)
    c: ICollateralLens.ConversionPreview = empty(ICollateralLens.ConversionPreview)
    c.equity = self._equity(s)
    c.maintenance = s.total.maintenance
    if not s.is_system:
        c.debt = self._positive(-s.purse.cash)
        limit: int256 = reader.debt_limit(s.purse, s.purse.initial, s.credit)
        c.debt_room = self._positive(min(s.room, limit))
    if not self._called(s):
        return c
    c.called = True
    c.covered = self._bounded(s)
    fund: uint256 = reader.insurance()
    sale: reader.Sale = reader.sell(account, s.purse, -convert(c.covered, int256), fund, True, settings)
    c.seized = sale.seizure.credit
    c.seized_from_insurance = sale.seizure.paid
    c.charged = sale.fee
    c.reward = sale.share
    c.remaining = s.purse.cash + sale.proceeds
    c.lots = sale.seizure.lots
    return c


# ------------------------------------------------------------------ VIEWS: tokens and debts


@external
@view
def token(id: uint256) -> ICollateralLens.TokenView:
    """
    @notice A collateral token, as of this block.
    @param id [id]
    @return [struct] of which each field has its unit in ICollateralLens
    @custom:access anyone
    @custom:reverts "ledger: unknown token"
    """
    settings: IClearinghouse.Settings = reader.settings()
    count: uint256 = staticcall IListing(settings.configurator).collateral_count()
    if id >= count:
        fixed_point.fail(reasons.LEDGER_UNKNOWN_TOKEN)
    return self._token(id, settings)


@external
@view
def tokens() -> DynArray[ICollateralLens.TokenView, MAX_TOKENS]:
    """
    @notice All collateral tokens, by rising id.
    @return [struct] list; each field has its unit in ICollateralLens
    @custom:access anyone
    """
    settings: IClearinghouse.Settings = reader.settings()
    count: uint256 = staticcall IListing(settings.configurator).collateral_count()
    found: DynArray[ICollateralLens.TokenView, MAX_TOKENS] = []
    for id: uint256 in range(count, bound=MAX_TOKENS):
        found.append(self._token(id, settings))
    return found


@external
@view
def credit() -> ICollateralLens.CreditView:
    """
    @notice All debts, what they cost and what may still be owed.
    @return [struct] of which each field has its unit in ICollateralLens
    @custom:access anyone
    @custom:spec COL-2
    """
    settings: IClearinghouse.Settings = reader.settings()
    words: uint256[5] = reader.credit()
    v: ICollateralLens.CreditView = empty(ICollateralLens.CreditView)
    v.terms = staticcall IListing(settings.configurator).credit_terms()
    v.debts = words[0] & slots.MASK_128
    v.interest = debt.unposted(words[4], words[3], v.debts)
    v.room = v.terms.debt_cap - min(v.debts, v.terms.debt_cap)
    v.rate = debt.rate_ppm(words[1], v.debts) // PPM
    v.index = words[3]
    v.owed_by_lots = staticcall ICollateralAuction(settings.auction).owed_to_pool()
    return v


# ------------------------------------------------------------------ VIEWS: deployment


@external
@view
def clearinghouse() -> address:
    """
    @notice The Clearinghouse that this lens looks at.
    @return [address]
    @custom:access anyone
    """
    return reader.CLEARINGHOUSE.address


# ------------------------------------------------------------------ INTERNAL


@internal
@view
def _state(account: address, settings: IClearinghouse.Settings) -> State:
    s: State = empty(State)
    s.purse = reader.purse(account)
    found: DynArray[IClearinghouse.Leg, MAX_LEGS] = reader.legs(account, s.purse.markets)
    s.total = reader.sum(found)
    s.calm = reader.is_calm()
    s.credit = reader.credit()
    s.room = reader.debt_limit(s.purse, s.purse.initial, s.credit) - reader.owed(s.purse.cash, s.total.opening_pnl)
    s.is_system = reader.is_system(account, settings)
    return s


@internal
@pure
def _equity(s: State) -> int256:
    return s.purse.cash + s.total.pnl + s.purse.maintenance


@internal
@pure
def _bounded(s: State) -> uint256:
    """
    @notice How much of an account's debt one conversion covers.
    """
    bound: uint256 = ((s.credit[2] >> slots.CONVERT_BOUND) & slots.MASK_32) * WAD
    return min(self._positive(-s.purse.cash), bound)


@internal
@pure
def _called(s: State) -> bool:
    """
    @notice Whether a conversion goes through: on a calm venue, of an account that stands, with a debt and something to
            sell for it, past its own share of its collateral's maintenance value, or under the line of its margin call.
    """
    equity: int256 = self._equity(s)
    maintenance: int256 = convert(s.total.maintenance, int256)
    if s.is_system or not s.calm or equity < maintenance or s.purse.credit == 0 or self._bounded(s) == 0:
        return False
    line: int256 = convert((s.credit[2] >> slots.CALL_LINE) & slots.MASK_24, int256)
    owes: int256 = max(-s.purse.cash - s.total.pnl, 0)
    allowed: int256 = s.purse.maintenance * convert((s.credit[1] >> slots.DEBT_RATIO) & slots.MASK_20, int256)
    return owes * 10**6 > allowed or equity * 10**6 < maintenance * line


@internal
@view
def _withdrawable(s: State, h: IClearinghouse.Holding) -> uint256:
    """
    @notice The most of a holding that its account may take out.
    @dev By bisection over the margin check itself: less of a token never counts for more.
    """
    if s.is_system:
        return 0
    if s.total.legs == 0 and s.purse.cash >= 0:
        return h.own
    if s.total.dead or not s.calm:
        return 0
    words: uint256[4] = staticcall reader.CLEARINGHOUSE.token_words(h.id)
    weight: uint256 = slots.weight_now(words[0], words[1], slots.IM, slots.IM_BEFORE)
    fits: uint256 = 0
    for i: uint256 in range(BALANCE_BITS):
        amount: uint256 = fits | (1 << (BALANCE_BITS - 1 - i))
        if amount > h.own:
            continue
        kept: uint256 = 0
        if h.status == prices.LIVE:
            left: uint256 = (h.own - amount) * h.unit
            depth: uint256 = ((words[3] >> slots.TOTAL) - amount) * h.unit
            kept = collateral._weighed(left * min(h.price, h.stable) // WAD, weight, words[1] & slots.MASK_96, depth)
        if self._may_keep(s, s.purse.initial - convert(h.initial, int256) + convert(kept, int256)):
            fits = amount
    return fits


@internal
@pure
def _may_keep(s: State, initial: int256) -> bool:
    """
    @notice Whether the account may be as it is with tokens that count `initial` only.
    """
    if margin.equity(s.purse.cash, s.total.opening_pnl, 0) + initial < convert(s.total.initial, int256):
        return False
    return reader.owed(s.purse.cash, s.total.opening_pnl) <= reader.debt_limit(s.purse, initial, s.credit)


@internal
@view
def _token(id: uint256, settings: IClearinghouse.Settings) -> ICollateralLens.TokenView:
    listing: IListing = IListing(settings.configurator)
    words: uint256[4] = staticcall reader.CLEARINGHOUSE.token_words(id)
    h: IClearinghouse.Holding = reader.holding(settings.auction, id)
    scale: uint256 = words[1] & slots.MASK_96
    cap: uint256 = words[2] & slots.MASK_128
    settles_at: uint256 = (words[1] >> slots.SETTLE_AT) & slots.MASK_32
    v: ICollateralLens.TokenView = empty(ICollateralLens.TokenView)
    v.id = id
    v.token = staticcall listing.collateral_token(id)
    v.terms = staticcall listing.collateral_terms(id)
    v.unit = h.unit
    v.price = h.price
    v.price_status = h.status
    v.stable_price = h.stable
    v.maintenance_weight_ppm = slots.weight_now(words[0], words[1], slots.MM, slots.MM_BEFORE)
    v.initial_weight_ppm = slots.weight_now(words[0], words[1], slots.IM, slots.IM_BEFORE)
    v.last_price = words[3] & slots.MASK_96
    v.seen_at = (words[3] >> slots.SEEN_AT) & slots.MASK_32
    v.is_dead = (words[3] >> slots.IS_DEAD) & 1 != 0
    v.total = words[3] >> slots.TOTAL
    v.for_sale = h.own
    v.initial_depth_ppm = PPM * scale // (scale + v.total * h.unit)
    v.settles_at = settles_at if settles_at > block.timestamp else 0
    if h.status == prices.LIVE and (words[0] >> slots.STATUS) & 7 == slots.STATUS_OPEN:
        v.room = cap - min(v.total, cap)
    return v


@internal
@pure
def _positive(x: int256) -> uint256:
    return convert(max(x, 0), uint256)
