"""Which lines and branches of the contracts run in the fast lane, modules included.

``python -m plimsoll.fuzz.coverage`` runs every list in ``tests/corpus``, operations drawn from
seeds, a Lens beside both (`lens`), and what no list does (`aside`). It records the program counters
that the seven contracts pass and reads them back through the source map of the compiler. With
``--least`` it fails below a percentage. Reached is not checked: what the checks are worth,
`mutants` tells.

How it sees. py-evm, with one class replaced: the stream that hands a contract's opcodes to the
machine (`Footprints`), which notes each one and where each conditional jump went. The operations
are those of `run.fuzz`, so what pyrevm runs by the hundred thousand is what is seen here, on fewer.
(pyrevm can print a trace, as JSON on stdout and without the address of the code that runs. It took
3 ms an opcode where that was tried, a thousand times what py-evm takes.)

How it attributes. Vyper 0.4.3 maps instructions to nodes of its syntax trees; the node knows its
module. Nothing is shared between two pieces of source but what the source shares: an internal
function has one copy a contract, and each module's function as many copies as contracts use it; a
line or a way counts as reached if it is in any of them (``--copies`` lists those that are not, by
contract). The optimizer drops some nodes: what the map leaves open is settled by the shape of the
code (`Reader`) or said to be unknown, never guessed. The recorded code is checked to be that which
the map is of.

What counts. A line: where a statement or an expression on a line of its own begins that has an
instruction (``x: uint256 = 0`` after another such line often has none), or a public variable, whose
getter it is. A branch: ``if``, ``elif``, a conditional expression, ``and`` and ``or`` (each operand
but the last, whose truth is that of the whole), ``assert``, and a loop (whether it is entered, and
whether it goes round again); each has two ways. What the compiler adds by itself is no branch of
ours: overflow and range checks, decoding, the dispatch by selector, the locks. Constructors are
left out (they run once a deployment, and their refusals are unit tests), and so is snekmate.
"""

from __future__ import annotations

import argparse
import functools
import itertools
import multiprocessing
import os
import random
import sys
import time
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from eth.vm.code_stream import CodeStream
from vyper import ast as vy
from vyper.compiler.input_bundle import FilesystemInputBundle
from vyper.compiler.phases import CompilerData
from vyper.ir import compile_ir

from plimsoll.fuzz import aside, corpus
from plimsoll.fuzz.artifacts import CONTRACTS, Artifact
from plimsoll.fuzz.chain import Contract
from plimsoll.fuzz.lens import Lens
from plimsoll.fuzz.ops import Generator, free_coin, random_setup
from plimsoll.fuzz.properties import Mismatch
from plimsoll.fuzz.py_evm import PyEvmChain
from plimsoll.fuzz.run import Report, play
from plimsoll.fuzz.system import Setup, System

MEASURED = (
    "Clearinghouse.vy",
    "LiquidityPool.vy",
    "Configurator.vy",
    "CollateralAuction.vy",
    "Lens.vy",
    "CollateralLens.vy",
    "Backstop.vy",
    "oracles/SequencerGuard.vy",
)

JUMP, JUMPI, JUMPDEST, PUSH0, PUSH32, STOP = 0x56, 0x57, 0x5B, 0x5F, 0x7F, 0x00
ENDS = (JUMP, JUMPI, JUMPDEST)  # of a stretch without jumps

NEVER = "never runs"
CHOICES = (vy.If, vy.IfExp, vy.Assert, vy.BoolOp)

# ------------------------------------------------------------------ the map


class Branch(NamedTuple):
    """A place in the source where one of two ways is taken."""

    file: str
    line: int
    column: int
    kind: str
    text: str
    ways: tuple[str, str]  # the names of the two


class Fork(NamedTuple):
    """A conditional jump: which way of its branch it takes if it jumps, and if it does not."""

    branch: Branch
    jumps: str
    falls: str


@dataclass
class CodeMap:
    """A contract's runtime code and what of its source each instruction is."""

    name: str
    code: bytes  # without the immutables, which follow it
    lines: dict[int, tuple[str, int]] = field(default_factory=dict)  # by program counter
    forks: dict[int, Fork] = field(default_factory=dict)
    added: Counter[str] = field(default_factory=Counter)  # jumps of the compiler's own, by why
    unknown: list[str] = field(default_factory=list)  # branches whose jump was not found


