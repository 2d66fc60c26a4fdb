"""F. Funding, skew, fees (82 to 90)."""

from __future__ import annotations

import random
from collections import Counter
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from plimsoll.chain import address_of
from plimsoll.client import sub_account
from plimsoll.units import WAD, from_wad
from tests.attacks.venue import DAY, Venue, tried

D = Decimal
MILLION = 10**6
LOT = D(2**32).scaleb(-18)
WEI = D(1).scaleb(-18)

STORE = "    b: uint256 = slots.pack_state_b(m.index, m.rate, block.timestamp, surge_ppm, steady)\n"
FILLS_ACCRUE_NOTHING = (
    "modules/markets.vy",
    STORE,
    """    b: uint256 = self._markets[m.id].b
    if skew == m.skew and lots == m.lots:
        b = slots.pack_state_b(m.index, m.rate, block.timestamp, surge_ppm, steady)
""",
)
PRICED_BEFORE_THE_TRADE = (
    "modules/curve.vy",
    "unsafe_add(unsafe_add(doubled, unsafe_mul(2, skew)), delta)",
    "unsafe_add(doubled, unsafe_mul(2, skew) + 0 * delta)",
)
TRUNCATING = (
    "modules/fixed_point.vy",
    "return unsafe_sub(q, convert(unsafe_mul(q, y) > x, int256))",
    "return q",
)


def open_all(venue: Venue, **sizes: str | D | int) -> None:
    """People take positions in ETH, with margin to spare."""
    for name, size in sizes.items():
        who = getattr(venue, name)
        venue.client.deposit(MILLION, signer=who)
        venue.client.trade("ETH", size, signer=who, slippage=None)


def why_not(venue: Venue, size: D | int, signer: Any, limit: D | None = None) -> str | None:
    """Why a trade in ETH is refused; None if it goes through."""
    return tried(lambda: venue.client.trade("ETH", size, limit=limit, signer=signer, slippage=None))


def poke(venue: Venue) -> None:
    """Anyone's."""
    venue.system.poke("ETH")


# ------------------------------------------------------------------ the past (82)


@pytest.mark.defence(*FILLS_ACCRUE_NOTHING)
@pytest.mark.parametrize("side", [1, -1])
def test_82__skew_of_a_moment_charged_for_the_days_before__only_its_own_seconds_count(
    venue_of, side
):
    """A rate taken from the present skew and applied to the time since the last touch: whoever stands
    on the right side is paid for days in which nothing was owed (Zaros, Cyfrin 2024-07; Hubble,
    sherlock 2023-04 #183; Predy, c4 2024-05 M-02).

    The attacker is short against a long of the same size for up to three days, no skew, no funding.
    Then a victim buys the market full, and the attacker accrues."""
    for idle in (3_600, DAY, 3 * DAY):
        venue = venue_of()
        open_all(venue, attacker=-300 * side, accomplice=300 * side)
        poke(venue)
        venue.wait(idle)
        before = venue.wealth(venue.attacker)
        open_all(venue, victim=1_340 * side)
        had = venue.equity(venue.victim)
        poke(venue)
        seconds = D(1)
        assert venue.wealth(venue.attacker) - before < seconds, idle
        assert had - venue.equity(venue.victim) < seconds
        # It is not for want of funding: a day of it costs the victim thousands.
        venue.wait(DAY)
        assert had - venue.equity(venue.victim) > 9_000


@pytest.mark.defence("Clearinghouse.vy", "        markets.touch(leg, stable)\n", "        pass\n")
def test_82__new_terms_for_time_that_has_passed__the_past_keeps_its_own(venue_of):
    """The owner raises the velocity, or the greatest rate, after days of skew (Unstoppable, sherlock
    2023-06 #103)."""
    for changes in (
        {"max_velocity_ppm": 5_000_000},
        {"max_rate_ppm": 20_000, "max_velocity_ppm": 5_000_000},
        {"max_velocity_ppm": 0},
    ):
        venue = venue_of()
        open_all(venue, victim=1_340)
        venue.wait(2 * DAY)
        before = venue.equity(venue.victim)
        with venue.imagined():
            poke(venue)
            expected = venue.equity(venue.victim)
        venue.configure("ETH", **changes)
        assert abs(before - venue.equity(venue.victim)) < 2
        assert abs(expected - venue.equity(venue.victim)) < 2


