# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
# pragma optimize codesize
"""
@title Clearinghouse
@license AGPL-3.0-only
@notice The cross-margin account: shared collateral, positions, prices, and a liquidation that anyone may call.
@dev Everything is an account: the pool's is the LiquidityPool's address, the insurance fund's is this contract's.
     Every size changes in `_fill`, every valuation is a `Sum`, every fact has one writing module.
     Nothing here is upgradeable and nobody owns it; market terms come from the Configurator alone.
@custom:security Locks reentrancy on every external function, views included. The only foreign calls are to the
     quote token and, gas-capped and static, to price feeds.
"""

from ethereum.ercs import IERC20
from ethereum.ercs import IERC20Detailed

from modules import collateral
from modules import curve
from modules import fixed_point
from modules import ledger
from modules import liquidation
from modules import margin
from modules import markets
from modules import outflow
from modules import prices
from modules import reasons
from modules import slots
from interfaces import IClearinghouse
from interfaces import ISequencerGuard

implements: IClearinghouse

initializes: ledger
initializes: collateral[ledger := ledger]
initializes: markets


interface IPeer:
    def clearinghouse() -> address: view
    def keeper_share_ppm() -> uint256: view


interface IAuction:
    def open(token: uint256, amount: uint256, to_insurance: uint256, to_pool: uint256, surplus_to: address): nonpayable


# ------------------------------------------------------------------ CONSTANTS

PPM: constant(uint256) = 10**6
WAD: constant(uint256) = 10**18
MAX_LEGS: constant(uint256) = 32
MAX_BATCH: constant(uint256) = 64
PERMIT: constant(Bytes[4]) = method_id("permit(address,address,uint256,uint256,uint8,bytes32,bytes32)")

# ------------------------------------------------------------------ IMMUTABLES

AUCTION: immutable(IAuction)
BACKSTOP: immutable(address)  # closes what a settlement or a broke pool leaves, flat
CONFIGURATOR: immutable(address)
KEEPER_SHARE_PPM: immutable(uint256)  # of the liquidation fee
INSURANCE_SHARE_PPM: immutable(uint256)  # of the taker fee
PROFIT_WEIGHT_PPM: immutable(uint256)  # of a net unrealised profit, when opening
MAX_POOL_LEVERAGE_PPM: immutable(uint256)  # exposure over the pool's NAV
TOP_UP_PER_BLOCK: immutable(uint256)  # [WAD quote] the insurance fund's, for flat rewards
OUTFLOW: immutable(uint256)  # [raw] that may always leave in an hour << 20 | [ppm] of the quote held; 0: no limit
SEQUENCER: immutable(ISequencerGuard)  # zero: none

# ------------------------------------------------------------------ STORAGE

_least_held: uint256  # hour << 128 | [raw] quote that is held to its end, whatever leaves
_topped_up: uint256  # block << 128 | [WAD quote] paid in that block; never above TOP_UP_PER_BLOCK


# ------------------------------------------------------------------ TYPES


struct Sum:  # of the legs of one account
    pnl: int256  # [WAD quote] unrealised, net
    opening_pnl: int256  # [WAD quote] the same, for opening and withdrawing
    maintenance: uint256  # [WAD quote]
    initial: uint256  # [WAD quote]
    legs: uint256
    dead: bool  # some leg has no valid price


struct Filled:  # what a fill left behind
    size: int256  # [WAD base] of the account
    basis: int256  # [WAD quote] of the account
    realised: int256  # [WAD quote] to the account's cash
    cost: int256  # [WAD quote] owed to the pool's cash
    skew: int256  # [WAD base]
    lots: uint256
    exposure_change: int256  # [WAD quote]


struct Sale:  # what a seizure came to [WAD quote]
    credit: uint256  # for what was seized
    fee: uint256  # on it
    share: uint256  # of the fee, to the keeper
    proceeds: int256  # to the account
    insurance: uint256  # of the insurance fund, then
    from_pool: uint256  # of the credit


# ------------------------------------------------------------------ CONSTRUCTOR


@deploy
def __init__(s: IClearinghouse.Settings):
    """
    @param s [struct] what is fixed for good, see IClearinghouse; `unit` is worked out from the quote token
    @custom:reverts "ledger: over 18 decimals", "settings: ..." when the contracts do not point at each other, or a
                    share is above 1
    """
    decimals: uint256 = convert(staticcall IERC20Detailed(s.quote).decimals(), uint256)
    assert decimals <= 18, "ledger: over 18 decimals"
    # Their addresses and this one were computed before any of them existed: make sure of them.
    of_pool: address = staticcall IPeer(s.pool).clearinghouse()
    of_configurator: address = staticcall IPeer(s.configurator).clearinghouse()
    known_share_ppm: uint256 = staticcall IPeer(s.configurator).keeper_share_ppm()
    of_auction: address = staticcall IPeer(s.auction).clearinghouse()
    of_backstop: address = staticcall IPeer(s.backstop).clearinghouse()
    assert of_auction == self, "settings: auction of another"
    assert of_pool == self, "settings: pool of another"
    assert of_configurator == self, "settings: configurator of another"
    assert of_backstop == self, "settings: backstop of another"
    assert known_share_ppm == s.keeper_share_ppm, "settings: keeper share"
    assert max(max(s.keeper_share_ppm, s.insurance_share_ppm), s.profit_weight_ppm) <= PPM, "settings: share above 1"
    assert s.stable_speed_ppm != 0 and s.stable_speed_ppm <= PPM, "settings: stable speed"
    assert s.outflow_ppm <= PPM, "settings: share above 1"
    assert s.outflow_ppm != 0 or s.outflow_floor == 0, "settings: outflow floor"
    ledger.__init__(s.quote, decimals, s.pool)
    collateral.__init__(s.stable_speed_ppm)
    AUCTION = IAuction(s.auction)
    BACKSTOP = s.backstop
    CONFIGURATOR = s.configurator
    KEEPER_SHARE_PPM = s.keeper_share_ppm
    INSURANCE_SHARE_PPM = s.insurance_share_ppm
    PROFIT_WEIGHT_PPM = s.profit_weight_ppm
    MAX_POOL_LEVERAGE_PPM = s.max_pool_leverage_ppm
    TOP_UP_PER_BLOCK = s.top_up_per_block
    OUTFLOW = (s.outflow_floor << 20) | s.outflow_ppm
    SEQUENCER = ISequencerGuard(s.sequencer)


