# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
# pragma optimize codesize
"""
@title LiquidityPool
@license AGPL-3.0-only
@notice Shares of the pool: the account in the Clearinghouse that takes the other side of every trade.
@dev The pool's account is this contract's address; all its money lies in the Clearinghouse, none here, and
     tokens sent here without a call are nobody's.
     Entry is ERC-4626 and immediate, exit is by request (ERC-7540's redeem half) and a claim after a cooldown.
     (ERC-4626's entries and exits take one more argument here, ERC-5143's limit, and can do without it: the
     compiler would not see the interface in them, so a test does.)
     Both are priced by one valuation, both round for those who stay, and both wait while a price that counts
     may not be used. Nobody owns, pauses or configures this contract.
@custom:security Locks reentrancy on every external function, getters included. Tokens come in before the pool
     is valued and go out when everything is written. The only foreign calls are to the Clearinghouse, to its
     Configurator and to the quote token.
"""

from ethereum.ercs import IERC165
from ethereum.ercs import IERC20
from ethereum.ercs import IERC20Detailed
from ethereum.ercs import IERC4626

from modules import collateral
from modules import debt
from modules import fixed_point
from modules import ledger
from modules import margin
from modules import markets
from modules import outflow
from modules import prices
from modules import reasons
from modules import share_token
from modules import slots
from interfaces import IClearinghouse
from interfaces import ICollateralAuction
from interfaces import IConfigurator
from interfaces import ILiquidityPool

implements: IERC165
implements: IERC20
implements: IERC20Detailed
implements: ILiquidityPool

initializes: share_token

exports: (
    # ERC-20
    share_token.name,
    share_token.symbol,
    share_token.decimals,
    share_token.totalSupply,
    share_token.balanceOf,
    share_token.allowance,
    share_token.transfer,
    share_token.transferFrom,
    share_token.approve,
    # ERC-2612 and ERC-5267
    share_token.permit,
    share_token.nonces,
    share_token.DOMAIN_SEPARATOR,
    share_token.eip712Domain,
)

# ------------------------------------------------------------------ CONSTANTS

PPM: constant(uint256) = 10**6
WAD: constant(uint256) = 10**18
SWAD: constant(int256) = 10**18

OFFSET: constant(uint8) = 6  # decimals of a share beyond those of the quote
VIRTUAL_SHARES: constant(uint256) = 10**6  # beside one raw unit of the quote: nobody's, against inflation
MIN_COOLDOWN: constant(uint256) = 3_600  # [s]
MAX_COOLDOWN: constant(uint256) = 2_592_000  # [s]
NEAR: constant(uint256) = 2  # times its maintenance: with less equity the pool is near a deleveraging
CLAIM_WINDOW: constant(uint256) = 172_800  # [s] a claim that stood for ever would be an instant exit

ERC_165: constant(bytes4) = 0x01ffc9a7
ERC_7540_OPERATOR: constant(bytes4) = 0xe3bc4e65
ERC_7540_REDEEM: constant(bytes4) = 0x620ee8e4
ERC_7575: constant(bytes4) = 0x2f0a18c5

# ------------------------------------------------------------------ IMMUTABLES

CLEARINGHOUSE: immutable(IClearinghouse)
QUOTE: immutable(IERC20)
UNIT: immutable(uint256)  # [WAD quote] of one raw unit of the quote token
COOLDOWN: immutable(uint256)  # [s] from a request to its claim

# ------------------------------------------------------------------ STORAGE

_requests: HashMap[address, ILiquidityPool.Request]  # by controller; their shares sum to this contract's own
isOperator: public(HashMap[address, HashMap[address, bool]])  # by controller, then operator
reported_loss: public(HashMap[address, uint256])  # [WAD quote] that an account could not pay, when last reported
reported_losses: public(uint256)  # [WAD quote] their sum

# ------------------------------------------------------------------ CONSTRUCTOR


@deploy
def __init__(clearinghouse: address, quote: address, name: String[32], symbol: String[16], cooldown: uint256):
    """
    @param clearinghouse [address] where the pool has its account; it need not exist yet, and checks back when it does
    @param quote [address] the settlement token, which is the Clearinghouse's
    @param name [text] the share's name
    @param symbol [text] the share's symbol
    @param cooldown [s] from a request to its claim, an hour to thirty days
    """
    assert clearinghouse != empty(address), "pool: no clearinghouse"
    assert cooldown >= MIN_COOLDOWN and cooldown <= MAX_COOLDOWN, "pool: cooldown out of range"
    decimals: uint8 = staticcall IERC20Detailed(quote).decimals()
    assert decimals <= 18, "pool: over 18 decimals"
    CLEARINGHOUSE = IClearinghouse(clearinghouse)
    QUOTE = IERC20(quote)
    UNIT = 10 ** convert(18 - decimals, uint256)
    COOLDOWN = cooldown
    share_token.__init__(name, symbol, decimals + OFFSET)


# ------------------------------------------------------------------ EXTERNAL: entry


