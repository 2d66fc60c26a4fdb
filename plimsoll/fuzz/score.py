"""What became of mutants: verdicts, the table of them, and the record kept in the repository.

A verdict goes into a scratch file as soon as it is there, for a run that is started again. What a
full run knows of a function in the end goes into the record, `RECORD`, from which the next one
takes it as long as the function's mutants are the same. That another function has changed since, or
a test, is not seen: to judge everything anew, delete both.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from plimsoll.fuzz import corpus
from plimsoll.fuzz.edits import Mutant

RECORD = corpus.CORPUS.parent / "mutants.json"
EQUIVALENT = corpus.CORPUS / "equivalent_mutants.json"  # {key: why it changes nothing}
LEFT = "left"  # what a verdict calls a mutant that only the tests can tell any more
UNMET = "unmet"  # what the record calls one of which there is no verdict

# {file: {function or constant: {"of": hash of its mutants, "killed": how many, key: other fate}}}
Record = dict[str, dict[str, dict[str, Any]]]


@dataclass(frozen=True)
class Verdict:
    """What became of a mutant: killed, survived, stillborn, same (bytecode), or so far `LEFT`."""

    mutant: Mutant
    fate: str
    how: str
    seconds: float


def known_equivalent(path: Path = EQUIVALENT) -> dict[str, str]:
    """The mutants that change nothing, by key, each with the reason."""
    return dict(json.loads(path.read_text())) if path.exists() else {}


def known(
    mutants: Sequence[Mutant], record: Record, scratch: Path | None, again: bool = False
) -> list[Verdict]:
    """What is known of mutants already: by the record, by an earlier run, or as equivalent.

    Args:
        mutants: all of some files.
        record: the record.
        scratch: the file of verdicts of an earlier run.
        again: forget what survived.
    """
    told = recorded(record, mutants) + (read_verdicts(scratch, mutants) if scratch else [])
    if again:
        told = [v for v in told if v.fate != "survived"]
    by_key = {v.mutant.key: v for v in told}
    equivalent = known_equivalent()
    for mutant in mutants:
        if mutant.key in equivalent:
            by_key.setdefault(mutant.key, Verdict(mutant, "survived", "", 0.0))
    return list(by_key.values())


# ------------------------------------------------------------------ the scratch file


def read_verdicts(path: Path, mutants: Iterable[Mutant]) -> list[Verdict]:
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


# ------------------------------------------------------------------ the record


def load(path: Path = RECORD) -> Record:
    """The record; empty if there is none yet."""
    return dict(json.loads(path.read_text())) if path.exists() else {}


def save(record: Record, path: Path = RECORD) -> None:
    """Write the record, a function a line."""
    files = []
    for file, functions in sorted(record.items()):
        rows = [f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in functions.items()]
        files.append(f" {json.dumps(file)}: {{\n" + ",\n".join(rows) + "\n }")
    path.write_text("{\n" + ",\n".join(files) + "\n}\n")


def recorded(record: Record, mutants: Iterable[Mutant]) -> list[Verdict]:
    """The record's verdicts on functions whose mutants are still the same."""
    verdicts = []
    for (file, name), those in _by_function(mutants).items():
        row = record.get(file, {}).get(name)
        if row and row["of"] == _hash_of(those):
            verdicts += [Verdict(m, row.get(m.key, "killed"), "on record", 0.0) for m in those]
    return [verdict for verdict in verdicts if verdict.fate != UNMET]


def renewed(record: Record, mutants: Iterable[Mutant], verdicts: Iterable[Verdict]) -> Record:
    """The record with what is known of these mutants' functions, and without those that are gone.

    Args:
        record: as it was.
        mutants: all of some files.
        verdicts: on any of them, in the order in which they came.
    """
    fates = {v.mutant.key: v.fate for v in verdicts}  # the last one counts
    functions = _by_function(mutants)
    made: Record = {file: {} for file, _ in functions}
    for (file, name), those in functions.items():
        told = {m.key: fates.get(m.key, UNMET) for m in those}
        killed = sum(fate == "killed" for fate in told.values())
        rest = {key: fate for key, fate in told.items() if fate != "killed"}
        if set(told.values()) != {UNMET}:
            made[file][name] = {"of": _hash_of(those), "killed": killed, **rest}
    return {file: functions for file, functions in {**record, **made}.items() if functions}


def _by_function(mutants: Iterable[Mutant]) -> Mapping[tuple[str, str], list[Mutant]]:
    found: dict[tuple[str, str], list[Mutant]] = {}
    for mutant in mutants:
        found.setdefault((mutant.file, mutant.name), []).append(mutant)
    return found


def _hash_of(mutants: Iterable[Mutant]) -> str:
    return hashlib.sha256("".join(m.key for m in mutants).encode()).hexdigest()[:12]


# ------------------------------------------------------------------ the table


class Tally:
    """Counts fates, and tells of survivors as they come.

    Args:
        expected: how many verdicts are to come.
    """

    def __init__(self, expected: int) -> None:
        self.expected = expected
        self.fates: Counter[str] = Counter()
        self.by_file: dict[str, Counter[str]] = {}
        self.excused = known_equivalent()

    def add(self, verdict: Verdict) -> None:
        """One more verdict; what is left to the tests has none yet."""
        fate = verdict.fate
        if fate == LEFT:
            return
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
        return _share(self.fates)

    def show(self, seconds: float) -> None:
        """The table."""
        for file, told in sorted(self.by_file.items()):
            judged = told["killed"] + told["survived"]
            print(f"{file:28} {_share(told):7.1%} of {judged:4} killed  {dict(told)}")
        judged, all_fates = sum(self.fates.values()), dict(self.fates)
        print(f"{judged} of {self.expected} judged, in {seconds:.0f} s: {all_fates}")
        print(f"killed {self.score:.1%}")


def _share(fates: Mapping[str, int]) -> float:
    judged = fates["killed"] + fates["survived"]
    return fates["killed"] / judged if judged else 1.0
