"""68 again, over all that is deployed: every function, by a stranger, while everything happens at once.

The table of `plimsoll.access` says whom each function refuses and how; here a stranger calls each of
them with nothing and with extremes, in a venue with winners and losers, debts, lots, requests, a
pause, a settled market and a dead feed, and in a settlement. Nothing here moves with time: each call
is undone, and no second passes.
"""

from __future__ import annotations

import functools
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from eth_abi import encode
from eth_utils.crypto import keccak

from plimsoll import slots
from plimsoll.access import DEPLOYED, EXPORTED, REFUSALS, Row, table
from plimsoll.fuzz.artifacts import Artifact, compile_contract
from plimsoll.fuzz.chain import type_of
from plimsoll.fuzz.system import MarketSetup, Setup, System
from plimsoll.slots import WAD
from tests.attacks.conftest import fast
from tests.utils.backed import CREDIT, PLAIN, PRICE, ordinary

DAY, HOUR = 86_400, 3_600
ZERO = "0x" + "00" * 20
MARKETS = 4
UNIT = 10**12  # WAD of the quote's raw unit
# Refused for who he is, whatever the arguments and the state.
ROLES = {
    "Clearinghouse",
    "Configurator",
    "Backstop",
    "LiquidityPool",
    "owner",
    "guardian, owner",
    "the owner to be",
    "proposers",
    "cancellers, who are the proposers",
    "executors; anyone, where the zero address is one",
    EXPORTED["grantRole"],
}
# What anybody may do to others: by these somebody may end with less than he had on paper.
KEEPERS = {
    "liquidate": "liquidation: whoever is below the line pays fee and closing",
    "liquidate_many": "the same",
    "convert_collateral": "a debt past its caps is repaid at a discount",
    "deleverage": "a broke pool's winner is closed at the oracle's price",
}


def test_tables__of_roles_and_of_keepers__name_what_there_is():
    """A class that no function has any more would excuse nothing and hide a misspelling."""
    assert set(REFUSALS) >= ROLES
    assert {row.access for row in rows()} >= ROLES
    assert {row.name for row in rows()} >= set(KEEPERS)


