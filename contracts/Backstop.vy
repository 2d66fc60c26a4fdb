# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
# pragma optimize codesize
"""
@title Backstop
@license AGPL-3.0-only
@notice What is done when nothing else helps: settled markets are closed, a broke pool deleverages, the venue settles.
@dev Three stages. The pool's equity below its maintenance: `deleverage` closes profitable positions against it, one
     after the other, until its health is the target. Its equity below zero nevertheless: `declare`, an hour later
     `settle` every market, `close_settled` everybody, and `fix` the share of each claim that custody can pay.
     What stands against a price that is wrong for a while: for the hour after `declare` nothing is settled, anybody
     calls it off once the pool is solvent, and in a freeze of the guardian's, or while a sequencer is down, no market
     settles. A price that is wrong for longer, with nobody to freeze, is believed, as everywhere.
     What is in doubt makes claims wait, but settles nothing for a week: positions whose price is dead, for what they
     are worth, losses that are reported and not booked, lots whose price is dead. Then the last must have their share.
     A seizure takes the pool's cash until its lot is sold, so that what live lots owe it counts.
     Which positions are there follows from `lots` and `skew`, what is claimed from LED-3: nobody lists accounts.
@custom:security Nobody owns it. The Clearinghouse lets it reduce anybody's position at the market's own price, and say
     what share of each claim a settlement pays; the Configurator lets it settle markets. Nothing else.
@custom:spec PRC-6, LIQ-9, LIQ-11
"""

from interfaces import IBackstop
from interfaces import IClearinghouse
from interfaces import ICollateralAuction
from interfaces import IConfigurator
from interfaces import ILiquidityPool
from modules import curve
from modules import debt
from modules import fixed_point
from modules import margin
from modules import markets
from modules import prices
from modules import reasons
from modules import slots

implements: IBackstop

# ------------------------------------------------------------------ CONSTANTS

WAD: constant(uint256) = 10**18
SWAD: constant(int256) = 10**18
PAGE: constant(uint256) = 64
MAX_TOKENS: constant(uint256) = 16
MAX_TARGET: constant(uint256) = 10**19

# The states of a global settlement.
NOTHING: constant(uint256) = 0
DECLARED: constant(uint256) = 1  # claims on quote wait
SETTLING: constant(uint256) = 2  # for good: markets are settled, positions closed
FIXED: constant(uint256) = 3  # for good: each claim is paid the share

DELAY: constant(uint256) = 3_600  # [s] from the declaration that the hole is certain to the first market's settlement
DOUBT: constant(uint256) = 7 * 86_400  # [s] from the declaration to that of whatever is in doubt
LAPSE: constant(uint256) = 9 * 86_400  # [s] from the declaration until it can be called off anyhow: a freeze fits in
PATIENCE: constant(uint256) = 30 * 86_400  # [s] for the auction to sell the lots that owe the pool

# ------------------------------------------------------------------ IMMUTABLES

CLEARINGHOUSE: immutable(IClearinghouse)
TARGET: immutable(uint256)  # [WAD] the pool's health that deleveraging restores

# ------------------------------------------------------------------ STORAGE

state: public(uint256)  # see the constants
declared_at: public(uint256)  # [unix s] 0 in NOTHING
certain_at: public(uint256)  # [unix s] since when the hole is declared to be certain; 0 while it is in doubt
settled_at: public(uint256)  # [unix s] when SETTLING began
share: public(uint256)  # [WAD] of each claim, once FIXED


# ------------------------------------------------------------------ TYPES


struct Pool:  # the pool's account, valued
    equity: int256  # [WAD quote] with interest that is due, and what lots owe it, as far as live ones bring it
    maintenance: uint256  # [WAD quote]
    at_stake: int256  # [WAD quote] its notional in markets that have neither a live price nor a settled one
    unsure: int256  # [WAD quote] that, and what dead lots, and some for others, may yet bring it


