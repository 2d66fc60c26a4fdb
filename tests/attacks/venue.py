"""A venue to attack: a deployment, its people, and what each of them is worth.

Everything goes through the package's own ways in (`deploy`, `Client`), in decimals: sizes in base,
prices and money in quote. Each call is a block of its own, a second after the last; what has to
happen in one transaction goes through a `Puppet`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from eth_abi.abi import decode

from plimsoll.chain import Chain, Signer, address_of
from plimsoll.client import Client, conservation, known_accounts
from plimsoll.deployment import Deployment, deploy
from plimsoll.errors import Reverted
from plimsoll.fuzz.artifacts import compile_contract
from plimsoll.slots import Terms
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
        quote: a mock, or the source of one, to settle in; it takes its decimals and mints freely.
            It is `odd` then.
    """

    def __init__(
        self, table: Table, chain: Chain, seed: bool = True, quote: str | Path | None = None
    ) -> None:
        self.chain = chain
        self.people: dict[str, Signer] = dict(zip(ROLES, chain.signers, strict=False))
        owner = self.people["owner"]
        if quote is None:
            self.system: Deployment = deploy(table, chain, owner, seed=seed)
        else:
            self.odd = plant(chain, quote, table.quote.decimals, sender=owner)
            token = replace(table.quote, address=address_of(self.odd))
            self.system = deploy(replace(table, quote=token), chain, owner, seed=False)
            self.system.mock_quote = True
            if hasattr(chain, "_contracts"):  # that engine knows one interface for an address
                chain.at(Path(quote).stem, address_of(self.odd))
            if seed:
                self.system.seed_pool(table.pool.seed, owner)
                self.system.fund(self.system.insurance, table.insurance, owner)
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

    def tried(self, contract: Any, method: str, *args: Any, sender: Any) -> str | None:
        """Why a call is refused; None if it goes through."""
        return tried(lambda: self.send(contract, method, *args, sender=sender))

    def prices(self, **prices: Number) -> None:
        """New answers of the mock feeds, now."""
        self.system.set_prices({name: decimal(price) for name, price in prices.items()})

    def wait(self, seconds: int, fresh: bool = True) -> None:
        """Let time pass; the feeds and the NAV keep up unless told not to."""
        self.chain.advance(seconds)
        if fresh:
            self.system.refresh_prices()
            self.system.refresh_nav()

    def hold(self, **prices: Number) -> None:
        """The same for so long that the stable prices are there, too."""
        self.prices(**prices)
        while any(self.client.market(n).stable_price != decimal(p) for n, p in prices.items()):
            self.system.poke(*prices)
            self.wait(3_600)

    # The pool, by the simplest way.

    def enter(self, who: Any, amount: Number) -> None:
        """Somebody's own tokens into the pool; a mock token mints what he lacks."""
        self.system.seed_pool(decimal(amount), who)

    def ask(self, who: Any) -> None:
        """Somebody asks to redeem every share that he holds."""
        shares = int(self.view(self.pool, "balanceOf", address_of(who)))
        where = address_of(who)
        self.send(self.pool, "requestRedeem", shares, where, where, sender=who)

    def leave(self, who: Any) -> int:
        """Somebody claims all that he may; the shares that it took."""
        where = address_of(who)
        shares = int(self.view(self.pool, "maxRedeem", where))
        self.send(self.pool, "redeem", shares, where, where, 0, sender=who)
        return shares

    def puppet(self) -> Puppet:
        """A contract of the attacker's, which is the owner of its own accounts."""
        return Puppet(self)

    @contextmanager
    def imagined(self) -> Iterator[None]:
        """Whatever happens inside is undone, time too: for two ways from one place."""
        chain: Any = self.chain
        if not hasattr(chain, "_machine"):
            import ape

            with ape.chain.isolate():
                yield
            return
        machine, logs = chain._machine, len(chain._logs)
        checkpoint, now, number = machine.evm.snapshot(), machine.now, machine.number
        try:
            yield
        finally:
            machine.evm.revert(checkpoint)
            machine.now, machine.number = now, number
            machine._set_block()
            del chain._logs[logs:]

    def terms(self, market: str) -> Terms:
        """A market's terms, as the Configurator has them."""
        found = self.view(self.configurator, "terms", self.system.market_id(market))
        return Terms(*(getattr(found, name) for name in Terms._fields))

    def configure(self, market: str, sender: Any = None, **changes: Any) -> None:
        """The Configurator's owner (or somebody else) changes some of a market's terms."""
        terms = self.terms(market)._replace(**changes)
        who = sender or self.people["owner"]
        number = self.system.market_id(market)
        self.send(self.configurator, "configure_market", number, tuple(terms), sender=who)

    def faulty(self, market: str) -> Any:
        """Give a market, as long as it is empty, a feed that can be made to misbehave."""
        name, decimals = self.system.market_name(market), 8
        answer = self.system.table.answer(name, self.system.price(name), decimals)
        feed = self.chain.deploy("FaultyFeedMock", decimals, answer, sender=self.people["owner"])
        self.configure(name, feed=address_of(feed))
        self.system.feeds[name] = self.chain.at("FeedMock", address_of(feed))  # to read it by
        self.system.mock_feeds -= {name}
        return feed

    def plant_code(self, runtime: bytes) -> str:
        """A contract of raw code, for feeds that Vyper would not write; its address."""
        header = b"\x61" + len(runtime).to_bytes(2, "big") + b"\x80"  # PUSH2, DUP1
        # PUSH offset, PUSH 0, CODECOPY, PUSH 0, RETURN
        code = header + b"\x60\x0c\x60\x00\x39\x60\x00\xf3" + runtime
        chain: Any = self.chain
        owner = self.people["owner"]
        if hasattr(chain, "_machine"):
            chain._machine.advance(1)
            address, reason = chain._machine._create(address_of(owner).lower(), code)
            assert reason is None, reason
            return address_of(address)
        from tests.utils.bytecode import deploy_runtime

        return address_of(deploy_runtime(owner, runtime))

    def with_gas(self, gas: int, contract: Any, method: str, *args: Any, sender: Any) -> str | None:
        """A transaction with so much gas: None if it went through, else why not."""
        if hasattr(self.chain, "_machine"):
            return tried(lambda: self.send(Rationed(contract, gas), method, *args, sender=sender))
        import ape

        try:
            getattr(contract, method)(*args, sender=sender, gas=gas)
        except ape.exceptions.ContractLogicError as error:
            return str(error.revert_message or "")
        except (ape.exceptions.OutOfGasError, ape.exceptions.TransactionError) as error:
            return f"halt: {error}"
        return None

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

    def gains(self, *owners: Any) -> Callable[[], Decimal]:
        """By how much owners together become richer from here on: ask what this returns."""
        before = self.wealth(*owners)
        return lambda: self.wealth(*owners) - before

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
        assert [s.market for s in books.sizes if s.difference] == [], "LED-2"
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

    def send(self, contract: Any, data: bytes) -> Any:
        """Raw data to a contract, in a transaction of its own."""
        call = [(address_of(contract), data)]
        return self.venue.send(self.contract, "act", call, sender=self.boss)

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

    def deposit(self, amount: Number) -> None:
        """New money for the puppet, all of it paid into its account."""
        v = self.venue
        raw = v.system.raw(amount)
        token, house = address_of(v.token), address_of(v.house)
        v.send(v.token, "mint", self.address, raw, sender=self.boss)
        self.act((v.token, "approve", house, raw), (v.house, "deposit", self.address, token, raw))

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


class Rationed:
    """A contract on the fast engine whose calls get only so much gas."""

    def __init__(self, contract: Any, gas: int) -> None:
        self.contract, self.gas = contract, gas

    def call(self, name: str, *args: Any, sender: str) -> Any:
        """As the contract's own."""
        return self.contract.call(name, *args, sender=sender, gas=self.gas)


def plant(chain: Any, source: str | Path, *args: Any, sender: Any) -> Any:
    """A new contract: one of the project's by its name, or one whose source lies beside a test."""
    if isinstance(source, str):
        return chain.deploy(source, *args, sender=sender)
    if not hasattr(chain, "_known"):
        import ape

        text = source.read_text(encoding="utf-8")
        container = ape.compilers.compile_source("vyper", text, contractName=source.stem)
        return sender.deploy(container, *args)
    chain._known[source.stem] = compile_contract(source.name, source.parent)
    return chain.deploy(source.stem, *args, sender=sender)


def without_funding(table: Table) -> Table:
    """The same table with funding that stands still, so that a block's seconds move no number."""
    still = [replace(spec, max_velocity=Decimal(0), max_rate=Decimal(0)) for spec in table.markets]
    return replace(table, markets=tuple(still))


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
