"""Tokens and debt in both lenses: numbers done by hand, and each preview against its call."""

import pytest

WAD = 10**18
RAW = 10**6
MAX_UINT = 2**256 - 1
ETH, USD = 0, 1


@pytest.fixture(scope="module")
def coins(stage):
    """ETH at 2,000 with 18 decimals, USD at 1 with 6; debt that costs nothing."""
    stage.list_coin(2_000)
    stage.list_coin(1, 6, scale=10**8 * WAD, cap=10**6 * RAW)
    stage.configure_credit()
    return stage


def together(stage, robot, *calls):
    """What each call gives when they are made in one block, one after the other."""
    outcomes = stage.imagine(robot, *calls)
    assert [outcome.reason for outcome in outcomes] == [None] * len(calls)
    return [outcome.value for outcome in outcomes]


def cash_of(header):
    return int.from_bytes(header.to_bytes(32, "big")[:15], "big", signed=True)


def withdraw(stage, trader, token, raw):
    return stage.clearinghouse.withdraw(trader, token, raw, trader, sender=trader)


def as_lots(stage, first, count):
    """Lots of the auction as a preview tells them."""
    lots = [stage.auction.lot(first + i) for i in range(count)]
    fund = "0x" + "00" * 20
    return [
        (lot.token, lot.amount, lot.to_insurance, lot.to_pool, lot.surplus_to != fund)
        for lot in lots
    ]


# ------------------------------------------------------------------ an account


def test_account__a_token_behind_a_long__numbers_done_by_hand(coins, trader):
    stage = coins
    stage.back(trader, ETH, WAD)
    stage.trade(trader, 0, 10)
    view = stage.lens.account(trader)
    # The fee is the debt. 999 / (999 + 1) of the weights is left for one token.
    assert view.cash == -500_502_500_000_000_000
    assert view.debt == 500_502_500_000_000_000
    assert view.interest == 0
    assert view.pnl == -1_005_000_000_000_000_000
    assert view.collateral_maintenance == 1_698_300_000_000_000_000_000
    assert view.collateral_initial == 1_598_400_000_000_000_000_000
    assert view.collateral_credit == 1_840 * WAD
    assert view.equity == 1_696_794_497_500_000_000_000
    assert view.opening_equity == view.withdrawing_equity == 1_596_894_497_500_000_000_000
    assert view.health == view.equity * WAD // view.maintenance
    assert view.health == stage.clearinghouse.health(trader)
    assert view.debt_limit == 799_200_000_000_000_000_000
    assert view.debt_room == view.debt_limit - 1_505_502_500_000_000_000
    assert view.withdrawable == 0
    # What is left for opening, at 5 %.
    assert view.buying_power == (view.opening_equity - view.initial) * 20


def test_account__a_token_alone__all_of_it_can_be_withdrawn(coins, trader):
    stage = coins
    stage.back(trader, USD, 7 * RAW)
    (holding,) = stage.tokens.account(trader).holdings
    assert (holding.id, holding.token) == (USD, stage.coins[USD].address)
    assert holding.balance == holding.withdrawable == 7 * RAW
    assert (holding.price, holding.price_status, holding.worth) == (WAD, 0, 7 * WAD)
    assert stage.lens.account(trader).withdrawable == 0
    stage.coin_feeds[USD].set_answer(0, sender=stage.deployer)
    (holding,) = stage.tokens.account(trader).holdings
    assert (holding.initial, holding.credit, holding.withdrawable) == (0, 0, 7 * RAW)
    withdraw(stage, trader, stage.coins[USD], 7 * RAW)
    assert stage.tokens.account(trader).holdings == []