# ------------------------------------------------------------------ flash skew (83)


@pytest.mark.defence(
    "modules/funding.vy",
    "unsafe_mul(unsafe_mul(pull, 10**12), dt), unsafe_mul(depth, DAY)",
    "unsafe_mul(unsafe_mul(pull, 10**12), dt), depth",
)
@pytest.mark.defence("modules/funding.vy", "if r1 > limit or r1 < lowest:", "if False:")
def test_83__push_the_skew_for_a_while__funding_moves_with_the_square_of_the_time(venue_of):
    """A skew that is pushed for a block makes a venue's funding extreme, and another account of the
    attacker's collects it (Perpetual, sherlock 2024-02 #133).

    The skew moves the rate's speed. To be pushed to its cap for a second moves the index by 1.7e-9, for
    an hour by 0.013 of 3,000; the greatest rate, 1 % a day, takes two days. The attacker owns nine
    tenths of the pool, which collects; his victims are long."""
    for held in (1, 60, 3_600, 5 * DAY):
        venue = venue_of()
        attacker, spec = venue.attacker, venue.system.table.spec("ETH")
        open_all(venue, victim=300)
        venue.client.deposit(4 * MILLION, signer=attacker)
        venue.enter(attacker, 90 * MILLION)
        before = venue.wealth(attacker)
        state = venue.client.words("ETH").b
        venue.client.trade("ETH", 1_040, signer=attacker, slippage=None)
        if held > 1:
            venue.wait(held)
        poke(venue)
        moved = venue.client.words("ETH").b
        days = D(moved.touched_at - state.touched_at) / DAY
        index = from_wad(moved.funding_index - state.funding_index)
        speed = spec.max_skew / spec.skew_scale * spec.max_velocity
        most = days * min(from_wad(state.rate) + speed * days / 2, spec.max_rate)
        assert 0 < index <= spec.price * most * D("1.0001"), held
        assert from_wad(moved.rate) <= spec.max_rate
        if held <= 3_600:
            venue.client.close("ETH", signer=attacker)
            assert venue.wealth(attacker) < before


# ------------------------------------------------------------------ to the wei (84)


@pytest.mark.defence(*TRUNCATING)
def test_84__funding_of_odd_sizes_in_any_order__nobody_takes_the_odd_wei(venue_of):
    """What the payers pay is rounded one by one, and so is what the others are paid: whose the odd wei
    is decides whether the venue can pay (Velar, sherlock 2024-08 #83; Elfi 2024-05 H-30).

    Here what one side of a fill pays the other gets, to the wei, whatever the rounding (the fixture
    adds it all up), and each trader is paid no more than the exact fraction."""
    venue = venue_of()
    dice = random.Random(84)
    people = (venue.attacker, venue.accomplice, venue.victim, venue.trader)
    accounts = [(who, sub_account(who, n)) for who in people for n in (0, 1)]
    for number, (who, account) in enumerate(accounts):
        venue.client.deposit(100_000, account=account, signer=who)
        size = D(dice.randrange(10**18, 30 * 10**18)) * WEI
        side = -1 if number % 4 == 3 else 1
        venue.client.trade("ETH", side * size, account=account, signer=who, slippage=None)
    venue.wait(DAY)
    dice.shuffle(accounts)
    for who, account in accounts:
        venue.wait(dice.randrange(1, 50_000))
        size = venue.client.account(account).position("ETH").size
        delta = -size if dice.random() < 0.5 else -size / 3
        leg = venue.view(venue.house, "leg", account, 1)
        cash = venue.client.header(account).cash
        done = venue.client.trade(
            "ETH", delta.quantize(WEI), account=account, signer=who, slippage=None
        )
        after = venue.view(venue.house, "leg", account, 1)
        # Cash less basis: what a fill at price f with the index then at F is worth, exactly.
        exact = -Fraction(int(after.size - leg.size) * (wad(done.price) - after.index), WAD)
        got = venue.client.header(account).cash + wad(done.fee) - after.basis - (cash - leg.basis)
        assert exact - 1 < got <= exact


