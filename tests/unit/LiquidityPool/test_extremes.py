"""States that a real Clearinghouse hardly reaches, told by a puppet: whole widths, bare edges."""

from fractions import Fraction
from pathlib import Path

import ape
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from plimsoll.slots import OPEN, REDUCE_ONLY
from tests.unit.LiquidityPool.conftest import COOLDOWN, DAY, MAX_UINT, PPM, VIRTUAL, WAD, ceil_div

UNIT = 10**12  # [WAD quote] of a raw unit at six decimals
MILLION = 10**6 * 10**6  # [raw]
STATUS = 185  # where a market's status is in its first word
CUSTODY = 10**9 * 10**6  # [raw]


@pytest.fixture(scope="module")
def puppet_of(accounts):
    """A puppet of a Clearinghouse and of its Configurator."""
    source = Path(__file__).with_name("Puppet.vy").read_text(encoding="utf-8")
    container = ape.compilers.compile_source("vyper", source, contractName="Puppet")
    return lambda: accounts[0].deploy(container)


class World:
    """A pool on a puppet."""

    def __init__(self, project, deployer, puppet, decimals=6):
        self.deployer, self.puppet = deployer, puppet
        self.token = deployer.deploy(project.TokenMock, "Quote", "Q", decimals)
        self.pool = deployer.deploy(project.LiquidityPool, puppet, self.token, "Pool", "P", DAY)
        self.token.mint(puppet, CUSTODY, sender=deployer)

    def say(self, cash, custody=CUSTODY, exposure=0, leverage=1_500_000):
        """The pool's cash [WAD], what is held [raw], exposure [WAD], greatest leverage [ppm]."""
        self.puppet.say(cash, custody, exposure << 64, leverage, sender=self.deployer)

    def enter(self, who, raw):
        """A deposit of new tokens [raw]."""
        self.token.mint(who, raw, sender=who)
        self.token.approve(self.pool, raw, sender=who)
        self.pool.deposit(raw, who, sender=who)


@pytest.fixture
def world(project, deployer, puppet_of):
    return World(project, deployer, puppet_of())


@pytest.fixture
def ready(world, user):
    """A million entered, requested at its worth, and just claimable."""
    world.say(0)
    world.enter(user, MILLION)
    world.say(MILLION * UNIT)
    world.pool.requestRedeem(world.pool.balanceOf(user), user, user, sender=user)
    ape.chain.pending_timestamp += COOLDOWN
    world.token.mint(user, 0, sender=user)
    return MILLION * VIRTUAL


# ------------------------------------------------------------------ the valuation at all widths

LEGS = st.lists(
    st.tuples(
        st.integers(1, 2**96 - 1),  # skew scale
        st.integers(0, 2**19),  # spread
        st.integers(0, 2**96 - 1),  # price
        st.sampled_from([0, 0, 0, 5]),  # status
        st.integers(-(2**95), 2**95 - 1),  # funding index
        st.integers(-(2**95) + 1, 2**95 - 1),  # skew
        st.sampled_from([OPEN, REDUCE_ONLY]),
    ),
    min_size=1,
    max_size=3,
)


@pytest.fixture(scope="module")
def told(project, deployer, puppet_of):
    """A world that the examples share: each overwrites what it reads."""
    return World(project, deployer, puppet_of())


