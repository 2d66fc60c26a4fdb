"""From a table to a running venue, and from a file back to one.

`deploy` puts everything on chain in the one order that works; `Deployment` holds the contracts, the
names and ids of markets and tokens, and what a local chain needs to be played with; `save` and
`load` keep it in ``deployments/<chain id>.json`` and make sure that what is there is still what was
deployed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from eth_utils.address import is_address
from eth_utils.crypto import keccak

from plimsoll import slots
from plimsoll.chain import Chain, address_of, created_at, project_root
from plimsoll.errors import ChainError, DeploymentError, Reverted, TableError
from plimsoll.formulas import DAY
from plimsoll.model import NOWHERE, Settings
from plimsoll.table import CollateralSpec, MarketSpec, Table, TokenSpec
from plimsoll.units import MAX_UINT, Number, decimal, plain, scaled, unscaled

FORMAT = 2
CORE = ("configurator", "pool", "auction", "backstop", "clearinghouse", "lens", "collateral_lens")
SOURCES = {
    "quote": "TokenMock",
    "configurator": "Configurator",
    "pool": "LiquidityPool",
    "auction": "CollateralAuction",
    "backstop": "Backstop",
    "clearinghouse": "Clearinghouse",
    "lens": "Lens",
    "collateral_lens": "CollateralLens",
    "board": "FeedBoard",
    "timelock": "Timelock",
}
NOBODY = "0x" + "00" * 20
NO_WORD = b"\0" * 32
FEEDS_AT_ONCE = 128  # that the board moves in a transaction
DELEVERAGED_TO = 11 * 10**17  # [WAD] the health to which a broke pool is deleveraged
DEVNET = "--network ethereum:devnet:node"

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Governance:
    """Who is to own the Configurator by way of a Timelock, and who may lower risk at once.

    Attributes:
        delay: [s] from an announcement to when it can be done, a day to 30 days.
        proposers: addresses that announce and take back, one at least.
        executors: addresses that do what is due; the zero address: everybody.
        guardian: address; None: nobody.
    """

    delay: int
    proposers: tuple[str, ...]
    executors: tuple[str, ...] = (NOBODY,)
    guardian: str | None = None

    def check(self) -> None:
        """Whether a Timelock will take it, as far as that can be known before there is one.

        Raises:
            DeploymentError: if not; it says what would be right.
        """
        if not DAY <= self.delay <= 30 * DAY:
            raise DeploymentError(
                f"timelock: delay of {self.delay} s: from {DAY} (a day) to {30 * DAY} (30 days)"
            )
        named = (("proposer", self.proposers), ("executor", self.executors))
        for role, addresses in named:
            if not addresses:
                raise DeploymentError(f"timelock: nobody: it takes one {role} at least")
        for role, addresses in (*named, ("guardian", (self.guardian or NOBODY,))):
            for address in addresses:
                if not is_address(address):
                    raise DeploymentError(
                        f"{role} {address!r} is no address: 0x and 40 digits of hex, a checksum "
                        "in its capitals if it has any"
                    )


@dataclass
class Deployment:
    """A venue on a chain. Contracts are the engine's own, as in ``clearinghouse.health(account)``.

    Attributes:
        chain: where it is.
        table: what it was made from; feeds and quote have their addresses filled in.
        deployer: address; owner of the Configurator.
        quote: the settlement token.
        tokens: collateral by symbol.
        feeds: by market name or token symbol, of which no two are the same.
        board: moves mock feeds together; None where no feed is a mock.
        ids: market ids by name.
        token_ids: collateral ids by symbol.
        block: of the first transaction; where to look for events from.
        timelock: owns the Configurator, or will; None where the deployer does.
    """

    chain: Chain
    table: Table
    deployer: str
    quote: Any
    configurator: Any
    pool: Any
    auction: Any
    backstop: Any
    clearinghouse: Any
    lens: Any
    collateral_lens: Any
    feeds: dict[str, Any]
    board: Any | None
    ids: dict[str, int]
    block: int
    mock_quote: bool = True
    mock_feeds: frozenset[str] = field(default_factory=frozenset)
    tokens: dict[str, Any] = field(default_factory=dict)
    token_ids: dict[str, int] = field(default_factory=dict)
    mock_tokens: frozenset[str] = field(default_factory=frozenset)
    timelock: Any | None = None

    # -------------------------------------------------------------- names

    @property
    def names(self) -> list[str]:
        """Market names by id."""
        return sorted(self.ids, key=self.ids.__getitem__)

    def market_id(self, market: str | int) -> int:
        """The id of a market given by name or by id.

        Raises:
            DeploymentError: if there is no such market.
        """
        number = _find(market, self.ids)
        if number is None:
            raise DeploymentError(f"no market {str(market)!r}; there are {', '.join(self.names)}")
        return number

    def market_name(self, market: str | int) -> str:
        """The name of a market given by name or by id."""
        return self.names[self.market_id(market)]

    @property
    def symbols(self) -> list[str]:
        """Symbols of the collateral tokens by id."""
        return sorted(self.token_ids, key=self.token_ids.__getitem__)

    def token_id(self, token: str | int) -> int:
        """The id of a collateral token given by symbol or by id.

        Raises:
            DeploymentError: if there is no such token.
        """
        number = _find(token, self.token_ids)
        if number is None:
            there = f"there are {', '.join(self.symbols)}" if self.token_ids else "there is none"
            raise DeploymentError(f"no collateral {str(token)!r}; {there}")
        return number

    def token_symbol(self, token: str | int) -> str:
        """The symbol of a collateral token given by symbol or by id."""
        return self.symbols[self.token_id(token)]

    def priced_name(self, name: str | int) -> str:
        """What has a feed, as it is written: a market by name or id, or a token by symbol.

        Raises:
            DeploymentError: if there is neither.
        """
        if _find(name, self.ids) is None and not str(name).isdecimal():
            number = _find(name, self.token_ids)
            if number is not None:
                return self.symbols[number]
        return self.market_name(name)

    @property
    def insurance(self) -> str:
        """The insurance fund's account."""
        return address_of(self.clearinghouse)

    # -------------------------------------------------------------- who governs

    @property
    def owner(self) -> str:
        """The Configurator's owner."""
        return address_of(self.chain.view(self.configurator, "owner"))

    @property
    def next_owner(self) -> str | None:
        """To whom the Configurator has been offered; None if to nobody."""
        pending = address_of(self.chain.view(self.configurator, "pending_owner"))
        return None if pending == NOBODY else pending

    def announce(
        self, method: str, *args: Any, sender: Any, delay: int | None = None, salt: bytes = NO_WORD
    ) -> bytes:
        """Announce a call of the Configurator to the Timelock; a proposer's.

        Args:
            method: of the Configurator.
            *args: its arguments.
            sender: a proposer.
            delay: [s]; by default the least.
            salt: 32 bytes that tell it from another of the same.

        Returns:
            The announcement's id, as ``cancel`` takes it.

        Raises:
            DeploymentError: if there is no Timelock.
            Reverted: if the Timelock refuses.
        """
        lock, call = self._lock(), self._call(method, args, salt)
        wait = int(self.chain.view(lock, "get_minimum_delay")) if delay is None else delay
        self.chain.send(lock, "schedule", *call, wait, sender=sender)
        return bytes(self.chain.view(lock, "hash_operation", *call))

    def enact(self, method: str, *args: Any, sender: Any, salt: bytes = NO_WORD) -> None:
        """Do what has been announced and is due; an executor's.

        Raises:
            DeploymentError: if there is no Timelock.
            Reverted: if the Timelock or the Configurator refuses, with the reason of whichever.
        """
        lock, call = self._lock(), self._call(method, args, salt)
        self.chain.send(lock, "execute", *call, sender=sender)

    def _lock(self) -> Any:
        if self.timelock is None:
            raise DeploymentError("this deployment has no timelock: its deployer owns it")
        return self.timelock

    def _call(self, method: str, args: tuple[Any, ...], salt: bytes) -> tuple[Any, ...]:
        data = call_data(self.configurator, method, *args)
        return address_of(self.configurator), 0, data, NO_WORD, salt

    # -------------------------------------------------------------- money

    def raw(self, amount: Number, token: str | int | None = None) -> int:
        """An amount in token units, exactly; never below zero.

        Args:
            amount: of the quote, or of the token that is named.
            token: collateral by symbol or id; None: the quote.

        Raises:
            DeploymentError: if there is no such token, or the amount is no number, below zero, or
                has more decimals than the token.
        """
        symbol, _, decimals, _ = self._token(token)
        try:
            raw = scaled(amount, decimals, symbol)
        except ValueError as error:
            raise DeploymentError(str(error)) from None
        if raw < 0:
            raise DeploymentError(f"{symbol}: {amount} is below zero")
        return raw

    def from_raw(self, amount: int, token: str | int | None = None) -> Decimal:
        """Token units as an amount of the quote, or of a collateral token."""
        return unscaled(amount, self._token(token).decimals)

    def token_address(self, token: str | int | None = None) -> str:
        """The quote token, or a collateral token by symbol or id."""
        return address_of(self._token(token).contract)

    def _token(self, token: str | int | None) -> _Token:
        quote = self.table.quote
        if token is None or str(token).upper() == quote.symbol.upper():
            return _Token(quote.symbol, self.quote, quote.decimals, self.mock_quote)
        symbol = self.token_symbol(token)
        coin = self.table.coin(symbol)
        return _Token(symbol, self.tokens[symbol], coin.decimals, symbol in self.mock_tokens)

    def provide(
        self, payer: Any, amount: Number, spender: Any, token: str | int | None = None
    ) -> int:
        """See to it that `payer` has `amount` of a token and that `spender` may take it.

        A mock token mints what is missing; of a real one the payer must have enough.

        Args:
            payer: who pays.
            amount: of the quote, or of `token`.
            spender: who will take it.
            token: collateral by symbol or id.

        Returns:
            The amount [raw].

        Raises:
            DeploymentError: if the payer has too little of a real token.
        """
        symbol, contract, decimals, mock = self._token(token)
        raw = self.raw(amount, token)
        held = int(self.chain.view(contract, "balanceOf", address_of(payer)))
        if held < raw:
            if not mock:
                raise DeploymentError(
                    f"{address_of(payer)} holds {plain(unscaled(held, decimals)):f} "
                    f"{symbol}; {plain(decimal(amount)):f} are needed"
                )
            self.chain.send(contract, "mint", address_of(payer), raw - held, sender=payer)
        allowed = self.chain.view(contract, "allowance", address_of(payer), address_of(spender))
        if int(allowed) < raw:
            self.chain.send(contract, "approve", address_of(spender), MAX_UINT, sender=payer)
        return raw

    def fund(
        self, account: Any, amount: Number, payer: Any, token: str | int | None = None
    ) -> None:
        """Deposit `amount` of the payer's to any account (a mock token is minted first).

        The amount is of the quote, or of a collateral token by symbol or id.
        """
        raw = self.provide(payer, amount, self.clearinghouse, token)
        self.chain.send(
            self.clearinghouse,
            "deposit",
            address_of(account),
            self.token_address(token),
            raw,
            sender=payer,
        )

    def seed_pool(self, amount: Number, payer: Any) -> None:
        """Deposit `amount` [quote] into the pool, for shares to the payer."""
        raw = self.provide(payer, amount, self.pool)
        self.chain.send(self.pool, "deposit", raw, address_of(payer), 0, sender=payer)

    # -------------------------------------------------------------- prices

    def price(self, name: str | int) -> Decimal:
        """The last answer of a market's or token's feed [quote/base], whatever it is worth."""
        feed = self.feeds[self.priced_name(name)]
        answer = self.chain.view(feed, "latestRoundData")[1]
        return unscaled(int(answer), int(self.chain.view(feed, "decimals")))

    def set_prices(self, prices: Mapping[str, Decimal | int | str], sender: Any = None) -> None:
        """New answers of mock feeds, now and together; rounded to the feeds' decimals.

        Args:
            prices: [quote/base] by market or token symbol.
            sender: who sends it; by default the chain's first signer.

        Raises:
            DeploymentError: if a feed is no mock.
        """
        feeds, answers = [], []
        for wanted, price in prices.items():
            name = self.priced_name(wanted)
            if name not in self.mock_feeds or self.board is None:
                raise DeploymentError(f"{name}: its feed is a real one, which nobody can set")
            feeds.append(address_of(self.feeds[name]))
            answers.append(self.table.answer(name, decimal(price, f"{name}: price")))
        payer = sender or self.chain.signers[0]
        for at in range(0, len(feeds), FEEDS_AT_ONCE):
            page = slice(at, at + FEEDS_AT_ONCE)
            self.chain.send(self.board, "post", feeds[page], answers[page], sender=payer)

    def set_price(self, name: str | int, price: Decimal | int | str, sender: Any = None) -> None:
        """A new answer of a market's or token's mock feed [quote/base], now."""
        self.set_prices({self.priced_name(name): price}, sender)

    def refresh_prices(self, sender: Any = None) -> None:
        """The mock feeds' answers once more, as of now: time has made them stale."""
        self.set_prices({name: self.price(name) for name in sorted(self.mock_feeds)}, sender)

    def poke(self, *markets: str | int, sender: Any = None) -> None:
        """Write markets' prices and funding to their state: these, or all. Dead ones are left.

        With all of them, collateral tokens that were reported dead and have a price again.
        """
        payer = sender or self.chain.signers[0]
        for symbol in () if markets else revived(self):
            token = address_of(self.tokens[symbol])
            self.chain.send(self.clearinghouse, "poke_token", token, sender=payer)
        ids = [self.market_id(m) for m in markets] or list(range(len(self.ids)))
        if self.board is not None:
            where = address_of(self.clearinghouse)
            self.chain.send(self.board, "poke", where, ids, sender=payer)
            return
        for number in ids:
            try:
                self.chain.send(self.clearinghouse, "poke", number, sender=payer)
            except Reverted as error:
                if not error.reason.startswith("prices:"):
                    raise

    def refresh_nav(self, sender: Any = None) -> None:
        """Tell the Clearinghouse what the pool is worth."""
        self.chain.send(self.pool, "refresh", sender=sender or self.chain.signers[0])

    # -------------------------------------------------------------- files

    def addresses(self) -> dict[str, str]:
        """Every contract's address by its part.

        Core contracts, quote, board, timelock, ``token:<symbol>``, ``feed:<market or symbol>``.
        """
        found = {part: address_of(getattr(self, part)) for part in ("quote", *CORE)}
        if self.board is not None:
            found["board"] = address_of(self.board)
        if self.timelock is not None:
            found["timelock"] = address_of(self.timelock)
        found |= {f"token:{symbol}": address_of(self.tokens[symbol]) for symbol in self.symbols}
        return found | {f"feed:{name}": address_of(feed) for name, feed in self.feeds.items()}

    def save(self, folder: Path | None = None) -> Path:
        """Write ``<folder>/<chain id>.json``; by default in the project's ``deployments``.

        Raises:
            DeploymentError: if it cannot be written; the text has all that would have been.
        """
        path = path_of(self.chain, folder)
        text = json.dumps(self.to_dict(), indent=2) + "\n"
        try:
            _write(path, text)
        except OSError as error:
            raise DeploymentError(
                f"it is deployed, but {path} cannot be written ({error.strerror}); "
                f"write this there, or to another file:\n{text}"
            ) from None
        return path

    def to_dict(self) -> dict[str, Any]:
        """What its file has."""
        addresses = self.addresses()
        return {
            "format": FORMAT,
            "chain_id": self.chain.id,
            "network": self.chain.name,
            "block": self.block,
            "deployer": self.deployer,
            "contracts": addresses,
            "code": {part: _code_hash(self.chain, at) for part, at in addresses.items()},
            "markets": self.names,
            "mock_quote": self.mock_quote,
            "mock_feeds": sorted(self.mock_feeds),
            "tokens": self.symbols,
            "mock_tokens": sorted(self.mock_tokens),
            "table": self.table.to_dict(),
        }

    @classmethod
    def load(cls, chain: Chain, folder: Path | None = None) -> Deployment:
        """The deployment on the chain that is connected, from its file.

        Raises:
            DeploymentError: if there is no file, it is another chain's, or what it names is no
                longer there; the text ends with the command that mends it.
        """
        path = path_of(chain, folder)
        mend = mend_of(chain)
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except FileNotFoundError:
            raise DeploymentError(
                f"nothing is deployed on chain {chain.id} as far as {path} would tell; {mend}"
            ) from None
        except (OSError, ValueError) as error:
            raise DeploymentError(f"{path} cannot be read ({error}); {mend}") from None
        try:
            if not isinstance(data, dict) or "format" not in data:
                raise DeploymentError(f"{path} is no deployment's file; {mend}")
            if data["format"] != FORMAT:
                raise DeploymentError(f"{path} has format {data['format']}, not {FORMAT}; {mend}")
            if data["chain_id"] != chain.id:
                raise DeploymentError(
                    f"{path} is of chain {data['chain_id']}, connected is chain {chain.id}; {mend}"
                )
            contracts, hashes = dict(data["contracts"]), dict(data["code"])
            for part, at in contracts.items():
                if not is_address(at):
                    raise DeploymentError(
                        f"{path} is damaged: {at!r} ({part}) is no address; {mend}"
                    )
            later: dict[str, Any] = dict.fromkeys(("quote", *CORE))
            names, symbols = list(data["markets"]), list(data["tokens"])
            table = Table.from_dict(data["table"])
            deployed = cls(
                chain=chain,
                table=table,
                deployer=data["deployer"],
                ids={name: number for number, name in enumerate(names)},
                block=int(data["block"]),
                mock_quote=bool(data["mock_quote"]),
                mock_feeds=frozenset(data["mock_feeds"]),
                token_ids={symbol: number for number, symbol in enumerate(symbols)},
                mock_tokens=frozenset(data["mock_tokens"]),
                feeds={},
                board=None,
                **later,
            )
            _check_code(chain, path, contracts, hashes, mend)
            for part in ("quote", *CORE):
                setattr(deployed, part, chain.at(SOURCES[part], contracts[part]))
            if "board" in contracts:
                deployed.board = chain.at(SOURCES["board"], contracts["board"])
            if "timelock" in contracts:
                deployed.timelock = chain.at(SOURCES["timelock"], contracts["timelock"])
            priced = [*names, *symbols]
            deployed.feeds = {n: chain.at("FeedMock", contracts[f"feed:{n}"]) for n in priced}
            deployed.tokens = {s: chain.at("TokenMock", contracts[f"token:{s}"]) for s in symbols}
        except (KeyError, TypeError, TableError) as error:
            raise DeploymentError(f"{path} is damaged ({error!r}); {mend}") from None
        deployed.check(path, mend)
        return deployed

    def check(self, path: Path | str = "this deployment", mend: str = "deploy again") -> None:
        """Whether the contracts still know each other, the markets and the tokens.

        Raises:
            DeploymentError: if not.
        """
        try:
            settings = self.chain.view(self.clearinghouse, "settings")
            listed = int(self.chain.view(self.configurator, "market_count"))
            expected = {
                "pool": self.pool,
                "configurator": self.configurator,
                "auction": self.auction,
                "backstop": self.backstop,
                "quote": self.quote,
            }
            for part, contract in expected.items():
                if address_of(getattr(settings, part)) != address_of(contract):
                    raise DeploymentError(f"{path}: the clearinghouse has another {part}; {mend}")
            if listed < len(self.ids):
                raise DeploymentError(
                    f"{path} names {len(self.ids)} markets, {listed} are listed; {mend}"
                )
            for name, number in self.ids.items():
                found = self.chain.view(self.configurator, "market_name", number)
                if found != name:
                    raise DeploymentError(f"{path}: market {number} is {found}, not {name}; {mend}")
            for symbol, number in self.token_ids.items():
                found = self.chain.view(self.configurator, "collateral_token", number)
                wanted = address_of(self.tokens[symbol])
                if address_of(found) != wanted:
                    raise DeploymentError(
                        f"{path}: collateral {number} is {found}, not {symbol} at {wanted}; {mend}"
                    )
        except (ChainError, Reverted) as error:
            raise DeploymentError(
                f"{path}: its contracts do not answer ({error}); {mend}"
            ) from None


