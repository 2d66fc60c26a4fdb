# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
# pragma optimize codesize
"""
@title Lens
@license AGPL-3.0-only
@notice What wallets, bots and pages read: accounts, previews, markets, the pool.
@dev Nothing on-chain depends on it. It does its sums with the Clearinghouse's own modules on the
     Clearinghouse's own words, so its numbers are the same to the wei and a preview is what the call would do
     in the same block. It keeps nothing but two immutables; a new Lens can replace it at any time.
     Every price is read from its feed, with the Clearinghouse's care: a call that runs low on gas reverts with
     "prices: too little gas" instead of taking a live feed for a dead one.
@custom:security Views only: it holds nothing, calls nothing but views, and no contract should act on it.
"""

from ethereum.ercs import IERC20

from modules import curve
from modules import fixed_point
from modules import funding
from modules import margin
from modules import outflow
from modules import markets as shelf
from modules import prices
from modules import reader
from modules import reasons
from modules import slots
from interfaces import IClearinghouse
from interfaces import IConfigurator
from interfaces import ILens

implements: ILens

initializes: reader

# ------------------------------------------------------------------ CONSTANTS

PPM: constant(uint256) = 10**6
WAD: constant(uint256) = 10**18
SWAD: constant(int256) = 10**18
PPM_TO_WAD: constant(uint256) = 10**12
MAX_LEGS: constant(uint256) = 32
MAX_PAGE: constant(uint256) = 32
MAX_ACCOUNTS: constant(uint256) = 1024

# ------------------------------------------------------------------ IMMUTABLES

# The Clearinghouse is the reader's.
MARGIN_CALL_LINE: immutable(uint256)  # [WAD] health below it is a margin call

# ------------------------------------------------------------------ STORAGE

# None.


struct Past:  # a market's funding as it was stored
    index: int256  # [WAD quote/base]
    rate: int256  # [WAD/day]
    elapsed: uint256  # [s] since


# ------------------------------------------------------------------ CONSTRUCTOR


@deploy
def __init__(clearinghouse_: address, margin_call_line_: uint256):
    """
    @param margin_call_line_ [WAD] health below which views report a margin call; 1.0 is the liquidation line
    """
    assert margin_call_line_ >= WAD, "lens: line below liquidation"
    reader.__init__(clearinghouse_)
    MARGIN_CALL_LINE = margin_call_line_


# ------------------------------------------------------------------ VIEWS: accounts