struct Standing:  # a trader's account, valued
    equity: int256  # [WAD quote]
    maintenance: uint256  # [WAD quote]
    exposure: uint256  # [WAD quote]


# ------------------------------------------------------------------ CONSTRUCTOR


@deploy
def __init__(clearinghouse: address, target: uint256):
    """
    @param clearinghouse [address] that will obey; it need not exist yet, and checks back when it does
    @param target [WAD] the health to which a broke pool is deleveraged, 1 to 10
    """
    assert target >= WAD and target <= MAX_TARGET, "backstop: target"
    CLEARINGHOUSE = IClearinghouse(clearinghouse)
    TARGET = target


# ------------------------------------------------------------------ EXTERNAL: settled markets


@external
def close_settled(market: uint256, accounts: DynArray[address, PAGE]) -> uint256:
    """
    @notice Close whole positions in a market that is settled, at its settled price, without a fee. Whoever has none is
            skipped.
    @dev An account that it leaves in debt is liquidated like any other.
    @param market [id]
    @param accounts [address] at most 64
    @return [count] how many it closed
    @custom:access anyone, for anyone
    @custom:reverts "market: unknown", "backstop: market not settled", "prices: too little gas"
    @custom:spec PRC-6, LIQ-11
    """
    self._check_market(market)
    settled: bool = self._is_settled(market)
    if not settled:
        fixed_point.fail(reasons.BACKSTOP_MARKET_NOT_SETTLED)
    count: uint256 = 0
    for account: address in accounts:
        leg: IClearinghouse.Leg = self._leg(account, market)
        if leg.size != 0:
            extcall CLEARINGHOUSE.trade(account, market, -leg.size, 0 if leg.size > 0 else max_value(uint256))
            count += 1
    return count


# ------------------------------------------------------------------ EXTERNAL: deleveraging


@external
def deleverage(account: address, market: uint256) -> uint256:
    """
    @notice Close of a healthy account's profitable position, opposite to the pool's, what brings a pool whose health
            is below 1 back to the target: at the oracle's price, without a fee, and no more than that.
    @dev The pool's equity stays, but for a wei of rounding; its maintenance falls. What is left of the position is
         nothing or at least a lot. Keepers take the accounts in the order of `rank`.
    @param account [address]
    @param market [id]
    @return [WAD base] what was closed
    @custom:access anyone
    @custom:reverts "account: system", "market: unknown", "venue: frozen or in grace", "prices: ...",
                    "backstop: a price is not live", "backstop: pool is healthy", "backstop: account is unhealthy",
                    "backstop: not opposite the pool", "backstop: not profitable", "backstop: nothing to close",
                    "backstop: health would fall"
    @custom:spec LIQ-9
    """
    plan: IBackstop.Plan = self._plan(account, market)
    prices.must_be_live(plan.why)  # or whatever else the reason is
    leg: IClearinghouse.Leg = self._leg(account, market)
    closed: int256 = convert(plan.closed, int256)
    delta: int256 = -closed if leg.size > 0 else closed
    # Both sides of the same price in the same block: no limit is needed.
    extcall CLEARINGHOUSE.trade(account, market, delta, 0 if leg.size > 0 else max_value(uint256))
    log IBackstop.Deleveraged(
        account=account,
        market=market,
        keeper=msg.sender,
        closed=plan.closed,
        size=leg.size + delta,
        equity=plan.equity,
        maintenance=plan.maintenance_after,
    )
    return plan.closed


# ------------------------------------------------------------------ EXTERNAL: the settlement of the venue


