"""Feeds that Vyper would not write: a few opcodes each."""

from typing import Any

from ape.contracts import ContractContainer, ContractInstance
from ethpm_types import ContractType

LATEST_ROUND_DATA = {
    "type": "function",
    "name": "latestRoundData",
    "stateMutability": "view",
    "inputs": [],
    "outputs": [
        {"name": name, "type": kind}
        for name, kind in [
            ("id", "uint80"),
            ("answer", "int256"),
            ("started_at", "uint256"),
            ("updated_at", "uint256"),
            ("answered_in", "uint80"),
        ]
    ],
}


def push(value: int) -> bytes:
    """PUSH of as many bytes as the value takes."""
    data = value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big")
    return bytes([0x5F + len(data)]) + data


def words(*values: int) -> bytes:
    """Store words at 0, 32, ..."""
    return b"".join(push(v) + push(32 * i) + b"\x52" for i, v in enumerate(values))  # MSTORE


def returning(size: int) -> bytes:
    """Return `size` bytes of memory."""
    return push(size) + push(0) + b"\xf3"


def reverting(size: int) -> bytes:
    """Revert with `size` bytes of memory."""
    return push(size) + push(0) + b"\xfd"


def cold_reads(count: int) -> bytes:
    """Spend 2,100 gas and a little, `count` times."""
    return b"".join(push(i + 1) + b"\x54\x50" for i in range(count))  # SLOAD, POP


def deploy_runtime(deployer: Any, runtime: bytes) -> ContractInstance:
    """Put `runtime` on the chain as a feed."""
    header = push(len(runtime)) + b"\x80"  # PUSH n, DUP1
    # PUSH offset, PUSH 0, CODECOPY, PUSH 0, RETURN
    tail = b"\x60\x00\x39\x60\x00\xf3"
    offset = len(header) + 2 + len(tail)
    code = header + bytes([0x60, offset]) + tail + runtime
    container = ContractContainer(
        ContractType.model_validate(
            {
                "contractName": "RawFeed",
                "abi": [LATEST_ROUND_DATA],
                "deploymentBytecode": {"bytecode": "0x" + code.hex()},
            }
        )
    )
    return deployer.deploy(container)
