"""Breaks the contracts one small thing at a time, and counts what the fuzzer notices.

A mutant is one edit of one source file: an operator, a comparison, a rounding direction, a
constant, a condition, a statement that is gone (`edits`). The corpus is replayed on it and it is
fuzzed against the model, many mutants in one compilation; the first difference kills it. What lives
on is compiled for itself and meets the fast tests (`SUITES`).
Comments, events and texts are left alone, and first values that are overwritten at once. What
survives is either a missing test or a mutant that changes nothing, which `EQUIVALENT` then names
with the reason.

What becomes of them is counted and kept by `plimsoll.fuzz.score`: a run that is started again goes
on from there.

``python -m plimsoll.fuzz.mutants --help``
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, fields, replace
from operator import or_
from pathlib import Path

import pytest

from plimsoll.fuzz import corpus, lens
from plimsoll.fuzz.artifacts import CONTRACTS, Artifact, compile_with_vyper, is_part
from plimsoll.fuzz.coverage import Reader
from plimsoll.fuzz.edits import Mutant, mutants_of, switched, without_pure
from plimsoll.fuzz.reach import Reach, reach
from plimsoll.fuzz.revm import RevmChain
from plimsoll.fuzz.run import Report, fuzz, replay
from plimsoll.fuzz.score import (
    LEFT,
    Tally,
    Verdict,
    keep,
    known,
    load,
    renewed,
    save,
)
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
    "oracles/SequencerGuard.vy",
    "Timelock.vy",
)
# What a mutant that the fuzzer left alive still has to pass, by what it is in: tests that compile
# what they deploy, the quickest first.
PURE = tuple(f"tests/differential/test_{name}.py" for name in ("small_numbers", "vectors", "pure"))
ASIDE = "tests/differential/test_aside.py"
SUITES = {
    "Backstop.vy": ("tests/unit/Backstop", ASIDE),
    "Clearinghouse.vy": (ASIDE, "tests/attacks"),
    "CollateralAuction.vy": (
        ASIDE,
        "tests/unit/CollateralAuction",
        "tests/attacks/test_dead_tokens.py",
    ),
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
    "Timelock.vy": (ASIDE,),
    "oracles/SequencerGuard.vy": (ASIDE, "tests/differential/test_starvation.py"),
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
DEPLOYED = {
    "clearinghouse": "Clearinghouse.vy",
    "pool": "LiquidityPool.vy",
    "configurator": "Configurator.vy",
    "auction": "CollateralAuction.vy",
    "backstop": "Backstop.vy",
    "guard": "oracles/SequencerGuard.vy",
    "lens": "Lens.vy",
    "collateral_lens": "CollateralLens.vy",
    "timelock": "Timelock.vy",
}
LOOKS = 5  # a look at all of the Lens's views costs so many at the whole state
FUZZED = tuple(f.name for f in fields(Artifacts))

# ------------------------------------------------------------------ judging them


@dataclass(frozen=True)
class Budget:
    """How hard a mutant is tried."""

    seeds: int = 6
    operations: int = 500
    every: int = 5
    fuzzing: bool = True  # whether it is replayed on and fuzzed
    suites: bool = True  # whether the fast tests are run on what that does not find


TOGETHER = 100  # mutants in one compilation
FEW = 4  # mutants that are as quick to compile one by one
DEEP = 2  # of a compilation, how many may overlap with another
ROOM = 2**20  # for the code of many mutants
Task = tuple[Mutant, Budget]
_passed: Reach = {}  # by which lists of the corpus, if this process was told


def judge_together(task: tuple[list[Mutant], Budget]) -> tuple[list[Verdict], list[Task]]:
    """Fuzz mutants of one file, compiled as one source; the kills, and what is left to `judge`."""
    mutants, budget = task
    file, verdicts, left = mutants[0].file, [], []
    RevmChain.size_limit = ROOM
    try:
        for path in [path for path in DEPLOYED.values() if is_part(file, path)]:
            inside = [mutant for mutant in mutants if _has(path, mutant)]
            made, taken = _compile_together(path, inside)
            RevmChain.switch = 0
            if made and _fuzzed(path, made, replace(budget, seeds=0)):
                taken = []  # something else than the mutants is wrong with it
            left += [(mutant, budget) for mutant in inside if mutant not in taken]
            mutants = [mutant for mutant in mutants if mutant not in inside]
            for number, mutant in enumerate(taken, 1):
                RevmChain.switch = number
                started = time.perf_counter()
                how = _fuzzed(path, made, budget, mutant) if made else ""
                if how:
                    seconds = time.perf_counter() - started
                    verdicts.append(Verdict(mutant, "killed", how, seconds))
                else:
                    mutants.append(mutant)
    finally:
        RevmChain.switch, RevmChain.size_limit = 0, None
    return verdicts, left + [(mutant, replace(budget, fuzzing=False)) for mutant in mutants]


def _has(path: str, mutant: Mutant) -> bool:
    """Whether a contract has code of the function that the mutant is in."""
    return any((mutant.file, line) in _lines_of(path) for line in mutant.function)


@functools.cache
def _lines_of(path: str) -> set[tuple[str, int]]:
    return set(Reader(path, CONTRACTS).read().lines.values())


def _compile_together(path: str, mutants: list[Mutant]) -> tuple[Artifact | None, list[Mutant]]:
    """A contract with all of these mutants that compile behind a switch, and which they are."""
    if not mutants:
        return None, []
    root = _workshop(pure=False)
    target = root / mutants[0].file
    text = target.read_text()
    try:
        while mutants:
            target.write_text(switched(text, mutants))
            try:
                return _compile(path, root), mutants
            except Exception as error:
                lines = {int(number) for number in re.findall(r"line (\d+)", str(error))}
                fit = [m for m in mutants if not lines.intersection(m.lines)]
                mutants = fit if len(fit) < len(mutants) else []
    finally:
        target.write_text(text)
    return None, []


@functools.cache
def _workshop(pure: bool = True) -> Path:
    """This process's own copy of the sources; not `pure`: for `switched` ones."""
    root = Path(tempfile.mkdtemp(prefix="plimsoll-mutants-")) / "contracts"
    shutil.copytree(CONTRACTS, root)
    if not pure:
        without_pure(root)
    return root


