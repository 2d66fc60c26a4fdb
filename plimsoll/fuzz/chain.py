"""A typed shell around pyrevm: deploy, call, decode returns, events and refusals; time; snapshots.

An `EVM` object of pyrevm lives one long transaction: transient storage is reset before each call,
the block's number and time are set here, slots stay warm (take no gas figures from it), and a
revert arrives as text.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from typing import Any, NamedTuple

import pyrevm
from eth_abi.abi import decode as abi_decode
from eth_abi.abi import encode as abi_encode
from eth_utils.crypto import keccak

from plimsoll.fuzz.artifacts import Artifact

CHAIN_ID = 31337
GAS_LIMIT = 2**63
DEPLOYER = "0x" + "de" * 20

REVERTED = re.compile(r"Revert \{ gas_used: \d+, output: 0x([0-9a-f]*) \}")
HALTED = re.compile(r"Halt \{ reason: (\w+)")
ERROR = keccak(text="Error(string)")[:4]


class Event(NamedTuple):
    """A log, decoded: its arguments in the order of the declaration."""

    address: str
    name: str
    args: tuple[Any, ...]


class Outcome(NamedTuple):
    """What a call came to: a value, or a reason; ``""`` is a revert without one."""

    value: Any
    reason: str | None
    events: tuple[Event, ...]

    @property
    def ok(self) -> bool:
        """Whether it went through."""
        return self.reason is None


# ------------------------------------------------------------------ abi


def type_of(entry: dict[str, Any]) -> str:
    """The canonical type of an ABI entry, structs as tuples."""
    kind: str = entry["type"]
    if not kind.startswith("tuple"):
        return kind
    inner = ",".join(type_of(c) for c in entry["components"])
    return f"({inner}){kind.removeprefix('tuple')}"


LEAF = re.compile(r"u?int\d+|address|bool|bytes32")


def shape_of(entry: dict[str, Any]) -> Any:
    """A static type as a tree: words by name, structs and arrays as tuples.

    Raises:
        TypeError: if the type is dynamic.
    """
    kind: str = entry["type"]
    if LEAF.fullmatch(kind):
        return kind
    array = re.fullmatch(r"(.*)\[(\d+)\]", kind)
    if array:
        return (shape_of({**entry, "type": array.group(1)}),) * int(array.group(2))
    if kind == "tuple":
        return tuple(shape_of(c) for c in entry["components"])
    raise TypeError(kind)


class Codec:
    """Encodes and decodes a list of ABI types: static ones by hand, the rest by eth_abi."""

    def __init__(self, entries: list[dict[str, Any]]) -> None:
        self.types = [type_of(e) for e in entries]
        self.shape: tuple[Any, ...] | None = None
        with contextlib.suppress(TypeError):
            self.shape = tuple(shape_of(e) for e in entries)

    def encode(self, args: Sequence[Any]) -> bytes:
        """The arguments, encoded."""
        if self.shape is None:
            return abi_encode(self.types, args)
        words: list[bytes] = []
        _encode(self.shape, args, words)
        return b"".join(words)

    def decode(self, data: bytes) -> tuple[Any, ...]:
        """The arguments, decoded; addresses as lower-case strings."""
        if self.shape is None:
            return tuple(_tuples(v) for v in abi_decode(self.types, data))
        return _decode(self.shape, data, 0)[0]


def _encode(shape: tuple[Any, ...], args: Sequence[Any], words: list[bytes]) -> None:
    for kind, arg in zip(shape, args, strict=True):
        if isinstance(kind, tuple):
            _encode(kind, arg, words)
        elif kind == "address":
            words.append(int(arg, 16).to_bytes(32, "big"))
        elif kind == "bytes32":
            words.append(arg)
        else:
            words.append((int(arg) & (2**256 - 1)).to_bytes(32, "big"))


def _decode(shape: tuple[Any, ...], data: bytes, at: int) -> tuple[tuple[Any, ...], int]:
    values: list[Any] = []
    for kind in shape:
        if isinstance(kind, tuple):
            value, at = _decode(kind, data, at)
            values.append(value)
            continue
        word = data[at : at + 32]
        at += 32
        if kind == "address":
            values.append("0x" + word[12:].hex())
        elif kind == "bytes32":
            values.append(word)
        elif kind == "bool":
            values.append(bool(word[31]))
        else:
            values.append(int.from_bytes(word, "big", signed=kind[0] == "i"))
    return tuple(values), at


def _tuples(value: Any) -> Any:
    return tuple(_tuples(v) for v in value) if isinstance(value, list | tuple) else value


class Function(NamedTuple):
    """A function of a contract."""

    selector: bytes
    inputs: Codec
    outputs: Codec


class EventType(NamedTuple):
    """An event of a contract."""

    name: str
    order: tuple[tuple[bool, int], ...]  # of each argument: indexed?, and its place there
    indexed: Codec
    data: Codec


class Interface:
    """The functions and events of an ABI."""

    def __init__(self, abi: list[dict[str, Any]]) -> None:
        self.functions: dict[str, Function] = {}
        self.events: dict[bytes, EventType] = {}
        self.constructor = Codec([])
        for entry in abi:
            if entry["type"] == "constructor":
                self.constructor = Codec(entry["inputs"])
            elif entry["type"] == "function":
                inputs = Codec(entry["inputs"])
                signature = f"{entry['name']}({','.join(inputs.types)})"
                function = Function(keccak(text=signature)[:4], inputs, Codec(entry["outputs"]))
                # Overloads (default arguments): the longest wins.
                known = self.functions.get(entry["name"])
                if known is None or len(known.inputs.types) < len(inputs.types):
                    self.functions[entry["name"]] = function
            elif entry["type"] == "event":
                every = Codec(entry["inputs"])
                topic = keccak(text=f"{entry['name']}({','.join(every.types)})")
                indexed = [e for e in entry["inputs"] if e["indexed"]]
                data = [e for e in entry["inputs"] if not e["indexed"]]
                order = tuple(
                    (e["indexed"], (indexed if e["indexed"] else data).index(e))
                    for e in entry["inputs"]
                )
                self.events[topic] = EventType(entry["name"], order, Codec(indexed), Codec(data))


# ------------------------------------------------------------------ chain


class Chain:
    """An EVM with a clock."""

    def __init__(self, now: int = 1_750_000_000, number: int = 100) -> None:
        config = pyrevm.CfgEnv(chain_id=CHAIN_ID)
        self.evm = pyrevm.EVM(spec_id="CANCUN", env=pyrevm.Env(cfg=config))
        self.interfaces: dict[str, Interface] = {}
        self.now = now
        self.number = number
        self.evm.set_balance(DEPLOYER, 10**24)
        self._set_block()

    def _set_block(self) -> None:
        block = pyrevm.BlockEnv(number=self.number, timestamp=self.now, gas_limit=GAS_LIMIT)
        self.evm.set_block_env(block)

    def advance(self, seconds: int, blocks: int = 1) -> None:
        """Move time and the block number on."""
        self.now += seconds
        self.number += blocks
        self._set_block()

    def snapshot(self) -> tuple[Any, int, int]:
        """The whole state, to return to once."""
        return self.evm.snapshot(), self.now, self.number

    def restore(self, saved: tuple[Any, int, int]) -> None:
        """Back to a snapshot."""
        checkpoint, self.now, self.number = saved
        self.evm.revert(checkpoint)
        self._set_block()

    def deploy(self, artifact: Artifact, *args: Any, sender: str = DEPLOYER) -> Contract:
        """A new contract.

        Raises:
            ValueError: if its constructor reverts.
        """
        interface = Interface(artifact.abi)
        self.evm.reset_transient_storage()
        try:
            address = self.evm.deploy(
                sender, artifact.bytecode + interface.constructor.encode(args), gas=GAS_LIMIT
            )
        except RuntimeError as error:
            raise ValueError(f"{artifact.name}: {reason_of(error)}") from error
        return self.at(address.lower(), interface)

    def at(self, address: str, interface: Interface) -> Contract:
        """A contract that is already there."""
        self.interfaces[address] = interface
        return Contract(self, address, interface)

    def nonce(self, account: str) -> int:
        """How many transactions and contracts an account has made."""
        return int(self.evm.basic(account).nonce)

    def send(
        self, sender: str, to: str, data: bytes, gas: int | None = None
    ) -> tuple[bytes, str | None]:
        """A raw call that keeps its effects; output and reason."""
        self.evm.reset_transient_storage()
        try:
            return self.evm.message_call(sender, to, calldata=data, gas=gas or GAS_LIMIT), None
        except RuntimeError as error:
            return b"", reason_of(error)

    def logs(self) -> tuple[Event, ...]:
        """The events of the last call, in order; those of unknown contracts undecoded."""
        result = self.evm.result
        return tuple(self._event(log) for log in result.logs) if result else ()

    def _event(self, log: Any) -> Event:
        topics, data = log.data
        address = log.address.lower()
        interface = self.interfaces.get(address)
        kind = interface.events.get(topics[0]) if interface and topics else None
        if kind is None:
            return Event(address, "?", (*topics, data))
        indexed = kind.indexed.decode(b"".join(topics[1:]))
        rest = kind.data.decode(data)
        return Event(
            address, kind.name, tuple((indexed if i else rest)[at] for i, at in kind.order)
        )


class Contract:
    """A deployed contract: ``contract.call("deposit", account, token, 5, sender=trader)``."""

    def __init__(self, chain: Chain, address: str, interface: Interface) -> None:
        self.chain = chain
        self.address = address
        self.interface = interface

    def call(
        self, name: str, *args: Any, sender: str = DEPLOYER, gas: int | None = None
    ) -> Outcome:
        """Call a function and keep its effects."""
        function = self.interface.functions[name]
        data = function.selector + function.inputs.encode(args)
        output, reason = self.chain.send(sender, self.address, data, gas)
        if reason is not None:
            return Outcome(None, reason, ())
        return Outcome(_single(function.outputs.decode(output)), None, self.chain.logs())

    def view(self, name: str, *args: Any, sender: str = DEPLOYER) -> Any:
        """Call a function and return its value.

        Raises:
            ValueError: if it reverts.
        """
        function = self.interface.functions[name]
        data = function.selector + function.inputs.encode(args)
        output, reason = self.chain.send(sender, self.address, data)
        if reason is not None:
            raise ValueError(f"{name}{args}: {reason!r}")
        return _single(function.outputs.decode(output))


def _single(values: tuple[Any, ...]) -> Any:
    if not values:
        return None
    return values[0] if len(values) == 1 else values


def reason_of(error: RuntimeError) -> str:
    """Why pyrevm refused: the revert string, ``""`` for none, or ``halt: ...``."""
    text = str(error)
    reverted = REVERTED.search(text)
    if reverted is None:
        if "CallGasCostMoreThanGasLimit" in text:
            return "halt: too little"
        halted = HALTED.search(text)
        return f"halt: {halted.group(1) if halted else text[:200]}"
    output = bytes.fromhex(reverted.group(1))
    if not output:
        return ""
    if output[:4] == ERROR:
        return str(abi_decode(["string"], output[4:])[0])
    return f"data: {output.hex()}"
