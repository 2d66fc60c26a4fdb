"""Every list of operations in ``tests/corpus``, replayed; the whole state compared each time."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from plimsoll.fuzz.chain import Chain
from plimsoll.fuzz.py_evm import PyEvmChain
from plimsoll.fuzz.run import replay
from plimsoll.fuzz.shrink import describe, from_json

CORPUS = sorted((Path(__file__).parents[1] / "corpus").glob("*.json"))
# Each on py-evm, and these through Ape's provider, too; all of them with PLIMSOLL_APE=all.
ON_APE = ("flip", "liquidated-around-a-dead-leg", "bad-debt-pool")
SCRIPTS = [path for path in CORPUS if "operations" in json.loads(path.read_text())]


def test_corpus__is_there():
    assert SCRIPTS


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.stem)
def test_replay__corpus__contracts_equal_model(path):
    play(path, every=1)


# A second and more each, and a quarter of a minute what opens some thirty markets: all of them
# with PLIMSOLL_APE=all, else every third of the others.
SHORT = [p for p in SCRIPTS if len(json.loads(p.read_text())["setup"]["markets"]) < 30][::3]


@pytest.mark.parametrize(
    "path", SCRIPTS if os.environ.get("PLIMSOLL_APE") == "all" else SHORT, ids=lambda p: p.stem
)
def test_replay__corpus_on_apes_engine__contracts_equal_model(path):
    """A second opinion on the machine itself; the state is compared at the end."""
    play(path, every=10**6, on=PyEvmChain)


@pytest.mark.parametrize(
    "path",
    [p for p in SCRIPTS if p.stem in ON_APE or os.environ.get("PLIMSOLL_APE") == "all"],
    ids=lambda p: p.stem,
)
@pytest.mark.skipif("PLIMSOLL_APE" not in os.environ, reason="in a process of its own: make test")
def test_replay__corpus_on_apes_provider__contracts_equal_model(path, fuzz_chain):
    """Its blocks are a second each, so that a list may end otherwise than where it was found."""
    play(path, every=10**6, on=lambda now: fuzz_chain(now, slow=True), same_end=False)


def play(
    path: Path, every: int, on: Callable[[int], Chain] | None = None, same_end: bool = True
) -> None:
    data = json.loads(path.read_text())
    setup, operations = from_json(data)
    report = replay(setup, operations, every, chain=on(setup.start) if on else None)
    assert not report.mismatch, f"{report.mismatch}\n{describe(report)}"
    assert report.operations == operations
    # What failed once has no end of its own.
    assert data["ends"] in (None, report.last) or not same_end
