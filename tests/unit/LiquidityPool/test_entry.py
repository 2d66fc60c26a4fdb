"""`deposit` and `mint`: the price, who gains by rounding, and every refusal (LPV-2 to LPV-4)."""

import ape
import pytest

from tests.unit.LiquidityPool.conftest import (
    MAX_UINT,
    NOWHERE,
    PPM,
    SPREAD,
    VIRTUAL,
    Stage,
    ceil_div,
    kept,
    wad,
    with_markets,
    with_skew,
)


def shares_for(stage, raw):
    """What a deposit must mint, by LPV-2 and whole numbers."""
    nav, spread, due, _, _, live = stage.pool.valuation()
    assert live
    supply = stage.pool.totalSupply() + VIRTUAL
    return raw * stage.unit * supply // (nav + spread + due + stage.unit)


def cost_of(stage, shares):
    """What a mint must take [raw]."""
    nav, spread, due, _, _, live = stage.pool.valuation()
    assert live
    supply = stage.pool.totalSupply() + VIRTUAL
    return ceil_div(shares * (nav + spread + due + stage.unit), supply * stage.unit)


# ------------------------------------------------------------------ what they do


def test_deposit__first__a_million_shares_a_raw_unit(empty_stage, user):
    stage = empty_stage
    assert stage.enter(user, 123_456_789) == 123_456_789 * VIRTUAL
    assert stage.pool.totalAssets() == 123_456_789
    assert stage.pool.convertToAssets(stage.pool.balanceOf(user)) == 123_456_789


def test_deposit__with_a_skew__mints_at_nav_and_spread_and_tells_all(stage, user, stranger):
    raw = 1_000 * stage.quote
    stage.give(user, raw)
    expected = shares_for(stage, raw)
    nav = stage.pool.valuation().nav
    cash = stage.cash(stage.pool)
    assert stage.pool.deposit.call(raw, stranger, sender=user) == expected
    receipt = stage.pool.deposit(raw, stranger, sender=user)
    assert stage.pool.balanceOf(stranger) == expected
    # Dearer than NAV by the spread on a notional of 800,000: 800 over 10m.
    assert stage.pool.convertToAssets(expected) == pytest.approx(raw * (1 - 8e-5), rel=1e-6)
    clearinghouse, pool, token = stage.clearinghouse, stage.pool, stage.token
    assert receipt.events == [
        token.Transfer(sender=user, receiver=pool, value=raw),
        token.Approval(owner=pool, spender=clearinghouse, value=raw),
        token.Transfer(sender=pool, receiver=clearinghouse, value=raw),
        clearinghouse.CashMoved(account=pool, cash=cash + raw * stage.unit),
        clearinghouse.Deposited(account=pool, token=token, sender=pool, amount=raw),
        pool.Transfer(sender=NOWHERE, receiver=stranger, value=expected),
        pool.Deposit(sender=user, owner=stranger, assets=raw, shares=expected),
        clearinghouse.NavKnown(nav=nav + raw * stage.unit),
    ]
    assert pool.valuation().nav == nav + raw * stage.unit
    assert stage.known_nav() == kept(nav + raw * stage.unit)
    assert (token.balanceOf(pool), token.allowance(pool, clearinghouse)) == (0, 0)


def test_mint__with_a_skew__takes_the_cost_rounded_up(stage, user, stranger):
    shares = 10**15 + 1
    expected = cost_of(stage, shares)
    stage.give(user, expected)
    assert stage.pool.mint.call(shares, stranger, sender=user) == expected
    stage.pool.mint(shares, stranger, sender=user)
    assert stage.pool.balanceOf(stranger) == shares
    assert stage.token.balanceOf(user) == 0
    assert kept(stage.pool.valuation().nav) == stage.known_nav()


@pytest.mark.parametrize("raw", [1, 7, 999_999, 10**6, 31_415_926_535])
def test_preview_deposit__any_amount__is_what_the_deposit_gives(stage, user, raw):
    preview = stage.pool.previewDeposit(raw)
    assert preview == shares_for(stage, raw) == stage.enter(user, raw)


@pytest.mark.parametrize("shares", [1, 10**6, 10**6 + 1, 31_415_926_535_897])
def test_preview_mint__any_amount__is_what_the_mint_takes(stage, user, shares):
    preview = stage.pool.previewMint(shares)
    stage.give(user, preview)
    assert preview == cost_of(stage, shares)
    stage.pool.mint(shares, user, sender=user)
    assert (stage.token.balanceOf(user), stage.pool.balanceOf(user)) == (0, shares)


