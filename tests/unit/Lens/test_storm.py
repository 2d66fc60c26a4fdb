"""What both lenses say while the venue is not calm, when much has left, and in a settlement."""

import pytest

from tests.unit.Lens.conftest import Stage

WAD = 10**18
RAW = 10**6
MAX_UINT = 2**256 - 1
HOUR = 3_600
FLOOR = 20_000 * RAW
CUSTODY = 250_000 * RAW  # before anybody comes


@pytest.fixture
def maker(storm, accounts):
    """Somebody rich."""
    storm.fund(accounts[4], 1_000_000)
    return accounts[4]


@pytest.fixture(scope="module")
def storm(project, accounts):
    """One market, one token, a sequencer with an hour of grace, 10 % an hour or 20,000 may leave."""
    deployer = accounts[0]
    uptime = deployer.deploy(project.FeedMock, 0, 0)
    uptime.set_round(0, 1, sender=deployer)
    guard = deployer.deploy(project.SequencerGuard, uptime, HOUR)
    built = Stage(
        project,
        accounts,
        puppet_backstop=True,
        sequencer=guard.address,
        outflow_ppm=100_000,
        outflow_floor=FLOOR,
    )
    built.uptime = uptime
    built.list_market("ALPHA")
    built.list_coin(2_000)
    built.fund(built.pool, 200_000)
    built.know_nav(200_000)
    built.fund(built.clearinghouse, 50_000)
    return built


def sequencer(storm, chain, down):
    """It goes down, or comes back, now."""
    storm.uptime.set_round(int(down), chain.pending_timestamp, sender=storm.deployer)


def settle(storm, share):
    """The Backstop says what each claim is paid; 0: nothing special, 1: nothing yet."""
    storm.perform(storm.backstop, (storm.clearinghouse.set_share, share))


def sick(storm, trader):
    """Below the maintenance margin."""
    storm.fund(trader, 100)
    storm.trade(trader, 0, 10)
    storm.price(0, 92 * WAD)


def withdraw(storm, trader, raw):
    return storm.clearinghouse.withdraw(trader, storm.token, raw, trader, sender=trader)


def outcome(storm, *call):
    """Why a call of the keeper's is refused; it leaves no trace."""
    method, *arguments = call
    return storm.refusal(lambda: method.call(*arguments, sender=storm.keeper))


NOT_CALM = "venue: frozen or in grace"


# ------------------------------------------------------------------ not calm


def test_liquidatable__sequencer_down_and_up_again__nobody_until_the_grace_is_over(
    storm, trader, chain
):
    sick(storm, trader)
    lens, tokens = storm.lens, storm.tokens
    for down, wait, calm in (
        (None, 0, True),
        (True, 9, False),
        (False, 9, False),
        (None, HOUR, True),
    ):
        if down is not None:
            sequencer(storm, chain, down)
        chain.pending_timestamp += wait
        chain.mine()
        view, preview = lens.account(trader), tokens.preview_liquidation(trader)
        reason = outcome(storm, storm.clearinghouse.liquidate, trader)
        assert reason == ("" if calm else NOT_CALM)
        assert view.health < WAD
        assert view.margin_call
        assert view.liquidatable == preview.liquidatable == calm
        assert (preview.equity, preview.maintenance) == (view.equity, view.maintenance)
        assert (preview.closed != 0, preview.reward != 0) == (calm, calm)
        assert lens.liquidatable([trader], 0, 1) == [trader.address] * calm
        assert lens.pool().calm == calm
        assert lens.pool().calm_from == 0


