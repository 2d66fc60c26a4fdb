"""Random steps of one attacker against the pool, on the fast engine: he is never richer (79, 5).

Everything of his is counted: tokens, cash of two accounts, positions closed at the end, shares
claimed. One price all along, so that what he gains others lose. A second run moves prices, and then
no entry or exit may lower what a share is worth to those who stay. Each preview and each `max` is
tried out. At last a pool of a few wei, told its numbers by a puppet: there every rounding shows.
"""

from __future__ import annotations

import random
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from tests.unit.LiquidityPool.conftest import (
    DAY,
    KEEPER_SHARE,
    MAX_LEVERAGE,
    MAX_UINT,
    PPM,
    VIRTUAL,
    WAD,
    terms,
    wad,
)

pytest.importorskip("pyrevm")
rlp = pytest.importorskip("rlp")

from eth_utils.crypto import keccak  # noqa: E402

from plimsoll.fuzz.artifacts import Artifact, compile_contract, compile_with_vyper  # noqa: E402
from plimsoll.fuzz.chain import DEPLOYER, Outcome, new_chain  # noqa: E402
from plimsoll.model import Settings  # noqa: E402

LP, OTHER = "0x" + "1a" * 20, "0x" + "77" * 20
ATTACKER = "0x" + "a1" * 19 + "00"
ACCOUNTS = (ATTACKER, ATTACKER[:-2] + "01")
ENTRIES = ("deposit", "mint")
EXITS = ("request", "redeem", "withdraw", "cancel")
OTHERS = ("trade", "trade", "hours", "day", "day", "refresh")


