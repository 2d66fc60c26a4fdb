"""The coverage of Vyper sources: what each call of a small contract reaches, to the way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from plimsoll.fuzz.artifacts import Artifact, compile_with_vyper
from plimsoll.fuzz.chain import Contract
from plimsoll.fuzz.coverage import (
    Branch,
    Coverage,
    Reader,
    TrackedChain,
    Trail,
    enough,
    percent,
)

MODULE = """
@internal
@pure
def half(x: uint256) -> uint256:
    if x > 100:
        return 50
    return x // 2
"""
SAMPLE = """
import part

LIMIT: immutable(uint256)
kept: public(uint256)


@deploy
def __init__():
    LIMIT = 3
    if LIMIT > 5:
        self.kept = 1


@external
@view
def limit() -> uint256:
    return LIMIT


@external
@view
def pick(x: uint256) -> uint256:
    if x > 10:
        return 1
    elif x > 5:
        return 2
    return part.half(x) if x % 2 == 0 else 7


@external
def keep(x: uint256, y: uint256):
    assert x != 0 and y != 0, "zero"
    assert x < y  # dev: in order
    self.kept = x


@external
@view
def either(a: bool, b: bool, c: bool) -> bool:
    return not a or b or c


@external
@view
def all(a: uint256, b: uint256, c: uint256, d: uint256) -> bool:
    assert (
        a <= 1
        and b <= 1
        and c <= 1
        and d <= 1
    ), "too many"
    return True


@external
@view
def sum(xs: DynArray[uint256, 4]) -> uint256:
    total: uint256 = 0
    for x: uint256 in xs:
        if x == 9:
            continue
        if x == 8 or x == 7:
            break
        total += x
    return total


@external
@view
def count(n: uint256) -> uint256:
    total: uint256 = 0
    for i: uint256 in range(n, bound=8):
        for j: uint256 in range(2):
            if i == 1:
                return 100
            total += 1
    return total
