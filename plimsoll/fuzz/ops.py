"""Draws deployments and operations from a seed.

The generator looks at the model before each draw, so that most operations can succeed and many
stand at a limit: the exact margin, cap, balance, price or second at which an answer changes, and
one beside it. The operations themselves name plain numbers and can be replayed without it.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from typing import Any

from plimsoll import slots
from plimsoll.formulas import DAY, LIVE, MAX_UINT, PPM, Refused, ceil_div, fill_price
from plimsoll.fuzz.coins import CoinDraws, random_coins
from plimsoll.fuzz.last_resort import LastResortDraws
from plimsoll.fuzz.numbers import log_uniform
from plimsoll.fuzz.system import MODES, STRANGER, WALLETS, MarketSetup, Op, Setup, System
from plimsoll.model import (
    BETWEEN_FREEZES,
    CLAIM_WINDOW,
    GRACE,
    MAX_BATCH,
    MAX_NOTICE,
    MIN_NOTICE,
    NAV_MAX_AGE,
    NOWHERE,
    Model,
    terms_of,
    token_terms_of,
)
from plimsoll.rules import STEP, check_terms
from plimsoll.slots import WAD, Terms

TRADERS = ["alice", "alice.1", "alice.255", "bob", "mallory", "mallory.1", "mallory.2", "mallory.3"]
EVERYBODY = [*TRADERS, "keeper", "lender", STRANGER, "pool", "fund", "auction", "zero", "token"]


# ------------------------------------------------------------------ deployments


def _market(price: int, scale: int, decimals: int = 8, **terms: int) -> MarketSetup:
    """A market with `price` [quote/base] and a skew scale [base], like those of the defaults."""
    fields: dict[str, Any] = {
        "max_age": DAY,
        "min_price": price * WAD // 1000,
        "max_price": price * WAD * 100,
        "skew_scale": scale * WAD,
        "max_skew": scale * WAD // 100,
        "max_open_interest": scale * WAD * 14 // 1000,
        "im_ppm": 50_000,
        "mm_ppm": 25_000,
        "liquidation_fee_ppm": 10_000,
        "reward": 5 * WAD,
        "taker_fee_ppm": 500,
        "spread_ppm": 1_000,
        "otc_band_ppm": 5_000,
        "max_velocity_ppm": 500_000,
        "max_rate_ppm": 10_000,
        "reduce_only": False,
    }
    return MarketSetup(price * 10**decimals, decimals, {**fields, **terms})


def big_coin() -> MarketSetup:
    """Bitcoin-like: 5 % initial margin, 400m of depth."""
    return _market(50_000, 8_000)


def small_coin() -> MarketSetup:
    """A smaller coin: 12 % initial margin, 20m of depth."""
    return _market(
        20,
        1_000_000,
        max_skew=20_000 * WAD,
        max_open_interest=30_000 * WAD,
        im_ppm=120_000,
        mm_ppm=60_000,
        liquidation_fee_ppm=15_000,
        taker_fee_ppm=800,
        spread_ppm=5_000,
        max_velocity_ppm=750_000,
        max_rate_ppm=30_000,
    )


def free_coin() -> MarketSetup:
    """No fee, no spread, no reward, no funding: what rounds shows."""
    return _market(
        100,
        1_000_000,
        reward=0,
        taker_fee_ppm=0,
        spread_ppm=0,
        max_velocity_ppm=0,
        max_rate_ppm=0,
    )


def wild_market(rng: random.Random, greatest: bool = False) -> MarketSetup:
    """Anything that the rules allow, the corners more often than not; or as much as they allow."""
    while True:
        setup = _draw_market(rng, greatest)
        try:
            check_terms(
                Terms(feed=NOWHERE, **setup.terms), setup.terms["max_open_interest"], 200_000
            )
        except Refused:
            continue
        return setup


def _draw_market(rng: random.Random, greatest: bool) -> MarketSetup:
    decimals = rng.choice([0, 2, 6, 8, 12, 18])
    # The price of a feed with few decimals is a multiple of a big step.
    step = 10 ** (18 - decimals)
    price = max(log_uniform(rng, 10**7, 2**90), step) // step * step
    exponent = max(len(str(price * 50)) - 7, 0)
    unit = 10**exponent
    most = min((2**96 - 1) // unit, 2**24 - 1)
    max_price = rng.randint(min(price // unit + 2, most), most) * unit
    if greatest:  # the price just under its bound, the depth at its own
        max_price = (price // unit + rng.choice([2, 10**5])) * unit
    deepest = min(2**96 - 1, 2**106 * WAD // max_price - 1)
    scale = deepest if greatest else log_uniform(rng, 10**12, deepest)
    open_interest = scale * rng.choice([1, 14, 50, 200]) // 1000
    curve = ceil_div(open_interest * PPM, scale)
    taker_fee = rng.choice([0, 1, 500, 20_000])
    spread = rng.choice([0, 1, 1_000, 50_000])
    fee = min(ceil_div(5 * (taker_fee + spread) * PPM, 4 * 800_000) + rng.choice([0, 9000]), 10**5)
    mm = fee + curve + rng.choice([0, 1, 5_000])
    im = max(ceil_div(3 * mm, 2), rng.choice([0, 50_000, PPM]))
    return MarketSetup(
        price // step,
        decimals,
        {
            "max_age": rng.choice([60, 3600, DAY, 2**20 - 1]),
            "min_price": max(rng.randrange(0, max(price // unit, 1)) * unit, unit, 10**6),
            "max_price": max_price,
            "skew_scale": scale,
            "max_skew": open_interest * rng.choice([1, 5, 10]) // 10,
            "max_open_interest": open_interest,
            "im_ppm": im,
            "mm_ppm": mm,
            "liquidation_fee_ppm": fee,
            "reward": rng.choice([0, 1, 500, 100_000]) * slots.REWARD_UNIT,
            "taker_fee_ppm": taker_fee,
            "spread_ppm": spread,
            "otc_band_ppm": 0,
            "max_velocity_ppm": 2**24 - 1 if greatest else rng.choice([0, 1, 500_000, 2**24 - 1]),
            "max_rate_ppm": min(500_000 if greatest else rng.choice([0, 1, 10_000, 500_000]), mm),
            "reduce_only": False,
        },
    )


def random_setup(rng: random.Random) -> Setup:
    """A deployment: usually a few ordinary markets, sometimes wild ones, sometimes very many."""
    setup = _random_markets(rng)
    setup.coins, setup.credit = random_coins(rng)
    if rng.random() < 0.3:
        setup.stable_speed_ppm = rng.choice([1, 1_000, PPM])
    if rng.random() < 0.2:
        setup.outflow_ppm = rng.choice([1, 10_000, PPM])
        setup.outflow_floor = rng.choice([0, 10_000 * 10**setup.quote_decimals])
    if rng.random() < 0.2:
        setup.grace = rng.choice([0, 1, 3_600, DAY])
    return setup


def _random_markets(rng: random.Random) -> Setup:
    kind = rng.random()
    if kind < 0.08:
        markets = [rng.choice([small_coin, free_coin])() for _ in range(34)]
    elif kind < 0.15:
        greatest = [wild_market(rng, greatest=True) for _ in range(rng.randint(1, 3))]
        return Setup(
            markets=greatest,
            quote_decimals=rng.choice([6, 18]),
            profit_weight_ppm=PPM,
            max_pool_leverage_ppm=10**9,
            pool_cash=10**11,
            insurance_cash=10**6,
        )
    elif kind < 0.55:
        markets = [big_coin(), small_coin(), *([free_coin()] if rng.random() < 0.5 else [])]
    else:
        ordinary = [big_coin, small_coin, free_coin]
        markets = [
            wild_market(rng) if rng.random() < 0.6 else rng.choice(ordinary)()
            for _ in range(rng.randint(1, 5))
        ]
    plain = rng.random() < 0.5
    return Setup(
        markets=markets,
        quote_decimals=6 if plain else rng.choice([0, 2, 6, 8, 18]),
        keeper_share_ppm=200_000,
        insurance_share_ppm=200_000 if plain else rng.choice([0, 1, 200_000, PPM]),
        profit_weight_ppm=500_000 if plain else rng.choice([0, 1, 500_000, PPM]),
        max_pool_leverage_ppm=1_500_000 if plain else rng.choice([0, PPM, 1_500_000, 10**9]),
        top_up_per_block=100 * WAD if plain else rng.choice([0, 3 * WAD, 100 * WAD]),
        cooldown=DAY if plain else rng.choice([3_600, DAY]),
        deleverage_to=11 * WAD // 10 if plain else rng.choice([WAD, WAD + 1, 2 * WAD, 10 * WAD]),
        pool_cash=10_000_000 if plain else rng.choice([0, 1_000, 10**7, 10**10]),
        insurance_cash=rng.choice([0, 1_000]) if plain else rng.choice([0, 1, 10**6]),
    )


# ------------------------------------------------------------------ operations


class Generator(CoinDraws, LastResortDraws):
    """Draws operations for a system, one at a time, each on the state that the last one left."""

    def __init__(self, rng: random.Random, system: System) -> None:
        self.rng = rng
        self.system = system
        self.model: Model = system.model
        self.queue: deque[Op] = deque()
        self.raw = 10**system.setup.quote_decimals
        self.draws: list[tuple[Callable[[], Op], float]] = [
            (self.trade, 30),
            (self.close, 6),
            (self.trade_at_margin, 4),
            (self.trade_at_cap, 3),
            (self.deposit, 7),
            (self.withdraw, 6),
            (self.withdraw_at_margin, 3),
            (self.liquidate, 6),
            (self.liquidate_many, 2),
            (self.starved, 1),
            (self.spread_out, 8 if len(system.setup.markets) > 8 else 0),
            (self.poke, 4),
            (self.price, 9),
            (self.price_at_margin, 3),
            (self.crash, 5),
            (self.fault, 1),
            (self.wait, 9),
            (self.wait_until, 2),
            (self.refresh, 4),
            (self.pool_in, 3),
            (self.pool_out, 6),
            (self.pool_rights, 1),
            (self.configure, 3),
            (self.ramp, 1),
            (self.walk, 3),
            (self.walk_to_the_end, 0.1),
            (self.guard, 2),
            (self.delist, 0.15),
            (self.settle_market, 0.15),
            (self.intrude, 1),
            (self.report, 1),
            (self.uptime, 2 if system.uptime else 0),
            (self.break_pool, 2),
            (self.deleverage, 1.5),
            (self.close_settled, 0.7),
            (self.last_act, 1),
        ]
        if system.coins:
            self.draws += [
                (self.coin_in, 12),
                (self.coin_out, 5),
                (self.convert, 4),
                (self.settle, 4),
                (self.overdraw, 8),
                (self.buy, 6),
                (self.tick, 1),
                (self.poke_token, 3),
                (self.coin_price, 5),
                (self.coin_price_at_margin, 3),
                (self.configure_coin, 2),
                (self.configure_credit, 1),
                (self.intrude_on_coins, 1),
            ]
        # A venue that has settled does little else: few of them do.
        self.ends = rng.random() < 0.25
        # Each run has its own mix, so that no mix is never tried.
        self.weights = [w * 2 ** rng.uniform(-1.5, 1.5) for _, w in self.draws]
        # How soon feeds that failed come back.
        self.care = rng.choice([0.02, 0.2, 0.5])

    def next(self) -> Op:
        """One more operation."""
        if not self.queue and self.rng.random() < self.care:
            self._revive(only_dead=True)
        if not self.queue:
            # A draw queues what has to come first, and returns what comes last.
            draw = self.rng.choices([d for d, _ in self.draws], self.weights)[0]
            last = draw()
            self.queue.append(last)
        return self.queue.popleft()

    # -------------------------------------------------------------- helpers

    def near(self, value: int) -> int:
        """`value`, or one beside it."""
        return value + self.rng.choice([-1, 0, 0, 1])

    def market(self) -> int:
        """A market, now and then one that is not listed."""
        listed = len(self.model.listed)
        if self.rng.random() < 0.01:
            return self.rng.choice([listed, 127, 128, MAX_UINT])
        return self.rng.randrange(listed)

    def trader(self) -> str:
        """An account that trades."""
        return self.rng.choice(TRADERS)

    def owner_of(self, account: str) -> str:
        """The wallet of an account; now and then somebody else."""
        if self.rng.random() < 0.01:
            return self.rng.choice([*WALLETS, STRANGER])
        return account.partition(".")[0]

    def holders(self) -> list[tuple[str, int]]:
        """Who has a position in what."""
        labels = self.system.labels
        return [(labels[a], m) for a, m in self.model.positions]

    def cash_of(self, account: str) -> int:
        """An account's cash [WAD quote]."""
        return self.model.header_of(self.system.address(account)).cash

    def would(self, method: str, *args: Any) -> str | None:
        """Why the model would refuse a call; None if it would not."""
        saved = self.model.save()
        call = getattr(Model, method)
        try:
            getattr(call, "__wrapped__", call)(self.model, *args)  # atomic saves no second time
        except Refused as refused:
            return refused.reason
        finally:
            self.model.load(saved)
        return None

    def greatest(self, low: int, high: int, passes: Callable[[int], bool]) -> int:
        """The greatest number in [low, high) that passes, if all below one that does pass."""
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if passes(middle) else (low, middle)
        return low

    def depth(self, market: int) -> slots.Unpacked:
        """A market's terms, as the clearinghouse holds them."""
        return terms_of(self.model.markets[market].words)

    # -------------------------------------------------------------- trading

    def trade(self) -> Op:
        """Any trade; before the first one, money for it."""
        account, market = self.trader(), self.market()
        if market >= len(self.model.listed):
            return ["trade", self.owner_of(account), account, market, WAD]
        self._fund(account, market)
        delta = self._size(account, market)
        op: Op = ["trade", self.owner_of(account), account, market, delta]
        if self.rng.random() < 0.1:
            op.append(self._limit(account, market, delta))
        return op

    def _fund(self, account: str, market: int) -> None:
        """See that a trader has the cash for a trade worth talking of."""
        backed = any(
            self.model.held.get((self.system.address(account), i)) for i in self.model.tokens
        )
        if self.cash_of(account) > 0 or self.rng.random() < (0.8 if backed else 0.1):
            return
        terms = self.depth(market)
        notional = terms.max_open_interest * max(self.model.leg(NOWHERE, market).price, 1) // WAD
        unit = self.model.settings.unit
        room = (2**100 // unit) // 8
        cash = log_uniform(self.rng, self.raw, max(notional // unit // 4, 100_000 * self.raw))
        wallet = account.partition(".")[0]
        self.queue.append(["mint", wallet, min(cash, room)])
        self.queue.append(["deposit", wallet, account, "token", min(cash, room)])

    def _size(self, account: str, market: int) -> int:
        rng, terms = self.rng, self.depth(market)
        leg = self.model.leg(self.system.address(account), market)
        sign = rng.choice([-1, 1])
        kind = rng.random()
        if kind < 0.45:  # what the cash could carry
            price = max(leg.price * terms.im_ppm // PPM, 1)
            tokens = self.model._backing(self.system.address(account)).initial
            carried = max(self.cash_of(account) + tokens, 0) * WAD // price
            return sign * (int(carried * rng.uniform(0, 1.1)) or 1)
        if kind < 0.65:
            return sign * max(int(terms.max_open_interest * rng.uniform(0, 0.4)), 1)
        if kind < 0.80:
            return sign * log_uniform(rng, min(slots.LOT, terms.skew_scale), terms.skew_scale)
        if kind < 0.90 and leg.size:  # part of the position, or over it
            return -int(leg.size * rng.uniform(0, 1.5)) or sign
        if kind < 0.97:
            return sign * self.near(rng.choice([1, 2, 10**6, slots.LOT, 3 * slots.LOT]))
        return rng.choice(
            [0, sign * self.near(terms.skew_scale), 2**95, -(2**95), 2**127, 2**255 - 1, -(2**255)]
        )

    def _limit(self, account: str, market: int, delta: int) -> int:
        terms = self.depth(market)
        leg = self.model.leg(self.system.address(account), market)
        if not 0 < abs(delta) <= terms.skew_scale:
            return self.rng.choice([0, MAX_UINT])
        extra = terms.spread_ppm + leg.surge_ppm
        price = fill_price(leg.price, leg.skew, delta, terms.skew_scale, extra)
        return max(self.near(price), 0)

    def close(self) -> Op:
        """Close a position, or go one past it, or fall one short."""
        holders = self.holders()
        if not holders:
            return self.trade()
        account, market = self.rng.choice(holders)
        if self.rng.random() < 0.8:
            return ["trade", self.owner_of(account), account, market, "all"]
        size = self.model.positions[self.system.address(account), market].size
        return ["trade", self.owner_of(account), account, market, self.near(-size)]

    def trade_at_margin(self) -> Op:
        """The greatest trade that the margin or a cap allows, or one more."""
        account, market = self.trader(), self.rng.randrange(len(self.model.listed))
        self._fund(account, market)
        if self.queue:
            return self.queue.pop()
        who, sign = self.system.address(account), self.rng.choice([-1, 1])

        def passes(size: int) -> bool:
            limit = MAX_UINT if sign > 0 else 0
            owner = self.system.address(account.partition(".")[0])
            return self.would("trade", owner, who, market, sign * size, limit) is None

        most = self.greatest(0, self.depth(market).skew_scale + 1, passes)
        return ["trade", self.owner_of(account), account, market, sign * (self.near(most) or 1)]

    def trade_at_cap(self) -> Op:
        """Up to the cap on the skew or on the open interest, or one more."""
        account, market = self.trader(), self.rng.randrange(len(self.model.listed))
        self._fund(account, market)
        terms, state = self.depth(market), self.model.markets[market].a
        long = state.lots * slots.LOT
        room = self.rng.choice(
            [
                terms.max_skew - state.skew,
                -terms.max_skew - state.skew,
                terms.max_open_interest - long,
                long - state.skew - terms.max_open_interest,
                -state.skew,
                -2 * state.skew,
            ]
        )
        op: Op = ["trade", self.owner_of(account), account, market, self.near(room) or 1]
        self.queue.append(op)
        return self.queue.pop()

    def spread_out(self) -> Op:
        """A position in every market there is, and little left beside them."""
        account, sign = self.trader(), self.rng.choice([-1, 1])
        wallet, count = account.partition(".")[0], len(self.model.listed)
        amount = 40 * count * self.raw
        self.queue.append(["mint", wallet, amount])
        self.queue.append(["deposit", wallet, account, "token", amount])
        self._revive()
        for market in self.rng.sample(range(count), count):
            price = max(self.model.leg(NOWHERE, market).price, 1)
            size = max(self.rng.randrange(1, 60) * WAD * WAD // price, slots.LOT)
            self.queue.append(["trade", wallet, account, market, sign * size])
        return self.queue.pop()

    # -------------------------------------------------------------- money

    def deposit(self) -> Op:
        """Somebody pays in for somebody."""
        rng, sender = self.rng, self.rng.choice([*WALLETS, STRANGER])
        account = rng.choice(EVERYBODY) if rng.random() < 0.3 else rng.choice(TRADERS)
        token = "token" if rng.random() < 0.98 else rng.choice(["pool", "zero", "fund"])
        has = self.model.balance(self.model.settings.quote, self.system.address(sender))
        amount: Any = rng.choice(
            [
                "all",
                0,
                self.near(has + 1),
                log_uniform(rng, 1, 10_000_000 * self.raw),
                log_uniform(rng, 1, 10_000 * self.raw),
            ]
        )
        if rng.random() < 0.02:  # about all that the clearinghouse may hold
            amount = self.near(2**100 // self.model.settings.unit - self.model.custody + 1)
        if isinstance(amount, int) and amount > has and rng.random() < 0.8:
            self.queue.append(["mint", sender, amount - has])
        if amount == "all":
            return ["deposit", sender, account, token, amount]
        call = "deposit" if rng.random() < 0.9 else "deposit_with_permit"
        self.queue.append([call, sender, account, token, max(amount, 0)])
        return self.queue.pop()

    def withdraw(self) -> Op:
        """Somebody takes out of an account of his."""
        rng, account = self.rng, self.rng.choice([*TRADERS, "keeper"])
        unit = self.model.settings.unit
        cash = max(self.cash_of(account), 0) // unit
        amount: Any = rng.choice(
            [
                "all",
                "all",
                0,
                cash + 1,
                log_uniform(rng, 1, max(cash, 1)),
                self.model.custody + 1,
                2**255,
            ]
        )
        token = "token" if rng.random() < 0.98 else "pool"
        receiver = rng.choice(EVERYBODY) if rng.random() < 0.3 else account
        return ["withdraw", self.owner_of(account), account, token, amount, receiver]

    def withdraw_at_margin(self) -> Op:
        """All that the margin lets go, or one more."""
        account = self.trader()
        holders = self.holders()
        if holders and self.rng.random() < 0.7:
            account = self.rng.choice(holders)[0]
        owner, who = self.system.address(account.partition(".")[0]), self.system.address(account)
        quote, cash = self.model.settings.quote, max(self.cash_of(account), 0)

        def passes(amount: int) -> bool:
            return self.would("withdraw", owner, who, quote, amount, owner) is None

        most = self.greatest(0, cash // self.model.settings.unit + 1, passes)
        return [
            "withdraw",
            self.owner_of(account),
            account,
            "token",
            max(self.near(most), 0),
            account,
        ]

    # -------------------------------------------------------------- liquidation

    def victim(self) -> str:
        """Somebody unhealthy, if there is one."""
        model, labels = self.model, self.system.labels
        if self.rng.random() < 0.8:
            sick = [labels[a] for a in model.headers if a in labels and model.health(a) < WAD]
            if sick:
                return self.rng.choice(sick)
        return self.rng.choice(EVERYBODY)

    def liquidate(self) -> Op:
        """Anybody liquidates somebody, himself included."""
        victim = self.victim()
        himself = victim.partition(".")[0] if victim in TRADERS else "lender"
        keeper = self.rng.choice(["keeper", "mallory", himself, STRANGER])
        return ["liquidate", keeper, victim]

    def liquidate_many(self) -> Op:
        """Several at once, with repetitions, healthy ones and the system's own among them."""
        count = self.rng.choice([0, 1, 2, 3, 5, MAX_BATCH, MAX_BATCH + 1])
        return ["liquidate_many", "keeper", [self.victim() for _ in range(count)]]

    def starved(self) -> Op:
        """A call with little gas."""
        gas = log_uniform(self.rng, 60_000, 5_000_000)
        self.queue.append(
            ["starved", gas, self.rng.choice([self.liquidate, self.close, self.poke])()]
        )
        return self.queue.pop()

    # -------------------------------------------------------------- prices and time

    def poke(self) -> Op:
        """Anybody refreshes a market."""
        return ["poke", self.rng.choice([*WALLETS, STRANGER]), self.market()]

    def feed_of(self, market: int) -> int:
        """The number of a market's feed; of some feed, where a settled market has none."""
        feed = self.model.listed[market][1].feed
        known = [f.address for f in self.system.feeds]
        return known.index(feed) if feed in known else market % len(known)

    def _sane(self, feed: int) -> int:
        """A feed's last answer, if it is not absurd; else its first."""
        answer, first = (
            self.model.feeds[self.system.feeds[feed].address].answer,
            self.system.first[feed],
        )
        usable = first < 1000 * answer < 10**5 * first
        return answer if usable and self.rng.random() < 0.98 else first

    def price(self) -> Op:
        """A step of a price; now and then an answer that may not be used."""
        rng, market = self.rng, self.rng.randrange(len(self.model.listed))
        feed = self.feed_of(market)
        terms, last = self.depth(market), self._sane(feed)
        kind = rng.random()
        if kind < 0.92:
            wide = rng.choice([0.001, 0.01, 0.05, 0.3])
            answer = max(int(last * (1 + rng.gauss(0, wide))), 1)
            age = 0 if rng.random() < 0.9 else rng.randrange(2 * terms.max_age + 1)
            return ["price", feed, answer, age]
        if kind < 0.96:
            step = 10**terms.feed_exponent
            bounds = [terms.min_price // step, terms.max_price // step]
            return ["price", feed, max(self.near(rng.choice(bounds)), 0), 0]
        answer, age = last, 0
        if rng.random() < 0.6:
            answer = rng.choice([0, 0, -1, -(2**255), 2**96, self.near(2**96), 2**255 - 1, 1])
        op: Op = ["price", feed, answer, age]
        if answer == last or rng.random() < 0.3:
            ages = [None, -1, terms.max_age, terms.max_age + 1, 10**9, -(2**64)]
            op = ["price", feed, answer, rng.choice(ages)]
        self.queue.append(op)
        if rng.random() < 0.5:
            self.queue.append(["poke", "keeper", market])
        return self.queue.pop()

    def price_at_margin(self) -> Op:
        """A price at which somebody is at his line, has hardly anything left, or owes."""
        holders = self.holders()
        if not holders:
            return self.price()
        rng, (account, market) = self.rng, self.rng.choice(holders)
        feed, who = self.feed_of(market), self.system.address(account)
        known = self.model.feeds[self.system.feeds[feed].address]
        kept = known.answer, known.updated_at, known.mode
        long = self.model.positions[who, market].size > 0
        terms = self.depth(market)
        step = 10**terms.feed_exponent
        low, high = terms.min_price // step + 1, (terms.max_price - 1) // step
        known.updated_at, known.mode = self.model.now, "ok"
        line = WAD if rng.random() < 0.6 else int(WAD * rng.uniform(0, 0.3))

        def unhealthy(answer: int) -> bool:
            known.answer = answer
            return (self.model.health(who) < line) == long

        answer = self.greatest(low, max(high, low) + 1, unhealthy)
        known.answer, known.updated_at, known.mode = kept
        if line < WAD and rng.random() < 0.5:
            answer = int(answer * (1 + rng.uniform(0, 0.3) * (-1 if long else 1)))
            if rng.random() < 0.5:
                return self.leave_before_a_loss(account, feed, max(answer, 1))
        self.queue.append(["price", feed, max(answer + rng.choice([-1, 0, 1, 1]), 1), 0])
        self.queue.append(["liquidate", rng.choice(["keeper", "mallory"]), account])
        return self.queue.pop()

    def leave_before_a_loss(self, account: str, feed: int, price: int) -> Op:
        """At a price at which an account owes somebody tells, and somebody leaves the pool."""
        shares, lenders = self.model.shares, ["lender", "bob", "mallory", STRANGER]
        holders = [name for name in lenders if shares.get(self.system.address(name))]
        holder = self.rng.choice(holders or lenders)
        self.queue.append(["price", feed, price, 0])
        self.queue.append(["request", holder, "all", holder, holder])
        self.queue.append(["report", "keeper", account])
        self.queue.append(["wait", self.model.cooldown, 1])
        for number, known in enumerate(self.system.feeds):
            last = price if number == feed else self.model.feeds[known.address].answer
            self.queue.append(["price", number, last, 0])
        return ["redeem", holder, "all", holder, holder]

    def crash(self) -> Op:
        """A price moves against somebody, past his margin, and somebody notices."""
        holders = self.holders()
        if not holders:
            return self.price()
        rng, (account, market) = self.rng, self.rng.choice(holders)
        feed = self.feed_of(market)
        long = self.model.positions[self.system.address(account), market].size > 0
        worst = rng.choice([0.03, 0.1, 0.5, 0.95])
        moved = rng.uniform(0, worst) * (-1 if long else 1)
        self.queue.append(["price", feed, max(int(self._sane(feed) * (1 + moved)), 1), 0])
        sick = rng.sample(TRADERS, 3)
        self.queue.append(
            ["liquidate_many", "keeper", [account, *sick]]
            if rng.random() < 0.3
            else ["liquidate", rng.choice(["keeper", "mallory", STRANGER]), account]
        )
        return self.queue.pop()

    def fault(self) -> Op:
        """A feed fails, or works again."""
        feed = self.rng.randrange(len(self.system.feeds))
        broken = [
            i for i, f in enumerate(self.system.feeds) if self.model.feeds[f.address].mode != "ok"
        ]
        if broken and self.rng.random() < 0.7:
            return ["fault", self.rng.choice(broken), "ok"]
        return ["fault", feed, self.rng.choice([*MODES])]

    def wait(self) -> Op:
        """Time passes, and usually the feeds keep up."""
        rng = self.rng
        seconds = rng.choice(
            [
                0,
                1,
                12,
                rng.randrange(60),
                rng.randrange(7200),
                rng.randrange(7200),
                rng.randrange(3 * DAY),
            ]
        )
        if rng.random() < 0.03:
            seconds = rng.randrange(rng.choice([100, 1000]) * DAY)
        op: Op = ["wait", seconds, rng.choice([0, 1, 1, 1]) if seconds == 0 else 1]
        self.queue.append(op)
        if seconds > 60 and rng.random() < 0.9:
            self._revive()
        return self.queue.pop()

    def _revive(self, only_dead: bool = False) -> None:
        """Fresh rounds of most feeds, and mostly a fresh NAV."""
        live = {
            terms.feed
            for market, (_, terms) in enumerate(self.model.listed)
            if self.model.leg(NOWHERE, market).status == LIVE
        } | {
            terms.feed
            for coin, terms in enumerate(self.model.collateral)
            if self.model.holding(NOWHERE, coin).status == LIVE
        }
        if only_dead and len(live) == len(self.system.feeds):
            return
        for i, feed in enumerate(self.system.feeds):
            known = self.model.feeds[feed.address]
            if only_dead and feed.address in live:
                continue
            if known.mode != "ok" and self.rng.random() < 0.8:
                self.queue.append(["fault", i, "ok"])
            if self.rng.random() < 0.95:
                # Half of the rounds say what the last one said.
                drift = self.rng.gauss(0, 0.005) if self.rng.random() < 0.5 else 0.0
                answer = self._sane(i)
                moved = max(int(answer * (1 + drift)), 1) if drift else answer
                self.queue.append(["price", i, moved, 0])
        if self.rng.random() < 0.8 and not only_dead:
            self.queue.append(["refresh", "keeper"])

    def wait_until(self) -> Op:
        """To a second at which something changes, or one beside it."""
        model = self.model
        moments = [model.book.known_at + NAV_MAX_AGE]
        for market in range(len(model.listed)):
            terms = self.depth(market)
            feed = model.feeds.get(terms.feed)
            if feed:
                moments.append(feed.updated_at + terms.max_age)
        for coin in model.tokens.values():
            feed = model.feeds.get(token_terms_of(coin.words).feed)
            moments += [coin.state.seen_at + DAY, token_terms_of(coin.words).settle_at]
            moments += [feed.updated_at + token_terms_of(coin.words).max_age] if feed else []
        moments += [*model.paused_until.values(), *model.settles_at.values()]
        moments += [ramp.walked_at + STEP for ramp in model.ramps.values()]
        moments += [model.calm_from + wait for wait in (-GRACE, 0, BETWEEN_FREEZES)]
        for request in model.requests.values():
            moments += [request.claimable_at, request.claimable_at + CLAIM_WINDOW]
        ahead = [m - model.now for m in moments if model.now < m < model.now + 30 * DAY]
        if not ahead:
            return self.wait()
        return ["wait", max(self.near(self.rng.choice(ahead)), 0), 1]

    # -------------------------------------------------------------- the pool

    def report(self) -> Op:
        """Anybody tells what somebody could not pay."""
        accounts = [self.trader(), self.rng.choice(EVERYBODY)]
        if self.model.losses and self.rng.random() < 0.5:  # what was reported may be over
            accounts.append(self.system.labels[self.rng.choice(list(self.model.losses))])
        return ["report", self.rng.choice(["keeper", "lender"]), self.rng.choice(accounts)]

    def uptime(self) -> Op:
        """The sequencer goes down or comes back; its feed fails, now and then."""
        rng = self.rng
        if rng.random() < 0.2:
            return ["uptime_fault", rng.choice([*MODES, "ok", "ok", "ok"])]
        if rng.random() < 0.2:
            self.queue.append(["uptime", 1, 0])
            self.queue.append(["wait", rng.choice([1, 60, 7_200]), 1])
        age = rng.choice([0, self.near(self.model.sequencer.grace), 2 * DAY])
        return ["uptime", rng.choice([0, 0, 0, 1]), max(age, 0)]

    def refresh(self) -> Op:
        """Anybody refreshes the NAV."""
        return ["refresh", self.rng.choice(["keeper", STRANGER, "lender"])]

    def lp(self) -> str:
        """Who holds, or would hold, shares."""
        return self.rng.choice(["lender", "lender", "bob", "mallory", STRANGER])

    def pool_in(self) -> Op:
        """A deposit into the pool."""
        rng, sender = self.rng, self.lp()
        receiver = rng.choice(EVERYBODY) if rng.random() < 0.1 else sender
        has = self.model.balance(self.model.settings.quote, self.system.address(sender))
        assets = rng.choice(
            [
                0,
                1,
                has,
                log_uniform(rng, 1, 10_000_000 * self.raw),
                log_uniform(rng, 1, 10_000_000 * self.raw),
                log_uniform(rng, 1, 2**100 // self.model.settings.unit),
            ]
        )
        if assets > has and rng.random() < 0.9:
            self.queue.append(["mint", sender, assets - has])
        if rng.random() < 0.6:
            least = 0
            if rng.random() < 0.2 and self.model.valuation().nav >= 0:
                least = max(self.near(self._bought(assets)), 0)
            self.queue.append(["pool_deposit", sender, assets, receiver, least])
        else:
            shares = self._bought(assets)
            if rng.random() < 0.1:
                shares = rng.choice([0, 1, shares + 1, 2**255])
            self.queue.append(["pool_mint", sender, shares, receiver])
        return self.queue.pop()

    def _bought(self, assets: int) -> int:
        try:
            return self.model.preview_deposit(assets)
        except Refused:
            return 10**6

    def pool_out(self) -> Op:
        """A request, a claim, or a request taken back."""
        rng, model = self.rng, self.model
        labels = self.system.labels
        kind = rng.random()
        waiting = [labels[a] for a in model.requests]
        if kind < 0.4 or not waiting:
            holder = self.lp()
            has = model.shares.get(self.system.address(holder), 0)
            shares: Any = rng.choice(
                [
                    "all",
                    has // 2,
                    log_uniform(rng, 1, max(has, 1)),
                    log_uniform(rng, 1, max(has, 1)),
                ]
            )
            if rng.random() < 0.05:
                shares = rng.choice([0, 1, has + 1, 2**256 - 1])
            sender = holder if rng.random() < 0.9 else self.lp()
            controller = sender if rng.random() < 0.9 else self.lp()
            return ["request", sender, shares, controller, holder]
        controller = rng.choice(waiting)
        sender = controller if rng.random() < 0.95 else self.lp()
        receiver = controller if rng.random() < 0.9 else rng.choice(EVERYBODY)
        request = model.requests[self.system.address(controller)]
        lapsed = model.now > request.claimable_at + CLAIM_WINDOW
        if kind < 0.45 or (lapsed and rng.random() < 0.5):
            return ["cancel", sender, receiver, controller]
        if lapsed and rng.random() < 0.6:
            return ["request", controller, "all", controller, controller]
        if model.now < request.claimable_at and rng.random() < 0.8:
            self.queue.append(["wait", request.claimable_at - model.now, 1])
            self._revive()
        part: Any
        if kind < 0.75:
            part = rng.choice(
                [
                    "all",
                    request.shares,
                    log_uniform(rng, 1, request.shares),
                    self.near(request.shares),
                    1,
                ]
            )
            self.queue.append(["redeem", sender, part, receiver, controller])
        else:
            most = max(request.worth // model.settings.unit, 1)
            part = rng.choice(["all", most, log_uniform(rng, 1, most), self.near(most + 1), 0])
            self.queue.append(["pool_withdraw", sender, part, receiver, controller])
        return self.queue.pop()

    def pool_rights(self) -> Op:
        """Operators, allowances and transfers of shares."""
        rng, one, other = self.rng, self.lp(), self.lp()
        has = self.model.shares.get(self.system.address(one), 0)
        amount = log_uniform(rng, 1, max(has, 1))
        to = other if rng.random() < 0.8 else rng.choice(["pool", "zero", "fund"])
        ops: list[Op] = [
            ["operator", one, other, rng.random() < 0.7],
            ["share", one, to, rng.choice(["all", amount, has + 1, 0])],
            ["share_approve", one, other, rng.choice([0, amount, has, MAX_UINT])],
            ["share_from", other, one, to, rng.choice([amount, has, has + 1])],
        ]
        return rng.choice(ops)

    # -------------------------------------------------------------- terms

    def configure(self) -> Op:
        """The owner changes a market's terms; most changes are harmless, some are refused."""
        rng, market = self.rng, self.market()
        like = market if market < len(self.system.setup.markets) else 0
        base = self.system.setup.markets[like].terms
        changes: dict[str, Any] = {}
        for _ in range(rng.choice([1, 1, 2, 3])):
            name = rng.choice([f for f in Terms._fields if f != "feed"])
            if name == "reduce_only":
                changes[name] = rng.random() < 0.5
                continue
            now = base[name]
            changes[name] = rng.choice(
                [0, 1, now // 2, now * 9 // 10, now + 1, now * 11 // 10, now * 2, 2**20, 2**96]
            )
            if name == "reward":
                changes[name] -= changes[name] % slots.REWARD_UNIT
        if rng.random() < 0.3:
            changes = {}
        if rng.random() < 0.1:
            changes["feed"] = rng.choice([*range(len(self.system.feeds)), "alice", "zero"])
        elif market < len(self.model.listed) and rng.random() < 0.3:
            changes |= self._kept(market)
            if self.model.leg(NOWHERE, market).status != LIVE and rng.random() < 0.8:
                decimals = self.system.setup.markets[like].decimals
                self.queue.append(["feed", decimals, self._sane(self.feed_of(market))])
                changes = {**self._kept(market), "feed": len(self.system.feeds)}
        elif market < len(self.model.listed) and rng.random() < 0.1:  # a step up, and nothing else
            changes = self._kept(market)
            name = rng.choice(["im_ppm", "mm_ppm", "liquidation_fee_ppm", "reward"])
            changes[name] += slots.REWARD_UNIT if name == "reward" else 1
        sender = "owner" if rng.random() < 0.97 else "mallory"
        if rng.random() < 0.1:
            name = rng.choice(["", "M0", f"N{len(self.model.listed)}", "x" * 32])
            if len(self.model.listed) < 40:
                return ["list", sender, name, like, changes]
        self.queue.append(["configure", sender, market, like, changes])
        return self.queue.pop()

    def _kept(self, market: int) -> dict[str, Any]:
        """A market's terms as they are, but for the feed."""
        terms = self.model.listed[market][1]._asdict()
        del terms["feed"]
        return terms

    def ramp(self) -> Op:
        """The owner begins a ramp: mostly one that the rules allow, so that it can be walked."""
        rng, market = self.rng, self.market()
        like = market if market < len(self.system.setup.markets) else 0
        changes: dict[str, Any] = dict(self.system.setup.markets[like].terms)
        if market < len(self.model.listed):
            changes = {**self._kept(market), "feed": self.feed_of(market)}
        fee, mm = changes["liquidation_fee_ppm"], changes["mm_ppm"]
        if rng.random() < 0.7:
            more = rng.choice([0, 1, 100, 5_000])
            fee = min(fee + rng.choice([0, 0, 1, more]), 100_000)
            mm += more + rng.choice([0, 0, 1, 100])
            im = max(changes["im_ppm"] + rng.choice([0, 0, 1, 1_000]), ceil_div(3 * mm, 2))
            changes |= {"liquidation_fee_ppm": fee, "mm_ppm": mm, "im_ppm": im}
            if rng.random() < 0.3:
                part = rng.choice([-1, 1]) * changes["skew_scale"] // rng.choice([10, 100, 10**4])
                changes["skew_scale"] += part
            if rng.random() < 0.3:
                changes["reward"] = rng.choice([0, 1, 500, 501, 10**5]) * slots.REWARD_UNIT
        else:
            name = rng.choice(["im_ppm", "mm_ppm", "liquidation_fee_ppm", "reward", "skew_scale"])
            now = changes[name]
            changes[name] = rng.choice([0, now // 2, now - 1 if now else 0, now + 1, 2 * now])
            if name == "reward":
                changes[name] -= changes[name] % slots.REWARD_UNIT
        if rng.random() < 0.2:
            name = rng.choice(["max_skew", "max_open_interest", "taker_fee_ppm", "reduce_only"])
            changes[name] = rng.choice([0, changes[name] // 2, changes[name] * 2])
            changes["reduce_only"] = bool(changes["reduce_only"])
        if rng.random() < 0.1:
            name = rng.choice(["max_age", "min_price", "max_price", "feed"])
            changes[name] = rng.choice([0, 1, 10**12])
            if name == "feed":
                changes[name] = rng.choice(["alice", 0])
        duration = rng.choice([MIN_NOTICE, MIN_NOTICE, rng.randint(MIN_NOTICE, MAX_NOTICE)])
        if rng.random() < 0.15:
            duration = self.near(rng.choice([MIN_NOTICE, MAX_NOTICE, 1, MAX_UINT - 1]))
        sender = "owner" if rng.random() < 0.97 else "mallory"
        return ["ramp", sender, market, like, changes, max(duration, 0)]

    def walk(self) -> Op:
        """Anybody walks a ramp, mostly after a while."""
        rng = self.rng
        ramps = [*self.model.ramps]
        market = rng.choice(ramps) if ramps and rng.random() < 0.95 else self.market()
        if ramps and rng.random() < 0.6:
            self.queue.append(["wait", rng.choice([1, 60, 3_599, 3_600, 3_601, 7_200, DAY]), 1])
            if rng.random() < 0.5:
                self._revive()
        self.queue.append(["walk", rng.choice([*WALLETS, STRANGER]), market])
        return self.queue.pop()

    def walk_to_the_end(self) -> Op:
        """An hour at a time, for days."""
        ramps = {m: r for m, r in self.model.ramps.items() if r.duration <= 4 * DAY}
        if not ramps:
            return self.walk()
        market = self.rng.choice([*ramps])
        left = ramps[market].duration - ramps[market].progress
        for _ in range(ceil_div(left, STEP)):
            self.queue.append(["wait", STEP, 1])
            self.queue.append(["walk", "keeper", market])
        self._revive()
        return ["walk", "keeper", market]

    def guard(self) -> Op:
        """The guardian, or the owner, lowers risk; or somebody would raise it."""
        rng, market = self.rng, self.market()
        guardian = self.system.labels.get(self.model.guardian, "zero")
        if rng.random() < (0.6 if guardian == "zero" else 0.05):
            sender = rng.choice(["owner", "owner", "owner", "mallory"])
            return ["guardian", sender, rng.choice(["keeper", "bob", "zero"])]
        who = rng.choice([guardian, "owner"]) if rng.random() < 0.95 else STRANGER
        who = "owner" if who == "zero" else who
        if rng.random() < 0.3:
            duration = rng.choice([1, 60, 3_600, DAY, 7 * DAY, self.near(7 * DAY), 0, MAX_UINT])
            return ["pause", who, market, duration]
        if rng.random() < 0.2:
            frozen = self.model.calm_from > self.model.now + GRACE
            if rng.random() < (0.6 if frozen else 0.1):
                return ["unfreeze", who]
            duration = rng.choice([1, 60, 3_600, DAY, self.near(DAY), 0, MAX_UINT])
            return ["freeze", who, duration]
        if self.system.coins and rng.random() < 0.3:
            coin = rng.choice([*range(len(self.model.collateral)), len(self.model.collateral)])
            cap = self.model.collateral[min(coin, len(self.model.collateral) - 1)].cap
            return ["restrict_coin", who, coin, rng.choice([cap, cap * 9 // 10, cap + 1])]
        terms = self.model.listed[min(market, len(self.model.listed) - 1)][1]
        caps = [terms.max_skew, terms.max_open_interest]
        kind = rng.random()
        if kind < 0.6:
            caps = [cap * 9 // 10 for cap in caps]
        elif kind < 0.8:
            caps = [max(self.near(cap), 0) for cap in caps]
        only = terms.reduce_only or rng.random() < 0.1
        return ["restrict", who, market, *caps, only if rng.random() < 0.95 else False]

    def delist(self) -> Op:
        """The owner gives notice of a market's settlement."""
        left = [m for m in range(len(self.model.listed)) if m not in self.model.settles_at]
        if len(left) < 2 and self.rng.random() < 0.8:
            return self.guard()  # without a market there is little to see
        duration = self.rng.choice([MIN_NOTICE, MIN_NOTICE, 4 * DAY, self.near(MIN_NOTICE)])
        if self.rng.random() < 0.1:
            duration = self.rng.choice([0, self.near(MAX_NOTICE), MAX_UINT])
        sender = "owner" if self.rng.random() < 0.9 else "mallory"
        return ["delist", sender, self.market(), duration]

    def settle_market(self) -> Op:
        """Anybody settles a market, mostly when its time has come."""
        market, sender = self.market(), self.rng.choice([*WALLETS, STRANGER])
        settled = [m for m, at in self.model.settles_at.items() if at <= self.model.now]
        if settled and self.rng.random() < 0.3:
            return ["settle_market", sender, self.rng.choice(settled)]
        waiting = [m for m, at in self.model.settles_at.items() if at > self.model.now]
        if waiting:
            market = self.rng.choice(waiting)
            wait = self.model.settles_at[market] - self.model.now
            self.queue.append(["wait", max(self.near(wait), 0), 1])
            if self.rng.random() < 0.7:
                self._revive()
        self.queue.append(["settle_market", sender, market])
        return self.queue.pop()

    def intrude(self) -> Op:
        """Calls that are not the caller's to make."""
        rng, sender = self.rng, self.rng.choice([*WALLETS, STRANGER])
        market = rng.randrange(len(self.model.listed))
        words = list(self.model.markets[market].words)
        ops: list[Op] = [
            ["set_nav", sender, rng.choice([0, -(2**255), 2**255 - 1])],
            ["set_terms", sender, market, words],
            ["withdraw", sender, "pool", "token", 1, sender],
            ["withdraw", sender, "fund", "token", 1, sender],
            ["deposit", sender, "pool", "token", 1],
            ["trade", sender, "pool", market, WAD],
            ["trade", sender, "fund", market, WAD],
            ["mint", rng.choice(["fund", "pool"]), log_uniform(rng, 1, 10**6 * self.raw)],
        ]
        return rng.choice(ops)
