"""Prices through the contracts: traders open, prices move, a keeper liquidates, the books balance.

A population of traders with mixed leverage opens at the first prices. Then, step by step, the
feeds are moved, and a keeper liquidates whoever is below health 1.0, once a step. Nothing else
happens, so what the tables show at the end is what the rules do. The same seed gives the same
traders.
"""

from __future__ import annotations

import math
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
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
from plimsoll.table import Table, table_of
from plimsoll.units import from_wad, plain, significant

LIQUIDATE_AT_ONCE = 16  # accounts in one transaction: well under the gas cap of a transaction
HALVINGS = 3  # of an opening trade that is refused, before it is given up
LEVERAGES = (1.5, 2, 3, 5, 8, 12, 18)  # that traders would like, of notional over collateral
ACCOUNTS_PER_OWNER = 200

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


class Tick(NamedTuple):
    """A moment of the replay; prices that it does not have stay as they were, and age."""

    at: int  # [unix s] of the series
    prices: Mapping[str, Decimal]  # [quote/base]


class Closed(NamedTuple):
    """A liquidation and when it was."""

    at: int  # [unix s] of the series
    liquidation: Liquidation


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
    """
    table = table or table_for(series)
    signers = chain.signers
    deployer, keeper, owners = signers[0], signers[1], signers[2:]
    deployment = deploy(table, chain, deployer)
    run = Run(deployment, keeper)
    result = Replay(
        source=series.source,
        engine=chain.name,
        start=series.start,
        end=series.end,
        steps=count_ticks(series, cuts),
        traders=traders,
    )
    result.left_out = tuple(name for name in series.markets if name not in deployment.ids)
    run.open(population(traders, seed, table), owners, result)
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

    def __init__(self, deployment: Deployment, keeper: Any) -> None:
        self.deployment = deployment
        self.keeper = keeper
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
            self.client.deposit(trader.collateral, account, owner)
            result.collateral += trader.collateral
            self.accounts.append(account)
            count = sum(self._order(account, owner, order, result) for order in trader.orders)
            if count:
                self.open_accounts.append(account)
                result.opened += count

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
        """Move the feeds, then let the keeper look and liquidate."""
        prices = {n: p for n, p in tick.prices.items() if n in self.deployment.ids}
        self.deployment.set_prices(prices, self.keeper)
        self.deployment.poke(sender=self.keeper)
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
        result.closed += [Closed(tick.at, c) for c in closed if c.closed or c.debt_to_insurance]
        flat = {c.account for c in closed if not self.client.header(c.account).bitmap}
        self.open_accounts = [a for a in self.open_accounts if a not in flat]
        self.look(result)

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
