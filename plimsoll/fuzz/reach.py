"""Which lists of the corpus pass which line of which contract.

A mutant in a line is found by a list that passes it, or by none. Watching every opcode (`coverage`)
takes minutes, so what was seen is kept beside the compiled contracts, by a hash of the sources and
of the corpus.
"""

from __future__ import annotations

import functools
import hashlib
import json
import multiprocessing

from plimsoll.fuzz import corpus
from plimsoll.fuzz.artifacts import CONTRACTS, cache_folder, fingerprint
from plimsoll.fuzz.coverage import MEASURED, CodeMap, Reader, Task, run_task

# {contract: {(file, line): the lists that pass it, a bit each, in the order of `corpus.names`}}
Reach = dict[str, dict[tuple[str, int], int]]


def reach(jobs: int) -> Reach:
    """Where each list goes, beside what deploying a venue passes; watched on `jobs` processes."""
    kept = cache_folder() / f"{_fingerprint()}-reach.json"
    if kept.exists():
        told = json.loads(kept.read_text())
        return {path: {(file, line): mask for file, line, mask in told[path]} for path in told}
    maps = [Reader(path, CONTRACTS).read() for path in MEASURED]
    found: Reach = {path: {} for path in MEASURED}
    with multiprocessing.get_context("fork").Pool(jobs) as pool:
        passed = pool.imap(functools.partial(_passed, maps), corpus.names())
        for number, lines in enumerate(passed):
            for path, places in lines.items():
                for place in places:
                    found[path][place] = found[path].get(place, 0) | 1 << number
    rows = {
        path: [[*place, mask] for place, mask in masks.items()] for path, masks in found.items()
    }
    kept.write_text(json.dumps(rows))
    return found


def _passed(maps: list[CodeMap], name: str) -> dict[str, set[tuple[str, int]]]:
    trails = run_task(maps, Task(kept=name)).trails
    return {
        path: {line for pc, line in code_map.lines.items() if trails[code_map.name][0][pc]}
        for path, code_map in zip(MEASURED, maps, strict=True)
    }


def _fingerprint() -> str:
    digest = hashlib.sha256(fingerprint(CONTRACTS).encode())
    for name in corpus.names():
        digest.update((corpus.CORPUS / f"{name}.json").read_bytes())
    return digest.hexdigest()[:24]