# ------------------------------------------------------------------ EXTERNAL: money


@external
def deposit(account: address, token: address, amount: uint256) -> uint256:
    """
    @notice Pay tokens of the caller's into any trader's account, or into the insurance fund's.
    @dev Credits what arrived. The pool's account takes deposits from the LiquidityPool alone.
    @param account [address] to credit
    @param token [address] the quote token or a collateral token; a stranger may add only what the account has some of
    @param amount [raw] to pull from the caller, who has approved it
    @return [raw] what arrived
    @custom:access anyone, with his own tokens
    @custom:reverts "ledger: zero amount", "account: system", "ledger: unknown token", "account: not yours",
                    "prices: ...", "collateral: being delisted", "ledger: transfer failed", "caps: collateral",
                    "ledger: deposit too large", "deposit: in a settlement"
    @custom:spec ACC-6, LED-9, COL-1
    """
    return self._deposit(account, token, amount)


@external
def deposit_with_permit(
    account: address, token: address, amount: uint256, deadline: uint256, v: uint8, r: bytes32, s: bytes32
) -> uint256:
    """
    @notice `deposit`, with the caller's ERC-2612 permit for it.
    @dev A permit that somebody has already used, or that the token refuses, does not stop a deposit that is approved.
    @param account [address] to credit
    @param token [address] the quote token or a collateral token
    @param amount [raw] to pull from the caller, and what the permit is for
    @param deadline [unix s] of the permit
    @param v [id] 27 or 28, of the permit's signature
    @param r [packed] of the permit's signature
    @param s [packed] of the permit's signature
    @return [raw] what arrived
    @custom:access anyone, with his own tokens
    @custom:reverts as `deposit`; the token's own reason where nothing is approved
    @custom:spec ACC-6
    """
    used: bool = raw_call(
        token,
        abi_encode(msg.sender, self, amount, deadline, v, r, s, method_id=PERMIT),
        revert_on_failure=False,
    )
    return self._deposit(account, token, amount)


@external
def withdraw(account: address, token: address, amount: uint256, receiver: address):
    """
    @notice Send tokens out of an account. Unrealised profit cannot be withdrawn, unrealised loss is held back.
    @dev Without positions and debt no price is read: what is there can always be taken, to the last raw unit.
    @param account [address] to debit, one of the caller's
    @param token [address] the quote token or a collateral token
    @param amount [raw]
    @param receiver [address]
    @custom:access owner of the account
    @custom:reverts "account: not yours", "ledger: zero amount", "withdraw: bad receiver", "margin: not enough cash",
                    "ledger: unknown token", "margin: not enough tokens", "venue: frozen or in grace",
                    "margin: dead leg", "margin: below initial", "caps: debt", "withdraw: outflow limit",
                    "withdraw: settlement waits", "ledger: transfer failed"
    @custom:spec MGN-5, MGN-7, PRC-4, PRC-5, COL-2, LIQ-8, LIQ-11, GOV-4
    """
    self._check_owner(account)
    self._check_amount(amount)
    if receiver == empty(address) or receiver == self:
        fixed_point.fail(reasons.WITHDRAW_BAD_RECEIVER)
    header: uint256 = ledger.post(account)
    trader: bool = account != ledger.POOL  # whose lines its own contract keeps (LPV-3): its cash is mostly basis
    sent: uint256 = amount
    if token == ledger.QUOTE.address:
        word: uint256 = ledger._custody
        custody: uint256 = word & slots.MASK_128
        share: uint256 = word >> slots.SHARE
        wide: uint256 = min(amount, slots.MASK_128)  # no cash is as much
        if share != 0:  # a settlement: each claim is paid the same share, and the pool keeps the rest
            sent = unsafe_mul(wide, unsafe_sub(share, 1)) // WAD
        taken: int256 = convert(convert(unsafe_mul(wide, ledger.UNIT), bytes32), int256)
        if sent > custody or (trader and slots.cash_of(header) < taken):
            fixed_point.fail(reasons.MARGIN_NOT_ENOUGH_CASH)
        if sent == 0:
            fixed_point.fail(reasons.WITHDRAW_SETTLEMENT_WAITS)
        # Whatever it leaves by: what no rule foresees is slow, too.
        least: uint256 = self._least_of_hour()
        if unsafe_sub(custody, sent) < least:
            fixed_point.fail(reasons.WITHDRAW_OUTFLOW_LIMIT)
        ledger.add_cash(account, unsafe_sub(0, taken))
        ledger.add_cash(ledger.POOL, convert(unsafe_mul(unsafe_sub(wide, sent), ledger.UNIT), int256))
        ledger._custody = unsafe_sub(word, sent)
        header = ledger._headers[account]
    else:
        header = collateral.give(account, collateral.id_of(token), amount)
    if trader:
        total: Sum = self._value(account, header & slots.MASK_128, True)
        if total.legs != 0 or min(slots.cash_of(header), 0) != 0:
            self._check_margin(total, slots.cash_of(header), collateral.value(account, header).initial, 0)
    ledger.push(IERC20(token), sent, receiver)
    log IClearinghouse.Withdrawn(account=account, token=token, receiver=receiver, amount=sent)


# ------------------------------------------------------------------ EXTERNAL: trading


