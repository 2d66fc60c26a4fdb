# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
# pragma optimize codesize
"""
@title Configurator
@license AGPL-3.0-only
@notice Lists markets and collateral tokens and changes their terms: readable here, checked here, packed for the Clearinghouse.
@dev Owned, in two steps and never by nobody. All the owner has is `set_terms`, inside the bounds below: no call moves
     anybody's money. But he names the feeds, and with a false one takes the pool's money and, through it, custody's:
     he should be a timelock, and what it announces should be read.
     Every rule is checked on what would be in effect, open interest beyond a lowered cap included.
     A market with open interest keeps its price bounds and, while it answers, its feed. What could hurt an open
     account, a requirement raised or another skew scale, goes in a straight line over three days or more: a ramp, which
     anybody walks, an hour's worth a call at most, however long nobody did. What lowers a requirement is done at once,
     and so is what the guardian can do: he only lowers risk. His pauses and freezes end by themselves.
     So no change of terms makes a healthy account liquidatable, but an account so near the line that an hour of a ramp
     reaches it, and that a dead feed's successor may have another price.
@custom:security The Clearinghouse accrues funding with the old terms before it takes new ones.
@custom:spec MGN-3, MGN-8, MGN-10, PRC-6, GOV-1, GOV-6, GOV-7
"""

from ethereum.ercs import IERC20Detailed
from snekmate.auth import ownable
from snekmate.auth import ownable_2step

from interfaces import IClearinghouse
from interfaces import IConfigurator
from modules import fixed_point
from modules import markets
from modules import prices
from modules import slots

implements: IConfigurator

initializes: ownable
initializes: ownable_2step[ownable := ownable]

exports: (
    ownable.owner,
    ownable_2step.pending_owner,
    ownable_2step.transfer_ownership,
    ownable_2step.accept_ownership,
)


interface AggregatorV3Interface:
    def decimals() -> uint8: view


# ------------------------------------------------------------------ CONSTANTS

PPM: constant(uint256) = 10**6
WAD: constant(uint256) = 10**18
MAX_FEE_PPM: constant(uint256) = 20_000
MAX_SPREAD_PPM: constant(uint256) = 50_000
MAX_LIQUIDATION_FEE_PPM: constant(uint256) = 100_000
MAX_RATE_PPM: constant(uint256) = 500_000  # [ppm/day]
MAX_REWARD: constant(uint256) = 1_000 * 10**18  # [WAD quote]
MIN_PRICE: constant(uint256) = 10**6  # [WAD quote/base] so that no fee is lost in a price's last digit
MAX_DEPTH: constant(uint256) = 2**106  # [WAD quote] a market's skew scale at its greatest price
MIN_NOTICE: constant(uint256) = 3 * 86_400  # [s] of a ramp, and of a settlement
MAX_NOTICE: constant(uint256) = 30 * 86_400  # [s]
DOUBT: constant(uint256) = 7 * 86_400  # [s] after a notice, for a dead price to come back or get another feed
STEP: constant(uint256) = 3_600  # [s] of a ramp, in one call at most
MAX_PAUSE: constant(uint256) = 7 * 86_400  # [s]
MAX_FREEZE: constant(uint256) = 86_400  # [s]
GRACE: constant(uint256) = 3_600  # [s] after a freeze, to put things in order
BETWEEN_FREEZES: constant(uint256) = 3 * 86_400  # [s]

MAX_TOKENS: constant(uint256) = 16
MAX_DISCOUNT_PPM: constant(uint256) = 300_000
MAX_PREMIUM_PPM: constant(uint256) = 300_000
MIN_DURATION: constant(uint256) = 600  # [s]
MAX_DURATION: constant(uint256) = 604_800  # [s]
MAX_HOLDING: constant(uint256) = 2**100  # [WAD quote] of a token at its cap and greatest price
MAX_SLOPE_PPM: constant(uint256) = 10_000_000  # [ppm/year]
MAX_CALL_LINE_PPM: constant(uint256) = 3_000_000

# ------------------------------------------------------------------ IMMUTABLES

CLEARINGHOUSE: immutable(IClearinghouse)
KEEPER_SHARE_PPM: immutable(uint256)  # of the liquidation fee; the Clearinghouse's own

# ------------------------------------------------------------------ STORAGE

market_count: public(uint256)  # ids are 0 .. market_count - 1
_names: HashMap[uint256, String[32]]
_taken: HashMap[String[32], bool]
_decimals: HashMap[uint256, uint256]  # of each market's feed, as it said when it was set
_terms: HashMap[uint256, IConfigurator.Terms]  # as last set; equal to what the Clearinghouse holds packed
_ramps: HashMap[uint256, IConfigurator.Ramp]  # of markets whose terms are on their way
paused_until: public(HashMap[uint256, uint256])  # [unix s] of each market; as the Clearinghouse holds it
settles_at: public(HashMap[uint256, uint256])  # [unix s] of a market that is delisted; 0 of the others
guardian: public(address)  # who may lower risk; nobody at first
calm_from: public(uint256)  # [unix s] the last freeze's end, grace included
collateral_count: public(uint256)  # ids are 0 .. collateral_count - 1
collateral_token: public(HashMap[uint256, address])
_is_collateral: HashMap[address, bool]
_collateral: HashMap[uint256, IConfigurator.CollateralTerms]  # as last set
_credit: IConfigurator.CreditTerms  # as last set