def mend_of(chain: Chain) -> str:
    """The command that puts a deployment on a chain."""
    if chain.ends_with_process:
        return f"start `anvil` and name it to both commands: {DEVNET}"
    return f"run: ape run deploy --network {chain.name}"


def path_of(chain: Chain, folder: Path | None = None) -> Path:
    """Where the deployment on a chain is written down."""
    return (folder or project_root() / "deployments") / f"{chain.id}.json"


def make_room(chain: Chain, folder: Path | None = None, replace: bool = False) -> str | None:
    """Make sure that a deployment on a chain can be written down, before there is one.

    Args:
        chain: where it will be.
        folder: as of `Deployment.save`.
        replace: whether it may take the place of one that is still there.

    Returns:
        Where the file of another network's was put that had the same name, if there was one.

    Raises:
        DeploymentError: if it cannot, or the file is of a deployment that is still there.
    """
    path = path_of(chain, folder)
    try:
        there = Deployment.load(chain, folder) if path.is_file() and not replace else None
    except DeploymentError:
        there = None
    if there is not None:
        raise DeploymentError(
            f"{path} has a deployment that is still there, with {', '.join(there.names)}: "
            "--replace forgets it, a copy of the file would keep it"
        )
    try:
        if path.exists() and not path.is_file():
            raise DeploymentError(f"{path} cannot be written: it is no file")
        _write(path.with_suffix(".try"), "")
        path.with_suffix(".try").unlink()
        if path.exists() and _network_of(path) != chain.name:
            return str(path.replace(path.with_suffix(".old.json")))
    except OSError as error:
        raise DeploymentError(
            f"{path} cannot be written ({error.strerror}): nothing is deployed; make its folder "
            "writable"
        ) from None
    return None