@external
@view
def account(account: address) -> ILens.AccountView:
    """
    @notice Everything about an account, as of this block: prices read, funding accrued, interest taken off its cash.
    @dev What stands behind it token by token is in `CollateralLens.account`.
         The pool's positions are minus the skews and its basis is in its cash: read `pool()` for it. For system
         accounts nothing is withdrawable, and neither flag is raised: the pool pays out by rules of its own.
         While the venue is not calm nobody is liquidatable; a margin call stands all the same.
    @param account [address] of any account; an unused one reads as empty
    @return [struct] of which each field has its unit in ILens
    @custom:access anyone
    @custom:spec MGN-1 to MGN-6, MGN-9, COL-1, COL-2, LIQ-8, LIQ-11, GOV-4
    """
    s: IClearinghouse.Settings = reader.settings()
    p: reader.Purse = reader.purse(account)
    legs: DynArray[IClearinghouse.Leg, MAX_LEGS] = reader.legs(account, p.markets)
    total: reader.Sum = reader.sum(legs)
    calm: bool = reader.is_calm()

    v: ILens.AccountView = empty(ILens.AccountView)
    v.cash = p.cash
    v.interest = p.interest
    v.pnl = total.pnl
    v.collateral_maintenance = self._positive(p.maintenance)
    v.collateral_initial = self._positive(p.initial)
    v.collateral_credit = p.credit
    v.equity = p.cash + total.pnl + p.maintenance
    v.opening_equity = margin.equity(p.cash, total.opening_pnl, s.profit_weight_ppm) + p.initial
    v.withdrawing_equity = margin.equity(p.cash, total.opening_pnl, 0) + p.initial
    v.initial = total.initial
    v.maintenance = total.maintenance
    v.notional = total.notional
    v.health = margin.health(v.equity, v.maintenance)
    v.leverage = self._leverage(v.notional, v.equity)
    v.has_dead_leg = total.dead
    if not reader.is_system(account, s):
        v.liquidatable = calm and v.equity < convert(v.maintenance, int256)
        v.margin_call = v.health < MARGIN_CALL_LINE
        v.debt = self._positive(-p.cash)
        limit: int256 = reader.debt_limit(p, p.initial, reader.credit())
        # How much the account may still lose or spend before the caps on debt stop it.
        room: int256 = limit - reader.owed(p.cash, total.opening_pnl)
        v.debt_limit = self._positive(limit)
        v.debt_room = self._positive(min(room, limit))
        initial: int256 = convert(total.initial, int256)
        if total.legs == 0 or (calm and not total.dead):
            free: uint256 = self._positive(min(min(v.withdrawing_equity - initial, p.cash), room))
            v.withdrawable = self._accepted(free // s.unit, s)
        if calm and not total.dead and room >= 0:
            v.buying_power = self._buying_power(self._positive(v.opening_equity - initial))
    for leg: IClearinghouse.Leg in legs:
        v.positions.append(self._position(leg, total, p.cash + p.maintenance, IConfigurator(s.configurator)))
    return v


@external
@view
def healths(accounts: DynArray[address, 256]) -> DynArray[uint256, 256]:
    """
    @notice The health of each account, as `Clearinghouse.health` gives it.
    @param accounts [address] list, at most 256
    @return [WAD] list in the same order; max_value: no positions and no debt; 0: equity below zero
    @custom:access anyone
    @custom:spec MGN-6
    """
    found: DynArray[uint256, 256] = []
    for account: address in accounts:
        found.append(staticcall reader.CLEARINGHOUSE.health(account))
    return found


@external
@view
def liquidatable(
    accounts: DynArray[address, MAX_ACCOUNTS], start: uint256, count: uint256
) -> DynArray[address, MAX_ACCOUNTS]:
    """
    @notice Those of `accounts[start : start + count]` that `liquidate` would accept now, in the same order: none while
            the venue is not calm.
    @dev Keepers know accounts from the Clearinghouse's `CashMoved` events: every account that ever held anything
         has one. Each market of an account takes about 20,000 gas and its feed's own: choose `count` by the node's
         limit.
         System accounts are left out. A start past the end gives an empty list.
    @param accounts [address] list, at most 1,024
    @param start [index] of the first to look at
    @param count [number] to look at, at most
    @return [address] list
    @custom:access anyone
    @custom:spec MGN-6, ACC-5, LIQ-8
    """
    s: IClearinghouse.Settings = reader.settings()
    found: DynArray[address, MAX_ACCOUNTS] = []
    if start >= len(accounts) or not reader.is_calm():
        return found
    for i: uint256 in range(min(count, len(accounts) - start), bound=MAX_ACCOUNTS):
        account: address = accounts[start + i]
        if reader.is_system(account, s):
            continue
        health: uint256 = staticcall reader.CLEARINGHOUSE.health(account)
        if health < WAD:
            found.append(account)
    return found


# ------------------------------------------------------------------ VIEWS: previews


@external
@view
def preview_trade(account: address, market: uint256, size_delta: int256, limit_price: uint256) -> ILens.TradePreview:
    """
    @notice What `Clearinghouse.trade` with these arguments, called by the account's owner, would do in this block.
    @dev Refuses with a reason instead of reverting, the first that applies, in the Clearinghouse's order. What
         can still be worked out after a refusal is: a trade refused for its margin shows the health it would leave.
    @param account [address] of any account
    @param market [id]
    @param size_delta [WAD base] + buys, - sells
    @param limit_price [WAD quote/base] the worst price to accept
    @return [struct] of which each field has its unit in ILens
    @custom:access anyone
    @custom:spec QTE-1 to QTE-5, MGN-7, COL-2, LIQ-8
    """
    t: ILens.TradePreview = empty(ILens.TradePreview)
    s: IClearinghouse.Settings = reader.settings()
    p: reader.Purse = reader.purse(account)
    cash: int256 = p.cash
    listed: bool = self._is_listed(market)
    bit: uint256 = 1 << market if listed else 0
    others: reader.Sum = reader.sum(reader.legs(account, p.markets & ~bit))
    before: reader.Sum = others
    leg: IClearinghouse.Leg = empty(IClearinghouse.Leg)
    if listed:
        leg = reader.leg(account, market)
        before = reader.plus(others, leg)
    t.equity_before = cash + before.pnl + p.maintenance
    t.health_before = margin.health(t.equity_before, before.maintenance)

    # Refused before anything is known of the fill.
    scale: int256 = convert(leg.t1 & slots.MASK_96, int256)
    size: int256 = unsafe_add(leg.size, size_delta)
    dust: bool = size != 0 and fixed_point.magnitude(size) >> slots.LOT_BITS == 0
    if account == empty(address) or account == reader.CLEARINGHOUSE.address:
        t.reason = "account: not yours"
    elif account == s.pool or account == s.auction:
        t.reason = "account: system"
    elif size_delta == 0:
        t.reason = "trade: zero size"
    elif not listed:
        t.reason = "market: unknown"
    elif leg.status != prices.LIVE:
        t.reason = self._text(leg.status)
    elif dust or size_delta > scale or size_delta < -scale:
        t.reason = "trade: size out of range"
    if len(t.reason) != 0:
        return t

    # The fill.
    t.reduces = curve.only_reduces(leg.size, size_delta)
    t.price = curve.fill_price(
        leg.price, leg.skew, size_delta, convert(scale, uint256), (leg.t1 >> slots.SPREAD) + leg.surge_ppm
    )
    if t.price > limit_price if size_delta > 0 else t.price < limit_price:
        t.reason = "trade: past limit price"
    basis: int256 = 0
    realised: int256 = 0
    cost: int256 = 0
    size, basis, realised, cost = curve.fill(leg.size, leg.basis, size_delta, t.price, leg.index)
    skew: int256 = leg.skew + size_delta
    lots: uint256 = (
        leg.lots
        + (convert(max(size, 0), uint256) >> slots.LOT_BITS)
        - (convert(max(leg.size, 0), uint256) >> slots.LOT_BITS)
    )
    if not t.reduces and len(t.reason) == 0:
        if not self._is_open(leg):
            t.reason = "market: reduce only"
        elif others.legs == MAX_LEGS:
            t.reason = "account: 32 markets at most"
        else:
            t.reason = self._capped(leg, skew, lots, s.max_pool_leverage_ppm)

    # What it leaves.
    taker_fee: uint256 = (leg.t1 >> slots.TAKER_FEE) & slots.MASK_20
    t.fee = fixed_point.ceil_div(convert(abs(size_delta), uint256) * t.price * taker_fee, WAD * PPM)
    t.cash_after = cash + realised - convert(t.fee, int256)
    t.size_after = size
    leg.size = size
    leg.basis = basis
    leg.skew = skew
    after: reader.Sum = reader.plus(others, leg)
    t.equity_after = t.cash_after + after.pnl + p.maintenance
    t.opening_equity_after = margin.equity(t.cash_after, after.opening_pnl, s.profit_weight_ppm) + p.initial
    t.initial_after = after.initial
    t.maintenance_after = after.maintenance
    t.health_after = margin.health(t.equity_after, after.maintenance)
    if size != 0:
        stored: Past = Past(index=leg.index, rate=leg.rate, elapsed=0)
        t.liquidation_price_after = self._liquidation_price(leg, stored, after, t.cash_after + p.maintenance)

    # The margin check.
    if len(t.reason) == 0:
        limit: int256 = reader.debt_limit(p, p.initial, reader.credit())
        below: bool = t.opening_equity_after < convert(after.initial, int256)
        if not t.reduces:
            if not reader.is_calm():
                t.reason = "venue: frozen or in grace"
            elif after.dead:
                t.reason = "margin: dead leg"
            elif below:
                t.reason = "margin: below initial"
            elif reader.owed(t.cash_after, after.opening_pnl) > limit:
                t.reason = "caps: debt"
        elif after.dead or below:
            if not margin.no_worse(t.equity_before, before.maintenance, t.equity_after, after.maintenance):
                t.reason = "margin: health would fall"
    t.allowed = len(t.reason) == 0
    return t


# ------------------------------------------------------------------ VIEWS: markets and the pool


@external
@view
def market(market: uint256) -> ILens.MarketView:
    """
    @notice A market, as of this block: price read, funding accrued.
    @param market [id]
    @return [struct] of which each field has its unit in ILens
    @custom:access anyone
    @custom:reverts "market: unknown"
    """
    if not self._is_listed(market):
        fixed_point.fail(reasons.MARKET_UNKNOWN)
    return self._market(market, reader.settings())


@external
@view
def markets(start: uint256, count: uint256) -> DynArray[ILens.MarketView, MAX_PAGE]:
    """
    @notice The listed markets from id `start` on: `count` of them, 32 at most, fewer at the end of the list.
    @param start [id] of the first
    @param count [number] of markets, at most
    @return [struct] list, by rising id; each field has its unit in ILens
    @custom:access anyone
    """
    s: IClearinghouse.Settings = reader.settings()
    page: DynArray[ILens.MarketView, MAX_PAGE] = []
    for i: uint256 in range(min(count, MAX_PAGE), bound=MAX_PAGE):
        if not self._is_listed(start + i):
            break
        page.append(self._market(start + i, s))
    return page


@external
@view
def pool() -> ILens.PoolView:
    """
    @notice The pool, the insurance fund, what stands behind all accounts, and what the whole venue waits for.
    @dev LED-3 is in it: cash + insurance + traders = custody_wad, where `traders` is what all other accounts have
         in cash less the basis of their positions.
    @return [struct] of which each field has its unit in ILens
    @custom:access anyone
    @custom:spec LED-3, QTE-4, LIQ-8, LIQ-11, GOV-4
    """
    s: IClearinghouse.Settings = reader.settings()
    v: ILens.PoolView = empty(ILens.PoolView)
    v.cash = slots.cash_of(staticcall reader.CLEARINGHOUSE.header(s.pool))
    v.insurance = slots.cash_of(staticcall reader.CLEARINGHOUSE.header(reader.CLEARINGHOUSE.address))
    for id: uint256 in range(shelf.MAX_MARKETS):
        if not self._is_listed(id):
            break
        leg: IClearinghouse.Leg = reader.leg(s.pool, id)
        if leg.skew != 0:
            v.pnl += fixed_point.floor_div(-leg.skew * (convert(leg.price, int256) - leg.index), SWAD)
            v.has_dead_market = v.has_dead_market or leg.status != prices.LIVE
    known: IClearinghouse.Globals = reader.globals()
    v.custody = known.custody
    v.share = known.share
    v.nav, v.exposure, v.nav_known_at = slots.unpack_book(known.book)
    v.leverage = self._leverage(v.exposure, v.nav)
    v.max_leverage = s.max_pool_leverage_ppm * PPM_TO_WAD
    v.custody_wad = v.custody * s.unit
    v.traders = convert(v.custody_wad, int256) - v.cash - v.insurance
    v.balance = staticcall IERC20(s.quote).balanceOf(reader.CLEARINGHOUSE.address)
    v.calm = reader.is_calm()
    v.calm_from = self._coming(known.book >> slots.CALM_FROM)
    v.outflow_left = max_value(uint256)
    if s.outflow_ppm != 0:
        v.outflow_left = outflow.left(known, s.outflow_ppm, s.outflow_floor)
    return v


@external
@view
def price_status_text(status: uint256) -> String[32]:
    """
    @notice A price status in words: "live", or the text that a trade in the market would revert with.
    @param status [code] of a price: 0, or a number of modules/reasons.vy
    @return [text]
    @custom:access anyone
    """
    if status == prices.LIVE:
        return "live"
    return self._text(status)


# ------------------------------------------------------------------ VIEWS: deployment


@external
@view
def clearinghouse() -> address:
    """
    @notice The Clearinghouse that this Lens looks at.
    @return [address]
    @custom:access anyone
    """
    return reader.CLEARINGHOUSE.address


@external
@view
def margin_call_line() -> uint256:
    """
    @notice The health below which an account has a margin call.
    @return [WAD]
    @custom:access anyone
    @custom:spec MGN-9
    """
    return MARGIN_CALL_LINE


# ------------------------------------------------------------------ INTERNAL: reading


@internal
@view
def _is_listed(market: uint256) -> bool:
    if market >= shelf.MAX_MARKETS:
        return False
    words: IClearinghouse.Words = reader.words(market)
    return words.t0 != 0


# ------------------------------------------------------------------ INTERNAL: valuing


@internal
@pure
def _positive(x: int256) -> uint256:
    return convert(max(x, 0), uint256)


@internal
@pure
def _leverage(amount: uint256, equity: int256) -> uint256:
    if amount == 0:
        return 0
    if equity <= 0:
        return max_value(uint256)
    return fixed_point.ceil_div(amount * WAD, convert(equity, uint256))


@internal
@view
def _accepted(claim: uint256, s: IClearinghouse.Settings) -> uint256:
    """
    @notice The most of a `claim` on quote [raw], which its account may give away, that `withdraw` accepts: custody, the
            hour's limit and, in a settlement, the share of a claim that is paid are in it.
    """
    known: IClearinghouse.Globals = reader.globals()
    left: uint256 = outflow.left(known, s.outflow_ppm, s.outflow_floor)
    paid: uint256 = known.share - 1 if known.share != 0 else WAD  # of each claim
    # The limit counts what is sent, rounded down.
    most: uint256 = ((left + 1) * WAD - 1) // max(paid, 1)
    most = min(claim, most)
    return most if most * paid >= WAD else 0  # a claim for which nothing would be sent is refused


@internal
@view
def _coming(time: uint256) -> uint256:
    """
    @notice The low 32 bits of `time`, as long as they are to come.
    """
    at: uint256 = time & slots.MASK_32
    return at if at > block.timestamp else 0


@internal
@view
def _is_paused(t2: uint256) -> bool:
    until: uint256 = self._coming(t2 >> slots.PAUSED_UNTIL)
    return until != 0


@internal
@view
def _buying_power(free: uint256) -> uint256:
    """
    @notice What `free` equity carries at the lowest initial ratio of any open market that is not paused: a bound from
            above, before the depth term, the flat reward, the spread and the fee. `preview_trade` knows about one
            trade.
    """
    lowest: uint256 = max_value(uint256)
    for id: uint256 in range(shelf.MAX_MARKETS):
        words: IClearinghouse.Words = reader.words(id)
        if words.t0 == 0:
            break
        if (words.t0 >> slots.STATUS) & 7 == slots.STATUS_OPEN and not self._is_paused(words.t2):
            lowest = min(lowest, (words.t0 >> slots.IM) & slots.MASK_20)
    return free * PPM // max(lowest, 1)


@internal
@view
def _position(
    leg: IClearinghouse.Leg, total: reader.Sum, cash: int256, configurator: IConfigurator
) -> ILens.PositionView:
    """
    @notice One leg of an account whose legs sum to `total`.
    """
    p: ILens.PositionView = empty(ILens.PositionView)
    p.market = leg.id
    p.name = staticcall configurator.market_name(leg.id)
    p.size = leg.size
    p.basis = leg.basis
    p.break_even_price = self._break_even(leg)
    p.mark_price = leg.price
    p.stable_price = reader.stable(leg)
    p.price_status = leg.status
    p.notional = margin.notional(convert(abs(leg.size), uint256), leg.price)
    p.pnl, p.maintenance = reader.worth(leg, leg.price, leg.index)
    opening_pnl: int256 = 0
    opening_pnl, p.initial = reader.opening_worth(leg, p.pnl)
    p.rate = leg.rate
    words: IClearinghouse.Words = reader.words(leg.id)
    stored: Past = Past(
        index=convert(convert(words.b, bytes32), int256) >> slots.INDEX,
        rate=convert(convert(words.b << 96, bytes32), int256) >> 196,
        elapsed=block.timestamp - ((words.b >> slots.TOUCHED_AT) & slots.MASK_32),
    )
    p.liquidation_price = self._liquidation_price(leg, stored, total, cash)
    return p


@internal
@pure
def _break_even(leg: IClearinghouse.Leg) -> int256:
    """
    @notice The least price at which a long, the greatest at which a short, is not at a loss: basis / size + index.
    @dev The position's slot folds funding into the basis (size * (fill price - index), summed), so this is the
         average price paid plus the funding paid per unit since, exactly; the two apart are not in it. For the
         average price alone, sum the account's `Fill` events: each carries its price.
    """
    if leg.size > 0:
        return leg.index - fixed_point.floor_div(-leg.basis * SWAD, leg.size)
    return leg.index + fixed_point.floor_div(-leg.basis * SWAD, -leg.size)


@internal
@pure
def _liquidation_price(leg: IClearinghouse.Leg, stored: Past, total: reader.Sum, cash: int256) -> uint256:
    """
    @notice The price of this leg's market at which an account whose legs sum to `total` falls under its
            maintenance, all else held still; today's price if it is there already, 0 if no price between the
            market's bounds does it.
    @dev But for rounding, equity less maintenance is a straight line in the price: where the line ends up below
         zero, its crossing is guessed from the ends, and a bisection over the valuation itself makes it exact.
         At the price returned the account is liquidatable, one wei nearer to today's it is not.
    """
    pnl: int256 = 0
    mm: uint256 = 0
    pnl, mm = reader.worth(leg, leg.price, leg.index)
    room: int256 = cash + total.pnl - convert(total.maintenance, int256)
    if room < 0:
        return leg.price
    # What the cash and the other legs leave for this one.
    slack: int256 = room - pnl + convert(mm, int256)
    unit: uint256 = pow_mod256(10, (leg.t1 >> slots.BOUND_EXPONENT) & 31)
    good: uint256 = leg.price
    bad: uint256 = ((leg.t1 >> slots.MIN_PRICE) & slots.MASK_24) * unit + 1
    lack: int256 = self._room_at(bad, leg, stored, slack)
    if lack >= 0:
        bad = ((leg.t1 >> slots.MAX_PRICE) & slots.MASK_24) * unit - 1
        lack = self._room_at(bad, leg, stored, slack)
        if lack >= 0:
            return 0

    width: uint256 = max(good, bad) - min(good, bad)
    guess: uint256 = width * convert(room, uint256) // convert(room - lack, uint256)
    for i: uint256 in range(100):
        if width <= 1:
            break
        step: uint256 = width // 2
        if i == 0:
            step = guess - min(guess, 32)
        elif i == 1 and width > 64:
            step = 64
        step = min(max(step, 1), width - 1)
        middle: uint256 = good + step if bad > good else good - step
        lack = self._room_at(middle, leg, stored, slack)
        if lack < 0:
            bad = middle
        else:
            good = middle
        width = max(good, bad) - min(good, bad)
    return bad


@internal
@pure
def _room_at(price: uint256, leg: IClearinghouse.Leg, stored: Past, slack: int256) -> int256:
    """
    @notice `slack` and what a leg leaves over its maintenance at another price. The funding since the market was
            last touched goes by the price too.
    """
    index: int256 = stored.index
    rate: int256 = stored.rate
    if stored.elapsed != 0:
        index, rate = funding.accrue(
            stored.index,
            stored.rate,
            leg.skew,
            leg.t1 & slots.MASK_96,
            (leg.t1 >> slots.VELOCITY) & slots.MASK_24,
            (leg.t1 >> slots.MAX_RATE) & slots.MASK_20,
            ((leg.t1 >> slots.MAX_PRICE) & slots.MASK_24) * pow_mod256(10, (leg.t1 >> slots.BOUND_EXPONENT) & 31),
            price,
            stored.elapsed,
        )
    pnl: int256 = 0
    mm: uint256 = 0
    pnl, mm = reader.worth(leg, price, index)
    return slack + pnl - convert(mm, int256)


# ------------------------------------------------------------------ INTERNAL: markets


@internal
@view
def _capped(leg: IClearinghouse.Leg, skew: int256, lots: uint256, max_leverage_ppm: uint256) -> String[32]:
    """
    @notice Why the caps refuse a fill that leaves the market of `leg` with this skew and these lots, if they do.
    """
    words: IClearinghouse.Words = reader.words(leg.id)
    return self._cap_reason(leg, skew, lots, max_leverage_ppm, words.t2, reader.globals().book)


@internal
@view
def _cap_reason(
    leg: IClearinghouse.Leg, skew: int256, lots: uint256, max_leverage_ppm: uint256, t2: uint256, book: uint256
) -> String[32]:
    """
    @dev As markets.check_caps, which reads its own storage.
    """
    if self._is_paused(t2):
        return "market: paused"
    if slots.open_interest(lots, skew) > (t2 >> slots.MAX_OPEN_INTEREST) & slots.MASK_96:
        return "caps: open interest"
    if abs(skew) < abs(leg.skew):
        return ""
    if convert(abs(skew), uint256) > t2 & slots.MASK_96:
        return "caps: skew"
    nav: int256 = 0
    exposure: uint256 = 0
    known_at: uint256 = 0
    nav, exposure, known_at = slots.unpack_book(book)
    if block.timestamp > known_at + shelf.NAV_MAX_AGE:
        return "caps: pool NAV is old"
    carried: uint256 = exposure + slots.open_interest(lots, skew) * leg.price // WAD - self._exposed(leg)
    if convert(carried * PPM, int256) > nav * convert(max_leverage_ppm, int256):
        return "caps: pool exposure"
    return ""


@internal
@view
def _is_open(leg: IClearinghouse.Leg) -> bool:
    """
    @notice Whether more than a reduction goes in a market: its own state allows it, and no settlement is declared.
    """
    known: IClearinghouse.Globals = reader.globals()
    return (leg.t0 >> slots.STATUS) & 7 == slots.STATUS_OPEN and known.share == 0


@internal
@view
def _room(
    leg: IClearinghouse.Leg, side: int256, max_leverage_ppm: uint256, t2: uint256, book: uint256
) -> uint256:
    """
    @notice The most that an account without a position may take on one side (+1 buys, -1 sells) under the caps.
    @dev By bisection over the caps themselves: past a size that they refuse they allow none.
    """
    if leg.status != prices.LIVE or not self._is_open(leg):
        return 0
    fits: uint256 = 0
    for i: uint256 in range(95):
        size: uint256 = fits | (1 << (94 - i))
        lots: uint256 = leg.lots + (size >> slots.LOT_BITS if side > 0 else 0)
        reason: String[32] = self._cap_reason(
            leg, leg.skew + side * convert(size, int256), lots, max_leverage_ppm, t2, book
        )
        if len(reason) == 0:
            fits = size
    return fits if fits >> slots.LOT_BITS != 0 else 0  # no position is smaller than a lot


@internal
@view
def _market(market: uint256, s: IClearinghouse.Settings) -> ILens.MarketView:
    words: IClearinghouse.Words = reader.words(market)
    leg: IClearinghouse.Leg = reader.leg(empty(address), market)
    book: uint256 = reader.globals().book
    v: ILens.MarketView = empty(ILens.MarketView)
    v.market = market
    v.name = staticcall IConfigurator(s.configurator).market_name(market)
    v.terms = staticcall IConfigurator(s.configurator).terms(market)
    v.price = leg.price
    v.price_status = leg.status
    v.stable_price = reader.stable(leg)
    v.settled = (leg.t0 >> slots.STATUS) & 7 == slots.STATUS_SETTLED
    v.paused_until = self._coming(words.t2 >> slots.PAUSED_UNTIL)
    scale: uint256 = leg.t1 & slots.MASK_96
    extra_ppm: uint256 = (leg.t1 >> slots.SPREAD) + leg.surge_ppm
    v.ask = curve.fill_price(leg.price, leg.skew, 1, scale, extra_ppm)
    v.bid = curve.fill_price(leg.price, leg.skew, -1, scale, extra_ppm)
    v.index = leg.index
    v.rate = leg.rate
    v.skew = leg.skew
    long: int256 = max(convert(leg.lots << slots.LOT_BITS, int256), leg.skew)
    v.long_open_interest = convert(long, uint256)
    v.short_open_interest = convert(long - leg.skew, uint256)
    v.exposure = self._exposed(leg)
    v.last_price = leg.last_price
    v.touched_at = (words.b >> slots.TOUCHED_AT) & slots.MASK_32
    v.surge_ppm = leg.surge_ppm
    v.room_to_buy = self._room(leg, 1, s.max_pool_leverage_ppm, words.t2, book)
    v.room_to_sell = self._room(leg, -1, s.max_pool_leverage_ppm, words.t2, book)
    return v


@internal
@pure
def _text(reason: uint256) -> String[32]:
    """
    @notice The text of one of reasons.vy's numbers.
    """
    word: uint256 = reason
    size: uint256 = 32
    for i: uint256 in range(32):
        if word >> 248 != 0:
            break
        word = word << 8
        size -= 1
    return convert(slice(convert(word, bytes32), 0, size), String[32])


@internal
@pure
def _exposed(leg: IClearinghouse.Leg) -> uint256:
    """
    @notice What the pool's stored exposure holds of this market.
    """
    return slots.open_interest(leg.lots, leg.skew) * leg.last_price // WAD