# ------------------------------------------------------------------ CONSTRUCTOR


@deploy
def __init__(clearinghouse: address, keeper_share_ppm: uint256):
    """
    @notice The deployer owns it.
    @param clearinghouse [address] that will take the terms; it may be deployed afterwards
    @param keeper_share_ppm [ppm] the Clearinghouse's, which checks that the two agree
    """
    assert keeper_share_ppm < PPM, "configurator: keeper share"
    ownable.__init__()
    ownable_2step.__init__()
    CLEARINGHOUSE = IClearinghouse(clearinghouse)
    KEEPER_SHARE_PPM = keeper_share_ppm


# ------------------------------------------------------------------ EXTERNAL


@external
def list_market(name: String[32], terms: IConfigurator.Terms) -> uint256:
    """
    @notice List a market. Its feed must answer with a valid price now.
    @param name [text] unique, not empty
    @param terms [struct] see IConfigurator
    @return [id] of the market
    @custom:access owner
    @custom:reverts "configurator: ..." names the rule that is broken
    @custom:spec MGN-3, PRC-1
    """
    ownable._check_owner()
    id: uint256 = self.market_count
    assert id < markets.MAX_MARKETS, "configurator: 128 markets"
    assert name != "", "configurator: empty name"
    assert not self._taken[name], "configurator: name taken"
    self._taken[name] = True
    self._names[id] = name
    self.market_count = id + 1
    self._check(terms, 0)
    self._admit(id, terms)
    self._send(id, terms)
    log IConfigurator.MarketListed(market=id, name=name, terms=terms)
    return id


@external
def configure_market(market: uint256, terms: IConfigurator.Terms):
    """
    @notice Change a market's terms at once, within what cannot hurt an open account. A ramp of its terms ends. Of one
            that is delisted, and only reduces, while its price is dead: else its feed's end would leave a price of its
            last block to settle at.
    @param market [id]
    @param terms [struct] all of them, changed or not
    @custom:access owner
    @custom:reverts "market: unknown", "configurator: ..." names the rule that is broken
    @custom:spec MGN-3, MGN-8
    """
    ownable._check_owner()
    assert market < self.market_count, "market: unknown"
    old: IConfigurator.Terms = self._terms[market]
    leg: IClearinghouse.Leg = self._leg(market)
    if self.settles_at[market] != 0:
        assert (
            leg.status != prices.LIVE and old.feed != empty(address) and terms.reduce_only
        ), "configurator: delisted"
    open_interest: uint256 = slots.open_interest(leg.lots, leg.skew)
    if open_interest != 0:  # as it is while anybody has a position: none is smaller than a lot
        assert (
            terms.min_price == old.min_price and terms.max_price == old.max_price
        ), "configurator: bounds of open market"
        # A longer `max_age` alone would bring a stale feed back to life at its old price.
        kept: bool = terms.feed == old.feed and terms.max_age == old.max_age
        replaced: bool = terms.feed != old.feed and leg.status != prices.LIVE
        assert kept or replaced, "configurator: feed of open market"
        assert terms.skew_scale == old.skew_scale, "configurator: scale of open market"
        assert (
            terms.im_ppm <= old.im_ppm
            and terms.mm_ppm <= old.mm_ppm
            and terms.reward <= old.reward
            and terms.liquidation_fee_ppm <= old.liquidation_fee_ppm
        ), "configurator: needs a ramp"
    else:  # the index outlives positions, and must stay inside what funding.accrue allows it
        assert (
            fixed_point.magnitude(leg.index) <= 64 * terms.max_price
        ), "configurator: old funding index"
    self._end_ramp(market)
    self._check(terms, open_interest)
    if terms.feed != old.feed or open_interest == 0:  # an open market may keep the feed it had, dead or alive
        self._admit(market, terms)
    self._change(market, terms)