def _write(path: Path, text: str) -> None:
    """A whole file or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".tmp")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def _network_of(path: Path) -> str | None:
    """The network that a deployment's file was written for; None if it does not tell."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))["network"]
    except (KeyError, TypeError, ValueError):
        return None
    return found if isinstance(found, str) else None


def _code_hash(chain: Chain, address: str) -> str:
    return "0x" + keccak(chain.code(address)).hex()


def _check_code(
    chain: Chain, path: Path, contracts: Mapping[str, str], hashes: Mapping[str, str], mend: str
) -> None:
    gone = [part for part, at in contracts.items() if not chain.code(at)]
    if gone:
        part = gone[0]
        many = f" and {len(gone) - 1} more" if len(gone) > 1 else ""
        why = (
            "this chain lived only as long as the command that deployed"
            if chain.ends_with_process
            else "the chain was started anew since"
        )
        raise DeploymentError(
            f"{path} is stale: there is no contract at {contracts[part]} ({part}{many}); {why}; "
            f"{mend}"
        )
    for part, at in contracts.items():
        if _code_hash(chain, at) != hashes[part]:
            raise DeploymentError(f"{path} is stale: {at} is no longer the {part}; {mend}")


# ------------------------------------------------------------------ deploying


def deploy(
    table: Table,
    chain: Chain,
    sender: Any,
    progress: Progress | None = None,
    seed: bool = True,
    governance: Governance | None = None,
) -> Deployment:
    """Put a table's venue on a chain: tokens, contracts, markets, collateral, money, prices.

    Args:
        table: what to deploy. Where it gives an address for a token or a feed, that is used;
            else a mock is deployed.
        chain: where.
        sender: who deploys, owns the Configurator, and pays the seeds.
        progress: is told each step in a few words.
        seed: whether to pay in the seeds of the pool and of the insurance fund.
        governance: who is to own the Configurator; by default the sender, as on a local chain.

    Returns:
        The deployment, ready to trade.

    Raises:
        TableError: before anything is sent, if a number cannot be represented.
        DeploymentError: before anything is sent, if no Timelock would take the governance; if the
            chain refuses: it names the market or token and the rule.
    """
    tell = progress or _silent
    if governance is not None:
        governance.check()
    numbers = table.settings()
    line = table.line()
    for spec in table.markets:
        table.terms(spec.name, spec.feed or "0x" + "00" * 20)
        table.answer(spec.name, spec.price)
    for coin in table.collateral:
        table.collateral_terms(coin.symbol, coin.feed or "0x" + "00" * 20)
        table.answer(coin.symbol, coin.price)
    table.credit_terms()
    deployer = address_of(sender)
    block = chain.height
    outside = _outside(table, chain, sender, tell)
    table, quote = outside.table, address_of(outside.quote)

    tell("Clearinghouse, pool, auction, Configurator, backstop, lenses")
    sequencer = NOWHERE
    if table.sequencer is not None:
        guard = chain.deploy("SequencerGuard", table.sequencer, table.grace, sender=sender)
        sequencer = address_of(guard)
    nonce = chain.nonce(deployer)
    predicted = created_at(deployer, nonce + 4)
    pool_spec = table.pool
    try:
        configurator = chain.deploy(
            "Configurator", predicted, numbers["keeper_share_ppm"], sender=sender
        )
        pool = chain.deploy(
            "LiquidityPool",
            predicted,
            quote,
            pool_spec.name,
            pool_spec.symbol,
            pool_spec.cooldown,
            sender=sender,
        )
        auction = chain.deploy(
            "CollateralAuction",
            predicted,
            address_of(configurator),
            quote,
            sender=sender,
        )
        backstop = chain.deploy("Backstop", predicted, DELEVERAGED_TO, sender=sender)
        settings = Settings(
            quote=quote,
            unit=0,  # the Clearinghouse's to find out
            pool=address_of(pool),
            configurator=address_of(configurator),
            auction=address_of(auction),
            backstop=address_of(backstop),
            sequencer=sequencer,
            **numbers,
        )
        clearinghouse = chain.deploy("Clearinghouse", tuple(settings), sender=sender)
        if address_of(clearinghouse) != predicted:
            raise DeploymentError(
                f"the clearinghouse is at {address_of(clearinghouse)}, not at {predicted} as "
                f"computed: {deployer} sent something else meanwhile; deploy again"
            )
        lens = chain.deploy("Lens", predicted, line, sender=sender)
        collateral_lens = chain.deploy("CollateralLens", predicted, sender=sender)
    except Reverted as error:
        raise DeploymentError(f"{error.method} refuses: {error}") from None

    deployment = Deployment(
        chain=chain,
        table=table,
        deployer=deployer,
        quote=outside.quote,
        configurator=configurator,
        pool=pool,
        auction=auction,
        backstop=backstop,
        clearinghouse=clearinghouse,
        lens=lens,
        collateral_lens=collateral_lens,
        feeds=outside.feeds,
        board=outside.board,
        ids={},
        block=block,
        mock_quote=outside.mock_quote,
        mock_feeds=outside.mock_feeds,
        tokens=outside.tokens,
        mock_tokens=outside.mock_tokens,
    )
    list_markets(deployment, sender, tell)
    list_collateral(deployment, sender, tell)
    if seed:
        _seed(deployment, sender, tell)
    if governance is not None:
        hand_over(deployment, governance, sender, tell)
    return deployment


