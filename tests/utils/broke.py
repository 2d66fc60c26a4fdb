"""A pool that can be brought to any line by a price, for the tests of the last resort."""

from __future__ import annotations

from typing import Any

from plimsoll.model import Candidate, Plan
from plimsoll.slots import WAD
from tests.utils.backed import PRICE, Backed

MAX = 2**256 - 1
HOUR = 3_600
# Terms for tests whose figures hang on them.
FREE = {"low_slope_ppm": 0, "high_slope_ppm": 0}
HAIRCUT = {
    "scale": 50_000_000 * WAD // 3_000,
    "discount_ppm": 50_000,
    "premium_ppm": 20_000,
    "maintenance_weight_ppm": 900_000,
    "initial_weight_ppm": 850_000,
}
EDGE = {  # of what terms allow
    "skew_scale": 2_500 * WAD,
    "max_skew": 500 * WAD,
    "max_open_interest": 500 * WAD,
    "im_ppm": 330_000,
    "mm_ppm": 220_000,
    "taker_fee_ppm": 500,
    "spread_ppm": 1_000,
}


def close(figure: int, told: int) -> bool:
    """Whether a figure [WAD quote] is the one that is told [quote]."""
    return abs(figure - told * WAD) < 2 * WAD


class Broke(Backed):
    """Two markets without fee or funding against a pool of a million, long 490 each but for who is named.

    At 3,000 the pool has about a million; above 4,838 its health is below 1, above 5,042 its equity
    is below zero.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        fields = {"pool_cash": 1_000_000, "max_pool_leverage_ppm": 10**9, "coins": [], **options}
        super().__init__(*args, **fields)

    def long(self, account: str, size: float, cash: int, market: int = 0) -> None:
        """Cash [quote] for an account, and a position [base]; below zero is short."""
        self.fund(account, cash)
        self.do("trade", account.partition(".")[0], account, market, round(size * 10**6) * 10**12)

    def crowd(self) -> None:
        """Alice is long 390 with 400,000, bob 100 with 40,000."""
        self.long("alice", 390, 400_000)
        self.long("bob", 100, 40_000)

    def margin(self) -> tuple[int, int]:
        """The pool's equity and maintenance [WAD quote]."""
        equity, maintenance = self.system.backstop.view("pool_margin")
        return int(equity), int(maintenance)

    def plan(self, account: str, market: int = 0) -> Plan:
        """What a deleveraging would do."""
        return Plan(*self.system.backstop.view("preview_deleverage", self.at(account), market))

    def why(self, account: str, market: int = 0) -> str:
        """Why it would be refused."""
        return self.plan(account, market).why.to_bytes(32, "big").strip(b"\0").decode()

    def rank(self, *accounts: str, market: int = 0) -> list[Candidate]:
        """Who may be deleveraged, in order."""
        who = [self.at(a) for a in accounts]
        return [Candidate(*c) for c in self.system.backstop.view("rank", market, who)]

    def size(self, account: str, market: int = 0) -> int:
        """[WAD base]"""
        return int(self.house.view("leg", self.at(account), market)[3])

    def skew(self, market: int = 0) -> int:
        """[WAD base]"""
        return int(self.house.view("leg", self.at("zero"), market)[10])

    def leave(self, who: str = "lender") -> int:
        """What a claim of all that it may pays [WAD quote]."""
        before = self.purse(who)
        shares = self.pool.view("maxRedeem", self.at(who))
        if shares:
            self.do("redeem", who, shares, who, who)
        return (self.purse(who) - before) * (WAD // self.raw)

    def state(self) -> int:
        """Of the settlement."""
        return int(self.system.backstop.view("state"))

    def share(self) -> int:
        """What the Clearinghouse pays of a claim [WAD] plus one; 0: all."""
        return int(self.house.view("globals")[3])

    def settled(self, price: float = 6_000) -> None:
        """The crowd wins more than the pool has, and all is settled and closed."""
        self.crowd()
        self.market_price(price)
        self.do("declare", "keeper")
        self.wait(HOUR)
        self.do("settle_markets", "keeper", [0, 1])
        self.do("close_settled", "keeper", 0, ["alice", "bob"])


__all__ = ["EDGE", "FREE", "HAIRCUT", "HOUR", "MAX", "PRICE", "WAD", "Broke", "close"]