@external
def deposit(assets: uint256, receiver: address, min_shares: uint256 = 0) -> uint256:
    """
    @notice Pay `assets` into the pool and mint `receiver` what they buy.
    @dev Pulls, values the pool, credits what arrived, mints, tells the Clearinghouse the NAV. Shares round down,
         for those who are in. A token that takes a fee buys what arrives after it.
    @param assets [raw quote] taken from the caller
    @param receiver [address] who gets the shares
    @param min_shares [shares] or nothing happens (ERC-5143)
    @return [shares] minted
    @custom:access anyone, from his own tokens
    @custom:reverts pool: zero assets; pool: transfer failed; pool: a price is not live; pool: no equity;
         pool: zero shares; pool: too few shares; shares: bad receiver; ledger: deposit too large
    @custom:spec LPV-2, LPV-3, LPV-4
    """
    if assets == 0:
        fixed_point.fail(reasons.POOL_ZERO_ASSETS)
    pulled: uint256 = self._pull(assets)
    v: ILiquidityPool.Valuation = self._value()
    self._check_entry(v)
    arrived: uint256 = self._pay_in(pulled)
    minted: uint256 = self._shares_for(arrived, v)
    if minted < min_shares:
        fixed_point.fail(reasons.POOL_TOO_FEW_SHARES)
    self._enter(arrived, minted, receiver, v)
    return minted


@external
def mint(shares: uint256, receiver: address, max_assets: uint256 = max_value(uint256)) -> uint256:
    """
    @notice Mint `receiver` exactly `shares` for what they cost.
    @dev Values the pool again once the tokens are in, so that a token which calls its sender back cannot settle
         the price before the state. The cost rounds up, for those who are in.
    @param shares [shares] minted
    @param receiver [address] who gets them
    @param max_assets [raw quote] or nothing happens (ERC-5143)
    @return [raw quote] taken from the caller
    @custom:access anyone, from his own tokens
    @custom:reverts pool: zero shares; pool: a price is not live; pool: no equity; pool: too many assets;
         pool: transfer failed; pool: too little arrived; shares: bad receiver; ledger: deposit too large
    @custom:spec LPV-2, LPV-3, LPV-4
    """
    if shares == 0:
        fixed_point.fail(reasons.POOL_ZERO_SHARES)
    v: ILiquidityPool.Valuation = self._value()
    self._check_entry(v)
    assets: uint256 = self._cost_of(shares, v)
    if assets > max_assets:
        fixed_point.fail(reasons.POOL_TOO_MANY_ASSETS)
    pulled: uint256 = self._pull(assets)
    v = self._value()
    self._check_entry(v)
    arrived: uint256 = self._pay_in(pulled)
    needed: uint256 = self._cost_of(shares, v)
    if arrived < needed:
        fixed_point.fail(reasons.POOL_TOO_LITTLE_ARRIVED)
    self._enter(arrived, shares, receiver, v)
    return assets


# ------------------------------------------------------------------ EXTERNAL: exit


