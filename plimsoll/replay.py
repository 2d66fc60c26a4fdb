"""Prices through the contracts: traders open, prices move, a keeper liquidates, the books balance.

A population of traders with mixed leverage opens at the first prices. Then, step by step, the
feeds are moved, and a keeper liquidates whoever is below health 1.0, once a step. Nothing else
happens, so what the tables show at the end is what the rules do. The same seed gives the same
traders.

With `wrong_way` they bring ether and bitcoin instead of cash and are long everything else, so that
collateral falls with the positions that it stands behind. Then the keeper converts the collateral
of who is called, and a buyer keeps the clocks of the auction going and takes what it sells a
hundredth below the feed.
"""

from __future__ import annotations

import math
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any, NamedTuple

from plimsoll.chain import Chain
from plimsoll.client import (
    Client,
    Conservation,
    Liquidation,
    conservation,
    sub_account,
)
from plimsoll.deployment import Deployment, deploy, stale_feeds
from plimsoll.errors import PriceFileError, Reverted
from plimsoll.prices import Series
from plimsoll.table import Table, collateral, table_of
from plimsoll.units import from_wad, plain, significant, unscaled

LIQUIDATE_AT_ONCE = 16  # accounts in one transaction: well under the gas cap of a transaction
HALVINGS = 3  # of an opening trade that is refused, before it is given up
LEVERAGES = (1.5, 2, 3, 5, 8, 12, 18)  # that traders would like, of notional over collateral
ACCOUNTS_PER_OWNER = 200
WRAPPED = {"ETH": "WETH", "BTC": "WBTC"}  # collateral by the market that has its price
TOKEN_DECIMALS = {"WETH": 18, "WBTC": 8}
BARGAIN = Decimal("0.99")  # of the feed's price, at which the buyer takes a lot

# What the keeper's attempts may be refused with.
NOTHING_TO_DO = ("settle: no net loss", "convert: not called")

OnStep = Callable[[int, int, int, int], None]  # done, of, time in the series, liquidations so far


class Order(NamedTuple):
    """A position that a trader wants."""

    market: str
    size: Decimal  # [base] signed


@dataclass(frozen=True)
class Trader:
    """One of the population."""

    collateral: Decimal  # [quote]
    orders: tuple[Order, ...]
    token: str | None = None  # that the collateral is in; None: quote


class Tick(NamedTuple):
    """A moment of the replay; prices that it does not have stay as they were, and age."""

    at: int  # [unix s] of the series
    prices: Mapping[str, Decimal]  # [quote/base]


class Closed(NamedTuple):
    """A liquidation and when it was."""

    at: int  # [unix s] of the series
    liquidation: Liquidation


@dataclass
class Seizures:
    """What became of collateral and debts. Money in quote."""

    conversions: int = 0
    highest_debt: Decimal = Decimal(0)  # of all accounts together, as posted
    interest: Decimal = Decimal(0)  # posted
    seized: Decimal = Decimal(0)  # credited for tokens, by liquidations and conversions
    opened: int = 0  # lots
    sold: int = 0  # of them, to the last unit
    proceeds: Decimal = Decimal(0)
    below: int = 0  # lots that brought less than was credited
    unpaid: Decimal = Decimal(0)  # how much less; the insurance fund and the pool bear it

    def as_numbers(self) -> tuple[Any, ...]:
        """What two engines must agree on, to the wei."""
        return tuple(vars(self).values())


@dataclass
class Replay:
    """What came of it. Money in quote."""

    source: str
    engine: str
    start: int  # [unix s]
    end: int  # [unix s]
    steps: int
    traders: int
    opened: int = 0  # positions
    refused: Counter[str] = field(default_factory=Counter)  # openings given up, by reason
    notional: Decimal = Decimal(0)  # opened
    collateral: Decimal = Decimal(0)  # paid in
    margin_calls: int = 0  # accounts that were ever below the line and above 1.0
    closed: list[Closed] = field(default_factory=list)
    standing: int = 0  # accounts that still have a position
    left_out: tuple[str, ...] = ()  # markets without a price to open with
    dead: dict[str, str] = field(default_factory=dict)  # markets without a price at the end
    nav: list[Decimal] = field(default_factory=list)  # before, and after each step
    insurance: list[Decimal] = field(default_factory=list)  # the same
    seizures: Seizures | None = None  # None where nobody brings tokens
    seconds: float = 0.0  # of the steps alone
    conservation: Conservation | None = None

    @property
    def balanced(self) -> bool:
        """Whether LED-2 and LED-3 hold at the end."""
        return self.conservation is not None and self.conservation.holds

    @property
    def bad_debt(self) -> tuple[Decimal, Decimal]:
        """What the insurance fund and the pool absorbed."""
        return (
            sum((c.liquidation.debt_to_insurance for c in self.closed), Decimal(0)),
            sum((c.liquidation.debt_to_pool for c in self.closed), Decimal(0)),
        )

    @property
    def rewards(self) -> Decimal:
        """What the keeper earned."""
        return sum((c.liquidation.reward for c in self.closed), Decimal(0))

    @property
    def healths(self) -> list[Decimal]:
        """Equity over maintenance of each liquidated account, worst first."""
        return sorted(c.liquidation.health for c in self.closed)

    def as_numbers(self) -> dict[str, Any]:
        """What two engines must agree on, to the wei."""
        return {
            "closed": [(c.at, c.liquidation.equity, c.liquidation.reward) for c in self.closed],
            "nav": self.nav,
            "insurance": self.insurance,
            "bad_debt": self.bad_debt,
            "standing": self.standing,
            "seizures": self.seizures and self.seizures.as_numbers(),
            "refused": dict(self.refused),
        }


