"""Draws what is about the Backstop: deleveraging, settled markets, the settlement of the venue.

Mixed into `plimsoll.fuzz.ops.Generator`, which draws everything else.
"""

from __future__ import annotations

import random
from collections import deque

from plimsoll import slots
from plimsoll.formulas import DAY, MAX_UINT, ceil_div
from plimsoll.fuzz.system import STRANGER, WALLETS, Op, System
from plimsoll.model import (
    DECLARATION_LAPSE,
    DECLARED,
    DOUBT_DELAY,
    FIXED,
    NOT_DECLARED,
    NOWHERE,
    PATIENCE,
    SETTLE_DELAY,
    SETTLING,
    Model,
    terms_of,
)
from plimsoll.slots import WAD


class LastResortDraws:
    """Operations on the Backstop."""

    rng: random.Random
    system: System
    model: Model
    queue: deque[Op]
    ends: bool  # whether this run's venue may settle

    def near(self, value: int) -> int:  # type: ignore[empty-body]
        """A number, or one beside it."""

    def market(self) -> int:  # type: ignore[empty-body]
        """A market."""

    def trader(self) -> str:  # type: ignore[empty-body]
        """An account that trades."""

    def holders(self) -> list[tuple[str, int]]:  # type: ignore[empty-body]
        """Who has a position in what."""

    def anybody(self) -> str:
        """Who sends what anybody may."""
        return self.rng.choice([*WALLETS, STRANGER])

    # -------------------------------------------------------------- a broke pool

    def break_pool(self) -> Op:
        """A price at which the pool's health, or its equity, is about at a line."""
        rng, model = self.rng, self.model
        crowded = [m for m in range(len(model.listed)) if model.leg(NOWHERE, m).skew]
        crowded = [m for m in crowded if model.listed[m][1].feed != NOWHERE]
        if not crowded:
            return ["wait", 1, 1]
        market = max(
            crowded, key=lambda m: abs(model.leg(NOWHERE, m).skew) * model.leg(NOWHERE, m).price
        )
        leg = model.leg(NOWHERE, market)
        terms = terms_of(model.markets[market].words)
        worth, asked = model.pool_margin()
        if abs(leg.skew) * leg.price // WAD < worth // 2 and rng.random() < 0.8:
            return self.crowd()
        line = rng.choice([asked, asked * 9 // 10, asked // 2, 0, 0, -asked, -asked // 100])
        price = leg.price + (worth - line) * WAD // leg.skew
        price = max(min(price, terms.max_price - 1), terms.min_price + 1)
        feed = [f.address for f in self.system.feeds].index(model.listed[market][1].feed)
        answer = self.near(ceil_div(price, 10**terms.feed_exponent))
        if rng.random() < 0.5:
            self.queue.append(["fault", feed, "ok"])
        self.queue.append(["price", feed, max(answer, 1), 0])
        for _ in range(rng.randint(0, 3)):
            self.queue.append(self.deleverage())
        if self.ends and rng.random() < 0.5:
            self.queue.append(["declare", self.anybody()])
        return self.queue.pop()

    def crowd(self) -> Op:
        """Somebody takes, on the fuller side, about as much as the caps allow."""
        rng, model = self.rng, self.model
        market, account = rng.randrange(len(model.listed)), self.trader()
        terms, leg = terms_of(model.markets[market].words), model.leg(NOWHERE, market)
        room = model.book.nav * model.settings.max_pool_leverage_ppm // 10**6 - model.book.exposure
        room = min(max(room, 0) * WAD // max(leg.price, 1), terms.max_skew - abs(leg.skew))
        size = int(room * rng.uniform(0.5, 0.95))
        if size <= 0:
            return ["refresh", self.anybody()]
        cash = min(
            size * leg.price // WAD * 2 // model.settings.unit + 1, 2**97 // model.settings.unit
        )
        wallet = account.partition(".")[0]
        feed = (
            [f.address for f in self.system.feeds].index(model.listed[market][1].feed)
            if (model.listed[market][1].feed != NOWHERE)
            else 0
        )
        self.queue += [
            ["fault", feed, "ok"],
            ["price", feed, self.system.first[feed], 0],
            ["mint", wallet, cash],
            ["deposit", wallet, account, "token", cash],
            ["refresh", wallet],
        ]
        side = 1 if leg.skew > 0 or (leg.skew == 0 and rng.random() < 0.6) else -1
        self.queue.append(["trade", wallet, account, market, side * size])
        return self.queue.pop()

    def deleverage(self) -> Op:
        """Somebody's position, mostly one that may be."""
        rng, model = self.rng, self.model
        holders = self.holders()
        if rng.random() < 0.8:
            able = [
                (name, m)
                for name, m in holders
                if model.preview_deleverage(self.system.address(name), m).why == 0
            ]
            holders = able or holders
        account, market = (self.trader(), self.market())
        if holders and rng.random() < 0.95:
            account, market = rng.choice(holders)
        if rng.random() < 0.02:
            account = rng.choice(["pool", "fund", "auction", "zero"])
        return ["deleverage", self.anybody(), account, market]

    # -------------------------------------------------------------- settled markets

    def settled(self) -> list[int]:
        """The markets that are."""
        return [m for m in range(len(self.model.listed)) if self.model.is_settled(m)]

    def close_settled(self) -> Op:
        """Some of those who are in a settled market; now and then in another, or others."""
        rng = self.rng
        settled = self.settled()
        market = rng.choice(settled) if settled and rng.random() < 0.95 else self.market()
        names = sorted({name for name, m in self.holders() if m == market})
        if rng.random() < 0.5:
            names = [name for name in names if rng.random() < 0.6]
        if rng.random() < 0.2:
            names += [self.trader(), rng.choice(["pool", "fund", "zero", "auction"])]
        return ["close_settled", self.anybody(), market, names[:64]]

    # -------------------------------------------------------------- the venue's settlement

    def last_act(self) -> Op:
        """What comes next in a settlement, or what does not."""
        rng, model = self.rng, self.model
        kind = model.settlement.state
        if rng.random() < 0.15:
            return self.out_of_turn()
        if kind == NOT_DECLARED:
            if not self.ends or model.solvency()[1] >= 0:
                return self.break_pool() if rng.random() < 0.3 else self.out_of_turn()
            return ["declare", self.anybody()]
        if kind == DECLARED:
            if rng.random() < 0.2:
                self.wait_for(model.settlement.declared_at + DECLARATION_LAPSE)
            if rng.random() < 0.3:
                return ["call_off", self.anybody()]
            doubted = not model.is_certain()
            if rng.random() < (0.8 if doubted == bool(model.settlement.certain_at) else 0.1):
                return ["declare", self.anybody()]
            if doubted and rng.random() < 0.7:
                self.wait_for(model.settlement.declared_at + DOUBT_DELAY)
            else:
                self.wait_for(model.settlement.certain_at + SETTLE_DELAY)
            return ["settle_markets", self.anybody(), self.some_markets()]
        if kind == SETTLING:
            return self.wind_up()
        if kind == FIXED:
            return self.claim()
        raise AssertionError(kind)

    def wait_for(self, moment: int) -> None:
        """Until then, or about; prices keep up mostly."""
        ahead = self.near(moment - self.model.now)
        if ahead > 0:
            self.queue.append(["wait", ahead, 1])

    def some_markets(self) -> list[int]:
        """All of them, or some, or what is none."""
        markets = [*range(len(self.model.listed))]
        if self.rng.random() < 0.3:
            markets = [m for m in markets if self.rng.random() < 0.7]
        if self.rng.random() < 0.05:
            markets.append(self.rng.choice([0, len(self.model.listed), 128, MAX_UINT]))
        return markets

    def wind_up(self) -> Op:
        """Settle the rest, close everybody, liquidate who is bankrupt, fix."""
        rng, model = self.rng, self.model
        open_markets = [m for m in range(len(model.listed)) if not model.is_settled(m)]
        if open_markets:
            return ["settle_markets", self.anybody(), self.some_markets()]
        if model.positions:
            market = rng.choice(sorted({m for _, m in model.positions}))
            names = [name for name, m in self.holders() if m == market]
            return ["close_settled", self.anybody(), market, names[:64]]
        debtors = [a for a, h in model.headers.items() if h.cash < 0 and not model._is_system(a)]
        labels = self.system.labels
        if debtors and rng.random() < 0.7:
            return ["liquidate_many", self.anybody(), [labels[a] for a in debtors]]
        if model._awaits_lots() and rng.random() < 0.7:
            if rng.random() < 0.7:
                lot = rng.choice([lot.id for lot in model.lots if lot.amount])
                self.queue.append(["mint", "lender", 2**90 // model.settings.unit])
                return ["buy", "lender", lot, "all", None, "lender"]
            self.wait_for(model.settlement.settled_at + PATIENCE)
        elif model.worth_of_lots().live and rng.random() < 0.7:
            self.wait_for(model.settlement.settled_at + DOUBT_DELAY)
        return ["fix", self.anybody()]

    def claim(self) -> Op:
        """Somebody's claim, or part of it; the last one's, by and by."""
        rng, model = self.rng, self.model
        unit, labels = model.settings.unit, self.system.labels
        rich = [a for a, h in model.headers.items() if h.cash >= unit and not model._is_system(a)]
        rich = [a for a in rich if labels.get(a, "").partition(".")[0] in self.system.wallets]
        if not rich:
            return self.out_of_turn()
        account = rng.choice(rich)
        who = labels[account].partition(".")[0]
        raw = min(model.header_of(account).cash // unit, model.custody)
        amount = rng.choice([raw, raw, raw // 2, 1, raw + 1])
        return ["withdraw", who, labels[account], "token", max(amount, 1), who]

    def out_of_turn(self) -> Op:
        """What is not next; and what is the Backstop's alone."""
        rng, who = self.rng, self.anybody()
        return rng.choice(
            [
                ["declare", who],
                ["call_off", who],
                ["settle_markets", who, self.some_markets()],
                ["fix", who],
                ["set_share", who, rng.choice([0, 1, 1 + WAD])],
                ["wait", rng.choice([1, 60, SETTLE_DELAY, DAY]), 1],
                ["trade", who, self.trader(), self.market(), rng.choice([-1, 1]) * slots.LOT],
            ]
        )