def test_previews__there_and_back__never_favour_the_one_who_enters(stage):
    for raw in (1, 3, 10**6, 123_456_789):
        assert stage.pool.previewMint(stage.pool.previewDeposit(raw)) <= raw
    for shares in (1, 10**6, 10**13 + 1):
        assert stage.pool.previewDeposit(stage.pool.previewMint(shares)) >= shares


def test_converts__count_no_spread_and_round_down(stage):
    nav = stage.pool.valuation().nav
    supply = stage.pool.totalSupply() + VIRTUAL
    raw, shares = 123_456_789, 987_654_321_987
    assert stage.pool.convertToShares(raw) == raw * stage.unit * supply // (nav + stage.unit)
    assert stage.pool.convertToAssets(shares) == shares * (nav + stage.unit) // (
        supply * stage.unit
    )
    assert stage.pool.convertToShares(raw) > stage.pool.previewDeposit(raw)


@pytest.mark.parametrize("decimals", [0, 6, 8, 18])
def test_deposit__any_decimals__credits_to_the_wei(stage_of, lp, trader, user, decimals):
    stage = with_skew(with_markets(stage_of(decimals=decimals)), lp, trader)
    stage.price(0, "100.000000000000000001")
    raw = 1_000 * stage.quote + 1
    cash = stage.cash(stage.pool)
    expected = shares_for(stage, raw)
    assert stage.enter(user, raw) == expected
    assert stage.cash(stage.pool) == cash + raw * stage.unit


def test_deposit__spread_of_the_skew__belongs_to_those_who_are_in(stage, lp, user):
    before = stage.pool.convertToAssets(stage.pool.balanceOf(lp))
    raw = 1_000_000 * stage.quote
    stage.enter(user, raw)
    given = stage.pool.convertToAssets(stage.pool.balanceOf(lp)) - before
    # The spread on 500,000 and 300,000 of notional, for a tenth of the pool.
    assert given == pytest.approx(800_000 * SPREAD / PPM * stage.quote / 11, rel=1e-2)


# ------------------------------------------------------------------ limits


def test_deposit__fewer_shares_than_wanted__reverts(stage, user):
    raw = 1_000 * stage.quote
    stage.give(user, raw)
    expected = stage.pool.previewDeposit(raw)
    with ape.reverts("pool: too few shares"):
        stage.pool.deposit(raw, user, expected + 1, sender=user)
    stage.pool.deposit(raw, user, expected, sender=user)
    assert stage.pool.balanceOf(user) == expected


def test_mint__more_assets_than_wanted__reverts(stage, user):
    cost = stage.pool.previewMint(10**15)
    stage.give(user, cost)
    with ape.reverts("pool: too many assets"):
        stage.pool.mint(10**15, user, cost - 1, sender=user)
    stage.pool.mint(10**15, user, cost, sender=user)
    assert stage.token.balanceOf(user) == 0


def test_deposit__nothing__reverts(stage, user):
    with ape.reverts("pool: zero assets"):
        stage.pool.deposit(0, user, sender=user)
    assert stage.enter(user, 1) > 0


def test_mint__nothing__reverts(stage, user):
    with ape.reverts("pool: zero shares"):
        stage.pool.mint(0, user, sender=user)


def test_deposit__too_little_for_one_share__reverts(empty_stage, user, trader):
    """A share can be worth more than a raw unit only after a great gain on a minute pool."""
    stage = empty_stage
    stage.enter(user, 1_000 * stage.quote)
    stage.fund(trader, 100_000)
    stage.trade(trader, 0, 14)
    stage.price(0, 50)
    stage.request(user)
    stage.pass_time(86_400)
    # All but what the exposure holds back leaves; fees and gains of 700 stay for a few shares.
    stage.trade(trader, 0, -14)
    stage.pool.redeem(stage.pool.maxRedeem(user), user, user, sender=user)
    supply = stage.pool.totalSupply() + VIRTUAL
    assert supply < stage.pool.totalAssets() * 10**6
    smallest = ceil_div(stage.pool.valuation().nav + stage.unit, supply * stage.unit)
    if smallest > 1:
        stage.give(user, smallest)
        with ape.reverts("pool: zero shares"):
            stage.pool.deposit(smallest - 1, user, sender=user)
    assert stage.enter(user, smallest) > 0