@external
def trade(account: address, market: uint256, size_delta: int256, limit_price: uint256) -> uint256:
    """
    @notice Buy or sell against the pool at its quote, instant spread included.
    @dev Order: value, accrue, quote, fill, caps, fee, margin. Rounds against the account.
         A position is closed or at least a lot (2**32 wei of base), and no trade is larger than the skew scale.
     What only reduces passes the caps, and below the initial margin too if health does not fall.
         The Backstop trades for anybody, but only to reduce, at the market's price without curve, spread or fee, and
         whatever the feed says: it knows which markets are settled and whom a broke pool deleverages.
    @param account [address] one of the caller's
    @param market [id]
    @param size_delta [WAD base] above zero buys, below sells
    @param limit_price [WAD quote/base] the worst acceptable fill price
    @return [WAD quote/base] the fill price
    @custom:access owner of the account; the Backstop
    @custom:reverts "account: not yours", "account: system", "trade: zero size", "market: unknown", "prices: ...",
                    "trade: size out of range", "trade: past limit price", "market: reduce only",
                    "account: 32 markets at most", "market: paused", "caps: ...", "venue: frozen or in grace",
                    "margin: dead leg", "margin: below initial", "margin: health would fall"
    @custom:spec QTE-1 to QTE-5, MGN-7, LED-6, LED-7, LIQ-9, PRC-6
    """
    flat: bool = msg.sender == BACKSTOP
    if not flat:
        self._check_owner(account)
    self._check_trader(account)
    if size_delta == 0:
        fixed_point.fail(reasons.TRADE_ZERO_SIZE)
    self._check_listed(market)

    # Before: what the account is without this leg, and what this leg adds.
    was: uint256 = ledger.post(account)
    header: uint256 = was
    cash: int256 = slots.cash_of(header)
    backing: collateral.Backing = empty(collateral.Backing)
    bit: uint256 = 1 << market
    others: Sum = empty(Sum)
    leg: IClearinghouse.Leg = self._leg(account, market)
    if not flat:
        backing = collateral.value(account, header)
        others = self._value(account, header & slots.MASK_128 & ~bit, True)
        prices.must_be_live(leg.status)
    stable: uint256 = markets.stable(leg, collateral.STABLE_SPEED_PPM)
    scale: int256 = convert(convert(leg.t1 & slots.MASK_96, bytes32), int256)
    after: int256 = unsafe_add(leg.size, size_delta)
    dust: bool = after != 0 and fixed_point.magnitude(after) >> slots.LOT_BITS == 0
    reduces: bool = curve.only_reduces(leg.size, size_delta)
    if dust or size_delta > scale or size_delta < unsafe_sub(0, scale) or (flat and not reduces):
        fixed_point.fail(reasons.TRADE_SIZE_OUT_OF_RANGE)
    before: Sum = self._with(others, leg, stable)

    # The fill, against the pool.
    price: uint256 = leg.price
    fee_ppm: uint256 = 0
    if not flat:
        price = curve.fill_price(
            leg.price, leg.skew, size_delta, leg.t1 & slots.MASK_96, unsafe_add(leg.t1 >> slots.SPREAD, leg.surge_ppm)
        )
        fee_ppm = (leg.t1 >> slots.TAKER_FEE) & slots.MASK_20
    if price > limit_price if size_delta > 0 else price < limit_price:
        fixed_point.fail(reasons.TRADE_PAST_LIMIT_PRICE)
    f: Filled = self._fill(account, leg, size_delta, price, flat, markets.steady(leg.t1, stable))
    if not reduces:
        # In a settlement, too: it closes at the oracle's price, and who sold above it to be closed had the difference.
        if unsafe_add((leg.t0 >> slots.STATUS) & 7, ledger._custody >> slots.SHARE) != slots.STATUS_OPEN:
            fixed_point.fail(reasons.MARKET_REDUCE_ONLY)
        if others.legs == MAX_LEGS:
            fixed_point.fail(reasons.ACCOUNT_32_MARKETS_AT_MOST)
        markets.check_caps(
            market, leg.skew, f.skew, slots.open_interest(f.lots, f.skew), f.exposure_change, MAX_POOL_LEVERAGE_PPM
        )
    leg.size = f.size
    leg.basis = f.basis
    leg.skew = f.skew

    # The fee, from cash.
    fee: uint256 = unsafe_mul(unsafe_mul(fixed_point.magnitude(size_delta), price), fee_ppm)
    fee = fixed_point.ceil_div(fee, WAD * PPM)
    to_insurance: uint256 = unsafe_div(unsafe_mul(fee, INSURANCE_SHARE_PPM), PPM)
    cash_after: int256 = unsafe_sub(unsafe_add(cash, f.realised), convert(convert(fee, bytes32), int256))
    header = header | bit if leg.size != 0 else header & ~bit
    ledger.write_header(account, slots.with_cash(header, cash_after), was)
    ledger.add_cash(ledger.POOL, unsafe_add(f.cost, convert(unsafe_sub(fee, to_insurance), int256)))
    ledger.add_cash(self, convert(convert(to_insurance, bytes32), int256))
    markets.book(f.exposure_change, 0)
    if flat:
        return price
    log IClearinghouse.FeePaid(account=account, market=market, fee=fee, to_insurance=to_insurance)

    # After: the initial margin, or no worse than before.
    total: Sum = self._with(others, leg, stable)
    if not reduces:
        self._check_margin(total, cash_after, backing.initial, PROFIT_WEIGHT_PPM)
        return price
    tokens: int256 = convert(backing.maintenance, int256)
    kept: bool = margin.no_worse(
        unsafe_add(unsafe_add(cash, before.pnl), tokens),
        before.maintenance,
        unsafe_add(unsafe_add(cash_after, total.pnl), tokens),
        total.maintenance,
    )
    opening: int256 = unsafe_add(
        margin.equity(cash_after, total.opening_pnl, PROFIT_WEIGHT_PPM), convert(backing.initial, int256)
    )
    if not kept and (total.dead or opening < convert(total.initial, int256)):
        fixed_point.fail(reasons.MARGIN_HEALTH_WOULD_FALL)
    return price


# ------------------------------------------------------------------ EXTERNAL: liquidation


@external
def liquidate(account: address) -> uint256:
    """
    @notice Close every live position of an account whose health is below 1, and be paid for it.
    @dev Needs no capital and moves no token. Never reverts for an unhealthy account, whatever its feeds do:
         a leg without a valid price is valued at its last good one and left open.
    @param account [address]
    @return [WAD quote] the reward, credited to the caller's account
    @custom:access anyone
    @custom:reverts "account: system", "venue: frozen or in grace", "liquidation: account is healthy",
                    "prices: too little gas"
    @custom:spec LIQ-1 to LIQ-6
    """
    return self._must(account, False)


@external
def liquidate_many(accounts: DynArray[address, MAX_BATCH]) -> uint256:
    """
    @notice Liquidate those of `accounts` that are unhealthy, skipping the rest.
    @param accounts [address] at most 64
    @return [WAD quote] the rewards together
    @custom:access anyone
    @custom:reverts "venue: frozen or in grace", "prices: too little gas"
    @custom:spec LIQ-1
    """
    total: uint256 = 0
    for account: address in accounts:
        if not self._is_system(account):
            done: bool = False
            reward: uint256 = 0
            done, reward = self._liquidate(account, False)
            total = unsafe_add(total, reward)
    return total