@external
def declare():
    """
    @notice Declare a settlement because the pool's equity, less what reported accounts cannot pay, is below zero: from
            now on claims on quote wait. Declared once more it tells whether the hole is certain by now, or is no longer:
            for a week what is in doubt counts for the pool, then what is known decides.
    @dev Neither a freeze nor a grace stops it: reductions and withdrawals go on in both, and who won would be paid in
         full by who did not run. If the price was wrong it is called off.
         The hour runs from when the hole is certain, so that what stands declared in doubt is not settled by a price
         that is wrong for one block; and whoever sees a hole that is gone can always stop it.
    @custom:access anyone
    @custom:reverts "backstop: wrong state", "backstop: pool is solvent" if none is declared
    @custom:spec LIQ-11
    """
    at_least: int256 = 0
    worth: int256 = 0
    at_most: int256 = 0
    at_least, worth, at_most = self._worth()
    if self.state != DECLARED:
        self._check_state(NOTHING)
        self._must_be_insolvent(worth)
        self.state = DECLARED
        self.declared_at = block.timestamp
        extcall CLEARINGHOUSE.set_share(1)
    certain: bool = self._is_certain(worth, at_most)
    if not certain:
        self.certain_at = 0
    elif self.certain_at == 0:
        self.certain_at = block.timestamp
    log IBackstop.SettlementDeclared(at=block.timestamp, equity=worth, certain_at=self.certain_at)


@external
def call_off():
    """
    @notice Call a declared settlement off: the pool is solvent, whatever is in doubt, or nine days have passed and
            nobody has settled.
    @dev A freeze of a day and its hour of grace, right after a week of doubt, leave most of a day to settle: else who
         waited for the lapse would call off, and run with all of his claim. So would who finds a feed dead, which
         leaves the last price there was, or a price of a frozen venue.
    @custom:access anyone
    @custom:reverts "backstop: wrong state", "venue: frozen or in grace", "backstop: pool is insolvent"
    @custom:spec LIQ-11
    """
    self._check_state(DECLARED)
    at_least: int256 = 0
    worth: int256 = 0
    at_most: int256 = 0
    at_least, worth, at_most = self._worth()
    if block.timestamp < self.declared_at + LAPSE:
        self._check_calm()
        if at_least < 0:
            fixed_point.fail(reasons.BACKSTOP_POOL_IS_INSOLVENT)
    self._end()
    log IBackstop.SettlementCalledOff(equity=worth)


@external
def settle(market_ids: DynArray[uint256, markets.MAX_MARKETS]):
    """
    @notice Settle markets at their last good prices, for good: the first time with the pool's equity still below zero,
            an hour after that was declared to be certain. Those that are settled already are skipped.
    @dev Who settles some markets leaves the others to anybody, in the same block if he likes: nobody chooses a price.
         Nor does who finds a feed dead: with positions in it such a market waits for the week, whatever it is to the
         pool.
    @param market_ids [id] at most 128
    @custom:access anyone
    @custom:reverts "backstop: wrong state", "venue: frozen or in grace", "backstop: pool is solvent",
                    "backstop: too early", "market: unknown"
    @custom:spec LIQ-11, PRC-6
    """
    self._check_calm()
    if self.state != SETTLING:
        self._check_state(DECLARED)
        at_least: int256 = 0
        worth: int256 = 0
        at_most: int256 = 0
        at_least, worth, at_most = self._worth()
        self._must_be_insolvent(worth)
        certain: bool = self._is_certain(worth, at_most)
        if not certain or self.certain_at == 0 or block.timestamp < self.certain_at + DELAY:
            fixed_point.fail(reasons.BACKSTOP_TOO_EARLY)
        self.state = SETTLING
        self.settled_at = block.timestamp
        log IBackstop.SettlementBegun(at=block.timestamp, equity=worth)
    configurator: IConfigurator = self._configurator()
    for market: uint256 in market_ids:
        self._check_market(market)
        leg: IClearinghouse.Leg = self._leg(empty(address), market)
        early: bool = self._is_early()
        if early and self._is_dead(leg) and (leg.lots != 0 or leg.skew != 0):
            fixed_point.fail(reasons.BACKSTOP_TOO_EARLY)
        if (leg.t0 >> slots.STATUS) & 7 != slots.STATUS_SETTLED:
            extcall configurator.settle_market(market)