def test_deposit__to_nobody_or_to_the_pool__reverts(stage, user):
    stage.give(user, 10**6)
    for receiver in (NOWHERE, stage.pool):
        with ape.reverts("shares: bad receiver"):
            stage.pool.deposit(10**6, receiver, sender=user)
        with ape.reverts("shares: bad receiver"):
            stage.pool.mint(10**6, receiver, sender=user)
    stage.pool.deposit(10**6, user, sender=user)


@pytest.mark.parametrize("market", [0, 1])
def test_deposit__dead_feed_with_skew__waits(stage, user, market):
    stage.give(user, 10**9)
    stage.kill(market)
    assert (stage.pool.maxDeposit(user), stage.pool.maxMint(user)) == (0, 0)
    for call in (
        lambda: stage.pool.deposit(10**6, user, sender=user),
        lambda: stage.pool.mint(10**6, user, sender=user),
        lambda: stage.pool.previewDeposit(10**6),
        lambda: stage.pool.previewMint(10**6),
    ):
        with ape.reverts("pool: a price is not live"):
            call()
    stage.renew()
    assert stage.pool.maxDeposit(user) > 0
    stage.pool.deposit(10**6, user, sender=user)


def test_deposit__stale_feed_with_skew__waits(stage, user, chain):
    stage.give(user, 10**6)
    chain.pending_timestamp += 86_402
    with ape.reverts("pool: a price is not live"):
        stage.pool.deposit(10**6, user, sender=user)
    stage.renew()
    stage.pool.deposit(10**6, user, sender=user)


def test_deposit__dead_feed_without_skew__passes(stage, user, trader):
    stage.trade(trader, 1, 3_000)
    stage.kill(1)
    assert stage.pool.maxDeposit(user) > 0
    assert stage.enter(user, 10**6) > 0


def test_deposit__no_equity__is_stopped(stage, user):
    stage.give(user, 10**9)
    stage.price(0, 3_000)
    assert stage.pool.valuation().nav < 0
    assert (stage.pool.maxDeposit(user), stage.pool.maxMint(user)) == (0, 0)
    for call in (
        lambda: stage.pool.deposit(10**6, user, sender=user),
        lambda: stage.pool.mint(10**6, user, sender=user),
        lambda: stage.pool.previewDeposit(10**6),
        lambda: stage.pool.previewMint(10**6),
    ):
        with ape.reverts("pool: no equity"):
            call()
    stage.price(0, 101)
    stage.pool.deposit(10**6, user, sender=user)


def test_max_deposit__up_to_what_the_clearinghouse_may_hold__passes_and_no_more(stage, user):
    most = stage.pool.maxDeposit(user)
    custody = stage.clearinghouse.globals().custody
    assert most == 2**100 // stage.unit - custody
    stage.give(user, most + 1)
    with ape.reverts("ledger: deposit too large"):
        stage.pool.deposit(most + 1, user, sender=user)
    shares = stage.pool.maxMint(user)
    assert stage.pool.previewMint(shares) <= most < stage.pool.previewMint(shares + 10**7)
    stage.pool.deposit(most, user, sender=user)
    assert stage.pool.maxDeposit(user) == 0


def test_max_mint__all_of_it__passes(stage, user):
    most = stage.pool.maxMint(user)
    stage.give(user, stage.pool.previewMint(most))
    stage.pool.mint(most, user, sender=user)
    assert stage.pool.balanceOf(user) == most


def test_deposit__without_allowance_or_balance__reverts(stage, user, stranger):
    stage.give(user, 10**6)
    with ape.reverts():
        stage.pool.deposit(10**6 + 1, user, sender=user)
    with ape.reverts():
        stage.pool.deposit(10**6, user, sender=stranger)
    stage.pool.deposit(10**6, user, sender=user)


# ------------------------------------------------------------------ odd tokens


@pytest.fixture
def odd_stage(project, accounts, odd_token, lp, trader):
    """A pool with skews on a token that can misbehave."""
    return with_skew(with_markets(Stage(project, accounts, odd_token())), lp, trader)