class Scene:
    """A venue with everybody in it, and a stranger's view of it."""

    def __init__(self, artifact: Callable[[str], Artifact]) -> None:
        terms = {**PLAIN, "reward": 5 * WAD, "taker_fee_ppm": 500, "spread_ppm": 1_000}
        setup = Setup(
            [MarketSetup(PRICE * 10**8, 8, terms) for _ in range(MARKETS)],
            coins=ordinary(),
            credit=CREDIT,
            pool_cash=1_000_000,
            grace=HOUR,
        )
        self.system = System.build(setup, fast(artifact))
        chain = self.system.chain
        self.timelock = chain.deploy(
            compile_contract("Timelock.vy"), 2 * DAY, [chain.deployer], [chain.deployer]
        )
        house, guard = self.system.clearinghouse.address, self.system.model.settings.sequencer
        self.contracts: dict[str, tuple[str, Artifact]] = {}
        lens = chain.deploy(artifact("Lens"), house, 1_250_000 * UNIT)
        other = chain.deploy(compile_contract("CollateralLens.vy"), house)
        for path, where in zip(
            DEPLOYED,
            (
                house,
                self.system.pool.address,
                self.system.auction.address,
                self.system.backstop.address,
                self.system.configurator.address,
                self.timelock.address,
                guard,
                lens.address,
                other.address,
            ),
            strict=True,
        ):
            self.contracts[Path(path).stem] = where, compile_contract(f"{path}.vy")
        self._fill()

    def do(self, *op: Any) -> None:
        """An operation that must go through on the contracts."""
        real, _ = self.system.run(list(op))
        assert real.ok, f"{op}: {real.reason}"

    def _fund(self, account: str, quote: int, coin: int | None = None) -> None:
        who = account.partition(".")[0]
        amount = quote * (10**6 if coin is None else 10**18)
        self.do("mint", who, amount, coin)
        self.do("deposit", who, account, "token" if coin is None else f"coin{coin}", amount)

    def _trade(self, account: str, market: int, size: int) -> None:
        self.do("trade", account.partition(".")[0], account, market, size * WAD)

    def fresh(self) -> None:
        """Every feed has a round of now."""
        for number, feed in enumerate(self.system.feeds):
            self.do("price", number, self.system.model.feeds[feed.address].answer, 0)

    def _fill(self) -> None:
        do = self.do
        do("guardian", "owner", "keeper")
        self._fund("alice", 500_000)
        self._fund("alice", 50, 0)
        self._trade("alice", 0, 20)
        self._trade("alice", 1, -30)
        self._fund("bob", 100_000)
        for market, size in ((0, -10), (2, 5), (3, 2)):
            self._trade("bob", market, size)
        do("mint", "bob", 10_000 * 10**6)
        do("pool_deposit", "bob", 10_000 * 10**6, "bob")
        do("request", "bob", 10**15, "bob", "bob")
        # One market is settled after its notice.
        do("delist", "owner", 2, 3 * DAY)
        do("wait", 3 * DAY)
        self.fresh()
        do("settle_market", "keeper", 2)
        do("refresh", "keeper")
        # A debtor, by a loss that he left beside his ether.
        self._fund("alice.1", 1, 0)
        self._trade("alice.1", 3, 2)
        do("price", 3, 2_000 * 10**8)
        self._trade("alice.1", 3, -2)
        do("price", 3, PRICE * 10**8)
        # Open lots, of somebody who was liquidated.
        self._fund("bob.5", 1, 0)
        self._trade("bob.5", 1, -2)
        do("price", 1, 4_300 * 10**8)
        do("liquidate", "keeper", "bob.5")
        do("price", 1, PRICE * 10**8)
        assert self.system.auction.view("lot_count") > 0
        # Somebody below the line.
        self._fund("alice.255", 1_500)
        self._trade("alice.255", 0, 4)
        do("price", 0, 2_690 * 10**8)
        do("request", "lender", 10**15, "lender", "lender")
        do("pause", "keeper", 1, DAY)
        # A stranger with money of his own.
        self._fund("mallory", 50_000)
        do("mint", "mallory", 1_000_000 * 10**6)
        do("pool_deposit", "mallory", 10_000 * 10**6, "mallory")
        offer = self.system.configurator.call("transfer_ownership", self.timelock.address)
        assert offer.ok, offer.reason
        health = self.system.clearinghouse.view("health", self.at("alice.255"))
        assert health < WAD
        assert self.system.clearinghouse.view("credit")[0] % 2**128 > 0

    def settling(self) -> None:
        """The pool is broke, and a settlement has begun: claims wait."""
        self.do("price", 0, 200_000 * 10**8)
        self.do("declare", "keeper")
        self.do("wait", HOUR)
        self.fresh()
        self.do("settle_markets", "keeper", [0, 1, 2])

    # -------------------------------------------------------------- looking

    def at(self, name: str) -> str:
        """The address behind a name."""
        return self.system.address(name)

    def accounts(self) -> list[str]:
        """Of traders."""
        people = ("alice", "alice.1", "alice.255", "bob", "bob.5", "keeper", "lender")
        return [*people, "mallory", "mallory.1", "stranger"]

    def equity(self, account: str) -> int:
        """Cash, PnL and tokens, interest taken off [WAD quote]."""
        house, who = self.system.clearinghouse, self.at(account)
        header = house.view("header", who)
        total = slots.unpack_header(header).cash - house.view("backing", who)[0 + 1]
        for market in range(MARKETS):
            leg = house.view("leg", who, market)
            total += leg[3] * (leg[5] - leg[7]) // WAD - leg[4]
        for number in range(len(self.system.coins)):
            held = house.view("holding", who, number)
            total += held[1] * held[2] * held[3] // WAD
        return int(total)

    def look(self, me: str) -> Look:
        """What everybody has."""
        system = self.system
        shares, worth, tokens = {}, {}, {}
        for name in self.accounts():
            who = self.at(name)
            worth[name] = self.equity(name)
            tokens[name] = [t.view("balanceOf", who) for t in (system.token, *system.coins)]
            asked = system.pool.view("request_of", who)[0]
            shares[name] = system.pool.view("balanceOf", who) + asked
        cash = slots.unpack_header(system.clearinghouse.view("header", self.at("fund"))).cash
        mine = sum(worth[a] for a in worth if a.partition(".")[0] == me)
        mine += tokens[me][0] * UNIT
        return Look(mine, worth, tokens, shares, cash, self.rights(), self.pool_equity())

    def pool_equity(self) -> int:
        """[WAD quote] by the formula of everybody's."""
        return int(self.system.backstop.view("pool_margin")[0])

    def rights(self) -> tuple[Any, ...]:
        """What only those in a role may move."""
        view, house = self.system.configurator.view, self.system.clearinghouse.view
        words = [tuple(house("market_words", m))[:3] for m in range(MARKETS)]
        names = ("owner", "pending_owner", "guardian", "market_count", "collateral_count")
        return (
            [view("terms", m) for m in range(MARKETS)],
            words,
            [house("token_words", n)[:3] for n in range(3)],
            [view(name) for name in (*names, "credit_terms", "calm_from")],
            house("globals")[3],
            house("is_calm"),
        )


