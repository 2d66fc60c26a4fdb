"""The same deployment twice: contracts on a chain, and the model.

Operations are lists that JSON can hold: a name and its arguments. Accounts go by name: ``alice`` is
a wallet and its main account, ``alice.3`` its third sub-account, ``pool``, ``fund`` (the insurance
fund, that is, the Clearinghouse), ``auction``, ``zero``. ``token`` is the quote token, ``coin0``
the first collateral token. The amount ``"all"`` is all of a balance or the closing of a position,
read from the model when the operation runs.
"""

from __future__ import annotations

import functools
from dataclasses import asdict, dataclass, field
from typing import Any

import rlp
from eth_utils.crypto import keccak

from plimsoll.formulas import DAY, MAX_UINT, Refused
from plimsoll.fuzz.artifacts import Artifact, compile_contract, from_contract_type
from plimsoll.fuzz.chain import (
    TOO_LITTLE_GAS,
    Chain,
    Contract,
    Event,
    Outcome,
    new_chain,
)
from plimsoll.model import NOWHERE, Feed, Model, Sequencer, Settings
from plimsoll.slots import WAD, CollateralTerms, CreditTerms, Terms
from plimsoll.table import Table

Op = list[Any]

# Who sends, and which sub-accounts he uses. The stranger has nothing and approved nothing.
WALLETS = {"alice": (1, 255), "bob": (), "mallory": (1, 2, 3), "keeper": (), "lender": ()}
STRANGER = "stranger"
MODES = {"ok": 0, "revert": 1, "burn": 2, "short": 3, "empty": 4, "long": 5, "busy": 6}
ANSWERING = ("ok", "long", "busy")
UNLEDGERED = ("configurator", "owner", "backstop")
STARVED = ("halt: OutOfGas", TOO_LITTLE_GAS, "prices: too little gas", "")


@dataclass
class MarketSetup:
    """A market to begin with: readable terms but for the feed, and the feed's first price."""

    price: int  # [feed's decimals]
    decimals: int  # of the feed
    terms: dict[str, Any]  # fields of `Terms` without `feed`


@dataclass
class CoinSetup:
    """A collateral token to begin with: its decimals, its feed's first price, readable terms."""

    price: int  # [feed's decimals]
    feed_decimals: int
    decimals: int  # of the token
    terms: dict[str, Any]  # fields of `CollateralTerms` without `feed`


