"""Every list of operations in ``tests/corpus``, replayed; the whole state compared each time."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from plimsoll.fuzz.run import replay
from plimsoll.fuzz.shrink import describe, from_json

CORPUS = sorted((Path(__file__).parents[1] / "corpus").glob("*.json"))
SCRIPTS = [path for path in CORPUS if "operations" in json.loads(path.read_text())]


def test_corpus__is_there():
    assert SCRIPTS


@pytest.mark.parametrize("path", SCRIPTS, ids=lambda p: p.stem)
def test_replay__corpus__contracts_equal_model(path):
    setup, operations = from_json(json.loads(path.read_text()))
    report = replay(setup, operations, every=1)
    assert not report.mismatch, f"{report.mismatch}\n{describe(report)}"
    assert report.operations == operations