@external
def ramp_market(market: uint256, target: IConfigurator.Terms, duration: uint256):
    """
    @notice Begin to move a market's terms to where they may hurt an open account. Anybody walks the ramp.
    @dev Margin ratios, liquidation fee, reward and skew scale go in a straight line; all the rest is changed by the last
         step. The rules hold for the target, and for what is in effect just before the last step: on the line from
         here to there none can break, as each is linear or, the depth's, convex.
         A ramp that is running is replaced, from where it has come to.
    @param market [id]
    @param target [struct] all terms, changed or not; feed, age and price bounds are the market's own
    @param duration [s] 3 to 30 days
    @custom:access owner
    @custom:reverts "market: unknown", "configurator: ..." names the rule that is broken
    @custom:spec MGN-3, MGN-10
    """
    ownable._check_owner()
    eve: IConfigurator.Terms = self._listed(market)
    assert duration >= MIN_NOTICE, "configurator: ramp too short"
    assert duration <= MAX_NOTICE, "configurator: ramp too long"
    assert (
        target.feed == eve.feed
        and target.max_age == eve.max_age
        and target.min_price == eve.min_price
        and target.max_price == eve.max_price
    ), "configurator: feed and bounds"
    leg: IClearinghouse.Leg = self._leg(market)
    open_interest: uint256 = slots.open_interest(leg.lots, leg.skew)
    self._check(target, open_interest)
    # What the greatest step moves the price by, for who holds all there may be on one side, is less than going in and out
    # costs him. Not all the skew alone: whose friend was on the other side, and has left, holds more than max_skew.
    least: uint256 = min(target.skew_scale, eve.skew_scale)
    step: uint256 = fixed_point.ceil_div((max(target.skew_scale, eve.skew_scale) - least) * STEP, duration)
    crowd: uint256 = max(eve.max_open_interest, open_interest)
    assert (
        crowd * step * PPM <= 4 * min(target.taker_fee_ppm, eve.taker_fee_ppm) * least * (least + step)
    ), "configurator: skew_scale step"
    self._ramps[market] = IConfigurator.Ramp(
        target=target,
        im_ppm=eve.im_ppm,
        mm_ppm=eve.mm_ppm,
        liquidation_fee_ppm=eve.liquidation_fee_ppm,
        reward=eve.reward,
        skew_scale=eve.skew_scale,
        duration=duration,
        progress=0,
        walked_at=block.timestamp,
    )
    eve.im_ppm = target.im_ppm
    eve.mm_ppm = target.mm_ppm
    eve.liquidation_fee_ppm = target.liquidation_fee_ppm
    eve.reward = target.reward
    eve.skew_scale = target.skew_scale
    self._check(eve, open_interest)
    log IConfigurator.RampStarted(market=market, target=target, duration=duration)


@external
def walk_ramp(market: uint256):
    """
    @notice Move a market's terms on along their ramp, by the time since they were last moved and by an hour's worth at
            most: a step is never greater than one that everybody had an hour to see coming.
    @dev Requirements are rounded down, so that none is above the line, but where the rules ask for it: by less than 2 ppm.
    @param market [id]
    @custom:access anyone
    @custom:reverts "configurator: no ramp", "configurator: nothing to walk"
    @custom:spec MGN-3, MGN-10
    """
    ramp: IConfigurator.Ramp = self._ramps[market]
    assert ramp.duration != 0, "configurator: no ramp"
    assert ramp.walked_at != block.timestamp, "configurator: nothing to walk"
    ramp.progress = min(ramp.progress + min(block.timestamp - ramp.walked_at, STEP), ramp.duration)
    leg: IClearinghouse.Leg = self._leg(market)
    open_interest: uint256 = slots.open_interest(leg.lots, leg.skew)
    if ramp.progress == ramp.duration:
        self._end_ramp(market)
        self._check(ramp.target, open_interest)
        self._change(market, ramp.target)
        return
    self._ramps[market].progress = ramp.progress
    self._ramps[market].walked_at = block.timestamp
    terms: IConfigurator.Terms = self._listed(market)
    most: uint256 = max(terms.max_open_interest, open_interest)
    left: uint256 = ramp.duration - ramp.progress
    terms.liquidation_fee_ppm = (
        ramp.liquidation_fee_ppm * left + ramp.target.liquidation_fee_ppm * ramp.progress
    ) // ramp.duration
    terms.reward = (ramp.reward * left + ramp.target.reward * ramp.progress) // ramp.duration
    terms.reward -= terms.reward % slots.REWARD_UNIT
    terms.skew_scale = fixed_point.ceil_div(
        ramp.skew_scale * left + ramp.target.skew_scale * ramp.progress, ramp.duration
    )
    # Each rounded by itself, they may miss by a ppm what the rules ask of them together: a slow ramp would stand still.
    terms.mm_ppm = max(
        (ramp.mm_ppm * left + ramp.target.mm_ppm * ramp.progress) // ramp.duration,
        terms.liquidation_fee_ppm + fixed_point.ceil_div(most * PPM, terms.skew_scale),
    )
    terms.im_ppm = max(
        (ramp.im_ppm * left + ramp.target.im_ppm * ramp.progress) // ramp.duration,
        fixed_point.ceil_div(3 * terms.mm_ppm, 2),
    )
    self._check(terms, open_interest)
    self._change(market, terms)


@external
def delist_market(market: uint256, duration: uint256):
    """
    @notice From now on a market's positions can only be reduced, and after the notice it is settled. A ramp ends.
    @param market [id]
    @param duration [s] of the notice, 3 to 30 days
    @custom:access owner
    @custom:reverts "market: unknown", "configurator: delisted", "configurator: notice too short",
                    "configurator: notice too long"
    @custom:spec PRC-6
    """
    ownable._check_owner()
    terms: IConfigurator.Terms = self._listed(market)
    assert duration >= MIN_NOTICE, "configurator: notice too short"
    assert duration <= MAX_NOTICE, "configurator: notice too long"
    self._end_ramp(market)
    self.settles_at[market] = block.timestamp + duration
    terms.reduce_only = True
    self._change(market, terms)
    log IConfigurator.MarketDelisted(market=market, settles_at=block.timestamp + duration)