@external
def fix() -> uint256:
    """
    @notice Fix the share of each claim on quote, once nobody has a position, no lot can be sold and none owes the pool
            anything, or a month has passed; or a week, if no lot has a live price and all is the fund's: what custody
            has over all claims, and never more than all of a claim.
    @dev Without positions the sum of all cash is custody (LED-3), so all claims together are custody, less the pool's
         and the insurance fund's cash, plus all debts. A withdrawal takes its whole claim off the books, and gives the
         pool what is not paid of it: so what custody has over what is still claimed stays what it is.
         Where custody covers all claims the settlement is over with that: what it has beyond them is the pool's, which
         pays nobody while there is a share. Not so if the pool, interest that is due included, owes what the fund has:
         anybody would declare the next.
    @return [WAD] the share, rounded down
    @custom:access anyone
    @custom:reverts "backstop: wrong state", "backstop: market not settled", "backstop: positions are open",
                    "backstop: lots are not sold"
    @custom:spec LIQ-11
    """
    self._check_state(SETTLING)
    s: IClearinghouse.Settings = staticcall CLEARINGHOUSE.settings()
    count: uint256 = self._market_count()
    for id: uint256 in range(markets.MAX_MARKETS):
        if id == count:
            break
        words: IClearinghouse.Words = staticcall CLEARINGHOUSE.market_words(id)
        if (words.t0 >> slots.STATUS) & 7 != slots.STATUS_SETTLED:
            fixed_point.fail(reasons.BACKSTOP_MARKET_NOT_SETTLED)
        # No long has less than a lot, and without longs and skew there are no shorts.
        if words.a >> slots.LOTS != 0 or words.a & slots.MASK_96 != 0:
            fixed_point.fail(reasons.BACKSTOP_POSITIONS_ARE_OPEN)
    # What they bring the insurance fund later would stay there.
    owed: uint256 = staticcall ICollateralAuction(s.auction).owed_to_pool()
    by_live: uint256 = 0
    by_others: uint256 = 0
    live: uint256 = 0
    dead: uint256 = 0
    by_live, by_others, live, dead = staticcall ICollateralAuction(s.auction).worth()
    wait: uint256 = 0
    if owed != 0 or live != 0:
        wait = PATIENCE
    elif dead != 0:
        wait = DOUBT  # a feed that is late for a block is no lot that cannot be sold
    if wait != 0 and block.timestamp < self.settled_at + wait:
        fixed_point.fail(reasons.BACKSTOP_LOTS_ARE_NOT_SOLD)

    known: IClearinghouse.Globals = staticcall CLEARINGHOUSE.globals()
    held: uint256 = known.custody * s.unit
    credit: uint256[5] = self._credit()
    total: int256 = convert(held + (credit[0] & slots.MASK_128), int256)
    of_pool: int256 = self._cash(s.pool)
    of_fund: int256 = self._cash(CLEARINGHOUSE.address)
    # Each is somebody's cash at or above zero, so their sum is.
    claims: uint256 = convert(total - of_pool - of_fund, uint256)
    share: uint256 = WAD
    if claims > held:
        share = held * WAD // claims
    interest: uint256 = self._unposted(credit)
    if share == WAD and of_pool + convert(interest, int256) >= 0:
        self._end()
    else:
        self.state = FIXED
        self.share = share
        extcall CLEARINGHOUSE.set_share(1 + share)
    log IBackstop.ShareFixed(share=share, claims=claims, custody=known.custody)
    return share


# ------------------------------------------------------------------ VIEWS


@external
@view
def pool_margin() -> (int256, uint256):
    """
    @notice The pool's own account by the formula of everybody's, with interest that is due, and what lots owe it, as far
            as live ones bring it.
    @return [WAD quote] equity, [WAD quote] maintenance
    @custom:access anyone
    @custom:spec LIQ-9
    """
    pool: Pool = self._pool()
    return (pool.equity, pool.maintenance)


