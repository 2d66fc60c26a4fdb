"""Each rule of scripts/lint_vyper.py: a source that breaks it, and its twin that does not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scripts.lint_vyper import lint_file, main, vyper_files

PRAGMAS = """\
# pragma version 0.4.3
# pragma evm-version cancun
# pragma nonreentrancy on
"""

MODULE = f"""{PRAGMAS}
struct Pair:
    a: uint256

count: uint256

def _bump() -> uint256:
    self.count += 1
    return self.count

@view
def _count() -> uint256:
    return self.count

@pure
def _double(x: uint256) -> uint256:
    return 2 * x
"""

# A second module: what it reaches through the first is resolved in the first one's folder.
OUTER_MODULE = f"""{PRAGMAS}
from . import module

uses: module
"""

CONTRACT = f"""{PRAGMAS}
from ethereum.ercs import IERC20
from .interfaces import IThing
from .modules import module
from .modules import outer
from snekmate.utils import math

initializes: module
initializes: outer[module := module]

struct Point:
    x: uint256

flag Mode:
    OPEN
    CLOSED

total: uint256
queue: DynArray[uint256, 4]
points: HashMap[uint256, uint256]

@view
def _total() -> uint256:
    return self.total

@pure
def _half(x: uint256) -> uint256:
    return x // 2

def _run(token: IERC20, x: uint256, y: uint256):
    flag: bool = False
    word: uint256 = 0
"""

INTERFACE = """\
# pragma version 0.4.3
struct Thing:
    a: uint256
"""

DOCUMENTED = f"""{PRAGMAS}
@external
@view
def quote(market: uint256, delta: int256) -> (uint256, bool):
    \"\"\"
    @notice What a trade would cost.
    @param market Which market [id]
    @param delta How much,
        over two lines [SWAD base]
    @return The fill price [WAD quote] and whether it would pass [bool]
    @custom:access Anyone.
    \"\"\"
    return 0, True
"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """An empty project's contracts folder with one module and one interface."""
    contracts = tmp_path / "contracts"
    (contracts / "modules").mkdir(parents=True)
    (contracts / "interfaces").mkdir()
    (contracts / "modules" / "module.vy").write_text(MODULE)
    (contracts / "modules" / "outer.vy").write_text(OUTER_MODULE)
    (contracts / "interfaces" / "IThing.vyi").write_text(INTERFACE)
    return contracts


def messages(contracts: Path, source: str, name: str = "Contract.vy") -> list[str]:
    path = contracts / name
    path.write_text(source)
    return [finding.message for finding in lint_file(path)]


def run_body(contracts: Path, statement: str) -> list[str]:
    """Lint a contract whose last function ends with `statement`."""
    return messages(contracts, f"{CONTRACT}    {statement}\n")


# ------------------------------------------------------------------ calls in traps

CALLS = [
    # id, broken statement, clean twin, part of the message
    ("self_view", "flag = self._total() > x", "flag = self.total > x", "self._total"),
    ("self_pure", "flag = x < self._total()", "flag = x < self._half(y)", "self._total"),
    ("module_view", "flag = module._count() == x", "flag = module._double(y) == x", "_count"),
    ("module_effect", "flag = module._bump() != x", "word = module._bump()", "module._bump"),
    (
        "inner_module",
        "flag = outer.module._count() <= x",
        "flag = outer.module._double(y) <= x",
        "outer.module._count",
    ),
    (
        "snekmate",
        "flag = math._nothing_of_the_sort(x) >= y",
        "flag = math._mul_div(x, y, y, False) >= y",
        "math._nothing_of_the_sort",
    ),
    ("unknown_module", "flag = nowhere._f(x) > y", "flag = x > y", "nowhere._f"),
    (
        "staticcall",
        "flag = staticcall token.balanceOf(self) >= x",
        "word = staticcall token.balanceOf(self)",
        "staticcall inside a comparison",
    ),
    (
        "extcall",
        "flag = True == extcall token.transfer(self, x)",
        "flag = extcall token.transfer(self, x)",
        "extcall inside a comparison",
    ),
    ("pop", "flag = self.queue.pop() > x", "word = self.queue.pop()", "self.queue.pop"),
    (
        "membership",
        "flag = self._total() in self.queue",
        "flag = x in self.queue",
        "comparison",
    ),
    ("subscript", "flag = self.points[self._total()] > x", "flag = self.points[x] > y", "_total"),
    (
        "effectful_builtin",
        'flag = raw_call(self, b"", max_outsize=32, revert_on_failure=False) == b""',
        "flag = convert(max(x, abs(empty(int256))), uint256) == len(self.queue)",
        "raw_call",
    ),
    (
        "argument_of_pure",
        "flag = self._half(self._total()) > x",
        "flag = self._half(self._half(x)) > y",
        "self._total",
    ),
    (
        "argument_of_builtin",
        "flag = min(self._total(), x) > y",
        "flag = min(x, y) > self.total",
        "self._total",
    ),
    (
        "struct",
        "flag = Point(x=self._total()).x > y",
        "flag = Point(x=x).x > y",
        "self._total",
    ),
    (
        "struct_of_module",
        "flag = module.Pair(a=module._count()).a > y",
        "flag = module.Pair(a=x).a > IThing.Thing(a=y).a",
        "module._count",
    ),
    (
        "interface_cast",
        "flag = IERC20(convert(self._total(), address)) == token",
        "flag = IERC20(self) == token",
        "self._total",
    ),
    ("bit_or", "word = x | self._total()", "word = x | self._half(y)", "`|`"),
    ("bit_and", "word = self._total() & x", "word = self.total & x", "`&`"),
    ("bit_xor", "word = x ^ module._bump()", "word = x ^ (y << 3)", "`^`"),
    ("unsafe_add", "word = unsafe_add(x, self._total())", "word = unsafe_add(x, y)", "unsafe_add"),
    (
        "unsafe_div",
        "word = unsafe_div(module._bump(), y)",
        "word = unsafe_div(self._half(x), 2)",
        "unsafe_div",
    ),
    (
        "augmented",
        "self.total += module._bump()",
        "self.total += module._double(x)",
        "augmented assignment",
    ),
    (
        "augmented_staticcall",
        "word -= staticcall token.balanceOf(self)",
        "word -= convert(x, uint256)",
        "augmented assignment",
    ),
    (
        "augmented_target",
        "self.points[module._bump()] += x",
        "self.points[x] += y",
        "augmented assignment",
    ),
    (
        "assert_operand",
        'assert self._total() > x, "too low"',
        'assert self.total > x, "too low"',
        "comparison",
    ),
]