@external
def convert_collateral(account: address) -> uint256:
    """
    @notice Auction some of an account's collateral to repay its debt, once that is past its caps or its health under
            the margin call line. Never lowers its health.
    @param account [address]
    @return [WAD quote] the keeper's share of the fee, credited to the caller's account
    @custom:access anyone
    @custom:reverts "account: system", "venue: frozen or in grace", "convert: not called", "prices: too little gas"
    @custom:spec COL-3
    """
    return self._must(account, True)


# ------------------------------------------------------------------ EXTERNAL: upkeep


@external
def settle(account: address) -> int256:
    """
    @notice Move an account's net unrealised loss, as far as its prices are live, into its cash: equity stays.
    @param account [address]
    @return [WAD quote] what was added to its cash, below zero
    @custom:access anyone
    @custom:reverts "venue: frozen or in grace", "settle: no net loss"
    @custom:spec COL-2
    """
    self._check_calm()
    header: uint256 = ledger.post(account)
    net: int256 = 0
    for id: uint256 in range(markets.MAX_MARKETS):
        if (header >> id) & 1 != 0:
            leg: IClearinghouse.Leg = self._leg(account, id)
            if leg.status == prices.LIVE:
                pnl: int256 = self._with(empty(Sum), leg, 0).pnl
                basis: int256 = unsafe_add(leg.basis, pnl)
                ledger._positions[ledger.key(account, id)] = slots.pack_position(leg.size, basis)
                net = unsafe_add(net, pnl)
                log IClearinghouse.Settled(account=account, market=id, basis=basis)
    if net >= 0:
        fixed_point.fail(reasons.SETTLE_NO_NET_LOSS)
    ledger.add_cash(account, net)
    return net


@external
def poke(market: uint256) -> uint256:
    """
    @notice Accrue a market's funding and keep its price as the last good one.
    @param market [id]
    @return [WAD quote/base] the price
    @custom:access anyone
    @custom:reverts "market: unknown", "prices: ..." when the feed's price may not be used
    @custom:spec PRC-3, FND-1
    """
    self._check_listed(market)
    leg: IClearinghouse.Leg = markets.load(market, 0)
    prices.must_be_live(leg.status)
    markets.touch(leg, markets.stable(leg, collateral.STABLE_SPEED_PPM))
    return leg.price


@external
def set_terms(market: uint256, terms: uint256[3]):
    """
    @notice Take a market's terms, after accruing funding with the old ones.
    @param market [id]
    @param terms [packed] see modules/slots.vy; the Configurator has checked them
    @custom:access Configurator
    @custom:reverts "access: configurator only"
    @custom:spec FND-1, MGN-3
    """
    self._check_configurator()
    if markets._markets[market].t0 != 0:
        leg: IClearinghouse.Leg = markets.load(market, 0)
        stable: uint256 = markets.stable(leg, collateral.STABLE_SPEED_PPM)
        leg.t1 = terms[1]  # the stable price is stored over the greatest
        markets.touch(leg, stable)
    markets._markets[market].t0 = terms[0]
    markets._markets[market].t1 = terms[1]
    markets._caps[market] = terms[2]
    log IClearinghouse.MarketConfigured(market=market, terms=terms)


@external
def set_token(id: uint256, token: address, words: uint256[3]):
    """
    @notice Take a collateral token's terms.
    @param id [id] below 16
    @param token [address]
    @param words [packed] see modules/slots.vy; the Configurator has checked them
    @custom:access Configurator
    @custom:reverts "access: configurator only"
    @custom:spec COL-1
    """
    self._check_configurator()
    collateral.set_terms(id, token, words)


@external
def set_credit(credit: uint256, seizing: uint256):
    """
    @notice Take the terms of debt and of seizures, after accruing interest with the old ones.
    @param credit [packed] see modules/slots.vy; the Configurator has checked them
    @param seizing [packed] likewise
    @custom:access Configurator
    @custom:reverts "access: configurator only"
    @custom:spec COL-2, COL-3
    """
    self._check_configurator()
    ledger._accrue()
    ledger._credit = credit
    ledger._seizing = seizing


@external
def poke_token(token: address) -> uint256:
    """
    @notice Keep a collateral token's price, or that its feed has died: its worth fades from then.
    @param token [address]
    @return [WAD quote/base] the price, or the last good one
    @custom:access anyone
    @custom:reverts "ledger: unknown token"
    @custom:spec LIQ-4
    """
    return collateral.poke(collateral.id_of(token))


@external
def set_calm(calm_from: uint256):
    """
    @notice Until then nobody is liquidated, opens or enlarges, or withdraws from under positions or debt.
    @param calm_from [unix s]
    @custom:access Configurator
    @custom:reverts "access: configurator only"
    @custom:spec LIQ-8, GOV-1
    """
    self._check_configurator()
    markets._book = (markets._book & ~(slots.MASK_32 << slots.CALM_FROM)) | (calm_from << slots.CALM_FROM)


@external
def set_share(share: uint256):
    """
    @notice Pay so much of every claim on quote from now on, the pool keeping the rest: a settlement.
    @param share [WAD] plus one; 0: no settlement, claims are paid in full; 1: none is paid yet
    @custom:access Backstop
    @custom:reverts "access: backstop only"
    @custom:spec LIQ-11
    """
    self._check_backstop()
    ledger._custody = (ledger._custody & slots.MASK_128) | (share << slots.SHARE)


@external
def set_nav(nav: int256):
    """
    @notice Keep what the pool says it is worth now: it bounds the exposure it may take on.
    @param nav [WAD quote]
    @custom:access LiquidityPool
    @custom:reverts "access: pool only"
    @custom:spec QTE-4
    """
    if msg.sender != ledger.POOL:
        fixed_point.fail(reasons.ACCESS_POOL_ONLY)
    markets.know_nav(nav)


# ------------------------------------------------------------------ VIEWS


