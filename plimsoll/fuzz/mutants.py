"""Breaks the contracts one small thing at a time, and counts what the fuzzer notices.

A mutant is one edit of one source file: an operator, a comparison, a rounding direction, a
constant, a condition, a statement that is gone. It is compiled, replayed on the corpus and fuzzed
against the model; the first difference kills it. What lives on meets the fast tests (`SUITES`).
Comments, events and texts are left alone, and first values that are overwritten at once. What
survives is either a missing test or a mutant that changes nothing, which `EQUIVALENT` then names
with the reason.

A verdict is kept in a file as soon as it is there, and a run that is started again goes on from it.

``python -m plimsoll.fuzz.mutants --help``
"""

from __future__ import annotations

import argparse
import functools
import gc
import hashlib
import json
import multiprocessing
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import pytest

from plimsoll.fuzz import lens
from plimsoll.fuzz.artifacts import CONTRACTS, Artifact, compile_with_vyper, is_part
from plimsoll.fuzz.run import Report, fuzz, replay
from plimsoll.fuzz.shrink import from_json
from plimsoll.fuzz.system import Artifacts, Op, Setup, compiled

# The mutated files; what they are part of is found by compiling.
SUBJECTS = (
    "Clearinghouse.vy",
    "Configurator.vy",
    "CollateralAuction.vy",
    "Backstop.vy",
    "modules/collateral.vy",
    "modules/curve.vy",
    "modules/debt.vy",
    "modules/fixed_point.vy",
    "modules/funding.vy",
    "modules/ledger.vy",
    "modules/liquidation.vy",
    "modules/margin.vy",
    "modules/markets.vy",
    "modules/outflow.vy",
    "modules/prices.vy",
    "modules/share_token.vy",
    "modules/slots.vy",
    "modules/reader.vy",
    "Lens.vy",
    "CollateralLens.vy",
    "LiquidityPool.vy",
)
# What a mutant that the fuzzer left alive still has to pass, by what it is in: tests that compile
# what they deploy, the quickest first.
PURE = tuple(f"tests/differential/test_{name}.py" for name in ("small_numbers", "vectors", "pure"))
ASIDE = "tests/differential/test_aside.py"
SUITES = {
    "Backstop.vy": ("tests/unit/Backstop", ASIDE),
    "Clearinghouse.vy": (ASIDE, "tests/attacks"),
    "CollateralAuction.vy": (ASIDE, "tests/unit/CollateralAuction"),
    "CollateralLens.vy": ("tests/differential/test_lens.py",),
    "Configurator.vy": (
        "tests/unit/Configurator/test_rules.py",
        "tests/unit/Configurator/test_collateral_rules.py",
        "tests/unit/Configurator/test_ramps.py",
        "tests/unit/Configurator/test_guardian.py",
        "tests/unit/Configurator/test_delisting.py",
        ASIDE,
    ),
    "Lens.vy": (ASIDE, "tests/differential/test_lens.py"),
    "LiquidityPool.vy": (
        ASIDE,
        "tests/attacks/test_pool.py",
        "tests/unit/LiquidityPool/test_properties.py",
    ),
    "modules/collateral.vy": (
        "tests/unit/Clearinghouse/test_tokens.py",
        "tests/unit/Clearinghouse/test_seizure.py",
        "tests/attacks/test_collateral.py",
    ),
    "modules/debt.vy": ("tests/unit/Clearinghouse/test_interest.py", *PURE),
    "modules/reader.vy": ("tests/differential/test_lens.py",),
    "modules/ledger.vy": (ASIDE, "tests/attacks/test_tokens.py", "tests/attacks/test_fills.py"),
    "modules/markets.vy": (ASIDE, "tests/attacks"),
    "modules/prices.vy": (
        ASIDE,
        "tests/attacks/test_oracle.py",
        "tests/differential/test_starvation.py",
    ),
    "modules/share_token.vy": (ASIDE, "tests/unit/LiquidityPool/test_properties.py"),
}
CORPUS = Path("tests/corpus")
DEPLOYED = {
    "clearinghouse": "Clearinghouse.vy",
    "pool": "LiquidityPool.vy",
    "configurator": "Configurator.vy",
    "auction": "CollateralAuction.vy",
    "backstop": "Backstop.vy",
    "lens": "Lens.vy",
    "collateral_lens": "CollateralLens.vy",
}
LOOKS = 5  # a look at all of the Lens's views costs so many at the whole state
FUZZED = tuple(f.name for f in fields(Artifacts))
EQUIVALENT = Path("tests/corpus/equivalent_mutants.json")  # {key: why it changes nothing}

