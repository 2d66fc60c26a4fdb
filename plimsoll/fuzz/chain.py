"""A typed shell around an EVM: deploy, call, decode returns, events and refusals; time.

Two engines: `RevmChain` (pyrevm, thousands of calls a second) and `PyEvmChain` (py-evm, a hundred,
but each call is a transaction of its own, cold slots and all). Whatever runs on the one runs on the
other.
"""

from __future__ import annotations

import contextlib
import functools
import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple

from eth_abi.abi import decode as abi_decode
from eth_abi.abi import encode as abi_encode
from eth_abi.exceptions import DecodingError
from eth_utils.crypto import keccak

from plimsoll.fuzz.artifacts import Artifact

CHAIN_ID = 31337
DEPLOYER = "0x" + "de" * 20
ERROR = keccak(text="Error(string)")[:4]

TOO_LITTLE_GAS = "halt: too little gas"


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
        return _decoded(self.shape, data)


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


@functools.lru_cache(maxsize=2**14)  # most of what is compared has not changed
def _decoded(shape: tuple[Any, ...], data: bytes) -> tuple[Any, ...]:
    return _decode(shape, data, 0)[0]


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


@functools.cache  # hashing is most of what deploying once more takes
def topic_of(signature: str) -> bytes:
    """The hash by which an event is known, and a function by its first four bytes."""
    return bytes(keccak(text=signature))


class Function(NamedTuple):
    """A function of a contract."""

    selector: bytes
    inputs: Codec
    outputs: Codec
    is_view: bool


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
                is_view = entry["stateMutability"] in ("view", "pure")
                function = Function(
                    topic_of(signature)[:4], inputs, Codec(entry["outputs"]), is_view
                )
                # Overloads (default arguments): the longest wins.
                known = self.functions.get(entry["name"])
                if known is None or len(known.inputs.types) < len(inputs.types):
                    self.functions[entry["name"]] = function
            elif entry["type"] == "event":
                every = Codec(entry["inputs"])
                topic = topic_of(f"{entry['name']}({','.join(every.types)})")
                indexed = [e for e in entry["inputs"] if e["indexed"]]
                data = [e for e in entry["inputs"] if not e["indexed"]]
                order = tuple(
                    (e["indexed"], (indexed if e["indexed"] else data).index(e))
                    for e in entry["inputs"]
                )
                self.events[topic] = EventType(entry["name"], order, Codec(indexed), Codec(data))


# ------------------------------------------------------------------ chain


class Log(NamedTuple):
    """A log, as the engine gives it."""

    address: str
    topics: list[bytes]
    data: bytes