@external
def settle_market(market: uint256):
    """
    @notice Settle a market for good at its last good price: the Clearinghouse keeps that of now first, if it is valid,
            and has no feed any more. Its funding stands still. With positions in it and no live price it waits for a week
            more than the notice: nobody chooses the block in which its feed is late.
    @param market [id]
    @custom:access anyone after the notice; the Backstop at any time
    @custom:reverts "market: unknown", "configurator: settled", "configurator: not yet", "venue: frozen or in grace"
    @custom:spec PRC-6
    """
    assert market < self.market_count, "market: unknown"
    assert self._terms[market].feed != empty(address), "configurator: settled"
    settles_at: uint256 = self.settles_at[market]
    backstop: address = (staticcall CLEARINGHOUSE.settings()).backstop
    if msg.sender != backstop:
        assert settles_at != 0 and block.timestamp >= settles_at, "configurator: not yet"
        leg: IClearinghouse.Leg = self._leg(market)
        if leg.status != prices.LIVE and (leg.lots != 0 or leg.skew != 0):
            assert block.timestamp >= settles_at + DOUBT, "configurator: not yet"
        # After an outage the last good price is one of before it: the grace is for the feed, too.
        calm: bool = staticcall CLEARINGHOUSE.is_calm()
        assert calm, "venue: frozen or in grace"
    elif settles_at == 0 or block.timestamp < settles_at:
        self._end_ramp(market)
        self.settles_at[market] = block.timestamp
    settled: IConfigurator.Terms = empty(IConfigurator.Terms)
    settled.min_price = self._terms[market].min_price
    settled.max_price = self._terms[market].max_price
    settled.skew_scale = self._terms[market].skew_scale
    settled.reduce_only = True
    self._terms[market] = settled
    words: uint256[3] = self._pack(settled, 18)
    words[0] = slots.STATUS_SETTLED << slots.STATUS
    extcall CLEARINGHOUSE.set_terms(market, words)
    state: IClearinghouse.Words = staticcall CLEARINGHOUSE.market_words(market)
    log IConfigurator.MarketSettled(market=market, price=(state.a >> slots.LAST_PRICE) & slots.MASK_96)


@external
def list_collateral(token: address, terms: IConfigurator.CollateralTerms) -> uint256:
    """
    @notice List a token to stand behind positions. Its feed must answer with a valid price now.
    @dev Tokens that rebase, or take more on their way out than was sent, must not be listed: no code can tell.
    @param token [address] 0..18 decimals, not the quote
    @param terms [struct] see IConfigurator
    @return [id] of the token
    @custom:access owner
    @custom:reverts "configurator: ..." names the rule that is broken
    @custom:spec COL-1, MGN-3, LED-9
    """
    ownable._check_owner()
    id: uint256 = self.collateral_count
    assert id < MAX_TOKENS, "configurator: 16 tokens"
    assert token.is_contract, "configurator: token"
    quote: address = (staticcall CLEARINGHOUSE.settings()).quote
    assert token != quote and not self._is_collateral[token], "configurator: token taken"
    assert not terms.delisted, "configurator: delisted"
    assert self._credit.call_line_ppm != 0, "configurator: no credit terms"  # nor an order of seizures
    self._is_collateral[token] = True
    self.collateral_token[id] = token
    self.collateral_count = id + 1
    self._set_collateral(id, terms, 0, 0)
    log IConfigurator.CollateralListed(id=id, token=token, terms=terms)
    return id


@external
def configure_collateral(id: uint256, terms: IConfigurator.CollateralTerms):
    """
    @notice Change a token's terms. Lower weights settle over three days; while anybody holds it, its scale can only
            rise, its price bounds stay, and so does its feed while that answers.
    @param id [id]
    @param terms [struct] all of them, changed or not
    @custom:access owner
    @custom:reverts "collateral: unknown", "configurator: ..." names the rule that is broken
    @custom:spec MGN-3, MGN-8, COL-4
    """
    ownable._check_owner()
    assert id < self.collateral_count, "collateral: unknown"
    old: IConfigurator.CollateralTerms = self._collateral[id]
    words: uint256[4] = staticcall CLEARINGHOUSE.token_words(id)
    if words[3] >> slots.TOTAL != 0:
        held: IClearinghouse.Holding = staticcall CLEARINGHOUSE.holding(empty(address), id)
        # A price that left its bounds for good, or a feed that died, can be helped; a live one stays as it is.
        dead: bool = held.status != prices.LIVE
        bounds: bool = terms.min_price == old.min_price and terms.max_price == old.max_price
        assert bounds or dead, "configurator: bounds of held token"
        kept: bool = terms.feed == old.feed and terms.max_age == old.max_age
        assert kept or (dead and terms.feed != old.feed), "configurator: feed of held token"
        assert terms.scale >= old.scale, "configurator: needs a ramp"
    maintenance: uint256 = slots.weight_now(words[0], words[1], slots.MM, slots.MM_BEFORE)
    initial: uint256 = slots.weight_now(words[0], words[1], slots.IM, slots.IM_BEFORE)
    self._set_collateral(id, terms, maintenance, initial)
    log IConfigurator.CollateralReconfigured(id=id, terms=terms)


