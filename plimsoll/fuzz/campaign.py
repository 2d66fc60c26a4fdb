"""Very many operations on all cores: ``make fuzz OPS=10000000``.

Each seed is a run of its own: a deployment and a list of operations, both drawn from it. A run that
has ended is written down, so that a campaign which is started again goes on where it was; another
version of the contracts or of the fuzzer begins anew. What fails is cut down, printed as a script
and kept in the corpus.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import sys
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from plimsoll.fuzz.artifacts import CONTRACTS, fingerprint
from plimsoll.fuzz.corpus import CORPUS, save
from plimsoll.fuzz.run import fuzz, replay
from plimsoll.fuzz.shrink import describe, shrink

ROOT = Path(__file__).resolve().parents[2]
KEPT = ROOT / ".cache" / "fuzz"
RUN = 1_000  # operations of a seed
EVERY = 10  # operations between comparisons of the whole state
SAMPLE = 150  # operations that are run on Ape's chain too, to compare speeds
TOLD_EACH = 30.0  # [s] between progress lines where there is no terminal


class Result(NamedTuple):
    """What a seed came to."""

    seed: int
    operations: int
    seconds: float  # of this core
    outcomes: dict[str, int]
    failure: str | None  # a script, and where it is kept


def run_seed(task: tuple[int, int]) -> Result:
    """One run; a failure is cut down and kept."""
    seed, count = task
    started = time.process_time()
    report = fuzz(seed, count, EVERY)
    seconds = time.process_time() - started
    failure = None
    if report.mismatch:
        small = shrink(report)
        path = save(small, f"seed-{seed}", CORPUS)
        failure = f"seed {seed}: {report.mismatch}\n{describe(small)}\nkept as {path}"
    return Result(seed, len(report.operations), seconds, dict(report.outcomes), failure)


# ------------------------------------------------------------------ what is written down


def version() -> str:
    """A hash of the contracts, the model and the fuzzer."""
    digest = hashlib.sha256(fingerprint(CONTRACTS).encode())
    package = Path(__file__).resolve().parents[1]
    for source in sorted([*package.glob("*.py"), *package.glob("fuzz/*.py")]):
        digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


@dataclass
class Campaign:
    """The seeds that have been run, and what they came to."""

    path: Path
    done: set[int] = field(default_factory=set)
    operations: int = 0
    seconds: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)

    @classmethod
    def resume(cls, path: Path) -> Campaign:
        """What the file tells of; a last line that was cut off does not count."""
        campaign = cls(path)
        lines = path.read_text().splitlines() if path.exists() else []
        for line in lines:
            try:
                result = Result(**json.loads(line))
            except (json.JSONDecodeError, TypeError):
                continue
            # What failed is in the corpus by now; it is tried again.
            if result.failure is None:
                campaign.count(result)
        return campaign

    def count(self, result: Result) -> None:
        """Add a result up."""
        self.done.add(result.seed)
        self.operations += result.operations
        self.seconds += result.seconds
        self.outcomes.update(result.outcomes)
        if result.failure:
            self.failures.append(result.failure)

    def add(self, result: Result) -> None:
        """Add a result up, and write it down."""
        self.count(result)
        with self.path.open("a") as file:
            file.write(json.dumps(result._asdict()) + "\n")

    def seeds(self, first: int, operations: int, run: int) -> list[int]:
        """The seeds that are still to be run."""
        count = -(-operations // run)
        return [s for s in range(first, first + count) if s not in self.done]

    @property
    def rate(self) -> float:
        """Operations a second and core."""
        return self.operations / self.seconds if self.seconds else 0.0


# ------------------------------------------------------------------ running


def results(seeds: list[int], run: int, jobs: int) -> Iterator[Result]:
    """Run seeds on `jobs` processes, in whatever order they finish."""
    tasks = [(seed, run) for seed in seeds]
    if jobs == 1:
        yield from map(run_seed, tasks)
        return
    with multiprocessing.get_context("spawn").Pool(jobs) as pool:
        yield from pool.imap_unordered(run_seed, tasks)


class Progress:
    """One line that is written over, or one now and then."""

    def __init__(self, wanted: int, found: int) -> None:
        self.wanted, self.found = wanted, found
        self.started = self.told = time.perf_counter()
        self.terminal = sys.stderr.isatty()

    def tell(self, campaign: Campaign, last: bool = False) -> None:
        """How far it is."""
        now = time.perf_counter()
        if not (self.terminal or last) and now - self.told < TOLD_EACH:
            return
        self.told = now
        fresh = campaign.operations - self.found
        rate = fresh / max(now - self.started, 1e-9)
        left = max(self.wanted - campaign.operations, 0) / rate if rate else 0
        line = (
            f"{campaign.operations:,} of {self.wanted:,} operations, {rate:,.0f} a second, "
            f"{left / 60:.0f} min to go, {len(campaign.failures)} failures"
        )
        end = "\n" if last or not self.terminal else ""
        print(f"\r{line}" if self.terminal else line, end=end, file=sys.stderr, flush=True)


def compare_engines(seed: int, count: int) -> str:
    """The same operations here and on Ape's in-process chain, one after the other."""
    import ape

    from plimsoll.fuzz.ape_provider import ApeProviderChain

    drawn = fuzz(seed, count, EVERY)
    setup, operations = drawn.setup, drawn.operations
    fast = replay(setup, operations, EVERY)
    with ape.networks.ethereum.local.use_provider("test"):
        slow = replay(setup, operations, EVERY, chain=ApeProviderChain(setup.start))
    if slow.mismatch:
        return f"On Ape's chain they differ: {slow.mismatch}"
    times = slow.seconds / fast.seconds
    return (
        f"The same {count} operations: {count / fast.seconds:,.0f} a second here, "
        f"{count / slow.seconds:.1f} on Ape's chain: {times:,.0f} times as fast."
    )


