"""A venue to attack: a deployment, its people, and what each of them is worth.

Everything goes through the package's own ways in (`deploy`, `Client`), in decimals: sizes in base,
prices and money in quote. Each call is a block of its own, a second after the last; what has to
happen in one transaction goes through a `Puppet`.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from eth_abi import decode

from plimsoll.chain import Chain, Signer, address_of
from plimsoll.client import Client, conservation, known_accounts
from plimsoll.deployment import Deployment, deploy
from plimsoll.errors import Reverted
from plimsoll.table import Table
from plimsoll.units import Number, decimal, from_wad, to_wad
from tests.utils.calls import refusal

DAY = 86_400
MAX_UINT = 2**256 - 1
ROLES = ("owner", "keeper", "stranger", "attacker", "accomplice", "victim", "trader", "lp")


class Venue:
    """A deployment and the people around it.

    Args:
        table: what to deploy.
        chain: where.
        seed: whether to pay in the seeds of the pool and of the insurance fund.
    """

    def __init__(self, table: Table, chain: Chain, seed: bool = True) -> None:
        self.chain = chain
        self.people: dict[str, Signer] = dict(zip(ROLES, chain.signers, strict=False))
        self.system: Deployment = deploy(table, chain, self.people["owner"], seed=seed)
        self.client = Client(self.system)
        self.house, self.pool = self.system.clearinghouse, self.system.pool
        self.token, self.configurator = self.system.quote, self.system.configurator

    def __getattr__(self, name: str) -> Signer:
        """``venue.attacker``"""
        people: dict[str, Signer] = self.__dict__.get("people", {})
        if name in people:
            return people[name]
        raise AttributeError(name)

    # -------------------------------------------------------------- acting

    def fund(self, account: Any, amount: Number) -> None:
        """Somebody's money for any account."""
        self.system.fund(account, amount, self.people["owner"])

    def send(self, contract: Any, method: str, *args: Any, sender: Any) -> Any:
        """Any call as a transaction."""
        return self.chain.send(contract, method, *args, sender=sender)

    def view(self, contract: Any, method: str, *args: Any) -> Any:
        """Any read."""
        return self.chain.view(contract, method, *args)

    def refusal(self, contract: Any, method: str, *args: Any, sender: Any) -> str:
        """The reason that a call is refused with; fails if it goes through."""
        return refusal(lambda: self.send(contract, method, *args, sender=sender))

    def prices(self, **prices: Number) -> None:
        """New answers of the mock feeds, now."""
        self.system.set_prices({name: decimal(price) for name, price in prices.items()})

    def wait(self, seconds: int, fresh: bool = True) -> None:
        """Let time pass; the feeds and the NAV keep up unless told not to."""
        self.chain.advance(seconds)
        if fresh:
            self.system.refresh_prices()
            self.system.refresh_nav()

    def puppet(self) -> Puppet:
        """A contract of the attacker's, which is the owner of its own accounts."""
        return Puppet(self)

    # -------------------------------------------------------------- looking

    def tokens(self, who: Any) -> Decimal:
        """Quote tokens that somebody holds."""
        return self.system.from_raw(int(self.view(self.token, "balanceOf", address_of(who))))

    def equity(self, account: Any) -> Decimal:
        """An account's cash and unrealised PnL."""
        return self.client.account(account).equity

    def shares_worth(self, who: Any) -> Decimal:
        """What somebody's pool shares are worth, those handed in for redemption among them."""
        held = int(self.view(self.pool, "balanceOf", address_of(who)))
        asked = int(self.view(self.pool, "request_of", address_of(who)).shares)
        return self.system.from_raw(int(self.view(self.pool, "convertToAssets", held + asked)))

    def wealth(self, *owners: Any) -> Decimal:
        """All that owners have together: tokens, every account of theirs, pool shares."""
        total = Decimal(0)
        everyone = known_accounts(self.system)
        for owner in owners:
            own = int(address_of(owner), 16)
            mine = [a for a in everyone if int(a, 16) ^ own <= 255]
            total += self.tokens(owner) + self.shares_worth(owner)
            total += sum((self.equity(a) for a in mine), Decimal(0))
        return total

    def nav(self) -> Decimal:
        """The pool's NAV, valued now."""
        return from_wad(int(self.view(self.pool, "valuation").nav))

    def insurance(self) -> Decimal:
        """The insurance fund's cash."""
        return self.client.account(self.system.insurance).cash

    def balance(self) -> None:
        """LED-2 and LED-3, to the wei."""
        books = conservation(self.system)
        assert books.difference == 0, f"LED-3 is off by {books.difference}"
        assert [s.name for s in books.sizes if s.difference] == [], "LED-2"
        assert books.holds


class Puppet:
    """A contract that makes many calls in one transaction."""

    def __init__(self, venue: Venue) -> None:
        self.venue = venue
        self.boss = venue.people["attacker"]
        zero = "0x" + "00" * 20
        self.contract = venue.chain.deploy("PuppetMock", zero, 0, sender=self.boss)
        self.address = address_of(self.contract)

    def act(self, *calls: tuple[Any, ...]) -> Any:
        """``(contract, method, *arguments)`` in order, in one transaction, all or none."""
        encoded = [(address_of(c), encode(c, m, *args)) for c, m, *args in calls]
        return self.venue.send(self.contract, "act", encoded, sender=self.boss)

    def refusal(self, *calls: tuple[Any, ...]) -> str:
        """The reason of the call that fails."""
        return refusal(lambda: self.act(*calls))

    def attempt(self, *calls: tuple[Any, ...]) -> list[str | None]:
        """Why each of the calls would fail, one after the other in one transaction; nothing stays."""
        encoded = [(address_of(c), encode(c, m, *args)) for c, m, *args in calls]
        results = self.venue.view(self.contract, "attempt", encoded)
        return [None if r.success else reason_of(bytes(r.data)) for r in results]

    # What a puppet does most.

    def approve(self) -> None:
        """Let the Clearinghouse and the pool take the puppet's tokens."""
        v = self.venue
        self.act(*((v.token, "approve", address_of(c), MAX_UINT) for c in (v.house, v.pool)))

    def trade(self, market: str, size: Number, account: Any = None) -> tuple[Any, ...]:
        """A trade at any price, as a call for `act`."""
        delta = to_wad(decimal(size), "size")
        house, number = self.venue.house, self.venue.system.market_id(market)
        limit = MAX_UINT if delta > 0 else 0
        return house, "trade", address_of(account or self.address), number, delta, limit

    def liquidate(self, account: Any) -> tuple[Any, ...]:
        """A liquidation, as a call for `act`."""
        return self.venue.house, "liquidate", address_of(account)

    def price(self, market: str, price: Number) -> tuple[Any, ...]:
        """A new answer of a mock feed, as a call for `act`."""
        system = self.venue.system
        name = system.market_name(market)
        return system.feeds[name], "set_answer", system.table.answer(name, decimal(price))


def encode(contract: Any, method: str, *args: Any) -> bytes:
    """A call's data, on either engine."""
    if hasattr(contract, "interface"):
        function = contract.interface.functions[method]
        return bytes(function.selector + function.inputs.encode(args))
    return bytes(getattr(contract, method).encode_input(*args))


def reason_of(output: bytes) -> str:
    """The text of a revert."""
    return str(decode(["string"], output[4:])[0]) if output else ""


def tried(call: Callable[[], Any]) -> str | None:
    """Why a call is refused; None if it goes through."""
    try:
        call()
    except Reverted as error:
        return error.reason
    return None