def test_account__interest_not_posted__is_off_everything(coins, trader, robot, chain):
    stage = coins
    # The cap is reached: 100 % a year up to the kink of 100 %.
    stage.back(robot, ETH, WAD)
    stage.perform(robot, (stage.clearinghouse.trade, robot.address, 0, 10 * WAD, MAX_UINT))
    stage.configure_credit(debt_cap=1, kink_ppm=10**6, low_slope_ppm=10**6)
    chain.pending_timestamp += 31_536_000 // 4
    chain.mine()
    for coin in (ETH, USD):
        stage.coin_price(coin, 2_000)
    stage.price(0, 100 * WAD)
    header, (_, interest), view, other, health, preview, _, after = together(
        stage,
        robot,
        (stage.clearinghouse.header, robot.address),
        (stage.clearinghouse.backing, robot.address),
        (stage.lens.account, robot.address),
        (stage.tokens.account, robot.address),
        (stage.clearinghouse.health, robot.address),
        (stage.lens.preview_trade, robot.address, 0, -WAD, 0),
        (stage.clearinghouse.trade, robot.address, 0, -WAD, 0),
        (stage.clearinghouse.header, robot.address),
    )
    assert interest > 125_000_000_000_000_000  # a quarter of 0.50
    assert view.interest == other.interest == interest
    assert view.cash == other.cash == cash_of(header) - interest == -view.debt
    assert view.health == health
    assert view.equity == view.cash + view.pnl + view.collateral_maintenance
    assert preview.allowed
    assert preview.equity_before == view.equity
    assert preview.cash_after == cash_of(after)
    # Nothing more may be owed: the cap on all debts is a wei.
    assert (view.debt_limit, view.debt_room, view.buying_power) == (1, 0, 0)


def test_account__liquidation_price__counts_the_tokens(coins, trader):
    stage = coins
    stage.back(trader, USD, 100 * RAW)
    stage.trade(trader, 0, 10)
    edge = stage.lens.account(trader).positions[0].liquidation_price
    for price, sick in ((edge + 1, False), (edge, True)):
        stage.price(0, price)
        assert (stage.clearinghouse.health(trader) < WAD) == sick
        assert stage.lens.account(trader).liquidatable == sick
        assert stage.lens.liquidatable([trader], 0, 1) == [trader.address] * sick
    stage.price(0, 100 * WAD)