@external
@view
def solvency() -> (int256, int256, int256):
    """
    @notice What decides whether the venue may settle: the pool's equity, less what reported accounts cannot pay; and at
            the least and at the most, were its positions at dead prices its loss, or all that is in doubt its gain.
            Worth below zero is declared; certain is it if it is so at the most; called off, if it is not at the least.
    @return [WAD quote] at least, [WAD quote] worth, [WAD quote] at most
    @custom:access anyone
    @custom:spec LIQ-11
    """
    return self._worth()


@external
@view
def preview_deleverage(account: address, market: uint256) -> IBackstop.Plan:
    """
    @notice What `deleverage` would do now, or why it would be refused.
    @param account [address]
    @param market [id]
    @return [struct] see IBackstop
    @custom:access anyone
    @custom:spec LIQ-9
    """
    return self._plan(account, market)


@external
@view
def rank(market: uint256, accounts: DynArray[address, PAGE]) -> DynArray[IBackstop.Candidate, PAGE]:
    """
    @notice Those of `accounts` that may be deleveraged in a market, by profit over notional times leverage, the
            greatest first: who has won most with least behind it.
    @param market [id]
    @param accounts [address] at most 64
    @return [struct] see IBackstop
    @custom:access anyone
    @custom:reverts "market: unknown"
    @custom:spec LIQ-9
    """
    self._check_market(market)
    s: IClearinghouse.Settings = staticcall CLEARINGHOUSE.settings()
    found: DynArray[IBackstop.Candidate, PAGE] = []
    for account: address in accounts:
        leg: IClearinghouse.Leg = self._leg(account, market)
        is_system: bool = self._is_system(account, s)
        if is_system or not self._is_opposite(leg):
            continue
        z: Standing = self._standing(account)
        pnl: int256 = self._value(leg, leg.size, leg.basis)[0]
        if pnl <= 0 or z.equity < convert(z.maintenance, int256):
            continue
        own: uint256 = margin.notional(fixed_point.magnitude(leg.size), leg.price)
        # A profit is no more than some 2**30 times its notional: the bounds are 24 bits apart, an index 6 more.
        won: uint256 = convert(pnl, uint256) * WAD // own
        # Equity is no less than the maintenance of all legs, each at least 2**-65 of its notional and never nothing.
        leverage: uint256 = z.exposure * WAD // convert(z.equity, uint256)
        c: IBackstop.Candidate = IBackstop.Candidate(
            account=account,
            size=leg.size,
            pnl=pnl,
            notional=own,
            equity=z.equity,
            exposure=z.exposure,
            rank=won * leverage // WAD,
        )
        # In its place: who is equal keeps the order in which he was named.
        at: uint256 = len(found)
        found.append(c)
        for step: uint256 in range(PAGE):
            if at == 0:
                break
            before: IBackstop.Candidate = found[at - 1]
            if before.rank >= c.rank:
                break
            found[at] = before
            found[at - 1] = c
            at -= 1
    return found


@external
@view
def clearinghouse() -> address:
    """
    @notice Whom it acts on.
    @return [address]
    @custom:access anyone
    """
    return CLEARINGHOUSE.address


@external
@view
def target() -> uint256:
    """
    @notice The pool's health to which deleveraging restores it.
    @return [WAD]
    @custom:access anyone
    @custom:spec LIQ-9
    """
    return TARGET


# ------------------------------------------------------------------ INTERNAL: what is there

# Each of these calls is in one place: what decodes an answer is long.


@internal
@view
def _leg(account: address, market: uint256) -> IClearinghouse.Leg:
    return staticcall CLEARINGHOUSE.leg(account, market)


@internal
@view
def _cash(account: address) -> int256:
    return slots.cash_of(staticcall CLEARINGHOUSE.header(account))


@internal
@view
def _credit() -> uint256[5]:
    return staticcall CLEARINGHOUSE.credit()


@internal
@pure
def _unposted(credit: uint256[5]) -> uint256:
    """
    @notice The interest that debtors' next touches post: the pool's before, else whoever acts would choose.
    """
    return debt.unposted(credit[4], credit[3], credit[0] & slots.MASK_128)