def hand_over(
    deployment: Deployment,
    governance: Governance,
    sender: Any,
    progress: Progress | None = None,
) -> None:
    """Offer the Configurator to a new Timelock, whose first act it is to accept it.

    That is announced at once if the sender is a proposer, and can be done after the delay, by
    `take_over`; until then the sender stays the owner.

    Args:
        deployment: whose.
        governance: who is to own it.
        sender: its owner.
        progress: is told each step in a few words.

    Raises:
        DeploymentError: if the Timelock or the Configurator refuses.
    """
    tell, chain = progress or _silent, deployment.chain
    tell("the timelock")
    proposers, executors = [*governance.proposers], [*governance.executors]
    try:
        if governance.guardian is not None:
            guardian = governance.guardian
            chain.send(deployment.configurator, "set_guardian", guardian, sender=sender)
        deployment.timelock = chain.deploy(
            "Timelock", governance.delay, proposers, executors, sender=sender
        )
        lock = address_of(deployment.timelock)
        chain.send(deployment.configurator, "transfer_ownership", lock, sender=sender)
        if address_of(sender) in map(address_of, proposers):
            deployment.announce("accept_ownership", sender=sender)
    except Reverted as error:
        raise DeploymentError(f"governance: {error.method}: {error}") from None


def take_over(deployment: Deployment, sender: Any) -> None:
    """Let the Timelock accept the Configurator, once that is due; an executor's.

    Raises:
        DeploymentError: if there is no Timelock, or it refuses: too early, mostly.
    """
    try:
        deployment.enact("accept_ownership", sender=sender)
    except Reverted as error:
        raise DeploymentError(f"governance: {error}") from None


