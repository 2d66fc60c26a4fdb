"""Fixtures for fuzzing under `ape test`: ``pytest_plugins = ["plimsoll.fuzz.fixtures"]``.

What is deployed is the bytecode that Ape compiled in its project.

    def test_my_venue__any_seed__holds(fuzz_artifacts):
        setup = Setup.of(load_table("my_venue.yaml"))
        report = fuzz(seed=1, count=2_000, artifacts=fuzz_artifacts, setup=setup)
        assert not report.mismatch, describe(report)
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest

from plimsoll.fuzz.chain import Chain, new_chain
from plimsoll.fuzz.system import Artifacts, Setup, System


@pytest.fixture(scope="session")
def fuzz_artifacts(project: Any) -> Artifacts:
    """The contracts of Ape's project."""
    return Artifacts.of_project(project)


@pytest.fixture
def fuzz_chain() -> Callable[..., Chain]:
    """Make an engine: the fast one, or with ``slow=True`` Ape's own provider.

    Without pyrevm the fast one is py-evm, some hundred times slower, and a warning says so.
    """

    def make(now: int = 1_750_000_000, slow: bool = False) -> Chain:
        if slow:
            from plimsoll.fuzz.ape_provider import ApeProviderChain

            return ApeProviderChain(now)
        chain = new_chain(now)
        if type(chain).__name__ != "RevmChain":
            warnings.warn("pyrevm is not installed: this is py-evm", stacklevel=2)
        return chain

    return make


@pytest.fixture
def fuzz_system(
    fuzz_artifacts: Artifacts, fuzz_chain: Callable[..., Chain]
) -> Callable[..., System]:
    """Make contracts and model, side by side, from a setup."""

    def make(setup: Setup, slow: bool = False) -> System:
        return System.build(setup, fuzz_artifacts, fuzz_chain(setup.start, slow))

    return make
