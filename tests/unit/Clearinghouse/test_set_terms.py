"""set_terms: the Configurator alone, and never for the past."""

import ape

from plimsoll import slots
from plimsoll.model import Settings
from tests.utils import exact
from tests.utils.events import event, events
from tests.utils.system import DAY, ZERO, System, terms, wad


def packed(market, decimals: int, **changes) -> tuple[int, int, int]:
    """The words of a market's terms, some of them changed."""
    return slots.pack_terms(slots.Terms(**(market.terms | changes)), decimals)


def test_set_terms__by_anyone_else__is_refused(system, house, still, stranger):
    words = packed(still, 8, mm_ppm=10)
    for sender in (stranger, system.deployer):
        with system.refuses("access: configurator only"):
            house.set_terms(still.id, words, sender=sender)
    with system.refuses("access: configurator only"):
        system.perform(system.pool, (house.set_terms, 3, words))
    system.configure(still, taker_fee_ppm=400)


def test_set_terms__new_market__is_stored_and_told(loose):
    feed = loose.deployer.deploy(loose.project.FeedMock, 8, 100 * 10**8)
    words = slots.pack_terms(slots.Terms(**terms(feed)), 8)
    receipt = loose.perform(loose.configurator, (loose.clearinghouse.set_terms, 77, words))
    assert events(receipt) == [event("MarketConfigured", 77, words)]
    assert tuple(loose.clearinghouse.market_words(77)) == (*words, 0, 0)


def test_set_terms__beyond_128__is_refused(loose, still):
    words = packed(loose.markets[0], 8)
    for market in (128, 2**256 - 1):
        with loose.refuses():
            loose.perform(loose.configurator, (loose.clearinghouse.set_terms, market, words))
    loose.perform(loose.configurator, (loose.clearinghouse.set_terms, 127, words))


def test_set_terms__listed_market__is_touched_with_its_old_terms_first(loose, trader):
    house, tide = loose.clearinghouse, loose.markets[1]
    loose.deposit(trader, 100_000)
    opened = loose.trade(trader, tide, 5_000).timestamp
    loose.travel(DAY // 4)
    loose.price(tide, 110)
    words = packed(tide, 18, max_velocity_ppm=0, max_rate_ppm=1)
    receipt = loose.perform(loose.configurator, (house.set_terms, tide.id, words))
    dt = receipt.timestamp - opened
    rate = exact.rate_after(0, wad(5_000), tide.scale, 500_000, 10_000, dt)
    index = exact.index_after(0, 0, rate, wad(110), dt)
    state_a = slots.StateA(exact.lots(wad(5_000)), wad(110), wad(5_000))
    # It was 100 and may have gone 6 % an hour for an hour; the oracle is at 110.
    steady = exact.steady_after(tide.steady(wad(100)), tide.terms["max_price"], wad(110), dt)
    state_b = slots.StateB(index, rate, receipt.timestamp, 0, steady)
    assert events(receipt) == [
        event("MarketMoved", tide.id, slots.pack_state_a(state_a), slots.pack_state_b(state_b)),
        event("MarketConfigured", tide.id, words),
    ]
    assert loose.state(tide) == (state_a, state_b)
    assert loose.book().exposure == wad(550_000)
    # From now on the new terms count: the rate is cut to its new clamp.
    loose.travel(3_600)
    assert house.leg(trader, tide.id).rate == 10**12


def test_set_terms__dead_feed__can_be_replaced_and_keeps_the_last_good_price(loose, trader):
    house, still = loose.clearinghouse, loose.markets[0]
    loose.deposit(trader, 1_000)
    loose.trade(trader, still, 10)
    loose.kill(still)
    feed = loose.deployer.deploy(loose.project.FeedMock, 8, 99 * 10**8)
    loose.perform(
        loose.configurator, (house.set_terms, still.id, packed(still, 8, feed=feed.address))
    )
    assert loose.state(still)[0].last_price == wad(100)
    leg = house.leg(trader, still.id)
    assert (leg.price, leg.status) == (wad(99), 0)
    loose.trade(trader, still, -10)


def test_constructor__peers_that_point_elsewhere__are_refused(project, accounts):
    deployer = accounts[0]
    token = deployer.deploy(project.TokenMock, "Quote", "Q", 6)
    other = accounts[1].address

    def attempt(
        pool_of=ZERO,
        configurator_of=ZERO,
        auction_of=ZERO,
        backstop_of=ZERO,
        share=200_000,
        shares=(200_000, 200_000, 500_000),
        **fixed,
    ):
        # Peers of nobody say yes to whoever asks: Ape replays a failed creation from another nonce.
        pool = deployer.deploy(project.PuppetMock, pool_of, 0)
        configurator = deployer.deploy(project.PuppetMock, configurator_of, share)
        auction = deployer.deploy(project.PuppetMock, auction_of, 0)
        backstop = deployer.deploy(project.PuppetMock, backstop_of, 0)
        peers = [c.address for c in (pool, configurator, auction)]
        settings = Settings(
            token.address, 0, *peers, *shares, 1_500_000, wad(20), backstop.address, **fixed
        )
        return deployer.deploy(project.Clearinghouse, tuple(settings))

    for reason, options in {
        "settings: pool of another": {"pool_of": other},
        "settings: configurator of another": {"configurator_of": other},
        "settings: auction of another": {"auction_of": other},
        "settings: backstop of another": {"backstop_of": other},
        "settings: stable speed": {"stable_speed_ppm": 0},
        "settings: keeper share": {"share": 200_001},
    }.items():
        with ape.reverts(reason):
            attempt(**options)
    for shares in [(10**6 + 1, 0, 0), (0, 10**6 + 1, 0), (0, 0, 10**6 + 1)]:
        with ape.reverts("settings: share above 1"):
            attempt(share=shares[0], shares=shares)
    house = attempt(share=10**6, shares=(10**6, 10**6, 10**6))
    assert house.settings().keeper_share_ppm == 10**6


def test_constructor__quote_that_is_no_token__is_refused(project, accounts):
    with ape.reverts():
        System(project, list(accounts), token=accounts[0].deploy(project.ModulesMock))
