"""The venue as a Hypothesis state machine, for people: to try an idea, add a rule.

A rule is one thing that somebody may do. `do` runs it on contracts and model, compares what it came
to, and checks every property of `plimsoll.fuzz.properties`; refusals are as welcome as successes. A
rule of yours, in full:

    @rule(who=TRADERS, market=MARKETS)
    def close(self, who: str, market: int) -> None:
        self.do("trade", who, who, market, "all")

and an invariant of yours:

    @invariant()
    def keeper_is_not_in_debt(self) -> None:
        assert self.header("keeper").cash >= 0

The seeded lists of ``tests/differential`` find faults sooner; these are easier to read and to steer.
"""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from plimsoll import slots
from plimsoll.fuzz.ops import big_coin, free_coin, small_coin
from plimsoll.fuzz.run import compare_state, step
from plimsoll.fuzz.system import Setup, System
from plimsoll.slots import WAD

RAW = 10**6
COINS = [big_coin(), small_coin(), free_coin()]

TRADERS = st.sampled_from(["alice", "bob", "mallory"])
ANYBODY = st.sampled_from(["alice", "bob", "mallory", "keeper", "stranger"])
MARKETS = st.integers(0, len(COINS) - 1)
SIDES = st.sampled_from([-1, 1])
# From dust to fortunes, every magnitude alike.
AMOUNTS = st.builds(
    lambda digits, zeros: digits * 10**zeros, st.integers(1, 99), st.integers(0, 12)
)
SIZES = st.builds(lambda digits, zeros: digits * 10**zeros, st.integers(1, 99), st.integers(9, 22))


class Venue(RuleBasedStateMachine):
    """Three coins, three traders, a keeper, a lender to the pool, and time."""

    @initialize(rich=st.booleans())
    def open_the_doors(self, rich: bool) -> None:
        pool = 10_000_000 if rich else 50_000
        self.system = System.build(Setup(COINS, pool_cash=pool))

    def do(self, *op: Any) -> None:
        """Run an operation on both sides; whatever differs or does not hold is an error."""
        step(self.system, list(op), watch=True)

    def header(self, who: str) -> slots.Header:
        """An account, as the contract has it."""
        return slots.unpack_header(
            self.system.clearinghouse.view("header", self.system.address(who))
        )

    # -------------------------------------------------------------- what traders do

    @rule(who=TRADERS, amount=AMOUNTS)
    def deposit(self, who: str, amount: int) -> None:
        self.do("mint", who, amount)
        self.do("deposit", who, who, "token", amount)

    @rule(who=TRADERS, amount=AMOUNTS)
    def withdraw(self, who: str, amount: int) -> None:
        self.do("withdraw", who, who, "token", amount, who)

    @rule(who=TRADERS)
    def withdraw_everything(self, who: str) -> None:
        self.do("withdraw", who, who, "token", "all", who)

    @rule(who=TRADERS, market=MARKETS, size=SIZES, side=SIDES)
    def trade(self, who: str, market: int, size: int, side: int) -> None:
        self.do("trade", who, who, market, side * size)

    @rule(who=TRADERS, market=MARKETS, side=SIDES, part=st.integers(1, 99))
    def trade_with_all_he_has(self, who: str, market: int, side: int, part: int) -> None:
        cash = max(self.header(who).cash, 0)
        price = self.system.clearinghouse.view("leg", self.system.address(who), market)[5]
        self.do("trade", who, who, market, side * (10 * cash * part // 100 * WAD // max(price, 1)))

    @rule(who=TRADERS, market=MARKETS)
    def close(self, who: str, market: int) -> None:
        self.do("trade", who, who, market, "all")

    # -------------------------------------------------------------- what anybody does

    @rule(keeper=ANYBODY, who=TRADERS)
    def liquidate(self, keeper: str, who: str) -> None:
        self.do("liquidate", keeper, who)

    @rule(who=ANYBODY, market=MARKETS)
    def poke(self, who: str, market: int) -> None:
        self.do("poke", who, market)

    @rule(who=ANYBODY)
    def refresh(self, who: str) -> None:
        self.do("refresh", who)

    # -------------------------------------------------------------- what lenders do

    @rule(who=st.sampled_from(["lender", "mallory"]), amount=AMOUNTS)
    def lend(self, who: str, amount: int) -> None:
        self.do("mint", who, amount)
        self.do("pool_deposit", who, amount, who)

    @rule(who=st.sampled_from(["lender", "mallory"]))
    def ask_back(self, who: str) -> None:
        self.do("request", who, "all", who, who)

    @rule(who=st.sampled_from(["lender", "mallory"]))
    def claim(self, who: str) -> None:
        self.do("redeem", who, "all", who, who)

    # -------------------------------------------------------------- what the world does

    @rule(market=MARKETS, move=st.integers(-60, 60))
    def price(self, market: int, move: int) -> None:
        now = self.system.model.feeds[self.system.feeds[market].address].answer
        self.do("price", market, max(now * (100 + move) // 100, 1))

    @rule(seconds=st.sampled_from([1, 60, 3_600, 86_400, 200_000]), fresh=st.booleans())
    def wait(self, seconds: int, fresh: bool) -> None:
        self.do("wait", seconds)
        for market, feed in enumerate(self.system.feeds if fresh else []):
            self.do("price", market, self.system.model.feeds[feed.address].answer)

    @rule(market=MARKETS, mode=st.sampled_from(["ok", "revert", "burn", "short"]))
    def feed_fails(self, market: int, mode: str) -> None:
        self.do("fault", market, mode)

    # -------------------------------------------------------------- what always holds

    @invariant()
    def contracts_are_the_model(self) -> None:
        compare_state(self.system)


TestVenue = Venue.TestCase
TestVenue.settings = settings(
    max_examples=20,
    stateful_step_count=50,
    deadline=None,
    derandomize=True,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow],
)
