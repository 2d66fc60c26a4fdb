"""The pool's threats, 69 to 81 of the threat model, played through: the attacker is no richer.

Number 79, rounding, is in test_properties.py; 73 and 125, callbacks, in test_entry.py; 75 and 76,
exposure and allowances, in test_exit.py.
"""

import ape
import pytest

from tests.unit.LiquidityPool.conftest import COOLDOWN, HOUR, WAD, WINDOW, wad

# ------------------------------------------------------------------ inflation (69)


@pytest.mark.parametrize("first", [1, 10**6])
def test_attack_69__inflate_the_first_share__the_next_one_loses_a_millionth(
    empty_stage, attacker, user, first
):
    """Deposit one raw unit, send the pool a fortune, and the next deposit rounds to nothing.

    Here a fortune sent to the contract, or to the Clearinghouse, is nobody's, and a share is a
    millionth of a raw unit (FM23#190, VA24#85).
    """
    stage = empty_stage
    stage.enter(attacker, first)
    fortune = 10**6 * stage.quote
    stage.token.mint(stage.pool, fortune, sender=attacker)
    stage.token.mint(stage.clearinghouse, fortune, sender=attacker)
    raw = 10**6 * stage.quote
    shares = stage.enter(user, raw)
    assert stage.pool.convertToAssets(shares) >= raw - raw // 10**6 - 1
    assert stage.pool.convertToAssets(stage.pool.balanceOf(attacker)) <= first


def test_attack_69__inflate_by_losing_at_trading__costs_the_attacker_more_than_the_victim(
    stage_of, attacker, user, stranger
):
    """The one way to give to the pool is to lose to it: fees, for instance, on a small pool."""
    stage = stage_of()
    stage.list_market("ALPHA", taker_fee_ppm=2_000, spread_ppm=4_000)
    attackers_shares = stage.enter(attacker, 100 * stage.quote)
    stage.fund(attacker, 10_000)
    spent = stage.wealth(attacker)
    for _ in range(5):
        stage.trade(attacker, 0, 1)
        stage.trade(attacker, 0, -1)
    spent -= stage.wealth(attacker)
    raw = 1_000 * stage.quote
    shares = stage.enter(user, raw)
    victims_loss = raw - stage.pool.convertToAssets(shares)
    gain = stage.pool.convertToAssets(attackers_shares) - 100 * stage.quote
    assert victims_loss <= 2
    assert gain * stage.unit < spent


# ------------------------------------------------------------------ the premium (70)


@pytest.mark.parametrize("flash", [1, 10, 90])
def test_attack_70__deposit_push_the_skew_redeem_unwind__is_no_richer(
    stage, attacker, stranger, lp, flash
):
    """Deposit 1m to 90m, push the skew to its cap so that the pool books the premium, take a share
    of it out with the deposit, then unwind and have the premium back.

    The premium is owed back from the instant it is booked, so NAV does not move but for the fees.
    """
    stage.fund(attacker, 500_000)
    raw = flash * 10**6 * stage.quote
    stage.give(attacker, raw)
    before = stage.wealth(attacker)
    others = stage.pool.convertToAssets(stage.pool.balanceOf(lp))
    stage.pool.deposit(raw, attacker, sender=attacker)
    stage.trade(attacker, 0, 5_000)
    stage.request(attacker)
    stage.pass_time(COOLDOWN)
    stage.pool.redeem(stage.pool.maxRedeem(attacker), attacker, attacker, sender=attacker)
    stage.trade(attacker, 0, -5_000)
    assert stage.pool.balanceOf(attacker) == 0
    assert stage.wealth(attacker) < before
    assert stage.pool.convertToAssets(stage.pool.balanceOf(lp)) >= others


def test_attack_70__push_between_request_and_claim__is_no_richer(stage, attacker, lp):
    stage.fund(attacker, 500_000)
    raw = 10**7 * stage.quote
    stage.give(attacker, raw)
    before = stage.wealth(attacker)
    stage.trade(attacker, 0, -5_000)  # on the thin side, for a discount
    stage.pool.deposit(raw, attacker, sender=attacker)
    stage.request(attacker)
    stage.pass_time(COOLDOWN)
    stage.trade(attacker, 0, 5_000)
    stage.pool.redeem(stage.pool.maxRedeem(attacker), attacker, attacker, sender=attacker)
    assert stage.wealth(attacker) < before


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


# ------------------------------------------------------------------ known prices (71)


@pytest.mark.parametrize("price", ["99.9", "99.91", "99.95"])
def test_attack_71__deposit_before_a_known_gain_of_the_spread__is_no_richer(
    stage, attacker, trader, price
):
    """The feed is about to fall by no more than its deviation; the pool is short and will gain.

    Who enters pays the spread on the whole skew, which is what he would gain but for the premium's
    own part in the move, k / 2S of it: under a thousandth of a basis point, and a day at risk.
    """
    stage.trade(trader, 1, 3_000)
    raw = 10**7 * stage.quote
    stage.give(attacker, raw)
    stage.pool.deposit(raw, attacker, sender=attacker)
    stage.price(0, price)
    stage.request(attacker)
    stage.pass_time(COOLDOWN)
    stage.pool.redeem(stage.pool.maxRedeem(attacker), attacker, attacker, sender=attacker)
    allowed = raw // 10**7 if price == "99.9" else 0
    assert stage.token.balanceOf(attacker) <= raw + allowed