# ------------------------------------------------------------------ before


def table_for(series: Series, base: Table | None = None, **changes: Any) -> Table:
    """A table of the markets that have a price in the first row, at that price.

    Args:
        series: of prices.
        base: whose settings, and whose markets' terms where a name agrees, to take.
        **changes: for every market, as for `plimsoll.table.market`.

    Raises:
        PriceFileError: if the first row has no price at all.
    """
    prices = series.first_prices()
    if not prices:
        line = series.rows[0].line
        at = f"line {line}" if line else "the first row"
        raise PriceFileError(f"{series.source}: {at} has no price to open with")
    # A feed that misses one step is late, not dead.
    age = max(5_400, series.step * 3 // 2)
    return table_of(prices, base, **{"max_age": age, **changes})


def population(number: int, seed: int, table: Table) -> list[Trader]:
    """Traders with mixed leverage, sides and markets; the same for the same seed.

    Each has 2,000 to 150,000 of collateral, one to four markets, a leverage that he would like, and
    takes what the initial margin leaves of it. Six of ten positions are long.
    """
    rng = random.Random(seed)
    names = [spec.name for spec in table.markets]
    traders = []
    for _ in range(number):
        collateral = Decimal(round(math.exp(rng.uniform(math.log(2_000), math.log(150_000)))))
        chosen = rng.sample(names, min(len(names), rng.randint(1, 4)))
        weights = [rng.uniform(0.5, 1.5) for _ in chosen]
        shares = [weight / sum(weights) for weight in weights]
        mean_im = sum(
            share * float(table.spec(name).im) for name, share in zip(chosen, shares, strict=True)
        )
        leverage = min(rng.choice(LEVERAGES), 0.9 / mean_im)
        orders = []
        for name, share in zip(chosen, shares, strict=True):
            side = 1 if rng.random() < 0.6 else -1
            notional = float(collateral) * leverage * share
            size = significant(Decimal(notional) / table.spec(name).price, 4, up=False)
            orders.append(Order(name, side * size))
        traders.append(Trader(collateral, tuple(orders)))
    return traders


def with_wrapped(table: Table, source: str = "the table") -> Table:
    """The same table with wrapped ether and bitcoin as collateral, at their markets' prices.

    Raises:
        PriceFileError: if it lacks one of the two markets, or has no other.
    """
    names = [spec.name for spec in table.markets]
    missing = [name for name in WRAPPED if name not in names]
    if missing or len(names) == len(WRAPPED):
        what = f"no {' and no '.join(missing)}" if missing else "nothing but ETH and BTC"
        raise PriceFileError(
            f"{source}: {what} in the first row: it takes both, as collateral, and another coin"
        )
    specs = [table.spec(name) for name in WRAPPED]
    return table.with_collateral(
        *(
            collateral(
                WRAPPED[spec.name],
                spec.price,
                decimals=TOKEN_DECIMALS[WRAPPED[spec.name]],
                max_age=spec.max_age,
            )
            for spec in specs
        )
    )


def wrong_way(number: int, seed: int, table: Table) -> list[Trader]:
    """Traders who bring ether or bitcoin and no cash, and are long one to four other coins.

    Collateral and leverage are drawn as in `population`; the same seed gives the same traders.
    """
    others = replace(table, markets=tuple(m for m in table.markets if m.name not in WRAPPED))
    rng = random.Random(seed)
    return [
        replace(
            trader,
            orders=tuple(Order(name, abs(size)) for name, size in trader.orders),
            token=rng.choice(list(WRAPPED.values())),
        )
        for trader in population(number, seed, others)
    ]


def ticks(series: Series, cuts: int = 1) -> Iterator[Tick]:
    """The moments after the first row.

    Where rows are missing time passes without prices. With `cuts` above 1 each step is cut into so
    many, prices going straight from one close to the next, for a keeper who looks more often.
    """
    for row, later in zip(series.rows, series.rows[1:], strict=False):
        if later.at - row.at > series.step:
            for at in range(row.at + series.step, later.at, series.step):
                yield Tick(at, {})
        else:
            for cut in range(1, cuts):
                along = Decimal(cut) / cuts
                between = {
                    name: plain(significant(was + (later.prices[name] - was) * along, 12))
                    for name, was in row.prices.items()
                    if name in later.prices
                }
                yield Tick(row.at + (later.at - row.at) * cut // cuts, between)
        yield Tick(later.at, later.prices)


def count_ticks(series: Series, cuts: int = 1) -> int:
    """How many `ticks` there are."""
    return sum(1 for _ in ticks(series, cuts))


# ------------------------------------------------------------------ the run


def replay(
    chain: Chain,
    series: Series,
    table: Table | None = None,
    traders: int = 20,
    seed: int = 1,
    cuts: int = 1,
    on_step: OnStep | None = None,
    backed: bool = False,
) -> Replay:
    """Deploy, open, and let the prices run.

    Args:
        chain: where; its clock is moved.
        series: of prices.
        table: what to deploy; by default `table_for` the series.
        traders: how many.
        seed: of the population.
        cuts: how many looks the keeper has in a step.
        on_step: is told of each step.
        backed: whether the traders are those of `wrong_way`.

    Raises:
        PriceFileError: if there is nothing to open with.
    """
    table = table or table_for(series)
    if backed:
        table = with_wrapped(table, series.source)
    signers = chain.signers
    deployer, keeper, buyer, owners = signers[0], signers[1], signers[2], signers[2:]
    if backed:
        owners = signers[3:]
    deployment = deploy(table, chain, deployer)
    run = Run(deployment, keeper, buyer)
    result = Replay(
        source=series.source,
        engine=chain.name,
        start=series.start,
        end=series.end,
        steps=count_ticks(series, cuts),
        traders=traders,
    )
    result.left_out = tuple(name for name in series.markets if name not in deployment.ids)
    if backed:
        result.seizures = Seizures()
    draw = wrong_way if backed else population
    run.open(draw(traders, seed, table), owners, result)
    base = chain.now  # opening takes a second a transaction: prices begin to move when it is done
    run.look(result)
    began = time.perf_counter()
    for done, tick in enumerate(ticks(series, cuts), 1):
        chain.advance(base + tick.at - series.start - chain.now)
        run.step(tick, result)
        if on_step:
            on_step(done, result.steps, tick.at, len(result.closed))
    result.seconds = time.perf_counter() - began
    run.finish(result)
    return result


class Run:
    """The moving parts of a replay."""

    def __init__(self, deployment: Deployment, keeper: Any, buyer: Any) -> None:
        self.deployment = deployment
        self.keeper = keeper
        self.buyer = buyer
        self.client = Client(deployment, keeper)
        self.accounts: list[str] = []  # all that opened
        self.open_accounts: list[str] = []  # those that still have a position
        self.called: set[str] = set()
        self.line = deployment.table.margin_call_line

    def open(self, traders: list[Trader], owners: Any, result: Replay) -> None:
        """Fund an account for each trader and open what he wants, or as much as is let."""
        chain, age = self.deployment.chain, min(m.max_age for m in self.deployment.table.markets)
        fresh = chain.now
        for number, trader in enumerate(traders):
            if chain.now - fresh > age // 2:  # many traders take longer than a price lives
                self.deployment.refresh_prices(self.keeper)
                self.deployment.refresh_nav(self.keeper)
                fresh = chain.now
            owner = owners[number % len(owners)]
            account = sub_account(owner, number // len(owners))
            if not self._pay_in(trader, account, owner, result):
                continue
            result.collateral += trader.collateral
            self.accounts.append(account)
            count = sum(self._order(account, owner, order, result) for order in trader.orders)
            if count:
                self.open_accounts.append(account)
                result.opened += count

    def _pay_in(self, trader: Trader, account: str, owner: Any, result: Replay) -> bool:
        amount = trader.collateral
        if trader.token:
            digits = TOKEN_DECIMALS[trader.token]
            coin = self.deployment.table.coin(trader.token)
            amount = (amount / coin.price).quantize(unscaled(1, digits))
        try:
            self.client.deposit(amount, account, owner, trader.token)
        except Reverted as error:
            result.refused[error.reason] += 1
            return False
        return True

    def _order(self, account: str, owner: Any, order: Order, result: Replay) -> bool:
        size, reason = order.size, ""
        for _ in range(HALVINGS + 1):
            try:
                trade = self.client.trade(
                    order.market, size, account=account, signer=owner, slippage=None
                )
            except Reverted as error:
                reason = error.reason
                half = significant(abs(size) / 2, 4, up=False)
                size = half if size > 0 else -half
            else:
                result.notional += abs(trade.size_delta) * trade.price
                return True
        result.refused[reason] += 1
        return False

    def step(self, tick: Tick, result: Replay) -> None:
        """Move the feeds, then let the buyer buy, and the keeper look, liquidate and convert."""
        prices = {n: p for n, p in tick.prices.items() if n in self.deployment.ids}
        if result.seizures:
            prices |= {WRAPPED[name]: prices[name] for name in WRAPPED if name in prices}
        self.deployment.set_prices(prices, self.keeper)
        self.deployment.poke(sender=self.keeper)
        if result.seizures:
            self._buy()
        healths = self.client.healths(self.open_accounts)
        under = []
        for account, health in healths.items():
            if health is not None and health < self.line:
                if health < 1:
                    under.append(account)
                else:
                    self.called.add(account)
        closed: list[Liquidation] = []
        for at in range(0, len(under), LIQUIDATE_AT_ONCE):
            page = under[at : at + LIQUIDATE_AT_ONCE]
            closed += self.client.liquidate_many(page)
        # An account whose last position has no price stays open, and closes nothing meanwhile.
        result.closed += [
            Closed(tick.at, c) for c in closed if c.closed or c.debt_to_insurance or c.seized
        ]
        flat = {c.account for c in closed if not self.client.header(c.account).bitmap}
        self.open_accounts = [a for a in self.open_accounts if a not in flat]
        if result.seizures:
            self._convert(healths, result.seizures)
            self._tick()
        self.look(result)

    def _buy(self) -> None:
        """Buy every lot that costs a hundredth less than the feed says, or lower."""
        for lot in self.client.lots(0):
            price = self.deployment.price(lot.token)
            if lot.price is not None and lot.price <= price * BARGAIN:
                self.client.buy_collateral(lot.id, signer=self.buyer)

    def _tick(self) -> None:
        """Let every lot see this round: time until the next one counts for its price then."""
        for lot in self.client.lots(0):
            if lot.price is not None:
                self.client.tick(lot.id, self.buyer)

    def _convert(self, healths: Mapping[str, Decimal | None], seizures: Seizures) -> None:
        """Settle and convert for who is called; convert for who owes more than he may."""
        credit = self.client.credit()
        seizures.highest_debt = max(seizures.highest_debt, credit.debts)
        for account in self.open_accounts:
            health = healths[account]
            called = health is not None and 1 <= health < credit.call_line
            if called:
                self._try(self.client.settle, account)
            elif self.client.header(account).cash >= 0:
                continue
            else:
                debt = self.client.debt(account)
                if debt.amount <= debt.most and credit.debts <= credit.cap:
                    continue
            seizures.conversions += self._try(self.client.convert, account)

    @staticmethod
    def _try(action: Callable[[str], Any], account: str) -> bool:
        """Whether the contract let it be done: it knows best who is called."""
        try:
            action(account)
        except Reverted as error:
            if error.reason not in NOTHING_TO_DO:
                raise
            return False
        return True

    def look(self, result: Replay) -> None:
        """Write down the pool's worth and the insurance fund."""
        nav = self.deployment.chain.view(self.deployment.pool, "valuation").nav
        result.nav.append(from_wad(int(nav)))
        result.insurance.append(from_wad(self.client.header(self.deployment.insurance).cash))

    def finish(self, result: Replay) -> None:
        """The last counts, and the books."""
        result.margin_calls = len(self.called)
        result.standing = len(self.open_accounts)
        result.dead = stale_feeds(self.deployment)
        result.conservation = conservation(self.deployment, self.accounts + [self.keeper.address])
        if result.seizures:
            self._count(result.seizures)

    def _count(self, seizures: Seizures) -> None:
        """The auction's events, and the interest."""
        chain, venue = self.deployment.chain, self.deployment
        house, auction, block = venue.clearinghouse, venue.auction, venue.block
        for event in chain.events(auction, "LotOpened", block):
            seizures.opened += 1
            due = int(event.args["to_insurance"]) + int(event.args["to_pool"])
            seizures.seized += from_wad(due)
        for event in chain.events(auction, "LotSold", block):
            seizures.proceeds += venue.from_raw(int(event.args["cost"]))
        for event in chain.events(auction, "LotClosed", block):
            seizures.sold += 1
            lot = chain.view(auction, "lot", int(event.args["lot"]))
            unpaid = int(lot.to_insurance) + int(lot.to_pool)  # others may have repaid it since
            seizures.below += unpaid > 0
            seizures.unpaid += from_wad(unpaid)
        for event in chain.events(house, "InterestPaid", block):
            seizures.interest += from_wad(int(event.args["interest"]))