def call_data(contract: Any, method: str, *args: Any) -> bytes:
    """A call as bytes, on either engine."""
    if hasattr(contract, "interface"):
        function = contract.interface.functions[method]
        return bytes(function.selector + function.inputs.encode(args))
    return bytes(getattr(contract, method).encode_input(*args))


def _silent(_: str) -> None:
    pass


class _Token(NamedTuple):
    """A token that accounts may hold."""

    symbol: str
    contract: Any
    decimals: int
    mock: bool


class _Outside(NamedTuple):
    """What the venue stands on; the table has its addresses filled in."""

    table: Table
    quote: Any
    tokens: dict[str, Any]
    feeds: dict[str, Any]
    board: Any | None
    mock_quote: bool
    mock_tokens: frozenset[str]
    mock_feeds: frozenset[str]


def _outside(table: Table, chain: Chain, sender: Any, tell: Progress) -> _Outside:
    """Tokens and feeds: those that the table gives an address for, and mocks."""
    tell("quote token, collateral and feeds")
    quote = _token_at(table.quote.symbol, table.quote, chain, sender)
    tokens = {coin.symbol: _token_at(coin.symbol, coin, chain, sender) for coin in table.collateral}
    feeds: dict[str, Any] = {}
    mocks = set()
    priced: dict[str, MarketSpec | CollateralSpec] = {m.name: m for m in table.markets}
    priced |= {coin.symbol: coin for coin in table.collateral}
    for number, (name, spec) in enumerate(priced.items(), 1):
        if spec.feed:
            _must_be_there(chain, spec.feed, f"the feed of {name}")
            feeds[name] = chain.at("FeedMock", spec.feed)
        else:
            tell(f"feed {number} of {len(priced)}: {name}")
            answer = table.answer(name, spec.price)
            feeds[name] = chain.deploy("FeedMock", spec.feed_decimals, answer, sender=sender)
            mocks.add(name)
    return _Outside(
        table=replace(
            table,
            quote=replace(table.quote, address=address_of(quote)),
            markets=tuple(replace(m, feed=address_of(feeds[m.name])) for m in table.markets),
            collateral=tuple(
                replace(c, address=address_of(tokens[c.symbol]), feed=address_of(feeds[c.symbol]))
                for c in table.collateral
            ),
        ),
        quote=quote,
        tokens=tokens,
        feeds=feeds,
        board=chain.deploy("FeedBoard", sender=sender) if mocks else None,
        mock_quote=not table.quote.address,
        mock_tokens=frozenset(coin.symbol for coin in table.collateral if not coin.address),
        mock_feeds=frozenset(mocks),
    )