@pytest.mark.parametrize(
    ("statement", "part"), [pytest.param(bad, part, id=name) for name, bad, _, part in CALLS]
)
def test_calls__inside_a_trap__flagged_once(project: Path, statement: str, part: str) -> None:
    found = run_body(project, statement)
    assert len(found) == 1
    assert part in found[0]


@pytest.mark.parametrize("statement", [pytest.param(good, id=name) for name, _, good, _ in CALLS])
def test_calls__twin_without_trap__clean(project: Path, statement: str) -> None:
    assert run_body(project, statement) == []


def test_calls__two_in_one_comparison__both_flagged(project: Path) -> None:
    found = run_body(project, "flag = self._total() > module._count()")
    assert sorted(re.findall(r"call of (\S+)", " ".join(found))) == ["module._count", "self._total"]


def test_calls__short_circuit_and_or__clean(project: Path) -> None:
    """`and` and `or` do run left to right."""
    assert run_body(project, "flag = flag and x > y or not flag") == []


def test_calls__trap_as_argument__clean(project: Path) -> None:
    """A comparison inside a call's argument is no operand of anything."""
    assert run_body(project, "word = module._double(convert(x > y, uint256))") == []


def test_calls__absolute_imports__resolved_like_the_compiler(project: Path) -> None:
    source = CONTRACT.replace("from .modules import module", "from modules import module")
    body = "    flag = module._double(x) > y\n"
    assert messages(project, source + body) == []
    body = "    flag = module._count() > y\n"
    assert len(messages(project, source + body, "Other.vy")) == 1


def test_calls__import_with_alias__resolved(project: Path) -> None:
    source = CONTRACT.replace("import module\n", "import module as m\n")
    assert messages(project, source + "    flag = m._double(x) > y\n") == []
    assert len(messages(project, source + "    flag = m._count() > y\n", "Other.vy")) == 1


# ------------------------------------------------------------------ pragmas

PURE_MODULE = """
@pure
def _double(x: uint256) -> uint256:
    return 2 * x
"""


@pytest.mark.parametrize(
    ("line", "replacement", "part"),
    [
        ("# pragma version 0.4.3\n", "", "pragma version"),
        ("version 0.4.3", "version ^0.4.3", "pragma version"),
        ("# pragma evm-version cancun\n", "", "pragma evm-version"),
        ("cancun", "prague", "pragma evm-version"),
        ("# pragma nonreentrancy on\n", "", "pragma nonreentrancy"),
        ("nonreentrancy on", "nonreentrancy off", "pragma nonreentrancy"),
    ],
)
def test_pragmas__missing_or_other_value__flagged(
    project: Path, line: str, replacement: str, part: str
) -> None:
    source = PRAGMAS.replace(line, replacement) + PURE_MODULE
    found = messages(project, source, "modules/arithmetic.vy")
    assert len(found) == 1
    assert part in found[0]


def test_pragmas__in_docstring_only__all_three_flagged(project: Path) -> None:
    assert len(messages(project, f'"""\n{PRAGMAS}"""\n{PURE_MODULE}')) == 3


def test_pragmas__all_three__clean(project: Path) -> None:
    assert messages(project, PRAGMAS + PURE_MODULE, "modules/arithmetic.vy") == []


# ------------------------------------------------------------------ reasons