@external
@view
def health(account: address) -> uint256:
    """
    @notice Equity over maintenance margin. Below 1e18 the account can be liquidated.
    @param account [address]
    @return [WAD] rounded down; 0 when equity is negative, the greatest uint256 without positions
    @custom:access anyone
    @custom:spec MGN-6
    """
    header: uint256 = ledger._headers[account]
    total: Sum = self._value(account, header & slots.MASK_128, False)
    owned: uint256 = collateral.value(account, header).maintenance
    equity: int256 = unsafe_add(unsafe_add(slots.cash_of(header), total.pnl), convert(owned, int256))
    interest: int256 = convert(convert(ledger.interest_of(account, header), bytes32), int256)
    return margin.health(unsafe_sub(equity, interest), total.maintenance)


@external
@view
def header(account: address) -> uint256:
    """
    @notice Cash, flags and markets of an account.
    @param account [address]
    @return [packed] see modules/slots.vy
    @custom:access anyone
    """
    return ledger._headers[account]


@external
@view
def leg(account: address, market: uint256) -> IClearinghouse.Leg:
    """
    @notice A market as of this block, price read and funding accrued, and the account's position in it.
    @param account [address] the zero address for the market alone
    @param market [id] below 128
    @return [struct] see IClearinghouse
    @custom:access anyone
    """
    return self._leg(account, market)


@external
@view
def market_words(market: uint256) -> IClearinghouse.Words:
    """
    @notice A market's terms and state as stored.
    @param market [id] below 128
    @return [packed] see modules/slots.vy
    @custom:access anyone
    """
    hot: markets.Hot = markets._markets[market]
    return IClearinghouse.Words(t0=hot.t0, t1=hot.t1, t2=markets._caps[market], a=hot.a, b=hot.b)


@external
@view
def settings() -> IClearinghouse.Settings:
    """
    @notice What was fixed at deployment.
    @return [struct] see IClearinghouse
    @custom:access anyone
    """
    return IClearinghouse.Settings(
        quote=ledger.QUOTE.address,
        unit=ledger.UNIT,
        pool=ledger.POOL,
        configurator=CONFIGURATOR,
        auction=AUCTION.address,
        keeper_share_ppm=KEEPER_SHARE_PPM,
        insurance_share_ppm=INSURANCE_SHARE_PPM,
        profit_weight_ppm=PROFIT_WEIGHT_PPM,
        max_pool_leverage_ppm=MAX_POOL_LEVERAGE_PPM,
        top_up_per_block=TOP_UP_PER_BLOCK,
        backstop=BACKSTOP,
        sequencer=SEQUENCER.address,
        stable_speed_ppm=collateral.STABLE_SPEED_PPM,
        outflow_ppm=OUTFLOW & slots.MASK_20,
        outflow_floor=OUTFLOW >> 20,
    )


@external
@view
def globals() -> IClearinghouse.Globals:
    """
    @notice Quote held for accounts, the pool's book, and what bounds payments.
    @return [struct] see IClearinghouse
    @custom:access anyone
    @custom:spec LIQ-11, GOV-4
    """
    word: uint256 = ledger._custody
    return IClearinghouse.Globals(
        custody=word & slots.MASK_128,
        book=markets._book,
        topped_up=self._topped_up,
        share=word >> slots.SHARE,
        least_held=self._least_held,
    )


@external
@view
def is_calm() -> bool:
    """
    @notice Whether nothing but deposits and reductions must wait: no freeze, no sequencer that is down or was.
    @return [bool]
    @custom:access anyone
    @custom:spec LIQ-8
    """
    return self._is_calm()


@external
@view
def credit() -> uint256[5]:
    """
    @notice All debts, what they cost, and how tokens are seized.
    @return [packed] debts, credit and seizing, see modules/slots.vy; [WAD] the debt index as of now;
            [WAD quote] all debts over the index each was stored at: times that of now, what is owed with interest
    @custom:access anyone
    """
    return [ledger._debts, ledger._credit, ledger._seizing, ledger.debt_index(), ledger._scaled]


@external
@view
def backing(account: address) -> (uint256, uint256):
    """
    @notice The tokens and the debt of an account.
    @param account [address]
    @return [packed] its second word, see modules/slots.vy; [WAD quote] interest that is not posted yet
    @custom:access anyone
    """
    return (ledger._backings[account], ledger.interest_of(account, ledger._headers[account]))


@external
@view
def holding(account: address, id: uint256) -> IClearinghouse.Holding:
    """
    @notice What an account holds of a collateral token, valued as of this block.
    @param account [address] the zero address for the token alone
    @param id [id] below 16
    @return [struct]
    @custom:access anyone
    """
    return collateral.load(account, id)


@external
@view
def token_words(id: uint256) -> uint256[4]:
    """
    @notice A collateral token's terms and state as stored.
    @param id [id] below 16
    @return [packed] token 0 to 2 and holding: see modules/slots.vy
    @custom:access anyone
    """
    token: collateral.Token = collateral._tokens[id]
    return [token.t0, token.t1, collateral._limits[id], token.holding]


# ------------------------------------------------------------------ INTERNAL


@internal
@view
def _check_owner(account: address):
    """
    @dev An owner's accounts differ from his address in the last byte alone (ACC-1).
    """
    if convert(account, uint256) ^ convert(msg.sender, uint256) > 255:
        fixed_point.fail(reasons.ACCOUNT_NOT_YOURS)


@internal
@view
def _check_margin(total: Sum, cash: int256, tokens: uint256, profit_weight_ppm: uint256):
    """
    @notice Whether an account may take on more risk, or give something away, and be as it then is.
    @param tokens what its collateral counts at initial weights
    """
    self._check_calm()
    if total.dead:
        fixed_point.fail(reasons.MARGIN_DEAD_LEG)
    opening: int256 = margin.equity(cash, total.opening_pnl, profit_weight_ppm)
    if unsafe_add(opening, convert(tokens, int256)) < convert(total.initial, int256):
        fixed_point.fail(reasons.MARGIN_BELOW_INITIAL)
    debt: uint256 = self._debt(cash, total.opening_pnl)
    if debt != 0:
        everybodys: uint256 = unsafe_add(ledger._debts & slots.MASK_128, debt)
        everybodys = unsafe_sub(everybodys, fixed_point.magnitude(min(cash, 0)))  # his own is in it, as far as booked
        if everybodys > ledger._credit & slots.MASK_96 or self._over_ratio(debt, tokens):
            fixed_point.fail(reasons.CAPS_DEBT)