@internal
@view
def _configurator() -> IConfigurator:
    s: IClearinghouse.Settings = staticcall CLEARINGHOUSE.settings()
    return IConfigurator(s.configurator)


@internal
@view
def _market_count() -> uint256:
    configurator: IConfigurator = self._configurator()
    return staticcall configurator.market_count()


@internal
@view
def _check_market(market: uint256):
    count: uint256 = self._market_count()
    if market >= count:
        fixed_point.fail(reasons.MARKET_UNKNOWN)


@internal
@view
def _is_settled(market: uint256) -> bool:
    words: IClearinghouse.Words = staticcall CLEARINGHOUSE.market_words(market)
    return (words.t0 >> slots.STATUS) & 7 == slots.STATUS_SETTLED


@internal
@view
def _check_calm():
    calm: bool = staticcall CLEARINGHOUSE.is_calm()
    if not calm:
        fixed_point.fail(reasons.VENUE_FROZEN_OR_IN_GRACE)


@internal
@pure
def _is_dead(leg: IClearinghouse.Leg) -> bool:
    """
    @notice Whether a market has neither a live price nor a settled one.
    """
    return leg.status != prices.LIVE and (leg.t0 >> slots.STATUS) & 7 != slots.STATUS_SETTLED


@internal
@view
def _check_state(expected: uint256):
    if self.state != expected:
        fixed_point.fail(reasons.BACKSTOP_WRONG_STATE)


@internal
def _end():
    """
    @notice Back to where nothing is declared.
    """
    self.state = NOTHING
    self.declared_at = 0
    self.certain_at = 0
    self.settled_at = 0
    extcall CLEARINGHOUSE.set_share(0)


@internal
@view
def _is_system(account: address, s: IClearinghouse.Settings) -> bool:
    return (
        account == s.pool
        or account == s.auction
        or account == CLEARINGHOUSE.address
        or account == empty(address)
    )


# ------------------------------------------------------------------ INTERNAL: what it is worth


@internal
@pure
def _value(leg: IClearinghouse.Leg, size: int256, basis: int256) -> (int256, uint256):
    """
    @notice Of such a position in a market, by the Clearinghouse's own valuation; nothing where there is none.
    @return (unrealised PnL, maintenance) [WAD quote]
    """
    if size == 0:
        return (0, 0)
    return margin.value(
        size,
        basis,
        leg.price,
        leg.index,
        (leg.t0 >> slots.MM) & slots.MASK_20,
        leg.t1 & slots.MASK_96,
        ((leg.t1 >> slots.REWARD) & slots.MASK_22) * slots.REWARD_UNIT,
    )


@internal
@view
def _pool() -> Pool:
    """
    @notice The pool's account: its size is minus the skew, its basis is in its cash.
    """
    s: IClearinghouse.Settings = staticcall CLEARINGHOUSE.settings()
    count: uint256 = staticcall IConfigurator(s.configurator).market_count()
    by_live: uint256 = 0
    by_others: uint256 = 0
    live: uint256 = 0
    dead: uint256 = 0
    by_live, by_others, live, dead = staticcall ICollateralAuction(s.auction).worth()
    due: uint256 = self._unposted(self._credit())
    pool: Pool = Pool(
        equity=self._cash(s.pool) + convert(by_live + due, int256),
        maintenance=0,
        at_stake=0,
        unsure=convert(by_others, int256),
    )
    for id: uint256 in range(markets.MAX_MARKETS):
        if id == count:
            break
        leg: IClearinghouse.Leg = self._leg(empty(address), id)
        if leg.skew != 0:
            pnl: int256 = 0
            mm: uint256 = 0
            pnl, mm = self._value(leg, -leg.skew, 0)
            pool.equity += pnl
            pool.maintenance += mm
            if self._is_dead(leg):
                # Whichever way the price is wrong, the stable one was less so.
                price: uint256 = max(leg.price, markets.stable(leg, 0))
                pool.at_stake += convert(margin.notional(fixed_point.magnitude(leg.skew), price), int256)
    pool.unsure += pool.at_stake
    return pool


