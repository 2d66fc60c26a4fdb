"""Every list of operations in ``tests/corpus``, replayed; the whole state compared each time."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from plimsoll.fuzz import corpus
from plimsoll.fuzz.chain import Chain
from plimsoll.fuzz.py_evm import PyEvmChain
from plimsoll.fuzz.run import replay
from plimsoll.fuzz.shrink import describe

# Each on py-evm, and these through Ape's provider, too; all of them with PLIMSOLL_APE=all.
ON_APE = ("flip", "liquidated-around-a-dead-leg", "bad-debt-pool")
NAMES = corpus.names()


def test_corpus__is_there():
    assert NAMES


@pytest.mark.parametrize("name", NAMES)
def test_replay__corpus__contracts_equal_model(name):
    play(name, every=1)


# A second and more each, and a quarter of a minute what opens some thirty markets: all of them
# with PLIMSOLL_APE=all, else every sixteenth of the others.
SHORT = [name for name in NAMES if len(corpus.load(name).setup.markets) < 30][::16]


@pytest.mark.parametrize("name", NAMES if os.environ.get("PLIMSOLL_APE") == "all" else SHORT)
def test_replay__corpus_on_apes_engine__contracts_equal_model(name):
    """A second opinion on the machine itself; the state is compared at the end."""
    play(name, every=10**6, on=PyEvmChain)


@pytest.mark.parametrize("name", NAMES if os.environ.get("PLIMSOLL_APE") == "all" else ON_APE)
@pytest.mark.skipif("PLIMSOLL_APE" not in os.environ, reason="in a process of its own: make test")
def test_replay__corpus_on_apes_provider__contracts_equal_model(name, fuzz_chain):
    """Its blocks are a second each, so that a list may end otherwise than where it was found."""
    play(name, every=10**6, on=lambda now: fuzz_chain(now, slow=True), same_end=False)


def play(
    name: str, every: int, on: Callable[[int], Chain] | None = None, same_end: bool = True
) -> None:
    setup, operations, ends = corpus.load(name)
    report = replay(setup, operations, every, chain=on(setup.start) if on else None)
    assert not report.mismatch, f"{report.mismatch}\n{describe(report)}"
    assert report.operations == operations
    # What failed once has no end of its own.
    assert ends in (None, report.last) or not same_end