def test_account__the_auctions__has_tokens_and_no_flags(coins, trader):
    stage = coins
    stage.back(trader, ETH, WAD // 10)
    stage.trade(trader, 0, 20)
    stage.price(0, 85 * WAD)
    stage.clearinghouse.liquidate(trader, sender=stage.keeper)
    stage.price(0, 100 * WAD)
    view = stage.lens.account(stage.auction)
    assert view.collateral_maintenance > 0
    assert not (view.liquidatable or view.margin_call)
    (holding,) = stage.tokens.account(stage.auction).holdings
    assert (holding.balance, holding.withdrawable) == (WAD // 10, 0)
    assert stage.tokens.token(ETH).for_sale == WAD // 10
    assert stage.lens.preview_trade(stage.auction, 0, WAD, MAX_UINT).reason == "account: system"


# ------------------------------------------------------------------ what may leave


@pytest.mark.parametrize(
    ("size", "price", "reason"), [(200, 100, "margin: below initial"), (20, 91, "caps: debt")]
)
def test_withdrawable_token__passes_and_one_more_unit_does_not(coins, trader, size, price, reason):
    stage = coins
    if reason == "caps: debt":
        stage.configure_credit(debt_ratio_ppm=200_000)
    stage.back(trader, ETH, WAD)
    stage.trade(trader, 0, size)
    stage.price(0, price * WAD)
    (holding,) = stage.tokens.account(trader).holdings
    most = holding.withdrawable
    assert 0 < most < WAD
    assert stage.refusal(lambda: withdraw(stage, trader, stage.coins[ETH], most + 1)) == reason
    withdraw(stage, trader, stage.coins[ETH], most)
    (holding,) = stage.tokens.account(trader).holdings
    assert (holding.balance, holding.withdrawable) == (WAD - most, 0)


def test_withdrawable_cash__a_loss_past_the_debt_limit__held_back(coins, trader):
    stage = coins
    stage.back(trader, ETH, WAD)
    stage.fund(trader, 700)
    stage.trade(trader, 0, 100)
    stage.price(0, 85 * WAD)
    # Bought at 100.105: 700 less the fee of 5.00525, and a loss of 1,510.5. Half of 1,598.4 may be
    # owed, and 815.50525 would be.
    view = stage.lens.account(trader)
    assert (view.debt, view.debt_limit) == (0, 799_200_000_000_000_000_000)
    assert (view.debt_room, view.buying_power) == (0, 0)
    assert view.withdrawable == 0
    assert stage.refusal(lambda: withdraw(stage, trader, stage.token, 1)) == "caps: debt"
    stage.fund(trader, 100)
    most = stage.lens.account(trader).withdrawable
    assert most == 83_694_750  # 799.2 - 715.50525
    assert stage.refusal(lambda: withdraw(stage, trader, stage.token, most + 1)) == "caps: debt"
    withdraw(stage, trader, stage.token, most)


def test_holding__dead_for_half_a_day__half_its_maintenance_value_is_left(coins, trader, chain):
    stage = coins
    stage.back(trader, ETH, WAD)
    stage.trade(trader, 0, 10)
    (before,) = stage.tokens.account(trader).holdings
    stage.coin_feeds[ETH].set_answer(0, sender=stage.deployer)
    (silent,) = stage.tokens.account(trader).holdings
    assert (silent.maintenance, silent.initial, silent.credit) == (before.maintenance, 0, 0)
    stage.clearinghouse.poke_token(stage.coins[ETH], sender=stage.stranger)
    died = chain.blocks.head.timestamp
    assert stage.tokens.token(ETH).is_dead
    assert stage.tokens.token(ETH).seen_at == died
    chain.pending_timestamp = died + 43_200
    chain.mine()
    (holding,) = stage.tokens.account(trader).holdings
    gone = chain.blocks.head.timestamp - died
    assert holding.maintenance == before.maintenance * (86_400 - gone) // 86_400
    assert (holding.initial, holding.credit, holding.withdrawable) == (0, 0, 0)
    assert stage.lens.price_status_text(holding.price_status) == "prices: not positive"
    assert stage.lens.account(trader).collateral_maintenance == holding.maintenance


# ------------------------------------------------------------------ trades


def test_preview_trade__debt_past_its_limit__caps_debt(coins, robot):
    stage = coins
    stage.configure_credit(debt_ratio_ppm=100)  # 0.01 % of 1,598.4: a fee of 0.15
    stage.back(robot, ETH, WAD)
    seen = {}
    for size in (3 * WAD, 4 * WAD):
        preview, trade = stage.imagine(
            robot,
            (stage.lens.preview_trade, robot.address, 1, size, MAX_UINT),
            (stage.clearinghouse.trade, robot.address, 1, size, MAX_UINT),
        )
        assert preview.value.reason == (trade.reason or "")
        seen[size] = trade.reason
    assert "caps: debt" in seen.values()


def test_preview_trade__below_initial__comes_before_the_debt_caps(coins, robot):
    stage = coins
    stage.configure_credit(debt_ratio_ppm=0)
    stage.back(robot, ETH, WAD // 100)
    for size, reason in ((1000 * WAD, "margin: below initial"), (WAD // 10, "caps: debt")):
        preview, trade = stage.imagine(
            robot,
            (stage.lens.preview_trade, robot.address, 0, size, MAX_UINT),
            (stage.clearinghouse.trade, robot.address, 0, size, MAX_UINT),
        )
        assert preview.value.reason == trade.reason == reason


# ------------------------------------------------------------------ seizures


def liquidated(stage, robot, account):
    """Preview and liquidation in one block, compared; then the liquidation for good."""
    home = stage.clearinghouse
    fund = (home.header, home.address)
    first = stage.auction.lot_count()
    view, before, reward, header, after = together(
        stage,
        robot,
        (stage.tokens.preview_liquidation, account),
        fund,
        (home.liquidate, account),
        (home.header, account),
        fund,
    )
    assert view.reward == reward
    assert view.remaining == cash_of(header)
    gained = view.charged - view.reward - view.debt_to_insurance - view.seized_from_insurance
    assert cash_of(after) - cash_of(before) == gained
    home.liquidate(account, sender=stage.keeper)
    assert as_lots(stage, first, len(view.lots)) == [tuple(lot) for lot in view.lots]
    assert stage.auction.lot_count() == first + len(view.lots)
    return view


def test_preview_liquidation__tokens_pay_the_loss__just_enough_is_seized(coins, robot, trader):
    stage = coins
    stage.back(trader, ETH, WAD // 10)
    stage.back(trader, USD, 100 * RAW)
    stage.trade(trader, 0, 10)
    stage.price(0, 77 * WAD)
    view = liquidated(stage, robot, trader.address)
    assert view.liquidatable
    assert (view.closed, view.debt_to_insurance, view.debt_to_pool) == (1, 0, 0)
    # 0.1 ETH is credited with 184; the loss, the fee and the flat reward take more: some USD, too.
    first, second = view.lots
    assert (first.token, first.amount, first.to_insurance) == (ETH, WAD // 10, 184 * WAD)
    assert second.token == USD
    assert 0 < second.amount < 100 * RAW
    assert view.seized == view.seized_from_insurance == 184 * WAD + second.to_insurance
    assert 0 <= view.remaining < WAD // 10**6  # less than a raw unit of the last token


def test_preview_liquidation__flat_with_a_debt__fee_on_what_is_seized(coins, robot, trader):
    stage = coins
    stage.back(trader, ETH, WAD)
    stage.trade(trader, 0, 100)
    stage.price(0, 93 * WAD)
    stage.trade(trader, 0, -100)
    debt = stage.lens.account(trader).debt
    # Between 0.85 and 0.92 of its worth.
    stage.coin_price(ETH, debt / WAD / 0.89)
    view = liquidated(stage, robot, trader.address)
    assert view.liquidatable
    assert (view.maintenance, view.closed) == (0, 0)
    assert view.notional == view.seized
    assert view.charged == -(-debt * 2 // 98)  # 2 % of what repays the debt and itself
    assert view.reward == view.charged // 5
    stage.coin_price(ETH, 2_000)


def test_preview_liquidation__dead_tokens_beside_live_ones__lots_for_all(coins, robot, trader):
    stage = coins
    stage.back(trader, ETH, WAD // 100)
    stage.back(trader, USD, 10 * RAW)
    stage.fund(trader, 50)
    stage.trade(trader, 0, 10)
    stage.coin_feeds[ETH].set_answer(0, sender=stage.deployer)
    stage.price(0, 85 * WAD)
    view = liquidated(stage, robot, trader.address)
    assert [(lot.token, lot.surplus_to_account) for lot in view.lots] == [
        (USD, False),
        (ETH, False),
    ]
    assert view.seized == 9_200_000_000_000_000_000
    # The dead lot repays its last known worth at most.
    assert view.debt_to_insurance > view.lots[1].to_insurance == 18_400_000_000_000_000_000
    assert view.remaining == 0


# ------------------------------------------------------------------ conversions


def converted(stage, robot, account):
    """Preview and conversion in one block, compared; then the conversion for good."""
    home, first = stage.clearinghouse, stage.auction.lot_count()
    before, view, reward, header, health = together(
        stage,
        robot,
        (home.health, account),
        (stage.tokens.preview_conversion, account),
        (home.convert_collateral, account),
        (home.header, account),
        (home.health, account),
    )
    assert view.called
    assert before == view.equity * WAD // view.maintenance <= health
    assert view.reward == reward
    assert view.remaining == cash_of(header)
    home.convert_collateral(account, sender=stage.keeper)
    assert as_lots(stage, first, len(view.lots)) == [tuple(lot) for lot in view.lots]
    return view


def test_preview_conversion__health_under_the_call_line__debt_is_repaid(coins, robot, trader):
    stage = coins
    stage.configure_credit(debt_ratio_ppm=10**6)
    stage.back(trader, ETH, WAD)
    stage.trade(trader, 0, 250)
    # 1,698.3 of tokens; 250 * (2.5 % + 125 / 1m) of each price, and 5.
    for price, called in ((98, False), ("96.6", False), ("96.4", True)):
        stage.price(0, int(float(price) * 1000) * WAD // 1000)
        view = stage.tokens.preview_conversion(trader)
        assert view.called == called
        assert called == (view.equity * 4 < view.maintenance * 5)
        assert view.debt_room > 0
        assert stage.tokens.convertible([trader], 0, 1) == [trader.address] * called
    view = converted(stage, robot, trader.address)
    # All of the debt, which is the fee for the trade.
    assert view.covered == view.debt == 12_514_062_500_000_000_000
    assert 0 <= view.remaining < 10**6
    assert not stage.tokens.preview_conversion(trader).called


def test_preview_conversion__debt_past_its_share__sold_up_to_the_bound(coins, robot, trader):
    stage = coins
    stage.configure_credit(conversion_bound=500)
    stage.back(trader, ETH, WAD)
    stage.back(trader, USD, 300 * RAW)
    stage.trade(trader, 0, 100)
    stage.price(0, 90 * WAD)
    stage.clearinghouse.settle(trader, sender=stage.stranger)
    crowd = [robot, trader, stage.pool]
    assert stage.tokens.convertible(crowd, 0, 9) == [trader.address]
    assert stage.tokens.convertible(crowd, 2, 9) == stage.tokens.convertible(crowd, 0, 1) == []
    view = converted(stage, robot, trader.address)
    assert view.debt_room == 0
    assert view.covered == 500 * WAD < view.debt
    # 500 and the fee of 2 % on what is seized, to a wei's worth of a token.
    assert 0 <= view.seized - 510_204_081_632_653_061_225 < 3_000
    assert view.charged == 10_204_081_632_653_061_225
    assert view.reward == view.charged // 5


# ------------------------------------------------------------------ tokens and debts


def test_tokens__terms_and_state__as_configured(coins, trader, chain):
    stage = coins
    stage.back(trader, ETH, 3 * WAD)
    eth, usd = stage.tokens.tokens()
    assert (eth.id, usd.id) == (ETH, USD)
    assert (eth.token, usd.token) == (stage.coins[ETH].address, stage.coins[USD].address)
    assert (eth.unit, usd.unit) == (1, 10**12)
    assert (eth.price, eth.price_status, eth.last_price) == (2_000 * WAD, 0, 2_000 * WAD)
    assert eth.terms == stage.configurator.collateral_terms(ETH)
    assert eth.total == 3 * WAD + eth.for_sale
    assert eth.initial_depth_ppm == 10**6 * 999 * WAD // (999 * WAD + eth.total)
    assert (eth.initial_weight_ppm, eth.maintenance_weight_ppm) == (800_000, 850_000)
    assert eth.settles_at == 0
    # Half of each weight, in three days: halfway after a day and a half.
    stage.reconfigure_coin(ETH, initial_weight_ppm=400_000, maintenance_weight_ppm=425_000)
    since = chain.blocks.head.timestamp
    assert stage.tokens.token(ETH).settles_at == since + 3 * 86_400
    chain.pending_timestamp = since + 129_600
    chain.mine()
    later = chain.blocks.head.timestamp
    view = stage.tokens.token(ETH)
    left = since + 3 * 86_400 - later
    assert view.initial_weight_ppm == 400_000 + 400_000 * left // (3 * 86_400)
    assert view.maintenance_weight_ppm == 425_000 + 425_000 * left // (3 * 86_400)


def test_token__room__what_deposit_accepts(coins, trader):
    stage = coins
    room = stage.tokens.token(USD).room
    assert room == 10**6 * RAW - stage.tokens.token(USD).total
    refused = stage.refusal(lambda: stage.back(trader, USD, room + 1))
    assert refused == "caps: collateral"
    stage.back(trader, USD, room)
    assert stage.tokens.token(USD).room == 0
    stage.reconfigure_coin(ETH, delisted=True)
    assert stage.tokens.token(ETH).room == 0
    assert stage.refusal(lambda: stage.back(trader, ETH, 1)) == "collateral: being delisted"


def test_token__not_listed__refused(coins):
    for id in (2, 16, MAX_UINT):
        assert coins.refusal(lambda id=id: coins.tokens.token(id)) == "ledger: unknown token"


def test_credit__one_debtor__rate_and_room_by_hand(coins, trader):
    stage = coins
    stage.configure_credit(debt_cap=1_000 * WAD, low_slope_ppm=40_000, high_slope_ppm=10**6)
    stage.back(trader, ETH, WAD)
    stage.trade(trader, 0, 100)
    stage.price(0, 95 * WAD)
    stage.clearinghouse.settle(trader, sender=stage.stranger)
    view = stage.tokens.credit()
    assert view.debts == -cash_of(stage.clearinghouse.header(trader)) > 500 * WAD
    assert view.room == 1_000 * WAD - view.debts
    assert view.rate == view.debts * 4 // 100 // 1_000  # under the kink: 4 % times the use
    assert view.terms == stage.configurator.credit_terms()
    assert view.owed_by_lots == stage.auction.owed_to_pool()
    assert stage.tokens.clearinghouse() == stage.clearinghouse.address
