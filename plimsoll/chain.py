"""One small face for two chains: whatever Ape is connected to, and pyrevm in this process.

What is above (deployment, client, replay) deploys, sends and reads through a `Chain` and so runs on
either. Contracts are the engine's own objects: on Ape a ``ContractInstance``, to call as usual.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import rlp
from eth_utils.address import to_canonical_address, to_checksum_address
from eth_utils.crypto import keccak

from plimsoll.errors import ChainError, Reverted

if TYPE_CHECKING:
    from plimsoll.fuzz.artifacts import Artifact

GAS_MARGIN = 1.5


class Signer(Protocol):
    """Who signs a transaction. Ape's accounts are signers."""

    @property
    def address(self) -> Any:
        """Hexadecimal."""
        ...


class Event(NamedTuple):
    """A decoded log."""

    contract: str  # address
    name: str
    args: dict[str, Any]
    block: int


class Receipt(NamedTuple):
    """What a transaction did."""

    gas: int  # used; 0 where the engine has no honest figure
    events: list[Event]
    hash: str

    def event(self, name: str) -> Event:
        """The last event of that name.

        Raises:
            ChainError: if there is none.
        """
        for event in reversed(self.events):
            if event.name == name:
                return event
        raise ChainError(f"the transaction {self.hash} logged no {name}")


class Chain(Protocol):
    """What the package needs of a chain."""

    @property
    def name(self) -> str:
        """For people: which engine or network."""
        ...

    @property
    def ends_with_process(self) -> bool:
        """Whether nothing of it is left when this command ends."""
        ...

    @property
    def id(self) -> int:
        """The chain id."""
        ...

    @property
    def height(self) -> int:
        """The number of the latest block."""
        ...

    @property
    def now(self) -> int:
        """The time of the latest block, which views see [unix s]."""
        ...

    @property
    def signers(self) -> Sequence[Signer]:
        """Accounts that can sign here without asking anybody."""
        ...

    def advance(self, seconds: int) -> None:
        """Let so much time pass: the next transaction is at least that much later."""
        ...

    def nonce(self, address: str) -> int:
        """The number of transactions that an address has sent."""
        ...

    def code(self, address: str) -> bytes:
        """The code at an address; empty if it has none."""
        ...

    def deploy(self, name: str, *args: Any, sender: Any) -> Any:
        """A new contract, by its source's name."""
        ...

    def at(self, name: str, address: str) -> Any:
        """A contract that is already there."""
        ...

    def send(self, contract: Any, method: str, *args: Any, sender: Any) -> Receipt:
        """A transaction.

        Raises:
            Reverted: if it reverts.
        """
        ...

    def view(self, contract: Any, method: str, *args: Any) -> Any:
        """A read. Structs come as objects with the fields' names, other tuples as tuples.

        Raises:
            Reverted: if it reverts.
        """
        ...

    def events(self, contract: Any, name: str, start: int) -> Iterator[Event]:
        """The logs of a contract's event from block `start` on."""
        ...


def address_of(thing: Any) -> str:
    """The checksummed address of a contract, a signer, or a text.

    Raises:
        ChainError: if it is none.
    """
    text = thing if isinstance(thing, str) else str(getattr(thing, "address", thing))
    try:
        return to_checksum_address(text)
    except ValueError:
        raise ChainError(f"{thing!r} is no address, no contract and no signer") from None


def created_at(deployer: str, nonce: int) -> str:
    """The address of the contract that `deployer` creates with its transaction number `nonce`."""
    packed = rlp.encode([to_canonical_address(deployer), nonce])
    return to_checksum_address(keccak(packed)[12:])


# ------------------------------------------------------------------ Ape


