"""`Lens.pool`: the pool, the fund, and what stands behind them."""

WAD = 10**18
RAW = 10**6
MAX_UINT = 2**256 - 1


def check_identity(stage, traders):
    """LED-3 over stored values, from outside: custody is all cash less all basis."""
    view = stage.lens.pool()
    held = 0
    for trader in traders:
        account = stage.lens.account(trader)
        held += account.cash - sum(leg.basis for leg in account.positions)
    assert view.traders == held
    assert view.cash + view.insurance + view.traders == view.custody_wad
    assert view.custody_wad == view.custody * 10**12
    return view


def test_pool__nobody_traded__what_was_put_in(stage):
    view = check_identity(stage, [])
    assert view.cash == view.nav == 10_000_000 * WAD
    assert view.insurance == 250_000 * WAD
    assert (view.traders, view.pnl, view.exposure, view.leverage) == (0, 0, 0, 0)
    assert view.max_leverage == 15 * 10**17
    assert not view.has_dead_market
    assert view.custody == view.balance == 10_250_000 * RAW


def test_pool__after_trades_and_a_liquidation__identity_to_the_wei(stage, accounts, chain):
    people = accounts[5:8]
    for person in people:
        stage.fund(person, 1000)
    stage.trade(people[0], 0, "7.7")
    stage.trade(people[1], 2, "-33.333333333333333333")
    stage.trade(people[2], 1, 55)
    chain.pending_timestamp += 5000
    stage.price(0, 101 * WAD)
    stage.price(1, 82 * WAD)
    stage.trade(people[0], 0, "-2.1")
    stage.trade(people[1], 2, 40)
    stage.clearinghouse.liquidate(people[2], sender=stage.keeper)
    view = check_identity(stage, [*people, stage.keeper])
    assert view.traders > 0


def test_pool__exposed__pnl_and_leverage(stage, maker):
    stage.trade(maker, 0, 1000)
    stage.trade(maker, 1, -2000)
    known_at = stage.lens.pool().nav_known_at
    assert known_at > 0
    stage.price(0, 110 * WAD)
    view = check_identity(stage, [maker])
    assert view.exposure == 300_000 * WAD  # at the prices of the last fills
    # -1000 * 110 + 2000 * 100: what the pool's cash does not yet say.
    assert view.pnl == 90_000 * WAD
    assert view.leverage == 3 * 10**16
    stage.clearinghouse.poke(0, sender=stage.stranger)
    assert stage.lens.pool().exposure == 310_000 * WAD
    stage.know_nav(0)
    assert stage.lens.pool().leverage == MAX_UINT
    assert stage.lens.pool().nav_known_at > known_at


def test_pool__stray_tokens__are_in_the_balance_only(stage):
    stage.token.transfer(stage.clearinghouse, 5, sender=stage.deployer)
    view = check_identity(stage, [])
    assert view.balance == view.custody + 5


def test_pool__dead_feed__flagged_only_with_a_skew(stage, maker):
    stage.trade(maker, 0, 10)
    stage.silence(1)
    assert not stage.lens.pool().has_dead_market
    stage.silence(0)
    view = stage.lens.pool()
    assert view.has_dead_market
    assert view.pnl == -1000 * WAD
    assert view.traders == view.custody_wad - view.cash - view.insurance


def test_constructor__line_below_liquidation__reverts(stage, project):
    why = stage.refusal(lambda: stage.deployer.deploy(project.Lens, stage.clearinghouse, WAD - 1))
    assert why == "lens: line below liquidation"
    lens = stage.deployer.deploy(project.Lens, stage.clearinghouse, WAD)
    assert lens.margin_call_line() == WAD
    assert lens.clearinghouse() == stage.clearinghouse