def wad(value: D) -> int:
    return int(value.scaleb(18))


# ------------------------------------------------------------------ precision (85)


@pytest.mark.defence(
    "modules/markets.vy", STORE, STORE.replace("m.rate", "m.rate // 10**9 * 10**9")
)
@pytest.mark.parametrize("size", [1_340, -1_340, D("0.5")])
def test_85__accrue_each_second_to_round_the_funding_away__costs_the_same_to_a_millionth(
    venue_of, size
):
    """Rates and indices that lose their last digits at each touch: whoever owes funding touches them
    each block (Velar, sherlock 2024-08 #66; Unstoppable 2023-06 #167, #191)."""
    venue = venue_of()
    open_all(venue, attacker=size)
    paid = []
    for touches in (0, 600):
        with venue.imagined():
            before = venue.client.words("ETH").b
            for _ in range(touches):
                poke(venue)
            while venue.chain.now < before.touched_at + 604:
                venue.chain.advance(before.touched_at + 604 - venue.chain.now)
                poke(venue)
            after = venue.client.words("ETH").b
            assert after.touched_at - before.touched_at == 604
            paid.append(after.funding_index - before.funding_index)
    once, often = paid
    assert once != 0
    assert abs(once - often) <= abs(once) / MILLION


# ------------------------------------------------------------------ round trips (86, 87, 88)


@pytest.mark.defence(*PRICED_BEFORE_THE_TRADE)
def test_86__round_trip_in_any_pieces__costs_its_fees_to_the_wei(venue_of):
    """A quote that leaves the trade itself out is bought at the old skew and sold at the new one
    (Perpetual, sherlock 2024-02 #25; GMX 2023-02 #105; undone, 1,340 ETH there and back bring 28,000).

    Whatever the pieces, the accounts and the skew before: at one price the way there and back costs fee
    and spread of each piece, and at most a wei of cash and one of price for each."""
    dice = random.Random(86)
    for crowd in (0, 600, -600):
        for pieces in (1, 2, 7, 30):
            venue = venue_of()
            if crowd:
                open_all(venue, trader=crowd)
            spec = venue.system.table.spec("ETH")
            puppet = venue.puppet()
            accounts = [sub_account(puppet.address, n) for n in (0, 1, 255)]
            for account in accounts:
                venue.fund(account, MILLION)
            most = int(spec.max_skew - abs(crowd))
            cuts = sorted(dice.randrange(1, most * 10**6) for _ in range(pieces))
            there = [D(b - a).scaleb(-6) for a, b in zip([0, *cuts], cuts, strict=False) if b > a]
            side = dice.choice((1, -1))
            calls, sizes = [], dict.fromkeys(accounts, D(0))
            for delta in there:
                account = dice.choice(accounts)
                sizes[account] += side * delta
                calls.append(puppet.trade("ETH", side * delta, account))
            back = []
            for account, size in sizes.items():
                for part in (size / 2, size - (size / 2).quantize(WEI)):
                    if part:
                        back.append(puppet.trade("ETH", -part.quantize(WEI), account))
            dice.shuffle(back)
            before = venue.wealth(puppet.address)
            receipt = puppet.act(*calls, *back)
            lost = before - venue.wealth(puppet.address)
            fills = [e.args for e in receipt.events if e.name == "Fill"]
            fees = sum(from_wad(e.args["fee"]) for e in receipt.events if e.name == "FeePaid")
            spread = sum(abs(from_wad(f["size_delta"])) for f in fills) * spec.price * spec.spread
            volume = sum(abs(from_wad(f["size_delta"])) for f in fills)
            assert fees + spread <= lost <= fees + spread + (volume + len(fills)) * WEI