def test_withdrawable__sequencer_down__only_of_who_has_no_positions_and_no_debt(
    storm, trader, chain
):
    storm.fund(trader, 1_000)
    storm.back(trader, 0, WAD)
    for traded in (False, True):
        sequencer(storm, chain, False)
        chain.pending_timestamp += HOUR
        chain.mine()
        if traded:
            storm.trade(trader, 0, 1)
        assert storm.lens.account(trader).withdrawable > 900 * RAW
        assert storm.lens.account(trader).buying_power > 0
        sequencer(storm, chain, True)
        view, (holding,) = storm.lens.account(trader), storm.tokens.account(trader).holdings
        expected = (0, 0) if traded else (1_000 * RAW, WAD)
        assert (view.withdrawable, holding.withdrawable) == expected
        assert view.buying_power == 0
        reason = NOT_CALM if traded else ""
        for token, raw in ((storm.token, RAW), (storm.coins[0], 1)):
            arguments = (trader, token, raw, trader)
            refused = storm.refusal(
                lambda a=arguments: storm.clearinghouse.withdraw.call(*a, sender=trader)
            )
            assert refused == reason


def test_preview_trade__sequencer_down__opens_nothing_but_reduces(storm, robot_of, chain):
    robot = robot_of(storm)
    storm.fund(robot, 1_000)
    trade, preview = storm.clearinghouse.trade, storm.lens.preview_trade
    storm.perform(robot, (trade, robot.address, 0, 5 * WAD, MAX_UINT))
    sequencer(storm, chain, True)
    for size, reason in (
        (WAD, NOT_CALM),
        (-6 * WAD, NOT_CALM),
        (500 * WAD, NOT_CALM),  # before the margin
        (20_000 * WAD, "caps: open interest"),  # after the caps
        (-WAD, ""),
        (-5 * WAD, ""),
    ):
        limit = MAX_UINT if size > 0 else 0
        arguments = (robot.address, 0, size, limit)
        said, done = storm.imagine(robot, (preview, *arguments), (trade, *arguments))
        assert said.value.reason == (done.reason or "") == reason
        assert said.value.allowed == (reason == "")
        assert said.value.initial_after > 0 or size == -5 * WAD  # worked out all the same


def test_preview_conversion__sequencer_down__not_called(storm, trader, chain):
    storm.back(trader, 0, WAD)
    storm.trade(trader, 0, 100)
    storm.price(0, 90 * WAD)
    storm.clearinghouse.settle(trader, sender=storm.stranger)
    for down in (False, True):
        if down:
            sequencer(storm, chain, True)
        view = storm.tokens.preview_conversion(trader)
        reason = outcome(storm, storm.clearinghouse.convert_collateral, trader)
        assert reason == (NOT_CALM if down else "")
        assert view.called == (not down)
        assert view.debt > 0
        assert (view.covered != 0, len(view.lots)) == (not down, int(not down))
        assert storm.tokens.convertible([trader], 0, 1) == [trader.address] * (not down)


def test_pool__frozen__told_until_when(storm, trader, chain):
    storm.fund(trader, 1_000)
    storm.trade(trader, 0, 1)
    storm.configurator.freeze(HOUR, sender=storm.deployer)
    end = chain.blocks.head.timestamp + 2 * HOUR  # an hour of grace follows
    view = storm.lens.pool()
    assert (view.calm, view.calm_from) == (False, end)
    assert storm.lens.account(trader).withdrawable == 0
    chain.pending_timestamp = end - 1
    chain.mine()
    assert (storm.lens.pool().calm, storm.lens.pool().calm_from) == (False, end)
    chain.pending_timestamp = end
    chain.mine()
    assert (storm.lens.pool().calm, storm.lens.pool().calm_from) == (True, 0)
    assert storm.lens.account(trader).withdrawable > 900 * RAW


# ------------------------------------------------------------------ one market


