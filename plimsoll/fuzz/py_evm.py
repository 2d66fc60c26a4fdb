"""The plain engine: py-evm, on which Ape's in-process chain stands.

Each call is a transaction of its own, with cold slots and the real price of gas.
"""

from __future__ import annotations

from typing import Any

from eth.chains.base import MiningChain
from eth.constants import CREATE_CONTRACT_ADDRESS
from eth.db.atomic import AtomicDB
from eth.exceptions import OutOfGas, Revert
from eth.vm.forks.cancun import CancunVM
from eth.vm.spoof import SpoofTransaction
from eth_utils.exceptions import ValidationError

from plimsoll.fuzz.chain import CHAIN_ID, TOO_LITTLE_GAS, Chain, Log, reason_of

GAS_LIMIT = 30_000_000
GAS_PRICE = 10**10


class PyEvmChain(Chain):
    """A chain on py-evm.

    Attributes:
        gas_used: by the last call that went through, after refunds.
    """

    gas_used: int

    def _start(self) -> None:
        kind = MiningChain.configure(
            __name__="FuzzChain", vm_configuration=((0, CancunVM),), chain_id=CHAIN_ID
        )
        genesis: dict[str, Any] = {
            "difficulty": 0,
            "gas_limit": 2**40,
            "timestamp": 0,
            "base_fee_per_gas": 10**9,
            "extra_data": b"",
            "nonce": b"\0" * 8,
        }
        self.machine: Any = kind.from_genesis(AtomicDB(), genesis, {}).get_vm()
        self.state: Any = self.machine.state
        self.header = self.machine.get_header()
        self.computation: Any = None
        self.gas_used = 0
        self.marks: list[Any] = []  # of snapshots that have not been gone back to

    def _set_block(self) -> None:
        self.state.execution_context = self.machine.create_execution_context(
            self.header.copy(block_number=self.number, timestamp=self.now),
            (),
            self.machine.chain_context,
        )

    def attempt(
        self, sender: str, to: str, data: bytes, gas: int | None = None
    ) -> tuple[bytes, str | None]:
        """A raw call that leaves no trace; output and reason."""
        mark = self.snapshot()
        reason = self._run(sender, bytes.fromhex(to[2:]), data, gas)
        self.restore(mark)
        return (self.computation.output if reason is None else b""), reason

    def _run(self, sender: str, to: bytes, data: bytes, gas: int | None) -> str | None:
        who = bytes.fromhex(sender[2:])
        limit = gas or GAS_LIMIT
        has = limit * GAS_PRICE
        self.state.set_balance(who, has)
        plain = self.machine.create_unsigned_transaction(
            nonce=self.state.get_nonce(who),
            gas_price=GAS_PRICE,
            gas=limit,
            to=to,
            value=0,
            data=data,
        )
        try:
            self.computation = self.state.apply_transaction(SpoofTransaction(plain, from_=who))
        except ValidationError as error:
            self.computation = None
            return TOO_LITTLE_GAS if "gas" in str(error) else f"halt: {error}"
        finally:
            # What is locked cannot be undone.
            if not self.marks:
                self.state.lock_changes()
        self.gas_used = (has - self.state.get_balance(who)) // GAS_PRICE
        if not self.computation.is_error:
            return None
        fault = self.computation.error
        if isinstance(fault, Revert):
            return reason_of(self.computation.output)
        return "halt: OutOfGas" if isinstance(fault, OutOfGas) else f"halt: {fault!r}"

    def _create(self, sender: str, code: bytes) -> tuple[str, str | None]:
        reason = self._run(sender, CREATE_CONTRACT_ADDRESS, code, None)
        created = self.computation.msg.storage_address if self.computation else b""
        return f"0x{created.hex()}", reason

    def send(
        self, sender: str, to: str, data: bytes, gas: int | None = None
    ) -> tuple[bytes, str | None]:
        """A raw call that keeps its effects; output and reason."""
        reason = self._run(sender, bytes.fromhex(to[2:]), data, gas)
        return (self.computation.output if reason is None else b""), reason

    def _logs(self) -> list[Log]:
        entries = self.computation.get_log_entries() if self.computation else ()
        return [
            Log(f"0x{address.hex()}", [t.to_bytes(32, "big") for t in topics], data)
            for address, topics, data in entries
        ]

    def snapshot(self) -> Any:
        """A mark to come back to."""
        self.marks.append(self.state.snapshot())
        return self.marks[-1]

    def restore(self, mark: Any) -> None:
        """Undo everything since then."""
        self.state.revert(mark)
        del self.marks[self.marks.index(mark) :]

    def nonce(self, account: str) -> int:
        """How many transactions and contracts an account has made."""
        return int(self.state.get_nonce(bytes.fromhex(account[2:])))
