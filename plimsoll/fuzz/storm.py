"""The worst day: a crowded venue, a crash, and whatever fails with it, all drawn from a seed.

A `Storm` is what happens whatever anybody does: the venue, who comes with what, each block's
prices, dead feeds, freezes, a stopped sequencer, how many liquidations the block has room for. A
`Day` plays it with contracts and model side by side (the model is where the players read the state:
a read of it is cheaper than a call, and each call is compared all the same): a crowd opens, a
keeper liquidates and deleverages in the Backstop's order, lenders ask for their money, an attacker
holds a matched pair in a thin market, and when the pool has less than nothing the venue settles. In
the end feeds are live, everybody closes and leaves. What it came to is an `Outcome`.

    make storm SEEDS=200

Each seed is played twice, the second time with room for every liquidation.
"""

from __future__ import annotations

import argparse
import multiprocessing
import random
import statistics
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from rich.text import Text

from plimsoll.formulas import DAY, HOUR, PPM, ceil_div, notional
from plimsoll.fuzz.chain import Outcome as Answer
from plimsoll.fuzz.properties import Before, Books, Mismatch, Step, check_state, check_step
from plimsoll.fuzz.run import compare_state, run_both
from plimsoll.fuzz.system import STRANGER, Artifacts, Op, Setup, System, compiled
from plimsoll.model import (
    DECLARED,
    FIXED,
    NOT_DECLARED,
    NOWHERE,
    SETTLE_DELAY,
    SETTLING,
    Leg,
    terms_of,
)
from plimsoll.slots import WAD
from plimsoll.table import default_table

KINDS = ("crash", "jump", "dead feeds", "frozen", "all at once")
TICKS = 12  # blocks of a storm that anybody acts in
CALM = 3  # price updates before it, over the pool's cooldown
EVERYBODY = 10**6  # liquidations in a block: no limit
DELEVERAGED_EACH = 20  # deleveragings that a block has room for
BLOCK = 12  # [s]
CHASE = 0.3  # a jump that nobody may open after in its own direction, in its block (PRC-4)
# Operations whose own properties are checked; of the others those of the state are.
WATCHED = ("liquidate", "deleverage", "withdraw", "close_settled", "buy")
LONG, SHORT = "mallory.1", "mallory.2"  # the matched pair
# Operations that only set the scene: the ledger is what it was.
SCENERY = ("price", "wait", "fault", "mint", "uptime")
# Feeds fail by not moving on, by reverting, by taking all gas, by saying nothing.
FAULTS = ("stale", "revert", "burn", "empty")


# ------------------------------------------------------------------ what is drawn


class Trader(NamedTuple):
    """Who opens before the storm, and with what."""

    name: str
    cash: int  # [raw]
    coins: tuple[tuple[int, int], ...]  # token id, [raw]
    sizes: tuple[tuple[int, int], ...]  # market, [WAD base]; below zero is short


class Tick(NamedTuple):
    """One block of the storm."""

    seconds: int  # since the last one
    moves: tuple[float, ...]  # each feed's price over its last one
    faults: tuple[tuple[int, str], ...]  # feed, mode
    world: tuple[Op, ...]  # what guardian, sequencer and lenders do
    room: int  # liquidations that the keeper gets into the block
    worst_first: bool  # or in any order
    late: Trader | None = None  # who opens now, to the brim
    squeeze: float = 0.0  # the pool's health that all prices aim at, if they can; 0: they do not


