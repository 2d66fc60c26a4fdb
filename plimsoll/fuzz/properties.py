"""What must hold, whatever the model says. One property, one function; add yours the same way.

`STATE` properties look at one state of the ledger (`Books`): they are checked on the model after
every operation, and on what the contracts themselves say whenever the whole state is compared.
`STEP` properties look at one operation, with what was before it (`Step`). A property returns
``None``, or what is wrong in a few words:

    from plimsoll.fuzz.properties import Books, on_state

    @on_state("MINE-1")
    def nobody_owes(books: Books) -> str | None:
        owing = [a for a, header in books.headers.items() if header.cash < 0]
        return f"{owing} owe" if owing else None

Import the module that holds it before the run. The ids are those of ``contracts/SPEC.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from typing import Any, NamedTuple

from plimsoll import slots
from plimsoll.formulas import LIVE, MAX_UINT, Refused, equity
from plimsoll.fuzz.chain import Outcome
from plimsoll.fuzz.system import Op, System
from plimsoll.model import (
    HAS_TOKENS,
    NOWHERE,
    VIRTUAL_SHARES,
    Backing,
    Model,
    Sum,
    terms_of,
)
from plimsoll.slots import WAD

# What may take a healthy account to unhealthy: prices, feeds, time, and a ramp, which everybody saw
# coming; and another feed, see below.
MOVES_PRICES = ("price", "fault", "wait", "walk")
# What nobody can gain by, at prices that stand still.
OWN_ACTS = (
    "trade",
    "deposit",
    "deposit_with_permit",
    "withdraw",
    "poke",
    "poke_token",
    "settle",
    "tick",
    "pool_deposit",
    "pool_mint",
    "refresh",
    "share",
)
# Likewise, but with another's leave it may be his shares that move: they are taken as one.
SHARED_ACTS = ("request", "cancel", "redeem", "pool_withdraw", "share_from")


class Mismatch(Exception):
    """Contracts and model differ, or a property is broken.

    Attributes:
        kind: what differs, without numbers, so that a shorter list can be seen to fail likewise.
        operations: what had been run, the culprit last.
    """

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(f"{kind}: {detail}")
        self.kind = kind
        self.operations: list[Op] = []


# ------------------------------------------------------------------ what a property sees


class Books(NamedTuple):
    """The ledger at one moment, as the model has it or as the contracts tell it."""

    house: str  # whose account the insurance fund is
    pool: str
    unit: int  # [WAD quote] of a raw unit
    headers: Mapping[str, slots.Header]
    positions: Mapping[tuple[str, int], slots.Position]  # by account and market
    states: Mapping[int, slots.StateA]  # by market
    exposure: int  # [WAD quote] of the pool, as booked
    custody: int  # [raw]
    held: int  # [raw] by the Clearinghouse, of the quote token
    supply: int  # [shares] of the pool
    shares: Mapping[str, int]
    escrow: int  # [shares] that the pool holds for those who asked to redeem
    asked: int  # [shares] of all requests
    tokens: Mapping[tuple[str, int], int]  # [raw] collateral by account and token
    totals: Mapping[int, tuple[int, int]]  # [raw] by token: as booked, and by the token's own word
    debt: int  # [WAD quote] the sum of debts, as booked
    settled: bool  # whether some market is, which closes positions whatever they leave
    share: int  # [WAD] plus one, of each claim; 0 without a settlement
    due: int  # [WAD quote] to the pool and the fund, for lots that are for sale

    @classmethod
    def of(cls, model: Model) -> Books:
        """The model's."""
        return cls(
            house=model.address,
            pool=model.settings.pool,
            unit=model.settings.unit,
            headers=model.headers,
            positions=model.positions,
            states={market: stored.a for market, stored in model.markets.items()},
            exposure=model.book.exposure,
            custody=model.custody,
            held=model.balance(model.settings.quote, model.address),
            supply=model.supply,
            shares=model.shares,
            escrow=model.shares.get(model.settings.pool, 0),
            asked=sum(r.shares for r in model.requests.values()),
            tokens=model.held,
            totals={
                id: (token.state.total, model.balance(token.address, model.address))
                for id, token in model.tokens.items()
            },
            debt=model.debts.total,
            settled=any(model.is_settled(m) for m in range(len(model.listed))),
            share=model.share,
            due=sum(lot.to_pool + lot.to_insurance for lot in model.lots if lot.amount),
        )