def test_deposit__fee_on_transfer__mints_for_what_arrived(odd_stage, user):
    stage = odd_stage
    stage.token.set_fee(10_000, sender=user)
    raw = 1_000 * stage.quote
    arrived = raw * 99 // 100 * 99 // 100
    expected = shares_for(stage, arrived)
    nav, custody = stage.pool.valuation().nav, stage.clearinghouse.globals().custody
    stage.give(user, raw)
    receipt = stage.pool.deposit(raw, user, sender=user)
    assert stage.pool.balanceOf(user) == expected
    assert stage.pool.valuation().nav == nav + arrived * stage.unit
    assert stage.known_nav() == kept(nav + arrived * stage.unit)
    assert stage.clearinghouse.globals().custody == custody + arrived
    assert receipt.events[-2] == stage.pool.Deposit(
        sender=user, owner=user, assets=arrived, shares=expected
    )


def test_mint__fee_on_transfer__reverts(odd_stage, user):
    stage = odd_stage
    stage.give(user, 10**12)
    stage.token.set_fee(1, sender=user)
    with ape.reverts("pool: too little arrived"):
        stage.pool.mint(10**15, user, sender=user)
    stage.token.set_fee(0, sender=user)
    stage.pool.mint(10**15, user, sender=user)


def test_deposit__token_returns_false__reverts(odd_stage, user):
    stage = odd_stage
    stage.give(user, 10**12)
    stage.token.set_refuses(True, sender=user)
    for call in (stage.pool.deposit, stage.pool.mint):
        with ape.reverts("pool: transfer failed"):
            call(10**12, user, sender=user)
    stage.token.set_refuses(False, sender=user)
    stage.pool.deposit(10**12, user, sender=user)


def test_deposit__price_moved_while_the_token_calls_back__is_valued_after(odd_stage, user):
    """Threat 73: nobody fixes a price first and moves the state before it is paid for."""
    stage = odd_stage
    raw = 1_000 * stage.quote
    stage.give(user, raw)
    at_first = stage.pool.previewDeposit(raw)
    data = stage.feeds[0].set_answer.encode_input(wad(90))
    stage.token.call_back(stage.feeds[0], data, sender=user)
    stage.pool.deposit(raw, user, sender=user)
    # The pool is short: at 90 it is worth 50,000 more, and shares are dearer by half a percent.
    assert stage.pool.balanceOf(user) == pytest.approx(at_first * 0.995, rel=1e-4)
    assert stage.token.passed() == 2
    assert stage.known_nav() == kept(stage.pool.valuation().nav)


def test_mint__price_moved_while_the_token_calls_back__reverts(odd_stage, user):
    stage = odd_stage
    stage.give(user, 10**12)
    data = stage.feeds[0].set_answer.encode_input(wad(90))
    stage.token.call_back(stage.feeds[0], data, sender=user)
    with ape.reverts("pool: too little arrived"):
        stage.pool.mint(10**15, user, sender=user)
    stage.token.call_back(NOWHERE, b"", sender=user)
    stage.pool.mint(10**15, user, sender=user)


def test_deposit__called_back_in_the_middle__every_door_is_shut(odd_stage, user):
    """Threats 73 and 125: neither a getter nor a call of the pool answers while it is at work."""
    stage = odd_stage
    pool = stage.pool
    stage.give(user, 10**12)
    doors = [
        pool.totalAssets.encode_input(),
        pool.totalSupply.encode_input(),
        pool.balanceOf.encode_input(user),
        pool.valuation.encode_input(),
        pool.convertToAssets.encode_input(10**12),
        pool.previewDeposit.encode_input(10**6),
        pool.maxRedeem.encode_input(user),
        pool.transfer.encode_input(user, 0),
        pool.approve.encode_input(user, 1),
        pool.refresh.encode_input(),
        pool.setOperator.encode_input(user, True),
        pool.request_of.encode_input(user),
    ]
    for data in doors:
        stage.token.call_back(pool, data, sender=user)
        pool.deposit(10**6, user, sender=user)
    assert stage.token.calls() == 2 * len(doors)
    assert stage.token.passed() == 0
    stage.token.call_back(
        stage.clearinghouse, stage.clearinghouse.health.encode_input(user), sender=user
    )
    pool.deposit(10**6, user, sender=user)
    assert stage.token.passed() == 1  # open while the pool pulls, shut while the Clearinghouse does
    assert stage.clearinghouse.health(user) == MAX_UINT