def test_attack_71__wait_for_a_good_moment__the_request_is_the_upper_bound(stage, attacker):
    """A request that stands could be claimed on the top: it pays no more than when it was made."""
    raw = 10**6 * stage.quote
    shares = stage.enter(attacker, raw)
    stage.request(attacker)
    bound = stage.pool.request_of(attacker).worth // stage.unit
    stage.pass_time(COOLDOWN)
    for price in (80, 60, 40):
        stage.price(0, price)
        assert stage.pool.maxWithdraw(attacker) == bound
    stage.pass_time(WINDOW + HOUR)
    assert stage.pool.maxWithdraw(attacker) == 0
    with ape.reverts("pool: request has lapsed"):
        stage.pool.redeem(shares, attacker, attacker, sender=attacker)


# ------------------------------------------------------------------ fees around a deposit (72)


def test_attack_72__flash_deposit_around_a_great_trade__cannot_leave_at_once(
    stage, attacker, trader, stranger
):
    raw = 90 * 10**6 * stage.quote
    shares = stage.enter(attacker, raw)
    stage.trade(trader, 0, 4_000)
    stage.request(attacker)
    for call in (stage.pool.redeem, stage.pool.withdraw):
        with ape.reverts("pool: cooling down"):
            call(shares, attacker, attacker, sender=attacker)
    assert stage.pool.maxRedeem(attacker) == 0


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


def test_attack_77__a_receiver_who_cannot_be_paid__harms_himself_alone(stage, user, attacker):
    for who in (user, attacker):
        stage.enter(who, 10**6)
        stage.request(who)
    stage.pass_time(COOLDOWN)
    with ape.reverts("withdraw: bad receiver"):
        stage.pool.redeem(10**6, stage.clearinghouse, attacker, sender=attacker)
    stage.pool.redeem(10**6, user, user, sender=user)


# ------------------------------------------------------------------ losses (74, 78)


def test_attack_74__a_debt_that_nobody_pays__is_shared_by_who_asked_to_leave_before(
    stage, attacker, lp, stranger
):
    """A trader is under water and the pool counts what he will never pay. Whoever asks to leave now
    has the loss in his claim all the same, once anyone has liquidated."""
    raw = 10**7 * stage.quote
    stage.enter(attacker, raw)
    stage.fund(stranger, 60_000)
    stage.trade(stranger, 1, 10_000)
    stage.price(1, 80)
    stage.request(attacker)
    asked = stage.pool.request_of(attacker).worth
    lost = stage.pool.valuation().nav
    stage.clearinghouse.liquidate(stranger, sender=lp)
    lost -= stage.pool.valuation().nav
    assert lost > 100_000 * WAD
    stage.pass_time(COOLDOWN)
    assert stage.pool.maxWithdraw(attacker) * stage.unit < asked - lost * 49 // 100


def test_attack_78__pool_wiped_out__nobody_buys_in_or_out_until_it_recovers(
    stage, lp, user, attacker
):
    stage.price(0, 3_000)
    stage.give(attacker, 10**6 * stage.quote)
    for call in (
        lambda: stage.pool.deposit(1, attacker, sender=attacker),
        lambda: stage.pool.mint(1, attacker, sender=attacker),
        lambda: stage.request(lp),
    ):
        with ape.reverts("pool: no equity"):
            call()
    stage.price(0, 2_000)
    assert stage.enter(attacker, 10**6) > 0


def test_attack_78__buying_into_an_almost_dead_pool__pays_what_it_is_worth(stage, lp, attacker):
    """At a hundredth of its worth shares are cheap, and are worth just as little."""
    stage.price(0, 2_060)
    left = stage.pool.valuation().nav
    assert 0 < left < 200_000 * WAD
    raw = 10**6 * stage.quote
    shares = stage.enter(attacker, raw)
    assert stage.pool.convertToAssets(shares) < raw
    assert stage.pool.convertToAssets(stage.pool.balanceOf(lp)) * stage.unit >= left


# ------------------------------------------------------------------ other tokens, whales (80, 81)


def test_attack_80__other_tokens__are_not_counted(stage, project, deployer, attacker):
    other = deployer.deploy(project.TokenMock, "Other", "O", 18)
    before = stage.pool.valuation()
    other.mint(stage.pool, 10**30, sender=attacker)
    other.mint(stage.clearinghouse, 10**30, sender=attacker)
    assert stage.pool.valuation() == before


def test_attack_81__owner_of_most_of_the_pool_trades_both_sides__pays_more_than_he_earns(
    stage, attacker, stranger, lp
):
    """He owns nine tenths of the pool and pays it fees on both sides: the insurance fund's fifth of
    them and the tenth of the others are lost to him."""
    raw = 90 * 10**6 * stage.quote
    stage.enter(attacker, raw)
    stage.fund(attacker, 1_000_000)
    sub = attacker.address[:-2] + format(int(attacker.address[-2:], 16) ^ 1, "02x")
    stage.token.mint(attacker, 10**6 * stage.quote, sender=attacker)
    stage.clearinghouse.deposit(sub, stage.token, 10**6 * stage.quote, sender=attacker)

    def fortune():
        shares = stage.pool.convertToAssets(stage.pool.balanceOf(attacker)) * stage.unit
        return stage.wealth(attacker) + stage.cash(sub) + shares

    before = fortune()
    stage.trade(attacker, 0, 4_000)
    stage.clearinghouse.trade(sub, 0, wad(-9_000), 0, sender=attacker)
    stage.trade(attacker, 0, -4_000)
    stage.clearinghouse.trade(sub, 0, wad(9_000), 2**256 - 1, sender=attacker)
    assert fortune() < before