@settings(
    max_examples=6,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(cash=st.integers(-(2**119), 2**119 - 1), legs=LEGS)
def test_valuation__any_market_of_any_width__is_exact(told, cash, legs):
    told.say(cash)
    legs = legs + [(1, 0, 0, 0, 0, 0, OPEN)] * (3 - len(legs))
    nav, spread, live, flat, maintenance, unpaid = cash, 0, True, cash, 0, 0
    for market, (scale, spread_ppm, price, status, index, skew, kept) in enumerate(legs):
        t0, t1 = kept << STATUS, scale | spread_ppm << 235
        told.puppet.say_leg(market, t0, t1, price, status, index, skew, sender=told.deployer)
        premium = ceil_div(price * skew**2, 2 * scale * WAD)
        nav += -skew * (price - index) // WAD - premium
        flat += -skew * (price - index) // WAD
        notional = ceil_div(abs(skew) * price, WAD)
        maintenance += ceil_div(notional * abs(skew), 2 * scale)
        unpaid += premium if kept == OPEN else 0
        spread += premium if kept == REDUCE_ONLY else 0
        spread += ceil_div(abs(skew) * price * spread_ppm, WAD * PPM)
        live = live and (status == 0 or skew == 0)
    spread += unpaid if flat < 2 * maintenance else 0
    assert tuple(told.pool.valuation()) == (nav, spread, 0, 0, 0, live)
    assert told.pool.totalAssets() == max(nav, 0) // UNIT


def test_valuation__lots_and_interest_on_their_way__are_due_and_not_in_the_nav(world):
    """What entries pay for (LPV-2): 7 by lots, 5 of which are sure; debts of 100 posted, 90 over their indices at
    1.2, so interest of 8, which is as sure as they are."""
    world.say(MILLION * UNIT)
    world.puppet.say_owed(7, 5, 100, 12 * WAD // 10, 90, sender=world.deployer)
    seen = world.pool.valuation()
    assert (seen.nav, seen.sure, seen.live) == (MILLION * UNIT, 5 + 8, True)
    with_interest = seen.due
    world.puppet.say_owed(7, 5, 100, WAD, 90, sender=world.deployer)
    assert (with_interest, world.pool.valuation().due) == (7 + 8, 7)
    world.puppet.say_owed(0, 0, 0, 0, 0, sender=world.deployer)


# ------------------------------------------------------------------ entry


def test_deposit__drained_to_nothing__is_stopped_and_empty_is_not(world, user):
    """Threat 78: nothing left and shares out is the end; nothing and nobody in, the beginning."""
    world.say(0)
    world.enter(user, MILLION)
    world.say(0)
    with ape.reverts("pool: no equity"):
        world.enter(user, MILLION)
    assert (world.pool.maxDeposit(user), world.pool.maxMint(user)) == (0, 0)
    world.say(1)
    assert world.pool.maxDeposit(user) > 0
    world.enter(user, MILLION)


def test_deposit__nobody_in_and_a_debt__is_stopped(world, user):
    world.say(-1)
    with ape.reverts("pool: no equity"):
        world.enter(user, MILLION)
    world.say(0)
    world.enter(user, MILLION)


def test_deposit__nobody_in_and_something_there__is_priced_by_the_virtual_shares(world, user):
    """Threat 78: what has no owner belongs to the virtual shares, not to who comes first."""
    left = 1_000 * 10**6
    world.say(left * UNIT)
    world.enter(user, MILLION)
    assert world.pool.balanceOf(user) == MILLION * VIRTUAL // (left + 1)
    world.say((MILLION + left) * UNIT)
    worth = world.pool.convertToAssets(world.pool.balanceOf(user))
    assert worth == pytest.approx(MILLION, rel=2e-3)
    assert worth <= MILLION


def test_deposit__too_little_for_a_share__reverts(world, user):
    world.say(2 * VIRTUAL * UNIT)  # nobody in: a share costs two raw units
    with ape.reverts("pool: zero shares"):
        world.enter(user, 2)
    world.enter(user, 3)
    assert world.pool.balanceOf(user) == 1


def test_max_deposit__held_to_the_brim__is_zero(world, user):
    world.say(0, custody=2**100 // UNIT - 5)
    assert world.pool.maxDeposit(user) == 5
    assert world.pool.maxMint(user) == 5 * VIRTUAL
    world.say(0, custody=2**100 // UNIT)
    assert (world.pool.maxDeposit(user), world.pool.maxMint(user)) == (0, 0)


# ------------------------------------------------------------------ exit


def test_claim__more_than_is_held__is_not_promised(world, user, ready):
    world.say(MILLION * UNIT, custody=7)
    assert world.pool.maxWithdraw(user) == 7
    most = world.pool.maxRedeem(user)
    assert world.pool.redeem.call(most, user, user, sender=user) == 7
    with ape.reverts("margin: not enough cash"):
        world.pool.withdraw(8, user, user, sender=user)
    world.pool.withdraw(7, user, user, sender=user)


@pytest.mark.parametrize("leverage", [0, 1])
def test_claim__no_leverage_allowed__only_without_exposure(world, user, ready, leverage):
    world.say(MILLION * UNIT, exposure=10**18, leverage=leverage)
    assert (world.pool.maxRedeem(user), world.pool.maxWithdraw(user)) == (0, 0)
    with ape.reverts("pool: exposure too high"):
        world.pool.withdraw(1, user, user, sender=user)
    world.say(MILLION * UNIT, exposure=0, leverage=leverage)
    assert world.pool.maxRedeem(user) == ready
    world.pool.redeem(ready, user, user, sender=user)


@pytest.mark.parametrize("over", [0, 1])
def test_claim__exposure__to_the_wei(world, user, ready, over):
    """600,000 of exposure need 400,000 to stay: one wei more, and one raw unit less may go."""
    world.say(MILLION * UNIT, exposure=600_000 * WAD + over)
    assert world.pool.maxWithdraw(user) == MILLION * 6 // 10 - over
    most = world.pool.maxWithdraw(user)
    with ape.reverts("pool: exposure too high"):
        world.pool.withdraw(most + 1, user, user, sender=user)
    world.pool.withdraw(most, user, user, sender=user)
    assert world.puppet.nav() * 3 // 2 >= 600_000 * WAD + over


def test_max_redeem__bound_by_the_worth_of_the_request__uses_the_looser_bound(world, user, ready):
    """The pool has tripled, and the request pays a third of its shares' worth: room for 900,000 is
    room for nine tenths of it."""
    world.say(3 * MILLION * UNIT, exposure=3_150_000 * WAD)
    assert world.pool.maxWithdraw(user) == MILLION * 9 // 10
    most = world.pool.maxRedeem(user)
    assert most == pytest.approx(ready * 9 // 10, rel=1e-9)
    assert world.pool.redeem.call(most, user, user, sender=user) == MILLION * 9 // 10


def test_request__worth_nothing__reverts(world, user):
    """A share of a pool with less than a wei a share: its request could never be paid."""
    world.say(0)
    world.enter(user, MILLION)
    world.say(1)
    smallest = ceil_div(MILLION * VIRTUAL + VIRTUAL, 1 + UNIT)
    with ape.reverts("pool: zero assets"):
        world.pool.requestRedeem(smallest - 1, user, user, sender=user)
    world.pool.requestRedeem(smallest, user, user, sender=user)
    assert world.pool.request_of(user).worth == 1


def test_withdraw__request_whose_worth_is_used_up__pays_nothing(world, user):
    """Shares that were worth next to nothing when requested pay nothing, not everything."""
    world.say(0)
    world.enter(user, MILLION)
    world.say(1)
    world.pool.requestRedeem(2 * VIRTUAL, user, user, sender=user)
    assert world.pool.request_of(user).worth == 2
    world.say(1000 * MILLION * UNIT)
    ape.chain.pending_timestamp += COOLDOWN
    with ape.reverts("pool: more than requested"):
        world.pool.withdraw(1, user, user, sender=user)
    with ape.reverts("pool: zero assets"):
        world.pool.redeem(2 * VIRTUAL, user, user, sender=user)
    assert (world.pool.maxRedeem(user), world.pool.maxWithdraw(user)) == (0, 0)


def test_withdraw__rest_of_a_request_that_rounds_to_nothing__pays_nothing(
    project, deployer, puppet_of, user
):
    """A claim leaves half a million shares, half a wei's worth, which rounds down to none of it."""
    world = World(project, deployer, puppet_of(), decimals=18)
    world.say(0)
    world.enter(user, 4)
    world.say(4)
    world.pool.requestRedeem(2 * VIRTUAL, user, user, sender=user)
    ape.chain.pending_timestamp += COOLDOWN
    world.pool.redeem(3 * VIRTUAL // 2, user, user, sender=user)
    assert world.token.balanceOf(user) == 1
    assert tuple(world.pool.request_of(user))[:2] == (VIRTUAL // 2, 0)
    world.say(10**18)
    with ape.reverts("pool: more than requested"):
        world.pool.withdraw(1, user, user, sender=user)
    assert (world.pool.maxRedeem(user), world.pool.maxWithdraw(user)) == (0, 0)
    world.pool.cancelRequest(user, user, sender=user)
    assert world.pool.balanceOf(user) == 5 * VIRTUAL // 2


def test_request__overflowing_amounts__revert(world, user):
    world.say(0)
    world.enter(user, MILLION)
    world.say(MILLION * UNIT)
    with ape.reverts():
        world.pool.requestRedeem(MAX_UINT, user, user, sender=user)
    with ape.reverts():
        world.pool.deposit(MAX_UINT, user, sender=user)
    assert Fraction(world.pool.totalAssets()) == MILLION
