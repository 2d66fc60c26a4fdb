"""Every event carries the resulting state: accounts and markets can be rebuilt from events alone."""

import random

import ape
import pytest

from plimsoll import slots
from tests.utils.events import events
from tests.utils.system import System, wad


class Mirror:
    """What somebody knows who has only listened."""

    def __init__(self) -> None:
        self.cash: dict[str, int] = {}
        self.positions: dict[tuple[str, int], tuple[int, int]] = {}
        self.states: dict[int, tuple[int, int]] = {}

    def hear(self, receipt: object) -> None:
        """Take a transaction's events in."""
        for name, *args in events(receipt):
            if name == "CashMoved":
                self.cash[args[0]] = args[1]
            elif name == "Fill":
                account, market, _, _, size, basis, a, b = args
                self.positions[account, market] = (size, basis)
                self.states[market] = (a, b)
            elif name == "MarketMoved":
                self.states[args[0]] = (args[1], args[2])


@pytest.mark.parametrize("seed", [1, 2])
def test_events__random_sequence__rebuild_every_account_and_market(project, accounts, seed):
    rng = random.Random(seed)
    system, mirror = System(project, list(accounts)), Mirror()
    house = system.clearinghouse
    for name in ("STILL", "TIDE"):
        system.list_market(name, max_velocity_ppm=500_000, max_rate_ppm=10_000)
    mirror.hear(system.deposit(system.pool, 10_000_000))
    mirror.hear(system.deposit(house, 1_000))
    system.know_nav()
    traders = list(accounts[1:5])
    owned = [(t, a) for t in traders for a in (t.address, system.sub(t, 1))]
    for _, account in owned:
        mirror.hear(system.deposit(account, rng.choice([50, 100, 500, 5_000])))
    done = dict.fromkeys(["deposit", "withdraw", "trade", "poke", "liquidate"], 0)
    for _ in range(90):
        owner, account = rng.choice(owned)
        market = rng.choice(system.markets)
        what = rng.choices(list(done) + ["price"], [1, 2, 8, 1, 4, 3])[0]
        try:
            if what == "price":
                system.price(market, rng.choice([80, 92, 96, 99, 100, 101, 104, 108, 120]))
                continue
            if what == "deposit":
                mirror.hear(system.deposit(account, rng.randrange(1, 300)))
            elif what == "withdraw":
                raw = rng.randrange(1, 10**8)
                mirror.hear(house.withdraw(account, system.token, raw, owner, sender=owner))
            elif what == "trade":
                delta = rng.choice([-1, 1]) * rng.randrange(2**33, wad(30))
                mirror.hear(system.trade_wad(owner, market, delta, account))
            elif what == "poke":
                mirror.hear(house.poke(market.id, sender=owner))
            elif what == "liquidate":
                receipt = house.liquidate_many([a for _, a in owned], sender=owner)
                mirror.hear(receipt)
                if not receipt.logs:
                    continue
            done[what] += 1
        except ape.exceptions.ContractLogicError:
            continue
    assert min(done.values()) > 0, done

    everyone = [a for _, a in owned] + [system.pool.address, house.address]
    for account in everyone:
        header = system.header(account)
        assert header.cash == mirror.cash.get(account, 0)
        held = {m for (a, m), (size, _) in mirror.positions.items() if a == account and size}
        assert header.bitmap == sum(1 << m for m in held)
        for market in system.markets:
            position = system.position(account, market)
            assert tuple(position) == mirror.positions.get((account, market.id), (0, 0))
    assert set(mirror.cash) <= set(everyone)
    for market in system.markets:
        words = system.words(market)
        assert (words.a, words.b) == mirror.states[market.id]
        # The pool's size is the other side of all the others'.
        sizes = [size for (_, m), (size, _) in mirror.positions.items() if m == market.id]
        assert slots.unpack_state_a(words.a).skew == sum(sizes)
    system.check_conservation()