@internal
@pure
def _debt(cash: int256, pnl: int256) -> uint256:
    """
    @notice Cash below zero; a net unrealised loss counts as debt too.
    """
    return fixed_point.magnitude(min(unsafe_add(cash, min(pnl, 0)), 0))


@internal
def _deposit(account: address, token: address, amount: uint256) -> uint256:
    self._check_amount(amount)
    arrived: uint256 = 0
    if token == ledger.QUOTE.address:
        by_peer: bool = msg.sender == ledger.POOL or msg.sender == AUCTION.address
        if account != self and not (account == ledger.POOL and by_peer):
            self._check_trader(account)
        # In a settlement only a share could be had back: debts are still repaid, the fund may still be helped, and lots
        # still bring what they bring.
        if (
            ledger._custody >> slots.SHARE != 0
            and msg.sender != AUCTION.address
            and account != self
            and ledger._headers[account] >> 255 == 0
        ):
            fixed_point.fail(reasons.DEPOSIT_IN_A_SETTLEMENT)
        self._least_of_hour()  # before the hour's first movement
        arrived = ledger.pull(ledger.QUOTE, amount)
        ledger.credit(account, arrived)
    else:
        self._check_trader(account)
        id: uint256 = collateral.id_of(token)
        if collateral._held[ledger.key(account, id)] == 0:
            self._check_owner(account)
        arrived = collateral.receive(account, id, token, amount)
    log IClearinghouse.Deposited(account=account, token=token, sender=msg.sender, amount=arrived)
    return arrived


@internal
@view
def _over_ratio(debt: uint256, worth: uint256) -> bool:
    """
    @notice Whether a debt is more than collateral of such a `worth` may carry.
    """
    return unsafe_mul(debt, PPM) > unsafe_mul(worth, (ledger._credit >> slots.DEBT_RATIO) & slots.MASK_20)


@internal
@view
def _is_calm() -> bool:
    calm_from: uint256 = (markets._book >> slots.CALM_FROM) & slots.MASK_32
    if block.timestamp < calm_from:
        return False
    return SEQUENCER.address == empty(address) or staticcall SEQUENCER.is_up()


@internal
@view
def _check_calm():
    if not self._is_calm():
        fixed_point.fail(reasons.VENUE_FROZEN_OR_IN_GRACE)


@internal
def _least_of_hour() -> uint256:
    """
    @notice What must be held to the end of this hour [raw]; kept with the hour's first movement, before it.
    """
    if OUTFLOW == 0:
        return 0
    word: uint256 = outflow.least_held(
        self._least_held, ledger._custody & slots.MASK_128, OUTFLOW & slots.MASK_20, OUTFLOW >> 20
    )
    self._least_held = word
    return word & slots.MASK_128


@internal
@view
def _is_system(account: address) -> bool:
    return (
        account == ledger.POOL
        or account == self
        or account == AUCTION.address
        or account == empty(address)
    )


@internal
@view
def _check_trader(account: address):
    if self._is_system(account):
        fixed_point.fail(reasons.ACCOUNT_SYSTEM)


@internal
@view
def _check_configurator():
    if msg.sender != CONFIGURATOR:
        fixed_point.fail(reasons.ACCESS_CONFIGURATOR_ONLY)


@internal
@view
def _check_backstop():
    if msg.sender != BACKSTOP:
        fixed_point.fail(reasons.ACCESS_BACKSTOP_ONLY)


@internal
@pure
def _check_amount(amount: uint256):
    if amount == 0:
        fixed_point.fail(reasons.LEDGER_ZERO_AMOUNT)


@internal
@view
def _check_listed(market: uint256):
    if market >= markets.MAX_MARKETS or markets._markets[market].t0 == 0:
        fixed_point.fail(reasons.MARKET_UNKNOWN)


@internal
@view
def _leg(account: address, id: uint256) -> IClearinghouse.Leg:
    return markets.load(id, ledger._positions[ledger.key(account, id)])


@internal
@pure
def _with(total: Sum, leg: IClearinghouse.Leg, stable: uint256) -> Sum:
    """
    @notice `total` with one more leg in it; what counts for opening only where a stable price is given.
    """
    if leg.size == 0:
        return total
    pnl: int256 = 0
    mm: uint256 = 0
    opening_pnl: int256 = 0
    im: uint256 = 0
    scale: uint256 = leg.t1 & slots.MASK_96
    reward: uint256 = unsafe_mul((leg.t1 >> slots.REWARD) & slots.MASK_22, slots.REWARD_UNIT)
    pnl, mm = margin.value(
        leg.size, leg.basis, leg.price, leg.index, (leg.t0 >> slots.MM) & slots.MASK_20, scale, reward
    )
    if stable != 0:
        opening_pnl, im = margin.opening_value(
            leg.size,
            pnl,
            leg.price,
            stable,
            leg.skew,
            (leg.t0 >> slots.IM) & slots.MASK_20,
            scale,
            reward,
        )
    return Sum(
        pnl=unsafe_add(total.pnl, pnl),
        opening_pnl=unsafe_add(total.opening_pnl, opening_pnl),
        maintenance=unsafe_add(total.maintenance, mm),
        initial=unsafe_add(total.initial, im),
        legs=unsafe_add(total.legs, 1),
        dead=total.dead or leg.status != prices.LIVE,
    )


@internal
@view
def _value(account: address, bitmap: uint256, initial: bool) -> Sum:
    """
    @notice The legs of `account` in the markets of `bitmap`, valued.
    """
    total: Sum = empty(Sum)
    base: uint256 = ledger.key(account, 0)
    speed_ppm: uint256 = collateral.STABLE_SPEED_PPM
    for id: uint256 in range(markets.MAX_MARKETS):
        rest: uint256 = bitmap >> id
        if rest == 0:
            break
        if rest & 1 != 0:
            leg: IClearinghouse.Leg = markets.load(id, ledger._positions[base | id])
            total = self._with(total, leg, markets.stable(leg, speed_ppm) if initial else 0)
    return total