class Step(NamedTuple):
    """An operation that has been run."""

    system: System  # as it is after it
    op: Op
    outcome: Outcome  # of the contracts
    before: Before


class Before:
    """What an operation found.

    Attributes:
        account: whom a trade, a withdrawal or a liquidation is about; None for other operations.
        total: his legs.
        cash: his [WAD quote].
        unhealthy: whether he could be liquidated, which nobody can while the venue is not calm.
        sold: the token of the lot that a purchase is about.
        owed: what lots owe the pool by what entries pay, where one is bought [WAD quote].
        backing: his collateral.
        closed: what he would be worth if he closed all his legs himself; None if he cannot.
        insurance: the fund's cash [WAD quote].
        actors: who acts, for operations that he cannot gain by.
        wealth: of them.
        standing: everybody's, where asked for.
    """

    def __init__(self, system: System, op: Op, watch: bool) -> None:
        model, name = system.model, op[0]
        about = ("trade", "withdraw", "liquidate", "convert", "deleverage")
        self.account = system.address(op[2]) if name in about else None
        self.backing = Backing()
        self.total, self.cash, self.closed, self.unhealthy = Sum(), 0, None, False
        if self.account is not None:
            header = model.header_of(self.account)
            self.total = model._value(self.account, header.bitmap)
            self.backing = model._backing(self.account)
            self.cash = header.cash - model.interest_of(self.account)
            system_account = model._is_system(self.account)
            sick = self.cash + self.total.pnl + self.backing.maintenance < self.total.maintenance
            self.unhealthy = sick and not system_account and model.is_calm()
            if name == "liquidate" and self.unhealthy:
                self.closed = cash_if_closed(system, self.account)
        self.pool = pool_at_most(model) if name == "deleverage" else (0, 0)
        if name == "deleverage" and self.account is not None:
            self.health = model.health(self.account)
        self.equities = {}
        if name == "close_settled":
            self.equities = {a: worth_now(model, a) for a in map(system.address, op[3])}
        self.sold = model.lot(op[2]).token if name == "buy" else 0
        self.owed = model.owed_to_pool() if name == "buy" else 0
        self.insurance = model.header_of(model.address).cash
        self.actors: tuple[str, ...] = ()
        if name in OWN_ACTS:
            self.actors = (op[1],)
        elif name in SHARED_ACTS:
            self.actors = tuple(dict.fromkeys(x for x in op[1:] if x in system.wallets))
        self.wealth = sum((wealth(system, who) for who in self.actors), Fraction(0))
        self.standing = Standing(model) if watch and not moves_prices(op) else None


class Standing:
    """Everybody's health, and the pool's worth."""

    def __init__(self, model: Model) -> None:
        self.health = {a: model.health(a) for a, h in model.headers.items() if h.bitmap or h.flags}
        worth = model.valuation()
        self.nav, self.sure = worth.nav, worth.sure
        self.supply = model.supply


StateProperty = Callable[[Books], "str | None"]
StepProperty = Callable[[Step], "str | None"]
STATE: dict[str, StateProperty] = {}
STEP: dict[str, tuple[StepProperty, tuple[str, ...]]] = {}


def on_state(name: str) -> Callable[[StateProperty], StateProperty]:
    """Register a property of every state, under a requirement's id."""

    def register(check: StateProperty) -> StateProperty:
        STATE[name] = check
        return check

    return register