def test_market__paused__until_when_and_no_room(storm, trader, robot_of, chain):
    robot = robot_of(storm)
    storm.fund(robot, 1_000)
    trade, preview = storm.clearinghouse.trade, storm.lens.preview_trade
    storm.perform(robot, (trade, robot.address, 0, 5 * WAD, MAX_UINT))
    assert storm.lens.market(0).paused_until == 0
    storm.configurator.pause_market(0, HOUR, sender=storm.deployer)
    end = chain.blocks.head.timestamp + HOUR
    view = storm.lens.market(0)
    assert (view.paused_until, view.room_to_buy, view.room_to_sell) == (end, 0, 0)
    assert storm.lens.account(robot).buying_power == 0  # it is the only one
    paused = "market: paused"
    for size, reason in ((WAD, paused), (20_000 * WAD, paused), (-6 * WAD, paused), (-5 * WAD, "")):
        arguments = (robot.address, 0, size, MAX_UINT if size > 0 else 0)
        said, done = storm.imagine(robot, (preview, *arguments), (trade, *arguments))
        assert said.value.reason == (done.reason or "") == reason
    chain.pending_timestamp = end
    chain.mine()
    view = storm.lens.market(0)
    assert view.paused_until == 0
    assert view.room_to_buy > 0
    assert storm.lens.account(robot).buying_power > 0


def test_market__settled__has_its_last_price_and_no_feed(storm, trader, chain):
    storm.fund(trader, 1_000)
    storm.trade(trader, 0, 1)
    storm.price(0, 104 * WAD)
    storm.configurator.delist_market(0, 3 * 86_400, sender=storm.deployer)
    assert not storm.lens.market(0).settled
    chain.pending_timestamp += 3 * 86_400
    storm.price(0, 104 * WAD)
    storm.configurator.settle_market(0, sender=storm.stranger)
    storm.price(0, 50 * WAD)
    view = storm.lens.market(0)
    assert view.settled
    assert (view.price, view.last_price) == (104 * WAD, 104 * WAD)
    assert storm.lens.price_status_text(view.price_status) == "prices: feed failed"
    assert (view.room_to_buy, view.room_to_sell) == (0, 0)
    assert view.terms.feed == "0x" + "00" * 20
    account = storm.lens.account(trader)
    assert account.has_dead_leg
    assert account.positions[0].mark_price == 104 * WAD
    preview = storm.lens.preview_trade(trader, 0, -WAD, 0)
    assert preview.reason == "prices: feed failed"
    assert storm.refusal(lambda: storm.trade(trader, 0, -1)) == preview.reason


# ------------------------------------------------------------------ the hour's outflow


def test_pool__nothing_special__calm_and_an_hours_share(storm, chain):
    chain.pending_timestamp += HOUR
    chain.mine()
    view = storm.lens.pool()
    assert (view.calm, view.calm_from, view.share) == (True, 0, 0)
    assert view.outflow_left == CUSTODY // 10


def test_pool__no_limit__boundless(stage, trader):
    stage.fund(trader, 5)
    withdraw(stage, trader, 3 * RAW)
    assert stage.lens.pool().outflow_left == MAX_UINT