@dataclass(frozen=True)
class Storm:
    """A day, drawn; nothing in it depends on what anybody does."""

    seed: int
    kind: str
    setup: Setup
    traders: tuple[Trader, ...]
    pair: tuple[int, int, int]  # the attacker's market, size [WAD base], cash of each side [raw]
    calm: tuple[Tick, ...]
    ticks: tuple[Tick, ...]
    requested: float  # the part of the pool that asks to leave before it

    @classmethod
    def of(cls, seed: int) -> Storm:
        """The storm of a seed; kinds take turns."""
        rng = random.Random(seed)
        kind = KINDS[seed % len(KINDS)]
        table = default_table()
        others = rng.sample(table.markets[2:], rng.randint(2, 4))
        setup = Setup.of(replace(table, markets=(*table.markets[:2], *others)))
        if kind in ("frozen", "all at once"):
            setup.grace = HOUR
        crowd = 1 if rng.random() < 0.8 else -1
        # Most storms go against the crowd; those that go with it are the pool's.
        way = -crowd if rng.random() < 0.6 else crowd
        traders = _crowd(rng, setup, crowd)
        thin = rng.randrange(2, len(setup.markets))
        size = int(setup.markets[thin].terms["max_open_interest"] * rng.uniform(0.2, 0.5))
        cash = _need(setup, thin, size, 1.02) + 20 * 10**6
        calm = tuple(
            Tick(
                DAY // CALM - 60,
                tuple(1 + rng.gauss(0, 0.003) for _ in range(len(setup.markets) + 2)),
                (),
                (),
                EVERYBODY,
                True,
            )
            for _ in range(CALM)
        )
        requested = rng.choice([0, 0.2, 0.5, 0.9, 0.9])
        # An ordinary crash is not aimed at anybody.
        aimed = kind != "crash" and rng.random() < 0.8
        squeezed = rng.randrange(TICKS // 2, TICKS) if aimed else TICKS
        ticks = tuple(
            tick._replace(
                squeeze=rng.uniform(0.5, 0.99) if i == squeezed else 0.0,
                late=_late(rng, setup, i) if rng.random() < 0.4 else None,
            )
            for i, tick in enumerate(_ticks(rng, setup, kind, way, thin))
        )
        return cls(seed, kind, setup, traders, (thin, size, cash), calm, ticks, requested)


def _need(setup: Setup, market: int, size: int, slack: float) -> int:
    """The cash that opening `size` takes, and `slack` times the margin [raw]."""
    found = setup.markets[market]
    terms = found.terms
    amount = abs(size) * found.price // 10**found.decimals  # [WAD quote]
    premium_ppm = terms["max_skew"] * PPM // terms["skew_scale"]
    costs_ppm = premium_ppm * 3 // 2 + terms["spread_ppm"] + terms["taker_fee_ppm"]
    asked = amount * int(slack * (terms["im_ppm"] + costs_ppm)) // PPM + terms["reward"]
    return asked // 10 ** (18 - setup.quote_decimals) + 1


def _crowd(rng: random.Random, setup: Setup, crowd: int) -> tuple[Trader, ...]:
    """Twenty to forty traders: to the brim, with room, hedged, on collateral."""
    count = rng.randint(20, 40)
    kinds = rng.choices(("brim", "room", "hedged", "coins"), (45, 20, 20, 15), k=count)
    markets = range(len(setup.markets))
    picks: list[list[tuple[int, int, float]]] = []  # market, side, weight
    for kind in kinds:
        chosen = rng.sample(markets, rng.choice([1, 2, 3]) if kind != "hedged" else 2)
        side = crowd if rng.random() < 0.85 else -crowd
        sides = [side] * len(chosen) if kind != "hedged" else [1, -1]
        picks.append([(m, s, rng.uniform(0.3, 1)) for m, s in zip(chosen, sides, strict=True)])
    # The crowd's side fills as much of each market's cap as the seed says.
    fullness = [rng.uniform(0.5, 1.2) for _ in markets]
    weights: dict[int, float] = defaultdict(float)
    for pick in picks:
        for market, side, weight in pick:
            weights[market] += weight if side == crowd else 0
    traders = []
    for i, (kind, pick) in enumerate(zip(kinds, picks, strict=True)):
        slack = rng.uniform(1.0, 1.15) if kind in ("brim", "hedged") else rng.uniform(1.5, 5)
        sizes, cash = [], 0
        for market, side, weight in pick:
            most = setup.markets[market].terms["max_skew"] * fullness[market]
            size = side * int(most * weight / max(weights[market], 1))
            sizes.append((market, size))
            cash += _need(setup, market, size, slack)
        coins: tuple[tuple[int, int], ...] = ()
        if kind == "coins":  # half or all of the margin in tokens
            part = rng.choice([0.5, 1.0])
            id = rng.randrange(len(setup.coins))
            coin = setup.coins[id]
            worth = cash * part * 1.3 * 10 ** (coin.decimals - setup.quote_decimals)
            coins = ((id, int(worth * 10**coin.feed_decimals / coin.price) + 1),)
            cash = int(cash * (1 - part))
        traders.append(Trader(f"alice.{i + 1}", cash, coins, tuple(sizes)))
    return tuple(traders)


def _late(rng: random.Random, setup: Setup, tick: int) -> Trader:
    """Who opens in the midst of it, to the brim: he believes in a turn, or in more of the same."""
    market = rng.randrange(len(setup.markets))
    size = int(setup.markets[market].terms["max_skew"] * rng.uniform(0.1, 0.4))
    cash = _need(setup, market, size, rng.uniform(1.0, 1.3))
    return Trader(f"alice.{100 + tick}", cash, (), ((market, rng.choice([-1, 1]) * size),))


def _ticks(rng: random.Random, setup: Setup, kind: str, way: int, thin: int) -> Iterable[Tick]:
    """The storm's blocks: a drift like a bad day's candles, and jumps in single updates."""
    count = len(setup.markets)
    everything = kind == "all at once"
    jumps = {"crash": 0, "jump": rng.choice([1, 1, 2]), "dead feeds": 1, "frozen": 1}.get(kind, 3)
    jumps += kind == "crash" and rng.random() < 0.5
    least, most = {"crash": (0.1, 0.2), "jump": (0.3, 0.6)}.get(kind, (0.1, 0.6))
    jump_at = set(rng.sample(range(1, TICKS - 1), jumps))
    pump_at = rng.randrange(TICKS) if kind in ("jump", "all at once") else -1
    drift = rng.uniform(0.1, 0.35) / TICKS
    betas = [rng.uniform(0.7, 1.3) for _ in range(count)]
    slow = kind not in ("crash", "jump")
    dead_from = rng.randrange(TICKS // 2) if kind in ("dead feeds", "all at once") else TICKS
    dead = {f: rng.choice(FAULTS) for f in range(count + 2) if rng.random() < 0.5}
    frozen_at = rng.randrange(TICKS // 2) if kind in ("frozen", "all at once") else TICKS
    stopped_at = frozen_at + rng.randrange(3) if rng.random() < 0.5 else TICKS
    skipped: set[int] = set()
    for tick in range(TICKS):
        seconds = rng.randint(600, 2_400) if slow else rng.randint(BLOCK, 900)
        common = drift * rng.uniform(0, 2)
        if tick in jump_at:
            common += rng.uniform(least, most)
        moves = [
            _moved(way, common * betas[m] + rng.gauss(0, 0.01) * (1 + 3 * (tick in jump_at)))
            for m in range(count)
        ]
        if tick == pump_at:  # somebody pumps the thin market alone
            moves[thin] *= 1 + rng.choice([-0.4, 0.5, 1.0]) * rng.uniform(0.5, 1)
        moves += [moves[1], moves[0]]  # the coins are ether and bitcoin
        faults: list[tuple[int, str]] = []
        if tick == dead_from:
            faults = [(f, mode) for f, mode in dead.items() if mode != "stale"]
            skipped = {f for f, mode in dead.items() if mode == "stale"}
        if tick == dead_from + 4:
            faults = [(f, "ok") for f, mode in dead.items() if mode != "stale"]
            skipped = set()
        world: list[Op] = []
        if tick == frozen_at:
            world.append(["freeze", STRANGER, rng.randint(300, 2 * HOUR)])
        if frozen_at < TICKS and rng.random() < 0.3:
            world.append(["pause", STRANGER, rng.randrange(count), rng.randint(60, HOUR)])
        if tick == stopped_at:
            world.append(["uptime", 1, 0])
        if tick == stopped_at + 3:
            world.append(["uptime", 0, 0])
        if tick in (1, TICKS // 2) or rng.random() < 0.2:
            world.append(["redeem", "lender", "all", "lender", "lender"])
        if tick == 1 and rng.random() < 0.5:
            world.append(["request", "bob", "all", "bob", "bob"])
        # A move of 0 is that of a feed that says nothing new.
        told = tuple(0.0 if f in skipped else move for f, move in enumerate(moves))
        room = rng.randint(0, 5)
        yield Tick(seconds, told, tuple(faults), tuple(world), room, rng.random() < 0.5)
        if everything and tick == dead_from + 5:
            dead_from = TICKS


def _moved(way: int, by: float) -> float:
    """A price after a move: a fall of 60 %, or a rise of 60 %."""
    return max(1 + way * by, 0.2)


# ------------------------------------------------------------------ what comes of it


@dataclass
class Outcome:
    """What a storm came to; money in quote, parts as fractions."""

    seed: int
    kind: str
    limited: bool  # whether the keeper had little room
    operations: int = 0
    seconds: float = 0.0  # of this processor
    unhealthy: int = 0  # accounts that were, at once, at most
    liquidations: int = 0
    refused: int = 0  # trades that the caps or the margin refused, in the calm
    bad_fund: float = 0.0  # bad debt that the fund paid
    bad_pool: float = 0.0  # bad debt that the pool paid
    insurance: float = 0.0  # the fund at its lowest, below what it was
    drawdown: float = 0.0  # of a pool's share, at its lowest
    health: float = 0.0  # the pool's, at its lowest; capped at 100
    deleveraged: float = 0.0  # notional
    share: float | None = None  # of each claim, if the venue settled
    solvency: float = 0.0  # the pool's equity, lots for sale included, when it settled
    reward: float = 0.0  # the keeper's
    topped_up: float = 0.0  # by the fund, toward flat rewards
    lent: float = 0.0  # by the fund, for lots that repay it
    late: int = 0  # positions opened in the storm
    recovery: int = 0  # [s] from the first unhealthy account to the last one's end
    gain: float = 0.0  # the attacker's
    bound: float = 0.0  # on it, by GOV-5
    # The cascade: what liquidations did to everybody else.
    skew_moved: float = 0.0  # by one block's, over the skew scale, the greatest
    skew_total: float = 0.0  # by all of the storm's in one market, net, over the skew scale
    fill_gap: float = 0.0  # the greatest, of a fill from the oracle's price
    rate_change: float = 0.0  # [1/day] of funding, over the storm, the greatest
    pool_fills: float = 0.0  # what the pool won by those fills at the oracle's price

    @property
    def bad_debt(self) -> float:
        """The fund's and the pool's [quote]."""
        return self.bad_fund + self.bad_pool


@dataclass
class Day:
    """A storm being played."""

    storm: Storm
    limited: bool = True
    artifacts: Artifacts | None = None
    operations: list[Op] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.system = System.build(self.storm.setup, self.artifacts)
        self.model = self.system.model
        self.rng = random.Random(f"players of {self.storm.seed}")
        self.out = Outcome(self.storm.seed, self.storm.kind, self.limited)
        self.names = [*(t.name for t in self.storm.traders), LONG, SHORT]
        self.names += [t.late.name for t in self.storm.ticks if t.late]
        for name in self.names:
            self.system.address(name)
        self.answers = [float(a) for a in self.system.first]
        self.paid_in = 0  # [raw] quote that was minted
        self.coins_in: dict[int, int] = defaultdict(int)  # [raw] by token
        self.attacker_in = 0  # [raw]
        self.sick: list[str] = []  # who was unhealthy when the block began
        self.began: int | None = None  # [s] when somebody was unhealthy first
        self.reported: set[str] = set()
        self.opened_at = 0.0  # the attacker's market, its price
        self.excursion = 0.0  # the furthest that it went from there
        self.paid: list[tuple[int, int]] = []  # claims in a settlement: claimed and paid [raw]
        self.by_block: dict[tuple[int, int], int] = defaultdict(int)  # skew moved [WAD base]

    # -------------------------------------------------------------- one operation

    def do(self, *op: Any) -> Answer:
        """Run an operation on both sides, and check what must hold after it.

        Raises:
            Mismatch: if something does not.
        """
        listed = list(op)
        self.operations.append(listed)
        watched = op[0] in WATCHED
        before = Before(self.system, listed, watch=False) if watched else None
        answer = run_both(self.system, listed)
        if before:
            check_step(Step(self.system, listed, answer, before))
        if op[0] not in SCENERY:
            check_state(Books.of(self.model))
        return answer

    def mint(self, to: str, amount: int) -> None:
        """Quote from outside [raw]."""
        self.do("mint", to, amount)
        self.paid_in += amount

    def require(self, holds: bool, kind: str, detail: str) -> None:
        """A property of the storm's own.

        Raises:
            Mismatch: if it does not hold.
        """
        if not holds:
            raise Mismatch(f"storm: {kind}", detail)

    def unhealthy(self, among: Sequence[str] | None = None) -> list[str]:
        """Who can be liquidated, worst first."""
        found = []
        for name in self.names if among is None else among:
            who = self.system.address(name)
            header = self.model.header_of(who)
            if header.bitmap or header.cash < 0:
                health = self.model.health(who)
                if health < WAD:
                    found.append((health, name))
        return [name for _, name in sorted(found)]

    # -------------------------------------------------------------- the day

    def play(self) -> Outcome:
        """From the opening to the last withdrawal.

        Raises:
            Mismatch: if contracts and model differ, or something does not hold on the way.
        """
        started = time.process_time()
        self.open()
        for tick in self.storm.calm:
            self.tick(tick, calm=True)
        self.mark()
        compare_state(self.system, full=False)
        for tick in self.storm.ticks:
            self.tick(tick)
        compare_state(self.system, full=False)
        self.clear()
        self.leave()
        self.account()
        compare_state(self.system, full=False)
        self.out.operations = len(self.operations)
        self.out.seconds = time.process_time() - started
        return self.out

    def open(self) -> None:
        """Lenders, the attacker's pair, and the crowd, as far as caps and margin let them."""
        storm, raw = self.storm, 10**self.storm.setup.quote_decimals
        self.paid_in = (storm.setup.pool_cash + storm.setup.insurance_cash) * raw
        self.do("guardian", "owner", STRANGER)
        shares = self.model.shares[self.system.address("lender")]
        self.do("share", "lender", "bob", shares // 3)
        market, size, cash = storm.pair
        for name, side in ((LONG, 1), (SHORT, -1)):
            self.mint("mallory", cash)
            self.attacker_in += cash
            self.do("deposit", "mallory", name, "token", cash)
            self.do("trade", "mallory", name, market, side * size)
        for trader in storm.traders:
            self.out.refused += len(trader.sizes) - self.come(trader)
        if storm.requested:
            asked = int(self.model.shares[self.system.address("lender")] * storm.requested)
            self.do("request", "lender", asked, "lender", "lender")
        self.do("refresh", "lender")

    def come(self, trader: Trader) -> int:
        """A trader pays in and opens; how many of his trades go through."""
        if trader.cash:
            self.mint("alice", trader.cash)
            self.do("deposit", "alice", trader.name, "token", trader.cash)
        for id, amount in trader.coins:
            self.do("mint", "alice", amount, id)
            self.coins_in[id] += amount
            self.do("deposit", "alice", trader.name, f"coin{id}", amount)
        trades = [("trade", "alice", trader.name, *what) for what in trader.sizes]
        return sum(self.do(*trade).ok for trade in trades)

    def mark(self) -> None:
        """How things stand before the storm."""
        self.fund_before = self.model.header_of(self.model.address).cash
        self.fund_low = self.fund_before
        self.share_before = self.share_price()
        self.share_low = self.share_before
        self.health_low = 100.0
        self.opened_at = self.answers[self.storm.pair[0]]
        self.rates = [self.model.leg(NOWHERE, m).rate for m in range(len(self.model.listed))]

    def share_price(self) -> float:
        """The NAV of a share of the pool [quote]."""
        return self.model.valuation().nav / max(self.model.supply, 1)

    def tick(self, tick: Tick, calm: bool = False) -> None:
        """One block: the world, then keeper, attacker and Backstop."""
        self.do("wait", tick.seconds, 1)
        for feed, mode in tick.faults:
            self.do("fault", feed, mode)
        was = list(self.answers)
        self.prices(self.squeezed(tick) if tick.squeeze else tick.moves)
        for op in tick.world:
            self.do(*op)
        self.sick = self.unhealthy()
        self.watch(calm)
        self.attack()
        room = tick.room if self.limited else EVERYBODY
        self.keep(room, tick.worst_first)
        if tick.late and self.model.settlement.state == NOT_DECLARED:
            opened = self.come(tick.late)
            self.out.late += opened
            for market, size in tick.late.sizes:
                self.require(
                    not opened or self.chased(market, size, was) < CHASE,
                    "nobody chases a jump (PRC-4)",
                    f"{market}: {size} at {self.answers[market]} after {was[market]}",
                )
        if not calm:
            self.last_resort()
        self.watch(calm)

    def chased(self, market: int, size: int, was: Sequence[float]) -> float:
        """How far the price jumped a size's way in this block; back to the stable one is none."""
        leg = self.model.leg(NOWHERE, market)
        now = self.answers[market] / was[market]
        stable = now * self.model.stable_price(leg) / leg.price
        return now / max(1.0, stable) - 1 if size > 0 else 1 - now / min(1.0, stable)

    def squeezed(self, tick: Tick) -> Sequence[float]:
        """One move of all prices that takes the pool to a health; its own if 60 % will not do."""
        worth, asked = self.model.pool_margin()
        legs = [self.model.leg(NOWHERE, m) for m in range(len(self.model.listed))]
        crowd = sum(leg.skew * leg.price // WAD for leg in legs)  # what the pool is short of
        if crowd == 0 or worth <= asked:
            return tick.moves
        # Up, the margin grows with the price; down, it falls.
        slope = abs(crowd) + tick.squeeze * asked * (1 if crowd > 0 else -1)
        by = (worth - tick.squeeze * asked) / slope if slope > 0 else 1.0
        if not 0 < by <= 0.6:
            return tick.moves
        move = 1 + by if crowd > 0 else 1 - by
        return [move if told else told for told in tick.moves]

    def prices(self, moves: Sequence[float]) -> None:
        """New rounds; a move of 0 is none."""
        for feed, move in enumerate(moves):
            self.answers[feed] *= move or 1
            if move:
                self.do("price", feed, max(int(self.answers[feed]), 1))
        if self.opened_at:
            ratio = self.answers[self.storm.pair[0]] / self.opened_at
            self.excursion = max(self.excursion, abs(ratio - 1))

    def watch(self, calm: bool) -> None:
        """What is at its lowest, and who is unhealthy."""
        if calm:
            return
        out, now = self.out, self.system.chain.now
        count = len(self.unhealthy(self.sick))
        out.unhealthy = max(out.unhealthy, count)
        if count:
            self.began = self.began or now
        if self.began and (count or out.recovery == 0):
            out.recovery = now - self.began
        self.fund_low = min(self.fund_low, self.model.header_of(self.model.address).cash)
        self.share_low = min(self.share_low, self.share_price())
        worth, asked = self.model.pool_margin()
        if asked:
            self.health_low = min(self.health_low, worth / asked)

    # -------------------------------------------------------------- the keeper

    def keep(self, room: int, worst_first: bool = True) -> None:
        """As many liquidations as the block has room for."""
        found = self.unhealthy(self.sick)
        if not worst_first:
            self.rng.shuffle(found)
        if not self.model.is_calm():
            room = min(room, 1)  # it will be refused: once is enough to see it
        for name in found[:room]:
            self.liquidate("keeper", name)
        for name in found[room : room + 1]:  # those who are left are told of
            self.do("report", "keeper", self.system.address(name))
            self.reported.add(name)

    def liquidate(self, keeper: str, name: str) -> bool:
        """One liquidation, and what it did to everybody else; whether it went through."""
        before = {m: self.model.leg(NOWHERE, m).price for m in range(len(self.model.listed))}
        sick = self.model.health(self.system.address(name)) < WAD
        answer = self.do("liquidate", keeper, self.system.address(name))
        calm = self.model.is_calm()
        self.require(
            answer.ok == (sick and calm),
            "an unhealthy account can be liquidated",
            f"{name}: {answer.reason}",
        )
        if not answer.ok:
            return False
        self.out.liquidations += 1
        self.out.reward += answer.value / WAD if keeper == "keeper" else 0
        for event in answer.events:
            if event.name == "Fill":
                _, market, delta, price, *_ = event.args
                oracle = before[market]
                self.by_block[self.system.chain.number, market] += delta
                self.out.fill_gap = max(self.out.fill_gap, abs(price / oracle - 1))
                self.out.pool_fills += delta * (price - oracle) / WAD / WAD
            if event.name == "Liquidated":
                charged, reward = event.args[5:7]
                self.out.topped_up += max(reward - charged, 0) / WAD
            if event.name == "LotOpened":
                self.out.lent += event.args[3] / WAD
            if event.name == "BadDebt":
                self.out.bad_fund += event.args[1] / WAD
                self.out.bad_pool += event.args[2] / WAD
        return True

    def attack(self) -> None:
        """The pair: what cannot pay is liquidated, what won is closed, and all of it leaves."""
        sides = {LONG: SHORT, SHORT: LONG}
        market = self.storm.pair[0]
        for loser, winner in sides.items():
            who = self.system.address(loser)
            if self.model.header_of(who).bitmap and self.model.health(who) < WAD:
                self.liquidate("mallory", loser)
            if not self.model.header_of(who).bitmap and self.model.positions.get(
                (self.system.address(winner), market)
            ):
                self.do("trade", "mallory", winner, market, "all")
        for name in (LONG, SHORT, "mallory"):
            if self.model.header_of(self.system.address(name)).cash >= self.model.settings.unit:
                self.pull("mallory", name)

    def pull(self, wallet: str, name: str, token: str = "token") -> Answer:
        """Withdraw everything; what a settlement pays is written down."""
        who, unit = self.system.address(name), self.model.settings.unit
        settles = token == "token" and self.model.share > 1
        claim = max(self.model.header_of(who).cash, 0) // unit
        answer = self.do("withdraw", wallet, name, token, claim if settles else "all", wallet)
        if settles and answer.ok:
            sent = next(e.args[3] for e in answer.events if e.name == "Withdrawn")
            self.paid.append((claim, sent))
        return answer

    # -------------------------------------------------------------- a broke pool

    def last_resort(self) -> None:
        """Deleverage a pool below its margin; declare, in a freeze too, when it has nothing."""
        state, calm = self.model.settlement.state, self.model.is_calm()
        worth, asked = self.model.pool_margin()
        if state == NOT_DECLARED and worth < asked and calm:
            self.deleverage()
        at_least, worth, _ = self.model.solvency()
        retold = self.model.is_certain() != bool(self.model.settlement.certain_at)
        if state == DECLARED and at_least >= 0 and calm:
            self.require(self.do("call_off", "keeper").ok, "call off", f"{worth}")
        elif (state == NOT_DECLARED and worth < 0) or (state == DECLARED and retold):
            self.require(self.do("declare", "keeper").ok, "declare", f"{worth}")
        elif state == DECLARED and calm and self.ripe():
            self.settle()

    def ripe(self) -> bool:
        """Whether the hour in which the hole is certain is over."""
        certain_at = self.model.settlement.certain_at
        over = certain_at and self.system.chain.now >= certain_at + SETTLE_DELAY
        return bool(over) and self.model.is_certain()

    def deleverage(self) -> None:
        """The first of the Backstop's rank, market by market, the fullest first."""
        left = DELEVERAGED_EACH
        accounts = [self.system.address(name) for name in self.names]
        legs = [self.model.leg(NOWHERE, m) for m in range(len(self.model.listed))]
        legs.sort(key=lambda leg: -notional(leg.skew, leg.price))
        for leg in legs:
            while left and leg.skew:
                worth, asked = self.model.pool_margin()
                if worth >= asked:
                    return
                ranked = self.system.backstop.view("rank", leg.id, accounts)
                left -= 1
                if not any(self.deleverages(candidate[0], leg) for candidate in ranked):
                    break

    def deleverages(self, account: str, leg: Leg) -> bool:
        """Whether a winner in the rank can be deleveraged; if so, he is."""
        name = self.system.labels[account]
        answer = self.do("deleverage", "keeper", name, leg.id)
        if answer.ok:
            self.out.deleveraged += answer.value * leg.price / WAD / WAD
        return answer.ok

    def settle(self) -> None:
        """All markets at their last prices; everybody's positions close there."""
        _, worth, _ = self.model.solvency()
        self.require(worth < 0, "only an insolvent pool settles", f"{worth}")
        self.out.solvency = worth / WAD
        markets = list(range(len(self.model.listed)))
        self.require(self.do("settle_markets", "keeper", markets).ok, "settle", f"{worth}")
        for market in markets:
            holders = [n for n in self.names if self.holds(n, market)]
            if holders:
                done = self.do("close_settled", "keeper", market, holders)
                self.require(done.ok, "a settled market closes", f"{market}: {done.reason}")

    def holds(self, name: str, market: int) -> bool:
        """Whether an account has a position."""
        return (self.system.address(name), market) in self.model.positions

    # -------------------------------------------------------------- afterwards

    def clear(self) -> None:
        """Feeds live, the sequencer up, the grace over: nobody unhealthy may be left."""
        for feed in range(len(self.system.feeds)):
            self.do("fault", feed, "ok")
        if self.system.uptime:
            self.do("uptime", 0, 0)
        pause = max(self.model.calm_from - self.system.chain.now, 0)
        if self.system.uptime:
            pause = max(pause, HOUR + 1)
        self.pass_time(max(pause, BLOCK))
        for _ in range(4):
            self.sick = self.unhealthy()
            self.attack()
            self.keep(EVERYBODY)
            self.last_resort()
            self.watch(calm=False)
            if not self.unhealthy() and self.model.settlement.state != DECLARED:
                break
            declared = self.model.settlement.state == DECLARED
            self.pass_time(SETTLE_DELAY if declared else BLOCK)
        left = self.unhealthy()
        self.require(not left, "nobody unhealthy survives", f"{left}")
        for name in sorted(self.reported):
            self.do("report", "keeper", self.system.address(name))
        rates = [self.model.leg(NOWHERE, m).rate for m in range(len(self.model.listed))]
        changes = [abs(now - was) for now, was in zip(rates, self.rates, strict=True)]
        self.out.rate_change = max(changes) / WAD

    def pass_time(self, seconds: int) -> None:
        """Wait while prices stand still and are told."""
        self.do("wait", seconds, max(seconds // BLOCK, 1))
        self.prices([1.0] * len(self.system.feeds))

    def leave(self) -> None:
        """Lots are sold, positions closed, debts repaid; then everybody takes what is his."""
        self.sell_lots()
        for name in self.names:
            for market in range(len(self.model.listed)):
                if self.holds(name, market):
                    done = self.do("trade", name.partition(".")[0], name, market, "all")
                    if not done.ok:
                        self.require(False, "whoever wants to can close", f"{name}: {done.reason}")
                    self.pass_time(BLOCK)  # nobody pays for another's liquidation
        for name in self.unhealthy():  # flat, with a debt that the tokens are not worth
            self.liquidate("keeper", name)
        self.sell_lots()
        # At the oracle's prices the pool had enough; the premium that it gave back it had not.
        for _ in range(2):
            if self.model.settlement.state in (NOT_DECLARED, DECLARED):
                self.last_resort()
            if self.model.settlement.state == DECLARED:
                self.pass_time(SETTLE_DELAY)
        for name in self.names:  # in the same second: interest runs on
            self.repay(name)
        if self.model.settlement.state == SETTLING:
            self.require(self.do("fix", "keeper").ok, "the share is fixed", "")
            self.out.share = self.model.settlement.share / WAD
        for name in (*self.names, "mallory", "keeper", "bob", "alice"):
            wallet = name.partition(".")[0]
            for id in range(len(self.system.coins)):
                if self.model.held.get((self.system.address(name), id)):
                    done = self.pull(wallet, name, f"coin{id}")
                    self.require(done.ok, "who is flat can leave", f"{name}: {done.reason}")
            if self.model.header_of(self.system.address(name)).cash >= self.model.settings.unit:
                done = self.pull(wallet, name)
                pays_nothing = self.out.share is not None and done.reason == (
                    "withdraw: settlement waits"
                )
                self.require(
                    done.ok or pays_nothing, "who is flat can leave", f"{name}: {done.reason}"
                )
        self.lenders_leave()

    def repay(self, name: str) -> None:
        """A debt that is behind collateral is paid by its owner, as far as it is worth it."""
        who = self.system.address(name)
        owes = max(self.model.interest_of(who) - self.model.header_of(who).cash, 0)
        if owes and self.model._backing(who).maintenance >= owes:
            raw = ceil_div(owes, self.model.settings.unit)
            self.mint("alice", raw)
            self.do("deposit", "alice", name, "token", raw)

    def sell_lots(self) -> None:
        """A buyer takes each lot whole, when the auction's price has come down."""
        if not any(lot.amount for lot in self.model.lots):
            return
        for _ in range(2):
            self.pass_time(HOUR)
        for lot in [lot.id for lot in self.model.lots if lot.amount]:
            cost = self.model.cost_of(lot, self.model.lots[lot].amount, 0)
            self.mint("bob", cost)
            done = self.do("buy", "bob", lot, "all", None, "bob")
            self.require(done.ok, "a lot is sold", f"{done.reason}")

    def lenders_leave(self) -> None:
        """Requests, the cooldown, and claims, where the pool has anything."""
        for name in ("lender", "bob"):
            if self.model.shares.get(self.system.address(name)):
                self.do("request", name, "all", name, name)
        self.pass_time(DAY)
        for name in ("lender", "bob"):
            self.do("redeem", name, "all", name, name)

    def account(self) -> None:
        """Paid out and left is what was paid in; the shares of claims; the attacker's gain."""
        system, unit, out = self.system, self.model.settings.unit, self.out
        tell = system.token.view
        wallets = [system.address(name) for name in system.wallets]
        contracts = [
            c.address
            for c in (
                system.clearinghouse,
                system.pool,
                system.auction,
                system.backstop,
                system.configurator,
            )
        ]
        there = sum(tell("balanceOf", a) for a in (*wallets, *contracts))
        self.require(there == self.paid_in, "conservation", f"{there} of {self.paid_in}")
        for id, coin in enumerate(system.coins):
            owned = sum(coin.view("balanceOf", a) for a in wallets)
            kept = coin.view("balanceOf", system.clearinghouse.address)
            self.require(
                owned == self.coins_in[id] and kept == 0,
                "conservation of tokens",
                f"{owned} and {kept} of {self.coins_in[id]}",
            )
        # Nothing is open: what is in custody is what accounts have, and the pool and the fund.
        cash = {a: h.cash for a, h in self.model.headers.items()}
        custody = system.clearinghouse.view("globals")[0]
        self.require(not self.model.positions, "nothing is open", f"{self.model.positions}")
        self.require(sum(cash.values()) == custody * unit, "custody", f"{custody}")
        ours = (self.model.address, self.model.settings.pool)
        left = {a: c for a, c in cash.items() if a not in ours and abs(c) >= unit}
        if out.share is None:
            self.require(not left, "everybody has left", f"{left}")
        share = self.model.settlement.share
        for claimed, sent in self.paid:
            self.require(
                sent == claimed * share // WAD, "all get the same share", f"{sent} of {claimed}"
            )
        self.require(
            (out.share is None) == (self.model.settlement.state != FIXED), "fixed", f"{out.share}"
        )
        out.insurance = (self.fund_before - self.fund_low) / WAD
        out.drawdown = 1 - self.share_low / self.share_before
        out.health = self.health_low
        has = self.model.balance(system.token.address, system.address("mallory"))
        out.gain = (has - self.attacker_in) * unit / WAD
        out.bound = self.bound()
        scales = [
            terms_of(stored.words).skew_scale for _, stored in sorted(self.model.markets.items())
        ]
        totals: dict[int, int] = defaultdict(int)
        for (_, market), moved in self.by_block.items():
            out.skew_moved = max(out.skew_moved, abs(moved) / scales[market])
            totals[market] += moved
        out.skew_total = max((abs(t) / scales[m] for m, t in totals.items()), default=0.0)
        self.require(
            out.gain <= out.bound, "the pair's gain (GOV-5)", f"{out.gain} above {out.bound}"
        )

    def bound(self) -> float:
        """What GOV-5 lets a matched pair take, of its own size, in the jump that there was."""
        market, size, _ = self.storm.pair
        setup = self.storm.setup.markets[market]
        worth = size / WAD * self.opened_at / 10**setup.decimals
        terms = setup.terms
        jump = self.excursion
        depth = terms["max_open_interest"] / terms["skew_scale"]
        past = max(jump - terms["im_ppm"] / PPM + (1 + jump) * depth / 2, 0.0)
        return worth * past


def play(seed: int, limited: bool = True, artifacts: Artifacts | None = None) -> Outcome:
    """One seed's storm.

    Raises:
        Mismatch: naming the seed and what does not hold; its `operations` are the way there.
    """
    day = Day(Storm.of(seed), limited, artifacts)
    try:
        return day.play()
    except Mismatch as mismatch:
        mismatch.args = (f"seed {seed}, {day.storm.kind}: {mismatch}",)
        mismatch.operations = day.operations
        raise


# ------------------------------------------------------------------ very many


class Twins(NamedTuple):
    """One seed, with the keeper's little room and without a limit."""

    limited: Outcome
    free: Outcome


def run_seed(seed: int) -> Twins | str:
    """Both storms of a seed, or what went wrong."""
    try:
        return Twins(play(seed), play(seed, limited=False))
    except Mismatch as mismatch:
        return f"{mismatch}, after {mismatch.operations[-1]}, the {len(mismatch.operations)}th"


def thousands(value: float) -> str:
    """Thousands of quote."""
    return f"{value / 1_000:,.0f}"


def percent(value: float) -> str:
    """A fraction in per cent."""
    return f"{value * 100:.1f}"


def minutes(value: float) -> str:
    """Seconds in minutes."""
    return f"{value / 60:,.0f}"


class Line(NamedTuple):
    """A line of the table: an outcome's field, how it is shown, and which end is the worst."""

    field: str
    title: str
    show: Callable[[float], str]
    worst: Callable[[Iterable[float]], float] = max


# What a day costs; then what the liquidations alone did.
COST = (
    Line("unhealthy", "unhealthy at once", "{:.0f}".format),
    Line("late", "opened in it", "{:.0f}".format),
    Line("liquidations", "liquidations", "{:.0f}".format),
    Line("bad_fund", "bad debt, fund, k", thousands),
    Line("bad_pool", "bad debt, pool, k", thousands),
    Line("insurance", "fund used, k", thousands),
    Line("drawdown", "share's loss, %", percent),
    Line("health", "pool's health", "{:.1f}".format, min),
    Line("deleveraged", "deleveraged, k", thousands),
    Line("reward", "keeper's fees", "{:,.0f}".format, min),
    Line("recovery", "recovery, min", minutes),
    Line("gain", "attack's gain, k", thousands),
)
CASCADE = (
    Line("skew_moved", "skew, block, %", percent),
    Line("skew_total", "skew, in all, %", percent),
    Line("fill_gap", "fill off price, %", percent),
    Line("rate_change", "funding, % a day", lambda rate: f"{rate * 100:.2f}"),
    Line("pool_fills", "pool by fills, k", thousands, min),
    Line("bad_debt", "bad debt, both, k", thousands),
    Line("recovery", "recovery, min", minutes),
)


def told(outcomes: Sequence[Outcome], line: Line) -> str:
    """The median and the worst of an outcome."""
    values = [float(getattr(o, line.field)) for o in outcomes]
    return f"{line.show(statistics.median(values))} / {line.show(line.worst(values))}"


def summary(found: Sequence[Twins]) -> None:
    """The tables, and what is seen in them."""
    from plimsoll.report import console, headline, table

    out = console()
    kinds = [k for k in KINDS if any(t.limited.kind == k for t in found)]
    of = {k: [t for t in found if t.limited.kind == k] for k in kinds}

    cost = table("median / worst", *kinds)
    cost.columns[0].no_wrap = True
    cost.add_row("seeds", *(str(len(of[k])) for k in kinds))
    for line in COST:
        cost.add_row(line.title, *(told([t.limited for t in of[k]], line) for k in kinds))
    cost.add_row("settled", *(str(sum(t.limited.share is not None for t in of[k])) for k in kinds))
    shares = {k: [t.limited.share for t in of[k] if t.limited.share is not None] for k in kinds}
    cost.add_row("lowest share, %", *(percent(min(s)) if s else "-" for s in shares.values()))
    out.print(
        headline("The day, the keeper with room for 0 to 5 liquidations a block (k: 1,000 quote)")
    )
    out.print(cost)

    cascade = table("median / worst", *kinds)
    cascade.columns[0].no_wrap = True
    for line in CASCADE:
        cascade.add_row(line.title, *(told([t.limited for t in of[k]], line) for k in kinds))
        cascade.add_row(
            Text("  no limit", "dim"),
            *(told([t.free for t in of[k]], line) for k in kinds),
        )
    out.print(
        headline("The cascade: what liquidations themselves did (skew as a part of the skew scale)")
    )
    out.print(cascade)
    for text in words([t.limited for t in found], [t.free for t in found]):
        out.print(text)


def words(limited: Sequence[Outcome], free: Sequence[Outcome]) -> Iterable[str]:
    """What is seen, in words."""
    slow, fast = sum(o.bad_debt for o in limited), sum(o.bad_debt for o in free)
    settled = [o for o in limited if o.share is not None]
    yield (
        f"{len(limited)} storms; in {sum(o.bad_pool > 0 for o in limited)} the pool bore bad debt, "
        f"in {sum(o.deleveraged > 0 for o in limited)} winners were deleveraged, "
        f"{len(settled)} ended in a settlement ({sum(o.share is not None for o in free)} with room "
        f"for every liquidation)."
    )
    yield (
        f"Bad debt {thousands(slow)}k in all, with room for every liquidation {thousands(fast)}k: "
        f"{percent(1 - fast / slow if slow else 0.0)} % of it is the keeper's limit, the rest is "
        f"jumps, dead feeds and waits."
    )
    worst = max(limited, key=lambda o: o.gain / o.bound if o.bound else 0.0)
    if worst.bound:
        yield (
            f"The attacker gained in {sum(o.gain > 0 for o in limited)}; nearest to his bound "
            f"{thousands(worst.gain)}k of {thousands(worst.bound)}k, seed {worst.seed}."
        )


def main(arguments: list[str] | None = None) -> int:
    """Play seeds and print the tables."""
    parser = argparse.ArgumentParser(
        prog="python -m plimsoll.fuzz.storm", description="What the protocol does on its worst day."
    )
    parser.add_argument("--seeds", type=int, default=200, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first one")
    parser.add_argument("--jobs", type=int, default=multiprocessing.cpu_count())
    args = parser.parse_args(arguments)
    for name in ("seeds", "jobs"):
        if getattr(args, name) < 1:
            parser.error(f"--{name} must be at least 1")

    started = time.perf_counter()
    seeds = range(args.first, args.first + args.seeds)
    compiled()  # once, before the processes want it
    if args.jobs == 1:
        results = [run_seed(seed) for seed in seeds]
    else:
        with multiprocessing.get_context("spawn").Pool(args.jobs) as pool:
            results = pool.map(run_seed, seeds, chunksize=4)
    found = [r for r in results if isinstance(r, Twins)]
    failures = [r for r in results if isinstance(r, str)]
    if found:
        summary(found)
        each = statistics.mean(t.limited.seconds + t.free.seconds for t in found)
        done = sum(t.limited.operations + t.free.operations for t in found)
        print(
            f"{done:,} operations, {each:.2f} s of a core a seed, "
            f"{time.perf_counter() - started:.0f} s in all; {len(failures)} failures."
        )
    for failure in failures:
        print(failure)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