def on_step(name: str, *ops: str) -> Callable[[StepProperty], StepProperty]:
    """Register a property of every operation, or of some."""

    def register(check: StepProperty) -> StepProperty:
        STEP[name] = (check, ops)
        return check

    return register


def check_state(books: Books) -> None:
    """Check every property of a state.

    Raises:
        Mismatch: naming the first that does not hold.
    """
    for name, check in STATE.items():
        wrong = check(books)
        if wrong:
            raise Mismatch(f"property {name}", wrong)


def check_step(step: Step) -> None:
    """Check every property of an operation.

    Raises:
        Mismatch: naming the first that does not hold.
    """
    for name, (check, ops) in STEP.items():
        if not ops or step.op[0] in ops:
            wrong = check(step)
            if wrong:
                raise Mismatch(f"property {name}", f"{step.op}: {wrong}")


# ------------------------------------------------------------------ of every state


@on_state("LED-2")
def sizes_sum_to_the_skew(books: Books) -> str | None:
    """And the pool's size is minus the skew."""
    skews = dict.fromkeys(books.states, 0)
    for (_, market), position in books.positions.items():
        skews[market] += position.size
    for market, state in books.states.items():
        if state.skew != skews[market]:
            return f"market {market}: {skews[market]} is not {state.skew}"
    return None


@on_state("LED-3")
def cash_less_basis_is_custody(books: Books) -> str | None:
    """To the wei, and the tokens are there."""
    cash = sum(h.cash for h in books.headers.values())
    basis = sum(p.basis for p in books.positions.values())
    if cash - basis != books.custody * books.unit:
        return f"{cash} - {basis} is not {books.custody * books.unit}"
    return None if books.custody <= books.held else f"{books.custody} > {books.held} held"


@on_state("LED-5")
def a_bit_for_each_position(books: Books) -> str | None:
    """No bit without a position, no position without a bit, never more than 32."""
    bits = {(a, m) for a, h in books.headers.items() for m in markets_of(h.bitmap)}
    known = {key for key, position in books.positions.items() if position.size}
    if bits != known:
        return f"{bits ^ known}"
    crowded = [a for a, h in books.headers.items() if h.bitmap.bit_count() > 32]
    return f"{crowded} in more than 32 markets" if crowded else None


@on_state("LED-4")
def tokens_are_somebodys(books: Books) -> str | None:
    """Balances, the auction's lots included, sum to the total, and the tokens are there."""
    sums = dict.fromkeys(books.totals, 0)
    for (_, token), amount in books.tokens.items():
        sums[token] += amount
    for token, (total, owned) in books.totals.items():
        if not sums[token] == total <= owned:
            return f"token {token}: {sums[token]} held, {total} booked, {owned} there"
    holders = {account for (account, _), amount in books.tokens.items() if amount}
    flagged = {account for account, header in books.headers.items() if header.flags & HAS_TOKENS}
    return None if flagged <= holders else f"{flagged - holders} hold nothing"


@on_state("COL-2")
def debts_sum_to_the_total(books: Books) -> str | None:
    """What traders' cash is below zero, as stored."""
    debt = sum(-h.cash for a, h in books.headers.items() if h.cash < 0 and a != books.pool)
    return None if debt == books.debt else f"{debt} is owed, {books.debt} is booked"


@on_state("LIQ-5")
def the_fund_is_never_below_zero(books: Books) -> str | None:
    """Nor does an account keep a debt that has neither positions nor collateral."""
    for account, header in books.headers.items():
        bare = not (header.bitmap or header.flags)
        if header.cash < 0 and bare and account != books.pool and not books.settled:
            return f"{account} is flat and owes {header.cash}"
    fund = books.headers.get(books.house, slots.Header()).cash
    return f"{fund}" if fund < 0 else None