@internal
@view
def _worth() -> (int256, int256, int256):
    """
    @notice The pool's equity, less what accounts that were reported to it cannot pay: at the least, as far as is known,
            at the most [WAD quote].
    @dev A report is as old as it is: whoever doubts it reports the account again.
    """
    s: IClearinghouse.Settings = staticcall CLEARINGHOUSE.settings()
    pool: Pool = self._pool()
    reported: uint256 = staticcall ILiquidityPool(s.pool).doubtful()
    worth: int256 = pool.equity - convert(reported, int256)
    return (worth - pool.at_stake, worth, pool.equity + pool.unsure)


@internal
@view
def _is_early() -> bool:
    """
    @notice Whether the week of doubt is not over.
    """
    return block.timestamp < self.declared_at + DOUBT


@internal
@view
def _is_certain(worth: int256, at_most: int256) -> bool:
    """
    @notice Whether there is a hole: whatever is in doubt, or, once the week is over, as far as is known.
    """
    early: bool = self._is_early()
    return at_most < 0 if early else worth < 0


@internal
@pure
def _must_be_insolvent(worth: int256):
    if worth >= 0:
        fixed_point.fail(reasons.BACKSTOP_POOL_IS_SOLVENT)


@internal
@view
def _standing(account: address) -> Standing:
    """
    @notice A trader's account, net of the interest that its next touch posts.
    """
    header: uint256 = staticcall CLEARINGHOUSE.header(account)
    tokens: uint256 = 0
    interest: uint256 = 0
    tokens, interest = staticcall CLEARINGHOUSE.backing(account)
    z: Standing = Standing(equity=slots.cash_of(header) - convert(interest, int256), maintenance=0, exposure=0)
    for id: uint256 in range(MAX_TOKENS):
        if (tokens >> id) & 1 != 0:
            h: IClearinghouse.Holding = staticcall CLEARINGHOUSE.holding(account, id)
            z.equity += convert(h.maintenance, int256)
    for id: uint256 in range(markets.MAX_MARKETS):
        rest: uint256 = (header & slots.MASK_128) >> id
        if rest == 0:
            break
        if rest & 1 != 0:
            leg: IClearinghouse.Leg = self._leg(account, id)
            pnl: int256 = 0
            mm: uint256 = 0
            pnl, mm = self._value(leg, leg.size, leg.basis)
            z.equity += pnl
            z.maintenance += mm
            z.exposure += margin.notional(fixed_point.magnitude(leg.size), leg.price)
    return z


@internal
@pure
def _is_opposite(leg: IClearinghouse.Leg) -> bool:
    """
    @notice Whether a position is on the other side than the pool's, which has minus the skew.
    """
    return (leg.size > 0 and leg.skew > 0) or (leg.size < 0 and leg.skew < 0)


# ------------------------------------------------------------------ INTERNAL: deleveraging