@internal
def _fill(
    account: address, leg: IClearinghouse.Leg, delta: int256, price: uint256, forced: bool, steady: uint256
) -> Filled:
    """
    @notice The one way for a size to change: `account` takes `delta` from the pool at `price`.
    @dev Writes the position and the market. The pool's size is minus the skew, and its basis goes straight
         to its cash: the caller credits `cost` to it, once a transaction.
         What is `forced` adds its size to the spread of whoever trades in the same second.
    """
    f: Filled = empty(Filled)
    f.size, f.basis, f.realised, f.cost = curve.fill(leg.size, leg.basis, delta, price, leg.index)
    f.skew = unsafe_add(leg.skew, delta)
    f.lots = unsafe_sub(
        unsafe_add(leg.lots, convert(convert(max(f.size, 0), bytes32), uint256) >> slots.LOT_BITS),
        convert(convert(max(leg.size, 0), bytes32), uint256) >> slots.LOT_BITS,
    )
    ledger._positions[ledger.key(account, leg.id)] = slots.pack_position(f.size, f.basis)
    a: uint256 = 0
    b: uint256 = 0
    surge_ppm: uint256 = leg.surge_ppm
    if forced:
        own: uint256 = convert(convert(max(delta, unsafe_sub(0, delta)), bytes32), uint256)
        part: uint256 = fixed_point.ceil_div(unsafe_mul(own, PPM), leg.t1 & slots.MASK_96)
        surge_ppm = min(unsafe_add(surge_ppm, part), slots.MAX_SURGE)
    f.exposure_change, a, b = markets.store(leg, f.lots, f.skew, surge_ppm, steady)
    log IClearinghouse.Fill(
        account=account,
        market=leg.id,
        size_delta=delta,
        price=price,
        size=f.size,
        basis=f.basis,
        state_a=a,
        state_b=b,
    )
    return f


@internal
def _must(account: address, converting: bool) -> uint256:
    """
    @notice Liquidate, or convert, one account, or say why not.
    """
    self._check_trader(account)
    done: bool = False
    reward: uint256 = 0
    done, reward = self._liquidate(account, converting)
    if not done:
        fixed_point.fail(reasons.CONVERT_NOT_CALLED if converting else reasons.LIQUIDATION_ACCOUNT_IS_HEALTHY)
    return reward


@internal
def _liquidate(account: address, converting: bool) -> (bool, uint256):
    """
    @notice Close every live leg of an unhealthy account against the pool, on the curve; share out what is left.
            Or, `converting`, leave the legs of one that is not, and sell collateral for a bounded part of its debt.
    @return (whether the account was in such a state, the keeper's reward [WAD quote])
    """
    self._check_calm()
    header: uint256 = ledger.post(account)
    bitmap: uint256 = header & slots.MASK_128
    backing: collateral.Backing = collateral.value(account, header)
    legs: DynArray[IClearinghouse.Leg, MAX_LEGS] = []
    total: Sum = empty(Sum)
    base: uint256 = ledger.key(account, 0)
    for id: uint256 in range(markets.MAX_MARKETS):
        rest: uint256 = bitmap >> id
        if rest == 0:
            break
        if rest & 1 != 0:
            leg: IClearinghouse.Leg = markets.load(id, ledger._positions[base | id])
            total = self._with(total, leg, 0)
            legs.append(leg)
    cash: int256 = slots.cash_of(header)
    equity: int256 = unsafe_add(unsafe_add(cash, total.pnl), convert(backing.maintenance, int256))
    if (equity >= convert(total.maintenance, int256)) != converting:
        return (False, 0)
    debt: int256 = min(cash, 0)
    if converting:
        terms: uint256 = ledger._seizing
        line: uint256 = unsafe_mul(total.maintenance, (terms >> slots.CALL_LINE) & slots.MASK_24)
        called: bool = unsafe_mul(equity, 10**6) < convert(convert(line, bytes32), int256)
        bound: uint256 = unsafe_mul((terms >> slots.CONVERT_BOUND) & slots.MASK_32, WAD)
        debt = max(debt, unsafe_sub(0, convert(convert(bound, bytes32), int256)))
        # By what others cannot move: his own depth, his own cap.
        owes: uint256 = fixed_point.magnitude(min(unsafe_add(cash, total.pnl), 0))
        called = called or self._over_ratio(owes, backing.maintenance)
        if debt == 0 or backing.credit == 0 or not called:
            return (False, 0)
        legs = []

    # Close.
    bill: liquidation.Bill = empty(liquidation.Bill)
    dead_pnl: int256 = 0
    to_pool: int256 = 0
    exposure_change: int256 = 0
    for leg: IClearinghouse.Leg in legs:
        if leg.status != prices.LIVE:
            dead_pnl = unsafe_add(dead_pnl, self._with(empty(Sum), leg, 0).pnl)
            continue
        own: uint256 = convert(convert(max(leg.size, unsafe_sub(0, leg.size)), bytes32), uint256)
        price: uint256 = curve.fill_price(leg.price, leg.skew, unsafe_sub(0, leg.size), leg.t1 & slots.MASK_96, 0)
        # The stable price is left as it is: nobody opens here.
        f: Filled = self._fill(
            account, leg, unsafe_sub(0, leg.size), price, True, leg.state_b & slots.MASK_48
        )
        cash = unsafe_add(cash, f.realised)
        to_pool = unsafe_add(to_pool, f.cost)
        exposure_change = unsafe_add(exposure_change, f.exposure_change)
        bitmap = bitmap ^ (1 << leg.id)

        amount: uint256 = margin.notional(own, leg.price)
        flat: uint256 = unsafe_mul((leg.t1 >> slots.REWARD) & slots.MASK_22, slots.REWARD_UNIT)
        bill.notional = unsafe_add(bill.notional, amount)
        bill.fee_ppm = unsafe_add(bill.fee_ppm, unsafe_mul(amount, (leg.t0 >> slots.LIQUIDATION_FEE) & slots.MASK_20))
        bill.closing_ppm = unsafe_add(
            bill.closing_ppm,
            unsafe_mul(amount, unsafe_add((leg.t1 >> slots.TAKER_FEE) & slots.MASK_20, leg.t1 >> slots.SPREAD)),
        )
        bill.flat = unsafe_add(bill.flat, flat)
        bill.one_flat = max(bill.one_flat, flat)

    # Charge. A dead leg's paper profit pays no fee, its paper loss spares one.
    left: int256 = unsafe_add(unsafe_add(cash, min(dead_pnl, 0)), convert(backing.credit, int256))
    split: liquidation.Split = liquidation.split(bill, left, KEEPER_SHARE_PPM)
    cash = unsafe_sub(cash, convert(split.charged, int256))
    fund: uint256 = convert(slots.cash_of(ledger._headers[self]), uint256)  # nobody else moves it in between
    insurance: uint256 = unsafe_add(fund, unsafe_sub(split.charged, split.reward))
    reward: uint256 = split.reward

    # Seize live tokens for what is missing: the fund, then the pool, stand in until their lots are sold.
    absorbed: uint256 = 0
    if not converting:
        debt = min(cash, 0)
    if debt != 0 and backing.credit != 0:
        # A fee on what is seized, too, where less than that was closed: nobody keeps a crumb of a position to spare it.
        charged: bool = bill.notional < fixed_point.magnitude(debt)
        sale: Sale = self._sell(account, debt, insurance, charged)
        cash = unsafe_add(cash, sale.proceeds)
        insurance = sale.insurance
        absorbed = sale.from_pool
        reward = unsafe_add(reward, sale.share)
        split.charged = unsafe_add(split.charged, sale.fee)
        if charged:
            bill.notional = unsafe_add(bill.notional, sale.credit)

    # The waterfall: the insurance fund, then the pool; never below zero, and only for a flat account whose
    # dead tokens, as they fade, are no longer worth the debt.
    owed: uint256 = fixed_point.magnitude(min(cash, 0))
    if owed != 0 and bitmap == 0 and not converting:
        backing = collateral.value(account, ledger._headers[account])
        if backing.maintenance < owed:
            from_insurance: uint256 = min(owed, insurance)
            # Dead tokens that were worth the debt have their surplus; others leave it to the fund, whatever they bring.
            self._seize(account, owed, from_insurance, False, account if backing.dead >= owed else self)
            insurance = unsafe_sub(insurance, from_insurance)
            from_pool: uint256 = unsafe_sub(owed, from_insurance)
            absorbed = unsafe_add(absorbed, from_pool)
            cash = 0
            log IClearinghouse.BadDebt(account=account, from_insurance=from_insurance, from_pool=from_pool)
    if split.shortfall != 0:
        top_up: uint256 = self._top_up(min(split.shortfall, insurance))
        insurance = unsafe_sub(insurance, top_up)
        reward = unsafe_add(reward, top_up)

    # Write, each account in turn: the keeper may be the account's owner.
    header = ledger._headers[account]
    ledger.write_header(account, slots.with_cash((header & ~slots.MASK_128) | bitmap, cash), header)
    ledger.add_cash(ledger.POOL, unsafe_sub(to_pool, convert(absorbed, int256)))
    ledger.add_cash(self, convert(convert(unsafe_sub(insurance, fund), bytes32), int256))
    ledger.add_cash(msg.sender, convert(reward, int256))
    markets.book(exposure_change, absorbed)
    log IClearinghouse.Liquidated(
        account=account,
        keeper=msg.sender,
        equity=equity,
        maintenance=total.maintenance,
        notional=bill.notional,
        charged=split.charged,
        reward=reward,
    )
    return (True, reward)