@external
def configure_credit(terms: IConfigurator.CreditTerms):
    """
    @notice Change what debt may be and costs, and how collateral is seized for it.
    @param terms [struct] all of them, changed or not
    @custom:access owner
    @custom:reverts "configurator: ..." names the rule that is broken
    @custom:spec COL-2, COL-3, LIQ-4
    """
    ownable._check_owner()
    assert terms.debt_cap <= slots.MASK_96, "configurator: debt_cap"
    assert terms.debt_ratio_ppm <= PPM, "configurator: debt_ratio"
    assert terms.kink_ppm <= PPM, "configurator: kink"
    assert max(terms.low_slope_ppm, terms.high_slope_ppm) <= MAX_SLOPE_PPM, "configurator: slope"
    assert terms.call_line_ppm >= PPM and terms.call_line_ppm <= MAX_CALL_LINE_PPM, "configurator: call_line"
    assert terms.conversion_bound <= slots.MASK_32, "configurator: conversion_bound"
    assert terms.liquidation_fee_ppm <= MAX_LIQUIDATION_FEE_PPM, "configurator: liquidation_fee"
    seizing: uint256 = 0
    seen: uint256 = 0
    for i: uint256 in range(MAX_TOKENS):
        assert terms.order[i] < MAX_TOKENS and (seen >> terms.order[i]) & 1 == 0, "configurator: order"
        seen = seen | (1 << terms.order[i])
        seizing = seizing | (terms.order[i] << (4 * i))
        if i < self.collateral_count:
            words: uint256[4] = staticcall CLEARINGHOUSE.token_words(i)
            weight: uint256 = slots.weight_now(words[0], words[1], slots.MM, slots.MM_BEFORE)
            self._check_haircut(weight, self._collateral[i].discount_ppm, terms.liquidation_fee_ppm)
    self._credit = terms
    extcall CLEARINGHOUSE.set_credit(
        terms.debt_cap
        | (terms.debt_ratio_ppm << slots.DEBT_RATIO)
        | (terms.kink_ppm << slots.KINK)
        | (terms.low_slope_ppm << slots.LOW_SLOPE)
        | (terms.high_slope_ppm << slots.HIGH_SLOPE),
        seizing
        | (terms.conversion_bound << slots.CONVERT_BOUND)
        | (terms.liquidation_fee_ppm << slots.SEIZURE_FEE)
        | (terms.call_line_ppm << slots.CALL_LINE),
    )
    log IConfigurator.CreditReconfigured(terms=terms)


# ------------------------------------------------------------------ EXTERNAL: the guardian


@external
def set_guardian(guardian: address):
    """
    @notice Name who may lower risk at once, beside the owner.
    @param guardian [address] zero: nobody
    @custom:access owner
    @custom:reverts "ownable: caller is not the owner"
    @custom:spec GOV-6
    """
    ownable._check_owner()
    self.guardian = guardian
    log IConfigurator.GuardianSet(guardian=guardian)


@external
def pause_market(market: uint256, duration: uint256):
    """
    @notice Let nobody open or enlarge in a market, until it ends by itself. A shorter one than runs changes nothing.
    @param market [id]
    @param duration [s] up to 7 days
    @custom:access guardian, owner
    @custom:reverts "configurator: guardian only", "market: unknown", "configurator: delisted",
                    "configurator: pause too long" for nothing, too
    @custom:spec GOV-6
    """
    self._check_guardian()
    terms: IConfigurator.Terms = self._listed(market)
    assert duration != 0 and duration <= MAX_PAUSE, "configurator: pause too long"
    until: uint256 = max(self.paused_until[market], block.timestamp + duration)
    self.paused_until[market] = until
    self._send(market, terms)
    log IConfigurator.MarketPaused(market=market, until=until)


@external
def restrict_market(market: uint256, max_skew: uint256, max_open_interest: uint256, reduce_only: bool):
    """
    @notice Lower a market's caps, or leave only reducing; it stays until the owner changes it. A ramp goes on, to no more
            than that.
    @dev Asks nothing of the feed: a lower cap breaks no rule.
    @param market [id]
    @param max_skew [WAD base] no more than it is
    @param max_open_interest [WAD base] no more than it is
    @param reduce_only [bool] true if it is already
    @custom:access guardian, owner
    @custom:reverts "configurator: guardian only", "market: unknown", "configurator: delisted", "configurator: only lower",
                    "configurator: max_skew"
    @custom:spec GOV-6
    """
    self._check_guardian()
    terms: IConfigurator.Terms = self._listed(market)
    assert (
        max_skew <= terms.max_skew
        and max_open_interest <= terms.max_open_interest
        and (reduce_only or not terms.reduce_only)
    ), "configurator: only lower"
    assert max_skew <= max_open_interest, "configurator: max_skew"
    terms.max_skew = max_skew
    terms.max_open_interest = max_open_interest
    terms.reduce_only = reduce_only
    if self._ramps[market].duration != 0:
        self._ramps[market].target.max_skew = min(self._ramps[market].target.max_skew, max_skew)
        self._ramps[market].target.max_open_interest = min(
            self._ramps[market].target.max_open_interest, max_open_interest
        )
        if reduce_only:
            self._ramps[market].target.reduce_only = True
    self._change(market, terms)