@on_state("QTE-4")
def open_interest_is_what_it_is(books: Books) -> str | None:
    """Long lots and the pool's exposure, counted anew."""
    lots = dict.fromkeys(books.states, 0)
    for (_, market), position in books.positions.items():
        lots[market] += max(position.size, 0) // slots.LOT
        if 0 < abs(position.size) < slots.LOT:
            return f"market {market}: a position of {position.size}"
    exposure = 0
    for market, state in books.states.items():
        if state.lots != lots[market]:
            return f"market {market}: {lots[market]} lots are not {state.lots}"
        exposure += slots.open_interest(state.lots, state.skew) * state.last_price // WAD
    return None if exposure == books.exposure else f"exposure {exposure} is not {books.exposure}"


@on_state("LPV-3")
def shares_are_somebodys(books: Books) -> str | None:
    """Shares sum to the supply, and what the pool holds is what was handed in."""
    if sum(books.shares.values()) != books.supply:
        return f"{sum(books.shares.values())} shares are not {books.supply}"
    return None if books.escrow == books.asked else f"{books.asked} asked, {books.escrow} held"


@on_state("LIQ-11")
def custody_pays_every_claim_its_share(books: Books) -> str | None:
    """Whatever the order; keepers' fees on what is seized later are paid by its sale."""
    if books.share <= 1:
        return None
    house = (books.house, books.pool)
    cash = sum(max(h.cash, 0) for a, h in books.headers.items() if a not in house)
    promised = cash * (books.share - 1)
    there = (books.custody * books.unit + books.due) * WAD
    return None if promised <= there else f"{promised} of {there}"


# ------------------------------------------------------------------ of every operation


@on_step("MGN-7", "trade")
def a_trade_leaves_the_margin(step: Step) -> str | None:
    """The initial margin, or less risk, equity and no worse health."""
    if not step.outcome.ok:
        return None
    model, before = step.system.model, step.before
    account = before.account or ""
    header = model.header_of(account)
    total, backing = model._value(account, header.bitmap), model._backing(account)
    weight_ppm = model.settings.profit_weight_ppm
    opening = equity(header.cash, total.opening_pnl, weight_ppm) + backing.initial
    if not total.dead and opening + packing(model, account) >= total.initial:
        return None
    now = header.cash + total.pnl + backing.maintenance
    then = before.cash + before.total.pnl + before.backing.maintenance
    if total.maintenance > before.total.maintenance:
        return f"{opening} is below {total.initial}, and the maintenance rose"
    healthier = now * before.total.maintenance >= then * total.maintenance
    return None if now >= 0 and healthier else f"equity {then} to {now}, {opening} is too little"


@on_step("MGN-7 withdrawal", "withdraw")
def a_withdrawal_leaves_the_margin(step: Step) -> str | None:
    """The initial margin without any paper profit; and no debt."""
    model, account = step.system.model, step.before.account or ""
    if not step.outcome.ok or account == model.settings.pool:
        return None
    header = model.header_of(account)
    total, backing = model._value(account, header.bitmap), model._backing(account)
    left = header.cash + min(total.opening_pnl, 0)
    if total.dead or left + backing.initial + packing(model, account) < total.initial:
        return f"{left + backing.initial} is left, {total.initial} is needed"
    if step.op[3] == "token" and header.cash < 0:
        return f"a withdrawal left a debt of {-header.cash}"
    return None


