"""Draws what is about collateral: tokens to begin with, and operations on them.

Mixed into `plimsoll.fuzz.ops.Generator`, which draws everything else.
"""

from __future__ import annotations

import random
from collections import deque
from typing import Any

from plimsoll import slots
from plimsoll.formulas import DAY, LIVE, PPM
from plimsoll.fuzz.numbers import log_uniform
from plimsoll.fuzz.system import STRANGER, WALLETS, CoinSetup, Op, System
from plimsoll.model import NAV_MAX_AGE, NOWHERE, Model, token_terms_of
from plimsoll.rules import check_collateral
from plimsoll.slots import WAD, CollateralTerms

# ------------------------------------------------------------------ deployments


def _coin(price: int, decimals: int, **terms: int) -> CoinSetup:
    """A token with `price` [quote] and ordinary terms."""
    fields: dict[str, Any] = {
        "max_age": DAY,
        "min_price": price * WAD // 1000,
        "max_price": price * WAD * 100,
        "initial_weight_ppm": 800_000,
        "maintenance_weight_ppm": 850_000,
        "scale": 10_000_000 * WAD // price,
        "cap": 50_000_000 * 10**decimals // price,
        "discount_ppm": 80_000,
        "premium_ppm": 20_000,
        "duration": 7_200,
        "delisted": False,
    }
    return CoinSetup(price * 10**8, 8, decimals, {**fields, **terms})


def ether_coin() -> CoinSetup:
    """Ether-like: 18 decimals, at 3,000."""
    return _coin(3_000, 18)