class Reader:
    """Reads one contract's map."""

    def __init__(self, path: str, root: Path) -> None:
        places = [Path(p) for p in sys.path if p and Path(p).is_dir()]
        bundle = FilesystemInputBundle([*places, root])
        data = CompilerData(bundle.load_file(Path(path)), input_bundle=bundle)
        code, maps = compile_ir.assembly_to_evm(data.assembly_runtime, compiler_metadata=None)
        assert code == data.bytecode_runtime
        self.root = root.resolve()
        self.code = code
        self.map = CodeMap(Path(path).stem, code)
        self.ops: dict[int, int] = {}  # where each instruction begins
        pc = 0
        while pc < len(code):
            self.ops[pc] = code[pc]
            pc += 1 + (code[pc] - PUSH0 if PUSH0 < code[pc] <= PUSH32 else 0)
        # Two things the map has that mean nothing: nodes in the middle of an instruction, and
        # wherever an argument of a call is read, the last use of it in the function.
        nodes: dict[int, vy.VyperNode] = dict(sorted(maps["pc_raw_ast_map"].items()))
        self.nodes = {pc: n for pc, n in nodes.items() if pc in self.ops and not _is_calldata(n)}
        self.errors: dict[int, str] = maps["error_map"]
        # Of each mapped instruction, what its node is part of.
        self.pcs = list(self.nodes)
        self.parts = {pc: {id(n) for n in _ancestry(node)} for pc, node in self.nodes.items()}
        # Conditional jumps, and where they go: the target is always pushed just before.
        self.jumps: dict[int, int] = {}
        for (before, push), (at, op) in itertools.pairwise(self.ops.items()):
            if op == JUMPI and PUSH0 < push <= PUSH32:
                self.jumps[at] = int.from_bytes(code[before + 1 : at], "big")
        functions = {id(f): f for f in map(_function_of, self.nodes.values()) if f is not None}
        self.functions = [f for f in functions.values() if self._file(f) is not None]

    def read(self) -> CodeMap:
        """The map."""
        self._read_lines()
        # In the order of the code; what is explained is taken out.
        self.left = dict.fromkeys(sorted(self.jumps))
        for function in self.functions:
            for loop in function.get_descendants(vy.For):
                self._read_loop(loop)
        self.found: dict[tuple[int, int], int] = {}  # choices and their tests
        mapped: dict[int, list[int]] = {}
        for at in self.left:
            choice = self.nodes.get(at)
            if isinstance(choice, CHOICES) and self._file(choice) is not None:
                mapped.setdefault(id(choice), []).append(at)
        for places in mapped.values():
            choice = self.nodes[places[0]]
            tests = _tests(choice)
            if len(tests) != len(places):  # one has lost its node
                tests = [self._test_before(at, choice) for at in places]
            for at, test in zip(places, tests, strict=True):
                self._read_fork(at, choice, test)
        self._read_unmapped()
        for function in self.functions:
            for choice in function.get_descendants(CHOICES):
                for test in _tests(choice):
                    if (id(choice), id(test)) not in self.found:
                        self.map.unknown.append(self._place(test))
        for at in self.left:
            kind = type(self.nodes[at]).__name__ if at in self.nodes else "no node"
            self.map.added[self.errors.get(at) or f"in {kind}"] += 1
        return self.map

    # -------------------------------------------------------------- places

    def _file(self, node: vy.VyperNode) -> str | None:
        """The node's file, if it is ours."""
        path = Path(node.module_node.resolved_path)
        return str(path.relative_to(self.root)) if path.is_relative_to(self.root) else None

    def _place(self, node: vy.VyperNode) -> str:
        return f"{self._file(node)}:{node.lineno} {_text(node)}"

    def _mapped(self, start: int, end: int) -> list[int]:
        """The instructions in [start, end) that have a node."""
        return self.pcs[bisect_left(self.pcs, start) : bisect_left(self.pcs, end)]

    def _holds(self, start: int, end: int, parts: list[vy.VyperNode]) -> bool:
        """Whether any instruction in [start, end) is part of `parts`."""
        wanted = {id(p) for p in parts}
        return any(self.parts[pc] & wanted for pc in self._mapped(start, end))

    # -------------------------------------------------------------- lines

    def _read_lines(self) -> None:
        own: dict[int, list[int]] = {}  # what is of a function, but of none of its statements
        # Where a jump might go to is pushed before it is known: ``if x: break`` is no `break` yet.
        targets = {before for before, at in itertools.pairwise(self.ops) if at in self.jumps}
        for pc, node in self.nodes.items():
            file = self._file(node)
            if file is None or self.ops[pc] == JUMPDEST or pc in targets:
                continue
            function = _function_of(node)
            if function is None or any(id(s) in self.parts[pc] for s in function.body):
                self.map.lines[pc] = (file, node.lineno)
            else:
                own.setdefault(id(function), []).append(pc)
        # `return NAME` of an immutable has no code but the function's: it is the last of that.
        coded = set(self.map.lines.values())
        for function in self.functions:
            place, last = (
                (str(self._file(function)), function.body[-1].lineno),
                own.get(id(function)),
            )
            if last and len(function.body) == 1 and place not in coded:
                self.map.lines[last[-1]] = place

    # -------------------------------------------------------------- branches

    def _read_loop(self, loop: vy.For) -> None:
        """The jump back at a loop's end, and the one that passes it by if it has no rounds.

        The loop is the smallest stretch of code that ends in a jump back to its start and holds all
        that the body became.
        """
        wanted = {id(p) for p in loop.body}
        inside = [pc for pc in self.pcs if self.parts[pc] & wanted]
        stretches = [
            (at - to, to, at)
            for at, to in self.jumps.items()
            if at in self.left and to < at and inside and to <= inside[0] and inside[-1] <= at
        ]
        if not stretches:
            self.map.unknown.append(self._place(loop))
            return
        _, to, at = min(stretches)
        again = self._branch(loop, loop, "loop")
        self._fork(at, Fork(again._replace(ways=("again", "over")), "again", "over"))
        for skip in [s for s in self.left if s < to and self.jumps[s] == at + 1]:
            entered = again._replace(kind="loop entered", ways=("some", "none"))
            self._fork(skip, Fork(entered, "none", "some"))

    def _branch(self, choice: vy.VyperNode, test: vy.VyperNode, kind: str) -> Branch:
        file = self._file(choice)
        assert file is not None
        return Branch(file, test.lineno, test.col_offset, kind, _text(test), ("true", "false"))

    def _fork(self, at: int, fork: Fork) -> None:
        self.map.forks[at] = fork
        del self.left[at]

    def _test_before(self, at: int, choice: vy.VyperNode) -> vy.VyperNode:
        """Which test of a choice was computed last before a jump."""
        tests = _tests(choice)
        for pc in reversed(self._mapped(0, at)):
            for test in tests:
                if id(test) in self.parts[pc]:
                    return test
        return tests[0]

    def _read_fork(self, at: int, choice: vy.VyperNode, test: vy.VyperNode) -> None:
        """What a jump means that a test of a choice decides."""
        start, end = at + 1, self.jumps[at]
        branch = self._branch(choice, test, _kind(choice))
        falls: bool | None = None  # what the test was if it does not jump
        if isinstance(choice, vy.Assert):
            # With a reason the jump leads over the revert, without one to it.
            falls = "reason" not in self.errors.get(at, "")
        elif isinstance(choice, vy.BoolOp):
            # `and` goes on to the rest if this is true, `or` if it is false. The other way there is
            # but a constant, and a jump over the rest.
            between = [op for pc, op in self.ops.items() if start <= pc < end]
            decided = len(between) == 3 and between[2] == JUMP and between[0] <= PUSH0 + 1
            falls = decided != isinstance(choice.op, vy.And)
        elif self._holds(start, end, _list(choice.body)):
            falls = True
        elif self._holds(start, end, _list(choice.orelse)) or _leaves(choice):
            falls = False
        if (id(choice), id(test)) in self.found or falls is None:
            self.map.unknown.append(self._place(test))
            return
        self.found[id(choice), id(test)] = at
        names = ("true", "false") if falls else ("false", "true")
        self._fork(at, Fork(branch, jumps=names[1], falls=names[0]))

    def _read_unmapped(self) -> None:
        """Jumps that the optimizer took the node from.

        It does where ``if x: break`` (or ``continue``, ``return``) becomes one jump out of two, and
        where ``and`` has many operands. What was computed just before tells which test it is; a
        test may hold jumps of the compiler's own, so the last is meant.
        """
        starts = list(self.ops)
        guesses: dict[tuple[int, int], tuple[int, vy.VyperNode, vy.VyperNode]] = {}
        for at in self.left:
            if at in self.nodes or at in self.errors:
                continue
            behind = bisect_left(starts, at) - 1
            while starts[behind] not in self.nodes and self.ops[starts[behind]] not in ENDS:
                behind -= 1
            node = self.nodes.get(starts[behind])
            if node is None or self._file(node) is None:
                continue
            if isinstance(node, vy.Break | vy.Continue | vy.Return):  # where it jumps to
                choice = node._parent
                if isinstance(choice, vy.If) and _leaves(choice):
                    guesses[id(choice), id(choice.test)] = at, choice, choice.test
                continue
            for test in _ancestry(node):
                choice = test._parent
                if choice is not None and any(test is t for t in _tests(choice)):
                    if (id(choice), id(test)) not in self.found:
                        guesses[id(choice), id(test)] = at, choice, test
                    break
        for at, choice, test in guesses.values():
            if (id(choice), id(test)) not in self.found:
                self._read_fork(at, choice, test)