def packing(model: Model, account: str) -> int:
    """What storing a stable price may take off a margin once the call is over [WAD quote].

    The call's own check was made on the price as it was: see `model.follow`.
    """
    slack = 0
    for market in markets_of(model.header_of(account).bitmap):
        cut = (terms_of(model.markets[market].words).max_price >> 47) + 1
        slack += 2 * (abs(model.leg(account, market).size) * cut // WAD + 1)
    return slack


@on_step("LIQ-1", "liquidate")
def an_unhealthy_account_can_be_liquidated(step: Step) -> str | None:
    """And no other."""
    if not step.system.model.is_calm():
        waits = "venue: frozen or in grace", "account: system"
        return None if step.outcome.reason in waits else f"in a freeze: {step.outcome.reason!r}"
    if step.before.unhealthy == step.outcome.ok:
        return None
    return f"unhealthy: {step.before.unhealthy}, but {step.outcome.reason!r}"


@on_step("LIQ-2", "liquidate", "liquidate_many")
def a_liquidation_leaves_dead_legs_alone(step: Step) -> str | None:
    """Every live leg is closed; a flat account owes nothing, a bankrupt one has nothing."""
    model = step.system.model
    broke = {e.args[0] for e in step.outcome.events if e.name == "BadDebt"}
    for event in step.outcome.events:
        if event.name != "Liquidated":
            continue
        account, keeper = event.args[:2]
        header = model.header_of(account)
        live = [m for m in markets_of(header.bitmap) if model.leg(account, m).status == LIVE]
        if live:
            return f"{account} still has {live}"
        worth = model._backing(account).maintenance
        if header.cash + worth < 0 and not header.bitmap:
            return f"{account} is flat and owes {-header.cash}, its tokens are worth {worth}"
        if account in broke and header.cash != 0 and account != keeper:
            return f"{account} was bankrupt and has {header.cash}"
    return None


@on_step("LIQ-3", "liquidate", "liquidate_many")
def a_keeper_gets_no_more_than_was_charged(step: Step) -> str | None:
    """But for the fund's part in a flat reward, which is an account's and a block's."""
    model = step.system.model
    topped = 0
    for event in step.outcome.events:
        if event.name == "Liquidated":
            amount, charged, reward = event.args[4:7]
            extra = max(reward - charged, 0)
            if extra > amount // 100:
                return f"{reward} for {charged}: the fund pays over 1 % of {amount}"
            topped += extra
    return f"{topped} in a block" if topped > model.settings.top_up_per_block else None


@on_step("COL-3", "convert")
def a_conversion_does_not_lower_health(step: Step) -> str | None:
    """It sells what counts less than it brings, and repays no more than is owed."""
    before, model, account = step.before, step.system.model, step.before.account or ""
    if not step.outcome.ok:
        return None
    header = model.header_of(account)
    total, backing = model._value(account, header.bitmap), model._backing(account)
    now = header.cash + total.pnl + backing.maintenance
    if step.system.address(step.op[1])[:-2] == account[:-2]:
        now -= step.outcome.value  # his own keeper
    then = before.cash + before.total.pnl + before.backing.maintenance
    return None if now >= then else f"equity fell from {then} to {now}"


def pool_at_most(model: Model) -> tuple[int, int]:
    """The pool's equity, were all that is in doubt its gain, and its maintenance [WAD quote]."""
    return model.solvency()[2], model.pool_margin()[1]


@on_step("LIQ-9", "deleverage")
def a_deleveraging_takes_what_is_needed(step: Step) -> str | None:
    """Of a winner, for a pool that is broke: no more than the target asks, and his health stays."""
    if not step.outcome.ok:
        return None
    model, before, account = step.system.model, step.before, step.before.account or ""
    leg, closed = model.leg(account, step.op[3]), step.outcome.value
    (was, asked), (now, asks) = before.pool, pool_at_most(model)
    if was >= asked:
        return f"the pool was healthy: {was} of {asked}"
    # A wei of the fill; and where he owed, interest was posted: each debtor's rounded for itself.
    others = (a for a in model.headers if a != account and not model._is_system(a))
    owing = 1 + sum(model.headers[a].cash < 0 for a in others)
    rounding = owing * (model.debt_index() // WAD + 1) if before.cash < 0 else 0
    if not 0 <= now - was <= 1 + rounding:
        return f"the pool's equity went from {was} to {now}"
    if model.health(account) < before.health:
        return f"health fell from {before.health} to {model.health(account)}"
    # The skew, too, was more than is left by what was closed: half of what is needed would not do.
    crowd = abs(leg.skew)
    held = model._valued(leg, crowd, 0).required
    less = model._valued(leg, crowd + min(closed, slots.LOT), 0).required
    if was > 0 and (asks - held + less) * model.target <= was * WAD:
        return f"{closed} is more than is needed"
    enough = asks * model.target <= now * WAD
    all_of_it = abs(leg.size) in (0, slots.LOT) or crowd == 0
    return None if enough or all_of_it else f"{closed} is too little"


@on_step("PRC-6", "close_settled")
def a_settled_market_takes_no_fee(step: Step) -> str | None:
    """Equity stays, but for a wei."""
    if not step.outcome.ok:
        return None
    for account, was in step.before.equities.items():
        now = worth_now(step.system.model, account)
        if account != step.system.model.settings.pool and not 0 <= was - now <= 1:
            return f"{account} went from {was} to {now}"
    return None


@on_step("LIQ-11", "withdraw")
def a_claim_is_paid_its_share(step: Step) -> str | None:
    """Within a raw unit; none while it waits."""
    model = step.system.model
    if not model.share or step.op[3] != "token" or not step.outcome.ok:
        return None
    sent = next(e.args[3] for e in step.outcome.events if e.name == "Withdrawn")
    claimed = (step.before.cash - model.header_of(step.before.account or "").cash) // (
        model.settings.unit
    )
    exact = Fraction(claimed * (model.share - 1), WAD)
    return None if 0 <= exact - sent < 1 else f"{sent} for {claimed}, not {float(exact)}"


@on_step("LIQ-7", "buy")
def a_buyer_pays_the_floor(step: Step) -> str | None:
    """At least the oracle's price less the greatest discount."""
    model = step.system.model
    for event in step.outcome.events:
        if event.name == "LotSold":
            amount, cost = event.args[2:4]
            holding = model.holding(NOWHERE, step.before.sold)
            floor = Fraction(amount * holding.unit * holding.price * holding.kept_ppm, 10**24)
            if cost * model.settings.unit < floor:
                return f"{cost} for {amount}, the floor is {float(floor)}"
    return None


@on_step("LIQ-4", "buy")
def a_bankrupt_has_nothing_while_his_lots_owe(step: Step) -> str | None:
    """Of what his dead tokens bring: all of them answer for his debt."""
    model = step.system.model
    for event in step.outcome.events:
        if event.name == "LotSold":
            lot = event.args[0]
            his, auction = model.lots[lot].surplus_to, model.settings.auction
            paid = [e for e in step.outcome.events if e.name == "Deposited"]
            if his != NOWHERE and any(e.args[0] == his and e.args[2] == auction for e in paid):
                row = model.lots_of_its_seizure(lot)
                owing = [o.id for o in row if o.to_insurance or o.to_pool]
                return f"lot {lot} pays its owner, and {owing} owe" if owing else None
    return None


@on_step("LIQ-4 awaited", "buy")
def what_lots_owe_falls_by_what_is_repaid(step: Step) -> str | None:
    """And by no more while the lot is for sale: whoever enters the pool would pay too little."""
    model, auction = step.system.model, step.system.model.settings.auction
    if not step.outcome.ok or not model.lot(step.op[2]).amount:
        return None
    paid = [e.args for e in step.outcome.events if e.name == "Deposited"]
    raw = sum(args[3] for args in paid if args[0] == model.settings.pool and args[2] == auction)
    fall, repaid = step.before.owed - model.owed_to_pool(), raw * model.settings.unit
    return None if fall <= repaid else f"falls by {fall}, and {repaid} are repaid"


@on_step("LIQ-6", "liquidate")
def being_liquidated_costs_no_less_than_closing(step: Step) -> str | None:
    """Owner and keeper taken as one, wherever closing would leave equity at or above zero."""
    before, model = step.before, step.system.model
    if before.closed is None or not step.outcome.ok:
        return None
    kept = worth_of(model, before.account or "")
    # His own keeper has the reward in that account already.
    if step.system.address(step.op[1]) != before.account:
        kept += step.outcome.value
    return f"leaves {kept}, closing {before.closed}" if kept > before.closed else None


@on_step("insurance")
def the_fund_pays_for_liquidations_alone(step: Step) -> str | None:
    """Nothing else takes from it."""
    if step.op[0] in ("liquidate", "liquidate_many", "convert", "starved"):
        return None
    now = step.system.model.header_of(step.system.model.address).cash
    return f"{step.before.insurance} to {now}" if now < step.before.insurance else None


@on_step("QTE-5", "trade")
def a_fee_is_a_fee(step: Step) -> str | None:
    """Never below zero, never more than a tenth of the notional; the fund's share is in it."""
    fills = [e for e in step.outcome.events if e.name == "Fill"]
    fees = [e for e in step.outcome.events if e.name == "FeePaid"]
    for fill, paid in zip(fills, fees, strict=True):
        fee, to_insurance = paid.args[2:4]
        amount = abs(fill.args[2]) * fill.args[3] // WAD
        if not 0 <= to_insurance <= fee or fee > amount // 10 + 1:
            return f"{fee} ({to_insurance}) on {amount}"
    return None


@on_step("nobody gains by his own act")
def wealth_does_not_rise_by_ones_own_act(step: Step) -> str | None:
    """At prices that stand still: no loop, split, dust or detour ends above where it began.

    What wallets are worth is what they would have after closing everything at today's quotes, fees
    apart: the curve is path-independent, so that fills alone leave it as it is.
    """
    actors, model = step.before.actors, step.system.model
    if not actors or not step.outcome.ok:
        return None
    gain = sum((wealth(step.system, who) for who in actors), -step.before.wealth)
    # The pool's NAV is rounded down, by two wei a market.
    owners = [step.system.address(who) for who in actors]
    if any(owner in model.requests or model.shares.get(owner) for owner in owners):
        gain -= 4 * len(model.listed) + 2
    return f"{actors} richer by {float(gain)}" if gain > 0 else None


@on_step("nobody is hurt by others")
def health_does_not_fall_by_others_acts(step: Step) -> str | None:
    """Only prices, funding, a liquidation and he himself can lower anybody's health."""
    standing, system = step.before.standing, step.system
    if standing is None:
        return None
    named = {system.address(x) for x in strings(step.op[1:])}
    for account, health in standing.health.items():
        now, name = system.model.health(account), system.labels.get(account)
        if account not in named and now < health:
            return f"{name} fell from {health} to {now}"
        if now < WAD <= health:
            return f"{name} was healthy: {health}, {now}"
    return None


@on_step("LPV-1")
def the_pool_loses_bad_debt_alone(step: Step) -> str | None:
    """The premium is set aside until it is handed back: what a fill leaves is fee and spread."""
    standing = step.before.standing
    if standing is None or not step.outcome.ok or about_shares(step.op):
        return None
    nav = step.system.model.valuation().nav
    absorbed = sum(e.args[2] for e in step.outcome.events if e.name == "BadDebt")
    house = step.system.model.address  # to whose account the surplus of seized live tokens goes
    lots = [e.args for e in step.outcome.events if e.name == "LotOpened"]
    absorbed += sum(args[4] for args in lots if args[5] == house)
    fills = sum(e.name == "Fill" for e in step.outcome.events)
    lost = standing.nav - absorbed - 4 * fills - nav
    return f"NAV {standing.nav} to {nav}, absorbed {absorbed}" if lost > 0 else None


@on_step("LPV-2")
def a_share_loses_nothing_to_who_comes_and_goes(step: Step) -> str | None:
    """Entries and claims round for those who stay; interest and live lots in it, as in claims."""
    standing = step.before.standing
    if standing is None or not step.outcome.ok or not about_shares(step.op):
        return None
    model = step.system.model
    unit, worth = model.settings.unit, model.valuation()
    was, now = standing.nav + standing.sure + unit, worth.nav + worth.sure + unit
    if now * (standing.supply + VIRTUAL_SHARES) < was * (model.supply + VIRTUAL_SHARES):
        return f"{was} of {standing.supply}, {now} of {model.supply}"
    return None


# ------------------------------------------------------------------ what they measure


def wealth(system: System, wallet: str) -> Fraction:
    """What a wallet would have if it closed and sold everything now, fees apart [WAD quote]."""
    model, owner = system.model, system.address(wallet)
    total = Fraction(model.balance(model.settings.quote, owner) * model.settings.unit)
    sizes: dict[int, int] = {}
    for id, token in model.tokens.items():
        owned = model.balance(token.address, owner)
        owned += sum(n for (a, i), n in model.held.items() if i == id and a[:-2] == owner[:-2])
        if owned:
            holding = model.holding(NOWHERE, id)
            total += Fraction(owned * holding.unit * holding.price, WAD)
    for account, header in model.headers.items():
        if account[:-2] != owner[:-2]:
            continue
        total += header.cash - model.interest_of(account)
        for market in markets_of(header.bitmap):
            leg = model.leg(account, market)
            total += Fraction(leg.size * (leg.price - leg.funding_index), WAD) - leg.basis
            sizes[market] = sizes.get(market, 0) + leg.size
    for market, size in sizes.items():
        leg = model.leg(NOWHERE, market)
        depth = terms_of(model.markets[market].words).skew_scale
        total += Fraction(leg.price * size * (2 * leg.skew - size), 2 * depth * WAD)
    request = model.requests.get(owner)
    shares = model.shares.get(owner, 0) + (request.shares if request else 0)
    if shares:
        nav = max(model.valuation().nav + model.settings.unit, 0)
        nav += model.valuation().due  # what somebody's act brings it was the pool's before
        total += Fraction(shares * nav, model.supply + VIRTUAL_SHARES)
    return total


def worth_now(model: Model, account: str) -> int:
    """An account's cash and paper profit [WAD quote]."""
    header = model.header_of(account)
    return header.cash - model.interest_of(account) + model._value(account, header.bitmap).pnl


def worth_of(model: Model, account: str) -> int:
    """An account's cash, and its tokens at their last known prices [WAD quote]."""
    total = model.header_of(account).cash - model.interest_of(account)
    for id in model.tokens:
        holding = model.holding(account, id)
        total += holding.own * holding.unit * holding.price // WAD
    return total


def cash_if_closed(system: System, account: str) -> int | None:
    """What an account would be worth if its owner closed it, leg by leg; None if he cannot.

    Without the surge of this block's liquidations, which he could wait out.
    """
    model = system.model
    saved = model.save()
    try:
        for market, stored in saved[2].items():
            position = model.positions.get((account, market))
            if position:
                model.markets[market] = stored._replace(b=stored.b._replace(surge_ppm=0))
                worst = 0 if position.size > 0 else MAX_UINT
                model.trade(account, account, market, -position.size, worst)
        cash = model.header_of(account).cash - model.interest_of(account)
        if cash + model._backing(account).credit < 0:
            return None  # closing would leave a debt that nothing covers
        return worth_of(model, account)
    except Refused:
        return None
    finally:
        model.load(saved)


def moves_prices(op: Op) -> bool:
    """Whether an operation brings new prices or requirements, or time for funding and dying."""
    configures = op[0] in ("configure", "configure_coin")
    return op[0] in MOVES_PRICES or (configures and "feed" in op[4])


def about_shares(op: Op) -> bool:
    """Whether an operation lets somebody into the pool or out of it."""
    return str(op[0]).startswith(("pool_", "redeem"))


def markets_of(bitmap: int) -> list[int]:
    """The markets of an account."""
    return [m for m in range(bitmap.bit_length()) if bitmap >> m & 1]


def strings(values: Iterable[Any]) -> Iterator[str]:
    """Every text in nested lists."""
    for value in values:
        if isinstance(value, str):
            yield value
        elif isinstance(value, list):
            yield from strings(value)