"""
EACH = "for x: uint256 in xs:"
OUTER = "for i: uint256 in range(n, bound=8):"
INNER = "for j: uint256 in range(2):"


def number(text: str, source: str = SAMPLE) -> int:
    """Of the one line that has the text; two of pragmas come before."""
    (found,) = [i for i, line in enumerate(source.split("\n"), 3) if text in line]
    return found


class Stage:
    """A sample on a chain that sees it."""

    def __init__(self, root: Path, optimize: str) -> None:
        pragmas = f"# pragma version 0.4.3\n# pragma optimize {optimize}\n"
        (root / "part.vy").write_text(pragmas + MODULE)
        (root / "Sample.vy").write_text(pragmas + SAMPLE)
        out = compile_with_vyper("Sample.vy", root)
        code = bytes.fromhex(out["bytecode"].removeprefix("0x"))
        self.artifact = Artifact("Sample", out["abi"], code)
        self.trail = Trail(Reader("Sample.vy", root).read())

    def fresh(self) -> Contract:
        """A contract on which nothing has run."""
        self.trail.ran = bytearray(len(self.trail.ran))
        self.trail.went.clear()
        return TrackedChain({"Sample": self.trail}, 1_750_000_000).deploy(self.artifact)

    def coverage(self) -> Coverage:
        return Coverage.of(self.trail)

    def taken(self) -> set[tuple[str, str]]:
        """Every way that was taken, by the text of its branch."""
        return {
            (f"{branch.kind}: {branch.text}", way)
            for (branch, way), taken in self.coverage().ways.items()
            if taken
        }

    def line(self, text: str, file: str = "Sample.vy") -> bool:
        """Whether the line with a text has run."""
        source = SAMPLE if file == "Sample.vy" else MODULE
        return self.coverage().lines[file, number(text, source)]


@pytest.fixture(scope="module", params=["codesize", "gas"])
def stage(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Stage:
    return Stage(tmp_path_factory.mktemp(request.param), request.param)


WAYS: list[tuple[str, list[Any], set[tuple[str, str]]]] = [
    ("pick", [11], {("if: x > 10", "true")}),
    ("pick", [6], {("if: x > 10", "false"), ("if: x > 5", "true")}),
    (
        "pick",
        [4],
        {
            ("if: x > 10", "false"),
            ("if: x > 5", "false"),
            ("if else: x % 2 == 0", "true"),
            ("if: x > 100", "false"),
        },
    ),
    (
        "pick",
        [3],
        {("if: x > 10", "false"), ("if: x > 5", "false"), ("if else: x % 2 == 0", "false")},
    ),
    (
        "keep",
        [1, 2],
        {
            ("and: x != 0", "true"),
            ("assert: x != 0 and y != 0", "true"),
            ("assert: x < y", "true"),
        },
    ),
    ("keep", [0, 2], {("and: x != 0", "false"), ("assert: x != 0 and y != 0", "false")}),
    ("keep", [1, 0], {("and: x != 0", "true"), ("assert: x != 0 and y != 0", "false")}),
    (
        "keep",
        [2, 1],
        {
            ("and: x != 0", "true"),
            ("assert: x != 0 and y != 0", "true"),
            ("assert: x < y", "false"),
        },
    ),
    ("either", [False, False, False], {("or: not a", "true")}),
    ("either", [True, True, False], {("or: not a", "false"), ("or: b", "true")}),
    ("either", [True, False, True], {("or: not a", "false"), ("or: b", "false")}),
    (
        "all",
        [1, 1, 2, 1],
        {
            ("and: a <= 1", "true"),
            ("and: b <= 1", "true"),
            ("and: c <= 1", "false"),
            ("assert: a <= 1 and b <= 1 and c <= 1 and d <= 1", "false"),
        },
    ),
    (
        "all",
        [1, 1, 1, 1],
        {
            ("and: a <= 1", "true"),
            ("and: b <= 1", "true"),
            ("and: c <= 1", "true"),
            ("assert: a <= 1 and b <= 1 and c <= 1 and d <= 1", "true"),
        },
    ),
    ("sum", [[]], {(f"loop entered: {EACH}", "none")}),
    (
        "sum",
        [[1]],
        {
            (f"loop entered: {EACH}", "some"),
            ("if: x == 9", "false"),
            ("or: x == 8", "false"),
            ("if: x == 8 or x == 7", "false"),
            (f"loop: {EACH}", "over"),
        },
    ),
    (
        "sum",
        [[9, 7]],
        {
            (f"loop entered: {EACH}", "some"),
            ("if: x == 9", "true"),
            ("if: x == 9", "false"),
            (f"loop: {EACH}", "again"),
            ("or: x == 8", "false"),
            ("if: x == 8 or x == 7", "true"),
        },
    ),
    (
        "count",
        [1],
        {
            (f"loop entered: {OUTER}", "some"),
            (f"loop: {OUTER}", "over"),
            ("if: i == 1", "false"),
            (f"loop: {INNER}", "again"),
            (f"loop: {INNER}", "over"),
        },
    ),
    ("count", [0], {(f"loop entered: {OUTER}", "none")}),
]


@pytest.mark.parametrize(("call", "args", "ways"), WAYS, ids=[f"{w[0]}{w[1]}" for w in WAYS])
def test_ways__one_call__exactly_those_it_takes(stage, call, args, ways):
    contract = stage.fresh()
    contract.call(call, *args)
    assert stage.taken() == ways


def test_missed__after_all_calls__what_none_of_them_takes(stage):
    contract = stage.fresh()
    for call, args, _ in WAYS:
        contract.call(call, *args)
    assert stage.taken() == set().union(*(ways for _, _, ways in WAYS))
    assert stage.coverage().missed() == [
        ("Sample.vy", number("kept: public"), "never runs"),
        ("Sample.vy", number("return LIMIT"), "never runs"),
        ("Sample.vy", number("a <= 1"), "and: never false: a <= 1"),
        ("Sample.vy", number("b <= 1"), "and: never false: b <= 1"),
        ("Sample.vy", number("x == 8"), "or: never true: x == 8"),
        ("Sample.vy", number(OUTER), f"loop: never again: {OUTER}"),
        ("Sample.vy", number("i == 1"), "if: never true: i == 1"),
        ("Sample.vy", number("return 100"), "never runs"),
        ("part.vy", number("x > 100", MODULE), "if: never true: x > 100"),
        ("part.vy", number("return 50", MODULE), "never runs"),
    ]


def test_lines__of_a_call__only_what_it_passes(stage):
    contract = stage.fresh()
    contract.call("pick", 4)
    assert {text: stage.line(text) for text in ("return 2", "elif x > 5:", "return part")} == {
        "return 2": False,
        "elif x > 5:": True,
        "return part": True,
    }
    assert stage.line("return x // 2", "part.vy") and not stage.line("return 50", "part.vy")


def test_lines__loop_that_is_not_left__no_break_and_no_continue(stage):
    contract = stage.fresh()
    contract.call("sum", [1, 2])
    reached = {line for (file, line), ran in stage.coverage().lines.items() if ran}
    assert number("total += x") in reached
    assert not reached & {number("continue"), number("break")}


def test_lines__getter_and_immutable__by_their_calls(stage):
    contract = stage.fresh()
    assert not stage.line("kept: public") and not stage.line("return LIMIT")
    contract.call("kept")
    assert stage.line("kept: public") and not stage.line("return LIMIT")
    contract.call("limit")
    assert stage.line("return LIMIT")


def test_lines__constructor__is_left_out(stage):
    with pytest.raises(KeyError):
        stage.line("if LIMIT > 5")


def test_reader__sample__finds_every_branch(stage):
    assert stage.trail.map.unknown == []
    assert len(stage.coverage().ways) == 2 * 22


def test_coverage__of_two_contracts__reached_in_either(stage):
    both = []
    for x in (11, 6):
        stage.fresh().call("pick", x)
        both.append(Trail(stage.trail.map))
        both[-1].ran, both[-1].went = stage.trail.ran, set(stage.trail.went)
    counts = [Coverage.of(trail).count()[3] for trail in both]
    assert counts == [1, 2]
    assert Coverage.of(*both).count()[3] == 3


def test_chain__code_that_was_not_mapped__is_refused(stage):
    code = stage.trail.map.code
    other = Trail(replace(stage.trail.map, code=code[:-1] + bytes([code[-1] ^ 1])))
    with pytest.raises(ValueError, match="not the code that was mapped"):
        TrackedChain({"Sample": other}, 1_750_000_000).deploy(stage.artifact)


def test_enough__lines_and_ways__both_must_be():
    branch = Branch("a.vy", 1, 0, "if", "x", ("true", "false"))
    half = Coverage({("a.vy", 1): True}, {(branch, "true"): True, (branch, "false"): False})
    assert enough(half, 50) and not enough(half, 50.1)
    half = Coverage({("a.vy", 1): True, ("a.vy", 2): False}, {(branch, "true"): True})
    assert enough(half, 50) and not enough(half, 50.1)


@pytest.mark.parametrize(("part", "shown"), [(999, " 99.9"), (1000, "100.0"), (0, "  0.0")])
def test_percent__of_1000__never_rounds_up(part, shown):
    assert percent(part, 1000) == shown