def _ancestry(node: vy.VyperNode | None) -> Iterator[vy.VyperNode]:
    """A node, its parent, and so on."""
    while node is not None:
        yield node
        node = node._parent


def _function_of(node: vy.VyperNode) -> vy.FunctionDef | None:
    return next((n for n in _ancestry(node) if isinstance(n, vy.FunctionDef)), None)


def _is_calldata(node: vy.VyperNode) -> bool:
    """Whether it reads an argument of an external function."""
    function = _function_of(node)
    if function is None or not isinstance(node, vy.Name):
        return False
    external = function._metadata["func_type"].is_external
    return external and node.id in {a.arg for a in function.args.args}


def _tests(choice: vy.VyperNode) -> list[vy.VyperNode]:
    """What decides a choice: of ``a and b and c``, a and b; c is what comes out."""
    if isinstance(choice, vy.BoolOp):
        return list(choice.values[:-1])
    return [choice.test] if isinstance(choice, vy.If | vy.IfExp | vy.Assert) else []


def _kind(choice: vy.VyperNode) -> str:
    if isinstance(choice, vy.BoolOp):
        return "and" if isinstance(choice.op, vy.And) else "or"
    return {"If": "if", "IfExp": "if else", "Assert": "assert"}[type(choice).__name__]


def _leaves(choice: vy.VyperNode) -> bool:
    """Whether it is ``if x: break`` or the like."""
    out = isinstance(choice, vy.If) and len(choice.body) == 1 and not choice.orelse
    return out and isinstance(choice.body[0], vy.Break | vy.Continue | vy.Return)