@internal
def _sell(account: address, debt: int256, insurance: uint256, charged: bool) -> Sale:
    """
    @notice Seize live tokens for a `debt`, below zero, and for the fee on what is seized where it is `charged`.
    """
    s: Sale = empty(Sale)
    owed: uint256 = fixed_point.magnitude(debt)
    fee_ppm: uint256 = (ledger._seizing >> slots.SEIZURE_FEE) & slots.MASK_20 if charged else 0
    want: uint256 = fixed_point.ceil_div(unsafe_mul(owed, PPM), unsafe_sub(PPM, fee_ppm))
    s.credit = self._seize(account, want, insurance, True, self)
    from_insurance: uint256 = min(s.credit, insurance)
    s.fee = min(unsafe_sub(want, owed), unsafe_sub(s.credit, min(owed, s.credit)))
    s.share = unsafe_mul(s.fee, KEEPER_SHARE_PPM) // PPM
    s.proceeds = convert(unsafe_sub(s.credit, s.fee), int256)
    s.insurance = unsafe_sub(unsafe_add(insurance, unsafe_sub(s.fee, s.share)), from_insurance)
    s.from_pool = unsafe_sub(s.credit, from_insurance)
    return s


@internal
def _seize(account: address, owed: uint256, insurance: uint256, live: bool, heir: address) -> uint256:
    """
    @notice Move an account's live tokens to lots of the auction until they are worth what it owes; or all its dead
            ones, which then repay what others have paid for it, each up to its last known worth at the discount.
    @param insurance [WAD quote] what the insurance fund has: it pays first, the rest is the pool's
    @param heir to whose account goes what the lots bring beyond that
    @return [WAD quote] credit
    """
    credit: uint256 = 0
    fund: uint256 = insurance
    held: uint256 = ledger._backings[account] & slots.MASK_16
    for i: uint256 in range(collateral.MAX_TOKENS):
        if held == 0:
            break
        if live and credit >= owed:
            break
        id: uint256 = (ledger._seizing >> unsafe_mul(4, i)) & 15
        if (held >> id) & 1 == 0:
            continue  # and its feed, which may burn gas, is not read
        h: IClearinghouse.Holding = collateral.load(account, id)
        if (h.status == prices.LIVE) != live:
            continue
        if live and h.credit == 0:
            continue
        due: uint256 = unsafe_sub(owed, credit)
        amount: uint256 = h.own
        if h.credit <= due:
            due = h.credit
        elif live:
            amount = collateral.fewest(h, due)
            due = collateral.credit_of(h, amount)
        collateral.move(account, AUCTION.address, h.id, h.own, amount)
        part: uint256 = min(due, fund)
        extcall AUCTION.open(h.id, amount, part, unsafe_sub(due, part), heir)
        credit = unsafe_add(credit, due)
        fund = unsafe_sub(fund, part)
    return credit


@internal
def _top_up(wanted: uint256) -> uint256:
    """
    @notice As much of `wanted` as this block's allowance for topping up flat rewards still has.
    """
    word: uint256 = self._topped_up
    spent: uint256 = word & slots.MASK_128 if word >> 128 == block.number else 0
    paid: uint256 = min(wanted, unsafe_sub(TOP_UP_PER_BLOCK, spent))
    self._topped_up = (block.number << 128) | unsafe_add(spent, paid)
    return paid
