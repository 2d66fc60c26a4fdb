"""A Lens and a CollateralLens beside a `System`, held to the model: every view, number by number.

A preview is compared with what the same call does to a copy of the model, and `run.step` compares
that with what the call does to the contracts: so a preview is the execution, to the wei.
"""

from __future__ import annotations

import contextlib
import functools
import random
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from plimsoll.events import BadDebt, FeePaid, Filled, Liquidated, LotOpened
from plimsoll.formulas import (
    LIVE,
    MAX_UINT,
    PPM,
    PRICE_REASONS,
    Refused,
    Value,
    accrue,
    ceil_div,
    equity,
    fill_price,
    floor_div,
    health,
    interest_rate,
    notional,
    only_reduces,
    opening_value,
    value,
    weight_now,
)
from plimsoll.fuzz.artifacts import Artifact, compile_contract
from plimsoll.fuzz.chain import new_chain
from plimsoll.fuzz.ops import Generator, random_setup
from plimsoll.fuzz.properties import Mismatch
from plimsoll.fuzz.run import Report, play
from plimsoll.fuzz.system import STRANGER, Op, Setup, System
from plimsoll.model import (
    MAX_MARKETS,
    NOWHERE,
    Leg,
    Market,
    Sum,
    exposed,
    terms_of,
    token_terms_of,
)
from plimsoll.rules import MAX_TOKENS
from plimsoll.slots import LOT, OPEN, SETTLED, WAD

LINE = 125 * 10**16  # [WAD] of a margin call
PAGE = 32
MANY = 8
DEEPEST = 2**95 - 1  # [WAD base] the greatest room that a market's view can show


class Imagined(NamedTuple):
    """What a call would come to, and what was asked of the state after it."""

    reason: str | None
    value: Any
    events: list[Any]
    after: Any