@internal
@view
def _plan(account: address, market: uint256) -> IBackstop.Plan:
    """
    @notice What a deleveraging would do, or why not: the one place where that is decided.
    """
    plan: IBackstop.Plan = empty(IBackstop.Plan)
    s: IClearinghouse.Settings = staticcall CLEARINGHOUSE.settings()
    count: uint256 = self._market_count()
    is_system: bool = self._is_system(account, s)
    calm: bool = staticcall CLEARINGHOUSE.is_calm()
    if is_system:
        plan.why = convert(reasons.ACCOUNT_SYSTEM, uint256)
        return plan
    if market >= count:
        plan.why = convert(reasons.MARKET_UNKNOWN, uint256)
        return plan
    if not calm:
        plan.why = convert(reasons.VENUE_FROZEN_OR_IN_GRACE, uint256)
        return plan
    leg: IClearinghouse.Leg = self._leg(account, market)
    plan.price = leg.price
    if leg.status != prices.LIVE:
        plan.why = leg.status
        return plan
    pool: Pool = self._pool()
    plan.equity = pool.equity
    plan.maintenance = pool.maintenance
    plan.maintenance_after = pool.maintenance
    if plan.equity >= convert(pool.maintenance, int256):
        plan.why = convert(reasons.BACKSTOP_POOL_IS_HEALTHY, uint256)
        return plan
    if plan.equity + pool.unsure >= convert(pool.maintenance, int256):
        plan.why = convert(reasons.BACKSTOP_A_PRICE_IS_NOT_LIVE, uint256)
        return plan
    z: Standing = self._standing(account)
    pnl: int256 = 0
    mm: uint256 = 0
    pnl, mm = self._value(leg, leg.size, leg.basis)
    if z.equity < convert(z.maintenance, int256):
        plan.why = convert(reasons.BACKSTOP_ACCOUNT_IS_UNHEALTHY, uint256)
        return plan
    if not self._is_opposite(leg):
        plan.why = convert(reasons.BACKSTOP_NOT_OPPOSITE_THE_POOL, uint256)
        return plan
    if pnl <= 0:
        plan.why = convert(reasons.BACKSTOP_NOT_PROFITABLE, uint256)
        return plan
    own: uint256 = fixed_point.magnitude(leg.size)
    closed: uint256 = self._least(leg, plan.equity + pool.unsure, plan.maintenance)
    left: uint256 = own - closed
    if left != 0 and left >> slots.LOT_BITS == 0:
        # All of it, unless that is more than the pool has; then a lot stays.
        closed = own if own <= fixed_point.magnitude(leg.skew) else own - (1 << slots.LOT_BITS)
    if closed == 0:
        plan.why = convert(reasons.BACKSTOP_NOTHING_TO_CLOSE, uint256)
        return plan
    plan.closed = closed
    plan.maintenance_after = self._maintenance_after(leg, plan.maintenance, closed)

    # The account as it would be: by the Clearinghouse's own fill.
    delta: int256 = -convert(closed, int256) if leg.size > 0 else convert(closed, int256)
    size: int256 = 0
    basis: int256 = 0
    realised: int256 = 0
    cost: int256 = 0
    size, basis, realised, cost = curve.fill(leg.size, leg.basis, delta, leg.price, leg.index)
    pnl_after: int256 = 0
    mm_after: uint256 = 0
    pnl_after, mm_after = self._value(leg, size, basis)
    kept: bool = margin.no_worse(
        z.equity, z.maintenance, z.equity - pnl + realised + pnl_after, z.maintenance - mm + mm_after
    )
    if not kept:
        plan.why = convert(reasons.BACKSTOP_HEALTH_WOULD_FALL, uint256)
    return plan


@internal
@view
def _least(leg: IClearinghouse.Leg, equity: int256, maintenance: uint256) -> uint256:
    """
    @notice The least that must be closed for the pool's maintenance to fall to its equity over the target; all that
            can be, where that is not enough.
    """
    most: uint256 = min(fixed_point.magnitude(leg.size), fixed_point.magnitude(leg.skew))
    if equity <= 0:
        return most
    allowed: uint256 = convert(equity, uint256) * WAD // TARGET
    # The requirement never rises as the size falls; nothing closed is too little.
    low: uint256 = 0
    high: uint256 = most
    for step: uint256 in range(96):
        if high - low <= 1:
            break
        middle: uint256 = (low + high) // 2
        if self._maintenance_after(leg, maintenance, middle) <= allowed:
            high = middle
        else:
            low = middle
    return high


@internal
@pure
def _maintenance_after(leg: IClearinghouse.Leg, maintenance: uint256, closed: uint256) -> uint256:
    """
    @notice The pool's, once so much of its position in a market is closed.
    """
    crowd: uint256 = fixed_point.magnitude(leg.skew)
    was: uint256 = self._value(leg, convert(crowd, int256), 0)[1]
    now: uint256 = self._value(leg, convert(crowd - closed, int256), 0)[1]
    return maintenance - was + now
