"""Lists of operations that are kept, and replayed from then on: `tests/corpus/*.json`.

A file has a list's set-up and operations, a note on what it is for, and how its last operation
ends (null if it failed when it was kept).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from plimsoll.fuzz.run import Report
from plimsoll.fuzz.system import Op, Setup

CORPUS = Path(__file__).resolve().parents[2] / "tests" / "corpus"


class Kept(NamedTuple):
    """What a file has."""

    setup: Setup
    operations: list[Op]
    ends: Any


def names(folder: Path = CORPUS) -> list[str]:
    """All that are kept, in order."""
    found = sorted(folder.glob("*.json"))
    return [path.stem for path in found if "operations" in json.loads(path.read_text())]


def load(name: str, folder: Path = CORPUS) -> Kept:
    """A list by its name."""
    data = json.loads((folder / f"{name}.json").read_text())
    return Kept(Setup.from_json(data["setup"]), data["operations"], data["ends"])


def save(report: Report, name: str, folder: Path = CORPUS, note: str = "") -> Path:
    """Keep a report's operations; the note says why, else what was found."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    data = {
        "note": note or str(report.mismatch or ""),
        "setup": report.setup.to_json(),
        "operations": report.operations,
        "ends": report.last,
    }
    path.write_text(json.dumps(data, indent=1) + "\n")
    return path
