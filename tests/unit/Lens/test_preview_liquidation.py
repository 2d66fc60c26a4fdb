"""`CollateralLens.preview_liquidation` is `Clearinghouse.liquidate`, in the same block."""

import random

import pytest

from plimsoll.slots import kept_nav

WAD = 10**18
MAX_UINT = 2**256 - 1


def side_by_side(stage, robot, account, first=()):
    """Preview and liquidate in one block, compare all that can be; the preview."""
    clearinghouse = stage.clearinghouse
    cash = (clearinghouse.header, account)
    fund = (clearinghouse.header, clearinghouse.address)
    outcomes = stage.imagine(
        robot,
        *first,
        (stage.tokens.preview_liquidation, account),
        fund,
        (clearinghouse.liquidate, account),
        cash,
        fund,
    )[len(first) :]
    preview, fund_before, liquidation, cash_after, fund_after = outcomes
    assert preview.reason is None, "a preview never reverts"
    view = preview.value
    assert view.liquidatable == (liquidation.reason is None)
    if view.liquidatable:
        assert view.reward == liquidation.value
        assert view.remaining == of_header(cash_after.value)
        gained = of_header(fund_after.value) - of_header(fund_before.value)
        assert gained == view.charged - view.reward - view.debt_to_insurance
    else:
        assert view.reward == view.charged == view.closed == 0
    return view


def of_header(word):
    return int.from_bytes(word.to_bytes(32, "big")[:15], "big", signed=True)


def mined(stage, account, view):
    """Liquidate for good (nothing moves with time here): events and accounts as previewed."""
    clearinghouse = stage.clearinghouse
    receipt = clearinghouse.liquidate(account, sender=stage.keeper)
    (event,) = receipt.decode_logs(clearinghouse.Liquidated)
    assert event.equity == view.equity
    assert event.maintenance == view.maintenance
    assert event.notional == view.notional
    assert (event.charged, event.reward) == (view.charged, view.reward)
    assert len(receipt.decode_logs(clearinghouse.Fill)) == view.closed
    debts = [
        (debt.from_insurance, debt.from_pool) for debt in receipt.decode_logs(clearinghouse.BadDebt)
    ]
    expected = (view.debt_to_insurance, view.debt_to_pool)
    assert debts == ([expected] if any(expected) else [])
    after = stage.lens.account(account)
    assert after.cash == view.remaining
    assert len(after.positions) == view.left_open


def test_preview_liquidation__healthy__nothing_happens(stage, robot, trader):
    stage.fund(trader, 100)
    stage.trade(trader, 0, 10)
    view = side_by_side(stage, robot, trader.address)
    assert not view.liquidatable
    assert view.equity > view.maintenance > 0


def test_preview_liquidation__equity_left__numbers_done_by_hand(stage, robot, trader):
    stage.fund(trader, 100)
    stage.trade(trader, 0, 10)
    stage.price(0, 92 * WAD)
    view = side_by_side(stage, robot, trader.address)
    assert view.liquidatable
    assert (view.closed, view.left_open, view.notional) == (1, 0, 920 * WAD)
    # Sold on the curve: 92 * (1 + (10 - 5) / 1m) = 92.00046; 99.4994975 + 920.0046 - 1001.005.
    # Flat reward 5, fee 1 % of 920; the keeper's share would be 20 %, but 1.25 * 0.15 % is less.
    assert view.charged == 14_200_000_000_000_000_000
    assert view.reward == 5 * WAD + 1_840_000_000_000_000_000
    assert view.remaining == 18_499_097_500_000_000_000 - view.charged
    assert (view.top_up, view.debt_to_insurance, view.debt_to_pool) == (0, 0, 0)
    mined(stage, trader, view)


def test_preview_liquidation__bankrupt__insurance_pays_and_tops_up(stage, robot, trader):
    stage.fund(trader, 100)
    stage.trade(trader, 0, 10)
    stage.price(0, 80 * WAD)
    view = side_by_side(stage, robot, trader.address)
    # 99.4994975 + 10 * 80.0004 - 1001.005 is what is missing.
    assert view.debt_to_insurance == 101_501_502_500_000_000_000
    assert view.debt_to_pool == 0
    assert (view.charged, view.reward, view.top_up) == (0, 5 * WAD, 5 * WAD)
    assert view.remaining == 0
    mined(stage, trader, view)


