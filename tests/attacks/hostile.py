"""A token that calls back, and every call of every contract for it to try.

`HostileToken` is itself the sender of what it does in the middle of a transfer. `Hostile` gives it
accounts, shares, a ripe claim and somebody to liquidate, so that whatever is refused in the middle
is refused for being in the middle: outside, the same call goes through.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

from plimsoll.chain import address_of, compiled
from plimsoll.table import Table, default_table
from plimsoll.units import PPM, WAD
from tests.attacks.venue import DAY, MAX_UINT, Puppet, Venue, encode

SOURCE = Path(__file__).with_name("HostileToken.vy")
MILLION = 10**6
VIEWS = ("view", "pure")
CONTRACTS = ("Clearinghouse", "LiquidityPool", "Configurator", "CollateralAuction", "Lens")


class Answer(NamedTuple):
    """What a call of the token's gave."""

    success: bool
    digest: bytes


class Carrier(NamedTuple):
    """A call that moves tokens, and which of its transfers is the one to interrupt."""

    name: str
    call: tuple[Any, ...]
    skip: int
    late: bool
    house: bool  # whether the Clearinghouse is at work in the middle of it
    pool: bool  # whether the pool is


def a_few_markets() -> Table:
    """A young pool: two markets, and a lot of room."""
    return default_table().only("ETH", "SOL").with_collateral()


