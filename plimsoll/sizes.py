"""Sizes of the deployed contracts, held against their budgets and the committed snapshot.

A size is what the chain holds, immutables included: EIP-170 allows 24,576 bytes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from plimsoll.chain import ApeChain, address_of
from plimsoll.deployment import NOBODY, deploy
from plimsoll.table import default_table

EIP170 = 24_576  # [bytes]
SNAPSHOT = Path("tests/gas/sizes.json")

# [bytes] beyond which a contract may not grow without a decision; the rest answer to EIP-170 alone.
BUDGETS = {"Clearinghouse": 23_500}


def measure() -> dict[str, int]:
    """The bytes that each contract of a deployment takes on the connected chain."""
    chain = ApeChain()
    venue = deploy(default_table(), chain, chain.signers[0], seed=False)
    parts = {
        "Clearinghouse": venue.clearinghouse,
        "LiquidityPool": venue.pool,
        "Configurator": venue.configurator,
        "CollateralAuction": venue.auction,
        "Backstop": venue.backstop,
        "Lens": venue.lens,
        "CollateralLens": venue.collateral_lens,
        "Timelock": chain.deploy(
            "Timelock", 2 * 86_400, [NOBODY], [NOBODY], sender=chain.signers[0]
        ),
    }
    return {name: len(chain.code(address_of(part))) for name, part in parts.items()}


def findings(sizes: Mapping[str, int], snapshot: Mapping[str, int]) -> list[str]:
    """A line for each contract past its budget or bigger than the snapshot has it."""
    lines = []
    for name, size in sorted(sizes.items()):
        budget = BUDGETS.get(name, EIP170)
        if size > budget:
            lines.append(f"{name}: {size:,} bytes, over its budget of {budget:,}")
        if name not in snapshot:
            lines.append(f"{name}: not in {SNAPSHOT}; run `make sizes` and commit it")
        elif size > snapshot[name]:
            lines.append(f"{name}: {size:,} bytes, the snapshot has {snapshot[name]:,}")
    return lines


def load(path: Path = SNAPSHOT) -> dict[str, int]:
    """The committed sizes; none if there is no snapshot yet."""
    return dict(json.loads(path.read_text())) if path.exists() else {}


def save(sizes: Mapping[str, int], path: Path = SNAPSHOT) -> None:
    """Write the snapshot."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(dict(sorted(sizes.items())), indent=2) + "\n")