COMPARISONS = {"<": "<=", "<=": "<", ">": ">=", ">=": ">", "==": "!=", "!=": "=="}
OPERATORS = {
    "+": "-",
    "-": "+",
    "*": "//",
    "//": "*",
    "%": "//",
    "&": "|",
    "|": "&",
    "^": "|",
    "<<": ">>",
    ">>": "<<",
}
STATEMENTS = ("Expr", "Assign", "AugAssign", "Assert", "Break", "Continue")
CALLS = {
    "unsafe_add": "unsafe_sub",
    "unsafe_sub": "unsafe_add",
    "unsafe_mul": "unsafe_div",
    "unsafe_div": "unsafe_mul",
    "min": "max",
    "max": "min",
    "fixed_point.ceil_div": "unsafe_div",
    "fixed_point.floor_div": "unsafe_div",
}


@dataclass(frozen=True)
class Mutant:
    """One edit: `old` at [start, end) of a file becomes `new`."""

    file: str
    line: int
    start: int
    end: int
    old: str
    new: str
    code: str  # the line, before
    twin: int = 0  # so many mutants of the file before it are the same in words

    @property
    def key(self) -> str:
        """A name that outlives edits elsewhere in the file."""
        told = f"{self.told}|{self.twin}" if self.twin else self.told
        return hashlib.sha256(told.encode()).hexdigest()[:12]

    @property
    def told(self) -> str:
        """The edit in words."""
        return f"{self.file}|{self.code.strip()}|{self.old}|{self.new}"

    def __str__(self) -> str:
        return f"{self.file}:{self.line}  {self.old!r} -> {self.new!r}  in  {self.code.strip()}"


# ------------------------------------------------------------------ making them


def mutants_of(file: str, root: Path = CONTRACTS) -> list[Mutant]:
    """Every mutant of one source file, in the order of the text."""
    from vyper.ast import parse_to_ast

    text = (root / file).read_text()
    lines = text.splitlines(keepends=True)
    starts = [0]
    for line in lines:
        starts.append(starts[-1] + len(line))

    def begin(node: Any) -> int:
        return int(starts[node.lineno - 1] + node.col_offset)

    def finish(node: Any) -> int:
        return int(starts[node.end_lineno - 1] + node.end_col_offset)

    found: dict[tuple[int, int, str], Mutant] = {}

    def add(start: int, end: int, new: str) -> None:
        number = text.count("\n", 0, start) + 1
        old = text[start:end]
        mutant = Mutant(file, number, start, end, old, new, lines[number - 1])
        if old != new:
            found.setdefault((start, end, new), mutant)

    def between(left: Any, right: Any, table: dict[str, str]) -> None:
        gap_start, gap_end = finish(left), begin(right)
        gap = text[gap_start:gap_end]
        sign = gap.strip(" ()\n")
        if sign in table:
            at = gap_start + gap.index(sign)
            add(at, at + len(sign), table[sign])

    overwritten: set[str] = set()  # in the function at hand: see `filled_by_tuples`

    def visit(node: Any) -> None:
        kind = type(node).__name__
        if kind == "AnnAssign" and getattr(node.target, "id", None) in overwritten:
            return
        if kind in (
            "Log",
            "ImportFrom",
            "Import",
            "EventDef",
            "InterfaceDef",
            "StructDef",
            "DocStr",
        ):
            return
        if kind == "Compare":
            between(node.left, node.right, COMPARISONS)
        elif kind == "BinOp":
            between(node.left, node.right, OPERATORS)
        elif kind == "BoolOp":
            for one, other in zip(node.values, node.values[1:], strict=False):
                between(one, other, {"and": "or", "or": "and"})
        elif kind == "UnaryOp":
            sign = type(node.op).__name__
            if sign in ("Not", "USub"):
                add(begin(node), begin(node.operand), "")
        elif kind == "Call":
            name = text[begin(node.func) : finish(node.func)]
            if name in CALLS:
                add(begin(node.func), finish(node.func), CALLS[name])
        elif kind == "Int":
            add(begin(node), finish(node), str(node.value + 1))
        elif kind == "NameConstant" and node.value in (True, False):
            add(begin(node), finish(node), str(not node.value))
        elif kind in {"IfExp", "If"}:
            add(begin(node.test), finish(node.test), "True")
            add(begin(node.test), finish(node.test), "False")
        elif kind in STATEMENTS and "__init__" not in text[begin(node) : finish(node)]:
            add(begin(node), finish(node), "pass")
        if kind == "Hex":
            return
        for child in node.get_children():
            visit(child)

    for top in parse_to_ast(text).body:
        if type(top).__name__ == "FunctionDef":
            decorators = [text[begin(d) : finish(d)] for d in top.decorator_list]
            if "deploy" in decorators:
                continue
            overwritten = filled_by_tuples(top)
            for statement in top.body:
                visit(statement)
        elif type(top).__name__ == "VariableDecl" and top.is_constant:
            visit(top.value)
    before: Counter[str] = Counter()
    numbered = []
    for mutant in sorted(found.values(), key=lambda m: (m.start, m.end, m.new)):
        numbered.append(replace(mutant, twin=before[mutant.told]))
        before[mutant.told] += 1
    return numbered


