"""contracts/SPEC.md keeps its word: each promise names tests that exist, each id that is cited is a promise."""

from __future__ import annotations

import re
from collections import Counter

import pytest

from plimsoll.fuzz.artifacts import CONTRACTS
from plimsoll.fuzz.properties import STATE, STEP
from tests.utils.named import names_in

ROOT = CONTRACTS.parent
SPEC = (CONTRACTS / "SPEC.md").read_text(encoding="utf-8")

ID = re.compile(r"\b[A-Z]{3}-\d+\b")
ENTRY = re.compile(r"^- \*\*([A-Z]{3}-\d+)\*\* ")
TEST = re.compile(r"`(tests/[^`:]+\.py::\w+)`")


# ------------------------------------------------------------------ what the specification says


def entries(text: str) -> dict[str, str]:
    """Each requirement's text, the line that names its tests with it: all that is indented under it."""
    found: dict[str, str] = {}
    name = None
    for line in text.splitlines():
        if entry := ENTRY.match(line):
            name = entry[1]
            found[name] = line
        elif name and line.startswith("  "):
            found[name] += f"\n{line}"
        else:
            name = None
    return found


def named_by(entry: str) -> list[str]:
    """The tests that an entry names."""
    _, _, named = entry.partition("\n  Test: ")
    return TEST.findall(named)


def cited(source: str) -> set[str]:
    """The ids in a contract's `@custom:spec` tags. Of a range, `QTE-1 to QTE-5`, the ends: ids have gaps."""
    tags = re.findall(r'@custom:spec\b([^@"]*)', source)
    return {name for tag in tags for name in ID.findall(tag)}


# ------------------------------------------------------------------ what there is


def exists(test: str) -> bool:
    """Whether there is a test of that path and name."""
    path, _, name = test.partition("::")
    return (ROOT / path).is_file() and name in names_in(ROOT / path)


# ------------------------------------------------------------------ they agree


def test_entries__of_the_specification__every_id_in_bold_once() -> None:
    bold = Counter(re.findall(r"\*\*([A-Z]{3}-\d+)\*\*", SPEC))
    assert set(bold) == set(entries(SPEC))
    assert max(bold.values()) == 1


@pytest.mark.parametrize("name", entries(SPEC))
def test_entry__of_the_specification__names_one_to_four_tests_that_exist(name: str) -> None:
    entry = entries(SPEC)[name]
    assert entry.count("\n  Test: ") == 1
    named = named_by(entry)
    # Nothing else is in backticks there: a name in another form would go unseen.
    assert len(named) == entry.partition("\n  Test: ")[2].count("`") // 2
    assert 1 <= len(set(named)) == len(named) <= 4
    assert [test for test in named if not exists(test)] == []


def test_contracts__custom_spec_tags__cite_entries() -> None:
    known, seen = set(entries(SPEC)), set()
    unknown: list[str] = []
    for path in sorted(CONTRACTS.rglob("*.vy")):
        ids = cited(path.read_text(encoding="utf-8"))
        seen |= ids
        unknown += [f"{path.relative_to(CONTRACTS)}: {name}" for name in sorted(ids - known)]
    assert unknown == []
    assert seen


def test_properties__of_the_fuzzer__are_entries() -> None:
    ids = {name for title in (*STATE, *STEP) for name in ID.findall(title)}
    assert ids
    assert ids - set(entries(SPEC)) == set()


# ------------------------------------------------------------------ and could disagree

HERE = "tests/unit/tooling/test_spec.py"
SAMPLE = f"""\
- **ABC-1** Wraps, and has
  a test.
  Test: `{HERE}::test_entries__of_a_sample__read`,
  `{HERE}::test_nowhere`
- **ABC-2** Has none: `{HERE}::test_entries__of_a_sample__read`.

  Test: `{HERE}::test_entries__of_a_sample__read`, which is under nothing.
"""


def test_entries__of_a_sample__read() -> None:
    found = entries(SAMPLE)
    assert list(found) == ["ABC-1", "ABC-2"]
    first, second = named_by(found["ABC-1"])
    assert exists(first)
    assert not exists(second)
    assert named_by(found["ABC-2"]) == []


@pytest.mark.parametrize(
    "test",
    [
        f"{HERE}::exists",  # a function, but no test
        f"{HERE}::HERE",
        "unit/tooling/test_spec.py::test_entries__of_a_sample__read",
        "tests/unit/tooling/test_specs.py::test_entries__of_a_sample__read",
    ],
)
def test_exists__no_test_of_that_name__false(test: str) -> None:
    assert not exists(test)


def test_cited__tags_of_all_shapes__read() -> None:
    source = '''
    """
    @notice Not NOT-1.
    @custom:spec ABC-1, ABC-2
                 to ABC-4
    @custom:access NOT-2
    """
    x: uint256  # NOT-3
    """
    @custom:spec LIQ-10
    """
    y: uint256  # NOT-4
    '''
    assert cited(source) == {"ABC-1", "ABC-2", "ABC-4", "LIQ-10"}