class Lens:
    """A Lens and a CollateralLens, and what each of their views must say."""

    def __init__(
        self,
        system: System,
        artifact: Artifact | None = None,
        line: int = LINE,
        collateral: Artifact | None = None,
    ) -> None:
        """Deploy both.

        Args:
            system: to look at.
            artifact: of a Lens; the repository's unless told.
            line: [WAD] the health below which it reports a margin call.
            collateral: of a CollateralLens; the repository's unless told.
        """
        artifact = artifact or compile_contract("Lens.vy")
        collateral = collateral or compile_contract("CollateralLens.vy")
        home = system.clearinghouse.address
        self.system, self.model, self.line = system, system.model, line
        self.contract = system.chain.deploy(artifact, home, line)
        self.collateral = system.chain.deploy(collateral, home)
        self.structs = _structs(artifact)
        self.structs |= {f"collateral {name}": x for name, x in _structs(collateral).items()}
        self.legs = _components(artifact, "account", "positions")
        self.holdings = _components(collateral, "account", "holdings")

    # -------------------------------------------------------------- while operations run

    def watch(self, operations: Iterable[Op], every: int = 20) -> Iterator[Op]:
        """Let operations through, and look before each of them.

        Trades and liquidations are previewed as they come; who is paid or liquidated is looked at.

        Args:
            operations: that somebody else runs, one after the other.
            every: so many operations, all views are checked; and after the last.

        Raises:
            Mismatch: if a view differs from the model.
        """
        for number, op in enumerate(operations, 1):
            if op[0] == "trade":
                self.check_trade(*self._trade(*op[2:]))
            elif op[0] == "withdraw":
                self.check_account(self.system.address(op[2]))
            elif op[0] in ("liquidate", "convert"):
                self.check_account(self.system.address(op[2]))
                self.check_liquidation(self.system.address(op[2]))
                self.check_conversion(self.system.address(op[2]))
                self.check_lists(self.system.accounts())
            if number % every == 0:
                self.check_views()
            yield op
        self.check_views()

    def _trade(
        self, account: str, market: int, delta: int | str, limit: int | None = None
    ) -> tuple[str, int, int, int]:
        """The arguments of the call that an operation makes."""
        who = self.system.address(account)
        position = self.model.positions.get((who, market))
        size = int(delta) if delta != "all" else -position.size if position else 0
        return who, market, size, limit if limit is not None else MAX_UINT if size > 0 else 0

    def check_views(self) -> None:
        """Every view, of every account, and of every market unless there are very many.

        Raises:
            Mismatch: at the first difference.
        """
        accounts = self.system.accounts()
        for account in accounts:
            self.check_account(account)
            self.check_backing(account)
            self.check_liquidation(account)
            self.check_conversion(account)
        settings = self.model.settings
        for account in (NOWHERE, self.model.address, settings.pool, settings.auction):
            self.check_trade(account, 0, LOT, MAX_UINT)
        self.check_lists(accounts)
        count = len(self.model.listed)
        for market in range(count) if count <= MANY else (0, 1, count - 1):
            self.check_market(market)
        self.check_pages()
        self.check_pool()
        self.check_tokens()
        self.check_credit()
        self.check_rest()

    # -------------------------------------------------------------- helpers

    def _same(self, view: str, about: Any, real: Any, ideal: Any) -> None:
        if real != ideal:
            raise Mismatch(f"lens {view}", f"{about}: {real!r} is not {ideal!r}")

    def _must(self, condition: bool, view: str, about: Any) -> None:
        if not condition:
            raise Mismatch(f"lens {view}", f"{about}")

    def _named(self, view: str, said: Any) -> dict[str, Any]:
        """The struct that a view returned, by name."""
        return dict(zip(self.structs[view], said, strict=True))

    def _fields(self, view: str, *args: Any) -> dict[str, Any]:
        """What a view that returns a struct says, by name."""
        return self._named(view, self.contract.view(view, *args))

    def _collateral_fields(self, view: str, *args: Any) -> dict[str, Any]:
        """The same, of the CollateralLens."""
        return self._named(f"collateral {view}", self.collateral.view(view, *args))

    def _compare(self, view: str, about: Any, real: dict[str, Any], ideal: dict[str, Any]) -> None:
        for name, expected in ideal.items():
            self._same(f"{view}.{name}", about, real[name], expected)

    def _imagine(self, then: Callable[[], Any], method: str, *args: Any) -> Imagined:
        """A call on the model that leaves no trace."""
        model = self.model
        saved, seen = model.save(), len(model.events)
        try:
            result = getattr(model, method)(*args)
            events = [event for _, event in model.events[seen:]]
            return Imagined(None, result, events, then())
        except Refused as refused:
            return Imagined(refused.reason, None, [], None)
        finally:
            model.load(saved)

    @contextlib.contextmanager
    def _posted(self, account: str) -> Iterator[int]:
        """The model as it is once the interest of `account` is posted, and that interest."""
        saved, interest = self.model.save(), self.model.interest_of(account)
        self.model._post(account)
        try:
            yield interest
        finally:
            self.model.load(saved)

    def _debts_of(self, account: str) -> dict[str, int]:
        """What an account owes and may owe; its interest is posted."""
        model = self.model
        if model._is_system(account):
            return {"debt": 0, "debt_limit": 0, "debt_room": 0}
        cash, terms, backing = (
            model.header_of(account).cash,
            model.credit_terms,
            model._backing(account),
        )
        debt, pnl = max(-cash, 0), self._sum_of(account).opening_pnl
        others = model.debts.total - debt
        share = backing.initial * terms.debt_ratio_ppm // PPM
        limit = min(share, max(terms.debt_cap - others, 0))
        counted = -cash - min(pnl, 0)
        past = model.past_caps(cash, pnl, backing.initial)
        self._must(past == (counted > limit), "debt", f"{account}: {counted}, {limit}")
        room = max(min(limit - counted, limit), 0)
        return {"debt": debt, "debt_limit": limit, "debt_room": room}

    def _seized(self, lots: tuple[tuple[Any, ...], ...]) -> dict[str, Any]:
        """What a preview says of the lots: of live tokens, the credit and who gives it; and all."""
        live = [lot for lot in lots if self.model.holding(NOWHERE, lot[0]).status == LIVE]
        return {
            "seized": sum(to_insurance + to_pool for _, _, to_insurance, to_pool, _ in live),
            "seized_from_insurance": sum(lot[2] for lot in live),
            "lots": lots,
        }

    def _lots(self, account: str, events: list[Any]) -> tuple[tuple[Any, ...], ...]:
        """The lots that were opened, as the previews tell them."""
        opened = [e for e in events if isinstance(e, LotOpened)]
        heirs = {self.model.address, account}
        self._must({e.surplus_to for e in opened} <= heirs, "lots", opened)
        return tuple(
            (e.token, e.amount, e.to_insurance, e.to_pool, e.surplus_to == account) for e in opened
        )

    def _legs_of(self, account: str) -> list[Leg]:
        bitmap = self.model.header_of(account).bitmap
        return [self.model.leg(account, m) for m in range(MAX_MARKETS) if bitmap >> m & 1]

    def _sum_of(self, account: str) -> Sum:
        return functools.reduce(self.model._plus, self._legs_of(account), Sum())

    def _worth(self, leg: Leg, price: int, index: int) -> Value:
        """A leg for maintenance at another price and index."""
        terms = terms_of(self.model.markets[leg.id].words)
        scale, reward = terms.skew_scale, terms.reward
        return value(leg.size, leg.basis, price, index, terms.mm_ppm, scale, reward)

    def _initial_of(self, leg: Leg) -> int:
        """What a leg asks for when opening and withdrawing."""
        terms, stable = terms_of(self.model.markets[leg.id].words), self.model.stable_price(leg)
        rest = leg.skew, terms.im_ppm, terms.skew_scale, terms.reward
        return opening_value(leg.size, 0, leg.price, stable, *rest).required

    # -------------------------------------------------------------- accounts

    def check_account(self, account: str) -> None:
        """``account``: its sums, its flags, its limits and each position.

        Raises:
            Mismatch: at the first difference.
        """
        with self._posted(account) as interest:
            self._check_account(account, interest)

    def _check_account(self, account: str, interest: int) -> None:
        model, name = self.model, self.system.labels.get(account)
        view = self._fields("account", account)
        legs, total, cash = self._legs_of(account), self._sum_of(account), view["cash"]
        backing, debts = model._backing(account), self._debts_of(account)
        weight = model.settings.profit_weight_ppm
        worth = cash + total.pnl + backing.maintenance
        carried = sum(notional(leg.size, leg.price) for leg in legs)
        system, calm = model._is_system(account), model.is_calm()
        self._compare(
            "account",
            name,
            view,
            {
                "cash": model.header_of(account).cash,
                "interest": interest,
                "pnl": total.pnl,
                "collateral_maintenance": backing.maintenance,
                "collateral_initial": backing.initial,
                "collateral_credit": backing.credit,
                "equity": worth,
                "opening_equity": equity(cash, total.opening_pnl, weight) + backing.initial,
                "withdrawing_equity": equity(cash, total.opening_pnl, 0) + backing.initial,
                "initial": total.initial,
                "maintenance": total.maintenance,
                "notional": carried,
                "health": model.health(account),
                "leverage": _leverage(carried, worth),
                **debts,
                "margin_call": not system and model.health(account) < self.line,
                "liquidatable": not system and calm and worth < total.maintenance,
                "has_dead_leg": total.dead,
            },
        )
        closed = system or total.dead
        self._check_withdrawable(account, view["withdrawable"], closed)
        power = 0
        past_caps = model.past_caps(cash, total.opening_pnl, backing.initial)
        if calm and not (closed or past_caps):
            power = max(view["opening_equity"] - total.initial, 0) * PPM // self._lowest_initial()
        self._same("account.buying_power", name, view["buying_power"], power)
        self._same("account.positions", name, len(view["positions"]), len(legs))
        for leg, position in zip(legs, view["positions"], strict=True):
            self._check_position(account, leg, dict(zip(self.legs, position, strict=True)))

    def _check_withdrawable(
        self, account: str, amount: int, closed: bool, token: str | None = None
    ) -> None:
        """It can be withdrawn, and not a unit more."""
        token, receiver = token or self.model.settings.quote, self.system.names[STRANGER]
        about = f"{self.system.labels.get(account)}: {amount} of {self.system.labels.get(token)}"
        if closed:
            self._same("withdrawable", about, amount, 0)
            return
        least = 1
        if self.model.share > 1 and token == self.model.settings.quote:
            # A claim of less is not refused for being too much, but for bringing nothing.
            least = ceil_div(WAD, self.model.share - 1)
        for raw, passes in ((amount, True), (max(amount + 1, least), False)):
            if raw:
                call = self._imagine(
                    lambda: None, "withdraw", account, account, token, raw, receiver
                )
                self._must((call.reason is None) == passes, "withdrawable", about)

    def check_backing(self, account: str) -> None:
        """``account`` of the CollateralLens: cash, debt, and each token that stands behind it.

        Raises:
            Mismatch: at the first difference.
        """
        with self._posted(account) as interest:
            self._check_backing(account, interest)

    def _check_backing(self, account: str, interest: int) -> None:
        model, name = self.model, self.system.labels.get(account)
        view = self._collateral_fields("account", account)
        backing = model._backing(account)
        self._compare(
            "backing",
            name,
            view,
            {
                "cash": model.header_of(account).cash,
                "interest": interest,
                **self._debts_of(account),
                "maintenance": backing.maintenance,
                "initial": backing.initial,
                "credit": backing.credit,
            },
        )
        held = [i for i in range(MAX_TOKENS) if model._token_bits(account) >> i & 1]
        found = [dict(zip(self.holdings, told, strict=True)) for told in view["holdings"]]
        self._same("backing.holdings", name, [told["id"] for told in found], held)
        # Without positions and debt no price bars a withdrawal, with either a dead leg does.
        dead = self._sum_of(account).dead
        for told in found:
            holding = model.holding(account, told["id"])
            token = model.tokens[holding.id].address
            self._compare(
                "holding",
                f"{name}, {holding.id}",
                told,
                {
                    "token": token,
                    "balance": holding.own,
                    "price": holding.price,
                    "price_status": holding.status,
                    "stable_price": holding.stable,
                    "worth": holding.own * holding.unit * holding.price // WAD,
                    "maintenance": holding.maintenance,
                    "initial": holding.initial,
                    "credit": holding.credit if holding.status == LIVE else 0,
                },
            )
            closed = model._is_system(account) or dead
            self._check_withdrawable(account, told["withdrawable"], closed, token)

    def _lowest_initial(self) -> int:
        terms = [terms_of(self.model.markets[m].words) for m in range(len(self.model.listed))]
        opening = [t for t in terms if t.status == OPEN and t.paused_until <= self.model.now]
        lowest = min((t.im_ppm for t in opening), default=MAX_UINT)
        return max(lowest, 1)

    def _check_position(self, account: str, leg: Leg, view: dict[str, Any]) -> None:
        about = f"{self.system.labels.get(account)} in {leg.id}"
        worth = self._worth(leg, leg.price, leg.funding_index)
        self._compare(
            "position",
            about,
            view,
            {
                "market": leg.id,
                "name": self.model.listed[leg.id][0],
                "size": leg.size,
                "basis": leg.basis,
                "mark_price": leg.price,
                "price_status": leg.status,
                "stable_price": self.model.stable_price(leg),
                "notional": notional(leg.size, leg.price),
                "pnl": worth.pnl,
                "rate": leg.rate,
                "initial": self._initial_of(leg),
                "maintenance": worth.required,
            },
        )
        # The first price at which it does not lose, counted from where it does.
        even, step = view["break_even_price"], 1 if leg.size > 0 else -1
        gains = [self._worth(leg, p, leg.funding_index).pnl >= 0 for p in (even, even - step)]
        self._same("position.break_even_price", about, gains, [True, False])
        self._check_liquidation_price(account, leg, view["liquidation_price"])

    def _check_liquidation_price(self, account: str, leg: Leg, price: int) -> None:
        """There the account can be liquidated, and a wei nearer to today's price it cannot."""
        about = f"{self.system.labels.get(account)} in {leg.id}: {price}"
        stored = self.model.markets[leg.id]
        terms, elapsed = terms_of(stored.words), self.model.now - stored.b.touched_at
        total, cash = self._sum_of(account), self.model.header_of(account).cash
        cash += self.model._backing(account).maintenance
        now = self._worth(leg, leg.price, leg.funding_index)

        def room(at: int) -> int:
            index = leg.funding_index
            if elapsed:
                index, _ = accrue(
                    stored.b.funding_index,
                    stored.b.rate,
                    leg.skew,
                    terms.skew_scale,
                    terms.max_velocity_ppm,
                    terms.max_rate_ppm,
                    terms.max_price,
                    at,
                    elapsed,
                )
            then = self._worth(leg, at, index)
            others = cash + total.pnl - now.pnl - total.maintenance + now.required
            return others + then.pnl - then.required

        if room(leg.price) < 0:
            self._same("liquidation price", about, price, leg.price)
        elif price == 0:
            ends = room(terms.min_price + 1), room(terms.max_price - 1)
            self._must(min(ends) >= 0, "liquidation price", f"{about}, room {ends}")
        else:
            nearer = price + (1 if price < leg.price else -1)
            rooms = room(price), room(nearer)
            self._must(rooms[0] < 0 <= rooms[1], "liquidation price", f"{about}, room {rooms}")
            least, most = terms.min_price + 1, terms.max_price - 1
            inside = min(least, leg.price) <= price <= max(most, leg.price)
            self._must(inside, "liquidation price", f"{about}, bounds {least} to {most}")

    def check_lists(self, accounts: list[str]) -> None:
        """``healths`` and ``liquidatable``, whole and in parts.

        Raises:
            Mismatch: at the first difference.
        """
        model, count = self.model, len(accounts)
        healths = [model.health(a) for a in accounts]
        self._same("healths", count, list(self.contract.view("healths", accounts)), healths)
        self._same("healths", 0, self.contract.view("healths", []), ())
        sick = {
            a
            for a, now in zip(accounts, healths, strict=True)
            if now < WAD and not model._is_system(a) and model.is_calm()
        }
        keeper = self.system.names[STRANGER]
        called = {
            a
            for a in accounts
            if self._imagine(lambda: None, "convert_collateral", keeper, a).reason is None
        }
        parts = [(0, count), (0, MAX_UINT), (1, 2), (count - 1, 5), (count, 1), (MAX_UINT, 1)]
        for start, length in (*parts, (0, 0)):
            expected = [a for a in accounts[start : start + length] if a in sick]
            found = self.contract.view("liquidatable", accounts, start, length)
            self._same("liquidatable", (start, length), list(found), expected)
            expected = [a for a in accounts[start : start + length] if a in called]
            found = self.collateral.view("convertible", accounts, start, length)
            self._same("convertible", (start, length), list(found), expected)
        self._same("liquidatable", "nobody", self.contract.view("liquidatable", [], 0, 1), ())
        self._same("convertible", "nobody", self.collateral.view("convertible", [], 0, 1), ())

    # -------------------------------------------------------------- previews

    def check_trade(self, account: str, market: int, delta: int, limit: int) -> None:
        """``preview_trade``, against the trade itself.

        Raises:
            Mismatch: at the first difference.
        """
        model = self.model
        about = f"{self.system.labels.get(account)}, {market}, {delta}, {limit}"
        total, tokens = self._sum_of(account), model._backing(account)
        cash = model.header_of(account).cash - model.interest_of(account)

        def then() -> tuple[int, Sum, Leg]:
            leg = model.leg(account, market)
            if leg.size and call.ok:
                price = self._named("preview_trade", call.value)["liquidation_price_after"]
                self._check_liquidation_price(account, leg, price)
            # The margin check is before the stable price is stored, which cuts it off a bit.
            legs = [x for x in self._legs_of(account) if x.id != market]
            legs.append(leg._replace(state_b=state_b))
            total = functools.reduce(model._plus, legs, Sum())
            return model.header_of(account).cash, total, leg

        state_b = model.leg(account, market).state_b if market in model.markets else 0
        call = self.contract.call("preview_trade", account, market, delta, limit)
        if account in (NOWHERE, model.address):  # of which nobody is the owner
            trade = Imagined("account: not yours", None, [], None)
        else:
            trade = self._imagine(then, "trade", account, account, market, delta, limit)
        if call.reason is not None:  # some number has no place in a word: the trade's neither
            self._same("preview_trade", about, call.reason, trade.reason)
            return
        view = self._named("preview_trade", call.value)
        self._compare(
            "preview_trade",
            about,
            view,
            {
                "reason": trade.reason or "",
                "allowed": trade.reason is None,
                "equity_before": cash + total.pnl + tokens.maintenance,
                "health_before": model.health(account),
            },
        )
        if trade.reason is not None:
            return
        fee = next(e.fee for e in trade.events if isinstance(e, FeePaid))
        left, legs, leg = trade.after
        before = model.positions.get((account, market))
        worth, weight = left + legs.pnl + tokens.maintenance, model.settings.profit_weight_ppm
        self._compare(
            "preview_trade",
            about,
            view,
            {
                "reduces": only_reduces(before.size if before else 0, delta),
                "price": trade.value,
                "fee": fee,
                "size_after": leg.size,
                "cash_after": left,
                "equity_after": worth,
                "opening_equity_after": equity(left, legs.opening_pnl, weight) + tokens.initial,
                "initial_after": legs.initial,
                "maintenance_after": legs.maintenance,
                "health_after": health(worth, legs.maintenance),
            },
        )
        if leg.size == 0:
            self._same("preview_trade", about, view["liquidation_price_after"], 0)

    def check_liquidation(self, account: str) -> None:
        """``preview_liquidation``, against the liquidation itself.

        Raises:
            Mismatch: at the first difference.
        """
        model, about = self.model, self.system.labels.get(account)
        total, worth = self._sum_of(account), self._equity(account)
        view = self._collateral_fields("preview_liquidation", account)
        spent = model.topped_up[1] if model.topped_up[0] == model.block_number else 0
        call = self._imagine(
            lambda: (model.header_of(account), model.topped_up),
            "liquidate",
            self.system.names[STRANGER],
            account,
        )
        expected: dict[str, Any] = dict.fromkeys(view, 0)
        expected |= {"liquidatable": call.reason is None, "equity": worth}
        expected |= {"maintenance": total.maintenance, "lots": ()}
        if call.reason is None:
            header, (block, paid) = call.after
            bill = next(e for e in call.events if isinstance(e, Liquidated))
            debts = [e for e in call.events if isinstance(e, BadDebt)]
            lots = self._lots(account, call.events)
            expected |= {
                "closed": sum(isinstance(e, Filled) for e in call.events),
                "left_open": header.bitmap.bit_count(),
                "notional": bill.notional,
                "charged": bill.charged,
                "reward": call.value,
                "top_up": paid - spent if block == model.block_number else 0,
                "remaining": header.cash,
                "debt_to_insurance": sum(e.from_insurance for e in debts),
                "debt_to_pool": sum(e.from_pool for e in debts),
                **self._seized(lots),
            }
        self._compare("preview_liquidation", about, view, expected)

    def check_conversion(self, account: str) -> None:
        """``preview_conversion``, against the conversion itself.

        Raises:
            Mismatch: at the first difference.
        """
        model, about = self.model, self.system.labels.get(account)
        view = self._collateral_fields("preview_conversion", account)
        keeper = self.system.names[STRANGER]
        call = self._imagine(
            lambda: model.header_of(account).cash, "convert_collateral", keeper, account
        )
        with self._posted(account):
            debts = self._debts_of(account)
        expected: dict[str, Any] = dict.fromkeys(view, 0)
        expected |= {"called": call.reason is None, "equity": self._equity(account), "lots": ()}
        expected |= {"maintenance": self._sum_of(account).maintenance, "debt": debts["debt"]}
        expected |= {"debt_room": debts["debt_room"]}
        if call.reason is None:
            bill = next(e for e in call.events if isinstance(e, Liquidated))
            lots = self._lots(account, call.events)
            expected |= {
                "covered": min(debts["debt"], model.credit_terms.conversion_bound * WAD),
                "charged": bill.charged,
                "reward": call.value,
                "remaining": call.after,
                **self._seized(lots),
            }
            self._same("preview_conversion.seized", about, view["seized"], bill.notional)
        self._compare("preview_conversion", about, view, expected)

    def _equity(self, account: str) -> int:
        """What maintenance looks at, interest that is not posted taken off."""
        model = self.model
        cash = model.header_of(account).cash - model.interest_of(account)
        return cash + self._sum_of(account).pnl + model._backing(account).maintenance

    # -------------------------------------------------------------- markets and the pool

    def check_market(self, market: int) -> None:
        """``market``: price, quotes, funding, open interest and what the caps leave.

        Raises:
            Mismatch: at the first difference.
        """
        model = self.model
        view = self._fields("market", market)
        stored, leg = model.markets[market], model.leg(NOWHERE, market)
        terms = terms_of(stored.words)
        extra = terms.spread_ppm + leg.surge_ppm
        name, readable = model.listed[market]
        long = max(leg.lots * LOT, leg.skew)
        self._compare(
            "market",
            market,
            view,
            {
                "market": market,
                "name": name,
                "terms": tuple(readable),
                "price": leg.price,
                "price_status": leg.status,
                "stable_price": model.stable_price(leg),
                "settled": terms.status == SETTLED,
                "paused_until": self._coming(terms.paused_until),
                "ask": fill_price(leg.price, leg.skew, 1, terms.skew_scale, extra),
                "bid": fill_price(leg.price, leg.skew, -1, terms.skew_scale, extra),
                "index": leg.funding_index,
                "rate": leg.rate,
                "skew": leg.skew,
                "long_open_interest": long,
                "short_open_interest": long - leg.skew,
                "exposure": exposed(leg.lots, leg.skew, leg.last_price),
                "last_price": stored.a.last_price,
                "touched_at": stored.b.touched_at,
                "surge_ppm": leg.surge_ppm,
            },
        )
        for sign, side in ((1, "buy"), (-1, "sell")):
            self._check_room(leg, stored, sign, view[f"room_to_{side}"])

    def _check_room(self, leg: Leg, stored: Market, sign: int, room: int) -> None:
        """The caps let so much pass, and not a wei more."""
        terms, about = terms_of(stored.words), f"{leg.id}, {sign * room}"

        def passes(size: int) -> bool:
            lots = leg.lots + (size // LOT if sign > 0 else 0)
            after = leg._replace(skew=leg.skew + sign * size, lots=lots)
            try:
                self.model._check_caps(terms, leg, after)
            except Refused:
                return False
            return True

        if leg.status != LIVE or terms.status != OPEN or self.model.share:
            self._same("market.room", about, room, 0)
            return
        if room:
            self._must(room >= LOT and passes(room), "market.room", about)
        if room < DEEPEST:
            self._must(not passes(room + 1 if room else LOT), "market.room", about)

    def _coming(self, time: int) -> int:
        return time if time > self.model.now else 0

    def check_pages(self) -> None:
        """``markets``: pages of what ``market`` gives; neither knows a market that is not listed.

        Raises:
            Mismatch: at the first difference.
        """
        count = len(self.model.listed)
        last = max(count - 1, 0)
        for start, length in ((last, 2), (0, 0), (1, 1), (count, 1), (MAX_UINT, 1), (0, MAX_UINT)):
            if length > count > MANY:
                continue  # more gas than a block has on py-evm
            page = self.contract.view("markets", start, length)
            known = range(start, min(start + min(length, PAGE), count))
            self._same("markets", (start, length), [m[0] for m in page], list(known))
            for market in page[:1]:
                self._same("markets", start, market, self.contract.view("market", start))
        for unknown in (count, MAX_MARKETS, MAX_UINT):
            reason = self.contract.call("market", unknown).reason
            self._same("market", unknown, reason, "market: unknown")

    def check_pool(self) -> None:
        """``pool``: the pool, the insurance fund and what stands behind all accounts.

        Raises:
            Mismatch: at the first difference.
        """
        model, view = self.model, self._fields("pool")
        legs = [model.leg(NOWHERE, m) for m in range(len(model.listed))]
        cash = model.header_of(model.settings.pool).cash
        insurance = model.header_of(model.address).cash
        custody, book = model.custody * model.settings.unit, model.book
        self._compare(
            "pool",
            "",
            view,
            {
                "cash": cash,
                "pnl": sum(floor_div(-x.skew * (x.price - x.funding_index), WAD) for x in legs),
                "has_dead_market": any(x.skew and x.status != LIVE for x in legs),
                "exposure": book.exposure,
                "nav": book.nav,
                "nav_known_at": book.known_at,
                "leverage": _leverage(book.exposure, book.nav),
                "max_leverage": model.settings.max_pool_leverage_ppm * WAD // PPM,
                "insurance": insurance,
                "traders": custody - cash - insurance,
                "custody": model.custody,
                "custody_wad": custody,
                "balance": model.balance(model.settings.quote, model.address),
                "calm": model.is_calm(),
                "calm_from": self._coming(book.calm_from),
                "share": model.share,
                "outflow_left": model.outflow_left(),
            },
        )

    # -------------------------------------------------------------- tokens and debts

    def check_tokens(self) -> None:
        """``token`` and ``tokens``: terms, price, weights of now, what there is and what fits.

        Raises:
            Mismatch: at the first difference.
        """
        model, now = self.model, self.model.now
        count = len(model.collateral)
        page = self.collateral.view("tokens")
        self._same("tokens", count, len(page), count)
        for id, told in enumerate(page):
            self._same("token", id, told, self.collateral.view("token", id))
            token, holding = model.tokens[id], model.holding(model.settings.auction, id)
            terms, state = token_terms_of(token.words), token.state
            maintenance = terms.maintenance_ppm, terms.maintenance_before_ppm, terms.settle_at
            initial = terms.initial_ppm, terms.initial_before_ppm, terms.settle_at
            opened = holding.status == LIVE and terms.status == OPEN
            self._compare(
                "token",
                id,
                self._named("collateral token", told),
                {
                    "id": id,
                    "token": token.address,
                    "terms": tuple(model.collateral[id]),
                    "unit": holding.unit,
                    "price": holding.price,
                    "price_status": holding.status,
                    "stable_price": holding.stable,
                    "maintenance_weight_ppm": weight_now(*maintenance, now),
                    "initial_weight_ppm": weight_now(*initial, now),
                    "initial_depth_ppm": PPM
                    * terms.scale
                    // (terms.scale + state.total * holding.unit),
                    "settles_at": terms.settle_at if terms.settle_at > now else 0,
                    "last_price": state.last_price,
                    "seen_at": state.seen_at,
                    "is_dead": state.dead,
                    "total": state.total,
                    "for_sale": sum(lot.amount for lot in model.lots if lot.token == id),
                    "room": max(terms.cap - state.total, 0) if opened else 0,
                },
            )
        for unknown in (count, MAX_TOKENS, MAX_UINT):
            reason = self.collateral.call("token", unknown).reason
            self._same("token", unknown, reason, "ledger: unknown token")

    def check_credit(self) -> None:
        """``credit``: all debts, their cost, what may still be owed.

        Raises:
            Mismatch: at the first difference.
        """
        model, view = self.model, self._collateral_fields("credit")
        terms, debts = model.credit_terms, model.debts.total
        index = model.debt_index()
        self._compare(
            "credit",
            "",
            view,
            {
                "terms": tuple(terms),
                "debts": debts,
                "interest": max(ceil_div(model.scaled_debt * index, WAD) - debts, 0),
                "room": max(terms.debt_cap - debts, 0),
                "rate": interest_rate(terms, debts) // PPM,
                "index": index,
                "owed_by_lots": model.owed_to_pool(),
            },
        )

    def check_rest(self) -> None:
        """The text of each price status, and what was fixed at deployment.

        Raises:
            Mismatch: at the first difference.
        """
        texts = {LIVE: "live", **PRICE_REASONS}
        for status, text in texts.items():
            found = self.contract.view("price_status_text", status)
            self._same("price_status_text", status, found, text)
        self._same("clearinghouse", "", self.contract.view("clearinghouse"), self.model.address)
        home = self.collateral.view("clearinghouse")
        self._same("collateral clearinghouse", "", home, self.model.address)
        self._same("margin_call_line", "", self.contract.view("margin_call_line"), self.line)


def _structs(artifact: Artifact) -> dict[str, list[str]]:
    """The fields of what each view returns."""
    return {
        entry["name"]: [c["name"] for c in entry["outputs"][0].get("components", [])]
        for entry in artifact.abi
        if entry["type"] == "function"
    }


def _components(artifact: Artifact, view: str, field: str) -> list[str]:
    """The fields of a list inside what a view returns."""
    return [
        c["name"]
        for entry in artifact.abi
        if entry.get("name") == view
        for part in entry["outputs"][0]["components"]
        if part["name"] == field
        for c in part["components"]
    ]


def _leverage(amount: int, worth: int) -> int:
    if amount == 0:
        return 0
    return ceil_div(amount * WAD, worth) if worth > 0 else MAX_UINT


# ------------------------------------------------------------------ runs with a Lens in them


def watched(
    seed: int,
    count: int,
    every: int,
    artifact: Artifact | None = None,
    collateral: Artifact | None = None,
) -> Report:
    """The operations that `run.fuzz` draws for a seed, the lenses beside them.

    Args:
        seed: of the draw.
        count: of operations.
        every: so many operations, all views are checked.
        artifact: of a Lens; the repository's unless told.
        collateral: of a CollateralLens; the repository's unless told.
    """
    rng = random.Random(seed)
    setup = random_setup(rng)
    system = System.build(setup, chain=new_chain(setup.start))
    generator = Generator(rng, system)
    operations = (generator.next() for _ in range(count))
    watch = Lens(system, artifact, collateral=collateral).watch(operations, every)
    return play(system, watch, 10**9, Report(setup, []))


def replayed(
    setup: Setup,
    operations: list[Op],
    every: int,
    artifact: Artifact | None = None,
    collateral: Artifact | None = None,
) -> Report:
    """A written list of operations, the lenses beside it: see `watched`."""
    system = System.build(setup, chain=new_chain(setup.start))
    watch = Lens(system, artifact, collateral=collateral).watch(operations, every)
    return play(system, watch, 10**9, Report(setup, []))