class Chain(ABC):
    """An EVM with a clock.

    Attributes:
        deployer: who sends what names no sender.
        ticks: whether each call takes a block of its own, and so moves the clock.
        quick: whether thousands of calls a second are to be had.
    """

    deployer = DEPLOYER
    ticks = False
    quick = False

    def __init__(self, now: int = 1_750_000_000, number: int = 100) -> None:
        self.now = now
        self.number = number
        self.interfaces: dict[str, Interface] = {}
        self._start()
        self._set_block()

    # What an engine has to bring.

    @abstractmethod
    def _start(self) -> None:
        """Make the engine."""

    @abstractmethod
    def _set_block(self) -> None:
        """Tell the engine the block's number and time."""

    @abstractmethod
    def _create(self, sender: str, code: bytes) -> tuple[str, str | None]:
        """Run creation code; the new contract's address, and why not."""

    @abstractmethod
    def send(
        self, sender: str, to: str, data: bytes, gas: int | None = None
    ) -> tuple[bytes, str | None]:
        """A raw call that keeps its effects; output and reason."""

    @abstractmethod
    def _logs(self) -> list[Log]:
        """The logs of the last call."""

    @abstractmethod
    def snapshot(self) -> Any:
        """A mark to come back to; the clock is not part of it."""

    @abstractmethod
    def restore(self, mark: Any) -> None:
        """Undo everything since `snapshot` gave this mark."""

    @abstractmethod
    def nonce(self, account: str) -> int:
        """How many transactions and contracts an account has made."""

    # What follows from it.

    def look(self, sender: str, to: str, data: bytes) -> tuple[bytes, str | None]:
        """A raw call of a view; output and reason."""
        return self.send(sender, to, data)

    def wallet(self, number: int) -> str:
        """An address that can send, the same for the same number; its last byte is zero."""
        return f"0x{(0xA0 + number) << 152:040x}"

    def advance(self, seconds: int, blocks: int = 1) -> None:
        """Move time and the block number on."""
        self.now += seconds
        self.number += blocks
        self._set_block()

    def deploy(self, artifact: Artifact, *args: Any, sender: str | None = None) -> Contract:
        """A new contract.

        Raises:
            ValueError: if its constructor reverts.
        """
        interface = Interface(artifact.abi)
        code = artifact.bytecode + interface.constructor.encode(args)
        address, reason = self._create(sender or self.deployer, code)
        if reason is not None:
            raise ValueError(f"{artifact.name}: {reason!r}")
        return self.at(address.lower(), interface)

    def at(self, address: str, interface: Interface) -> Contract:
        """A contract that is already there."""
        self.interfaces[address] = interface
        return Contract(self, address, interface)

    def logs(self) -> tuple[Event, ...]:
        """The events of the last call, in order; those of unknown contracts undecoded."""
        return tuple(self._event(log) for log in self._logs())

    def _event(self, log: Log) -> Event:
        interface = self.interfaces.get(log.address)
        kind = interface.events.get(log.topics[0]) if interface and log.topics else None
        if kind is None:
            return Event(log.address, "?", (*log.topics, log.data))
        indexed = kind.indexed.decode(b"".join(log.topics[1:]))
        rest = kind.data.decode(log.data)
        args = tuple((indexed if i else rest)[at] for i, at in kind.order)
        return Event(log.address, kind.name, args)


@functools.lru_cache(maxsize=2**10)
def reason_of(output: bytes) -> str:
    """What a revert says: its string, ``""`` for nothing, or its bytes."""
    if not output:
        return ""
    if output[:4] == ERROR:
        with contextlib.suppress(DecodingError, UnicodeDecodeError):  # else it is no text
            return str(abi_decode(["string"], output[4:])[0])
    return f"data: {output.hex()}"


class Contract:
    """A deployed contract: ``contract.call("deposit", account, token, 5, sender=trader)``."""

    def __init__(self, chain: Chain, address: str, interface: Interface) -> None:
        self.chain = chain
        self.address = address
        self.interface = interface

    def call(
        self, name: str, *args: Any, sender: str | None = None, gas: int | None = None
    ) -> Outcome:
        """Call a function and keep its effects."""
        function = self.interface.functions[name]
        data = function.selector + function.inputs.encode(args)
        who = sender or self.chain.deployer
        if function.is_view:
            output, reason = self.chain.look(who, self.address, data)
            if reason is not None:
                return Outcome(None, reason, ())
            return Outcome(_single(function.outputs.decode(output)), None, ())
        output, reason = self.chain.send(who, self.address, data, gas)
        if reason is not None:
            return Outcome(None, reason, ())
        return Outcome(_single(function.outputs.decode(output)), None, self.chain.logs())

    def attempt(self, name: str, *args: Any, sender: str | None = None) -> Outcome:
        """Call a function, and undo what it did."""
        mark = self.chain.snapshot()
        try:
            return self.call(name, *args, sender=sender)
        finally:
            self.chain.restore(mark)

    def view(self, name: str, *args: Any, sender: str | None = None) -> Any:
        """Call a function and return its value.

        Raises:
            ValueError: if it reverts.
        """
        outcome = self.call(name, *args, sender=sender)
        if outcome.reason is not None:
            raise ValueError(f"{name}{args}: {outcome.reason!r}")
        return outcome.value


def _single(values: tuple[Any, ...]) -> Any:
    if not values:
        return None
    return values[0] if len(values) == 1 else values


def new_chain(now: int) -> Chain:
    """A chain on the fastest engine that is installed."""
    try:
        from plimsoll.fuzz.revm import RevmChain
    except ImportError:
        from plimsoll.fuzz.py_evm import PyEvmChain

        return PyEvmChain(now)
    return RevmChain(now)