def main(arguments: list[str] | None = None) -> int:
    """Run a campaign."""
    parser = argparse.ArgumentParser(
        prog="python -m plimsoll.fuzz", description="Fuzz the contracts against the model."
    )
    parser.add_argument("--ops", type=int, default=200_000, help="operations in all")
    parser.add_argument("--seed", type=int, default=0, help="the first one")
    parser.add_argument("--run", type=int, default=RUN, help="operations of a seed")
    parser.add_argument("--jobs", type=int, default=multiprocessing.cpu_count())
    parser.add_argument("--fresh", action="store_true", help="forget what has been run")
    parser.add_argument("--no-ratio", action="store_true", help="leave Ape's chain out")
    parser.add_argument("--outcomes", action="store_true", help="count what operations came to")
    args = parser.parse_args(arguments)
    for name in ("ops", "run", "jobs"):
        if getattr(args, name) < 1:
            parser.error(f"--{name} must be at least 1")

    KEPT.mkdir(parents=True, exist_ok=True)
    path = KEPT / f"{version()}-{args.run}.jsonl"
    if args.fresh:
        path.unlink(missing_ok=True)
    campaign = Campaign.resume(path)
    seeds = campaign.seeds(args.seed, args.ops, args.run)
    last = args.seed + -(-args.ops // args.run) - 1
    known = f", {len(campaign.done)} of them run before" if campaign.done else ""
    print(f"Seeds {args.seed} to {last}, {args.run} operations each{known}; kept in {path.name}.")
    progress = Progress(args.ops, campaign.operations)
    try:
        for result in results(seeds, args.run, args.jobs):
            campaign.add(result)
            progress.tell(campaign)
            if result.failure:
                print(f"\n{result.failure}", flush=True)
    except KeyboardInterrupt:
        print("\nStopped; the same command goes on from here.", file=sys.stderr)
        return 130
    progress.tell(campaign, last=True)
    summary(campaign, args.outcomes)
    if not args.no_ratio:
        print(compare_engines(args.seed, SAMPLE))
    return 1 if campaign.failures else 0


def summary(campaign: Campaign, outcomes: bool) -> None:
    """What was run, and what came of it."""
    told: dict[str, Any] = {"failures": len(campaign.failures)}
    accepted = sum(n for outcome, n in campaign.outcomes.items() if outcome.endswith(": ok"))
    refused = {o.partition(": ")[2] for o in campaign.outcomes if not o.startswith("event ")}
    print(
        f"{campaign.operations:,} operations, {campaign.rate:,.0f} a second and core; "
        f"{accepted / max(campaign.operations, 1):.0%} went through, the others were refused for "
        f"{len(refused) - 1} reasons; {told['failures']} failures."
    )
    if outcomes:
        for outcome, times in sorted(campaign.outcomes.items()):
            print(f"{times:10,} {outcome}")


if __name__ == "__main__":
    sys.exit(main())