def _token_at(symbol: str, spec: TokenSpec | CollateralSpec, chain: Chain, sender: Any) -> Any:
    """The token at the table's address, or a mock."""
    if not spec.address:
        name = spec.name or symbol
        return chain.deploy("TokenMock", name, symbol, spec.decimals, sender=sender)
    _must_be_there(chain, spec.address, symbol)
    token = chain.at("TokenMock", spec.address)
    decimals = int(chain.view(token, "decimals"))
    if decimals != spec.decimals:
        raise DeploymentError(
            f"{symbol} at {spec.address} has {decimals} decimals, the table says {spec.decimals}"
        )
    return token


def _must_be_there(chain: Chain, address: str, what: str) -> None:
    if not chain.code(address):
        raise DeploymentError(f"there is no contract at {address} ({what})")


def list_markets(deployment: Deployment, sender: Any, progress: Progress | None = None) -> None:
    """List every market of the table that has no id yet, in order.

    Raises:
        DeploymentError: if the Configurator refuses one; it names the market and the rule.
    """
    tell = progress or _silent
    chain, table = deployment.chain, deployment.table
    for spec in table.markets:
        if spec.name in deployment.ids:
            continue
        number = len(deployment.ids)
        tell(f"market {number + 1} of {len(table.markets)}: {spec.name}")
        terms = table.terms(spec.name, address_of(deployment.feeds[spec.name]))
        if spec.name in deployment.mock_feeds:
            # Deploying many feeds takes a while; a market is listed at a price of now.
            _keep_fresh(deployment, spec.name, sender)
        try:
            chain.send(
                deployment.configurator, "list_market", spec.name, tuple(terms), sender=sender
            )
        except Reverted as error:
            raise DeploymentError(f"{spec.name}: {error}") from None
        deployment.ids[spec.name] = number