def filled_by_tuples(function: Any) -> set[str]:
    """The local variables that a call's several results go to.

    Vyper wants them declared with a value first, which nothing reads: changing it changes nothing.
    """
    found: set[str] = set()
    for statement in function.get_descendants():
        if type(statement).__name__ == "Assign" and type(statement.target).__name__ == "Tuple":
            found |= {part.id for part in statement.target.elements if hasattr(part, "id")}
    return found


# ------------------------------------------------------------------ judging them


@dataclass(frozen=True)
class Budget:
    """How hard a mutant is tried."""

    seeds: int = 6
    operations: int = 500
    every: int = 5
    suites: bool = True  # whether the fast tests are run on what it does not find


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant: killed, survived, stillborn or same (bytecode)."""

    mutant: Mutant
    fate: str
    how: str
    seconds: float


_workshop: Path | None = None


def judge(task: tuple[Mutant, Budget]) -> Verdict:
    """Compile one mutant in this process's own copy of the sources, and try everything on it."""
    global _workshop  # noqa: PLW0603  one copy of the sources a process
    mutant, budget = task
    started = time.perf_counter()
    if _workshop is None:
        _workshop = Path(tempfile.mkdtemp(prefix="plimsoll-mutants-")) / "contracts"
        shutil.copytree(CONTRACTS, _workshop)
    target = _workshop / mutant.file
    text = target.read_text()
    target.write_text(text[: mutant.start] + mutant.new + text[mutant.end :])
    try:
        fate, how = _fate(mutant.file, _workshop, budget)
    finally:
        target.write_text(text)
    return Verdict(mutant, fate, how, time.perf_counter() - started)


def _fate(file: str, root: Path, budget: Budget) -> tuple[str, str]:
    """One contract after the other has the edit, the others stay sound."""
    changed = False
    for path in DEPLOYED.values():
        if not is_part(file, path):
            continue
        try:
            made = _compile(path, root)
        except Exception as error:
            return "stillborn", type(error).__name__
        if made.bytecode == _sound(path).bytecode:
            continue
        changed = True
        how = _fuzzed(path, made, budget)
        if how:
            return "killed", how
    if not changed:
        return "same", "the bytecode is the same"
    how = _tested(SUITES.get(file, PURE), root) if budget.suites else ""
    return ("killed", how) if how else ("survived", "")


@functools.cache
def _sound(path: str) -> Artifact:
    return _compile(path, CONTRACTS)


