"""Two of the pool's threats that are best told here; the rest of 69 to 81 is in
tests/attacks/test_pool.py.

Number 79, rounding, is in test_properties.py too; callbacks, 73 and 125, in test_entry.py; 76,
allowances, in test_exit.py.
"""

import ape
import pytest

from tests.unit.LiquidityPool.conftest import COOLDOWN

# ------------------------------------------------------------------ the premium (70)


def test_attack_70__skew_pushed_before_a_victims_deposit__cannot_pass_his_limit(
    stage, attacker, lp, user
):
    """A greater skew makes entries dearer by its spread; `min_shares` is for those who mind."""
    raw = 10**6 * stage.quote
    stage.give(user, raw)
    shares = stage.pool.previewDeposit(raw)
    stage.fund(attacker, 500_000)
    stage.trade(attacker, 0, 5_000)
    assert stage.pool.previewDeposit(raw) < shares
    with ape.reverts("pool: too few shares"):
        stage.pool.deposit(raw, user, shares, sender=user)


# ------------------------------------------------------------------ queues (77)


def test_attack_77__dust_of_a_stranger__costs_the_others_nothing(stage, user, attacker):
    """There is no queue: a claim costs what it costs, however many requests others have."""
    shares = stage.enter(user, 10**6 * stage.quote)
    stage.request(user)
    stage.pass_time(COOLDOWN)
    alone = stage.pool.redeem.estimate_gas_cost(shares, user, user, sender=user)
    dust = stage.enter(attacker, 10**6)
    for _ in range(5):
        stage.pool.requestRedeem(dust // 10, attacker, attacker, sender=attacker)
    crowded = stage.pool.redeem.estimate_gas_cost(shares, user, user, sender=user)
    assert crowded == pytest.approx(alone, rel=0.01)
