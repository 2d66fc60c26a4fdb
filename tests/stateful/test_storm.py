"""The worst day, 200 times: what must hold all along it, and what it may cost.

`plimsoll.fuzz.storm` plays it and checks at every step: contracts and model agree, the ledger's
properties, whoever is unhealthy can be liquidated while the venue is calm, nobody unhealthy
survives, nobody opens along with a jump in its own block, only a pool with less than nothing settles, all claims get the same share, what is paid
out and left is what was paid in, the matched pair stays below GOV-5. Here are the bounds on what
a day comes to, and that days of each sort do come.
"""

from __future__ import annotations

import functools
import statistics

import pytest

from plimsoll.fuzz.storm import KINDS, Outcome, Storm, play
from plimsoll.fuzz.system import Artifacts

SEEDS = 200
GROUPS = 20
# Seeds that are played a second time, with room for every liquidation.
TWINS = range(0, SEEDS, 4)
POOL, FUND = 10_000_000, 250_000


@functools.cache
def played(seed: int, artifacts: ArtifactsKey, limited: bool = True) -> Outcome:
    return play(seed, limited, artifacts.found)


class ArtifactsKey:
    """The contracts, as something that a cache can hold by identity."""

    def __init__(self, found: Artifacts) -> None:
        self.found = found


@pytest.fixture(scope="module")
def contracts(fuzz_artifacts: Artifacts) -> ArtifactsKey:
    return ArtifactsKey(fuzz_artifacts)


@pytest.fixture(scope="module")
def days(contracts: ArtifactsKey) -> list[Outcome]:
    return [played(seed, contracts) for seed in range(SEEDS)]


@pytest.mark.parametrize("group", range(GROUPS))
def test_storm__any_seed__everything_holds_to_the_last_withdrawal(group, contracts):
    for seed in range(group, SEEDS, GROUPS):
        day = played(seed, contracts)
        assert day.liquidations, f"seed {seed}: no storm"
        assert day.gain <= day.bound, f"seed {seed}"
        # Nothing but bad debt, top-ups of rewards and what it lends to lots takes from the fund.
        assert day.insurance <= day.bad_fund + day.topped_up + day.lent + 1, f"seed {seed}"
        # The pool's equity is below zero before anything settles, and only then.
        assert (day.share is None) == (day.solvency >= 0), f"seed {seed}"
        # A liquidation moves the quote by no more than what one side of a market can hold.
        assert day.fill_gap <= 0.05, f"seed {seed}"


def test_storm__same_seed__is_the_same_day(contracts):
    first, again = played(4, contracts), play(4, True, contracts.found)
    first.seconds = again.seconds = 0.0
    assert first == again
    assert Storm.of(4) == Storm.of(4)


def test_storm__two_hundred_days__are_of_every_sort(days):
    """A test of storms in which nothing breaks would prove nothing."""
    assert {d.kind for d in days} == set(KINDS)
    assert sum(d.bad_pool > 0 for d in days) > SEEDS // 4
    assert sum(d.deleveraged > 0 for d in days) >= 5
    assert sum(d.share is not None for d in days) >= 5
    assert sum(d.gain > 0 for d in days) > SEEDS // 4
    assert any(d.insurance > 0.9 * FUND for d in days)


def test_storm__ordinary_crash__costs_the_fund_and_not_the_pool(days):
    """Half of the crashes without a jump of 30 % leave the pool without bad debt worth a tenth of
    a per cent of it, and none settles."""
    crashes = [d for d in days if d.kind == "crash"]
    assert all(d.share is None for d in crashes)
    assert statistics.median(d.bad_pool for d in crashes) < POOL / 100


def test_storm__room_for_every_liquidation__less_bad_debt_and_sooner_over(contracts):
    slow = [played(seed, contracts) for seed in TWINS]
    fast = [played(seed, contracts, False) for seed in TWINS]
    assert sum(d.bad_debt for d in fast) < 0.95 * sum(d.bad_debt for d in slow)
    assert sum(d.recovery for d in fast) < 0.95 * sum(d.recovery for d in slow)