def judge(task: Task) -> Verdict:
    """Compile one mutant in this process's own copy of the sources, and try everything on it."""
    mutant, budget = task
    started = time.perf_counter()
    root = _workshop()
    target = root / mutant.file
    text = target.read_text()
    target.write_text(mutant.made(text))
    try:
        fate, how = _fate(mutant.file, root, budget, mutant)
    finally:
        target.write_text(text)
    return Verdict(mutant, fate, how, time.perf_counter() - started)


def _fate(file: str, root: Path, budget: Budget, mutant: Mutant | None = None) -> tuple[str, str]:
    """One contract after the other has the edit, the others stay sound."""
    changed = []
    for path in DEPLOYED.values():
        if not is_part(file, path):
            continue
        try:
            made = _compile(path, root)
        except Exception as error:
            return "stillborn", type(error).__name__
        if made.bytecode == _sound(path).bytecode:
            continue
        changed.append((path, made))
        how = _fuzzed(path, made, budget, mutant) if budget.fuzzing else ""
        if how:
            return "killed", how
    if not changed:
        return "same", "the bytecode is the same"
    how = _tested(SUITES.get(file, PURE), root) if budget.suites else ""
    if not how and _passed:  # what is known of where lists go may be less than all
        whole = replace(budget, seeds=0)
        how = next(filter(None, (_fuzzed(path, made, whole) for path, made in changed)), "")
    return ("killed", how) if how else ("survived", "")


@functools.cache
def _sound(path: str) -> Artifact:
    return _compile(path, CONTRACTS)


@functools.cache
def _corpus() -> list[tuple[Setup, list[Op]]]:
    return [corpus.load(name)[:2] for name in corpus.names()]


@functools.cache
def _finders(path: str, place: range) -> list[int]:
    """The lists of the corpus that found a mutant in a place, by number, the last one first."""
    return []


def _lists(path: str, mutant: Mutant | None) -> list[int]:
    """The lists that may tell a mutant, as far as is known; what found its neighbours first."""
    numbers = list(range(len(_corpus())))
    if mutant is None:
        return numbers
    passed = _passed.get(path, {})
    for lines in (mutant.lines, mutant.function):
        mask = functools.reduce(or_, (passed.get((mutant.file, line), 0) for line in lines))
        if mask:
            numbers = [number for number in numbers if mask >> number & 1]
            break
    finders = [number for number in _finders(path, mutant.function) if number in numbers]
    return [*finders, *(number for number in numbers if number not in finders)]


def _fuzzed(path: str, made: Artifact, budget: Budget, mutant: Mutant | None = None) -> str:
    """How the corpus or the fuzzer tells one mutated contract from the model; empty if not.

    Of the corpus the lists that pass the mutant, where that is known; all if none is given.
    """
    lists = _lists(path, mutant)
    for at, run in enumerate(_runs(path, made, budget, lists)):
        try:
            mismatch = run().mismatch
        except (AssertionError, ValueError) as error:
            return f"set-up: {error!s:.100}"
        if mismatch:
            if at < len(lists) and mutant:
                finders = _finders(path, mutant.function)
                finders[:] = [lists[at], *(number for number in finders if number != lists[at])]
            return f"{mismatch!s:.100}"
    return ""


def _runs(
    path: str, made: Artifact, budget: Budget, lists: list[int]
) -> Iterator[Callable[[], Report]]:
    """These lists, then seeds, with `made` in the place of the contract at `path`."""
    scripts = [_corpus()[number] for number in lists]
    role = next(role for role, deployed in DEPLOYED.items() if deployed == path)
    if role == "timelock":  # which is for the tests alone
        return
    if role not in FUZZED:  # it only looks on
        every = LOOKS * budget.every
        lenses = (made, None) if role == "lens" else (None, made)
        for script in scripts:
            yield functools.partial(lens.replayed, *script, every, *lenses)
        for seed in range(budget.seeds):
            yield functools.partial(lens.watched, seed, budget.operations, every, *lenses)
        return
    artifacts: Artifacts = replace(compiled(), **{role: made})
    for script in scripts:
        yield functools.partial(replay, *script, budget.every, artifacts)
    for seed in range(budget.seeds):
        yield functools.partial(fuzz, seed, budget.operations, budget.every, artifacts)