def wild_coin(rng: random.Random) -> CoinSetup:
    """Anything that the rules allow, the corners more often than not."""
    decimals, feed_decimals = rng.choice([0, 2, 6, 8, 18]), rng.choice([0, 6, 8, 18])
    step = 10 ** (18 - feed_decimals)
    price = max(log_uniform(rng, 10**7, 2**80), step) // step * step
    exponent = max(len(str(price * 50)) - 7, 0)
    unit = 10**exponent
    most = min((2**96 - 1) // unit, 2**24 - 1)
    max_price = rng.randint(min(price // unit + 2, most), most) * unit
    whole = min(2**96 - 1, (2**100 - 1) * WAD // max_price)
    discount = rng.choice([0, 1, 50_000, 300_000])
    maintenance = rng.choice([0, 500_000, PPM - discount - 20_000])
    terms = {
        "max_age": rng.choice([60, 3600, DAY, 2**20 - 1]),
        "min_price": max(rng.randrange(0, max(price // unit, 1)) * unit, unit, 10**6),
        "max_price": max_price,
        "initial_weight_ppm": rng.choice([0, maintenance // 2, maintenance]),
        "maintenance_weight_ppm": maintenance,
        "scale": log_uniform(rng, 10**12, 2**96 - 1),
        "cap": whole // 10 ** (18 - decimals) // rng.choice([1, 2, 10**6]),
        "discount_ppm": discount,
        "premium_ppm": rng.choice([0, 1, 20_000, 300_000]),
        "duration": rng.choice([600, 7_200, 7 * DAY]),
        "delisted": False,
    }
    check_collateral(CollateralTerms(feed=NOWHERE, **terms), decimals, 20_000)
    return CoinSetup(price // step, feed_decimals, decimals, terms)


def random_coins(rng: random.Random) -> tuple[list[CoinSetup], dict[str, Any] | None]:
    """Collateral tokens to begin with, and what debt may be and costs; often none of it."""
    kind = rng.random()
    if kind < 0.3:
        return [], None
    # At a price of one and 18 decimals whatever is owed is a whole number of raw units.
    dollars = [_coin(1, decimals, scale=10**8 * WAD) for decimals in (6, 18)]
    ordinary = [ether_coin(), _coin(60_000, 8), *dollars]
    if kind < 0.7:
        coins = rng.sample(ordinary, rng.randint(1, 3))
    elif kind < 0.9:
        coins = [
            wild_coin(rng) if rng.random() < 0.6 else rng.choice(ordinary)
            for _ in range(rng.randint(1, 5))
        ]
    else:
        coins = [rng.choice(ordinary) for _ in range(16)]
    plain = rng.random() < 0.6
    order = rng.sample(range(16), 16)
    return coins, {
        "debt_cap": 1_000_000 * WAD if plain else rng.choice([0, 1, 10**22, 2**96 - 1]),
        "debt_ratio_ppm": 500_000 if plain else rng.choice([0, 1, 10_000, PPM]),
        "kink_ppm": 750_000 if plain else rng.choice([0, 1, PPM]),
        "low_slope_ppm": 30_000 if plain else rng.choice([0, 1, 10 * PPM]),
        "high_slope_ppm": 1_000_000 if plain else rng.choice([0, 1, 10 * PPM]),
        "call_line_ppm": 1_250_000 if plain else rng.choice([PPM, 3 * PPM]),
        "conversion_bound": 10_000 if plain else rng.choice([0, 1, 2**32 - 1]),
        "liquidation_fee_ppm": 20_000 if plain else rng.choice([0, 1, 20_000]),
        "order": order,
    }


# ------------------------------------------------------------------ operations


class CoinDraws:
    """The draws about collateral; `Generator` has the rest."""

    rng: random.Random
    system: System
    model: Model
    queue: deque[Op]

    def trader(self) -> str:
        """An account that trades."""
        raise NotImplementedError

    def owner_of(self, account: str) -> str:
        """The wallet of an account; now and then somebody else."""
        raise NotImplementedError

    def near(self, value: int) -> int:
        """`value`, or one beside it."""
        raise NotImplementedError

    def would(self, method: str, *args: Any) -> str | None:
        """Why the model would refuse a call; None if it would not."""
        raise NotImplementedError

    def greatest(self, low: int, high: int, passes: Any) -> int:
        """The greatest number in [low, high) that passes."""
        raise NotImplementedError

    def depth(self, market: int) -> slots.Unpacked:
        """A market's terms, as the clearinghouse holds them."""
        raise NotImplementedError

    def feed_of(self, market: int) -> int:
        """The number of a market's feed."""
        raise NotImplementedError

    def coin(self) -> int:
        """A token's number."""
        return self.rng.randrange(len(self.system.coins))

    def debtors(self) -> list[str]:
        """Who owes something."""
        pool, labels = self.model.settings.pool, self.system.labels
        return [labels[a] for a, h in self.model.headers.items() if h.cash < 0 and a != pool]

    def backed(self) -> list[tuple[str, int]]:
        """Who holds how much of what."""
        labels, auction = self.system.labels, self.model.settings.auction
        return [(labels[a], i) for (a, i), n in self.model.held.items() if n and a != auction]

    def feed_of_coin(self, coin: int) -> int:
        """The number of a token's feed."""
        feed = self.model.collateral[coin].feed
        return [f.address for f in self.system.feeds].index(feed)

    # -------------------------------------------------------------- in and out

    def coin_in(self) -> Op:
        """Somebody pays a token in; for a trade, or as much as fits."""
        rng, coin, account = self.rng, self.coin(), self.trader()
        wallet = account.partition(".")[0]
        sender = wallet if rng.random() < 0.9 else rng.choice([*WALLETS, STRANGER])
        terms, state = self.model.collateral[coin], self.model.tokens[coin].state
        price, unit = max(state.last_price, 1), self.model.holding(NOWHERE, coin).unit
        room = max(terms.cap - state.total, 0)
        worth = log_uniform(rng, WAD, 200_000 * WAD) * WAD // (price * unit)
        amount = rng.choice([worth, worth, worth, worth, self.near(room), 0, 1])
        amount = max(amount, 0)
        has = self.model.balance(self.system.coins[coin].address, self.system.address(sender))
        if amount > has and rng.random() < 0.95:
            self.queue.append(["mint", sender, amount - has, coin])
        if rng.random() < 0.05:
            account = rng.choice(["pool", "fund", "auction", "zero", "keeper"])
        self.queue.append(["deposit", sender, account, f"coin{coin}", amount])
        return self.queue.pop()

    def coin_out(self) -> Op:
        """Somebody takes a token out: some, all, or all that the margin lets go and one more."""
        backed = self.backed()
        if not backed:
            return self.coin_in()
        rng, (account, coin) = self.rng, self.rng.choice(backed)
        who, token = self.system.address(account), self.system.coins[coin].address
        owner = self.system.address(account.partition(".")[0])
        own = self.model.held[who, coin]
        amount: Any = rng.choice(["all", own + 1, log_uniform(rng, 1, own), 0])
        if rng.random() < 0.5:

            def passes(part: int) -> bool:
                return self.would("withdraw", owner, who, token, part, owner) is None

            amount = self.near(self.greatest(0, own + 1, passes))
        receiver = account if rng.random() < 0.9 else rng.choice(["fund", "zero", "pool", "bob"])
        sender = self.owner_of(account)
        amount = amount if amount == "all" else max(amount, 0)
        return ["withdraw", sender, account, f"coin{coin}", amount, receiver]

    # -------------------------------------------------------------- debt

    def convert(self) -> Op:
        """Anybody converts a debtor's collateral."""
        debtors = self.debtors()
        who = self.rng.choice(debtors) if debtors and self.rng.random() < 0.9 else self.trader()
        if debtors and self.rng.random() < 0.3:  # past his share of it, whatever his health
            lower = {"debt_ratio_ppm": self.rng.choice([0, 1, 10_000]), "call_line_ppm": PPM}
            base = self.system.setup.credit or {}
            self.queue.append(["configure_credit", "owner", {**base, **lower}])
            if self.rng.random() < 0.3:
                return ["convert", "keeper", who]
            # And back: under such terms nobody comes to owe anything.
            self.queue.append(["convert", "keeper", who])
            return ["configure_credit", "owner", base]
        return ["convert", self.rng.choice(["keeper", "mallory", STRANGER, "alice"]), who]

    def settle(self) -> Op:
        """Anybody settles an unrealised loss."""
        losers = [
            self.system.labels[a]
            for a, h in self.model.headers.items()
            if h.bitmap and self.model._value(a, h.bitmap).pnl < 0
        ]
        who = self.rng.choice(losers) if losers and self.rng.random() < 0.9 else self.trader()
        return ["settle", self.rng.choice(["keeper", "mallory", STRANGER]), who]

    def carries(self, account: str) -> tuple[bool, int]:
        """Whether an account has positions, and how much it could open with [WAD quote]."""
        who = self.system.address(account)
        header = self.model.header_of(who)
        return header.bitmap != 0, header.cash + self.model._backing(who).initial

    def overdraw(self) -> Op:
        """Tokens carry a trade whose loss the cash does not cover and they do: some are seized."""
        rng, model = self.rng, self.model
        alive = [m for m in range(len(model.listed)) if model.leg(NOWHERE, m).status == LIVE]
        weights = {i: token_terms_of(model.tokens[i].words) for i in range(len(self.system.coins))}
        coins = [
            i
            for i, terms in weights.items()
            if terms.initial_ppm and model.holding(NOWHERE, i).status == LIVE
        ]
        # Whoever has the least of a few: where there is much cash nothing is seized.
        account = min((self.trader() for _ in range(4)), key=self.carries)
        if self.carries(account)[0] or not alive or not coins:
            return self.coin_in()
        # Half of the time a token of which any worth is a whole number of units, if there is one.
        worths = {
            i: model.holding(NOWHERE, i).unit * model.holding(NOWHERE, i).price for i in coins
        }
        even = [i for i in coins if WAD % worths[i] == 0]
        market, coin = rng.choice(alive), rng.choice(even if even and rng.random() < 0.5 else coins)
        who, owner = self.system.address(account), account.partition(".")[0]
        if model.header_of(who).cash > 0:
            self.queue.append(["withdraw", owner, account, "token", "all", owner])
        # As much as the pool and the token's cap bear, on as many tokens as that takes.
        terms, book, weight = self.depth(market), model.book, weights[coin]
        price, holding = model.leg(NOWHERE, market).price, model.holding(who, coin)
        state, backing = model.tokens[coin].state, model._backing(who)
        room = book.nav * model.settings.max_pool_leverage_ppm // PPM - book.exposure
        fits = max(weight.cap - state.total, 0) * holding.unit * holding.price // WAD
        each_ppm = 3 * terms.im_ppm // 2 * (weight.scale + state.total * holding.unit)
        each_ppm = max(each_ppm // weight.scale * PPM // weight.initial_ppm, 1)
        most = min(room, terms.max_skew * price // WAD, fits * PPM // each_ppm)
        notional = int(max(most, 0) * rng.uniform(0.01, 0.8))
        if not notional:
            return self.coin_in()
        worth = notional * each_ppm // PPM
        amount = worth * WAD // (holding.price * holding.unit)
        cash = notional // 50 // model.settings.unit  # [raw] for what a fill costs
        self.queue.append(["mint", owner, cash])
        self.queue.append(["deposit", owner, account, "token", cash])
        self.queue.append(["mint", owner, amount, coin])
        self.queue.append(["deposit", owner, account, f"coin{coin}", amount])
        if model.now > book.known_at + NAV_MAX_AGE:
            self.queue.append(["refresh", STRANGER])
        size, sign = max(notional * WAD // price, slots.LOT), rng.choice([-1, 1])
        self.queue.append(["trade", owner, account, market, sign * size])
        # Below the line; or above it, where a conversion may be called.
        sick, cash = rng.random() < 0.8, cash * model.settings.unit
        line = cash + backing.maintenance + worth * weight.maintenance_ppm // PPM
        line -= notional * terms.mm_ppm // PPM
        end = cash + backing.credit + worth * holding.kept_ppm // PPM
        low, high = (line, end) if sick else (cash, line)
        loss = min(max(low + int((high - low) * rng.random()), 1), notional * 9 // 10)
        feed = self.feed_of(market)
        answer = model.feeds[self.system.feeds[feed].address].answer
        self.queue.append(["price", feed, max(answer - sign * (answer * loss // notional), 1), 0])
        keeper = rng.choice(["keeper", "mallory", STRANGER])
        if sick:
            return ["liquidate", keeper, account]
        self.queue.append(["settle", keeper, account])
        return ["convert", keeper, account]

    # -------------------------------------------------------------- the auction

    def buy(self) -> Op:
        """Somebody buys some of a lot; now and then what cannot be bought."""
        rng = self.rng
        open_lots = [lot for lot in self.model.lots if lot.amount]
        sender = rng.choice(["keeper", "mallory", "bob", STRANGER])
        if not open_lots or rng.random() < 0.05:
            lot = rng.randrange(len(self.model.lots) + 1)
            return ["buy", sender, lot, rng.choice([0, 1, "all"]), None, sender]
        lot_open = rng.choice(open_lots)
        amount: Any = rng.choice(
            ["all", "all", log_uniform(rng, 1, lot_open.amount), self.near(lot_open.amount), 1, 0]
        )
        raw = max(amount, 0) if isinstance(amount, int) else lot_open.amount
        most = None
        if self.would("tick", NOWHERE, lot_open.id) is None:
            cost = self.model.cost_of(lot_open.id, min(raw, lot_open.amount), 0)
            quote = self.model.settings.quote
            short = cost - self.model.balance(quote, self.system.address(sender))
            if short > 0 and rng.random() < 0.95:
                self.queue.append(["mint", sender, short])
            if rng.random() < 0.2:
                most = max(self.near(cost), 0)
        receiver = sender if rng.random() < 0.95 else rng.choice(["zero", "fund", "bob"])
        amount = amount if amount == "all" else raw
        self.queue.append(["buy", sender, lot_open.id, amount, most, receiver])
        return self.queue.pop()

    def tick(self) -> Op:
        """Anybody has a lot look at its feed, or thinks that it is lost."""
        if self.rng.random() < 0.3:
            return ["write_off", STRANGER, self.rng.randrange(len(self.model.lots) + 1)]
        return ["tick", STRANGER, self.rng.randrange(len(self.model.lots) + 1)]

    # -------------------------------------------------------------- prices and terms

    def poke_token(self) -> Op:
        """Anybody keeps a token's price, or reports its death."""
        token = f"coin{self.coin()}" if self.rng.random() < 0.98 else "token"
        return ["poke_token", self.rng.choice([*WALLETS, STRANGER]), token]

    def coin_price(self) -> Op:
        """A step of a token's price; sometimes one that is noticed."""
        rng, coin = self.rng, self.coin()
        feed = self.feed_of_coin(coin)
        terms, first = self.model.collateral[coin], self.system.first[feed]
        last = self.model.feeds[self.system.feeds[feed].address].answer
        if not first < 1000 * last < 10**5 * first:
            last = first
        wide = rng.choice([0.001, 0.01, 0.05, 0.3])
        answer = max(int(last * (1 + rng.gauss(0, wide))), 1)
        if rng.random() < 0.3:  # back at where it stood, a dollar at one
            answer = first
        age = 0 if rng.random() < 0.9 else rng.randrange(2 * terms.max_age)
        self.queue.append(["price", feed, answer, age])
        backed = self.backed()
        if backed and rng.random() < 0.4:
            self.queue.append(["liquidate", "keeper", rng.choice(backed)[0]])
        return self.queue.pop()

    def coin_price_at_margin(self) -> Op:
        """The price of a token at which somebody becomes liquidatable, or one beside it."""
        backed = self.backed()
        if not backed:
            return self.coin_price()
        account, coin = self.rng.choice(backed)
        feed, who = self.feed_of_coin(coin), self.system.address(account)
        known = self.model.feeds[self.system.feeds[feed].address]
        kept = known.answer, known.updated_at, known.mode
        known.updated_at, known.mode = self.model.now, "ok"

        def sick(answer: int) -> bool:
            known.answer = answer
            return self.model.health(who) < WAD

        answer = self.greatest(1, 100 * self.system.first[feed] + 2, sick)
        known.answer, known.updated_at, known.mode = kept
        self.queue.append(["price", feed, max(answer + self.rng.choice([-1, 0, 0, 1]), 1), 0])
        self.queue.append(["liquidate", self.rng.choice(["keeper", "mallory"]), account])
        return self.queue.pop()

    def configure_coin(self) -> Op:
        """The owner changes a token's terms: weights up and down, a delisting, what is refused."""
        rng, coin = self.rng, self.coin()
        like = min(coin, len(self.system.setup.coins) - 1)
        base = self.system.setup.coins[like].terms
        changes: dict[str, Any] = {}
        if rng.random() < 0.5:
            lower = rng.choice([0, 1, 500_000, 700_000])
            changes = {
                "initial_weight_ppm": min(lower, base["initial_weight_ppm"]),
                "maintenance_weight_ppm": min(lower + 1, base["maintenance_weight_ppm"]),
            }
        for _ in range(rng.choice([0, 0, 1, 2])):
            name = rng.choice([f for f in CollateralTerms._fields if f != "feed"])
            if name == "delisted":
                changes[name] = rng.random() < 0.5
                continue
            now = base[name]
            changes[name] = rng.choice([0, 1, now // 2, now + 1, now * 2, 2**20, 2**96])
        if rng.random() < 0.1:
            changes["feed"] = rng.choice([*range(len(self.system.feeds)), "alice", "zero"])
        elif self.model.holding(NOWHERE, coin).status != LIVE and rng.random() < 0.5:
            setup = self.system.setup.coins[like]
            self.queue.append(["feed", setup.feed_decimals, setup.price])
            changes["feed"] = len(self.system.feeds)
        sender = "owner" if rng.random() < 0.97 else "mallory"
        if rng.random() < 0.1:
            name = rng.choice(["token", "pool", f"coin{coin}", "zero"])
            self.queue.append(["list_coin", sender, name, like, changes])
        else:
            id = coin if rng.random() < 0.97 else rng.choice([len(self.system.coins), 16])
            self.queue.append(["configure_coin", sender, id, like, changes])
        return self.queue.pop()

    def configure_credit(self) -> Op:
        """The owner changes the terms of debt."""
        rng, base = self.rng, self.system.setup.credit or {}
        changes: dict[str, Any] = {"order": rng.sample(range(16), 16)}
        if rng.random() < 0.7:
            name = rng.choice([f for f in base if f != "order"])
            now = base[name]
            changes[name] = rng.choice([0, 1, now // 2, now + 1, now * 2, 2**20, 2**32, 2**96])
        if rng.random() < 0.1:
            changes["order"][0] = rng.choice([changes["order"][1], 16])
        sender = "owner" if rng.random() < 0.97 else "mallory"
        return ["configure_credit", sender, {**base, **changes}]

    def intrude_on_coins(self) -> Op:
        """Calls that are not the caller's to make."""
        sender, coin = self.rng.choice([*WALLETS, STRANGER]), self.coin()
        words = list(self.model.tokens[coin].words)
        ops: list[Op] = [
            ["set_token", sender, coin, f"coin{coin}", words],
            ["set_credit", sender, 0, 0],
            ["open_lot", sender, coin, 1, 0, 0, sender],
            ["withdraw", sender, "auction", f"coin{coin}", 1, sender],
            ["deposit", sender, "auction", "token", 1],
            ["liquidate", sender, "auction"],
            ["convert", sender, "auction"],
            ["mint", "fund", 10, coin],
        ]
        return self.rng.choice(ops)