def _list(part: Any) -> list[vy.VyperNode]:
    return list(part) if isinstance(part, list | tuple) else [part]


def _text(node: vy.VyperNode) -> str:
    """Its source on one line; of a statement, the first line."""
    if isinstance(node, vy.For):
        lines = node.full_source_code.split("\n")
        return str(lines[node.lineno - 1].strip())
    return " ".join(str(node.node_source_code).split())


# ------------------------------------------------------------------ what ran


class Trail:
    """Where a contract has been: which instructions ran, and which jumps went where."""

    def __init__(self, code_map: CodeMap) -> None:
        self.map = code_map
        self.ran = bytearray(len(code_map.code))
        self.went: set[tuple[int, bool]] = set()  # conditional jumps, and whether they jumped


class Footprints(CodeStream):
    """Hands out a contract's opcodes, and leaves a trail."""

    def __init__(self, code: bytes, trail: Trail) -> None:
        super().__init__(code)
        self.trail = trail

    def __iter__(self) -> Iterator[int]:
        """The opcodes, in the order in which they run."""
        code, end = self._raw_code_bytes, len(self.trail.map.code)
        ran, went = self.trail.ran, self.trail.went
        while self.program_counter < end:
            at = self.program_counter
            ran[at] = 1
            self.program_counter = at + 1
            yield code[at]
            if code[at] == JUMPI:
                went.add((at, self.program_counter != at + 1))
        yield STOP


class TrackedChain(PyEvmChain):
    """A py-evm chain on which some contracts leave trails.

    Attributes:
        trails: by the name of the contract; several deployments of it share one.
    """

    def __init__(self, trails: dict[str, Trail], now: int) -> None:
        self.trails = trails
        self.tracked: dict[bytes, Trail] = {}
        super().__init__(now)

    def _start(self) -> None:
        super()._start()
        tracked, plain = self.tracked, self.state.computation_class

        class Tracked(plain):  # type: ignore[misc, valid-type]
            """A call or a creation; what runs when a tracked contract is called is noted."""

            def __init__(self, state: Any, message: Any, transaction_context: Any) -> None:
                super().__init__(state, message, transaction_context)
                trail = None if message.is_create else tracked.get(message.code_address)
                if trail is not None:
                    self.code = Footprints(message.code, trail)

        self.state.computation_class = Tracked

    def deploy(self, artifact: Artifact, *args: Any, sender: str | None = None) -> Contract:
        """A new contract.

        Raises:
            ValueError: if its constructor reverts, or the map is of other code.
        """
        contract = super().deploy(artifact, *args, sender=sender)
        trail = self.trails.get(artifact.name)
        if trail is not None:
            address = bytes.fromhex(contract.address[2:])
            if not self.state.get_code(address).startswith(trail.map.code):
                raise ValueError(f"{artifact.name}: this is not the code that was mapped")
            self.tracked[address] = trail
        return contract