@external
def requestRedeem(shares: uint256, controller: address, owner: address) -> uint256:
    """
    @notice Hand in `shares`; after the cooldown `controller` may claim them, for two days.
    @dev The shares move into this contract and keep gaining and losing. What they are worth now, rounded down, is
         the most that a claim pays. A request on top of one that still runs makes one of both: the cooldown starts
         anew and all shares take the lesser value of the two requests; cancel first to start afresh. On top of a
         lapsed one, all shares take today's value.
         The controller, too, must agree (be the caller, or have made him operator): otherwise a stranger's dust
         would restart his cooldown.
    @param shares [shares] added to the request
    @param controller [address] who will claim
    @param owner [address] whose shares they are
    @return [id] 0, as every request has (ERC-7540)
    @custom:access the owner, his operator, or a spender within his allowance; and the controller or his operator
    @custom:reverts pool: zero shares; pool: not your request; shares: allowance too low;
         shares: balance too low; pool: a price is not live; pool: no equity; pool: zero assets
    @custom:spec LPV-2, LPV-4
    """
    if shares == 0:
        fixed_point.fail(reasons.POOL_ZERO_SHARES)
    self._check_controller(controller)
    if msg.sender != owner and not self.isOperator[owner][msg.sender]:
        share_token._spend(owner, msg.sender, shares)
    v: ILiquidityPool.Valuation = self._value()
    self._check_exit(v)

    request: ILiquidityPool.Request = self._requests[controller]
    total: uint256 = request.shares + shares
    # A bound for the claim should not depend on what was seized, or reported, just before: the claim itself will.
    v.sure = v.due
    v.doubtful = 0
    worth: uint256 = self._worth(total, v)
    if request.shares != 0 and block.timestamp <= request.claimable_at + CLAIM_WINDOW:
        worth = min(worth, request.worth * total // request.shares)
    if worth == 0:
        fixed_point.fail(reasons.POOL_ZERO_ASSETS)
    self._keep(controller, total, worth, block.timestamp + COOLDOWN)
    share_token._move(owner, self, shares)
    log ILiquidityPool.RedeemRequest(controller=controller, owner=owner, requestId=0, sender=msg.sender, shares=shares)
    return 0


@external
def cancelRequest(receiver: address, controller: address) -> uint256:
    """
    @notice Take the whole request of `controller` back, at any time: waiting, claimable or lapsed.
    @param receiver [address] who gets the shares
    @param controller [address] whose request
    @return [shares] given back
    @custom:access the controller or his operator
    @custom:reverts pool: not your request; pool: no request; shares: bad receiver
    @custom:spec LPV-2
    """
    self._check_controller(controller)
    share_token._check_receiver(receiver)
    amount: uint256 = self._requests[controller].shares
    if amount == 0:
        fixed_point.fail(reasons.POOL_NO_REQUEST)
    self._keep(controller, 0, 0, 0)
    share_token._move(self, receiver, amount)
    return amount


@external
def redeem(shares: uint256, receiver: address, controller: address, min_assets: uint256 = 0) -> uint256:
    """
    @notice Claim `shares` of the request of `controller`: burn them and pay `receiver` what they are worth.
    @dev The lesser of what they were worth when requested and what they are worth now, rounded down, for those
         who stay. Burns, tells the Clearinghouse the NAV, and only then pays.
    @param shares [shares] of the request
    @param receiver [address] who is paid
    @param controller [address] whose request
    @param min_assets [raw quote] or nothing happens (ERC-5143)
    @return [raw quote] paid
    @custom:access the controller or his operator
    @custom:reverts pool: not your request; pool: no request; pool: cooling down; pool: request has lapsed;
         pool: more than requested; pool: a price is not live; pool: no equity; pool: zero assets;
         pool: too few assets; pool: exposure too high; pool: bad receiver; margin: not enough cash;
         withdraw: outflow limit
    @custom:spec LPV-2, LPV-3, LPV-4
    """
    self._check_controller(controller)
    request: ILiquidityPool.Request = self._claimable(controller)
    if shares > request.shares:
        fixed_point.fail(reasons.POOL_MORE_THAN_REQUESTED)
    v: ILiquidityPool.Valuation = self._value()
    self._check_exit(v)
    assets: uint256 = self._payout(shares, request, v)
    if assets < min_assets:
        fixed_point.fail(reasons.POOL_TOO_FEW_ASSETS)
    self._leave(shares, assets, receiver, controller, request, v)
    return assets


@external
def withdraw(
    assets: uint256, receiver: address, controller: address, max_shares: uint256 = max_value(uint256)
) -> uint256:
    """
    @notice Claim exactly `assets` from the request of `controller`, for as many of its shares as that takes.
    @dev As `redeem`; the shares round up, for those who stay.
    @param assets [raw quote] paid
    @param receiver [address] who is paid
    @param controller [address] whose request
    @param max_shares [shares] or nothing happens (ERC-5143)
    @return [shares] burned
    @custom:access the controller or his operator
    @custom:reverts pool: not your request; pool: no request; pool: cooling down; pool: request has lapsed;
         pool: more than requested; pool: a price is not live; pool: no equity; pool: zero assets;
         pool: too many shares; pool: exposure too high; pool: bad receiver; margin: not enough cash;
         withdraw: outflow limit
    @custom:spec LPV-2, LPV-3, LPV-4
    """
    self._check_controller(controller)
    request: ILiquidityPool.Request = self._claimable(controller)
    v: ILiquidityPool.Valuation = self._value()
    self._check_exit(v)
    if request.worth == 0:
        fixed_point.fail(reasons.POOL_MORE_THAN_REQUESTED)
    wanted: uint256 = assets * UNIT
    burned: uint256 = max(
        self._up(wanted * (share_token.totalSupply + VIRTUAL_SHARES), convert(self._stays(v), uint256) + UNIT),
        self._up(wanted * request.shares, request.worth),
    )
    if burned > request.shares:
        fixed_point.fail(reasons.POOL_MORE_THAN_REQUESTED)
    if burned > max_shares:
        fixed_point.fail(reasons.POOL_TOO_MANY_SHARES)
    self._leave(burned, assets, receiver, controller, request, v)
    return burned


@external
def setOperator(operator: address, approved: bool) -> bool:
    """
    @notice Let `operator` request, cancel and claim for the caller, to any receiver; or no longer.
    @dev ERC-7540's operator: whoever has this right has the caller's shares.
    @param operator [address] who may
    @param approved [bool] whether he may
    @return [bool] true
    @custom:access anyone, for himself
    """
    self.isOperator[msg.sender][operator] = approved
    log ILiquidityPool.OperatorSet(controller=msg.sender, operator=operator, approved=approved)
    return True


# ------------------------------------------------------------------ EXTERNAL: upkeep


@external
def report(account: address) -> uint256:
    """
    @notice Tell what an account could not pay if it were closed now: until it is reported again, exits are priced as if
            the pool had borne it, but for what the insurance fund has. After a liquidation or a recovery the next
            report takes it back: who leaves, or stays, can see to that himself.
    @param account [address] any
    @return [WAD quote] what cash, unrealised PnL at the best known prices and tokens leave unpaid: live ones count what
            they bring in a seizure, dead ones what they do for health, or what their feed answers if that is less
    @custom:access anyone
    @custom:spec LPV-2
    """
    loss: uint256 = self._loss_of(account)
    self.reported_losses = self.reported_losses - self.reported_loss[account] + loss
    self.reported_loss[account] = loss
    log ILiquidityPool.LossReported(account=account, loss=loss, losses=self.reported_losses)
    return loss


@external
def refresh() -> int256:
    """
    @notice Tell the Clearinghouse what the pool is worth now: its exposure is bounded by that, and a NAV older
            than a day lets nobody add to the skew.
    @return [WAD quote] the NAV
    @custom:access anyone
    @custom:reverts pool: a price is not live
    @custom:spec QTE-4, LPV-4
    """
    v: ILiquidityPool.Valuation = self._value()
    self._check_live(v)
    extcall CLEARINGHOUSE.set_nav(v.nav)
    return v.nav


# ------------------------------------------------------------------ VIEWS: entry


@external
@view
def asset() -> address:
    """
    @notice The quote token.
    @return [address]
    @custom:access anyone
    """
    return QUOTE.address


@external
@view
def totalAssets() -> uint256:
    """
    @notice What the pool's account is worth net of all that it owes, and never less than zero.
    @dev Must not revert (ERC-4626), so a price that may not be used stands in with the best that is known;
         nothing is bought or sold by such a value.
    @return [raw quote] rounded down
    @custom:access anyone
    @custom:spec LPV-1, LPV-4
    """
    return self._assets(self._value()) // UNIT


@external
@view
def convertToShares(assets: uint256) -> uint256:
    """
    @notice The shares of that value, no fee counted, at the best known prices.
    @param assets [raw quote]
    @return [shares] rounded down
    @custom:access anyone
    """
    return assets * UNIT * (share_token.totalSupply + VIRTUAL_SHARES) // (self._assets(self._value()) + UNIT)


@external
@view
def convertToAssets(shares: uint256) -> uint256:
    """
    @notice The value of so many shares, no fee counted, at the best known prices.
    @param shares [shares]
    @return [raw quote] rounded down
    @custom:access anyone
    """
    return shares * (self._assets(self._value()) + UNIT) // (share_token.totalSupply + VIRTUAL_SHARES) // UNIT


@external
@view
def maxDeposit(receiver: address) -> uint256:
    """
    @notice The greatest deposit that would pass now: none while a price is not live or there is no equity.
    @param receiver [address] anyone: there is no limit by person
    @return [raw quote] up to what the Clearinghouse may hold
    @custom:access anyone
    """
    return self._space(self._value())


@external
@view
def previewDeposit(assets: uint256) -> uint256:
    """
    @notice The shares that a deposit of `assets` would mint now, to the wei, if the token takes no fee.
    @param assets [raw quote]
    @return [shares] rounded down
    @custom:access anyone
    @custom:reverts pool: a price is not live; pool: no equity
    """
    v: ILiquidityPool.Valuation = self._value()
    self._check_entry(v)
    return self._shares_for(assets, v)


@external
@view
def maxMint(receiver: address) -> uint256:
    """
    @notice The most shares that could be minted now: none while a price is not live or there is no equity.
    @param receiver [address] anyone: there is no limit by person
    @return [shares]
    @custom:access anyone
    """
    v: ILiquidityPool.Valuation = self._value()
    space: uint256 = self._space(v)
    return self._shares_for(space, v) if space != 0 else 0


@external
@view
def previewMint(shares: uint256) -> uint256:
    """
    @notice What minting `shares` would cost now, to the wei, if the token takes no fee.
    @param shares [shares]
    @return [raw quote] rounded up
    @custom:access anyone
    @custom:reverts pool: a price is not live; pool: no equity
    """
    v: ILiquidityPool.Valuation = self._value()
    self._check_entry(v)
    return self._cost_of(shares, v)


# ------------------------------------------------------------------ VIEWS: exit


@external
@view
def maxRedeem(controller: address) -> uint256:
    """
    @notice The most shares of the request of `controller` that a claim could burn now.
    @dev None before the cooldown ends, after it lapsed, while a price is not live or there is no equity; and no
         more than the pool's exposure and the hour's outflow let go.
    @param controller [address] whose request
    @return [shares]
    @custom:access anyone
    @custom:spec LPV-2, LPV-3, LPV-4
    """
    request: ILiquidityPool.Request = self._requests[controller]
    if not self._is_claimable(request):
        return 0
    v: ILiquidityPool.Valuation = self._value()
    room: uint256 = 0
    lets_go: uint256 = 0
    room, lets_go = self._room(v)
    room = min(room, lets_go)
    if room == 0:
        return 0
    amount: uint256 = request.shares
    payout: uint256 = self._payout(amount, request, v)
    if payout > room:
        # The most shares that do not yet pay one raw unit more; either bound on the payout will do.
        above: uint256 = (room + 1) * UNIT
        has: uint256 = convert(self._stays(v), uint256)
        by_now: uint256 = (above * (share_token.totalSupply + VIRTUAL_SHARES) - 1) // (has + UNIT)
        by_then: uint256 = (above * request.shares - 1) // request.worth
        amount = min(amount, max(by_now, by_then))
    return amount if payout != 0 else 0


@external
@view
def maxWithdraw(controller: address) -> uint256:
    """
    @notice The most that a claim on the request of `controller` could be paid now.
    @dev None before the cooldown ends, after it lapsed, while a price is not live or there is no equity; and no
         more than the pool's exposure and the hour's outflow let go.
    @param controller [address] whose request
    @return [raw quote]
    @custom:access anyone
    @custom:spec LPV-2, LPV-3, LPV-4
    """
    request: ILiquidityPool.Request = self._requests[controller]
    if not self._is_claimable(request):
        return 0
    v: ILiquidityPool.Valuation = self._value()
    room: uint256 = 0
    lets_go: uint256 = 0
    room, lets_go = self._room(v)
    room = min(room, lets_go)
    if room == 0:
        return 0
    return min(self._payout(request.shares, request, v), room)


@external
@view
def previewRedeem(shares: uint256) -> uint256:
    """
    @notice Always reverts: what a claim pays depends on its request (ERC-7540). See `maxWithdraw`.
    @param shares [shares]
    @return [raw quote] never
    @custom:access anyone
    @custom:reverts pool: redemption is by request
    """
    raise "pool: redemption is by request"


@external
@view
def previewWithdraw(assets: uint256) -> uint256:
    """
    @notice Always reverts: what a claim takes depends on its request (ERC-7540). See `maxRedeem`.
    @param assets [raw quote]
    @return [shares] never
    @custom:access anyone
    @custom:reverts pool: redemption is by request
    """
    raise "pool: redemption is by request"


@external
@view
def pendingRedeemRequest(requestId: uint256, controller: address) -> uint256:
    """
    @notice The shares of `controller` that still cool down.
    @param requestId [id] 0; there is no other
    @param controller [address] whose request
    @return [shares]
    @custom:access anyone
    """
    request: ILiquidityPool.Request = self._requests[controller]
    return request.shares if requestId == 0 and block.timestamp < request.claimable_at else 0


@external
@view
def claimableRedeemRequest(requestId: uint256, controller: address) -> uint256:
    """
    @notice The shares of `controller` whose time to claim has come and not yet gone.
    @dev Whether a claim would pass just now, `maxRedeem` tells.
    @param requestId [id] 0; there is no other
    @param controller [address] whose request
    @return [shares]
    @custom:access anyone
    """
    request: ILiquidityPool.Request = self._requests[controller]
    return request.shares if requestId == 0 and self._is_claimable(request) else 0


@external
@view
def request_of(controller: address) -> ILiquidityPool.Request:
    """
    @notice The request of `controller`, lapsed or not.
    @param controller [address] whose request
    @return its shares [shares], their worth when requested [WAD quote], claimable at [unix s]
    @custom:access anyone
    """
    return self._requests[controller]


# ------------------------------------------------------------------ VIEWS: the rest


@external
@view
def valuation() -> ILiquidityPool.Valuation:
    """
    @notice What the pool is worth at the best known prices.
    @return [struct] see ILiquidityPool
    @custom:access anyone
    @custom:spec LPV-1
    """
    return self._value()


@external
@view
def doubtful() -> uint256:
    """
    @notice What reported accounts cannot pay and the insurance fund has not: an exit leaves it to those who stay.
    @return [WAD quote]
    @custom:access anyone
    @custom:spec LPV-2
    """
    return self._doubtful()


@external
@view
def clearinghouse() -> address:
    """
    @notice Where the pool has its account.
    @return [address]
    @custom:access anyone
    """
    return CLEARINGHOUSE.address


@external
@view
def cooldown() -> uint256:
    """
    @notice How long a request waits.
    @return [s]
    @custom:access anyone
    """
    return COOLDOWN


@external
@view
def share() -> address:
    """
    @notice The token of the shares: this contract (ERC-7575).
    @return [address]
    @custom:access anyone
    """
    return self


@external
@view
def supportsInterface(interface_id: bytes4) -> bool:
    """
    @notice ERC-165.
    @param interface_id [bytes4] the interface asked for
    @return [bool] whether it is ERC-165, ERC-7575, or ERC-7540's operators or asynchronous redemption
    @custom:access anyone
    """
    return interface_id in [ERC_165, ERC_7575, ERC_7540_OPERATOR, ERC_7540_REDEEM]


# ------------------------------------------------------------------ INTERNAL: the price of a share


@internal
@view
def _value() -> ILiquidityPool.Valuation:
    """
    @notice The pool's account, valued: cash, its side of every market with funding accrued, less what it would
            hand back if every skew unwound along the curve, P * k^2 / 2S.
    @dev The pool's size is minus the skew and its basis is in its cash already. Each market's PnL rounds down,
         its premium and its spread up.
         Near its margin it may be deleveraged, which gives it the premium of what is closed: an entry pays for all that
         there could be, were the smaller sides gone, as who holds them can leave a second later.
         Widths: price, skew, scale 96 bits: P * k under 2**191, the remainder's product under 2**252.
    """
    v: ILiquidityPool.Valuation = ILiquidityPool.Valuation(
        nav=slots.cash_of(staticcall CLEARINGHOUSE.header(self)),
        spread=0,
        due=0,
        sure=0,
        doubtful=self._doubtful(),
        live=staticcall CLEARINGHOUSE.is_calm(),
    )
    settings: IClearinghouse.Settings = staticcall CLEARINGHOUSE.settings()
    credit: uint256[5] = staticcall CLEARINGHOUSE.credit()
    v.due = staticcall ICollateralAuction(settings.auction).owed_to_pool()
    if v.due != 0:
        v.sure = (staticcall ICollateralAuction(settings.auction).worth())[0]
    interest: uint256 = debt.unposted(credit[4], credit[3], credit[0] & slots.MASK_128)
    v.due += interest
    v.sure += interest
    equity: int256 = v.nav + convert(v.sure, int256)  # as the Backstop's: the premium in it
    maintenance: uint256 = 0
    unpaid: uint256 = 0  # [WAD quote] of the premium, what `spread` has not
    count: uint256 = staticcall IConfigurator(settings.configurator).market_count()
    for id: uint256 in range(count, bound=markets.MAX_MARKETS):
        leg: IClearinghouse.Leg = staticcall CLEARINGHOUSE.leg(empty(address), id)
        if leg.skew == 0 and leg.lots == 0:
            continue  # where both sides are even a dead price hides what the one cannot pay
        pnl: int256 = fixed_point.floor_div(-leg.skew * (convert(leg.price, int256) - leg.index), SWAD)
        v.nav += pnl
        equity += pnl
        crowd: uint256 = slots.open_interest(leg.lots, leg.skew)
        maintenance += margin.value(
            convert(crowd, int256),
            0,
            leg.price,
            leg.index,
            (leg.t0 >> slots.MM) & slots.MASK_20,
            leg.t1 & slots.MASK_96,
            ((leg.t1 >> slots.REWARD) & slots.MASK_22) * slots.REWARD_UNIT,
        )[1]
        if (leg.t0 >> slots.STATUS) & 7 == slots.STATUS_SETTLED:
            continue  # it closes at that price: there is no curve to unwind on
        if leg.status != prices.LIVE:
            v.live = False
        depth: uint256 = convert(abs(leg.skew), uint256)
        premium: uint256 = self._premium(depth, leg)
        v.nav -= convert(premium, int256)
        most: uint256 = premium if crowd == depth else self._premium(crowd, leg)
        if (leg.t0 >> slots.STATUS) & 7 != slots.STATUS_OPEN:
            v.spread += most  # what is settled hands none back
        else:
            unpaid += most
        v.spread += self._up(leg.price * depth * (leg.t1 >> slots.SPREAD), WAD * PPM)
    if equity < convert(NEAR * maintenance, int256):
        v.spread += unpaid
    return v


@internal
@pure
def _premium(depth: uint256, leg: IClearinghouse.Leg) -> uint256:
    """
    @notice P * depth^2 / 2S, rounded up: what a skew of that depth has paid on the curve.
    """
    notional: uint256 = leg.price * depth
    divisor: uint256 = (leg.t1 & slots.MASK_96) * 2 * WAD
    return notional // divisor * depth + self._up(notional % divisor * depth, divisor)


@internal
@view
def _doubtful() -> uint256:
    """
    @notice What reported accounts cannot pay and the insurance fund, which is never below zero, has not [WAD quote].
    """
    insurance: uint256 = convert(slots.cash_of(staticcall CLEARINGHOUSE.header(CLEARINGHOUSE.address)), uint256)
    return self.reported_losses - min(self.reported_losses, insurance)


@internal
@view
def _loss_of(account: address) -> uint256:
    """
    @notice What an account's debt to the venue exceeds everything that stands behind it by [WAD quote].
    @dev The pool's own is mostly basis, and no debt.
    """
    if account == self:
        return 0
    header: uint256 = staticcall CLEARINGHOUSE.header(account)
    tokens: uint256 = 0
    interest: uint256 = 0
    tokens, interest = staticcall CLEARINGHOUSE.backing(account)
    left: int256 = slots.cash_of(header) - convert(interest, int256)
    for id: uint256 in range(markets.MAX_MARKETS):
        if (header >> id) & 1 != 0:
            leg: IClearinghouse.Leg = staticcall CLEARINGHOUSE.leg(account, id)
            left += fixed_point.floor_div(leg.size * (convert(leg.price, int256) - leg.index), SWAD) - leg.basis
    for id: uint256 in range(collateral.MAX_TOKENS):
        if (tokens >> id) & 1 != 0:
            held: IClearinghouse.Holding = staticcall CLEARINGHOUSE.holding(account, id)
            counts: uint256 = self._brings(held)
            left += convert(counts, int256)
    return convert(-min(left, 0), uint256)


@internal
@view
def _brings(held: IClearinghouse.Holding) -> uint256:
    """
    @notice What a token in an account that may not pay counts for [WAD quote].
    @dev A dead one as it counts for its holder's health: that fades, and a feed that is late makes no loss. But one that
         answers below its bounds, or nothing, is not late: who is about to leave would leave that loss to those who stay.
    """
    if held.status == prices.LIVE:
        return held.credit
    if held.status == convert(reasons.PRICES_NOT_POSITIVE, uint256):
        return 0
    if held.status != convert(reasons.PRICES_OUT_OF_BOUNDS, uint256):
        return held.maintenance
    words: uint256[4] = staticcall CLEARINGHOUSE.token_words(held.id)
    answer: int256 = 0
    updated_at: uint256 = 0
    answer, updated_at = prices.told(words[0])
    price: uint256 = convert(min(answer, 2**96), uint256) * pow_mod256(10, (words[0] >> slots.EXPONENT) & 31)
    return min(held.maintenance, held.credit * min(price, held.price) // max(held.price, 1))


@internal
@pure
def _stays(v: ILiquidityPool.Valuation) -> int256:
    """
    @notice The NAV that an exit is priced at, and that bounds it: with what live lots bring, so that nobody turns a debt
            into a lot in front of a claim, and with interest, which a report of its debtor takes off with his debt; what
            is doubtful is left to those who stay.
    """
    return v.nav + convert(v.sure, int256) - convert(v.doubtful, int256)


@internal
@pure
def _up(x: uint256, y: uint256) -> uint256:
    """
    @notice `x / y` rounded up, checked: these products come from users.
    """
    return x // y + convert(x % y != 0, uint256)


@internal
@pure
def _assets(v: ILiquidityPool.Valuation) -> uint256:
    return convert(max(v.nav, 0), uint256)


@internal
@view
def _shares_for(assets: uint256, v: ILiquidityPool.Valuation) -> uint256:
    """
    @notice What `assets` [raw] buy, rounded down.
    """
    return assets * UNIT * (share_token.totalSupply + VIRTUAL_SHARES) // (self._assets(v) + v.spread + v.due + UNIT)


@internal
@view
def _cost_of(amount: uint256, v: ILiquidityPool.Valuation) -> uint256:
    """
    @notice What `amount` of new shares costs [raw], rounded up.
    """
    return self._up(
        amount * (self._assets(v) + v.spread + v.due + UNIT), (share_token.totalSupply + VIRTUAL_SHARES) * UNIT
    )


@internal
@view
def _worth(amount: uint256, v: ILiquidityPool.Valuation) -> uint256:
    """
    @notice What `amount` of shares is worth to its holder [WAD quote], rounded down, where something stays.
    """
    has: uint256 = convert(self._stays(v), uint256)
    return amount * (has + UNIT) // (share_token.totalSupply + VIRTUAL_SHARES)


@internal
@view
def _payout(amount: uint256, request: ILiquidityPool.Request, v: ILiquidityPool.Valuation) -> uint256:
    """
    @notice What a claim of `amount` of the request's shares pays [raw], rounded down.
    """
    return min(self._worth(amount, v), request.worth * amount // request.shares) // UNIT


@internal
@view
def _space(v: ILiquidityPool.Valuation) -> uint256:
    """
    @notice How much more the Clearinghouse may hold [raw], if an entry is open at all; in a settlement none is.
    """
    if self._is_settling() or not v.live or self._is_broke(v):
        return 0
    known: IClearinghouse.Globals = staticcall CLEARINGHOUSE.globals()
    return ledger.MAX_CUSTODY // UNIT - known.custody


@internal
@view
def _room(v: ILiquidityPool.Valuation) -> (uint256, uint256):
    """
    @notice How much may leave before the exposure is more than max_pool_leverage times what stays, beside what is lent
            to debtors; nothing while an exit is closed. And how much the Clearinghouse lets go in this hour, which is
            all that there is or less.
    @return (room [raw], lets go [raw])
    """
    known: IClearinghouse.Globals = staticcall CLEARINGHOUSE.globals()
    settings: IClearinghouse.Settings = staticcall CLEARINGHOUSE.settings()
    lets_go: uint256 = outflow.left(known, settings.outflow_ppm, settings.outflow_floor)
    if known.share != 0 or not v.live or self._stays(v) <= 0:
        return (0, lets_go)
    nav: int256 = 0
    exposure: uint256 = 0
    known_at: uint256 = 0
    nav, exposure, known_at = slots.unpack_book(known.book)
    # What is lent, with interest, or given for lots, is not there: who took it would take what custody has for traders.
    credit: uint256[5] = staticcall CLEARINGHOUSE.credit()
    stays: uint256 = (credit[0] & slots.MASK_128) + v.sure
    if exposure != 0:
        if settings.max_pool_leverage_ppm == 0:
            return (0, lets_go)
        stays += self._up(exposure * PPM, settings.max_pool_leverage_ppm)
    has: uint256 = convert(self._stays(v), uint256)
    return ((has - stays) // UNIT if has > stays else 0, lets_go)


# ------------------------------------------------------------------ INTERNAL: checks


@internal
@view
def _is_settling() -> bool:
    """
    @notice Whether a settlement pays claims, or will: what debtors repay meanwhile is theirs first, not the pool's.
    """
    known: IClearinghouse.Globals = staticcall CLEARINGHOUSE.globals()
    return known.share != 0


@internal
@view
def _check_live(v: ILiquidityPool.Valuation):
    if self._is_settling():
        fixed_point.fail(reasons.WITHDRAW_SETTLEMENT_WAITS)
    if not v.live:
        calm: bool = staticcall CLEARINGHOUSE.is_calm()
        fixed_point.fail(reasons.POOL_A_PRICE_IS_NOT_LIVE if calm else reasons.VENUE_FROZEN_OR_IN_GRACE)


@internal
@view
def _is_broke(v: ILiquidityPool.Valuation) -> bool:
    """
    @notice Whether there is nothing left to buy a part of: an empty pool may be entered, a drained one not.
    """
    return v.nav < 0 or (v.nav == 0 and share_token.totalSupply != 0)


@internal
@view
def _check_entry(v: ILiquidityPool.Valuation):
    self._check_live(v)
    if self._is_broke(v):
        fixed_point.fail(reasons.POOL_NO_EQUITY)


@internal
@view
def _check_exit(v: ILiquidityPool.Valuation):
    self._check_live(v)
    if self._stays(v) <= 0:
        fixed_point.fail(reasons.POOL_NO_EQUITY)


@internal
@view
def _check_controller(controller: address):
    if msg.sender != controller and not self.isOperator[controller][msg.sender]:
        fixed_point.fail(reasons.POOL_NOT_YOUR_REQUEST)


@internal
@view
def _is_claimable(request: ILiquidityPool.Request) -> bool:
    return (
        request.shares != 0
        and block.timestamp >= request.claimable_at
        and block.timestamp <= request.claimable_at + CLAIM_WINDOW
    )


@internal
@view
def _claimable(controller: address) -> ILiquidityPool.Request:
    """
    @notice The request of `controller`, if it may be claimed now.
    """
    request: ILiquidityPool.Request = self._requests[controller]
    if request.shares == 0:
        fixed_point.fail(reasons.POOL_NO_REQUEST)
    if block.timestamp < request.claimable_at:
        fixed_point.fail(reasons.POOL_COOLING_DOWN)
    if not self._is_claimable(request):
        fixed_point.fail(reasons.POOL_REQUEST_HAS_LAPSED)
    return request


# ------------------------------------------------------------------ INTERNAL: moves


@internal
def _pull(assets: uint256) -> uint256:
    """
    @notice Take `assets` [raw] from the caller.
    @return what arrived [raw]
    """
    before: uint256 = staticcall QUOTE.balanceOf(self)
    if not extcall QUOTE.transferFrom(msg.sender, self, assets, default_return_value=True):
        fixed_point.fail(reasons.POOL_TRANSFER_FAILED)
    return staticcall QUOTE.balanceOf(self) - before


@internal
def _pay_in(pulled: uint256) -> uint256:
    """
    @notice Hand `pulled` [raw] on to the pool's account. The allowance is used up at once.
    @return what arrived there [raw]
    """
    assert extcall QUOTE.approve(CLEARINGHOUSE.address, pulled, default_return_value=True)  # dev: approve failed
    return extcall CLEARINGHOUSE.deposit(self, QUOTE.address, pulled)


@internal
def _enter(arrived: uint256, minted: uint256, receiver: address, v: ILiquidityPool.Valuation):
    """
    @notice Mint, and tell the Clearinghouse the NAV: `v`, taken before, and what `arrived` [raw].
    """
    if minted == 0:
        fixed_point.fail(reasons.POOL_ZERO_SHARES)
    share_token._mint(receiver, minted)
    log IERC4626.Deposit(sender=msg.sender, owner=receiver, assets=arrived, shares=minted)
    extcall CLEARINGHOUSE.set_nav(v.nav + convert(arrived * UNIT, int256))


@internal
def _leave(
    burned: uint256,
    assets: uint256,
    receiver: address,
    controller: address,
    request: ILiquidityPool.Request,
    v: ILiquidityPool.Valuation,
):
    """
    @notice Burn, tell the Clearinghouse the NAV that stays, and pay.
    @dev What is left of the request is worth no more a share than before: its worth rounds down.
    """
    if assets == 0:
        fixed_point.fail(reasons.POOL_ZERO_ASSETS)
    if receiver == self:
        fixed_point.fail(reasons.POOL_BAD_RECEIVER)
    room: uint256 = 0
    lets_go: uint256 = 0
    room, lets_go = self._room(v)
    if assets > room:
        fixed_point.fail(reasons.POOL_EXPOSURE_TOO_HIGH)
    left: uint256 = request.shares - burned
    if left == 0:
        self._keep(controller, 0, 0, 0)
    else:
        self._keep(controller, left, request.worth * left // request.shares, request.claimable_at)
    share_token._burn(self, burned)
    log IERC4626.Withdraw(sender=msg.sender, receiver=receiver, owner=controller, assets=assets, shares=burned)
    extcall CLEARINGHOUSE.set_nav(v.nav - convert(assets * UNIT, int256))
    extcall CLEARINGHOUSE.withdraw(self, QUOTE.address, assets, receiver)


@internal
def _keep(controller: address, amount: uint256, worth: uint256, claimable_at: uint256):
    self._requests[controller] = ILiquidityPool.Request(shares=amount, worth=worth, claimable_at=claimable_at)
    log ILiquidityPool.RequestKept(controller=controller, shares=amount, worth=worth, claimable_at=claimable_at)