def test_preview_liquidation__worse_than_the_fund__the_pool_pays_the_rest(stage, robot, trader):
    stage.fund(trader, 70_000)
    stage.trade(trader, 0, 10_000)
    stage.price(0, 60 * WAD)
    view = side_by_side(stage, robot, trader.address)
    assert view.debt_to_insurance == stage.lens.pool().insurance
    assert view.debt_to_pool > 80_000 * WAD
    assert view.top_up == 0
    before = stage.lens.pool().nav
    mined(stage, trader, view)
    assert stage.lens.pool().insurance == 0
    assert stage.lens.pool().nav == kept_nav(before - view.debt_to_pool)


def test_preview_liquidation__dead_leg__left_open_and_no_bad_debt(stage, robot, trader):
    stage.fund(trader, 200)
    stage.trade(trader, 0, 10)
    stage.trade(trader, 1, 5)
    stage.price(0, 70 * WAD)
    stage.silence(1)
    view = side_by_side(stage, robot, trader.address)
    assert (view.closed, view.left_open) == (1, 1)
    assert view.remaining < 0
    assert (view.debt_to_insurance, view.debt_to_pool) == (0, 0)
    mined(stage, trader, view)
    again = side_by_side(stage, robot, trader.address)
    assert (again.liquidatable, again.closed, again.reward) == (True, 0, 0)


def test_preview_liquidation__dead_leg_in_profit__pays_no_fee(stage, robot, trader):
    # 8 of cash is left and 50 of paper profit: fee and reward of 13 stop at the cash.
    stage.fund(trader, 200)
    stage.trade(trader, 0, 10)
    stage.trade(trader, 1, 5)
    stage.price(1, 110 * WAD)
    stage.clearinghouse.poke(1, sender=stage.stranger)
    stage.silence(1)
    stage.price(0, 81 * WAD)
    view = side_by_side(stage, robot, trader.address)
    assert (view.closed, view.left_open) == (1, 1)
    assert 8 * WAD < view.charged < 9 * WAD
    assert view.remaining == 0
    mined(stage, trader, view)


def test_preview_liquidation__allowance_of_the_block_used__smaller_top_up(stage, robot, accounts):
    # 20 a block, 5 an account: the fifth liquidation of one block gets nothing.
    victims = accounts[5:10]
    for victim in victims:
        stage.fund(victim, 100)
        stage.trade(victim, 0, 10)
    stage.price(0, 80 * WAD)
    first = [(stage.clearinghouse.liquidate, victim.address) for victim in victims[:3]]
    assert side_by_side(stage, robot, victims[4].address, first).top_up == 5 * WAD
    first.append((stage.clearinghouse.liquidate, victims[3].address))
    assert side_by_side(stage, robot, victims[4].address, first).top_up == 0


def test_preview_liquidation__system_accounts__never(stage, robot):
    for account in (stage.pool.address, stage.clearinghouse.address, "0x" + "00" * 20):
        assert not side_by_side(stage, robot, account).liquidatable


@pytest.mark.parametrize("seed", range(2))
def test_preview_liquidation__random_accounts__preview_is_the_liquidation(
    stage, robot, accounts, seed
):
    dice = random.Random(seed)
    victims = accounts[5:11]
    for victim in victims:
        stage.fund(victim, dice.choice([100, 300, 5_000]))
        for market, part in ((0, 250), (1, 800), (2, 300)):
            size = stage.lens.account(victim).buying_power / WAD / part
            stage.trade(victim, market, round(dice.choice([-1, 1]) * size, 6))
    for market in range(3):
        stage.price(market, dice.choice([70, 80, 96, 104, 125, 140]) * WAD)
    if seed == 1:
        stage.silence(1)
    seen = [side_by_side(stage, robot, victim.address) for victim in victims]
    assert any(view.liquidatable for view in seen)
    for victim in victims:
        view = stage.tokens.preview_liquidation(victim)
        if view.liquidatable and not stage.clearinghouse.leg(victim, 2).size:
            mined(stage, victim, view)