class Look(NamedTuple):
    """What everybody has at a moment."""

    mine: int  # [WAD quote] of the stranger, pool shares aside
    worth: dict[str, int]  # [WAD quote] equity by account
    tokens: dict[str, list[int]]  # [raw] quote and coins by account
    shares: dict[str, int]
    fund: int  # [WAD quote]
    rights: tuple[Any, ...]
    pool: int  # [WAD quote]


@functools.cache
def rows() -> list[Row]:
    """Of all contracts."""
    return table()


# ------------------------------------------------------------------ arguments


def values_of(kind: str, scene: Scene, rng: random.Random) -> Any:
    """One argument: nothing, one, a bound of its width, an address that means something."""
    if kind.endswith("]"):
        inner, _, size = kind[:-1].rpartition("[")
        count = int(size) if size else rng.choice([0, 0, 1, 2, 64])
        return [values_of(inner, scene, rng) for _ in range(count)]
    if kind.startswith("("):
        return tuple(values_of(part, scene, rng) for part in split(kind[1:-1]))
    if kind == "address":
        return rng.choice(addresses(scene))
    if kind == "bool":
        return rng.random() < 0.5
    if kind == "string":
        return rng.choice(["", "M0", "x" * 32])
    if kind == "bytes":
        return rng.choice([b"", b"\xff" * 4, b"\0" * 1_024])
    if kind.startswith("bytes"):
        width = int(kind[5:])
        return rng.choice([bytes(width), b"\xff" * width])
    signed = kind.startswith("int")
    bits = int(kind.removeprefix("u").removeprefix("int"))
    if signed:
        return rng.choice([0, 1, -1, WAD, -WAD, 2 ** (bits - 1) - 1, -(2 ** (bits - 1))])
    if bits == 256:
        return rng.choice([0, 0, 1, 2, 3, 4, 10**6, WAD, 2**96 - 1, 2**128, 2**256 - 1])
    return rng.choice([0, 1, 27, 2**bits - 1])