class Hostile:
    """A venue that settles in a hostile token, which is rich; and the attacker's puppet, as rich."""

    def __init__(self, venue: Venue) -> None:
        self.venue, self.token = venue, venue.odd
        self.me = address_of(self.token)
        self.puppet = Puppet(venue)
        v, mine = venue, (self.me, self.puppet.address)
        boss = v.attacker
        for who in mine:
            v.send(self.token, "mint", who, v.system.raw(4 * MILLION), sender=boss)
            v.fund(who, MILLION)
        # Somebody who cannot be saved, for whoever wants to liquidate.
        v.client.deposit(1_000, signer=v.victim)
        v.client.trade("SOL", 45, signer=v.victim, slippage=None)
        v.prices(SOL=130)
        spenders = (v.house, v.pool, v.token)
        self.act(*((v.token, "approve", address_of(c), MAX_UINT) for c in spenders))
        self.act((v.pool, "approve", self.me, MAX_UINT))
        self.puppet.approve()
        raw, half = v.system.raw(2 * MILLION), v.system.raw(MILLION) * 10**6
        for who, act in zip(mine, (self.act, self.puppet.act), strict=True):
            act((v.pool, "deposit", raw, who, 0), (v.pool, "requestRedeem", half, who, who))
        v.wait(DAY)

    # -------------------------------------------------------------- acting

    def act(self, *calls: tuple[Any, ...]) -> None:
        """What the token does as anyone may."""
        self.venue.send(self.token, "act", encoded(calls), sender=self.venue.attacker)

    def inside(self, carrier: Carrier, calls: dict[str, tuple[Any, ...]]) -> dict[str, Answer]:
        """What calls give in the middle of a carrier."""
        (answers,) = self._rounds(carrier, calls, [carrier.call])
        return answers

    def around(
        self, carrier: Carrier, views: dict[str, tuple[Any, ...]]
    ) -> dict[str, tuple[Answer, Answer, Answer]]:
        """What views give just before a carrier, in the middle of it, and just after: in one block."""
        look = (self.token, "look")
        rounds = self._rounds(carrier, views, [look, carrier.call, look])
        assert len(rounds) == 3, carrier.name
        before, middle, after = rounds
        return {name: (before[name], middle[name], after[name]) for name in views}

    def _rounds(
        self, carrier: Carrier, calls: dict[str, tuple[Any, ...]], acts: list[tuple[Any, ...]]
    ) -> list[dict[str, Answer]]:
        v = self.venue
        arguments = (encoded(calls.values()), carrier.skip, carrier.late)
        v.send(self.token, "arm", *arguments, sender=v.attacker)
        first = int(v.view(self.token, "rounds"))
        self.puppet.act(*acts)
        last = int(v.view(self.token, "rounds"))
        return [
            dict(zip(calls, self.answers(number), strict=True)) for number in range(first, last)
        ]

    def answers(self, number: int) -> list[Answer]:
        """A round's answers."""
        found = self.venue.view(self.token, "answers", number)
        return [Answer(bool(a.success), bytes(a.digest)) for a in found]

    # -------------------------------------------------------------- what there is to call

    def carriers(self) -> list[Carrier]:
        """Everything that moves tokens, at each of its transfers, before and after the balances."""
        v, me = self.venue, self.puppet.address
        quote, raw = address_of(v.token), v.system.raw(1_000)
        moves = [
            ("deposit", (v.house, "deposit", me, quote, raw), 0, True, False),
            ("withdraw", (v.house, "withdraw", me, quote, raw, me), 0, True, False),
            ("pool.deposit, pull", (v.pool, "deposit", raw, me, 0), 0, False, True),
            ("pool.deposit, pay in", (v.pool, "deposit", raw, me, 0), 1, True, True),
            ("pool.mint, pull", (v.pool, "mint", raw, me, MAX_UINT), 0, False, True),
            ("pool.mint, pay in", (v.pool, "mint", raw, me, MAX_UINT), 1, True, True),
            ("pool.redeem", (v.pool, "redeem", raw * 10**6, me, me, 0), 0, True, True),
            ("pool.withdraw", (v.pool, "withdraw", raw, me, me, MAX_UINT), 0, True, True),
        ]
        return [
            Carrier(f"{name}, {'late' if late else 'early'}", call, skip, late, house, pool)
            for name, call, skip, house, pool in moves
            for late in (False, True)
        ]

    def calls(self, name: str, views: bool) -> dict[str, tuple[Any, ...]]:
        """Each function of a contract, with arguments for it, by name; or each view.

        Fails if the contract has one that has no arguments here.
        """
        contract = {
            "Clearinghouse": self.venue.house,
            "LiquidityPool": self.venue.pool,
            "Configurator": self.venue.configurator,
            "CollateralAuction": self.venue.system.auction,
            "Lens": self.venue.system.lens,
        }[name]
        known = self.arguments(name)
        abi = [e for e in compiled(name).abi if e["type"] == "function"]
        wanted = {e["name"] for e in abi if (e["stateMutability"] in VIEWS) == views}
        every = {e["name"] for e in abi}
        assert every == set(known), f"{name}: {sorted(every ^ set(known))}"
        return {function: (contract, function, *known[function]) for function in sorted(wanted)}

    def arguments(self, name: str) -> dict[str, tuple[Any, ...]]:
        """What each function of a contract is called with, by the token."""
        v, me = self.venue, self.me
        quote, victim = address_of(v.token), address_of(v.victim)
        raw, share = v.system.raw(10), v.system.raw(10) * 10**6
        words = (0, 0, 0)
        terms = tuple(v.terms("ETH"))
        backing = (address_of(v.system.feeds["ETH"]), 3_600, 10**18, 10**22, 0, 0, 10**24, 0)
        backing = (*backing, 0, 0, 7_200, False)
        credit = (0, 0, 0, 0, 0, PPM, 0, 0, tuple(range(16)))
        zero = b"\0" * 32
        if name == "Clearinghouse":
            return {
                "deposit": (me, quote, raw),
                "withdraw": (me, quote, raw, me),
                "trade": (me, 0, WAD, MAX_UINT),
                "liquidate": (victim,),
                "liquidate_many": ([victim],),
                "poke": (0,),
                "set_terms": (0, words),
                "set_nav": (0,),
                "set_calm": (0,),
                "set_share": (0,),
                "is_calm": (),
                "health": (victim,),
                "header": (address_of(v.pool),),
                "leg": (victim, 1),
                "market_words": (1,),
                "settings": (),
                "globals": (),
                "deposit_with_permit": (me, quote, raw, MAX_UINT, 27, zero, zero),
                "convert_collateral": (victim,),
                "settle": (victim,),
                "set_token": (0, quote, words),
                "set_credit": (0, 0),
                "poke_token": (quote,),
                "backing": (victim,),
                "credit": (),
                "holding": (victim, 0),
                "token_words": (0,),
            }
        if name == "LiquidityPool":
            return {
                "deposit": (raw, me, 0),
                "mint": (share, me, MAX_UINT),
                "requestRedeem": (share, me, me),
                "cancelRequest": (me, me),
                "redeem": (share, me, me, 0),
                "withdraw": (raw, me, me, MAX_UINT),
                "setOperator": (victim, True),
                "refresh": (),
                "report": (victim,),
                "reported_loss": (victim,),
                "reported_losses": (),
                "doubtful": (),
                "transfer": (victim, 1),
                "transferFrom": (me, victim, 1),
                "approve": (victim, 1),
                "permit": (victim, me, 1, MAX_UINT, 27, zero, zero),
                **dict.fromkeys(
                    ("asset", "totalAssets", "valuation", "clearinghouse", "cooldown", "share"), ()
                ),
                **dict.fromkeys(("name", "symbol", "decimals", "totalSupply"), ()),
                **dict.fromkeys(("DOMAIN_SEPARATOR", "eip712Domain"), ()),
                **dict.fromkeys(("convertToShares", "previewDeposit"), (raw,)),
                **dict.fromkeys(("convertToAssets", "previewMint"), (share,)),
                **dict.fromkeys(("previewRedeem", "previewWithdraw"), (1,)),
                **dict.fromkeys(("maxDeposit", "maxMint", "maxRedeem", "maxWithdraw"), (me,)),
                **dict.fromkeys(("balanceOf", "nonces", "request_of"), (me,)),
                **dict.fromkeys(("pendingRedeemRequest", "claimableRedeemRequest"), (0, me)),
                **dict.fromkeys(("isOperator", "allowance"), (me, victim)),
                "supportsInterface": (b"\1\xff\xc9\xa7",),
            }
        if name == "Configurator":
            return {
                "list_market": ("AGAIN", terms),
                "configure_market": (0, terms),
                "ramp_market": (0, terms, 259_200),
                "delist_market": (0, 259_200),
                "pause_market": (0, 1),
                "restrict_market": (0, 0, 0, True),
                "restrict_collateral": (0, 0),
                "set_guardian": (me,),
                "freeze": (1,),
                "unfreeze": (),
                **dict.fromkeys(("guardian", "calm_from"), ()),
                **dict.fromkeys(("walk_ramp", "settle_market"), (0,)),
                **dict.fromkeys(("ramp", "paused_until", "settles_at"), (0,)),
                "transfer_ownership": (me,),
                "accept_ownership": (),
                **dict.fromkeys(("owner", "pending_owner", "market_count"), ()),
                **dict.fromkeys(("clearinghouse", "keeper_share_ppm"), ()),
                **dict.fromkeys(("market_name", "terms"), (0,)),
                "list_collateral": (quote, backing),
                "configure_collateral": (0, backing),
                "configure_credit": (credit,),
                **dict.fromkeys(("collateral_count", "credit_terms"), ()),
                **dict.fromkeys(("collateral_token", "collateral_terms"), (0,)),
            }
        if name == "CollateralAuction":
            return {
                "open": (0, 1, 0, 0, me),
                "buy_collateral": (0, 1, MAX_UINT, me),
                "tick": (0,),
                "write_off": (0,),
                "cost_of": (0, 1, 0),
                "lot": (0,),
                "open_lots": (0,),
                **dict.fromkeys(("clearinghouse", "lot_count", "owed_to_pool", "worth"), ()),
            }
        return {
            "account": (victim,),
            "healths": ([victim],),
            "liquidatable": ([victim], 0, 1),
            "preview_trade": (me, 0, WAD, MAX_UINT),
            "market": (1,),
            "markets": (0, 2),
            "pool": (),
            "price_status_text": (0,),
            "clearinghouse": (),
            "margin_call_line": (),
        }


def encoded(calls: Iterable[tuple[Any, ...]]) -> list[tuple[str, bytes]]:
    """``(contract, method, *arguments)`` as the token takes them."""
    return [(address_of(c), encode(c, method, *args)) for c, method, *args in calls]


def table_with(decimals: int, *markets: str, **changes: Any) -> Table:
    """Default markets that settle in a quote of so many decimals."""
    table = default_table().only(*(markets or ("ETH", "SOL"))).with_collateral()
    return replace(table, quote=replace(table.quote, decimals=decimals), **changes)