def list_collateral(deployment: Deployment, sender: Any, progress: Progress | None = None) -> None:
    """Set the credit; then list every collateral token of the table that has no id yet, in order.

    Without collateral there is no debt to have terms for.

    Raises:
        DeploymentError: if the Configurator refuses; it names the token and the rule.
    """
    tell = progress or _silent
    chain, table = deployment.chain, deployment.table
    if not table.collateral:
        return
    credit = table.credit_terms()
    try:  # the order of seizures comes first: without it nothing can be listed
        chain.send(
            deployment.configurator,
            "configure_credit",
            (*credit[:-1], list(credit.order)),
            sender=sender,
        )
    except Reverted as error:
        raise DeploymentError(f"credit: {error}") from None
    for coin in table.collateral:
        symbol, number = coin.symbol, len(deployment.token_ids)
        if symbol in deployment.token_ids:
            continue
        tell(f"collateral {number + 1} of {len(table.collateral)}: {symbol}")
        terms = table.collateral_terms(symbol, address_of(deployment.feeds[symbol]))
        if symbol in deployment.mock_feeds:
            _keep_fresh(deployment, symbol, sender)
        token = address_of(deployment.tokens[symbol])
        try:
            chain.send(
                deployment.configurator, "list_collateral", token, tuple(terms), sender=sender
            )
        except Reverted as error:
            raise DeploymentError(f"{symbol}: {error}") from None
        deployment.token_ids[symbol] = number


