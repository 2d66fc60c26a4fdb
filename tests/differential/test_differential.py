"""Contracts and model, side by side, over operations drawn from seeds.

How much is set by a number of operations, not by time, so that a run can be repeated:
``PLIMSOLL_OPS`` (20,000 unless told). A failure is cut down by delta debugging, printed as a script
and kept in ``tests/corpus``, which `test_corpus` replays from then on.
"""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

import pytest

from plimsoll.fuzz.run import fuzz
from plimsoll.fuzz.shrink import describe, save, shrink

CORPUS = Path(__file__).parents[1] / "corpus"
OPERATIONS_A_RUN = 500
RUNS = max(int(os.environ.get("PLIMSOLL_OPS", "20000")) // OPERATIONS_A_RUN, 1)

# What a thousand runs that never went there would not prove. All of it within the first 40 seeds.
REACHED = """
event BadDebt
event Liquidated
event MarketReconfigured
event NavKnown
event RedeemRequest
event Withdraw
deposit: account: system
deposit: ledger: deposit too large
deposit: ledger: unknown token
deposit: ledger: zero amount
deposit: ok
liquidate: account: system
liquidate: liquidation: account is healthy
liquidate: ok
liquidate_many: ok
poke: market: unknown
poke: ok
poke: prices: bad time
poke: prices: feed failed
poke: prices: not positive
poke: prices: out of bounds
poke: prices: stale
redeem: ok
redeem: pool: cooling down
redeem: pool: request has lapsed
request: ok
set_nav: access: pool only
set_terms: access: configurator only
starved: starved
trade: account: 32 markets at most
trade: account: not yours
trade: account: system
trade: caps: open interest
trade: caps: pool NAV is old
trade: caps: pool exposure
trade: caps: skew
trade: margin: below initial
trade: margin: dead leg
trade: margin: health would fall
trade: market: reduce only
trade: market: unknown
trade: ok
trade: trade: past limit price
trade: trade: size out of range
trade: trade: zero size
withdraw: margin: below initial
withdraw: margin: dead leg
withdraw: margin: not enough cash
withdraw: ok
withdraw: withdraw: bad receiver
"""

seen: Counter[str] = Counter()


@pytest.mark.parametrize("seed", range(RUNS))
def test_fuzz__any_seed__contracts_equal_model(seed):
    report = fuzz(seed, OPERATIONS_A_RUN)
    seen.update(report.outcomes)
    if report.mismatch:
        small = shrink(report)
        path = save(small, CORPUS, f"seed-{seed}")
        pytest.fail(f"{report.mismatch}\nkept as {path}\n{describe(small)}")
    assert len(report.operations) == OPERATIONS_A_RUN


@pytest.mark.skipif(RUNS < 40, reason="fewer operations than it takes to get everywhere")
@pytest.mark.skipif("PYTEST_XDIST_WORKER" in os.environ, reason="each worker sees a part")
def test_fuzz__the_seeds_above__get_everywhere():
    missed = [outcome for outcome in REACHED.split("\n") if outcome and not seen[outcome]]
    assert not missed