def likely(name: str, kind: str, scene: Scene, me: str, rng: random.Random) -> Any:
    """An argument by its name: half of the time what gets further than the first check."""
    if rng.random() < 0.5:
        if kind == "address":
            if name == "token":
                return scene.at(rng.choice(["token", "token", "coin0"]))
            return scene.at(rng.choice([me, me, me, "alice.1", "alice.255", "bob"]))
        if name == "market":
            return rng.choice([0, 3])
        if name == "limit_price":
            return rng.choice([0, 2**256 - 1])
        if kind in ("uint256", "int256"):
            return rng.choice([0, 1, 3, 10**6, 10**10, WAD // 1_000])
    return values_of(kind, scene, rng)


def split(kinds: str) -> Iterator[str]:
    """The types of a tuple that has no tuple inside."""
    yield from kinds.split(",")


def addresses(scene: Scene) -> list[str]:
    """Who and what there is, twice whom most is about."""
    names = [*scene.accounts(), "owner", "pool", "fund", "auction", "backstop", "configurator"]
    names += ["token", "token", "coin0", "coin1", "alice.255", "alice.1", "mallory", "stranger"]
    return [ZERO, scene.timelock.address, scene.system.feeds[0].address, *map(scene.at, names)]


def data_of(signature: str, kinds: list[str], args: list[Any]) -> bytes:
    """Calldata."""
    return keccak(text=signature)[:4] + encode(kinds, args)


def inputs_of(artifact: Artifact, signature: str) -> list[tuple[str, str]]:
    """Names and types of a function's arguments."""
    for entry in artifact.abi:
        if entry["type"] == "function":
            found = [(i["name"], type_of(i)) for i in entry["inputs"]]
            if f"{entry['name']}({','.join(kind for _, kind in found)})" == signature:
                return found
    raise KeyError(signature)


# ------------------------------------------------------------------ the test


def call_everything(scene: Scene, me: str, most: int) -> dict[str, int]:
    """Every function with such arguments; how many calls of each went through."""
    rng = random.Random(f"{me} {most}")
    sender, chain = scene.at(me), scene.system.chain
    before = scene.look(me)
    through: dict[str, int] = {}
    for row in rows():
        where, artifact = scene.contracts[row.contract]
        inputs = inputs_of(artifact, row.signature)
        for _ in range(1 if not inputs else 3 if row.reads else most * max(1, len(inputs) - 2)):
            args = [likely(name, kind, scene, me, rng) for name, kind in inputs]
            kinds = [kind for _, kind in inputs]
            what = f"{row.contract}.{row.name}{args} by {me}"
            mark = chain.snapshot()
            _, reason = chain.send(sender, where, data_of(row.signature, kinds, args))
            if reason is None:
                key = f"{row.contract}.{row.name}"
                through[key] = through.get(key, 0) + 1
                assert row.access not in ROLES, f"{what} went through"
                check(row, before, scene.look(me), me, what)
            elif row.access in ROLES:
                assert reason == row.refusal, f"{what}: {reason}"
            chain.restore(mark)
    return through


def check(row: Row, before: Look, after: Look, me: str, what: str) -> None:
    """Nobody is poorer, the stranger is no richer, and nobody's right has moved."""
    if row.reads:
        assert after == before, what
        return
    dust = 10**6  # [WAD] rounded against whoever's interest is posted
    pay = 0
    if row.name in KEEPERS:
        pay = 1_000 * WAD  # his reward: bounded by the fee of who is liquidated
    assert after.mine <= before.mine + pay, f"{what}: richer by {after.mine - before.mine}"
    for name, had in before.worth.items():
        if name.partition(".")[0] == me:
            continue
        if row.name not in KEEPERS:
            assert after.worth[name] >= had - dust, f"{what}: {name} lost {had - after.worth[name]}"
        pairs = zip(after.tokens[name], before.tokens[name], strict=True)
        assert all(now >= then for now, then in pairs), f"{what}: tokens of {name}"
        assert after.shares[name] >= before.shares[name], f"{what}: shares of {name}"
    if row.name not in KEEPERS:
        assert after.fund >= before.fund, what
        assert after.pool >= before.pool - dust, f"{what}: the pool lost {before.pool - after.pool}"
    if row.name not in ("settle", "settle_market", "declare", "call_off", "fix", "walk_ramp"):
        assert after.rights == before.rights, what


@pytest.mark.defence("Clearinghouse.vy", "    if msg.sender != BACKSTOP:\n", "    if False:\n")
@pytest.mark.defence(
    "Configurator.vy",
    "assert msg.sender == self.guardian or msg.sender == ownable.owner",
    "assert True",
)
@pytest.mark.parametrize("me", ["stranger", "mallory"], ids=["with nothing", "with money"])
@pytest.mark.parametrize("state", ["in full swing", "a dead feed", "a settlement"])
def test_68__every_function_of_every_contract__makes_a_stranger_no_richer(
    artifact: Callable[[str], Artifact], state: str, me: str
):
    """GOV-3. Whoever has no role is refused for it in the words of docs/access.md, whatever he says;
    with what anybody may call he gets nothing but a keeper's pay, and takes nothing from anybody."""
    scene = Scene(artifact)
    if state == "a dead feed":
        scene.do("fault", 3, "revert")
    if state == "a settlement":
        scene.settling()
    through = call_everything(scene, me, 60)
    assert through["Clearinghouse.liquidate"] > 0
    assert through["Clearinghouse.liquidate_many"] > 0
    if me == "mallory" and state == "in full swing":
        for name in ("deposit", "withdraw", "trade", "settle", "poke", "convert_collateral"):
            assert through[f"Clearinghouse.{name}"] > 0, name
        for name in ("deposit", "transfer", "approve"):
            assert through[f"LiquidityPool.{name}"] > 0, name
        assert through["CollateralAuction.buy_collateral"] > 0