class Game:
    """A deployment with two markets, a pool, another trader's skews, and a rich attacker."""

    def __init__(self, seed: int, decimals: int, **market: Any) -> None:
        self.random = random.Random(seed)
        self.chain = new_chain(1_750_000_000)
        self.unit, self.quote = 10 ** (18 - decimals), 10**decimals
        deploy = self.chain.deploy
        self.token = deploy(compile_contract("mocks/TokenMock.vy"), "Quote", "Q", decimals)
        nonce = self.chain.nonce(DEPLOYER) + 4
        predicted = "0x" + keccak(rlp.encode([bytes.fromhex(DEPLOYER[2:]), nonce]))[12:].hex()
        configurator = deploy(compile_contract("Configurator.vy"), predicted, KEEPER_SHARE)
        self.pool = deploy(
            compile_contract("LiquidityPool.vy"), predicted, self.token.address, "P", "P", DAY
        )
        auction = deploy(
            compile_contract("CollateralAuction.vy"),
            predicted,
            configurator.address,
            self.token.address,
        )
        backstop = deploy(compile_contract("Backstop.vy"), predicted, 11 * WAD // 10)
        settings = Settings(
            self.token.address,
            0,
            self.pool.address,
            configurator.address,
            auction.address,
            KEEPER_SHARE,
            200_000,
            500_000,
            MAX_LEVERAGE,
            20 * WAD,
            backstop.address,
        )
        self.clearinghouse = deploy(compile_contract("Clearinghouse.vy"), settings)
        assert self.clearinghouse.address == predicted
        self.feeds = [deploy(compile_contract("mocks/FeedMock.vy"), 18, wad(100)) for _ in range(2)]
        for number, feed in enumerate(self.feeds):
            words = tuple(terms(feed.address, **market).values())
            assert configurator.call("list_market", f"M{number}", words).ok
        for who, quote in ((LP, 10**6), (ATTACKER, 10**8), (OTHER, 10**6)):
            self.token.call("mint", who, quote * self.quote)
            for spender in (self.pool, self.clearinghouse):
                self.token.call("approve", spender.address, MAX_UINT, sender=who)
        assert self.pool.call("deposit", 10**6 * self.quote, LP, 0, sender=LP).ok
        self.fund(OTHER, OTHER)
        for number in range(2):
            while not self.size(OTHER, number):
                self.trade(OTHER, OTHER, number, self.random.randrange(-4_000, 4_000) * WAD // 7)
        self.wealth = self.token.view("balanceOf", ATTACKER) * self.unit
        for account in ACCOUNTS:
            self.fund(account, ATTACKER)
        self.seen: Counter[str] = Counter()

    # -------------------------------------------------------------- acting

    def fund(self, account: str, payer: str) -> None:
        """A million of margin from the payer."""
        arguments = (account, self.token.address, 10**6 * self.quote)
        assert self.clearinghouse.call("deposit", *arguments, sender=payer).ok

    def trade(self, account: str, sender: str, market: int, size: int) -> Outcome:
        """A trade at any price [WAD base]."""
        limit = MAX_UINT if size > 0 else 0
        return self.clearinghouse.call("trade", account, market, size, limit, sender=sender)

    def advance(self, seconds: int) -> None:
        """Time, with the feeds as they are."""
        self.chain.advance(seconds)
        for feed in self.feeds:
            feed.call("set_answer", feed.view("latestRoundData")[1])

    def part(self, whole: int) -> int:
        """All, some or next to nothing of it."""
        share = self.random.choice([1.0, self.random.random(), self.random.random() ** 8])
        return whole if share == 1.0 else whole * int(share * 2**53) // 2**53

    def call(self, name: str, *arguments: Any) -> Outcome:
        """The attacker's call of the pool."""
        return self.pool.call(name, *arguments, sender=ATTACKER)

    def step(self, name: str) -> None:
        """One step of the attacker's, of a random size; what must pass does."""
        outcome = getattr(self, f"do_{name}")()
        if outcome is not None:
            self.seen[name if outcome.ok else f"{name}: {outcome.reason}"] += 1

    def do_deposit(self) -> Outcome | None:
        raw = self.part(self.token.view("balanceOf", ATTACKER))
        if raw == 0 or not self.pool.view("maxDeposit", ATTACKER):
            return None
        expected = self.pool.view("previewDeposit", raw)
        outcome = self.call("deposit", raw, ATTACKER, expected)
        assert outcome.value == expected
        return outcome

    def do_mint(self) -> Outcome | None:
        if not self.pool.view("maxMint", ATTACKER):
            return None
        affordable = self.pool.view("previewDeposit", self.token.view("balanceOf", ATTACKER))
        shares = self.part(affordable)
        if shares == 0:
            return None
        expected = self.pool.view("previewMint", shares)
        outcome = self.call("mint", shares, ATTACKER, expected)
        assert outcome.value == expected
        return outcome

    def do_request(self) -> Outcome | None:
        shares = self.part(self.pool.view("balanceOf", ATTACKER))
        return self.call("requestRedeem", shares, ATTACKER, ATTACKER) if shares else None

    def do_redeem(self) -> Outcome | None:
        most = self.pool.view("maxRedeem", ATTACKER)
        if most == 0:
            return None
        refused = self.call("redeem", most + 1, ATTACKER, ATTACKER, 0)
        assert refused.reason in ("pool: more than requested", "pool: exposure too high")
        shares = self.part(most)
        outcome = self.call("redeem", shares, ATTACKER, ATTACKER, 0)
        assert outcome.ok or (shares < most and outcome.reason == "pool: zero assets")
        return outcome

    def do_withdraw(self) -> Outcome | None:
        most = self.pool.view("maxWithdraw", ATTACKER)
        if most == 0:
            return None
        refused = self.call("withdraw", most + 1, ATTACKER, ATTACKER, MAX_UINT)
        assert refused.reason in ("pool: more than requested", "pool: exposure too high")
        raw = self.part(most)
        outcome = self.call("withdraw", raw, ATTACKER, ATTACKER, MAX_UINT) if raw else None
        assert outcome is None or outcome.ok
        return outcome

    def do_cancel(self) -> Outcome:
        return self.call("cancelRequest", ATTACKER, ATTACKER)

    def do_trade(self) -> Outcome:
        size = self.random.choice([1, 10**9, WAD, 1_000 * WAD, 9_000 * WAD])
        size = self.random.choice([-1, 1]) * max(1, self.part(size))
        account = self.random.choice(ACCOUNTS)
        return self.trade(account, ATTACKER, self.random.randrange(2), size)

    def do_hours(self) -> None:
        self.advance(self.random.randrange(1, DAY // 2))

    def do_day(self) -> None:
        self.advance(DAY)

    def do_refresh(self) -> Outcome:
        return self.call("refresh")

    def do_price(self) -> None:
        feed = self.random.choice(self.feeds)
        answer = feed.view("latestRoundData")[1]
        feed.call("set_answer", answer * self.random.randrange(970, 1_030) // 1_000)

    # -------------------------------------------------------------- looking

    def size(self, account: str, market: int) -> int:
        """A position's size [WAD base]."""
        return int(self.clearinghouse.view("leg", account, market)[3])

    def cash(self, account: str) -> int:
        """An account's cash [WAD quote]."""
        word = self.clearinghouse.view("header", account) >> 136
        return word - 2**120 if word >> 119 else word

    def share(self) -> Fraction:
        """What a share is worth, virtual ones counted [WAD quote per raw share]."""
        supply = self.pool.view("totalSupply") + VIRTUAL
        return Fraction(self.pool.view("valuation")[0] + self.unit, supply)

    def check(self) -> None:
        """What holds after every call."""
        requested = self.pool.view("request_of", ATTACKER)[0]
        held = [self.pool.view("balanceOf", who) for who in (LP, ATTACKER)]
        assert self.pool.view("balanceOf", self.pool.address) == requested
        assert self.pool.view("totalSupply") == sum(held) + requested
        assert self.token.view("balanceOf", self.pool.address) == 0

    def cash_out(self) -> Fraction:
        """All that is the attacker's, made cash; shares that cannot leave count at their worth."""
        for account in ACCOUNTS:
            for market in range(2):
                if size := self.size(account, market):
                    assert self.trade(account, ATTACKER, market, -size).ok
        for _ in range(2):
            if shares := self.pool.view("balanceOf", ATTACKER):
                self.call("requestRedeem", shares, ATTACKER, ATTACKER)
            self.advance(DAY)
            if most := self.pool.view("maxRedeem", ATTACKER):
                assert self.call("redeem", most, ATTACKER, ATTACKER, 0).ok
        left = self.pool.view("balanceOf", ATTACKER) + self.pool.view("request_of", ATTACKER)[0]
        money = self.token.view("balanceOf", ATTACKER) * self.unit
        return money + sum(map(self.cash, ACCOUNTS)) + left * self.share()


DECIMALS = (6, 18, 8, 0)


def test_any_steps__at_one_price__the_attacker_is_no_richer_and_the_others_no_poorer():
    seen: Counter[str] = Counter()
    for seed in range(80):
        game = Game(seed, DECIMALS[seed % 4])
        for _ in range(40):
            before = game.share()
            game.step(game.random.choice(ENTRIES + EXITS + OTHERS))
            game.check()
            assert game.share() >= before, seed
        assert game.cash_out() <= game.wealth, seed
        seen += game.seen
    # No test that cannot fail: each door was walked through, and often.
    assert all(seen[name] > 10 for name in (*ENTRIES, *EXITS, "trade")), seen


def test_any_steps__with_prices_and_funding__no_entry_or_exit_costs_the_others():
    seen: Counter[str] = Counter()
    for seed in range(80):
        game = Game(seed, DECIMALS[seed % 4], max_velocity_ppm=PPM // 2, max_rate_ppm=10_000)
        for _ in range(40):
            name = game.random.choice(ENTRIES + EXITS + OTHERS + ("price", "price"))
            before = game.share()
            game.step(name)
            game.check()
            assert name not in ENTRIES + EXITS or game.share() >= before, (seed, name)
        seen += game.seen
    assert all(seen[name] > 10 for name in (*ENTRIES, *EXITS, "trade")), seen


TINY = 600  # pools


@pytest.fixture(scope="module")
def puppet() -> Artifact:
    """A Clearinghouse that says what it is told."""
    out = compile_with_vyper("Puppet.vy", Path(__file__).parent)
    code = bytes.fromhex(out["bytecode"].removeprefix("0x"))
    return Artifact("Puppet", out["abi"], code)


def test_max_redeem__pool_of_a_few_wei__is_the_most_that_can_be_claimed(puppet):
    """LPV-3, and so for `maxWithdraw`: it passes and one more does not, whichever bound it is that holds."""
    chain = new_chain(1_750_000_000)
    deploy = chain.deploy
    token = deploy(compile_contract("mocks/TokenMock.vy"), "Quote", "Q", 18)
    house = deploy(puppet)
    token.call("mint", LP, 10**6)
    token.call("mint", house.address, 10**6)
    bounds: Counter[str] = Counter()
    for seed in range(TINY):
        rng = random.Random(seed)
        pool = deploy(
            compile_contract("LiquidityPool.vy"), house.address, token.address, "P", "P", DAY
        )
        token.call("approve", pool.address, MAX_UINT, sender=LP)
        house.call("say", 0, 0, 0, PPM)
        assets = rng.randrange(1, 40)
        shares = pool.call("deposit", assets, LP, 0, sender=LP).value
        house.call("say", rng.randrange(1, 60), 0, 0, PPM)
        requested = rng.randrange(1, shares + 1)
        if not pool.call("requestRedeem", requested, LP, LP, sender=LP).ok:
            continue  # worth nothing
        chain.advance(DAY)
        nav, custody = rng.randrange(60), rng.choice([rng.randrange(40), 60])
        exposure = rng.choice([0, rng.randrange(nav + 1)])
        leverage = rng.choice([0, PPM, 1_500_000])
        house.call("say", nav, custody, exposure << 64, leverage)
        for view, claim, worst in (
            ("maxRedeem", "redeem", 0),
            ("maxWithdraw", "withdraw", MAX_UINT),
        ):
            most = pool.view(view, LP)
            if most:
                assert pool.attempt(claim, most, LP, LP, worst, sender=LP).ok, (seed, claim)
            more = pool.attempt(claim, most + 1, LP, LP, worst, sender=LP).reason
            assert more is not None, (seed, claim)
            bounds[f"{claim}: {more}" if most else f"{claim}: none"] += 1
        # What stays must carry the exposure.
        stays = -(-exposure * PPM // leverage) if leverage else exposure * MAX_UINT
        worth = min(requested * (nav + 1) // (shares + VIRTUAL), pool.view("request_of", LP)[1])
        expected = min(worth, max(nav - stays, 0), custody)
        both = [pool.view(view, LP) for view in ("maxRedeem", "maxWithdraw")]
        paid = pool.attempt("redeem", both[0], LP, LP, 0, sender=LP).value if both[0] else 0
        assert paid == both[1] == expected, seed
    refusals = (
        "pool: more than requested",
        "pool: exposure too high",
        "margin: not enough cash",
        "none",
    )
    assert all(
        bounds[f"{claim}: {reason}"] > 20 for claim in ("redeem", "withdraw") for reason in refusals
    ), bounds