@pytest.mark.defence(
    "Clearinghouse.vy",
    "if price > limit_price if size_delta > 0 else price < limit_price:",
    "if False:",
)
def test_86__round_trip_around_a_victims_trade__takes_no_more_than_his_limit_gives(venue_of):
    """Nobody gains of his own push, but whoever trades between his push and his way back pays it: the
    sandwich. A push of 400 ETH around 900 takes 4,454 of a victim who would take any price.

    It costs 0.3 % of the push to make, so it pays against trades of 0.3 % of the scale and up, 400 ETH
    here, and it takes no more than the victim's limit gives away. A push that passes the limit stops
    his trade instead, and costs its fees."""
    outcomes: Counter[str | None] = Counter()
    for side in (1, -1):
        for size in (D(300), D(600), D(900)):
            for tolerance in (D("0.0001"), D("0.0005"), D("0.002")):
                for push in (D(50), D(400)):
                    venue = venue_of()
                    attacker, victim, client = venue.attacker, venue.victim, venue.client
                    for who in (attacker, victim):
                        client.deposit(3 * MILLION, signer=who)
                    quoted = client.preview_trade(victim, "ETH", side * size).price
                    limit = (quoted * (1 + side * tolerance)).quantize(WEI)
                    before = venue.wealth(attacker)
                    client.trade("ETH", side * push, signer=attacker, slippage=None)
                    outcomes[why_not(venue, side * size, victim, limit)] += 1
                    client.close("ETH", signer=attacker)
                    gain = venue.wealth(attacker) - before
                    assert gain <= size * quoted * tolerance, (side, size, tolerance, push)
    assert set(outcomes) == {None, "trade: past limit price"}


@pytest.mark.defence(*PRICED_BEFORE_THE_TRADE)
def test_87__one_trade_or_a_hundred__pay_the_same_but_for_the_wei(venue_of):
    """An impact with steps, or one that a trade does not feel itself, is avoided by cutting it (GMX,
    sherlock 2023-02 #145)."""
    for total in (D(1_300), D(-1_300), D("77.7")):
        costs = []
        for pieces in (1, 3, 100):
            venue = venue_of()
            open_all(venue, trader=D("-12.345"))
            puppet = venue.puppet()
            venue.fund(puppet.address, MILLION)
            piece = (total / pieces).quantize(WEI)
            deltas = [piece] * (pieces - 1) + [total - piece * (pieces - 1)]
            before = venue.wealth(puppet.address)
            puppet.act(*(puppet.trade("ETH", delta) for delta in deltas))
            costs.append(before - venue.wealth(puppet.address))
        whole, *cut = costs
        for pieces, cost in zip((3, 100), cut, strict=True):
            assert whole - WEI <= cost <= whole + (abs(total) + 2 * pieces) * WEI, total


def test_88__loops_across_zero_between_ones_own_accounts__each_pays_its_fee(venue_of):
    """A venue that pays for what lowers the skew, or to makers, is looped (Zaros, Cyfrin 2024-07;
    Deriverse 2025-12). Here nobody is paid a fee: what a curve gives back, it took before.

    Fifty flips between three accounts in one transaction, from a crowded start and from none."""
    for crowd in (0, 900, -900):
        venue = venue_of()
        if crowd:
            open_all(venue, trader=crowd)
        spec, puppet, dice = venue.system.table.spec("ETH"), venue.puppet(), random.Random(crowd)
        accounts = [sub_account(puppet.address, n) for n in range(3)]
        for account in accounts:
            venue.fund(account, MILLION)
        sizes = dict.fromkeys(accounts, D(0))
        calls = []
        for _ in range(50):
            account = dice.choice(accounts)
            target = D(dice.choice((-1, 1)) * dice.randrange(1, 140))
            calls.append(puppet.trade("ETH", target - sizes[account], account))
            sizes[account] = target
        calls += [puppet.trade("ETH", -size, account) for account, size in sizes.items() if size]
        before = venue.wealth(puppet.address)
        pool, fund = venue.nav(), venue.insurance()
        receipt = puppet.act(*calls)
        lost = before - venue.wealth(puppet.address)
        volume = sum(
            abs(from_wad(e.args["size_delta"])) for e in receipt.events if e.name == "Fill"
        )
        least = volume * spec.price * (spec.spread + spec.taker_fee * D("0.98"))
        assert lost >= least
        assert venue.insurance() - fund >= volume * spec.price * spec.taker_fee * D("0.98") / 5
        assert venue.nav() - pool + venue.insurance() - fund >= lost - D("0.01")


# ------------------------------------------------------------------ caps (89, 90)


