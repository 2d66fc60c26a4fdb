"""The fast engine: pyrevm.

An `EVM` object of pyrevm lives one long transaction: transient storage is reset before each call,
slots stay warm (take no gas figures from it), and a revert arrives as text.
"""

from __future__ import annotations

import re
from typing import Any

import pyrevm

from plimsoll.fuzz.chain import CHAIN_ID, TOO_LITTLE_GAS, Chain, Log, reason_of

GAS_LIMIT = 2**63
REVERTED = re.compile(r"Revert \{ gas_used: \d+, output: 0x([0-9a-f]*) \}")
HALTED = re.compile(r"Halt \{ reason: (\w+)")


class RevmChain(Chain):
    """A chain on pyrevm."""

    quick = True
    switch = 0  # what PREVRANDAO answers on each chain of the process: the mutant that is on
    size_limit: int | None = None  # of a contract's code, if not the EVM's own

    def _start(self) -> None:
        config = pyrevm.CfgEnv(chain_id=CHAIN_ID, limit_contract_code_size=self.size_limit)
        self.evm = pyrevm.EVM(spec_id="CANCUN", env=pyrevm.Env(cfg=config))
        self.evm.set_balance(self.deployer, 10**24)

    def _set_block(self) -> None:
        block = pyrevm.BlockEnv(
            number=self.number,
            timestamp=self.now,
            gas_limit=GAS_LIMIT,
            prevrandao=self.switch.to_bytes(32, "big"),
        )
        self.evm.set_block_env(block)

    def _create(self, sender: str, code: bytes) -> tuple[str, str | None]:
        self.evm.reset_transient_storage()
        try:
            return self.evm.deploy(sender, code, gas=GAS_LIMIT), None
        except RuntimeError as error:
            return "", _reason(error)

    def send(
        self, sender: str, to: str, data: bytes, gas: int | None = None
    ) -> tuple[bytes, str | None]:
        """A raw call that keeps its effects; output and reason."""
        self.evm.reset_transient_storage()
        try:
            return self.evm.message_call(sender, to, calldata=data, gas=gas or GAS_LIMIT), None
        except RuntimeError as error:
            return b"", _reason(error)

    def _logs(self) -> list[Log]:
        result = self.evm.result
        logs = result.logs if result else []
        return [Log(log.address.lower(), *log.data) for log in logs]

    def snapshot(self) -> Any:
        """A mark to come back to."""
        return self.evm.snapshot()

    def restore(self, mark: Any) -> None:
        """Undo everything since then."""
        self.evm.revert(mark)

    def nonce(self, account: str) -> int:
        """How many transactions and contracts an account has made."""
        return int(self.evm.basic(account).nonce)


def _reason(error: RuntimeError) -> str:
    text = str(error)
    reverted = REVERTED.search(text)
    if reverted:
        return reason_of(bytes.fromhex(reverted.group(1)))
    if "CallGasCostMoreThanGasLimit" in text:
        return TOO_LITTLE_GAS
    halted = HALTED.search(text)
    return f"halt: {halted.group(1) if halted else text[:200]}"