@external
def restrict_collateral(id: uint256, cap: uint256):
    """
    @notice Lower a token's deposit cap; it stays until the owner changes it. Nothing else of its terms moves.
    @param id [id]
    @param cap [raw] no more than it is
    @custom:access guardian, owner
    @custom:reverts "configurator: guardian only", "collateral: unknown", "configurator: only lower"
    @custom:spec GOV-6
    """
    self._check_guardian()
    assert id < self.collateral_count, "collateral: unknown"
    terms: IConfigurator.CollateralTerms = self._collateral[id]
    assert cap <= terms.cap, "configurator: only lower"
    terms.cap = cap
    self._collateral[id].cap = cap
    words: uint256[4] = staticcall CLEARINGHOUSE.token_words(id)
    extcall CLEARINGHOUSE.set_token(
        id, self.collateral_token[id], [words[0], words[1], (words[2] & ~slots.MASK_128) | cap]
    )
    log IConfigurator.CollateralReconfigured(id=id, terms=terms)


@external
def freeze(duration: uint256):
    """
    @notice Let liquidations wait, and whatever takes on risk or takes money from under it, until `duration` and an hour
            of grace are over. Deposits and reducing go on.
    @param duration [s] up to 24 hours
    @custom:access guardian, owner
    @custom:reverts "configurator: guardian only", "configurator: freeze too long" for nothing, too,
                    "configurator: too soon" within three days of the last one's end
    @custom:spec GOV-7
    """
    self._check_guardian()
    assert duration != 0 and duration <= MAX_FREEZE, "configurator: freeze too long"
    assert block.timestamp >= self.calm_from + BETWEEN_FREEZES, "configurator: too soon"
    self._set_calm(block.timestamp + duration + GRACE)


@external
def unfreeze():
    """
    @notice End a freeze early; the hour of grace begins.
    @custom:access guardian, owner
    @custom:reverts "configurator: guardian only", "configurator: not frozen"
    @custom:spec GOV-7
    """
    self._check_guardian()
    assert self.calm_from > block.timestamp + GRACE, "configurator: not frozen"
    self._set_calm(block.timestamp + GRACE)


# ------------------------------------------------------------------ VIEWS


@external
@view
def clearinghouse() -> address:
    """
    @notice Whom the terms are for.
    @return [address]
    @custom:access anyone
    """
    return CLEARINGHOUSE.address


@external
@view
def keeper_share_ppm() -> uint256:
    """
    @notice The keeper's share of the liquidation fee that the rules reckon with.
    @return [ppm]
    @custom:access anyone
    """
    return KEEPER_SHARE_PPM


@external
@view
def market_name(market: uint256) -> String[32]:
    """
    @notice A market's name; empty if there is none.
    @param market [id]
    @return [text]
    @custom:access anyone
    """
    return self._names[market]


@external
@view
def terms(market: uint256) -> IConfigurator.Terms:
    """
    @notice A market's terms; all zero if there is none. One that is settled has no feed.
    @param market [id]
    @return [struct] see IConfigurator
    @custom:access anyone
    """
    return self._terms[market]


@external
@view
def ramp(market: uint256) -> IConfigurator.Ramp:
    """
    @notice A market's ramp; all zero if there is none.
    @param market [id]
    @return [struct] see IConfigurator
    @custom:access anyone
    """
    return self._ramps[market]


@external
@view
def collateral_terms(id: uint256) -> IConfigurator.CollateralTerms:
    """
    @notice A token's terms; all zero if there is none.
    @param id [id]
    @return [struct] see IConfigurator
    @custom:access anyone
    """
    return self._collateral[id]


@external
@view
def credit_terms() -> IConfigurator.CreditTerms:
    """
    @notice The terms of debt and of seizures.
    @return [struct] see IConfigurator
    @custom:access anyone
    """
    return self._credit


# ------------------------------------------------------------------ INTERNAL


@internal
@view
def _check_guardian():
    assert msg.sender == self.guardian or msg.sender == ownable.owner, "configurator: guardian only"


@internal
@view
def _listed(market: uint256) -> IConfigurator.Terms:
    """
    @notice A market's terms; it must be listed, and not delisted.
    """
    assert market < self.market_count, "market: unknown"
    assert self.settles_at[market] == 0, "configurator: delisted"
    return self._terms[market]


@internal
@view
def _leg(market: uint256) -> IClearinghouse.Leg:
    return staticcall CLEARINGHOUSE.leg(empty(address), market)


@internal
def _set_calm(calm_from: uint256):
    self.calm_from = calm_from
    extcall CLEARINGHOUSE.set_calm(calm_from)
    log IConfigurator.CalmSet(calm_from=calm_from)


