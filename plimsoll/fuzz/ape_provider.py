"""The slow engine: the in-process chain that Ape is connected to, transactions, blocks and all.

Each call is mined in a block of its own, a second after the last, so nothing here can share a block
with anything else; a list of operations is a little different in time from what it is on the other
engines, and the model is told the block's time. Use it on a few lists, to see that engines agree.
"""

from __future__ import annotations

import ast
import contextlib
import time
from typing import Any

from eth_abi.abi import encode as abi_encode
from eth_tester.exceptions import TransactionFailed
from hexbytes import HexBytes

from plimsoll.errors import ChainError
from plimsoll.fuzz.chain import ERROR, Chain, Log, reason_of

GAS_LIMIT = 20_000_000
AHEAD = 30 * 86_400  # of the wall's clock, so that a block takes a second, always
PRICE = 10**10


class ApeProviderChain(Chain):
    """A chain on Ape's provider; connect first, as `ape test` and `ape run` do."""

    ticks = True

    def _start(self) -> None:
        import ape

        provider = ape.networks.active_provider
        if provider is None or provider.name != "test":
            raise ChainError("connect Ape to its in-process chain: --network ethereum:local:test")
        self.provider: Any = provider
        self.backend: Any = provider.evm_backend
        self.accounts = [str(a.address).lower() for a in ape.accounts.test_accounts]
        self.deployer = self.accounts[-1]
        self.receipt: Any = None
        self._mine_at(max(self.now, int(time.time()) + AHEAD))

    def wallet(self, number: int) -> str:
        """An account that the provider signs for."""
        return self.accounts[number]

    def _set_block(self) -> None:
        """Nothing: the provider's blocks say what time it is."""

    def _mine_at(self, moment: int) -> None:
        # A block a second before the moment that it is told: so that the next would be at it.
        self.backend.time_travel(max(moment, self._latest().timestamp + 1) + 1)
        self._look()

    def _latest(self) -> Any:
        return self.provider.get_block("latest")

    def _look(self) -> None:
        block = self._latest()
        self.now, self.number = int(block.timestamp), int(block.number)

    def advance(self, seconds: int, blocks: int = 1) -> None:
        """Move time on, by a second at least."""
        self._mine_at(self.now + seconds)

    def _create(self, sender: str, code: bytes) -> tuple[str, str | None]:
        _, reason = self._mined(sender, None, code, None)
        created = self.receipt["contractAddress"] if reason is None else ""
        return created, reason

    def send(
        self, sender: str, to: str, data: bytes, gas: int | None = None
    ) -> tuple[bytes, str | None]:
        """A transaction; what it came to is asked for just before, of the block that it is in."""
        return self._mined(sender, to, data, gas)

    def _mined(
        self, sender: str, to: str | None, data: bytes, gas: int | None
    ) -> tuple[bytes, str | None]:
        asked = {
            "from": HexBytes(sender),
            "to": HexBytes(to) if to else b"",
            "data": data,
            "gas": gas or GAS_LIMIT,
            "gas_price": PRICE,
            "value": 0,
        }
        output, reason = self._call(asked, "pending")
        sent = {"from": sender, "data": HexBytes(data), "gas": asked["gas"], "gasPrice": PRICE}
        if to:
            sent["to"] = to
        web3 = self.provider.web3
        for known in ("from", "to"):
            if known in sent:
                sent[known] = web3.to_checksum_address(sent[known])
        with contextlib.suppress(TransactionFailed):
            self.receipt = web3.eth.get_transaction_receipt(web3.eth.send_transaction(sent))
        assert (self.receipt["status"] == 1) == (reason is None), f"{reason} and {self.receipt}"
        self._look()
        return output, reason

    def _call(self, asked: dict[str, Any], block: str) -> tuple[bytes, str | None]:
        try:
            return bytes(self.backend.call(asked, block)), None
        except TransactionFailed as error:
            return b"", _reason(error)

    def look(self, sender: str, to: str, data: bytes) -> tuple[bytes, str | None]:
        """A call as of the last block, which keeps nothing."""
        asked = {
            "from": HexBytes(sender),
            "to": HexBytes(to),
            "data": data,
            "gas": GAS_LIMIT,
            "gas_price": PRICE,
            "value": 0,
        }
        return self._call(asked, "latest")

    def _logs(self) -> list[Log]:
        if self.receipt is None or self.receipt["status"] != 1:
            return []
        return [
            Log(log["address"].lower(), [bytes(t) for t in log["topics"]], bytes(log["data"]))
            for log in self.receipt["logs"]
        ]

    def snapshot(self) -> Any:
        """A mark to come back to."""
        return self.provider.snapshot()

    def restore(self, mark: Any) -> None:
        """Undo everything since then, blocks too."""
        self.provider.restore(mark)
        self._look()

    def nonce(self, account: str) -> int:
        """How many transactions an account has sent."""
        return int(self.provider.get_nonce(account))


def _reason(error: TransactionFailed) -> str:
    """What the engine made of a revert: its text, or the bytes that it could not read."""
    text = str(error.args[0]) if error.args else ""
    if text.startswith(("b'", 'b"')):
        return reason_of(ast.literal_eval(text))
    return reason_of(ERROR + abi_encode(["string"], [text])) if text else ""
