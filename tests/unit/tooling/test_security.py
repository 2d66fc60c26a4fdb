"""docs/security.md keeps its word: every case has an answer, every test that it names exists."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.utils.named import names_in

ROOT = Path(__file__).parents[3]
TESTS = sorted((ROOT / "tests").rglob("test_*.py"))
ROW = re.compile(r"^\| (\d+) \| ([^|]+) \| (.+) \|$", re.MULTILINE)
ROWS = {int(n): answer for n, _, answer in ROW.findall((ROOT / "docs/security.md").read_text())}
KNOWN = {name for path in TESTS for name in names_in(path)}
ATTACKS = {name for path in TESTS if path.parent.name == "attacks" for name in names_in(path)}


def test_table__125_cases__each_has_a_row() -> None:
    assert sorted(ROWS) == list(range(1, 126))


@pytest.mark.parametrize("number", range(1, 126))
def test_row__each__names_tests_that_exist_or_says_why_there_are_none(number: int) -> None:
    answer = ROWS[number]
    named = re.findall(r"`(test_[^`]*)`", answer)
    assert [name for name in named if name not in KNOWN] == []
    assert named or re.search(r"cannot arise|not built yet", answer, re.IGNORECASE)


def test_attacks__each__is_named_in_the_row_of_its_number() -> None:
    unnamed = [
        name
        for name in sorted(ATTACKS)
        if (number := re.match(r"test_(\d+)__", name)) and name not in ROWS[int(number[1])]
    ]
    assert unnamed == []