@internal
def _end_ramp(market: uint256):
    if self._ramps[market].duration != 0:
        self._ramps[market] = empty(IConfigurator.Ramp)
        log IConfigurator.RampEnded(market=market)


@internal
def _admit(id: uint256, terms: IConfigurator.Terms):
    """
    @notice Read a feed's decimals; it must answer with a valid price now.
    """
    assert terms.feed.is_contract, "configurator: feed"
    self._decimals[id] = convert(staticcall AggregatorV3Interface(terms.feed).decimals(), uint256)
    assert self._decimals[id] <= 18, "configurator: feed decimals"
    words: uint256[3] = self._pack(terms, self._decimals[id])
    price: uint256 = 0
    status: uint256 = 0
    max_price: uint256 = 0
    price, status, max_price = prices.read(words[0], words[1], 0, 0)
    prices.must_be_live(status)


@internal
def _send(id: uint256, terms: IConfigurator.Terms):
    """
    @notice Put terms that have been checked into effect; a pause goes on.
    """
    words: uint256[3] = self._pack(terms, self._decimals[id])
    words[2] = words[2] | (self.paused_until[id] << slots.PAUSED_UNTIL)
    self._terms[id] = terms
    extcall CLEARINGHOUSE.set_terms(id, words)


@internal
def _change(id: uint256, terms: IConfigurator.Terms):
    self._send(id, terms)
    log IConfigurator.MarketReconfigured(market=id, terms=terms)


@internal
@view
def _check(terms: IConfigurator.Terms, open_now: uint256):
    """
    @notice The rules that keep a market safe, with `open_now` of open interest, which may be more than its cap.
    """
    open_interest: uint256 = max(terms.max_open_interest, open_now)
    assert terms.max_age != 0 and terms.max_age <= slots.MASK_20, "configurator: max_age"
    assert terms.min_price >= MIN_PRICE, "configurator: min_price"
    assert terms.min_price < terms.max_price, "configurator: price bounds"
    assert terms.max_price <= slots.MASK_96, "configurator: max_price"
    assert terms.skew_scale != 0 and terms.skew_scale <= slots.MASK_96, "configurator: skew_scale"
    assert terms.max_skew <= terms.max_open_interest, "configurator: max_skew"
    assert open_interest <= terms.skew_scale // 5, "configurator: max_open_interest"
    assert terms.skew_scale * terms.max_price // WAD < MAX_DEPTH, "configurator: depth"
    assert terms.taker_fee_ppm <= MAX_FEE_PPM, "configurator: taker_fee"
    assert terms.spread_ppm <= MAX_SPREAD_PPM, "configurator: spread"
    assert terms.liquidation_fee_ppm <= MAX_LIQUIDATION_FEE_PPM, "configurator: liquidation_fee"
    assert terms.reward <= MAX_REWARD and terms.reward % slots.REWARD_UNIT == 0, "configurator: reward"
    assert terms.max_velocity_ppm <= slots.MASK_24, "configurator: max_velocity"
    assert terms.im_ppm <= PPM, "configurator: im above 1"
    # Being liquidated must cost more than closing.
    assert (
        4 * terms.liquidation_fee_ppm * (PPM - KEEPER_SHARE_PPM)
        >= 5 * (terms.taker_fee_ppm + terms.spread_ppm) * PPM
    ), "configurator: fee below closing"
    # The worst curve cost of a forced close, one side liquidated against the other, and the fee.
    assert terms.mm_ppm >= terms.liquidation_fee_ppm + fixed_point.ceil_div(
        open_interest * PPM, terms.skew_scale
    ), "configurator: mm too low"
    assert terms.mm_ppm <= 2 * terms.im_ppm // 3, "configurator: im below 1.5 mm"
    assert terms.otc_band_ppm < terms.mm_ppm, "configurator: otc_band"
    assert terms.max_rate_ppm <= min(terms.mm_ppm, MAX_RATE_PPM), "configurator: max_rate"