def test_withdrawable__hourly_limit__what_is_left_of_it(storm, trader, maker, chain):
    limit = "withdraw: outflow limit"
    storm.fund(trader, 50_000)
    chain.pending_timestamp = (chain.pending_timestamp // HOUR + 1) * HOUR
    chain.mine()
    held = 1_300_000 * RAW  # the maker has a million of it
    assert storm.lens.pool().custody == held
    left = held // 10
    assert storm.lens.account(maker).withdrawable == left
    assert storm.lens.account(trader).withdrawable == 50_000 * RAW
    withdraw(storm, maker, left - 30_000 * RAW)
    # The limit is of what was held before anything left.
    assert storm.lens.pool().outflow_left == 30_000 * RAW
    for person in (maker, trader):
        assert storm.lens.account(person).withdrawable == 30_000 * RAW
        assert storm.refusal(lambda p=person: withdraw(storm, p, 30_000 * RAW + 1)) == limit
    withdraw(storm, trader, 30_000 * RAW)
    assert storm.lens.account(trader).withdrawable == 0
    assert storm.refusal(lambda: withdraw(storm, trader, 1)) == limit
    chain.pending_timestamp += HOUR
    chain.mine()
    assert storm.lens.account(trader).withdrawable == 20_000 * RAW
    assert storm.lens.pool().outflow_left == storm.lens.pool().custody // 10


def test_withdrawable__little_is_held__the_floor_may_always_leave(storm, trader, chain):
    for _ in range(7):  # to less than 200,000, of which 10 % is less than the floor
        chain.pending_timestamp += HOUR
        chain.mine()
        raw = storm.lens.pool().outflow_left
        storm.perform(
            storm.pool,
            (
                storm.clearinghouse.withdraw,
                storm.pool.address,
                storm.token.address,
                min(raw, 20_000 * RAW),
                storm.deployer.address,
            ),
        )
    storm.fund(trader, 30_000)
    chain.pending_timestamp += HOUR
    chain.mine()
    assert storm.lens.pool().custody < 200_000 * RAW
    assert storm.lens.pool().outflow_left == FLOOR
    assert storm.lens.account(trader).withdrawable == FLOOR


# ------------------------------------------------------------------ a settlement


def test_withdrawable__settlement_waits__nothing(storm, trader):
    storm.fund(trader, 1_000)
    settle(storm, 1)
    assert storm.lens.pool().share == 1
    assert storm.lens.account(trader).withdrawable == 0
    assert storm.refusal(lambda: withdraw(storm, trader, RAW)) == "withdraw: settlement waits"


def test_withdrawable__settlement_of_a_third__the_claim_itself(storm, trader):
    storm.fund(trader, 1_000)
    settle(storm, 1 + WAD // 3)
    assert storm.lens.pool().share == 1 + WAD // 3
    assert storm.lens.account(trader).withdrawable == 1_000 * RAW
    assert (
        storm.refusal(lambda: withdraw(storm, trader, 1_000 * RAW + 1)) == "margin: not enough cash"
    )
    withdraw(storm, trader, 1_000 * RAW)
    assert storm.token.balanceOf(trader) == 333_333_333
    assert storm.lens.account(trader).cash == 0


def test_withdrawable__settlement_and_the_limit__which_counts_what_is_sent(storm, maker, chain):
    chain.pending_timestamp += HOUR
    chain.mine()
    settle(storm, 1 + WAD // 4)
    left = storm.lens.pool().outflow_left
    most = storm.lens.account(maker).withdrawable
    assert most == 4 * left + 3 < 1_000_000 * RAW
    refused = storm.refusal(lambda: withdraw(storm, maker, most + 1))
    assert refused == "withdraw: outflow limit"
    withdraw(storm, maker, most)
    assert storm.token.balanceOf(maker) == left


def test_withdrawable__settlement_that_rounds_the_claim_to_nothing__nothing(storm, trader):
    storm.fund(trader, "0.000002")
    for share, claim in ((WAD // 3, 0), (WAD // 2, 2)):
        settle(storm, 1 + share)
        assert storm.lens.account(trader).withdrawable == claim
        reason = storm.refusal(
            lambda: storm.clearinghouse.withdraw.call(trader, storm.token, 2, trader, sender=trader)
        )
        assert reason == ("" if claim else "withdraw: settlement waits")


# ------------------------------------------------------------------ tokens


def test_token__price_halves__stable_price_follows(storm, trader, chain):
    storm.back(trader, 0, WAD)
    assert storm.tokens.token(0).stable_price == 2_000 * WAD
    storm.coin_price(0, 1_000)
    view, (holding,) = storm.tokens.token(0), storm.tokens.account(trader).holdings
    assert view.price == holding.price == 1_000 * WAD
    assert 1_990 * WAD < view.stable_price == holding.stable_price < 2_000 * WAD
    assert holding.worth == 1_000 * WAD
    assert holding.initial == 1_000 * WAD * 8 // 10 * 999 // 1_000  # at the lower of the two
    storm.coin_price(0, 3_000)
    (holding,) = storm.tokens.account(trader).holdings
    assert 2_000 * WAD < holding.stable_price < 2_010 * WAD
    assert holding.initial == holding.stable_price * 8 * 999 // 10_000
    assert holding.maintenance == 3_000 * WAD * 85 // 100 * 999 // 1_000