@dataclass
class Coverage:
    """What the maps have, and what of it was reached."""

    lines: dict[tuple[str, int], bool] = field(default_factory=dict)
    ways: dict[tuple[Branch, str], bool] = field(default_factory=dict)

    @classmethod
    def of(cls, *trails: Trail) -> Coverage:
        """That of some contracts together: reached in one is reached."""
        coverage = cls()
        for trail in trails:
            for pc, line in trail.map.lines.items():
                coverage.lines[line] = coverage.lines.get(line, False) or bool(trail.ran[pc])
            for at, fork in trail.map.forks.items():
                for jumped, way in ((True, fork.jumps), (False, fork.falls)):
                    known = coverage.ways.get((fork.branch, way), False)
                    coverage.ways[fork.branch, way] = known or (at, jumped) in trail.went
        return coverage

    def files(self) -> list[str]:
        """The contracts, then the modules."""
        return sorted({file for file, _ in self.lines}, key=lambda f: ("/" in f, f))

    def count(self, file: str | None = None) -> tuple[int, int, int, int]:
        """Lines, those reached, ways, those taken: of a file, or of all."""
        lines = [reached for (f, _), reached in self.lines.items() if file in (None, f)]
        ways = [taken for (branch, _), taken in self.ways.items() if file in (None, branch.file)]
        return len(lines), sum(lines), len(ways), sum(ways)

    def missed(self) -> list[tuple[str, int, str]]:
        """What was never reached: file, line, and which way of what."""
        found = [(file, line, NEVER) for (file, line), ran in self.lines.items() if not ran]
        found += [
            (branch.file, branch.line, f"{branch.kind}: never {way}: {branch.text}")
            for (branch, way), taken in self.ways.items()
            if not taken
        ]
        return sorted(found)


# ------------------------------------------------------------------ what to run


class Task(NamedTuple):
    """Something to run: a seed, a list of the corpus, or (neither) what no list does."""

    seed: int | None = None
    kept: str = ""
    draws: int = 0  # operations of a seed
    every: int = 40  # operations between two looks at all views of the Lens


class Result(NamedTuple):
    """What a task left."""

    operations: int
    mismatch: str
    trails: dict[str, tuple[bytearray, set[tuple[int, bool]]]]


def run_task(maps: list[CodeMap], task: Task) -> Result:
    """Run something on fresh contracts."""
    trails = {code_map.name: Trail(code_map) for code_map in maps}
    try:
        report = _run_operations(trails, task) if task != Task() else _run_aside(trails)
    except Mismatch as found:
        report = Report(Setup([]), [], found)
    left = {name: (trail.ran, trail.went) for name, trail in trails.items()}
    return Result(len(report.operations), str(report.mismatch or ""), left)


def _run_operations(trails: dict[str, Trail], task: Task) -> Report:
    """A list, or the operations that `run.fuzz` draws for a seed; a Lens beside them."""
    if task.kept:
        setup, listed, _ = corpus.load(task.kept)
        system = System.build(setup, chain=TrackedChain(trails, setup.start))
        operations = iter(listed)
    else:
        rng = random.Random(task.seed)
        setup = random_setup(rng)
        system = System.build(setup, chain=TrackedChain(trails, setup.start))
        generator = Generator(rng, system)
        operations = (generator.next() for _ in range(task.draws))
    watched = Lens(system).watch(operations, task.every)
    return play(system, watched, 10**9, Report(setup, []))


def _run_aside(trails: dict[str, Trail]) -> Report:
    """What no list of operations does (`aside`)."""
    setup = Setup([free_coin()])
    system = System.build(setup, chain=TrackedChain(trails, setup.start))
    aside.check_constants(system)
    aside.check_permits(system)
    aside.check_odd_token(TrackedChain(trails, setup.start))
    aside.check_unpaid_lot(TrackedChain(trails, setup.start))
    aside.check_guard(TrackedChain(trails, setup.start))
    aside.check_last_market(TrackedChain(trails, setup.start))
    return Report(setup, [])


