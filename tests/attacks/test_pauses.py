"""115: whatever guardian and owner can bring about, money comes in, risk goes down, the flat go home.

Each state by its own call, and by lot several on top of each other; in each of them traders pay in,
reduce where the price is live, and whoever is flat takes all of his out.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from plimsoll.fuzz.artifacts import Artifact
from plimsoll.fuzz.chain import Outcome
from plimsoll.fuzz.system import MarketSetup, Setup, System
from plimsoll.slots import WAD
from tests.attacks.conftest import fast
from tests.utils.backed import CREDIT, ordinary
from tests.utils.governed import BASE, DAY, HOUR, PRICE

RAW = 10**6
STATES = ("pause", "restrict", "freeze", "ramp", "delist", "settle", "sequencer", "coin", "grace")


def stage(artifact: Callable[[str], Artifact]) -> System:
    """Alice is long and bob short in both markets; the lender is flat, with money and ether."""
    markets = [MarketSetup(PRICE, 8, BASE) for _ in range(2)]
    setup = Setup(markets, coins=ordinary()[:1], credit=CREDIT, grace=HOUR)
    system = System.build(setup, fast(artifact))
    must(system, "guardian", "owner", "keeper")
    for who, size in (("alice", 50), ("bob", -30), ("lender", 0)):
        must(system, "mint", who, 1_000_000 * RAW)
        must(system, "mint", who, 100 * WAD, 0)
        must(system, "deposit", who, who, "token", 500_000 * RAW)
        must(system, "deposit", who, who, "coin0", 10 * WAD)
        for market in range(2):
            if size:
                must(system, "trade", who, who, market, size * WAD)
    return system


def run(system: System, *op: object) -> Outcome:
    """An operation on the contracts."""
    return system.run(list(op))[0]


def must(system: System, *op: object) -> None:
    """One that must go through."""
    outcome = run(system, *op)
    assert outcome.ok, f"{op}: {outcome.reason}"


def wait(system: System, seconds: int) -> None:
    """Time passes, and the feeds keep up."""
    must(system, "wait", seconds)
    for number, feed in enumerate(system.feeds):
        must(system, "price", number, system.model.feeds[feed.address].answer, 0)


def bring_about(system: System, state: str) -> bool:
    """One state on top of those that there are; False if it does not go with them."""
    if state == "pause":
        return run(system, "pause", "keeper", 0, 7 * DAY).ok
    if state == "restrict":
        return run(system, "restrict", "keeper", 0, 0, 0, True).ok
    if state == "freeze":
        return run(system, "freeze", "keeper", DAY).ok
    if state == "grace":
        return run(system, "freeze", "owner", 1).ok and run(system, "wait", 2).ok
    if state == "ramp":
        terms = {**BASE, "im_ppm": 100_000, "mm_ppm": 50_000}
        begun = run(system, "ramp", "owner", 0, 0, terms, 3 * DAY).ok
        wait(system, HOUR)
        return begun and run(system, "walk", "mallory", 0).ok
    if state == "delist":
        return run(system, "delist", "owner", 0, 3 * DAY).ok
    if state == "settle":
        announced = run(system, "delist", "owner", 0, 3 * DAY).ok
        wait(system, 3 * DAY)
        return run(system, "settle_market", "keeper", 0).ok and announced
    if state == "coin":
        return run(system, "restrict_coin", "keeper", 0, 0).ok
    assert state == "sequencer"
    return run(system, "uptime", 1, 0).ok


def everybody_can(system: System, context: str) -> None:
    """What no state may stop."""

    def goes(*op: object) -> None:
        outcome = run(system, *op)
        assert outcome.ok, f"{context}: {op} is refused: {outcome.reason}"

    for who in ("alice", "bob", "lender"):
        goes("deposit", who, who, "token", 1_000 * RAW)
        goes("deposit", "lender", who, "token", RAW)
    for market in range(2):
        settled = run(system, "close_settled", "keeper", market, ["alice"]).ok
        for who, side in (("alice", -1), ("bob", 1)):
            if settled:
                goes("close_settled", "keeper", market, [who])
            else:
                goes("trade", who, who, market, side * 5 * WAD)
                goes("trade", who, who, market, "all")
    # Whoever was flat and whoever is now.
    for who in ("lender", "alice", "bob"):
        goes("withdraw", who, who, "token", "all", who)
        goes("withdraw", who, who, "coin0", "all", who)


@pytest.mark.parametrize("state", STATES)
def test_115__each_state_that_guardian_or_owner_can_bring_about__lets_money_in_and_the_flat_out(
    artifact: Callable[[str], Artifact], state: str
):
    """Venues froze deposits with the rest, so that nobody could save his position; others froze
    withdrawals of people without one. Here a state may stop openings, and nothing of this."""
    system = stage(artifact)
    assert bring_about(system, state)
    everybody_can(system, state)


@pytest.mark.defence(
    "Clearinghouse.vy",
    "        if total.legs != 0 or min(slots.cash_of(header), 0) != 0:\n",
    "        if True:\n",
)
def test_115__states_on_top_of_each_other__let_money_in_and_the_flat_out(
    artifact: Callable[[str], Artifact],
):
    """The same of whatever comes together by lot."""
    rng = random.Random(115)
    seen = set()
    for _ in range(12):
        system = stage(artifact)
        states = rng.sample(STATES, rng.randint(2, 5))
        done = [state for state in states if bring_about(system, state)]
        seen.update(done)
        everybody_can(system, " then ".join(done))
    assert seen == set(STATES)