@functools.cache
def _corpus() -> list[tuple[Setup, list[Op]]]:
    found = [json.loads(path.read_text()) for path in sorted(CORPUS.glob("*.json"))]
    return [from_json(data) for data in found if "operations" in data]


def _fuzzed(path: str, made: Artifact, budget: Budget) -> str:
    """How the corpus or the fuzzer tells one mutated contract from the model; empty if not."""
    scripts = _corpus()
    for number, run in enumerate(_runs(path, made, budget)):
        try:
            mismatch = run().mismatch
        except (AssertionError, ValueError) as error:
            return f"set-up: {error!s:.100}"
        if mismatch:
            if number < len(scripts):
                scripts.insert(0, scripts.pop(number))  # it may find the next one, too
            return f"{mismatch!s:.100}"
    return ""


def _runs(path: str, made: Artifact, budget: Budget) -> Iterator[Callable[[], Report]]:
    """The corpus, then seeds, with `made` in the place of the contract at `path`."""
    role = next(role for role, deployed in DEPLOYED.items() if deployed == path)
    if role not in FUZZED:  # it only looks on
        every = LOOKS * budget.every
        lenses = (made, None) if role == "lens" else (None, made)
        for script in _corpus().copy():
            yield functools.partial(lens.replayed, *script, every, *lenses)
        for seed in range(budget.seeds):
            yield functools.partial(lens.watched, seed, budget.operations, every, *lenses)
        return
    artifacts: Artifacts = replace(compiled(), **{role: made})
    for script in _corpus().copy():
        yield functools.partial(replay, *script, budget.every, artifacts)
    for seed in range(budget.seeds):
        yield functools.partial(fuzz, seed, budget.operations, budget.every, artifacts)


def _tested(suites: tuple[str, ...], root: Path) -> str:
    """The first of the fast tests that fails on these sources; empty if none does.

    Raises:
        RuntimeError: if pytest neither passes nor fails, as with a path that is not there: that
            says nothing about a mutant.
    """
    with tempfile.TemporaryDirectory() as scratch:
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-xq", "--no-header", "-p", "no:cacheprovider"]
            + list(suites),
            env={**os.environ, "PLIMSOLL_CONTRACTS": str(root), "TMPDIR": scratch},
            capture_output=True,
            text=True,
            check=False,
        )
    if done.returncode == pytest.ExitCode.OK:
        return ""
    if done.returncode != pytest.ExitCode.TESTS_FAILED:
        raise RuntimeError(f"pytest {' '.join(suites)}: {done.stdout[-300:]}{done.stderr[-300:]}")
    failed = re.findall(r"^(?:FAILED|ERROR) (\S+)", done.stdout, re.MULTILINE)
    return failed[0] if failed else "a test"


def _compile(path: str, root: Path) -> Artifact:
    gc.disable()  # a quarter of the compiler's time
    try:
        # With a hash of the sources in it no two would have the same bytecode.
        out = compile_with_vyper(path, root, signed=False)
    finally:
        gc.enable()
    return Artifact(Path(path).stem, out["abi"], bytes.fromhex(out["bytecode"].removeprefix("0x")))


def judge_all(mutants: list[Mutant], budget: Budget, jobs: int) -> Iterator[Verdict]:
    """Judge mutants on `jobs` processes, in whatever order they finish."""
    tasks = [(m, budget) for m in mutants]
    if jobs == 1:
        yield from map(judge, tasks)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap_unordered(judge, tasks)


def known_equivalent(path: Path = EQUIVALENT) -> dict[str, str]:
    """The mutants that change nothing, by key, each with the reason."""
    return dict(json.loads(path.read_text())) if path.exists() else {}


# ------------------------------------------------------------------ the command


def read_verdicts(path: Path, mutants: list[Mutant]) -> list[Verdict]:
    """Verdicts of an earlier run on mutants that are still the same."""
    if not path.exists():
        return []
    told = {line["key"]: line for line in map(json.loads, path.read_text().splitlines())}
    return [
        Verdict(m, told[m.key]["fate"], told[m.key]["how"], told[m.key]["seconds"])
        for m in mutants
        if m.key in told
    ]


