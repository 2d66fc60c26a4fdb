"""Contracts and model, side by side, over operations drawn from seeds.

How much is set by a number of operations, not by time, so that a run can be repeated:
``PLIMSOLL_OPS`` (100,000 unless told). A failure is cut down by delta debugging, printed as a script
and kept in ``tests/corpus``, which `test_corpus` replays from then on. Far more: ``make fuzz``.
"""

from __future__ import annotations

import importlib.util
import os
import warnings
from collections import Counter

import pytest

from plimsoll.fuzz import corpus
from plimsoll.fuzz.run import fuzz, replay
from plimsoll.fuzz.shrink import describe, shrink
from plimsoll.fuzz.system import compiled

OPERATIONS_A_RUN = 1_000
OPERATIONS = int(os.environ.get("PLIMSOLL_OPS", "100000"))
if importlib.util.find_spec("pyrevm") is None:
    warnings.warn("NO pyrevm: one operation in 500 is tried, on py-evm", stacklevel=1)
    OPERATIONS_A_RUN = max(min(OPERATIONS // 500, 50), 1)
    OPERATIONS //= 500
RUNS = max(OPERATIONS // OPERATIONS_A_RUN, 1)
ON_APE = 40  # operations of a list that is run on Ape's provider, too

# What a run that never went there would not prove: events, calls that go through, refusals.
REACHED = """
event BadDebt
event Liquidated
event MarketDelisted
event MarketPaused
event MarketReconfigured
event MarketSettled
event NavKnown
event RampEnded
event RampStarted
event RedeemRequest
event Withdraw
deposit: ok
freeze: ok
liquidate: ok
liquidate_many: ok
poke: ok
ramp: ok
redeem: ok
request: ok
restrict: ok
restrict_coin: ok
settle_market: ok
trade: ok
walk: ok
withdraw: ok
starved: starved
access: configurator only
access: pool only
account: 32 markets at most
account: not yours
account: system
caps: open interest
caps: pool NAV is old
caps: pool exposure
caps: skew
configurator: feed of open market
configurator: bounds of open market
configurator: needs a ramp
configurator: delisted
configurator: feed and bounds
configurator: guardian only
configurator: no ramp
configurator: not yet
configurator: nothing to walk
configurator: only lower
configurator: pause too long
configurator: ramp too long
configurator: ramp too short
configurator: settled
configurator: skew_scale step
configurator: too soon
ledger: deposit too large
ledger: unknown token
ledger: zero amount
liquidation: account is healthy
margin: below initial
margin: dead leg
margin: health would fall
margin: not enough cash
market: reduce only
market: unknown
pool: a price is not live
pool: cooling down
pool: exposure too high
pool: more than requested
pool: no equity
pool: request has lapsed
prices: bad time
prices: feed failed
prices: not positive
prices: out of bounds
prices: stale
trade: past limit price
trade: size out of range
trade: zero size
withdraw: bad receiver
"""

seen: Counter[str] = Counter()


@pytest.mark.parametrize("seed", range(RUNS))
def test_fuzz__any_seed__contracts_equal_model(seed, fuzz_artifacts):
    report = fuzz(seed, OPERATIONS_A_RUN, artifacts=fuzz_artifacts)
    seen.update(report.outcomes)
    if report.mismatch:
        small = shrink(report, fuzz_artifacts)
        path = corpus.save(small, f"seed-{seed}")
        pytest.fail(f"{report.mismatch}\nkept as {path}\n{describe(small)}")
    assert len(report.operations) == OPERATIONS_A_RUN


# A file is one worker's (--dist loadfile), so that it has seen what is above.
@pytest.mark.skipif(RUNS < 40, reason="fewer operations than it takes to get everywhere")
def test_fuzz__the_seeds_above__get_everywhere():
    refusals = {outcome.partition(": ")[2] for outcome in seen}
    wanted = REACHED.strip().split("\n")
    assert [w for w in wanted if w not in seen and w not in refusals] == []


@pytest.mark.skipif("PLIMSOLL_APE" not in os.environ, reason="in a process of its own: make test")
@pytest.mark.parametrize("seed", [2, 7])
def test_fuzz__same_list_on_apes_provider__agrees(seed, fuzz_artifacts, fuzz_chain):
    """Transactions, blocks and receipts of Ape's own chain: a property written once runs on both."""
    drawn = fuzz(seed, ON_APE, artifacts=fuzz_artifacts)
    assert not drawn.mismatch
    report = replay(
        drawn.setup,
        drawn.operations,
        ON_APE,
        fuzz_artifacts,
        fuzz_chain(drawn.setup.start, slow=True),
    )
    assert not report.mismatch, describe(report)
    assert report.operations == drawn.operations


def test_artifacts__of_ape_and_of_the_compiler__are_the_same(fuzz_artifacts):
    """What tools of the package compile by themselves is what Ape deploys."""
    ours = compiled()
    for name in ("clearinghouse", "pool", "configurator", "token", "feed"):
        assert getattr(fuzz_artifacts, name).bytecode == getattr(ours, name).bytecode, name