def _tested(suites: tuple[str, ...], root: Path) -> str:
    """The first of the fast tests that fails on these sources; empty if none does.

    Raises:
        RuntimeError: if pytest neither passes nor fails, as with a path that is not there: that
            says nothing about a mutant.
    """
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-xq", "--no-header", "-p", "no:cacheprovider", *suites],
        # What it compiles is kept beside the sources, for the next mutant.
        env={**os.environ, "PLIMSOLL_CONTRACTS": str(root), "TMPDIR": str(root.parent)},
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
    # With a hash of the sources in it no two would have the same bytecode.
    out = compile_with_vyper(path, root, signed=False)
    return Artifact(Path(path).stem, out["abi"], bytes.fromhex(out["bytecode"].removeprefix("0x")))


def judge_all(
    mutants: list[Mutant],
    budget: Budget,
    jobs: int,
    left: Collection[str] = (),
    passed: Reach | None = None,
) -> Iterator[Verdict]:
    """Judge mutants in whatever order they finish; one left by the fuzzer is first told as `LEFT`.

    Args:
        mutants: to judge.
        budget: how hard each is tried.
        jobs: on how many processes.
        left: the keys of those that an earlier run told as left: they meet the tests only.
        passed: which lists of the corpus pass what: the others are tried last, on what survives.
    """
    batches, alone = batches_of([m for m in mutants if m.key not in left])
    tasks: list[Task] = [(mutant, budget) for mutant in alone]
    fuzzed = replace(budget, fuzzing=False)
    tasks += [(mutant, fuzzed) for mutant in mutants if mutant.key in left]
    with (
        tempfile.TemporaryDirectory(prefix="plimsoll-mutants-") as scratch,
        multiprocessing.get_context("spawn").Pool(jobs, _settle, (scratch, passed or {})) as pool,
    ):
        for verdicts, rest in pool.imap_unordered(judge_together, [(b, budget) for b in batches]):
            yield from verdicts
            yield from (Verdict(m, LEFT, "", 0.0) for m, how in rest if how == fuzzed)
            tasks += rest
        yield from pool.imap_unordered(judge, tasks)


def _settle(scratch: str, passed: Reach) -> None:
    """Let a process make its folders where they are removed at the end, and know where lists go."""
    tempfile.tempdir = scratch
    _passed.update(passed)


def batches_of(mutants: list[Mutant]) -> tuple[list[list[Mutant]], list[Mutant]]:
    """Those that can be compiled together, a file at a time and few in each other, and the rest."""
    batches: list[list[Mutant]] = []
    alone = []
    for mutant in mutants:
        room = [batch for batch in batches if _fits(mutant, batch)]
        if not mutant.whole:
            alone.append(mutant)
        elif room:
            room[0].append(mutant)
        else:
            batches.append([mutant])
    alone += [m for batch in batches if len(batch) < FEW for m in batch]
    return [batch for batch in batches if len(batch) >= FEW], alone


def _fits(mutant: Mutant, batch: list[Mutant]) -> bool:
    """Choices within choices take the compiler's optimizer a time that doubles with each."""
    if batch[0].file != mutant.file or len(batch) == TOGETHER:
        return False
    return sum(mutant.overlaps(other) for other in batch) < DEEP


# ------------------------------------------------------------------ the command


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
    parser.add_argument("--known", action="store_true", help="judge nothing, tell what is known")
    parser.add_argument("--again", action="store_true", help="judge what survived once more")
    args = parser.parse_args()

    mutants = [m for file in args.files for m in mutants_of(file)]
    print(f"{len(mutants)} mutants of {len(args.files)} files")
    if args.sample:
        mutants = random.Random(args.seed).sample(mutants, min(args.sample, len(mutants)))
        told = known(mutants, {}, None)  # what the tests are worth today
    else:
        told = known(mutants, load(), args.kept, args.again)
    left = {v.mutant.key for v in told if v.fate == LEFT}
    started = time.perf_counter()
    tally = Tally(len(mutants))
    for verdict in told:
        tally.add(verdict)
    done = {v.mutant.key for v in told} - left
    todo = [m for m in mutants if m.key not in done and not args.known]
    budget = Budget(args.seeds, args.ops, suites=not args.no_suites)
    passed = {} if args.sample or not todo else reach(args.jobs)  # minutes: for many it pays
    for verdict in judge_all(todo, budget, args.jobs, left, passed):
        tally.add(verdict)
        told.append(verdict)
        if args.kept:
            keep(args.kept, verdict)
    tally.show(time.perf_counter() - started)
    if not args.sample and not args.no_suites:
        save(renewed(load(), mutants, told))
    return 1 if tally.score < args.least else 0


if __name__ == "__main__":
    sys.exit(main())
