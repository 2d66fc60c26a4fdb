"""Requests, claims, what they pay, and every refusal (LPV-2 to LPV-4)."""

import ape
import pytest

from tests.unit.LiquidityPool.conftest import (
    COOLDOWN,
    NOWHERE,
    PPM,
    VIRTUAL,
    WAD,
    WINDOW,
    ceil_div,
    kept,
)


@pytest.fixture
def shares(stage, user):
    """A tenth of the pool's worth, in the hands of `user`."""
    return stage.enter(user, 1_000_000 * stage.quote)


@pytest.fixture
def ready(stage, user, shares):
    """The same, requested and just claimable."""
    stage.request(user)
    stage.pass_time(COOLDOWN)
    return shares


def worth(stage, shares):
    """What so many shares are worth [WAD quote], by whole numbers."""
    nav = stage.pool.valuation().nav
    return shares * (nav + stage.unit) // (stage.pool.totalSupply() + VIRTUAL)


# ------------------------------------------------------------------ requests


def test_request__own_shares__escrows_and_keeps_their_worth(stage, user, shares, chain):
    expected = worth(stage, shares)
    assert stage.pool.requestRedeem.call(shares, user, user, sender=user) == 0
    receipt = stage.pool.requestRedeem(shares, user, user, sender=user)
    claimable_at = chain.blocks.head.timestamp + COOLDOWN
    pool = stage.pool
    assert receipt.events == [
        pool.RequestKept(controller=user, shares=shares, worth=expected, claimable_at=claimable_at),
        pool.Transfer(sender=user, receiver=pool, value=shares),
        pool.RedeemRequest(controller=user, owner=user, requestId=0, sender=user, shares=shares),
    ]
    assert tuple(pool.request_of(user)) == (shares, expected, claimable_at)
    assert (pool.balanceOf(user), pool.balanceOf(pool)) == (0, shares)
    assert (pool.pendingRedeemRequest(0, user), pool.claimableRedeemRequest(0, user)) == (shares, 0)


def test_request__other_ids__are_empty(stage, user, ready):
    assert stage.pool.claimableRedeemRequest(0, user) == ready
    assert stage.pool.claimableRedeemRequest(1, user) == 0
    stage.pool.cancelRequest(user, user, sender=user)
    stage.request(user)
    assert stage.pool.pendingRedeemRequest(0, user) == ready
    assert stage.pool.pendingRedeemRequest(1, user) == 0


def test_request__nothing__reverts(stage, user, shares):
    with ape.reverts("pool: zero shares"):
        stage.pool.requestRedeem(0, user, user, sender=user)
    stage.pool.requestRedeem(shares, user, user, sender=user)


def test_request__more_than_the_balance__reverts(stage, user, shares):
    with ape.reverts("shares: balance too low"):
        stage.pool.requestRedeem(shares + 1, user, user, sender=user)
    stage.pool.requestRedeem(shares, user, user, sender=user)


def test_request__dead_feed__waits(stage, user, shares):
    stage.kill(0)
    with ape.reverts("pool: a price is not live"):
        stage.request(user)
    stage.renew()
    stage.request(user)


def test_request__no_equity__reverts(stage, user, shares):
    stage.price(0, 3_000)
    with ape.reverts("pool: no equity"):
        stage.request(user)
    stage.price(0, 100)
    stage.request(user)