class ApeChain:
    """The provider that Ape is connected to, and the contracts of a project.

    Args:
        project: Ape's; by default the one of the working directory.
    """

    def __init__(self, project: Any = None) -> None:
        import ape

        self.project = project or ape.project
        self._ape = ape

    @property
    def name(self) -> str:
        """Ape's name for the network, as ``--network`` takes it."""
        provider = self._ape.networks.provider
        return f"{provider.network.ecosystem.name}:{provider.network.name}:{provider.name}"

    @property
    def ends_with_process(self) -> bool:
        """Whether the chain lives in this process or in one that it started."""
        return bool(self._ape.networks.provider.network.is_local)

    @property
    def id(self) -> int:
        """The chain id."""
        return int(self._ape.chain.chain_id)

    @property
    def height(self) -> int:
        """The number of the latest block."""
        return int(self._ape.chain.blocks.height)

    @property
    def now(self) -> int:
        """The time of the latest block [unix s]."""
        return int(self._ape.networks.provider.get_block("latest").timestamp)

    @property
    def signers(self) -> Sequence[Signer]:
        """Ape's test accounts."""
        accounts: Sequence[Signer] = self._ape.accounts.test_accounts
        return accounts

    def advance(self, seconds: int) -> None:
        """Let so much time pass."""
        if seconds <= 0:
            return
        provider = self._ape.networks.provider
        if provider.name == "test":
            # Mines a block just before the new time; the next transaction is at it.
            provider.set_timestamp(self.now + seconds)
            return
        try:
            provider.make_request("evm_increaseTime", [seconds])
            provider.make_request("evm_mine", [])
        except Exception as error:
            raise ChainError(f"{self.name} does not let its clock be moved: {error}") from error

    def nonce(self, address: str) -> int:
        """The number of transactions that an address has sent."""
        return int(self._ape.networks.provider.get_nonce(address))

    def code(self, address: str) -> bytes:
        """The code at an address."""
        return bytes(self._ape.networks.provider.get_code(address))

    def deploy(self, name: str, *args: Any, sender: Any) -> Any:
        """A new contract of the project."""
        with _reverts(self._ape, f"{name}'s constructor"):
            return sender.deploy(self._container(name), *args)

    def at(self, name: str, address: str) -> Any:
        """A contract of the project that is already there."""
        # With the type at hand Ape need not look for the contract anywhere.
        return self._ape.Contract(address, contract_type=self._container(name).contract_type)

    def _container(self, name: str) -> Any:
        try:
            return getattr(self.project, name)
        except AttributeError as error:
            raise ChainError(
                f"no compiled contract {name}: run `ape compile --force` ({error})"
            ) from error

    def send(self, contract: Any, method: str, *args: Any, sender: Any) -> Receipt:
        """A transaction."""
        with _reverts(self._ape, method):
            function = getattr(contract, method)
            options = {"sender": sender}
            if not self.ends_with_process:
                # An estimate is made for this second; a later one accrues funding and takes more.
                estimate = function.estimate_gas_cost(*args, sender=sender)
                options["gas"] = int(estimate * GAS_MARGIN)
            receipt = function(*args, **options)
        events = [_from_ape(log) for log in receipt.events]
        return Receipt(int(receipt.gas_used), events, str(receipt.txn_hash))

    def view(self, contract: Any, method: str, *args: Any) -> Any:
        """A read."""
        with _reverts(self._ape, method):
            return getattr(contract, method)(*args)

    def events(self, contract: Any, name: str, start: int) -> Iterator[Event]:
        """The logs of a contract's event from block `start` on."""
        for log in getattr(contract, name).range(start, self.height + 1):
            yield _from_ape(log)


def _from_ape(log: Any) -> Event:
    return Event(log.contract_address, log.event_name, dict(log.event_arguments), log.block_number)


@contextmanager
def _reverts(ape: Any, method: str) -> Iterator[None]:
    """Turn Ape's account of a revert into ours, with the contract's own text."""
    errors = ape.exceptions
    try:
        yield
    except errors.ContractLogicError as error:
        text = str(error.revert_message or "")
        nothing = text in ("Transaction failed.", errors.TransactionError.DEFAULT_MESSAGE)
        raise Reverted("" if nothing else text, method) from error
    except (errors.TransactionError, errors.ProviderError) as error:
        raise ChainError(f"{method}: {error}") from error


# ------------------------------------------------------------------ pyrevm


class Key(NamedTuple):
    """A signer that needs no key: pyrevm believes what it is told."""

    address: str