@pytest.mark.defence(
    "Clearinghouse.vy",
    "market, leg.skew, f.skew, slots.open_interest(f.lots, f.skew), f.exposure_change, MAX_POOL_LEVERAGE_PPM",
    "market, leg.skew, leg.skew, slots.open_interest(leg.lots, leg.skew), 0, MAX_POOL_LEVERAGE_PPM",
)
def test_89__one_trade_past_every_cap__is_measured_after_it(venue_of):
    """A cap that looks at the state before the trade lets the last one be of any size (Flat Money,
    sherlock 2023-12 #92, #143; Perennial 2023-10 #24)."""
    for side in (1, -1):
        for times in (1, 2, 5):
            venue = venue_of()
            attacker, accomplice, client = venue.attacker, venue.accomplice, venue.client
            spec = venue.system.table.spec("ETH")
            for who in (attacker, accomplice):
                client.deposit(4 * MILLION, signer=who)
            over = side * (spec.max_skew * times + LOT)
            reasons = [why_not(venue, over, attacker)]
            assert abs(client.market("ETH").skew) <= spec.max_skew, times
            client.trade("ETH", side * spec.max_skew, signer=attacker, slippage=None)
            reasons.append(why_not(venue, side * LOT, accomplice))
            # Through zero to the other side's cap, and no lot further.
            turn = -side * 2 * spec.max_skew
            reasons.append(why_not(venue, turn - side * LOT, accomplice))
            market = client.market("ETH")
            assert abs(market.skew) <= spec.max_skew
            interest = max(market.long_open_interest, market.short_open_interest)
            assert interest <= spec.max_open_interest
            assert all(why and why.startswith("caps: ") for why in reasons), reasons


def test_90__fill_the_open_interest_against_oneself__is_dear_and_keeps_nobody_in(venue_of):
    """Both sides the attacker's, the market is full and nobody else can open: not stopped, but priced
    (GMX, sherlock 2023-04 #246).

    1,876 ETH on each side lock 642,000 of margin and cost 16,907 to put up and as much to take down.
    A month of it costs no more than a day: without a skew there is no funding. Whoever has a position
    can close it all the while. The Configurator's owner can raise the cap, but not far."""
    venue = venue_of()
    client, attacker, spec = venue.client, venue.attacker, venue.system.table.spec("ETH")
    open_all(venue, victim=100, trader=-100)
    sub = sub_account(attacker, 1)
    for account in (address_of(attacker), sub):
        client.deposit(MILLION, account=account, signer=attacker)
    before = venue.wealth(attacker)
    room = spec.max_open_interest - 100
    for part in (D("0.7"), D("0.3")):
        for account, side in ((attacker, 1), (sub, -1)):
            client.trade("ETH", side * part * room, account=account, signer=attacker, slippage=None)
    locked = client.account(attacker).initial + client.account(sub).initial
    assert locked > 500_000
    client.deposit(10_000, signer=venue.lp)
    for size in (1, -1):
        assert why_not(venue, size, venue.lp) == "caps: open interest"
    put_up = venue.wealth(attacker)
    venue.wait(30 * DAY)
    assert abs(venue.wealth(attacker) - put_up) < 1
    assert why_not(venue, 1, venue.lp) == "caps: open interest"
    # The owner can make room, as far as the maintenance margin carries it (MGN-3).
    scale = venue.terms("ETH").skew_scale
    with venue.imagined():
        venue.configure("ETH", max_open_interest=scale * 15 // 1_000)
        assert why_not(venue, 1, venue.lp) is None
        why = tried(lambda: venue.configure("ETH", max_open_interest=scale * 16 // 1_000))
        assert why == "configurator: mm too low"
    client.close("ETH", signer=venue.victim)
    client.close("ETH", signer=venue.trader)
    fee = (spec.taker_fee + spec.spread) * 2 * room * spec.price
    assert before - venue.wealth(attacker) >= fee * D("0.99") > 15_000
    client.close("ETH", signer=attacker)
    client.close("ETH", account=sub, signer=attacker)
    assert before - venue.wealth(attacker) >= 2 * fee * D("0.99")
    client.trade("ETH", 1, signer=venue.lp)