REASONS = [
    # id, broken statement, clean twin
    ("assert", "assert x > y", 'assert x > y, "module: reason"'),
    ("assert_dev", "assert x > y  # never", "assert x > y  # dev: sum of sizes is zero"),
    ("assert_dev_empty", "assert x > y  # dev:", "assert x > y  # dev: why"),
    ("assert_empty_text", 'assert x > y, ""', "assert x > y, UNREACHABLE"),
    ("raise", "raise", 'raise "module: reason"'),
    ("raise_dev", "raise  # never", "raise  # dev: checked above"),
]


@pytest.mark.parametrize("statement", [pytest.param(bad, id=name) for name, bad, _ in REASONS])
def test_reasons__none__flagged(project: Path, statement: str) -> None:
    found = run_body(project, statement)
    assert len(found) == 1
    assert "without a reason" in found[0]


@pytest.mark.parametrize("statement", [pytest.param(good, id=name) for name, _, good in REASONS])
def test_reasons__text_or_dev_comment__clean(project: Path, statement: str) -> None:
    assert run_body(project, statement) == []


def test_reasons__dev_comment_on_another_line_of_the_assert__clean(project: Path) -> None:
    assert run_body(project, "assert (\n        x > y  # dev: why\n    )") == []


def test_reasons__dev_comment_on_the_next_statement__flagged(project: Path) -> None:
    assert len(run_body(project, "assert x > y\n    word = 1  # dev: not its reason")) == 1


# ------------------------------------------------------------------ NatSpec

NATSPEC = [
    # id, old text, new text, part of the message
    ("notice", "@notice What", "@dev What", "quote: no @notice"),
    ("empty_notice", "@notice What a trade would cost.", "@notice", "quote: no @notice"),
    ("access", "    @custom:access Anyone.\n", "", "quote: no @custom:access"),
    ("param", "    @param market Which market [id]\n", "", "quote: no @param market"),
    ("param_unit", "market [id]", "market", "@param market has no [unit] tag"),
    ("param_no_word", "[SWAD base]", "[8]", "@param delta has no [unit] tag"),
    ("return", "@return The", "@dev The", "quote: no @return"),
    ("return_units", "pass [bool]", "pass", "2 values are returned, 1 [unit] tags"),
]


@pytest.mark.parametrize(
    ("old", "new", "part"), [pytest.param(*case, id=name) for name, *case in NATSPEC]
)
def test_natspec__gap__flagged(project: Path, old: str, new: str, part: str) -> None:
    found = messages(project, DOCUMENTED.replace(old, new), "Lens.vy")
    assert len(found) == 1
    assert part in found[0]


@pytest.mark.parametrize(
    "name", ["Clearinghouse.vy", "LiquidityPool.vy", "Configurator.vy", "Lens.vy"]
)
def test_natspec__documented_contract_without_docstring__flagged(project: Path, name: str) -> None:
    source = re.sub(r'\n    """.*?"""', "", DOCUMENTED, flags=re.DOTALL)
    assert messages(project, source, name) == ["quote: no docstring"]


def test_natspec__complete__clean(project: Path) -> None:
    assert messages(project, DOCUMENTED, "Lens.vy") == []


def test_natspec__one_return_line_for_each_value__clean(project: Path) -> None:
    source = DOCUMENTED.replace(" and whether", "\n    @return Whether")
    assert messages(project, source, "Lens.vy") == []


def test_natspec__other_contract__not_asked_for(project: Path) -> None:
    source = re.sub(r'\n    """.*?"""', "", DOCUMENTED, flags=re.DOTALL)
    assert messages(project, source, "TokenMock.vy") == []


def test_natspec__internal_function__not_asked_for(project: Path) -> None:
    source = f"{PRAGMAS}\n@pure\ndef _half(x: uint256) -> uint256:\n    return x // 2\n"
    assert messages(project, source, "Lens.vy") == []


# ------------------------------------------------------------------ command line


def test_lint_file__syntax_error__one_finding_at_its_line(project: Path) -> None:
    path = project / "Broken.vy"
    path.write_text(f"{PRAGMAS}\ndef _f():\n    x = = 3\n")
    (finding,) = lint_file(path)
    assert "does not parse" in finding.message
    assert finding.line == 6


def test_main__findings__printed_with_place_and_exit_1(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = project / "Contract.vy"
    path.write_text(f"{PRAGMAS}\n@internal\ndef _f():\n    assert True\n")
    assert main([str(project)]) == 1
    assert capsys.readouterr().out == (
        f"{path}:7: assert without a reason: add a string or `# dev:`\n"
    )


def test_main__clean__exit_0(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(project)]) == 0
    assert capsys.readouterr().out == "lint_vyper: 2 files clean\n"


def test_main__no_file__exit_1(tmp_path: Path) -> None:
    assert main([str(tmp_path)]) == 1


def test_vyper_files__folder__modules_included_interfaces_not(project: Path) -> None:
    assert [path.name for path in vyper_files([project])] == ["module.vy", "outer.vy"]
