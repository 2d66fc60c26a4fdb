"""What the differential tests share: the pure modules, deployed."""

from __future__ import annotations

from typing import Any

import pytest

from plimsoll.fuzz.artifacts import compile_contract
from plimsoll.fuzz.chain import new_chain


class Modules:
    """The pure modules' functions as methods: ``modules.fill_price(price, skew, ...)``."""

    def __init__(self) -> None:
        self.contract = new_chain(1_750_000_000).deploy(compile_contract("mocks/ModulesMock.vy"))

    def __getattr__(self, name: str) -> Any:
        def call(*args: Any) -> Any:
            return self.contract.view(name, *args)

        return call

    def refuses(self, name: str, *args: Any) -> str | None:
        """Why a call reverts; None if it does not."""
        return self.contract.call(name, *args).reason


@pytest.fixture(scope="session")
def modules() -> Modules:
    return Modules()