def test_request__on_top_of_a_running_one__starts_anew_at_the_lesser_value(stage, user, shares):
    stage.request(user, shares // 4)
    low = stage.pool.request_of(user).worth
    stage.price(0, 90)  # the pool gains
    stage.pass_time(COOLDOWN - 100)
    stage.request(user, shares // 4)
    total, value, claimable_at = stage.pool.request_of(user)
    assert total == 2 * (shares // 4)
    assert value == low * total // (shares // 4)
    assert worth(stage, total) > value
    stage.pass_time(COOLDOWN // 2)
    with ape.reverts("pool: cooling down"):
        stage.pool.redeem(1, user, user, sender=user)
    stage.price(0, 110)  # now it loses
    stage.request(user, 1)
    total, value, later = stage.pool.request_of(user)
    assert value == worth(stage, total) < low * total // (shares // 4)
    assert later > claimable_at


def test_request__on_top_of_a_claimable_one__takes_the_lesser_value_too(stage, user, shares):
    stage.request(user, shares // 2)
    low = stage.pool.request_of(user).worth
    stage.price(0, 90)
    stage.pass_time(COOLDOWN + WINDOW - 10)
    assert stage.pool.claimableRedeemRequest(0, user) == shares // 2
    stage.request(user, shares // 2)
    total, value, _ = stage.pool.request_of(user)
    assert value == low * total // (shares // 2) < worth(stage, total)
    assert stage.pool.claimableRedeemRequest(0, user) == 0


def test_request__on_top_of_a_lapsed_one__takes_todays_value_for_all(stage, user, shares):
    stage.request(user, shares // 2)
    stage.price(0, 90)
    stage.pass_time(COOLDOWN + WINDOW + 10)
    assert stage.pool.maxRedeem(user) == 0
    stage.request(user, 1)
    total, value, _ = stage.pool.request_of(user)
    assert (total, value) == (shares // 2 + 1, worth(stage, shares // 2 + 1))
    stage.pass_time(COOLDOWN)
    stage.pool.redeem(total, user, user, sender=user)


# ------------------------------------------------------------------ whose request (threat 76)


def test_request__strangers_shares__needs_the_owners_leave(stage, user, stranger, shares):
    with ape.reverts("shares: allowance too low"):
        stage.pool.requestRedeem(shares, stranger, user, sender=stranger)
    stage.pool.approve(stranger, shares - 1, sender=user)
    with ape.reverts("shares: allowance too low"):
        stage.pool.requestRedeem(shares, stranger, user, sender=stranger)
    stage.pool.requestRedeem(shares - 1, stranger, user, sender=stranger)
    assert stage.pool.allowance(user, stranger) == 0
    assert stage.pool.pendingRedeemRequest(0, stranger) == shares - 1


def test_request__operator_of_the_owner__needs_no_allowance(stage, user, stranger, shares):
    receipt = stage.pool.setOperator(stranger, True, sender=user)
    assert receipt.events == [
        stage.pool.OperatorSet(controller=user, operator=stranger, approved=True)
    ]
    assert stage.pool.isOperator(user, stranger)
    stage.pool.requestRedeem(shares, user, user, sender=stranger)
    assert stage.pool.pendingRedeemRequest(0, user) == shares


def test_request__operator_of_the_controller_alone__has_no_right_to_the_owners_shares(
    stage, user, attacker, stranger, shares
):
    """An operator of the controller agrees for him to the request; the shares are still another's."""
    stage.pool.setOperator(attacker, True, sender=stranger)
    with ape.reverts("shares: allowance too low"):
        stage.pool.requestRedeem(shares, stranger, user, sender=attacker)
    stage.pool.setOperator(attacker, True, sender=user)
    stage.pool.requestRedeem(shares, stranger, user, sender=attacker)
    assert stage.pool.pendingRedeemRequest(0, stranger) == shares


def test_request__strangers_dust_for_a_controller__cannot_restart_his_cooldown(
    stage, user, stranger, shares
):
    stage.request(user)
    dust = stage.enter(stranger, 10**6)
    with ape.reverts("pool: not your request"):
        stage.pool.requestRedeem(dust, user, stranger, sender=stranger)
    stage.pool.setOperator(stranger, True, sender=user)
    stage.pool.requestRedeem(dust, user, stranger, sender=stranger)
    assert stage.pool.pendingRedeemRequest(0, user) == shares + dust


def test_claim__stranger__reverts_even_with_an_allowance(stage, user, stranger, ready):
    stage.pool.approve(stranger, 2**256 - 1, sender=user)
    for call in (
        lambda: stage.pool.redeem(ready, stranger, user, sender=stranger),
        lambda: stage.pool.withdraw(10**6, stranger, user, sender=stranger),
        lambda: stage.pool.cancelRequest(stranger, user, sender=stranger),
    ):
        with ape.reverts("pool: not your request"):
            call()
    stage.pool.redeem(ready, user, user, sender=user)


@pytest.mark.parametrize("call", ["redeem", "withdraw", "cancelRequest"])
def test_claim__operator__may_and_then_no_longer(stage, user, stranger, ready, call):
    arguments = {
        "redeem": (ready, stranger, user),
        "withdraw": (10**6, stranger, user),
        "cancelRequest": (stranger, user),
    }[call]
    stage.pool.setOperator(stranger, True, sender=user)
    stage.pool.setOperator(stranger, False, sender=user)
    with ape.reverts("pool: not your request"):
        getattr(stage.pool, call)(*arguments, sender=stranger)
    stage.pool.setOperator(stranger, True, sender=user)
    getattr(stage.pool, call)(*arguments, sender=stranger)
    assert stage.token.balanceOf(stranger) + stage.pool.balanceOf(stranger) > 0


def test_set_operator__for_oneself_alone(stage, user, stranger):
    stage.pool.setOperator(user, True, sender=stranger)
    assert stage.pool.isOperator(stranger, user)
    assert not stage.pool.isOperator(user, stranger)


# ------------------------------------------------------------------ cancelling


@pytest.mark.parametrize("wait", [0, COOLDOWN, COOLDOWN + WINDOW + 10])
def test_cancel__waiting_claimable_or_lapsed__gives_the_shares_back(
    stage, user, stranger, shares, wait
):
    stage.request(user)
    stage.pass_time(wait)
    assert stage.pool.cancelRequest.call(stranger, user, sender=user) == shares
    receipt = stage.pool.cancelRequest(stranger, user, sender=user)
    assert receipt.events == [
        stage.pool.RequestKept(controller=user, shares=0, worth=0, claimable_at=0),
        stage.pool.Transfer(sender=stage.pool, receiver=stranger, value=shares),
    ]
    assert (stage.pool.balanceOf(stranger), stage.pool.balanceOf(stage.pool)) == (shares, 0)
    assert tuple(stage.pool.request_of(user)) == (0, 0, 0)


def test_cancel__no_request__reverts(stage, user):
    with ape.reverts("pool: no request"):
        stage.pool.cancelRequest(user, user, sender=user)


def test_cancel__to_nobody_or_to_the_pool__reverts(stage, user, ready):
    for receiver in (NOWHERE, stage.pool):
        with ape.reverts("shares: bad receiver"):
            stage.pool.cancelRequest(receiver, user, sender=user)
    stage.pool.cancelRequest(user, user, sender=user)


def test_cancel__dead_feed__gives_the_shares_back_all_the_same(stage, user, ready):
    stage.kill(0)
    stage.pool.cancelRequest(user, user, sender=user)
    assert stage.pool.balanceOf(user) == ready


# ------------------------------------------------------------------ claims


def test_redeem__all__pays_burns_and_tells(stage, user, stranger, ready):
    request, nav = stage.pool.request_of(user), stage.pool.valuation().nav
    expected = min(worth(stage, ready), request.worth) // stage.unit
    cash, supply = stage.cash(stage.pool), stage.pool.totalSupply()
    assert stage.pool.maxRedeem(user) == ready
    assert stage.pool.maxWithdraw(user) == expected
    assert stage.pool.redeem.call(ready, stranger, user, sender=user) == expected
    receipt = stage.pool.redeem(ready, stranger, user, sender=user)
    clearinghouse, pool, token = stage.clearinghouse, stage.pool, stage.token
    after = nav - expected * stage.unit
    assert receipt.events == [
        pool.RequestKept(controller=user, shares=0, worth=0, claimable_at=0),
        pool.Transfer(sender=pool, receiver=NOWHERE, value=ready),
        pool.Withdraw(sender=user, receiver=stranger, owner=user, assets=expected, shares=ready),
        clearinghouse.NavKnown(nav=after),
        clearinghouse.CashMoved(account=pool, cash=cash - expected * stage.unit),
        token.Transfer(sender=clearinghouse, receiver=stranger, value=expected),
        clearinghouse.Withdrawn(account=pool, token=token, receiver=stranger, amount=expected),
    ]
    assert token.balanceOf(stranger) == expected
    assert pool.totalSupply() == supply - ready
    assert pool.valuation().nav == after
    assert stage.known_nav() == kept(after)
    assert (pool.maxRedeem(user), pool.claimableRedeemRequest(0, user)) == (0, 0)
    with ape.reverts("pool: no request"):
        pool.redeem(1, user, user, sender=user)


def test_redeem__in_parts__never_pays_more_than_at_once(stage, user, ready):
    at_once = stage.pool.maxWithdraw(user)
    value = stage.pool.request_of(user).worth
    part = ready // 3
    for _ in range(3):
        stage.pool.redeem(part, user, user, sender=user)
    rest, left, _ = stage.pool.request_of(user)
    assert rest == ready - 3 * part
    assert left <= value * rest // ready
    assert at_once - 3 <= stage.token.balanceOf(user) <= at_once


@pytest.mark.parametrize("price", [90, 110])
def test_withdraw__part__burns_shares_rounded_up(stage, user, stranger, ready, price):
    stage.price(0, price)
    request, nav = stage.pool.request_of(user), stage.pool.valuation().nav
    raw = 123_456_789
    supply = stage.pool.totalSupply() + VIRTUAL
    by_now = ceil_div(raw * stage.unit * supply, nav + stage.unit)
    by_then = ceil_div(raw * stage.unit * request.shares, request.worth)
    assert (by_now > by_then) == (price == 110)  # the pool is short: dearer is worse
    expected = max(by_now, by_then)
    assert stage.pool.withdraw.call(raw, stranger, user, sender=user) == expected
    stage.pool.withdraw(raw, stranger, user, sender=user)
    assert stage.token.balanceOf(stranger) == raw
    left = stage.pool.request_of(user)
    assert left.shares == ready - expected == stage.pool.balanceOf(stage.pool)
    assert left.worth == request.worth * left.shares // ready
    assert left.claimable_at == request.claimable_at


def test_withdraw__max_withdraw__passes_and_one_more_reverts(stage, user, ready):
    most = stage.pool.maxWithdraw(user)
    with ape.reverts("pool: more than requested"):
        stage.pool.withdraw(most + 1, user, user, sender=user)
    stage.pool.withdraw(most, user, user, sender=user)
    assert stage.token.balanceOf(user) == most


def test_redeem__more_than_requested__reverts(stage, user, ready):
    with ape.reverts("pool: more than requested"):
        stage.pool.redeem(ready + 1, user, user, sender=user)
    stage.pool.redeem(ready, user, user, sender=user)


def test_claim__pool_gained_meanwhile__pays_the_worth_of_the_request(stage, user, shares):
    stage.request(user)
    then = stage.pool.request_of(user).worth
    stage.price(0, 90)
    stage.pass_time(COOLDOWN)
    assert worth(stage, shares) > then
    assert stage.pool.maxWithdraw(user) == then // stage.unit
    stage.pool.redeem(shares, user, user, sender=user)
    assert stage.token.balanceOf(user) == then // stage.unit


def test_claim__pool_lost_meanwhile__pays_the_worth_of_today(stage, user, shares):
    stage.request(user)
    then = stage.pool.request_of(user).worth
    stage.price(0, 110)
    stage.pass_time(COOLDOWN)
    today = worth(stage, shares)
    assert today < then
    assert stage.pool.maxWithdraw(user) == today // stage.unit
    stage.pool.redeem(shares, user, user, sender=user)
    assert stage.token.balanceOf(user) == today // stage.unit


def test_claim__lesser_by_share__is_not_lesser_by_total(stage, user, lp, shares):
    """Others who come and go in between change the pool's NAV, and not the claim."""
    stage.request(user)
    then = stage.pool.request_of(user).worth
    stage.enter(lp, 5_000_000 * stage.quote)
    stage.pass_time(COOLDOWN)
    # What the newcomer paid for the spread stays in the pool, so the request's own worth binds.
    assert stage.pool.maxWithdraw(user) == then // stage.unit


# ------------------------------------------------------------------ the time for it


def test_claim__time__from_the_cooldowns_end_to_two_days_later(stage, user, shares, chain):
    stage.request(user)
    claimable_at = stage.pool.request_of(user).claimable_at
    assert claimable_at == chain.blocks.head.timestamp + COOLDOWN
    stage.pass_time(COOLDOWN - 20)
    stage.renew()
    for second, call in ((2, stage.pool.redeem), (1, stage.pool.withdraw)):
        chain.pending_timestamp = claimable_at - second
        with ape.reverts("pool: cooling down"):
            call(10**6, user, user, sender=user)
    chain.pending_timestamp = claimable_at
    stage.pool.withdraw(10**6, user, user, sender=user)
    assert chain.blocks.head.timestamp == claimable_at
    stage.pass_time(WINDOW - 100)
    chain.pending_timestamp = claimable_at + WINDOW
    stage.pool.withdraw(10**6, user, user, sender=user)
    assert chain.blocks.head.timestamp == claimable_at + WINDOW
    for call in (stage.pool.redeem, stage.pool.withdraw):
        with ape.reverts("pool: request has lapsed"):
            call(10**6, user, user, sender=user)


def test_views__through_the_life_of_a_request__tell_the_truth(stage, user, shares):
    pool = stage.pool

    def told():
        return (
            pool.pendingRedeemRequest(0, user),
            pool.claimableRedeemRequest(0, user),
            pool.maxRedeem(user),
            pool.maxWithdraw(user) > 0,
        )

    assert told() == (0, 0, 0, False)
    stage.request(user)
    assert told() == (shares, 0, 0, False)
    stage.pass_time(COOLDOWN)
    assert told() == (0, shares, shares, True)
    stage.kill(0)
    assert told() == (0, shares, 0, False)
    stage.renew()
    assert told() == (0, shares, shares, True)
    stage.pass_time(WINDOW + 10)
    assert told() == (0, 0, 0, False)
    assert pool.request_of(user).shares == shares


# ------------------------------------------------------------------ refusals


def test_claim__nothing__reverts(stage, user, ready):
    with ape.reverts("pool: zero assets"):
        stage.pool.redeem(0, user, user, sender=user)
    with ape.reverts("pool: zero assets"):
        stage.pool.withdraw(0, user, user, sender=user)
    with ape.reverts("pool: zero assets"):
        stage.pool.redeem(1, user, user, sender=user)  # a millionth of a raw unit
    stage.pool.redeem(10**6, user, user, sender=user)
    assert stage.token.balanceOf(user) == 1


def test_claim__less_than_wanted__reverts(stage, user, ready):
    assets = stage.pool.maxWithdraw(user)
    with ape.reverts("pool: too few assets"):
        stage.pool.redeem(ready, user, user, assets + 1, sender=user)
    half = assets // 2
    burned = stage.pool.withdraw.call(half, user, user, sender=user)
    with ape.reverts("pool: too many shares"):
        stage.pool.withdraw(half, user, user, burned - 1, sender=user)
    stage.pool.withdraw(half, user, user, burned, sender=user)
    rest = stage.pool.request_of(user).shares
    left = stage.pool.maxWithdraw(user)
    stage.pool.redeem(rest, user, user, left, sender=user)
    assert stage.token.balanceOf(user) == half + left


def test_claim__dead_feed__waits(stage, user, ready):
    stage.kill(1)
    for call in (stage.pool.redeem, stage.pool.withdraw):
        with ape.reverts("pool: a price is not live"):
            call(10**7, user, user, sender=user)
    stage.renew()
    stage.pool.redeem(10**7, user, user, sender=user)


def test_claim__no_equity__reverts(stage, user, ready):
    stage.price(0, 3_000)
    assert (stage.pool.maxRedeem(user), stage.pool.maxWithdraw(user)) == (0, 0)
    for call in (stage.pool.redeem, stage.pool.withdraw):
        with ape.reverts("pool: no equity"):
            call(10**7, user, user, sender=user)
    stage.price(0, 100)
    stage.pool.redeem(10**7, user, user, sender=user)


def test_claim__to_bad_receivers__reverts(stage, user, ready):
    for call in (stage.pool.redeem, stage.pool.withdraw):
        with ape.reverts("pool: bad receiver"):
            call(10**7, stage.pool, user, sender=user)
        for receiver in (NOWHERE, stage.clearinghouse):
            with ape.reverts("withdraw: bad receiver"):
                call(10**7, receiver, user, sender=user)
        call(10**7, user, user, sender=user)


# ------------------------------------------------------------------ exposure (LPV-3, threat 75)


@pytest.fixture
def stretched(stage, lp, user, trader, stranger):
    """1.7m of exposure over a pool of 1.2m: of his 0.2m, `user` can claim a third."""
    stage.request(lp, stage.pool.balanceOf(lp) * 9 // 10)
    stage.pass_time(COOLDOWN)
    stage.pool.redeem(stage.pool.maxRedeem(lp), lp, lp, sender=lp)
    shares = stage.enter(user, 200_000 * stage.quote)
    stage.fund(stranger, 500_000)
    stage.trade(trader, 0, 5_000)
    stage.trade(stranger, 0, -10_000)
    stage.trade(trader, 1, -4_000)
    stage.trade(stranger, 1, 7_000)
    stage.request(user)
    stage.pass_time(COOLDOWN)
    return shares


def test_claim__exposure__no_more_than_leaves_it_within_the_leverage(stage, user, stretched):
    nav, exposure = stage.pool.valuation().nav, stage.exposure()
    room = (nav - ceil_div(exposure * PPM, stage.max_leverage)) // stage.unit
    most = stage.pool.maxWithdraw(user)
    assert most == room < worth(stage, stretched) // stage.unit
    with ape.reverts("pool: exposure too high"):
        stage.pool.withdraw(most + 1, user, user, sender=user)
    stage.pool.withdraw(most, user, user, sender=user)
    after = stage.known_nav()
    assert stage.exposure() * PPM <= after * stage.max_leverage


def test_claim__exposure_above_the_leverage__nothing_leaves(stage, user, lp, trader, ready):
    """The pool's worth falls below what its exposure needs: all stay until it shrinks."""
    stage.price(0, 2_215)
    nav = stage.pool.valuation().nav
    assert 0 < nav * stage.max_leverage < 5_000 * 100 * WAD * PPM + 300_000 * WAD * PPM
    assert (stage.pool.maxRedeem(user), stage.pool.maxWithdraw(user)) == (0, 0)
    for call in (stage.pool.redeem, stage.pool.withdraw):
        with ape.reverts("pool: exposure too high"):
            call(10**8, user, user, sender=user)
    stage.price(0, 100)
    stage.pool.redeem(10**8, user, user, sender=user)


def test_max_redeem__bound_by_the_exposure__passes_and_one_more_reverts(stage, user, stretched):
    most = stage.pool.maxRedeem(user)
    assert 0 < most < stretched
    assert stage.pool.redeem.call(most, user, user, sender=user) == stage.pool.maxWithdraw(user)
    with ape.reverts("pool: exposure too high"):
        stage.pool.redeem(most + 1, user, user, sender=user)
    stage.pool.redeem(most, user, user, sender=user)


def test_claim__stale_exposure__needs_no_poke(stage, user, ready):
    """The exposure is as of each market's last fill, as in the Clearinghouse's own check."""
    before = stage.pool.maxWithdraw(user)
    stage.clearinghouse.poke(0, sender=user)
    assert stage.pool.maxWithdraw(user) == before
    assert stage.exposure() == 800_000 * WAD


def test_claim__every_dead_leg_but_flat__passes(stage, user, trader, ready):
    stage.trade(trader, 0, -5_000)
    stage.trade(trader, 1, 3_000)
    stage.kill(0)
    stage.kill(1)
    stage.pool.redeem(ready, user, user, sender=user)
    assert stage.token.balanceOf(user) > 0


def test_pool__last_one_out__leaves_only_what_is_nobodys(stage, lp, trader):
    stage.trade(trader, 0, -5_000)
    stage.trade(trader, 1, 3_000)
    stage.request(lp)
    stage.pass_time(COOLDOWN)
    stage.pool.redeem(stage.pool.maxRedeem(lp), lp, lp, sender=lp)
    assert stage.pool.totalSupply() == 0
    assert stage.pool.totalAssets() <= stage.token.balanceOf(lp) // 10**12 + 1
    assert stage.enter(lp, 10**9) > 0
    assert stage.pool.convertToAssets(stage.pool.balanceOf(lp)) == pytest.approx(10**9, abs=200)
