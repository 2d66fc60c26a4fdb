"""The Lens on the largest account there can be: 32 markets, the Clearinghouse's limit."""

import ape
import pytest
from eth_tester.exceptions import TransactionFailed

WAD = 10**18
MAX_UINT = 2**256 - 1


@pytest.fixture(scope="module")
def crowded(stage, accounts):
    """Somebody in 32 of 33 markets, long in every other one, near the initial requirement."""
    trader = accounts[5]
    for i in range(3, 33):
        stage.list_market(f"M{i}")
    stage.fund(trader, 340)
    for market in range(32):
        stage.trade(trader, market, 1 if market % 2 else -1)
    return trader


def test_account__32_markets__fits_a_call_of_10m_gas(stage, crowded):
    view = stage.lens.account(crowded)
    assert [leg.market for leg in view.positions] == list(range(32))
    assert all(leg.liquidation_price > 0 for leg in view.positions if leg.size < 0)
    assert view.health == stage.clearinghouse.health(crowded)
    call = {
        "to": stage.lens.address,
        "data": stage.lens.account.encode_input(crowded),
        "gas": 10_000_000,
    }
    ape.chain.provider.web3.eth.call(call)
    call["gas"] = 1_000_000
    with pytest.raises(TransactionFailed):
        ape.chain.provider.web3.eth.call(call)


def test_preview_trade__33rd_market__refused(stage, crowded):
    stage.fund(crowded, 1000)
    for market, reason in ((32, "account: 32 markets at most"), (31, "")):
        view = stage.lens.preview_trade(crowded, market, WAD, MAX_UINT)
        assert view.reason == reason
        assert stage.refusal(lambda m=market: stage.trade(crowded, m, 1)) == reason


def test_preview_liquidation__32_markets__as_it_happens(stage, crowded, robot):
    for market in range(1, 32, 2):
        stage.price(market, 85 * WAD)
    seen, reward, header = (
        outcome.value
        for outcome in stage.imagine(
            robot,
            (stage.tokens.preview_liquidation, crowded.address),
            (stage.clearinghouse.liquidate, crowded.address),
            (stage.clearinghouse.header, crowded.address),
        )
    )
    assert (seen.liquidatable, seen.closed, seen.left_open) == (True, 32, 0)
    assert seen.reward == reward
    assert seen.remaining == header >> 136  # cash, and no market left
    assert header % 2**136 == 0


def test_markets__33_of_them__two_pages(stage, crowded):
    first = stage.lens.markets(0, 100)
    assert [view.market for view in first] == list(range(32))
    rest = stage.lens.markets(32, 100)
    assert [(view.market, view.name) for view in rest] == [(32, "M32")]
