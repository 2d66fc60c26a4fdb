"""A Lens on a `System`, held to the model: every view, number by number.

A preview is compared with what the same call does to a copy of the model, and `run.step` compares
that with what the call does to the contracts: so a preview is the execution, to the wei.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from plimsoll import slots
from plimsoll.fuzz.artifacts import Artifact, compile_contract
from plimsoll.fuzz.run import Mismatch
from plimsoll.fuzz.system import STRANGER, Op, System
from plimsoll.model import (
    LIVE,
    MAX_MARKETS,
    MAX_UINT,
    NOWHERE,
    PPM,
    PRICE_REASONS,
    Leg,
    Model,
    Refused,
    Sum,
    accrue,
    ceil_div,
    equity,
    exposed,
    fill_price,
    floor_div,
    health,
    notional,
    only_reduces,
    terms_of,
    value,
)
from plimsoll.slots import LOT, OPEN, WAD

LINE = 125 * 10**16  # [WAD] of a margin call
PAGE = 32
DEEPEST = 2**95 - 1  # [WAD base] the greatest room that a MarketView can show


class Imagined(NamedTuple):
    """What a call would come to, and what `then` made of the state after it."""

    reason: str | None
    value: Any
    events: list[Any]
    after: Any


class Lens:
    """A Lens, and what each of its views must say."""

    def __init__(self, system: System, artifact: Artifact | None = None, line: int = LINE) -> None:
        """Deploy it beside the system.

        Args:
            system: to look at.
            artifact: of a Lens; the repository's unless told.
            line: [WAD] the health below which it reports a margin call.
        """
        self.system, self.model, self.line = system, system.model, line
        self.contract = system.chain.deploy(
            artifact or compile_contract("Lens.vy"), system.clearinghouse.address, line
        )

    # -------------------------------------------------------------- while operations run

    def watch(self, operations: Iterable[Op], every: int = 20, previews: int = 1) -> Iterator[Op]:
        """Let operations through, and look before each.

        Args:
            operations: that somebody else runs, one after the other.
            every: so many operations, all the views are checked.
            previews: of so many trades and liquidations, one is previewed.

        Raises:
            Mismatch: if a view differs from the model.
        """
        count = itertools.count(1)
        for number, op in enumerate(operations, 1):
            if op[0] == "trade" and next(count) % previews == 0:
                self.check_trade(*self._trade(*op[2:]))
            elif op[0] == "liquidate" and next(count) % previews == 0:
                self.check_liquidation(self.system.address(op[2]))
            if number % every == 0:
                self.check_views()
            yield op

    def _trade(
        self, account: str, market: int, delta: int | str, limit: int | None = None
    ) -> tuple[str, int, int, int]:
        """The arguments of a call, of those of an operation."""
        who = self.system.address(account)
        position = self.model.positions.get((who, market))
        size = int(delta) if delta != "all" else -position.size if position else 0
        return who, market, size, limit if limit is not None else MAX_UINT if size > 0 else 0

    def check_views(self) -> None:
        """Every view, of every account and market.

        Raises:
            Mismatch: at the first difference.
        """
        accounts = self.system.accounts()
        for account in accounts:
            self.check_account(account)
            self.check_liquidation(account)
        self.check_lists(accounts)
        self.check_markets()
        self.check_pool()

    # -------------------------------------------------------------- helpers

    def _same(self, view: str, about: Any, real: Any, ideal: Any) -> None:
        if real != ideal:
            raise Mismatch(f"lens {view}", f"{about}: {real!r} is not {ideal!r}")

    def _fields(self, view: str, *args: Any) -> dict[str, Any]:
        """What a view that returns a struct says, by name."""
        entry = next(e for e in self.contract_abi if e.get("name") == view)
        names = [c["name"] for c in entry["outputs"][0]["components"]]
        return dict(zip(names, self.contract.view(view, *args), strict=True))

    @property
    def contract_abi(self) -> list[dict[str, Any]]:
        """The Lens's own."""
        return compile_contract("Lens.vy").abi

    def _imagine(self, then: Callable[[Model], Any], method: str, *args: Any) -> Imagined:
        """A call on a copy of the model."""
        model = self.model
        saved, seen = model.save(), len(model.events)
        try:
            result = getattr(model, method)(*args)
            events = [e for _, e in model.events[seen:]]
            return Imagined(None, result, events, then(model))
        except Refused as refused:
            return Imagined(refused.reason, None, [], None)
        finally:
            model.load(saved)