def _keep_fresh(deployment: Deployment, name: str, sender: Any) -> None:
    spec = deployment.table.priced(name)
    updated_at = int(deployment.chain.view(deployment.feeds[name], "latestRoundData")[3])
    if deployment.chain.now - updated_at > spec.max_age // 2:
        answer = deployment.table.answer(name, spec.price)
        deployment.chain.send(deployment.feeds[name], "set_answer", answer, sender=sender)


def _seed(deployment: Deployment, sender: Any, tell: Progress) -> None:
    tell("seeding the pool and the insurance fund")
    table = deployment.table
    try:
        if table.pool.seed:
            deployment.seed_pool(table.pool.seed, sender)
        if table.insurance:
            deployment.fund(deployment.insurance, table.insurance, sender)
        deployment.poke(sender=sender)
        deployment.refresh_nav(sender)
    except Reverted as error:
        raise DeploymentError(f"seeding: {error.method}: {error}") from None


def stale_feeds(deployment: Deployment, names: Iterable[str] | None = None) -> dict[str, str]:
    """The markets and collateral tokens without a live price, each with the reason.

    A settled market has its last one for good, and is not among them.
    """
    chain, house, nobody = deployment.chain, deployment.clearinghouse, "0x" + "00" * 20
    found = {}
    for name in names or [*deployment.names, *deployment.symbols]:
        if name in deployment.token_ids:
            seen = chain.view(house, "holding", nobody, deployment.token_id(name))
        else:
            seen = chain.view(house, "leg", nobody, deployment.market_id(name))
            if slots.unpack_terms(int(seen.t0), int(seen.t1), 0).status == slots.SETTLED:
                continue
        if seen.status:
            found[name] = str(chain.view(deployment.lens, "price_status_text", seen.status))
    return found


def revived(deployment: Deployment) -> list[str]:
    """Collateral tokens that were reported dead and have a price again, which nobody has told yet.

    The next failure of such a feed counts from the old report: a poke ends that.
    """
    chain, house = deployment.chain, deployment.clearinghouse
    dead = [
        symbol
        for number, symbol in enumerate(deployment.symbols)
        if slots.unpack_token_state(int(chain.view(house, "token_words", number)[3])).dead
    ]
    stale = stale_feeds(deployment, dead) if dead else {}
    return [symbol for symbol in dead if symbol not in stale]


def _find(wanted: str | int, ids: Mapping[str, int]) -> int | None:
    """The number that belongs to a name, in any case, or to itself; None if there is none."""
    text = str(wanted)
    if text in ids:
        return ids[text]
    if text.isdecimal() and int(text) < len(ids):
        return int(text)
    return next((number for name, number in ids.items() if name.upper() == text.upper()), None)