@dataclass
class Setup:
    """A deployment to begin with."""

    markets: list[MarketSetup]
    quote_decimals: int = 6
    keeper_share_ppm: int = 200_000
    insurance_share_ppm: int = 200_000
    profit_weight_ppm: int = 500_000
    max_pool_leverage_ppm: int = 1_500_000
    top_up_per_block: int = 100 * WAD
    stable_speed_ppm: int = 60_000
    outflow_ppm: int = 0
    outflow_floor: int = 0  # [raw]
    grace: int | None = None  # [s] after a sequencer's restart; None: there is no sequencer
    cooldown: int = DAY
    deleverage_to: int = 11 * WAD // 10  # [WAD] the pool's health
    pool_cash: int = 10_000_000  # [quote]
    insurance_cash: int = 1_000  # [quote]
    start: int = 1_750_000_000  # [unix s]
    coins: list[CoinSetup] = field(default_factory=list)
    credit: dict[str, Any] | None = None  # fields of `CreditTerms`

    @classmethod
    def of(cls, table: Table) -> Setup:
        """The deployment of a table, on mock feeds and mock tokens."""
        markets = []
        for spec in table.markets:
            terms = table.terms(spec.name, NOWHERE)._asdict()
            del terms["feed"]
            answer = table.answer(spec.name, spec.price)
            markets.append(MarketSetup(answer, spec.feed_decimals, terms))
        coins = []
        for coin in table.collateral:
            terms = table.collateral_terms(coin.symbol, NOWHERE)._asdict()
            del terms["feed"]
            answer = table.answer(coin.symbol, coin.price)
            coins.append(CoinSetup(answer, coin.feed_decimals, coin.decimals, terms))
        credit = table.credit_terms()._asdict() if coins else None
        return cls(
            markets=markets,
            coins=coins,
            credit=credit and {**credit, "order": list(credit["order"])},
            quote_decimals=table.quote.decimals,
            **table.settings(),
            cooldown=table.pool.cooldown,
            pool_cash=int(table.pool.seed),
            insurance_cash=int(table.insurance),
        )

    def to_json(self) -> dict[str, Any]:
        """What `from_json` reads."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Setup:
        """A setup from what `to_json` gave."""
        markets = [MarketSetup(**m) for m in data["markets"]]
        coins = [CoinSetup(**c) for c in data.get("coins", [])]
        return cls(**{**data, "markets": markets, "coins": coins})


@dataclass
class Artifacts:
    """The contracts of a deployment."""

    clearinghouse: Artifact
    pool: Artifact
    configurator: Artifact
    auction: Artifact
    backstop: Artifact
    guard: Artifact
    token: Artifact
    feed: Artifact

    @classmethod
    def of_project(cls, project: Any) -> Artifacts:
        """What Ape compiled in its project."""
        return cls(
            *(
                from_contract_type(getattr(project, name).contract_type)
                for name in (
                    "Clearinghouse",
                    "LiquidityPool",
                    "Configurator",
                    "CollateralAuction",
                    "Backstop",
                    "SequencerGuard",
                    "TokenMock",
                    "FaultyFeedMock",
                )
            )
        )


@functools.cache
def compiled() -> Artifacts:
    """The contracts of this repository, compiled by the vyper that is installed."""
    return Artifacts(
        clearinghouse=compile_contract("Clearinghouse.vy"),
        pool=compile_contract("LiquidityPool.vy"),
        configurator=compile_contract("Configurator.vy"),
        auction=compile_contract("CollateralAuction.vy"),
        backstop=compile_contract("Backstop.vy"),
        guard=compile_contract("oracles/SequencerGuard.vy"),
        token=compile_contract("mocks/TokenMock.vy"),
        feed=compile_contract("mocks/FaultyFeedMock.vy"),
    )


def created_by(deployer: str, nonce: int) -> str:
    """The address of the contract that `deployer` makes with `nonce`."""
    return "0x" + keccak(rlp.encode([bytes.fromhex(deployer[2:]), nonce]))[12:].hex()


@dataclass
class System:
    """Contracts and model, at the same point of the same history."""

    setup: Setup
    chain: Chain
    model: Model
    clearinghouse: Contract
    pool: Contract
    configurator: Contract
    auction: Contract
    backstop: Contract
    token: Contract
    names: dict[str, str]
    artifacts: Artifacts
    feeds: list[Contract] = field(default_factory=list)
    first: list[int] = field(default_factory=list)  # answers of the feeds
    coins: list[Contract] = field(default_factory=list)  # collateral tokens, by id
    uptime: Contract | None = None  # the sequencer's feed
    labels: dict[str, str] = field(default_factory=dict)
    gas: int | None = None  # of the calls that follow

    @classmethod
    def build(
        cls, setup: Setup, artifacts: Artifacts | None = None, chain: Chain | None = None
    ) -> System:
        """Deploy everything, fund everybody, list the markets."""
        artifacts = artifacts or compiled()
        chain = chain or new_chain(setup.start)
        names = {"zero": NOWHERE, "owner": chain.deployer}
        for i, wallet in enumerate((*WALLETS, STRANGER)):
            names[wallet] = chain.wallet(i)
            for sub in WALLETS.get(wallet, ()):
                names[f"{wallet}.{sub}"] = f"0x{int(chain.wallet(i), 16) ^ sub:040x}"

        token = chain.deploy(artifacts.token, "Quote", "QUOTE", setup.quote_decimals)
        uptime = guard = None
        if setup.grace is not None:
            uptime = chain.deploy(artifacts.feed, 0, 0)
            assert uptime.call("set_round", 0, 0).ok
            guard = chain.deploy(artifacts.guard, uptime.address, setup.grace)
        home = created_by(chain.deployer, chain.nonce(chain.deployer) + 4)
        configurator = chain.deploy(artifacts.configurator, home, setup.keeper_share_ppm)
        pool = chain.deploy(artifacts.pool, home, token.address, "Pool", "POOL", setup.cooldown)
        auction = chain.deploy(artifacts.auction, home, configurator.address, token.address)
        backstop = chain.deploy(artifacts.backstop, home, setup.deleverage_to)
        settings = Settings(
            quote=token.address,
            unit=10 ** (18 - setup.quote_decimals),
            pool=pool.address,
            configurator=configurator.address,
            auction=auction.address,
            keeper_share_ppm=setup.keeper_share_ppm,
            insurance_share_ppm=setup.insurance_share_ppm,
            profit_weight_ppm=setup.profit_weight_ppm,
            max_pool_leverage_ppm=setup.max_pool_leverage_ppm,
            top_up_per_block=setup.top_up_per_block,
            backstop=backstop.address,
            sequencer=guard.address if guard else NOWHERE,
            stable_speed_ppm=setup.stable_speed_ppm,
            outflow_ppm=setup.outflow_ppm,
            outflow_floor=setup.outflow_floor,
        )
        clearinghouse = chain.deploy(artifacts.clearinghouse, settings)
        assert clearinghouse.address == home
        names["token"] = token.address
        names["pool"] = pool.address
        names["configurator"] = configurator.address
        names["auction"] = auction.address
        names["backstop"] = backstop.address
        names["fund"] = clearinghouse.address
        model = Model(
            address=home,
            settings=settings,
            owner=chain.deployer,
            cooldown=setup.cooldown,
            target=setup.deleverage_to,
            now=chain.now,
            block_number=chain.number,
        )
        model.decimals[token.address] = setup.quote_decimals
        model.decimals[pool.address] = setup.quote_decimals + 6
        # The auction lets the clearinghouse take the quote that it pays out.
        model.allowances[token.address, auction.address, home] = MAX_UINT
        system = cls(
            setup,
            chain,
            model,
            clearinghouse,
            pool,
            configurator,
            auction,
            backstop,
            token,
            names,
            artifacts,
        )
        system.uptime = uptime
        if setup.grace is not None:
            model.sequencer = Sequencer(True, 0, 0, True, setup.grace)
        system.labels = {address: name for name, address in names.items()}
        system._begin()
        return system

    def _begin(self) -> None:
        raw = 10**self.setup.quote_decimals
        for wallet in WALLETS:
            self.must("approve", wallet)
        for i, market in enumerate(self.setup.markets):
            self.must("feed", market.decimals, market.price)
            self.must("list", "owner", f"M{i}", i, {})
        if self.setup.credit is not None:
            self.must("configure_credit", "owner", self.setup.credit)
        for i, coin in enumerate(self.setup.coins):
            self.must("feed", coin.feed_decimals, coin.price)
            self.must("coin", coin.decimals)
            self.must("list_coin", "owner", f"coin{i}", i, {})
        if self.setup.pool_cash:
            self.must("mint", "lender", self.setup.pool_cash * raw)
            self.must("pool_deposit", "lender", self.setup.pool_cash * raw, "lender")
        if self.setup.insurance_cash:
            self.must("mint", "lender", self.setup.insurance_cash * raw)
            self.must("deposit", "lender", "fund", "token", self.setup.insurance_cash * raw)

    def must(self, *op: Any) -> None:
        """Run an operation that cannot be refused."""
        real, ideal = self.run(list(op))
        assert real == ideal, f"{op}: {real} is not {ideal}"
        assert real.ok, f"{op}: {real.reason}"

    @property
    def wallets(self) -> tuple[str, ...]:
        """Who can send."""
        return (*WALLETS, STRANGER)

    def accounts(self) -> list[str]:
        """Every address that can hold anything."""
        coins = {coin.address for coin in self.coins}
        return [a for name, a in self.names.items() if name not in UNLEDGERED and a not in coins]

    # -------------------------------------------------------------- running

    def run(self, op: Op) -> tuple[Outcome, Outcome]:
        """Run an operation on both sides.

        Returns:
            What the contracts made of it, and what the model did.
        """
        name, *args = op
        result: tuple[Outcome, Outcome] = getattr(self, f"_op_{name}")(*args)
        return result

    def _both(
        self, contract: Contract, call: str, method: str, sender: str, *args: Any
    ) -> tuple[Outcome, Outcome]:
        """One call of a contract, and of the model's method for it."""
        real = contract.call(call, *args, sender=sender, gas=self.gas)
        self._tell_time()
        self.model.events.clear()
        try:
            value = getattr(self.model, method)(sender, *args)
        except Refused as refused:
            return real, Outcome(None, refused.reason, ())
        events = tuple(
            Event(emitter, EVENT_NAMES.get(type(e).__name__, type(e).__name__), tuple(e))
            for emitter, e in self.model.events
        )
        return real, Outcome(value, None, events)

    def _house(self, function: str, sender: str, *args: Any) -> tuple[Outcome, Outcome]:
        return self._both(self.clearinghouse, function, function, self.address(sender), *args)

    def _tell_time(self) -> None:
        self.model.now, self.model.block_number = self.chain.now, self.chain.number

    def address(self, name: str) -> str:
        """The address behind a name; ``pool.1`` is beside the pool's, and its owner's by ACC-1."""
        base, dot, sub = name.partition(".")
        if dot and name not in self.names:
            self.names[name] = f"0x{int(self.names[base], 16) ^ int(sub):040x}"
            self.labels[self.names[name]] = name
        return self.names.get(name, name)

    def _scene(self, real: Outcome | None = None) -> tuple[Outcome, Outcome]:
        """The outcome of an operation that only sets the scene."""
        assert real is None or real.ok
        self._tell_time()
        return Outcome(None, None, ()), Outcome(None, None, ())

    # -------------------------------------------------------------- the scene

    def _op_wait(self, seconds: int, blocks: int = 1) -> tuple[Outcome, Outcome]:
        self.chain.advance(seconds, blocks)
        return self._scene()

    def _op_feed(self, decimals: int, answer: int) -> tuple[Outcome, Outcome]:
        """A new feed; its number is the next one."""
        contract = self.chain.deploy(self.artifacts.feed, decimals, answer)
        self.feeds.append(contract)
        self.first.append(answer)
        self.model.feeds[contract.address] = Feed(decimals, answer, self.chain.now)
        return self._scene()

    def _op_price(self, feed: int, answer: int, age: int | None = 0) -> tuple[Outcome, Outcome]:
        """A round that is `age` seconds old; ``None``: one without a time."""
        contract = self.feeds[feed]
        updated_at = 0 if age is None else max(self.chain.now - age, 0)
        known = self.model.feeds[contract.address]
        known.answer, known.updated_at = answer, updated_at
        return self._scene(contract.call("set_round", answer, updated_at))

    def _op_fault(self, feed: int, mode: str) -> tuple[Outcome, Outcome]:
        contract = self.feeds[feed]
        self.model.feeds[contract.address].mode = "ok" if mode in ANSWERING else mode
        return self._scene(contract.call("set_mode", MODES[mode]))

    def _op_uptime(self, answer: int, age: int) -> tuple[Outcome, Outcome]:
        """The sequencer is up (0) or not, since `age` seconds."""
        assert self.uptime is not None
        since = max(self.chain.now - age, 0)
        self.model.sequencer = self.model.sequencer._replace(answer=answer, since=since)
        return self._scene(self.uptime.call("set_round", answer, since))

    def _op_uptime_fault(self, mode: str) -> tuple[Outcome, Outcome]:
        assert self.uptime is not None
        answers = mode in ANSWERING
        self.model.sequencer = self.model.sequencer._replace(answers=answers)
        return self._scene(self.uptime.call("set_mode", MODES[mode]))

    def _op_mint(self, to: str, amount: int, coin: int | None = None) -> tuple[Outcome, Outcome]:
        """New tokens; those for ``fund`` and ``pool`` arrive without a call and are nobody's."""
        who = self.address(to)
        token = self.token if coin is None else self.coins[coin]
        held = self.model.balance(token.address, who)
        self.model.balances[token.address, who] = held + amount
        return self._scene(token.call("mint", who, amount))

    def _op_coin(self, decimals: int) -> tuple[Outcome, Outcome]:
        """A new token that everybody has approved; its number is the next one."""
        number = len(self.coins)
        token = self.chain.deploy(self.artifacts.token, f"Coin {number}", "COIN", decimals)
        self.coins.append(token)
        self.model.decimals[token.address] = decimals
        self.names[f"coin{number}"] = token.address
        self.labels[token.address] = f"coin{number}"
        house = self.clearinghouse.address
        for wallet in WALLETS:
            self.model.allowances[token.address, self.address(wallet), house] = MAX_UINT
            assert token.call("approve", house, MAX_UINT, sender=self.address(wallet)).ok
        return self._scene()

    def _op_approve(self, owner: str) -> tuple[Outcome, Outcome]:
        for spender in (self.clearinghouse.address, self.pool.address, self.auction.address):
            self.model.allowances[self.token.address, self.address(owner), spender] = MAX_UINT
            real = self.token.call("approve", spender, MAX_UINT, sender=self.address(owner))
            assert real.ok
        return self._scene()

    def _op_starved(self, gas: int, op: Op) -> tuple[Outcome, Outcome]:
        """An operation with little gas: it runs out of it and changes nothing, or it does all."""
        saved = self.model.save()
        self.gas = gas
        try:
            real, ideal = self.run(op)
        finally:
            self.gas = None
        if real.reason in STARVED:
            self.model.load(saved)
            return Outcome(None, "starved", ()), Outcome(None, "starved", ())
        return real, ideal

    # -------------------------------------------------------------- the Clearinghouse

    def _op_deposit(
        self, sender: str, account: str, token: str, amount: int | str
    ) -> tuple[Outcome, Outcome]:
        has = self.model.balance(self.address(token), self.address(sender))
        raw = has if amount == "all" else amount
        return self._house("deposit", sender, self.address(account), self.address(token), raw)

    def _op_deposit_with_permit(
        self, sender: str, account: str, token: str, amount: int
    ) -> tuple[Outcome, Outcome]:
        """With a permit that nobody signed, which stops nothing: what is approved is taken."""
        who, signature = self.address(account), (self.chain.now, 27, b"\0" * 32, b"\0" * 32)
        return self._house(
            "deposit_with_permit", sender, who, self.address(token), amount, *signature
        )

    def _op_withdraw(
        self, sender: str, account: str, token: str, amount: int | str, receiver: str
    ) -> tuple[Outcome, Outcome]:
        who = self.address(account)
        has = max(self.model.header_of(who).cash, 0) // self.model.settings.unit
        ids = [i for i, t in self.model.tokens.items() if t.address == self.address(token)]
        if ids:
            has = self.model.held.get((who, ids[0]), 0)
        raw = has if amount == "all" else amount
        return self._house(
            "withdraw", sender, who, self.address(token), raw, self.address(receiver)
        )

    def _op_trade(
        self, sender: str, account: str, market: int, delta: int | str, limit: int | None = None
    ) -> tuple[Outcome, Outcome]:
        who = self.address(account)
        position = self.model.positions.get((who, market))
        size = int(delta) if delta != "all" else -position.size if position else 0
        worst = limit if limit is not None else MAX_UINT if size > 0 else 0
        return self._house("trade", sender, who, market, size, worst)

    def _op_liquidate(self, sender: str, account: str) -> tuple[Outcome, Outcome]:
        return self._house("liquidate", sender, self.address(account))

    def _op_liquidate_many(self, sender: str, accounts: list[str]) -> tuple[Outcome, Outcome]:
        return self._house("liquidate_many", sender, [self.address(a) for a in accounts])

    def _op_poke(self, sender: str, market: int) -> tuple[Outcome, Outcome]:
        return self._house("poke", sender, market)

    def _op_set_nav(self, sender: str, nav: int) -> tuple[Outcome, Outcome]:
        return self._house("set_nav", sender, nav)

    def _op_set_terms(self, sender: str, market: int, words: list[int]) -> tuple[Outcome, Outcome]:
        return self._house("set_terms", sender, market, tuple(words))

    def _op_set_share(self, sender: str, share: int) -> tuple[Outcome, Outcome]:
        return self._house("set_share", sender, share)

    # -------------------------------------------------------------- the Backstop

    def _last(
        self, function: str, sender: str, *args: Any, method: str | None = None
    ) -> tuple[Outcome, Outcome]:
        return self._both(self.backstop, function, method or function, self.address(sender), *args)

    def _op_close_settled(
        self, sender: str, market: int, accounts: list[str]
    ) -> tuple[Outcome, Outcome]:
        who = [self.address(a) for a in accounts]
        return self._last("close_settled", sender, market, who)

    def _op_deleverage(self, sender: str, account: str, market: int) -> tuple[Outcome, Outcome]:
        return self._last("deleverage", sender, self.address(account), market)

    def _op_declare(self, sender: str) -> tuple[Outcome, Outcome]:
        return self._last("declare", sender)

    def _op_call_off(self, sender: str) -> tuple[Outcome, Outcome]:
        return self._last("call_off", sender)

    def _op_settle_markets(self, sender: str, markets: list[int]) -> tuple[Outcome, Outcome]:
        return self._last("settle", sender, markets, method="settle_markets")

    def _op_fix(self, sender: str) -> tuple[Outcome, Outcome]:
        return self._last("fix", sender)

    # -------------------------------------------------------------- collateral

    def _op_convert(self, sender: str, account: str) -> tuple[Outcome, Outcome]:
        return self._house("convert_collateral", sender, self.address(account))

    def _op_settle(self, sender: str, account: str) -> tuple[Outcome, Outcome]:
        return self._house("settle", sender, self.address(account))

    def _op_poke_token(self, sender: str, token: str) -> tuple[Outcome, Outcome]:
        return self._house("poke_token", sender, self.address(token))

    def _op_set_token(
        self, sender: str, id: int, token: str, words: list[int]
    ) -> tuple[Outcome, Outcome]:
        return self._house("set_token", sender, id, self.address(token), tuple(words))

    def _op_set_credit(self, sender: str, credit: int, seizing: int) -> tuple[Outcome, Outcome]:
        return self._house("set_credit", sender, credit, seizing)

    def _auction(self, function: str, sender: str, *args: Any) -> tuple[Outcome, Outcome]:
        return self._both(self.auction, function, function, self.address(sender), *args)

    def _op_open_lot(
        self, sender: str, token: int, amount: int, insurance: int, pool: int, heir: str
    ) -> tuple[Outcome, Outcome]:
        who = self.address(sender)
        args = token, amount, insurance, pool, self.address(heir)
        return self._both(self.auction, "open", "open_lot", who, *args)

    def _op_buy(
        self, sender: str, lot: int, amount: int | str, most: int | None, receiver: str
    ) -> tuple[Outcome, Outcome]:
        raw = self.model.lot(lot).amount if amount == "all" else amount
        worst = MAX_UINT if most is None else most
        return self._auction("buy_collateral", sender, lot, raw, worst, self.address(receiver))

    def _op_write_off(self, sender: str, lot: int) -> tuple[Outcome, Outcome]:
        return self._auction("write_off", sender, lot)

    def _op_tick(self, sender: str, lot: int) -> tuple[Outcome, Outcome]:
        return self._auction("tick", sender, lot)

    # -------------------------------------------------------------- the Configurator

    def _configured(self, function: str, sender: str, *args: Any) -> tuple[Outcome, Outcome]:
        return self._both(self.configurator, function, function, self.address(sender), *args)

    def _coin_terms(self, like: int | None, changes: dict[str, Any]) -> CollateralTerms:
        """A token's first terms with some changed, or as told; ``feed``: a number or a name."""
        fields = dict(changes)
        if like is not None:
            first = len(self.setup.markets)
            fields = {"feed": first + like, **self.setup.coins[like].terms, **changes}
        feed = fields.pop("feed")
        return CollateralTerms(
            feed=self.feeds[feed].address if isinstance(feed, int) else self.address(feed), **fields
        )

    def _op_list_coin(
        self, sender: str, token: str, like: int | None, changes: dict[str, Any]
    ) -> tuple[Outcome, Outcome]:
        terms = self._coin_terms(like, changes)
        return self._configured("list_collateral", sender, self.address(token), terms)

    def _op_configure_coin(
        self, sender: str, id: int, like: int, changes: dict[str, Any]
    ) -> tuple[Outcome, Outcome]:
        return self._configured("configure_collateral", sender, id, self._coin_terms(like, changes))

    def _op_configure_credit(self, sender: str, fields: dict[str, Any]) -> tuple[Outcome, Outcome]:
        order = tuple(fields.get("order", range(16)))
        return self._configured(
            "configure_credit", sender, CreditTerms(**{**fields, "order": order})
        )

    def _terms(self, market: int, changes: dict[str, Any]) -> Terms:
        """A market's first terms with some of them changed; ``feed`` is a number or a name."""
        fields = {"feed": market, **self.setup.markets[market].terms, **changes}
        feed = fields.pop("feed")
        return Terms(
            feed=self.feeds[feed].address if isinstance(feed, int) else self.address(feed), **fields
        )

    def _op_list(
        self, sender: str, name: str, like: int, changes: dict[str, Any]
    ) -> tuple[Outcome, Outcome]:
        terms = self._terms(like, changes)
        who = self.address(sender)
        return self._both(self.configurator, "list_market", "list_market", who, name, terms)

    def _op_configure(
        self, sender: str, market: int, like: int, changes: dict[str, Any]
    ) -> tuple[Outcome, Outcome]:
        terms = self._terms(like, changes)
        who = self.address(sender)
        return self._both(
            self.configurator, "configure_market", "configure_market", who, market, terms
        )

    def _op_ramp(
        self, sender: str, market: int, like: int, changes: dict[str, Any], duration: int
    ) -> tuple[Outcome, Outcome]:
        terms = self._terms(like, changes)
        return self._configured("ramp_market", sender, market, terms, duration)

    def _op_walk(self, sender: str, market: int) -> tuple[Outcome, Outcome]:
        return self._configured("walk_ramp", sender, market)

    def _op_delist(self, sender: str, market: int, duration: int) -> tuple[Outcome, Outcome]:
        return self._configured("delist_market", sender, market, duration)

    def _op_settle_market(self, sender: str, market: int) -> tuple[Outcome, Outcome]:
        return self._configured("settle_market", sender, market)

    def _op_guardian(self, sender: str, guardian: str) -> tuple[Outcome, Outcome]:
        return self._configured("set_guardian", sender, self.address(guardian))

    def _op_pause(self, sender: str, market: int, duration: int) -> tuple[Outcome, Outcome]:
        return self._configured("pause_market", sender, market, duration)

    def _op_restrict(
        self, sender: str, market: int, max_skew: int, max_open_interest: int, reduce_only: bool
    ) -> tuple[Outcome, Outcome]:
        caps = max_skew, max_open_interest
        return self._configured("restrict_market", sender, market, *caps, reduce_only)

    def _op_restrict_coin(self, sender: str, id: int, cap: int) -> tuple[Outcome, Outcome]:
        return self._configured("restrict_collateral", sender, id, cap)

    def _op_freeze(self, sender: str, duration: int) -> tuple[Outcome, Outcome]:
        return self._configured("freeze", sender, duration)

    def _op_unfreeze(self, sender: str) -> tuple[Outcome, Outcome]:
        return self._configured("unfreeze", sender)

    # -------------------------------------------------------------- the pool

    def _lp(self, call: str, method: str, sender: str, *args: Any) -> tuple[Outcome, Outcome]:
        return self._both(self.pool, call, method, self.address(sender), *args)

    def _shares_of(self, who: str, amount: int | str) -> int:
        if amount == "all":
            return self.model.shares.get(self.address(who), 0)
        return int(amount)

    def _op_pool_deposit(
        self, sender: str, assets: int | str, receiver: str, least: int = 0
    ) -> tuple[Outcome, Outcome]:
        has = self.model.balance(self.token.address, self.address(sender))
        raw = has if assets == "all" else assets
        return self._lp("deposit", "pool_deposit", sender, raw, self.address(receiver), least)

    def _op_pool_mint(
        self, sender: str, shares: int, receiver: str, most: int = MAX_UINT
    ) -> tuple[Outcome, Outcome]:
        return self._lp("mint", "pool_mint", sender, shares, self.address(receiver), most)

    def _op_request(
        self, sender: str, shares: int | str, controller: str, owner: str
    ) -> tuple[Outcome, Outcome]:
        amount = self._shares_of(owner, shares)
        return self._lp(
            "requestRedeem",
            "request_redeem",
            sender,
            amount,
            self.address(controller),
            self.address(owner),
        )

    def _op_cancel(self, sender: str, receiver: str, controller: str) -> tuple[Outcome, Outcome]:
        return self._lp(
            "cancelRequest",
            "cancel_request",
            sender,
            self.address(receiver),
            self.address(controller),
        )

    def _op_redeem(
        self, sender: str, shares: int | str, receiver: str, controller: str, least: int = 0
    ) -> tuple[Outcome, Outcome]:
        who = self.address(controller)
        if shares == "all":
            shares = self.model.max_redeem(who)
        return self._lp("redeem", "pool_redeem", sender, shares, self.address(receiver), who, least)

    def _op_pool_withdraw(
        self,
        sender: str,
        assets: int | str,
        receiver: str,
        controller: str,
        most: int = MAX_UINT,
    ) -> tuple[Outcome, Outcome]:
        who = self.address(controller)
        if assets == "all":
            assets = self.model.max_withdraw(who)
        return self._lp(
            "withdraw", "pool_withdraw", sender, assets, self.address(receiver), who, most
        )

    def _op_operator(self, sender: str, operator: str, approved: bool) -> tuple[Outcome, Outcome]:
        return self._lp("setOperator", "set_operator", sender, self.address(operator), approved)

    def _op_share(self, sender: str, receiver: str, amount: int | str) -> tuple[Outcome, Outcome]:
        shares = self._shares_of(sender, amount)
        return self._lp("transfer", "transfer_shares", sender, self.address(receiver), shares)

    def _op_share_from(
        self, sender: str, owner: str, receiver: str, amount: int | str
    ) -> tuple[Outcome, Outcome]:
        shares = self._shares_of(owner, amount)
        return self._lp(
            "transferFrom",
            "transfer_shares_from",
            sender,
            self.address(owner),
            self.address(receiver),
            shares,
        )

    def _op_share_approve(self, sender: str, spender: str, amount: int) -> tuple[Outcome, Outcome]:
        return self._lp("approve", "approve_shares", sender, self.address(spender), amount)

    def _op_report(self, sender: str, account: str) -> tuple[Outcome, Outcome]:
        return self._lp("report", "report", sender, self.address(account))

    def _op_refresh(self, sender: str) -> tuple[Outcome, Outcome]:
        return self._lp("refresh", "refresh", sender)


EVENT_NAMES = {"Filled": "Fill"}