def keep(path: Path, verdict: Verdict) -> None:
    """Write a verdict down."""
    line = {
        "key": verdict.mutant.key,
        "fate": verdict.fate,
        "how": verdict.how,
        "seconds": round(verdict.seconds, 1),
        "mutant": str(verdict.mutant),
    }
    with path.open("a") as file:
        file.write(json.dumps(line) + "\n")


def main() -> int:
    """Run it by hand, or from CI on a sample."""
    parser = argparse.ArgumentParser(
        description="Mutate the contracts; see what the fuzzer and the fast tests notice."
    )
    parser.add_argument("files", nargs="*", default=list(SUBJECTS), help="relative to contracts/")
    parser.add_argument("--sample", type=int, help="so many mutants, drawn with --seed; else all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=multiprocessing.cpu_count())
    parser.add_argument("--seeds", type=int, default=Budget.seeds, help="fuzzing runs a mutant")
    parser.add_argument("--ops", type=int, default=Budget.operations, help="operations a run")
    parser.add_argument("--no-suites", action="store_true", help="fuzz only, leave the tests out")
    parser.add_argument("--least", type=float, default=0.0, help="fail below this share of killed")
    parser.add_argument("--kept", type=Path, help="a file of verdicts: read, and added to")
    parser.add_argument("--again", action="store_true", help="judge what survived once more")
    args = parser.parse_args()

    mutants = [m for file in args.files for m in mutants_of(file)]
    print(f"{len(mutants)} mutants of {len(args.files)} files")
    if args.sample:
        mutants = random.Random(args.seed).sample(mutants, min(args.sample, len(mutants)))
    known = read_verdicts(args.kept, mutants) if args.kept else []
    if args.again:
        known = [v for v in known if v.fate != "survived"]
    done = {v.mutant.key for v in known}
    started = time.perf_counter()
    tally = Tally(len(mutants))
    for verdict in known:
        tally.add(verdict)
    todo = [m for m in mutants if m.key not in done]
    for mutant in [m for m in todo if m.key in tally.excused]:
        tally.add(Verdict(mutant, "survived", "", 0.0))
    todo = [m for m in todo if m.key not in tally.excused]
    budget = Budget(args.seeds, args.ops, suites=not args.no_suites)
    for verdict in judge_all(todo, budget, args.jobs):
        tally.add(verdict)
        if args.kept:
            keep(args.kept, verdict)
    tally.show(time.perf_counter() - started)
    return 1 if tally.score < args.least else 0


class Tally:
    """Counts fates, and tells of survivors as they come."""

    def __init__(self, expected: int) -> None:
        self.expected = expected
        self.fates: Counter[str] = Counter()
        self.by_file: dict[str, Counter[str]] = {}
        self.excused = known_equivalent()

    def add(self, verdict: Verdict) -> None:
        """One more verdict."""
        fate = verdict.fate
        if fate == "survived" and verdict.mutant.key in self.excused:
            fate = "equivalent"
        self.fates[fate] += 1
        self.by_file.setdefault(verdict.mutant.file, Counter())[fate] += 1
        if fate == "survived":
            print(f"SURVIVED [{verdict.mutant.key}] {verdict.mutant}", flush=True)
        if sys.stderr.isatty():
            told = f"\r{sum(self.fates.values())}/{self.expected} {dict(self.fates)}"
            print(told, end="", file=sys.stderr, flush=True)

    @property
    def score(self) -> float:
        """The share of those that could be told from the original which were."""
        judged = self.fates["killed"] + self.fates["survived"]
        return self.fates["killed"] / judged if judged else 1.0

    def show(self, seconds: float) -> None:
        """The table."""
        for file, told in sorted(self.by_file.items()):
            judged = told["killed"] + told["survived"]
            share = told["killed"] / judged if judged else 1.0
            print(f"{file:28} {share:7.1%} of {judged:4} killed  {dict(told)}")
        print(f"{seconds:.0f} s: {dict(self.fates)}; killed {self.score:.1%}")


if __name__ == "__main__":
    sys.exit(main())