class RevmChain:
    """The contracts on pyrevm, in this process, some hundred times as fast as Ape's own chain.

    Time behaves as on Ape's in-process chain: each transaction is a block, a second after the last.
    Gas is not told: the engine never cools a slot, so it would be too low.

    Args:
        artifact: gives a contract's interface and bytecode by name; by default the compiler does.
        now: the time of the first block [unix s].
    """

    name = "pyrevm, in process"
    ends_with_process = True

    def __init__(
        self, artifact: Callable[[str], Artifact] | None = None, now: int = 1_750_000_000
    ) -> None:
        try:
            from plimsoll.fuzz.chain import Interface
            from plimsoll.fuzz.revm import RevmChain as Machine
        except ImportError as error:
            raise ChainError(f"the pyrevm engine is not installed: {error}") from error
        self._interface = Interface
        self._machine = Machine(now=now)
        self._artifact = artifact or compiled
        self._known: dict[str, Artifact] = {}
        self._logs: list[Event] = []
        self._contracts: dict[str, Artifact] = {}  # by lower-case address
        self.signers = [
            Key(to_checksum_address(keccak(text=f"signer {i}")[12:])) for i in range(20)
        ]

    @property
    def id(self) -> int:
        """The chain id."""
        from plimsoll.fuzz.chain import CHAIN_ID

        return CHAIN_ID

    @property
    def height(self) -> int:
        """The number of the latest block."""
        return self._machine.number

    @property
    def now(self) -> int:
        """The time of the latest block [unix s]."""
        return self._machine.now

    def advance(self, seconds: int) -> None:
        """Let so much time pass."""
        if seconds > 1:
            self._machine.advance(seconds - 1)

    def nonce(self, address: str) -> int:
        """The number of contracts that an address has made: here they alone count."""
        return self._machine.nonce(address)

    def code(self, address: str) -> bytes:
        """The code at an address."""
        code = self._machine.evm.get_code(address)
        return bytes(code or b"").rstrip(b"\0")

    def _find(self, name: str) -> Artifact:
        if name not in self._known:
            self._known[name] = self._artifact(name)
        return self._known[name]

    def deploy(self, name: str, *args: Any, sender: Any) -> Any:
        """A new contract."""
        artifact = self._find(name)
        self._machine.advance(1)
        try:
            contract = self._machine.deploy(
                artifact, *map(_plain, args), sender=address_of(sender).lower()
            )
        except ValueError as error:
            reason = str(error).removeprefix(f"{name}: ").strip("'\"")
            raise Reverted(reason, f"{name}'s constructor") from None
        self._contracts[contract.address.lower()] = artifact
        return contract

    def at(self, name: str, address: str) -> Any:
        """A contract that is already there."""
        artifact = self._find(name)
        self._contracts[address.lower()] = artifact
        return self._machine.at(address.lower(), self._interface(artifact.abi))

    def send(self, contract: Any, method: str, *args: Any, sender: Any) -> Receipt:
        """A transaction."""
        self._machine.advance(1)
        outcome = contract.call(method, *map(_plain, args), sender=address_of(sender).lower())
        if outcome.reason is not None:
            raise Reverted(outcome.reason, method)
        events = []
        for log in outcome.events:
            artifact = self._contracts.get(log.address)
            if artifact is not None and log.name != "?":
                args_ = dict(
                    zip(_names(artifact, "event", log.name, "inputs"), log.args, strict=True)
                )
                events.append(
                    Event(to_checksum_address(log.address), log.name, args_, self._machine.number)
                )
        self._logs += events
        return Receipt(0, events, f"block {self._machine.number}")

    def view(self, contract: Any, method: str, *args: Any) -> Any:
        """A read."""
        function = contract.interface.functions[method]
        data = function.selector + function.inputs.encode([_plain(a) for a in args])
        mark = self._machine.snapshot()
        output, reason = self._machine.send(_NOBODY, contract.address, data)
        self._machine.restore(mark)
        if reason is not None:
            raise Reverted(reason, method)
        artifact = self._contracts[contract.address.lower()]
        entries = _entry(artifact, "function", method)["outputs"]
        values = [
            _shaped(entry, value)
            for entry, value in zip(entries, function.outputs.decode(output), strict=True)
        ]
        return values[0] if len(values) == 1 else tuple(values)

    def events(self, contract: Any, name: str, start: int) -> Iterator[Event]:
        """The logs of a contract's event from block `start` on."""
        address = address_of(contract)
        return (
            log
            for log in self._logs
            if log.contract == address and log.name == name and log.block >= start
        )


_NOBODY = "0x" + "00" * 19 + "01"


def compiled(name: str, root: Path | None = None) -> Artifact:
    """A contract compiled with the vyper that is installed.

    Args:
        name: its source's, without the ending.
        root: the folder of the sources; by default this project's ``contracts``.
    """
    from plimsoll.fuzz.artifacts import CONTRACTS, compile_contract

    root = root or CONTRACTS
    path = f"{name}.vy"
    return compile_contract(path if (root / path).exists() else f"mocks/{path}", root)


def compiled_by_ape(project: Any) -> Callable[[str], Artifact]:
    """Contracts that Ape has compiled, for `RevmChain`."""
    from plimsoll.fuzz.artifacts import from_contract_type

    return lambda name: from_contract_type(getattr(project, name).contract_type)


def _plain(value: Any) -> Any:
    """Signers and contracts as addresses, all the way down."""
    if isinstance(value, Key) or hasattr(value, "interface"):
        return value.address
    if isinstance(value, list):
        return [_plain(v) for v in value]
    if isinstance(value, tuple):
        return tuple(_plain(v) for v in value)
    return value


def _entry(artifact: Artifact, kind: str, name: str) -> dict[str, Any]:
    # The longest of overloads, as the interface has it.
    found = [e for e in artifact.abi if e["type"] == kind and e["name"] == name]
    return max(found, key=lambda entry: len(entry["inputs"]))


def _names(artifact: Artifact, kind: str, name: str, side: str) -> list[str]:
    return [entry["name"] for entry in _entry(artifact, kind, name)[side]]


def _shaped(entry: dict[str, Any], value: Any) -> Any:
    """A decoded value with its structs' field names."""
    kind = entry["type"]
    if kind.endswith("]"):
        inner = {**entry, "type": kind[: kind.rindex("[")]}
        return [_shaped(inner, item) for item in value]
    if kind == "tuple":
        parts = zip(entry["components"], value, strict=True)
        return SimpleNamespace(**{part["name"]: _shaped(part, item) for part, item in parts})
    if kind == "address" and isinstance(value, str):
        return to_checksum_address(value)
    return value


def project_root() -> Path:
    """The folder that holds the contracts, wherever the command was started."""
    return Path(__file__).resolve().parents[1]