def measure(maps: list[CodeMap], tasks: list[Task], jobs: int) -> tuple[list[Trail], int]:
    """Run tasks; where the contracts have been in any, and how many operations that took.

    Raises:
        Mismatch: if contracts, model and Lens differ.
    """
    trails = {code_map.name: Trail(code_map) for code_map in maps}
    operations = 0
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        for task, result in zip(
            tasks, pool.imap(functools.partial(run_task, maps), tasks), strict=True
        ):
            if result.mismatch:
                raise Mismatch("coverage", f"{task}: {result.mismatch}")
            operations += result.operations
            for name, (ran, went) in result.trails.items():
                trails[name].ran = bytearray(map(max, trails[name].ran, ran))
                trails[name].went |= went
    return list(trails.values()), operations


# ------------------------------------------------------------------ to print


def percent(part: int, whole: int) -> str:
    """Rounded down, so that 100.0 means all."""
    return f"{part * 1000 // whole / 10:5.1f}" if whole else "    -"


def table(coverage: Coverage) -> list[str]:
    """One row a file, and their sum."""
    rows = [f"{'':28}{'lines':>6}{'reached':>9}{'%':>7}{'ways':>8}{'taken':>9}{'%':>7}"]
    for file in [*coverage.files(), None]:
        lines, reached, ways, taken = coverage.count(file)
        rows.append(
            f"{file or 'all':28}{lines:6}{reached:9}{percent(reached, lines):>7}"
            f"{ways:8}{taken:9}{percent(taken, ways):>7}"
        )
    return rows


def listing(missed: list[tuple[str, int, str]], root: Path) -> list[str]:
    """Where, what, and the source of each line that never runs."""
    rows = []
    for file, line, what in missed:
        source = (root / file).read_text().split("\n")[line - 1].strip()
        rows.append(f"{file}:{line}  {what}" + f": {source}" * (what == NEVER))
    return rows


def enough(coverage: Coverage, least: float) -> bool:
    """Whether so many percent of all lines have run, and of all ways."""
    lines, reached, ways, taken = coverage.count()
    return reached * 100 >= lines * least and taken * 100 >= ways * least


def main(arguments: list[str] | None = None) -> int:
    """Measure by hand, or for a check."""
    parser = argparse.ArgumentParser(description="Lines and branches that the fast lane reaches.")
    parser.add_argument("--seed", type=int, default=0, help="the first one")
    parser.add_argument("--runs", type=int, default=8, help="how many seeds")
    parser.add_argument("--ops", type=int, default=125, help="operations of each run")
    parser.add_argument("--views", type=int, default=40, help="operations between all views")
    parser.add_argument("--drawn", action="store_true", help="seeds alone: no lists, nothing else")
    parser.add_argument("--least", type=float, default=0, help="percentage of lines and of ways")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--copies", action="store_true", help="list each contract's copies apart")
    parser.add_argument("--added", action="store_true", help="count the compiler's own jumps")
    args = parser.parse_args(arguments)

    started = time.perf_counter()
    maps = [Reader(path, CONTRACTS).read() for path in MEASURED]
    tasks = (
        []
        if args.drawn
        else [Task(), *(Task(kept=name, every=args.views) for name in corpus.names())]
    )
    seeds = range(args.seed, args.seed + args.runs)
    tasks += [Task(seed=s, draws=args.ops, every=args.views) for s in seeds]
    trails, operations = measure(maps, tasks, args.jobs)
    coverage = Coverage.of(*trails)
    missed = coverage.missed()
    print("\n".join([*table(coverage), *listing(missed, CONTRACTS)]))
    for trail in trails:
        for place in trail.map.unknown:
            print(f"{trail.map.name}: no jump found for {place}")
        if args.copies:
            here = [m for m in Coverage.of(trail).missed() if m not in missed]
            print("\n".join([f"Not in {trail.map.name}:", *listing(here, CONTRACTS)]))
        if args.added:
            counted = (f"{n:6} {why}" for why, n in trail.map.added.most_common())
            print("\n".join([f"The compiler's own in {trail.map.name}:", *counted]))
    print(f"{operations} operations in {time.perf_counter() - started:.0f} s")
    if any(code_map.unknown for code_map in maps):
        return 1
    return 0 if enough(coverage, args.least) else 1


if __name__ == "__main__":
    sys.exit(main())