@internal
@pure
def _pack(terms: IConfigurator.Terms, decimals: uint256) -> uint256[3]:
    """
    @notice The words that the Clearinghouse stores (modules/slots.vy).
    """
    exponent: uint256 = self._bound_exponent(terms.min_price, terms.max_price)
    unit: uint256 = 10**exponent
    status: uint256 = slots.STATUS_REDUCE_ONLY if terms.reduce_only else slots.STATUS_OPEN
    return [
        (
            convert(terms.feed, uint256)
            | (terms.max_age << slots.MAX_AGE)
            | ((18 - decimals) << slots.EXPONENT)
            | (status << slots.STATUS)
            | (terms.mm_ppm << slots.MM)
            | (terms.im_ppm << slots.IM)
            | (terms.liquidation_fee_ppm << slots.LIQUIDATION_FEE)
        ),
        (
            terms.skew_scale
            | (terms.max_velocity_ppm << slots.VELOCITY)
            | (terms.max_rate_ppm << slots.MAX_RATE)
            | ((terms.min_price // unit) << slots.MIN_PRICE)
            | ((terms.max_price // unit) << slots.MAX_PRICE)
            | (exponent << slots.BOUND_EXPONENT)
            | ((terms.reward // slots.REWARD_UNIT) << slots.REWARD)
            | (terms.taker_fee_ppm << slots.TAKER_FEE)
            | (terms.spread_ppm << slots.SPREAD)
        ),
        (
            terms.max_skew
            | (terms.max_open_interest << slots.MAX_OPEN_INTEREST)
            | (terms.otc_band_ppm << slots.OTC_BAND)
        ),
    ]


@internal
def _set_collateral(id: uint256, terms: IConfigurator.CollateralTerms, maintenance_before: uint256, initial_before: uint256):
    assert terms.max_age != 0 and terms.max_age <= slots.MASK_20, "configurator: max_age"
    assert terms.min_price >= MIN_PRICE, "configurator: min_price"
    assert terms.min_price < terms.max_price, "configurator: price bounds"
    assert terms.max_price <= slots.MASK_96, "configurator: max_price"
    assert terms.maintenance_weight_ppm <= PPM, "configurator: weight above 1"
    assert terms.initial_weight_ppm <= terms.maintenance_weight_ppm, "configurator: initial weight"
    assert terms.scale != 0 and terms.scale <= slots.MASK_96, "configurator: scale"
    assert terms.discount_ppm <= MAX_DISCOUNT_PPM, "configurator: discount"
    assert terms.premium_ppm <= MAX_PREMIUM_PPM, "configurator: premium"
    assert terms.duration >= MIN_DURATION and terms.duration <= MAX_DURATION, "configurator: duration"
    weight: uint256 = 0 if terms.delisted else terms.maintenance_weight_ppm
    self._check_haircut(max(weight, maintenance_before), terms.discount_ppm, self._credit.liquidation_fee_ppm)
    token: address = self.collateral_token[id]
    decimals: uint256 = convert(staticcall IERC20Detailed(token).decimals(), uint256)
    assert decimals <= 18, "configurator: token decimals"
    assert terms.cap <= slots.MASK_96, "configurator: cap"
    whole: uint256 = terms.cap * 10 ** (18 - decimals)
    assert whole <= slots.MASK_96 and whole * terms.max_price // WAD < MAX_HOLDING, "configurator: cap"
    assert terms.feed.is_contract, "configurator: feed"
    feed_decimals: uint256 = convert(staticcall AggregatorV3Interface(terms.feed).decimals(), uint256)
    assert feed_decimals <= 18, "configurator: feed decimals"

    exponent: uint256 = self._bound_exponent(terms.min_price, terms.max_price)
    maintenance: uint256 = 0 if terms.delisted else terms.maintenance_weight_ppm
    initial: uint256 = 0 if terms.delisted else terms.initial_weight_ppm
    settled: bool = maintenance >= maintenance_before and initial >= initial_before
    t0: uint256 = (
        convert(terms.feed, uint256)
        | (terms.max_age << slots.MAX_AGE)
        | ((18 - feed_decimals) << slots.EXPONENT)
        | ((slots.STATUS_REDUCE_ONLY if terms.delisted else slots.STATUS_OPEN) << slots.STATUS)
        | (maintenance << slots.MM)
        | (initial << slots.IM)
        | (terms.discount_ppm << slots.DISCOUNT)
    )
    t1: uint256 = (
        terms.scale
        | ((0 if settled else block.timestamp + slots.RAMP) << slots.SETTLE_AT)
        | ((18 - decimals) << slots.UNIT_EXPONENT)
        | ((terms.min_price // 10**exponent) << slots.MIN_PRICE)
        | ((terms.max_price // 10**exponent) << slots.MAX_PRICE)
        | (exponent << slots.BOUND_EXPONENT)
        | (maintenance_before << slots.MM_BEFORE)
        | (initial_before << slots.IM_BEFORE)
    )
    if terms.feed != self._collateral[id].feed:
        price: uint256 = 0
        status: uint256 = 0
        most: uint256 = 0
        price, status, most = prices.read(t0, t1, 0, 0)
        prices.must_be_live(status)
    self._collateral[id] = terms
    extcall CLEARINGHOUSE.set_token(
        id, token, [t0, t1, terms.cap | (terms.premium_ppm << slots.PREMIUM) | (terms.duration << slots.DURATION)]
    )


@internal
@pure
def _check_haircut(weight_ppm: uint256, discount_ppm: uint256, fee_ppm: uint256):
    """
    @notice A seizure never leaves an account worth less than before, at the weight of now.
    """
    assert PPM - weight_ppm >= discount_ppm + fee_ppm, "configurator: haircut"


@internal
@pure
def _bound_exponent(min_price: uint256, max_price: uint256) -> uint256:
    """
    @notice The greatest exponent, up to 31, that leaves both price bounds whole.
    """
    exponent: uint256 = 0
    for i: uint256 in range(31):
        unit: uint256 = 10 ** (i + 1)
        if min_price % unit != 0 or max_price % unit != 0:
            break
        exponent = i + 1
    assert max_price // 10**exponent <= slots.MASK_24, "configurator: price bound digits"
    return exponent
