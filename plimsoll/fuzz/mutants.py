"""Breaks the contracts one small thing at a time, and counts what the fuzzer notices.

A mutant is one edit of one source file: an operator, a comparison, a rounding direction, a
constant, a condition, a statement that is gone. It is compiled and fuzzed against the model; the
first difference kills it. Comments, events and texts are left alone. What survives is either a
missing test or a mutant that changes nothing, which `EQUIVALENT` then names with the reason.

``python -m plimsoll.fuzz.mutants --help``
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from plimsoll.fuzz.artifacts import CONTRACTS, Artifact, compile_with_vyper
from plimsoll.fuzz.run import fuzz
from plimsoll.fuzz.system import Artifacts, compiled

# The mutated files; what they are part of is found by compiling.
SUBJECTS = (
    "Clearinghouse.vy",
    "Configurator.vy",
    "modules/curve.vy",
    "modules/fixed_point.vy",
    "modules/funding.vy",
    "modules/ledger.vy",
    "modules/liquidation.vy",
    "modules/margin.vy",
    "modules/markets.vy",
    "modules/prices.vy",
    "modules/slots.vy",
)
DEPLOYED = {
    "clearinghouse": "Clearinghouse.vy",
    "pool": "LiquidityPool.vy",
    "configurator": "Configurator.vy",
}
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

    @property
    def key(self) -> str:
        """A name that outlives edits elsewhere in the file."""
        told = f"{self.file}|{self.code.strip()}|{self.old}|{self.new}"
        return hashlib.sha256(told.encode()).hexdigest()[:12]

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

    def visit(node: Any) -> None:
        kind = type(node).__name__
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
            for statement in top.body:
                visit(statement)
        elif type(top).__name__ == "VariableDecl" and top.is_constant:
            visit(top.value)
    return sorted(found.values(), key=lambda m: (m.start, m.end, m.new))


# ------------------------------------------------------------------ judging them


@dataclass(frozen=True)
class Budget:
    """How long the fuzzer may look for a difference."""

    seeds: int = 6
    operations: int = 500
    every: int = 5


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant: killed, survived, stillborn or same (bytecode)."""

    mutant: Mutant
    fate: str
    how: str
    seconds: float


_workshop: Path | None = None


def judge(task: tuple[Mutant, Budget]) -> Verdict:
    """Compile one mutant in this process's own copy of the sources, and fuzz it."""
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
        fate, how = _fate(_workshop, budget)
    finally:
        target.write_text(text)
    return Verdict(mutant, fate, how, time.perf_counter() - started)


def _fate(root: Path, budget: Budget) -> tuple[str, str]:
    sound = compiled()
    try:
        made = {role: _compile(path, root) for role, path in DEPLOYED.items()}
    except Exception as error:
        return "stillborn", type(error).__name__
    changed = {r: a for r, a in made.items() if a.bytecode != getattr(sound, r).bytecode}
    if not changed:
        return "same", "the bytecode is the same"
    artifacts: Artifacts = replace(sound, **changed)
    for seed in range(budget.seeds):
        try:
            report = fuzz(seed, budget.operations, budget.every, artifacts)
        except AssertionError as error:
            return "killed", f"set-up: {error}"[:120]
        if report.mismatch:
            return "killed", f"seed {seed}: {report.mismatch}"[:120]
    return "survived", ""


def _compile(path: str, root: Path) -> Artifact:
    out = compile_with_vyper(path, root)
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


def main() -> int:
    """Run it by hand, or from CI on a sample."""
    parser = argparse.ArgumentParser(
        description="Mutate the contracts; see what the fuzzer notices."
    )
    parser.add_argument("files", nargs="*", default=list(SUBJECTS), help="relative to contracts/")
    parser.add_argument("--sample", type=int, help="so many mutants, drawn with --seed; else all")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=multiprocessing.cpu_count())
    parser.add_argument("--seeds", type=int, default=Budget.seeds, help="fuzzing runs a mutant")
    parser.add_argument("--ops", type=int, default=Budget.operations, help="operations a run")
    parser.add_argument("--least", type=float, default=0.0, help="fail below this share of killed")
    args = parser.parse_args()

    mutants = [m for file in args.files for m in mutants_of(file)]
    print(f"{len(mutants)} mutants of {len(args.files)} files")
    if args.sample:
        mutants = random.Random(args.seed).sample(mutants, min(args.sample, len(mutants)))
    excused = known_equivalent()
    budget = Budget(args.seeds, args.ops)
    fates: Counter[str] = Counter()
    by_file: dict[str, Counter[str]] = {}
    survivors = []
    started = time.perf_counter()
    for count, verdict in enumerate(judge_all(mutants, budget, args.jobs), 1):
        fate = verdict.fate
        if fate == "survived" and verdict.mutant.key in excused:
            fate = "equivalent"
        fates[fate] += 1
        by_file.setdefault(verdict.mutant.file, Counter())[fate] += 1
        if fate == "survived":
            survivors.append(verdict.mutant)
            print(f"\rSURVIVED [{verdict.mutant.key}] {verdict.mutant}", flush=True)
        if sys.stderr.isatty():
            print(f"\r{count}/{len(mutants)} {dict(fates)}", end="", file=sys.stderr, flush=True)
    judged = fates["killed"] + fates["survived"]
    score = fates["killed"] / judged if judged else 1.0
    for file, told in sorted(by_file.items()):
        print(f"{file:28} {dict(told)}")
    print(f"{time.perf_counter() - started:.0f} s: {dict(fates)}; killed {score:.1%}")
    return 1 if score < args.least else 0


if __name__ == "__main__":
    sys.exit(main())
