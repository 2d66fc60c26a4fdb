# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""
@title CollateralAuction
@license AGPL-3.0-only
@notice Sells seized collateral: each seizure is a lot of its own, whose price falls from above the oracle's to a floor.
@dev Its account in the ledger is an ordinary one and holds what the lots have left. Proceeds repay the insurance fund,
     then the pool, as far as each stood in for the lot; what remains is the fund's, or the bankrupt's whose dead
     tokens are sold: a row of up to 16 lots, which answer for one debt, so that he has nothing while any of it is owed.
     Costs round up.
     A lot's clock runs only while its feed is known to have been live: until `max_age` after a round that was seen, and
     from the round that is seen next. Anybody may have it look (`tick`); nobody can make it run faster.
@custom:security No owner, no parameters of its own. Whatever is bought is paid for first.
@custom:spec LIQ-4, LIQ-7
"""

from ethereum.ercs import IERC20
from ethereum.ercs import IERC20Detailed

from interfaces import IClearinghouse
from interfaces import ICollateralAuction
from modules import fixed_point
from modules import prices
from modules import reasons
from modules import slots

implements: ICollateralAuction


interface IListing:
    def clearinghouse() -> address: view
    def collateral_token(id: uint256) -> address: view
    def calm_from() -> uint256: view


# ------------------------------------------------------------------ CONSTANTS

PPM: constant(uint256) = 10**6
WAD: constant(uint256) = 10**18
PAGE: constant(uint256) = 64
MAX_TOKENS: constant(uint256) = 16
WRITE_OFF_AFTER: constant(uint256) = 30 * 86_400  # [s] since a lot's feed was seen live

# ------------------------------------------------------------------ IMMUTABLES

CLEARINGHOUSE: immutable(IClearinghouse)
CONFIGURATOR: immutable(IListing)
QUOTE: immutable(IERC20)
UNIT: immutable(uint256)  # [WAD quote] of one raw unit of the quote token

# ------------------------------------------------------------------ STORAGE


struct Words:  # a lot, packed
    sale: uint256  # zero: sold; else live until [208..247] | seen at [168..207] | elapsed [136..167] | token [128..135] | amount, raw [0..127]
    dues: uint256  # to the pool [128..255] | to the insurance fund [0..127]; what is left of them, once it is sold
    row: uint256  # first lot of the seizure [160..223] | whose the surplus is [0..159]; zero: the insurance fund's, alone


struct Owing:  # open lots of a token that owe the pool, together
    amount: uint256  # [raw]
    dues: uint256  # as a lot's


lot_count: public(uint256)  # ids are 0 .. lot_count - 1
owed_to_pool: public(uint256)  # [WAD quote] the sum of what open lots must still repay it, and of what is awaited
_owing: HashMap[uint256, Owing]  # by token, twice: those that owe the insurance fund more apart
_awaited: HashMap[uint256, uint256]  # by row: what its lots may repay for others for sale [128..255] | for sold ones [0..127]
_crossing: uint256  # [WAD quote] the sum of the former
_lots: HashMap[uint256, Words]
_opened: transient(uint256)  # the row of the lot that was opened last, in this transaction


# ------------------------------------------------------------------ CONSTRUCTOR


@deploy
def __init__(clearinghouse: address, configurator: address, quote: address):
    """
    @param clearinghouse [address] which opens the lots; it may be deployed afterwards
    @param configurator [address] which knows the tokens
    @param quote [address] what buyers pay with, 0..18 decimals
    """
    decimals: uint256 = convert(staticcall IERC20Detailed(quote).decimals(), uint256)
    assert decimals <= 18, "ledger: over 18 decimals"
    CLEARINGHOUSE = IClearinghouse(clearinghouse)
    CONFIGURATOR = IListing(configurator)
    QUOTE = IERC20(quote)
    UNIT = 10 ** (18 - decimals)
    assert extcall QUOTE.approve(clearinghouse, max_value(uint256), default_return_value=True), "auction: approve"


# ------------------------------------------------------------------ EXTERNAL


@external
def open(token: uint256, amount: uint256, to_insurance: uint256, to_pool: uint256, surplus_to: address):
    """
    @notice Take a seizure, whose tokens are in this account already, up for sale.
    @param token [id]
    @param amount [raw]
    @param to_insurance [WAD quote] what the insurance fund gave for it
    @param to_pool [WAD quote] what the pool gave for it
    @param surplus_to [address] whose account gets what it brings beyond that
    @custom:access Clearinghouse
    @custom:reverts "access: clearinghouse only"
    @custom:spec LIQ-4, LIQ-7
    """
    if msg.sender != CLEARINGHOUSE.address:
        fixed_point.fail(reasons.ACCESS_CLEARINGHOUSE_ONLY)
    id: uint256 = self.lot_count
    self.lot_count = unsafe_add(id, 1)
    self._lots[id].sale = self._pack(amount, token, 0, block.timestamp, block.timestamp)
    self._owe(id, token, 0, 0, amount, (to_pool << 128) | to_insurance)
    row: uint256 = 0
    if surplus_to != CLEARINGHOUSE.address:
        row = self._opened
        if self._owner(row) != surplus_to or id - (row >> 160) >= MAX_TOKENS:
            row = (id << 160) | convert(surplus_to, uint256)
        self._lots[id].row = row
    self._opened = row
    log ICollateralAuction.LotOpened(
        lot=id, token=token, amount=amount, to_insurance=to_insurance, to_pool=to_pool, surplus_to=surplus_to
    )


@external
def buy_collateral(lot: uint256, amount: uint256, max_cost: uint256, receiver: address = msg.sender) -> uint256:
    """
    @notice Buy some or all of a lot at its price of now.
    @dev The lot is written before the first token moves; the quote comes in before the collateral goes out.
    @param lot [id]
    @param amount [raw] of the lot's token; more than is left buys what is left, so that nobody's crumb stops a purchase
    @param max_cost [raw] of the quote token
    @param receiver [address] of what is bought
    @return [raw] the cost, rounded up
    @custom:access anyone, who has approved the cost
    @custom:reverts "venue: frozen or in grace", "auction: no such lot", "auction: zero amount", "prices: ...", "auction: cost above maximum", "ledger: transfer failed", "withdraw: bad receiver"
    @custom:spec LIQ-7, LIQ-8
    """
    calm: bool = staticcall CLEARINGHOUSE.is_calm()
    if not calm:
        fixed_point.fail(reasons.VENUE_FROZEN_OR_IN_GRACE)
    words: Words = self._lots[lot]
    left: uint256 = words.sale & slots.MASK_128
    if left == 0:
        fixed_point.fail(reasons.AUCTION_NO_SUCH_LOT)
    if amount == 0:
        fixed_point.fail(reasons.AUCTION_ZERO_AMOUNT)
    bought: uint256 = min(amount, left)
    token: uint256 = (words.sale >> 128) & 255
    terms: uint256[4] = staticcall CLEARINGHOUSE.token_words(token)
    price: uint256 = 0
    clock: uint256[3] = empty(uint256[3])
    price, clock = self._look(words.sale, terms)
    cost: uint256 = self._cost(bought, price, clock[0], terms)
    if cost > max_cost:
        fixed_point.fail(reasons.AUCTION_COST_ABOVE_MAXIMUM)
    left = unsafe_sub(left, bought)
    for_insurance: uint256 = 0
    for_pool: uint256 = 0
    unpaid: uint256 = 0
    for_insurance, for_pool, unpaid = self._repay(words.dues, cost)
    self._lots[lot].sale = self._pack(left, token, clock[0], clock[1], clock[2]) if left != 0 else 0
    self._owe(lot, token, unsafe_add(left, bought), words.dues, left, unpaid)
    surplus: uint256 = unsafe_sub(unsafe_sub(cost, for_insurance), for_pool)
    if words.row == 0:
        for_insurance = unsafe_add(for_insurance, surplus)
        surplus = 0
    else:
        more: uint256[3] = self._answer(lot, words.row, surplus)
        for_insurance = unsafe_add(for_insurance, more[0])
        for_pool = unsafe_add(for_pool, more[1])
        surplus = unsafe_sub(unsafe_sub(surplus, more[0]), more[1])
        least: uint256[2] = self._awaited_of(words.row)
        if left != 0:
            least[0] -= min(least[0], (more[1] - more[2]) * UNIT)
            least[1] -= min(least[1], more[2] * UNIT)
        else:
            # What was counted on, and what this one lacks now, as far as the others may still bring it.
            most: uint256[2] = self._reckon(words.row, True)
            least = [min(least[0], most[0]), min(least[1] + (unpaid >> 128), most[1])]
        self._await(words.row, least)

    self._collect(cost)
    if surplus != 0:
        self._pay(self._owner(words.row), surplus)
    if for_insurance != 0:
        self._pay(CLEARINGHOUSE.address, for_insurance)
    if for_pool != 0:
        settings: IClearinghouse.Settings = staticcall CLEARINGHOUSE.settings()
        self._pay(settings.pool, for_pool)
    extcall CLEARINGHOUSE.withdraw(self, staticcall CONFIGURATOR.collateral_token(token), bought, receiver)
    log ICollateralAuction.LotSold(lot=lot, buyer=msg.sender, amount=bought, cost=cost, left=left)
    if left == 0:
        log ICollateralAuction.LotClosed(
            lot=lot, unpaid_insurance=unpaid & slots.MASK_128, unpaid_pool=unpaid >> 128
        )
    return cost


@external
def tick(lot: uint256) -> uint256:
    """
    @notice Let a lot's clock see that its feed is live, so that the time until now counts; and what it may bring for others.
    @param lot [id]
    @return [s] that count so far
    @custom:access anyone
    @custom:reverts "auction: no such lot", "prices: ..."
    @custom:spec LIQ-7
    """
    sale: uint256 = self._lots[lot].sale
    if sale == 0:
        fixed_point.fail(reasons.AUCTION_NO_SUCH_LOT)
    token: uint256 = (sale >> 128) & 255
    price: uint256 = 0
    clock: uint256[3] = empty(uint256[3])
    price, clock = self._look(sale, staticcall CLEARINGHOUSE.token_words(token))
    self._lots[lot].sale = self._pack(sale & slots.MASK_128, token, clock[0], clock[1], clock[2])
    row: uint256 = self._lots[lot].row
    calm: bool = staticcall CLEARINGHOUSE.is_calm()  # a freeze may be about the very price
    if row != 0 and calm:
        self._await(row, self._awaited_of(row))
    return clock[0]


@external
def write_off(lot: uint256) -> uint256:
    """
    @notice Forget what a lot still owes the pool, if its feed is dead and has not been seen live for a month: those
            who enter the pool would pay for it for ever. One of a bankrupt's goes with all of its seizure, once that is so
            for each that is for sale: any other may still repay it. The lots stay for sale, should their feeds return:
            what was due to the pool is then the insurance fund's, not his whose debt it was.
    @param lot [id]
    @return [WAD quote] what the pool bears
    @custom:access anyone
    @custom:reverts "auction: no such lot", "auction: not to be written off"
    @custom:spec LIQ-7
    """
    sale: uint256 = self._lots[lot].sale
    if sale == 0:
        fixed_point.fail(reasons.AUCTION_NO_SUCH_LOT)
    row: uint256 = self._lots[lot].row
    owed: uint256 = self.owed_to_pool
    if row == 0:
        self._must_be_gone(sale)
        self._forget(lot)
    else:
        for step: uint256 in range(MAX_TOKENS):
            id: uint256 = (row >> 160) + step
            if self._lots[id].row != row:
                break
            other: uint256 = self._lots[id].sale
            if other != 0:
                self._must_be_gone(other)
        for step: uint256 in range(MAX_TOKENS):
            id: uint256 = (row >> 160) + step
            if self._lots[id].row != row:
                break
            self._forget(id)
        self._await(row, empty(uint256[2]))
    from_pool: uint256 = owed - self.owed_to_pool
    log ICollateralAuction.LotWrittenOff(lot=lot, from_pool=from_pool)
    return from_pool


# ------------------------------------------------------------------ VIEWS


@external
@view
def clearinghouse() -> address:
    """
    @notice Whose collateral is sold.
    @return [address]
    @custom:access anyone
    """
    return CLEARINGHOUSE.address


@external
@view
def worth() -> (uint256, uint256, uint256, uint256):
    """
    @notice What lots bring at the least, dead ones at their last known worth: the pool, once the insurance fund has its part
            of the same lots, from live ones, and from dead ones with what is awaited; and anybody.
    @dev All lots of a token together, but those that owe the fund more apart: where they have fallen so far that they do not
         bring its part, others would make it up.
    @return pool by live [WAD quote], pool by others [WAD quote], live [WAD quote], dead [WAD quote]
    @custom:access anyone
    @custom:spec LIQ-7, LIQ-9, LPV-2
    """
    tokens: uint256 = 0
    interest: uint256 = 0
    tokens, interest = staticcall CLEARINGHOUSE.backing(self)
    if tokens == 0:
        return (0, 0, 0, 0)
    owed: uint256 = self.owed_to_pool
    by_live: uint256 = 0
    by_others: uint256 = owed + self._crossing  # less what lots for sale owe: all that is awaited
    live: uint256 = 0
    dead: uint256 = 0
    for id: uint256 in range(MAX_TOKENS):
        if (tokens >> id) & 1 != 0:
            held: IClearinghouse.Holding = staticcall CLEARINGHOUSE.holding(self, id)
            pool: uint256 = 0
            for most: uint256 in range(2):
                owing: Owing = self._owing[2 * id + most]
                brings: uint256 = self._worth_of(held, owing.amount) * held.kept_ppm // PPM
                pool += min(owing.dues >> 128, brings - min(brings, owing.dues & slots.MASK_128))
                by_others -= owing.dues >> 128
            if held.status == prices.LIVE:
                live += held.credit
                by_live += pool
            else:
                dead += self._worth_of(held, held.own) * held.kept_ppm // PPM
                by_others += pool
    return (by_live, min(by_others, owed - by_live), live, dead)


@external
@view
def cost_of(lot: uint256, amount: uint256, wait: uint256) -> uint256:
    """
    @notice What `amount` of a lot would cost after `wait` more seconds at today's oracle price.
    @param lot [id]
    @param amount [raw]
    @param wait [s] that its feed is live; 0 for the cost of now
    @return [raw] of the quote token
    @custom:access anyone
    @custom:reverts "auction: no such lot", "prices: ..."
    """
    sale: uint256 = self._lots[lot].sale
    if sale == 0:
        fixed_point.fail(reasons.AUCTION_NO_SUCH_LOT)
    terms: uint256[4] = staticcall CLEARINGHOUSE.token_words((sale >> 128) & 255)
    price: uint256 = 0
    clock: uint256[3] = empty(uint256[3])
    price, clock = self._look(sale, terms)
    return self._cost(amount, price, clock[0] + wait, terms)


@external
@view
def lot(id: uint256) -> ICollateralAuction.Lot:
    """
    @notice A lot as of this block; an amount of zero if it is sold or never was.
    @param id [id]
    @return [struct] see ICollateralAuction
    @custom:access anyone
    """
    return self._lot(id)


@external
@view
def open_lots(start: uint256) -> DynArray[ICollateralAuction.Lot, PAGE]:
    """
    @notice The lots that are still for sale, of the 64 from `start` on; `cost_of` has their costs.
    @param start [id] of the first to look at
    @return [struct] see ICollateralAuction
    @custom:access anyone
    """
    found: DynArray[ICollateralAuction.Lot, PAGE] = []
    for i: uint256 in range(PAGE):
        id: uint256 = unsafe_add(start, i)
        if id >= self.lot_count:
            break
        if self._lots[id].sale != 0:
            found.append(self._lot(id))
    return found


# ------------------------------------------------------------------ INTERNAL


@internal
@pure
def _pack(amount: uint256, token: uint256, elapsed: uint256, seen_at: uint256, live_until: uint256) -> uint256:
    return amount | (token << 128) | (elapsed << 136) | (seen_at << 168) | (live_until << 208)


@internal
def _owe(lot: uint256, token: uint256, was: uint256, before: uint256, left: uint256, after: uint256):
    """
    @notice What a lot owes, from now on, and with it what all do that owe the pool: the one place where that is written.
    @param was, left [raw] of the token, before and after
    @param before, after [WAD quote] its dues, likewise
    """
    self._lots[lot].dues = after
    if was != 0 and before >> 128 != 0:
        kind: uint256 = self._kind(token, before)
        self._owing[kind].amount -= was
        self._owing[kind].dues -= before
        self.owed_to_pool -= before >> 128
    if left != 0 and after >> 128 != 0:
        kind: uint256 = self._kind(token, after)
        self._owing[kind].amount += left
        self._owing[kind].dues += after
        self.owed_to_pool += after >> 128


@internal
@view
def _repay(dues: uint256, paid: uint256) -> (uint256, uint256, uint256):
    """
    @notice What of `paid` [raw] the insurance fund gets, then the pool, for such dues, to the unit above.
    @return (to the fund [raw], to the pool [raw], dues left)
    """
    to_insurance: uint256 = dues & slots.MASK_128
    to_pool: uint256 = dues >> 128
    for_insurance: uint256 = min(paid, fixed_point.ceil_div(to_insurance, UNIT))
    for_pool: uint256 = min(unsafe_sub(paid, for_insurance), fixed_point.ceil_div(to_pool, UNIT))
    to_insurance = unsafe_sub(to_insurance, min(to_insurance, for_insurance * UNIT))
    to_pool = unsafe_sub(to_pool, min(to_pool, for_pool * UNIT))
    return (for_insurance, for_pool, (to_pool << 128) | to_insurance)


@internal
def _answer(lot: uint256, row: uint256, surplus: uint256) -> uint256[3]:
    """
    @notice Let the lots of one bankrupt's seizure answer for one debt, whatever he put in front and whichever is sold
            first: what `lot` brought beyond its own dues repays what is left of the others', sold ones too, in their order.
    @dev No lot takes over what another owes: it would be the fund's before the pool's own, and at another token's price.
    @param surplus [raw]
    @return (to the insurance fund [raw], to the pool [raw], of that for sold lots [raw])
    """
    repaid: uint256[3] = empty(uint256[3])
    for step: uint256 in range(MAX_TOKENS):
        id: uint256 = (row >> 160) + step
        if surplus == 0 or self._lots[id].row != row:
            break
        dues: uint256 = self._lots[id].dues
        for_insurance: uint256 = 0
        for_pool: uint256 = 0
        for_insurance, for_pool, dues = self._repay(dues, surplus - repaid[0] - repaid[1])
        if for_insurance + for_pool != 0 and id != lot:
            repaid[0] += for_insurance
            repaid[1] += for_pool
            if self._lots[id].sale == 0:
                repaid[2] += for_pool
            self._change(id, dues)
    return repaid


@internal
@view
def _awaited_of(row: uint256) -> uint256[2]:
    """
    @notice What lots of a seizure may bring for others for sale, and for sold ones, as it was reckoned last [WAD quote].
    """
    return [self._awaited[row] >> 128, self._awaited[row] & slots.MASK_128]


@internal
def _await(row: uint256, least: uint256[2]):
    """
    @notice What lots of a seizure may bring the pool beyond their own dues: as of now, but no less than `least`.
    @dev While no lot is gone that is what it was less what is repaid: with a price that is low for a block whoever enters the
         pool would pay too little.
    @param least [WAD quote] for others for sale, for sold ones: never more than they lack
    """
    was: uint256[2] = self._awaited_of(row)
    due: uint256[2] = self._reckon(row, False)
    due = [max(due[0], least[0]), max(due[1], least[1])]
    if due[0] != was[0] or due[1] != was[1]:
        self._awaited[row] = (due[0] << 128) | due[1]
        self._crossing = self._crossing + due[0] - was[0]
        self.owed_to_pool = self.owed_to_pool + due[1] - was[1]


@internal
@view
def _reckon(row: uint256, doubted: bool) -> uint256[2]:
    """
    @notice What lots of a seizure that are for sale may bring the pool beyond their own dues at their last prices, in the
            order in which a surplus repays: for others for sale that do not bring theirs at the floor, as `worth` counts
            them; and for sold ones.
    @param doubted whether the last price of a dead one may have been wrong: it counts as in `worth`
    @return [WAD quote] for others for sale, for sold ones
    """
    brings: uint256[MAX_TOKENS] = empty(uint256[MAX_TOKENS])  # nothing, of one that is sold
    lowest: uint256[MAX_TOKENS] = empty(uint256[MAX_TOKENS])
    spare: uint256 = 0
    for step: uint256 in range(MAX_TOKENS):
        words: Words = self._lots[(row >> 160) + step]
        if words.row != row:
            break
        amount: uint256 = words.sale & slots.MASK_128
        if amount != 0:
            held: IClearinghouse.Holding = staticcall CLEARINGHOUSE.holding(self, (words.sale >> 128) & 255)
            brings[step] = self._worth_of(held, amount) if doubted else amount * held.unit * held.price // WAD
            lowest[step] = brings[step] * held.kept_ppm // PPM
            spare += brings[step] - min(brings[step], (words.dues & slots.MASK_128) + (words.dues >> 128))
    at_floor: uint256[2] = self._share_out(row, spare, lowest)
    at_worth: uint256[2] = self._share_out(row, spare, brings)
    return [min(at_floor[0], spare - at_worth[1]), at_worth[1]]


@internal
@view
def _share_out(row: uint256, spare: uint256, brings: uint256[MAX_TOKENS]) -> uint256[2]:
    """
    @notice What the pool gets of `spare` for what lots lack that bring so much, the fund's part of each first.
    @return [WAD quote] for lots for sale, for sold ones
    """
    shares: uint256[2] = empty(uint256[2])
    left: uint256 = spare
    for step: uint256 in range(MAX_TOKENS):
        words: Words = self._lots[(row >> 160) + step]
        if words.row != row or left == 0:
            break
        to_insurance: uint256 = words.dues & slots.MASK_128
        covered: uint256 = min(brings[step], to_insurance)
        left -= min(left, to_insurance - covered)
        to_pool: uint256 = words.dues >> 128
        to_pool = min(left, to_pool - min(brings[step] - covered, to_pool))
        left -= to_pool
        if words.sale != 0:
            shares[0] += to_pool
        else:
            shares[1] += to_pool
    return shares


@internal
@pure
def _worth_of(held: IClearinghouse.Holding, amount: uint256) -> uint256:
    """
    @notice What so much [raw] of a token was last known to be worth [WAD quote]: of a dead one no less than at its stable
            price, since it may have died of a price that was wrong for a block.
    """
    price: uint256 = held.price if held.status == prices.LIVE else max(held.price, held.stable)
    return amount * held.unit * price // WAD


@internal
def _change(lot: uint256, dues: uint256):
    """
    @notice Another sum that a lot owes, while its amount stays.
    """
    words: Words = self._lots[lot]
    amount: uint256 = words.sale & slots.MASK_128
    self._owe(lot, (words.sale >> 128) & 255, amount, words.dues, amount, dues)
    log ICollateralAuction.LotOwes(lot=lot, to_insurance=dues & slots.MASK_128, to_pool=dues >> 128)


@internal
def _forget(lot: uint256):
    """
    @notice What a lot owes the pool is the insurance fund's from now on.
    """
    dues: uint256 = self._lots[lot].dues
    if dues >> 128 != 0:
        self._change(lot, (dues & slots.MASK_128) + (dues >> 128))


@internal
@view
def _must_be_gone(sale: uint256):
    """
    @notice Refuse to write off a lot whose feed is live or was seen live within a month.
    """
    terms: uint256[4] = staticcall CLEARINGHOUSE.token_words((sale >> 128) & 255)
    price: uint256 = 0
    status: uint256 = 0
    most: uint256 = 0
    price, status, most = prices.read(terms[0], terms[1], 0, 0)
    if status == prices.LIVE or block.timestamp <= ((sale >> 168) & slots.MASK_40) + WRITE_OFF_AFTER:
        fixed_point.fail(reasons.AUCTION_NOT_TO_BE_WRITTEN_OFF)


@internal
@pure
def _owner(row: uint256) -> address:
    """
    @notice Whose the surplus of a seizure is; zero for the insurance fund.
    """
    return convert(row & slots.MASK_160, address)


@internal
@pure
def _kind(token: uint256, dues: uint256) -> uint256:
    return 2 * token + convert(dues & slots.MASK_128 > dues >> 128, uint256)


@internal
@view
def _look(sale: uint256, terms: uint256[4]) -> (uint256, uint256[3]):
    """
    @notice A lot's oracle price, which must be live, and its clock as of now.
    @return (price [WAD quote/base], (elapsed [s], seen at, live until))
    """
    price: uint256 = 0
    status: uint256 = 0
    most: uint256 = 0
    price, status, most = prices.read(terms[0], terms[1], 0, 0)
    prices.must_be_live(status)
    answer: int256 = 0
    updated_at: uint256 = 0
    answer, updated_at = prices.told(terms[0])
    # Nobody could buy before a freeze and its grace were over: that time does not count.
    calm_from: uint256 = min(staticcall CONFIGURATOR.calm_from(), block.timestamp)
    seen_at: uint256 = max((sale >> 168) & slots.MASK_40, calm_from)
    # Known to be live: from what was seen to where that round went stale, and from this round on.
    before: uint256 = max(min(updated_at, sale >> 208), seen_at) - seen_at
    since: uint256 = block.timestamp - max(updated_at, seen_at)
    elapsed: uint256 = min(((sale >> 136) & slots.MASK_32) + before + since, slots.MASK_32)
    return (price, [elapsed, block.timestamp, updated_at + ((terms[0] >> slots.MAX_AGE) & slots.MASK_20)])


@internal
@view
def _cost(amount: uint256, price: uint256, elapsed: uint256, terms: uint256[4]) -> uint256:
    """
    @notice amount * price * (1 + premium - (premium + discount) * elapsed / duration), never under the floor; rounded up.
    @return [raw] of the quote token
    """
    discount: uint256 = terms[0] >> slots.DISCOUNT
    premium: uint256 = (terms[2] >> slots.PREMIUM) & slots.MASK_20
    duration: uint256 = (terms[2] >> slots.DURATION) & slots.MASK_20
    unit: uint256 = pow_mod256(10, (terms[1] >> slots.UNIT_EXPONENT) & 31)
    share: uint256 = (PPM + premium) * duration - (premium + discount) * min(elapsed, duration)
    worth: uint256 = fixed_point.ceil_div(amount * unit * price * share, WAD * PPM * duration)
    return fixed_point.ceil_div(worth, UNIT)


@internal
@view
def _lot(id: uint256) -> ICollateralAuction.Lot:
    words: Words = self._lots[id]
    return ICollateralAuction.Lot(
        id=id,
        token=(words.sale >> 128) & 255,
        amount=words.sale & slots.MASK_128,
        elapsed=(words.sale >> 136) & slots.MASK_32,
        seen_at=(words.sale >> 168) & slots.MASK_40,
        live_until=words.sale >> 208,
        to_insurance=words.dues & slots.MASK_128,
        to_pool=words.dues >> 128,
        surplus_to=self._owner(words.row),
        first=words.row >> 160 if words.row != 0 else id,
    )


@internal
def _collect(cost: uint256):
    """
    @notice Take the whole cost from the buyer.
    """
    before: uint256 = staticcall QUOTE.balanceOf(self)
    paid: bool = extcall QUOTE.transferFrom(msg.sender, self, cost, default_return_value=True)
    after: uint256 = staticcall QUOTE.balanceOf(self)
    if not paid or after != before + cost:
        fixed_point.fail(reasons.LEDGER_TRANSFER_FAILED)


@internal
def _pay(account: address, amount: uint256):
    extcall CLEARINGHOUSE.deposit(account, QUOTE.address, amount)
